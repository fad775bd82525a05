#include "appliance/admin/admin_exposure.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bft/types.h"
#include "protocol/claim.h"

enum { TEXT_BYTES = 1024, PATH_BYTES = 4096, CLUSTER_NAME_BYTES = 16 };
static const int64_t day_s = 24 * 60 * 60;

static void cluster_name(uint32_t cluster, char out[CLUSTER_NAME_BYTES]) {
    (void)snprintf(out, CLUSTER_NAME_BYTES, "%c%u", cluster >> 16 == 1 ? 'c' : 's', cluster & 0xFFFFu);
}

/* One member, and the newest claim of its owner. */
struct claimed {
    bool known, twice, stale, image_other; /* than what runs here */
    char file[NAME_MAX + 1];               /* of the claim */
    struct claim claim;
    uint8_t node_id[32];
    bool carded; /* the card is here, so who owns it is known */
    struct card card;
    char name[2 * 6 + CARD_NAME_BYTES_MAX];
};

/* One cluster's members: those that a node of it tells of now, else those of the system file. */
struct seen {
    const struct system_cluster *cluster;
    bool told;
    uint64_t epoch;
    uint32_t count;
    struct claimed nodes[CONFIG_MEMBERS_MAX];
};

struct claims {
    const struct system *system;
    const char *folder;
    int64_t now_s;
    uint32_t clusters_count;
    struct seen *clusters;
    json_t *refused;
};

static void refuse(struct claims *claims, const char *file, const char *why) {
    if (json_array_size(claims->refused) < ADMIN_CLAIMS_REFUSED_SHOWN)
        json_array_append_new(claims->refused, json_pack("{s:s,s:s}", "file", file, "why", why));
}

/* ---- who the members are ---- */

static bool hex_read(const char *text, uint8_t *out, size_t count) {
    static const char digits[] = "0123456789abcdef";
    if (text == NULL || strlen(text) != 2 * count) return false;
    for (size_t i = 0; i < 2 * count; i++) {
        const char *digit = memchr(digits, text[i], 16);
        if (digit == NULL) return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (uint8_t)(digit - digits));
    }
    return true;
}

static void member_put(struct claimed *node, const struct system *system, const uint8_t node_id[32]) {
    uint32_t cluster, member;
    const struct card *card = system_node_by_id(system, node_id, &cluster, &member);
    *node = (struct claimed){.carded = card != NULL};
    memcpy(node->node_id, node_id, 32);
    if (card != NULL) node->card = *card;
    if (card != NULL) (void)snprintf(node->name, sizeof node->name, "%s", card->name);
    for (int i = 0; card == NULL && i < 6; i++) (void)snprintf(node->name + 2 * i, 3, "%02x", node_id[i]);
}

/* Members of a CONFIG after the system file's, by what a node of the cluster says; one that says less than all is not heard. */
static void status_take(struct claims *claims, const json_t *status) {
    uint8_t id[16], ids[CONFIG_MEMBERS_MAX][32];
    const char *name = json_string_value(json_object_get(status, "cluster"));
    const json_t *list = json_object_get(status, "members_seen"), *epoch = json_object_get(status, "epoch");
    size_t count = json_array_size(list);
    char own[CLUSTER_NAME_BYTES];
    if (name == NULL || count < CONFIG_MEMBERS_MIN || count > CONFIG_MEMBERS_MAX || !json_is_integer(epoch) || json_integer_value(epoch) < 0) return;
    if (!hex_read(json_string_value(json_object_get(status, "system_id")), id, sizeof id) || memcmp(id, claims->system->system_id, 16) != 0) return;
    for (size_t i = 0; i < count; i++) {
        if (!hex_read(json_string_value(json_object_get(json_array_get(list, i), "node_id")), ids[i], 32)) return;
    }
    for (uint32_t c = 0; c < claims->clusters_count; c++) {
        struct seen *seen = &claims->clusters[c];
        cluster_name(seen->cluster->cluster, own);
        if (strcmp(own, name) != 0 || (seen->told && seen->epoch >= (uint64_t)json_integer_value(epoch))) continue;
        seen->told = true;
        seen->epoch = (uint64_t)json_integer_value(epoch);
        seen->count = (uint32_t)count;
        for (size_t i = 0; i < count; i++) member_put(&seen->nodes[i], claims->system, ids[i]);
    }
}

