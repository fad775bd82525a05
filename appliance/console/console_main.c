/*
 * heraclius-console: a node's serial console on standard input and output. It needs no network and no node: what it cannot learn it says, with the
 * reason. It ends when its line is hung up; init begins it anew.
 */
#include <popt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "appliance/console/console.h"
#include "appliance/console/console_terminal.h"
#include "ring/clock.h"

enum { START_TURNS = 80, START_US = 250000 }; /* init is still at its stages: for so long the first look waits for them */
enum { AGAIN_MS = 500 }; /* empty lines closer together than this are one: a stuck key asks for one look, not for hundreds */

static void talk(struct console *console) {
    char prompt[FACT_NAME_BYTES + 4];
    const char *line;
    for (unsigned turn = 0; turn < START_TURNS && console_starting(console); turn++) (void)usleep(START_US);
    uint64_t looked_ms = ring_clock_ms();
    bool alive = console_run(console, "");
    while (alive) {
        const char *name = console->facts.node.node;
        snprintf(prompt, sizeof prompt, "%s> ", name[0] ? name : "heraclius");
        console_candidates_from(console);
        enum terminal_event event = console_terminal_line(prompt, 0, true, &line);
        if (event == TERMINAL_ENDED) return;
        uint64_t noise = console_terminal_noise(), lost = console_terminal_lost();
        if (noise) console_terminal_say("(%llu bytes that no terminal sends were dropped)\n", (unsigned long long)noise);
        if (lost) console_terminal_say("(%llu bytes were not shown: nobody took them)\n", (unsigned long long)lost);
        if (event != TERMINAL_LINE) continue;
        bool empty = line[strspn(line, " ")] == '\0';
        if (empty && ring_clock_ms() - looked_ms < AGAIN_MS) continue;
        alive = console_run(console, line);
        if (empty) looked_ms = ring_clock_ms();
    }
}

int main(int argc, const char **argv) {
    static struct console console = {.node_path = "/run/node/control.sock", .init_path = "/run/init/control.sock", .admin_path = "/run/admin"};
    const struct poptOption options[] = {
        {"node", 'n', POPT_ARG_STRING | POPT_ARGFLAG_SHOW_DEFAULT, &console.node_path, 0, "the node's control socket", "PATH"},
        {"init", 'i', POPT_ARG_STRING | POPT_ARGFLAG_SHOW_DEFAULT, &console.init_path, 0, "init's control socket", "PATH"},
        {"admin", 'a', POPT_ARG_STRING | POPT_ARGFLAG_SHOW_DEFAULT, &console.admin_path, 0, "where the admin console shows its pairing code", "DIR"},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    poptContext context = poptGetContext("heraclius-console", argc, argv, options, 0);
    int parsed = poptGetNextOpt(context);
    if (parsed < -1 || poptPeekArg(context)) {
        (void)fprintf(stderr, "heraclius-console: %s: %s\n", parsed < -1 ? poptBadOption(context, 0) : poptPeekArg(context),
                      parsed < -1 ? poptStrerror(parsed) : "not understood");
        poptFreeContext(context);
        return 2;
    }
    if (!console_terminal_start(console_candidate)) {
        console_terminal_end();
        (void)fprintf(stderr, "heraclius-console: the line editor cannot be started\n");
        poptFreeContext(context);
        return 1;
    }
    talk(&console);
    console_terminal_end();
    poptFreeContext(context); /* the paths may lie in it */
    return 0;
}
