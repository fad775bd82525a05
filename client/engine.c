/*
 * heraclius_poll(): what to send where, when to ask another node, when to give up.
 *
 * A sending goes to the node that answered such a one last (groups.c). Without an answer within resend_ms (or longer, up to four times that, from a
 * node that meanwhile answers what it was asked before, or answers as late: patience.c) it also goes to the next one, and so on round all coordinator
 * nodes, cluster after cluster; whichever answers first with proof wins, and the others' answers match nothing any more. A lost link moves its
 * sendings at once. Nothing here decides what is true: answer.c does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "client/client.h"
#include "merkle/check.h"
#include "protocol/operation.h"
#include "ring/clock.h"
#include "ring/entropy.h"

enum { EVENTS = 32, TICK_MS = 20, CANCEL_MS = 10000, MESSAGE_BATCH = 0x0301 };

static uint32_t chain_of(const uint8_t digest[32]) {
    return bytes_get_le32(digest) % CLIENT_CHAINS;
}

void client_digest_insert(struct heraclius *db, struct part *part) {
    struct part **head = &db->chains[chain_of(part->digest)];
    part->chain = *head;
    *head = part;
}

void client_digest_remove(struct heraclius *db, struct part *part) {
    struct part **at = &db->chains[chain_of(part->digest)];
    while (*at && *at != part) at = &(*at)->chain;
    if (*at) *at = part->chain;
}

struct part *client_digest_find(struct heraclius *db, const uint8_t digest[32]) {
    for (struct part *part = db->chains[chain_of(digest)]; part; part = part->chain) {
        if (memcmp(part->digest, digest, 32) == 0) return part;
    }
    return NULL;
}

/* Is there a part that an answer to its batch can help? */
static bool sending_waits(const struct sending *sending) {
    for (uint32_t i = 0; i < sending->part_count; i++) {
        if (sending->parts[i].state == PART_WAITING || sending->parts[i].state == PART_RETRY) return true;
    }
    return false;
}

static void sending_to(struct sending *sending, uint32_t node, bool first, uint64_t now_ms) {
    struct heraclius *db = sending->request->db;
    if (first) {
        sending->first_node = node;
        sending->first_ms = now_ms;
    }
    sending->node = node;
    sending->sent = false;
    sending->given_ms = now_ms;
    sending->resend_at_ms = now_ms + db->resend_ms;
}

/* Is another node to be asked? One that works off what it was asked before, or is late with everything, does what it can; but not even it may keep
 * one sending back for ever. */
static bool resend_due(struct sending *sending, uint64_t now_ms) {
    const struct heraclius *db = sending->request->db;
    const struct node *node = &db->nodes[sending->node];
    if (sending->retry_at_ms || now_ms < sending->resend_at_ms) return false;
    bool answering = node->state == NODE_UP && node->answered_ms > sending->given_ms && sending->resend_at_ms > 0;
    uint64_t most_ms = (uint64_t)CLIENT_RESEND_ANSWERING * db->resend_ms, patient_ms = most_ms;
    bool overtaken = node->answered_of_ms > sending->given_ms;
    if (overtaken) patient_ms = patience_ms(&db->patience, db->resend_ms, most_ms, now_ms);
    if (!answering || now_ms >= sending->given_ms + patient_ms) return true;
    sending->resend_at_ms = now_ms + db->resend_ms / CLIENT_RESEND_LOOKS;
    return false;
}

/* Another batch_id, of the same intent: whoever decided the former and has no answer to it any more decides this one. False: no memory. */
static bool sending_anew(struct sending *sending, uint32_t node, uint64_t now_ms) {
    sending->anew_at_ms = now_ms + (uint64_t)CLIENT_ANEW_RESENDS * sending->request->db->resend_ms;
    if (!client_sending_rebuild(sending)) return false;
    sending_to(sending, node, true, now_ms);
    return true;
}

static void sending_go(struct sending *sending, uint64_t now_ms) {
    struct heraclius *db = sending->request->db;
    if (sending->sent || !sending->durable || sending->retry_at_ms || !sending_waits(sending)) return;
    struct node *node = &db->nodes[sending->node];
    client_node_want(node, now_ms);
    if (node->state != NODE_UP) return;
    sending->sent = client_node_send(node, MESSAGE_BATCH, sending->batch.bytes, sending->batch.used, now_ms);
    sending->copies++; /* also when the link was lost with half of it under way */
}

