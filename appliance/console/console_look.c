#include "appliance/console/console_look.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A machine's calendar is kept in whole seconds while it is off, and cluster time asks nobody's: what is this far off is a clock that was never
 * set. */
enum { DISK_FREE_PERCENT_MIN = 10, WAL_PERCENT_MAX = 90, MEMORY_PERCENT_MAX = 90, CALENDAR_OFF_MS = 5000 };

/* A word that a node says, what it means for the operator, and what helps. */
struct meaning {
    const char *name, *text;
};

/* By the names of appliance/status/status.h. */
static const struct meaning phases[] = {
    {"restoring", "it reads its disk and does not vote yet; wait"},
    {"asking_last_signed", "it asks the others what it signed last and does not vote before it knows; are enough of them up? (links)"},
    {"catching_up", "it fetches what it missed and does not vote yet; wait"},
    {"draining", "it takes no new work and is about to end"},
    {"retired", "its key is retired: it never votes again; give this place to a new node"},
    {"rolled_back", "its whole cluster was put back to an older state: it must not vote; the cluster needs a successor"},
    {"succeeded", "its cluster was succeeded by another and decides nothing any more"},
    {"observing", "it follows its cluster and is no voting member yet"},
    {"removed", "its cluster goes on without it"},
    {"sealed", "its cluster is sealed and decides nothing any more"},
};

/* Why a key is retired. */
static const struct meaning causes[] = {
    {"newer_signature", "its disk is older than what its key signed: put back, a copy, or blank"},
    {"other_signature", "its key signed something else elsewhere: a copy of its disk runs on another machine"},
    {"memory_damaged", "its disk has lost what its key signed (disk)"},
    {"given_up", "its operator gave its key up"},
    {"from_backup", "its data was made of a backup, and its key may have signed since"},
};

static const char *meaning_of(const struct meaning *meanings, size_t count, const char *name, const char *otherwise) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(meanings[i].name, name) == 0) return meanings[i].text;
    }
    return otherwise;
}

static const char *phase_text(const char *name) {
    return meaning_of(phases, sizeof phases / sizeof *phases, name, "a phase that this console does not know");
}

static bool is_voting(const struct console_node *node) {
    return node->ready && strcmp(node->phase, "voting") == 0;
}

/* How many vote, as far as this node knows; of *unknown it does not know it. */
static unsigned voters(const struct console_node *node, unsigned *unknown) {
    unsigned count = is_voting(node);
    *unknown = 0;
    for (uint32_t i = 0; i < node->members; i++) {
        if (i == node->member) continue;
        count += node->seen[i].votes == CONSOLE_VOTE_YES;
        *unknown += node->seen[i].votes == CONSOLE_VOTE_UNKNOWN;
    }
    return count;
}

bool console_look_may_fail(const struct console_node *node, int *more) {
    unsigned unknown;
    if (node->fault[0]) return false;
    *more = (int)voters(node, &unknown) - (int)(node->members - node->faults);
    return true;
}

/* Could the cluster decide, if those of whom it is not known vote? */
static bool may_decide(const struct console_node *node) {
    unsigned unknown, votes = voters(node, &unknown);
    return votes + unknown >= node->members - node->faults;
}

/* "; not voting: s0-n3; no link to s0-n1": those of the others that are not counted, and why. */
static void missing_put(const struct console_node *node, char out[FACT_TEXT_BYTES]) {
    static const char *const kinds[] = {"not voting:", "no link to", "not known whether they vote:"};
    size_t used = 0;
    out[0] = '\0';
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        bool first = true;
        for (uint32_t i = 0; i < node->members; i++) {
            const struct console_member *member = &node->seen[i];
            size_t its = member->votes == CONSOLE_VOTE_NO ? 0 : member->up ? 2 : 1;
            char name[FACT_NAME_BYTES];
            if (i == node->member || member->votes == CONSOLE_VOTE_YES || its != kind) continue;
            if (member->name[0])
                (void)snprintf(name, sizeof name, "%s", member->name);
            else
                (void)snprintf(name, sizeof name, "member %" PRIu32, i);
            int wrote = snprintf(out + used, FACT_TEXT_BYTES - used, "%s%s %s", first ? "; " : ",", first ? kinds[kind] : "", name);
            if (wrote < 0 || (size_t)wrote >= FACT_TEXT_BYTES - used) return;
            used += (size_t)wrote;
            first = false;
        }
    }
}

