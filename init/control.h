/*
 * init's control socket, /run/init/control.sock: SOCK_SEQPACKET, a request is one packet of words, its answer one packet: "ok" or "error TEXT", then
 * lines name=value, or bytes of a log.
 *
 *   status                  see below
 *   log NAME [before] [BYTES]   the newest lines of a program's log, of init's ("init"), or of the kernel's when it had crashed ("crash");
 *                           "before": of what earlier starts of the machine wrote, from the data disk
 *   kmsg [BYTES]            the newest lines of the kernel's
 *   config                  with one descriptor (SCM_RIGHTS) of a regular file: a candidate, judged and taken or refused (config.h)
 *   upgrade                 with the descriptor of a release: into the other slot, which a reboot starts on trial (slots.h)
 *   request [NAME]          this node's card request, its keys made on first use, by that name then
 *
 * and what may hurt, done if the word `sure` is behind it, else an error that says what it costs:
 *
 *   restart NAME            asks a program to end and begins it anew
 *   reboot, halt            orderly
 *   owner HEX               pins the owner's key (spec/appliance.md A-10)
 *   retire                  gives the node's key up; durable when "ok" is said
 *   bless, fail, rollback   keeps the image that runs; gives it up; starts the other one (spec/appliance.md 9.7)
 *   adopt                   the data disk of another machine becomes this one's, which comes up anew (disk.h)
 *
 * `status` has: uptime_ms; boot_ms, when all stages had been gone through; stage, the first that cannot go on; stage.NAME=STATE TEXT of each,
 * STATE one of waiting, running, good, cannot; image_version; watchdog, clock: their stage's text; disk, disk_bytes, disk_free; config_number and
 * config_text of the configuration in force; slot, slot_state, slot_next, slot.N, image_number, image_hash as heraclius-slots says;
 * net.LINK=ADDRESS STATE, `-` for no address; program.NAME=STATE pid=N restarts=N TEXT, the text how it ended last.
 *
 * Who asks is known by the kernel (SO_PEERCRED), and which words are whose is spec/appliance.md A-40: root and console may ask all of this; admin,
 * which hears strangers, status, log, kmsg, upgrade, restart, reboot, halt, rollback; the trial status, bless, fail; the node and others nothing. At
 * most CONTROL_CONNECTIONS_MAX at a time and CONTROL_PEER_MAX of one user; one that is silent for CONTROL_SILENT_MS gives way to a new one when all
 * are taken. Jobs (config, request, owner, retire, upgrade, bless, fail, rollback) keep the whole loop waiting: each user has one in CONTROL_JOB_MS.
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
/* The stages have been gone through. */
void control_booted(uint64_t now_ms);
void control_polls(struct pollfd polls[CONTROL_POLLS]);
enum control_wish control_ready(const struct pollfd polls[CONTROL_POLLS], uint64_t now_ms);

#endif
