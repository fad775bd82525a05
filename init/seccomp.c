#include "init/seccomp.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__s390x__)
#define ARCHITECTURE AUDIT_ARCH_S390X
#else
#error "name this architecture: its AUDIT_ARCH"
#endif

enum { X32_BIT = 0x40000000, NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET };

/* ---- the table ---- */

/* What a dynamic program of glibc does to start, compute, read, log and end. */
static const int base[] = {
    SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise, SYS_mincore, SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_lseek,
    SYS_close, SYS_openat, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_readlinkat, SYS_faccessat, SYS_faccessat2, SYS_getdents64, SYS_getcwd, SYS_fcntl,
    SYS_dup, SYS_dup3, SYS_pipe2, SYS_ppoll, SYS_pselect6, SYS_futex, SYS_set_robust_list, SYS_set_tid_address, SYS_rseq, SYS_sched_yield,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait, SYS_sigaltstack, SYS_tgkill, SYS_exit, SYS_exit_group, SYS_execve,
    SYS_getpid, SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_prlimit64, SYS_getrusage, SYS_sysinfo, SYS_uname,
    SYS_umask, SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getrandom, SYS_prctl,
    SYS_restart_syscall, SYS_fadvise64, SYS_sched_getaffinity, SYS_getpgid, SYS_getsid, SYS_getgroups,
#ifdef SYS_arch_prctl
    SYS_arch_prctl, SYS_time,
#endif
#ifdef SYS_sigreturn /* s390x: behind each handler of a signal */
    SYS_sigreturn,
#endif
#ifdef SYS_open /* the older ones, which the newest architectures do without */
    SYS_open, SYS_access, SYS_stat, SYS_lstat, SYS_readlink, SYS_poll, SYS_select, SYS_pipe, SYS_dup2, SYS_getrlimit,
#endif
};
/* Makes and changes files; truncate is not among them, since it cuts by path what Landlock does not let it open. */
static const int files[] = {
    SYS_mkdirat, SYS_unlinkat, SYS_renameat, SYS_renameat2, SYS_symlinkat, SYS_linkat, SYS_ftruncate, SYS_fallocate, SYS_fsync, SYS_fdatasync,
    SYS_sync_file_range, SYS_msync, SYS_flock, SYS_fchmod, SYS_fchmodat, SYS_fstatfs, SYS_statfs, SYS_pwritev, SYS_preadv, SYS_pwritev2, SYS_preadv2,
    SYS_utimensat, SYS_copy_file_range,
#ifdef SYS_open
    SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_rename, SYS_symlink, SYS_link, SYS_chmod,
#endif
};
static const int network[] = {
    SYS_socketpair, SYS_bind, SYS_listen, SYS_accept4, SYS_connect, SYS_shutdown, SYS_getsockname, SYS_getpeername, SYS_setsockopt, SYS_getsockopt,
    SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg,
};
/* A loop of its own: descriptors of events, time and signals. */
static const int events[] = {
    SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_eventfd2, SYS_timerfd_create, SYS_timerfd_settime, SYS_signalfd4, SYS_setitimer,
#ifdef SYS_epoll_wait
    SYS_epoll_wait, SYS_epoll_create,
#endif
};
/* A ring, memory that stays, threads with a CPU of their own; a filter beside this one, which takes more away. */
static const int ring[] = {
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_mlockall, SYS_sched_setaffinity, SYS_sched_getscheduler, SYS_sched_getparam,
    SYS_getcpu, SYS_membarrier, SYS_get_mempolicy, SYS_seccomp,
};
static const int lock[] = {SYS_mlock, SYS_mlock2, SYS_munlock};
/* A file that has no name: what is pasted at the console. */
static const int nameless[] = {SYS_memfd_create};
/* Runs another program, from which it takes more, and waits for it. What that one may do is the same filter's. */
static const int child[] = {
    SYS_wait4, SYS_waitid, SYS_landlock_create_ruleset, SYS_landlock_add_rule, SYS_landlock_restrict_self,
#ifdef SYS_fork
    SYS_fork, SYS_vfork,
#endif
};
/* Processes that go on for themselves, and what they give up. */
static const int processes[] = {
    SYS_kill, SYS_setsid, SYS_setpgid, SYS_setuid, SYS_setgid, SYS_setgroups, SYS_setresuid, SYS_setresgid, SYS_chroot, SYS_chdir, SYS_fchdir,
    SYS_setrlimit, SYS_fchown, SYS_fchownat, SYS_setpriority, SYS_close_range,
};
/* Of no use to any program here, and of much to whoever has taken one over. */
static const int deadly[] = {
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_bpf, SYS_mount,
    SYS_umount2, SYS_pivot_root, SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_fsmount, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_unshare, SYS_setns,
    SYS_perf_event_open, SYS_userfaultfd, SYS_add_key, SYS_keyctl, SYS_request_key, SYS_open_by_handle_at, SYS_acct, SYS_quotactl, SYS_settimeofday,
    SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_mknodat, SYS_sethostname, SYS_personality, SYS_fanotify_init,
};

