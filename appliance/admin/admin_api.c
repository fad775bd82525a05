/* The answers of /api/v1/: appliance/admin/page/openapi.json says what they look like. */
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appliance/admin/admin_clusters.h"
#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_exposure.h"
#include "appliance/admin/admin_peers.h"
#include "appliance/admin/admin_upgrade.h"
#include "ring/clock.h"
#include "ring/entropy.h"

#define LATER "too many wrong tries from your address: wait for the next code, in a few minutes"

enum { PROGRAM_NAME_MAX = 32, COOKIE_SECONDS = ADMIN_SESSION_MS / 1000, EXPOSURE_KEPT_MS = 1000 };

struct admin_answer admin_answer_json(unsigned code, json_t *body) {
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(body);
    return (struct admin_answer){.code = code, .type = "application/json", .text = text};
}

struct admin_answer admin_answer_error(unsigned code, const char *text) {
    char *plain = strdup(text); /* it may repeat what the sender or init said */
    if (plain != NULL) admin_plain(plain);
    struct admin_answer answer = admin_answer_json(code, plain != NULL ? json_pack("{s:s}", "error", plain) : NULL);
    free(plain);
    return answer;
}

/* ---- pairing and sessions ---- */

/* For the machine's own people; a file that cannot be written leaves standard output. */
static void code_show(const struct admin_server *server, const char *address) {
    const char *code = server->sessions.code;
    if (server->code_by_file_alone)
        (void)printf("a pairing code was asked for from %s: the serial console shows it\n", address);
    else
        (void)printf("pairing code %s (good for 5 minutes and one use; certificate SHA-256 %s)\n", code, server->tls.fingerprint);
    (void)fflush(stdout);
    if (server->pairing_path == NULL) return;
    (void)unlink(server->pairing_path);
    int fd = open(server->pairing_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, server->code_by_file_alone ? 0644 : 0640);
    if (fd < 0 || dprintf(fd, "%s\n", code) < 0) (void)fprintf(stderr, "heraclius-admin: cannot write %s\n", server->pairing_path);
    if (fd >= 0) (void)close(fd);
}

void admin_pairing_expire(struct admin_server *server) {
    if (server->pairing_path == NULL) return;
    pthread_mutex_lock(&server->lock);
    if (!admin_pairing_open(&server->sessions, ring_clock_ms())) (void)unlink(server->pairing_path);
    pthread_mutex_unlock(&server->lock);
}

bool admin_pairing_show(struct admin_request *request) {
    struct admin_server *server = request->server;
    uint8_t random[8];
    ring_entropy_fill(random, sizeof random);
    pthread_mutex_lock(&server->lock);
    if (admin_pairing_begin(&server->sessions, ring_clock_ms(), random)) code_show(server, request->address);
    bool may = admin_pairing_may(&server->sessions, request->from);
    pthread_mutex_unlock(&server->lock);
    return may;
}

/* The right code was told of: a session begins. */
static void session_give(struct admin_request *request, enum admin_role role, struct admin_answer *answer) {
    uint8_t random[2 * ADMIN_TOKEN_BYTES];
    ring_entropy_fill(random, sizeof random);
    const struct admin_session *session = admin_session_begin(&request->server->sessions, ring_clock_ms(), role, random);
    explicit_bzero(random, sizeof random);
    (void)snprintf(answer->cookie, sizeof answer->cookie, ADMIN_COOKIE "=%s; Path=/; Max-Age=%d; Secure; HttpOnly; SameSite=Strict", session->token,
                   COOKIE_SECONDS);
    memcpy(request->csrf, session->csrf, sizeof request->csrf);
}

enum admin_pairing admin_pairing_take(struct admin_request *request, const char *code, enum admin_role role, struct admin_answer *answer) {
    struct admin_server *server = request->server;
    char who[ADMIN_WHO_BYTES] = "somebody", detail[ADMIN_WHO_BYTES];
    (void)snprintf(detail, sizeof detail, "%s from %s", admin_role_name(role), request->address);
    pthread_mutex_lock(&server->lock);
    enum admin_pairing result = admin_pairing_try(&server->sessions, ring_clock_ms(), request->from, code);
    if (result == ADMIN_PAIRED) (void)snprintf(who, sizeof who, "session %llu", (unsigned long long)server->sessions.numbers + 1);
    /* Tries that are none cost nobody anything, and are not told of: they would fill the log. */
    bool told = result == ADMIN_PAIRING_NONE || result == ADMIN_PAIRING_LATER ||
                admin_audit_add(&server->audit, who, "pair", result == ADMIN_PAIRED ? "done" : "refused", detail);
    if (result == ADMIN_PAIRED && !told) result = ADMIN_PAIRING_UNTOLD; /* no session without a line in the log */
    if (result == ADMIN_PAIRED) session_give(request, role, answer);
    pthread_mutex_unlock(&server->lock);
    admin_pairing_expire(server);
    return result;
}

