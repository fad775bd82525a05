/* heraclius backup: a certified checkpoint of each cluster, as files (spec/durability.md P-50, P-80). */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/backup.h"
#include "client/cmd_config_inside.h"
#include "client/command.h"
#include "ring/clock.h"

enum { STATUS_WAIT_MS = 3000, POLL_MS = 20, SHOW_MS = 5000, NONE_MS = 5000, YOUNG_BLOCKS = 64 };

struct partition {
    uint32_t cluster;
    char name[16], folder[PATH_MAX];
    bool begun, there; /* there: whole already, of an earlier run */
    uint64_t stated;   /* height that f+1 nodes stated when it began; 0: not so many did */
    struct client_backup backup;
    uint64_t none_ms; /* until then it may yet show that there is a checkpoint */
};

struct taking {
    const struct command *command;
    struct heraclius *db;
    struct partition *partitions;
    uint32_t count;
    uint64_t shown_ms;
};

static void note(void *context, const char *line) {
    (void)context;
    fprintf(stderr, "%s\n", line);
}

/* ---- what may be done ---- */

/* P-50, so that a refusal has a reason: nodes answer such a question with silence. */
static int rights_check(const struct heraclius *db, const struct taking *t) {
    const struct system_client *client = NULL;
    bool all = false, shards = false;
    for (uint32_t i = 0; i < db->system->clients_count; i++) {
        if (memcmp(db->system->clients[i].card.id, db->key.card_id, 32) == 0) client = &db->system->clients[i];
    }
    for (uint32_t i = 0; client != NULL && i < client->rights_count; i++)
        all |= client->rights[i].prefix_bytes == 0 && (client->rights[i].flags & SYSTEM_RIGHT_READ) != 0;
    for (uint32_t i = 0; i < t->count; i++) shards |= config_cluster_is_shard(t->partitions[i].cluster);
    if (client == NULL && shards)
        return command_fail(EXIT_REFUSED, "this client was enrolled later: shards know the clients of the system file alone; use one of those");
    if (client != NULL && !all && shards)
        return command_fail(EXIT_REFUSED, "this client may not read every key (a rule r with an empty prefix): a backup shows all of them");
    return EXIT_DONE;
}

static int partitions_find(struct taking *t, const struct system *system) {
    uint32_t clusters = system->coordinators_count + system->shards_count;
    t->partitions = calloc(clusters, sizeof *t->partitions);
    if (t->partitions == NULL) return command_fail(EXIT_USAGE, "no memory");
    for (uint32_t i = 0; i < clusters; i++) {
        struct partition *partition = &t->partitions[t->count];
        partition->cluster = system->clusters[i].cluster;
        cmd_config_cluster_name(partition->cluster, partition->name);
        bool wanted = t->command->clusters == NULL;
        for (const char **name = t->command->clusters; name != NULL && *name != NULL; name++) wanted |= strcmp(*name, partition->name) == 0;
        if (!wanted) continue;
        if ((size_t)snprintf(partition->folder, sizeof partition->folder, "%s/%s", t->command->out, partition->name) >= sizeof partition->folder - 8)
            return command_fail(EXIT_USAGE, "%s: the path is too long", t->command->out);
        t->count++;
    }
    for (const char **name = t->command->clusters; name != NULL && *name != NULL; name++) {
        uint32_t cluster;
        if (!cmd_config_cluster(*name, system, &cluster)) return EXIT_USAGE;
    }
    return EXIT_DONE;
}

/* Is this the name of one of the system's partitions, whole or in part? */
static bool is_ours(const struct system *system, const char *file) {
    for (uint32_t i = 0; i < system->coordinators_count + system->shards_count; i++) {
        char name[16], part[24];
        cmd_config_cluster_name(system->clusters[i].cluster, name);
        (void)snprintf(part, sizeof part, "%s.part", name);
        if (strcmp(file, name) == 0 || strcmp(file, part) == 0) return true;
    }
    return false;
}

