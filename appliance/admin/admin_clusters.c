#include "appliance/admin/admin_clusters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bft/types.h"

enum { TEXT_BYTES = 1024, SENTENCE_BYTES = 6 * TEXT_BYTES, NAME_BYTES = 80 };

/* What is known of a member's vote. CLAIMED: two nodes say that they are this member; one of the two lies, and neither is believed. */
enum vote { VOTES, VOTES_NOT, UNREACHED, UNKNOWN, CLAIMED };

/* What the nodes that report say of a member that is none of those here. */
struct reports {
    uint32_t votes, votes_not, linked;
};

struct seen {
    const char *name;
    uint32_t members;
    const json_t *own[ADMIN_MEMBERS_MAX];   /* what the member said itself */
    const json_t *other[ADMIN_MEMBERS_MAX]; /* another node says that it is this member */
    uint32_t voting;                        /* nodes here that vote: they report; if there are none, all here do */
    uint32_t reporting;
    struct reports reports[ADMIN_MEMBERS_MAX];
    const json_t *newest; /* of the highest view, of those that vote; else any */
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

static bool is_voting(const json_t *status) {
    return json_is_true(json_object_get(status, "ready"));
}

static void status_take(struct seen *seen, const json_t *status) {
    uint32_t member, members;
    bool votes = is_voting(status);
    if (!place_of(status, &member, &members)) return;
    if (seen->own[member] != NULL) {
        seen->other[member] = status;
        return;
    }
    seen->own[member] = status;
    seen->voting += votes;
    if (seen->newest == NULL || (votes && !is_voting(seen->newest)) ||
        (votes && json_integer_value(json_object_get(status, "view")) > json_integer_value(json_object_get(seen->newest, "view"))))
        seen->newest = status;
}

/* What a node says of a member; NULL: nothing. */
static const json_t *said_of(const json_t *status, uint32_t member) {
    size_t at;
    const json_t *other;
    json_array_foreach(json_object_get(status, "members_seen"), at, other) {
        const json_t *number = json_object_get(other, "member");
        if (json_is_integer(number) && json_integer_value(number) == (json_int_t)member) return other;
    }
    return NULL;
}

static void reports_take(struct seen *seen) {
    for (uint32_t i = 0; i < seen->members; i++) {
        if (seen->own[i] == NULL || (seen->voting > 0 && !is_voting(seen->own[i]))) continue;
        seen->reporting++;
        for (uint32_t k = 0; k < seen->members; k++) {
            const json_t *said = said_of(seen->own[i], k), *votes = json_object_get(said, "votes");
            seen->reports[k].votes += json_is_true(votes);
            seen->reports[k].votes_not += json_is_false(votes);
            seen->reports[k].linked += json_is_true(json_object_get(said, "up"));
        }
    }
}

static enum vote vote_of(const struct seen *seen, uint32_t member) {
    const struct reports *reports = &seen->reports[member];
    if (seen->other[member] != NULL) return CLAIMED;
    if (seen->own[member] != NULL) return is_voting(seen->own[member]) ? VOTES : VOTES_NOT;
    if (reports->votes_not > 0) return VOTES_NOT;
    if (seen->reporting > 0 && reports->votes == seen->reporting) return VOTES;
    return seen->reporting > 0 && reports->linked == 0 ? UNREACHED : UNKNOWN;
}

static const char *member_state(const struct seen *seen, uint32_t member) {
    static const char *const states[] = {[VOTES] = "voting", [VOTES_NOT] = "not voting", [UNREACHED] = "no link", [UNKNOWN] = "unknown"};
    const char *phase = json_string_value(json_object_get(seen->own[member], "phase"));
    if (seen->other[member] != NULL) return "claimed by two nodes";
    if (seen->own[member] != NULL) return phase != NULL ? phase : "unknown";
    return states[vote_of(seen, member)];
}

/* As names of nodes are (S-121's cards); another form could not be shown. */
static const char *card_name(const json_t *name) {
    size_t bytes = json_string_length(name);
    const char *text = json_string_value(name);
    return bytes >= 1 && bytes <= 32 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") == bytes ? text : NULL;
}

/* By what it is called here, or as a node of its cluster calls it, by the system file or the newest CONFIG; NULL: neither. */
static const char *name_known(const struct seen *seen, uint32_t member) {
    const char *name = json_string_value(json_object_get(seen->own[member], "node"));
    return name != NULL ? name : card_name(json_object_get(said_of(seen->newest, member), "name"));
}

static void member_name(const struct seen *seen, uint32_t member, char out[NAME_BYTES]) {
    const char *name = name_known(seen, member), *other = json_string_value(json_object_get(seen->other[member], "node"));
    if (name != NULL && other != NULL)
        (void)snprintf(out, NAME_BYTES, "%s or %s", name, other);
    else if (name != NULL)
        (void)snprintf(out, NAME_BYTES, "%s", name);
    else
        (void)snprintf(out, NAME_BYTES, "member %u", member);
}

/* `before` and the names of those of whom that is known; "" without any. */
static void names_print(const struct seen *seen, enum vote vote, const char *before, char out[TEXT_BYTES]) {
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < seen->members; i++) {
        char name[NAME_BYTES];
        if (vote_of(seen, i) != vote) continue;
        member_name(seen, i, name);
        int more = snprintf(out + used, TEXT_BYTES - used, "%s%s", used > 0 ? ", " : before, name);
        if (more < 0 || (size_t)more >= TEXT_BYTES - used) return;
        used += (size_t)more;
    }
}

