/* The life of one connection, from accept or dial to its end: see net.h and chapter 6, L-20, L-22 and L-40 to L-45. */
#include <string.h>
#include <sys/mman.h>

#include "ring/check.h"
#include "ring/entropy.h"
#include "ring/net_private.h"

#define PAGE_BYTES 4096u
#define LINK_STRIDE ((sizeof(struct link) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES)

size_t net_link_stride(void) {
    return LINK_STRIDE;
}

struct link *net_link_of(const struct net *net, uint32_t index) {
    return (struct link *)(void *)(net->links + (size_t)index * LINK_STRIDE);
}

static struct net_connection *begin(struct net *net, uint32_t index, enum connection_state state) {
    struct net_connection *connection = &net->connections[index];
    RING_CHECK(index < net->connection_slots && connection->state == CONNECTION_FREE);
    bool queued_flush = connection->queued_flush; /* it may still stand in the list */
    *connection = (struct net_connection){
        .state = state,
        .queued_flush = queued_flush,
        .peer = NET_NONE,
        .active_index = net->active_count,
        .opened_ms = net->now_ms,
        .progress_ms = net->now_ms,
    };
    net->active[net->active_count++] = index;
    return connection;
}

/* --- Accepting --- */

static bool bucket_take(struct net_bucket *bucket, uint64_t now_ms, uint32_t per_s) {
    uint64_t room = (uint64_t)per_s * 1000;
    uint64_t passed = now_ms - bucket->filled_ms;
    uint64_t tokens = passed > 1000 ? room : bucket->tokens_milli + passed * per_s;
    bucket->tokens_milli = tokens < room ? tokens : room;
    bucket->filled_ms = now_ms;
    if (bucket->tokens_milli < 1000) {
        return false;
    }
    bucket->tokens_milli -= 1000;
    return true;
}

/* The oldest half-open connection that fits; NET_NONE: there is none. peer NET_NONE: any from an unknown address. */
static uint32_t oldest_half_open(const struct net *net, uint32_t peer) {
    uint32_t oldest = NET_NONE;
    for (uint32_t i = 0; i < net->active_count; i++) {
        uint32_t index = net->active[i];
        const struct net_connection *connection = &net->connections[index];
        bool fits = peer == NET_NONE ? !connection->known_address : connection->peer == peer;
        if (connection->half_open && fits && (oldest == NET_NONE || connection->opened_ms < net->connections[oldest].opened_ms)) {
            oldest = index;
        }
    }
    return oldest;
}

static void half_open_end(struct net *net, struct net_connection *connection) {
    if (connection->half_open) {
        connection->half_open = false;
        net->count.half_open_now--;
        net->count.half_open_unknown_now -= !connection->known_address;
    }
}

/* L-42: room for one more half-open connection. A flood from unknown addresses pushes out only its like, the oldest first. */
static bool half_open_room(struct net *net, bool known) {
    uint64_t unknown_max = net->config.half_open_max - net->config.half_open_reserved;
    bool full = net->count.half_open_now >= net->config.half_open_max || (!known && net->count.half_open_unknown_now >= unknown_max);
    if (!full) {
        return true;
    }
    uint32_t oldest = oldest_half_open(net, NET_NONE);
    if (oldest == NET_NONE) {
        return false;
    }
    net->count.evicted_half_open++;
    net_connection_close(net, oldest, LINK_CAUSE_HANDSHAKE_TIMEOUT, true);
    return true;
}

static bool peer_lookup(void *context, const uint8_t remote_static[RING_KEY_BYTES], struct link_peer *link_peer) {
    struct net *net = context;
    uint32_t peer_index = net_peer_index(net, remote_static);
    if (peer_index == NET_NONE || net->stopping) {
        return false;
    }
    uint32_t pending = 0;
    for (uint32_t i = 0; i < net->active_count; i++) {
        const struct net_connection *other = &net->connections[net->active[i]];
        pending += other->half_open && other->peer == peer_index;
    }
    if (pending >= NET_PENDING_PER_PEER) { /* L-43: replays of a first message push out one another, not the state of others */
        net->count.evicted_pending++;
        net_connection_close(net, oldest_half_open(net, peer_index), LINK_CAUSE_HANDSHAKE_TIMEOUT, true);
    }
    const struct net_peer *peer = &net->peers[peer_index];
    net->connections[net->current].peer = peer_index;
    *link_peer = (struct link_peer){.tag = peer->config.tag, .roles = peer->config.role, .frame_bytes_max = peer->config.frame_bytes_max};
    return true;
}

