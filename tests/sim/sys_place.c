/*
 * Places (tests/sim/sys.h): which of a cluster's members is at which index of its list. A CONFIG may bring somebody in at any place, cut anybody out,
 * and put those who stay in another order (S-61: who is kept is kept in whatever place). Votes, certificates, relays and links name members by place,
 * so each of them means another node from one epoch to the next. Checked is that places change by CONFIGs alone: a node counts itself as, and knows
 * its peers by, the places of the list of the epoch that it links by, and of the newest list that it knows of each paired cluster. (That certificates
 * are read by the list of their own epoch: certificate_check() of sys_check.c holds each signature against who was at its place then.)
 */
#include "appliance/node/node.h"
#include "appliance/replica/replica_private.h"
#include "protocol/admin_op.h"
#include "tests/sim/sys.h"

/* ---- CONFIGs that change them ---- */

void sys_place_insert(struct sys_world *world, struct admin_op *op, uint32_t spare) {
    struct config_members *members = &op->config.members;
    uint32_t place = (uint32_t)sys_random(world, members->count + 1);
    memmove(&members->members[place + 1], &members->members[place], (members->count - place) * sizeof members->members[0]);
    if (place < members->count) sys_reached(world->stats, "member_put_between", 1);
    members->count++;
    sys_admin_put(world, op, spare, place);
}

void sys_place_cut(struct sys_world *world, struct admin_op *op) {
    struct config_members *members = &op->config.members;
    uint32_t place = (uint32_t)sys_random(world, members->count);
    members->count--;
    memmove(&members->members[place], &members->members[place + 1], (members->count - place) * sizeof members->members[0]);
    memset(&members->members[members->count], 0, sizeof members->members[0]);
    if (place < members->count) sys_reached(world->stats, "member_cut_out_between", 1);
}

void sys_place_shuffle(struct sys_world *world, struct admin_op *op) {
    struct config_members *members = &op->config.members;
    uint32_t least = sys_chance(world, 300000) ? members->count - 2 : 0; /* the last two alone, or all */
    for (uint32_t i = members->count - 1; i > least; i--) {
        uint32_t other = (uint32_t)sys_random(world, i + 1);
        struct config_member at = members->members[i];
        members->members[i] = members->members[other];
        members->members[other] = at;
    }
    sys_reached(world->stats, "members_reordered", 1);
}

/* ---- what nodes hold ---- */

/* Grows with each epoch that counts here. */
static uint64_t mark_of(const struct replica *r) {
    uint64_t mark = 1 + r->link_epoch + r->members.place.epoch;
    for (uint32_t i = 0; i < r->pair_count; i++) mark += r->pairs[i].epoch_count;
    return mark;
}

static void cluster_check(struct sys_world *world, uint32_t index, const struct sys_epoch *epoch, struct replica_peer peer) {
    const struct sys_node *node = &world->nodes[index];
    char name[SYS_NAME_BYTES], other[SYS_NAME_BYTES];
    for (uint32_t place = 0; place < BFT_MEMBERS_MAX; place++) {
        uint32_t at = place < epoch->config.members.count ? epoch->node_of[place] : SYS_ENDS_MAX;
        if (at == index) at = SYS_ENDS_MAX; /* nobody links to himself */
        peer.member = (uint8_t)place;
        uint32_t end = sys_peer_end(world, index, peer);
        if (world->config.plant == SYS_CHECK_PLACE && sys_chance(world, 1000)) end = (end + 1) % world->node_count;
        world->stats->places++;
        if (end == at && (at == SYS_ENDS_MAX || node->peers[at].member == place)) continue;
        sys_fail(world, SYS_CHECK_PLACE, "%s knows place %u of 0x%x, epoch %u, as that of %s", sys_end_name(world, index, name), place,
                 epoch->config.members.cluster, (unsigned)epoch->config.members.serial,
                 end < world->end_count ? sys_end_name(world, end, other) : "nobody");
    }
}

static void own_check(struct sys_world *world, uint32_t index, const struct sys_epoch *epoch) {
    const struct replica *r = world->nodes[index].shell->replica;
    char name[SYS_NAME_BYTES];
    uint32_t place = 0;
    while (place < epoch->config.members.count && epoch->node_of[place] != index) place++;
    bool member = place < epoch->config.members.count && r->memory_epoch == 0;
    if (r->me != (member ? place : (uint32_t)NOBODY))
        sys_fail(world, SYS_CHECK_PLACE, "%s takes itself for member %u in epoch %u", sys_end_name(world, index, name), r->me,
                 (unsigned)epoch->config.members.serial);
}

void sys_place_check(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    const struct replica *r = node->shell->replica;
    const struct sys_cluster *cluster = &world->clusters[node->cluster_index];
    uint64_t mark = mark_of(r);
    if (mark == node->places_checked) return;
    node->places_checked = mark;
    own_check(world, index, &cluster->epochs[r->members.place.epoch]);
    struct replica_peer peer = {.kind = REPLICA_MEMBER};
    /* One whose CONFIG no honest node has come to yet is learned of by the chain first: looked at when the next one is. */
    if (r->link_epoch < cluster->epoch_count) cluster_check(world, index, &cluster->epochs[r->link_epoch], peer);
    for (uint32_t i = 0; i < r->pair_count; i++) {
        const struct pair *pair = &r->pairs[i];
        const struct sys_cluster *other = &world->clusters[sys_cluster_index(world, pair->cluster)];
        peer = (struct replica_peer){.kind = REPLICA_FOREIGN, .index = pair->cluster};
        if (pair->epoch_count <= other->epoch_count) cluster_check(world, index, &other->epochs[pair->epoch_count - 1], peer);
    }
}
