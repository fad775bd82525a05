#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"
#include "ring/clock.h"
#include "ring/entropy.h"

static bool endpoint_resolve(const struct address_endpoint *endpoint, struct sockaddr_storage *out, socklen_t *out_bytes, const char **why) {
    char port[8];
    snprintf(port, sizeof port, "%u", endpoint->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(endpoint->host, port, &hints, &found);
    if (error != 0) {
        *why = gai_strerror(error);
        return false;
    }
    memcpy(out, found->ai_addr, found->ai_addrlen);
    *out_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

void client_node_close(struct node *node, const char *why, uint64_t now_ms) {
    if (node->state == NODE_IDLE) return;
    node->db->counters.links_lost += node->state == NODE_UP;
    if (node->link) link_wipe(node->link);
    free(node->link);
    free(node->receive);
    node->link = NULL;
    node->receive = NULL;
    if (node->fd >= 0) close(node->fd);
    node->fd = -1;
    node->state = NODE_IDLE;
    node->status_asked = node->chain_asked = false;
    node->held.used = 0; /* asked for again elsewhere */
    node->out.used = 0;
    node->out_sent = 0;
    snprintf(node->why, sizeof node->why, "%s", why);
    node->backoff_ms = node->backoff_ms ? node->backoff_ms * 2 : CLIENT_RECONNECT_MIN_MS;
    if (node->backoff_ms > CLIENT_RECONNECT_MAX_MS) node->backoff_ms = CLIENT_RECONNECT_MAX_MS;
    node->retry_at_ms = now_ms + node->backoff_ms;
    client_engine_down(node, now_ms);
}

void client_node_replace(struct node *node, struct card *card) {
    client_node_close(node, "replaced by a CONFIG", ring_clock_ms());
    free(node->card_own);
    node->card = node->card_own = card;
    node->admin = (struct admin_answer){0};
    node->wanted = node->wanted && card;
    const struct address *address = card ? addresses_find(node->db->addresses, card->name) : NULL;
    node->endpoint = address ? address->link : (struct address_endpoint){.port = 0};
    node->retry_at_ms = 0;
    node->backoff_ms = 0;
}

static void watch(struct node *node, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = node};
    (void)epoll_ctl(node->db->epoll, operation, node->fd, &event);
}

static void connect_start(struct node *node, uint64_t now_ms) {
    struct sockaddr_storage address;
    socklen_t address_bytes = 0;
    const char *why = NULL;
    client_addresses_look(node->db, now_ms);
    node->state = NODE_CONNECTING; /* so that client_node_close sets the back-off whatever fails */
    if (node->endpoint.port == 0) {
        client_node_close(node, "no address in addresses.json", now_ms);
        return;
    }
    if (!endpoint_resolve(&node->endpoint, &address, &address_bytes, &why)) {
        client_node_close(node, why, now_ms);
        return;
    }
    node->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (node->fd < 0) {
        client_node_close(node, strerror(errno), now_ms);
        return;
    }
    int one = 1;
    (void)setsockopt(node->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(node->fd, (struct sockaddr *)&address, address_bytes) != 0 && errno != EINPROGRESS) {
        client_node_close(node, strerror(errno), now_ms);
        return;
    }
    node->connecting_until_ms = now_ms + CLIENT_CONNECT_MS;
    watch(node, EPOLL_CTL_ADD, EPOLLOUT);
}

void client_node_want(struct node *node, uint64_t now_ms) {
    if (!node->card) return;
    node->wanted = true;
    if (!node->listed) node->db->touched[node->db->touched_count++] = node;
    node->listed = true;
    if (node->state == NODE_IDLE && now_ms >= node->retry_at_ms) connect_start(node, now_ms);
}

static void flush(struct node *node, uint64_t now_ms) {
    while (node->out_sent < node->out.used) {
        ssize_t sent = send(node->fd, node->out.bytes + node->out_sent, node->out.used - node->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (sent <= 0) {
            client_node_close(node, strerror(errno), now_ms);
            return;
        }
        node->out_sent += (size_t)sent;
    }
    bool more = node->out_sent < node->out.used;
    if (!more) node->out.used = node->out_sent = 0;
    watch(node, EPOLL_CTL_MOD, EPOLLIN | (more ? (uint32_t)EPOLLOUT : 0));
}

/* What the link itself has to say. */
static void link_talk(struct node *node, uint64_t now_ms) {
    while (node->state >= NODE_HANDSHAKE && link_output_wanted(node->link)) {
        uint8_t *space = client_buffer_space(&node->out, LINK_OUTPUT_BYTES_MAX);
        if (!space) {
            client_node_close(node, "no memory", now_ms);
            return;
        }
        node->out.used -= LINK_OUTPUT_BYTES_MAX;
        size_t written = link_output(node->link, space, LINK_OUTPUT_BYTES_MAX);
        if (written == 0) break;
        node->out.used += written;
    }
}

bool client_node_send(struct node *node, uint16_t type, const void *payload, size_t payload_bytes, uint64_t now_ms) {
    if (node->state != NODE_UP) return false;
    link_talk(node, now_ms);
    if (node->state != NODE_UP) return false;
    struct iovec piece = {.iov_base = (void *)(uintptr_t)payload, .iov_len = payload_bytes};
    struct link_send send;
    if (link_send_begin(node->link, &send, type, &piece, 1) != LINK_SEND_OK) return false;
    bool done = false;
    while (!done) {
        uint8_t *space = client_buffer_space(&node->out, LINK_SEND_ROOM_MIN);
        if (!space) {
            client_node_close(node, "no memory", now_ms);
            return false;
        }
        node->out.used -= LINK_SEND_ROOM_MIN;
        node->out.used += link_send_some(node->link, &send, space, LINK_SEND_ROOM_MIN, &done);
    }
    flush(node, now_ms);
    return node->state == NODE_UP;
}

static void handshake_begin(struct node *node, uint64_t now_ms) {
    node->link = malloc(sizeof *node->link);
    node->receive = malloc(CLIENT_RECEIVE_BYTES);
    if (!node->link || !node->receive) {
        client_node_close(node, "no memory", now_ms);
        return;
    }
    uint8_t ephemeral[RING_KEY_BYTES];
    ring_entropy_fill(ephemeral, sizeof ephemeral);
    struct link_peer peer = {.tag = node->index, .roles = UINT16_MAX, .frame_bytes_max = LINK_FRAME_BYTES_MAX};
    link_init_initiator(node->link, &node->db->link_config, &peer, node->card->noise_key, LINK_VERSION_CURRENT, RING_SUITE_CHACHAPOLY, ephemeral,
                        now_ms);
    ed25519_wipe(ephemeral, sizeof ephemeral);
    node->state = NODE_HANDSHAKE;
    link_talk(node, now_ms);
    if (node->state != NODE_IDLE) flush(node, now_ms);
}

static void connected(struct node *node, uint64_t now_ms) {
    int error = 0;
    socklen_t error_bytes = sizeof error;
    if (getsockopt(node->fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) != 0) error = errno;
    if (error != 0) {
        client_node_close(node, strerror(error), now_ms);
        return;
    }
    if (node->silent_ends > 0) {
        node->state = NODE_HELD;
        node->held_until_ms = now_ms + CLIENT_HELD_MS;
        watch(node, EPOLL_CTL_MOD, EPOLLIN);
    } else {
        handshake_begin(node, now_ms);
    }
}

/* Everything that the received bytes hold. A frame's handler may close the node. */
static void frames(struct node *node, uint64_t now_ms) {
    struct link_frame frame;
    while (node->state >= NODE_HANDSHAKE) {
        switch (link_next(node->link, &frame)) {
        case LINK_MORE: return;
        case LINK_UP:
            node->state = NODE_UP;
            node->backoff_ms = 0;
            node->why[0] = 0;
            node->silent_ends = 0;
            node->db->counters.links_opened++;
            link_talk(node, now_ms);
            if (node->state == NODE_UP) client_engine_up(node, now_ms);
            break;
        case LINK_FRAME: client_answer_frame(node, frame.type, frame.payload, frame.payload_bytes, now_ms); break;
        case LINK_CLOSED: {
            char why[CLIENT_NODE_WHY_BYTES];
            bool goodbye = link_closed_cause(node->link) == LINK_CAUSE_GOODBYE;
            snprintf(why, sizeof why, "link closed: %s", link_cause_name(link_closed_cause(node->link)));
            if (goodbye && link_goodbye_code(node->link) == LINK_GOODBYE_REFUSED) {
                node->silent_ends = CLIENT_SILENT_ENDS;
                node->silent_since_ms = now_ms < CLIENT_SILENT_MS ? 0 : now_ms - CLIENT_SILENT_MS;
                snprintf(why, sizeof why, "%s", "this client was revoked");
            }
            client_node_close(node, why, now_ms);
            return;
        }
        }
    }
}

/* A key that a node does not let in is answered by nothing (spec/links.md L-13). */
static void closed_by_node(struct node *node, const char *why, uint64_t now_ms) {
    if (node->state == NODE_HANDSHAKE) {
        if (node->silent_ends++ == 0) node->silent_since_ms = now_ms;
        why = "it ends the handshake without a word, as with a key that it does not know: not enrolled there, or revoked";
    }
    client_node_close(node, why, now_ms);
}

bool client_node_shut_out(const struct node *node, uint64_t now_ms) {
    return node->silent_ends >= CLIENT_SILENT_ENDS && now_ms >= node->silent_since_ms + CLIENT_SILENT_MS;
}

static void receive(struct node *node, uint64_t now_ms) {
    for (int turn = 0; turn < 16 && node->state >= NODE_HANDSHAKE; turn++) {
        ssize_t got = recv(node->fd, node->receive, CLIENT_RECEIVE_BYTES, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (got <= 0) {
            closed_by_node(node, got == 0 ? "closed by the node" : strerror(errno), now_ms);
            return;
        }
        link_receive(node->link, node->receive, (size_t)got, now_ms);
        frames(node, now_ms);
        if (got < CLIENT_RECEIVE_BYTES) break;
    }
    if (node->state < NODE_HANDSHAKE) return;
    link_talk(node, now_ms);
    if (node->state != NODE_IDLE) flush(node, now_ms);
}

void client_node_event(struct node *node, uint32_t events, uint64_t now_ms) {
    if (node->state == NODE_CONNECTING) {
        connected(node, now_ms);
        return;
    }
    if (node->state == NODE_HELD) {
        node->silent_ends = 0;
        client_node_close(node, "closed before anything was said", now_ms);
        return;
    }
    if (node->state >= NODE_HANDSHAKE && (events & (EPOLLIN | EPOLLERR | EPOLLHUP))) receive(node, now_ms);
    if (node->state >= NODE_HANDSHAKE && (events & EPOLLOUT)) flush(node, now_ms);
}

void client_node_tick(struct node *node, uint64_t now_ms) {
    if (node->state == NODE_IDLE && node->wanted && now_ms >= node->retry_at_ms) connect_start(node, now_ms);
    if (node->state == NODE_CONNECTING && now_ms >= node->connecting_until_ms) {
        client_node_close(node, "no connection in time", now_ms);
        return;
    }
    if (node->state == NODE_HELD && now_ms >= node->held_until_ms) handshake_begin(node, now_ms);
    if (node->state < NODE_HANDSHAKE) return;
    link_tick(node->link, now_ms);
    if (link_closed_cause(node->link) != LINK_CAUSE_NONE) {
        char why[CLIENT_NODE_WHY_BYTES];
        snprintf(why, sizeof why, "link closed: %s", link_cause_name(link_closed_cause(node->link)));
        client_node_close(node, why, now_ms);
        return;
    }
    if (!link_output_wanted(node->link)) return;
    link_talk(node, now_ms);
    if (node->state != NODE_IDLE) flush(node, now_ms);
}
