#include "appliance/admin/admin_queues.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 160 };

bool admin_queues_start(struct admin_queues *queues, const struct admin_nodes *nodes) {
    queues->nodes = nodes;
    queues->of = calloc(nodes->count + 1, sizeof *queues->of);
    return queues->of != NULL;
}

void admin_queues_end(struct admin_queues *queues) {
    free(queues->of);
    queues->of = NULL;
}

/* ---- a sample ---- */

/* A cluster is called c0, s12: what a node says otherwise is not shown. */
static bool cluster_read(char out[ADMIN_QUEUE_CLUSTER_BYTES], const json_t *object) {
    const char *text = json_string_value(json_object_get(object, "cluster"));
    size_t count = text != NULL ? strlen(text) : 0;
    if (count < 2 || count >= ADMIN_QUEUE_CLUSTER_BYTES || (text[0] != 'c' && text[0] != 's')) return false;
    if (strspn(text + 1, "0123456789") != count - 1) return false;
    memcpy(out, text, count + 1);
    return true;
}

static bool number_read(uint64_t *to, const json_t *pair, const char *name) {
    const json_t *value = json_object_get(pair, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *to = (uint64_t)json_integer_value(value);
    return true;
}

static bool pair_read(struct admin_queue *queue, const json_t *pair) {
    *queue = (struct admin_queue){.sent = 0};
    bool good = cluster_read(queue->with, pair) && number_read(&queue->sent, pair, "sent") &&
                number_read(&queue->acknowledged, pair, "acknowledged") && number_read(&queue->consumed, pair, "consumed") &&
                number_read(&queue->held, pair, "held");
    if (!number_read(&queue->hint, pair, "hint")) queue->hint = queue->consumed; /* another team's node need not tell it */
    return good && queue->acknowledged <= queue->sent;
}

static uint64_t waiting_of(const struct admin_queue *queue) {
    return queue->sent - queue->acknowledged;
}

/* Each ADMIN_QUEUE_STEP_MS a look; a gap of two begins anew. */
static void growth_step(struct admin_queue *queue, uint64_t now_ms) {
    uint64_t passed = now_ms - queue->step_ms, waiting = waiting_of(queue);
    bool first = queue->step_ms == 0 || passed >= 2 * ADMIN_QUEUE_STEP_MS;
    if (!first && passed < ADMIN_QUEUE_STEP_MS) return;
    bool grew = !first && waiting > queue->step_waiting, moved = queue->acknowledged > queue->step_acknowledged;
    queue->steps = grew ? queue->steps + 1 : 0;
    if (queue->steps == ADMIN_QUEUE_STEPS && !queue->grows) {
        queue->grows = true;
        queue->grows_since_ms = now_ms - ADMIN_QUEUE_STEPS * ADMIN_QUEUE_STEP_MS;
    }
    if (!grew && moved) queue->grows = false;
    queue->step_ms = now_ms;
    queue->step_waiting = waiting;
    queue->step_acknowledged = queue->acknowledged;
}

static void queue_take(struct admin_queue *queue, const struct admin_queue *fresh, uint64_t now_ms) {
    bool same = strcmp(queue->with, fresh->with) == 0 && fresh->sent >= queue->sent;
    struct admin_queue before = *queue;
    *queue = *fresh;
    if (same) {
        queue->grows = before.grows, queue->grows_since_ms = before.grows_since_ms;
        queue->step_ms = before.step_ms, queue->step_waiting = before.step_waiting, queue->step_acknowledged = before.step_acknowledged;
        queue->steps = before.steps;
    }
    bool moves = !same || queue->held == 0 || queue->consumed != before.consumed;
    queue->stands_since_ms = moves ? now_ms : before.stands_since_ms;
    queue->stands = now_ms - queue->stands_since_ms >= ADMIN_QUEUE_STEPS * ADMIN_QUEUE_STEP_MS;
    growth_step(queue, now_ms);
}

/* Among the first of this sample: a node that tells of one twice would end each scrape of its metrics. */
static bool told_before(const struct admin_queues_node *of, size_t count, const char *with) {
    bool found = false;
    for (size_t i = 0; i < count && !found; i++) found = strcmp(of->of[i].with, with) == 0;
    return found;
}

void admin_queues_add(struct admin_queues *queues, size_t node, const json_t *status, uint64_t now_ms) {
    struct admin_queues_node *of = &queues->of[node];
    const json_t *pairs = json_object_get(status, "pairs");
    struct admin_queue fresh;
    size_t count = 0;
    char cluster[ADMIN_QUEUE_CLUSTER_BYTES];
    queues->now_ms = now_ms;
    if (!cluster_read(cluster, status)) {
        memset(of, 0, sizeof *of);
        return;
    }
    memcpy(of->cluster, cluster, sizeof cluster);
    for (size_t at = 0; at < json_array_size(pairs) && count < ADMIN_QUEUES_MAX; at++) {
        if (!pair_read(&fresh, json_array_get(pairs, at)) || told_before(of, count, fresh.with)) continue;
        if (count >= of->count) of->of[count] = (struct admin_queue){.with = ""}; /* not what was there before it went */
        queue_take(&of->of[count++], &fresh, now_ms);
    }
    of->count = count;
}

/* ---- what is shown ---- */

static bool stuck(const struct admin_queue *queue) {
    return queue->grows || queue->stands;
}

static bool worse(const struct admin_queue *one, const struct admin_queue *other) {
    if (stuck(one) != stuck(other)) return stuck(one);
    return waiting_of(one) + one->held > waiting_of(other) + other->held;
}

static const char *sentence(const struct admin_queue *queue, uint64_t now_ms, char out[TEXT_BYTES]) {
    unsigned long long waiting = waiting_of(queue), held = queue->held;
    if (queue->grows)
        (void)snprintf(out, TEXT_BYTES, "what %s does not acknowledge grows for %llu s", queue->with,
                       (unsigned long long)(now_ms - queue->grows_since_ms) / 1000);
    else if (queue->stands)
        (void)snprintf(out, TEXT_BYTES, "%llu of %s lie here, proved, and none is taken in for %llu s", held, queue->with,
                       (unsigned long long)(now_ms - queue->stands_since_ms) / 1000);
    else if (waiting > 0 || held > 0)
        (void)snprintf(out, TEXT_BYTES, "moves");
    else
        (void)snprintf(out, TEXT_BYTES, "nothing waits");
    return out;
}

static json_t *row_json(const struct admin_queues *queues, size_t node, const struct admin_queue *queue) {
    char text[TEXT_BYTES];
    return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:s}", "cluster", queues->of[node].cluster, "with", queue->with, "node",
                     admin_nodes_name(queues->nodes, node), "sent", (json_int_t)queue->sent, "acknowledged", (json_int_t)queue->acknowledged,
                     "waiting", (json_int_t)waiting_of(queue), "consumed", (json_int_t)queue->consumed, "hint", (json_int_t)queue->hint, "held",
                     (json_int_t)queue->held, "good", (int)!stuck(queue), "text", sentence(queue, queues->now_ms, text));
}

