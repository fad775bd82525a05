#include "appliance/console/console_facts.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

void console_facts_text(char *to, size_t size, const char *from, size_t count) {
    size_t used = count < size - 1 ? count : size - 1;
    for (size_t i = 0; i < used; i++) to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    to[used] = '\0';
}

const struct console_line *console_facts_line(const struct console_line *lines, uint32_t count, const char *name) {
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(lines[i].name, name) == 0) return &lines[i];
    }
    return NULL;
}

/* ---------------------------------------------------------------- the node */

static bool text_of(const json_t *object, const char *name, char *to, size_t size) {
    const json_t *value = json_object_get(object, name);
    to[0] = '\0';
    if (!json_is_string(value)) return false;
    console_facts_text(to, size, json_string_value(value), json_string_length(value));
    return true;
}

/* 0 if it is not there, or is no number that a counter can be. */
static uint64_t number_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) && json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
}

static bool is_number(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

/* {name: count} */
static uint32_t counts_of(const json_t *object, struct console_count counts[FACT_COUNTS_MAX]) {
    const char *name;
    json_t *value;
    uint32_t count = 0;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        if (count == FACT_COUNTS_MAX || !json_is_integer(value) || json_integer_value(value) < 0) continue;
        console_facts_text(counts[count].name, sizeof counts[count].name, name, strlen(name));
        counts[count++].value = (uint64_t)json_integer_value(value);
    }
    return count;
}

static void members_of(struct console_node *node, const json_t *list) {
    size_t i;
    json_t *value;
    json_array_foreach((json_t *)(uintptr_t)list, i, value) {
        uint64_t member = number_of(value, "member");
        if (!is_number(value, "member") || member >= node->members) continue;
        const json_t *votes = json_object_get(value, "votes");
        node->seen[member] = (struct console_member){.up = json_is_true(json_object_get(value, "up")),
                                                     .votes = json_is_true(votes)    ? CONSOLE_VOTE_YES
                                                              : json_is_false(votes) ? CONSOLE_VOTE_NO
                                                                                     : CONSOLE_VOTE_UNKNOWN,
                                                     .height = number_of(value, "height"),
                                                     .view = number_of(value, "view")};
        (void)text_of(value, "name", node->seen[member].name, sizeof node->seen[member].name);
    }
    node->seen[node->member].up = true;
}

static void others_of(struct console_node *node, const json_t *status) {
    size_t i;
    json_t *value;
    const json_t *pairs = json_object_get(status, "pairs"), *attackers = json_object_get(status, "attackers");
    node->pairs_count = json_array_size(pairs);
    for (i = 0; i < node->pairs_count && i < FACT_PAIRS_MAX; i++) {
        struct console_pair *pair = &node->pairs[i];
        value = json_array_get(pairs, i);
        (void)text_of(value, "cluster", pair->cluster, sizeof pair->cluster);
        pair->consumed = number_of(value, "consumed");
        pair->sent = number_of(value, "sent");
        pair->acknowledged = number_of(value, "acknowledged");
        pair->held = number_of(value, "held");
    }
    json_array_foreach((json_t *)(uintptr_t)attackers, i, value) {
        struct console_count *attacker = &node->attackers[node->attackers_count];
        if (node->attackers_count == FACT_COUNTS_MAX || !text_of(value, "attack", attacker->name, sizeof attacker->name)) continue;
        (void)text_of(value, "peer", attacker->who, sizeof attacker->who);
        attacker->value = number_of(value, "count");
        node->attackers_count++;
    }
    node->attacks_count = counts_of(json_object_get(status, "attacks"), node->attacks);
    node->dropped_count = counts_of(json_object_get(status, "dropped"), node->dropped);
}

/* What must be there; NULL, or the name of what is not. */
static const char *needed_of(struct console_node *node, const json_t *status) {
    static const char *const numbers[] = {"member", "members", "faults", "view", "leader", "height"};
    if (!text_of(status, "node", node->node, sizeof node->node)) return "node";
    if (!text_of(status, "cluster", node->cluster, sizeof node->cluster)) return "cluster";
    if (!text_of(status, "phase", node->phase, sizeof node->phase)) return "phase";
    if (!json_is_boolean(json_object_get(status, "ready"))) return "ready";
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!is_number(status, numbers[i])) return numbers[i];
    }
    uint64_t members = number_of(status, "members"), member = number_of(status, "member"), faults = number_of(status, "faults");
    if (members < 1 || members > FACT_MEMBERS_MAX) return "members";
    if (member >= members) return "member";
    if (faults >= members) return "faults";
    node->members = (uint32_t)members;
    node->member = (uint32_t)member;
    node->faults = (uint32_t)faults;
    return NULL;
}

