/* heraclius-slots: one job, run by init (slots.h), or the trial of a new image (slots_trial.h). */
#include <stdio.h>
#include <string.h>

#include "appliance/slots/slots.h"
#include "appliance/slots/slots_trial.h"
#include "bft/ed25519.h"

static int usage(FILE *out, int code) {
    (void)fputs("usage: heraclius-slots [--root DIR] status|upgrade|bless|rollback|fail   (boot partition on descriptor 4, a release on 3)\n"
                "       heraclius-slots [--root DIR] trial\n"
                "  --root DIR   the folder in which etc, sys, data and run are, for tests\n"
                "init runs it. exit: 0 done; 1 after a line that says why not; 2 usage\n",
                out);
    return code;
}

int main(int count, char **words) {
    static const char *const known[] = {"status", "upgrade", "bless", "rollback", "fail"};
    const char *root = "", *word = NULL;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--help") == 0) return usage(stdout, 0);
        if (strcmp(words[i], "--root") == 0 && i + 1 < count)
            root = words[++i];
        else if (word == NULL && words[i][0] != '-')
            word = words[i];
        else
            return usage(stderr, 2);
    }
    if (word != NULL && strcmp(word, "trial") == 0) return trial_run(root);
    for (size_t i = 0; word != NULL && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(word, known[i]) != 0) continue;
        if (ed25519_start(NULL)) return slots_job(root, word);
        (void)fputs("key-invalid: the Ed25519 library fails its self-test: another release than this program was made for?\n", stderr);
        return 1;
    }
    return usage(stderr, 2);
}