/* ---------------------------------------------------------------- the verdict */

static void reason(struct console_verdict *verdict, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void reason(struct console_verdict *verdict, const char *format, ...) {
    if (verdict->count == LOOK_REASONS_MAX) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(verdict->reasons[verdict->count++], FACT_TEXT_BYTES, format, arguments);
    va_end(arguments);
}

static void judge_node(const struct console_node *node, struct console_verdict *verdict) {
    int more;
    if (node->fault[0]) {
        reason(verdict, "the node does not answer: %.200s", node->fault);
        return;
    }
    if (strcmp(node->phase, "retired") == 0 && node->retired_by[0])
        reason(verdict, "retired: %.100s; it never votes again: give this place to a new node",
               meaning_of(causes, sizeof causes / sizeof *causes, node->retired_by, node->retired_by));
    else if (strcmp(node->phase, "voting") != 0)
        reason(verdict, "phase %s: %.180s", node->phase, phase_text(node->phase));
    else if (!node->ready)
        reason(verdict, "it is a voter, but not ready: behind the others, or without enough links (links)");
    if (console_look_may_fail(node, &more) && more < 0) {
        unsigned unknown, votes = voters(node, &unknown), must = node->members - node->faults;
        if (may_decide(node))
            reason(verdict, "cluster %s may not be able to decide: this node sees %u of its %u members vote, %u must; of %u it does not know",
                   node->cluster, votes, node->members, must, unknown);
        else
            reason(verdict, "cluster %s cannot decide, as far as this node sees: %u of its %u members vote, %u must", node->cluster, votes,
                   node->members, must);
    }
    if (node->scrub_found > node->scrub_repaired) {
        reason(verdict, "%" PRIu64 " damaged records were found and not repaired (disk)", node->scrub_found - node->scrub_repaired);
    }
    if (node->wal_map_bytes > 0 && node->wal_bytes / WAL_PERCENT_MAX >= node->wal_map_bytes / 100) {
        reason(verdict, "the write-ahead store is nearly full (disk)");
    }
    uint64_t used = node->resident_bytes > node->resident_file_bytes ? node->resident_bytes - node->resident_file_bytes : 0;
    if (node->memory_limit_bytes > 0 && used / MEMORY_PERCENT_MAX >= node->memory_limit_bytes / 100) {
        char text[32];
        console_page_bytes(text, node->memory_limit_bytes);
        reason(verdict, "it has nearly used up the memory that it can have, %s; when that is full the kernel ends it", text);
    }
    if (node->clock_difference_ms > CALENDAR_OFF_MS || node->clock_difference_ms < -CALENDAR_OFF_MS) {
        reason(verdict, "this machine's calendar is %s the cluster's time by %" PRId64 " s", node->clock_difference_ms > 0 ? "ahead of" : "behind",
               (node->clock_difference_ms > 0 ? node->clock_difference_ms : -(node->clock_difference_ms + 1)) / 1000);
    }
}

static void judge_init(const struct console_init *init, struct console_verdict *verdict) {
    if (init->fault[0]) {
        reason(verdict, "init does not answer: %.200s", init->fault);
        return;
    }
    for (uint32_t i = 0; i < init->stages_count; i++) {
        const struct console_line *stage = &init->stages[i];
        if (strcmp(stage->state, "cannot") == 0) reason(verdict, "%s: %.180s", stage->name, stage->text[0] ? stage->text : "it could not be done");
    }
    for (uint32_t i = 0; i < init->programs_count; i++) {
        const struct console_line *program = &init->programs[i];
        if (strcmp(program->state, "failed") == 0)
            reason(verdict, "%s failed and is not tried again by itself: %.120s (logs %s)", program->name, program->text, program->name);
        else if (strcmp(program->state, "backing-off") == 0)
            reason(verdict, "%s: %.150s; it is tried again soon (logs %s)", program->name, program->text, program->name);
    }
    if (init->disk_free_known && init->disk_bytes > 0 && init->disk_free / DISK_FREE_PERCENT_MIN < init->disk_bytes / 100) {
        char left[32];
        console_page_bytes(left, init->disk_free);
        reason(verdict, "the data disk is nearly full: %s left", left);
    }
}

void console_look_judge(const struct console_facts *facts, struct console_verdict *verdict) {
    verdict->count = 0;
    judge_node(&facts->node, verdict);
    judge_init(&facts->init, verdict);
}

/* ---------------------------------------------------------------- the one look */

static void put_may_fail(const struct console_node *node, struct console_page *page) {
    int more;
    char missing[FACT_TEXT_BYTES];
    if (!console_look_may_fail(node, &more)) {
        console_page_put(page, "may fail", "not known here while the node does not answer: ask another node");
        return;
    }
    missing_put(node, missing);
    if (more >= 0)
        console_page_put(page, "may fail", "%d more of %" PRIu32 " (%" PRIu32 " in all)%s", more, node->members, node->faults, missing);
    else
        console_page_put(page, "may fail", "none: the cluster %s decide now%s", may_decide(node) ? "may not be able to" : "cannot", missing);
}

static void put_node(const struct console_node *node, struct console_page *page) {
    if (node->fault[0]) {
        console_page_put(page, "node", "does not answer: %s", node->fault);
        put_may_fail(node, page);
        return;
    }
    console_page_put(page, "node", "%s, member %" PRIu32 " of %" PRIu32 " of cluster %s%s%s", node->node, node->member, node->members, node->cluster,
                     node->system[0] ? ", system " : "", node->system);
    console_page_put(page, "phase", "%s, %s", node->phase, node->ready ? "ready" : "not ready");
    console_page_put(page, "view", "%" PRIu64 " of epoch %" PRIu64 ", led by member %" PRIu64 "%s", node->view, node->epoch, node->leader,
                     node->leader == node->member ? " (this one)" : "");
    console_page_put(page, "height", "%" PRIu64 " final, %" PRIu64 " prepared, checkpoint %" PRIu64, node->height, node->prepared, node->checkpoint);
    put_may_fail(node, page);
}

static void put_address(const struct console_init *init, struct console_page *page) {
    char text[FACT_TEXT_BYTES] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < init->nets_count && used + 1 < sizeof text; i++) {
        int wrote = snprintf(text + used, sizeof text - used, "%s%s %.80s", i ? "; " : "", init->nets[i].name, init->nets[i].text);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    const struct console_line *network = console_facts_line(init->stages, init->stages_count, "network");
    if (used == 0) snprintf(text, sizeof text, "%.200s", network && network->text[0] ? network->text : "none known");
    console_page_put(page, "address", "%s", text);
}

bool console_look_restart_due(const struct console_init *init) {
    return init->slot[0] && strcmp(init->slot, "0") != 0 && init->slot_next[0] && strcmp(init->slot_next, init->slot) != 0;
}

static void put_image(const struct console_init *init, struct console_page *page) {
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, init->config_number);
    bool trial = strcmp(init->slot_state, "trial") == 0, due = console_look_restart_due(init);
    console_page_put(page, "image", "%s%s%s%s%s%s%s, configuration %s", init->image[0] ? init->image : "of no known version",
                     init->slot[0] ? ", slot " : "", init->slot, trial ? ", ON TRIAL (slots)" : "",
                     due ? ", another one after a restart (slots)" : "", init->secure_boot[0] ? ", Secure Boot " : "", init->secure_boot,
                     init->config_known ? number : "not known");
}

