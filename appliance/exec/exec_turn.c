/* When a slice is cut (D-18, D-19). */
#include "appliance/exec/exec_turn.h"

static bool turn_idle(const struct exec_turn *turn) {
    return turn->sent_dseq == turn->acked_dseq;
}

/* Something waits, and the other side is not too far behind with its answers. */
static bool turn_may(const struct exec_turn *turn) {
    return turn->pending_items > 0 && turn->unfinished_count < EXEC_UNFINISHED_MAX;
}

void exec_turn_consumed(struct exec_turn *turn, uint64_t ack, uint64_t bytes, bool has_items) {
    if (has_items) turn->consumed_bytes += bytes;
    if (ack > turn->acked_dseq && ack <= turn->sent_dseq) turn->acked_dseq = ack;
}

bool exec_turn_now(const struct exec_turn *turn, const struct system_limits *limits, uint64_t height) {
    if (turn->pending_items == 0) return turn->consumed_bytes >= limits->unacked_bytes_max;
    return turn_may(turn) && (limits->queue_policy == 1 || turn_idle(turn) || turn->pending_ops >= limits->enough_ops ||
                              turn->pending_bytes >= limits->enough_bytes || height - turn->oldest_height >= limits->due_blocks);
}

bool exec_turn_busy(const struct exec_turn *turn, const struct system_limits *limits) {
    return turn->pending_items > 0 || turn->consumed_bytes >= limits->unacked_bytes_max;
}

bool exec_turn_ready(const struct exec_turn *turn, const struct system_limits *limits, const struct system_timeouts *timeouts, uint64_t height,
                     uint64_t time) {
    return exec_turn_now(turn, limits, height) || (turn_may(turn) && time - turn->oldest_time >= timeouts->due_ms);
}

uint64_t exec_turn_due_ms(const struct exec_turn *turn, const struct system_timeouts *timeouts) {
    return turn_may(turn) ? turn->oldest_time + timeouts->due_ms : UINT64_MAX;
}

bool exec_turn_cut(struct exec_turn *turn, uint32_t items, uint32_t ops, uint64_t bytes, uint64_t height, uint64_t time) {
    bool acknowledgement = turn->pending_items == 0, idle = turn_idle(turn);
    turn->sent_dseq++;
    turn->consumed_bytes = 0;
    if (acknowledgement) {
        if (idle) turn->acked_dseq = turn->sent_dseq;
        return true;
    }
    turn->pending_items -= items;
    turn->pending_ops -= ops;
    turn->pending_bytes -= bytes;
    turn->oldest_time = turn->pending_items > 0 ? time : 0;
    turn->oldest_height = turn->pending_items > 0 ? height : 0;
    return false;
}