static void numbers_of(struct console_node *node, const json_t *status) {
    const json_t *commit = json_object_get(status, "commit_us"), *wal = json_object_get(status, "wal"), *scrub = json_object_get(status, "scrub");
    const json_t *difference = json_object_get(status, "clock_difference_ms");
    node->ready = json_is_true(json_object_get(status, "ready"));
    (void)text_of(status, "system", node->system, sizeof node->system);
    (void)text_of(status, "retired_by", node->retired_by, sizeof node->retired_by);
    node->epoch = number_of(status, "epoch");
    node->view = number_of(status, "view");
    node->leader = number_of(status, "leader");
    node->height = number_of(status, "height");
    node->prepared = number_of(status, "prepared_height");
    node->executed = number_of(status, "executed_height");
    node->checkpoint = number_of(status, "checkpoint_height");
    node->root_height = number_of(status, "state_root_height");
    (void)text_of(status, "state_root", node->root, sizeof node->root);
    node->links_up = number_of(status, "links_up");
    node->decisions = number_of(status, "decisions");
    node->view_changes = number_of(status, "view_changes");
    node->evidence = number_of(status, "evidence");
    node->resident_bytes = number_of(status, "resident_bytes");
    node->resident_file_bytes = number_of(status, "resident_file_bytes");
    node->memory_limit_bytes = number_of(status, "memory_limit_bytes");
    node->budget_bytes = number_of(status, "memory_budget_total_bytes");
    node->uptime_ms = number_of(status, "uptime_ms");
    node->commit_p50_us = number_of(commit, "p50");
    node->commit_p99_us = number_of(commit, "p99");
    node->wal_bytes = number_of(wal, "bytes");
    node->wal_map_bytes = number_of(wal, "map_bytes");
    node->scrub_found = number_of(scrub, "found");
    node->scrub_repaired = number_of(scrub, "repaired");
    node->clock_difference_ms = json_is_integer(difference) ? json_integer_value(difference) : 0;
}

bool console_facts_node(struct console_node *node, const char *answer, size_t count) {
    json_error_t error;
    char fault[FACT_TEXT_BYTES] = "";
    memset(node, 0, sizeof *node);
    json_t *status = json_loadb(answer, count, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(status)) {
        snprintf(fault, sizeof fault, "its answer is no JSON object%s%.120s", status ? "" : ": ", status ? "" : error.text);
    } else {
        const char *missing = needed_of(node, status);
        if (missing) snprintf(fault, sizeof fault, "its answer has no good \"%s\"", missing);
    }
    if (fault[0]) {
        memset(node, 0, sizeof *node);
        console_facts_text(node->fault, sizeof node->fault, fault, strlen(fault));
    } else {
        numbers_of(node, status);
        members_of(node, json_object_get(status, "members_seen"));
        others_of(node, status);
    }
    json_decref(status);
    return !fault[0];
}

/* ---------------------------------------------------------------- init */

/* A cursor over one line. */
struct piece {
    const char *at;
    size_t count;
};

static bool piece_starts(struct piece *piece, const char *with) {
    size_t length = strlen(with);
    if (piece->count < length || memcmp(piece->at, with, length) != 0) return false;
    piece->at += length;
    piece->count -= length;
    return true;
}

/* What stands before `end`, or all; the piece goes on behind it. */
static struct piece piece_cut(struct piece *piece, char end) {
    const char *found = memchr(piece->at, end, piece->count);
    struct piece cut = {piece->at, found ? (size_t)(found - piece->at) : piece->count};
    size_t taken = cut.count + (found ? 1 : 0);
    piece->at += taken;
    piece->count -= taken;
    return cut;
}

static uint64_t piece_number(struct piece piece) {
    uint64_t value = 0;
    for (size_t i = 0; i < piece.count && piece.at[i] >= '0' && piece.at[i] <= '9'; i++) {
        if (value > (UINT64_MAX - 9) / 10) return UINT64_MAX;
        value = 10 * value + (uint64_t)(piece.at[i] - '0');
    }
    return value;
}

