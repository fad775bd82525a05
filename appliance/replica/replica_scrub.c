/*
 * What a scrub finds, and what becomes of it. Each repair is one that needs no trust in what failed:
 *
 *   memory (table, trie)    the node opens itself anew: checkpoint and blocks are read again, and nothing is believed that does not give the
 *                           certified roots (P-8, P-36). One bit that changed may not be the only one, so nothing of the old memory is kept. It votes
 *                           only when it has asked LAST-SIGNED again.
 *   checkpoint              the same. Opening computes the root again; if it is another, the checkpoint is dropped and taken from peers, piece by
 *                           piece, each proved against the certified root (P-40); until then the node votes for nothing that it cannot execute.
 *   block                   what this process still holds in memory was verified when it came, and is written once more. What it holds no more is
 *                           final: the record is removed, and the block fetched again from one member after the other, by its certificate (B-13).
 *                           Until it comes the node lacks it as every node may: peers ask another one, a start fetches it, the next checkpoint
 *                           replaces it.
 *   input                   likewise; one that is in memory no more is removed, and a start that needs it fetches it by its hash.
 *   CONFIG chain            written once more from memory: each step was verified (S-100).
 *   misc                    the root of an inherited genesis, chains of other clusters, the statement by which this node left, the CONFIG whose new
 *                           members observe: written once more from memory, where each was verified. Some of it nobody else has, so none is ever
 *                           removed: one that memory does not have is left as it is, and this is said each time that it is found.
 *   items of other members  (P-7) written once more from memory: they are signed by their members.
 *   own voting memory       the key is retired (P-15). The memory of this process still knows what it signed; but a disk that loses this record may
 *                           lose the next one, and the one start that then reads an older one forks.
 *   the tree of the wal     nothing in it can be relied on: the node stops, and does not start from it (P-2).
 *
 * A removed record is not lost evidence of a vote: votes are never removed.
 */
#include "appliance/base/scrub_pace.h"
#include "appliance/replica/replica_private.h"

enum { SCRUB_STEP_MS = 50, SCRUB_STEP_MS_MAX = 1000, SCRUB_LOOK_MS = 10000, SCRUB_RECORDS_MIN = 100, SCRUB_RECORDS_AT_ONCE = 400 };
enum { HEX_BYTES = 20, REPAIR_ROUNDS = 3 };

static const char *hex(const uint8_t *bytes, size_t count, char out[2 * HEX_BYTES + 1]) {
    out[0] = '\0';
    for (size_t i = 0; i < count && i < HEX_BYTES; i++) snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return out;
}

/* ---- blocks that come again ---- */

static void repair_want(struct replica *r, uint64_t height) {
    if (height <= r->pruned_height || height > r->tip_height || r->scrub.repair_count == REPAIRS_MAX) return;
    for (uint32_t i = 0; i < r->scrub.repair_count; i++) {
        if (r->scrub.repairs[i].height == height) return;
    }
    r->scrub.repairs[r->scrub.repair_count++] = (struct repair){.height = height};
}

static void repair_ask(struct replica *r, struct repair *repair) {
    uint32_t member = (r->me + 1 + repair->tries++) % r->members.n;
    repair->asked_ms = r->now_ms;
    if (member == r->me || !r->member_up[member]) return; /* the next one in its turn */
    struct bft_message *message = calloc(1, sizeof *message);
    CHECK(message != NULL);
    message->type = BFT_MESSAGE_FETCH;
    message->fetch = (struct bft_fetch){.cluster = r->cluster, .kind = BFT_FETCH_HEIGHTS, .height_first = repair->height, .height_count = 1};
    memcpy(message->fetch.system_id, r->members.place.system_id, BFT_SYSTEM_BYTES);
    size_t bytes = bft_wire_encode(message, r->scratch, BFT_WIRE_HEAD_BYTES_MAX);
    r->status.fetches++;
    output_send_blob(r, peer_member(member), BFT_MESSAGE_FETCH, blob_copy(r->scratch, bytes));
    free(message);
}

static void repairs_tick(struct replica *r) {
    for (uint32_t i = 0; i < r->scrub.repair_count;) {
        struct repair *repair = &r->scrub.repairs[i];
        if (repair->height <= r->pruned_height || repair->tries > REPAIR_ROUNDS * r->members.n) {
            *repair = r->scrub.repairs[--r->scrub.repair_count];
            continue;
        }
        if (repair->tries == 0 || r->now_ms - repair->asked_ms >= r->config.timeouts.fetch_ms) repair_ask(r, repair);
        i++;
    }
}

