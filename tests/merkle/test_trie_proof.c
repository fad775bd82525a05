/* Proofs of presence, of absence and of whole pieces: each right one verifies, nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "merkle/trie.h"
#include "tests/merkle/vectors.h"

enum { KEYS = 200 };

static struct trie_value values[KEYS];
static struct trie *trie;
static uint8_t root[32];

static size_t key_of(size_t i, uint8_t key[TRIE_KEY_BYTES_MAX]) {
    size_t count = i == 0 ? TRIE_KEY_BYTES_MAX : 1 + i % 40; /* one of the greatest length */
    memset(key, 'k', count);
    key[0] = (uint8_t)i;
    return count;
}

static enum trie_space space_of(size_t i) {
    return i % 5 == 0 ? TRIE_SPACE_SYSTEM : TRIE_SPACE_USER;
}

static struct trie *trie_make(uint32_t leaves_max) {
    struct trie_limits limits = {.leaves_max = leaves_max, .journal_max = 1};
    void *memory = aligned_alloc(64, trie_memory_bytes(&limits));
    CHECK(memory);
    memset(memory, 0, trie_memory_bytes(&limits));
    return trie_init(memory, trie_memory_bytes(&limits), &limits);
}

/* Even keys are present, odd ones are not. */
static int trie_fill(void **state) {
    (void)state;
    trie = trie_make(KEYS);
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t key[TRIE_KEY_BYTES_MAX], path[32], hash[32];
        size_t count = key_of(i, key);
        values[i] = (struct trie_value){.version_height = 1000 + i, .version_index = (uint32_t)i, .value_hash = {(uint8_t)i, 1}};
        trie_path(space_of(i), key, count, path);
        trie_leaf_hash(space_of(i), key, count, &values[i], hash);
        if (i % 2 == 0) CHECK(trie_put(trie, path, hash, (uint32_t)i) == TRIE_OK);
    }
    trie_root(trie, root);
    return 0;
}

static int trie_drop(void **state) {
    (void)state;
    free(trie);
    return 0;
}

/* Encodes the proof for a path prefix; `other` comes from the ref, as a table would give it. */
static size_t prove(const uint8_t *prefix, unsigned bits, uint8_t proof[TRIE_PROOF_BYTES_MAX], enum trie_proof_kind *kind) {
    struct trie_proof_leaf leaf;
    struct trie_proof_other other = {0};
    uint8_t key[TRIE_KEY_BYTES_MAX];
    *kind = trie_prefix_proof_find(trie, prefix, bits, &leaf);
    if (*kind == TRIE_PROOF_OTHER) {
        other = (struct trie_proof_other){space_of(leaf.ref), key, key_of(leaf.ref, key), values[leaf.ref]};
    }
    struct bytes_writer writer = bytes_writer_of(proof, TRIE_PROOF_BYTES_MAX);
    trie_prefix_proof_write(trie, prefix, bits, &other, &writer);
    CHECK(!writer.failed);
    return writer.used;
}

static enum trie_proof_error verify(size_t i, bool present, const uint8_t *proof, size_t proof_bytes) {
    uint8_t key[TRIE_KEY_BYTES_MAX];
    size_t count = key_of(i, key);
    if (present) return trie_proof_verify_present(root, space_of(i), key, count, &values[i], proof, proof_bytes);
    return trie_proof_verify_absent(root, space_of(i), key, count, proof, proof_bytes);
}

static size_t prove_key(size_t i, uint8_t proof[TRIE_PROOF_BYTES_MAX]) {
    uint8_t key[TRIE_KEY_BYTES_MAX], path[32];
    enum trie_proof_kind kind;
    trie_path(space_of(i), key, key_of(i, key), path);
    size_t count = prove(path, TRIE_BITS, proof, &kind);
    CHECK((kind == TRIE_PROOF_PRESENT) == (i % 2 == 0));
    return count;
}

static void every_key_is_proved_present_or_absent(void **state) {
    (void)state;
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t proof[TRIE_PROOF_BYTES_MAX];
        size_t count = prove_key(i, proof);
        assert_int_equal(verify(i, i % 2 == 0, proof, count), TRIE_PROOF_OK);
        assert_int_equal(verify(i, i % 2 != 0, proof, count), TRIE_PROOF_BAD_KIND);
    }
}

