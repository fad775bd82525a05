/* What another console says, read: all of it is a stranger's. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "appliance/admin/admin_clusters.h"
#include "appliance/admin/admin_peers.h"
#include "appliance/admin/admin_syslog.h"
#include "bft/types.h"
#include "protocol/node_settings.h"

enum { NAME_MAX_BYTES = 32, PHASE_MAX_BYTES = 31, TEXT_BYTES = 1536, CLUSTERS_MAX = ADMIN_PEERS_MAX * ADMIN_PEER_NODES_MAX };
static const uint64_t age_most_ms = 24 * 60 * 60 * 1000ull;

bool admin_peer_parse(struct admin_peer *peer, const char *text) {
    size_t count = strlen(text);
    *peer = (struct admin_peer){.where = ""};
    if (count < ADMIN_FINGERPRINT_TEXT + 2 || count >= ADMIN_PEER_TEXT_BYTES || text[ADMIN_FINGERPRINT_TEXT] != '@') return false;
    if (strspn(text, "0123456789abcdef") != ADMIN_FINGERPRINT_TEXT) return false;
    memcpy(peer->fingerprint, text, ADMIN_FINGERPRINT_TEXT);
    (void)snprintf(peer->where, sizeof peer->where, "%s", text + ADMIN_FINGERPRINT_TEXT + 1);
    return admin_syslog_where(peer->where, peer->host, peer->port);
}

/* ---- HTTP: the answer of libmicrohttpd at the other end, or of a liar ---- */

/* The next line of the head, without its end; NULL: there is no whole one. */
static const char *line_next(const char **at, const char *end, size_t *count) {
    const char *line = *at, *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
    if (stop == NULL) return NULL;
    *count = (size_t)(stop - line);
    *at = stop + 2;
    return line;
}

/* 1 to `most` digits and nothing else. */
static bool digits_read(const char *text, size_t count, size_t most, size_t *out) {
    *out = 0;
    if (count < 1 || count > most) return false;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        *out = *out * 10 + (size_t)(text[i] - '0');
    }
    return true;
}

static bool header_is(const char *line, size_t count, const char *name) {
    size_t bytes = strlen(name);
    return count > bytes && line[bytes] == ':' && strncasecmp(line, name, bytes) == 0;
}

/* One length, and no other way to say where the body ends. */
static bool header_take(const char *line, size_t count, bool *known, size_t *length) {
    static const char of_length[] = "Content-Length";
    if (header_is(line, count, "Transfer-Encoding")) return false;
    if (!header_is(line, count, of_length)) return true;
    size_t from = sizeof of_length; /* behind the colon */
    while (from < count && line[from] == ' ') from++;
    if (*known || !digits_read(line + from, count - from, 7, length)) return false;
    *known = true;
    return *length <= ADMIN_PEER_BYTES_MAX;
}

static bool first_take(const char *line, size_t count, unsigned *code) {
    static const char version[] = "HTTP/1.1 ";
    size_t number = 0, bytes = sizeof version - 1;
    if (count < bytes + 3 || memcmp(line, version, bytes) != 0 || !digits_read(line + bytes, 3, 3, &number)) return false;
    *code = (unsigned)number;
    return number >= 200 && (count == bytes + 3 || line[bytes + 3] == ' ');
}

enum admin_peer_part admin_peer_answer(const char *bytes, size_t used, unsigned *code, const char **body, size_t *count) {
    const char *at = bytes, *end = bytes + (used < ADMIN_PEER_HEAD_BYTES ? used : ADMIN_PEER_HEAD_BYTES), *line;
    size_t length = 0, line_bytes = 0;
    bool known = false, first = true;
    while ((line = line_next(&at, end, &line_bytes)) != NULL && line_bytes > 0) {
        if (first ? !first_take(line, line_bytes, code) : !header_take(line, line_bytes, &known, &length)) return ADMIN_PEER_BAD;
        first = false;
    }
    if (line == NULL) return used < ADMIN_PEER_HEAD_BYTES ? ADMIN_PEER_MORE : ADMIN_PEER_BAD;
    size_t come = used - (size_t)(at - bytes);
    if (first || !known || come > length) return ADMIN_PEER_BAD;
    *body = at;
    *count = length;
    return come == length ? ADMIN_PEER_WHOLE : ADMIN_PEER_MORE;
}

