/* Time, network, faults, blocks: everything that the nodes share (tests/sim/sim.h). */
#include "merkle/sha256.h"
#include "tests/sim/sim.h"

enum { BUCKETS = 1 << 16, CHAIN_ROOM = 1 << 20 };

/* ---- chance ---- */

static uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

/* xoshiro256** */
uint64_t sim_random(struct sim_world *world, uint64_t below) {
    uint64_t *s = world->random;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return below == 0 ? result : result % below;
}

bool sim_chance(struct sim_world *world, uint32_t percent) {
    return sim_random(world, 100) < percent;
}

void sim_trace(struct sim_world *world, uint64_t value) {
    world->trace = rotate(world->trace ^ value * 0x9E3779B97F4A7C15u, 29) * 0xBF58476D1CE4E5B9u;
}

void sim_fail(const struct sim_world *world, const char *what) {
    printf("VIOLATION: %s (seed %llu, event %llu, time %llu us)\n", what, (unsigned long long)world->config.seed,
           (unsigned long long)world->stats.events, (unsigned long long)world->now_us);
    fflush(stdout);
    exit(1);
}

/* ---- the heap of events ---- */

static bool before(const struct sim_event *a, const struct sim_event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->sequence < b->sequence;
}

void sim_schedule(struct sim_world *world, struct sim_event event) {
    event.sequence = world->sequence++;
    if (event.at_us < world->now_us) event.at_us = world->now_us;
    if (world->heap_count == world->heap_room) {
        world->heap_room = world->heap_room * 2 + 1024;
        world->heap = realloc(world->heap, world->heap_room * sizeof event);
        CHECK(world->heap != NULL);
    }
    size_t at = world->heap_count++;
    while (at > 0 && before(&event, &world->heap[(at - 1) / 2])) {
        world->heap[at] = world->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->heap[at] = event;
}

static struct sim_event heap_pop(struct sim_world *world) {
    struct sim_event top = world->heap[0];
    struct sim_event last = world->heap[--world->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= world->heap_count) break;
        if (child + 1 < world->heap_count && before(&world->heap[child + 1], &world->heap[child])) child++;
        if (!before(&world->heap[child], &last)) break;
        world->heap[at] = world->heap[child];
        at = child;
    }
    world->heap[at] = last;
    return top;
}

/* ---- messages ---- */

struct sim_message *sim_message_new(struct sim_world *world, const struct bft_message *message) {
    struct sim_message *out = world->free_count > 0 ? world->free_messages[--world->free_count] : malloc(sizeof *out);
    CHECK(out != NULL);
    out->refs = 1;
    out->certificate = NULL;
    if (message) out->message = *message;
    return out;
}

void sim_message_release(struct sim_world *world, struct sim_message *message) {
    if (--message->refs > 0) return;
    free(message->certificate);
    message->certificate = NULL;
    if (world->free_count < sizeof world->free_messages / sizeof world->free_messages[0]) world->free_messages[world->free_count++] = message;
    else free(message);
}

static bool cut(const struct sim_world *world, uint8_t a, uint8_t b) {
    if (world->side == 0 || world->healed) return false;
    return ((world->side >> a) & 1) != ((world->side >> b) & 1);
}

void sim_transmit(struct sim_world *world, uint8_t from, uint8_t to, struct sim_message *message) {
    if (from != to && !world->healed && (cut(world, from, to) || sim_chance(world, world->loss_percent))) {
        world->stats.lost++;
        return;
    }
    int copies = from != to && sim_chance(world, world->duplicate_percent) ? 2 : 1;
    world->stats.duplicated += (uint64_t)(copies - 1);
    for (int i = 0; i < copies; i++) {
        uint64_t delay = from == to ? 0 : 300 + sim_random(world, 2000);
        if (from != to && !world->healed && !world->config.calm && sim_chance(world, 3)) {
            delay += sim_random(world, (uint64_t)world->delay_ms_max * 1000 + 1);
            world->stats.delayed++;
        }
        message->refs++;
        sim_schedule(world, (struct sim_event){.at_us = world->now_us + delay, .kind = SIM_DELIVER, .node = to, .from = from,
                                               .generation = world->nodes[to].generation, .message = message});
    }
}

/* ---- blocks ---- */

static uint32_t bucket_of(const struct bft_hash *id) {
    return (uint32_t)id->bytes[0] | (uint32_t)id->bytes[1] << 8;
}

