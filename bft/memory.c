/*
 * The voting memory as one record (spec/consensus.md B-60). Local format, never sent:
 *
 *   offset size name
 *   0      4    magic "HRm1"
 *   4      60   place: system_id, config_hash, cluster, epoch
 *   64     40   start: height, id
 *   104    8    view
 *   112    1    flags: 1 timed out, 2 prepared, 4 committed, 8 high, 16 TC, 32 joined, 64 the timed-out high has a QC
 *   113    3    zero
 *   116    ...  by flags, in this order: prepared (80), committed (80), timed-out high (48) [and QC], high QC, TC, joined
 *
 * A ballot is stored without its place: view, height, block_id, outbox_root.
 */
#include "bft/memory.h"

#include "bft/wire.h"
#include "merkle/check.h"

enum { MAGIC = 0x316D5248 };
enum flag { TIMED_OUT = 1, PREPARED = 2, COMMITTED = 4, HIGH = 8, HAS_TC = 16, JOINED = 32, TIMEOUT_QC = 64, FLAGS_ALL = 127 };

_Static_assert(116 + 80 + 80 + 48 + 2 * BFT_QC_BYTES_MAX + 2 * BFT_TC_BYTES_MAX <= BFT_MEMORY_BYTES_MAX, "the largest memory fits");

static void ballot_put(struct bytes_writer *writer, const struct bft_ballot *ballot) {
    bytes_put_u64(writer, ballot->view);
    bytes_put_u64(writer, ballot->height);
    bytes_put_hash(writer, ballot->block_id.bytes);
    bytes_put_hash(writer, ballot->outbox_root.bytes);
}

static void ballot_get(struct bytes_cursor *cursor, const struct bft_place *place, struct bft_ballot *ballot) {
    ballot->place = *place;
    ballot->view = bytes_get_u64(cursor);
    ballot->height = bytes_get_u64(cursor);
    bytes_get_hash(cursor, ballot->block_id.bytes);
    bytes_get_hash(cursor, ballot->outbox_root.bytes);
}

size_t bft_memory_encode(const struct bft_memory *memory, uint8_t out[BFT_MEMORY_BYTES_MAX]) {
    struct bytes_writer writer = bytes_writer_of(out, BFT_MEMORY_BYTES_MAX);
    bytes_put_u32(&writer, MAGIC);
    bytes_put_raw(&writer, memory->place.system_id, BFT_SYSTEM_BYTES);
    bytes_put_hash(&writer, memory->place.config_hash.bytes);
    bytes_put_u32(&writer, memory->place.cluster);
    bytes_put_u64(&writer, memory->place.epoch);
    bytes_put_u64(&writer, memory->start.height);
    bytes_put_hash(&writer, memory->start.id.bytes);
    bytes_put_u64(&writer, memory->view);
    bool timeout_qc = memory->timed_out && memory->timeout_qc.count > 0;
    int flags = (memory->timed_out ? TIMED_OUT : 0) | (memory->has_prepared ? PREPARED : 0) | (memory->has_committed ? COMMITTED : 0) |
                (memory->has_high ? HIGH : 0) | (memory->tc.count > 0 ? HAS_TC : 0) | (memory->joined.count > 0 ? JOINED : 0) |
                (timeout_qc ? TIMEOUT_QC : 0);
    bytes_put_u32(&writer, (uint32_t)flags);
    if (memory->has_prepared) ballot_put(&writer, &memory->prepared);
    if (memory->has_committed) ballot_put(&writer, &memory->committed);
    if (memory->timed_out) {
        bytes_put_u64(&writer, memory->timeout_high.view);
        bytes_put_u64(&writer, memory->timeout_high.block.height);
        bytes_put_hash(&writer, memory->timeout_high.block.id.bytes);
        if (timeout_qc) bft_qc_put(&writer, &memory->timeout_qc);
    }
    if (memory->has_high) bft_qc_put(&writer, &memory->high_qc);
    if (memory->tc.count > 0) bft_tc_put(&writer, &memory->tc);
    if (memory->joined.count > 0) bft_tc_put(&writer, &memory->joined);
    CHECK(!writer.failed);
    return writer.used;
}

bool bft_memory_decode(const uint8_t *bytes, size_t bytes_count, struct bft_memory *memory) {
    memset(memory, 0, sizeof *memory);
    struct bytes_cursor cursor = bytes_cursor_of(bytes, bytes_count);
    bytes_require(&cursor, bytes_get_u32(&cursor) == MAGIC);
    bytes_get_copy(&cursor, memory->place.system_id, BFT_SYSTEM_BYTES);
    bytes_get_hash(&cursor, memory->place.config_hash.bytes);
    memory->place.cluster = bytes_get_u32(&cursor);
    memory->place.epoch = bytes_get_u64(&cursor);
    memory->start.height = bytes_get_u64(&cursor);
    bytes_get_hash(&cursor, memory->start.id.bytes);
    memory->view = bytes_get_u64(&cursor);
    uint32_t flags = bytes_get_u32(&cursor);
    bytes_require(&cursor, (flags & ~(uint32_t)FLAGS_ALL) == 0 && ((flags & TIMEOUT_QC) == 0 || (flags & TIMED_OUT) != 0));
    memory->timed_out = (flags & TIMED_OUT) != 0;
    memory->has_prepared = (flags & PREPARED) != 0;
    memory->has_committed = (flags & COMMITTED) != 0;
    memory->has_high = (flags & HIGH) != 0;
    if (memory->has_prepared) ballot_get(&cursor, &memory->place, &memory->prepared);
    if (memory->has_committed) ballot_get(&cursor, &memory->place, &memory->committed);
    if (memory->timed_out) {
        memory->timeout_high.view = bytes_get_u64(&cursor);
        memory->timeout_high.block.height = bytes_get_u64(&cursor);
        bytes_get_hash(&cursor, memory->timeout_high.block.id.bytes);
        if ((flags & TIMEOUT_QC) != 0) bft_qc_get(&cursor, &memory->timeout_qc, NULL);
    }
    if (memory->has_high) bft_qc_get(&cursor, &memory->high_qc, NULL);
    if ((flags & HAS_TC) != 0) bft_tc_get(&cursor, &memory->tc, NULL);
    if ((flags & JOINED) != 0) bft_tc_get(&cursor, &memory->joined, NULL);
    return bytes_finished(&cursor);
}
