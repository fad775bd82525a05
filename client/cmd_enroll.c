/* heraclius node|client|admin enroll: keys made on the owner's machine, a public card out; and what the system commands share. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cmd_system.h"
#include "client/cmd_system_inside.h"
#include "protocol/canonical.h"
#include "ring/entropy.h"

int cmd_fail(const char *format, ...) {
    va_list arguments;
    (void)fputs("heraclius: ", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    return CMD_EXIT_USAGE;
}

bool cmd_options(poptContext context) {
    int found = poptGetNextOpt(context);
    if (found == -1) return true;
    (void)cmd_fail("%s: %s (--help tells more)", poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(found));
    return false;
}

const char **cmd_words(poptContext context, int *count) {
    static const char *none[1];
    const char **words = poptGetArgs(context);
    *count = 0;
    while (words && words[*count]) (*count)++;
    return words ? words : none;
}

void cmd_words_free(char **words) {
    for (char **word = words; word && *word; word++) free(*word);
    free(words);
}

static bool is_end(const struct poptOption *option) {
    return option->longName == NULL && option->shortName == 0 && option->arg == NULL;
}

/* Two names of one option may share a place: what is freed is forgotten. */
static void option_free(const struct poptOption *option) {
    unsigned type = option->argInfo & POPT_ARG_MASK;
    if (type == POPT_ARG_STRING) {
        char **text = option->arg;
        free(*text);
        *text = NULL;
    } else if (type == POPT_ARG_ARGV) {
        char ***words = option->arg;
        cmd_words_free(*words);
        *words = NULL;
    }
}

void cmd_options_end(poptContext context, const struct poptOption *options) {
    for (const struct poptOption *option = options; !is_end(option); option++) {
        option_free(option);
        bool table = (option->argInfo & POPT_ARG_MASK) == POPT_ARG_INCLUDE_TABLE;
        for (const struct poptOption *own = table ? option->arg : NULL; own != NULL && !is_end(own); own++) option_free(own);
    }
    poptFreeContext(context);
}

bool cmd_signatures_start(void) {
    if (ed25519_start(NULL)) return true;
    (void)cmd_fail("the Ed25519 library fails its self-test: another release than this program was made for?");
    return false;
}

bool cmd_path(char out[CMD_PATH_BYTES], const char *folder, const char *name) {
    int count = snprintf(out, CMD_PATH_BYTES, "%s/%s", folder, name);
    if (count > 0 && count < CMD_PATH_BYTES) return true;
    (void)cmd_fail("%s/%s: the path is too long", folder, name);
    return false;
}

bool cmd_folder(const char *path, unsigned mode) {
    struct stat status;
    if (mkdir(path, (mode_t)mode) == 0) return true;
    int failure = errno;
    if (failure == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode)) return true;
    (void)cmd_fail("%s: cannot make this folder: %s", path,
                   failure == ENOENT ? "the folder in which it is to be is not there" : strerror(failure));
    return false;
}

bool cmd_entropy(void *context, uint8_t *out, size_t count) {
    (void)context;
    ring_entropy_fill(out, count);
    return true;
}

/* The owner's key: read when it is there, else made if that was asked for; *made tells. */
static enum system_error owner_take(struct keyfile *owner, const struct cmd_enrolment *enrolment, bool *made, struct system_fault *fault) {
    *made = false;
    if (!enrolment->owner_make) return keyfile_open(owner, KEYFILE_OWNER, enrolment->owner_path, false, fault);
    enum system_error error = keyfile_generate(owner, KEYFILE_OWNER, enrolment->name, cmd_entropy, NULL, fault);
    if (!error) error = keyfile_create(owner, enrolment->owner_path, fault);
    *made = !error;
    return error;
}

