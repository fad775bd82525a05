/* Operations on one shard, asked through one coordinator: O-8 to O-17, O-24, O-25. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "tests/appliance/exec_world.h"

static struct world *world;
static uint64_t number;

static int setup(void **state) {
    (void)state;
    world = world_create(1, 1);
    number = 0;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    world_destroy(world);
    return 0;
}

#define OPS(...) (const struct operation[]){__VA_ARGS__}
#define COUNT(...) (sizeof OPS(__VA_ARGS__) / sizeof(struct operation))
#define READ(...) ask(BATCH_READ, 0, COUNT(__VA_ARGS__), OPS(__VA_ARGS__))
#define WRITE(...) ask(BATCH_WRITE, 0, COUNT(__VA_ARGS__), OPS(__VA_ARGS__))
#define ATOMIC(...) ask(BATCH_WRITE, PART_FLAG_ATOMIC, COUNT(__VA_ARGS__), OPS(__VA_ARGS__))

static const struct client_item *ask(uint8_t kind, uint8_t flags, uint32_t count, const struct operation *ops) {
    struct world_part part = {.kind = kind, .flags = flags, .op_count = count, .ops = ops};
    if (kind == BATCH_WRITE) part.number = ++number, part.floor = number;
    return world_ask(world, &part);
}

static void value_is(const struct client_item *item, uint32_t i, const char *value) {
    struct result result = world_result(item, i);
    assert_int_equal(result.code, CODE_OK);
    assert_int_equal(result.value_bytes, strlen(value));
    if (*value) assert_memory_equal(result.value, value, strlen(value));
}

static void get_put_delete(void **state) {
    (void)state;
    assert_int_equal(world_code(READ(op_get("a", 100)), 0), CODE_ABSENT);
    const struct client_item *item = WRITE(op_put("a", "one"));
    assert_int_equal(item->code, CODE_OK);
    struct result result = world_result(item, 0);
    assert_int_equal(result.flags, RESULT_FLAG_VERSION);
    assert_int_equal(result.version.height, item->height);
    assert_int_equal(result.version.index, item->index);
    value_is(READ(op_get("a", 100)), 0, "one");
    assert_int_equal(world_code(WRITE(op_delete("a")), 0), CODE_OK);
    item = WRITE(op_delete("a"));
    assert_int_equal(world_code(item, 0), CODE_ABSENT);
    assert_int_equal(world_result(item, 0).flags, 0);
    assert_int_equal(world_code(READ(op_get("a", 100)), 0), CODE_ABSENT);
    WRITE(op_put("empty", ""));
    value_is(READ(op_get("empty", 0)), 0, "");
}

static void get_answers_the_length_when_the_value_is_longer_than_asked(void **state) {
    (void)state;
    WRITE(op_put("a", "0123456789"));
    value_is(READ(op_get("a", 10)), 0, "0123456789");
    struct result result = world_result(READ(op_get("a", 9)), 0);
    assert_int_equal(result.code, CODE_OK);
    assert_int_equal(result.flags, RESULT_FLAG_VALUE_LEFT_OUT);
    assert_int_equal(result.value_bytes, 10);
}

static void versions_count_operations_of_the_block(void **state) {
    (void)state;
    const struct client_item *item = WRITE(op_get("x", 1), op_put("a", "1"), op_cas("nope", "a", "b"), op_put("b", "2"));
    uint64_t height = item->height;
    assert_int_equal(item->index, 0);
    assert_int_equal(world_result(item, 1).version.index, 1);
    assert_int_equal(world_result(item, 3).version.index, 3);
    struct result result = world_result(READ(op_get_version("b", 10)), 0);
    assert_int_equal(result.flags, RESULT_FLAG_VERSION);
    assert_int_equal(result.version.height, height);
    assert_int_equal(result.version.index, 3);
    result = world_result(WRITE(op_put("b", "2")), 0); /* the same value makes a version, O-8 */
    assert_true(result.version.height > height);
    assert_int_equal(world_result(READ(op_get_version("absent", 10)), 0).flags, 0);
    assert_int_equal(world_result(READ(op_get("b", 10)), 0).flags, 0);
}

