/* Vectors of spec/trees.md, T-rules: hashes, roots after histories, proofs of keys and of pieces, and what must be refused with which word. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "merkle/trie.h"
#include "tests/vectors_gen/gen.h"

void gen_trees_trie(json_t *out);

enum { KEYS = 40 };

/* Key i is "key <i>"; every fifth is the system's. */
struct entry {
    enum trie_space space;
    char key[TRIE_KEY_BYTES_MAX];
    size_t key_bytes;
    char text[32]; /* the value */
    struct trie_value value;
    uint8_t path[32];
    uint8_t leaf_hash[32];
};

static void set_hex(json_t *object, const char *name, const void *bytes, size_t count) {
    static char text[2 * TRIE_PROOF_BYTES_MAX + 64];
    CHECK(2 * count < sizeof text);
    sodium_bin2hex(text, sizeof text, bytes, count);
    CHECK(json_object_set_new(object, name, json_string(text)) == 0);
}

static void set_text(json_t *object, const char *name, const char *text) {
    CHECK(json_object_set_new(object, name, json_string(text)) == 0);
}

static void set_number(json_t *object, const char *name, uint64_t number) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    json_t *value = number < (uint64_t)1 << 53 ? json_integer((json_int_t)number) : json_string(text);
    CHECK(json_object_set_new(object, name, value) == 0);
}

static json_t *list_in(json_t *object, const char *name) {
    json_t *list = json_array();
    CHECK(json_object_set_new(object, name, list) == 0);
    return list;
}

static json_t *item_in(json_t *list) {
    json_t *item = json_object();
    CHECK(json_array_append_new(list, item) == 0);
    return item;
}

static void entry_make(struct entry *entry, unsigned i, unsigned write) {
    memset(entry, 0, sizeof *entry);
    entry->space = i % 5 == 0 ? TRIE_SPACE_SYSTEM : TRIE_SPACE_USER;
    if (i == 7) { /* the longest key */
        memset(entry->key, 'x', TRIE_KEY_BYTES_MAX);
        entry->key_bytes = TRIE_KEY_BYTES_MAX;
    } else {
        entry->key_bytes = (size_t)snprintf(entry->key, sizeof entry->key, "key %u", i);
    }
    size_t count = i == 9 ? 0 : (size_t)snprintf(entry->text, sizeof entry->text, "value %u of %u", write, i);
    entry->value.version_height = ((uint64_t)(i % 3) << 48) + 1000 + write; /* succession numbers 0 to 2 */
    entry->value.version_index = write * KEYS + i;
    trie_value_hash(entry->text, count, entry->value.value_hash);
    trie_path(entry->space, entry->key, entry->key_bytes, entry->path);
    trie_leaf_hash(entry->space, entry->key, entry->key_bytes, &entry->value, entry->leaf_hash);
}

static void entry_write(json_t *item, const struct entry *entry, bool with_value) {
    set_number(item, "space", entry->space);
    set_hex(item, "key", entry->key, entry->key_bytes);
    if (!with_value) return;
    set_number(item, "version_height", entry->value.version_height);
    set_number(item, "version_index", entry->value.version_index);
    set_hex(item, "value_hash", entry->value.value_hash, 32);
}

static struct trie *trie_new(void) {
    struct trie_limits limits = {.leaves_max = KEYS, .journal_max = KEYS};
    void *memory = aligned_alloc(64, trie_memory_bytes(&limits));
    CHECK(memory);
    memset(memory, 0, trie_memory_bytes(&limits));
    return trie_init(memory, trie_memory_bytes(&limits), &limits);
}

static void hashes_make(json_t *list) {
    for (unsigned i = 0; i < 12; i++) {
        struct entry entry;
        entry_make(&entry, i, 1);
        json_t *item = item_in(list);
        entry_write(item, &entry, true);
        set_hex(item, "value", entry.text, strlen(entry.text));
        set_hex(item, "path", entry.path, 32);
        set_hex(item, "leaf_hash", entry.leaf_hash, 32);
    }
}

