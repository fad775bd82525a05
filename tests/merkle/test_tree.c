/* RFC 9162 trees: published constants, 98 inclusion and 98 consistency cases, and every size up to 70 against the recursive definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "merkle/tree.h"
#include "tests/merkle/vectors.h"

enum { SIZE_MAX_TRIED = 70 };

static tree_hash leaves[SIZE_MAX_TRIED];

static int leaves_make(void **state) {
    (void)state;
    for (size_t i = 0; i < SIZE_MAX_TRIED; i++) {
        uint8_t leaf[8];
        bytes_put_le64(leaf, i);
        tree_leaf_hash(leaf, sizeof leaf, leaves[i]);
    }
    return 0;
}

/* MTH of RFC 9162, 2.1.1, word by word, on libsodium's SHA-256. */
static void definition(const tree_hash *hashes, size_t size, uint8_t *out) {
    if (size == 0) {
        crypto_hash_sha256(out, NULL, 0);
    } else if (size == 1) {
        memcpy(out, hashes[0], 32);
    } else {
        size_t split = 1;
        while (split * 2 < size) split *= 2;
        uint8_t preimage[65] = {0x01};
        definition(hashes, split, preimage + 1);
        definition(hashes + split, size - split, preimage + 33);
        crypto_hash_sha256(out, preimage, sizeof preimage);
    }
}

static void the_published_tree_comes_out(void **state) {
    (void)state;
    json_t *json = vectors_load("merkle/rfc6962_tree.json");
    json_t *inputs = json_object_get(json, "leafInputs"), *nodes = json_object_get(json, "nodeHashes"), *roots = json_object_get(json, "rootHashes");
    tree_hash hashes[8], out, expected;
    for (size_t i = 0; i < 8; i++) {
        uint8_t input[32];
        size_t count = vectors_hex(json_string_value(json_array_get(inputs, i)), input, sizeof input);
        tree_leaf_hash(input, count, hashes[i]);
        assert_int_equal(vectors_hex(json_string_value(json_array_get(json_array_get(nodes, 0), i)), expected, 32), 32);
        assert_memory_equal(hashes[i], expected, 32);
    }
    assert_int_equal(json_array_size(roots), 9);
    struct tree_builder builder;
    tree_builder_init(&builder);
    for (size_t size = 0; size <= 8; size++) {
        vectors_hex(json_string_value(json_array_get(roots, size)), expected, 32);
        tree_root(hashes, size, out);
        assert_memory_equal(out, expected, 32);
        tree_builder_root(&builder, out);
        assert_memory_equal(out, expected, 32);
        if (size < 8) tree_builder_add(&builder, hashes[size]);
    }
    json_decref(json);
}

/* Hashes of a proof; false when one has another length than 32, which our types cannot even carry. */
static bool proof_of(const json_t *array, tree_hash *hashes, size_t room, size_t *count) {
    *count = json_array_size(array);
    if (*count > room) return false;
    for (size_t i = 0; i < *count; i++) {
        uint8_t bytes[128];
        size_t length = vectors_base64(json_string_value(json_array_get(array, i)), bytes, sizeof bytes);
        if (length != 32) return false;
        memcpy(hashes[i], bytes, 32);
    }
    return true;
}

static bool hash_of(const json_t *object, const char *name, uint8_t out[32]) {
    uint8_t bytes[128];
    size_t length = vectors_base64(json_string_value(json_object_get(object, name)), bytes, sizeof bytes);
    if (length != 32) return false;
    memcpy(out, bytes, 32);
    return true;
}

/* Some roots of the consistency cases are short texts ("don't care"), which stand for any value: filled up with zeros. */
static void root_of(const json_t *object, const char *name, uint8_t out[32]) {
    memset(out, 0, 32);
    vectors_base64(json_string_value(json_object_get(object, name)), out, 32);
}

static void published_inclusion_cases_pass(void **state) {
    (void)state;
    json_t *json = vectors_load("merkle/inclusion.json"), *test;
    size_t index, accepted = 0;
    assert_int_equal(json_array_size(json_object_get(json, "tests")), 98);
    json_array_foreach(json_object_get(json, "tests"), index, test) {
        tree_hash hashes[80], leaf, root;
        size_t count = 0;
        uint64_t leaf_index = vectors_u64_of(test, "leafIdx");
        uint64_t size = vectors_u64_of(test, "treeSize");
        bool right = hash_of(test, "leafHash", leaf) && hash_of(test, "root", root) && proof_of(json_object_get(test, "proof"), hashes, 80, &count) &&
                     tree_inclusion_verify(leaf, leaf_index, size, hashes, count, root) == TREE_OK;
        assert_int_equal(right, json_is_false(json_object_get(test, "wantErr")));
        accepted += right;
    }
    assert_true(accepted >= 5);
    json_decref(json);
}

