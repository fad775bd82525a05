/*
 * The transfer machine alone: three members serve a state from memory, a fourth takes it. States large enough for many pieces, pieces that are too
 * large, crashes between any two, checkpoints that move on, frames that are bent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/transfer.h"
#include "merkle/check.h"
#include "merkle/trie.h"
#include "protocol/checkpoint.h"
#include "tests/keyed/keyed_signer.h"

enum { N = 4, TAKER = 3, CLUSTER = 0x00020000, K = 16, MAIL_MAX = 4096, BLOBS_MAX = 4, STATES_MAX = 8 };

/* ---- a state in memory ---- */

struct leaf_entry {
    uint8_t path[32];
    struct table_entry entry;
};

struct memory_blob {
    char name[STATE_BLOB_NAME_BYTES + 1];
    uint8_t *bytes;
    size_t count;
};

struct memory_state {
    struct leaf_entry *leaves; /* ascending */
    size_t count, room;
    struct state_checkpoint about;
    struct memory_blob blobs[BLOBS_MAX];
    uint32_t blob_count;
};

struct memory_cut {
    const struct memory_state *state;
    size_t at;
};

static size_t leaf_at(const struct memory_state *state, const uint8_t path[32]) {
    size_t low = 0, high = state->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(state->leaves[middle].path, path, 32) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void cut_seek(void *context, const uint8_t path[32]) {
    struct memory_cut *cut = context;
    cut->at = leaf_at(cut->state, path);
}

static enum store_status cut_next(void *context, struct table_entry *entry, uint8_t path[32]) {
    struct memory_cut *cut = context;
    if (cut->at == cut->state->count) return STORE_ABSENT;
    *entry = cut->state->leaves[cut->at].entry;
    memcpy(path, cut->state->leaves[cut->at++].path, 32);
    return STORE_OK;
}

static enum store_status cut_blob(void *context, const char *name, void *bytes, size_t room, size_t *count) {
    const struct memory_state *state = ((struct memory_cut *)context)->state;
    for (uint32_t i = 0; i < state->blob_count; i++) {
        if (strcmp(state->blobs[i].name, name) != 0) continue;
        *count = state->blobs[i].count;
        if (*count > room) return STORE_TOO_LONG;
        if (*count > 0) memcpy(bytes, state->blobs[i].bytes, *count);
        return STORE_OK;
    }
    return STORE_ABSENT;
}

static struct transfer_cut cut_of(const struct memory_state *state) {
    struct memory_cut *cut = calloc(1, sizeof *cut);
    CHECK(cut != NULL);
    cut->state = state;
    return (struct transfer_cut){.context = cut, .about = state->about, .seek = cut_seek, .next = cut_next, .blob = cut_blob, .close = free};
}

static void leaf_free(struct leaf_entry *leaf) {
    free((void *)(uintptr_t)leaf->entry.key); /* the value lies behind the key */
}

static void state_put(struct memory_state *state, const struct state_write *write) {
    uint8_t path[32];
    trie_path((enum trie_space)write->space, write->key, write->key_bytes, path);
    size_t at = leaf_at(state, path);
    bool there = at < state->count && memcmp(state->leaves[at].path, path, 32) == 0;
    if (there) leaf_free(&state->leaves[at]);
    if (write->deleted) {
        if (there) memmove(&state->leaves[at], &state->leaves[at + 1], (--state->count - at) * sizeof *state->leaves);
        return;
    }
    if (!there && state->count == state->room) {
        state->room = state->room == 0 ? 1024 : 2 * state->room;
        state->leaves = realloc(state->leaves, state->room * sizeof *state->leaves);
        CHECK(state->leaves != NULL);
    }
    if (!there) memmove(&state->leaves[at + 1], &state->leaves[at], (state->count++ - at) * sizeof *state->leaves);
    uint8_t *bytes = malloc((size_t)write->key_bytes + write->value_bytes);
    CHECK(bytes != NULL);
    memcpy(bytes, write->key, write->key_bytes);
    if (write->value_bytes > 0) memcpy(bytes + write->key_bytes, write->value, write->value_bytes);
    memcpy(state->leaves[at].path, path, 32);
    state->leaves[at].entry = (struct table_entry){.key = bytes,
                                                   .value = bytes + write->key_bytes,
                                                   .key_bytes = write->key_bytes,
                                                   .value_bytes = write->value_bytes,
                                                   .version = write->version,
                                                   .space = write->space};
}

static void blob_put(struct memory_state *state, const char *name, const uint8_t *bytes, size_t count) {
    struct memory_blob *blob = &state->blobs[state->blob_count++];
    CHECK(state->blob_count <= BLOBS_MAX);
    snprintf(blob->name, sizeof blob->name, "%s", name);
    blob->bytes = malloc(count + 1);
    CHECK(blob->bytes != NULL);
    memcpy(blob->bytes, bytes, count);
    blob->count = count;
}

static void blobs_free(struct memory_state *state) {
    for (uint32_t i = 0; i < state->blob_count; i++) free(state->blobs[i].bytes);
    state->blob_count = 0;
}

static void state_free(struct memory_state *state) {
    for (size_t i = 0; i < state->count; i++) leaf_free(&state->leaves[i]);
    free(state->leaves);
    blobs_free(state);
    memset(state, 0, sizeof *state);
}

static void state_root(const struct memory_state *state, uint8_t root[32]) {
    static struct trie_stream stream;
    trie_stream_init(&stream);
    for (size_t i = 0; i < state->count; i++) {
        const struct table_entry *entry = &state->leaves[i].entry;
        struct trie_value value = {.version_height = entry->version.height, .version_index = entry->version.index};
        uint8_t hash[32];
        trie_value_hash(entry->value, entry->value_bytes, value.value_hash);
        trie_leaf_hash((enum trie_space)entry->space, entry->key, entry->key_bytes, &value, hash);
        CHECK(trie_stream_add(&stream, state->leaves[i].path, hash));
    }
    trie_stream_root(&stream, root);
}

/* ---- the world ---- */

struct mail {
    uint8_t from, to;
    uint16_t type;
    struct blob *blob;
};

static struct {
    struct system system;
    struct system_limits limits;
    struct system_timeouts timeouts;
    struct bft_members members;
    struct keyed_signer keys[N];
    struct transfer *nodes[N];
    struct memory_state states[STATES_MAX]; /* one after the other; helpers serve the newest when it is told */
    uint32_t newest;
    struct blob *child[STATES_MAX];
    struct memory_state taken;
    bool taken_any;
    struct mail mail[MAIL_MAX];
    uint32_t mail_count;
    uint64_t now_ms, dice;
    bool done;
    uint32_t bad_count;
    uint16_t bad_members;
    uint32_t pieces; /* entries that were answered */
    uint32_t bend;   /* member whose pieces are bent, N: none */
    uint32_t makes_up; /* each checkpoint of member 0 becomes so many answers with manifests that it made up; it gives no piece */
    uint64_t made_up;
    bool paid; /* what the last asked_by() was answered is paid for by the share */
    uint32_t commits, stop_after_commits;
} w;

static uint64_t dice(uint64_t sides) {
    w.dice ^= w.dice << 13;
    w.dice ^= w.dice >> 7;
    w.dice ^= w.dice << 17;
    return w.dice % sides;
}

static bool store_own(void *context, struct transfer_cut *cut) {
    uint8_t member = *(uint8_t *)context;
    if (member == TAKER) return false;
    *cut = cut_of(&w.states[w.newest]);
    return true;
}

static bool store_taken(void *context, struct transfer_cut *cut) {
    if (*(uint8_t *)context != TAKER || !w.taken_any) return false;
    *cut = cut_of(&w.taken);
    return true;
}

static bool store_take(void *context, const struct state_batch *batch) {
    CHECK(*(uint8_t *)context == TAKER);
    for (uint32_t i = 0; i < batch->write_count; i++) state_put(&w.taken, &batch->writes[i]);
    w.taken.about = *batch->checkpoint;
    blobs_free(&w.taken);
    for (uint32_t i = 0; i < batch->blob_count; i++) blob_put(&w.taken, batch->blobs[i].name, batch->blobs[i].bytes, batch->blobs[i].byte_count);
    w.taken_any = true;
    w.commits++;
    return true;
}

static bool store_forget(void *context) {
    if (*(uint8_t *)context != TAKER) return true;
    state_free(&w.taken);
    w.taken_any = false;
    return true;
}

static void node_open(uint8_t member) {
    static uint8_t names[N] = {0, 1, 2, 3};
    struct transfer_config config = {.system = &w.system,
                                     .members = &w.members,
                                     .limits = &w.limits,
                                     .timeouts = &w.timeouts,
                                     .cluster = CLUSTER,
                                     .member = member,
                                     .signer = keyed_signer_of(&w.keys[member]),
                                     .store = {&names[member], store_own, store_taken, store_take, store_forget},
                                     .nonce = dice(UINT64_MAX),
                                     .now_ms = w.now_ms};
    w.nodes[member] = transfer_create(&config);
    CHECK(w.nodes[member] != NULL);
    for (uint32_t i = 0; i <= w.newest && member != TAKER; i++) {
        if (w.child[i] != NULL) transfer_child(w.nodes[member], w.child[i]->bytes, w.child[i]->count);
    }
}

/* The state becomes a checkpoint: header, child, and a commit QC on the child. */
static void state_certify(uint32_t at) {
    struct memory_state *state = &w.states[at];
    struct bft_header header = {.place = w.members.place, .height = (at + 1) * K, .body_hash = bft_body_hash_empty()}, child = header;
    uint8_t root[32];
    state_root(state, root);
    struct bft_hash id = bft_header_id(&header);
    child.height++;
    child.parent_id = id;
    memcpy(child.state_root.bytes, root, 32);
    struct bft_hash child_id = bft_header_id(&child);
    state->about = (struct state_checkpoint){.height = header.height};
    memcpy(state->about.block_id, id.bytes, 32);
    memcpy(state->about.state_root, root, 32);
    static struct bft_certificate certificate;
    memset(&certificate, 0, sizeof certificate);
    bft_header_ballot(&child, &child_id, &certificate.qc.ballot);
    certificate.qc.kind = BFT_COMMIT;
    certificate.qc.count = (uint8_t)w.members.q;
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&certificate.qc.ballot, BFT_COMMIT, preimage);
    for (uint8_t i = 0; i < w.members.q; i++) {
        struct signer signer = keyed_signer_of(&w.keys[i]);
        certificate.qc.signers[i] = i;
        signer.sign(signer.context, preimage, sizeof preimage, certificate.qc.signatures[i].bytes);
    }
    w.child[at] = blob_make(4096);
    struct bytes_writer writer = bytes_writer_of(w.child[at]->bytes, 4096);
    bft_header_put(&writer, &header);
    bft_header_put(&writer, &child);
    bft_certificate_put(&writer, &certificate);
    CHECK(!writer.failed);
    w.child[at]->count = writer.used;
    static const uint8_t work[8] = {1};
    blob_put(state, "work", work, sizeof work);
    blob_put(state, "queues", work, 0);
}