/* ---- JSON ---- */

/* A text of these letters, 1 to `most`; another is left out. */
static bool text_take(char *out, size_t most, const json_t *text, const char *letters) {
    const char *said = json_string_value(text);
    size_t count = json_string_length(text);
    if (said == NULL || count < 1 || count > most || strspn(said, letters) != count) return false;
    memcpy(out, said, count + 1);
    return true;
}

static uint64_t number_take(const json_t *status, const char *name) {
    json_int_t number = json_integer_value(json_object_get(status, name));
    return number > 0 ? (uint64_t)number : 0;
}

/* Its place in a cluster; one that cannot be is none. */
static void place_take(struct admin_peer_node *node, const json_t *status) {
    const json_t *cluster = json_object_get(status, "cluster"), *one = json_object_get(status, "member"), *all = json_object_get(status, "members");
    uint32_t number;
    if (!json_is_integer(one) || !json_is_integer(all) || json_integer_value(all) < 1 || json_integer_value(all) > ADMIN_MEMBERS_MAX) return;
    if (json_integer_value(one) < 0 || json_integer_value(one) >= json_integer_value(all)) return;
    if (!text_take(node->cluster, sizeof node->cluster - 1, cluster, "cs0123456789") || !node_settings_cluster(node->cluster, &number)) {
        node->cluster[0] = '\0';
        return;
    }
    node->member = (uint32_t)json_integer_value(one);
    node->members = (uint32_t)json_integer_value(all);
}

static bool node_take(struct admin_peer_node *node, const json_t *said) {
    bool down = json_object_get(said, "error") != NULL;
    const json_t *status = down ? json_object_get(said, "last") : said;
    *node = (struct admin_peer_node){.name = ""};
    if (!text_take(node->name, NAME_MAX_BYTES, json_object_get(said, "node"), "abcdefghijklmnopqrstuvwxyz0123456789.-")) return false;
    place_take(node, status);
    node->height = number_take(status, "height");
    node->view = number_take(status, "view");
    node->age_ms = number_take(status, "age_ms");
    if (node->age_ms > age_most_ms) node->age_ms = age_most_ms;
    if (down) return true;
    if (!text_take(node->phase, PHASE_MAX_BYTES, json_object_get(said, "phase"), "abcdefghijklmnopqrstuvwxyz_"))
        (void)snprintf(node->phase, sizeof node->phase, "unknown");
    node->votes = json_is_true(json_object_get(said, "ready")) && node->age_ms <= ADMIN_PEER_OLD_MS;
    return true;
}

bool admin_peer_read(struct admin_peer_told *told, const char *body, size_t count) {
    json_t *said = json_loadb(body, count, JSON_REJECT_DUPLICATES, NULL);
    const json_t *nodes = json_object_get(said, "nodes"), *one;
    bool good = json_is_array(nodes);
    size_t at;
    told->count = 0;
    json_array_foreach(nodes, at, one) {
        if (told->count == ADMIN_PEER_NODES_MAX) break;
        told->count += node_take(&told->nodes[told->count], one);
    }
    json_decref(said);
    return good;
}

/* ---- clusters that only others tell of ---- */

/* What is told of a member: by whom it is claimed, in how many names. */
struct member {
    const struct admin_peer_node *node; /* NULL: nobody tells of it */
    bool claimed_twice;
};

struct told_cluster {
    const char *name;
    uint32_t members;
    bool differs; /* not all say the same number of members: none of it counts */
    uint32_t consoles;
    size_t newest; /* the console that told last, as they are gone through */
    struct member of[ADMIN_MEMBERS_MAX];
};

static struct told_cluster *cluster_of(struct told_cluster *all, size_t *count, const struct admin_peer_node *node) {
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(all[i].name, node->cluster) == 0) return &all[i];
    }
    all[*count] = (struct told_cluster){.name = node->cluster, .members = node->members, .newest = SIZE_MAX};
    return &all[(*count)++];
}

