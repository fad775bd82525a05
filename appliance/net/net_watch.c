#include "appliance/net/net_watch.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "appliance/net/net_claim.h"
#include "appliance/net/net_links.h"

enum { TEXT_BYTES = 200 };

/* A line of the plan on one link. */
struct claim {
    unsigned line, link;
    struct net_claim address;
    enum net_gateway gateway;
    uint8_t other[NET_MAC_BYTES]; /* who has the address */
    int fault;                    /* -errno of the last try */
};

static struct {
    const struct net_plan *plan;
    int arp;
    uint64_t began_ms;
    struct net_link links[NET_LINKS_MAX];
    unsigned links_count;
    struct net_held held[NET_HELD_MAX];
    unsigned held_count;
    struct claim claims[NET_CLAIMS_MAX];
    unsigned claims_count;
} self;

static const struct net_line *line_of(const struct claim *claim) {
    return &self.plan->lines[claim->line];
}

static const struct net_link *link_of(unsigned index) {
    for (unsigned i = 0; i < self.links_count; i++) {
        if (self.links[i].index == index) return &self.links[i];
    }
    return NULL;
}

static bool is_line(const struct net_held *held, const struct net_line *line) {
    return line->kind == NET_ADDRESS && held->family == line->family && held->bits == line->bits &&
           memcmp(held->address, line->address, line->family == 4 ? 4 : 16) == 0;
}

static const struct net_held *held_of(const struct claim *claim) {
    for (unsigned i = 0; i < self.held_count; i++) {
        if (self.held[i].link == claim->link && is_line(&self.held[i], line_of(claim))) return &self.held[i];
    }
    return NULL;
}

/* ---- addresses ---- */

static void arp_send(const struct claim *claim, const struct net_link *link, bool announcement) {
    uint8_t packet[NET_ARP_BYTES];
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = (int)claim->link, .sll_halen = ETH_ALEN};
    memset(to.sll_addr, 0xFF, ETH_ALEN);
    net_arp_make(packet, link->mac, line_of(claim)->address, announcement);
    (void)sendto(self.arp, packet, sizeof packet, 0, (const struct sockaddr *)&to, sizeof to); /* lost ones are sent again */
}

static void claim_event(struct claim *claim, const struct net_link *link, enum net_claim_event event, uint64_t now_ms) {
    const struct net_held *held = held_of(claim);
    switch (net_claim_step(&claim->address, event, now_ms)) {
    case CLAIM_PROBE: arp_send(claim, link, false); break;
    case CLAIM_ADD:
        claim->fault = net_address_add(claim->link, line_of(claim));
        if (!claim->address.by_kernel) arp_send(claim, link, true);
        break;
    case CLAIM_DEFEND: arp_send(claim, link, true); break;
    case CLAIM_REMOVE:
        if (held) (void)net_address_remove(held);
        break;
    case CLAIM_NOTHING: break;
    }
}

static void claim_look(struct claim *claim, const struct net_link *link, uint64_t now_ms) {
    const struct net_held *held = held_of(claim);
    claim_event(claim, link, link->carrier ? CLAIM_CARRIER : CLAIM_NO_CARRIER, now_ms);
    if (held && held->refused) claim_event(claim, link, CLAIM_SEEN, now_ms);
    if (claim->address.due_ms && claim->address.due_ms <= now_ms) claim_event(claim, link, CLAIM_DUE, now_ms);
    bool lacks = claim->address.state == CLAIM_HELD && !held && claim->fault < 0; /* it could not be set: once more */
    if (lacks) claim->fault = net_address_add(claim->link, line_of(claim));
}

void net_watch_packet(unsigned link_index, const uint8_t *packet, size_t count, uint64_t now_ms) {
    const struct net_link *link = link_of(link_index);
    for (unsigned i = 0; link && i < self.claims_count; i++) {
        struct claim *claim = &self.claims[i];
        if (claim->link != link_index || line_of(claim)->kind != NET_ADDRESS || claim->address.by_kernel) continue;
        bool probing = claim->address.state == CLAIM_PROBING;
        if (net_arp_disputes(packet, count, link->mac, line_of(claim)->address, probing, claim->other)) claim_event(claim, link, CLAIM_SEEN, now_ms);
    }
}

/* ---- gateways ---- */

/* Set once an address of its family is there; then asked whether it is alive. */
static void gateway_look(struct claim *claim, const struct net_link *link) {
    const struct net_line *line = line_of(claim);
    bool own = false;
    for (unsigned i = 0; i < self.held_count && !own; i++) {
        own = self.held[i].link == claim->link && self.held[i].family == line->family && !self.held[i].tentative;
    }
    if (!own || !link->carrier) return;
    claim->fault = net_gateway_add(claim->link, line, claim->line + 1);
    enum net_gateway known = net_gateway_look(claim->link, line);
    if (known != GATEWAY_ASKED) claim->gateway = known;
    net_gateway_ask(claim->link, line);
}