/* All names in a folder that is there pass; "": it is not there. */
static int folder_check(const struct system *system, const char *path, bool part) {
    DIR *directory = opendir(path);
    const struct dirent *entry;
    int code = EXIT_DONE;
    if (directory == NULL && errno == ENOENT) return EXIT_DONE;
    if (directory == NULL) return command_fail(EXIT_USAGE, "%s: %s", path, strerror(errno));
    while (code == EXIT_DONE && (entry = readdir(directory)) != NULL) {
        struct backup_name name;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        bool good = part ? backup_name_parse(entry->d_name, &name) : is_ours(system, entry->d_name);
        if (!good)
            code = command_fail(EXIT_USAGE, "%s: holds %s, which is no part of a backup of this system: give an empty or new folder", path,
                                entry->d_name);
    }
    (void)closedir(directory);
    return code;
}

/* A partition that is whole already is checked, and left as it is. */
static int partition_look(struct taking *t, struct partition *partition) {
    struct backup_folder *folder = NULL;
    struct backup_fault fault;
    struct stat status;
    char part[PATH_MAX + 8];
    (void)snprintf(part, sizeof part, "%s.part", partition->folder);
    int code = folder_check(t->db->system, part, true);
    if (code != EXIT_DONE || stat(partition->folder, &status) != 0) return code;
    enum backup_error error = backup_folder_open(&folder, partition->folder, t->db->system, &t->db->signer, &fault);
    if (!error && backup_shown(folder->backup)->manifest.cluster != partition->cluster)
        error = backup_fault_set(&fault, BACKUP_FOREIGN, "checkpoint", "it is of another cluster");
    if (!error) error = backup_folder_read(folder, NULL, &fault);
    partition->there = error == BACKUP_OK;
    backup_folder_close(folder);
    if (partition->there) return EXIT_DONE;
    return command_fail(EXIT_USAGE, "%s/%s: there is something, and it is no valid backup: %s: move it away, or give another folder",
                        partition->folder, fault.file, fault.text);
}

static int folders_look(struct taking *t) {
    int code = folder_check(t->db->system, t->command->out, false);
    if (code != EXIT_DONE) return code;
    if (mkdir(t->command->out, 0700) != 0 && errno != EEXIST) return command_fail(EXIT_USAGE, "%s: %s", t->command->out, strerror(errno));
    for (uint32_t i = 0; i < t->count && code == EXIT_DONE; i++) code = partition_look(t, &t->partitions[i]);
    return code;
}

/* ---- taking ---- */

static int by_height(const void *a, const void *b) {
    const uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return (first < second) - (first > second);
}

/* The height that f+1 nodes state, one of whom is honest. */
static void heights_ask(struct taking *t) {
    const struct heraclius_node_status *nodes;
    size_t count;
    (void)heraclius_nodes(t->db, STATUS_WAIT_MS, &nodes, &count);
    for (uint32_t i = 0; i < t->count; i++) {
        uint64_t heights[BFT_MEMBERS_MAX];
        uint32_t heard = 0, f = config_faults(client_chain_config(t->db, t->partitions[i].cluster)->members.count);
        for (size_t k = 0; k < count && heard < BFT_MEMBERS_MAX; k++) {
            if (nodes[k].cluster == t->partitions[i].cluster && nodes[k].heard) heights[heard++] = nodes[k].height;
        }
        if (heard > 0) qsort(heights, heard, sizeof *heights, by_height);
        t->partitions[i].stated = heard > f ? heights[f] : 0;
    }
}

static void progress_show(struct taking *t, uint64_t now_ms) {
    if (now_ms - t->shown_ms < SHOW_MS) return;
    t->shown_ms = now_ms;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct client_backup *backup = &t->partitions[i].backup;
        if (!t->partitions[i].begun || (backup->phase != BACKUP_PIECES && backup->phase != BACKUP_ITEMS)) continue;
        fprintf(stderr, "%s: %u of %u pieces, %u of %u items, %" PRIu64 " MiB\n", backup->name, backup->pieces_kept, backup->piece_count,
                backup->items_kept, backup->item_count, backup->bytes >> 20);
    }
}

static uint32_t showed_count(const struct client_backup *backup) {
    uint32_t showed = 0;
    for (uint32_t i = 0; i < backup->peer_count; i++) showed += backup->peers[i].showed;
    return showed;
}

