/* Which shard a key belongs to (spec/operations.md O-2, O-3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
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

/* Several at once, some of whose keys may have a tag. */
static void eight_keys_go_where_each_goes_alone(void **state) {
    (void)state;
    uint8_t key[16] = {4, 5}, names[SIPHASH_LANES][24];
    for (uint32_t round = 0; round < 500; round++) {
        const uint8_t *at[SIPHASH_LANES];
        size_t bytes = 1 + round % sizeof names[0];
        for (uint32_t i = 0; i < SIPHASH_LANES; i++) {
            for (uint32_t k = 0; k < sizeof names[0]; k++) names[i][k] = (uint8_t)(((round * SIPHASH_LANES + i) * 24 + k) * 2654435761u >> 24);
            if (round % 3 == 0 && i == round / 3 % SIPHASH_LANES && bytes >= 4) memcpy(names[i], "{a}", 3);
            at[i] = names[i];
        }
        uint32_t shards[SIPHASH_LANES];
        partition_shard_each(key, 1 + round % 97, at, bytes, shards);
        for (uint32_t i = 0; i < SIPHASH_LANES; i++) assert_int_equal(shards[i], partition_shard(key, 1 + round % 97, names[i], bytes));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_route_is_the_hash_tag_as_in_redis_cluster),
        cmocka_unit_test(keys_of_one_tag_share_a_shard),
        cmocka_unit_test(the_shard_is_the_interval_of_the_hash),
        cmocka_unit_test(eight_keys_go_where_each_goes_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
