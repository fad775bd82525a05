/* The system file as canonical JSON: reading, writing (S-20 to S-33). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/canonical.h"
#include "protocol/system.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* What system_free() releases; `system` comes first, so that a pointer to it is one to all. */
struct owned {
    struct system system;
    struct card *admins;
    struct system_cluster *clusters;
    struct card *nodes;
    struct system_client *clients;
    struct system_right *rights;
};

void system_free(struct system *system) {
    struct owned *owned = (struct owned *)system;
    if (!owned) return;
    free(owned->admins);
    free(owned->clusters);
    free(owned->nodes);
    free(owned->clients);
    free(owned->rights);
    free(owned);
}

/* ---- writing ---- */

static json_t *rows_print(const void *base, const struct system_limit_row *rows, size_t count) {
    json_t *object = json_object();
    bool good = object != NULL;
    for (size_t i = 0; i < count && good; i++) {
        good = json_object_set_new(object, rows[i].name, json_integer((json_int_t)system_limit_get(base, &rows[i]))) == 0;
    }
    if (good) return object;
    json_decref(object);
    return NULL;
}

static json_t *cards_print(const struct card *cards, uint32_t count) {
    json_t *array = json_array();
    bool good = array != NULL;
    for (uint32_t i = 0; i < count && good; i++) good = json_array_append_new(array, card_to_json(&cards[i])) == 0;
    if (good) return array;
    json_decref(array);
    return NULL;
}

static json_t *clusters_print(const struct system_cluster *clusters, uint32_t count) {
    json_t *array = json_array();
    bool good = array != NULL;
    for (uint32_t i = 0; i < count && good; i++) {
        json_t *object = json_object();
        good = json_object_set_new(object, "nodes", cards_print(clusters[i].nodes, clusters[i].nodes_count)) == 0;
        good = good && json_object_set_new(object, "origin_height", canonical_decimal(clusters[i].origin_height)) == 0;
        good = good && json_object_set_new(object, "origin_root", canonical_hex(clusters[i].origin_root, 32)) == 0;
        if (!good) json_decref(object);
        else good = json_array_append_new(array, object) == 0;
    }
    if (good) return array;
    json_decref(array);
    return NULL;
}

static json_t *client_print(const struct system_client *client) {
    static const char *const allow_names[4] = {"", "r", "w", "rw"};
    json_t *object = json_object(), *rights = json_array();
    bool good = object && rights;
    for (uint32_t i = 0; i < client->rights_count && good; i++) {
        const struct system_right *right = &client->rights[i];
        json_t *rule = json_object();
        CHECK(right->flags >= 1 && right->flags <= 3);
        good = json_object_set_new(rule, "allow", json_string(allow_names[right->flags])) == 0;
        good = good && json_object_set_new(rule, "prefix", canonical_hex(right->prefix, right->prefix_bytes)) == 0;
        if (!good) json_decref(rule);
        else good = json_array_append_new(rights, rule) == 0;
    }
    good = good && json_object_set_new(object, "card", card_to_json(&client->card)) == 0;
    good = good && json_object_set_new(object, "quota_burst", json_integer(client->quota_burst)) == 0;
    good = good && json_object_set_new(object, "quota_per_second", json_integer(client->quota_per_second)) == 0;
    good = good && json_object_set(object, "rights", rights) == 0;
    json_decref(rights);
    if (good) return object;
    json_decref(object);
    return NULL;
}

static json_t *system_print(const struct system *system) {
    json_t *object = json_object(), *admins = json_object(), *clients = json_array();
    bool good = object && admins && clients;
    good = good && json_object_set_new(admins, "cards", cards_print(system->admins, system->admins_count)) == 0;
    good = good && json_object_set_new(admins, "needed", json_integer(system->admins_needed)) == 0;
    for (uint32_t i = 0; i < system->clients_count && good; i++) good = json_array_append_new(clients, client_print(&system->clients[i])) == 0;
    good = good && json_object_set(object, "administrators", admins) == 0;
    good = good && json_object_set(object, "clients", clients) == 0;
    good = good && json_object_set_new(object, "coordinators", clusters_print(system->clusters, system->coordinators_count)) == 0;
    good = good && json_object_set_new(object, "format", json_integer(SYSTEM_FORMAT)) == 0;
    good = good && json_object_set_new(object, "limits", rows_print(&system->limits, system_limit_rows, SYSTEM_LIMITS_COUNT)) == 0;
    good = good && json_object_set_new(object, "name", json_string(system->name)) == 0;
    good = good && json_object_set_new(object, "partition_key", canonical_hex(system->partition_key, 16)) == 0;
    good = good && json_object_set_new(object, "predecessor_id", canonical_hex(system->predecessor_id, 16)) == 0;
    good = good && json_object_set_new(object, "protocol_version", json_integer(system->protocol_version)) == 0;
    good = good && json_object_set_new(object, "shards", clusters_print(system->clusters + system->coordinators_count, system->shards_count)) == 0;
    good = good && json_object_set_new(object, "succession", json_integer(system->succession)) == 0;
    good = good && json_object_set_new(object, "system_id", canonical_hex(system->system_id, 16)) == 0;
    good = good && json_object_set_new(object, "timeouts", rows_print(&system->timeouts, system_timeout_rows, SYSTEM_TIMEOUTS_COUNT)) == 0;
    json_decref(admins);
    json_decref(clients);
    if (good) return object;
    json_decref(object);
    return NULL;
}

