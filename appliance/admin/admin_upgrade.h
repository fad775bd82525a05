/*
 * Releases and slots as the admin console tells of them (spec/appliance.md 9.6, 9.7): what init says of the two slots (lines of heraclius-slots,
 * appliance/slots_job.c), how far a trial is (appliance/slots_trial.h), what an operator asked for last. What init says is read as text from a
 * stranger: what is not understood is not shown.
 */
#ifndef APPLIANCE_ADMIN_UPGRADE_H
#define APPLIANCE_ADMIN_UPGRADE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/slots/slots.h"

enum { ADMIN_REFUSAL_NAME_BYTES = 32, ADMIN_REFUSAL_TEXT_BYTES = 448 };

struct admin_slots {
    int running, next; /* 0: none, not known */
    bool on_trial;     /* the one that runs */
    uint64_t number;   /* of the image that runs; 0: not known */
    struct admin_slot {
        bool there, blessed, is_signed;
        uint64_t number;
        char label[RELEASE_LABEL_MAX + 1]; /* "": none */
        int tries_left, tries_done;
    } slots[SLOTS];
};

/* Of lines name=value, among them those of heraclius-slots. */
void admin_slots_read(struct admin_slots *slots, const char *text);

/* A refusal by a rule of the specification has a name of 7.14; another failure has none. */
struct admin_refusal {
    char name[ADMIN_REFUSAL_NAME_BYTES], text[ADMIN_REFUSAL_TEXT_BYTES];
};

/* True: init said "ok". `said` NULL: it said nothing, and `fault` why. */
bool admin_refusal_read(struct admin_refusal *refusal, const char *said, const char *fault);

/* Of init's "ok" to a release or a roll back: a sentence; the answer, a new reference. */
void admin_upgrade_said(const char *said, char *out, size_t size);
json_t *admin_upgrade_taken(const char *said, bool audited);

#endif
