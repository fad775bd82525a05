/* CONFIGs by script: config.faults has SYS_CONFIG, so that there are administrators, and nodes that are in no cluster yet. */
#include "protocol/admin_op.h"
#include "tests/scenario/scenario.h"

static struct admin_op op;

void scenario_with_config(struct scenario *scenario) {
    scenario->config.faults |= 1u << SYS_CONFIG;
}

uint64_t scenario_epoch(const struct scenario *scenario, uint32_t cluster) {
    return scenario->world->clusters[cluster].epoch_count - 1;
}

uint32_t scenario_member(const struct scenario *scenario, uint32_t cluster, uint32_t place) {
    return sys_epoch_node(scenario->world, cluster, scenario_epoch(scenario, cluster), place);
}

/* All of the members that are up are in this epoch and vote. */
static bool entered(const struct scenario *scenario, uint32_t cluster, uint64_t epoch) {
    if (scenario_epoch(scenario, cluster) < epoch) return false;
    uint32_t count = scenario->world->clusters[cluster].epochs[epoch].config.members.count;
    for (uint32_t place = 0; place < count; place++) {
        const struct sys_node *node = &scenario->world->nodes[scenario_member(scenario, cluster, place)];
        if (!node->up && node->generation == 0) return false; /* it is new, and on its way */
        if (!node->up) continue;
        const struct replica *r = sys_replica(node);
        if (r->members.place.epoch != epoch || !r->core->voting) return false;
    }
    return true;
}

void scenario_config_sign(struct scenario *scenario, uint32_t cluster,
                          void (*change)(struct scenario *scenario, uint32_t cluster, struct admin_op *op)) {
    sys_admin_next(scenario->world, cluster, &op);
    change(scenario, cluster, &op);
    sys_admin_propose(scenario->world, cluster, &op, 1);
    const struct sys_cluster *of = &scenario->world->clusters[cluster];
    const struct sys_epoch *proposed = &of->proposed[of->proposed_count - 1];
    for (uint32_t place = 0; place < proposed->config.members.count; place++) { /* at once, as it should be (S-81) */
        const struct sys_node *node = &scenario->world->nodes[proposed->node_of[place]];
        if (node->spare && node->generation == 0) sys_node_start(scenario->world, proposed->node_of[place]);
    }
}

bool scenario_config(struct scenario *scenario, uint32_t cluster, void (*change)(struct scenario *scenario, uint32_t cluster, struct admin_op *op),
                     uint64_t ms) {
    struct sys_world *world = scenario->world;
    uint64_t epoch = scenario_epoch(scenario, cluster) + 1, end = world->now_us + ms * 1000;
    scenario_config_sign(scenario, cluster, change);
    while (world->now_us < end && !entered(scenario, cluster, epoch)) {
        if (world->clusters[cluster].proposed_count > 0) sys_admin_hand_in(world, cluster);
        scenario_run(scenario, 100);
    }
    return entered(scenario, cluster, epoch);
}
