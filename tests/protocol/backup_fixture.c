#include "tests/protocol/backup_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/backup.h"
#include "protocol/config_chain.h"
#include "protocol/slice.h"
#include "tests/protocol/decided.h"

enum { SYSTEM_ENTRIES = 2, KEY_BYTES = 24, VALUE_BYTES = 192, QUEUE_BYTES = 192, ROOM = 1 << 20 };

struct entry {
    uint8_t key[KEY_BYTES], value[VALUE_BYTES], path[32];
    struct checkpoint_entry shown;
};

struct item {
    struct checkpoint_item about;
    uint8_t *bytes;
    size_t count;
};

struct making {
    const struct fixture *fixture;
    const struct backup_wishes *wishes;
    const char *folder;
    struct entry *entries;
    uint32_t count;
    struct item *items;
    struct config_chain *chain;
    uint8_t *chain_payload;
    struct trie *trie;
    uint8_t root[32], manifest_hash[32];
};

static uint32_t items_of(const struct making *m) {
    return BACKUP_FIXTURE_ITEMS + m->wishes->lists;
}

/* The older of the two unacknowledged slices; the newer comes behind it, and no item after that. */
static struct item *slice_older(const struct making *m) {
    return &m->items[items_of(m) - 2];
}

static uint64_t height_of(const struct making *m) {
    return m->wishes->height != 0 ? m->wishes->height : BACKUP_FIXTURE_HEIGHT;
}

static void file_put(const struct making *m, const char *name, const uint8_t *bytes, size_t count) {
    char path[512];
    CHECK((size_t)snprintf(path, sizeof path, "%s/%s", m->folder, name) < sizeof path);
    FILE *file = fopen(path, "wbx");
    CHECK(file && fwrite(bytes, 1, count, file) == count && fclose(file) == 0);
}

/* ---- items ---- */

static void slice_make(const struct decider *decider, struct item *item, uint64_t dseq, const uint8_t previous[32], uint8_t fill) {
    uint8_t slice[SLICE_HEAD_BYTES];
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .destination = CONFIG_CLUSTER_SHARD, .dseq = dseq};
    uint8_t encoded[LEAF_BYTES];
    const struct decided_how how = {0};
    slice_head_encode(slice, 0, fill);
    memcpy(leaf.previous, previous, 32);
    item->bytes = decided_make(decider, &how, &leaf, 0, 1, slice, sizeof slice, &item->count);
    item->about = (struct checkpoint_item){.kind = CHECKPOINT_SLICE, .cluster = CONFIG_CLUSTER_SHARD, .dseq = dseq, .bytes = sizeof slice};
    leaf_encode(&leaf, encoded);
    leaf_hash(encoded, item->about.hash);
}

/* Two unacknowledged slices, 2 and 3, decided in epoch 0. */
static void slices_make(struct making *m) {
    struct decider *decider = calloc(1, sizeof *decider);
    struct config_chain *genesis = malloc(sizeof *genesis);
    CHECK(decider && genesis && config_chain_genesis(genesis, &m->fixture->assembly->system, CONFIG_CLUSTER_COORDINATOR));
    decider->members = genesis->members;
    for (uint32_t i = 0; i < decider->members.n; i++) decider->secrets[i] = &m->fixture->nodes[0][i].signing;
    decider->height = 7;
    decider->view = 1;
    uint8_t nobody[32] = {9};
    struct item *older = slice_older(m);
    slice_make(decider, older, 2, nobody, 1);
    decider->height = 8;
    slice_make(decider, older + 1, 3, older->about.hash, 1);
    if (m->wishes->swap_slices) {
        free(older->bytes);
        decider->height = 7;
        slice_make(decider, older, 2, nobody, 2);
    }
    free(genesis);
    free(decider);
}

/* The routing list of a slice. */
static void list_make(struct item *list, uint64_t dseq, const uint8_t route[ROUTING_BYTES]) {
    list->count = ROUTING_BYTES;
    list->bytes = malloc(list->count);
    CHECK(list->bytes);
    memcpy(list->bytes, route, list->count);
    list->about = (struct checkpoint_item){.kind = CHECKPOINT_ROUTING, .cluster = CONFIG_CLUSTER_SHARD, .dseq = dseq, .bytes = list->count};
    routing_hash(list->bytes, list->count, list->about.hash);
}

