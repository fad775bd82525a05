/* One link: a Noise_IK session with frames over a byte stream, as a pure state machine (chapter 6, rules L-n). No I/O, clock, heap or entropy:
 * the caller brings bytes, time, random numbers and memory. The node drives it by io_uring, the client by epoll, tests by two arrays.
 *
 * Life of a link, both ends:
 *
 *   link_init_initiator / link_init_responder
 *   loop:  bytes came   -> link_receive(), then link_next() until it returns LINK_MORE or LINK_CLOSED
 *          time passed  -> link_tick() at or after link_deadline_ms()
 *          after each   -> if link_output_wanted(): link_output() into the send buffer; send in the order written
 *          to send      -> once LINK_UP was returned: link_send_begin(), link_send_some() until done
 *   link_wipe
 *
 * Everything that the world does wrong ends in LINK_CLOSED with a cause; the failure is sticky. A GOODBYE that tells the other end why may
 * still be waiting: link_output() once more, send what it gave, then close the stream.
 *
 * One pass over payload bytes: a record is decrypted in place, in the caller's receive buffer, and a frame that lies within one record is
 * handed out there. A frame that spans records gets one contiguous block from the caller's memory, into which its records are decrypted
 * directly. Sending encrypts from the caller's pieces straight into the send buffer.
 *
 * Memory: sizeof(struct link), some 20 KiB, of which 16 KiB are touched only when a record is cut by the end of a receive buffer; and at most
 * two blocks of a frame's length + LINK_BLOCK_SLACK_BYTES for a moment, else one (plus those that were detached). A sender can make us reserve
 * a block by announcing a length, but pages are touched only as its bytes really come. */
#ifndef RING_LINK_H
#define RING_LINK_H

#include "ring/noise.h"

#define LINK_VERSION_CURRENT 1u /* the only link version of edition 1 (L-2) */
#define LINK_SYSTEM_ID_BYTES 16
#define LINK_PREAMBLE_BYTES 8            /* L-3 */
#define LINK_FIRST_FLIGHT_BYTES 104      /* preamble and first handshake message */
#define LINK_FRAME_HEADER_BYTES 8        /* C-12 */
#define LINK_FRAME_BYTES_MAX (32u << 20) /* payload, whatever the role (L-24) */
#define LINK_RECORD_PLAIN_MAX 16384u     /* L-14 */
#define LINK_RECORD_HEADER_BYTES 2
#define LINK_RECORD_WIRE_MAX (LINK_RECORD_HEADER_BYTES + LINK_RECORD_PLAIN_MAX + RING_TAG_BYTES)
#define LINK_BLOCK_SLACK_BYTES LINK_RECORD_PLAIN_MAX
#define LINK_OUTPUT_BYTES_MAX 512               /* the most that one link_output() writes */
#define LINK_SEND_ROOM_MIN LINK_RECORD_WIRE_MAX /* the least room that link_send_some() works with */

/* L-40: times, all in milliseconds. */
#define LINK_HANDSHAKE_MS 5000u /* from the stream's begin to the peer's HELLO */
#define LINK_PING_MS 2000u      /* nothing heard for this long: PING */
#define LINK_IDLE_MS 10000u     /* nothing heard for this long: closed */

/* Message types of the link itself (C-12). */
enum link_type { LINK_TYPE_HELLO = 1, LINK_TYPE_PING = 2, LINK_TYPE_PONG = 3, LINK_TYPE_GOODBYE = 4, LINK_TYPE_FIRST_FREE = 0x0100 };

/* L-30: codes of GOODBYE. Others are taken as they come and shown as numbers. */
enum link_goodbye {
    LINK_GOODBYE_SHUTDOWN = 1, /* going away in good order */
    LINK_GOODBYE_VERSION = 2,  /* this link is not at the highest common version */
    LINK_GOODBYE_REPLACED = 3, /* a newer link of yours took over */
    LINK_GOODBYE_PROTOCOL = 4, /* you broke a rule */
    LINK_GOODBYE_IDLE = 5,     /* nothing heard */
    LINK_GOODBYE_REFUSED = 6,  /* your key is no longer known here */
    LINK_GOODBYE_OVERLOAD = 7, /* no memory, or you do not take what I send */
};