void client_engine_up(struct node *node, uint64_t now_ms) {
    struct heraclius *db = node->db;
    client_chain_ask(node, now_ms);
    for (struct sending *sending = db->sendings; sending && node->state == NODE_UP; sending = sending->next) {
        if (sending->node == node->index) sending_go(sending, now_ms);
    }
}

void client_engine_down(struct node *node, uint64_t now_ms) {
    struct heraclius *db = node->db;
    for (struct sending *sending = db->sendings; sending; sending = sending->next) {
        if (sending->node == node->index) sending_to(sending, client_group_next(sending, now_ms), true, now_ms);
    }
}

void client_engine_start(struct heraclius_request *request, uint64_t now_ms) {
    struct heraclius *db = request->db;
    request->state = REQUEST_PENDING;
    for (int kind = 0; kind < 2; kind++) {
        struct sending *sending = request->sendings[kind];
        if (!sending) continue;
        sending->next = db->sendings;
        if (db->sendings) db->sendings->previous = sending;
        db->sendings = sending;
        sending_to(sending, client_group_first(sending, now_ms), true, now_ms);
        sending->anew_at_ms = now_ms + (uint64_t)CLIENT_ANEW_RESENDS * db->resend_ms;
        /* What has a number already was journaled by an earlier sending, which is durable: settle.c waits for that, a CANCEL follows an answer. */
        sending->durable = sending->kind == BATCH_READ || client_request_number(request) != 0;
        /* At once, not when it is synced: the floor of whatever is built next must not pass this write's number. */
        if (!sending->durable && !client_journal_sent(db, sending)) db->journal.pending.failed = true;
        sending->retry_wait_ms = CLIENT_RETRY_MIN_MS;
    }
}

void client_engine_end(struct heraclius_request *request, enum heraclius_status status) {
    struct heraclius *db = request->db;
    request->state = REQUEST_ENDED;
    request->status = status;
    for (int kind = 0; kind < 2; kind++) {
        struct sending *sending = request->sendings[kind];
        if (!sending) continue;
        client_engine_cancels_drop(sending);
        for (uint32_t i = 0; i < sending->part_count; i++) client_digest_remove(db, &sending->parts[i]);
        if (sending->previous) sending->previous->next = sending->next;
        if (sending->next) sending->next->previous = sending->previous;
        if (db->sendings == sending) db->sendings = sending->next;
        sending->next = sending->previous = NULL;
    }
    if (!request->internal) db->ended++;
    bool internal = request->internal;
    if (request->callback) request->callback(request, status, request->argument);
    if (internal) heraclius_request_free(request);
}

/* All parts have an end: which one does the request have? */
static void request_finish(struct heraclius_request *request) {
    enum heraclius_status status = HERACLIUS_DONE;
    request->why[0] = 0;
    for (int kind = 0; kind < 2; kind++) {
        const struct sending *sending = request->sendings[kind];
        for (uint32_t i = 0; sending && i < sending->part_count; i++) {
            const struct part *part = &sending->parts[i];
            bool refused = part->state == PART_REFUSED && status != HERACLIUS_UNSETTLED;
            if (!refused && part->state != PART_UNSETTLED) continue;
            status = refused ? HERACLIUS_REFUSED : HERACLIUS_UNSETTLED;
            bool behind = refused && part->code == CODE_TOO_OLD && !client_request_number(request);
            client_request_why(request, "shard %u: %s%s", part->shard, operation_code_name(part->code),
                               behind
                                   ? ": this client's numbers were behind: an old journal, or the key is in use elsewhere. The next write gets new "
                                     "ones. This one takes no effect any more; whether it did before is not recorded"
                               : refused ? ""
                                         : ", and whether an earlier sending takes effect is not known");
        }
    }
    client_engine_end(request, status);
}

