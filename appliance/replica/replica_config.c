/*
 * Administrators' operations as inputs (D-3, D-4.3, O-53, S-75 ff.), judged by the CONFIG in force and by final state; CONFIG and SEAL that a
 * client's link hands in. (Enrolments from there: replica_admin.c.)
 *
 * Whoever relays one must show that it would have an effect now or, of an enrolment, may have one when its turn comes; what a block names is held if
 * it only decodes, for others may hold it valid without effect. It then counts against no leader and is not proposed. So of what k administrators
 * signed and final state has left behind (another predecessor, a client that is not there), nothing gets into an honest leader's blocks, however
 * often and under however many sets of signatures a relay brings it.
 *
 * With m administrators and k to sign, one operation has as many good sets of signatures as there are ways to choose k and more of m, and whoever
 * has all signatures can make them all. Each has the effect that any other has; so of each relay one set waits, and a relay, or a client at its
 * link, fills neither the pool nor an honest leader's blocks with the others.
 *
 * That nodes judge at different moments endangers nothing. What no block names is wanted by nobody's vote, and what one names is fetched and held
 * whatever this judgement was. Nor is an honest leader deposed by it: whether an enrolment is the next one, and fits, hangs on the final state after
 * the one before, the same everywhere; and a leader that is a final block behind, so that it refuses what others take already, is handed it once
 * more by each of the others that took it (waiting_counts) before any of them may miss it.
 *
 * An operation may lie in a final block and have had no effect: a leader that lies names it before its turn. It is then DONE here, which is a memory
 * of this node and a rule of nobody, and keeps off only what it was decided for; so when it would have an effect now, it is let go of and taken once
 * more (admin_return). It counts once all the same: whether it has an effect is judged by the state in which it is executed (S-76, S-78), and the
 * first time that it has one, its serial or number has passed for good. Nobody gains by repeating it: an enrolment that is early waits for its turn
 * like any other, and what had its effect, or can have none, is a duplicate. Its bytes lie in the store under one key for both blocks, and go when
 * neither the pool nor a block that is kept has it (recovery_prune).
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "protocol/admin_op.h"

enum { ADMIN_WAITING_MAX = 64 }; /* of one relay: administrators sign few, and each is long */

/* S-76, and D-32: what execution would find. */
static enum system_error effect_judge(const struct replica *r, const struct admin_op *operation) {
    enum system_error error = admin_op_verify(operation, &r->config, NULL, NULL);
    if (error != SYSTEM_OK || operation->kind != ADMIN_OP_CONFIG) return error;
    return system_limits_follow(&r->system->limits, &r->config.limits, &operation->config.limits, NULL);
}

static bool is_of_config(const struct admin_op *operation) {
    return operation->kind == ADMIN_OP_CONFIG || operation->kind == ADMIN_OP_SEAL;
}

struct judgement {
    bool decodes;
    bool is_signed;  /* well enough, and what else of its effect hangs on the CONFIG in force */
    bool has_use;    /* besides: final state has not left it behind */
    uint64_t serial; /* of an enrolment; else 0 */
    uint64_t operation;
};

static struct judgement judge(const struct replica *r, struct blob_piece bytes) {
    struct admin_op *operation = malloc(sizeof *operation);
    CHECK(operation != NULL);
    struct judgement found = {.decodes = admin_op_decode(operation, blob_piece_bytes(&bytes), bytes.count, NULL) == SYSTEM_OK};
    if (found.decodes) {
        found.serial = is_of_config(operation) ? 0 : operation->serial;
        found.operation = bytes_get_le64(operation->hash);
        found.is_signed = effect_judge(r, operation) == SYSTEM_OK;
        found.has_use = found.is_signed && (is_of_config(operation) ? !r->chain->sealed : admin_enrolment_fits(r, operation));
    }
    free(operation);
    return found;
}

bool admin_take(struct replica *r, struct input *input, struct blob_piece bytes, bool named) {
    struct judgement found = judge(r, bytes);
    if (!found.decodes || (!found.is_signed && !named)) {
        drop_count(r, DROP_ADMIN_INVALID);
        return false;
    }
    input->serial = found.serial;
    input->operation = found.operation;
    input->is_signed = found.has_use; /* else it has no effect; only the block that names it wants it */
    input->weight = 1;
    return true;
}

bool admin_waits(const struct replica *r, uint32_t relay, uint64_t operation) {
    for (uint32_t index = r->waiting[relay].first; index != NONE; index = r->inputs[index].list_next) {
        const struct input *input = &r->inputs[index];
        if (input->kind == BODY_ADMIN && input->is_signed && input->operation == operation) return true;
    }
    return false;
}

/* Cheap, and true of nearly all that comes again: it had its effect, or another had that has its place. */
static bool has_passed(const struct replica *r, struct blob_piece bytes) {
    uint64_t serial = bytes_get_le64(blob_piece_bytes(&bytes) + ADMIN_OP_SERIAL_AT);
    uint8_t kind = blob_piece_bytes(&bytes)[0];
    bool of_config = kind == ADMIN_OP_CONFIG || kind == ADMIN_OP_SEAL;
    return serial <= (of_config ? r->config.members.serial : r->enrolment.serial);
}

bool admin_return(struct replica *r, uint32_t index, struct blob_piece bytes) {
    struct input *input = &r->inputs[index];
    if (input->kind != BODY_ADMIN || input->state != INPUT_DONE || input->in_blocks > 0) return false;
    if (has_passed(r, bytes) || !judge(r, bytes).has_use) return false;
    input_drop(r, index, input->decided_height);
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

bool admin_config_full(const struct replica *r) {
    uint32_t count = 0;
    for (uint32_t at = r->waiting[r->me].first; at != NONE; at = r->inputs[at].list_next) count += r->inputs[at].kind == BODY_ADMIN;
    return count >= ADMIN_WAITING_MAX;
}

enum admin_code admin_config_judge(const struct replica *r, const struct admin_op *operation, enum system_error *error) {
    if (is_in_force(r, operation)) return ADMIN_CODE_DONE;
    *error = effect_judge(r, operation);
    if (*error == SYSTEM_SERIAL || (*error == SYSTEM_OK && r->chain->sealed)) return ADMIN_CODE_NUMBER;
    return *error != SYSTEM_OK ? ADMIN_CODE_INVALID : ADMIN_CODE_WAITS;
}

void admin_judge_again(struct replica *r) {
    for (uint32_t relay = 0; relay < r->members.n; relay++) {
        uint32_t index = r->waiting[relay].first;
        while (index != NONE) {
            struct input *input = &r->inputs[index];
            uint32_t next = input->list_next;
            if (input->kind == BODY_ADMIN) {
                input->is_signed = judge(r, (struct blob_piece){.blob = input->blob, .offset = input->offset, .count = input->count}).has_use;
                if (!input->is_signed && input->in_blocks == 0) input_drop(r, index, r->tip_height);
            }
            index = next;
        }
    }
}
