/*
 * Enrolments at a node (O-53, O-54, S-78): handed in by a client's link, held as inputs, proposed in the order of their numbers; and what the node
 * keeps of the clients that final state knows.
 *
 * What counts is always final state: a client is let in when its enrolment is final here, and shut out when its revocation is. A number that final
 * state has passed never has an effect again (D-4.3), so such an operation is neither taken from a client nor proposed, and no leader is judged by
 * it: otherwise whoever kept old operations could have an honest leader look slow. Nor one that names another predecessor than its number has by now,
 * or that D-32 refuses in this very state. One that came before its turn and was decided without effect may come again under the same hash
 * (admin_return): a liar that is early takes nobody's number away.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_batch.h"
#include "appliance/replica/replica_private.h"
#include "protocol/admin_op.h"

enum { NONCE_BYTES = 8, STATE_BYTES = 76 };

bool admin_is_next(const struct replica *r, const struct input *input) {
    return input->serial == 0 || input->serial == r->enrolment.serial + 1;
}

/* ---- batches of clients that are not known here yet ---- */

/* Each relay has a few places; its newest batches stay. */
void early_keep(struct replica *r, uint8_t relay, struct blob_piece bytes) {
    struct early *places = &r->early[relay * EARLY_PER_RELAY], *place = places;
    if (bytes.count > EARLY_BYTES_MAX) return;
    for (uint32_t i = 0; i < EARLY_PER_RELAY && place->bytes.blob != NULL; i++) {
        if (places[i].bytes.blob == NULL || places[i].order < place->order) place = &places[i];
    }
    blob_drop(place->bytes.blob);
    struct blob *copy = blob_copy(blob_piece_bytes(&bytes), bytes.count);
    *place = (struct early){.bytes = {.blob = copy, .count = copy->count}, .order = ++r->early_order};
}

void early_free(struct replica *r) {
    for (uint32_t i = 0; i < EARLY_MAX; i++) blob_drop(r->early[i].bytes.blob);
    memset(r->early, 0, sizeof r->early);
}

static void early_take(struct replica *r) {
    struct early waiting[EARLY_MAX];
    memcpy(waiting, r->early, sizeof waiting);
    memset(r->early, 0, sizeof r->early);
    for (uint32_t i = 0; i < EARLY_MAX; i++) {
        if (waiting[i].bytes.blob == NULL) continue;
        uint8_t relay = (uint8_t)(i / EARLY_PER_RELAY);
        uint32_t index;
        (void)input_take(r, BODY_BATCH, relay, waiting[i].bytes, peer_member(relay), &index);
        blob_drop(waiting[i].bytes.blob);
    }
}

/* ---- what final state says ---- */

/* An enrolment that is held: its number has passed, or it is the next one and follows another than that which counts (S-78). */
static bool is_left_behind(const struct replica *r, const struct input *input) {
    if (input->kind != BODY_ADMIN || input->serial == 0 || input->serial > r->enrolment.serial + 1) return false;
    const uint8_t *predecessor = input->blob->bytes + input->offset + ADMIN_OP_PREDECESSOR_AT;
    return input->serial <= r->enrolment.serial || memcmp(predecessor, r->enrolment.hash, 32) != 0;
}

/* What waits and has lost its turn goes, at once or with the last block that names it. (What else D-32 would refuse of the next one is left to its
 * block: there are no more such than administrators signed, and each is decided once.) */
static void waiting_sweep(struct replica *r) {
    for (uint32_t relay = 0; relay < r->members.n; relay++) {
        for (uint32_t index = r->waiting[relay].first; index != NONE;) {
            uint32_t next = r->inputs[index].list_next;
            struct input *input = &r->inputs[index];
            if (is_left_behind(r, input)) {
                input->is_signed = false;
                if (input->in_blocks == 0) input_drop(r, index, r->tip_height);
            }
            index = next;
        }
    }
}

bool replica_restore_client(struct replica *r, const struct table_entry *entry) {
    if (!executor_is_client_record(entry)) return true;
    if (entry->key[0] == 'e') return executor_enrolment_read(entry->value, entry->value_bytes, &r->enrolment);
    if (entry->key[0] == 'w') { /* a shard: it knows those of the system file alone */
        uint32_t index = client_find(r, entry->key + 1);
        if (index != NONE) client_close(r, index);
        return true;
    }
    struct exec_client client;
    return executor_client_read(entry->value, entry->value_bytes, &client) && client_put(r, entry->key + 1, &client) != NONE;
}

void admin_follow(struct replica *r, const struct blob *clients) {
    uint64_t before = r->enrolment.serial;
    uint32_t known = r->client_count;
    struct table_entry entry;
    for (size_t at = 0; execution_client_next(clients, &at, &entry);) CHECK(replica_restore_client(r, &entry)); /* the executor's own words */
    if (r->enrolment.serial != before) {
        waiting_sweep(r);
        replica_note(r, LOG_LEVEL_INFO, "enrolment", "number=%llu clients=%u", (unsigned long long)r->enrolment.serial, r->enrolment.clients);
    }
    if (r->client_count != known) early_take(r);
}

/* ---- from clients ---- */

/* D-32, as far as final state shows it. */
static bool client_fits(const struct replica *r, const struct admin_op *op) {
    uint32_t index = client_find(r, op->client_id);
    if (op->kind != ADMIN_OP_ENROL) return index != NONE && !r->clients[index].revoked;
    if (index != NONE || r->enrolment.clients >= r->config.limits.clients_max) return false;
    for (uint32_t i = 0; i < r->client_count; i++) {
        if (memcmp(r->clients[i].signing_key, op->client.signing_key, 32) == 0 || memcmp(r->clients[i].noise_key, op->client.noise_key, 32) == 0)
            return false;
    }
    return true;
}

