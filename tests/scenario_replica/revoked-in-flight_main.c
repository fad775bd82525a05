/*
 * A client is revoked while a write of it is on its way to the shard (S-79, O-41.1): REVOKE travels in the same queue and closes its numbers there,
 * so that what the shard has not taken up yet is refused, for good.
 */
#include "tests/scenario_replica/replica_scenario.h"

#include "appliance/replica/replica_private.h"

static void policy(struct world *world) {
    rs_administrators(world);
    world->system.timeouts.due_ms = 400; /* what waits joins one slice */
    world->system.limits.due_blocks = 64;
}

int main(int argc, char **argv) {
    static struct admin_op op;
    struct replica_world *rw = rw_create_prepared(rs_begin(argc, argv, "S-79, O-41"), policy);
    struct operation put = op_put("before", "1"), late = op_put("late", "2"), get = op_get("late", 100);
    uint8_t digest[32];
    uint32_t bytes;
    rw_run(rw, 300);
    rs_must(rw, rs_write(rw, 1, &put, 8000) == CODE_OK, "a write is done");
    for (uint32_t i = RW_CLUSTER; i < RW_NODES; i++) rw->nodes[i].disk_stalled = true; /* nobody acknowledges: the queue is not idle */
    uint8_t *batch = rw_batch(rw, BATCH_WRITE, 2, &put, 1, &bytes, digest);
    rw_send(rw, 1, MESSAGE_BATCH, batch, bytes);
    free(batch);
    rw_run(rw, 100);
    batch = rw_batch(rw, BATCH_WRITE, 3, &late, 1, &bytes, digest);
    rw_send(rw, 1, MESSAGE_BATCH, batch, bytes);
    free(batch);
    rw_run(rw, 60);
    op.kind = ADMIN_OP_REVOKE;
    memcpy(op.system_id, rw->world->system.system_id, 16);
    op.serial = 1;
    memcpy(op.predecessor, rw->world->system.file_hash, 32);
    memcpy(op.client_id, rw->client_id, 32);
    rs_must(rw, rs_hand_in(rw, 2, &op, 2) == RS_WAITS, "it is revoked");
    for (uint32_t i = 0; i < 100 && rw_status(rw, 0)->enrolment < 1; i++) rw_run(rw, 10);
    rs_must(rw, rw_status(rw, 0)->enrolment == 1, "that is decided");
    for (uint32_t i = RW_CLUSTER; i < RW_NODES; i++) rw->nodes[i].disk_stalled = false;
    rw_run(rw, 3000);
    memcpy(rw->client_id, rw->world->clients[1].card.id, 32); /* another client looks */
    memcpy(rw->client_key.public_key, rw->world->clients[1].card.signing_key, 32);
    rw->client_index = 1;
    for (uint32_t i = 0; i < RW_CLUSTER; i++) replica_link_up(rw->nodes[i].replica, (struct replica_peer){.kind = REPLICA_CLIENT, .index = 1});
    const struct client_item *item = rw_ask(rw, BATCH_READ, 0, &get, 1, 8000);
    rs_must(rw, item != NULL && world_result(item, 0).code == CODE_ABSENT, "the write that was on its way did nothing");
    return rs_end(rw);
}
