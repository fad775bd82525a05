#include "store/journal.h"
#include "merkle/check.h"
#include "store/checksum.h"
#include "store/env.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t magic[4] = {'H', 'J', 'N', 'L'};

enum { BYTES_AT = 4, NUMBER_AT = 8, CHECKSUM_AT = 16, FIRSTS_AT = 24 };

_Static_assert(JOURNAL_BYTES % JOURNAL_ENTRY_BYTES_MAX == 0 && JOURNAL_ENTRY_BYTES_MAX % JOURNAL_BLOCK_BYTES == 0, "the stage fills the file");
_Static_assert(JOURNAL_HEAD_BYTES - FIRSTS_AT == JOURNAL_ENTRY_BYTES_MAX / JOURNAL_BLOCK_BYTES, "a first byte for each block");

static uint32_t blocks_of(uint32_t bytes) {
    return (bytes + JOURNAL_BLOCK_BYTES - 1) / JOURNAL_BLOCK_BYTES * JOURNAL_BLOCK_BYTES;
}

/* The disk wants its writes aligned otherwise, or the file system knows none past its cache: it gets them through that. */
static bool direct_leave(struct journal *journal) {
    int flags = fcntl(journal->fd, F_GETFL);
    journal->direct = flags < 0 || fcntl(journal->fd, F_SETFL, flags & ~O_DIRECT) != 0;
    return !journal->direct;
}

static int write_at(struct journal *journal, uint32_t count, uint32_t at) {
    ssize_t wrote;
    do wrote = pwrite(journal->fd, journal->stage, count, (off_t)at);
    while (wrote < 0 && (errno == EINTR || (errno == EINVAL && journal->direct && direct_leave(journal))));
    return wrote == (ssize_t)count ? 0 : wrote < 0 ? errno : EIO; /* cut short: env_file_status() asks whether the disk is full */
}

static int read_at(struct journal *journal, uint8_t *to, uint32_t count, uint32_t at) {
    ssize_t got;
    do got = pread(journal->fd, to, count, (off_t)at);
    while (got < 0 && (errno == EINTR || (errno == EINVAL && journal->direct && direct_leave(journal))));
    return got == (ssize_t)count ? 0 : got < 0 ? errno : EIO;
}

/* Written over once, whatever a making that was cut off has left, synced, and its name with it. */
static int file_make(struct journal *journal, const char *directory) {
    char folder[STORE_PATH_BYTES_MAX + 32];
    int code = 0;
    memset(journal->stage, 0, JOURNAL_ENTRY_BYTES_MAX);
    for (uint32_t at = 0; code == 0 && at < JOURNAL_BYTES; at += JOURNAL_ENTRY_BYTES_MAX) code = write_at(journal, JOURNAL_ENTRY_BYTES_MAX, at);
    if (code == 0 && fsync(journal->fd) != 0) code = errno;
    if (code) return code;
    (void)snprintf(folder, sizeof folder, "%s/wal", directory);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    code = fsync(fd) != 0 ? errno : 0;
    (void)close(fd);
    return code;
}

static enum store_status file_open(struct journal *journal, const char *directory, bool made, struct store_error *error) {
    static const char lost[] = "it is missing or shorter than it was made: votes that it had are lost";
    struct stat about;
    int flags = O_RDWR | O_DSYNC | O_CLOEXEC | O_NOFOLLOW | (made ? 0 : O_CREAT);
    journal->direct = true;
    journal->fd = open(journal->file, flags | O_DIRECT, 0600);
    if (journal->fd < 0 && errno == EINVAL) {
        journal->direct = false;
        journal->fd = open(journal->file, flags, 0600);
    }
    int code = journal->fd < 0 ? errno : 0;
    if (code == ELOOP || code == EISDIR) return env_fail(error, STORE_FOREIGN, code, journal->file, "no regular file");
    if (code == ENOENT && made) return env_fail(error, STORE_DAMAGED, 0, journal->file, lost);
    if (code) return env_fail(error, env_status_of(code), code, journal->file, "open");
    if (fstat(journal->fd, &about) != 0) return env_fail(error, STORE_IO, errno, journal->file, "open");
    if (!S_ISREG(about.st_mode)) return env_fail(error, STORE_FOREIGN, 0, journal->file, "no regular file");
    if (made && about.st_size < JOURNAL_BYTES) return env_fail(error, STORE_DAMAGED, 0, journal->file, lost);
    code = made ? 0 : file_make(journal, directory);
    return code ? env_fail(error, env_file_status(journal->fd, code), code, journal->file, "make") : STORE_OK;
}

