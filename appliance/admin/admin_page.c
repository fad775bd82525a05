/* The page: appliance/admin/page/ built in, and what the server draws into it, so that it tells all that matters without a script. */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/admin/admin_clusters.h"
#include "appliance/admin/admin_console.h"

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

static void megabytes_put(FILE *out, long long bytes) {
    (void)fprintf(out, "<td class=\"number\">%.1f</td>", (double)bytes / (1 << 20));
}

static void node_draw(FILE *out, const json_t *status) {
    const json_t *queues = json_object_get(status, "queues"), *commit = json_object_get(status, "commit_us"), *wal = json_object_get(status, "wal");
    (void)fputs("<tr><th scope=\"row\">", out);
    text_put(out, text_of(status, "node", text_of(status, "socket", "?")));
    if (json_object_get(status, "error") != NULL) {
        (void)fputs("</th><td colspan=\"10\">", out);
        text_put(out, text_of(status, "error", ""));
        (void)fputs("</td></tr>", out);
        return;
    }
    (void)fputs("</th><td>", out);
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
    (void)fprintf(out, "</td><td class=\"number\">%lld</td><td class=\"number\">%.1f</td><td class=\"number\">%.1f</td>", number_of(status, "height"),
                  (double)number_of(commit, "p50") / 1000, (double)number_of(commit, "p99") / 1000);
    (void)fprintf(out, "<td class=\"number\">%lld</td><td class=\"number\">%lld</td>", number_of(queues, "inputs_waiting"),
                  number_of(queues, "blocks_open"));
    megabytes_put(out, number_of(status, "resident_bytes"));
    megabytes_put(out, number_of(status, "memory_budget_total_bytes"));
    megabytes_put(out, number_of(wal, "bytes"));
    megabytes_put(out, number_of(wal, "map_bytes"));
    (void)fputs("</tr>", out);
}

static void status_draw(FILE *out, const struct admin_request *request) {
    json_t *statuses = admin_statuses(request->server->nodes), *clusters = admin_clusters_json(statuses);
    static const char *const columns[] = {"Node",        "State",       "Height", "Commit p50, ms", "p99, ms", "Inputs waiting",
                                          "Open blocks", "Memory, MiB", "budget", "Disk, MiB",      "limit"};
    const json_t *one;
    size_t at;
    (void)fputs("<section aria-labelledby=\"h-clusters\"><h2 id=\"h-clusters\">Clusters</h2><div id=\"clusters\" class=\"cards\">", out);
    json_array_foreach(clusters, at, one) {
        cluster_draw(out, one);
    }
    (void)fputs("</div></section><section aria-labelledby=\"h-nodes\"><h2 id=\"h-nodes\">Nodes</h2>"
                "<div class=\"wide\" role=\"region\" aria-labelledby=\"h-nodes\" tabindex=\"0\"><table><thead><tr>",
                out);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) (void)fprintf(out, "<th scope=\"col\">%s</th>", columns[i]);
    (void)fputs("</tr></thead><tbody id=\"nodes\">", out);
    json_array_foreach(statuses, at, one) {
        node_draw(out, one);
    }
    (void)fputs("</tbody></table></div></section>", out);
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
    (void)request;
    (void)fputs("<p role=\"status\">The code is shown at the machine now: on its console and in the log of heraclius-admin.</p>", out);
}

static void spent_draw(FILE *out, const struct admin_request *request) {
    (void)request;
    (void)fputs(
        "<p role=\"alert\">No code can be used now: there were too many wrong tries, or its five minutes are over. Ask for a new one in a few "
        "minutes.</p>",
        out);
}

static void wrong_draw(FILE *out, const struct admin_request *request) {
    (void)request;
    (void)fputs("<p role=\"alert\">That was a wrong code.</p>", out);
}

struct admin_answer admin_page(struct admin_request *request) {
    if (request->role == ADMIN_NOBODY) return framed(request, MHD_HTTP_OK, admin_asset_pair, admin_asset_pair_end, nothing_draw);
    return framed(request, MHD_HTTP_OK, admin_asset_html, admin_asset_html_end, status_draw);
}

/* The form of pair.html, for which no script is needed: code= and the digits, or nothing, which asks for a code. */
struct admin_answer admin_page_pair(struct admin_request *request) {
    static const char field[] = "code=";
    bool form = strncmp(request->content_type, "application/x-www-form-urlencoded", 33) == 0;
    if (!form || strncmp(request->body, field, sizeof field - 1) != 0) {
        bool open = admin_pairing_show(request->server);
        return framed(request, MHD_HTTP_OK, admin_asset_pair, admin_asset_pair_end, open ? shown_draw : spent_draw);
    }
    struct admin_answer begun = {.code = MHD_HTTP_SEE_OTHER, .type = "text/plain", .fixed = "", .fixed_bytes = 0, .location = "/"};
    enum admin_pairing result = admin_pairing_take(request, request->body + sizeof field - 1, ADMIN_OWN, &begun);
    if (result == ADMIN_PAIRED) return begun;
    return framed(request, MHD_HTTP_FORBIDDEN, admin_asset_pair, admin_asset_pair_end, result == ADMIN_PAIRING_WRONG ? wrong_draw : spent_draw);
}
