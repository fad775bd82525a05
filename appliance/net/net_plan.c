#include "appliance/net/net_plan.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 5 }; /* one more than a line may have */

static unsigned words_of(char *line, char *words[WORDS]) {
    unsigned count = 0;
    for (char *at = line + strspn(line, " \t"); *at && count < WORDS; at += strspn(at, " \t")) {
        words[count++] = at;
        at += strcspn(at, " \t");
        if (*at) *at++ = '\0';
    }
    return count;
}

static bool bits_read(const char *text, unsigned most, uint8_t *bits) {
    unsigned value = 0;
    if (!*text) return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > most) return false;
    }
    *bits = (uint8_t)value;
    return true;
}

static bool address_read(char *word, bool with_bits, struct net_line *line) {
    char *slash = strchr(word, '/');
    if ((slash != NULL) != with_bits) return false;
    if (slash) *slash = '\0';
    line->family = inet_pton(AF_INET, word, line->address) == 1 ? 4 : inet_pton(AF_INET6, word, line->address) == 1 ? 6 : 0;
    if (line->family == 0) return false;
    return !slash || bits_read(slash + 1, line->family == 4 ? 32 : 128, &line->bits);
}

static bool line_read(char **words, unsigned count, struct net_plan *plan) {
    if (plan->count == NET_LINES_MAX || count < 3) return false;
    struct net_line *line = &plan->lines[plan->count];
    memset(line, 0, sizeof *line);
    if ((size_t)snprintf(line->which, sizeof line->which, "%s", words[1]) >= sizeof line->which) return false;
    if (strcmp(words[1], "any") != 0 && strncmp(words[1], "mac=", 4) != 0 && strncmp(words[1], "name=", 5) != 0) return false;
    bool is_address = strcmp(words[2], "address") == 0, is_gateway = strcmp(words[2], "gateway") == 0;
    line->kind = is_address ? NET_ADDRESS : is_gateway ? NET_GATEWAY : NET_DHCP;
    bool good = line->kind == NET_DHCP ? count == 3 && strcmp(words[2], "dhcp") == 0 : count == 4 && address_read(words[3], is_address, line);
    plan->count += good;
    return good;
}

bool net_plan_read(char *text, struct net_plan *plan, char fault[NET_FAULT_BYTES]) {
    unsigned number = 0;
    memset(plan, 0, sizeof *plan);
    for (char *line = text, *next; line && *line; line = next) {
        char *words[WORDS];
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        number++;
        unsigned count = words_of(line, words);
        if (count == 0 || strcmp(words[0], "net") != 0 || line_read(words, count, plan)) continue;
        (void)snprintf(fault, NET_FAULT_BYTES, "line %u of the plan is not understood", number);
        return false;
    }
    return true;
}

static bool is_named(const struct net_line *line, const char *name, const char *mac) {
    if (strncmp(line->which, "name=", 5) == 0) return strcmp(line->which + 5, name) == 0;
    return strncmp(line->which, "mac=", 4) == 0 && strcmp(line->which + 4, mac) == 0;
}

bool net_plan_means(const struct net_plan *plan, const struct net_line *line, const char *name, const char *mac) {
    if (strcmp(name, "lo") == 0) return false;
    if (strcmp(line->which, "any") != 0) return is_named(line, name, mac);
    for (unsigned i = 0; i < plan->count; i++) {
        if (is_named(&plan->lines[i], name, mac)) return false;
    }
    return true;
}
