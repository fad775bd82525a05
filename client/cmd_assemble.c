/* heraclius system assemble: cards into a system file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/assembly.h"
#include "client/cmd_config_inside.h"
#include "client/cmd_system.h"
#include "client/cmd_system_inside.h"
#include "protocol/backup_folder.h"
#include "protocol/canonical.h"

/* Decimal digits only. */
static bool number_parse(const char *text, size_t count, uint64_t highest, uint64_t *out) {
    uint64_t value = 0;
    if (count < 1 || count > 20) return false;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *out = value;
    return value <= highest;
}

static bool card_take(struct card *card, enum card_kind kind, const char *path) {
    struct system_fault fault;
    if (!card_load(card, (int)kind, path, &fault)) return true;
    (void)cmd_fail("%s", fault.text);
    return false;
}

/* CARD,CARD,... in member order. The text is cut up. */
static bool cluster_take(struct assembly *assembly, bool shard, char *text) {
    struct card cards[CONFIG_MEMBERS_MAX];
    struct system_fault fault;
    uint32_t count = 0;
    char *rest = NULL;
    for (char *path = strtok_r(text, ",", &rest); path; path = strtok_r(NULL, ",", &rest)) {
        if (count == CONFIG_MEMBERS_MAX) {
            (void)cmd_fail("--%s: at most %d nodes", shard ? "shard" : "coordinator", CONFIG_MEMBERS_MAX);
            return false;
        }
        if (!card_take(&cards[count++], CARD_NODE, path)) return false;
    }
    if (!assembly_add_cluster(assembly, shard, cards, count, &fault)) return true;
    (void)cmd_fail("%s", fault.text);
    return false;
}

/* r:PREFIX, w:PREFIX, rw:PREFIX, or with # for a prefix in hex. False without a message. */
static bool right_parse(struct system_right *right, const char *rule) {
    size_t letters = strcspn(rule, ":#");
    memset(right, 0, sizeof *right);
    if (letters == 1 && rule[0] == 'r') right->flags = SYSTEM_RIGHT_READ;
    else if (letters == 1 && rule[0] == 'w') right->flags = SYSTEM_RIGHT_WRITE;
    else if (letters == 2 && rule[0] == 'r' && rule[1] == 'w') right->flags = SYSTEM_RIGHT_READ | SYSTEM_RIGHT_WRITE;
    if (right->flags == 0 || rule[letters] == 0) return false;
    const char *prefix = rule + letters + 1;
    size_t count = strlen(prefix);
    if (rule[letters] == ':') {
        if (count > SYSTEM_RIGHT_PREFIX_MAX) return false;
        memcpy(right->prefix, prefix, count);
        right->prefix_bytes = (uint16_t)count;
        return true;
    }
    if (count % 2 != 0 || count / 2 > SYSTEM_RIGHT_PREFIX_MAX) return false;
    right->prefix_bytes = (uint16_t)(count / 2);
    return canonical_hex_parse(prefix, count, right->prefix, count / 2);
}

/* quota:N or quota:N:BURST. */
static bool quota_parse(uint32_t *per_second, uint32_t *burst, const char *rule) {
    uint64_t n = 0, b = 0;
    if (strncmp(rule, "quota:", 6) != 0) return false;
    const char *digits = rule + 6, *colon = strchr(digits, ':');
    if (!number_parse(digits, colon ? (size_t)(colon - digits) : strlen(digits), UINT32_MAX, &n) || n == 0) return false;
    b = n;
    if (colon && (!number_parse(colon + 1, strlen(colon + 1), UINT32_MAX, &b) || b == 0)) return false;
    *per_second = (uint32_t)n;
    *burst = (uint32_t)b;
    return true;
}