struct sim_block *sim_block_find(struct sim_world *world, const struct bft_hash *id) {
    struct sim_block *block = world->buckets[bucket_of(id)];
    while (block && !bft_hash_equal(&block->id, id)) block = block->next;
    return block;
}

struct sim_block *sim_block_register(struct sim_world *world, const struct bft_header *header, const uint8_t *body, uint32_t body_bytes) {
    struct bft_hash id = bft_header_id(header);
    struct sim_block *block = sim_block_find(world, &id);
    if (block) return block;
    CHECK(body_bytes <= SIM_BODY_MAX);
    block = calloc(1, sizeof *block);
    CHECK(block != NULL);
    block->id = id;
    block->header = *header;
    memcpy(block->body, body, body_bytes);
    block->body_bytes = body_bytes;
    block->next = world->buckets[bucket_of(&id)];
    world->buckets[bucket_of(&id)] = block;
    world->stats.blocks++;
    world->recent[world->recent_count++ % 64] = block;
    return block;
}

static void mix(struct bft_hash *out, char what, const struct bft_hash *a, const uint8_t *bytes, uint32_t count) {
    uint64_t words[4];
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t key;
        memcpy(&key, a->bytes + i * 8, 8);
        words[i] = keyed_siphash(key + (uint64_t)what, i, bytes, count) + key * 3;
    }
    memcpy(out->bytes, words, 32);
}

/* CONFIG: byte 0 is 'C', byte 1 the count, then node numbers. */
static void config_compute(struct sim_world *world, struct sim_block *block) {
    uint32_t n = block->body[1];
    block->valid = block->body_bytes == 32 && n >= BFT_MEMBERS_MIN && n <= SIM_NODES_MAX && block->header.place.epoch + 1 < SIM_EPOCHS_MAX;
    uint32_t seen = 0;
    for (uint32_t i = 0; block->valid && i < n; i++) {
        if (block->body[2 + i] >= world->config.nodes || (seen >> block->body[2 + i] & 1)) block->valid = false;
        seen |= 1u << (block->body[2 + i] % 32);
    }
    if (!block->valid) return;
    struct bft_config_effect *config = &block->config;
    config->kind = BFT_CONFIG_NEXT;
    config->state_root_after = block->root_after;
    config->epoch = block->header.place.epoch + 1;
    config->n = n;
    mix(&config->config_hash, 'c', &block->header.place.config_hash, block->body, block->body_bytes);
    for (uint32_t i = 0; i < n; i++) memcpy(config->keys[i], world->nodes[block->body[2 + i]].key.public_key, 32);
    config->limits = world->limits;
}

void sim_block_compute(struct sim_world *world, struct sim_block *block) {
    if (block->computed) return;
    struct sim_block *parent = sim_block_find(world, &block->header.parent_id);
    CHECK(parent && parent->computed);
    block->computed = true;
    mix(&block->root_after, 'r', &parent->root_after, block->body, block->body_bytes);
    block->outbox_root = bft_outbox_root_empty();
    block->consumed_after = parent->consumed_after;
    bool empty = block->body_bytes == 4 && memcmp(block->body, "\0\0\0\0", 4) == 0;
    if (empty) {
        block->valid = true;
    } else if (block->body[0] == 'C') {
        config_compute(world, block);
    } else {
        block->valid = block->body_bytes == 16 && block->body[0] == 'I' && block->body[1] > 0;
        block->consumed_after += block->body[1];
        mix(&block->outbox_root, 'o', &parent->root_after, block->body, block->body_bytes);
    }
    struct bft_hash cursors = {{1}};
    if (!bft_hash_equal(&block->header.cursors_hash, &cursors)) block->valid = false;
}

/* ---- faults ---- */

static void heal_partition(struct sim_world *world) {
    world->side = 0;
}

static void fault(struct sim_world *world) {
    sim_schedule(world, (struct sim_event){.at_us = world->now_us + 50000 + sim_random(world, 400000), .kind = SIM_FAULT});
    if (world->healed || world->config.calm) return;
    uint64_t what = sim_random(world, 100);
    if (world->side != 0 && world->now_us >= world->heal_us) heal_partition(world);
    if (what < 12 && world->side == 0) {
        world->side = (uint16_t)sim_random(world, 1u << world->config.nodes);
        world->heal_us = world->now_us + sim_random(world, 3000000);
        world->stats.partitions++;
    } else if (what < 45) {
        uint8_t node = (uint8_t)sim_random(world, world->config.nodes);
        if (world->nodes[node].up) sim_node_crash(world, node);
    } else if (what < 50) {
        for (uint8_t i = 0; i < world->config.nodes; i++) {
            if (world->nodes[i].up) sim_node_crash(world, i); /* power loss of all */
        }
    } else if (what < 60) {
        world->loss_percent = (uint32_t)sim_random(world, 30);
    } else if (what < 80) {
        world->loss_percent = 0;
        world->delay_ms_max = 5 + (uint32_t)sim_random(world, 300);
    }
}

