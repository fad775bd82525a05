/* What goes wrong, and when (tests/sim/sys.h): all by chance, each kind only if the walk's configuration has its bit. */
#include "tests/sim/sys.h"

static bool has(const struct sys_world *world, enum sys_fault fault) {
    return world->config.faults >> fault & 1;
}

void sys_fault_count(struct sys_world *world, enum sys_fault fault, const char *what) {
    world->stats->faults[fault]++;
    if (what != NULL) sys_trace(world, "fault %s: %s", sys_fault_name(fault), what);
}

static uint32_t any_node(struct sys_world *world) {
    return (uint32_t)sys_random(world, world->node_count);
}

static void note_node(struct sys_world *world, enum sys_fault fault, uint32_t node) {
    char name[SYS_NAME_BYTES];
    sys_fault_count(world, fault, sys_end_name(world, node, name));
}

/* ---- network ---- */

static void weather(struct sys_world *world) {
    static const uint64_t far_us[] = {500, 2000, 2000, 10000, 50000};
    world->loss_ppm = has(world, SYS_LOSS) && sys_chance(world, 500000) ? (uint32_t)sys_random(world, 100000) : 0;
    world->duplicate_ppm = has(world, SYS_DUPLICATE) && sys_chance(world, 500000) ? (uint32_t)sys_random(world, 100000) : 0;
    world->spike_ppm = has(world, SYS_DELAY) && sys_chance(world, 500000) ? (uint32_t)sys_random(world, 50000) : 0;
    world->spike_us = 1000 + sys_random(world, 2000000);
    world->delay_max_us = has(world, SYS_DELAY) ? far_us[sys_random(world, 5)] : 2000;
}

static void cuts_end(struct sys_world *world) {
    for (uint32_t a = 0; a < world->end_count; a++) {
        for (uint32_t b = a + 1; b < world->end_count; b++) {
            struct sys_link *link = &world->links[a][b];
            link->cut_to = link->cut_from = false;
        }
    }
}

/* The ends of one side cannot reach (or be reached by) the others; links go down, or nobody is told. */
static void cut(struct sys_world *world, bool one_way) {
    bool side[SYS_ENDS_MAX] = {false}, breaks = !one_way && sys_chance(world, 500000);
    uint32_t few = sys_chance(world, 500000);
    for (uint32_t i = 0; i < world->end_count; i++) side[i] = sys_chance(world, few ? 120000 : 500000);
    for (uint32_t a = 0; a < world->end_count; a++) {
        for (uint32_t b = 0; b < world->end_count; b++) {
            if (!sys_link_known(world, a, b) || !side[a] || side[b]) continue;
            sys_link_cut(world, a, b, true);
            if (!one_way) sys_link_cut(world, b, a, true);
            if (breaks && sys_link_of(world, a, b)->up) {
                sys_link_set(world, a, b, false);
                if (a < world->node_count && b < world->node_count) sys_link_later(world, a, b, 100000);
            }
        }
    }
    sys_fault_count(world, one_way ? SYS_CUT_ONE_WAY : SYS_CUT, breaks ? "links go down" : "nobody is told");
}

static void flap(struct sys_world *world) {
    uint32_t a = any_node(world), b = any_node(world);
    if (!sys_link_known(world, a, b) || !sys_link_of(world, a, b)->up) return;
    sys_link_set(world, a, b, false);
    sys_link_later(world, a, b, 1 + sys_random(world, 500000));
    note_node(world, SYS_FLAP, a);
}

/* ---- nodes ---- */

static void restart_later(struct sys_world *world, uint32_t node, uint64_t us) {
    world->stats->restarts++;
    sys_schedule(world, (struct sys_event){.at_us = world->now_us + us, .kind = SYS_START, .to = (uint8_t)node});
}

