#include "appliance/replica/ahead.h"

#include <stdlib.h>

#include "appliance/base/message_type.h"
#include "appliance/replica/replica_batch.h"
#include "appliance/replica/replica_private.h"
#include "bft/wire.h"
#include "merkle/check.h"
#include "protocol/batch.h"
#include "protocol/decision.h"

struct ahead_client {
    uint8_t id[32], signing_key[32];
};

struct ahead_keys {
    atomic_uint holders;
    uint8_t system_id[16];
    struct batch_limits limits;
    struct bft_members own, *pairs; /* of the newest epoch each */
    uint32_t pair_count, client_count;
    struct ahead_client *clients; /* by id */
};

struct ahead_scratch {
    struct bft_message message;
};

/* ---- keys ---- */

/* A client's key is that of its card, for good (the id is the card's hash), so that their number tells of every change; and each epoch counts. */
uint64_t ahead_stamp(const struct replica *r) {
    uint64_t stamp = r->members.place.epoch + r->client_count;
    for (uint32_t i = 0; i < r->pair_count; i++) stamp += r->pairs[i].epoch_count;
    return stamp + 1; /* never 0 */
}

static int client_order(const void *a, const void *b) {
    const struct ahead_client *left = a, *right = b;
    return memcmp(left->id, right->id, sizeof left->id);
}

struct ahead_keys *ahead_keys_take(const struct replica *r) {
    struct ahead_keys *keys = calloc(1, sizeof *keys);
    CHECK(keys != NULL);
    atomic_init(&keys->holders, 1);
    memcpy(keys->system_id, r->system->system_id, sizeof keys->system_id);
    keys->limits = replica_batch_limits(r);
    keys->own = r->members;
    keys->pairs = calloc(r->pair_count + 1, sizeof *keys->pairs);
    keys->clients = calloc(r->client_count + 1, sizeof *keys->clients);
    CHECK(keys->pairs != NULL && keys->clients != NULL);
    for (uint32_t i = 0; i < r->pair_count; i++) keys->pairs[i] = r->pairs[i].members;
    keys->pair_count = r->pair_count;
    for (uint32_t i = 0; i < r->client_count; i++) {
        memcpy(keys->clients[i].id, r->clients[i].id, 32);
        memcpy(keys->clients[i].signing_key, r->clients[i].signing_key, 32);
    }
    keys->client_count = r->client_count;
    qsort(keys->clients, keys->client_count, sizeof *keys->clients, client_order);
    return keys;
}

struct ahead_keys *ahead_keys_hold(struct ahead_keys *keys) {
    atomic_fetch_add_explicit(&keys->holders, 1, memory_order_relaxed);
    return keys;
}

void ahead_keys_drop(struct ahead_keys *keys) {
    if (keys == NULL || atomic_fetch_sub_explicit(&keys->holders, 1, memory_order_acq_rel) != 1) return;
    free(keys->pairs);
    free(keys->clients);
    free(keys);
}

/* ---- frames ---- */

/* No STATUS: the replica verifies only so many a second of each member, and who sends more is not to have them all verified here. */
bool ahead_wants(uint16_t type) {
    switch (type) {
    case MESSAGE_BATCH:
    case MESSAGE_INPUT:
    case MESSAGE_COMPACT_DECISION:
    case BFT_MESSAGE_PROPOSE:
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
    case BFT_MESSAGE_QC:
    case BFT_MESSAGE_TIMEOUT:
    case BFT_MESSAGE_TC:
    case BFT_MESSAGE_NOOP: return true;
    default: return false;
    }
}

struct ahead_scratch *ahead_scratch_make(void) {
    struct ahead_scratch *scratch = calloc(1, sizeof *scratch);
    CHECK(scratch != NULL);
    return scratch;
}

void ahead_scratch_free(struct ahead_scratch *scratch) {
    free(scratch);
}

static void batch_verify(const struct ahead_keys *keys, const struct signer *recorder, const uint8_t *bytes, size_t count) {
    struct batch batch;
    struct ahead_client wanted;
    uint8_t id[32];
    if (batch_decode(bytes, count, &keys->limits, &batch) != BATCH_OK || batch.kind != BATCH_WRITE) return;
    memcpy(wanted.id, batch.client_id, sizeof wanted.id);
    const struct ahead_client *client = bsearch(&wanted, keys->clients, keys->client_count, sizeof wanted, client_order);
    if (client == NULL) return;
    batch_id(&batch, id);
    bool good = batch_signature_valid(&batch, id, keys->system_id, client->signing_key, recorder);
    (void)good; /* the replica asks again, and hears the same */
}

static void decision_look(const struct ahead_keys *keys, const struct signer *recorder, const uint8_t *bytes, size_t count) {
    struct decision decision;
    if (decision_decode(bytes, count, &decision) != DECISION_OK) return;
    for (uint32_t i = 0; i < keys->pair_count; i++) {
        const struct bft_members *members = &keys->pairs[i];
        if (members->place.cluster != decision.leaf.source) continue;
        if (members->place.epoch != decision.certificate.qc.ballot.place.epoch) return;
        enum bft_verify_error error = bft_certificate_verify(members, recorder, &decision.certificate, NULL, NULL);
        (void)error; /* likewise */
        return;
    }
}

static void consensus_look(const struct ahead_keys *keys, struct ahead_scratch *scratch, const struct signer *recorder, uint16_t type,
                           const uint8_t *bytes, size_t count) {
    if (bft_wire_decode(type, bytes, count, &scratch->message) != BFT_WIRE_OK) return;
    enum bft_verify_error error = bft_message_verify(&keys->own, recorder, &scratch->message, NULL, 0);
    (void)error; /* likewise */
}

void ahead_verify(const struct ahead_keys *keys, struct ahead_scratch *scratch, const struct signer *recorder, uint16_t type, const uint8_t *bytes,
                  size_t count) {
    if (type == MESSAGE_BATCH) {
        batch_verify(keys, recorder, bytes, count);
    } else if (type == MESSAGE_INPUT) {
        if (count > INPUT_HEAD_BYTES && bytes[0] == BODY_BATCH) batch_verify(keys, recorder, bytes + INPUT_HEAD_BYTES, count - INPUT_HEAD_BYTES);
        if (count > INPUT_HEAD_BYTES && bytes[0] == BODY_SLICE) decision_look(keys, recorder, bytes + INPUT_HEAD_BYTES, count - INPUT_HEAD_BYTES);
    } else if (type == MESSAGE_COMPACT_DECISION) {
        decision_look(keys, recorder, bytes, count);
    } else if (ahead_wants(type)) {
        consensus_look(keys, scratch, recorder, type, bytes, count);
    }
}
