/*
 * The two images on the boot partition (spec/appliance.md 9.7): heraclius-slots does all that is done with them. The partition (vfat with the
 * label HERACLIUS: disk.h) is opened by that job alone; it is never mounted.
 */
#ifndef INIT_SLOTS_H
#define INIT_SLOTS_H

#include "init/job.h"

/* 64 MiB onto a stick that takes 1 MB a second, what was there read before and all read again after. */
enum { SLOTS_MS = 300000, SLOTS_LOOK_MS = 20000, SLOTS_AGAIN_MS = 30000 };

/* One of the job's words; `upload`: descriptor of a release, or -1. False: the answer is one line that says why not. */
bool slots_do(const char *word, int upload, char answer[JOB_ANSWER_BYTES]) __attribute__((warn_unused_result));
/* Asks how they stand, until that is known, again SLOTS_AGAIN_MS after a try, which takes SLOTS_LOOK_MS at most: other jobs wait. True: it is now. */
bool slots_look(uint64_t now_ms) __attribute__((warn_unused_result));
/* Lines name=value as the job said them last; "slots=" and why, as long as it has said nothing. */
const char *slots_text(void);

#endif
