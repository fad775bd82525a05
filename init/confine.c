#include "init/confine.h"
#include "init/say.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES_MAX 10
#define CALLS_MAX 160

#define LANDLOCK_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define LANDLOCK_RUN (LANDLOCK_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define LANDLOCK_CHANGE                                                                                                                            \
    (LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                              \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define LANDLOCK_HANDLED                                                                                                                           \
    (LANDLOCK_CHANGE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO)

static const struct rights {
    const char *name;
    uid_t user; /* and group */
    unsigned capabilities; /* bits */
    const char *memory_max; /* cgroup v2, "max": no limit but the machine's */
    unsigned descriptors;
    unsigned long locked; /* RLIMIT_MEMLOCK */
    const char *own;      /* its folder below /data and /run, made for it; NULL: none */
    struct {
        const char *path; /* what is missing is left out */
        unsigned long long access;
    } files[FILES_MAX];
} all_rights[] = {
    {"node", 100, 1u << CAP_IPC_LOCK, "max", 4096, RLIM_INFINITY, "node",
     {{"/bin", LANDLOCK_RUN}, {"/lib", LANDLOCK_RUN}, {"/lib64", LANDLOCK_RUN}, {"/usr/lib", LANDLOCK_RUN}, {"/proc", LANDLOCK_READ},
      {"/sys/devices/system/cpu", LANDLOCK_READ}, {"/dev/null", LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE},
      {"/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE}, {"/data/node", LANDLOCK_CHANGE}, {"/run/node", LANDLOCK_CHANGE}}},
    {"admin", 101, 0, "64M", 1024, 0, "admin",
     {{"/bin", LANDLOCK_RUN}, {"/lib", LANDLOCK_RUN}, {"/lib64", LANDLOCK_RUN}, {"/usr/lib", LANDLOCK_RUN},
      {"/dev/null", LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE}, {"/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE},
      {"/data/admin", LANDLOCK_CHANGE}, {"/run/admin", LANDLOCK_CHANGE}, {"/run/node", LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE},
      {"/run/init", LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE}}},
    {"console", 102, 0, "32M", 64, 0, "console",
     {{"/bin", LANDLOCK_RUN}, {"/lib", LANDLOCK_RUN}, {"/lib64", LANDLOCK_RUN}, {"/usr/lib", LANDLOCK_RUN},
      {"/etc/terminfo", LANDLOCK_READ}, {"/dev/console", LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE},
      {"/run/console", LANDLOCK_CHANGE}, {"/run/node", LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE},
      {"/run/init", LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE}}},
    {"setup", 103, 0, "32M", 32, 0, "setup",
     {{"/bin", LANDLOCK_RUN}, {"/lib", LANDLOCK_RUN}, {"/lib64", LANDLOCK_RUN}, {"/usr/lib", LANDLOCK_RUN}, {"/etc/heraclius", LANDLOCK_READ},
      {"/dev/null", LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE}, {"/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE}, {"/data/config", LANDLOCK_READ},
      {"/data/public", LANDLOCK_READ}}},
    {"setup-node", 100, 0, "64M", 64, 1 << 20, "public",
     {{"/bin", LANDLOCK_RUN}, {"/lib", LANDLOCK_RUN}, {"/lib64", LANDLOCK_RUN}, {"/usr/lib", LANDLOCK_RUN}, {"/etc/heraclius", LANDLOCK_READ},
      {"/dev/null", LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE}, {"/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE}, {"/data/node", LANDLOCK_CHANGE},
      {"/data/public", LANDLOCK_CHANGE}}},
    {"dhcp", 0, 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW | 1u << CAP_NET_BIND_SERVICE | 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_SYS_CHROOT,
     "16M", 64, 0, "dhcp", {{"/", LANDLOCK_RUN}, {"/run/dhcp", LANDLOCK_CHANGE}, {"/data/dhcp", LANDLOCK_CHANGE}}},
};

static const struct rights *rights_of(const char *name) {
    for (size_t i = 0; i < sizeof all_rights / sizeof *all_rights; i++) {
        if (strcmp(all_rights[i].name, name) == 0) return &all_rights[i];
    }
    return NULL;
}

static void folder(const char *base, const struct rights *rights) {
    char path[64];
    struct stat status;
    if (stat(base, &status) < 0 || !text_form(path, sizeof path, "%s/%s", base, rights->own)) return;
    if (mkdir(path, 0750) < 0 && errno != EEXIST) {
        if (errno != EROFS) say("%s: %s", path, strerror(errno));
        return;
    }
    if (chown(path, rights->user, rights->user) < 0 && errno != EROFS) say("%s: %s", path, strerror(errno));
}

void confine_prepare(void) {
    (void)text_write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
    for (size_t i = 0; i < sizeof all_rights / sizeof *all_rights; i++) {
        const struct rights *rights = &all_rights[i];
        char path[96];
        if (text_form(path, sizeof path, "/sys/fs/cgroup/%s", rights->name)) (void)mkdir(path, 0755);
        if (text_form(path, sizeof path, "/sys/fs/cgroup/%s/memory.max", rights->name)) {
            int result = text_write(path, rights->memory_max);
            if (result < 0 && result != -ENOENT) say("%s: %s", path, strerror(-result));
        }
        if (!rights->own) continue;
        folder("/run", rights);
        folder("/data", rights);
    }
}

static const char *limits(const struct rights *rights) {
    struct rlimit none = {0, 0}, files = {rights->descriptors, rights->descriptors}, locked = {rights->locked, rights->locked};
    if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0) return "limits";
    if (setrlimit(RLIMIT_MEMLOCK, &locked) < 0) return "limits";
    return NULL;
}

static const char *user(const struct rights *rights) {
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0) return "groups";
    if (setresgid(rights->user, rights->user, rights->user) < 0 || setresuid(rights->user, rights->user, rights->user) < 0) return "user";
    for (unsigned c = 0; c <= CAP_LAST_CAP; c++) {
        if (!(c < 32 && rights->capabilities >> c & 1u) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0 && errno != EINVAL && errno != EPERM) return "capabilities";
    }
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct sets[2] = {{rights->capabilities, rights->capabilities, rights->capabilities}, {0, 0, 0}};
    if (syscall(SYS_capset, &head, sets) < 0) return "capabilities";
    for (unsigned c = 0; c < 32; c++) {
        if (rights->capabilities >> c & 1u && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) < 0) return "capabilities";
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? "no_new_privs" : NULL;
}

static const char *landlock(const struct rights *rights) {
    struct landlock_ruleset_attr ruleset = {.handled_access_fs = LANDLOCK_HANDLED};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    if (fd < 0) return "landlock";
    for (size_t i = 0; i < FILES_MAX && rights->files[i].path; i++) {
        struct stat status;
        struct landlock_path_beneath_attr beneath = {.allowed_access = rights->files[i].access};
        beneath.parent_fd = open(rights->files[i].path, O_PATH | O_CLOEXEC);
        if (beneath.parent_fd < 0 && errno == ENOENT) continue;
        if (beneath.parent_fd < 0 || fstat(beneath.parent_fd, &status) < 0) return "landlock";
        /* Rights on folders alone are refused for a file. */
        if (!S_ISDIR(status.st_mode)) beneath.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE;
        if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0) return "landlock";
        (void)close(beneath.parent_fd);
    }
    const char *fault = syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? "landlock" : NULL;
    (void)close(fd);
    return fault;
}

const char *confine_child(const char *name) {
    char path[96];
    const struct rights *rights = rights_of(name);
    if (!rights) return "nothing is known of what it may do";
    if (!text_form(path, sizeof path, "/sys/fs/cgroup/%s/cgroup.procs", name) || text_write(path, "0") < 0) return "cgroup";
    const char *fault = limits(rights);
    if (!fault) fault = user(rights);
    if (!fault) fault = landlock(rights);
    return fault;
}