void client_engine_part_done(struct part *part) {
    struct sending *sending = part->sending;
    struct heraclius_request *request = sending->request;
    CHECK(sending->parts_open > 0);
    sending->parts_open--;
    for (int kind = 0; kind < 2; kind++) {
        if (request->sendings[kind] && request->sendings[kind]->parts_open > 0) return;
    }
    request_finish(request);
}

void client_engine_part_retry(struct part *part, uint8_t code, uint32_t wait_ms, uint64_t now_ms) {
    struct sending *sending = part->sending;
    sending->request->db->counters.busy++;
    sending->request->db->counters.busy_operations += part->op_count;
    part->state = PART_RETRY;
    part->code = code;
    client_request_why(sending->request, "shard %u: %s", part->shard, operation_code_name(code));
    if (sending->retry_at_ms) return;
    uint32_t wait = wait_ms > sending->retry_wait_ms ? wait_ms : sending->retry_wait_ms;
    sending->retry_at_ms = now_ms + wait + ring_entropy_u64() % (wait / 2 + 1);
    sending->retry_wait_ms = sending->retry_wait_ms * 2 > CLIENT_RETRY_MAX_MS ? CLIENT_RETRY_MAX_MS : sending->retry_wait_ms * 2;
}

static void cancel_came(struct heraclius_request *cancel, enum heraclius_status status, void *argument);

void client_engine_part_end(struct part *part, enum part_state state, uint64_t height) {
    struct heraclius *db = part->sending->request->db;
    part->state = state;
    if (state == PART_REFUSED) {
        client_answer_code(part, part->code, height);
        if (part->sending->kind == BATCH_WRITE) (void)client_journal_settled(db, part->shard, part->number, 0, 0);
    }
    client_engine_part_done(part);
}

/*
 * A refusal does not settle a write's number (O-43): a CANCEL does, and only after it the write is reported as refused. What settles it by itself:
 * TOO-OLD; REUSED, since the number has another outcome on record; and REVOKED by the shard, which closed all numbers of this client. A refused
 * CANCEL, or REVOKED by coordinators alone, leaves it open for good as far as this client can do anything about it. A number of this run that was
 * TOO-OLD or REUSED was behind from the start: renew.c.
 */
void client_engine_part_refused(struct part *part, uint8_t code, uint64_t height, uint64_t now_ms) {
    struct sending *sending = part->sending;
    struct heraclius *db = sending->request->db;
    bool settles = code == CODE_TOO_OLD || code == CODE_REUSED || (code == CODE_REVOKED && height > 0);
    part->code = code;
    if (sending->kind == BATCH_WRITE && client_renew_begin(part, code, height)) return;
    if (sending->kind == BATCH_READ || settles) {
        client_engine_part_end(part, PART_REFUSED, height);
        return;
    }
    if (sending->request->cancel_number || code == CODE_REVOKED) {
        client_engine_part_end(part, PART_UNSETTLED, 0);
        return;
    }
    part->state = PART_CANCELLING;
    struct heraclius_request *cancel = client_request_internal(db);
    if (!cancel) return; /* the write's own time-out reports it as unsettled */
    cancel->cancel_number = part->number;
    cancel->cancel_shard = part->shard;
    cancel->cancel_of = part;
    uint64_t left = sending->request->deadline_ms > now_ms ? sending->request->deadline_ms - now_ms : 1;
    if (heraclius_submit(cancel, (uint32_t)(left < CANCEL_MS ? left : CANCEL_MS), cancel_came, part) == HERACLIUS_OK) return;
    heraclius_request_free(cancel);
}

static void cancel_came(struct heraclius_request *cancel, enum heraclius_status status, void *argument) {
    struct part *part = argument;
    struct sending *sending = part->sending;
    cancel->cancel_of = NULL; /* it is at its end: the write must not free it any more */
    if (status != HERACLIUS_DONE) {
        client_engine_part_end(part, PART_UNSETTLED, 0);
    } else if (cancel->sendings[1]->parts[0].code == CODE_CANCELLED) {
        client_engine_part_end(part, PART_REFUSED, 0);
    } else {
        part->state = PART_RETRY; /* it took effect after all: ask for the recorded outcome */
        sending->retry_at_ms = ring_clock_ms();
    }
}