/* Puts, overwrites and removes, with the root after each. The same sets come about in different ways, and have the same roots. */
static void history_make(json_t *list, unsigned step) {
    struct trie *trie = trie_new();
    for (unsigned i = 0; i < 60; i++) {
        struct entry entry;
        uint8_t root[32];
        unsigned which = i * step % 20, write = i < 20 ? 1 : 2;
        bool removing = i >= 40;
        entry_make(&entry, which, write);
        json_t *item = item_in(list);
        set_text(item, "do", removing ? "remove" : "put");
        entry_write(item, &entry, !removing);
        CHECK((removing ? trie_remove(trie, entry.path) : trie_put(trie, entry.path, entry.leaf_hash, which)) == TRIE_OK);
        trie_root(trie, root);
        set_hex(item, "root", root, 32);
    }
    free(trie);
}

/* The trie of the proofs: keys 0, 2, 4, ... of the first write. */

static struct trie *trie;
static struct entry entries[KEYS];
static uint8_t trie_root_hash[32];

static size_t prove(const uint8_t path[32], unsigned bits, uint8_t proof[TRIE_PROOF_BYTES_MAX]) {
    struct trie_proof_leaf leaf;
    struct trie_proof_other other = {0};
    if (trie_prefix_proof_find(trie, path, bits, &leaf) == TRIE_PROOF_OTHER) {
        const struct entry *entry = &entries[leaf.ref];
        other = (struct trie_proof_other){entry->space, entry->key, entry->key_bytes, entry->value};
    }
    struct bytes_writer writer = bytes_writer_of(proof, TRIE_PROOF_BYTES_MAX);
    trie_prefix_proof_write(trie, path, bits, &other, &writer);
    CHECK(!writer.failed);
    return writer.used;
}

static void proof_case(json_t *list, const char *name, const struct entry *entry, bool presence, const uint8_t *root, const uint8_t *proof,
                       size_t count, enum trie_proof_error expected) {
    enum trie_proof_error error = presence ? trie_proof_verify_present(root, entry->space, entry->key, entry->key_bytes, &entry->value, proof, count)
                                           : trie_proof_verify_absent(root, entry->space, entry->key, entry->key_bytes, proof, count);
    CHECK(error == expected);
    json_t *item = item_in(list);
    if (name) set_text(item, "name", name);
    set_text(item, "claim", presence ? "present" : "absent");
    entry_write(item, entry, presence);
    set_hex(item, "root", root, 32);
    set_hex(item, "proof", proof, count);
    set_text(item, "error", trie_proof_error_name(expected));
}

static void present_negatives(json_t *list) {
    uint8_t proof[TRIE_PROOF_BYTES_MAX + 1] = {0}, root[32];
    struct entry entry = entries[2];
    size_t count = prove(entry.path, TRIE_BITS, proof);
    proof_case(list, "a present key claimed absent", &entry, false, trie_root_hash, proof, count, TRIE_PROOF_BAD_KIND);
    proof_case(list, "one byte less", &entry, true, trie_root_hash, proof, count - 1, TRIE_PROOF_BAD_BYTES);
    proof_case(list, "one byte more", &entry, true, trie_root_hash, proof, count + 1, TRIE_PROOF_BAD_BYTES);
    proof_case(list, "no bytes", &entry, true, trie_root_hash, proof, 0, TRIE_PROOF_BAD_BYTES);
    entry.value.version_index++;
    proof_case(list, "another version", &entry, true, trie_root_hash, proof, count, TRIE_PROOF_BAD_ROOT);
    entry = entries[2];
    entry.value.value_hash[0] ^= 1;
    proof_case(list, "another value", &entry, true, trie_root_hash, proof, count, TRIE_PROOF_BAD_ROOT);
    entry = entries[2];
    entry.space = TRIE_SPACE_SYSTEM;
    proof_case(list, "the same key of the system", &entry, true, trie_root_hash, proof, count, TRIE_PROOF_BAD_ROOT);
    proof_case(list, "another present key", &entries[4], true, trie_root_hash, proof, count, TRIE_PROOF_BAD_ROOT);
    entry = entries[2];
    memcpy(root, trie_root_hash, 32);
    root[0] ^= 1;
    proof_case(list, "another root", &entry, true, root, proof, count, TRIE_PROOF_BAD_ROOT);
    proof[0] = 3;
    proof_case(list, "unknown kind", &entry, true, trie_root_hash, proof, count, TRIE_PROOF_BAD_FIELD);
    proof[0] = TRIE_PROOF_PRESENT;
    proof[1] = 1;
    proof_case(list, "zero is not zero", &entry, true, trie_root_hash, proof, count, TRIE_PROOF_BAD_FIELD);
    proof[1] = 0;
    proof[4 + 33] = proof[4];
    proof_case(list, "the same bit twice", &entry, true, trie_root_hash, proof, count, TRIE_PROOF_BAD_FIELD);
    proof[4 + 33]++;
    size_t last = 4 + 33 * ((size_t)bytes_get_le16(proof + 2) - 1);
    count = prove(entry.path, TRIE_BITS, proof);
    proof[last] = (uint8_t)(proof[last] + 1);
    proof_case(list, "the last bit is another", &entry, true, trie_root_hash, proof, count, TRIE_PROOF_BAD_ROOT);
    bytes_put_le16(proof + 2, 257);
    proof_case(list, "257 steps", &entry, true, trie_root_hash, proof, count, TRIE_PROOF_BAD_FIELD);
}

