/* heraclius client add|change|revoke|show|sign|submit: enrolment while a system runs (spec/system.md 7.6, S-70 to S-79). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/cmd_system.h"
#include "client/cmd_system_inside.h"
#include "client/command.h"
#include "protocol/admin_op.h"
#include "protocol/canonical.h"

enum { OPERATIONS_MAX = 4096 };

/* About 30 KiB: not on small stacks. */
struct cmd_operation {
    struct admin_op op;
};

/* ---- files ---- */

static bool operation_load(struct cmd_operation *out, const char *path) {
    struct command_bytes file;
    struct system_fault fault = {.text = ""};
    if (!command_read_file(path, ADMIN_OP_BYTES_MAX, "the most that an operation may have", &file)) return false;
    enum system_error error = admin_op_decode(&out->op, file.bytes, file.count, &fault);
    if (!error && out->op.kind < ADMIN_OP_ENROL) error = system_fault_set(&fault, SYSTEM_FIELD_RANGE, "it is a CONFIG: `heraclius config`");
    free(file.bytes);
    if (error) (void)cmd_fail("%s: not a file that `client add`, `change` or `revoke` made: %s", path, fault.text);
    return !error;
}

/* A new file, or (fresh false) in place of the old one, whole or not at all. */
static bool operation_save(struct admin_op *op, const char *path, bool fresh) {
    struct system_fault fault;
    uint8_t *bytes = malloc(ADMIN_OP_BYTES_MAX);
    if (!bytes) return cmd_fail("no memory") == CMD_EXIT_DONE;
    size_t count = admin_op_encode(op, bytes);
    enum system_error error = fresh ? canonical_write_new(path, bytes, count, 0644, &fault) : canonical_replace(path, bytes, count, 0644, &fault);
    free(bytes);
    return error ? cmd_fail("%s", fault.text) == CMD_EXIT_DONE : true;
}

/* ---- showing ---- */

static void rights_show(const struct admin_op *op) {
    for (uint32_t i = 0; i < op->rights_count; i++) {
        const struct system_right *right = &op->rights[i];
        char hex[2 * SYSTEM_RIGHT_PREFIX_MAX + 1];
        bool plain = true;
        for (uint32_t k = 0; k < right->prefix_bytes; k++) plain = plain && right->prefix[k] >= 0x20 && right->prefix[k] <= 0x7E;
        canonical_hex_print(right->prefix, right->prefix_bytes, hex);
        printf("right        %s%s ", right->flags & SYSTEM_RIGHT_READ ? "r" : "", right->flags & SYSTEM_RIGHT_WRITE ? "w" : "");
        if (right->prefix_bytes == 0) printf("all keys\n");
        else if (plain) printf("keys that begin with \"%.*s\"\n", (int)right->prefix_bytes, (const char *)right->prefix);
        else printf("keys that begin with hex %s\n", hex);
    }
    if (op->rights_count == 0) printf("right        none\n");
    if (op->quota_per_second > 0) printf("quota        %u operations a second, up to %u saved\n", op->quota_per_second, op->quota_burst);
    else printf("quota        none: as many as it likes\n");
}

/* Who of the system file's administrators this is; NULL: none of them. */
static const char *admin_name(const struct system *system, const uint8_t key[32]) {
    for (uint32_t i = 0; i < system->admins_count; i++) {
        if (memcmp(system->admins[i].signing_key, key, 32) == 0) return system->admins[i].name;
    }
    return NULL;
}

static void signatures_show(const struct admin_op *op, const struct system *system) {
    char hex[65];
    uint32_t good = 0;
    for (uint32_t i = 0; i < op->signatures_count; i++) {
        const char *name = system ? admin_name(system, op->signatures[i].key) : NULL;
        canonical_hex_print(op->signatures[i].key, 32, hex);
        printf("signed by    %s %s\n", hex, name ? name : system ? "NO ADMINISTRATOR OF THE SYSTEM FILE" : "?");
        good += name != NULL;
    }
    if (system) printf("signatures   %u; %u of %u administrators of the system file must sign\n", good, system->admins_needed, system->admins_count);
}

