/* Hashes of several long messages, up to sixteen of them going on at any time, or four: each takes its next stretch (first block, what lies in whole
 * blocks, last block) with the others, as long as the shortest of their stretches. The longest begin, so that as many as can be end together. */
#include <stdbool.h>

#include "merkle/check.h"
#include "merkle/sha256.h"
#include "merkle/sha256_inside.h"
#include "merkle/sha256_lanes.h"
#include "merkle/sha256_wide.h"

enum {
    FIRST = SHA256_BLOCK_BYTES - 1, /* of a message, beside its prefix */
    EDGE = SHA256_BLOCK_BYTES,      /* before the edge there is room for last_write() */
};

/* From so many on sixteen at a time are faster than four. */
enum { WIDE_LEAST = 9 };

enum stretch { STRETCH_FIRST, STRETCH_WHOLE, STRETCH_LAST };

struct going {
    const uint8_t *bytes;
    size_t count;
    uint8_t *out;
    enum stretch stretch;
    unsigned lane;     /* of the sixteen: there is the chain then */
    const uint8_t *at; /* the stretch's next block */
    size_t blocks;     /* left of it */
    uint32_t chain[8];
    uint8_t room[EDGE + SHA256_TAIL_BYTES]; /* from EDGE on the first block, later the last */
};

struct group {
    enum hash_prefix prefix;
    const struct sha256_part *messages;
    uint8_t (*out)[SHA256_BYTES];
    unsigned order[SHA256_EACH_MAX]; /* indices of messages */
    unsigned left, next;             /* how many, and which of them begins next */
    struct going places[SHA256_WIDE];
    struct going *going[SHA256_WIDE]; /* those that go on come first */
    unsigned busy;
};

static struct going *message_begin(struct group *group) {
    unsigned index = group->order[group->next++];
    struct going *going = group->going[group->busy++];
    going->bytes = group->messages[index].bytes;
    going->count = group->messages[index].count;
    going->out = group->out[index];
    going->stretch = STRETCH_FIRST;
    going->at = going->room + EDGE;
    going->blocks = 1;
    sha256_chain_init(going->chain);
    going->room[EDGE] = (uint8_t)group->prefix;
    memcpy(going->room + EDGE + 1, going->bytes, FIRST);
    return going;
}

/* As sha256_tail(), but always 64 bytes are copied, the message's last, which the compiler does with a few registers: those hashed already come to
 * lie before the edge. */
static size_t last_write(struct going *going) {
    uint64_t bytes_total = (uint64_t)going->count + 1;
    size_t left = (size_t)(bytes_total % SHA256_BLOCK_BYTES), blocks = left < SHA256_BLOCK_BYTES - 8 ? 1 : 2;
    uint8_t *edge = going->room + EDGE;
    memset(edge, 0, SHA256_TAIL_BYTES);
    memcpy(edge + left - SHA256_BLOCK_BYTES, going->bytes + going->count - SHA256_BLOCK_BYTES, SHA256_BLOCK_BYTES);
    edge[left] = 0x80;
    sha256_length_write(bytes_total, edge + blocks * SHA256_BLOCK_BYTES - 8);
    return blocks;
}

/* The stretch is done. False: it was the last. */
static bool stretch_next(struct going *going) {
    size_t whole = (going->count - FIRST) / SHA256_BLOCK_BYTES;
    if (going->stretch == STRETCH_FIRST && whole > 0) {
        going->stretch = STRETCH_WHOLE;
        going->at = going->bytes + FIRST;
        going->blocks = whole;
        return true;
    }
    if (going->stretch == STRETCH_LAST) return false;
    going->stretch = STRETCH_LAST;
    going->blocks = last_write(going);
    going->at = going->room + EDGE;
    return true;
}

/* The shortest stretch of the first so many. */
static size_t blocks_common(const struct group *group, unsigned lanes) {
    size_t blocks = group->going[0]->blocks;
    for (unsigned i = 1; i < lanes; i++) {
        if (group->going[i]->blocks < blocks) blocks = group->going[i]->blocks;
    }
    return blocks;
}

static bool ends_with(const struct going *going, size_t blocks) {
    return going->stretch == STRETCH_LAST && going->blocks == blocks;
}

/* The first so many have taken these blocks. */
static void all_gone(struct group *group, unsigned lanes, size_t blocks) {
    for (unsigned i = lanes; i-- > 0;) {
        struct going *going = group->going[i];
        going->at += blocks * SHA256_BLOCK_BYTES;
        going->blocks -= blocks;
        if (going->blocks > 0 || stretch_next(going)) continue;
        group->going[i] = group->going[--group->busy];
        group->going[group->busy] = going;
    }
}

static void four_go(struct group *group) {
    uint32_t *chains[SHA256_LANES];
    const uint8_t *at[SHA256_LANES];
    unsigned lanes = group->busy < SHA256_LANES ? group->busy : SHA256_LANES;
    size_t blocks = blocks_common(group, lanes);
    for (unsigned i = 0; i < lanes; i++) {
        chains[i] = group->going[i]->chain;
        at[i] = group->going[i]->at;
    }
    sha256_lanes_blocks(chains, at, lanes, blocks);
    for (unsigned i = 0; i < lanes; i++) {
        if (ends_with(group->going[i], blocks)) sha256_chain_write(group->going[i]->chain, group->going[i]->out);
    }
    all_gone(group, lanes, blocks);
}