static void world_open(void) {
    const char *seed = getenv("SEED");
    memset(&w, 0, sizeof w);
    w.dice = seed ? strtoull(seed, NULL, 0) | 1 : 0x5EED7;
    print_message("SEED=%llu\n", (unsigned long long)w.dice);
    w.bend = N;
    w.now_ms = 1000;
    system_limits_default(&w.limits);
    system_timeouts_default(&w.timeouts);
    w.limits.checkpoint_blocks = K;
    uint8_t keys[N][SIGNER_PUBLIC_KEY_BYTES];
    for (uint8_t i = 0; i < N; i++) {
        keyed_signer_init(&w.keys[i], 1 + i);
        memcpy(keys[i], w.keys[i].public_key, 32);
    }
    struct bft_place place = {.cluster = CLUSTER};
    struct bft_point start = {.height = 0};
    CHECK(bft_members_init(&w.members, &place, &start, N, (const uint8_t(*)[32])keys));
}

static void world_close(void) {
    for (uint8_t i = 0; i < N; i++) transfer_destroy(w.nodes[i]);
    for (uint32_t i = 0; i < w.mail_count; i++) blob_drop(w.mail[i].blob);
    for (uint32_t i = 0; i < STATES_MAX; i++) {
        blob_drop(w.child[i]);
        state_free(&w.states[i]);
    }
    state_free(&w.taken);
}

