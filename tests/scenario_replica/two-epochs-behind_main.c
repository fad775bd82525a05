/*
 * A node of each cluster is away while two CONFIGs take effect (B-45, B-75): whoever hears it speak of the old epoch shows it the CONFIG block that
 * ended it, and so it follows from epoch to epoch, until nothing is decided without it.
 */
#include "tests/scenario_replica/replica_scenario.h"

int main(int argc, char **argv) {
    static struct rw_script script;
    struct replica_world *rw = rw_create(rs_begin(argc, argv, "B-75"));
    static const uint32_t down[] = {3, 7}, others[] = {0, 4}, clusters[] = {COORDINATOR_CLUSTER_BASE, SHARD_CLUSTER_BASE};
    rw_script_begin(&script, rw);
    rs_must(rw, rw_adds(&script, 1), "a write is done");
    for (uint32_t i = 0; i < 2; i++) rw_crash(rw, down[i]);
    for (uint32_t epoch = 1; epoch <= 2; epoch++) {
        for (uint32_t i = 0; i < 2; i++) {
            rw_config_send(&script, others[i], clusters[i]);
            rs_must(rw, rw_epoch_wait(rw, clusters[i], epoch, 60000), "the epoch begins without it");
        }
        rs_must(rw, rw_adds(&script, 2), "writes go on");
    }
    for (uint32_t i = 0; i < 2; i++) rw_restart(rw, down[i]);
    for (uint32_t i = 0; i < 2; i++) rs_must(rw, rw_status(rw, down[i])->epoch == 0, "it is two epochs behind");
    for (uint32_t i = 0; i < 2; i++) rs_must(rw, rw_epoch_wait(rw, clusters[i], 2, 60000), "it follows");
    for (uint32_t i = 0; i < 2; i++) rw_crash(rw, others[i]);
    rs_must(rw, rw_adds(&script, 2) && rw_sum_is_right(&script), "nothing goes without it now, and all goes on");
    return rs_end(rw);
}