static void put_if_absent_and_cas(void **state) {
    (void)state;
    assert_int_equal(world_code(WRITE(op_put_if_absent("a", "1")), 0), CODE_OK);
    struct result result = world_result(WRITE(op_put_if_absent("a", "2")), 0);
    assert_int_equal(result.code, CODE_EXISTS);
    assert_int_equal(result.flags, 0);
    const struct client_item *item = WRITE(op_cas("a", "1", "3"));
    assert_int_equal(world_code(item, 0), CODE_OK);
    struct version version = world_result(item, 0).version;
    result = world_result(WRITE(op_cas("a", "1", "4")), 0);
    assert_int_equal(result.code, CODE_MISMATCH);
    assert_int_equal(result.version.height, version.height);
    assert_int_equal(world_result(WRITE(op_cas("none", "1", "4")), 0).flags, 0);
    assert_int_equal(world_code(WRITE(op_cas("none", "", "4")), 0), CODE_MISMATCH);
    assert_int_equal(world_code(WRITE(op_cas_version("a", version.height, version.index + 1, "5")), 0), CODE_MISMATCH);
    assert_int_equal(world_code(WRITE(op_cas_version("a", version.height, version.index, "5")), 0), CODE_OK);
    value_is(READ(op_get("a", 10)), 0, "5");
}

static void check_is_a_read(void **state) {
    (void)state;
    struct version version = world_result(WRITE(op_put("a", "1")), 0).version;
    assert_int_equal(world_code(READ(op_check("a", version.height, version.index)), 0), CODE_OK);
    assert_int_equal(world_code(READ(op_check("a", version.height + 1, version.index)), 0), CODE_CHECK_FAILED);
    assert_int_equal(world_code(READ(op_check("b", version.height, version.index)), 0), CODE_CHECK_FAILED);
    assert_int_equal(world_code(READ(op_check_absent("b")), 0), CODE_OK);
    struct operation op = op_check_absent("a");
    op.flags = OPERATION_FLAG_VERSION;
    struct result result = world_result(READ(op), 0);
    assert_int_equal(result.code, CODE_CHECK_FAILED);
    assert_int_equal(result.flags, RESULT_FLAG_VERSION);
    assert_int_equal(result.version.height, version.height);
}

static void add_keeps_canonical_numbers(void **state) {
    (void)state;
    value_is(WRITE(op_add("n", 5)), 0, "5");
    value_is(WRITE(op_add("n", -12)), 0, "-7");
    value_is(READ(op_get("n", 30)), 0, "-7");
    value_is(WRITE(op_add("n", 7)), 0, "0");
    value_is(WRITE(op_add("n", INT64_MAX)), 0, "9223372036854775807");
    assert_int_equal(world_code(WRITE(op_add("n", 1)), 0), CODE_OVERFLOW);
    value_is(WRITE(op_add("m", INT64_MIN)), 0, "-9223372036854775808");
    assert_int_equal(world_code(WRITE(op_add("m", -1)), 0), CODE_OVERFLOW);
    static const char *const wrong[] = {"", "-", "-0", "+1", "01", "-01", "1 ", "0x1", "9223372036854775808", "-9223372036854775809", "1e3"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        WRITE(op_put("w", wrong[i]));
        assert_int_equal(world_code(WRITE(op_add("w", 1)), 0), CODE_WRONG_TYPE);
        value_is(READ(op_get("w", 30)), 0, wrong[i]);
    }
}

static void add_with_a_floor(void **state) {
    (void)state;
    WRITE(op_add("n", 10));
    value_is(WRITE(op_add_floor("n", -4, 6)), 0, "6");
    struct result result = world_result(WRITE(op_add_floor("n", -1, 6)), 0);
    assert_int_equal(result.code, CODE_BELOW_FLOOR);
    assert_int_equal(result.value_bytes, 1);
    assert_memory_equal(result.value, "6", 1);
    assert_int_equal(result.flags, 0);
    value_is(WRITE(op_add_floor("n", 1, 100)), 0, "7"); /* a deposit below the floor */
    value_is(WRITE(op_add_floor("n", 0, 100)), 0, "7");
    result = world_result(WRITE(op_add_floor("absent", -1, 0)), 0);
    assert_int_equal(result.code, CODE_BELOW_FLOOR);
    assert_memory_equal(result.value, "0", 1);
    WRITE(op_put("n", "-9223372036854775808"));
    assert_int_equal(world_code(WRITE(op_add_floor("n", -1, 0)), 0), CODE_OVERFLOW); /* type, overflow, floor: in this order */
}

