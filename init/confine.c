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
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define FILES_MAX 6

#define LANDLOCK_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define LANDLOCK_RUN (LANDLOCK_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define LANDLOCK_HANDLED ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* all of the first version */
#define LANDLOCK_DEVICES (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO)
#define LANDLOCK_CHANGE (LANDLOCK_HANDLED & ~(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_DEVICES))
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
    uid_t user;            /* and group */
    gid_t groups[2];       /* more; 0: none. First 100: the node's control socket, then CONFINE_ASKERS: init's */
    mode_t open;           /* its folder below /data: what others may do there */
    unsigned capabilities; /* bits */
    /* Of its cgroup: memory (NULL: the machine's less CONFINE_RESERVE_BYTES), threads (a ring's in the kernel count). And who goes first when the
     * machine has no memory left: what strangers can make grow before the node; last the console, by which one sees why. init is never chosen. */
    const char *memory_max, *pids_max, *oom;
    unsigned descriptors;
    unsigned long locked; /* RLIMIT_MEMLOCK */
    bool anyway;          /* it is started without a cgroup or Landlock, too, on a kernel that has none: by it one sees so */
    const char *own;      /* its folder below /data and /run, made for it; NULL: none */
    struct file files[FILES_MAX];
} all_rights[] = {
    {.name = "node", .user = 100, .capabilities = 1u << CAP_IPC_LOCK, .pids_max = "512", .oom = "0", .descriptors = 4096, .locked = RLIM_INFINITY,
     .own = "node", .files = {{"/proc", LANDLOCK_READ}, {"/sys/devices/system/cpu", LANDLOCK_READ}, {"/sys/fs/cgroup/node", LANDLOCK_READ},
                              {"/data/node", LANDLOCK_CHANGE}, {"/run/node", LANDLOCK_CHANGE}}},
    {.name = "admin", .user = 101, .groups = {100, CONFINE_ASKERS}, .memory_max = "64M", .pids_max = "32", .oom = "800", .descriptors = 1024,
     .own = "admin", .files = {{"/data/admin", LANDLOCK_CHANGE}, {"/data/public", LANDLOCK_READ}, {"/run/admin", LANDLOCK_CHANGE},
                               {"/run/node", LANDLOCK_USE}, {"/run/init", LANDLOCK_USE}}},
    {.name = "console", .user = 102, .groups = {100, CONFINE_ASKERS}, .memory_max = "32M", .pids_max = "8", .oom = "-900", .descriptors = 64,
     .anyway = true, .own = "console",
     .files = {{"/etc/terminfo", LANDLOCK_READ}, {"/dev/console", LANDLOCK_USE}, {"/run/console", LANDLOCK_CHANGE}, {"/run/admin", LANDLOCK_READ},
               {"/run/node", LANDLOCK_USE}, {"/run/init", LANDLOCK_USE}}},
    {.name = "setup", .user = 103, .memory_max = "32M", .pids_max = "8", .oom = "500", .descriptors = 32,
     .files = {{"/data/config", LANDLOCK_READ}, {"/data/public", LANDLOCK_READ}}},
    {.name = "setup-node", .user = 100, .pids_max = "64", .oom = "500", .descriptors = 64, .locked = 1 << 20, .own = "public",
     .open = 0055, .files = {{"/data/node", LANDLOCK_CHANGE}, {"/data/public", LANDLOCK_CHANGE}}},
    {.name = "net", .user = 105, .capabilities = 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW, .memory_max = "16M", .pids_max = "8", .oom = "-500",
     .descriptors = 32, .own = "net", .files = {{"/run/init", LANDLOCK_READ}, {"/sys", LANDLOCK_READ}, {"/run/net", LANDLOCK_CHANGE}}},
    {.name = "dhcp", .user = 104, .capabilities = 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW | 1u << CAP_NET_BIND_SERVICE, .memory_max = "16M",
     .pids_max = "16", .oom = "300", .descriptors = 64, .own = "dhcpcd",
     .files = {{"/etc", LANDLOCK_READ}, {"/sys", LANDLOCK_READ}, {"/proc", LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE},
               {"/run/dhcpcd", LANDLOCK_CHANGE}, {"/run/net", LANDLOCK_READ}}},
    {.name = "slots", .user = 106, .groups = {100}, .memory_max = "64M", .pids_max = "8", .oom = "500", .descriptors = 64,
     .files = {{"/sys/firmware/efi/efivars", LANDLOCK_READ}, {"/data/public/owner", LANDLOCK_READ}, {"/run/node", LANDLOCK_USE}}},
    {.name = "disk", .user = DISK_USER, .memory_max = "32M", .pids_max = "256", .oom = "500", .descriptors = 256,
     .files = {{"/dev", LANDLOCK_ACCESS_FS_READ_FILE}, {"/sys", LANDLOCK_READ}}},
    {.name = "disk-grow", .user = DISK_USER, .capabilities = 1u << CAP_SYS_RESOURCE, .memory_max = "32M", .pids_max = "8", .oom = "500",
     .descriptors = 32},
    {.name = "logs", .user = LOG_USER, .memory_max = "16M", .pids_max = "8", .oom = "-500", .descriptors = 64, .own = "log",
     .files = {{"/data/log", LANDLOCK_CHANGE}, {"/run/log", LANDLOCK_CHANGE}, {"/sys/fs/pstore", LANDLOCK_READ | LANDLOCK_ACCESS_FS_REMOVE_FILE}}},
    {.name = "trial", .user = 107, .groups = {100, CONFINE_ASKERS}, .memory_max = "16M", .pids_max = "8", .oom = "500", .descriptors = 64,
     .files = {{"/run/node", LANDLOCK_USE}, {"/run/init", LANDLOCK_USE}}},
};

