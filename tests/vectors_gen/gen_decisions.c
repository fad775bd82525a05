/*
 * Vectors of spec/decisions.md: bodies (D-1, D-2), leaves (D-9, D-10, D-35), outbox roots (D-11), compact decisions (D-12), slices (D-13 to D-16,
 * D-36), pending hash and routing lists (D-8, D-19), cursors (D-20), the work of a checkpoint (D-26), and whole decisions from request to receipt for
 * n = 4 to 7 (gen_whole.c). Refusals are written here by hand.
 */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/body.h"
#include "protocol/decision.h"
#include "tests/protocol/decided.h"
#include "tests/vectors_gen/gen.h"
#include "tests/vectors_gen/gen_exec.h"
#include "tests/vectors_gen/gen_whole.h"

enum { REFS_MAX = 16 };

static const uint8_t some_hash[32] = {1, 2, 3, 4, 5}, system_id[16] = {7, 7, 7};

/* Bodies. */

static size_t body_make(uint8_t *out) {
    struct body_reference refs[4] = {{.kind = BODY_SLICE, .source = SHARD_CLUSTER_BASE + 1, .dseq = 12}, {.kind = BODY_BATCH, .relay = 3},
                                     {.kind = BODY_NOOP, .relay = 2, .dseq = 99}, {.kind = BODY_ADMIN, .relay = 1}};
    bytes_put_le32(out, 4);
    for (uint32_t i = 0; i < 4; i++) {
        if (refs[i].kind != BODY_NOOP) memcpy(refs[i].hash, some_hash, 32);
        body_reference_encode(&refs[i], out + BODY_HEAD_BYTES + i * BODY_REFERENCE_BYTES);
    }
    return BODY_HEAD_BYTES + 4 * BODY_REFERENCE_BYTES;
}

static void body_good(json_t *list, const char *name, const uint8_t *body, size_t count) {
    CHECK(body_reference_count(body, count, REFS_MAX) == bytes_get_le32(body));
    json_t *object = gen_case(list, name);
    gen_set_hex(object, "body", body, count);
    gen_set_hex(object, "body_hash", bft_body_hash(body, count).bytes, 32);
}

static void gen_bodies(json_t *out) {
    json_t *good = gen_group(out, "bodies"), *bad = gen_group(out, "bodies_refused");
    uint8_t body[512] = {0};
    gen_set_u64(out, "bodies_block_refs_max", REFS_MAX);
    body_good(good, "empty", body, 4);
    size_t count = body_make(body);
    body_good(good, "one of each kind", body, count);
    static const struct {
        const char *name;
        size_t at;
        uint8_t flip;
        int more;
    } cases[] = {{"kind 0", 4, 1, 0},           {"kind 5", 4 + 144, 3 ^ 5, 0},   {"SLICE with a relay", 5, 1, 0},   {"zero field", 6, 1, 0},
                 {"BATCH with a source", 4 + 48 + 4, 1, 0}, {"BATCH with a dseq", 4 + 48 + 8, 1, 0}, {"SLICE with dseq 0", 4 + 8, 12, 0},
                 {"NOOP with a hash", 4 + 96 + 20, 1, 0},   {"a byte more", 0, 0, 1},  {"a byte less", 0, 0, -1},
                 {"count does not fit", 0, 1, 0},           {"too many references", 0, 4 ^ 17, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(body, 0, sizeof body);
        count = body_make(body);
        body[cases[i].at] ^= cases[i].flip;
        size_t total = (size_t)((long)count + cases[i].more);
        CHECK(body_reference_count(body, total, REFS_MAX) == -1);
        json_t *object = gen_case(bad, cases[i].name);
        gen_set_hex(object, "body", body, total);
        gen_set_text(object, "error", "invalid");
    }
}

/* D-4.5: what counts. Of a slice the vector has the leaf and how long its compact decision is, not the bytes. */

enum { BODY_INPUTS_MAX = 2097152 }; /* the least that a system file may say: a short fill */

static void body_input_slice(json_t *row, const struct exec_ref *ref, uint32_t headers) {
    static struct decider decider;
    struct decided_how how = {.headers = headers};
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .destination = SHARD_CLUSTER_BASE, .dseq = 1};
    decider_init(&decider, 44, COORDINATOR_CLUSTER_BASE, 4);
    size_t count;
    free(decided_make(&decider, &how, &leaf, 0, 1, ref->bytes, ref->byte_count, &count));
    gen_set_u64(row, "source", ref->source);
    gen_set_u64(row, "dseq", ref->dseq);
    gen_set_hex(row, "leaf", ref->leaf, LEAF_BYTES);
    gen_set_u64(row, "compact_decision_bytes", count);
}

