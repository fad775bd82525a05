/* What state transfer (appliance/transfer/) needs of a replica: its members' frames, checkpoints and what they are shown by,
 * whether this node is so far behind that its peers' blocks do not reach down to it any more (P-40); pruning (P-60). */
#include <stdlib.h>
#include <string.h>

#include "appliance/base/checkpoint_blobs.h"
#include "appliance/replica/replica_private.h"

enum {
    LACKING_FETCHES = 5, /* so many fetch_ms without a block that peers have: they have pruned it */
    LACKING_MS_MIN = 1000,
    LACKING_AGAIN_MS = 500,
    TRANSFER_CLIENT_MS = 10000,
    TRANSFER_CLIENT_QUERIES_PER_SECOND = 1000,
    TRANSFER_QUERIES_PER_SECOND = 4000, /* of a member; more than one thread serves with its share */
    TRANSFER_CHECKPOINT_MS = 100,       /* CHECKPOINT_QUERY of one asker; whoever takes asks each 300 ms */
    HOLD_MS = 2000, /* a hold is told several times a second while it lasts */
};

/* P-30: by the limits of the block's own epoch. */
static bool is_checkpoint_block(const struct replica *r, const struct bft_header *header) {
    const struct config *config = r->epochs[header->place.epoch].config;
    return (header->height & UINT64_C(0xFFFFFFFFFFFF)) % config->limits.checkpoint_blocks == 0 && header->height > r->genesis_height;
}

/* Behind, or not told yet by enough members whether it is. */
bool recovery_may_be_behind(const struct replica *r) {
    uint32_t heard = 0;
    for (uint32_t i = 0; i < r->members.n; i++) heard += i != r->me && r->has_peer_status[i];
    return heard <= r->members.f || later_is(r) || recovery_others_ahead(r, 2 * (uint64_t)r->config.limits.window_blocks);
}

static bool transfer_question_allowed(struct replica *r, struct transfer_rate *rate, uint16_t type, size_t count, uint32_t per_second) {
    bool allowed;
    if (count != (type == MESSAGE_CHECKPOINT_QUERY ? (size_t)CHECKPOINT_QUERY_BYTES : (size_t)CHECKPOINT_PIECE_QUERY_BYTES)) {
        drop_count(r, DROP_MALFORMED);
        return false;
    }
    if (type == MESSAGE_CHECKPOINT_QUERY) {
        allowed = rate->checkpoint_ms == 0 || r->now_ms - rate->checkpoint_ms >= TRANSFER_CHECKPOINT_MS;
        if (allowed) rate->checkpoint_ms = r->now_ms > 0 ? r->now_ms : 1;
    } else {
        if (r->now_ms - rate->pieces.window_ms >= 1000) rate->pieces = (struct question_rate){.window_ms = r->now_ms};
        allowed = rate->pieces.count++ < per_second;
    }
    if (!allowed) drop_count(r, DROP_RATE);
    return allowed;
}

static void transfer_frame_tell(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    struct replica_output *output = output_add(r, REPLICA_TRANSFER);
    output->peer = from;
    output->type = type;
    output->piece_count = 1;
    output->pieces[0] = payload;
    (void)blob_hold(payload.blob);
}

void recovery_member_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    bool question = type == MESSAGE_CHECKPOINT_QUERY || type == MESSAGE_PIECE_QUERY;
    struct transfer_rate *rate = &r->transfer_rates[replica_transfer_asker(from)];
    if (question && !transfer_question_allowed(r, rate, type, payload.count, TRANSFER_QUERIES_PER_SECOND)) return;
    transfer_frame_tell(r, from, type, payload);
}

