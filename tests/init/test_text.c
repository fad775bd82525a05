/* Small text without a heap, the command line's words, and a plan: at their limits, one past them, and on what nobody should send. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/plan.h"
#include "init/text.h"
#include "tests/init/files.h"

static void a_file_is_read_whole_or_not_at_all(void **unused) {
    (void)unused;
    char out[8];
    assert_int_equal(text_read(files_text("seven", "1234567"), out, sizeof out), 7);
    assert_string_equal(out, "1234567");
    assert_int_equal(text_read(files_text("eight", "12345678"), out, sizeof out), -EFBIG);
    assert_string_equal(out, "");
    assert_int_equal(text_read(files_text("line", "1\n"), out, sizeof out), 1);
    assert_string_equal(out, "1");
    assert_int_equal(text_read(files_text("lines", "1\n\n"), out, sizeof out), 2);
    assert_int_equal(text_read(files_text("empty", ""), out, sizeof out), 0);
    assert_string_equal(out, "");
    assert_int_equal(text_read(files_path("nothing"), out, sizeof out), -ENOENT);
    assert_int_equal(text_read(files_path("."), out, sizeof out), -EISDIR);
}

static void a_copy_is_whole_or_is_not_there(void **unused) {
    (void)unused;
    char out[16];
    int fd = open(files_text("from", "0123456789"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(lseek(fd, 5, SEEK_SET), 5);
    const char *to = files_path("to");
    assert_int_equal(text_copy(fd, to, 10, 0600), 0);
    assert_int_equal(files_get(to, out, sizeof out), 10);
    assert_string_equal(out, "0123456789");
    assert_int_equal(text_copy(fd, to, 9, 0600), -EFBIG);
    assert_int_equal(files_get(to, out, sizeof out), -1);
    assert_int_equal(symlink(files_path("elsewhere"), to), 0);
    assert_int_equal(text_copy(fd, to, 10, 0600), 0); /* the link is replaced, not followed */
    assert_int_equal(files_get(files_path("elsewhere"), out, sizeof out), -1);
    (void)close(fd);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(text_copy(ends[0], to, 10, 0600), -ESPIPE); /* what could keep it waiting is refused */
    assert_int_equal(files_get(to, out, sizeof out), -1);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void forming_tells_what_did_not_fit(void **unused) {
    (void)unused;
    char out[4];
    assert_true(text_form(out, sizeof out, "%d", 123));
    assert_false(text_form(out, sizeof out, "%d", 1234));
    assert_string_equal(out, "123");
}

static void words_are_split_at_blanks_and_the_last_takes_the_rest(void **unused) {
    (void)unused;
    char *words[3];
    char none[] = "", blanks[] = " \t ", two[] = "\t a  b ", many[] = "a b c d  e ", three[] = "a b c";
    assert_int_equal(text_words(none, words, 3), 0);
    assert_int_equal(text_words(blanks, words, 3), 0);
    assert_int_equal(text_words(two, words, 3), 2);
    assert_string_equal(words[0], "a");
    assert_string_equal(words[1], "b");
    assert_int_equal(text_words(three, words, 3), 3);
    assert_string_equal(words[2], "c");
    assert_int_equal(text_words(many, words, 3), 3);
    assert_string_equal(words[2], "c d  e ");
}

static void a_number_is_digits_within_its_limit(void **unused) {
    (void)unused;
    uint64_t n = 7;
    assert_true(text_number("0", 0, &n) && n == 0);
    assert_true(text_number("18446744073709551615", UINT64_MAX, &n) && n == UINT64_MAX);
    assert_true(text_number("00032", 32, &n) && n == 32);
    static const char *const bad[] = {"", " 1", "1 ", "-1", "+1", "0x1", "1.0", "18446744073709551616", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(text_number(bad[i], UINT64_MAX, &n));
    assert_false(text_number("33", 32, &n));
    assert_false(text_number("9", 5, &n));
    assert_false(text_number("128", 127, &n));
    assert_int_equal(n, 32); /* untouched */
}

static void only_printable_ascii_goes_to_a_console(void **unused) {
    (void)unused;
    char text[] = "a\x1b[2J\r\n\x7f\xc3\xa4~ ";
    text_clean(text);
    assert_string_equal(text, "a?[2J?????~ ");
}

static bool count_some(void *context, const char *name) {
    assert_true(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    return --*(int *)context > 0;
}

static void a_folder_is_gone_through_until_it_is_enough(void **unused) {
    (void)unused;
    char name[32];
    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "folder/a-longer-name-%d", i);
        (void)files_text(name, "");
    }
    int all = 1000, some = 5;
    assert_int_equal(text_folder(files_path("folder"), count_some, &all), 0);
    assert_int_equal(all, 700);
    assert_int_equal(text_folder(files_path("folder"), count_some, &some), 0);
    assert_int_equal(some, 0);
    assert_int_equal(text_folder(files_path("no-folder"), count_some, &some), -ENOENT);
}

