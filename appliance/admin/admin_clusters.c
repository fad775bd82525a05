#include "appliance/admin/admin_clusters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bft/types.h"

enum { TEXT_BYTES = 1024, NAME_BYTES = 80 };

struct seen {
    const char *name;
    uint32_t members;
    const json_t *own[ADMIN_MEMBERS_MAX];          /* what the member said itself */
    const json_t *other[ADMIN_MEMBERS_MAX];        /* another node says that it is this member: one of the two lies, and neither is believed */
    uint32_t linked[ADMIN_MEMBERS_MAX], reporting; /* how many of those that vote have a link to it */
    const json_t *newest;                          /* of the highest view, of those that vote; else any */
};

/* member and members, if they can be. */
static bool place_of(const json_t *status, uint32_t *member, uint32_t *members) {
    json_int_t one = json_integer_value(json_object_get(status, "member")), all = json_integer_value(json_object_get(status, "members"));
    *member = (uint32_t)one;
    *members = (uint32_t)all;
    return json_is_string(json_object_get(status, "cluster")) && all >= 1 && all <= ADMIN_MEMBERS_MAX && one >= 0 && one < all;
}

static struct seen *seen_of(struct seen *all, size_t *count, const json_t *status) {
    uint32_t member, members;
    if (!place_of(status, &member, &members)) return NULL;
    const char *name = json_string_value(json_object_get(status, "cluster"));
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(all[i].name, name) == 0) return all[i].members == members ? &all[i] : NULL;
    }
    if (*count == ADMIN_CLUSTERS_MAX) return NULL;
    all[*count] = (struct seen){.name = name, .members = members};
    return &all[(*count)++];
}

static void status_take(struct seen *seen, const json_t *status) {
    uint32_t member, members;
    size_t at;
    const json_t *other;
    bool votes = json_is_true(json_object_get(status, "ready"));
    if (!place_of(status, &member, &members)) return;
    if (seen->own[member] != NULL) {
        seen->other[member] = status;
        return;
    }
    seen->own[member] = status;
    if (seen->newest == NULL || (votes && !json_is_true(json_object_get(seen->newest, "ready"))) ||
        (votes && json_integer_value(json_object_get(status, "view")) > json_integer_value(json_object_get(seen->newest, "view"))))
        seen->newest = status;
    if (!votes) return;
    seen->reporting++;
    json_array_foreach(json_object_get(status, "members_seen"), at, other) {
        if (at < members && json_is_true(json_object_get(other, "up"))) seen->linked[at]++;
    }
}

static bool member_up(const struct seen *seen, uint32_t member) {
    if (seen->other[member] != NULL) return false;
    if (seen->own[member] != NULL) return json_is_true(json_object_get(seen->own[member], "ready"));
    return seen->reporting > 0 && seen->linked[member] == seen->reporting;
}

static const char *member_state(const struct seen *seen, uint32_t member) {
    const char *phase = json_string_value(json_object_get(seen->own[member], "phase"));
    if (seen->other[member] != NULL) return "claimed by two nodes";
    if (seen->own[member] != NULL) return phase != NULL ? phase : "unknown";
    if (seen->reporting == 0) return "unknown";
    return member_up(seen, member) ? "linked" : "down";
}

static void member_name(const struct seen *seen, uint32_t member, char out[NAME_BYTES]) {
    const char *name = json_string_value(json_object_get(seen->own[member], "node"));
    const char *other = json_string_value(json_object_get(seen->other[member], "node"));
    if (name != NULL && other != NULL)
        (void)snprintf(out, NAME_BYTES, "%s or %s", name, other);
    else if (name != NULL)
        (void)snprintf(out, NAME_BYTES, "%s", name);
    else
        (void)snprintf(out, NAME_BYTES, "member %u", member);
}

static void names_print(const struct seen *seen, bool up, char out[TEXT_BYTES]) {
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < seen->members; i++) {
        char name[NAME_BYTES];
        if (member_up(seen, i) != up) continue;
        member_name(seen, i, name);
        int more = snprintf(out + used, TEXT_BYTES - used, "%s%s", used > 0 ? ", " : "", name);
        if (more < 0 || (size_t)more >= TEXT_BYTES - used) return;
        used += (size_t)more;
    }
}

/* The answer to "can I lose another node, and which". */
static void sentence_print(const struct seen *seen, uint32_t up, char out[2 * TEXT_BYTES + 128]) {
    char well[TEXT_BYTES], ill[TEXT_BYTES];
    uint32_t quorum = bft_quorum(seen->members);
    names_print(seen, true, well);
    names_print(seen, false, ill);
    const char *also = ill[0] != '\0' ? "; already not voting: " : "";
    if (up > quorum)
        (void)snprintf(out, 2 * TEXT_BYTES + 128, "yes, any %u of: %s%s%s", up - quorum, well, also, ill);
    else if (up == quorum)
        (void)snprintf(out, 2 * TEXT_BYTES + 128, "no, each of these is needed: %s%s%s", well, also, ill);
    else
        (void)snprintf(out, 2 * TEXT_BYTES + 128, "no: %u more must vote before anything is decided; not voting: %s", quorum - up, ill);
}

static json_t *cluster_json(const struct seen *seen) {
    char text[2 * TEXT_BYTES + 128], name[NAME_BYTES];
    uint32_t up = 0, quorum = bft_quorum(seen->members);
    json_int_t leader = json_integer_value(json_object_get(seen->newest, "leader"));
    bool led = json_is_true(json_object_get(seen->newest, "ready")) && leader >= 0 && leader < (json_int_t)seen->members;
    json_t *nodes = json_array();
    for (uint32_t i = 0; i < seen->members; i++) up += member_up(seen, i);
    for (uint32_t i = 0; i < seen->members; i++) {
        bool good = member_up(seen, i), known = seen->own[i] != NULL;
        member_name(seen, i, name);
        json_array_append_new(nodes, json_pack("{s:i,s:o,s:s,s:b,s:b,s:b}", "member", (int)i, "name", known ? json_string(name) : json_null(),
                                               "state", member_state(seen, i), "up", (int)good, "leads", (int)(led && leader == (json_int_t)i),
                                               "needed", (int)(good && up <= quorum)));
    }
    sentence_print(seen, up, text);
    return json_pack("{s:s,s:i,s:i,s:i,s:i,s:i,s:s,s:o,s:I,s:I,s:o}", "cluster", seen->name, "members", (int)seen->members, "faults",
                     (int)(seen->members - quorum), "quorum", (int)quorum, "up", (int)up, "may_lose", up > quorum ? (int)(up - quorum) : 0, "text",
                     text, "leader", led ? json_integer(leader) : json_null(), "view", json_integer_value(json_object_get(seen->newest, "view")),
                     "height", json_integer_value(json_object_get(seen->newest, "height")), "nodes", nodes);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct seen *)a)->name, ((const struct seen *)b)->name);
}

json_t *admin_clusters_json(const json_t *statuses) {
    struct seen *all = calloc(ADMIN_CLUSTERS_MAX, sizeof *all);
    size_t count = 0, at;
    const json_t *status;
    json_t *out = json_array();
    if (all == NULL) return out;
    json_array_foreach(statuses, at, status) {
        struct seen *seen = seen_of(all, &count, status);
        if (seen != NULL) status_take(seen, status);
    }
    qsort(all, count, sizeof *all, by_name);
    for (size_t i = 0; i < count; i++) json_array_append_new(out, cluster_json(&all[i]));
    free(all);
    return out;
}