/* Why a link was closed. Each has a counter of its own name in net.h. */
enum link_cause {
    LINK_CAUSE_NONE = 0,
    LINK_CAUSE_PREAMBLE,        /* not our magic, or a field out of range */
    LINK_CAUSE_VERSION_UNKNOWN, /* offered a link version outside my range */
    LINK_CAUSE_SUITE,           /* offered a suite that is not allowed here */
    LINK_CAUSE_HANDSHAKE,       /* a handshake message that does not authenticate: other system, other key, damaged, small-order point */
    LINK_CAUSE_KEY_UNKNOWN,     /* first message of a stranger: no reply */
    LINK_CAUSE_HANDSHAKE_TIMEOUT,
    LINK_CAUSE_RECORD,       /* a record of a forbidden length, or one that does not authenticate */
    LINK_CAUSE_FRAME_LENGTH, /* longer than the limit for this peer or type */
    LINK_CAUSE_FRAME_HEADER, /* the zero field is not zero */
    LINK_CAUSE_FRAME_TYPE,   /* unknown type, or one that this peer's role may not send */
    LINK_CAUSE_HELLO,        /* HELLO missing, repeated or malformed */
    LINK_CAUSE_VERSION_LOW,  /* below the highest common version (L-21) */
    LINK_CAUSE_CONTROL,      /* malformed PING, PONG or GOODBYE */
    LINK_CAUSE_IDLE,         /* nothing heard for LINK_IDLE_MS */
    LINK_CAUSE_GOODBYE,      /* the other end said goodbye; link_goodbye_code() says how */
    LINK_CAUSE_MEMORY,       /* the caller's memory had no block for a frame */
    LINK_CAUSE_LOCAL,        /* link_close() was called */
    LINK_CAUSE_COUNT
};

/* "handshake", "record", ...: stable names for logs and metrics. Never NULL. */
const char *link_cause_name(enum link_cause cause);

/* My own Noise key pair. The caller keeps it alive and still for as long as links refer to it, and wipes it. */
struct link_identity {
    uint8_t private_key[RING_KEY_BYTES];
    uint8_t public_key[RING_KEY_BYTES];
};

/* Which roles may send which type, and how long it may be. roles is a set of bits whose meaning is the caller's. A link without rules
 * accepts every type from LINK_TYPE_FIRST_FREE on. */
struct link_type_rule {
    uint16_t type;
    uint16_t roles;
    uint32_t payload_bytes_max;
};

/* Where blocks for frames that span records come from. take returns at least `bytes`, or NULL; give returns what take gave. Pages should be
 * lazily touched. May be malloc and free. */
struct link_memory {
    void *context;
    void *(*take)(void *context, size_t bytes);
    void (*give)(void *context, void *block, size_t bytes);
};

/* Common to all links of an owner; kept alive and unchanged by the caller while links refer to it. */
struct link_config {
    const struct ring_primitives *primitives;
    const struct link_identity *identity;
    uint8_t system_id[LINK_SYSTEM_ID_BYTES];
    uint16_t version_min, version_max; /* the range that I accept; both LINK_VERSION_CURRENT in edition 1 */
    uint8_t suites_allowed;            /* bit (1 << enum ring_suite): the limit `aead_allowed` << 1; CHACHAPOLY must be in it */
    struct link_memory memory;
    const struct link_type_rule *rules; /* sorted by type, no duplicates; NULL: none */
    size_t rule_count;
    uint32_t handshake_ms, ping_ms, idle_ms; /* 0: the defaults of L-40 */
};

/* What a responder must know of a peer that it accepts. */
struct link_peer {
    uint64_t tag;             /* the caller's */
    uint16_t roles;           /* for the rules */
    uint32_t frame_bytes_max; /* largest payload that I accept from it, at most LINK_FRAME_BYTES_MAX */
};

