#include "tests/appliance/transfer_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "merkle/trie.h"
#include "protocol/checkpoint.h"

struct transfer_world tw;

/* ---- a state in memory ---- */

struct memory_cut {
    const struct tw_state *state;
    size_t at;
};

static size_t leaf_at(const struct tw_state *state, const uint8_t path[32]) {
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
    const struct tw_state *state = ((struct memory_cut *)context)->state;
    for (uint32_t i = 0; i < state->blob_count; i++) {
        if (strcmp(state->blobs[i].name, name) != 0) continue;
        *count = state->blobs[i].count;
        if (*count > room) return STORE_TOO_LONG;
        if (*count > 0) memcpy(bytes, state->blobs[i].bytes, *count);
        return STORE_OK;
    }
    return STORE_ABSENT;
}

static enum store_status cut_cost(const void *context, uint64_t *kept_bytes, uint64_t *own_bytes) {
    (void)context;
    *kept_bytes = tw.cut_kept_bytes;
    *own_bytes = TW_OWN_BYTES;
    return STORE_OK;
}

static struct transfer_cut cut_of(const struct tw_state *state) {
    struct memory_cut *cut = calloc(1, sizeof *cut);
    CHECK(cut != NULL);
    cut->state = state;
    return (struct transfer_cut){
        .context = cut, .about = state->about, .seek = cut_seek, .next = cut_next, .blob = cut_blob, .cost = cut_cost, .close = free};
}

static void leaf_free(struct tw_leaf *leaf) {
    free((void *)(uintptr_t)leaf->entry.key); /* the value lies behind the key */
}

