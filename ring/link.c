/* Receiving side, handshake, time-outs and control frames of a link: see link.h. Sending frames is in link_send.c. */
#include "ring/link.h"

#include <string.h>

#include "ring/check.h"

#define HELLO_BYTES 16
#define PING_BYTES 8
#define GOODBYE_BYTES 4
#define PROLOGUE_BYTES (LINK_PREAMBLE_BYTES + LINK_SYSTEM_ID_BYTES)

static const uint8_t magic[4] = {'H', 'R', 'C', 'L'};

const char *link_cause_name(enum link_cause cause) {
    static const char *const names[LINK_CAUSE_COUNT] = {
        [LINK_CAUSE_NONE] = "none",
        [LINK_CAUSE_PREAMBLE] = "preamble",
        [LINK_CAUSE_VERSION_UNKNOWN] = "version_unknown",
        [LINK_CAUSE_SUITE] = "suite",
        [LINK_CAUSE_HANDSHAKE] = "handshake",
        [LINK_CAUSE_KEY_UNKNOWN] = "key_unknown",
        [LINK_CAUSE_HANDSHAKE_TIMEOUT] = "handshake_timeout",
        [LINK_CAUSE_RECORD] = "record",
        [LINK_CAUSE_FRAME_LENGTH] = "frame_length",
        [LINK_CAUSE_FRAME_HEADER] = "frame_header",
        [LINK_CAUSE_FRAME_TYPE] = "frame_type",
        [LINK_CAUSE_HELLO] = "hello",
        [LINK_CAUSE_VERSION_LOW] = "version_low",
        [LINK_CAUSE_CONTROL] = "control",
        [LINK_CAUSE_IDLE] = "idle",
        [LINK_CAUSE_GOODBYE] = "goodbye",
        [LINK_CAUSE_MEMORY] = "memory",
        [LINK_CAUSE_LOCAL] = "local",
    };
    return (unsigned)cause < LINK_CAUSE_COUNT ? names[cause] : "invalid";
}

static uint32_t or_default(uint32_t value, uint32_t fallback) {
    return value != 0 ? value : fallback;
}

/* L-31: which GOODBYE a failure is announced with; none for what ends silently. */
static uint32_t goodbye_for(enum link_cause cause) {
    switch (cause) {
    case LINK_CAUSE_VERSION_LOW: return LINK_GOODBYE_VERSION;
    case LINK_CAUSE_IDLE: return LINK_GOODBYE_IDLE;
    case LINK_CAUSE_MEMORY: return LINK_GOODBYE_OVERLOAD;
    case LINK_CAUSE_RECORD:
    case LINK_CAUSE_FRAME_LENGTH:
    case LINK_CAUSE_FRAME_HEADER:
    case LINK_CAUSE_FRAME_TYPE:
    case LINK_CAUSE_HELLO:
    case LINK_CAUSE_CONTROL: return LINK_GOODBYE_PROTOCOL;
    default: return 0;
    }
}

/* Sticky. The keys for sending live on for the GOODBYE. */
static enum link_next link_fail(struct link *link, enum link_cause cause, uint32_t goodbye) {
    if (link->state != LINK_STATE_FAILED) {
        link->state = LINK_STATE_FAILED;
        link->cause = cause;
        link->goodbye_code_to_send = goodbye;
        link->goodbye_to_send = goodbye != 0 && link->sending.keyed;
        link->flight_bytes = 0;
        noise_handshake_wipe(&link->handshake);
        noise_cipher_wipe(&link->receiving);
        ring_wipe(link->ephemeral_private, sizeof link->ephemeral_private);
    }
    return LINK_CLOSED;
}

static enum link_next fail_with(struct link *link, enum link_cause cause) {
    return link_fail(link, cause, goodbye_for(cause));
}

/* --- Beginning --- */

/* Clears all but the staging area, which is written before it is read: its pages stay untouched. */
static void link_clear(struct link *link, const struct link_config *config, uint64_t now_ms) {
    memset(link, 0, offsetof(struct link, staging));
    link->config = config;
    link->state = LINK_STATE_HANDSHAKE;
    link->created_ms = link->heard_ms = link->ping_sent_ms = link->now_ms = now_ms;
}