struct admin_answer admin_api_pairing(struct admin_request *request) {
    bool open = admin_pairing_show(request);
    return admin_answer_json(MHD_HTTP_ACCEPTED,
                             json_pack("{s:b,s:s}", "open", (int)open, "text",
                                       open ? "the code is shown at the machine" : LATER));
}

/* The body's JSON object; NULL: it is none. */
json_t *admin_body_object(const struct admin_request *request) {
    json_t *body = NULL;
    if (strncmp(request->content_type, "application/json", 16) == 0) body = json_loads(request->body, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(body)) return body;
    json_decref(body);
    return NULL;
}

struct admin_answer admin_api_session_begin(struct admin_request *request) {
    json_t *body = admin_body_object(request);
    const char *code = json_string_value(json_object_get(body, "code")), *name = json_string_value(json_object_get(body, "role"));
    enum admin_role role = name != NULL ? admin_role_of(name) : ADMIN_OWN;
    struct admin_answer begun = {.code = 0};
    enum admin_pairing result = ADMIN_PAIRING_NONE;
    bool good = code != NULL && role != ADMIN_NOBODY;
    if (good) result = admin_pairing_take(request, code, role, &begun);
    json_decref(body);
    if (!good) return admin_answer_error(MHD_HTTP_BAD_REQUEST, "wants {\"code\": \"0123456789\", \"role\": \"view\", \"operate\" or \"own\"}");
    if (result == ADMIN_PAIRING_NONE) return admin_answer_error(MHD_HTTP_TOO_MANY_REQUESTS, "no code can be used now: ask for one");
    if (result == ADMIN_PAIRING_LATER) return admin_answer_error(MHD_HTTP_TOO_MANY_REQUESTS, LATER);
    if (result == ADMIN_PAIRING_WRONG) return admin_answer_error(MHD_HTTP_FORBIDDEN, "a wrong code");
    if (result == ADMIN_PAIRING_UNTOLD)
        return admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE,
                                  "not done: the audit log cannot be written: is the data disk full? The code is still good");
    struct admin_answer answer = admin_answer_json(MHD_HTTP_CREATED, json_pack("{s:s,s:s}", "role", admin_role_name(role), "csrf", request->csrf));
    memcpy(answer.cookie, begun.cookie, sizeof answer.cookie);
    return answer;
}

struct admin_answer admin_api_session(struct admin_request *request) {
    return admin_answer_json(MHD_HTTP_OK, json_pack("{s:s,s:s,s:s,s:b}", "role", admin_role_name(request->role), "who", request->who, "csrf",
                                                    request->csrf, "tls", (int)request->tls));
}

struct admin_answer admin_api_session_end(struct admin_request *request) {
    struct admin_server *server = request->server;
    pthread_mutex_lock(&server->lock);
    struct admin_session *session = admin_session_find(&server->sessions, ring_clock_ms(), request->cookie);
    bool told = session != NULL && admin_audit_add(&server->audit, request->who, "session-end", "done", "");
    if (session != NULL) admin_session_end(session); /* told or not: less may be done after it */
    pthread_mutex_unlock(&server->lock);
    struct admin_answer answer = admin_answer_json(MHD_HTTP_OK, json_pack("{s:b}", "audited", (int)told));
    (void)snprintf(answer.cookie, sizeof answer.cookie, ADMIN_COOKIE "=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict");
    return answer;
}

/* ---- what is seen ---- */

struct admin_answer admin_api_nodes(struct admin_request *request) {
    return admin_answer_json(MHD_HTTP_OK, json_pack("{s:o}", "nodes", admin_statuses(request->server->nodes)));
}

struct admin_answer admin_api_clusters(struct admin_request *request) {
    json_t *statuses = admin_statuses(request->server->nodes);
    json_t *clusters = admin_clusters_json(statuses);
    json_decref(statuses);
    return admin_answer_json(MHD_HTTP_OK, json_pack("{s:o}", "clusters", clusters));
}

/* What other consoles say of their nodes: none of it is in any other answer. */
struct admin_answer admin_api_peers(struct admin_request *request) {
    json_t *statuses = admin_statuses(request->server->nodes), *own = admin_clusters_json(statuses);
    json_t *seen = admin_peers_json(request->server->peers, own);
    json_decref(own);
    json_decref(statuses);
    return admin_answer_json(MHD_HTTP_OK, seen);
}

