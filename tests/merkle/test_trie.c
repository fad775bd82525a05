/*
 * The state trie against a naive model: a list of (path, hash, ref), whose root is computed from nothing by the recursive definition of T-6 on
 * libsodium's SHA-256.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <sodium.h>

#include "merkle/check.h"
#include "merkle/trie.h"
#include "tests/merkle/vectors.h"

enum { MODEL_MAX = 600, MODELS_MAX = TRIE_MARKS_MAX + 1 };

struct model_leaf {
    uint8_t path[32];
    uint8_t hash[32];
    uint32_t ref;
};

struct model {
    size_t count;
    struct model_leaf leaves[MODEL_MAX]; /* sorted by path */
};

static size_t model_find(const struct model *model, const uint8_t path[32], bool *found) {
    size_t at = 0;
    while (at < model->count && memcmp(model->leaves[at].path, path, 32) < 0) at++;
    *found = at < model->count && memcmp(model->leaves[at].path, path, 32) == 0;
    return at;
}

static void model_put(struct model *model, const uint8_t path[32], const uint8_t hash[32], uint32_t ref) {
    bool found;
    size_t at = model_find(model, path, &found);
    if (!found) {
        CHECK(model->count < MODEL_MAX);
        memmove(&model->leaves[at + 1], &model->leaves[at], (model->count - at) * sizeof *model->leaves);
        model->count++;
    }
    memcpy(model->leaves[at].path, path, 32);
    memcpy(model->leaves[at].hash, hash, 32);
    model->leaves[at].ref = ref;
}

static bool model_remove(struct model *model, const uint8_t path[32]) {
    bool found;
    size_t at = model_find(model, path, &found);
    if (!found) return false;
    model->count--;
    memmove(&model->leaves[at], &model->leaves[at + 1], (model->count - at) * sizeof *model->leaves);
    return true;
}

static unsigned bit_of(const uint8_t path[32], unsigned bit) {
    return (path[bit / 8] >> (7 - bit % 8)) & 1u;
}

/* T-6, word by word: all leaves of [first, end) agree in the bits before `bit`. */
static void definition(const struct model_leaf *leaves, size_t count, unsigned bit, uint8_t out[32]) {
    if (count == 0) {
        memset(out, 0, 32);
        return;
    }
    if (count == 1) {
        memcpy(out, leaves[0].hash, 32);
        return;
    }
    size_t left = 0;
    while (left < count && bit_of(leaves[left].path, bit) == 0) left++;
    if (left == 0 || left == count) {
        definition(leaves, count, bit + 1, out);
        return;
    }
    uint8_t preimage[66] = {0x04, (uint8_t)bit};
    definition(leaves, left, bit + 1, preimage + 2);
    definition(leaves + left, count - left, bit + 1, preimage + 34);
    crypto_hash_sha256(out, preimage, sizeof preimage);
}

static struct trie *trie_make(uint32_t leaves_max, uint32_t journal_max) {
    struct trie_limits limits = {.leaves_max = leaves_max, .journal_max = journal_max};
    void *memory = aligned_alloc(64, trie_memory_bytes(&limits));
    CHECK(memory);
    memset(memory, 0, trie_memory_bytes(&limits));
    return trie_init(memory, trie_memory_bytes(&limits), &limits);
}

/* Paths that share long prefixes, or are far apart, from a small pool, so that collisions and neighbours are common. */
static void path_random(uint64_t *random, uint8_t path[32]) {
    uint64_t choice = vectors_random(random);
    memset(path, (choice & 1) ? 0xff : 0x00, 32);
    path[0] = (uint8_t)(choice >> 8 & 0xc0);
    if (choice & 2) path[31] = (uint8_t)(choice >> 16 & 0x07);
    if (choice & 4) path[15] = (uint8_t)(choice >> 24 & 0x81);
    if (choice & 8) path[1] = (uint8_t)(choice >> 32);
}

static void hash_random(uint64_t *random, uint8_t hash[32]) {
    for (size_t i = 0; i < 4; i++) bytes_put_le64(hash + 8 * i, vectors_random(random));
}

