/*
 * What a program may do: its user, capabilities, limits, memory, system calls and files. One table in confine.c, applied in the child before it
 * becomes the program, in this order: cgroup, limits, user and groups, capabilities, no_new_privs, Landlock, seccomp.
 */
#ifndef INIT_CONFINE_H
#define INIT_CONFINE_H

/* What the node is not given of the machine's memory (spec/appliance.md A-26): init, the others and what the kernel needs for them live on it. And
 * the group of those who may ask init: a program that may not does not even reach its socket. */
enum { CONFINE_RESERVE_BYTES = 32 << 20, CONFINE_ASKERS = 108 };

/* Cgroups with their limits, folders below /run with their owners. */
void confine_prepare(void);
/* Folders below /data with theirs, as a job (job.h). NULL: done; else which one is none. */
const char *confine_data(void *unused);
/* A program's first process has ended: whoever it left behind is killed, in whatever session it is. */
void confine_end(const char *name);
/* In the child, whose descriptors are in place: becomes the program. It returns only if it cannot, with errno, and has said why on `told`. */
void confine_become(const char *name, const char *const *words, int told);
/* Its part without the cgroup; what tests drive. NULL: done; else what could not be done, with errno. */
const char *confine_rights(const char *name);

#endif
