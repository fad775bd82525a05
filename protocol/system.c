/* The system file's binary form, rules, lookups, and the genesis CONFIGs that follow from it (S-20 to S-33). */
#include "protocol/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/admin_op.h"
#include "protocol/canonical.h"

static uint32_t clusters_count(const struct system *system) { return system->coordinators_count + system->shards_count; }

/* ---- binary form ---- */

static size_t binary_bytes_max(const struct system *system) {
    size_t bytes = 76 + CONFIG_LIMITS_BYTES + CONFIG_TIMEOUTS_BYTES + 4 + (size_t)system->admins_count * CARD_ADMIN_PROVEN_BYTES + 12;
    for (uint32_t i = 0; i < clusters_count(system); i++) bytes += 48 + (size_t)system->clusters[i].nodes_count * CARD_NODE_PROVEN_BYTES;
    for (uint32_t i = 0; i < system->clients_count; i++) {
        bytes += CARD_CLIENT_PROVEN_BYTES + 12 + (size_t)system->clients[i].rights_count * (4 + SYSTEM_RIGHT_PREFIX_MAX);
    }
    return bytes;
}

static void cards_encode(struct bytes_writer *writer, const struct card *cards, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint8_t bytes[CARD_PROVEN_BYTES_MAX];
        size_t card_size = card_encode_proven(&cards[i], bytes);
        bytes_put_raw(writer, bytes, card_size);
    }
}

static void rows_encode(struct bytes_writer *writer, const void *base, const struct system_limit_row *rows, size_t count, enum config_leaf leaf) {
    bytes_put_u8(writer, (uint8_t)(leaf + 1));
    bytes_put_u16(writer, (uint16_t)count);
    for (size_t i = 0; i < count; i++) bytes_put_u64(writer, system_limit_get(base, &rows[i]));
}

uint8_t *system_encode_binary(const struct system *system, size_t *bytes) {
    size_t room = binary_bytes_max(system);
    uint8_t *out = malloc(room);
    if (!out) return NULL;
    struct bytes_writer writer = bytes_writer_of(out, room);
    uint8_t name[SYSTEM_NAME_BYTES_MAX] = {0};
    memcpy(name, system->name, strnlen(system->name, sizeof name));
    bytes_put_u32(&writer, SYSTEM_FORMAT);
    bytes_put_u32(&writer, system->protocol_version);
    bytes_put_u16(&writer, system->succession);
    bytes_put_u16(&writer, 0);
    bytes_put_raw(&writer, system->predecessor_id, 16);
    bytes_put_raw(&writer, system->partition_key, 16);
    bytes_put_raw(&writer, name, sizeof name);
    rows_encode(&writer, &system->limits, system_limit_rows, SYSTEM_LIMITS_COUNT, CONFIG_LEAF_LIMITS);
    rows_encode(&writer, &system->timeouts, system_timeout_rows, SYSTEM_TIMEOUTS_COUNT, CONFIG_LEAF_TIMEOUTS);
    bytes_put_u8(&writer, (uint8_t)system->admins_needed);
    bytes_put_u8(&writer, (uint8_t)system->admins_count);
    bytes_put_u16(&writer, 0);
    cards_encode(&writer, system->admins, system->admins_count);
    bytes_put_u32(&writer, system->coordinators_count);
    bytes_put_u32(&writer, system->shards_count);
    for (uint32_t i = 0; i < clusters_count(system); i++) {
        const struct system_cluster *cluster = &system->clusters[i];
        bytes_put_u32(&writer, cluster->cluster);
        bytes_put_u32(&writer, cluster->nodes_count);
        bytes_put_u64(&writer, cluster->origin_height);
        bytes_put_hash(&writer, cluster->origin_root);
        cards_encode(&writer, cluster->nodes, cluster->nodes_count);
    }
    bytes_put_u32(&writer, system->clients_count);
    for (uint32_t i = 0; i < system->clients_count; i++) {
        const struct system_client *client = &system->clients[i];
        uint8_t rights[8 + ADMIN_OP_RIGHTS_BYTES_MAX];
        cards_encode(&writer, &client->card, 1);
        size_t count = admin_op_rights_encode(client->quota_per_second, client->quota_burst, client->rights, client->rights_count, rights);
        bytes_put_raw(&writer, rights, count);
    }
    CHECK(!writer.failed);
    *bytes = writer.used;
    return out;
}

