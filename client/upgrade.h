/*
 * The inside of `heraclius upgrade`: a release of the appliance's image, brought to the nodes of a system by their admin consoles
 * (spec/appliance.md 9.6, 9.7).
 *
 *   cmd_upgrade.c      what is asked for: the release verified, the consoles' file, who there is; then the roll, and what is said at the end
 *   upgrade_begin.c    may it begin? Who is away is waited for, so long; whoever cannot have the release ends it before anything is sent
 *   upgrade_roll.c     the roll: who is next, when nobody may be, what becomes of a node that was handed the release
 *   upgrade_state.c    pure: what a console's answer says, and whether the members of a cluster are well
 *   upgrade_console.c  one request to a console, and its answer; over upgrade_tls.h
 *
 * Whom it trusts
 *   A console is recognised by the SHA-256 of its certificate, before a request leaves; it knows its client by the client's certificate, since a
 *   session that was paired by code ends with the machine's restart. What it says is of its own node, and a node may lie: so a lie costs what that
 *   node's fault costs anyhow. Whether nodes vote is not asked of consoles but over the client's own links, whose statements the nodes sign.
 *   Texts of consoles are bounded, and cleared of what a terminal would act on, before they are shown.
 *
 * The rule
 *   A node is handed a release only while all other members of its cluster vote and have caught up, but for fewer than --at-once that are under way
 *   themselves; and it is started again only while that holds, asked anew: taking the release in may take minutes, and it is the restart that costs a
 *   fault. It is under way until its console says that the release runs and is blessed, and it votes and has caught up by its own signed word.
 *   The leader of a cluster is last: then the members change views once for all restarts of leaders, not up to once per node.
 *
 * Nothing is kept between two runs: where each node stands is asked of its console.
 */
#ifndef CLIENT_UPGRADE_H
#define CLIENT_UPGRADE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/command.h"
#include "protocol/addresses.h"
#include "protocol/release.h"

enum {
    UPGRADE_TEXT_BYTES = 320,
    UPGRADE_NAME_BYTES = 40,
    UPGRADE_NODES_MAX = 1024,
    UPGRADE_ANSWER_BYTES_MAX = 65536, /* of a console */
    UPGRADE_PATH_BYTES = 4096,
    UPGRADE_LOOK_MS = 500,         /* between two looks at what is under way */
    UPGRADE_ASK_MS = 20000,        /* for an answer that takes a console 8 s when a node and init do not answer it */
    UPGRADE_HAND_OVER_MS = 960000, /* 600 s to take it in, 330 s to check and write it */
    UPGRADE_STALL_MS = 345000,     /* without a byte either way; it takes a console 330 s at most to answer a release */
    UPGRADE_VOTES_MS = 3000,       /* for the nodes' own statements */
    UPGRADE_WELL_MS = 60000,       /* so long the others may take to vote again, and catch up, before a further node */
    UPGRADE_ORDER_AGAIN_MS = 20000,
    UPGRADE_ORDERS_MAX = 3,
    UPGRADE_WAIT_S = 900, /* by default, from the restart to the vote: twice a start, and 300 s of trial */
    UPGRADE_AWAY_S = 300, /* by default, at the beginning for a node that is away: one start, of a server that takes minutes for it */
    UPGRADE_AWAY_LOOK_MS = 1000,
};

/* ---- upgrade_state.c ---- */

enum upgrade_slot { UPGRADE_EMPTY, UPGRADE_BLESSED, UPGRADE_TRIAL, UPGRADE_UNTRIED, UPGRADE_GIVEN_UP };

/* GET /api/v1/upgrade. */
struct upgrade_state {
    uint64_t number; /* of the image that runs */
    enum upgrade_slot running, other; /* running UPGRADE_EMPTY: there are no slots */
    uint64_t other_number;
    char node[UPGRADE_NAME_BYTES], architecture[16]; /* "": not told */
    char why[UPGRADE_TEXT_BYTES];                    /* there are no slots */
    char trial[UPGRADE_TEXT_BYTES];                  /* what the trial waits for */
};

/* False: it is no such answer. */
bool upgrade_state_read(struct upgrade_state *state, const json_t *answer);

enum upgrade_place {
    UPGRADE_TO_DO,   /* runs a lower number, blessed */
    UPGRADE_WRITTEN, /* and has the release in its other slot, to be started */
    UPGRADE_ON_TRIAL,
    UPGRADE_DONE,
    UPGRADE_FELL_BACK, /* runs a lower number, and has given the release up */
    UPGRADE_BUSY,      /* another image is on trial there */
    UPGRADE_NEWER,
    UPGRADE_NO_SLOTS,
};
/* Where a node stands on the way to this number. */
enum upgrade_place upgrade_place_of(const struct upgrade_state *state, uint64_t number);

