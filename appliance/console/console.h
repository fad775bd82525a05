/*
 * The commands of the serial console: what they ask of the node and of init, what they show, and what they have confirmed before it is done.
 * heraclius-console (console_main.c) is an unprivileged process: whatever changes something is asked of init, which knows who asks.
 *
 *   console_facts.c     what the two sockets say, as values; pure
 *   console_look.c      the one look and the verdict, console_views.c the other views; pure
 *   console_page.c      lines that fit the window; pure
 *   console_input.c     bytes of the line to keys, a pasted configuration; pure
 *   console_terminal.c  the line, with libedit
 *   console_config.c    the command "config paste"
 *   console.c           the commands; the two sockets are asked by status/ask.h
 */
#ifndef APPLIANCE_CONSOLE_H
#define APPLIANCE_CONSOLE_H

#include <stdbool.h>

#include "appliance/console/console_look.h"

enum { CONSOLE_CONFIRM_MS = 60000, CONSOLE_LOG_LINES_MAX = 5000, CONSOLE_CONFIG_BYTES_MAX = 8 << 20, CONSOLE_PASTE_IDLE_MS = 60000,
       CONSOLE_PASTE_END_MS = 2000 };

struct console {
    const char *node_path, *init_path, *admin_path; /* two sockets, a folder */
    struct console_facts facts; /* as they were at the last look */
};

/* init is still at its stages: what it would say of them is not known yet. */
bool console_starting(const struct console *console);
/* Asks both for their status. */
void console_look(struct console *console);
/* Runs one line. False: the line has ended meanwhile. */
bool console_run(struct console *console, const char *line);
/* Of commands and their words (terminal_candidate). */
const char *console_candidate(const char *line, unsigned word_index, unsigned i);
/* Has one status looked for completion: names of programs. */
void console_candidates_from(const struct console *console);

/* Sends a request to init and shows its answer: the text behind "ok", or why not. True: ok. */
bool console_init_do(const struct console *console, const char *request, int fd);
/* "config paste". False: the line has ended meanwhile. */
bool console_config_paste(struct console *console);

#endif