static void published_consistency_cases_pass(void **state) {
    (void)state;
    json_t *json = vectors_load("merkle/consistency.json"), *test;
    size_t index, accepted = 0;
    assert_int_equal(json_array_size(json_object_get(json, "tests")), 98);
    json_array_foreach(json_object_get(json, "tests"), index, test) {
        tree_hash hashes[80], old_root, root;
        size_t count = 0;
        uint64_t old_size = vectors_u64_of(test, "size1");
        uint64_t size = vectors_u64_of(test, "size2");
        root_of(test, "root1", old_root);
        root_of(test, "root2", root);
        bool right = proof_of(json_object_get(test, "proof"), hashes, 80, &count) &&
                     tree_consistency_verify(old_size, size, hashes, count, old_root, root) == TREE_OK;
        if (right != json_is_false(json_object_get(test, "wantErr"))) fail_msg("%s", json_string_value(json_object_get(test, "file")));
        accepted += right;
    }
    assert_true(accepted >= 5);
    json_decref(json);
}

static void every_inclusion_proof_verifies_and_no_other_place_does(void **state) {
    (void)state;
    static tree_hash storage[2 * SIZE_MAX_TRIED + 64];
    for (size_t size = 1; size <= SIZE_MAX_TRIED; size++) {
        tree_hash root, again, hashes[TREE_PROOF_HASHES_MAX], other[TREE_PROOF_HASHES_MAX];
        struct tree_levels levels;
        definition(leaves, size, root);
        tree_root(leaves, size, again);
        assert_memory_equal(root, again, 32);
        assert_true(tree_levels_hashes(size) <= sizeof storage / sizeof *storage);
        memcpy(storage, leaves, size * 32);
        tree_levels_build(&levels, storage, size);
        tree_levels_root(&levels, again);
        assert_memory_equal(root, again, 32);
        for (size_t i = 0; i < size; i++) {
            size_t count = tree_inclusion_prove(leaves, size, i, hashes);
            assert_int_equal(count, tree_inclusion_count(i, size));
            assert_int_equal(tree_levels_prove(&levels, i, other), count);
            assert_memory_equal(hashes, other, count * 32);
            assert_int_equal(tree_inclusion_verify(leaves[i], i, size, hashes, count, root), TREE_OK);
            for (size_t j = 0; j <= size; j++) {
                if (j == i) continue;
                assert_int_not_equal(tree_inclusion_verify(leaves[i], j, size, hashes, count, root), TREE_OK);
            }
            if (count > 0) assert_int_equal(tree_inclusion_verify(leaves[i], i, size, hashes, count - 1, root), TREE_BAD_LENGTH);
            assert_int_equal(tree_inclusion_verify(leaves[i], i, size, hashes, count + 1, root), TREE_BAD_LENGTH);
            assert_int_equal(tree_inclusion_verify(leaves[i], size, size, hashes, count, root), TREE_BAD_INDEX);
            for (size_t k = 0; k < count; k++) {
                hashes[k][i % 32] ^= 0x40;
                assert_int_equal(tree_inclusion_verify(leaves[i], i, size, hashes, count, root), TREE_BAD_ROOT);
                hashes[k][i % 32] ^= 0x40;
            }
        }
    }
}

static void huge_sizes_are_checked_without_overflow(void **state) {
    (void)state;
    tree_hash hashes[80] = {{0}}, root = {0};
    assert_int_equal(tree_inclusion_count(0, UINT64_MAX), 64);
    assert_int_equal(tree_inclusion_count(UINT64_MAX - 1, UINT64_MAX), 63);
    assert_int_equal(tree_inclusion_verify(leaves[0], 0, UINT64_MAX, hashes, 64, root), TREE_BAD_ROOT);
    assert_int_equal(tree_inclusion_verify(leaves[0], UINT64_MAX, UINT64_MAX, hashes, 64, root), TREE_BAD_INDEX);
    assert_int_equal(tree_inclusion_verify(leaves[0], 0, 0, NULL, 0, root), TREE_BAD_INDEX);
    for (size_t count = 0; count < 80; count++) {
        enum tree_error error = tree_consistency_verify(UINT64_MAX - 1, UINT64_MAX, hashes, count, root, root);
        assert_int_not_equal(error, TREE_OK);
        error = tree_consistency_verify(1, UINT64_MAX, hashes, count, root, root);
        assert_int_not_equal(error, TREE_OK);
    }
}