struct admin_answer admin_api_history(struct admin_request *request) {
    struct admin_server *server = request->server;
    char *end = NULL;
    unsigned long newest = request->newest[0] != '\0' ? strtoul(request->newest, &end, 10) : ADMIN_SAMPLES_MAX;
    if (end != NULL && (*end != '\0' || newest == 0 || newest > ADMIN_SAMPLES_MAX || request->newest[0] < '0' || request->newest[0] > '9'))
        return admin_answer_error(MHD_HTTP_BAD_REQUEST, "newest is a number from 1 to 720");
    pthread_mutex_lock(&server->lock);
    json_t *series = admin_history_json(&server->history, newest);
    pthread_mutex_unlock(&server->lock);
    return admin_answer_json(MHD_HTTP_OK, json_pack("{s:i,s:o}", "sample_ms", ADMIN_SAMPLE_MS, "series", series));
}

struct admin_answer admin_api_queues(struct admin_request *request) {
    struct admin_server *server = request->server;
    pthread_mutex_lock(&server->lock);
    json_t *queues = admin_queues_json(&server->queues);
    pthread_mutex_unlock(&server->lock);
    return admin_answer_json(MHD_HTTP_OK, json_pack("{s:o}", "queues", queues));
}

/* What one node tells of attacks, dropped input and damage; of one that does not answer, that. */
static json_t *faults_of(const json_t *status) {
    static const char *const names[] = {"attacks", "attackers", "dropped", "evidence"};
    const json_t *scrub = json_object_get(status, "scrub");
    if (json_object_get(status, "error") != NULL) return json_deep_copy(status);
    json_t *out = json_object();
    json_object_set(out, "node", json_object_get(status, "node"));
    json_object_set(out, "cluster", json_object_get(status, "cluster"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) json_object_set(out, names[i], json_object_get(status, names[i]));
    json_object_set(out, "damage_found", json_object_get(scrub, "found"));
    json_object_set(out, "damage_repaired", json_object_get(scrub, "repaired"));
    return out;
}

json_t *admin_faults(const json_t *statuses) {
    json_t *faults = json_array();
    const json_t *status;
    size_t at;
    json_array_foreach(statuses, at, status) {
        json_array_append_new(faults, faults_of(status));
    }
    return faults;
}

struct admin_answer admin_api_faults(struct admin_request *request) {
    json_t *statuses = admin_statuses(request->server->nodes), *faults = admin_faults(statuses);
    json_decref(statuses);
    return admin_answer_json(MHD_HTTP_OK, json_pack("{s:o}", "nodes", faults));
}

static bool exposure_due(const struct admin_server *server, uint64_t now_ms) {
    return server->exposure == NULL || now_ms >= server->exposure_ms + EXPOSURE_KEPT_MS;
}

/* Read once a second at the most, not for each request: to read claims is to verify signatures. `statuses` is what the nodes say now. */
static json_t *exposure_of(struct admin_server *server, const json_t *statuses) {
    uint64_t now_ms = ring_clock_ms();
    struct admin_exposure_own own = {.name = server->nodes->count == 1 ? admin_nodes_name(server->nodes, 0) : NULL};
    pthread_mutex_lock(&server->lock);
    bool due = exposure_due(server, now_ms);
    pthread_mutex_unlock(&server->lock);
    bool known = due && own.name != NULL && admin_image_runs(server, own.image);
    pthread_mutex_lock(&server->lock);
    if (due && exposure_due(server, now_ms)) { /* nobody else did meanwhile */
        json_decref(server->exposure);
        server->exposure = admin_exposure_json(server->system, server->claims_path, statuses, known ? &own : NULL, ring_clock_wall_ms());
        server->exposure_ms = now_ms;
    }
    json_t *exposure = json_deep_copy(server->exposure); /* references are counted without a lock */
    pthread_mutex_unlock(&server->lock);
    return exposure;
}

json_t *admin_exposure_newest(struct admin_server *server) {
    json_t *statuses = admin_statuses(server->nodes), *exposure = exposure_of(server, statuses);
    json_decref(statuses);
    return exposure;
}

struct admin_answer admin_api_exposure(struct admin_request *request) {
    return admin_answer_json(MHD_HTTP_OK, admin_exposure_newest(request->server));
}

struct admin_answer admin_api_audit(struct admin_request *request) {
    pthread_mutex_lock(&request->server->lock);
    json_t *entries = admin_audit_newest(&request->server->audit);
    pthread_mutex_unlock(&request->server->lock);
    return admin_answer_json(MHD_HTTP_OK, json_pack("{s:o}", "entries", entries));
}

/* ---- what is done ---- */

bool admin_audit_of(struct admin_request *request, const char *action, const char *outcome, const char *detail) {
    pthread_mutex_lock(&request->server->lock);
    bool good = admin_audit_add(&request->server->audit, request->who, action, outcome, detail);
    pthread_mutex_unlock(&request->server->lock);
    return good;
}

bool admin_audit_seldom(struct admin_request *request, const char *action, const char *outcome, const char *detail, bool each) {
    struct admin_server *server = request->server;
    char what[ADMIN_SELDOM_BYTES], text[ADMIN_AUDIT_LINE_BYTES];
    uint64_t now_ms = ring_clock_ms();
    (void)snprintf(what, sizeof what, "%s %s %s %s", request->who, action, outcome, each ? detail : "");
    pthread_mutex_lock(&server->lock);
    struct admin_seldom_one *one = admin_seldom_due(&server->seldom, now_ms, what);
    bool good = true;
    if (one != NULL) {
        if (one->untold > 0)
            (void)snprintf(text, sizeof text, "(%u more since the last line of these) %s", one->untold, detail);
        else
            (void)snprintf(text, sizeof text, "%s", detail);
        good = admin_audit_add(&server->audit, request->who, action, outcome, text);
        if (good) admin_seldom_told(one, now_ms);
    }
    pthread_mutex_unlock(&server->lock);
    return good;
}

/* One question to init, told of before and after. */
static struct admin_answer init_do(struct admin_request *request, const char *action, const char *question) {
    const char *path = request->server->init_path;
    if (path == NULL) return admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "this is no appliance: nothing here starts programs or the machine");
    if (!admin_audit_of(request, action, "begun", question))
        return admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "not done: the audit log cannot be written");
    char *text = admin_init_ask(path, question);
    bool good = admin_init_ok(text);
    char why[160] = "init does not answer";
    if (text != NULL) (void)snprintf(why, sizeof why, "%s", good ? "ok" : text);
    why[strcspn(why, "\n")] = '\0';
    free(text);
    bool told = admin_audit_of(request, action, good ? "done" : "failed", why);
    return good ? admin_answer_json(MHD_HTTP_OK, json_pack("{s:s,s:b}", "done", question, "audited", (int)told))
                : admin_answer_error(MHD_HTTP_BAD_GATEWAY, why);
}