bool system_identify(struct system *system) {
    size_t count = 0;
    uint8_t *bytes = system_encode_binary(system, &count);
    if (!bytes) return false;
    SHA256_PREFIXED(system->file_hash, HASH_SYSTEM, {bytes, count});
    memcpy(system->system_id, system->file_hash, sizeof system->system_id);
    free(bytes);
    return true;
}

/* ---- no key and no name twice ---- */

/* One key or name and where it stands; `list` 0 administrators, 1 coordinators, 2 shards, 3 clients. */
struct place {
    uint8_t value[CARD_NAME_BYTES_MAX + 1];
    uint8_t list;
    bool owner; /* an owner's key may be that of several nodes */
    uint32_t cluster, index;
    const char *field;
};

static int place_compare(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    int order = memcmp(x->value, y->value, sizeof x->value);
    if (order != 0) return order;
    if (x->list != y->list) return x->list < y->list ? -1 : 1;
    if (x->cluster != y->cluster) return x->cluster < y->cluster ? -1 : 1;
    if (x->index != y->index) return x->index < y->index ? -1 : 1;
    return strcmp(x->field, y->field);
}

static void place_print(const struct place *place, char *out, size_t room) {
    if (place->list == 0) (void)snprintf(out, room, "administrators.cards[%u].%s", place->index, place->field);
    else if (place->list == 3) (void)snprintf(out, room, "clients[%u].card.%s", place->index, place->field);
    else (void)snprintf(out, room, "%s[%u].nodes[%u].%s", place->list == 1 ? "coordinators" : "shards", place->cluster, place->index, place->field);
}

struct places {
    struct place *keys, *names;
    size_t keys_count, names_count;
};

static void place_add(struct place *place, const struct place *base, const void *value, size_t count, const char *field, bool owner) {
    *place = *base;
    memset(place->value, 0, sizeof place->value);
    memcpy(place->value, value, count);
    place->field = field;
    place->owner = owner;
}

static void places_add_card(struct places *places, const struct card *card, uint8_t list, uint32_t cluster, uint32_t index) {
    struct place base = {.list = list, .cluster = cluster, .index = index};
    place_add(&places->keys[places->keys_count++], &base, card->signing_key, 32, "signing_key", false);
    if (card->kind != CARD_ADMIN) {
        place_add(&places->keys[places->keys_count++], &base, card->noise_key, 32, "noise_key", false);
        place_add(&places->keys[places->keys_count++], &base, card->noise_proof_key, 32, "noise_proof_key", false);
    }
    if (card->kind == CARD_NODE) place_add(&places->keys[places->keys_count++], &base, card->owner_key, 32, "owner_key", true);
    place_add(&places->names[places->names_count++], &base, card->name, strlen(card->name), "name", false);
}

static enum system_error places_check(struct places *places, struct system_fault *fault) {
    char first[96], second[96];
    if (places->keys_count > 1) qsort(places->keys, places->keys_count, sizeof places->keys[0], place_compare);
    for (size_t i = 1; i < places->keys_count; i++) {
        const struct place *a = &places->keys[i - 1], *b = &places->keys[i];
        if (memcmp(a->value, b->value, sizeof a->value) != 0 || (a->owner && b->owner)) continue;
        place_print(a, first, sizeof first);
        place_print(b, second, sizeof second);
        return system_fault_set(fault, SYSTEM_KEY_TWICE, "%s and %s are one key", first, second);
    }
    if (places->names_count > 1) qsort(places->names, places->names_count, sizeof places->names[0], place_compare);
    for (size_t i = 1; i < places->names_count; i++) {
        const struct place *a = &places->names[i - 1], *b = &places->names[i];
        if (memcmp(a->value, b->value, sizeof a->value) != 0) continue;
        bool both_nodes = (a->list == 1 || a->list == 2) && (b->list == 1 || b->list == 2);
        if (a->list != b->list && !both_nodes) continue;
        place_print(a, first, sizeof first);
        place_print(b, second, sizeof second);
        return system_fault_set(fault, SYSTEM_NAME_TWICE, "%s and %s are one name", first, second);
    }
    return SYSTEM_OK;
}

