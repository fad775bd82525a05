#include "init/net.h"
#include "init/say.h"
#include "init/text.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINKS_MAX = 32, REQUEST_BYTES = 256, STALE_MAX = 64 };

static struct {
    char names[LINKS_MAX][IF_NAMESIZE];
    unsigned count;
    bool dhcp;
} self;

static bool link_name(void *context, const char *name) {
    (void)context;
    if (self.count < LINKS_MAX && strlen(name) < IF_NAMESIZE) text_form(self.names[self.count++], IF_NAMESIZE, "%s", name);
    return true;
}

static void links_find(void) {
    self.count = 0;
    if (text_folder("/sys/class/net", link_name, NULL) < 0) self.count = 0;
}

/* ---- rtnetlink: a request and its acknowledgement; everything of a kind ---- */

struct request {
    struct nlmsghdr head;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg address;
        struct rtmsg route;
    };
    uint8_t attributes[REQUEST_BYTES];
};

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
    if (send(fd, request, request->nlmsg_len, 0) < 0) result = -errno;
    else if (recv(fd, &answer, sizeof answer, 0) >= (ssize_t)(sizeof answer.head + sizeof answer.error) && answer.head.nlmsg_type == NLMSG_ERROR)
        result = answer.error.error;
    (void)close(fd);
    return result;
}

typedef void net_found(void *context, struct nlmsghdr *message);

