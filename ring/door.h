/* The door behind the rings: seccomp does not see what a ring does, so a ring of an intruder's own would go round every filter of system calls
 * (DESIGN section 8). The loop's rings are restricted (loop.c); once they are there, no further one may be made.
 *
 * On all threads of the process, for good: io_uring_setup() kills it, and so does io_uring_register() but for the one word that the loop needs when
 * connections come and go. It needs no right, sets no_new_privs, and lies beside any filter that the process has already. */
#ifndef RING_DOOR_H
#define RING_DOOR_H

/* 0, or -errno: then nothing was changed but that the process may gain no privileges any more (no_new_privs). */
int ring_door_close(void) __attribute__((warn_unused_result));

#endif