static void put_disk(const struct console_facts *facts, struct console_page *page) {
    const struct console_init *init = &facts->init;
    char all[32], left[32], wal[32], map[32];
    console_page_bytes(all, init->disk_bytes);
    console_page_bytes(left, init->disk_free);
    console_page_bytes(wal, facts->node.wal_bytes);
    console_page_bytes(map, facts->node.wal_map_bytes);
    if (init->fault[0])
        console_page_put(page, "disk", "not known while init does not answer");
    else if (!init->disk_bytes)
        console_page_put(page, "disk", "none in use%s%s", init->disk[0] ? ": " : "", init->disk);
    else if (init->disk_free_known)
        console_page_put(page, "disk", "%s left of %s (%s)", left, all, init->disk);
    else
        console_page_put(page, "disk", "%s (%s)", all, init->disk);
    if (facts->node.wal_map_bytes) console_page_put(page, "store", "%s of at most %s", wal, map);
}

/* The newest of each program's ends is all that init keeps; the node's counts first. */
static void put_last_fault(const struct console_init *init, struct console_page *page) {
    const struct console_line *worst = NULL;
    for (uint32_t i = 0; i < init->programs_count; i++) {
        const struct console_line *program = &init->programs[i];
        bool bad = strcmp(program->state, "failed") == 0 || strcmp(program->state, "backing-off") == 0;
        if (!program->text[0] || (!bad && program->restarts == 0)) continue;
        if (!worst || (strcmp(program->name, "node") == 0)) worst = program;
    }
    if (worst)
        console_page_put(page, "last fault", "%s: %s; begun anew %" PRIu64 " times", worst->name, worst->text, worst->restarts);
    else
        console_page_put(page, "last fault", init->fault[0] ? "not known while init does not answer" : "none since this machine came up");
}