/* L-3, L-10: preamble and system id are the prologue. */
static void handshake_begin(struct link *link, const uint8_t preamble[LINK_PREAMBLE_BYTES], const uint8_t *remote_static,
                            const uint8_t ephemeral_private[RING_KEY_BYTES]) {
    uint8_t prologue[PROLOGUE_BYTES];
    memcpy(prologue, preamble, LINK_PREAMBLE_BYTES);
    memcpy(prologue + LINK_PREAMBLE_BYTES, link->config->system_id, LINK_SYSTEM_ID_BYTES);
    struct noise_setup setup = {
        .primitives = link->config->primitives,
        .pattern = &noise_pattern_ik,
        .suite = link->suite,
        .initiator = link->initiator,
        .prologue = prologue,
        .prologue_bytes = sizeof prologue,
        .static_private = link->config->identity->private_key,
        .static_public = link->config->identity->public_key,
        .remote_static = remote_static,
        .ephemeral_private = ephemeral_private,
    };
    noise_handshake_init(&link->handshake, &setup);
}

void link_init_initiator(struct link *link, const struct link_config *config, const struct link_peer *peer,
                         const uint8_t remote_static[RING_KEY_BYTES], uint16_t version, enum ring_suite suite,
                         const uint8_t ephemeral_private[RING_KEY_BYTES], uint64_t now_ms) {
    RING_CHECK(version >= config->version_min && version <= config->version_max);
    RING_CHECK((config->suites_allowed >> suite & 1) != 0 && peer->frame_bytes_max <= LINK_FRAME_BYTES_MAX);
    link_clear(link, config, now_ms);
    link->initiator = true;
    link->peer = *peer;
    link->version = version;
    link->suite = suite;
    memcpy(link->flight, magic, sizeof magic);
    ring_store_u16(link->flight + 4, version);
    link->flight[6] = (uint8_t)suite;
    link->flight[7] = 0;
    handshake_begin(link, link->flight, remote_static, ephemeral_private);
    size_t written = 0;
    if (noise_handshake_write(&link->handshake, NULL, 0, link->flight + LINK_PREAMBLE_BYTES, sizeof link->flight - LINK_PREAMBLE_BYTES, &written) !=
        NOISE_OK) {
        (void)fail_with(link, LINK_CAUSE_HANDSHAKE); /* the peer's key is a small-order point */
        return;
    }
    RING_CHECK(written == NOISE_IK_FIRST_BYTES);
    link->flight_bytes = LINK_FIRST_FLIGHT_BYTES;
}

void link_init_responder(struct link *link, const struct link_config *config, link_lookup *lookup, void *lookup_context,
                         const uint8_t ephemeral_private[RING_KEY_BYTES], uint64_t now_ms) {
    link_clear(link, config, now_ms);
    link->lookup = lookup;
    link->lookup_context = lookup_context;
    memcpy(link->ephemeral_private, ephemeral_private, RING_KEY_BYTES);
}

/* --- Handshake --- */

static void handshake_finish(struct link *link) {
    noise_handshake_split(&link->handshake, &link->sending, &link->receiving, NULL);
    link->state = LINK_STATE_HELLO;
    link->hello_to_send = true;
}

static bool check_static(void *context, const uint8_t remote_static[RING_KEY_BYTES]) {
    struct link *link = context;
    return link->lookup(link->lookup_context, remote_static, &link->peer);
}

/* L-4: the preamble of a link that was dialled to me. */
static enum link_cause preamble_check(struct link *link, const uint8_t preamble[LINK_PREAMBLE_BYTES]) {
    uint8_t suite = preamble[6];
    if (memcmp(preamble, magic, sizeof magic) != 0 || preamble[7] != 0) {
        return LINK_CAUSE_PREAMBLE;
    }
    link->version = ring_load_u16(preamble + 4);
    if (link->version < link->config->version_min || link->version > link->config->version_max) {
        return LINK_CAUSE_VERSION_UNKNOWN;
    }
    if (suite < RING_SUITE_CHACHAPOLY || suite > RING_SUITE_AESGCM || (link->config->suites_allowed >> suite & 1) == 0) {
        return LINK_CAUSE_SUITE;
    }
    link->suite = (enum ring_suite)suite;
    return LINK_CAUSE_NONE;
}

