/* What a node uses of ring/: listeners, diallers and links to known peers over one io_uring loop, driven by one thread.
 *
 * Contract: all functions but net_wake() are called by one thread, the one that first calls net_poll() (or net_create(); a net made by one
 * thread and polled by another is fine as long as net_start() is called by the poller). Nothing blocks but net_poll(). After net_start() nothing is
 * allocated but blocks for frames that span records, within the per-peer limit.
 *
 *   net_create, net_peer_add ..., net_start
 *   for (;;) {
 *       net_poll(net, timeout_ms);                     flushes what was sent, waits, gathers
 *       while (net_next(net, &event)) { ... }          UP, DOWN, FRAME, WOKEN; net_send() may be called anywhere in here
 *   }
 *   net_close_all, net_poll a few times, net_destroy
 *
 * Limits are per peer, so that no peer can use up what others need: one link, one frame being received, send_queue_bytes_max of ciphertext
 * waiting, keep_bytes_max of frames kept. A full queue refuses (NET_FULL): the caller drops, and the peer fetches (DESIGN section 4).
 *
 * Send memory is shared: clients together may have a quarter of it waiting, nodes of other clusters and observers three eighths, members of my own
 * cluster all. A client that takes less than an eighth of what waits for it (if that is more than 1 MiB) in 5 s is cut off (L-45).
 *
 * At most one link per peer is up. A new one replaces it after its first valid transport frame (L-22): the caller sees DOWN(REPLACED), UP.
 * Frames in flight may be lost at a DOWN; nothing is re-sent here. */
#ifndef RING_NET_H
#define RING_NET_H

#include <netinet/in.h>

#include "ring/link.h"

#define NET_PEER_NONE UINT32_MAX
#define NET_ADDRESSES_MAX 4 /* per peer */
#define NET_LISTEN_MAX 4
#define NET_ERROR_BYTES 256

struct net;

/* Bits for link_type_rule.roles and net_peer_config.role (exactly one bit of it). */
enum net_role {
    NET_ROLE_MEMBER = 1,   /* member of my own cluster */
    NET_ROLE_OBSERVER = 2, /* observes my own cluster, votes nothing */
    NET_ROLE_FOREIGN = 4,  /* node of another cluster */
    NET_ROLE_CLIENT = 8,
};

enum net_dial {
    NET_DIAL_NEVER = 0, /* clients; peers that dial me */
    NET_DIAL_BY_KEY,    /* L-44: of two nodes the one with the lower static key (byte by byte) dials */
    NET_DIAL_ALWAYS,
};

struct net_peer_config {
    uint8_t static_key[RING_KEY_BYTES];
    uint64_t tag;  /* comes back in every event: the caller's own index */
    uint16_t role; /* enum net_role */
    enum net_dial dial;
    struct sockaddr_storage addresses[NET_ADDRESSES_MAX]; /* tried in turn; also mark incoming connections as a known peer's (L-42) */
    size_t address_count;
    uint32_t frame_bytes_max;      /* largest payload accepted from it; <= LINK_FRAME_BYTES_MAX */
    uint32_t send_queue_bytes_max; /* ciphertext waiting for the socket; a frame that does not fit is refused, but into an empty queue one
                                          frame of any allowed length goes */
    uint32_t keep_bytes_max;       /* blocks held by net_frame_keep */
    bool keep_counted;             /* by who keeps them: net_budget leaves them out */
};

struct net_config {
    const struct ring_primitives *primitives; /* NULL: default */
    uint8_t static_private[RING_KEY_BYTES];   /* copied to locked memory; wipe yours afterwards */
    uint8_t system_id[LINK_SYSTEM_ID_BYTES];
    uint16_t version_min, version_max; /* 0, 0: LINK_VERSION_CURRENT */
    uint8_t suites_allowed;            /* 0: ChaChaPoly only; bit (1 << RING_SUITE_AESGCM) to offer and take AES-GCM too */
    struct sockaddr_storage listen[NET_LISTEN_MAX];
    size_t listen_count;
    uint32_t peers_max;                 /* 0: 1024 */
    const struct link_type_rule *rules; /* kept alive by the caller; NULL: none */
    size_t rule_count;

