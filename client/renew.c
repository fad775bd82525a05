/*
 * A write whose number is behind: an old journal was restored, or the key was used in another place, so that the shard's floor (O-41) has passed the
 * numbers that this journal would give next, or another run of the key has used them. The numbers of that shard are then asked for as after a lost
 * journal (numbers.c), and the write goes out once more, under one fresh number; a second refusal stands.
 *
 * Why this does not apply a write twice. The write has two numbers, N and then M. M leaves only after N's answer was verified, and N's answer settles
 * N: it can take effect no more (O-43). So it is applied twice only if N *had* taken effect before that answer, and its record was gone:
 *
 *   REUSED    cannot be so: N's record is there, of another content, and a number is executed once.
 *   TOO-OLD   would need three things in this order, after N was signed here: N is executed, the floor passes N, N is decided again.
 *             This run's own writes never lift the floor past N, since N is open in the journal. Another write of this key that does so is signed by
 *             another run.
 *             - A run that went on from a later state of this very journal used N itself, first, and no floor that it signed passes N before its N
 *               is settled. Then N is recorded or passed already, and ours never executes: REUSED, CANCELLED or TOO-OLD from the start.
 *             - A run of a copy of the key (or one that had lost its journal) signed a floor beyond N without using N. If that write was decided
 *               before N was signed here, N never executes. If it is still under way, the floor may pass N after N took effect; that is why TOO-OLD
 *               gets a second number only if N was sent to one node, once: an honest node hands on a batch once and gives the client the answers
 *               in the order of their blocks, so TOO-OLD is the first and only decision on N, and nothing was executed.
 *             What is left is a key that is in use in two places at the same time and, besides, a node that lies by having the batch decided a second
 *             time and keeping the first answer to itself. A key in two places is outside of what is promised (docs/guarantees.md); a system whose
 *             keys are each in one place has no such case.
 *
 * When TOO-OLD comes for a write that was sent more than once, the write is refused, as ever; but only when the numbers are known, so that the next
 * write, in this run or another, does not meet the same refusal.
 */
#include "client/client.h"
#include "merkle/check.h"
#include "protocol/operation.h"

bool client_renew_begin(struct part *part, uint8_t code, uint64_t height) {
    struct sending *sending = part->sending;
    struct heraclius *db = sending->request->db;
    bool behind = code == CODE_TOO_OLD || (code == CODE_REUSED && height > 0);
    if (!behind || part->renewed || client_request_number(sending->request)) return false;
    part->state = PART_RENEWING;
    part->renewable = code == CODE_REUSED || sending->copies == 1;
    (void)client_journal_settled(db, part->shard, part->number, 0, 0);
    client_numbers_forget(db, part->shard, part->number);
    return true;
}

/* The refusal stands after all. True: that was the request's end, and it may be gone. */
static bool refuse(struct part *part) {
    struct heraclius_request *request = part->sending->request;
    uint32_t open = 0;
    for (int kind = 0; kind < 2; kind++) open += request->sendings[kind] ? request->sendings[kind]->parts_open : 0;
    client_engine_part_end(part, PART_REFUSED, 0);
    return open == 1;
}

bool client_renew_end(struct sending *sending) {
    for (uint32_t i = 0; i < sending->part_count; i++) {
        if (sending->parts[i].state == PART_RENEWING && refuse(&sending->parts[i])) return true;
    }
    return false;
}

/* The open parts, all of which are RENEWING, as a batch of fresh numbers: journaled before it leaves, like any other. */
static bool again(struct sending *sending, uint64_t now_ms) {
    struct heraclius *db = sending->request->db;
    for (uint32_t i = 0; i < sending->part_count; i++) {
        struct part *part = &sending->parts[i];
        if (part->state != PART_RENEWING) continue;
        part->state = PART_WAITING;
        part->renewed = true;
        part->number = client_numbers_take(db, part->shard);
    }
    sending->durable = sending->sent = sending->elsewhere = false;
    sending->copies = sending->refusals = 0;
    sending->retry_at_ms = 0;
    sending->given_ms = sending->first_ms = now_ms;
    sending->first_node = sending->node;
    sending->resend_at_ms = now_ms + db->resend_ms;
    if (!client_sending_rebuild(sending)) return false;
    for (uint32_t i = 0; i < sending->part_count; i++) {
        if (sending->parts[i].state == PART_WAITING) client_part_digest(&sending->parts[i]);
    }
    return client_journal_sent(db, sending);
}

bool client_renew_go(struct sending *sending, uint64_t now_ms) {
    struct heraclius *db = sending->request->db;
    uint32_t ready = 0;
    for (uint32_t i = 0; i < sending->part_count; i++) {
        struct part *part = &sending->parts[i];
        if (part->state != PART_RENEWING) continue;
        bool known = client_numbers_known(db, part->shard, now_ms);
        bool stands = known ? !part->renewable : db->numbers[part->shard].refusal != 0;
        if (stands && refuse(part)) return true;
        if (!stands && known && client_numbers_room(db, part->shard)) ready++;
    }
    /* Not before the rest of the batch has its end: then no number is in two batches of the journal. */
    if (ready == 0 || ready < sending->parts_open) return false;
    if (!again(sending, now_ms)) db->journal.pending.failed = true; /* the next sync says so, and ends the request */
    return false;
}