bool cmd_rules_take(struct cmd_rules *rules, char *text, const char *of) {
    char *rest = NULL;
    memset(rules, 0, sizeof *rules);
    for (char *rule = strtok_r(text, ",", &rest); rule; rule = strtok_r(NULL, ",", &rest)) {
        if (quota_parse(&rules->per_second, &rules->burst, rule)) continue;
        if (rules->rights_count == SYSTEM_RIGHTS_MAX || !right_parse(&rules->rights[rules->rights_count], rule)) {
            (void)cmd_fail("%s: %s: a rule is r:PREFIX, w:PREFIX, rw:PREFIX (# for hex) or quota:N[:BURST]; at most %d rights", of, rule,
                           SYSTEM_RIGHTS_MAX);
            return false;
        }
        rules->rights_count++;
    }
    if (rules->rights_count == 0) rules->rights[rules->rights_count++].flags = SYSTEM_RIGHT_READ | SYSTEM_RIGHT_WRITE;
    return true;
}

/* CARD[,RULE]... */
static bool client_take(struct assembly *assembly, char *text) {
    static char no_rules[1];
    struct cmd_rules rules;
    struct system_fault fault;
    struct card card;
    char *comma = strchr(text, ','), label[CMD_PATH_BYTES];
    if (comma) *comma = 0;
    (void)snprintf(label, sizeof label, "--client %s", text);
    if (!card_take(&card, CARD_CLIENT, text) || !cmd_rules_take(&rules, comma ? comma + 1 : no_rules, label)) return false;
    if (!assembly_add_client(assembly, &card, rules.per_second, rules.burst, rules.rights, rules.rights_count, &fault)) return true;
    (void)cmd_fail("%s", fault.text);
    return false;
}

bool cmd_setting_take(struct assembly *assembly, const char *text) {
    const char *equals = strchr(text, '=');
    uint64_t value = 0;
    if (equals && number_parse(equals + 1, strlen(equals + 1), UINT64_MAX, &value)) {
        size_t name_bytes = (size_t)(equals - text);
        for (size_t i = 0; i < SYSTEM_LIMITS_COUNT + SYSTEM_TIMEOUTS_COUNT; i++) {
            bool limit = i < SYSTEM_LIMITS_COUNT;
            const struct system_limit_row *row = limit ? &system_limit_rows[i] : &system_timeout_rows[i - SYSTEM_LIMITS_COUNT];
            if (strlen(row->name) != name_bytes || memcmp(row->name, text, name_bytes) != 0) continue;
            if (value < row->lowest || value > row->highest) {
                (void)cmd_fail("--set %s: must be %llu to %llu", text, (unsigned long long)row->lowest, (unsigned long long)row->highest);
                return false;
            }
            if (limit) system_limit_set(&assembly->system.limits, row, value);
            else system_limit_set(&assembly->system.timeouts, row, value);
            return true;
        }
    }
    (void)cmd_fail("--set %s: must be NAME=VALUE with a name that `heraclius system show` lists", text);
    return false;
}

static bool predecessor_take(struct assembly *assembly, const char *path) {
    struct system_fault fault;
    struct system *old = NULL;
    if (system_load(&old, path, &fault)) {
        (void)cmd_fail("%s", fault.text);
        return false;
    }
    bool good = old->succession < UINT16_MAX;
    if (!good) (void)cmd_fail("%s: no further succession is possible", path);
    memcpy(assembly->system.predecessor_id, old->system_id, 16);
    memcpy(assembly->system.partition_key, old->partition_key, 16);
    assembly->system.succession = (uint16_t)(old->succession + 1);
    assembly->system.limits = old->limits;
    assembly->system.timeouts = old->timeouts;
    puts("limits and time-outs are those of the predecessor's file, but for --set: CONFIGs may have changed them since (config status)");
    system_free(old);
    return good;
}

