/* The roll: who is handed the release next, and what becomes of it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/cmd_system_inside.h"
#include "client/upgrade.h"
#include "ring/clock.h"

void upgrade_say(const struct upgrade_roll *roll, const char *format, ...) {
    FILE *out = roll->command->json ? stderr : stdout;
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(out, format, arguments);
    va_end(arguments);
    (void)fputc('\n', out);
    (void)fflush(out);
}

/* What is said of a node, once. */
static void say_of(const struct upgrade_roll *roll, struct upgrade_node *node, const char *text) {
    if (strcmp(node->said, text) == 0) return;
    (void)snprintf(node->said, sizeof node->said, "%s", text);
    upgrade_say(roll, "%s: %s", node->name, text);
}

/* Ends the roll; gives the exit code back. */
static int stop(struct upgrade_roll *roll, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int stop(struct upgrade_roll *roll, int code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(roll->stopped, sizeof roll->stopped, format, arguments);
    va_end(arguments);
    return code;
}

void upgrade_votes_ask(struct upgrade_roll *roll) {
    (void)heraclius_nodes(roll->db, UPGRADE_VOTES_MS, &roll->statuses, &roll->statuses_count);
    upgrade_members_take(roll);
}

/* By its name: a CONFIG that is decided while the roll is on shifts the members' numbers. */
struct upgrade_node *upgrade_node_of(const struct upgrade_roll *roll, const struct heraclius_node_status *status) {
    for (size_t i = 0; i < roll->count; i++) {
        if (roll->nodes[i].cluster == status->cluster && strcmp(roll->nodes[i].name, status->name) == 0) return &roll->nodes[i];
    }
    return NULL;
}

void upgrade_members_take(struct upgrade_roll *roll) {
    for (size_t i = 0; i < roll->statuses_count; i++) {
        struct upgrade_node *node = upgrade_node_of(roll, &roll->statuses[i]);
        if (node) node->member = roll->statuses[i].member;
    }
}

void upgrade_pause(const struct upgrade_roll *roll, uint32_t for_ms) {
    uint64_t now_ms = ring_clock_ms(), until_ms = now_ms + for_ms;
    for (; now_ms < until_ms && !upgrade_broken_off(); now_ms = ring_clock_ms()) {
        uint64_t left_ms = until_ms - now_ms;
        (void)heraclius_poll(roll->db, left_ms < 100 ? (int)left_ms : 100);
    }
}

struct upgrade_node *upgrade_next(struct upgrade_roll *roll, uint32_t cluster) {
    struct command_cluster view = command_cluster_of(roll->statuses, roll->statuses_count, cluster);
    struct upgrade_node *leader = NULL;
    for (size_t i = 0; i < roll->count; i++) {
        struct upgrade_node *node = &roll->nodes[i];
        if (node->cluster != cluster || node->phase != UPGRADE_WAITS) continue;
        bool leads = view.agreeing > view.faults && node->member == view.view % view.nodes;
        if (!leads) return node;
        leader = node;
    }
    return leader;
}

/* ---- one that is under way ---- */

/* It runs the release, blessed: is it back among the others? */
static void finish(struct upgrade_roll *roll, struct upgrade_node *node) {
    char why[UPGRADE_TEXT_BYTES] = "", text[UPGRADE_TEXT_BYTES];
    const struct heraclius_node_status *status = NULL;
    upgrade_votes_ask(roll);
    struct command_cluster view = command_cluster_of(roll->statuses, roll->statuses_count, node->cluster);
    for (size_t i = 0; i < roll->statuses_count; i++) {
        if (upgrade_node_of(roll, &roll->statuses[i]) == node) status = &roll->statuses[i];
    }
    if (!status || !upgrade_well(status, &view, why)) {
        (void)snprintf(text, sizeof text, "runs %" PRIu64 ", blessed; it %.200s", roll->release.number, status ? why : "is no member any more");
        say_of(roll, node, text);
        return;
    }
    node->phase = UPGRADE_OVER;
    node->over_ms = ring_clock_ms();
    (void)snprintf(text, sizeof text, "runs %" PRIu64 ", blessed, votes at height %" PRIu64 " (%" PRIu64 " s)", roll->release.number, status->height,
                   (node->over_ms - node->begun_ms + 500) / 1000);
    say_of(roll, node, text);
}

/* How many members of the cluster, this node apart, are under way or not well; *lacking: one that is not under way. */
static uint32_t others_out(struct upgrade_roll *roll, const struct upgrade_node *node, const struct heraclius_node_status **lacking,
                           char why[UPGRADE_TEXT_BYTES]) {
    struct command_cluster view = command_cluster_of(roll->statuses, roll->statuses_count, node->cluster);
    uint32_t out = 0;
    char text[UPGRADE_TEXT_BYTES];
    *lacking = NULL;
    for (size_t i = 0; i < roll->statuses_count; i++) {
        const struct heraclius_node_status *status = &roll->statuses[i];
        const struct upgrade_node *other = status->cluster == node->cluster ? upgrade_node_of(roll, status) : NULL;
        if (status->cluster != node->cluster) continue;
        bool under_way = other && other->phase == UPGRADE_UNDER_WAY;
        bool well = upgrade_well(status, &view, text);
        if (!well && !under_way) {
            *lacking = status;
            (void)snprintf(why, UPGRADE_TEXT_BYTES, "%s", text);
        }
        out += other != node && (under_way || !well);
    }
    return out;
}

/* It has the release, and is started again if nobody else lacks; else it is held, for a while. */
static int order(struct upgrade_roll *roll, struct upgrade_node *node) {
    char why[UPGRADE_TEXT_BYTES] = "", text[UPGRADE_TEXT_BYTES];
    const struct heraclius_node_status *lacking;
    upgrade_votes_ask(roll);
    uint64_t now_ms = ring_clock_ms();
    bool first = node->orders == 0, may = others_out(roll, node, &lacking, why) < (uint32_t)roll->command->at_once && !lacking;
    if (first) node->begun_ms = now_ms; /* --wait counts from the restart */
    if (upgrade_broken_off() || (!may && !lacking)) return EXIT_DONE;
    if (!may) {
        if (node->held_ms == 0) node->held_ms = now_ms;
        (void)snprintf(text, sizeof text, "has it, and waits to be started again: %.40s %.200s", lacking->name, why);
        say_of(roll, node, text);
        if (now_ms - node->held_ms < UPGRADE_WELL_MS) return EXIT_DONE;
        return stop(roll, EXIT_UNANSWERED,
                    "%s %s, for %d s: bring it back, then run this again; %s has the release and was not started again with it", lacking->name, why,
                    UPGRADE_WELL_MS / 1000, node->name);
    }
    say_of(roll, node, "has it, and is started again");
    node->held_ms = 0;
    node->orders++;
    node->ordered_ms = now_ms;
    enum upgrade_said said = upgrade_console_reboot(&node->console, why);
    /* No answer is none yet: it may be going down. Whether it does is seen by what its console says next. */
    return said == UPGRADE_REFUSED ? stop(roll, EXIT_REFUSED, "%s: is not started again: %s", node->name, why) : EXIT_DONE;
}

static size_t under_way_besides(const struct upgrade_roll *roll, const struct upgrade_node *node) {
    size_t count = 0;
    for (size_t i = 0; i < roll->count; i++) count += &roll->nodes[i] != node && roll->nodes[i].phase == UPGRADE_UNDER_WAY;
    return count;
}

static int under_way_look(struct upgrade_roll *roll, struct upgrade_node *node) {
    char why[UPGRADE_TEXT_BYTES], text[UPGRADE_TEXT_BYTES];
    uint64_t now_ms = ring_clock_ms();
    enum upgrade_said said = upgrade_console_state(&node->console, &node->state, why);
    if (said != UPGRADE_SAID) {
        if (now_ms - node->begun_ms > 1000) say_of(roll, node, "is away, starting again");
        return EXIT_DONE;
    }
    switch (upgrade_place_of(&node->state, roll->release.number)) {
    case UPGRADE_DONE: finish(roll, node); return EXIT_DONE;
    case UPGRADE_ON_TRIAL:
        (void)snprintf(text, sizeof text, "on trial%s%.200s", node->state.trial[0] ? ": " : "", node->state.trial);
        say_of(roll, node, text);
        return EXIT_DONE;
    case UPGRADE_WRITTEN: /* the restart is yet to come, or was not taken */
        if (node->orders > 0 && (now_ms - node->ordered_ms < UPGRADE_ORDER_AGAIN_MS || node->orders >= UPGRADE_ORDERS_MAX)) return EXIT_DONE;
        return order(roll, node);
    case UPGRADE_FELL_BACK:
        return stop(roll, EXIT_NO,
                    "%s: gave release %" PRIu64 " up and runs %" PRIu64 " again: `slots` at its console says why, look there first; no "
                    "further node is handed it%s",
                    node->name, roll->release.number, node->state.number,
                    under_way_besides(roll, node) > 0 ? ", but who has it already starts with it" : "");
    default:
        return stop(roll, EXIT_NO, "%s: runs %" PRIu64 ", and release %" PRIu64 " is in its other slot no more: somebody else is at it", node->name,
                    node->state.number, roll->release.number);
    }
}

static int under_way_all(struct upgrade_roll *roll) {
    for (size_t i = 0; i < roll->count; i++) {
        struct upgrade_node *node = &roll->nodes[i];
        if (node->phase != UPGRADE_UNDER_WAY) continue;
        int code = under_way_look(roll, node);
        if (code != EXIT_DONE) return code;
        bool late = node->phase == UPGRADE_UNDER_WAY && ring_clock_ms() - node->begun_ms > (uint64_t)roll->command->wait_s * 1000;
        if (late)
            return stop(roll, EXIT_UNANSWERED, "%s: not back within %d s: last it %s; when it votes again, or is mended, run this again",
                        node->name, roll->command->wait_s, node->said[0] ? node->said : "said nothing");
    }
    return EXIT_DONE;
}

/* ---- a further one ---- */

static int hand_over(struct upgrade_roll *roll, struct upgrade_node *node) {
    char why[UPGRADE_TEXT_BYTES];
    node->phase = UPGRADE_UNDER_WAY;
    node->begun_ms = ring_clock_ms();
    upgrade_say(roll, "%s: runs %" PRIu64 "; is handed release %" PRIu64 ", %zu bytes", node->name, node->state.number, roll->release.number,
                roll->file.count);
    enum upgrade_said said = upgrade_console_hand_over(&node->console, roll->file.bytes, roll->file.count, why);
    if (said != UPGRADE_SAID) node->phase = UPGRADE_WAITS; /* nothing of it was started */
    if (said == UPGRADE_REFUSED) return stop(roll, EXIT_REFUSED, "%s: does not take the release: %s", node->name, why);
    if (said != UPGRADE_SAID) return stop(roll, EXIT_UNANSWERED, "%s: was not handed the release: %s; run this again", node->name, why);
    node->handed = true;
    return order(roll, node);
}

/* Hands it to the next, if one may be now. *waits_ms: since when nobody may, for no reason of this roll's. */
static int further(struct upgrade_roll *roll, uint32_t cluster, uint64_t *waits_ms) {
    char why[UPGRADE_TEXT_BYTES] = "";
    const struct heraclius_node_status *lacking;
    upgrade_votes_ask(roll);
    struct upgrade_node *node = upgrade_next(roll, cluster);
    if (!node) return EXIT_DONE;
    uint32_t out = others_out(roll, node, &lacking, why);
    if (!lacking) *waits_ms = 0;
    if (!lacking && out < (uint32_t)roll->command->at_once) return hand_over(roll, node);
    if (!lacking) return EXIT_DONE;
    if (*waits_ms == 0) {
        *waits_ms = ring_clock_ms();
        upgrade_say(roll, "%s waits: %s %s", node->name, lacking->name, why);
    }
    if (ring_clock_ms() - *waits_ms < UPGRADE_WELL_MS) return EXIT_DONE;
    return stop(roll, EXIT_UNANSWERED, "%s %s, for %d s: bring it back, then run this again", lacking->name, why, UPGRADE_WELL_MS / 1000);
}

static size_t count_of(const struct upgrade_roll *roll, uint32_t cluster, enum upgrade_phase phase) {
    size_t count = 0;
    for (size_t i = 0; i < roll->count; i++) count += roll->nodes[i].cluster == cluster && roll->nodes[i].phase == phase;
    return count;
}

static int cluster_run(struct upgrade_roll *roll, uint32_t cluster) {
    uint64_t waits_ms = 0;
    for (;;) {
        int code = under_way_all(roll);
        size_t waiting = count_of(roll, cluster, UPGRADE_WAITS), under_way = count_of(roll, cluster, UPGRADE_UNDER_WAY);
        if (code == EXIT_DONE && waiting == 0 && under_way == 0) return EXIT_DONE;
        if (code == EXIT_DONE && !upgrade_broken_off() && waiting > 0 && under_way < (size_t)roll->command->at_once)
            code = further(roll, cluster, &waits_ms);
        if (upgrade_broken_off())
            return stop(roll, EXIT_UNANSWERED, "broken off; what is under way goes on by itself, and the same command goes on from there");
        if (code != EXIT_DONE) return code;
        upgrade_pause(roll, UPGRADE_LOOK_MS);
    }
}

int upgrade_run(struct upgrade_roll *roll) {
    for (size_t i = 0; i < roll->count; i++) {
        bool first = i == 0 || roll->nodes[i].cluster != roll->nodes[i - 1].cluster;
        int code = first ? cluster_run(roll, roll->nodes[i].cluster) : EXIT_DONE;
        if (code != EXIT_DONE) return code;
    }
    return EXIT_DONE;
}
