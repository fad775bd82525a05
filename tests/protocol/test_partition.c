/* Which shard a key belongs to (spec/operations.md O-2, O-3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/bytes.h"
#include "protocol/partition.h"

/* The cases that Redis Cluster's documentation lists, and their neighbours. */
static void the_route_is_the_hash_tag_as_in_redis_cluster(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"{user1000}.following", "user1000"},
        {"{user1000}.followers", "user1000"},
        {"foo{}{bar}", "foo{}{bar}"}, /* nothing between the first pair: the whole key */
        {"foo{{bar}}zap", "{bar"},
        {"foo{bar}{zap}", "bar"},
        {"foo{bar", "foo{bar"},
        {"foo}bar{", "foo}bar{"},
        {"}{a}", "a"},
        {"{", "{"},
        {"{}", "{}"},
        {"}", "}"},
        {"a{b}c", "b"},
        {"{}a}", "{}a}"},
        {"{ }", " "},
        {"x{y}", "y"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes;
        const uint8_t *route = partition_route((const uint8_t *)cases[i][0], strlen(cases[i][0]), &bytes);
        if (bytes != strlen(cases[i][1]) || memcmp(route, cases[i][1], bytes) != 0)
            fail_msg("route of \"%s\" is \"%.*s\", not \"%s\"", cases[i][0], (int)bytes, (const char *)route, cases[i][1]);
    }
    size_t bytes;
    assert_int_equal(*partition_route((const uint8_t *)"{\0}", 3, &bytes), 0); /* any byte counts */
    assert_int_equal(bytes, 1);
}

static void keys_of_one_tag_share_a_shard(void **state) {
    (void)state;
    uint8_t key[16] = {1, 2, 3};
    for (uint32_t shards = 1; shards <= 256; shards += 5) {
        uint32_t shard = partition_shard(key, shards, (const uint8_t *)"{bob}balance", 12);
        assert_true(shard < shards);
        assert_int_equal(shard, partition_shard(key, shards, (const uint8_t *)"orders{bob}", 11));
        assert_int_equal(shard, partition_shard(key, shards, (const uint8_t *)"bob", 3));
    }
}

/* floor(s * S / 2^64), computed another way: the shard's interval holds s. */
static void the_shard_is_the_interval_of_the_hash(void **state) {
    (void)state;
    uint8_t key[16] = {9};
    for (uint32_t i = 0; i < 2000; i++) {
        uint8_t name[4];
        bytes_put_le32(name, i * 2654435761u | 0x80808080u); /* no braces in it */
        for (uint32_t shards = 1; shards <= 4096; shards = shards * 3 + 1) {
            unsigned __int128 hash = siphash_one(key, name, sizeof name);
            uint32_t shard = partition_shard(key, shards, name, sizeof name);
            unsigned __int128 two64 = (unsigned __int128)1 << 64;
            assert_true(hash * shards >= shard * two64 && hash * shards < (shard + (unsigned __int128)1) * two64);
        }
    }
}

enum { EACH_BYTES_MAX = 255, EACH_SHARDS = 4096 };

/* Keys of one length without a brace, each in memory of its own length: a sanitizer sees who reads beyond. */
static void keys_make(uint8_t *keys[SIPHASH_LANES], size_t bytes) {
    for (uint32_t i = 0; i < SIPHASH_LANES; i++) {
        keys[i] = malloc(bytes);
        assert_non_null(keys[i]);
        for (uint32_t k = 0; k < bytes; k++) keys[i][k] = (uint8_t)((((uint32_t)bytes * SIPHASH_LANES + i) * 256 + k) * 2654435761u >> 25);
        for (uint32_t k = 0; k < bytes; k++) keys[i][k] = keys[i][k] >= '{' ? ' ' : keys[i][k];
    }
}

/* As partition_shard() says, and what that rests on: the whole key's hash, or that of its `tag`, if it has one. */
static void keys_go(const uint8_t key[16], uint8_t *const keys[SIPHASH_LANES], size_t bytes, const char *const tags[SIPHASH_LANES]) {
    const uint8_t *at[SIPHASH_LANES];
    uint32_t shards[SIPHASH_LANES];
    for (uint32_t i = 0; i < SIPHASH_LANES; i++) at[i] = keys[i];
    partition_shard_each(key, EACH_SHARDS, at, bytes, shards);
    for (uint32_t i = 0; i < SIPHASH_LANES; i++) {
        uint64_t hash = tags[i] ? siphash_one(key, (const uint8_t *)tags[i], strlen(tags[i])) : siphash_one(key, keys[i], bytes);
        assert_int_equal(shards[i], (uint32_t)((unsigned __int128)hash * EACH_SHARDS >> 64));
        assert_int_equal(shards[i], partition_shard(key, EACH_SHARDS, keys[i], bytes));
    }
}

/* Several at once: none has a tag, or one has at any place of it, or two, or all. */
static void eight_keys_go_where_each_goes_alone(void **state) {
    (void)state;
    uint8_t key[16] = {4, 5};
    for (size_t bytes = 1; bytes <= EACH_BYTES_MAX; bytes++) {
        uint8_t *keys[SIPHASH_LANES];
        const char *tags[SIPHASH_LANES] = {NULL};
        keys_make(keys, bytes);
        keys_go(key, keys, bytes, tags);
        for (size_t at = 0; at + 3 <= bytes; at++) {
            uint8_t before[3], *place = keys[(at + bytes) % SIPHASH_LANES] + at;
            memcpy(before, place, 3);
            memcpy(place, "{a}", 3);
            tags[(at + bytes) % SIPHASH_LANES] = "a";
            keys_go(key, keys, bytes, tags);
            memcpy(place, before, 3);
            tags[(at + bytes) % SIPHASH_LANES] = NULL;
        }
        for (uint32_t i = 0; bytes >= 3 && i < SIPHASH_LANES; i++) {
            memcpy(keys[i] + (bytes - 3) * i / SIPHASH_LANES, "{b}", 3);
            tags[i] = "b";
            keys_go(key, keys, bytes, tags);
        }
        for (uint32_t i = 0; i < SIPHASH_LANES; i++) free(keys[i]);
    }
}

/* A '{' that opens no tag leaves the whole key, wherever it stands. */
static void eight_keys_with_a_brace_that_opens_no_tag_go_by_the_whole(void **state) {
    (void)state;
    static const char *const none[SIPHASH_LANES] = {NULL};
    uint8_t key[16] = {6};
    for (size_t bytes = 1; bytes <= 64; bytes++) {
        uint8_t *keys[SIPHASH_LANES];
        keys_make(keys, bytes);
        for (uint32_t i = 0; i < SIPHASH_LANES; i++) keys[i][i * 7 % bytes] = '{';
        keys_go(key, keys, bytes, none);
        for (uint32_t i = 0; i < SIPHASH_LANES; i++) free(keys[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_route_is_the_hash_tag_as_in_redis_cluster),
        cmocka_unit_test(keys_of_one_tag_share_a_shard),
        cmocka_unit_test(the_shard_is_the_interval_of_the_hash),
        cmocka_unit_test(eight_keys_go_where_each_goes_alone),
        cmocka_unit_test(eight_keys_with_a_brace_that_opens_no_tag_go_by_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
