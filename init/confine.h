/*
 * What a program may do: its user, capabilities, limits, memory, system calls and files. One table in confine.c, applied in the child before it
 * becomes the program, in this order: cgroup, limits, user and groups, capabilities, no_new_privs, Landlock, seccomp.
 */
#ifndef INIT_CONFINE_H
#define INIT_CONFINE_H

#include <stdbool.h>

/* Cgroups with their memory limits, folders with their owners, below /data once it is there. */
void confine_prepare(bool data);
/* In the child, whose descriptors are in place: becomes the program. It returns only if it cannot, with errno, and has said why on `told`. */
void confine_become(const char *name, const char *const *words, int told);
/* Its part without the cgroup; what tests drive. NULL: done; else what could not be done, with errno. */
const char *confine_rights(const char *name);

#endif
