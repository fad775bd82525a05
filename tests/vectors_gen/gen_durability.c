/*
 * Vectors of spec/durability.md: LAST-SIGNED (gen_last_signed.c), manifest and CHECKPOINT (P-32, P-42), the last one of a sealed cluster (P-31), one
 * shown short and its manifest in pieces (P-42, P-47), pieces (P-43 to P-46), and what convicts a member that signed a wrong one (B-81, kind 8).
 * Every case carries the error or verdict that it must give, written here by hand; the code under test is then checked to give it.
 */
#include "merkle/check.h"
#include "protocol/checkpoint.h"
#include "protocol/evidence.h"
#include "protocol/leaf.h"
#include "tests/vectors_gen/gen.h"
#include "tests/vectors_gen/gen_durability.h"
#include "tests/vectors_gen/gen_exec.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = GEN_MEMBERS, K = 16, HEIGHT = 48, ENTRIES = 12, ROOM = 1 << 15 };

static void world_make(struct gen_members *world, json_t *out) {
    memset(world, 0, sizeof *world);
    struct bft_place place = {.cluster = 0x00020000, .epoch = 3};
    memset(place.system_id, 0x51, sizeof place.system_id);
    memset(place.config_hash.bytes, 0xC0, 32);
    struct bft_point start = {.height = 20};
    uint8_t keys[N][SIGNER_PUBLIC_KEY_BYTES];
    json_t *list = gen_group(out, "members");
    for (unsigned i = 0; i < N; i++) {
        uint8_t seed[32];
        memset(seed, (int)(0x80 + i), sizeof seed);
        (void)!ed25519_secret_init(&world->secrets[i], seed); /* whether it is locked in memory matters to no vector */
        ed25519_public_key(&world->secrets[i], keys[i]);
        json_t *item = json_object();
        CHECK(json_array_append_new(list, item) == 0);
        gen_set_hex(item, "seed", seed, sizeof seed);
        gen_set_hex(item, "public_key", keys[i], sizeof keys[i]);
    }
    CHECK(bft_members_init(&world->members, &place, &start, N, keys));
    world->query = (struct last_signed_query){.cluster = place.cluster, .epoch = place.epoch, .asker = GEN_ASKER};
    memcpy(world->query.system_id, place.system_id, sizeof world->query.system_id);
    for (unsigned i = 0; i < LAST_SIGNED_NONCE_BYTES; i++) world->query.nonce[i] = (uint8_t)(0xE0 + i);
    gen_set_hex(out, "system_id", place.system_id, sizeof place.system_id);
    gen_set_hex(out, "config_hash", place.config_hash.bytes, 32);
    gen_set_u64(out, "cluster", place.cluster);
    gen_set_u64(out, "epoch", place.epoch);
}

struct signer gen_member_signer(struct gen_members *world, unsigned member) {
    return signer_ed25519(&world->secrets[member]);
}

/* Checkpoints. */

struct entry {
    uint8_t path[32];
    uint8_t leaf[32];
    uint8_t key[8];
    uint8_t value[16];
    struct checkpoint_entry shown;
};

static struct entry entries[ENTRIES];

static int by_path(const void *a, const void *b) {
    return memcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path, 32);
}

static struct trie *state_make(json_t *out, uint8_t root[32]) {
    struct trie_limits limits = {.leaves_max = ENTRIES, .journal_max = 1};
    size_t bytes = (trie_memory_bytes(&limits) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    CHECK(memory);
    memset(memory, 0, bytes);
    struct trie *trie = trie_init(memory, bytes, &limits);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &entries[i];
        memcpy(entry->key, "key-", 4);
        entry->key[4] = (uint8_t)i;
        memset(entry->value, (int)(i * 3), sizeof entry->value);
        entry->shown = (struct checkpoint_entry){
            .space = (uint8_t)(i % 3 == 0), .key_bytes = 5, .value_bytes = i, .version_height = 30 + i, .version_index = i};
        trie_path((enum trie_space)entry->shown.space, entry->key, 5, entry->path);
    }
    qsort(entries, ENTRIES, sizeof entries[0], by_path);
    json_t *list = gen_group(out, "checkpoint_entries");
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &entries[i];
        entry->shown.key = entry->key;
        entry->shown.value = entry->value;
        struct trie_value value = {.version_height = entry->shown.version_height, .version_index = entry->shown.version_index};
        trie_value_hash(entry->value, entry->shown.value_bytes, value.value_hash);
        trie_leaf_hash((enum trie_space)entry->shown.space, entry->key, 5, &value, entry->leaf);
        CHECK(trie_put(trie, entry->path, entry->leaf, i) == TRIE_OK);
        uint8_t bytes_of_entry[64];
        struct bytes_writer writer = bytes_writer_of(bytes_of_entry, sizeof bytes_of_entry);
        checkpoint_entry_put(&writer, &entry->shown);
        CHECK(!writer.failed);
        json_t *item = json_object();
        CHECK(json_array_append_new(list, item) == 0);
        gen_set_hex(item, "path", entry->path, 32);
        gen_set_hex(item, "entry", bytes_of_entry, writer.used);
    }
    trie_root(trie, root);
    gen_set_hex(out, "checkpoint_state_root", root, 32);
    return trie;
}

