/* From the store into executor and replica. What is read was proved when it was written, and is proved again: checksums, hashes, roots,
 * certificates. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/node/node.h"
#include "appliance/node/node_genesis.h"
#include "bft/wire.h"
#include "merkle/check.h"
#include "protocol/body.h"

static bool refuse(struct node *node, char text[NODE_TEXT_BYTES], const char *what) {
    snprintf(text, NODE_TEXT_BYTES,
             "%.400s: %s; the data directory is damaged: start it no more, nor a copy of it; make a new key and data, have the member replaced",
             node->config.data, what);
    return false;
}

/* A blob of the checkpoint, malloc'd; NULL: not there or not whole. */
static uint8_t *blob_read(struct state_reader *reader, const char *name, size_t *count) {
    *count = 0;
    enum store_status status = state_read_blob(reader, name, NULL, 0, count);
    if (status != STORE_TOO_LONG && status != STORE_OK) return NULL;
    uint8_t *bytes = malloc(*count + 1);
    CHECK(bytes != NULL);
    if (*count == 0 || state_read_blob(reader, name, bytes, *count, count) == STORE_OK) return bytes;
    free(bytes);
    return NULL;
}

/* A part that not every checkpoint has: one that is there and not whole must not pass for none. A scrub would find it again and again (P-22). */
static bool part_is_damaged(struct state_reader *reader, const char *name, const uint8_t *bytes) {
    size_t count;
    return bytes == NULL && state_read_blob(reader, name, NULL, 0, &count) != STORE_ABSENT;
}

static bool entries_load(struct node *node, struct state_reader *reader) {
    enum { ENTRIES_TOLD = 256 };
    uint64_t loaded = 0;
    struct table_entry entry;
    enum store_status status;
    executor_load_begin(node->executor);
    while ((status = state_read_entry(reader, &entry, NULL)) == STORE_OK) {
        if (executor_load_entry(node->executor, &entry) != EXEC_VALID || !replica_restore_client(node->replica, &entry)) return false;
        if (++loaded % ENTRIES_TOLD == 0) node_progress(node, ENTRIES_TOLD);
    }
    return status == STORE_ABSENT;
}

/* NULL, or what is wrong with it. */
static const char *checkpoint_load(struct node *node, struct state_reader *reader) {
    const struct state_checkpoint *checkpoint = state_reader_checkpoint(reader);
    size_t work_bytes, tip_bytes, queues_bytes, child_bytes, chain_bytes;
    uint8_t *work = blob_read(reader, EXECUTOR_WORK_BLOB, &work_bytes), *tip = blob_read(reader, "tip", &tip_bytes),
            *queues = blob_read(reader, "queues", &queues_bytes), *child = blob_read(reader, "child", &child_bytes);
    const struct replica_checkpoint blobs = {.tip = tip, .queues = queues, .child = child,
                                             .tip_bytes = tip_bytes, .queues_bytes = queues_bytes, .child_bytes = child_bytes};
    uint8_t *chain = blob_read(reader, "chain", &chain_bytes); /* only in one that may have become durable before its CONFIG's own record */
    const char *why = "the checkpoint lacks a part, or it is damaged";
    bool good = work != NULL && tip != NULL && queues != NULL && !part_is_damaged(reader, "child", child) && !part_is_damaged(reader, "chain", chain);
    if (good && chain != NULL && !replica_restore_chain_payload(node->replica, chain, chain_bytes)) {
        why = "the checkpoint's chain of CONFIGs does not verify";
        good = false;
    }
    if (good && !replica_restore_checkpoint(node->replica, checkpoint, &blobs, &why)) good = false;
    if (good) {
        struct bytes_cursor cursor = bytes_cursor_of(tip, tip_bytes);
        struct bft_header header;
        good = bft_header_get(&cursor, &header);
        struct exec_position position = {.height = header.height, .time = header.time};
        memcpy(position.cursors_hash, header.cursors_hash.bytes, 32);
        why = "the checkpoint's entries do not give its state root";
        good = good && entries_load(node, reader) &&
               executor_load_end(node->executor, &position, checkpoint->state_root, work, work_bytes) == EXEC_VALID;
    }
    free(chain);
    free(work);
    free(tip);
    free(queues);
    free(child);
    return good ? NULL : why;
}