char *system_encode_json(const struct system *system, size_t *text_bytes) {
    json_t *object = system_print(system);
    char *text = object ? canonical_print(object, text_bytes) : NULL;
    json_decref(object);
    return text;
}

/* ---- reading ---- */

static enum system_error rows_read(void *base, const struct system_limit_row *rows, size_t count, const json_t *object, const char *list,
                                   struct system_fault *fault) {
    const char *names[SYSTEM_LIMITS_COUNT + SYSTEM_TIMEOUTS_COUNT] = {NULL};
    CHECK(count <= COUNT_OF(names));
    for (size_t i = 0; i < count; i++) names[i] = rows[i].name;
    enum system_error error = canonical_names(object, list, names, count, fault);
    for (size_t i = 0; i < count && !error; i++) {
        uint64_t value = 0;
        error = canonical_get_u64(object, list, rows[i].name, rows[i].lowest, rows[i].highest, &value, fault);
        if (!error) system_limit_set(base, &rows[i], value);
    }
    return error;
}

static enum system_error cluster_read(struct system_cluster *cluster, struct card *nodes, const json_t *object, const char *path,
                                      struct system_fault *fault) {
    static const char *const names[] = {"nodes", "origin_height", "origin_root"};
    char where[CANONICAL_PATH_BYTES];
    const json_t *cards;
    enum system_error error = canonical_names(object, path, names, COUNT_OF(names), fault);
    if (error) return error;
    error = canonical_get_decimal(object, path, "origin_height", &cluster->origin_height, fault);
    if (error) return error;
    error = canonical_get_hex(object, path, "origin_root", cluster->origin_root, 32, fault);
    if (error) return error;
    error = canonical_get_array(object, path, "nodes", CONFIG_MEMBERS_MIN, CONFIG_MEMBERS_MAX, &cards, fault);
    if (error) return error;
    cluster->nodes = nodes;
    cluster->nodes_count = (uint32_t)json_array_size(cards);
    for (uint32_t i = 0; i < cluster->nodes_count && !error; i++) {
        error = card_from_json(&nodes[i], CARD_NODE, json_array_get(cards, i), canonical_path_at(where, path, "nodes", i), fault);
    }
    return error;
}

static enum system_error right_read(struct system_right *right, const json_t *object, const char *path, struct system_fault *fault) {
    static const char *const names[] = {"allow", "prefix"};
    char where[CANONICAL_PATH_BYTES], allow[4], prefix[2 * SYSTEM_RIGHT_PREFIX_MAX + 1];
    enum system_error error = canonical_names(object, path, names, COUNT_OF(names), fault);
    if (error) return error;
    error = canonical_get_text(object, path, "allow", allow, 2, fault);
    if (error) return error;
    if (strcmp(allow, "r") == 0) right->flags = SYSTEM_RIGHT_READ;
    else if (strcmp(allow, "w") == 0) right->flags = SYSTEM_RIGHT_WRITE;
    else if (strcmp(allow, "rw") == 0) right->flags = SYSTEM_RIGHT_READ | SYSTEM_RIGHT_WRITE;
    else return system_fault_set(fault, SYSTEM_FIELD_RANGE, "%s: must be r, w or rw", canonical_path(where, path, "allow"));
    error = canonical_get_text(object, path, "prefix", prefix, sizeof prefix - 1, fault);
    if (error) return error;
    size_t digits = strlen(prefix);
    if (digits % 2 != 0 || !canonical_hex_parse(prefix, digits, right->prefix, digits / 2)) {
        return system_fault_set(fault, SYSTEM_FIELD_TYPE, "%s: must be lowercase hex", canonical_path(where, path, "prefix"));
    }
    right->prefix_bytes = (uint16_t)(digits / 2);
    return SYSTEM_OK;
}

