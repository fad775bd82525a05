/*
 * A CONFIG is prepared and not committed when the leader dies (B-41): the next leader makes it final by an empty block behind it, and the epoch
 * begins.
 */
#include "appliance/replica/replica_private.h"
#include "tests/scenario_replica/replica_scenario.h"

static bool armed;

static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)context;
    (void)from;
    (void)payload;
    return !armed || (type != BFT_MESSAGE_COMMIT && type != BFT_MESSAGE_QC && type != BFT_MESSAGE_BLOCK);
}

int main(int argc, char **argv) {
    static struct rw_script script;
    struct replica_world *rw = rw_create(rs_begin(argc, argv, "B-41"));
    rw_script_begin(&script, rw);
    rs_must(rw, rw_adds(&script, 2), "writes are done");
    rw_run(rw, 300);
    uint32_t leader = rw_status(rw, 1)->leader, other = (leader + 1) % RW_CLUSTER;
    for (uint32_t i = 0; i < RW_CLUSTER; i++) rw->nodes[i].hooks.frame = deaf_frame;
    armed = true;
    uint64_t final = rw_status(rw, other)->final_height;
    rw_config_send(&script, other, COORDINATOR_CLUSTER_BASE);
    rw_run(rw, 200);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) {
        const struct status_replica *status = rw_status(rw, i);
        rs_must(rw, status->prepared_height > final && status->final_height == final, "all prepared the CONFIG, and it is not final");
    }
    rw_crash(rw, leader);
    for (uint32_t i = 0; i < 500 && rw_status(rw, other)->view == 0; i++) rw_run(rw, 10);
    rs_must(rw, rw_status(rw, other)->view > 0 && rw_status(rw, other)->epoch == 0, "the view changes");
    armed = false;
    rs_must(rw, rw_epoch_wait(rw, COORDINATOR_CLUSTER_BASE, 1, 30000), "the epoch begins");
    rs_must(rw, rw->nodes[other].replica->members.start.height == final + 1, "with that CONFIG's block");
    rs_must(rw, rw_adds(&script, 2), "writes go on in it");
    rw_restart(rw, leader);
    rs_must(rw, rw_epoch_wait(rw, COORDINATOR_CLUSTER_BASE, 1, 60000), "the one that died enters it");
    rs_must(rw, rw_adds(&script, 1) && rw_sum_is_right(&script), "each write counted once");
    return rs_end(rw);
}