static const struct rights *rights_of(const char *name) {
    for (size_t i = 0; i < sizeof all_rights / sizeof *all_rights; i++) {
        if (strcmp(all_rights[i].name, name) == 0) return &all_rights[i];
    }
    return NULL;
}

/* Nothing is followed or changed that is there and is no folder: what lies below /data may be a stranger's. */
static const char *folder(const char *base, const char *own, uid_t user, gid_t group, mode_t mode) {
    static char path[128];
    (void)text_form(path, 64, "%s/%s", base, own);
    int made = mkdir(path, mode) < 0 ? errno : 0, fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool none = fd < 0 && made == EEXIST, good = fd >= 0 && fchown(fd, user, group) == 0 && fchmod(fd, mode) == 0;
    if (!good && !none && errno != EROFS) say("%s: %s", path, strerror(errno));
    if (fd >= 0) (void)close(fd);
    return none ? path : NULL;
}

static int group_set(const char *name, const char *file, const char *value) {
    char path[96];
    return text_form(path, sizeof path, "/sys/fs/cgroup/%s/%s", name, file) ? text_write(path, 0, value) : -ENAMETOOLONG;
}

void confine_prepare(void) {
    char path[96], rest[24];
    struct sysinfo machine = {.mem_unit = 1};
    (void)sysinfo(&machine);
    unsigned long long all = (unsigned long long)machine.totalram * machine.mem_unit, reserve = CONFINE_RESERVE_BYTES;
    (void)text_form(rest, sizeof rest, "%llu", all > 2 * reserve ? all - reserve : all / 2);
    (void)group_set(".", "cgroup.subtree_control", "+memory +pids"); /* whether the kernel has them shows in the groups */
    (void)group_set(".", "cgroup.subtree_control", "+cpu");          /* each group its share, however many threads one has */
    for (size_t i = 0; i < sizeof all_rights / sizeof *all_rights; i++) {
        const struct rights *rights = &all_rights[i];
        if (text_form(path, sizeof path, "/sys/fs/cgroup/%s", rights->name)) (void)mkdir(path, 0755);
        int memory = group_set(rights->name, "memory.max", rights->memory_max ? rights->memory_max : rest);
        int threads = group_set(rights->name, "pids.max", rights->pids_max), fault = memory < 0 ? memory : threads;
        if (fault < 0) stage_set(STAGE_MOUNTS, STAGE_CANNOT, "%s: %s: it is not held to its limits", path, strerror(-fault));
        /* A file system of its own below /run: who fills it harms nobody else. */
        if (rights->own && text_form(path, sizeof path, "/run/%s", rights->own) && mkdir(path, 0750) == 0) {
            (void)mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=2m,nr_inodes=256");
        }
        gid_t group = rights->groups[0] ? rights->groups[0] : rights->user; /* the console reads the admin console's pairing code */
        if (rights->own) (void)folder("/run", rights->own, rights->user, group, 0750);
    }
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 0) {
        stage_set(STAGE_MOUNTS, STAGE_CANNOT, "Landlock: %s: no program but the console is started", strerror(errno));
    }
}

const char *confine_data(void *unused) {
    (void)unused;
    const char *none = folder("/data", "config", 0, 0, 0755);
    for (size_t i = 0; !none && i < sizeof all_rights / sizeof *all_rights; i++) {
        const struct rights *rights = &all_rights[i];
        if (rights->own) none = folder("/data", rights->own, rights->user, rights->user, 0700 | rights->open);
    }
    return none;
}

void confine_end(const char *name) {
    (void)group_set(name, "cgroup.kill", "1");
}

static const char *limits(const struct rights *rights) {
    struct rlimit none = {0, 0}, files = {rights->descriptors, rights->descriptors}, locked = {rights->locked, rights->locked};
    bool good = setrlimit(RLIMIT_CORE, &none) == 0 && setrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_MEMLOCK, &locked) == 0;
    return good ? NULL : "limits";
}

static const char *user(const struct rights *rights) {
    size_t groups = (size_t)(rights->groups[0] != 0) + (rights->groups[1] != 0);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(groups, rights->groups) < 0) return "groups";
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
    if (!good && rights->anyway && (errno == ENOSYS || errno == EOPNOTSUPP)) return NULL;
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

void confine_become(const char *name, const char *const *words, int told) {
    static char *const environment[] = {"PATH=/bin", "HOME=/", "TERM=vt100", "LC_ALL=C", NULL};
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    const struct rights *rights = rights_of(name);
    const char *fault = group_set(name, "cgroup.procs", "0") < 0 && !(rights && rights->anyway) ? "cgroup" : NULL;
    if (!fault && rights && text_write("/proc/self/oom_score_adj", 0, rights->oom) < 0) fault = "oom_score_adj";
    if (!fault) fault = confine_rights(name);
    if (!fault) {
        (void)execve(words[0], (char *const *)(uintptr_t)words, environment);
        fault = "cannot be started";
    }
    (void)dprintf(told, "%s: %s: %s\n", words[0], fault, strerror(errno));
}
