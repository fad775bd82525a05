/*
 * A shard's CONFIG lowers the longest value while its coordinator still takes longer ones (O-13, D-15): what comes is consumed and answered by name,
 * so the pair goes on, and nothing beyond the shard's own limit is stored.
 */
#include "tests/scenario_replica/replica_scenario.h"

enum { LONG = 2000, SHORT_LIMIT = 1500 };

int main(int argc, char **argv) {
    static struct rw_script script;
    static struct admin_op op;
    static uint8_t value[LONG], bytes[ADMIN_OP_BYTES_MAX];
    struct replica_world *rw = rw_create(rs_begin(argc, argv, "O-13, D-15"));
    rw_script_begin(&script, rw);
    struct operation put = op_put_bytes("long", value, LONG), get = op_get("long", 4000);
    rs_must(rw, rs_write(rw, ++script.number, &put, 20000) == CODE_OK, "as long as both allow it, it is stored");
    rw_config_next(&script.shard, &op);
    op.config.limits.value_bytes_max = SHORT_LIMIT;
    (void)rw_admin_send(rw, 5, &op, 1, bytes);
    rs_must(rw, rw_epoch_wait(rw, SHARD_CLUSTER_BASE, 1, 20000), "the shard's epoch begins");
    memset(value, 1, LONG);
    const struct client_item *item = rw_ask(rw, BATCH_WRITE, ++script.number, &put, 1, 20000);
    rs_must(rw, item != NULL && item->code == CODE_OK, "a longer one is consumed and answered");
    rs_must(rw, world_result(item, 0).code == CODE_LIMIT, "a value beyond the shard's limit is refused by name");
    item = rw_ask(rw, BATCH_READ, 0, &get, 1, 20000);
    rs_must(rw, item != NULL && world_result(item, 0).value[0] == 0, "and changes nothing");
    struct operation shorter = op_put_bytes("long", value, SHORT_LIMIT);
    item = rw_ask(rw, BATCH_WRITE, ++script.number, &shorter, 1, 20000);
    rs_must(rw, item != NULL && world_result(item, 0).code == CODE_OK, "the pair goes on");
    return rs_end(rw);
}
