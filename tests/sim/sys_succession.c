/*
 * The successor of a simulated system (tests/sim/sys.h, spec/system.md 7.12): a world of its own, with nodes, keys and queues of its own, that begins
 * when the safety phase of the first is over. All clusters of that are ended by SEAL (one of them long before, maybe) and backed up; what the backups
 * hold is compared with what clients were told; administrators sign; nodes of the old system are shown it and leave; each node of the new one makes
 * its genesis from the origin's folder, by the product's node_inherit(), at each start until it has a checkpoint; clients go over with their journals
 * and send again what is unsettled. Then things go wrong again for a while, and the liveness phase is the successor's.
 */
#include "appliance/node/node.h"
#include "appliance/node/node_genesis.h"
#include "appliance/replica/replica_private.h"
#include "protocol/backup_folder.h"
#include "protocol/canonical.h"
#include "protocol/claim.h"
#include "protocol/successor.h"
#include "tests/sim/sys.h"

enum { STEP_MS = 100, LEAVE_MS = 1000, REST_MS = 15000, CHAIN_BYTES_MAX = 1 << 26 };

struct sys_origin {
    struct sys_world *before;
    uint8_t genesis_root[SYS_CLUSTERS_MAX][32]; /* of the successor's clusters that have an origin */
};

static const struct sys_origin *origin_of_nodes; /* for node_genesis_inherit(), which is told paths alone */

/* ---- the old system ends ---- */

bool sys_succession_due(const struct sys_world *world) {
    return world->origin == NULL && (world->config.faults >> SYS_SEAL & 1 || sys_burnt_any(world));
}

static void wait_or_fail(struct sys_world *world, const char *what) {
    uint64_t bound_ms = 2 * sys_world_bound_ms(world);
    if (world->now_us > world->healed_us + bound_ms * 1000)
        sys_fail(world, SYS_CHECK_ANSWERED, "%s %llu ms after everything had healed", what, (unsigned long long)bound_ms);
    sys_world_run_ms(world, STEP_MS);
}

/* The next cluster whose last state is not backed up; cluster_count: none. */
static uint32_t not_backed_up(const struct sys_world *world) {
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        const struct sys_backup *backup = sys_backup_of(world, c);
        if (!world->clusters[c].burnt && (backup == NULL || !backup->sealed)) return c;
    }
    return world->cluster_count;
}

/* Of a cluster that is lost, what those who are left of it have, if they give anything. */
static void back_up_the_rest(struct sys_world *world) {
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        if (!world->clusters[c].burnt) continue;
        uint64_t until_us = world->now_us + REST_MS * 1000;
        while (sys_backup_busy(world) && world->now_us < until_us) sys_world_run_ms(world, STEP_MS);
        sys_backup_take(world, c);
        while (sys_backup_busy(world) && world->now_us < until_us) sys_world_run_ms(world, STEP_MS);
        sys_backup_stop(world);
    }
}

static void end_all(struct sys_world *world) {
    world->closing = true;
    sys_world_heal(world);
    while (!sys_seal_all(world)) wait_or_fail(world, "a cluster is not sealed");
    back_up_the_rest(world);
    world->healed_us = world->now_us;
    for (uint32_t c; (c = not_backed_up(world)) < world->cluster_count;) {
        sys_backup_take(world, c); /* unless one is under way */
        wait_or_fail(world, "the last state of a cluster is not backed up");
    }
}

/* What the successor goes on from is what clients were told of. */
static bool entry_see(void *context, const struct checkpoint_entry *entry) {
    if (successor_keeps(entry)) sys_model_cut_entry(context, entry);
    return true;
}

static void cut_check(struct sys_world *world) {
    uint64_t cuts[SYS_SIDE_MAX];
    for (uint32_t c = world->config.coordinators; c < world->cluster_count; c++) {
        const struct sys_backup *backup = sys_backup_of(world, c);
        const struct backup_visit visit = {.context = world, .entry = entry_see};
        struct backup_folder *folder = NULL;
        struct backup_fault fault;
        cuts[c - world->config.coordinators] = world->clusters[c].burnt ? backup->height : UINT64_MAX;
        if (!world->clusters[c].burnt && backup->height != world->clusters[c].seal.height)
            sys_fail(world, SYS_CHECK_CUT, "the backup of 0x%x is of height %llu, and it is sealed at %llu", world->clusters[c].cluster,
                     (unsigned long long)backup->height, (unsigned long long)world->clusters[c].seal.height);
        bool good = backup_folder_open(&folder, backup->folder, world->system, &world->verifier, &fault) == BACKUP_OK &&
                    backup_folder_read(folder, &visit, &fault) == BACKUP_OK;
        CHECK(good); /* it was read when it was taken */
        backup_folder_close(folder);
    }
    sys_model_cut_end(world, cuts);
}