static bool inherited(void *context, const struct table_entry *entry) {
    struct node *node = context;
    return replica_restore_client(node->replica, entry);
}

/* There is no checkpoint yet: genesis, which every node makes itself. */
static bool genesis_load(struct node *node, char text[NODE_TEXT_BYTES]) {
    char why[NODE_GENESIS_TEXT_BYTES];
    uint8_t root[32];
    if (node->inherits) {
        if (!node_genesis_inherit(&node->config, node->system, node->cluster, node->executor, inherited, node, root, why)) {
            snprintf(text, NODE_TEXT_BYTES, "%s; a node of a successor needs it until it has a checkpoint", why);
            return false;
        }
        if (memcmp(root, node->genesis_root, sizeof root) != 0) return refuse(node, text, "its genesis is not the one that it was made with");
    }
    return execution_genesis(node->execution) || refuse(node, text, "genesis cannot be written");
}

static enum node_restored state_load(struct node *node, char text[NODE_TEXT_BYTES]) {
    struct state_reader *reader;
    enum store_status status = state_reader_open(node->state, &reader);
    const char *why = NULL;
    if (status == STORE_ABSENT) {
        if (!genesis_load(node, text)) return NODE_RESTORE_FAILED;
    } else if (status == STORE_DAMAGED) {
        why = "the description of the checkpoint is damaged";
    } else if (status != STORE_OK) {
        (void)refuse(node, text, store_status_name(status));
        return NODE_RESTORE_FAILED;
    } else {
        why = checkpoint_load(node, reader);
        state_reader_close(reader);
    }
    if (why != NULL) {
        snprintf(text, NODE_TEXT_BYTES, "%s", why);
        return NODE_STATE_LOST;
    }
    for (uint32_t i = 0; i < executor_pairs(node->executor); i++) {
        struct exec_pair pair;
        executor_pair_at(node->executor, i, true, &pair);
        struct execution_pair cursors = {
            .cluster = pair.cluster, .consumed_dseq = pair.consumed_dseq, .sent_dseq = pair.sent_dseq, .acked_dseq = pair.acked_dseq,
            .epoch = pair.epoch};
        replica_restore_pair(node->replica, &cursors);
    }
    return NODE_RESTORED;
}

/* ---- the write-ahead store ---- */

/* The value under a key, malloc'd; NULL: not there, or not whole, which is the same where it can come again from peers. */
static uint8_t *value_read(struct wal_reader *reader, enum wal_db db, const uint8_t *key, size_t *count) {
    uint8_t *value;
    if (wal_read_whole(reader, db, key, &value, count) == STORE_OK && *count > 0) return value;
    free(value);
    return NULL;
}

/* *value is the record, malloc'd, or NULL if there is none. False: there is one, and it is not whole; that must not pass for none (P-2). */
static bool record_read(struct wal_reader *reader, enum wal_db db, const uint8_t *key, uint8_t **value, size_t *bytes) {
    enum store_status status = wal_read_whole(reader, db, key, value, bytes);
    if (status != STORE_OK || *bytes > 0) return status == STORE_OK || status == STORE_ABSENT;
    free(*value);
    *value = NULL;
    return false;
}

static bool vote_read(struct wal_reader *reader, const uint8_t *key, uint8_t **value, size_t *bytes) {
    return record_read(reader, WAL_VOTES, key, value, bytes);
}

static bool successor_load_known(struct node *node, struct wal_reader *reader) {
    uint8_t key[WAL_KEY_BYTES_MAX] = {0}, *value;
    size_t bytes = 0;
    replica_successor_key(key);
    bool good = record_read(reader, WAL_MISC, key, &value, &bytes) && (value == NULL || replica_restore_successor(node->replica, value, bytes));
    free(value);
    return good;
}

