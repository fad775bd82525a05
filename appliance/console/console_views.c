/* The views of one thing each; the one look is in console_look.c. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "appliance/console/console_look.h"

static bool node_answers(const struct console_node *node, struct console_page *page) {
    if (node->fault[0]) console_page_put(page, "node", "does not answer: %s", node->fault);
    return !node->fault[0];
}

static bool init_answers(const struct console_init *init, struct console_page *page) {
    if (init->fault[0]) console_page_put(page, "init", "does not answer: %s", init->fault);
    return !init->fault[0];
}

static const char *vote_text(enum console_vote votes) {
    return votes == CONSOLE_VOTE_YES ? "votes" : votes == CONSOLE_VOTE_NO ? "DOES NOT VOTE" : "not known whether it votes";
}

void console_look_links(const struct console_facts *facts, struct console_page *page) {
    const struct console_node *node = &facts->node;
    char label[24];
    if (init_answers(&facts->init, page)) {
        const struct console_init *init = &facts->init;
        for (uint32_t i = 0; i < init->nets_count; i++) console_page_put(page, init->nets[i].name, "%s", init->nets[i].text);
        const struct console_line *network = console_facts_line(init->stages, init->stages_count, "network");
        if (network) console_page_put(page, "network", "%s%s%s", network->state, network->text[0] ? ": " : "", network->text);
    }
    if (!node_answers(node, page)) return;
    console_page_put(page, "links", "%" PRIu64 " up", node->links_up);
    for (uint32_t i = 0; i < node->members; i++) {
        const struct console_member *member = &node->seen[i];
        snprintf(label, sizeof label, "member %" PRIu32, i);
        if (i == node->member)
            console_page_put(page, label, "this node, height %" PRIu64, node->height);
        else
            console_page_put(page, label, "%s%s%s, %s, height %" PRIu64 " in view %" PRIu64, member->name, member->name[0] ? ": " : "",
                             member->up ? "up" : "NO LINK", vote_text(member->votes), member->height, member->view);
    }
    for (uint32_t i = 0; i < node->pairs_count && i < FACT_PAIRS_MAX; i++) {
        const struct console_pair *pair = &node->pairs[i];
        console_page_put(page, pair->cluster, "sent %" PRIu64 ", taken there %" PRIu64 "; consumed here %" PRIu64 ", held %" PRIu64, pair->sent,
                         pair->acknowledged, pair->consumed, pair->held);
    }
    if (node->pairs_count > FACT_PAIRS_MAX) console_page_put(page, "", "and %" PRIu64 " more clusters", node->pairs_count - FACT_PAIRS_MAX);
}

void console_look_disk(const struct console_facts *facts, struct console_page *page) {
    const struct console_init *init = &facts->init;
    const struct console_node *node = &facts->node;
    char a[32], b[32];
    if (init_answers(init, page)) {
        const struct console_line *stage = console_facts_line(init->stages, init->stages_count, "disk");
        if (stage) console_page_put(page, "state", "%s%s%s", stage->state, stage->text[0] ? ": " : "", stage->text);
        console_page_bytes(a, init->disk_bytes);
        console_page_bytes(b, init->disk_free);
        console_page_put(page, "data disk", "%s", init->disk[0] ? init->disk : "none");
        console_page_put(page, "size", "%s, %s left", a, init->disk_free_known ? b : "not told how much is");
    }
    if (!node_answers(node, page)) return;
    console_page_bytes(a, node->wal_bytes);
    console_page_bytes(b, node->wal_map_bytes);
    console_page_put(page, "store", "%s of write-ahead store, at most %s", a, b);
    console_page_put(page, "scrub", "%" PRIu64 " damaged records found, %" PRIu64 " repaired", node->scrub_found, node->scrub_repaired);
    console_page_put(page, "checkpoint", "at height %" PRIu64 " of %" PRIu64, node->checkpoint, node->height);
}

void console_look_votes(const struct console_facts *facts, struct console_page *page) {
    const struct console_node *node = &facts->node;
    char label[24];
    if (!node_answers(node, page)) return;
    console_page_put(page, "cluster", "%s, epoch %" PRIu64 ", view %" PRIu64 ", led by member %" PRIu64, node->cluster, node->epoch, node->view,
                     node->leader);
    console_page_put(page, "this node", "member %" PRIu32 ", %s, %s", node->member, node->phase, node->ready ? "ready" : "not ready");
    console_page_put(page, "height", "%" PRIu64 " final, %" PRIu64 " prepared, %" PRIu64 " executed", node->height, node->prepared, node->executed);
    if (node->root[0]) console_page_put(page, "state root", "%s of height %" PRIu64, node->root, node->root_height);
    console_page_put(page, "decisions", "%" PRIu64 " since it started, %" PRIu64 " changes of view", node->decisions, node->view_changes);
    console_page_put(page, "final in", "%.1f ms or less: half of the decisions; %.1f ms: 99 of 100", (double)node->commit_p50_us / 1000,
                     (double)node->commit_p99_us / 1000);
    console_page_put(page, "needed", "%" PRIu32 " votes of %" PRIu32 " members", node->members - node->faults, node->members);
    for (uint32_t i = 0; i < node->members; i++) {
        const struct console_member *member = &node->seen[i];
        if (i == node->member) continue;
        snprintf(label, sizeof label, "member %" PRIu32, i);
        console_page_put(page, label, "%s%s%s, %s, height %" PRIu64 " in view %" PRIu64, member->name, member->name[0] ? ": " : "",
                         member->up ? "up" : "NO LINK", vote_text(member->votes), member->height, member->view);
    }
}

void console_look_evidence(const struct console_facts *facts, struct console_page *page) {
    const struct console_node *node = &facts->node;
    if (!node_answers(node, page)) return;
    console_page_put(page, "evidence", "%" PRIu64 " files kept since it started%s", node->evidence,
                     node->evidence > 0 ? "; the admin console gives them out" : "");
    for (uint32_t i = 0; i < node->attacks_count; i++) {
        console_page_put(page, i ? " " : "attacks", "%s: %" PRIu64, node->attacks[i].name, node->attacks[i].value);
    }
    if (node->attacks_count == 0) console_page_put(page, "attacks", "none seen");
    for (uint32_t i = 0; i < node->attackers_count; i++) {
        const struct console_count *attacker = &node->attackers[i];
        console_page_put(page, i ? " " : "by", "%s: %s, %" PRIu64, attacker->who, attacker->name, attacker->value);
    }
    for (uint32_t i = 0; i < node->dropped_count; i++) {
        console_page_put(page, i ? " " : "dropped", "%s: %" PRIu64, node->dropped[i].name, node->dropped[i].value);
    }
}

/* "number 7 label r7 blessed tries 0 done 0 signed", as heraclius-slots says it; what has another form is shown as it is. The last
 * try leaves 0 tries: it is on trial as long as it `runs`. */
