/*
 * init's control socket, /run/init/control.sock: SOCK_SEQPACKET, a request is one packet of words, its answer one packet: "ok" or "error TEXT", then
 * lines name=value, or bytes of a log.
 *
 *   status                  stages, disk, services, addresses, uptime
 *   log NAME                the newest lines of a program's log, or of init's ("init")
 *   restart NAME            asks a program to end and begins it anew
 *   reboot sure, halt sure  orderly
 *
 * Who asks is known by the kernel (SO_PEERCRED): admin and console may ask all of this, the node nothing. At most CONTROL_CONNECTIONS_MAX at a time;
 * one that is silent for CONTROL_SILENT_MS gives way to a new one when all are taken.
 */
#ifndef INIT_CONTROL_H
#define INIT_CONTROL_H

#include <poll.h>
#include <stdint.h>

enum { CONTROL_CONNECTIONS_MAX = 8, CONTROL_POLLS = 1 + CONTROL_CONNECTIONS_MAX, CONTROL_SILENT_MS = 10000, CONTROL_REQUEST_BYTES = 512, CONTROL_ANSWER_BYTES = 65536 };

/* What a request asks the main loop to do after its answer has gone out. */
enum control_wish { CONTROL_NOTHING, CONTROL_REBOOT, CONTROL_HALT };

void control_start(void);
void control_polls(struct pollfd polls[CONTROL_POLLS]);
enum control_wish control_ready(const struct pollfd polls[CONTROL_POLLS], uint64_t now_ms);

#endif