static bool votes_load(struct node *node, struct wal_reader *reader, char text[NODE_TEXT_BYTES]) {
    static const char damaged[] = "the voting memory is damaged, so what this node signed last is not known: its key must not sign again; replace it";
    uint8_t key[WAL_KEY_BYTES_MAX], *value;
    size_t bytes = 0;
    (void)wal_key_vote(key, WAL_VOTE_RETIRED, 0, 0, 0);
    if (!vote_read(reader, key, &value, &bytes)) return refuse(node, text, damaged);
    /* Before there were causes it was a word; what is there in any other form retires too. */
    enum replica_retired retired = value == NULL ? REPLICA_IN_OFFICE : REPLICA_RETIRED;
    if (value != NULL && bytes == 1 && *value > REPLICA_IN_OFFICE && *value < REPLICA_RETIRED_COUNT) retired = (enum replica_retired)*value;
    if (retired == REPLICA_IN_OFFICE && node->config.retired) retired = REPLICA_GIVEN_UP; /* node.conf says so at each start from now on */
    free(value);
    (void)wal_key_vote(key, WAL_VOTE_CORE, 0, 0, 0);
    if (!vote_read(reader, key, &value, &bytes)) return refuse(node, text, damaged);
    bool good = replica_restore_memory(node->replica, value, bytes, retired);
    free(value);
    if (!good) return refuse(node, text, "the voting memory does not decode");
    if (!successor_load_known(node, reader)) return refuse(node, text, "the statement by which this node left its system is damaged");
    static const uint8_t kinds[] = {WAL_VOTE_PEER_PREPARE, WAL_VOTE_PEER_COMMIT, WAL_VOTE_PEER_TIMEOUT};
    for (size_t kind = 0; kind < sizeof kinds; kind++) {
        for (uint8_t member = 0; member < BFT_MEMBERS_MAX; member++) {
            (void)wal_key_vote(key, kinds[kind], member, 0, 0);
            if (!vote_read(reader, key, &value, &bytes)) return refuse(node, text, "what members signed last is damaged");
            good = value == NULL || replica_restore_peer_item(node->replica, kinds[kind], member, value, bytes);
            free(value);
            if (!good) return refuse(node, text, "what members signed last does not decode");
        }
    }
    return true;
}

static bool inputs_load(struct node *node, struct wal_reader *reader, const uint8_t *body, size_t body_bytes) {
    size_t room = body_bytes / BODY_REFERENCE_BYTES + 1;
    uint8_t(*hashes)[32] = malloc(room * sizeof *hashes);
    CHECK(hashes != NULL);
    long count = replica_body_inputs(node->replica, body, body_bytes, hashes, room);
    bool good = true;
    for (long i = 0; good && i < count; i++) {
        uint8_t key[WAL_KEY_BYTES_MAX] = {0};
        size_t bytes = 0;
        memcpy(key, hashes[i], 32);
        uint8_t *value = value_read(reader, WAL_INPUTS, key, &bytes);
        /* Not there: the block was stored by fetching before its inputs came; they are fetched again. */
        good = value == NULL || replica_restore_input(node->replica, hashes[i], value, bytes);
        free(value);
    }
    free(hashes);
    return good;
}

/* A final block is executed again before the next one is read: what is in memory stays bounded. False: it does not give what it gave. */
static bool replay(struct node *node, char text[NODE_TEXT_BYTES]) {
    struct replica_output output;
    bool good = true;
    while (replica_next(node->replica, &output)) {
        if (output.kind == REPLICA_JOB) {
            execution_run(node->execution, output.job);
            replica_job_done(node->replica, output.job);
            node_progress(node, 1);
        } else if (output.kind == REPLICA_NOTE) {
            node_note(&output);
        } else if (output.kind == REPLICA_STOP) {
            snprintf(text, NODE_TEXT_BYTES, "%s", output.text);
            good = false;
        }
    }
    return good;
}

static bool block_load(struct node *node, struct wal_reader *reader, const uint8_t *header_key, const uint8_t *certified, size_t certified_bytes) {
    uint64_t epoch, height;
    const uint8_t *id;
    uint8_t part, key[WAL_KEY_BYTES_MAX];
    size_t header_bytes = 0, body_bytes = 0;
    wal_key_block_read(header_key, &epoch, &height, &id, &part);
    uint8_t *header = value_read(reader, WAL_BLOCKS, header_key, &header_bytes);
    (void)wal_key_block(key, epoch, height, id, WAL_PART_BODY);
    uint8_t *body = value_read(reader, WAL_BLOCKS, key, &body_bytes);
    bool good = header != NULL;
    if (good && body != NULL) {
        bool mine = certified_bytes > BFT_HEADER_BYTES && header_bytes == BFT_HEADER_BYTES && memcmp(certified, header, BFT_HEADER_BYTES) == 0;
        good = inputs_load(node, reader, body, body_bytes) &&
               replica_restore_block(node->replica, header, header_bytes, body, body_bytes, mine ? certified + BFT_HEADER_BYTES : NULL,
                                     mine ? certified_bytes - BFT_HEADER_BYTES : 0);
    }
    free(header);
    free(body);
    return good;
}

