/*
 * Limits and time-outs of a cluster: names, types, defaults, ranges (spec/system.md 7.4, rules S-40 to S-43).
 *
 * The two lists below are the one source: struct fields, JSON names, order in the binary form (each value as u64), defaults and ranges all come from
 * them. They are fixed at genesis by the system file and changed by CONFIG, per cluster. A value outside of its range makes the file or CONFIG
 * invalid.
 */
#ifndef PROTOCOL_SYSTEM_LIMITS_H
#define PROTOCOL_SYSTEM_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/system_error.h"

/* X(type, name, default, lowest, highest) */
#define SYSTEM_LIMITS(X) \
    X(uint32_t, window_blocks, 4, 1, 16)                              /* W: heights prepared beyond the committed one */ \
    X(uint32_t, checkpoint_blocks, 1024, 16, 1048576)                 /* K: a checkpoint at each height divisible by it */ \
    X(uint32_t, rotation_blocks, 10000, 16, 1000000000)               /* R: a leader's decisions before the next one's turn */ \
    X(uint32_t, key_bytes_max, 256, 32, 256) \
    X(uint32_t, value_bytes_max, 65536, 32, 65536) \
    X(uint64_t, table_keys_max, 16777216, 1024, 4294967296)           /* per shard */ \
    X(uint64_t, table_bytes_max, 8589934592, 1048576, 1099511627776)  /* declared: per key, key + value + 64 */ \
    X(uint32_t, batch_bytes_max, 1048576, 131072, 8388608)            /* a client batch, signature included */ \
    X(uint32_t, batch_ops_max, 16384, 1, 262144) \
    X(uint32_t, batch_parts_max, 256, 1, 4096)                    /* shard parts of one batch */ \
    X(uint32_t, slice_bytes_max, 4194304, 1048576, 16777216) \
    X(uint32_t, slice_ops_max, 65536, 16, 1048576) \
    X(uint32_t, block_refs_max, 1024, 16, 16384)                      /* references in a body */ \
    X(uint64_t, block_input_bytes_max, 16777216, 2097152, 268435456)  /* bytes behind the references of one body */ \
    X(uint32_t, number_window, 1024, 16, 65536)                       /* w: numbers beyond the floor, per client and shard */ \
    X(uint32_t, record_bytes_max, 1048576, 65536, 67108864)          /* recorded outcomes, per client and shard */ \
    X(uint32_t, credit_ops, 262144, 1024, 16777216)                  /* C: unanswered operations, per coordinator and shard */ \
    X(uint64_t, credit_bytes, 268435456, 1048576, 17179869184)/* answer bytes reserved, per coordinator and shard */ \
    X(uint32_t, read_bytes_default, 1024, 0, 65536)                   /* accepted by a read that states nothing */ \
    X(uint32_t, due_blocks, 2, 1, 64)                                 /* D: an item waits at most so many blocks for its slice */ \
    X(uint32_t, enough_ops, 8192, 1, 1048576)                         /* a slice is sent at once with so many operations */ \
    X(uint32_t, enough_bytes, 1048576, 1024, 16777216) \
    X(uint64_t, unacked_bytes_max, 67108864, 1048576, 17179869184)    /* consumed bytes at which an acknowledgement goes alone */ \
    X(uint64_t, relay_bytes_max, 33554432, 8388608, 4294967296)     /* B: inputs kept per relay that no final block consumed */ \
    X(uint32_t, answer_blocks_kept, 4096, 16, 1048576)                /* blocks whose answers a coordinator node keeps for re-sending */ \
    X(uint32_t, clients_max, 65536, 16, 1048576)                      /* on record, revoked ones too */ \
    X(uint32_t, throughput_percent, 35, 1, 90)                        /* of the decaying best: below it the leader is slow */ \
    X(uint32_t, queue_policy, 0, 0, 1)                                /* 0: due and enough (D-18); 1: every pair in every block, as the paper */ \
    X(uint32_t, link_version_min, 1, 1, 65535) \
    X(uint32_t, link_version_max, 1, 1, 65535) \
    X(uint32_t, aead_allowed, 1, 1, 3)                                /* bit 0 ChaCha20-Poly1305 (always), bit 1 AES-256-GCM */

