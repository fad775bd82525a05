/* heraclius upgrade: a release brought to the appliances of a system, node by node (upgrade.h). */
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "client/cmd_system_inside.h"
#include "client/upgrade.h"
#include "protocol/canonical.h"
#include "ring/clock.h"

enum { CONSOLES_BYTES_MAX = 1 << 20, WAIT_S_MAX = 86400 };

/* The file of --consoles: {"certificate": FILE, "consoles": {NODE: SHA256, ...}, "key": FILE}. */
struct consoles {
    json_t *file;
    char certificate[UPGRADE_PATH_BYTES], key[UPGRADE_PATH_BYTES];
    const json_t *pins;
};

/* ---- the consoles' file ---- */

/* A file that it names, beside it unless the path is absolute, and there. */
static bool named_file(const struct consoles *consoles, const char *path, const char *name, char out[UPGRADE_PATH_BYTES]) {
    const char *said = json_string_value(json_object_get(consoles->file, name));
    char folder[UPGRADE_PATH_BYTES];
    if (!said || !said[0]) return (void)cmd_fail("%s: %s: the file of it is missing", path, name), false;
    (void)snprintf(folder, sizeof folder, "%s", path);
    int count = said[0] == '/' ? snprintf(out, UPGRADE_PATH_BYTES, "%s", said) : snprintf(out, UPGRADE_PATH_BYTES, "%s/%s", dirname(folder), said);
    if (count < 0 || count >= UPGRADE_PATH_BYTES) return (void)cmd_fail("%s: %s: too long", path, name), false;
    if (access(out, R_OK) != 0) return (void)cmd_fail("%s: %s: %s cannot be read", path, name, out), false;
    return true;
}

static bool consoles_open(struct consoles *consoles, const char *path) {
    static const char *const names[] = {"certificate", "consoles", "key"};
    struct system_fault fault;
    size_t bytes;
    char *text = canonical_read_file(path, CONSOLES_BYTES_MAX, &bytes, &fault);
    enum system_error error = text ? canonical_parse(&consoles->file, text, bytes, &fault) : fault.error;
    free(text);
    if (!error) error = canonical_names(consoles->file, "", names, sizeof names / sizeof names[0], &fault);
    if (error) return (void)cmd_fail("%s: %s", path, fault.text), false;
    consoles->pins = json_object_get(consoles->file, "consoles");
    if (!json_is_object(consoles->pins) || json_object_size(consoles->pins) == 0 || json_object_size(consoles->pins) > UPGRADE_NODES_MAX)
        return (void)cmd_fail("%s: consoles: 1 to %d nodes, each with the SHA-256 of its console's certificate", path, UPGRADE_NODES_MAX), false;
    return named_file(consoles, path, "certificate", consoles->certificate) && named_file(consoles, path, "key", consoles->key);
}

/* ---- who there is ---- */

static bool node_take(struct upgrade_roll *roll, const struct consoles *consoles, const struct heraclius_node_status *status) {
    const json_t *pin = json_object_get(consoles->pins, status->name);
    if (!pin) return true;
    struct upgrade_node *node = &roll->nodes[roll->count];
    const struct address *address = addresses_find(roll->db->addresses, status->name);
    const char *hex = json_string_value(pin);
    if (!hex || !canonical_hex_parse(hex, strlen(hex), node->console.pin, sizeof node->console.pin))
        return (void)cmd_fail("%s: %s: 64 hex digits, the SHA-256 of its console's certificate, which its serial console shows (config)",
                              roll->command->consoles, status->name),
               false;
    if (!address || address->admin.port == 0)
        return (void)cmd_fail("addresses.json says no console's address for %s: heraclius address set %s=HOST:PORT,CONSOLE:PORT", status->name,
                              status->name),
               false;
    node->console.endpoint = address->admin;
    (void)snprintf(node->name, sizeof node->name, "%s", status->name);
    node->console.certificate = consoles->certificate;
    node->console.key = consoles->key;
    node->cluster = status->cluster;
    node->member = status->member;
    roll->count++;
    return true;
}

/* Each name of the file is that of a member now. */
static bool names_known(const struct upgrade_roll *roll, const struct consoles *consoles) {
    const char *name;
    json_t *pin;
    json_object_foreach((json_t *)(uintptr_t)consoles->pins, name, pin) {
        bool known = false;
        for (size_t i = 0; i < roll->count; i++) known = known || strcmp(name, roll->nodes[i].name) == 0;
        if (!known) return (void)cmd_fail("%s: %s is no member of this system", roll->command->consoles, name), false;
    }
    return true;
}

static bool nodes_take(struct upgrade_roll *roll, const struct consoles *consoles) {
    upgrade_votes_ask(roll);
    roll->nodes = calloc(json_object_size(consoles->pins) + 1, sizeof *roll->nodes);
    if (!roll->nodes) return (void)cmd_fail("no memory"), false;
    for (size_t i = 0; i < roll->statuses_count; i++) {
        if (!node_take(roll, consoles, &roll->statuses[i])) return false;
    }
    return names_known(roll, consoles);
}

static bool at_once_fits(const struct upgrade_roll *roll) {
    for (size_t i = 0; i < roll->count; i++) {
        struct command_cluster view = command_cluster_of(roll->statuses, roll->statuses_count, roll->nodes[i].cluster);
        if (roll->command->at_once >= 1 && (uint32_t)roll->command->at_once <= view.faults) continue;
        return (void)cmd_fail("--at-once is 1 to %u: more of the cluster of %s may not fail", view.faults, roll->nodes[i].name), false;
    }
    return true;
}

