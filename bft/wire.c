/* Whole consensus messages to bytes and back (spec/consensus.md B-5, B-12 to B-15). */
#include "bft/wire.h"

#include "merkle/check.h"

const char *bft_wire_error_name(enum bft_wire_error error) {
    static const char *const names[] = {"ok", "truncated", "trailing", "range", "zero", "body", "type"};
    return (size_t)error < sizeof names / sizeof names[0] ? names[error] : "unknown";
}

/* The common tail of a signed message: signer, three zero bytes, signature. */
static void signed_tail_put(struct bytes_writer *writer, uint8_t signer, const struct bft_signature *signature) {
    bytes_put_u8(writer, signer);
    bytes_put_u8(writer, 0);
    bytes_put_u16(writer, 0);
    bytes_put_raw(writer, signature->bytes, SIGNER_SIGNATURE_BYTES);
}

static enum bft_wire_error signed_tail_get(struct bytes_cursor *cursor, uint8_t *signer, struct bft_signature *signature) {
    *signer = bytes_get_u8(cursor);
    uint8_t zero = bytes_get_u8(cursor);
    uint16_t zero_too = bytes_get_u16(cursor);
    bytes_get_copy(cursor, signature->bytes, SIGNER_SIGNATURE_BYTES);
    if (cursor->failed) return BFT_WIRE_TRUNCATED;
    if (*signer >= BFT_MEMBERS_MAX) return BFT_WIRE_RANGE;
    return zero != 0 || zero_too != 0 ? BFT_WIRE_ZERO : BFT_WIRE_OK;
}

/* The last field of PROPOSE and BLOCK: length and body, which must be what the header names. */
static enum bft_wire_error body_get(struct bytes_cursor *cursor, const struct bft_header *header, struct bft_message *message) {
    uint32_t count = bytes_get_u32(cursor);
    if (cursor->failed) return BFT_WIRE_TRUNCATED;
    if (count > BFT_BODY_BYTES_MAX) return BFT_WIRE_BODY;
    message->body = bytes_get_raw(cursor, count);
    message->body_bytes = count;
    if (cursor->failed) return BFT_WIRE_TRUNCATED;
    if (cursor->left > 0) return BFT_WIRE_TRAILING;
    struct bft_hash hash = bft_body_hash(message->body, count);
    return bft_hash_equal(&hash, &header->body_hash) ? BFT_WIRE_OK : BFT_WIRE_BODY;
}

static enum bft_wire_error propose_get(struct bytes_cursor *cursor, struct bft_message *message) {
    struct bft_propose *propose = &message->propose;
    bft_header_get(cursor, &propose->header);
    propose->vote.kind = BFT_PREPARE;
    propose->vote.signer = bytes_get_u8(cursor);
    uint8_t has_tc = bytes_get_u8(cursor);
    uint16_t zero = bytes_get_u16(cursor);
    bytes_get_copy(cursor, propose->vote.signature.bytes, SIGNER_SIGNATURE_BYTES);
    if (cursor->failed) return BFT_WIRE_TRUNCATED;
    if (propose->vote.signer >= BFT_MEMBERS_MAX || has_tc > 1) return BFT_WIRE_RANGE;
    if (zero != 0) return BFT_WIRE_ZERO;
    propose->has_tc = has_tc == 1;
    enum bft_wire_error error = BFT_WIRE_OK;
    if (propose->has_tc && !bft_tc_get(cursor, &propose->tc, &error)) return error;
    message->block_id = bft_header_id(&propose->header);
    bft_header_ballot(&propose->header, &message->block_id, &propose->vote.ballot);
    return body_get(cursor, &propose->header, message);
}

static enum bft_wire_error block_get(struct bytes_cursor *cursor, struct bft_message *message) {
    struct bft_block_message *block = &message->block;
    bft_header_get(cursor, &block->header);
    uint8_t has_certificate = bytes_get_u8(cursor);
    uint8_t zero = bytes_get_u8(cursor);
    uint16_t zero_too = bytes_get_u16(cursor);
    if (cursor->failed) return BFT_WIRE_TRUNCATED;
    if (has_certificate > 1) return BFT_WIRE_RANGE;
    if (zero != 0 || zero_too != 0) return BFT_WIRE_ZERO;
    block->has_certificate = has_certificate == 1;
    enum bft_wire_error error = BFT_WIRE_OK;
    if (block->has_certificate && !bft_certificate_get(cursor, &block->certificate, &error)) return error;
    message->block_id = bft_header_id(&block->header);
    return body_get(cursor, &block->header, message);
}

