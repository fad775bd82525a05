#include "init/confine.h"
#include "init/disk.h"
#include "init/log.h"
#include "init/say.h"
#include "init/seccomp.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES_MAX 6

#define LANDLOCK_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define LANDLOCK_RUN (LANDLOCK_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define LANDLOCK_CHANGE                                                                                                                              \
    (LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |  \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define LANDLOCK_HANDLED                                                                                                                             \
    (LANDLOCK_CHANGE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO)

#define LANDLOCK_USE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)

struct file {
    const char *path; /* what is missing is left out */
    unsigned long long access;
};

/* Of every program: itself, what it is linked with, the image's own facts. */
static const struct file commons[] = {
    {"/bin", LANDLOCK_RUN},      {"/lib", LANDLOCK_RUN},          {"/lib64", LANDLOCK_RUN},          {"/usr/lib", LANDLOCK_RUN},
    {"/dev/null", LANDLOCK_USE}, {"/dev/urandom", LANDLOCK_READ}, {"/etc/heraclius", LANDLOCK_READ},
};

/* dhcpcd's own folders have their names compiled in; the image makes /var/lib/dhcpcd lead to /run/dhcpcd. Without an account of its name it keeps to
 * one process, which has nothing to give up: it never was root. */
static const struct rights {
    const char *name;
    uid_t user;             /* and group */
    gid_t group;            /* one more; 0: none. 100: the node's control socket */
    mode_t open;            /* its folder below /data: what others may do there */
    unsigned capabilities;  /* bits */
    const char *memory_max; /* cgroup v2, "max": no limit but the machine's */
    unsigned descriptors;
    unsigned long locked; /* RLIMIT_MEMLOCK */
    const char *own;      /* its folder below /data and /run, made for it; NULL: none */
    struct file files[FILES_MAX];
} all_rights[] = {
    {.name = "node", .user = 100, .capabilities = 1u << CAP_IPC_LOCK, .memory_max = "max", .descriptors = 4096, .locked = RLIM_INFINITY,
     .own = "node", .files = {{"/proc", LANDLOCK_READ}, {"/sys/devices/system/cpu", LANDLOCK_READ}, {"/data/node", LANDLOCK_CHANGE},
                              {"/run/node", LANDLOCK_CHANGE}}},
    {.name = "admin", .user = 101, .group = 100, .memory_max = "64M", .descriptors = 1024, .own = "admin",
     .files = {{"/data/admin", LANDLOCK_CHANGE}, {"/data/public", LANDLOCK_READ}, {"/run/admin", LANDLOCK_CHANGE}, {"/run/node", LANDLOCK_USE},
               {"/run/init", LANDLOCK_USE}}},
    {.name = "console", .user = 102, .group = 100, .memory_max = "32M", .descriptors = 64, .own = "console",
     .files = {{"/etc/terminfo", LANDLOCK_READ}, {"/dev/console", LANDLOCK_USE}, {"/run/console", LANDLOCK_CHANGE}, {"/run/admin", LANDLOCK_READ},
               {"/run/node", LANDLOCK_USE}, {"/run/init", LANDLOCK_USE}}},
    {.name = "setup", .user = 103, .memory_max = "32M", .descriptors = 32, .own = "setup",
     .files = {{"/data/config", LANDLOCK_READ}, {"/data/public", LANDLOCK_READ}}},
    {.name = "setup-node", .user = 100, .memory_max = "64M", .descriptors = 64, .locked = 1 << 20, .own = "public", .open = 0055,
     .files = {{"/data/node", LANDLOCK_CHANGE}, {"/data/public", LANDLOCK_CHANGE}}},
    {.name = "net", .user = 105, .capabilities = 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW, .memory_max = "16M", .descriptors = 32, .own = "net",
     .files = {{"/run/init", LANDLOCK_READ}, {"/sys", LANDLOCK_READ}, {"/run/net", LANDLOCK_CHANGE}}},
    {.name = "dhcp", .user = 104, .capabilities = 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW | 1u << CAP_NET_BIND_SERVICE, .memory_max = "16M",
     .descriptors = 64, .own = "dhcpcd",
     .files = {{"/etc", LANDLOCK_READ}, {"/sys", LANDLOCK_READ}, {"/proc", LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE},
               {"/run/dhcpcd", LANDLOCK_CHANGE}, {"/run/net", LANDLOCK_READ}}},
    {.name = "slots", .user = 106, .group = 100, .memory_max = "64M", .descriptors = 64, .own = "slots",
     .files = {{"/sys/firmware/efi/efivars", LANDLOCK_READ}, {"/data/public", LANDLOCK_READ}, {"/run/node", LANDLOCK_USE}}},
    {.name = "disk", .user = DISK_USER, .memory_max = "32M", .descriptors = 256,
     .files = {{"/dev", LANDLOCK_ACCESS_FS_READ_FILE}, {"/sys", LANDLOCK_READ}}},
    {.name = "disk-grow", .user = DISK_USER, .capabilities = 1u << CAP_SYS_RESOURCE, .memory_max = "32M", .descriptors = 32},
    {.name = "logs", .user = LOG_USER, .memory_max = "16M", .descriptors = 64, .own = "log",
     .files = {{"/data/log", LANDLOCK_CHANGE}, {"/run/log", LANDLOCK_CHANGE}, {"/sys/fs/pstore", LANDLOCK_READ | LANDLOCK_ACCESS_FS_REMOVE_FILE}}},
    {.name = "trial", .user = 107, .group = 100, .memory_max = "16M", .descriptors = 64, .own = "trial",
     .files = {{"/run/node", LANDLOCK_USE}, {"/run/init", LANDLOCK_USE}}},
};

static const struct rights *rights_of(const char *name) {
    for (size_t i = 0; i < sizeof all_rights / sizeof *all_rights; i++) {
        if (strcmp(all_rights[i].name, name) == 0) return &all_rights[i];
    }
    return NULL;
}

static void folder(const char *base, const struct rights *rights, gid_t group, mode_t mode) {
    char path[64];
    struct stat status;
    if (stat(base, &status) < 0 || !text_form(path, sizeof path, "%s/%s", base, rights->own)) return;
    if (mkdir(path, mode) < 0 && errno != EEXIST) {
        if (errno != EROFS) say("%s: %s", path, strerror(errno));
        return;
    }
    if ((chown(path, rights->user, group) < 0 || chmod(path, mode) < 0) && errno != EROFS) say("%s: %s", path, strerror(errno));
}

void confine_prepare(bool data) {
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
        folder("/run", rights, rights->group ? rights->group : rights->user, 0750); /* the console reads the admin console's pairing code */
        if (data) folder("/data", rights, rights->user, 0700 | rights->open);
    }
}

