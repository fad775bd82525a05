#include "appliance/admin/admin_upgrade.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_machine.h"
#include "appliance/admin/admin_seen.h"
#include "appliance/admin/admin_task.h"
#include "appliance/slots/slots_trial.h"
#include "ring/clock.h"

enum { LINE_BYTES = 512 };

/* ---- what init says ---- */

/* JSON's integers end before ours: 0 stands for one that cannot be told. */
static uint64_t shown(uint64_t number) {
    return number <= INT64_MAX ? number : 0;
}

static uint64_t number_of(const char *text, const char *name) {
    uint64_t number;
    return admin_machine_number(text, name, &number) ? number : 0;
}

static int slot_of(const char *text, const char *name) {
    uint64_t number = number_of(text, name);
    return number <= SLOTS ? (int)number : 0;
}

static void slot_read(struct admin_slot *slot, const char *line) {
    char label[RELEASE_LABEL_MAX + 1], state[16], signature[16];
    unsigned long long number;
    int left, done, used = 0;
    int fields = sscanf(line, "number %20llu label %40s %15s tries %3d done %3d %15s%n", &number, label, state, &left, &done, signature, &used);
    if (fields != 6 || line[used] != '\0') return;
    *slot = (struct admin_slot){.there = true, .blessed = strcmp(state, "blessed") == 0, .is_signed = strcmp(signature, "signed") == 0,
                                .number = shown(number), .tries_left = left, .tries_done = done};
    if (strcmp(label, "-") != 0) (void)snprintf(slot->label, sizeof slot->label, "%s", label);
}

void admin_slots_read(struct admin_slots *slots, const char *text) {
    char line[LINE_BYTES], name[8];
    *slots = (struct admin_slots){.running = slot_of(text, "slot"), .next = slot_of(text, "slot_next"), .number = number_of(text, "image_number")};
    slots->on_trial = admin_machine_value(text, "slot_state", line, sizeof line) && strcmp(line, "trial") == 0;
    for (int i = 0; i < SLOTS; i++) {
        (void)snprintf(name, sizeof name, "slot.%d", i + 1);
        if (admin_machine_value(text, name, line, sizeof line)) slot_read(&slots->slots[i], line);
    }
    if (slots->running != 0 && !slots->slots[slots->running - 1].there) slots->running = 0; /* a disk that was taken away */
}

static bool is_name(const char *word) {
    for (int error = SYSTEM_OK + 1; error < SYSTEM_ERRORS; error++) {
        if (strcmp(word, system_error_name((enum system_error)error)) == 0) return true;
    }
    return false;
}

bool admin_refusal_read(struct admin_refusal *refusal, const char *said, const char *fault) {
    static const char error[] = "error ";
    *refusal = (struct admin_refusal){.name = ""};
    if (admin_init_ok(said)) return true;
    const char *text = said == NULL ? fault : strncmp(said, error, sizeof error - 1) == 0 ? said + sizeof error - 1 : said;
    size_t name = strcspn(text, ":\n");
    if (said != NULL && name < sizeof refusal->name && strncmp(text + name, ": ", 2) == 0) {
        memcpy(refusal->name, text, name);
        if (is_name(refusal->name))
            text += name + 2;
        else
            refusal->name[0] = '\0';
    }
    (void)snprintf(refusal->text, sizeof refusal->text, "%.*s", (int)strcspn(text, "\n"), text);
    return false;
}

static const struct admin_slot *slot_next(const struct admin_slots *slots) {
    return slots->next != 0 && slots->slots[slots->next - 1].there ? &slots->slots[slots->next - 1] : NULL;
}

void admin_upgrade_said(const char *said, char *out, size_t size) {
    struct admin_slots slots;
    admin_slots_read(&slots, said);
    const struct admin_slot *next = slot_next(&slots);
    if (next == NULL)
        (void)snprintf(out, size, "done");
    else
        (void)snprintf(out, size, "release %" PRIu64 " (%s) lies in slot %d and is started next, on trial", next->number, next->label, slots.next);
}

json_t *admin_upgrade_taken(const char *said, bool audited) {
    struct admin_slots slots;
    char where[LINE_BYTES], text[LINE_BYTES + 40];
    admin_slots_read(&slots, said);
    const struct admin_slot *next = slot_next(&slots);
    admin_upgrade_said(said, where, sizeof where);
    (void)snprintf(text, sizeof text, "%s: restart this machine", where);
    return json_pack("{s:I,s:s,s:i,s:s,s:b}", "number", (json_int_t)(next != NULL ? next->number : 0), "label", next != NULL ? next->label : "",
                     "slot", slots.next, "text", text, "audited", (int)audited);
}

/* ---- what is shown ---- */

static const char *state_of(const struct admin_slot *slot) {
    return slot->blessed ? "blessed" : slot->tries_left > 0 ? "untried" : "given-up";
}

