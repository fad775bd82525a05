/*
 * Which threads a node has, and on which CPU each runs: a pure function of the CPUs and the memory that the process may use, of its cluster's kind,
 * and of what node.conf says. `heracliusd --explain` prints what it gives and by which thresholds.
 *
 *   fused   one thread for network, consensus and execution, beside the storage threads: a hand-over between CPUs costs more than it wins where there
 *           are few of them (a wake-up across CPUs about 34 us on a small virtual machine, a switch on one CPU 3 us)
 *   split   a thread each, and workers: verifiers, which verify signatures before consensus wants them, and hashers, which help execution to hash
 *   what
 *           a large block wrote
 *
 * By default ("auto") a host with at least THREAD_SPLIT_CPUS usable CPUs and THREAD_SPLIT_MEMORY_BYTES has the split map, each thread pinned to a CPU
 * of its own: the first ones in the order of enum node_thread. THREAD_SPARE_CPUS are left to the kernel and to threads that seldom run; what is left
 * then are workers: at a coordinator verifiers, since signatures of clients come there; at a shard half of them hashers, since writes do. A quota of
 * a control group counts as whole CPUs; one that is less than the CPUs pins nothing, since others share them then.
 */
#ifndef APPLIANCE_THREAD_PLAN_H
#define APPLIANCE_THREAD_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    THREAD_CPUS_MAX = 256,      /* looked at; more are not used */
    THREAD_SPLIT_CPUS = 8,      /* from so many usable CPUs on the map is split */
    THREAD_SPARE_CPUS = 1,      /* of these, left free */
    THREAD_VERIFIERS_MAX = 6,
    THREAD_HASHERS_MAX = 3,
    THREAD_QUOTA_CPU = 1000,    /* a quota is in thousandths of a CPU */
    THREAD_SPLIT_MEMORY_BYTES = 256 << 20 /* with less memory the map is fused: rings and what waits in them take some */
};

/* The first five are threads of the split map, and what `cpus` of node.conf may always name; workers follow. */
enum node_thread {
    NODE_THREAD_NETWORK,
    NODE_THREAD_CONSENSUS,
    NODE_THREAD_EXECUTION,
    NODE_THREAD_WAL,
    NODE_THREAD_STATE,
    NODE_THREADS_FIXED,
    NODE_THREAD_VERIFY = NODE_THREADS_FIXED, /* verify0 and so on */
    NODE_THREAD_HASH = NODE_THREAD_VERIFY + THREAD_VERIFIERS_MAX, /* hash0 and so on */
    NODE_THREADS = NODE_THREAD_HASH + THREAD_HASHERS_MAX
};

/* "network", "verify0". Static storage. */
const char *node_thread_name(enum node_thread thread);

struct thread_machine {
    uint32_t cpu_count; /* in `cpus`, ascending: those that the process may use */
    uint16_t cpus[THREAD_CPUS_MAX];
    uint64_t quota_thousandths; /* of a CPU, by control groups; 0: none */
    uint64_t memory_bytes;      /* 0: not known, taken for enough */
};

enum thread_map { THREAD_MAP_AUTO, THREAD_MAP_FUSED, THREAD_MAP_SPLIT };

/* What node.conf says. */
struct thread_wish {
    enum thread_map map;
    int verifiers, hashers; /* of the split map; -1: as many as fit */
    bool pins;              /* `cpus` is given: nothing else is pinned */
    int cpus[NODE_THREADS]; /* -1: not pinned */
};

enum thread_reason {
    THREAD_BY_CONFIGURATION,
    THREAD_FEW_CPUS,      /* fused: fewer than THREAD_SPLIT_CPUS */
    THREAD_LITTLE_MEMORY, /* fused: less than THREAD_SPLIT_MEMORY_BYTES */
    THREAD_MANY_CPUS      /* split */
};

struct thread_plan {
    bool split;
    enum thread_reason reason;
    uint32_t usable; /* CPUs, by affinity and quota */
    uint32_t verifiers, hashers;
    int cpus[NODE_THREADS]; /* -1: not pinned */
};

void thread_plan_make(const struct thread_machine *machine, bool coordinator, const struct thread_wish *wish, struct thread_plan *plan);
/* Is there such a thread by this plan? Fused, NODE_THREAD_NETWORK is the one for all. */
bool thread_plan_has(const struct thread_plan *plan, enum node_thread thread);

/* thread_machine.c: what this process may use now. root: before /proc and /sys, "" but in tests. */
void thread_machine_look(const char *root, struct thread_machine *machine);

#endif
