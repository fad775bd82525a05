/* Puts unsynced pages back after kill -9: see unsynced.h. */
#include "tests/shim/unsynced.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t seed;
static bool at_random;

static uint64_t draw(void) {
    seed += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

__attribute__((noreturn)) static void die(const char *what) {
    fprintf(stderr, "powerloss: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void put_bytes(int fd, const uint8_t *bytes, size_t count, uint64_t offset) {
    if (count > 0 && pwrite(fd, bytes, count, (off_t)offset) != (ssize_t)count) die("write");
}

/* Whether the page goes back; at random a third stays, a third goes back, a third goes back in some of its sectors. */
static bool put_page(int fd, const struct unsynced_record *entry, const uint8_t *bytes) {
    uint64_t offset = entry->page * UNSYNCED_PAGE;
    uint64_t choice = at_random ? draw() % 3 : 1;
    if (choice == 0) return false;
    if (choice == 1) {
        put_bytes(fd, bytes, entry->length, offset);
        return true;
    }
    for (uint32_t at = 0; at < entry->length; at += UNSYNCED_SECTOR) {
        uint32_t count = entry->length - at < UNSYNCED_SECTOR ? entry->length - at : UNSYNCED_SECTOR;
        if (draw() % 2) put_bytes(fd, bytes + at, count, offset + at);
    }
    return true;
}

/* Later records of a page count for more: a D record says what the page is, whatever P record came before. So all are read first. */
struct page {
    struct unsynced_record entry;
    uint8_t bytes[UNSYNCED_PAGE];
};

static int by_page(const void *a, const void *b) {
    uint64_t x = ((const struct page *)a)->entry.page;
    uint64_t y = ((const struct page *)b)->entry.page;
    return x < y ? -1 : x > y;
}

static struct page *read_pages(FILE *undo, size_t *count, uint64_t *durable_size) {
    size_t room = 0;
    size_t used = 0;
    struct page *pages = NULL;
    struct page page;
    while (fread(&page.entry, sizeof page.entry, 1, undo) == 1) {
        if (page.entry.length > UNSYNCED_PAGE || fread(page.bytes, 1, page.entry.length, undo) != page.entry.length) break;
        uint64_t end = page.entry.page * UNSYNCED_PAGE + page.entry.length;
        if (page.entry.kind == 'D' && end > *durable_size) *durable_size = end;
        size_t at = used;
        if (page.entry.kind == 'D') {
            for (at = 0; at < used && pages[at].entry.page != page.entry.page; at++) {}
        }
        if (at == used && used == room) {
            room = room ? room * 2 : 64;
            pages = realloc(pages, room * sizeof *pages);
            if (!pages) die("memory");
        }
        pages[at] = page;
        if (at == used) used++;
    }
    if (used > 1) qsort(pages, used, sizeof *pages, by_page);
    *count = used;
    return pages;
}

static void restore(const char *undo_path) {
    FILE *undo = fopen(undo_path, "rb");
    if (!undo) die(undo_path);
    struct unsynced_head head;
    char path[UNSYNCED_PATH_MAX] = {0};
    if (fread(&head, sizeof head, 1, undo) == 1 && memcmp(head.magic, UNSYNCED_MAGIC, 8) == 0 && head.path_bytes < sizeof path &&
        fread(path, 1, head.path_bytes, undo) == head.path_bytes) {
        size_t count = 0;
        uint64_t durable_size = head.durable_size;
        struct page *pages = read_pages(undo, &count, &durable_size);
        int fd = open(path, O_RDWR);
        size_t back = 0;
        if (fd >= 0) {
            struct stat about;
            if (fstat(fd, &about) != 0) die(path);
            /* At random the file keeps its length: the disk may have got that far. */
            if ((uint64_t)about.st_size < durable_size || !at_random || draw() % 2) {
                if (ftruncate(fd, (off_t)durable_size) != 0) die(path);
            }
            for (size_t i = 0; i < count; i++) back += put_page(fd, &pages[i].entry, pages[i].bytes);
            if (close(fd) != 0) die(path);
        } else if (errno != ENOENT) {
            die(path);
        }
        printf("%s: %zu of %zu unsynced pages put back, %llu bytes\n", path, back, count, (unsigned long long)durable_size);
        free(pages);
    }
    (void)fclose(undo);
    if (unlink(undo_path) != 0) die(undo_path);
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: powerloss DIR [SEED]\n");
        return 2;
    }
    if (argc == 3) {
        at_random = true;
        seed = strtoull(argv[2], NULL, 10);
    }
    DIR *directory = opendir(argv[1]);
    if (!directory) die(argv[1]);
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".undo") != 0) continue;
        char path[UNSYNCED_PATH_MAX + 256];
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        restore(path);
    }
    (void)closedir(directory);
    return 0;
}