static json_t *running_json(const struct admin_slots *slots) {
    if (slots->running == 0) return json_null();
    const struct admin_slot *slot = &slots->slots[slots->running - 1];
    return json_pack("{s:i,s:I,s:s,s:s,s:b}", "slot", slots->running, "number", (json_int_t)slot->number, "label", slot->label, "state",
                     slots->on_trial ? "trial" : "blessed", "signed", (int)slot->is_signed);
}

/* What init says, or said ADMIN_INIT_KEPT_MS ago: while it has a job done it answers nobody; *age_ms. NULL: nothing so new. */
static char *init_says(const struct admin_server *server, const char *question, uint64_t *age_ms) {
    struct admin_seen *seen = server->nodes->seen;
    struct admin_said said = {.age_ms = 0};
    if (seen != NULL)
        admin_seen_init(seen, question, &said);
    else
        said.text = admin_init_ask(server->init_path, question);
    *age_ms = said.age_ms;
    if (said.age_ms <= ADMIN_INIT_KEPT_MS) return said.text;
    free(said.text);
    return NULL;
}

/* The newest line that a trial wrote into its log. */
static void told_ask(struct trial_told *told, const struct admin_server *server, const char *question, uint64_t number) {
    uint64_t age_ms;
    char *log = init_says(server, question, &age_ms);
    if (log != NULL) trial_told_read(told, log, number);
    free(log);
}

static json_t *other_json(const struct admin_slots *slots, const struct admin_server *server) {
    struct trial_told told = {.text = ""};
    const struct admin_slot *slot = slots->running != 0 ? &slots->slots[SLOTS - slots->running] : NULL;
    if (slot == NULL || !slot->there) return json_null();
    if (!slot->blessed && slot->tries_left == 0 && slot->number > 0) told_ask(&told, server, "log trial before 60000", slot->number);
    char last[sizeof told.text + 64];
    (void)snprintf(last, sizeof last, "was on trial, which said last: %s", told.text);
    const char *text = slot->blessed          ? "was kept: one can go back to it"
                       : slot->tries_left > 0 ? "was not started yet"
                       : told.text[0] != '\0' ? last
                       : slot->tries_done > 0 ? "was started, and did not come so far as to be judged: see the log \"crash\""
                                              : "was given up by its trial, or by an operator who went back from it";
    return json_pack("{s:i,s:I,s:s,s:s,s:b,s:i,s:s}", "slot", SLOTS + 1 - slots->running, "number", (json_int_t)slot->number, "label", slot->label,
                     "state", state_of(slot), "signed", (int)slot->is_signed, "tries_left", slot->tries_left, "text", text);
}

static json_t *trial_json(const struct admin_server *server) {
    struct trial_told told = {.waits_for = "unknown", .text = "its trial has not said anything yet", .limit_ms = TRIAL_MS};
    told_ask(&told, server, "log trial 600", 0);
    return json_pack("{s:s,s:s,s:I,s:I}", "waits_for", told.waits_for, "text", told.text, "counted_ms", (json_int_t)told.counted_ms, "limit_ms",
                     (json_int_t)told.limit_ms);
}

static json_t *upload_json(struct admin_server *server) {
    const struct admin_task *task = &server->task;
    pthread_mutex_lock(&server->lock);
    bool shown = task->of_bytes > 0 && task->state != ADMIN_TASK_NONE;
    json_t *out = !shown ? json_null()
                         : json_pack("{s:s,s:I,s:I,s:I}", "state", task->state == ADMIN_TASK_RECEIVING ? "receiving" : "checking", "bytes",
                                     (json_int_t)task->bytes, "of_bytes", (json_int_t)task->of_bytes, "ms",
                                     (json_int_t)(ring_clock_ms() - task->begun_ms));
    pthread_mutex_unlock(&server->lock);
    return out;
}

static json_t *last_of(const json_t *entry, const char *action) {
    const char *detail = json_string_value(json_object_get(entry, "detail")), *outcome = json_string_value(json_object_get(entry, "outcome"));
    struct admin_refusal refusal = {.name = ""};
    bool taken = outcome != NULL && strcmp(outcome, "done") == 0;
    if (!taken) (void)admin_refusal_read(&refusal, detail != NULL ? detail : "", "");
    return json_pack("{s:s,s:s,s:s,s:s,s:I}", "action", action, "outcome", taken ? "taken" : "refused", "name", refusal.name, "text",
                     taken && detail != NULL ? detail : refusal.text, "time_ms",
                     (json_int_t)json_integer_value(json_object_get(entry, "time_ms")));
}

/* What an operator asked for last, by the audit log, which outlives this program. */
static json_t *last_json(struct admin_server *server) {
    pthread_mutex_lock(&server->lock);
    json_t *entries = admin_audit_newest(&server->audit), *found = NULL;
    pthread_mutex_unlock(&server->lock);
    const json_t *entry;
    size_t at;
    json_array_foreach(entries, at, entry) {
        const char *action = json_string_value(json_object_get(entry, "action")), *outcome = json_string_value(json_object_get(entry, "outcome"));
        if (found != NULL || action == NULL || outcome == NULL || strcmp(outcome, "begun") == 0) continue;
        if (strcmp(action, "upgrade") == 0 || strcmp(action, "rollback") == 0) found = last_of(entry, action);
    }
    json_decref(entries);
    return found != NULL ? found : json_null();
}

