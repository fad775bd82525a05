/*
 * LD_PRELOAD: memory that fails. While the file FLIP_FILE exists, a thread looks for its content (a few bytes that nothing else looks like) in the
 * large private mappings of the process, where the table of a node lies, flips one bit in the middle of each place where it is, and removes the file.
 * What lies on the heap is left alone. Unset: the library does nothing.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { WANTED_MAX = 256, MAPPING_BYTES_MIN = 64 << 20, LOOK_MS = 50, PAGE = 4096, PAGES_AT_ONCE = 4096 };

/* Only what is resident: a mapping that was never touched holds nothing, and is not to be made resident by looking. */
static void flip_in(uint8_t *from, uint8_t *to, const uint8_t *wanted, size_t count) {
    static unsigned char resident[PAGES_AT_ONCE];
    while (from < to) {
        size_t bytes = (size_t)(to - from) < (size_t)PAGES_AT_ONCE * PAGE ? (size_t)(to - from) : (size_t)PAGES_AT_ONCE * PAGE;
        if (mincore(from, bytes, resident) != 0) return;
        for (size_t page = 0; page * PAGE < bytes; page++) {
            uint8_t *at = from + page * PAGE, *end = at + PAGE - count;
            if ((resident[page] & 1) == 0) continue;
            for (; at <= end && (at = memchr(at, wanted[0], (size_t)(end - at) + 1)) != NULL; at++) {
                if (memcmp(at, wanted, count) == 0) at[count / 2] ^= 8;
            }
        }
        from += bytes;
    }
}

static void look(const uint8_t *wanted, size_t count) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        char rights[8], rest[256] = "";
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &from, &to, rights, rest) < 3) continue;
        if (rights[0] != 'r' || rights[1] != 'w' || rest[0] != 0 || to - from < (unsigned long)MAPPING_BYTES_MIN) continue;
        flip_in((uint8_t *)from, (uint8_t *)to, wanted, count);
    }
    if (maps != NULL) (void)fclose(maps);
}

static void *watch(void *path) {
    for (;;) {
        static uint8_t wanted[WANTED_MAX];
        struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        ssize_t count = read(fd, wanted, sizeof wanted);
        (void)close(fd);
        if (count >= 8) look(wanted, (size_t)count);
        memset(wanted, 0, sizeof wanted);
        (void)unlink(path);
    }
    return NULL;
}

__attribute__((constructor)) static void begin(void) {
    pthread_t thread;
    char *path = getenv("FLIP_FILE");
    if (path && pthread_create(&thread, NULL, watch, path) == 0) (void)pthread_detach(thread);
}
