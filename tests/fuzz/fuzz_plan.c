/*
 * What heraclius-setup answers, on hostile bytes: init reads it as text, cut off at the first \0, and heraclius-net the lines `net` in it.
 *
 * Whatever is taken keeps within its limits, and says the same when it is written down and read again.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "appliance/net/net_plan.h"
#include "init/plan.h"
#include "merkle/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t nets_write(const struct net_plan *plan, char *out, size_t size) {
    char address[64];
    size_t at = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < plan->count; i++) {
        const struct net_line *line = &plan->lines[i];
        at += (size_t)snprintf(out + at, size - at, "net %s ", line->which);
        if (line->kind == NET_DHCP) {
            at += (size_t)snprintf(out + at, size - at, "dhcp\n");
            continue;
        }
        CHECK(line->family == 4 || line->family == 6);
        CHECK(line->bits <= (line->family == 4 ? 32 : 128));
        CHECK(inet_ntop(line->family == 4 ? AF_INET : AF_INET6, line->address, address, sizeof address) != NULL);
        if (line->kind == NET_ADDRESS)
            at += (size_t)snprintf(out + at, size - at, "address %s/%u\n", address, line->bits);
        else
            at += (size_t)snprintf(out + at, size - at, "gateway %s\n", address);
    }
    return at;
}

static void init_reads(const char *text) {
    static struct plan plan, second;
    char fault[128] = "", again[256];
    if (!plan_read(text, &plan, fault)) {
        CHECK(fault[0] != '\0');
        return;
    }
    size_t at = (size_t)snprintf(again, sizeof again, "number %llu\n", (unsigned long long)plan.number);
    if (plan.node[0]) at += (size_t)snprintf(again + at, sizeof again - at, "node %s\n", plan.node);
    if (plan.console[0]) at += (size_t)snprintf(again + at, sizeof again - at, "console %s\n", plan.console);
    CHECK((size_t)snprintf(again + at, sizeof again - at, "ready\n") < sizeof again - at);
    CHECK(plan_read(again, &second, fault));
    CHECK(second.number == plan.number && strcmp(second.node, plan.node) == 0 && strcmp(second.console, plan.console) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char text[65536], again[65536];
    static struct net_plan plan, second;
    char fault[NET_FAULT_BYTES] = "";
    if (size >= sizeof text) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    init_reads(text);
    if (!net_plan_read(text, &plan, fault)) {
        CHECK(fault[0] != '\0');
        return 0;
    }
    CHECK(plan.count <= NET_LINES_MAX);
    CHECK(nets_write(&plan, again, sizeof again) < sizeof again);
    CHECK(net_plan_read(again, &second, fault));
    CHECK(second.count == plan.count);
    for (unsigned i = 0; i < plan.count; i++) {
        const struct net_line *a = &plan.lines[i], *b = &second.lines[i];
        CHECK(strcmp(a->which, b->which) == 0 && a->kind == b->kind && a->family == b->family && a->bits == b->bits);
        CHECK(memcmp(a->address, b->address, sizeof a->address) == 0);
    }
    return 0;
}
