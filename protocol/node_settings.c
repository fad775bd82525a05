/* Settings of a node configuration. */
#include "protocol/node_settings.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "protocol/canonical.h"
#include "protocol/config.h"

enum { VALUE_ROOM = CLAIM_SETTING_VALUE_MAX + 1, LINK_NAME_MAX = 15, MAC_CHARACTERS = 17, JOIN_DIGITS_MAX = 4 };

static enum system_error bad(const struct claim_setting *setting, const char *what, struct system_fault *fault) {
    return system_fault_set(fault, SYSTEM_FIELD_RANGE, "%s %.100s: %s", setting->name, setting->value, what);
}

/* ---- words ---- */

/* The next word of a list with commas between; an empty one is a word, too. False: there is none. */
static bool word_next(const char **at, char *out, size_t room) {
    if (!*at) return false;
    size_t count = strcspn(*at, ",");
    (void)snprintf(out, room, "%.*s", (int)count, *at); /* room is that of a value */
    *at = (*at)[count] == ',' ? *at + count + 1 : NULL;
    return true;
}

/* 4, 6 or 0: no literal. */
static int literal_family(const char *text) {
    uint8_t bytes[16];
    return inet_pton(AF_INET, text, bytes) == 1 ? 4 : inet_pton(AF_INET6, text, bytes) == 1 ? 6 : 0;
}

static bool decimal_read(const char *text, unsigned most, unsigned *out) {
    size_t count = strlen(text);
    *out = 0;
    if (count < 1 || count > 5 || (text[0] == '0' && count > 1)) return false;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        *out = *out * 10 + (unsigned)(text[i] - '0');
    }
    return *out <= most;
}

static bool prefix_valid(const char *text) {
    char copy[VALUE_ROOM];
    unsigned bits;
    (void)snprintf(copy, sizeof copy, "%s", text);
    char *slash = strchr(copy, '/');
    if (!slash) return false;
    *slash = 0;
    int family = literal_family(copy);
    return family != 0 && decimal_read(slash + 1, family == 4 ? 32 : 128, &bits) && bits > 0;
}

/* ADDRESS:PORT of a literal. */
static bool endpoint_literal(const char *text) {
    struct address_endpoint endpoint;
    return address_endpoint_parse(&endpoint, text) && endpoint.port != 0 && literal_family(endpoint.host) != 0;
}

static bool mac_valid(const char *text) {
    if (strlen(text) != MAC_CHARACTERS) return false;
    for (size_t i = 0; i < MAC_CHARACTERS; i++) {
        bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (i % 3 == 2 ? text[i] != ':' : !digit) return false;
    }
    return true;
}

static bool link_name_valid(const char *text) {
    size_t count = strlen(text);
    for (size_t i = 0; i < count; i++) {
        if (text[i] <= ' ' || text[i] == '/' || text[i] == ':') return false;
    }
    return count >= 1 && count <= LINK_NAME_MAX && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

bool node_settings_cluster(const char *join, uint32_t *cluster) {
    unsigned index;
    if ((join[0] != 'c' && join[0] != 's') || strlen(join) > 1 + JOIN_DIGITS_MAX || !decimal_read(join + 1, 4095, &index)) return false;
    *cluster = (join[0] == 's' ? (uint32_t)CONFIG_CLUSTER_SHARD : (uint32_t)CONFIG_CLUSTER_COORDINATOR) + index;
    return true;
}

/* ---- one setting each ---- */

typedef enum system_error setting_take(struct node_settings *settings, const struct claim_setting *setting, struct system_fault *fault);

static enum system_error take_hash(struct node_settings *settings, const struct claim_setting *setting, struct system_fault *fault) {
    if (canonical_hex_parse(setting->value, strlen(setting->value), settings->bundle_sha256, 32)) return SYSTEM_OK;
    return bad(setting, "must be 64 lowercase hex digits", fault);
}

/* A name of 4 to 7 characters, of a port and of nothing else below /dev. */
static enum system_error take_console(struct node_settings *settings, const struct claim_setting *setting, struct system_fault *fault) {
    static const char *const kinds[] = {"ttyS", "ttyAMA", "hvc"};
    for (int i = 0; i < 3; i++) {
        size_t count = strlen(kinds[i]);
        const char *number = setting->value + count;
        if (strncmp(setting->value, kinds[i], count) != 0 || number[0] < '0' || number[0] > '7' || number[1] != '\0') continue;
        (void)snprintf(settings->console_port, sizeof settings->console_port, "%s%c", kinds[i], number[0]);
        return SYSTEM_OK;
    }
    return bad(setting, "must be a serial port such as ttyS1: ttyS, ttyAMA or hvc, and 0 to 7", fault);
}

static enum system_error take_join(struct node_settings *settings, const struct claim_setting *setting, struct system_fault *fault) {
    uint32_t cluster;
    if (!node_settings_cluster(setting->value, &cluster)) return bad(setting, "must be a cluster such as s0", fault);
    (void)snprintf(settings->join, sizeof settings->join, "%.7s", setting->value);
    return SYSTEM_OK;
}

static enum system_error take_listen(struct node_settings *settings, const struct claim_setting *setting, struct system_fault *fault) {
    const char *at = setting->value;
    char word[VALUE_ROOM];
    while (word_next(&at, word, sizeof word)) {
        if (settings->listen_count == NODE_SETTINGS_LISTEN_MAX || !endpoint_literal(word)) {
            return bad(setting, "must be one to four ADDRESS:PORT with commas between, of numbers", fault);
        }
        (void)snprintf(settings->listen[settings->listen_count++], NODE_SETTINGS_ENDPOINT_BYTES, "%.63s", word);
    }
    return SYSTEM_OK;
}

static enum system_error take_threads(struct node_settings *settings, const struct claim_setting *setting, struct system_fault *fault) {
    static const char *const words[] = {"auto", "fused", "split"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(setting->value, words[i]) != 0) continue;
        settings->threads = (enum node_settings_threads)i;
        return SYSTEM_OK;
    }
    return bad(setting, "must be auto, fused or split", fault);
}