/*
 * A checkpoint is kept when its child is final, and with what that proves it by (P-31, P-34): so the one before it stays the one to start from, to
 * serve and to prune by until then.
 *
 * What this gives: at any moment, whatever crashed, a node's disk holds one checkpoint that anybody can be shown, and of the blocks above it all up
 * to the newest final one. For the state's transaction replaces checkpoint, blobs and "child" at once (store/state.h), or nothing; and blocks go
 * only when the checkpoint that covers them is that transaction's (prune_limit()). So whoever is behind, by however much, comes with a checkpoint
 * and blocks of any single honest member that is up to where that member is, and nobody has to decide anything first. It may be the very one without
 * whom nothing can be decided: in a cluster whose f others are down, and whose tip is the block of a checkpoint, no child would come by which that
 * one could be shown. Were it kept at once, the one before it, which could be, would be gone with the next restart.
 *
 * What it costs: nothing is held for it. The executor's final state is that after the parent until this very job makes the child final, and the
 * parent's header, certificate and queues are here until then as well, however long the cluster stands still. A restart in between replays up to K
 * blocks more, and keeps the checkpoint then: it is made of the parent whether that was executed again or not. The voting memory and what LAST-SIGNED
 * asks for lie in the other store and do not hang on which checkpoint it is.
 *
 * A parent that ended its epoch has its child in the next one, by whose members its certificate is judged (P-42). The chain of CONFIGs up to there is
 * durable, or rides along as "chain". A child that ends its epoch itself may add its own entry to that, which does no harm: a start may know more of
 * the chain than its blocks reach to.
 *
 * SEAL's block has no child, and is a checkpoint whatever its height: its own outbox names the state root after it, so its own certificate proves
 * that. It is made with the block, in a replay as well, since nothing else comes after it; and instead of the parent's, should that be one.
 */

static void blob_add(struct execution_job *job, const char *name, struct blob *blob) {
    struct execution_blob *added = &job->blobs[job->blob_count++];
    memset(added, 0, sizeof *added);
    memcpy(added->name, name, strlen(name));
    added->blob = blob;
}

static struct blob *tip_make(const struct rblock *block) {
    struct blob *tip = blob_make(BFT_HEADER_BYTES + block->certificate->count);
    struct bytes_writer writer = bytes_writer_of(tip->bytes, tip->count);
    bft_header_put(&writer, &block->header);
    bytes_put_raw(&writer, block->certificate->bytes, block->certificate->count);
    CHECK(!writer.failed && writer.used == tip->count);
    return tip;
}

/* The child's certificate proves the parent as well for whoever takes this checkpoint, with the parent's header before it (P-48): one of 256 headers
 * leaves no room for that, and must not take the place of a checkpoint that can be taken. */
static bool child_proves(const struct rblock *parent, const struct rblock *child, struct checkpoint_shown *shown) {
    if (parent->certificate == NULL || child->certificate == NULL) return false;
    struct bytes_cursor cursor = bytes_cursor_of(child->certificate->bytes, child->certificate->count);
    shown->header = parent->header;
    shown->child = child->header;
    return bft_certificate_get(&cursor, &shown->certificate, NULL) && shown->certificate.header_count < BFT_CERTIFICATE_HEADERS_MAX;
}

static void checkpoint_fill(struct replica *r, const struct rblock *block, const struct checkpoint_shown *shown, struct execution_job *job) {
    job->checkpoint = true;
    if (!r->replaying) r->checkpoint_begun_us = r->now_us;
    job->description = (struct state_checkpoint){.epoch = block->header.place.epoch, .height = block->header.height};
    memcpy(job->description.block_id, block->id.bytes, sizeof job->description.block_id);
    blob_add(job, "tip", tip_make(block));
    blob_add(job, "child", checkpoint_blob_child(shown));
    blob_add(job, "queues", queue_save(r));
    struct blob *chain = epoch_undurable(r);
    if (chain != NULL) blob_add(job, "chain", chain);
}

void recovery_checkpoint(struct replica *r, const struct rblock *block, struct execution_job *job) {
    const struct rblock *parent = r->final_last != NONE ? &r->blocks[r->final_last] : NULL;
    struct checkpoint_shown shown = {.sealed = false};
    if (r->replaying || parent == NULL || block->result.config_kind == EXEC_CONFIG_SEAL || !is_checkpoint_block(r, &parent->header)) return;
    if (!child_proves(parent, block, &shown)) return;
    block_certificates_save(r); /* a restart from this checkpoint has only the store's to serve blocks up to it by */
    checkpoint_fill(r, parent, &shown, job);
}