static void members_find(struct claims *claims, const json_t *statuses) {
    size_t at;
    const json_t *status;
    for (uint32_t c = 0; c < claims->clusters_count; c++) {
        struct seen *seen = &claims->clusters[c];
        seen->cluster = &claims->system->clusters[c];
        seen->count = seen->cluster->nodes_count;
        for (uint32_t i = 0; i < seen->count; i++) member_put(&seen->nodes[i], claims->system, seen->cluster->nodes[i].id);
    }
    json_array_foreach(statuses, at, status) {
        status_take(claims, status);
    }
}

static struct claimed *node_find(const struct claims *claims, const uint8_t node_id[32]) {
    for (uint32_t c = 0; c < claims->clusters_count; c++) {
        for (uint32_t i = 0; i < claims->clusters[c].count; i++) {
            if (memcmp(claims->clusters[c].nodes[i].node_id, node_id, 32) == 0) return &claims->clusters[c].nodes[i];
        }
    }
    return NULL;
}

/* ---- the folder ---- */

/* A regular file of at most `room` bytes; its size, 0: it is none. */
static size_t file_read(const char *path, void *out, size_t room, int64_t *written_s) {
    struct stat about;
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return 0;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) {
        got = read(fd, out, room);
        *written_s = about.st_mtime;
    }
    (void)close(fd);
    return got > 0 ? (size_t)got : 0;
}

/* The card of a member that the system file does not have: it is the right one if it hashes to the id. */
static void card_take(struct claims *claims, const char *file) {
    char path[PATH_BYTES], text[CARD_FILE_BYTES_MAX + 1];
    struct card card;
    struct system_fault fault;
    int64_t written_s;
    size_t count =
        (size_t)snprintf(path, sizeof path, "%s/%s", claims->folder, file) < sizeof path ? file_read(path, text, sizeof text, &written_s) : 0;
    if (count == 0 || count > CARD_FILE_BYTES_MAX) return refuse(claims, file, "cannot be read, is empty or too long");
    if (card_parse(&card, CARD_NODE, text, count, &fault) != SYSTEM_OK) return refuse(claims, file, fault.text);
    struct claimed *node = node_find(claims, card.id);
    if (node == NULL || node->carded) return; /* it may have been a member, or become one */
    node->carded = true;
    node->card = card;
    (void)snprintf(node->name, sizeof node->name, "%s", card.name);
}

static void claim_take(struct claims *claims, const char *file) {
    char path[PATH_BYTES];
    uint8_t bytes[CLAIM_BYTES_MAX + 1];
    struct claim claim;
    struct system_fault fault;
    int64_t written_s = 0;
    size_t count =
        (size_t)snprintf(path, sizeof path, "%s/%s", claims->folder, file) < sizeof path ? file_read(path, bytes, sizeof bytes, &written_s) : 0;
    if (count == 0 || count > CLAIM_BYTES_MAX) return refuse(claims, file, "cannot be read, is empty or too long");
    if (claim_decode(&claim, bytes, count, &fault) != SYSTEM_OK) return refuse(claims, file, fault.text);
    struct claimed *node = node_find(claims, claim.node_id);
    if (node == NULL) return refuse(claims, file, "of no member");
    if (!node->carded) return refuse(claims, file, "its node came after the system file, and its card is not here");
    if (claim_verify(&claim, &node->card, &fault) != SYSTEM_OK) return refuse(claims, file, fault.text);
    if (node->known && node->claim.number > claim.number) return;
    bool twice =
        node->known && node->claim.number == claim.number && (node->twice || memcmp(node->claim.texts, claim.texts, sizeof claim.texts) != 0);
    int64_t age_s = claims->now_s - written_s;
    node->known = true;
    node->twice = twice;
    node->stale = age_s > ADMIN_CLAIM_STALE_DAYS * day_s || age_s < -day_s;
    node->claim = claim;
    (void)snprintf(node->file, sizeof node->file, "%s", file);
    if (twice) refuse(claims, file, "another claim of the same node has the same number");
}