/* The responder's look-up of a static key (L-13): true and *peer filled in, or false: the link is dropped without a reply. */
typedef bool link_lookup(void *context, const uint8_t remote_static[RING_KEY_BYTES], struct link_peer *peer);

enum link_state { LINK_STATE_HANDSHAKE = 1, LINK_STATE_HELLO, LINK_STATE_READY, LINK_STATE_FAILED };

/* All fields are private to link.c; the struct is here so that the caller can allocate it. Zero pages may hold it: init touches little. */
struct link {
    const struct link_config *config;
    struct link_peer peer;
    link_lookup *lookup;
    void *lookup_context;
    enum link_state state;
    enum link_cause cause;
    uint32_t goodbye_code_received;
    uint32_t goodbye_code_to_send;
    bool initiator;
    bool hello_to_send, ping_to_send, pong_to_send, goodbye_to_send, sending_frame;
    uint16_t version;
    enum ring_suite suite;
    uint32_t peer_frame_bytes_max; /* what the peer's HELLO accepts */
    uint16_t peer_version_min, peer_version_max;
    uint64_t created_ms, heard_ms, ping_sent_ms, now_ms;
    uint64_t pong_token, ping_token;
    uint64_t copied_bytes;
    struct noise_handshake handshake;
    struct noise_cipher sending, receiving;

    uint8_t *input; /* the caller's bytes not yet taken */
    size_t input_bytes;
    uint8_t *plain; /* decrypted bytes not yet parsed: in the caller's buffer, in staging or in the block */
    size_t plain_bytes;
    uint8_t header[LINK_FRAME_HEADER_BYTES]; /* of the frame that is being collected */
    size_t header_bytes;
    uint8_t *block; /* where it is collected, or NULL */
    size_t block_bytes, block_filled, frame_bytes;
    uint16_t frame_type;
    bool block_handed_out; /* the frame in the block was returned; give the block back when its bytes are used up */
    bool collecting;       /* block is being filled */
    size_t staging_bytes;
    uint8_t ephemeral_private[RING_KEY_BYTES]; /* the responder's, until the first flight is here */
    uint8_t flight[LINK_FIRST_FLIGHT_BYTES];   /* my handshake message, until it is written out */
    size_t flight_bytes;
    uint8_t staging[LINK_RECORD_WIRE_MAX]; /* a record of which only a part is here */
};

struct link_frame {
    uint16_t type;
    const uint8_t *payload; /* valid until the next link_next, link_receive or link_wipe on this link */
    size_t payload_bytes;
};

enum link_next { LINK_MORE = 0, LINK_UP, LINK_FRAME, LINK_CLOSED };

/* Begins a link that I dial. remote_static: the responder's key. version: what I offer, within the config's range (L-20 says which).
 * suite: allowed and available. ephemeral_private: fresh entropy, used once. The first flight waits in link_output() at once. */
void link_init_initiator(struct link *link, const struct link_config *config, const struct link_peer *peer,
                         const uint8_t remote_static[RING_KEY_BYTES], uint16_t version, enum ring_suite suite,
                         const uint8_t ephemeral_private[RING_KEY_BYTES], uint64_t now_ms);

/* Begins a link that was dialled to me. */
void link_init_responder(struct link *link, const struct link_config *config, link_lookup *lookup, void *lookup_context,
                         const uint8_t ephemeral_private[RING_KEY_BYTES], uint64_t now_ms);

/* Hands over bytes of the stream, in order, in pieces of any size. They are decrypted in place and must stay until link_next() has returned
 * LINK_MORE or LINK_CLOSED; before that no further link_receive(). */
void link_receive(struct link *link, uint8_t *bytes, size_t count, uint64_t now_ms);

/* The next thing that the received bytes contain.
 * LINK_MORE: all taken.  LINK_UP: the peer's HELLO came; returned once, before any frame; it proves that the peer holds its key now (a replayed
 * first message never gets here).  LINK_FRAME: *frame filled in, type >= LINK_TYPE_FIRST_FREE.  LINK_CLOSED: see link_closed_cause(). */