static void operation_show(const struct admin_op *op, const struct system *system) {
    static const char *const kinds[] = {[ADMIN_OP_ENROL] = "enrol a new client", [ADMIN_OP_CHANGE] = "change a client's rights and quota",
                                        [ADMIN_OP_REVOKE] = "revoke a client for good"};
    char hex[65];
    printf("operation    %s\nnumber       %" PRIu64 "\n", kinds[op->kind], op->serial);
    canonical_hex_print(op->system_id, 16, hex);
    printf("system       %s%s\n", hex, system && memcmp(op->system_id, system->system_id, 16) != 0 ? "   NOT THE SYSTEM OF -s" : "");
    canonical_hex_print(op->hash, 32, hex);
    printf("hash         %s\n", hex);
    canonical_hex_print(op->predecessor, 32, hex);
    printf("predecessor  %s%s\n", hex, op->serial == 1 ? " (the system file)" : "");
    canonical_hex_print(op->client_id, 32, hex);
    printf("client       %s%s%s\n", hex, op->kind == ADMIN_OP_ENROL ? " " : "", op->kind == ADMIN_OP_ENROL ? op->client.name : "");
    if (op->kind != ADMIN_OP_REVOKE) rights_show(op);
    signatures_show(op, system);
}

/* ---- signing ---- */

static bool sign_with(struct admin_op *op, const char *path) {
    struct keyfile key = {.lock = -1};
    struct system_fault fault = {.text = ""};
    if (keyfile_open(&key, KEYFILE_ADMIN, path, false, &fault) != SYSTEM_OK) {
        (void)cmd_fail("%s", fault.text);
        return false;
    }
    bool good = admin_op_sign(op, &key.signing);
    keyfile_close(&key);
    if (!good) (void)cmd_fail("%s: there are %d signatures already", path, CONFIG_ADMINS_MAX);
    return good;
}

static bool sign_all(struct admin_op *op, char **keys) {
    uint8_t *bytes = malloc(ADMIN_OP_BYTES_MAX);
    if (!bytes) return cmd_fail("no memory") == CMD_EXIT_DONE;
    (void)admin_op_encode(op, bytes); /* sets the hash that is signed */
    free(bytes);
    for (char **key = keys; key && *key; key++) {
        if (!sign_with(op, *key)) return false;
    }
    return true;
}

/* ---- handing in ---- */

static void cluster_print(uint32_t cluster, char out[32]) {
    (void)snprintf(out, 32, "coordinator %u", cluster & 0xFFFF);
}

static int refused(const char *cluster, const struct admin_op *op, const struct heraclius_enrolment *state) {
    switch (state->code) {
    case HERACLIUS_ADMIN_NUMBER:
        if (op->serial == state->number) return command_fail(EXIT_REFUSED, "%s: another operation has number %" PRIu64 " there", cluster, op->serial);
        return command_fail(EXIT_REFUSED, "%s: number %" PRIu64 " has passed there, it is at %" PRIu64 "%s", cluster, op->serial, state->number,
                            op->serial > state->number ? "; it names another predecessor" : "");
    case HERACLIUS_ADMIN_INVALID:
        return command_fail(EXIT_REFUSED, "%s refuses it: %s (it has %u signatures; `heraclius client sign` adds one)", cluster, state->why,
                            op->signatures_count);
    case HERACLIUS_ADMIN_CLIENT:
        return command_fail(EXIT_REFUSED, "%s refuses it: %s", cluster,
                            op->kind == ADMIN_OP_ENROL ? "this client, or its key, is on record already, or there is no room (clients_max)"
                                                       : "it has no such client, or the client is revoked");
    default: return command_fail(EXIT_REFUSED, "%s does not decide such an operation", cluster);
    }
}

