/*
 * What the kernel knows and does of links, addresses and routes: /sys/class/net, and rtnetlink (man 7 rtnetlink). What changes something needs
 * CAP_NET_ADMIN and returns 0 or -errno.
 */
#ifndef APPLIANCE_NET_LINKS_H
#define APPLIANCE_NET_LINKS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "appliance/net/net_plan.h"

enum { NET_LINKS_MAX = 32, NET_HELD_MAX = 128 };

struct net_link {
    char name[IF_NAMESIZE];
    unsigned index;
    char mac_text[24];
    uint8_t mac[6];
    bool ethernet, up, carrier;
    char state[16]; /* the kernel's word */
};

/* An address that a link has. */
struct net_held {
    unsigned link;
    uint8_t family, bits; /* 4 or 6 */
    uint8_t address[16];
    bool global, permanent; /* permanent: neither DHCP's nor a router's */
    bool refused;           /* IPv6: another machine has it */
    bool tentative;         /* IPv6: not yet known */
};

/* In the order of the kernel; what is more than fits is not there. */
unsigned net_links_read(struct net_link links[NET_LINKS_MAX]);
unsigned net_held_read(struct net_held held[NET_HELD_MAX]);

int net_link_up(unsigned link);
int net_address_add(unsigned link, const struct net_line *line);
int net_address_remove(const struct net_held *held);

/* The default route; of several the one with the lowest number is used. */
int net_gateway_add(unsigned link, const struct net_line *line, uint32_t number);
/* All routes that net_gateway_add() made, in this run or an earlier one. */
void net_gateways_forget(void);
/* Has the kernel ask whether a gateway is there; it knows after some seconds. */
void net_gateway_ask(unsigned link, const struct net_line *line);
/* What it knows by now: nothing (still asking), that it answers, that it does not. */
enum net_gateway { GATEWAY_ASKED, GATEWAY_THERE, GATEWAY_DEAD };
enum net_gateway net_gateway_look(unsigned link, const struct net_line *line);

/* A socket on which something can be read whenever links or addresses change; -1: errno. */
int net_changes_open(void);

#endif
