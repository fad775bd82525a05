/* What a lying leader or relay can do to the pool of inputs: references of the wrong kind, of no relay, to old slices; floods of tiny batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/replica/replica_batch.h"
#include "appliance/replica/replica_private.h"
#include "tests/appliance/replica_world.h"

enum { HEAD = 4, LIAR = 3, FILL_BLOCKS = 200 };

static const struct replica_peer liar = {.kind = REPLICA_MEMBER, .member = LIAR};

/* A block of these references at this replica, as HOLD makes it. */
static uint32_t block_of(struct replica *r, const struct body_reference *references, uint32_t count) {
    static uint32_t number;
    struct bft_header header = {.place = r->members.place, .height = r->tip_height + 1, .parent_id = r->tip_id};
    struct bft_hash id = {{0}};
    struct blob *body = blob_make(BODY_HEAD_BYTES + (size_t)count * BODY_REFERENCE_BYTES);
    bytes_put_le32(body->bytes, count);
    for (uint32_t i = 0; i < count; i++) body_reference_encode(&references[i], body->bytes + BODY_HEAD_BYTES + (size_t)i * BODY_REFERENCE_BYTES);
    bytes_put_le32(id.bytes, ++number);
    uint32_t index = block_make(r, &header, &id, (struct blob_piece){.blob = body, .count = body->count});
    blob_drop(body);
    return index;
}

/* INPUT with reads that nobody asked for; its batch_id. */
static uint8_t *reads_input(struct replica_world *rw, uint32_t ops, uint32_t *count, uint8_t id[32]) {
    static struct operation gets[1024];
    uint8_t digest[32];
    uint32_t bytes;
    for (uint32_t i = 0; i < ops; i++) gets[i] = op_get("k", 10);
    uint8_t *batch = rw_batch(rw, BATCH_READ, 0, gets, ops, &bytes, digest), *input = calloc(1, HEAD + bytes);
    struct batch_limits limits = {.shards = 1, .batch_bytes_max = 65536, .batch_parts_max = 1, .batch_ops_max = 1024};
    struct batch decoded;
    memcpy(batch + 8, rw->world->clients[1].card.id, 32); /* its answers go to nobody */
    CHECK(input != NULL && batch_decode(batch, bytes, &limits, &decoded) == BATCH_OK);
    batch_id(&decoded, id);
    input[0] = BODY_BATCH;
    input[1] = LIAR;
    memcpy(input + HEAD, batch, bytes);
    free(batch);
    *count = HEAD + bytes;
    return input;
}

static uint8_t *read_input(struct replica_world *rw, uint32_t *count, uint8_t id[32]) {
    return reads_input(rw, 1, count, id);
}

static struct body_reference slice_named(const uint8_t hash[32]) {
    struct body_reference reference = {.kind = BODY_SLICE, .source = SHARD_CLUSTER_BASE, .dseq = 1};
    memcpy(reference.hash, hash, 32);
    return reference;
}

static void service_goes_on(struct replica_world *rw) {
    struct operation put = op_put("k", "v");
    const struct client_item *item = rw_ask(rw, BATCH_WRITE, 1, &put, 1, 20000);
    assert_non_null(item);
    assert_int_equal(item->code, CODE_OK);
    for (uint32_t i = 0; i < RW_NODES; i++) assert_int_equal(rw->nodes[i].stopped, 0);
}

static void a_reference_of_another_kind_than_a_held_input_makes_the_block_invalid(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(1);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    uint8_t id[32];
    uint32_t bytes;
    uint8_t *input = read_input(rw, &bytes, id);
    rw_inject(rw, liar, 0, MESSAGE_INPUT, input, bytes);
    uint32_t held = input_find(r, id);
    assert_int_not_equal(held, NONE);
    uint32_t before = r->inputs[held].in_blocks;
    struct body_reference references[] = {slice_named((const uint8_t[32]){1}), slice_named(id)};
    uint32_t index = block_of(r, references, 2);
    assert_true(r->blocks[index].body_bad);
    assert_int_equal(r->blocks[index].ref_count, 0);
    assert_int_equal(r->blocks[index].missing, 0);
    assert_int_equal(r->inputs[held].in_blocks, before);
    assert_int_equal(r->wanted_count, 0);
    assert_int_equal(r->unplaced_count, 0);
    block_free(r, index);
    free(input);
    service_goes_on(rw);
    rw_destroy(rw);
}

