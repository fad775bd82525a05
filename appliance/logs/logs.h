/*
 * What the programs of a machine, init and a kernel that crashed had to say, on the data disk: heraclius-logs, run by init as a user of its own,
 * which may write these files and nothing else. So a disk that takes its time, or is full, keeps lines, and never init.
 *
 *   begin NAME ...   a job, once in a start of the machine, before "keep": of each log the newest LOGS_BEFORE_BYTES that earlier starts wrote go
 *                    into run/log/NAME.before, where init reads them without a disk; then a line of its own into the file, where this start begins.
 *                    Records of a crash (sys/fs/pstore) become the log "crash", in run/log/crash as well, and are gone from the firmware's store
 *                    once they are durable. Prints a line for init if there were any, or if one could not be kept.
 *   keep             as long as the machine runs: lines on descriptor 0 (SOCK_SEQPACKET), each packet NAME, 0x0A, bytes of its log. Durable
 *                    LOGS_SYNC_MS after they came at the latest: what was said before a panic is there afterwards. TERM: takes what there is, ends.
 *
 * data/log/NAME and NAME.1 have at most LOGS_FILE_BYTES each, in turn. A line that cannot be written is lost; that, and why, is printed once, and the
 * file says where lines are missing once it takes some again. A file of another user (of an image before this one) becomes NAME.1.
 */
#ifndef APPLIANCE_LOGS_H
#define APPLIANCE_LOGS_H

#include <stdbool.h>
#include <stddef.h>

enum { LOGS_MAX = 16, LOGS_NAME_BYTES = 16, LOGS_FILE_BYTES = 1 << 20, LOGS_BEFORE_BYTES = 65536, LOGS_RECORD_BYTES = 65536 };
enum { LOGS_SYNC_MS = 1000, LOGS_CRASHES_MAX = 64, LOGS_CRASH_BYTES = 65536, LOGS_PATH_BYTES = 512 };

struct logs {
    char folder[LOGS_PATH_BYTES / 2];
    unsigned count;
    struct logs_file {
        char name[LOGS_NAME_BYTES];
        int fd;
        size_t bytes;
        bool is_dirty, is_missing; /* not durable yet; lines were lost */
    } files[LOGS_MAX];
};

/* A packet of "keep". NULL: it is written; else why not. */
const char *logs_take(struct logs *logs, const char *packet, size_t count);
/* NULL: all that was written is durable; else why not. */
const char *logs_sync(struct logs *logs);

/* "begin" of one log. False: there was nothing, or it cannot be read. */
bool logs_begin(const char *root, const char *name);
/* Records of a crash, at most LOGS_CRASHES_MAX, by name, the last one first, as the kernel numbers the pieces of its log from the end. Returns how
 * many were kept; `fault`: why one was not, NULL if all were. */
unsigned logs_crashes(const char *root, const char **fault);
/* "keep" of descriptor `from`, until TERM or its end. The exit code. */
int logs_keep(const char *root, int from);

#endif
