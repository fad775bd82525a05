/*
 * Which coordinator node a sending begins at, and which it goes to next (spec/operations.md O-50: any of them may take any batch).
 *
 * With C coordinator and S shard clusters a batch for keys all over makes each coordinator cluster send a slice to each shard, C * S of them a turn,
 * each with a certificate that every node of the shard verifies. So a sending whose parts lie in one group of shards begins at the coordinator
 * cluster of that group: shard s is of group s * G / S, G being the smaller of C and S; group g has the clusters from g * C / G to before
 * (g + 1) * C / G, of which the client's key chooses one. It is a preference alone: each answer is proved, whoever gives it. Sendings of several
 * groups, and all of a handle that was told a node (`via`) or of a system with one coordinator cluster or one shard, begin at db->preferred.
 *
 * Without an answer it goes round all nodes: first those of the group's own cluster, then cluster after cluster. Those known to be gone are passed
 * over, so that a cluster that is gone altogether is left at once.
 *
 * A group that was answered by another cluster is away: it goes on there, and for one sending in CLIENT_AWAY_RESENDS * resend_ms its own cluster is
 * tried, at another node each time, since the one of before may be the one that is gone. Where that one is not answered in resend_ms it goes back
 * to who answered last. So a cluster that stays silent costs one sending in that time one wait; one that answers again has its group back with that
 * answer. The group cannot go to and fro faster than a sending comes to the end of its own cluster, a resend_ms a node, or all of them turn it away.
 */
#include <stdlib.h>

#include "client/client.h"

/* The first place of the cluster that this place is of. */
static uint32_t cluster_base(uint32_t place) {
    return place - place % BFT_MEMBERS_MAX;
}

static bool is_away(const struct shard_group *group) {
    return cluster_base(group->answered) != cluster_base(group->home);
}

/* The place in this cluster that the client's key chooses, as it does among all (open.c). */
static uint32_t place_choose(const struct heraclius *db, uint32_t base) {
    uint32_t filled = 0;
    for (uint32_t member = 0; member < BFT_MEMBERS_MAX; member++) filled += db->nodes[base + member].card != NULL;
    uint32_t chosen = filled ? bytes_get_le32(db->key.card_id) % filled : 0;
    for (uint32_t place = base; filled && place < base + BFT_MEMBERS_MAX; place++) {
        if (db->nodes[place].card && chosen-- == 0) return place;
    }
    return base;
}

bool client_groups_open(struct heraclius *db) {
    uint32_t coordinators = db->system->coordinators_count, shards = db->system->shards_count;
    uint32_t count = coordinators < shards ? coordinators : shards;
    if (count < 2) return true;
    db->groups = calloc(count, sizeof *db->groups);
    if (!db->groups) return false;
    db->group_count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t first = client_group_cluster(i, count, coordinators), behind = client_group_cluster(i + 1, count, coordinators);
        uint32_t cluster = first + bytes_get_le32(db->key.card_id + 4) % (behind - first);
        db->groups[i].home = db->groups[i].answered = place_choose(db, cluster * BFT_MEMBERS_MAX);
    }
    return true;
}

/* NULL: the sending has parts of several, or there are none. */
static struct shard_group *group_of(const struct sending *sending) {
    const struct heraclius *db = sending->request->db;
    if (db->group_count == 0) return NULL;
    uint32_t shards = db->system->shards_count, group = client_group_of_shard(sending->parts[0].shard, db->group_count, shards);
    for (uint32_t i = 1; i < sending->part_count; i++) {
        if (client_group_of_shard(sending->parts[i].shard, db->group_count, shards) != group) return NULL;
    }
    return &db->groups[group];
}

/* May it be tried now? */
static bool may_try(const struct node *node, uint64_t now_ms) {
    return node->card && (node->state != NODE_IDLE || now_ms >= node->retry_at_ms);
}

/* In turn: each place once, those of a group's cluster one after the other, home first. */
static uint32_t place_after(const struct heraclius *db, const struct shard_group *group, uint32_t place) {
    uint32_t next = (place + 1) % db->coordinator_nodes;
    if (!group) return next;
    uint32_t base = cluster_base(group->home);
    if (cluster_base(place) != base) return next == base ? group->home : next;
    if (cluster_base(next) != base) next = base;
    return next == group->home ? (base + BFT_MEMBERS_MAX) % db->coordinator_nodes : next;
}

/* The next node in turn that may be tried now; if all are in back-off, simply the next. */
static uint32_t node_after(const struct heraclius *db, const struct shard_group *group, uint32_t node, uint64_t now_ms) {
    uint32_t candidate = node;
    for (uint32_t step = 1; step <= db->coordinator_nodes; step++) {
        candidate = place_after(db, group, candidate);
        if (may_try(&db->nodes[candidate], now_ms)) return candidate;
    }
    do node = place_after(db, group, node);
    while (!db->nodes[node].card); /* each cluster has members */
    return node;
}

/* Away, and it is time: home is now the next of its cluster that may be tried. False: none may. */
static bool home_try(struct heraclius *db, struct shard_group *group, uint64_t now_ms) {
    uint32_t base = cluster_base(group->home);
    for (uint32_t step = 1; step <= BFT_MEMBERS_MAX; step++) {
        uint32_t candidate = base + (group->home - base + step) % BFT_MEMBERS_MAX;
        if (!may_try(&db->nodes[candidate], now_ms)) continue;
        group->home = candidate;
        group->home_at_ms = now_ms + (uint64_t)CLIENT_AWAY_RESENDS * db->resend_ms;
        return true;
    }
    return false;
}

uint32_t client_group_first(struct sending *sending, uint64_t now_ms) {
    struct heraclius *db = sending->request->db;
    struct shard_group *group = sending->group = group_of(sending);
    sending->trying_home = group && is_away(group) && now_ms >= group->home_at_ms && home_try(db, group, now_ms);
    if (sending->trying_home) return group->home;
    uint32_t node = group ? group->answered : db->preferred;
    return may_try(&db->nodes[node], now_ms) ? node : node_after(db, group, node, now_ms);
}

uint32_t client_group_next(struct sending *sending, uint64_t now_ms) {
    const struct heraclius *db = sending->request->db;
    const struct shard_group *group = sending->group;
    bool back = sending->trying_home && is_away(group) && may_try(&db->nodes[group->answered], now_ms);
    sending->trying_home = false;
    return back ? group->answered : node_after(db, group, sending->node, now_ms);
}

void client_group_answered(const struct sending *sending, const struct node *node, uint64_t now_ms) {
    struct heraclius *db = node->db;
    struct shard_group *group = sending->group;
    if (!group) {
        db->preferred = node->index;
        return;
    }
    if (cluster_base(node->index) == cluster_base(group->home)) group->home = node->index;
    else if (!is_away(group)) group->home_at_ms = now_ms + (uint64_t)CLIENT_AWAY_RESENDS * db->resend_ms;
    group->answered = node->index;
}
