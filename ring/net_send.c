/* Queues of ciphertext to the sockets: see net.h. Frames are sealed at once into send buffers, so that the caller's pieces are free again. */
#include "ring/check.h"
#include "ring/clock.h"
#include "ring/net_private.h"

static void flush_mark(struct net *net, uint32_t index) {
    struct net_connection *connection = &net->connections[index];
    if (!connection->queued_flush) {
        connection->queued_flush = true;
        net->flush[net->flush_count++] = index;
    }
}

void net_shares_make(struct net *net) {
    uint64_t receive, registered, further, tables;
    loop_budget(net->loop, &receive, &registered, &further, &tables);
    uint32_t all = (uint32_t)((registered + further) / LOOP_SEND_BUFFER_BYTES);
    net->share_buffers_max[SHARE_HANDSHAKE] = net->share_buffers_max[SHARE_MEMBERS] = all;
    net->share_buffers_max[SHARE_FOREIGN] = all * 3 / 8;
    net->share_buffers_max[SHARE_CLIENTS] = all / 4;
}

void net_share_set(struct net *net, uint32_t index, uint16_t role) {
    struct net_connection *connection = &net->connections[index];
    net->share_buffers[connection->share] -= connection->buffer_count;
    connection->share = role == NET_ROLE_MEMBER ? SHARE_MEMBERS : role == NET_ROLE_CLIENT ? SHARE_CLIENTS : SHARE_FOREIGN;
    net->share_buffers[connection->share] += connection->buffer_count;
}

static bool share_has_room(struct net *net, const struct net_connection *connection, size_t count) {
    uint32_t used = net->share_buffers[connection->share];
    if (count == 0 || used + count <= net->share_buffers_max[connection->share]) {
        return true;
    }
    net->count.send_share_full++;
    return false;
}

static void append(struct net *net, struct net_connection *connection, struct loop_buffer *buffer) {
    net->share_buffers[connection->share]++;
    connection->buffer_count++;
    if (connection->tail == NULL) {
        connection->head = buffer;
        connection->progress_ms = net->now_ms;
    } else {
        connection->tail->next = buffer;
    }
    connection->tail = buffer;
}

static size_t tail_room(const struct net_connection *connection) {
    return connection->tail == NULL ? 0 : LOOP_SEND_BUFFER_BYTES - connection->tail->filled;
}

bool net_queue_output(struct net *net, uint32_t index) {
    struct net_connection *connection = &net->connections[index];
    struct link *link = net_link_of(net, index);
    if (!link_output_wanted(link)) {
        return true;
    }
    if (tail_room(connection) < LINK_OUTPUT_BYTES_MAX) {
        struct loop_buffer *buffer = share_has_room(net, connection, 1) ? loop_buffer_take(net->loop) : NULL;
        if (buffer == NULL) {
            if (net->next_tick_ms > net->now_ms + NET_TICK_MS_BUSY) {
                net->next_tick_ms = net->now_ms + NET_TICK_MS_BUSY;
            }
            return false;
        }
        append(net, connection, buffer);
    }
    struct loop_buffer *tail = connection->tail;
    size_t wrote = link_output(link, tail->bytes + tail->filled, LOOP_SEND_BUFFER_BYTES - tail->filled);
    tail->filled += (uint32_t)wrote;
    connection->queue_bytes += wrote;
    flush_mark(net, index);
    return true;
}

static void chain_give(struct net *net, struct loop_buffer *chain) {
    while (chain != NULL) {
        struct loop_buffer *buffer = chain;
        chain = buffer->next;
        loop_buffer_give(net->loop, buffer);
    }
}

/* A chain of `count` empty buffers; false: not to be had, nothing taken. */
static bool chain_take(struct net *net, size_t count, struct loop_buffer **chain) {
    *chain = NULL;
    for (size_t i = 0; i < count; i++) {
        struct loop_buffer *buffer = loop_buffer_take(net->loop);
        if (buffer == NULL) {
            chain_give(net, *chain);
            return false;
        }
        buffer->next = *chain;
        *chain = buffer;
    }
    return true;
}

/* A full buffer of a long frame is sent before the next record is sealed, if nothing waits before it: the kernel copies it while it is in this
 * processor's caches, the receiver begins meanwhile, and the buffer is filled again. True: all of it is gone, and it is empty. */
static bool send_full(struct net *net, uint32_t index) {
    struct net_connection *connection = &net->connections[index];
    struct loop_buffer *only = connection->tail;
    if (only == NULL || only != connection->head || connection->state != CONNECTION_UP || loop_is_sending(net->loop, index)) {
        return false;
    }
    size_t took = loop_send_at_once(net->loop, index, only, only->sent, only->filled - only->sent);
    if (took > 0) {
        only->sent += (uint32_t)took;
        connection->queue_bytes -= took;
        connection->sent_bytes += took;
        connection->progress_ms = net->now_ms;
    }
    if (only->sent < only->filled || only->pins > 0) {
        return false;
    }
    only->sent = only->filled = 0;
    return true;
}

static void seal(struct net *net, uint32_t index, struct link_send *sending, struct loop_buffer **chain) {
    struct net_connection *connection = &net->connections[index];
    struct link *link = net_link_of(net, index);
    bool done = false;
    for (;;) {
        struct loop_buffer *tail = connection->tail;
        if (tail != NULL) {
            size_t wrote = link_send_some(link, sending, tail->bytes + tail->filled, LOOP_SEND_BUFFER_BYTES - tail->filled, &done);
            tail->filled += (uint32_t)wrote;
            connection->queue_bytes += wrote;
        }
        if (done) {
            return;
        }
        if (send_full(net, index)) {
            continue;
        }
        struct loop_buffer *fresh = *chain;
        RING_CHECK(fresh != NULL);
        *chain = fresh->next;
        fresh->next = NULL;
        append(net, connection, fresh);
    }
}