static uint64_t seed_of(const struct store_identity *identity) {
    uint64_t seed = checksum_add(identity->cluster, identity->system_id, STORE_SYSTEM_ID_BYTES);
    return checksum_add(seed, identity->node_id, STORE_NODE_ID_BYTES);
}

enum store_status journal_open(struct journal *journal, const char *directory, const struct store_identity *identity, bool made, uint64_t folded,
                               struct store_error *error) {
    memset(journal, 0, sizeof *journal);
    journal->fd = -1;
    journal->seed = seed_of(identity);
    journal->number = folded;
    int length = snprintf(journal->file, sizeof journal->file, "%s/wal/journal", directory);
    bool fits = length >= 0 && length < (int)sizeof journal->file;
    enum store_status status = fits ? STORE_OK : env_fail(error, STORE_TOO_LONG, 0, directory, "path");
    if (posix_memalign((void **)&journal->stage, JOURNAL_BLOCK_BYTES, JOURNAL_ENTRY_BYTES_MAX) != 0) journal->stage = NULL;
    if (status == STORE_OK && journal->stage == NULL) status = env_fail(error, STORE_NO_MEMORY, 0, journal->file, "open");
    if (status == STORE_OK) status = file_open(journal, directory, made, error);
    if (status != STORE_OK) journal_close(journal);
    return status;
}

void journal_close(struct journal *journal) {
    if (journal->fd >= 0) (void)close(journal->fd);
    free(journal->stage);
    journal->fd = -1;
    journal->stage = NULL;
}

/* Of what is in the stage, as it lies in the file. */
static uint64_t checksum_of(const struct journal *journal, uint64_t number, uint32_t bytes) {
    struct checksum_stream stream = checksum_stream_begin(journal->seed ^ number * UINT64_C(0x9E3779B97F4A7C15));
    checksum_stream_add(&stream, journal->stage + FIRSTS_AT, bytes - FIRSTS_AT);
    return checksum_stream_end(&stream);
}

static void firsts_take(uint8_t *stage, uint32_t bytes) {
    memset(stage + FIRSTS_AT, 0, JOURNAL_HEAD_BYTES - FIRSTS_AT);
    for (uint32_t block = 1; block * JOURNAL_BLOCK_BYTES < bytes; block++) {
        stage[FIRSTS_AT + block] = stage[block * JOURNAL_BLOCK_BYTES];
        stage[block * JOURNAL_BLOCK_BYTES] = 0;
    }
}

static void firsts_put(uint8_t *stage, uint32_t bytes) {
    for (uint32_t block = 1; block * JOURNAL_BLOCK_BYTES < bytes; block++) stage[block * JOURNAL_BLOCK_BYTES] = stage[FIRSTS_AT + block];
}

/* A whole entry at `at`, in the stage: its number and its bytes. *bytes 0: there is none. */
static int entry_read(struct journal *journal, uint32_t at, uint64_t *number, uint32_t *bytes) {
    *bytes = 0;
    if (at >= JOURNAL_BYTES) return 0;
    int code = read_at(journal, journal->stage, JOURNAL_BLOCK_BYTES, at);
    if (code || memcmp(journal->stage, magic, sizeof magic) != 0) return code;
    uint32_t claimed = bytes_get_le32(journal->stage + BYTES_AT);
    *number = bytes_get_le64(journal->stage + NUMBER_AT);
    if (claimed < JOURNAL_HEAD_BYTES || claimed > JOURNAL_ENTRY_BYTES_MAX || blocks_of(claimed) > JOURNAL_BYTES - at) return 0;
    if (claimed > JOURNAL_BLOCK_BYTES)
        code = read_at(journal, journal->stage + JOURNAL_BLOCK_BYTES, blocks_of(claimed) - JOURNAL_BLOCK_BYTES, at + JOURNAL_BLOCK_BYTES);
    if (code) return code;
    if (checksum_of(journal, *number, claimed) == bytes_get_le64(journal->stage + CHECKSUM_AT)) *bytes = claimed;
    return 0;
}

