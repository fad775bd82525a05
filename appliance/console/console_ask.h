/*
 * How the console asks the node (a stream, JSON lines) and init (packets) by their sockets. Each question has a connection of its own and ends within
 * a time, whatever the other side does; the console never waits for longer. A fault is a text for people that says what is the matter.
 */
#ifndef APPLIANCE_CONSOLE_ASK_H
#define APPLIANCE_CONSOLE_ASK_H

#include <stdbool.h>
#include <stddef.h>

enum {
    ASK_NODE_BYTES = 1 << 20,  /* the longest answer of a node */
    ASK_INIT_BYTES = 1 << 17,  /* and of init: twice what it may say (init/control.h) */
    ASK_MS = 3000,             /* for a look */
    ASK_JUDGE_MS = 60000,      /* for what init has to have judged, or keys made for */
    ASK_FAULT_BYTES = 160
};

/* Sends `request` (a line with its line feed), takes one line. False: `fault`. `*count` is without the line feed. */
bool console_ask_node(const char *path, const char *request, char answer[ASK_NODE_BYTES], size_t *count, char fault[ASK_FAULT_BYTES])
    __attribute__((warn_unused_result));
/* Sends `request` as one packet, with the descriptor `fd` unless it is -1; takes one packet. */
bool console_ask_init(const char *path, const char *request, int fd, int wait_ms, char answer[ASK_INIT_BYTES], size_t *count,
                      char fault[ASK_FAULT_BYTES]) __attribute__((warn_unused_result));
/* A file of one line of digits and lower-case letters in `folder`; "": it is not there, or is something else. */
void console_ask_file(const char *folder, const char *name, char *out, size_t size);

#endif
