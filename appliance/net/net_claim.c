#include "appliance/net/net_claim.h"

#include <string.h>

static enum net_claim_action to(struct net_claim *claim, enum net_claim_state state, uint64_t due_ms, enum net_claim_action action) {
    claim->state = state;
    claim->due_ms = due_ms;
    return action;
}

static enum net_claim_action begin(struct net_claim *claim, uint64_t now_ms) {
    if (claim->by_kernel) return to(claim, CLAIM_HELD, 0, CLAIM_ADD);
    claim->probes = 1;
    return to(claim, CLAIM_PROBING, now_ms + NET_PROBE_MS, CLAIM_PROBE);
}

static enum net_claim_action probing(struct net_claim *claim, enum net_claim_event event, uint64_t now_ms) {
    if (event == CLAIM_NO_CARRIER) return to(claim, CLAIM_WAITING, 0, CLAIM_NOTHING);
    if (event == CLAIM_SEEN) return to(claim, CLAIM_TAKEN, now_ms + NET_TAKEN_MS, CLAIM_NOTHING);
    if (event != CLAIM_DUE) return CLAIM_NOTHING;
    if (claim->probes == NET_PROBES) return to(claim, CLAIM_HELD, 0, CLAIM_ADD);
    claim->probes++;
    return to(claim, CLAIM_PROBING, now_ms + NET_PROBE_MS, CLAIM_PROBE);
}

static enum net_claim_action held(struct net_claim *claim, enum net_claim_event event, uint64_t now_ms) {
    if (event != CLAIM_SEEN) return CLAIM_NOTHING;
    if (claim->by_kernel) return to(claim, CLAIM_TAKEN, now_ms + NET_TAKEN_MS, CLAIM_REMOVE);
    claim->disputed_ms = now_ms;
    if (now_ms < claim->due_ms) return CLAIM_NOTHING;
    return to(claim, CLAIM_HELD, now_ms + NET_DEFEND_MS, CLAIM_DEFEND);
}

enum net_claim_action net_claim_step(struct net_claim *claim, enum net_claim_event event, uint64_t now_ms) {
    switch (claim->state) {
    case CLAIM_WAITING: return event == CLAIM_CARRIER ? begin(claim, now_ms) : CLAIM_NOTHING;
    case CLAIM_PROBING: return probing(claim, event, now_ms);
    case CLAIM_HELD: return held(claim, event, now_ms);
    case CLAIM_TAKEN:
        if (event == CLAIM_NO_CARRIER) return to(claim, CLAIM_WAITING, 0, CLAIM_NOTHING);
        if (event == CLAIM_SEEN) return to(claim, CLAIM_TAKEN, now_ms + NET_TAKEN_MS, CLAIM_NOTHING);
        return event == CLAIM_DUE ? begin(claim, now_ms) : CLAIM_NOTHING;
    default: return CLAIM_NOTHING;
    }
}

/* ---- ARP ---- */

/* Offsets: kinds and lengths of addresses, what it is (1 asks, 2 answers), then sender's and target's, hardware first. */
enum { WHAT_AT = 6, SENDER_AT = 8, SENDER_ADDRESS_AT = 14, TARGET_ADDRESS_AT = 24, ASKS = 1 };
static const uint8_t kinds[WHAT_AT] = {0, 1, 8, 0, NET_MAC_BYTES, 4};

void net_arp_make(uint8_t packet[NET_ARP_BYTES], const uint8_t mac[NET_MAC_BYTES], const uint8_t address[4], bool announcement) {
    memset(packet, 0, NET_ARP_BYTES);
    memcpy(packet, kinds, sizeof kinds);
    packet[WHAT_AT + 1] = ASKS;
    memcpy(packet + SENDER_AT, mac, NET_MAC_BYTES);
    if (announcement) memcpy(packet + SENDER_ADDRESS_AT, address, 4);
    memcpy(packet + TARGET_ADDRESS_AT, address, 4);
}

bool net_arp_disputes(const uint8_t *packet, size_t count, const uint8_t mac[NET_MAC_BYTES], const uint8_t address[4], bool probing_now,
                      uint8_t other[NET_MAC_BYTES]) {
    static const uint8_t nobody[4];
    if (count < NET_ARP_BYTES || memcmp(packet, kinds, sizeof kinds) != 0 || packet[WHAT_AT] != 0) return false;
    if (memcmp(packet + SENDER_AT, mac, NET_MAC_BYTES) == 0) return false; /* our own, come back */
    const uint8_t *sender = packet + SENDER_ADDRESS_AT;
    bool asks_too = packet[WHAT_AT + 1] == ASKS && memcmp(sender, nobody, 4) == 0 && memcmp(packet + TARGET_ADDRESS_AT, address, 4) == 0;
    if (memcmp(sender, address, 4) != 0 && !(probing_now && asks_too)) return false;
    memcpy(other, packet + SENDER_AT, NET_MAC_BYTES);
    return true;
}