static enum system_error unique_check(const struct system *system, struct system_fault *fault) {
    size_t cards = system->admins_count + (size_t)system->clients_count;
    for (uint32_t i = 0; i < clusters_count(system); i++) cards += system->clusters[i].nodes_count;
    struct places places = {.keys = calloc(4 * cards + 1, sizeof *places.keys), .names = calloc(cards + 1, sizeof *places.names)};
    enum system_error error = SYSTEM_OK;
    if (!places.keys || !places.names) {
        error = system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
        goto out;
    }
    for (uint32_t i = 0; i < system->admins_count; i++) places_add_card(&places, &system->admins[i], 0, 0, i);
    for (uint32_t i = 0; i < clusters_count(system); i++) {
        const struct system_cluster *cluster = &system->clusters[i];
        uint8_t list = config_cluster_is_coordinator(cluster->cluster) ? 1 : 2;
        for (uint32_t j = 0; j < cluster->nodes_count; j++) {
            places_add_card(&places, &cluster->nodes[j], list, config_cluster_index(cluster->cluster), j);
        }
    }
    for (uint32_t i = 0; i < system->clients_count; i++) places_add_card(&places, &system->clients[i].card, 3, 0, i);
    error = places_check(&places, fault);
out:
    free(places.keys);
    free(places.names);
    return error;
}

/* ---- rules ---- */

static bool all_zero(const uint8_t *bytes, size_t count) {
    uint8_t sum = 0;
    for (size_t i = 0; i < count; i++) sum |= bytes[i];
    return sum == 0;
}

static enum system_error card_check(const struct card *card, enum card_kind kind, bool verify, const char *path, struct system_fault *fault) {
    if (card->kind != kind) return system_fault_set(fault, SYSTEM_FIELD_RANGE, "%s: another kind of card", path);
    enum system_error error = verify ? card_verify(card, fault) : SYSTEM_OK;
    if (error) system_fault_prefix(fault, path);
    return error;
}

static enum system_error cluster_check(const struct system *system, uint32_t i, bool verify, struct system_fault *fault) {
    char path[CANONICAL_PATH_BYTES];
    const struct system_cluster *cluster = &system->clusters[i];
    bool shard = i >= system->coordinators_count;
    uint32_t index = shard ? i - system->coordinators_count : i;
    const char *list = shard ? "shards" : "coordinators";
    if (cluster->cluster != (shard ? CONFIG_CLUSTER_SHARD : CONFIG_CLUSTER_COORDINATOR) + index) {
        return system_fault_set(fault, SYSTEM_ORDER, "%s[%u]: is not in its place", list, index);
    }
    if (cluster->nodes_count < CONFIG_MEMBERS_MIN || cluster->nodes_count > CONFIG_MEMBERS_MAX) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "%s[%u].nodes: %u, must be %d to %d", list, index, cluster->nodes_count,
                                CONFIG_MEMBERS_MIN, CONFIG_MEMBERS_MAX);
    }
    for (uint32_t j = 0; j < cluster->nodes_count; j++) {
        (void)snprintf(path, sizeof path, "%s[%u].nodes[%u]", list, index, j);
        enum system_error error = card_check(&cluster->nodes[j], CARD_NODE, verify, path, fault);
        if (error) return error;
    }
    bool root_zero = all_zero(cluster->origin_root, 32), height_zero = cluster->origin_height == 0;
    bool good = root_zero == height_zero;
    if (system->succession == 0) good = good && root_zero;
    else good = good && (shard ? !root_zero : true) && cluster->origin_height >> 48 < system->succession;
    if (!good) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "%s[%u].origin_height, origin_root: a first system has none, a successor's shards each "
                                "have both, of an earlier system", list, index);
    }
    return SYSTEM_OK;
}

static enum system_error rights_check(const struct system_client *client, uint32_t index, struct system_fault *fault) {
    if (client->rights_count > SYSTEM_RIGHTS_MAX) {
        return system_fault_set(fault, SYSTEM_TOO_LARGE, "clients[%u].rights: more than %d", index, SYSTEM_RIGHTS_MAX);
    }
    if ((client->quota_per_second == 0) != (client->quota_burst == 0)) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "clients[%u].quota_burst: is 0 exactly when quota_per_second is", index);
    }
    for (uint32_t i = 0; i < client->rights_count; i++) {
        const struct system_right *right = &client->rights[i];
        if (right->flags < 1 || right->flags > 3 || right->prefix_bytes > SYSTEM_RIGHT_PREFIX_MAX) {
            return system_fault_set(fault, SYSTEM_FIELD_RANGE, "clients[%u].rights[%u]: must allow r, w or rw for a prefix of at most %d bytes",
                                    index, i, SYSTEM_RIGHT_PREFIX_MAX);
        }
        if (i == 0) continue;
        const struct system_right *last = right - 1;
        size_t common = last->prefix_bytes < right->prefix_bytes ? last->prefix_bytes : right->prefix_bytes;
        int order = memcmp(last->prefix, right->prefix, common);
        if (order < 0 || (order == 0 && last->prefix_bytes < right->prefix_bytes)) continue;
        return system_fault_set(fault, SYSTEM_ORDER, "clients[%u].rights[%u].prefix: must ascend, none twice", index, i);
    }
    return SYSTEM_OK;
}