static enum link_cause responder_answer(struct link *link, const uint8_t *flight) {
    uint8_t nothing[1];
    size_t payload_bytes = 0;
    size_t written = 0;
    handshake_begin(link, flight, NULL, link->ephemeral_private);
    ring_wipe(link->ephemeral_private, sizeof link->ephemeral_private);
    enum noise_result result =
        noise_handshake_read(&link->handshake, flight + LINK_PREAMBLE_BYTES, NOISE_IK_FIRST_BYTES, check_static, link, nothing, 0, &payload_bytes);
    if (result == NOISE_OK) {
        result = noise_handshake_write(&link->handshake, NULL, 0, link->flight, sizeof link->flight, &written);
    }
    if (result != NOISE_OK) {
        return result == NOISE_ERR_REFUSED ? LINK_CAUSE_KEY_UNKNOWN : LINK_CAUSE_HANDSHAKE;
    }
    RING_CHECK(written == NOISE_IK_SECOND_BYTES && link->peer.frame_bytes_max <= LINK_FRAME_BYTES_MAX);
    link->flight_bytes = written;
    handshake_finish(link);
    return LINK_CAUSE_NONE;
}

static enum link_cause initiator_finish(struct link *link, const uint8_t *message) {
    uint8_t nothing[1];
    size_t payload_bytes = 0;
    if (noise_handshake_read(&link->handshake, message, NOISE_IK_SECOND_BYTES, NULL, NULL, nothing, 0, &payload_bytes) != NOISE_OK) {
        return LINK_CAUSE_HANDSHAKE;
    }
    handshake_finish(link);
    return LINK_CAUSE_NONE;
}

/* Moves input to the staging area until it holds `wanted` bytes. True if it does. */
static bool stage(struct link *link, size_t wanted) {
    RING_CHECK(wanted <= sizeof link->staging && link->staging_bytes <= wanted);
    size_t take = wanted - link->staging_bytes;
    if (take > link->input_bytes) {
        take = link->input_bytes;
    }
    if (take > 0) {
        memcpy(link->staging + link->staging_bytes, link->input, take);
        link->copied_bytes += take;
        link->staging_bytes += take;
        link->input += take;
        link->input_bytes -= take;
    }
    return link->staging_bytes == wanted;
}

/* LINK_UP stands for "go on" here. */
static enum link_next handshake_read(struct link *link) {
    enum link_cause cause;
    if (link->initiator) {
        if (!stage(link, NOISE_IK_SECOND_BYTES)) {
            return LINK_MORE;
        }
        cause = initiator_finish(link, link->staging);
    } else {
        if (link->staging_bytes < LINK_PREAMBLE_BYTES) {
            if (!stage(link, LINK_PREAMBLE_BYTES)) {
                return LINK_MORE;
            }
            cause = preamble_check(link, link->staging);
            if (cause != LINK_CAUSE_NONE) {
                return fail_with(link, cause);
            }
        }
        if (!stage(link, LINK_FIRST_FLIGHT_BYTES)) {
            return LINK_MORE;
        }
        cause = responder_answer(link, link->staging);
    }
    link->staging_bytes = 0;
    if (cause != LINK_CAUSE_NONE) {
        return fail_with(link, cause);
    }
    link->heard_ms = link->now_ms;
    return LINK_UP;
}

/* --- Records --- */

static bool record_length_valid(size_t length) {
    return length > RING_TAG_BYTES && length <= LINK_RECORD_PLAIN_MAX + RING_TAG_BYTES; /* L-14 */
}

/* Finds the next whole record: *sealed, *length. LINK_UP: found. */
static enum link_next record_find(struct link *link, uint8_t **sealed, size_t *length) {
    if (link->staging_bytes == 0 && link->input_bytes >= LINK_RECORD_HEADER_BYTES) {
        *length = ring_load_u16(link->input);
        if (!record_length_valid(*length)) {
            return fail_with(link, LINK_CAUSE_RECORD);
        }
        if (link->input_bytes >= LINK_RECORD_HEADER_BYTES + *length) {
            *sealed = link->input + LINK_RECORD_HEADER_BYTES;
            link->input += LINK_RECORD_HEADER_BYTES + *length;
            link->input_bytes -= LINK_RECORD_HEADER_BYTES + *length;
            return LINK_UP;
        }
    }
    if (link->staging_bytes < LINK_RECORD_HEADER_BYTES && !stage(link, LINK_RECORD_HEADER_BYTES)) {
        return LINK_MORE;
    }
    *length = ring_load_u16(link->staging);
    if (!record_length_valid(*length)) {
        return fail_with(link, LINK_CAUSE_RECORD);
    }
    if (!stage(link, LINK_RECORD_HEADER_BYTES + *length)) {
        return LINK_MORE;
    }
    *sealed = link->staging + LINK_RECORD_HEADER_BYTES;
    link->staging_bytes = 0;
    return LINK_UP;
}

