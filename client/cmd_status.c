/* heraclius status: what the nodes state about themselves and each other. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/client.h"
#include "client/command.h"

enum { BEHIND_BLOCKS = 64 };

bool command_cluster_counts(const struct command_cluster *view, const struct heraclius_node_status *node) {
    return node->reached && node->voting && node->height + BEHIND_BLOCKS >= view->height;
}

struct command_cluster command_cluster_of(const struct heraclius_node_status *nodes, size_t count, uint32_t cluster) {
    struct command_cluster out = {.cluster = cluster};
    uint64_t heights[16];
    uint32_t known = 0;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].cluster != cluster) continue;
        out.nodes++;
        out.strangers += nodes[i].shut_out;
        if (!nodes[i].heard) continue;
        if (known < 16) heights[known++] = nodes[i].height;
        uint32_t same = 0;
        for (size_t k = 0; k < count; k++) same += nodes[k].cluster == cluster && nodes[k].heard && nodes[k].view == nodes[i].view;
        if (same > out.agreeing) {
            out.agreeing = same;
            out.view = nodes[i].view;
        }
    }
    out.faults = (out.nodes - 1) / 3;
    out.quorum = out.nodes - out.faults;
    for (uint32_t i = 0; i < known; i++) {
        uint32_t reached = 0;
        for (uint32_t k = 0; k < known; k++) reached += heights[k] >= heights[i];
        if (reached <= out.faults) continue;
        out.height_known = true;
        if (heights[i] > out.height) out.height = heights[i];
    }
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].cluster != cluster || !nodes[i].reached) continue;
        out.reached++;
        out.up += command_cluster_counts(&out, &nodes[i]);
    }
    return out;
}

static void cluster_name(uint32_t cluster, char out[32]) {
    snprintf(out, 32, "%s %u", cluster >> 16 == 1 ? "coordinator" : "shard", cluster & 0xFFFF);
}

static const char *leader_name(const struct heraclius_node_status *nodes, size_t count, const struct command_cluster *view) {
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].cluster == view->cluster && nodes[i].member == view->view % view->nodes) return nodes[i].name;
    }
    return "?";
}

/* Nobody of f+1 nodes lets this client in: what they do is not for it to know. */
static bool view_hidden(const struct command_cluster *view) {
    return view->strangers > view->faults && view->up == 0;
}

static void show_enrolment(const struct heraclius_enrolment *enrolment) {
    if (!enrolment) return;
    if (!enrolment->known) {
        printf("  enrolment: no f+1 nodes state the same\n");
        return;
    }
    printf("  enrolment %" PRIu64 " (", enrolment->number);
    for (int i = 0; i < 8; i++) printf("%02x", enrolment->hash[i]);
    printf("...), %u clients on record of at most %u\n", enrolment->clients, enrolment->clients_max);
}

static void show(const struct heraclius_node_status *nodes, size_t count, const struct command_cluster *view) {
    char name[32];
    cluster_name(view->cluster, name);
    if (view_hidden(view)) {
        printf("%s: does not let this client in (%s): ask with another client's key\n", name,
               view->cluster >> 16 == 1 ? "not enrolled there, or revoked" : "a shard knows the clients of the system file alone, less the revoked");
        return;
    }
    printf("%s: %u of %u nodes ", name, view->up, view->nodes);
    if (view->reached > view->up) printf("vote (%u are up)", view->reached);
    else printf("up");
    printf(", quorum %u: ", view->quorum);
    if (view->sealed) {
        printf("SEALED for ever: it decides nothing, a successor goes on\n");
    } else if (view->up >= view->quorum) {
        printf("%u more may fail\n", view->up - view->quorum);
    } else {
        printf("NO QUORUM, %u more must come back\n", view->quorum - view->up);
    }
    if (view->height_known) {
        printf("  height %" PRIu64 " (f+1 nodes state it), ", view->height);
    } else {
        printf("  height unknown (fewer than f+1 nodes state any), ");
    }
    if (view->agreeing > 0) {
        printf("view %" PRIu64 ", leader %s (stated by %u of %u, proved by nobody)\n", view->view, leader_name(nodes, count, view), view->agreeing,
               view->nodes);
    } else {
        printf("view and leader unknown (no node states them)\n");
    }
    show_enrolment(view->enrolment);
    for (size_t i = 0; i < count; i++) {
        const struct heraclius_node_status *node = &nodes[i];
        if (node->cluster != view->cluster) continue;
        if (node->silent) {
            printf("  %-8s up    signs nothing: retired, observing, or just started (its own /status says which)", node->name);
            if (node->heard) printf("; %u nodes show its last statement, of height %" PRIu64, node->witnesses, node->height);
            printf("\n");
        } else if (node->reached && node->heard) {
            printf("  %-8s up    height %" PRIu64 ", view %" PRIu64 "%s%s\n", node->name, node->height, node->view,
                   node->voting ? ", voting" : ", not voting", node->timed_out ? ", timed out" : "");
        } else if (node->heard) {
            printf("  %-8s down  %s; %u nodes show its statement of height %" PRIu64 "\n", node->name, node->why, node->witnesses, node->height);
        } else {
            printf("  %-8s down  %s\n", node->name, node->why);
        }
    }
}

