/* heraclius get, put, del, cas, add: one operation. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/command.h"

/* Makes the request of one subcommand from its words. False after a line on stderr. */
typedef bool words_take(const struct command *command, struct heraclius_request *request, const struct heraclius_limits *limits);

static bool key_take(const struct command *command, struct command_bytes *key) {
    return command_typed(command, command->words[0], key);
}

/* The value: the second word, --file, or "-" for stdin. */
static bool value_take(const struct command *command, const struct heraclius_limits *limits, struct command_bytes *value) {
    bool word = command->words_count == 2 && strcmp(command->words[1], "-") != 0;
    if (word && !command->file) return command_typed(command, command->words[1], value);
    if (command->file && command->words_count == 2) {
        (void)command_fail(EXIT_USAGE, "put: a value or --file, not both");
        return false;
    }
    if (!command->file && command->words_count < 2) {
        (void)command_fail(EXIT_USAGE, "put: a value, `-` for stdin, or --file FILE is missing");
        return false;
    }
    return command_read_file(command->file ? command->file : "-", limits->value_bytes_max, "value_bytes_max of the system file", value);
}

static bool get_take(const struct command *command, struct heraclius_request *request, const struct heraclius_limits *limits) {
    struct command_bytes key;
    if (!key_take(command, &key)) return false;
    heraclius_get(request, key.bytes, key.count, limits->value_bytes_max, command->json != 0);
    free(key.bytes);
    return true;
}

static bool put_take(const struct command *command, struct heraclius_request *request, const struct heraclius_limits *limits) {
    struct command_bytes key;
    struct command_bytes value;
    if (!key_take(command, &key)) return false;
    if (!value_take(command, limits, &value)) {
        free(key.bytes);
        return false;
    }
    if (command->if_absent) {
        heraclius_put_if_absent(request, key.bytes, key.count, value.bytes, value.count);
    } else {
        heraclius_put(request, key.bytes, key.count, value.bytes, value.count);
    }
    free(key.bytes);
    free(value.bytes);
    return true;
}

static bool del_take(const struct command *command, struct heraclius_request *request, const struct heraclius_limits *limits) {
    (void)limits;
    struct command_bytes key;
    if (!key_take(command, &key)) return false;
    heraclius_delete(request, key.bytes, key.count);
    free(key.bytes);
    return true;
}

static bool cas_take(const struct command *command, struct heraclius_request *request, const struct heraclius_limits *limits) {
    (void)limits;
    struct command_bytes key = {0};
    struct command_bytes old = {0};
    struct command_bytes new = {0};
    bool good = key_take(command, &key) && command_typed(command, command->words[1], &old) && command_typed(command, command->words[2], &new);
    if (good) heraclius_cas(request, key.bytes, key.count, old.bytes, old.count, new.bytes, new.count);
    free(key.bytes);
    free(old.bytes);
    free(new.bytes);
    return good;
}

static bool add_take(const struct command *command, struct heraclius_request *request, const struct heraclius_limits *limits) {
    (void)limits;
    int64_t delta;
    int64_t floor = 0;
    struct command_bytes key;
    if (!command_number(command->words[1], &delta)) {
        (void)command_fail(EXIT_USAGE, "add: '%s' is not a whole number of 64 bits", command->words[1]);
        return false;
    }
    if (command->floor && !command_number(command->floor, &floor)) {
        (void)command_fail(EXIT_USAGE, "add: --floor '%s' is not a whole number of 64 bits", command->floor);
        return false;
    }
    if (!key_take(command, &key)) return false;
    heraclius_add(request, key.bytes, key.count, delta, command->floor ? &floor : NULL);
    free(key.bytes);
    return true;
}

/* What a person reads: the value, the new number, or why not. */
static int show(const struct command *command, const struct heraclius_result *result) {
    int exit_code = command_code_exit(result->code);
    bool get = strcmp(command->name, "get") == 0;
    if (command->json) {
        command_print_json(command_result_json(result, command->hex != 0));
    } else if (exit_code != EXIT_DONE) {
        (void)command_fail(exit_code, "%s: %s", command->name, heraclius_code_name(result->code));
    } else if (get && !result->has_value) {
        return command_fail(EXIT_UNANSWERED, "get: a value of %u bytes, longer than the system file allows", result->value_bytes);
    } else if (get && command->file) {
        if (!command_write_file(command->file, result->value, result->value_bytes)) return EXIT_USAGE;
    } else if (get || strcmp(command->name, "add") == 0) {
        if (result->has_value) command_print_value(command, result->value, result->value_bytes);
    }
    return exit_code;
}

/* The receipt into its file. Without one the answer stands all the same, and so does its exit code, if it is not 0. */
static int receipt_keep(const struct command *command, struct command_keep *keep, const struct heraclius_request *request, int exit_code) {
    bool get = strcmp(command->name, "get") == 0;
    const char *what = exit_code == EXIT_NO ? "the answer is no" : get ? "the value was read" : "the write took effect";
    size_t count;
    const uint8_t *receipt = heraclius_receipt_at(request, 0, &count);
    if (receipt && command_keep_write(keep, receipt, count)) return exit_code;
    if (receipt) {
        (void)command_fail(EXIT_NOT_KEPT, "%s; receipt not kept: %s: %s", what, command->receipt, strerror(errno));
    } else {
        (void)command_fail(EXIT_NOT_KEPT, "%s; done, no receipt: answer too large for one", what);
    }
    return exit_code == EXIT_DONE ? EXIT_NOT_KEPT : exit_code;
}

static int ask(const struct command *command, struct heraclius_request *request, struct command_keep *keep) {
    if (command->receipt) heraclius_request_flags(request, HERACLIUS_RECEIPT);
    enum heraclius_status status = heraclius_call(request, command_timeout_ms(command));
    int exit_code = command_status_exit(request, status);
    const struct heraclius_result *result = heraclius_result_at(request, 0);
    if (status != HERACLIUS_DONE || !result) return exit_code;
    if (result->code == HERACLIUS_CODE_OK && strcmp(command->name, "get") != 0) command_effect("the write took effect");
    exit_code = show(command, result);
    return command->receipt ? receipt_keep(command, keep, request, exit_code) : exit_code;
}

static int run(const struct command *command, words_take *take) {
    int exit_code = EXIT_USAGE;
    struct command_keep keep = {.fd = -1};
    if (command->receipt && !command_keep_open(&keep, command->receipt)) return EXIT_USAGE;
    struct heraclius *db = command_open(command, &exit_code);
    if (db) {
        struct heraclius_limits limits;
        heraclius_limits_get(db, &limits);
        struct heraclius_request *request = heraclius_request_new(db);
        exit_code = request && take(command, request, &limits) ? ask(command, request, &keep) : EXIT_USAGE;
        heraclius_request_free(request);
        heraclius_close(db);
    }
    command_keep_drop(&keep);
    return exit_code;
}

int command_get(const struct command *command) {
    return run(command, get_take);
}

int command_put(const struct command *command) {
    return run(command, put_take);
}

int command_del(const struct command *command) {
    return run(command, del_take);
}

int command_cas(const struct command *command) {
    return run(command, cas_take);
}

int command_add(const struct command *command) {
    return run(command, add_take);
}