bool admin_enrolment_fits(const struct replica *r, const struct admin_op *op) {
    if (!r->is_coordinator) return false; /* D-32 */
    if (op->serial > r->enrolment.serial + 1) return true;
    return admin_op_follows(op, r->enrolment.serial, r->enrolment.hash, NULL) == SYSTEM_OK && client_fits(r, op);
}

/* WAITS: it is to be held. Cheap checks come first, signatures last. */
static enum admin_code operation_judge(const struct replica *r, struct admin_op *op, enum system_error *error) {
    *error = memcmp(op->system_id, r->system->system_id, sizeof op->system_id) == 0 ? SYSTEM_OK : SYSTEM_FOREIGN;
    if (*error != SYSTEM_OK) return ADMIN_CODE_INVALID;
    if (op->serial == r->enrolment.serial && memcmp(op->hash, r->enrolment.hash, 32) == 0) return ADMIN_CODE_DONE;
    if (admin_op_follows(op, r->enrolment.serial, r->enrolment.hash, NULL) != SYSTEM_OK) return ADMIN_CODE_NUMBER;
    *error = admin_op_verify(op, &r->config, NULL, NULL);
    if (*error != SYSTEM_OK) return ADMIN_CODE_INVALID;
    return client_fits(r, op) ? ADMIN_CODE_WAITS : ADMIN_CODE_CLIENT;
}

static bool enrolments_full(const struct replica *r, const struct blob_piece *bytes) {
    return relay_is_full(r, r->me, bytes->count, 2);
}

static enum admin_code operation_hold(struct replica *r, const struct admin_op *op, bool of_config, struct blob_piece bytes) {
    uint32_t index = input_find(r, op->input_hash);
    if (index != NONE && admin_return(r, index, bytes)) index = NONE;
    if (index != NONE && r->inputs[index].state != INPUT_WANTED) return ADMIN_CODE_WAITS;
    if (index == NONE && admin_waits(r, r->me, bytes_get_le64(op->hash))) return ADMIN_CODE_WAITS;
    if (of_config ? admin_config_full(r) : enrolments_full(r, &bytes)) return ADMIN_CODE_BUSY;
    if (index == NONE) index = input_make(r, BODY_ADMIN, op->input_hash);
    if (index == NONE) return ADMIN_CODE_BUSY;
    struct input *input = &r->inputs[index];
    input_is(input, BODY_ADMIN);
    input->relay = r->me;
    input->serial = of_config ? 0 : op->serial;
    input->operation = bytes_get_le64(op->hash);
    input->weight = 1;
    input->is_signed = true;
    input_hold(r, index, bytes);
    input_relay(r, input);
    if (input->in_blocks > 0) block_input_arrived(r, index);
    return ADMIN_CODE_WAITS;
}

static enum admin_code operation_take(struct replica *r, struct blob_piece bytes, enum system_error *error) {
    *error = SYSTEM_OK;
    if (r->draining || (!last_is_answered(r) && !epoch_is_sealed(r))) return ADMIN_CODE_BUSY;
    struct admin_op *op = malloc(sizeof *op);
    CHECK(op != NULL);
    enum admin_code code = ADMIN_CODE_INVALID;
    *error = admin_op_decode(op, blob_piece_bytes(&bytes), bytes.count, NULL);
    bool decodes = *error == SYSTEM_OK, of_config = decodes && (op->kind == ADMIN_OP_CONFIG || op->kind == ADMIN_OP_SEAL);
    if (of_config) {
        code = admin_config_judge(r, op, error);
    } else if (decodes) {
        code = r->is_coordinator ? operation_judge(r, op, error) : ADMIN_CODE_ELSEWHERE;
    }
    if (code == ADMIN_CODE_WAITS) code = operation_hold(r, op, of_config, bytes);
    free(op);
    return code;
}

void admin_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    if (payload.count < NONCE_BYTES || from.index >= r->client_count || r->clients[from.index].revoked) {
        drop_count(r, DROP_MALFORMED);
        return;
    }
    if (!question_allowed(r, &r->clients[from.index].rate)) return;
    struct blob_piece bytes = {.blob = payload.blob, .offset = payload.offset + NONCE_BYTES, .count = payload.count - NONCE_BYTES};
    enum system_error error = SYSTEM_OK;
    enum admin_code code = r->is_coordinator ? ADMIN_CODE_STATE : ADMIN_CODE_ELSEWHERE;
    if (type == MESSAGE_ANNOUNCE) code = observe_take(r, bytes, &error);
    else if (bytes.count > 0) code = operation_take(r, bytes, &error);
    if (code > ADMIN_CODE_DONE) drop_count(r, DROP_ADMIN_REFUSED);
    struct blob *answer = blob_make(STATE_BYTES);
    struct bytes_writer writer = bytes_writer_of(answer->bytes, answer->count);
    bytes_put_raw(&writer, blob_piece_bytes(&payload), NONCE_BYTES);
    bytes_put_u8(&writer, (uint8_t)code);
    bytes_put_u8(&writer, code == ADMIN_CODE_INVALID ? (uint8_t)error : 0);
    bytes_put_u16(&writer, 0);
    bytes_put_u32(&writer, r->enrolment.clients);
    bytes_put_u32(&writer, r->config.limits.clients_max);
    bytes_put_u64(&writer, r->enrolment.serial);
    bytes_put_hash(&writer, r->enrolment.hash);
    bytes_put_u64(&writer, r->tip_height);
    bytes_put_u32(&writer, r->cluster);
    bytes_put_u32(&writer, 0);
    CHECK(!writer.failed && writer.used == STATE_BYTES);
    output_send_blob(r, from, MESSAGE_ADMIN_STATE, answer);
}
