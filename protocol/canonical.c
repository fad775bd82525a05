/* Canonical JSON: strict readers and the one printer. Files of this area are read and made here too. */
#include "protocol/canonical.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "merkle/check.h"

enum { JSON_FLAGS_PRINT = JSON_INDENT(2) | JSON_SORT_KEYS };

static const uint64_t INTEGER_MAX = (UINT64_C(1) << 53) - 1;

/* A number that the parser cannot hold, at the end of these bytes: it is JSON, and no value of ours (S-4). */
static enum system_error number_error(const char *text, size_t end) {
    bool whole = true;
    for (size_t at = end; at > 0 && strchr("0123456789+-.eE", text[at - 1]) && text[at - 1] != 0; at--)
        whole = whole && text[at - 1] >= '0' && text[at - 1] <= '9';
    return whole ? SYSTEM_FIELD_RANGE : SYSTEM_FIELD_TYPE;
}

enum system_error canonical_parse(json_t **out, const char *text, size_t text_bytes, struct system_fault *fault) {
    json_error_t error;
    json_t *value = json_loadb(text, text_bytes, JSON_REJECT_DUPLICATES, &error);
    *out = NULL;
    if (!value && json_error_code(&error) == json_error_numeric_overflow) {
        return system_fault_set(fault, number_error(text, (size_t)error.position), "line %d, column %d: %s", error.line, error.column, error.text);
    }
    if (!value) return system_fault_set(fault, SYSTEM_NOT_JSON, "line %d, column %d: no valid JSON: %s", error.line, error.column, error.text);
    if (!json_is_object(value)) {
        json_decref(value);
        return system_fault_set(fault, SYSTEM_NOT_JSON, "the outermost value is no JSON object");
    }
    *out = value;
    return SYSTEM_OK;
}

char *canonical_print(const json_t *value, size_t *text_bytes) {
    char *text = json_dumps(value, JSON_FLAGS_PRINT);
    if (!text) return NULL;
    size_t count = strlen(text);
    char *longer = realloc(text, count + 2);
    if (!longer) {
        free(text);
        return NULL;
    }
    longer[count] = '\n';
    longer[count + 1] = 0;
    *text_bytes = count + 1;
    return longer;
}

enum system_error canonical_compare(const char *text, size_t text_bytes, const char *again, size_t again_bytes, struct system_fault *fault) {
    size_t common = text_bytes < again_bytes ? text_bytes : again_bytes;
    size_t line = 1, column = 1, at = 0;
    for (; at < common && text[at] == again[at]; at++) {
        column++;
        if (text[at] != '\n') continue;
        line++;
        column = 1;
    }
    if (at == text_bytes && at == again_bytes) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_NOT_CANONICAL, "line %zu, column %zu: not canonical JSON (order, spaces, spelling or end of the file)",
                            line, column);
}

char *canonical_read_file(const char *path, size_t bytes_max, size_t *bytes, struct system_fault *fault) {
    char *text = NULL;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0) {
        (void)system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "cannot open: %s", strerror(errno));
        return NULL;
    }
    struct stat status;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
        (void)system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "not a regular file");
        goto out;
    }
    if (status.st_size < 0 || (uint64_t)status.st_size > bytes_max) {
        (void)system_fault_set(fault, SYSTEM_TOO_LARGE, "%lld bytes, at most %zu are allowed", (long long)status.st_size, bytes_max);
        goto out;
    }
    size_t size = (size_t)status.st_size, got = 0;
    text = malloc(size + 1);
    if (!text) {
        (void)system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory for %zu bytes", size);
        goto out;
    }
    while (got < size) {
        ssize_t count = read(file, text + got, size - got);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
            (void)system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "cannot read: %s", count < 0 ? strerror(errno) : "the file shrank");
            free(text);
            text = NULL;
            goto out;
        }
        got += (size_t)count;
    }
    text[size] = 0;
    *bytes = size;
out:
    (void)close(file);
    return text;
}