static void no_proof_holds_for_another_key_value_version_or_root(void **state) {
    (void)state;
    for (size_t i = 0; i < 20; i++) {
        uint8_t proof[TRIE_PROOF_BYTES_MAX], key[TRIE_KEY_BYTES_MAX];
        size_t count = prove_key(i, proof), key_count = key_of(i, key);
        for (size_t j = 0; j < KEYS; j++) {
            /* An absence proof may serve for another absent key whose way ends at the same leaf; never for a present one. */
            if (j == i || (i % 2 && j % 2)) continue;
            assert_int_not_equal(verify(j, true, proof, count), TRIE_PROOF_OK);
            if (j % 2 == 0) assert_int_not_equal(verify(j, false, proof, count), TRIE_PROOF_OK);
        }
        if (i % 2 == 0) {
            struct trie_value value = values[i];
            value.version_height++;
            assert_int_equal(trie_proof_verify_present(root, space_of(i), key, key_count, &value, proof, count), TRIE_PROOF_BAD_ROOT);
            value = values[i];
            value.version_index++;
            assert_int_equal(trie_proof_verify_present(root, space_of(i), key, key_count, &value, proof, count), TRIE_PROOF_BAD_ROOT);
            value = values[i];
            value.value_hash[31] ^= 1;
            assert_int_equal(trie_proof_verify_present(root, space_of(i), key, key_count, &value, proof, count), TRIE_PROOF_BAD_ROOT);
            assert_int_equal(trie_proof_verify_present(root, 1 - space_of(i), key, key_count, &values[i], proof, count), TRIE_PROOF_BAD_ROOT);
        }
        root[5] ^= 1;
        assert_int_equal(verify(i, i % 2 == 0, proof, count), TRIE_PROOF_BAD_ROOT);
        root[5] ^= 1;
    }
}

static void every_bit_flip_truncation_and_addition_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        uint8_t proof[TRIE_PROOF_BYTES_MAX + 1];
        size_t count = prove_key(i, proof);
        for (size_t bit = 0; bit < 8 * count; bit++) {
            proof[bit / 8] = (uint8_t)(proof[bit / 8] ^ 1u << bit % 8);
            if (verify(i, i % 2 == 0, proof, count) == TRIE_PROOF_OK) fail_msg("key %zu bit %zu", i, bit);
            proof[bit / 8] = (uint8_t)(proof[bit / 8] ^ 1u << bit % 8);
        }
        for (size_t cut = 0; cut < count; cut++) assert_int_equal(verify(i, i % 2 == 0, proof, cut), TRIE_PROOF_BAD_BYTES);
        proof[count] = 0;
        assert_int_equal(verify(i, i % 2 == 0, proof, count + 1), TRIE_PROOF_BAD_BYTES);
    }
}

static void fields_out_of_range_are_named(void **state) {
    (void)state;
    uint8_t proof[TRIE_PROOF_BYTES_MAX], good[TRIE_PROOF_BYTES_MAX], key[TRIE_KEY_BYTES_MAX + 1] = {0};
    size_t count = prove_key(1, good); /* an absence proof with several steps */
    size_t steps = bytes_get_le16(good + 2), other = 4 + 33 * steps;
    assert_true(steps >= 2);
    memcpy(proof, good, count);
    proof[0] = 3;
    assert_int_equal(verify(1, false, proof, count), TRIE_PROOF_BAD_FIELD);
    proof[0] = TRIE_PROOF_EMPTY;
    assert_int_equal(verify(1, false, proof, count), TRIE_PROOF_BAD_FIELD);
    memcpy(proof, good, count);
    proof[1] = 1;
    assert_int_equal(verify(1, false, proof, count), TRIE_PROOF_BAD_FIELD);
    memcpy(proof, good, count);
    bytes_put_le16(proof + 2, 257);
    assert_int_equal(verify(1, false, proof, count), TRIE_PROOF_BAD_FIELD);
    memcpy(proof, good, count);
    proof[4 + 33] = proof[4];
    assert_int_equal(verify(1, false, proof, count), TRIE_PROOF_BAD_FIELD);
    memcpy(proof, good, count);
    proof[other + 44] = 2; /* space */
    assert_int_equal(verify(1, false, proof, count), TRIE_PROOF_BAD_FIELD);
    memcpy(proof, good, count);
    bytes_put_le16(proof + other + 45, 0); /* key length */
    assert_int_equal(verify(1, false, proof, count), TRIE_PROOF_BAD_FIELD);
    bytes_put_le16(proof + other + 45, 257);
    assert_int_equal(verify(1, false, proof, count), TRIE_PROOF_BAD_FIELD);
    assert_int_equal(trie_proof_verify_absent(root, 2, key, 1, good, count), TRIE_PROOF_BAD_KEY);
    assert_int_equal(trie_proof_verify_absent(root, 0, key, 0, good, count), TRIE_PROOF_BAD_KEY);
    assert_int_equal(trie_proof_verify_present(root, 0, key, 257, &values[0], good, count), TRIE_PROOF_BAD_KEY);
}