static void assert_same(struct trie *trie, const struct model *model) {
    uint8_t root[32], expected[32], path[32] = {0}, found[32], hash[32];
    definition(model->leaves, model->count, 0, expected);
    trie_root(trie, root);
    assert_memory_equal(root, expected, 32);
    struct trie_usage usage;
    trie_usage(trie, &usage);
    assert_int_equal(usage.leaves, model->count);
    struct trie_stream stream;
    trie_stream_init(&stream);
    for (size_t i = 0; i < model->count; i++) {
        uint32_t ref = 0;
        assert_int_equal(trie_seek(trie, path, found, hash, &ref), TRIE_OK);
        assert_memory_equal(found, model->leaves[i].path, 32);
        assert_memory_equal(hash, model->leaves[i].hash, 32);
        assert_int_equal(ref, model->leaves[i].ref);
        assert_true(trie_stream_add(&stream, found, hash));
        assert_false(trie_stream_add(&stream, found, hash));
        memcpy(path, found, 32);
        if (!trie_path_next(path)) assert_int_equal(i + 1, model->count);
    }
    if (model->count > 0 && trie_path_next(found)) assert_int_equal(trie_seek(trie, found, found, NULL, NULL), TRIE_ABSENT);
    trie_stream_root(&stream, root);
    assert_memory_equal(root, expected, 32);
}

static void the_empty_trie_and_one_leaf_have_the_roots_of_the_spec(void **state) {
    (void)state;
    struct trie *trie = trie_make(4, 4);
    uint8_t root[32], zero[32] = {0}, path[32], hash[32];
    struct trie_value value = {.version_height = 7, .version_index = 9, .value_hash = {5}};
    trie_root(trie, root);
    assert_memory_equal(root, zero, 32);
    trie_path(TRIE_SPACE_USER, "k", 1, path);
    trie_leaf_hash(TRIE_SPACE_USER, "k", 1, &value, hash);
    assert_int_equal(trie_put(trie, path, hash, 1), TRIE_OK);
    trie_root(trie, root);
    assert_memory_equal(root, hash, 32);
    assert_int_equal(trie_remove(trie, path), TRIE_OK);
    trie_root(trie, root);
    assert_memory_equal(root, zero, 32);
    free(trie);
}

static void the_preimages_are_those_of_the_spec(void **state) {
    (void)state;
    uint8_t expected[32], out[32], inner[66] = {0x04, 200};
    const uint8_t key_preimage[] = {0x06, 0x01, 'a', 'b', 'c'};
    uint8_t path_preimage[33] = {0x05};
    crypto_hash_sha256(path_preimage + 1, key_preimage, sizeof key_preimage);
    crypto_hash_sha256(expected, path_preimage, sizeof path_preimage);
    trie_path(TRIE_SPACE_SYSTEM, "abc", 3, out);
    assert_memory_equal(out, expected, 32);

    uint8_t leaf[1 + 1 + 2 + 3 + 8 + 4 + 32] = {0x03, 0x01, 0x03, 0x00, 'a',  'b',  'c',  0x88, 0x77, 0x66,
                                                0x55, 0x44, 0x33, 0x22, 0x11, 0x0d, 0x0c, 0x0b, 0x0a};
    const uint8_t value_preimage[] = {0x09, 'v', 'w'};
    crypto_hash_sha256(leaf + 19, value_preimage, sizeof value_preimage);
    crypto_hash_sha256(expected, leaf, sizeof leaf);
    struct trie_value value = {.version_height = UINT64_C(0x1122334455667788), .version_index = 0x0a0b0c0d};
    trie_value_hash("vw", 2, value.value_hash);
    trie_leaf_hash(TRIE_SPACE_SYSTEM, "abc", 3, &value, out);
    assert_memory_equal(out, expected, 32);

    memset(inner + 2, 0xaa, 32);
    memset(inner + 34, 0xbb, 32);
    crypto_hash_sha256(expected, inner, sizeof inner);
    trie_inner_hash(200, inner + 2, inner + 34, out);
    assert_memory_equal(out, expected, 32);
}