/* Programs, and disks, have names that init reads. */
static void a_link_is_not_followed_and_a_fifo_is_not_waited_for(void **unused) {
    (void)unused;
    char text[32] = "", link[256];
    (void)snprintf(link, sizeof link, "%s", files_path("link"));
    assert_int_equal(symlink(files_text("behind", "secret"), link), 0);
    assert_int_equal(text_read(link, text, sizeof text), -ELOOP);
    assert_string_equal(text, "");
    assert_int_equal(mkfifo(files_path("fifo"), 0600), 0);
    assert_int_equal(text_read(files_path("fifo"), text, sizeof text), 0);
}

static void the_last_word_of_a_name_counts(void **unused) {
    (void)unused;
    static const char line[] = "quiet here.console=ttyS0 console=x\there.console=ttyS1 here.consoles=no here.bare xhere.y=1 z=\n";
    static const char *const none[] = {"quiet", "here.bare", "here.y", "here.consol"};
    char value[6] = "";
    assert_true(text_option(line, "here.console", value, sizeof value));
    assert_string_equal(value, "ttyS1");
    assert_true(text_option(line, "z", value, sizeof value));
    assert_string_equal(value, "");
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_false(text_option(line, none[i], value, sizeof value));
    assert_false(text_option("", "quiet", value, sizeof value));
    assert_false(text_option(line, "here.console", value, 5));
}

/* ---- plans ---- */

static bool plan_of(const char *text, struct plan *plan) {
    char fault[128] = "";
    bool good = plan_read(text, plan, fault);
    assert_true(good || fault[0]);
    return good;
}

static void a_plan_is_read(void **unused) {
    (void)unused;
    struct plan plan;
    assert_true(plan_of("number 18446744073709551615\nnode n-1\nconsole ttyS1\nnet any dhcp\nnet what heraclius-net knows\nready\n", &plan));
    assert_true(plan.number == UINT64_MAX);
    assert_string_equal(plan.node, "n-1");
    assert_string_equal(plan.console, "ttyS1");
    assert_true(plan_of("ready", &plan));
    assert_true(plan.number == 0 && plan.node[0] == '\0' && plan.console[0] == '\0');
    assert_true(plan_of("console fifteen-of-them\nready", &plan));
}

static void what_is_no_plan_is_refused(void **unused) {
    (void)unused;
    static const char *const bad[] = {
        "",
        "\n",
        "number 1\n",
        "ready\nready\n",
        "ready\nnumber 1\n",
        "ready now\n",
        "number\nready\n",
        "number -1\nready\n",
        "number 1 2\nready\n",
        "number 18446744073709551616\nready\n",
        "node\nready\n",
        "node a b\nready\n",
        "console\nready\n",
        "console a b\nready\n",
        "console sixteen-of-them-\nready\n",
        "what 1\nready\n",
        "\nready\n",
        "number 1\n\nready\n",
        "net\nready\n",
        "number 1\r\nready\n",
        "node 0123456789012345678901234567890123456789012345678901234567890123\nready\n",
    };
    struct plan plan;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (plan_of(bad[i], &plan)) fail_msg("taken for a plan: %s", bad[i]);
    }
}

static void a_line_of_a_plan_is_so_long(void **unused) {
    (void)unused;
    char text[PLAN_LINE_BYTES + 16];
    struct plan plan;
    (void)snprintf(text, sizeof text, "net %0*d\nready\n", PLAN_LINE_BYTES - 1 - 4, 0);
    assert_true(plan_of(text, &plan));
    (void)snprintf(text, sizeof text, "net %0*d\nready\n", PLAN_LINE_BYTES - 4, 0);
    assert_false(plan_of(text, &plan));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_copy_is_whole_or_is_not_there),
        cmocka_unit_test(forming_tells_what_did_not_fit),
        cmocka_unit_test(words_are_split_at_blanks_and_the_last_takes_the_rest),
        cmocka_unit_test(a_number_is_digits_within_its_limit),
        cmocka_unit_test(only_printable_ascii_goes_to_a_console),
        cmocka_unit_test(a_folder_is_gone_through_until_it_is_enough),
        cmocka_unit_test(a_link_is_not_followed_and_a_fifo_is_not_waited_for),
        cmocka_unit_test(the_last_word_of_a_name_counts),
        cmocka_unit_test(a_plan_is_read),
        cmocka_unit_test(what_is_no_plan_is_refused),
        cmocka_unit_test(a_line_of_a_plan_is_so_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