/* The height and root that a backup of the predecessor shows, certified; that it is whole is looked at by `successor new`. */
static bool origin_of_backup(const char *predecessor, const char *path, uint32_t of, uint64_t *height, uint8_t root[32]) {
    struct signer signer = signer_ed25519(NULL);
    struct system_fault fault;
    struct backup_fault why;
    struct system *old = NULL;
    struct backup_folder *folder = NULL;
    if (!predecessor) return (void)cmd_fail("--origin: a backup is of the --predecessor"), false;
    if (system_load(&old, predecessor, &fault)) return (void)cmd_fail("%s", fault.text), false;
    char inner[CMD_PATH_BYTES], name[16];
    cmd_config_cluster_name(of, name);
    if (!backup_folder_is(path) && cmd_path(inner, path, name) && backup_folder_is(inner)) path = inner; /* a folder of backups, as --from takes it */
    bool good = backup_folder_open(&folder, path, old, &signer, &why) == BACKUP_OK;
    if (!good) (void)cmd_fail("%s: %s: %s", path, why.file, why.text);
    const struct checkpoint_manifest *manifest = good ? &backup_shown(folder->backup)->manifest : NULL;
    if (good && manifest->cluster != of) good = ((void)cmd_fail("%s: a backup of another cluster", path), false);
    if (good) {
        *height = manifest->height;
        memcpy(root, manifest->state_root, 32);
    }
    backup_folder_close(folder);
    system_free(old);
    return good;
}

/* s0=BACKUP or s0=HEIGHT:ROOT; coordinators c0, c1... likewise. */
static bool origin_take(struct assembly *assembly, const char *predecessor, const char *text) {
    const char *equals = strchr(text, '='), *colon = equals ? strchr(equals, ':') : NULL;
    uint64_t index = 0, height = 0;
    uint8_t root[32];
    bool shard = text[0] == 's';
    bool named = equals && (shard || text[0] == 'c') && number_parse(text + 1, (size_t)(equals - text - 1), SYSTEM_CLUSTERS_MAX, &index);
    bool given = named && colon && number_parse(equals + 1, (size_t)(colon - equals - 1), UINT64_MAX, &height) &&
                 canonical_hex_parse(colon + 1, strlen(colon + 1), root, 32);
    if (!named) {
        (void)cmd_fail("--origin %s: must be s0=BACKUP or s0=HEIGHT:ROOT", text);
        return false;
    }
    uint32_t of = (shard ? (uint32_t)CONFIG_CLUSTER_SHARD : (uint32_t)CONFIG_CLUSTER_COORDINATOR) + (uint32_t)index;
    if (!given && !origin_of_backup(predecessor, equals + 1, of, &height, root)) return false;
    if (index >= (shard ? assembly->shards_count : assembly->coordinators_count)) {
        (void)cmd_fail("--origin %s: there is no such cluster", text);
        return false;
    }
    struct system_cluster *cluster = shard ? &assembly->shards[index] : &assembly->coordinators[index];
    cluster->origin_height = height;
    memcpy(cluster->origin_root, root, 32);
    return true;
}

struct wishes {
    char *name, *out, *partition_key, *predecessor;
    int needed;
    char **coordinators, **shards, **admins, **clients, **settings, **origins;
};

static bool cards_take(struct assembly *assembly, const struct wishes *wishes) {
    struct system_fault fault;
    for (char **at = wishes->coordinators; at && *at; at++) {
        if (!cluster_take(assembly, false, *at)) return false;
    }
    for (char **at = wishes->shards; at && *at; at++) {
        if (!cluster_take(assembly, true, *at)) return false;
    }
    for (char **at = wishes->admins; at && *at; at++) {
        struct card card;
        if (!card_take(&card, CARD_ADMIN, *at)) return false;
        if (assembly_add_admin(assembly, &card, &fault)) {
            (void)cmd_fail("%s", fault.text);
            return false;
        }
    }
    for (char **at = wishes->clients; at && *at; at++) {
        if (!client_take(assembly, *at)) return false;
    }
    return true;
}