static enum system_error take_level(struct node_settings *settings, const struct claim_setting *setting, struct system_fault *fault) {
    static const char *const words[] = {"debug", "info", "warn", "error"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(setting->value, words[i]) != 0) continue;
        (void)snprintf(settings->log_level, sizeof settings->log_level, "%s", words[i]);
        return SYSTEM_OK;
    }
    return bad(setting, "must be debug, info, warn or error", fault);
}

static enum system_error take_admin(struct node_settings *settings, const struct claim_setting *setting, struct system_fault *fault) {
    if (!endpoint_literal(setting->value)) return bad(setting, "must be ADDRESS:PORT, of numbers", fault);
    (void)snprintf(settings->admin_listen, sizeof settings->admin_listen, "%.63s", setting->value);
    return SYSTEM_OK;
}

static enum system_error take_syslog(struct node_settings *settings, const struct claim_setting *setting, struct system_fault *fault) {
    struct address_endpoint endpoint;
    if (!address_endpoint_parse(&endpoint, setting->value) || endpoint.port == 0) return bad(setting, "must be HOST:PORT", fault);
    address_endpoint_print(&endpoint, settings->syslog);
    return SYSTEM_OK;
}

static enum system_error take_client(struct node_settings *settings, unsigned index, const struct claim_setting *setting,
                                     struct system_fault *fault) {
    static const char *const roles[] = {"view:", "operate:", "own:"};
    uint8_t hash[32];
    for (int i = 0; i < 3; i++) {
        size_t count = strlen(roles[i]);
        if (strncmp(setting->value, roles[i], count) != 0 || !canonical_hex_parse(setting->value + count, strlen(setting->value + count), hash, 32))
            continue;
        (void)snprintf(settings->admin_clients[index], sizeof settings->admin_clients[index], "%.79s", setting->value);
        return SYSTEM_OK;
    }
    return bad(setting, "must be ROLE:SHA256 of a client certificate, ROLE view, operate or own", fault);
}

/* The value stays as it is: a HOST:PORT has one text (S-91). */
static enum system_error take_peer(struct node_settings *settings, unsigned index, const struct claim_setting *setting, struct system_fault *fault) {
    const char *value = setting->value;
    struct address_endpoint endpoint;
    uint8_t hash[32];
    bool good = strlen(value) > NODE_SETTINGS_HASH_CHARACTERS && value[NODE_SETTINGS_HASH_CHARACTERS] == '@';
    good = good && canonical_hex_parse(value, NODE_SETTINGS_HASH_CHARACTERS, hash, 32);
    good = good && address_endpoint_parse(&endpoint, value + NODE_SETTINGS_HASH_CHARACTERS + 1) && endpoint.port != 0;
    if (!good) return bad(setting, "must be SHA256@HOST:PORT of another admin console and its certificate", fault);
    (void)snprintf(settings->admin_peers[index], sizeof settings->admin_peers[index], "%s", value);
    return SYSTEM_OK;
}

static enum system_error net_addresses(struct node_settings_net *net, const struct claim_setting *setting, struct system_fault *fault) {
    const char *at = setting->value;
    char word[VALUE_ROOM];
    net->dhcp = strcmp(at, "dhcp") == 0;
    while (!net->dhcp && word_next(&at, word, sizeof word)) {
        if (net->addresses_count == NODE_SETTINGS_NET_ADDRESSES_MAX || !prefix_valid(word)) {
            return bad(setting, "must be dhcp, or one to four ADDRESS/BITS with commas between", fault);
        }
        (void)snprintf(net->addresses[net->addresses_count++], NODE_SETTINGS_LITERAL_BYTES, "%.49s", word);
    }
    return SYSTEM_OK;
}

