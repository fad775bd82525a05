#include "appliance/admin/admin.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "appliance/admin/admin_machine.h"
#include "appliance/admin/admin_seen.h"
#include "appliance/status/ask.h"
#include "ring/clock.h"

void admin_plain(char *text) {
    for (; *text != '\0'; text++) {
        if ((*text < ' ' && *text != '\t' && *text != '\n') || *text > '~') *text = '?';
    }
}

/* The paths that let a question run out, and until when they are not asked again; several threads ask. */
static struct silent {
    pthread_mutex_t lock;
    size_t count, next;
    struct {
        char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
        uint64_t until_ms;
    } of[ADMIN_SOCKETS_MAX];
} silent = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_silent(const char *path, uint64_t now_ms) {
    bool found = false;
    pthread_mutex_lock(&silent.lock);
    for (size_t i = 0; i < silent.count && !found; i++) found = now_ms < silent.of[i].until_ms && strcmp(silent.of[i].path, path) == 0;
    pthread_mutex_unlock(&silent.lock);
    return found;
}

/* There are as many places as nodes; when they are full the oldest word is forgotten, and its node asked. */
static void silent_add(const char *path, uint64_t until_ms) {
    size_t at = 0;
    pthread_mutex_lock(&silent.lock);
    while (at < silent.count && strcmp(silent.of[at].path, path) != 0) at++;
    if (at == ADMIN_SOCKETS_MAX) at = silent.next, silent.next = (silent.next + 1) % ADMIN_SOCKETS_MAX;
    if (at == silent.count) silent.count++;
    (void)snprintf(silent.of[at].path, sizeof silent.of[at].path, "%s", path);
    silent.of[at].until_ms = until_ms;
    pthread_mutex_unlock(&silent.lock);
}

/* Reads one line of at most `most` bytes; NULL: too long, too slow (then *late), or the other end closed. */
static char *line_read(int fd, size_t most, size_t *used, bool *late) {
    size_t room = 65536;
    char *line = malloc(room);
    uint64_t until = ring_clock_ms() + ASK_NODE_MS;
    *used = 0;
    while (line != NULL) {
        uint64_t now = ring_clock_ms();
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        if (now >= until || poll(&polled, 1, (int)(until - now)) <= 0) {
            *late = true;
            break;
        }
        ssize_t got = recv(fd, line + *used, room - *used, 0);
        if (got <= 0) break;
        *used += (size_t)got;
        if (line[*used - 1] == '\n') return line;
        if (*used < room) continue;
        room *= 2;
        char *grown = room <= most ? realloc(line, room) : NULL;
        if (grown == NULL) break;
        line = grown;
    }
    free(line);
    return NULL;
}

static char *ask(const char *path, const char *line, size_t most, size_t *bytes) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    bool late = false;
    if (strlen(path) >= sizeof address.sun_path || is_silent(path, ring_clock_ms())) return NULL;
    memcpy(address.sun_path, path, strlen(path) + 1);
    /* One that hangs takes no connections either: a connect would wait for ever when those that it did not take fill its backlog. */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ssize_t length = (ssize_t)strlen(line);
    char *said = NULL;
    bool connected = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0 && !connected) late = errno == EAGAIN;
    if (connected && send(fd, line, (size_t)length, MSG_NOSIGNAL) == length) said = line_read(fd, most, bytes, &late);
    if (fd >= 0) close(fd);
    if (late) silent_add(path, ring_clock_ms() + ADMIN_SILENT_MS);
    return said;
}

char *admin_ask_line(const char *path, const char *line, size_t *bytes) {
    return ask(path, line, ASK_NODE_BYTES, bytes);
}

char *admin_ask_text(const char *path, const char *what, size_t *bytes) {
    char question[64];
    (void)snprintf(question, sizeof question, "{\"ask\":\"%s\"}\n", what);
    return ask(path, question, strcmp(what, "metrics") == 0 ? ADMIN_METRICS_BYTES_MAX : ASK_NODE_BYTES, bytes);
}

json_t *admin_ask(const char *path, const char *ask) {
    size_t bytes;
    char *said = admin_ask_text(path, ask, &bytes);
    json_t *answer = said != NULL ? json_loadb(said, bytes, 0, NULL) : NULL;
    free(said);
    return answer;
}

