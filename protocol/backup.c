#include "protocol/backup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/canonical.h"
#include "protocol/checkpoint_records.h"
#include "protocol/config_chain.h"
#include "protocol/decision.h"
#include "protocol/pending.h"
#include "protocol/slice.h"

const char *backup_error_name(enum backup_error error) {
    switch (error) {
    case BACKUP_OK: return "ok";
    case BACKUP_UNREADABLE: return "unreadable";
    case BACKUP_MISSING: return "missing";
    case BACKUP_EXTRA: return "extra";
    case BACKUP_FOREIGN: return "foreign";
    case BACKUP_BAD_CHAIN: return "bad_chain";
    case BACKUP_BAD_CHECKPOINT: return "bad_checkpoint";
    case BACKUP_BAD_PIECE: return "bad_piece";
    case BACKUP_BAD_STATE: return "bad_state";
    case BACKUP_BAD_ITEM: return "bad_item";
    case BACKUP_STOPPED: return "stopped";
    case BACKUP_NO_MEMORY: return "no_memory";
    }
    return "unknown";
}

enum backup_error backup_fault_set(struct backup_fault *fault, enum backup_error error, const char *file, const char *format, ...) {
    if (fault == NULL) return error;
    fault->error = error;
    (void)snprintf(fault->file, sizeof fault->file, "%s", file);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(fault->text, sizeof fault->text, format, arguments);
    va_end(arguments);
    return error;
}

/* ---- names ---- */

/* A decimal number without leading zeros, below 2^64; *text goes behind it. */
static bool decimal_parse(const char **text, uint64_t *out) {
    const char *at = *text;
    uint64_t number = 0;
    if (at[0] < '0' || at[0] > '9' || (at[0] == '0' && at[1] >= '0' && at[1] <= '9')) return false;
    for (; *at >= '0' && *at <= '9'; at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (number > (UINT64_MAX - digit) / 10) return false;
        number = number * 10 + digit;
    }
    *text = at;
    *out = number;
    return true;
}

static bool piece_name_parse(const char *text, struct backup_name *name) {
    unsigned bits = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        bits = bits * 10 + (unsigned)(text[i] - '0');
    }
    if (text[3] != '-' || bits > BACKUP_PREFIX_BITS_MAX) return false;
    const char *hex = text + 4;
    size_t bytes = (bits + 7) / 8;
    if (!canonical_hex_parse(hex, strlen(hex), name->prefix, bytes)) return false;
    if (bits % 8 != 0 && (name->prefix[bytes - 1] & (0xFFu >> bits % 8)) != 0) return false;
    name->prefix_bits = (uint16_t)bits;
    name->file = BACKUP_FILE_PIECE;
    return true;
}

static bool item_name_parse(const char *text, struct backup_name *name) {
    uint64_t kind, cluster, dseq;
    bool good = decimal_parse(&text, &kind) && *text++ == '-' && decimal_parse(&text, &cluster) && *text++ == '-' && decimal_parse(&text, &dseq);
    if (!good || *text != '\0' || kind < CHECKPOINT_PENDING || kind > CHECKPOINT_SLICE || cluster > UINT32_MAX) return false;
    name->item = (struct checkpoint_item){.kind = (uint8_t)kind, .cluster = (uint32_t)cluster, .dseq = dseq};
    name->file = BACKUP_FILE_ITEM;
    return true;
}

bool backup_name_parse(const char *text, struct backup_name *name) {
    memset(name, 0, sizeof *name);
    if (strlen(text) >= BACKUP_NAME_BYTES) return false;
    name->file = strcmp(text, "chain") == 0 ? BACKUP_FILE_CHAIN : BACKUP_FILE_CHECKPOINT;
    if (strcmp(text, "chain") == 0 || strcmp(text, "checkpoint") == 0) return true;
    if (strncmp(text, "piece-", 6) == 0) return piece_name_parse(text + 6, name);
    return strncmp(text, "item-", 5) == 0 && item_name_parse(text + 5, name);
}

