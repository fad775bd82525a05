#include "appliance/admin_exposure.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bft/types.h"
#include "protocol/claim.h"

enum { TEXT_BYTES = 1024, PATH_BYTES = 4096 };
static const int64_t day_s = 24 * 60 * 60;

/* One node's newest claim, by cluster and member. */
struct claimed {
    bool known, twice, stale;
    struct claim claim;
};

struct claims {
    const struct system *system;
    const char *folder;
    int64_t now_s;
    struct claimed *nodes; /* those of the system's clusters one after another */
    json_t *refused;
};

static void refuse(struct claims *claims, const char *file, const char *why) {
    if (json_array_size(claims->refused) < ADMIN_CLAIMS_REFUSED_SHOWN)
        json_array_append_new(claims->refused, json_pack("{s:s,s:s}", "file", file, "why", why));
}

static struct claimed *place_of(const struct claims *claims, uint32_t cluster, uint32_t member) {
    size_t at = 0;
    for (uint32_t i = 0; i < claims->system->coordinators_count + claims->system->shards_count; i++) {
        const struct system_cluster *one = &claims->system->clusters[i];
        if (one->cluster == cluster) return &claims->nodes[at + member];
        at += one->nodes_count;
    }
    return NULL;
}

/* A regular file of at most CLAIM_BYTES_MAX; its size, 0: it is none. */
static size_t file_read(const char *path, uint8_t out[CLAIM_BYTES_MAX + 1], int64_t *written_s) {
    struct stat about;
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return 0;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) {
        got = read(fd, out, CLAIM_BYTES_MAX + 1);
        *written_s = about.st_mtime;
    }
    (void)close(fd);
    return got > 0 ? (size_t)got : 0;
}

static void claim_take(struct claims *claims, const char *file) {
    char path[PATH_BYTES];
    uint8_t bytes[CLAIM_BYTES_MAX + 1];
    struct claim claim;
    struct system_fault fault;
    uint32_t cluster, member;
    int64_t written_s = 0;
    size_t count = (size_t)snprintf(path, sizeof path, "%s/%s", claims->folder, file) < sizeof path ? file_read(path, bytes, &written_s) : 0;
    if (count == 0 || count > CLAIM_BYTES_MAX) return refuse(claims, file, "cannot be read, is empty or too long");
    if (claim_decode(&claim, bytes, count, &fault) != SYSTEM_OK) return refuse(claims, file, fault.text);
    const struct card *card = system_node_by_id(claims->system, claim.node_id, &cluster, &member);
    if (card == NULL) return refuse(claims, file, "of no node of this system");
    if (claim_verify(&claim, card, &fault) != SYSTEM_OK) return refuse(claims, file, fault.text);
    struct claimed *node = place_of(claims, cluster, member);
    if (node == NULL || (node->known && node->claim.number > claim.number)) return;
    bool twice =
        node->known && node->claim.number == claim.number && (node->twice || memcmp(node->claim.texts, claim.texts, sizeof claim.texts) != 0);
    int64_t age_s = claims->now_s - written_s;
    *node = (struct claimed){.known = true, .twice = twice, .stale = age_s > ADMIN_CLAIM_STALE_DAYS * day_s || age_s < -day_s, .claim = claim};
    if (twice) refuse(claims, file, "another claim of the same node has the same number");
}

static bool folder_read(struct claims *claims) {
    DIR *folder = opendir(claims->folder);
    const struct dirent *entry;
    unsigned count = 0;
    if (folder == NULL) return false;
    while ((entry = readdir(folder)) != NULL) {
        size_t bytes = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || bytes < 7 || strcmp(entry->d_name + bytes - 6, ".claim") != 0) continue;
        if (++count > ADMIN_CLAIMS_MAX) {
            refuse(claims, entry->d_name, "there are more claims than are read");
            break;
        }
        claim_take(claims, entry->d_name);
    }
    (void)closedir(folder);
    return true;
}

