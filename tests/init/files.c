#include "tests/init/files.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

const char *files_path(const char *name) {
    static char folder[128], paths[8][256];
    static unsigned next;
    if (!folder[0]) {
        const char *given = getenv("TMPDIR");
        (void)snprintf(folder, sizeof folder, "%s/init-XXXXXX", given ? given : "/tmp");
        assert_non_null(mkdtemp(folder));
    }
    char *path = paths[next++ % 8];
    assert_true(snprintf(path, sizeof paths[0], "%s/%s", folder, name) < (int)sizeof paths[0]);
    return path;
}

const char *files_put(const char *name, const void *bytes, size_t count) {
    const char *path = files_path(name);
    char folder[256];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        (void)mkdir(folder, 0755);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, count), count);
    assert_int_equal(close(fd), 0);
    return path;
}

const char *files_text(const char *name, const char *text) {
    return files_put(name, text, strlen(text));
}

long files_get(const char *path, char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t count = read(fd, out, size - 1);
    assert_true(count >= 0);
    out[count] = '\0';
    (void)close(fd);
    return (long)count;
}