static void certificate_make(struct gen_members *world, struct checkpoint_shown *shown) {
    struct bft_hash id = bft_header_id(&shown->child);
    struct bft_qc *qc = &shown->certificate.qc;
    memset(&shown->certificate, 0, sizeof shown->certificate);
    bft_header_ballot(&shown->child, &id, &qc->ballot);
    qc->kind = BFT_COMMIT;
    qc->count = 3;
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
        struct signer signer = gen_member_signer(world, i);
        bft_vote_preimage(&qc->ballot, BFT_COMMIT, preimage);
        signer.sign(signer.context, preimage, sizeof preimage, qc->signatures[i].bytes);
        qc->signers[i] = i;
    }
}

static void shown_make(struct gen_members *world, uint64_t height, const uint8_t root[32], struct checkpoint_shown *shown, uint8_t *manifest_bytes,
                       size_t room) {
    static uint8_t items[3 * CHECKPOINT_ITEM_BYTES];
    memset(shown, 0, sizeof *shown);
    shown->header.place = world->members.place;
    shown->header.height = height;
    shown->header.view = 5;
    shown->header.time = 123456;
    struct bft_hash id = bft_header_id(&shown->header);
    shown->child = shown->header;
    shown->child.height++;
    shown->child.parent_id = id;
    memcpy(shown->child.state_root.bytes, root, 32);
    certificate_make(world, shown);
    struct checkpoint_item list[3] = {{.kind = CHECKPOINT_PENDING, .cluster = 0x00010000, .bytes = 321},
                                      {.kind = CHECKPOINT_ROUTING, .cluster = 0x00010000, .dseq = 7, .bytes = 152},
                                      {.kind = CHECKPOINT_SLICE, .cluster = 0x00010001, .dseq = 9, .bytes = 4096}};
    for (unsigned i = 0; i < 3; i++) {
        memset(list[i].hash, (int)(0xD0 + i), 32);
        checkpoint_item_encode(&list[i], items + i * CHECKPOINT_ITEM_BYTES);
    }
    struct checkpoint_manifest *manifest = &shown->manifest;
    manifest->cluster = world->members.place.cluster;
    manifest->epoch = world->members.place.epoch;
    manifest->height = height;
    manifest->entries = ENTRIES;
    for (unsigned i = 0; i < ENTRIES; i++) manifest->bytes += entries[i].shown.key_bytes + entries[i].shown.value_bytes + 64u;
    manifest->item_count = 3;
    manifest->items = items;
    memcpy(manifest->system_id, world->members.place.system_id, 16);
    memcpy(manifest->block_id, id.bytes, 32);
    memcpy(manifest->state_root, root, 32);
    struct bytes_writer writer = bytes_writer_of(manifest_bytes, room);
    checkpoint_manifest_put(&writer, manifest);
    CHECK(!writer.failed);
    shown->manifest_bytes = manifest_bytes;
    shown->manifest_count = writer.used;
}

