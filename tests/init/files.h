/* Files of a test in the empty directory that it runs in (TMPDIR, else one of its own below /tmp). */
#ifndef TESTS_INIT_FILES_H
#define TESTS_INIT_FILES_H

#include <stddef.h>

/* A path in the test's directory; the last 8 stay valid. */
const char *files_path(const char *name);
/* Writes a file, its folders made; returns its path. */
const char *files_put(const char *name, const void *bytes, size_t count);
const char *files_text(const char *name, const char *text);
/* The count of bytes, -1: it is not there. */
long files_get(const char *path, char *out, size_t size);

#endif
