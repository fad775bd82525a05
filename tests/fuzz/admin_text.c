#include "tests/fuzz/admin_text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"

enum { NAME_BYTES = 1 << 18 };

/* ---- the page ---- */

static bool is_tag(const char *name, size_t count) {
    static const char *const tags[] = {"a",       "article", "body",   "button", "details",  "dialog",  "div",  "figcaption", "figure", "form",
                                       "h1",      "h2",      "h3",     "head",   "header",   "html",    "input", "label",     "li",     "link",
                                       "main",    "meta",    "noscript", "option", "p",      "script",  "section", "select",  "span",   "strong",
                                       "summary", "table",   "tbody",  "td",     "th",       "thead",   "title", "tr",        "ul"};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        if (strlen(tags[i]) == count && memcmp(tags[i], name, count) == 0) return true;
    }
    return false;
}

void admin_text_page(const char *text) {
    unsigned scripts = 0;
    for (const char *at = text; (at = strchr(at, '<')) != NULL;) {
        const char *name = at + 1 + (at[1] == '/'), *end = strchr(at, '>');
        size_t count = strcspn(name, " \n>");
        CHECK(end != NULL);
        if (strncmp(at, "<!", 2) != 0) CHECK(is_tag(name, count));
        scripts += count == 6 && at[1] != '/' && memcmp(name, "script", 6) == 0;
        unsigned quotes = 0;
        for (at++; at < end; at++) {
            quotes += *at == '"';
            CHECK(quotes % 2 != 0 || (*at != '<' && *at != '\''));
        }
        CHECK(quotes % 2 == 0);
    }
    CHECK(scripts <= 1);
}

/* ---- Prometheus text ---- */

static bool is_metric(const char *name, size_t count) {
    size_t letters = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    return count > 0 && letters >= count && (name[0] < '0' || name[0] > '9');
}

/* {NAME="VALUE",...}: each name once, none of those that stand for the metric itself. Where it ends. */
static const char *labels_check(const char *at) {
    json_t *seen = json_object();
    do {
        size_t count = strcspn(++at, "=");
        CHECK(is_metric(at, count) && strncmp(at, "__", 2) != 0 && at[count] == '=' && at[count + 1] == '"');
        char name[NAME_BYTES];
        CHECK(count < sizeof name);
        memcpy(name, at, count);
        name[count] = '\0';
        CHECK(json_object_get(seen, name) == NULL && json_object_set_new(seen, name, json_true()) == 0);
        for (at += count + 2; *at != '"'; at++) {
            CHECK(*at != '\n' && *at != '\0');
            if (*at == '\\') CHECK(*++at == '\\' || *at == '"' || *at == 'n');
        }
        at++;
    } while (*at == ',');
    CHECK(*at == '}');
    json_decref(seen);
    return at + 1;
}

void admin_text_metrics(const char *text) {
    static const char of_type[] = "# TYPE ", of_help[] = "# HELP ";
    json_t *types = json_object();
    for (const char *line = text; *line != '\0';) {
        size_t bytes = strcspn(line, "\n"), begun = sizeof of_type - 1;
        bool type = strncmp(line, of_type, begun) == 0, help = strncmp(line, of_help, begun) == 0;
        const char *name = type || help ? line + begun : line;
        size_t count = strcspn(name, " {\n");
        CHECK(line[bytes] == '\n' && is_metric(name, count));
        if (type) {
            json_t *family = json_stringn(name, count);
            CHECK(json_object_get(types, json_string_value(family)) == NULL);
            json_object_set(types, json_string_value(family), family);
            json_decref(family);
        } else if (!help) {
            const char *value = name[count] == '{' ? labels_check(name + count) : name + count;
            char *end = NULL;
            CHECK(*value == ' ' && value[1] != ' ');
            (void)strtod(value + 1, &end);
            CHECK(end == line + bytes && end > value + 1);
        }
        line += bytes + 1;
    }
    json_decref(types);
}
