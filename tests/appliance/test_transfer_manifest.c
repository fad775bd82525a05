/* A manifest of more items than are shown (P-42): it comes short, and its bytes are asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "merkle/trie.h"
#include "protocol/checkpoint.h"
#include "protocol/slice.h"
#include "tests/appliance/transfer_world.h"

enum { LISTS = 6000, LIST_BYTES = 76, PAIR = 0x00010000, MESSAGE_CHECKPOINT = 0x010E, MESSAGE_PIECE = 0x0110, MANIFEST_AT = 16 + 4 };

static void list_make(uint32_t number, uint8_t list[LIST_BYTES]) {
    memset(list, 0, LIST_BYTES);
    memcpy(list, &number, sizeof number);
}

static void system_record_put(struct tw_state *state, const uint8_t *key, uint16_t key_bytes, const uint8_t *value, uint32_t value_bytes) {
    struct state_write write = {
        .key = key, .value = value, .key_bytes = key_bytes, .value_bytes = value_bytes, .version = {.height = 1}, .space = TRIE_SPACE_SYSTEM};
    tw_state_put(state, &write);
}

/* A queue with so many slices whose answers are awaited: their routing lists are items of the manifest (P-33), and lie in `work` (D-26). */
static void lists_fill(struct tw_state *state) {
    static uint8_t work[32 + LISTS * (16 + LIST_BYTES)];
    static const uint8_t queue[192];
    uint8_t key[13] = {'q'}, list[LIST_BYTES], hash[32];
    struct bytes_writer writer = bytes_writer_of(work, sizeof work);
    bytes_put_le32(key + 1, PAIR);
    system_record_put(state, key, 5, queue, sizeof queue);
    bytes_put_u32(&writer, 1);
    bytes_put_u32(&writer, 1);
    bytes_put_u32(&writer, PAIR);
    bytes_put_u32(&writer, LISTS);
    bytes_put_u64(&writer, 0);
    bytes_put_u64(&writer, 0);
    key[0] = 'u';
    for (uint32_t i = 1; i <= LISTS; i++) {
        list_make(i, list);
        routing_hash(list, sizeof list, hash);
        bytes_put_le64(key + 5, i);
        system_record_put(state, key, sizeof key, hash, sizeof hash);
        bytes_put_u64(&writer, i);
        bytes_put_u32(&writer, LIST_BYTES);
        bytes_put_u32(&writer, 0);
        bytes_put_raw(&writer, list, sizeof list);
    }
    CHECK(!writer.failed && writer.used == sizeof work);
    tw_blob_put(state, "work", work, writer.used);
    tw_blob_put(state, "queues", work, 0);
}

static void world_with_lists(void) {
    tw_world_open();
    tw_state_fill(&tw.states[0], 2000, 200);
    lists_fill(&tw.states[0]);
    tw_state_certify(0);
    tw_state_serve(0);
    tw_node_open(TW_TAKER);
}

/* What is under way to the taker of this type. */
static struct blob *mail_of(uint16_t type, uint8_t from) {
    for (uint32_t i = 0; i < tw.mail_count; i++) {
        if (tw.mail[i].type == type && tw.mail[i].from == from && tw.mail[i].to == TW_TAKER) return tw.mail[i].blob;
    }
    return NULL;
}

static void work_is_whole(void) {
    for (uint32_t i = 0; i < tw.taken.blob_count; i++) {
        if (strcmp(tw.taken.blobs[i].name, "work") != 0) continue;
        assert_int_equal(tw.taken.blobs[i].count, tw.states[0].blobs[0].count);
        assert_memory_equal(tw.taken.blobs[i].bytes, tw.states[0].blobs[0].bytes, tw.taken.blobs[i].count);
        return;
    }
    fail();
}

static void a_manifest_of_many_items_is_shown_short_and_taken_whole(void **state) {
    (void)state;
    world_with_lists();
    bool seen = false;
    for (uint32_t i = 0; i < 6000 && !tw.done; i++) {
        tw_step();
        struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
        uint64_t nonce;
        uint16_t count;
        struct blob *blob = mail_of(MESSAGE_CHECKPOINT, 1);
        if (blob == NULL) continue;
        assert_true(blob->count <= CHECKPOINT_MESSAGE_BYTES_MAX);
        assert_int_equal(checkpoint_message_decode(blob->bytes, blob->count, &nonce, shown, &count), CHECKPOINT_OK);
        if (count == 0) continue; /* not indexed yet */
        assert_true(count == 1 && !shown[0].whole && shown[0].manifest.item_count == LISTS);
        seen = true;
    }
    assert_true(seen && tw.done);
    tw_taken_is(0);
    work_is_whole();
    assert_int_equal(tw.bad_count, 0);
    tw_world_close();
}

