/* Private to net*.c. */
#ifndef RING_NET_PRIVATE_H
#define RING_NET_PRIVATE_H

#include "ring/blocks.h"
#include "ring/loop.h"
#include "ring/net.h"

#define NET_NONE UINT32_MAX
#define NET_PEER_INDEX_BITS 21u /* a handle is generation << 21 | index */
#define NET_PEERS_MAX ((1u << NET_PEER_INDEX_BITS) - 1)
#define NET_PENDING_PER_PEER 4u /* handshakes under way that bear one peer's key (L-43) */
#define NET_KNOWN_ADDRESSES_MAX 1024u
#define NET_CLOSE_MS 1000u /* for a last GOODBYE to leave */
#define NET_TICK_MS_MIN 5u
#define NET_TICK_MS_BUSY 100u /* while something waits to be sent */
#define NET_TICK_MS_MAX 400u  /* below NET_GAP_MS */
#define NET_GAP_MS 500u /* not polled for so long: the time does not count */
#define NET_BLOCKS_KEEP_MS 5000u
#define NET_DRAIN_MS 5000u /* L-45: in so long a client takes an eighth of what waits for it, */
#define NET_DRAIN_PART 8u
#define NET_DRAIN_FROM_BYTES (1u << 20) /* if it is more than this */
#define NET_QUIET_BYTES (1u << 20) /* less than this in NET_BLOCKS_KEEP_MS: unused memory goes back */

enum connection_state { CONNECTION_FREE = 0, CONNECTION_CONNECTING, CONNECTION_OPEN, CONNECTION_UP, CONNECTION_CLOSING, CONNECTION_GONE };

/* Of the send buffers, so that no client and no other cluster can take what the members of my own need. */
enum net_share {
    SHARE_HANDSHAKE = 0, /* not up: bounded by the number of half-open ones */
    SHARE_MEMBERS,       /* all */
    SHARE_FOREIGN,       /* three eighths, together with observers */
    SHARE_CLIENTS,       /* a quarter */
    SHARE_COUNT
};

/* One socket; its index is the loop's slot. */
struct net_connection {
    enum connection_state state;
    bool dialled;
    bool known_address; /* accepted from an address of a configured peer */
    bool half_open;     /* counted among the half-open ones: accepted, and no first frame yet */
    bool queued_flush;
    bool got_bytes;        /* the other end has said something */
    uint32_t peer;         /* index, or NET_NONE while unknown */
    uint32_t active_index; /* in net->active */
    uint16_t offered_version;
    struct loop_buffer *head, *tail;
    uint64_t queue_bytes;
    enum net_share share;
    uint32_t buffer_count;                           /* in the queue, counted in net->share_buffers[share] */
    uint64_t drain_ms, drain_queued_bytes, sent_bytes; /* the last look at how fast it takes: when, what waited, what it has taken since */
    uint64_t opened_ms, progress_ms, close_by_ms, up_ms;
    enum link_cause cause;
};

struct net_peer {
    bool used;
    uint16_t generation;
    struct net_peer_config config;
    uint32_t connection; /* up, or NET_NONE */
    uint32_t dialling;   /* connection, or NET_NONE */
    uint64_t next_dial_ms;
    uint32_t backoff_ms;
    uint32_t address_index;
    uint32_t attempt;          /* which version and suite to offer next (L-20) */
    uint16_t version_max_seen; /* from its last HELLO, 0: never */
    uint64_t keep_bytes;
};

struct net_bucket {
    uint64_t tokens_milli; /* thousandths of a handshake */
    uint64_t filled_ms;
};

struct net_count {
    uint64_t closed[LINK_CAUSE_COUNT];
    uint64_t accepted, refused_rate, refused_half_open, evicted_half_open, evicted_pending, dialled, dial_failed, ups, downs, replaced, ended;
    uint64_t stalled, slow, send_share_full;
    uint64_t frames_received, frames_sent, payload_received_bytes, payload_sent_bytes, send_full, send_not_up, send_too_long;
    uint64_t copied_bytes; /* of links that are gone, and by net_frame_keep */
    uint64_t open_ns, opens, seal_ns;
    uint64_t kept_direct, kept_copied, keep_refused, half_open_now, half_open_unknown_now, up_now;
};

