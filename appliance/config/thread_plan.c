#include "appliance/config/thread_plan.h"

#include <string.h>

static const char *const names[] = {"network", "consensus", "execution", "wal",     "state", "verify0", "verify1",
                                    "verify2", "verify3",   "verify4",   "verify5", "hash0", "hash1",   "hash2"};
_Static_assert(sizeof names / sizeof names[0] == NODE_THREADS, "a name each");

const char *node_thread_name(enum node_thread thread) {
    return names[thread];
}

static uint32_t usable_of(const struct thread_machine *machine) {
    uint64_t quota = machine->quota_thousandths / THREAD_QUOTA_CPU;
    if (machine->quota_thousandths == 0 || quota >= machine->cpu_count) return machine->cpu_count;
    return quota > 0 ? (uint32_t)quota : 1;
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* `left` CPUs among workers. */
static void workers_share(uint32_t left, bool coordinator, struct thread_plan *plan) {
    plan->verifiers = least(coordinator ? left : left - left / 2, THREAD_VERIFIERS_MAX);
    plan->hashers = coordinator ? 0 : least(left / 2, THREAD_HASHERS_MAX);
}

static void pins_set(const struct thread_machine *machine, struct thread_plan *plan) {
    uint32_t at = 0;
    for (int thread = 0; thread < NODE_THREADS; thread++) {
        if (thread_plan_has(plan, (enum node_thread)thread) && at < machine->cpu_count) plan->cpus[thread] = machine->cpus[at++];
    }
}

bool thread_plan_has(const struct thread_plan *plan, enum node_thread thread) {
    if (thread >= NODE_THREAD_HASH) return plan->split && (uint32_t)(thread - NODE_THREAD_HASH) < plan->hashers;
    if (thread >= NODE_THREAD_VERIFY) return plan->split && (uint32_t)(thread - NODE_THREAD_VERIFY) < plan->verifiers;
    return plan->split || (thread != NODE_THREAD_CONSENSUS && thread != NODE_THREAD_EXECUTION);
}

void thread_plan_make(const struct thread_machine *machine, bool coordinator, const struct thread_wish *wish, struct thread_plan *plan) {
    memset(plan, 0, sizeof *plan);
    plan->usable = usable_of(machine);
    bool memory = machine->memory_bytes == 0 || machine->memory_bytes >= THREAD_SPLIT_MEMORY_BYTES;
    bool wide = plan->usable >= THREAD_SPLIT_CPUS;
    plan->split = wish->map == THREAD_MAP_AUTO ? wide && memory : wish->map == THREAD_MAP_SPLIT;
    plan->reason = wish->map != THREAD_MAP_AUTO ? THREAD_BY_CONFIGURATION
                   : !wide                      ? THREAD_FEW_CPUS
                   : !memory                    ? THREAD_LITTLE_MEMORY
                                                : THREAD_MANY_CPUS;
    const uint32_t taken = NODE_THREADS_FIXED + THREAD_SPARE_CPUS;
    if (plan->split && plan->usable > taken) workers_share(plan->usable - taken, coordinator, plan);
    if (plan->split && wish->verifiers >= 0) plan->verifiers = least((uint32_t)wish->verifiers, THREAD_VERIFIERS_MAX);
    if (plan->split && wish->hashers >= 0) plan->hashers = least((uint32_t)wish->hashers, THREAD_HASHERS_MAX);
    for (int thread = 0; thread < NODE_THREADS; thread++) plan->cpus[thread] = wish->pins ? wish->cpus[thread] : -1;
    bool whole = plan->usable == machine->cpu_count;
    if (plan->reason == THREAD_MANY_CPUS && !wish->pins && whole) pins_set(machine, plan);
}