static void input(struct sim_world *world) {
    if (world->healed || sim_random(world, 400) != 0) {
        world->input_ms[world->inputs++ % 65536] = world->now_us / 1000;
        for (uint8_t i = 0; i < world->config.nodes; i++) {
            if (world->nodes[i].up) sim_node_wait(world, i);
        }
        sim_schedule(world, (struct sim_event){.at_us = world->now_us + 2000 + sim_random(world, 30000), .kind = SIM_INPUT});
    } else { /* a pause: the cluster goes idle */
        sim_schedule(world, (struct sim_event){.at_us = world->now_us + 3000000, .kind = SIM_INPUT});
    }
}

/* ---- the whole ---- */

static void make_genesis(struct sim_world *world) {
    struct bft_place place = {.cluster = 0x00020000};
    memset(place.system_id, 7, sizeof place.system_id);
    memset(place.config_hash.bytes, 9, 32);
    struct bft_hash root = {{5}};
    struct bft_hash cursors = {{1}};
    struct bft_header header;
    bft_genesis_header(&header, place.system_id, &place.config_hash, place.cluster, 1ull << 48, &root, &cursors);
    static const uint8_t empty[4];
    world->genesis = sim_block_register(world, &header, empty, 4);
    world->genesis->computed = true;
    world->genesis->valid = true;
    world->genesis->root_after = root;
    uint8_t keys[BFT_MEMBERS_MAX][SIGNER_PUBLIC_KEY_BYTES];
    for (uint32_t i = 0; i < world->config.n; i++) memcpy(keys[i], world->nodes[i].key.public_key, 32);
    struct bft_point start = {header.height, world->genesis->id};
    CHECK(bft_members_init(&world->epochs[0], &place, &start, world->config.n, (const uint8_t(*)[SIGNER_PUBLIC_KEY_BYTES])keys));
}

void sim_world_init(struct sim_world *world, const struct sim_config *config) {
    memset(world, 0, sizeof *world);
    world->config = *config;
    for (uint64_t i = 0; i < 4; i++) world->random[i] = keyed_siphash(config->seed, i, "sim", 3);
    world->nodes = calloc(config->nodes, sizeof *world->nodes);
    world->buckets = calloc(BUCKETS, sizeof *world->buckets);
    world->chain = calloc(CHAIN_ROOM, sizeof *world->chain);
    CHECK(world->nodes && world->buckets && world->chain);
    world->verifier = keyed_signer_of(NULL);
    world->limits = (struct bft_limits){.window_blocks = 1 + (uint32_t)sim_random(world, 6), .rotation_blocks = (uint32_t)config->rotation_blocks,
                                        .view_base_ms = 200, .view_max_ms = 10000, .input_relay_ms = 200, .throughput_window_ms = 1000,
                                        .throughput_half_life_ms = 60000, .throughput_percent = 35};
    world->delay_ms_max = 50;
    world->duplicate_percent = config->calm ? 0 : 2;
    for (uint8_t i = 0; i < config->nodes; i++) {
        keyed_signer_init(&world->nodes[i].key, 1000 + i);
        world->nodes[i].first_start = true;
        world->nodes[i].skew_ms = sim_random(world, 100000);
    }
    /* Liars are members of the first epoch; CONFIGs never remove one, so there are never more than f of them. */
    for (uint32_t i = 0; i < config->liars; i++) world->nodes[(i * 2 + config->seed) % config->n].liar = true;
    make_genesis(world);
    sim_check_reset();
    for (uint8_t i = 0; i < config->nodes; i++) sim_node_start(world, i);
    sim_schedule(world, (struct sim_event){.at_us = 100000, .kind = SIM_FAULT});
    sim_schedule(world, (struct sim_event){.at_us = 10000, .kind = SIM_INPUT});
    for (uint8_t i = 0; i < config->nodes; i++) {
        if (world->nodes[i].liar) sim_schedule(world, (struct sim_event){.at_us = 5000, .kind = SIM_LIE, .node = i});
    }
}