bool canonical_folder_sync(const char *path) {
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t count = slash ? (size_t)(slash - path) : 0;
    if (count >= sizeof folder) return false;
    memcpy(folder, path, count);
    folder[count] = 0;
    int file = open(count > 0 ? folder : (slash ? "/" : "."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return false;
    bool synced = fsync(file) == 0;
    (void)close(file);
    return synced;
}

static enum system_error write_fault(struct system_fault *fault, const char *path, const char *what, int failure) {
    (void)system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "%s: cannot %s: %s", path, what, strerror(failure));
    errno = failure;
    return SYSTEM_FILE_UNREADABLE;
}

enum system_error canonical_write_new(const char *path, const void *bytes, size_t count, unsigned mode, struct system_fault *fault) {
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
    if (file < 0 && errno == EEXIST) return system_fault_set(fault, SYSTEM_FILE_EXISTS, "%s: exists already, and is not overwritten", path);
    if (file < 0) return write_fault(fault, path, "make", errno);
    size_t done = 0;
    bool good = true;
    while (good && done < count) {
        ssize_t wrote = write(file, (const char *)bytes + done, count - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) good = false;
        else done += (size_t)wrote;
    }
    if (good && fsync(file) != 0) good = false;
    int failure = errno;
    if (close(file) != 0 && good) {
        good = false;
        failure = errno;
    }
    if (good && !canonical_folder_sync(path)) {
        good = false;
        failure = errno;
    }
    if (good) return SYSTEM_OK;
    (void)unlink(path); /* ours: O_EXCL made it */
    return write_fault(fault, path, "write", failure);
}

enum system_error canonical_replace(const char *path, const void *bytes, size_t count, unsigned mode, struct system_fault *fault) {
    char fresh[4096];
    int length = snprintf(fresh, sizeof fresh, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof fresh) {
        errno = ENAMETOOLONG;
        return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "%.80s...: the path is too long", path);
    }
    (void)unlink(fresh); /* of a call that was cut off */
    enum system_error error = canonical_write_new(fresh, bytes, count, mode, fault);
    if (error) return error;
    if (rename(fresh, path) == 0 && canonical_folder_sync(path)) return SYSTEM_OK;
    int failure = errno;
    (void)unlink(fresh);
    return write_fault(fault, path, "replace", failure);
}

const char *canonical_path(char *out, const char *path, const char *name) {
    (void)snprintf(out, CANONICAL_PATH_BYTES, "%s%s%s", path, path[0] ? "." : "", name);
    return out;
}

const char *canonical_path_at(char *out, const char *path, const char *name, size_t index) {
    (void)snprintf(out, CANONICAL_PATH_BYTES, "%s%s%s[%zu]", path, path[0] ? "." : "", name, index);
    return out;
}

enum system_error canonical_names(const json_t *object, const char *path, const char *const *names, size_t names_count,
                                  struct system_fault *fault) {
    char where[CANONICAL_PATH_BYTES];
    if (!json_is_object(object)) return system_fault_set(fault, SYSTEM_FIELD_TYPE, "%s: must be an object", path[0] ? path : "file");
    for (size_t i = 0; i < names_count; i++) {
        if (!json_object_get(object, names[i])) {
            return system_fault_set(fault, SYSTEM_FIELD_MISSING, "%s: missing", canonical_path(where, path, names[i]));
        }
    }
    if (json_object_size(object) == names_count) return SYSTEM_OK;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        bool known = false;
        for (size_t i = 0; i < names_count && !known; i++) known = strcmp(names[i], name) == 0;
        if (!known) return system_fault_set(fault, SYSTEM_FIELD_UNKNOWN, "%s: no such field", canonical_path(where, path, name));
    }
    return SYSTEM_OK;
}

static enum system_error get_string(const json_t *object, const char *path, const char *name, const char **text, size_t *text_bytes,
                                    struct system_fault *fault) {
    char where[CANONICAL_PATH_BYTES];
    const json_t *value = json_object_get(object, name);
    if (!value) return system_fault_set(fault, SYSTEM_FIELD_MISSING, "%s: missing", canonical_path(where, path, name));
    if (!json_is_string(value)) return system_fault_set(fault, SYSTEM_FIELD_TYPE, "%s: must be a string", canonical_path(where, path, name));
    *text = json_string_value(value);
    *text_bytes = json_string_length(value);
    return SYSTEM_OK;
}

enum system_error canonical_get_text(const json_t *object, const char *path, const char *name, char *out, size_t text_max,
                                     struct system_fault *fault) {
    char where[CANONICAL_PATH_BYTES];
    const char *text;
    size_t count;
    enum system_error error = get_string(object, path, name, &text, &count, fault);
    if (error) return error;
    bool good = true;
    for (size_t i = 0; i < count && good; i++) good = text[i] >= 0x20 && text[i] <= 0x7E && text[i] != '"' && text[i] != '\\';
    if (!good || count > text_max) {
        return system_fault_set(fault, good ? SYSTEM_FIELD_RANGE : SYSTEM_FIELD_TYPE,
                                "%s: at most %zu printable ASCII characters without quote and backslash", canonical_path(where, path, name),
                                text_max);
    }
    memcpy(out, text, count);
    out[count] = 0;
    return SYSTEM_OK;
}

