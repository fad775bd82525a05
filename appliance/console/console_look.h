/*
 * What the console shows of the facts (console_facts.h), as pages (console_page.h). Pure: the same facts give the same text.
 *
 * A node is well when it answers, votes, and init has nothing to say against it; each thing that is not so is a reason, the gravest first. How many
 * more nodes may fail is this node's view: the members that it sees vote (A-29; a link is no vote), itself while it is ready, less those that must.
 * Of whom it is not known counts as lost, and is named.
 */
#ifndef APPLIANCE_CONSOLE_LOOK_H
#define APPLIANCE_CONSOLE_LOOK_H

#include "appliance/console/console_facts.h"
#include "appliance/console/console_page.h"

enum { LOOK_REASONS_MAX = 12 };

struct console_facts {
    struct console_node node;
    struct console_init init;
    struct console_admin admin;
};

struct console_verdict {
    unsigned count; /* of reasons; 0: well */
    char reasons[LOOK_REASONS_MAX][FACT_TEXT_BYTES];
};

void console_look_judge(const struct console_facts *facts, struct console_verdict *verdict);
/* Below 0: the cluster cannot decide. False: the node does not answer. */
bool console_look_may_fail(const struct console_node *node, int *more);

/* Another slot than the one that runs comes next. */
bool console_look_restart_due(const struct console_init *init);

/* The one look, the gravest lines first. */
void console_look_status(const struct console_facts *facts, struct console_page *page);
void console_look_links(const struct console_facts *facts, struct console_page *page);
void console_look_disk(const struct console_facts *facts, struct console_page *page);
void console_look_votes(const struct console_facts *facts, struct console_page *page);
void console_look_evidence(const struct console_facts *facts, struct console_page *page);
void console_look_slots(const struct console_facts *facts, struct console_page *page);
void console_look_config(const struct console_facts *facts, struct console_page *page);

/* What it costs that this node goes away for a while (`for_good`: for ever). */
void console_look_cost(const struct console_facts *facts, bool for_good, struct console_page *page);

#endif
