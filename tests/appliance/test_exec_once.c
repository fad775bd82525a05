/* Exactly once, admission, quotas: O-30 to O-45. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "tests/appliance/exec_world.h"

static struct world *world;

static int setup(void **state) {
    (void)state;
    world = world_create(2, 1);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    world_destroy(world);
    return 0;
}

static void anew(void (*tweak)(struct world *)) {
    world_destroy(world);
    world = malloc(sizeof *world);
    CHECK(world);
    world_system(world, 2, 1);
    tweak(world);
    world_start(world);
}

/* Writes through a coordinator; settles; the newest answer to it. */
static const struct client_item *send(uint32_t coordinator, uint64_t number, uint64_t floor, uint32_t nonce, uint8_t flags, uint32_t count,
                                      const struct operation *ops) {
    struct world_part part = {.kind = BATCH_WRITE, .flags = flags, .number = number, .floor = floor, .nonce = nonce, .op_count = count, .ops = ops};
    uint8_t digest[32];
    world_send(world, coordinator, 0, &part, digest);
    uint32_t before = world->answer_count;
    world_settle(world);
    assert_int_equal(world->answer_count, before + 1);
    assert_memory_equal(world->answers[before].item.part_digest, digest, 32);
    return &world->answers[before].item;
}

static uint8_t write1(uint32_t coordinator, uint64_t number, uint64_t floor, uint32_t nonce, struct operation op) {
    return send(coordinator, number, floor, nonce, 0, 1, &op)->code;
}

static char *value_of(const char *key) {
    static char text[64];
    struct operation op = op_get(key, 60);
    struct world_part part = {.kind = BATCH_READ, .op_count = 1, .ops = &op};
    struct result result = world_result(world_ask(world, &part), 0);
    if (result.code != CODE_OK) return NULL;
    memcpy(text, result.value, result.value_bytes);
    text[result.value_bytes] = 0;
    return text;
}

static void a_retry_takes_effect_once_through_any_coordinator(void **state) {
    (void)state;
    struct operation op = op_add("n", 5);
    const struct client_item *first = send(0, 1, 1, 9, 0, 1, &op);
    assert_int_equal(first->code, CODE_OK);
    for (uint32_t coordinator = 0; coordinator < 2; coordinator++) {
        const struct client_item *again = send(coordinator, 1, 1, 9, 0, 1, &op);
        assert_int_equal(again->code, CODE_RECORDED);
        assert_int_equal(again->height, first->height);
        assert_int_equal(again->index, first->index);
        struct result result = world_result(again, 0);
        assert_int_equal(result.code, CODE_OK);
        assert_int_equal(result.value_bytes, 1);
        assert_memory_equal(result.value, "5", 1);
        assert_int_equal(result.version.height, first->height);
        assert_int_equal(result.version.index, first->index);
    }
    assert_string_equal(value_of("n"), "5");
}

/* O-8: the index counts refused operations too. */
static void refused_parts_count_in_the_index(void **state) {
    (void)state;
    struct operation ops[] = {op_put("a", "1"), op_put("b", "1"), op_put("c", "1")};
    send(0, 1, 1, 9, 0, 3, ops);
    uint8_t digests[4][32];
    uint64_t numbers[] = {1, 1, 2, 3};
    uint32_t nonces[] = {9, 8, 9, 9}; /* recorded, reused, new, new */
    for (uint32_t i = 0; i < 4; i++) {
        struct world_part part = {.kind = BATCH_WRITE, .number = numbers[i], .floor = 1, .nonce = nonces[i], .op_count = 3, .ops = ops};
        world_send(world, 0, 0, &part, digests[i]);
    }
    world_settle(world);
    uint8_t codes[] = {CODE_RECORDED, CODE_REUSED, CODE_OK, CODE_OK};
    uint32_t indexes[] = {0, 3, 6, 9};
    for (uint32_t i = 0; i < 4; i++) {
        const struct client_item *item = &world_answer(world, digests[i])->item;
        assert_int_equal(item->code, codes[i]);
        assert_int_equal(item->index, indexes[i]);
    }
}

