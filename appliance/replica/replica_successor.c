/*
 * S-143: this node was shown a valid successor. It leaves the old system for good, as if its key were retired (P-15): the mark is durable before
 * anything else leaves, and over restarts. Another successor of the same predecessor is refused; if it is as valid, the two statements together
 * convict who signed both.
 */
#include <stdio.h>
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "protocol/evidence.h"

static size_t record_key(uint8_t key[WAL_KEY_BYTES_MAX]) {
    return wal_key_misc(key, "successor");
}

void replica_successor_key(uint8_t key[WAL_KEY_BYTES_MAX]) {
    (void)record_key(key);
}

bool replica_restore_successor(struct replica *r, const uint8_t *bytes, size_t count) {
    struct claim_successor statement;
    if (claim_successor_decode(&statement, bytes, count, NULL) != SYSTEM_OK) return false;
    blob_drop(r->successor);
    r->successor = blob_copy(bytes, count);
    return true;
}

static void evidence_keep(struct replica *r, const struct blob *other) {
    if (r->successors_two) return;
    r->successors_two = true;
    struct blob *chain = epoch_chain(r), *blob = blob_make(64 + chain->count + r->successor->count + other->count);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    evidence_put_successors(&writer, chain->bytes, (uint32_t)chain->count, r->successor->bytes, r->successor->count, other->bytes, other->count);
    struct replica_output *output = output_add(r, REPLICA_EVIDENCE);
    output->piece_count = 1;
    output->pieces[0] = (struct blob_piece){.blob = blob, .count = writer.used};
    snprintf(output->text, sizeof output->text, "%s", evidence_kind_name(EVIDENCE_TWO_SUCCESSORS));
    r->status.evidence++;
    blob_drop(chain);
    replica_note(r, LOG_LEVEL_ERROR, "two_successors", "do=\"administrators signed two successors of this system: it stays with the first that it "
                                                        "was shown; show the evidence to all owners\"");
}

void replica_successor(struct replica *r, const struct claim_successor *statement) {
    uint8_t key[WAL_KEY_BYTES_MAX], bytes[CLAIM_SUCCESSOR_BYTES_MAX];
    struct claim_successor known;
    size_t count = claim_successor_encode(statement, bytes);
    struct blob *blob = blob_copy(bytes, count);
    if (r->successor != NULL) {
        bool decodes = claim_successor_decode(&known, r->successor->bytes, r->successor->count, NULL) == SYSTEM_OK;
        CHECK(decodes); /* it was encoded here, or taken by replica_restore_successor() */
        if (memcmp(known.successor_hash, statement->successor_hash, sizeof known.successor_hash) != 0) evidence_keep(r, blob);
        blob_drop(blob);
        return;
    }
    r->successor = blob_hold(blob);
    size_t key_bytes = record_key(key);
    persist_put_blob(r, WAL_MISC, key, key_bytes, blob);
    last_retire(r, REPLICA_SUCCEEDED);
    char id[17];
    replica_note(r, LOG_LEVEL_WARN, "system_succeeded", "successor=%s do=\"this node has left the system for good: stop it, and start that of the "
                                                         "successor\"",
                 log_id(statement->successor_id, id));
}
