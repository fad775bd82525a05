/*
 * Vectors of spec/durability.md: LAST-SIGNED (P-11 to P-14), manifest and CHECKPOINT (P-32, P-42), pieces (P-43 to P-46). Every case carries the
 * error or verdict that it must give, written here by hand; the code under test is then checked to give it.
 */
#include "bft/ed25519.h"
#include "merkle/check.h"
#include "protocol/checkpoint.h"
#include "protocol/last_signed.h"
#include "tests/vectors_gen/gen.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 4, ASKER = 2, ANSWERER = 1, K = 16, HEIGHT = 48, ENTRIES = 12, ROOM = 1 << 15 };

struct world {
    struct bft_members members;
    struct ed25519_secret secrets[N];
    struct last_signed_query query;
};

static void set_hex(json_t *object, const char *name, const void *bytes, size_t count) {
    char *text = malloc(2 * count + 1);
    CHECK(text);
    sodium_bin2hex(text, 2 * count + 1, bytes, count);
    CHECK(json_object_set_new(object, name, json_string(text)) == 0);
    free(text);
}

static void set_text(json_t *object, const char *name, const char *text) {
    CHECK(json_object_set_new(object, name, json_string(text)) == 0);
}

static void set_number(json_t *object, const char *name, uint64_t number) {
    CHECK(json_object_set_new(object, name, json_integer((json_int_t)number)) == 0);
}

static json_t *child(json_t *object, const char *name, json_t *value) {
    CHECK(json_object_set_new(object, name, value) == 0);
    return value;
}

static json_t *item_in(json_t *list, const char *name) {
    json_t *item = json_object();
    CHECK(json_array_append_new(list, item) == 0);
    set_text(item, "case", name);
    return item;
}

static void world_make(struct world *world, json_t *out) {
    memset(world, 0, sizeof *world);
    struct bft_place place = {.cluster = 0x00020000, .epoch = 3};
    memset(place.system_id, 0x51, sizeof place.system_id);
    memset(place.config_hash.bytes, 0xC0, 32);
    struct bft_point start = {.height = 20};
    uint8_t keys[N][SIGNER_PUBLIC_KEY_BYTES];
    json_t *list = child(out, "members", json_array());
    for (unsigned i = 0; i < N; i++) {
        uint8_t seed[32];
        memset(seed, (int)(0x80 + i), sizeof seed);
        (void)!ed25519_secret_init(&world->secrets[i], seed); /* whether it is locked in memory matters to no vector */
        ed25519_public_key(&world->secrets[i], keys[i]);
        json_t *item = json_object();
        CHECK(json_array_append_new(list, item) == 0);
        set_hex(item, "seed", seed, sizeof seed);
        set_hex(item, "public_key", keys[i], sizeof keys[i]);
    }
    CHECK(bft_members_init(&world->members, &place, &start, N, keys));
    world->query = (struct last_signed_query){.cluster = place.cluster, .epoch = place.epoch, .asker = ASKER};
    memcpy(world->query.system_id, place.system_id, sizeof world->query.system_id);
    for (unsigned i = 0; i < LAST_SIGNED_NONCE_BYTES; i++) world->query.nonce[i] = (uint8_t)(0xE0 + i);
    set_hex(out, "system_id", place.system_id, sizeof place.system_id);
    set_hex(out, "config_hash", place.config_hash.bytes, 32);
    set_number(out, "cluster", place.cluster);
    set_number(out, "epoch", place.epoch);
}

static struct signer signer_of(struct world *world, unsigned member) {
    return signer_ed25519(&world->secrets[member]);
}

/* LAST-SIGNED. */

static struct bft_vote vote_of(struct world *world, enum bft_vote_kind kind, uint64_t epoch, uint64_t view, uint64_t height, uint8_t id) {
    struct bft_vote vote = {.kind = (uint8_t)kind, .signer = ASKER};
    vote.ballot.place = world->members.place;
    vote.ballot.place.epoch = epoch;
    vote.ballot.view = view;
    vote.ballot.height = height;
    memset(vote.ballot.block_id.bytes, id, 32);
    memset(vote.ballot.outbox_root.bytes, 0x0B, 32);
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&vote.ballot, kind, preimage);
    struct signer signer = signer_of(world, ASKER);
    signer.sign(signer.context, preimage, sizeof preimage, vote.signature.bytes);
    return vote;
}

