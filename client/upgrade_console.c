/* One admin console over HTTPS: one request a connection, HTTP/1.1, answers with a length (as libmicrohttpd gives them). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/upgrade.h"
#include "client/upgrade_tls.h"
#include "ring/clock.h"

enum { CSRF_TEXT = 64, HEAD_BYTES = 1024, CONTINUE_MS = 2000 };

/* One request, and what came. */
struct exchange {
    const char *path, *type, *csrf; /* type NULL: GET */
    const uint8_t *body;
    size_t body_bytes;
    uint64_t timeout_ms;
    bool continues; /* a long body: is not sent before the head was found good */
    char *text;     /* what came */
    size_t used;
    size_t answer_bytes; /* of that, those of the answer that was read */
    unsigned code;
    bool stranger;
    json_t *answer; /* NULL: no JSON object */
};

static volatile sig_atomic_t broken_off;

static void on_interrupt(int number) {
    (void)number;
    broken_off = 1;
}

bool upgrade_broken_off(void) {
    return broken_off != 0;
}

void upgrade_interrupts_take(void) {
    struct sigaction action = {.sa_handler = on_interrupt};
    action.sa_flags = (int)SA_RESETHAND; /* the second ctrl-C ends the program at once */
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* ---- one exchange ---- */

static bool head_write(struct upgrade_tls *tls, const struct upgrade_console *console, const struct exchange *exchange) {
    char host[ADDRESSES_HOST_BYTES_MAX + 9], head[HEAD_BYTES], more[256] = "";
    address_endpoint_print(&console->endpoint, host);
    if (exchange->type)
        (void)snprintf(more, sizeof more, "Content-Type: %s\r\nContent-Length: %zu\r\nX-CSRF-Token: %s\r\n%s", exchange->type, exchange->body_bytes,
                       exchange->csrf, exchange->continues ? "Expect: 100-continue\r\n" : "");
    int count = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\nConnection: close\r\n%s\r\n",
                         exchange->type ? "POST" : "GET", exchange->path, host, more);
    return count > 0 && (size_t)count < sizeof head && upgrade_tls_write(tls, head, (size_t)count);
}

/* The value of a header of the answer's head; NULL: it has none. */
static const char *header_find(const char *head, const char *end, const char *name) {
    size_t count = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line < end; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, count) == 0 && line[2 + count] == ':') return line + 3 + count + strspn(line + 3 + count, " ");
    }
    return NULL;
}

/* One answer, of which something may have come already; false: none, tls->why says why not. */
static bool answer_read(struct upgrade_tls *tls, struct exchange *exchange) {
    for (;;) {
        exchange->text[exchange->used] = 0;
        const char *end = strstr(exchange->text, "\r\n\r\n");
        if (end) {
            const char *length = header_find(exchange->text, end, "Content-Length");
            size_t head = (size_t)(end - exchange->text) + 4;
            unsigned long body = length && *length >= '0' && *length <= '9' ? strtoul(length, NULL, 10) : 0;
            if (strncmp(exchange->text, "HTTP/1.1 ", 9) != 0 || body > UPGRADE_ANSWER_BYTES_MAX) break;
            if (exchange->used >= head + body) {
                exchange->code = (unsigned)strtoul(exchange->text + 9, NULL, 10);
                exchange->answer_bytes = head + body;
                exchange->answer = json_loadb(exchange->text + head, body, JSON_REJECT_DUPLICATES, NULL);
                return true;
            }
        }
        if (exchange->used == UPGRADE_ANSWER_BYTES_MAX) break;
        long got = upgrade_tls_read(tls, exchange->text + exchange->used, UPGRADE_ANSWER_BYTES_MAX - exchange->used);
        if (got < 0) return false;
        if (got == 0) break;
        exchange->used += (size_t)got;
    }
    (void)snprintf(tls->why, sizeof tls->why, "its answer is broken off, too long, or none of HTTP/1.1");
    return false;
}

/* It is followed by another. */
static void answer_forget(struct exchange *exchange) {
    json_decref(exchange->answer);
    exchange->answer = NULL;
    exchange->code = 0;
    exchange->used -= exchange->answer_bytes;
    memmove(exchange->text, exchange->text + exchange->answer_bytes, exchange->used);
}

/* A long body waits for the word of the other side, or for a while; what is refused by its head is answered now, and nothing more is sent. */
static bool body_wanted(struct upgrade_tls *tls, struct exchange *exchange) {
    if (!exchange->continues || !upgrade_tls_readable(tls, CONTINUE_MS)) return true;
    if (!answer_read(tls, exchange) || exchange->code != 100) return false;
    answer_forget(exchange);
    exchange->continues = false; /* which is said once */
    return true;
}

/* What it answers to the whole: it may have been so busy that the word for a body that was sent without comes first. */
static bool last_answer_read(struct upgrade_tls *tls, struct exchange *exchange) {
    if (exchange->code != 0) return true;
    if (!answer_read(tls, exchange)) return false;
    if (exchange->code != 100 || !exchange->continues) return true;
    answer_forget(exchange);
    return answer_read(tls, exchange);
}

