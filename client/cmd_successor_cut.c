/* heraclius successor: the cut. What each partition goes on from, and what lies above it (spec/system.md 7.12, DESIGN section 5). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd_successor_inside.h"
#include "client/command.h"
#include "protocol/backup_folder.h"
#include "protocol/canonical.h"
#include "protocol/successor.h"

enum { QUEUES_MAX = SYSTEM_CLUSTERS_MAX, CLIENTS_SHOWN_MAX = 16, HEIGHT_BITS = 48 };

/* What one backup says that matters to the others. */
struct cut {
    uint32_t cluster;
    uint64_t height, time, epoch, keys, bytes;
    uint8_t root[32];
    uint64_t consumed[QUEUES_MAX]; /* by the other cluster's index: a shard, of each coordinator's slices */
    uint64_t sent[QUEUES_MAX];     /* a coordinator, to each shard */
    const struct system *new;
    bool sealed; /* the cluster ended there */
    uint32_t clients_missing, clients_revoked;
    uint8_t missing[CLIENTS_SHOWN_MAX][32], revoked[CLIENTS_SHOWN_MAX][32];
};

static void name_of(uint32_t cluster, char out[16]) {
    snprintf(out, 16, "%c%u", config_cluster_is_shard(cluster) ? 's' : 'c', config_cluster_index(cluster));
}

/* ---- reading ---- */

static bool has_client(const struct system *system, const uint8_t id[32]) {
    for (uint32_t i = 0; i < system->clients_count; i++) {
        if (memcmp(system->clients[i].card.id, id, 32) == 0) return true;
    }
    return false;
}

/* 'k' records (D-31): who is a client at the cut, and who was revoked. */
static void client_take(struct cut *cut, const struct checkpoint_entry *entry) {
    const uint8_t *id = entry->key + 1;
    bool revoked = entry->value_bytes > 1 && entry->value[1] == 1, kept = has_client(cut->new, id);
    if (!revoked && !kept && cut->clients_missing++ < CLIENTS_SHOWN_MAX) memcpy(cut->missing[cut->clients_missing - 1], id, 32);
    if (revoked && kept && cut->clients_revoked++ < CLIENTS_SHOWN_MAX) memcpy(cut->revoked[cut->clients_revoked - 1], id, 32);
}

static bool entry_take(void *context, const struct checkpoint_entry *entry) {
    struct cut *cut = context;
    if (entry->space == TRIE_SPACE_USER) {
        cut->keys++;
        cut->bytes += entry->key_bytes + entry->value_bytes;
        return true;
    }
    bool pair = entry->key_bytes == 5 && entry->value_bytes >= 8 && (entry->key[0] == 'c' || entry->key[0] == 'q');
    uint32_t other = pair ? config_cluster_index(bytes_get_le32(entry->key + 1)) : QUEUES_MAX;
    if (other < QUEUES_MAX) *(entry->key[0] == 'c' ? &cut->consumed[other] : &cut->sent[other]) = bytes_get_le64(entry->value);
    if (entry->key[0] == 'k' && entry->key_bytes == 33) client_take(cut, entry);
    return true;
}

static bool cut_read(const struct succession *succession, const char *path, struct cut *cut) {
    struct signer signer = signer_ed25519(NULL);
    struct backup_folder *folder = NULL;
    struct backup_fault fault = {.error = BACKUP_OK};
    *cut = (struct cut){.new = succession->new};
    enum backup_error error = backup_folder_open(&folder, path, succession->old, &signer, &fault);
    if (!error) {
        const struct checkpoint_shown *shown = backup_shown(folder->backup);
        cut->cluster = shown->manifest.cluster;
        cut->height = shown->manifest.height;
        cut->epoch = shown->manifest.epoch;
        cut->time = shown->header.time;
        cut->sealed = shown->sealed;
        memcpy(cut->root, shown->manifest.state_root, sizeof cut->root);
        struct system_fault window;
        if (config_cluster_is_shard(cut->cluster) && successor_window_fits(backup_config(folder->backup), succession->new, &window)) {
            (void)cmd_fail("%s: %s", path, window.text);
            backup_folder_close(folder);
            return false;
        }
        struct backup_visit visit = {.context = cut, .entry = entry_take};
        error = backup_folder_read(folder, &visit, &fault);
    }
    backup_folder_close(folder);
    if (error) (void)cmd_fail("%s: %s%s%s", path, fault.file, fault.file[0] ? ": " : "", fault.text);
    return !error;
}

