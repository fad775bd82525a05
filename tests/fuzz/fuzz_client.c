/*
 * What a client reads that others wrote: ANSWER, REFUSED, STATUS_ANSWER, and its own journal (client/answer.c, nodes.c, journal.c; O-51, O-52, O-60).
 *
 *   byte 0  0 an ANSWER, as it is                       3 a STATUS_ANSWER, its nonce the one that was asked for
 *           1 certified ANSWERs of items made here      4 one of statuses signed here
 *           2 REFUSEDs of many nodes                    5 a journal behind its head     6 one of records made here
 *   byte 1  0, 1, 2: flags of the request (HERACLIUS_RECEIPT)
 *   rest    as take_*() below cut it up
 *
 * A handle on a fixed system, whose links are never opened. One request of two reads and four writes, over two shards, waits for what comes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/operation.h"
#include "protocol/receipt.h"
#include "tests/protocol/decided.h"
#include "tests/protocol/identity_fixture.h"

enum { SHARDS = 2, NODES = 4, NUMBER = 100, ITEMS_MAX = 32, REFUSED_BYTES = 40, HEAD_BYTES = 56, PIECES_MAX = 64, NOW_MS = 1000 };
enum { MESSAGE_ANSWER = 0x0302, MESSAGE_REFUSED = 0x0303, MESSAGE_STATUS_ANSWER = 0x0305 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fixture *fixture;
static struct heraclius *db;
static struct decider decider;
static char folder[256];

static void path_of(char out[512], const char *name) {
    snprintf(out, 512, "%s/%s", folder, name);
}

static void folder_remove(void) {
    static const char *const names[] = {"system.json", "addresses.json", "client.key", "client.key.journal", "fuzz.journal"};
    char path[512];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        path_of(path, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static void file_write(const char *name, const uint8_t *bytes, size_t count) {
    char path[512];
    path_of(path, name);
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(bytes, 1, count, file) == count && fclose(file) == 0);
}

static void decider_of_coordinators(void) {
    decider.members = db->members[0];
    for (uint32_t i = 0; i < NODES; i++) decider.secrets[i] = &fixture->nodes[0][i].signing;
    decider.height = 7;
    decider.time = 1000;
}

static void set_up(void) {
    char path[512], why[HERACLIUS_TEXT_BYTES];
    snprintf(folder, sizeof folder, "%s/fuzz-client-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(folder) && atexit(folder_remove) == 0);
    fixture = fixture_new(71, 1, SHARDS, NODES);
    path_of(path, "system.json");
    CHECK(assembly_write(fixture->assembly, path, NULL) == SYSTEM_OK);
    path_of(path, "client.key");
    CHECK(keyfile_create(&fixture->clients[0], path, NULL) == SYSTEM_OK);
    struct addresses *addresses = calloc(1, sizeof *addresses);
    CHECK(addresses);
    memcpy(addresses->system_id, fixture->assembly->system.system_id, 16);
    size_t count;
    char *text = addresses_encode_json(addresses, &count);
    CHECK(text);
    file_write("addresses.json", (const uint8_t *)text, count);
    free(text);
    free(addresses);
    path_of(path, "system.json");
    struct heraclius_options options = {.system_path = path};
    if (heraclius_open(&db, &options, why) != HERACLIUS_OK) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    decider_of_coordinators();
}

/* ---- a request that waits ---- */

static struct heraclius_request *request_begin(unsigned flags) {
    static const char *const keys[] = {"{a}r", "{a}1", "{a}2", "{d}1", "{d}2", "{d}3"};
    struct heraclius_request *request = heraclius_request_new(db);
    CHECK(request);
    heraclius_request_flags(request, flags & HERACLIUS_RECEIPT);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        bool reads = i == 0 || i == 3;
        reads ? heraclius_get(request, keys[i], 4, 100, true) : heraclius_add(request, keys[i], 4, (int64_t)i, NULL);
    }
    for (uint32_t s = 0; s < SHARDS; s++) db->numbers[s] = (struct numbering){.known = true, .next = NUMBER};
    CHECK(client_request_prepare(request) && client_request_build(request));
    request->deadline_ms = UINT64_MAX;
    client_engine_start(request, NOW_MS);
    for (uint32_t i = 0; i < db->node_count; i++) db->nodes[i].state = db->nodes[i].card ? NODE_UP : NODE_IDLE;
    return request;
}