/* Of the first node, which on an appliance is the only one. */
static json_t *node_json(const struct admin_nodes *nodes) {
    static const char *const names[] = {"node", "cluster", "member", "members", "faults", "ready", "voted", "phase", "height"};
    json_t *status = nodes->count > 0 ? admin_nodes_ask(nodes, 0, "status") : NULL;
    if (status == NULL) return json_null();
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) json_object_set(out, names[i], json_object_get(status, names[i]));
    json_decref(status);
    return out;
}

char *admin_machine_says(const struct admin_server *server, uint64_t *age_ms) {
    return init_says(server, "status", age_ms);
}

bool admin_image_runs(struct admin_server *server, char sha256[65]) {
    uint64_t age_ms;
    char *said = server->init_path != NULL ? admin_machine_says(server, &age_ms) : NULL;
    bool known = said != NULL && admin_machine_value(said, "image_hash", sha256, 65) && strspn(sha256, "0123456789abcdef") == 64;
    free(said);
    return known;
}

struct admin_answer admin_api_upgrade_seen(struct admin_request *request) {
    struct admin_server *server = request->server;
    struct admin_slots slots;
    char version[LINE_BYTES] = "";
    if (server->init_path == NULL) return admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "this is no appliance: it has no slots");
    uint64_t age_ms;
    char *said = admin_machine_says(server, &age_ms);
    if (said == NULL) return admin_answer_error(MHD_HTTP_BAD_GATEWAY, "init does not answer: it is busy with a release, or hangs");
    admin_slots_read(&slots, said);
    (void)admin_machine_value(said, "image_version", version, sizeof version);
    enum release_architecture own = release_architecture_own();
    static const char no_slots[] = "this machine did not start from a slot of its boot partition (BIOS, CD, network): it takes no release, another "
                                   "image comes by a new disk";
    json_t *out = json_pack("{s:I,s:I,s:s?,s:s?,s:I,s:o,s:o,s:i,s:s,s:o,s:o,s:o,s:o}", "age_ms", (json_int_t)age_ms, "uptime_ms",
                            (json_int_t)number_of(said, "uptime_ms"), "version",
                            version[0] != '\0' ? version : NULL, "architecture", own != 0 ? release_architecture_name(own) : NULL, "number",
                            (json_int_t)slots.number, "running", running_json(&slots), "other",
                            other_json(&slots, server), "next", slots.next, "why",
                            slots.running != 0 ? "" : no_slots, "trial", slots.on_trial ? trial_json(server) : json_null(), "upload",
                            upload_json(server), "last", last_json(server), "node", node_json(server->nodes));
    free(said);
    return admin_answer_json(MHD_HTTP_OK, out);
}

/* ---- what is done ---- */

/* The head of a release that comes in: its body follows, if this says nothing. */
struct admin_answer admin_api_upgrade(struct admin_request *request) {
    struct admin_answer refusal;
    char *end = NULL;
    uint64_t bytes = strtoull(request->content_length, &end, 10);
    if (request->server->init_path == NULL || request->server->state_path == NULL)
        return admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "this is no appliance: it takes no release");
    if (strcmp(request->content_type, "application/octet-stream") != 0)
        return admin_answer_error(MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "wants a release file, as application/octet-stream");
    if (request->content_length[0] == '\0') return admin_answer_error(MHD_HTTP_LENGTH_REQUIRED, "wants Content-Length: the release's bytes");
    if (request->content_length[0] < '0' || request->content_length[0] > '9' || *end != '\0' || bytes < RELEASE_BYTES)
        return admin_answer_error(MHD_HTTP_BAD_REQUEST, "is no release: less than 160 bytes");
    if (bytes > ADMIN_TASK_BYTES_MAX) return admin_answer_error(MHD_HTTP_CONTENT_TOO_LARGE, "is no release: more than 67109024 bytes");
    (void)!admin_task_begin(request, "upgrade", "upgrade", bytes, &refusal);
    return refusal;
}

struct admin_answer admin_api_rollback(struct admin_request *request) {
    struct admin_answer answer;
    json_t *body = admin_body_object(request);
    bool sure = json_is_true(json_object_get(body, "sure"));
    json_decref(body);
    if (!sure)
        return admin_answer_error(MHD_HTTP_BAD_REQUEST, "wants {\"sure\": true}: the machine comes up with its other image, on trial, and until this "
                                                        "node votes again its cluster may lose one node less");
    if (request->server->init_path == NULL)
        return admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "this is no appliance: it has no slots");
    if (admin_task_begin(request, "rollback", "rollback sure", 0, &answer)) answer.waits = true;
    return answer;
}
