#include "store/store.h"
#include "merkle/check.h"
#include "store/env.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct store_directory {
    int lock;
    char path[STORE_PATH_BYTES_MAX + 16]; /* with .making, while it is being made */
};

static enum store_status fail_errno(struct store_error *error, const char *path, const char *what) {
    int code = errno;
    return env_fail(error, env_status_of(code), code, path, what);
}

enum { STRANGER_BYTES = 256 + 24 };

/* What is at `path`: STORE_MISSING nothing, STORE_OK an empty directory, STORE_EXISTS a node's data, STORE_FOREIGN anything else, with the name of
 * what is none of ours. The lost+found of a file system that is mounted there is nothing. */
static enum store_status look(const char *path, char stranger[STRANGER_BYTES]) {
    static const char *const names[] = {"lock", "wal", "state", "transfer", "evidence", "successors"};
    (void)snprintf(stranger, STRANGER_BYTES, "data directory");
    DIR *directory = opendir(path);
    if (!directory) return errno == ENOENT ? STORE_MISSING : errno == EACCES ? STORE_NO_ACCESS : STORE_FOREIGN;
    enum store_status status = STORE_OK;
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, "lost+found") == 0) continue;
        bool ours = false;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) ours = ours || strcmp(entry->d_name, names[i]) == 0;
        if (ours && status != STORE_FOREIGN) status = STORE_EXISTS;
        if (ours) continue;
        status = STORE_FOREIGN;
        (void)snprintf(stranger, STRANGER_BYTES, "it holds \"%s\"", entry->d_name);
    }
    (void)closedir(directory);
    return status;
}

static enum store_status sync_directory(const char *path, struct store_error *error) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno(error, path, "open");
    int failed = fsync(fd);
    int code = errno;
    (void)close(fd);
    if (failed) return env_fail(error, env_status_of(code), code, path, "sync");
    return STORE_OK;
}

/* Removes what a creation that was cut off has left; only names that it makes. */
static void remove_unfinished(const char *making) {
    static const char *const files[] = {"wal/values",     "wal/journal",    "wal/data.mdb", "wal/lock.mdb", "wal",
                                        "state/data.mdb", "state/lock.mdb", "state",        "lock",         ""};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[STORE_PATH_BYTES_MAX + 64];
        (void)snprintf(path, sizeof path, "%s/%s", making, files[i]);
        if (unlink(path) != 0) (void)rmdir(path); /* what cannot be removed makes mkdir fail, which is reported */
    }
}

static enum store_status lock_take(const char *path, int flags, int *out, struct store_error *error) {
    char lock[STORE_PATH_BYTES_MAX + 64];
    (void)snprintf(lock, sizeof lock, "%s/lock", path);
    int fd = open(lock, flags | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return fail_errno(error, lock, flags == 0 ? "open" : "create");
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *out = fd;
        return STORE_OK;
    }
    int code = errno;
    bool taken = code == EWOULDBLOCK;
    (void)close(fd);
    return env_fail(error, taken ? STORE_IN_USE : STORE_IO, taken ? 0 : code, lock, taken ? "another process uses this directory" : "lock");
}

/* *lock: -1, or that of the new directory, also if the rest fails. */
static enum store_status make_inside(const char *making, const struct store_identity *identity, int *lock, struct store_error *error) {
    char path[STORE_PATH_BYTES_MAX + 64];
    *lock = -1;
    if (mkdir(making, 0700) != 0) return fail_errno(error, making, "mkdir");
    enum store_status taken = lock_take(making, O_CREAT | O_EXCL, lock, error);
    if (taken != STORE_OK) return taken;
    const struct env_layout *layouts[] = {&env_layout_wal, &env_layout_state};
    for (unsigned i = 0; i < 2; i++) {
        enum store_status status = env_create(making, layouts[i], identity, error);
        if (status != STORE_OK) return status;
        (void)snprintf(path, sizeof path, "%s/%s", making, layouts[i]->name);
        status = sync_directory(path, error);
        if (status != STORE_OK) return status;
    }
    return sync_directory(making, error);
}

