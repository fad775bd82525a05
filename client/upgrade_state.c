/* What an admin console says of its machine's images, and whether members of a cluster are well. Pure. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/upgrade.h"

void upgrade_text(char *out, size_t out_bytes, const char *text) {
    size_t used = 0;
    for (; text && *text && used + 1 < out_bytes; text++) out[used++] = *text >= 0x20 && *text <= 0x7E ? *text : '?';
    out[used] = 0;
}

static bool number_read(const json_t *object, const char *name, uint64_t *out) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static bool slot_read(const json_t *slot, enum upgrade_slot *state, uint64_t *number) {
    static const struct {
        const char *name;
        enum upgrade_slot slot;
    } states[] = {{"blessed", UPGRADE_BLESSED}, {"trial", UPGRADE_TRIAL}, {"untried", UPGRADE_UNTRIED}, {"given-up", UPGRADE_GIVEN_UP}};
    *state = UPGRADE_EMPTY;
    *number = 0;
    if (json_is_null(slot)) return true;
    const char *name = json_string_value(json_object_get(slot, "state"));
    for (size_t i = 0; name && i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(name, states[i].name) == 0) *state = states[i].slot;
    }
    return *state != UPGRADE_EMPTY && number_read(slot, "number", number);
}

bool upgrade_state_read(struct upgrade_state *state, const json_t *answer) {
    uint64_t running;
    memset(state, 0, sizeof *state);
    if (!number_read(answer, "number", &state->number)) return false;
    if (!slot_read(json_object_get(answer, "running"), &state->running, &running)) return false;
    if (!slot_read(json_object_get(answer, "other"), &state->other, &state->other_number)) return false;
    if (state->running != UPGRADE_EMPTY && state->running != UPGRADE_BLESSED && state->running != UPGRADE_TRIAL) return false;
    if (state->running != UPGRADE_EMPTY && running != state->number) return false;
    if (state->other == UPGRADE_TRIAL) return false;
    upgrade_text(state->why, sizeof state->why, json_string_value(json_object_get(answer, "why")));
    upgrade_text(state->architecture, sizeof state->architecture, json_string_value(json_object_get(answer, "architecture")));
    upgrade_text(state->node, sizeof state->node, json_string_value(json_object_get(json_object_get(answer, "node"), "node")));
    upgrade_text(state->trial, sizeof state->trial, json_string_value(json_object_get(json_object_get(answer, "trial"), "text")));
    return true;
}

enum upgrade_place upgrade_place_of(const struct upgrade_state *state, uint64_t number) {
    if (state->running == UPGRADE_EMPTY) return UPGRADE_NO_SLOTS;
    if (state->number > number) return UPGRADE_NEWER;
    if (state->number == number) return state->running == UPGRADE_BLESSED ? UPGRADE_DONE : UPGRADE_ON_TRIAL;
    if (state->running == UPGRADE_TRIAL) return UPGRADE_BUSY;
    if (state->other_number == number && state->other == UPGRADE_UNTRIED) return UPGRADE_WRITTEN;
    if (state->other_number == number && state->other == UPGRADE_GIVEN_UP) return UPGRADE_FELL_BACK;
    return UPGRADE_TO_DO;
}

bool upgrade_well(const struct heraclius_node_status *node, const struct command_cluster *cluster, char why[UPGRADE_TEXT_BYTES]) {
    if (command_cluster_counts(cluster, node)) return true;
    if (node->shut_out)
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "does not let this client in: give --client one of the system file");
    else if (!node->reached)
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "down: %s", node->why ? node->why : "no answer");
    else if (node->silent || !node->heard)
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "signs nothing: retired, observing, or just started");
    else if (!node->voting)
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "does not vote");
    else
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "is behind: height %" PRIu64 " of %" PRIu64, node->height, cluster->height);
    return false;
}