static bool name_known(const struct admin_nodes *nodes, const char *name) {
    for (size_t i = 0; i < nodes->count; i++) {
        if (strcmp(admin_nodes_name(nodes, i), name) == 0) return true;
    }
    return false;
}

bool admin_nodes_add(struct admin_nodes *nodes, const char *word) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", ending[] = "/control.sock";
    const char *path = word + strcspn(word, "=/"), *name = word;
    size_t bytes = (size_t)(path - word), all = strlen(word);
    bool said = *path == '=';
    path = said ? path + 1 : word;
    if (!said && all >= sizeof ending && strcmp(word + all - (sizeof ending - 1), ending) == 0) {
        const char *end = word + all - (sizeof ending - 1);
        for (name = end; name > word && name[-1] != '/';) name--;
        bytes = (size_t)(end - name);
    } else if (!said) {
        bytes = 0;
    }
    bool good = bytes < ADMIN_NAME_BYTES && strspn(name, letters) >= bytes && (bytes > 0 || !said) && path[0] != '\0';
    if (nodes->count == ADMIN_SOCKETS_MAX || (said && !good)) return false;
    char *to = nodes->names[nodes->count];
    (void)snprintf(to, ADMIN_NAME_BYTES, "%.*s", good ? (int)bytes : 0, name);
    if (name_known(nodes, to[0] != '\0' ? to : path)) return false;
    nodes->paths[nodes->count++] = path;
    return true;
}

const char *admin_nodes_name(const struct admin_nodes *nodes, size_t node) {
    return nodes->names[node][0] != '\0' ? nodes->names[node] : nodes->paths[node];
}

/* Under the name by which the node is known here; NULL, which *answer may be too: it said no object. */
static json_t *named(const struct admin_nodes *nodes, size_t node, json_t *answer) {
    const char *name = admin_nodes_name(nodes, node), *says = json_string_value(json_object_get(answer, "node"));
    if (!json_is_object(answer)) {
        json_decref(answer);
        return NULL;
    }
    (void)json_object_del(answer, "says");
    if (says != NULL && strcmp(says, name) != 0) json_object_set(answer, "says", json_object_get(answer, "node"));
    json_object_set_new(answer, "node", json_string(name));
    return answer;
}

/* What it says now, or said: then said->current is false. NULL: nothing that could be read. */
static json_t *answer_take(const struct admin_nodes *nodes, size_t node, const char *ask, uint64_t until_ms, struct admin_said *said) {
    json_t *answer;
    if (nodes->seen == NULL) {
        answer = admin_ask(nodes->paths[node], ask);
        *said = (struct admin_said){.current = answer != NULL};
    } else {
        admin_seen_take(nodes->seen, node, ask, until_ms, said);
        answer = said->text != NULL ? json_loadb(said->text, said->bytes, 0, NULL) : NULL;
        free(said->text);
        said->text = NULL;
    }
    answer = named(nodes, node, answer);
    said->current = said->current && answer != NULL;
    return answer;
}

static json_t *current_take(const struct admin_nodes *nodes, size_t node, const char *ask, uint64_t until_ms) {
    struct admin_said said;
    json_t *answer = answer_take(nodes, node, ask, until_ms, &said);
    if (said.current) return answer;
    json_decref(answer);
    return NULL;
}

json_t *admin_nodes_ask(const struct admin_nodes *nodes, size_t node, const char *ask) {
    return current_take(nodes, node, ask, nodes->seen != NULL ? admin_seen_want(nodes->seen, node, ask) : 0);
}

static uint64_t want_all(const struct admin_nodes *nodes, const char *ask) {
    return nodes->seen != NULL ? admin_seen_want_all(nodes->seen, ask) : 0;
}

json_t *admin_answers(const struct admin_nodes *nodes, const char *ask) {
    uint64_t until_ms = want_all(nodes, ask);
    json_t *list = json_array();
    for (size_t i = 0; i < nodes->count; i++) {
        json_t *answer = current_take(nodes, i, ask, until_ms);
        json_array_append_new(list, answer != NULL ? answer : json_null());
    }
    return list;
}

