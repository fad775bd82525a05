/* Bundles, card requests and settings of an appliance (spec/appliance.md A-1 to A-12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/bundle.h"
#include "protocol/card_request.h"
#include "protocol/node_settings.h"
#include "tests/protocol/identity_fixture.h"

static enum system_error decode(struct bundle *bundle, const char *text, uint8_t room[4096]) {
    size_t count = strlen(text);
    assert_true(count <= 4096);
    memcpy(room, text, count);
    return bundle_decode(bundle, room, count, NULL);
}

#define BLOCK(label, base64) "-----BEGIN HERACLIUS " label "-----\n" base64 "-----END HERACLIUS " label "-----\n"

static void blocks_are_read_and_written(void **state) {
    (void)state;
    struct bundle bundle;
    uint8_t room[4096];
    char out[4096];
    const char *text = BLOCK("NODE CONFIG", "Zg==\n") BLOCK("SYSTEM", "Zm8=\n") BLOCK("ADDRESSES", "Zm9v\n"); /* RFC 4648, 10 */
    assert_int_equal(decode(&bundle, text, room), SYSTEM_OK);
    assert_int_equal(bundle_check(&bundle, NULL), SYSTEM_OK);
    assert_int_equal(bundle.blocks[BUNDLE_NODE_CONFIG].count, 1);
    assert_memory_equal(bundle.blocks[BUNDLE_NODE_CONFIG].bytes, "f", 1);
    assert_int_equal(bundle.blocks[BUNDLE_SYSTEM].count, 2);
    assert_memory_equal(bundle.blocks[BUNDLE_SYSTEM].bytes, "fo", 2);
    assert_int_equal(bundle.blocks[BUNDLE_ADDRESSES].count, 3);
    assert_memory_equal(bundle.blocks[BUNDLE_ADDRESSES].bytes, "foo", 3);
    assert_int_equal(bundle_text_bytes(&bundle), strlen(text));
    assert_int_equal(bundle_encode(&bundle, out), strlen(text));
    assert_memory_equal(out, text, strlen(text));
}

static void what_terminals_do_to_lines_is_no_harm(void **state) {
    (void)state;
    struct bundle bundle;
    uint8_t room[4096];
    assert_int_equal(decode(&bundle, "\r\n-----BEGIN HERACLIUS SYSTEM-----\r\nZm9v\r\n-----END HERACLIUS SYSTEM-----\r\n\r\n", room), SYSTEM_OK);
    assert_int_equal(decode(&bundle, "-----BEGIN HERACLIUS SYSTEM-----\nZm9v\n-----END HERACLIUS SYSTEM-----", room), SYSTEM_OK);
}