static void block_persist(struct replica *r, const struct bft_message *message, struct blob_piece body) {
    static const uint8_t no_id[32];
    const struct bft_header *header = &message->block.header;
    uint8_t key[WAL_KEY_BYTES_MAX];
    struct blob *head = blob_make(BFT_HEADER_BYTES), *certificate = blob_make(BFT_CERTIFICATE_BYTES_MAX);
    struct bytes_writer writer = bytes_writer_of(head->bytes, BFT_HEADER_BYTES);
    bft_header_put(&writer, header);
    struct bytes_writer proof = bytes_writer_of(certificate->bytes, BFT_CERTIFICATE_BYTES_MAX);
    bft_certificate_put(&proof, &message->block.certificate);
    CHECK(!writer.failed && !proof.failed);
    struct blob_piece pieces[2] = {{.blob = head, .count = BFT_HEADER_BYTES}, {.blob = certificate, .count = proof.used}};
    size_t bytes = wal_key_block(key, header->place.epoch, header->height, message->block_id.bytes, WAL_PART_HEADER);
    persist_put(r, WAL_BLOCKS, key, bytes, pieces, 1);
    bytes = wal_key_block(key, header->place.epoch, header->height, message->block_id.bytes, WAL_PART_BODY);
    persist_put(r, WAL_BLOCKS, key, bytes, &body, 1);
    bytes = wal_key_block(key, header->place.epoch, header->height, no_id, WAL_PART_CERTIFICATE);
    persist_put(r, WAL_BLOCKS, key, bytes, pieces, 2);
    blob_drop(head);
    blob_drop(certificate);
}

bool scrub_block_take(struct replica *r, struct replica_peer from, const struct bft_message *message, struct blob_piece payload) {
    uint32_t at = 0;
    const struct bft_header *header = &message->block.header;
    while (at < r->scrub.repair_count && r->scrub.repairs[at].height != header->height) at++;
    if (at == r->scrub.repair_count || header->height > r->tip_height) return false;
    const struct bft_members *members = epoch_members(r, header->place.epoch);
    bool good = message->block.has_certificate && members != NULL && header->place.epoch == epoch_of_height(r, header->height) &&
                bft_certificate_verify(members, &r->signer, &message->block.certificate, &message->block_id, NULL) == BFT_VERIFY_OK;
    if (!good) { /* the next member is asked in its turn */
        attack_seen(r, ATTACK_BAD_BLOCK, from);
        return true;
    }
    size_t offset = (size_t)(message->body - payload.blob->bytes);
    block_persist(r, message, (struct blob_piece){.blob = payload.blob, .offset = offset, .count = message->body_bytes});
    r->scrub.repairs[at] = r->scrub.repairs[--r->scrub.repair_count];
    r->status.scrub_repaired++;
    replica_note(r, LOG_LEVEL_INFO, "block_repaired", "height=%llu member=%u", (unsigned long long)header->height, from.member);
    return true;
}

/* ---- memory ---- */

void scrub_tick(struct replica *r) {
    repairs_tick(r);
    if (r->scrub.records_s == 0 || r->scrub.under_way || r->replaying || r->now_ms - r->scrub.up_to_ms < SCRUB_STEP_MS) return;
    uint64_t ms = r->now_ms - r->scrub.up_to_ms, records = scrub_pace_due(r->scrub.records_s, r->scrub.leaves, ms);
    if (records == 0 && ms >= SCRUB_LOOK_MS) records = 1; /* it may have grown since */
    bool few = records < SCRUB_RECORDS_MIN && records < r->scrub.leaves && ms < SCRUB_STEP_MS_MAX;
    if (records == 0 || few) return; /* time gathers: a few at a time cost more each */
    r->scrub.up_to_ms = r->now_ms;
    struct execution_job *job = job_take(r, EXECUTION_SCRUB);
    job->scrub_records = records < SCRUB_RECORDS_AT_ONCE ? (uint32_t)records : SCRUB_RECORDS_AT_ONCE;
    r->scrub.under_way = true;
    job_submit(r, job);
}

void scrub_memory_failed(struct replica *r, const char *what, const uint8_t path[32]) {
    char where[2 * HEX_BYTES + 1] = "";
    if (r->stopping) return;
    r->status.scrub_found++;
    replica_note(r, LOG_LEVEL_ERROR, "corruption_found", "store=memory what=%s path=%s do=\"check this machine's memory\"", what,
                 path != NULL ? hex(path, HEX_BYTES, where) : "?");
    replica_again(r, "what is in memory is not what was written there (%s)", what);
}

void scrub_done(struct replica *r, struct execution_job *job) {
    r->scrub.under_way = false;
    r->scrub.leaves = job->scrubbed.of;
    r->status.scrub_records += job->scrubbed.records;
    r->status.scrub_rounds += job->scrubbed.round;
    if (job->status == EXEC_CORRUPT) scrub_memory_failed(r, exec_damage_name(job->scrubbed.damage), job->scrubbed.path);
    job_give(r, job);
}

/* ---- checkpoint and tree ---- */

void replica_scrub_state(struct replica *r, const char *what) {
    if (r->stopping) return;
    r->status.scrub_found++;
    replica_note(r, LOG_LEVEL_ERROR, "corruption_found", "store=state what=\"%s\" do=\"check the disk\"", what);
    replica_again(r, "the checkpoint on the disk is not what was written there");
}

