/*
 * The transfer machine alone: three members serve a state from memory, a fourth takes it; frames go from one to the other in steps of 5 ms, bent or
 * made up where a test wants it. SEED chooses the dice.
 */
#ifndef TESTS_APPLIANCE_TRANSFER_WORLD_H
#define TESTS_APPLIANCE_TRANSFER_WORLD_H

#include "appliance/transfer/transfer.h"
#include "tests/keyed/keyed_signer.h"

enum { TW_N = 4, TW_TAKER = 3, TW_CLUSTER = 0x00020000, TW_K = 16, TW_MAIL_MAX = 4096, TW_BLOBS_MAX = 4, TW_STATES_MAX = 24 };
enum { TW_OWN_BYTES = 64 << 20 };

struct tw_leaf {
    uint8_t path[32];
    struct table_entry entry;
};

struct tw_blob {
    char name[STATE_BLOB_NAME_BYTES + 1];
    uint8_t *bytes;
    size_t count;
};

struct tw_state {
    struct tw_leaf *leaves; /* ascending */
    size_t count, room;
    struct state_checkpoint about;
    struct tw_blob blobs[TW_BLOBS_MAX];
    uint32_t blob_count;
};

struct tw_mail {
    uint8_t from, to;
    uint16_t type;
    struct blob *blob;
};

struct transfer_world {
    struct system system;
    struct system_limits limits;
    struct system_timeouts timeouts;
    struct bft_members members;
    struct keyed_signer keys[TW_N];
    struct transfer *nodes[TW_N];
    struct tw_state states[TW_STATES_MAX]; /* one after the other; helpers serve the newest when it is told */
    uint32_t newest;
    struct tw_state taken;
    bool taken_any;
    struct tw_mail mail[TW_MAIL_MAX];
    uint32_t mail_count;
    uint64_t now_ms, dice;
    bool done;
    uint32_t bad_count;
    uint16_t bad_members;
    uint32_t pieces; /* entries that were answered */
    uint32_t bend;   /* member whose pieces are bent, TW_N: none */
    uint32_t makes_up; /* each checkpoint of member 0 becomes so many answers with manifests that it made up; it gives no piece */
    uint64_t made_up;
    bool silent, busy; /* member 0 shows what it has and gives no piece */
    bool paid; /* what the last asked_by() was answered is paid for by the share */
    uint32_t commits;
    struct blob *evidence; /* the items of what came last; NULL: none */
    uint32_t evidence_count;
    uint8_t evidence_member;
    uint64_t cut_kept_bytes; /* what each cut says that it keeps from being written again; its own size is TW_OWN_BYTES */
};
extern struct transfer_world tw;

void tw_state_put(struct tw_state *state, const struct state_write *write);
/* One of the blobs of a checkpoint. A state that has none gets empty ones when it is certified. */
void tw_blob_put(struct tw_state *state, const char *name, const uint8_t *bytes, size_t count);
uint64_t tw_dice(uint64_t sides);
void tw_node_open(uint8_t member);
void tw_state_certify(uint32_t at);
void tw_world_open(void);
void tw_world_close(void);
void tw_key_put(struct tw_state *state, const void *key, size_t key_bytes, uint32_t value_bytes, uint64_t version);
void tw_state_fill(struct tw_state *state, uint32_t keys, uint32_t value_bytes);
void tw_state_copy(uint32_t from, uint32_t to);
void tw_state_serve(uint32_t at);
void tw_step(void);
void tw_run_until_done(uint32_t steps);
void tw_taken_is(uint32_t at);

#endif
