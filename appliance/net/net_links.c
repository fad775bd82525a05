#include "appliance/net/net_links.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_BYTES = 256, ROUTES_MAX = 64, DUMP_BYTES = 32768 };

static unsigned short address_bytes(uint8_t family) {
    return family == 4 ? 4 : 16;
}

static uint8_t kernel_family(uint8_t family) {
    return family == 4 ? AF_INET : AF_INET6;
}

/* ---- /sys/class/net ---- */

static void sys_read(const char *name, const char *file, char *out, size_t size) {
    char path[96];
    out[0] = '\0';
    (void)snprintf(path, sizeof path, "/sys/class/net/%s/%s", name, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t count = read(fd, out, size - 1); /* `carrier` of a link that is down cannot be read */
    (void)close(fd);
    out[count > 0 ? count : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

static unsigned long sys_number(const char *name, const char *file, int base) {
    char text[32];
    sys_read(name, file, text, sizeof text);
    return strtoul(text, NULL, base);
}

static void mac_read(struct net_link *link) {
    for (unsigned i = 0; i < sizeof link->mac && strlen(link->mac_text) == 3 * sizeof link->mac - 1; i++) {
        link->mac[i] = (uint8_t)strtoul(link->mac_text + (ptrdiff_t)3 * i, NULL, 16);
    }
}

static void link_read(struct net_link *link, const char *name) {
    memset(link, 0, sizeof *link);
    (void)snprintf(link->name, sizeof link->name, "%s", name);
    link->index = (unsigned)sys_number(name, "ifindex", 10);
    link->ethernet = sys_number(name, "type", 10) == ARPHRD_ETHER;
    link->up = sys_number(name, "flags", 16) & IFF_UP;
    link->carrier = sys_number(name, "carrier", 10) == 1;
    sys_read(name, "operstate", link->state, sizeof link->state);
    sys_read(name, "address", link->mac_text, sizeof link->mac_text);
    mac_read(link);
}

unsigned net_links_read(struct net_link links[NET_LINKS_MAX]) {
    unsigned count = 0;
    DIR *folder = opendir("/sys/class/net");
    if (!folder) return 0;
    for (const struct dirent *entry; count < NET_LINKS_MAX && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= IF_NAMESIZE) continue;
        link_read(&links[count], entry->d_name);
        count += links[count].index != 0;
    }
    (void)closedir(folder);
    return count;
}

/* ---- rtnetlink: a request and its acknowledgement; everything of a kind ---- */

struct request {
    struct nlmsghdr head;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg address;
        struct rtmsg route;
        struct ndmsg neighbour;
    };
    uint8_t attributes[REQUEST_BYTES];
};

static struct request request_of(unsigned short type, size_t body, unsigned short flags) {
    return (struct request){.head = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(body), .nlmsg_type = type, .nlmsg_flags = flags}};
}

static void attribute(struct request *request, unsigned short type, const void *bytes, unsigned short count) {
    struct rtattr *at = (struct rtattr *)(void *)((uint8_t *)request + NLMSG_ALIGN(request->head.nlmsg_len));
    at->rta_type = type;
    at->rta_len = (unsigned short)RTA_LENGTH(count);
    memcpy(RTA_DATA(at), bytes, count);
    request->head.nlmsg_len = NLMSG_ALIGN(request->head.nlmsg_len) + (uint32_t)RTA_ALIGN(at->rta_len);
}

static int ask(struct nlmsghdr *request) {
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        uint8_t rest[1024];
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), result = -EIO;
    if (fd < 0) return -errno;
    request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    if (send(fd, request, request->nlmsg_len, 0) < 0) {
        result = -errno;
    } else if (recv(fd, &answer, sizeof answer, 0) >= (ssize_t)(sizeof answer.head + sizeof answer.error) &&
               answer.head.nlmsg_type == NLMSG_ERROR) {
        result = answer.error.error;
    }
    (void)close(fd);
    return result;
}

typedef void net_found(void *context, struct nlmsghdr *message);

