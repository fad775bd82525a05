/* Evidence on disk: <data>/evidence/<name>.evidence, for `heraclius evidence verify` and for whoever is to be shown it. A name with a dot in it is
 * that of another proof, and stays as it is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/node/node.h"
#include "merkle/check.h"

enum { PATH_BYTES = 4096 };

/* The whole of it or nothing: a file that is there is whole. */
static bool file_write(const char *path, const char *fresh, const uint8_t *bytes, size_t count) {
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) return false;
    bool good = true;
    for (size_t at = 0; good && at < count;) {
        ssize_t wrote = write(fd, bytes + at, count - at);
        good = wrote > 0 || (wrote < 0 && errno == EINTR);
        if (wrote > 0) at += (size_t)wrote;
    }
    good = good && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    good = good && rename(fresh, path) == 0;
    if (!good) (void)unlink(fresh);
    return good;
}

void node_evidence(const struct node *node, const struct replica_output *output) {
    char folder[PATH_BYTES], path[PATH_BYTES + 512], fresh[PATH_BYTES + 520];
    CHECK((size_t)snprintf(folder, sizeof folder, "%s/evidence", node->config.data) < sizeof folder);
    (void)snprintf(path, sizeof path, "%s/%s%s", folder, output->text, strchr(output->text, '.') != NULL ? "" : ".evidence");
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    if (access(path, F_OK) == 0) return; /* of an earlier run */
    const struct blob_piece *piece = &output->pieces[0];
    bool good = (mkdir(folder, 0750) == 0 || errno == EEXIST) && file_write(path, fresh, blob_piece_bytes(piece), piece->count);
    if (good)
        log_event(LOG_LEVEL_WARN, "evidence_kept", "file=%s bytes=%zu", path, piece->count);
    else
        log_event(LOG_LEVEL_ERROR, "evidence_lost", "file=%s cause=\"%s\"", path, strerror(errno));
}
