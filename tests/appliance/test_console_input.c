/* Bytes of the console's line: keys and noise, a pasted configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/console/console_input.h"

static struct console_input input;
static struct console_paste paste;
static char kept[4096];
static size_t kept_bytes;

static int begin(void **state) {
    (void)state;
    memset(&input, 0, sizeof input);
    memset(&paste, 0, sizeof paste);
    kept_bytes = 0;
    kept[0] = '\0';
    return 0;
}

/* The keys that come of `bytes`, as text. */
static const char *keys(const char *bytes) {
    static char out[256];
    size_t used = 0;
    for (; *bytes; bytes++) {
        int key = console_input_byte(&input, (uint8_t)*bytes);
        if (key != KEY_NONE) out[used++] = (char)key;
    }
    out[used] = '\0';
    return out;
}

static void text_and_line_ends(void **state) {
    (void)state;
    assert_string_equal(keys("status ~!\r"), "status ~!\n");
    assert_string_equal(keys("a\r\nb\nc\r\rd\r\n\n"), "a\nb\nc\n\nd\n\n");
    assert_int_equal(input.dropped, 0);
}

static void keys_of_terminals(void **state) {
    (void)state;
    assert_string_equal(keys("\x1b[A\x1b[B\x1b[C\x1b[D\x1bOA\x1bOH\x1bOF"), "\x10\x0e\x06\x02\x10\x01\x05");
    assert_string_equal(keys("\x1b[1~\x1b[4~\x1b[7~\x1b[8~\x1b[3~"), "\x01\x05\x01\x05\x04");
    assert_string_equal(keys("\x7f\x08\t\x03"), "\x08\x08\t\x03");
    assert_int_equal(input.dropped, 0);
    assert_string_equal(keys("\x1b[1;5C"), "\x06"); /* with a modifier */
}

static void noise_is_dropped_and_counted(void **state) {
    (void)state;
    assert_string_equal(keys("a\xff\x80z\x13\x1a\x1c"), "az");
    assert_int_equal(input.dropped, 5);
    assert_string_equal(keys("\x1b[24~x"), "x"); /* a key that means nothing here */
    assert_int_equal(input.dropped, 6);
    assert_string_equal(keys("\x1bxy"), "xy");
    assert_int_equal(input.dropped, 7);
    assert_string_equal(keys("\x1b[11111111111111111111111111111111"), "1111111111111111"); /* a sequence without end is none */
    assert_int_equal(input.dropped, 8);
}

static enum console_paste_event pasted(const char *text) {
    enum console_paste_event event = PASTE_MORE;
    for (; *text && event != PASTE_DONE && event != PASTE_FAULT; text++) {
        event = console_paste_byte(&paste, (uint8_t)*text);
        if (event != PASTE_LINE) continue;
        size_t length = strlen(paste.line);
        assert_true(kept_bytes + length + 2 < sizeof kept);
        memcpy(kept + kept_bytes, paste.line, length);
        kept_bytes += length;
        kept[kept_bytes++] = '\n';
        kept[kept_bytes] = '\0';
    }
    return event;
}

#define BEGIN(kind) "-----BEGIN HERACLIUS " kind "-----"
#define END(kind) "-----END HERACLIUS " kind "-----"

static void blocks_are_kept_line_by_line(void **state) {
    (void)state;
    const char *wanted = BEGIN("NODE CONFIG") "\nQUJD\nQQ==\n" END("NODE CONFIG") "\n" BEGIN("SYSTEM") "\nQUI=\n" END("SYSTEM") "\n";
    assert_int_equal(pasted("\r\n  " BEGIN("NODE CONFIG") "\r\nQUJD\r\nQQ==  \r\n" END("NODE CONFIG") "\r\n\r\n"), PASTE_MORE);
    assert_int_equal(pasted(BEGIN("SYSTEM") "\nQU\xffI=\n" END("SYSTEM") "\n"), PASTE_LINE);
    assert_string_equal(kept, wanted);
    assert_int_equal(paste.blocks, 2);
    assert_int_equal(paste.bytes, strlen(wanted));
    assert_int_equal(paste.dropped, 1);
    assert_false(paste.inside);
    assert_int_equal(pasted(".\r"), PASTE_DONE);
}

static void what_is_no_block_is_refused_from_there_on(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"reboot\n", "line 1 of the paste (blank ones apart): it begins no block (-----BEGIN HERACLIUS ...-----)"},
        {BEGIN("") "\n", "begins no block"},
        {BEGIN("system") "\n", "begins no block"},
        {BEGIN("A") "\nQUJD\n" END("B") "\n", "line 3 of the paste (blank ones apart): it ends another block"},
        {BEGIN("A") "\nQU#D\n", "line 2 of the paste (blank ones apart): it is neither base64"},
        {BEGIN("A") "\nQ=Q=\n", "neither base64"},
        {BEGIN("A") "\nQ===\n", "neither base64"},
        {BEGIN("A") "\n" BEGIN("B") "\n", "neither base64"},
        {BEGIN("A") "\n.\n", "neither base64"},
        {BEGIN("A") "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", "neither base64"}, /* 77 columns */
        {BEGIN("A") "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "too long"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)begin(NULL);
        assert_int_equal(pasted(bad[i].text), PASTE_FAULT);
        assert_non_null(strstr(paste.fault, bad[i].why));
        assert_int_equal(pasted(BEGIN("A") "\n"), PASTE_FAULT);
    }
    (void)begin(NULL);
    assert_int_equal(pasted(BEGIN("A") "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"), PASTE_LINE); /* 76 */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(text_and_line_ends, begin),
        cmocka_unit_test_setup(keys_of_terminals, begin),
        cmocka_unit_test_setup(noise_is_dropped_and_counted, begin),
        cmocka_unit_test_setup(blocks_are_kept_line_by_line, begin),
        cmocka_unit_test_setup(what_is_no_block_is_refused_from_there_on, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
