/*
 * A CONFIG is prepared and not final yet while writes wait (B-41): until it is, no block with a body follows it in its epoch; the writes are decided
 * in the next one, and nothing is lost or counted twice.
 */
#include <stdlib.h>

#include "appliance/replica/replica_private.h"
#include "tests/scenario_replica/replica_scenario.h"

enum { WRITES = 12 };

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
    struct operation add = op_add("sum", 1);
    uint8_t *batches[WRITES], digests[WRITES][32];
    uint32_t bytes[WRITES];
    rw_script_begin(&script, rw);
    rs_must(rw, rw_adds(&script, 2), "writes are done");
    rw_run(rw, 300);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) rw->nodes[i].hooks.frame = deaf_frame;
    armed = true;
    uint64_t final = rw_status(rw, 1)->final_height;
    rw_config_send(&script, 1, COORDINATOR_CLUSTER_BASE);
    rw_run(rw, 50);
    for (uint32_t i = 0; i < WRITES; i++) {
        batches[i] = rw_batch(rw, BATCH_WRITE, ++script.number, &add, 1, &bytes[i], digests[i]);
        rw_send(rw, i % RW_CLUSTER, MESSAGE_BATCH, batches[i], bytes[i]);
        rw_run(rw, 10);
    }
    for (uint32_t i = 0; i < RW_CLUSTER; i++) {
        const struct status_replica *status = rw_status(rw, i);
        rs_must(rw, status->final_height == final && status->inputs_waiting > 0, "the CONFIG is not final, and writes wait");
        rs_must(rw, status->prepared_height == final + 1, "nothing follows it");
    }
    armed = false;
    rs_must(rw, rw_epoch_wait(rw, COORDINATOR_CLUSTER_BASE, 1, 30000), "the epoch begins");
    for (uint32_t i = 0; i < WRITES; i++) {
        for (uint32_t ms = 0; ms < 20000 && rw_answer(rw, digests[i]) == NULL; ms += 20) {
            if (ms % 400 == 380) rw_send(rw, ms / 400 % RW_CLUSTER, MESSAGE_BATCH, batches[i], bytes[i]);
            rw_run(rw, 20);
        }
        rs_must(rw, rw_answer(rw, digests[i]) != NULL, "every write that was on its way is answered");
        free(batches[i]);
    }
    rs_must(rw, rw_sum_is_right(&script), "each counted once");
    return rs_end(rw);
}
