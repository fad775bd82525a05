#include "init/plan.h"
#include "init/text.h"
#include <arpa/inet.h>
#include <string.h>

static bool address_read(char *word, bool with_bits, struct plan_net *net) {
    uint64_t bits = 0;
    char *slash = strchr(word, '/');
    if ((slash != NULL) != with_bits) return false;
    if (slash) *slash = '\0';
    net->family = inet_pton(AF_INET, word, net->address) == 1 ? 4 : inet_pton(AF_INET6, word, net->address) == 1 ? 6 : 0;
    if (net->family == 0) return false;
    if (slash && !text_number(slash + 1, net->family == 4 ? 32 : 128, &bits)) return false;
    net->bits = (uint8_t)bits;
    return true;
}

static bool net_read(char **words, size_t count, struct plan *plan) {
    if (plan->nets_count == PLAN_NETS_MAX) return false;
    struct plan_net *net = &plan->nets[plan->nets_count];
    memset(net, 0, sizeof *net);
    if (count < 3 || !text_form(net->which, sizeof net->which, "%s", words[1])) return false;
    if (strcmp(net->which, "any") != 0 && strncmp(net->which, "mac=", 4) != 0 && strncmp(net->which, "name=", 5) != 0) return false;
    if (count == 3 && strcmp(words[2], "dhcp") == 0) net->kind = PLAN_DHCP;
    else if (count == 4 && strcmp(words[2], "address") == 0 && address_read(words[3], true, net)) net->kind = PLAN_ADDRESS;
    else if (count == 4 && strcmp(words[2], "gateway") == 0 && address_read(words[3], false, net)) net->kind = PLAN_GATEWAY;
    else return false;
    plan->nets_count++;
    return true;
}

bool plan_read(char *text, struct plan *plan, char fault[128]) {
    memset(plan, 0, sizeof *plan);
    bool ready = false;
    unsigned number = 0;
    for (char *line = text, *next; line && *line; line = next) {
        char *words[5];
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        size_t count = text_words(line, words, 5);
        number++;
        bool good = !ready && count > 0;
        if (good && strcmp(words[0], "number") == 0) good = count == 2 && text_number(words[1], UINT64_MAX, &plan->number);
        else if (good && strcmp(words[0], "node") == 0) good = count == 2 && text_form(plan->node, sizeof plan->node, "%s", words[1]);
        else if (good && strcmp(words[0], "net") == 0) good = net_read(words, count, plan);
        else if (good && strcmp(words[0], "ready") == 0) ready = count == 1;
        else good = false;
        if (good) continue;
        text_form(fault, 128, "line %u of the plan is not understood", number);
        return false;
    }
    if (!ready) text_form(fault, 128, "the plan is not whole");
    return ready;
}
