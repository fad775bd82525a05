/* Making a net, polling it, its events and figures: see net.h. */
#include "ring/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ring/check.h"
#include "ring/clock.h"
#include "ring/net_private.h"

#define IDENTITY_PAGE_BYTES 4096u

const char *net_status_name(enum net_status status) {
    static const char *const names[] = {"ok", "config", "io_uring", "listen", "memory", "peer_exists", "peers_full", "full", "not_up", "too_long"};
    return (size_t)status < sizeof names / sizeof names[0] ? names[status] : "invalid";
}

/* --- Making --- */

static void *memory_take(void *context, size_t bytes) {
    return blocks_take(context, bytes);
}

static void memory_give(void *context, void *block, size_t bytes) {
    (void)bytes;
    blocks_give(context, block);
}

static void u32_default(uint32_t *value, uint32_t fallback) {
    *value = *value != 0 ? *value : fallback;
}

static void config_fill(struct net_config *config) {
    config->primitives = config->primitives != NULL ? config->primitives : ring_primitives_default();
    if (config->version_min == 0 && config->version_max == 0) {
        config->version_min = config->version_max = LINK_VERSION_CURRENT;
    }
    config->suites_allowed = config->suites_allowed != 0 ? config->suites_allowed : 1u << RING_SUITE_CHACHAPOLY;
    u32_default(&config->peers_max, 1024);
    u32_default(&config->handshake_ms, LINK_HANDSHAKE_MS);
    u32_default(&config->ping_ms, LINK_PING_MS);
    u32_default(&config->idle_ms, LINK_IDLE_MS);
    u32_default(&config->connect_ms, 3000);
    u32_default(&config->backoff_ms_min, 50);
    u32_default(&config->backoff_ms_max, 1000);
    u32_default(&config->half_open_max, 64);
    u32_default(&config->half_open_reserved, config->half_open_max / 4);
    u32_default(&config->handshakes_per_s, 200);
    u32_default(&config->receive_buffer_count, 32);
    u32_default(&config->receive_buffer_bytes, 131072);
    u32_default(&config->send_buffer_count, 48);
    config->send_memory_max = config->send_memory_max != 0 ? config->send_memory_max : (uint64_t)256 << 20;
}

/* NULL: fine. */
static const char *config_fault(const struct net_config *config) {
    uint32_t buffers = config->receive_buffer_count;
    if (config->version_min > config->version_max) {
        return "version_min is above version_max";
    }
    if ((config->suites_allowed & 1u << RING_SUITE_CHACHAPOLY) == 0 || config->suites_allowed >> (RING_SUITE_AESGCM + 1) != 0) {
        return "suites_allowed must have ChaChaPoly and nothing unknown";
    }
    if (config->listen_count > NET_LISTEN_MAX) {
        return "more than 4 listen addresses";
    }
    if (config->peers_max > NET_PEERS_MAX) {
        return "peers_max is above 2097151";
    }
    if (buffers > 32768 || (buffers & (buffers - 1)) != 0 || config->receive_buffer_bytes < 4096 || config->receive_buffer_bytes > 1u << 24) {
        return "receive_buffer_count must be a power of two up to 32768, receive_buffer_bytes from 4096 to 16 MiB";
    }
    if (config->send_buffer_count > 1024) {
        return "send_buffer_count is above 1024";
    }
    if (config->half_open_reserved >= config->half_open_max) {
        return "half_open_reserved must be below half_open_max";
    }
    if (config->backoff_ms_min > config->backoff_ms_max) {
        return "backoff_ms_min is above backoff_ms_max";
    }
    for (size_t i = 0; i < config->rule_count; i++) {
        if (config->rules[i].type < LINK_TYPE_FIRST_FREE || (i > 0 && config->rules[i].type <= config->rules[i - 1].type)) {
            return "rules must ascend by type, from 0x0100 on";
        }
    }
    return NULL;
}

/* The private key on a page of its own: locked, and left out of core dumps. */
static bool identity_make(struct net *net) {
    void *page = mmap(NULL, IDENTITY_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return false;
    }
    net->identity = page;
    if (mlock(page, IDENTITY_PAGE_BYTES) != 0) {
        snprintf(net->note, sizeof net->note, "link key not locked in memory: %s", strerror(errno));
    }
    (void)madvise(page, IDENTITY_PAGE_BYTES, MADV_DONTDUMP);
    memcpy(net->identity->private_key, net->config.static_private, RING_KEY_BYTES);
    ring_wipe(net->config.static_private, RING_KEY_BYTES);
    net->config.primitives->x25519_base(net->identity->public_key, net->identity->private_key);
    return true;
}

