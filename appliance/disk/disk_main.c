/* heraclius-disk: one job, run by init (disk.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appliance/disk/disk.h"

enum { DEVICE = 4 };

static int usage(FILE *out, int code) {
    (void)fputs("usage: heraclius-disk [--root DIR] survey | look NAME\n"
                "       heraclius-disk blank | format | end             of the disk, or file, on descriptor 4\n"
                "       heraclius-disk grow BYTES                       of the folder on descriptor 4\n"
                "  --root DIR   the folder in which sys and dev are, for tests\n"
                "init runs it. exit: 0 done; 1 after a line that says why not; 2 usage\n",
                out);
    return code;
}

static int end(const char *fault) {
    if (fault != NULL) (void)puts(fault);
    return fault != NULL;
}

static int blank(uint64_t bytes) {
    bool readable;
    uint64_t at;
    if (disk_blank(DEVICE, bytes, &readable, &at)) return 0;
    (void)printf("%s in its MiB %llu\n", readable ? "there is something" : "it cannot be read", (unsigned long long)(at / DISK_STRIDE_BYTES));
    return 1;
}

int main(int count, char **words) {
    static char text[DISK_TEXT_BYTES];
    const char *root = "", *program = words[0];
    if (count > 2 && strcmp(words[1], "--root") == 0) {
        root = words[2];
        words += 2;
        count -= 2;
    }
    const char *word = count > 1 ? words[1] : "";
    if (strcmp(word, "--help") == 0) return usage(stdout, 0);
    if (count == 3 && strcmp(word, "look") == 0) {
        disk_look_named(root, words[2], text, sizeof text);
        return fputs(text, stdout) == EOF;
    }
    if (count == 2 && strcmp(word, "survey") == 0) {
        bool good = disk_survey(root, program, text);
        return fputs(text, stdout) == EOF || !good;
    }
    if (count == 3 && strcmp(word, "grow") == 0) {
        bool grown;
        const char *fault = disk_grow(DEVICE, strtoull(words[2], NULL, 10), &grown);
        if (grown) (void)puts("grown");
        return end(fault);
    }
    off_t size = lseek(DEVICE, 0, SEEK_END);
    if (count == 2 && strcmp(word, "blank") == 0) return size < 0 ? end("no disk on descriptor 4") : blank((uint64_t)size);
    if (count == 2 && strcmp(word, "format") == 0) return end(disk_format(DEVICE, size < 0 ? 0 : (uint64_t)size, "/etc/heraclius/ext4"));
    if (count == 2 && strcmp(word, "end") == 0) return end(disk_format_end(DEVICE));
    return usage(stderr, 2);
}