static bool program_named(const char *name) {
    size_t count = strlen(name);
    return count > 0 && count <= PROGRAM_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == count;
}

/* Is the image that runs on trial? False also if init does not say: then it restarts nothing either. */
static bool on_trial(const struct admin_server *server) {
    struct admin_slots slots = {.on_trial = false};
    char *said = admin_init_ask(server->init_path, "status"); /* not what it said a while ago */
    if (said != NULL) admin_slots_read(&slots, said);
    free(said);
    return slots.on_trial;
}

/* Who operates restarts the node alone, so that its vote is away for a second, not for good, and no image is given up for it. 0: he may. */
static unsigned restart_refused(struct admin_request *request, const char *name, const char **why) {
    struct admin_server *server = request->server;
    *why = "this needs the role own: who operates restarts the node's program alone";
    if (strcmp(name, "node") != 0) return MHD_HTTP_FORBIDDEN;
    *why = "the image is on trial, and is given up if its node does not vote: to restart that now needs the role own";
    if (on_trial(server)) return MHD_HTTP_CONFLICT;
    *why = "it was restarted within the last minute: more often needs the role own";
    pthread_mutex_lock(&server->lock);
    uint64_t now_ms = ring_clock_ms();
    bool again = server->restarted_ms != 0 && now_ms - server->restarted_ms < ADMIN_RESTART_MS;
    if (!again) server->restarted_ms = now_ms;
    pthread_mutex_unlock(&server->lock);
    return again ? MHD_HTTP_TOO_MANY_REQUESTS : 0;
}

struct admin_answer admin_api_restart(struct admin_request *request) {
    json_t *body = admin_body_object(request);
    const char *name = json_string_value(json_object_get(body, "program")), *why = "wants {\"program\": \"node\"}, as init names it";
    char question[64];
    bool good = name != NULL && program_named(name), free_to = request->role >= ADMIN_OWN || request->server->init_path == NULL;
    unsigned refused = !good ? MHD_HTTP_BAD_REQUEST : free_to ? 0 : restart_refused(request, name, &why);
    if (good) (void)snprintf(question, sizeof question, "restart %s sure", name);
    json_decref(body);
    return refused == 0 ? init_do(request, "restart", question) : admin_answer_error(refused, why);
}

static struct admin_answer machine_do(struct admin_request *request, const char *action, const char *question) {
    json_t *body = admin_body_object(request);
    bool sure = json_is_true(json_object_get(body, "sure"));
    json_decref(body);
    if (!sure)
        return admin_answer_error(MHD_HTTP_BAD_REQUEST, "wants {\"sure\": true}: until this node votes again its cluster may lose one node less");
    return init_do(request, action, question);
}

struct admin_answer admin_api_reboot(struct admin_request *request) {
    return machine_do(request, "reboot", "reboot sure");
}
struct admin_answer admin_api_halt(struct admin_request *request) {
    return machine_do(request, "halt", "halt sure");
}