    uint32_t handshake_ms, ping_ms, idle_ms; /* 0: L-40 */
    uint32_t connect_ms;                     /* 0: 3000 */
    uint32_t backoff_ms_min, backoff_ms_max; /* 0: 50 and 1000; doubled after each failure, +-25 % */

    uint32_t half_open_max;      /* 0: 64 connections whose handshake is not over */
    uint32_t half_open_reserved; /* 0: a quarter of them, for addresses of configured peers (L-42) */
    uint32_t handshakes_per_s;   /* 0: 200, burst the same, from unknown addresses; the same again for known ones */

    uint32_t receive_buffer_count;    /* power of two; 0: 32 */
    uint32_t receive_buffer_bytes;    /* 0: 131072 */
    uint32_t send_buffer_count;       /* registered; 0: 48, fewer where the memlock limit asks for it */
    uint32_t send_zc_threshold_bytes; /* 0: never; else sends of at least this many bytes use SEND_ZC */
    uint64_t send_memory_max;         /* 0: 256 MiB of send buffers beyond the registered ones, over all peers, lazily taken */
    bool measure;                     /* what encryption takes, for net_cost: two readings of the clock for each frame */
};

enum net_status {
    NET_OK = 0,
    NET_ERR_CONFIG,   /* a field out of range; the error text names it */
    NET_ERR_IO_URING, /* io_uring is not available or lacks an operation; the text says which and what to do */
    NET_ERR_LISTEN,   /* cannot bind or listen; the text names the address */
    NET_ERR_MEMORY,
    NET_ERR_PEER_EXISTS, /* this static key is in the table already, or is my own */
    NET_ERR_PEERS_FULL,
    NET_FULL,     /* net_send: the peer's queue has no room: drop, or try again after net_poll */
    NET_NOT_UP,   /* net_send: no link to this peer now */
    NET_TOO_LONG, /* net_send: longer than the peer accepts */
};

const char *net_status_name(enum net_status status);

enum net_event_kind { NET_UP = 1, NET_DOWN, NET_FRAME, NET_WOKEN };

struct net_event {
    enum net_event_kind kind;
    uint32_t peer; /* handle from net_peer_add */
    uint64_t tag;
    uint16_t role;
    uint16_t type;          /* NET_FRAME */
    const uint8_t *payload; /* NET_FRAME: valid until the next net_next or net_poll; net_frame_keep to keep it */
    size_t payload_bytes;
    enum link_cause cause; /* NET_DOWN; LINK_CAUSE_NONE: the stream ended or failed */
    uint32_t goodbye_code; /* NET_DOWN with LINK_CAUSE_GOODBYE */
    bool replaced;         /* NET_DOWN: a newer link of the same peer took over; UP follows */
};

/* Makes a net. *net is NULL on error; error gets one line of text that says what to do. Threads: no I/O yet, no ring yet. */
enum net_status net_create(struct net **net, const struct net_config *config, char error[NET_ERROR_BYTES]) __attribute__((warn_unused_result));

/* Makes the ring, listens, begins to dial. Called once, by the thread that will poll. NET_OK, _ERR_IO_URING, _ERR_LISTEN, _ERR_MEMORY. */
enum net_status net_start(struct net *net, char error[NET_ERROR_BYTES]) __attribute__((warn_unused_result));

struct loop;
/* Before net_start(), if at all: a ring that another net of this thread has left (net_destroy_keep), whose sizes count then. It is the net's from now
 * on. */
void net_ring_give(struct net *net, struct loop *ring);

/* Closes all sockets at once, wipes keys, frees everything but frames that are still kept (release them before). NULL is allowed. */
void net_destroy(struct net *net);
/* The same, but the ring stays, empty, for another net; NULL: there is none, or the kernel does not let go of what it had. */
struct loop *net_destroy_keep(struct net *net) __attribute__((warn_unused_result));
/* Of a ring that no net gets. NULL is allowed. */
void net_ring_destroy(struct loop *ring);

/* Before or after net_start. *peer gets the handle. NET_OK, _ERR_CONFIG, _ERR_PEER_EXISTS, _ERR_PEERS_FULL. */
enum net_status net_peer_add(struct net *net, const struct net_peer_config *config, uint32_t *peer) __attribute__((warn_unused_result));

