/*
 * heraclius-net: the network of an appliance, under init, as user net with the capabilities to change it and to send ARP, and no other.
 *
 *   /run/init/plan          read once, at the start; not there: links are brought up, no more (init begins it anew with each configuration)
 *   /run/net/state          what init reads (net_watch.h), replaced in one step
 *   /run/net/dhcpcd.conf    the links that dhcpcd is for
 *
 * It ends by a signal alone, and leaves addresses and routes as they are. Each new state is a line on its output.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/net/net_links.h"
#include "appliance/net/net_watch.h"
#include "ring/clock.h"

enum { PACKETS_MAX = 64, PACKET_BYTES = 128, EXIT_REFUSED = 2 };

static bool file_put(const char *path, const char *text) {
    char fresh[128];
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return false;
    bool good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    good = close(fd) == 0 && good;
    return good && rename(fresh, path) == 0;
}

/* False: there is a plan, and it cannot be gone by; *plan NULL: there is none. */
static bool plan_read(const struct net_plan **plan, char fault[NET_FAULT_BYTES]) {
    static struct net_plan read_plan;
    static char text[NET_PLAN_BYTES_MAX + 1];
    *plan = NULL;
    int fd = open("/run/init/plan", O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return true;
    ssize_t count = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (count < 0) (void)snprintf(fault, NET_FAULT_BYTES, "/run/init/plan: %s", strerror(errno));
    if (fd >= 0) (void)close(fd);
    if (count < 0) return false;
    *plan = &read_plan;
    return net_plan_read(text, &read_plan, fault);
}

static void packets_take(int arp, uint64_t now_ms) {
    for (unsigned i = 0; i < PACKETS_MAX; i++) { /* the rest at the next turn: a flood keeps nothing else waiting */
        uint8_t packet[PACKET_BYTES];
        struct sockaddr_ll from;
        socklen_t from_bytes = sizeof from;
        ssize_t count = recvfrom(arp, packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&from, &from_bytes);
        if (count < 0) return;
        if (from.sll_pkttype != PACKET_OUTGOING) net_watch_packet((unsigned)from.sll_ifindex, packet, (size_t)count, now_ms);
    }
}

static void changes_drain(int changes) {
    char bytes[8192];
    for (unsigned i = 0; i < PACKETS_MAX && recv(changes, bytes, sizeof bytes, MSG_DONTWAIT) > 0; i++) continue;
}

static void state_tell(uint64_t now_ms) {
    static char state[NET_STATE_BYTES], shown[NET_STATE_BYTES];
    char links[NET_STATE_BYTES] = "denyinterfaces *\n";
    net_watch_state(state, now_ms);
    if (strcmp(state, shown) == 0) return;
    const char *dhcp = strstr(state, "\ndhcp ");
    if (dhcp) (void)snprintf(links, sizeof links, "allowinterfaces %.*s\n", (int)strcspn(dhcp + 6, "\n"), dhcp + 6);
    bool good = file_put("/run/net/dhcpcd.conf", links) && file_put("/run/net/state", state);
    memcpy(shown, state, sizeof shown);
    printf("%.*s%s\n", (int)strcspn(state, "\n"), state, good ? "" : " (it could not be written for init)");
    (void)fflush(stdout);
}

static _Noreturn void run(int arp, int changes) {
    uint64_t due_ms = 0;
    for (;;) {
        uint64_t now_ms = ring_clock_ms();
        if (now_ms >= due_ms) {
            due_ms = net_watch_look(now_ms);
            state_tell(now_ms);
        }
        struct pollfd polls[] = {{.fd = arp, .events = POLLIN}, {.fd = changes, .events = POLLIN}};
        if (poll(polls, 2, (int)(due_ms - now_ms)) <= 0) continue;
        now_ms = ring_clock_ms();
        if (polls[0].revents) packets_take(arp, now_ms);
        if (polls[1].revents) {
            changes_drain(changes);
            due_ms = now_ms;
        }
    }
}

int main(int count, char **words) {
    char fault[NET_FAULT_BYTES] = "";
    const struct net_plan *plan;
    if (count > 1) {
        bool help = count == 2 && strcmp(words[1], "--help") == 0;
        (void)fputs("usage: heraclius-net   the network of an appliance: init runs it, without arguments\n", help ? stdout : stderr);
        return help ? 0 : EXIT_REFUSED;
    }
    (void)chmod("/run/net", 0755); /* dhcpcd reads there */
    if (!plan_read(&plan, fault)) {
        char state[NET_FAULT_BYTES + 16];
        (void)snprintf(state, sizeof state, "cannot %s\n", fault);
        (void)fprintf(stderr, "%s%s\n", fault, file_put("/run/net/state", state) ? "" : " (nor could that be written for init)");
        return EXIT_REFUSED;
    }
    int arp = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ARP)), changes = net_changes_open();
    if (arp < 0 || changes < 0) {
        (void)fprintf(stderr, "no socket to the network: %s\n", strerror(errno));
        return 1;
    }
    net_watch_begin(plan, arp, ring_clock_ms());
    run(arp, changes);
}
