/*
 * What the console knows of this machine: the answers of the node's control socket (JSON, appliance/status/control.h) and of init's (lines
 * name=value, init/control.h), read into plain values. Pure. Both answers are taken to be hostile: another team's node may run here, and a node may
 * be broken. Every text is cut to its place, and what is no printable ASCII becomes '?'.
 *
 * Of a node's "status" the console needs: node, cluster, phase (texts), ready (true or false), member, members, faults, view, leader, height
 * (numbers). What else it shows is left out when it is not there: system, epoch, prepared_height, executed_height, checkpoint_height, state_root,
 * state_root_height, retired_by, members_seen[{member, name, up, votes, height, view}], links_up, pairs[{cluster, consumed, sent, acknowledged,
 * held}], decisions, view_changes, commit_us{p50, p99}, evidence, attacks{name: count}, attackers[{attack, peer, count}], dropped{name: count},
 * wal{bytes, map_bytes}, scrub{found, repaired}, resident_bytes, resident_file_bytes, memory_limit_bytes, memory_budget_total_bytes,
 * clock_difference_ms, uptime_ms.
 *
 * Of init's "status": stage.NAME, program.NAME, image_version, image_hash, slot, slot_state, slot_next, slot.1, slot.2, slots, uptime_ms, clock,
 * disk, disk_bytes, disk_free, config_number, config_text, config_refused, net.NAME, watchdog, secure_boot.
 */
#ifndef APPLIANCE_CONSOLE_FACTS_H
#define APPLIANCE_CONSOLE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FACT_NAME_BYTES = 48,
    FACT_TEXT_BYTES = 240,
    FACT_MEMBERS_MAX = 16,
    FACT_PAIRS_MAX = 16,  /* of which are shown */
    FACT_COUNTS_MAX = 16, /* of each kind */
    FACT_LINES_MAX = 16   /* stages, programs, links */
};

struct console_count {
    char name[FACT_NAME_BYTES], who[FACT_NAME_BYTES];
    uint64_t value;
};

struct console_member {
    char name[FACT_NAME_BYTES]; /* "": not told */
    bool up;
    enum console_vote { CONSOLE_VOTE_UNKNOWN, CONSOLE_VOTE_NO, CONSOLE_VOTE_YES } votes; /* */
    uint64_t height, view;
};

struct console_pair {
    char cluster[FACT_NAME_BYTES];
    uint64_t consumed, sent, acknowledged, held;
};

struct console_node {
    char fault[FACT_TEXT_BYTES]; /* why nothing is known; "": it answered, and what is needed is there */
    char node[FACT_NAME_BYTES], system[FACT_NAME_BYTES], cluster[FACT_NAME_BYTES], phase[FACT_NAME_BYTES];
    char retired_by[FACT_NAME_BYTES]; /* why it is retired: a word of A-28, or what another program says; "" */
    bool ready;
    uint32_t member, members, faults; /* 1 <= members <= FACT_MEMBERS_MAX, member and faults below it */
    uint64_t leader, epoch, view, height, prepared, executed, checkpoint, root_height;
    char root[65]; /* of the state after root_height; "" */
    struct console_member seen[FACT_MEMBERS_MAX]; /* by member; one of which nothing was said is not up */
    uint64_t links_up, pairs_count;           /* pairs_count may be more than are kept */
    struct console_pair pairs[FACT_PAIRS_MAX];
    uint64_t decisions, view_changes, commit_p50_us, commit_p99_us, evidence;
    struct console_count attacks[FACT_COUNTS_MAX], attackers[FACT_COUNTS_MAX], dropped[FACT_COUNTS_MAX];
    uint32_t attacks_count, attackers_count, dropped_count;
    uint64_t wal_bytes, wal_map_bytes, scrub_found, scrub_repaired, resident_bytes, resident_file_bytes, memory_limit_bytes, budget_bytes, uptime_ms;
    int64_t clock_difference_ms;
};

struct console_line {
    char name[FACT_NAME_BYTES], state[FACT_NAME_BYTES], text[FACT_TEXT_BYTES];
    uint64_t restarts; /* of a program */
};

struct console_init {
    char fault[FACT_TEXT_BYTES]; /* as above */
    char image[FACT_NAME_BYTES], image_hash[FACT_NAME_BYTES + 32], slot[FACT_NAME_BYTES], clock[FACT_TEXT_BYTES], disk[FACT_TEXT_BYTES];
    char slot_state[FACT_NAME_BYTES], slot_next[FACT_NAME_BYTES], slots[2][FACT_TEXT_BYTES]; /* as heraclius-slots says them; "": nothing */
    char given_up[FACT_TEXT_BYTES]; /* why the image that does not run was; "": it was not, or nobody asked (console.c) */
    char slots_why[FACT_TEXT_BYTES], config_refused[FACT_TEXT_BYTES]; /* why nothing is known of the slots; a refusal since the last acceptance */
    char config_text[FACT_TEXT_BYTES], watchdog[FACT_NAME_BYTES], secure_boot[FACT_NAME_BYTES];
    bool disk_free_known, config_known;
    uint64_t disk_bytes, disk_free, config_number, uptime_ms;
    struct console_line stages[FACT_LINES_MAX], programs[FACT_LINES_MAX], nets[FACT_LINES_MAX]; /* a net: only name and text */
    uint32_t stages_count, programs_count, nets_count;
};

/* What heraclius-admin shows on this line alone (appliance/admin/admin_appliance.h); "": nothing. */
struct console_admin {
    char code[16], fingerprint[72];
};

/* One answer of the node, without its line feed. False: node->fault says why, and everything else is zero. */
bool console_facts_node(struct console_node *node, const char *answer, size_t count);
/* One answer of init. False: init->fault says why, and everything else is zero. */
bool console_facts_init(struct console_init *init, const char *answer, size_t count);

/* Copies a text of `count` bytes: cut to `size` - 1, what is not printable ASCII becomes '?'. */
void console_facts_text(char *to, size_t size, const char *from, size_t count);
/* A program or stage by name; NULL: not told of. */
const struct console_line *console_facts_line(const struct console_line *lines, uint32_t count, const char *name);

#endif
