/*
 * Safety, looked at after each step of an honest node (tests/sim/sys.h). What is compared comes from the nodes' own state and from what they sent;
 * what is held against it was noted here when it happened.
 */
#include "appliance/node/node.h"
#include "appliance/replica/replica_private.h"
#include "protocol/evidence.h"
#include "tests/sim/sys.h"

enum { DISK_BYTES_MAX = 1 << 30, RECORDS_MAX = 400000 };

static bool budget_holds(const struct sys_world *world) { /* a planted fault may need more than f liars */
    return world->config.plant == SYS_CHECK_NONE;
}

/* ---- what was signed ---- */

static uint64_t digest_of(const uint8_t *bytes, size_t count) {
    return keyed_siphash(31, 37, bytes, count) | 1;
}

static uint64_t *signed_slot(const struct sys_signed *votes, uint64_t digest) {
    uint64_t *at = &votes->slots[digest & (votes->room - 1)], *end = votes->slots + votes->room;
    while (*at != 0 && *at != digest) at = at + 1 == end ? votes->slots : at + 1;
    return at;
}

static void signed_add(struct sys_signed *votes, uint64_t digest) {
    if (2 * (votes->count + 1) > votes->room) {
        struct sys_signed grown = {.room = votes->room == 0 ? 1024 : votes->room * 2};
        grown.slots = calloc(grown.room, sizeof *grown.slots);
        CHECK(grown.slots != NULL);
        for (uint32_t i = 0; i < votes->room; i++) {
            if (votes->slots[i] == 0) continue;
            *signed_slot(&grown, votes->slots[i]) = votes->slots[i];
            grown.count++;
        }
        free(votes->slots);
        *votes = grown;
    }
    uint64_t *slot = signed_slot(votes, digest);
    if (*slot == 0) votes->count++;
    *slot = digest;
}

void sys_check_signed(struct sys_world *world, uint32_t node, const uint8_t *bytes, size_t count) {
    if (world->nodes[node].liar || count != BFT_VOTE_PREIMAGE_BYTES || memcmp(bytes, signer_tag_bytes(SIGNER_TAG_COMMIT), SIGNER_TAG_BYTES) != 0)
        return;
    if (world->config.plant == SYS_CHECK_VOTES && sys_chance(world, 20000)) return; /* as if it had not been this node */
    signed_add(&world->nodes[node].votes, digest_of(bytes, count));
}

/* Each signature of an honest member on a commit QC is one that it made. */
static void certificate_check(struct sys_world *world, struct sys_cluster *cluster, const struct bft_qc *qc) {
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&qc->ballot, BFT_COMMIT, preimage);
    uint64_t digest = digest_of(preimage, sizeof preimage), number = qc->ballot.place.epoch;
    const struct sys_epoch *epoch = number < cluster->epoch_count ? &cluster->epochs[number] : NULL;
    world->stats->certificates++;
    if (epoch == NULL || qc->count != epoch->members.q || !bft_place_equal(&qc->ballot.place, &epoch->members.place))
        sys_fail(world, SYS_CHECK_VOTES, "a certificate of %u signatures in epoch %llu", qc->count, (unsigned long long)number);
    for (uint32_t i = 0; i < qc->count; i++) {
        if (qc->signers[i] >= epoch->members.n) sys_fail(world, SYS_CHECK_VOTES, "a certificate of nobody's signature");
        uint32_t at = epoch->node_of[qc->signers[i]];
        const struct sys_node *signer = &world->nodes[at];
        if (signer->liar) continue;
        world->stats->votes++;
        char name[SYS_NAME_BYTES];
        if (signer->votes.room == 0 || *signed_slot(&signer->votes, digest) != digest)
            sys_fail(world, SYS_CHECK_VOTES, "the certificate of height %llu carries a COMMIT that %s never signed",
                     (unsigned long long)qc->ballot.height, sys_end_name(world, at, name));
    }
}

/* ---- what leaves ---- */

