/* Headers, QCs, TIMEOUTs, TCs and certificates to bytes and back, and what is signed (spec/consensus.md B-3 to B-11). */
#include "bft/wire.h"
#include "merkle/check.h"

/* Names the first cause and fails the cursor. */
static bool refuse(struct bytes_cursor *cursor, enum bft_wire_error *error, enum bft_wire_error cause) {
    cursor->failed = true;
    if (error) *error = cause;
    return false;
}

static void place_put(struct bytes_writer *writer, const struct bft_place *place) {
    bytes_put_raw(writer, place->system_id, BFT_SYSTEM_BYTES);
    bytes_put_hash(writer, place->config_hash.bytes);
    bytes_put_u32(writer, place->cluster);
    bytes_put_u64(writer, place->epoch);
}

static void place_get(struct bytes_cursor *cursor, struct bft_place *place) {
    bytes_get_copy(cursor, place->system_id, BFT_SYSTEM_BYTES);
    bytes_get_hash(cursor, place->config_hash.bytes);
    place->cluster = bytes_get_u32(cursor);
    place->epoch = bytes_get_u64(cursor);
}

void bft_header_put(struct bytes_writer *writer, const struct bft_header *header) {
    place_put(writer, &header->place);
    bytes_put_u64(writer, header->view);
    bytes_put_u64(writer, header->height);
    bytes_put_hash(writer, header->outbox_root.bytes);
    bytes_put_hash(writer, header->parent_id.bytes);
    bytes_put_hash(writer, header->body_hash.bytes);
    bytes_put_hash(writer, header->state_root.bytes);
    bytes_put_hash(writer, header->cursors_hash.bytes);
    bytes_put_u64(writer, header->time);
}

bool bft_header_get(struct bytes_cursor *cursor, struct bft_header *header) {
    place_get(cursor, &header->place);
    header->view = bytes_get_u64(cursor);
    header->height = bytes_get_u64(cursor);
    bytes_get_hash(cursor, header->outbox_root.bytes);
    bytes_get_hash(cursor, header->parent_id.bytes);
    bytes_get_hash(cursor, header->body_hash.bytes);
    bytes_get_hash(cursor, header->state_root.bytes);
    bytes_get_hash(cursor, header->cursors_hash.bytes);
    header->time = bytes_get_u64(cursor);
    return !cursor->failed;
}

static void ballot_put(struct bytes_writer *writer, const struct bft_ballot *ballot) {
    place_put(writer, &ballot->place);
    bytes_put_u64(writer, ballot->view);
    bytes_put_u64(writer, ballot->height);
    bytes_put_hash(writer, ballot->block_id.bytes);
    bytes_put_hash(writer, ballot->outbox_root.bytes);
}

static void ballot_get(struct bytes_cursor *cursor, struct bft_ballot *ballot) {
    place_get(cursor, &ballot->place);
    ballot->view = bytes_get_u64(cursor);
    ballot->height = bytes_get_u64(cursor);
    bytes_get_hash(cursor, ballot->block_id.bytes);
    bytes_get_hash(cursor, ballot->outbox_root.bytes);
}

static void high_put(struct bytes_writer *writer, const struct bft_high *high) {
    bytes_put_u64(writer, high->view);
    bytes_put_u64(writer, high->block.height);
    bytes_put_hash(writer, high->block.id.bytes);
}

static void high_get(struct bytes_cursor *cursor, struct bft_high *high) {
    high->view = bytes_get_u64(cursor);
    high->block.height = bytes_get_u64(cursor);
    bytes_get_hash(cursor, high->block.id.bytes);
}

void bft_qc_put(struct bytes_writer *writer, const struct bft_qc *qc) {
    CHECK(qc->count <= BFT_MEMBERS_MAX);
    bytes_put_u8(writer, (uint8_t)(qc->kind + 1));
    bytes_put_u8(writer, qc->count);
    bytes_put_u16(writer, 0);
    ballot_put(writer, &qc->ballot);
    for (uint32_t i = 0; i < qc->count; i++) {
        bytes_put_u8(writer, qc->signers[i]);
        bytes_put_raw(writer, qc->signatures[i].bytes, SIGNER_SIGNATURE_BYTES);
    }
}

