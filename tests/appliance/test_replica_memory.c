/* What a replica must remember: what others signed last (P-7), what convicts them (B-80), and the inputs of blocks that it holds (P-1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/replica/replica_private.h"
#include "protocol/evidence.h"
#include "tests/appliance/replica_world.h"

static struct rw_record *disk_copy(const struct rw_node *node) {
    struct rw_record *copy = calloc(node->record_count + 1, sizeof *copy);
    assert_non_null(copy);
    for (size_t i = 0; i < node->record_count; i++) {
        copy[i] = node->records[i];
        if (!copy[i].used) continue;
        copy[i].bytes = malloc(copy[i].count + 1);
        memcpy(copy[i].bytes, node->records[i].bytes, copy[i].count);
    }
    return copy;
}

static void disk_replace(struct rw_node *node, struct rw_record *copy, size_t count) {
    for (size_t i = 0; i < node->record_count; i++) {
        if (node->records[i].used) free(node->records[i].bytes);
    }
    memcpy(node->records, copy, count * sizeof *copy);
    node->record_count = count;
    free(copy);
}

static bool on_disk(const struct rw_node *node, enum wal_db db, const uint8_t *key, size_t key_bytes) {
    for (size_t i = 0; i < node->record_count; i++) {
        if (node->records[i].used && node->records[i].db == db && memcmp(node->records[i].key, key, key_bytes) == 0) return true;
    }
    return false;
}

static void puts_of(struct replica_world *rw, uint64_t *number, uint32_t count, struct rw_node *late) {
    for (uint32_t i = 0; i < count; i++) {
        struct operation put = op_put("k", "v");
        if (late != NULL) late->disk_stalled = true; /* it answers after the others have decided: each of its votes comes late */
        assert_non_null(rw_ask(rw, BATCH_WRITE, ++*number, &put, 1, 20000));
        if (late != NULL) late->disk_stalled = false;
        rw_run(rw, 60);
    }
}

static void rolled_back(bool late) {
    struct replica_world *rw = rw_create(11);
    uint64_t number = 0;
    rw_run(rw, 300);
    puts_of(rw, &number, 3, NULL);
    struct rw_node *node = &rw->nodes[3];
    size_t count = node->record_count;
    struct rw_record *old = disk_copy(node);
    uint64_t then = node->replica->core->memory.committed.height;
    puts_of(rw, &number, 12, late ? node : NULL);
    rw_run(rw, 300);
    assert_true(node->replica->core->memory.committed.height > then);
    rw_crash(rw, 3);
    disk_replace(node, old, count);
    rw_restart(rw, 3);
    rw_run(rw, 4000);
    assert_true(node->replica->retired);
    assert_int_equal(rw_status(rw, 3)->phase, PHASE_RETIRED);
    assert_string_equal(rw_status(rw, 3)->retired_by, "newer_signature");
    rw_crash(rw, 3);
    rw_restart(rw, 3);
    rw_run(rw, 1000);
    assert_string_equal(rw_status(rw, 3)->retired_by, "newer_signature"); /* kept beside the mark */
    assert_int_equal(rw_status(rw, 0)->attacks[ATTACK_EQUIVOCATION], 0);
    rw_destroy(rw);
}

static void a_node_whose_disk_was_rolled_back_retires(void **state) {
    (void)state;
    rolled_back(false);
}

/* P-7: its votes came when the others had their quorum, and are remembered all the same. */
static void and_so_does_one_whose_votes_were_all_late(void **state) {
    (void)state;
    rolled_back(true);
}