static void memory_read(struct sys_node *node) {
    if (node->memory != NULL && node->memory_version == node->wal.memory_version) return;
    uint8_t key[WAL_KEY_BYTES_MAX] = {0};
    (void)wal_key_vote(key, WAL_VOTE_CORE, 0, 0, 0);
    const struct sys_record *record = sys_disk_find(&node->wal, WAL_VOTES, key);
    if (node->memory == NULL) node->memory = calloc(1, sizeof *node->memory);
    CHECK(node->memory != NULL);
    node->has_memory = record != NULL && bft_memory_decode(record->bytes, record->count, node->memory);
    node->memory_version = node->wal.memory_version;
}

/* Is the body of this block on the sender's disk, or in its checkpoint? */
static bool block_durable(const struct sys_node *node, uint64_t epoch, uint64_t height, const struct bft_hash *id) {
    uint8_t key[WAL_KEY_BYTES_MAX] = {0};
    (void)wal_key_block(key, epoch, height, id->bytes, WAL_PART_BODY);
    return sys_disk_find(&node->wal, WAL_BLOCKS, key) != NULL || (node->state.has && node->state.checkpoint.height >= height);
}

/* Was it sent before? */
static bool equivocation_check(struct sys_world *world, uint32_t index, const struct bft_vote *vote) {
    struct sys_node *node = &world->nodes[index];
    uint64_t place[5] = {vote->kind, vote->ballot.place.epoch, vote->ballot.view, vote->ballot.height, index};
    uint64_t what = keyed_siphash(3, 4, &vote->ballot.block_id, 32) ^ keyed_siphash(5, 6, &vote->ballot.outbox_root, 32);
    if (world->config.plant == SYS_CHECK_EQUIVOCATION && sys_chance(world, 1000)) what++;
    /* Two entries of one set: the place, and the place with what was signed there. */
    uint64_t at = keyed_siphash(1, 2, place, sizeof place) | 1, both = (keyed_siphash(at, what, place, sizeof place) << 1) | 1;
    bool place_known = node->votes.room > 0 && *signed_slot(&node->votes, at) == at,
         same = node->votes.room > 0 && *signed_slot(&node->votes, both) == both;
    char name[SYS_NAME_BYTES];
    if (place_known && !same)
        sys_fail(world, SYS_CHECK_EQUIVOCATION, "%s sent two different votes for view %llu height %llu", sys_end_name(world, index, name),
                 (unsigned long long)vote->ballot.view, (unsigned long long)vote->ballot.height);
    signed_add(&node->votes, at);
    signed_add(&node->votes, both);
    return same;
}

/* P-1: what a vote says is in the voting memory on the disk, and so is its block. */
static void vote_check(struct sys_world *world, uint32_t index, const struct bft_vote *vote) {
    struct sys_node *node = &world->nodes[index];
    const struct bft_ballot *ballot = &vote->ballot;
    char name[SYS_NAME_BYTES];
    (void)sys_end_name(world, index, name);
    bool again = equivocation_check(world, index, vote);
    memory_read(node);
    const struct bft_memory *disk = node->memory;
    if (!node->has_memory || disk->place.epoch < ballot->place.epoch)
        sys_fail(world, SYS_CHECK_DURABLE, "%s voted before it had a voting memory", name);
    if (disk->place.epoch > ballot->place.epoch) return;
    bool prepare = vote->kind == BFT_PREPARE, has = prepare ? disk->has_prepared : disk->has_committed;
    const struct bft_ballot *known = prepare ? &disk->prepared : &disk->committed;
    if (!has || bft_rank_compare(known->view, known->height, ballot->view, ballot->height) < 0)
        sys_fail(world, SYS_CHECK_DURABLE, "%s sent a %s of view %llu height %llu before it was on its disk", name, prepare ? "PREPARE" : "COMMIT",
                 (unsigned long long)ballot->view, (unsigned long long)ballot->height);
    /* After a stall of the disk it may leave when its view is long over and the block is dropped. */
    const struct replica *r = node->shell->replica;
    bool over = again || r->tip_height >= ballot->height || r->core->memory.view > ballot->view;
    if (prepare && !over && !block_durable(node, ballot->place.epoch, ballot->height, &ballot->block_id))
        sys_fail(world, SYS_CHECK_DURABLE, "%s sent a PREPARE of view %llu height %llu before the block %02x%02x was on its disk", name,
                 (unsigned long long)ballot->view, (unsigned long long)ballot->height, ballot->block_id.bytes[0], ballot->block_id.bytes[1]);
}