static void find(unsigned short type, size_t body, net_found *found, void *context) {
    static _Alignas(struct nlmsghdr) uint8_t bytes[DUMP_BYTES];
    struct request request = request_of(type, body, NLM_F_REQUEST | NLM_F_DUMP);
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    bool more = fd >= 0 && send(fd, &request, request.head.nlmsg_len, 0) >= 0;
    while (more) {
        ssize_t count = recv(fd, bytes, sizeof bytes, 0);
        more = count > 0;
        unsigned left = more ? (unsigned)count : 0;
        for (struct nlmsghdr *at = (struct nlmsghdr *)(void *)bytes; more && NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
            more = at->nlmsg_type != NLMSG_DONE && at->nlmsg_type != NLMSG_ERROR;
            if (more) found(context, at);
        }
    }
    if (fd >= 0) (void)close(fd);
}

/* An attribute of at least `least` bytes; NULL: there is none. */
static const void *attribute_of(struct nlmsghdr *message, size_t body, unsigned short type, unsigned least) {
    if (message->nlmsg_len < NLMSG_SPACE(body)) return NULL;
    unsigned left = (unsigned)(message->nlmsg_len - NLMSG_SPACE(body));
    for (struct rtattr *at = (struct rtattr *)(void *)((uint8_t *)message + NLMSG_SPACE(body)); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
        if (at->rta_type == type && RTA_PAYLOAD(at) >= least) return RTA_DATA(at);
    }
    return NULL;
}

int net_link_up(unsigned link) {
    struct request request = request_of(RTM_NEWLINK, sizeof request.link, 0);
    request.link = (struct ifinfomsg){.ifi_index = (int)link, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    return ask(&request.head);
}

/* ---- addresses ---- */

struct held_list {
    struct net_held *held;
    unsigned count;
};

static void held_take(void *context, struct nlmsghdr *message) {
    struct held_list *list = context;
    const struct ifaddrmsg *about = NLMSG_DATA(message);
    if (message->nlmsg_type != RTM_NEWADDR || message->nlmsg_len < NLMSG_LENGTH(sizeof *about) || list->count == NET_HELD_MAX) return;
    if (about->ifa_family != AF_INET && about->ifa_family != AF_INET6) return;
    uint8_t family = about->ifa_family == AF_INET ? 4 : 6;
    const void *address = attribute_of(message, sizeof *about, IFA_LOCAL, address_bytes(family));
    if (!address) address = attribute_of(message, sizeof *about, IFA_ADDRESS, address_bytes(family));
    if (!address) return;
    struct net_held *held = &list->held[list->count++];
    *held = (struct net_held){.link = about->ifa_index,
                              .family = family,
                              .bits = about->ifa_prefixlen,
                              .global = about->ifa_scope == RT_SCOPE_UNIVERSE,
                              .permanent = about->ifa_flags & IFA_F_PERMANENT,
                              .refused = about->ifa_flags & IFA_F_DADFAILED,
                              .tentative = about->ifa_flags & IFA_F_TENTATIVE};
    memcpy(held->address, address, address_bytes(family));
}

unsigned net_held_read(struct net_held held[NET_HELD_MAX]) {
    struct held_list list = {held, 0};
    find(RTM_GETADDR, sizeof(struct ifaddrmsg), held_take, &list);
    return list.count;
}

static int address_change(unsigned short type, unsigned short flags, unsigned link, uint8_t family, uint8_t bits, const uint8_t *address) {
    struct request request = request_of(type, sizeof request.address, flags);
    request.address = (struct ifaddrmsg){.ifa_family = kernel_family(family), .ifa_prefixlen = bits, .ifa_index = link};
    attribute(&request, IFA_LOCAL, address, address_bytes(family));
    attribute(&request, IFA_ADDRESS, address, address_bytes(family));
    return ask(&request.head);
}

int net_address_add(unsigned link, const struct net_line *line) {
    return address_change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, link, line->family, line->bits, line->address);
}

int net_address_remove(const struct net_held *held) {
    return address_change(RTM_DELADDR, 0, held->link, held->family, held->bits, held->address);
}

