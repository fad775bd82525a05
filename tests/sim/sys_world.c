/* Events in order of time, and the two phases of a walk (tests/sim/sys.h). */
#include <stdarg.h>
#include <unistd.h>

#include "tests/sim/sys.h"

enum { BEGIN_US = 1000000, FAULT_US = 150000, LIVENESS_STEP_MS = 100, QUIET_MS = 3000 };

/* ---- chance: xoshiro256** ---- */

static uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static uint64_t next_word(struct sys_world *world) {
    uint64_t *s = world->random, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t sys_random(struct sys_world *world, uint64_t below) {
    return below == 0 ? 0 : (uint64_t)((unsigned __int128)next_word(world) * below >> 64);
}

bool sys_chance(struct sys_world *world, uint32_t ppm) {
    return ppm > 0 && sys_random(world, 1000000) < ppm;
}

/* ---- the heap: four children each ---- */

static bool before(const struct sys_event *a, const struct sys_event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->sequence < b->sequence;
}

void sys_schedule(struct sys_world *world, struct sys_event event) {
    if (world->heap_count == world->heap_room) {
        world->heap_room = world->heap_room == 0 ? 4096 : world->heap_room * 2;
        world->heap = realloc(world->heap, world->heap_room * sizeof *world->heap);
        CHECK(world->heap != NULL);
    }
    event.sequence = world->sequence++;
    if (event.at_us < world->now_us) event.at_us = world->now_us;
    size_t at = world->heap_count++;
    for (; at > 0 && before(&event, &world->heap[(at - 1) / 4]); at = (at - 1) / 4) world->heap[at] = world->heap[(at - 1) / 4];
    world->heap[at] = event;
}

static struct sys_event heap_take(struct sys_world *world) {
    struct sys_event first = world->heap[0], last = world->heap[--world->heap_count];
    size_t at = 0, count = world->heap_count;
    for (;;) {
        size_t child = 4 * at + 1, least = child;
        if (child >= count) break;
        for (size_t i = child + 1; i < child + 4 && i < count; i++) {
            if (before(&world->heap[i], &world->heap[least])) least = i;
        }
        if (!before(&world->heap[least], &last)) break;
        world->heap[at] = world->heap[least];
        at = least;
    }
    if (count > 0) world->heap[at] = last;
    return first;
}

/* ---- violations ---- */

void sys_fail(struct sys_world *world, enum sys_check check, const char *format, ...) {
    char text[SYS_TEXT_BYTES];
    va_list words;
    va_start(words, format);
    vsnprintf(text, sizeof text, format, words);
    va_end(words);
    sys_trace(world, "VIOLATION %s: %s", sys_check_name(check), text);
    for (uint32_t i = 0; i < world->node_count && world->trace != NULL && world->model != NULL; i++) sys_check_describe(world, i);
    if (world->trace != NULL) fclose(world->trace);
    if (sys_walk_result != NULL) {
        sys_walk_result->check = check;
        sys_walk_result->failed_event = world->stats->events;
        snprintf(sys_walk_result->text, sizeof sys_walk_result->text, "%s", text);
    } else {
        (void)fprintf(stderr, "seed %llu event %llu: %s: %s\n", (unsigned long long)world->config.seed, (unsigned long long)world->stats->events,
                      sys_check_name(check), text);
    }
    sys_clients_forget((int)getpid());
    _Exit(SYS_EXIT_VIOLATION);
}

/* ---- the world ---- */

struct sys_world *sys_world_make(const struct sys_config *config, struct sys_stats *stats, struct sys_origin *origin, uint64_t now_us) {
    struct sys_world *world = calloc(1, sizeof *world);
    CHECK(world != NULL);
    world->config = *config;
    world->stats = stats;
    world->origin = origin;
    world->now_us = now_us;
    for (int i = 0; i < 4; i++) world->random[i] = keyed_siphash(config->seed, (uint64_t)i, origin == NULL ? "world" : "later", 5);
    world->current = UINT8_MAX;
    world->delay_min_us = 100;
    world->delay_max_us = 2000;
    if (config->trace != NULL) {
        world->trace = fopen(config->trace, "we");
        CHECK(world->trace != NULL);
        sys_config_print(world->trace, config);
    }
    sys_setup(world);
    for (uint32_t i = 0; i < world->node_count; i++) {
        sys_disk_init(world, &world->nodes[i].wal);
        sys_state_init(world, i, &world->nodes[i].state);
        sys_state_init(world, i, &world->nodes[i].taken);
        world->nodes[i].taken.transfer = true;
    }
    return world;
}

void sys_world_begin(struct sys_world *world) {
    const struct sys_config *config = &world->config;
    sys_backup_begin(world);
    if (!config->quiet_faults) sys_fault_begin(world);
    for (uint32_t i = 0; i < world->genesis_count; i++) sys_node_start(world, i);
    for (uint32_t i = 0; i < config->clients && world->origin == NULL; i++) sys_client_create(world, i);
    for (uint32_t i = 0; i < config->hostile; i++) sys_hostile_create(world, config->clients + i);
    if (!config->quiet_faults) sys_schedule(world, (struct sys_event){.at_us = world->now_us + FAULT_US, .kind = SYS_FAULT});
}

struct sys_world *sys_world_create(const struct sys_config *config, struct sys_stats *stats) {
    sys_entropy_seed(keyed_siphash(config->seed, 9, "entropy", 7));
    sys_clock_set(BEGIN_US);
    struct sys_world *world = sys_world_make(config, stats, NULL, BEGIN_US);
    sys_model_create(world);
    sys_world_begin(world);
    return world;
}

void sys_world_destroy(struct sys_world *world) {
    for (uint32_t i = 0; i < world->config.clients + world->config.hostile; i++) {
        if (world->clients[i] != NULL) sys_client_destroy(world, i);
    }
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world->nodes[i].up) sys_node_crash(world, i);
        sys_disk_free(&world->nodes[i].wal);
        sys_state_free(&world->nodes[i].state);
        sys_state_free(&world->nodes[i].taken);
        sys_liar_free(world, i);
    }
    for (size_t i = 0; i < world->heap_count; i++) blob_drop(world->heap[i].blob);
    for (uint32_t i = 0; i < world->captured_count; i++) blob_drop(world->captured[i]);
    if (world->model != NULL) sys_model_destroy(world);
    sys_check_free(world);
    sys_seal_free(world);
    sys_backup_free(world);
    sys_setup_free(world);
    if (world->trace != NULL) fclose(world->trace);
    free(world->heap);
    sys_succession_free(world);
    free(world);
}