/* Does this node vote, and is it not behind? `why`: what it does instead. */
struct heraclius_node_status;
struct command_cluster;
bool upgrade_well(const struct heraclius_node_status *node, const struct command_cluster *cluster, char why[UPGRADE_TEXT_BYTES]);

/* A text of a stranger's, shortened, with '?' for all that is not printable ASCII. */
void upgrade_text(char *out, size_t out_bytes, const char *text);

/* ---- upgrade_console.c ---- */

struct upgrade_console {
    struct address_endpoint endpoint;
    uint8_t pin[32];               /* SHA-256 of its certificate */
    const char *certificate, *key; /* of this client: PEM files */
};

enum upgrade_said {
    UPGRADE_SAID, /* 200 */
    UPGRADE_REFUSED, /* another answer */
    UPGRADE_SILENT,  /* none */
    UPGRADE_STRANGER, /* it is not the one whose certificate is pinned: nothing was said to it */
};

/* From now on ctrl-C ends an exchange that is under way, and upgrade_broken_off() tells; the second one ends the program. */
void upgrade_interrupts_take(void);
bool upgrade_broken_off(void);

/* Each is one connection of its own. `why` says what is wrong if not UPGRADE_SAID. */
enum upgrade_said upgrade_console_state(struct upgrade_console *console, struct upgrade_state *state, char why[UPGRADE_TEXT_BYTES]);
enum upgrade_said upgrade_console_hand_over(struct upgrade_console *console, const uint8_t *release, size_t bytes, char why[UPGRADE_TEXT_BYTES]);
enum upgrade_said upgrade_console_reboot(struct upgrade_console *console, char why[UPGRADE_TEXT_BYTES]);

/* ---- upgrade_begin.c, upgrade_roll.c ---- */

enum upgrade_phase { UPGRADE_WAITS, UPGRADE_UNDER_WAY, UPGRADE_OVER };

struct upgrade_node {
    char name[UPGRADE_NAME_BYTES];
    uint32_t cluster, member;
    struct upgrade_console console;
    struct upgrade_state state;
    enum upgrade_phase phase;
    bool skipped;    /* ran the number before */
    bool other_kind; /* of another architecture: the release is not for it */
    bool handed;     /* it took the release from this roll */
    uint64_t number_before, begun_ms, over_ms, ordered_ms;
    uint64_t held_ms; /* since when it has the release and is not started again, because others do not vote; 0: it is not held */
    uint32_t orders;
    char said[UPGRADE_TEXT_BYTES]; /* the last progress of it */
    char why[UPGRADE_TEXT_BYTES];  /* at the beginning: why it cannot have the release; "": it can */
};

struct upgrade_roll {
    const struct command *command;
    struct heraclius *db;
    struct release release;
    struct command_bytes file;
    struct upgrade_node *nodes; /* by cluster, then member */
    size_t count;
    char stopped[2 * UPGRADE_TEXT_BYTES]; /* why it went no further; "": it did not stop */
    /* What the nodes state, at the last upgrade_votes_ask() */
    const struct heraclius_node_status *statuses;
    size_t statuses_count;
};

/* Asks the nodes; valid until the next time. */
void upgrade_votes_ask(struct upgrade_roll *roll);
/* Each node's member number as the nodes state it now. */
void upgrade_members_take(struct upgrade_roll *roll);
/* Whose status it is; NULL: of none that is rolled. */
struct upgrade_node *upgrade_node_of(const struct upgrade_roll *roll, const struct heraclius_node_status *status);
/* Sees to the client meanwhile, and ends early when upgrade_broken_off(). */
void upgrade_pause(const struct upgrade_roll *roll, uint32_t for_ms);
/* Asks each console and all members, and again while somebody is away, for --away seconds at most. EXIT_DONE: each node can have the release, has it,
 * or is left out, and all others of their clusters vote. Else the exit code, after lines that name who stands in the way: nothing was sent. */
int upgrade_begin(struct upgrade_roll *roll);
/* A line of progress: on standard output, with --json on standard error. */
void upgrade_say(const struct upgrade_roll *roll, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Each node's state was read, and each cluster found well. The exit code; why it went no further is in `stopped`. */
int upgrade_run(struct upgrade_roll *roll);
/* Who would be next of this cluster: the leader last; NULL: nobody waits there. */
struct upgrade_node *upgrade_next(struct upgrade_roll *roll, uint32_t cluster);

#endif
