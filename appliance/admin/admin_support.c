/*
 * GET /api/v1/support: what one hands to somebody who is to help, as one JSON document: what the nodes and init say, logs, configuration, claims'
 * exposure, the audit log, versions. One document and no archive: every part is text or JSON already, any editor reads it, and no further library
 * stands where strangers' bytes come in.
 *
 * No secret comes near it: this process holds only its own TLS key, which is read from no place that is looked at here; nodes tell no secret
 * (appliance/status/); an appliance's pairing code is in no log (server->code_by_file_alone); sessions and tokens are not among the parts.
 */
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "appliance/admin/admin_appliance.h"
#include "appliance/admin/admin_clusters.h"
#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_peers.h"
#include "protocol/canonical.h"
#include "ring/clock.h"

#define NO_ANSWER "init does not answer"

enum { SUPPORT_FORMAT = 1, SUPPORT_SAMPLES = 60, LOG_LINE_BYTES = 2048 };

/* Text behind the first line of an answer "ok", line by line; of another answer that one line. */
static json_t *lines_of(char *answer) {
    char *rest = NULL, *text = answer;
    if (answer == NULL) return json_pack("[s]", NO_ANSWER);
    json_t *lines = json_array();
    if (strncmp(answer, "ok\n", 3) == 0) text += 3;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (strlen(line) > LOG_LINE_BYTES) line[LOG_LINE_BYTES] = '\0';
        json_array_append_new(lines, json_string(line)); /* what is no UTF-8 is left out: init keeps ASCII alone */
    }
    free(answer);
    return lines;
}

/* Each may take ADMIN_INIT_MS of the listener's thread: after one that init lets run out there is no other. */
static json_t *lines_ask(const char *init_path, const char *question, bool *answers) {
    char *answer = *answers ? admin_init_ask(init_path, question) : NULL;
    *answers = answer != NULL;
    return lines_of(answer);
}

static json_t *machine_json(const char *init_path) {
    static const char *const names[] = {"init", "node", "admin", "console", "net", "dhcp", "trial", "logs", "crash"};
    char request[64], before[32];
    bool answers = true;
    if (init_path == NULL) return json_null();
    json_t *logs = json_object(), *status = lines_ask(init_path, "status", &answers);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(request, sizeof request, "log %s 60000", names[i]);
        json_object_set_new(logs, names[i], lines_ask(init_path, request, &answers));
        (void)snprintf(before, sizeof before, "%s before", names[i]); /* earlier starts of the machine */
        (void)snprintf(request, sizeof request, "log %s 60000", before);
        json_object_set_new(logs, before, lines_ask(init_path, request, &answers));
    }
    json_object_set_new(logs, "kernel", lines_ask(init_path, "kmsg 60000", &answers));
    return json_pack("{s:o,s:o}", "status", status, "logs", logs);
}

static json_t *versions_json(void) {
    struct utsname about;
    if (uname(&about) != 0) memset(&about, 0, sizeof about);
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "kernel", about.release, "kernel_build", about.version, "architecture", about.machine, "gnutls",
                     gnutls_check_version(NULL), "microhttpd", MHD_get_version(), "jansson", jansson_version_str());
}

/* admin.conf has no secret: addresses, roles, hashes of certificates. Of the system file: which one. */
static json_t *configuration_json(const struct admin_server *server) {
    struct system_fault fault = {.text = ""};
    size_t count = 0;
    json_t *out = json_object(), *pins = json_array();
    static const char digits[] = "0123456789abcdef";
    char id[33] = "";
    char *text = server->conf_path != NULL ? canonical_read_file(server->conf_path, ADMIN_CONF_BYTES_MAX, &count, &fault) : NULL;
    json_object_set_new(out, "admin_conf", text != NULL ? json_stringn(text, count) : json_null());
    free(text);
    for (size_t i = 0; i < server->tls.pins_count; i++)
        json_array_append_new(
            pins, json_pack("{s:s,s:s}", "role", admin_role_name(server->tls.pins[i].role), "certificate", server->tls.pins[i].fingerprint));
    json_object_set_new(out, "clients", pins);
    json_object_set_new(out, "certificate", json_string(server->tls.fingerprint));
    for (int i = 0; server->system != NULL && i < 16; i++) {
        id[2 * i] = digits[server->system->system_id[i] >> 4];
        id[2 * i + 1] = digits[server->system->system_id[i] & 15];
    }
    json_object_set_new(out, "system", server->system != NULL ? json_pack("{s:s,s:s}", "name", server->system->name, "system_id", id) : json_null());
    return out;
}

struct admin_answer admin_api_support(struct admin_request *request) {
    struct admin_server *server = request->server;
    if (!admin_audit_seldom(request, "support", "done", "the support bundle", false))
        return admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "not done: the audit log cannot be written");
    json_t *statuses = admin_statuses(server->nodes), *out = json_object();
    char *metrics = admin_metrics_text(server->nodes);
    json_object_set_new(out, "format", json_integer(SUPPORT_FORMAT));
    json_object_set_new(out, "made_ms", json_integer((json_int_t)ring_clock_wall_ms()));
    json_object_set_new(out, "versions", versions_json());
    json_object_set_new(out, "machine", machine_json(server->init_path));
    json_t *clusters = admin_clusters_json(statuses);
    json_object_set_new(out, "peers", admin_peers_json(server->peers, clusters));
    json_object_set_new(out, "clusters", clusters);
    json_object_set_new(out, "faults", admin_faults(statuses));
    json_object_set_new(out, "nodes", statuses);
    json_t *text = metrics != NULL ? json_string(metrics) : NULL; /* of a node that says what is no UTF-8: none */
    json_object_set_new(out, "metrics", text != NULL ? text : json_null());
    free(metrics);
    json_object_set_new(out, "evidence", admin_evidence_json(server->nodes));
    json_object_set_new(out, "exposure", admin_exposure_newest(server));
    json_object_set_new(out, "configuration", configuration_json(server));
    json_object_set_new(out, "syslog", admin_syslog_json(server->syslog));
    pthread_mutex_lock(&server->lock);
    json_object_set_new(out, "history", admin_history_json(&server->history, SUPPORT_SAMPLES));
    json_object_set_new(out, "audit", admin_audit_newest(&server->audit));
    pthread_mutex_unlock(&server->lock);
    struct admin_answer answer = admin_answer_json(MHD_HTTP_OK, out);
    answer.saved_as = "heraclius-support.json";
    return answer;
}