bool net_connection_accept(struct net *net, uint32_t index, const struct sockaddr_storage *address) {
    bool known = net_address_known(net, address);
    bool allowed = !net->stopping;
    if (allowed && !bucket_take(known ? &net->bucket_known : &net->bucket_unknown, net->now_ms, net->config.handshakes_per_s)) {
        net->count.refused_rate++;
        allowed = false;
    }
    if (allowed && !half_open_room(net, known)) {
        net->count.refused_half_open++;
        allowed = false;
    }
    if (!allowed) {
        loop_close(net->loop, index);
        return false;
    }
    uint8_t ephemeral[RING_KEY_BYTES];
    struct net_connection *connection = begin(net, index, CONNECTION_OPEN);
    connection->known_address = known;
    connection->half_open = true;
    net->count.accepted++;
    net->count.half_open_now++;
    net->count.half_open_unknown_now += !known;
    ring_entropy_fill(ephemeral, sizeof ephemeral);
    link_init_responder(net_link_of(net, index), &net->link_config, peer_lookup, net, ephemeral, net->now_ms);
    ring_wipe(ephemeral, sizeof ephemeral);
    loop_receive(net->loop, index);
    return true;
}

/* --- Dialling --- */

void net_connection_dial(struct net *net, uint32_t peer_index) {
    struct net_peer *peer = &net->peers[peer_index];
    uint32_t index = NET_NONE;
    const struct sockaddr_storage *address = &peer->config.addresses[peer->address_index % peer->config.address_count];
    if (loop_connect(net->loop, address, net->config.connect_ms, &index) != LOOP_OK) {
        net->count.dial_failed++;
        net_peer_back_off(net, peer);
        return;
    }
    struct net_connection *connection = begin(net, index, CONNECTION_CONNECTING);
    connection->dialled = true;
    connection->peer = peer_index;
    peer->dialling = index;
    net->count.dialled++;
}

void net_connection_dial_failed(struct net *net, uint32_t index) {
    struct net_connection *connection = &net->connections[index];
    RING_CHECK(connection->state == CONNECTION_CONNECTING);
    net->count.dial_failed++;
    if (connection->peer != NET_NONE) {
        struct net_peer *peer = &net->peers[connection->peer];
        peer->dialling = NET_NONE;
        peer->address_index++;
        net_peer_back_off(net, peer);
    }
    connection->state = CONNECTION_GONE; /* the loop has closed it */
    net->gone_count++;
}

/* L-20: the highest version that both are known to take, then, after closes without a word, the others from the highest down; AES-GCM before
 * ChaChaPoly where both are allowed. */
static void offer_choose(const struct net *net, const struct net_peer *peer, uint16_t *version, enum ring_suite *suite) {
    bool aes = (net->config.suites_allowed >> RING_SUITE_AESGCM & 1) != 0 && net->config.primitives->suite_available(RING_SUITE_AESGCM);
    uint32_t suites = aes ? 2 : 1;
    uint32_t versions = (uint32_t)(net->config.version_max - net->config.version_min) + 1;
    uint32_t seen = peer->version_max_seen;
    uint32_t start = seen >= net->config.version_min && seen < net->config.version_max ? seen : net->config.version_max;
    uint32_t down = (net->config.version_max - start + peer->attempt / suites) % versions;
    *version = (uint16_t)(net->config.version_max - down);
    *suite = aes && peer->attempt % 2 == 0 ? RING_SUITE_AESGCM : RING_SUITE_CHACHAPOLY;
}

void net_connection_dialled(struct net *net, uint32_t index) {
    struct net_connection *connection = &net->connections[index];
    RING_CHECK(connection->state == CONNECTION_CONNECTING && connection->peer != NET_NONE);
    const struct net_peer *peer = &net->peers[connection->peer];
    struct link_peer link_peer = {.tag = peer->config.tag, .roles = peer->config.role, .frame_bytes_max = peer->config.frame_bytes_max};
    enum ring_suite suite;
    uint8_t ephemeral[RING_KEY_BYTES];
    struct link *link = net_link_of(net, index);
    offer_choose(net, peer, &connection->offered_version, &suite);
    ring_entropy_fill(ephemeral, sizeof ephemeral);
    link_init_initiator(link, &net->link_config, &link_peer, peer->config.static_key, connection->offered_version, suite, ephemeral, net->now_ms);
    ring_wipe(ephemeral, sizeof ephemeral);
    connection->state = CONNECTION_OPEN;
    loop_receive(net->loop, index);
    if (link_closed_cause(link) != LINK_CAUSE_NONE || !net_queue_output(net, index)) {
        net_connection_close(net, index, link_closed_cause(link), true);
        return;
    }
    net_queue_flush(net, index);
}

/* --- Up --- */

static void push_down(struct net *net, uint32_t index, enum link_cause cause, bool replaced) {
    const struct net_connection *connection = &net->connections[index];
    const struct net_peer *peer = &net->peers[connection->peer];
    struct net_event event = {
        .kind = NET_DOWN,
        .peer = net_peer_handle(net, connection->peer),
        .tag = peer->config.tag,
        .role = peer->config.role,
        .cause = cause,
        .goodbye_code = cause == LINK_CAUSE_GOODBYE ? link_goodbye_code(net_link_of(net, index)) : 0,
        .replaced = replaced,
    };
    net_event_push(net, &event);
    net->count.downs++;
    net->count.up_now--;
}

