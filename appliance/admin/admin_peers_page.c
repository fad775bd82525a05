/* Other consoles as the server draws them, so that they are told of without a script; page.js draws the same anew. */
#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_peers.h"

static const char *const columns[] = {"Console", "As of", "Node", "Cluster", "State", "Height", "View"};
enum { COLUMNS = sizeof columns / sizeof *columns, NUMBERS_FROM = 5 };

static const char *text_of(const json_t *object, const char *name, const char *otherwise) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : otherwise;
}

static long long number_of(const json_t *object, const char *name) {
    return (long long)json_integer_value(json_object_get(object, name));
}

static void cell_begin(FILE *out, unsigned column) {
    (void)fprintf(out, "<td role=\"cell\"%s data-label=\"%s\">", column >= NUMBERS_FROM ? " class=\"number\"" : "", columns[column]);
}

static void row_begin(FILE *out, const json_t *peer) {
    (void)fputs("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">", out);
    admin_page_text(out, text_of(peer, "where", "?"));
    (void)fputs("</th>", out);
}

static void node_draw(FILE *out, const json_t *peer, const json_t *node) {
    const char *state = text_of(node, "phase", "no answer to its console");
    row_begin(out, peer);
    cell_begin(out, 1);
    const char *old = json_is_true(json_object_get(peer, "counts")) ? "" : ", too old to count";
    (void)fprintf(out, "%lld s ago%s</td>", number_of(node, "age_ms") / 1000, old);
    const char *const texts[] = {text_of(node, "node", "?"), text_of(node, "cluster", "?"), state};
    for (unsigned i = 0; i < 3; i++) {
        cell_begin(out, i + 2);
        admin_page_text(out, texts[i]);
        (void)fputs("</td>", out);
    }
    cell_begin(out, 5);
    (void)fprintf(out, "%lld</td>", number_of(node, "height"));
    cell_begin(out, 6);
    (void)fprintf(out, "%lld</td></tr>", number_of(node, "view"));
}

/* One that cannot be read says so, and what it said before stays below. */
static void peer_draw(FILE *out, const json_t *peer) {
    const json_t *nodes = json_object_get(peer, "nodes"), *node;
    size_t at;
    if (!json_is_true(json_object_get(peer, "up"))) {
        row_begin(out, peer);
        (void)fprintf(out, "<td role=\"cell\" colspan=\"%u\">", COLUMNS - 1u);
        admin_page_text(out, text_of(peer, "fault", ""));
        (void)fputs("</td></tr>", out);
    }
    json_array_foreach(nodes, at, node) {
        node_draw(out, peer, node);
    }
}

static void cluster_draw(FILE *out, const json_t *cluster) {
    bool enough = json_is_true(json_object_get(cluster, "enough"));
    (void)fprintf(out, "<article class=\"card %s\"><h3>Cluster ", enough ? "told" : "bad");
    admin_page_text(out, text_of(cluster, "cluster", "?"));
    (void)fprintf(out, "</h3><p class=\"mood\"><strong>%s</strong> ", enough ? "As told:" : "Too few, as told:");
    admin_page_text(out, text_of(cluster, "text", ""));
    (void)fputs(".</p></article>", out);
}

void admin_peers_draw(FILE *out, const json_t *seen) {
    const json_t *peers = json_object_get(seen, "peers"), *one;
    size_t at;
    if (json_array_size(peers) == 0) return;
    (void)fputs("<section aria-labelledby=\"h-peers\" id=\"peers-section\"><h2 id=\"h-peers\">Other consoles</h2>"
                "<p class=\"faint\">What they say of their nodes. Nothing here verifies it: no answer above hangs on it, and whether one of their "
                "nodes may be lost their own page says.</p><div id=\"told\" class=\"cards\">",
                out);
    json_array_foreach(json_object_get(seen, "clusters"), at, one) {
        cluster_draw(out, one);
    }
    (void)fputs("</div>", out);
    admin_page_table(out, "h-peers");
    for (unsigned i = 0; i < COLUMNS; i++) admin_page_column(out, columns[i], i >= NUMBERS_FROM);
    (void)fputs("</tr></thead><tbody role=\"rowgroup\" id=\"peers\">", out);
    json_array_foreach(peers, at, one) {
        peer_draw(out, one);
    }
    (void)fputs("</tbody></table></div></section>", out);
}
