/*
 * A node takes a checkpoint from its peers, and one of them sends pieces with a changed value (P-36, P-44): each piece is proved against the
 * certified root, so the liar is named, and the node comes back with the true state.
 */
#include "tests/scenario_replica/replica_scenario.h"

#include "protocol/checkpoint.h"

enum { DOWN = 5, LIAR = 4, MESSAGE_PIECE = 0x0110 };

static uint64_t lied;

static bool lie_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct blob *given;
    (void)context;
    (void)to;
    if (type != MESSAGE_PIECE || *count != 1 || pieces[0].count <= 100) return true;
    if (blob_piece_bytes(&pieces[0])[40] != CHECKPOINT_ENTRIES) return true;
    blob_drop(given);
    given = blob_copy(blob_piece_bytes(&pieces[0]), pieces[0].count);
    given->bytes[given->count - 1] ^= 1; /* in the value of the last entry */
    pieces[0] = (struct blob_piece){.blob = given, .count = given->count};
    lied++;
    return true;
}

int main(int argc, char **argv) {
    struct replica_world *rw = rw_create_stored(rs_begin(argc, argv, "P-36, P-44"), RS_CHECKPOINT);
    rw_run(rw, 200);
    rs_puts(rw, 30);
    uint64_t at = rs_leave_behind(rw, DOWN);
    rw->nodes[LIAR].hooks.send = lie_send;
    rw_restart(rw, DOWN);
    rs_must(rw, rs_is_back(rw, DOWN, at + RS_CHECKPOINT, 5000), "it comes back");
    rw->nodes[LIAR].hooks.send = NULL;
    rs_must(rw, lied > 0, "a helper lied");
    rs_must(rw, rw->nodes[DOWN].bad_members == 1u << (LIAR % RW_CLUSTER), "it is named, and nobody else");
    rs_puts(rw, 5);
    return rs_end(rw);
}