void replica_scrub_wal_tree(struct replica *r, const char *what) {
    if (r->stopping) return;
    r->status.scrub_found++;
    replica_note(r, LOG_LEVEL_ERROR, "corruption_found", "store=wal what=\"%s\" do=\"check the disk\"", what);
    replica_stop(r, "the write-ahead store is damaged (%s): what this node signed last may be lost: its key must not sign again; replace it", what);
}

/* ---- records ---- */

/* True: written once more. */
static bool vote_again(struct replica *r, const uint8_t *key) {
    if (key[0] >= WAL_VOTE_PEER_PREPARE && key[0] <= WAL_VOTE_PEER_TIMEOUT) return last_again(r, key[0], key[1]);
    last_memory_damaged(r);
    return true;
}

/* False: it is to be removed, and comes again from a member. */
static bool block_again(struct replica *r, const uint8_t *key) {
    uint64_t epoch, height;
    const uint8_t *id;
    uint8_t part;
    wal_key_block_read(key, &epoch, &height, &id, &part);
    uint32_t index = NONE;
    if (part == WAL_PART_CERTIFICATE) {
        index = r->final_at[height % BLOCKS_MAX];
    } else {
        struct bft_hash hash;
        memcpy(hash.bytes, id, sizeof hash.bytes);
        index = block_find(r, &hash);
    }
    const struct rblock *held = index != NONE ? &r->blocks[index] : NULL;
    if (held == NULL || held->header.height != height || held->header.place.epoch != epoch) {
        repair_want(r, height);
        return false;
    }
    struct rblock *block = &r->blocks[index];
    if (height <= r->pruned_height) return false; /* on its way out */
    if (part != WAL_PART_CERTIFICATE) {
        block->persisted = false;
        block_store(r, index);
        return true;
    }
    if (block->certificate == NULL) return false;
    block->certificate_saved = false;
    if (r->certificates_unsaved++ == 0) r->unsaved_since_ms = r->now_ms;
    return true;
}

static bool input_again(struct replica *r, const uint8_t *key) {
    uint32_t index = input_find(r, key);
    if (index == NONE || r->inputs[index].blob == NULL || !r->inputs[index].persisted) return false;
    input_persist(r, &r->inputs[index]);
    return true;
}

static bool chain_again(struct replica *r, const uint8_t *key) {
    uint64_t serial = 0;
    for (unsigned i = 0; i < 8; i++) serial = serial << 8 | key[i];
    return epoch_again(r, serial);
}

static bool misc_put(struct replica *r, const uint8_t *key, struct blob *blob) {
    persist_put_blob(r, WAL_MISC, key, wal_key_bytes(WAL_MISC), blob);
    return true;
}

static bool misc_again(struct replica *r, const uint8_t *key) {
    uint8_t is[WAL_KEY_BYTES_MAX];
    size_t bytes = wal_key_bytes(WAL_MISC);
    replica_genesis_key(is);
    if (memcmp(is, key, bytes) == 0) return misc_put(r, key, blob_copy(r->genesis.state_root.bytes, sizeof r->genesis.state_root.bytes));
    replica_successor_key(is);
    if (memcmp(is, key, bytes) == 0) return r->successor != NULL && misc_put(r, key, blob_hold(r->successor));
    for (uint32_t i = 0; i < REPLICA_ANNOUNCED_MAX; i++) {
        replica_announced_key(i, is);
        if (memcmp(is, key, bytes) == 0) return r->announced[i].bytes != NULL && misc_put(r, key, blob_hold(r->announced[i].bytes));
    }
    for (uint32_t i = 0; i < r->pair_count; i++) {
        const struct pair *pair = &r->pairs[i];
        for (uint32_t k = 0; k < pair->entry_count; k++) {
            replica_pair_chain_key(is, pair->cluster, k + 1);
            if (memcmp(is, key, bytes) == 0) return misc_put(r, key, blob_hold(pair->entries[k]));
        }
    }
    return false;
}

void replica_scrub_wal(struct replica *r, enum wal_db db, const uint8_t *key) {
    static const char *const names[WAL_DB_COUNT] = {"vote", "block", "input", "chain", "misc"};
    char where[2 * HEX_BYTES + 1];
    if (r->stopping || !r->started) return;
    bool again = false;
    switch (db) {
    case WAL_VOTES: again = vote_again(r, key); break;
    case WAL_BLOCKS: again = block_again(r, key); break;
    case WAL_INPUTS: again = input_again(r, key); break;
    case WAL_CHAIN: again = chain_again(r, key); break;
    case WAL_MISC: again = misc_again(r, key); break;
    case WAL_DB_COUNT: break;
    }
    bool remove = !again && (db == WAL_BLOCKS || db == WAL_INPUTS);
    if (remove) persist_delete(r, db, key, wal_key_bytes(db));
    r->status.scrub_found++;
    r->status.scrub_repaired += again || (remove && db != WAL_BLOCKS); /* a block counts when it has come */
    replica_note(r, LOG_LEVEL_ERROR, "corruption_found", "store=wal what=%s key=%s done=%s do=\"check the disk\"", names[db],
                 hex(key, wal_key_bytes(db), where), again ? "written_again" : remove ? "removed" : "nothing");
}