static void key_put(struct memory_state *state, const void *key, size_t key_bytes, uint32_t value_bytes, uint64_t version) {
    static uint8_t value[65536];
    memset(value, (int)version, value_bytes);
    struct state_write write = {.key = key,
                                .value = value,
                                .key_bytes = (uint16_t)key_bytes,
                                .value_bytes = value_bytes,
                                .version = {.height = version, .index = 1}};
    state_put(state, &write);
}

static void state_fill(struct memory_state *state, uint32_t keys, uint32_t value_bytes) {
    for (uint32_t i = 0; i < keys; i++) key_put(state, &i, sizeof i, value_bytes, 1);
}

static void state_copy(uint32_t from, uint32_t to) {
    for (size_t i = 0; i < w.states[from].count; i++) {
        const struct table_entry *entry = &w.states[from].leaves[i].entry;
        struct state_write write = {.key = entry->key,
                                    .value = entry->value,
                                    .key_bytes = (uint16_t)entry->key_bytes,
                                    .value_bytes = entry->value_bytes,
                                    .version = entry->version,
                                    .space = entry->space};
        state_put(&w.states[to], &write);
    }
}

/* The helpers' newest checkpoint is this one now. */
static void state_serve(uint32_t at) {
    w.newest = at;
    for (uint8_t i = 0; i < TAKER; i++) {
        if (w.nodes[i] == NULL) node_open(i);
        else transfer_child(w.nodes[i], w.child[at]->bytes, w.child[at]->count);
        transfer_checkpointed(w.nodes[i]);
    }
}