static struct bft_timeout timeout_of(struct world *world, uint64_t view, uint64_t high_view) {
    struct bft_timeout timeout = {.place = world->members.place, .view = view, .signer = ASKER};
    timeout.high.view = high_view;
    timeout.high.block.height = 40;
    memset(timeout.high.block.id.bytes, 0x40, 32);
    uint8_t preimage[BFT_TIMEOUT_PREIMAGE_BYTES];
    bft_timeout_preimage(&timeout.place, view, &timeout.high, preimage);
    struct signer signer = signer_of(world, ASKER);
    signer.sign(signer.context, preimage, sizeof preimage, timeout.signature.bytes);
    return timeout;
}

static struct last_signed_answer answer_of(struct world *world) {
    struct last_signed_answer answer;
    memset(&answer, 0, sizeof answer);
    answer.query = world->query;
    answer.signer = ANSWERER;
    answer.has_prepare = true;
    answer.has_commit = true;
    answer.has_timeout = true;
    answer.prepare = vote_of(world, BFT_PREPARE, 3, 5, 44, 0x44);
    answer.commit = vote_of(world, BFT_COMMIT, 3, 5, 43, 0x43);
    answer.timeout = timeout_of(world, 4, 3);
    return answer;
}

static enum last_signed_error judge_bytes(struct world *world, const uint8_t *bytes, size_t count) {
    struct last_signed_answer answer;
    struct signer signer = signer_ed25519(NULL);
    enum last_signed_error error = last_signed_answer_decode(bytes, count, &answer);
    return error != LAST_SIGNED_OK ? error : last_signed_answer_verify(&world->members, &signer, &world->query, &answer);
}

static void answer_case(struct world *world, json_t *list, const char *name, const uint8_t *bytes, size_t count, enum last_signed_error expected) {
    CHECK(judge_bytes(world, bytes, count) == expected);
    json_t *item = item_in(list, name);
    set_hex(item, "payload", bytes, count);
    set_text(item, "expect", last_signed_error_name(expected));
}

static size_t signed_answer(struct world *world, struct last_signed_answer *answer, uint8_t *out) {
    struct signer signer = signer_of(world, answer->signer);
    return last_signed_answer_sign(&signer, answer, out);
}

static void answers_make(struct world *world, json_t *out) {
    json_t *list = child(out, "last_signed_answers", json_array());
    uint8_t bytes[LAST_SIGNED_ANSWER_BYTES_MAX + 1] = {0};
    struct last_signed_answer answer = answer_of(world);
    size_t count = signed_answer(world, &answer, bytes);
    answer_case(world, list, "all three items", bytes, count, LAST_SIGNED_OK);
    answer_case(world, list, "one byte more", bytes, count + 1, LAST_SIGNED_BAD_BYTES);
    answer_case(world, list, "one byte less", bytes, count - 1, LAST_SIGNED_BAD_BYTES);
    static const struct {
        const char *name;
        size_t offset;
        uint8_t flip;
        enum last_signed_error expected;
    } flips[] = {
        {"another system", 0, 1, LAST_SIGNED_BAD_QUERY},        {"another cluster", 16, 1, LAST_SIGNED_BAD_QUERY},
        {"another epoch", 20, 1, LAST_SIGNED_BAD_QUERY},        {"another asker", 28, 1, LAST_SIGNED_BAD_QUERY},
        {"asker 18", 28, 16, LAST_SIGNED_BAD_FIELD},            {"signer is the asker", 29, 3, LAST_SIGNED_BAD_FIELD},
        {"signer 5 of 4 members", 29, 4, LAST_SIGNED_BAD_SIGNER}, {"bit 3 of present", 30, 8, LAST_SIGNED_BAD_FIELD},
        {"zero is not", 31, 1, LAST_SIGNED_BAD_FIELD},          {"another nonce", 47, 1, LAST_SIGNED_BAD_QUERY},
        {"another member's name", 29, 1, LAST_SIGNED_BAD_SIGNATURE}, {"a flipped bit of an item", 48 + 60, 1, LAST_SIGNED_BAD_SIGNATURE},
    };
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        bytes[flips[i].offset] ^= flips[i].flip;
        answer_case(world, list, flips[i].name, bytes, count, flips[i].expected);
        bytes[flips[i].offset] ^= flips[i].flip;
    }
    answer.has_prepare = false;
    answer.has_commit = false;
    answer.has_timeout = false;
    answer_case(world, list, "nothing held", bytes, signed_answer(world, &answer, bytes), LAST_SIGNED_OK);
    answer = answer_of(world);
    answer.has_commit = false;
    answer_case(world, list, "PREPARE and TIMEOUT", bytes, signed_answer(world, &answer, bytes), LAST_SIGNED_OK);
    answer = answer_of(world);
    answer.prepare.ballot.height++;
    answer_case(world, list, "a PREPARE that the asker never signed", bytes, signed_answer(world, &answer, bytes), LAST_SIGNED_BAD_ITEM);
    answer = answer_of(world);
    answer.commit.signature = answer.prepare.signature;
    answer_case(world, list, "a PREPARE's signature on a COMMIT", bytes, signed_answer(world, &answer, bytes), LAST_SIGNED_BAD_ITEM);
    answer = answer_of(world);
    answer.timeout.place.cluster++;
    answer_case(world, list, "a TIMEOUT of another cluster", bytes, signed_answer(world, &answer, bytes), LAST_SIGNED_BAD_ITEM);
}