bool bft_qc_get(struct bytes_cursor *cursor, struct bft_qc *qc, enum bft_wire_error *error) {
    memset(qc, 0, sizeof *qc);
    uint8_t kind = bytes_get_u8(cursor);
    uint8_t count = bytes_get_u8(cursor);
    uint16_t zero = bytes_get_u16(cursor);
    if (cursor->failed) return refuse(cursor, error, BFT_WIRE_TRUNCATED);
    if (kind < 1 || kind > 2 || count < 1 || count > BFT_QUORUM_MAX) return refuse(cursor, error, BFT_WIRE_RANGE);
    if (zero != 0) return refuse(cursor, error, BFT_WIRE_ZERO);
    qc->kind = (uint8_t)(kind - 1);
    qc->count = count;
    ballot_get(cursor, &qc->ballot);
    for (uint32_t i = 0; i < count; i++) {
        qc->signers[i] = bytes_get_u8(cursor);
        bytes_get_copy(cursor, qc->signatures[i].bytes, SIGNER_SIGNATURE_BYTES);
        if (cursor->failed) return refuse(cursor, error, BFT_WIRE_TRUNCATED);
        bool ascending = i == 0 || qc->signers[i] > qc->signers[i - 1];
        if (qc->signers[i] >= BFT_MEMBERS_MAX || !ascending) return refuse(cursor, error, BFT_WIRE_RANGE);
    }
    return true;
}

void bft_timeout_put(struct bytes_writer *writer, const struct bft_timeout *timeout) {
    place_put(writer, &timeout->place);
    bytes_put_u64(writer, timeout->view);
    high_put(writer, &timeout->high);
    bytes_put_u8(writer, timeout->signer);
    bytes_put_u8(writer, timeout->qc.count > 0);
    bytes_put_u16(writer, 0);
    bytes_put_raw(writer, timeout->signature.bytes, SIGNER_SIGNATURE_BYTES);
    if (timeout->qc.count > 0) bft_qc_put(writer, &timeout->qc);
}

bool bft_timeout_get(struct bytes_cursor *cursor, struct bft_timeout *timeout, enum bft_wire_error *error) {
    memset(timeout, 0, sizeof *timeout);
    place_get(cursor, &timeout->place);
    timeout->view = bytes_get_u64(cursor);
    high_get(cursor, &timeout->high);
    timeout->signer = bytes_get_u8(cursor);
    uint8_t has_qc = bytes_get_u8(cursor);
    uint16_t zero = bytes_get_u16(cursor);
    bytes_get_copy(cursor, timeout->signature.bytes, SIGNER_SIGNATURE_BYTES);
    if (cursor->failed) return refuse(cursor, error, BFT_WIRE_TRUNCATED);
    if (timeout->signer >= BFT_MEMBERS_MAX || has_qc > 1) return refuse(cursor, error, BFT_WIRE_RANGE);
    if (zero != 0) return refuse(cursor, error, BFT_WIRE_ZERO);
    return has_qc == 0 || bft_qc_get(cursor, &timeout->qc, error);
}

void bft_tc_put(struct bytes_writer *writer, const struct bft_tc *tc) {
    CHECK(tc->count <= BFT_MEMBERS_MAX);
    place_put(writer, &tc->place);
    bytes_put_u64(writer, tc->view);
    bytes_put_u8(writer, tc->count);
    bytes_put_u8(writer, tc->qc.count > 0);
    bytes_put_u16(writer, 0);
    for (uint32_t i = 0; i < tc->count; i++) {
        bytes_put_u8(writer, tc->signers[i]);
        high_put(writer, &tc->highs[i]);
        bytes_put_raw(writer, tc->signatures[i].bytes, SIGNER_SIGNATURE_BYTES);
    }
    if (tc->qc.count > 0) bft_qc_put(writer, &tc->qc);
}

bool bft_tc_get(struct bytes_cursor *cursor, struct bft_tc *tc, enum bft_wire_error *error) {
    memset(tc, 0, sizeof *tc);
    place_get(cursor, &tc->place);
    tc->view = bytes_get_u64(cursor);
    uint8_t count = bytes_get_u8(cursor);
    uint8_t has_qc = bytes_get_u8(cursor);
    uint16_t zero = bytes_get_u16(cursor);
    if (cursor->failed) return refuse(cursor, error, BFT_WIRE_TRUNCATED);
    if (count < 1 || count > BFT_QUORUM_MAX || has_qc > 1) return refuse(cursor, error, BFT_WIRE_RANGE);
    if (zero != 0) return refuse(cursor, error, BFT_WIRE_ZERO);
    tc->count = count;
    for (uint32_t i = 0; i < count; i++) {
        tc->signers[i] = bytes_get_u8(cursor);
        high_get(cursor, &tc->highs[i]);
        bytes_get_copy(cursor, tc->signatures[i].bytes, SIGNER_SIGNATURE_BYTES);
        if (cursor->failed) return refuse(cursor, error, BFT_WIRE_TRUNCATED);
        bool ascending = i == 0 || tc->signers[i] > tc->signers[i - 1];
        if (tc->signers[i] >= BFT_MEMBERS_MAX || !ascending) return refuse(cursor, error, BFT_WIRE_RANGE);
    }
    return has_qc == 0 || bft_qc_get(cursor, &tc->qc, error);
}

