/*
 * A shard cluster stands just at the height of a checkpoint when power is lost for all of it (P-34): no block follows by which that checkpoint could
 * be shown, and none will without the member that is far behind, since another one is gone. So the others start from the one before, show that, and
 * have the blocks above it.
 */
#include "tests/scenario_replica/replica_scenario.h"

enum { BEHIND = 5, GONE = 7 };

static const uint32_t others[] = {4, 6, 7};

static uint64_t standing(struct replica_world *rw) {
    uint64_t at = rw_status(rw, others[0])->final_height;
    bool all = at % RS_CHECKPOINT == 0;
    for (uint32_t i = 1; i < 3; i++) all = all && rw_status(rw, others[i])->final_height == at;
    return all ? at : 0;
}

static uint64_t stand(struct replica_world *rw) {
    for (uint32_t i = 0; i < 20 * RS_CHECKPOINT; i++) {
        rs_puts(rw, 1);
        for (uint32_t ms = 0; ms < 100; ms++) {
            if (standing(rw) > 0) return standing(rw);
            rw_run(rw, 1);
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    struct replica_world *rw = rw_create_stored(rs_begin(argc, argv, "P-34"), RS_CHECKPOINT);
    rw_run(rw, 200);
    rs_puts(rw, 20);
    (void)rs_leave_behind(rw, BEHIND);
    uint64_t at = stand(rw);
    rs_must(rw, at > 0, "the others stand at the height of a checkpoint");
    for (uint32_t i = 0; i < 3; i++) rw_crash(rw, others[i]);
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) {
        if (node != GONE) rw_restart(rw, node);
    }
    rs_must(rw, rs_is_back(rw, BEHIND, at - 1, 60000), "it comes back by what the others show");
    rs_must(rw, rw->nodes[BEHIND].transfers == 1, "by a checkpoint of its peers");
    rs_puts(rw, 3);
    rw_restart(rw, GONE);
    rw_run(rw, 2000);
    return rs_end(rw);
}
