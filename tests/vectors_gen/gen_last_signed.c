/* Vectors of LAST-SIGNED (spec/durability.md, P-11 to P-14): answers, right and wrong, and what an asker makes of them by its memory. */
#include "merkle/check.h"
#include "tests/vectors_gen/gen_durability.h"
#include "tests/vectors_gen/gen_exec.h"
#include <string.h>

static struct bft_vote vote_of(struct gen_members *world, enum bft_vote_kind kind, uint64_t epoch, uint64_t view, uint64_t height, uint8_t id) {
    struct bft_vote vote = {.kind = (uint8_t)kind, .signer = GEN_ASKER};
    vote.ballot.place = world->members.place;
    vote.ballot.place.epoch = epoch;
    vote.ballot.view = view;
    vote.ballot.height = height;
    memset(vote.ballot.block_id.bytes, id, 32);
    memset(vote.ballot.outbox_root.bytes, 0x0B, 32);
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&vote.ballot, kind, preimage);
    struct signer signer = gen_member_signer(world, GEN_ASKER);
    signer.sign(signer.context, preimage, sizeof preimage, vote.signature.bytes);
    return vote;
}

static struct bft_timeout timeout_of(struct gen_members *world, uint64_t view, uint64_t high_view) {
    struct bft_timeout timeout = {.place = world->members.place, .view = view, .signer = GEN_ASKER};
    timeout.high.view = high_view;
    timeout.high.block.height = 40;
    memset(timeout.high.block.id.bytes, 0x40, 32);
    uint8_t preimage[BFT_TIMEOUT_PREIMAGE_BYTES];
    bft_timeout_preimage(&timeout.place, view, &timeout.high, preimage);
    struct signer signer = gen_member_signer(world, GEN_ASKER);
    signer.sign(signer.context, preimage, sizeof preimage, timeout.signature.bytes);
    return timeout;
}

static struct last_signed_answer answer_of(struct gen_members *world) {
    struct last_signed_answer answer;
    memset(&answer, 0, sizeof answer);
    answer.query = world->query;
    answer.signer = GEN_ANSWERER;
    answer.has_prepare = true;
    answer.has_commit = true;
    answer.has_timeout = true;
    answer.prepare = vote_of(world, BFT_PREPARE, 3, 5, 44, 0x44);
    answer.commit = vote_of(world, BFT_COMMIT, 3, 5, 43, 0x43);
    answer.timeout = timeout_of(world, 4, 3);
    return answer;
}

static enum last_signed_error judge_bytes(struct gen_members *world, const uint8_t *bytes, size_t count) {
    struct last_signed_answer answer;
    struct signer signer = signer_ed25519(NULL);
    enum last_signed_error error = last_signed_answer_decode(bytes, count, &answer);
    return error != LAST_SIGNED_OK ? error : last_signed_answer_verify(&world->members, &signer, &world->query, &answer);
}

static void answer_case(struct gen_members *world, json_t *list, const char *name, const uint8_t *bytes, size_t count,
                        enum last_signed_error expected) {
    CHECK(judge_bytes(world, bytes, count) == expected);
    json_t *item = gen_case(list, name);
    gen_set_hex(item, "payload", bytes, count);
    gen_set_text(item, "expect", last_signed_error_name(expected));
}

static size_t signed_answer(struct gen_members *world, struct last_signed_answer *answer, uint8_t *out) {
    struct signer signer = gen_member_signer(world, answer->signer);
    return last_signed_answer_sign(&signer, answer, out);
}

static void answers_make(struct gen_members *world, json_t *out) {
    json_t *list = gen_group(out, "last_signed_answers");
    uint8_t bytes[LAST_SIGNED_ANSWER_BYTES_MAX + 1] = {0};
    struct last_signed_answer answer = answer_of(world);
    size_t count = signed_answer(world, &answer, bytes);
    answer_case(world, list, "all three items", bytes, count, LAST_SIGNED_OK);
    answer_case(world, list, "one byte more", bytes, count + 1, LAST_SIGNED_BAD_BYTES);
    answer_case(world, list, "one byte less", bytes, count - 1, LAST_SIGNED_BAD_BYTES);
    static const struct {
        const char *name;
        size_t offset;
        uint8_t flip;
        enum last_signed_error expected;
    } flips[] = {
        {"another system", 0, 1, LAST_SIGNED_BAD_QUERY},        {"another cluster", 16, 1, LAST_SIGNED_BAD_QUERY},
        {"another epoch", 20, 1, LAST_SIGNED_BAD_QUERY},        {"another asker", 28, 1, LAST_SIGNED_BAD_QUERY},
        {"asker 18", 28, 16, LAST_SIGNED_BAD_FIELD},            {"signer is the asker", 29, 3, LAST_SIGNED_BAD_FIELD},
        {"signer 5 of 4 members", 29, 4, LAST_SIGNED_BAD_SIGNER}, {"bit 3 of present", 30, 8, LAST_SIGNED_BAD_FIELD},
        {"zero is not", 31, 1, LAST_SIGNED_BAD_FIELD},          {"another nonce", 47, 1, LAST_SIGNED_BAD_QUERY},
        {"another member's name", 29, 1, LAST_SIGNED_BAD_SIGNATURE}, {"a flipped bit of an item", 48 + 60, 1, LAST_SIGNED_BAD_SIGNATURE},
    };
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        bytes[flips[i].offset] ^= flips[i].flip;
        answer_case(world, list, flips[i].name, bytes, count, flips[i].expected);
        bytes[flips[i].offset] ^= flips[i].flip;
    }
    answer.has_prepare = false;
    answer.has_commit = false;
    answer.has_timeout = false;
    answer_case(world, list, "nothing held", bytes, signed_answer(world, &answer, bytes), LAST_SIGNED_OK);
    answer = answer_of(world);
    answer.has_commit = false;
    answer_case(world, list, "PREPARE and TIMEOUT", bytes, signed_answer(world, &answer, bytes), LAST_SIGNED_OK);
    answer = answer_of(world);
    answer.prepare.ballot.height++;
    answer_case(world, list, "a PREPARE that the asker never signed", bytes, signed_answer(world, &answer, bytes), LAST_SIGNED_BAD_ITEM);
    answer = answer_of(world);
    answer.commit.signature = answer.prepare.signature;
    answer_case(world, list, "a PREPARE's signature on a COMMIT", bytes, signed_answer(world, &answer, bytes), LAST_SIGNED_BAD_ITEM);
    answer = answer_of(world);
    answer.timeout.place.cluster++;
    answer_case(world, list, "a TIMEOUT of another cluster", bytes, signed_answer(world, &answer, bytes), LAST_SIGNED_BAD_ITEM);
}