static void shown_case(struct gen_members *world, json_t *list, const char *name, const struct checkpoint_shown *shown,
                       enum checkpoint_error expected) {
    static uint8_t payload[ROOM];
    struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
    checkpoint_message_head_put(&writer, 77, 1);
    checkpoint_shown_put(&writer, shown);
    CHECK(!writer.failed);
    struct checkpoint_shown back[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce = 0;
    uint16_t number = 0;
    struct signer signer = signer_ed25519(NULL);
    enum checkpoint_error error = checkpoint_message_decode(payload, writer.used, &nonce, back, &number);
    if (error == CHECKPOINT_OK) error = checkpoint_shown_verify(&world->members, &signer, K, &back[0]);
    CHECK(error == expected);
    json_t *item = gen_case(list, name);
    gen_set_hex(item, "payload", payload, writer.used);
    gen_set_u64(item, "checkpoint_blocks", K);
    gen_set_text(item, "expect", checkpoint_error_name(expected));
}

static void shown_cases(struct gen_members *world, json_t *out, const uint8_t root[32]) {
    static struct checkpoint_shown shown;
    static uint8_t manifest[1024];
    json_t *list = gen_group(out, "checkpoints");
    shown_make(world, HEIGHT, root, &shown, manifest, sizeof manifest);
    shown_case(world, list, "whole", &shown, CHECKPOINT_OK);
    uint8_t hash[32];
    checkpoint_manifest_hash(manifest, shown.manifest_count, hash);
    gen_set_hex(out, "manifest", manifest, shown.manifest_count);
    gen_set_hex(out, "manifest_hash", hash, 32);
    manifest[125] = 1;
    shown_case(world, list, "zero of an item is not", &shown, CHECKPOINT_BAD_FIELD);
    manifest[125] = 0;
    manifest[0] = 2;
    shown_case(world, list, "format 2", &shown, CHECKPOINT_BAD_FIELD);
    manifest[0] = 1;
    manifest[124 + 56] = CHECKPOINT_PENDING;
    shown_case(world, list, "items do not ascend", &shown, CHECKPOINT_BAD_FIELD);
    shown_make(world, HEIGHT + 1, root, &shown, manifest, sizeof manifest);
    shown_case(world, list, "height not divisible by K", &shown, CHECKPOINT_BAD_PLACE);
    shown_make(world, HEIGHT, root, &shown, manifest, sizeof manifest);
    shown.child.state_root.bytes[31] ^= 1;
    certificate_make(world, &shown);
    shown_case(world, list, "the child certifies another root", &shown, CHECKPOINT_BAD_HEADER);
    shown_make(world, HEIGHT, root, &shown, manifest, sizeof manifest);
    shown.header.time++;
    shown_case(world, list, "another header", &shown, CHECKPOINT_BAD_HEADER);
    shown_make(world, HEIGHT, root, &shown, manifest, sizeof manifest);
    shown.certificate.qc.signatures[2].bytes[0] ^= 1;
    shown_case(world, list, "one signature is wrong", &shown, CHECKPOINT_BAD_CERTIFICATE);
}

/* The last checkpoint of a sealed cluster. */

enum { SEAL_HEIGHT = HEIGHT + 5, OUTBOX_MAX = 4 };

struct sealed {
    struct checkpoint_shown shown;
    uint8_t manifest[1024];
    uint8_t leaves[OUTBOX_MAX][LEAF_BYTES];
    tree_hash hashes[OUTBOX_MAX], path[TREE_PROOF_HASHES_MAX];
    uint32_t leaf_count;
};

/* SEAL's block with so many leaves, the last of which is the state leaf. Header, manifest and certificate are made to fit. */
static void sealed_make(struct gen_members *world, const uint8_t root[32], uint32_t leaf_count, struct sealed *sealed) {
    struct checkpoint_shown *shown = &sealed->shown;
    shown_make(world, SEAL_HEIGHT, root, shown, sealed->manifest, sizeof sealed->manifest);
    sealed->leaf_count = leaf_count;
    for (uint32_t i = 0; i + 1 < leaf_count; i++) {
        struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .source = world->members.place.cluster, .destination = 0x00010000 + i, .height = SEAL_HEIGHT,
                            .dseq = 1, .slice_bytes = 16};
        memcpy(leaf.system_id, world->members.place.system_id, sizeof leaf.system_id);
        memset(leaf.slice_hash, (int)(0xA0 + i), 32);
        leaf_encode(&leaf, sealed->leaves[i]);
    }
    leaf_state_encode(world->members.place.system_id, world->members.place.cluster, SEAL_HEIGHT, root, sealed->leaves[leaf_count - 1]);
    for (uint32_t i = 0; i < leaf_count; i++) leaf_hash(sealed->leaves[i], sealed->hashes[i]);
    tree_root((const tree_hash *)sealed->hashes, leaf_count, shown->header.outbox_root.bytes);
    shown->child = shown->header;
    shown->sealed = true;
    shown->path_count = (uint32_t)tree_inclusion_prove((const tree_hash *)sealed->hashes, leaf_count, leaf_count - 1, sealed->path);
    shown->path = (const tree_hash *)sealed->path;
    memcpy(shown->manifest.block_id, bft_header_id(&shown->header).bytes, 32);
    struct bytes_writer writer = bytes_writer_of(sealed->manifest, sizeof sealed->manifest);
    checkpoint_manifest_put(&writer, &shown->manifest);
    CHECK(!writer.failed);
    certificate_make(world, shown);
}

