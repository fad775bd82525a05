/* heraclius successor new, show, sign, leave, convict: a system file succeeds another by its administrators' signatures (spec/system.md 7.12). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cmd_successor_inside.h"
#include "client/cmd_system.h"
#include "client/command.h"
#include "protocol/canonical.h"
#include "protocol/config_chain.h"
#include "protocol/evidence.h"

enum { CHAIN_FILE_BYTES_MAX = 64 << 20 };

struct wishes {
    char *predecessor, *successor, *out, *admin_key, *data, *chain;
    char **backups, **seen;
};

/* ---- files ---- */

static bool succession_open(const struct wishes *wishes, struct succession *succession) {
    struct system_fault fault;
    *succession = (struct succession){.backups = wishes->backups, .seen = wishes->seen, .chain = wishes->chain};
    if (!cmd_signatures_start()) return false;
    enum system_error error = system_load(&succession->old, wishes->predecessor, &fault);
    if (!error) error = system_load(&succession->new, wishes->successor, &fault);
    if (!error && (error = successor_follows(succession->old, succession->new, &fault)) != SYSTEM_OK) system_fault_prefix(&fault, wishes->successor);
    if (error) (void)cmd_fail("%s", fault.text);
    return !error;
}

static void succession_close(struct succession *succession) {
    system_free(succession->old);
    system_free(succession->new);
}

static bool statement_write(const char *path, const struct claim_successor *statement) {
    uint8_t bytes[CLAIM_SUCCESSOR_BYTES_MAX];
    struct system_fault fault;
    size_t count = claim_successor_encode(statement, bytes);
    if (canonical_write_new(path, bytes, count, 0644, &fault) == SYSTEM_OK) return true;
    (void)cmd_fail("%s", fault.text);
    return false;
}

/* The chain by which the old system's administrators are known: --chain, or that of a backup, or none (nobody changed since genesis). */
static bool chain_read(const struct succession *succession, uint32_t *cluster, struct command_bytes *chain) {
    char path[CMD_PATH_BYTES];
    *chain = (struct command_bytes){0};
    *cluster = CONFIG_CLUSTER_SHARD;
    const char *from = succession->chain;
    if (!from && succession->backups && succession->backups[0]) {
        if (!cmd_path(path, succession->backups[0], "chain")) return false;
        from = path;
    }
    if (!from) return true;
    if (!command_read_file(from, CHAIN_FILE_BYTES_MAX, "the most that a chain may have", chain)) return false;
    struct bytes_cursor cursor = bytes_cursor_of(chain->bytes, chain->count);
    if (chain->count > 0) *cluster = bytes_get_u32(&cursor);
    return true;
}

/* The old system's newest CONFIG that is known here; false after a message. */
static bool config_find(const struct succession *succession, struct config *config) {
    struct signer signer = signer_ed25519(NULL);
    struct system_fault fault = {.text = "no memory"};
    struct command_bytes bytes;
    uint32_t cluster;
    if (!chain_read(succession, &cluster, &bytes)) return false;
    struct config_chain *chain = malloc(sizeof *chain);
    bool known = chain && config_chain_genesis(chain, succession->old, cluster);
    if (chain && !known) (void)system_fault_set(&fault, SYSTEM_FOREIGN, "it is no chain, or of no cluster of that system");
    bool good = known && config_chain_extend(chain, bytes.bytes, bytes.count, &signer, &fault) == SYSTEM_OK;
    if (good) *config = chain->config;
    else (void)cmd_fail("the chain of CONFIGs of the old system: %s", fault.text);
    free(chain);
    free(bytes.bytes);
    return good;
}

/* All files' signatures on one statement. */
static bool statements_join(const struct succession *succession, const char **paths, struct claim_successor *out) {
    struct system_fault fault;
    struct claim_successor *next = malloc(sizeof *next);
    bool good = next != NULL;
    for (const char **path = paths; good && *path; path++) {
        if (successor_load(next, *path, &fault)) good = ((void)cmd_fail("%s", fault.text), false);
        if (good && (memcmp(next->successor_hash, succession->new->file_hash, 32) != 0 ||
                     memcmp(next->predecessor_id, succession->old->system_id, 16) != 0))
            good = ((void)cmd_fail("%s: a statement about other system files", *path), false);
        if (good && path == paths) *out = *next;
        for (uint32_t i = 0; good && i < next->signatures_count; i++) {
            good = claim_successor_signature_add(out, &next->signatures[i]);
            if (!good) (void)cmd_fail("%s: more than %d signatures", *path, CONFIG_ADMINS_MAX);
        }
    }
    free(next);
    return good;
}

/* ---- what is printed ---- */

