/* What `heraclius upgrade` makes of a console's answer (client/upgrade_state.c): where a node stands, and answers that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "client/upgrade.h"

enum { NUMBER = 8 };

/* `running` and `other` are JSON; the number that runs is 7 unless said. */
static bool read_of(struct upgrade_state *state, int number, const char *running, const char *other) {
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "{\"number\": %d, \"running\": %s, \"other\": %s, \"why\": \"by BIOS\", \"architecture\": \"amd64\", "
                   "\"node\": {\"node\": \"s0-n1\"}, \"trial\": {\"text\": \"waits\\u001b[31m\"}}",
                   number, running, other);
    json_t *answer = json_loads(text, 0, NULL);
    assert_non_null(answer);
    bool good = upgrade_state_read(state, answer);
    json_decref(answer);
    return good;
}

static enum upgrade_place place(int number, const char *running, const char *other) {
    struct upgrade_state state;
    assert_true(read_of(&state, number, running, other));
    return upgrade_place_of(&state, NUMBER);
}

#define SLOT(number, state) "{\"slot\": 1, \"number\": " number ", \"state\": \"" state "\"}"

static void a_node_stands_where_its_slots_say(void **state) {
    (void)state;
    assert_int_equal(place(7, SLOT("7", "blessed"), "null"), UPGRADE_TO_DO);
    assert_int_equal(place(7, SLOT("7", "blessed"), SLOT("6", "blessed")), UPGRADE_TO_DO);
    assert_int_equal(place(7, SLOT("7", "blessed"), SLOT("9", "given-up")), UPGRADE_TO_DO);
    assert_int_equal(place(7, SLOT("7", "blessed"), SLOT("8", "untried")), UPGRADE_WRITTEN);
    assert_int_equal(place(7, SLOT("7", "blessed"), SLOT("8", "given-up")), UPGRADE_FELL_BACK);
    assert_int_equal(place(7, SLOT("7", "trial"), SLOT("6", "blessed")), UPGRADE_BUSY);
    assert_int_equal(place(8, SLOT("8", "trial"), SLOT("7", "blessed")), UPGRADE_ON_TRIAL);
    assert_int_equal(place(8, SLOT("8", "blessed"), SLOT("7", "blessed")), UPGRADE_DONE);
    assert_int_equal(place(9, SLOT("9", "blessed"), SLOT("8", "blessed")), UPGRADE_NEWER);
    assert_int_equal(place(7, "null", "null"), UPGRADE_NO_SLOTS);
    assert_int_equal(place(8, "null", "null"), UPGRADE_NO_SLOTS);
}

static void texts_are_cleared_of_what_a_terminal_acts_on(void **state) {
    (void)state;
    struct upgrade_state told;
    char small[4];
    assert_true(read_of(&told, 8, SLOT("8", "trial"), "null"));
    assert_string_equal(told.trial, "waits?[31m");
    assert_string_equal(told.node, "s0-n1");
    assert_string_equal(told.architecture, "amd64");
    upgrade_text(small, sizeof small, "abcdef");
    assert_string_equal(small, "abc");
    upgrade_text(small, sizeof small, NULL);
    assert_string_equal(small, "");
}

static void answers_that_are_none_are_refused(void **state) {
    (void)state;
    struct upgrade_state told;
    assert_false(read_of(&told, -1, SLOT("7", "blessed"), "null"));
    assert_false(read_of(&told, 7, SLOT("8", "blessed"), "null"));    /* two numbers that run */
    assert_false(read_of(&told, 7, SLOT("7", "untried"), "null"));    /* what runs is tried */
    assert_false(read_of(&told, 7, SLOT("7", "given-up"), "null"));
    assert_false(read_of(&told, 7, SLOT("7", "blessed"), SLOT("8", "trial"))); /* what does not run is on no trial */
    assert_false(read_of(&told, 7, SLOT("7", "new"), "null"));
    assert_false(read_of(&told, 7, SLOT("\"7\"", "blessed"), "null"));
    assert_false(read_of(&told, 7, "[]", "null"));
    assert_false(read_of(&told, 7, SLOT("7", "blessed"), "5"));
    json_t *empty = json_object();
    assert_false(upgrade_state_read(&told, empty));
    json_decref(empty);
}