static void verdict_case(struct world *world, json_t *list, const char *name, const struct bft_memory *memory, struct last_signed_answer *answer,
                         enum last_signed_verdict expected) {
    static const char *const names[] = {"known", "newer", "other"};
    uint8_t bytes[LAST_SIGNED_ANSWER_BYTES_MAX];
    size_t count = signed_answer(world, answer, bytes);
    CHECK(judge_bytes(world, bytes, count) == LAST_SIGNED_OK && last_signed_judge(memory, answer) == expected);
    json_t *item = item_in(list, name);
    set_hex(item, "payload", bytes, count);
    if (memory) {
        json_t *held = child(item, "memory", json_object());
        set_number(held, "epoch", memory->place.epoch);
        set_number(held, "view", memory->view);
        set_number(held, "timed_out", memory->timed_out);
        if (memory->timed_out) {
            set_number(held, "timeout_high_view", memory->timeout_high.view);
            set_number(held, "timeout_high_height", memory->timeout_high.block.height);
            set_hex(held, "timeout_high_id", memory->timeout_high.block.id.bytes, 32);
        }
        uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
        bft_vote_preimage(&memory->prepared, BFT_PREPARE, preimage);
        if (memory->has_prepared) set_hex(held, "prepared", preimage + SIGNER_TAG_BYTES, BFT_BALLOT_BYTES);
        bft_vote_preimage(&memory->committed, BFT_COMMIT, preimage);
        if (memory->has_committed) set_hex(held, "committed", preimage + SIGNER_TAG_BYTES, BFT_BALLOT_BYTES);
    }
    set_text(item, "expect", names[expected]);
}

static void verdicts_make(struct world *world, json_t *out) {
    json_t *list = child(out, "last_signed_verdicts", json_array());
    struct last_signed_answer answer = answer_of(world);
    static struct bft_memory memory;
    memset(&memory, 0, sizeof memory);
    memory.place = world->members.place;
    memory.view = 5;
    memory.has_prepared = true;
    memory.has_committed = true;
    memory.prepared = answer.prepare.ballot;
    memory.committed = answer.commit.ballot;
    verdict_case(world, list, "as stored", &memory, &answer, LAST_SIGNED_KNOWN);
    verdict_case(world, list, "no memory at all", NULL, &answer, LAST_SIGNED_NEWER);
    answer.prepare = vote_of(world, BFT_PREPARE, 3, 5, 45, 0x45);
    verdict_case(world, list, "a higher PREPARE", &memory, &answer, LAST_SIGNED_NEWER);
    answer.prepare = vote_of(world, BFT_PREPARE, 3, 6, 1, 0x45);
    verdict_case(world, list, "a PREPARE of a higher view", &memory, &answer, LAST_SIGNED_NEWER);
    answer.prepare = vote_of(world, BFT_PREPARE, 3, 5, 44, 0x45);
    verdict_case(world, list, "another PREPARE at the same place", &memory, &answer, LAST_SIGNED_OTHER);
    answer.prepare = vote_of(world, BFT_PREPARE, 2, 9, 99, 0x45);
    verdict_case(world, list, "a PREPARE of an earlier epoch", &memory, &answer, LAST_SIGNED_KNOWN);
    answer = answer_of(world);
    memory.has_committed = false;
    verdict_case(world, list, "a COMMIT where none is stored", &memory, &answer, LAST_SIGNED_NEWER);
    memory.has_committed = true;
    answer.timeout = timeout_of(world, 5, 3);
    verdict_case(world, list, "a TIMEOUT of the view that is not timed out", &memory, &answer, LAST_SIGNED_NEWER);
    memory.timed_out = true;
    memory.timeout_high = answer.timeout.high;
    verdict_case(world, list, "the TIMEOUT as stored", &memory, &answer, LAST_SIGNED_KNOWN);
    answer.timeout = timeout_of(world, 5, 4);
    verdict_case(world, list, "a TIMEOUT with another high", &memory, &answer, LAST_SIGNED_OTHER);
    answer.timeout = timeout_of(world, 6, 4);
    verdict_case(world, list, "a TIMEOUT of a higher view", &memory, &answer, LAST_SIGNED_NEWER);
}