/* Judged by an executor: all that waits at the cluster, and a NOOP. `headers`: in each slice's certificate. */
static void body_input_case(json_t *list, const char *name, const struct world_cluster *cluster, bool noop, uint32_t headers,
                            enum exec_status expected) {
    static struct exec_ref refs[2 * WORLD_INBOX_MAX + 1];
    uint32_t count = world_refs(cluster, refs);
    if (noop) refs[count++] = (struct exec_ref){.kind = BODY_NOOP, .relay = 1};
    struct exec_block block = {.ticket = cluster->ticket + 1, .parent = cluster->ticket, .height = cluster->height + 1};
    block.ref_count = count;
    block.refs = refs;
    struct exec_result result;
    enum exec_status status = executor_execute(cluster->ex, &block, &result);
    if (status != expected) fprintf(stderr, "gen_decisions: %s: %s\n", name, exec_status_name(status));
    CHECK(status == expected);
    if (status == EXEC_VALID) CHECK(executor_rollback(cluster->ex, cluster->ticket) == EXEC_VALID);
    json_t *object = gen_case(list, name), *inputs = gen_group(object, "references");
    gen_set_u64(object, "cluster", cluster->cluster);
    for (uint32_t i = 0; i < count; i++) {
        json_t *row = json_object();
        CHECK(json_array_append_new(inputs, row) == 0);
        gen_set_u64(row, "kind", refs[i].kind);
        gen_set_u64(row, "relay", refs[i].relay);
        if (refs[i].kind == BODY_SLICE) body_input_slice(row, &refs[i], headers);
        if (refs[i].kind == BODY_BATCH) gen_set_hex(row, "bytes", refs[i].bytes, refs[i].byte_count);
    }
    if (status != EXEC_VALID) gen_set_text(object, "error", "invalid");
}

/* A slice of so many bytes; in place of the cluster's newest one if that is of the same source. */
static void body_input_forge(struct world *world, struct world_cluster *cluster, uint32_t source, uint32_t bytes) {
    static const uint8_t slice[BODY_INPUTS_MAX + 1]; /* no envelope: consumed with no items (D-15) */
    if (cluster->inbox_count > 0 && cluster->inbox[cluster->inbox_count - 1].source == source) free(cluster->inbox[--cluster->inbox_count].bytes);
    world_forge(world, cluster, source, slice, bytes);
}

static void gen_body_inputs(json_t *out) {
    struct world *world = calloc(1, sizeof *world);
    CHECK(world);
    world_system(world, 2, 1);
    world->system.limits.block_input_bytes_max = BODY_INPUTS_MAX;
    world_start(world);
    json_t *list = gen_group(out, "body_inputs");
    gen_set_u64(out, "body_inputs_block_input_bytes_max", BODY_INPUTS_MAX);
    struct world_cluster *shard = world_shard(world, 0), *coordinator = world_coordinator(world, 0);
    body_input_forge(world, shard, COORDINATOR_CLUSTER_BASE, BODY_INPUTS_MAX + 1);
    body_input_case(list, "shard: one slice alone may pass the limit", shard, false, 0, EXEC_VALID);
    body_input_case(list, "shard: beside a NOOP it may not", shard, true, 0, EXEC_TOO_LARGE);
    body_input_forge(world, shard, COORDINATOR_CLUSTER_BASE, 1048577);
    body_input_forge(world, shard, COORDINATOR_CLUSTER_BASE + 1, BODY_INPUTS_MAX - 1048577);
    body_input_case(list, "shard: two slices at the limit", shard, false, 0, EXEC_VALID);
    body_input_case(list, "shard: at the limit, under longer certificates", shard, false, 3, EXEC_VALID);
    body_input_forge(world, shard, COORDINATOR_CLUSTER_BASE + 1, BODY_INPUTS_MAX - 1048577 + 1);
    body_input_case(list, "shard: a byte above it", shard, false, 0, EXEC_TOO_LARGE);
    struct operation op = op_put("key", "value");
    struct world_part part = {.kind = BATCH_WRITE, .number = 1, .floor = 1, .op_count = 1, .ops = &op};
    world_send(world, 0, 2, &part, NULL);
    uint32_t batch_bytes = coordinator->batches[0].byte_count;
    body_input_forge(world, coordinator, SHARD_CLUSTER_BASE, BODY_INPUTS_MAX - batch_bytes);
    body_input_case(list, "coordinator: a slice and a whole batch at the limit", coordinator, false, 2, EXEC_VALID);
    body_input_forge(world, coordinator, SHARD_CLUSTER_BASE, BODY_INPUTS_MAX - batch_bytes + 1);
    body_input_case(list, "coordinator: a byte above it", coordinator, false, 0, EXEC_TOO_LARGE);
    world_destroy(world);
}

/* Leaves and outboxes. */

static struct leaf cluster_leaf(void) {
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .source = COORDINATOR_CLUSTER_BASE, .destination = SHARD_CLUSTER_BASE + 2, .height = 1000,
        .dseq = 3,
                        .slice_bytes = 16};
    memcpy(leaf.system_id, system_id, 16);
    memcpy(leaf.previous, some_hash, 32);
    memset(leaf.slice_hash, 9, 32);
    return leaf;
}

