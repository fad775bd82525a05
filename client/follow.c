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
#include "protocol/config_chain.h"
#include "protocol/successor.h"

enum { CHAIN_FILE_BYTES_MAX = 1 << 28 };

/* What this client keeps of the old system's chains (KEYFILE.chain): that of `cluster`, or the first one if that is 0. The payload lies in the file's
 * bytes; NULL: none that is of the old system. */
static const uint8_t *kept_find(const struct heraclius *db, const struct system *old, const uint8_t *file, size_t file_bytes, uint32_t cluster,
                                size_t *count) {
    struct bytes_cursor cursor = bytes_cursor_of(file, file_bytes);
    struct config_chain *chain = malloc(sizeof *chain);
    const uint8_t *found = NULL;
    while (chain && !found && cursor.left > 0) {
        uint32_t length = bytes_get_u32(&cursor);
        const uint8_t *payload = bytes_get_raw(&cursor, length);
        if (!payload || length < CONFIG_CHAIN_HEAD_BYTES) break;
        uint32_t of = bytes_get_le32(payload);
        bool good = (cluster == 0 || of == cluster) && config_chain_genesis(chain, old, of) &&
                    config_chain_extend(chain, payload, length, &db->signer, NULL) == SYSTEM_OK;
        if (good) *count = length;
        if (good) found = payload;
    }
    free(chain);
    return found;
}

/* By whose word: the chain that was given, or one that is kept; of one cluster the longer. */
static enum system_error judge(const struct heraclius *db, const struct system *old, const struct claim_successor *statement,
                               struct system_fault *fault) {
    struct system_fault ignored;
    size_t file_bytes = 0, given_bytes = 0, kept_bytes = 0;
    uint8_t *given = NULL, *file = (uint8_t *)canonical_read_file(db->chain_path, CHAIN_FILE_BYTES_MAX, &file_bytes, &ignored);
    enum system_error error = SYSTEM_OK;
    if (db->predecessor_chain_path) given = (uint8_t *)canonical_read_file(db->predecessor_chain_path, CHAIN_FILE_BYTES_MAX, &given_bytes, fault);
    if (db->predecessor_chain_path && !given) error = SYSTEM_FILE_UNREADABLE;
    uint32_t cluster = given && given_bytes >= 4 ? bytes_get_le32(given) : 0;
    const uint8_t *kept = error || !file ? NULL : kept_find(db, old, file, file_bytes, cluster, &kept_bytes);
    if (!error && !given && !kept)
        error = system_fault_set(fault, SYSTEM_FILE_UNREADABLE,
                                 "who the old system's administrators are now is not shown: bring the file `chain` of a backup of one of its "
                                 "clusters, the newest that there is (--chain FILE; predecessor_chain_path)");
    bool longer = kept && kept_bytes > given_bytes;
    if (!error)
        error = successor_verify(statement, old, longer ? kept : given, longer ? kept_bytes : given_bytes, &db->signer, db->system, fault);
    free(given);
    free(file);
    return error;
}

bool client_follow(struct heraclius *db, char *why) {
    struct system *old = NULL;
    struct claim_successor *statement = malloc(sizeof *statement);
    struct system_fault fault = {.text = "no memory"};
    enum system_error error = statement ? system_load(&old, db->predecessor_path, &fault) : SYSTEM_NOTHING_FREE;
    if (!error) error = successor_load(statement, db->statement_path, &fault);
    if (!error) error = judge(db, old, statement, &fault);
    if (error) {
        snprintf(why, HERACLIUS_TEXT_BYTES, "the succession is not followed: %s", fault.text);
    } else {
        memcpy(db->followed_id, old->system_id, sizeof db->followed_id);
        db->follows = true;
    }
    system_free(old);
    free(statement);
    return !error;
}

/* ---- what was done above the cut ---- */

void client_kept_free(struct journal *journal) {
    for (size_t i = 0; i < journal->kept_count; i++) {
        free(journal->kept[i].bytes);
        free(journal->kept[i].settled);
        free(journal->kept[i].effects);
    }
    journal->kept_count = 0;
    journal->kept_bytes = 0;
}

static void oldest_drop(struct journal *journal) {
    journal->kept_bytes -= journal->kept[0].bytes_count;
    free(journal->kept[0].bytes);
    free(journal->kept[0].settled);
    free(journal->kept[0].effects);
    memmove(&journal->kept[0], &journal->kept[1], --journal->kept_count * sizeof journal->kept[0]);
}

