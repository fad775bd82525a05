/*
 * Vectors of spec/operations.md: partition (O-2, O-3), operations and results (O-4 to O-6), numbers (O-10), batches and digests (O-20, O-21), items
 * (O-22 to
 * O-25), and blocks of a coordinator and a shard with the whole state after each (O-8 to O-45). Expected values of refusals are written here by hand.
 */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/partition.h"
#include "tests/vectors_gen/gen.h"
#include "tests/vectors_gen/gen_exec.h"

enum { ROOM = 8192 };

static void gen_partition(json_t *out) {
    json_t *hashes = gen_group(out, "siphash"), *routes = gen_group(out, "routes"), *shards = gen_group(out, "shards");
    uint8_t key[16], input[32];
    for (uint8_t i = 0; i < 32; i++) input[i] = i;
    memcpy(key, input, 16);
    CHECK(siphash_one(key, input, 15) == UINT64_C(0xa129ca6149be45e5)); /* O-3 */
    for (uint32_t i = 0; i <= 32; i++) {
        json_t *object = gen_case(hashes, "input of 0, 1, 2, ...");
        gen_set_hex(object, "key", key, 16);
        gen_set_hex(object, "input", input, i);
        uint8_t number[8];
        bytes_put_le64(number, siphash_one(key, input, i));
        gen_set_hex(object, "output_little_endian", number, 8);
    }
    static const struct {
        const char *name, *key, *route;
    } cases[] = {
        {"no braces", "account", "account"},         {"a tag", "{user}:1", "user"},           {"a tag in the middle", "a{b}c", "b"},
        {"the first pair counts", "{a}{b}", "a"},    {"nothing between", "{}x", "{}x"},       {"nothing between, then a tag", "{}{a}", "{}{a}"},
        {"not closed", "x{abc", "x{abc"},            {"not opened", "abc}x", "abc}x"},        {"closed before it is opened", "}{a}", "a"},
        {"a brace within", "{{a}}", "{a"},           {"one brace", "{", "{"},                 {"closed at the end", "ab{c}", "c"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t count;
        const uint8_t *route = partition_route((const uint8_t *)cases[i].key, strlen(cases[i].key), &count);
        CHECK(count == strlen(cases[i].route) && memcmp(route, cases[i].route, count) == 0);
        json_t *object = gen_case(routes, cases[i].name);
        gen_set_hex(object, "key", cases[i].key, strlen(cases[i].key));
        gen_set_hex(object, "route", cases[i].route, strlen(cases[i].route));
    }
    for (uint32_t i = 0; i < 24; i++) {
        char text[32];
        uint32_t count = i % 3 == 0 ? 1 : i % 3 == 1 ? 7 : 4096;
        snprintf(text, sizeof text, i % 2 ? "key %u" : "{key}%u", i / 6);
        json_t *object = gen_case(shards, "");
        gen_set_hex(object, "partition_key", key, 16);
        gen_set_u64(object, "shards", count);
        gen_set_hex(object, "key", text, strlen(text));
        gen_set_u64(object, "shard", partition_shard(key, count, (const uint8_t *)text, strlen(text)));
    }
}

static void operation_good(json_t *list, const char *name, struct operation op) {
    uint8_t bytes[ROOM];
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    operation_encode(&writer, &op);
    struct bytes_cursor cursor = bytes_cursor_of(bytes, writer.used);
    struct operation back;
    CHECK(!writer.failed && operation_decode(&cursor, &back) && bytes_finished(&cursor));
    json_t *object = gen_case(list, name);
    gen_set_u64(object, "opcode", op.opcode);
    gen_set_u64(object, "flags", op.flags);
    gen_set_u64(object, "a", op.a);
    gen_set_u64(object, "b", op.b);
    gen_set_hex(object, "key", op.key, op.key_bytes);
    gen_set(object, "write", json_boolean(operation_is_write(op.opcode)));
    gen_set_hex(object, "bytes", bytes, writer.used);
}

static void operation_refused(json_t *list, const char *name, struct operation op, size_t flip_at, uint8_t flip, size_t cut) {
    uint8_t bytes[ROOM];
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    operation_encode(&writer, &op);
    CHECK(!writer.failed && cut <= writer.used && flip_at < writer.used);
    bytes[flip_at] ^= flip;
    struct bytes_cursor cursor = bytes_cursor_of(bytes, writer.used - cut);
    struct operation back;
    CHECK(!operation_decode(&cursor, &back) || !bytes_finished(&cursor));
    json_t *object = gen_case(list, name);
    gen_set_hex(object, "bytes", bytes, writer.used - cut);
    gen_set_text(object, "error", "malformed");
}

static void gen_operation(json_t *out) {
    json_t *good = gen_group(out, "operations"), *bad = gen_group(out, "operations_refused");
    static const uint8_t client_id[32] = {1, 2, 3};
    operation_good(good, "GET", op_get("key", 1024));
    operation_good(good, "GET with version", op_get_version("key", 0));
    operation_good(good, "PUT", op_put("key", "value"));
    operation_good(good, "PUT of nothing", op_put("key", ""));
    operation_good(good, "PUT-IF-ABSENT", op_put_if_absent("key", "value"));
    operation_good(good, "CAS", op_cas("key", "old", "newer"));
    operation_good(good, "CAS-VERSION", op_cas_version("key", 77, 3, "new"));
    operation_good(good, "DELETE", op_delete("key"));
    operation_good(good, "ADD", op_add("key", -5));
    operation_good(good, "ADD with floor", op_add_floor("key", -5, -100));
    operation_good(good, "CHECK", op_check("key", 77, 3));
    operation_good(good, "CHECK absent", op_check_absent("key"));
    operation_good(good, "CANCEL", op_cancel());
    operation_good(good, "CLIENT-STATE", op_client_state(client_id));
    operation_good(good, "reserved 17", op_reserved("key", OPERATION_CROSS_COMMIT));
    operation_refused(bad, "opcode 0", op_get("key", 1), 0, 1, 0);
    operation_refused(bad, "opcode 11", op_check_absent("key"), 0, 8 ^ 11, 0);
    operation_refused(bad, "opcode 19", op_reserved("key", 17), 0, 17 ^ 19, 0);
    operation_refused(bad, "unknown flag", op_get("key", 1), 1, 2, 0);
    operation_refused(bad, "no key", op_get("k", 1), 2, 1, 1);
    operation_refused(bad, "key is cut off", op_get("key", 1), 0, 0, 1);
    operation_refused(bad, "GET with b", op_get("key", 1), 8, 1, 0);
    operation_refused(bad, "value is cut off", op_put("key", "value"), 0, 0, 2);
    operation_refused(bad, "one byte too many", op_put("key", "value"), 4, 5 ^ 4, 0);
    operation_refused(bad, "CAS-VERSION of 13 bytes", op_cas_version("key", 1, 2, "x"), 4, 12 ^ 13, 0);
    operation_refused(bad, "DELETE with a value", op_put("key", "v"), 0, OPERATION_PUT ^ OPERATION_DELETE, 0);
    operation_refused(bad, "ADD of 9 bytes", op_add_floor("key", 1, 2), 4, 8 ^ 9, 0);
    operation_refused(bad, "ADD with a floor of 7 bytes", op_add_floor("key", 1, 2), 8, 8 ^ 7, 1);
    operation_refused(bad, "CHECK of 1 byte", op_put("key", "v"), 0, OPERATION_PUT ^ OPERATION_CHECK, 0);
    operation_refused(bad, "CANCEL with a key", op_delete("key"), 0, 6 ^ 9, 0);
    operation_refused(bad, "CLIENT-STATE of 31 bytes", op_client_state(client_id), 4, 32 ^ 31, 1);
}

static void gen_numbers(json_t *out) {
    json_t *list = gen_group(out, "numbers");
    static const struct {
        const char *text;
        const char *value; /* NULL: WRONG-TYPE */
    } cases[] = {{"0", "0"}, {"1", "1"}, {"-1", "-1"}, {"10", "10"}, {"9223372036854775807", "9223372036854775807"},
                 {"-9223372036854775808", "-9223372036854775808"}, {"", NULL}, {"-", NULL}, {"-0", NULL}, {"+1", NULL}, {"01", NULL}, {"-01", NULL},
                 {"00", NULL}, {" 1", NULL}, {"1 ", NULL}, {"1.0", NULL}, {"0x1", NULL}, {"9223372036854775808", NULL},
                     {"-9223372036854775809", NULL},
                 {"99999999999999999999", NULL}, {"--1", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value;
        bool valid = operation_number_parse((const uint8_t *)cases[i].text, strlen(cases[i].text), &value);
        CHECK(valid == (cases[i].value != NULL) && (!valid || value == strtoll(cases[i].value, NULL, 10)));
        json_t *object = gen_case(list, cases[i].text);
        gen_set_hex(object, "stored", cases[i].text, strlen(cases[i].text));
        gen_set(object, "value", cases[i].value ? json_string(cases[i].value) : json_null());
    }
}

static void gen_results(json_t *out) {
    json_t *list = gen_group(out, "results");
    static const struct result cases[] = {
        {.code = CODE_OK, .value_bytes = 3, .value = (const uint8_t *)"abc"},
        {.code = CODE_OK, .flags = RESULT_FLAG_VERSION, .version = {5, 2}},
        {.code = CODE_OK, .flags = RESULT_FLAG_VERSION, .version = {UINT64_C(0x0001000000000005), 2}, .value_bytes = 1,
            .value = (const uint8_t *)"7"},
        {.code = CODE_OK, .flags = RESULT_FLAG_VALUE_LEFT_OUT, .value_bytes = 5000},
        {.code = CODE_ABSENT},
        {.code = CODE_MISMATCH, .flags = RESULT_FLAG_VERSION, .version = {4, 0}},
        {.code = CODE_BELOW_FLOOR, .value_bytes = 2, .value = (const uint8_t *)"-7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[64];
        struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
        result_encode(&writer, &cases[i]);
        json_t *object = gen_case(list, operation_code_name(cases[i].code));
        gen_set_u64(object, "code", cases[i].code);
        gen_set_u64(object, "flags", cases[i].flags);
        gen_set_u64(object, "value_bytes", cases[i].value_bytes);
        gen_set_u64(object, "height", cases[i].version.height);
        gen_set_u64(object, "index", cases[i].version.index);
        gen_set_hex(object, "bytes", bytes, writer.used);
    }
}

/* Batches: two parts, signed by a key of a fixed seed. */

static struct signer batch_signer(struct ed25519_secret *secret, uint8_t seed[32]) {
    CHECK(ed25519_start(NULL));
    for (int i = 0; i < 32; i++) seed[i] = (uint8_t)(200 + i);
    CHECK(ed25519_secret_init(secret, seed));
    return signer_ed25519(secret);
}

static const struct batch_limits batch_limits = {.shards = 2, .batch_bytes_max = 4096, .batch_parts_max = 4, .batch_ops_max = 8};
static const uint8_t batch_system[16] = {9, 8, 7}, batch_client[32] = {4, 5, 6}, batch_nonce[16] = {1, 1, 2, 3, 5, 8};

static size_t batch_make(uint8_t kind, uint8_t flags, const struct signer *signer, uint8_t *bytes) {
    struct bytes_writer writer = bytes_writer_of(bytes, ROOM);
    struct batch_builder builder;
    struct operation reads[] = {op_get("a", 100), op_check_absent("b")}, writes[] = {op_put("a", "1"), op_get("b", 5), op_add("c", 3)};
    bool write = kind == BATCH_WRITE;
    batch_build_begin(&builder, &writer, kind, batch_client, batch_nonce, 2);
    batch_build_part_begin(&builder, SHARD_CLUSTER_BASE, flags, write ? 7 : 0, write ? 3 : 0);
    for (uint32_t i = 0; i < (write ? 3u : 2u); i++) operation_encode(&writer, write ? &writes[i] : &reads[i]);
    batch_build_part_end(&builder, write ? 3 : 2);
    batch_build_part_begin(&builder, SHARD_CLUSTER_BASE + 1, 0, write ? 1 : 0, write ? 1 : 0);
    operation_encode(&writer, write ? &writes[0] : &reads[0]);
    batch_build_part_end(&builder, 1);
    CHECK(batch_build_end(&builder, batch_system, signer));
    return writer.used;
}

static void batch_good(json_t *list, const char *name, uint8_t kind, uint8_t flags) {
    struct ed25519_secret secret;
    uint8_t seed[32], bytes[ROOM], id[32], digest[32], signed_bytes[BATCH_SIGNED_BYTES];
    struct signer signer = batch_signer(&secret, seed);
    size_t count = batch_make(kind, flags, &signer, bytes), at = 0;
    struct batch batch;
    struct batch_part part;
    CHECK(batch_decode(bytes, count, &batch_limits, &batch) == BATCH_OK);
    batch_id(&batch, id);
    CHECK(batch_signature_valid(&batch, id, batch_system, secret.expanded + 32, &signer));
    batch_signed_bytes(batch_system, id, signed_bytes);
    json_t *object = gen_case(list, name);
    gen_set_hex(object, "signing_seed", seed, 32);
    gen_set_hex(object, "signing_key", secret.expanded + 32, 32);
    gen_set_hex(object, "system_id", batch_system, 16);
    gen_set_hex(object, "bytes", bytes, count);
    gen_set_hex(object, "batch_id", id, 32);
    if (kind == BATCH_WRITE) gen_set_hex(object, "signed", signed_bytes, sizeof signed_bytes);
    json_t *parts = gen_group(object, "parts");
    while (batch_part_next(&batch, &at, &part)) {
        json_t *row = json_object();
        CHECK(json_array_append_new(parts, row) == 0);
        batch_part_digest(batch_client, batch_nonce, &part, digest);
        gen_set_u64(row, "shard", part.shard);
        gen_set_u64(row, "flags", part.flags);
        gen_set_u64(row, "number", part.number);
        gen_set_u64(row, "floor", part.floor);
        gen_set_u64(row, "op_count", part.op_count);
        gen_set_hex(row, "operations", part.ops, part.ops_bytes);
        gen_set_hex(row, "part_digest", digest, 32);
    }
}

struct spoilt {
    const char *name;
    size_t at;
    uint8_t flip;
    int more; /* bytes added, or cut off */
    enum batch_error error;
    const char *says;
};

static void batches_refused(json_t *list, uint8_t kind, const struct spoilt *cases, size_t count) {
    struct ed25519_secret secret;
    uint8_t seed[32], bytes[ROOM];
    struct signer signer = batch_signer(&secret, seed);
    for (size_t i = 0; i < count; i++) {
        memset(bytes, 0, sizeof bytes);
        size_t made = batch_make(kind, 0, &signer, bytes), total = (size_t)((long)made + cases[i].more);
        struct batch batch;
        bytes[cases[i].at] ^= cases[i].flip;
        CHECK(batch_decode(bytes, total, &batch_limits, &batch) == cases[i].error && strcmp(batch_error_name(cases[i].error), cases[i].says) == 0);
        json_t *object = gen_case(list, cases[i].name);
        gen_set_hex(object, "bytes", bytes, total);
        gen_set_text(object, "error", cases[i].says);
    }
}

static void gen_batches(json_t *out) {
    json_t *good = gen_group(out, "batches"), *bad = gen_group(out, "batches_refused");
    json_t *limits = json_object();
    gen_set(out, "batch_limits", limits);
    gen_set_u64(limits, "shards", batch_limits.shards);
    gen_set_u64(limits, "batch_bytes_max", batch_limits.batch_bytes_max);
    gen_set_u64(limits, "batch_parts_max", batch_limits.batch_parts_max);
    gen_set_u64(limits, "batch_ops_max", batch_limits.batch_ops_max);
    batch_good(good, "read", BATCH_READ, 0);
    batch_good(good, "read with receipts", BATCH_READ, PART_FLAG_RECEIPT);
    batch_good(good, "write", BATCH_WRITE, 0);
    batch_good(good, "atomic write with receipts", BATCH_WRITE, PART_FLAG_ATOMIC | PART_FLAG_RECEIPT);
    static const struct spoilt reads[] = {
        {"format 2", 0, 3, 0, BATCH_BAD_HEAD, "bad_head"},
        {"kind 0", 1, 1, 0, BATCH_BAD_HEAD, "bad_head"},
        {"no part", 2, 2, 0, BATCH_BAD_HEAD, "bad_head"},
        {"zero field", 60, 1, 0, BATCH_BAD_HEAD, "bad_head"},
        {"length is another", 4, 1, 0, BATCH_TRUNCATED, "truncated"},
        {"a byte more", 0, 0, 1, BATCH_TRUNCATED, "truncated"},
        {"a byte less", 0, 0, -1, BATCH_TRUNCATED, "truncated"},
        {"a part more than there are", 2, 1, 0, BATCH_TRUNCATED, "truncated"},
        {"shard that is none", 64 + 2, 1, 0, BATCH_BAD_PART, "bad_part"},
        {"shard beyond the last", 64, 2, 0, BATCH_BAD_PART, "bad_part"},
        {"shards not ascending", 64, 1, 0, BATCH_BAD_PART, "bad_part"},
        {"unknown flag", 64 + 4, 4, 0, BATCH_BAD_PART, "bad_part"},
        {"zero field of a part", 64 + 6, 1, 0, BATCH_BAD_PART, "bad_part"},
        {"read with a number", 64 + 8, 1, 0, BATCH_BAD_PART, "bad_part"},
        {"read with a floor", 64 + 16, 1, 0, BATCH_BAD_PART, "bad_part"},
        {"no operation", 64 + 24, 2, 0, BATCH_BAD_PART, "bad_part"},
        {"too many operations", 64 + 24, 8, 0, BATCH_TOO_LARGE, "too_large"},
        {"operation of unknown code", 64 + 32, 1 ^ 11, 0, BATCH_BAD_OPERATION, "bad_operation"},
        {"write among reads", 64 + 32 + 13, 8 ^ 6, 0, BATCH_BAD_OPERATION, "bad_operation"},
    };
    static const struct spoilt writes[] = {
        {"number 0", 64 + 8, 7, 0, BATCH_BAD_PART, "bad_part"},
        {"floor 0", 64 + 16, 3, 0, BATCH_BAD_PART, "bad_part"},
        {"floor above the number", 64 + 16, 3 ^ 8, 0, BATCH_BAD_PART, "bad_part"},
        {"signature is missing", 0, 0, -64, BATCH_TRUNCATED, "truncated"},
    };
    batches_refused(bad, BATCH_READ, reads, sizeof reads / sizeof reads[0]);
    batches_refused(bad, BATCH_WRITE, writes, sizeof writes / sizeof writes[0]);
}

/* Blocks: one coordinator, one shard. */

static void send(struct world *world, uint32_t client, uint64_t number, uint64_t floor, uint8_t flags, uint32_t count, const struct operation *ops) {
    struct world_part part = {.client = client, .kind = number ? BATCH_WRITE : BATCH_READ, .flags = flags, .number = number, .floor = floor,
        .op_count = count,
                              .ops = ops};
    world_send(world, 0, (uint8_t)(client % 4), &part, NULL);
}

static void round_trip(json_t *list, const char *name, struct world *world) {
    char text[80];
    snprintf(text, sizeof text, "%s: request", name);
    gen_block(list, text, world, world_coordinator(world, 0), 20);
    snprintf(text, sizeof text, "%s: execution", name);
    gen_block(list, text, world, world_shard(world, 0), 20);
    snprintf(text, sizeof text, "%s: answer", name);
    gen_block(list, text, world, world_coordinator(world, 0), 20);
}

/* D-36: results of 512 bytes and more, of a whole part and one by one, and pending at the shard while its slice before is on its way. */
static void gen_long(json_t *list, struct world *world) {
    struct world_cluster *coordinator = world_coordinator(world, 0);
    static const uint8_t value[600] = {6};
    struct operation put = op_put_bytes("long", value, sizeof value), get = op_get("long", 1000);
    send(world, 0, 22, 4, 0, 1, &put);
    round_trip(list, "a long value", world);
    send(world, 3, 0, 0, 0, 1, &get);
    send(world, 3, 0, 0, PART_FLAG_RECEIPT, 1, &get);
    gen_block(list, "long results: request", world, coordinator, 20);
    gen_block(list, "long results: execution", world, world_shard(world, 0), 20);
    struct world_message late = coordinator->inbox[0];
    CHECK(coordinator->inbox_count == 1);
    coordinator->inbox_count = 0;
    send(world, 3, 0, 0, 0, 1, &get);
    gen_block(list, "long results: another request", world, coordinator, 20);
    gen_block(list, "long results: another request is sent", world, coordinator, 2000);
    CHECK(world_shard(world, 0)->inbox_count == 1);
    gen_block(list, "long results wait at the shard", world, world_shard(world, 0), 1);
    CHECK(coordinator->inbox_count == 0);
    coordinator->inbox[coordinator->inbox_count++] = late;
    gen_block(list, "long results: answer", world, coordinator, 20);
    gen_block(list, "long results that waited are sent", world, world_shard(world, 0), 2000);
    CHECK(coordinator->inbox_count == 1);
    gen_block(list, "long results: second answer", world, coordinator, 20);
}

static void gen_execution(json_t *out) {
    struct world *world = malloc(sizeof *world);
    CHECK(world);
    world_system(world, 1, 1);
    world->clients[1].rights = &world->rights[1];
    world->clients[2].quota_per_second = 2;
    world->clients[2].quota_burst = 3;
    world_start(world);
    json_t *execution = json_object(), *list = gen_group(execution, "blocks");
    gen_set(out, "execution", execution);
    gen_set_hex(execution, "system_id", world->system.system_id, 16);
    gen_set_hex(execution, "partition_key", world->system.partition_key, 16);
    gen_set_hex(execution, "file_hash", world->system.file_hash, 32);
    json_t *genesis = gen_group(execution, "genesis");
    for (uint32_t i = 0; i < 2; i++) {
        json_t *object = gen_case(genesis, i == 0 ? "coordinator" : "shard");
        gen_set_u64(object, "cluster", world->clusters[i].cluster);
        gen_state(object, world->clusters[i].ex);
        gen_set_hex(object, "state_root", world->clusters[i].root, 32);
    }
    struct operation first[] = {op_put("a", "1"), op_put_if_absent("a", "2"), op_cas("a", "1", "3"), op_get_version("a", 10), op_delete("none"),
                                op_add("n", 5),   op_check_absent("z"),       op_reserved("a", 16)};
    send(world, 0, 1, 1, PART_FLAG_RECEIPT, 8, first);
    send(world, 3, 0, 0, 0, 1, &first[3]);
    round_trip(list, "all sorts", world);
    struct operation transfer[] = {op_add_floor("n", -3, 0), op_add("m", 3)},
        overdraft[] = {op_add("m", 3), op_add_floor("n", -3, 0), op_put("x", "y")};
    send(world, 0, 2, 1, PART_FLAG_ATOMIC, 2, transfer);
    send(world, 0, 3, 1, PART_FLAG_ATOMIC, 3, overdraft);
    send(world, 1, 1, 1, 0, 1, transfer); /* RIGHTS */
    send(world, 2, 1, 1, 0, 3, overdraft);
    send(world, 2, 2, 1, 0, 1, overdraft); /* QUOTA */
    round_trip(list, "atomic lists, rights, quota", world);
    struct operation cancel = op_cancel(), state = op_client_state(world->clients[0].card.id), wipe = op_delete("a");
    send(world, 0, 2, 2, 0, 1, &cancel);   /* RECORDED */
    send(world, 0, 9, 2, 0, 1, &cancel);   /* CANCELLED */
    send(world, 0, 9, 2, 0, 1, transfer);  /* CANCELLED */
    send(world, 0, 3, 3, 0, 1, transfer);  /* REUSED; the floor drops numbers 1 and 2 */
    send(world, 0, 2, 1, 0, 1, transfer);  /* TOO-OLD */
    send(world, 0, 2000, 3, 0, 1, &wipe);  /* TOO-NEW */
    send(world, 0, 20, 3, 0, 1, &wipe);
    send(world, 3, 0, 0, 0, 1, &state);
    round_trip(list, "exactly once", world);
    send(world, 3, 0, 0, 0, 1, &first[3]);
    gen_block(list, "in flight: request", world, world_coordinator(world, 0), 20);
    send(world, 0, 21, 3, 0, 2, transfer);
    send(world, 3, 0, 0, PART_FLAG_RECEIPT, 1, &first[3]);
    gen_block(list, "in flight: two wait", world, world_coordinator(world, 0), 1);
    gen_block(list, "in flight: execution", world, world_shard(world, 0), 20);
    gen_block(list, "in flight: answer", world, world_coordinator(world, 0), 20);
    gen_block(list, "in flight: execution of the two", world, world_shard(world, 0), 20);
    gen_block(list, "in flight: answer to the two", world, world_coordinator(world, 0), 20);
    gen_block(list, "an empty block", world, world_shard(world, 0), 1);
    gen_long(list, world);
    world_destroy(world);
}

void gen_operations(json_t *out) {
    gen_partition(out);
    gen_operation(out);
    gen_numbers(out);
    gen_results(out);
    gen_batches(out);
    gen_execution(out);
}