static void both_coordinators_at_once(void **state) {
    (void)state;
    struct operation op = op_add("n", 5);
    struct world_part part = {.kind = BATCH_WRITE, .number = 1, .floor = 1, .nonce = 5, .op_count = 1, .ops = &op};
    uint8_t digest[32];
    world_send(world, 0, 0, &part, digest);
    world_send(world, 1, 2, &part, digest);
    world_settle(world);
    assert_int_equal(world->answer_count, 2);
    assert_int_equal(world->answers[0].item.code + world->answers[1].item.code, CODE_OK + CODE_RECORDED);
    assert_string_equal(value_of("n"), "5");
}

static void recorded_results_say_what_was_kept(void **state) {
    (void)state;
    write1(0, 1, 1, 0, op_put("text", "abc"));
    write1(0, 2, 1, 0, op_add("low", 3));
    struct operation ops[] = {op_get("text", 10),  op_put("b", "1"),        op_add("n", 7),           op_cas("text", "x", "y"),
                              op_add("text", 1),   op_delete("absent"),     op_add_floor("low", -4, 0), op_add("m", -9),
                              op_client_state(world->clients[0].card.id), op_check_absent("text")};
    const struct client_item *first = send(0, 3, 1, 9, 0, 10, ops);
    const struct client_item *again = send(1, 3, 1, 9, 0, 10, ops);
    assert_int_equal(again->code, CODE_RECORDED);
    assert_int_equal(again->op_count, 10);
    for (uint32_t i = 0; i < 10; i++) {
        struct result was = world_result(first, i), is = world_result(again, i);
        assert_int_equal(was.code, is.code);
        bool kept = i == 2 || i == 7, write_done = was.code == CODE_OK && operation_is_write(ops[i].opcode);
        bool left_out = i == 0 || i == 6 || i == 8;
        assert_int_equal(is.flags, (write_done ? RESULT_FLAG_VERSION : 0) | (left_out ? RESULT_FLAG_VALUE_LEFT_OUT : 0));
        if (write_done) assert_int_equal(is.version.index, was.version.index);
        if (write_done) assert_int_equal(is.version.height, was.version.height);
        assert_int_equal(is.value_bytes, kept ? was.value_bytes : 0);
        if (kept) assert_memory_equal(is.value, was.value, was.value_bytes);
    }
}

static void a_number_with_other_content_is_reused(void **state) {
    (void)state;
    assert_int_equal(write1(0, 1, 1, 9, op_put("a", "1")), CODE_OK);
    assert_int_equal(write1(0, 1, 1, 9, op_put("a", "2")), CODE_REUSED);
    assert_int_equal(write1(0, 1, 1, 8, op_put("a", "1")), CODE_REUSED); /* another nonce is another intent */
    struct operation op = op_put("a", "1");
    assert_int_equal(send(0, 1, 1, 9, PART_FLAG_ATOMIC, 1, &op)->code, CODE_REUSED);
    assert_string_equal(value_of("a"), "1");
}

static void numbers_below_the_floor_are_too_old_for_ever(void **state) {
    (void)state;
    struct operation op = op_add("n", 1);
    assert_int_equal(send(0, 5, 5, 9, 0, 1, &op)->code, CODE_OK);
    assert_int_equal(send(0, 4, 1, 9, 0, 1, &op)->code, CODE_TOO_OLD);
    const struct client_item *item = send(1, 4, 1, 9, 0, 1, &op); /* the other coordinator does not know; the shard does */
    assert_int_equal(item->code, CODE_TOO_OLD);
    assert_int_not_equal(item->height, 0);
    assert_int_equal(send(0, 6, 6, 8, 0, 1, &op)->code, CODE_OK);
    assert_int_equal(send(1, 5, 5, 9, 0, 1, &op)->code, CODE_TOO_OLD); /* its record went with the floor */
    assert_string_equal(value_of("n"), "2");
}