void recovery_checkpoint_sealed(struct replica *r, const struct rblock *block, struct execution_job *job) {
    struct checkpoint_shown shown = {.sealed = true};
    tree_hash path[TREE_PROOF_HASHES_MAX];
    if (block->result.config_kind != EXEC_CONFIG_SEAL || !child_proves(block, block, &shown)) return;
    shown.path = (const tree_hash *)path;
    shown.path_count = (uint32_t)tree_levels_prove(&block->levels, block->result.output_count - 1, path);
    if (!r->replaying) block_certificates_save(r);
    job->checkpoint_own = true;
    checkpoint_fill(r, block, &shown, job);
}

/* P-50. Which of TRANSFER_CLIENTS this client is; who has asked nothing for a while makes room for another. False: all are taken. */
static bool transfer_client_slot(struct replica *r, uint32_t client, uint8_t *slot) {
    bool found = false;
    for (uint8_t i = 0; i < TRANSFER_CLIENTS; i++) {
        uint64_t asked_ms = r->transfer_clients[i].asked_ms;
        bool own = asked_ms != 0 && r->transfer_clients[i].client == client;
        bool free = asked_ms == 0 || r->now_ms - asked_ms >= TRANSFER_CLIENT_MS;
        if (own || (free && !found)) *slot = i;
        if (own) return true;
        found |= free;
    }
    return found;
}

void recovery_client_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    if (from.index >= r->client_count || r->clients[from.index].revoked || !r->clients[from.index].may_read_all) {
        drop_count(r, DROP_TRANSFER_RIGHTS);
        return;
    }
    if (!transfer_client_slot(r, from.index, &from.member)) {
        drop_count(r, DROP_RATE);
        return;
    }
    r->transfer_clients[from.member].client = from.index;
    r->transfer_clients[from.member].asked_ms = r->now_ms > 0 ? r->now_ms : 1;
    if (!transfer_question_allowed(r, &r->transfer_clients[from.member].rate, type, payload.count, TRANSFER_CLIENT_QUERIES_PER_SECOND)) return;
    transfer_frame_tell(r, from, type, payload);
}

void replica_transfer_send(struct replica *r, uint8_t member, uint16_t type, struct blob *blob) {
    struct replica_peer to = member < TRANSFER_OBSERVER ? peer_member(member) : peer_observer(member - (uint32_t)TRANSFER_OBSERVER);
    if (member >= TRANSFER_CLIENT) to = (struct replica_peer){.kind = REPLICA_CLIENT, .index = r->transfer_clients[member - TRANSFER_CLIENT].client};
    output_send_blob(r, to, type, blob);
}

void replica_transfer_bad(struct replica *r, uint8_t member) {
    attack_seen(r, ATTACK_BAD_PIECE, peer_member(member));
}

void replica_transfer_hold(struct replica *r, uint64_t height) {
    r->hold_height = height;
    r->hold_ms = r->now_ms;
}

uint32_t replica_epochs(const struct replica *r) {
    return r->epoch_count;
}

void replica_epoch(const struct replica *r, uint64_t number, struct transfer_epoch *out) {
    const struct epoch *epoch = &r->epochs[number];
    int me = config_member_by_signing_key(&epoch->config->members, r->signing_key);
    *out = (struct transfer_epoch){.members = epoch->members,
                                   .member = me < 0 ? BFT_MEMBERS_MAX : (uint8_t)me,
                                   .limits = epoch->config->limits,
                                   .timeouts = epoch->config->timeouts};
    if (number == 0) return;
    const struct blob *entry = r->epochs[number - 1].entry; /* S-100 */
    struct bytes_cursor cursor = bytes_cursor_of(entry->bytes, entry->count);
    (void)bytes_get_raw(&cursor, BFT_HEADER_BYTES);
    (void)bytes_get_raw(&cursor, bytes_get_u32(&cursor));
    (void)bytes_get_raw(&cursor, bytes_get_u32(&cursor));
    out->certificate_bytes = bytes_get_u32(&cursor);
    out->certificate = bytes_get_raw(&cursor, out->certificate_bytes);
    CHECK(bytes_finished(&cursor)); /* the chain took it */
}

