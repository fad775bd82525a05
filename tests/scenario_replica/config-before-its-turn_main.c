/*
 * A leader that lies has the CONFIG after the next one decided first (O-53, S-76): it has no effect, since what it follows is not in force, and lies
 * in a final block from then on. When its turn has come, administrators hand in the very same file: it takes effect at once.
 */
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "tests/scenario_replica/replica_scenario.h"

/* In a final block at all coordinators, which hold it for no block any more. */
static bool is_decided(const struct replica_world *rw, const uint8_t hash[32]) {
    uint32_t done = 0;
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        const struct replica *replica = rw->nodes[node].replica;
        uint32_t index = input_find(replica, hash);
        done += index != NONE && replica->inputs[index].state == INPUT_DONE && replica->inputs[index].in_blocks == 0;
    }
    return done == RW_CLUSTER;
}

int main(int argc, char **argv) {
    static struct rw_script script;
    static struct admin_op first, second;
    static struct config in_force;
    static uint8_t input[4 + ADMIN_OP_BYTES_MAX];
    struct replica_world *rw = rw_create_prepared(rs_begin(argc, argv, "O-53, S-76"), rs_administrators);
    rw_script_begin(&script, rw);
    rs_must(rw, rw_adds(&script, 1), "a write is done");
    rw_config_next(&script.coordinator, &first);
    first.config.timeouts.view_base_ms = 777;
    rw_config_next(&first.config, &second);
    second.config.timeouts.view_base_ms = 888;
    (void)admin_op_encode(&second, input + 4); /* sets the hash that is signed */
    fixture_sign(rs_fixture(), &second, 2);
    memcpy(input, (const uint8_t[4]){BODY_ADMIN, 3, 0, 0}, 4);
    size_t bytes = 4 + admin_op_encode(&second, input + 4);
    uint32_t leader = rw_status(rw, 0)->leader;
    struct replica *liar = rw->nodes[leader].replica;
    in_force = liar->config;
    liar->config = first.config; /* so it believes */
    rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, leader, MESSAGE_INPUT, input, bytes);
    liar->config = in_force;
    for (uint32_t i = 0; i < 200 && !is_decided(rw, second.input_hash); i++) rw_run(rw, 20);
    rs_must(rw, is_decided(rw, second.input_hash) && rw_epoch_wait(rw, COORDINATOR_CLUSTER_BASE, 0, 1000), "it is decided, and begins no epoch");
    rs_must(rw, rs_hand_in(rw, 1, &first, 2) == RS_WAITS, "the CONFIG before it waits for its block");
    rs_must(rw, rw_epoch_wait(rw, COORDINATOR_CLUSTER_BASE, 1, 20000), "its epoch begins");
    leader = rw_status(rw, 0)->leader;
    rw_admin_bytes(rw, leader == 2 ? 1 : 2, input + 4, bytes - 4);
    rs_must(rw, rw_epoch_wait(rw, COORDINATOR_CLUSTER_BASE, 2, 20000), "what was decided too early takes effect in its turn");
    rs_must(rw, rw_adds(&script, 2) && rw_sum_is_right(&script), "each write counted once");
    return rs_end(rw);
}