static void an_atomic_list_happens_whole_or_not_at_all(void **state) {
    (void)state;
    WRITE(op_put("from", "100"));
    const struct client_item *item = ATOMIC(op_add_floor("from", -30, 0), op_add("to", 30), op_get("from", 10));
    value_is(item, 0, "70");
    value_is(item, 1, "30");
    value_is(item, 2, "70"); /* sees what came before it in the list */
    item = ATOMIC(op_add("to", 71), op_add_floor("from", -71, 0), op_put("after", "x"));
    assert_int_equal(item->code, CODE_OK);
    assert_int_equal(world_code(item, 0), CODE_NOT_EXECUTED);
    assert_int_equal(world_code(item, 1), CODE_BELOW_FLOOR);
    assert_memory_equal(world_result(item, 1).value, "70", 2);
    assert_int_equal(world_code(item, 2), CODE_NOT_EXECUTED);
    item = READ(op_get("to", 10), op_get("from", 10), op_get("after", 10));
    value_is(item, 0, "30");
    value_is(item, 1, "70");
    assert_int_equal(world_code(item, 2), CODE_ABSENT);
}

static void what_fails_an_atomic_list(void **state) {
    (void)state;
    const struct client_item *item = ATOMIC(op_get("absent", 1), op_delete("absent"), op_put("a", "1"));
    assert_int_equal(world_code(item, 0), CODE_ABSENT);
    assert_int_equal(world_code(item, 1), CODE_ABSENT);
    assert_int_equal(world_code(item, 2), CODE_OK);
    struct operation failing[] = {op_put_if_absent("a", "2"), op_cas("a", "9", "2"), op_check_absent("a"), op_add("text", 1),
                                  op_reserved("a", OPERATION_CROSS_PREPARE)};
    enum operation_code codes[] = {CODE_EXISTS, CODE_MISMATCH, CODE_CHECK_FAILED, CODE_WRONG_TYPE, CODE_UNSUPPORTED};
    WRITE(op_put("text", "abc"));
    for (uint32_t i = 0; i < 5; i++) {
        item = ATOMIC(op_put("b", "1"), failing[i], op_delete("a"));
        assert_int_equal(world_code(item, 0), CODE_NOT_EXECUTED);
        assert_int_equal(world_code(item, 1), codes[i]);
        assert_int_equal(world_code(item, 2), CODE_NOT_EXECUTED);
        assert_int_equal(world_code(READ(op_get("b", 1)), 0), CODE_ABSENT);
    }
    item = WRITE(op_put("b", "1"), op_put_if_absent("a", "2"), op_put("c", "1")); /* not atomic: each stands alone */
    assert_int_equal(world_code(item, 0), CODE_OK);
    assert_int_equal(world_code(item, 1), CODE_EXISTS);
    assert_int_equal(world_code(item, 2), CODE_OK);
}

static void reserved_opcodes_are_unsupported(void **state) {
    (void)state;
    for (uint8_t opcode = OPERATION_CROSS_PREPARE; opcode <= OPERATION_CROSS_ABORT; opcode++)
        assert_int_equal(world_code(WRITE(op_reserved("a", opcode)), 0), CODE_UNSUPPORTED);
}

static void keys_and_values_at_their_limits_and_one_past(void **state) {
    (void)state;
    world_destroy(world);
    world = malloc(sizeof *world);
    world_system(world, 1, 1);
    world->system.limits.key_bytes_max = 40;
    world->system.limits.value_bytes_max = 100;
    world_start(world);
    char key[42], value[102];
    memset(key, 'k', 41);
    memset(value, 'v', 101);
    key[40] = value[100] = 0;
    assert_int_equal(world_code(WRITE(op_put(key, value)), 0), CODE_OK);
    assert_int_equal(world_code(WRITE(op_cas(key, value, value)), 0), CODE_OK);
    value[100] = 'v';
    value[101] = 0;
    assert_int_equal(world_code(WRITE(op_put(key, value)), 0), CODE_LIMIT);
    assert_int_equal(world_code(WRITE(op_put_if_absent(key, value)), 0), CODE_LIMIT);
    assert_int_equal(world_code(WRITE(op_cas(key, "x", value)), 0), CODE_LIMIT);
    assert_int_equal(world_code(WRITE(op_cas(key, value, "x")), 0), CODE_MISMATCH); /* only what would be stored is held against the limit */
    key[40] = 'k';
    key[41] = 0;
    assert_int_equal(world_code(READ(op_get(key, 1)), 0), CODE_LIMIT);
    assert_int_equal(world_code(WRITE(op_delete(key)), 0), CODE_LIMIT);
}