static void random_histories_match_the_model(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20260101);
    static struct model model;
    for (unsigned run = 0; run < 30; run++) {
        struct trie *trie = trie_make(MODEL_MAX, 1);
        memset(&model, 0, sizeof model);
        unsigned steps = 40 + (unsigned)(vectors_random(&random) % 300);
        for (unsigned step = 0; step < steps; step++) {
            uint8_t path[32], hash[32];
            path_random(&random, path);
            hash_random(&random, hash);
            uint64_t choice = vectors_random(&random) % 100;
            if (choice < 60) {
                assert_int_equal(trie_put(trie, path, hash, step), TRIE_OK);
                model_put(&model, path, hash, step);
            } else {
                assert_int_equal(trie_remove(trie, path), model_remove(&model, path) ? TRIE_OK : TRIE_ABSENT);
            }
            if (vectors_random(&random) % 8 == 0) assert_same(trie, &model);
        }
        assert_same(trie, &model);
        free(trie);
    }
}

static void rollback_and_release_match_the_model(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20260102);
    static struct model models[MODELS_MAX]; /* models[i]: before the i-th open mark; the last is now */
    uint64_t blocks[MODELS_MAX] = {0}, rolled_back = 0;
    for (unsigned run = 0; run < 6; run++) {
        struct trie *trie = trie_make(MODEL_MAX, 700);
        memset(models, 0, sizeof models);
        unsigned open = 0;
        uint64_t block = 0;
        for (unsigned step = 0; step < 1500; step++) {
            struct model *now = &models[open];
            uint64_t choice = vectors_random(&random) % 100;
            uint8_t path[32], hash[32];
            path_random(&random, path);
            hash_random(&random, hash);
            if (choice < 10 && open < TRIE_MARKS_MAX) {
                block += 1 + vectors_random(&random) % 3;
                assert_int_equal(trie_mark_begin(trie, block), TRIE_OK);
                models[open + 1] = *now;
                blocks[open++] = block;
            } else if (choice < 13 && open > 0) {
                unsigned back = (unsigned)(vectors_random(&random) % open);
                assert_int_equal(trie_mark_rollback(trie, blocks[back]), TRIE_OK);
                open = back;
                rolled_back++;
            } else if (choice < 18 && open > 0) {
                assert_int_equal(trie_mark_release(trie, blocks[0]), TRIE_OK);
                memmove(models, models + 1, open * sizeof *models);
                memmove(blocks, blocks + 1, open * sizeof *blocks);
                open--;
            } else if (choice < 60) {
                if (trie_put(trie, path, hash, step) == TRIE_OK) model_put(now, path, hash, step);
            } else if (trie_remove(trie, path) == TRIE_OK) {
                assert_true(model_remove(now, path));
            }
            assert_int_equal(trie_marks_open(trie), open);
            if (vectors_random(&random) % 10 == 0) assert_same(trie, &models[open]);
        }
        assert_same(trie, &models[open]);
        free(trie);
    }
    assert_true(rolled_back > 50);
}

static void the_root_does_not_depend_on_the_order_or_the_history(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20260103);
    enum { COUNT = 500 };
    static struct model_leaf leaves[COUNT];
    uint8_t first[32], root[32];
    for (size_t i = 0; i < COUNT; i++) {
        trie_path(TRIE_SPACE_USER, &i, sizeof i, leaves[i].path);
        hash_random(&random, leaves[i].hash);
    }
    for (unsigned run = 0; run < 20; run++) {
        struct trie *trie = trie_make(2 * COUNT, 1);
        for (size_t i = COUNT - 1; i > 0; i--) {
            size_t j = (size_t)(vectors_random(&random) % (i + 1));
            struct model_leaf swap = leaves[i];
            leaves[i] = leaves[j];
            leaves[j] = swap;
        }
        for (size_t i = 0; i < COUNT; i++) {
            uint8_t path[32];
            size_t other = COUNT + i;
            trie_path(TRIE_SPACE_USER, &other, sizeof other, path); /* comes and goes */
            if (run % 2) assert_int_equal(trie_put(trie, path, leaves[0].hash, 0), TRIE_OK);
            assert_int_equal(trie_put(trie, leaves[i].path, leaves[i].hash, 0), TRIE_OK);
            if (run % 3 == 0 && i % 7 == 0) trie_root(trie, root);
            if (run % 2) assert_int_equal(trie_remove(trie, path), TRIE_OK);
        }
        trie_root(trie, root);
        if (run == 0) memcpy(first, root, 32);
        assert_memory_equal(root, first, 32);
        free(trie);
    }
}