static void a_reference_to_a_relay_that_is_no_member_makes_the_block_invalid(void **state) {
    (void)state;
    static const uint8_t kinds[] = {BODY_BATCH, BODY_ADMIN, BODY_NOOP}, relays[] = {RW_CLUSTER, BFT_MEMBERS_MAX, 255};
    struct replica_world *rw = rw_create(2);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    for (uint32_t i = 0; i < 9; i++) {
        struct body_reference reference = {.kind = kinds[i / 3], .relay = relays[i % 3]};
        if (reference.kind != BODY_NOOP) memset(reference.hash, 7, 32);
        uint32_t index = block_of(r, &reference, 1);
        assert_true(r->blocks[index].body_bad);
        assert_int_equal(r->wanted_count, 0);
        block_free(r, index);
    }
    rw_destroy(rw);
}

static void an_input_that_comes_for_a_reference_of_another_kind_is_held_as_what_it_is(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(3);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    uint8_t id[32];
    uint32_t bytes;
    uint8_t *input = read_input(rw, &bytes, id);
    struct body_reference wrong = slice_named(id), right = {.kind = BODY_BATCH, .relay = LIAR};
    memcpy(right.hash, id, 32);
    uint32_t bad = block_of(r, &wrong, 1), good = block_of(r, &right, 1);
    assert_int_equal(r->blocks[bad].missing, 1);
    assert_int_equal(r->blocks[good].missing, 1);
    assert_int_equal(r->wanted_count, 1);
    rw_inject(rw, liar, 0, MESSAGE_INPUT, input, bytes);
    assert_true(r->blocks[bad].body_bad);
    assert_false(r->blocks[good].body_bad);
    assert_int_equal(r->blocks[good].missing, 0);
    uint32_t held = input_find(r, id);
    assert_int_not_equal(held, NONE);
    assert_int_equal(r->inputs[held].kind, BODY_BATCH);
    assert_int_equal(r->inputs[held].state, INPUT_HELD);
    assert_int_equal(r->waiting[LIAR].count, 1);
    block_free(r, bad);
    block_free(r, good);
    assert_int_equal(input_find(r, id), held); /* still to be proposed */
    rw_run(rw, 500);
    assert_int_equal(r->waiting[LIAR].count, 0);
    free(input);
    service_goes_on(rw);
    rw_destroy(rw);
}

static void a_flood_of_tiny_batches_takes_only_its_relays_places(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(4);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    uint32_t most = relay_inputs_max(r);
    assert_int_equal(most, INPUTS_MAX / 2 / RW_CLUSTER);
    for (uint32_t i = 0; i < most + 200; i++) {
        uint8_t id[32];
        uint32_t bytes;
        uint8_t *input = read_input(rw, &bytes, id);
        struct blob *blob = blob_copy(input, bytes);
        replica_frame(r, liar, MESSAGE_INPUT, (struct blob_piece){.blob = blob, .count = bytes});
        blob_drop(blob);
        free(input);
    }
    assert_true(r->waiting[LIAR].count <= most);
    assert_true(r->status.drops[DROP_INPUT_LIMIT] > 0);
    rw_run(rw, 2000);
    service_goes_on(rw);
    rw_destroy(rw);
}

/* One more read than is kept of the liar, at this node, and nothing done with them meanwhile. */
static void flood(struct replica_world *rw, struct replica *r) {
    uint64_t before = r->status.drops[DROP_INPUT_LIMIT];
    for (uint32_t i = 0; r->status.drops[DROP_INPUT_LIMIT] == before; i++) {
        uint8_t id[32];
        uint32_t bytes;
        uint8_t *input = read_input(rw, &bytes, id);
        struct blob *blob = blob_copy(input, bytes);
        assert_true(i <= relay_inputs_max(r));
        replica_frame(r, liar, MESSAGE_INPUT, (struct blob_piece){.blob = blob, .count = bytes});
        blob_drop(blob);
        free(input);
    }
}

