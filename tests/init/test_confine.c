/*
 * What a confined program is refused: each case is a child that gets the rights of a program and tries one thing. Users, capabilities and files need
 * root; the filter of system calls does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/confine.h"
#include "init/seccomp.h"

static const char *const programs[] = {"node",  "admin", "console", "setup", "setup-node", "net",
                                       "slots", "trial", "dhcp",    "disk",  "disk-grow",  "logs"};
enum { PROGRAM_COUNT = sizeof programs / sizeof *programs, UNCONFINED = 200, NOT_SO = 201, KILLED = 1000 };

typedef int attempt(void);

/* errno of the attempt in a child (0: it went well), or KILLED + the signal. */
static int filtered(const char *name, attempt *what) {
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_apply(name) < 0) _exit(UNCONFINED);
        errno = 0;
        _exit(what() >= 0 ? 0 : errno ? errno : NOT_SO);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static int with_rights(const char *name, attempt *what) {
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const char *fault = confine_rights(name);
        if (fault) fprintf(stderr, "%s: %s\n", fault, strerror(errno));
        if (fault) _exit(UNCONFINED);
        errno = 0;
        _exit(what() >= 0 ? 0 : errno ? errno : NOT_SO);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static int try_nothing(void) {
    return 0;
}
static int try_ptrace(void) {
    return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}
static int try_mount(void) {
    return mount("none", "/nowhere", "tmpfs", 0, NULL);
}
static int try_unshare(void) {
    return unshare(CLONE_NEWUSER);
}
static int try_setns(void) {
    return setns(-1, 0);
}
static int try_bpf(void) {
    return (int)syscall(SYS_bpf, 0, NULL, 0);
}
static int try_module(void) {
    return (int)syscall(SYS_init_module, NULL, 0, "");
}
static int try_kexec(void) {
    return (int)syscall(SYS_kexec_load, 0, 0, NULL, 0);
}
static int try_clock(void) {
    return (int)syscall(SYS_clock_settime, 0, NULL);
}
static int try_write_execute(void) {
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}
static int try_packet_socket(void) {
    return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}
static int try_vsock(void) {
    return socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
}
static int try_internet(void) {
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}
static int try_local(void) {
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}
static int try_type_into_terminal(void) {
    return ioctl(0, TIOCSTI, "x");
}
static int try_clone3(void) {
    return (int)syscall(SYS_clone3, NULL, 0);
}
static int try_ring(void) {
    return (int)syscall(SYS_io_uring_setup, 1, NULL);
}
static int try_filter_of_its_own(void) {
    struct sock_filter all = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    struct sock_fprog program = {1, &all};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}
static int try_listen_in(void) {
    return (int)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}
static int try_cut_by_path(void) {
    return truncate("/nowhere/at/all", 0);
}
static int try_new_folder(void) {
    return mkdir("/nowhere/at/all", 0700);
}
static int try_entropy(void) {
    char byte;
    return getrandom(&byte, 1, 0) == 1 ? 0 : -1;
}
static int try_fork(void) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    return pid < 0 ? -1 : 0;
}
static int try_write_then_execute(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : mprotect(page, 4096, PROT_WRITE | PROT_EXEC);
}
static void *nothing(void *arg) {
    return arg;
}
static int try_thread(void) {
    pthread_t thread;
    errno = pthread_create(&thread, NULL, nothing, NULL);
    if (errno == 0) errno = pthread_join(thread, NULL);
    return errno ? -1 : 0;
}
static int try_nameless_file(void) {
    return memfd_create("nothing", MFD_CLOEXEC);
}
static int try_other_program(void) {
    extern char **environ;
    static char *const words[] = {"/bin/true", NULL};
    pid_t child;
    int status = 0;
    errno = posix_spawn(&child, words[0], NULL, NULL, words, environ);
    return errno == 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}
