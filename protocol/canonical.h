/*
 * Canonical JSON (spec/system.md 7.1, rules S-1 to S-5): the one form in which the system file, cards and addresses are written.
 *
 * Printable ASCII without `"` and `\` in strings, integers 0 to 2^53-1, objects and arrays; names ascending; two spaces per level, one member or
 * element a line, `"name": value`, `[]` and `{}` when empty, one newline at the end. It is what Python's json.dumps(value, indent=2, sort_keys=True)
 * + "\n" prints. A reader parses strictly, builds its own structure, prints that again and compares bytes: so nothing that it did not understand can
 * be in a file.
 *
 * The field readers name the field in the fault as `path.name` (or `name` when path is empty).
 */
#ifndef PROTOCOL_CANONICAL_H
#define PROTOCOL_CANONICAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/system_error.h"

enum { CANONICAL_PATH_BYTES = 160 };

/* A JSON object out of text, no name twice. The caller owns the reference. */
enum system_error canonical_parse(json_t **out, const char *text, size_t text_bytes, struct system_fault *fault) __attribute__((warn_unused_result));
/* malloc'd text, NUL-terminated; NULL without memory. */
char *canonical_print(const json_t *value, size_t *text_bytes);
/* SYSTEM_OK iff equal, else SYSTEM_NOT_CANONICAL with line and column of the first difference. */
enum system_error canonical_compare(const char *text, size_t text_bytes, const char *again, size_t again_bytes, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* A whole regular file of at most `bytes_max` bytes; malloc'd, NUL-terminated. NULL with the fault set (the text does not name the path). */
char *canonical_read_file(const char *path, size_t bytes_max, size_t *bytes, struct system_fault *fault);
/* A new file, synced with its folder; never over an old one. The text names the path; with file-unreadable, errno is why. */
enum system_error canonical_write_new(const char *path, const void *bytes, size_t count, unsigned mode, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* The same over an old one, in one step: by a file `path`.new, renamed. Nobody else may do that at the same time. */
enum system_error canonical_replace(const char *path, const void *bytes, size_t count, unsigned mode, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* Syncs the folder that holds `path`, so that a name in it survives a power loss. False: errno. */
bool canonical_folder_sync(const char *path) __attribute__((warn_unused_result));

/* `object` is an object and its names are exactly these. */
enum system_error canonical_names(const json_t *object, const char *path, const char *const *names, size_t names_count,
                                  struct system_fault *fault) __attribute__((warn_unused_result));
/* 0 to text_max printable ASCII characters without quote and backslash; `out` has text_max + 1 bytes. */
enum system_error canonical_get_text(const json_t *object, const char *path, const char *name, char *out, size_t text_max,
                                     struct system_fault *fault) __attribute__((warn_unused_result));
/* Exactly `count` bytes as lowercase hex. */
enum system_error canonical_get_hex(const json_t *object, const char *path, const char *name, uint8_t *out, size_t count,
                                    struct system_fault *fault) __attribute__((warn_unused_result));
enum system_error canonical_get_u64(const json_t *object, const char *path, const char *name, uint64_t lowest, uint64_t highest, uint64_t *out,
                                    struct system_fault *fault) __attribute__((warn_unused_result));
/* A u64 that may pass 2^53-1, as a string of decimal digits without leading zeros. */
enum system_error canonical_get_decimal(const json_t *object, const char *path, const char *name, uint64_t *out, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* An array of lowest to highest elements. */
enum system_error canonical_get_array(const json_t *object, const char *path, const char *name, size_t lowest, size_t highest,
                                      const json_t **out, struct system_fault *fault) __attribute__((warn_unused_result));

/* "path.name" or "name"; `out` has CANONICAL_PATH_BYTES bytes; returns it. And "path.name[index]". */
const char *canonical_path(char *out, const char *path, const char *name);
const char *canonical_path_at(char *out, const char *path, const char *name, size_t index);

/* New JSON strings (NULL without memory). */
json_t *canonical_hex(const uint8_t *bytes, size_t count);
json_t *canonical_decimal(uint64_t value);
/* Hex digits and a NUL; `out` has 2 * count + 1 bytes. */
void canonical_hex_print(const uint8_t *bytes, size_t count, char *out);
/* Exactly 2 * count lowercase hex digits. */
bool canonical_hex_parse(const char *text, size_t text_bytes, uint8_t *out, size_t count);

#endif