bool cmd_successor_cluster(const struct succession *succession, const char *word, size_t count, uint32_t *cluster) {
    bool shard = word[0] == 's';
    uint32_t index = 0;
    bool good = count >= 2 && count <= 4 && (shard || word[0] == 'c');
    for (size_t i = 1; good && i < count; i++) {
        good = word[i] >= '0' && word[i] <= '9';
        index = index * 10 + (uint32_t)(word[i] - '0');
    }
    *cluster = (shard ? (uint32_t)CONFIG_CLUSTER_SHARD : (uint32_t)CONFIG_CLUSTER_COORDINATOR) + index;
    if (good && system_cluster_by_id(succession->old, *cluster)) return true;
    (void)cmd_fail("'%.*s' is no cluster of the old system", (int)count, word);
    return false;
}

/* The highest height that anybody is said to have seen, 0: none is. */
static bool seen_find(const struct succession *succession, uint32_t cluster, uint64_t *height) {
    *height = 0;
    for (char **at = succession->seen; at && *at; at++) {
        const char *equals = strchr(*at, '=');
        uint32_t of;
        char *end = NULL;
        if (!equals || equals[1] < '0' || equals[1] > '9') return (void)cmd_fail("--seen %s: CLUSTER=HEIGHT, such as s0=4711", *at), false;
        if (!cmd_successor_cluster(succession, *at, (size_t)(equals - *at), &of)) return false;
        uint64_t value = strtoull(equals + 1, &end, 10);
        if (*end) return (void)cmd_fail("--seen %s: CLUSTER=HEIGHT, such as s0=4711", *at), false;
        if (of == cluster && value > *height) *height = value;
    }
    return true;
}

/* ---- printing ---- */

static const struct cut *cut_find(const struct cut *cuts, size_t count, uint32_t cluster) {
    for (size_t i = 0; i < count; i++) {
        if (cuts[i].cluster == cluster) return &cuts[i];
    }
    return NULL;
}

static bool shard_print(const struct succession *succession, const struct system_cluster *cluster, const struct cut *cut, bool need_all) {
    char name[16], hex[65];
    uint64_t seen;
    name_of(cluster->cluster, name);
    canonical_hex_print(cluster->origin_root, 32, hex);
    printf("%s goes on from height %" PRIu64 "\n  root %s\n", name, cluster->origin_height, hex);
    if (!cut && need_all) return (void)cmd_fail("%s: no --backup of this cluster: what it goes on from cannot be looked at", name), false;
    if (!cut) {
        printf("  NOT CHECKED here: no backup of it was given\n");
    } else if (cut->height != cluster->origin_height || memcmp(cut->root, cluster->origin_root, 32) != 0) {
        return (void)cmd_fail("%s: the backup is of height %" PRIu64 ", not of this origin", name, cut->height), false;
    } else {
        printf("  certified by the cluster in epoch %" PRIu64 ", whole: %" PRIu64 " keys, %" PRIu64 " bytes of keys and values\n", cut->epoch,
               cut->keys, cut->bytes);
    }
    if (!seen_find(succession, cluster->cluster, &seen)) return false;
    if (seen > cluster->origin_height)
        printf("  may lose: what %" PRIu64 " blocks above it did, up to height %" PRIu64 ", the highest seen; and what was decided after that\n",
               seen - cluster->origin_height, seen);
    else if (cut && cut->sealed)
        printf("  may lose: nothing, the cluster was sealed at this height\n");
    else
        printf("  may lose: all that was decided above this height; how high the cluster came is not known (--seen %s=HEIGHT)\n", name);
    return true;
}

/* What a coordinator had sent by its own cut, and a shard had not consumed by its. */
static void slices_print(const struct cut *shard, const struct cut *coordinator) {
    char from[16], to[16];
    uint64_t sent = coordinator->sent[config_cluster_index(shard->cluster)], consumed = shard->consumed[config_cluster_index(coordinator->cluster)];
    name_of(coordinator->cluster, from);
    name_of(shard->cluster, to);
    if (sent > consumed)
        printf("  of %s: %" PRIu64 " slices of requests that it had sent by height %" PRIu64 " are not in %s\n", from, sent - consumed,
               coordinator->height, to);
}