static struct leaf client_leaf(void) {
    struct leaf leaf = {.kind = LEAF_KIND_CLIENT, .source = COORDINATOR_CLUSTER_BASE, .item_count = 2, .height = 1000, .time = 123456,
        .slice_bytes = 140};
    memcpy(leaf.system_id, system_id, 16);
    memcpy(leaf.client_id, some_hash, 32);
    memset(leaf.slice_hash, 8, 32);
    return leaf;
}

static void leaf_good(json_t *list, const char *name, const struct leaf *leaf) {
    uint8_t bytes[LEAF_BYTES], hash[32];
    struct leaf back;
    leaf_encode(leaf, bytes);
    CHECK(leaf_decode(bytes, &back));
    leaf_hash(bytes, hash);
    json_t *object = gen_case(list, name);
    gen_set_hex(object, "leaf", bytes, sizeof bytes);
    gen_set_hex(object, "leaf_hash", hash, 32);
}

static void leaf_refused(json_t *list, const char *name, const struct leaf *leaf, size_t at, uint8_t flip) {
    uint8_t bytes[LEAF_BYTES];
    struct leaf back;
    leaf_encode(leaf, bytes);
    bytes[at] ^= flip;
    CHECK(!leaf_decode(bytes, &back));
    json_t *object = gen_case(list, name);
    gen_set_hex(object, "leaf", bytes, sizeof bytes);
    gen_set_text(object, "error", "invalid");
}

static void gen_leaves(json_t *out) {
    json_t *good = gen_group(out, "leaves"), *bad = gen_group(out, "leaves_refused"), *roots = gen_group(out, "outbox_roots");
    struct leaf cluster = cluster_leaf(), client = client_leaf();
    leaf_good(good, "to a cluster", &cluster);
    leaf_good(good, "to a client", &client);
    leaf_refused(bad, "kind 0", &cluster, 0, 1);
    leaf_refused(bad, "kind 3", &cluster, 0, 2);
    leaf_refused(bad, "format 2", &cluster, 1, 3);
    leaf_refused(bad, "zero field", &cluster, 2, 1);
    leaf_refused(bad, "slice of 0 bytes", &cluster, 76, 16);
    leaf_refused(bad, "slice beyond 64 MiB", &cluster, 79, 4);
    leaf_refused(bad, "dseq 0", &cluster, 36, 3);
    leaf_refused(bad, "no item", &client, 8, 2);
    leaf_refused(bad, "more than 2^24 items", &client, 11, 1);
    leaf_refused(bad, "client slice beyond 64 MiB", &client, 79, 4);
    for (uint32_t count = 0; count <= 5; count++) {
        uint8_t bytes[LEAF_BYTES];
        tree_hash hashes[5], root;
        json_t *object = gen_case(roots, "leaves in order"), *list = gen_group(object, "leaves");
        for (uint32_t i = 0; i < count; i++) {
            cluster.destination = SHARD_CLUSTER_BASE + i;
            leaf_encode(&cluster, bytes);
            leaf_hash(bytes, hashes[i]);
            json_t *row = json_object();
            CHECK(json_array_append_new(list, row) == 0);
            gen_set_hex(row, "leaf", bytes, sizeof bytes);
        }
        tree_root((const tree_hash *)hashes, count, root);
        gen_set_hex(object, "outbox_root", root, 32);
    }
}

/* D-35: as fields and bytes, and as the last of an outbox. */
static void gen_state_leaves(json_t *out) {
    json_t *list = gen_group(out, "state_leaves");
    struct leaf cluster = cluster_leaf(), client = client_leaf(), back;
    for (uint32_t others = 0; others <= 2; others++) {
        uint8_t bytes[3][LEAF_BYTES], root_after[32];
        tree_hash hashes[3], root;
        uint64_t height = (UINT64_C(1) << 48) + 1000 + others;
        memset(root_after, (int)(0xC0 + others), 32);
        cluster.height = client.height = height;
        leaf_encode(&cluster, bytes[0]);
        leaf_encode(&client, bytes[1]);
        leaf_state_encode(system_id, COORDINATOR_CLUSTER_BASE, height, root_after, bytes[others]);
        CHECK(!leaf_decode(bytes[others], &back)); /* no compact decision has one */
        json_t *object = gen_case(list, others == 0 ? "alone in its outbox" : others == 1 ? "behind a cluster leaf" : "behind a client leaf");
        gen_set_hex(object, "system_id", system_id, 16);
        gen_set_u64(object, "source", COORDINATOR_CLUSTER_BASE);
        gen_set_u64(object, "height", height);
        gen_set_hex(object, "state_root", root_after, 32);
        gen_set_hex(object, "leaf", bytes[others], LEAF_BYTES);
        json_t *outbox = gen_group(object, "outbox");
        for (uint32_t i = 0; i <= others; i++) {
            leaf_hash(bytes[i], hashes[i]);
            json_t *row = json_object();
            CHECK(json_array_append_new(outbox, row) == 0);
            gen_set_hex(row, "leaf", bytes[i], LEAF_BYTES);
        }
        gen_set_hex(object, "leaf_hash", hashes[others], 32);
        tree_root((const tree_hash *)hashes, others + 1, root);
        gen_set_hex(object, "outbox_root", root, 32);
    }
}