static json_t *node_json(const struct heraclius_node_status *node) {
    return json_pack("{sssisbsbsbsbsIsIsIsiss}", "name", node->name, "member", (int)node->member, "reached", node->reached, "heard", node->heard,
                     "voting", node->voting, "silent", node->silent, "epoch", (json_int_t)node->epoch, "view", (json_int_t)node->view, "height",
                     (json_int_t)node->height, "witnesses", (int)node->witnesses, "why", node->why ? node->why : "");
}

static json_t *cluster_json(const struct heraclius_node_status *nodes, size_t count, const struct command_cluster *view) {
    char name[32];
    cluster_name(view->cluster, name);
    json_t *members = json_array();
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].cluster == view->cluster) json_array_append_new(members, node_json(&nodes[i]));
    }
    int spare = (int)view->up - (int)view->quorum;
    bool known = view->agreeing > 0;
    json_t *out = json_pack("{sssisisisbsososs?siso}", "cluster", name, "nodes", (int)view->nodes, "up", (int)view->up, "may_fail",
                            spare > 0 ? spare : 0, "quorum", spare >= 0, "view", known ? json_integer((json_int_t)view->view) : json_null(), "height",
                     view->height_known ? json_integer((json_int_t)view->height) : json_null(), "leader",
                     known ? leader_name(nodes, count, view) : NULL, "agreeing", (int)view->agreeing, "members", members);
    if (view_hidden(view)) json_object_set_new(out, "shut_out", json_true());
    if (view->sealed) json_object_set_new(out, "sealed", json_true());
    if (!view->enrolment || !view->enrolment->known) return out;
    char hash[65];
    for (int i = 0; i < 32; i++) (void)snprintf(hash + 2 * i, 3, "%02x", view->enrolment->hash[i]);
    json_object_set_new(out, "enrolment", json_integer((json_int_t)view->enrolment->number));
    json_object_set_new(out, "enrolment_hash", json_string(hash));
    json_object_set_new(out, "clients", json_integer((json_int_t)view->enrolment->clients));
    return out;
}

int command_status(const struct command *command) {
    int exit_code;
    struct heraclius *db = command_open(command, &exit_code);
    if (!db) return exit_code;
    const struct heraclius_node_status *nodes;
    size_t count;
    uint32_t wait_ms = command_timeout_ms(command) < 3000 ? command_timeout_ms(command) : 3000;
    (void)heraclius_nodes(db, wait_ms, &nodes, &count);
    const struct heraclius_enrolment *enrolments;
    size_t coordinators;
    (void)heraclius_enrolments(db, 1000, &enrolments, &coordinators);
    exit_code = EXIT_DONE;
    uint32_t hidden = 0, clusters = 0;
    json_t *all = command->json ? json_array() : NULL;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].member != 0) continue;
        struct command_cluster view = command_cluster_of(nodes, count, nodes[i].cluster);
        for (size_t k = 0; k < coordinators; k++) {
            if (enrolments[k].cluster == view.cluster) view.enrolment = &enrolments[k];
        }
        const struct client_chain *chain = client_chain_find(db, view.cluster);
        view.sealed = chain && chain->chain->sealed;
        clusters++;
        hidden += view_hidden(&view);
        if (view.up < view.quorum && !view_hidden(&view)) exit_code = EXIT_UNANSWERED;
        if (all) {
            json_array_append_new(all, cluster_json(nodes, count, &view));
        } else {
            show(nodes, count, &view);
        }
    }
    if (all) command_print_json(json_pack("{so}", "clusters", all));
    if (hidden == clusters) exit_code = command_fail(EXIT_REFUSED, "no cluster lets this client in: it is not enrolled, or it was revoked");
    heraclius_close(db);
    return exit_code;
}