static void timeout_check(struct sys_world *world, uint32_t index, const struct bft_timeout *timeout) {
    struct sys_node *node = &world->nodes[index];
    memory_read(node);
    const struct bft_memory *disk = node->memory;
    if (node->has_memory && disk->place.epoch > timeout->place.epoch) return;
    bool durable = node->has_memory && disk->place.epoch == timeout->place.epoch &&
                   (disk->view > timeout->view || (disk->view == timeout->view && disk->timed_out));
    char name[SYS_NAME_BYTES];
    if (!durable)
        sys_fail(world, SYS_CHECK_DURABLE, "%s sent a TIMEOUT of view %llu before it was on its disk", sys_end_name(world, index, name),
                 (unsigned long long)timeout->view);
}

static void decision_check(struct sys_world *world, uint32_t index, const struct replica_output *output) {
    struct sys_node *node = &world->nodes[index];
    struct sys_cluster *cluster = &world->clusters[node->cluster_index];
    static struct decision decision;
    struct bytes_cursor cursor = bytes_cursor_of(blob_piece_bytes(&output->pieces[0]), output->pieces[0].count);
    char name[SYS_NAME_BYTES];
    (void)sys_end_name(world, index, name);
    if (decision_decode_head(&cursor, &decision) != DECISION_OK)
        sys_fail(world, SYS_CHECK_QUEUE, "%s sent a compact decision that does not decode", name);
    uint64_t height = decision.leaf.height;
    sys_check_step(world, index); /* it may have become final in this very step */
    uint64_t above = height - cluster->base;
    bool there = height >= cluster->base && above < cluster->chain_room && cluster->chain[above].known;
    const struct bft_hash *id = there ? &cluster->chain[above].id : NULL;
    if (id == NULL) sys_fail(world, SYS_CHECK_DURABLE, "%s sent a decision of a height that it has not said to be final", name);
    if (!block_durable(node, decision.certificate.qc.ballot.place.epoch, height, id))
        sys_fail(world, SYS_CHECK_DURABLE, "%s sent a decision of height %llu before the block was on its disk", name, (unsigned long long)height);
    if (decision.leaf.kind != LEAF_KIND_CLUSTER) return;
    uint32_t to = sys_cluster_index(world, decision.leaf.destination);
    uint64_t dseq = decision.leaf.dseq;
    if (dseq >= cluster->leaves_room[to]) {
        uint64_t room = dseq * 2 + 64;
        cluster->leaves[to] = realloc(cluster->leaves[to], room * 32);
        CHECK(cluster->leaves[to] != NULL);
        memset(cluster->leaves[to] + cluster->leaves_room[to], 0, (room - cluster->leaves_room[to]) * 32);
        cluster->leaves_room[to] = room;
    }
    static const uint8_t none[32];
    uint8_t hash[32];
    leaf_hash(decision.leaf_bytes, hash);
    if (memcmp(cluster->leaves[to][dseq], none, 32) != 0 && memcmp(cluster->leaves[to][dseq], hash, 32) != 0)
        sys_fail(world, SYS_CHECK_QUEUE, "two different slices %llu from one cluster to another", (unsigned long long)dseq);
    memcpy(cluster->leaves[to][dseq], hash, 32);
    if (dseq > cluster->sent_max[to]) cluster->sent_max[to] = dseq;
    if (dseq > 1 && memcmp(cluster->leaves[to][dseq - 1], none, 32) != 0 && memcmp(cluster->leaves[to][dseq - 1], decision.leaf.previous, 32) != 0)
        sys_fail(world, SYS_CHECK_QUEUE, "slice %llu does not follow the one before it", (unsigned long long)dseq);
}