static const char *limits(const struct rights *rights) {
    struct rlimit none = {0, 0}, files = {rights->descriptors, rights->descriptors}, locked = {rights->locked, rights->locked};
    if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0) return "limits";
    if (setrlimit(RLIMIT_MEMLOCK, &locked) < 0) return "limits";
    return NULL;
}

static const char *user(const struct rights *rights) {
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(rights->group != 0, &rights->group) < 0) return "groups";
    if (setresgid(rights->user, rights->user, rights->user) < 0 || setresuid(rights->user, rights->user, rights->user) < 0) return "user";
    for (unsigned c = 0; c <= CAP_LAST_CAP; c++) {
        if (!(c < 32 && rights->capabilities >> c & 1u) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0 && errno != EINVAL && errno != EPERM)
            return "capabilities";
    }
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct sets[2] = {{rights->capabilities, rights->capabilities, rights->capabilities}, {0, 0, 0}};
    if (syscall(SYS_capset, &head, sets) < 0) return "capabilities";
    for (unsigned c = 0; c < 32; c++) {
        if (rights->capabilities >> c & 1u && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) < 0) return "capabilities";
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? "no_new_privs" : NULL;
}

static bool landlock_allow(int ruleset, const struct file *file) {
    struct stat status;
    struct landlock_path_beneath_attr beneath = {.allowed_access = file->access};
    beneath.parent_fd = open(file->path, O_PATH | O_CLOEXEC);
    if (beneath.parent_fd < 0) return errno == ENOENT;
    bool good = fstat(beneath.parent_fd, &status) == 0;
    /* Rights on folders alone are refused for a file. */
    if (good && !S_ISDIR(status.st_mode)) beneath.allowed_access &= LANDLOCK_USE | LANDLOCK_ACCESS_FS_EXECUTE;
    good = good && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
    (void)close(beneath.parent_fd);
    return good;
}

static const char *landlock(const struct rights *rights) {
    struct landlock_ruleset_attr ruleset = {.handled_access_fs = LANDLOCK_HANDLED};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    bool good = fd >= 0;
    for (size_t i = 0; i < sizeof commons / sizeof *commons; i++) good = good && landlock_allow(fd, &commons[i]);
    for (size_t i = 0; i < FILES_MAX && rights->files[i].path; i++) good = good && landlock_allow(fd, &rights->files[i]);
    good = good && syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    if (fd >= 0) (void)close(fd);
    return good ? NULL : "landlock";
}

const char *confine_rights(const char *name) {
    const struct rights *rights = rights_of(name);
    if (!rights) return "nothing is known of what it may do";
    const char *fault = limits(rights);
    if (!fault) fault = user(rights);
    if (!fault) fault = landlock(rights);
    if (!fault && seccomp_apply(name) < 0) fault = "seccomp";
    return fault;
}

static const char *child(const char *name) {
    char path[96];
    if (!text_form(path, sizeof path, "/sys/fs/cgroup/%s/cgroup.procs", name) || text_write(path, "0") < 0) return "cgroup";
    return confine_rights(name);
}

void confine_become(const char *name, const char *const *words, int told) {
    static char *const environment[] = {"PATH=/bin", "HOME=/", "TERM=vt100", "LC_ALL=C", NULL};
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    const char *fault = child(name);
    if (!fault) {
        (void)execve(words[0], (char *const *)(uintptr_t)words, environment);
        fault = "cannot be started";
    }
    (void)dprintf(told, "%s: %s: %s\n", words[0], fault, strerror(errno));
}
