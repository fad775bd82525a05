/* Who this node talks to: the net's peers, their addresses, roles and limits. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "appliance/node/node.h"
#include "bft/wire.h"
#include "merkle/check.h"

enum {
    MEMBER_QUEUE_BYTES = 96 << 20,
    FOREIGN_QUEUE_BYTES = 96 << 20,
    CLIENT_QUEUE_BYTES = 16 << 20,
    /* Received frames kept in place, per node; beyond it they are copied, and the replica's limits hold. Of other clusters: the slices of decided
     * blocks whose answers may be sent again (O-50, 64 MiB), and those that blocks are made of. */
    KEEP_BYTES = 48 << 20,
    FOREIGN_KEEP_BYTES = 112 << 20,
    CLIENT_KEEP_BYTES = 4 << 20,
    FRAME_SLACK_BYTES = 1 << 17,
};

void node_address_resolve(const struct address_endpoint *endpoint, struct net_peer_config *peer) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[8];
    if (endpoint->host[0] == '\0') return;
    snprintf(port, sizeof port, "%u", endpoint->port);
    if (getaddrinfo(endpoint->host, port, &hints, &found) != 0) {
        char quoted[300];
        log_event(LOG_LEVEL_WARN, "address_unknown",
                  "host=%s do=\"this machine knows no such name (an appliance knows none): write the address in numbers\"",
                  log_quote(endpoint->host, quoted, sizeof quoted));
        return;
    }
    for (struct addrinfo *at = found; at != NULL && peer->address_count < NET_ADDRESSES_MAX; at = at->ai_next)
        memcpy(&peer->addresses[peer->address_count++], at->ai_addr, at->ai_addrlen);
    freeaddrinfo(found);
}

/* Where the net's handle of a peer is kept; NULL: there is no such peer. */
static uint32_t *handle_of(struct node *node, struct replica_peer peer) {
    if (peer.kind == REPLICA_CLIENT) return &node->client_handles[peer.index];
    if (peer.kind == REPLICA_OBSERVER) return peer.index < NODE_OBSERVERS_MAX ? &node->observer_handles[peer.index] : NULL;
    const struct system_cluster *cluster = system_cluster_by_id(node->system, peer.kind == REPLICA_MEMBER ? node->cluster : peer.index);
    return &node->node_handles[(size_t)(cluster - node->system->clusters) * BFT_MEMBERS_MAX + peer.member];
}

static bool peer_add(struct node *node, const uint8_t noise_key[32], const char *name, struct replica_peer peer, uint16_t role,
                     uint32_t queue_bytes) {
    struct net_peer_config *config = calloc(1, sizeof *config);
    CHECK(config != NULL);
    memcpy(config->static_key, noise_key, 32);
    config->tag = replica_peer_pack(peer);
    config->role = role;
    config->dial = NET_DIAL_NEVER;
    /* Nobody may know where a node is that a CONFIG is to bring in: it dials. */
    if (role != NET_ROLE_CLIENT) config->dial = node->config.join[0] != '\0' ? NET_DIAL_ALWAYS : NET_DIAL_BY_KEY;
    const struct address *address = config->dial == NET_DIAL_NEVER ? NULL : addresses_find(node->addresses, name);
    if (address != NULL) node_address_resolve(&address->link, config);
    struct config *limits = calloc(1, sizeof *limits);
    CHECK(limits != NULL && system_config(node->system, node->cluster, limits));
    uint32_t largest =
        limits->limits.slice_bytes_max > limits->limits.batch_bytes_max ? limits->limits.slice_bytes_max : limits->limits.batch_bytes_max;
    if (role == NET_ROLE_CLIENT) largest = limits->limits.batch_bytes_max;
    if (largest < BFT_BODY_BYTES_MAX && role != NET_ROLE_CLIENT) largest = BFT_BODY_BYTES_MAX;
    free(limits);
    config->frame_bytes_max = largest + FRAME_SLACK_BYTES < LINK_FRAME_BYTES_MAX ? largest + FRAME_SLACK_BYTES : LINK_FRAME_BYTES_MAX;
    config->send_queue_bytes_max = queue_bytes;
    config->keep_counted = peer.kind == REPLICA_FOREIGN; /* slices: replica_budget() */
    config->keep_bytes_max = role == NET_ROLE_CLIENT ? CLIENT_KEEP_BYTES : config->keep_counted ? FOREIGN_KEEP_BYTES : KEEP_BYTES;
    enum net_status status = net_peer_add(node->net, config, handle_of(node, peer));
    free(config);
    if (status == NET_OK) return true;
    log_event(LOG_LEVEL_ERROR, "peer_refused", "name=%s cause=%s", name, net_status_name(status));
    return false;
}

