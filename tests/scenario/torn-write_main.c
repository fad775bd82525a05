/*
 * Power goes while a block's body is being written, and the second half of it never reached the disk, though the disk had said so (P-2, P-8): the
 * node finds at its start that the body is not the one of its header, and does not start from it.
 */
#include "tests/scenario/scenario.h"

#include "appliance/node/node.h"

/* The newest body with references; its second half is as if it had never been written. */
static bool tear(struct wal *wal) {
    struct sys_record *newest = NULL;
    uint64_t epoch, height, best = 0;
    const uint8_t *id;
    uint8_t part;
    for (uint32_t i = 0; i < wal->bucket_count; i++) {
        for (struct sys_record *at = wal->buckets[i]; at != NULL; at = at->next) {
            if (at->db != WAL_BLOCKS || at->count <= BODY_HEAD_BYTES) continue;
            wal_key_block_read(at->key, &epoch, &height, &id, &part);
            if (part != WAL_PART_BODY || height < best) continue;
            best = height;
            newest = at;
        }
    }
    if (newest == NULL) return false;
    memset(newest->bytes + newest->count / 2, 0, newest->count - newest->count / 2);
    return true;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "P-2, P-8");
    scenario_start(&s);
    uint32_t node = scenario_node(&s, 1, 3);
    scenario_load(&s, 20, 20000);
    s.world->nodes[node].doubtful = true;
    scenario_crash(&s, node);
    scenario_must(&s, tear(&s.world->nodes[node].wal), "a write was torn");
    scenario_restart(&s, node);
    scenario_must(&s, !s.world->nodes[node].up, "it does not start");
    scenario_load(&s, 10, 20000);
    return scenario_end(&s);
}