void bft_certificate_put(struct bytes_writer *writer, const struct bft_certificate *certificate) {
    CHECK(certificate->header_count <= BFT_CERTIFICATE_HEADERS_MAX && certificate->header_count != 1);
    bft_qc_put(writer, &certificate->qc);
    bytes_put_u16(writer, certificate->header_count);
    bytes_put_u16(writer, 0);
    bytes_put_raw(writer, certificate->headers, (size_t)certificate->header_count * BFT_HEADER_BYTES);
}

bool bft_certificate_get(struct bytes_cursor *cursor, struct bft_certificate *certificate, enum bft_wire_error *error) {
    memset(certificate, 0, sizeof *certificate);
    if (!bft_qc_get(cursor, &certificate->qc, error)) return false;
    uint16_t count = bytes_get_u16(cursor);
    uint16_t zero = bytes_get_u16(cursor);
    if (cursor->failed) return refuse(cursor, error, BFT_WIRE_TRUNCATED);
    if (count == 1 || count > BFT_CERTIFICATE_HEADERS_MAX) return refuse(cursor, error, BFT_WIRE_RANGE);
    if (zero != 0) return refuse(cursor, error, BFT_WIRE_ZERO);
    certificate->header_count = count;
    certificate->headers = bytes_get_raw(cursor, (size_t)count * BFT_HEADER_BYTES);
    if (cursor->failed) return refuse(cursor, error, BFT_WIRE_TRUNCATED);
    return true;
}

/* ---- what is signed ---- */

void bft_vote_preimage(const struct bft_ballot *ballot, enum bft_vote_kind kind, uint8_t out[BFT_VOTE_PREIMAGE_BYTES]) {
    struct bytes_writer writer = bytes_writer_of(out, BFT_VOTE_PREIMAGE_BYTES);
    bytes_put_raw(&writer, signer_tag_bytes(kind == BFT_PREPARE ? SIGNER_TAG_PREPARE : SIGNER_TAG_COMMIT), SIGNER_TAG_BYTES);
    ballot_put(&writer, ballot);
    CHECK(!writer.failed && writer.used == BFT_VOTE_PREIMAGE_BYTES);
}

void bft_timeout_preimage(const struct bft_place *place, uint64_t view, const struct bft_high *high, uint8_t out[BFT_TIMEOUT_PREIMAGE_BYTES]) {
    struct bytes_writer writer = bytes_writer_of(out, BFT_TIMEOUT_PREIMAGE_BYTES);
    bytes_put_raw(&writer, signer_tag_bytes(SIGNER_TAG_TIMEOUT), SIGNER_TAG_BYTES);
    place_put(&writer, place);
    bytes_put_u64(&writer, view);
    high_put(&writer, high);
    CHECK(!writer.failed && writer.used == BFT_TIMEOUT_PREIMAGE_BYTES);
}

void bft_status_preimage(const struct bft_status *status, uint8_t out[BFT_STATUS_PREIMAGE_BYTES]) {
    struct bytes_writer writer = bytes_writer_of(out, BFT_STATUS_PREIMAGE_BYTES);
    bytes_put_raw(&writer, signer_tag_bytes(SIGNER_TAG_STATUS), SIGNER_TAG_BYTES);
    place_put(&writer, &status->place);
    bytes_put_u64(&writer, status->view);
    bytes_put_u64(&writer, status->final.height);
    bytes_put_hash(&writer, status->final.id.bytes);
    high_put(&writer, &status->high);
    bytes_put_u64(&writer, status->prepared_view);
    bytes_put_u64(&writer, status->prepared_height);
    bytes_put_u64(&writer, status->time);
    bytes_put_u8(&writer, status->flags);
    bytes_put_u8(&writer, status->signer);
    bytes_put_u16(&writer, 0);
    CHECK(!writer.failed && writer.used == BFT_STATUS_PREIMAGE_BYTES);
}

void bft_noop_preimage(const struct bft_noop *noop, uint8_t out[BFT_NOOP_PREIMAGE_BYTES]) {
    struct bytes_writer writer = bytes_writer_of(out, BFT_NOOP_PREIMAGE_BYTES);
    bytes_put_raw(&writer, signer_tag_bytes(SIGNER_TAG_NOOP), SIGNER_TAG_BYTES);
    bytes_put_raw(&writer, noop->system_id, BFT_SYSTEM_BYTES);
    bytes_put_u32(&writer, noop->cluster);
    bytes_put_u64(&writer, noop->epoch);
    bytes_put_u64(&writer, noop->nonce);
    CHECK(!writer.failed && writer.used == BFT_NOOP_PREIMAGE_BYTES);
}