static struct console_line *line_new(struct console_line lines[FACT_LINES_MAX], uint32_t *count, struct piece name) {
    if (*count == FACT_LINES_MAX) return NULL;
    struct console_line *line = &lines[(*count)++];
    console_facts_text(line->name, sizeof line->name, name.at, name.count);
    return line;
}

static void stage_read(struct console_init *init, struct piece name, struct piece value) {
    struct console_line *line = line_new(init->stages, &init->stages_count, name);
    if (!line) return;
    struct piece state = piece_cut(&value, ' ');
    console_facts_text(line->state, sizeof line->state, state.at, state.count);
    console_facts_text(line->text, sizeof line->text, value.at, value.count);
}

/* STATE [pid=N] [restarts=N] TEXT */
static void program_read(struct console_init *init, struct piece name, struct piece value) {
    struct console_line *line = line_new(init->programs, &init->programs_count, name);
    if (!line) return;
    struct piece state = piece_cut(&value, ' ');
    console_facts_text(line->state, sizeof line->state, state.at, state.count);
    if (piece_starts(&value, "pid=")) (void)piece_cut(&value, ' ');
    if (piece_starts(&value, "restarts=")) line->restarts = piece_number(piece_cut(&value, ' '));
    console_facts_text(line->text, sizeof line->text, value.at, value.count);
}

static void net_read(struct console_init *init, struct piece name, struct piece value) {
    struct console_line *line = line_new(init->nets, &init->nets_count, name);
    if (line) console_facts_text(line->text, sizeof line->text, value.at, value.count);
}

static bool piece_is(struct piece piece, const char *text) {
    return piece.count == strlen(text) && memcmp(piece.at, text, piece.count) == 0;
}

static void value_read(struct console_init *init, struct piece name, struct piece value) {
    const struct {
        const char *name;
        char *to;
        size_t size;
    } texts[] = {{"image_version", init->image, sizeof init->image},
                 {"image_hash", init->image_hash, sizeof init->image_hash},
                 {"slot", init->slot, sizeof init->slot},
                 {"slot_state", init->slot_state, sizeof init->slot_state},
                 {"slot_next", init->slot_next, sizeof init->slot_next},
                 {"slot.1", init->slots[0], sizeof init->slots[0]},
                 {"slot.2", init->slots[1], sizeof init->slots[1]},
                 {"clock", init->clock, sizeof init->clock},
                 {"disk", init->disk, sizeof init->disk},
                 {"slots", init->slots_why, sizeof init->slots_why},
                 {"config_text", init->config_text, sizeof init->config_text},
                 {"config_refused", init->config_refused, sizeof init->config_refused},
                 {"watchdog", init->watchdog, sizeof init->watchdog},
                 {"secure_boot", init->secure_boot, sizeof init->secure_boot}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (piece_is(name, texts[i].name)) console_facts_text(texts[i].to, texts[i].size, value.at, value.count);
    }
    if (piece_is(name, "uptime_ms")) init->uptime_ms = piece_number(value);
    if (piece_is(name, "disk_bytes")) init->disk_bytes = piece_number(value);
    if (piece_is(name, "disk_free")) init->disk_free = piece_number(value), init->disk_free_known = true;
    if (piece_is(name, "config_number")) init->config_number = piece_number(value), init->config_known = true;
}

bool console_facts_init(struct console_init *init, const char *answer, size_t count) {
    struct piece rest = {answer, count};
    memset(init, 0, sizeof *init);
    struct piece first = piece_cut(&rest, '\n');
    if (!piece_is(first, "ok")) {
        bool error = piece_starts(&first, "error ");
        char text[FACT_TEXT_BYTES - 40];
        console_facts_text(text, sizeof text, first.at, first.count);
        snprintf(init->fault, sizeof init->fault, error ? "it says: %s" : "its answer begins with neither ok nor error: %.60s", text);
        return false;
    }
    while (rest.count > 0) {
        struct piece value = piece_cut(&rest, '\n');
        if (!memchr(value.at, '=', value.count)) continue;
        struct piece name = piece_cut(&value, '=');
        if (piece_starts(&name, "stage."))
            stage_read(init, name, value);
        else if (piece_starts(&name, "program."))
            program_read(init, name, value);
        else if (piece_starts(&name, "net."))
            net_read(init, name, value);
        else
            value_read(init, name, value);
    }
    return true;
}