static void find(unsigned short type, net_found *found, void *context) {
    static _Alignas(struct nlmsghdr) uint8_t bytes[32768];
    struct request request = {
        .head = {.nlmsg_len = NLMSG_LENGTH(sizeof request.route), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
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

static const void *address_in(struct nlmsghdr *message) {
    const struct ifaddrmsg *about = NLMSG_DATA(message);
    const void *own = attribute_of(message, sizeof *about, IFA_LOCAL, about->ifa_family == AF_INET ? 4 : 16);
    return own ? own : attribute_of(message, sizeof *about, IFA_ADDRESS, about->ifa_family == AF_INET ? 4 : 16);
}

static struct request request_of(unsigned short type, size_t body) {
    return (struct request){.head = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(body), .nlmsg_type = type, .nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE}};
}

static int link_up(unsigned link) {
    struct request request = request_of(RTM_NEWLINK, sizeof request.link);
    request.head.nlmsg_flags = 0;
    request.link = (struct ifinfomsg){.ifi_index = (int)link, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    return ask(&request.head);
}

static int address_add(unsigned link, const struct plan_net *net) {
    struct request request = request_of(RTM_NEWADDR, sizeof request.address);
    unsigned short count = net->family == 4 ? 4 : 16;
    request.address = (struct ifaddrmsg){net->family == 4 ? AF_INET : AF_INET6, net->bits, net->family == 6 ? IFA_F_NODAD : 0, 0, link};
    attribute(&request, IFA_LOCAL, net->address, count);
    attribute(&request, IFA_ADDRESS, net->address, count);
    return ask(&request.head);
}

static int gateway_add(unsigned link, const struct plan_net *net) {
    struct request request = request_of(RTM_NEWROUTE, sizeof request.route);
    uint32_t out = link;
    request.route = (struct rtmsg){.rtm_family = net->family == 4 ? AF_INET : AF_INET6, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
                                   .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
    attribute(&request, RTA_GATEWAY, net->address, net->family == 4 ? 4 : 16);
    attribute(&request, RTA_OIF, &out, sizeof out);
    return ask(&request.head);
}

void net_links_up(void) {
    links_find();
    for (unsigned i = 0; i < self.count; i++) {
        int result = link_up(if_nametoindex(self.names[i]));
        if (result < 0) say("network: %s: %s", self.names[i], strerror(-result));
    }
}

/* ---- a plan ---- */

static bool is_named(const struct plan_net *net, const char *name, const char *mac) {
    if (strncmp(net->which, "name=", 5) == 0) return strcmp(net->which + 5, name) == 0;
    return strncmp(net->which, "mac=", 4) == 0 && strcmp(net->which + 4, mac) == 0;
}

static bool is_meant(const struct plan *plan, const struct plan_net *net, const char *name) {
    char path[96], mac[32];
    if (strcmp(name, "lo") == 0) return false;
    if (!text_form(path, sizeof path, "/sys/class/net/%s/address", name) || text_read(path, mac, sizeof mac) < 0) mac[0] = '\0';
    if (strcmp(net->which, "any") != 0) return is_named(net, name, mac);
    for (unsigned i = 0; i < plan->nets_count; i++) { /* any: unless another line names it */
        if (is_named(&plan->nets[i], name, mac)) return false;
    }
    return true;
}

/* What earlier plans set and this one does not: addresses that stay for ever (dhcpcd's and the kernel's own end some day) and static routes. */
struct stale {
    const struct plan *plan;
    unsigned count;
    _Alignas(struct nlmsghdr) uint8_t messages[STALE_MAX][REQUEST_BYTES];
};

static void stale_take(void *context, struct nlmsghdr *message) {
    struct stale *stale = context;
    bool route = message->nlmsg_type == RTM_NEWROUTE, gone = false;
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifaddrmsg)) || message->nlmsg_len > REQUEST_BYTES || stale->count == STALE_MAX) return;
    if (route && message->nlmsg_len >= NLMSG_LENGTH(sizeof(struct rtmsg))) {
        const struct rtmsg *about = NLMSG_DATA(message);
        gone = about->rtm_protocol == RTPROT_STATIC && about->rtm_table == RT_TABLE_MAIN;
    } else if (message->nlmsg_type == RTM_NEWADDR) {
        const struct ifaddrmsg *about = NLMSG_DATA(message);
        const void *address = address_in(message);
        char name[IF_NAMESIZE];
        gone = address && about->ifa_flags & IFA_F_PERMANENT && about->ifa_scope == RT_SCOPE_UNIVERSE && if_indextoname(about->ifa_index, name);
        for (unsigned i = 0; gone && i < stale->plan->nets_count; i++) {
            const struct plan_net *net = &stale->plan->nets[i];
            if (net->kind != PLAN_ADDRESS || net->bits != about->ifa_prefixlen || net->family != (about->ifa_family == AF_INET ? 4 : 6)) continue;
            if (memcmp(net->address, address, net->family == 4 ? 4 : 16) == 0 && is_meant(stale->plan, net, name)) gone = false;
        }
    }
    if (gone) memcpy(stale->messages[stale->count++], message, message->nlmsg_len);
}

static void stale_remove(const struct plan *plan) {
    static struct stale stale;
    stale.plan = plan;
    stale.count = 0;
    find(RTM_GETROUTE, stale_take, &stale);
    find(RTM_GETADDR, stale_take, &stale);
    for (unsigned i = 0; i < stale.count; i++) {
        struct nlmsghdr *message = (struct nlmsghdr *)(void *)stale.messages[i];
        message->nlmsg_type = message->nlmsg_type == RTM_NEWROUTE ? RTM_DELROUTE : RTM_DELADDR;
        message->nlmsg_flags = 0;
        int result = ask(message);
        /* A route goes with its address; then it is gone already. */
        if (result < 0 && result != -ESRCH) say("network: something of before stays: %s", strerror(-result));
    }
}

static int line_apply(const struct plan_net *net, const char *name) {
    unsigned link = if_nametoindex(name);
    if (link == 0) return -errno;
    if (net->kind == PLAN_ADDRESS) return address_add(link, net);
    if (net->kind == PLAN_GATEWAY) return gateway_add(link, net);
    self.dhcp = true;
    return 0;
}

void net_apply(const struct plan *plan) {
    unsigned meant = 0, failed = 0;
    char fault[160] = "";
    net_links_up();
    stale_remove(plan);
    self.dhcp = false;
    for (unsigned n = 0; n < plan->nets_count; n++) {
        unsigned links = 0;
        for (unsigned i = 0; i < self.count; i++) {
            if (!is_meant(plan, &plan->nets[n], self.names[i])) continue;
            int result = line_apply(&plan->nets[n], self.names[i]);
            links++;
            if (result < 0) text_form(fault, sizeof fault, "%s: %s", self.names[i], strerror(-result));
            failed += result < 0;
        }
        if (links == 0) text_form(fault, sizeof fault, "no link is %s", plan->nets[n].which);
        failed += links == 0;
        meant += links;
    }
    if (failed) stage_set(STAGE_NETWORK, STAGE_CANNOT, "%s", fault);
    else if (meant == 0) stage_set(STAGE_NETWORK, STAGE_CANNOT, "the configuration names no link");
    else stage_set(STAGE_NETWORK, STAGE_GOOD, "%s", self.dhcp ? "by DHCP" : "static");
}

bool net_wants_dhcp(void) {
    return self.dhcp;
}

struct shown {
    unsigned link;
    char *text;
    bool is4;
};

/* The first global one, of IPv4 if there is one. */
static void shown_take(void *context, struct nlmsghdr *message) {
    struct shown *shown = context;
    const struct ifaddrmsg *about = NLMSG_DATA(message);
    if (message->nlmsg_type != RTM_NEWADDR || message->nlmsg_len < NLMSG_LENGTH(sizeof *about) || about->ifa_index != shown->link || shown->is4)
        return;
    const void *address = address_in(message);
    if (!address || (about->ifa_family != AF_INET && (about->ifa_scope != RT_SCOPE_UNIVERSE || shown->text[0]))) return;
    if (!inet_ntop(about->ifa_family, address, shown->text, INET6_ADDRSTRLEN)) shown->text[0] = '\0';
    shown->is4 = about->ifa_family == AF_INET;
}

void net_each(net_link *each, void *context) {
    links_find();
    for (unsigned i = 0; i < self.count; i++) {
        char path[96], state[16] = "", address[INET6_ADDRSTRLEN] = "";
        struct shown shown = {.link = if_nametoindex(self.names[i]), .text = address};
        if (text_form(path, sizeof path, "/sys/class/net/%s/operstate", self.names[i]) && text_read(path, state, sizeof state) < 0) continue;
        find(RTM_GETADDR, shown_take, &shown);
        each(context, self.names[i], state, address);
    }
}