static void the_leaf_of_the_key_itself_proves_no_absence(void **state) {
    (void)state;
    /* A liar turns the presence proof of key 2 into an absence proof by showing its own leaf as "another". */
    uint8_t proof[TRIE_PROOF_BYTES_MAX], key[TRIE_KEY_BYTES_MAX];
    size_t count = prove_key(2, proof), key_count = key_of(2, key);
    struct bytes_writer writer = bytes_writer_of(proof + count, sizeof proof - count);
    proof[0] = TRIE_PROOF_OTHER;
    bytes_put_u64(&writer, values[2].version_height);
    bytes_put_u32(&writer, values[2].version_index);
    bytes_put_hash(&writer, values[2].value_hash);
    bytes_put_u8(&writer, (uint8_t)space_of(2));
    bytes_put_u16(&writer, (uint16_t)key_count);
    bytes_put_raw(&writer, key, key_count);
    assert_int_equal(verify(2, false, proof, count + writer.used), TRIE_PROOF_BAD_LEAF);
    /* And shows a true leaf of elsewhere, with its own true way, for a key whose way does not lead there. */
    unsigned refused = 0;
    for (size_t i = 4; i < KEYS; i += 2) {
        if (verify(i, false, proof, count + writer.used) == TRIE_PROOF_BAD_LEAF) refused++;
    }
    assert_int_equal(refused, KEYS / 2 - 2);
}

static void the_empty_trie_proves_every_absence_and_only_there(void **state) {
    (void)state;
    struct trie *full = trie;
    uint8_t proof[TRIE_PROOF_BYTES_MAX], path[32] = {1};
    enum trie_proof_kind kind;
    trie = trie_make(1);
    size_t count = prove(path, TRIE_BITS, proof, &kind);
    assert_int_equal(kind, TRIE_PROOF_EMPTY);
    assert_int_equal(count, 4);
    assert_int_equal(trie_proof_verify_absent(trie_empty_root, 0, "a", 1, proof, count), TRIE_PROOF_OK);
    assert_int_equal(trie_proof_verify_absent(root, 0, "a", 1, proof, count), TRIE_PROOF_BAD_ROOT);
    assert_int_equal(trie_proof_verify_present(trie_empty_root, 0, "a", 1, &values[0], proof, count), TRIE_PROOF_BAD_KIND);
    free(trie);
    trie = full;
}

/* Root of the leaves with that prefix by walking; false if `left_out` (counted from 0) is not among them. */
static bool piece_hash(const uint8_t *prefix, unsigned bits, size_t left_out, uint8_t out[32], size_t *count) {
    struct trie_stream stream;
    uint8_t path[32] = {0}, hash[32];
    bool left = false;
    trie_stream_init(&stream);
    *count = 0;
    do {
        if (trie_seek(trie, path, path, hash, NULL) != TRIE_OK) break;
        if (!trie_prefix_equal(path, prefix, bits)) continue;
        if (*count == left_out) {
            left = true;
        } else {
            CHECK(trie_stream_add(&stream, path, hash));
        }
        (*count)++;
    } while (trie_path_next(path));
    trie_stream_root(&stream, out);
    return left;
}

