/*
 * A node that takes a checkpoint from its peers goes down again and again in the middle (P-40, P-48): what it had taken and proved is on its disk,
 * so it asks for nothing twice, and comes back in the end.
 */
#include <stdio.h>
#include <string.h>

#include "tests/scenario_replica/replica_scenario.h"

enum { DOWN = 6, KEYS = 90, VALUE_BYTES = 30000, CRASHES = 4, PIECES = 150, MESSAGE_PIECE = 0x0110 };

int main(int argc, char **argv) {
    struct replica_world *rw = rw_create_stored(rs_begin(argc, argv, "P-40, P-48"), RS_CHECKPOINT);
    static uint8_t value[VALUE_BYTES];
    char key[16];
    uint32_t crashed = 0;
    rw_run(rw, 200);
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "large%u", i);
        memset(value, (int)i, sizeof value);
        struct operation put = op_put_bytes(key, value, VALUE_BYTES);
        rs_must(rw, rs_write(rw, i + 1, &put, 20000) >= 0, "a put is answered");
    }
    uint64_t at = rs_leave_behind(rw, DOWN), before = rw->pieces_delivered;
    rw->delay_us_max = 60000; /* it takes a while */
    for (uint32_t crash = 0; crash < CRASHES; crash++) {
        rw->crash_type = MESSAGE_PIECE;
        rw->crash_node = DOWN;
        rw->crash_after = PIECES;
        rw_restart(rw, DOWN);
        for (uint32_t i = 0; i < 100 && rw->crash_type != 0 && rw->nodes[DOWN].transfers == 0; i++) rw_run(rw, 100);
        crashed += !rw->nodes[DOWN].up;
        rw->crash_type = 0;
        if (rw->nodes[DOWN].up) rw_crash(rw, DOWN);
    }
    rs_must(rw, crashed > 0, "it went down after pieces had come");
    rw_restart(rw, DOWN);
    rs_must(rw, rs_is_back(rw, DOWN, at + RS_CHECKPOINT, 30000), "it comes back");
    rs_must(rw, rw->pieces_delivered - before < CRASHES * PIECES, "what it had proved is not asked for again");
    rs_must(rw, rw->nodes[DOWN].transfers > 0, "by a checkpoint of its peers");
    rs_puts(rw, 5);
    return rs_end(rw);
}