/* Every file with that ending. */
static bool folder_read(struct claims *claims, const char *ending, void (*take)(struct claims *claims, const char *file)) {
    DIR *folder = opendir(claims->folder);
    const struct dirent *entry;
    unsigned count = 0;
    size_t of_ending = strlen(ending);
    if (folder == NULL) return false;
    while ((entry = readdir(folder)) != NULL) {
        size_t bytes = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || bytes <= of_ending || strcmp(entry->d_name + bytes - of_ending, ending) != 0) continue;
        if (++count > ADMIN_CLAIMS_MAX) {
            refuse(claims, entry->d_name, "there are more than are read");
            break;
        }
        take(claims, entry->d_name);
    }
    (void)closedir(folder);
    return true;
}

/* What this machine's own node is said to run, against what it runs. */
static void own_compare(struct claims *claims, const struct admin_exposure_own *own) {
    char why[TEXT_BYTES];
    for (uint32_t c = 0; c < claims->clusters_count; c++) {
        for (uint32_t i = 0; i < claims->clusters[c].count; i++) {
            struct claimed *node = &claims->clusters[c].nodes[i];
            const char *text = node->claim.texts[CLAIM_IMAGE];
            if (!node->known || strcmp(node->name, own->name) != 0 || text[0] == '\0' || strcmp(text, own->image) == 0) continue;
            node->image_other = true;
            (void)snprintf(why, sizeof why, "its image is not counted: the claim says %s, and this machine runs %s", text, own->image);
            refuse(claims, node->file, why);
        }
    }
}

/* ---- what is shared ---- */

/* What a node claims; NULL: nothing that counts. */
static const char *said(const struct claimed *node, enum claim_field field) {
    bool good = node->known && !node->twice && !node->stale && node->claim.texts[field][0] != '\0';
    if (field == CLAIM_IMAGE && node->image_other) return NULL;
    return good ? node->claim.texts[field] : NULL;
}

/* How many nodes have this text or say nothing; NULL: those that say nothing alone. */
static uint32_t sharers(const struct claimed *nodes, uint32_t count, enum claim_field field, const char *text) {
    uint32_t sharing = 0;
    for (uint32_t i = 0; i < count; i++) {
        const char *other = said(&nodes[i], field);
        sharing += other == NULL || (text != NULL && strcmp(other, text) == 0);
    }
    return sharing;
}