static void every_consistency_proof_verifies_and_a_changed_one_does_not(void **state) {
    (void)state;
    for (size_t size = 1; size <= 40; size++) {
        tree_hash root, old_root, hashes[TREE_CONSISTENCY_HASHES_MAX + 1] = {{0}};
        definition(leaves, size, root);
        for (size_t old_size = 1; old_size <= size; old_size++) {
            definition(leaves, old_size, old_root);
            size_t count = tree_consistency_prove(leaves, size, old_size, hashes);
            assert_int_equal(tree_consistency_verify(old_size, size, hashes, count, old_root, root), TREE_OK);
            assert_int_not_equal(tree_consistency_verify(old_size, size, hashes, count + 1, old_root, root), TREE_OK);
            if (count > 0) assert_int_not_equal(tree_consistency_verify(old_size, size, hashes, count - 1, old_root, root), TREE_OK);
            assert_int_equal(tree_consistency_verify(0, size, hashes, count, old_root, root), TREE_BAD_INDEX);
            assert_int_equal(tree_consistency_verify(size + 1, size, hashes, count, old_root, root), TREE_BAD_INDEX);
            for (size_t k = 0; k < count; k++) {
                hashes[k][3] ^= 1;
                assert_int_not_equal(tree_consistency_verify(old_size, size, hashes, count, old_root, root), TREE_OK);
                hashes[k][3] ^= 1;
            }
            old_root[0] ^= 1;
            assert_int_equal(tree_consistency_verify(old_size, size, hashes, count, old_root, root), TREE_BAD_ROOT);
        }
    }
}

static void an_encoded_proof_reads_back_and_a_truncated_one_does_not(void **state) {
    (void)state;
    for (size_t size = 1; size <= 20; size++) {
        for (size_t index = 0; index < size; index++) {
            tree_hash hashes[TREE_PROOF_HASHES_MAX], root;
            uint8_t encoded[TREE_PROOF_BYTES_MAX];
            size_t count = tree_inclusion_prove(leaves, size, index, hashes);
            struct bytes_writer writer = bytes_writer_of(encoded, sizeof encoded);
            tree_proof_write(&writer, index, size, hashes, count);
            assert_false(writer.failed);
            assert_int_equal(writer.used, tree_proof_bytes(index, size));
            struct bytes_cursor cursor = bytes_cursor_of(encoded, writer.used);
            struct tree_proof proof;
            assert_int_equal(tree_proof_read(&cursor, &proof), TREE_OK);
            assert_true(bytes_finished(&cursor));
            tree_root(leaves, size, root);
            assert_int_equal(tree_inclusion_verify(leaves[index], proof.index, proof.size, proof.hashes, proof.hashes_count, root), TREE_OK);
            for (size_t cut = 0; cut < writer.used; cut++) {
                cursor = bytes_cursor_of(encoded, cut);
                assert_int_equal(tree_proof_read(&cursor, &proof), TREE_BAD_BYTES);
                assert_true(cursor.failed);
            }
            bytes_put_le64(encoded, size);
            cursor = bytes_cursor_of(encoded, writer.used);
            assert_int_equal(tree_proof_read(&cursor, &proof), TREE_BAD_INDEX);
            assert_true(cursor.failed);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_tree_comes_out),
        cmocka_unit_test(published_inclusion_cases_pass),
        cmocka_unit_test(published_consistency_cases_pass),
        cmocka_unit_test(every_inclusion_proof_verifies_and_no_other_place_does),
        cmocka_unit_test(huge_sizes_are_checked_without_overflow),
        cmocka_unit_test(every_consistency_proof_verifies_and_a_changed_one_does_not),
        cmocka_unit_test(an_encoded_proof_reads_back_and_a_truncated_one_does_not),
    };
    return cmocka_run_group_tests(tests, leaves_make, NULL);
}
