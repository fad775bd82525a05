/*
 * Vectors of spec/trees.md: Ed25519 (E), RFC 9162 trees (M), state trie (T). Every case carries the error word that it must give, written here by
 * hand; the code under test is then checked to give it, so a vector is never merely what the code did.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "bft/ed25519.h"
#include "bft/signer.h"
#include "merkle/check.h"
#include "merkle/tree.h"
#include "tests/vectors_gen/gen.h"

void gen_trees_trie(json_t *out); /* gen_trees_trie.c */

static json_t *hex(const void *bytes, size_t count) {
    char text[8192];
    CHECK(2 * count < sizeof text);
    sodium_bin2hex(text, sizeof text, bytes, count);
    return json_string(text);
}

static void set_hex(json_t *object, const char *name, const void *bytes, size_t count) {
    CHECK(json_object_set_new(object, name, hex(bytes, count)) == 0);
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

/* Ed25519. */

static const char *const small_order[8] = {
    "0100000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000", "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
};

static void hex_read(const char *text, uint8_t out[32]) {
    size_t count = 0;
    CHECK(sodium_hex2bin(out, 32, text, strlen(text), NULL, &count, NULL) == 0 && count == 32);
}

static void key_case(json_t *keys, const char *name, const uint8_t key[32], enum ed25519_error expected) {
    CHECK(ed25519_key_check(key) == expected);
    json_t *item = item_in(keys);
    set_text(item, "name", name);
    set_hex(item, "public_key", key, 32);
    set_text(item, "error", ed25519_error_name(expected));
}

static void verify_case(json_t *verify, const char *name, const uint8_t key[32], const uint8_t *message, size_t count, const uint8_t signature[64],
                        enum ed25519_error expected) {
    CHECK(ed25519_verify(key, message, count, signature) == expected);
    json_t *item = item_in(verify);
    set_text(item, "name", name);
    set_hex(item, "public_key", key, 32);
    set_hex(item, "message", message, count);
    set_hex(item, "signature", signature, 64);
    set_text(item, "error", ed25519_error_name(expected));
}

/* R = [r]B + T (or T alone), S = r + h a (or h a): what a liar with a good key can make; a cofactored verifier accepts it. */
static void torsion_signature(const uint8_t seed[32], const uint8_t key[32], const uint8_t torsion[32], bool alone, const uint8_t *message,
                              size_t count, uint8_t signature[64]) {
    uint8_t digest[64], wide[64] = {0}, a[32], r[32], h[32];
    crypto_hash_sha512(digest, seed, 32);
    memcpy(wide, digest, 32);
    wide[0] &= 248;
    wide[31] = (uint8_t)((wide[31] & 127) | 64);
    crypto_core_ed25519_scalar_reduce(a, wide);
    crypto_core_ed25519_scalar_reduce(r, digest);
    memcpy(signature, torsion, 32);
    if (!alone) {
        uint8_t point[32];
        CHECK(crypto_scalarmult_ed25519_base_noclamp(point, r) == 0);
        CHECK(crypto_core_ed25519_add(signature, point, torsion) == 0);
    }
    crypto_hash_sha512_state sha;
    crypto_hash_sha512_init(&sha);
    crypto_hash_sha512_update(&sha, signature, 32);
    crypto_hash_sha512_update(&sha, key, 32);
    crypto_hash_sha512_update(&sha, message, count);
    crypto_hash_sha512_final(&sha, digest);
    crypto_core_ed25519_scalar_reduce(h, digest);
    crypto_core_ed25519_scalar_mul(signature + 32, h, a);
    if (!alone) crypto_core_ed25519_scalar_add(signature + 32, signature + 32, r);
}

/* S += L, as a plain number; it still fits 32 bytes. */
static void order_add(uint8_t s[32]) {
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)s[i] + order[i];
        s[i] = (uint8_t)carry;
        carry >>= 8;
    }
    CHECK(carry == 0);
}