/* The directory that holds `path`. */
static void parent_of(const char *path, char out[STORE_PATH_BYTES_MAX + 1]) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    while (length > 0 && path[length - 1] != '/') length--;
    while (length > 1 && path[length - 1] == '/') length--;
    if (length == 0) {
        memcpy(out, ".", 2);
        return;
    }
    memcpy(out, path, length);
    out[length] = 0;
}

/* What a creation that was cut off has left goes; one that is under way stays. */
static enum store_status making_clear(const char *making, struct store_error *error) {
    int lock;
    enum store_status status = lock_take(making, 0, &lock, error);
    if (status == STORE_IN_USE) return status;
    remove_unfinished(making);
    if (status == STORE_OK) (void)close(lock);
    return STORE_OK;
}

enum store_status store_directory_begin(const char *path, const struct store_identity *identity, struct store_directory **out,
                                        struct store_error *error) {
    size_t length = strlen(path);
    if (length == 0 || length > STORE_PATH_BYTES_MAX) return env_fail(error, STORE_TOO_LONG, 0, path, "path");
    while (length > 1 && path[length - 1] == '/') length--;
    char stranger[STRANGER_BYTES];
    enum store_status found = look(path, stranger);
    if (found != STORE_OK && found != STORE_MISSING) return env_fail(error, found, 0, path, found == STORE_FOREIGN ? stranger : "create");
    struct store_directory *directory = calloc(1, sizeof *directory);
    if (!directory) return env_fail(error, STORE_NO_MEMORY, ENOMEM, path, "create");
    (void)snprintf(directory->path, sizeof directory->path, "%.*s.making", (int)length, path);
    enum store_status status = making_clear(directory->path, error);
    if (status != STORE_OK) {
        free(directory);
        return status;
    }
    status = make_inside(directory->path, identity, &directory->lock, error);
    if (status == STORE_OK) *out = directory;
    else store_directory_abandon(directory);
    return status;
}

void store_directory_abandon(struct store_directory *directory) {
    remove_unfinished(directory->path);
    store_directory_close(directory);
}

enum store_status store_directory_end(struct store_directory *directory, const char *path, struct store_error *error) {
    char parent[STORE_PATH_BYTES_MAX + 1];
    if (rename(directory->path, path) != 0) {
        enum store_status status = fail_errno(error, path, "rename into place");
        store_directory_abandon(directory);
        return status;
    }
    store_directory_close(directory);
    parent_of(path, parent);
    return sync_directory(parent, error);
}

enum store_status store_directory_create(const char *path, const struct store_identity *identity, struct store_error *error) {
    struct store_directory *directory;
    enum store_status status = store_directory_begin(path, identity, &directory, error);
    return status == STORE_OK ? store_directory_end(directory, path, error) : status;
}

/* For the handler: the directory opened first, with what to say around it. Written before the handler is installed, never after. */
struct fault_line {
    char text[STORE_PATH_BYTES_MAX + 320];
    size_t bytes;
};
static struct fault_line bus_line;
static struct fault_line fault_line;

static atomic_flag fault_told = ATOMIC_FLAG_INIT;

/* Several threads read one damaged file at once: the first explains and ends the process, the others wait for that. */
static void on_fault(int number) {
    while (atomic_flag_test_and_set(&fault_told)) (void)pause();
    const struct fault_line *line = number == SIGBUS ? &bus_line : &fault_line;
    (void)!write(STDERR_FILENO, line->text, line->bytes);
    (void)signal(number, SIG_DFL);
    (void)raise(number); /* the default action, once this returns */
}

static void fault_explain(int number, struct fault_line *line, const char *path, const char *what) {
    struct sigaction now;
    if (sigaction(number, NULL, &now) != 0 || now.sa_handler != SIG_DFL) return;
    int length = snprintf(line->text, sizeof line->text, "%s: %s\n", path, what);
    line->bytes = length > 0 && (size_t)length < sizeof line->text ? (size_t)length : 0;
    struct sigaction action = {.sa_handler = on_fault};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, NULL); /* without it the process ends all the same, unexplained */
}

static void faults_explain(const char *path) {
    fault_explain(SIGBUS, &bus_line, path,
                  "damaged: a page of a database cannot be read: the disk failed or the file was cut; keep the disk, look at the system's log; what "
                  "others hold of this node is safe");
    fault_explain(SIGSEGV, &fault_line, path,
                  "memory fault: when it comes again at every start, a page of a database here is damaged; keep the disk; what others hold of this "
                  "node is safe");
}

