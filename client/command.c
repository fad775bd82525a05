/* What the subcommands share: files, words, values, exit codes. */
#include "client/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 5000 };

const char *command_program = "";

int command_fail(int exit_code, const char *format, ...) {
    va_list arguments;
    fputs("heraclius: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return exit_code;
}

bool command_find_system(struct command *command) {
    static char path[PATH_MAX];
    if (command->system_path) return true;
    command->system_path = getenv("HERACLIUS_SYSTEM");
    if (!command->client_path) command->client_path = getenv("HERACLIUS_CLIENT");
    if (command->system_path && command->system_path[0]) return true;
    const char *slash = strrchr(command_program, '/');
    snprintf(path, sizeof path, "local/system.json");
    if (access(path, R_OK) != 0 && slash) snprintf(path, sizeof path, "%.*s/local/system.json", (int)(slash - command_program), command_program);
    command->system_path = path;
    if (access(path, R_OK) == 0) return true;
    (void)command_fail(EXIT_USAGE, "no system file: give -s FILE or HERACLIUS_SYSTEM, or run `make run` in a checkout first");
    return false;
}

uint32_t command_timeout_ms(const struct command *command) {
    return (uint32_t)command->timeout_s * 1000;
}

struct heraclius *command_open(const struct command *command, int *exit_code) {
    struct heraclius_options options = {
        .system_path = command->system_path, .key_path = command->client_path, .via = command->via, .lock_wait_ms = LOCK_WAIT_MS,
        .predecessor_path = command->predecessor, .statement_path = command->statement, .predecessor_chain_path = command->chain};
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius *db;
    if (!options.key_path && getenv("HERACLIUS_CLIENT")) options.key_path = getenv("HERACLIUS_CLIENT");
    enum heraclius_status status = heraclius_open(&db, &options, why);
    *exit_code = EXIT_USAGE;
    if (status != HERACLIUS_OK) (void)command_fail(EXIT_USAGE, "%s", why);
    return db;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool command_typed(const struct command *command, const char *word, struct command_bytes *out) {
    size_t count = strlen(word);
    out->bytes = malloc(count + 1);
    if (!out->bytes) return false;
    if (!command->hex) {
        memcpy(out->bytes, word, count + 1);
        out->count = count;
        return true;
    }
    out->count = count / 2;
    for (size_t i = 0; i < count; i += 2) {
        int high = hex_digit(word[i]);
        int low = high >= 0 ? hex_digit(word[i + 1]) : -1;
        if (low < 0) {
            free(out->bytes);
            (void)command_fail(EXIT_USAGE, "'%s' is not hex: two digits for each byte", word);
            return false;
        }
        out->bytes[i / 2] = (uint8_t)(high * 16 + low);
    }
    return true;
}

/* How long the file is, if that can be told: "70000 bytes", else "longer". */
static void length_text(FILE *file, size_t bytes_max, char out[64]) {
    struct stat stat;
    bool known = fstat(fileno(file), &stat) == 0 && S_ISREG(stat.st_mode) && (size_t)stat.st_size > bytes_max;
    snprintf(out, 64, known ? "%lld bytes" : "more than %lld bytes", known ? (long long)stat.st_size : (long long)bytes_max);
}

static bool file_is_folder(FILE *file) {
    struct stat stat;
    return fstat(fileno(file), &stat) == 0 && S_ISDIR(stat.st_mode);
}

bool command_read_file(const char *path, size_t bytes_max, const char *limit, struct command_bytes *out) {
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    *out = (struct command_bytes){0};
    if (!file) {
        (void)command_fail(EXIT_USAGE, "%s: %s", path, strerror(errno));
        return false;
    }
    size_t room = 0;
    bool good = true;
    do {
        room = room ? room * 2 : 65536;
        uint8_t *bytes = realloc(out->bytes, room);
        good = bytes != NULL;
        if (!good) break;
        out->bytes = bytes;
        out->count += fread(out->bytes + out->count, 1, room - out->count, file);
    } while (out->count == room && room <= bytes_max);
    if (good && out->count > bytes_max) {
        char length[64];
        length_text(file, bytes_max, length);
        (void)command_fail(EXIT_USAGE, "%s: %s; at most %zu, %s", path, length, bytes_max, limit);
        good = false;
    } else if (!good || ferror(file)) {
        (void)command_fail(EXIT_USAGE, "%s: cannot be read%s", path, file_is_folder(file) ? ": it is a folder" : "");
        good = false;
    }
    if (file != stdin) fclose(file);
    if (!good) free(out->bytes);
    return good;
}

bool command_write_file(const char *path, const uint8_t *bytes, size_t count) {
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "wb");
    bool good = file && fwrite(bytes, 1, count, file) == count && fflush(file) == 0;
    int error = errno;
    if (file && file != stdout && fclose(file) != 0 && good) {
        good = false;
        error = errno;
    }
    if (!good) (void)command_fail(EXIT_USAGE, "%s: %s", path, strerror(error));
    return good;
}

bool command_number(const char *word, int64_t *out) {
    char *end;
    errno = 0;
    long long value = strtoll(word, &end, 10);
    if (errno != 0 || end == word || *end || word[0] == '+' || word[0] == ' ') return false;
    *out = value;
    return true;
}

bool command_version(const char *word, struct heraclius_version *out) {
    char *end;
    errno = 0;
    if (word[0] < '0' || word[0] > '9') return false;
    out->height = strtoull(word, &end, 10);
    if (errno != 0 || *end != '.' || end[1] < '0' || end[1] > '9') return false;
    unsigned long index = strtoul(end + 1, &end, 10);
    if (errno != 0 || *end || index > UINT32_MAX) return false;
    out->index = (uint32_t)index;
    return true;
}

int command_code_exit(enum heraclius_code code) {
    if (code == HERACLIUS_CODE_OK || code == HERACLIUS_CODE_RECORDED) return EXIT_DONE;
    if (code == HERACLIUS_CODE_QUOTA) return EXIT_REFUSED;
    if (code == HERACLIUS_CODE_BUSY || code == HERACLIUS_CODE_TOO_NEW || code == HERACLIUS_CODE_RECORDS_FULL) return EXIT_UNANSWERED;
    return code >= HERACLIUS_CODE_RIGHTS ? EXIT_REFUSED : EXIT_NO;
}

/* Of a call without an outcome: was it for lack of quota, or of rights? The library's text begins with the code of the last part. */
static bool why_refused(const char *why) {
    static const char *const codes[] = {"QUOTA", "REVOKED", "RIGHTS"};
    if (strncmp(why, "no coordinator cluster lets", 27) == 0) return true;
    const char *code = strncmp(why, "shard ", 6) == 0 ? strstr(why, ": ") : NULL;
    for (size_t i = 0; code && i < sizeof codes / sizeof codes[0]; i++) {
        if (strncmp(code + 2, codes[i], strlen(codes[i])) == 0) return true;
    }
    return false;
}

int command_why_exit(const char *why) {
    return why_refused(why) ? EXIT_REFUSED : EXIT_UNANSWERED;
}

int command_status_exit(const struct heraclius_request *request, enum heraclius_status status) {
    const char *why = heraclius_why(request);
    bool any = false; /* parts for other shards may have an answer, writes among them */
    for (size_t i = 0; i < heraclius_request_count(request); i++) any = any || heraclius_result_at(request, i);
    switch (status) {
    case HERACLIUS_DONE: return EXIT_DONE;
    case HERACLIUS_REFUSED: return command_fail(EXIT_REFUSED, "refused: %s", why);
    case HERACLIUS_UNSETTLED:
        return command_fail(
            command_why_exit(why),
            "no verified answer in time (%s). The write is unsettled: it may yet happen. `heraclius settle` lists it, `heraclius settle "
            "--retry` or `--cancel` settles it",
            why);
    case HERACLIUS_UNAVAILABLE:
        return command_fail(command_why_exit(why), "no verified answer in time (%s). %s", why,
                            any ? "What has an answer is shown; nothing else was changed" : "Nothing was changed");
    default: return command_fail(EXIT_USAGE, "%s", why);
    }
}

void command_bytes_json(json_t *object, const char *name, const uint8_t *bytes, size_t count, bool hex) {
    json_t *text = hex ? NULL : json_stringn((const char *)bytes, count);
    if (text) {
        json_object_set_new(object, name, text);
        return;
    }
    char *digits = malloc(2 * count + 1);
    char field[64];
    if (!digits) return;
    for (size_t i = 0; i < count; i++) snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
    digits[2 * count] = 0;
    snprintf(field, sizeof field, "%s_hex", name);
    json_object_set_new(object, field, json_string(digits));
    free(digits);
}

json_t *command_result_json(const struct heraclius_result *result, bool hex) {
    json_t *object = json_object();
    json_object_set_new(object, "code", json_string(heraclius_code_name(result->code)));
    if (result->has_value) {
        command_bytes_json(object, "value", result->value ? result->value : (const uint8_t *)"", result->value_bytes, hex);
    } else if (result->value_bytes > 0) {
        json_object_set_new(object, "value_bytes", json_integer((json_int_t)result->value_bytes));
    }
    if (result->has_version) {
        char version[40];
        snprintf(version, sizeof version, "%llu.%u", (unsigned long long)result->version.height, result->version.index);
        json_object_set_new(object, "version", json_string(version));
    }
    if (result->recorded) json_object_set_new(object, "recorded", json_true());
    json_object_set_new(object, "shard", json_integer((json_int_t)result->shard));
    json_object_set_new(object, "height", json_integer((json_int_t)result->height));
    return object;
}

void command_print_json(json_t *object) {
    json_dumpf(object, stdout, JSON_SORT_KEYS);
    putchar('\n');
    json_decref(object);
}

void command_print_value(const struct command *command, const uint8_t *bytes, size_t count) {
    if (command->hex) {
        for (size_t i = 0; i < count; i++) printf("%02x", bytes[i]);
    } else {
        fwrite(bytes, 1, count, stdout);
    }
    putchar('\n');
}