static void each_wrong_text_has_its_word(void **state) {
    (void)state;
    const struct {
        const char *text;
        enum system_error error;
    } cases[] = {
        {"", SYSTEM_TRUNCATED},
        {"\n\r\n", SYSTEM_TRUNCATED},
        {"-----BEGIN HERACLIUS SYSTEM-----", SYSTEM_TRUNCATED},
        {"-----BEGIN HERACLIUS SYSTEM-----\n", SYSTEM_TRUNCATED},
        {"-----BEGIN HERACLIUS SYSTEM-----\nZm9v", SYSTEM_TRUNCATED},
        {"-----BEGIN HERACLIUS SYSTEM-----\nZm9v\n", SYSTEM_TRUNCATED},
        {"-----BEGIN HERACLIUS SYSTEM-----\nZm9v\n-----END HERACLIUS SYSTEM", SYSTEM_TRUNCATED},
        {"-----BEGIN HERACLIUS SYSTEM-----\nZm9v\n-----END HERACLIUS CHAIN-----\n", SYSTEM_TRUNCATED},
        {"-----BEGIN HERACLIUS SYSTEM-----\nZm9v\n" BLOCK("CHAIN", "Zm9v\n"), SYSTEM_TRUNCATED},
        {BLOCK("SYSTEM", ""), SYSTEM_TRUNCATED},
        {"x" BLOCK("SYSTEM", "Zm9v\n"), SYSTEM_NOT_CANONICAL},
        {BLOCK("SYSTEM", "Zm9v\n") "x\n", SYSTEM_NOT_CANONICAL},
        {" " BLOCK("SYSTEM", "Zm9v\n"), SYSTEM_NOT_CANONICAL},
        {BLOCK("SYSTEM", "Zm9v \n"), SYSTEM_NOT_CANONICAL},
        {BLOCK("SYSTEM", "\nZm9v\n"), SYSTEM_NOT_CANONICAL},
        {BLOCK("SYSTEM", "Zm9\n"), SYSTEM_NOT_CANONICAL},
        {BLOCK("SYSTEM", "Zm9=\n"), SYSTEM_NOT_CANONICAL}, /* bits that nobody reads */
        {BLOCK("SYSTEM", "Zh==\n"), SYSTEM_NOT_CANONICAL},
        {BLOCK("SYSTEM", "Z===\n"), SYSTEM_NOT_CANONICAL},
        {BLOCK("SYSTEM", "Zg=a\n"), SYSTEM_NOT_CANONICAL},
        {BLOCK("SYSTEM", "Zg==Zg==\n"), SYSTEM_NOT_CANONICAL},
        {BLOCK("SYSTEM", "Zm-_\n"), SYSTEM_NOT_CANONICAL},
        {BLOCK("SYSTEM", "Zm9v\nZm9v\n"), SYSTEM_NOT_CANONICAL}, /* a short line that is not the last */
        {BLOCK("SYSTEM", "Zm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9v\n"), SYSTEM_NOT_CANONICAL},
        {BLOCK("SISTEM", "Zm9v\n"), SYSTEM_FORMAT_UNKNOWN},
        {BLOCK("", "Zm9v\n"), SYSTEM_FORMAT_UNKNOWN},
        {BLOCK("SYSTEM", "Zm9v\n") BLOCK("SYSTEM", "Zm9v\n"), SYSTEM_ORDER},
        {BLOCK("SYSTEM", "Zm9v\n") BLOCK("NODE CONFIG", "Zm9v\n"), SYSTEM_ORDER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bundle bundle;
        uint8_t room[4096];
        enum system_error got = decode(&bundle, cases[i].text, room);
        if (got != cases[i].error) print_message("case %zu: %s\n", i, system_error_name(got));
        assert_int_equal(got, cases[i].error);
    }
}

static void sizes_at_their_limits(void **state) {
    (void)state;
    size_t most = bundle_bytes_max(BUNDLE_SYSLOG_CA);
    uint8_t *content = calloc(1, most + 1);
    struct bundle bundle = {.blocks[BUNDLE_SYSLOG_CA] = {.bytes = content, .count = most}}, back;
    size_t count = bundle_text_bytes(&bundle);
    char *text = malloc(count + BUNDLE_COLUMNS);
    assert_int_equal(bundle_encode(&bundle, text), count);
    assert_int_equal(bundle_decode(&back, (uint8_t *)text, count, NULL), SYSTEM_OK);
    assert_int_equal(back.blocks[BUNDLE_SYSLOG_CA].count, most);
    /* 65,536 bytes end in "AA==" of a line: with three bytes in its place they are one or two too many */
    assert_int_equal(bundle_encode(&bundle, text), count);
    char *end = strstr(text, "==");
    assert_non_null(end);
    memcpy(end - 2, "AAA=", 4);
    assert_int_equal(bundle_decode(&back, (uint8_t *)text, count, NULL), SYSTEM_TOO_LARGE);
    assert_int_equal(bundle_decode(&back, (uint8_t *)text, (size_t)BUNDLE_TEXT_BYTES_MAX + 1, NULL), SYSTEM_TOO_LARGE); /* not even looked at */
    free(text);
    free(content);
}

static void a_configuration_has_three_blocks_at_least(void **state) {
    (void)state;
    struct bundle bundle;
    uint8_t room[4096];
    assert_int_equal(decode(&bundle, BLOCK("NODE CONFIG", "Zg==\n") BLOCK("ADDRESSES", "Zm9v\n"), room), SYSTEM_OK);
    assert_int_equal(bundle_check(&bundle, NULL), SYSTEM_FIELD_MISSING);
    assert_int_equal(
        decode(&bundle, BLOCK("NODE CONFIG", "Zg==\n") BLOCK("SYSTEM", "Zg==\n") BLOCK("ADDRESSES", "Zm9v\n") BLOCK("CARD REQUEST", "Zg==\n"), room),
        SYSTEM_OK);
    assert_int_equal(bundle_check(&bundle, NULL), SYSTEM_FIELD_UNKNOWN);
    assert_int_equal(bundle_check_request(&bundle, NULL), SYSTEM_FIELD_UNKNOWN);
}

static void the_hash_is_of_kinds_lengths_and_contents(void **state) {
    (void)state;
    struct bundle bundle = {.blocks[BUNDLE_SYSTEM] = {(const uint8_t *)"ab", 2}, .blocks[BUNDLE_ADDRESSES] = {(const uint8_t *)"c", 1}};
    uint8_t first[32], second[32];
    bundle_hash(&bundle, first);
    bundle.blocks[BUNDLE_SYSTEM].count = 1;
    bundle.blocks[BUNDLE_ADDRESSES] = (struct bundle_block){(const uint8_t *)"bc", 2};
    bundle_hash(&bundle, second);
    assert_memory_not_equal(first, second, 32);
    bundle.blocks[BUNDLE_NODE_CONFIG] = (struct bundle_block){(const uint8_t *)"x", 1}; /* signed beside it */
    bundle_hash(&bundle, first);
    assert_memory_equal(first, second, 32);
    bundle.blocks[BUNDLE_SYSLOG_CA] = bundle.blocks[BUNDLE_ADDRESSES];
    bundle.blocks[BUNDLE_ADDRESSES].bytes = NULL;
    bundle_hash(&bundle, second);
    assert_memory_not_equal(first, second, 32);
}

/* ---- card requests ---- */

static void a_request_becomes_a_card_by_its_owner_alone(void **state) {
    (void)state;
    struct fixture *fixture = fixture_new(60, 1, 1, 4);
    struct keyfile *key = &fixture->nodes[0][1];
    const struct keyfile *owner = &fixture->owners[0][1];
    struct card card, back, whole;
    char text[CARD_REQUEST_TEXT_BYTES_MAX], copy[CARD_REQUEST_TEXT_BYTES_MAX];
    assert_int_equal(keyfile_make_unowned(key, owner->signing_key, &card, NULL), SYSTEM_OK);
    assert_int_not_equal(card_verify(&card, NULL), SYSTEM_OK);
    size_t count = card_request_print(&card, text);
    memcpy(copy, text, count);
    assert_int_equal(card_request_parse(&back, (uint8_t *)copy, count, NULL), SYSTEM_OK);
    assert_memory_equal(back.id, fixture->assembly->nodes[1].id, 32); /* of the card that was made in one step, with the same keys */
    assert_int_equal(keyfile_own_card(&fixture->owners[0][2], &back, NULL), SYSTEM_FOREIGN);
    whole = back;
    assert_int_equal(keyfile_own_card(owner, &whole, NULL), SYSTEM_OK);
    assert_memory_equal(whole.owner_proof, fixture->assembly->nodes[1].owner_proof, 64);
    uint8_t bytes[CARD_REQUEST_BYTES + 1] = {0};
    card_request_encode(&card, bytes);
    assert_int_equal(card_request_decode(&back, bytes, CARD_REQUEST_BYTES + 1, NULL), SYSTEM_TRUNCATED);
    assert_int_equal(card_request_decode(&back, bytes, CARD_REQUEST_BYTES - 1, NULL), SYSTEM_TRUNCATED);
    for (size_t bit = 0; bit < CARD_REQUEST_BYTES * 8; bit += 5) { /* 5 meets every byte and every place in one */
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_not_equal(card_request_decode(&back, bytes, CARD_REQUEST_BYTES, NULL), SYSTEM_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    fixture_free(fixture);
}

/* ---- settings ---- */

static struct claim_node_config record;
static struct node_settings settings;

static void setting_add(const char *name, const char *value) {
    struct claim_setting *setting = &record.settings[record.settings_count++];
    (void)snprintf(setting->name, sizeof setting->name, "%s", name);
    (void)snprintf(setting->value, sizeof setting->value, "%s", value);
}

static void settings_begin(void) {
    memset(&record, 0, sizeof record);
    setting_add("bundle.sha256", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
}

static void every_setting_is_read(void **state) {
    (void)state;
    settings_begin();
    setting_add("admin.client.15", "own:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    setting_add("admin.listen", "[::1]:443");
    setting_add("admin.peer.0", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff@192.0.2.8:8443");
    setting_add("admin.peer.15", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff@[2001:db8::9]:443");
    setting_add("console.port", "ttyAMA7");
    setting_add("join", "s12");
    setting_add("listen", "0.0.0.0:1,[::]:65535");
    setting_add("log.level", "warn");
    setting_add("net.0.address", "192.0.2.1/24,2001:db8::1/64");
    setting_add("net.0.gateway", "192.0.2.254,fe80::1");
    setting_add("net.0.mac", "52:54:00:12:34:56");
    setting_add("net.3.address", "dhcp");
    setting_add("syslog", "logs.example:6514");
    setting_add("threads", "split");
    assert_int_equal(node_settings_read(&settings, &record, NULL), SYSTEM_OK);
    assert_string_equal(settings.console_port, "ttyAMA7");
    assert_string_equal(settings.join, "s12");
    assert_int_equal(settings.listen_count, 2);
    assert_string_equal(settings.listen[1], "[::]:65535");
    assert_string_equal(settings.nets[0].which, "mac=52:54:00:12:34:56");
    assert_int_equal(settings.nets[0].addresses_count, 2);
    assert_string_equal(settings.nets[0].addresses[1], "2001:db8::1/64");
    assert_string_equal(settings.nets[0].gateways[1], "fe80::1");
    assert_false(settings.nets[1].there);
    assert_true(settings.nets[3].dhcp);
    assert_string_equal(settings.nets[3].which, "any");
    assert_string_equal(settings.syslog, "logs.example:6514");
    assert_string_equal(settings.admin_listen, "[::1]:443");
    assert_string_equal(settings.admin_peers[0] + NODE_SETTINGS_HASH_CHARACTERS, "@192.0.2.8:8443");
    assert_string_equal(settings.admin_peers[1], "");
    assert_string_equal(settings.admin_peers[15] + NODE_SETTINGS_HASH_CHARACTERS, "@[2001:db8::9]:443");
    assert_int_equal(settings.threads, NODE_SETTINGS_SPLIT);
    assert_string_equal(settings.log_level, "warn");
    assert_int_equal(settings.bundle_sha256[1], 0x11);
}

static void each_wrong_setting_has_its_word(void **state) {
    (void)state;
    const struct {
        const char *name, *value;
        enum system_error error;
    } cases[] = {
        {"listne", "", SYSTEM_FIELD_UNKNOWN},
        {"net.4.address", "dhcp", SYSTEM_FIELD_UNKNOWN},
        {"net.00.address", "dhcp", SYSTEM_FIELD_UNKNOWN},
        {"net.0.addresses", "dhcp", SYSTEM_FIELD_UNKNOWN},
        {"net.0", "dhcp", SYSTEM_FIELD_UNKNOWN},
        {"admin.client.16", "", SYSTEM_FIELD_UNKNOWN},
        {"admin.client.0", "own:00", SYSTEM_FIELD_RANGE},
        {"admin.client.0", "root:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", SYSTEM_FIELD_RANGE},
        {"admin.listen", "localhost:1", SYSTEM_FIELD_RANGE},
        {"admin.peer.16", "", SYSTEM_FIELD_UNKNOWN},
        {"admin.peer", "", SYSTEM_FIELD_UNKNOWN},
        {"admin.peer.0", "", SYSTEM_FIELD_RANGE},
        {"admin.peer.0", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", SYSTEM_FIELD_RANGE},
        {"admin.peer.0", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff@", SYSTEM_FIELD_RANGE},
        {"admin.peer.0", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff@1.2.3.4", SYSTEM_FIELD_RANGE},
        {"admin.peer.0", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff@1.2.3.4:0", SYSTEM_FIELD_RANGE},
        {"admin.peer.0", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff:1.2.3.4:1", SYSTEM_FIELD_RANGE},
        {"admin.peer.0", "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff@1.2.3.4:1", SYSTEM_FIELD_RANGE},
        {"admin.peer.0", "1.2.3.4:1@00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", SYSTEM_FIELD_RANGE},
        {"console", "ttyS1", SYSTEM_FIELD_UNKNOWN},
        {"console.port", "", SYSTEM_FIELD_RANGE},
        {"console.port", "ttyS", SYSTEM_FIELD_RANGE},
        {"console.port", "ttyS8", SYSTEM_FIELD_RANGE},
        {"console.port", "ttyS11", SYSTEM_FIELD_RANGE},
        {"console.port", "ttyS1,115200", SYSTEM_FIELD_RANGE},
        {"console.port", "tty1", SYSTEM_FIELD_RANGE},
        {"console.port", "hvc:", SYSTEM_FIELD_RANGE},
        {"console.port", "sda", SYSTEM_FIELD_RANGE},
        {"console.port", "/dev/ttyS1", SYSTEM_FIELD_RANGE},
        {"join", "s4096", SYSTEM_FIELD_RANGE},
        {"join", "s01", SYSTEM_FIELD_RANGE},
        {"join", "t1", SYSTEM_FIELD_RANGE},
        {"join", "", SYSTEM_FIELD_RANGE},
        {"listen", "", SYSTEM_FIELD_RANGE},
        {"listen", "1.2.3.4:0", SYSTEM_FIELD_RANGE},
        {"listen", "1.2.3.4", SYSTEM_FIELD_RANGE},
        {"listen", "1.2.3.4:1,", SYSTEM_FIELD_RANGE},
        {"listen", "1.2.3.4:1,1.2.3.4:2,1.2.3.4:3,1.2.3.4:4,1.2.3.4:5", SYSTEM_FIELD_RANGE},
        {"log.level", "loud", SYSTEM_FIELD_RANGE},
        {"net.0.address", "", SYSTEM_FIELD_RANGE},
        {"net.0.address", "dhcp,1.2.3.4/8", SYSTEM_FIELD_RANGE},
        {"net.0.address", "1.2.3.4", SYSTEM_FIELD_RANGE},
        {"net.0.address", "1.2.3.4/33", SYSTEM_FIELD_RANGE},
        {"net.0.address", "1.2.3.4/0", SYSTEM_FIELD_RANGE},
        {"net.0.address", "::1/129", SYSTEM_FIELD_RANGE},
        {"net.0.address", "1.2.3.4/8/8", SYSTEM_FIELD_RANGE},
        {"net.0.address", "1.1.1.1/8,1.1.1.2/8,1.1.1.3/8,1.1.1.4/8,1.1.1.5/8", SYSTEM_FIELD_RANGE},
        {"net.0.gateway", "gate", SYSTEM_FIELD_RANGE},
        {"net.0.gateway", "1.1.1.1", SYSTEM_FIELD_MISSING}, /* of an address */
        {"net.0.mac", "52:54:00:12:34", SYSTEM_FIELD_RANGE},
        {"net.0.mac", "52:54:00:12:34:5G", SYSTEM_FIELD_RANGE},
        {"net.0.name", "eth0 dhcp", SYSTEM_FIELD_RANGE},
        {"net.0.name", "sixteenletters00", SYSTEM_FIELD_RANGE},
        {"syslog", "logs", SYSTEM_FIELD_RANGE},
        {"threads", "many", SYSTEM_FIELD_RANGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        settings_begin();
        setting_add(cases[i].name, cases[i].value);
        enum system_error got = node_settings_read(&settings, &record, NULL);
        if (got != cases[i].error) print_message("case %zu: %s\n", i, system_error_name(got));
        assert_int_equal(got, cases[i].error);
    }
    memset(&record, 0, sizeof record);
    assert_int_equal(node_settings_read(&settings, &record, NULL), SYSTEM_FIELD_MISSING);
    settings_begin();
    record.settings[0].value[63] = 'F';
    assert_int_equal(node_settings_read(&settings, &record, NULL), SYSTEM_FIELD_RANGE);
}

static void two_nets_are_of_two_links(void **state) {
    (void)state;
    settings_begin();
    setting_add("net.0.address", "dhcp");
    setting_add("net.1.address", "1.1.1.1/8");
    assert_int_equal(node_settings_read(&settings, &record, NULL), SYSTEM_NAME_TWICE);
    setting_add("net.1.name", "eth1");
    assert_int_equal(node_settings_read(&settings, &record, NULL), SYSTEM_OK);
    setting_add("net.1.mac", "52:54:00:12:34:56");
    assert_int_equal(node_settings_read(&settings, &record, NULL), SYSTEM_FIELD_RANGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_read_and_written),
        cmocka_unit_test(what_terminals_do_to_lines_is_no_harm),
        cmocka_unit_test(each_wrong_text_has_its_word),
        cmocka_unit_test(sizes_at_their_limits),
        cmocka_unit_test(a_configuration_has_three_blocks_at_least),
        cmocka_unit_test(the_hash_is_of_kinds_lengths_and_contents),
        cmocka_unit_test(a_request_becomes_a_card_by_its_owner_alone),
        cmocka_unit_test(every_setting_is_read),
        cmocka_unit_test(each_wrong_setting_has_its_word),
        cmocka_unit_test(two_nets_are_of_two_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
