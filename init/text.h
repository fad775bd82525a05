/*
 * Small text without a heap: files of /proc and /sys, words, bounded building of lines, names of a folder.
 *
 * Everything here is bounded by the buffer that the caller gives, always ends its text with \0, and tells when something did not fit.
 */
#ifndef INIT_TEXT_H
#define INIT_TEXT_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads a file of at most size - 1 bytes; a last line's end is taken off. The count of bytes, or -errno (-EFBIG: larger). */
long text_read(const char *path, char *out, size_t size) __attribute__((warn_unused_result));
/* One write to a file that exists (sysfs, procfs, cgroup), or, with TEXT_NEW, into a new one, synced. 0 or -errno. */
enum { TEXT_NEW = O_CREAT | O_TRUNC | O_NOFOLLOW };
int text_write(const char *path, int flags, const char *text);
/* An open file, from its beginning, into a new one of at most `max` bytes, synced; on an error there is none. 0 or -errno. */
int text_copy(int from, const char *path, size_t max, unsigned mode) __attribute__((warn_unused_result));
/* snprintf that tells whether all of it went in. */
bool text_form(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Splits in place at spaces and tabs; at most `max` words, the last one takes the rest when there are more. Returns their count. */
size_t text_words(char *line, char **words, size_t max);
/* The value of the last word `name`=VALUE among those of a line. False: there is none, or it does not fit. */
bool text_option(const char *line, const char *name, char *out, size_t size) __attribute__((warn_unused_result));
/* Decimal, nothing else, at most `max`. */
bool text_number(const char *text, uint64_t max, uint64_t *out) __attribute__((warn_unused_result));
/* Printable ASCII alone: other bytes become '?'. What a device, a disk or a program says goes to a console through this. */
void text_clean(char *text);
/* Calls `each` for every name of a folder but . and .., in the order of the kernel. 0 or -errno; `each` ends it by returning false. */
typedef bool text_name(void *context, const char *name);
int text_folder(const char *path, text_name *each, void *context) __attribute__((warn_unused_result));

#endif