static void slot_put(struct console_page *page, const char *label, const char *text, bool runs) {
    unsigned long long number;
    char name[41], state[16], by[16];
    int tries, done, used = 0;
    bool read = sscanf(text, "number %20llu label %40s %15s tries %3d done %3d %15s%n", &number, name, state, &tries, &done, by, &used) == 6;
    if (!read || text[used] != '\0') {
        console_page_put(page, label, "%s", text[0] ? text : "not told");
        return;
    }
    const char *is = strcmp(state, "blessed") == 0 ? "blessed" : tries == 0 && !runs ? "given up" : done == 0 && !runs ? "untried" : "on trial";
    bool named = strcmp(name, "-") != 0;
    console_page_put(page, label, "release %llu%s%s%s, %s%s", number, named ? " (" : "", named ? name : "", named ? ")" : "", is,
                     strcmp(by, "signed") == 0 ? "" : ", not signed");
}

void console_look_slots(const struct console_facts *facts, struct console_page *page) {
    const struct console_init *init = &facts->init;
    char label[24];
    if (!init_answers(init, page)) return;
    console_page_put(page, "image", "%s", init->image[0] ? init->image : "of no known version");
    if (!init->slot[0] || strcmp(init->slot, "0") == 0) {
        bool unknown = init->slots_why[0] && strncmp(init->slots_why, "foreign", 7) != 0;
        if (unknown) console_page_put(page, "slots", "not known, and asked again: %s", init->slots_why);
        else console_page_put(page, "slots", "none: this machine did not start from a slot of its boot partition (BIOS, CD, network)");
        return;
    }
    bool trial = strcmp(init->slot_state, "trial") == 0;
    console_page_put(page, "runs", "slot %s, %s", init->slot, trial ? "on trial: what it waits for is in \"logs trial\"" : "blessed: it is kept");
    for (unsigned i = 0; i < sizeof init->slots / sizeof init->slots[0]; i++) {
        snprintf(label, sizeof label, "slot %u", i + 1);
        slot_put(page, label, init->slots[i], strcmp(init->slot, label + sizeof "slot " - 1) == 0);
    }
    if (init->given_up[0]) console_page_put(page, "given up", "slot %s: %s", strcmp(init->slot, "1") == 0 ? "2" : "1", init->given_up);
    if (console_look_restart_due(init)) console_page_put(page, "next", "slot %s: a restart starts it, on trial (reboot)", init->slot_next);
    console_page_put(page, "", "A release comes by the admin console or \"heraclius upgrade\". Back to the other image: \"rollback\".");
}

void console_look_config(const struct console_facts *facts, struct console_page *page) {
    const struct console_init *init = &facts->init;
    if (!init_answers(init, page)) return;
    const struct console_line *stage = console_facts_line(init->stages, init->stages_count, "config");
    if (init->config_known) console_page_put(page, "number", "%" PRIu64, init->config_number);
    if (init->config_text[0]) console_page_put(page, "in force", "%s", init->config_text);
    if (stage) console_page_put(page, "state", "%s%s%s", stage->state, stage->text[0] ? ": " : "", stage->text);
    if (init->config_refused[0]) console_page_put(page, "refused", "%s", init->config_refused);
    for (uint32_t i = 0; i < init->nets_count; i++) console_page_put(page, init->nets[i].name, "%s", init->nets[i].text);
    if (facts->admin.fingerprint[0]) console_page_put(page, "admin TLS", "%s", facts->admin.fingerprint);
    console_page_put(page, "", "A new one: \"config paste\". What this machine asks its owner for: \"request\".");
}