/* Of a node that does not answer any more what it said last is beside that, where nothing takes it for its state. */
static json_t *status_take(const struct admin_nodes *nodes, size_t node, uint64_t until_ms) {
    char error[96] = "no answer: is this node running?";
    struct admin_said said;
    json_t *answer = answer_take(nodes, node, "status", until_ms, &said);
    if (said.current) {
        json_object_set_new(answer, "age_ms", json_integer((json_int_t)said.age_ms));
        return answer;
    }
    if (nodes->seen != NULL)
        (void)snprintf(error, sizeof error, "no answer for %llu s: is this node running?", (unsigned long long)said.silent_ms / 1000);
    json_t *down = json_pack("{s:s,s:s,s:s,s:I}", "node", admin_nodes_name(nodes, node), "socket", nodes->paths[node], "error", error, "silent_ms",
                             (json_int_t)said.silent_ms);
    if (answer == NULL) return down;
    json_object_set_new(answer, "age_ms", json_integer((json_int_t)said.age_ms));
    json_object_set_new(down, "last", answer);
    return down;
}

json_t *admin_statuses(const struct admin_nodes *nodes) {
    uint64_t until_ms = want_all(nodes, "status");
    json_t *list = json_array();
    for (size_t i = 0; i < nodes->count; i++) json_array_append_new(list, status_take(nodes, i, until_ms));
    return list;
}

char *admin_status_text(const struct admin_nodes *nodes) {
    json_t *all = json_pack("{s:o}", "nodes", admin_statuses(nodes));
    char *text = json_dumps(all, JSON_INDENT(1));
    json_decref(all);
    return text;
}

char *admin_ready_text(const struct admin_nodes *nodes, bool *good) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    *good = true;
    if (out == NULL) return NULL;
    json_t *answers = admin_answers(nodes, "ready");
    for (size_t i = 0; i < nodes->count; i++) {
        const json_t *answer = json_array_get(answers, i);
        bool ready = json_is_true(json_object_get(answer, "ready"));
        const char *phase = json_string_value(json_object_get(answer, "phase"));
        (void)fprintf(out, "%s %s %s\n", admin_nodes_name(nodes, i), ready ? "ready" : "not ready", phase != NULL ? phase : "down");
        *good = *good && ready;
    }
    json_decref(answers);
    (void)fclose(out);
    return text;
}

/* ---- Prometheus text: what a node gives is hostile, and must not end a line or a label, nor take the place of another ---- */

static bool name_valid(const char *name) {
    if (name == NULL || name[0] == '\0' || (name[0] >= '0' && name[0] <= '9')) return false;
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")] == '\0';
}

/* Escaped as the format asks for: in a label's value quotes too, in a help not. */
static void text_print(FILE *out, const char *text, bool quoted) {
    for (; *text != '\0'; text++) {
        if (*text == '\\' || (quoted && *text == '"')) (void)fputc('\\', out);
        (void)fputs(*text == '\n' ? "\\n" : (char[2]){*text, '\0'}, out);
    }
}

void admin_metric_begin(FILE *out, const char *name, const char *node) {
    (void)fprintf(out, "%s{node=\"", name);
    text_print(out, node, true);
    (void)fputc('"', out);
}

/* "__..." is the collector's own: one "__name__" more, and it drops all that comes behind it. */
static bool label_valid(const char *name) {
    return name_valid(name) && strncmp(name, "__", 2) != 0 && strcmp(name, "node") != 0;
}

static void sample_print(FILE *out, const json_t *sample, const char *node) {
    const char *name = json_string_value(json_object_get(sample, "name")), *key;
    const json_t *value = json_object_get(sample, "value");
    json_t *label;
    admin_metric_begin(out, name, node);
    json_object_foreach(json_object_get(sample, "labels"), key, label) {
        if (!json_is_string(label) || !label_valid(key)) continue;
        (void)fprintf(out, ",%s=\"", key);
        text_print(out, json_string_value(label), true);
        (void)fputc('"', out);
    }
    if (json_is_integer(value))
        (void)fprintf(out, "} %lld\n", (long long)json_integer_value(value));
    else
        (void)fprintf(out, "} %.6f\n", json_number_value(value));
}