static void verdict_case(struct gen_members *world, json_t *list, const char *name, const struct bft_memory *memory,
                         struct last_signed_answer *answer, enum last_signed_verdict expected) {
    static const char *const names[] = {"known", "newer", "other"};
    uint8_t bytes[LAST_SIGNED_ANSWER_BYTES_MAX];
    size_t count = signed_answer(world, answer, bytes);
    CHECK(judge_bytes(world, bytes, count) == LAST_SIGNED_OK && last_signed_judge(memory, answer) == expected);
    json_t *item = gen_case(list, name);
    gen_set_hex(item, "payload", bytes, count);
    if (memory) {
        json_t *held = json_object();
        gen_set(item, "memory", held);
        gen_set_u64(held, "epoch", memory->place.epoch);
        gen_set_u64(held, "view", memory->view);
        gen_set_u64(held, "timed_out", memory->timed_out);
        if (memory->timed_out) {
            gen_set_u64(held, "timeout_high_view", memory->timeout_high.view);
            gen_set_u64(held, "timeout_high_height", memory->timeout_high.block.height);
            gen_set_hex(held, "timeout_high_id", memory->timeout_high.block.id.bytes, 32);
        }
        uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
        bft_vote_preimage(&memory->prepared, BFT_PREPARE, preimage);
        if (memory->has_prepared) gen_set_hex(held, "prepared", preimage + SIGNER_TAG_BYTES, BFT_BALLOT_BYTES);
        bft_vote_preimage(&memory->committed, BFT_COMMIT, preimage);
        if (memory->has_committed) gen_set_hex(held, "committed", preimage + SIGNER_TAG_BYTES, BFT_BALLOT_BYTES);
    }
    gen_set_text(item, "expect", names[expected]);
}

static void verdicts_make(struct gen_members *world, json_t *out) {
    json_t *list = gen_group(out, "last_signed_verdicts");
    struct last_signed_answer answer = answer_of(world);
    static struct bft_memory memory;
    memset(&memory, 0, sizeof memory);
    memory.place = world->members.place;
    memory.view = 5;
    memory.has_prepared = true;
    memory.has_committed = true;
    memory.prepared = answer.prepare.ballot;
    memory.committed = answer.commit.ballot;
    verdict_case(world, list, "as stored", &memory, &answer, LAST_SIGNED_KNOWN);
    verdict_case(world, list, "no memory at all", NULL, &answer, LAST_SIGNED_NEWER);
    answer.prepare = vote_of(world, BFT_PREPARE, 3, 5, 45, 0x45);
    verdict_case(world, list, "a higher PREPARE", &memory, &answer, LAST_SIGNED_NEWER);
    answer.prepare = vote_of(world, BFT_PREPARE, 3, 6, 1, 0x45);
    verdict_case(world, list, "a PREPARE of a higher view", &memory, &answer, LAST_SIGNED_NEWER);
    answer.prepare = vote_of(world, BFT_PREPARE, 3, 5, 44, 0x45);
    verdict_case(world, list, "another PREPARE at the same place", &memory, &answer, LAST_SIGNED_OTHER);
    answer.prepare = vote_of(world, BFT_PREPARE, 2, 9, 99, 0x45);
    verdict_case(world, list, "a PREPARE of an earlier epoch", &memory, &answer, LAST_SIGNED_KNOWN);
    answer = answer_of(world);
    memory.has_committed = false;
    verdict_case(world, list, "a COMMIT where none is stored", &memory, &answer, LAST_SIGNED_NEWER);
    memory.has_committed = true;
    answer.timeout = timeout_of(world, 5, 3);
    verdict_case(world, list, "a TIMEOUT of the view that is not timed out", &memory, &answer, LAST_SIGNED_NEWER);
    memory.timed_out = true;
    memory.timeout_high = answer.timeout.high;
    verdict_case(world, list, "the TIMEOUT as stored", &memory, &answer, LAST_SIGNED_KNOWN);
    answer.timeout = timeout_of(world, 5, 4);
    verdict_case(world, list, "a TIMEOUT with another high", &memory, &answer, LAST_SIGNED_OTHER);
    answer.timeout = timeout_of(world, 6, 4);
    verdict_case(world, list, "a TIMEOUT of a higher view", &memory, &answer, LAST_SIGNED_NEWER);
}

void gen_last_signed(struct gen_members *world, json_t *out) {
    answers_make(world, out);
    verdicts_make(world, out);
}