/* ---- the new system's file ---- */

void sys_succession_identity(struct sys_world *world) {
    struct sys_world *before = world->origin->before;
    struct system *system = world->system;
    system->succession = (uint16_t)(before->system->succession + 1);
    memcpy(system->system_id, system->file_hash, sizeof system->system_id);
    memcpy(system->predecessor_id, before->system->system_id, sizeof system->predecessor_id);
    memcpy(system->partition_key, before->system->partition_key, sizeof system->partition_key);
    uint32_t count = before->system->clients_count;
    struct system_client *clients = calloc(count, sizeof *clients);
    CHECK(clients != NULL);
    memcpy(clients, before->system->clients, count * sizeof *clients);
    system->clients = clients;
    system->clients_count = count;
    memcpy(world->client_keys, before->client_keys, sizeof world->client_keys);
    for (uint32_t i = 0; i < count; i++) world->client_keys[i].world = world;
}

void sys_succession_cluster(const struct sys_world *world, uint32_t index, struct system_cluster *cluster) {
    if (index < world->config.coordinators) return;
    const struct sys_backup *backup = sys_backup_of(world->origin->before, index);
    cluster->origin_height = backup->height;
    memcpy(cluster->origin_root, backup->root, sizeof cluster->origin_root);
}

const uint8_t *sys_succession_followed(const struct sys_world *world) {
    return world->origin != NULL ? world->origin->before->system->system_id : NULL;
}

/* ---- genesis ---- */

bool node_genesis_inherit(const struct node_config *config, const struct system *system, uint32_t cluster, struct executor *executor,
                          node_genesis_visit *visit, void *context, uint8_t root[32], char text[NODE_GENESIS_TEXT_BYTES]) {
    const struct sys_world *before = origin_of_nodes->before;
    const struct node_origin origin = {
        .backup = config->backup, .predecessor = before->system, .successor = system, .signer = before->verifier};
    return node_inherit(&origin, cluster, executor, visit, context, root, text);
}

void sys_succession_open(const struct sys_world *world, struct node *shell) {
    uint32_t index = sys_cluster_index(world, shell->cluster);
    shell->inherits = successor_has_origin(world->system, shell->cluster);
    if (!shell->inherits) return;
    snprintf(shell->config.backup, sizeof shell->config.backup, "%s", sys_backup_of(world->origin->before, index)->folder);
    memcpy(shell->genesis_root, world->origin->genesis_root[index], sizeof shell->genesis_root);
}

/* As `system init` does: made once, to know its root, which the disk of each node keeps. */
static void genesis_make(struct sys_world *world, uint32_t index) {
    uint32_t cluster = world->clusters[index].cluster;
    static struct node_config config;
    static char text[NODE_GENESIS_TEXT_BYTES];
    struct executor *executor = NULL;
    struct executor_config about = {.system = world->system, .cluster = cluster, .blocks_kept_max = EXEC_KEPT_MAX, .open_max = EXEC_OPEN_MAX};
    uint8_t *root = world->origin->genesis_root[index];
    snprintf(config.backup, sizeof config.backup, "%s", sys_backup_of(world->origin->before, index)->folder);
    CHECK(executor_create(&about, &executor) == EXEC_VALID);
    if (!node_genesis_inherit(&config, world->system, cluster, executor, NULL, NULL, root, text))
        sys_fail(world, SYS_CHECK_STOPPED, "no genesis of 0x%x can be made: %.200s", cluster, text);
    executor_destroy(executor);
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world->nodes[i].cluster_index != index) continue;
        struct iovec part = {.iov_base = root, .iov_len = 32};
        struct wal_record record = {.operation = WAL_PUT, .db = WAL_MISC, .parts = &part, .part_count = 1};
        replica_genesis_key(record.key);
        sys_disk_put(&world->nodes[i].wal, &record);
    }
}

/* ---- who says so ---- */