void console_look_status(const struct console_facts *facts, struct console_page *page) {
    static struct console_verdict verdict;
    char up[32], resident[32], limit[32], budget[32];
    console_look_judge(facts, &verdict);
    console_page_put(page, "WELL", verdict.count ? "NO" : "yes");
    for (unsigned i = 0; i < verdict.count; i++) console_page_put(page, i ? " " : "why not", "- %s", verdict.reasons[i]);
    if (facts->admin.code[0]) {
        console_page_put(page, "pairing", "code %s, for the admin console's page: 5 minutes, one use", facts->admin.code);
        console_page_put(page, "its SHA-256", "%s", facts->admin.fingerprint);
    }
    put_node(&facts->node, page);
    if (facts->init.fault[0]) {
        console_page_put(page, "init", "does not answer: %s", facts->init.fault);
    } else {
        put_address(&facts->init, page);
        put_image(&facts->init, page);
    }
    put_disk(facts, page);
    console_page_bytes(resident, facts->node.resident_bytes);
    console_page_bytes(limit, facts->node.memory_limit_bytes);
    console_page_bytes(budget, facts->node.budget_bytes);
    bool limited = facts->node.memory_limit_bytes > 0;
    if (!facts->node.fault[0])
        console_page_put(page, "memory", "%s resident%s%s, budget of the node %s", resident, limited ? " of " : "", limited ? limit : "", budget);
    put_last_fault(&facts->init, page);
    console_page_time(up, facts->init.uptime_ms);
    if (!facts->init.fault[0]) console_page_put(page, "up", "%s", up);
}

void console_look_cost(const struct console_facts *facts, bool for_good, struct console_page *page) {
    const struct console_node *node = &facts->node;
    int more;
    char missing[FACT_TEXT_BYTES];
    const char *away = for_good ? "from then on" : "while it is away";
    if (!console_look_may_fail(node, &more)) {
        console_page_put(page, "", "How many more nodes may fail %s is not known here: the node does not answer. Ask another node first.", away);
        return;
    }
    int after = more - (is_voting(node) ? 1 : 0);
    missing_put(node, missing);
    if (after < 0)
        console_page_put(page, "", "It costs cluster %s its decisions: %s too few of its %" PRIu32 " members would vote, as far as this node sees (%"
                         PRIu32 " must)%s.", node->cluster, away, node->members, node->members - node->faults, missing);
    else
        console_page_put(page, "", "Of cluster %s %d more node%s may fail %s; now it is %d%s.", node->cluster, after, after == 1 ? "" : "s", away,
                         more, missing);
}