void backup_name_print(const struct backup_name *name, char out[BACKUP_NAME_BYTES]) {
    char hex[2 * 32 + 1];
    switch (name->file) {
    case BACKUP_FILE_CHAIN: (void)snprintf(out, BACKUP_NAME_BYTES, "chain"); break;
    case BACKUP_FILE_CHECKPOINT: (void)snprintf(out, BACKUP_NAME_BYTES, "checkpoint"); break;
    case BACKUP_FILE_PIECE:
        CHECK(name->prefix_bits <= BACKUP_PREFIX_BITS_MAX);
        canonical_hex_print(name->prefix, (name->prefix_bits + 7u) / 8, hex);
        (void)snprintf(out, BACKUP_NAME_BYTES, "piece-%03u-%s", name->prefix_bits, hex);
        break;
    case BACKUP_FILE_ITEM:
        (void)snprintf(out, BACKUP_NAME_BYTES, "item-%u-%u-%llu", name->item.kind, name->item.cluster, (unsigned long long)name->item.dseq);
        break;
    }
}

void backup_name_piece(struct backup_name *name, uint16_t prefix_bits, uint32_t index) {
    CHECK(prefix_bits <= BACKUP_PREFIX_BITS_MAX && index >> prefix_bits == 0);
    memset(name, 0, sizeof *name);
    name->file = BACKUP_FILE_PIECE;
    name->prefix_bits = prefix_bits;
    if (prefix_bits == 0) return;
    uint32_t high = index << (32 - prefix_bits);
    for (unsigned i = 0; i < 4; i++) name->prefix[i] = (uint8_t)(high >> (24 - 8 * i));
}

uint32_t backup_name_piece_index(const struct backup_name *name) {
    uint32_t high = 0;
    for (unsigned i = 0; i < 4; i++) high = high << 8 | name->prefix[i];
    return name->prefix_bits == 0 ? 0 : high >> (32 - name->prefix_bits);
}

void backup_name_item(struct backup_name *name, const struct checkpoint_item *item) {
    memset(name, 0, sizeof *name);
    name->file = BACKUP_FILE_ITEM;
    name->item = (struct checkpoint_item){.kind = item->kind, .cluster = item->cluster, .dseq = item->dseq};
}

/* ---- chain and checkpoint ---- */

struct epoch {
    struct bft_members members;
    uint32_t checkpoint_blocks;
};

struct backup {
    const struct system *system;
    struct signer signer;
    uint8_t *checkpoint, *chain;
    size_t chain_bytes, ended_bytes;
    const uint8_t *ended; /* in the chain */
    struct checkpoint_shown shown;
    uint8_t manifest_hash[32];
    struct config *config; /* of the child's epoch */
    struct epoch *epochs;  /* from 0 on, as far as the chain leads */
    uint32_t epoch_count;
    struct checkpoint_records records;
    bool state_ended;
    uint32_t items_next;   /* items are checked in order */
    struct checkpoint_item item_before;
};

void backup_free(struct backup *backup) {
    if (backup == NULL) return;
    free(backup->checkpoint);
    free(backup->chain);
    free(backup->config);
    free(backup->epochs);
    checkpoint_records_free(&backup->records);
    free(backup);
}

static const struct epoch *epoch_of(const struct backup *backup, uint64_t epoch) {
    return epoch < backup->epoch_count ? &backup->epochs[epoch] : NULL;
}