/* ---- what is said ---- */

static size_t count_of(const struct upgrade_roll *roll, enum upgrade_phase phase) {
    size_t count = 0;
    for (size_t i = 0; i < roll->count; i++) count += roll->nodes[i].phase == phase;
    return count;
}

static size_t others_of(const struct upgrade_roll *roll) {
    size_t count = 0;
    for (size_t i = 0; i < roll->count; i++) count += roll->nodes[i].other_kind;
    return count;
}

/* The order is that of now: another leader is another last one. */
static void plan_say(struct upgrade_roll *roll) {
    for (size_t i = 0; i < roll->count; i++) {
        if (roll->nodes[i].skipped) upgrade_say(roll, "%s: runs %" PRIu64 " already", roll->nodes[i].name, roll->release.number);
        if (roll->nodes[i].other_kind)
            upgrade_say(roll, "%s: is %s, this release is for %s: left as it is, it takes a release of its own", roll->nodes[i].name,
                        roll->nodes[i].state.architecture, release_architecture_name(roll->release.architecture));
        if (roll->nodes[i].phase == UPGRADE_UNDER_WAY) upgrade_say(roll, "%s: on trial with it already", roll->nodes[i].name);
    }
    if (!roll->command->dry_run) return;
    for (size_t i = 0; i < roll->count; i++) {
        if (i > 0 && roll->nodes[i].cluster == roll->nodes[i - 1].cluster) continue;
        for (struct upgrade_node *node; (node = upgrade_next(roll, roll->nodes[i].cluster)) != NULL; node->phase = UPGRADE_OVER)
            upgrade_say(roll, "%s: runs %" PRIu64 "; would be handed the release", node->name, node->state.number);
    }
    upgrade_say(roll, "nothing was sent");
}

static json_t *node_json(const struct upgrade_node *node, uint64_t number) {
    static const char *const phases[] = {"waits", "under-way", "done"};
    uint64_t took_ms = node->over_ms > node->begun_ms ? node->over_ms - node->begun_ms : 0;
    bool fell_back = upgrade_place_of(&node->state, number) == UPGRADE_FELL_BACK;
    const char *state = node->other_kind ? "other-architecture" : node->skipped ? "skipped" : fell_back ? "fell-back" : phases[node->phase];
    return json_pack("{sssssIsIsI}", "name", node->name, "state", state, "number_before", (json_int_t)node->number_before, "number",
                     (json_int_t)node->state.number, "ms", (json_int_t)took_ms);
}

static void report(const struct upgrade_roll *roll, int code, bool sent) {
    if (roll->command->json) {
        json_t *nodes = json_array();
        for (size_t i = 0; i < roll->count; i++) json_array_append_new(nodes, node_json(&roll->nodes[i], roll->release.number));
        command_print_json(json_pack("{sIsssssbsbssso}", "number", (json_int_t)roll->release.number, "label", roll->release.label, "architecture",
                                     release_architecture_name(roll->release.architecture), "done", code == EXIT_DONE && !roll->command->dry_run,
                                     "sent", sent, "stopped", roll->stopped, "nodes", nodes));
    } else if (code == EXIT_DONE && !roll->command->dry_run) {
        size_t others = others_of(roll);
        char left[96] = "";
        if (others > 0) (void)snprintf(left, sizeof left, "; %zu of another architecture were left as they are", others);
        upgrade_say(roll, "%zu of %zu nodes run %" PRIu64 "%s", count_of(roll, UPGRADE_OVER) - others, roll->count - others,
                    roll->release.number, left);
    }
}

static int carry_out(struct upgrade_roll *roll, const struct consoles *consoles) {
    if (!nodes_take(roll, consoles) || !at_once_fits(roll)) return EXIT_USAGE;
    upgrade_say(roll, "release %" PRIu64 " (%s) for %s, %zu nodes", roll->release.number, roll->release.label,
                release_architecture_name(roll->release.architecture), roll->count);
    int code = upgrade_begin(roll);
    if (code != EXIT_DONE) return code;
    plan_say(roll);
    if (!roll->command->dry_run) code = upgrade_run(roll);
    bool sent = false;
    for (size_t i = 0; i < roll->count; i++) sent = sent || roll->nodes[i].handed;
    report(roll, code, sent);
    return roll->stopped[0] ? command_fail(code, "%s", roll->stopped) : code;
}

int command_upgrade(const struct command *command) {
    static struct consoles consoles;
    static struct upgrade_roll roll;
    roll.command = command;
    if (!command->consoles) return command_fail(EXIT_USAGE, "usage: heraclius upgrade FILE.release --consoles FILE (--help tells more)");
    if (command->away_s < 0 || command->away_s > WAIT_S_MAX) return command_fail(EXIT_USAGE, "--away is 0 to %d seconds", WAIT_S_MAX);
    if (command->wait_s < 1 || command->wait_s > WAIT_S_MAX) return command_fail(EXIT_USAGE, "--wait is 1 to %d seconds", WAIT_S_MAX);
    if (!cmd_signatures_start()) return EXIT_USAGE;
    int code = cmd_release_read(command->words[0], command->release_key, &roll.release, &roll.file);
    if (code != EXIT_DONE) return code;
    code = EXIT_USAGE;
    if (consoles_open(&consoles, command->consoles)) {
        upgrade_interrupts_take();
        roll.db = command_open(command, &code);
        if (roll.db) code = carry_out(&roll, &consoles);
        if (roll.db) heraclius_close(roll.db);
    }
    json_decref(consoles.file);
    free(roll.nodes);
    free(roll.file.bytes);
    return code;
}
