/*
 * The simulator of bare cores: several bft cores, their disks, links and clocks in one process, all decided by one seed.
 *
 * The cores are the product's objects; the shell around each (persist, then send, then apply) is sim_node.c, which carries out the contract of
 * bft/core.h as the node does, and checks it. The world (sim_world.c) owns time, network and faults; sim_liar.c is what liars do with their keys;
 * sim_check.c watches over safety after each step. A violation prints the seed and event and ends the process with status 1.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdio.h>
#include <stdlib.h>

#include "bft/core.h"
#include "merkle/check.h"
#include "tests/keyed/keyed_signer.h"

enum {
    SIM_NODES_MAX = 10,
    SIM_FINALS = 512,         /* final blocks that a node keeps for those behind */
    SIM_EPOCHS_MAX = 256,
    SIM_BODY_MAX = 32,
    SIM_STACK_MAX = 512,
    SIM_EXTERNAL = 16,        /* `from` of a node that is no member: 16 + node */
};

struct sim_config {
    uint64_t seed;
    uint64_t events;
    uint32_t n;               /* members of the first epoch */
    uint32_t nodes;           /* n, and observers that CONFIGs may bring in */
    uint32_t liars;
    bool calm;                /* no loss, crash or partition, short delays: for liveness and deposition */
    bool configs;             /* CONFIGs now and then */
    bool liars_lead_on;       /* no leader loses its view for what it signed twice, before an epoch begins: the rules of voting hold alone */
    bool verbose;
    uint32_t verify_every;    /* each k-th message is verified by its signatures; 1: all */
    uint64_t rotation_blocks;
};

struct sim_stats {
    uint64_t events, delivered, lost, duplicated, delayed, crashes, unsynced_lost, partitions, lies, equivocations, forged_timeouts, refused, finals,
        views, timeouts, config_blocks, blocks, restarts, honest_deposed;
};

/* A block, content-addressed: known to the world once anybody made it. */
struct sim_block {
    struct sim_block *next;   /* in the bucket */
    struct bft_hash id;
    struct bft_header header;
    uint8_t body[SIM_BODY_MAX];
    uint32_t body_bytes;
    uint16_t held_by;         /* nodes that hold it in memory, */
    uint16_t stored_by;       /* and on disk */
    bool computed;            /* root_after and the rest */
    bool valid;
    struct bft_hash root_after;
    struct bft_hash outbox_root;
    uint64_t consumed_after;
    struct bft_config_effect config;
};

struct sim_message {
    uint32_t refs;
    struct bft_message message;
    uint8_t *certificate;     /* owned; message.block.certificate.headers points into it */
};

struct sim_final {
    uint64_t height;          /* 0: empty */
    struct sim_block *block;
    uint8_t *certificate;
    size_t certificate_bytes;
};

struct sim_persist {
    struct sim_persist *next;
    uint64_t done_us;
    struct bft_memory *memory; /* NULL: unchanged */
    struct sim_block *stores[BFT_STORES_MAX];
    uint32_t store_count;
    struct sim_block *applied; /* newest final of this update; NULL: none */
    struct bft_qc applied_qc;
    struct sim_send {
        uint8_t to;
        bool sign;
        uint64_t epoch;        /* of the sender when it was made */
        struct sim_message *message;
    } *sends;
    uint32_t send_count;
};

struct sim_node {
    struct bft_core core;
    bool up, liar, silent;
    uint32_t generation;      /* of the process: events of an older one are void */
    struct keyed_signer key;
    uint64_t skew_ms;         /* of its calendar */
    uint64_t tick_us;
    bool first_start;
    /* the disk */
    bool has_memory;
    struct bft_memory memory;
    struct sim_block *applied;
    struct bft_qc applied_qc;
    bool applied_has_qc;
    struct sim_block *stored[1024]; /* the last ones, a ring */
    uint32_t stored_count;
    struct sim_final finals[SIM_FINALS];
    struct sim_final epoch_ends[SIM_EPOCHS_MAX];
    /* the process */
    struct sim_persist *queue, *queue_end;
    struct sim_block *stack[SIM_STACK_MAX]; /* executed, not final; [0] is the last applied */
    uint32_t stack_count;
    uint64_t view_seen, epoch_seen, view_ms;
    bool waiting_dirty;
    uint64_t applied_height;
};

enum sim_event_kind { SIM_DELIVER = 1, SIM_TICK, SIM_PERSISTED, SIM_HELD, SIM_EXECUTED, SIM_START, SIM_VOTING, SIM_INPUT, SIM_FAULT, SIM_LIE };