void sys_check_send(struct sys_world *world, uint32_t index, const struct replica_output *output) {
    struct sys_node *node = &world->nodes[index];
    uint16_t type = output->type;
    bool consensus = type == BFT_MESSAGE_PREPARE || type == BFT_MESSAGE_COMMIT || type == BFT_MESSAGE_TIMEOUT || type == BFT_MESSAGE_PROPOSE;
    if (!consensus && type != MESSAGE_COMPACT_DECISION && type != MESSAGE_ANSWER) return;
    /* The same frame to the next member: looked at already. */
    const uint8_t *bytes = blob_piece_bytes(&output->pieces[0]);
    size_t count = output->pieces[0].count, at = count < 512 ? count : 512;
    uint64_t digest = keyed_siphash(type, count, bytes, at);
    if (digest == node->checked_signature) return;
    node->checked_signature = digest;
    world->stats->checks++;
    if (!consensus) {
        decision_check(world, index, output);
        return;
    }
    static struct bft_message message;
    struct blob *whole = NULL;
    if (output->piece_count > 1) {
        size_t sum = 0, used = 0;
        for (unsigned i = 0; i < output->piece_count; i++) sum += output->pieces[i].count;
        whole = blob_make(sum);
        for (unsigned i = 0; i < output->piece_count; i++) {
            memcpy(whole->bytes + used, blob_piece_bytes(&output->pieces[i]), output->pieces[i].count);
            used += output->pieces[i].count;
        }
        bytes = whole->bytes;
        count = sum;
    }
    CHECK(bft_wire_decode(type, bytes, count, &message) == BFT_WIRE_OK);
    const struct bft_vote *vote = type == BFT_MESSAGE_PROPOSE ? &message.propose.vote : &message.vote;
    bool timeout = type == BFT_MESSAGE_TIMEOUT;
    uint8_t signer = timeout ? message.timeout.signer : vote->signer; /* others' are passed on in repairs */
    sys_epoch_follow(world, index);
    bool own = sys_epoch_node(world, node->cluster_index, timeout ? message.timeout.place.epoch : vote->ballot.place.epoch, signer) == index;
    if (own && timeout) timeout_check(world, index, &message.timeout);
    if (own && !timeout) vote_check(world, index, vote);
    blob_drop(whole);
}

/* B-80 to B-84: what a node keeps as evidence verifies, and convicts nobody who is honest. */
void sys_check_evidence(struct sys_world *world, uint32_t index, const struct blob_piece *bytes) {
    static struct evidence evidence;
    const struct sys_node *node = &world->nodes[index];
    char name[SYS_NAME_BYTES], guilty[SYS_NAME_BYTES];
    (void)sys_end_name(world, index, name);
    world->stats->evidence++;
    if (evidence_decode(blob_piece_bytes(bytes), bytes->count, &evidence) != EVIDENCE_OK)
        sys_fail(world, SYS_CHECK_EQUIVOCATION, "%s keeps evidence that is none", name);
    const struct sys_cluster *cluster = &world->clusters[sys_cluster_index(world, evidence.place.cluster)];
    sys_epoch_follow(world, index);
    if (evidence.place.epoch >= cluster->epoch_count || evidence_verify(&evidence, &cluster->epochs[evidence.place.epoch].members,
                                                                        &world->verifier) != EVIDENCE_OK)
        sys_fail(world, SYS_CHECK_EQUIVOCATION, "%s of 0x%x keeps evidence that does not verify", name, node->cluster);
    if (evidence.signer == EVIDENCE_NOBODY) sys_fail(world, SYS_CHECK_EQUIVOCATION, "%s keeps evidence against a whole cluster", name);
    uint32_t at = cluster->epochs[evidence.place.epoch].node_of[evidence.signer];
    if (!world->nodes[at].liar && !world->nodes[at].doubtful)
        sys_fail(world, SYS_CHECK_EQUIVOCATION, "%s keeps evidence against %s, which is honest", name, sys_end_name(world, at, guilty));
}

/* ---- what became final ---- */

static struct sys_block *chain_at(struct sys_cluster *cluster, uint64_t absolute) {
    uint64_t height = absolute - cluster->base;
    CHECK(absolute >= cluster->base);
    if (height >= cluster->chain_room) {
        uint64_t room = height * 2 + 1024;
        cluster->chain = realloc(cluster->chain, room * sizeof *cluster->chain);
        CHECK(cluster->chain != NULL);
        memset(cluster->chain + cluster->chain_room, 0, (room - cluster->chain_room) * sizeof *cluster->chain);
        cluster->chain_room = room;
    }
    return &cluster->chain[height];
}

