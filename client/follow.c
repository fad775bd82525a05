/*
 * Following a succession (spec/system.md 7.12): a journal of the system before becomes one of this system, once k administrators' statement is shown.
 *
 * What was unsettled stays so. What had taken effect above the successor's origins is unsettled again: there it did not happen. Both are signed anew,
 * under the old numbers, by heraclius_settle(): a shard that has the number on record says RECORDED and does nothing, so whether a write lies above
 * the cut or below need not be known for it to take effect once. What was cancelled, or answered "no", is not sent again: it had no effect, and the
 * caller was told so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "protocol/canonical.h"
#include "protocol/successor.h"

enum { CHAIN_FILE_BYTES_MAX = 1 << 28 };

/* The first chain of CONFIGs that this client keeps of the old system, if it keeps one: administrators may have changed since genesis. */
static uint8_t *chain_of(const struct heraclius *db, size_t *count) {
    struct system_fault fault;
    size_t bytes = 0;
    *count = 0;
    uint8_t *file = (uint8_t *)canonical_read_file(db->chain_path, CHAIN_FILE_BYTES_MAX, &bytes, &fault);
    if (!file) return NULL;
    struct bytes_cursor cursor = bytes_cursor_of(file, bytes);
    uint32_t length = bytes_get_u32(&cursor);
    const uint8_t *payload = bytes_get_raw(&cursor, length);
    if (!cursor.failed && payload) {
        memmove(file, payload, length);
        *count = length;
    }
    return file;
}

bool client_follow(struct heraclius *db, char *why) {
    struct system *old = NULL;
    struct claim_successor *statement = malloc(sizeof *statement);
    struct system_fault fault = {.text = "no memory"};
    size_t chain_bytes = 0;
    uint8_t *chain = chain_of(db, &chain_bytes);
    struct bytes_cursor cursor = bytes_cursor_of(chain, chain_bytes);
    uint32_t cluster = chain_bytes > 0 ? bytes_get_u32(&cursor) : (uint32_t)CONFIG_CLUSTER_SHARD;
    enum system_error error = statement ? system_load(&old, db->predecessor_path, &fault) : SYSTEM_NOTHING_FREE;
    if (!error) error = successor_load(statement, db->statement_path, &fault);
    if (!error) error = successor_verify(statement, old, cluster, chain, chain_bytes, &db->signer, db->system, &fault);
    if (error) {
        snprintf(why, HERACLIUS_TEXT_BYTES, "the succession is not followed: %s", fault.text);
    } else {
        memcpy(db->followed_id, old->system_id, sizeof db->followed_id);
        db->follows = true;
    }
    system_free(old);
    free(statement);
    free(chain);
    return !error;
}

/* ---- what was done above the cut ---- */

void client_kept_free(struct journal *journal) {
    for (size_t i = 0; i < journal->kept_count; i++) {
        free(journal->kept[i].bytes);
        free(journal->kept[i].settled);
    }
    journal->kept_count = 0;
    journal->kept_bytes = 0;
}

static void oldest_drop(struct journal *journal) {
    journal->kept_bytes -= journal->kept[0].bytes_count;
    free(journal->kept[0].bytes);
    free(journal->kept[0].settled);
    memmove(&journal->kept[0], &journal->kept[1], --journal->kept_count * sizeof journal->kept[0]);
}

void client_kept_add(struct journal *journal, const struct journal_write *write) {
    size_t count = write->bytes_count;
    while (journal->kept_count == JOURNAL_KEPT_MAX || (journal->kept_count > 0 && journal->kept_bytes + count > JOURNAL_KEPT_BYTES_MAX))
        oldest_drop(journal);
    journal->kept[journal->kept_count++] = (struct journal_kept){
        .bytes = write->bytes, .settled = write->settled, .bytes_count = count, .height = write->height, .index = write->index};
    journal->kept_bytes += count;
}

static int in_order(const void *a, const void *b) {
    const struct journal_kept *left = a, *right = b;
    if (left->height != right->height) return left->height < right->height ? -1 : 1;
    return (left->index > right->index) - (left->index < right->index);
}

/* A batch of several shards is settled part by part, and lies below the cut only if all its parts do. */
static bool above_cut(const struct heraclius *db, const struct journal_kept *kept) {
    struct batch batch = {.kind = BATCH_WRITE, .bytes = kept->bytes, .bytes_count = (uint32_t)kept->bytes_count};
    struct batch_part part;
    size_t at = 0, parts = 0;
    const struct system_cluster *cluster = NULL;
    for (; batch_part_next(&batch, &at, &part); parts++) cluster = system_cluster_by_id(db->system, part.shard);
    return parts != 1 || !cluster || kept->height > cluster->origin_height;
}

/* What is behind `first` of them comes before them: what took effect did so before what has no answer yet, as far as anybody was told. */
static void rotate(struct journal_write *writes, size_t count, size_t first) {
    for (size_t done = 0; done < first; done++) {
        struct journal_write write = writes[0];
        memmove(&writes[0], &writes[1], (count - 1) * sizeof writes[0]);
        writes[count - 1] = write;
    }
}

bool client_kept_reopen(struct heraclius *db) {
    struct journal *journal = &db->journal;
    bool good = true;
    size_t before = journal->writes_count;
    qsort(journal->kept, journal->kept_count, sizeof journal->kept[0], in_order);
    for (size_t i = 0; good && i < journal->kept_count; i++) {
        const struct journal_kept *kept = &journal->kept[i];
        if (above_cut(db, kept)) good = client_journal_reopen(journal, kept);
    }
    if (before > 0) rotate(journal->writes, journal->writes_count, before);
    journal->in_order = true;
    client_kept_free(journal);
    return good;
}
