#include "appliance/replica/replica_measure.h"

#include "appliance/replica/replica_private.h"

void measure_prepared(struct replica *r, const struct bft_hash *id) {
    uint32_t index = block_find(r, id);
    if (r->replaying || index == NONE || r->blocks[index].prepared_us > 0) return;
    r->blocks[index].prepared_us = r->now_us;
    histogram_between(&r->status.prepare_us, r->blocks[index].seen_us, r->now_us);
}

void measure_executed(struct replica *r, const struct execution_job *job) {
    const struct exec_counts *counts = &job->result.counts;
    uint64_t ops = (uint64_t)counts->ops_read + counts->ops_written;
    if (job->status != EXEC_VALID || r->replaying) return;
    if (job->took_us > 0) histogram_add(&r->status.execute_us, job->took_us);
    if (ops > 0) histogram_add(&r->status.block_ops, ops);
}