static void final_check(struct sys_world *world, uint32_t index, const struct rblock *block) {
    struct sys_node *node = &world->nodes[index];
    struct sys_cluster *cluster = &world->clusters[node->cluster_index];
    struct sys_block *known = chain_at(cluster, block->header.height);
    struct bft_hash id = block->id;
    char name[SYS_NAME_BYTES];
    if (world->config.plant == SYS_CHECK_AGREEMENT && known->known && sys_chance(world, 3000)) id.bytes[7] ^= 1;
    if (known->known && !bft_hash_equal(&known->id, &id))
        sys_fail(world, SYS_CHECK_AGREEMENT, "two blocks are final at height %llu of 0x%x; %s has the second",
                 (unsigned long long)block->header.height, node->cluster, sys_end_name(world, index, name));
    if (cluster->seal.sealed && block->header.height > cluster->seal.height)
        sys_fail(world, SYS_CHECK_AGREEMENT, "%s has a final block above the SEAL of 0x%x", sys_end_name(world, index, name), node->cluster);
    world->stats->agreed += known->known;
    known->known = true;
    known->id = id;
    known->state_root = block->header.state_root;
    if (block->header.height > cluster->height) cluster->height = block->header.height;
    world->stats->finals++;
    sys_mix(world, bytes_get_le64(id.bytes));
    if (block->executed) {
        struct bft_hash root;
        memcpy(root.bytes, block->result.state_root, 32);
        if (world->config.plant == SYS_CHECK_ROOT && sys_chance(world, 3000)) root.bytes[3] ^= 4;
        world->stats->roots++;
        if (!bft_hash_equal(&root, &block->header.state_root))
            sys_fail(world, SYS_CHECK_ROOT, "%s holds another state before height %llu than what is final", sys_end_name(world, index, name),
                     (unsigned long long)block->header.height);
    }
    struct sys_block *parent = chain_at(cluster, block->header.height - 1);
    if (parent->has_root && !bft_hash_equal(&parent->root_after, &block->header.state_root))
        sys_fail(world, SYS_CHECK_ROOT, "a checkpoint of height %llu has another root than what is final",
                 (unsigned long long)block->header.height - 1);
    if (block->certificate == NULL) return;
    static struct bft_certificate certificate;
    struct bytes_cursor cursor = bytes_cursor_of(block->certificate->bytes, block->certificate->count);
    enum bft_wire_error error;
    CHECK(bft_certificate_get(&cursor, &certificate, &error));
    certificate_check(world, cluster, &certificate.qc);
}

void sys_check_backup(struct sys_world *world, uint32_t cluster_index, uint64_t height, const uint8_t block_id[32], const uint8_t root[32]) {
    struct sys_cluster *cluster = &world->clusters[cluster_index];
    const struct sys_block *child = chain_at(cluster, height + 1), *block = chain_at(cluster, height);
    world->stats->roots++;
    if (block->known && memcmp(block->id.bytes, block_id, 32) != 0)
        sys_fail(world, SYS_CHECK_ROOT, "a backup of 0x%x is of another block of height %llu than is final", cluster->cluster,
                 (unsigned long long)height);
    bool other = block->has_root && memcmp(block->root_after.bytes, root, 32) != 0;
    if (other || (child->known && memcmp(child->state_root.bytes, root, 32) != 0))
        sys_fail(world, SYS_CHECK_ROOT, "a backup of 0x%x has another root than what is final after height %llu", cluster->cluster,
                 (unsigned long long)height);
}

void sys_check_checkpoint(struct sys_world *world, uint32_t index, const struct state_checkpoint *checkpoint) {
    struct sys_cluster *cluster = &world->clusters[world->nodes[index].cluster_index];
    struct sys_block *block = chain_at(cluster, checkpoint->height);
    char name[SYS_NAME_BYTES];
    if (world->nodes[index].liar) return;
    world->stats->roots++;
    if (block->has_root && memcmp(block->root_after.bytes, checkpoint->state_root, 32) != 0)
        sys_fail(world, SYS_CHECK_ROOT, "the checkpoint of height %llu at %s has another root than others'", (unsigned long long)checkpoint->height,
                 sys_end_name(world, index, name));
    memcpy(block->root_after.bytes, checkpoint->state_root, 32);
    block->has_root = true;
}

