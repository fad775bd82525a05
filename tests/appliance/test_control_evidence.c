/* Evidence by the control socket (appliance/status/control_evidence.c): what is handed out, and what is not, whatever is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "appliance/admin/admin.h"
#include "appliance/status/control.h"

static char folder[64], socket_path[80];
static struct control *control;

static void snapshot(void *context, struct status_node *status) {
    (void)context;
    memset(status, 0, sizeof *status);
    status->data = folder;
}

static void decide(void *context) {
    (void)context;
}

static const char *path_of(const char *name) {
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Byte i is i * 7 + i / 256. */
static void file_make(const char *name, size_t bytes) {
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    for (size_t i = 0; i < bytes; i++) assert_int_not_equal(fputc((int)((i * 7 + i / 256) & 255), file), EOF);
    assert_int_equal(fclose(file), 0);
}

static int begin(void **state) {
    char text[CONTROL_TEXT_BYTES] = "";
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/heraclius-evidence-XXXXXX");
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(socket_path, sizeof socket_path, "%s/control.sock", folder);
    control = control_start(socket_path, snapshot, decide, NULL, text);
    return control != NULL && mkdir(path_of("evidence"), 0750) == 0 ? 0 : -1;
}

static int end(void **state) {
    char command[100];
    (void)state;
    control_stop(control);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static json_t *asked(const char *more) {
    char question[600];
    snprintf(question, sizeof question, "{\"ask\":\"evidence\"%s}\n", more);
    size_t bytes;
    char *said = admin_ask_line(socket_path, question, &bytes);
    assert_non_null(said);
    json_t *answer = json_loadb(said, bytes, 0, NULL);
    free(said);
    assert_true(json_is_object(answer));
    return answer;
}

static json_t *piece_of(const char *file, unsigned long long offset) {
    char more[500];
    snprintf(more, sizeof more, ",\"file\":\"%s\",\"from\":%llu", file, offset);
    return asked(more);
}

/* What the piece holds; how many bytes. */
static size_t decode(const json_t *answer, uint8_t *out) {
    const char *text = json_string_value(json_object_get(answer, "hex"));
    assert_non_null(text);
    size_t count = strlen(text) / 2;
    assert_int_equal(strlen(text), 2 * count);
    for (size_t i = 0; i < count; i++) {
        unsigned byte;
        char two[3] = {text[2 * i], text[2 * i + 1], '\0'};
        assert_int_equal(strspn(two, "0123456789abcdef"), 2);
        assert_int_equal(sscanf(two, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return count;
}

static void a_file_comes_whole_in_pieces_whatever_its_length(void **state) {
    (void)state;
    static const size_t lengths[] = {1, 2, 3, CONTROL_PIECE_BYTES - 1, CONTROL_PIECE_BYTES, CONTROL_PIECE_BYTES + 1,
                                     3 * CONTROL_PIECE_BYTES + 2};
    static uint8_t got[4 * CONTROL_PIECE_BYTES];
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t used = 0, pieces = 0;
        file_make("evidence/two_commits-s0-member0-epoch6.evidence", lengths[i]);
        do {
            json_t *answer = piece_of("two_commits-s0-member0-epoch6.evidence", used);
            assert_int_equal(json_integer_value(json_object_get(answer, "bytes")), lengths[i]);
            assert_int_equal(json_integer_value(json_object_get(answer, "from")), used);
            used += decode(answer, got + used);
            json_decref(answer);
            pieces++;
        } while (used < lengths[i] && pieces < 10);
        assert_int_equal(used, lengths[i]);
        assert_int_equal(pieces, (lengths[i] + CONTROL_PIECE_BYTES - 1) / CONTROL_PIECE_BYTES);
        for (size_t at = 0; at < used; at++) assert_int_equal(got[at], (at * 7 + at / 256) & 255);
    }
    for (size_t behind = 0; behind < 2; behind++) {
        json_t *answer = piece_of("two_commits-s0-member0-epoch6.evidence", 3 * CONTROL_PIECE_BYTES + 2 + behind);
        assert_string_equal(json_string_value(json_object_get(answer, "error")), "the file is not as long");
        json_decref(answer);
    }
}

/* 65,536 bytes with its line end. */
static void the_longest_answers_are_short_enough(void **state) {
    (void)state;
    char name[CONTROL_EVIDENCE_NAME_MAX + 1], path[200];
    memset(name, 'n', sizeof name);
    name[CONTROL_EVIDENCE_NAME_MAX] = '\0';
    for (int i = 0; i < CONTROL_EVIDENCE_MAX + 1; i++) {
        snprintf(path, sizeof path, "evidence/%.*s%03d", CONTROL_EVIDENCE_NAME_MAX - 3, name, i);
        file_make(path, i == 0 ? 2 * CONTROL_PIECE_BYTES : 1);
    }
    json_t *list = control_evidence_json(folder);
    assert_int_equal(json_array_size(json_object_get(list, "evidence")), CONTROL_EVIDENCE_MAX);
    assert_in_range(json_dumpb(list, NULL, 0, JSON_COMPACT), 1, 65535);
    snprintf(path, sizeof path, "%.*s000", CONTROL_EVIDENCE_NAME_MAX - 3, name);
    json_t *piece = control_evidence_piece_json(folder, path, CONTROL_PIECE_BYTES);
    assert_int_equal(json_string_length(json_object_get(piece, "hex")), 2 * CONTROL_PIECE_BYTES);
    assert_in_range(json_dumpb(piece, NULL, 0, JSON_COMPACT), 1, 65535);
    json_decref(list);
    json_decref(piece);
}

static void nothing_but_files_of_that_folder_is_listed_or_handed_out(void **state) {
    (void)state;
    char longest[CONTROL_EVIDENCE_NAME_MAX + 2], path[200];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    file_make("secret", 10);
    file_make("evidence/good.evidence", 10);
    file_make("evidence/.hidden", 10);
    file_make("evidence/half.evidence.new", 10);
    file_make("evidence/with space", 10);
    snprintf(path, sizeof path, "evidence/%s", longest);
    file_make(path, 10);
    assert_int_equal(mkdir(path_of("evidence/inner"), 0750), 0);
    file_make("evidence/inner/deep", 10);
    assert_int_equal(mkfifo(path_of("evidence/pipe"), 0600), 0);
    assert_int_equal(symlink("../secret", path_of("evidence/link")), 0);
    json_t *answer = asked("");
    const json_t *list = json_object_get(answer, "evidence");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "file")), "good.evidence");
    json_decref(answer);
    const char *const names[] = {"",       ".",       "..",   "../secret", "secret", "inner", "inner/deep", "pipe",          "link", ".hidden",
                                 "./good.evidence",   "/etc/passwd",       "half.evidence.new", "with space", "none.evidence", longest,
                                 "good.evidence/",    "good.evidence/../good.evidence",         "good%2eevidence"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        answer = piece_of(names[i], 0);
        assert_string_equal(json_string_value(json_object_get(answer, "error")), "no such file of evidence");
        assert_int_equal(json_object_size(answer), 1);
        json_decref(answer);
    }
    longest[CONTROL_EVIDENCE_NAME_MAX] = '\0'; /* one letter less is a name */
    snprintf(path, sizeof path, "evidence/%s", longest);
    file_make(path, 10);
    answer = piece_of(longest, 0);
    assert_int_equal(json_integer_value(json_object_get(answer, "bytes")), 10);
    json_decref(answer);
}