/* Checkpoints. */

struct entry {
    uint8_t path[32];
    uint8_t leaf[32];
    uint8_t key[8];
    uint8_t value[16];
    struct checkpoint_entry shown;
};

static struct entry entries[ENTRIES];

static int by_path(const void *a, const void *b) {
    return memcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path, 32);
}

static struct trie *state_make(json_t *out, uint8_t root[32]) {
    struct trie_limits limits = {.leaves_max = ENTRIES, .journal_max = 1};
    size_t bytes = (trie_memory_bytes(&limits) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    CHECK(memory);
    memset(memory, 0, bytes);
    struct trie *trie = trie_init(memory, bytes, &limits);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &entries[i];
        memcpy(entry->key, "key-", 4);
        entry->key[4] = (uint8_t)i;
        memset(entry->value, (int)(i * 3), sizeof entry->value);
        entry->shown = (struct checkpoint_entry){
            .space = (uint8_t)(i % 3 == 0), .key_bytes = 5, .value_bytes = i, .version_height = 30 + i, .version_index = i};
        trie_path((enum trie_space)entry->shown.space, entry->key, 5, entry->path);
    }
    qsort(entries, ENTRIES, sizeof entries[0], by_path);
    json_t *list = child(out, "checkpoint_entries", json_array());
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &entries[i];
        entry->shown.key = entry->key;
        entry->shown.value = entry->value;
        struct trie_value value = {.version_height = entry->shown.version_height, .version_index = entry->shown.version_index};
        trie_value_hash(entry->value, entry->shown.value_bytes, value.value_hash);
        trie_leaf_hash((enum trie_space)entry->shown.space, entry->key, 5, &value, entry->leaf);
        CHECK(trie_put(trie, entry->path, entry->leaf, i) == TRIE_OK);
        uint8_t bytes_of_entry[64];
        struct bytes_writer writer = bytes_writer_of(bytes_of_entry, sizeof bytes_of_entry);
        checkpoint_entry_put(&writer, &entry->shown);
        CHECK(!writer.failed);
        json_t *item = json_object();
        CHECK(json_array_append_new(list, item) == 0);
        set_hex(item, "path", entry->path, 32);
        set_hex(item, "entry", bytes_of_entry, writer.used);
    }
    trie_root(trie, root);
    set_hex(out, "checkpoint_state_root", root, 32);
    return trie;
}

static void certificate_make(struct world *world, struct checkpoint_shown *shown) {
    struct bft_hash id = bft_header_id(&shown->child);
    struct bft_qc *qc = &shown->certificate.qc;
    memset(&shown->certificate, 0, sizeof shown->certificate);
    bft_header_ballot(&shown->child, &id, &qc->ballot);
    qc->kind = BFT_COMMIT;
    qc->count = 3;
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
        struct signer signer = signer_of(world, i);
        bft_vote_preimage(&qc->ballot, BFT_COMMIT, preimage);
        signer.sign(signer.context, preimage, sizeof preimage, qc->signatures[i].bytes);
        qc->signers[i] = i;
    }
}