static void keys_make(json_t *keys, const uint8_t good[32]) {
    uint8_t key[32], torsion[32];
    key_case(keys, "good", good, ED25519_OK);
    memcpy(key, good, 32);
    key[31] ^= 0x80;
    key_case(keys, "its negative", key, ED25519_OK);
    for (size_t i = 0; i < 8; i++) {
        char name[64];
        hex_read(small_order[i], torsion);
        snprintf(name, sizeof name, "small order %zu", i);
        key_case(keys, name, torsion, ED25519_KEY_SMALL_ORDER);
        if (i == 0) continue;
        snprintf(name, sizeof name, "good plus small order %zu", i);
        CHECK(crypto_core_ed25519_add(key, good, torsion) == 0);
        key_case(keys, name, key, ED25519_KEY_NOT_PRIME_ORDER);
    }
    memset(key, 0xff, 32);
    for (unsigned excess = 0; excess < 19; excess++) {
        char name[64];
        key[0] = (uint8_t)(0xed + excess);
        key[31] = excess % 2 ? 0xff : 0x7f;
        snprintf(name, sizeof name, "y = p + %u", excess);
        key_case(keys, name, key, ED25519_KEY_NOT_CANONICAL);
    }
    hex_read(small_order[0], key);
    key[31] = 0x80;
    key_case(keys, "x = 0 with its sign set, y = 1", key, ED25519_KEY_NOT_CANONICAL);
    hex_read(small_order[1], key);
    key[31] = 0xff;
    key_case(keys, "x = 0 with its sign set, y = p - 1", key, ED25519_KEY_NOT_CANONICAL);
    memset(key, 0, 32);
    key[0] = 2;
    key_case(keys, "y = 2 is no point", key, ED25519_KEY_NOT_A_POINT);
    key[31] = 0x80;
    key_case(keys, "y = 2 with the sign set is no point", key, ED25519_KEY_NOT_A_POINT);
}

static void verify_make(json_t *verify, const uint8_t seed[32], const struct ed25519_secret *secret, const uint8_t key[32]) {
    uint8_t message[60] = {0}, good[64], bad[64], other[32], point[32];
    memcpy(message, signer_tag_bytes(SIGNER_TAG_BATCH), 16);
    for (uint8_t i = 16; i < sizeof message; i++) message[i] = i;
    ed25519_sign(secret, message, sizeof message, good);
    verify_case(verify, "good", key, message, sizeof message, good, ED25519_OK);
    memcpy(bad, good, 64);
    for (unsigned times = 1; times <= 14; times++) {
        char name[64];
        order_add(bad + 32);
        snprintf(name, sizeof name, "S + %u L", times);
        verify_case(verify, name, key, message, sizeof message, bad, ED25519_BAD_S);
    }
    for (size_t i = 0; i < 8; i++) {
        char name[64];
        hex_read(small_order[i], point);
        torsion_signature(seed, key, point, true, message, sizeof message, bad);
        snprintf(name, sizeof name, "R of small order %zu, S fitting", i);
        verify_case(verify, name, key, message, sizeof message, bad, ED25519_SMALL_ORDER_R);
        torsion_signature(seed, key, point, false, message, sizeof message, bad);
        snprintf(name, sizeof name, "R plus small order %zu, S fitting", i);
        verify_case(verify, name, key, message, sizeof message, bad, i == 0 ? ED25519_OK : ED25519_MISMATCH);
        snprintf(name, sizeof name, "key of small order %zu", i);
        verify_case(verify, name, point, message, sizeof message, good, ED25519_KEY_SMALL_ORDER);
    }
    memset(other, 0xff, 32);
    other[31] = 0x7f;
    verify_case(verify, "key not canonical", other, message, sizeof message, good, ED25519_KEY_NOT_CANONICAL);
    memset(other, 0, 32);
    other[0] = 2;
    verify_case(verify, "key is no point", other, message, sizeof message, good, ED25519_MISMATCH);
    memcpy(bad, good, 64);
    bad[31] ^= 0x80;
    verify_case(verify, "sign of R flipped", key, message, sizeof message, bad, ED25519_MISMATCH);
    memset(bad, 0xff, 32);
    bad[31] = 0x7f;
    verify_case(verify, "R not canonical", key, message, sizeof message, bad, ED25519_MISMATCH);
    memset(bad + 32, 0xff, 32);
    verify_case(verify, "all ones: S is looked at first", key, message, sizeof message, bad, ED25519_BAD_S);
    memcpy(message, signer_tag_bytes(SIGNER_TAG_NOOP), 16);
    verify_case(verify, "signed under another tag", key, message, sizeof message, good, ED25519_MISMATCH);
    memcpy(message, signer_tag_bytes(SIGNER_TAG_BATCH), 16);
    verify_case(verify, "one byte less", key, message, sizeof message - 1, good, ED25519_MISMATCH);
    memset(bad, 0, 64);
    memcpy(bad, "\x58\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66",
           32);
    bad[32] = 1;
    hex_read(small_order[0], other);
    verify_case(verify, "neutral key, R = B, S = 1: fits every message", other, message, sizeof message, bad, ED25519_KEY_SMALL_ORDER);
}