/* The process that has the attempt made is of the same user, and would be heard from. */
static int try_signal_another(void) {
    return (int)syscall(SYS_tgkill, getppid(), getppid(), 0);
}
static int try_signal_itself(void) {
    return (int)syscall(SYS_tgkill, getpid(), gettid(), 0);
}
static int try_limit_another(void) {
    struct rlimit now;
    return prlimit(getppid(), RLIMIT_FSIZE, NULL, &now);
}
static int try_limit_itself(void) {
    struct rlimit now;
    return prlimit(getpid(), RLIMIT_FSIZE, NULL, &now) < 0 || getrlimit(RLIMIT_FSIZE, &now) < 0 ? -1 : 0;
}
/* What comes from a file as a signal, to whom one likes. */
static int try_news_to_another(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -1;
    return fcntl(ends[0], F_SETOWN, getppid());
}
static int try_another_signal(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -1;
    return fcntl(ends[0], F_SETSIG, SIGKILL);
}
static int try_news_to_a_thread(void) {
    int ends[2];
    const struct f_owner_ex owner = {F_OWNER_PID, getppid()};
    if (pipe2(ends, O_CLOEXEC) < 0) return -1;
    return fcntl(ends[0], F_SETOWN_EX, &owner);
}
static int try_news_by_ioctl(void) {
    int ends[2], owner = getppid();
    if (pipe2(ends, O_CLOEXEC) < 0) return -1;
    return ioctl(ends[0], FIOSETOWN, &owner);
}
static int try_what_a_file_is_asked(void) {
    int ends[2], waiting;
    if (pipe2(ends, O_CLOEXEC) < 0) return -1;
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || ioctl(ends[0], FIONREAD, &waiting) < 0 ? -1 : 0;
}
static int try_last_in_the_queue(void) {
    struct sched_param none = {0};
    return sched_setscheduler(getppid(), SCHED_IDLE, &none);
}
static int try_x32(void) {
#ifdef __x86_64__
    return (int)syscall(SYS_getpid | 0x40000000);
#else
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? -1 : 0;
#endif
}

static void every_program_has_a_filter_that_fits(void **unused) {
    (void)unused;
    struct sock_filter code[SECCOMP_CODE_MAX];
    for (int p = 0; p < PROGRAM_COUNT; p++) {
        unsigned short count = seccomp_filter(programs[p], code);
        assert_true(count > 100 && count < SECCOMP_CODE_MAX);
        assert_int_equal(code[count - 1].code, BPF_RET | BPF_K);
        assert_int_equal(code[count - 1].k, SECCOMP_RET_ERRNO | EPERM);
    }
    assert_int_equal(seccomp_filter("nobody", code), 0);
    assert_int_equal(seccomp_filter("", code), 0);
}

static void what_only_an_intruder_wants_kills(void **unused) {
    (void)unused;
    attempt *const deadly[] = {try_ptrace, try_mount, try_unshare, try_setns, try_bpf, try_module, try_kexec, try_clock, try_listen_in, try_x32};
    for (int p = 0; p < PROGRAM_COUNT; p++) {
        for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
            int result = filtered(programs[p], deadly[i]);
            if (result != KILLED + SIGSYS) fail_msg("%s, attempt %zu: %d", programs[p], i, result);
        }
    }
}

static void every_program_computes_and_has_entropy(void **unused) {
    (void)unused;
    for (int p = 0; p < PROGRAM_COUNT; p++) {
        assert_int_equal(filtered(programs[p], try_nothing), 0);
        assert_int_equal(filtered(programs[p], try_entropy), 0);
        assert_int_equal(filtered(programs[p], try_clone3), ENOSYS);
        assert_int_equal(filtered(programs[p], try_thread), 0);
    }
}

/* But for those that have children, whom they end: no network reaches set-up and disks, and DHCP has a user of its own. */
static void no_other_process_of_its_user_is_held(void **unused) {
    (void)unused;
    static const char *const parents[] = {"setup-node", "disk", "dhcp"};
    for (int p = 0; p < PROGRAM_COUNT; p++) {
        bool has_children = false;
        for (size_t i = 0; i < sizeof parents / sizeof *parents; i++) has_children = has_children || strcmp(programs[p], parents[i]) == 0;
        assert_int_equal(filtered(programs[p], try_signal_itself), 0);
        assert_int_equal(filtered(programs[p], try_limit_itself), 0);
        assert_int_equal(filtered(programs[p], try_signal_another), has_children ? 0 : EPERM);
        assert_int_equal(filtered(programs[p], try_limit_another), has_children ? 0 : EPERM);
        assert_int_equal(filtered(programs[p], try_last_in_the_queue), EPERM);
        assert_int_equal(filtered(programs[p], try_news_to_another), EPERM);
        assert_int_equal(filtered(programs[p], try_news_to_a_thread), EPERM);
        assert_int_equal(filtered(programs[p], try_another_signal), EPERM);
        assert_int_equal(filtered(programs[p], try_news_by_ioctl), EPERM);
        assert_int_equal(filtered(programs[p], try_what_a_file_is_asked), 0);
    }
}