/* The family that a sample belongs to: a histogram's parts have one. */
static size_t family_bytes(const json_t *sample) {
    static const char *const endings[] = {"_bucket", "_sum", "_count"};
    const char *name = json_string_value(json_object_get(sample, "name")), *type = json_string_value(json_object_get(sample, "type"));
    size_t bytes = strlen(name);
    for (size_t i = 0; type != NULL && strcmp(type, "histogram") == 0 && i < 3; i++) {
        size_t ending = strlen(endings[i]);
        if (bytes > ending && strcmp(name + bytes - ending, endings[i]) == 0) return bytes - ending;
    }
    return bytes;
}

static void head_print(FILE *out, const json_t *sample) {
    const char *name = json_string_value(json_object_get(sample, "name")), *type = json_string_value(json_object_get(sample, "type"));
    const char *help = json_string_value(json_object_get(sample, "help"));
    int bytes = (int)family_bytes(sample);
    bool known = type != NULL && (strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 || strcmp(type, "histogram") == 0);
    if (help != NULL && help[0] != '\0') {
        (void)fprintf(out, "# HELP %.*s ", bytes, name);
        text_print(out, help, false);
        (void)fputc('\n', out);
    }
    (void)fprintf(out, "# TYPE %.*s %s\n", bytes, name, known ? type : "untyped");
}

static void family_print(FILE *out, json_t *const *metrics, const struct admin_nodes *nodes, const json_t *head) {
    const char *family = json_string_value(json_object_get(head, "name"));
    size_t bytes = family_bytes(head);
    head_print(out, head);
    for (size_t node = 0; node < nodes->count; node++) {
        for (size_t at = 0; at < json_array_size(metrics[node]) && at < ADMIN_METRICS_MAX; at++) {
            const json_t *sample = json_array_get(metrics[node], at);
            const char *name = json_string_value(json_object_get(sample, "name"));
            if (name_valid(name) && family_bytes(sample) == bytes && strncmp(name, family, bytes) == 0)
                sample_print(out, sample, admin_nodes_name(nodes, node));
        }
    }
}

/* The families of this node that came with none before, those of our own program excepted. */
static void families_print(FILE *out, json_t *const *metrics, const struct admin_nodes *nodes, size_t node, json_t *known) {
    char family[ADMIN_NAME_BYTES * 2];
    size_t fresh = 0;
    for (size_t at = 0; at < json_array_size(metrics[node]) && at < ADMIN_METRICS_MAX && fresh < ADMIN_FAMILIES_MAX; at++) {
        const json_t *sample = json_array_get(metrics[node], at);
        const char *name = json_string_value(json_object_get(sample, "name"));
        if (!name_valid(name) || strlen(name) >= sizeof family) continue;
        (void)snprintf(family, sizeof family, "%.*s", (int)family_bytes(sample), name);
        if (admin_metric_own(family) || json_object_get(known, family) != NULL) continue;
        json_object_set_new(known, family, json_true());
        family_print(out, metrics, nodes, sample);
        fresh++;
    }
}

char *admin_metrics_text(const struct admin_nodes *nodes) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    json_t *answers = admin_answers(nodes, "metrics"), **metrics = calloc(nodes->count + 1, sizeof *metrics);
    json_t *known = json_object();
    if (out == NULL || answers == NULL || metrics == NULL || known == NULL) goto out;
    (void)fprintf(out, "# HELP heraclius_up 1 if the node answers on its control socket\n# TYPE heraclius_up gauge\n");
    for (size_t i = 0; i < nodes->count; i++) {
        metrics[i] = json_object_get(json_array_get(answers, i), "metrics");
        admin_metric_begin(out, "heraclius_up", admin_nodes_name(nodes, i));
        (void)fprintf(out, "} %d\n", json_is_array(metrics[i]));
    }
    for (size_t i = 0; i < nodes->count; i++) families_print(out, metrics, nodes, i, known);
out:
    if (out != NULL) (void)fclose(out);
    json_decref(answers);
    free(metrics);
    json_decref(known);
    return text;
}