static void ed25519_make(json_t *out) {
    json_t *section = json_object();
    CHECK(json_object_set_new(out, "ed25519", section) == 0);
    json_t *sign = list_in(section, "sign");
    uint8_t seed[32], key[32], signature[64], message[80];
    struct ed25519_secret secret;
    for (uint8_t i = 0; i < 6; i++) {
        size_t count = i == 0 ? 0 : (size_t)13 * i;
        memset(seed, 0x10 + i, sizeof seed);
        memset(message, i, sizeof message);
        if (count >= 16) memcpy(message, signer_tag_bytes(i), 16);
        (void)!ed25519_secret_init(&secret, seed);
        ed25519_public_key(&secret, key);
        ed25519_sign(&secret, message, count, signature);
        CHECK(ed25519_verify(key, message, count, signature) == ED25519_OK);
        json_t *item = item_in(sign);
        set_hex(item, "seed", seed, 32);
        set_hex(item, "public_key", key, 32);
        set_hex(item, "message", message, count);
        set_hex(item, "signature", signature, 64);
    }
    keys_make(list_in(section, "keys"), key);
    verify_make(list_in(section, "verify"), seed, &secret, key);
    ed25519_secret_wipe(&secret);
}

/* RFC 9162 trees over leaves "leaf 0", "leaf 1", ... */

enum { LEAVES = 23 };

static tree_hash leaves[LEAVES];

static void inclusion_case(json_t *list, const char *name, uint64_t index, uint64_t size, const uint8_t *leaf, const tree_hash *hashes, size_t count,
                           const uint8_t *root, enum tree_error expected) {
    CHECK(tree_inclusion_verify(leaf, index, size, hashes, count, root) == expected);
    json_t *item = item_in(list), *array = list_in(item, "hashes");
    for (size_t i = 0; i < count; i++) CHECK(json_array_append_new(array, hex(hashes[i], 32)) == 0);
    if (name) set_text(item, "name", name);
    set_number(item, "index", index);
    set_number(item, "size", size);
    set_hex(item, "leaf_hash", leaf, 32);
    set_hex(item, "root", root, 32);
    set_text(item, "error", tree_error_name(expected));
}

static void inclusion_make(json_t *list) {
    tree_hash hashes[TREE_PROOF_HASHES_MAX + 1], root;
    for (size_t size = 1; size <= 9; size++) {
        tree_root(leaves, size, root);
        for (size_t index = 0; index < size; index++) {
            size_t count = tree_inclusion_prove(leaves, size, index, hashes);
            inclusion_case(list, NULL, index, size, leaves[index], hashes, count, root, TREE_OK);
        }
    }
    memset(hashes, 0, sizeof hashes);
    tree_root(leaves, LEAVES, root);
    size_t count = tree_inclusion_prove(leaves, LEAVES, 17, hashes);
    inclusion_case(list, NULL, 17, LEAVES, leaves[17], hashes, count, root, TREE_OK);
    inclusion_case(list, "index is the size", LEAVES, LEAVES, leaves[17], hashes, count, root, TREE_BAD_INDEX);
    inclusion_case(list, "size 0", 0, 0, leaves[17], hashes, 0, root, TREE_BAD_INDEX);
    inclusion_case(list, "one hash less", 17, LEAVES, leaves[17], hashes, count - 1, root, TREE_BAD_LENGTH);
    inclusion_case(list, "one hash more", 17, LEAVES, leaves[17], hashes, count + 1, root, TREE_BAD_LENGTH);
    inclusion_case(list, "another leaf", 17, LEAVES, leaves[16], hashes, count, root, TREE_BAD_ROOT);
    inclusion_case(list, "the index of its neighbour", 16, LEAVES, leaves[17], hashes, count, root, TREE_BAD_ROOT);
    inclusion_case(list, "another size of the same shape: a root binds no size", 17, LEAVES - 1, leaves[17], hashes, count, root, TREE_OK);
    inclusion_case(list, "the greatest size", 0, UINT64_MAX, leaves[0], hashes, 64, root, TREE_BAD_ROOT);
    hashes[1][0] ^= 1;
    inclusion_case(list, "one bit of a hash", 17, LEAVES, leaves[17], hashes, count, root, TREE_BAD_ROOT);
    hashes[1][0] ^= 1;
    root[31] ^= 1;
    inclusion_case(list, "one bit of the root", 17, LEAVES, leaves[17], hashes, count, root, TREE_BAD_ROOT);
}

static void encoded_case(json_t *list, const uint8_t *bytes, size_t count, enum tree_error expected) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    struct tree_proof proof;
    enum tree_error error = tree_proof_read(&cursor, &proof);
    CHECK(error == expected && (error != TREE_OK || bytes_finished(&cursor)));
    json_t *item = item_in(list);
    set_hex(item, "bytes", bytes, count);
    set_text(item, "error", tree_error_name(expected));
}