static void signatures_print(const struct succession *succession, const struct claim_successor *statement, const struct config *config) {
    struct system_fault fault;
    for (uint32_t i = 0; i < statement->signatures_count; i++) {
        char hex[65];
        const char *name = NULL;
        for (uint32_t k = 0; k < succession->old->admins_count; k++) {
            if (memcmp(succession->old->admins[k].signing_key, statement->signatures[i].key, 32) == 0) name = succession->old->admins[k].name;
        }
        canonical_hex_print(statement->signatures[i].key, 32, hex);
        printf("signed by %s\n", name ? name : hex);
    }
    enum system_error error = claim_successor_verify(statement, config, succession->new, &fault);
    if (error) printf("NOT VALID yet: %s\n", fault.text);
    else printf("VALID: %u of %u administrators must sign, and did\n", config->admins_needed, config->admins_count);
}

/* ---- verbs ---- */

static int successor_new(const struct wishes *wishes) {
    int code = CMD_EXIT_USAGE;
    struct succession succession = {0};
    struct claim_successor *statement = calloc(1, sizeof *statement);
    if (!statement || !succession_open(wishes, &succession) || !cmd_successor_cut_print(&succession, true)) goto out;
    memcpy(statement->predecessor_id, succession.old->system_id, 16);
    memcpy(statement->successor_id, succession.new->system_id, 16);
    memcpy(statement->successor_hash, succession.new->file_hash, 32);
    if (!statement_write(wishes->out, statement)) goto out;
    printf("%s is to be signed by %u administrators of the old system: heraclius successor sign\n", wishes->out, succession.old->admins_needed);
    code = CMD_EXIT_DONE;
out:
    succession_close(&succession);
    free(statement);
    return code;
}

static int successor_show(const struct wishes *wishes, const char **paths) {
    int code = CMD_EXIT_USAGE;
    struct succession succession = {0};
    struct claim_successor *statement = calloc(1, sizeof *statement);
    struct config *config = malloc(sizeof *config);
    if (!statement || !config || !succession_open(wishes, &succession) || !statements_join(&succession, paths, statement)) goto out;
    if (!config_find(&succession, config) || !cmd_successor_cut_print(&succession, false)) goto out;
    signatures_print(&succession, statement, config);
    code = CMD_EXIT_DONE;
out:
    succession_close(&succession);
    free(statement);
    free(config);
    return code;
}

static bool may_sign(const struct config *config, const struct keyfile *key, const char *path) {
    for (uint32_t i = 0; i < config->admins_count; i++) {
        if (memcmp(config->admins[i].key, key->signing_key, 32) == 0) return true;
    }
    (void)cmd_fail("%s: this key is of no administrator of the old system", path);
    return false;
}

static int successor_sign(const struct wishes *wishes, const char **paths) {
    int code = CMD_EXIT_USAGE;
    struct succession succession = {0};
    struct keyfile key = {.lock = -1};
    struct system_fault fault;
    struct claim_successor *statement = calloc(1, sizeof *statement);
    struct config *config = malloc(sizeof *config);
    if (!statement || !config || !succession_open(wishes, &succession) || !statements_join(&succession, paths, statement)) goto out;
    if (!config_find(&succession, config) || !cmd_successor_cut_print(&succession, false)) goto out;
    if (keyfile_open(&key, KEYFILE_ADMIN, wishes->admin_key, false, &fault)) {
        (void)cmd_fail("%s", fault.text);
        goto out;
    }
    if (!may_sign(config, &key, wishes->admin_key)) goto out;
    if (!claim_successor_sign(statement, &key.signing)) {
        (void)cmd_fail("%s has as many signatures as there can be", paths[0]);
        goto out;
    }
    if (!statement_write(wishes->out, statement)) goto out;
    signatures_print(&succession, statement, config);
    code = CMD_EXIT_DONE;
out:
    keyfile_close(&key);
    succession_close(&succession);
    free(statement);
    free(config);
    return code;
}

/* A node looks into its data directory for successors that it is shown (S-143): statement last, since that is what it looks for. Showing it
 * once more, after a ctrl-C or by mistake, does no harm. */
static bool handed_over(const struct wishes *wishes, const struct succession *succession, const struct claim_successor *statement) {
    char folder[CMD_PATH_BYTES], name[64], path[CMD_PATH_BYTES], id[33];
    struct system_fault fault;
    uint8_t bytes[CLAIM_SUCCESSOR_BYTES_MAX];
    size_t text_bytes = 0, count = claim_successor_encode(statement, bytes);
    canonical_hex_print(statement->successor_id, 16, id);
    if (!cmd_path(folder, wishes->data, "data/wal")) return false;
    if (access(folder, F_OK) != 0) return (void)cmd_fail("%s: holds no data of a node; give the folder that system init got", wishes->data), false;
    if (!cmd_path(folder, wishes->data, "data/successors") || !cmd_folder(folder, 0700)) return false;
    (void)snprintf(name, sizeof name, "%s.json", id);
    if (!cmd_path(path, folder, name)) return false;
    char *text = system_encode_json(succession->new, &text_bytes);
    enum system_error error = text ? canonical_replace(path, text, text_bytes, 0644, &fault)
                                   : system_fault_set(&fault, SYSTEM_NOTHING_FREE, "no memory");
    free(text);
    (void)snprintf(name, sizeof name, "%s.statement", id);
    if (!error && !cmd_path(path, folder, name)) return false;
    if (!error) error = canonical_replace(path, bytes, count, 0644, &fault);
    return error ? (void)cmd_fail("%s", fault.text), false : true;
}