static void the_floor_rises_before_the_part_is_judged(void **state) {
    (void)state;
    struct operation op = op_put("a", "1");
    assert_int_equal(send(0, 1, 1, 9, 0, 1, &op)->code, CODE_OK);
    assert_int_equal(send(0, 1500, 100, 9, 0, 1, &op)->code, CODE_TOO_NEW); /* also when it is refused */
    assert_int_equal(send(0, 99, 1, 9, 0, 1, &op)->code, CODE_TOO_OLD);
    assert_int_equal(send(1, 1, 1, 9, 0, 1, &op)->code, CODE_RECORDED); /* refused by the coordinator: the shard never saw that floor */
}

static void the_window_and_one_past(void **state) {
    (void)state;
    uint64_t window = world->system.limits.number_window;
    assert_int_equal(write1(0, 10 + window - 1, 10, 0, op_put("a", "1")), CODE_OK);
    assert_int_equal(write1(0, 10 + window, 10, 0, op_put("a", "2")), CODE_TOO_NEW);
    assert_int_equal(write1(0, 10 + window, 11, 0, op_put("a", "3")), CODE_OK);
    assert_int_equal(write1(0, UINT64_MAX, 10, 0, op_put("a", "4")), CODE_TOO_NEW);
    assert_int_equal(write1(0, UINT64_MAX, UINT64_MAX, 0, op_put("a", "5")), CODE_OK);
    assert_int_equal(write1(0, UINT64_MAX - 1, 1, 0, op_put("a", "6")), CODE_TOO_OLD);
    assert_string_equal(value_of("a"), "5");
}

static void records_of_a_whole_window_and_the_floor_through_it(void **state) {
    (void)state;
    struct operation op = op_client_state(world->clients[0].card.id);
    struct world_part part = {.kind = BATCH_READ, .op_count = 1, .ops = &op};
    for (uint64_t n = 1; n <= 100; n++) assert_int_equal(write1(0, n, 1, (uint32_t)n, op_add("n", 1)), CODE_OK);
    for (uint64_t floor = 1; floor <= 110; floor += 7) {
        uint64_t n = 101 + floor;
        assert_int_equal(write1(0, n, floor, (uint32_t)n, op_add("n", 1)), CODE_OK);
        struct result result = world_result(world_ask(world, &part), 0);
        assert_int_equal(bytes_get_le64(result.value), floor);
        uint32_t expected = 0;
        for (uint64_t i = 1; i <= n; i++) expected += i >= floor && (i <= 100 || (i - 101) % 7 == 1);
        assert_int_equal(bytes_get_le32(result.value + 8), expected);
    }
    struct operation add = op_add("n", 1);
    assert_int_equal(send(1, 107, 106, 0, 0, 1, &add)->code, CODE_OK);
}

static void cancel_of_a_number_that_was_not_used(void **state) {
    (void)state;
    struct operation cancel = op_cancel(), put = op_put("a", "1");
    const struct client_item *item = send(0, 3, 1, 9, 0, 1, &cancel);
    assert_int_equal(item->code, CODE_CANCELLED);
    assert_int_equal(item->results_bytes, 0);
    assert_int_equal(send(0, 3, 1, 9, 0, 1, &put)->code, CODE_CANCELLED);
    assert_int_equal(send(1, 3, 1, 8, 0, 1, &put)->code, CODE_CANCELLED);
    assert_int_equal(send(1, 3, 1, 9, 0, 1, &cancel)->code, CODE_CANCELLED);
    assert_null(value_of("a"));
}

