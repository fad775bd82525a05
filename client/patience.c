/*
 * How long a node that answers other requests of this client is given before another one is asked.
 *
 * A node that is busy answers later than resend_ms, and a second copy would be more of what it has too much of; a node that lies keeps one request
 * back and answers the others as fast as ever. Two things tell them apart. Whoever is busy works off what it was asked before; a request that is kept
 * back is overtaken by later ones (engine.c). And the others take long too: one that was overtaken, since its shard is slower or by chance, is given
 * twice what nearly all (99 of 100) of the newest answers took, at least resend_ms and at most CLIENT_RESEND_ANSWERING times that. So in a system
 * that is not overloaded a request that is kept back goes elsewhere after resend_ms, as if its node were silent.
 *
 * A wait counts from when the first node was asked to that node's own answer. One that another node answers says nothing of the first: if it counted,
 * whoever keeps one request of a hundred back would be given longer for each of them. A node that answers others late on purpose gains no more than
 * the bound. Old waits are forgotten: what was an overload a minute ago need not be one.
 */
#include "client/patience.h"

void patience_saw(struct patience *patience, uint64_t took_ms, uint64_t now_ms) {
    struct patience_wait *wait = &patience->waits[patience->count++ % PATIENCE_WAITS];
    wait->at_ms = now_ms;
    wait->took_ms = took_ms;
}

/* The longest of what is young, but for one in a hundred. */
static uint64_t wait_of_most(const struct patience *patience, uint64_t now_ms) {
    uint32_t kept = patience->count < PATIENCE_WAITS ? patience->count : PATIENCE_WAITS, young = 0;
    uint64_t longest = 0, second = 0;
    for (uint32_t i = 0; i < kept; i++) {
        const struct patience_wait *wait = &patience->waits[i];
        if (now_ms - wait->at_ms >= PATIENCE_FORGETS_MS) continue;
        young++;
        if (wait->took_ms > longest) {
            second = longest;
            longest = wait->took_ms;
        } else if (wait->took_ms > second) {
            second = wait->took_ms;
        }
    }
    return young >= PATIENCE_HUNDRED ? second : longest;
}

uint64_t patience_ms(const struct patience *patience, uint64_t least_ms, uint64_t most_ms, uint64_t now_ms) {
    uint64_t twice = 2 * wait_of_most(patience, now_ms);
    return twice < least_ms ? least_ms : twice > most_ms ? most_ms : twice;
}
