/* Which options there are, and which command has which: an option that a command would not heed is unknown to it. */
#include <string.h>

#include "client/command.h"
#include "client/upgrade.h"
#include "merkle/check.h"

struct command command_options = {.timeout_s = 10, .stall_s = 60, .at_once = 1, .wait_s = UPGRADE_WAIT_S, .away_s = UPGRADE_AWAY_S};

enum {
    WRITES_ONE = COMMAND_PUT | COMMAND_DEL | COMMAND_CAS | COMMAND_ADD,
    ONE = COMMAND_GET | WRITES_ONE,
    ASKS = ONE | COMMAND_BATCH | COMMAND_SETTLE | COMMAND_STATUS, /* a client of the system */
    ALL = ASKS | COMMAND_VERIFY | COMMAND_BENCH | COMMAND_BACKUP | COMMAND_UPGRADE,
};

static const struct {
    unsigned of; /* commands */
    struct poptOption option;
} options[] = {
    {COMMAND_PUT, {"if-absent", 0, POPT_ARG_NONE, &command_options.if_absent, 0, "only if the key is absent", NULL}},
    {COMMAND_ADD, {"floor", 0, POPT_ARG_STRING, &command_options.floor, 0, "not if a withdrawal would leave less than M", "M"}},
    {COMMAND_GET, {"file", 0, POPT_ARG_STRING, &command_options.file, 0, "write the value there, without a newline; - is stdout", "FILE"}},
    {COMMAND_PUT, {"file", 0, POPT_ARG_STRING, &command_options.file, 0, "read the value from there; - is stdin", "FILE"}},
    {ONE, {"receipt", 0, POPT_ARG_STRING, &command_options.receipt, 0, "keep the receipt; - is stdout", "FILE"}},
    {COMMAND_BATCH, {"atomic", 0, POPT_ARG_NONE, &command_options.atomic, 0, "all or nothing; keys of one shard", NULL}},
    {COMMAND_SETTLE, {"retry", 0, POPT_ARG_NONE, &command_options.retry, 0, "send unsettled writes again", NULL}},
    {COMMAND_SETTLE, {"cancel", 0, POPT_ARG_NONE, &command_options.cancel, 0, "cancel what has not happened", NULL}},
    {COMMAND_BACKUP, {"out", 0, POPT_ARG_STRING, &command_options.out, 0, "the folder; made if missing, gone on with if begun", "DIR"}},
    {COMMAND_BACKUP,
     {"cluster", 0, POPT_ARG_ARGV, &command_options.clusters, 0, "this cluster only, e.g. s0; may come again (default: all)", "NAME"}},
    {COMMAND_BACKUP,
     {"timeout", 0, POPT_ARG_INT, &command_options.stall_s, 0, "seconds without progress until it gives up (default 60)", "S"}},
    {COMMAND_UPGRADE,
     {"consoles", 0, POPT_ARG_STRING, &command_options.consoles, 0, "the consoles' certificates, and mine (docs/operating.md)", "FILE"}},
    {COMMAND_UPGRADE,
     {"key", 'k', POPT_ARG_STRING, &command_options.release_key, 0, "who may have signed it: 64 hex digits, or a file of 1 to 8 lines of them",
      "HEX|FILE"}},
    {COMMAND_UPGRADE, {"at-once", 0, POPT_ARG_INT, &command_options.at_once, 0, "nodes of a cluster at a time, 1 (default) to f", "N"}},
    {COMMAND_UPGRADE,
     {"wait", 0, POPT_ARG_INT, &command_options.wait_s, 0, "seconds for a node to vote again after its restart (default 900)", "S"}},
    {COMMAND_UPGRADE,
     {"away", 0, POPT_ARG_INT, &command_options.away_s, 0, "seconds to wait for nodes that are away at the beginning (default 300)", "S"}},
    {COMMAND_UPGRADE, {"again", 0, POPT_ARG_NONE, &command_options.again, 0, "also where a trial of it failed before", NULL}},
    {COMMAND_UPGRADE, {"dry-run", 0, POPT_ARG_NONE, &command_options.dry_run, 0, "look at all, say what would be done, and send nothing", NULL}},
    {ALL | COMMAND_CLIENT,
     {"system", 's', POPT_ARG_STRING, &command_options.system_path, 0, "the system file (default: $HERACLIUS_SYSTEM, or local/system.json)", "FILE"}},
    {ASKS | COMMAND_BENCH | COMMAND_CLIENT | COMMAND_BACKUP | COMMAND_UPGRADE,
     {"client", 0, POPT_ARG_STRING, &command_options.client_path, 0,
      "the client's key (default: $HERACLIUS_CLIENT, or client.key beside the system file)", "KEYFILE"}},
    {ASKS & ~COMMAND_STATUS, {"via", 0, POPT_ARG_STRING, &command_options.via, 0, "the coordinator node to try first", "NODE"}},
    {ASKS, {"predecessor", 0, POPT_ARG_STRING, &command_options.predecessor, 0, "after a succession: the system file before", "FILE"}},
    {ASKS, {"statement", 0, POPT_ARG_STRING, &command_options.statement, 0, "what its administrators signed", "FILE"}},
    {ASKS, {"chain", 0, POPT_ARG_STRING, &command_options.chain, 0, "who they were in the end: `chain` of a backup of it", "FILE"}},
    {ASKS | COMMAND_CLIENT, {"timeout", 0, POPT_ARG_INT, &command_options.timeout_s, 0, "seconds until it gives up (default 10)", "S"}},
    {ALL, {"json", 0, POPT_ARG_NONE, &command_options.json, 0, "print one JSON value", NULL}},
    {ONE | COMMAND_BATCH | COMMAND_VERIFY, {"hex", 0, POPT_ARG_NONE, &command_options.hex, 0, "keys and values are typed and printed in hex", NULL}},
};

enum { OPTIONS = sizeof options / sizeof options[0] };

void command_options_of(enum command_set command, struct poptOption out[COMMAND_OPTIONS_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < OPTIONS; i++) {
        CHECK(count < COMMAND_OPTIONS_MAX - 1);
        if (options[i].of & command) out[count++] = options[i].option;
    }
    out[count] = (struct poptOption)POPT_TABLEEND;
}

bool command_option_takes_word(const char *word) {
    if (strcmp(word, "-s") == 0 || strcmp(word, "-k") == 0) return true;
    for (size_t i = 0; i < OPTIONS && word[0] == '-' && word[1] == '-'; i++) {
        if ((options[i].option.argInfo & POPT_ARG_MASK) != POPT_ARG_NONE && strcmp(word + 2, options[i].option.longName) == 0) return true;
    }
    return false;
}