/* One pending READ with its routing entry, and the routing lists of slice 3 and of those that were wished for behind it. */
static void pending_make(struct making *m) {
    uint8_t item[SLICE_ITEM_HEAD_BYTES + SLICE_READ_HEAD_BYTES] = {0}, route[ROUTING_BYTES], items_hash[32], list_hash[32];
    const struct routing routing = {.client_id = {3}, .part_digest = {4}, .op_count = 1};
    slice_item_head_encode(item, SLICE_READ_HEAD_BYTES, SLICE_READ);
    slice_read_head_encode(item + SLICE_ITEM_HEAD_BYTES, 1);
    routing_encode(&routing, route);
    struct item *pending = &m->items[0];
    pending->count = 16 + sizeof item + sizeof route;
    pending->bytes = malloc(pending->count);
    CHECK(pending->bytes);
    bytes_put_le64(pending->bytes, sizeof item);
    bytes_put_le64(pending->bytes + 8, sizeof route);
    memcpy(pending->bytes + 16, item, sizeof item);
    memcpy(pending->bytes + 16 + sizeof item, route, sizeof route);
    pending->about = (struct checkpoint_item){.kind = CHECKPOINT_PENDING, .cluster = CONFIG_CLUSTER_SHARD, .bytes = pending->count};
    const uint8_t length[8] = {sizeof item};
    SHA256_PREFIXED(items_hash, HASH_ITEMS, {item, sizeof item}, {length, sizeof length});
    SHA256_PREFIXED(list_hash, HASH_ROUTING, {route, sizeof route});
    SHA256_PREFIXED(pending->about.hash, HASH_GROUPS, {items_hash, 32}, {list_hash, 32});
    for (uint32_t i = 0; i <= m->wishes->lists; i++) list_make(&m->items[1 + i], 3 + i, route);
}

/* ---- the state ---- */

static void entry_add(struct making *m, uint8_t space, const uint8_t *key, size_t key_bytes, const uint8_t *value, size_t value_bytes) {
    struct entry *entry = &m->entries[m->count++];
    memcpy(entry->key, key, key_bytes);
    memcpy(entry->value, value, value_bytes);
    entry->shown = (struct checkpoint_entry){.space = space,
                                             .key_bytes = (uint16_t)key_bytes,
                                             .value_bytes = (uint32_t)value_bytes,
                                             .version_height = 5,
                                             .version_index = m->count};
    trie_path((enum trie_space)space, key, key_bytes, entry->path);
}

static int by_path(const void *a, const void *b) {
    return memcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path, 32);
}

static void entries_make(struct making *m) {
    uint8_t key[13] = {'q'}, value[QUEUE_BYTES] = {0};
    m->entries = calloc(m->wishes->entries + SYSTEM_ENTRIES + m->wishes->lists, sizeof *m->entries);
    CHECK(m->entries);
    for (uint32_t i = 0; i < m->wishes->entries; i++) {
        uint8_t name[16], text[VALUE_BYTES];
        memset(text, (int)(i + m->wishes->height / 1024), sizeof text);
        size_t bytes = m->wishes->value_bytes != 0 ? m->wishes->value_bytes : i % 20;
        int count = snprintf((char *)name, sizeof name, "key-%u", i);
        entry_add(m, TRIE_SPACE_USER, name, (size_t)count, text, bytes);
    }
    bytes_put_le32(key + 1, CONFIG_CLUSTER_SHARD);
    bytes_put_le64(value, 3); /* sent_dseq; sent_leaf; acked_dseq; pending_items, _ops, _bytes; oldest; pending_hash */
    memcpy(value + 8, slice_older(m)[1].about.hash, 32);
    bytes_put_le64(value + 40, 1);
    bytes_put_le32(value + 48, 1);
    bytes_put_le32(value + 52, 1);
    bytes_put_le64(value + 56, SLICE_ITEM_HEAD_BYTES + SLICE_READ_HEAD_BYTES);
    memcpy(value + 80, m->items[0].about.hash, 32);
    entry_add(m, TRIE_SPACE_SYSTEM, key, 5, value, sizeof value);
    key[0] = 'u';
    for (uint32_t i = 0; i <= m->wishes->lists; i++) {
        bytes_put_le64(key + 5, 3 + i);
        entry_add(m, TRIE_SPACE_SYSTEM, key, 13, m->items[1 + i].about.hash, 32);
    }
    qsort(m->entries, m->count, sizeof *m->entries, by_path);
}