bool node_peers_add(struct node *node) {
    bool coordinator = config_cluster_is_coordinator(node->cluster);
    uint32_t clusters = node->system->coordinators_count + node->system->shards_count;
    node->node_handles = malloc((size_t)clusters * BFT_MEMBERS_MAX * sizeof *node->node_handles);
    if (node->node_handles == NULL) return false;
    memset(node->node_handles, 0xFF, (size_t)clusters * BFT_MEMBERS_MAX * sizeof *node->node_handles);
    memset(node->observer_handles, 0xFF, sizeof node->observer_handles);
    for (uint32_t i = 0; i < clusters; i++) {
        const struct system_cluster *cluster = &node->system->clusters[i];
        bool own = cluster->cluster == node->cluster;
        if (!own && config_cluster_is_coordinator(cluster->cluster) == coordinator) continue; /* only pairs talk */
        for (uint32_t member = 0; member < cluster->nodes_count; member++) {
            if (own && member == node->member) continue;
            struct replica_peer peer = {
                .kind = own ? REPLICA_MEMBER : REPLICA_FOREIGN, .member = (uint8_t)member, .index = own ? 0 : cluster->cluster};
            uint16_t role = own ? NET_ROLE_MEMBER : NET_ROLE_FOREIGN;
            if (!peer_add(node, cluster->nodes[member].noise_key, cluster->nodes[member].name, peer, role,
                          own ? MEMBER_QUEUE_BYTES : FOREIGN_QUEUE_BYTES))
                return false;
        }
    }
    uint32_t room = node->system->limits.clients_max;
    node->client_handles = malloc(room * sizeof *node->client_handles);
    if (node->client_handles == NULL) return false;
    memset(node->client_handles, 0xFF, room * sizeof *node->client_handles);
    for (uint32_t i = 0; i < replica_clients(node->replica); i++) {
        uint8_t key[32];
        if (replica_client_key(node->replica, i, key)) node_peer_let_in(node, (struct replica_peer){.kind = REPLICA_CLIENT, .index = i}, key, "");
    }
    return true;
}

uint32_t node_peers_max(const struct node *node) {
    uint32_t clusters = node->system->coordinators_count + node->system->shards_count;
    return clusters * BFT_MEMBERS_MAX + NODE_OBSERVERS_MAX + node->system->limits.clients_max;
}

/* As it says by now; what cannot be read leaves what was read before. */
static void addresses_again(struct node *node) {
    struct addresses *addresses = NULL;
    struct system_fault fault;
    if (addresses_load(&addresses, node->config.addresses, node->system, &fault) != SYSTEM_OK) return;
    addresses_free(node->addresses);
    node->addresses = addresses;
}

/* A key that the net does not take (a node's own: D-32 does not look at those) costs that client its link, and nobody else anything. */
void node_peer_let_in(struct node *node, struct replica_peer peer, const uint8_t noise_key[32], const char *name) {
    char client[32];
    if (handle_of(node, peer) == NULL) return;
    if (peer.kind != REPLICA_CLIENT) { /* followed first: what the file says after it is read here comes by the watch */
        node_addresses_follow(node, noise_key, name);
        addresses_again(node);
    }
    switch (peer.kind) {
    case REPLICA_CLIENT:
        (void)snprintf(client, sizeof client, "client %u", peer.index);
        (void)peer_add(node, noise_key, client, peer, NET_ROLE_CLIENT, CLIENT_QUEUE_BYTES);
        break;
    case REPLICA_OBSERVER: (void)peer_add(node, noise_key, name, peer, NET_ROLE_OBSERVER, MEMBER_QUEUE_BYTES); break;
    default:
        if (peer.kind == REPLICA_MEMBER) (void)peer_add(node, noise_key, name, peer, NET_ROLE_MEMBER, MEMBER_QUEUE_BYTES);
        else (void)peer_add(node, noise_key, name, peer, NET_ROLE_FOREIGN, FOREIGN_QUEUE_BYTES);
        log_event(LOG_LEVEL_INFO, "peer_added", "name=%s kind=%u place=%u", name, peer.kind, peer.member);
        break;
    }
}

void node_peer_shut_out(struct node *node, struct replica_peer peer) {
    uint32_t *place = handle_of(node, peer), handle = place != NULL ? *place : NET_PEER_NONE;
    if (handle == NET_PEER_NONE) return;
    *place = NET_PEER_NONE;
    struct net_peer_config config;
    net_peer_get(node->net, handle, &config);
    node_addresses_leave(node, config.static_key);
    net_peer_remove(node->net, handle);
}

enum net_status node_send(struct node *node, struct replica_peer to, uint16_t type, const struct blob_piece *pieces, unsigned count) {
    const uint32_t *place = handle_of(node, to);
    struct iovec parts[REPLICA_PIECES_MAX];
    if (place == NULL || *place == NET_PEER_NONE) return NET_NOT_UP;
    for (unsigned i = 0; i < count; i++) parts[i] = (struct iovec){.iov_base = pieces[i].blob->bytes + pieces[i].offset, .iov_len = pieces[i].count};
    return net_send(node->net, *place, type, parts, count);
}
