/*
 * What init itself has to know of a configuration, as heraclius-setup says it (the answer of `plan` and `take`): lines of words, nothing else.
 *
 *   number N                          of the configuration
 *   node NAME
 *   net WHICH dhcp                    WHICH: mac=52:54:00:12:34:56, name=eth0, or any (all that are not named)
 *   net WHICH address ADDRESS/BITS    IPv4 or IPv6
 *   net WHICH gateway ADDRESS
 *   ready                             last; without it the plan is not whole
 *
 * An unknown line is a fault: init and heraclius-setup come in one image.
 */
#ifndef INIT_PLAN_H
#define INIT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

enum { PLAN_NETS_MAX = 32, PLAN_WORD_BYTES = 64 };

enum plan_net_kind { PLAN_DHCP, PLAN_ADDRESS, PLAN_GATEWAY };

struct plan_net {
    char which[PLAN_WORD_BYTES];
    enum plan_net_kind kind;
    uint8_t family; /* 4 or 6; 0: dhcp */
    uint8_t bits;
    uint8_t address[16];
};

struct plan {
    uint64_t number;
    char node[PLAN_WORD_BYTES];
    struct plan_net nets[PLAN_NETS_MAX];
    unsigned nets_count;
};

/* Cuts `text` into words. False: `fault` (at least 128 bytes) names the line. */
bool plan_read(char *text, struct plan *plan, char fault[128]) __attribute__((warn_unused_result));

#endif
