/*
 * Whom a node's net lets in (tests/sim/sys.h), in the place of appliance/node/node_peers.c: those of the system file and the clients of final state
 * at a start, then what the replica tells. A link is up only between two who know each other.
 */
#include "appliance/node/node.h"
#include "tests/sim/sys.h"

enum { LINK_US = 5000 };

uint32_t sys_end_by_noise_key(const struct sys_world *world, const uint8_t key[32]) {
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (memcmp(world->nodes[i].card->noise_key, key, 32) == 0) return i;
    }
    for (uint32_t i = 0; i < world->system->clients_count; i++) {
        if (memcmp(world->system->clients[i].card.noise_key, key, 32) == 0) return world->node_count + i;
    }
    return SYS_ENDS_MAX;
}

/* Where the end of such a peer is kept; NULL: it is found by looking. */
static uint8_t *place_of(struct sys_world *world, uint32_t of, struct replica_peer peer) {
    struct sys_node *node = &world->nodes[of];
    if (peer.member >= BFT_MEMBERS_MAX) return NULL;
    if (peer.kind == REPLICA_MEMBER) return &node->member_ends[peer.member];
    return peer.kind == REPLICA_FOREIGN ? &node->foreign_ends[sys_cluster_index(world, peer.index)][peer.member] : NULL;
}

static void set(struct sys_world *world, uint32_t of, uint32_t end, struct replica_peer peer) {
    uint8_t *place = place_of(world, of, peer);
    world->nodes[of].peers[end] = peer;
    if (place != NULL) *place = (uint8_t)end;
}

uint32_t sys_peer_end(const struct sys_world *world, uint32_t of, struct replica_peer peer) {
    const struct sys_node *node = &world->nodes[of];
    if (peer.kind == REPLICA_MEMBER || peer.kind == REPLICA_FOREIGN) {
        if (peer.member >= BFT_MEMBERS_MAX) return SYS_ENDS_MAX;
        const uint8_t *ends = peer.kind == REPLICA_MEMBER ? node->member_ends : node->foreign_ends[sys_cluster_index(world, peer.index)];
        uint8_t end = ends[peer.member];
        return end == UINT8_MAX ? SYS_ENDS_MAX : end;
    }
    for (uint32_t end = 0; end < world->end_count; end++) {
        if (node->peers[end].kind == peer.kind && node->peers[end].index == peer.index) return end;
    }
    return SYS_ENDS_MAX;
}

void sys_peers_begin(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    memset(node->peers, 0, sizeof node->peers);
    memset(node->dropped, 0, sizeof node->dropped);
    memset(node->member_ends, UINT8_MAX, sizeof node->member_ends);
    memset(node->foreign_ends, UINT8_MAX, sizeof node->foreign_ends);
    for (uint32_t other = 0; other < world->genesis_count; other++) {
        const struct sys_node *at = &world->nodes[other];
        struct replica_peer peer = {.kind = REPLICA_FOREIGN, .member = (uint8_t)at->member, .index = at->cluster};
        if (at->cluster == node->cluster) peer = (struct replica_peer){.kind = REPLICA_MEMBER, .member = (uint8_t)at->member};
        if (sys_link_known(world, index, other)) set(world, index, other, peer);
    }
    for (uint32_t i = 0; i < replica_clients(node->shell->replica); i++) {
        uint8_t key[32];
        uint32_t end = replica_client_key(node->shell->replica, i, key) ? sys_end_by_noise_key(world, key) : SYS_ENDS_MAX;
        if (end < SYS_ENDS_MAX) set(world, index, end, (struct replica_peer){.kind = REPLICA_CLIENT, .index = i});
    }
}

/* By its name a node's address is found (S-90): with another's, it would be looked for where that one is. */
static void name_check(struct sys_world *world, uint32_t of, uint32_t end, const char *told) {
    char name[SYS_NAME_BYTES];
    world->stats->names++;
    if (world->nodes[of].liar || strcmp(told, world->nodes[end].card->name) == 0) return;
    sys_fail(world, SYS_CHECK_ADDRESS, "%s knows %s by the name \"%.40s\"", sys_end_name(world, of, name), world->nodes[end].card->name, told);
}

void sys_peer_add(struct sys_world *world, uint32_t of, const struct replica_output *output) {
    uint32_t end = sys_end_by_noise_key(world, output->key);
    if (end == SYS_ENDS_MAX || end == of) return;
    if (end < world->node_count) name_check(world, of, end, output->text);
    set(world, of, end, output->peer);
    if (end < world->node_count) sys_address_follow(world, of, end);
    if (end < world->node_count) sys_link_later(world, of, end, 2 + sys_random(world, LINK_US));
}

void sys_peer_remove(struct sys_world *world, uint32_t of, const struct replica_output *output) {
    struct sys_node *node = &world->nodes[of];
    uint32_t end = sys_peer_end(world, of, output->peer);
    if (end == SYS_ENDS_MAX) return;
    uint8_t *place = place_of(world, of, output->peer);
    if (place != NULL) *place = UINT8_MAX;
    node->peers[end] = (struct replica_peer){0};
    if (!sys_link_of(world, of, end)->up) return;
    node->dropped[end] = true;
    sys_schedule(world, (struct sys_event){.at_us = world->now_us, .kind = SYS_LINK, .from = (uint8_t)of, .to = (uint8_t)end, .type = 1});
}