static void no_memory_is_written_and_executed(void **unused) {
    (void)unused;
    for (int p = 0; p < PROGRAM_COUNT; p++) {
#ifndef __s390x__
        assert_int_equal(filtered(programs[p], try_write_execute), EPERM);
#endif
        assert_int_equal(filtered(programs[p], try_write_then_execute), EPERM);
    }
}

static void each_has_what_the_table_gives_it_and_no_more(void **unused) {
    (void)unused;
    static const struct {
        const char *name;
        attempt *what;
        int result;
    } cases[] = {
        {"node", try_fork, EPERM},
        {"node", try_internet, 0},
        {"node", try_packet_socket, EPERM},
        {"node", try_vsock, EPERM},
        {"node", try_cut_by_path, EPERM},
        {"setup-node", try_cut_by_path, EPERM},
        {"node", try_ring, EFAULT},
        {"node", try_filter_of_its_own, 0},
        {"node", try_new_folder, ENOENT},
        {"node", try_type_into_terminal, EPERM},
        {"admin", try_fork, EPERM},
        {"admin", try_internet, 0},
        {"admin", try_ring, EPERM},
        {"admin", try_filter_of_its_own, EPERM},
        {"admin", try_packet_socket, EPERM},
        {"admin", try_nameless_file, EPERM},
        {"console", try_fork, EPERM},
        {"console", try_internet, EPERM},
        {"console", try_local, 0},
        {"console", try_new_folder, EPERM},
        {"console", try_ring, EPERM},
        {"console", try_type_into_terminal, EPERM},
        {"console", try_nameless_file, 0},
        {"setup", try_fork, EPERM},
        {"setup", try_other_program, EPERM},
        {"setup", try_local, EPERM},
        {"setup", try_internet, EPERM},
        {"setup", try_new_folder, EPERM},
        {"setup-node", try_local, EPERM},
        {"setup-node", try_other_program, 0},
        {"setup-node", try_nameless_file, EPERM},
        {"setup-node", try_new_folder, ENOENT},
        {"disk", try_fork, 0}, /* one for each device */
        {"disk", try_local, EPERM},
        {"disk", try_internet, EPERM},
        {"disk", try_ring, EPERM},
        {"disk", try_nameless_file, EPERM},
        {"disk-grow", try_fork, EPERM},
        {"disk-grow", try_local, EPERM},
        {"logs", try_fork, EPERM},
        {"logs", try_local, EPERM},
        {"logs", try_internet, EPERM},
        {"logs", try_ring, EPERM},
        {"net", try_fork, EPERM},
        {"net", try_internet, EPERM},
        {"net", try_local, EPERM},
        {"net", try_ring, EPERM},
        {"dhcp", try_fork, 0},
        {"dhcp", try_ring, EPERM},
        {"dhcp", try_vsock, EPERM},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int result = filtered(cases[i].name, cases[i].what);
        if (result != cases[i].result) fail_msg("case %zu (%s): %d, not %d", i, cases[i].name, result, cases[i].result);
    }
}

/* ---- with users, capabilities and files ---- */