/* Nobody signed them: the leader does without what a flood left, and without more of it for a while. Others' reads, and what is signed, stay. */
static void a_leader_forgets_the_reads_of_a_flood(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(7);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    uint8_t id[32], digest[32];
    uint32_t bytes;
    struct operation put = op_put("signed", "v");
    uint8_t *batch = rw_batch(rw, BATCH_WRITE, 2, &put, 1, &bytes, digest);
    struct blob *written = blob_make(HEAD + bytes);
    memcpy(written->bytes, (const uint8_t[HEAD]){BODY_BATCH, LIAR}, HEAD);
    memcpy(written->bytes + HEAD, batch, bytes);
    free(batch);
    uint32_t of_another;
    uint8_t *read = read_input(rw, &of_another, id);
    read[1] = 1;
    struct blob *other = blob_copy(read, of_another);
    free(read);
    replica_frame(r, liar, MESSAGE_INPUT, (struct blob_piece){.blob = written, .count = written->count});
    replica_frame(r, peer_member(1), MESSAGE_INPUT, (struct blob_piece){.blob = other, .count = other->count});
    blob_drop(written);
    blob_drop(other);
    flood(rw, r);
    assert_int_equal(r->waiting[1].count, 1);
    uint32_t left = 0, signed_left = 0;
    for (uint32_t index = r->waiting[LIAR].first; index != NONE; index = r->inputs[index].list_next) {
        left += r->inputs[index].in_blocks == 0 && !r->inputs[index].is_signed;
        signed_left += r->inputs[index].is_signed;
    }
    assert_int_equal(left, 0);
    assert_int_equal(signed_left, 1);
    assert_int_equal(relay_places(r, LIAR), 0);
    assert_int_equal(relay_places(r, 1), UINT32_MAX);
    uint32_t count = r->waiting[LIAR].count;
    for (uint32_t i = 0; i < 50; i++) flood(rw, r); /* in the pause they are dropped as they come */
    assert_int_equal(r->unspread[LIAR].pause_ms, FLOOD_MS_MIN);
    assert_int_equal(r->waiting[LIAR].count, count);
    rw_run(rw, 500);
    assert_int_equal(r->waiting[1].count, 0); /* decided, and so is what was signed */
    assert_int_equal(r->waiting[LIAR].count, 0);
    rw_run(rw, FLOOD_MS_MIN);
    assert_int_equal(relay_places(r, LIAR), UNSPREAD_PLACES); /* it behaved: a few */
    service_goes_on(rw);
    rw_destroy(rw);
}

static void read_inject(struct replica *r, uint8_t *input, uint32_t bytes, uint8_t relay) {
    input[1] = relay;
    struct blob *blob = blob_copy(input, bytes);
    replica_frame(r, peer_member(relay), MESSAGE_INPUT, (struct blob_piece){.blob = blob, .count = bytes});
    blob_drop(blob);
}

/* Its client has asked another node, which counts it against the leader from then on. */
static void a_read_of_a_relay_that_is_left_out_is_taken_from_another_one(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(10);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    uint8_t id[2][32];
    uint32_t bytes[2], index[2];
    uint8_t *input[2] = {read_input(rw, &bytes[0], id[0]), read_input(rw, &bytes[1], id[1])};
    read_inject(r, input[0], bytes[0], 1);
    read_inject(r, input[0], bytes[0], 2); /* of a relay that is not left out nothing is taken over */
    index[0] = input_find(r, id[0]);
    assert_int_equal(r->inputs[index[0]].relay, 1);
    r->unspread[LIAR].until_ms = r->now_ms + 1000; /* for whatever reason */
    r->unspread[LIAR].pause_ms = 1000;
    read_inject(r, input[1], bytes[1], LIAR);
    rw_run(rw, 200);
    index[1] = input_find(r, id[1]);
    assert_int_equal(r->inputs[index[1]].state, INPUT_HELD);
    assert_int_equal(r->inputs[index[1]].relay, LIAR);
    read_inject(r, input[1], bytes[1], 2);
    assert_int_equal(r->inputs[index[1]].relay, 2);
    rw_run(rw, 300);
    assert_int_equal(relay_places(r, LIAR), 0);
    assert_int_equal(r->inputs[index[1]].state, INPUT_DONE);
    assert_int_equal(r->waiting[2].count, 0);
    free(input[0]);
    free(input[1]);
    service_goes_on(rw);
    rw_destroy(rw);
}