enum { BASE = 1, FILES = 2, NETWORK = 4, EVENTS = 8, RING = 16, LOCK = 32, PROCESSES = 64, NAMELESS = 128, CHILD = 256 };
enum { LOCAL = 1, INTERNET = 2, LINKS = 4, RAW = 8 };

#define GROUP(bit, list) {bit, list, sizeof(list) / sizeof *(list)}
static const struct group {
    unsigned bit;
    const int *calls;
    size_t count;
} groups[] = {GROUP(BASE, base), GROUP(FILES, files), GROUP(NETWORK, network), GROUP(EVENTS, events), GROUP(RING, ring), GROUP(LOCK, lock),
              GROUP(PROCESSES, processes), GROUP(NAMELESS, nameless), GROUP(CHILD, child)};

static const struct {
    unsigned bit;
    uint32_t family;
} families[] = {{LOCAL, AF_UNIX}, {INTERNET, AF_INET}, {INTERNET, AF_INET6}, {LINKS, AF_NETLINK}, {RAW, AF_PACKET}};

static const struct allowed {
    const char *name;
    unsigned groups, families;
} all_allowed[] = {
    {"node", BASE | FILES | NETWORK | EVENTS | RING | LOCK, LOCAL | INTERNET | LINKS},
    {"admin", BASE | FILES | NETWORK | EVENTS | LOCK, LOCAL | INTERNET | LINKS},
    {"console", BASE | NETWORK | EVENTS | NAMELESS, LOCAL},
    {"setup", BASE | LOCK, 0},
    {"setup-node", BASE | FILES | LOCK | CHILD, 0},
    {"net", BASE | FILES | NETWORK, LINKS | RAW},
    {"slots", BASE | FILES | NETWORK, LOCAL},
    {"disk", BASE | FILES | CHILD, 0},
    {"disk-grow", BASE | FILES, 0},
    {"trial", BASE | NETWORK, LOCAL},
    {"logs", BASE | FILES, 0},
    {"dhcp", BASE | FILES | NETWORK | EVENTS | CHILD | PROCESSES, LOCAL | INTERNET | LINKS | RAW},
};

/* ---- the filter ---- */

struct maker {
    struct sock_filter *code;
    unsigned count; /* counts on past SECCOMP_CODE_MAX, and writes no more */
};

static void put(struct maker *maker, unsigned op, uint32_t k, unsigned yes, unsigned no) {
    if (maker->count < SECCOMP_CODE_MAX) maker->code[maker->count] = (struct sock_filter){(uint16_t)op, (uint8_t)yes, (uint8_t)no, k};
    maker->count++;
}

static void result(struct maker *maker, uint32_t action) {
    put(maker, BPF_RET | BPF_K, action, 0, 0);
}

static void equal(struct maker *maker, uint32_t k, uint32_t action) {
    put(maker, BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1);
    result(maker, action);
}

/* The next `length` instructions are for call `nr` alone, and see the lower half of its word `n`; the last of them is a result. */
static void words_of(struct maker *maker, int nr, unsigned n, unsigned length) {
    const unsigned low = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;
    put(maker, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, length + 1);
    put(maker, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * n + low), 0, 0);
}

static void never_both(struct maker *maker, int nr) {
    words_of(maker, nr, 2, 4);
    put(maker, BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC, 0, 0);
    equal(maker, PROT_WRITE | PROT_EXEC, SECCOMP_RET_ERRNO | EPERM);
    result(maker, SECCOMP_RET_ALLOW);
}

