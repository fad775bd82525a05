/*
 * How the programs beside it ask the node (a stream, JSON lines: control.h) and init (packets: init/control.h) by their sockets: the console, the
 * admin, slots. Each question has a connection of its own and ends within a time, whatever the other side does; who asks never waits for longer.
 * A fault is a text for people that says what is the matter.
 */
#ifndef APPLIANCE_ASK_H
#define APPLIANCE_ASK_H

#include <stdbool.h>
#include <stddef.h>

enum {
    ASK_NODE_BYTES = 1 << 16,  /* the longest answer of a node: what JSON makes of it in memory is up to 90 times as much */
    ASK_INIT_BYTES = 1 << 17,  /* and of init: twice what it may say (init/control.h) */
    ASK_NODE_MS = 5500,        /* a node answers within 5 seconds: whoever asks waits so long, the admin console too */
    ASK_MS = 3000,             /* for a look at init */
    ASK_JUDGE_MS = 330000,     /* for what init has to have done: keys, a judgement, at most 300 s a release (init/slots.h) */
    ASK_FAULT_BYTES = 160
};

/* Sends `request` (a line with its line feed), takes one line. False: `fault`. `*count` is without the line feed. */
bool ask_node(const char *path, const char *request, char answer[ASK_NODE_BYTES], size_t *count, char fault[ASK_FAULT_BYTES])
    __attribute__((warn_unused_result));
/* Sends `request` as one packet, with the descriptor `fd` unless it is -1; takes one packet. */
bool ask_init(const char *path, const char *request, int fd, int wait_ms, char answer[ASK_INIT_BYTES], size_t *count,
                      char fault[ASK_FAULT_BYTES]) __attribute__((warn_unused_result));

#endif
