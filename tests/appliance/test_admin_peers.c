/* What another admin console says: which HTTP and JSON is read, and what a lie can and cannot do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/admin/admin_peers.h"

#define BY "by the word of "
#define NOT ", which nothing here verifies, "
#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void a_console_is_named_by_hash_and_place(void **state) {
    struct admin_peer peer;
    (void)state;
    assert_true(admin_peer_parse(&peer, HASH "@[2001:db8::1]:443"));
    assert_string_equal(peer.fingerprint, HASH);
    assert_string_equal(peer.host, "2001:db8::1");
    assert_string_equal(peer.port, "443");
    assert_string_equal(peer.where, "[2001:db8::1]:443");
    static const char *const others[] = {"", HASH, HASH "@", HASH "@1.2.3.4", "@1.2.3.4:1", "0" HASH "@1.2.3.4:1", HASH ":1.2.3.4:1",
                                         "A0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff@1.2.3.4:1"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) assert_false(admin_peer_parse(&peer, others[i]));
}

static enum admin_peer_part part_of(const char *text, unsigned *code, const char **body, size_t *count) {
    return admin_peer_answer(text, strlen(text), code, body, count);
}

static void an_answer_is_whole_at_its_length_and_not_before(void **state) {
    static const char whole[] = "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length:  5\r\n\r\n{\"a\":";
    unsigned code = 0;
    const char *body = NULL;
    size_t count = 0;
    (void)state;
    for (size_t used = 0; used < sizeof whole - 1; used++) assert_int_equal(admin_peer_answer(whole, used, &code, &body, &count), ADMIN_PEER_MORE);
    assert_int_equal(part_of(whole, &code, &body, &count), ADMIN_PEER_WHOLE);
    assert_int_equal(code, 200);
    assert_int_equal(count, 5);
    assert_memory_equal(body, "{\"a\":", 5);
    assert_int_equal(part_of("HTTP/1.1 403 \r\nContent-Length: 0\r\n\r\n", &code, &body, &count), ADMIN_PEER_WHOLE);
    assert_int_equal(code, 403);
}

static void what_is_no_answer_is_bad(void **state) {
    static const char *const answers[] = {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
                                          "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
                                          "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
                                          "HTTP/1.1 2000\r\nContent-Length: 0\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\n\r\n",
                                          "\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 131073\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551617\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"};
    unsigned code;
    const char *body;
    size_t count;
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) assert_int_equal(part_of(answers[i], &code, &body, &count), ADMIN_PEER_BAD);
    static char endless[ADMIN_PEER_HEAD_BYTES + 1];
    memset(endless, 'x', sizeof endless - 1);
    assert_int_equal(admin_peer_answer(endless, ADMIN_PEER_HEAD_BYTES - 1, &code, &body, &count), ADMIN_PEER_MORE);
    assert_int_equal(admin_peer_answer(endless, ADMIN_PEER_HEAD_BYTES, &code, &body, &count), ADMIN_PEER_BAD);
}

static void read_as(struct admin_peer_told *told, const char *text) {
    assert_true(admin_peer_read(told, text, strlen(text)));
}

static void a_node_is_told_in_the_forms_that_it_may_have(void **state) {
    struct admin_peer_told told;
    (void)state;
    read_as(&told, "{\"nodes\":[{\"node\":\"s0-n1\",\"cluster\":\"s0\",\"member\":1,\"members\":4,\"ready\":true,\"phase\":\"voting\",\"height\":7,"
                   "\"view\":2,\"age_ms\":30000},"
                   "{\"node\":\"old\",\"cluster\":\"s0\",\"member\":2,\"members\":4,\"ready\":true,\"phase\":\"voting\",\"age_ms\":30001},"
                   "{\"node\":\"down\",\"error\":\"x\",\"last\":{\"cluster\":\"s0\",\"member\":3,\"members\":4,\"ready\":true,\"phase\":\"voting\"}},"
                   "{\"node\":\"odd\",\"cluster\":\"s00\",\"member\":0,\"members\":4,\"ready\":1,\"phase\":\"<b>\",\"height\":-1},"
                   "{\"node\":\"UPPER\"},{\"node\":5},null,3]}");
    assert_int_equal(told.count, 4);
    assert_true(told.nodes[0].votes);
    assert_string_equal(told.nodes[0].cluster, "s0");
    assert_int_equal(told.nodes[0].height, 7);
    assert_false(told.nodes[1].votes); /* its word is too old */
    assert_false(told.nodes[2].votes); /* its last word counts for nothing */
    assert_string_equal(told.nodes[2].phase, "");
    assert_int_equal(told.nodes[2].member, 3);
    assert_int_equal(told.nodes[3].members, 0);
    assert_string_equal(told.nodes[3].phase, "unknown");
    assert_int_equal(told.nodes[3].height, 0);
    assert_false(admin_peer_read(&told, "[]", 2));
    assert_false(admin_peer_read(&told, "{\"nodes\":{}}", 12));
    assert_int_equal(told.count, 0);
}

