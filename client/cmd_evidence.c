/* heraclius evidence verify: who is convicted of what, offline (spec/consensus.md 3.11). */
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd_system.h"
#include "client/cmd_config_inside.h"
#include "client/command.h"
#include "protocol/canonical.h"
#include "protocol/config_chain.h"
#include "protocol/evidence.h"

/* The members of the evidence's epoch, by the system file and the chain inside. NULL, or why not. */
static const char *members_find(const struct system *system, const struct evidence *evidence, const struct signer *signer,
                                struct bft_members *members) {
    static char why[200];
    if (memcmp(evidence->place.system_id, system->system_id, sizeof system->system_id) != 0)
        return "it is of another system than this system file's";
    struct config_chain *chain = malloc(sizeof *chain);
    if (!chain) return "no memory";
    struct system_fault fault = {0};
    enum system_error error = config_chain_members(chain, system, evidence->place.cluster, evidence->chain, evidence->chain_bytes,
                                                   evidence->place.epoch, signer, members, &fault);
    free(chain);
    if (error == SYSTEM_OK) return NULL;
    snprintf(why, sizeof why, "its CONFIG chain does not lead to epoch %llu of that cluster: %.120s", (unsigned long long)evidence->place.epoch,
             fault.text);
    return why;
}

/* TWO_SUCCESSORS: who signed both, by the newest CONFIG that the chain inside shows. */
static const char *judge_successors(const struct system *system, const struct evidence *evidence, const struct signer *signer, uint8_t both[][32],
                                    uint32_t *both_count) {
    static char why[200];
    if (memcmp(evidence->place.system_id, system->system_id, sizeof system->system_id) != 0)
        return "it is of another system than this system file's";
    struct config_chain *chain = malloc(sizeof *chain);
    struct system_fault fault = {.text = "no memory"};
    uint32_t signers = 0;
    bool known = chain && config_chain_genesis(chain, system, evidence->place.cluster) &&
                 config_chain_extend(chain, evidence->chain, evidence->chain_bytes, signer, &fault) == SYSTEM_OK;
    enum evidence_error error = known ? evidence_verify_successors(evidence, &chain->config, &signers) : EVIDENCE_OK;
    *both_count = 0;
    for (uint32_t i = 0; known && i < chain->config.admins_count; i++) {
        if ((signers >> i & 1) != 0) memcpy(both[(*both_count)++], chain->config.admins[i].key, 32);
    }
    free(chain);
    snprintf(why, sizeof why, "its CONFIG chain does not verify: %.120s", fault.text);
    if (!known) return why;
    return error == EVIDENCE_OK ? NULL : evidence_error_name(error);
}

static void successors_print(const struct system *system, const struct evidence *evidence, uint8_t both[][32], uint32_t count, bool as_json) {
    char ids[2][33], hex[65];
    json_t *names = json_array();
    for (unsigned i = 0; i < 2; i++) canonical_hex_print(evidence->successors[i].successor_id, 16, ids[i]);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = NULL;
        for (uint32_t k = 0; k < system->admins_count; k++) {
            if (memcmp(system->admins[k].signing_key, both[i], 32) == 0) name = system->admins[k].name;
        }
        canonical_hex_print(both[i], 32, hex);
        json_array_append_new(names, json_string(name ? name : hex));
        if (!as_json) printf("convicted: administrator %s: signed two successors of this system\n", name ? name : hex);
    }
    if (as_json) command_print_json(json_pack("{s:b,s:s,s:o,s:[s,s]}", "convicts", 1, "kind", evidence_kind_name(evidence->kind), "administrators",
                                              json_incref(names), "successors", ids[0], ids[1]));
    else printf("  the two are %s and %s\n", ids[0], ids[1]);
    json_decref(names);
}

static const char *judge(const struct system *system, const uint8_t *bytes, size_t count, struct evidence *evidence, struct bft_members *members) {
    struct signer signer = signer_ed25519(NULL);
    enum evidence_error error = evidence_decode(bytes, count, evidence);
    if (error != EVIDENCE_OK) return evidence_error_name(error);
    const char *why = members_find(system, evidence, &signer, members);
    if (why) return why;
    error = evidence_verify(evidence, members, &signer);
    return error == EVIDENCE_OK ? NULL : evidence_error_name(error);
}

static const char *sentence(enum evidence_kind kind) {
    switch (kind) {
    case EVIDENCE_TWO_PREPARES: return "it signed two different PREPAREs for one view and height";
    case EVIDENCE_TWO_COMMITS: return "it signed two different COMMITs for one view and height";
    case EVIDENCE_TWO_TIMEOUTS: return "it signed two different TIMEOUTs for one view";
    case EVIDENCE_COMMIT_AND_TIMEOUT: return "it signed a COMMIT, and a TIMEOUT that hides it";
    case EVIDENCE_SLICE: return "a quorum certified a slice that does not parse";
    case EVIDENCE_TWO_SLICES: return "a quorum certified two different slices under one number";
    case EVIDENCE_PIECE: return "it signed a piece of a checkpoint that is not of its state";
    default: return "?";
    }
}