enum net_status net_create(struct net **out, const struct net_config *config, char error[NET_ERROR_BYTES]) {
    *out = NULL;
    error[0] = 0;
    struct net *net = calloc(1, sizeof *net);
    if (net == NULL) {
        snprintf(error, NET_ERROR_BYTES, "no memory for the network side");
        return NET_ERR_MEMORY;
    }
    net->config = *config;
    net->current = net->frame_connection = NET_NONE;
    config_fill(&net->config);
    const char *fault = config_fault(&net->config);
    if (fault != NULL) {
        snprintf(error, NET_ERROR_BYTES, "network configuration: %s", fault);
        net_destroy(net);
        return NET_ERR_CONFIG;
    }
    if (!identity_make(net) || !net_peers_make(net)) {
        snprintf(error, NET_ERROR_BYTES, "no memory for %u peers", net->config.peers_max);
        net_destroy(net);
        return NET_ERR_MEMORY;
    }
    net->link_config = (struct link_config){
        .primitives = net->config.primitives,
        .identity = net->identity,
        .version_min = net->config.version_min,
        .version_max = net->config.version_max,
        .suites_allowed = net->config.suites_allowed,
        .memory = {.context = &net->blocks, .take = memory_take, .give = memory_give},
        .rules = net->config.rules,
        .rule_count = net->config.rule_count,
        .handshake_ms = net->config.handshake_ms,
        .ping_ms = net->config.ping_ms,
        .idle_ms = net->config.idle_ms,
    };
    memcpy(net->link_config.system_id, net->config.system_id, LINK_SYSTEM_ID_BYTES);
    if (!net->config.primitives->suite_available(RING_SUITE_AESGCM)) {
        net->link_config.suites_allowed &= (uint8_t) ~(1u << RING_SUITE_AESGCM);
        net->config.suites_allowed = net->link_config.suites_allowed;
    }
    *out = net;
    return NET_OK;
}

