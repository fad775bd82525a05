/*
 * Other admin consoles, which the configuration names (spec/appliance.md ): what they say of their nodes, for who looks at this one. Each is
 * asked GET /api/v1/nodes every ADMIN_PEER_EVERY_MS, over TLS, on a thread of its own, so a slow one holds up nobody; nothing else is ever asked, and
 * what it says of others is not asked for: words do not travel on.
 *
 * Who is asked has the certificate that was pinned, or nothing is said to it; it knows us by ours, the one that this console serves with, which its
 * own
 * configuration pins with the role view.
 *
 * What a console says is that console's word. It may lie: of its own node, of any other, of a cluster that is not there. So nothing of it goes into
 * what admin_clusters.h says of a cluster with a node of ours, into /readyz, /metrics or exposure; a cluster that only others tell of is never shown
 * as one that may lose a node, however many say so: whoever holds one console could say it for all. Less than a quorum told is shown in red, which
 * a liar can have, too; it says whose word it is. Where two consoles claim one member, neither counts.
 *
 * Limits: ADMIN_PEERS_MAX consoles, an answer of ADMIN_PEER_BYTES_MAX, ADMIN_PEER_NODES_MAX nodes of it, ADMIN_PEER_LINK_MS for all of it; each text
 * in
 * the form that S-11, C-6 and A-27 give it, or it is left out. One answer is read at a time: what JSON makes of it in memory is many times as much.
 * What is older than ADMIN_PEER_OLD_MS counts no more, and is shown with its age.
 */
#ifndef APPLIANCE_ADMIN_PEERS_H
#define APPLIANCE_ADMIN_PEERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "appliance/admin/admin_tls.h"

enum {
    ADMIN_PEERS_MAX = 16,
    ADMIN_PEER_TEXT_BYTES = 280, /* SHA256@HOST:PORT */
    ADMIN_PEER_EVERY_MS = 5000,
    ADMIN_PEER_LINK_MS = 10000,
    ADMIN_PEER_OLD_MS = 30000,
    ADMIN_PEER_HEAD_BYTES = 4096,
    ADMIN_PEER_BYTES_MAX = 128 << 10, /* with its head */
    ADMIN_PEER_NODES_MAX = 16,
    ADMIN_PEER_FAULT_BYTES = 320
};

/* ---- pure: admin_peers_read.c ---- */

struct admin_peer {
    char fingerprint[ADMIN_FINGERPRINT_TEXT + 1], where[ADMIN_PEER_TEXT_BYTES], host[256], port[8];
};
/* SHA256@HOST:PORT. */
bool admin_peer_parse(struct admin_peer *peer, const char *text) __attribute__((warn_unused_result));

/* What has come of an answer so far. WHOLE: *code, and a body of *count bytes at *body. BAD: it is none of HTTP/1.1 with a length. */
enum admin_peer_part { ADMIN_PEER_MORE, ADMIN_PEER_WHOLE, ADMIN_PEER_BAD };
enum admin_peer_part admin_peer_answer(const char *bytes, size_t used, unsigned *code, const char **body, size_t *count);

struct admin_peer_node {
    char name[33], cluster[8], phase[33]; /* phase "": it does not answer its console */
    uint32_t member, members;             /* members 0: none of a cluster */
    bool votes;
    uint64_t height, view, age_ms; /* age_ms: what its console says of its word */
};
struct admin_peer_told {
    size_t count;
    struct admin_peer_node nodes[ADMIN_PEER_NODES_MAX];
};
/* Of the body. False: no JSON of that form; then *told is nothing. */
bool admin_peer_read(struct admin_peer_told *told, const char *body, size_t count);

/* The clusters that those tell of, but for those that `own` (admin_clusters_json()) has: [{"cluster", "members", "quorum", "told_voting", "consoles",
 * "enough", "text"}] by name; a new reference. NULL in `told`: that console counts for nothing now. */
json_t *admin_peers_clusters(const struct admin_peer_told *const *told, size_t count, const json_t *own);

/* ---- admin_peers.c ---- */

struct admin_peers;

/* texts: SHA256@HOST:PORT each, at most ADMIN_PEERS_MAX; `tls` is what this console serves with. NULL: `why`. */
struct admin_peers *admin_peers_start(const char *const *texts, size_t count, const struct admin_tls *tls, char why[ADMIN_PEER_FAULT_BYTES])
    __attribute__((warn_unused_result));
/* {"peers": [...], "clusters": [...]}, as openapi.json has it; a new reference. NULL for `peers`: none. */
json_t *admin_peers_json(struct admin_peers *peers, const json_t *own_clusters);
void admin_peers_end(struct admin_peers *peers); /* NULL is fine */

/* ---- admin_peers_page.c ---- */

/* The section of the page; nothing without consoles. `seen`: admin_peers_json(). */
void admin_peers_draw(FILE *out, const json_t *seen);

#endif
