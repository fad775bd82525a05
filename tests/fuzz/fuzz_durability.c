/* The messages of chapter 8: u8 which of seven decoders, then the payload. What is accepted encodes to the same bytes, and verifying it stays in
 * bounds. */
#include "merkle/check.h"
#include "protocol/checkpoint.h"
#include "protocol/last_signed.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void last_query(const uint8_t *bytes, size_t count) {
    struct last_signed_query query;
    uint8_t again[LAST_SIGNED_QUERY_BYTES];
    if (last_signed_query_decode(bytes, count, &query) != LAST_SIGNED_OK) return;
    last_signed_query_encode(&query, again);
    CHECK(count == sizeof again && memcmp(again, bytes, count) == 0);
}

static void sign_nothing(void *context, const uint8_t *bytes, size_t count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    (void)bytes;
    (void)count;
    memcpy(signature, context, SIGNER_SIGNATURE_BYTES);
}

static void last_answer(const uint8_t *bytes, size_t count) {
    static struct last_signed_answer answer;
    uint8_t signature[SIGNER_SIGNATURE_BYTES];
    uint8_t again[LAST_SIGNED_ANSWER_BYTES_MAX];
    if (last_signed_answer_decode(bytes, count, &answer) != LAST_SIGNED_OK) return;
    struct signer signer = {.context = signature, .sign = sign_nothing};
    memcpy(signature, answer.signature, sizeof signature);
    CHECK(last_signed_answer_sign(&signer, &answer, again) == count && memcmp(again, bytes, count) == 0);
    (void)!last_signed_judge(NULL, &answer);
}

static void shown(const uint8_t *bytes, size_t count) {
    static struct checkpoint_shown back[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce;
    uint16_t number;
    if (checkpoint_message_decode(bytes, count, &nonce, back, &number) != CHECKPOINT_OK) return;
    uint8_t *again = malloc(count + 1);
    CHECK(again);
    struct bytes_writer writer = bytes_writer_of(again, count);
    checkpoint_message_head_put(&writer, nonce, number);
    for (uint16_t i = 0; i < number; i++) checkpoint_shown_put(&writer, &back[i]);
    CHECK(!writer.failed && writer.used == count && memcmp(again, bytes, count) == 0);
    free(again);
}

static void manifest(const uint8_t *bytes, size_t count) {
    struct checkpoint_manifest back;
    if (checkpoint_manifest_decode(bytes, count, &back) != CHECKPOINT_OK) return;
    for (uint32_t i = 0; i < back.item_count; i++) (void)checkpoint_manifest_item(&back, i);
}

static void piece_query(const uint8_t *bytes, size_t count) {
    struct checkpoint_piece_query query;
    uint8_t again[CHECKPOINT_PIECE_QUERY_BYTES];
    if (checkpoint_piece_query_decode(bytes, count, &query) != CHECKPOINT_OK) return;
    checkpoint_piece_query_encode(&query, again);
    CHECK(count == sizeof again && memcmp(again, bytes, count) == 0);
}

static void piece(const uint8_t *bytes, size_t count) {
    struct checkpoint_piece back;
    if (checkpoint_piece_decode(bytes, count, &back) != CHECKPOINT_OK) return;
    struct checkpoint_piece_query query = {.nonce = back.nonce, .kind = back.kind, .prefix_bits = (uint16_t)(back.nonce % 249)};
    memcpy(query.manifest_hash, back.manifest_hash, 32);
    uint8_t root[32] = {1};
    struct bytes_cursor entries;
    const uint8_t *subroots;
    CHECK(checkpoint_entries_verify(&back, &query, root, &entries) != CHECKPOINT_OK);
    CHECK(checkpoint_subroots_verify(&back, &query, root, &subroots) != CHECKPOINT_OK);
}

static void query_of(const uint8_t *bytes, size_t count) {
    struct checkpoint_query query;
    uint8_t again[CHECKPOINT_QUERY_BYTES];
    if (checkpoint_query_decode(bytes, count, &query) != CHECKPOINT_OK) return;
    checkpoint_query_encode(&query, again);
    CHECK(count == sizeof again && memcmp(again, bytes, count) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const decoders[])(const uint8_t *, size_t) = {last_query, last_answer, shown, manifest, piece_query, piece, query_of};
    if (size < 1) return 0;
    decoders[data[0] % (sizeof decoders / sizeof decoders[0])](data + 1, size - 1);
    return 0;
}