static void apply_is_the_same_as_one_by_one(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20260104);
    struct trie *one = trie_make(3000, 4000), *many = trie_make(3000, 4000);
    static struct trie_change changes[700];
    static uint8_t hashes[700][32];
    uint8_t a[32], b[32];
    for (uint64_t block = 1; block < 40; block++) {
        assert_int_equal(trie_mark_begin(one, block), TRIE_OK);
        assert_int_equal(trie_mark_begin(many, block), TRIE_OK);
        size_t count = (size_t)(vectors_random(&random) % 700);
        for (size_t i = 0; i < count; i++) {
            uint64_t key = vectors_random(&random) % 1200;
            trie_path(TRIE_SPACE_USER, &key, sizeof key, changes[i].path);
            hash_random(&random, hashes[i]);
            changes[i].leaf_hash = vectors_random(&random) % 4 ? hashes[i] : NULL;
            changes[i].ref = (uint32_t)i;
            enum trie_status status =
                changes[i].leaf_hash ? trie_put(one, changes[i].path, hashes[i], changes[i].ref) : trie_remove(one, changes[i].path);
            assert_true(status == TRIE_OK || (status == TRIE_ABSENT && !changes[i].leaf_hash));
        }
        assert_int_equal(trie_apply(many, changes, count), TRIE_OK);
        if (block % 3 == 0) {
            assert_int_equal(trie_mark_rollback(one, block), TRIE_OK);
            assert_int_equal(trie_mark_rollback(many, block), TRIE_OK);
        } else {
            assert_int_equal(trie_mark_release(one, block), TRIE_OK);
            assert_int_equal(trie_mark_release(many, block), TRIE_OK);
        }
        trie_root(one, a);
        trie_root(many, b);
        assert_memory_equal(a, b, 32);
    }
    free(one);
    free(many);
}

/* In parts of random sizes, done in random order, beside a trie that does it at once; with undo, so that sides are stale in every way. */
static void the_root_in_parts_is_the_root(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20261127);
    struct trie *one = trie_make(6000, 9000), *parts = trie_make(6000, 9000);
    struct trie_rehash rehash;
    uint8_t a[32], b[32], hash[32], path[32];
    uint32_t most = 0; /* subtries at once: the test is of many */
    for (uint64_t block = 1; block < 120; block++) {
        assert_int_equal(trie_mark_begin(one, block), TRIE_OK);
        assert_int_equal(trie_mark_begin(parts, block), TRIE_OK);
        uint64_t count = vectors_random(&random) % (block % 4 == 0 ? 3 : 900);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t key = vectors_random(&random) % 4000;
            trie_path(TRIE_SPACE_USER, &key, sizeof key, path);
            hash_random(&random, hash);
            bool put = vectors_random(&random) % 4 != 0;
            enum trie_status first = put ? trie_put(one, path, hash, 0) : trie_remove(one, path);
            assert_int_equal(put ? trie_put(parts, path, hash, 0) : trie_remove(parts, path), first);
        }
        if (block % 5 == 0) trie_root(one, a);
        struct trie *tries[] = {one, parts};
        for (int i = 0; i < 2; i++)
            assert_int_equal(block % 7 == 0 ? trie_mark_rollback(tries[i], block) : trie_mark_release(tries[i], block), TRIE_OK);
        trie_root(one, a);
        trie_rehash_begin(parts, &rehash);
        uint32_t order[TRIE_REHASH_SUBTRIES];
        if (rehash.count > most) most = rehash.count;
        for (uint32_t i = 0; i < rehash.count; i++) order[i] = i;
        for (uint32_t i = rehash.count; i > 1; i--) {
            uint32_t other = (uint32_t)(vectors_random(&random) % i), swap = order[i - 1];
            order[i - 1] = order[other];
            order[other] = swap;
        }
        for (uint32_t i = 0; i < rehash.count; i++) trie_rehash_part(parts, &rehash, order[i], 1);
        trie_rehash_end(parts, &rehash, b);
        assert_memory_equal(a, b, 32);
        trie_root(parts, b); /* nothing is stale any more */
        assert_memory_equal(a, b, 32);
        trie_rehash_begin(parts, &rehash);
        assert_int_equal(rehash.count, 0);
    }
    assert_int_equal(most, TRIE_REHASH_SUBTRIES);
    free(one);
    free(parts);
}