/* Slices, routing lists, pending hash. */

static void slice_case(json_t *list, const char *name, const uint8_t *slice, size_t count, bool has_envelope, uint32_t items) {
    struct slice decoded;
    struct slice_item item;
    size_t at = 0;
    uint32_t index = 0, taken = 0;
    uint8_t hash[32];
    bool envelope = slice_decode(slice, count, &decoded);
    while (envelope && slice_item_next(&decoded, &at, &index, &item)) taken++;
    CHECK(envelope == has_envelope && taken == items);
    slice_hash(slice, count, hash);
    json_t *object = gen_case(list, name);
    gen_set_hex(object, "slice", slice, count);
    gen_set_hex(object, "slice_hash", hash, 32);
    gen_set(object, "envelope", json_boolean(envelope));
    gen_set_u64(object, "items_taken", taken);
    gen_set_u64(object, "ack", envelope ? 77 : 0);
}

/* An ANSWER item of parts with results of such lengths; returns its bytes. */
static size_t answer_make(uint8_t *out, const uint32_t *results, uint32_t parts, uint8_t fill) {
    size_t at = SLICE_ITEM_HEAD_BYTES + SLICE_ANSWER_HEAD_BYTES;
    slice_answer_head_encode(out + SLICE_ITEM_HEAD_BYTES, 7, parts);
    for (uint32_t i = 0; i < parts; i++) {
        slice_part_head_encode(out + at, &(struct slice_part){.op_count = 1, .height = 3, .index = i, .results_bytes = results[i]});
        memset(out + at + SLICE_PART_HEAD_BYTES, fill + (int)i, results[i]);
        at += SLICE_PART_HEAD_BYTES + results[i];
    }
    slice_item_head_encode(out, (uint32_t)(at - SLICE_ITEM_HEAD_BYTES), SLICE_ANSWER);
    return at;
}

/* D-36: what is condensed, and what only looks so. One item with parts of 511, 512 and 600 bytes of results and one with 700, spoilt at one place. */
static void gen_slices_long(json_t *list) {
    enum { FIRST = 8 + 16 + 3 * 24 + 511 + 512 + 600, WHOLE = 16 + FIRST + 8 + 16 + 24 + 700, PART = 16 + 8 + 16 };
    static const struct {
        const char *name;
        uint32_t count, at, flip, taken; /* at 0: nothing is spoilt */
        bool envelope;
    } cases[] = {{"long results", WHOLE, 0, 0, 2, true},
                 {"long results of which no item is taken", WHOLE, 4, 2, 0, true},
                 {"long results behind an envelope that does not parse", WHOLE, 1, 1, 0, false},
                 {"results of an item of kind 2", WHOLE, 20, 1, 2, true},
                 {"results of an item of kind 1", WHOLE, 20, 2, 2, true},
                 {"results of an item of kind 131", WHOLE, 20, 0x80, 2, true},
                 {"results of an item whose zero bytes are not zero", WHOLE, 22, 1, 2, true},
                 {"results of an item whose third zero byte is not zero", WHOLE, 23, 1, 2, true},
                 {"an answer that states no parts", WHOLE, 16 + 8 + 8, 3, 2, true},
                 {"an answer whose zero is not zero", WHOLE, 16 + 8 + 12, 1, 2, true},
                 {"a part of another code", WHOLE, PART + 24 + 511, 99, 2, true},
                 {"a part whose zero bytes are not zero", WHOLE, PART + 24 + 511 + 1, 1, 2, true},
                 {"an answer that lacks its last byte", 16 + FIRST - 1, 0, 0, 0, true},
                 {"results beyond the end of their item", WHOLE, PART + 24 + 511 + 21, 16, 2, true},
                 {"results that end in the midst of others", WHOLE, PART + 24 + 511 + 20, 1, 2, true},
                 {"results of an item beyond the slice's end", WHOLE - 1, 0, 0, 1, true},
                 {"an item that ends in the midst of results", WHOLE, 16, 1, 1, true},
                 {"an item that ends in the midst of a part's head", 16 + FIRST - 604, 16, 0x2fc, 1, true},
                 {"the only item runs past the slice's end", 16 + FIRST, 17, 1, 0, true}};
    uint8_t slice[WHOLE];
    static const uint32_t first[] = {511, 512, 600}, second[] = {700};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        slice_head_encode(slice, 2, 77);
        size_t at = SLICE_HEAD_BYTES + answer_make(slice + SLICE_HEAD_BYTES, first, 3, 0x21);
        at += answer_make(slice + at, second, 1, 0x31);
        CHECK(at == WHOLE);
        if (cases[i].at > 0) bytes_put_le32(slice + cases[i].at, bytes_get_le32(slice + cases[i].at) ^ cases[i].flip);
        slice_case(list, cases[i].name, slice, cases[i].count, cases[i].envelope, cases[i].taken);
    }
}