struct place {
    size_t node;
    const struct admin_queue *queue;
    const char *cluster;
};

/* By the two clusters, c0 before c10; of one pair the worst comes first. */
static int place_order(const void *left, const void *right) {
    const struct place *one = left, *other = right;
    const char *names[2][2] = {{one->cluster, other->cluster}, {one->queue->with, other->queue->with}};
    for (int i = 0; i < 2; i++) {
        size_t lengths[] = {strlen(names[i][0]), strlen(names[i][1])};
        int order = names[i][0][0] - names[i][1][0];
        if (order == 0) order = (lengths[0] > lengths[1]) - (lengths[0] < lengths[1]);
        if (order == 0) order = strcmp(names[i][0], names[i][1]);
        if (order != 0) return order;
    }
    if (worse(one->queue, other->queue) || worse(other->queue, one->queue)) return worse(one->queue, other->queue) ? -1 : 1;
    return (one->node > other->node) - (one->node < other->node);
}

json_t *admin_queues_json(const struct admin_queues *queues) {
    json_t *rows = json_array();
    size_t count = 0, all = 0;
    for (size_t node = 0; node < queues->nodes->count; node++) all += queues->of[node].count;
    struct place *places = calloc(all + 1, sizeof *places);
    for (size_t node = 0; places != NULL && node < queues->nodes->count; node++) {
        const struct admin_queues_node *of = &queues->of[node];
        for (size_t i = 0; i < of->count; i++) places[count++] = (struct place){node, &of->of[i], of->cluster};
    }
    if (count > 0) qsort(places, count, sizeof *places, place_order);
    for (size_t i = 0; i < count; i++) {
        const struct place *one = &places[i];
        bool again = i > 0 && strcmp(one->cluster, one[-1].cluster) == 0 && strcmp(one->queue->with, one[-1].queue->with) == 0;
        if (!again) json_array_append_new(rows, row_json(queues, one->node, one->queue));
    }
    free(places);
    return rows;
}

void admin_queues_metrics(const struct admin_queues *queues, FILE *out) {
    static const struct {
        const char *name, *help;
    } families[] = {{"heraclius_pair_waiting", "slices sent to the other cluster and not acknowledged"},
                    {"heraclius_pair_stuck", "1 if these grow for a minute, or nothing of what lies here is taken in for a minute"}};
    for (size_t family = 0; family < 2; family++) {
        (void)fprintf(out, "# HELP %s %s\n# TYPE %s gauge\n", families[family].name, families[family].help, families[family].name);
        for (size_t node = 0; node < queues->nodes->count; node++) {
            const struct admin_queues_node *of = &queues->of[node];
            for (size_t i = 0; i < of->count; i++) {
                admin_metric_begin(out, families[family].name, admin_nodes_name(queues->nodes, node));
                (void)fprintf(out, ",with=\"%s\"} %llu\n", of->of[i].with,
                              family == 0 ? (unsigned long long)waiting_of(&of->of[i]) : (unsigned long long)stuck(&of->of[i]));
            }
        }
    }
}