static void members_tell(struct admin_peer_told *told, const char *cluster, unsigned bits, uint32_t members) {
    told->count = 0;
    for (uint32_t i = 0; i < members; i++) {
        struct admin_peer_node *node = &told->nodes[told->count];
        if ((bits >> i & 1) == 0) continue;
        *node = (struct admin_peer_node){.member = i, .members = members, .votes = true, .phase = "voting"};
        (void)snprintf(node->name, sizeof node->name, "%s-n%u", cluster, i);
        (void)snprintf(node->cluster, sizeof node->cluster, "%s", cluster);
        told->count++;
    }
}

static json_t *only(const struct admin_peer_told *const *told, size_t count, const char *text) {
    json_t *own = json_pack("[{s:s}]", "cluster", "c0"), *clusters = admin_peers_clusters(told, count, own);
    json_decref(own);
    assert_int_equal(json_array_size(clusters), 1);
    json_t *one = json_incref(json_array_get(clusters, 0));
    json_decref(clusters);
    assert_string_equal(json_string_value(json_object_get(one, "text")), text);
    return one;
}

static void expect(const struct admin_peer_told *const *told, size_t count, int voting, const char *text) {
    json_t *one = only(told, count, text);
    assert_int_equal(json_integer_value(json_object_get(one, "told_voting")), voting);
    assert_int_equal(json_is_true(json_object_get(one, "enough")), voting >= 3);
    assert_null(json_object_get(one, "may_lose"));
    json_decref(one);
}

static void members_are_counted_once_and_own_clusters_not_at_all(void **state) {
    static struct admin_peer_told first, second, third;
    const struct admin_peer_told *told[] = {&first, &second, NULL};
    (void)state;
    members_tell(&first, "s0", 3, 4);
    members_tell(&second, "s0", 4, 4);
    expect(told, 3, 3, BY "2 other consoles" NOT "3 of 4 vote, 3 decide: s0-n0, s0-n1, s0-n2; nobody tells of: member 3");
    members_tell(&second, "s0", 6, 4);
    expect(told, 3, 2, BY "2 other consoles" NOT "2 of 4 vote, 3 decide: s0-n0, s0-n2; claimed by two nodes: member 1; nobody tells of: member 3");
    members_tell(&third, "s0", 6, 4);
    told[2] = &third;
    expect(told, 3, 1, BY "3 other consoles" NOT "1 of 4 vote, 3 decide: s0-n0; claimed by two nodes: member 1, member 2; nobody tells of: member 3");
    members_tell(&second, "s0", 1 << 9, 10);
    expect(told, 2, 0, BY "2 other consoles" NOT "nothing: they differ in how many members it has");
    members_tell(&second, "c0", 15, 4);
    told[2] = NULL;
    first.nodes[1].votes = false;
    (void)snprintf(first.nodes[1].phase, sizeof first.nodes[1].phase, "retired");
    expect(told, 3, 1, BY "1 other console" NOT "1 of 4 vote, 3 decide: s0-n0; not voting: s0-n1 (retired); nobody tells of: member 2, member 3");
}

/* All that the limits let in, with the longest texts. */
static void the_most_that_can_be_told_is_told(void **state) {
    static struct admin_peer_told all[ADMIN_PEERS_MAX];
    const struct admin_peer_told *told[ADMIN_PEERS_MAX];
    (void)state;
    for (uint32_t i = 0; i < ADMIN_PEERS_MAX; i++) {
        told[i] = &all[i];
        all[i].count = ADMIN_PEER_NODES_MAX;
        for (uint32_t k = 0; k < ADMIN_PEER_NODES_MAX; k++) {
            struct admin_peer_node *node = &all[i].nodes[k];
            *node = (struct admin_peer_node){.member = k, .members = 16};
            memset(node->name, 'n', sizeof node->name - 1);
            memset(node->phase, 'p', sizeof node->phase - 2);
            (void)snprintf(node->cluster, sizeof node->cluster, "s%u", 4000 + i);
        }
    }
    json_t *clusters = admin_peers_clusters(told, ADMIN_PEERS_MAX, NULL);
    assert_int_equal(json_array_size(clusters), ADMIN_PEERS_MAX);
    const char *text = json_string_value(json_object_get(json_array_get(clusters, 15), "text"));
    assert_non_null(text);
    assert_int_equal(text[strlen(text) - 1], ')');
    json_decref(clusters);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_console_is_named_by_hash_and_place),
        cmocka_unit_test(an_answer_is_whole_at_its_length_and_not_before),
        cmocka_unit_test(what_is_no_answer_is_bad),
        cmocka_unit_test(a_node_is_told_in_the_forms_that_it_may_have),
        cmocka_unit_test(members_are_counted_once_and_own_clusters_not_at_all),
        cmocka_unit_test(the_most_that_can_be_told_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