static void the_longest_key_and_value_there_are(void **state) {
    (void)state;
    static uint8_t value[65536];
    char key[257];
    memset(key, 'k', 256);
    key[256] = 0;
    memset(value, 7, sizeof value);
    assert_int_equal(world_code(WRITE(op_put_bytes(key, value, sizeof value)), 0), CODE_OK);
    struct result result = world_result(READ(op_get(key, 65536)), 0);
    assert_int_equal(result.value_bytes, 65536);
    assert_memory_equal(result.value, value, 65536);
}

static void a_full_table_refuses_what_enlarges_it(void **state) {
    (void)state;
    world_destroy(world);
    world = malloc(sizeof *world);
    world_system(world, 1, 1);
    world->system.limits.table_bytes_max = 300; /* below the range of a real system: 3 keys of 1 + 35 + 64 */
    world_start(world);
    const char *value = "12345678901234567890123456789012345";
    assert_int_equal(world_code(WRITE(op_put("a", value)), 0), CODE_OK);
    assert_int_equal(world_code(WRITE(op_put("b", value)), 0), CODE_OK);
    assert_int_equal(world_code(WRITE(op_put("c", value)), 0), CODE_OK);
    assert_int_equal(world_code(WRITE(op_put("d", "")), 0), CODE_TABLE_FULL);
    assert_int_equal(world_code(WRITE(op_put("c", "123456789012345678901234567890123456")), 0), CODE_TABLE_FULL);
    assert_int_equal(world_code(WRITE(op_put("c", value)), 0), CODE_OK);
    assert_int_equal(world_code(WRITE(op_put("c", "")), 0), CODE_OK);
    assert_int_equal(world_code(WRITE(op_add("d", 1)), 0), CODE_TABLE_FULL); /* 1 + 1 + 64 > 35 */
    const struct client_item *item = ATOMIC(op_delete("a"), op_put("d", value), op_put("e", value));
    assert_int_equal(world_code(item, 2), CODE_TABLE_FULL);
    assert_int_equal(world_code(READ(op_get("a", 0)), 0), CODE_OK);
}

static void keys_of_another_shard_are_refused(void **state) {
    (void)state;
    world_destroy(world);
    world = world_create(1, 2);
    const char *key = "some key";
    uint32_t home = world_shard_of(world, key);
    struct operation op = op_get(key, 1);
    struct world_part part = {.kind = BATCH_READ, .shard = 1 - home, .op_count = 1, .ops = &op};
    assert_int_equal(world_code(world_ask(world, &part), 0), CODE_WRONG_SHARD);
    part.shard = home;
    assert_int_equal(world_code(world_ask(world, &part), 0), CODE_ABSENT);
}

static void one_item_for_each_operation_with_the_receipt_flag(void **state) {
    (void)state;
    struct operation ops[] = {op_put("a", "1"), op_get("a", 10), op_put_if_absent("a", "2")};
    struct world_part part = {.kind = BATCH_WRITE, .flags = PART_FLAG_RECEIPT, .number = 1, .floor = 1, .op_count = 3, .ops = ops};
    const struct client_item *last = world_ask(world, &part);
    assert_int_equal(world->answer_count, 3);
    assert_int_equal(last->kind, CLIENT_ITEM_OPERATION);
    assert_int_equal(last->first_op, 2);
    assert_int_equal(last->op_count, 1);
    assert_int_equal(world_code(last, 0), CODE_EXISTS);
    assert_int_equal(last->index, world->answers[0].item.index + 2);
    value_is(&world->answers[1].item, 0, "1");
    part.number = 1; /* a refusal has no results: one item of kind 1 */
    part.floor = 1;
    part.nonce = 77;
    last = world_ask(world, &part);
    assert_int_equal(last->kind, CLIENT_ITEM_PART);
    assert_int_equal(last->code, CODE_REUSED);
    assert_int_equal(last->op_count, 3);
}

