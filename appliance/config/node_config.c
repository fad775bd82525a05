#include "appliance/config/node_config.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { SCRUB_RECORDS_S_DEFAULT = 500, SCRUB_RECORDS_S_MAX = 1000000 };

struct reading {
    const char *path;
    char *text;
};

static bool fail(const struct reading *reading, const char *field, const char *what) {
    snprintf(reading->text, NODE_CONFIG_TEXT_BYTES, "%s: %s: %s", reading->path, field, what);
    return false;
}

/* Joins with the folder of the configuration unless absolute. */
static bool take_path(const struct reading *reading, const char *field, const json_t *value, char out[NODE_CONFIG_PATH_BYTES]) {
    if (!json_is_string(value) || json_string_length(value) == 0) return fail(reading, field, "must be a path");
    const char *text = json_string_value(value), *slash = strrchr(reading->path, '/');
    int folder = text[0] == '/' || slash == NULL ? 0 : (int)(slash - reading->path + 1);
    int wrote = snprintf(out, NODE_CONFIG_PATH_BYTES, "%.*s%s", folder, reading->path, text);
    return wrote < NODE_CONFIG_PATH_BYTES ? true : fail(reading, field, "the path is too long");
}

static bool take_number(const struct reading *reading, const char *field, const json_t *value, uint64_t least, uint64_t most, uint64_t *out) {
    if (!json_is_integer(value) || json_integer_value(value) < 0) return fail(reading, field, "must be a number that is not negative");
    *out = (uint64_t)json_integer_value(value);
    return *out >= least && *out <= most ? true : fail(reading, field, "out of range");
}

static bool take_listen(const struct reading *reading, const json_t *value, struct node_config *config) {
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count == 0 || count > NODE_CONFIG_LISTEN_MAX) return fail(reading, "listen", "must be one to four addresses");
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(entry) || json_string_length(entry) == 0 || json_string_length(entry) >= sizeof config->listen[0])
            return fail(reading, "listen", "must be \"host:port\"");
        snprintf(config->listen[i], sizeof config->listen[i], "%s", json_string_value(entry));
    }
    config->listen_count = (uint32_t)count;
    return true;
}

static bool take_cpus(const struct reading *reading, const json_t *value, struct node_config *config) {
    const char *name;
    json_t *cpu;
    if (!json_is_object(value)) return fail(reading, "cpus", "must be an object such as {\"network\": 0}");
    json_object_foreach((json_t *)value, name, cpu) {
        int thread = 0;
        uint64_t number = 0;
        while (thread < NODE_THREADS && strcmp(name, node_thread_name((enum node_thread)thread)) != 0) thread++;
        if (thread == NODE_THREADS)
            return fail(reading, "cpus", "knows network, consensus, execution, wal, state, verify0 to verify5, and hash0 to hash2");
        if (!take_number(reading, "cpus", cpu, 0, 1023, &number)) return false;
        config->threads.cpus[thread] = (int)number;
    }
    config->threads.pins = true;
    return true;
}

static bool take_level(const struct reading *reading, const json_t *value, struct node_config *config) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (int level = 0; level < 4; level++) {
        if (json_is_string(value) && strcmp(json_string_value(value), names[level]) == 0) {
            config->log_level = (enum log_level)level;
            return true;
        }
    }
    return fail(reading, "log_level", "must be debug, info, warn or error");
}

static bool take_threads(const struct reading *reading, const json_t *value, struct node_config *config) {
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    static const char *const maps[] = {"auto", "fused", "split"};
    for (int map = 0; map < 3; map++) {
        if (strcmp(text, maps[map]) != 0) continue;
        config->threads.map = (enum thread_map)map;
        return true;
    }
    return fail(reading, "threads", "must be \"auto\", \"fused\" or \"split\"");
}

static bool take_join(const struct reading *reading, const json_t *value, struct node_config *config) {
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    size_t digits = strlen(text) > 0 ? strspn(text + 1, "0123456789") : 0;
    bool good = (text[0] == 'c' || text[0] == 's') && digits >= 1 && digits <= 4 && text[1 + digits] == '\0';
    if (!good) return fail(reading, "join", "must be a cluster such as \"s0\"");
    snprintf(config->join, sizeof config->join, "%s", text);
    return true;
}