static void piece_bend(struct blob *blob) {
    switch (dice(4)) {
    case 0: blob->bytes[dice(blob->count)] ^= (uint8_t)(1u << dice(8)); break;
    case 1: blob->count = dice(blob->count); break;
    case 2: blob->bytes[CHECKPOINT_PIECE_HEAD_BYTES - 16 + dice(16)] ^= 0xFF; break;
    default: memset(blob->bytes + blob->count / 2, 0, blob->count - blob->count / 2); break;
    }
}

static void outputs_take(uint8_t member) {
    struct transfer_output output;
    while (w.nodes[member] != NULL && transfer_next(w.nodes[member], &output)) {
        CHECK(output.kind != TRANSFER_FAILED);
        if (output.kind == TRANSFER_BAD) {
            w.bad_count++;
            w.bad_members |= (uint16_t)(1u << output.member);
        }
        w.done |= output.kind == TRANSFER_DONE;
        if (output.kind != TRANSFER_SEND) continue;
        CHECK(w.mail_count < MAIL_MAX);
        if (output.type == 0x0110) w.pieces += output.blob->bytes[40] == CHECKPOINT_ENTRIES && output.blob->bytes[41] == 0;
        if (member == w.bend && output.blob->count > CHECKPOINT_PIECE_HEAD_BYTES) piece_bend(output.blob);
        w.mail[w.mail_count++] = (struct mail){.from = member, .to = output.member, .type = output.type, .blob = output.blob};
    }
}

/* Around the same certificate: entries are what nothing proves yet. */
static void manifests_make_up(const struct blob *blob) {
    struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce;
    uint16_t count;
    CHECK(checkpoint_message_decode(blob->bytes, blob->count, &nonce, shown, &count) == CHECKPOINT_OK);
    for (uint32_t i = 0; i < w.makes_up && count > 0; i++) {
        uint8_t manifest[CHECKPOINT_MANIFEST_HEAD_BYTES];
        struct blob *lie = blob_make(blob->count);
        CHECK(shown[0].manifest_count == sizeof manifest); /* no items */
        shown[0].manifest.entries = 1 + w.made_up++ % w.makes_up;
        struct bytes_writer writer = bytes_writer_of(manifest, sizeof manifest);
        checkpoint_manifest_put(&writer, &shown[0].manifest);
        shown[0].manifest_bytes = manifest;
        writer = bytes_writer_of(lie->bytes, lie->count);
        checkpoint_message_head_put(&writer, nonce, 1);
        checkpoint_shown_put(&writer, &shown[0]);
        CHECK(!writer.failed);
        transfer_frame(w.nodes[TAKER], 0, 0x010E, lie->bytes, writer.used, true);
        blob_drop(lie);
    }
}