enum link_next link_next(struct link *link, struct link_frame *frame) __attribute__((warn_unused_result));

/* Takes over the block of the frame just returned, so that its payload outlives the next call, without a copy. Returns the block and its
 * size, which the caller gives back to the memory itself; NULL if the frame lies in the receive buffer (then copy it). */
void *link_frame_detach(struct link *link, const struct link_frame *frame, size_t *block_bytes);

/* True if link_output() has something to write. */
bool link_output_wanted(const struct link *link);

/* Writes what the link itself has to say (handshake, HELLO, PING, PONG, GOODBYE) to out, room >= LINK_OUTPUT_BYTES_MAX; returns the bytes
 * written, maybe 0. What it writes precedes whatever is sealed later. Not in the middle of a frame (writes nothing then). */
size_t link_output(struct link *link, uint8_t *out, size_t room) __attribute__((warn_unused_result));

/* A frame on its way out: begun by link_send_begin, written by link_send_some in as many turns as the buffers need. */
struct link_send {
    const struct iovec *pieces;
    size_t piece_count, piece_index, piece_offset;
    size_t remaining; /* payload bytes not yet sealed */
    bool header_done;
    uint16_t type;
    uint32_t payload_bytes;
};

enum link_send_result { LINK_SEND_OK = 0, LINK_SEND_NOT_UP, LINK_SEND_TOO_LONG };

/* The most bytes on the wire that a frame of so many payload bytes in so many pieces becomes. */
uint64_t link_send_wire_bytes_max(size_t payload_bytes, size_t piece_count);

/* Begins a frame of the given type (>= LINK_TYPE_FIRST_FREE) whose payload is the concatenation of the pieces, which must stay unchanged until
 * link_send_some() says done. LINK_SEND_NOT_UP before LINK_UP or after LINK_CLOSED; LINK_SEND_TOO_LONG: beyond what the peer accepts.
 * Waiting output of the link itself must have been written first (CHECK): call link_output(). */
enum link_send_result link_send_begin(struct link *link, struct link_send *send, uint16_t type, const struct iovec *pieces, size_t piece_count)
    __attribute__((warn_unused_result));

/* Seals records into out while whole ones fit. Returns the bytes written: maybe 0 if room < LINK_SEND_ROOM_MIN. *done: the frame is complete;
 * until then nothing else may be sent on this link. */
size_t link_send_some(struct link *link, struct link_send *send, uint8_t *out, size_t room, bool *done) __attribute__((warn_unused_result));

/* Time-outs and keep-alive. May close the link (then link_closed_cause() != NONE) or make output wanted. */
void link_tick(struct link *link, uint64_t now_ms);

/* Time that does not count, because the caller stood still for ms: puts all time-outs off by it. */
void link_skip(struct link *link, uint64_t ms);

/* When link_tick() is next of use. */
uint64_t link_deadline_ms(const struct link *link);

/* Ends the link from this side: a GOODBYE with the code waits in link_output() if the link got that far. cause as given (LINK_CAUSE_LOCAL). */
void link_close(struct link *link, enum link_goodbye code);

bool link_is_up(const struct link *link);
enum link_cause link_closed_cause(const struct link *link);    /* LINK_CAUSE_NONE while open */
uint32_t link_goodbye_code(const struct link *link);           /* with LINK_CAUSE_GOODBYE */
const struct link_peer *link_peer_of(const struct link *link); /* NULL before the key is known */
uint16_t link_version(const struct link *link);
/* Payload bytes moved by memcpy since the begin, over both directions: what came on top of the one pass of encryption or decryption. */
uint64_t link_copied_bytes(const struct link *link);
/* The range that the peer's HELLO states; both 0 before it came. For choosing what to offer next time (L-20). */
void link_peer_versions(const struct link *link, uint16_t *version_min, uint16_t *version_max);

/* Gives back the block and wipes keys. May be repeated. Any pending output is lost. */
void link_wipe(struct link *link);

#endif