static int try_root_again(void) {
    return setuid(0);
}
static int try_chown(void) {
    return chown("/dev/null", 0, 0);
}
static int try_passwords(void) {
    return open("/etc/shadow", O_RDONLY | O_CLOEXEC);
}
static int try_list_root(void) {
    return open("/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}
static int try_write_tmp(void) {
    return open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
}
static int try_run_shell(void) {
    return execl("/usr/sbin/nologin", "nologin", (char *)NULL);
}
static int try_who_am_i(void) {
    struct rlimit core;
    if (getuid() == 0 || getuid() != geteuid() || getgid() == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return -1;
    if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0) return -1;
    return 0;
}

static int try_node_group(void) {
    gid_t groups[2];
    return getgroups(2, groups) == 1 && groups[0] == 100 ? 0 : -1;
}
static int try_both_groups(void) {
    gid_t groups[3];
    return getgroups(3, groups) == 2 && groups[0] == 100 && groups[1] == CONFINE_ASKERS ? 0 : -1;
}
static int try_no_group(void) {
    return getgroups(0, NULL) == 0 ? 0 : -1;
}

static bool is_root(void) {
    if (geteuid() == 0) return true;
    print_message("this needs root: left out\n");
    return false;
}

/* The node may lock all memory, and who grows the data disk may use what is left of it, which a test without CAP_SYS_RESOURCE cannot hand on. */
static int try_lock_all(void) {
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_MEMLOCK, &all);
}

static bool is_left_out(const char *name) {
    int status = 0;
    if (strcmp(name, "node") != 0 && strcmp(name, "disk-grow") != 0) return false;
    pid_t pid = fork();
    if (pid == 0) _exit(try_lock_all() < 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status) print_message("%s: this needs CAP_SYS_RESOURCE: left out\n", name);
    return status != 0;
}

static void nobody_is_root_and_nobody_becomes_it(void **unused) {
    (void)unused;
    if (!is_root()) skip();
    for (int p = 0; p < PROGRAM_COUNT; p++) {
        if (is_left_out(programs[p])) continue;
        assert_int_equal(with_rights(programs[p], try_who_am_i), 0);
        assert_int_equal(with_rights(programs[p], try_root_again), EPERM);
        assert_int_equal(with_rights(programs[p], try_chown), EPERM);
    }
}

/* The node's control socket is open to its group, and init's to that of those who may ask it: not the node. */
static void those_who_ask_are_in_the_groups_of_the_sockets(void **unused) {
    (void)unused;
    if (!is_root()) skip();
    for (int p = 0; p < PROGRAM_COUNT; p++) {
        if (is_left_out(programs[p])) continue;
        bool asks = false;
        static const char *const askers[] = {"admin", "console", "trial"};
        for (size_t i = 0; i < sizeof askers / sizeof *askers; i++) asks = asks || strcmp(programs[p], askers[i]) == 0;
        attempt *groups = asks ? try_both_groups : strcmp(programs[p], "slots") == 0 ? try_node_group : try_no_group;
        assert_int_equal(with_rights(programs[p], groups), 0);
    }
}

static void files_beyond_its_own_are_closed(void **unused) {
    (void)unused;
    if (!is_root()) skip();
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0) {
        print_message("this kernel has no Landlock: left out\n");
        skip();
    }
    static const char *const closed[] = {"node", "admin", "console", "setup", "setup-node", "net", "slots", "trial", "logs"};
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        if (is_left_out(closed[i])) continue;
        assert_int_equal(with_rights(closed[i], try_passwords), EACCES);
        assert_int_equal(with_rights(closed[i], try_list_root), EACCES);
        assert_int_equal(with_rights(closed[i], try_write_tmp), EACCES);
        assert_int_equal(with_rights(closed[i], try_run_shell), EACCES);
    }
}

/* ---- what each may read and write below /data and /run, in a tree of the test's own ---- */

enum { NEITHER, READS, WRITES };
enum { DATA_NODE, DATA_ADMIN, DATA_PUBLIC, DATA_CONFIG, DATA_LOG, RUN_NODE, RUN_ADMIN, RUN_CONSOLE, RUN_INIT, RUN_NET, RUN_DHCP, RUN_LOG, FOLDERS };
static const char *const folders[FOLDERS] = {"data/node", "data/admin", "data/public", "data/config", "data/log", "run/node",
                                             "run/admin", "run/console", "run/init", "run/net", "run/dhcpcd", "run/log"};
static char file_path[64];

static int try_read_file(void) {
    return open(file_path, O_RDONLY | O_CLOEXEC);
}
static int try_write_file(void) {
    return open(file_path, O_WRONLY | O_CLOEXEC);
}