/* ---- gateways ---- */

int net_gateway_add(unsigned link, const struct net_line *line, uint32_t number) {
    struct request request = request_of(RTM_NEWROUTE, sizeof request.route, NLM_F_CREATE | NLM_F_REPLACE);
    uint32_t out = link;
    request.route = (struct rtmsg){.rtm_family = kernel_family(line->family),
                                   .rtm_table = RT_TABLE_MAIN,
                                   .rtm_protocol = RTPROT_STATIC,
                                   .rtm_scope = RT_SCOPE_UNIVERSE,
                                   .rtm_type = RTN_UNICAST};
    attribute(&request, RTA_GATEWAY, line->address, address_bytes(line->family));
    attribute(&request, RTA_OIF, &out, sizeof out);
    attribute(&request, RTA_PRIORITY, &number, sizeof number);
    return ask(&request.head);
}

struct routes {
    unsigned count;
    _Alignas(struct nlmsghdr) uint8_t messages[ROUTES_MAX][REQUEST_BYTES];
};

static void route_take(void *context, struct nlmsghdr *message) {
    struct routes *routes = context;
    const struct rtmsg *about = NLMSG_DATA(message);
    if (message->nlmsg_type != RTM_NEWROUTE || message->nlmsg_len < NLMSG_LENGTH(sizeof *about)) return;
    if (about->rtm_protocol != RTPROT_STATIC || about->rtm_table != RT_TABLE_MAIN) return;
    if (message->nlmsg_len <= REQUEST_BYTES && routes->count < ROUTES_MAX) memcpy(routes->messages[routes->count++], message, message->nlmsg_len);
}

void net_gateways_forget(void) {
    static struct routes routes;
    routes.count = 0;
    find(RTM_GETROUTE, sizeof(struct rtmsg), route_take, &routes);
    for (unsigned i = 0; i < routes.count; i++) {
        struct nlmsghdr *message = (struct nlmsghdr *)(void *)routes.messages[i];
        message->nlmsg_type = RTM_DELROUTE;
        message->nlmsg_flags = 0;
        (void)ask(message); /* it went by itself, with its link */
    }
}

void net_gateway_ask(unsigned link, const struct net_line *line) {
    struct request request = request_of(RTM_NEWNEIGH, sizeof request.neighbour, NLM_F_CREATE);
    request.neighbour = (struct ndmsg){.ndm_family = kernel_family(line->family), .ndm_ifindex = (int)link, .ndm_flags = NTF_USE};
    attribute(&request, NDA_DST, line->address, address_bytes(line->family));
    (void)ask(&request.head); /* what came of it is seen by net_gateway_look() */
}

struct neighbour {
    unsigned link;
    const struct net_line *line;
    enum net_gateway known;
};

static void neighbour_take(void *context, struct nlmsghdr *message) {
    struct neighbour *wanted = context;
    const struct ndmsg *about = NLMSG_DATA(message);
    if (message->nlmsg_type != RTM_NEWNEIGH || message->nlmsg_len < NLMSG_LENGTH(sizeof *about)) return;
    if (about->ndm_ifindex != (int)wanted->link || about->ndm_family != kernel_family(wanted->line->family)) return;
    const void *address = attribute_of(message, sizeof *about, NDA_DST, address_bytes(wanted->line->family));
    if (!address || memcmp(address, wanted->line->address, address_bytes(wanted->line->family)) != 0) return;
    wanted->known = about->ndm_state & NUD_FAILED ? GATEWAY_DEAD : about->ndm_state & NUD_INCOMPLETE ? GATEWAY_ASKED : GATEWAY_THERE;
}

enum net_gateway net_gateway_look(unsigned link, const struct net_line *line) {
    struct neighbour wanted = {link, line, GATEWAY_ASKED};
    find(RTM_GETNEIGH, sizeof(struct ndmsg), neighbour_take, &wanted);
    return wanted.known;
}

int net_changes_open(void) {
    struct sockaddr_nl about = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&about, sizeof about) == 0) return fd;
    (void)close(fd);
    return -1;
}
