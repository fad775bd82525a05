/* heraclius-setup: one job, run by init (setup.h). */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "appliance/setup/setup.h"
#include "bft/ed25519.h"

static int usage(FILE *out, int code) {
    (void)fputs("usage: heraclius-setup [--root DIR] plan|take|files   (the configuration on descriptor 3)\n"
                "       heraclius-setup [--root DIR] owner HEX|retire\n"
                "       heraclius-setup [--root DIR] [--name NAME] keys\n"
                "  --root DIR   the folder in which etc, data and run are, for tests\n"
                "  --name NAME  what the node is called in its card; at the first time alone\n"
                "init runs it. exit: 0 done; 1 after a line that says why not; 2 usage\n",
                out);
    return code;
}

int main(int count, char **words) {
    const char *root = "", *name = NULL, *job = NULL, *owner = NULL;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--help") == 0) return usage(stdout, 0);
        if (strcmp(words[i], "--root") == 0 && i + 1 < count)
            root = words[++i];
        else if (strcmp(words[i], "--name") == 0 && i + 1 < count)
            name = words[++i];
        else if (job == NULL && words[i][0] != '-')
            job = words[i];
        else if (job != NULL && owner == NULL && strcmp(job, "owner") == 0)
            owner = words[i];
        else
            return usage(stderr, 2);
    }
    if (job == NULL || (name != NULL && strcmp(job, "keys") != 0)) return usage(stderr, 2);
    (void)prctl(PR_SET_DUMPABLE, 0); /* keys never lie in a core dump */
    if (!ed25519_start(NULL)) {
        (void)fputs("key-invalid: the Ed25519 library fails its self-test: another release than this program was made for?\n", stderr);
        return 1;
    }
    if (strcmp(job, "plan") == 0) return setup_plan(root);
    if (strcmp(job, "take") == 0) return setup_take(root);
    if (strcmp(job, "keys") == 0) return setup_keys(root, name);
    if (strcmp(job, "files") == 0) return setup_files(root);
    if (strcmp(job, "retire") == 0) return setup_retire(root);
    if (strcmp(job, "owner") == 0 && owner != NULL) return setup_owner_pin(root, owner);
    return usage(stderr, 2);
}