static void cancel_of_a_number_that_was_used_tells_its_outcome(void **state) {
    (void)state;
    struct operation ops[] = {op_put("a", "1"), op_add("n", 4), op_put_if_absent("a", "2")}, cancel = op_cancel();
    const struct client_item *first = send(0, 3, 1, 9, 0, 3, ops);
    const struct client_item *item = send(1, 3, 1, 7, 0, 1, &cancel);
    assert_int_equal(item->code, CODE_RECORDED);
    assert_int_equal(item->op_count, 3);
    assert_int_equal(item->height, first->height);
    for (uint32_t i = 0; i < 3; i++) {
        struct result result = world_result(item, i);
        assert_int_equal(result.code, world_code(first, i));
        assert_int_equal(result.flags, RESULT_FLAG_VALUE_LEFT_OUT);
        assert_int_equal(result.value_bytes, 0);
    }
}

static void few_records(struct world *w) {
    w->system.limits.record_bytes_max = 65536;
}

static void records_have_a_limit_in_bytes(void **state) {
    (void)state;
    struct operation ops[WORLD_OPS_MAX];
    for (uint32_t i = 0; i < WORLD_OPS_MAX; i++) ops[i] = op_add("n", 1);
    anew(few_records);
    /* with room for the worst case of one more */
    uint64_t number = 1, record = 52 + 8 * WORLD_OPS_MAX, fit = (65536 - 52 - 9 * WORLD_OPS_MAX) / record + 1;
    for (; number <= fit; number++) assert_int_equal(send(0, number, 1, (uint32_t)number, 0, WORLD_OPS_MAX, ops)->code, CODE_OK);
    assert_int_equal(send(0, number, 1, (uint32_t)number, 0, WORLD_OPS_MAX, ops)->code, CODE_RECORDS_FULL);
    struct operation cancel = op_cancel();
    assert_int_equal(send(0, number + 1, 1, 3, 0, 1, &cancel)->code, CODE_CANCELLED); /* needs no room */
    assert_int_equal(send(0, number, 4, (uint32_t)number, 0, WORLD_OPS_MAX, ops)->code, CODE_OK);
}

static void one_chunk_has_a_limit_too(void **state) {
    (void)state;
    enum { OPS = 4096 };
    static struct operation ops[OPS + 1];
    for (uint32_t i = 0; i <= OPS; i++) ops[i] = op_add("n", 1);
    assert_int_equal(send(0, 1, 1, 1, 0, OPS, ops)->code, CODE_OK);
    assert_int_equal(send(0, 2, 1, 2, 0, OPS, ops)->code, CODE_RECORDS_FULL); /* 2 x 32 KiB and more in one value of 64 KiB */
    assert_int_equal(send(0, 2, 2, 2, 0, OPS, ops)->code, CODE_OK);
    assert_int_equal(send(0, 16, 2, 2, 0, OPS, ops)->code, CODE_OK); /* the next chunk */
    assert_int_equal(send(0, 17, 2, 2, 0, OPS + 1, ops)->code, CODE_MALFORMED); /* O-30.0 */
    assert_string_equal(value_of("n"), "12288");
}

static void some_rights(struct world *w) {
    w->clients[1].rights = &w->rights[1]; /* reads ro: only */
    w->clients[2].rights_count = 0;
}

static void rights_are_by_prefix(void **state) {
    (void)state;
    anew(some_rights);
    struct operation ops[] = {op_get("ro:1", 5), op_check_absent("ro:2"), op_put("ro:1", "1")};
    struct world_part part = {.client = 1, .kind = BATCH_WRITE, .number = 1, .floor = 1, .op_count = 3, .ops = ops};
    const struct client_item *item = world_ask(world, &part);
    assert_int_equal(item->code, CODE_RIGHTS);
    assert_int_equal(item->height, 0);
    assert_int_equal(item->op_count, 3);
    struct operation cancel = op_cancel(); /* has no key */
    part = (struct world_part){.client = 2, .kind = BATCH_WRITE, .number = 1, .floor = 1, .op_count = 1, .ops = &cancel};
    assert_int_equal(world_ask(world, &part)->code, CODE_CANCELLED);
    struct executor *ex = world_coordinator(world, 0)->ex;
    part = (struct world_part){.client = 1, .kind = BATCH_READ, .op_count = 2, .ops = ops};
    uint32_t bytes;
    uint8_t *batch = world_batch(world, &part, &bytes, NULL);
    assert_true(executor_read_allowed(ex, batch, bytes));
    assert_false(executor_read_allowed(ex, batch, bytes - 1));
    free(batch);
    ops[1] = op_get("other", 5);
    batch = world_batch(world, &part, &bytes, NULL);
    assert_false(executor_read_allowed(ex, batch, bytes));
    free(batch);
}