static void limits_hold_exactly_and_a_refused_call_changes_nothing(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20260105);
    enum { LEAVES = 50, JOURNAL = 20 };
    struct trie *trie = trie_make(LEAVES, JOURNAL);
    static struct model model;
    uint8_t path[32], hash[32];
    struct trie_change change = {.leaf_hash = hash};
    memset(&model, 0, sizeof model);
    hash_random(&random, hash);
    for (uint32_t i = 0; i < LEAVES; i++) {
        trie_path(TRIE_SPACE_USER, &i, sizeof i, path);
        assert_int_equal(trie_put(trie, path, hash, i), TRIE_OK);
        model_put(&model, path, hash, i);
    }
    hash_random(&random, path);
    assert_int_equal(trie_put(trie, path, hash, 0), TRIE_FULL);
    memcpy(change.path, path, 32);
    assert_int_equal(trie_apply(trie, &change, 1), TRIE_FULL);
    assert_same(trie, &model);
    assert_int_equal(trie_put(trie, model.leaves[3].path, hash, 77), TRIE_OK); /* overwriting needs no room */
    model.leaves[3].ref = 77;
    memcpy(change.path, model.leaves[4].path, 32);
    change.ref = 78;
    assert_int_equal(trie_apply(trie, &change, 1), TRIE_OK);
    model.leaves[4].ref = 78;
    memcpy(change.path, path, 32);
    assert_same(trie, &model);

    assert_int_equal(trie_mark_begin(trie, 5), TRIE_OK);
    struct model before = model;
    for (uint32_t i = 0; i < JOURNAL; i++) {
        assert_int_equal(trie_remove(trie, model.leaves[0].path), TRIE_OK);
        model_remove(&model, before.leaves[i].path);
    }
    assert_int_equal(trie_remove(trie, model.leaves[0].path), TRIE_JOURNAL_FULL);
    assert_int_equal(trie_put(trie, path, hash, 0), TRIE_JOURNAL_FULL);
    assert_int_equal(trie_apply(trie, &change, 1), TRIE_JOURNAL_FULL);
    assert_int_equal(trie_mark_begin(trie, 5), TRIE_NO_MARK);
    assert_int_equal(trie_mark_begin(trie, 4), TRIE_NO_MARK);
    assert_int_equal(trie_mark_rollback(trie, 6), TRIE_NO_MARK);
    assert_int_equal(trie_mark_release(trie, 6), TRIE_NO_MARK);
    assert_same(trie, &model);
    assert_int_equal(trie_mark_rollback(trie, 5), TRIE_OK);
    assert_same(trie, &before);
    assert_int_equal(trie_mark_release(trie, 5), TRIE_NO_MARK);

    for (uint64_t block = 1; block <= TRIE_MARKS_MAX; block++) assert_int_equal(trie_mark_begin(trie, block), TRIE_OK);
    assert_int_equal(trie_mark_begin(trie, TRIE_MARKS_MAX + 1), TRIE_MARKS_FULL);
    assert_int_equal(trie_mark_release(trie, 2), TRIE_NO_MARK); /* not the oldest */
    assert_int_equal(trie_mark_release(trie, 1), TRIE_OK);
    assert_int_equal(trie_mark_begin(trie, TRIE_MARKS_MAX + 1), TRIE_OK);
    free(trie);
}

static void a_ref_comes_back_with_undo_and_may_be_moved(void **state) {
    (void)state;
    struct trie *trie = trie_make(4, 4);
    uint8_t path[32] = {1}, hash[32] = {2}, other[32] = {3}, out[32];
    uint32_t ref = 0;
    assert_int_equal(trie_ref_set(trie, path, 1), TRIE_ABSENT);
    assert_int_equal(trie_put(trie, path, hash, 10), TRIE_OK);
    assert_int_equal(trie_mark_begin(trie, 1), TRIE_OK);
    assert_int_equal(trie_put(trie, path, other, 20), TRIE_OK);
    assert_int_equal(trie_ref_set(trie, path, 30), TRIE_OK);
    assert_int_equal(trie_get(trie, path, out, &ref), TRIE_OK);
    assert_int_equal(ref, 30);
    assert_memory_equal(out, other, 32);
    assert_int_equal(trie_mark_rollback(trie, 1), TRIE_OK);
    assert_int_equal(trie_get(trie, path, out, &ref), TRIE_OK);
    assert_int_equal(ref, 10);
    assert_memory_equal(out, hash, 32);
    path[31] = 1;
    assert_int_equal(trie_get(trie, path, NULL, NULL), TRIE_ABSENT);
    free(trie);
}

