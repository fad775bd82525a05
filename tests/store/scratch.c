#include "tests/store/scratch.h"
#include "merkle/check.h"
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void scratch_make(char path[SCRATCH_PATH_BYTES]) {
    const char *base = getenv("TMPDIR");
    int length = snprintf(path, SCRATCH_PATH_BYTES, "%s/hrc-store-XXXXXX", base ? base : "/tmp");
    CHECK(length > 0 && length < SCRATCH_PATH_BYTES && mkdtemp(path));
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where) {
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

void scratch_remove(const char *path) {
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void scratch_copy(const char *from, const char *to) {
    static char buffer[1 << 16];
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    CHECK(in && out);
    size_t count;
    while ((count = fread(buffer, 1, sizeof buffer, in)) > 0) CHECK(fwrite(buffer, 1, count, out) == count);
    CHECK(fclose(in) == 0 && fclose(out) == 0);
}

uint64_t scratch_file_bytes(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 ? (uint64_t)about.st_size : 0;
}

uint64_t scratch_seed(void) {
    const char *given = getenv("SEED");
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_sec * 1000000007 + (uint64_t)now.tv_nsec;
    printf("seed %llu (SEED=… repeats it)\n", (unsigned long long)seed);
    return seed;
}

uint64_t scratch_draw(uint64_t *state) {
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

struct store_identity scratch_identity(uint8_t fill) {
    struct store_identity identity = {.cluster = 0x00020000, .member = 1};
    memset(identity.system_id, fill, sizeof identity.system_id);
    memset(identity.node_id, 0x55, sizeof identity.node_id);
    return identity;
}

struct store_directory *scratch_directory(const char *root, const struct store_identity *identity) {
    char path[SCRATCH_PATH_BYTES + 16];
    struct store_directory *directory = NULL;
    struct store_error error;
    (void)snprintf(path, sizeof path, "%s/data", root);
    CHECK(store_directory_create(path, identity, &error) == STORE_OK);
    CHECK(store_directory_open(path, &directory, &error) == STORE_OK);
    return directory;
}

int scratch_child(int (*child)(void *context), void *context, unsigned seconds) {
    (void)fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)alarm(seconds);
        int code = child(context);
        _exit(code);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) CHECK(errno == EINTR);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}