static enum backup_error checkpoint_read(struct backup *backup, const uint8_t *bytes, size_t count, struct backup_fault *fault) {
    struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce;
    uint16_t shown_count;
    backup->checkpoint = malloc(count + 1);
    if (backup->checkpoint == NULL) return backup_fault_set(fault, BACKUP_NO_MEMORY, "checkpoint", "no memory");
    memcpy(backup->checkpoint, bytes, count);
    enum checkpoint_error error = checkpoint_message_decode(backup->checkpoint, count, &nonce, shown, &shown_count);
    if (error != CHECKPOINT_OK)
        return backup_fault_set(fault, BACKUP_BAD_CHECKPOINT, "checkpoint", "it does not decode: %s", checkpoint_error_name(error));
    if (nonce != 0 || shown_count != 1)
        return backup_fault_set(fault, BACKUP_BAD_CHECKPOINT, "checkpoint", "it must be one checkpoint, with nonce 0");
    backup->shown = shown[0];
    if (backup->shown.certificate.header_count == BFT_CERTIFICATE_HEADERS_MAX)
        return backup_fault_set(fault, BACKUP_BAD_CHECKPOINT, "checkpoint", "its certificate has no room for the block's own header");
    if (!backup->shown.whole) return backup_fault_set(fault, BACKUP_BAD_CHECKPOINT, "checkpoint", "its manifest must be whole");
    const struct checkpoint_manifest *manifest = &backup->shown.manifest;
    checkpoint_manifest_hash(backup->shown.manifest_bytes, backup->shown.manifest_count, backup->manifest_hash);
    if (memcmp(manifest->system_id, backup->system->system_id, sizeof manifest->system_id) != 0)
        return backup_fault_set(fault, BACKUP_FOREIGN, "checkpoint", "it is of another system");
    if (system_cluster_by_id(backup->system, manifest->cluster) == NULL)
        return backup_fault_set(fault, BACKUP_FOREIGN, "checkpoint", "the system has no cluster 0x%08x", manifest->cluster);
    return BACKUP_OK;
}

/* What the chain has come to so far. */
static void epoch_note(struct backup *backup, const struct config_chain *chain) {
    backup->epochs[backup->epoch_count++] =
        (struct epoch){.members = chain->members, .checkpoint_blocks = chain->config.limits.checkpoint_blocks};
    if (chain->config.members.serial == backup->shown.child.place.epoch) *backup->config = chain->config;
}

/* All entries are judged, those beyond the checkpoint too: a byte that nobody judges could be any. */
static enum backup_error chain_walk(struct backup *backup, struct config_chain *chain, const uint8_t *bytes, size_t count,
                                    struct backup_fault *fault) {
    struct config_chain_reader reader;
    struct system_fault system_fault = {.text = ""};
    const uint8_t *entry;
    size_t entry_bytes;
    enum system_error error = config_chain_read(&reader, backup->shown.manifest.cluster, bytes, count, &system_fault);
    if (!error && reader.serial != 0) error = system_fault_set(&system_fault, SYSTEM_SERIAL, "CONFIG chain: it must begin with serial 1");
    backup->epochs = error ? NULL : calloc((size_t)reader.count + 1, sizeof *backup->epochs);
    if (!error && backup->epochs == NULL) return backup_fault_set(fault, BACKUP_NO_MEMORY, "chain", "no memory");
    if (!error) epoch_note(backup, chain);
    while (!error && config_chain_next(&reader, &entry, &entry_bytes)) {
        error = config_chain_step(chain, entry, entry_bytes, &backup->signer, &system_fault);
        if (error) break;
        backup->epochs[backup->epoch_count - 1].members = chain->sealed ? chain->members : chain->before;
        if (reader.serial == backup->shown.child.place.epoch && reader.serial > backup->shown.header.place.epoch)
            backup->ended = config_chain_entry_certificate(entry, entry_bytes, &backup->ended_bytes);
        if (!chain->sealed) epoch_note(backup, chain);
    }
    if (!error) error = config_chain_read_end(&reader, &system_fault);
    return error ? backup_fault_set(fault, BACKUP_BAD_CHAIN, "chain", "%.250s", system_fault.text) : BACKUP_OK;
}