/* Blocks up to the checkpoint are not needed here; the replica learns which there are, for pruning. */
static void old_blocks_load(struct node *node, struct wal_reader *reader, uint64_t to) {
    uint8_t key[WAL_KEY_BYTES_MAX] = {0};
    enum store_status status = wal_read_next(reader, WAL_BLOCKS, key, false);
    while (status == STORE_OK) {
        uint64_t epoch, height;
        const uint8_t *id;
        uint8_t part;
        size_t body_bytes = 0;
        wal_key_block_read(key, &epoch, &height, &id, &part);
        if (height > to) { /* of an epoch that ended: the next one goes on below */
            static const uint8_t no_id[32];
            (void)wal_key_block(key, epoch + 1, 0, no_id, 0);
            status = wal_read_next(reader, WAL_BLOCKS, key, false);
            continue;
        }
        uint8_t *body = part == WAL_PART_BODY ? value_read(reader, WAL_BLOCKS, key, &body_bytes) : NULL;
        if (body != NULL) replica_restore_pruned(node->replica, height, body, body_bytes);
        free(body);
        status = wal_read_next(reader, WAL_BLOCKS, key, true);
    }
}

/* Keys ascend by epoch and height, and under each height the certificate (id of zeros) comes first. */
static bool blocks_load(struct node *node, struct wal_reader *reader, uint64_t from_epoch, uint64_t from, char text[NODE_TEXT_BYTES]) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    static const uint8_t no_id[32];
    (void)wal_key_block(key, from_epoch, from, no_id, 0);
    uint8_t *certified = NULL;
    size_t certified_bytes = 0;
    bool good = true;
    enum store_status status = wal_read_next(reader, WAL_BLOCKS, key, false);
    while (good && status == STORE_OK) {
        uint64_t epoch, height;
        const uint8_t *id;
        uint8_t part;
        wal_key_block_read(key, &epoch, &height, &id, &part);
        if (part == WAL_PART_CERTIFICATE) {
            free(certified);
            certified = value_read(reader, WAL_BLOCKS, key, &certified_bytes);
            if (certified == NULL) certified_bytes = 0;
        } else if (part == WAL_PART_HEADER) {
            good = block_load(node, reader, key, certified, certified_bytes);
            if (good && !replay(node, text)) {
                free(certified);
                return false;
            }
        }
        status = wal_read_next(reader, WAL_BLOCKS, key, true);
    }
    free(certified);
    if (good && status == STORE_ABSENT) return true;
    return refuse(node, text, "a stored block or input does not match its hash");
}

/* Inputs that were stored before any block named them, and of blocks that lost: a crash forgot that they were to be deleted. */
static void strays_load(struct node *node, struct wal_reader *reader) {
    uint8_t key[WAL_KEY_BYTES_MAX], part;
    uint64_t epoch, last = 0;
    const uint8_t *id;
    memset(key, 0xFF, sizeof key);
    if (wal_read_last(reader, WAL_BLOCKS, key) == STORE_OK) wal_key_block_read(key, &epoch, &last, &id, &part);
    memset(key, 0, sizeof key);
    for (bool after = false; wal_read_next(reader, WAL_INPUTS, key, after) == STORE_OK; after = true) replica_restore_stray(node->replica, key, last);
}

/* The chain of CONFIGs comes first: it says who certified all the rest. It ends where no record is, and none comes behind: one that is damaged, or
 * that a damaged tree hides, is no end. A node that took it for one would go on in an epoch that is over. */
static bool chain_load(struct node *node, struct wal_reader *reader, char text[NODE_TEXT_BYTES]) {
    static const char damaged[] = "the chain of CONFIGs is damaged, so who the members are is not known; make this node's data anew (its key must "
                                  "not sign again), and check the disk";
    for (uint64_t serial = 1;; serial++) {
        uint8_t key[WAL_KEY_BYTES_MAX], *value;
        size_t bytes = 0;
        (void)wal_key_chain(key, serial);
        if (!record_read(reader, WAL_CHAIN, key, &value, &bytes)) return refuse(node, text, damaged);
        if (value == NULL) return wal_read_next(reader, WAL_CHAIN, key, false) == STORE_ABSENT || refuse(node, text, damaged);
        bool good = replica_restore_chain(node->replica, serial, value, bytes);
        free(value);
        if (!good) return refuse(node, text, "the chain of CONFIGs does not verify");
    }
}

