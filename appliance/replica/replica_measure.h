/* Private to the replica: what is measured of blocks on their way, into the histograms of its status. Nothing else depends on it. */
#ifndef APPLIANCE_REPLICA_MEASURE_H
#define APPLIANCE_REPLICA_MEASURE_H

struct bft_hash;
struct execution_job;
struct replica;

/* My COMMIT for this block was just signed: it is prepared. */
void measure_prepared(struct replica *r, const struct bft_hash *id);
/* A BLOCK job is done. */
void measure_executed(struct replica *r, const struct execution_job *job);

#endif