/* A ballot has the fields of a header's beginning, then id and root. */
static void ballot_get(struct bytes_cursor *cursor, struct bft_ballot *ballot) {
    bytes_get_copy(cursor, ballot->place.system_id, BFT_SYSTEM_BYTES);
    bytes_get_hash(cursor, ballot->place.config_hash.bytes);
    ballot->place.cluster = bytes_get_u32(cursor);
    ballot->place.epoch = bytes_get_u64(cursor);
    ballot->view = bytes_get_u64(cursor);
    ballot->height = bytes_get_u64(cursor);
    bytes_get_hash(cursor, ballot->block_id.bytes);
    bytes_get_hash(cursor, ballot->outbox_root.bytes);
}

static enum bft_wire_error fetch_get(struct bytes_cursor *cursor, struct bft_fetch *fetch) {
    bytes_get_copy(cursor, fetch->system_id, BFT_SYSTEM_BYTES);
    fetch->cluster = bytes_get_u32(cursor);
    fetch->kind = bytes_get_u8(cursor);
    uint8_t zero = bytes_get_u8(cursor);
    uint16_t zero_too = bytes_get_u16(cursor);
    if (cursor->failed) return BFT_WIRE_TRUNCATED;
    if (fetch->kind != BFT_FETCH_ID && fetch->kind != BFT_FETCH_HEIGHTS) return BFT_WIRE_RANGE;
    if (zero != 0 || zero_too != 0) return BFT_WIRE_ZERO;
    if (fetch->kind == BFT_FETCH_ID) {
        bytes_get_hash(cursor, fetch->id.bytes);
    } else {
        fetch->height_first = bytes_get_u64(cursor);
        fetch->height_count = bytes_get_u32(cursor);
    }
    if (cursor->failed) return BFT_WIRE_TRUNCATED;
    bool counts = fetch->kind == BFT_FETCH_ID || (fetch->height_count >= 1 && fetch->height_count <= BFT_FETCH_BLOCKS_MAX);
    return counts ? BFT_WIRE_OK : BFT_WIRE_RANGE;
}

static enum bft_wire_error status_get(struct bytes_cursor *cursor, struct bft_status *status) {
    bytes_get_copy(cursor, status->place.system_id, BFT_SYSTEM_BYTES);
    bytes_get_hash(cursor, status->place.config_hash.bytes);
    status->place.cluster = bytes_get_u32(cursor);
    status->place.epoch = bytes_get_u64(cursor);
    status->view = bytes_get_u64(cursor);
    status->final.height = bytes_get_u64(cursor);
    bytes_get_hash(cursor, status->final.id.bytes);
    status->high.view = bytes_get_u64(cursor);
    status->high.block.height = bytes_get_u64(cursor);
    bytes_get_hash(cursor, status->high.block.id.bytes);
    status->prepared_view = bytes_get_u64(cursor);
    status->prepared_height = bytes_get_u64(cursor);
    status->time = bytes_get_u64(cursor);
    status->flags = bytes_get_u8(cursor);
    status->signer = bytes_get_u8(cursor);
    uint16_t zero = bytes_get_u16(cursor);
    bytes_get_copy(cursor, status->signature.bytes, SIGNER_SIGNATURE_BYTES);
    if (cursor->failed) return BFT_WIRE_TRUNCATED;
    if (status->signer >= BFT_MEMBERS_MAX || (status->flags & ~BFT_STATUS_FLAGS) != 0) return BFT_WIRE_RANGE;
    return zero != 0 ? BFT_WIRE_ZERO : BFT_WIRE_OK;
}

static enum bft_wire_error noop_get(struct bytes_cursor *cursor, struct bft_noop *noop) {
    bytes_get_copy(cursor, noop->system_id, BFT_SYSTEM_BYTES);
    noop->cluster = bytes_get_u32(cursor);
    noop->epoch = bytes_get_u64(cursor);
    noop->nonce = bytes_get_u64(cursor);
    return signed_tail_get(cursor, &noop->signer, &noop->signature);
}

static enum bft_wire_error fields_get(struct bytes_cursor *cursor, struct bft_message *message) {
    enum bft_wire_error error = BFT_WIRE_OK;
    switch (message->type) {
    case BFT_MESSAGE_PROPOSE:
        return propose_get(cursor, message);
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        message->vote.kind = message->type == BFT_MESSAGE_PREPARE ? BFT_PREPARE : BFT_COMMIT;
        ballot_get(cursor, &message->vote.ballot);
        return signed_tail_get(cursor, &message->vote.signer, &message->vote.signature);
    case BFT_MESSAGE_QC:
        return bft_qc_get(cursor, &message->qc, &error) ? BFT_WIRE_OK : error;
    case BFT_MESSAGE_TIMEOUT:
        return bft_timeout_get(cursor, &message->timeout, &error) ? BFT_WIRE_OK : error;
    case BFT_MESSAGE_TC:
        return bft_tc_get(cursor, &message->tc, &error) ? BFT_WIRE_OK : error;
    case BFT_MESSAGE_FETCH:
        return fetch_get(cursor, &message->fetch);
    case BFT_MESSAGE_BLOCK:
        return block_get(cursor, message);
    case BFT_MESSAGE_STATUS:
        return status_get(cursor, &message->status);
    case BFT_MESSAGE_NOOP:
        return noop_get(cursor, &message->noop);
    default:
        return BFT_WIRE_TYPE;
    }
}

