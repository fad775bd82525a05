/*
 * Succession (spec/system.md 7.12): the files of it, and what a successor keeps of its predecessor's state.
 *
 * Contract
 *   successor_load() reads a statement's file; successor_verify() judges it by the predecessor's CONFIG. A statement that is valid says what k
 *   administrators signed, not that it is wise: which roots were chosen, and what they lose, is theirs to look at (`heraclius successor show`).
 */
#ifndef PROTOCOL_SUCCESSOR_H
#define PROTOCOL_SUCCESSOR_H

#include "bft/signer.h"
#include "protocol/checkpoint.h"
#include "protocol/claim.h"
#include "protocol/system.h"

/* A statement from its file. The fault begins with the path. */
enum system_error successor_load(struct claim_successor *statement, const char *path, struct system_fault *fault) __attribute__((warn_unused_result));

/* S-140, signatures apart: a system file that may succeed this one. */
enum system_error successor_follows(const struct system *predecessor, const struct system *successor, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* S-142, signatures apart: the statement is about this successor of its predecessor. */
enum system_error successor_named(const struct claim_successor *statement, const struct system *successor, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* S-140 and S-142, by the CONFIG at the end of a chain of one of the predecessor's clusters (a CONFIG_CHAIN payload from serial 1 on; one without
 * entries means genesis' administrators, none at all means nobody's: who they are now is to be shown). */
enum system_error successor_verify(const struct claim_successor *statement, const struct system *predecessor, const uint8_t *chain,
                                   size_t chain_bytes, const struct signer *signer, const struct system *successor, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* S-144: records of numbers stay, so the successor looks for them no less far than the shard did by this CONFIG, the one at its cut. */
enum system_error successor_window_fits(const struct config *cut, const struct system *successor, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* S-144: does this entry of an origin's state stay? */
bool successor_keeps(const struct checkpoint_entry *entry);

/* Is the state of this cluster of the successor made from an origin? */
static inline bool successor_has_origin(const struct system *system, uint32_t cluster) {
    static const uint8_t none[32];
    const struct system_cluster *it = system_cluster_by_id(system, cluster);
    return it != NULL && system->succession > 0 && config_cluster_is_shard(cluster) && memcmp(it->origin_root, none, sizeof none) != 0;
}

#endif