/* ---- the look ---- */

static struct claim *claim_of(unsigned line, const struct net_link *link) {
    for (unsigned i = 0; i < self.claims_count; i++) {
        if (self.claims[i].line == line && self.claims[i].link == link->index) return &self.claims[i];
    }
    if (self.claims_count == NET_CLAIMS_MAX) return NULL;
    struct claim *claim = &self.claims[self.claims_count++];
    *claim = (struct claim){.line = line, .link = link->index};
    claim->address.by_kernel = self.plan->lines[line].family == 6 || !link->ethernet;
    if (held_of(claim)) claim->address.state = CLAIM_HELD; /* of an earlier run of this program */
    return claim;
}

static void facts_read(void) {
    self.links_count = net_links_read(self.links);
    for (unsigned i = 0; i < self.links_count; i++) {
        if (!self.links[i].up) (void)net_link_up(self.links[i].index); /* it stays down: that is what is shown */
    }
    self.held_count = net_held_read(self.held);
    unsigned kept = 0;
    for (unsigned i = 0; i < self.claims_count; i++) { /* links that went */
        if (link_of(self.claims[i].link)) self.claims[kept++] = self.claims[i];
    }
    self.claims_count = kept;
}

uint64_t net_watch_look(uint64_t now_ms) {
    uint64_t next_ms = now_ms + NET_LOOK_MS;
    facts_read();
    for (unsigned l = 0; self.plan && l < self.plan->count; l++) {
        const struct net_line *line = &self.plan->lines[l];
        for (unsigned i = 0; i < self.links_count; i++) {
            const struct net_link *link = &self.links[i];
            struct claim *claim = net_plan_means(self.plan, line, link->name, link->mac_text) ? claim_of(l, link) : NULL;
            if (!claim) continue;
            if (line->kind == NET_ADDRESS) claim_look(claim, link, now_ms);
            if (line->kind == NET_GATEWAY) gateway_look(claim, link);
            if (claim->address.due_ms > now_ms && claim->address.due_ms < next_ms) next_ms = claim->address.due_ms;
        }
    }
    self.held_count = net_held_read(self.held); /* with what was just set: that is shown */
    return next_ms;
}

void net_watch_begin(const struct net_plan *plan, int arp, uint64_t now_ms) {
    memset(&self, 0, sizeof self);
    self.plan = plan;
    self.arp = arp;
    self.began_ms = now_ms;
    if (!plan) return;
    facts_read();
    net_gateways_forget();
    for (unsigned i = 0; i < self.held_count; i++) {
        const struct net_held *held = &self.held[i];
        const struct net_link *link = link_of(held->link);
        bool wanted = !link || !held->global || !held->permanent || strcmp(link->name, "lo") == 0;
        for (unsigned l = 0; !wanted && l < plan->count; l++) {
            wanted = is_line(held, &plan->lines[l]) && net_plan_means(plan, &plan->lines[l], link->name, link->mac_text);
        }
        if (!wanted) (void)net_address_remove(held);
    }
}

/* ---- how it stands ---- */

struct text {
    char *bytes;
    size_t used;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text->bytes + text->used, NET_STATE_BYTES - text->used, format, arguments);
    va_end(arguments);
    if (count > 0 && (size_t)count < NET_STATE_BYTES - text->used) text->used += (size_t)count;
    text->bytes[text->used] = '\0';
}

/* The first global address, of IPv4 if there is one; "": none. */
static void address_of(const struct net_link *link, char out[INET6_ADDRSTRLEN]) {
    out[0] = '\0';
    for (unsigned i = 0; i < self.held_count; i++) {
        const struct net_held *held = &self.held[i];
        if (held->link != link->index || !held->global || held->refused || (held->family == 6 && out[0])) continue;
        (void)inet_ntop(held->family == 4 ? AF_INET : AF_INET6, held->address, out, INET6_ADDRSTRLEN);
        if (held->family == 4) return;
    }
}

/* What lacks on one link by one line of the plan: false, and the text; *running: it may come by itself; *absent: nobody is at its other end, which
 * says nothing of this machine. */
