/*
 * A whole shard cluster burns (S-140, S-142, S-144). What is left: a backup, k administrators, and clients that still know what they signed. The
 * successor goes on from the backup's certified root, at other heights. Clients sign anew, under the old numbers, all that they ever wrote, since
 * nobody need know on which side of the cut a write lies: each takes effect once. And who copied what was signed for the old system sends that, too.
 */
#include <stdlib.h>

#include "appliance/replica/replica_private.h"
#include "tests/scenario_replica/succession.h"

enum { SHARD = RW_CLUSTER, ABOVE = 8, HEIGHT_BITS = 48 };

/* Does any node of the new system do something with the bytes of a write as they were signed for the old one? */
static bool old_bytes_do_something(struct replica_world *old, struct replica_world *new, const struct rs_writes *writes, uint32_t number) {
    struct operation add = op_add("sum", 1);
    uint32_t count;
    old->nonce = writes->of[number - 1].nonce - 1;
    uint8_t digest[32], *batch = rw_batch(old, BATCH_WRITE, number, &add, 1, &count, digest);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) rw_send(new, node, MESSAGE_BATCH, batch, count);
    rw_run(new, 1000);
    free(batch);
    return rw_answer(new, digest) != NULL;
}

int main(int argc, char **argv) {
    static struct rs_writes writes;
    static struct rs_heritage heritage;
    static struct rs_successor one_signed, successor;
    struct client_item item;
    char folder[64];
    uint64_t seed = rs_begin(argc, argv, "S-140, S-142, S-144");
    struct replica_world *old = rs_predecessor(seed);
    rs_folder_make(folder);
    rw_run(old, 300);
    rs_heritage_take(old, &writes, &heritage);
    for (int i = 0; i < ABOVE; i++) rs_must(old, rs_write_next(old, &writes, 20000) > heritage.height, "writes lie above the cut");
    rs_must(old, writes.of[0].height <= heritage.height, "and below it");
    for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) rw_crash(old, i); /* and never again */
    rs_must(old, rs_write_next(old, &writes, 1000) == 0, "the shard has burned, and a write is not answered");

    rs_successor_make(&one_signed, &heritage, folder, "one-signed", 1u << 0);
    rs_must(old, !rs_successor_valid(old, 0, &one_signed), "one administrator of two cannot begin a successor");
    rs_successor_make(&successor, &heritage, folder, "successor", 1u << 0 | 1u << 2);
    rs_must(old, rs_successor_valid(old, 0, &successor), "two can");
    struct replica_world *new = rs_successor_world(seed + 1, &successor, &heritage);
    rw_run(new, 300);
    rs_must(new, !old_bytes_do_something(old, new, &writes, writes.count), "what was signed for the old system means nothing in the new one");
    for (uint32_t number = 1; number <= writes.count; number++) {
        uint64_t height = writes.of[number - 1].height;
        int code = rs_write_again(new, &writes, number, &item);
        if (height > 0 && height <= heritage.height)
            rs_must(new, code == CODE_RECORDED && item.height == height, "what lies below the cut is on record, where it took effect");
        else
            rs_must(new, code == CODE_OK && item.height >> HEIGHT_BITS == 1, "what lies above, or had no answer, takes effect now, and higher");
        writes.of[number - 1].height = item.height;
    }
    for (uint32_t number = 1; number <= writes.count; number++) {
        (void)rs_write_again(new, &writes, number, &item);
        rs_must(new, item.height == writes.of[number - 1].height, "who asks once more is told the same");
    }
    rs_must(new, rs_sum(new) == (int64_t)writes.count, "each write took effect once");
    rw_destroy(old);
    int code = rs_end(new);
    rs_successor_free(&one_signed);
    rs_successor_free(&successor);
    rs_heritage_free(&heritage);
    rs_folder_remove(folder);
    return code;
}
