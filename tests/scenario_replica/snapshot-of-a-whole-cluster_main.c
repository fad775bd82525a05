/*
 * All disks of a cluster are put back to one snapshot (P-70). Its members forgot alike, so LAST-SIGNED (P-7) finds nothing, and they vote again. But
 * the other cluster remembers what it consumed, and its next slice acknowledges more than the snapshot's owners have ever sent, as far as they know.
 * They prove that to themselves by a block of their own, retire, keep the slice, and call for a successor; nobody of the other cluster does.
 */
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "protocol/slice.h"
#include "tests/scenario_replica/replica_scenario.h"

enum { SHARD = RW_CLUSTER, UNANSWERED = 100 };

static uint32_t in_phase(struct replica_world *rw, uint32_t first, enum status_phase phase) {
    uint32_t count = 0;
    for (uint32_t i = first; i < first + RW_CLUSTER; i++) count += rw_status(rw, i)->phase == phase;
    return count;
}

static uint64_t height_of(struct replica_world *rw, uint32_t first) {
    uint64_t height = 0;
    for (uint32_t i = first; i < first + RW_CLUSTER; i++) {
        if (rw_status(rw, i)->final_height > height) height = rw_status(rw, i)->final_height;
    }
    return height;
}

/* Clients go on asking, answered or not. */
static void clients_ask(struct replica_world *rw, uint32_t count) {
    static uint64_t number = UNANSWERED;
    struct operation put = op_put("k", "v");
    for (; count > 0; count--) (void)rs_write(rw, number++, &put, 400);
}

/* Evidence of this node that its coordinators' members certified, and by which they had consumed what it never sent. */
static bool proof_kept(struct replica_world *rw, uint32_t node) {
    static struct decision decision;
    const struct replica *r = rw->nodes[node].replica;
    struct signer signer = keyed_signer_of(NULL);
    struct slice slice;
    for (uint32_t i = 0; i < rw->nodes[node].evidence_count; i++) {
        const struct rw_evidence *file = &rw->nodes[node].evidence[i];
        if (strcmp(file->name, "rolled-back-shown-by-c0.decision") != 0) continue;
        return decision_decode(file->bytes, file->count, &decision) == DECISION_OK &&
               decision_verify(&decision, &rw->epochs[0], &signer, NULL) == DECISION_OK &&
               slice_decode(decision.slice, decision.leaf.slice_bytes, &slice) && slice.ack > r->pairs[0].sent_final;
    }
    return false;
}

int main(int argc, char **argv) {
    struct replica_world *rw = rw_create(rs_begin(argc, argv, "P-70"));
    struct rw_disk snapshot[RW_CLUSTER];
    uint32_t quorum = rw->nodes[SHARD].replica->members.q;
    rw_run(rw, 300);
    rs_puts(rw, 4);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) snapshot[i] = rw_disk_copy(&rw->nodes[SHARD + i]);
    rs_puts(rw, 12);
    uint64_t forgotten = height_of(rw, SHARD);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) rw_crash(rw, SHARD + i);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) rw_disk_put_back(&rw->nodes[SHARD + i], &snapshot[i]);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) rw_restart(rw, SHARD + i);
    rw_run(rw, 500);
    rs_must(rw, in_phase(rw, SHARD, PHASE_VOTING) == RW_CLUSTER, "all of them vote again: whom they asked had forgotten as much");
    rs_must(rw, height_of(rw, SHARD) < forgotten, "what was final is gone");
    clients_ask(rw, 8);
    rw_run(rw, 10000);
    uint32_t retired = in_phase(rw, SHARD, PHASE_ROLLED_BACK), proofs = 0;
    rs_must(rw, retired > RW_CLUSTER - quorum, "so many retire that nothing is decided any more");
    rs_must(rw, in_phase(rw, 0, PHASE_VOTING) == RW_CLUSTER, "nobody of the other cluster does");
    for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) proofs += proof_kept(rw, i);
    rs_must(rw, proofs == retired, "each who retires keeps what shows it");
    uint64_t stands = height_of(rw, SHARD);
    for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) rw_crash(rw, i);
    for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) rw_restart(rw, i);
    clients_ask(rw, 4);
    rs_must(rw, in_phase(rw, SHARD, PHASE_ROLLED_BACK) >= retired && height_of(rw, SHARD) == stands, "for good, over restarts as well");
    return rs_end(rw);
}
