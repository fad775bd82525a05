/* From cards to a system file. */
#include "protocol/assembly.h"

#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/canonical.h"

enum { NODES_MAX = 2 * SYSTEM_CLUSTERS_MAX * CONFIG_MEMBERS_MAX, RIGHTS_MAX = SYSTEM_CLIENTS_MAX * SYSTEM_RIGHTS_MAX };

struct assembly *assembly_new(void) {
    struct assembly *assembly = calloc(1, sizeof *assembly);
    if (!assembly) return NULL;
    assembly->nodes = calloc(NODES_MAX, sizeof *assembly->nodes);
    assembly->clients = calloc(SYSTEM_CLIENTS_MAX, sizeof *assembly->clients);
    assembly->rights = calloc(RIGHTS_MAX, sizeof *assembly->rights);
    if (!assembly->nodes || !assembly->clients || !assembly->rights) {
        assembly_free(assembly);
        return NULL;
    }
    assembly->system.protocol_version = CONFIG_PROTOCOL_VERSION;
    system_limits_default(&assembly->system.limits);
    system_timeouts_default(&assembly->system.timeouts);
    return assembly;
}

void assembly_free(struct assembly *assembly) {
    if (!assembly) return;
    free(assembly->nodes);
    free(assembly->clients);
    free(assembly->rights);
    free(assembly);
}

enum system_error assembly_add_cluster(struct assembly *assembly, bool shard, const struct card *nodes, uint32_t nodes_count,
                                       struct system_fault *fault) {
    uint32_t *count = shard ? &assembly->shards_count : &assembly->coordinators_count;
    if (*count == SYSTEM_CLUSTERS_MAX || nodes_count > CONFIG_MEMBERS_MAX) {
        return system_fault_set(fault, SYSTEM_TOO_LARGE, "at most %d clusters of a sort, at most %d nodes each", SYSTEM_CLUSTERS_MAX,
                                CONFIG_MEMBERS_MAX);
    }
    struct system_cluster *cluster = shard ? &assembly->shards[*count] : &assembly->coordinators[*count];
    struct card *to = assembly->nodes + assembly->nodes_count;
    memcpy(to, nodes, nodes_count * sizeof *nodes);
    cluster->cluster = (shard ? CONFIG_CLUSTER_SHARD : CONFIG_CLUSTER_COORDINATOR) + *count;
    cluster->nodes = to;
    cluster->nodes_count = nodes_count;
    assembly->nodes_count += nodes_count;
    (*count)++;
    return SYSTEM_OK;
}

enum system_error assembly_add_admin(struct assembly *assembly, const struct card *card, struct system_fault *fault) {
    if (assembly->system.admins_count == CONFIG_ADMINS_MAX) {
        return system_fault_set(fault, SYSTEM_TOO_LARGE, "at most %d administrators", CONFIG_ADMINS_MAX);
    }
    assembly->admins[assembly->system.admins_count++] = *card;
    return SYSTEM_OK;
}

static int right_compare(const void *a, const void *b) {
    const struct system_right *x = a, *y = b;
    size_t common = x->prefix_bytes < y->prefix_bytes ? x->prefix_bytes : y->prefix_bytes;
    int order = memcmp(x->prefix, y->prefix, common);
    if (order != 0) return order;
    return x->prefix_bytes < y->prefix_bytes ? -1 : x->prefix_bytes > y->prefix_bytes;
}

enum system_error assembly_add_client(struct assembly *assembly, const struct card *card, uint32_t quota_per_second, uint32_t quota_burst,
                                      const struct system_right *rights, uint32_t rights_count, struct system_fault *fault) {
    if (assembly->system.clients_count == SYSTEM_CLIENTS_MAX || rights_count > SYSTEM_RIGHTS_MAX) {
        return system_fault_set(fault, SYSTEM_TOO_LARGE, "at most %d clients, at most %d rules each", SYSTEM_CLIENTS_MAX, SYSTEM_RIGHTS_MAX);
    }
    struct system_client *client = &assembly->clients[assembly->system.clients_count++];
    struct system_right *to = assembly->rights + assembly->rights_count;
    if (rights_count > 0) memcpy(to, rights, rights_count * sizeof *rights);
    if (rights_count > 1) qsort(to, rights_count, sizeof *to, right_compare);
    client->card = *card;
    client->quota_per_second = quota_per_second;
    client->quota_burst = quota_burst;
    client->rights = to;
    client->rights_count = rights_count;
    assembly->rights_count += rights_count;
    return SYSTEM_OK;
}

static int admin_compare(const void *a, const void *b) {
    return memcmp(((const struct card *)a)->signing_key, ((const struct card *)b)->signing_key, 32);
}

static int client_compare(const void *a, const void *b) {
    return memcmp(((const struct system_client *)a)->card.id, ((const struct system_client *)b)->card.id, 32);
}

enum system_error assembly_finish(struct assembly *assembly, struct system_fault *fault) {
    struct system *system = &assembly->system;
    if (system->admins_count > 1) qsort(assembly->admins, system->admins_count, sizeof assembly->admins[0], admin_compare);
    if (system->clients_count > 1) qsort(assembly->clients, system->clients_count, sizeof assembly->clients[0], client_compare);
    memcpy(assembly->clusters, assembly->coordinators, assembly->coordinators_count * sizeof assembly->clusters[0]);
    memcpy(assembly->clusters + assembly->coordinators_count, assembly->shards, assembly->shards_count * sizeof assembly->clusters[0]);
    system->admins = assembly->admins;
    system->clusters = assembly->clusters;
    system->coordinators_count = assembly->coordinators_count;
    system->shards_count = assembly->shards_count;
    system->clients = assembly->clients;
    enum system_error error = system_check(system, false, fault);
    if (error) return error;
    return system_identify(system) ? SYSTEM_OK : system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
}

enum system_error assembly_write(const struct assembly *assembly, const char *path, struct system_fault *fault) {
    size_t text_bytes = 0;
    struct system *again = NULL;
    char *text = system_encode_json(&assembly->system, &text_bytes);
    if (!text) return system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
    /* Read back as every node will: what is handed out is known to load. */
    enum system_error error = system_parse(&again, text, text_bytes, fault);
    if (!error) {
        CHECK(memcmp(again->system_id, assembly->system.system_id, 16) == 0);
        error = canonical_write_new(path, text, text_bytes, 0644, fault);
    }
    system_free(again);
    free(text);
    return error;
}
