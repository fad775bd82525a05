/* Any sequence of well-signed messages from three liars (and of events from the shell) against one live core, member 3 of 4 with f = 1: more liars
 * than it need withstand, so it may well fork, but it must neither crash, nor fail a CHECK, nor break its own promises: one vote a place, no vote
 * after TIMEOUT, a view that never decreases, a high that never sinks. Four bytes a command. */
#include "tests/bft/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { POOL = 64 };

struct promises {
    uint64_t epoch, view, high_view, high_height;
    struct bft_ballot voted[2][256];
    uint32_t count[2];
};

static void keep(struct script *s, struct promises *p) {
    const struct bft_memory *memory = &s->core.memory;
    if (s->core.members.place.epoch != p->epoch) {
        memset(p, 0, sizeof *p);
        p->epoch = s->core.members.place.epoch;
    }
    CHECK(memory->view >= p->view);
    p->view = memory->view;
    if (memory->has_high) {
        const struct bft_ballot *high = &memory->high_qc.ballot;
        CHECK(bft_rank_compare(high->view, high->height, p->high_view, p->high_height) >= 0);
        p->high_view = high->view;
        p->high_height = high->height;
    }
    for (uint32_t i = 0; i < s->sent_count; i++) {
        const struct bft_message *message = &s->sent[i];
        if (message->type != BFT_MESSAGE_PREPARE && message->type != BFT_MESSAGE_COMMIT) continue;
        const struct bft_vote *vote = &message->vote;
        if (vote->signer != s->core.me || vote->ballot.place.epoch != p->epoch) continue; /* what liars signed is shown to others (B-81) */
        for (uint32_t k = 0; k < p->count[vote->kind]; k++) {
            const struct bft_ballot *other = &p->voted[vote->kind][k];
            if (other->view == vote->ballot.view && other->height == vote->ballot.height) CHECK(bft_ballot_equal(other, &vote->ballot));
        }
        if (p->count[vote->kind] < 256) p->voted[vote->kind][p->count[vote->kind]++] = vote->ballot;
    }
    script_forget(s);
    s->final_count = 0;
    s->executed_count = 0;
}

static void command(struct script *s, const uint8_t c[4], struct bft_header pool[POOL], uint32_t *blocks, struct bft_qc *kept) {
    const struct bft_header *block = &pool[c[1] % *blocks];
    uint8_t signer = c[2] % 3;
    uint32_t mask = 7u;
    switch (c[0] % 14) {
    case 0:
        if (*blocks == POOL) return;
        pool[*blocks] = script_block(s, block, c[2] % 8, (uint8_t)(c[3] % 4));
        if (c[3] & 0x80) pool[*blocks].height += c[3] & 3;
        if (c[3] & 0x40) pool[*blocks].time += 700;
        (*blocks)++;
        return;
    case 1: (void)script_give_propose(s, block, NULL); return;
    case 2: {
        struct bft_tc tc = script_tc(s, (uint64_t)c[2] % 8, mask, kept->count > 0 && (c[3] & 1) ? kept : NULL, NULL);
        (void)script_give_propose(s, block, &tc);
        return;
    }
    case 3: (void)script_give_vote(s, block, BFT_PREPARE, signer); return;
    case 4: (void)script_give_vote(s, block, BFT_COMMIT, signer); return;
    case 5:
        *kept = script_qc(s, block, BFT_PREPARE, mask);
        if (c[3] & 1) (void)script_give_qc(s, kept);
        return;
    case 6: {
        struct bft_qc commit = script_qc(s, block, BFT_COMMIT, mask);
        (void)script_give_qc(s, &commit);
        return;
    }
    case 7: {
        struct bft_timeout timeout = script_timeout(s, c[3] % 8, kept->count > 0 && (c[2] & 4) ? kept : NULL, signer);
        (void)script_give_timeout(s, &timeout);
        return;
    }
    case 8: {
        struct bft_tc tc = script_tc(s, c[3] % 8, mask, kept->count > 0 && (c[2] & 4) ? kept : NULL, NULL);
        (void)script_give_tc(s, &tc);
        return;
    }
    case 9: script_tick(s, (uint64_t)c[2] * c[3]); return;
    case 10: (void)script_give_status(s, signer, c[3] % 8, block, c[2] & BFT_STATUS_FLAGS); return;
    case 11: {
        struct bft_message message = {.type = BFT_MESSAGE_BLOCK, .block_id = bft_header_id(block)};
        message.block.header = *block;
        message.block.has_certificate = (c[3] & 1) != 0;
        if (message.block.has_certificate) message.block.certificate.qc = script_qc(s, block, BFT_COMMIT, mask);
        (void)script_give(s, &message, signer);
        return;
    }
    case 12: script_restart(s, pool, *blocks); return;
    default:
        s->config_id = bft_header_id(block);
        s->config.kind = c[3] & 1 ? BFT_CONFIG_NEXT : BFT_CONFIG_SEAL;
        s->execute_wrong = (c[2] & 0xF0) == 0xF0;
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct bft_header pool[POOL];
    static struct bft_qc kept;
    static struct promises promises;
    struct script *s = script_new(4, 3, 4);
    memset(&promises, 0, sizeof promises);
    memset(&kept, 0, sizeof kept);
    s->config.me = 3;
    s->config.epoch = 1;
    s->config.n = 4;
    memcpy(s->config.keys, s->members.keys, sizeof s->config.keys);
    s->config.limits = s->limits;
    pool[0] = s->genesis;
    uint32_t blocks = 1;
    for (size_t at = 0; at + 4 <= size && at < 4 * 400 && s->core.members.place.epoch == 0 && !s->core.halted; at += 4) {
        command(s, data + at, pool, &blocks, &kept);
        keep(s, &promises);
    }
    script_free(s);
    return 0;
}