static void an_empty_trie_of_a_million_leaves_touches_next_to_nothing(void **state) {
    (void)state;
    struct trie_limits limits = {.leaves_max = 1000000, .journal_max = 100000};
    size_t bytes = trie_memory_bytes(&limits);
    assert_true(bytes < (size_t)120 << 20);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    struct trie *trie = trie_init(memory, bytes, &limits);
    uint8_t root[32], path[32] = {9}, hash[32] = {8};
    assert_int_equal(trie_put(trie, path, hash, 1), TRIE_OK);
    assert_int_equal(trie_remove(trie, path), TRIE_OK);
    trie_root(trie, root);
    struct trie_usage usage;
    trie_usage(trie, &usage);
    assert_true(usage.memory_bytes == bytes);
    assert_true(usage.touched_bytes < 64 << 10);
    static unsigned char resident[(120 << 20) / 4096];
    assert_int_equal(mincore(memory, bytes, resident), 0);
    size_t pages = 0;
    for (size_t i = 0; i < (bytes + 4095) / 4096; i++) pages += resident[i] & 1u;
    assert_true(pages * 4096 <= usage.touched_bytes + 8192);
    munmap(memory, bytes);
}

/* Marks follow each other without end, three at a time: as much of the journal is touched as three hold. */
static void the_journal_touches_what_open_marks_hold_at_once(void **state) {
    (void)state;
    enum { ENTRIES = 1000, BLOCKS = 200, OPEN = 3 };
    struct trie *trie = trie_make(1000, 64000);
    uint8_t path[32] = {0}, hash[32] = {0}, out[32], root[32];
    uint64_t open[OPEN];
    unsigned count = 0;
    struct trie_usage usage;
    trie_usage(trie, &usage);
    size_t before = usage.touched_bytes;
    for (uint64_t block = 1; block <= BLOCKS; block++) {
        trie_root(trie, root);
        assert_int_equal(trie_mark_begin(trie, block), TRIE_OK);
        open[count++] = block;
        for (unsigned i = 0; i < ENTRIES; i++) {
            path[0] = (uint8_t)(i >> 2);
            path[1] = (uint8_t)(i << 6);
            bytes_put_le64(hash, block);
            bool removes = i % 10 == block % 10;
            enum trie_status status = removes ? trie_remove(trie, path) : trie_put(trie, path, hash, i);
            assert_true(status == TRIE_OK || (removes && status == TRIE_ABSENT));
        }
        if (block % 7 == 0) {
            assert_int_equal(trie_mark_rollback(trie, open[--count]), TRIE_OK);
            trie_root(trie, out);
            assert_memory_equal(out, root, 32);
        }
        if (count < OPEN) continue;
        assert_int_equal(trie_mark_release(trie, open[0]), TRIE_OK);
        memmove(open, open + 1, --count * sizeof *open);
    }
    trie_usage(trie, &usage);
    assert_int_equal(trie_get(trie, path, out, NULL), TRIE_OK);
    assert_memory_equal(out, hash, 32);
    print_message("touched: %zu bytes, of them the leaves: %u\n", usage.touched_bytes - before, 1000 * 112);
    assert_true(usage.touched_bytes - before <= (size_t)1000 * 112 + (size_t)OPEN * (ENTRIES + 256) * 80);
    free(trie);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_empty_trie_and_one_leaf_have_the_roots_of_the_spec),
        cmocka_unit_test(the_preimages_are_those_of_the_spec),
        cmocka_unit_test(random_histories_match_the_model),
        cmocka_unit_test(rollback_and_release_match_the_model),
        cmocka_unit_test(the_root_does_not_depend_on_the_order_or_the_history),
        cmocka_unit_test(apply_is_the_same_as_one_by_one),
        cmocka_unit_test(the_root_in_parts_is_the_root),
        cmocka_unit_test(limits_hold_exactly_and_a_refused_call_changes_nothing),
        cmocka_unit_test(a_ref_comes_back_with_undo_and_may_be_moved),
        cmocka_unit_test(the_journal_touches_what_open_marks_hold_at_once),
        cmocka_unit_test(an_empty_trie_of_a_million_leaves_touches_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