static void node_count(struct told_cluster *cluster, const struct admin_peer_node *node, size_t console) {
    struct member *member = &cluster->of[node->member];
    cluster->differs = cluster->differs || cluster->members != node->members;
    cluster->consoles += cluster->newest != console;
    cluster->newest = console;
    member->claimed_twice = member->node != NULL;
    if (member->node == NULL) member->node = node;
}

static bool is_own(const json_t *own, const char *name) {
    const json_t *one;
    size_t at;
    json_array_foreach(own, at, one) {
        const char *known = json_string_value(json_object_get(one, "cluster"));
        if (known != NULL && strcmp(known, name) == 0) return true;
    }
    return false;
}

enum kind { VOTES, VOTES_NOT, CLAIMED, UNTOLD };

static enum kind kind_of(const struct member *member) {
    if (member->node == NULL) return UNTOLD;
    return member->claimed_twice ? CLAIMED : member->node->votes ? VOTES : VOTES_NOT;
}

/* `before` and those of that kind, by name; with what they are doing, if they do not vote. */
static void members_print(FILE *out, const struct told_cluster *cluster, enum kind kind, const char *before) {
    const char *between = before;
    for (uint32_t i = 0; i < cluster->members; i++) {
        const struct admin_peer_node *node = cluster->of[i].node;
        if (kind_of(&cluster->of[i]) != kind) continue;
        (void)fputs(between, out);
        between = ", ";
        if (kind == UNTOLD || kind == CLAIMED)
            (void)fprintf(out, "member %u", i);
        else if (kind == VOTES)
            (void)fputs(node->name, out);
        else
            (void)fprintf(out, "%s (%s)", node->name, node->phase[0] != '\0' ? node->phase : "no answer");
    }
}

static void text_print(char text[TEXT_BYTES], const struct told_cluster *cluster, uint32_t voting) {
    FILE *out = fmemopen(text, TEXT_BYTES, "w");
    text[0] = '\0';
    if (out == NULL) return;
    (void)fprintf(out, "by the word of %u other console%s, which nothing here verifies, ", cluster->consoles, cluster->consoles == 1 ? "" : "s");
    if (cluster->differs) {
        (void)fputs("nothing: they differ in how many members it has", out);
    } else {
        (void)fprintf(out, "%u of %u vote, %u decide", voting, cluster->members, bft_quorum(cluster->members));
        members_print(out, cluster, VOTES, ": ");
        members_print(out, cluster, VOTES_NOT, "; not voting: ");
        members_print(out, cluster, CLAIMED, "; claimed by two nodes: ");
        members_print(out, cluster, UNTOLD, "; nobody tells of: ");
    }
    (void)fclose(out);
    text[TEXT_BYTES - 1] = '\0';
}

static json_t *told_json(const struct told_cluster *cluster) {
    char text[TEXT_BYTES];
    uint32_t voting = 0, quorum = bft_quorum(cluster->members);
    for (uint32_t i = 0; i < cluster->members && !cluster->differs; i++) voting += kind_of(&cluster->of[i]) == VOTES;
    text_print(text, cluster, voting);
    return json_pack("{s:s,s:i,s:i,s:i,s:i,s:b,s:s}", "cluster", cluster->name, "members", (int)cluster->members, "quorum", (int)quorum,
                     "told_voting", (int)voting, "consoles", (int)cluster->consoles, "enough", (int)(voting >= quorum), "text", text);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct told_cluster *)a)->name, ((const struct told_cluster *)b)->name);
}

json_t *admin_peers_clusters(const struct admin_peer_told *const *told, size_t count, const json_t *own) {
    struct told_cluster *all = calloc(CLUSTERS_MAX, sizeof *all);
    json_t *out = json_array();
    size_t found = 0;
    if (all == NULL) return out;
    for (size_t i = 0; i < count && i < ADMIN_PEERS_MAX; i++) {
        for (size_t k = 0; told[i] != NULL && k < told[i]->count; k++) {
            const struct admin_peer_node *node = &told[i]->nodes[k];
            if (node->members > 0 && !is_own(own, node->cluster)) node_count(cluster_of(all, &found, node), node, i);
        }
    }
    qsort(all, found, sizeof *all, by_name);
    for (size_t i = 0; i < found; i++) json_array_append_new(out, told_json(&all[i]));
    free(all);
    return out;
}