/* What a node claims; NULL: nothing that counts. */
static const char *said(const struct claimed *node, enum claim_field field) {
    bool good = node->known && !node->twice && !node->stale && node->claim.texts[field][0] != '\0';
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

static json_t *field_json(const struct system_cluster *cluster, const struct claimed *nodes, enum claim_field field, bool *good) {
    uint32_t count = cluster->nodes_count, faults = bft_faults(count), most = sharers(nodes, count, field, NULL);
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
        if (own == NULL) json_array_append_new(silent, json_string(cluster->nodes[i].name));
        if (own != NULL && worst != NULL && strcmp(own, worst) == 0) json_array_append_new(sharing, json_string(cluster->nodes[i].name));
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

static json_t *cluster_json(const struct system_cluster *cluster, const struct claimed *nodes, bool *good) {
    json_t *fields = json_array();
    char name[16], text[TEXT_BYTES], red[TEXT_BYTES / 2] = "";
    uint32_t faults = bft_faults(cluster->nodes_count);
    *good = true;
    for (int i = 0; i < CLAIM_FIELDS; i++) {
        bool field_good;
        json_array_append_new(fields, field_json(cluster, nodes, (enum claim_field)i, &field_good));
        if (field_good) continue;
        size_t used = strlen(red);
        (void)snprintf(red + used, sizeof red - used, "%s%s", used > 0 ? ", " : "", claim_field_name((enum claim_field)i));
        *good = false;
    }
    if (*good)
        (void)snprintf(text, sizeof text, "nothing claimed is shared by more than %u of %u nodes", faults, cluster->nodes_count);
    else
        (void)snprintf(text, sizeof text, "more than %u of %u nodes may share: %s", faults, cluster->nodes_count, red);
    (void)snprintf(name, sizeof name, "%c%u", cluster->cluster >> 16 == 1 ? 'c' : 's', cluster->cluster & 0xFFFFu);
    return json_pack("{s:s,s:i,s:i,s:b,s:s,s:o}", "cluster", name, "members", (int)cluster->nodes_count, "faults", (int)faults, "good", (int)*good,
                     "text", text, "fields", fields);
}

static json_t *whole_json(bool good, const char *text, json_t *clusters, json_t *refused) {
    return json_pack("{s:b,s:s,s:o,s:o}", "good", (int)good, "text", text, "clusters", clusters, "refused", refused);
}

json_t *admin_exposure_json(const struct system *system, const char *folder, uint64_t now_ms) {
    json_t *clusters = json_array();
    struct claims claims = {.system = system, .folder = folder, .now_s = (int64_t)(now_ms / 1000), .refused = json_array()};
    size_t count = 0, at = 0, red = 0;
    if (system == NULL) return whole_json(false, "no system file was given: nobody knows here which nodes there are", clusters, claims.refused);
    uint32_t clusters_count = system->coordinators_count + system->shards_count;
    for (uint32_t i = 0; i < clusters_count; i++) count += system->clusters[i].nodes_count;
    claims.nodes = calloc(count + 1, sizeof *claims.nodes);
    if (claims.nodes == NULL) return whole_json(false, "no memory", clusters, claims.refused);
    bool read = folder != NULL && folder_read(&claims);
    for (uint32_t i = 0; i < clusters_count; i++) {
        bool good;
        json_array_append_new(clusters, cluster_json(&system->clusters[i], claims.nodes + at, &good));
        at += system->clusters[i].nodes_count;
        red += !good;
    }
    free(claims.nodes);
    char text[TEXT_BYTES] = "no cluster has more nodes than may fail that share what is claimed";
    if (folder == NULL || !read)
        (void)snprintf(text, sizeof text, "%s", folder == NULL ? "no folder of claims was given" : "the folder of claims cannot be read");
    else if (red > 0)
        (void)snprintf(text, sizeof text, "%zu of %u clusters may share what more nodes have than may fail", red, clusters_count);
    return whole_json(red == 0 && read, text, clusters, claims.refused);
}