static void sealed_case(struct gen_members *world, json_t *list, const char *name, const struct sealed *sealed, size_t cut,
                        enum checkpoint_error expected) {
    static uint8_t payload[ROOM];
    struct bft_members members = world->members;
    struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
    checkpoint_message_head_put(&writer, 77, 1);
    checkpoint_shown_put(&writer, &sealed->shown);
    CHECK(!writer.failed);
    members.height_last = SEAL_HEIGHT; /* as the chain shows it, which has the SEAL */
    struct checkpoint_shown back[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce = 0;
    uint16_t number = 0;
    struct signer signer = signer_ed25519(NULL);
    enum checkpoint_error error = checkpoint_message_decode(payload, writer.used - cut, &nonce, back, &number);
    if (error == CHECKPOINT_OK) error = checkpoint_shown_verify(&members, &signer, K, &back[0]);
    CHECK(error == expected);
    json_t *item = gen_case(list, name), *leaves = gen_group(item, "outbox");
    for (uint32_t i = 0; i < sealed->leaf_count; i++) {
        json_t *row = json_object();
        CHECK(json_array_append_new(leaves, row) == 0);
        gen_set_hex(row, "leaf", sealed->leaves[i], LEAF_BYTES);
    }
    gen_set_hex(item, "payload", payload, writer.used - cut);
    gen_set_u64(item, "checkpoint_blocks", K);
    gen_set_u64(item, "height_last", SEAL_HEIGHT);
    gen_set_text(item, "expect", checkpoint_error_name(expected));
}

static void sealed_cases(struct gen_members *world, json_t *out, const uint8_t root[32]) {
    static struct sealed sealed;
    uint8_t other[32];
    json_t *list = gen_group(out, "sealed_checkpoints");
    for (uint32_t leaves = 1; leaves <= OUTBOX_MAX; leaves++) {
        char name[48];
        (void)snprintf(name, sizeof name, "the state leaf is the last of %u", leaves);
        sealed_make(world, root, leaves, &sealed);
        sealed_case(world, list, name, &sealed, 0, CHECKPOINT_OK);
    }
    sealed_case(world, list, "a byte of the path less", &sealed, 1, CHECKPOINT_BAD_BYTES);
    sealed_case(world, list, "without path_count and path", &sealed, 4 + 32 * (size_t)sealed.shown.path_count, CHECKPOINT_BAD_BYTES);
    sealed.shown.path_count--;
    sealed_case(world, list, "a hash of the path less", &sealed, 0, CHECKPOINT_BAD_HEADER);
    sealed.shown.path_count = CHECKPOINT_PATH_MAX + 1;
    sealed_case(world, list, "a path of 25 hashes", &sealed, 0, CHECKPOINT_BAD_FIELD);
    sealed_make(world, root, OUTBOX_MAX, &sealed);
    sealed.path[0][31] ^= 1;
    sealed_case(world, list, "another hash in the path", &sealed, 0, CHECKPOINT_BAD_HEADER);
    memcpy(other, root, 32);
    other[0] ^= 1;
    sealed_make(world, root, OUTBOX_MAX, &sealed);
    memcpy(sealed.manifest + 72, other, 32);
    sealed_case(world, list, "the outbox names another state root than the manifest", &sealed, 0, CHECKPOINT_BAD_HEADER);
    sealed_make(world, root, OUTBOX_MAX, &sealed);
    sealed.shown.certificate.qc.signatures[0].bytes[0] ^= 1;
    sealed_case(world, list, "one signature is wrong, at the end", &sealed, 0, CHECKPOINT_BAD_CERTIFICATE);
}

/* One of so many items that a link shows it short. */

enum { MANY = CHECKPOINT_ITEMS_SHOWN_MAX + 1, LATER = 57000 };

static void short_make(struct gen_members *world, const uint8_t root[32], uint32_t item_count, struct checkpoint_shown *shown, uint8_t *whole,
                       size_t room) {
    static uint8_t items[MANY * CHECKPOINT_ITEM_BYTES], brief[1024];
    shown_make(world, HEIGHT, root, shown, brief, sizeof brief);
    for (uint32_t i = 0; i < item_count; i++) {
        struct checkpoint_item item = {.kind = CHECKPOINT_SLICE, .cluster = 0x00010000, .dseq = 1 + i, .bytes = 16};
        memset(item.hash, (int)(i & 0xFF), 32);
        checkpoint_item_encode(&item, items + (size_t)i * CHECKPOINT_ITEM_BYTES);
    }
    shown->manifest.item_count = item_count;
    shown->manifest.items = items;
    struct bytes_writer writer = bytes_writer_of(whole, room);
    checkpoint_manifest_put(&writer, &shown->manifest);
    CHECK(!writer.failed && writer.used == CHECKPOINT_MANIFEST_HEAD_BYTES + (size_t)item_count * CHECKPOINT_ITEM_BYTES);
    memcpy(brief, whole, CHECKPOINT_MANIFEST_HEAD_BYTES);
    checkpoint_manifest_hash(whole, writer.used, brief + CHECKPOINT_MANIFEST_HEAD_BYTES);
    shown->manifest_bytes = brief;
    shown->manifest_count = CHECKPOINT_SHORT_BYTES;
}

static void manifest_piece_case(json_t *list, const char *name, const struct checkpoint_piece_query *query, const uint8_t *payload, size_t count,
                                enum checkpoint_error expected) {
    struct checkpoint_piece piece;
    uint8_t bytes[CHECKPOINT_PIECE_QUERY_BYTES];
    enum checkpoint_error error = checkpoint_piece_decode(payload, count, &piece);
    if (error == CHECKPOINT_OK && !checkpoint_piece_answers(&piece, query)) error = CHECKPOINT_BAD_NONCE;
    CHECK(error == expected);
    checkpoint_piece_query_encode(query, bytes);
    json_t *item = gen_case(list, name);
    gen_set_hex(item, "query", bytes, sizeof bytes);
    gen_set_hex(item, "payload", payload, count);
    gen_set_text(item, "expect", checkpoint_error_name(expected));
}

static void manifest_pieces(json_t *list, const uint8_t *whole, size_t count) {
    static uint8_t payload[CHECKPOINT_PIECE_HEAD_BYTES + CHECKPOINT_MANIFEST_HEAD_BYTES + MANY * CHECKPOINT_ITEM_BYTES];
    struct checkpoint_piece_query query = {.nonce = 9, .kind = CHECKPOINT_MANIFEST_OF};
    struct checkpoint_piece piece = {.nonce = 9, .kind = CHECKPOINT_MANIFEST_OF, .total = count};
    checkpoint_manifest_hash(whole, count, query.manifest_hash);
    memcpy(piece.manifest_hash, query.manifest_hash, 32);
    struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
    checkpoint_piece_head_put(&writer, &piece);
    bytes_put_raw(&writer, whole, count);
    CHECK(!writer.failed);
    manifest_piece_case(list, "the whole manifest", &query, payload, writer.used, CHECKPOINT_OK);
    query.offset = LATER;
    writer = bytes_writer_of(payload, sizeof payload);
    checkpoint_piece_head_put(&writer, &piece);
    bytes_put_raw(&writer, whole + LATER, count - LATER);
    manifest_piece_case(list, "from byte 57,000 on", &query, payload, writer.used, CHECKPOINT_OK);
    payload[40] = CHECKPOINT_SLICE;
    manifest_piece_case(list, "as a piece of an item", &query, payload, writer.used, CHECKPOINT_BAD_NONCE);
    payload[40] = CHECKPOINT_MANIFEST_OF;
    payload[8] ^= 1;
    manifest_piece_case(list, "of another manifest", &query, payload, writer.used, CHECKPOINT_BAD_NONCE);
    payload[8] ^= 1;
    payload[41] = CHECKPOINT_PIECE_UNKNOWN;
    manifest_piece_case(list, "UNKNOWN, with content", &query, payload, writer.used, CHECKPOINT_BAD_FIELD);
}

static void short_cases(struct gen_members *world, json_t *out, const uint8_t root[32]) {
    static struct checkpoint_shown shown;
    static uint8_t whole[CHECKPOINT_MANIFEST_HEAD_BYTES + MANY * CHECKPOINT_ITEM_BYTES], hash[32];
    json_t *list = gen_group(out, "short_checkpoints");
    short_make(world, root, MANY, &shown, whole, sizeof whole);
    checkpoint_manifest_hash(whole, sizeof whole, hash);
    gen_set_hex(out, "short_manifest_hash", hash, 32);
    shown_case(world, list, "1,025 items in 156 bytes", &shown, CHECKPOINT_OK);
    uint8_t *brief = (uint8_t *)(uintptr_t)shown.manifest_bytes;
    brief[CHECKPOINT_MANIFEST_HEAD_BYTES] ^= 1;
    shown_case(world, list, "another hash, of which nothing can be told yet", &shown, CHECKPOINT_OK);
    brief[CHECKPOINT_MANIFEST_HEAD_BYTES] ^= 1;
    brief[0] = 2;
    shown_case(world, list, "format 2", &shown, CHECKPOINT_BAD_FIELD);
    brief[0] = 1;
    brief[123] = 1;
    shown_case(world, list, "more than 2^20 items", &shown, CHECKPOINT_BAD_FIELD);
    brief[123] = 0;
    shown.child.state_root.bytes[0] ^= 1;
    certificate_make(world, &shown);
    shown_case(world, list, "the child certifies another root", &shown, CHECKPOINT_BAD_HEADER);
    manifest_pieces(gen_group(out, "manifest_pieces"), whole, sizeof whole);
    short_make(world, root, CHECKPOINT_ITEMS_SHOWN_MAX, &shown, whole, sizeof whole);
    shown_case(world, list, "1,024 items, which fit whole", &shown, CHECKPOINT_BAD_BYTES);
}

static size_t entries_piece(struct trie *trie, const struct checkpoint_piece_query *query, uint8_t *payload, size_t room) {
    struct checkpoint_piece piece = {.nonce = query->nonce};
    memcpy(piece.manifest_hash, query->manifest_hash, 32);
    for (unsigned i = 0; i < ENTRIES; i++) piece.total += trie_prefix_equal(entries[i].path, query->prefix, query->prefix_bits);
    struct bytes_writer writer = bytes_writer_of(payload, room);
    checkpoint_piece_head_put(&writer, &piece);
    uint8_t *length = bytes_put_space(&writer, 4);
    size_t before = writer.used;
    struct trie_proof_leaf leaf;
    struct trie_proof_other other;
    memset(&other, 0, sizeof other);
    if (trie_prefix_proof_find(trie, query->prefix, query->prefix_bits, &leaf) == TRIE_PROOF_OTHER) {
        const struct entry *entry = &entries[leaf.ref];
        other = (struct trie_proof_other){.space = (enum trie_space)entry->shown.space, .key = entry->key, .key_bytes = entry->shown.key_bytes};
        other.value.version_height = entry->shown.version_height;
        other.value.version_index = entry->shown.version_index;
        trie_value_hash(entry->value, entry->shown.value_bytes, other.value.value_hash);
    }
    trie_prefix_proof_write(trie, query->prefix, query->prefix_bits, &other, &writer);
    CHECK(!writer.failed);
    bytes_put_le32(length, (uint32_t)(writer.used - before));
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (trie_prefix_equal(entries[i].path, query->prefix, query->prefix_bits)) checkpoint_entry_put(&writer, &entries[i].shown);
    }
    CHECK(!writer.failed);
    return writer.used;
}