static bool rest_take(struct assembly *assembly, const struct wishes *wishes) {
    struct system *system = &assembly->system;
    (void)snprintf(system->name, sizeof system->name, "%s", wishes->name);
    if (strlen(wishes->name) >= sizeof system->name || !card_name_valid(wishes->name)) {
        (void)cmd_fail("--name %s: must be 1 to %d of a-z 0-9 . - and begin with a letter or digit", wishes->name, SYSTEM_NAME_BYTES_MAX);
        return false;
    }
    system->admins_needed = wishes->needed < 0 ? UINT32_MAX : (uint32_t)wishes->needed;
    if (wishes->predecessor) {
        if (wishes->partition_key) {
            (void)cmd_fail("--partition-key: a successor inherits it");
            return false;
        }
        if (!predecessor_take(assembly, wishes->predecessor)) return false;
    } else if (wishes->partition_key) {
        if (!canonical_hex_parse(wishes->partition_key, strlen(wishes->partition_key), system->partition_key, 16)) {
            (void)cmd_fail("--partition-key: must be 32 lowercase hex digits");
            return false;
        }
    } else {
        (void)cmd_entropy(NULL, system->partition_key, sizeof system->partition_key);
    }
    for (char **at = wishes->settings; at && *at; at++) {
        if (!cmd_setting_take(assembly, *at)) return false;
    }
    for (char **at = wishes->origins; at && *at; at++) {
        if (!origin_take(assembly, wishes->predecessor, *at)) return false;
    }
    return true;
}

static int assemble(const struct wishes *wishes) {
    struct system_fault fault;
    char id[33];
    int code = CMD_EXIT_USAGE;
    struct assembly *assembly = assembly_new();
    if (!assembly) return cmd_fail("no memory");
    if (!cards_take(assembly, wishes) || !rest_take(assembly, wishes)) goto out;
    enum system_error error = assembly_finish(assembly, &fault);
    if (!error) error = assembly_write(assembly, wishes->out, &fault);
    if (error) {
        (void)cmd_fail("%s", fault.text);
        goto out;
    }
    canonical_hex_print(assembly->system.system_id, 16, id);
    printf("system %s written to %s\nEvery team compares this id before it runs a node of it.\n", id, wishes->out);
    code = CMD_EXIT_DONE;
out:
    assembly_free(assembly);
    return code;
}

int cmd_system_assemble(int argc, char **argv) {
    struct wishes wishes = {.needed = 1};
    int code = CMD_EXIT_USAGE;
    const struct poptOption options[] = {
        {"name", 'n', POPT_ARG_STRING, &wishes.name, 0, "name of the system", "NAME"},
        {"coordinator", 0, POPT_ARG_ARGV, &wishes.coordinators, 0, "node cards of a coordinator cluster, in member order; once per cluster",
         "CARD,CARD,..."},
        {"shard", 0, POPT_ARG_ARGV, &wishes.shards, 0, "the same for a shard cluster", "CARD,CARD,..."},
        {"admin", 0, POPT_ARG_ARGV, &wishes.admins, 0, "an administrator's card; once per administrator", "CARD"},
        {"needed", 'k', POPT_ARG_INT, &wishes.needed, 0, "how many administrators must sign (more than half)", "K"},
        {"client", 0, POPT_ARG_ARGV, &wishes.clients, 0, "a client's card and rules: r:PREFIX, w:PREFIX, rw:PREFIX, quota:N[:BURST]",
         "CARD[,RULE]..."},
        {"set", 0, POPT_ARG_ARGV, &wishes.settings, 0, "a limit or time-out (system show lists them)", "NAME=VALUE"},
        {"partition-key", 0, POPT_ARG_STRING, &wishes.partition_key, 0, "32 hex digits; random if not given", "HEX"},
        {"predecessor", 0, POPT_ARG_STRING, &wishes.predecessor, 0, "the system file that this one succeeds", "FILE"},
        {"origin", 0, POPT_ARG_ARGV, &wishes.origins, 0, "the backup, or certified height and state root, that a cluster of a successor starts from",
         "CLUSTER=BACKUP|HEIGHT:ROOT"},
        {"out", 'o', POPT_ARG_STRING, &wishes.out, 0, "the system file to write", "FILE"},
        POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    if (!cmd_options(context)) goto out;
    if (!wishes.name || !wishes.out || !wishes.coordinators || !wishes.shards || !wishes.admins || poptPeekArg(context)) {
        (void)cmd_fail("%s needs --name, --out and at least one --coordinator, --shard and --admin (--help tells more)", argv[0]);
        goto out;
    }
    if (cmd_signatures_start()) code = assemble(&wishes);
out:
    cmd_options_end(context, options);
    return code;
}
