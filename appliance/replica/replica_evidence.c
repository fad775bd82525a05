/*
 * What convicts a member, or a whole cluster (B-80 to B-84): made into a file when it is seen. All items were verified before they came here. One
 * file for each kind and culprit: a liar that contradicts itself a thousand times is as guilty after the first, and fills no disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "protocol/evidence.h"

enum { ITEMS_BYTES_MAX = 1024 };

/* Blob is taken over. What is longer than a file can be has a chain that is (EVIDENCE_BYTES_MAX): nobody would read it. */
static void keep(struct replica *r, uint32_t cluster, const char *who, uint64_t epoch, enum evidence_kind kind, struct blob *blob, size_t count) {
    if (count > EVIDENCE_BYTES_MAX) {
        replica_note(r, LOG_LEVEL_WARN, "evidence_too_long", "kind=%s bytes=%zu", evidence_kind_name(kind), count);
        blob_drop(blob);
        return;
    }
    struct replica_output *output = output_add(r, REPLICA_EVIDENCE);
    output->piece_count = 1;
    output->pieces[0] = (struct blob_piece){.blob = blob, .count = count};
    snprintf(output->text, sizeof output->text, "%s-%c%u%s-epoch%llu", evidence_kind_name(kind), config_cluster_is_shard(cluster) ? 's' : 'c',
             config_cluster_index(cluster), who, (unsigned long long)epoch);
    r->status.evidence++;
}

/* Of a member of my cluster in the current epoch. False: there is one of this kind, or the chain is longer than a payload (S-101). */
static bool member_wanted(struct replica *r, uint8_t signer, const struct bft_place *place, enum evidence_kind kind) {
    if (signer >= r->members.n || place->epoch != r->members.place.epoch || place->epoch >= CONFIG_CHAIN_ENTRIES_MAX) return false;
    if (r->evidence_epoch != place->epoch) memset(r->evidence, 0, sizeof r->evidence);
    r->evidence_epoch = place->epoch;
    if ((r->evidence[signer] & 1u << kind) != 0) return false;
    r->evidence[signer] |= (uint8_t)(1u << kind);
    return true;
}

static void member_keep(struct replica *r, uint8_t signer, const struct bft_place *place, enum evidence_kind kind, struct blob *blob, size_t count) {
    char who[16];
    snprintf(who, sizeof who, "-member%u", signer); /* names are of nodes, and who had this place before has another */
    keep(r, place->cluster, who, place->epoch, kind, blob, count);
}

void replica_evidence_votes(struct replica *r, const struct bft_vote *a, const struct bft_vote *b) {
    enum evidence_kind kind = a->kind == BFT_PREPARE ? EVIDENCE_TWO_PREPARES : EVIDENCE_TWO_COMMITS;
    if (!evidence_votes_conflict(a, b) || !member_wanted(r, a->signer, &a->ballot.place, kind)) return;
    struct blob *chain = epoch_chain(r), *blob = blob_make(ITEMS_BYTES_MAX + chain->count);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    evidence_put_votes(&writer, chain->bytes, (uint32_t)chain->count, a, b);
    member_keep(r, a->signer, &a->ballot.place, kind, blob, writer.used);
    blob_drop(chain);
}

void replica_evidence_timeouts(struct replica *r, const struct bft_timeout *a, const struct bft_timeout *b) {
    if (!evidence_timeouts_conflict(a, b) || !member_wanted(r, a->signer, &a->place, EVIDENCE_TWO_TIMEOUTS)) return;
    struct blob *chain = epoch_chain(r), *blob = blob_make(ITEMS_BYTES_MAX + chain->count);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    evidence_put_timeouts(&writer, chain->bytes, (uint32_t)chain->count, a, b);
    member_keep(r, a->signer, &a->place, EVIDENCE_TWO_TIMEOUTS, blob, writer.used);
    blob_drop(chain);
}

void replica_evidence_commit(struct replica *r, const struct bft_vote *commit, const struct bft_timeout *timeout) {
    if (!evidence_commit_timeout_conflict(commit, timeout)) return;
    if (!member_wanted(r, commit->signer, &timeout->place, EVIDENCE_COMMIT_AND_TIMEOUT)) return;
    struct blob *chain = epoch_chain(r), *blob = blob_make(ITEMS_BYTES_MAX + chain->count);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    evidence_put_commit_timeout(&writer, chain->bytes, (uint32_t)chain->count, commit, timeout);
    member_keep(r, commit->signer, &timeout->place, EVIDENCE_COMMIT_AND_TIMEOUT, blob, writer.used);
    blob_drop(chain);
}

void replica_transfer_evidence(struct replica *r, uint8_t member, uint64_t epoch, struct blob *items) {
    struct bft_place place = {.cluster = r->cluster, .epoch = epoch};
    struct blob *chain = epoch_chain_known(r), *blob = blob_make(ITEMS_BYTES_MAX + chain->count + items->count);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    evidence_put_piece_head(&writer, chain->bytes, (uint32_t)chain->count, member);
    bytes_put_raw(&writer, items->bytes, items->count);
    if (epoch < CONFIG_CHAIN_ENTRIES_MAX) member_keep(r, member, &place, EVIDENCE_PIECE, blob, writer.used);
    else blob_drop(blob); /* its chain is longer than a payload (S-101) */
    blob_drop(chain);
    blob_drop(items);
}

/* Of another cluster: of its first epoch only, since its chain is not kept as bytes in memory. */
static bool pair_wanted(struct pair *pair, const struct decision *decision, enum evidence_kind kind) {
    if (decision->certificate.qc.ballot.place.epoch != 0 || (pair->evidence & 1u << kind) != 0) return false;
    pair->evidence |= (uint8_t)(1u << kind);
    return true;
}

void replica_evidence_slice(struct replica *r, struct pair *pair, const struct decision *decision, struct blob_piece bytes) {
    if (slice_well_formed(decision->slice, decision->leaf.slice_bytes) || !pair_wanted(pair, decision, EVIDENCE_SLICE)) return;
    struct blob *blob = blob_make(ITEMS_BYTES_MAX + bytes.count);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    evidence_put_slice_head(&writer, NULL, 0);
    bytes_put_raw(&writer, blob_piece_bytes(&bytes), bytes.count);
    keep(r, pair->cluster, "", decision->certificate.qc.ballot.place.epoch, EVIDENCE_SLICE, blob, writer.used);
}

void replica_evidence_slices(struct replica *r, struct pair *pair, const struct decision *decision, uint32_t other) {
    const struct input *input = &r->inputs[other];
    struct decision *held = malloc(sizeof *held);
    CHECK(held != NULL);
    bool shown = input->blob != NULL && decision_decode(input->blob->bytes + input->offset, input->count, held) == DECISION_OK;
    if (shown && evidence_decisions_conflict(held, decision) && pair_wanted(pair, decision, EVIDENCE_TWO_SLICES)) {
        struct blob *blob = blob_make(ITEMS_BYTES_MAX + held->head_bytes + decision->head_bytes);
        struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
        evidence_put_decisions(&writer, NULL, 0, held, decision);
        keep(r, pair->cluster, "", decision->certificate.qc.ballot.place.epoch, EVIDENCE_TWO_SLICES, blob, writer.used);
    }
    free(held);
}
