/*
 * Members of an ended epoch certify a block above the CONFIG that ended it (B-44), with all their keys: it proves nothing, so no slice that they
 * make up is taken by the other cluster.
 */
#include "tests/scenario_replica/replica_scenario.h"

#include "appliance/replica/replica_private.h"
#include "bft/certificate.h"
#include "protocol/leaf.h"

/* A slice of the shard's, as its old members could certify it at this height. */
static size_t decision_make(struct replica_world *rw, uint64_t height, uint64_t dseq, uint8_t *out, size_t room) {
    static struct bft_certificate certificate;
    uint8_t slice[SLICE_HEAD_BYTES], leaf_bytes[LEAF_BYTES], preimage[BFT_VOTE_PREIMAGE_BYTES];
    tree_hash root;
    slice_head_encode(slice, 0, 0);
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .source = SHARD_CLUSTER_BASE, .destination = COORDINATOR_CLUSTER_BASE, .height = height,
                        .dseq = dseq, .slice_bytes = sizeof slice};
    memcpy(leaf.system_id, rw->world->system.system_id, sizeof leaf.system_id);
    slice_hash(slice, sizeof slice, leaf.slice_hash);
    leaf_encode(&leaf, leaf_bytes);
    leaf_hash(leaf_bytes, root); /* of an outbox with this leaf alone */
    certificate = (struct bft_certificate){.qc = {.kind = BFT_COMMIT, .count = 3}};
    struct bft_ballot *ballot = &certificate.qc.ballot;
    ballot->place = rw->nodes[RW_CLUSTER].replica->epochs[0].members.place;
    ballot->height = height;
    ballot->block_id.bytes[0] = 7;
    memcpy(ballot->outbox_root.bytes, root, sizeof root);
    bft_vote_preimage(ballot, BFT_COMMIT, preimage);
    for (uint8_t i = 0; i < 3; i++) {
        struct signer signer = keyed_signer_of(&rw->nodes[RW_CLUSTER + i].key);
        certificate.qc.signers[i] = i;
        signer.sign(signer.context, preimage, sizeof preimage, certificate.qc.signatures[i].bytes);
    }
    struct bytes_writer writer = bytes_writer_of(out, room);
    decision_head_encode(&writer, &certificate, 0, 1, NULL, 0, leaf_bytes);
    bytes_put_raw(&writer, slice, sizeof slice);
    CHECK(!writer.failed);
    return writer.used;
}

int main(int argc, char **argv) {
    static struct rw_script script;
    static uint8_t bytes[8192];
    struct replica_world *rw = rw_create(rs_begin(argc, argv, "B-44"));
    rw_script_begin(&script, rw);
    rs_must(rw, rw_adds(&script, 2), "writes are done");
    rw_config_send(&script, 5, SHARD_CLUSTER_BASE);
    rs_must(rw, rw_epoch_wait(rw, SHARD_CLUSTER_BASE, 1, 20000), "the shard's epoch begins");
    rs_must(rw, rw_adds(&script, 2), "the coordinator knows of it");
    uint64_t ended = rw->nodes[RW_CLUSTER].replica->epochs[0].members.height_last;
    uint64_t dseq = rw->nodes[0].replica->pairs[0].consumed_final + 1;
    size_t count = decision_make(rw, ended + 50, dseq, bytes, sizeof bytes);
    struct replica_peer liar = {.kind = REPLICA_FOREIGN, .member = 1, .index = SHARD_CLUSTER_BASE};
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        uint64_t drops = rw_status(rw, node)->drops[DROP_SLICE_CERTIFICATE];
        rw_inject(rw, liar, node, MESSAGE_COMPACT_DECISION, bytes, count);
        rs_must(rw, rw_status(rw, node)->drops[DROP_SLICE_CERTIFICATE] == drops + 1, "the certificate is refused");
    }
    rs_must(rw, rw_adds(&script, 3) && rw_sum_is_right(&script), "the pair goes on");
    return rs_end(rw);
}