static void request_end(struct heraclius_request *request) {
    heraclius_request_free(request);
    CHECK(!db->held && !db->sendings);
    for (uint32_t s = 0; s < SHARDS; s++) (void)client_journal_settled(db, s, NUMBER, 0, 0);
    CHECK(db->journal.writes_count == 0);
    client_buffer_free(&db->journal.pending);
    for (uint32_t i = 0; i < db->node_count; i++) db->nodes[i].state = NODE_IDLE;
}

/* Every result is within its bytes (the sanitizer looks), every receipt verifies. How many operations have a result. */
static uint32_t results_look(const struct heraclius_request *request) {
    uint32_t count = 0, sum = 0;
    for (size_t i = 0; i < heraclius_request_count(request); i++) {
        const struct heraclius_result *result = heraclius_result_at(request, i);
        count += result != NULL;
        if (result && result->has_value) {
            for (uint32_t k = 0; k < result->value_bytes; k++) sum += result->value[k];
        }
        size_t bytes;
        const uint8_t *whole = heraclius_receipt_at(request, i, &bytes);
        struct receipt receipt;
        enum decision_error cause;
        if (!whole) continue;
        CHECK(receipt_decode(whole, bytes, &receipt, &cause) == RECEIPT_OK);
        CHECK(receipt_verify(&receipt, &db->members[0], &db->signer, &cause) == RECEIPT_OK);
    }
    CHECK(sum < UINT32_MAX);
    return count;
}

/* ---- ANSWER ---- */

static void answer_raw(struct bytes_cursor *input, struct heraclius_request *request) {
    client_answer_frame(&db->nodes[0], MESSAGE_ANSWER, input->at, input->left, NOW_MS);
    CHECK(results_look(request) == 0); /* nobody here has a member's key */
}

/* The part of this index over both sendings; NULL beyond. */
static const struct part *part_at(const struct heraclius_request *request, uint32_t index) {
    for (int kind = 0; kind < 2; kind++) {
        const struct sending *sending = request->sendings[kind];
        if (!sending) continue;
        if (index < sending->part_count) return &sending->parts[index];
        index -= sending->part_count;
    }
    return NULL;
}

/* kind, code, part, first_op, op_count, height, bytes of results (0xFF: 300), then these. False: no more, or the end of this answer (kind 0xFF). */
static bool take_item(struct bytes_cursor *input, const struct heraclius_request *request, struct decided_item *item) {
    static const uint8_t stranger[32];
    uint8_t head[7];
    for (size_t i = 0; i < sizeof head; i++) head[i] = bytes_get_u8(input);
    if (input->failed || head[0] == 0xFF) return false;
    const struct part *part = part_at(request, head[2] & 7);
    uint32_t count = head[6] == 0xFF ? 300 : head[6];
    const uint8_t *results = bytes_get_raw(input, count);
    if (!results) return false;
    struct client_item made = {.kind = head[0],
                               .code = head[1],
                               .shard = SHARD_CLUSTER_BASE + (part ? part->shard : 0) + (head[2] >> 7),
                               .part_digest = part ? part->digest : stranger,
                               .height = head[5],
                               .index = head[3],
                               .first_op = head[3],
                               .op_count = head[4]};
    item->bytes = decided_item(made, results, count, &item->count);
    return true;
}

static void answer_made(struct bytes_cursor *input, struct heraclius_request *request) {
    for (uint32_t round = 0; !input->failed && input->left > 0 && round < 8 && request->state == REQUEST_PENDING; round++) {
        struct decided_item items[ITEMS_MAX];
        uint32_t count = 0;
        while (count < ITEMS_MAX && take_item(input, request, &items[count])) count++;
        if (count == 0) continue;
        size_t slice_bytes, bytes;
        uint8_t *slice = decided_client_slice(items, count, &slice_bytes);
        struct leaf leaf = {.kind = LEAF_KIND_CLIENT};
        memcpy(leaf.client_id, db->key.card_id, 32);
        uint8_t *answer = decided_make(&decider, &(struct decided_how){0}, &leaf, 1, 3, slice, slice_bytes, &bytes);
        client_answer_frame(&db->nodes[round % NODES], MESSAGE_ANSWER, answer, bytes, NOW_MS + round);
        free(answer);
        free(slice);
        for (uint32_t i = 0; i < count; i++) free((void *)(uintptr_t)items[i].bytes);
        (void)results_look(request);
    }
}