static enum system_error net_gateways(struct node_settings_net *net, const struct claim_setting *setting, struct system_fault *fault) {
    const char *at = setting->value;
    char word[VALUE_ROOM];
    while (word_next(&at, word, sizeof word)) {
        if (net->gateways_count == NODE_SETTINGS_GATEWAYS_MAX || literal_family(word) == 0) {
            return bad(setting, "must be one or two ADDRESS with a comma between", fault);
        }
        (void)snprintf(net->gateways[net->gateways_count++], NODE_SETTINGS_LITERAL_BYTES, "%.49s", word);
    }
    return SYSTEM_OK;
}

static enum system_error net_which(struct node_settings_net *net, const struct claim_setting *setting, bool mac, struct system_fault *fault) {
    if (net->which[0]) return bad(setting, "this net has a mac and a name: one of the two will do", fault);
    if (mac ? !mac_valid(setting->value) : !link_name_valid(setting->value)) {
        return bad(setting, mac ? "must be six pairs of lowercase hex digits with colons between" : "must be the name of a link", fault);
    }
    (void)snprintf(net->which, sizeof net->which, "%s=%.17s", mac ? "mac" : "name", setting->value);
    return SYSTEM_OK;
}

/* "net.2.address": the number, and what is behind it. NULL: not that. */
static const char *numbered(const char *name, const char *before, unsigned count, unsigned *index) {
    size_t length = strlen(before);
    char digits[3] = "";
    if (strncmp(name, before, length) != 0) return NULL;
    size_t width = strspn(name + length, "0123456789");
    if (width < 1 || width > 2) return NULL;
    memcpy(digits, name + length, width);
    return decimal_read(digits, count - 1, index) ? name + length + width : NULL;
}

static enum system_error take_net(struct node_settings_net *net, const char *what, const struct claim_setting *setting, struct system_fault *fault) {
    net->there = true;
    if (strcmp(what, ".address") == 0) return net_addresses(net, setting, fault);
    if (strcmp(what, ".gateway") == 0) return net_gateways(net, setting, fault);
    if (strcmp(what, ".mac") == 0) return net_which(net, setting, true, fault);
    if (strcmp(what, ".name") == 0) return net_which(net, setting, false, fault);
    return system_fault_set(fault, SYSTEM_FIELD_UNKNOWN, "%s: no such setting", setting->name);
}

static const struct {
    const char *name;
    setting_take *take;
} plain[] = {
    {"bundle.sha256", take_hash}, {"join", take_join},     {"listen", take_listen},      {"threads", take_threads},
    {"log.level", take_level},    {"syslog", take_syslog}, {"admin.listen", take_admin}, {"console.port", take_console},
};

static enum system_error take(struct node_settings *settings, const struct claim_setting *setting, struct system_fault *fault) {
    unsigned index;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (strcmp(plain[i].name, setting->name) == 0) return plain[i].take(settings, setting, fault);
    }
    const char *rest = numbered(setting->name, "net.", NODE_SETTINGS_NETS_MAX, &index);
    if (rest) return take_net(&settings->nets[index], rest, setting, fault);
    rest = numbered(setting->name, "admin.client.", NODE_SETTINGS_CLIENTS_MAX, &index);
    if (rest && !rest[0]) return take_client(settings, index, setting, fault);
    rest = numbered(setting->name, "admin.peer.", NODE_SETTINGS_PEERS_MAX, &index);
    if (rest && !rest[0]) return take_peer(settings, index, setting, fault);
    return system_fault_set(fault, SYSTEM_FIELD_UNKNOWN, "%s: no such setting", setting->name);
}

static enum system_error nets_check(struct node_settings *settings, struct system_fault *fault) {
    for (unsigned i = 0; i < NODE_SETTINGS_NETS_MAX; i++) {
        struct node_settings_net *net = &settings->nets[i];
        if (!net->there) continue;
        if (!net->dhcp && net->addresses_count == 0) return system_fault_set(fault, SYSTEM_FIELD_MISSING, "net.%u.address: missing", i);
        if (!net->which[0]) (void)snprintf(net->which, sizeof net->which, "any");
        for (unsigned j = 0; j < i; j++) {
            if (!settings->nets[j].there || strcmp(settings->nets[j].which, net->which) != 0) continue;
            return system_fault_set(fault, SYSTEM_NAME_TWICE, "net.%u and net.%u are of one link (%s)", j, i, net->which);
        }
    }
    return SYSTEM_OK;
}

enum system_error node_settings_read(struct node_settings *settings, const struct claim_node_config *record, struct system_fault *fault) {
    bool hash = false;
    memset(settings, 0, sizeof *settings);
    (void)snprintf(settings->log_level, sizeof settings->log_level, "info");
    for (uint32_t i = 0; i < record->settings_count; i++) {
        enum system_error error = take(settings, &record->settings[i], fault);
        if (error) return error;
        hash = hash || strcmp(record->settings[i].name, "bundle.sha256") == 0;
    }
    if (!hash) return system_fault_set(fault, SYSTEM_FIELD_MISSING, "bundle.sha256: missing");
    return nets_check(settings, fault);
}