static uint32_t count_of(const struct seen *seen, enum vote vote) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < seen->members; i++) count += vote_of(seen, i) == vote;
    return count;
}

/* The answer to "can I lose another node, and which". Who is not known to vote counts as lost, and is named. */
static void sentence_print(const struct seen *seen, char out[SENTENCE_BYTES]) {
    char well[TEXT_BYTES], ill[TEXT_BYTES], unreached[TEXT_BYTES], unknown[TEXT_BYTES], claimed[TEXT_BYTES], head[TEXT_BYTES + 128];
    uint32_t quorum = bft_quorum(seen->members), up = count_of(seen, VOTES);
    uint32_t open = count_of(seen, UNREACHED) + count_of(seen, UNKNOWN) + count_of(seen, CLAIMED);
    names_print(seen, VOTES, "", well);
    names_print(seen, VOTES_NOT, "; not voting: ", ill);
    names_print(seen, UNREACHED, "; no link to: ", unreached);
    names_print(seen, UNKNOWN, "; not known whether they vote: ", unknown);
    names_print(seen, CLAIMED, "; claimed by two nodes: ", claimed);
    if (up > quorum)
        (void)snprintf(head, sizeof head, "yes, any %u of: %s", up - quorum, well);
    else if (up == quorum)
        (void)snprintf(head, sizeof head, "no, each of these is needed: %s", well);
    else if (up + open >= quorum)
        (void)snprintf(head, sizeof head, "no: %u must vote before anything is decided, and only of %u it is known that they do", quorum, up);
    else
        (void)snprintf(head, sizeof head, "no: %u more must vote before anything is decided", quorum - up);
    (void)snprintf(out, SENTENCE_BYTES, "%s%s%s%s%s", head, ill, unreached, unknown, claimed);
}

static json_t *cluster_json(const struct seen *seen) {
    char text[SENTENCE_BYTES];
    uint32_t up = count_of(seen, VOTES), quorum = bft_quorum(seen->members);
    json_int_t leader = json_integer_value(json_object_get(seen->newest, "leader"));
    bool led = is_voting(seen->newest) && leader >= 0 && leader < (json_int_t)seen->members;
    json_t *nodes = json_array();
    for (uint32_t i = 0; i < seen->members; i++) {
        bool good = vote_of(seen, i) == VOTES;
        const char *name = name_known(seen, i);
        json_array_append_new(nodes, json_pack("{s:i,s:o,s:s,s:b,s:b,s:b}", "member", (int)i, "name", name != NULL ? json_string(name) : json_null(),
                                               "state", member_state(seen, i), "up", (int)good, "leads", (int)(led && leader == (json_int_t)i),
                                               "needed", (int)(good && up <= quorum)));
    }
    sentence_print(seen, text);
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
    for (size_t i = 0; i < count; i++) reports_take(&all[i]);
    qsort(all, count, sizeof *all, by_name);
    for (size_t i = 0; i < count; i++) json_array_append_new(out, cluster_json(&all[i]));
    free(all);
    return out;
}