struct sim_event {
    uint64_t at_us, sequence;
    enum sim_event_kind kind;
    uint8_t node, from;
    uint32_t generation;
    struct sim_message *message;
    struct sim_block *block;
    uint64_t epoch;
};

struct sim_world {
    struct sim_config config;
    struct sim_stats stats;
    uint64_t random[4];
    uint64_t now_us;
    uint64_t sequence;
    uint64_t trace;           /* hash of everything that happened */
    struct sim_event *heap;
    size_t heap_count, heap_room;
    struct sim_node *nodes;
    struct sim_block **buckets;
    struct sim_message *free_messages[4096];
    uint32_t free_count;
    struct signer verifier;
    struct bft_update update;
    uint32_t loss_percent, delay_ms_max, duplicate_percent;
    uint16_t side;            /* partition: nodes of one side; 0: none */
    uint64_t heal_us;         /* of the partition */
    bool healed;              /* liveness phase */
    uint64_t inputs;          /* made so far */
    uint64_t input_ms[65536]; /* when, modulo */
    struct bft_members epochs[SIM_EPOCHS_MAX];
    struct bft_limits limits;
    struct sim_block *genesis;
    uint64_t chain_height;    /* agreement: final ids by height */
    struct bft_hash *chain;
    uint8_t certificate_room[BFT_CERTIFICATE_BYTES_MAX];
    struct bft_vote *scraps;  /* votes and QCs that liars kept */
    struct bft_qc old_qcs[64];
    uint32_t old_qc_count;
    struct sim_block *recent[64]; /* blocks for liars to build on */
    uint32_t recent_count;
};

/* sim_world.c */
void sim_world_init(struct sim_world *world, const struct sim_config *config);
void sim_world_free(struct sim_world *world);
void sim_world_run(struct sim_world *world, uint64_t events);
/* All heals, then every honest node must get `blocks` further; false if that takes more than `limit_ms`. */
bool sim_world_heal(struct sim_world *world, uint64_t blocks, uint64_t limit_ms);
uint64_t sim_random(struct sim_world *world, uint64_t below);
bool sim_chance(struct sim_world *world, uint32_t percent);
void sim_schedule(struct sim_world *world, struct sim_event event);
struct sim_message *sim_message_new(struct sim_world *world, const struct bft_message *message);
void sim_message_release(struct sim_world *world, struct sim_message *message);
void sim_transmit(struct sim_world *world, uint8_t from, uint8_t to, struct sim_message *message);
struct sim_block *sim_block_find(struct sim_world *world, const struct bft_hash *id);
struct sim_block *sim_block_register(struct sim_world *world, const struct bft_header *header, const uint8_t *body, uint32_t body_bytes);
void sim_block_compute(struct sim_world *world, struct sim_block *block);
void sim_fail(const struct sim_world *world, const char *what) __attribute__((noreturn));
void sim_trace(struct sim_world *world, uint64_t value);

/* sim_node.c */
void sim_node_start(struct sim_world *world, uint8_t node);
void sim_node_crash(struct sim_world *world, uint8_t node);
void sim_node_event(struct sim_world *world, const struct sim_event *event);
uint8_t sim_node_index(const struct sim_world *world, const struct bft_members *members, uint8_t node);
void sim_node_wait(struct sim_world *world, uint8_t node);
void sim_node_body(struct sim_world *world, uint64_t demand, uint64_t epoch, uint8_t body[SIM_BODY_MAX], uint32_t *body_bytes);
void sim_node_header(struct sim_world *world, const struct sim_block *parent, const struct bft_place *place, uint64_t view, uint64_t time,
                     const uint8_t *body, uint32_t body_bytes, struct bft_header *header);

/* sim_liar.c */
bool sim_liar_send(struct sim_world *world, uint8_t node, struct sim_message *message);
void sim_liar_hears(struct sim_world *world, uint8_t node, const struct bft_message *message);
bool sim_liar_proposes(struct sim_world *world, uint8_t node, const struct bft_offer *offer);
void sim_liar_acts(struct sim_world *world, uint8_t node);

/* sim_check.c */
void sim_check_released(struct sim_world *world, uint8_t node, const struct bft_message *message);
void sim_check_final(struct sim_world *world, uint8_t node, const struct sim_block *block, const uint8_t *certificate, size_t certificate_bytes);
void sim_check_reset(void);

#endif
