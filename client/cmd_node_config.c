/* heraclius node config new, sign, show; node check-config: the bundle that configures an appliance (spec/appliance.md 9.1, 9.2, 9.4). */
#include <arpa/inet.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd_system.h"
#include "client/cmd_system_inside.h"
#include "client/command.h"
#include "merkle/sha256.h"
#include "protocol/candidate.h"
#include "protocol/canonical.h"
#include "protocol/successor.h"

struct wishes {
    char *system, *addresses, *node, *card, *from, *number, *chain, *admin_certificate, *syslog_ca, *predecessor, *statement;
    char *owner_key, *owner, *kept, *out;
    char **set;
};

/* A bundle's file, and files that go into one. */
struct work {
    uint8_t *text; /* that `bundle` points into */
    struct command_bytes files[BUNDLE_BLOCKS];
    struct bundle bundle;
    struct claim_node_config record;
    uint8_t record_bytes[CLAIM_NODE_CONFIG_BYTES_MAX];
};

static void work_free(struct work *work) {
    free(work->text);
    for (int i = 0; i < BUNDLE_BLOCKS; i++) free(work->files[i].bytes);
}

/* ---- reading ---- */

static bool bundle_read(const char *path, uint8_t **text, size_t *count) {
    struct command_bytes file;
    if (!command_read_file(path, BUNDLE_TEXT_BYTES_MAX, "the most that a configuration may have", &file)) return false;
    *text = file.bytes;
    *count = file.count;
    return true;
}

static bool work_read(struct work *work, const char *path) {
    struct system_fault fault;
    size_t count;
    if (!bundle_read(path, &work->text, &count)) return false;
    enum system_error error = bundle_decode(&work->bundle, work->text, count, &fault);
    if (!error) error = bundle_check(&work->bundle, &fault);
    const struct bundle_block *record = &work->bundle.blocks[BUNDLE_NODE_CONFIG];
    if (!error) error = claim_node_config_decode(&work->record, record->bytes, record->count, &fault);
    if (error) (void)cmd_fail("%s: %s: %s", path, system_error_name(error), fault.text);
    return !error;
}

static bool block_read(struct work *work, enum bundle_kind kind, const char *path) {
    if (!path) return true;
    if (!command_read_file(path, bundle_bytes_max(kind), "the most that this block may have", &work->files[kind])) return false;
    if (work->files[kind].count == 0) return (void)cmd_fail("%s: is empty", path), false;
    work->bundle.blocks[kind] = (struct bundle_block){.bytes = work->files[kind].bytes, .count = work->files[kind].count};
    return true;
}

/* ---- settings ---- */

static uint32_t setting_at(const struct claim_node_config *record, const char *name) {
    uint32_t at = 0;
    while (at < record->settings_count && strcmp(record->settings[at].name, name) < 0) at++;
    return at;
}

static bool setting_is(const struct claim_node_config *record, uint32_t at, const char *name) {
    return at < record->settings_count && strcmp(record->settings[at].name, name) == 0;
}

static void setting_remove(struct claim_node_config *record, const char *name) {
    uint32_t at = setting_at(record, name);
    if (!setting_is(record, at, name)) return;
    record->settings_count--;
    memmove(&record->settings[at], &record->settings[at + 1], (record->settings_count - at) * sizeof record->settings[0]);
}

static bool setting_put(struct claim_node_config *record, const char *name, const char *value) {
    if (strlen(name) > CLAIM_SETTING_NAME_MAX || strlen(value) > CLAIM_SETTING_VALUE_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != strlen(name))
        return (void)cmd_fail("--set %s=%s: a name of a-z 0-9 . _ -, at most %d characters, and a value of at most %d", name, value,
                              CLAIM_SETTING_NAME_MAX, CLAIM_SETTING_VALUE_MAX),
               false;
    setting_remove(record, name);
    uint32_t at = setting_at(record, name);
    if (record->settings_count == CLAIM_SETTINGS_MAX) return (void)cmd_fail("more than %d settings", CLAIM_SETTINGS_MAX), false;
    memmove(&record->settings[at + 1], &record->settings[at], (record->settings_count - at) * sizeof record->settings[0]);
    memset(&record->settings[at], 0, sizeof record->settings[at]);
    (void)snprintf(record->settings[at].name, sizeof record->settings[at].name, "%s", name);
    (void)snprintf(record->settings[at].value, sizeof record->settings[at].value, "%s", value);
    record->settings_count++;
    return true;
}