static void crash(struct sys_world *world, uint32_t node) {
    if (!world->nodes[node].up) return;
    note_node(world, SYS_CRASH, node);
    sys_node_crash(world, node);
    static const uint64_t longest[] = {20000, 1000000, 6000000};
    restart_later(world, node, 1000 + sys_random(world, longest[sys_random(world, 3)]));
}

/* Of one cluster, or of all. */
static void power_loss(struct sys_world *world) {
    bool all = sys_chance(world, 300000);
    uint32_t cluster = (uint32_t)sys_random(world, world->cluster_count);
    sys_fault_count(world, SYS_POWER, all ? "all" : "a cluster");
    for (uint32_t i = 0; i < world->node_count; i++) {
        if ((!all && world->nodes[i].cluster_index != cluster) || !world->nodes[i].up) continue;
        sys_node_crash(world, i);
        restart_later(world, i, 1000 + sys_random(world, 1000000));
    }
}

/* Of the voting memory and blocks, of the checkpoint, or of one that is on its way from peers. */
static void flip(struct sys_world *world) {
    uint32_t node = any_node(world);
    struct sys_node *at = &world->nodes[node];
    if (!sys_may_break(world, node)) return;
    bool votes = sys_chance(world, 600000);
    bool done = votes ? sys_disk_damage(world, &at->wal) : sys_state_damage(world, at->taken.has ? &at->taken : &at->state);
    if (!done) return;
    /* A node whose checkpoint is lost begins from genesis, takes one from its peers, and is as good as before: it counts at the end. Planted: as if
     * it were sound. */
    at->doubtful = votes && world->config.plant != SYS_CHECK_STOPPED;
    sys_broke(world, node);
    note_node(world, SYS_FLIP, node);
    if (!at->up || sys_chance(world, 500000)) return;
    sys_node_crash(world, node);
    restart_later(world, node, 10000);
}

/* The machine of a snapshot that was taken a while ago comes back. */
static void roll_back(struct sys_world *world) {
    uint32_t node = any_node(world);
    struct sys_node *at = &world->nodes[node];
    if (!sys_may_break(world, node) || !at->up) return;
    struct wal old;
    struct state old_state;
    sys_disk_init(world, &old);
    sys_state_init(world, node, &old_state);
    sys_disk_copy(&old, &at->wal);
    sys_state_copy(&old_state, &at->state);
    at->doubtful = true;
    sys_broke(world, node);
    note_node(world, SYS_ROLLBACK, node);
    uint64_t until = world->now_us + sys_random(world, 1000000), events = world->stats->events + 20000;
    while (world->now_us < until && world->stats->events < events && sys_world_step(world)) continue;
    if (at->up) {
        sys_node_crash(world, node);
        sys_disk_copy(&at->wal, &old);
        sys_state_copy(&at->state, &old_state);
        restart_later(world, node, 1000);
    }
    sys_disk_free(&old);
    sys_state_free(&old_state);
}

static void slow(struct sys_world *world) {
    uint32_t node = any_node(world);
    struct sys_node *at = &world->nodes[node];
    at->slow_us = at->slow_us > 0 ? 0 : 100 + sys_random(world, 3000);
    if (at->slow_us > 0) note_node(world, SYS_SLOW_NODE, node);
}

static void slow_disk(struct sys_world *world) {
    static const uint64_t longest[] = {500, 5000, 30000};
    uint32_t node = any_node(world);
    world->nodes[node].wal.latency_us = 50 + sys_random(world, longest[sys_random(world, 3)]);
    world->nodes[node].state.latency_us = 500 + sys_random(world, 100000);
    note_node(world, SYS_SLOW_DISK, node);
}

static void stall(struct sys_world *world) {
    uint32_t node = any_node(world);
    world->nodes[node].wal.stalled_until_us = world->now_us + sys_random(world, 8000000);
    note_node(world, SYS_STALL, node);
}