/* O-24: answers that do not fit into one slice come in several, and every client gets his. */
static void answers_of_one_slice_may_span_several(void **state) {
    (void)state;
    enum { VALUE = 60000, READS = 40 }; /* 40 parts of 4 x 60,000 bytes: more than two slices of 4 MiB */
    static uint8_t value[VALUE];
    memset(value, 9, VALUE);
    WRITE(op_put_bytes("big", value, VALUE));
    struct operation ops[] = {op_get("big", VALUE), op_get("big", VALUE), op_get("big", VALUE), op_get("big", VALUE)};
    uint8_t digests[READS][32];
    struct world_part part = {.kind = BATCH_READ, .op_count = 4, .ops = ops};
    uint32_t before = world->answer_count;
    for (uint32_t i = 0; i < READS; i++) world_send(world, 0, (uint8_t)(i % 4), &part, digests[i]);
    world_settle(world);
    assert_int_equal(world->answer_count - before, READS);
    for (uint32_t i = 0; i < READS; i++) {
        const struct world_answer *answer = world_answer(world, digests[i]);
        assert_non_null(answer);
        for (uint32_t k = 0; k < 4; k++) {
            struct result result = world_result(&answer->item, k);
            assert_int_equal(result.code, CODE_OK);
            assert_int_equal(result.value_bytes, VALUE);
            assert_memory_equal(result.value, value, VALUE);
        }
    }
    assert_int_not_equal(world->answers[before].height, world->answers[world->answer_count - 1].height);
}

/* O-24: the results of one part stay within a slice; what would pass is answered LIMIT. */
static void results_of_one_part_are_limited(void **state) {
    (void)state;
    world_destroy(world);
    world = malloc(sizeof *world);
    world_system(world, 1, 1);
    world->system.limits.slice_bytes_max = 1 << 20; /* results of a part: 1 MiB - 64 KiB - 48 */
    world->system.limits.batch_bytes_max = 1 << 19;
    world_start(world);
    static uint8_t value[65536];
    WRITE(op_put_bytes("big", value, 65536));
    struct operation ops[20];
    for (uint32_t i = 0; i < 20; i++) ops[i] = op_get("big", 65536);
    struct world_part part = {.kind = BATCH_READ, .op_count = 20, .ops = ops};
    const struct client_item *item = world_ask(world, &part);
    uint32_t fit = ((1 << 20) - 65536 - 48 - 8 * 5) / (65536 + 8);
    for (uint32_t i = 0; i < 20; i++) assert_int_equal(world_code(item, i), i < fit ? CODE_OK : CODE_LIMIT);
}

static void absence_leaves_nothing_behind(void **state) {
    (void)state;
    struct exec_figures before, after;
    executor_figures(world_shard(world, 0)->ex, &before);
    WRITE(op_put("a", "1"));
    WRITE(op_delete("a"));
    executor_figures(world_shard(world, 0)->ex, &after);
    assert_int_equal(after.user_keys, 0);
    assert_int_equal(after.user_bytes, 0);
    assert_int_equal(before.user_keys, 0);
}

static void client_state_lists_the_recorded_numbers(void **state) {
    (void)state;
    const uint8_t *client_id = world->clients[0].card.id;
    struct result result = world_result(READ(op_client_state(client_id)), 0);
    assert_int_equal(result.value_bytes, 16);
    assert_int_equal(bytes_get_le64(result.value), 1);
    struct operation op = op_put("a", "1");
    uint64_t numbers[] = {3, 17, 40, 41};
    for (uint32_t i = 0; i < 4; i++) {
        struct world_part part = {.kind = BATCH_WRITE, .number = numbers[i], .floor = 2, .op_count = 1, .ops = &op};
        assert_int_equal(world_ask(world, &part)->code, CODE_OK);
    }
    result = world_result(READ(op_client_state(client_id)), 0);
    assert_int_equal(result.value_bytes, 16 + 32);
    assert_int_equal(bytes_get_le64(result.value), 2);
    assert_int_equal(bytes_get_le32(result.value + 8), 4);
    for (uint32_t i = 0; i < 4; i++) assert_int_equal(bytes_get_le64(result.value + 16 + 8 * i), numbers[i]);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(get_put_delete),
        T(get_answers_the_length_when_the_value_is_longer_than_asked),
        T(versions_count_operations_of_the_block),
        T(put_if_absent_and_cas),
        T(check_is_a_read),
        T(add_keeps_canonical_numbers),
        T(add_with_a_floor),
        T(an_atomic_list_happens_whole_or_not_at_all),
        T(what_fails_an_atomic_list),
        T(reserved_opcodes_are_unsupported),
        T(keys_and_values_at_their_limits_and_one_past),
        T(the_longest_key_and_value_there_are),
        T(a_full_table_refuses_what_enlarges_it),
        T(keys_of_another_shard_are_refused),
        T(one_item_for_each_operation_with_the_receipt_flag),
        T(answers_of_one_slice_may_span_several),
        T(results_of_one_part_are_limited),
        T(absence_leaves_nothing_behind),
        T(client_state_lists_the_recorded_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