static json_t *field_json(const struct claimed *nodes, uint32_t count, enum claim_field field, bool *good) {
    uint32_t faults = bft_faults(count), most = sharers(nodes, count, field, NULL);
    const char *worst = NULL;
    json_t *sharing = json_array(), *silent = json_array();
    char text[TEXT_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        const char *own = said(&nodes[i], field);
        uint32_t these = own != NULL ? sharers(nodes, count, field, own) : 0;
        if (these > most || (own != NULL && worst == NULL && these == most)) {
            most = these;
            worst = own;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *own = said(&nodes[i], field);
        if (own == NULL) json_array_append_new(silent, json_string(nodes[i].name));
        if (own != NULL && worst != NULL && strcmp(own, worst) == 0) json_array_append_new(sharing, json_string(nodes[i].name));
    }
    *good = most <= faults;
    if (worst == NULL)
        (void)snprintf(text, sizeof text, "nobody says its %s: counts as shared by all %u", claim_field_name(field), count);
    else if (most <= 1)
        (void)snprintf(text, sizeof text, "no two nodes may share it");
    else
        (void)snprintf(text, sizeof text, "%u of %u may share %s \"%s\"%s", most, count, claim_field_name(field), worst,
                       json_array_size(silent) > 0 ? ", those that say nothing included" : "");
    return json_pack("{s:s,s:b,s:i,s:o,s:o,s:o,s:s}", "field", claim_field_name(field), "good", (int)*good, "most", (int)most, "value",
                     worst != NULL ? json_string(worst) : json_null(), "nodes", sharing, "silent", silent, "text", text);
}

static json_t *cluster_json(const struct seen *seen, bool *good) {
    json_t *fields = json_array();
    char name[CLUSTER_NAME_BYTES], text[TEXT_BYTES], red[TEXT_BYTES / 2] = "";
    uint32_t faults = bft_faults(seen->count);
    *good = true;
    for (int i = 0; i < CLAIM_FIELDS; i++) {
        bool field_good;
        json_array_append_new(fields, field_json(seen->nodes, seen->count, (enum claim_field)i, &field_good));
        if (field_good) continue;
        size_t used = strlen(red);
        (void)snprintf(red + used, sizeof red - used, "%s%s", used > 0 ? ", " : "", claim_field_name((enum claim_field)i));
        *good = false;
    }
    if (*good)
        (void)snprintf(text, sizeof text, "nothing claimed is shared by more than %u of %u nodes", faults, seen->count);
    else
        (void)snprintf(text, sizeof text, "more than %u of %u nodes may share: %s", faults, seen->count, red);
    cluster_name(seen->cluster->cluster, name);
    return json_pack("{s:s,s:i,s:i,s:o,s:b,s:s,s:o}", "cluster", name, "members", (int)seen->count, "faults", (int)faults, "epoch",
                     seen->told ? json_integer((json_int_t)seen->epoch) : json_null(), "good", (int)*good, "text", text, "fields", fields);
}

static json_t *whole_json(bool good, const char *text, json_t *clusters, json_t *refused) {
    return json_pack("{s:b,s:s,s:o,s:o}", "good", (int)good, "text", text, "clusters", clusters, "refused", refused);
}

json_t *admin_exposure_json(const struct system *system, const char *folder, const json_t *statuses, const struct admin_exposure_own *own,
                            uint64_t now_ms) {
    json_t *clusters = json_array();
    struct claims claims = {.system = system, .folder = folder, .now_s = (int64_t)(now_ms / 1000), .refused = json_array()};
    size_t red = 0;
    if (system == NULL) return whole_json(false, "no system file was given: nobody knows here which nodes there are", clusters, claims.refused);
    claims.clusters_count = system->coordinators_count + system->shards_count;
    claims.clusters = calloc(claims.clusters_count, sizeof *claims.clusters);
    if (claims.clusters == NULL) return whole_json(false, "no memory", clusters, claims.refused);
    members_find(&claims, statuses);
    bool read = folder != NULL && folder_read(&claims, ".card", card_take) && folder_read(&claims, ".claim", claim_take);
    if (read && own != NULL) own_compare(&claims, own);
    for (uint32_t i = 0; i < claims.clusters_count; i++) {
        bool good;
        json_array_append_new(clusters, cluster_json(&claims.clusters[i], &good));
        red += !good;
    }
    free(claims.clusters);
    char text[TEXT_BYTES] = "no cluster has more nodes than may fail that share what is claimed";
    if (folder == NULL || !read)
        (void)snprintf(text, sizeof text, "%s", folder == NULL ? "no folder of claims was given" : "the folder of claims cannot be read");
    else if (red > 0)
        (void)snprintf(text, sizeof text, "%zu of %u clusters may share what more nodes have than may fail", red, claims.clusters_count);
    return whole_json(red == 0 && read, text, clusters, claims.refused);
}

bool admin_exposure_member(const struct system *system, const json_t *statuses, const uint8_t node_id[32], struct card *card) {
    struct claims claims = {.system = system};
    if (system == NULL) return false;
    claims.clusters_count = system->coordinators_count + system->shards_count;
    claims.clusters = calloc(claims.clusters_count, sizeof *claims.clusters);
    if (claims.clusters == NULL) return false;
    members_find(&claims, statuses);
    const struct claimed *node = node_find(&claims, node_id);
    if (node != NULL) *card = node->card; /* all zero if the system file has none */
    free(claims.clusters);
    return node != NULL;
}