static int successor_leave(const struct wishes *wishes, const char **paths) {
    int code = CMD_EXIT_USAGE;
    struct succession succession = {0};
    struct system_fault fault;
    struct claim_successor *statement = calloc(1, sizeof *statement);
    struct config *config = malloc(sizeof *config);
    if (!statement || !config || !succession_open(wishes, &succession) || !statements_join(&succession, paths, statement)) goto out;
    if (!config_find(&succession, config)) goto out;
    if (claim_successor_verify(statement, config, succession.new, &fault)) {
        (void)cmd_fail("not handed over, the node would not follow it: %s", fault.text);
        goto out;
    }
    if (!handed_over(wishes, &succession, statement)) goto out;
    printf("the node of %s is shown the successor: it leaves the old system for good within seconds, or at its next start\n", wishes->data);
    code = CMD_EXIT_DONE;
out:
    succession_close(&succession);
    free(statement);
    free(config);
    return code;
}

/* Both statements as evidence (B-81), with the chain that shows who the administrators are; false after a message: it would convict nobody. */
static bool evidence_write(const char *path, const struct succession *succession, const struct claim_successor two[2], const struct config *config) {
    uint8_t statements[2][CLAIM_SUCCESSOR_BYTES_MAX], none[CONFIG_CHAIN_HEAD_BYTES];
    size_t counts[2] = {claim_successor_encode(&two[0], statements[0]), claim_successor_encode(&two[1], statements[1])};
    struct bytes_writer head = bytes_writer_of(none, sizeof none);
    struct command_bytes chain;
    struct system_fault fault;
    uint32_t cluster, both;
    if (!chain_read(succession, &cluster, &chain)) return false;
    config_chain_head_encode(&head, cluster, 0, 1);
    const uint8_t *chain_bytes = chain.count > 0 ? chain.bytes : none;
    size_t chain_count = chain.count > 0 ? chain.count : head.used, room = 64 + chain_count + counts[0] + counts[1];
    uint8_t *bytes = room <= EVIDENCE_BYTES_MAX ? malloc(room) : NULL;
    struct evidence *evidence = malloc(sizeof *evidence);
    bool good = bytes && evidence;
    if (!good) (void)cmd_fail("no memory for evidence, or its chain is too long");
    if (good) {
        struct bytes_writer writer = bytes_writer_of(bytes, room);
        evidence_put_successors(&writer, chain_bytes, (uint32_t)chain_count, statements[0], counts[0], statements[1], counts[1]);
        enum evidence_error error = evidence_decode(bytes, writer.used, evidence);
        if (!error) error = evidence_verify_successors(evidence, config, &both);
        good = !error;
        if (error) (void)cmd_fail("they convict nobody: %s", evidence_error_name(error));
        else if (canonical_write_new(path, bytes, writer.used, 0644, &fault)) good = ((void)cmd_fail("%s", fault.text), false);
    }
    free(evidence);
    free(bytes);
    free(chain.bytes);
    return good;
}

/* For when no node of the old system is left that could be shown both. */
static int successor_convict(const struct wishes *wishes, const char **paths) {
    int code = CMD_EXIT_USAGE;
    struct succession succession = {.backups = wishes->backups, .chain = wishes->chain};
    struct claim_successor *two = calloc(2, sizeof *two);
    struct config *config = malloc(sizeof *config);
    struct system_fault fault;
    if (!two || !config || !cmd_signatures_start()) goto out;
    enum system_error error = system_load(&succession.old, wishes->predecessor, &fault);
    for (uint32_t i = 0; i < 2 && !error; i++) {
        error = successor_load(&two[i], paths[i], &fault);
        if (!error && memcmp(two[i].predecessor_id, succession.old->system_id, 16) != 0)
            error = system_fault_set(&fault, SYSTEM_FOREIGN, "%s: a statement about a successor of another system", paths[i]);
    }
    bool one = !error && memcmp(two[0].successor_hash, two[1].successor_hash, 32) == 0;
    if (error || one) {
        (void)cmd_fail("%s", one ? "both name one successor: nobody is convicted" : fault.text);
        goto out;
    }
    if (!config_find(&succession, config) || !evidence_write(wishes->out, &succession, two, config)) goto out;
    printf("%s convicts who signed both: heraclius -s %s evidence verify %s\n", wishes->out, wishes->predecessor, wishes->out);
    code = CMD_EXIT_DONE;
out:
    succession_close(&succession);
    free(two);
    free(config);
    return code;
}