/* By which heraclius-setup keeps room for a full disk, gives it, and marks a key when there is none (appliance/setup/setup.h). */
static int try_keep_room(void) {
    int fd = open("/data/public/ballast.a", O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && fallocate(fd, 0, 0, 4096) == 0 && link("/data/public/ballast.a", "/data/public/mark") == 0;
    return good ? unlink("/data/public/ballast.a") : -1;
}

static bool mounts_alone; /* what is mounted is seen by this process alone */

/* A root folder with what init makes in it, and cgroups as far as init sees them. */
static bool root_make(const char *root) {
    static const char *const made[] = {"/data", "/run", "/run/init", "/sys", "/sys/fs", "/sys/fs/cgroup", "/proc", "/proc/self"};
    static const char *const limits[] = {"memory.max", "pids.max", "cgroup.procs"};
    mounts_alone = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    bool good = chroot(root) == 0 && chdir("/") == 0;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) good = good && mkdir(made[i], 0755) == 0;
    for (int p = 0; p < PROGRAM_COUNT; p++) {
        snprintf(file_path, sizeof file_path, "/sys/fs/cgroup/%s", programs[p]);
        good = good && mkdir(file_path, 0755) == 0;
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            snprintf(file_path, sizeof file_path, "/sys/fs/cgroup/%s/%s", programs[p], limits[i]);
            int fd = open(file_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
            good = good && fd >= 0 && close(fd) == 0;
        }
    }
    return good;
}

/* And what it makes for the programs, and in each folder a file that its mode opens to all. */
static bool tree_make(const char *root) {
    bool good = root_make(root);
    if (good) confine_prepare();
    good = good && confine_data(NULL) == NULL && chmod("/run/net", 0755) == 0; /* by heraclius-net: dhcpcd reads there */
    for (int f = 0; f <= FOLDERS; f++) {
        snprintf(file_path, sizeof file_path, f == FOLDERS ? "%s" : "/%s/file", f == FOLDERS ? "/data/public/owner" : folders[f]);
        int fd = open(file_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        good = good && fd >= 0 && fchmod(fd, 0666) == 0 && close(fd) == 0;
    }
    return good;
}

/* In a child, since there is no way back out of the tree. True: all is as it ought to be. */
static bool table_try(const char *root) {
    static const struct {
        const char *name;
        uint8_t may[FOLDERS];
    } table[] = {
        {"node", {[DATA_NODE] = WRITES, [RUN_NODE] = WRITES}},
        {"admin", {[DATA_ADMIN] = WRITES, [DATA_PUBLIC] = READS, [RUN_ADMIN] = WRITES, [RUN_NODE] = WRITES, [RUN_INIT] = WRITES}},
        {"console", {[RUN_CONSOLE] = WRITES, [RUN_ADMIN] = READS, [RUN_NODE] = WRITES, [RUN_INIT] = WRITES}},
        {"setup", {[DATA_CONFIG] = READS, [DATA_PUBLIC] = READS}},
        {"setup-node", {[DATA_NODE] = WRITES, [DATA_PUBLIC] = WRITES}},
        {"net", {[RUN_INIT] = READS, [RUN_NET] = WRITES}},
        {"dhcp", {[RUN_NET] = READS, [RUN_DHCP] = WRITES}},
        {"slots", {[RUN_NODE] = WRITES}}, /* and the owner's key alone of what is in DATA_PUBLIC: the admin console's may be there */
        {"trial", {[RUN_NODE] = WRITES, [RUN_INIT] = WRITES}},
        {"logs", {[DATA_LOG] = WRITES, [RUN_LOG] = WRITES}},
        {"disk", {[DATA_NODE] = NEITHER}},
        {"disk-grow", {[DATA_NODE] = NEITHER}},
    };
    bool all = tree_make(root);
    if (!all) print_error("%s: %s\n", root, strerror(errno));
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (is_left_out(table[i].name)) continue;
        for (int f = 0; f < FOLDERS; f++) {
            snprintf(file_path, sizeof file_path, "/%s/file", folders[f]);
            int reads = with_rights(table[i].name, try_read_file), writes = with_rights(table[i].name, try_write_file);
            bool good = reads == (table[i].may[f] >= READS ? 0 : EACCES) && writes == (table[i].may[f] == WRITES ? 0 : EACCES);
            if (!good) print_error("%s, %s: reading %d, writing %d\n", table[i].name, file_path, reads, writes);
            all = all && good;
        }
    }
    snprintf(file_path, sizeof file_path, "/data/public/owner");
    int owner = with_rights("slots", try_read_file), other = with_rights("trial", try_read_file);
    if (owner != 0 || other != EACCES) print_error("the owner's key: slots %d, trial %d\n", owner, other);
    int room = with_rights("setup-node", try_keep_room);
    if (room != 0) print_error("room for a full disk: setup-node %d\n", room);
    return all && owner == 0 && other == EACCES && room == 0;
}