static enum system_error admins_check(const struct system *system, bool verify, struct system_fault *fault) {
    uint32_t k = system->admins_needed, m = system->admins_count;
    char path[CANONICAL_PATH_BYTES];
    if (m < 1 || m > CONFIG_ADMINS_MAX || k > m || 2 * k <= m) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "administrators.needed: %u of %u: must be more than half, at most all, of 1 to %d", k, m,
                                CONFIG_ADMINS_MAX);
    }
    for (uint32_t i = 0; i < m; i++) {
        enum system_error error = card_check(&system->admins[i], CARD_ADMIN, verify, canonical_path_at(path, "administrators", "cards", i), fault);
        if (error) return error;
        if (i > 0 && memcmp(system->admins[i - 1].signing_key, system->admins[i].signing_key, 32) > 0) {
            return system_fault_set(fault, SYSTEM_ORDER, "%s: administrators must ascend by signing_key", path);
        }
    }
    return SYSTEM_OK;
}

static enum system_error head_check(const struct system *system, struct system_fault *fault) {
    if (!card_name_valid(system->name)) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "name: 1 to %d of a-z 0-9 . - that begin with a letter or digit", SYSTEM_NAME_BYTES_MAX);
    }
    if (system->protocol_version < 1 || system->protocol_version > CONFIG_PROTOCOL_VERSION) {
        return system_fault_set(fault, SYSTEM_FORMAT_UNKNOWN, "protocol_version: %u is unknown to this program, which knows 1 to %d",
                                system->protocol_version, CONFIG_PROTOCOL_VERSION);
    }
    if ((system->succession == 0) != all_zero(system->predecessor_id, 16)) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "predecessor_id: is zero exactly in a first system (succession 0)");
    }
    if (system->coordinators_count < 1 || system->coordinators_count > SYSTEM_CLUSTERS_MAX || system->shards_count < 1 ||
        system->shards_count > SYSTEM_CLUSTERS_MAX) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "coordinators, shards: 1 to %d clusters of each sort", SYSTEM_CLUSTERS_MAX);
    }
    if (system->clients_count > SYSTEM_CLIENTS_MAX) {
        return system_fault_set(fault, SYSTEM_TOO_LARGE, "clients: at most %d in the file", SYSTEM_CLIENTS_MAX);
    }
    if (system->clients_count > system->limits.clients_max) {
        return system_fault_set(fault, SYSTEM_LIMITS_CONFLICT, "clients: more than limits.clients_max");
    }
    return SYSTEM_OK;
}

enum system_error system_check(const struct system *system, bool verify_cards, struct system_fault *fault) {
    char path[CANONICAL_PATH_BYTES];
    enum system_error error = system_limits_check(&system->limits, fault);
    if (!error) error = system_timeouts_check(&system->timeouts, fault);
    if (!error) error = head_check(system, fault);
    if (!error) error = admins_check(system, verify_cards, fault);
    for (uint32_t i = 0; i < clusters_count(system) && !error; i++) error = cluster_check(system, i, verify_cards, fault);
    for (uint32_t i = 0; i < system->clients_count && !error; i++) {
        (void)snprintf(path, sizeof path, "clients[%u].card", i);
        error = card_check(&system->clients[i].card, CARD_CLIENT, verify_cards, path, fault);
        if (!error) error = rights_check(&system->clients[i], i, fault);
        if (!error && i > 0 && memcmp(system->clients[i - 1].card.id, system->clients[i].card.id, 32) > 0) {
            error = system_fault_set(fault, SYSTEM_ORDER, "clients[%u]: clients must ascend by card id", i);
        }
    }
    return error ? error : unique_check(system, fault);
}

/* ---- lookups ---- */

const struct system_cluster *system_cluster_by_id(const struct system *system, uint32_t cluster) {
    uint32_t index = config_cluster_index(cluster);
    if (config_cluster_is_coordinator(cluster) && index < system->coordinators_count) return &system->clusters[index];
    if (config_cluster_is_shard(cluster) && index < system->shards_count) return &system->clusters[system->coordinators_count + index];
    return NULL;
}