static void absent_negatives(json_t *list) {
    uint8_t proof[TRIE_PROOF_BYTES_MAX + 400], other[TRIE_PROOF_BYTES_MAX];
    struct entry entry = entries[1];
    size_t count = prove(entry.path, TRIE_BITS, proof), end = 4 + 33 * (size_t)bytes_get_le16(proof + 2);
    proof_case(list, "an absent key claimed present", &entry, true, trie_root_hash, proof, count, TRIE_PROOF_BAD_KIND);
    proof_case(list, "a present key, by another's absence", &entries[2], false, trie_root_hash, proof, count, TRIE_PROOF_BAD_LEAF);
    proof_case(list, "cut in the other leaf", &entry, false, trie_root_hash, proof, end + 46, TRIE_PROOF_BAD_BYTES);
    proof_case(list, "cut in the other key", &entry, false, trie_root_hash, proof, count - 1, TRIE_PROOF_BAD_BYTES);
    proof[end + 12] ^= 1;
    proof_case(list, "the other leaf's value is another", &entry, false, trie_root_hash, proof, count, TRIE_PROOF_BAD_ROOT);
    proof[end + 12] ^= 1;
    proof[end + 44] = 2;
    proof_case(list, "the other leaf's space is none", &entry, false, trie_root_hash, proof, count, TRIE_PROOF_BAD_FIELD);
    prove(entry.path, TRIE_BITS, proof);
    bytes_put_le16(proof + end + 45, 0);
    proof_case(list, "the other leaf's key is empty", &entry, false, trie_root_hash, proof, count, TRIE_PROOF_BAD_FIELD);
    bytes_put_le16(proof + end + 45, 257);
    proof_case(list, "the other leaf's key is too long", &entry, false, trie_root_hash, proof, count, TRIE_PROOF_BAD_FIELD);
    const uint8_t empty[4] = {TRIE_PROOF_EMPTY, 0, 0, 0}, with_steps[4] = {TRIE_PROOF_EMPTY, 0, 1, 0};
    proof_case(list, "the empty trie", &entry, false, trie_empty_root, empty, 4, TRIE_PROOF_OK);
    proof_case(list, "said to be empty", &entry, false, trie_root_hash, empty, 4, TRIE_PROOF_BAD_ROOT);
    proof_case(list, "empty with steps", &entry, false, trie_empty_root, with_steps, 4, TRIE_PROOF_BAD_FIELD);

    /* The key's own leaf, true in every byte, shown as "another". */
    entry = entries[2];
    count = prove(entry.path, TRIE_BITS, other);
    struct bytes_writer writer = bytes_writer_of(proof, sizeof proof);
    bytes_put_raw(&writer, other, count);
    bytes_put_u64(&writer, entry.value.version_height);
    bytes_put_u32(&writer, entry.value.version_index);
    bytes_put_hash(&writer, entry.value.value_hash);
    bytes_put_u8(&writer, (uint8_t)entry.space);
    bytes_put_u16(&writer, (uint16_t)entry.key_bytes);
    bytes_put_raw(&writer, entry.key, entry.key_bytes);
    CHECK(!writer.failed);
    proof[0] = TRIE_PROOF_OTHER;
    proof_case(list, "its own leaf as another", &entry, false, trie_root_hash, proof, writer.used, TRIE_PROOF_BAD_LEAF);
    proof_case(list, "a leaf that is not on the way", &entries[1], false, trie_root_hash, proof, writer.used, TRIE_PROOF_BAD_LEAF);
}