/* From `at` on, the first block that begins like an entry that is newer than the last that was taken; JOURNAL_BYTES: none. In the stage. */
static int newer_find(struct journal *journal, uint32_t *at) {
    while (*at < JOURNAL_BYTES) {
        uint32_t count = JOURNAL_BYTES - *at < JOURNAL_ENTRY_BYTES_MAX ? JOURNAL_BYTES - *at : JOURNAL_ENTRY_BYTES_MAX;
        int code = read_at(journal, journal->stage, count, *at);
        if (code) return code;
        for (uint32_t i = 0; i < count; i += JOURNAL_BLOCK_BYTES, *at += JOURNAL_BLOCK_BYTES) {
            const uint8_t *head = journal->stage + i;
            if (memcmp(head, magic, sizeof magic) == 0 && bytes_get_le64(head + NUMBER_AT) > journal->number) return 0;
        }
    }
    return 0;
}

/* Behind the end there is none. */
static enum store_status end_check(struct journal *journal, struct store_error *error) {
    uint64_t number;
    uint32_t bytes = 0, at = journal->at;
    int code = 0;
    for (; code == 0 && bytes == 0 && at < JOURNAL_BYTES; at += JOURNAL_BLOCK_BYTES) {
        code = newer_find(journal, &at);
        if (code == 0) code = entry_read(journal, at, &number, &bytes);
    }
    if (code) return env_fail(error, env_status_of(code), code, journal->file, "read");
    if (bytes > 0) return env_fail(error, STORE_DAMAGED, 0, journal->file, "an entry is not as it was written, and later ones follow");
    return STORE_ABSENT;
}

enum store_status journal_next(struct journal *journal, struct bytes_cursor *records, struct store_error *error) {
    uint64_t number = 0;
    uint32_t bytes;
    int code = entry_read(journal, journal->at, &number, &bytes);
    if (code) return env_fail(error, env_status_of(code), code, journal->file, "read");
    if (bytes == 0 || number != journal->number + 1) return end_check(journal, error);
    journal->number = number;
    journal->at += blocks_of(bytes);
    firsts_put(journal->stage, bytes);
    *records = bytes_cursor_of(journal->stage + JOURNAL_HEAD_BYTES, bytes - JOURNAL_HEAD_BYTES);
    return STORE_OK;
}

void journal_begin(struct journal *journal) {
    journal->entry = bytes_writer_of(journal->stage, JOURNAL_ENTRY_BYTES_MAX);
    (void)bytes_put_space(&journal->entry, JOURNAL_HEAD_BYTES);
}

int journal_write(struct journal *journal) {
    CHECK(!journal->entry.failed && !journal_is_full(journal));
    uint32_t bytes = (uint32_t)journal->entry.used, count = blocks_of(bytes);
    uint8_t *head = journal->stage;
    memcpy(head, magic, sizeof magic);
    bytes_put_le32(head + BYTES_AT, bytes);
    bytes_put_le64(head + NUMBER_AT, journal->number + 1);
    firsts_take(journal->stage, bytes);
    bytes_put_le64(head + CHECKSUM_AT, checksum_of(journal, journal->number + 1, bytes));
    memset(journal->stage + bytes, 0, count - bytes);
    int code = write_at(journal, count, journal->at); /* O_DSYNC: durable when it returns */
    journal->failed = code != 0;
    if (code) return code;
    journal->number++;
    journal->at += count;
    return 0;
}

bool journal_is_full(const struct journal *journal) {
    return JOURNAL_BYTES - journal->at < JOURNAL_ENTRY_BYTES_MAX;
}

void journal_restart(struct journal *journal) {
    journal->at = 0;
}
