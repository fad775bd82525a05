/* May the roll begin? */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cmd_system_inside.h"
#include "client/upgrade.h"
#include "ring/clock.h"

/* What one look at everybody found. */
struct looked {
    unsigned bad;  /* cannot have the release: no wait helps */
    unsigned away; /* may come back: they may be starting again from an upgrade */
    int code;      /* of bad */
    char first[UPGRADE_TEXT_BYTES]; /* the first one that is away, and why */
};

static void is_away(struct looked *looked, const char *name, const char *why) {
    looked->away++;
    if (!looked->first[0]) (void)snprintf(looked->first, sizeof looked->first, "%s %.250s", name, why);
}

/* Why a node cannot have this release now; "" if it can, has it, or is none that it is for. */
static void node_judge(const struct upgrade_roll *roll, struct upgrade_node *node) {
    const struct upgrade_state *state = &node->state;
    char *why = node->why;
    node->number_before = state->number;
    if (state->node[0] && strcmp(state->node, node->name) != 0) {
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "its console says that it is %s: look at addresses.json", state->node);
        return;
    }
    if (state->architecture[0] && strcmp(state->architecture, release_architecture_name(roll->release.architecture)) != 0) {
        node->phase = UPGRADE_OVER;
        node->other_kind = true;
        return;
    }
    switch (upgrade_place_of(state, roll->release.number)) {
    case UPGRADE_DONE: node->phase = UPGRADE_OVER, node->skipped = true; return;
    case UPGRADE_ON_TRIAL: node->phase = UPGRADE_UNDER_WAY, node->begun_ms = ring_clock_ms(); return;
    case UPGRADE_FELL_BACK:
        if (!roll->command->again)
            (void)snprintf(why, UPGRADE_TEXT_BYTES, "gave this release up before: `slots` at its console says why; --again tries it once more");
        return;
    case UPGRADE_BUSY: (void)snprintf(why, UPGRADE_TEXT_BYTES, "runs %" PRIu64 " on trial: wait until that is blessed", state->number); return;
    case UPGRADE_NEWER: (void)snprintf(why, UPGRADE_TEXT_BYTES, "runs %" PRIu64 ", which is newer", state->number); return;
    case UPGRADE_NO_SLOTS:
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "has no slots: %.220s. Leave it out of the consoles' file",
                       state->why[0] ? state->why : "it says no reason");
        return;
    default: return;
    }
}

static void consoles_look(struct upgrade_roll *roll, struct looked *looked) {
    for (size_t i = 0; i < roll->count && !upgrade_broken_off(); i++) {
        struct upgrade_node *node = &roll->nodes[i];
        char why[UPGRADE_TEXT_BYTES];
        node->phase = UPGRADE_WAITS;
        node->skipped = node->other_kind = false;
        node->why[0] = 0;
        enum upgrade_said said = upgrade_console_state(&node->console, &node->state, why);
        if (said == UPGRADE_SAID) node_judge(roll, node);
        if (said == UPGRADE_SILENT) {
            (void)snprintf(node->why, sizeof node->why, "its console is not reached: %.250s", why);
            is_away(looked, node->name, node->why);
            continue;
        }
        if (said != UPGRADE_SAID) {
            (void)snprintf(node->why, sizeof node->why, "%s", why);
            looked->code = said == UPGRADE_REFUSED ? EXIT_REFUSED : EXIT_UNANSWERED;
        }
        looked->bad += node->why[0] != 0;
    }
}

/* All members of the clusters that are rolled through vote, but for those that are on trial with this very release. */
static void clusters_look(const struct upgrade_roll *roll, struct looked *looked, bool tells) {
    for (size_t i = 0; i < roll->statuses_count; i++) {
        const struct heraclius_node_status *status = &roll->statuses[i];
        struct command_cluster view = command_cluster_of(roll->statuses, roll->statuses_count, status->cluster);
        char why[UPGRADE_TEXT_BYTES];
        const struct upgrade_node *own = upgrade_node_of(roll, status);
        bool concerned = false, under_way = own && own->phase == UPGRADE_UNDER_WAY;
        for (size_t k = 0; k < roll->count; k++)
            concerned = concerned || (roll->nodes[k].cluster == status->cluster && roll->nodes[k].phase == UPGRADE_WAITS);
        if (!concerned || under_way || upgrade_well(status, &view, why)) continue;
        is_away(looked, status->name, why);
        if (tells) (void)cmd_fail("%s %s", status->name, why);
    }
}

static struct looked look(struct upgrade_roll *roll) {
    struct looked looked = {.code = EXIT_NO};
    consoles_look(roll, &looked);
    if (!upgrade_broken_off()) clusters_look(roll, &looked, false);
    return looked;
}

/* The same, said: a line for each that stands in the way. */
static void tell(const struct upgrade_roll *roll) {
    struct looked looked = {.code = EXIT_NO};
    for (size_t i = 0; i < roll->count; i++) {
        if (roll->nodes[i].why[0]) (void)cmd_fail("%s: %s", roll->nodes[i].name, roll->nodes[i].why);
    }
    clusters_look(roll, &looked, true);
}

static bool is_for_somebody(const struct upgrade_roll *roll) {
    for (size_t i = 0; i < roll->count; i++) {
        if (!roll->nodes[i].other_kind) return true;
    }
    return false;
}

int upgrade_begin(struct upgrade_roll *roll) {
    uint64_t wait_ms = roll->command->dry_run ? 0 : (uint64_t)roll->command->away_s * 1000, begun_ms = ring_clock_ms();
    struct looked looked = look(roll);
    bool waited = false;
    for (; looked.bad == 0 && looked.away > 0 && !upgrade_broken_off() && ring_clock_ms() - begun_ms < wait_ms; waited = true) {
        if (!waited)
            upgrade_say(roll, "%s%s: waited for, %d s at most, since it may be starting again from an upgrade", looked.first,
                        looked.away > 1 ? ", and more" : "", roll->command->away_s);
        upgrade_pause(roll, UPGRADE_AWAY_LOOK_MS);
        upgrade_votes_ask(roll);
        looked = look(roll);
    }
    if (upgrade_broken_off()) return command_fail(EXIT_UNANSWERED, "broken off: nothing was sent");
    if (looked.bad > 0 || looked.away > 0) tell(roll);
    if (looked.away > 0)
        return command_fail(EXIT_UNANSWERED,
                            "not begun, nothing was sent: a node that is upgraded is away for a while, so all others must be there and vote "
                            "before%s. Bring back what is named above, then run this again",
                            waited ? "; they were waited for" : "");
    if (looked.bad > 0) return command_fail(looked.code, "not begun, nothing was sent");
    if (!is_for_somebody(roll))
        return command_fail(EXIT_NO, "not begun, nothing was sent: none of these nodes is %s",
                            release_architecture_name(roll->release.architecture));
    if (waited) upgrade_say(roll, "all that are concerned vote (%" PRIu64 " s)", (ring_clock_ms() - begun_ms + 500) / 1000);
    return EXIT_DONE;
}
