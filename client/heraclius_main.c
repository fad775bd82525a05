/* heraclius: the command. Finds the subcommand, reads its options, runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd_system.h"
#include "client/command.h"

static const struct subcommand {
    const char *name;
    enum command_set bit;
    const char *words;
    int words_min, words_max;
    command_function *run;
    const char *what;
} subcommands[] = {
    {"get", COMMAND_GET, "KEY", 1, 1, command_get, "read a value"},
    {"put", COMMAND_PUT, "KEY VALUE", 1, 2, command_put, "write a value"},
    {"del", COMMAND_DEL, "KEY", 1, 1, command_del, "delete a key"},
    {"cas", COMMAND_CAS, "KEY OLD NEW", 3, 3, command_cas, "write NEW if the value is OLD"},
    {"add", COMMAND_ADD, "KEY N", 2, 2, command_add, "add N to a number, print the sum"},
    {"batch", COMMAND_BATCH, "FILE", 1, 1, command_batch, "a list of operations, one a line"},
    {"settle", COMMAND_SETTLE, "", 0, 0, command_settle, "writes whose outcome is unknown"},
    {"verify", COMMAND_VERIFY, "FILE", 1, 1, command_verify, "check a receipt or a backup offline"},
    {"backup", COMMAND_BACKUP, "--out DIR", 0, 0, command_backup, "a certified checkpoint of each cluster, as files"},
    {"status", COMMAND_STATUS, "", 0, 0, command_status, "clusters, nodes, leaders, how many may fail"},
    {"upgrade", COMMAND_UPGRADE, "FILE.release", 1, 1, command_upgrade, "bring a release to the appliances, node by node"},
};

enum { SUBCOMMANDS = sizeof subcommands / sizeof subcommands[0] };

static const struct {
    const char *group, *name;
    int (*run)(int argc, char **argv);
    const char *what;
} tools[] = {
    {"node", "enroll", cmd_node_enroll, "make a node's keys and card"},
    {"node", "claim", cmd_node_claim, "say what a node runs on and where, signed by its owner"},
    {"node", "owner", cmd_node_owner, "make an owner's key, for nodes that make their own"},
    {"node", "approve", cmd_node_approve, "make a card of what such a node asks"},
    {"node", "config", cmd_node_config, "new, sign, show: an appliance's configuration"},
    {"node", "check-config", cmd_node_check_config, "say what a node would do with it"},
    {"image", "sign", cmd_image_sign, "make a release of an appliance's image"},
    {"image", "show", cmd_image_show, "say what a release is"},
    {"image", "verify", cmd_image_verify, "check who signed it, and that it is whole"},
    {"client", "enroll", cmd_client_enroll, "make a client's keys and card"},
    {"client", "add", cmd_client_add, "enrol a client while the system runs"},
    {"client", "change", cmd_client_change, "give it other rights and quota"},
    {"client", "revoke", cmd_client_revoke, "shut it out for good"},
    {"client", "show", cmd_client_show, "show such an operation before signing it"},
    {"client", "sign", cmd_client_sign, "add an administrator's signature"},
    {"client", "submit", cmd_client_submit, "hand signed operations in"},
    {"admin", "enroll", cmd_admin_enroll, "make an administrator's key and card"},
    {"address", "show", cmd_address_show, "where every node is reached"},
    {"address", "set", cmd_address_set, "a node has moved, or is new: replaces addresses.json whole"},
    {"address", "remove", cmd_address_remove, "take a node out of it"},
    {"system", "assemble", cmd_system_assemble, "make a system file from cards"},
    {"system", "init", cmd_system_init, "make a node's data directory from it"},
    {"system", "show", cmd_system_show, "show a system file"},
    {"system", "local", cmd_system_local, "make a whole system on this machine"},
    {"evidence", "verify", cmd_evidence_verify, "check offline who is convicted of what"},
    {"successor", "new", cmd_successor_new, "say what a successor system goes on from, to be signed"},
    {"successor", "show", cmd_successor_show, "show such a statement, what it cuts off, who signed"},
    {"successor", "sign", cmd_successor_sign, "add an administrator's signature, offline"},
    {"successor", "leave", cmd_successor_leave, "show it to a node, which leaves the old system for good"},
    {"successor", "convict", cmd_successor_convict, "make evidence of two statements against who signed both"},
    {"config", "new", cmd_config_new, "make the next CONFIG of a cluster, to be signed"},
    {"config", "show", cmd_config_show, "show what a CONFIG changes"},
    {"config", "sign", cmd_config_sign, "add an administrator's signature, offline"},
    {"config", "observe", cmd_config_observe, "let the new nodes of a signed CONFIG catch up before it is submitted"},
    {"config", "submit", cmd_config_submit, "hand a signed CONFIG to its cluster"},
    {"config", "status", cmd_config_status, "which CONFIG is in force, proved"},
};

enum { TOOLS = sizeof tools / sizeof tools[0] };

static void usage(FILE *out) {
    fputs("usage: heraclius [-s SYSTEM] [--client KEYFILE] COMMAND ...    (COMMAND --help tells its options)\n\n", out);
    for (int i = 0; i < SUBCOMMANDS; i++) fprintf(out, "  %-7s %-14s %s\n", subcommands[i].name, subcommands[i].words, subcommands[i].what);
    fprintf(out, "  %-7s %-14s %s\n", "bench", "[--out DIR]", "measure reads and writes, verified");
    for (int i = 0; i < TOOLS; i++) fprintf(out, "  %-7s %-14s %s\n", tools[i].group, tools[i].name, tools[i].what);
    fputs(
        "\nexit: 0 done; 1 answered \"no\"; 2 usage or a bad file; 3 no verified answer in time; 4 refused; 5 done, but output or receipt not kept\n",
        out);
}

/* Words like -5 are numbers, not options: hidden from popt by a leading 0x01, which is taken off again. */
static const char *hide(const char *word) {
    if (word[0] != '-' || word[1] < '0' || word[1] > '9') return word;
    size_t bytes = strlen(word) + 2;
    char *hidden = malloc(bytes);
    if (!hidden) abort();
    snprintf(hidden, bytes, "\001%s", word);
    return hidden;
}