/* A list over two shards is two parts, each of its own cluster: one may lie below its shard's cut, the other above. */
static void halves_print(const struct cut *cuts, size_t count, uint32_t shards) {
    const struct cut *first = NULL, *last = NULL;
    char from[16], to[16];
    for (size_t i = 0; i < count; i++) {
        if (!config_cluster_is_shard(cuts[i].cluster)) continue;
        if (!first || cuts[i].time < first->time) first = &cuts[i];
        if (!last || cuts[i].time > last->time) last = &cuts[i];
    }
    if (shards < 2) return;
    if (!first || first == last) {
        printf("transfers over several shards may be halved at the cuts\n");
        return;
    }
    name_of(first->cluster, from);
    name_of(last->cluster, to);
    printf("transfers between shards that it may halve: lists over several shards that were executed near "
           "the cuts, or between\n  that of %s (time %" PRIu64
           ") and that of %s (time %" PRIu64 "): %" PRIu64 " ms\n",
           from, first->time, to, last->time, last->time - first->time);
}

static const char *client_name(const struct system *system, const uint8_t id[32]) {
    for (uint32_t i = 0; i < system->clients_count; i++) {
        if (memcmp(system->clients[i].card.id, id, 32) == 0) return system->clients[i].card.name;
    }
    return "enrolled later";
}

static void clients_print(const struct cut *cut, const struct system *old) {
    char hex[65];
    for (uint32_t i = 0; i < cut->clients_missing && i < CLIENTS_SHOWN_MAX; i++) {
        canonical_hex_print(cut->missing[i], 32, hex);
        printf("WARNING: client %s (%s) was enrolled at the cut and is not in the new system file\n", hex, client_name(old, cut->missing[i]));
    }
    for (uint32_t i = 0; i < cut->clients_revoked && i < CLIENTS_SHOWN_MAX; i++) {
        canonical_hex_print(cut->revoked[i], 32, hex);
        printf("WARNING: client %s was revoked, and the new system file has it\n", hex);
    }
    uint32_t more = (cut->clients_missing > CLIENTS_SHOWN_MAX ? cut->clients_missing - CLIENTS_SHOWN_MAX : 0) +
                    (cut->clients_revoked > CLIENTS_SHOWN_MAX ? cut->clients_revoked - CLIENTS_SHOWN_MAX : 0);
    if (more > 0) printf("WARNING: and %u more clients\n", more);
}

static void heads_print(const struct succession *succession) {
    char old[33], new[33];
    canonical_hex_print(succession->old->system_id, 16, old);
    canonical_hex_print(succession->new->system_id, 16, new);
    printf("system %s, id %s, succession %u\n  succeeds %s, id %s\n", succession->new->name, new, succession->new->succession,
           succession->old->name, old);
}

bool cmd_successor_cut_print(const struct succession *succession, bool need_all) {
    size_t count = 0, room = 0;
    while (succession->backups && succession->backups[room]) room++;
    struct cut *cuts = calloc(room + 1, sizeof *cuts);
    bool good = cuts != NULL;
    for (size_t i = 0; good && i < room; i++) {
        good = cut_read(succession, succession->backups[i], &cuts[count]);
        bool twice = good && cut_find(cuts, count, cuts[count].cluster) != NULL;
        if (twice) good = ((void)cmd_fail("%s: a second backup of one cluster", succession->backups[i]), false);
        count += good;
    }
    if (good) heads_print(succession);
    const struct system *new = succession->new;
    for (uint32_t i = new->coordinators_count; good && i < new->coordinators_count + new->shards_count; i++) {
        const struct cut *cut = cut_find(cuts, count, new->clusters[i].cluster);
        good = shard_print(succession, &new->clusters[i], cut, need_all);
        for (size_t k = 0; good && cut && k < count; k++) {
            if (!config_cluster_is_shard(cuts[k].cluster)) slices_print(cut, &cuts[k]);
        }
    }
    if (good) halves_print(cuts, count, new->shards_count);
    bool coordinator = false;
    for (size_t i = 0; good && i < count; i++) {
        coordinator = coordinator || !config_cluster_is_shard(cuts[i].cluster);
        if (!config_cluster_is_shard(cuts[i].cluster)) clients_print(&cuts[i], succession->old);
    }
    if (good && !coordinator) printf("whether the new file's clients are those at the cut is not looked at: that takes a coordinator's backup\n");
    if (good) printf("clients send again, under the old numbers, what they hold unsettled or above the cut: heraclius settle --retry\n");
    free(cuts);
    return good;
}