/* More than f nodes answered, and none has a checkpoint: it comes with blocks, not with waiting. */
static bool none_yet(const struct client_backup *backup) {
    return backup->phase == BACKUP_ASKING && backup->candidate_count == 0 && showed_count(backup) > backup->f;
}

/* And by its height there can be none: what is asked for first may take its nodes a while to show. */
static bool none_can_be(const struct partition *partition) {
    const struct config *config = client_chain_config(partition->backup.db, partition->cluster);
    return none_yet(&partition->backup) && (partition->stated & UINT64_C(0xFFFFFFFFFFFF)) <= config->limits.checkpoint_blocks;
}

/* Until all are whole or failed, or nothing has come for so long. */
static void run(struct taking *t) {
    uint64_t stall_ms = (uint64_t)t->command->stall_s * 1000, moved_ms = ring_clock_ms();
    for (bool busy = true; busy;) {
        uint64_t now_ms = ring_clock_ms();
        busy = false;
        for (uint32_t i = 0; i < t->count; i++) {
            struct client_backup *backup = &t->partitions[i].backup;
            if (!t->partitions[i].begun) continue;
            client_backup_tick(backup, now_ms);
            if (!none_can_be(&t->partitions[i])) t->partitions[i].none_ms = now_ms + NONE_MS; /* also when it begins again with a newer one */
            busy |= backup->phase < BACKUP_WHOLE && now_ms < t->partitions[i].none_ms;
            if (backup->moved_ms > moved_ms) moved_ms = backup->moved_ms;
        }
        if (ring_clock_ms() - moved_ms >= stall_ms) return;
        progress_show(t, now_ms);
        if (busy) (void)heraclius_poll(t->db, POLL_MS);
    }
}

/* ---- how it ended ---- */

static void stalled_why(const struct partition *partition) {
    const struct client_backup *backup = &partition->backup;
    const struct config *config = client_chain_config(backup->db, partition->cluster);
    uint32_t showed = showed_count(backup), up = 0;
    for (uint32_t i = 0; i < backup->peer_count; i++) up += backup->peers[i].node->state == NODE_UP;
    if (backup->phase != BACKUP_ASKING)
        fprintf(stderr, "%s: not whole: %u of %u pieces and %u of %u items came, %u of %u nodes are linked; the same command goes on with it\n",
                partition->name, backup->pieces_kept, backup->piece_count, backup->items_kept, backup->item_count, up, backup_members(backup));
    else if (none_yet(backup))
        fprintf(stderr,
                "%s: no checkpoint yet: %u nodes answered, and none has one to show; one is made every %u blocks, and shown when the next block "
                "is final (the cluster states height %" PRIu64 ")\n",
                partition->name, showed, config->limits.checkpoint_blocks, partition->stated);
    else
        fprintf(stderr, "%s: %u of %u nodes are linked, %u showed what they have: too few\n", partition->name, up, backup_members(backup), showed);
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        const struct node *node = backup->peers[i].node;
        if (node->card && node->state != NODE_UP && node->why[0]) fprintf(stderr, "%s:   %s: %s\n", partition->name, node->card->name, node->why);
    }
}

/* Of a cluster that has no checkpoint yet: how many blocks before there is one and it is shown; else 0. */
static uint32_t blocks_lacking(const struct partition *partition) {
    const struct config *config = client_chain_config(partition->backup.db, partition->cluster);
    uint32_t each = config->limits.checkpoint_blocks;
    return none_yet(&partition->backup) ? each + 1 - (uint32_t)((partition->stated & UINT64_C(0xFFFFFFFFFFFF)) % each) : 0;
}

/* How a cluster without a checkpoint comes to one, which lacks so many blocks; one is made each so many. */
static void none_yet_hint(uint32_t blocks, uint32_t each) {
    fprintf(stderr,
            "to have one: writes make blocks, some ten a second (heraclius bench --mix put --users 1 --seconds %u --out DIR), or lower "
            "checkpoint_blocks by a CONFIG\n",
            blocks / 10 + 10);
    if (each > YOUNG_BLOCKS)
        fprintf(stderr, "to try backups on a system of this machine: one that is begun with make start SET=checkpoint_blocks=%d has them soon\n",
                YOUNG_BLOCKS);
}

