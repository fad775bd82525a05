/* heraclius node owner, node approve: the owner of an appliance, and the card that the owner makes of what it asks (spec/appliance.md 9.3). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd_system.h"
#include "client/cmd_system_inside.h"
#include "client/command.h"
#include "protocol/canonical.h"
#include "protocol/card_request.h"

/* ---- owner ---- */

static int owner_make(const char *name, const char *folder) {
    char file[CARD_NAME_BYTES_MAX + 16], path[CMD_PATH_BYTES], hex[65];
    struct keyfile owner = {.lock = -1};
    struct system_fault fault;
    (void)snprintf(file, sizeof file, "%s.owner.key", name);
    if (!cmd_folder(folder, 0700) || !cmd_path(path, folder, file)) return CMD_EXIT_USAGE;
    enum system_error error = keyfile_generate(&owner, KEYFILE_OWNER, name, cmd_entropy, NULL, &fault);
    if (!error) error = keyfile_create(&owner, path, &fault);
    canonical_hex_print(owner.signing_key, 32, hex);
    keyfile_close(&owner);
    if (error) return cmd_fail("%s", fault.text);
    printf("owner %s (public: what a node is told about whose it is)\nkey   %s (secret: signs the node's card and its configurations; keep it away "
           "from the "
           "node)\n",
           hex, path);
    return CMD_EXIT_DONE;
}

int cmd_node_owner(int argc, char **argv) {
    char *name = NULL, *folder = NULL;
    int code = CMD_EXIT_USAGE;
    const struct poptOption options[] = {{"name", 'n', POPT_ARG_STRING, &name, 0, "1 to 32 of a-z 0-9 . - (a team's name, say)", "NAME"},
                                         {"out", 'o', POPT_ARG_STRING, &folder, 0, "folder for NAME.owner.key; made if missing", "DIR"},
                                         POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    if (!cmd_options(context)) goto out;
    if (!name || !folder || poptPeekArg(context))
        (void)cmd_fail("%s needs --name NAME and --out DIR, and nothing else (--help tells more)", argv[0]);
    else if (!card_name_valid(name))
        (void)cmd_fail("--name %s: must be 1 to %d of a-z 0-9 . - and begin with a letter or digit", name, CARD_NAME_BYTES_MAX);
    else if (cmd_signatures_start())
        code = owner_make(name, folder);
out:
    cmd_options_end(context, options);
    return code;
}

/* ---- approve ---- */

static bool request_read(const char *path, struct card *card) {
    struct command_bytes file;
    struct system_fault fault;
    if (!command_read_file(path, CARD_REQUEST_TEXT_BYTES_MAX, "the most that a card request may have", &file)) return false;
    enum system_error error = card_request_parse(card, file.bytes, file.count, &fault);
    free(file.bytes);
    if (error) (void)cmd_fail("%s: %s: %s", path, system_error_name(error), fault.text);
    return !error;
}

static int approve(const char *request, const char *owner_path, const char *out) {
    struct keyfile owner;
    struct system_fault fault;
    struct card card;
    char id[65], key[65];
    if (!request_read(request, &card)) return CMD_EXIT_USAGE;
    if (keyfile_open(&owner, KEYFILE_OWNER, owner_path, false, &fault)) return cmd_fail("%s", fault.text);
    enum system_error error = keyfile_own_card(&owner, &card, &fault);
    keyfile_close(&owner);
    canonical_hex_print(card.owner_key, 32, key);
    if (error == SYSTEM_FOREIGN)
        return cmd_fail("%s: the node that asks was told another owner (%s): is it yours? Pin your key at it, and ask anew", request, key);
    if (error) return cmd_fail("%s: %s", request, fault.text);
    if (card_save(&card, out, &fault)) return cmd_fail("%s", fault.text);
    canonical_hex_print(card.id, 32, id);
    printf(
        "id    %s (compare it with what the node shows: a request may have been changed on the way)\nname  %s\ncard  %s (public: hand this over)\n",
        id, card.name, out);
    return CMD_EXIT_DONE;
}

int cmd_node_approve(int argc, char **argv) {
    char *owner = NULL, *out = NULL;
    int code = CMD_EXIT_USAGE, count;
    const struct poptOption options[] = {{"owner-key", 0, POPT_ARG_STRING, &owner, 0, "the owner's secret key (node owner, node enroll)", "FILE"},
                                         {"out", 'o', POPT_ARG_STRING, &out, 0, "the card; never over an old file", "FILE"},
                                         POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    poptSetOtherOptionHelp(context, "REQUEST --owner-key FILE --out NAME.card");
    if (!cmd_options(context)) goto out;
    const char **words = cmd_words(context, &count);
    if (count != 1 || !owner || !out)
        (void)cmd_fail("usage: %s REQUEST --owner-key FILE --out NAME.card (REQUEST: what the node's console shows; - is stdin)", argv[0]);
    else if (cmd_signatures_start())
        code = approve(words[0], owner, out);
out:
    cmd_options_end(context, options);
    return code;
}