/* By the second word. */
static void all_but(struct maker *maker, int nr, const uint32_t *refused, unsigned count) {
    words_of(maker, nr, 1, 2 * count + 1);
    for (unsigned i = 0; i < count; i++) equal(maker, refused[i], SECCOMP_RET_ERRNO | EPERM);
    result(maker, SECCOMP_RET_ALLOW);
}

/* Whoever is taken over has no hold on another process of its user: the node none on what sets it up. The first word is a process, 0: oneself. */
static void oneself_alone(struct maker *maker, int nr) {
    words_of(maker, nr, 0, 5);
    equal(maker, 0, SECCOMP_RET_ALLOW);
    equal(maker, (uint32_t)getpid(), SECCOMP_RET_ALLOW); /* this process becomes the program */
    result(maker, SECCOMP_RET_ERRNO | EPERM);
}

static void looked_at(struct maker *maker, const struct allowed *allowed) {
    const bool own = allowed->groups & CHILD;
    const uint32_t refused = SECCOMP_RET_ERRNO | EPERM;
#ifdef __s390x__
    words_of(maker, SYS_clone, 1, 3);
#else
    words_of(maker, SYS_clone, 0, 3);
#endif
    put(maker, BPF_JMP | BPF_JSET | BPF_K, own ? (uint32_t)NAMESPACES : CLONE_THREAD, 0, 1);
    result(maker, own ? refused : SECCOMP_RET_ALLOW);
    result(maker, own ? SECCOMP_RET_ALLOW : refused);
    equal(maker, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
    static const uint32_t requests[] = {TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP}, owners[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG};
    all_but(maker, SYS_ioctl, requests, 4);
    all_but(maker, SYS_fcntl, owners, 3); /* a file's news would be signals, to whom one likes */
    unsigned count = 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) count += (families[i].bit & allowed->families) != 0;
    words_of(maker, SYS_socket, 0, 2 * count + 1);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (families[i].bit & allowed->families) equal(maker, families[i].family, SECCOMP_RET_ALLOW);
    }
    result(maker, refused);
    if (!own) oneself_alone(maker, SYS_tgkill), oneself_alone(maker, SYS_prlimit64);
    never_both(maker, SYS_mprotect);
#ifdef __s390x__ /* these have their words in memory, where no filter sees them: of sockets no more than whether there may be any */
    equal(maker, SYS_mmap, SECCOMP_RET_ALLOW);
    equal(maker, SYS_socketcall, allowed->families ? SECCOMP_RET_ALLOW : refused);
#else
    never_both(maker, SYS_mmap);
#endif
}

unsigned short seccomp_filter(const char *name, struct sock_filter code[SECCOMP_CODE_MAX]) {
    struct maker maker = {.code = code};
    const struct allowed *allowed = NULL;
    for (size_t i = 0; i < sizeof all_allowed / sizeof *all_allowed; i++) {
        if (strcmp(all_allowed[i].name, name) == 0) allowed = &all_allowed[i];
    }
    if (!allowed) return 0;
    put(&maker, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    put(&maker, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    result(&maker, SECCOMP_RET_KILL_PROCESS);
    put(&maker, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
#ifdef __x86_64__
    put(&maker, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
    result(&maker, SECCOMP_RET_KILL_PROCESS);
#endif
    looked_at(&maker, allowed);
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        for (size_t i = 0; allowed->groups & groups[g].bit && i < groups[g].count; i++) {
            equal(&maker, (uint32_t)groups[g].calls[i], SECCOMP_RET_ALLOW);
        }
    }
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) equal(&maker, (uint32_t)deadly[i], SECCOMP_RET_KILL_PROCESS);
    result(&maker, SECCOMP_RET_ERRNO | EPERM);
    return maker.count <= SECCOMP_CODE_MAX ? (unsigned short)maker.count : 0;
}

int seccomp_apply(const char *name) {
    static struct sock_filter code[SECCOMP_CODE_MAX];
    struct sock_fprog program = {seccomp_filter(name, code), code};
    if (program.len == 0) return -EINVAL;
    /* LOG: what is refused is said in the kernel's log. */
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &program) < 0 ? -errno : 0;
}