/* One result with its head; value_bytes is stated whatever follows. */
struct result_shape {
    uint8_t flags;
    uint32_t value_bytes, present;
};

static uint32_t results_make(uint8_t *out, const struct result_shape *shapes, uint32_t count, uint8_t fill) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t head[4] = {(uint8_t)i, shapes[i].flags};
        memcpy(out + at, head, sizeof head);
        bytes_put_le32(out + at + 4, shapes[i].value_bytes);
        memset(out + at + 8, fill + (int)i, shapes[i].present);
        at += 8 + shapes[i].present;
    }
    return at;
}

/* D-36: long values in results. One item with one part; the same results in a client's item of kind 1. */
static void gen_long_values(json_t *slices, json_t *client_slices) {
    enum { SHAPES = 3, RESULTS_MAX = 4096 };
    static const struct {
        const char *name;
        uint32_t op_count, count, tail; /* tail: bytes of a head that is not whole */
        struct result_shape shapes[SHAPES];
    } cases[] = {{"a value of 512 bytes", 1, 1, 0, {{0, 512, 512}}},
                 {"a value of 511 bytes", 1, 1, 0, {{0, 511, 511}}},
                 {"long values, one with its version", 3, 3, 0, {{0, 600, 600}, {1, 700, 712}, {0, 512, 512}}},
                 {"long values among short ones", 3, 3, 0, {{0, 3, 3}, {0, 900, 900}, {1, 40, 52}}},
                 {"a long value that is left out", 2, 3, 0, {{2, 5000, 0}, {0, 600, 600}, {3, 5000, 12}}},
                 {"other bits of the flags", 2, 2, 0, {{0xfc, 600, 600}, {0xfd, 600, 612}}},
                 {"256 bytes an operation", 2, 1, 0, {{0, 504, 504}}},
                 {"256 bytes an operation, and a long value", 4, 2, 0, {{0, 600, 600}, {0, 408, 408}}},
                 {"fewer than 256 bytes an operation, and a long value", 4, 2, 0, {{0, 600, 600}, {0, 407, 407}}},
                 {"long values and no operation", 0, 2, 0, {{0, 600, 600}, {0, 8, 8}}},
                 {"a long value and 2^24 operations", 1 << 24, 2, 0, {{0, 600, 600}, {0, 8, 8}}},
                 {"long values and 2^32 - 1 operations", UINT32_MAX, 2, 0, {{0, 600, 600}, {0, 8, 8}}},
                 {"a long value, then one that is not whole", 2, 2, 0, {{0, 600, 600}, {0, 600, 599}}},
                 {"a long value, then one of 2^32 - 1 bytes with a version", 2, 2, 0, {{0, 600, 600}, {1, UINT32_MAX, 700}}},
                 {"a value that would be whole without its version", 2, 2, 0, {{0, 600, 600}, {1, 600, 611}}},
                 {"a long value, then a head that is not whole", 2, 1, 7, {{0, 600, 600}}}};
    uint8_t results[RESULTS_MAX], slice[RESULTS_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t bytes = results_make(results, cases[i].shapes, cases[i].count, 0x51);
        memset(results + bytes, 0x61, cases[i].tail);
        bytes += cases[i].tail;
        size_t at = SLICE_HEAD_BYTES + SLICE_ITEM_HEAD_BYTES;
        slice_head_encode(slice, 1, 77);
        slice_item_head_encode(slice + SLICE_HEAD_BYTES, SLICE_ANSWER_HEAD_BYTES + SLICE_PART_HEAD_BYTES + bytes, SLICE_ANSWER);
        slice_answer_head_encode(slice + at, 9, 1);
        at += SLICE_ANSWER_HEAD_BYTES;
        slice_part_head_encode(slice + at, &(struct slice_part){.op_count = cases[i].op_count, .height = 3, .results_bytes = bytes});
        at += SLICE_PART_HEAD_BYTES;
        memcpy(slice + at, results, bytes);
        slice_case(slices, cases[i].name, slice, at + bytes, true, 1);
        uint8_t digest[32] = {(uint8_t)i};
        struct client_item head = {.kind = CLIENT_ITEM_PART, .part_digest = digest, .op_count = cases[i].op_count, .results_bytes = bytes};
        bytes_put_le32(slice, 1);
        bytes_put_le32(slice + 4, CLIENT_ITEM_HEAD_BYTES + bytes);
        slice_client_item_head_encode(slice + 8, &head);
        memcpy(slice + 8 + CLIENT_ITEM_HEAD_BYTES, results, bytes);
        tree_hash root;
        CHECK(slice_client_root(slice, 8 + CLIENT_ITEM_HEAD_BYTES + bytes, 1, root));
        json_t *object = gen_case(client_slices, cases[i].name);
        gen_set_hex(object, "slice", slice, 8 + CLIENT_ITEM_HEAD_BYTES + bytes);
        gen_set_u64(object, "item_count", 1);
        gen_set_hex(object, "items_root", root, 32);
    }
}