enum system_error canonical_get_hex(const json_t *object, const char *path, const char *name, uint8_t *out, size_t count,
                                    struct system_fault *fault) {
    char where[CANONICAL_PATH_BYTES];
    const char *text;
    size_t text_bytes;
    enum system_error error = get_string(object, path, name, &text, &text_bytes, fault);
    if (error) return error;
    if (canonical_hex_parse(text, text_bytes, out, count)) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_FIELD_TYPE, "%s: must be %zu lowercase hex digits", canonical_path(where, path, name), 2 * count);
}

enum system_error canonical_get_u64(const json_t *object, const char *path, const char *name, uint64_t lowest, uint64_t highest, uint64_t *out,
                                    struct system_fault *fault) {
    char where[CANONICAL_PATH_BYTES];
    CHECK(highest <= INTEGER_MAX);
    const json_t *value = json_object_get(object, name);
    if (!value) return system_fault_set(fault, SYSTEM_FIELD_MISSING, "%s: missing", canonical_path(where, path, name));
    if (!json_is_integer(value)) return system_fault_set(fault, SYSTEM_FIELD_TYPE, "%s: must be an integer", canonical_path(where, path, name));
    json_int_t number = json_integer_value(value);
    if (number < 0) return system_fault_set(fault, SYSTEM_FIELD_TYPE, "%s: must have no sign", canonical_path(where, path, name));
    if ((uint64_t)number < lowest || (uint64_t)number > highest) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "%s: %lld is not within %llu to %llu", canonical_path(where, path, name),
                                (long long)number, (unsigned long long)lowest, (unsigned long long)highest);
    }
    *out = (uint64_t)number;
    return SYSTEM_OK;
}

enum system_error canonical_get_decimal(const json_t *object, const char *path, const char *name, uint64_t *out, struct system_fault *fault) {
    char where[CANONICAL_PATH_BYTES];
    const char *text;
    size_t count;
    enum system_error error = get_string(object, path, name, &text, &count, fault);
    if (error) return error;
    bool good = count >= 1 && (text[0] != '0' || count == 1), fits = true;
    uint64_t number = 0;
    for (size_t i = 0; i < count && good; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        good = digit <= 9;
        fits = fits && good && number <= (UINT64_MAX - digit) / 10;
        if (fits) number = number * 10 + digit;
    }
    if (!good || !fits) {
        return system_fault_set(fault, good ? SYSTEM_FIELD_RANGE : SYSTEM_FIELD_TYPE, "%s: must be a decimal number below 2^64 in a string",
                                canonical_path(where, path, name));
    }
    *out = number;
    return SYSTEM_OK;
}

enum system_error canonical_get_array(const json_t *object, const char *path, const char *name, size_t lowest, size_t highest,
                                      const json_t **out, struct system_fault *fault) {
    char where[CANONICAL_PATH_BYTES];
    const json_t *value = json_object_get(object, name);
    if (!value) return system_fault_set(fault, SYSTEM_FIELD_MISSING, "%s: missing", canonical_path(where, path, name));
    if (!json_is_array(value)) return system_fault_set(fault, SYSTEM_FIELD_TYPE, "%s: must be an array", canonical_path(where, path, name));
    size_t count = json_array_size(value);
    if (count < lowest || count > highest) {
        return system_fault_set(fault, count < lowest ? SYSTEM_FIELD_RANGE : SYSTEM_TOO_LARGE, "%s: %zu elements, must be %zu to %zu",
                                canonical_path(where, path, name), count, lowest, highest);
    }
    *out = value;
    return SYSTEM_OK;
}

void canonical_hex_print(const uint8_t *bytes, size_t count, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * count] = 0;
}

static int hex_digit(char character) {
    if (character >= '0' && character <= '9') return character - '0';
    if (character >= 'a' && character <= 'f') return character - 'a' + 10;
    return -1;
}

bool canonical_hex_parse(const char *text, size_t text_bytes, uint8_t *out, size_t count) {
    if (text_bytes != 2 * count) return false;
    for (size_t i = 0; i < count; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

json_t *canonical_hex(const uint8_t *bytes, size_t count) {
    char text[2 * SYSTEM_FAULT_BYTES + 1];
    CHECK(2 * count < sizeof text);
    canonical_hex_print(bytes, count, text);
    return json_stringn(text, 2 * count);
}

json_t *canonical_decimal(uint64_t value) {
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return json_string(text);
}
