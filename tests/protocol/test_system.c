/* The system file (spec/system.md S-1 to S-42): canonical, whole, and refused when any bit of it is another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "merkle/bytes.h"
#include "protocol/addresses.h"
#include "protocol/canonical.h"
#include "tests/protocol/identity_fixture.h"

static struct fixture *fixture; /* one coordinator, two shards, four nodes */
static char *text;
static size_t text_bytes;

static int set_up(void **state) {
    (void)state;
    fixture = fixture_new(20, 1, 2, 4);
    text = system_encode_json(&fixture->assembly->system, &text_bytes);
    return text ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    free(text);
    fixture_free(fixture);
    return 0;
}

static enum system_error parse(const char *bytes, size_t count, struct system_fault *fault) {
    struct system *system = NULL;
    enum system_error error = system_parse(&system, bytes, count, fault);
    assert_true((error == SYSTEM_OK) == (system != NULL));
    system_free(system);
    return error;
}

/* The file with one text replaced; the expected error, and a word of the fault's text. */
static void refuse_replaced(const char *from, const char *to, enum system_error expected, const char *word) {
    const char *at = strstr(text, from);
    struct system_fault fault = {.text = ""};
    if (!at) fail_msg("%s is not in the file", from);
    size_t head = (size_t)(at - text), count = text_bytes - strlen(from) + strlen(to);
    char *other = malloc(count + 1);
    assert_non_null(other);
    memcpy(other, text, head);
    memcpy(other + head, to, strlen(to));
    memcpy(other + head + strlen(to), at + strlen(from), text_bytes - head - strlen(from) + 1);
    enum system_error error = parse(other, count, &fault);
    if (error != expected) fail_msg("%s -> %s: %s (%s), not %s", from, to, system_error_name(error), fault.text, system_error_name(expected));
    if (!strstr(fault.text, word)) fail_msg("%s -> %s: no \"%s\" in: %s", from, to, word, fault.text);
    free(other);
}

static void a_system_reads_back_as_it_was(void **state) {
    (void)state;
    struct system *system = NULL;
    const struct system *made = &fixture->assembly->system;
    assert_int_equal(system_parse(&system, text, text_bytes, NULL), SYSTEM_OK);
    assert_memory_equal(system->system_id, made->system_id, 16);
    assert_memory_equal(system->file_hash, made->file_hash, 32);
    assert_int_equal(system->shards_count, 2);
    assert_int_equal(system->clients_count, FIXTURE_CLIENTS);
    uint32_t cluster = 0, member = 0;
    const struct card *node = system_node_by_name(system, "s1-n2", &cluster, &member);
    assert_non_null(node);
    assert_int_equal(cluster, CONFIG_CLUSTER_SHARD + 1);
    assert_int_equal(member, 2);
    assert_ptr_equal(system_node_by_noise_key(system, node->noise_key, NULL, NULL), node);
    assert_ptr_equal(system_node_by_signing_key(system, node->signing_key, NULL, NULL), node);
    assert_ptr_equal(system_node_by_id(system, node->id, NULL, NULL), node);
    assert_null(system_node_by_name(system, "s1-n4", NULL, NULL));
    for (uint32_t i = 0; i < FIXTURE_CLIENTS; i++) {
        const struct system_client *client = system_client_by_id(system, fixture->client_cards[i].id);
        assert_non_null(client);
        assert_ptr_equal(system_client_by_noise_key(system, fixture->client_cards[i].noise_key), client);
    }
    assert_null(system_client_by_id(system, node->id));
    assert_null(system_cluster_by_id(system, CONFIG_CLUSTER_SHARD + 2));
    assert_null(system_cluster_by_id(system, 0x00030000));
    system_free(system);
}