const struct bft_members *replica_members(const struct replica *r) {
    return &r->members;
}

const struct config *replica_config_in_force(const struct replica *r) {
    return &r->config;
}

bool recovery_others_ahead(const struct replica *r, uint64_t by) {
    uint32_t ahead = 0;
    if (later_is(r)) return later_others_ahead(r, by);
    for (uint32_t i = 0; i < r->members.n; i++) {
        if (i != r->me && r->has_peer_status[i] && r->peer_status[i].final.height > r->tip_height + by) ahead++;
    }
    return ahead > r->members.f; /* one of them is honest */
}

/* Blocks that peers have would have come by now, were they there, or this disk had time for them. Who are peers, the chain may have to tell first. */
void recovery_tick(struct replica *r) {
    uint64_t patience = (uint64_t)LACKING_FETCHES * r->config.timeouts.fetch_ms;
    if (patience < LACKING_MS_MIN) patience = LACKING_MS_MIN;
    bool ahead = recovery_others_ahead(r, 0);
    if (r->tip_height != r->tip_moved || !ahead || r->behind || r->tip_moved_ms == 0) {
        r->tip_moved = r->tip_height;
        r->tip_moved_ms = r->now_ms;
    }
    later_look(r, patience);
    bool lacking = r->now_ms - r->tip_moved_ms >= patience;
    if (!lacking && !r->lacking_told) return;
    if (lacking && r->lacking_told && r->now_ms - r->lacking_told_ms < LACKING_AGAIN_MS) return;
    r->lacking_told = lacking;
    r->lacking_told_ms = r->now_ms;
    struct replica_output *output = output_add(r, REPLICA_LACKING);
    output->sequence = r->tip_height;
    output->lacking = lacking;
}

/* ---- pruning ---- */

/*
 * Up to where blocks may go (P-60). What a checkpoint covers may go when it is durable and can be shown, its child being final. What a member still
 * lacks is kept even then, as far as the checkpoint before: who is behind by less fetches blocks, which costs everybody less; who is behind by more
 * takes a checkpoint, so that a member that is gone makes nobody's disk grow. While one takes a checkpoint from here, and for a minute after, the
 * blocks above that are kept: else it would find them gone again when it is done. A hold ends by itself, since a checkpoint is served no longer than
 * until two newer ones are there, or five minutes while it is asked for (transfer_kept.c); and before the store is full (node_transfer.c).
 */
static uint64_t prune_limit(const struct replica *r) {
    uint64_t to = r->tip_height > r->checkpoint_height ? r->checkpoint_height : r->checkpoint_before;
    for (uint32_t i = 0; i < r->members.n; i++) {
        if (i == r->me) continue;
        uint64_t final = r->has_peer_status[i] ? r->peer_status[i].final.height : r->genesis_height;
        if (final < to) to = final;
    }
    if (to < r->checkpoint_before) to = r->checkpoint_before;
    bool held = r->hold_ms != 0 && r->now_ms - r->hold_ms < HOLD_MS && r->hold_height < to;
    return held ? r->hold_height : to;
}

/* P-1: a block that is held, and maybe prepared, needs its inputs on disk, also one that names what was decided long ago. */
static void prune_mark(struct replica *r) {
    r->prune_turn++;
    for (uint32_t i = 0; i < r->blocks_used_max; i++) {
        const struct rblock *block = &r->blocks[i];
        for (uint32_t ref = 0; block->used && !block->final && block->inputs != NULL && ref < block->ref_count; ref++) {
            if (block->inputs[ref] != NONE) r->inputs[block->inputs[ref]].prune_turn = r->prune_turn;
        }
    }
}