/* D-16: items of a client, one with short results, one with long ones, one of kind 2 with long ones, one of an unknown kind; spoilt at one byte. */
static void gen_client_slices(json_t *out) {
    enum { ITEM = 4 + 64, WHOLE = 4 + 4 * ITEM + 511 + 512 + 600 + 700 };
    static const uint32_t lengths[] = {511, 512, 600, 700};
    static const uint8_t kinds[] = {CLIENT_ITEM_PART, CLIENT_ITEM_PART, CLIENT_ITEM_OPERATION, 3};
    static const struct {
        const char *name;
        uint32_t count, item_count, at, flip;
        bool good;
    } cases[] = {{"long results of a part", WHOLE, 4, 0, 0, true},
                 {"another count than the leaf's", WHOLE, 3, 0, 0, false},
                 {"an item less", WHOLE - ITEM - 700, 4, 0, 0, false},
                 {"a byte less", WHOLE - 1, 4, 0, 0, false},
                 {"a byte of the results", WHOLE, 4, WHOLE - 1, 1, true},
                 {"results_bytes is less than what follows", WHOLE, 4, 4 + 4 + 60, 1, false},
                 {"results_bytes is more than what follows", WHOLE, 4, 4 + ITEM + 511 + 4 + 60, 1, false},
                 {"results_bytes of an item of kind 2 is more than what follows", WHOLE, 4, 4 + 2 * ITEM + 511 + 512 + 4 + 60, 1, false},
                 {"results_bytes of an item of kind 3 is less than what follows", WHOLE, 4, 4 + 3 * ITEM + 511 + 512 + 600 + 4 + 60, 4, false},
                 {"zero bytes of an item of kind 1 that are not zero", WHOLE, 4, 4 + ITEM + 511 + 4 + 2, 1, true},
                 {"a byte behind the last item", WHOLE + 1, 4, 0, 0, false}};
    json_t *list = gen_group(out, "client_slices");
    uint8_t slice[WHOLE + 1] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *at = slice + 4;
        bytes_put_le32(slice, 4);
        for (uint32_t k = 0; k < 4; k++) {
            uint8_t digest[32] = {(uint8_t)k};
            struct client_item head = {.kind = kinds[k], .part_digest = digest, .op_count = 1, .results_bytes = lengths[k]};
            bytes_put_le32(at, CLIENT_ITEM_HEAD_BYTES + lengths[k]);
            slice_client_item_head_encode(at + 4, &head);
            memset(at + ITEM, 0x41 + (int)k, lengths[k]);
            at += ITEM + lengths[k];
        }
        if (cases[i].at > 0) slice[cases[i].at] ^= (uint8_t)cases[i].flip;
        tree_hash root;
        CHECK(slice_client_root(slice, cases[i].count, cases[i].item_count, root) == cases[i].good);
        json_t *object = gen_case(list, cases[i].name);
        gen_set_hex(object, "slice", slice, cases[i].count);
        gen_set_u64(object, "item_count", cases[i].item_count);
        if (cases[i].good) gen_set_hex(object, "items_root", root, 32);
        else gen_set_text(object, "error", "wrong_slice");
    }
    /* Items too short for a head. */
    static const uint8_t none[8] = {1};
    tree_hash root;
    CHECK(!slice_client_root(none, sizeof none, 1, root));
    json_t *object = gen_case(list, "an item without a head");
    gen_set_hex(object, "slice", none, sizeof none);
    gen_set_u64(object, "item_count", 1);
    gen_set_text(object, "error", "wrong_slice");
}