/* NAME=VALUE; NAME= takes it out. */
static bool settings_take(struct claim_node_config *record, char **words) {
    for (char **word = words; word && *word; word++) {
        char *equals = strchr(*word, '=');
        if (!equals || equals == *word) return (void)cmd_fail("--set %s: must be NAME=VALUE, or NAME= to take it out", *word), false;
        *equals = 0;
        for (const char *c = equals + 1; *c; c++) {
            if (*c < 0x20 || *c > 0x7E) return (void)cmd_fail("--set %s: has a character that is no printable ASCII", *word), false;
        }
        if (equals[1] == 0)
            setting_remove(record, *word);
        else if (!setting_put(record, *word, equals + 1))
            return false;
    }
    return true;
}

/* ---- writing ---- */

/* The record with what it says of the other blocks, as text; malloc'd. */
static char *work_print(struct work *work, const struct ed25519_secret *owner, size_t *count) {
    uint8_t hash[32];
    char hex[65];
    bundle_hash(&work->bundle, hash);
    canonical_hex_print(hash, 32, hex);
    if (!setting_put(&work->record, "bundle.sha256", hex)) return NULL;
    if (owner)
        claim_node_config_sign(&work->record, owner);
    else
        memset(work->record.signature, 0, sizeof work->record.signature);
    size_t bytes = claim_node_config_encode(&work->record, work->record_bytes);
    work->bundle.blocks[BUNDLE_NODE_CONFIG] = (struct bundle_block){.bytes = work->record_bytes, .count = bytes};
    *count = bundle_text_bytes(&work->bundle);
    if (*count > BUNDLE_TEXT_BYTES_MAX)
        return (void)cmd_fail("%zu bytes, at most %d are allowed: the system file is too large", *count, BUNDLE_TEXT_BYTES_MAX), NULL;
    char *text = malloc(*count);
    if (text) (void)bundle_encode(&work->bundle, text);
    return text;
}

/* What a node would say of this text. */
static enum system_error text_judge(struct candidate *candidate, const char *text, size_t count, const struct candidate_node *node,
                                    struct system_fault *fault) {
    uint8_t *copy = malloc(count);
    memset(candidate, 0, sizeof *candidate);
    if (!copy) return system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
    memcpy(copy, text, count);
    return candidate_judge(candidate, copy, count, node, fault);
}

/* Written if a node would take it, the signature apart where it is yet to come. */
static bool work_write(struct work *work, const struct ed25519_secret *owner, const struct card *card, const char *out) {
    static struct candidate candidate;
    const struct candidate_node node = {.own = card};
    struct system_fault fault;
    size_t count;
    char *text = work_print(work, owner, &count);
    if (!text) return false;
    enum system_error error = text_judge(&candidate, text, count, &node, &fault);
    bool good = !error || (!owner && error == SYSTEM_SIGNATURE_INVALID);
    candidate_free(&candidate);
    if (!good) (void)cmd_fail("%s: a node would refuse it: %s: %s", out, system_error_name(error), fault.text);
    if (good && canonical_write_new(out, text, count, 0644, &fault)) {
        (void)cmd_fail("%s", fault.text);
        good = false;
    }
    free(text);
    return good;
}

/* ---- new ---- */

static bool system_paths(struct wishes *wishes, char addresses[CMD_PATH_BYTES]) {
    char folder[CMD_PATH_BYTES];
    struct command command = {.system_path = wishes->system};
    if (!command_find_system(&command)) return false;
    if (!wishes->system) wishes->system = strdup(command.system_path);
    if (!wishes->system) return (void)cmd_fail("no memory"), false;
    (void)snprintf(folder, sizeof folder, "%s", wishes->system);
    if (wishes->addresses) return snprintf(addresses, CMD_PATH_BYTES, "%s", wishes->addresses) < CMD_PATH_BYTES;
    return cmd_path(addresses, dirname(folder), "addresses.json");
}