static bool lets_in(const struct sys_world *world, uint32_t end, uint32_t other) {
    return end >= world->node_count || world->nodes[end].peers[other].kind != 0;
}

static void link_event(struct sys_world *world, const struct sys_event *event) {
    uint32_t a = event->from, b = event->to;
    if (event->type == 1) sys_link_set(world, a, b, false);
    if (event->type == 1 || !lets_in(world, a, b) || !lets_in(world, b, a)) return;
    bool both = (a >= world->node_count || world->nodes[a].up) && (b >= world->node_count || world->nodes[b].up);
    if (sys_link_of(world, a, b)->up || !both) return;
    if (sys_link_is_cut(world, a, b) || sys_link_is_cut(world, b, a)) { /* tried again, as a node does */
        sys_link_later(world, a, b, 200000);
        return;
    }
    if (sys_address_reaches(world, a, b)) sys_link_set(world, a, b, true);
}

bool sys_world_step(struct sys_world *world) {
    if (world->heap_count == 0) return false;
    struct sys_event event = heap_take(world);
    world->now_us = event.at_us;
    sys_clock_set(event.at_us);
    sys_mix(world, event.at_us ^ (uint64_t)event.kind << 56 ^ (uint64_t)event.to << 48 ^ (uint64_t)event.from << 40 ^ event.type);
    switch ((enum sys_event_kind)event.kind) {
    case SYS_DELIVER:
        world->stats->events++;
        sys_deliver(world, &event);
        blob_drop(event.blob);
        break;
    case SYS_TICK:
    case SYS_DISK:
    case SYS_CHECKPOINT:
    case SYS_TRANSFER:
    case SYS_START: sys_node_event(world, &event); break;
    case SYS_POLL:
        world->stats->events++;
        world->stats->polls++;
        sys_client_poll(world, event.to);
        break;
    case SYS_LINK:
        world->stats->events++;
        link_event(world, &event);
        break;
    case SYS_FAULT:
        world->stats->events++;
        if (world->healed) break;
        sys_fault_event(world);
        sys_schedule(world, (struct sys_event){.at_us = world->now_us + FAULT_US / 2 + sys_random(world, FAULT_US), .kind = SYS_FAULT});
        break;
    case SYS_ACT:
        world->stats->events++;
        sys_hostile_act(world, event.to);
        break;
    case SYS_ADMIN:
        world->stats->events++;
        sys_admin_event(world);
        break;
    case SYS_ADDRESS:
        world->stats->events++;
        sys_address_event(world);
        break;
    }
    return true;
}