/* Changes everything but the static key: a new address is dialled next time; role and limits hold from the next link on. */
enum net_status net_peer_update(struct net *net, uint32_t peer, const struct net_peer_config *config) __attribute__((warn_unused_result));

/* What it was added or changed with last. */
void net_peer_get(const struct net *net, uint32_t peer, struct net_peer_config *config);

/* Forgets a peer; its link is closed with GOODBYE(REFUSED), without a NET_DOWN. The handle is invalid from now on. */
void net_peer_remove(struct net *net, uint32_t peer);

/* Handle of a static key, or NET_PEER_NONE. */
uint32_t net_peer_find(const struct net *net, const uint8_t static_key[RING_KEY_BYTES]);

/* Flushes what was sent, then waits until there is something to do, at most timeout_ms (0: does not wait, UINT32_MAX: no limit of its own), and
 * does time-outs, dialling and accepting. Events are then taken with net_next. Unfetched events are kept: it does not wait
 * then. */
void net_poll(struct net *net, uint32_t timeout_ms);

/* The next event; false: none until the next net_poll. */
bool net_next(struct net *net, struct net_event *event) __attribute__((warn_unused_result));

/* Keeps the payload of the NET_FRAME event just taken beyond the next call: without a copy if it has a block of its own, else by a copy.
 * Returns the address to use from now on, or NULL: the peer's keep_bytes_max is used up (copy or drop). */
const uint8_t *net_frame_keep(struct net *net, const struct net_event *event) __attribute__((warn_unused_result));

/* Gives it back; by the net's thread. payload: what net_frame_keep returned. Allowed after the peer went down or was removed. */
void net_frame_release(struct net *net, const uint8_t *payload);

/* Encrypts one frame to the peer, payload = the pieces one after another; they are free again on return. Goes out at the next net_poll.
 * NET_OK, _FULL, _NOT_UP, _TOO_LONG; nothing is sent in part. */
enum net_status net_send(struct net *net, uint32_t peer, uint16_t type, const struct iovec *pieces, size_t piece_count)
    __attribute__((warn_unused_result));

/* Bytes of ciphertext that wait for the peer's socket. 0 if it is not up. */
uint64_t net_queue_bytes(const struct net *net, uint32_t peer);

bool net_peer_is_up(const struct net *net, uint32_t peer);

/* Closes the peer's link with a GOODBYE code; NET_DOWN(LOCAL) follows. A peer that is to be dialled is dialled again after back-off. */
void net_peer_close(struct net *net, uint32_t peer, enum link_goodbye code);

/* Says GOODBYE(code) on all links, stops dialling and accepting. Poll until net_is_quiet() or your patience ends, then destroy. */
void net_close_all(struct net *net, enum link_goodbye code);
bool net_is_quiet(const struct net *net);

/* Makes net_poll() return soon, with a NET_WOKEN event; from any thread, async-signal-safe, after net_start. */
void net_wake(struct net *net);

/* The port that the index-th listener got (for port 0 in tests); 0 if there is none. */
uint16_t net_listen_port(const struct net *net, size_t index);

/* One counter: a stable name for /metrics and its value. All are sums since the start but those that end in _now. */
struct net_counter {
    const char *name;
    uint64_t value;
};

/* What encryption has come to, by the clock, with `measure` in the configuration; no heap, any moment, the net's thread. Open: records decrypted and
 * the frames found in them; seal: frames encrypted, their pieces gathered. */
struct net_cost {
    uint64_t open_ns, opens, open_bytes, seal_ns, seals, seal_bytes;
};
void net_cost(const struct net *net, struct net_cost *cost);

/* Fills in up to `room` counters, returns how many there are. */
size_t net_counters(const struct net *net, struct net_counter *counters, size_t room);

/* The memory budget, each part with a name, in bytes: what the net may come to use at the most. */
size_t net_budget(const struct net *net, struct net_counter *parts, size_t room);

/* Notes for the log about what was made smaller at start ("send buffers not registered: memlock limit 64 KiB"), or "". */
const char *net_note(const struct net *net);

/* "10.0.0.1:7000" or "[::1]:7000" to an address; false if it is neither. Names are not resolved. */
bool net_address_parse(const char *text, struct sockaddr_storage *address) __attribute__((warn_unused_result));

/* The other way round. */
void net_address_format(const struct sockaddr_storage *address, char text[64]);

#endif