static enum backup_error chain_read(struct backup *backup, const uint8_t *bytes, size_t count, struct backup_fault *fault) {
    struct config_chain *chain = malloc(sizeof *chain);
    backup->config = calloc(1, sizeof *backup->config);
    backup->chain = malloc(count + 1);
    backup->chain_bytes = count;
    if (backup->chain != NULL) memcpy(backup->chain, bytes, count);
    enum backup_error error = BACKUP_OK;
    if (chain == NULL || backup->config == NULL || backup->chain == NULL) error = backup_fault_set(fault, BACKUP_NO_MEMORY, "chain", "no memory");
    else CHECK(config_chain_genesis(chain, backup->system, backup->shown.manifest.cluster)); /* checkpoint_read() found the cluster */
    if (!error) error = chain_walk(backup, chain, backup->chain, count, fault);
    free(chain);
    return error;
}

static enum backup_error checkpoint_verify(const struct backup *backup, struct backup_fault *fault) {
    const struct checkpoint_shown *shown = &backup->shown;
    const struct epoch *epoch = epoch_of(backup, shown->header.place.epoch), *child = epoch_of(backup, shown->child.place.epoch);
    if (epoch == NULL || child == NULL)
        return backup_fault_set(fault, BACKUP_BAD_CHAIN, "checkpoint", "it is of epoch %llu and its child of %llu, `chain` leads to epoch %u only",
                                (unsigned long long)shown->header.place.epoch, (unsigned long long)shown->child.place.epoch,
                                backup->epoch_count - 1);
    if (shown->sealed && epoch->members.height_last != shown->manifest.height)
        return backup_fault_set(fault, BACKUP_BAD_CHAIN, "checkpoint", "it is that of SEAL's block, and `chain` shows no SEAL at height %llu",
                                (unsigned long long)shown->manifest.height);
    enum checkpoint_error error = checkpoint_shown_verify(&child->members, &backup->signer, epoch->checkpoint_blocks, shown);
    if (error == CHECKPOINT_OK) return BACKUP_OK;
    return backup_fault_set(fault, BACKUP_BAD_CHECKPOINT, "checkpoint", "it does not verify: %s", checkpoint_error_name(error));
}

enum backup_error backup_begin(struct backup **out, const struct system *system, const struct signer *signer, const uint8_t *chain,
                               size_t chain_bytes, const uint8_t *checkpoint, size_t checkpoint_bytes, struct backup_fault *fault) {
    struct backup *backup = calloc(1, sizeof *backup);
    *out = NULL;
    if (backup == NULL) return backup_fault_set(fault, BACKUP_NO_MEMORY, "", "no memory");
    backup->system = system;
    backup->signer = *signer;
    enum backup_error error = checkpoint_read(backup, checkpoint, checkpoint_bytes, fault);
    if (!error) error = chain_read(backup, chain, chain_bytes, fault);
    if (!error) error = checkpoint_verify(backup, fault);
    if (error) backup_free(backup);
    else *out = backup;
    return error;
}

const struct checkpoint_shown *backup_shown(const struct backup *backup) {
    return &backup->shown;
}

void backup_manifest_hash(const struct backup *backup, uint8_t out[32]) {
    memcpy(out, backup->manifest_hash, 32);
}

const uint8_t *backup_chain(const struct backup *backup, size_t *count) {
    *count = backup->chain_bytes;
    return backup->chain;
}

const uint8_t *backup_ended(const struct backup *backup, size_t *count) {
    *count = backup->ended_bytes;
    return backup->ended;
}

const struct config *backup_config(const struct backup *backup) {
    return backup->config;
}

void backup_signers(const struct backup *backup, uint32_t *signers, uint32_t *members) {
    const struct epoch *epoch = epoch_of(backup, backup->shown.child.place.epoch);
    *signers = epoch->members.q;
    *members = epoch->members.n;
}

/* ---- pieces ---- */