enum net_status net_send(struct net *net, uint32_t handle, uint16_t type, const struct iovec *pieces, size_t piece_count) {
    const struct net_peer *peer = net_peer_at(net, handle);
    uint32_t index = peer->connection;
    uint64_t payload_bytes = 0;
    if (index == NET_NONE) {
        net->count.send_not_up++;
        return NET_NOT_UP;
    }
    for (size_t i = 0; i < piece_count; i++) {
        payload_bytes += pieces[i].iov_len;
        if (payload_bytes > LINK_FRAME_BYTES_MAX) {
            net->count.send_too_long++;
            return NET_TOO_LONG;
        }
    }
    struct net_connection *connection = &net->connections[index];
    uint64_t wire_bytes = link_send_wire_bytes_max(payload_bytes, piece_count);
    if (connection->queue_bytes > 0 && connection->queue_bytes + wire_bytes > peer->config.send_queue_bytes_max) {
        net->count.send_full++;
        return NET_FULL;
    }
    /* A fresh buffer takes at least its size less one byte of a full record. */
    size_t fresh = wire_bytes <= tail_room(connection) ? 0 : (size_t)(wire_bytes / (LOOP_SEND_BUFFER_BYTES - LINK_RECORD_WIRE_MAX)) + 1;
    struct loop_buffer *chain;
    if (!net_queue_output(net, index) || !share_has_room(net, connection, fresh) || !chain_take(net, fresh, &chain)) {
        net->count.send_full++;
        return NET_FULL;
    }
    struct link_send sending;
    enum link_send_result result = link_send_begin(net_link_of(net, index), &sending, type, pieces, piece_count);
    if (result == LINK_SEND_OK) {
        uint64_t begun_ns = net->config.measure ? ring_clock_ns() : 0;
        seal(net, index, &sending, &chain);
        if (net->config.measure) {
            net->count.seal_ns += ring_clock_ns() - begun_ns;
        }
        net->count.frames_sent++;
        net->count.payload_sent_bytes += payload_bytes;
        flush_mark(net, index);
    }
    chain_give(net, chain);
    net->count.send_too_long += result == LINK_SEND_TOO_LONG;
    net->count.send_not_up += result == LINK_SEND_NOT_UP;
    return result == LINK_SEND_OK ? NET_OK : result == LINK_SEND_TOO_LONG ? NET_TOO_LONG : NET_NOT_UP;
}

static void head_drop(struct net *net, struct net_connection *connection) {
    struct loop_buffer *head = connection->head;
    connection->head = head->next;
    if (connection->head == NULL) {
        connection->tail = NULL;
    }
    RING_CHECK(connection->buffer_count > 0 && net->share_buffers[connection->share] > 0);
    connection->buffer_count--;
    net->share_buffers[connection->share]--;
    loop_buffer_give(net->loop, head);
}

void net_queue_flush(struct net *net, uint32_t index) {
    struct net_connection *connection = &net->connections[index];
    bool open = connection->state == CONNECTION_OPEN || connection->state == CONNECTION_UP || connection->state == CONNECTION_CLOSING;
    if (!open || loop_is_sending(net->loop, index)) {
        return;
    }
    while (connection->head != NULL && connection->head->sent == connection->head->filled) {
        head_drop(net, connection);
    }
    if (connection->head != NULL) {
        loop_send(net->loop, index, connection->head, connection->head->sent, connection->head->filled - connection->head->sent);
    }
}

void net_queue_flush_all(struct net *net) {
    for (uint32_t i = 0; i < net->flush_count; i++) {
        net->connections[net->flush[i]].queued_flush = false;
        net_queue_flush(net, net->flush[i]);
    }
    net->flush_count = 0;
}

void net_queue_sent(struct net *net, uint32_t index, size_t count) {
    struct net_connection *connection = &net->connections[index];
    RING_CHECK(connection->head != NULL && connection->queue_bytes >= count && connection->head->filled - connection->head->sent >= count);
    connection->head->sent += (uint32_t)count;
    connection->queue_bytes -= count;
    connection->sent_bytes += count;
    connection->progress_ms = net->now_ms;
    net_queue_flush(net, index);
}

void net_queue_free(struct net *net, uint32_t index) {
    struct net_connection *connection = &net->connections[index];
    while (connection->head != NULL) {
        head_drop(net, connection);
    }
    connection->queue_bytes = 0;
}

bool net_queue_slow(struct net *net, uint32_t index) {
    struct net_connection *connection = &net->connections[index];
    if (connection->share == SHARE_CLIENTS && net->now_ms < connection->drain_ms + NET_DRAIN_MS) {
        return false;
    }
    bool slow = connection->share == SHARE_CLIENTS && connection->drain_queued_bytes >= NET_DRAIN_FROM_BYTES &&
                connection->sent_bytes < connection->drain_queued_bytes / NET_DRAIN_PART;
    connection->drain_ms = net->now_ms;
    connection->drain_queued_bytes = connection->queue_bytes;
    connection->sent_bytes = 0;
    return slow;
}

uint64_t net_queue_bytes(const struct net *net, uint32_t handle) {
    const struct net_peer *peer = net_peer_at(net, handle);
    return peer->connection == NET_NONE ? 0 : net->connections[peer->connection].queue_bytes;
}