/* False: no answer, and why. */
static bool exchange_run(struct upgrade_console *console, struct exchange *exchange, char why[UPGRADE_TEXT_BYTES]) {
    struct upgrade_tls tls = {.pin = console->pin, .until_ms = ring_clock_ms() + exchange->timeout_ms, .stall_ms = UPGRADE_STALL_MS, .fd = -1};
    exchange->text = malloc(UPGRADE_ANSWER_BYTES_MAX + 1);
    bool good = exchange->text && upgrade_tls_open(&tls, &console->endpoint, console->certificate, console->key);
    good = good && head_write(&tls, console, exchange);
    if (good && exchange->type && body_wanted(&tls, exchange)) {
        /* Who refuses in the middle of it may have answered before the link broke. */
        if (!upgrade_tls_write(&tls, exchange->body, exchange->body_bytes) && upgrade_tls_readable(&tls, 0)) tls.why[0] = 0;
    }
    good = good && !tls.why[0] && last_answer_read(&tls, exchange);
    upgrade_text(why, UPGRADE_TEXT_BYTES, good ? "" : tls.why[0] ? tls.why : "no memory");
    exchange->stranger = tls.stranger;
    upgrade_tls_close(&tls);
    free(exchange->text);
    exchange->text = NULL;
    if (json_is_object(exchange->answer)) return good;
    json_decref(exchange->answer);
    exchange->answer = NULL;
    return good;
}

/* What it answered: `why` says it in the console's words, and what to do where the role is lacking. */
static enum upgrade_said exchange_judge(const struct exchange *exchange, char why[UPGRADE_TEXT_BYTES]) {
    char text[UPGRADE_TEXT_BYTES - 96], name[32];
    if (exchange->code == 200 && exchange->answer) return UPGRADE_SAID;
    upgrade_text(text, sizeof text, json_string_value(json_object_get(exchange->answer, "error")));
    upgrade_text(name, sizeof name, json_string_value(json_object_get(exchange->answer, "name")));
    if (exchange->code == 401)
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "does not know this client certificate (admin.client.N of its configuration)");
    else if (exchange->code == 403)
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "%s; this client certificate wants the role own (admin.client.N)", text);
    else if (exchange->code == 404)
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "its console cannot take releases, it is of an older image: see docs/operating.md");
    else if (name[0])
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "%s: %s", name, text);
    else
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "%s (HTTP %u)", text[0] ? text : "an answer without a word", exchange->code);
    return UPGRADE_REFUSED;
}

enum upgrade_said upgrade_console_state(struct upgrade_console *console, struct upgrade_state *state, char why[UPGRADE_TEXT_BYTES]) {
    struct exchange exchange = {.path = "/api/v1/upgrade", .timeout_ms = UPGRADE_ASK_MS};
    if (!exchange_run(console, &exchange, why)) return exchange.stranger ? UPGRADE_STRANGER : UPGRADE_SILENT;
    enum upgrade_said said = exchange_judge(&exchange, why);
    if (said == UPGRADE_SAID && !upgrade_state_read(state, exchange.answer)) {
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "its answer is none of this kind");
        said = UPGRADE_REFUSED;
    }
    json_decref(exchange.answer);
    return said;
}

/* The token that goes with each change: another one after each start of the console. */
static enum upgrade_said csrf_ask(struct upgrade_console *console, char csrf[CSRF_TEXT + 1], char why[UPGRADE_TEXT_BYTES]) {
    struct exchange exchange = {.path = "/api/v1/session", .timeout_ms = UPGRADE_ASK_MS};
    if (!exchange_run(console, &exchange, why)) return exchange.stranger ? UPGRADE_STRANGER : UPGRADE_SILENT;
    enum upgrade_said said = exchange_judge(&exchange, why);
    const char *told = said == UPGRADE_SAID ? json_string_value(json_object_get(exchange.answer, "csrf")) : NULL;
    if (said == UPGRADE_SAID && (!told || strlen(told) != CSRF_TEXT || strspn(told, "0123456789abcdef") != CSRF_TEXT)) {
        (void)snprintf(why, UPGRADE_TEXT_BYTES, "its session has no token");
        said = UPGRADE_REFUSED;
    } else if (said == UPGRADE_SAID) {
        memcpy(csrf, told, CSRF_TEXT + 1);
    }
    json_decref(exchange.answer);
    return said;
}

static enum upgrade_said change(struct upgrade_console *console, struct exchange *exchange, char why[UPGRADE_TEXT_BYTES]) {
    char csrf[CSRF_TEXT + 1];
    enum upgrade_said said = csrf_ask(console, csrf, why);
    if (said != UPGRADE_SAID) return said;
    exchange->csrf = csrf;
    if (!exchange_run(console, exchange, why)) return exchange->stranger ? UPGRADE_STRANGER : UPGRADE_SILENT;
    said = exchange_judge(exchange, why);
    json_decref(exchange->answer);
    return said;
}

enum upgrade_said upgrade_console_hand_over(struct upgrade_console *console, const uint8_t *release, size_t bytes, char why[UPGRADE_TEXT_BYTES]) {
    struct exchange exchange = {.path = "/api/v1/upgrade",
                                .type = "application/octet-stream",
                                .body = release,
                                .body_bytes = bytes,
                                .timeout_ms = UPGRADE_HAND_OVER_MS,
                                .continues = true};
    return change(console, &exchange, why);
}

enum upgrade_said upgrade_console_reboot(struct upgrade_console *console, char why[UPGRADE_TEXT_BYTES]) {
    static const char sure[] = "{\"sure\": true}";
    struct exchange exchange = {.path = "/api/v1/actions/reboot",
                                .type = "application/json",
                                .body = (const uint8_t *)sure,
                                .body_bytes = sizeof sure - 1,
                                .timeout_ms = UPGRADE_ASK_MS};
    return change(console, &exchange, why);
}
