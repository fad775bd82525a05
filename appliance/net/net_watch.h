/*
 * The network of an appliance: brought to what a plan says, and kept an eye on. What heraclius-net does, without its loop.
 *
 * Static addresses are asked for before they are used and defended afterwards (net_claim.h); gateways are asked whether they are there; what `dhcp`
 * stands for is dhcpcd's, on the links that are named to it. Nothing is given up: what does not go now is tried again at the next look.
 */
#ifndef APPLIANCE_NET_WATCH_H
#define APPLIANCE_NET_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/net/net_plan.h"

enum { NET_LOOK_MS = 5000, NET_DHCP_MS = 20000, NET_CLAIMS_MAX = 64, NET_STATE_BYTES = 8192, NET_PLAN_BYTES_MAX = 65536 };

/* `plan` NULL: there is none yet, links are brought up alone. `arp`: a packet socket for ARP (ETH_P_ARP), without the link's header. `now_ms`: of
 * ring/clock.h. Addresses and gateways of earlier plans are taken away. */
void net_watch_begin(const struct net_plan *plan, int arp, uint64_t now_ms);

/* What came on `arp`. */
void net_watch_packet(unsigned link, const uint8_t *packet, size_t count, uint64_t now_ms);

/* Looks at everything and does what is due; when it is to be called next. */
uint64_t net_watch_look(uint64_t now_ms);

/*
 * How it stands, as init reads it from /run/net/state (init/net.h):
 *
 *   STATE TEXT             waiting, running, good, cannot; the first thing that lacks. Where a line is for every link (`any`), one that has it will
 *                          do: others without a carrier, or without a DHCP server, are shown among the links alone
 *   dhcp LINK ...          the links that dhcpcd is for; none: it is not needed
 *   net.LINK=ADDRESS STATE of each link, `-` for no address
 */
void net_watch_state(char out[NET_STATE_BYTES], uint64_t now_ms);

#endif