static void a_member_is_well_when_it_votes_and_keeps_up(void **state) {
    (void)state;
    char why[UPGRADE_TEXT_BYTES] = "";
    struct heraclius_node_status nodes[4];
    memset(nodes, 0, sizeof nodes);
    for (uint32_t i = 0; i < 4; i++) {
        nodes[i] = (struct heraclius_node_status){.name = "n", .cluster = 0x20000, .member = i, .height = 1000, .why = "no link"};
        nodes[i].reached = nodes[i].heard = nodes[i].voting = true;
    }
    nodes[1].height = 100;
    nodes[2].voting = false;
    nodes[3].reached = false;
    struct command_cluster cluster = command_cluster_of(nodes, 4, 0x20000);
    assert_true(upgrade_well(&nodes[0], &cluster, why));
    assert_false(upgrade_well(&nodes[1], &cluster, why));
    assert_string_equal(why, "is behind: height 100 of 1000");
    assert_false(upgrade_well(&nodes[2], &cluster, why));
    assert_string_equal(why, "does not vote");
    assert_false(upgrade_well(&nodes[3], &cluster, why));
    assert_string_equal(why, "down: no link");
}

/* Member 0 leads view 8: it is last. */
static void the_leader_is_last(void **state) {
    (void)state;
    struct heraclius_node_status nodes[4];
    struct upgrade_node under[4];
    memset(nodes, 0, sizeof nodes);
    memset(under, 0, sizeof under);
    for (uint32_t i = 0; i < 4; i++) {
        nodes[i] = (struct heraclius_node_status){.name = "n", .cluster = 0x20000, .member = i, .view = 8, .height = 10};
        nodes[i].reached = nodes[i].heard = nodes[i].voting = true;
        under[i].cluster = 0x20000;
        under[i].member = i;
    }
    struct upgrade_roll roll = {.nodes = under, .count = 4, .statuses = nodes, .statuses_count = 4};
    const uint32_t order[] = {1, 2, 3, 0};
    for (uint32_t i = 0; i < 4; i++) {
        struct upgrade_node *next = upgrade_next(&roll, 0x20000);
        assert_non_null(next);
        assert_int_equal(next->member, order[i]);
        next->phase = UPGRADE_OVER;
    }
    assert_null(upgrade_next(&roll, 0x20000));
}

/* Member 0 was removed by a CONFIG while the roll was on, a new one came last: who was member 1 is 0 now, and leads view 8. */
static void members_are_known_by_name_when_their_numbers_shift(void **state) {
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct heraclius_node_status nodes[4];
    struct upgrade_node under[4];
    memset(nodes, 0, sizeof nodes);
    memset(under, 0, sizeof under);
    for (uint32_t i = 0; i < 4; i++) {
        nodes[i] = (struct heraclius_node_status){.name = names[i + 1], .cluster = 0x20000, .member = i, .view = 8, .height = 10};
        nodes[i].reached = nodes[i].heard = nodes[i].voting = true;
        (void)snprintf(under[i].name, sizeof under[i].name, "%s", names[i]);
        under[i].cluster = 0x20000;
        under[i].member = i;
    }
    under[0].phase = UPGRADE_OVER;
    struct upgrade_roll roll = {.nodes = under, .count = 4, .statuses = nodes, .statuses_count = 4};
    assert_ptr_equal(upgrade_node_of(&roll, &nodes[0]), &under[1]);
    assert_ptr_equal(upgrade_node_of(&roll, &nodes[2]), &under[3]);
    assert_null(upgrade_node_of(&roll, &nodes[3]));
    upgrade_members_take(&roll);
    assert_int_equal(under[1].member, 0);
    assert_ptr_equal(upgrade_next(&roll, 0x20000), &under[2]);
    nodes[0].cluster = 0x10000;
    assert_null(upgrade_node_of(&roll, &nodes[0]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_stands_where_its_slots_say),
        cmocka_unit_test(texts_are_cleared_of_what_a_terminal_acts_on),
        cmocka_unit_test(answers_that_are_none_are_refused),
        cmocka_unit_test(a_member_is_well_when_it_votes_and_keeps_up),
        cmocka_unit_test(the_leader_is_last),
        cmocka_unit_test(members_are_known_by_name_when_their_numbers_shift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