static int orphan_order(const void *a, const void *b) {
    const struct orphan *one = a, *other = b;
    int order = memcmp(one->hash, other->hash, 32);
    return order != 0 ? order : (one->height > other->height) - (one->height < other->height);
}

/* Of several entries of one input the highest counts: a block of that height names it. They come of inputs that were orphaned, came again, and were
 * orphaned again. */
static void orphans_unite(struct replica *r) {
    uint32_t kept = 0;
    if (r->orphan_count == 0) return;
    qsort(r->orphans, r->orphan_count, sizeof *r->orphans, orphan_order);
    for (uint32_t i = 1; i < r->orphan_count; i++) {
        bool same = memcmp(r->orphans[i].hash, r->orphans[kept].hash, 32) == 0;
        r->orphans[same ? kept : ++kept] = r->orphans[i];
    }
    r->orphan_count = kept + 1;
}

/* Who is in the pool and stored is deleted with the block that names it, or orphaned again; an input that only waits for what may be stored
 * of it keeps its entry. */
static bool prune_orphans(struct replica *r, uint64_t end, uint32_t budget) {
    uint32_t kept = 0;
    bool all = true;
    orphans_unite(r);
    for (uint32_t i = 0; i < r->orphan_count; i++) {
        const struct orphan *orphan = &r->orphans[i];
        uint32_t index = orphan->height <= end ? input_find(r, orphan->hash) : NONE;
        bool keep = orphan->height > end || (index != NONE && !r->inputs[index].persisted);
        if (!keep && index == NONE) {
            keep = budget == 0;
            all = all && !keep;
            if (!keep) persist_delete(r, WAL_INPUTS, orphan->hash, 32);
            budget -= !keep;
        }
        if (keep) r->orphans[kept++] = *orphan;
    }
    r->orphan_count = kept;
    return all;
}

/* Deletes inputs of blocks up to this height, the decided ones in order. False: there are more. */
static bool prune_inputs(struct replica *r, uint64_t end) {
    uint32_t budget = PRUNE_INPUTS_AT_ONCE;
    prune_mark(r);
    for (uint32_t index = r->done.first; index != NONE && r->inputs[index].decided_height <= end;) {
        uint32_t next = r->inputs[index].list_next;
        struct input *input = &r->inputs[index];
        if (input->prune_turn == r->prune_turn) { /* let go with its block: replica_block.c */
            index = next;
            continue;
        }
        if (input->persisted && budget-- == 0) return false;
        if (input->persisted) persist_delete(r, WAL_INPUTS, input->hash, 32);
        input->persisted = false;
        if (input->in_blocks == 0) input_free(r, index);
        index = next;
    }
    return prune_orphans(r, end, budget);
}

void recovery_prune(struct replica *r) {
    uint64_t to = prune_limit(r);
    if (to <= r->pruned_height) return;
    uint64_t end = to - r->pruned_height > PRUNE_BLOCKS_AT_ONCE ? r->pruned_height + PRUNE_BLOCKS_AT_ONCE : to;
    /* Past the end of an epoch all that is left of it goes, suffix blocks of a crash included. */
    uint64_t epoch = epoch_of_height(r, r->pruned_height + 1), after = epoch_of_height(r, end + 1);
    if (epoch != after) end = r->epochs[after].members.start.height;
    if (!prune_inputs(r, end)) return; /* more of them with the next write; the blocks, by which a restart finds inputs, go last */
    static const uint8_t no_id[32];
    uint8_t key[WAL_KEY_BYTES_MAX], key_end[WAL_KEY_BYTES_MAX];
    size_t bytes = wal_key_block(key, epoch, r->pruned_height + 1, no_id, 0);
    (void)wal_key_block(key_end, after, epoch == after ? end + 1 : 0, no_id, 0);
    persist_delete_range(r, WAL_BLOCKS, key, key_end, bytes);
    r->pruned_height = end;
}