/* The first request of a list that is a CANCEL for a part of this sending. */
static struct heraclius_request *cancel_for(const struct sending *sending) {
    struct heraclius *db = sending->request->db;
    for (struct heraclius_request *held = db->held; held; held = held->next) {
        if (held->cancel_of && held->cancel_of->sending == sending) return held;
    }
    for (struct sending *other = db->sendings; other; other = other->next) {
        if (other->request->cancel_of && other->request->cancel_of->sending == sending) return other->request;
    }
    return NULL;
}

void client_engine_cancels_drop(struct sending *sending) {
    bool cancelling = false;
    for (uint32_t i = 0; i < sending->part_count; i++) cancelling = cancelling || sending->parts[i].state == PART_CANCELLING;
    for (struct heraclius_request *cancel = cancelling ? cancel_for(sending) : NULL; cancel; cancel = cancel_for(sending))
        heraclius_request_free(cancel);
}

static void why_add(struct heraclius_request *request, size_t *used, const char *name, const char *text) {
    int written = snprintf(request->why + *used, sizeof request->why - *used, "%s%s: %s", *used ? "; " : "", name, text);
    if (written > 0) *used += (size_t)written < sizeof request->why - *used ? (size_t)written : sizeof request->why - *used - 1;
}

/* Appends to request->why what became of each node that was tried. */
static void why_nodes(struct heraclius_request *request) {
    struct heraclius *db = request->db;
    size_t used = strlen(request->why);
    for (uint32_t i = 0; i < db->coordinator_nodes; i++) {
        const struct node *node = &db->nodes[i];
        if (!node->wanted || !node->card) continue;
        const char *text = node->state == NODE_UP ? (node->why[0] ? node->why : "connected, no verified answer")
                           : node->why[0]         ? node->why
                                                  : "connecting";
        why_add(request, &used, node->card->name, text);
    }
}

/* The deadline has passed: say what was tried. */
static void request_give_up(struct heraclius_request *request) {
    struct sending *writes = request->sendings[1];
    if (writes && client_renew_end(writes)) return; /* nothing else was open */
    why_nodes(request);
    bool unsettled = false;
    for (int kind = 0; kind < 2; kind++) {
        struct sending *sending = request->sendings[kind];
        if (!sending) continue;
        unsettled = unsettled || (sending->kind == BATCH_WRITE && sending->parts_open > 0);
    }
    client_engine_end(request, unsettled ? HERACLIUS_UNSETTLED : HERACLIUS_UNAVAILABLE);
}

/* f+1 nodes of each coordinator cluster do not let this client's key in, and of those one each is honest. */
static bool shut_out(const struct heraclius *db, uint64_t now_ms) {
    uint32_t shut = 0, cluster = 0;
    for (uint32_t i = 0; i < db->touched_count; i++) shut += client_node_shut_out(db->touched[i], now_ms);
    if (shut == 0) return false; /* nearly always */
    shut = 0;
    for (uint32_t i = 0; i < db->coordinator_nodes; i++) {
        const struct node *node = &db->nodes[i];
        bool last = i + 1 == db->coordinator_nodes || db->nodes[i + 1].cluster != node->cluster;
        shut += client_node_shut_out(node, now_ms);
        if (!last) continue;
        if (shut <= db->members[cluster++].f) return false;
        shut = 0;
    }
    return true;
}

/* Nobody will take it. A write that never left cannot happen: its number is as good as settled. */
static void request_shut_out(struct heraclius_request *request) {
    bool left = false;
    client_request_why(request, "no coordinator cluster lets this client's key in: it is not enrolled, or it was revoked");
    for (int kind = 0; kind < 2; kind++) {
        const struct sending *sending = request->sendings[kind];
        if (sending && sending->kind == BATCH_WRITE) left = left || sending->copies > 0 || client_request_number(request) != 0;
    }
    const struct sending *write = request->sendings[1];
    for (uint32_t i = 0; write && !left && i < write->part_count; i++)
        (void)client_journal_settled(request->db, write->parts[i].shard, write->parts[i].number, 0, 0);
    client_engine_end(request, left ? HERACLIUS_UNSETTLED : HERACLIUS_REFUSED);
}