static void trie_make(struct making *m) {
    const struct trie_limits limits = {.leaves_max = m->count, .journal_max = 1};
    size_t bytes = (trie_memory_bytes(&limits) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    CHECK(memory);
    memset(memory, 0, bytes);
    m->trie = trie_init(memory, bytes, &limits);
    for (uint32_t i = 0; i < m->count; i++) {
        struct entry *entry = &m->entries[i];
        struct trie_value value = {.version_height = entry->shown.version_height, .version_index = entry->shown.version_index};
        uint8_t leaf[32];
        entry->shown.key = entry->key;
        entry->shown.value = entry->value;
        trie_value_hash(entry->value, entry->shown.value_bytes, value.value_hash);
        trie_leaf_hash((enum trie_space)entry->shown.space, entry->key, entry->shown.key_bytes, &value, leaf);
        CHECK(trie_put(m->trie, entry->path, leaf, i) == TRIE_OK);
    }
    trie_root(m->trie, m->root);
}

/* ---- files ---- */

static void chain_write(struct making *m) {
    m->chain = malloc(sizeof *m->chain);
    m->chain_payload = malloc(ROOM);
    uint8_t *entry = malloc(ROOM);
    CHECK(m->chain && m->chain_payload && entry);
    CHECK(config_chain_genesis(m->chain, &m->fixture->assembly->system, CONFIG_CLUSTER_COORDINATOR));
    struct bytes_writer writer = bytes_writer_of(m->chain_payload, ROOM);
    config_chain_head_encode(&writer, CONFIG_CLUSTER_COORDINATOR, (uint32_t)m->wishes->epoch, 1);
    for (uint64_t i = 0; i < m->wishes->epoch; i++) {
        struct admin_op *op = calloc(1, sizeof *op);
        CHECK(op);
        fixture_config_op(m->fixture, &m->chain->config, -1, op);
        fixture_sign(m->fixture, op, 2);
        size_t count = fixture_chain_entry(m->fixture, 0, &m->chain->members, op, 10 + i, m->chain->members.q, entry, ROOM);
        const struct signer signer = signer_ed25519(NULL);
        CHECK(config_chain_step(m->chain, entry, count, &signer, NULL) == SYSTEM_OK);
        bytes_put_u32(&writer, (uint32_t)count);
        bytes_put_raw(&writer, entry, count);
        free(op);
    }
    CHECK(!writer.failed);
    file_put(m, "chain", m->chain_payload, writer.used);
    free(entry);
}

/* The headers, which are the caller's to free. */
static uint8_t *certificate_make(const struct making *m, struct checkpoint_shown *shown) {
    struct bft_header top = shown->child;
    struct bft_qc *qc = &shown->certificate.qc;
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES], *headers = malloc((size_t)m->wishes->certificate_headers * BFT_HEADER_BYTES + 1);
    CHECK(headers);
    struct bytes_writer writer = bytes_writer_of(headers, (size_t)m->wishes->certificate_headers * BFT_HEADER_BYTES);
    for (uint32_t i = 0; i < m->wishes->certificate_headers; i++) {
        if (i > 0) top.parent_id = bft_header_id(&top);
        if (i > 0) top.height++;
        bft_header_put(&writer, &top);
    }
    CHECK(!writer.failed);
    shown->certificate.header_count = (uint16_t)m->wishes->certificate_headers;
    shown->certificate.headers = headers;
    struct bft_hash id = bft_header_id(&top);
    bft_header_ballot(&top, &id, &qc->ballot);
    qc->kind = BFT_COMMIT;
    qc->count = (uint8_t)m->chain->members.q;
    bft_vote_preimage(&qc->ballot, BFT_COMMIT, preimage);
    for (uint8_t i = 0; i < qc->count; i++) {
        qc->signers[i] = i;
        ed25519_sign(&m->fixture->nodes[0][i].signing, preimage, sizeof preimage, qc->signatures[i].bytes);
    }
    return headers;
}

static void manifest_make(struct making *m, struct checkpoint_shown *shown, uint8_t *items, uint8_t *bytes, size_t room) {
    struct checkpoint_manifest manifest = {.cluster = CONFIG_CLUSTER_COORDINATOR,
                                           .epoch = m->wishes->epoch,
                                           .height = height_of(m),
                                           .entries = m->count + m->wishes->extra_entries,
                                           .item_count = items_of(m) - (uint32_t)m->wishes->drop_items,
                                           .items = items};
    for (uint32_t i = 0; i < m->count; i++) manifest.bytes += (uint64_t)m->entries[i].shown.key_bytes + m->entries[i].shown.value_bytes + 64;
    for (unsigned i = 0; i < items_of(m); i++) checkpoint_item_encode(&m->items[i].about, items + i * CHECKPOINT_ITEM_BYTES);
    struct bft_hash id = bft_header_id(&shown->header);
    memcpy(manifest.system_id, m->chain->members.place.system_id, 16);
    memcpy(manifest.block_id, id.bytes, 32);
    memcpy(manifest.state_root, m->root, 32);
    struct bytes_writer writer = bytes_writer_of(bytes, room);
    checkpoint_manifest_put(&writer, &manifest);
    CHECK(!writer.failed);
    shown->manifest = manifest;
    shown->whole = true;
    shown->manifest_bytes = bytes;
    shown->manifest_count = writer.used;
    checkpoint_manifest_hash(bytes, writer.used, m->manifest_hash);
}

