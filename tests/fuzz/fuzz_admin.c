/*
 * heraclius-admin on hostile requests (admin_routes.c and what it leads to), on a hostile admin.conf, and on hostile logs. No sockets: what
 * libmicrohttpd hands on, and what init answers.
 *
 *   byte 0  bits 0, 1: 0, 1: a request; 2: admin.conf; 3: a log, in two looks
 *   byte 1  of a request: bit 0 by TLS; bit 1 by a POST, bit 2 by another method; bit 3 with a session, bit 4 with its CSRF token; bits 5, 6 the role
 *           of a client certificate; of a log: bit 0 the kernel's
 *   rest    of a request texts, each ended by a zero: path, body, Host, Origin, Content-Type, X-CSRF-Token, cookie, newest,
 *           Content-Length, node, file; else the text
 *
 * Every request is answered. Nobody who has no role sees more than the form to pair, nothing is changed without TLS, a role and the CSRF token, and
 * every answer but a file that is built in is JSON, a page or plain text without what the sender put in as markup.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/admin/admin_appliance.h"
#include "appliance/admin/admin_console.h"
#include "merkle/check.h"
#include "ring/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXTS = 11, TEXT_BYTES = 2048 };

static struct admin_nodes nodes;
static struct admin_server server = {.nodes = &nodes, .code_by_file_alone = true};
static const char code_shown[] = "4073910528";

/* One session that owns, one code that was shown. */
static struct admin_session begin(void) {
    static const uint8_t nobody[ADMIN_FROM_BYTES], random[2 * ADMIN_TOKEN_BYTES] = {7, 1};
    const struct admin_session *session = NULL;
    memset(&server.sessions, 0, sizeof server.sessions);
    for (int i = 0; i < 2; i++) {
        memcpy(server.sessions.code, code_shown, sizeof code_shown);
        server.sessions.code_begun_ms = ring_clock_ms();
        if (i == 0) CHECK(admin_pairing_try(&server.sessions, ring_clock_ms(), nobody, code_shown) == ADMIN_PAIRED);
        if (i == 0) session = admin_session_begin(&server.sessions, ring_clock_ms(), ADMIN_OWN, random);
    }
    return *session;
}

static bool is_open(const char *path) {
    static const char *const paths[] = {"/livez",   "/",     "/page.js",             "/page.css",       "/icon.svg",
                                        "/pair",    "/api/v1/openapi.json", "/api/v1/pairing", "/api/v1/session"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (strcmp(path, paths[i]) == 0) return true;
    }
    return false;
}

static void request_try(const uint8_t *data, size_t size) {
    static char texts[TEXTS][TEXT_BYTES];
    const struct admin_session session = begin(); /* as it was: a request may end it */
    const uint8_t bits = data[0];
    memset(texts, 0, sizeof texts);
    data++;
    size--;
    for (int i = 0; i < TEXTS && size > 0; i++) {
        const uint8_t *end = memchr(data, 0, size);
        size_t count = end != NULL ? (size_t)(end - data) : size, kept = count < TEXT_BYTES ? count : TEXT_BYTES - 1;
        memcpy(texts[i], data, kept);
        size_t used = end != NULL ? count + 1 : count;
        data += used;
        size -= used;
    }
    bool with_session = bits & 8, with_token = bits & 16, post = bits & 2;
    struct admin_request request = {.server = &server, .method = bits & 4 ? "PUT" : post ? "POST" : "GET", .path = texts[0], .tls = bits & 1,
                                    .host = texts[2], .origin = texts[3], .content_type = texts[4], .newest = texts[7], .body = texts[1],
                                    .content_length = texts[8], .node = texts[9], .file = texts[10]};
    request.csrf_given = with_token ? session.csrf : texts[5];
    request.cookie = with_session ? session.token : texts[6];
    request.certificate_role = (enum admin_role)(bits >> 5 & 3);
    struct admin_answer answer = admin_answer_make(&request);
    CHECK(answer.code >= 200 && answer.code < 600 && answer.type != NULL && (answer.text != NULL || answer.fixed != NULL));
    bool good = answer.code < 300, stranger = request.tls && !with_session && request.certificate_role == ADMIN_NOBODY;
    if (stranger && good) CHECK(is_open(texts[0]));
    if (post && good) CHECK(request.tls && (is_open(texts[0]) || (!stranger && request.forged_none)));
    if ((bits & 4) != 0) CHECK(answer.code == 405 || answer.code == 404);
    if (answer.text != NULL) CHECK(strstr(answer.text, session.token) == NULL && strstr(answer.text, code_shown) == NULL);
    if (answer.text != NULL && strcmp(answer.type, "application/json") == 0) {
        json_t *value = json_loads(answer.text, 0, NULL);
        CHECK(json_is_object(value));
        json_decref(value);
    }
    free(answer.text);
}

static void conf_try(const char *text, size_t size) {
    struct admin_conf conf;
    char why[ADMIN_TLS_WHY_BYTES] = "";
    bool good = admin_conf_parse(&conf, text, size, why);
    CHECK(good != (why[0] != '\0') && conf.clients_count <= ADMIN_CONF_CLIENTS_MAX);
    if (good) CHECK(conf.node[0] != '\0' && strchr(conf.node, '\n') == NULL && strchr(conf.listen, ' ') == NULL);
}

/* Two looks at a log that goes on: each whole line is seen once, none is split. */
static void log_try(const char *text, size_t size, bool kernel) {
    struct admin_syslog_mark mark = {.tail_bytes = 0};
    char line[ADMIN_SYSLOG_BYTES], message[ADMIN_SYSLOG_BYTES];
    size_t cuts[] = {size / 2, size}, fresh;
    bool missing;
    for (int look = 0; look < 2; look++) {
        const char *at = admin_syslog_fresh(&mark, text, cuts[look], &fresh, &missing);
        CHECK(at >= text && at + fresh <= text + cuts[look] && (fresh == 0 || at[fresh - 1] == '\n') && (at == text || at[-1] == '\n'));
        CHECK(!missing);
        size_t count = fresh < sizeof line ? fresh : sizeof line - 1;
        memcpy(line, at, count);
        line[count] = '\0';
        struct admin_syslog_line read = admin_syslog_line_read(line, kernel);
        CHECK(read.text >= line && read.text <= line + count && (unsigned)read.severity <= 7);
        size_t used = admin_syslog_message(message, size, "n", "p", read.severity, read.text);
        CHECK(used < sizeof message && message[used] == '\0' && message[0] == '<');
        for (size_t i = 0; i < used; i++) CHECK(message[i] >= ' ' && message[i] <= '~');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    if (server.history.series == NULL) {
        CHECK(admin_history_start(&server.history, &nodes) && admin_queues_start(&server.queues, &nodes));
        CHECK(pthread_mutex_init(&server.lock, NULL) == 0);
    }
    switch (data[0] & 3) {
    case 2: conf_try((const char *)data + 1, size - 1); break;
    case 3: log_try((const char *)data + 2, size - 2, data[1] & 1); break;
    default: request_try(data + 1, size - 1);
    }
    return 0;
}
