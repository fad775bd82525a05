/* heraclius node claim: what a team says of its own node (spec/system.md S-110), signed with the owner's key; shown by admins, proved by nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd_system.h"
#include "client/cmd_system_inside.h"
#include "protocol/canonical.h"
#include "protocol/claim.h"

struct wishes {
    char *card, *owner, *out;
    long long number;
    char **texts; /* FIELD=TEXT */
};

static bool text_take(struct claim *claim, const char *word) {
    const char *equal = strchr(word, '=');
    size_t name_bytes = equal != NULL ? (size_t)(equal - word) : 0, bytes = equal != NULL ? strlen(equal + 1) : 0;
    for (int i = 0; i < CLAIM_FIELDS && equal != NULL; i++) {
        const char *name = claim_field_name((enum claim_field)i);
        if (strlen(name) != name_bytes || memcmp(name, word, name_bytes) != 0) continue;
        if (claim->texts[i][0] != '\0') return (void)cmd_fail("--set %s: given twice", name), false;
        for (size_t at = 1; at <= bytes; at++) {
            if (equal[at] < 0x20 || equal[at] > 0x7E) return (void)cmd_fail("--set %s: printable ASCII only", name), false;
        }
        if (bytes == 0 || bytes > CLAIM_TEXT_BYTES_MAX)
            return (void)cmd_fail("--set %s: wants 1 to %d characters", name, CLAIM_TEXT_BYTES_MAX), false;
        memcpy(claim->texts[i], equal + 1, bytes + 1);
        return true;
    }
    (void)cmd_fail("--set %s: wants FIELD=TEXT, FIELD one of architecture, kernel, compiler, code, image, operator, site, power", word);
    return false;
}

static bool claim_make(const struct wishes *wishes, struct claim *claim) {
    struct card card;
    struct keyfile owner = {.lock = -1};
    struct system_fault fault;
    for (char **word = wishes->texts; word && *word; word++) {
        if (!text_take(claim, *word)) return false;
    }
    enum system_error error = card_load(&card, CARD_NODE, wishes->card, &fault);
    if (!error) error = keyfile_open(&owner, KEYFILE_OWNER, wishes->owner, false, &fault);
    if (!error && memcmp(owner.signing_key, card.owner_key, 32) != 0)
        error = system_fault_set(&fault, SYSTEM_FOREIGN, "%s: not the key of this node's owner", wishes->owner);
    if (!error) {
        memcpy(claim->node_id, card.id, 32);
        claim->number = (uint64_t)wishes->number;
        claim_sign(claim, &owner.signing);
        error = claim_verify(claim, &card, &fault);
    }
    keyfile_close(&owner);
    if (error) (void)cmd_fail("%s", fault.text);
    return !error;
}

int cmd_node_claim(int argc, char **argv) {
    struct wishes wishes = {0};
    const struct poptOption options[] = {
        {"card", 0, POPT_ARG_STRING, &wishes.card, 0, "the node's card", "FILE"},
        {"owner-key", 0, POPT_ARG_STRING, &wishes.owner, 0, "the owner's key, NAME.owner.key", "FILE"},
        {"number", 0, POPT_ARG_LONGLONG, &wishes.number, 0, "from 1, higher with each claim of this node: the highest counts", "N"},
        {"set", 0, POPT_ARG_ARGV, &wishes.texts, 0, "architecture, kernel, compiler, code, image (SHA-256), operator, site or power", "FIELD=TEXT"},
        {"out", 'o', POPT_ARG_STRING, &wishes.out, 0, "the file to make, NAME.claim", "FILE"},
        POPT_AUTOHELP POPT_TABLEEND};
    int code = CMD_EXIT_USAGE;
    uint8_t bytes[CLAIM_BYTES_MAX];
    struct system_fault fault;
    struct claim claim;
    memset(&claim, 0, sizeof claim);
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    if (!cmd_options(context)) goto out;
    if (!wishes.card || !wishes.owner || !wishes.out || wishes.number < 1 || poptPeekArg(context)) {
        (void)cmd_fail("%s needs --card FILE, --owner-key FILE, --number N (from 1) and --out FILE (--help tells more)", argv[0]);
        goto out;
    }
    if (!cmd_signatures_start() || !claim_make(&wishes, &claim)) goto out;
    if (canonical_write_new(wishes.out, bytes, claim_encode(&claim, bytes), 0644, &fault)) {
        (void)cmd_fail("%s", fault.text);
        goto out;
    }
    printf("claim %lld of %s: %s\n", wishes.number, wishes.card, wishes.out);
    for (int i = 0; i < CLAIM_FIELDS; i++) {
        printf("  %-12s %s\n", claim_field_name((enum claim_field)i), claim.texts[i][0] ? claim.texts[i] : "(nothing said: counts as shared)");
    }
    code = CMD_EXIT_DONE;
out:
    cmd_options_end(context, options);
    return code;
}