/* Signatures of whom the cluster's newest CONFIG does not have as administrator: one of them would have the nodes refuse all. */
static void strangers_drop(struct heraclius *db, uint32_t cluster, struct admin_op *op, uint32_t timeout_ms) {
    bool fetched = false;
    for (uint32_t i = 0; i < op->signatures_count;) {
        const struct config *config = client_chain_config(db, cluster);
        bool known = false;
        char hex[65];
        for (uint32_t k = 0; k < config->admins_count; k++) known |= memcmp(config->admins[k].key, op->signatures[i].key, 32) == 0;
        if (known) {
            i++;
        } else if (!fetched) {
            (void)client_config_fetch(db, cluster, timeout_ms); /* who came with a CONFIG that is not known here yet */
            fetched = true;
        } else {
            canonical_hex_print(op->signatures[i].key, 32, hex);
            (void)fprintf(stderr, "heraclius: warning: the signature by %s is left out: no administrator has this key\n", hex);
            memmove(&op->signatures[i], &op->signatures[i + 1], (--op->signatures_count - i) * sizeof op->signatures[0]);
        }
    }
}

/* The operations that this cluster lacks, one after another. */
static int hand_in(struct heraclius *db, const struct heraclius_enrolment *before, struct cmd_operation *const *ops, size_t count,
                   uint32_t timeout_ms) {
    char name[32];
    struct heraclius_enrolment state = *before;
    uint8_t *bytes = malloc(ADMIN_OP_BYTES_MAX);
    int code = bytes ? EXIT_DONE : cmd_fail("no memory");
    cluster_print(before->cluster, name);
    for (size_t i = 0; i < count && code == EXIT_DONE; i++) {
        struct admin_op *op = &ops[i]->op;
        bool there = op->serial == state.number && memcmp(op->hash, state.hash, 32) == 0;
        if (op->serial < state.number && i + 1 < count) continue; /* the next one names it as its predecessor */
        if (there) {
            printf("%s: number %" PRIu64 " is in effect\n", name, op->serial);
            continue;
        }
        if (op->serial > state.number + 1) {
            code = command_fail(EXIT_REFUSED, "%s is at number %" PRIu64 ": submit number %" PRIu64 " and what follows it first", name, state.number,
                                state.number + 1);
            break;
        }
        strangers_drop(db, before->cluster, op, timeout_ms);
        size_t operation_bytes = admin_op_encode(op, bytes);
        enum heraclius_status status = heraclius_admin(db, before->cluster, bytes, operation_bytes, op->serial, timeout_ms, &state);
        if (status == HERACLIUS_DONE) printf("%s: number %" PRIu64 " is in effect\n", name, op->serial);
        else if (status == HERACLIUS_REFUSED) code = refused(name, op, &state);
        else
            code = command_fail(EXIT_UNANSWERED, "%s: number %" PRIu64 " is not known to be in effect; submit it again", name, op->serial);
    }
    free(bytes);
    return code;
}

/* To every coordinator cluster. The worst exit code of all. */
static int submit(struct heraclius *db, struct cmd_operation *const *ops, size_t count, const char *only) {
    const struct heraclius_enrolment *list;
    size_t clusters;
    uint32_t timeout_ms = command_timeout_ms(&command_options);
    int code = EXIT_DONE;
    bool any = false;
    (void)heraclius_enrolments(db, timeout_ms < 5000 ? timeout_ms : 5000, &list, &clusters);
    struct heraclius_enrolment *before = malloc(clusters * sizeof *before);
    if (!before) return cmd_fail("no memory");
    memcpy(before, list, clusters * sizeof *before);
    for (size_t i = 0; i < clusters; i++) {
        char name[32], brief[24];
        cluster_print(before[i].cluster, name);
        (void)snprintf(brief, sizeof brief, "c%zu", i);
        if (only && strcmp(only, brief) != 0) continue;
        any = true;
        int one = before[i].known ? hand_in(db, &before[i], ops, count, timeout_ms)
                                  : command_fail(EXIT_UNANSWERED, "%s: no %s of its nodes answer alike; submit it there again", name, "f+1");
        if (one > code) code = one;
    }
    free(before);
    return any ? code : command_fail(EXIT_USAGE, "--only %s: there is no such coordinator cluster", only);
}