static const char *shown(const char *word) {
    return word && word[0] == '\001' ? word + 1 : word;
}

/* Index of the first word that is no option and no option's argument; argc if there is none. */
static int first_word(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') return i;
        if (command_option_takes_word(argv[i])) i++;
    }
    return argc;
}

static int run(const struct subcommand *subcommand, const char **words, int count) {
    struct command *command = &command_options;
    command->name = subcommand->name;
    command->words = words;
    command->words_count = count;
    if (count < subcommand->words_min || count > subcommand->words_max)
        return command_fail(EXIT_USAGE, "usage: heraclius %s %s (--help tells its options)", subcommand->name, subcommand->words);
    if (command->timeout_s < 1 || command->timeout_s > 86400) return command_fail(EXIT_USAGE, "--timeout is 1 to 86400 seconds");
    command->floor = shown(command->floor);
    for (int i = 0; i < count; i++) words[i] = shown(words[i]);
    return command_find_system(command) ? subcommand->run(command) : EXIT_USAGE;
}

/* Everything but the subcommand's own name goes through popt, so that options may stand anywhere. */
static int parse_and_run(const struct subcommand *subcommand, int argc, char **argv, int name_at) {
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    if (!rest) return EXIT_USAGE;
    int count = 0;
    for (int i = 0; i < argc; i++) {
        if (i != name_at) rest[count++] = hide(argv[i]);
    }
    struct poptOption own[COMMAND_OPTIONS_MAX];
    command_options_of(subcommand->bit, own);
    const struct poptOption options[] = {{NULL, 0, POPT_ARG_INCLUDE_TABLE, own, 0, "Options:", NULL}, POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext("heraclius", count, rest, options, 0);
    char other[64];
    snprintf(other, sizeof other, "%s %s", subcommand->name, subcommand->words);
    poptSetOtherOptionHelp(context, other);
    int found = poptGetNextOpt(context);
    if (found < -1)
        return command_fail(EXIT_USAGE, "%s: %s: %s (%s --help lists its options)", subcommand->name, poptBadOption(context, POPT_BADOPTION_NOALIAS),
                            poptStrerror(found), subcommand->name);
    static const char *none[1];
    const char **words = poptGetArgs(context);
    int words_count = 0;
    while (words && words[words_count]) words_count++;
    return run(subcommand, words ? words : none, words_count);
}

/* A tool takes the words behind its two names; options that stand before them come first. */
static int run_tool(int tool, int argc, char **argv, int at) {
    char name[64];
    char **words = calloc((size_t)argc + 1, sizeof *words);
    if (!words) return EXIT_USAGE;
    snprintf(name, sizeof name, "heraclius %s %s", tools[tool].group, tools[tool].name);
    int count = 0;
    words[count++] = name;
    for (int i = 1; i < argc; i++) {
        if (i != at && i != at + 1) words[count++] = argv[i];
    }
    int code = tools[tool].run(count, words);
    free(words);
    return code;
}

/* A group's name with another word behind it, or none, is told that group alone. */
static int unknown(const char *word, const char *next) {
    bool group = false;
    for (int i = 0; i < TOOLS; i++) group = group || strcmp(word, tools[i].group) == 0;
    if (!group) {
        usage(stderr);
        return command_fail(EXIT_USAGE, "unknown command '%s'", word);
    }
    for (int i = 0; i < TOOLS; i++) {
        if (strcmp(word, tools[i].group) == 0) fprintf(stderr, "  %-7s %-14s %s\n", tools[i].group, tools[i].name, tools[i].what);
    }
    if (next) return command_fail(EXIT_USAGE, "unknown command '%s %s'", word, next);
    return command_fail(EXIT_USAGE, "'%s' needs one more word, see above", word);
}

static int run_any(int argc, char **argv) {
    int at = first_word(argc, argv);
    bool version = argc == 2 && strcmp(argv[1], "--version") == 0;
    if (version) printf("heraclius %s\n", HERACLIUS_VERSION);
    if (version) return EXIT_DONE;
    if (at == argc) {
        bool asked = argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0);
        usage(asked ? stdout : stderr);
        return asked ? EXIT_DONE : EXIT_USAGE;
    }
    for (int i = 0; i < SUBCOMMANDS; i++) {
        if (strcmp(argv[at], subcommands[i].name) == 0) return parse_and_run(&subcommands[i], argc, argv, at);
    }
    if (strcmp(argv[at], "bench") == 0) return command_bench(argc, (const char **)argv);
    for (int i = 0; i < TOOLS; i++) {
        bool named = at + 1 < argc && strcmp(argv[at], tools[i].group) == 0 && strcmp(argv[at + 1], tools[i].name) == 0;
        if (named) return run_tool(i, argc, argv, at);
    }
    return unknown(argv[at], at + 1 < argc ? argv[at + 1] : NULL);
}

int main(int argc, char **argv) {
    command_output_watch();
    command_program = argv[0];
    return command_output_exit(run_any(argc, argv));
}