/* Whose it is: --card, --node, or whose --from was. */
static bool node_choose(struct work *work, const struct wishes *wishes, const struct system *system, struct card *card) {
    struct system_fault fault;
    if (wishes->card) {
        if (card_load(card, CARD_NODE, wishes->card, &fault)) return (void)cmd_fail("%s", fault.text), false;
    } else if (wishes->node) {
        const struct card *found = system_node_by_name(system, wishes->node, NULL, NULL);
        if (!found)
            return (void)cmd_fail("--node %s: no node of the system file (for one that a CONFIG brings in give --card FILE)", wishes->node), false;
        *card = *found;
    } else if (!wishes->from) {
        return (void)cmd_fail("whose configuration? --node NAME of the system file, --card FILE, or --from its last one"), false;
    }
    if (!wishes->card && !wishes->node) return true;
    if (wishes->from && memcmp(work->record.node_id, card->id, 32) != 0) return (void)cmd_fail("%s is of another node", wishes->from), false;
    memcpy(work->record.node_id, card->id, 32);
    return true;
}

static bool number_choose(struct work *work, const struct wishes *wishes) {
    uint64_t before = work->record.number; /* 0 without --from */
    char *end = NULL;
    unsigned long long number = wishes->number ? strtoull(wishes->number, &end, 10) : before + 1;
    if (wishes->number && (wishes->number[0] < '0' || wishes->number[0] > '9' || *end != 0 || number <= before))
        return (void)cmd_fail("--number %s: must be a number above %llu", wishes->number, (unsigned long long)before), false;
    work->record.number = number;
    return true;
}

static int config_new(struct wishes *wishes) {
    static struct work work;
    struct system *system = NULL;
    struct system_fault fault;
    struct card card;
    char addresses[CMD_PATH_BYTES];
    int code = CMD_EXIT_USAGE;
    if (!system_paths(wishes, addresses) || (wishes->from && !work_read(&work, wishes->from))) goto out;
    if (system_load(&system, wishes->system, &fault)) {
        (void)cmd_fail("%s", fault.text);
        goto out;
    }
    memcpy(work.record.system_id, system->system_id, 16);
    if (!node_choose(&work, wishes, system, &card) || !number_choose(&work, wishes) || !settings_take(&work.record, wishes->set)) goto out;
    if (!block_read(&work, BUNDLE_SYSTEM, wishes->system) || !block_read(&work, BUNDLE_ADDRESSES, addresses) ||
        !block_read(&work, BUNDLE_CHAIN, wishes->chain) || !block_read(&work, BUNDLE_ADMIN_CERTIFICATE, wishes->admin_certificate) ||
        !block_read(&work, BUNDLE_SYSLOG_CA, wishes->syslog_ca) || !block_read(&work, BUNDLE_PREDECESSOR, wishes->predecessor) ||
        !block_read(&work, BUNDLE_STATEMENT, wishes->statement))
        goto out;
    if (!work_write(&work, NULL, wishes->card ? &card : NULL, wishes->out)) goto out;
    printf("number %llu is in %s, not signed: heraclius node config sign %s --owner-key FILE --out FILE\n", (unsigned long long)work.record.number,
           wishes->out, wishes->out);
    code = CMD_EXIT_DONE;
out:
    system_free(system);
    work_free(&work);
    return code;
}

/* ---- sign ---- */

static int config_sign(const struct wishes *wishes, const char *path) {
    static struct work work;
    struct keyfile owner = {.lock = -1};
    struct system_fault fault;
    struct card card;
    int code = CMD_EXIT_USAGE;
    if (!work_read(&work, path)) goto out;
    if (wishes->card && card_load(&card, CARD_NODE, wishes->card, &fault)) {
        (void)cmd_fail("%s", fault.text);
        goto out;
    }
    if (keyfile_open(&owner, KEYFILE_OWNER, wishes->owner_key, false, &fault)) {
        (void)cmd_fail("%s", fault.text);
        goto out;
    }
    if (!work_write(&work, &owner.signing, wishes->card ? &card : NULL, wishes->out)) goto out;
    printf("number %llu, signed: %s (heraclius node check-config says what a node does with it)\n", (unsigned long long)work.record.number,
           wishes->out);
    code = CMD_EXIT_DONE;
out:
    keyfile_close(&owner);
    work_free(&work);
    return code;
}

/* ---- show ---- */