static void checkpoint_write(struct making *m) {
    struct checkpoint_shown *shown = calloc(1, sizeof *shown);
    size_t room = CHECKPOINT_MANIFEST_HEAD_BYTES + (size_t)items_of(m) * CHECKPOINT_ITEM_BYTES;
    uint8_t *items = malloc(room), *manifest = malloc(room), *payload = malloc(ROOM);
    CHECK(shown && items && manifest && payload);
    shown->header.place = m->chain->members.place;
    shown->header.height = height_of(m);
    shown->header.view = 2;
    shown->child = shown->header;
    shown->child.height++;
    shown->child.parent_id = bft_header_id(&shown->header);
    memcpy(shown->child.state_root.bytes, m->root, 32);
    uint8_t *headers = certificate_make(m, shown);
    manifest_make(m, shown, items, manifest, room);
    struct bytes_writer writer = bytes_writer_of(payload, ROOM);
    checkpoint_message_head_put(&writer, 0, 1);
    checkpoint_shown_put(&writer, shown);
    CHECK(!writer.failed);
    file_put(m, "checkpoint", payload, writer.used);
    free(headers);
    free(payload);
    free(items);
    free(manifest);
    free(shown);
}

static void piece_write(struct making *m, const struct backup_name *name, uint8_t *payload, size_t room) {
    struct checkpoint_piece piece = {.kind = CHECKPOINT_ENTRIES};
    struct trie_proof_leaf leaf;
    struct trie_proof_other other;
    char file[BACKUP_NAME_BYTES];
    memcpy(piece.manifest_hash, m->manifest_hash, 32);
    for (uint32_t i = 0; i < m->count; i++) piece.total += trie_prefix_equal(m->entries[i].path, name->prefix, name->prefix_bits);
    struct bytes_writer writer = bytes_writer_of(payload, room);
    checkpoint_piece_head_put(&writer, &piece);
    uint8_t *length = bytes_put_space(&writer, 4);
    size_t before = writer.used;
    memset(&other, 0, sizeof other);
    if (trie_prefix_proof_find(m->trie, name->prefix, name->prefix_bits, &leaf) == TRIE_PROOF_OTHER) {
        const struct checkpoint_entry *entry = &m->entries[leaf.ref].shown;
        other = (struct trie_proof_other){.space = (enum trie_space)entry->space, .key = entry->key, .key_bytes = entry->key_bytes};
        other.value.version_height = entry->version_height;
        other.value.version_index = entry->version_index;
        trie_value_hash(entry->value, entry->value_bytes, other.value.value_hash);
    }
    trie_prefix_proof_write(m->trie, name->prefix, name->prefix_bits, &other, &writer);
    bytes_put_le32(length, (uint32_t)(writer.used - before));
    for (uint32_t i = 0; i < m->count; i++) {
        if (trie_prefix_equal(m->entries[i].path, name->prefix, name->prefix_bits)) checkpoint_entry_put(&writer, &m->entries[i].shown);
    }
    CHECK(!writer.failed);
    backup_name_print(name, file);
    file_put(m, file, payload, writer.used);
}

void backup_fixture_write(const struct fixture *fixture, const struct backup_wishes *wishes, const char *folder) {
    struct making m = {.fixture = fixture, .wishes = wishes, .folder = folder};
    struct backup_name name;
    char file[BACKUP_NAME_BYTES];
    uint8_t *payload = malloc(ROOM);
    CHECK(payload);
    (void)mkdir(folder, 0755);
    m.items = calloc(items_of(&m), sizeof *m.items);
    CHECK(m.items);
    pending_make(&m);
    slices_make(&m);
    entries_make(&m);
    trie_make(&m);
    chain_write(&m);
    checkpoint_write(&m);
    for (uint32_t i = 0; i >> wishes->prefix_bits == 0; i++) {
        backup_name_piece(&name, wishes->prefix_bits, i);
        piece_write(&m, &name, payload, ROOM);
    }
    for (unsigned i = 0; i < items_of(&m); i++) {
        backup_name_item(&name, &m.items[i].about);
        backup_name_print(&name, file);
        file_put(&m, file, m.items[i].bytes, m.items[i].count);
        free(m.items[i].bytes);
    }
    free(payload);
    free(m.items);
    free(m.chain);
    free(m.chain_payload);
    free(m.entries);
    free(m.trie); /* it lies at the beginning of its memory */
}