/* A leader that lies names made-up reads as an honest relay's, and brings them: that takes none of the relay's room, and goes with the block. */
static void what_a_block_names_of_a_relay_takes_nothing_of_its_room(void **state) {
    (void)state;
    enum { NAMED = 50, HONEST = 1 };
    struct replica_world *rw = rw_create(11);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    struct body_reference references[NAMED];
    uint8_t *input[NAMED], id[32];
    uint32_t bytes[NAMED], own_bytes;
    for (uint32_t i = 0; i < NAMED; i++) {
        references[i] = (struct body_reference){.kind = BODY_BATCH, .relay = HONEST};
        input[i] = read_input(rw, &bytes[i], references[i].hash);
        input[i][1] = HONEST;
    }
    uint32_t block = block_of(r, references, NAMED);
    for (uint32_t i = 0; i < NAMED; i++) {
        struct blob *blob = blob_copy(input[i], bytes[i]);
        replica_frame(r, liar, MESSAGE_INPUT, (struct blob_piece){.blob = blob, .count = bytes[i]});
        blob_drop(blob);
    }
    assert_int_equal(r->blocks[block].missing, 0);
    assert_int_equal(r->waiting[HONEST].count, NAMED);
    assert_int_equal(r->named_count[HONEST], NAMED);
    assert_int_equal(r->named_bytes[HONEST], r->relay_bytes[HONEST]);
    uint32_t room = (uint32_t)r->config.limits.relay_bytes_max;
    assert_false(relay_is_full(r, HONEST, room, 1));
    uint8_t *own = read_input(rw, &own_bytes, id);
    read_inject(r, own, own_bytes, HONEST);
    assert_true(relay_is_full(r, HONEST, room, 1));
    read_inject(r, input[0], bytes[0], HONEST); /* one of them is its own: it counts from now on, and stays */
    assert_int_equal(r->named_count[HONEST], NAMED - 1);
    block_free(r, block);
    assert_int_equal(r->named_count[HONEST], 0);
    assert_int_equal(r->named_bytes[HONEST], 0);
    assert_int_equal(r->waiting[HONEST].count, 2);
    assert_int_not_equal(input_find(r, references[0].hash), NONE);
    assert_int_equal(input_find(r, references[1].hash), NONE);
    for (uint32_t i = 0; i < NAMED; i++) free(input[i]);
    free(own);
    service_goes_on(rw);
    rw_destroy(rw);
}

/* The leader may be about to name them: who forgets them then has to fetch them. */
static void another_member_forgets_old_ones_alone(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(8);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[2].replica;
    flood(rw, r);
    assert_int_equal(r->waiting[LIAR].count, relay_inputs_max(r));
    assert_int_equal(relay_places(r, LIAR), UINT32_MAX); /* nor does it leave out any, should it lead soon: it may be the one that lags */
    rw_run(rw, READ_STALE_MS / 2);
    flood(rw, r);
    assert_int_equal(r->waiting[LIAR].count, relay_inputs_max(r));
    rw_run(rw, READ_STALE_MS);
    flood(rw, r);
    assert_true(r->waiting[LIAR].count < 100);
    service_goes_on(rw);
    rw_destroy(rw);
}

/* The liar's batches are forty times as long: by turns of batches it would have nearly all of a block. */
static void long_batches_do_not_crowd_out_short_ones(void **state) {
    (void)state;
    enum { LONG = 60, SHORT = 200, LONG_OPS = 1000, SHORT_OPS = 25 };
    struct replica_world *rw = rw_create(9);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    static uint8_t ids[SHORT][32];
    uint8_t id[32];
    uint32_t bytes;
    for (uint32_t i = 0; i < LONG + SHORT; i++) {
        bool is_long = i < LONG;
        uint8_t *input = reads_input(rw, is_long ? LONG_OPS : SHORT_OPS, &bytes, is_long ? id : ids[i - LONG]);
        input[1] = is_long ? LIAR : 1;
        struct blob *blob = blob_copy(input, bytes);
        replica_frame(r, peer_member(input[1]), MESSAGE_INPUT, (struct blob_piece){.blob = blob, .count = bytes});
        blob_drop(blob);
        free(input);
    }
    uint32_t turns = 0;
    for (; turns < 400 && r->waiting[1].count > 0; turns++) rw_run(rw, 5);
    assert_int_equal(r->waiting[1].count, 0);
    assert_true(r->waiting[LIAR].count > LONG / 3); /* much of it waits, when all of the other's is decided */
    service_goes_on(rw);
    rw_destroy(rw);
}

