/* The page: appliance/admin/page/ built in, and what the server draws into it, so that it tells all that matters without a script. */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/admin/admin_clusters.h"
#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_peers.h"

/* The bytes of a file, between two symbols. The Makefile says that this object depends on them. */
#define ASSET(name, file)                                                                                                                            \
    extern const char admin_asset_##name[], admin_asset_##name##_end[];                                                                              \
    __asm__(".pushsection .rodata\nadmin_asset_" #name ":\n.incbin \"appliance/admin/page/" file "\"\nadmin_asset_" #name                      \
            "_end:\n.byte 0\n.popsection\n")

ASSET(html, "page.html");
ASSET(pair, "pair.html");
ASSET(script, "page.js");
ASSET(style, "page.css");
ASSET(icon, "icon.svg");
ASSET(openapi, "openapi.json");

static const char html[] = "text/html; charset=utf-8";

static struct admin_answer asset(const char *type, const char *from, const char *end) {
    return (struct admin_answer){.code = MHD_HTTP_OK, .type = type, .fixed = from, .fixed_bytes = (size_t)(end - from)};
}

struct admin_answer admin_page_script(struct admin_request *request) {
    (void)request;
    return asset("text/javascript; charset=utf-8", admin_asset_script, admin_asset_script_end);
}

struct admin_answer admin_page_style(struct admin_request *request) {
    (void)request;
    return asset("text/css; charset=utf-8", admin_asset_style, admin_asset_style_end);
}

struct admin_answer admin_page_icon(struct admin_request *request) {
    (void)request;
    return asset("image/svg+xml", admin_asset_icon, admin_asset_icon_end);
}

struct admin_answer admin_page_openapi(struct admin_request *request) {
    (void)request;
    return asset("application/json", admin_asset_openapi, admin_asset_openapi_end);
}

/* ---- HTML ---- */

/* A text from a node, whatever it says: nothing of it is markup. */
static void text_put(FILE *out, const char *text) {
    for (; text != NULL && *text != '\0'; text++) {
        switch (*text) {
        case '&': (void)fputs("&amp;", out); break;
        case '<': (void)fputs("&lt;", out); break;
        case '>': (void)fputs("&gt;", out); break;
        case '"': (void)fputs("&quot;", out); break;
        case '\'': (void)fputs("&#39;", out); break;
        default: (void)fputc(*text, out);
        }
    }
}

void admin_page_text(FILE *out, const char *text) {
    text_put(out, text);
}

void admin_page_table(FILE *out, const char *heading) {
    (void)fprintf(out,
                  "<div class=\"wide\" role=\"region\" aria-labelledby=\"%s\" tabindex=\"0\">"
                  "<table role=\"table\" class=\"stacked\"><thead role=\"rowgroup\"><tr role=\"row\">",
                  heading);
}

void admin_page_column(FILE *out, const char *name, bool number) {
    (void)fprintf(out, "<th role=\"columnheader\" scope=\"col\"%s>%s</th>", number ? " class=\"number\"" : "", name);
}

static const char *text_of(const json_t *object, const char *name, const char *otherwise) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : otherwise;
}

static long long number_of(const json_t *object, const char *name) {
    return (long long)json_integer_value(json_object_get(object, name));
}

static void member_draw(FILE *out, const json_t *node) {
    char name[32];
    (void)snprintf(name, sizeof name, "member %lld", number_of(node, "member"));
    (void)fprintf(out, "<li class=\"%s\"><span>", json_is_true(json_object_get(node, "up")) ? "up" : "down");
    text_put(out, text_of(node, "name", name));
    (void)fputs("</span> ", out);
    text_put(out, text_of(node, "state", "unknown"));
    (void)fprintf(out, "%s%s</li>", json_is_true(json_object_get(node, "leads")) ? ", leads" : "",
                  json_is_true(json_object_get(node, "needed")) ? ", needed" : "");
}

static void cluster_draw(FILE *out, const json_t *cluster) {
    long long may_lose = number_of(cluster, "may_lose"), up = number_of(cluster, "up"), quorum = number_of(cluster, "quorum");
    const char *mood = may_lose > 0 ? "good" : up >= quorum ? "warn" : "bad";
    const json_t *node;
    size_t at;
    (void)fprintf(out, "<article class=\"card %s\"><h3>Cluster ", mood);
    text_put(out, text_of(cluster, "cluster", "?"));
    (void)fprintf(out, "</h3><p class=\"mood\"><strong>%lld of %lld vote, %lld decide.</strong> Can I lose another node? ", up,
                  number_of(cluster, "members"), quorum);
    text_put(out, text_of(cluster, "text", ""));
    (void)fprintf(out, ".</p><p>View %lld, height %lld</p><ul class=\"members\">", number_of(cluster, "view"), number_of(cluster, "height"));
    json_array_foreach(json_object_get(cluster, "nodes"), at, node) {
        member_draw(out, node);
    }
    (void)fputs("</ul></article>", out);
}