enum backup_error backup_piece(struct backup *backup, const struct backup_name *name, const uint8_t *bytes, size_t bytes_count, bool count_it,
                               struct bytes_cursor *entries, uint64_t *count, struct backup_fault *fault) {
    char file[BACKUP_NAME_BYTES];
    struct checkpoint_piece piece;
    struct checkpoint_piece_query query = {.kind = CHECKPOINT_ENTRIES, .prefix_bits = name->prefix_bits}; /* nonce 0 */
    CHECK(name->file == BACKUP_FILE_PIECE);
    backup_name_print(name, file);
    memcpy(query.manifest_hash, backup->manifest_hash, 32);
    memcpy(query.prefix, name->prefix, 32);
    enum checkpoint_error error = checkpoint_piece_decode(bytes, bytes_count, &piece);
    if (!error && piece.code == CHECKPOINT_PIECE_OK && !checkpoint_piece_answers(&piece, &query))
        return backup_fault_set(fault, BACKUP_BAD_PIECE, file,
                                "it was given with another manifest than `checkpoint` has: one of the two was changed");
    if (!error) error = checkpoint_entries_verify(&piece, &query, backup->shown.manifest.state_root, entries);
    if (error)
        return backup_fault_set(fault, BACKUP_BAD_PIECE, file, "its entries are not those of the state root: %s", checkpoint_error_name(error));
    *count = piece.total;
    struct bytes_cursor cursor = *entries;
    for (uint64_t i = 0; count_it && i < piece.total; i++) {
        struct checkpoint_entry entry;
        CHECK(checkpoint_entry_get(&cursor, &entry));
        checkpoint_records_add(&backup->records, &entry);
    }
    return BACKUP_OK;
}

enum backup_error backup_state_end(struct backup *backup, struct backup_fault *fault) {
    const struct checkpoint_manifest *manifest = &backup->shown.manifest;
    struct checkpoint_item *items = NULL;
    uint32_t count = 0;
    static const uint8_t unknown[32];
    if (backup->records.entries != manifest->entries || backup->records.bytes != manifest->bytes)
        return backup_fault_set(fault, BACKUP_BAD_STATE, "checkpoint", "its manifest states %llu entries of %llu bytes, the state has %llu of %llu",
                                (unsigned long long)manifest->entries, (unsigned long long)manifest->bytes,
                                (unsigned long long)backup->records.entries, (unsigned long long)backup->records.bytes);
    if (!checkpoint_records_items(&backup->records, &items, &count))
        return backup_fault_set(fault, BACKUP_BAD_STATE, "checkpoint", "the state has a queue record that no node writes");
    bool same = count == manifest->item_count;
    for (uint32_t i = 0; same && i < count; i++) {
        struct checkpoint_item stated = checkpoint_manifest_item(manifest, i);
        same = stated.kind == items[i].kind && stated.cluster == items[i].cluster && stated.dseq == items[i].dseq;
        if (memcmp(items[i].hash, unknown, 32) != 0) same = same && memcmp(items[i].hash, stated.hash, 32) == 0;
    }
    free(items);
    if (!same) return backup_fault_set(fault, BACKUP_BAD_STATE, "checkpoint", "the items that its manifest lists are not those of the state");
    backup->state_ended = true;
    return BACKUP_OK;
}

const struct checkpoint_records *backup_records(const struct backup *backup) {
    CHECK(backup->state_ended);
    return &backup->records;
}

/* ---- items ---- */

/* *text: why not; NULL: it is what the state names. */
static const char *pending_check(const struct backup *backup, const struct checkpoint_item *item, const uint8_t *bytes, size_t count) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    uint64_t item_bytes = bytes_get_u64(&cursor), entry_bytes = bytes_get_u64(&cursor);
    if (cursor.failed || item_bytes > cursor.left || entry_bytes != cursor.left - item_bytes) return "its lengths do not fit";
    const struct checkpoint_queue *queue = checkpoint_records_queue(&backup->records, item->cluster);
    if (backup->state_ended && (queue == NULL || queue->pending_bytes != item_bytes)) return "it is of another length than the state says";
    uint32_t pending = queue != NULL ? queue->pending_items : 0;
    if (queue == NULL) { /* alone: as many as there are */
        struct slice slice = {.item_count = UINT32_MAX, .items = cursor.at, .items_bytes = item_bytes};
        struct slice_item each;
        size_t at = 0;
        uint32_t index = 0;
        while (slice_item_next(&slice, &at, &index, &each)) pending++;
    }
    bool shard = config_cluster_is_shard(backup->shown.manifest.cluster);
    bool good = pending_valid(&backup->config->limits, shard, cursor.at, item_bytes, cursor.at + item_bytes, entry_bytes, pending, item->hash);
    return good ? NULL : "its items are not those of the pending hash";
}

