/* Hashes of several long messages, up to four of them going on at any time: each takes its next stretch (first block, what lies in whole blocks, last
 * block) with the others, as long as the shortest of their stretches. The longest begin, so that as many as can be end together. */
#include <stdbool.h>

#include "merkle/check.h"
#include "merkle/sha256.h"
#include "merkle/sha256_inside.h"
#include "merkle/sha256_lanes.h"

enum { FIRST = SHA256_BLOCK_BYTES - 1 }; /* of a message, beside its prefix */

enum stretch { STRETCH_FIRST, STRETCH_WHOLE, STRETCH_LAST };

struct going {
    const uint8_t *bytes;
    size_t count;
    uint8_t *out;
    enum stretch stretch;
    const uint8_t *at; /* the stretch's next block */
    size_t blocks;     /* left of it */
    uint32_t chain[8];
    uint8_t edge[SHA256_TAIL_BYTES]; /* first block, later the last */
};

static void message_begin(struct going *going, enum hash_prefix prefix, const struct sha256_part *message, uint8_t *out) {
    going->bytes = message->bytes;
    going->count = message->count;
    going->out = out;
    going->stretch = STRETCH_FIRST;
    going->at = going->edge;
    going->blocks = 1;
    sha256_chain_init(going->chain);
    going->edge[0] = (uint8_t)prefix;
    memcpy(going->edge + 1, going->bytes, FIRST);
}

/* The stretch is done. False: it was the last, and the hash is written. */
static bool stretch_next(struct going *going) {
    size_t whole = (going->count - FIRST) / SHA256_BLOCK_BYTES;
    if (going->stretch == STRETCH_FIRST && whole > 0) {
        going->stretch = STRETCH_WHOLE;
        going->at = going->bytes + FIRST;
        going->blocks = whole;
        return true;
    }
    if (going->stretch == STRETCH_LAST) {
        sha256_chain_write(going->chain, going->out);
        return false;
    }
    going->stretch = STRETCH_LAST;
    going->blocks = sha256_tail(going->bytes + FIRST + whole * SHA256_BLOCK_BYTES, (uint64_t)going->count + 1, going->edge);
    going->at = going->edge;
    return true;
}

/* As far as the shortest stretch goes. */
static void all_go(struct going *const going[SHA256_LANES], unsigned lanes) {
    uint32_t *chains[SHA256_LANES];
    const uint8_t *at[SHA256_LANES];
    size_t blocks = going[0]->blocks;
    for (unsigned i = 0; i < lanes; i++) {
        chains[i] = going[i]->chain;
        at[i] = going[i]->at;
        if (going[i]->blocks < blocks) blocks = going[i]->blocks;
    }
    sha256_lanes_blocks(chains, at, lanes, blocks);
    for (unsigned i = 0; i < lanes; i++) {
        going[i]->at += blocks * SHA256_BLOCK_BYTES;
        going[i]->blocks -= blocks;
    }
}

/* Indices of messages that have a block and more, the longest first; the others are hashed at once. */
static unsigned longest_first(enum hash_prefix prefix, const struct sha256_part *messages, unsigned count, uint8_t (*out)[SHA256_BYTES],
                              unsigned order[SHA256_EACH_MAX]) {
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        if (messages[i].count < SHA256_BLOCK_BYTES) {
            sha256_prefixed(prefix, &messages[i], 1, out[i]);
            continue;
        }
        unsigned at = found++;
        for (; at > 0 && messages[order[at - 1]].count < messages[i].count; at--) order[at] = order[at - 1];
        order[at] = i;
    }
    return found;
}

void sha256_prefixed_each(enum hash_prefix prefix, const struct sha256_part *messages, unsigned count, uint8_t (*out)[SHA256_BYTES]) {
    CHECK(count <= SHA256_EACH_MAX);
    struct going places[SHA256_LANES];
    struct going *going[SHA256_LANES] = {&places[0], &places[1], &places[2], &places[3]}; /* those that go on come first */
    unsigned order[SHA256_EACH_MAX], lanes = 0, next = 0;
    unsigned left = longest_first(prefix, messages, count, out, order);
    while (next < left || lanes > 0) {
        for (; lanes < SHA256_LANES && next < left; next++) message_begin(going[lanes++], prefix, &messages[order[next]], out[order[next]]);
        all_go(going, lanes);
        for (unsigned i = lanes; i-- > 0;) {
            if (going[i]->blocks > 0 || stretch_next(going[i])) continue;
            struct going *ended = going[i];
            going[i] = going[--lanes];
            going[lanes] = ended;
        }
    }
}

void sha256_padded_blocks_each(const uint8_t *const *messages, unsigned count, size_t blocks, uint8_t *const *out) {
    uint32_t chains[SHA256_LANES][8], *chain[SHA256_LANES];
    const uint8_t *at[SHA256_LANES];
    for (unsigned from = 0, lanes; from < count; from += lanes) {
        lanes = count - from < SHA256_LANES ? count - from : SHA256_LANES;
        for (unsigned i = 0; i < lanes; i++) {
            sha256_chain_init(chains[i]);
            chain[i] = chains[i];
            at[i] = messages[from + i];
        }
        sha256_lanes_blocks(chain, at, lanes, blocks);
        for (unsigned i = 0; i < lanes; i++) sha256_chain_write(chains[i], out[from + i]);
    }
}