static void piece_case(json_t *list, const char *name, const struct checkpoint_piece_query *query, const uint8_t root[32], const uint8_t *payload,
                       size_t count, enum checkpoint_error expected) {
    struct checkpoint_piece piece;
    struct bytes_cursor cursor;
    const uint8_t *subroots;
    enum checkpoint_error error = checkpoint_piece_decode(payload, count, &piece);
    if (error == CHECKPOINT_OK) error = checkpoint_piece_judge(&piece, query);
    bool filled = error == CHECKPOINT_OK && piece.code == CHECKPOINT_PIECE_OK;
    if (filled && query->kind == CHECKPOINT_ENTRIES) error = checkpoint_entries_verify(&piece, query, root, &cursor);
    if (filled && query->kind == CHECKPOINT_SUBROOTS_OF) error = checkpoint_subroots_verify(&piece, query, root, &subroots);
    CHECK(error == expected);
    uint8_t query_bytes[CHECKPOINT_PIECE_QUERY_BYTES];
    checkpoint_piece_query_encode(query, query_bytes);
    json_t *item = gen_case(list, name);
    gen_set_hex(item, "query", query_bytes, sizeof query_bytes);
    gen_set_hex(item, "payload", payload, count);
    gen_set_hex(item, "against", root, 32);
    gen_set_text(item, "expect", checkpoint_error_name(expected));
}