static enum system_error client_read(struct system_client *client, struct system_right *rights, const json_t *object, const char *path,
                                     struct system_fault *fault) {
    static const char *const names[] = {"card", "quota_burst", "quota_per_second", "rights"};
    char where[CANONICAL_PATH_BYTES];
    const json_t *rules;
    uint64_t burst = 0, per_second = 0;
    enum system_error error = canonical_names(object, path, names, COUNT_OF(names), fault);
    if (error) return error;
    error = card_from_json(&client->card, CARD_CLIENT, json_object_get(object, "card"), canonical_path(where, path, "card"), fault);
    if (error) return error;
    error = canonical_get_u64(object, path, "quota_burst", 0, UINT32_MAX, &burst, fault);
    if (error) return error;
    error = canonical_get_u64(object, path, "quota_per_second", 0, UINT32_MAX, &per_second, fault);
    if (error) return error;
    error = canonical_get_array(object, path, "rights", 0, SYSTEM_RIGHTS_MAX, &rules, fault);
    if (error) return error;
    client->quota_burst = (uint32_t)burst;
    client->quota_per_second = (uint32_t)per_second;
    client->rights = rights;
    client->rights_count = (uint32_t)json_array_size(rules);
    for (uint32_t i = 0; i < client->rights_count && !error; i++) {
        error = right_read(&rights[i], json_array_get(rules, i), canonical_path_at(where, path, "rights", i), fault);
    }
    return error;
}

/* Elements of `key` over all objects of an array: an upper bound for what has to be allocated; each is checked when it is read. */
static size_t elements_within(const json_t *array, const char *key) {
    size_t sum = 0;
    for (size_t i = 0; i < json_array_size(array); i++) sum += json_array_size(json_object_get(json_array_get(array, i), key));
    return sum;
}

static enum system_error arrays_allocate(struct owned *owned, const json_t *admins, const json_t *coordinators, const json_t *shards,
                                         const json_t *clients, struct system_fault *fault) {
    size_t clusters = json_array_size(coordinators) + json_array_size(shards);
    size_t nodes = elements_within(coordinators, "nodes") + elements_within(shards, "nodes"), rights = elements_within(clients, "rights");
    owned->admins = calloc(json_array_size(admins) + 1, sizeof *owned->admins);
    owned->clusters = calloc(clusters + 1, sizeof *owned->clusters);
    owned->nodes = calloc(nodes + 1, sizeof *owned->nodes);
    owned->clients = calloc(json_array_size(clients) + 1, sizeof *owned->clients);
    owned->rights = calloc(rights + 1, sizeof *owned->rights);
    if (!owned->admins || !owned->clusters || !owned->nodes || !owned->clients || !owned->rights) {
        return system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory for the system");
    }
    struct system *system = &owned->system;
    system->admins = owned->admins;
    system->admins_count = (uint32_t)json_array_size(admins);
    system->clusters = owned->clusters;
    system->coordinators_count = (uint32_t)json_array_size(coordinators);
    system->shards_count = (uint32_t)json_array_size(shards);
    system->clients = owned->clients;
    system->clients_count = (uint32_t)json_array_size(clients);
    return SYSTEM_OK;
}

static enum system_error arrays_read(struct owned *owned, const json_t *object, struct system_fault *fault) {
    static const char *const names[] = {"cards", "needed"};
    char path[CANONICAL_PATH_BYTES];
    const json_t *admins_object = json_object_get(object, "administrators"), *admins, *coordinators, *shards, *clients;
    struct system *system = &owned->system;
    uint64_t needed = 0;
    enum system_error error = canonical_names(admins_object, "administrators", names, COUNT_OF(names), fault);
    if (!error) error = canonical_get_u64(admins_object, "administrators", "needed", 1, CONFIG_ADMINS_MAX, &needed, fault);
    if (!error) error = canonical_get_array(admins_object, "administrators", "cards", 1, CONFIG_ADMINS_MAX, &admins, fault);
    if (!error) error = canonical_get_array(object, "", "coordinators", 1, SYSTEM_CLUSTERS_MAX, &coordinators, fault);
    if (!error) error = canonical_get_array(object, "", "shards", 1, SYSTEM_CLUSTERS_MAX, &shards, fault);
    if (!error) error = canonical_get_array(object, "", "clients", 0, SYSTEM_CLIENTS_MAX, &clients, fault);
    if (!error) error = arrays_allocate(owned, admins, coordinators, shards, clients, fault);
    if (error) return error;
    system->admins_needed = (uint32_t)needed;
    for (uint32_t i = 0; i < system->admins_count && !error; i++) {
        (void)canonical_path_at(path, "administrators", "cards", i);
        error = card_from_json(&owned->admins[i], CARD_ADMIN, json_array_get(admins, i), path, fault);
    }
    size_t nodes_used = 0;
    for (uint32_t i = 0; i < system->coordinators_count + system->shards_count && !error; i++) {
        bool shard = i >= system->coordinators_count;
        uint32_t index = shard ? i - system->coordinators_count : i;
        struct system_cluster *cluster = &owned->clusters[i];
        cluster->cluster = (shard ? CONFIG_CLUSTER_SHARD : CONFIG_CLUSTER_COORDINATOR) + index;
        error = cluster_read(cluster, owned->nodes + nodes_used, json_array_get(shard ? shards : coordinators, index),
                             canonical_path_at(path, "", shard ? "shards" : "coordinators", index), fault);
        nodes_used += cluster->nodes_count;
    }
    size_t rights_used = 0;
    for (uint32_t i = 0; i < system->clients_count && !error; i++) {
        error = client_read(&owned->clients[i], owned->rights + rights_used, json_array_get(clients, i), canonical_path_at(path, "", "clients", i),
                            fault);
        rights_used += owned->clients[i].rights_count;
    }
    return error;
}

