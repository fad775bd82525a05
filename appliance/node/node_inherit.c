/*
 * What a shard of a successor inherits (S-144): the entries of its origin's backup that stay, checked from end to end against the old system, added
 * to the genesis of the successor's own file.
 */
#include <stdio.h>
#include <string.h>

#include "appliance/node/node_genesis.h"
#include "protocol/backup_folder.h"
#include "protocol/successor.h"

struct inheriting {
    struct executor *executor;
    node_genesis_visit *visit;
    void *context;
    bool bad;
};

static bool entry_take(void *context, const struct checkpoint_entry *from) {
    struct inheriting *inheriting = context;
    if (!successor_keeps(from)) return true;
    struct table_entry entry = {.key = from->key,
                                .value = from->value,
                                .version = {.height = from->version_height, .index = from->version_index},
                                .value_bytes = from->value_bytes,
                                .key_bytes = from->key_bytes,
                                .space = from->space};
    bool good = executor_genesis_add(inheriting->executor, &entry) == EXEC_VALID;
    good = good && (inheriting->visit == NULL || inheriting->visit(inheriting->context, &entry));
    inheriting->bad = !good;
    return good;
}

static bool is_origin(const struct checkpoint_manifest *manifest, const struct system_cluster *cluster) {
    return manifest->cluster == cluster->cluster && manifest->height == cluster->origin_height &&
           memcmp(manifest->state_root, cluster->origin_root, sizeof cluster->origin_root) == 0;
}

static bool inherit(const struct node_origin *origin, uint32_t id, struct inheriting *inheriting, char text[NODE_GENESIS_TEXT_BYTES]) {
    const struct system_cluster *cluster = system_cluster_by_id(origin->successor, id);
    struct system_fault window = {.text = ""};
    struct backup_folder *folder = NULL;
    struct backup_fault fault = {.error = BACKUP_OK};
    enum backup_error error = backup_folder_open(&folder, origin->backup, origin->predecessor, &origin->signer, &fault);
    bool is = !error && is_origin(&backup_shown(folder->backup)->manifest, cluster);
    struct backup_visit visit = {.context = inheriting, .entry = entry_take};
    bool fits = !is || successor_window_fits(backup_config(folder->backup), origin->successor, &window) == SYSTEM_OK;
    if (is && fits) error = backup_folder_read(folder, &visit, &fault);
    backup_folder_close(folder);
    if (error && !inheriting->bad) {
        snprintf(text, NODE_GENESIS_TEXT_BYTES, "%.200s: %s%s%.280s", origin->backup, fault.file, fault.file[0] != '\0' ? ": " : "", fault.text);
    } else if (error) {
        snprintf(text, NODE_GENESIS_TEXT_BYTES, "%.200s: more than this system's limits hold: raise table_keys_max, table_bytes_max", origin->backup);
    } else if (!is) {
        snprintf(text, NODE_GENESIS_TEXT_BYTES, "%.200s: a backup of another cluster, height or root than the origin in the system file",
                 origin->backup);
    } else if (!fits) {
        snprintf(text, NODE_GENESIS_TEXT_BYTES, "%.200s: %.280s", origin->backup, window.text);
    }
    return is && fits && !error;
}

bool node_inherit(const struct node_origin *origin, uint32_t cluster, struct executor *executor, node_genesis_visit *visit, void *context,
                  uint8_t root[32], char text[NODE_GENESIS_TEXT_BYTES]) {
    struct inheriting inheriting = {.executor = executor, .visit = visit, .context = context};
    uint8_t alone[32];
    executor_genesis(executor, alone);
    if (!inherit(origin, cluster, &inheriting, text)) return false;
    executor_state_root(executor, root);
    return true;
}