enum bft_wire_error bft_wire_decode(uint16_t type, const uint8_t *payload, size_t payload_bytes, struct bft_message *message) {
    memset(message, 0, sizeof *message);
    message->type = type;
    struct bytes_cursor cursor = bytes_cursor_of(payload, payload_bytes);
    enum bft_wire_error error = fields_get(&cursor, message);
    if (error != BFT_WIRE_OK) return error;
    return bytes_finished(&cursor) ? BFT_WIRE_OK : BFT_WIRE_TRAILING;
}

static void propose_put(struct bytes_writer *writer, const struct bft_message *message) {
    const struct bft_propose *propose = &message->propose;
    bft_header_put(writer, &propose->header);
    bytes_put_u8(writer, propose->vote.signer);
    bytes_put_u8(writer, propose->has_tc);
    bytes_put_u16(writer, 0);
    bytes_put_raw(writer, propose->vote.signature.bytes, SIGNER_SIGNATURE_BYTES);
    if (propose->has_tc) bft_tc_put(writer, &propose->tc);
    bytes_put_u32(writer, message->body_bytes);
}

static void block_put(struct bytes_writer *writer, const struct bft_message *message) {
    const struct bft_block_message *block = &message->block;
    bft_header_put(writer, &block->header);
    bytes_put_u8(writer, block->has_certificate);
    bytes_put_u8(writer, 0);
    bytes_put_u16(writer, 0);
    if (block->has_certificate) bft_certificate_put(writer, &block->certificate);
    bytes_put_u32(writer, message->body_bytes);
}

static void fetch_put(struct bytes_writer *writer, const struct bft_fetch *fetch) {
    bytes_put_raw(writer, fetch->system_id, BFT_SYSTEM_BYTES);
    bytes_put_u32(writer, fetch->cluster);
    bytes_put_u8(writer, fetch->kind);
    bytes_put_u8(writer, 0);
    bytes_put_u16(writer, 0);
    if (fetch->kind == BFT_FETCH_ID) {
        bytes_put_hash(writer, fetch->id.bytes);
    } else {
        bytes_put_u64(writer, fetch->height_first);
        bytes_put_u32(writer, fetch->height_count);
    }
}

static void vote_put(struct bytes_writer *writer, const struct bft_vote *vote) {
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&vote->ballot, (enum bft_vote_kind)vote->kind, preimage);
    bytes_put_raw(writer, preimage + SIGNER_TAG_BYTES, BFT_BALLOT_BYTES);
    signed_tail_put(writer, vote->signer, &vote->signature);
}

static void status_put(struct bytes_writer *writer, const struct bft_status *status) {
    uint8_t preimage[BFT_STATUS_PREIMAGE_BYTES];
    bft_status_preimage(status, preimage);
    bytes_put_raw(writer, preimage + SIGNER_TAG_BYTES, BFT_STATUS_PREIMAGE_BYTES - SIGNER_TAG_BYTES);
    bytes_put_raw(writer, status->signature.bytes, SIGNER_SIGNATURE_BYTES);
}

static void noop_put(struct bytes_writer *writer, const struct bft_noop *noop) {
    uint8_t preimage[BFT_NOOP_PREIMAGE_BYTES];
    bft_noop_preimage(noop, preimage);
    bytes_put_raw(writer, preimage + SIGNER_TAG_BYTES, BFT_NOOP_PREIMAGE_BYTES - SIGNER_TAG_BYTES);
    signed_tail_put(writer, noop->signer, &noop->signature);
}

size_t bft_wire_encode(const struct bft_message *message, uint8_t *out, size_t room) {
    struct bytes_writer writer = bytes_writer_of(out, room);
    switch (message->type) {
    case BFT_MESSAGE_PROPOSE:
        propose_put(&writer, message);
        break;
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        vote_put(&writer, &message->vote);
        break;
    case BFT_MESSAGE_QC:
        bft_qc_put(&writer, &message->qc);
        break;
    case BFT_MESSAGE_TIMEOUT:
        bft_timeout_put(&writer, &message->timeout);
        break;
    case BFT_MESSAGE_TC:
        bft_tc_put(&writer, &message->tc);
        break;
    case BFT_MESSAGE_FETCH:
        fetch_put(&writer, &message->fetch);
        break;
    case BFT_MESSAGE_BLOCK:
        block_put(&writer, message);
        break;
    case BFT_MESSAGE_STATUS:
        status_put(&writer, &message->status);
        break;
    case BFT_MESSAGE_NOOP:
        noop_put(&writer, &message->noop);
        break;
    default:
        CHECK(false && "a consensus message");
    }
    CHECK(!writer.failed);
    return writer.used;
}
