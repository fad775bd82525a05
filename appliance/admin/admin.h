/*
 * heraclius-admin: what a node tells on its control socket, over HTTP on loopback. Unprivileged: it holds no key and reads no data; a flaw in HTTP
 * never
 * reaches a signing key. One process may front all nodes of a host.
 *
 *   GET /livez    200 while this process serves
 *   GET /readyz   200 if every node is ready, else 503; a line per node
 *   GET /status   JSON: {"nodes": [each node's status, or {"socket", "error"}]}
 *   GET /metrics  Prometheus text, each sample labelled with its node
 *
 * A node is called what whoever started this program calls it, whatever it says itself: a node that calls itself another's name takes nobody's place.
 *
 * Limits: ADMIN_SOCKETS_MAX nodes; a node that does not answer in ASK_NODE_MS counts as down, and so it does for ADMIN_SILENT_MS without being asked
 * again; a request waits ADMIN_FRESH_MS for it once (admin_seen.h); ADMIN_CONNECTIONS_MAX at a time; GET and HEAD only.
 */
#ifndef APPLIANCE_ADMIN_H
#define APPLIANCE_ADMIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { ADMIN_INIT_MS = 1000, ADMIN_INIT_KEPT_MS = 35000 }; /* to wait for init; how old what it said may be */
enum { ADMIN_SOCKETS_MAX = 256, ADMIN_SILENT_MS = 10000, ADMIN_METRICS_BYTES_MAX = 256 << 10, ADMIN_CONNECTIONS_MAX = 256 };
enum { ADMIN_NAME_BYTES = 64, ADMIN_FAMILIES_MAX = 256, ADMIN_METRICS_MAX = 8192 }; /* of the metrics of one node */

struct admin_nodes {
    const char *paths[ADMIN_SOCKETS_MAX];
    char names[ADMIN_SOCKETS_MAX][ADMIN_NAME_BYTES]; /* "": its path */
    size_t count;
    struct admin_seen *seen; /* what they said last, and who asks them (admin_seen.h); NULL: whoever wants to know asks, and waits */
};

/* Adds "[NAME=]PATH", which stays the caller's. Without a name it is that of the folder if PATH ends in /control.sock, else PATH itself. False:
 * there are ADMIN_SOCKETS_MAX, the name is none (letters, digits, . _ -), or another has it. */
bool admin_nodes_add(struct admin_nodes *nodes, const char *word) __attribute__((warn_unused_result));
const char *admin_nodes_name(const struct admin_nodes *nodes, size_t node);

/* What is neither printable ASCII nor a tab or line feed becomes '?': such bytes, or a text that was cut within a letter, would be no JSON. */
void admin_plain(char *text);

/* Asks one node with a whole request, its line feed included, and waits; the line that it says, malloc'd; NULL: no answer. Any thread. */
char *admin_ask_line(const char *path, const char *line, size_t *bytes);
/* The same with "status", "ready", "metrics", "evidence"; and as JSON, a new reference. */
char *admin_ask_text(const char *path, const char *ask, size_t *bytes);
json_t *admin_ask(const char *path, const char *ask);
/* What a node says, or said a moment ago: an object in which "node" is the name that is known here; "says" is what it calls itself, if that is
 * another. NULL: it does not answer. */
json_t *admin_nodes_ask(const struct admin_nodes *nodes, size_t node, const char *ask);
/* The same of each: an array, null for one that does not answer; a new reference. */
json_t *admin_answers(const struct admin_nodes *nodes, const char *ask);
/* Of each node its status, with its "age_ms", or {"node", "socket", "error", "silent_ms"}, and in "last" what its status was, if it said one; a new
 * reference. */
json_t *admin_statuses(const struct admin_nodes *nodes);

/* The bodies; malloc'd text that the caller frees. *good: /readyz only. */
char *admin_status_text(const struct admin_nodes *nodes);
char *admin_metrics_text(const struct admin_nodes *nodes);
/* Begins a sample: METRIC{node="NODE", without the brace's end. */
void admin_metric_begin(FILE *out, const char *metric, const char *node);
char *admin_ready_text(const struct admin_nodes *nodes, bool *good);

#endif
