/*
 * Clusters ended by SEAL (tests/sim/sys.h): one of them somewhere in a walk, while all goes on that goes wrong in it, and a CONFIG may win the race
 * for the serial; the others when the system is closed for its successor. That it is sealed is believed of honest members alone, and is for ever.
 */
#include "appliance/replica/replica_private.h"
#include "protocol/admin_op.h"
#include "tests/sim/sys.h"

enum { BEGIN_PPM = 200000, BURN_PPM = 300000 };

static const struct sys_epoch *newest(const struct sys_cluster *cluster) {
    return &cluster->epochs[cluster->epoch_count - 1];
}

static void sign(struct sys_world *world, uint32_t cluster_index) {
    struct sys_seal *seal = &world->clusters[cluster_index].seal;
    struct admin_op *op = calloc(1, sizeof *op);
    CHECK(op != NULL);
    sys_admin_next(world, cluster_index, op);
    op->kind = ADMIN_OP_SEAL;
    sys_admin_sign(world, op);
    if (seal->bytes == NULL) seal->bytes = malloc(ADMIN_OP_BYTES_MAX);
    CHECK(seal->bytes != NULL);
    seal->count = admin_op_encode(op, seal->bytes);
    seal->serial = op->serial;
    sys_fault_count(world, SYS_SEAL, NULL);
    sys_trace(world, "the administrators sign SEAL %llu of 0x%x", (unsigned long long)op->serial, op->cluster);
    free(op);
}

/* Does an honest node say so? */
static void look(struct sys_world *world, uint32_t cluster_index) {
    struct sys_cluster *cluster = &world->clusters[cluster_index];
    char name[SYS_NAME_BYTES];
    for (uint32_t i = 0; i < world->node_count && !cluster->seal.sealed; i++) {
        const struct sys_node *node = &world->nodes[i];
        if (node->cluster_index != cluster_index || !node->up || node->liar || !epoch_is_sealed(sys_replica(node))) continue;
        if (cluster->seal.bytes == NULL)
            sys_fail(world, SYS_CHECK_AGREEMENT, "%s is sealed, and nobody signed that", sys_end_name(world, i, name));
        cluster->seal.sealed = true;
        cluster->seal.height = sys_replica(node)->tip_height;
        for (uint32_t k = 0; k < cluster->proposed_count; k++) free(cluster->proposed[k].bytes); /* of the same serial: never in force */
        cluster->proposed_count = 0;
        sys_reached(world->stats, world->closing ? "sealed_at_the_end" : "sealed_in_the_walk", 1);
        sys_trace(world, "0x%x is sealed at height %llu: %s says so first", cluster->cluster, (unsigned long long)cluster->seal.height,
                  sys_end_name(world, i, name));
    }
}

static void hand_in(struct sys_world *world, uint32_t cluster_index) {
    struct sys_cluster *cluster = &world->clusters[cluster_index];
    const struct sys_epoch *now = newest(cluster);
    if (cluster->seal.serial != cluster->epoch_count) sign(world, cluster_index); /* a CONFIG was first */
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t index = now->node_of[sys_random(world, now->config.members.count)];
        if (world->nodes[index].up) sys_admin_tell(world, index, MESSAGE_ADMIN, cluster->seal.bytes, cluster->seal.count);
    }
}

bool sys_burnt_any(const struct sys_world *world) {
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        if (world->clusters[c].burnt) return true;
    }
    return false;
}

/* Whether anybody lies or breaks counts no more in it. */
static void burn(struct sys_world *world, uint32_t cluster_index) {
    struct sys_cluster *cluster = &world->clusters[cluster_index];
    const struct sys_epoch *now = newest(cluster);
    uint32_t n = now->config.members.count, from = (uint32_t)sys_random(world, n), f = config_faults(n);
    uint32_t lost = f + 1 + (uint32_t)sys_random(world, n - f);
    cluster->burnt = true;
    sys_fault_count(world, SYS_BURN, NULL);
    sys_trace(world, "%u of %u members of 0x%x burn", lost, n, cluster->cluster);
    for (uint32_t i = 0; i < lost; i++) {
        uint32_t index = now->node_of[(from + i) % n];
        struct sys_node *node = &world->nodes[index];
        node->broken = node->doubtful = true;
        sys_broke(world, index);
        if (node->up) sys_node_crash(world, index);
    }
}

void sys_burn_event(struct sys_world *world) {
    bool late = world->stats->events > world->config.events / 2;
    if (!(world->config.faults >> SYS_BURN & 1) || world->healed || sys_burnt_any(world)) return;
    uint32_t c = world->config.coordinators + (uint32_t)sys_random(world, world->config.shards);
    if (sys_backup_of(world, c) == NULL) sys_backup_take(world, c); /* else there is nothing to begin from */
    else if (late && sys_chance(world, BURN_PPM) && world->clusters[c].seal.bytes == NULL) burn(world, c);
}

static bool begun_any(const struct sys_world *world) {
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        if (world->clusters[c].seal.bytes != NULL) return true;
    }
    return false;
}

void sys_seal_event(struct sys_world *world) {
    bool chosen = world->config.faults >> SYS_SEAL & 1;
    if (!world->closing && (!chosen || world->healed)) return;
    bool late = world->stats->events > world->config.events / 2;
    if (!world->closing && late && !begun_any(world) && sys_chance(world, BEGIN_PPM))
        sign(world, (uint32_t)sys_random(world, world->cluster_count));
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        struct sys_cluster *cluster = &world->clusters[c];
        if (cluster->burnt) continue;
        if (cluster->seal.bytes == NULL && world->closing) sign(world, c);
        if (cluster->seal.bytes == NULL) continue;
        look(world, c);
        if (!cluster->seal.sealed) hand_in(world, c);
    }
}

bool sys_seal_all(const struct sys_world *world) {
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        if (!world->clusters[c].seal.sealed && !world->clusters[c].burnt) return false;
    }
    return true;
}

void sys_seal_free(struct sys_world *world) {
    for (uint32_t c = 0; c < world->cluster_count; c++) free(world->clusters[c].seal.bytes);
}