/* A block's references are scarce too: by operations and bytes alone nearly all would go to one that brings an operation at a time. */
static void tiny_batches_do_not_crowd_out_larger_ones(void **state) {
    (void)state;
    const struct system_limits limits = {.block_refs_max = 1024};
    uint64_t tiny = flow_batch_cost(&limits, 1, 100), larger = flow_batch_cost(&limits, 256, 10240);
    assert_true(larger < 13 * tiny);
    assert_true(flow_batch_cost(&limits, 1000, 40000) > 20 * tiny);
}

static void reads_inject(struct replica_world *rw, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint8_t id[32];
        uint32_t bytes;
        uint8_t *input = read_input(rw, &bytes, id);
        rw_inject(rw, liar, 0, MESSAGE_INPUT, input, bytes);
        free(input);
    }
}

/* What it gives to the leader alone all others must fetch, and it does not answer them: the leader does without its reads for a while. */
static void reads_that_their_relay_does_not_hand_on_are_left_out(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(5);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    assert_int_equal(relay_places(r, LIAR), UINT32_MAX);
    reads_inject(rw, 100);
    for (uint32_t i = 0; i < 100 && relay_places(r, LIAR) != 0; i++) rw_run(rw, 20);
    assert_int_equal(relay_places(r, LIAR), 0);
    assert_true(r->status.attacks[ATTACK_FLOOD] > 0);
    assert_string_equal(r->status.attackers[0].peer, "member 3");
    rw_run(rw, 200);
    uint32_t left = r->waiting[LIAR].count;
    reads_inject(rw, 10);
    service_goes_on(rw);
    assert_int_equal(relay_places(r, LIAR), 0);
    assert_int_equal(r->waiting[LIAR].count, left + 10); /* none of them is in a block */
    rw_run(rw, UNSPREAD_MS_MIN - 200); /* over, and not so long that what is taken again was asked for in vain */
    assert_int_equal(relay_places(r, LIAR), UNSPREAD_PLACES);
    assert_int_equal(relay_places(r, 1), UINT32_MAX);
    assert_int_equal(r->core->memory.view, 0); /* it cost the leader nothing */
    rw_destroy(rw);
}

/* One member that asks again and again, and lies, silences nobody. */
static void and_f_members_alone_cannot_have_them_left_out(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(6);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    uint8_t id[32], question[36] = {BODY_BATCH};
    uint32_t bytes;
    uint8_t *input = read_input(rw, &bytes, id);
    input[1] = 1; /* relay 1, which is honest; member 3 asks for it */
    rw_inject(rw, peer_member(1), 0, MESSAGE_INPUT, input, bytes);
    uint32_t held = input_find(r, id);
    assert_int_not_equal(held, NONE);
    memcpy(question + 4, id, 32);
    r->inputs[held].in_blocks++; /* as in a block that is under way */
    for (uint32_t i = 0; i < 20; i++) rw_inject(rw, liar, 0, MESSAGE_INPUT_FETCH, question, sizeof question);
    assert_int_equal(relay_places(r, 1), UINT32_MAX);
    rw_inject(rw, peer_member(2), 0, MESSAGE_INPUT_FETCH, question, sizeof question);
    assert_int_equal(relay_places(r, 1), 0); /* two of four: one of them is honest */
    r->inputs[held].in_blocks--;
    free(input);
    rw_destroy(rw);
}

/* Blocks that name what nobody has, until the pool is full; the last of them has references without a place. */
static uint32_t pool_fill(struct replica *r, uint32_t *blocks) {
    static struct body_reference references[1024];
    uint32_t count = 0;
    while (r->unplaced_count == 0) {
        CHECK(count < FILL_BLOCKS);
        for (uint32_t i = 0; i < 1024; i++) {
            references[i] = (struct body_reference){.kind = BODY_BATCH, .relay = LIAR};
            memset(references[i].hash, 0xEE, 32);
            bytes_put_le32(references[i].hash, count * 1024 + i);
        }
        blocks[count] = block_of(r, references, 1024);
        count++;
    }
    return count;
}

