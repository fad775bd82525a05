/* "Can I lose another node, and which": what the admin console makes of nodes' statuses, lies and nonsense among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/admin/admin_clusters.h"

static json_t *seen_of(int member, json_t *votes, int up) {
    return json_pack("{s:i,s:o,s:b,s:o}", "member", member, "name", json_sprintf("s0-n%d", member), "up", up, "votes", votes);
}

/* A node of cluster s0 with `members`, of whom it sees the bits of `voting` vote; of the others it knows nothing, and has no link to them. */
static void status_add(json_t *list, int member, int members, int ready, unsigned voting) {
    char name[] = "s0-n0";
    json_t *seen = json_array();
    name[4] = (char)('0' + member);
    for (int i = 0; i < members; i++) {
        bool votes = (voting >> i & 1) != 0;
        json_array_append_new(seen, seen_of(i, votes ? json_true() : json_null(), votes));
    }
    json_array_append_new(list, json_pack("{s:s,s:s,s:i,s:i,s:b,s:s,s:i,s:i,s:i,s:o}", "node", name, "cluster", "s0", "member", member, "members",
                                          members, "ready", ready, "phase", ready ? "voting" : "restoring", "view", 5 + member, "leader", 1, "height",
                                          7, "members_seen", seen));
}

/* What the newest of the list says of a member. */
static void says(json_t *list, int member, json_t *votes, int up) {
    json_t *status = json_array_get(list, json_array_size(list) - 1);
    json_array_set_new(json_object_get(status, "members_seen"), (size_t)member, seen_of(member, votes, up));
}

static json_t *only(json_t *statuses) {
    json_t *clusters = admin_clusters_json(statuses);
    json_decref(statuses);
    assert_int_equal(json_array_size(clusters), 1);
    json_t *one = json_incref(json_array_get(clusters, 0));
    json_decref(clusters);
    return one;
}

static void expect(json_t *cluster, int up, int may_lose, const char *text) {
    assert_int_equal(json_integer_value(json_object_get(cluster, "up")), up);
    assert_int_equal(json_integer_value(json_object_get(cluster, "may_lose")), may_lose);
    assert_string_equal(json_string_value(json_object_get(cluster, "text")), text);
    json_decref(cluster);
}

static void all_up_one_may_go(void **state) {
    json_t *list = json_array();
    (void)state;
    for (int i = 0; i < 4; i++) status_add(list, i, 4, 1, 15);
    expect(only(list), 4, 1, "yes, any 1 of: s0-n0, s0-n1, s0-n2, s0-n3");
}

static void one_down_nobody_may_go(void **state) {
    json_t *list = json_array();
    (void)state;
    for (int i = 0; i < 3; i++) status_add(list, i, 4, 1, 7);
    json_array_append_new(list, json_pack("{s:s,s:s}", "socket", "n3/control.sock", "error", "no answer"));
    json_t *cluster = only(list);
    const json_t *nodes = json_object_get(cluster, "nodes");
    assert_true(json_is_true(json_object_get(json_array_get(nodes, 0), "needed")));
    assert_false(json_is_true(json_object_get(json_array_get(nodes, 3), "needed")));
    assert_true(json_is_true(json_object_get(json_array_get(nodes, 1), "leads")));
    expect(cluster, 3, 0, "no, each of these is needed: s0-n0, s0-n1, s0-n2; no link to: s0-n3");
}

static void two_down_nothing_is_decided(void **state) {
    json_t *list = json_array();
    (void)state;
    status_add(list, 0, 4, 1, 3);
    status_add(list, 1, 4, 1, 3);
    status_add(list, 2, 4, 0, 15);
    expect(only(list), 2, 0,
           "no: 3 must vote before anything is decided, and only of 2 it is known that they do; not voting: s0-n2; no link to: s0-n3");
}

static void seven_members_may_lose_two(void **state) {
    json_t *list = json_array();
    (void)state;
    for (int i = 0; i < 7; i++) status_add(list, i, 7, 1, 127);
    expect(only(list), 7, 2, "yes, any 2 of: s0-n0, s0-n1, s0-n2, s0-n3, s0-n4, s0-n5, s0-n6");
}

static void a_node_elsewhere_counts_only_if_all_that_vote_see_it_vote(void **state) {
    json_t *list = json_array();
    (void)state;
    status_add(list, 0, 4, 1, 15);
    status_add(list, 1, 4, 1, 7);
    status_add(list, 2, 4, 0, 0); /* does not vote: not asked */
    expect(only(list), 2, 0,
           "no: 3 must vote before anything is decided, and only of 2 it is known that they do; not voting: s0-n2; "
           "not known whether they vote: s0-n3");
}

static void one_node_alone_speaks_for_those_whose_votes_it_sees(void **state) {
    json_t *list = json_array();
    (void)state;
    status_add(list, 0, 4, 1, 15);
    expect(only(list), 4, 1, "yes, any 1 of: s0-n0, s0-n1, s0-n2, s0-n3");
}

/* a retired member keeps its links. Who believed them would stop another one, and the cluster with it. */
static void a_link_is_no_vote(void **state) {
    json_t *list = json_array();
    (void)state;
    status_add(list, 0, 4, 1, 7);
    says(list, 3, json_false(), true);
    json_t *cluster = only(list);
    const json_t *nodes = json_object_get(cluster, "nodes");
    assert_string_equal(json_string_value(json_object_get(json_array_get(nodes, 3), "state")), "not voting");
    assert_string_equal(json_string_value(json_object_get(json_array_get(nodes, 3), "name")), "s0-n3");
    assert_false(json_is_true(json_object_get(json_array_get(nodes, 3), "up")));
    assert_true(json_is_true(json_object_get(json_array_get(nodes, 2), "needed")));
    expect(cluster, 3, 0, "no, each of these is needed: s0-n0, s0-n1, s0-n2; not voting: s0-n3");
}