/* Decrypts the next record: into the block if a frame is collected there, else in place. LINK_UP: done. */
static enum link_next record_open(struct link *link) {
    uint8_t *sealed = NULL;
    size_t length = 0;
    RING_CHECK(link->plain_bytes == 0);
    enum link_next found = record_find(link, &sealed, &length);
    if (found != LINK_UP) {
        return found;
    }
    uint8_t *out = sealed;
    if (link->collecting) {
        RING_CHECK(link->block_filled < link->frame_bytes && link->block_bytes - link->block_filled >= LINK_BLOCK_SLACK_BYTES);
        out = link->block + link->block_filled;
    }
    if (noise_cipher_open(&link->receiving, sealed, length, out) != NOISE_OK) {
        return fail_with(link, LINK_CAUSE_RECORD);
    }
    link->heard_ms = link->now_ms;
    if (link->collecting) {
        link->block_filled += length - RING_TAG_BYTES;
    } else {
        link->plain = out;
        link->plain_bytes = length - RING_TAG_BYTES;
    }
    return LINK_UP;
}

static void block_give(struct link *link) {
    if (link->block != NULL) {
        link->config->memory.give(link->config->memory.context, link->block, link->block_bytes);
    }
    link->block = NULL;
    link->block_bytes = link->block_filled = 0;
    link->block_handed_out = link->collecting = false;
}

/* The frame whose header is complete goes over the end of the plaintext at hand: collect it in a block. */
static bool block_begin(struct link *link) {
    size_t wanted = link->frame_bytes + LINK_BLOCK_SLACK_BYTES;
    link->copied_bytes += link->plain_bytes;
    if (link->block != NULL && link->block_bytes >= wanted) { /* the plaintext is the end of the frame before: overlapping is possible */
        memmove(link->block, link->plain, link->plain_bytes);
    } else {
        uint8_t *block = link->config->memory.take(link->config->memory.context, wanted);
        if (block == NULL) {
            return false;
        }
        memcpy(block, link->plain, link->plain_bytes);
        block_give(link);
        link->block = block;
        link->block_bytes = wanted;
    }
    link->block_filled = link->plain_bytes;
    link->plain_bytes = 0;
    link->block_handed_out = false;
    link->collecting = true;
    return true;
}

/* --- Frames --- */