static void sixteen_go(struct group *group, struct sha256_wide *wide) {
    const uint8_t *at[SHA256_WIDE];
    uint8_t hashes[SHA256_WIDE][SHA256_BYTES];
    size_t blocks = blocks_common(group, group->busy);
    bool end = false;
    for (unsigned i = 0; i < SHA256_WIDE; i++) {
        const struct going *going = group->going[i < group->busy ? i : 0];
        at[group->going[i]->lane] = going->at;
        end = end || ends_with(going, blocks);
    }
    sha256_wide_blocks(wide, at, blocks);
    if (end) {
        sha256_wide_hashes(wide, hashes);
        for (unsigned i = 0; i < group->busy; i++) {
            if (ends_with(group->going[i], blocks)) memcpy(group->going[i]->out, hashes[group->going[i]->lane], SHA256_BYTES);
        }
    }
    all_gone(group, group->busy, blocks);
}

/* As long as there are so many messages. Those that go on then have their chains with them. */
static void sixteen_while(struct group *group, unsigned wide_least) {
    struct sha256_wide wide = {0};
    while (group->busy + group->left - group->next >= wide_least) {
        unsigned begun = 0;
        while (group->busy < SHA256_WIDE && group->next < group->left) begun |= 1u << message_begin(group)->lane;
        if (begun) sha256_wide_begin(&wide, begun);
        sixteen_go(group, &wide);
    }
    for (unsigned i = 0; i < group->busy; i++) sha256_wide_chain(&wide, group->going[i]->lane, group->going[i]->chain);
}

/* Messages that have a block and more, the longest first; the others are hashed at once. */
static void longest_first(struct group *group, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        const struct sha256_part *messages = group->messages;
        if (messages[i].count < SHA256_BLOCK_BYTES) {
            sha256_prefixed(group->prefix, &messages[i], 1, group->out[i]);
            continue;
        }
        unsigned at = group->left++, *order = group->order;
        for (; at > 0 && messages[order[at - 1]].count < messages[i].count; at--) order[at] = order[at - 1];
        order[at] = i;
    }
}

void sha256_prefixed_each_by(enum hash_prefix prefix, const struct sha256_part *messages, unsigned count, uint8_t (*out)[SHA256_BYTES],
                             unsigned wide_least) {
    CHECK(count <= SHA256_EACH_MAX);
    struct group group; /* not initialised whole: it has room for much */
    group.prefix = prefix;
    group.messages = messages;
    group.out = out;
    group.left = group.next = group.busy = 0;
    for (unsigned i = 0; i < SHA256_WIDE; i++) {
        group.places[i].lane = i;
        group.going[i] = &group.places[i];
    }
    longest_first(&group, count);
    if (group.left >= wide_least) sixteen_while(&group, wide_least);
    while (group.busy > 0 || group.next < group.left) {
        while (group.busy < SHA256_LANES && group.next < group.left) message_begin(&group);
        four_go(&group);
    }
}

static unsigned wide_least_here(void) {
    return sha256_wide_can() ? WIDE_LEAST : SHA256_WIDE_NEVER;
}

void sha256_prefixed_each(enum hash_prefix prefix, const struct sha256_part *messages, unsigned count, uint8_t (*out)[SHA256_BYTES]) {
    sha256_prefixed_each_by(prefix, messages, count, out, wide_least_here());
}

static void padded_four(const uint8_t *const *messages, unsigned lanes, size_t blocks, uint8_t *const *out) {
    uint32_t chains[SHA256_LANES][8], *chain[SHA256_LANES];
    const uint8_t *at[SHA256_LANES];
    for (unsigned i = 0; i < lanes; i++) {
        sha256_chain_init(chains[i]);
        chain[i] = chains[i];
        at[i] = messages[i];
    }
    sha256_lanes_blocks(chain, at, lanes, blocks);
    for (unsigned i = 0; i < lanes; i++) sha256_chain_write(chains[i], out[i]);
}

static void padded_sixteen(const uint8_t *const *messages, unsigned lanes, size_t blocks, uint8_t *const *out) {
    struct sha256_wide wide;
    const uint8_t *at[SHA256_WIDE];
    uint8_t hashes[SHA256_WIDE][SHA256_BYTES];
    for (unsigned i = 0; i < SHA256_WIDE; i++) at[i] = messages[i < lanes ? i : 0];
    sha256_wide_begin(&wide, (1u << SHA256_WIDE) - 1);
    sha256_wide_blocks(&wide, at, blocks);
    sha256_wide_hashes(&wide, hashes);
    for (unsigned i = 0; i < lanes; i++) memcpy(out[i], hashes[i], SHA256_BYTES);
}

void sha256_padded_blocks_each_by(const uint8_t *const *messages, unsigned count, size_t blocks, uint8_t *const *out, unsigned wide_least) {
    for (unsigned from = 0, lanes; from < count; from += lanes) {
        bool wide = count - from >= wide_least;
        unsigned most = wide ? SHA256_WIDE : SHA256_LANES;
        lanes = count - from < most ? count - from : most;
        if (wide)
            padded_sixteen(messages + from, lanes, blocks, out + from);
        else
            padded_four(messages + from, lanes, blocks, out + from);
    }
}

void sha256_padded_blocks_each(const uint8_t *const *messages, unsigned count, size_t blocks, uint8_t *const *out) {
    sha256_padded_blocks_each_by(messages, count, blocks, out, wide_least_here());
}