/* ---- add, change, revoke ---- */

struct wishes {
    enum admin_op_kind kind;
    char *out, *predecessor, *after, *only;
    char **admins;
    long long number;
};

/* Number and predecessor: from --after, --number, or what the coordinator clusters state. */
static int place_find(const struct wishes *wishes, const struct system *system, struct heraclius *db, struct admin_op *op) {
    static struct cmd_operation before;
    if (wishes->after) {
        if (!operation_load(&before, wishes->after)) return CMD_EXIT_USAGE;
        op->serial = before.op.serial + 1;
        memcpy(op->predecessor, before.op.hash, 32);
        return EXIT_DONE;
    }
    if (wishes->number > 0) {
        op->serial = (uint64_t)wishes->number;
        if (op->serial == 1 && !wishes->predecessor) memcpy(op->predecessor, system->file_hash, 32);
        else if (!wishes->predecessor || !canonical_hex_parse(wishes->predecessor, strlen(wishes->predecessor), op->predecessor, 32))
            return cmd_fail("--number needs --predecessor with the 64 hex digits of the hash of number %llu", wishes->number - 1);
        return EXIT_DONE;
    }
    const struct heraclius_enrolment *list, *newest = NULL;
    size_t clusters;
    uint32_t timeout_ms = command_timeout_ms(&command_options);
    enum heraclius_status status = heraclius_enrolments(db, timeout_ms < 5000 ? timeout_ms : 5000, &list, &clusters);
    for (size_t i = 0; i < clusters; i++) {
        if (list[i].known && (!newest || list[i].number > newest->number)) newest = &list[i];
    }
    if (!newest)
        return command_fail(EXIT_UNANSWERED, "no coordinator cluster states the newest number (f+1 of its nodes must); or give --after OP");
    if (status != HERACLIUS_OK)
        (void)fprintf(stderr, "heraclius: not all coordinator clusters answer; number %" PRIu64 " is the newest of those that do\n", newest->number);
    op->serial = newest->number + 1;
    memcpy(op->predecessor, newest->hash, 32);
    return EXIT_DONE;
}

/* A card file, 64 hex digits, or a name of the system file. */
static bool who_find(const struct system *system, const char *word, uint8_t id[32]) {
    struct card card;
    struct system_fault fault = {.text = ""};
    if (strlen(word) == 64 && canonical_hex_parse(word, 64, id, 32)) return true;
    for (uint32_t i = 0; i < system->clients_count; i++) {
        if (strcmp(system->clients[i].card.name, word) != 0) continue;
        memcpy(id, system->clients[i].card.id, 32);
        return true;
    }
    if (card_load(&card, CARD_CLIENT, word, &fault) != SYSTEM_OK) {
        (void)cmd_fail("%s: no client of the system file has this name, it is no id of 64 hex digits, and as a card: %s", word, fault.text);
        return false;
    }
    memcpy(id, card.id, 32);
    return true;
}

static int rule_compare(const void *a, const void *b) {
    const struct system_right *x = a, *y = b;
    size_t common = x->prefix_bytes < y->prefix_bytes ? x->prefix_bytes : y->prefix_bytes;
    int order = memcmp(x->prefix, y->prefix, common);
    return order != 0 ? order : (int)x->prefix_bytes - (int)y->prefix_bytes;
}

