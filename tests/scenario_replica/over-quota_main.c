/*
 * A client writes faster than its quota (O-30.5), through every coordinator node at once: what is beyond is refused by name and not done, its number
 * stays its own, and when tokens have grown again the same write is done. Another client is not touched.
 */
#include "tests/scenario_replica/replica_scenario.h"

enum { PER_SECOND = 2, BURST = 5, WRITES = 20 };

static void quota(struct world *world) {
    world->clients[0].quota_per_second = PER_SECOND;
    world->clients[0].quota_burst = BURST;
}

int main(int argc, char **argv) {
    struct replica_world *rw = rw_create_prepared(rs_begin(argc, argv, "O-30"), quota);
    struct operation add = op_add("sum", 1), get = op_get("sum", 100);
    uint32_t done = 0, refused = 0;
    rw_run(rw, 300);
    for (uint64_t number = 1; number <= WRITES; number++) {
        int code = rs_write(rw, number, &add, 5000);
        rs_must(rw, code == CODE_OK || code == CODE_QUOTA, "each write is done or refused for its quota");
        done += code == CODE_OK;
        refused += code == CODE_QUOTA;
    }
    rs_must(rw, refused > WRITES / 2 && done >= BURST, "the quota was passed");
    const struct client_item *item = rw_ask(rw, BATCH_READ, 0, &get, 1, 5000);
    int64_t sum = 0;
    rs_must(rw, item != NULL, "a read is answered");
    struct result result = world_result(item, 0);
    rs_must(rw, operation_number_parse(result.value, result.value_bytes, &sum) && sum == done, "what was refused was not done");
    rw_run(rw, 3000);
    rs_must(rw, rs_write(rw, WRITES, &add, 5000) == CODE_OK, "the last one is done when there are tokens again");
    return rs_end(rw);
}