/* The binary form built by hand from the table of S-24, up to the first card; then the rest as encoded. */
static void the_id_is_the_hash_of_the_binary_form(void **state) {
    (void)state;
    const struct system *system = &fixture->assembly->system;
    size_t count = 0;
    uint8_t *bytes = system_encode_binary(system, &count), head[80] = {0x0E, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, hash[32];
    crypto_hash_sha256_state hashing;
    assert_non_null(bytes);
    memcpy(head + 1 + 28, system->partition_key, 16);
    memcpy(head + 1 + 44, "test", 4);
    assert_memory_equal(head + 1, bytes, 76);
    assert_int_equal(bytes[76], 3);                                            /* limits leaf */
    assert_int_equal(bytes_get_le16(bytes + 77), SYSTEM_LIMITS_COUNT);
    assert_true(bytes_get_le64(bytes + 79) == 4);                              /* window_blocks comes first */
    assert_int_equal(bytes[76 + CONFIG_LIMITS_BYTES], 4);
    (void)crypto_hash_sha256_init(&hashing);
    (void)crypto_hash_sha256_update(&hashing, head, 1);
    (void)crypto_hash_sha256_update(&hashing, bytes, count);
    (void)crypto_hash_sha256_final(&hashing, hash);
    assert_memory_equal(hash, system->file_hash, 32);
    assert_memory_equal(hash, system->system_id, 16);
    free(bytes);
}

static void every_sampled_bit_flip_is_refused_with_a_text(void **state) {
    (void)state;
    for (size_t bit = 0; bit < text_bytes * 8; bit += 251) { /* odd: every bit position, all over the file */
        struct system_fault fault = {.text = ""};
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << (bit % 8)));
        if (parse(text, text_bytes, &fault) == SYSTEM_OK) fail_msg("bit %zu", bit);
        assert_true(fault.text[0] != 0);
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << (bit % 8)));
    }
}

static void every_length_but_the_whole_is_refused(void **state) {
    (void)state;
    for (size_t count = 0; count < text_bytes; count += 97) assert_int_not_equal(parse(text, count, NULL), SYSTEM_OK);
    assert_int_equal(parse(text, text_bytes - 1, NULL), SYSTEM_NOT_CANONICAL); /* no newline at the end */
}

static void only_one_spelling_is_accepted(void **state) {
    (void)state;
    refuse_replaced("\"format\": 1", "\"format\":1", SYSTEM_NOT_CANONICAL, "line");
    refuse_replaced("\"format\": 1", "\"format\": 1 ", SYSTEM_NOT_CANONICAL, "line");
    refuse_replaced("\"format\": 1", "\"format\": 1.0", SYSTEM_FIELD_TYPE, "format");
    refuse_replaced("\"name\": \"test\"", "\"name\": \"t\\u0065st\"", SYSTEM_NOT_CANONICAL, "line");
    refuse_replaced("\"name\": \"test\"", "\"name\": \"te\\u0000st\"", SYSTEM_NOT_JSON, "line");
    refuse_replaced("\"name\": \"test\"", "\"name\": \"t\xc3\xa4st\"", SYSTEM_FIELD_TYPE, "name");
    refuse_replaced("\"name\": \"test\"", "\"name\": \"test\",\n  \"name\": \"test\"", SYSTEM_NOT_JSON, "duplicate");
    refuse_replaced("\"name\": \"test\",\n", "", SYSTEM_FIELD_MISSING, "name");
    refuse_replaced("\"name\": \"test\"", "\"name\": \"test\",\n  \"nome\": 1", SYSTEM_FIELD_UNKNOWN, "nome");
    refuse_replaced("\"name\": \"test\"", "\"name\": 7", SYSTEM_FIELD_TYPE, "name");
    refuse_replaced("\"window_blocks\": 4", "\"window_blocks\": 04", SYSTEM_NOT_JSON, "line");
    refuse_replaced("\"window_blocks\": 4", "\"window_blocks\": -4", SYSTEM_FIELD_TYPE, "limits.window_blocks");
    refuse_replaced("\"queue_policy\": 0", "\"queue_policy\": -0", SYSTEM_NOT_CANONICAL, "line");
    refuse_replaced("\"window_blocks\": 4", "\"window_blocks\": 9223372036854775807", SYSTEM_FIELD_RANGE, "limits.window_blocks");
    refuse_replaced("\"window_blocks\": 4", "\"window_blocks\": 9223372036854775808", SYSTEM_FIELD_RANGE, "line");
    refuse_replaced("\"window_blocks\": 4", "\"window_blocks\": -9223372036854775809", SYSTEM_FIELD_TYPE, "line");
    refuse_replaced("\"window_blocks\": 4", "\"window_blocks\": 4e400", SYSTEM_FIELD_TYPE, "line");
    refuse_replaced("\"window_blocks\": 4", "\"window_blocks\": true", SYSTEM_FIELD_TYPE, "limits.window_blocks");
    refuse_replaced("\"origin_height\": \"0\"", "\"origin_height\": \"00\"", SYSTEM_FIELD_TYPE, "coordinators[0].origin_height");
    refuse_replaced("\"origin_height\": \"0\"", "\"origin_height\": \"18446744073709551616\"", SYSTEM_FIELD_RANGE, "coordinators[0].origin_height");
    refuse_replaced("\"origin_height\": \"0\"", "\"origin_height\": 0", SYSTEM_FIELD_TYPE, "coordinators[0].origin_height");
    refuse_replaced("\"rights\": [", "\"rights\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,", SYSTEM_TOO_LARGE, "rights");
    refuse_replaced("{\n", "{ \n", SYSTEM_NOT_CANONICAL, "line 1, column 2");
}