static int config_show(const char *path) {
    static struct work work;
    static const uint8_t none[64];
    char hex[65];
    int code = CMD_EXIT_USAGE;
    if (!work_read(&work, path)) goto out;
    printf("number %llu, %s\n", (unsigned long long)work.record.number,
           memcmp(work.record.signature, none, 64) == 0 ? "not signed" : "signed by somebody: check-config says by whom");
    canonical_hex_print(work.record.node_id, 32, hex);
    printf("node   %s\n", hex);
    canonical_hex_print(work.record.system_id, 16, hex);
    printf("system %s\n", hex);
    for (uint32_t i = 0; i < work.record.settings_count; i++) printf("%s=%s\n", work.record.settings[i].name, work.record.settings[i].value);
    for (int kind = BUNDLE_SYSTEM; kind < BUNDLE_BLOCKS; kind++) {
        uint8_t hash[32];
        if (!work.bundle.blocks[kind].bytes) continue;
        sha256_hash(work.bundle.blocks[kind].bytes, work.bundle.blocks[kind].count, hash);
        canonical_hex_print(hash, 32, hex);
        printf("%s: %zu bytes, SHA-256 %s\n", bundle_label((enum bundle_kind)kind), work.bundle.blocks[kind].count, hex);
    }
    code = CMD_EXIT_DONE;
out:
    work_free(&work);
    return code;
}

/* ---- check-config ---- */

static void nets_print(const struct node_settings *settings) {
    bool any = false;
    for (int i = 0; i < NODE_SETTINGS_NETS_MAX; i++) {
        const struct node_settings_net *net = &settings->nets[i];
        if (!net->there) continue;
        any = true;
        printf("link     %s:%s", strcmp(net->which, "any") == 0 ? "every other one" : net->which, net->dhcp ? " by DHCP" : "");
        for (uint32_t j = 0; j < net->addresses_count; j++) printf(" %s", net->addresses[j]);
        for (uint32_t j = 0; j < net->gateways_count; j++) printf(" by way of %s", net->gateways[j]);
        printf("\n");
    }
    if (!any) printf("link     every one: by DHCP\n");
}

static void peers_print(const struct candidate *candidate) {
    const struct system_cluster *cluster = system_cluster_by_id(candidate->system, candidate->cluster);
    char text[ADDRESSES_HOST_BYTES_MAX + 9];
    for (uint32_t i = 0; cluster && i < cluster->nodes_count; i++) {
        const struct address *address = addresses_find(candidate->addresses, cluster->nodes[i].name);
        if (address) address_endpoint_print(&address->link, text);
        bool self = memcmp(cluster->nodes[i].id, candidate->card.id, 32) == 0;
        printf("member   %u %s %s%s\n", i, cluster->nodes[i].name, address && text[0] ? text : "no address: it is not dialled",
               self ? " (this node)" : "");
    }
}

/* `host` without brackets. */
static void name_warn(const char *of, const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (host[0] == '\0' || inet_pton(AF_INET, host, &v4) == 1 || inet_pton(AF_INET6, host, &v6) == 1) return;
    printf("warning  %s: %s is a name, and an appliance resolves no names: it does not get there; write the address in numbers\n", of, host);
}

/* Of every node, those of other clusters too: this one dials them all. */
static void names_warn(const struct candidate *candidate) {
    struct address_endpoint syslog = {.host = ""};
    for (uint32_t i = 0; i < candidate->addresses->count; i++) {
        const struct address *address = &candidate->addresses->entries[i];
        if (strcmp(address->node, candidate->card.name) != 0) name_warn(address->node, address->link.host);
    }
    for (int i = 0; i < NODE_SETTINGS_PEERS_MAX; i++) {
        const char *peer = candidate->settings.admin_peers[i];
        struct address_endpoint console = {.host = ""};
        if (peer[0] && address_endpoint_parse(&console, peer + NODE_SETTINGS_HASH_CHARACTERS + 1)) name_warn("admin.peer", console.host);
    }
    if (address_endpoint_parse(&syslog, candidate->settings.syslog)) name_warn("syslog", syslog.host);
}

static void admin_print(const struct node_settings *settings) {
    if (settings->admin_listen[0])
        printf("admin    listens on %s\n", settings->admin_listen);
    else
        printf("admin    is not reached from outside\n");
    for (int i = 0; i < NODE_SETTINGS_CLIENTS_MAX; i++) {
        if (settings->admin_clients[i][0]) printf("admin    lets in %s\n", settings->admin_clients[i]);
    }
    for (int i = 0; i < NODE_SETTINGS_PEERS_MAX; i++) {
        const char *peer = settings->admin_peers[i];
        if (peer[0]) printf("admin    reads the console %s, certificate %.64s\n", peer + NODE_SETTINGS_HASH_CHARACTERS + 1, peer);
    }
    if (settings->syslog[0]) printf("syslog   to %s\n", settings->syslog);
}