/* D-4.1, D-22: cursors only grow, and nobody consumes what was not sent. */
static void queues_check(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    const struct replica *r = node->shell->replica;
    struct sys_cluster *mine = &world->clusters[node->cluster_index];
    for (uint32_t i = 0; i < r->pair_count; i++) {
        const struct pair *pair = &r->pairs[i];
        uint32_t other = sys_cluster_index(world, pair->cluster);
        struct sys_cluster *source = &world->clusters[other];
        uint64_t consumed = pair->consumed_final;
        if (world->config.plant == SYS_CHECK_QUEUE && world->now_us > 3000000 && sys_chance(world, 300) && consumed > 0) consumed--;
        char name[SYS_NAME_BYTES];
        if (consumed < node->consumed[other])
            sys_fail(world, SYS_CHECK_QUEUE, "%s went back from slice %llu to %llu", sys_end_name(world, index, name),
                     (unsigned long long)node->consumed[other], (unsigned long long)consumed);
        node->consumed[other] = consumed;
        if (pair->sent_final > mine->sent_max[other]) mine->sent_max[other] = pair->sent_final;
        if (consumed > mine->consumed_max[other]) mine->consumed_max[other] = consumed;
        if (source->broken == 0 && consumed > source->sent_max[node->cluster_index])
            sys_fail(world, SYS_CHECK_QUEUE, "%s consumed slice %llu, which nobody sent", sys_end_name(world, index, name),
                     (unsigned long long)consumed);
        if (source->broken == 0 && pair->acked > source->consumed_max[node->cluster_index])
            sys_fail(world, SYS_CHECK_QUEUE, "%s believes that slice %llu was consumed, and nobody did", sys_end_name(world, index, name),
                     (unsigned long long)pair->acked);
    }
}

static void bounds_check(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    const struct replica *r = node->shell->replica;
    uint32_t inputs_max = world->config.plant == SYS_CHECK_BOUND ? 3 : INPUTS_MAX / 2;
    char name[SYS_NAME_BYTES];
    const char *what = NULL;
    uint64_t bytes_max = (uint64_t)r->members.n * r->config.limits.relay_bytes_max + DONE_BYTES_MAX + (64u << 20);
    if (r->inputs_held > inputs_max) what = "inputs held";
    if (r->input_bytes > bytes_max) what = "bytes of inputs";
    if (r->held_count > HELD_SENDS_MAX) what = "sends that wait";
    if (r->event_count > EVENTS_MAX) what = "events";
    if (r->blocks_open + r->blocks_final > BLOCKS_MAX) what = "blocks";
    if (r->flying_count > 2 * FLYING_BATCHES_MAX) what = "batches that fly";
    if (node->wal.bytes > DISK_BYTES_MAX || node->wal.records > RECORDS_MAX) what = "records on the disk";
    if (what != NULL) sys_fail(world, SYS_CHECK_BOUND, "%s keeps too many %s", sys_end_name(world, index, name), what);
}

void sys_check_step(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    const struct replica *r = node->shell->replica;
    char name[SYS_NAME_BYTES];
    if (r->core->halted && budget_holds(world))
        sys_fail(world, SYS_CHECK_STOPPED, "%s halted: it saw a fork, or its own state differs", sys_end_name(world, index, name));
    sys_epoch_follow(world, index);
    queues_check(world, index);
    if (r->tip_height == node->checked_height) return;
    uint64_t held_from = r->tip_height > BLOCKS_MAX ? r->tip_height - BLOCKS_MAX : 0; /* several may have become final in one step */
    for (uint64_t height = (node->checked_height > held_from ? node->checked_height : held_from) + 1; height <= r->tip_height; height++) {
        uint32_t at = r->final_at[height % BLOCKS_MAX];
        if (at == NONE || r->blocks[at].header.height != height) continue; /* given back already; its checkpoint stands for it */
        final_check(world, index, &r->blocks[at]);
    }
    node->checked_height = r->tip_height;
    bounds_check(world, index);
}

/* ---- at the end ---- */