/* The columns, as page.js fills them anew; on a phone each stands beside its value. */
static const struct column {
    const char *name;
    bool number;
} columns[] = {
    {"Node", false},          {"State", false},      {"Height", true}, {"Commit p50, ms", true}, {"Commit p99, ms", true}, {"Inputs waiting", true},
    {"Open blocks", true},    {"Memory", true},      {"It can have", true}, {"Budget", true},    {"Store", true},          {"Store's limit", true},
};
enum { COLUMNS = sizeof columns / sizeof *columns, NUMBERS = COLUMNS - 2 };

static void cell_begin(FILE *out, unsigned column) {
    (void)fprintf(out, "<td role=\"cell\"%s data-label=\"%s\">", columns[column].number ? " class=\"number\"" : "", columns[column].name);
}

static void size_put(FILE *out, const json_t *bytes) {
    double mebibytes = (double)json_integer_value(bytes) / (1 << 20);
    bool large = mebibytes >= 1000;
    if (bytes == NULL) {
        (void)fputc('?', out);
        return;
    }
    (void)fprintf(out, "%.1f&nbsp;%s", large ? mebibytes / 1024 : mebibytes, large ? "GiB" : "MiB");
}

static void state_put(FILE *out, const json_t *status) {
    enum { OLD_MS = 2000 }; /* of a slow one */
    long long age_ms = number_of(status, "age_ms");
    const char *phase = text_of(status, "phase", "?"), *cause = text_of(status, "retired_by", NULL), *says = text_of(status, "says", NULL);
    text_put(out, phase);
    if (cause != NULL && strcmp(phase, "retired") == 0) {
        (void)fputs(": ", out);
        text_put(out, cause);
    }
    if (says != NULL) {
        (void)fputs("; calls itself ", out);
        text_put(out, says);
    }
    if (age_ms >= OLD_MS) (void)fprintf(out, "; as of %lld s ago", age_ms / 1000);
}

static void numbers_put(FILE *out, const json_t *status) {
    const json_t *queues = json_object_get(status, "queues"), *commit = json_object_get(status, "commit_us"), *wal = json_object_get(status, "wal");
    const long long counts[] = {number_of(status, "height"), number_of(commit, "p50"), number_of(commit, "p99"), number_of(queues, "inputs_waiting"),
                                number_of(queues, "blocks_open")};
    const json_t *sizes[] = {json_object_get(status, "resident_bytes"), json_object_get(status, "memory_limit_bytes"),
                             json_object_get(status, "memory_budget_total_bytes"), json_object_get(wal, "bytes"), json_object_get(wal, "map_bytes")};
    enum { COUNTS = sizeof counts / sizeof *counts };
    _Static_assert(COUNTS + sizeof sizes / sizeof *sizes == NUMBERS, "a cell a column");
    for (unsigned i = 0; i < NUMBERS; i++) {
        cell_begin(out, i + 2);
        if (i >= COUNTS)
            size_put(out, sizes[i - COUNTS]);
        else if (i == 1 || i == 2)
            (void)fprintf(out, "%.1f", (double)counts[i] / 1000);
        else
            (void)fprintf(out, "%lld", counts[i]);
        (void)fputs("</td>", out);
    }
}