/* L-22: the older link goes only now that the newer has shown that it is no replay. */
static void replace(struct net *net, uint32_t old) {
    struct net_connection *connection = &net->connections[old];
    net->count.replaced++;
    push_down(net, old, LINK_CAUSE_LOCAL, true);
    net->peers[connection->peer].connection = NET_NONE;
    connection->state = CONNECTION_OPEN; /* no second DOWN, no back-off */
    connection->peer = NET_NONE;
    link_close(net_link_of(net, old), LINK_GOODBYE_REPLACED);
    net_connection_close(net, old, LINK_CAUSE_LOCAL, false);
}

void net_connection_up(struct net *net, uint32_t index) {
    struct net_connection *connection = &net->connections[index];
    RING_CHECK(connection->state == CONNECTION_OPEN && connection->peer != NET_NONE);
    struct net_peer *peer = &net->peers[connection->peer];
    uint32_t dialling = peer->dialling;
    uint16_t version_min;
    half_open_end(net, connection);
    link_peer_versions(net_link_of(net, index), &version_min, &peer->version_max_seen);
    peer->attempt = connection->dialled ? peer->attempt : 0;
    peer->dialling = NET_NONE;
    if (dialling != NET_NONE && dialling != index) {
        net->connections[dialling].peer = NET_NONE;
        net_connection_close(net, dialling, LINK_CAUSE_LOCAL, true);
    }
    if (peer->connection != NET_NONE) {
        replace(net, peer->connection);
    }
    peer->connection = index;
    connection->state = CONNECTION_UP;
    connection->up_ms = connection->drain_ms = net->now_ms;
    net_share_set(net, index, peer->config.role);
    net->count.ups++;
    net->count.up_now++;
    struct net_event event = {.kind = NET_UP, .peer = net_peer_handle(net, connection->peer), .tag = peer->config.tag, .role = peer->config.role};
    net_event_push(net, &event);
}

/* --- The end --- */

void net_connection_finish(struct net *net, uint32_t index) {
    struct net_connection *connection = &net->connections[index];
    net_queue_free(net, index);
    loop_close(net->loop, index);
    connection->state = CONNECTION_GONE;
    net->gone_count++;
}

/* What its end means for dialling the peer again. */
static void peer_bookkeeping(struct net *net, uint32_t index, enum link_cause cause) {
    struct net_connection *connection = &net->connections[index];
    struct net_peer *peer = &net->peers[connection->peer];
    if (connection->state == CONNECTION_UP && peer->connection == index) {
        peer->connection = NET_NONE;
        push_down(net, index, cause, false);
        if (net->now_ms - connection->up_ms >= net->config.backoff_ms_max) {
            peer->backoff_ms = net->config.backoff_ms_min; /* it was a good link */
        }
        net_peer_back_off(net, peer);
    }
    if (peer->dialling == index) {
        uint16_t version_min = 0;
        uint16_t version_max = 0;
        if (connection->state != CONNECTION_CONNECTING) {
            link_peer_versions(net_link_of(net, index), &version_min, &version_max);
        }
        if (version_max != 0) {
            peer->version_max_seen = version_max;
            peer->attempt = 0;
        } else if (!connection->got_bytes && connection->state == CONNECTION_OPEN) {
            peer->attempt++;
        }
        peer->dialling = NET_NONE;
        peer->address_index++;
        net_peer_back_off(net, peer);
    }
}

void net_connection_close(struct net *net, uint32_t index, enum link_cause cause, bool at_once) {
    struct net_connection *connection = &net->connections[index];
    if (connection->state == CONNECTION_CLOSING && at_once) {
        net_connection_finish(net, index);
        return;
    }
    if (connection->state == CONNECTION_FREE || connection->state >= CONNECTION_CLOSING) {
        return;
    }
    if (cause == LINK_CAUSE_NONE) {
        net->count.ended++;
    } else {
        net->count.closed[cause]++;
    }
    half_open_end(net, connection);
    if (connection->peer != NET_NONE) {
        peer_bookkeeping(net, index, cause);
    }
    bool talks = connection->state != CONNECTION_CONNECTING && !at_once;
    if (talks && net_queue_output(net, index) && connection->queue_bytes > 0) {
        connection->state = CONNECTION_CLOSING;
        connection->close_by_ms = net->now_ms + NET_CLOSE_MS;
        net_queue_flush(net, index);
        return;
    }
    net_connection_finish(net, index);
}

void net_connections_reap(struct net *net) {
    for (uint32_t i = net->active_count; net->gone_count > 0 && i-- > 0;) {
        uint32_t index = net->active[i];
        struct net_connection *connection = &net->connections[index];
        if (connection->state != CONNECTION_GONE) {
            continue;
        }
        struct link *link = net_link_of(net, index);
        net->count.copied_bytes += link_copied_bytes(link);
        link_wipe(link);
        link->copied_bytes = 0;
        /* The staging area's pages go back; the first page stays for the next link. */
        (void)madvise((uint8_t *)link + PAGE_BYTES, LINK_STRIDE - PAGE_BYTES, MADV_DONTNEED);
        net->active[i] = net->active[--net->active_count];
        net->connections[net->active[i]].active_index = i;
        connection->state = CONNECTION_FREE;
        net->gone_count--;
        if (net->current == index) {
            net->current = NET_NONE;
        }
        if (net->frame_connection == index) {
            net->frame_connection = NET_NONE;
        }
    }
}