static enum store_status check_content(const char *path, struct store_error *error) {
    char stranger[STRANGER_BYTES];
    enum store_status found = look(path, stranger);
    if (found == STORE_OK) found = STORE_MISSING; /* an empty directory */
    if (found != STORE_EXISTS) return env_fail(error, found, 0, path, stranger);
    return STORE_OK;
}

enum store_status store_directory_open(const char *path, struct store_directory **out, struct store_error *error) {
    if (strlen(path) == 0 || strlen(path) > STORE_PATH_BYTES_MAX) return env_fail(error, STORE_TOO_LONG, 0, path, "path");
    enum store_status status = check_content(path, error);
    if (status != STORE_OK) return status;
    struct store_directory *directory = calloc(1, sizeof *directory);
    if (!directory) return env_fail(error, STORE_NO_MEMORY, ENOMEM, path, "open");
    (void)snprintf(directory->path, sizeof directory->path, "%s", path);
    status = lock_take(path, 0, &directory->lock, error);
    if (status != STORE_OK) {
        free(directory);
        return status;
    }
    faults_explain(path);
    *out = directory;
    return STORE_OK;
}

void store_directory_close(struct store_directory *directory) {
    if (!directory) return;
    if (directory->lock >= 0) (void)close(directory->lock); /* which unlocks */
    free(directory);
}

const char *store_directory_path(const struct store_directory *directory) {
    return directory->path;
}

static enum store_status layout_remove(const struct store_directory *directory, const struct env_layout *layout, struct store_error *error) {
    static const char *const files[] = {"/data.mdb", "/lock.mdb", ""};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[STORE_PATH_BYTES_MAX + 64];
        (void)snprintf(path, sizeof path, "%s/%s%s", directory->path, layout->name, files[i]);
        int failed = files[i][0] ? unlink(path) : rmdir(path);
        if (failed && errno != ENOENT) return fail_errno(error, path, "remove");
    }
    return sync_directory(directory->path, error);
}

/* A creation that is cut off leaves a folder without an identity, which opens as no environment of ours and is made anew. */
static enum store_status layout_make(const struct store_directory *directory, const struct env_layout *layout, const struct store_identity *identity,
                                     struct store_error *error) {
    char path[STORE_PATH_BYTES_MAX + 64];
    enum store_status status = layout_remove(directory, layout, error);
    if (status == STORE_OK) status = env_create(directory->path, layout, identity, error);
    (void)snprintf(path, sizeof path, "%s/%s", directory->path, layout->name);
    if (status == STORE_OK) status = sync_directory(path, error);
    return status == STORE_OK ? sync_directory(directory->path, error) : status;
}

enum store_status store_state_remake(const struct store_directory *directory, const struct store_identity *identity, struct store_error *error) {
    return layout_make(directory, &env_layout_state, identity, error);
}

enum store_status store_transfer_create(const struct store_directory *directory, const struct store_identity *identity, struct store_error *error) {
    return layout_make(directory, &env_layout_transfer, identity, error);
}

enum store_status store_transfer_remove(const struct store_directory *directory, struct store_error *error) {
    return layout_remove(directory, &env_layout_transfer, error);
}

bool store_transfer_exists(const struct store_directory *directory) {
    char path[STORE_PATH_BYTES_MAX + 64];
    struct stat about;
    (void)snprintf(path, sizeof path, "%s/%s", directory->path, env_layout_transfer.name);
    return lstat(path, &about) == 0;
}

enum store_status store_transfer_promote(const struct store_directory *directory, struct store_error *error) {
    char state[STORE_PATH_BYTES_MAX + 64], transfer[STORE_PATH_BYTES_MAX + 64];
    enum store_status status = layout_remove(directory, &env_layout_state, error);
    if (status != STORE_OK) return status;
    (void)snprintf(state, sizeof state, "%s/%s", directory->path, env_layout_state.name);
    (void)snprintf(transfer, sizeof transfer, "%s/%s", directory->path, env_layout_transfer.name);
    if (rename(transfer, state) != 0) return fail_errno(error, transfer, "rename into place");
    return sync_directory(directory->path, error);
}
