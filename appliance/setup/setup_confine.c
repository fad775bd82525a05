/* What the node's own program may touch when setup runs it once, with --init. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "appliance/setup/setup.h"

#define RUN (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE)
#define OF_A_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE)
/* All that Landlock's first version knows. */
#define HANDLED ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

static bool allow(int ruleset, const char *path, uint64_t access) {
    struct stat about;
    struct landlock_path_beneath_attr beneath = {.allowed_access = access, .parent_fd = open(path, O_PATH | O_CLOEXEC)};
    if (beneath.parent_fd < 0) return errno == ENOENT; /* what is not there is not opened either */
    bool good = fstat(beneath.parent_fd, &about) == 0;
    if (good && !S_ISDIR(about.st_mode)) beneath.allowed_access &= OF_A_FILE;
    good = good && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
    close(beneath.parent_fd);
    return good;
}

bool setup_confine(const char *root, const char *program) {
    static const char *const read[] = {"/bin", "/lib", "/lib64", "/usr/lib", "/etc", "/dev"};
    char own[SETUP_PATH_BYTES];
    struct system_fault fault = {.text = ""};
    const struct landlock_ruleset_attr rules = {.handled_access_fs = HANDLED};
    if (!setup_path(own, root, "/data/node", &fault)) return false;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
    if (ruleset < 0) return errno == ENOSYS || errno == EOPNOTSUPP;
    bool good = allow(ruleset, own, HANDLED & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE) && allow(ruleset, program, RUN) &&
                allow(ruleset, "/dev/null", OF_A_FILE);
    for (size_t i = 0; i < sizeof read / sizeof *read; i++) good = good && allow(ruleset, read[i], RUN);
    good = good && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    close(ruleset);
    return good;
}
