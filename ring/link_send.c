/* Sending frames over a link: pieces of plaintext to records in the caller's buffer, in one pass. See link.h. */
#include <string.h>

#include "ring/check.h"
#include "ring/link.h"

/* A run of at least so many bytes in one piece is encrypted from where it lies, even if the record is not full then; shorter ones are copied
 * together into the record and encrypted in place. */
#define DIRECT_BYTES_MIN 4096u
#define RECORD_OVERHEAD_BYTES (LINK_RECORD_HEADER_BYTES + RING_TAG_BYTES)

uint64_t link_send_wire_bytes_max(size_t payload_bytes, size_t piece_count) {
    /* A record is full, or ends with a piece, or stands before a piece that is encrypted from where it lies. */
    uint64_t records = (uint64_t)payload_bytes / LINK_RECORD_PLAIN_MAX + 2 * (uint64_t)piece_count + 2;
    return (uint64_t)payload_bytes + LINK_FRAME_HEADER_BYTES + records * RECORD_OVERHEAD_BYTES;
}

enum link_send_result link_send_begin(struct link *link, struct link_send *send, uint16_t type, const struct iovec *pieces, size_t piece_count) {
    RING_CHECK(type >= LINK_TYPE_FIRST_FREE && !link->sending_frame);
    if (link->state != LINK_STATE_READY) {
        return LINK_SEND_NOT_UP;
    }
    RING_CHECK(!link_output_wanted(link));
    uint64_t total = 0;
    for (size_t i = 0; i < piece_count; i++) {
        if (pieces[i].iov_len > link->peer_frame_bytes_max - total) {
            return LINK_SEND_TOO_LONG;
        }
        total += pieces[i].iov_len;
    }
    *send = (struct link_send){
        .pieces = pieces,
        .piece_count = piece_count,
        .remaining = (size_t)total,
        .type = type,
        .payload_bytes = (uint32_t)total,
    };
    link->sending_frame = true;
    return LINK_SEND_OK;
}

static void skip_empty(struct link_send *send) {
    while (send->piece_index < send->piece_count && send->piece_offset == send->pieces[send->piece_index].iov_len) {
        send->piece_index++;
        send->piece_offset = 0;
    }
}

/* What is left of the piece at hand. remaining > 0, so there is one. */
static size_t piece_left(struct link_send *send, const uint8_t **at) {
    skip_empty(send);
    RING_CHECK(send->piece_index < send->piece_count);
    *at = (const uint8_t *)send->pieces[send->piece_index].iov_base + send->piece_offset;
    return send->pieces[send->piece_index].iov_len - send->piece_offset;
}

static void advance(struct link_send *send, size_t bytes) {
    send->piece_offset += bytes;
    send->remaining -= bytes;
}

/* Copies pieces behind the `filled` bytes that the record has. Stops before a long run unless `whole`. */
static size_t gather(struct link *link, struct link_send *send, uint8_t *plain, size_t filled, bool whole) {
    while (send->remaining > 0 && filled < LINK_RECORD_PLAIN_MAX) {
        const uint8_t *from;
        size_t left = piece_left(send, &from);
        if (!whole && filled > 0 && left >= DIRECT_BYTES_MIN) {
            break;
        }
        size_t take = left < LINK_RECORD_PLAIN_MAX - filled ? left : LINK_RECORD_PLAIN_MAX - filled;
        memcpy(plain + filled, from, take);
        link->copied_bytes += take;
        filled += take;
        advance(send, take);
    }
    return filled;
}

/* Seals one record into out, which has room for it. A frame that fits in one record goes in one, header and all, so that the receiver finds it
 * whole where the kernel put it. The header of a longer one is a record of its own, so that its payload is decrypted at once where it is to lie. */
static size_t record_write(struct link *link, struct link_send *send, uint8_t *out) {
    uint8_t *plain = out + LINK_RECORD_HEADER_BYTES;
    const uint8_t *from = plain;
    size_t bytes;
    if (!send->header_done) {
        ring_store_u32(plain, send->payload_bytes);
        ring_store_u16(plain + 4, send->type);
        ring_store_u16(plain + 6, 0);
        send->header_done = true;
        bytes = LINK_FRAME_HEADER_BYTES;
        if (send->remaining <= LINK_RECORD_PLAIN_MAX - LINK_FRAME_HEADER_BYTES) {
            bytes = gather(link, send, plain, bytes, true);
        }
    } else {
        bytes = piece_left(send, &from);
        if (bytes >= DIRECT_BYTES_MIN) {
            bytes = bytes < LINK_RECORD_PLAIN_MAX ? bytes : LINK_RECORD_PLAIN_MAX;
            advance(send, bytes);
        } else {
            from = plain;
            bytes = gather(link, send, plain, 0, false);
        }
    }
    /* The nonce cannot run out: 2^64 - 1 records. */
    RING_CHECK(noise_cipher_seal(&link->sending, from, bytes, plain) == NOISE_OK);
    ring_store_u16(out, (uint16_t)(bytes + RING_TAG_BYTES));
    return bytes + RECORD_OVERHEAD_BYTES;
}

/* The most that the next record takes. */
static size_t next_record_max(const struct link_send *send) {
    if (!send->header_done) {
        bool alone = send->remaining > LINK_RECORD_PLAIN_MAX - LINK_FRAME_HEADER_BYTES;
        return RECORD_OVERHEAD_BYTES + LINK_FRAME_HEADER_BYTES + (alone ? 0 : send->remaining);
    }
    return RECORD_OVERHEAD_BYTES + (send->remaining < LINK_RECORD_PLAIN_MAX ? send->remaining : LINK_RECORD_PLAIN_MAX);
}

size_t link_send_some(struct link *link, struct link_send *send, uint8_t *out, size_t room, bool *done) {
    size_t at = 0;
    RING_CHECK(link->sending_frame);
    while ((!send->header_done || send->remaining > 0) && room - at >= next_record_max(send)) {
        at += record_write(link, send, out + at);
    }
    *done = send->header_done && send->remaining == 0;
    link->sending_frame = !*done;
    return at;
}