/* ---- words and options ---- */

enum verb { VERB_NEW, VERB_SHOW, VERB_SIGN, VERB_LEAVE, VERB_CONVICT };

static int run(enum verb verb, const struct wishes *wishes, const char **words, int count, const char *name) {
    bool both = wishes->predecessor && wishes->successor, out = wishes->out != NULL;
    if (verb == VERB_NEW && both && count == 0 && out) return successor_new(wishes);
    if (verb == VERB_SHOW && both && count >= 1) return successor_show(wishes, words);
    if (verb == VERB_SIGN && both && count >= 1 && out && wishes->admin_key) return successor_sign(wishes, words);
    if (verb == VERB_LEAVE && both && count >= 1 && wishes->data) return successor_leave(wishes, words);
    if (verb == VERB_CONVICT && wishes->predecessor && count == 2 && out) return successor_convict(wishes, words);
    if (verb == VERB_CONVICT) return cmd_fail("%s needs --predecessor FILE, two STATEMENTs and --out FILE (--help tells more)", name);
    return cmd_fail("%s needs --predecessor FILE, --successor FILE%s (--help tells more)", name,
                    verb == VERB_NEW    ? ", --backup DIR of each shard and --out FILE"
                    : verb == VERB_SIGN ? ", a STATEMENT, --admin-key KEY and --out FILE"
                    : verb == VERB_SHOW ? " and a STATEMENT"
                                        : ", a STATEMENT and --data DIR");
}

static int successor_command(int argc, char **argv, enum verb verb, const char *help) {
    struct wishes wishes = {0};
    const struct poptOption of_sign[] = {
        {"admin-key", 0, POPT_ARG_STRING, &wishes.admin_key, 0, "the administrator's secret key (also: --admin)", "FILE"},
        {"admin", 0, POPT_ARG_STRING | POPT_ARGFLAG_DOC_HIDDEN, &wishes.admin_key, 0, NULL, NULL},
        POPT_TABLEEND};
    const struct poptOption of_leave[] = {
        {"data", 0, POPT_ARG_STRING, &wishes.data, 0, "the folder of the node, as it was given to system init", "DIR"}, POPT_TABLEEND};
    const struct poptOption nothing[] = {POPT_TABLEEND};
    const struct poptOption *own = verb == VERB_SIGN ? of_sign : verb == VERB_LEAVE ? of_leave : nothing;
    const struct poptOption options[] = {
        {"predecessor", 0, POPT_ARG_STRING, &wishes.predecessor, 0, "the system file of the old system", "FILE"},
        {"successor", 0, POPT_ARG_STRING, &wishes.successor, 0, "the new system file (system assemble --predecessor)", "FILE"},
        {"backup", 0, POPT_ARG_ARGV, &wishes.backups, 0, "a backup of a cluster of the old system, checked whole; once per cluster", "DIR"},
        {"seen", 0, POPT_ARG_ARGV, &wishes.seen, 0, "the highest height that anybody saw, for what may be lost", "CLUSTER=HEIGHT"},
        {"chain", 0, POPT_ARG_STRING, &wishes.chain, 0, "chain of CONFIGs, if administrators changed and no backup shows it", "FILE"},
        {"out", 'o', POPT_ARG_STRING, &wishes.out, 0, "the statement to write; nothing is overwritten", "FILE"},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, (void *)(uintptr_t)own, 0, NULL, NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    int code = CMD_EXIT_USAGE;
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    poptSetOtherOptionHelp(context, help);
    if (cmd_options(context)) {
        int count;
        const char **words = cmd_words(context, &count);
        code = run(verb, &wishes, words, count, argv[0]);
    }
    cmd_options_end(context, options);
    return code;
}

int cmd_successor_new(int argc, char **argv) { return successor_command(argc, argv, VERB_NEW, "--backup DIR... --out FILE [OPTION...]"); }
int cmd_successor_show(int argc, char **argv) { return successor_command(argc, argv, VERB_SHOW, "STATEMENT... [OPTION...]"); }
int cmd_successor_sign(int argc, char **argv) { return successor_command(argc, argv, VERB_SIGN, "STATEMENT... --admin-key KEY --out FILE [OPTION]"); }
int cmd_successor_leave(int argc, char **argv) { return successor_command(argc, argv, VERB_LEAVE, "STATEMENT... --data DIR [OPTION...]"); }
int cmd_successor_convict(int argc, char **argv) { return successor_command(argc, argv, VERB_CONVICT, "STATEMENT STATEMENT --out FILE [OPTION...]"); }