struct net {
    struct net_config config;
    struct link_config link_config;
    struct link_identity *identity; /* a locked page of its own */
    struct loop *loop;
    bool started, stopping;
    char note[NET_ERROR_BYTES];
    uint16_t ports[NET_LISTEN_MAX];

    struct net_peer *peers;
    uint32_t peer_slots; /* config.peers_max */
    uint32_t peer_count;
    uint32_t peer_end; /* one above the highest index ever used: what lies beyond was never touched */
    uint32_t *key_table;     /* open addressing: peer index + 1, 0 empty */
    uint32_t key_table_size; /* power of two */
    uint64_t key_secret[2];
    struct sockaddr_storage known[NET_KNOWN_ADDRESSES_MAX]; /* of peers */
    size_t known_count;
    uint32_t *diallers; /* indices of peers that I dial */
    uint32_t dialler_count;

    struct net_connection *connections;
    uint8_t *links; /* one struct link per connection, each on pages of its own, touched when used */
    uint32_t connection_slots;
    uint32_t *active;
    uint32_t active_count;
    uint32_t *flush;
    uint32_t flush_count;
    uint32_t share_buffers[SHARE_COUNT], share_buffers_max[SHARE_COUNT];

    struct net_bucket bucket_known, bucket_unknown;
    struct blocks blocks;
    struct net_count count;

    struct net_event *events; /* a ring */
    uint32_t event_room, event_first, event_count;
    uint32_t current;          /* connection whose received bytes are being taken, or NET_NONE */
    struct link_frame frame;   /* of the NET_FRAME given out last */
    uint32_t frame_connection; /* its connection, or NET_NONE */
    uint32_t gone_count;
    uint64_t now_ms, next_tick_ms, polled_ms;
    uint64_t trim_ms, trim_bytes; /* when traffic was last looked at, and what it was */
    bool trim_wanted;
};

/* net_peer.c */
bool net_peers_make(struct net *net);
void net_peers_free(struct net *net);
uint32_t net_peer_index(const struct net *net, const uint8_t key[RING_KEY_BYTES]); /* NET_NONE: unknown */
uint32_t net_peer_handle(const struct net *net, uint32_t index);
bool net_peer_handle_valid(const struct net *net, uint32_t handle);
struct net_peer *net_peer_at(const struct net *net, uint32_t handle); /* CHECKs the handle */
bool net_address_known(const struct net *net, const struct sockaddr_storage *address);
/* The next try to dial it comes after back-off. */
void net_peer_back_off(struct net *net, struct net_peer *peer);
void net_event_push(struct net *net, const struct net_event *event);

/* net_connection.c */
struct link *net_link_of(const struct net *net, uint32_t connection);
bool net_connection_accept(struct net *net, uint32_t connection, const struct sockaddr_storage *address);
void net_connection_dial(struct net *net, uint32_t peer_index);
void net_connection_dialled(struct net *net, uint32_t connection);
void net_connection_dial_failed(struct net *net, uint32_t connection);
void net_connection_up(struct net *net, uint32_t connection);
/* Ends it: event, GOODBYE if one waits, then the socket. at_once: what is queued is dropped. */
void net_connection_close(struct net *net, uint32_t connection, enum link_cause cause, bool at_once);
/* The socket of a closing connection goes now. */
void net_connection_finish(struct net *net, uint32_t connection);
/* Wipes and frees those that are gone; called when no payload of theirs can be in use. */
void net_connections_reap(struct net *net);

/* The stride of the links in net->links. */
size_t net_link_stride(void);

/* net_send.c */
/* Moves what the link itself has to say to the queue. False: no send buffer is free. */
bool net_queue_output(struct net *net, uint32_t connection);
void net_queue_flush(struct net *net, uint32_t connection);
void net_queue_flush_all(struct net *net);
void net_queue_sent(struct net *net, uint32_t connection, size_t count);
void net_queue_free(struct net *net, uint32_t connection);
/* What share each kind of peer has of the send buffers; after the loop was made. */
void net_shares_make(struct net *net);
/* The connection is up: its buffers count for its peer's kind from now on. */
void net_share_set(struct net *net, uint32_t connection, uint16_t role);
/* Does this client take what waits for it too slowly (L-45)? Called at each tick. */
bool net_queue_slow(struct net *net, uint32_t connection);

#endif