static bool claim_is_good(const struct claim *claim, const struct net_link *link, uint64_t now_ms, bool *running, bool *absent,
                          char text[TEXT_BYTES]) {
    const struct net_line *line = line_of(claim);
    const uint8_t *m = claim->other;
    char address[INET6_ADDRSTRLEN] = "", mac[24] = "another machine";
    bool disputed = claim->address.disputed_ms && now_ms - claim->address.disputed_ms < NET_DISPUTED_MS;
    if (line->family) (void)inet_ntop(line->family == 4 ? AF_INET : AF_INET6, line->address, address, sizeof address);
    if (!claim->address.by_kernel) (void)snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
    *running = false;
    text[0] = '\0';
    *absent = !link->carrier || line->kind == NET_DHCP;
    if (!link->carrier) {
        (void)snprintf(text, TEXT_BYTES, "%s has no carrier: is its cable in, and the other end on?", link->name);
    } else if (claim->fault < 0) {
        (void)snprintf(text, TEXT_BYTES, "%s: %s: %s", link->name, address, strerror(-claim->fault));
    } else if (line->kind == NET_GATEWAY) {
        if (claim->gateway == GATEWAY_DEAD) (void)snprintf(text, TEXT_BYTES, "%s: the gateway %s does not answer", link->name, address);
    } else if (line->kind == NET_DHCP) {
        address_of(link, address);
        *running = now_ms - self.began_ms < NET_DHCP_MS;
        if (!address[0]) (void)snprintf(text, TEXT_BYTES, "%s: no DHCP server %s", link->name, *running ? "has answered yet" : "answers");
    } else if (claim->address.state == CLAIM_TAKEN) {
        (void)snprintf(text, TEXT_BYTES, "%s: %s is not used: %s has it", link->name, address, mac);
    } else if (disputed) {
        (void)snprintf(text, TEXT_BYTES, "%s: %s is used by %s, too", link->name, address, mac);
    } else if (claim->address.state != CLAIM_HELD) {
        *running = true;
        (void)snprintf(text, TEXT_BYTES, "%s: asking whether %s is free", link->name, address);
    }
    return !text[0];
}

/* What is asked of every link by `any` is there if one has it: a server has more ports than cables. */
static bool line_is_met(unsigned l, uint64_t now_ms) {
    char text[TEXT_BYTES];
    bool running, absent;
    for (unsigned i = 0; strcmp(self.plan->lines[l].which, "any") == 0 && i < self.claims_count; i++) {
        if (self.claims[i].line == l && claim_is_good(&self.claims[i], link_of(self.claims[i].link), now_ms, &running, &absent, text)) return true;
    }
    return false;
}

/* Of what lacks the worst is said. A port where nobody is, of those that any will do for, says less than what another one of them may yet have. */
enum rank { RANK_GOOD, RANK_NO_CARRIER, RANK_NO_DHCP, RANK_RUNNING, RANK_CANNOT };

static enum rank rank_of(const struct claim *claim, bool running, bool absent) {
    if (running) return RANK_RUNNING;
    if (!absent || strcmp(line_of(claim)->which, "any") != 0) return RANK_CANNOT;
    return link_of(claim->link)->carrier ? RANK_NO_DHCP : RANK_NO_CARRIER;
}

/* The first that is worst. */
static void stage_put(struct text *out, uint64_t now_ms) {
    char text[TEXT_BYTES], first[TEXT_BYTES] = "";
    bool running, absent, dhcp = false;
    enum rank worst = RANK_GOOD;
    if (!self.plan) {
        put(out, "waiting\n");
        return;
    }
    for (unsigned l = 0; l < self.plan->count; l++) {
        bool meant = false, met = line_is_met(l, now_ms);
        dhcp = dhcp || self.plan->lines[l].kind == NET_DHCP;
        for (unsigned i = 0; i < self.claims_count; i++) {
            if (self.claims[i].line != l) continue;
            meant = true;
            if (claim_is_good(&self.claims[i], link_of(self.claims[i].link), now_ms, &running, &absent, text) || (met && absent)) continue;
            enum rank rank = rank_of(&self.claims[i], running, absent);
            if (rank <= worst) continue;
            (void)snprintf(first, sizeof first, "%s", text);
            worst = rank;
        }
        if (meant || worst == RANK_CANNOT) continue;
        (void)snprintf(first, sizeof first, "no link is %s", self.plan->lines[l].which);
        worst = RANK_CANNOT;
    }
    if (worst > RANK_GOOD) put(out, "%s %s\n", worst == RANK_RUNNING ? "running" : "cannot", first);
    else if (self.plan->count == 0) put(out, "cannot the configuration names no link\n");
    else put(out, "good %s\n", dhcp ? "by DHCP" : "static");
}

void net_watch_state(char out[NET_STATE_BYTES], uint64_t now_ms) {
    struct text text = {out, 0};
    bool dhcp = false;
    stage_put(&text, now_ms);
    for (unsigned i = 0; i < self.claims_count; i++) {
        if (line_of(&self.claims[i])->kind != NET_DHCP) continue;
        put(&text, "%s %s", dhcp ? "" : "dhcp", link_of(self.claims[i].link)->name);
        dhcp = true;
    }
    if (dhcp) put(&text, "\n");
    for (unsigned i = 0; i < self.links_count; i++) {
        char address[INET6_ADDRSTRLEN];
        address_of(&self.links[i], address);
        put(&text, "net.%s=%s %s\n", self.links[i].name, address[0] ? address : "-", self.links[i].state);
    }
}
