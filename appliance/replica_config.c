/*
 * CONFIG and SEAL as inputs (D-3, D-4.3, O-53, S-75 ff.): handed in by a client's link or relayed by a member, judged by the CONFIG in force.
 *
 * Whoever relays one must show that it would have an effect now; what a block names is held if it only decodes, for others may hold it valid without
 * effect. It then counts against no leader and is not proposed.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/replica_private.h"
#include "protocol/admin_op.h"

enum { ADMIN_WAITING_MAX = 64 }; /* of one relay: administrators sign few, and each is long */

/* S-76, and D-32: what execution would find. */
static enum system_error effect_judge(const struct replica *r, const struct admin_op *operation) {
    enum system_error error = admin_op_verify(operation, &r->config, NULL, NULL);
    if (error != SYSTEM_OK || operation->kind != ADMIN_OP_CONFIG) return error;
    return system_limits_follow(&r->system->limits, &r->config.limits, &operation->config.limits, NULL);
}

static enum system_error judge(const struct replica *r, struct blob_piece bytes, bool *decodes, uint64_t *serial) {
    struct admin_op *operation = malloc(sizeof *operation);
    CHECK(operation != NULL);
    enum system_error error = admin_op_decode(operation, blob_piece_bytes(&bytes), bytes.count, NULL);
    *decodes = error == SYSTEM_OK;
    if (error == SYSTEM_OK) error = effect_judge(r, operation);
    *serial = operation->kind == ADMIN_OP_CONFIG || operation->kind == ADMIN_OP_SEAL ? 0 : operation->serial;
    free(operation);
    return error;
}

bool admin_take(struct replica *r, struct input *input, struct blob_piece bytes, bool named) {
    bool decodes;
    enum system_error error = judge(r, bytes, &decodes, &input->serial);
    if (!decodes || (error != SYSTEM_OK && !named)) {
        drop_count(r, DROP_ADMIN_INVALID);
        return false;
    }
    input->is_signed = error == SYSTEM_OK; /* else it has no effect; only the block that names it wants it */
    input->weight = 1;
    return true;
}

/* Is this the CONFIG that began an epoch which is known here? */
static bool is_in_force(const struct replica *r, const struct admin_op *operation) {
    uint8_t hash[32];
    if (operation->kind == ADMIN_OP_SEAL) return r->chain->sealed && memcmp(operation->hash, r->chain->operation.hash, 32) == 0;
    if (operation->kind != ADMIN_OP_CONFIG || operation->serial >= r->epoch_count) return false;
    config_hash(&operation->config, hash);
    return memcmp(hash, r->epochs[operation->serial].members.place.config_hash.bytes, 32) == 0;
}

static enum admin_code operation_hold(struct replica *r, const struct admin_op *operation, struct blob_piece bytes) {
    uint32_t index = input_find(r, operation->input_hash), count = 0;
    if (index != NONE && r->inputs[index].state != INPUT_WANTED) return ADMIN_CODE_WAITS;
    for (uint32_t at = r->waiting[r->me].first; at != NONE; at = r->inputs[at].list_next) count += r->inputs[at].kind == BODY_ADMIN;
    if (count >= ADMIN_WAITING_MAX) return ADMIN_CODE_BUSY;
    if (index == NONE) index = input_make(r, BODY_ADMIN, operation->input_hash);
    if (index == NONE) return ADMIN_CODE_BUSY;
    struct input *input = &r->inputs[index];
    input_is(input, BODY_ADMIN);
    input->relay = r->me;
    input->weight = 1;
    input->is_signed = true;
    input_hold(r, index, bytes);
    input_relay(r, input);
    if (input->in_blocks > 0) block_input_arrived(r, index);
    return ADMIN_CODE_WAITS;
}

enum admin_code admin_config_judge(const struct replica *r, const struct admin_op *operation, enum system_error *error) {
    if (is_in_force(r, operation)) return ADMIN_CODE_DONE;
    *error = effect_judge(r, operation);
    if (*error == SYSTEM_SERIAL || (*error == SYSTEM_OK && r->chain->sealed)) return ADMIN_CODE_NUMBER;
    return *error != SYSTEM_OK ? ADMIN_CODE_INVALID : ADMIN_CODE_WAITS;
}

enum admin_code admin_config_take(struct replica *r, const struct admin_op *operation, struct blob_piece bytes, enum system_error *error) {
    enum admin_code code = admin_config_judge(r, operation, error);
    return code == ADMIN_CODE_WAITS ? operation_hold(r, operation, bytes) : code;
}

void admin_judge_again(struct replica *r) {
    for (uint32_t relay = 0; relay < r->members.n; relay++) {
        uint32_t index = r->waiting[relay].first;
        while (index != NONE) {
            struct input *input = &r->inputs[index];
            uint32_t next = input->list_next;
            bool decodes;
            if (input->kind == BODY_ADMIN) {
                input->is_signed = judge(r, (struct blob_piece){.blob = input->blob, .offset = input->offset, .count = input->count}, &decodes,
                                         &input->serial) == SYSTEM_OK;
                if (!input->is_signed && input->in_blocks == 0) {
                    if (input->persisted) input_orphan(r, input->hash, r->tip_height);
                    input_free(r, index);
                }
            }
            index = next;
        }
    }
}
