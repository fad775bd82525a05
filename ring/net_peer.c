/* The table of peers: see net.h. Keys are found by open addressing under a secret, so that nobody can choose keys that collide. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "ring/check.h"
#include "ring/entropy.h"
#include "ring/net_private.h"

bool net_peers_make(struct net *net) {
    net->peer_slots = net->config.peers_max;
    net->key_table_size = 64;
    while (net->key_table_size < 2 * net->peer_slots) {
        net->key_table_size *= 2;
    }
    net->event_room = 2 * net->peer_slots + 16;
    net->peers = calloc(net->peer_slots, sizeof *net->peers);
    net->key_table = calloc(net->key_table_size, sizeof *net->key_table);
    net->diallers = calloc(net->peer_slots, sizeof *net->diallers);
    net->events = calloc(net->event_room, sizeof *net->events);
    ring_entropy_fill(net->key_secret, sizeof net->key_secret);
    return net->peers != NULL && net->key_table != NULL && net->diallers != NULL && net->events != NULL;
}

void net_peers_free(struct net *net) {
    free(net->peers);
    free(net->key_table);
    free(net->diallers);
    free(net->events);
}

/* --- Keys --- */

static uint32_t key_slot(const struct net *net, const uint8_t key[RING_KEY_BYTES]) {
    uint64_t mixed = net->key_secret[0];
    for (size_t i = 0; i < RING_KEY_BYTES; i += 8) {
        unsigned __int128 product = (unsigned __int128)(ring_load_u64(key + i) ^ mixed) * (net->key_secret[1] | 1);
        mixed = (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    return (uint32_t)mixed & (net->key_table_size - 1);
}

uint32_t net_peer_index(const struct net *net, const uint8_t key[RING_KEY_BYTES]) {
    uint32_t mask = net->key_table_size - 1;
    for (uint32_t slot = key_slot(net, key); net->key_table[slot] != 0; slot = (slot + 1) & mask) {
        uint32_t index = net->key_table[slot] - 1;
        if (memcmp(net->peers[index].config.static_key, key, RING_KEY_BYTES) == 0) {
            return index;
        }
    }
    return NET_NONE;
}

static void key_insert(struct net *net, uint32_t index) {
    uint32_t mask = net->key_table_size - 1;
    uint32_t slot = key_slot(net, net->peers[index].config.static_key);
    while (net->key_table[slot] != 0) {
        slot = (slot + 1) & mask;
    }
    net->key_table[slot] = index + 1;
}

/* --- Handles --- */

static uint32_t peer_index_of(uint32_t handle) {
    return handle & ((1u << NET_PEER_INDEX_BITS) - 1);
}

uint32_t net_peer_handle(const struct net *net, uint32_t index) {
    return (uint32_t)net->peers[index].generation << NET_PEER_INDEX_BITS | index;
}

bool net_peer_handle_valid(const struct net *net, uint32_t handle) {
    uint32_t index = peer_index_of(handle);
    return index < net->peer_slots && net->peers[index].used && net->peers[index].generation == handle >> NET_PEER_INDEX_BITS;
}

struct net_peer *net_peer_at(const struct net *net, uint32_t handle) {
    RING_CHECK(net_peer_handle_valid(net, handle));
    return &net->peers[peer_index_of(handle)];
}

/* --- Addresses --- */

bool net_address_parse(const char *text, struct sockaddr_storage *address) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == 0 || (size_t)(colon - text) >= sizeof host) {
        return false;
    }
    uint32_t port = 0;
    for (const char *p = colon + 1; *p != 0; p++) {
        if (*p < '0' || *p > '9' || p - colon > 5) {
            return false;
        }
        port = port * 10 + (uint32_t)(*p - '0');
    }
    if (port > 65535) {
        return false;
    }
    memset(address, 0, sizeof *address);
    size_t length = (size_t)(colon - text);
    if (text[0] == '[') {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
        if (length < 3 || text[length - 1] != ']') {
            return false;
        }
        memcpy(host, text + 1, length - 2);
        host[length - 2] = 0;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        return inet_pton(AF_INET6, host, &six->sin6_addr) == 1;
    }
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    memcpy(host, text, length);
    host[length] = 0;
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &four->sin_addr) == 1;
}

/* Same host, whatever the port; an IPv4 address within IPv6 equals itself. */
static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
    uint8_t bytes[2][16] = {{[10] = 0xff, [11] = 0xff}, {[10] = 0xff, [11] = 0xff}};
    const struct sockaddr_storage *both[2] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        if (both[i]->ss_family == AF_INET6) {
            memcpy(bytes[i], &((const struct sockaddr_in6 *)both[i])->sin6_addr, 16);
        } else {
            memcpy(bytes[i] + 12, &((const struct sockaddr_in *)both[i])->sin_addr, 4);
        }
    }
    return memcmp(bytes[0], bytes[1], 16) == 0;
}

bool net_address_known(const struct net *net, const struct sockaddr_storage *address) {
    for (size_t i = 0; i < net->known_count; i++) {
        if (same_host(&net->known[i], address)) {
            return true;
        }
    }
    return false;
}

/* Lists of what the peers' configurations imply: one peer's part. */
static void lists_add(struct net *net, uint32_t index) {
    const struct net_peer_config *config = &net->peers[index].config;
    bool mine = memcmp(net->identity->public_key, config->static_key, RING_KEY_BYTES) < 0; /* L-44 */
    if ((config->dial == NET_DIAL_ALWAYS || (config->dial == NET_DIAL_BY_KEY && mine)) && config->address_count > 0) {
        net->diallers[net->dialler_count++] = index;
    }
    for (size_t i = 0; i < config->address_count && net->known_count < NET_KNOWN_ADDRESSES_MAX; i++) {
        if (!net_address_known(net, &config->addresses[i])) {
            net->known[net->known_count++] = config->addresses[i];
        }
    }
}