static bool counts(const struct sys_node *node) {
    return !node->liar && !node->doubtful && !node->broken;
}

bool sys_check_caught_up(struct sys_world *world, uint32_t *who) {
    for (uint32_t i = 0; i < world->node_count; i++) {
        *who = i;
        const struct sys_node *node = &world->nodes[i];
        if (!counts(node) || !sys_is_member(world, i)) continue;
        if (!node->up) return false;
        const struct replica *r = node->shell->replica;
        if (r->retired) continue;
        if (r->members.place.epoch + 1 < world->clusters[node->cluster_index].epoch_count) return false;
        if (r->tip_height + 8 < world->clusters[node->cluster_index].height) return false;
    }
    return true;
}

void sys_check_describe(struct sys_world *world, uint32_t index) {
    const struct sys_node *node = &world->nodes[index];
    char name[SYS_NAME_BYTES];
    (void)sys_end_name(world, index, name);
    if (!node->up) {
        sys_trace(world, "%s is down", name);
        return;
    }
    const struct replica *r = node->shell->replica;
    sys_trace(
        world,
        "%s: view %llu timed out %d voting %d retired %d, final %llu executed %llu of %llu, %u inputs held %u wanted %u unplaced, %u blocks open, "
        "%u batches fly, %u jobs out, behind %d, proposing %d",
        name, (unsigned long long)r->core->memory.view, r->core->memory.timed_out, r->core->voting, r->retired, (unsigned long long)r->tip_height,
        (unsigned long long)r->executed_height, (unsigned long long)world->clusters[node->cluster_index].height, r->inputs_held, r->wanted_count,
        r->unplaced_count, r->blocks_open, r->flying_count, r->jobs_out, r->behind, r->proposing != NULL);
    for (uint32_t i = 0; i < r->pair_count; i++)
        sys_trace(world, "    0x%x: sent %llu acked %llu consumed %llu received %llu hint %llu source %u from %llu", r->pairs[i].cluster,
                  (unsigned long long)r->pairs[i].sent_final, (unsigned long long)r->pairs[i].acked, (unsigned long long)r->pairs[i].consumed_final,
                  (unsigned long long)r->pairs[i].received_max, (unsigned long long)r->pairs[i].hint, r->pairs[i].source,
                  (unsigned long long)r->pairs[i].subscribed_from);
    for (uint32_t i = 0; i < r->blocks_used_max; i++) {
        const struct rblock *block = &r->blocks[i];
        if (block->used && !block->final)
            sys_trace(world,
                      "    block %02x%02x of view %llu height %llu: held %d executed %d persisted %d durable_at %llu of %llu, %u inputs missing",
                      block->id.bytes[0], block->id.bytes[1], (unsigned long long)block->header.view, (unsigned long long)block->header.height,
                      block->core_holds, block->executed, block->persisted, (unsigned long long)block->durable_at, (unsigned long long)r->durable,
                      block->missing);
    }
    for (uint32_t i = 0; i < INPUTS_MAX; i++) {
        const struct input *input = &r->inputs[i];
        if (input->state == INPUT_WANTED)
            sys_trace(world, "    wants an input of kind %u source 0x%x dseq %llu, asked member %u, in %u blocks", input->kind, input->source,
                      (unsigned long long)input->dseq, input->asked_peer, input->in_blocks);
    }
}

void sys_check_end(struct sys_world *world) {
    for (uint32_t a = 0; a < world->cluster_count; a++) {
        for (uint32_t b = 0; b < world->cluster_count; b++) {
            if (world->clusters[b].broken == 0 && world->clusters[a].consumed_max[b] > world->clusters[b].sent_max[a]) /* a liar may know it first */
                sys_fail(world, SYS_CHECK_QUEUE, "more slices were consumed than sent");
        }
    }
}

void sys_check_free(struct sys_world *world) {
    for (uint32_t i = 0; i < world->node_count; i++) {
        free(world->nodes[i].votes.slots);
        free(world->nodes[i].memory);
    }
    for (uint32_t i = 0; i < world->cluster_count; i++) {
        free(world->clusters[i].chain);
        for (uint32_t k = 0; k < SYS_CLUSTERS_MAX; k++) free(world->clusters[i].leaves[k]);
    }
}