static void entries_cases(struct trie *trie, json_t *list, const uint8_t root[32]) {
    static uint8_t payload[ROOM];
    struct checkpoint_piece_query query = {.nonce = 5};
    memset(query.manifest_hash, 0x16, 32);
    size_t count = entries_piece(trie, &query, payload, sizeof payload);
    piece_case(list, "all entries in one piece", &query, root, payload, count, CHECKPOINT_OK);
    for (unsigned number = 0; number < 16; number++) {
        char name[32];
        (void)snprintf(name, sizeof name, "prefix %x of 4 bits", number);
        query.prefix_bits = 4;
        query.prefix[0] = (uint8_t)(number << 4);
        count = entries_piece(trie, &query, payload, sizeof payload);
        piece_case(list, name, &query, root, payload, count, CHECKPOINT_OK);
    }
    query.prefix_bits = 0;
    query.prefix[0] = 0;
    count = entries_piece(trie, &query, payload, sizeof payload);
    payload[count - 1] ^= 1;
    piece_case(list, "a flipped bit of a value", &query, root, payload, count, CHECKPOINT_BAD_PROOF);
    payload[count - 1] ^= 1;
    payload[0] ^= 1;
    piece_case(list, "another nonce", &query, root, payload, count, CHECKPOINT_BAD_NONCE);
    payload[0] ^= 1;
    payload[48]--;
    piece_case(list, "one entry more than total says", &query, root, payload, count, CHECKPOINT_BAD_BYTES);
    payload[48]++;
    query.prefix_bits = 1;
    piece_case(list, "entries without the prefix", &query, root, payload, count, CHECKPOINT_BAD_ORDER);
}

static void subroots_cases(struct trie *trie, json_t *list, const uint8_t root[32]) {
    static uint8_t payload[ROOM];
    struct checkpoint_piece_query query = {.nonce = 6, .kind = CHECKPOINT_SUBROOTS_OF};
    struct checkpoint_piece piece = {.nonce = 6, .kind = CHECKPOINT_SUBROOTS_OF, .total = CHECKPOINT_SUBROOTS};
    struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
    checkpoint_piece_head_put(&writer, &piece);
    for (unsigned i = 0; i < CHECKPOINT_SUBROOTS; i++) {
        uint8_t prefix[32] = {(uint8_t)i};
        uint8_t subroot[32];
        trie_prefix_hash(trie, prefix, 8, subroot);
        bytes_put_hash(&writer, subroot);
    }
    CHECK(!writer.failed);
    piece_case(list, "subroots of the whole", &query, root, payload, writer.used, CHECKPOINT_OK);
    payload[CHECKPOINT_PIECE_HEAD_BYTES + 32 * entries[3].path[0]] ^= 1;
    piece_case(list, "one subroot is wrong", &query, root, payload, writer.used, CHECKPOINT_BAD_PROOF);
    piece_case(list, "a subroot is missing", &query, root, payload, writer.used - 32, CHECKPOINT_BAD_BYTES);
}

static void refusals(json_t *list, const uint8_t root[32]) {
    uint8_t payload[CHECKPOINT_PIECE_HEAD_BYTES];
    const struct checkpoint_piece_query of_slice = {.nonce = 8, .kind = CHECKPOINT_SLICE, .cluster = 0x00010001, .dseq = 9, .offset = 1048576};
    const struct checkpoint_piece_query of_entries = {.nonce = 8, .kind = CHECKPOINT_ENTRIES};
    static const struct {
        const char *name;
        bool of_entries;
        uint8_t code;
        uint32_t hint;
        enum checkpoint_error expected;
    } cases[] = {{"UNKNOWN", false, 1, 0, CHECKPOINT_OK},
                 {"UNKNOWN with a hint", false, 1, 9, CHECKPOINT_BAD_FIELD},
                 {"TOO-LARGE, 4 bits more", true, 2, 4, CHECKPOINT_OK},
                 {"TOO-LARGE, 17 bits more", true, 2, 17, CHECKPOINT_BAD_FIELD},
                 {"TOO-LARGE, of a slice", false, 2, 4, CHECKPOINT_BAD_FIELD},
                 {"BUSY for 250 ms", false, 3, 250, CHECKPOINT_OK},
                 {"code 4", false, 4, 0, CHECKPOINT_BAD_FIELD}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct checkpoint_piece_query *query = cases[i].of_entries ? &of_entries : &of_slice;
        struct checkpoint_piece piece = {.nonce = 8, .kind = query->kind, .code = cases[i].code, .hint = cases[i].hint};
        struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
        checkpoint_piece_head_put(&writer, &piece);
        piece_case(list, cases[i].name, query, root, payload, writer.used, cases[i].expected);
    }
}

