/* A node's data directory, made once from its configuration. */
#include "appliance/node_init.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/node_genesis.h"
#include "appliance/node_init_backup.h"
#include "protocol/canonical.h"
#include "protocol/successor.h"
#include "store/store.h"

static int refuse(const char *text) {
    (void)fprintf(stderr, "heracliusd: %s\n", text);
    return 2;
}

/* Whose data it will be, of a node that no system file names: a CONFIG is to bring it in, and it has a cluster and no place in it yet. */
static bool joiner_identify(const struct node_config *config, const struct system *system, const struct keyfile *key,
                            struct store_identity *identity) {
    memcpy(identity->node_id, key->card_id, sizeof identity->node_id);
    identity->cluster = (config->join[0] == 's' ? (uint32_t)CONFIG_CLUSTER_SHARD : (uint32_t)CONFIG_CLUSTER_COORDINATOR) +
                        (uint32_t)strtoul(config->join + 1, NULL, 10);
    identity->member = CONFIG_MEMBERS_MAX;
    return system_cluster_by_id(system, identity->cluster) != NULL;
}

/* Whose data it will be; false with the text set. */
static bool identity_find(const struct node_config *config, const struct system *system, struct store_identity *identity,
                          struct system_fault *fault) {
    struct keyfile key;
    uint32_t cluster = 0, member = 0;
    if (keyfile_open(&key, KEYFILE_NODE, config->key, false, fault)) return false;
    const struct card *node = system_node_by_signing_key(system, key.signing_key, &cluster, &member);
    bool good = node && memcmp(node->noise_key, key.noise_key, 32) == 0;
    memset(identity, 0, sizeof *identity);
    memcpy(identity->system_id, system->system_id, sizeof identity->system_id);
    if (good) {
        memcpy(identity->node_id, node->id, sizeof identity->node_id);
        identity->cluster = cluster;
        identity->member = member;
    } else {
        good = !node && config->join[0] != '\0' && joiner_identify(config, system, &key, identity);
    }
    keyfile_close(&key);
    if (!good) (void)system_fault_set(fault, SYSTEM_FOREIGN, "%.150s: no node of %.150s has this key", config->key, config->system);
    return good;
}

/* Nothing is made of a backup that is not whole and valid. */
static int from_backup(const struct node_config *config, const struct system *system, const struct store_identity *identity, const char *from) {
    char text[NODE_INIT_TEXT_BYTES];
    struct store_error error;
    int code = 0;
    struct backup_folder *folder = node_init_backup_open(from, system, identity->cluster, text);
    if (folder == NULL) code = refuse(text);
    backup_folder_close(folder);
    if (code == 0 && store_directory_create(config->data, identity, &error) != STORE_OK) code = refuse(error.text);
    bool member = identity->member < CONFIG_MEMBERS_MAX;
    if (code == 0 && !node_init_backup_fill(config, identity, from, system, member, text)) code = refuse(text);
    return code;
}

/* The directory, and in that of a successor's shard the root that its genesis has: blocks name it for ever. Nothing is made unless that is known. */
static int directory_make(const struct node_config *config, const struct system *system, const struct store_identity *identity, const char *from) {
    struct store_error error;
    char text[NODE_GENESIS_TEXT_BYTES], hex[65];
    uint8_t root[32];
    bool inherits = successor_has_origin(system, identity->cluster);
    int code = 0;
    if (inherits && !node_genesis_root(config, system, identity->cluster, root, text)) return refuse(text);
    if (from != NULL) code = from_backup(config, system, identity, from);
    else if (store_directory_create(config->data, identity, &error) != STORE_OK) code = refuse(error.text);
    if (code != 0 || !inherits) return code;
    if (!node_genesis_keep(config, identity, root, text)) return refuse(text);
    canonical_hex_print(root, sizeof root, hex);
    printf("genesis of cluster s%u has root %s: compare it with the other members of the cluster\n", config_cluster_index(identity->cluster), hex);
    return 0;
}

static int data_make(const struct node_config *config, const char *from) {
    struct system *system = NULL;
    struct system_fault fault;
    struct store_identity identity;
    char text[NODE_GENESIS_TEXT_BYTES];
    int code;
    if (system_load(&system, config->system, &fault)) return refuse(fault.text);
    if (!identity_find(config, system, &identity, &fault)) code = refuse(fault.text);
    else if (!node_genesis_allowed(config, system, text)) code = refuse(text);
    else code = directory_make(config, system, &identity, from);
    system_free(system);
    return code;
}

int node_init_run(const char *config_path, const char *from) {
    struct node_config *config = calloc(1, sizeof *config); /* its paths are too large for a small stack */
    char text[NODE_CONFIG_TEXT_BYTES];
    int code;
    if (!config) return refuse("no memory");
    if (!ed25519_start(NULL)) code = refuse("the Ed25519 library fails its self-test: another release than this program was made for?");
    else if (!node_config_load(config_path, config, text)) code = refuse(text);
    else code = data_make(config, from);
    free(config);
    return code;
}
