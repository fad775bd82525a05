/*
 * A CONFIG comes with one administrator's signature where two are needed (S-75), by a client's link and by a member that relays it: it begins no
 * epoch. With the second one it does.
 */
#include "tests/scenario_replica/replica_scenario.h"

#include "appliance/replica/replica_private.h"

int main(int argc, char **argv) {
    static struct rw_script script;
    static struct admin_op op;
    static uint8_t input[4 + ADMIN_OP_BYTES_MAX];
    struct replica_world *rw = rw_create_prepared(rs_begin(argc, argv, "S-75"), rs_administrators);
    rw_script_begin(&script, rw);
    rs_must(rw, rw_adds(&script, 1), "a write is done");
    rw_config_next(&script.coordinator, &op);
    op.config.timeouts.view_base_ms = 777;
    rs_must(rw, rs_hand_in(rw, 1, &op, 1) == RS_INVALID, "one signature is not enough");
    memcpy(input, (const uint8_t[4]){BODY_ADMIN, 3, 0, 0}, 4);
    size_t bytes = 4 + admin_op_encode(&op, input + 4);
    for (uint32_t node = 0; node < 3; node++)
        rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, node, MESSAGE_INPUT, input, bytes);
    rw_run(rw, 2000);
    rs_must(rw, rw_adds(&script, 2) && rw_epoch_wait(rw, COORDINATOR_CLUSTER_BASE, 0, 1000), "no epoch begins");
    rs_must(rw, rs_hand_in(rw, 2, &op, 2) == RS_WAITS, "with the second it waits for its block");
    rs_must(rw, rw_epoch_wait(rw, COORDINATOR_CLUSTER_BASE, 1, 20000), "the epoch begins");
    rs_must(rw, rw_adds(&script, 2) && rw_sum_is_right(&script), "each write counted once");
    return rs_end(rw);
}
