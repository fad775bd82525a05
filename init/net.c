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
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINKS_MAX = 32, REQUEST_BYTES = 256 };

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

static int link_up(const char *name) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    text_form(request.ifr_name, sizeof request.ifr_name, "%s", name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = 0;
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0) result = -errno;
    request.ifr_flags |= IFF_UP;
    if (result == 0 && ioctl(fd, SIOCSIFFLAGS, &request) < 0) result = -errno;
    if (fd >= 0) (void)close(fd);
    return result;
}

void net_links_up(void) {
    links_find();
    for (unsigned i = 0; i < self.count; i++) {
        int result = link_up(self.names[i]);
        if (result < 0) say("network: %s: %s", self.names[i], strerror(-result));
    }
}

/* ---- one rtnetlink request and its acknowledgement ---- */

struct request {
    struct nlmsghdr head;
    union {
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

static int ask(struct request *request) {
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        uint8_t rest[1024];
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), result = -EIO;
    if (fd < 0) return -errno;
    request->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    if (send(fd, request, request->head.nlmsg_len, 0) < 0) result = -errno;
    else if (recv(fd, &answer, sizeof answer, 0) >= (ssize_t)(sizeof answer.head + sizeof answer.error) && answer.head.nlmsg_type == NLMSG_ERROR)
        result = answer.error.error;
    (void)close(fd);
    return result;
}

static int address_add(unsigned link, const struct plan_net *net) {
    struct request request;
    unsigned short count = net->family == 4 ? 4 : 16;
    memset(&request, 0, sizeof request);
    request.head.nlmsg_len = NLMSG_LENGTH(sizeof request.address);
    request.head.nlmsg_type = RTM_NEWADDR;
    request.head.nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
    request.address.ifa_family = net->family == 4 ? AF_INET : AF_INET6;
    request.address.ifa_prefixlen = net->bits;
    request.address.ifa_flags = net->family == 6 ? IFA_F_NODAD : 0;
    request.address.ifa_index = link;
    attribute(&request, IFA_LOCAL, net->address, count);
    attribute(&request, IFA_ADDRESS, net->address, count);
    return ask(&request);
}

static int gateway_add(unsigned link, const struct plan_net *net) {
    struct request request;
    uint32_t out = link;
    memset(&request, 0, sizeof request);
    request.head.nlmsg_len = NLMSG_LENGTH(sizeof request.route);
    request.head.nlmsg_type = RTM_NEWROUTE;
    request.head.nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
    request.route.rtm_family = net->family == 4 ? AF_INET : AF_INET6;
    request.route.rtm_table = RT_TABLE_MAIN;
    request.route.rtm_protocol = RTPROT_STATIC;
    request.route.rtm_scope = RT_SCOPE_UNIVERSE;
    request.route.rtm_type = RTN_UNICAST;
    attribute(&request, RTA_GATEWAY, net->address, net->family == 4 ? 4 : 16);
    attribute(&request, RTA_OIF, &out, sizeof out);
    return ask(&request);
}

/* ---- a plan ---- */

static bool is_meant(const struct plan *plan, const struct plan_net *net, const char *name) {
    char path[96], mac[32];
    if (strcmp(name, "lo") == 0) return false;
    if (strncmp(net->which, "name=", 5) == 0) return strcmp(net->which + 5, name) == 0;
    if (!text_form(path, sizeof path, "/sys/class/net/%s/address", name) || text_read(path, mac, sizeof mac) < 0) return false;
    if (strncmp(net->which, "mac=", 4) == 0) return strcmp(net->which + 4, mac) == 0;
    for (unsigned i = 0; i < plan->nets_count; i++) { /* any: unless another line names it */
        if (strcmp(plan->nets[i].which, "any") != 0 && is_meant(plan, &plan->nets[i], name)) return false;
    }
    return true;
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

static void address_of(const char *name, char *out, size_t size) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    text_form(request.ifr_name, sizeof request.ifr_name, "%s", name);
    out[0] = '\0';
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    if (ioctl(fd, SIOCGIFADDR, &request) == 0) {
        struct sockaddr_in in;
        memcpy(&in, &request.ifr_addr, sizeof in);
        if (!inet_ntop(AF_INET, &in.sin_addr, out, (socklen_t)size)) out[0] = '\0';
    }
    (void)close(fd);
}

void net_each(net_link *each, void *context) {
    links_find();
    for (unsigned i = 0; i < self.count; i++) {
        char path[96], state[16] = "", address[48];
        if (text_form(path, sizeof path, "/sys/class/net/%s/operstate", self.names[i]) && text_read(path, state, sizeof state) < 0) continue;
        address_of(self.names[i], address, sizeof address);
        each(context, self.names[i], state, address);
    }
}
