/* The system file, all keys and the members of each cluster, from the walk's configuration (tests/sim/sys.h). */
#include "protocol/batch.h"
#include "tests/sim/sys.h"

static void fill(struct sys_world *world, uint8_t *out, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) out[i] = (uint8_t)sys_random(world, 256);
}

/* ---- keys ---- */

static void key_sign(void *context, const uint8_t *bytes, size_t count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    struct sys_key *key = context;
    struct sys_world *world = key->world;
    if (key->node < SYS_NODES_MAX) sys_check_signed(world, key->node, bytes, count);
    if (world->config.real_keys) {
        ed25519_sign(&key->secret, bytes, count, signature);
        return;
    }
    struct signer signer = keyed_signer_of(&key->keyed);
    signer.sign(signer.context, bytes, count, signature);
}

struct signer sys_signer(struct sys_world *world, struct sys_key *key) {
    struct signer signer = world->verifier;
    signer.context = key;
    signer.sign = key_sign;
    return signer;
}

static void key_make(struct sys_world *world, struct sys_key *key, uint32_t node, uint64_t number) {
    key->world = world;
    key->node = (uint8_t)node;
    if (world->config.real_keys) {
        uint8_t seed[ED25519_SEED_BYTES];
        fill(world, seed, sizeof seed);
        bool locked = ed25519_secret_init(&key->secret, seed);
        (void)locked; /* in memory or not: it is a simulated one */
        ed25519_public_key(&key->secret, key->public_key);
        return;
    }
    keyed_signer_init(&key->keyed, number);
    memcpy(key->public_key, key->keyed.public_key, 32);
}

/* ---- cards ---- */

static void card_make(struct sys_world *world, struct card *card, enum card_kind kind, const uint8_t *signing_key, const char *name) {
    *card = (struct card){.kind = kind};
    snprintf(card->name, sizeof card->name, "%s", name);
    if (signing_key != NULL)
        memcpy(card->signing_key, signing_key, 32);
    else
        fill(world, card->signing_key, 32);
    if (kind != CARD_ADMIN) fill(world, card->noise_key, 32);
    card_identify(card);
}

const char *sys_end_name(const struct sys_world *world, uint32_t end, char out[SYS_NAME_BYTES]) {
    if (end >= world->node_count) {
        snprintf(out, SYS_NAME_BYTES, "client%u", end - world->node_count);
        return out;
    }
    const struct sys_node *node = &world->nodes[end];
    uint32_t cluster = node->cluster_index, shard = cluster - world->config.coordinators;
    bool coordinator = cluster < world->config.coordinators;
    snprintf(out, SYS_NAME_BYTES, "%c%u-%c%u", coordinator ? 'c' : 's', coordinator ? cluster : shard, node->spare ? 'x' : 'n',
             node->spare ? end - world->genesis_count : node->member);
    return out;
}

uint32_t sys_cluster_index(const struct sys_world *world, uint32_t cluster) {
    return cluster >= SHARD_CLUSTER_BASE ? world->config.coordinators + (cluster - SHARD_CLUSTER_BASE) : cluster - COORDINATOR_CLUSTER_BASE;
}

/* ---- the system ---- */

enum { NODE_KEYS = 10000 }; /* of a system; clients' have numbers of their own */

static int client_compare(const void *a, const void *b) {
    return memcmp(((const struct system_client *)a)->card.id, ((const struct system_client *)b)->card.id, 32);
}

static void limits(struct sys_world *world, struct system *system) {
    static const uint32_t windows[] = {1, 2, 4, 4, 8, 16}, dues[] = {1, 10, 10, 50};
    const struct sys_config *config = &world->config;
    system_limits_default(&system->limits);
    system_timeouts_default(&system->timeouts);
    system->limits.table_keys_max = 1 << 14;
    system->limits.table_bytes_max = 1 << 24;
    system->limits.clients_max = 64;
    system->limits.checkpoint_blocks = config->checkpoint_blocks;
    system->limits.answer_blocks_kept = 256;
    system->limits.window_blocks = windows[sys_random(world, 6)];
    if (system->limits.window_blocks > config->checkpoint_blocks / 4) system->limits.window_blocks = config->checkpoint_blocks / 4;
    system->limits.rotation_blocks = sys_chance(world, 300000) ? 16 + (uint32_t)sys_random(world, 100) : 10000;
    if (config->rotation_blocks > 0) system->limits.rotation_blocks = config->rotation_blocks;
    system->limits.queue_policy = sys_chance(world, 150000) ? 1 : 0;
    system->timeouts.due_ms = dues[sys_random(world, 4)];
    system->timeouts.view_base_ms = config->view_base_ms;
    system->timeouts.view_max_ms = 4 * config->view_base_ms < 1000 ? 1000 : 4 * config->view_base_ms;
    struct system_fault fault;
    CHECK(system_limits_check(&system->limits, &fault) == SYSTEM_OK && system_timeouts_check(&system->timeouts, &fault) == SYSTEM_OK);
}