/* In a root folder of its own, in a child: there is no way back out of it. */
static void in_root(bool (*what)(const char *root)) {
    char root[] = "/tmp/confine-XXXXXX", command[64];
    assert_non_null(mkdtemp(root));
    assert_int_equal(chmod(root, 0755), 0);
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(what(root) ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
    assert_int_equal(status, 0);
}

static void each_reads_and_writes_what_the_table_gives_it_and_no_more(void **unused) {
    (void)unused;
    if (!is_root() || syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0) skip();
    in_root(table_try);
}

static unsigned long long number_in(const char *group, const char *file) {
    char text[32] = "", path[96];
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s/%s", group, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0 || close(fd) < 0) return 0;
    unsigned long long number = strtoull(text, NULL, 10);
    return strchr(text, 'M') ? number << 20 : number;
}

static bool limits_try(const char *root) {
    struct sysinfo machine;
    bool good = root_make(root) && sysinfo(&machine) == 0;
    if (good) confine_prepare();
    unsigned long long node = (unsigned long long)machine.totalram * machine.mem_unit - (32ull << 20), others = 0;
    for (int p = 0; p < PROGRAM_COUNT; p++) {
        unsigned long long memory = number_in(programs[p], "memory.max"), threads = number_in(programs[p], "pids.max");
        bool is_node = strcmp(programs[p], "node") == 0, as_node = is_node || strcmp(programs[p], "setup-node") == 0; /* --init */
        good = good && (as_node ? memory == node : memory >= 16ull << 20 && memory <= 64ull << 20) && threads >= 8 && threads <= 512;
        if (!good) print_error("%s: memory %llu, threads %llu\n", programs[p], memory, threads);
        others += is_node ? 0 : threads;
    }
    return good && others < 1024;
}

static bool room_try(const char *root) {
    static const char *const owners[] = {"/run/node", "/run/admin", "/run/console", "/run/net", "/run/dhcpcd"};
    struct statvfs all, own;
    bool good = root_make(root);
    if (!mounts_alone) return true;
    if (good) confine_prepare();
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        good = good && statvfs("/run", &all) == 0 && statvfs(owners[i], &own) == 0 && own.f_fsid != all.f_fsid &&
               own.f_blocks * own.f_frsize <= 2 << 20 && own.f_files <= 256 && (own.f_flag & ST_NOEXEC) && (own.f_flag & ST_NODEV);
        if (!good) print_error("%s\n", owners[i]);
    }
    return good;
}

static void who_fills_its_folder_below_run_harms_nobody_else(void **unused) {
    (void)unused;
    if (!is_root()) skip();
    in_root(room_try);
}

