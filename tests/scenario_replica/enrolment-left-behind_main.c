/*
 * Administrators signed two enrolments with number 1 (S-78), and one with number 2 after each. What follows the one that does not count has the next
 * number, good signatures, and never an effect: a member that lies brings it to all, again and again, and no honest leader's block has it (O-53).
 */
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "tests/scenario_replica/replica_scenario.h"

static void change(struct replica_world *rw, struct admin_op *op, uint64_t serial, const uint8_t predecessor[32], uint32_t client) {
    memset(op, 0, sizeof *op);
    op->kind = ADMIN_OP_CHANGE;
    memcpy(op->system_id, rw->world->system.system_id, 16);
    op->serial = serial;
    memcpy(op->predecessor, predecessor, 32);
    memcpy(op->client_id, rw->world->clients[client].card.id, 32);
    op->rights_count = 1;
    op->rights[0] = (struct system_right){.flags = 3};
}

int main(int argc, char **argv) {
    static struct admin_op counts, other, after;
    static uint8_t input[4 + ADMIN_OP_BYTES_MAX];
    struct replica_world *rw = rw_create_prepared(rs_begin(argc, argv, "O-53, S-78"), rs_administrators);
    struct operation put = op_put("key", "1");
    rw_run(rw, 300);
    change(rw, &counts, 1, rw->world->system.file_hash, 1);
    change(rw, &other, 1, rw->world->system.file_hash, 2);
    (void)admin_op_encode(&other, input + 4);
    change(rw, &after, 2, other.hash, 3);
    (void)admin_op_encode(&after, input + 4); /* sets the hash that is signed */
    fixture_sign(rs_fixture(), &after, 2);
    rs_must(rw, rs_hand_in(rw, 1, &counts, 2) == RS_WAITS, "the one that counts waits for its block");
    for (uint32_t i = 0; i < 100 && rw_status(rw, 0)->enrolment < 1; i++) rw_run(rw, 20);
    rs_must(rw, rw_status(rw, 0)->enrolment == 1, "it is decided");
    rw_run(rw, 500);
    memcpy(input, (const uint8_t[4]){BODY_ADMIN, 3, 0, 0}, 4);
    size_t bytes = 4 + admin_op_encode(&after, input + 4);
    uint64_t decided = rw_status(rw, 0)->inputs_decided, dropped = rw_status(rw, 0)->drops[DROP_ADMIN_LATE];
    for (uint32_t i = 0; i < 20; i++) {
        for (uint32_t node = 0; node < 3; node++)
            rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, node, MESSAGE_INPUT, input, bytes);
        rw_run(rw, 100);
    }
    rs_must(rw, rw_status(rw, 0)->inputs_decided == decided, "nothing of it is decided");
    rs_must(rw, rw_status(rw, 0)->drops[DROP_ADMIN_LATE] == dropped + 20, "it is dropped each time, and counted");
    rs_must(rw, rs_write(rw, 1, &put, 8000) == CODE_OK && rw_status(rw, 0)->view_changes == 0, "the leader stays, and writes are done");
    return rs_end(rw);
}