/* ---- REFUSED: node, which sending (else the bytes as they are), code, wait; of a length that may be wrong ---- */

static void refused(struct bytes_cursor *input, struct heraclius_request *request) {
    for (uint32_t i = 0; i < PIECES_MAX && request->state == REQUEST_PENDING; i++) {
        uint8_t payload[REFUSED_BYTES + 1] = {0};
        uint8_t node = bytes_get_u8(input), which = bytes_get_u8(input);
        payload[32] = bytes_get_u8(input);
        payload[33] = bytes_get_u8(input);
        bytes_put_le32(payload + 36, bytes_get_u32(input));
        if (input->failed) break;
        const struct sending *sending = request->sendings[which & 1];
        if (sending && !(which & 2)) memcpy(payload, sending->id, 32);
        client_answer_frame(&db->nodes[node % NODES], MESSAGE_REFUSED, payload, which & 4 ? which % 42 : REFUSED_BYTES, NOW_MS);
    }
    for (size_t i = 0; i < heraclius_request_count(request); i++) { /* uncertified: no value, and of a write not even its code */
        const struct heraclius_result *result = heraclius_result_at(request, i);
        CHECK(!result || (!result->has_value && (result->code == HERACLIUS_CODE_RIGHTS || result->code == HERACLIUS_CODE_REVOKED ||
                                                 result->code == HERACLIUS_CODE_MALFORMED)));
    }
}

/* ---- STATUS_ANSWER ---- */

static void status_begin(struct node *node) {
    for (uint32_t i = 0; i < db->node_count; i++) {
        struct node *at = &db->nodes[i];
        db->statuses[i] = (struct heraclius_node_status){.name = at->card ? at->card->name : "", .cluster = at->cluster, .member = at->member};
        at->status_asked = at->status_came = false;
    }
    node->status_asked = true;
    node->status_nonce = 0x1122334455667788;
}

static void status_answer(struct node *node, uint8_t *payload, size_t count) {
    status_begin(node);
    if (count >= 8) bytes_put_le64(payload, node->status_nonce);
    for (int twice = 0; twice < 2; twice++) client_answer_frame(node, MESSAGE_STATUS_ANSWER, payload, count, NOW_MS);
    for (uint32_t i = 0; i < db->node_count; i++) {
        const struct heraclius_node_status *status = &db->statuses[i];
        CHECK(status->witnesses <= 1 && status->heard == (status->witnesses == 1)); /* one node was asked, and answered twice */
        CHECK(!status->heard || status->cluster == node->cluster);
    }
    node->status_asked = false;
}

static void status_raw(struct bytes_cursor *input) {
    uint8_t node = bytes_get_u8(input);
    if (input->failed) return;
    size_t count = input->left;
    uint8_t *payload = malloc(count ? count : 1);
    CHECK(payload);
    memcpy(payload, input->at, count);
    status_answer(&db->nodes[node % db->node_count], payload, count);
    free(payload);
}

/* node; then cluster, signer, height, view, flags, spoiled byte (0xFF: none) of each status. */
static void status_made(struct bytes_cursor *input) {
    static uint8_t payload[1 << 16];
    struct node *node = &db->nodes[bytes_get_u8(input) % db->node_count];
    struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
    bytes_put_u64(&writer, 0);
    bytes_put_u32(&writer, 0);
    uint32_t count = 0;
    for (; count < PIECES_MAX; count++) {
        uint8_t bytes[BFT_WIRE_HEAD_BYTES_MAX], cluster = bytes_get_u8(input), signer = bytes_get_u8(input) % NODES;
        struct bft_message message = {.type = BFT_MESSAGE_STATUS};
        message.status.place = db->members[cluster % (1 + SHARDS)].place;
        message.status.signer = signer;
        message.status.final.height = bytes_get_u8(input);
        message.status.view = bytes_get_u8(input);
        message.status.flags = bytes_get_u8(input);
        uint8_t spoiled = bytes_get_u8(input);
        if (input->failed) break;
        struct signer key = signer_ed25519(&fixture->nodes[cluster % (1 + SHARDS)][signer].signing);
        bft_message_sign(&key, &message);
        size_t used = bft_wire_encode(&message, bytes, sizeof bytes);
        if (spoiled != 0xFF) bytes[spoiled % used] ^= 1;
        bytes_put_u32(&writer, (uint32_t)used);
        bytes_put_raw(&writer, bytes, used);
    }
    CHECK(!writer.failed);
    bytes_put_le32(payload + 8, count);
    status_answer(node, payload, writer.used);
}