/* What a configuration cannot bring. */
static void succession_print(const struct candidate *candidate) {
    char hex[33], origin[24] = "the newest there is";
    if (candidate->system->succession == 0) return;
    canonical_hex_print(candidate->system->predecessor_id, 16, hex);
    printf("succeeds system %s, by a statement with %u signatures\n", hex, candidate->statement.signatures_count);
    if (successor_has_origin(candidate->system, candidate->cluster))
        (void)snprintf(origin, sizeof origin, "of s%u", config_cluster_index(candidate->cluster));
    printf("needs    a backup of that system, %s, in the folder node/backup of its data disk\n", origin);
}

static void candidate_print(const struct candidate *candidate) {
    static const char *const threads[] = {"auto (split with 8 CPUs or more, else fused)", "fused", "split"};
    char hex[65];
    uint32_t index = config_cluster_index(candidate->cluster);
    char kind = config_cluster_is_shard(candidate->cluster) ? 's' : 'c';
    printf("accepted: number %llu\n", (unsigned long long)candidate->record.number);
    if (candidate->settings.join[0])
        printf("node     %s, joins cluster %c%u when a CONFIG brings it in\n", candidate->card.name, kind, index);
    else
        printf("node     %s, member %u of cluster %c%u\n", candidate->card.name, candidate->member, kind, index);
    canonical_hex_print(candidate->record.system_id, 16, hex);
    printf("system   %s, id %s\n", candidate->system->name, hex);
    succession_print(candidate);
    canonical_hex_print(candidate->card.owner_key, 32, hex);
    printf("owner    %s signed it\n", hex);
    nets_print(&candidate->settings);
    for (uint32_t i = 0; i < candidate->listen_count; i++) printf("listens  %s\n", candidate->listen[i]);
    printf("threads  %s\n", threads[candidate->settings.threads]);
    if (candidate->settings.console_port[0])
        printf("console  on %s, at 115200 8N1; on the kernel's console where the machine has no such port\n", candidate->settings.console_port);
    peers_print(candidate);
    admin_print(&candidate->settings);
    names_warn(candidate);
}

static enum system_error file_judge(struct candidate *candidate, const char *path, const struct candidate_node *node, struct system_fault *fault) {
    uint8_t *text;
    size_t count;
    if (!bundle_read(path, &text, &count)) return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "see above");
    return candidate_judge(candidate, text, count, node, fault);
}

static int check(const struct wishes *wishes, const char *path) {
    static struct candidate candidate, kept;
    struct system_fault fault;
    struct card card;
    uint8_t owner[32];
    struct candidate_node node = {0};
    if (wishes->card && card_load(&card, CARD_NODE, wishes->card, &fault)) return cmd_fail("%s", fault.text);
    if (wishes->owner && !canonical_hex_parse(wishes->owner, strlen(wishes->owner), owner, 32))
        return cmd_fail("--owner: must be 64 lowercase hex digits");
    if (wishes->card) node.own = &card;
    if (wishes->owner) node.owner_key = owner;
    int code = EXIT_DONE;
    const char *what = path;
    enum system_error error = file_judge(&candidate, path, &node, &fault);
    if (!error && wishes->kept) {
        error = file_judge(&kept, wishes->kept, &node, &fault);
        if (error)
            what = wishes->kept;
        else
            error = candidate_follows(&candidate, &kept, &fault);
    }
    if (error)
        code = command_fail(EXIT_NO, "%s: refused: %s: %s", what, system_error_name(error), fault.text);
    else
        candidate_print(&candidate);
    candidate_free(&candidate);
    candidate_free(&kept);
    return code;
}

/* ---- words and options ---- */

enum verb { VERB_NEW, VERB_SIGN, VERB_SHOW, VERB_CHECK, VERBS };

static int verb_run(enum verb verb, struct wishes *wishes, const char *self, const char **words, int count) {
    static const char *const usages[VERBS] = {"--node NAME --out FILE", "FILE --owner-key FILE --out FILE", "FILE", "FILE"};
    bool good = count == (verb == VERB_NEW ? 0 : 1);
    if (verb == VERB_NEW || verb == VERB_SIGN) good = good && wishes->out;
    if (verb == VERB_SIGN) good = good && wishes->owner_key;
    if (!good) return cmd_fail("usage: %s %s (--help tells its options)", self, usages[verb]);
    if (!cmd_signatures_start()) return CMD_EXIT_USAGE;
    if (verb == VERB_NEW) return config_new(wishes);
    if (verb == VERB_SIGN) return config_sign(wishes, words[0]);
    return verb == VERB_SHOW ? config_show(words[0]) : check(wishes, words[0]);
}