/* False: not as its sender wrote it. */
static bool mail_is_true(const struct mail *mail) {
    if (w.makes_up == 0 || mail->from != 0 || mail->to != TAKER) return true;
    if (mail->type == 0x010E) manifests_make_up(mail->blob);
    return false;
}

static void step(void) {
    w.now_ms += 5;
    static struct mail now[MAIL_MAX];
    uint32_t count = w.mail_count;
    memcpy(now, w.mail, count * sizeof *now);
    w.mail_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct transfer *to = w.nodes[now[i].to];
        if (to != NULL && mail_is_true(&now[i])) transfer_frame(to, now[i].from, now[i].type, now[i].blob->bytes, now[i].blob->count, true);
        outputs_take(now[i].to);
        blob_drop(now[i].blob);
    }
    for (uint8_t i = 0; i < N; i++) {
        if (w.nodes[i] == NULL) continue;
        if (i == TAKER) transfer_lacking(w.nodes[i], 0);
        transfer_tick(w.nodes[i], w.now_ms);
        for (unsigned k = 0; k < 4; k++) (void)transfer_work(w.nodes[i]);
        outputs_take(i);
    }
}

static void run_until_done(uint32_t steps) {
    for (uint32_t i = 0; i < steps && !w.done; i++) step();
    assert_true(w.done);
}

/* What was taken is that state, whole. */
static void taken_is(uint32_t at) {
    uint8_t root[32];
    state_root(&w.taken, root);
    assert_memory_equal(root, w.states[at].about.state_root, 32);
    assert_int_equal(w.taken.count, w.states[at].count);
    assert_int_equal(w.taken.about.height, w.states[at].about.height);
    static const char *const names[] = {"tip", "queues", "work"};
    for (unsigned i = 0; i < 3; i++) {
        bool there = false;
        for (uint32_t k = 0; k < w.taken.blob_count; k++) there |= strcmp(w.taken.blobs[k].name, names[i]) == 0;
        assert_true(there);
    }
}

/* ---- tests ---- */

static void many_pieces_from_three_members(void **state) {
    (void)state;
    world_open();
    state_fill(&w.states[0], 8000, 200);
    state_certify(0);
    state_serve(0);
    node_open(TAKER);
    run_until_done(4000);
    taken_is(0);
    assert_int_equal(w.bad_count, 0);
    assert_int_equal(w.pieces, 256);
    struct transfer_status served[TAKER];
    for (uint8_t i = 0; i < TAKER; i++) {
        transfer_status(w.nodes[i], &served[i]);
        assert_true(served[i].served_pieces > 40); /* each gave its part */
    }
    world_close();
}

static void small_and_empty_states_are_one_piece(void **state) {
    (void)state;
    for (uint32_t keys = 0; keys < 3; keys++) {
        world_open();
        state_fill(&w.states[0], keys, 10);
        state_certify(0);
        state_serve(0);
        node_open(TAKER);
        run_until_done(2000);
        taken_is(0);
        assert_int_equal(w.pieces, 1);
        world_close();
    }
}

static void after_a_crash_only_what_was_not_durable_is_fetched_again(void **state) {
    (void)state;
    world_open();
    state_fill(&w.states[0], 8000, 200);
    state_certify(0);
    state_serve(0);
    uint32_t crashes = 0;
    for (; crashes < 200; crashes++) {
        node_open(TAKER);
        uint32_t commits = w.commits;
        for (uint32_t i = 0; i < 500 && !w.done && w.commits < commits + 1 + dice(2); i++) step();
        for (uint32_t i = 0; i < dice(4) && !w.done; i++) step();
        if (w.done) break;
        transfer_destroy(w.nodes[TAKER]);
        w.nodes[TAKER] = NULL;
    }
    assert_true(w.done);
    taken_is(0);
    assert_int_equal(w.bad_count, 0);
    print_message("%u pieces came for 256, %u crashes, %u commits\n", w.pieces, crashes, w.commits);
    assert_true(crashes > 3);
    assert_true(w.pieces <= 256 + crashes * 5 * 3 * TRANSFER_OUTSTANDING_MAX); /* what five steps bring is lost with each */
    world_close();
}

