/*
 * Backups (tests/sim/sys.h): now and then an honest client takes one of a cluster, by the library's own backup*.c, over its links, from nodes of
 * which some lie about what they have, into real files. It is interrupted when the client crashes, and gone on with by whoever is next. A whole one
 * is read back and judged from the system file alone, and must be of a block that is final and of the state after it; nobody who is honest may be
 * named for a bad piece.
 */
#include <ftw.h>
#include <unistd.h>

#include "client/backup.h"
#include "tests/sim/sys_client.h"

enum { KEPT = 2 }; /* folders of a cluster: the newest whole one, and one that is being taken */

struct sys_backups {
    struct client_backup taking;
    bool busy;
    uint32_t client, cluster; /* of it, by index */
    struct sys_backup whole[SYS_CLUSTERS_MAX];
    uint32_t turn[SYS_CLUSTERS_MAX]; /* which folder is next */
};

/* ---- files ---- */

static void folder_of(const char *files, int process, uint32_t system, uint32_t cluster, uint32_t turn, char out[SYS_PATH_BYTES]) {
    snprintf(out, SYS_PATH_BYTES, "%.32s/heraclius-sim-%d-backup-%u-%u-%u", files, process, system, cluster, turn);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void folder_remove(const char *folder) {
    char part[SYS_PATH_BYTES + 8];
    snprintf(part, sizeof part, "%s.part", folder);
    if (access(folder, F_OK) == 0) (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (access(part, F_OK) == 0) (void)nftw(part, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void sys_backups_forget(const char *files, int process) {
    char folder[SYS_PATH_BYTES];
    for (uint32_t at = 0; at < SYS_SYSTEMS_MAX * SYS_CLUSTERS_MAX * KEPT; at++) {
        folder_of(files, process, at / (SYS_CLUSTERS_MAX * KEPT), at / KEPT % SYS_CLUSTERS_MAX, at % KEPT, folder);
        folder_remove(folder);
    }
}

static void turn_folder(const struct sys_world *world, uint32_t cluster, char out[SYS_PATH_BYTES]) {
    folder_of(sys_files_folder(), (int)getpid(), world->system->succession, cluster, world->backups->turn[cluster], out);
}

/* ---- one of them ---- */

void sys_backup_begin(struct sys_world *world) {
    if (!(world->config.faults & (1u << SYS_BACKUP | 1u << SYS_SEAL | 1u << SYS_BURN))) return;
    world->backups = calloc(1, sizeof *world->backups);
    CHECK(world->backups != NULL);
}

static void note(void *context, const char *line) {
    struct sys_world *world = context;
    sys_trace(world, "client%u backs up %s", world->backups->client, line);
}

static void end(struct sys_world *world) {
    client_backup_end(&world->backups->taking);
    world->backups->busy = false;
}

/* No node is named that is sound. */
static void named_check(struct sys_world *world) {
    const struct sys_backups *own = world->backups;
    const struct sys_client *client = world->clients[own->client];
    char name[SYS_NAME_BYTES];
    for (uint32_t i = 0; i < own->taking.peer_count; i++) {
        const struct backup_peer *peer = &own->taking.peers[i];
        uint8_t end_of = client->ends[peer->node->index];
        if (!peer->bad || end_of == UINT8_MAX || world->nodes[end_of].faulty || world->nodes[end_of].liar) continue;
        sys_fail(world, SYS_CHECK_ORDER, "a backup names %s, which is honest, for what it sent", sys_end_name(world, end_of, name));
    }
}

/* As `heraclius verify` judges it. */
static void whole(struct sys_world *world) {
    struct sys_backups *own = world->backups;
    struct sys_backup *kept = &own->whole[own->cluster];
    struct backup_folder *folder = NULL;
    struct backup_fault fault = {.error = BACKUP_OK};
    char path[SYS_PATH_BYTES];
    turn_folder(world, own->cluster, path);
    enum backup_error error = backup_folder_open(&folder, path, world->system, &world->verifier, &fault);
    if (!error) error = backup_folder_read(folder, NULL, &fault);
    if (error) sys_fail(world, SYS_CHECK_ROOT, "a backup that was taken is none: %.60s: %.150s", fault.file, fault.text);
    const struct checkpoint_shown *shown = backup_shown(folder->backup);
    sys_check_backup(world, own->cluster, shown->manifest.height, shown->manifest.block_id, shown->manifest.state_root);
    if (kept->folder[0] != '\0' && kept->height > shown->manifest.height) { /* who is left has but an older one */
        backup_folder_close(folder);
        folder_remove(path);
        return;
    }
    if (kept->folder[0] != '\0') folder_remove(kept->folder);
    *kept = (struct sys_backup){.height = shown->manifest.height, .sealed = shown->sealed};
    memcpy(kept->root, shown->manifest.state_root, sizeof kept->root);
    memcpy(kept->folder, path, sizeof kept->folder);
    own->turn[own->cluster] = 1 - own->turn[own->cluster];
    sys_reached(world->stats, kept->sealed ? "backup_of_sealed" : "backup_whole", 1);
    sys_mix(world, kept->height);
    backup_folder_close(folder);
}

void sys_backup_take(struct sys_world *world, uint32_t cluster) {
    struct sys_backups *own = world->backups;
    if (own->busy) return;
    char folder[SYS_PATH_BYTES];
    own->cluster = cluster;
    own->client = (uint32_t)sys_random(world, world->config.clients);
    turn_folder(world, cluster, folder);
    if (access(folder, F_OK) == 0) { /* whole already: whoever took it ended before it said so */
        whole(world);
        return;
    }
    bool good = client_backup_begin(&own->taking, &world->clients[own->client]->db, world->clusters[cluster].cluster, folder, note, world);
    CHECK(good);
    own->busy = true;
    sys_fault_count(world, SYS_BACKUP, NULL);
}

static void backup_failed(struct sys_world *world) {
    sys_reached(world->stats, "backup_failed", 1);
    note(world, world->backups->taking.why);
}

void sys_backup_stop(struct sys_world *world) {
    if (world->backups->busy) end(world);
}

bool sys_backup_busy(const struct sys_world *world) {
    return world->backups->busy;
}

void sys_backup_poll(struct sys_world *world, uint32_t client) {
    struct sys_backups *own = world->backups;
    if (!own->busy || own->client != client) return;
    client_backup_tick(&own->taking, world->now_us / 1000);
    named_check(world);
    if (own->taking.phase < BACKUP_WHOLE) return;
    if (own->taking.phase == BACKUP_WHOLE) whole(world);
    else backup_failed(world);
    end(world);
}

void sys_backup_client_gone(struct sys_world *world, uint32_t client) {
    struct sys_backups *own = world->backups;
    if (own == NULL || !own->busy || own->client != client) return;
    sys_reached(world->stats, "backup_interrupted", 1);
    end(world);
}

const struct sys_backup *sys_backup_of(const struct sys_world *world, uint32_t cluster) {
    const struct sys_backup *kept = &world->backups->whole[cluster];
    return kept->folder[0] == '\0' ? NULL : kept;
}

void sys_backup_free(struct sys_world *world) {
    char folder[SYS_PATH_BYTES];
    for (uint32_t at = 0; world->backups != NULL && at < world->cluster_count * KEPT; at++) {
        folder_of(sys_files_folder(), (int)getpid(), world->system->succession, at / KEPT, at % KEPT, folder);
        folder_remove(folder);
    }
    free(world->backups);
}
