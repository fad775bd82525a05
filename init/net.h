/*
 * The network as a plan says: links up, addresses, routes. Static ones by rtnetlink here; `dhcp` is dhcpcd's (program.c), on the links named.
 */
#ifndef INIT_NET_H
#define INIT_NET_H

#include <stdbool.h>

#include "init/plan.h"

/* lo, and every other link up, so that their state can be seen. */
void net_links_up(void);
/* The stage. Addresses and routes of an earlier plan that this one does not have are taken away first, so that it may be called again. Whether
 * another machine has an address, too, is not asked (RFC 5227): a node's links are authenticated, so that a duplicate costs it its own vote alone. */
void net_apply(const struct plan *plan);
/* Is there a link for dhcpcd? */
bool net_wants_dhcp(void);

/* Each link: its name, whether it is up and has a carrier, and its first address; for `status`. */
typedef void net_link(void *context, const char *name, const char *state, const char *address);
void net_each(net_link *each, void *context);

#endif