static void print(const struct evidence *evidence, const char *cluster, const char *member) {
    unsigned long long epoch = evidence->place.epoch, view = evidence->votes[0].ballot.view, height = evidence->votes[0].ballot.height;
    printf("convicted: %s of cluster %s, epoch %llu: %s\n", member ? member : "more than f members", cluster, epoch, sentence(evidence->kind));
    if (evidence->kind == EVIDENCE_TWO_PREPARES || evidence->kind == EVIDENCE_TWO_COMMITS || evidence->kind == EVIDENCE_COMMIT_AND_TIMEOUT)
        printf("  view %llu, height %llu\n", view, height);
    if (evidence->kind == EVIDENCE_TWO_TIMEOUTS) printf("  view %llu\n", (unsigned long long)evidence->timeouts[0].view);
    if (member) puts("no honest program does this: a liar, a stolen key, or a disk that was rolled back under a running key");
    else puts("COMMITs may be given without executing, so no signer is guilty by name");
}

static void print_json(const struct evidence *evidence, const char *cluster, const char *member) {
    json_t *object = json_pack("{s:b,s:s,s:s,s:I,s:s}", "convicts", 1, "kind", evidence_kind_name(evidence->kind), "cluster", cluster, "epoch",
                               (json_int_t)evidence->place.epoch, "what", sentence(evidence->kind));
    json_object_set_new(object, "member", member ? json_integer(evidence->signer) : json_null());
    json_object_set_new(object, "name", member ? json_string(member) : json_null());
    command_print_json(object);
}

/* By the key: the system file names the first members, the CONFIGs of the chain inside those who came later. */
static const char *member_name(struct system *system, const struct evidence *evidence, const struct bft_members *members,
                               char out[CARD_NAME_BYTES_MAX + 16]) {
    if (evidence->signer == EVIDENCE_NOBODY) return NULL;
    const uint8_t *key = members->keys[evidence->signer];
    const struct card *card = system_node_by_signing_key(system, key, NULL, NULL);
    struct config_view view = {0};
    if (!card && cmd_config_view_open(&view, system, evidence->place.cluster, "its chain", evidence->chain, evidence->chain_bytes)) {
        for (uint32_t i = 0; !card && i < view.card_count; i++) card = memcmp(view.cards[i].signing_key, key, 32) == 0 ? &view.cards[i] : NULL;
    }
    if (card) snprintf(out, CARD_NAME_BYTES_MAX + 16, "%s", card->name);
    else snprintf(out, CARD_NAME_BYTES_MAX + 16, "member %u", evidence->signer);
    cmd_config_view_close(&view);
    return out;
}

static int verify(struct system *system, const char *file_name, bool as_json) {
    struct command_bytes file;
    if (!command_read_file(file_name, EVIDENCE_BYTES_MAX, "the most that evidence may have", &file)) return CMD_EXIT_USAGE;
    struct evidence *evidence = malloc(sizeof *evidence);
    struct signer signer = signer_ed25519(NULL);
    struct bft_members members;
    uint8_t both[CONFIG_ADMINS_MAX][32];
    uint32_t both_count = 0;
    bool successors = evidence && evidence_decode(file.bytes, file.count, evidence) == EVIDENCE_OK && evidence->kind == EVIDENCE_TWO_SUCCESSORS;
    const char *why = !evidence    ? "no memory"
                      : successors ? judge_successors(system, evidence, &signer, both, &both_count)
                                   : judge(system, file.bytes, file.count, evidence, &members);
    int code = EXIT_DONE;
    if (why) {
        if (as_json) command_print_json(json_pack("{sbss}", "convicts", 0, "why", why));
        code = command_fail(EXIT_NO, "%s: convicts nobody: %s", file_name, why);
    } else if (successors) {
        successors_print(system, evidence, both, both_count, as_json);
    } else {
        char cluster[16], member[CARD_NAME_BYTES_MAX + 16];
        snprintf(cluster, sizeof cluster, "%c%u", config_cluster_is_shard(evidence->place.cluster) ? 's' : 'c',
                 config_cluster_index(evidence->place.cluster));
        const char *who = member_name(system, evidence, &members, member);
        as_json ? print_json(evidence, cluster, who) : print(evidence, cluster, who);
    }
    free(evidence);
    free(file.bytes);
    return code;
}

int cmd_evidence_verify(int argc, char **argv) {
    char *path = NULL;
    int as_json = 0, code = CMD_EXIT_USAGE;
    struct system *system = NULL;
    struct system_fault fault;
    const struct poptOption options[] = {
        {"system", 's', POPT_ARG_STRING, &path, 0, "the system file (default: $HERACLIUS_SYSTEM, or local/system.json)", "FILE"},
        {"json", 0, POPT_ARG_NONE, &as_json, 0, "as JSON", NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    poptSetOtherOptionHelp(context, "[OPTION...] FILE");
    if (!cmd_options(context)) goto out;
    const char *word = poptGetArg(context);
    if (!word || poptPeekArg(context)) {
        (void)cmd_fail("%s needs one file (--help tells more)", argv[0]);
        goto out;
    }
    struct command where = {.system_path = path};
    if (!command_find_system(&where) || !cmd_signatures_start()) goto out;
    if (system_load(&system, where.system_path, &fault)) {
        (void)cmd_fail("%s", fault.text);
        goto out;
    }
    code = verify(system, word, as_json != 0);
out:
    system_free(system);
    free(path);
    poptFreeContext(context);
    return code;
}