static void a_changed_field_breaks_the_id(void **state) {
    (void)state;
    refuse_replaced("\"window_blocks\": 4", "\"window_blocks\": 5", SYSTEM_ID_MISMATCH, "system_id");
    refuse_replaced("\"name\": \"test\"", "\"name\": \"tess\"", SYSTEM_ID_MISMATCH, "system_id");
    refuse_replaced("\"allow\": \"rw\"", "\"allow\": \"r\"", SYSTEM_ID_MISMATCH, "system_id");
    refuse_replaced("\"quota_per_second\": 100", "\"quota_per_second\": 1000", SYSTEM_ID_MISMATCH, "system_id");
    refuse_replaced("\"needed\": 2", "\"needed\": 3", SYSTEM_ID_MISMATCH, "system_id");
}

static void what_no_file_may_say_is_refused_by_name(void **state) {
    (void)state;
    refuse_replaced("\"format\": 1,\n  \"limits\"", "\"format\": 2,\n  \"limits\"", SYSTEM_FORMAT_UNKNOWN, "format");
    refuse_replaced("\"protocol_version\": 1", "\"protocol_version\": 2", SYSTEM_FORMAT_UNKNOWN, "protocol_version");
    refuse_replaced("\"needed\": 2", "\"needed\": 1", SYSTEM_FIELD_RANGE, "administrators.needed");
    refuse_replaced("\"needed\": 2", "\"needed\": 4", SYSTEM_FIELD_RANGE, "administrators.needed");
    refuse_replaced("\"allow\": \"rw\"", "\"allow\": \"wr\"", SYSTEM_FIELD_RANGE, "rights[0].allow");
    refuse_replaced("\"name\": \"c0-n1\"", "\"name\": \"c0-n0\"", SYSTEM_PROOF_INVALID, "coordinators[0].nodes[1].signing_proof");
    refuse_replaced("\"succession\": 0", "\"succession\": 1", SYSTEM_FIELD_RANGE, "predecessor_id");
    refuse_replaced("\"read_bytes_default\": 1024", "\"read_bytes_default\": 65537", SYSTEM_FIELD_RANGE, "limits.read_bytes_default");
    refuse_replaced("\"view_base_ms\": 1000", "\"view_base_ms\": 60000,\n    \"view_bose_ms\": 1", SYSTEM_FIELD_UNKNOWN, "timeouts.view_bose_ms");
    refuse_replaced("\"batch_bytes_max\": 1048576", "\"batch_bytes_max\": 4194304", SYSTEM_LIMITS_CONFLICT, "batch_bytes_max");
}

