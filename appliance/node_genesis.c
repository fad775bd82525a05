#include "appliance/node_genesis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/backup_folder.h"
#include "protocol/canonical.h"
#include "protocol/successor.h"

enum { CHAIN_BYTES_MAX = 64 << 20 };

static bool refuse(char text[NODE_GENESIS_TEXT_BYTES], const char *what) {
    snprintf(text, NODE_GENESIS_TEXT_BYTES, "%s", what);
    return false;
}

/* ---- S-142 ---- */

/* Administrators may have changed since the predecessor's genesis: the chain of a backup tells. Without one their word would count who were
 * administrators once, and that of those who are now would not. NULL: the text says what to bring. */
static uint8_t *chain_read(const struct node_config *config, size_t *count, char text[NODE_GENESIS_TEXT_BYTES]) {
    char path[NODE_CONFIG_PATH_BYTES + 8];
    struct system_fault fault;
    if (config->backup[0] == '\0') {
        (void)refuse(text, "this system file is a successor: a backup of a cluster of the predecessor shows by its chain of CONFIGs who its "
                           "administrators are now (--backup DIR, the newest that there is)");
        return NULL;
    }
    snprintf(path, sizeof path, "%s/chain", config->backup);
    uint8_t *chain = (uint8_t *)canonical_read_file(path, CHAIN_BYTES_MAX, count, &fault);
    if (chain == NULL) (void)refuse(text, fault.text);
    return chain;
}

bool node_genesis_allowed(const struct node_config *config, const struct system *system, char text[NODE_GENESIS_TEXT_BYTES]) {
    struct system *predecessor = NULL;
    struct claim_successor statement;
    struct system_fault fault;
    if (system->succession == 0) return true;
    if (config->predecessor[0] == '\0' || config->statement[0] == '\0')
        return refuse(text, "this system file is a successor: it needs the predecessor's system file and the signed statement (--predecessor, "
                            "--statement)");
    struct signer signer = signer_ed25519(NULL);
    size_t chain_bytes = 0;
    uint8_t *chain = chain_read(config, &chain_bytes, text);
    if (chain == NULL) return false;
    enum system_error error = system_load(&predecessor, config->predecessor, &fault);
    if (!error) error = successor_load(&statement, config->statement, &fault);
    if (!error) error = successor_verify(&statement, predecessor, chain, chain_bytes, &signer, system, &fault);
    free(chain);
    system_free(predecessor);
    return error ? refuse(text, fault.text) : true;
}

/* ---- S-144 ---- */

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

static bool inherit(const struct node_config *config, const struct system *predecessor, const struct system *successor, uint32_t id,
                    struct inheriting *inheriting, char text[NODE_GENESIS_TEXT_BYTES]) {
    const struct system_cluster *cluster = system_cluster_by_id(successor, id);
    struct system_fault window = {.text = ""};
    struct signer signer = signer_ed25519(NULL);
    struct backup_folder *folder = NULL;
    struct backup_fault fault = {.error = BACKUP_OK};
    enum backup_error error = backup_folder_open(&folder, config->backup, predecessor, &signer, &fault);
    bool origin = !error && is_origin(&backup_shown(folder->backup)->manifest, cluster);
    struct backup_visit visit = {.context = inheriting, .entry = entry_take};
    bool fits = !origin || successor_window_fits(backup_config(folder->backup), successor, &window) == SYSTEM_OK;
    if (origin && fits) error = backup_folder_read(folder, &visit, &fault);
    backup_folder_close(folder);
    if (error && !inheriting->bad) {
        snprintf(text, NODE_GENESIS_TEXT_BYTES, "%.200s: %s%s%.280s", config->backup, fault.file, fault.file[0] != '\0' ? ": " : "", fault.text);
    } else if (error) {
        snprintf(text, NODE_GENESIS_TEXT_BYTES, "%.200s: more than this system's limits hold: raise table_keys_max, table_bytes_max", config->backup);
    } else if (!origin) {
        snprintf(text, NODE_GENESIS_TEXT_BYTES, "%.200s: a backup of another cluster, height or root than the origin in the system file",
                 config->backup);
    } else if (!fits) {
        snprintf(text, NODE_GENESIS_TEXT_BYTES, "%.200s: %.280s", config->backup, window.text);
    }
    return origin && fits && !error;
}

bool node_genesis_inherit(const struct node_config *config, const struct system *system, uint32_t cluster, struct executor *executor,
                          node_genesis_visit *visit, void *context, uint8_t root[32], char text[NODE_GENESIS_TEXT_BYTES]) {
    struct inheriting inheriting = {.executor = executor, .visit = visit, .context = context};
    struct system *predecessor = NULL;
    struct system_fault fault;
    if (config->backup[0] == '\0' || config->predecessor[0] == '\0')
        return refuse(text, "this cluster begins from a backup: it needs its folder and the predecessor's system file (--backup, --predecessor)");
    if (system_load(&predecessor, config->predecessor, &fault)) return refuse(text, fault.text);
    uint8_t alone[32];
    executor_genesis(executor, alone);
    bool good = inherit(config, predecessor, system, cluster, &inheriting, text);
    if (good) executor_state_root(executor, root);
    system_free(predecessor);
    return good;
}