/* What convicts a member that signed entries which are not those of its checkpoint (B-81 to B-83, kind 8). */

struct case_of_piece {
    struct checkpoint_shown shown;
    uint8_t manifest[1024], shown_bytes[ROOM], piece[ROOM];
    size_t shown_count, piece_count;
    struct checkpoint_piece_query query;
    uint8_t signer;
};

/* As a backup has it (P-80). */
static void checkpoint_put(struct case_of_piece *of, uint64_t nonce) {
    struct bytes_writer writer = bytes_writer_of(of->shown_bytes, sizeof of->shown_bytes);
    checkpoint_message_head_put(&writer, nonce, 1);
    checkpoint_shown_put(&writer, &of->shown);
    CHECK(!writer.failed);
    of->shown_count = writer.used;
}

static void piece_of_make(struct gen_members *world, struct trie *trie, const uint8_t root[32], uint64_t height, struct case_of_piece *of) {
    memset(of, 0, sizeof *of);
    of->signer = 1;
    shown_make(world, height, root, &of->shown, of->manifest, sizeof of->manifest);
    checkpoint_put(of, 0);
    of->query.nonce = 5;
    checkpoint_manifest_hash(of->manifest, of->shown.manifest_count, of->query.manifest_hash);
    of->piece_count = entries_piece(trie, &of->query, of->piece, sizeof of->piece);
}

/* The same, two epochs below that of its child. */
static void piece_of_age(struct gen_members *world, struct case_of_piece *of) {
    struct checkpoint_shown *shown = &of->shown;
    shown->manifest.epoch = shown->header.place.epoch = shown->child.place.epoch - 2;
    shown->child.parent_id = bft_header_id(&shown->header);
    memcpy(shown->manifest.block_id, shown->child.parent_id.bytes, 32);
    certificate_make(world, shown);
    struct bytes_writer writer = bytes_writer_of(of->manifest, sizeof of->manifest);
    checkpoint_manifest_put(&writer, &shown->manifest);
    CHECK(!writer.failed && writer.used == shown->manifest_count);
    checkpoint_put(of, 0);
    checkpoint_manifest_hash(of->manifest, shown->manifest_count, of->query.manifest_hash);
    memcpy(of->piece + 8, of->query.manifest_hash, 32);
}

static void evidence_case(struct gen_members *world, json_t *list, const char *name, const struct case_of_piece *of, unsigned key, int more,
                          enum evidence_error expected) {
    static uint8_t bytes[2 * ROOM];
    static struct evidence evidence;
    uint8_t preimage[CHECKPOINT_PIECE_PREIMAGE_BYTES], signature[SIGNER_SIGNATURE_BYTES];
    struct signer signer = gen_member_signer(world, key), verifier = signer_ed25519(NULL);
    checkpoint_piece_preimage(world->members.place.system_id, &of->query, of->piece, of->piece_count, preimage);
    signer.sign(signer.context, preimage, sizeof preimage, signature);
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    evidence_put_piece_head(&writer, NULL, 0, of->signer);
    evidence_put_piece_items(&writer, of->shown_bytes, of->shown_count, &of->query, of->piece, of->piece_count, signature);
    CHECK(!writer.failed);
    bytes[writer.used] = 0;
    size_t count = (size_t)((long)writer.used + more);
    enum evidence_error error = evidence_decode(bytes, count, &evidence);
    if (error == EVIDENCE_OK) error = evidence_verify(&evidence, &world->members, &verifier);
    CHECK(error == expected);
    json_t *item = gen_case(list, name);
    gen_set_hex(item, "bytes", bytes, count);
    gen_set_text(item, "error", evidence_error_name(expected));
    if (error == EVIDENCE_OK) gen_set_u64(item, "signer", evidence.signer);
}