void client_kept_add(struct journal *journal, const struct journal_write *write) {
    size_t count = write->bytes_count;
    while (journal->kept_count == JOURNAL_KEPT_MAX || (journal->kept_count > 0 && journal->kept_bytes + count > JOURNAL_KEPT_BYTES_MAX))
        oldest_drop(journal);
    journal->kept[journal->kept_count++] =
        (struct journal_kept){.bytes = write->bytes, .settled = write->settled, .effects = write->effects, .bytes_count = count};
    journal->kept_bytes += count;
}

static bool part_done(const struct journal_kept *kept, struct batch *batch, size_t *at, uint16_t *k, struct batch_part *part,
                      const struct journal_effect **effect) {
    while (batch_part_next(batch, at, part)) {
        uint16_t index = (*k)++;
        *effect = &kept->effects[index];
        if (kept->settled[index] == JOURNAL_DONE) return true;
    }
    return false;
}

/* Heights of two shards say nothing of one another: the first shard at which both took effect decides. Parts ascend by shard (O-20). */
static bool is_before(const struct journal_kept *left, const struct journal_kept *right) {
    struct batch l = {.kind = BATCH_WRITE, .bytes = left->bytes, .bytes_count = (uint32_t)left->bytes_count};
    struct batch r = {.kind = BATCH_WRITE, .bytes = right->bytes, .bytes_count = (uint32_t)right->bytes_count};
    struct batch_part l_part, r_part;
    const struct journal_effect *l_at, *r_at;
    size_t l_next = 0, r_next = 0;
    uint16_t l_k = 0, r_k = 0;
    bool more = part_done(left, &l, &l_next, &l_k, &l_part, &l_at) && part_done(right, &r, &r_next, &r_k, &r_part, &r_at);
    while (more && l_part.shard != r_part.shard) {
        if (l_part.shard < r_part.shard) more = part_done(left, &l, &l_next, &l_k, &l_part, &l_at);
        else more = part_done(right, &r, &r_next, &r_k, &r_part, &r_at);
    }
    if (!more) return false;
    return l_at->height != r_at->height ? l_at->height < r_at->height : l_at->index < r_at->index;
}

/* Into the order in which they happened: before each stands what came before it at a shard of both, the one that was settled first before others. In
 * a circle (batches that were under way at once, one of them first at this shard and the other at that) any is as good. False: no memory. */
static bool kept_order(struct journal *journal) {
    size_t count = journal->kept_count;
    bool *before = calloc(count * count + 1, sizeof *before), *taken = calloc(count + 1, sizeof *taken);
    size_t *waits = calloc(count + 1, sizeof *waits);
    struct journal_kept *sorted = calloc(count + 1, sizeof *sorted);
    bool good = before && taken && waits && sorted;
    for (size_t i = 0; good && i < count * count; i++) {
        before[i] = is_before(&journal->kept[i / count], &journal->kept[i % count]);
        waits[i % count] += before[i];
    }
    for (size_t done = 0; good && done < count; done++) {
        size_t first = count, next = count;
        for (size_t i = count; i-- > 0;) {
            if (taken[i]) continue;
            first = i;
            if (waits[i] == 0) next = i;
        }
        if (next == count) next = first;
        taken[next] = true;
        sorted[done] = journal->kept[next];
        for (size_t i = 0; i < count; i++) waits[i] -= before[next * count + i] && !taken[i];
    }
    if (good) memcpy(journal->kept, sorted, count * sizeof *sorted);
    free(before);
    free(taken);
    free(waits);
    free(sorted);
    return good;
}

/* A batch of several shards is settled part by part, and lies below the cut only if all its parts do. */
static bool above_cut(const struct heraclius *db, const struct journal_kept *kept) {
    struct batch batch = {.kind = BATCH_WRITE, .bytes = kept->bytes, .bytes_count = (uint32_t)kept->bytes_count};
    struct batch_part part;
    size_t at = 0, parts = 0;
    const struct system_cluster *cluster = NULL;
    for (; batch_part_next(&batch, &at, &part); parts++) cluster = system_cluster_by_id(db->system, part.shard);
    return parts != 1 || !cluster || kept->effects[0].height > cluster->origin_height;
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
    size_t before = journal->writes_count;
    bool good = kept_order(journal);
    for (size_t i = 0; good && i < journal->kept_count; i++) {
        const struct journal_kept *kept = &journal->kept[i];
        if (above_cut(db, kept)) good = client_journal_reopen(journal, kept);
    }
    if (before > 0) rotate(journal->writes, journal->writes_count, before);
    client_kept_free(journal);
    return good;
}