/* P-15: it signs STATUS still, so that the others see how far it is. */
static void a_retired_node_follows_and_its_status_says_so(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(12);
    uint64_t number = 0;
    rw_run(rw, 300);
    struct rw_node *node = &rw->nodes[3];
    size_t count = node->record_count;
    struct rw_record *old = disk_copy(node);
    struct bft_memory memory = node->replica->core->memory;
    puts_of(rw, &number, 6, NULL);
    rw_crash(rw, 3);
    disk_replace(node, old, count);
    rw_restart(rw, 3);
    rw_run(rw, 4000);
    assert_true(node->replica->retired);
    puts_of(rw, &number, 6, NULL);
    rw_run(rw, 3000);
    uint64_t height = rw_status(rw, 3)->final_height;
    assert_int_equal(height, rw_status(rw, 0)->final_height);
    assert_int_equal(rw_status(rw, 0)->peers[3].final_height, height);
    assert_int_equal(node->replica->core->memory.prepared.height, memory.prepared.height); /* it voted for nothing */
    const struct status_member *seen = rw_status(rw, 0)->peers; /* its link is up, and no vote is to be had from it */
    assert_true(seen[3].up);
    assert_int_equal(seen[3].votes, VOTE_NO);
    assert_int_equal(seen[0].votes, VOTE_YES);
    assert_int_equal(seen[1].votes, VOTE_YES);
    assert_int_equal(seen[2].votes, VOTE_YES);
    assert_int_equal(rw_status(rw, 3)->peers[3].votes, VOTE_NO); /* it says so itself */
    assert_int_equal(rw_status(rw, 3)->peers[0].votes, VOTE_YES);
    rw_destroy(rw);
}

static enum status_vote vote(struct replica_world *rw, uint32_t of) {
    return rw_status(rw, 0)->peers[of].votes;
}

/* what was stated long ago, what another member hands on, and a link alone say nothing. */
static void of_whom_nothing_was_heard_lately_it_is_not_known_whether_it_votes(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(16);
    struct replica *r = rw->nodes[0].replica;
    rw_run(rw, 3000);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(vote(rw, i), VOTE_YES);
        assert_string_equal(rw_status(rw, 0)->peers[i].name, system_cluster_by_id(r->system, r->cluster)->nodes[i].name);
    }
    uint64_t lately_ms = 3 * r->config.timeouts.view_base_ms > 5000 ? 3 * r->config.timeouts.view_base_ms : 5000, now_ms = r->now_ms;
    r->peer_heard_ms[2] = now_ms - lately_ms;
    assert_int_equal(vote(rw, 2), VOTE_YES);
    r->peer_heard_ms[2] = now_ms - lately_ms - 1;
    assert_int_equal(vote(rw, 2), VOTE_UNKNOWN);
    struct blob *handed = blob_copy(r->peer_status_bytes[2]->bytes, r->peer_status_bytes[2]->count); /* its own word, from member 1 */
    rw_inject(rw, peer_member(1), 0, BFT_MESSAGE_STATUS, handed->bytes, (uint32_t)handed->count);
    assert_int_equal(vote(rw, 2), VOTE_UNKNOWN);
    rw_inject(rw, peer_member(2), 0, BFT_MESSAGE_STATUS, handed->bytes, (uint32_t)handed->count);
    assert_int_equal(vote(rw, 2), VOTE_YES);
    replica_link_down(r, peer_member(2));
    assert_int_equal(vote(rw, 2), VOTE_UNKNOWN);
    replica_link_up(r, peer_member(2)); /* a process that begins anew there may have retired its key meanwhile */
    assert_int_equal(vote(rw, 2), VOTE_UNKNOWN);
    blob_drop(handed);
    rw_run(rw, 2000);
    assert_int_equal(vote(rw, 2), VOTE_YES);
    rw_destroy(rw);
}

/* Whoever is far behind decides nothing; how far the others are, one liar does not say. */
static void who_is_far_behind_does_not_vote_yet(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(17);
    struct replica *r = rw->nodes[0].replica;
    rw_run(rw, 3000);
    uint64_t tip = r->tip_height;
    r->peer_status[3].final.height = tip + 1000000;
    for (uint32_t i = 0; i < 4; i++) assert_int_equal(vote(rw, i), VOTE_YES);
    r->peer_status[1].final.height = tip + 65; /* and with it f+1 say that there is so much, above the 64 for the two others */
    assert_int_equal(vote(rw, 0), VOTE_NO);
    assert_int_equal(vote(rw, 2), VOTE_NO);
    r->peer_status[1].final.height = tip + 64;
    assert_int_equal(vote(rw, 0), VOTE_YES);
    assert_int_equal(vote(rw, 2), VOTE_YES);
    r->tip_height = tip + 65; /* what is final here needs nobody's word */
    assert_int_equal(vote(rw, 2), VOTE_NO);
    r->tip_height = tip;
    r->peer_status[2].flags |= BFT_STATUS_SEALED;
    assert_int_equal(vote(rw, 2), VOTE_NO);
    r->peer_status[2].flags = 0;
    assert_int_equal(vote(rw, 2), VOTE_NO);
    rw_destroy(rw);
}

