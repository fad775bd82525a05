/* What the node of this machine is, as the job that puts another image next writes it down (slots_was.h). */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "appliance/setup/setup.h"
#include "appliance/slots/slots_was.h"
#include "appliance/status/ask.h"

static void phase_set(struct slots_was *was, const char *phase) {
    size_t count = strlen(phase);
    bool good = count > 0 && count < sizeof was->phase && strspn(phase, "abcdefghijklmnopqrstuvwxyz_") == count;
    (void)snprintf(was->phase, sizeof was->phase, "%s", good ? phase : SLOTS_SILENT);
}

static bool linked(const json_t *answer) {
    const json_t *one, *member = json_object_get(answer, "member"), *members = json_object_get(answer, "members_seen");
    size_t i;
    json_array_foreach(members, i, one) {
        if (!json_equal(json_object_get(one, "member"), member) && json_is_true(json_object_get(one, "up"))) return true;
    }
    return false;
}

void slots_was_ask(struct slots_was *was, const char *root) {
    static char text[ASK_NODE_BYTES];
    char path[SETUP_PATH_BYTES], fault[ASK_FAULT_BYTES];
    struct system_fault long_root;
    size_t count = 0;
    memset(was, 0, sizeof *was);
    if (setup_path(path, root, "/data/public/admin.conf", &long_root) && !setup_is_there(path)) {
        phase_set(was, SLOTS_UNCONFIGURED);
        return;
    }
    phase_set(was, SLOTS_SILENT);
    if (!setup_path(path, root, "/run/node/control.sock", &long_root)) return;
    if (!ask_node(path, "{\"ask\":\"status\"}\n", text, &count, fault)) return;
    json_t *answer = json_loadb(text, count, JSON_REJECT_DUPLICATES, NULL);
    const char *phase = json_string_value(json_object_get(answer, "phase"));
    json_int_t height = json_integer_value(json_object_get(answer, "checkpoint_height"));
    if (phase != NULL) phase_set(was, phase);
    was->height = height > 0 ? (uint64_t)height : 0;
    was->linked = linked(answer);
    json_decref(answer);
}