static void node_draw(FILE *out, const json_t *status) {
    (void)fputs("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">", out);
    text_put(out, text_of(status, "node", "?"));
    (void)fputs("</th>", out);
    if (json_object_get(status, "error") != NULL) {
        (void)fprintf(out, "<td role=\"cell\" colspan=\"%u\">", COLUMNS - 1u);
        text_put(out, text_of(status, "error", ""));
        const json_t *last = json_object_get(status, "last");
        if (last != NULL) {
            (void)fprintf(out, " Its last word, %lld s ago: ", number_of(last, "age_ms") / 1000);
            text_put(out, text_of(last, "phase", "?"));
            (void)fprintf(out, ", height %lld.", number_of(last, "height"));
        }
        (void)fputs("</td></tr>", out);
        return;
    }
    cell_begin(out, 1);
    state_put(out, status);
    (void)fputs("</td>", out);
    numbers_put(out, status);
    (void)fputs("</tr>", out);
}

/* The columns behind the two clusters; page.js has them by these names too. */
static const struct {
    const char *name, *of;
} queue_columns[] = {
    {"Sent", "sent"}, {"Not acknowledged", "waiting"}, {"Taken in", "consumed"}, {"They say they sent", "hint"}, {"Lie here", "held"}};
enum { QUEUE_NUMBERS = sizeof queue_columns / sizeof *queue_columns };

static void queue_draw(FILE *out, const json_t *queue) {
    bool good = json_is_true(json_object_get(queue, "good"));
    (void)fputs("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">", out);
    text_put(out, text_of(queue, "cluster", "?"));
    (void)fputs(" with ", out);
    text_put(out, text_of(queue, "with", "?"));
    (void)fprintf(out, "</th><td role=\"cell\" data-label=\"State\" class=\"queue mood %s\"><span><strong>%s</strong> ", good ? "good" : "bad",
                  good ? "Green:" : "Red:");
    text_put(out, text_of(queue, "text", ""));
    if (!good) {
        (void)fputs(", at ", out);
        text_put(out, text_of(queue, "node", "?"));
    }
    (void)fputs("</span></td>", out);
    for (size_t i = 0; i < QUEUE_NUMBERS; i++)
        (void)fprintf(out, "<td role=\"cell\" class=\"number\" data-label=\"%s\">%lld</td>", queue_columns[i].name,
                      number_of(queue, queue_columns[i].of));
    (void)fputs("</tr>", out);
}

static void queues_draw(FILE *out, struct admin_server *server) {
    pthread_mutex_lock(&server->lock);
    json_t *queues = admin_queues_json(&server->queues);
    pthread_mutex_unlock(&server->lock);
    const json_t *one;
    size_t at;
    (void)fputs("<section aria-labelledby=\"h-queues\"><h2 id=\"h-queues\">Decision queues</h2>", out);
    admin_page_table(out, "h-queues");
    admin_page_column(out, "Clusters", false);
    admin_page_column(out, "State", false);
    for (size_t i = 0; i < QUEUE_NUMBERS; i++) admin_page_column(out, queue_columns[i].name, true);
    (void)fputs("</tr></thead><tbody role=\"rowgroup\" id=\"queues\">", out);
    json_array_foreach(queues, at, one) {
        queue_draw(out, one);
    }
    (void)fputs("</tbody></table></div><p class=\"faint\">Counted in slices, since the system began. Red: what the other cluster does not "
                "acknowledge grew for a minute, or what lies here, proved, was not taken in for one. What they say they sent is not proved.</p>"
                "</section>",
                out);
    json_decref(queues);
}

/* For a browser without scripts; with them page.js shows more. */
static void exposure_draw(FILE *out, struct admin_server *server) {
    json_t *exposure = admin_exposure_newest(server);
    const json_t *one;
    size_t at;
    (void)fprintf(out, "<noscript><h2>Exposure</h2><p><strong>%s</strong> ", json_is_true(json_object_get(exposure, "good")) ? "Green:" : "Red:");
    text_put(out, text_of(exposure, "text", ""));
    (void)fputs("</p><ul>", out);
    json_array_foreach(json_object_get(exposure, "clusters"), at, one) {
        (void)fputs("<li>Cluster ", out);
        text_put(out, text_of(one, "cluster", "?"));
        (void)fputs(json_is_true(json_object_get(one, "good")) ? ": green: " : ": red: ", out);
        text_put(out, text_of(one, "text", ""));
        (void)fputs("</li>", out);
    }
    (void)fputs("</ul></noscript>", out);
    json_decref(exposure);
}

static void peers_draw(FILE *out, struct admin_server *server, const json_t *clusters) {
    json_t *seen = admin_peers_json(server->peers, clusters);
    admin_peers_draw(out, seen);
    json_decref(seen);
}

static void status_draw(FILE *out, const struct admin_request *request) {
    json_t *statuses = admin_statuses(request->server->nodes), *clusters = admin_clusters_json(statuses);
    const json_t *one;
    size_t at;
    (void)fputs("<section aria-labelledby=\"h-clusters\"><h2 id=\"h-clusters\">Clusters</h2><div id=\"clusters\" class=\"cards\">", out);
    json_array_foreach(clusters, at, one) {
        cluster_draw(out, one);
    }
    (void)fputs("</div></section><section aria-labelledby=\"h-nodes\"><h2 id=\"h-nodes\">Nodes</h2>", out);
    admin_page_table(out, "h-nodes");
    for (size_t i = 0; i < COLUMNS; i++) admin_page_column(out, columns[i].name, columns[i].number);
    (void)fputs("</tr></thead><tbody role=\"rowgroup\" id=\"nodes\">", out);
    json_array_foreach(statuses, at, one) {
        node_draw(out, one);
    }
    (void)fputs("</tbody></table></div></section>", out);
    peers_draw(out, request->server, clusters);
    queues_draw(out, request->server);
    exposure_draw(out, request->server);
    json_decref(clusters);
    json_decref(statuses);
}

/* The frame up to its mark, then what is drawn, then the rest. */
static struct admin_answer framed(const struct admin_request *request, unsigned code, const char *from, const char *end,
                                  void (*draw)(FILE *out, const struct admin_request *request)) {
    static const char mark[] = "<!--DRAWN-->";
    const char *at = memmem(from, (size_t)(end - from), mark, sizeof mark - 1);
    struct admin_answer answer = {.code = code, .type = html};
    size_t bytes = 0;
    FILE *out = open_memstream(&answer.text, &bytes);
    if (out == NULL || at == NULL) return answer;
    (void)fwrite(from, 1, (size_t)(at - from), out);
    draw(out, request);
    (void)fwrite(at + sizeof mark - 1, 1, (size_t)(end - at) - (sizeof mark - 1), out);
    if (fclose(out) != 0) {
        free(answer.text);
        answer.text = NULL;
    }
    return answer;
}

static void nothing_draw(FILE *out, const struct admin_request *request) {
    (void)out;
    (void)request;
}

static void shown_draw(FILE *out, const struct admin_request *request) {
    bool console_alone = request->server->code_by_file_alone;
    (void)fprintf(out, "<p role=\"status\">The code is shown at the machine now: %s.</p>",
                  console_alone ? "on its serial console, at the next press of enter there" : "in the output of heraclius-admin");
}

static void spent_draw(FILE *out, const struct admin_request *request) {
    (void)request;
    (void)fputs(
        "<p role=\"alert\">No code can be used now: it was used, or its five minutes are over. Ask for a new one.</p>",
        out);
}

static void later_draw(FILE *out, const struct admin_request *request) {
    (void)request;
    (void)fputs("<p role=\"alert\">There were too many wrong tries from your address. Wait for the next code, in a few minutes.</p>", out);
}

static void wrong_draw(FILE *out, const struct admin_request *request) {
    (void)request;
    (void)fputs("<p role=\"alert\">That was a wrong code.</p>", out);
}

static void untold_draw(FILE *out, const struct admin_request *request) {
    (void)request;
    (void)fputs("<p role=\"alert\">Not done: the audit log cannot be written: is the data disk full? The code is still good.</p>", out);
}

struct admin_answer admin_page(struct admin_request *request) {
    if (request->role == ADMIN_NOBODY) return framed(request, MHD_HTTP_OK, admin_asset_pair, admin_asset_pair_end, nothing_draw);
    return framed(request, MHD_HTTP_OK, admin_asset_html, admin_asset_html_end, status_draw);
}

/* The form of pair.html, for which no script is needed: code= and the digits, then &role= and a role or nothing, which is own; or nothing at all,
 * which asks for a code. */
struct admin_answer admin_page_pair(struct admin_request *request) {
    static const char field[] = "code=", of_role[] = "&role=";
    bool form = strncmp(request->content_type, "application/x-www-form-urlencoded", 33) == 0;
    if (!form || strncmp(request->body, field, sizeof field - 1) != 0) {
        bool open = admin_pairing_show(request);
        return framed(request, MHD_HTTP_OK, admin_asset_pair, admin_asset_pair_end, open ? shown_draw : later_draw);
    }
    const char *text = request->body + sizeof field - 1;
    size_t digits = strcspn(text, "&");
    enum admin_role role = text[digits] == '\0' ? ADMIN_OWN : ADMIN_NOBODY;
    if (strncmp(text + digits, of_role, sizeof of_role - 1) == 0) role = admin_role_of(text + digits + sizeof of_role - 1);
    if (role == ADMIN_NOBODY) return framed(request, MHD_HTTP_BAD_REQUEST, admin_asset_pair, admin_asset_pair_end, nothing_draw);
    char code[ADMIN_PAIRING_DIGITS + 2]; /* one too long is wrong, and stays it */
    (void)snprintf(code, sizeof code, "%.*s", digits < sizeof code ? (int)digits : (int)sizeof code - 1, text);
    struct admin_answer begun = {.code = MHD_HTTP_SEE_OTHER, .type = "text/plain", .fixed = "", .fixed_bytes = 0, .location = "/"};
    enum admin_pairing result = admin_pairing_take(request, code, role, &begun);
    if (result == ADMIN_PAIRED) return begun;
    if (result == ADMIN_PAIRING_LATER) return framed(request, MHD_HTTP_FORBIDDEN, admin_asset_pair, admin_asset_pair_end, later_draw);
    if (result == ADMIN_PAIRING_UNTOLD)
        return framed(request, MHD_HTTP_SERVICE_UNAVAILABLE, admin_asset_pair, admin_asset_pair_end, untold_draw);
    return framed(request, MHD_HTTP_FORBIDDEN, admin_asset_pair, admin_asset_pair_end, result == ADMIN_PAIRING_WRONG ? wrong_draw : spent_draw);
}