#define SYSTEM_TIMEOUTS(X) \
    X(uint32_t, view_base_ms, 1000, 50, 60000)                        /* T: a view's first time-out; doubles per view */ \
    X(uint32_t, view_max_ms, 60000, 1000, 3600000)                    /* the doubling ends here */ \
    X(uint32_t, input_relay_ms, 1000, 50, 60000)                      /* an input may cause a TIMEOUT so long after I relayed it */ \
    X(uint32_t, throughput_window_ms, 1000, 100, 60000)               /* over which throughput is measured */ \
    X(uint32_t, throughput_half_life_ms, 60000, 1000, 3600000)        /* of the decaying best */ \
    X(uint32_t, due_ms, 10, 1, 10000)                                 /* an item waits at most so long for its slice, header time */ \
    X(uint32_t, t_idle_ms, 1000, 50, 3600000)                     /* T_idle: a receiver asks for the newest dseq */ \
    X(uint32_t, time_ahead_ms, 1000, 1000, 1000)                      /* a header's time beyond a voter's estimate; fixed in edition 1 */ \
    X(uint32_t, handshake_ms, 5000, 100, 60000)                       /* a half-open link */ \
    X(uint32_t, link_ping_ms, 2000, 100, 60000) \
    X(uint32_t, link_idle_ms, 10000, 500, 600000)                     /* without a valid frame: closed */ \
    X(uint32_t, reconnect_min_ms, 50, 10, 10000) \
    X(uint32_t, reconnect_max_ms, 5000, 100, 600000) \
    X(uint32_t, fetch_ms, 200, 10, 60000)                             /* then the next peer is asked */ \
    X(uint32_t, source_slow_ms, 1000, 50, 60000)                      /* a subscriber turns to another source node */ \
    X(uint32_t, last_signed_ms, 500, 50, 60000)                       /* LAST-SIGNED is asked again */

#define SYSTEM_FIELD(type, name, standard, lowest, highest) type name;
struct system_limits {
    SYSTEM_LIMITS(SYSTEM_FIELD)
};
struct system_timeouts {
    SYSTEM_TIMEOUTS(SYSTEM_FIELD)
};
#undef SYSTEM_FIELD

#define SYSTEM_COUNT(type, name, standard, lowest, highest) +1
enum { SYSTEM_LIMITS_COUNT = 0 SYSTEM_LIMITS(SYSTEM_COUNT), SYSTEM_TIMEOUTS_COUNT = 0 SYSTEM_TIMEOUTS(SYSTEM_COUNT) };
#undef SYSTEM_COUNT

/* One row of either list, for tools, encoders and tests. */
struct system_limit_row {
    const char *name;
    uint64_t standard, lowest, highest;
    size_t offset; /* in the struct */
    size_t bytes;  /* 4 or 8 */
};
extern const struct system_limit_row system_limit_rows[SYSTEM_LIMITS_COUNT];
extern const struct system_limit_row system_timeout_rows[SYSTEM_TIMEOUTS_COUNT];

uint64_t system_limit_get(const void *base, const struct system_limit_row *row);

/* D-32: may a CONFIG with the limits `next` follow one with `in_force`, in a system whose file says `file`? Else SYSTEM_LIMITS_CONFLICT. */
enum system_error system_limits_follow(const struct system_limits *file, const struct system_limits *in_force, const struct system_limits *next,
                                       struct system_fault *fault) __attribute__((warn_unused_result));
/* The value must fit the field (a row's highest always does). */
void system_limit_set(void *base, const struct system_limit_row *row, uint64_t value);

void system_limits_default(struct system_limits *limits);
void system_timeouts_default(struct system_timeouts *timeouts);

/* Each range (S-40), and the relations of S-42 between the values, which system_limits.c lists. */
enum system_error system_limits_check(const struct system_limits *limits, struct system_fault *fault) __attribute__((warn_unused_result));
enum system_error system_timeouts_check(const struct system_timeouts *timeouts, struct system_fault *fault) __attribute__((warn_unused_result));

#endif