static void piece_case(json_t *list, const char *name, const uint8_t prefix[32], unsigned bits, unsigned leave_out, const uint8_t *proof,
                       size_t count, enum trie_proof_error expected) {
    json_t *item = item_in(list), *leaves = list_in(item, "leaves");
    struct trie_stream stream;
    uint8_t path[32] = {0}, hash[32], subroot[32];
    uint32_t ref = 0;
    unsigned found = 0;
    trie_stream_init(&stream);
    while (trie_seek(trie, path, path, hash, &ref) == TRIE_OK) {
        if (trie_prefix_equal(path, prefix, bits) && found++ != leave_out) {
            CHECK(trie_stream_add(&stream, path, hash));
            entry_write(item_in(leaves), &entries[ref], true);
        }
        if (!trie_path_next(path)) break;
    }
    trie_stream_root(&stream, subroot);
    CHECK(trie_prefix_proof_verify(trie_root_hash, prefix, bits, subroot, proof, count) == expected);
    if (name) set_text(item, "name", name);
    set_hex(item, "prefix", prefix, 32);
    set_number(item, "prefix_bits", bits);
    set_hex(item, "subroot", subroot, 32);
    set_hex(item, "root", trie_root_hash, 32);
    set_hex(item, "proof", proof, count);
    set_text(item, "error", trie_proof_error_name(expected));
}

static void pieces_make(json_t *list) {
    uint8_t proof[TRIE_PROOF_BYTES_MAX];
    enum { NONE = 1000 };
    for (unsigned i = 0; i < 16; i++) {
        uint8_t prefix[32] = {(uint8_t)(i << 4)};
        unsigned bits = i % 8;
        size_t count = prove(prefix, bits, proof);
        piece_case(list, NULL, prefix, bits, NONE, proof, count, TRIE_PROOF_OK);
    }
    uint8_t prefix[32];
    memcpy(prefix, entries[2].path, 32);
    size_t count = prove(prefix, 2, proof);
    piece_case(list, "the first leaf is missing", prefix, 2, 0, proof, count, TRIE_PROOF_BAD_ROOT);
    piece_case(list, "the second leaf is missing", prefix, 2, 1, proof, count, TRIE_PROOF_BAD_ROOT);
    count = prove(prefix, TRIE_BITS, proof);
    piece_case(list, "the only leaf", prefix, TRIE_BITS, NONE, proof, count, TRIE_PROOF_OK);
    piece_case(list, "the only leaf is missing", prefix, TRIE_BITS, 0, proof, count, TRIE_PROOF_BAD_KIND);
    piece_case(list, "a step inside the piece", prefix, 1, NONE, proof, count, TRIE_PROOF_BAD_LEAF);
    memcpy(prefix, entries[1].path, 32);
    count = prove(prefix, TRIE_BITS, proof);
    piece_case(list, "a piece without leaves", prefix, TRIE_BITS, NONE, proof, count, TRIE_PROOF_OK);
    piece_case(list, "leaves with a proof of none", prefix, 1, NONE, proof, count, TRIE_PROOF_BAD_KIND);
    piece_case(list, "257 bits", prefix, TRIE_BITS + 1, NONE, proof, count, TRIE_PROOF_BAD_KEY);
}

void gen_trees_trie(json_t *out) {
    json_t *section = json_object(), *histories, *proofs;
    uint8_t proof[TRIE_PROOF_BYTES_MAX];
    CHECK(json_object_set_new(out, "trie", section) == 0);
    hashes_make(list_in(section, "hashes"));
    histories = list_in(section, "histories");
    const unsigned steps[] = {1, 7, 13};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        json_t *history = json_array();
        CHECK(json_array_append_new(histories, history) == 0);
        history_make(history, steps[i]);
    }
    trie = trie_new();
    for (unsigned i = 0; i < KEYS; i++) {
        entry_make(&entries[i], i, 1);
        if (i % 2 == 0) CHECK(trie_put(trie, entries[i].path, entries[i].leaf_hash, i) == TRIE_OK);
    }
    trie_root(trie, trie_root_hash);
    proofs = list_in(section, "proofs");
    for (unsigned i = 0; i < 20; i++) {
        size_t count = prove(entries[i].path, TRIE_BITS, proof);
        proof_case(proofs, NULL, &entries[i], i % 2 == 0, trie_root_hash, proof, count, TRIE_PROOF_OK);
    }
    present_negatives(proofs);
    absent_negatives(proofs);
    pieces_make(list_in(section, "pieces"));
    free(trie);
}
