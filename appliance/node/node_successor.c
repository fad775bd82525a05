/* What the node is shown of successors (S-143): <data>/successors/ID.statement beside ID.json, put there by `heraclius successor leave`. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/node/node.h"
#include "protocol/successor.h"

enum { LOOK_MS = 1000, AGAIN_MS = 60000, ID_DIGITS = 32, LOOKED_AT_MAX = 16, PATH_BYTES = 4352 };

/* "ID.statement" */
static bool named(const char *name) {
    return strspn(name, "0123456789abcdef") == ID_DIGITS && strcmp(name + ID_DIGITS, ".statement") == 0;
}

/* False: `fault` says why it is not followed. */
static bool judge(const struct node *node, const char *name, struct claim_successor *statement, struct system_fault *fault) {
    char path[PATH_BYTES];
    struct system *successor = NULL;
    (void)snprintf(path, sizeof path, "%.4090s/successors/%.44s", node->config.data, name);
    enum system_error error = successor_load(statement, path, fault);
    (void)snprintf(path, sizeof path, "%.4090s/successors/%.32s.json", node->config.data, name);
    if (!error) error = system_load(&successor, path, fault);
    if (!error) error = successor_follows(node->system, successor, fault);
    if (!error) error = claim_successor_verify(statement, replica_config_in_force(node->replica), successor, fault);
    system_free(successor);
    return !error;
}

static struct successor_looked *looked_of(struct successors *successors, const char *name) {
    for (uint32_t i = 0; i < successors->count; i++) {
        if (memcmp(successors->looked[i].id, name, ID_DIGITS) == 0) return &successors->looked[i];
    }
    if (successors->count == LOOKED_AT_MAX) return NULL; /* one is enough to leave, two to convict */
    struct successor_looked *looked = &successors->looked[successors->count++];
    *looked = (struct successor_looked){.refused = true};
    memcpy(looked->id, name, ID_DIGITS);
    return looked;
}

/* What was refused may be good by a later CONFIG (other administrators), or by a system file that was not there yet. */
static void look_at(struct node *node, const char *name, uint64_t now_ms) {
    struct successor_looked *looked = looked_of(&node->successors, name);
    uint64_t epoch = replica_config_in_force(node->replica)->members.serial;
    if (looked == NULL || !looked->refused || (now_ms < looked->again_ms && epoch == looked->epoch)) return;
    looked->epoch = epoch;
    looked->again_ms = now_ms + AGAIN_MS;
    struct claim_successor statement;
    struct system_fault fault;
    char quoted[NODE_TEXT_BYTES];
    looked->refused = !judge(node, name, &statement, &fault);
    if (!looked->refused)
        replica_successor(node->replica, &statement);
    else
        log_event(LOG_LEVEL_WARN, "successor_refused", "id=%.32s cause=%s", name, log_quote(fault.text, quoted, sizeof quoted));
}

void node_successors_look(struct node *node, uint64_t now_ms) {
    char folder[PATH_BYTES];
    if (now_ms < node->successors.look_ms) return;
    node->successors.look_ms = now_ms + LOOK_MS;
    (void)snprintf(folder, sizeof folder, "%.4090s/successors", node->config.data);
    DIR *open = opendir(folder);
    if (open == NULL) return;
    for (struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open)) {
        if (named(entry->d_name)) look_at(node, entry->d_name, now_ms);
    }
    (void)closedir(open);
}
