/*
 * What nodes and init said last. Each is asked by a thread of its own, so one that hangs takes nothing along but that thread: whoever wants to know
 * is answered from what is kept, with its age, and waits only for one that has answered promptly so far.
 *
 *   admin_seen_want()   puts a question, to all or one; each thread asks what is wanted, in turn, once for all who wanted it meanwhile
 *   admin_seen_take()   what was said to it: waits until the time that want() gave for an answer to that very question; not at all for one that is
 *                       slow (ADMIN_PROMPT_MS), or has had a question for ADMIN_FRESH_MS already
 *
 * So a hang costs the listener's thread ADMIN_FRESH_MS once, until that node has answered promptly again. An answer is `current` until it is old
 * (ADMIN_SEEN_OLD_MS), or a later question, this one or the status, failed (admin_ask_text()'s times); what was said before is still there then. The
 * sampler wants each status every ADMIN_SAMPLE_MS, so a node that hangs is told of ADMIN_SAMPLE_MS + ASK_NODE_MS after it began to, at the latest.
 * For one that is slow nobody waits: so that it is shown as it is, and not as it was when somebody asked last, admin_seen_refresh() asks it again
 * what it was asked within ADMIN_ASKED_MS.
 *
 * Kept are the texts as they came, of the length that A-24 allows: what JSON makes of them in memory would be many times as much.
 */
#ifndef APPLIANCE_ADMIN_SEEN_H
#define APPLIANCE_ADMIN_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/admin/admin.h"

enum { ADMIN_FRESH_MS = 500, ADMIN_PROMPT_MS = 250, ADMIN_SEEN_ASKS = 4, ADMIN_ASKED_MS = 600000 };
/* A sample, and all that a node is asked by answers that take as long as they may. */
enum { ADMIN_SEEN_OLD_MS = 30000 };

struct admin_seen;

struct admin_said {
    char *text; /* malloc'd, ended by 0; NULL: nothing was ever said to that */
    size_t bytes;
    uint64_t age_ms;    /* since it came */
    uint64_t silent_ms; /* since anything came, or since the beginning */
    bool current;
};

/* `init_path` may be NULL. NULL: no memory, or no thread. nodes->count and its paths stay as they are. */
struct admin_seen *admin_seen_start(const struct admin_nodes *nodes, const char *init_path);
/* Waits for what is being asked. NULL is fine. */
void admin_seen_end(struct admin_seen *seen);

/* `ask`: a word of those that nodes are asked (admin.h). Until when to wait for the answers. All nodes; one. */
uint64_t admin_seen_want_all(struct admin_seen *seen, const char *ask);
uint64_t admin_seen_want(struct admin_seen *seen, size_t node, const char *ask);
void admin_seen_take(struct admin_seen *seen, size_t node, const char *ask, uint64_t until_ms, struct admin_said *said);
/* To be called every ADMIN_SAMPLE_MS. */
void admin_seen_refresh(struct admin_seen *seen);
/* Does the node answer, as far as is known without a question? */
bool admin_seen_answers(struct admin_seen *seen, size_t node);

/* The same of init: "status", "log trial 600" or "log trial before 60000", asked now. There must be an init. */
void admin_seen_init(struct admin_seen *seen, const char *question, struct admin_said *said);

#endif