/* WHO[,RULE]...; the text is cut up. */
static bool content_take(struct admin_op *op, const struct system *system, char *text) {
    static char no_rules[1];
    struct cmd_rules rules;
    struct system_fault fault = {.text = ""};
    char *comma = strchr(text, ',');
    if (comma) *comma = 0;
    memcpy(op->system_id, system->system_id, 16);
    if (op->kind == ADMIN_OP_ENROL) {
        if (card_load(&op->client, CARD_CLIENT, text, &fault) != SYSTEM_OK) return cmd_fail("%s", fault.text) == CMD_EXIT_DONE;
        memcpy(op->client_id, op->client.id, 32);
    } else if (!who_find(system, text, op->client_id)) {
        return false;
    }
    if (op->kind == ADMIN_OP_REVOKE) return comma ? cmd_fail("revoke takes no rules") == CMD_EXIT_DONE : true;
    if (!cmd_rules_take(&rules, comma ? comma + 1 : no_rules, text)) return false;
    qsort(rules.rights, rules.rights_count, sizeof rules.rights[0], rule_compare);
    for (uint32_t i = 1; i < rules.rights_count; i++) {
        if (rule_compare(&rules.rights[i - 1], &rules.rights[i]) == 0) return cmd_fail("%s: two rules for one prefix", text) == CMD_EXIT_DONE;
    }
    op->rights_count = rules.rights_count;
    memcpy(op->rights, rules.rights, sizeof op->rights);
    op->quota_per_second = rules.per_second;
    op->quota_burst = rules.burst;
    return true;
}

static bool reads_all(const struct system_right *rights, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (rights[i].prefix_bytes == 0 && (rights[i].flags & SYSTEM_RIGHT_READ)) return true;
    }
    return false;
}

/* P-50: shards go by the system file, as long as they let the client in. */
static void backups_warn(const struct admin_op *op, const struct system *system) {
    if (op->kind != ADMIN_OP_CHANGE || reads_all(op->rights, op->rights_count)) return;
    for (uint32_t i = 0; i < system->clients_count; i++) {
        const struct system_client *client = &system->clients[i];
        if (memcmp(client->card.id, op->client_id, 32) != 0 || !reads_all(client->rights, client->rights_count)) continue;
        (void)fprintf(stderr,
                      "heraclius: warning: by the system file %s may read every key: shards serve backups to it, all keys and values, until it is "
                      "revoked (heraclius client revoke)\n",
                      client->card.name);
    }
}

static int operation_make(const struct wishes *wishes, char *text) {
    static struct cmd_operation made;
    struct cmd_operation *ops[] = {&made};
    struct system_fault fault = {.text = ""};
    struct system *system = NULL;
    struct heraclius *db = NULL;
    int code = CMD_EXIT_USAGE;
    made.op.kind = wishes->kind;
    if (system_load(&system, command_options.system_path, &fault) != SYSTEM_OK) return cmd_fail("%s", fault.text);
    if (!content_take(&made.op, system, text)) goto out;
    backups_warn(&made.op, system);
    bool asks = !wishes->out || (!wishes->after && wishes->number == 0);
    if (asks && !(db = command_open(&command_options, &code))) goto out;
    code = place_find(wishes, system, db, &made.op);
    if (code != EXIT_DONE) goto out;
    code = CMD_EXIT_USAGE;
    if (!sign_all(&made.op, wishes->admins)) goto out;
    if (wishes->out) {
        if (!operation_save(&made.op, wishes->out, true)) goto out;
        operation_show(&made.op, system);
        printf("written to %s; `heraclius client sign` adds signatures, `heraclius client submit` hands it in\n", wishes->out);
        code = EXIT_DONE;
    } else if (made.op.signatures_count < system->admins_needed) {
        (void)cmd_fail("%u administrators must sign: give --admin KEY so often, or --out OP to have others sign it", system->admins_needed);
    } else {
        code = submit(db, ops, 1, wishes->only);
    }
out:
    heraclius_close(db);
    system_free(system);
    return code;
}

static bool common_valid(void) {
    bool good = command_options.timeout_s >= 1 && command_options.timeout_s <= 86400;
    if (!good) (void)cmd_fail("--timeout is 1 to 86400 seconds");
    return good && command_find_system(&command_options);
}

