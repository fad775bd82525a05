/* heraclius-logs: run by init (logs.h). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "appliance/logs/logs.h"

static int usage(FILE *out, int code) {
    (void)fputs("usage: heraclius-logs [--root DIR] begin NAME ...   once in a start: what earlier starts wrote, for init; records of a crash\n"
                "       heraclius-logs [--root DIR] keep             lines from descriptor 0\n"
                "  --root DIR   the folder in which data, run and sys are, for tests\n"
                "init runs it. exit: 0 done; 1 it cannot; 2 usage\n",
                out);
    return code;
}

static int begin(const char *root, char **names, int count) {
    const char *fault;
    (void)logs_begin(root, "crash"); /* before this start's comes behind it */
    unsigned crashes = logs_crashes(root, &fault);
    for (int i = 0; i < count; i++) (void)logs_begin(root, names[i]);
    if (crashes) (void)printf("the kernel had crashed: its last lines are in the log \"crash\", %u pieces\n", crashes);
    if (fault) (void)printf("the kernel had crashed: its last lines stay in the firmware's store, they cannot be kept: %s\n", fault);
    return 0;
}

int main(int count, char **words) {
    const char *root = "";
    if (count > 2 && strcmp(words[1], "--root") == 0) {
        root = words[2];
        words += 2;
        count -= 2;
    }
    const char *word = count > 1 ? words[1] : "";
    if (strcmp(word, "--help") == 0) return usage(stdout, 0);
    if (count > 2 && strcmp(word, "begin") == 0) return begin(root, words + 2, count - 2);
    if (count == 2 && strcmp(word, "keep") == 0) return logs_keep(root, STDIN_FILENO);
    return usage(stderr, 2);
}