static const struct link_type_rule *rule_find(const struct link_config *config, uint16_t type) {
    size_t low = 0;
    size_t high = config->rule_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (config->rules[middle].type == type) {
            return &config->rules[middle];
        }
        if (config->rules[middle].type < type) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* L-23, L-24, L-26, L-27: what can be judged by the header alone, before a byte of the payload is taken. */
static enum link_cause header_check(const struct link *link) {
    uint16_t type = link->frame_type;
    size_t bytes = link->frame_bytes;
    if (ring_load_u16(link->header + 6) != 0) {
        return LINK_CAUSE_FRAME_HEADER;
    }
    if (link->state == LINK_STATE_HELLO || type == LINK_TYPE_HELLO) {
        return type == LINK_TYPE_HELLO && bytes == HELLO_BYTES && link->state == LINK_STATE_HELLO ? LINK_CAUSE_NONE : LINK_CAUSE_HELLO;
    }
    if (type == LINK_TYPE_PING || type == LINK_TYPE_PONG) {
        return bytes == PING_BYTES ? LINK_CAUSE_NONE : LINK_CAUSE_CONTROL;
    }
    if (type == LINK_TYPE_GOODBYE) {
        return bytes == GOODBYE_BYTES ? LINK_CAUSE_NONE : LINK_CAUSE_CONTROL;
    }
    if (type < LINK_TYPE_FIRST_FREE) {
        return LINK_CAUSE_FRAME_TYPE;
    }
    if (link->config->rules != NULL) {
        const struct link_type_rule *rule = rule_find(link->config, type);
        if (rule == NULL || (rule->roles & link->peer.roles) == 0) {
            return LINK_CAUSE_FRAME_TYPE;
        }
        if (bytes > rule->payload_bytes_max) {
            return LINK_CAUSE_FRAME_LENGTH;
        }
    }
    return bytes <= link->peer.frame_bytes_max ? LINK_CAUSE_NONE : LINK_CAUSE_FRAME_LENGTH;
}

/* L-18 to L-21. */
static enum link_next hello_take(struct link *link, const uint8_t *payload) {
    uint16_t version_min = ring_load_u16(payload);
    uint16_t version_max = ring_load_u16(payload + 2);
    uint32_t frame_bytes_max = ring_load_u32(payload + 4);
    if (version_min > version_max || link->version < version_min || link->version > version_max || ring_load_u64(payload + 8) != 0) {
        return fail_with(link, LINK_CAUSE_HELLO);
    }
    link->peer_version_min = version_min;
    link->peer_version_max = version_max;
    uint16_t highest_common = version_max < link->config->version_max ? version_max : link->config->version_max;
    if (link->version < highest_common) {
        return fail_with(link, LINK_CAUSE_VERSION_LOW);
    }
    link->peer_frame_bytes_max = frame_bytes_max < LINK_FRAME_BYTES_MAX ? frame_bytes_max : LINK_FRAME_BYTES_MAX;
    link->state = LINK_STATE_READY;
    return LINK_UP;
}

/* LINK_MORE: it was the link's own business, go on. */
static enum link_next frame_deliver(struct link *link, const uint8_t *payload, struct link_frame *frame) {
    link->header_bytes = 0;
    switch (link->frame_type) {
    case LINK_TYPE_HELLO: return hello_take(link, payload);
    case LINK_TYPE_PING: /* only the newest is answered (L-28) */
        link->pong_token = ring_load_u64(payload);
        link->pong_to_send = true;
        return LINK_MORE;
    case LINK_TYPE_PONG: return LINK_MORE;
    case LINK_TYPE_GOODBYE: link->goodbye_code_received = ring_load_u32(payload); return fail_with(link, LINK_CAUSE_GOODBYE);
    default:
        frame->type = link->frame_type;
        frame->payload = payload;
        frame->payload_bytes = link->frame_bytes;
        return LINK_FRAME;
    }
}

/* Takes the header out of the plaintext. LINK_UP: complete and valid. */
static enum link_next header_take(struct link *link) {
    size_t take = LINK_FRAME_HEADER_BYTES - link->header_bytes;
    if (take > link->plain_bytes) {
        take = link->plain_bytes;
    }
    if (take > 0) {
        memcpy(link->header + link->header_bytes, link->plain, take);
        link->header_bytes += take;
        link->plain += take;
        link->plain_bytes -= take;
    }
    if (link->header_bytes < LINK_FRAME_HEADER_BYTES) {
        return LINK_MORE;
    }
    link->frame_bytes = ring_load_u32(link->header);
    link->frame_type = ring_load_u16(link->header + 4);
    enum link_cause cause = header_check(link);
    return cause == LINK_CAUSE_NONE ? LINK_UP : fail_with(link, cause);
}

/* One step in the decrypted bytes: a frame, UP, CLOSED, or MORE: they are used up. */
static enum link_next plain_parse(struct link *link, struct link_frame *frame) {
    for (;;) {
        enum link_next result;
        if (link->collecting) {
            if (link->block_filled < link->frame_bytes) {
                return LINK_MORE;
            }
            link->collecting = false;
            link->block_handed_out = true;
            link->plain = link->block + link->frame_bytes;
            link->plain_bytes = link->block_filled - link->frame_bytes;
            result = frame_deliver(link, link->block, frame);
        } else {
            result = header_take(link);
            if (result != LINK_UP) {
                return result;
            }
            if (link->plain_bytes < link->frame_bytes) {
                return block_begin(link) ? LINK_MORE : fail_with(link, LINK_CAUSE_MEMORY);
            }
            const uint8_t *payload = link->plain;
            link->plain += link->frame_bytes;
            link->plain_bytes -= link->frame_bytes;
            result = frame_deliver(link, payload, frame);
        }
        if (result != LINK_MORE) {
            return result;
        }
    }
}

void link_receive(struct link *link, uint8_t *bytes, size_t count, uint64_t now_ms) {
    RING_CHECK(link->input_bytes == 0);
    link->now_ms = now_ms;
    if (link->state != LINK_STATE_FAILED) {
        link->input = bytes;
        link->input_bytes = count;
    }
}

enum link_next link_next(struct link *link, struct link_frame *frame) {
    for (;;) {
        if (link->state == LINK_STATE_FAILED) {
            link->input_bytes = 0;
            link->plain_bytes = 0;
            return LINK_CLOSED;
        }
        enum link_next result;
        if (link->state == LINK_STATE_HANDSHAKE) {
            result = handshake_read(link);
            if (result == LINK_MORE) {
                return LINK_MORE;
            }
            continue;
        }
        result = plain_parse(link, frame);
        if (result == LINK_FRAME || result == LINK_UP) {
            return result;
        }
        if (result == LINK_MORE) {
            if (link->block_handed_out) {
                block_give(link);
            }
            if (record_open(link) == LINK_MORE) {
                return LINK_MORE;
            }
        }
    }
}

void *link_frame_detach(struct link *link, const struct link_frame *frame, size_t *block_bytes) {
    if (!link->block_handed_out || frame->payload != link->block) {
        return NULL;
    }
    if (link->plain_bytes > 0) { /* what follows the frame in its last record; no record is staged now */
        RING_CHECK(link->staging_bytes == 0 && link->plain_bytes <= LINK_RECORD_PLAIN_MAX);
        memcpy(link->staging, link->plain, link->plain_bytes);
        link->copied_bytes += link->plain_bytes;
        link->plain = link->staging;
    }
    void *block = link->block;
    *block_bytes = link->block_bytes;
    link->block = NULL;
    link->block_bytes = link->block_filled = 0;
    link->block_handed_out = false;
    return block;
}

/* --- What the link itself has to say --- */

bool link_output_wanted(const struct link *link) {
    return link->flight_bytes > 0 || link->hello_to_send || link->ping_to_send || link->pong_to_send || link->goodbye_to_send;
}

/* Seals one control frame as a record of its own. */
static size_t control_write(struct link *link, uint16_t type, const uint8_t *payload, size_t bytes, uint8_t *out) {
    uint8_t *plain = out + LINK_RECORD_HEADER_BYTES;
    size_t plain_bytes = LINK_FRAME_HEADER_BYTES + bytes;
    ring_store_u32(plain, (uint32_t)bytes);
    ring_store_u16(plain + 4, type);
    ring_store_u16(plain + 6, 0);
    memcpy(plain + LINK_FRAME_HEADER_BYTES, payload, bytes);
    if (noise_cipher_seal(&link->sending, plain, plain_bytes, plain) != NOISE_OK) {
        (void)fail_with(link, LINK_CAUSE_RECORD); /* 2^64 - 1 records: not in this universe */
        return 0;
    }
    ring_store_u16(out, (uint16_t)(plain_bytes + RING_TAG_BYTES));
    return LINK_RECORD_HEADER_BYTES + plain_bytes + RING_TAG_BYTES;
}

static size_t hello_write(struct link *link, uint8_t *out) {
    uint8_t payload[HELLO_BYTES] = {0};
    ring_store_u16(payload, link->config->version_min);
    ring_store_u16(payload + 2, link->config->version_max);
    ring_store_u32(payload + 4, link->peer.frame_bytes_max);
    return control_write(link, LINK_TYPE_HELLO, payload, sizeof payload, out);
}

size_t link_output(struct link *link, uint8_t *out, size_t room) {
    size_t at = 0;
    uint8_t payload[8];
    RING_CHECK(room >= LINK_OUTPUT_BYTES_MAX);
    if (link->sending_frame) {
        return 0;
    }
    if (link->flight_bytes > 0) {
        memcpy(out, link->flight, link->flight_bytes);
        at = link->flight_bytes;
        link->flight_bytes = 0;
    }
    if (link->hello_to_send && link->sending.keyed) {
        link->hello_to_send = false;
        at += hello_write(link, out + at);
    }
    if (link->state == LINK_STATE_READY && link->pong_to_send) {
        ring_store_u64(payload, link->pong_token);
        at += control_write(link, LINK_TYPE_PONG, payload, PING_BYTES, out + at);
    }
    if (link->state == LINK_STATE_READY && link->ping_to_send) {
        ring_store_u64(payload, ++link->ping_token);
        at += control_write(link, LINK_TYPE_PING, payload, PING_BYTES, out + at);
    }
    link->pong_to_send = link->ping_to_send = false;
    if (link->goodbye_to_send) {
        link->goodbye_to_send = false;
        ring_store_u32(payload, link->goodbye_code_to_send);
        at += control_write(link, LINK_TYPE_GOODBYE, payload, GOODBYE_BYTES, out + at);
    }
    return at;
}

/* A time may lie ahead after link_skip(). */
static uint64_t passed(uint64_t now_ms, uint64_t since_ms) {
    return now_ms > since_ms ? now_ms - since_ms : 0;
}

void link_tick(struct link *link, uint64_t now_ms) {
    const struct link_config *config = link->config;
    link->now_ms = now_ms;
    if (link->state == LINK_STATE_FAILED) {
        return;
    }
    if (link->state != LINK_STATE_READY) {
        if (passed(now_ms, link->created_ms) >= or_default(config->handshake_ms, LINK_HANDSHAKE_MS)) {
            (void)fail_with(link, LINK_CAUSE_HANDSHAKE_TIMEOUT);
        }
        return;
    }
    uint32_t ping_ms = or_default(config->ping_ms, LINK_PING_MS);
    if (passed(now_ms, link->heard_ms) >= or_default(config->idle_ms, LINK_IDLE_MS)) {
        (void)fail_with(link, LINK_CAUSE_IDLE);
    } else if (passed(now_ms, link->heard_ms) >= ping_ms && passed(now_ms, link->ping_sent_ms) >= ping_ms) {
        link->ping_to_send = true;
        link->ping_sent_ms = now_ms;
    }
}

void link_skip(struct link *link, uint64_t ms) {
    link->created_ms += ms;
    link->heard_ms += ms;
    link->ping_sent_ms += ms;
}

uint64_t link_deadline_ms(const struct link *link) {
    const struct link_config *config = link->config;
    if (link->state == LINK_STATE_FAILED) {
        return UINT64_MAX;
    }
    if (link->state != LINK_STATE_READY) {
        return link->created_ms + or_default(config->handshake_ms, LINK_HANDSHAKE_MS);
    }
    uint64_t last = link->heard_ms > link->ping_sent_ms ? link->heard_ms : link->ping_sent_ms;
    uint64_t ping = last + or_default(config->ping_ms, LINK_PING_MS);
    uint64_t idle = link->heard_ms + or_default(config->idle_ms, LINK_IDLE_MS);
    return ping < idle ? ping : idle;
}

void link_close(struct link *link, enum link_goodbye code) {
    (void)link_fail(link, LINK_CAUSE_LOCAL, (uint32_t)code);
}

bool link_is_up(const struct link *link) {
    return link->state == LINK_STATE_READY;
}

enum link_cause link_closed_cause(const struct link *link) {
    return link->cause;
}

uint32_t link_goodbye_code(const struct link *link) {
    return link->goodbye_code_received;
}

const struct link_peer *link_peer_of(const struct link *link) {
    return link->initiator || link->receiving.keyed || link->sending.keyed ? &link->peer : NULL;
}

uint64_t link_copied_bytes(const struct link *link) {
    return link->copied_bytes;
}

uint16_t link_version(const struct link *link) {
    return link->version;
}

void link_peer_versions(const struct link *link, uint16_t *version_min, uint16_t *version_max) {
    *version_min = link->peer_version_min;
    *version_max = link->peer_version_max;
}

void link_wipe(struct link *link) {
    if (link->config != NULL) {
        block_give(link);
    }
    noise_handshake_wipe(&link->handshake);
    noise_cipher_wipe(&link->sending);
    noise_cipher_wipe(&link->receiving);
    ring_wipe(link->ephemeral_private, sizeof link->ephemeral_private);
    link->goodbye_to_send = link->hello_to_send = link->ping_to_send = link->pong_to_send = false;
    link->flight_bytes = link->input_bytes = link->plain_bytes = 0;
    link->state = LINK_STATE_FAILED;
}
