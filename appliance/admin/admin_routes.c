/* Which path and method needs which role; who the sender is. */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_machine.h"
#include "ring/clock.h"

static struct admin_answer answer_text(unsigned code, const char *type, char *text) {
    return (struct admin_answer){.code = code, .type = type, .text = text};
}

static struct admin_answer livez(struct admin_request *request) {
    (void)request;
    return answer_text(MHD_HTTP_OK, "text/plain", strdup("live\n"));
}

static struct admin_answer readyz(struct admin_request *request) {
    bool good;
    char *text = admin_ready_text(request->server->nodes, &good);
    return answer_text(good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain", text);
}

static struct admin_answer status(struct admin_request *request) {
    return answer_text(MHD_HTTP_OK, "application/json", admin_status_text(request->server->nodes));
}

static long long number_of(const json_t *object, const char *name) {
    return (long long)json_integer_value(json_object_get(object, name));
}

static void syslog_metrics(FILE *out, struct admin_syslog *of) {
    json_t *syslog = admin_syslog_json(of);
    if (!json_is_null(syslog))
        (void)fprintf(out,
                      "# HELP heraclius_syslog_up 1 if the syslog collector is linked\n# TYPE heraclius_syslog_up gauge\nheraclius_syslog_up %d\n"
                      "# HELP heraclius_syslog_sent_total messages that it took\n# TYPE heraclius_syslog_sent_total counter\n"
                      "heraclius_syslog_sent_total %lld\n# HELP heraclius_syslog_lost_total messages that it did not take in time\n"
                      "# TYPE heraclius_syslog_lost_total counter\nheraclius_syslog_lost_total %lld\n",
                      json_is_true(json_object_get(syslog, "up")), number_of(syslog, "sent"), number_of(syslog, "lost"));
    json_decref(syslog);
}

/* The machine's, if this is an appliance; they carry the name of its node. */
static void machine_metrics(FILE *out, struct admin_server *server) {
    if (server->init_path == NULL) return;
    uint64_t age_ms = 0;
    char *said = admin_machine_says(server, &age_ms);
    pthread_mutex_lock(&server->lock);
    uint64_t hangs = server->hang.hangs;
    pthread_mutex_unlock(&server->lock);
    admin_machine_metrics(out, age_ms <= ADMIN_MACHINE_OLD_MS ? said : NULL, hangs,
                          server->nodes->count == 1 ? admin_nodes_name(server->nodes, 0) : NULL);
    free(said);
}

static void certificate_metrics(FILE *out, const struct admin_server *server) {
    if (server->tls.fingerprint[0] == '\0') return;
    (void)fprintf(out,
                  "# HELP heraclius_certificate_ends_seconds when this console's certificate ends, by the calendar\n"
                  "# TYPE heraclius_certificate_ends_seconds gauge\nheraclius_certificate_ends_seconds %lld\n",
                  server->tls.ends_s);
}

/* The nodes' metrics, and this program's own. */
static struct admin_answer metrics(struct admin_request *request) {
    struct admin_server *server = request->server;
    char *text = NULL, *of_nodes = admin_metrics_text(server->nodes);
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out != NULL) {
        (void)fputs(of_nodes != NULL ? of_nodes : "", out);
        syslog_metrics(out, server->syslog);
        certificate_metrics(out, server);
        machine_metrics(out, server);
        pthread_mutex_lock(&server->lock);
        admin_queues_metrics(&server->queues, out);
        pthread_mutex_unlock(&server->lock);
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    free(of_nodes);
    return answer_text(MHD_HTTP_OK, "text/plain; version=0.0.4", text);
}

/* PROBE: for health checks, under any name. CHANGES: needs the CSRF token too. STREAMS: admin_answer_streams(). */
enum { PROBE = 1, CHANGES = 2, STREAMS = 4 };

static const struct route {
    const char *method, *path;
    enum admin_role role;
    unsigned flags;
    admin_handler *handler;
} routes[] = {
    {"GET", "/livez", ADMIN_NOBODY, PROBE, livez},
    {"GET", "/readyz", ADMIN_VIEW, PROBE, readyz},
    {"GET", "/status", ADMIN_VIEW, PROBE, status},
    {"GET", "/metrics", ADMIN_VIEW, PROBE, metrics},
    {"GET", "/", ADMIN_NOBODY, 0, admin_page},
    {"GET", "/page.js", ADMIN_NOBODY, 0, admin_page_script},
    {"GET", "/page.css", ADMIN_NOBODY, 0, admin_page_style},
    {"GET", "/icon.svg", ADMIN_NOBODY, 0, admin_page_icon},
    {"POST", "/pair", ADMIN_NOBODY, 0, admin_page_pair},
    {"GET", "/api/v1/openapi.json", ADMIN_NOBODY, 0, admin_page_openapi},
    {"POST", "/api/v1/pairing", ADMIN_NOBODY, 0, admin_api_pairing},
    {"POST", "/api/v1/session", ADMIN_NOBODY, 0, admin_api_session_begin},
    {"GET", "/api/v1/session", ADMIN_VIEW, 0, admin_api_session},
    {"POST", "/api/v1/session/end", ADMIN_VIEW, CHANGES, admin_api_session_end},
    {"GET", "/api/v1/nodes", ADMIN_VIEW, 0, admin_api_nodes},
    {"GET", "/api/v1/clusters", ADMIN_VIEW, 0, admin_api_clusters},
    {"GET", "/api/v1/peers", ADMIN_VIEW, 0, admin_api_peers},
    {"GET", "/api/v1/history", ADMIN_VIEW, 0, admin_api_history},
    {"GET", "/api/v1/queues", ADMIN_VIEW, 0, admin_api_queues},
    {"GET", "/api/v1/faults", ADMIN_VIEW, 0, admin_api_faults},
    {"GET", "/api/v1/evidence", ADMIN_VIEW, 0, admin_api_evidence},
    {"GET", "/api/v1/evidence/file", ADMIN_OPERATE, 0, admin_api_evidence_file},
    {"GET", "/api/v1/exposure", ADMIN_VIEW, 0, admin_api_exposure},
    {"GET", "/api/v1/audit", ADMIN_VIEW, 0, admin_api_audit},
    {"GET", "/api/v1/support", ADMIN_OPERATE, 0, admin_api_support},
    {"POST", "/api/v1/claims", ADMIN_OPERATE, CHANGES, admin_api_claim},
    {"POST", "/api/v1/actions/restart", ADMIN_OPERATE, CHANGES, admin_api_restart},
    {"POST", "/api/v1/actions/reboot", ADMIN_OWN, CHANGES, admin_api_reboot},
    {"POST", "/api/v1/actions/halt", ADMIN_OWN, CHANGES, admin_api_halt},
    {"POST", "/api/v1/actions/rollback", ADMIN_OWN, CHANGES, admin_api_rollback},
    {"GET", "/api/v1/upgrade", ADMIN_VIEW, 0, admin_api_upgrade_seen},
    {"POST", "/api/v1/upgrade", ADMIN_OWN, CHANGES | STREAMS, admin_api_upgrade},
};

bool admin_answer_streams(const char *method, const char *path) {
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if ((routes[i].flags & STREAMS) != 0 && strcmp(routes[i].method, method) == 0 && strcmp(routes[i].path, path) == 0) return true;
    }
    return false;
}