static void references_for_which_the_pool_had_no_room_find_it_later(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(5);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    uint8_t id[32];
    uint32_t bytes, blocks[FILL_BLOCKS];
    uint8_t *input = read_input(rw, &bytes, id);
    struct blob *blob = blob_copy(input, bytes);
    replica_frame(r, liar, MESSAGE_INPUT, (struct blob_piece){.blob = blob, .count = bytes});
    assert_int_not_equal(input_find(r, id), NONE);
    uint32_t count = pool_fill(r, blocks), last = blocks[count - 1], unplaced = r->blocks[last].unplaced;
    assert_int_equal(input_find(r, id), NONE); /* a read of another relay that nobody signed makes way */
    assert_true(unplaced > 0 && unplaced <= 1024);
    assert_int_equal(r->blocks[last].missing, 1024);
    assert_int_equal(r->unplaced_count, unplaced);
    block_free(r, blocks[0]);
    rw_run(rw, 3 * TICK_MS);
    assert_int_equal(r->blocks[last].unplaced, 0);
    assert_int_equal(r->blocks[last].missing, 1024);
    assert_int_equal(r->unplaced_count, 0);
    for (uint32_t i = 1; i < count; i++) block_free(r, blocks[i]);
    assert_int_equal(r->wanted_count, 0);
    blob_drop(blob);
    free(input);
    service_goes_on(rw);
    rw_destroy(rw);
}

static void an_old_slice_fetched_for_a_block_leaves_the_window_alone(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(6);
    rw_run(rw, 200);
    service_goes_on(rw);
    rw_run(rw, 500);
    struct replica *r = rw->nodes[0].replica;
    struct pair *pair = pair_find(r, SHARD_CLUSTER_BASE);
    uint32_t old = r->done.first;
    while (old != NONE && (r->inputs[old].kind != BODY_SLICE || r->inputs[old].blob == NULL || r->inputs[old].in_blocks > 0))
        old = r->inputs[old].list_next;
    assert_int_not_equal(old, NONE);
    uint64_t dseq = r->inputs[old].dseq;
    assert_true(dseq <= pair->consumed_final);
    uint8_t hash[32];
    memcpy(hash, r->inputs[old].hash, 32);
    size_t bytes = HEAD + r->inputs[old].count;
    uint8_t *input = calloc(1, bytes);
    assert_non_null(input);
    input[0] = BODY_SLICE;
    memcpy(input + HEAD, r->inputs[old].blob->bytes + r->inputs[old].offset, bytes - HEAD);
    input_free(r, old);
    /* The live slice whose place in the window is the same. */
    uint32_t *slot = &pair->window[dseq % SOURCE_WINDOW], live = input_make(r, BODY_SLICE, (const uint8_t[32]){9});
    assert_int_equal(*slot, NONE);
    r->inputs[live].source = pair->cluster;
    r->inputs[live].dseq = dseq + SOURCE_WINDOW;
    *slot = live;
    struct body_reference reference = slice_named(hash);
    reference.dseq = dseq;
    uint32_t index = block_of(r, &reference, 1);
    assert_int_equal(r->blocks[index].missing, 1);
    struct blob *blob = blob_copy(input, bytes);
    replica_frame(r, liar, MESSAGE_INPUT, (struct blob_piece){.blob = blob, .count = bytes});
    assert_int_equal(r->blocks[index].missing, 0);
    assert_false(r->blocks[index].body_bad);
    assert_int_equal(*slot, live);
    block_free(r, index);
    assert_int_equal(input_find(r, hash), NONE); /* of no use to anybody */
    *slot = NONE;
    input_free(r, live);
    blob_drop(blob);
    free(input);
    rw_destroy(rw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reference_of_another_kind_than_a_held_input_makes_the_block_invalid),
        cmocka_unit_test(a_reference_to_a_relay_that_is_no_member_makes_the_block_invalid),
        cmocka_unit_test(an_input_that_comes_for_a_reference_of_another_kind_is_held_as_what_it_is),
        cmocka_unit_test(a_flood_of_tiny_batches_takes_only_its_relays_places),
        cmocka_unit_test(a_leader_forgets_the_reads_of_a_flood),
        cmocka_unit_test(a_read_of_a_relay_that_is_left_out_is_taken_from_another_one),
        cmocka_unit_test(what_a_block_names_of_a_relay_takes_nothing_of_its_room),
        cmocka_unit_test(another_member_forgets_old_ones_alone),
        cmocka_unit_test(long_batches_do_not_crowd_out_short_ones),
        cmocka_unit_test(tiny_batches_do_not_crowd_out_larger_ones),
        cmocka_unit_test(reads_that_their_relay_does_not_hand_on_are_left_out),
        cmocka_unit_test(and_f_members_alone_cannot_have_them_left_out),
        cmocka_unit_test(references_for_which_the_pool_had_no_room_find_it_later),
        cmocka_unit_test(an_old_slice_fetched_for_a_block_leaves_the_window_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
