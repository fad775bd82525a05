/* A node's data directory, made once from its configuration. */
#include "appliance/node/node_init.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/node/node_genesis.h"
#include "appliance/node/node_init_backup.h"
#include "appliance/node/node_init_chain.h"
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
    bool joins = config->join[0] != '\0', good = node && !joins && memcmp(node->noise_key, key.noise_key, 32) == 0;
    memset(identity, 0, sizeof *identity);
    memcpy(identity->system_id, system->system_id, sizeof identity->system_id);
    if (good) {
        memcpy(identity->node_id, node->id, sizeof identity->node_id);
        identity->cluster = cluster;
        identity->member = member;
    } else {
        good = !node && joins && joiner_identify(config, system, &key, identity);
    }
    keyfile_close(&key);
    if (good) return true;
    if (joins && node) /* it may have signed as that node, and would have forgotten it here */
        (void)system_fault_set(fault, SYSTEM_FOREIGN,
                               "%.150s: the key of %s of the system file: who joins has a key of its own (heraclius node enroll)", config->key,
                               node->name);
    else if (joins) (void)system_fault_set(fault, SYSTEM_FOREIGN, "%s is no cluster of %.150s", config->join, config->system);
    else (void)system_fault_set(fault, SYSTEM_FOREIGN, "%.150s: no node of %.150s has this key", config->key, config->system);
    return false;
}

/* Nothing is made of a backup that is not whole and valid. */
static bool backup_is_good(const struct system *system, uint32_t cluster, const char *from, char text[NODE_INIT_TEXT_BYTES]) {
    struct backup_folder *folder = node_init_backup_open(from, system, cluster, text);
    bool good = folder != NULL;
    backup_folder_close(folder);
    return good;
}

/* What the directory gets beside its name; each NULL: nothing. */
struct contents {
    const char *from;
    const uint8_t *root; /* of genesis, 32 bytes */
    uint8_t *chain;
    size_t chain_bytes;
};

/* The mark of a key that must not sign on from nothing, the checkpoint and the root of genesis are durable before the directory has its name: one
 * without them would let a member begin anew that has voted before. */
static int directory_fill(const struct node_config *config, const struct system *system, const struct store_identity *identity,
                          const struct contents *of) {
    struct store_error error;
    struct store_directory *directory;
    char text[NODE_INIT_TEXT_BYTES], genesis_text[NODE_GENESIS_TEXT_BYTES];
    bool member = identity->member < CONFIG_MEMBERS_MAX;
    int code = 0;
    if (store_directory_begin(config->data, identity, &directory, &error) != STORE_OK) return refuse(error.text);
    if (of->from != NULL && !node_init_backup_fill(directory, config, identity, of->from, system, member, text)) code = refuse(text);
    uint32_t added;
    if (code == 0 && of->chain != NULL && !node_init_chain_fill(directory, config, identity, of->chain, of->chain_bytes, &added, text))
        code = refuse(text);
    if (code == 0 && of->root != NULL && !node_genesis_keep(directory, config, identity, of->root, genesis_text)) code = refuse(genesis_text);
    if (code != 0) store_directory_abandon(directory);
    else if (store_directory_end(directory, config->data, &error) != STORE_OK) code = refuse(error.text);
    return code;
}

/* The directory, and in that of a successor's shard the root that its genesis has: blocks name it for ever. Nothing is made unless that is known. */
static int directory_make(const struct node_config *config, const struct system *system, const struct store_identity *identity, const char *from,
                          const char *chain) {
    char text[NODE_GENESIS_TEXT_BYTES], init_text[NODE_INIT_TEXT_BYTES], hex[65];
    uint8_t root[32];
    struct contents contents = {.from = from};
    bool inherits = successor_has_origin(system, identity->cluster);
    if (chain != NULL && identity->member < CONFIG_MEMBERS_MAX) return refuse("--chain is for a node that joins: the system file names this one");
    if (inherits && !node_genesis_root(config, system, identity->cluster, root, text)) return refuse(text);
    if (inherits) contents.root = root;
    if (from != NULL && !backup_is_good(system, identity->cluster, from, init_text)) return refuse(init_text);
    if (chain != NULL) {
        contents.chain = node_init_chain_read(chain, system, identity->cluster, &contents.chain_bytes, init_text);
        if (contents.chain == NULL) return refuse(init_text);
    }
    int code = directory_fill(config, system, identity, &contents);
    free(contents.chain);
    if (code != 0 || !inherits) return code;
    canonical_hex_print(root, sizeof root, hex);
    printf("genesis of cluster s%u has root %s: compare it with the other members of the cluster\n", config_cluster_index(identity->cluster), hex);
    return 0;
}

static int data_make(const struct node_config *config, const char *from, const char *chain) {
    struct system *system = NULL;
    struct system_fault fault;
    struct store_identity identity;
    char text[NODE_GENESIS_TEXT_BYTES];
    int code;
    if (system_load(&system, config->system, &fault)) return refuse(fault.text);
    if (!identity_find(config, system, &identity, &fault)) code = refuse(fault.text);
    else if (!node_genesis_allowed(config, system, text)) code = refuse(text);
    else code = directory_make(config, system, &identity, from, chain);
    system_free(system);
    return code;
}

/* Into the data that are there. */
static int chain_add(const struct node_config *config, const struct system *system, const struct store_identity *identity, const char *chain) {
    struct store_directory *directory;
    struct store_error error;
    char text[NODE_INIT_TEXT_BYTES];
    uint32_t added = 0;
    size_t count;
    uint8_t *payload = node_init_chain_read(chain, system, identity->cluster, &count, text);
    if (payload == NULL) return refuse(text);
    if (store_directory_open(config->data, &directory, &error) != STORE_OK) {
        free(payload);
        return refuse(error.text);
    }
    int code = node_init_chain_fill(directory, config, identity, payload, count, &added, text) ? 0 : refuse(text);
    store_directory_close(directory);
    free(payload);
    if (code == 0) printf("%u CONFIGs that it did not know: start the node as usual\n", added);
    return code;
}

static int data_extend(const struct node_config *config, const char *chain) {
    struct system *system = NULL;
    struct system_fault fault;
    struct store_identity identity;
    if (system_load(&system, config->system, &fault)) return refuse(fault.text);
    int code = identity_find(config, system, &identity, &fault) ? chain_add(config, system, &identity, chain) : refuse(fault.text);
    system_free(system);
    return code;
}

/* What is wanted of these data: they are made, or (extend) a chain is put into them. */
static int run(const char *config_path, const char *from, const char *chain, bool extend) {
    struct node_config *config = calloc(1, sizeof *config); /* its paths are too large for a small stack */
    char text[NODE_CONFIG_TEXT_BYTES];
    int code;
    if (!config) return refuse("no memory");
    if (!ed25519_start(NULL)) code = refuse("the Ed25519 library fails its self-test: another release than this program was made for?");
    else if (!node_config_load(config_path, config, text)) code = refuse(text);
    else code = extend ? data_extend(config, chain) : data_make(config, from, chain);
    free(config);
    return code;
}

int node_init_run(const char *config_path, const char *from, const char *chain) {
    return run(config_path, from, chain, false);
}

int node_init_chain_run(const char *config_path, const char *chain) {
    return run(config_path, NULL, chain, true);
}
