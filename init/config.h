/*
 * Which configuration this machine goes by. init reads none itself: it copies a candidate to where nobody else can change it, has heraclius-setup
 * judge that copy (signature of the owner, number, node), and keeps it at /data/config/bundle if it is accepted. What was accepted last stays in
 * force until then.
 * Candidates, each judged against what is in force by then: at a start QEMU's fw_cfg (opt/heraclius/config, at most CONFIG_FW_CFG_MAX, which the
 * kernel reads byte by byte, and each page from its beginning anew), then disks (vfat or ISO 9660 with the label HERACLIUS-CFG, their file
 * heraclius.cfg); later what the console hands in, or comes on a disk that appears (disk.h).
 */
#ifndef INIT_CONFIG_H
#define INIT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "init/plan.h"
#include "init/say.h"

enum { CONFIG_BYTES_MAX = 8 << 20, CONFIG_FW_CFG_MAX = 256 << 10, CONFIG_REASON_BYTES = SAY_LINE_BYTES };

/* The stage. */
void config_start(void);
/* Disks that appeared since. True: a newer one is in force now. */
bool config_again(void) __attribute__((warn_unused_result));
/* A candidate from an open file, from its beginning. False: `reason` is one line. */
bool config_offer(int fd, const char *whence, char reason[CONFIG_REASON_BYTES]) __attribute__((warn_unused_result));
/* In force; NULL: none. */
const struct plan *config_plan(void);
/* The node's own files, made anew of what is in force, by its own user; then it is started, or begun anew by what it reads at its start alone.
 * False: the stage says why not. */
bool config_files(void);
/* If that failed (A-22: its --init, say) and the pause is over, once more. When that is due again; UINT64_MAX: it is done. */
uint64_t config_retry(uint64_t now_ms);
/* Why the newest candidate was refused, and whence it came; "": it was accepted, or there was none. */
const char *config_refused(void);

#endif