void sys_world_run_ms(struct sys_world *world, uint64_t ms) {
    uint64_t end = world->now_us + ms * 1000;
    while (!world->stop && world->heap_count > 0 && world->heap[0].at_us <= end) (void)sys_world_step(world);
    if (!world->stop && world->now_us < end) world->now_us = end;
    sys_clock_set(world->now_us);
}

uint64_t sys_world_bound_ms(const struct sys_world *world) {
    /* Each of f lying leaders may cost a view of the longest time-out, clusters one after the other on a request's way; and as much again for what
     * restarts, asks LAST-SIGNED, links up and fetches. */
    uint64_t views = 0, longest_ms = 0;
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        for (uint32_t i = 0; i < world->clusters[c].epoch_count; i++) {
            const struct config *config = &world->clusters[c].epochs[i].config;
            uint64_t most = 2 * ((uint64_t)config_faults(config->members.count) + 2);
            if (most > views) views = most;
            if (config->timeouts.view_max_ms > longest_ms) longest_ms = config->timeouts.view_max_ms;
        }
    }
    return 30000 + 3 * views * longest_ms;
}

void sys_world_heal(struct sys_world *world) {
    world->healed = true;
    world->healed_us = world->now_us;
    sys_fault_end(world);
    sys_trace(world, "all heals");
}

/* Everything that was asked after the heal is answered, and who was behind is not. */
static bool all_answered(struct sys_world *world, uint64_t *oldest_us) {
    bool answered = true;
    *oldest_us = UINT64_MAX;
    for (uint32_t i = 0; i < world->config.clients; i++) {
        uint64_t since;
        if (sys_client_settled(world, i, &since)) continue;
        answered = false;
        if (since < *oldest_us) *oldest_us = since;
    }
    return answered;
}

static void liveness(struct sys_world *world) {
    uint64_t bound_us = sys_world_bound_ms(world) * 1000, oldest_us;
    sys_world_heal(world);
    sys_client_ask_again(world);
    while (!all_answered(world, &oldest_us)) {
        if (oldest_us != UINT64_MAX && world->now_us > oldest_us + bound_us)
            sys_fail(world, SYS_CHECK_ANSWERED, "a request was not answered %llu ms after everything had healed",
                     (unsigned long long)bound_us / 1000);
        sys_world_run_ms(world, LIVENESS_STEP_MS);
    }
    while (!sys_admin_settled(world)) {
        if (world->now_us > world->healed_us + bound_us)
            sys_fail(world, SYS_CHECK_ANSWERED, "a CONFIG that is handed in is not in force %llu ms after everything had healed",
                     (unsigned long long)bound_us / 1000);
        sys_world_run_ms(world, LIVENESS_STEP_MS);
    }
    for (uint32_t who; !sys_check_caught_up(world, &who);) {
        char name[SYS_NAME_BYTES];
        if (world->now_us > world->healed_us + 2 * bound_us)
            sys_fail(world, SYS_CHECK_ANSWERED, "%s is behind its cluster %llu ms after everything had healed", sys_end_name(world, who, name),
                     2 * (unsigned long long)bound_us / 1000);
        sys_world_run_ms(world, LIVENESS_STEP_MS);
    }
    while (!sys_address_settled(world)) sys_world_run_ms(world, LIVENESS_STEP_MS); /* what takes too long is a violation there */
    sys_world_run_ms(world, QUIET_MS);
    world->stats->simulated_ms += world->now_us / 1000;
    sys_check_end(world);
}

static void safety(struct sys_world *world) {
    while (world->stats->events < world->config.events && sys_world_step(world)) continue;
}

struct sys_world *sys_world_walk(struct sys_world *world) {
    safety(world);
    if (sys_succession_due(world)) {
        world = sys_succession(world);
        safety(world);
    }
    liveness(world);
    return world;
}