/* Keys whose paths begin with these bytes. */
static uint32_t ground_put(struct memory_state *state, const uint8_t *prefix, unsigned prefix_bytes, uint32_t count, uint32_t value_bytes,
                           uint32_t from) {
    uint8_t path[32];
    for (uint32_t put = 0; put < count; from++) {
        trie_path(TRIE_SPACE_USER, &from, sizeof from, path);
        if (memcmp(path, prefix, prefix_bytes) != 0) continue;
        key_put(state, &from, sizeof from, value_bytes, 1);
        put++;
    }
    return from;
}

static void pieces_that_are_too_large_are_cut_deeper(void **state) {
    (void)state;
    static const uint8_t prefix[2] = {0xAB, 0xCD};
    world_open();
    state_fill(&w.states[0], 3000, 300);
    (void)ground_put(&w.states[0], prefix, 1, 60, 60000, 1 << 20);
    (void)ground_put(&w.states[0], prefix, 2, 24, 65000, 2 << 20);
    state_certify(0);
    state_serve(0);
    node_open(TAKER);
    run_until_done(6000);
    taken_is(0);
    assert_int_equal(w.bad_count, 0);
    assert_true(w.pieces > 256 + 2 * 255 - 3);
    world_close();
}

static void when_the_checkpoint_moves_on_only_what_differs_is_fetched(void **state) {
    (void)state;
    static const uint8_t prefix[2] = {0xAB, 0xCD};
    world_open();
    state_fill(&w.states[0], 8000, 200);
    uint32_t next = ground_put(&w.states[0], prefix, 2, 20, 65000, 2 << 20);
    state_certify(0);
    for (uint32_t i = 1; i <= 2; i++) {
        state_copy(i - 1, i);
        for (uint32_t k = 0; k < 12; k++) {
            uint32_t key = (uint32_t)dice(8000);
            key_put(&w.states[i], &key, sizeof key, 100, 1 + i);
        }
        next = ground_put(&w.states[i], prefix, 2, 1, 65000, next); /* deep as well */
        uint32_t gone = (uint32_t)dice(8000);
        struct state_write removed = {.key = (const uint8_t *)&gone, .key_bytes = sizeof gone, .deleted = true};
        state_put(&w.states[i], &removed);
        state_certify(i);
    }
    state_serve(0);
    node_open(TAKER);
    uint64_t kept = 0;
    struct transfer_status status = {0};
    for (uint32_t i = 0; i < 2000 && !w.done && kept < 600; i++) { /* most of it: 256, cut deeper twice */
        step();
        transfer_status(w.nodes[TAKER], &status);
        kept = status.pieces_done;
    }
    assert_true(kept > 0 && !w.done);
    state_serve(1);
    state_serve(2); /* the first is gone now */
    uint32_t before = w.pieces;
    run_until_done(8000);
    taken_is(2);
    assert_int_equal(w.bad_count, 0);
    transfer_status(w.nodes[TAKER], &status);
    print_message("%llu pieces were kept, %llu of them fetched anew\n", (unsigned long long)kept, (unsigned long long)status.refetched_pieces);
    assert_true(status.refetched_pieces > 0 && status.refetched_pieces <= 2 * 14);
    assert_true(w.pieces - before < 766 - kept + 2 * 14 + 30);
    world_close();
}

static void bent_pieces_name_their_sender_and_nobody_else(void **state) {
    (void)state;
    for (uint32_t run = 0; run < 12; run++) {
        world_open();
        w.dice += run * 977;
        w.bend = run % 3;
        state_fill(&w.states[0], 5000, 200);
        state_certify(0);
        state_serve(0);
        node_open(TAKER);
        run_until_done(8000);
        taken_is(0);
        assert_int_equal(w.bad_members & ~(1u << w.bend), 0);
        world_close();
    }
}

