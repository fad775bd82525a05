/* heraclius batch: a list of operations, one a line, results in order. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/command.h"

enum { BATCH_FILE_BYTES_MAX = 256 << 20, WORDS_MAX = 8 };

struct line {
    const struct command *command;
    const char *path;
    int number;
    const char **words;
    int count;
};

static bool line_fail(const struct line *line, const char *what) {
    (void)command_fail(EXIT_USAGE, "%s, line %d: %s", line->path, line->number, what);
    return false;
}

static bool typed(const struct line *line, int word, struct command_bytes *out) {
    return command_typed(line->command, line->words[word], out) || line_fail(line, "not hex");
}

static bool line_add(const struct line *line, struct heraclius_request *request, const struct command_bytes *key) {
    int64_t delta;
    int64_t floor = 0;
    bool with_floor = line->count == 5 && strcmp(line->words[3], "--floor") == 0;
    if (line->count != 3 && !with_floor) return line_fail(line, "add KEY N [--floor M]");
    if (!command_number(line->words[2], &delta)) return line_fail(line, "N is not a whole number of 64 bits");
    if (with_floor && !command_number(line->words[4], &floor)) return line_fail(line, "M is not a whole number of 64 bits");
    heraclius_add(request, key->bytes, key->count, delta, with_floor ? &floor : NULL);
    return true;
}

static bool line_put(const struct line *line, struct heraclius_request *request, const struct command_bytes *key) {
    bool if_absent = line->count == 4 && strcmp(line->words[3], "--if-absent") == 0;
    struct command_bytes value;
    if (line->count != 3 && !if_absent) return line_fail(line, "put KEY VALUE [--if-absent]");
    if (!typed(line, 2, &value)) return false;
    if (if_absent) {
        heraclius_put_if_absent(request, key->bytes, key->count, value.bytes, value.count);
    } else {
        heraclius_put(request, key->bytes, key->count, value.bytes, value.count);
    }
    free(value.bytes);
    return true;
}

static bool line_cas(const struct line *line, struct heraclius_request *request, const struct command_bytes *key) {
    struct command_bytes old = {0};
    struct command_bytes new = {0};
    if (line->count != 4) return line_fail(line, "cas KEY OLD NEW");
    bool good = typed(line, 2, &old) && typed(line, 3, &new);
    if (good) heraclius_cas(request, key->bytes, key->count, old.bytes, old.count, new.bytes, new.count);
    free(old.bytes);
    free(new.bytes);
    return good;
}

static bool line_check(const struct line *line, struct heraclius_request *request, const struct command_bytes *key) {
    struct heraclius_version version;
    if (line->count != 3) return line_fail(line, "check KEY VERSION, VERSION as --json prints it, or `absent`");
    bool absent = strcmp(line->words[2], "absent") == 0;
    if (!absent && !command_version(line->words[2], &version)) return line_fail(line, "a version is HEIGHT.INDEX, or `absent`");
    heraclius_check(request, key->bytes, key->count, absent ? NULL : &version);
    return true;
}

static bool line_operation(const struct line *line, struct heraclius_request *request, uint32_t accept_bytes) {
    const char *verb = line->words[0];
    struct command_bytes key;
    if (line->count < 2) return line_fail(line, "an operation and a key");
    if (!typed(line, 1, &key)) return false;
    bool good;
    if (strcmp(verb, "get") == 0) {
        good = line->count == 2 || line_fail(line, "get KEY");
        if (good) heraclius_get(request, key.bytes, key.count, accept_bytes, true);
    } else if (strcmp(verb, "del") == 0) {
        good = line->count == 2 || line_fail(line, "del KEY");
        if (good) heraclius_delete(request, key.bytes, key.count);
    } else if (strcmp(verb, "put") == 0) {
        good = line_put(line, request, &key);
    } else if (strcmp(verb, "cas") == 0) {
        good = line_cas(line, request, &key);
    } else if (strcmp(verb, "add") == 0) {
        good = line_add(line, request, &key);
    } else if (strcmp(verb, "check") == 0) {
        good = line_check(line, request, &key);
    } else {
        good = line_fail(line, "unknown operation: get, put, del, cas, add and check are known");
    }
    free(key.bytes);
    return good;
}

/* Every line of the file into the request. `text` is NUL-terminated. */
static bool lines_take(const struct command *command, const char *path, char *text, struct heraclius_request *request) {
    int number = 0;
    char *rest = text;
    for (char *row = strsep(&rest, "\n"); row; row = strsep(&rest, "\n")) {
        number++;
        while (isspace((unsigned char)*row)) row++;
        if (!*row || *row == '#') continue;
        struct line line = {.command = command, .path = path, .number = number};
        if (poptParseArgvString(row, &line.count, &line.words) != 0) return line_fail(&line, "an unclosed quote");
        bool good = line.count <= WORDS_MAX && line_operation(&line, request, HERACLIUS_VALUE_BYTES_MAX);
        free(line.words);
        if (!good) return false;
    }
    if (heraclius_request_count(request) > 0) return true;
    (void)command_fail(EXIT_USAGE, "%s: no operation in it", path);
    return false;
}

static void print_one(const struct command *command, size_t index, const struct heraclius_result *result) {
    if (!result) {
        printf("%zu no answer\n", index + 1);
        return;
    }
    printf("%zu %s", index + 1, heraclius_code_name(result->code));
    if (result->has_value && result->value_bytes > 0) {
        putchar(' ');
        command_print_value(command, result->value, result->value_bytes);
    } else {
        putchar('\n');
    }
}

static int show(const struct command *command, const struct heraclius_request *request) {
    int exit_code = EXIT_DONE;
    json_t *list = command->json ? json_array() : NULL;
    for (size_t i = 0; i < heraclius_request_count(request); i++) {
        const struct heraclius_result *result = heraclius_result_at(request, i);
        if (result && command_code_exit(result->code) == EXIT_NO) exit_code = EXIT_NO;
        if (list) {
            json_array_append_new(list, result ? command_result_json(result, command->hex != 0) : json_null());
        } else {
            print_one(command, i, result);
        }
    }
    if (list) command_print_json(list);
    return exit_code;
}

int command_batch(const struct command *command) {
    struct command_bytes file;
    int exit_code;
    if (!command_read_file(command->words[0], BATCH_FILE_BYTES_MAX, "the most that a list may have", &file)) return EXIT_USAGE;
    if (memchr(file.bytes, 0, file.count)) {
        free(file.bytes);
        return command_fail(EXIT_USAGE, "%s: has a zero byte; it is a text file, use --hex for binary keys and values", command->words[0]);
    }
    uint8_t *text = realloc(file.bytes, file.count + 1);
    if (!text) {
        free(file.bytes);
        return command_fail(EXIT_USAGE, "no memory");
    }
    text[file.count] = 0;
    struct heraclius *db = command_open(command, &exit_code);
    if (db) {
        struct heraclius_request *request = heraclius_request_new(db);
        exit_code = EXIT_USAGE;
        if (request && lines_take(command, command->words[0], (char *)text, request)) {
            if (command->atomic) heraclius_request_flags(request, HERACLIUS_ATOMIC);
            enum heraclius_status status = heraclius_call(request, command_timeout_ms(command));
            exit_code = command_status_exit(request, status);
            if (status == HERACLIUS_DONE) command_effect("the list was executed");
            int shown = status != HERACLIUS_BAD_ARGUMENT ? show(command, request) : EXIT_DONE;
            if (exit_code == EXIT_DONE) exit_code = shown;
        }
        heraclius_request_free(request);
        heraclius_close(db);
    }
    free(text);
    return exit_code;
}
