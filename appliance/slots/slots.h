/*
 * heraclius-slots: the two images of a machine, and which of them it starts next (spec/appliance.md 9.6, 9.7).
 *
 *   heraclius-slots status      which slots there are, which one runs, which comes next
 *   heraclius-slots upgrade     a release (descriptor 3) into the slot that does not run; it is started next, on trial
 *   heraclius-slots bless       the slot that runs is kept for good
 *   heraclius-slots rollback    the other slot is started next, on trial
 *   heraclius-slots fail        the slot that runs, on trial, is given up: the other one is started next
 *   heraclius-slots trial       asks the node whether it votes, and init for one of the last two (slots_trial.h)
 *
 * init runs the first five as jobs with the boot partition on descriptor 4 (init/slots.c); the program is no root and sees no other disk.
 *
 * systemd-boot chooses among EFI/Linux/heraclius-N[+LEFT[-DONE]].efi: a file with +0 comes last, then the higher IMAGE_VERSION goes first; one with
 * +LEFT is renamed to one less before it is started. A file without a counter is blessed. So the state is these names alone, and each change is a
 * rename, which is one write of one sector (fat.h). The records of releases lie beside them, slot1.rel and slot2.rel, and what the node was when the
 * slot was put next, slot1.was and slot2.was (slots_was.h).
 *
 *   upgrade    slot.new is written and read again; the other slot's files are erased; its record and slotN.was are written; slot.new becomes
 *              heraclius-N+2.efi
 *   bless      heraclius-N+L-D.efi becomes heraclius-N.efi
 *   rollback   slotN.was of the other one is written, or, if it cannot be, is gone; it gets +2; then, if ours has the higher number and so would go
 *              first, ours gets +0
 *   fail       ours gets +0; not if the loader would take ours again
 *
 * At every moment the blessed slot that runs, or the one that ran before, starts: an image that does not come up twice is given up by the loader, one
 * that comes up and does not vote by the trial.
 */
#ifndef APPLIANCE_SLOTS_H
#define APPLIANCE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/slots/fat.h"
#include "appliance/slots/slots_was.h"
#include "protocol/release.h"
#include "protocol/system_error.h"

enum { SLOTS = 2, SLOTS_TRIES = 2, SLOTS_BLESSED = -1, SLOTS_UPLOAD = 3, SLOTS_DEVICE = 4 };

struct slot {
    bool there, twice;           /* twice: it has a second file, no second name of the first */
    struct fat_file file, other; /* other: a second name, "": none */
    int tries_left, tries_done;  /* SLOTS_BLESSED: no counter */
    struct release_facts facts;  /* what its UKI says; number 0: nothing */
    bool recorded;               /* there is a record, signed by one of the keys, of as many bytes and of this number */
    struct release record;
    struct slots_was was; /* number 0: none that was written for the image that lies there */
};

struct slots {
    struct fat fat;
    uint32_t folder;
    struct slot slots[SLOTS];
    /* of this machine, from the caller */
    int running;     /* 1 or 2; 0: it did not start from a slot */
    uint64_t number; /* of the image that runs; 0: it has none */
    enum release_architecture architecture;
    struct release_keys keys;
    struct slots_was now; /* what its node is, but for the number: written beside the slot that upgrade and rollback put next */
    const char *unwritten; /* why slots_rollback() could not write it, and went on without; NULL: it is there */
};

/* The name of a file as a slot's: 1 or 2, 0: none. */
int slots_name_parse(const char *name, int *tries_left, int *tries_done);
/* running, number, architecture and keys are set. On SYSTEM_OK slots_close() is due. */
enum system_error slots_open(struct slots *slots, const struct fat_device *device, uint64_t bytes, struct system_fault *fault)
    __attribute__((warn_unused_result));
void slots_close(struct slots *slots);

/* The slot that the loader would take now; 0: none. */
int slots_next(const struct slots *slots);

/* The release is read once, from its beginning. Refusals are checked in the order of A-34. *slot: where it lies. */
enum system_error slots_upgrade(struct slots *slots, fat_source *source, void *context, uint64_t bytes, int *slot, struct system_fault *fault)
    __attribute__((warn_unused_result));
enum system_error slots_bless(struct slots *slots, struct system_fault *fault) __attribute__((warn_unused_result));
enum system_error slots_rollback(struct slots *slots, struct system_fault *fault) __attribute__((warn_unused_result));
enum system_error slots_fail(struct slots *slots, struct system_fault *fault) __attribute__((warn_unused_result));

/* slots_job.c: one word of the above, on an appliance whose root is `root` (""). The exit code: 0, or 1 after a line on standard error. */
int slots_job(const char *root, const char *word);
/* Of the image that runs; 0: it has none. */
uint64_t slots_number_read(const char *root);

#endif