static int make(int argc, char **argv, enum admin_op_kind kind, const char *word) {
    struct wishes wishes = {.kind = kind};
    int code = CMD_EXIT_USAGE;
    struct poptOption common[COMMAND_OPTIONS_MAX];
    command_options_of(COMMAND_CLIENT, common);
    const struct poptOption options[] = {
        {"admin", 0, POPT_ARG_ARGV, &wishes.admins, 0, "an administrator's key; once per administrator (also: --admin-key)", "KEYFILE"},
        {"admin-key", 0, POPT_ARG_ARGV | POPT_ARGFLAG_DOC_HIDDEN, &wishes.admins, 0, NULL, NULL},
        {"out", 'o', POPT_ARG_STRING, &wishes.out, 0, "write it there instead of handing it in", "OP"},
        {"after", 0, POPT_ARG_STRING, &wishes.after, 0, "it follows this operation (no node is asked for the number)", "OP"},
        {"number", 0, POPT_ARG_LONGLONG, &wishes.number, 0, "it has this number", "N"},
        {"predecessor", 0, POPT_ARG_STRING, &wishes.predecessor, 0, "with --number: hash of the operation before", "HEX"},
        {"only", 0, POPT_ARG_STRING, &wishes.only, 0, "hand it in at this coordinator cluster alone (c0, c1, ...)", "CLUSTER"},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, common, 0, "Options:", NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    poptSetOtherOptionHelp(context, word);
    if (!cmd_options(context)) goto out;
    const char *given = poptGetArg(context);
    char *text = given ? strdup(given) : NULL;
    if (!text || poptPeekArg(context) || wishes.number < 0) (void)cmd_fail("usage: %s %s (--help tells its options)", argv[0], word);
    else if (cmd_signatures_start() && common_valid()) code = operation_make(&wishes, text);
    free(text);
out:
    cmd_words_free(wishes.admins);
    free(wishes.out);
    free(wishes.after);
    free(wishes.predecessor);
    free(wishes.only);
    poptFreeContext(context);
    return code;
}

int cmd_client_add(int argc, char **argv) { return make(argc, argv, ADMIN_OP_ENROL, "CARD[,RULE]..."); }
int cmd_client_change(int argc, char **argv) { return make(argc, argv, ADMIN_OP_CHANGE, "CARD|ID|NAME[,RULE]..."); }
int cmd_client_revoke(int argc, char **argv) { return make(argc, argv, ADMIN_OP_REVOKE, "CARD|ID|NAME"); }

/* ---- show, sign, submit ---- */

/* The system file if one is found without a word; what is shown says more with it. */
static struct system *system_maybe(void) {
    struct system *system = NULL;
    const char *path = command_options.system_path ? command_options.system_path : getenv("HERACLIUS_SYSTEM");
    if (!path || !path[0]) path = "local/system.json";
    return system_load(&system, path, NULL) == SYSTEM_OK ? system : NULL;
}

static int show_or_sign(int argc, char **argv, bool sign) {
    static struct cmd_operation file;
    char **admins = NULL;
    int code = CMD_EXIT_USAGE;
    struct system *system = NULL;
    const struct poptOption signing[] = {
        {"admin", 0, POPT_ARG_ARGV, &admins, 0, "an administrator's key; once per administrator (also: --admin-key)", "KEYFILE"},
        {"admin-key", 0, POPT_ARG_ARGV | POPT_ARGFLAG_DOC_HIDDEN, &admins, 0, NULL, NULL},
        POPT_TABLEEND};
    const struct poptOption nothing[] = {POPT_TABLEEND};
    const struct poptOption options[] = {{NULL, 0, POPT_ARG_INCLUDE_TABLE, (void *)(uintptr_t)(sign ? signing : nothing), 0, NULL, NULL},
                                         {"system", 's', POPT_ARG_STRING, &command_options.system_path, 0, "the system file", "FILE"},
                                         POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    poptSetOtherOptionHelp(context, "OP");
    if (!cmd_options(context)) goto out;
    const char *path = poptGetArg(context);
    if (!path || poptPeekArg(context) || (sign && !admins)) {
        (void)cmd_fail("usage: %s OP%s (--help tells its options)", argv[0], sign ? " --admin KEYFILE" : "");
        goto out;
    }
    if (!cmd_signatures_start() || !operation_load(&file, path)) goto out;
    if (sign && (!sign_all(&file.op, admins) || !operation_save(&file.op, path, false))) goto out;
    system = system_maybe();
    operation_show(&file.op, system);
    code = EXIT_DONE;
out:
    system_free(system);
    cmd_words_free(admins);
    poptFreeContext(context);
    return code;
}

int cmd_client_show(int argc, char **argv) { return show_or_sign(argc, argv, false); }
int cmd_client_sign(int argc, char **argv) { return show_or_sign(argc, argv, true); }

static int operation_compare(const void *a, const void *b) {
    const struct cmd_operation *x = *(struct cmd_operation *const *)a, *y = *(struct cmd_operation *const *)b;
    return x->op.serial < y->op.serial ? -1 : x->op.serial > y->op.serial;
}

/* Signatures of one operation in several files are united. False after a message: two operations with one number, or a gap. */
static bool operations_unite(struct cmd_operation **ops, size_t *count) {
    size_t kept = 0;
    qsort(ops, *count, sizeof *ops, operation_compare);
    for (size_t i = 0; i < *count; i++) {
        struct admin_op *last = kept > 0 ? &ops[kept - 1]->op : NULL, *op = &ops[i]->op;
        bool again = last && last->serial == op->serial && memcmp(last->hash, op->hash, 32) == 0;
        bool follows = !last || (op->serial == last->serial + 1 && memcmp(op->predecessor, last->hash, 32) == 0);
        if (!again && !follows)
            return cmd_fail("number %" PRIu64 " does not follow number %" PRIu64 " of what was given", op->serial, last->serial) == CMD_EXIT_DONE;
        for (uint32_t k = 0; again && k < op->signatures_count; k++) {
            if (!admin_op_signature_add(last, &op->signatures[k])) return cmd_fail("more than %d signatures", CONFIG_ADMINS_MAX) == CMD_EXIT_DONE;
        }
        struct cmd_operation *here = ops[i];
        ops[i] = NULL;
        if (again) free(here);
        else ops[kept++] = here;
    }
    *count = kept;
    return true;
}

static int submit_files(poptContext context, const char *only) {
    struct cmd_operation **ops = calloc(OPERATIONS_MAX, sizeof *ops);
    struct heraclius *db = NULL;
    size_t count = 0;
    int code = CMD_EXIT_USAGE;
    if (!ops) return cmd_fail("no memory");
    for (const char *path = poptGetArg(context); path; path = poptGetArg(context)) {
        struct cmd_operation *op = count < OPERATIONS_MAX ? calloc(1, sizeof *op) : NULL;
        if (!op) {
            (void)cmd_fail("more than %d files, or no memory", OPERATIONS_MAX);
            goto out;
        }
        ops[count++] = op;
        if (!operation_load(op, path)) goto out;
    }
    if (count == 0) (void)cmd_fail("usage: heraclius client submit OP... (--help tells its options)");
    else if (operations_unite(ops, &count) && (db = command_open(&command_options, &code)) != NULL) code = submit(db, ops, count, only);
out:
    heraclius_close(db);
    for (size_t i = 0; i < count; i++) free(ops[i]);
    free(ops);
    return code;
}

int cmd_client_submit(int argc, char **argv) {
    char *only = NULL;
    int code = CMD_EXIT_USAGE;
    struct poptOption common[COMMAND_OPTIONS_MAX];
    command_options_of(COMMAND_CLIENT, common);
    const struct poptOption options[] = {{"only", 0, POPT_ARG_STRING, &only, 0, "at this coordinator cluster alone (c0, c1, ...)", "CLUSTER"},
                                         {NULL, 0, POPT_ARG_INCLUDE_TABLE, common, 0, "Options:", NULL},
                                         POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    poptSetOtherOptionHelp(context, "OP...");
    if (cmd_options(context) && cmd_signatures_start() && common_valid()) code = submit_files(context, only);
    free(only);
    poptFreeContext(context);
    return code;
}