static void held_go(struct heraclius *db, uint64_t now_ms) {
    bool shut = db->held && shut_out(db, now_ms);
    struct heraclius_request **at = &db->held;
    while (*at) {
        struct heraclius_request *request = *at;
        bool late = now_ms >= request->deadline_ms;
        uint32_t shard;
        if (shut) {
            *at = request->next;
            request_shut_out(request);
            at = &db->held;
            continue;
        }
        uint8_t refusal = late ? 0 : client_numbers_refusal(db, request, now_ms, &shard);
        if (!late && !refusal && !client_numbers_ready(db, request, now_ms)) {
            at = &request->next;
            continue;
        }
        *at = request->next;
        if (refusal) {
            client_request_why(request, "shard %u: %s", shard, operation_code_name(refusal));
            client_engine_end(request, HERACLIUS_REFUSED);
            at = &db->held;
        } else if (late) {
            client_request_why(request, "waiting to learn from the shards where this client's numbers stand, or for unsettled writes");
            why_nodes(request);
            client_engine_end(request, HERACLIUS_UNAVAILABLE);
            at = &db->held; /* the callback may have changed the list */
        } else if (!client_request_build(request)) {
            client_request_why(request, "no memory");
            client_engine_end(request, HERACLIUS_NO_RESOURCES);
            at = &db->held;
        } else {
            client_engine_start(request, now_ms);
        }
    }
}

/* What is settled goes to the file without a sync: a failure only makes work later. Nothing that must be durable waits here. A file that is to be
 * written anew waits until nobody syncs the old one. */
static void settled_go(struct heraclius *db) {
    const struct journal *journal = &db->journal;
    bool anew = journal->sync_under_way && journal->broken;
    if (!journal->sync_wanted && journal->pending.used > 0 && !anew) (void)client_journal_sync(db);
}

/* A sync ended: what it was for may leave, and nodes' time begins; or it never left. */
static void journal_synced(struct heraclius *db, bool synced, uint64_t now_ms) {
    int error = errno;
    struct sending *next;
    for (struct sending *sending = db->sendings; sending; sending = next) {
        next = sending->next;
        if (!sending->syncing) continue;
        sending->syncing = false;
        if (synced) {
            sending->durable = true;
            sending_to(sending, sending->node, true, now_ms);
            continue;
        }
        struct heraclius_request *request = sending->request;
        client_journal_unsent(db, sending);
        client_request_why(request, "%s: cannot be made durable, nothing was sent: %s", db->journal.path, strerror(error));
        client_engine_end(request, HERACLIUS_NO_RESOURCES);
        next = db->sendings;
    }
}

/* What was journaled since is made durable, all with one sync, also when nobody waits for it any more; then it may leave. What comes while one is
 * under way goes with the next. */
static void journal_go(struct heraclius *db) {
    bool any = db->journal.sync_wanted, synced;
    if (db->journal.sync_under_way) {
        if (!client_journal_sync_ended(db, &synced)) return;
        journal_synced(db, synced, ring_clock_ms());
    }
    for (struct sending *sending = db->sendings; sending; sending = sending->next) {
        sending->syncing = !sending->durable;
        any = any || sending->syncing;
    }
    if (any && !client_journal_sync_begin(db, &synced)) journal_synced(db, synced, ring_clock_ms()); /* the disk may have taken its time */
}

static void sendings_go(struct heraclius *db, uint64_t now_ms) {
    struct sending *next;
    bool shut = db->sendings && shut_out(db, now_ms);
    for (struct sending *sending = db->sendings; sending; sending = next) {
        next = sending->next;
        struct heraclius_request *request = sending->request;
        if (shut || now_ms >= request->deadline_ms) {
            if (shut) request_shut_out(request);
            else request_give_up(request);
            next = db->sendings;
            continue;
        }
        if (client_renew_go(sending, now_ms)) {
            next = db->sendings;
            continue;
        }
        if (!sending_waits(sending) || !sending->durable) continue; /* no node is late with what never left */
        bool told = sending->retry_at_ms && now_ms >= sending->retry_at_ms, unanswered = !sending->retry_at_ms && now_ms >= sending->anew_at_ms;
        if (told || unanswered) {
            uint32_t node = unanswered || sending->elsewhere ? client_group_next(sending, now_ms) : sending->node;
            sending->retry_at_ms = 0;
            sending->refusals = 0;
            sending->elsewhere = false;
            for (uint32_t i = 0; i < sending->part_count; i++) {
                if (sending->parts[i].state == PART_RETRY) sending->parts[i].state = PART_WAITING;
            }
            if (!sending_anew(sending, node, now_ms)) {
                request_give_up(request);
                next = db->sendings;
                continue;
            }
        } else if (resend_due(sending, now_ms)) {
            db->counters.resends++;
            sending_to(sending, client_group_next(sending, now_ms), false, now_ms);
        }
        sending_go(sending, now_ms);
    }
}