static void one_who_makes_up_many_manifests_takes_nobodys_room(void **state) {
    (void)state;
    world_open();
    w.makes_up = 40;
    state_fill(&w.states[0], 500, 100);
    state_certify(0);
    state_serve(0);
    node_open(TAKER);
    run_until_done(1500); /* long before it would be tried alone */
    taken_is(0);
    assert_true(w.made_up >= w.makes_up && w.bad_count == 0);
    world_close();
}

/* It alone and an honest one alone: f+1 never agree. */
static void a_manifest_of_one_that_does_not_come_is_not_tried_again_before_others(void **state) {
    (void)state;
    world_open();
    w.makes_up = 1;
    state_fill(&w.states[0], 500, 100);
    state_certify(0);
    state_serve(0);
    transfer_destroy(w.nodes[2]);
    w.nodes[2] = NULL;
    node_open(TAKER);
    run_until_done(20000);
    taken_is(0);
    assert_int_equal(w.bad_count, 0); /* it may have been slow */
    world_close();
}

/* Every frame that goes to either side is bent: nothing wrong is ever taken, nothing falls over. */
static void any_bytes_do_no_harm(void **state) {
    (void)state;
    world_open();
    state_fill(&w.states[0], 3000, 100);
    state_certify(0);
    state_serve(0);
    node_open(TAKER);
    for (uint32_t i = 0; i < 3000; i++) {
        step();
        for (uint32_t k = 0; k < w.mail_count; k++) {
            struct blob *blob = w.mail[k].blob;
            if (blob->count == 0 || dice(4) != 0) continue;
            blob->bytes[dice(blob->count)] ^= (uint8_t)(1u << dice(8));
            if (dice(8) == 0) blob->count = dice(blob->count);
        }
        if (w.done) break;
    }
    if (w.done) taken_is(0);
    world_close();
}

/* ---- clients (P-50) ---- */

/* One question at node 0, one answer; NULL: none came. */
static struct blob *asked_by(uint8_t asker, uint16_t type, const uint8_t *bytes, size_t count, bool may_serve) {
    struct transfer_output output;
    struct blob *answer = NULL;
    w.paid = transfer_frame(w.nodes[0], asker, type, bytes, count, may_serve);
    while (transfer_next(w.nodes[0], &output)) {
        if (output.kind != TRANSFER_SEND) continue;
        CHECK(answer == NULL);
        assert_int_equal(output.member, asker);
        answer = output.blob;
    }
    return answer;
}

/* The code of the answer to a question for all entries under one bit; 0xFF: none came. */
static uint8_t piece_code_of(uint8_t asker, const uint8_t hash[32], bool may_serve) {
    struct checkpoint_piece_query query = {.nonce = 5, .prefix_bits = 1};
    uint8_t bytes[CHECKPOINT_PIECE_QUERY_BYTES];
    memcpy(query.manifest_hash, hash, 32);
    checkpoint_piece_query_encode(&query, bytes);
    struct blob *answer = asked_by(asker, 0x010F, bytes, sizeof bytes, may_serve);
    if (answer == NULL) return 0xFF;
    struct checkpoint_piece piece;
    struct bytes_cursor entries;
    assert_int_equal(checkpoint_piece_decode(answer->bytes, answer->count, &piece), CHECKPOINT_OK);
    uint8_t code = piece.code;
    if (code == 0) assert_int_equal(checkpoint_entries_verify(&piece, &query, w.states[0].about.state_root, &entries), CHECKPOINT_OK);
    blob_drop(answer);
    assert_true(w.paid == (code == CHECKPOINT_PIECE_OK || code == CHECKPOINT_PIECE_TOO_LARGE)); /* refusals cost nothing */
    return code;
}