static void one_event(struct sim_world *world) {
    CHECK(world->heap_count > 0);
    struct sim_event event = heap_pop(world);
    world->now_us = event.at_us;
    if (event.kind == SIM_FAULT) {
        fault(world);
    } else if (event.kind == SIM_INPUT) {
        input(world);
    } else if (event.kind == SIM_LIE) {
        sim_schedule(world, (struct sim_event){.at_us = world->now_us + 2000 + sim_random(world, 60000), .kind = SIM_LIE, .node = event.node});
        sim_liar_acts(world, event.node);
    } else {
        sim_node_event(world, &event);
    }
    if (event.message) sim_message_release(world, event.message);
    world->stats.events++;
    sim_trace(world, event.at_us ^ (uint64_t)event.kind << 56 ^ (uint64_t)event.node << 48);
}

void sim_world_run(struct sim_world *world, uint64_t events) {
    uint64_t end = world->stats.events + events;
    while (world->stats.events < end) one_event(world);
}

static void describe(const struct sim_world *world) {
    uint64_t base = world->genesis->header.height;
    for (uint8_t i = 0; i < world->config.nodes; i++) {
        const struct sim_node *node = &world->nodes[i];
        const struct bft_core *core = &node->core;
        printf("node %u%s up %d me %u epoch %llu view %llu leader %u timed-out %d voting %d final %llu applied %llu first %llu base %llu tc %u "
               "prepared %llu/%llu high %llu/%llu executing %d pending-qc %llu waiting %u\n", i, node->liar ? " (liar)" : "", node->up, core->me,
               (unsigned long long)core->members.place.epoch, (unsigned long long)core->memory.view, bft_leader(&core->members, core->memory.view),
               core->memory.timed_out, core->voting, (unsigned long long)(core->final.height - base),
               (unsigned long long)(core->applied.height - base),
               (unsigned long long)(core->first_height - base), (unsigned long long)(core->base.height - base), core->memory.tc.count,
               (unsigned long long)core->memory.prepared.view, (unsigned long long)(core->memory.prepared.height - base),
               (unsigned long long)core->memory.high_qc.ballot.view, (unsigned long long)(core->memory.high_qc.ballot.height - base),
               core->is_executing, (unsigned long long)(core->pending_qc.count > 0 ? core->pending_qc.ballot.height - base : 0), core->waiting.count);
    }
}

bool sim_world_heal(struct sim_world *world, uint64_t blocks, uint64_t limit_ms) {
    world->healed = true;
    heal_partition(world);
    world->loss_percent = 0;
    world->duplicate_percent = 0;
    for (uint8_t i = 0; i < world->config.nodes; i++) {
        if (!world->nodes[i].up) sim_node_start(world, i);
    }
    uint64_t target = world->chain_height + blocks;
    uint64_t end_us = world->now_us + limit_ms * 1000;
    for (;;) {
        bool all = true;
        for (uint8_t i = 0; i < world->config.nodes; i++) {
            const struct sim_node *node = &world->nodes[i];
            if (!node->liar && node->applied_height < world->genesis->header.height + target) all = false;
        }
        if (all) return true;
        if (world->now_us > end_us) {
            describe(world);
            return false;
        }
        one_event(world);
    }
}

void sim_world_free(struct sim_world *world) {
    while (world->heap_count > 0) {
        struct sim_event event = heap_pop(world);
        if (event.message) sim_message_release(world, event.message);
    }
    for (uint8_t i = 0; i < world->config.nodes; i++) {
        struct sim_node *node = &world->nodes[i];
        if (node->up) sim_node_crash(world, i);
        for (uint32_t k = 0; k < SIM_FINALS; k++) free(node->finals[k].certificate);
        for (uint32_t k = 0; k < SIM_EPOCHS_MAX; k++) free(node->epoch_ends[k].certificate);
    }
    while (world->heap_count > 0) (void)heap_pop(world);
    while (world->free_count > 0) free(world->free_messages[--world->free_count]);
    for (uint32_t b = 0; b < BUCKETS; b++) {
        while (world->buckets[b]) {
            struct sim_block *next = world->buckets[b]->next;
            free(world->buckets[b]);
            world->buckets[b] = next;
        }
    }
    free(world->buckets);
    free(world->chain);
    free(world->nodes);
    free(world->heap);
}