static void shown_make(struct world *world, uint64_t height, const uint8_t root[32], struct checkpoint_shown *shown, uint8_t *manifest_bytes,
                       size_t room) {
    static uint8_t items[3 * CHECKPOINT_ITEM_BYTES];
    memset(shown, 0, sizeof *shown);
    shown->header.place = world->members.place;
    shown->header.height = height;
    shown->header.view = 5;
    shown->header.time = 123456;
    struct bft_hash id = bft_header_id(&shown->header);
    shown->child = shown->header;
    shown->child.height++;
    shown->child.parent_id = id;
    memcpy(shown->child.state_root.bytes, root, 32);
    certificate_make(world, shown);
    struct checkpoint_item list[3] = {{.kind = CHECKPOINT_PENDING, .cluster = 0x00010000, .bytes = 321},
                                      {.kind = CHECKPOINT_ROUTING, .cluster = 0x00010000, .dseq = 7, .bytes = 152},
                                      {.kind = CHECKPOINT_SLICE, .cluster = 0x00010001, .dseq = 9, .bytes = 4096}};
    for (unsigned i = 0; i < 3; i++) {
        memset(list[i].hash, (int)(0xD0 + i), 32);
        checkpoint_item_encode(&list[i], items + i * CHECKPOINT_ITEM_BYTES);
    }
    struct checkpoint_manifest *manifest = &shown->manifest;
    manifest->cluster = world->members.place.cluster;
    manifest->epoch = world->members.place.epoch;
    manifest->height = height;
    manifest->entries = ENTRIES;
    for (unsigned i = 0; i < ENTRIES; i++) manifest->bytes += entries[i].shown.key_bytes + entries[i].shown.value_bytes + 64u;
    manifest->item_count = 3;
    manifest->items = items;
    memcpy(manifest->system_id, world->members.place.system_id, 16);
    memcpy(manifest->block_id, id.bytes, 32);
    memcpy(manifest->state_root, root, 32);
    struct bytes_writer writer = bytes_writer_of(manifest_bytes, room);
    checkpoint_manifest_put(&writer, manifest);
    CHECK(!writer.failed);
    shown->manifest_bytes = manifest_bytes;
    shown->manifest_count = writer.used;
}