/* ---- faults that need another system, well signed ---- */

static enum system_error check_changed(void (*change)(struct fixture *, struct card *), struct system_fault *fault) {
    struct fixture *other = fixture_new(21, 1, 1, 4);
    struct card *nodes = other->assembly->nodes;
    change(other, nodes);
    enum system_error error = system_check(&other->assembly->system, true, fault);
    fixture_free(other);
    return error;
}

static void one_card_twice(struct fixture *other, struct card *nodes) {
    (void)other;
    nodes[5] = nodes[2];
}

static void one_signing_key_two_names(struct fixture *other, struct card *nodes) {
    (void)snprintf(other->nodes[0][1].name, sizeof other->nodes[0][1].name, "other-name");
    struct keyfile key = other->nodes[0][0];
    memcpy(key.name, "zz", 3);
    assert_int_equal(keyfile_make_card(&key, &other->owners[0][1], &nodes[1], NULL), SYSTEM_OK);
}

static void client_with_a_nodes_key(struct fixture *other, struct card *nodes) {
    (void)nodes;
    struct keyfile key = other->nodes[0][0];
    key.kind = KEYFILE_CLIENT;
    memcpy(key.name, "zz", 3);
    assert_int_equal(keyfile_make_card(&key, NULL, &other->assembly->clients[0].card, NULL), SYSTEM_OK);
    memset(other->assembly->clients[0].card.id, 0, 32); /* in its place in the order */
}

static void one_name_twice(struct fixture *other, struct card *nodes) {
    struct keyfile key = other->nodes[0][1];
    memcpy(key.name, "s0-n3", 6);
    assert_int_equal(keyfile_make_card(&key, &other->owners[0][1], &nodes[1], NULL), SYSTEM_OK);
}

static void admins_out_of_order(struct fixture *other, struct card *nodes) {
    (void)nodes;
    struct card first = other->assembly->admins[0];
    other->assembly->admins[0] = other->assembly->admins[1];
    other->assembly->admins[1] = first;
}

static void broken_proof(struct fixture *other, struct card *nodes) {
    (void)other;
    nodes[6].owner_proof[10] ^= 1;
}

static void origin_in_a_first_system(struct fixture *other, struct card *nodes) {
    (void)nodes;
    other->assembly->clusters[1].origin_height = 5;
    other->assembly->clusters[1].origin_root[0] = 5;
}

static void rights_out_of_order(struct fixture *other, struct card *nodes) {
    (void)nodes;
    for (uint32_t i = 0; i < FIXTURE_CLIENTS; i++) {
        struct system_client *client = &other->assembly->clients[i];
        if (client->rights_count != 2) continue;
        struct system_right *rights = other->assembly->rights + (client->rights - other->assembly->rights), first = rights[0];
        rights[0] = rights[1];
        rights[1] = first;
    }
}

static void quota_without_burst(struct fixture *other, struct card *nodes) {
    (void)nodes;
    other->assembly->clients[0].quota_per_second = 7;
    other->assembly->clients[0].quota_burst = 0;
}