static void cluster_make(struct sys_world *world, struct system_cluster *of_system, uint32_t index) {
    const struct sys_config *config = &world->config;
    struct sys_cluster *cluster = &world->clusters[index];
    bool coordinator = index < config->coordinators;
    cluster->cluster = coordinator ? (uint32_t)COORDINATOR_CLUSTER_BASE + index : (uint32_t)SHARD_CLUSTER_BASE + (index - config->coordinators);
    cluster->first = world->node_count;
    cluster->base = cluster->height = system_genesis_height(world->system);
    cluster->n = config->n;
    cluster->f = bft_faults(config->n);
    struct card *cards = calloc(cluster->n, sizeof *cards);
    CHECK(cards != NULL);
    for (uint32_t member = 0; member < cluster->n; member++) {
        uint32_t at = world->node_count++;
        struct sys_node *node = &world->nodes[at];
        char name[SYS_NAME_BYTES];
        node->cluster_index = index;
        node->cluster = cluster->cluster;
        node->member = member;
        node->card = &cards[member];
        key_make(world, &node->key, at, 1 + at + NODE_KEYS * (uint64_t)world->system->succession); /* no key of a node is used again */
        card_make(world, &cards[member], CARD_NODE, node->key.public_key, sys_end_name(world, at, name));
        int64_t apart_ms = config->quiet_faults ? 400 : 2000; /* B-24 wants calendars less than 1000 ms apart, or views are lost */
        node->wall_offset_ms = (int64_t)sys_random(world, (uint64_t)apart_ms) - apart_ms / 2;
    }
    *of_system = (struct system_cluster){.cluster = cluster->cluster, .nodes_count = cluster->n, .nodes = cards};
    if (world->origin != NULL) sys_succession_cluster(world, index, of_system);
}

static void clients_make(struct sys_world *world, struct system *system) {
    static const struct system_right all = {.flags = SYSTEM_RIGHT_READ | SYSTEM_RIGHT_WRITE};
    uint32_t count = world->config.clients + world->config.hostile + 1; /* the last by index is the administrators' */
    struct system_client *clients = calloc(count, sizeof *clients);
    struct sys_key keys[SYS_CLIENTS_MAX];
    CHECK(clients != NULL && count <= SYS_CLIENTS_MAX);
    memset(keys, 0, sizeof keys);
    for (uint32_t i = 0; i < count; i++) {
        key_make(world, &keys[i], SYS_NODES_MAX + i, 1000 + i);
        card_make(world, &clients[i].card, CARD_CLIENT, keys[i].public_key, "client");
        clients[i].rights_count = 1;
        clients[i].rights = &all;
    }
    qsort(clients, count, sizeof *clients, client_compare);
    for (uint32_t i = 0; i < count; i++) { /* each client's key stands at its index in the system file */
        for (uint32_t k = 0; k < count; k++) {
            if (memcmp(keys[k].public_key, clients[i].card.signing_key, 32) == 0) world->client_keys[i] = keys[k];
        }
    }
    system->clients = clients;
    system->clients_count = count;
}

/* One who never signs anything. */
static void admin_make(struct sys_world *world, struct system *system) {
    struct card *admin = calloc(1, sizeof *admin);
    CHECK(admin != NULL);
    card_make(world, admin, CARD_ADMIN, NULL, "admin");
    system->admins = admin;
    system->admins_needed = system->admins_count = 1;
}

void sys_setup(struct sys_world *world) {
    const struct sys_config *config = &world->config;
    struct system *system = calloc(1, sizeof *system);
    uint32_t clusters = config->coordinators + config->shards;
    struct system_cluster *of_system = calloc(clusters, sizeof *of_system);
    CHECK(system != NULL && of_system != NULL && config->n <= SYS_MEMBERS_MAX && clusters <= SYS_CLUSTERS_MAX);
    if (config->real_keys) CHECK(ed25519_start(NULL));
    world->verifier = config->real_keys ? signer_ed25519(NULL) : keyed_signer_of(NULL);
    world->system = system;
    snprintf(system->name, sizeof system->name, "simulated");
    fill(world, system->system_id, 16);
    fill(world, system->file_hash, 32);
    fill(world, system->partition_key, 16);
    system->protocol_version = 1;
    limits(world, system);
    if (world->origin != NULL) sys_succession_identity(world);
    if (config->faults & (1u << SYS_CONFIG | 1u << SYS_ENROL | 1u << SYS_SEAL | 1u << SYS_BURN)) sys_admin_setup(world);
    else admin_make(world, system);
    system->clusters = of_system;
    system->coordinators_count = config->coordinators;
    system->shards_count = config->shards;
    for (uint32_t i = 0; i < clusters; i++) cluster_make(world, &of_system[i], i);
    if (world->origin == NULL) clients_make(world, system);
    world->cluster_count = clusters;
    sys_admin_spares(world);
    world->end_count = world->node_count + config->clients + config->hostile + 1;
    sys_admin_begin(world);
    sys_enrol_begin(world);
    sys_address_begin(world);
}

void sys_setup_free(struct sys_world *world) {
    struct system *system = world->system;
    for (uint32_t i = 0; i < world->cluster_count; i++) free((void *)(uintptr_t)system->clusters[i].nodes);
    free((void *)(uintptr_t)system->clusters);
    if (world->admins == NULL) free((void *)(uintptr_t)system->admins);
    sys_address_free(world);
    sys_enrol_free(world);
    sys_admin_free(world);
    free((void *)(uintptr_t)system->clients);
    free(system);
}