static void shown_case(struct world *world, json_t *list, const char *name, const struct checkpoint_shown *shown, enum checkpoint_error expected) {
    static uint8_t payload[ROOM];
    struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
    checkpoint_message_head_put(&writer, 77, 1);
    checkpoint_shown_put(&writer, shown);
    CHECK(!writer.failed);
    struct checkpoint_shown back[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce = 0;
    uint16_t number = 0;
    struct signer signer = signer_ed25519(NULL);
    enum checkpoint_error error = checkpoint_message_decode(payload, writer.used, &nonce, back, &number);
    if (error == CHECKPOINT_OK) error = checkpoint_shown_verify(&world->members, &signer, K, &back[0]);
    CHECK(error == expected);
    json_t *item = item_in(list, name);
    set_hex(item, "payload", payload, writer.used);
    set_number(item, "checkpoint_blocks", K);
    set_text(item, "expect", checkpoint_error_name(expected));
}

static void shown_cases(struct world *world, json_t *out, const uint8_t root[32]) {
    static struct checkpoint_shown shown;
    static uint8_t manifest[1024];
    json_t *list = child(out, "checkpoints", json_array());
    shown_make(world, HEIGHT, root, &shown, manifest, sizeof manifest);
    shown_case(world, list, "whole", &shown, CHECKPOINT_OK);
    uint8_t hash[32];
    checkpoint_manifest_hash(manifest, shown.manifest_count, hash);
    set_hex(out, "manifest", manifest, shown.manifest_count);
    set_hex(out, "manifest_hash", hash, 32);
    manifest[125] = 1;
    shown_case(world, list, "zero of an item is not", &shown, CHECKPOINT_BAD_FIELD);
    manifest[125] = 0;
    manifest[0] = 2;
    shown_case(world, list, "format 2", &shown, CHECKPOINT_BAD_FIELD);
    manifest[0] = 1;
    manifest[124 + 56] = CHECKPOINT_PENDING;
    shown_case(world, list, "items do not ascend", &shown, CHECKPOINT_BAD_FIELD);
    shown_make(world, HEIGHT + 1, root, &shown, manifest, sizeof manifest);
    shown_case(world, list, "height not divisible by K", &shown, CHECKPOINT_BAD_PLACE);
    shown_make(world, HEIGHT, root, &shown, manifest, sizeof manifest);
    shown.child.state_root.bytes[31] ^= 1;
    certificate_make(world, &shown);
    shown_case(world, list, "the child certifies another root", &shown, CHECKPOINT_BAD_HEADER);
    shown_make(world, HEIGHT, root, &shown, manifest, sizeof manifest);
    shown.header.time++;
    shown_case(world, list, "another header", &shown, CHECKPOINT_BAD_HEADER);
    shown_make(world, HEIGHT, root, &shown, manifest, sizeof manifest);
    shown.certificate.qc.signatures[2].bytes[0] ^= 1;
    shown_case(world, list, "one signature is wrong", &shown, CHECKPOINT_BAD_CERTIFICATE);
}

static size_t entries_piece(struct trie *trie, const struct checkpoint_piece_query *query, uint8_t *payload, size_t room) {
    struct checkpoint_piece piece = {.nonce = query->nonce};
    memcpy(piece.manifest_hash, query->manifest_hash, 32);
    for (unsigned i = 0; i < ENTRIES; i++) piece.total += trie_prefix_equal(entries[i].path, query->prefix, query->prefix_bits);
    struct bytes_writer writer = bytes_writer_of(payload, room);
    checkpoint_piece_head_put(&writer, &piece);
    uint8_t *length = bytes_put_space(&writer, 4);
    size_t before = writer.used;
    struct trie_proof_leaf leaf;
    struct trie_proof_other other;
    memset(&other, 0, sizeof other);
    if (trie_prefix_proof_find(trie, query->prefix, query->prefix_bits, &leaf) == TRIE_PROOF_OTHER) {
        const struct entry *entry = &entries[leaf.ref];
        other = (struct trie_proof_other){.space = (enum trie_space)entry->shown.space, .key = entry->key, .key_bytes = entry->shown.key_bytes};
        other.value.version_height = entry->shown.version_height;
        other.value.version_index = entry->shown.version_index;
        trie_value_hash(entry->value, entry->shown.value_bytes, other.value.value_hash);
    }
    trie_prefix_proof_write(trie, query->prefix, query->prefix_bits, &other, &writer);
    CHECK(!writer.failed);
    bytes_put_le32(length, (uint32_t)(writer.used - before));
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (trie_prefix_equal(entries[i].path, query->prefix, query->prefix_bits)) checkpoint_entry_put(&writer, &entries[i].shown);
    }
    CHECK(!writer.failed);
    return writer.used;
}

static void piece_case(json_t *list, const char *name, const struct checkpoint_piece_query *query, const uint8_t root[32], const uint8_t *payload,
                       size_t count, enum checkpoint_error expected) {
    struct checkpoint_piece piece;
    struct bytes_cursor cursor;
    const uint8_t *subroots;
    enum checkpoint_error error = checkpoint_piece_decode(payload, count, &piece);
    if (error == CHECKPOINT_OK && query->kind == CHECKPOINT_ENTRIES) error = checkpoint_entries_verify(&piece, query, root, &cursor);
    if (error == CHECKPOINT_OK && query->kind == CHECKPOINT_SUBROOTS_OF) error = checkpoint_subroots_verify(&piece, query, root, &subroots);
    CHECK(error == expected);
    uint8_t query_bytes[CHECKPOINT_PIECE_QUERY_BYTES];
    checkpoint_piece_query_encode(query, query_bytes);
    json_t *item = item_in(list, name);
    set_hex(item, "query", query_bytes, sizeof query_bytes);
    set_hex(item, "payload", payload, count);
    set_hex(item, "against", root, 32);
    set_text(item, "expect", checkpoint_error_name(expected));
}

