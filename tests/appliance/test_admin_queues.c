/* Which decision queue between clusters is stuck: what the admin console makes of nodes' "pairs", lies and nonsense among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/admin/admin_queues.h"

enum { SAMPLE_MS = 5000 };

static struct admin_nodes nodes;
static struct admin_queues queues;
static uint64_t now_ms;

static int begin(void **state) {
    (void)state;
    memset(&nodes, 0, sizeof nodes);
    now_ms = 1000;
    return admin_nodes_add(&nodes, "s0-n0=a") && admin_nodes_add(&nodes, "s0-n1=b") && admin_queues_start(&queues, &nodes) ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    admin_queues_end(&queues);
    return 0;
}

static json_t *pair_of(const char *with, int sent, int acknowledged, int consumed, int held) {
    return json_pack("{s:s,s:i,s:i,s:i,s:i,s:i}", "cluster", with, "sent", sent, "acknowledged", acknowledged, "consumed", consumed, "held", held,
                     "hint", consumed);
}

/* A sample of a node of s0 whose pairs are these. */
static void sample(size_t node, json_t *pairs) {
    json_t *status = json_pack("{s:s,s:o}", "cluster", "s0", "pairs", pairs);
    admin_queues_add(&queues, node, status, now_ms);
    json_decref(status);
}

static void pair_sample(const char *with, int sent, int acknowledged, int consumed, int held) {
    sample(0, json_pack("[o]", pair_of(with, sent, acknowledged, consumed, held)));
}

/* The one row, or the first; a borrowed reference that lives until the next call. */
static const json_t *row(void) {
    static json_t *rows;
    json_decref(rows);
    rows = admin_queues_json(&queues);
    return json_array_get(rows, 0);
}

static bool good(void) {
    return json_is_true(json_object_get(row(), "good"));
}

static void says(const char *text) {
    assert_string_equal(json_string_value(json_object_get(row(), "text")), text);
}

static void a_queue_that_grows_for_a_minute_is_stuck_and_not_before(void **state) {
    (void)state;
    for (int i = 0; i <= 11; i++, now_ms += SAMPLE_MS) {
        pair_sample("c0", 10 + i, 5, 7, 0);
        assert_true(good());
    }
    says("moves");
    pair_sample("c0", 22, 5, 7, 0);
    assert_false(good());
    says("what c0 does not acknowledge grows for 60 s");
    assert_int_equal(json_integer_value(json_object_get(row(), "waiting")), 17);
}

static void at_its_limit_it_stays_stuck_until_the_other_side_acknowledges(void **state) {
    (void)state;
    for (int i = 0; i <= 12; i++, now_ms += SAMPLE_MS) pair_sample("c0", 10 + i, 5, 7, 0);
    for (int i = 0; i < 24; i++, now_ms += SAMPLE_MS) pair_sample("c0", 22, 5, 7, 0);
    assert_false(good());
    for (int i = 0; i < 4; i++, now_ms += SAMPLE_MS) pair_sample("c0", 22, 20, 7, 0);
    assert_true(good());
}

static void a_queue_that_grows_and_falls_is_not_stuck(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++, now_ms += SAMPLE_MS) {
        pair_sample("c0", 100 * i, i % 9 == 8 ? 100 * i : i > 9 ? 100 * (i - i % 9 - 1) : 0, 7, 0);
        assert_true(good());
    }
}

static void what_waits_in_an_idle_cluster_is_not_stuck(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++, now_ms += SAMPLE_MS) pair_sample("c0", i < 3 ? 8 : 9, 7, 7, 0);
    assert_true(good());
    says("moves");
    pair_sample("c0", 9, 9, 7, 0);
    says("nothing waits");
}

static void proved_slices_that_are_not_taken_in_for_a_minute_are_stuck_and_not_before(void **state) {
    (void)state;
    pair_sample("c0", 9, 9, 7, 0);
    for (int i = 0; i <= 11; i++) {
        pair_sample("c0", 9, 9, 7, 3);
        assert_true(good());
        now_ms += SAMPLE_MS;
    }
    pair_sample("c0", 9, 9, 7, 3);
    assert_false(good());
    says("3 of c0 lie here, proved, and none is taken in for 60 s");
    pair_sample("c0", 9, 9, 8, 2);
    assert_true(good());
}

static void a_number_that_nobody_proved_makes_nothing_red(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++, now_ms += SAMPLE_MS) {
        json_t *pair = pair_of("c0", 9, 9, 7, 0);
        json_object_set_new(pair, "hint", json_integer(1000000LL * (i + 1)));
        sample(0, json_pack("[o]", pair));
    }
    assert_true(good());
    assert_int_equal(json_integer_value(json_object_get(row(), "hint")), 60000000);
}

static void a_node_that_is_away_or_begins_anew_is_looked_at_anew(void **state) {
    (void)state;
    for (int i = 0; i < 12; i++, now_ms += SAMPLE_MS) pair_sample("c0", 10 + i, 5, 7, 0);
    admin_queues_add(&queues, 0, NULL, now_ms);
    assert_null(row());
    for (int i = 0; i < 12; i++, now_ms += SAMPLE_MS) pair_sample("c0", 30 + i, 5, 7, 0);
    assert_true(good());
    for (int i = 0; i < 12; i++, now_ms += SAMPLE_MS) pair_sample("c0", 10 + i, 5, 7, 0); /* less was sent than before */
    assert_true(good());
    now_ms += 2 * ADMIN_QUEUE_STEP_MS; /* nobody looked */
    for (int i = 0; i < 12; i++, now_ms += SAMPLE_MS) pair_sample("c0", 40 + i, 5, 7, 0);
    assert_true(good());
}