static void encoded_make(json_t *list) {
    tree_hash hashes[TREE_PROOF_HASHES_MAX];
    uint8_t bytes[TREE_PROOF_BYTES_MAX];
    for (size_t index = 0; index < 7; index += 3) {
        struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
        tree_proof_write(&writer, index, 7, hashes, tree_inclusion_prove(leaves, 7, index, hashes));
        CHECK(!writer.failed);
        encoded_case(list, bytes, writer.used, TREE_OK);
        encoded_case(list, bytes, writer.used - 1, TREE_BAD_BYTES);
        encoded_case(list, bytes, 15, TREE_BAD_BYTES);
        bytes_put_le64(bytes, 7);
        encoded_case(list, bytes, writer.used, TREE_BAD_INDEX);
    }
}

static void consistency_case(json_t *list, const char *name, uint64_t old_size, uint64_t size, const tree_hash *hashes, size_t count,
                             const uint8_t *old_root, const uint8_t *root, enum tree_error expected) {
    CHECK(tree_consistency_verify(old_size, size, hashes, count, old_root, root) == expected);
    json_t *item = item_in(list), *array = list_in(item, "hashes");
    for (size_t i = 0; i < count; i++) CHECK(json_array_append_new(array, hex(hashes[i], 32)) == 0);
    if (name) set_text(item, "name", name);
    set_number(item, "old_size", old_size);
    set_number(item, "size", size);
    set_hex(item, "old_root", old_root, 32);
    set_hex(item, "root", root, 32);
    set_text(item, "error", tree_error_name(expected));
}

static void consistency_make(json_t *list) {
    tree_hash hashes[TREE_CONSISTENCY_HASHES_MAX + 1] = {{0}}, old_root, root;
    size_t count = 0;
    tree_root(leaves, 13, root);
    for (size_t old_size = 1; old_size <= 13; old_size++) {
        tree_root(leaves, old_size, old_root);
        count = tree_consistency_prove(leaves, 13, old_size, hashes);
        consistency_case(list, NULL, old_size, 13, hashes, count, old_root, root, TREE_OK);
    }
    tree_root(leaves, 6, old_root);
    count = tree_consistency_prove(leaves, 13, 6, hashes);
    consistency_case(list, "old size 0", 0, 13, hashes, count, old_root, root, TREE_BAD_INDEX);
    consistency_case(list, "old size above size", 14, 13, hashes, count, old_root, root, TREE_BAD_INDEX);
    consistency_case(list, "one hash less", 6, 13, hashes, count - 1, old_root, root, TREE_BAD_LENGTH);
    consistency_case(list, "one hash more", 6, 13, hashes, count + 1, old_root, root, TREE_BAD_LENGTH);
    consistency_case(list, "equal sizes with hashes", 13, 13, hashes, 1, root, root, TREE_BAD_LENGTH);
    consistency_case(list, "equal sizes, other roots", 13, 13, hashes, 0, old_root, root, TREE_BAD_ROOT);
    hashes[0][9] ^= 4;
    consistency_case(list, "one bit of a hash", 6, 13, hashes, count, old_root, root, TREE_BAD_ROOT);
    hashes[0][9] ^= 4;
    old_root[0] ^= 1;
    consistency_case(list, "one bit of the old root", 6, 13, hashes, count, old_root, root, TREE_BAD_ROOT);
}

static void tree_make(json_t *out) {
    json_t *section = json_object(), *names, *roots;
    CHECK(json_object_set_new(out, "tree", section) == 0);
    names = list_in(section, "leaves");
    roots = list_in(section, "roots"); /* of the first 0, 1, 2, ... leaves */
    for (size_t i = 0; i <= LEAVES; i++) {
        tree_hash root;
        tree_root(leaves, i, root);
        CHECK(json_array_append_new(roots, hex(root, 32)) == 0);
        if (i == LEAVES) break;
        char leaf[16];
        int count = snprintf(leaf, sizeof leaf, "leaf %zu", i);
        tree_leaf_hash(leaf, (size_t)count, leaves[i]);
        json_t *item = item_in(names);
        set_hex(item, "bytes", leaf, (size_t)count);
        set_hex(item, "hash", leaves[i], 32);
    }
    inclusion_make(list_in(section, "inclusion"));
    encoded_make(list_in(section, "encoded"));
    consistency_make(list_in(section, "consistency"));
}

void gen_trees(json_t *out) {
    CHECK(ed25519_start(NULL));
    ed25519_make(out);
    tree_make(out);
    gen_trees_trie(out);
}
