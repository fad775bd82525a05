/*
 * Links of the simulated world (tests/sim/sys.h). A link is up or down at both ends at once; while it is up, what is sent over it may be lost, come
 * twice, late or out of order, and either direction may be cut without anybody being told. Real links lose nothing while they are up: whatever holds
 * here holds there.
 */
#include "protocol/batch.h"
#include "tests/sim/sys.h"

enum { FRAME_BATCH = 0x0301, FRAME_INPUT = 0x0111, CAPTURE_PPM = 50000, NEAR_MIN_US = 100, NEAR_MORE_US = 400 };

struct sys_link *sys_link_of(struct sys_world *world, uint32_t a, uint32_t b) {
    return a < b ? &world->links[a][b] : &world->links[b][a];
}

bool sys_link_known(const struct sys_world *world, uint32_t a, uint32_t b) {
    if (a == b || (a >= world->node_count && b >= world->node_count)) return false;
    if (a >= world->node_count || b >= world->node_count) return true; /* a client's backup is of a shard, too */
    bool first = world->nodes[a].cluster_index < world->config.coordinators, second = world->nodes[b].cluster_index < world->config.coordinators;
    return world->nodes[a].cluster_index == world->nodes[b].cluster_index || first != second;
}

bool sys_link_is_cut(const struct sys_world *world, uint32_t from, uint32_t to) {
    return from < to ? world->links[from][to].cut_to : world->links[to][from].cut_from;
}

void sys_link_cut(struct sys_world *world, uint32_t from, uint32_t to, bool cut) {
    if (from < to)
        world->links[from][to].cut_to = cut;
    else
        world->links[to][from].cut_from = cut;
}

static void end_told(struct sys_world *world, uint32_t end, uint32_t other, bool up) {
    if (end >= world->node_count) {
        sys_client_link(world, end - world->node_count, other, up);
        return;
    }
    struct sys_node *node = &world->nodes[end];
    if (!node->up) return;
    struct replica_peer peer = sys_node_peer(world, end, other);
    bool dropped = node->dropped[other];
    node->dropped[other] = false;
    if (peer.kind == 0 || (dropped && !up)) return;
    if (up)
        replica_link_up(sys_replica(node), peer);
    else
        replica_link_down(sys_replica(node), peer);
    sys_node_step(world, end);
}

void sys_link_set(struct sys_world *world, uint32_t a, uint32_t b, bool up) {
    struct sys_link *link = sys_link_of(world, a, b);
    if (link->up == up) return;
    link->up = up;
    link->changes++;
    end_told(world, a, b, up);
    end_told(world, b, a, up);
}

void sys_link_later(struct sys_world *world, uint32_t a, uint32_t b, uint64_t us) {
    sys_schedule(world, (struct sys_event){.at_us = world->now_us + us, .kind = SYS_LINK, .from = (uint8_t)a, .to = (uint8_t)b});
}

static uint32_t site_of(const struct sys_world *world, uint32_t end) {
    return end < world->node_count ? world->nodes[end].member % world->sites : 0;
}

static uint64_t delay_us(struct sys_world *world, uint32_t from, uint32_t to) {
    if (world->sites > 0 && site_of(world, from) == site_of(world, to)) return NEAR_MIN_US + sys_random(world, NEAR_MORE_US);
    uint64_t delay = world->delay_min_us + sys_random(world, world->delay_max_us - world->delay_min_us + 1);
    if (sys_chance(world, world->spike_ppm)) {
        sys_fault_count(world, SYS_DELAY, NULL);
        delay += sys_random(world, world->spike_us);
    }
    return delay;
}

/* Signed bytes that somebody on the way keeps. */
static void capture(struct sys_world *world, uint16_t type, struct blob *blob) {
    if (type != FRAME_BATCH || blob->count < BATCH_HEAD_BYTES || blob->bytes[1] != BATCH_WRITE || !sys_chance(world, CAPTURE_PPM)) return;
    uint32_t room = sizeof world->captured / sizeof world->captured[0];
    uint32_t at = world->captured_count < room ? world->captured_count++ : (uint32_t)sys_random(world, room);
    blob_drop(world->captured[at]);
    world->captured[at] = blob_hold(blob);
}

void sys_transmit(struct sys_world *world, uint32_t from, uint32_t to, uint16_t type, struct blob *blob) {
    struct sys_link *link = sys_link_of(world, from, to);
    if (world->config.hostile > 0) capture(world, type, blob);
    if (!link->up || sys_link_is_cut(world, from, to)) {
        blob_drop(blob);
        return;
    }
    if (sys_chance(world, world->loss_ppm)) {
        sys_fault_count(world, SYS_LOSS, NULL);
        blob_drop(blob);
        return;
    }
    struct sys_event event = {.kind = SYS_DELIVER, .from = (uint8_t)from, .to = (uint8_t)to, .link = link->changes, .type = type, .blob = blob};
    event.generation = to < world->node_count ? world->nodes[to].generation : 0;
    event.at_us = world->now_us + delay_us(world, from, to);
    sys_schedule(world, event);
    if (!sys_chance(world, world->duplicate_ppm)) return;
    sys_fault_count(world, SYS_DUPLICATE, NULL);
    event.blob = blob_hold(blob);
    event.at_us = world->now_us + delay_us(world, from, to);
    sys_schedule(world, event);
}

void sys_deliver(struct sys_world *world, const struct sys_event *event) {
    const struct sys_link *link = sys_link_of(world, event->from, event->to);
    if (!link->up || link->changes != event->link) return; /* what was on its way when it broke is lost */
    if (event->to >= world->node_count) {
        sys_client_frame(world, event->to - world->node_count, event->from, event->type, event->blob);
        return;
    }
    struct sys_node *node = &world->nodes[event->to];
    struct replica_peer peer = sys_node_peer(world, event->to, event->from);
    if (!node->up || node->generation != event->generation || peer.kind == 0 || node->dropped[event->from]) return;
    if (node->busy_until_us > world->now_us) { /* a slow node: later */
        struct sys_event again = *event;
        again.at_us = node->busy_until_us;
        (void)blob_hold(again.blob);
        sys_schedule(world, again);
        return;
    }
    world->stats->delivered++;
    struct blob *blob = event->blob;
    size_t last = blob->count >= 8 ? blob->count - 8 : 0;
    uint64_t word = 0;
    memcpy(&word, blob->bytes + last, blob->count - last);
    sys_mix(world, word ^ blob->count);
    if (world->trace != NULL) {
        char from[SYS_NAME_BYTES], to[SYS_NAME_BYTES];
        sys_trace(world, "%s <- %s %s %zu bytes", sys_end_name(world, event->to, to), sys_end_name(world, event->from, from),
                  sys_type_name(event->type), blob->count);
    }
    world->current = event->to;
    replica_frame(sys_replica(node), peer, event->type, (struct blob_piece){.blob = blob, .count = blob->count});
    sys_node_step(world, event->to);
}