static void statement_check(struct sys_world *world, const struct claim_successor *statement, bool good) {
    struct sys_world *before = world->origin->before;
    char path[SYS_PATH_BYTES + 8];
    struct system_fault fault;
    size_t count = 0;
    uint32_t cluster = (uint32_t)sys_random(world, world->cluster_count);
    snprintf(path, sizeof path, "%s/chain", sys_backup_of(before, cluster)->folder);
    uint8_t *chain = (uint8_t *)canonical_read_file(path, CHAIN_BYTES_MAX, &count, &fault);
    CHECK(chain != NULL);
    bool valid = successor_verify(statement, before->system, chain, count, &before->verifier, world->system, &fault) == SYSTEM_OK;
    free(chain);
    if (valid != good)
        sys_fail(world, SYS_CHECK_CUT, "a statement of %u administrators is taken for %s: %.150s", statement->signatures_count,
                 valid ? "valid" : "not valid", fault.text);
}

/* Old nodes that run are shown it, as node_successor.c shows it. */
static void leave(struct sys_world *world, const struct claim_successor *statement) {
    struct sys_world *before = world->origin->before;
    struct system_fault fault;
    char name[SYS_NAME_BYTES];
    for (uint32_t i = 0; i < before->node_count; i++) {
        struct sys_node *node = &before->nodes[i];
        if (!node->up || node->liar) continue;
        const struct config *config = replica_config_in_force(sys_replica(node));
        if (claim_successor_verify(statement, config, world->system, &fault) != SYSTEM_OK)
            sys_fail(world, SYS_CHECK_CUT, "%s does not follow: %.150s", sys_end_name(before, i, name), fault.text);
        replica_successor(sys_replica(node), statement);
        sys_node_step(before, i);
    }
    sys_world_run_ms(before, LEAVE_MS);
    for (uint32_t i = 0; i < before->node_count; i++) {
        const struct sys_node *node = &before->nodes[i];
        if (!node->up || node->liar) continue;
        if (sys_replica(node)->retired == REPLICA_IN_OFFICE)
            sys_fail(world, SYS_CHECK_CUT, "%s was shown the successor, and is still in office", sys_end_name(before, i, name));
    }
}

static void statement_make(struct sys_world *world) {
    struct sys_world *before = world->origin->before;
    struct claim_successor *statement = calloc(1, sizeof *statement);
    CHECK(statement != NULL);
    memcpy(statement->predecessor_id, before->system->system_id, 16);
    memcpy(statement->successor_id, world->system->system_id, 16);
    memcpy(statement->successor_hash, world->system->file_hash, 32);
    sys_admin_statement(before, statement, 1);
    statement_check(world, statement, false);
    sys_admin_statement(before, statement, SYS_ADMINS_NEEDED);
    statement_check(world, statement, true);
    leave(world, statement);
    free(statement);
}

/* ---- going over ---- */

static void hand_over(struct sys_world *before, struct sys_world *world) {
    world->model = before->model;
    world->trace = before->trace;
    world->trace_hash = before->trace_hash;
    before->model = NULL;
    before->trace = NULL;
    memcpy(world->captured, before->captured, sizeof world->captured); /* what was signed for the old system means nothing here */
    world->captured_count = before->captured_count;
    before->captured_count = 0;
}

struct sys_world *sys_succession(struct sys_world *before) {
    struct sys_origin *origin = calloc(1, sizeof *origin);
    struct sys_config config = before->config;
    CHECK(origin != NULL);
    end_all(before);
    cut_check(before);
    origin->before = before;
    origin_of_nodes = origin;
    config.events = before->stats->events + config.events / 4;
    config.trace = NULL;
    config.faults &= ~(1u << SYS_SEAL | 1u << SYS_BURN); /* no third one */
    struct sys_world *world = sys_world_make(&config, before->stats, origin, before->now_us + LEAVE_MS * 1000);
    world->trace = before->trace;
    statement_make(world);
    for (uint32_t i = 0; i < before->node_count; i++) {
        if (before->nodes[i].up) sys_node_crash(before, i); /* for good */
    }
    hand_over(before, world);
    sys_clock_set(world->now_us);
    sys_trace(world, "the successor begins");
    sys_reached(world->stats, sys_burnt_any(before) ? "succession_after_fire" : "succession", 1);
    for (uint32_t c = world->config.coordinators; c < world->cluster_count; c++) genesis_make(world, c);
    sys_world_begin(world);
    for (uint32_t i = 0; i < world->config.clients; i++) sys_client_move(before, world, i);
    sys_model_again_end(world);
    return world;
}

void sys_succession_free(struct sys_world *world) {
    if (world->origin == NULL) return;
    sys_world_destroy(world->origin->before);
    free(world->origin);
}