/* A whole one, from its files. */
static int partition_print(struct taking *t, const struct partition *partition, json_t *all) {
    struct backup_folder *folder = NULL;
    struct backup_fault fault;
    if (backup_folder_open(&folder, partition->folder, t->db->system, &t->db->signer, &fault) != BACKUP_OK)
        return command_fail(EXIT_USAGE, "%s/%s: %s", partition->folder, fault.file, fault.text);
    uint64_t height = backup_shown(folder->backup)->manifest.height;
    if (all != NULL) {
        json_t *object = command_backup_json(folder->backup, partition->folder);
        json_object_set_new(object, "already_there", json_boolean(partition->there));
        json_object_set_new(object, "stated_height", json_integer((json_int_t)partition->stated));
        json_array_append_new(all, object);
    } else {
        command_backup_print(folder->backup, partition->folder);
        if (partition->there) puts("  was there already, of an earlier run");
        else if (partition->stated > height)
            printf("  %-12s %" PRIu64 " blocks: f+1 nodes stated height %" PRIu64 " when it began\n", "not in it", partition->stated - height,
                   partition->stated);
    }
    backup_folder_close(folder);
    return EXIT_DONE;
}

static int report(struct taking *t) {
    json_t *all = t->command->json ? json_array() : NULL;
    int code = EXIT_DONE;
    uint32_t lacking = 0;
    bool any = false;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct partition *partition = &t->partitions[i];
        int one = EXIT_DONE;
        if (partition->there || partition->backup.phase == BACKUP_WHOLE) {
            one = partition_print(t, partition, all);
            any = true;
        } else if (partition->backup.phase == BACKUP_FAILED) {
            one = command_fail(EXIT_USAGE, "%s: %s", partition->name, partition->backup.why);
        } else {
            stalled_why(partition);
            uint32_t blocks = blocks_lacking(partition);
            if (blocks > lacking) lacking = blocks;
            one = EXIT_UNANSWERED;
        }
        if (one > code) code = one;
    }
    if (lacking > 0) none_yet_hint(lacking, t->db->system->limits.checkpoint_blocks);
    if (all != NULL) command_print_json(json_pack("{s:b,s:o}", "whole", code == EXIT_DONE, "partitions", all));
    else if (any) puts("check it later and elsewhere: heraclius -s SYSTEM verify DIR; keep the system file with it");
    return code;
}

static int take_all(struct taking *t) {
    int code = partitions_find(t, t->db->system);
    if (code == EXIT_DONE) code = rights_check(t->db, t);
    if (code == EXIT_DONE) code = folders_look(t);
    if (code != EXIT_DONE) return code;
    bool any = false;
    for (uint32_t i = 0; i < t->count; i++) any |= !t->partitions[i].there;
    if (any) heights_ask(t);
    for (uint32_t i = 0; i < t->count; i++) {
        struct partition *partition = &t->partitions[i];
        if (partition->there) continue;
        partition->begun = client_backup_begin(&partition->backup, t->db, partition->cluster, partition->folder, note, NULL);
        if (!partition->begun) return command_fail(EXIT_USAGE, "%s: %s", partition->folder, partition->backup.why);
    }
    if (any) run(t);
    code = report(t);
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->partitions[i].begun) client_backup_end(&t->partitions[i].backup);
    }
    return code;
}

int command_backup(const struct command *command) {
    struct taking taking = {.command = command};
    int code;
    if (command->out == NULL) return command_fail(EXIT_USAGE, "usage: heraclius backup --out DIR [--cluster NAME]... (--help tells its options)");
    if (command->stall_s < 1 || command->stall_s > 86400) return command_fail(EXIT_USAGE, "--timeout is 1 to 86400 seconds");
    taking.db = command_open(command, &code);
    if (taking.db == NULL) return code;
    code = take_all(&taking);
    free(taking.partitions);
    heraclius_close(taking.db);
    return code;
}
