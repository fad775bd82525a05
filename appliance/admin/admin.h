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
 * Limits: ADMIN_SOCKETS_MAX nodes; a node that does not answer in ADMIN_ANSWER_MS counts as down; ADMIN_CONNECTIONS_MAX at a time; GET and HEAD only.
 */
#ifndef APPLIANCE_ADMIN_H
#define APPLIANCE_ADMIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { ADMIN_SOCKETS_MAX = 256, ADMIN_ANSWER_MS = 1000, ADMIN_ANSWER_BYTES_MAX = 4 << 20, ADMIN_CONNECTIONS_MAX = 256 };

struct admin_nodes {
    const char *paths[ADMIN_SOCKETS_MAX];
    size_t count;
};

/* Asks one node; a new reference, NULL: no answer. ask: "status", "metrics", "ready". */
json_t *admin_ask(const char *path, const char *ask);

/* The bodies; malloc'd text that the caller frees. *good: /readyz only. */
char *admin_status_text(const struct admin_nodes *nodes);
char *admin_metrics_text(const struct admin_nodes *nodes);
char *admin_ready_text(const struct admin_nodes *nodes, bool *good);

#endif