enum heraclius_status heraclius_submit(struct heraclius_request *request, uint32_t timeout_ms, heraclius_callback *callback, void *argument) {
    struct heraclius *db = request->db;
    CHECK(request->state == REQUEST_NEW);
    if (request->cancel_number) {
        uint8_t *op = client_buffer_space(&request->ops, OPERATION_HEAD_BYTES);
        request->op = calloc(1, sizeof *request->op);
        if (!op || !request->op) return HERACLIUS_NO_RESOURCES;
        struct bytes_writer writer = bytes_writer_of(op, OPERATION_HEAD_BYTES);
        operation_encode(&writer, &(struct operation){.opcode = OPERATION_CANCEL});
        request->op[0] = (struct request_op){.bytes = OPERATION_HEAD_BYTES, .shard = request->cancel_shard, .write = true};
        request->op_count = request->op_room = 1;
    }
    if (!client_request_prepare(request)) {
        client_request_release(request);
        return HERACLIUS_BAD_ARGUMENT;
    }
    request->callback = callback;
    request->argument = argument;
    request->deadline_ms = ring_clock_ms() + timeout_ms;
    request->state = REQUEST_HELD;
    struct heraclius_request **at = &db->held;
    while (*at) at = &(*at)->next;
    request->next = NULL;
    *at = request;
    return HERACLIUS_OK;
}

/* How long may epoll wait? */
static int wait_ms(const struct heraclius *db, int64_t left_ms) {
    int64_t wait = db->sendings || db->held ? TICK_MS : 1000;
    if (left_ms >= 0 && left_ms < wait) wait = left_ms;
    return (int)wait;
}

int heraclius_poll(struct heraclius *db, int timeout_ms) {
    uint64_t now_ms = ring_clock_ms();
    uint64_t until_ms = timeout_ms < 0 ? UINT64_MAX : now_ms + (uint64_t)timeout_ms;
    db->ended = 0;
    for (;;) {
        held_go(db, now_ms);
        journal_go(db);
        sendings_go(db, now_ms);
        int64_t left_ms = until_ms == UINT64_MAX ? -1 : until_ms > now_ms ? (int64_t)(until_ms - now_ms) : 0;
        struct epoll_event events[EVENTS];
        int count = epoll_wait(db->epoll, events, EVENTS, db->ended ? 0 : wait_ms(db, left_ms));
        now_ms = ring_clock_ms();
        bool synced = false;
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &db->journal.sync) synced = true;
            else client_node_event(events[i].data.ptr, events[i].events, now_ms);
        }
        if (synced) { /* in this call: who comes back only when the descriptor says so would not come back for it */
            journal_go(db);
            sendings_go(db, now_ms);
        }
        for (uint32_t i = 0; i < db->touched_count; i++) client_node_tick(db->touched[i], now_ms);
        blocks_trim(&db->shared->blocks, now_ms, CLIENT_BLOCKS_KEEP_MS);
        if (db->ended == 0 && now_ms < until_ms) continue;
        settled_go(db); /* before anybody is told: who is killed after this need not settle it again */
        return db->ended;
    }
}

enum heraclius_status heraclius_call(struct heraclius_request *request, uint32_t timeout_ms) {
    enum heraclius_status status = heraclius_submit(request, timeout_ms, NULL, NULL);
    if (status != HERACLIUS_OK) return status;
    while (request->state != REQUEST_ENDED) (void)heraclius_poll(request->db, TICK_MS);
    return request->status;
}
