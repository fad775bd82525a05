/*
 * What heraclius-setup answers, on hostile bytes: init reads it as text, cut off at the first \0.
 *
 * Whatever is taken keeps within its limits, and says the same when it is written down and read again.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "init/plan.h"
#include "init/text.h"
#include "merkle/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t plan_write(const struct plan *plan, char *out, size_t size) {
    char address[64];
    size_t at = (size_t)snprintf(out, size, "number %llu\n", (unsigned long long)plan->number);
    if (plan->node[0]) at += (size_t)snprintf(out + at, size - at, "node %s\n", plan->node);
    for (unsigned i = 0; i < plan->nets_count; i++) {
        const struct plan_net *net = &plan->nets[i];
        at += (size_t)snprintf(out + at, size - at, "net %s ", net->which);
        if (net->kind == PLAN_DHCP) {
            at += (size_t)snprintf(out + at, size - at, "dhcp\n");
            continue;
        }
        CHECK(net->family == 4 || net->family == 6);
        CHECK(net->bits <= (net->family == 4 ? 32 : 128));
        CHECK(inet_ntop(net->family == 4 ? AF_INET : AF_INET6, net->address, address, sizeof address) != NULL);
        if (net->kind == PLAN_ADDRESS)
            at += (size_t)snprintf(out + at, size - at, "address %s/%u\n", address, net->bits);
        else
            at += (size_t)snprintf(out + at, size - at, "gateway %s\n", address);
    }
    return at + (size_t)snprintf(out + at, size - at, "ready\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char text[65536], again[65536];
    static struct plan plan, second;
    char fault[128] = "";
    if (size >= sizeof text) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (!plan_read(text, &plan, fault)) {
        CHECK(fault[0] != '\0');
        return 0;
    }
    CHECK(plan.nets_count <= PLAN_NETS_MAX);
    CHECK(plan_write(&plan, again, sizeof again) < sizeof again);
    CHECK(plan_read(again, &second, fault));
    CHECK(second.number == plan.number && second.nets_count == plan.nets_count && strcmp(second.node, plan.node) == 0);
    for (unsigned i = 0; i < plan.nets_count; i++) {
        const struct plan_net *a = &plan.nets[i], *b = &second.nets[i];
        CHECK(strcmp(a->which, b->which) == 0 && a->kind == b->kind && a->family == b->family && a->bits == b->bits);
        CHECK(memcmp(a->address, b->address, sizeof a->address) == 0);
    }
    return 0;
}