static bool pair_chains_load(struct node *node, struct wal_reader *reader, char text[NODE_TEXT_BYTES]) {
    const struct system *system = node->system;
    for (uint32_t i = 0; i < system->coordinators_count + system->shards_count; i++) {
        uint32_t cluster = system->clusters[i].cluster;
        if (config_cluster_is_coordinator(cluster) == config_cluster_is_coordinator(node->cluster)) continue;
        for (uint64_t serial = 1;; serial++) {
            uint8_t key[WAL_KEY_BYTES_MAX], *value;
            size_t bytes = 0;
            replica_pair_chain_key(key, cluster, serial);
            if (!record_read(reader, WAL_MISC, key, &value, &bytes))
                return refuse(node, text, "the chain of CONFIGs of another cluster is damaged: make this node's data anew, and check the disk");
            if (value == NULL) break;
            bool good = replica_restore_pair_chain(node->replica, cluster, value, bytes);
            free(value);
            if (!good) return refuse(node, text, "the chain of CONFIGs of another cluster does not verify");
        }
    }
    return true;
}

static void announced_load(struct node *node, struct wal_reader *reader) {
    for (uint32_t i = 0; i < REPLICA_ANNOUNCED_MAX; i++) {
        uint8_t key[WAL_KEY_BYTES_MAX];
        size_t bytes = 0;
        replica_announced_key(i, key);
        uint8_t *value = value_read(reader, WAL_MISC, key, &bytes);
        if (value != NULL) replica_restore_announced(node->replica, i, value, bytes);
        free(value);
    }
}

/* Blocks that do not reach down to the state, which was lost: nothing can be executed again before a checkpoint has come from peers. Only the newest
 * are read then, those that this node may have prepared: members may have to fetch them. */
static uint64_t blocks_from(struct node *node, struct wal_reader *reader, uint64_t from) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    static const uint8_t no_id[32];
    uint64_t epoch, first, last;
    const uint8_t *id;
    uint8_t part;
    (void)wal_key_block(key, 0, 0, no_id, 0);
    if (wal_read_next(reader, WAL_BLOCKS, key, false) != STORE_OK) return from;
    wal_key_block_read(key, &epoch, &first, &id, &part);
    memset(key, 0xFF, sizeof key);
    if (first <= from || wal_read_last(reader, WAL_BLOCKS, key) != STORE_OK) return from;
    wal_key_block_read(key, &epoch, &last, &id, &part);
    uint64_t window = 2 * (uint64_t)node->system->limits.window_blocks;
    return last > from + window ? last - window : from;
}

static enum node_restored restore_all(struct node *node, struct wal_reader *reader, char text[NODE_TEXT_BYTES]) {
    if (!chain_load(node, reader, text) || !pair_chains_load(node, reader, text)) return NODE_RESTORE_FAILED;
    enum node_restored restored = state_load(node, text);
    if (restored != NODE_RESTORED) return restored;
    announced_load(node, reader);
    struct status_replica *at = malloc(sizeof *at);
    CHECK(at != NULL);
    replica_status(node->replica, at);
    old_blocks_load(node, reader, at->final_height);
    uint64_t from = blocks_from(node, reader, at->final_height + 1);
    bool good = votes_load(node, reader, text) && blocks_load(node, reader, at->epoch, from, text);
    if (good) strays_load(node, reader);
    free(at);
    return good ? NODE_RESTORED : NODE_RESTORE_FAILED;
}

enum node_restored node_restore(struct node *node, char text[NODE_TEXT_BYTES]) {
    struct wal_reader *reader;
    enum store_status status = wal_reader_open(node->wal, &reader);
    if (status != STORE_OK) {
        (void)refuse(node, text, store_status_name(status));
        return NODE_RESTORE_FAILED;
    }
    enum node_restored restored = restore_all(node, reader, text);
    wal_reader_close(reader);
    return restored;
}