/* ---- the journal ---- */

static size_t journal_open_parts(const char *key_path, uint64_t next[SHARDS], bool *opened) {
    char why[HERACLIUS_TEXT_BYTES];
    size_t open = 0;
    struct heraclius_unsettled write;
    memset(db->numbers, 0, SHARDS * sizeof *db->numbers);
    db->journal = (struct journal){.fd = -1};
    *opened = client_journal_open(db, key_path, why) == HERACLIUS_OK;
    while (*opened && heraclius_unsettled_at(db, open, &write)) open++;
    CHECK(!*opened || open == heraclius_unsettled_count(db));
    for (uint32_t s = 0; s < SHARDS; s++) {
        next[s] = db->numbers[s].known ? db->numbers[s].next : 0;
        (void)client_numbers_floor(db, s);
    }
    client_journal_close(db);
    return open;
}

/* Whatever is taken is taken again, the same, from the file that was written anew. */
static void journal(const uint8_t *bytes, size_t count) {
    static const uint8_t magic[8] = {'H', 'R', 'C', 'J', 'R', 'N', 'L', '1'};
    uint8_t *file = malloc(HEAD_BYTES + count);
    CHECK(file);
    memcpy(file, magic, 8);
    memcpy(file + 8, db->system->system_id, 16);
    memcpy(file + 24, db->key.card_id, 32);
    if (count > 0) memcpy(file + HEAD_BYTES, bytes, count);
    file_write("fuzz.journal", file, HEAD_BYTES + count);
    free(file);
    char key_path[512];
    path_of(key_path, "fuzz");
    struct journal kept = db->journal;
    uint64_t next[SHARDS], next_again[SHARDS];
    bool opened, again;
    size_t open = journal_open_parts(key_path, next, &opened);
    if (opened) {
        CHECK(journal_open_parts(key_path, next_again, &again) == open && again);
        CHECK(memcmp(next, next_again, sizeof next) == 0);
    }
    db->journal = kept;
}

/* type, bytes of the payload u16, payload; with its length and checksum. */
static void journal_made(struct bytes_cursor *input) {
    static uint8_t records[1 << 20];
    struct bytes_writer writer = bytes_writer_of(records, sizeof records);
    while (!writer.failed) {
        uint8_t type = bytes_get_u8(input), hash[SHA256_BYTES];
        uint16_t count = bytes_get_u16(input);
        const uint8_t *payload = bytes_get_raw(input, count);
        if (!payload) break;
        struct sha256_state state;
        sha256_init(&state);
        sha256_update(&state, &type, 1);
        sha256_update(&state, payload, count);
        sha256_final(&state, hash);
        bytes_put_u32(&writer, count);
        bytes_put_u8(&writer, type);
        bytes_put_raw(&writer, payload, count);
        bytes_put_raw(&writer, hash, 8);
    }
    if (!writer.failed) journal(records, writer.used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!db) set_up();
    if (size < 2) return 0;
    uint8_t what = data[0] % 7;
    bool asks = what <= 2;
    struct bytes_cursor input = bytes_cursor_of(data + 1, size - 1);
    struct heraclius_request *request = asks ? request_begin(bytes_get_u8(&input)) : NULL;
    switch (what) {
    case 0: answer_raw(&input, request); break;
    case 1: answer_made(&input, request); break;
    case 2: refused(&input, request); break;
    case 3: status_raw(&input); break;
    case 4: status_made(&input); break;
    case 5: journal(input.at, input.left); break;
    default: journal_made(&input); break;
    }
    if (asks) request_end(request);
    return 0;
}