static uint32_t done_batch(const struct replica *r) {
    uint32_t index = r->done.first;
    while (index != NONE && r->inputs[index].kind != BODY_BATCH) index = r->inputs[index].list_next;
    assert_int_not_equal(index, NONE);
    return index;
}

/* A block that names a batch decided long ago, as a leader may: held, and stored as before its PREPARE. Returns its id. */
static struct bft_hash block_naming(struct replica *r, const uint8_t hash[32], struct bft_header *header) {
    *header = (struct bft_header){.place = r->members.place, .height = r->tip_height + 1, .parent_id = r->tip_id};
    struct body_reference reference = {.kind = BODY_BATCH, .relay = 1};
    memcpy(reference.hash, hash, 32);
    struct blob *body = blob_make(BODY_HEAD_BYTES + BODY_REFERENCE_BYTES);
    bytes_put_le32(body->bytes, 1);
    body_reference_encode(&reference, body->bytes + BODY_HEAD_BYTES);
    header->body_hash = bft_body_hash(body->bytes, body->count);
    struct bft_hash id = bft_header_id(header);
    uint32_t index = block_make(r, header, &id, (struct blob_piece){.blob = body, .count = body->count});
    blob_drop(body);
    assert_int_not_equal(index, NONE);
    assert_int_equal(r->blocks[index].missing, 0);
    block_store(r, index);
    return id;
}

static void pruning_spares_the_inputs_of_blocks_that_are_held(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(6);
    rw_run(rw, 200);
    struct operation put = op_put("k", "v");
    assert_non_null(rw_ask(rw, BATCH_WRITE, 1, &put, 1, 20000));
    rw_run(rw, 3000);
    struct rw_node *node = &rw->nodes[0];
    struct replica *r = node->replica;
    uint32_t batch = done_batch(r);
    uint8_t hash[32], key[WAL_KEY_BYTES_MAX];
    memcpy(hash, r->inputs[batch].hash, 32);
    assert_true(on_disk(node, WAL_INPUTS, hash, 32));
    struct bft_header header;
    struct bft_hash id = block_naming(r, hash, &header);
    uint64_t decided = r->inputs[batch].decided_height;
    replica_checkpointed(r, decided);
    rw_run(rw, 3000);
    assert_true(r->pruned_height >= decided);
    size_t bytes = wal_key_block(key, header.place.epoch, header.height, id.bytes, WAL_PART_BODY);
    assert_true(on_disk(node, WAL_BLOCKS, key, bytes));
    assert_true(on_disk(node, WAL_INPUTS, hash, 32));
    /* Given up, it takes the input along. */
    struct bft_action drop = {.block_id = id};
    block_drop(r, &drop);
    while (r->final_first != NONE && r->blocks[r->final_first].header.height <= decided) { /* whose answers are kept */
        uint32_t next = r->blocks[r->final_first].order_next;
        block_free(r, r->final_first);
        r->final_first = next;
    }
    assert_non_null(rw_ask(rw, BATCH_WRITE, 2, &put, 1, 20000));
    rw_run(rw, 500);
    replica_checkpointed(r, r->tip_height);
    rw_run(rw, 3000);
    assert_non_null(rw_ask(rw, BATCH_WRITE, 3, &put, 1, 20000)); /* pruning rides in writes that go anyway */
    rw_run(rw, 500);
    assert_false(on_disk(node, WAL_INPUTS, hash, 32));
    rw_destroy(rw);
}