static int node_config(int argc, char **argv, enum verb verb) {
    struct wishes wishes = {0};
    const struct poptOption of_new[] = {
        {"system", 's', POPT_ARG_STRING, &wishes.system, 0, "the system file (default: $HERACLIUS_SYSTEM, or local/system.json)", "FILE"},
        {"addresses", 'a', POPT_ARG_STRING, &wishes.addresses, 0, "where the nodes are (addresses.json beside the system file)", "FILE"},
        {"node", 'n', POPT_ARG_STRING, &wishes.node, 0, "whose: a node of the system file", "NAME"},
        {"from", 0, POPT_ARG_STRING, &wishes.from, 0, "the one before: its settings, and its number plus one", "FILE"},
        {"set", 0, POPT_ARG_ARGV, &wishes.set, 0, "a setting; NAME= takes it out", "NAME=VALUE"},
        {"number", 0, POPT_ARG_STRING, &wishes.number, 0, "its number (1, or one more than --from)", "N"},
        {"chain", 0, POPT_ARG_STRING, &wishes.chain, 0, "of a node that joins: the chain of CONFIGs of its cluster", "FILE"},
        {"admin-certificate", 0, POPT_ARG_STRING, &wishes.admin_certificate, 0, "PEM of the admin console", "FILE"},
        {"syslog-ca", 0, POPT_ARG_STRING, &wishes.syslog_ca, 0, "PEM of who vouches for the collector of logs", "FILE"},
        {"predecessor", 0, POPT_ARG_STRING, &wishes.predecessor, 0, "of a successor's node: the system file of the system before", "FILE"},
        {"statement", 0, POPT_ARG_STRING, &wishes.statement, 0, "and the statement that its administrators signed", "FILE"},
        {"card", 0, POPT_ARG_STRING, &wishes.card, 0, "whose: a card, of a node that the system file does not name", "FILE"},
        {"out", 'o', POPT_ARG_STRING, &wishes.out, 0, "never over an old file", "FILE"},
        POPT_TABLEEND};
    const struct poptOption of_sign[] = {
        {"owner-key", 0, POPT_ARG_STRING, &wishes.owner_key, 0, "the owner's secret key", "FILE"},
        {"card", 0, POPT_ARG_STRING, &wishes.card, 0, "the node's card, if the system file does not name it", "FILE"},
        {"out", 'o', POPT_ARG_STRING, &wishes.out, 0, "never over an old file", "FILE"},
        POPT_TABLEEND};
    const struct poptOption of_check[] = {{"card", 0, POPT_ARG_STRING, &wishes.card, 0, "what this node would say (its card)", "FILE"},
                                          {"owner", 0, POPT_ARG_STRING, &wishes.owner, 0, "one at which this owner is pinned", "HEX"},
                                          {"kept", 0, POPT_ARG_STRING, &wishes.kept, 0, "one that goes by this configuration now", "FILE"},
                                          POPT_TABLEEND};
    const struct poptOption nothing[] = {POPT_TABLEEND};
    const struct poptOption *const own[VERBS] = {of_new, of_sign, nothing, of_check};
    const struct poptOption options[] = {{NULL, 0, POPT_ARG_INCLUDE_TABLE, (void *)(uintptr_t)own[verb], 0, NULL, NULL}, POPT_AUTOHELP POPT_TABLEEND};
    int code = CMD_EXIT_USAGE, count;
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    if (cmd_options(context)) {
        const char **words = cmd_words(context, &count);
        code = verb_run(verb, &wishes, argv[0], words, count);
    }
    cmd_options_end(context, options);
    return code;
}

int cmd_node_config(int argc, char **argv) {
    static const char *const names[] = {"new", "sign", "show"};
    char self[64];
    for (int verb = VERB_NEW; verb <= VERB_SHOW; verb++) {
        if (argc < 2 || strcmp(argv[1], names[verb]) != 0) continue;
        (void)snprintf(self, sizeof self, "%.40s %s", argv[0], names[verb]);
        argv[1] = self;
        return node_config(argc - 1, argv + 1, (enum verb)verb);
    }
    return cmd_fail("%s: new, sign or show: heraclius node config new --help", argv[0]);
}

int cmd_node_check_config(int argc, char **argv) {
    return node_config(argc, argv, VERB_CHECK);
}
