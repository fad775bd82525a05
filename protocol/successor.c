#include "protocol/successor.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/canonical.h"
#include "protocol/config_chain.h"

enum { SYSTEM_KEY_CLIENT_BYTES = 1 + 32, SYSTEM_KEY_CHUNK_BYTES = 1 + 32 + 8 }; /* O-40 */

enum system_error successor_load(struct claim_successor *statement, const char *path, struct system_fault *fault) {
    struct system_fault own;
    size_t count = 0;
    char *bytes = canonical_read_file(path, CLAIM_SUCCESSOR_BYTES_MAX, &count, fault);
    if (!bytes) {
        system_fault_prefix(fault, path);
        return SYSTEM_FILE_UNREADABLE;
    }
    enum system_error error = claim_successor_decode(statement, (const uint8_t *)bytes, count, &own);
    free(bytes);
    return error ? system_fault_set(fault, error, "%.150s: %.200s", path, own.text) : SYSTEM_OK;
}

enum system_error successor_follows(const struct system *predecessor, const struct system *successor, struct system_fault *fault) {
    if (memcmp(successor->predecessor_id, predecessor->system_id, sizeof predecessor->system_id) != 0)
        return system_fault_set(fault, SYSTEM_FOREIGN, "predecessor_id: it succeeds another system");
    if (successor->succession != predecessor->succession + 1)
        return system_fault_set(fault, SYSTEM_SERIAL, "succession: %u does not follow %u", successor->succession, predecessor->succession);
    if (memcmp(successor->partition_key, predecessor->partition_key, sizeof predecessor->partition_key) != 0)
        return system_fault_set(fault, SYSTEM_SERIAL, "partition_key: a successor inherits it");
    if (successor->shards_count != predecessor->shards_count)
        return system_fault_set(fault, SYSTEM_SERIAL, "shards: %u, and the predecessor has %u", successor->shards_count, predecessor->shards_count);
    return SYSTEM_OK;
}

enum system_error successor_named(const struct claim_successor *statement, const struct system *successor, struct system_fault *fault) {
    if (memcmp(statement->predecessor_id, successor->predecessor_id, sizeof statement->predecessor_id) != 0)
        return system_fault_set(fault, SYSTEM_FOREIGN, "it is about a successor of another system");
    if (memcmp(statement->successor_hash, successor->file_hash, sizeof statement->successor_hash) != 0)
        return system_fault_set(fault, SYSTEM_FOREIGN, "it names another system file than SYSTEM");
    return SYSTEM_OK;
}

enum system_error successor_verify(const struct claim_successor *statement, const struct system *predecessor, const uint8_t *chain,
                                   size_t chain_bytes, const struct signer *signer, const struct system *successor, struct system_fault *fault) {
    enum system_error error = successor_follows(predecessor, successor, fault);
    if (error) return error;
    struct bytes_cursor cursor = bytes_cursor_of(chain, chain_bytes);
    uint32_t cluster = bytes_get_u32(&cursor);
    if (cursor.failed)
        return system_fault_set(fault, SYSTEM_TRUNCATED, "no chain of CONFIGs of the old system: who its administrators are now is not shown");
    struct config_chain *known = malloc(sizeof *known);
    if (!known) return system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
    if (!config_chain_genesis(known, predecessor, cluster)) error = system_fault_set(fault, SYSTEM_FOREIGN, "the predecessor has no such cluster");
    if (!error) error = config_chain_extend(known, chain, chain_bytes, signer, fault);
    if (!error) error = claim_successor_verify(statement, &known->config, successor, fault);
    free(known);
    return error;
}

enum system_error successor_window_fits(const struct config *cut, const struct system *successor, struct system_fault *fault) {
    if (successor->limits.number_window >= cut->limits.number_window) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_LIMITS_CONFLICT, "number_window: %u, and that of shard %u at the cut is %u: it must not be less",
                            successor->limits.number_window, config_cluster_index(cut->members.cluster), cut->limits.number_window);
}

bool successor_keeps(const struct checkpoint_entry *entry) {
    if (entry->space == TRIE_SPACE_USER) return true;
    return (entry->key[0] == 'w' && entry->key_bytes == SYSTEM_KEY_CLIENT_BYTES) ||
           (entry->key[0] == 'r' && entry->key_bytes == SYSTEM_KEY_CHUNK_BYTES);
}