/* A flood of tiny inputs leaves more to delete than one write may hold (found by real nodes under such a flood, which ended with a CHECK). */
static void pruning_goes_in_steps_that_a_write_can_hold(void **state) {
    (void)state;
    enum { ORPHANS = 2 * WAL_RECORDS_MAX };
    struct replica_world *rw = rw_create(15);
    rw_run(rw, 200);
    struct rw_node *node = &rw->nodes[0];
    struct replica *r = node->replica;
    uint64_t number = 0;
    puts_of(rw, &number, 2, NULL);
    for (uint32_t i = 0; i < ORPHANS; i++) {
        uint8_t hash[32] = {0xEE};
        bytes_put_le32(hash + 4, i);
        input_orphan(r, hash, 1);
    }
    rw_run(rw, 2000);
    uint64_t to = rw_status(rw, 0)->final_height;
    replica_checkpointed(r, to);
    puts_of(rw, &number, 1, NULL);
    assert_true(r->pruned_height < to); /* the blocks go last: by them a restart finds what is left */
    assert_true(r->orphan_count > 0 && r->orphan_count < ORPHANS);
    for (uint32_t i = 0; i < 40 && r->pruned_height < to; i++) puts_of(rw, &number, 1, NULL);
    assert_true(r->pruned_height >= to);
    assert_int_equal(r->orphan_count, 0);
    assert_true(node->largest_write >= PRUNE_INPUTS_AT_ONCE && node->largest_write < PRUNE_INPUTS_AT_ONCE + 200);
    assert_int_equal(node->stopped, 0);
    rw_destroy(rw);
}

/* A COMMIT of node 3, as its key signs it, with this id; sent to node 0 as if by node 3. */
static void commit_inject(struct replica_world *rw, uint64_t view, uint64_t height, uint8_t id) {
    struct signer signer = keyed_signer_of(&rw->nodes[3].key);
    struct bft_message *message = calloc(1, sizeof *message);
    assert_non_null(message);
    message->type = BFT_MESSAGE_COMMIT;
    message->vote = (struct bft_vote){.kind = BFT_COMMIT, .signer = 3};
    message->vote.ballot.place = rw->nodes[0].replica->members.place;
    message->vote.ballot.view = view;
    message->vote.ballot.height = height;
    memset(message->vote.ballot.block_id.bytes, id, 32);
    bft_message_sign(&signer, message);
    uint8_t bytes[512];
    size_t count = bft_wire_encode(message, bytes, sizeof bytes);
    rw_inject(rw, peer_member(3), 0, BFT_MESSAGE_COMMIT, bytes, count);
    free(message);
}

static enum evidence_error evidence_judge(struct replica_world *rw, const struct rw_evidence *file, struct evidence *evidence) {
    struct signer signer = keyed_signer_of(&rw->nodes[0].key);
    enum evidence_error error = evidence_decode(file->bytes, file->count, evidence);
    return error == EVIDENCE_OK ? evidence_verify(evidence, &rw->nodes[0].replica->members, &signer) : error;
}

/* B-80: what a member contradicts itself in is kept, once for each kind, and convicts it. */
static void a_member_that_contradicts_itself_leaves_evidence(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(13);
    rw_run(rw, 300);
    uint64_t height = rw_status(rw, 0)->final_height + 3;
    assert_int_equal(rw->nodes[0].evidence_count, 0);
    commit_inject(rw, 0, height, 1);
    commit_inject(rw, 0, height, 1); /* the same again is no contradiction */
    assert_int_equal(rw->nodes[0].evidence_count, 0);
    for (uint8_t id = 2; id < 100; id++) commit_inject(rw, 0, height, id);
    rw_run(rw, 100);
    assert_int_equal(rw->nodes[0].evidence_count, 1);
    struct evidence *evidence = calloc(1, sizeof *evidence);
    assert_non_null(evidence);
    const struct rw_evidence *file = &rw->nodes[0].evidence[0];
    assert_int_equal(evidence_judge(rw, file, evidence), EVIDENCE_OK);
    assert_int_equal(evidence->kind, EVIDENCE_TWO_COMMITS);
    assert_int_equal(evidence->signer, 3);
    assert_string_equal(file->name, "two_commits-c0-member3-epoch0");
    assert_int_equal(rw_status(rw, 0)->evidence, 1);
    free(evidence);
    rw_destroy(rw);
}