static void clock_jump(struct sys_world *world) {
    uint32_t node = any_node(world);
    struct sys_node *at = &world->nodes[node];
    at->wall_offset_ms += (int64_t)sys_random(world, 7200000) - 3600000; /* the calendar, which only the next start reads */
    sys_node_clock(world, node, at->drift_ppm, sys_chance(world, 500000) ? sys_random(world, 5000000) : 0);
    note_node(world, SYS_JUMP, node);
}

static void clock_drift(struct sys_world *world) {
    uint32_t node = any_node(world);
    sys_node_clock(world, node, (int64_t)sys_random(world, 200000) - 100000, 0);
    note_node(world, SYS_DRIFT, node);
}

/* ---- phases ---- */

void sys_fault_begin(struct sys_world *world) {
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        struct sys_cluster *cluster = &world->clusters[c];
        uint32_t most = world->config.liars < cluster->f ? world->config.liars : cluster->f;
        uint32_t liars = (uint32_t)sys_random(world, most + 1);
        if (!has(world, SYS_SCRIPTED) && !has(world, SYS_RANDOM)) liars = 0;
        while (cluster->broken < liars) { /* the first f of the system file's */
            uint32_t node = cluster->first + (uint32_t)sys_random(world, cluster->n);
            if (world->nodes[node].liar) continue;
            bool scripted = has(world, SYS_SCRIPTED) && (!has(world, SYS_RANDOM) || sys_chance(world, 500000));
            sys_liar_make(world, node, scripted ? "any" : NULL);
        }
    }
    weather(world);
}

void sys_fault_event(struct sys_world *world) {
    uint64_t die = sys_random(world, 100);
    if (die < 12)
        weather(world);
    else if (die < 22)
        cuts_end(world);
    else if (die < 27 && has(world, SYS_CUT))
        cut(world, false);
    else if (die < 31 && has(world, SYS_CUT_ONE_WAY))
        cut(world, true);
    else if (die < 41 && has(world, SYS_FLAP))
        flap(world);
    else if (die < 53 && has(world, SYS_CRASH))
        crash(world, any_node(world));
    else if (die < 55 && has(world, SYS_POWER))
        power_loss(world);
    else if (die < 57 && has(world, SYS_FLIP))
        flip(world);
    else if (die < 59 && has(world, SYS_ROLLBACK))
        roll_back(world);
    else if (die < 64 && has(world, SYS_SLOW_NODE))
        slow(world);
    else if (die < 71 && has(world, SYS_SLOW_DISK))
        slow_disk(world);
    else if (die < 74 && has(world, SYS_STALL))
        stall(world);
    else if (die < 79 && has(world, SYS_JUMP))
        clock_jump(world);
    else if (die < 84 && has(world, SYS_DRIFT))
        clock_drift(world);
    else if (die < 88 && has(world, SYS_CLIENT_CRASH)) {
        sys_fault_count(world, SYS_CLIENT_CRASH, NULL);
        sys_client_crash(world, (uint32_t)sys_random(world, world->config.clients));
    } else if (die < 93 && has(world, SYS_BACKUP)) {
        sys_backup_take(world, (uint32_t)sys_random(world, world->cluster_count));
    }
}

void sys_fault_end(struct sys_world *world) {
    world->loss_ppm = world->duplicate_ppm = world->spike_ppm = 0;
    world->delay_min_us = 100;
    world->delay_max_us = 2000;
    if (world->config.plant != SYS_CHECK_ANSWERED) cuts_end(world);
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct sys_node *node = &world->nodes[i];
        node->slow_us = 0;
        node->wal.latency_us = 300;
        node->wal.stalled_until_us = 0;
        node->state.latency_us = 2000;
        sys_node_clock(world, i, 0, 0);
        if (!node->up && !node->broken && (!node->spare || node->ordered)) restart_later(world, i, 1000);
    }
    for (uint32_t a = 0; a < world->node_count; a++) {
        for (uint32_t b = a + 1; b < world->node_count; b++) {
            if (sys_link_known(world, a, b) && !sys_link_of(world, a, b)->up) sys_link_later(world, a, b, 50000);
        }
    }
}
