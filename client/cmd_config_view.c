/* heraclius config: chains and operations as people read them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd_config_inside.h"
#include "protocol/canonical.h"

bool cmd_config_cluster(const char *word, const struct system *system, uint32_t *cluster) {
    char *end = NULL;
    unsigned long index = word[0] ? strtoul(word + 1, &end, 10) : 0;
    bool shard = word[0] == 's';
    bool good = (shard || word[0] == 'c') && word[1] >= '0' && word[1] <= '9' && *end == 0 &&
                index < (shard ? system->shards_count : system->coordinators_count);
    if (good) *cluster = (shard ? (uint32_t)CONFIG_CLUSTER_SHARD : (uint32_t)CONFIG_CLUSTER_COORDINATOR) + (uint32_t)index;
    else (void)cmd_fail("'%s' is no cluster of this system: c0 to c%u, s0 to s%u", word, system->coordinators_count - 1, system->shards_count - 1);
    return good;
}

void cmd_config_cluster_name(uint32_t cluster, char out[16]) {
    snprintf(out, 16, "%c%u", config_cluster_is_shard(cluster) ? 's' : 'c', config_cluster_index(cluster));
}

/* ---- a chain ---- */

static bool cards_keep(struct config_view *view, const struct admin_op *operation) {
    if (view->card_count + operation->nodes_count > VIEW_CARDS_MAX) return true; /* then shown by their ids */
    struct card *grown = realloc(view->cards, (view->card_count + operation->nodes_count + 1) * sizeof *grown);
    if (!grown) return false;
    view->cards = grown;
    for (uint32_t i = 0; i < operation->nodes_count; i++) view->cards[view->card_count++] = operation->nodes[i];
    return true;
}

bool cmd_config_view_open(struct config_view *view, struct system *system, uint32_t cluster, const char *path, const uint8_t *payload, size_t bytes) {
    *view = (struct config_view){.system = system, .cluster = cluster, .chain = malloc(sizeof *view->chain)};
    struct signer signer = signer_ed25519(NULL);
    struct system_fault fault = {.text = "no memory"};
    struct config_chain_reader reader = {.left = 0};
    const uint8_t *entry;
    size_t entry_bytes;
    if (!view->chain) return cmd_fail("%s", fault.text), false;
    if (!config_chain_genesis(view->chain, system, cluster))
        return cmd_fail("%s: of cluster 0x%08x, which this system does not have: of another system?", path, cluster), false;
    enum system_error error = bytes > 0 ? config_chain_read(&reader, cluster, payload, bytes, &fault) : SYSTEM_OK;
    while (!error && bytes > 0 && config_chain_next(&reader, &entry, &entry_bytes)) {
        if (reader.serial != view->chain->config.members.serial + 1) {
            error = system_fault_set(&fault, SYSTEM_SERIAL, "its entries do not begin with serial 1");
            break;
        }
        struct config *before = malloc(sizeof *before);
        if (before) *before = view->chain->config;
        free(view->before);
        view->before = before;
        error = before ? config_chain_step(view->chain, entry, entry_bytes, &signer, &fault) : SYSTEM_NOTHING_FREE;
        if (!error && !cards_keep(view, &view->chain->operation)) error = SYSTEM_NOTHING_FREE;
    }
    if (!error && bytes > 0) error = config_chain_read_end(&reader, &fault);
    if (error) (void)cmd_fail("%s: %s", path, fault.text);
    return !error;
}

void cmd_config_view_close(struct config_view *view) {
    free(view->chain);
    free(view->before);
    free(view->cards);
    *view = (struct config_view){0};
}

static const struct card *card_of(const struct config_view *view, const struct admin_op *operation, const uint8_t node_id[32]) {
    const struct card *card = system_node_by_id(view->system, node_id, NULL, NULL);
    for (uint32_t i = 0; !card && i < view->card_count; i++) card = memcmp(view->cards[i].id, node_id, 32) == 0 ? &view->cards[i] : NULL;
    for (uint32_t i = 0; operation && !card && i < operation->nodes_count; i++)
        card = memcmp(operation->nodes[i].id, node_id, 32) == 0 ? &operation->nodes[i] : NULL;
    return card;
}

const char *cmd_config_node_name(const struct config_view *view, const struct admin_op *operation, const uint8_t node_id[32], char out[40]) {
    const struct card *card = card_of(view, operation, node_id);
    if (card) snprintf(out, 40, "%s", card->name);
    else canonical_hex_print(node_id, 16, out);
    return out;
}

int cmd_config_member(const struct config_view *view, const char *word) {
    const struct config_members *members = &view->chain->config.members;
    for (uint32_t i = 0; i < members->count; i++) {
        char name[40], id[65];
        canonical_hex_print(members->members[i].node_id, 32, id);
        if (strcmp(cmd_config_node_name(view, NULL, members->members[i].node_id, name), word) == 0 || strcmp(id, word) == 0) return (int)i;
    }
    (void)cmd_fail("'%s' is no member of the cluster in epoch %" PRIu64, word, members->serial);
    return -1;
}

/* ---- an operation ---- */