void tw_state_put(struct tw_state *state, const struct state_write *write) {
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

void tw_blob_put(struct tw_state *state, const char *name, const uint8_t *bytes, size_t count) {
    struct tw_blob *blob = &state->blobs[state->blob_count++];
    CHECK(state->blob_count <= TW_BLOBS_MAX);
    snprintf(blob->name, sizeof blob->name, "%s", name);
    blob->bytes = malloc(count + 1);
    CHECK(blob->bytes != NULL);
    memcpy(blob->bytes, bytes, count);
    blob->count = count;
}

static void blobs_free(struct tw_state *state) {
    for (uint32_t i = 0; i < state->blob_count; i++) free(state->blobs[i].bytes);
    state->blob_count = 0;
}

static void state_free(struct tw_state *state) {
    for (size_t i = 0; i < state->count; i++) leaf_free(&state->leaves[i]);
    free(state->leaves);
    blobs_free(state);
    memset(state, 0, sizeof *state);
}

static void state_root(const struct tw_state *state, uint8_t root[32]) {
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

uint64_t tw_dice(uint64_t sides) {
    tw.dice ^= tw.dice << 13;
    tw.dice ^= tw.dice >> 7;
    tw.dice ^= tw.dice << 17;
    return tw.dice % sides;
}

static bool store_own(void *context, struct transfer_cut *cut) {
    uint8_t member = *(uint8_t *)context;
    if (member == TW_TAKER) return false;
    *cut = cut_of(&tw.states[tw.newest]);
    return true;
}

static bool store_taken(void *context, struct transfer_cut *cut) {
    if (*(uint8_t *)context != TW_TAKER || !tw.taken_any) return false;
    *cut = cut_of(&tw.taken);
    return true;
}

static bool store_take(void *context, const struct state_batch *batch) {
    CHECK(*(uint8_t *)context == TW_TAKER);
    for (uint32_t i = 0; i < batch->write_count; i++) tw_state_put(&tw.taken, &batch->writes[i]);
    tw.taken.about = *batch->checkpoint;
    blobs_free(&tw.taken);
    for (uint32_t i = 0; i < batch->blob_count; i++) tw_blob_put(&tw.taken, batch->blobs[i].name, batch->blobs[i].bytes, batch->blobs[i].byte_count);
    tw.taken_any = true;
    tw.commits++;
    return true;
}

static bool store_forget(void *context) {
    if (*(uint8_t *)context != TW_TAKER) return true;
    state_free(&tw.taken);
    tw.taken_any = false;
    return true;
}

void tw_node_open(uint8_t member) {
    static uint8_t names[TW_N] = {0, 1, 2, 3};
    struct transfer_config config = {.system = &tw.system,
                                     .members = &tw.members,
                                     .limits = &tw.limits,
                                     .timeouts = &tw.timeouts,
                                     .cluster = TW_CLUSTER,
                                     .member = member,
                                     .signer = keyed_signer_of(&tw.keys[member]),
                                     .store = {&names[member], store_own, store_taken, store_take, store_forget},
                                     .nonce = tw_dice(UINT64_MAX),
                                     .now_ms = tw.now_ms};
    tw.nodes[member] = transfer_create(&config);
    CHECK(tw.nodes[member] != NULL);
}

/* The state becomes a checkpoint: header, child, and a commit QC on the child. */
void tw_state_certify(uint32_t at) {
    struct tw_state *state = &tw.states[at];
    struct bft_header header = {.place = tw.members.place, .height = (at + 1) * TW_K, .body_hash = bft_body_hash_empty()}, child = header;
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
    static struct checkpoint_shown shown;
    memset(&shown, 0, sizeof shown);
    struct bft_qc *qc = &shown.certificate.qc;
    bft_header_ballot(&child, &child_id, &qc->ballot);
    qc->kind = BFT_COMMIT;
    qc->count = (uint8_t)tw.members.q;
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&qc->ballot, BFT_COMMIT, preimage);
    for (uint8_t i = 0; i < tw.members.q; i++) {
        struct signer signer = keyed_signer_of(&tw.keys[i]);
        qc->signers[i] = i;
        signer.sign(signer.context, preimage, sizeof preimage, qc->signatures[i].bytes);
    }
    static uint8_t proof[4096];
    struct bytes_writer writer = bytes_writer_of(proof, sizeof proof);
    shown.header = header;
    shown.child = child;
    checkpoint_proof_put(&writer, &shown);
    CHECK(!writer.failed);
    bool has_others = state->blob_count > 0;
    tw_blob_put(state, "child", proof, writer.used);
    static const uint8_t work[8] = {1};
    if (has_others) return;
    tw_blob_put(state, "work", work, sizeof work);
    tw_blob_put(state, "queues", work, 0);
}

void tw_world_open(void) {
    const char *seed = getenv("SEED");
    memset(&tw, 0, sizeof tw);
    tw.dice = seed ? strtoull(seed, NULL, 0) | 1 : 0x5EED7;
    print_message("SEED=%llu\n", (unsigned long long)tw.dice);
    tw.bend = TW_N;
    tw.now_ms = 1000;
    system_limits_default(&tw.limits);
    system_timeouts_default(&tw.timeouts);
    tw.limits.checkpoint_blocks = TW_K;
    uint8_t keys[TW_N][SIGNER_PUBLIC_KEY_BYTES];
    for (uint8_t i = 0; i < TW_N; i++) {
        keyed_signer_init(&tw.keys[i], 1 + i);
        memcpy(keys[i], tw.keys[i].public_key, 32);
    }
    struct bft_place place = {.cluster = TW_CLUSTER};
    struct bft_point start = {.height = 0};
    CHECK(bft_members_init(&tw.members, &place, &start, TW_N, (const uint8_t(*)[32])keys));
}

void tw_world_close(void) {
    for (uint8_t i = 0; i < TW_N; i++) transfer_destroy(tw.nodes[i]);
    for (uint32_t i = 0; i < tw.mail_count; i++) blob_drop(tw.mail[i].blob);
    for (uint32_t i = 0; i < TW_STATES_MAX; i++) {
        state_free(&tw.states[i]);
    }
    state_free(&tw.taken);
    blob_drop(tw.evidence);
}

void tw_key_put(struct tw_state *state, const void *key, size_t key_bytes, uint32_t value_bytes, uint64_t version) {
    static uint8_t value[65536];
    memset(value, (int)version, value_bytes);
    struct state_write write = {.key = key,
                                .value = value,
                                .key_bytes = (uint16_t)key_bytes,
                                .value_bytes = value_bytes,
                                .version = {.height = version, .index = 1}};
    tw_state_put(state, &write);
}

void tw_state_fill(struct tw_state *state, uint32_t keys, uint32_t value_bytes) {
    for (uint32_t i = 0; i < keys; i++) tw_key_put(state, &i, sizeof i, value_bytes, 1);
}

void tw_state_copy(uint32_t from, uint32_t to) {
    for (size_t i = 0; i < tw.states[from].count; i++) {
        const struct table_entry *entry = &tw.states[from].leaves[i].entry;
        struct state_write write = {.key = entry->key,
                                    .value = entry->value,
                                    .key_bytes = (uint16_t)entry->key_bytes,
                                    .value_bytes = entry->value_bytes,
                                    .version = entry->version,
                                    .space = entry->space};
        tw_state_put(&tw.states[to], &write);
    }
}

/* The helpers' newest checkpoint is this one now. */
void tw_state_serve(uint32_t at) {
    tw.newest = at;
    for (uint8_t i = 0; i < TW_TAKER; i++) {
        if (tw.nodes[i] == NULL) tw_node_open(i);
        transfer_checkpointed(tw.nodes[i]);
    }
}

static void piece_bend(struct blob *blob) {
    switch (tw_dice(4)) {
    case 0: blob->bytes[tw_dice(blob->count)] ^= (uint8_t)(1u << tw_dice(8)); break;
    case 1: blob->count = tw_dice(blob->count); break;
    case 2: blob->bytes[CHECKPOINT_PIECE_HEAD_BYTES - 16 + tw_dice(16)] ^= 0xFF; break;
    default: memset(blob->bytes + blob->count / 2, 0, blob->count - blob->count / 2); break;
    }
}

static void outputs_take(uint8_t member) {
    struct transfer_output output;
    while (tw.nodes[member] != NULL && transfer_next(tw.nodes[member], &output)) {
        CHECK(output.kind != TRANSFER_FAILED);
        if (output.kind == TRANSFER_BAD) {
            tw.bad_count++;
            tw.bad_members |= (uint16_t)(1u << output.member);
        }
        if (output.kind == TRANSFER_EVIDENCE) {
            blob_drop(tw.evidence);
            tw.evidence = output.blob;
            tw.evidence_count++;
            tw.evidence_member = output.member;
        }
        tw.done |= output.kind == TRANSFER_DONE;
        if (output.kind != TRANSFER_SEND) continue;
        CHECK(tw.mail_count < TW_MAIL_MAX);
        if (output.type == 0x0110) tw.pieces += output.blob->bytes[40] == CHECKPOINT_ENTRIES && output.blob->bytes[41] == 0;
        if (member == tw.bend && output.blob->count > CHECKPOINT_PIECE_HEAD_BYTES) piece_bend(output.blob);
        tw.mail[tw.mail_count++] = (struct tw_mail){.from = member, .to = output.member, .type = output.type, .blob = output.blob};
    }
}

/* Around the same certificate: entries are what nothing proves yet. */
static void manifests_make_up(const struct blob *blob) {
    struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce;
    uint16_t count;
    CHECK(checkpoint_message_decode(blob->bytes, blob->count, &nonce, shown, &count) == CHECKPOINT_OK);
    for (uint32_t i = 0; i < tw.makes_up && count > 0; i++) {
        uint8_t manifest[CHECKPOINT_MANIFEST_HEAD_BYTES];
        struct blob *lie = blob_make(blob->count);
        CHECK(shown[0].manifest_count == sizeof manifest); /* no items */
        shown[0].manifest.entries = 1 + tw.made_up++ % tw.makes_up;
        struct bytes_writer writer = bytes_writer_of(manifest, sizeof manifest);
        checkpoint_manifest_put(&writer, &shown[0].manifest);
        shown[0].manifest_bytes = manifest;
        writer = bytes_writer_of(lie->bytes, lie->count);
        checkpoint_message_head_put(&writer, nonce, 1);
        checkpoint_shown_put(&writer, &shown[0]);
        CHECK(!writer.failed);
        transfer_frame(tw.nodes[TW_TAKER], 0, 0x010E, lie->bytes, writer.used, true);
        blob_drop(lie);
    }
}

/* False: not as its sender wrote it. */
static bool mail_is_true(const struct tw_mail *mail) {
    bool piece = mail->from == 0 && mail->type == 0x0110;
    if (tw.silent && piece) return false;
    if (tw.busy && piece) {
        mail->blob->count = CHECKPOINT_PIECE_HEAD_BYTES;
        mail->blob->bytes[41] = CHECKPOINT_PIECE_BUSY;
        bytes_put_le32(mail->blob->bytes + 44, 100);
        bytes_put_le64(mail->blob->bytes + 48, 0);
    }
    if (tw.makes_up == 0 || mail->from != 0 || mail->to != TW_TAKER) return true;
    if (mail->type == 0x010E) manifests_make_up(mail->blob);
    return false;
}

void tw_step(void) {
    tw.now_ms += 5;
    static struct tw_mail now[TW_MAIL_MAX];
    uint32_t count = tw.mail_count;
    memcpy(now, tw.mail, count * sizeof *now);
    tw.mail_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct transfer *to = now[i].to < TW_N ? tw.nodes[now[i].to] : NULL; /* else a client, who looks at nothing */
        if (to != NULL && mail_is_true(&now[i])) transfer_frame(to, now[i].from, now[i].type, now[i].blob->bytes, now[i].blob->count, true);
        if (to != NULL) outputs_take(now[i].to);
        blob_drop(now[i].blob);
    }
    for (uint8_t i = 0; i < TW_N; i++) {
        if (tw.nodes[i] == NULL) continue;
        if (i == TW_TAKER) transfer_lacking(tw.nodes[i], 0);
        transfer_tick(tw.nodes[i], tw.now_ms);
        for (unsigned k = 0; k < 4; k++) (void)transfer_work(tw.nodes[i]);
        outputs_take(i);
    }
}

void tw_run_until_done(uint32_t steps) {
    for (uint32_t i = 0; i < steps && !tw.done; i++) tw_step();
    assert_true(tw.done);
}

/* What was taken is that state, whole. */
void tw_taken_is(uint32_t at) {
    uint8_t root[32];
    state_root(&tw.taken, root);
    assert_memory_equal(root, tw.states[at].about.state_root, 32);
    assert_int_equal(tw.taken.count, tw.states[at].count);
    assert_int_equal(tw.taken.about.height, tw.states[at].about.height);
    static const char *const names[] = {"tip", "queues", "work", "child"};
    for (unsigned i = 0; i < 4; i++) {
        bool there = false;
        for (uint32_t k = 0; k < tw.taken.blob_count; k++) there |= strcmp(tw.taken.blobs[k].name, names[i]) == 0;
        assert_true(there);
    }
}
