/*
 * The network is heraclius-net's (appliance/net/), which is not root; dhcpcd's is what `dhcp` stands for. init hands the plan on, and goes by
 * the file in which heraclius-net says how it stands:
 *
 *   STATE TEXT       good, cannot, running, waiting: the stage
 *   dhcp LINK ...    if dhcpcd is needed: the links that it is for
 *   net.LINK=...     lines of `status`
 */
#ifndef INIT_NET_H
#define INIT_NET_H

#include <stdbool.h>
#include <stdint.h>

enum { NET_STATE_BYTES = 8192 };

/* heraclius-net has said something: the stage, and dhcpcd as it is needed (`may_start`: if it is). */
void net_look(bool may_start, uint64_t now_ms);
/* The newest lines `net.`, each printable; "": none. */
const char *net_lines(void);

#endif