/* Member 0 gives nothing, so the others are asked what they have: the newest, and still the one that is taken. */
static void one_that_is_shown_short_is_not_left_for_a_newer_one(void **state) {
    (void)state;
    struct transfer_status status = {.height = 0};
    world_with_lists();
    tw_state_copy(0, 1);
    tw_key_put(&tw.states[1], "new", 3, 20, 2);
    tw_blob_put(&tw.states[1], "work", tw.states[0].blobs[0].bytes, tw.states[0].blobs[0].count);
    tw_blob_put(&tw.states[1], "queues", (const uint8_t *)"", 0);
    tw_state_certify(1);
    tw.silent = true;
    for (uint32_t i = 0; i < 6000 && status.height == 0; i++) {
        tw_step();
        transfer_status(tw.nodes[TW_TAKER], &status);
    }
    tw_state_serve(1);
    struct checkpoint_query query = {.nonce = 9};
    uint8_t bytes[CHECKPOINT_QUERY_BYTES];
    checkpoint_query_encode(&query, bytes);
    for (uint32_t i = 0; i < 20000 && !tw.done; i++) {
        for (uint8_t k = 0; k < TW_TAKER && i < 100; k++) (void)transfer_frame(tw.nodes[k], TRANSFER_CLIENT, 0x010D, bytes, sizeof bytes, true);
        tw_step();
        transfer_status(tw.nodes[TW_TAKER], &status);
        assert_true(tw.done || status.height == TW_K);
    }
    assert_true(tw.done);
    tw_taken_is(0);
    tw_world_close();
}

static void after_a_crash_it_is_not_asked_for_again(void **state) {
    (void)state;
    world_with_lists();
    for (uint32_t i = 0; i < 2000 && tw.commits == 0; i++) tw_step();
    assert_true(tw.commits > 0 && !tw.done);
    transfer_destroy(tw.nodes[TW_TAKER]);
    tw_node_open(TW_TAKER);
    for (uint32_t i = 0; i < 6000 && !tw.done; i++) {
        tw_step();
        for (uint8_t from = 0; from < TW_TAKER; from++) {
            const struct blob *blob = mail_of(MESSAGE_PIECE, from);
            assert_true(blob == NULL || blob->bytes[40] != CHECKPOINT_MANIFEST_OF);
        }
    }
    assert_true(tw.done);
    tw_taken_is(0);
    work_is_whole();
    tw_world_close();
}

/* Its bytes come from member 0, and are not what gives the hash. */
static void bytes_that_do_not_give_the_hash_name_who_sent_them(void **state) {
    (void)state;
    world_with_lists();
    for (uint32_t i = 0; i < 8000 && !tw.done; i++) {
        tw_step();
        for (uint32_t k = 0; k < tw.mail_count; k++) {
            struct blob *blob = tw.mail[k].blob;
            bool manifest = tw.mail[k].type == MESSAGE_PIECE && blob->bytes[40] == CHECKPOINT_MANIFEST_OF && blob->bytes[41] == CHECKPOINT_PIECE_OK;
            if (manifest && tw.mail[k].from == 0) blob->bytes[blob->count - 1] ^= 1;
        }
    }
    assert_true(tw.done);
    tw_taken_is(0);
    work_is_whole();
    assert_int_equal(tw.bad_members, 1u << 0);
    tw_world_close();
}

/* It states the hash that all state: what others show must not pass for what it shows. */
static void another_head_beside_the_same_hash_is_another_manifest(void **state) {
    (void)state;
    world_with_lists();
    bool altered = false;
    for (uint32_t i = 0; i < 8000 && !tw.done; i++) {
        tw_step();
        struct blob *blob = mail_of(MESSAGE_CHECKPOINT, 0);
        if (blob == NULL || blob->count <= 16) continue;
        blob->bytes[MANIFEST_AT + 104] ^= 1; /* entries */
        altered = true;
    }
    assert_true(altered && tw.done);
    tw_taken_is(0);
    work_is_whole();
    assert_int_equal(tw.bad_count, 0);
    tw_world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manifest_of_many_items_is_shown_short_and_taken_whole),
        cmocka_unit_test(one_that_is_shown_short_is_not_left_for_a_newer_one),
        cmocka_unit_test(after_a_crash_it_is_not_asked_for_again),
        cmocka_unit_test(bytes_that_do_not_give_the_hash_name_who_sent_them),
        cmocka_unit_test(another_head_beside_the_same_hash_is_another_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