static void two_nodes_with_one_key_and_other_faults_are_named(void **state) {
    (void)state;
    const struct {
        void (*change)(struct fixture *, struct card *);
        enum system_error expected;
        const char *first, *second;
    } cases[] = {
        {one_card_twice, SYSTEM_KEY_TWICE, "coordinators[0].nodes[2]", "shards[0].nodes[1]"},
        {one_signing_key_two_names, SYSTEM_KEY_TWICE, "coordinators[0].nodes[0]", "coordinators[0].nodes[1]"},
        {client_with_a_nodes_key, SYSTEM_KEY_TWICE, "coordinators[0].nodes[0]", "clients[0].card"},
        {one_name_twice, SYSTEM_NAME_TWICE, "coordinators[0].nodes[1].name", "shards[0].nodes[3].name"},
        {admins_out_of_order, SYSTEM_ORDER, "administrators.cards[1]", "ascend"},
        {broken_proof, SYSTEM_PROOF_INVALID, "shards[0].nodes[2]", "owner_proof"},
        {origin_in_a_first_system, SYSTEM_FIELD_RANGE, "shards[0]", "origin_height"},
        {rights_out_of_order, SYSTEM_ORDER, "rights[1]", "ascend"},
        {quota_without_burst, SYSTEM_FIELD_RANGE, "clients[0]", "quota_burst"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct system_fault fault = {.text = ""};
        enum system_error error = check_changed(cases[i].change, &fault);
        if (error != cases[i].expected) fail_msg("case %zu: %s (%s)", i, system_error_name(error), fault.text);
        if (!strstr(fault.text, cases[i].first) || !strstr(fault.text, cases[i].second)) fail_msg("case %zu: %s", i, fault.text);
    }
}

/* ---- limits ---- */

static void every_limit_is_accepted_at_its_edges_and_refused_beyond(void **state) {
    (void)state;
    for (size_t i = 0; i < SYSTEM_LIMITS_COUNT + SYSTEM_TIMEOUTS_COUNT; i++) {
        bool limit = i < SYSTEM_LIMITS_COUNT;
        const struct system_limit_row *row = limit ? &system_limit_rows[i] : &system_timeout_rows[i - SYSTEM_LIMITS_COUNT];
        const uint64_t values[] = {row->lowest, row->highest, row->lowest - 1, row->highest + 1};
        for (int j = 0; j < 4; j++) {
            struct system_limits limits;
            struct system_timeouts timeouts;
            struct system_fault fault = {.text = ""};
            system_limits_default(&limits);
            system_timeouts_default(&timeouts);
            if ((j == 2 && row->lowest == 0) || (row->bytes == 4 && values[j] > UINT32_MAX)) continue;
            system_limit_set(limit ? (void *)&limits : (void *)&timeouts, row, values[j]);
            assert_true(system_limit_get(limit ? (void *)&limits : (void *)&timeouts, row) == values[j]);
            enum system_error error = limit ? system_limits_check(&limits, &fault) : system_timeouts_check(&timeouts, &fault);
            /* At an edge another limit may be in the way, and the text says which; beyond it the row itself is named. */
            if (j < 2) assert_true(error == SYSTEM_OK || error == SYSTEM_LIMITS_CONFLICT);
            else assert_int_equal(error, SYSTEM_FIELD_RANGE);
            if (j >= 2) assert_non_null(strstr(fault.text, row->name));
        }
    }
}

static void the_relations_between_limits_hold_at_their_edge(void **state) {
    (void)state;
    struct system_limits limits;
    system_limits_default(&limits);
    limits.slice_bytes_max = limits.batch_bytes_max + 65536;
    assert_int_equal(system_limits_check(&limits, NULL), SYSTEM_OK);
    limits.slice_bytes_max--;
    assert_int_equal(system_limits_check(&limits, NULL), SYSTEM_LIMITS_CONFLICT);
    system_limits_default(&limits);
    limits.aead_allowed = 2;
    assert_int_equal(system_limits_check(&limits, NULL), SYSTEM_LIMITS_CONFLICT);
    limits.aead_allowed = 3;
    assert_int_equal(system_limits_check(&limits, NULL), SYSTEM_OK);
}

static void rights_are_the_union_over_matching_prefixes(void **state) {
    (void)state;
    const struct system_right rights[] = {{.flags = 1}, {.flags = 2, .prefix_bytes = 2, .prefix = "b/"}};
    assert_true(system_rights_allow(rights, 2, SYSTEM_RIGHT_READ, (const uint8_t *)"x", 1));
    assert_false(system_rights_allow(rights, 2, SYSTEM_RIGHT_WRITE, (const uint8_t *)"x", 1));
    assert_true(system_rights_allow(rights, 2, 3, (const uint8_t *)"b/x", 3));
    assert_false(system_rights_allow(rights, 2, SYSTEM_RIGHT_WRITE, (const uint8_t *)"b", 1));
    assert_false(system_rights_allow(rights, 0, SYSTEM_RIGHT_READ, (const uint8_t *)"b", 1));
}

/* ---- addresses ---- */

static void addresses_are_of_this_system_and_its_nodes(void **state) {
    (void)state;
    char good[512], id[33];
    struct addresses *addresses = NULL;
    struct system_fault fault;
    const struct system *system = &fixture->assembly->system;
    canonical_hex_print(system->system_id, 16, id);
    (void)snprintf(good, sizeof good, "{\n  \"format\": 1,\n  \"nodes\": {\n    \"c0-n0\": {\n      \"admin\": \"\",\n"
                                      "      \"link\": \"[::1]:7000\"\n"
                                      "    }\n  },\n  \"system_id\": \"%s\"\n}\n", id);
    assert_int_equal(addresses_parse(&addresses, good, strlen(good), system, &fault), SYSTEM_OK);
    const struct address *address = addresses_find(addresses, "c0-n0");
    assert_non_null(address);
    assert_string_equal(address->link.host, "::1");
    assert_int_equal(address->link.port, 7000);
    assert_int_equal(address->admin.port, 0);
    assert_null(addresses_find(addresses, "c0-n1"));
    addresses_free(addresses);
    *strstr(good, "c0-n0") = 'd'; /* of no node of the file: one that a CONFIG may bring in */
    assert_int_equal(addresses_parse(&addresses, good, strlen(good), system, &fault), SYSTEM_OK);
    addresses_free(addresses);
    *strstr(good, "d0-n0") = 'D';
    assert_int_equal(addresses_parse(&addresses, good, strlen(good), system, &fault), SYSTEM_FOREIGN);
    *strstr(good, "D0-n0") = 'c';
    *strstr(good, "7000") = '0';
    assert_int_equal(addresses_parse(&addresses, good, strlen(good), system, &fault), SYSTEM_FIELD_RANGE);
    *strstr(good, "0000") = '7';
    char *digit = strstr(good, id);
    *digit = *digit == '0' ? '1' : '0';
    assert_int_equal(addresses_parse(&addresses, good, strlen(good), system, &fault), SYSTEM_FOREIGN);
    assert_null(addresses);
}

static void endpoints_have_one_spelling(void **state) {
    (void)state;
    struct address_endpoint endpoint;
    char out[ADDRESSES_HOST_BYTES_MAX + 9];
    const char *good[] = {"a:1", "node-1.example:65535", "127.0.0.1:80", "[fe80::1]:443", ""};
    const char *bad[] = {"a", ":1", "a:0", "a:65536", "a:01", "a:", "A:1", "[a]:1", "[]:1", "::1:80", "a b:1", "a:+1", "a:1 ", "[::1]", "[::1]x:1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(address_endpoint_parse(&endpoint, good[i]));
        address_endpoint_print(&endpoint, out);
        assert_string_equal(out, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (address_endpoint_parse(&endpoint, bad[i])) fail_msg("%s", bad[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_system_reads_back_as_it_was),
        cmocka_unit_test(the_id_is_the_hash_of_the_binary_form),
        cmocka_unit_test(every_sampled_bit_flip_is_refused_with_a_text),
        cmocka_unit_test(every_length_but_the_whole_is_refused),
        cmocka_unit_test(only_one_spelling_is_accepted),
        cmocka_unit_test(a_changed_field_breaks_the_id),
        cmocka_unit_test(what_no_file_may_say_is_refused_by_name),
        cmocka_unit_test(two_nodes_with_one_key_and_other_faults_are_named),
        cmocka_unit_test(every_limit_is_accepted_at_its_edges_and_refused_beyond),
        cmocka_unit_test(the_relations_between_limits_hold_at_their_edge),
        cmocka_unit_test(rights_are_the_union_over_matching_prefixes),
        cmocka_unit_test(addresses_are_of_this_system_and_its_nodes),
        cmocka_unit_test(endpoints_have_one_spelling),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
