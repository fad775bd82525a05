/*
 * What a program may do: its user, capabilities, limits, memory, system calls and files. One table in confine.c, applied in the child before it
 * becomes the program, in this order: cgroup, limits, user and groups, capabilities, no_new_privs, Landlock, seccomp.
 */
#ifndef INIT_CONFINE_H
#define INIT_CONFINE_H

/* Cgroups with their memory limits, folders with their owners. In init, once; again after /data came. */
void confine_prepare(void);
/* In the child, whose descriptors are in place: becomes the program. It returns only if it cannot, with errno, and has said why on `told`. */
void confine_become(const char *name, const char *const *words, int told);
/* Its part without the cgroup; what tests drive. NULL: done; else what could not be done, with errno. */
const char *confine_rights(const char *name);

#endif