bool cmd_enroll_files(const struct cmd_enrolment *enrolment, struct card *card) {
    struct keyfile key = {.lock = -1}, owner = {.lock = -1};
    struct system_fault fault = {.text = ""};
    bool owner_made = false, key_made = false, of_node = enrolment->kind == KEYFILE_NODE;
    enum system_error error = of_node ? owner_take(&owner, enrolment, &owner_made, &fault) : SYSTEM_OK;
    if (!error) error = keyfile_generate(&key, enrolment->kind, enrolment->name, cmd_entropy, NULL, &fault);
    if (!error) error = keyfile_make_card(&key, of_node ? &owner : NULL, card, &fault);
    if (!error) {
        error = keyfile_create(&key, enrolment->key_path, &fault);
        key_made = !error;
    }
    if (!error) error = card_save(card, enrolment->card_path, &fault);
    keyfile_close(&key);
    keyfile_close(&owner);
    if (!error) return true;
    (void)cmd_fail("%s", fault.text);
    if (key_made) (void)unlink(enrolment->key_path);
    if (owner_made) (void)unlink(enrolment->owner_path);
    return false;
}

static bool path_of(char out[CMD_PATH_BYTES], const char *folder, const char *name, const char *ending) {
    char file[CARD_NAME_BYTES_MAX + 16];
    (void)snprintf(file, sizeof file, "%s%s", name, ending);
    return cmd_path(out, folder, file);
}

static int enroll(int argc, char **argv, enum keyfile_kind kind) {
    char *name = NULL, *folder = NULL, *owner = NULL;
    char key_path[CMD_PATH_BYTES], card_path[CMD_PATH_BYTES], owner_path[CMD_PATH_BYTES], id[65];
    const struct poptOption node_only[] = {
        {"owner-key", 0, POPT_ARG_STRING, &owner, 0, "the owner's key; without it a new one is made: NAME.owner.key", "FILE"}, POPT_TABLEEND};
    const struct poptOption nothing[] = {POPT_TABLEEND};
    const struct poptOption options[] = {
        {"name", 'n', POPT_ARG_STRING, &name, 0, "1 to 32 of a-z 0-9 . - (goes into the card)", "NAME"},
        {"out", 'o', POPT_ARG_STRING, &folder, 0, "folder for NAME.key (secret) and NAME.card (public); made if missing", "DIR"},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, (void *)(uintptr_t)(kind == KEYFILE_NODE ? node_only : nothing), 0, NULL, NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    int code = CMD_EXIT_USAGE;
    struct card card;
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    if (!cmd_options(context)) goto out;
    if (!name || !folder || poptPeekArg(context)) {
        (void)cmd_fail("%s needs --name NAME and --out DIR, and nothing else (--help tells more)", argv[0]);
        goto out;
    }
    if (!card_name_valid(name)) {
        (void)cmd_fail("--name %s: must be 1 to %d of a-z 0-9 . - and begin with a letter or digit", name, CARD_NAME_BYTES_MAX);
        goto out;
    }
    if (!cmd_signatures_start() || !cmd_folder(folder, 0700) || !path_of(key_path, folder, name, ".key") ||
        !path_of(card_path, folder, name, ".card") || !path_of(owner_path, folder, name, ".owner.key")) {
        goto out;
    }
    const struct cmd_enrolment enrolment = {kind, name, key_path, card_path, owner ? owner : owner_path, owner == NULL};
    if (!cmd_enroll_files(&enrolment, &card)) goto out;
    canonical_hex_print(card.id, 32, id);
    printf("id    %s\ncard  %s (public: hand this over)\nkey   %s (secret: stays here, and never in two places)\n", id, card_path, key_path);
    if (kind == KEYFILE_NODE && !owner) printf("owner %s (secret: signs claims about the node; keep it away from the node)\n", owner_path);
    code = CMD_EXIT_DONE;
out:
    free(name);
    free(folder);
    free(owner);
    poptFreeContext(context);
    return code;
}

int cmd_node_enroll(int argc, char **argv) { return enroll(argc, argv, KEYFILE_NODE); }
int cmd_client_enroll(int argc, char **argv) { return enroll(argc, argv, KEYFILE_CLIENT); }
int cmd_admin_enroll(int argc, char **argv) { return enroll(argc, argv, KEYFILE_ADMIN); }
