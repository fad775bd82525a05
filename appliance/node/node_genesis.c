#include "appliance/node/node_genesis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

bool node_genesis_inherit(const struct node_config *config, const struct system *system, uint32_t cluster, struct executor *executor,
                          node_genesis_visit *visit, void *context, uint8_t root[32], char text[NODE_GENESIS_TEXT_BYTES]) {
    struct system *predecessor = NULL;
    struct system_fault fault;
    if (config->backup[0] == '\0' || config->predecessor[0] == '\0')
        return refuse(text, "this cluster begins from a backup: it needs its folder and the predecessor's system file (--backup, --predecessor)");
    if (system_load(&predecessor, config->predecessor, &fault)) return refuse(text, fault.text);
    const struct node_origin origin = {.backup = config->backup, .predecessor = predecessor, .successor = system, .signer = signer_ed25519(NULL)};
    bool good = node_inherit(&origin, cluster, executor, visit, context, root, text);
    system_free(predecessor);
    return good;
}
