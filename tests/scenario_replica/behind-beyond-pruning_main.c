/*
 * A shard node is away until what it lacks lies nowhere any more (P-40, P-60): it takes a checkpoint from its peers, and then nothing is decided
 * without it.
 */
#include "tests/scenario_replica/replica_scenario.h"

enum { DOWN = 7, OTHER = 4 };

int main(int argc, char **argv) {
    struct replica_world *rw = rw_create_stored(rs_begin(argc, argv, "P-40"), RS_CHECKPOINT);
    rw_run(rw, 200);
    rs_puts(rw, 20);
    uint64_t at = rs_leave_behind(rw, DOWN);
    rw_restart(rw, DOWN);
    rs_must(rw, rs_is_back(rw, DOWN, at + RS_CHECKPOINT, 30000), "it comes back");
    rs_must(rw, rw->nodes[DOWN].transfers == 1, "by a checkpoint of its peers");
    rw_crash(rw, OTHER);
    rs_puts(rw, 3);
    rw_restart(rw, OTHER);
    rw_run(rw, 2000);
    return rs_end(rw);
}
