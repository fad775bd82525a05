/*
 * init's control socket, /run/init/control.sock: what console, admin and trial ask for. Words, answers, and whose they are: README.md, "The control
 * socket"; spec/appliance.md A-40.
 */
#ifndef INIT_CONTROL_H
#define INIT_CONTROL_H

#include <poll.h>
#include <stdint.h>

enum { CONTROL_CONNECTIONS_MAX = 8, CONTROL_PEER_MAX = 4, CONTROL_POLLS = 1 + CONTROL_CONNECTIONS_MAX };
enum { CONTROL_SILENT_MS = 10000, CONTROL_JOB_MS = 2000 };
enum { CONTROL_REQUEST_BYTES = 512, CONTROL_ANSWER_BYTES = 65536 + 8 }; /* a job's answer, with "ok" before it */

/* What a request asks the main loop to do after its answer has gone out. */
enum control_wish { CONTROL_NOTHING, CONTROL_BEGIN, CONTROL_REBOOT, CONTROL_HALT }; /* BEGIN: a configuration came into force */

void control_start(void);
/* First when the stages have been gone through. */
void control_polls(struct pollfd polls[CONTROL_POLLS]);
enum control_wish control_ready(const struct pollfd polls[CONTROL_POLLS], uint64_t now_ms);

#endif