static enum system_error head_read(struct system *system, const json_t *object, uint8_t id[16], struct system_fault *fault) {
    static const char *const names[] = {"administrators", "clients",          "coordinators", "format",     "limits",    "name",    "partition_key",
                                        "predecessor_id", "protocol_version", "shards",       "succession", "system_id", "timeouts"};
    uint64_t format = 0, version = 0, succession = 0;
    enum system_error error = canonical_get_u64(object, "", "format", 0, UINT32_MAX, &format, fault);
    if (error) return error;
    if (format != SYSTEM_FORMAT) {
        return system_fault_set(fault, SYSTEM_FORMAT_UNKNOWN, "format: %llu is unknown to this program, which knows %d", (unsigned long long)format,
                                SYSTEM_FORMAT);
    }
    error = canonical_names(object, "", names, COUNT_OF(names), fault);
    if (!error) error = canonical_get_u64(object, "", "protocol_version", 1, UINT16_MAX, &version, fault);
    if (!error) error = canonical_get_u64(object, "", "succession", 0, UINT16_MAX, &succession, fault);
    if (!error) error = canonical_get_text(object, "", "name", system->name, SYSTEM_NAME_BYTES_MAX, fault);
    if (!error) error = canonical_get_hex(object, "", "partition_key", system->partition_key, 16, fault);
    if (!error) error = canonical_get_hex(object, "", "predecessor_id", system->predecessor_id, 16, fault);
    if (!error) error = canonical_get_hex(object, "", "system_id", id, 16, fault);
    const json_t *limits = json_object_get(object, "limits"), *timeouts = json_object_get(object, "timeouts");
    if (!error) error = rows_read(&system->limits, system_limit_rows, SYSTEM_LIMITS_COUNT, limits, "limits", fault);
    if (!error) error = rows_read(&system->timeouts, system_timeout_rows, SYSTEM_TIMEOUTS_COUNT, timeouts, "timeouts", fault);
    system->protocol_version = (uint32_t)version;
    system->succession = (uint16_t)succession;
    return error;
}

static enum system_error bytes_compare(const struct system *system, const char *text, size_t text_bytes, struct system_fault *fault) {
    size_t again_bytes = 0;
    char *again = system_encode_json(system, &again_bytes);
    if (!again) return system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
    enum system_error error = canonical_compare(text, text_bytes, again, again_bytes, fault);
    free(again);
    return error;
}

enum system_error system_parse(struct system **out, const char *text, size_t text_bytes, struct system_fault *fault) {
    uint8_t id[16];
    *out = NULL;
    if (text_bytes > SYSTEM_FILE_BYTES_MAX) return system_fault_set(fault, SYSTEM_TOO_LARGE, "%zu bytes are no system file", text_bytes);
    json_t *object;
    enum system_error error = canonical_parse(&object, text, text_bytes, fault);
    if (error) return error;
    struct owned *owned = calloc(1, sizeof *owned);
    if (!owned) error = system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
    if (!error) error = head_read(&owned->system, object, id, fault);
    if (!error) error = arrays_read(owned, object, fault);
    json_decref(object);
    if (!error) error = system_check(&owned->system, false, fault); /* card_from_json() verified keys and proofs */
    if (!error && !system_identify(&owned->system)) error = system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
    if (!error && memcmp(owned->system.system_id, id, sizeof id) != 0) {
        error = system_fault_set(fault, SYSTEM_ID_MISMATCH, "system_id: is not the id of this content: some field was changed or is damaged; "
                                 "get the file from its source again");
    }
    if (!error) error = bytes_compare(&owned->system, text, text_bytes, fault);
    if (error) {
        system_free((struct system *)owned);
        return error;
    }
    *out = &owned->system;
    return SYSTEM_OK;
}

enum system_error system_load(struct system **out, const char *path, struct system_fault *fault) {
    size_t text_bytes = 0;
    struct system_fault own;
    *out = NULL;
    char *text = canonical_read_file(path, SYSTEM_FILE_BYTES_MAX, &text_bytes, &own);
    enum system_error error = text ? system_parse(out, text, text_bytes, &own) : own.error;
    free(text);
    if (error && fault) {
        *fault = own;
        system_fault_prefix(fault, path);
    }
    return error;
}