/* Whatever is not true counts as lost, and is said as what it is: not known. */
static void a_vote_of_which_nothing_is_known_is_none(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        json_t *list = json_array(), *votes = i == 0 ? json_null() : i == 1 ? json_integer(1) : json_string("true");
        status_add(list, 0, 4, 1, 7);
        says(list, 3, votes, true);
        json_t *last = json_array_get(json_object_get(json_array_get(list, 0), "members_seen"), 3);
        if (i == 3) assert_int_equal(json_object_del(last, "votes"), 0); /* a program that tells of links alone */
        expect(only(list), 3, 0, "no, each of these is needed: s0-n0, s0-n1, s0-n2; not known whether they vote: s0-n3");
    }
}

static void a_cluster_that_cannot_decide_for_sure_is_said_so(void **state) {
    json_t *list = json_array();
    (void)state;
    status_add(list, 0, 4, 1, 3);
    says(list, 2, json_false(), true);
    says(list, 3, json_false(), true);
    expect(only(list), 2, 0, "no: 1 more must vote before anything is decided; not voting: s0-n2, s0-n3");
}

/* Of an appliance whose node is retired the page is still of use. */
static void if_none_here_votes_all_that_answer_tell_what_they_see(void **state) {
    json_t *list = json_array();
    (void)state;
    status_add(list, 3, 4, 0, 7);
    expect(only(list), 3, 0, "no, each of these is needed: s0-n0, s0-n1, s0-n2; not voting: s0-n3");
}

static void a_name_that_is_none_is_not_shown(void **state) {
    static const char *const names[] = {"", "S0-N3", "<b>", "s0\xc3\xa4", "a-name-that-is-longer-than-any-card-has-one"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_t *list = json_array();
        status_add(list, 0, 4, 1, 15);
        json_object_set_new(json_array_get(json_object_get(json_array_get(list, 0), "members_seen"), 3), "name", json_string(names[i]));
        expect(only(list), 4, 1, "yes, any 1 of: s0-n0, s0-n1, s0-n2, member 3");
    }
}

/* Which of the two lies is not known here: a green answer could be the liar's. */
static void a_place_that_two_nodes_say_is_theirs_counts_as_down(void **state) {
    json_t *list = json_array(), *liar;
    (void)state;
    for (int i = 0; i < 4; i++) status_add(list, i, 4, 1, 15);
    status_add(list, 2, 4, 1, 15);
    liar = json_array_get(list, 4);
    json_object_set_new(liar, "node", json_string("s0-n9"));
    json_t *cluster = only(list);
    const json_t *place = json_array_get(json_object_get(cluster, "nodes"), 2);
    assert_string_equal(json_string_value(json_object_get(place, "state")), "claimed by two nodes");
    expect(cluster, 3, 0, "no, each of these is needed: s0-n0, s0-n1, s0-n3; claimed by two nodes: s0-n2 or s0-n9");
}

static void nonsense_is_left_out(void **state) {
    static const char *const texts[] = {"{}",
                                        "{\"cluster\":5,\"member\":0,\"members\":4}",
                                        "{\"cluster\":\"s1\",\"member\":4,\"members\":4}",
                                        "{\"cluster\":\"s1\",\"member\":-1,\"members\":4}",
                                        "{\"cluster\":\"s1\",\"member\":0,\"members\":17}",
                                        "{\"cluster\":\"s1\",\"member\":0,\"members\":0}",
                                        "{\"cluster\":\"s1\",\"member\":4294967296,\"members\":4294967297}",
                                        "[]",
                                        "\"s0\"",
                                        "{\"cluster\":\"s0\",\"member\":0,\"members\":7,\"ready\":true}" /* s0 has four */};
    json_t *list = json_array();
    (void)state;
    for (int i = 0; i < 4; i++) status_add(list, i, 4, 1, 15);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) json_array_append_new(list, json_loads(texts[i], JSON_DECODE_ANY, NULL));
    expect(only(list), 4, 1, "yes, any 1 of: s0-n0, s0-n1, s0-n2, s0-n3");
}

static void no_more_clusters_than_the_limit(void **state) {
    json_t *list = json_array();
    (void)state;
    for (int i = 0; i <= ADMIN_CLUSTERS_MAX; i++)
        json_array_append_new(list, json_pack("{s:o,s:i,s:i}", "cluster", json_sprintf("s%03d", i), "member", 0, "members", 4));
    json_t *clusters = admin_clusters_json(list);
    assert_int_equal(json_array_size(clusters), ADMIN_CLUSTERS_MAX);
    json_decref(clusters);
    json_decref(list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_up_one_may_go),
        cmocka_unit_test(one_down_nobody_may_go),
        cmocka_unit_test(two_down_nothing_is_decided),
        cmocka_unit_test(seven_members_may_lose_two),
        cmocka_unit_test(a_node_elsewhere_counts_only_if_all_that_vote_see_it_vote),
        cmocka_unit_test(one_node_alone_speaks_for_those_whose_votes_it_sees),
        cmocka_unit_test(a_link_is_no_vote),
        cmocka_unit_test(a_vote_of_which_nothing_is_known_is_none),
        cmocka_unit_test(a_cluster_that_cannot_decide_for_sure_is_said_so),
        cmocka_unit_test(if_none_here_votes_all_that_answer_tell_what_they_see),
        cmocka_unit_test(a_name_that_is_none_is_not_shown),
        cmocka_unit_test(a_place_that_two_nodes_say_is_theirs_counts_as_down),
        cmocka_unit_test(nonsense_is_left_out),
        cmocka_unit_test(no_more_clusters_than_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