static void lists_rebuild(struct net *net) {
    net->dialler_count = 0;
    net->known_count = 0;
    for (uint32_t i = 0; i < net->peer_end; i++) {
        if (net->peers[i].used) {
            lists_add(net, i);
        }
    }
}

/* --- Adding, changing, removing --- */

static bool config_valid(const struct net_peer_config *config) {
    bool one_role = config->role != 0 && (config->role & (config->role - 1)) == 0 && config->role <= NET_ROLE_CLIENT;
    bool valid =
        one_role && config->address_count <= NET_ADDRESSES_MAX && config->frame_bytes_max <= LINK_FRAME_BYTES_MAX && config->dial <= NET_DIAL_ALWAYS;
    for (size_t i = 0; valid && i < config->address_count; i++) {
        valid = config->addresses[i].ss_family == AF_INET || config->addresses[i].ss_family == AF_INET6;
    }
    return valid;
}

enum net_status net_peer_add(struct net *net, const struct net_peer_config *config, uint32_t *handle) {
    *handle = NET_PEER_NONE;
    if (!config_valid(config)) {
        return NET_ERR_CONFIG;
    }
    if (net_peer_index(net, config->static_key) != NET_NONE || memcmp(config->static_key, net->identity->public_key, RING_KEY_BYTES) == 0) {
        return NET_ERR_PEER_EXISTS;
    }
    uint32_t index = 0;
    if (net->peer_count < net->peer_slots) {
        index = net->peer_count; /* the usual case: nothing was ever removed */
        while (net->peers[index].used) {
            index = (index + 1) % net->peer_slots;
        }
    } else {
        return NET_ERR_PEERS_FULL;
    }
    struct net_peer *peer = &net->peers[index];
    uint16_t generation = (uint16_t)(peer->generation + 1);
    memset(peer, 0, sizeof *peer);
    peer->generation = generation == UINT32_MAX >> NET_PEER_INDEX_BITS ? 1 : generation; /* no handle is NET_PEER_NONE */
    peer->used = true;
    peer->config = *config;
    peer->connection = peer->dialling = NET_NONE;
    peer->backoff_ms = net->config.backoff_ms_min;
    net->peer_count++;
    if (index >= net->peer_end) net->peer_end = index + 1;
    net->next_tick_ms = 0;
    key_insert(net, index);
    lists_add(net, index);
    *handle = net_peer_handle(net, index);
    return NET_OK;
}

enum net_status net_peer_update(struct net *net, uint32_t handle, const struct net_peer_config *config) {
    struct net_peer *peer = net_peer_at(net, handle);
    if (!config_valid(config) || memcmp(config->static_key, peer->config.static_key, RING_KEY_BYTES) != 0) {
        return NET_ERR_CONFIG;
    }
    peer->config = *config;
    peer->address_index = 0;
    peer->backoff_ms = net->config.backoff_ms_min;
    peer->next_dial_ms = 0;
    net->next_tick_ms = 0;
    lists_rebuild(net);
    return NET_OK;
}

void net_peer_get(const struct net *net, uint32_t handle, struct net_peer_config *config) {
    *config = net_peer_at(net, handle)->config;
}

void net_peer_remove(struct net *net, uint32_t handle) {
    struct net_peer *peer = net_peer_at(net, handle);
    uint32_t index = peer_index_of(handle);
    for (uint32_t i = 0; net->started && i < net->active_count; i++) {
        uint32_t connection = net->active[i];
        if (net->connections[connection].peer == index) {
            if (net->connections[connection].state == CONNECTION_UP) {
                link_close(net_link_of(net, connection), LINK_GOODBYE_REFUSED);
            }
            net_connection_close(net, connection, LINK_CAUSE_LOCAL, false);
            net->connections[connection].peer = NET_NONE;
        }
    }
    peer->used = false;
    net->peer_count--;
    memset(net->key_table, 0, net->key_table_size * sizeof *net->key_table);
    for (uint32_t i = 0; i < net->peer_end; i++) {
        if (net->peers[i].used) {
            key_insert(net, i);
        }
    }
    lists_rebuild(net);
}

uint32_t net_peer_find(const struct net *net, const uint8_t static_key[RING_KEY_BYTES]) {
    uint32_t index = net_peer_index(net, static_key);
    return index == NET_NONE ? NET_PEER_NONE : net_peer_handle(net, index);
}

bool net_peer_is_up(const struct net *net, uint32_t handle) {
    return net_peer_at(net, handle)->connection != NET_NONE;
}

void net_peer_back_off(struct net *net, struct net_peer *peer) {
    /* L-41: three quarters to five quarters of the back-off, so that a cluster that restarts does not dial in step */
    uint64_t jitter = 768 + ring_entropy_u64() % 513;
    peer->next_dial_ms = net->now_ms + peer->backoff_ms * jitter / 1024;
    peer->backoff_ms = peer->backoff_ms > net->config.backoff_ms_max / 2 ? net->config.backoff_ms_max : 2 * peer->backoff_ms;
}

void net_event_push(struct net *net, const struct net_event *event) {
    RING_CHECK(net->event_count < net->event_room); /* at most one DOWN per peer that is up, and one UP behind it */
    net->events[(net->event_first + net->event_count) % net->event_room] = *event;
    net->event_count++;
}