static bool connections_make(struct net *net) {
    net->connection_slots = loop_connections_max(net->loop);
    net->connections = calloc(net->connection_slots, sizeof *net->connections);
    net->active = calloc(net->connection_slots, sizeof *net->active);
    net->flush = calloc(net->connection_slots, sizeof *net->flush);
    void *links = mmap(NULL, net->connection_slots * net_link_stride(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    net->links = links == MAP_FAILED ? NULL : links;
    return net->connections != NULL && net->active != NULL && net->flush != NULL && net->links != NULL;
}

enum net_status net_start(struct net *net, char error[NET_ERROR_BYTES]) {
    RING_CHECK(!net->started);
    uint32_t wanted = net->config.peers_max + 2 * net->config.half_open_max + 64;
    struct loop_config config = {
        .connections_max = wanted < LOOP_CONNECTIONS_MAX ? wanted : LOOP_CONNECTIONS_MAX,
        .receive_buffer_count = net->config.receive_buffer_count,
        .receive_buffer_bytes = net->config.receive_buffer_bytes,
        .send_buffer_count = net->config.send_buffer_count,
        .send_memory_max = net->config.send_memory_max,
        .send_zc_threshold_bytes = net->config.send_zc_threshold_bytes,
    };
    enum loop_status status = net->loop == NULL ? loop_create(&net->loop, &config, error) : LOOP_OK;
    if (status != LOOP_OK) {
        return status == LOOP_ERR_MEMORY ? NET_ERR_MEMORY : NET_ERR_IO_URING;
    }
    if (!connections_make(net)) {
        snprintf(error, NET_ERROR_BYTES, "no memory for %u connections", net->connection_slots);
        return NET_ERR_MEMORY;
    }
    net_shares_make(net);
    const char *loops = loop_note(net->loop);
    size_t used = strlen(net->note);
    snprintf(net->note + used, sizeof net->note - used, "%s%s", used > 0 && loops[0] != 0 ? "; " : "", loops);
    for (uint32_t i = 0; i < net->config.listen_count; i++) {
        char why[LOOP_ERROR_BYTES];
        char host[64] = "";
        const struct sockaddr_storage *address = &net->config.listen[i];
        if (loop_listen(net->loop, address, i, &net->ports[i], why) != LOOP_OK) {
            net_address_format(address, host);
            snprintf(error, NET_ERROR_BYTES, "cannot listen on %s: %.100s; choose another address or stop what uses it", host, why);
            return NET_ERR_LISTEN;
        }
    }
    net->now_ms = net->polled_ms = ring_clock_ms();
    net->bucket_known = net->bucket_unknown = (struct net_bucket){.tokens_milli = 1000ull * net->config.handshakes_per_s, .filled_ms = net->now_ms};
    net->started = true;
    return NET_OK;
}

void net_ring_give(struct net *net, struct loop *ring) {
    RING_CHECK(net->loop == NULL && !net->started);
    net->loop = ring;
}

void net_ring_destroy(struct loop *ring) {
    loop_destroy(ring);
}

struct loop *net_destroy_keep(struct net *net) {
    struct loop *ring = net != NULL ? net->loop : NULL;
    if (ring != NULL && !loop_empty(ring)) {
        loop_destroy(ring);
        ring = NULL;
    }
    if (net != NULL) {
        net->loop = NULL;
    }
    net_destroy(net);
    return ring;
}

void net_destroy(struct net *net) {
    if (net == NULL) {
        return;
    }
    for (uint32_t i = 0; net->active != NULL && i < net->active_count; i++) {
        link_wipe(net_link_of(net, net->active[i]));
    }
    loop_destroy(net->loop);
    blocks_free_cache(&net->blocks);
    if (net->links != NULL) {
        munmap(net->links, net->connection_slots * net_link_stride());
    }
    if (net->identity != NULL) {
        ring_wipe(net->identity, sizeof *net->identity);
        munmap(net->identity, IDENTITY_PAGE_BYTES);
    }
    net_peers_free(net);
    free(net->connections);
    free(net->active);
    free(net->flush);
    ring_wipe(net, sizeof *net);
    free(net);
}

/* --- Polling --- */

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Time's part of one connection; returns when it wants to be looked at again. */
static uint64_t connection_tick(struct net *net, uint32_t index) {
    struct net_connection *connection = &net->connections[index];
    struct link *link = net_link_of(net, index);
    if (connection->state == CONNECTION_CLOSING) {
        if (net->now_ms >= connection->close_by_ms) {
            net_connection_finish(net, index);
        }
        return connection->close_by_ms;
    }
    if (connection->state != CONNECTION_OPEN && connection->state != CONNECTION_UP) {
        return UINT64_MAX; /* connecting: the loop's linked time-out */
    }
    link_tick(link, net->now_ms);
    bool stuck = connection->head != NULL && connection->queue_bytes > 0 && net->now_ms >= connection->progress_ms + net->config.idle_ms;
    bool slow = net_queue_slow(net, index);
    if (stuck || slow) { /* L-45: it takes nothing, or a client next to nothing, of what I send */
        net->count.stalled += stuck;
        net->count.slow += !stuck;
        net_connection_close(net, index, LINK_CAUSE_IDLE, true);
    } else if (link_closed_cause(link) != LINK_CAUSE_NONE) {
        net_connection_close(net, index, link_closed_cause(link), false);
    } else {
        (void)net_queue_output(net, index); /* without a free buffer it is tried again at the next tick */
    }
    uint64_t busy = connection->head != NULL || link_output_wanted(link) ? net->now_ms + NET_TICK_MS_BUSY : UINT64_MAX;
    return earlier(link_deadline_ms(link), busy);
}

/* After a busy time, when it is quiet, memory that only the rush needed goes back. */
static void trim(struct net *net) {
    blocks_trim(&net->blocks, net->now_ms, NET_BLOCKS_KEEP_MS);
    if (net->now_ms - net->trim_ms < NET_BLOCKS_KEEP_MS) {
        return;
    }
    uint64_t bytes = loop_counters_of(net->loop)->receive_bytes + loop_counters_of(net->loop)->send_bytes;
    bool quiet = bytes - net->trim_bytes < NET_QUIET_BYTES;
    if (quiet && net->trim_wanted) {
        loop_trim(net->loop);
    }
    net->trim_wanted = !quiet;
    net->trim_bytes = bytes;
    net->trim_ms = net->now_ms;
}

static void tick(struct net *net) {
    if (net->now_ms < net->next_tick_ms) {
        return;
    }
    uint64_t next = net->now_ms + NET_TICK_MS_MAX;
    for (uint32_t i = 0; i < net->active_count; i++) {
        next = earlier(next, connection_tick(net, net->active[i]));
    }
    net_connections_reap(net);
    for (uint32_t i = 0; i < net->dialler_count && !net->stopping; i++) {
        uint32_t index = net->diallers[i];
        struct net_peer *peer = &net->peers[index];
        if (peer->connection != NET_NONE || peer->dialling != NET_NONE) {
            continue;
        }
        if (peer->next_dial_ms <= net->now_ms) {
            net_connection_dial(net, index);
        }
        next = earlier(next, peer->dialling == NET_NONE ? peer->next_dial_ms : UINT64_MAX);
    }
    trim(net);
    net->next_tick_ms = next > net->now_ms + NET_TICK_MS_MIN ? next : net->now_ms + NET_TICK_MS_MIN;
}

/* I stood still (a long computation, a suspended machine): that time counts against nobody. */
static void skip(struct net *net, uint64_t ms) {
    for (uint32_t i = 0; i < net->active_count; i++) {
        struct net_connection *connection = &net->connections[net->active[i]];
        connection->progress_ms += ms;
        connection->drain_ms += ms;
        if (connection->state == CONNECTION_OPEN || connection->state == CONNECTION_UP) {
            link_skip(net_link_of(net, net->active[i]), ms);
        }
    }
}

void net_poll(struct net *net, uint32_t timeout_ms) {
    RING_CHECK(net->started);
    net->now_ms = ring_clock_ms();
    net_connections_reap(net);
    net->frame_connection = NET_NONE;
    if (net->now_ms - net->polled_ms >= NET_GAP_MS) {
        skip(net, net->now_ms - net->polled_ms);
    }
    net->polled_ms = net->now_ms;
    tick(net);
    net_queue_flush_all(net);
    uint64_t until_tick = net->next_tick_ms > net->now_ms ? net->next_tick_ms - net->now_ms : 0;
    if (net->event_count > 0 || net->current != NET_NONE) {
        /* What was received and not taken yet stays held by the loop: loop_wait would give its buffer back. */
        return;
    }
    loop_wait(net->loop, until_tick < timeout_ms ? (uint32_t)until_tick : timeout_ms);
    net->now_ms = ring_clock_ms();
}

/* One event of the loop; what it means for the caller comes through the events or net->current. */
static bool loop_event_take(struct net *net, const struct loop_event *event) {
    uint32_t index = event->connection;
    if (event->kind == LOOP_WOKEN) {
        struct net_event woken = {.kind = NET_WOKEN, .peer = NET_PEER_NONE};
        net_event_push(net, &woken);
        return true;
    }
    if (event->kind == LOOP_ACCEPTED) {
        return net_connection_accept(net, index, &event->address);
    }
    struct net_connection *connection = &net->connections[index];
    switch (event->kind) {
    case LOOP_CONNECTED: net_connection_dialled(net, index); break;
    case LOOP_CONNECT_FAILED: net_connection_dial_failed(net, index); break;
    case LOOP_RECEIVED:
        connection->got_bytes = true;
        if (connection->state == CONNECTION_OPEN || connection->state == CONNECTION_UP) {
            link_receive(net_link_of(net, index), event->bytes, event->count, net->now_ms);
            net->current = index;
        }
        break;
    case LOOP_SENT:
        net_queue_sent(net, index, event->count);
        if (connection->state == CONNECTION_CLOSING && connection->queue_bytes == 0) {
            net_connection_finish(net, index);
        }
        break;
    default: /* LOOP_ENDED */ net_connection_close(net, index, LINK_CAUSE_NONE, true); break;
    }
    return true;
}

static void frame_event(struct net *net, struct net_event *event) {
    const struct net_connection *connection = &net->connections[net->current];
    const struct net_peer *peer = &net->peers[connection->peer];
    *event = (struct net_event){
        .kind = NET_FRAME,
        .peer = net_peer_handle(net, connection->peer),
        .tag = peer->config.tag,
        .role = peer->config.role,
        .type = net->frame.type,
        .payload = net->frame.payload,
        .payload_bytes = net->frame.payload_bytes,
    };
    net->frame_connection = net->current;
    net->count.frames_received++;
    net->count.payload_received_bytes += net->frame.payload_bytes;
}

/* The next thing in what the current connection received. True: *event is a frame. */
static bool current_take(struct net *net, struct net_event *event) {
    uint32_t index = net->current;
    struct net_connection *connection = &net->connections[index];
    struct link *link = net_link_of(net, index);
    if (connection->state != CONNECTION_OPEN && connection->state != CONNECTION_UP) {
        net->current = NET_NONE; /* closed in the meantime: the rest is dropped */
        return false;
    }
    uint64_t begun_ns = net->config.measure ? ring_clock_ns() : 0;
    enum link_next next = link_next(link, &net->frame);
    if (net->config.measure) {
        net->count.open_ns += ring_clock_ns() - begun_ns;
        net->count.opens++;
    }
    switch (next) {
    case LINK_FRAME: frame_event(net, event); return true;
    case LINK_UP: net_connection_up(net, index); break;
    case LINK_CLOSED:
        net->current = NET_NONE;
        net_connection_close(net, index, link_closed_cause(link), false);
        break;
    default:
        net->current = NET_NONE;
        if (!net_queue_output(net, index)) { /* a handshake that cannot be answered; a PONG is tried again */
            if (connection->state == CONNECTION_OPEN) {
                net_connection_close(net, index, LINK_CAUSE_MEMORY, true);
            }
        }
        break;
    }
    return false;
}

bool net_next(struct net *net, struct net_event *event) {
    net->frame_connection = NET_NONE;
    for (;;) {
        net_connections_reap(net);
        while (net->event_count > 0) {
            *event = net->events[net->event_first];
            net->event_first = (net->event_first + 1) % net->event_room;
            net->event_count--;
            if (event->kind == NET_WOKEN || net_peer_handle_valid(net, event->peer)) {
                return true;
            }
        }
        if (net->current != NET_NONE) {
            if (current_take(net, event)) {
                return true;
            }
            continue;
        }
        struct loop_event taken;
        if (!loop_next(net->loop, &taken)) {
            return false;
        }
        (void)loop_event_take(net, &taken);
    }
}

/* --- Kept frames --- */

const uint8_t *net_frame_keep(struct net *net, const struct net_event *event) {
    RING_CHECK(event->kind == NET_FRAME && net->frame_connection != NET_NONE && event->payload == net->frame.payload);
    struct net_peer *peer = net_peer_at(net, event->peer);
    struct link *link = net_link_of(net, net->frame_connection);
    uint64_t bytes = event->payload_bytes + LINK_BLOCK_SLACK_BYTES;
    size_t block_bytes = 0;
    bool room = bytes <= peer->config.keep_bytes_max && peer->keep_bytes <= peer->config.keep_bytes_max - bytes;
    uint8_t *block = room ? link_frame_detach(link, &net->frame, &block_bytes) : NULL;
    if (block != NULL) {
        net->count.kept_direct++;
    } else {
        bytes = event->payload_bytes + BLOCKS_HEADER_BYTES;
        room = bytes <= peer->config.keep_bytes_max && peer->keep_bytes <= peer->config.keep_bytes_max - bytes;
        block = room ? blocks_take(&net->blocks, event->payload_bytes) : NULL;
        if (block == NULL) {
            net->count.keep_refused++;
            return NULL;
        }
        if (event->payload_bytes > 0) {
            memcpy(block, event->payload, event->payload_bytes);
        }
        net->count.kept_copied++;
        net->count.copied_bytes += event->payload_bytes;
    }
    struct blocks_header *header = blocks_header_of(block);
    header->owner = event->peer;
    header->kept_bytes = bytes;
    peer->keep_bytes += bytes;
    return block;
}

void net_frame_release(struct net *net, const uint8_t *payload) {
    struct blocks_header *header = blocks_header_of(payload);
    if (net_peer_handle_valid(net, header->owner)) {
        struct net_peer *peer = net_peer_at(net, header->owner);
        RING_CHECK(peer->keep_bytes >= header->kept_bytes);
        peer->keep_bytes -= header->kept_bytes;
    }
    blocks_give(&net->blocks, (void *)(uintptr_t)payload);
}

/* --- Closing, waking --- */

void net_peer_close(struct net *net, uint32_t handle, enum link_goodbye code) {
    const struct net_peer *peer = net_peer_at(net, handle);
    uint32_t index = peer->connection;
    if (index != NET_NONE) {
        link_close(net_link_of(net, index), code);
        net_connection_close(net, index, LINK_CAUSE_LOCAL, false);
    }
}

void net_close_all(struct net *net, enum link_goodbye code) {
    net->stopping = true;
    loop_listen_stop(net->loop);
    for (uint32_t i = 0; i < net->active_count; i++) {
        uint32_t index = net->active[i];
        bool up = net->connections[index].state == CONNECTION_UP;
        if (net->connections[index].state == CONNECTION_CLOSING) {
            continue; /* its own GOODBYE is on the way */
        }
        if (up) {
            link_close(net_link_of(net, index), code);
        }
        net_connection_close(net, index, LINK_CAUSE_LOCAL, !up);
    }
}

bool net_is_quiet(const struct net *net) {
    return net->active_count == 0;
}

void net_wake(struct net *net) {
    RING_CHECK(net->started);
    loop_wake(net->loop);
}

uint16_t net_listen_port(const struct net *net, size_t index) {
    return index < NET_LISTEN_MAX ? net->ports[index] : 0;
}

const char *net_note(const struct net *net) {
    return net->note;
}