static const char *slice_check(struct backup *backup, const struct checkpoint_item *item, const uint8_t *bytes, size_t count) {
    struct decision decision;
    uint8_t hash[32];
    if (decision_decode(bytes, count, &decision) != DECISION_OK || decision.leaf.kind != LEAF_KIND_CLUSTER) return "it is no compact decision";
    if (decision.leaf.destination != item->cluster || decision.leaf.dseq != item->dseq || decision.leaf.slice_bytes != item->bytes)
        return "it is another decision";
    leaf_hash(decision.leaf_bytes, hash);
    if (memcmp(hash, item->hash, 32) != 0) return "its leaf is not the one of the manifest";
    const struct epoch *epoch = epoch_of(backup, decision.certificate.qc.ballot.place.epoch);
    if (epoch == NULL) return "it is of an epoch that the chain does not lead to";
    if (decision_verify(&decision, &epoch->members, &backup->signer, NULL) != DECISION_OK) return "it is not proved";
    /* Below the newest of a queue no record names the leaf; the next leaf does. */
    const struct checkpoint_item *before = &backup->item_before;
    bool follows = backup->state_ended && before->kind == CHECKPOINT_SLICE && before->cluster == item->cluster;
    if (follows && memcmp(decision.leaf.previous, before->hash, 32) != 0) return "it does not follow the one before";
    return NULL;
}

size_t backup_item_bytes_max(const struct checkpoint_item *item) {
    uint64_t most = item->bytes + (item->kind == CHECKPOINT_SLICE ? BACKUP_DECISION_HEAD_BYTES_MAX : 0);
    return item->bytes > BACKUP_ITEM_BYTES_MAX || most > BACKUP_ITEM_BYTES_MAX ? BACKUP_ITEM_BYTES_MAX : (size_t)most;
}

enum backup_error backup_item(struct backup *backup, uint32_t index, const uint8_t *bytes, size_t bytes_count, struct backup_fault *fault) {
    struct checkpoint_item item = checkpoint_manifest_item(&backup->shown.manifest, index);
    struct backup_name name;
    char file[BACKUP_NAME_BYTES];
    const char *why = NULL;
    CHECK(!backup->state_ended || index == backup->items_next);
    backup_name_item(&name, &item);
    backup_name_print(&name, file);
    if (item.kind != CHECKPOINT_SLICE && bytes_count != item.bytes) why = "it is of another length than the manifest says";
    else if (item.kind == CHECKPOINT_SLICE) why = slice_check(backup, &item, bytes, bytes_count);
    else if (item.kind == CHECKPOINT_PENDING) why = pending_check(backup, &item, bytes, bytes_count);
    else {
        uint8_t hash[32];
        routing_hash(bytes, bytes_count, hash);
        if (memcmp(hash, item.hash, 32) != 0) why = "it has another hash than the manifest says";
    }
    if (why != NULL) return backup_fault_set(fault, BACKUP_BAD_ITEM, file, "%s", why);
    backup->item_before = item;
    backup->items_next = index + 1;
    return BACKUP_OK;
}

enum backup_error backup_items_end(struct backup *backup, struct backup_fault *fault) {
    CHECK(backup->state_ended);
    if (backup->items_next == backup->shown.manifest.item_count) return BACKUP_OK;
    return backup_fault_set(fault, BACKUP_MISSING, "", "items of the manifest were not checked");
}
