/* A node's data directory, made once from its configuration. */
#include "appliance/node_init.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/node_config.h"
#include "appliance/node_init_backup.h"
#include "protocol/keyfile.h"
#include "protocol/system.h"
#include "store/store.h"

static int refuse(const char *text) {
    (void)fprintf(stderr, "heracliusd: %s\n", text);
    return 2;
}

/* Whose data it will be; false with the text set. */
static bool identity_find(const struct node_config *config, struct store_identity *identity, struct system_fault *fault) {
    struct system *system = NULL;
    struct keyfile key;
    uint32_t cluster = 0, member = 0;
    if (system_load(&system, config->system, fault)) return false;
    if (keyfile_open(&key, KEYFILE_NODE, config->key, false, fault)) {
        system_free(system);
        return false;
    }
    const struct card *node = system_node_by_signing_key(system, key.signing_key, &cluster, &member);
    bool good = node && memcmp(node->noise_key, key.noise_key, 32) == 0;
    bool joins = !node && config->join[0] != '\0';
    memset(identity, 0, sizeof *identity);
    if (joins) { /* for a CONFIG to bring in: it has a cluster, and no place in it yet */
        memcpy(identity->system_id, system->system_id, sizeof identity->system_id);
        memcpy(identity->node_id, key.card_id, sizeof identity->node_id);
        identity->cluster = (config->join[0] == 's' ? (uint32_t)CONFIG_CLUSTER_SHARD : (uint32_t)CONFIG_CLUSTER_COORDINATOR) +
                            (uint32_t)strtoul(config->join + 1, NULL, 10);
        identity->member = CONFIG_MEMBERS_MAX;
        good = system_cluster_by_id(system, identity->cluster) != NULL;
    }
    keyfile_close(&key);
    if (joins && good) {
        system_free(system);
        return true;
    }
    if (good) {
        memcpy(identity->system_id, system->system_id, sizeof identity->system_id);
        memcpy(identity->node_id, node->id, sizeof identity->node_id);
        identity->cluster = cluster;
        identity->member = member;
    } else {
        (void)system_fault_set(fault, SYSTEM_FOREIGN, "%.150s: no node of %.150s has this key", config->key, config->system);
    }
    system_free(system);
    return good;
}

/* Nothing is made of a backup that is not whole and valid. */
static int from_backup(const struct node_config *config, const struct store_identity *identity, const char *from) {
    char text[NODE_INIT_TEXT_BYTES];
    struct system *system = NULL;
    struct system_fault fault;
    struct store_error error;
    int code = 0;
    if (system_load(&system, config->system, &fault)) return refuse(fault.text);
    struct backup_folder *folder = node_init_backup_open(from, system, identity->cluster, text);
    if (folder == NULL) code = refuse(text);
    backup_folder_close(folder);
    if (code == 0 && store_directory_create(config->data, identity, &error) != STORE_OK) code = refuse(error.text);
    bool member = identity->member < CONFIG_MEMBERS_MAX;
    if (code == 0 && !node_init_backup_fill(config, identity, from, system, member, text)) code = refuse(text);
    system_free(system);
    return code;
}

int node_init_run(const char *config_path, const char *from) {
    struct node_config *config = calloc(1, sizeof *config); /* its paths are too large for a small stack */
    char text[NODE_CONFIG_TEXT_BYTES];
    struct store_identity identity;
    struct store_error error;
    struct system_fault fault;
    int code = 0;
    if (!config) return refuse("no memory");
    if (!ed25519_start(NULL)) code = refuse("the Ed25519 library fails its self-test: another release than this program was made for?");
    else if (!node_config_load(config_path, config, text)) code = refuse(text);
    else if (!identity_find(config, &identity, &fault)) code = refuse(fault.text);
    else if (from != NULL) code = from_backup(config, &identity, from);
    else if (store_directory_create(config->data, &identity, &error) != STORE_OK) code = refuse(error.text);
    free(config);
    return code;
}