static bool take_field(const struct reading *reading, const char *name, const json_t *value, struct node_config *config) {
    const uint64_t map_least = 1 << 20, map_most = UINT64_C(1) << 46;
    uint64_t number = 0;
    if (strcmp(name, "system") == 0) return take_path(reading, name, value, config->system);
    if (strcmp(name, "addresses") == 0) return take_path(reading, name, value, config->addresses);
    if (strcmp(name, "key") == 0) return take_path(reading, name, value, config->key);
    if (strcmp(name, "data") == 0) return take_path(reading, name, value, config->data);
    if (strcmp(name, "predecessor") == 0) return take_path(reading, name, value, config->predecessor);
    if (strcmp(name, "statement") == 0) return take_path(reading, name, value, config->statement);
    if (strcmp(name, "backup") == 0) return take_path(reading, name, value, config->backup);
    if (strcmp(name, "control") == 0) return take_path(reading, name, value, config->control);
    if (strcmp(name, "listen") == 0) return take_listen(reading, value, config);
    if (strcmp(name, "join") == 0) return take_join(reading, value, config);
    if (strcmp(name, "retired") == 0) {
        config->retired = json_is_true(value);
        return json_is_boolean(value) ? true : fail(reading, name, "must be true or false");
    }
    if (strcmp(name, "threads") == 0) return take_threads(reading, value, config);
    if (strcmp(name, "cpus") == 0) return take_cpus(reading, value, config);
    if (strcmp(name, "verifiers") == 0) {
        if (!take_number(reading, name, value, 0, THREAD_VERIFIERS_MAX, &number)) return false;
        config->threads.verifiers = (int)number;
        return true;
    }
    if (strcmp(name, "hashers") == 0) {
        if (!take_number(reading, name, value, 0, THREAD_HASHERS_MAX, &number)) return false;
        config->threads.hashers = (int)number;
        return true;
    }
    if (strcmp(name, "log_level") == 0) return take_level(reading, value, config);
    if (strcmp(name, "wal_map_bytes") == 0) return take_number(reading, name, value, map_least, map_most, &config->wal_map_bytes);
    if (strcmp(name, "state_map_bytes") == 0) return take_number(reading, name, value, map_least, map_most, &config->state_map_bytes);
    if (strcmp(name, "send_zc_bytes") == 0) {
        if (!take_number(reading, name, value, 0, UINT32_MAX, &number)) return false;
        config->send_zc_bytes = (uint32_t)number;
        return true;
    }
    if (strcmp(name, "scrub_records_s") == 0) {
        if (!take_number(reading, name, value, 0, SCRUB_RECORDS_S_MAX, &number)) return false;
        config->scrub_records_s = (uint32_t)number;
        return true;
    }
    return fail(reading, name, "is no field of a node configuration (a typing error?)");
}

void node_config_defaults(struct node_config *config) {
    memset(config, 0, sizeof *config);
    for (int thread = 0; thread < NODE_THREADS; thread++) config->threads.cpus[thread] = -1;
    config->threads.verifiers = config->threads.hashers = -1;
    config->log_level = LOG_LEVEL_INFO;
    config->scrub_records_s = SCRUB_RECORDS_S_DEFAULT;
    config->wal_map_bytes = config->state_map_bytes = UINT64_C(64) << 30;
}

bool node_config_load(const char *path, struct node_config *config, char text[NODE_CONFIG_TEXT_BYTES]) {
    const struct reading reading = {.path = path, .text = text};
    node_config_defaults(config);
    FILE *file = fopen(path, "re");
    if (file == NULL) return fail(&reading, "cannot be opened", strerror(errno));
    json_error_t error;
    json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    fclose(file);
    if (root == NULL || !json_is_object(root)) {
        snprintf(text, NODE_CONFIG_TEXT_BYTES, "%s: line %d: %s", path, root == NULL ? error.line : 1,
                 root == NULL ? error.text : "must be an object");
        json_decref(root);
        return false;
    }
    bool good = true;
    const char *name;
    json_t *value;
    json_t *control = json_string("control.sock");
    good = take_path(&reading, "control", control, config->control);
    json_decref(control);
    json_object_foreach(root, name, value) {
        if (!good || !take_field(&reading, name, value, config)) {
            good = false;
            break;
        }
    }
    json_decref(root);
    if (!good) return false;
    if (config->system[0] == '\0') return fail(&reading, "system", "is missing: run `heraclius system init`");
    if (config->addresses[0] == '\0') return fail(&reading, "addresses", "is missing: run `heraclius system init`");
    if (config->key[0] == '\0') return fail(&reading, "key", "is missing: run `heraclius system init`");
    if (config->data[0] == '\0') return fail(&reading, "data", "is missing: run `heraclius system init`");
    return true;
}