static void a_question_that_is_none_is_refused_by_a_word(void **state) {
    (void)state;
    static const char *const more[] = {",\"file\":7", ",\"file\":null", ",\"file\":[\"good.evidence\"]", ",\"from\":0", ",\"file\":\"good.evidence\"",
                                       ",\"file\":\"good.evidence\",\"from\":\"0\"", ",\"file\":\"good.evidence\",\"from\":1.5",
                                       ",\"file\":\"good.evidence\",\"from\":null"};
    static const unsigned long long behind[] = {10, 9223372036854775807u};
    file_make("evidence/good.evidence", 10);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        json_t *answer = asked(more[i]);
        assert_non_null(strstr(json_string_value(json_object_get(answer, "error")), "is asked for by"));
        json_decref(answer);
    }
    for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++) {
        json_t *answer = piece_of("good.evidence", behind[i]);
        assert_string_equal(json_string_value(json_object_get(answer, "error")), "the file is not as long");
        json_decref(answer);
    }
    json_t *answer = asked(",\"file\":\"good.evidence\",\"from\":-1");
    assert_non_null(json_object_get(answer, "error"));
    json_decref(answer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_comes_whole_in_pieces_whatever_its_length, begin, end),
        cmocka_unit_test_setup_teardown(the_longest_answers_are_short_enough, begin, end),
        cmocka_unit_test_setup_teardown(nothing_but_files_of_that_folder_is_listed_or_handed_out, begin, end),
        cmocka_unit_test_setup_teardown(a_question_that_is_none_is_refused_by_a_word, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