static void a_quota(struct world *w) {
    w->clients[0].quota_per_second = 2;
    w->clients[0].quota_burst = 3;
}

static void quota_charges_a_number_once(void **state) {
    (void)state;
    anew(a_quota);
    struct operation ops[] = {op_add("n", 1), op_add("n", 1), op_add("n", 1), op_add("n", 1)};
    assert_int_equal(send(0, 1, 1, 1, 0, 4, ops)->code, CODE_QUOTA);
    assert_int_equal(send(0, 1, 1, 1, 0, 3, ops)->code, CODE_OK); /* starts full */
    assert_int_equal(send(0, 2, 1, 1, 0, 1, ops)->code, CODE_QUOTA);
    assert_int_equal(send(0, 1, 1, 1, 0, 3, ops)->code, CODE_RECORDED); /* charged already */
    world_block(world, world_coordinator(world, 0), 500);
    assert_int_equal(send(0, 2, 1, 1, 0, 1, ops)->code, CODE_OK);
    assert_int_equal(send(0, 3, 1, 1, 0, 1, ops)->code, CODE_QUOTA);
    assert_int_equal(send(1, 3, 1, 1, 0, 1, ops)->code, CODE_OK); /* each coordinator has its own */
    world_block(world, world_coordinator(world, 0), UINT64_C(1) << 62); /* no overflow: full at the most */
    assert_int_equal(send(0, 4, 1, 1, 0, 4, ops)->code, CODE_QUOTA);
    assert_int_equal(send(0, 4, 1, 1, 0, 3, ops)->code, CODE_OK);
}

static void little_credit(struct world *w) {
    w->system.limits.credit_ops = 1024; /* f = 1: 512 a relay */
}

static void credit_by_shard_and_by_relay(void **state) {
    (void)state;
    anew(little_credit);
    static struct operation ops[512];
    for (uint32_t i = 0; i < 512; i++) ops[i] = op_get("a", 1);
    struct world_cluster *cluster = world_coordinator(world, 0);
    struct world_part part = {.kind = BATCH_READ, .op_count = 511, .ops = ops};
    uint8_t digests[5][32];
    world_send(world, 0, 0, &part, digests[0]);
    part.op_count = 2;
    world_send(world, 0, 0, &part, digests[1]); /* relay 0 is at its share and one past */
    part.op_count = 1;
    world_send(world, 0, 0, &part, digests[2]);
    part.op_count = 512;
    world_send(world, 0, 1, &part, digests[3]);
    part.op_count = 1;
    world_send(world, 0, 2, &part, digests[4]); /* the shard is at its credit and one past */
    world_block(world, cluster, 1);
    assert_int_equal(world->answer_count, 2);
    assert_int_equal(world_answer(world, digests[1])->item.code, CODE_BUSY);
    assert_int_equal(world_answer(world, digests[4])->item.code, CODE_BUSY);
    struct exec_pair pair;
    assert_int_equal(executor_pair(cluster->ex, SHARD_CLUSTER_BASE, true, &pair), EXEC_VALID);
    assert_int_equal(pair.open_ops, 1024);
    world_settle(world);
    assert_int_equal(world->answer_count, 5);
    assert_int_equal(executor_pair(cluster->ex, SHARD_CLUSTER_BASE, true, &pair), EXEC_VALID);
    assert_int_equal(pair.open_ops, 0);
    assert_int_equal(pair.open_bytes, 0);
    part.op_count = 512; /* the relays have their shares again */
    world_send(world, 0, 0, &part, digests[0]);
    world_send(world, 0, 1, &part, digests[1]);
    world_settle(world);
    assert_int_equal(world_answer(world, digests[0])->item.code, CODE_OK);
    assert_int_equal(world_answer(world, digests[1])->item.code, CODE_OK);
}