/* What the program is told to the kernel to be worth when memory is gone; -9999: it did not get so far. */
static long worth(const char *name) {
    static const char *const words[] = {"/none", NULL};
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int told = open("/said", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    char text[16] = "";
    pid_t pid = fork();
    if (pid == 0) {
        confine_become(name, words, told);
        _exit(0);
    }
    bool good = pid > 0 && waitpid(pid, NULL, 0) == pid && pread(fd, text, sizeof text - 1, 0) > 0;
    (void)close(fd);
    (void)close(told);
    return good ? strtol(text, NULL, 10) : -9999;
}

static bool order_try(const char *root) {
    bool good = root_make(root);
    long admin = worth("admin"), node = worth("node"), net = worth("net"), console = worth("console");
    good = good && admin > node && node > net && net > console && console > -1000 && console != -9999;
    if (!good) print_error("admin %ld, node %ld, net %ld, console %ld\n", admin, node, net, console);
    for (int p = 0; p < PROGRAM_COUNT; p++) good = good && worth(programs[p]) <= admin && worth(programs[p]) >= console;
    /* Without cgroups the console alone is started. */
    good = good && rename("/sys/fs/cgroup", "/sys/fs/none") == 0;
    for (int p = 0; p < PROGRAM_COUNT; p++) good = good && worth(programs[p]) == (strcmp(programs[p], "console") == 0 ? console : -9999);
    return good;
}

static void without_memory_what_strangers_can_make_grow_goes_first_and_the_console_last(void **unused) {
    (void)unused;
    if (!is_root()) skip();
    in_root(order_try);
}

/* 512 threads and the machine's memory less 32 MiB. */
static void every_program_has_a_limit_of_memory_and_of_threads(void **unused) {
    (void)unused;
    if (!is_root()) skip();
    in_root(limits_try);
}

static bool is_roots(const char *path, mode_t mode) {
    struct stat status;
    return stat(path, &status) == 0 && status.st_uid == 0 && status.st_gid == 0 && (status.st_mode & 07777) == mode;
}

static bool torn_try(const char *root) {
    static const char *const names[] = {"/data/admin", "/data/node", "/data/public", "/data/config", "/data/log"};
    bool good = root_make(root) && mkdir("/else", 0755) == 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (int kind = 0; kind < 3; kind++) {
            (void)rmdir(names[i]);
            int made = kind == 0 ? symlink("/else", names[i]) : kind == 1 ? mkfifo(names[i], 0644) : mknod(names[i], S_IFREG | 0644, 0);
            const char *fault = confine_data(NULL);
            bool so = made == 0 && fault && strcmp(fault, names[i]) == 0 && is_roots("/else", 0755) && (kind == 0 || is_roots(names[i], 0644));
            if (!so) print_error("%s, kind %d: %s\n", names[i], kind, fault ? fault : "nothing said");
            good = good && so && unlink(names[i]) == 0;
        }
    }
    return good && confine_data(NULL) == NULL;
}

static void what_a_disk_has_in_place_of_a_folder_is_named_and_left_alone(void **unused) {
    (void)unused;
    if (!is_root()) skip();
    in_root(torn_try);
}

/* By what a kernel says that has none, or was told to do without. */
static bool is_started_without_landlock(const char *name, uint32_t error) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_create_ruleset, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) _exit(UNCONFINED);
        const char *fault = confine_rights(name);
        if (!fault) _exit(try_who_am_i() == 0 && try_fork() < 0 ? 0 : NOT_SO);
        _exit(strcmp(fault, "landlock") == 0 ? 1 : UNCONFINED);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    return WEXITSTATUS(status) == 0;
}

static void on_a_kernel_without_landlock_the_console_alone_is_started(void **unused) {
    (void)unused;
    if (!is_root()) skip();
    for (int p = 0; p < PROGRAM_COUNT; p++) {
        if (is_left_out(programs[p])) continue;
        bool console = strcmp(programs[p], "console") == 0;
        assert_int_equal(is_started_without_landlock(programs[p], ENOSYS), console);
        assert_int_equal(is_started_without_landlock(programs[p], EOPNOTSUPP), console);
        assert_false(is_started_without_landlock(programs[p], EINVAL));
    }
}

static void a_program_without_rights_does_not_start(void **unused) {
    (void)unused;
    assert_non_null(confine_rights("nobody"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reads_and_writes_what_the_table_gives_it_and_no_more),
        cmocka_unit_test(every_program_has_a_limit_of_memory_and_of_threads),
        cmocka_unit_test(who_fills_its_folder_below_run_harms_nobody_else),
        cmocka_unit_test(without_memory_what_strangers_can_make_grow_goes_first_and_the_console_last),
        cmocka_unit_test(what_a_disk_has_in_place_of_a_folder_is_named_and_left_alone),
        cmocka_unit_test(every_program_has_a_filter_that_fits),
        cmocka_unit_test(what_only_an_intruder_wants_kills),
        cmocka_unit_test(every_program_computes_and_has_entropy),
        cmocka_unit_test(no_other_process_of_its_user_is_held),
        cmocka_unit_test(no_memory_is_written_and_executed),
        cmocka_unit_test(each_has_what_the_table_gives_it_and_no_more),
        cmocka_unit_test(nobody_is_root_and_nobody_becomes_it),
        cmocka_unit_test(those_who_ask_are_in_the_groups_of_the_sockets),
        cmocka_unit_test(files_beyond_its_own_are_closed),
        cmocka_unit_test(on_a_kernel_without_landlock_the_console_alone_is_started),
        cmocka_unit_test(a_program_without_rights_does_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