static void entries_cases(struct trie *trie, json_t *list, const uint8_t root[32]) {
    static uint8_t payload[ROOM];
    struct checkpoint_piece_query query = {.nonce = 5};
    memset(query.manifest_hash, 0x16, 32);
    size_t count = entries_piece(trie, &query, payload, sizeof payload);
    piece_case(list, "all entries in one piece", &query, root, payload, count, CHECKPOINT_OK);
    for (unsigned number = 0; number < 16; number++) {
        char name[32];
        (void)snprintf(name, sizeof name, "prefix %x of 4 bits", number);
        query.prefix_bits = 4;
        query.prefix[0] = (uint8_t)(number << 4);
        count = entries_piece(trie, &query, payload, sizeof payload);
        piece_case(list, name, &query, root, payload, count, CHECKPOINT_OK);
    }
    query.prefix_bits = 0;
    query.prefix[0] = 0;
    count = entries_piece(trie, &query, payload, sizeof payload);
    payload[count - 1] ^= 1;
    piece_case(list, "a flipped bit of a value", &query, root, payload, count, CHECKPOINT_BAD_PROOF);
    payload[count - 1] ^= 1;
    payload[0] ^= 1;
    piece_case(list, "another nonce", &query, root, payload, count, CHECKPOINT_BAD_NONCE);
    payload[0] ^= 1;
    payload[48]--;
    piece_case(list, "one entry more than total says", &query, root, payload, count, CHECKPOINT_BAD_BYTES);
    payload[48]++;
    query.prefix_bits = 1;
    piece_case(list, "entries without the prefix", &query, root, payload, count, CHECKPOINT_BAD_ORDER);
}

static void subroots_cases(struct trie *trie, json_t *list, const uint8_t root[32]) {
    static uint8_t payload[ROOM];
    struct checkpoint_piece_query query = {.nonce = 6, .kind = CHECKPOINT_SUBROOTS_OF};
    struct checkpoint_piece piece = {.nonce = 6, .kind = CHECKPOINT_SUBROOTS_OF, .total = CHECKPOINT_SUBROOTS};
    struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
    checkpoint_piece_head_put(&writer, &piece);
    for (unsigned i = 0; i < CHECKPOINT_SUBROOTS; i++) {
        uint8_t prefix[32] = {(uint8_t)i};
        uint8_t subroot[32];
        trie_prefix_hash(trie, prefix, 8, subroot);
        bytes_put_hash(&writer, subroot);
    }
    CHECK(!writer.failed);
    piece_case(list, "subroots of the whole", &query, root, payload, writer.used, CHECKPOINT_OK);
    payload[CHECKPOINT_PIECE_HEAD_BYTES + 32 * entries[3].path[0]] ^= 1;
    piece_case(list, "one subroot is wrong", &query, root, payload, writer.used, CHECKPOINT_BAD_PROOF);
    piece_case(list, "a subroot is missing", &query, root, payload, writer.used - 32, CHECKPOINT_BAD_BYTES);
}

static void refusals(json_t *list, const uint8_t root[32]) {
    uint8_t payload[CHECKPOINT_PIECE_HEAD_BYTES];
    struct checkpoint_piece_query query = {.nonce = 8, .kind = CHECKPOINT_SLICE, .cluster = 0x00010001, .dseq = 9, .offset = 1048576};
    static const struct {
        const char *name;
        uint8_t code;
        uint32_t hint;
        enum checkpoint_error expected;
    } cases[] = {{"UNKNOWN", 1, 0, CHECKPOINT_OK},
                 {"UNKNOWN with a hint", 1, 9, CHECKPOINT_BAD_FIELD},
                 {"TOO-LARGE, 4 bits more", 2, 4, CHECKPOINT_OK},
                 {"TOO-LARGE, 17 bits more", 2, 17, CHECKPOINT_BAD_FIELD},
                 {"BUSY for 250 ms", 3, 250, CHECKPOINT_OK},
                 {"code 4", 4, 0, CHECKPOINT_BAD_FIELD}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct checkpoint_piece piece = {.nonce = 8, .kind = CHECKPOINT_SLICE, .code = cases[i].code, .hint = cases[i].hint};
        struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
        checkpoint_piece_head_put(&writer, &piece);
        piece_case(list, cases[i].name, &query, root, payload, writer.used, cases[i].expected);
    }
}

void gen_durability(json_t *out) {
    static struct world world;
    CHECK(ed25519_start(NULL));
    world_make(&world, out);
    uint8_t query[LAST_SIGNED_QUERY_BYTES];
    last_signed_query_encode(&world.query, query);
    set_hex(out, "last_signed_query", query, sizeof query);
    answers_make(&world, out);
    verdicts_make(&world, out);
    uint8_t root[32];
    struct trie *trie = state_make(out, root);
    shown_cases(&world, out, root);
    json_t *pieces = child(out, "pieces", json_array());
    entries_cases(trie, pieces, root);
    subroots_cases(trie, pieces, root);
    refusals(pieces, root);
    free(trie); /* it lies at the beginning of its memory */
}