static void few_bytes(struct world *w) {
    w->system.limits.credit_bytes = 1 << 20;
}

static void credit_in_bytes(void **state) {
    (void)state;
    anew(few_bytes);
    struct operation ops[17];
    for (uint32_t i = 0; i < 17; i++) ops[i] = op_get("a", 65536);
    struct world_part part = {.kind = BATCH_READ, .op_count = 16, .ops = ops};
    assert_int_equal(world_ask(world, &part)->code, CODE_BUSY); /* 16 x (65,536 + 20) + ... > 1 MiB */
    part.op_count = 15;
    assert_int_equal(world_ask(world, &part)->code, CODE_OK);
    struct operation puts[1] = {op_put("a", "x")};
    part = (struct world_part){.kind = BATCH_WRITE, .number = 1, .floor = 1, .op_count = 1, .ops = puts};
    uint8_t digest[32];
    world_send(world, 0, 0, &part, digest);
    world_block(world, world_coordinator(world, 0), 1);
    struct exec_pair pair;
    assert_int_equal(executor_pair(world_coordinator(world, 0)->ex, SHARD_CLUSTER_BASE, true, &pair), EXEC_VALID);
    assert_int_equal(pair.open_bytes, (8 + 88 + 12 + 1 + 1) + 24 + 20); /* O-31 */
    world_settle(world);
}

static void a_stranger_gets_no_answer(void **state) {
    (void)state;
    struct operation op = op_get("a", 1);
    struct world_part part = {.kind = BATCH_READ, .op_count = 1, .ops = &op};
    world->clients[3].card.id[0] ^= 1; /* not what the state has */
    part.client = 3;
    world_send(world, 0, 0, &part, NULL);
    world_settle(world);
    assert_int_equal(world->answer_count, 0);
}

static void stale_writes_are_seen_by_the_relay(void **state) {
    (void)state;
    struct operation op = op_put("a", "1");
    struct world_part part = {.kind = BATCH_WRITE, .number = 5, .floor = 5, .op_count = 1, .ops = &op};
    world_ask(world, &part);
    uint32_t bytes;
    part.number = part.floor = 4;
    uint8_t *batch = world_batch(world, &part, &bytes, NULL);
    assert_true(executor_write_stale(world_coordinator(world, 0)->ex, batch, bytes));
    assert_false(executor_write_stale(world_coordinator(world, 1)->ex, batch, bytes));
    free(batch);
    part.number = 5;
    batch = world_batch(world, &part, &bytes, NULL);
    assert_false(executor_write_stale(world_coordinator(world, 0)->ex, batch, bytes));
    free(batch);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_retry_takes_effect_once_through_any_coordinator),
        T(refused_parts_count_in_the_index),
        T(both_coordinators_at_once),
        T(recorded_results_say_what_was_kept),
        T(a_number_with_other_content_is_reused),
        T(numbers_below_the_floor_are_too_old_for_ever),
        T(the_floor_rises_before_the_part_is_judged),
        T(the_window_and_one_past),
        T(records_of_a_whole_window_and_the_floor_through_it),
        T(cancel_of_a_number_that_was_not_used),
        T(cancel_of_a_number_that_was_used_tells_its_outcome),
        T(records_have_a_limit_in_bytes),
        T(one_chunk_has_a_limit_too),
        T(rights_are_by_prefix),
        T(quota_charges_a_number_once),
        T(credit_by_shard_and_by_relay),
        T(credit_in_bytes),
        T(a_stranger_gets_no_answer),
        T(stale_writes_are_seen_by_the_relay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
