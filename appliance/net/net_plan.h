/*
 * The network's part of a plan: the lines `net` of what heraclius-setup prints (init/plan.h), which init hands on as they are.
 *
 *   net WHICH dhcp                    WHICH: mac=52:54:00:12:34:56, name=eth0, or any (all that no other line names)
 *   net WHICH address ADDRESS/BITS    IPv4 or IPv6
 *   net WHICH gateway ADDRESS
 *
 * Other lines are not looked at; a line `net` of another form is a fault: all programs that know it come in one image.
 */
#ifndef APPLIANCE_NET_PLAN_H
#define APPLIANCE_NET_PLAN_H

#include <stdbool.h>
#include <stdint.h>

enum { NET_LINES_MAX = 32, NET_WORD_BYTES = 64, NET_FAULT_BYTES = 128 };

enum net_kind { NET_DHCP, NET_ADDRESS, NET_GATEWAY };

struct net_line {
    char which[NET_WORD_BYTES];
    enum net_kind kind;
    uint8_t family; /* 4 or 6; 0: dhcp */
    uint8_t bits;
    uint8_t address[16];
};

struct net_plan {
    struct net_line lines[NET_LINES_MAX];
    unsigned count;
};

/* Cuts `text` into words. False: `fault` names the line. */
bool net_plan_read(char *text, struct net_plan *plan, char fault[NET_FAULT_BYTES]) __attribute__((warn_unused_result));

/* Is a line of the plan about the link of this name and hardware address ("" for none)? */
bool net_plan_means(const struct net_plan *plan, const struct net_line *line, const char *name, const char *mac);

#endif