static void a_client_is_served_what_members_leave_over(void **state) {
    (void)state;
    struct checkpoint_query query = {.nonce = 3};
    uint8_t bytes[CHECKPOINT_QUERY_BYTES], hash[32];
    world_open();
    state_fill(&w.states[0], 500, 200);
    state_certify(0);
    state_serve(0);
    checkpoint_query_encode(&query, bytes);
    struct blob *answer = asked_by(TRANSFER_CLIENT + 1, 0x010D, bytes, sizeof bytes, true);
    assert_non_null(answer); /* nothing is indexed yet; this asks for it */
    blob_drop(answer);
    for (int i = 0; i < 100; i++) (void)transfer_work(w.nodes[0]);
    struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce;
    uint16_t shown_count;
    answer = asked_by(TRANSFER_CLIENT + 1, 0x010D, bytes, sizeof bytes, true);
    assert_int_equal(checkpoint_message_decode(answer->bytes, answer->count, &nonce, shown, &shown_count), CHECKPOINT_OK);
    assert_true(nonce == 3 && shown_count == 1);
    checkpoint_manifest_hash(shown[0].manifest_bytes, shown[0].manifest_count, hash);
    blob_drop(answer);

    static const uint8_t nobodys[32] = {1};
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, nobodys, true), CHECKPOINT_PIECE_UNKNOWN);
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, hash, true), CHECKPOINT_PIECE_OK);
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, hash, false), CHECKPOINT_PIECE_BUSY); /* no time left */
    struct transfer_status status;
    transfer_status(w.nodes[0], &status);
    assert_int_equal(status.hold_height, 0); /* nothing is kept from pruning for it */
    assert_int_equal(piece_code_of(2, hash, true), CHECKPOINT_PIECE_OK);
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, hash, true), CHECKPOINT_PIECE_BUSY); /* a member asks */
    assert_int_equal(piece_code_of(2, hash, true), CHECKPOINT_PIECE_OK);
    transfer_tick(w.nodes[0], w.now_ms += TRANSFER_MEMBERS_FIRST_MS - 1);
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, hash, true), CHECKPOINT_PIECE_BUSY);
    transfer_tick(w.nodes[0], w.now_ms += 1);
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, hash, true), CHECKPOINT_PIECE_OK);
    transfer_status(w.nodes[0], &status);
    assert_int_equal(status.hold_height, K); /* the member's */
    world_close();
}

static void what_only_members_may_say_is_not_heard_from_a_client(void **state) {
    (void)state;
    static const uint8_t nothing[200];
    world_open();
    state_fill(&w.states[0], 10, 20);
    state_certify(0);
    state_serve(0);
    for (uint16_t type = 0x010C; type <= 0x0111; type++) {
        if (type == 0x010D || type == 0x010F) continue;
        assert_null(asked_by(TRANSFER_CLIENT, type, nothing, sizeof nothing, true));
    }
    assert_null(asked_by(TRANSFER_CLIENT + TRANSFER_CLIENTS, 0x010D, nothing, CHECKPOINT_QUERY_BYTES, true));
    assert_null(asked_by(TRANSFER_ASKERS, 0x010D, nothing, CHECKPOINT_QUERY_BYTES, true));
    for (size_t count = 0; count < sizeof nothing; count++) {
        struct blob *answer = asked_by(TRANSFER_CLIENT, 0x010F, nothing, count, true);
        assert_true((answer != NULL) == (count == CHECKPOINT_PIECE_QUERY_BYTES)); /* of a checkpoint that nobody has */
        blob_drop(answer);
    }
    world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_pieces_from_three_members),
        cmocka_unit_test(small_and_empty_states_are_one_piece),
        cmocka_unit_test(after_a_crash_only_what_was_not_durable_is_fetched_again),
        cmocka_unit_test(pieces_that_are_too_large_are_cut_deeper),
        cmocka_unit_test(when_the_checkpoint_moves_on_only_what_differs_is_fetched),
        cmocka_unit_test(bent_pieces_name_their_sender_and_nobody_else),
        cmocka_unit_test(one_who_makes_up_many_manifests_takes_nobodys_room),
        cmocka_unit_test(a_manifest_of_one_that_does_not_come_is_not_tried_again_before_others),
        cmocka_unit_test(any_bytes_do_no_harm),
        cmocka_unit_test(a_client_is_served_what_members_leave_over),
        cmocka_unit_test(what_only_members_may_say_is_not_heard_from_a_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