/* The node whose card has these bytes at `offset`. */
static const struct card *node_find(const struct system *system, const void *bytes, size_t count, size_t offset, uint32_t *cluster,
                                    uint32_t *member) {
    for (uint32_t i = 0; i < clusters_count(system); i++) {
        for (uint32_t j = 0; j < system->clusters[i].nodes_count; j++) {
            const struct card *node = &system->clusters[i].nodes[j];
            if (memcmp((const uint8_t *)node + offset, bytes, count) != 0) continue;
            if (cluster) *cluster = system->clusters[i].cluster;
            if (member) *member = j;
            return node;
        }
    }
    return NULL;
}

const struct card *system_node_by_noise_key(const struct system *system, const uint8_t key[32], uint32_t *cluster, uint32_t *member) {
    return node_find(system, key, 32, offsetof(struct card, noise_key), cluster, member);
}

const struct card *system_node_by_signing_key(const struct system *system, const uint8_t key[32], uint32_t *cluster, uint32_t *member) {
    return node_find(system, key, 32, offsetof(struct card, signing_key), cluster, member);
}

const struct card *system_node_by_id(const struct system *system, const uint8_t node_id[32], uint32_t *cluster, uint32_t *member) {
    return node_find(system, node_id, 32, offsetof(struct card, id), cluster, member);
}

const struct card *system_node_by_name(const struct system *system, const char *name, uint32_t *cluster, uint32_t *member) {
    size_t count = strnlen(name, CARD_NAME_BYTES_MAX + 1);
    if (count > CARD_NAME_BYTES_MAX) return NULL;
    return node_find(system, name, count + 1, offsetof(struct card, name), cluster, member);
}

const struct system_client *system_client_by_id(const struct system *system, const uint8_t client_id[32]) {
    uint32_t low = 0, high = system->clients_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = memcmp(system->clients[middle].card.id, client_id, 32);
        if (order == 0) return &system->clients[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

const struct system_client *system_client_by_noise_key(const struct system *system, const uint8_t key[32]) {
    for (uint32_t i = 0; i < system->clients_count; i++) {
        if (memcmp(system->clients[i].card.noise_key, key, 32) == 0) return &system->clients[i];
    }
    return NULL;
}

bool system_config(const struct system *system, uint32_t cluster_id, struct config *config) {
    const struct system_cluster *cluster = system_cluster_by_id(system, cluster_id);
    memset(config, 0, sizeof *config);
    if (!cluster) return false;
    config->members.cluster = cluster_id;
    config->members.count = cluster->nodes_count;
    for (uint32_t i = 0; i < cluster->nodes_count; i++) {
        memcpy(config->members.members[i].node_id, cluster->nodes[i].id, 32);
        memcpy(config->members.members[i].signing_key, cluster->nodes[i].signing_key, 32);
        memcpy(config->members.members[i].noise_key, cluster->nodes[i].noise_key, 32);
    }
    config->admins_needed = system->admins_needed;
    config->admins_count = system->admins_count;
    for (uint32_t i = 0; i < system->admins_count; i++) {
        memcpy(config->admins[i].admin_id, system->admins[i].id, 32);
        memcpy(config->admins[i].key, system->admins[i].signing_key, 32);
    }
    for (size_t i = 0; i < SYSTEM_LIMITS_COUNT; i++) {
        system_limit_set(&config->limits, &system_limit_rows[i], system_limit_get(&system->limits, &system_limit_rows[i]));
    }
    for (size_t i = 0; i < SYSTEM_TIMEOUTS_COUNT; i++) {
        system_limit_set(&config->timeouts, &system_timeout_rows[i], system_limit_get(&system->timeouts, &system_timeout_rows[i]));
    }
    config->protocol_version = system->protocol_version;
    memcpy(config->system_id, system->system_id, 16);
    memcpy(config->partition_key, system->partition_key, 16);
    config->succession = system->succession;
    config->coordinators = (uint16_t)system->coordinators_count;
    config->shards = (uint16_t)system->shards_count;
    return true;
}

bool system_config_hash(const struct system *system, uint32_t cluster, uint8_t out[32]) {
    struct config config;
    if (!system_config(system, cluster, &config)) return false;
    config_hash(&config, out);
    return true;
}

bool system_rights_allow(const struct system_right *rights, uint32_t rights_count, uint8_t flags, const uint8_t *key, size_t key_bytes) {
    uint8_t granted = 0;
    for (uint32_t i = 0; i < rights_count; i++) {
        const struct system_right *right = &rights[i];
        if (right->prefix_bytes > key_bytes || (right->prefix_bytes > 0 && memcmp(right->prefix, key, right->prefix_bytes) != 0)) continue;
        granted = (uint8_t)(granted | right->flags);
    }
    return (granted & flags) == flags;
}