/* B-80, also of what comes too late to count: a second vote for a block that is final. */
static void so_does_one_whose_second_vote_comes_late(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(14);
    uint64_t number = 0;
    rw_run(rw, 300);
    puts_of(rw, &number, 3, NULL);
    rw_run(rw, 1000);
    const struct bft_memory *memory = &rw->nodes[3].replica->core->memory;
    commit_inject(rw, memory->committed.view, memory->committed.height, 9);
    rw_run(rw, 100);
    assert_int_equal(rw->nodes[0].evidence_count, 1);
    struct evidence *evidence = calloc(1, sizeof *evidence);
    assert_non_null(evidence);
    assert_int_equal(evidence_judge(rw, &rw->nodes[0].evidence[0], evidence), EVIDENCE_OK);
    assert_int_equal(evidence->signer, 3);
    free(evidence);
    rw_destroy(rw);
}

/* B-45, P-7: what states another epoch is not verified, so it is not what its signer signed last either. One liar who sends it in another's name
 * would else have every answer to that one's LAST-SIGNED be bad. */
static void what_states_another_epoch_is_nobodys_newest(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct replica_world *rw = rw_create(15);
        uint64_t number = 0;
        rw_run(rw, 300);
        puts_of(rw, &number, 3, NULL);
        struct bft_message *message = calloc(1, sizeof *message);
        assert_non_null(message);
        const struct replica *r = rw->nodes[0].replica;
        message->type = kind == 0 ? BFT_MESSAGE_PREPARE : kind == 1 ? BFT_MESSAGE_COMMIT : BFT_MESSAGE_TIMEOUT;
        if (kind < 2) {
            message->vote = (struct bft_vote){.kind = kind == 0 ? BFT_PREPARE : BFT_COMMIT, .signer = 1};
            message->vote.ballot.place = r->members.place;
            message->vote.ballot.place.epoch = UINT64_C(1) << 32;
            message->vote.ballot.height = 1;
        } else {
            message->timeout = (struct bft_timeout){.place = r->members.place, .view = 1, .high.block = r->members.start, .signer = 1};
            message->timeout.place.epoch = UINT64_C(1) << 32;
        }
        uint8_t bytes[2048];
        size_t count = bft_wire_encode(message, bytes, sizeof bytes);
        rw_inject(rw, peer_member(2), 0, message->type, bytes, count);
        rw_inject(rw, peer_member(2), 3, message->type, bytes, count);
        free(message);
        rw_run(rw, 200);
        rw_crash(rw, 2);
        rw_crash(rw, 1);
        rw_restart(rw, 1);
        puts_of(rw, &number, 2, NULL); /* it is needed for them */
        assert_int_equal(rw_status(rw, 1)->phase, PHASE_VOTING);
        rw_destroy(rw);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_whose_disk_was_rolled_back_retires),
        cmocka_unit_test(and_so_does_one_whose_votes_were_all_late),
        cmocka_unit_test(a_retired_node_follows_and_its_status_says_so),
        cmocka_unit_test(of_whom_nothing_was_heard_lately_it_is_not_known_whether_it_votes),
        cmocka_unit_test(who_is_far_behind_does_not_vote_yet),
        cmocka_unit_test(pruning_spares_the_inputs_of_blocks_that_are_held),
        cmocka_unit_test(pruning_goes_in_steps_that_a_write_can_hold),
        cmocka_unit_test(a_member_that_contradicts_itself_leaves_evidence),
        cmocka_unit_test(so_does_one_whose_second_vote_comes_late),
        cmocka_unit_test(what_states_another_epoch_is_nobodys_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
