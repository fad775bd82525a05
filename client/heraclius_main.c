/* heraclius: the command. Finds the subcommand, reads its options, runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd_system.h"
#include "client/command.h"

struct command command_options = {.timeout_s = 10};

struct poptOption command_common_options[] = {
    {"system", 's', POPT_ARG_STRING, &command_options.system_path, 0, "the system file (default: $HERACLIUS_SYSTEM, or local/system.json)", "FILE"},
    {"client", 0, POPT_ARG_STRING, &command_options.client_path, 0,
     "the client's key (default: $HERACLIUS_CLIENT, or client.key beside the system file)", "KEYFILE"},
    {"via", 0, POPT_ARG_STRING, &command_options.via, 0, "the coordinator node to try first", "NODE"},
    {"timeout", 0, POPT_ARG_INT, &command_options.timeout_s, 0, "seconds until it gives up (default 10)", "S"},
    {"json", 0, POPT_ARG_NONE, &command_options.json, 0, "print one JSON value", NULL},
    {"hex", 0, POPT_ARG_NONE, &command_options.hex, 0, "keys and values are typed and printed in hex", NULL},
    POPT_TABLEEND};

static struct poptOption data_options[] = {
    {"if-absent", 0, POPT_ARG_NONE, &command_options.if_absent, 0, "put: only if the key is absent", NULL},
    {"floor", 0, POPT_ARG_STRING, &command_options.floor, 0, "add: not if a withdrawal would leave less than M", "M"},
    {"file", 0, POPT_ARG_STRING, &command_options.file, 0, "get: write the value there; put: read it from there; - is stdout, stdin", "FILE"},
    {"receipt", 0, POPT_ARG_STRING, &command_options.receipt, 0, "keep the receipt", "FILE"},
    {"atomic", 0, POPT_ARG_NONE, &command_options.atomic, 0, "batch: all or nothing; keys of one shard", NULL},
    {"retry", 0, POPT_ARG_NONE, &command_options.retry, 0, "settle: send unsettled writes again", NULL},
    {"cancel", 0, POPT_ARG_NONE, &command_options.cancel, 0, "settle: cancel what has not happened", NULL},
    {NULL, 0, POPT_ARG_INCLUDE_TABLE, command_common_options, 0, "Everywhere:", NULL},
    POPT_AUTOHELP POPT_TABLEEND};

static const struct subcommand {
    const char *name;
    const char *words;
    int words_min, words_max;
    command_function *run;
    const char *what;
} subcommands[] = {
    {"get", "KEY", 1, 1, command_get, "read a value"},
    {"put", "KEY VALUE", 1, 2, command_put, "write a value"},
    {"del", "KEY", 1, 1, command_del, "delete a key"},
    {"cas", "KEY OLD NEW", 3, 3, command_cas, "write NEW if the value is OLD"},
    {"add", "KEY N", 2, 2, command_add, "add N to a number, print the sum"},
    {"batch", "FILE", 1, 1, command_batch, "a list of operations, one a line"},
    {"settle", "", 0, 0, command_settle, "writes whose outcome is unknown"},
    {"verify", "FILE", 1, 1, command_verify, "check a receipt offline"},
    {"status", "", 0, 0, command_status, "clusters, nodes, leaders, how many may fail"},
};

enum { SUBCOMMANDS = sizeof subcommands / sizeof subcommands[0] };

static const struct {
    const char *group, *name;
    int (*run)(int argc, char **argv);
    const char *what;
} tools[] = {
    {"node", "enroll", cmd_node_enroll, "make a node's keys and card"},
    {"client", "enroll", cmd_client_enroll, "make a client's keys and card"},
    {"admin", "enroll", cmd_admin_enroll, "make an administrator's key and card"},
    {"system", "assemble", cmd_system_assemble, "make a system file from cards"},
    {"system", "init", cmd_system_init, "make a node's data directory from it"},
    {"system", "show", cmd_system_show, "show a system file"},
    {"system", "local", cmd_system_local, "make a whole system on this machine"},
    {"evidence", "verify", cmd_evidence_verify, "check offline who is convicted of what"},
};

enum { TOOLS = sizeof tools / sizeof tools[0] };

static void usage(FILE *out) {
    fputs("usage: heraclius [-s SYSTEM] [--client KEYFILE] COMMAND ...    (COMMAND --help tells its options)\n\n", out);
    for (int i = 0; i < SUBCOMMANDS; i++) fprintf(out, "  %-7s %-14s %s\n", subcommands[i].name, subcommands[i].words, subcommands[i].what);
    fprintf(out, "  %-7s %-14s %s\n", "bench", "--out DIR", "measure reads and writes, verified");
    for (int i = 0; i < TOOLS; i++) fprintf(out, "  %-7s %-14s %s\n", tools[i].group, tools[i].name, tools[i].what);
    fputs("\nexit: 0 done; 1 answered \"no\"; 2 usage or a bad file; 3 no verified answer in time; 4 refused\n", out);
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
    static const char *const with_argument[] = {"-s", "--system", "--client", "--via", "--timeout"};
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') return i;
        for (size_t k = 0; k < sizeof with_argument / sizeof with_argument[0]; k++) {
            if (strcmp(argv[i], with_argument[k]) == 0) {
                i++;
                break;
            }
        }
    }
    return argc;
}

static int run(const struct subcommand *subcommand, const char *program, const char **words, int count) {
    struct command *command = &command_options;
    command->name = subcommand->name;
    command->words = words;
    command->words_count = count;
    if (count < subcommand->words_min || count > subcommand->words_max)
        return command_fail(EXIT_USAGE, "usage: heraclius %s %s (--help tells its options)", subcommand->name, subcommand->words);
    if (command->timeout_s < 1 || command->timeout_s > 86400) return command_fail(EXIT_USAGE, "--timeout is 1 to 86400 seconds");
    command->floor = shown(command->floor);
    for (int i = 0; i < count; i++) words[i] = shown(words[i]);
    return command_find_system(command, program) ? subcommand->run(command) : EXIT_USAGE;
}

/* Everything but the subcommand's own name goes through popt, so that options may stand anywhere. */
static int parse_and_run(const struct subcommand *subcommand, int argc, char **argv, int name_at) {
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    if (!rest) return EXIT_USAGE;
    int count = 0;
    for (int i = 0; i < argc; i++) {
        if (i != name_at) rest[count++] = hide(argv[i]);
    }
    poptContext context = poptGetContext("heraclius", count, rest, data_options, 0);
    char other[64];
    snprintf(other, sizeof other, "%s %s", subcommand->name, subcommand->words);
    poptSetOtherOptionHelp(context, other);
    int found = poptGetNextOpt(context);
    if (found < -1)
        return command_fail(EXIT_USAGE, "%s: %s (--help tells more)", poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(found));
    static const char *none[1];
    const char **words = poptGetArgs(context);
    int words_count = 0;
    while (words && words[words_count]) words_count++;
    return run(subcommand, argv[0], words ? words : none, words_count);
}

int main(int argc, char **argv) {
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
        if (strcmp(argv[at], tools[i].group) != 0 || at + 1 >= argc || strcmp(argv[at + 1], tools[i].name) != 0) continue;
        char name[64];
        snprintf(name, sizeof name, "heraclius %s %s", tools[i].group, tools[i].name);
        argv[at + 1] = name;
        return tools[i].run(argc - at - 1, argv + at + 1);
    }
    usage(stderr);
    return command_fail(EXIT_USAGE, "unknown command '%s'", argv[at]);
}
