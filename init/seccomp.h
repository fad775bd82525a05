/*
 * Which system calls a program may make: a filter of its own for each, from the table in seccomp.c, made in the child and put on it before it becomes
 * the program (and so on everything it starts).
 *
 * Another architecture's calls (x32, i386) and those that no program of this machine has a use for (SECCOMP_DEADLY: ptrace, mount, modules, reboot,
 * name spaces, ...) kill the process. What is merely not in its table is refused with EPERM and said in the kernel's log. Looked at more closely:
 *
 *   clone             threads alone, but for a program that may have processes, which then may not make name spaces; clone3 is ENOSYS, so that
 *                     glibc takes clone, whose flags a filter can see
 *   socket            the families in the table
 *   mmap, mprotect    never writable and executable at once (s390x hands mmap's words over in memory: mprotect alone there)
 *   ioctl             no TIOCSTI, no TIOCLINUX: nothing is typed into another's terminal
 *
 * io_uring's operations are no system calls: which of them a ring may do is restricted by whoever makes it (ring/loop.c); heracliusd makes its own,
 * then no other one can be made in it (ring/door.h).
 */
#ifndef INIT_SECCOMP_H
#define INIT_SECCOMP_H

#include <linux/filter.h>

enum { SECCOMP_CODE_MAX = 640 };

/* The filter of a program. Its length; 0: there is no such program, or it is too long. */
unsigned short seccomp_filter(const char *name, struct sock_filter code[SECCOMP_CODE_MAX]) __attribute__((warn_unused_result));
/* On this process, which has no_new_privs. 0 or -errno. */
int seccomp_apply(const char *name) __attribute__((warn_unused_result));

#endif
