/*
 * The Unix control socket: how unprivileged processes on this host (heraclius-admin, the console, tests) ask a node about itself.
 *
 * Protocol: JSON lines. A request is one line, an object with "ask"; the answer is one line, an object.
 *   {"ask":"status"}    what /status shows
 *   {"ask":"metrics"}   {"metrics":[{"name","type","help","labels":{},"value"}, ...]}
 *   {"ask":"ready"}     {"ready":true|false,"phase":"..."}
 *   {"ask":"evidence"}  {"evidence":[{"file","bytes"}, ...]}: the files of evidence that are kept, at most CONTROL_EVIDENCE_MAX;
 *                       with "file":NAME,"from":OFFSET  {"file","bytes","from","hex"}: at most CONTROL_PIECE_BYTES of that file
 *   {"ask":"decide"}    {"voted":true|false}; if not: this node asks its cluster for one decision, as soon as it may vote
 *   anything else       {"error":"..."}
 * Nothing else can be changed through it. A line is at most CONTROL_REQUEST_BYTES_MAX; at most CONTROL_CONNECTIONS_MAX connections, further ones are
 * closed; one that
 * is silent for CONTROL_IDLE_MS is closed. The socket's mode is 0660.
 *
 * A thread of its own, which shares nothing with the node but the snapshot that one callback copies out, and the wish that the other takes.
 */
#ifndef APPLIANCE_CONTROL_H
#define APPLIANCE_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "appliance/status/status.h"

enum { CONTROL_REQUEST_BYTES_MAX = 4096, CONTROL_CONNECTIONS_MAX = 16, CONTROL_IDLE_MS = 60000, CONTROL_TEXT_BYTES = 300 };
enum { CONTROL_EVIDENCE_MAX = 256, CONTROL_EVIDENCE_NAME_MAX = 128, CONTROL_PIECE_BYTES = 24 << 10 }; /* an answer has at most 64 KiB */

struct control;

/* Copies the newest snapshot; called on the control thread. */
typedef void control_snapshot(void *context, struct status_node *status);
/* Takes the wish for one decision; called on the control thread. */
typedef void control_decide(void *context);

/* Makes the socket (a stale one of a dead process is replaced, a live one is refused) and starts the thread. NULL: `text` is one line that says
 * what to do. */
struct control *control_start(const char *path, control_snapshot *snapshot, control_decide *decide, void *context, char text[CONTROL_TEXT_BYTES])
    __attribute__((warn_unused_result));
/* Ends the thread, removes the socket. NULL will do. */
void control_stop(struct control *control);

/* The documents, new references. data: the node's data folder, or NULL. */
json_t *control_status_json(const struct status_node *status);
json_t *control_metrics_json(const struct status_node *status);
json_t *control_evidence_json(const char *data);
/* A piece of one file, or {"error"}. */
json_t *control_evidence_piece_json(const char *data, const char *name, json_int_t from);
/* Can it be the name of a file of evidence? 1 to CONTROL_EVIDENCE_NAME_MAX of A-Z a-z 0-9 _ . -, no "." first, no ".new" last (not whole yet). */
bool control_evidence_named(const char *name);

#endif