static void a_piece_is_proved_whole_and_a_leaf_left_out_is_seen(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20260106);
    unsigned empty = 0, with_leaves = 0;
    for (unsigned run = 0; run < 400; run++) {
        uint8_t prefix[32], proof[TRIE_PROOF_BYTES_MAX], subroot[32], again[32];
        for (size_t i = 0; i < 4; i++) bytes_put_le64(prefix + 8 * i, vectors_random(&random));
        unsigned bits = (unsigned)(vectors_random(&random) % 12);
        enum trie_proof_kind kind;
        size_t leaves, count = prove(prefix, bits, proof, &kind);
        piece_hash(prefix, bits, SIZE_MAX, subroot, &leaves);
        trie_prefix_hash(trie, prefix, bits, again);
        assert_memory_equal(subroot, again, 32);
        assert_int_equal(kind == TRIE_PROOF_PRESENT, leaves > 0);
        assert_int_equal(trie_prefix_proof_verify(root, prefix, bits, subroot, proof, count), TRIE_PROOF_OK);
        assert_int_equal(trie_prefix_proof_verify(root, prefix, 257, subroot, proof, count), TRIE_PROOF_BAD_KEY);
        if (leaves == 0) {
            empty++;
            subroot[3] ^= 1;
            assert_int_equal(trie_prefix_proof_verify(root, prefix, bits, subroot, proof, count), TRIE_PROOF_BAD_KIND);
            continue;
        }
        with_leaves++;
        size_t all = leaves;
        for (size_t left_out = 0; left_out < all; left_out++) {
            assert_true(piece_hash(prefix, bits, left_out, subroot, &leaves));
            assert_int_not_equal(trie_prefix_proof_verify(root, prefix, bits, subroot, proof, count), TRIE_PROOF_OK);
        }
        assert_int_equal(trie_prefix_proof_verify(root, prefix, bits, trie_empty_root, proof, count), TRIE_PROOF_BAD_KIND);
    }
    assert_true(empty > 20 && with_leaves > 20);
}

static void a_trie_of_depth_256_is_proved_in_the_greatest_proof(void **state) {
    (void)state;
    struct trie *full = trie;
    uint8_t path[32] = {0}, hash[32] = {7}, deep_root[32], proof[TRIE_PROOF_BYTES_MAX];
    enum trie_proof_kind kind;
    trie = trie_make(257);
    assert_int_equal(trie_put(trie, path, hash, 0), TRIE_OK);
    for (unsigned bit = 0; bit < 256; bit++) { /* 1000..., 1100..., ... 1111 */
        path[bit / 8] = (uint8_t)(path[bit / 8] | 0x80u >> bit % 8);
        hash[1] = (uint8_t)bit;
        assert_int_equal(trie_put(trie, path, hash, bit), TRIE_OK);
    }
    trie_root(trie, deep_root);
    size_t count = prove(path, TRIE_BITS, proof, &kind);
    assert_int_equal(kind, TRIE_PROOF_PRESENT);
    assert_int_equal(count, 4 + 256 * 33);
    assert_int_equal(trie_prefix_proof_verify(deep_root, path, TRIE_BITS, hash, proof, count), TRIE_PROOF_OK);
    hash[31] ^= 1;
    assert_int_equal(trie_prefix_proof_verify(deep_root, path, TRIE_BITS, hash, proof, count), TRIE_PROOF_BAD_ROOT);
    free(trie);
    trie = full;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_proved_present_or_absent),
        cmocka_unit_test(no_proof_holds_for_another_key_value_version_or_root),
        cmocka_unit_test(every_bit_flip_truncation_and_addition_is_refused),
        cmocka_unit_test(fields_out_of_range_are_named),
        cmocka_unit_test(the_leaf_of_the_key_itself_proves_no_absence),
        cmocka_unit_test(the_empty_trie_proves_every_absence_and_only_there),
        cmocka_unit_test(a_piece_is_proved_whole_and_a_leaf_left_out_is_seen),
        cmocka_unit_test(a_trie_of_depth_256_is_proved_in_the_greatest_proof),
    };
    return cmocka_run_group_tests(tests, trie_fill, trie_drop);
}