static void evidence_forms(struct gen_members *world, struct trie *trie, json_t *list, const uint8_t root[32]) {
    static struct case_of_piece of;
    piece_of_make(world, trie, root, HEIGHT, &of);
    of.piece[of.piece_count - 1] ^= 1;
    evidence_case(world, list, "a byte less", &of, 1, -1, EVIDENCE_TRUNCATED);
    evidence_case(world, list, "a byte behind", &of, 1, 1, EVIDENCE_TRUNCATED);
    checkpoint_put(&of, 5);
    evidence_case(world, list, "CHECKPOINT with a nonce", &of, 1, 0, EVIDENCE_BAD_CHECKPOINT);
    checkpoint_put(&of, 0);
    of.shown_bytes[of.shown_count++] = 0;
    evidence_case(world, list, "a byte behind CHECKPOINT", &of, 1, 0, EVIDENCE_BAD_CHECKPOINT);
    checkpoint_put(&of, 0);
    of.query.prefix_bits = 257;
    evidence_case(world, list, "a question that does not decode: 257 bits", &of, 1, 0, EVIDENCE_BAD_FIELD);
    of.query.prefix_bits = 0;
    of.query.kind = of.piece[40] = CHECKPOINT_SUBROOTS_OF;
    evidence_case(world, list, "a question of SUBROOTS, and its answer", &of, 1, 0, EVIDENCE_BAD_FIELD);
    of.query.kind = of.piece[40] = CHECKPOINT_ENTRIES;
    of.query.manifest_hash[0] ^= 1;
    of.piece[8] ^= 1;
    evidence_case(world, list, "question and answer of another manifest", &of, 1, 0, EVIDENCE_BAD_FIELD);
    of.query.manifest_hash[0] ^= 1;
    evidence_case(world, list, "an answer of another manifest", &of, 1, 0, EVIDENCE_BAD_FIELD);
    of.piece[8] ^= 1;
    of.piece[0] ^= 1;
    evidence_case(world, list, "an answer to another question", &of, 1, 0, EVIDENCE_BAD_FIELD);
    of.piece[0] ^= 1;
    of.piece_count = CHECKPOINT_PIECE_HEAD_BYTES;
    of.piece[41] = CHECKPOINT_PIECE_UNKNOWN;
    memset(of.piece + 48, 0, 8);
    evidence_case(world, list, "UNKNOWN", &of, 1, 0, EVIDENCE_BAD_FIELD);
    static struct checkpoint_shown shown;
    static uint8_t whole[CHECKPOINT_MANIFEST_HEAD_BYTES + MANY * CHECKPOINT_ITEM_BYTES];
    piece_of_make(world, trie, root, HEIGHT, &of);
    of.piece[of.piece_count - 1] ^= 1;
    short_make(world, root, MANY, &shown, whole, sizeof whole);
    of.shown = shown;
    checkpoint_put(&of, 0);
    memcpy(of.query.manifest_hash, shown.manifest_bytes + CHECKPOINT_MANIFEST_HEAD_BYTES, 32);
    memcpy(of.piece + 8, of.query.manifest_hash, 32);
    evidence_case(world, list, "a manifest that is shown short", &of, 1, 0, EVIDENCE_BAD_CHECKPOINT);
}

static void evidence_cases(struct gen_members *world, struct trie *trie, json_t *out, const uint8_t root[32]) {
    static struct case_of_piece of;
    json_t *list = gen_group(out, "evidence");
    piece_of_make(world, trie, root, HEIGHT, &of);
    evidence_case(world, list, "the entries are right", &of, 1, 0, EVIDENCE_NO_CONFLICT);
    of.piece[of.piece_count - 1] ^= 1;
    evidence_case(world, list, "another value (bad_proof)", &of, 1, 0, EVIDENCE_OK);
    evidence_case(world, list, "signed by another member", &of, 2, 0, EVIDENCE_BAD_SIGNATURE);
    of.signer = N;
    evidence_case(world, list, "signer n", &of, 1, 0, EVIDENCE_BAD_SIGNER);
    of.signer = 1;
    of.shown.certificate.qc.signatures[2].bytes[0] ^= 1;
    checkpoint_put(&of, 0);
    evidence_case(world, list, "the child is not certified", &of, 1, 0, EVIDENCE_BAD_CHECKPOINT);
    piece_of_make(world, trie, root, HEIGHT, &of);
    of.piece[48]--;
    evidence_case(world, list, "an entry more than total says (bad_bytes)", &of, 1, 0, EVIDENCE_OK);
    of.piece[48]++;
    of.query.prefix_bits = 1;
    evidence_case(world, list, "entries without the prefix (bad_order)", &of, 1, 0, EVIDENCE_OK);
    piece_of_make(world, trie, root, HEIGHT + 1, &of);
    of.piece[of.piece_count - 1] ^= 1;
    evidence_case(world, list, "at a height that no checkpoint has: K is not judged", &of, 1, 0, EVIDENCE_OK);
    piece_of_make(world, trie, root, HEIGHT, &of);
    of.piece[of.piece_count - 1] ^= 1;
    piece_of_age(world, &of);
    evidence_case(world, list, "of an epoch that is neither its child's nor the one before", &of, 1, 0, EVIDENCE_OK);
    evidence_forms(world, trie, list, root);
}

void gen_durability(json_t *out) {
    static struct gen_members world;
    CHECK(ed25519_start(NULL));
    world_make(&world, out);
    uint8_t query[LAST_SIGNED_QUERY_BYTES];
    last_signed_query_encode(&world.query, query);
    gen_set_hex(out, "last_signed_query", query, sizeof query);
    gen_last_signed(&world, out);
    uint8_t root[32];
    struct trie *trie = state_make(out, root);
    shown_cases(&world, out, root);
    sealed_cases(&world, out, root);
    short_cases(&world, out, root);
    evidence_cases(&world, trie, out, root);
    json_t *pieces = gen_group(out, "pieces");
    entries_cases(trie, pieces, root);
    subroots_cases(trie, pieces, root);
    refusals(pieces, root);
    free(trie); /* it lies at the beginning of its memory */
}
