/*
 * One address of a plan on one link: whether it may be used, as RFC 5227 asks it for IPv4 and the kernel for IPv6; pure.
 *
 *   state     carrier    no carrier   due                          seen (another machine has it)
 *   WAITING   PROBE      -            -                            -
 *   PROBING   -          WAITING      PROBE; after the last: ADD   TAKEN
 *   HELD      -          -            -                            DEFEND, not more often than NET_DEFEND_MS; IPv6: REMOVE, TAKEN
 *   TAKEN     -          WAITING      PROBE                        TAKEN, for as long again
 *
 * An address that another machine has is not used, and asked for again each NET_TAKEN_MS: it is used once the other has gone. One that was in use
 * before the other came is kept and defended (RFC 5227, 2.4 c): whoever comes with the address of a node shall not silence it; it is said for
 * NET_DISPUTED_MS. The pauses between probes are shorter than the RFC's, since a node that starts is missed: 0.3 s in all for its 4 to 7.
 * For IPv6 the kernel asks (RFC 4862): ADD at once, and "seen" is its verdict.
 */
#ifndef APPLIANCE_NET_CLAIM_H
#define APPLIANCE_NET_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NET_PROBES = 3, NET_PROBE_MS = 100, NET_TAKEN_MS = 10000, NET_DEFEND_MS = 10000, NET_DISPUTED_MS = 60000 };
enum { NET_ARP_BYTES = 28, NET_MAC_BYTES = 6 };

enum net_claim_state { CLAIM_WAITING, CLAIM_PROBING, CLAIM_HELD, CLAIM_TAKEN };
enum net_claim_event { CLAIM_CARRIER, CLAIM_NO_CARRIER, CLAIM_DUE, CLAIM_SEEN };
enum net_claim_action { CLAIM_NOTHING, CLAIM_PROBE, CLAIM_ADD, CLAIM_DEFEND, CLAIM_REMOVE };

struct net_claim {
    enum net_claim_state state;
    bool by_kernel;       /* IPv6, and links that know no ARP */
    unsigned probes;      /* sent since PROBING began */
    uint64_t due_ms;      /* when CLAIM_DUE is due, 0: never; HELD: before it there is no DEFEND */
    uint64_t disputed_ms; /* when another was seen last while HELD; 0: never */
};

enum net_claim_action net_claim_step(struct net_claim *claim, enum net_claim_event event, uint64_t now_ms);

/* ---- ARP over Ethernet, without its header (RFC 826) ---- */

/* From 0.0.0.0: who has it? From the address itself: an announcement (RFC 5227, 2.3). */
void net_arp_make(uint8_t packet[NET_ARP_BYTES], const uint8_t mac[NET_MAC_BYTES], const uint8_t address[4], bool announcement);
/* Does another machine than `mac` say that it has the address, or, while we are `probing`, ask for it as we do? Then `other` is that machine. */
bool net_arp_disputes(const uint8_t *packet, size_t count, const uint8_t mac[NET_MAC_BYTES], const uint8_t address[4], bool probing,
                      uint8_t other[NET_MAC_BYTES]);

#endif
