/*
 * confined NAME PROGRAM [WORD ...]: becomes PROGRAM under the filter of system calls that the appliance puts on NAME (init/seccomp.h). For system
 * tests, which run it where users, files and cgroups are not the appliance's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "init/seccomp.h"

int main(int count, char **words) {
    if (count < 3) {
        (void)fprintf(stderr, "confined NAME PROGRAM [WORD ...]\n");
        return 2;
    }
    int result = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : seccomp_apply(words[1]);
    if (result == 0) {
        (void)execv(words[2], words + 2);
        result = -errno;
    }
    (void)fprintf(stderr, "confined: %s as %s: %s\n", words[2], words[1], strerror(-result));
    return 126;
}