static void of_two_nodes_the_worse_is_shown(void **state) {
    (void)state;
    for (int i = 0; i <= 12; i++, now_ms += SAMPLE_MS) {
        sample(0, json_pack("[o,o]", pair_of("c10", 900, 0, 0, 0), pair_of("c2", 1, 1, 0, 0)));
        sample(1, json_pack("[o]", pair_of("c10", i, 0, 0, 0)));
    }
    json_t *rows = admin_queues_json(&queues);
    assert_int_equal(json_array_size(rows), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "with")), "c2");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "node")), "s0-n1");
    assert_false(json_is_true(json_object_get(json_array_get(rows, 1), "good")));
    json_decref(rows);
}

static void nonsense_is_left_out(void **state) {
    static const char *const texts[] = {
        "{\"cluster\": \"c0<\", \"sent\": 1, \"acknowledged\": 1, \"consumed\": 1, \"held\": 0}",
        "{\"cluster\": \"c\", \"sent\": 1, \"acknowledged\": 1, \"consumed\": 1, \"held\": 0}",
        "{\"cluster\": \"c12345678901\", \"sent\": 1, \"acknowledged\": 1, \"consumed\": 1, \"held\": 0}",
        "{\"cluster\": \"c0\", \"sent\": 1, \"acknowledged\": 2, \"consumed\": 1, \"held\": 0}",
        "{\"cluster\": \"c0\", \"sent\": -1, \"acknowledged\": -1, \"consumed\": 1, \"held\": 0}",
        "{\"cluster\": \"c0\", \"sent\": 1.5, \"acknowledged\": 1, \"consumed\": 1, \"held\": 0}",
        "{\"cluster\": \"c0\", \"sent\": 1, \"acknowledged\": 1, \"consumed\": 1}",
        "7",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *pair = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        assert_non_null(pair);
        sample(0, json_pack("[o]", pair));
        assert_null(row());
    }
    json_t *status = json_pack("{s:s,s:[o]}", "cluster", "x0", "pairs", pair_of("c0", 1, 1, 1, 0));
    admin_queues_add(&queues, 0, status, now_ms);
    assert_null(row());
    json_decref(status);
    sample(0, json_pack("[o,o]", pair_of("c0", 1, 1, 1, 0), pair_of("c0", 5, 1, 1, 0))); /* told of twice: the first counts */
    assert_int_equal(json_integer_value(json_object_get(row(), "sent")), 1);
}

static void no_more_queues_than_the_limit(void **state) {
    json_t *pairs = json_array(), *rows;
    (void)state;
    for (int i = 0; i <= ADMIN_QUEUES_MAX; i++) {
        char with[16];
        (void)snprintf(with, sizeof with, "c%d", i);
        json_array_append_new(pairs, pair_of(with, 1, 1, 1, 0));
    }
    sample(0, pairs);
    rows = admin_queues_json(&queues);
    assert_int_equal(json_array_size(rows), ADMIN_QUEUES_MAX);
    json_decref(rows);
}

static void metrics_name_node_and_cluster(void **state) {
    char *text = NULL;
    size_t bytes = 0;
    (void)state;
    for (int i = 0; i <= 12; i++, now_ms += SAMPLE_MS) pair_sample("c0", 10 + i, 5, 7, 0);
    FILE *out = open_memstream(&text, &bytes);
    admin_queues_metrics(&queues, out);
    (void)fclose(out);
    assert_string_equal(text, "# HELP heraclius_pair_waiting slices sent to the other cluster and not acknowledged\n"
                              "# TYPE heraclius_pair_waiting gauge\nheraclius_pair_waiting{node=\"s0-n0\",with=\"c0\"} 17\n"
                              "# HELP heraclius_pair_stuck 1 if these grow for a minute, or nothing of what lies here is taken in for a minute\n"
                              "# TYPE heraclius_pair_stuck gauge\nheraclius_pair_stuck{node=\"s0-n0\",with=\"c0\"} 1\n");
    free(text);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_queue_that_grows_for_a_minute_is_stuck_and_not_before),
        CASE(at_its_limit_it_stays_stuck_until_the_other_side_acknowledges),
        CASE(a_queue_that_grows_and_falls_is_not_stuck),
        CASE(what_waits_in_an_idle_cluster_is_not_stuck),
        CASE(proved_slices_that_are_not_taken_in_for_a_minute_are_stuck_and_not_before),
        CASE(a_number_that_nobody_proved_makes_nothing_red),
        CASE(a_node_that_is_away_or_begins_anew_is_looked_at_anew),
        CASE(of_two_nodes_the_worse_is_shown),
        CASE(nonsense_is_left_out),
        CASE(no_more_queues_than_the_limit),
        CASE(metrics_name_node_and_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