static const struct route *route_find(const struct admin_request *request, const char **allow) {
    bool head = strcmp(request->method, "HEAD") == 0;
    *allow = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(routes[i].path, request->path) != 0) continue;
        if (strcmp(routes[i].method, head ? "GET" : request->method) == 0) return &routes[i];
        *allow = *allow == NULL ? routes[i].method : "GET, POST";
    }
    return NULL;
}

/* Is the name by which it was asked one of loopback? */
static bool host_local(const char *host) {
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t count = strlen(names[i]);
        if (strncmp(host, names[i], count) == 0 && (host[count] == '\0' || host[count] == ':')) return true;
    }
    return false;
}

/* A page says where it is from with each POST: from here, or (a program) nowhere. */
static bool origin_own(const struct admin_request *request) {
    static const char scheme[] = "https://";
    if (request->origin[0] == '\0') return true;
    return strncmp(request->origin, scheme, sizeof scheme - 1) == 0 && strcmp(request->origin + sizeof scheme - 1, request->host) == 0;
}

static void sender_find(struct admin_request *request) {
    struct admin_server *server = request->server;
    if (!request->tls) {
        request->role = ADMIN_VIEW;
        (void)snprintf(request->who, sizeof request->who, "loopback");
        return;
    }
    pthread_mutex_lock(&server->lock);
    const struct admin_session *session = admin_session_find(&server->sessions, ring_clock_ms(), request->cookie);
    if (session != NULL) {
        request->role = session->role;
        (void)snprintf(request->who, sizeof request->who, "session %llu", (unsigned long long)session->number);
        memcpy(request->csrf, session->csrf, sizeof request->csrf);
    }
    pthread_mutex_unlock(&server->lock);
    if (request->certificate_role > request->role) {
        request->role = request->certificate_role;
        (void)snprintf(request->who, sizeof request->who, "certificate %s", request->certificate);
        memcpy(request->csrf, server->certificate_csrf, sizeof request->csrf);
    }
    request->forged_none = request->csrf[0] != '\0' && admin_text_equal(request->csrf, request->csrf_given);
}

struct admin_answer admin_answer_make(struct admin_request *request) {
    const char *allow;
    const struct route *route = route_find(request, &allow);
    if (route == NULL && allow != NULL) {
        struct admin_answer answer = admin_answer_error(MHD_HTTP_METHOD_NOT_ALLOWED, "not by this method");
        answer.allow = allow;
        return answer;
    }
    if (route == NULL) return admin_answer_error(MHD_HTTP_NOT_FOUND, "no such path: /api/v1/openapi.json names all");
    bool post = strcmp(request->method, "POST") == 0;
    if (!request->tls && post) return admin_answer_error(MHD_HTTP_FORBIDDEN, "changes only over TLS");
    if (!request->tls && (route->flags & PROBE) == 0 && !host_local(request->host))
        return admin_answer_error(MHD_HTTP_FORBIDDEN, "plain HTTP is for 127.0.0.1, [::1] and localhost: use TLS");
    if (post && !origin_own(request)) return admin_answer_error(MHD_HTTP_FORBIDDEN, "from another origin");
    sender_find(request);
    if (route->role > ADMIN_NOBODY && request->role == ADMIN_NOBODY)
        return admin_answer_error(MHD_HTTP_UNAUTHORIZED, "pair first, or show a client certificate that is known here");
    if (request->role < route->role) return admin_answer_error(MHD_HTTP_FORBIDDEN, "this needs a higher role");
    if ((route->flags & CHANGES) != 0 && !request->forged_none) return admin_answer_error(MHD_HTTP_FORBIDDEN, "without its CSRF token");
    return route->handler(request);
}
