/*
 * What the node of the image that ran was, when another image was put next (spec/appliance.md A-39): one line beside the slot, slotN.was. The image
 * that is on trial there later is judged by it, when its node has no vote (slots_trial.h). Pure.
 *
 *   heraclius-was 1 NUMBER PHASE HEIGHT LINKED
 *
 * NUMBER: of the image in the slot, for which it was written. PHASE: the node's, by the contract; `unconfigured`: there was no configuration;
 * `silent`: the node did not answer. HEIGHT: of its newest checkpoint. LINKED: 1 if it reached another member, else 0.
 */
#ifndef APPLIANCE_SLOTS_WAS_H
#define APPLIANCE_SLOTS_WAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SLOTS_PHASE_BYTES = 32, SLOTS_WAS_BYTES = 128 };
#define SLOTS_UNCONFIGURED "unconfigured"
#define SLOTS_SILENT "silent"

struct slots_was {
    uint64_t number; /* 0: nothing is known */
    char phase[SLOTS_PHASE_BYTES];
    uint64_t height;
    bool linked;
};

/* The phases in which a node has no vote, and will not have one by itself. */
bool slots_phase_voteless(const char *phase);

/* The line with its end; its bytes. */
size_t slots_was_print(const struct slots_was *was, char out[SLOTS_WAS_BYTES]);
/* False: another form, and *was is all zero. */
bool slots_was_parse(struct slots_was *was, const char *text, size_t count);

/* slots_ask.c: what this machine's node is now, but for the number. `root` goes before the paths. */
void slots_was_ask(struct slots_was *was, const char *root);

#endif
