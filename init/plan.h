/*
 * What init has to know of a configuration, as heraclius-setup says it (the answer of `plan` and `take`): lines of words, nothing else.
 *
 *   number N     of the configuration
 *   node NAME
 *   console PORT  of the machine, ttyS1 say; without: the image's
 *   net ...      not looked at here: handed on to heraclius-net (appliance/net/net_plan.h)
 *   ready        last; without it the plan is not whole
 *
 * An unknown line is a fault: init and heraclius-setup come in one image.
 */
#ifndef INIT_PLAN_H
#define INIT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

enum { PLAN_WORD_BYTES = 64, PLAN_PORT_BYTES = 16, PLAN_LINE_BYTES = 256 };

struct plan {
    uint64_t number;
    char node[PLAN_WORD_BYTES], console[PLAN_PORT_BYTES]; /* "": none */
};

/* False: `fault` (at least 128 bytes) names the line. */
bool plan_read(const char *text, struct plan *plan, char fault[128]) __attribute__((warn_unused_result));

#endif