static void gen_slices(json_t *out) {
    json_t *list = gen_group(out, "slices");
    uint8_t slice[128];
    static const struct {
        const char *name;
        uint32_t item_count, count;
        size_t at;
        uint8_t flip;
        uint32_t taken; /* items that D-15 takes */
        bool envelope;
    } cases[] = {{"two items", 2, 44, 0, 0, 2, true},         {"an acknowledgement alone", 0, 16, 0, 0, 0, true},
                 {"what follows the items is ignored", 1, 44, 0, 0, 1, true}, {"more items announced than there are", 9, 44, 0, 0, 2, true},
                 {"an item that runs past the end", 2, 43, 0, 0, 1, true},    {"a head that runs past the end", 2, 37, 0, 0, 1, true},
                 {"format 2", 2, 44, 0, 3, 0, false},          {"zero field", 2, 44, 2, 1, 0, false},
                 {"too short", 0, 15, 0, 0, 0, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(slice, 0x5a, sizeof slice);
        slice_head_encode(slice, cases[i].item_count, 77);
        slice_item_head_encode(slice + 16, 6, 200);
        slice_item_head_encode(slice + 30, 6, 201);
        slice[cases[i].at] ^= cases[i].flip;
        slice_case(list, cases[i].name, slice, cases[i].count, cases[i].envelope, cases[i].taken);
    }
    gen_slices_long(list);
}

static void gen_pending(json_t *out) {
    json_t *object = json_object(), *groups = gen_group(object, "groups");
    gen_set(out, "pending", object);
    uint8_t hashes[3][64], expected[32];
    for (uint32_t g = 0; g < 3; g++) {
        uint8_t items[3][20], routes[3][ROUTING_BYTES];
        for (uint32_t i = 0; i <= g; i++) {
            slice_item_head_encode(items[i], 12, SLICE_READ);
            memset(items[i] + 8, (int)(16 * g + i), 12);
            struct routing routing = {.relay = (uint8_t)i, .flags = PART_FLAG_RECEIPT, .op_count = g + 1, .reserved_bytes = 1000 + i};
            memset(routing.client_id, 1 + (int)i, 32);
            memset(routing.part_digest, 100 + (int)i, 32);
            routing_encode(&routing, routes[i]);
        }
        struct slice_items_hash hash;
        slice_items_hash_init(&hash);
        slice_items_hash_add(&hash, items[0], 20 * (g + 1), NULL);
        slice_items_hash_final(&hash, hashes[g]);
        routing_hash(routes[0], ROUTING_BYTES * (g + 1), hashes[g] + 32);
        json_t *row = gen_case(groups, "group");
        gen_set_hex(row, "items", items, 20 * (g + 1));
        gen_set_hex(row, "items_hash", hashes[g], 32);
        gen_set_hex(row, "routing_list", routes, ROUTING_BYTES * (g + 1));
        gen_set_hex(row, "routing_hash", hashes[g] + 32, 32);
    }
    SHA256_PREFIXED(expected, HASH_GROUPS, {hashes, sizeof hashes});
    gen_set_hex(object, "pending_hash", expected, 32);
}

static void gen_cursors(json_t *out) {
    json_t *list = gen_group(out, "cursors");
    uint8_t chain[32] = {0}, entries[3 * 96];
    for (uint32_t count = 1; count <= 3; count++) {
        json_t *object = gen_case(list, "chained to the one before");
        gen_set_hex(object, "parent", chain, 32);
        for (uint32_t i = 0; i < count; i++) {
            uint8_t *entry = entries + 96 * i;
            memset(entry, 0, 96);
            bytes_put_le32(entry, SHARD_CLUSTER_BASE + i);
            bytes_put_le64(entry + 8, count * 10 + i);
            memset(entry + 16, (int)(count + i), 32);
            bytes_put_le64(entry + 48, count * 100);
            memset(entry + 56, (int)(0x80 + i), 32);
            bytes_put_le64(entry + 88, count * 99);
        }
        SHA256_PREFIXED(chain, HASH_CURSORS, {chain, 32}, {entries, 96 * count});
        gen_set_hex(object, "entries", entries, 96 * count);
        gen_set_hex(object, "cursors_hash", chain, 32);
    }
}

/* D-26: a coordinator with an unfinished slice and items that wait, a shard with an answer that waits. */
static void gen_work(json_t *out) {
    struct world *world = world_create(1, 1);
    json_t *list = gen_group(out, "work");
    struct operation op = op_put("key", "value"), get = op_get("key", 10);
    struct world_part part = {.kind = BATCH_WRITE, .floor = 1, .op_count = 1, .ops = &op};
    for (part.number = 1; part.number <= 4; part.number++) {
        world_send(world, 0, 0, &part, NULL);
        if (part.number == 3) world_send(world, 0, 1, &(struct world_part){.kind = BATCH_READ, .op_count = 1, .ops = &get}, NULL);
        if (part.number != 3) world_block(world, world_coordinator(world, 0), 1);
        if (part.number == 2) world_block(world, world_coordinator(world, 0), 20);
    }
    world_block(world, world_shard(world, 0), 1);
    world_consumed(world_coordinator(world, 0));
    for (uint32_t i = 0; i < 2; i++) {
        static uint8_t work[65536];
        uint8_t root[32];
        size_t bytes;
        struct world_cluster *cluster = &world->clusters[i];
        CHECK(executor_save(cluster->ex, work, sizeof work, &bytes, root) == EXEC_VALID);
        json_t *object = gen_case(list, i == 0 ? "coordinator" : "shard");
        gen_state(object, cluster->ex);
        gen_set_hex(object, "state_root", root, 32);
        gen_set_hex(object, "work", work, bytes);
    }
    world_destroy(world);
}

/* Compact decisions, good and spoilt. */

static void decision_case(json_t *list, const char *name, const struct decider *decider, const uint8_t *bytes, size_t count,
    enum decision_error expected,
                          const char *says) {
    struct decision decision;
    struct signer signer = signer_ed25519(NULL);
    enum bft_verify_error cause = BFT_VERIFY_OK;
    enum decision_error error = decision_decode(bytes, count, &decision);
    if (error == DECISION_OK) error = decision_verify(&decision, &decider->members, &signer, &cause);
    if (error != expected) fprintf(stderr, "gen_decisions: %s: %s\n", name, decision_error_name(error));
    CHECK(error == expected && strcmp(decision_error_name(error), says) == 0);
    json_t *object = gen_case(list, name);
    gen_set_hex(object, "bytes", bytes, count);
    gen_set_text(object, "error", says);
    if (error == DECISION_UNPROVED) gen_set_text(object, "cause", bft_verify_error_name(cause));
}

struct spoilt_how {
    const char *name;
    struct decided_how how;
    enum decision_error error;
    const char *says;
};

struct spoilt_byte {
    const char *name;
    bool from_end; /* `at` counts from the leaf's first byte */
    size_t at;
    uint8_t flip;
    int more;
    enum decision_error error;
    const char *says;
};

static void decisions_of(json_t *out, uint32_t n) {
    static struct decider decider, liar;
    char name[32];
    snprintf(name, sizeof name, "n = %u", n);
    json_t *object = gen_case(out, name), *list = gen_group(object, "decisions"), *members = gen_group(object, "signing_keys");
    decider_init(&decider, 40 + n, SHARD_CLUSTER_BASE, n);
    decider_init(&liar, 90 + n, SHARD_CLUSTER_BASE, n);
    for (uint32_t i = 0; i < n; i++) {
        json_t *row = json_object();
        CHECK(json_array_append_new(members, row) == 0);
        gen_set_hex(row, "key", decider.members.keys[i], 32);
    }
    gen_set_hex(object, "system_id", decider.members.place.system_id, 16);
    gen_set_hex(object, "config_hash", decider.members.place.config_hash.bytes, 32);
    gen_set_u64(object, "cluster", decider.members.place.cluster);
    uint8_t slice[20];
    slice_head_encode(slice, 0, 5);
    memset(slice + 16, 1, 4);
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .destination = COORDINATOR_CLUSTER_BASE, .dseq = 4};
    uint32_t q = decider.members.q;
    const struct spoilt_how hows[] = {
        {"good", {0}, DECISION_OK, "ok"},
        {"other signers", {.first_signer = n - q}, DECISION_OK, "ok"},
        {"the QC is on a descendant", {.headers = 3}, DECISION_OK, "ok"},
        {"q - 1 signatures", {.signers = q - 1}, DECISION_UNPROVED, "unproved"},
        {"a prepare QC", {.prepare = true}, DECISION_UNPROVED, "unproved"},
        {"signed by others", {.forger = &liar}, DECISION_UNPROVED, "unproved"},
    };
    for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++) {
        size_t count;
        uint8_t *bytes = decided_make(&decider, &hows[i].how, &leaf, 2, 5, slice, sizeof slice, &count);
        decision_case(list, hows[i].name, &decider, bytes, count, hows[i].error, hows[i].says);
        free(bytes);
    }
    static const struct spoilt_byte flips[] = {
        {"a byte less", false, 0, 0, -1, DECISION_TRUNCATED, "truncated"},
        {"a byte of the slice", true, LEAF_BYTES + 3, 1, 0, DECISION_WRONG_SLICE, "wrong_slice"},
        {"a byte of the leaf's slice hash", true, 100, 1, 0, DECISION_WRONG_LEAF, "wrong_leaf"},
        {"another height in the leaf", true, 28, 1, 0, DECISION_WRONG_LEAF, "wrong_leaf"},
        {"another destination", true, 8, 1, 0, DECISION_WRONG_LEAF, "wrong_leaf"},
        {"the leaf's kind", true, 0, 1, 0, DECISION_BAD_LEAF, "bad_leaf"},
        {"a hash of the path", true, (size_t)-5, 1, 0, DECISION_WRONG_LEAF, "wrong_leaf"},
    };
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        size_t count;
        struct decided_how how = {0};
        uint8_t *bytes = decided_make(&decider, &how, &leaf, 2, 5, slice, sizeof slice, &count);
        size_t leaf_at = count - sizeof slice - LEAF_BYTES;
        if (flips[i].flip) bytes[flips[i].from_end ? leaf_at + flips[i].at : flips[i].at] ^= flips[i].flip;
        decision_case(list, flips[i].name, &decider, bytes, (size_t)((long)count + flips[i].more), flips[i].error, flips[i].says);
        free(bytes);
    }
}

void gen_decisions(json_t *out) {
    gen_bodies(out);
    gen_body_inputs(out);
    gen_leaves(out);
    gen_state_leaves(out);
    gen_slices(out);
    gen_client_slices(out);
    gen_long_values(json_object_get(out, "slices"), json_object_get(out, "client_slices"));
    gen_pending(out);
    gen_cursors(out);
    gen_work(out);
    json_t *decisions = gen_group(out, "compact_decisions"), *whole = gen_group(out, "whole");
    for (uint32_t n = 4; n <= 7; n++) {
        decisions_of(decisions, n);
        gen_whole(whole, n);
    }
}