static bool same_member(const struct config_members *members, const struct config_member *member) {
    int at = config_member_by_node_id(members, member->node_id);
    return at >= 0 && memcmp(&members->members[at], member, sizeof *member) == 0;
}

static void members_print(const struct config_view *view, const struct admin_op *operation) {
    const struct config_members *now = &view->chain->config.members, *next = &operation->config.members;
    char name[40], id[65];
    for (uint32_t i = 0; i < now->count; i++) {
        if (same_member(next, &now->members[i])) continue;
        canonical_hex_print(now->members[i].node_id, 32, id);
        printf("  - member %-24s %s\n", cmd_config_node_name(view, operation, now->members[i].node_id, name), id);
    }
    for (uint32_t i = 0; i < next->count; i++) {
        int at = config_member_by_node_id(now, next->members[i].node_id);
        canonical_hex_print(next->members[i].node_id, 32, id);
        if (same_member(now, &next->members[i])) {
            cmd_config_node_name(view, operation, next->members[i].node_id, name);
            if ((uint32_t)at != i) printf("    member %-24s %s moves from place %d to %u\n", name, id, at, i);
            continue;
        }
        printf("  + member %-24s %s at place %u\n", cmd_config_node_name(view, operation, next->members[i].node_id, name), id, i);
    }
}

static uint32_t rows_print(const void *now, const void *next, const struct system_limit_row *rows, size_t count) {
    uint32_t changed = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t old = system_limit_get(now, &rows[i]), new = system_limit_get(next, &rows[i]);
        if (old == new) continue;
        printf("  %-26s %14" PRIu64 " -> %" PRIu64 "\n", rows[i].name, old, new);
        changed++;
    }
    return changed;
}

static bool is_admin(const struct config *config, const uint8_t key[32]) {
    bool is = false;
    for (uint32_t i = 0; i < config->admins_count; i++) is = is || memcmp(config->admins[i].key, key, 32) == 0;
    return is;
}

static void config_print(const struct config_view *view, const struct admin_op *operation) {
    const struct config *now = &view->chain->config, *next = &operation->config;
    members_print(view, operation);
    uint32_t rows = rows_print(&now->limits, &next->limits, system_limit_rows, SYSTEM_LIMITS_COUNT);
    rows += rows_print(&now->timeouts, &next->timeouts, system_timeout_rows, SYSTEM_TIMEOUTS_COUNT);
    if (now->protocol_version != next->protocol_version)
        printf("  active protocol version     %14u -> %u: a node that does not know it stops\n", now->protocol_version, next->protocol_version);
    bool admins = now->admins_needed != next->admins_needed || now->admins_count != next->admins_count ||
                  memcmp(now->admins, next->admins, now->admins_count * sizeof now->admins[0]) != 0;
    if (admins)
        printf("  administrators: %u of %u must sign -> %u of %u\n", now->admins_needed, now->admins_count, next->admins_needed, next->admins_count);
    uint32_t f_now = config_faults(now->members.count), f_next = config_faults(next->members.count);
    printf("  then %u members; goes on with %u of them down or lying (now %u of %u)\n", next->members.count, f_next, f_now, now->members.count);
    if (f_next < f_now)
        printf("  WARNING: fewer faults are tolerated than now. Sign only if you know that at most %u of its members is down or lies.\n", f_next);
    if (rows == 0 && !admins && memcmp(&now->members.members, &next->members.members, sizeof now->members.members) == 0 &&
        now->protocol_version == next->protocol_version)
        printf("  changes nothing but the epoch\n");
}

void cmd_config_print(const struct config_view *view, const struct admin_op *operation) {
    char cluster[16], hex[65];
    cmd_config_cluster_name(operation->cluster, cluster);
    printf("%s of cluster %s, serial %" PRIu64 " (in force: %" PRIu64 ")\n", operation->kind == ADMIN_OP_SEAL ? "SEAL" : "CONFIG", cluster,
           operation->serial, view->chain->config.members.serial);
    if (operation->kind == ADMIN_OP_SEAL)
        printf("  WARNING: the cluster ends with it, for ever. Only a successor system goes on from its last state.\n");
    else
        config_print(view, operation);
    canonical_hex_print(operation->hash, 32, hex);
    printf("  hash %s: compare it by another way before you sign\n", hex);
    uint32_t good = 0;
    for (uint32_t i = 0; i < operation->signatures_count; i++) good += is_admin(&view->chain->config, operation->signatures[i].key);
    printf("  signed by %u of the %u administrators, %u must\n", good, view->chain->config.admins_count, view->chain->config.admins_needed);
    struct system_fault fault = {.text = ""};
    enum system_error error = admin_op_verify(operation, &view->chain->config, NULL, &fault);
    if (error && error != SYSTEM_SIGNATURES_TOO_FEW) printf("  IT WOULD HAVE NO EFFECT: %s\n", fault.text);
}

/* D-32 */
bool cmd_config_limits_fit(const struct config_view *view, const struct config *config) {
    struct system_fault fault;
    enum system_error error = system_limits_follow(&view->system->limits, &view->chain->config.limits, &config->limits, &fault);
    if (error) (void)cmd_fail("it would have no effect: %s", fault.text);
    return !error;
}
