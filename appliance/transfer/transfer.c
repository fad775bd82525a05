#include "appliance/transfer/transfer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/transfer/transfer_private.h"

struct transfer *transfer_create(const struct transfer_config *config) {
    struct transfer *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->config = *config;
    t->config.members = NULL;
    t->now_ms = config->now_ms;
    t->take.nonce = config->nonce;
    t->served_last = TRANSFER_ASKERS;
    t->outputs = calloc(TRANSFER_OUTPUTS_MAX, sizeof *t->outputs);
    t->way = malloc(sizeof *t->way);
    if (t->outputs == NULL || t->way == NULL) {
        transfer_destroy(t);
        return NULL;
    }
    struct transfer_epoch *epoch = calloc(1, sizeof *epoch);
    CHECK(epoch != NULL);
    epoch->members = *config->members;
    epoch->member = config->member;
    epoch->limits = *config->limits;
    epoch->timeouts = *config->timeouts;
    transfer_epoch(t, epoch);
    free(epoch);
    transfer_checkpointed(t);
    return t;
}

void transfer_destroy(struct transfer *t) {
    if (t == NULL) return;
    serve_free(t);
    take_free(t);
    epochs_free(t);
    for (uint32_t i = 0; i < t->output_count; i++) blob_drop(t->outputs[(t->output_first + i) % TRANSFER_OUTPUTS_MAX].blob);
    free(t->outputs);
    free(t->way);
    free(t);
}

/* Callers pull after every call that they make, and no call adds a tenth of what the ring holds. */
struct transfer_output *transfer_output_add(struct transfer *t, enum transfer_output_kind kind) {
    CHECK(t->output_count < TRANSFER_OUTPUTS_MAX);
    struct transfer_output *output = &t->outputs[(t->output_first + t->output_count++) % TRANSFER_OUTPUTS_MAX];
    *output = (struct transfer_output){.kind = kind};
    return output;
}

bool transfer_next(struct transfer *t, struct transfer_output *output) {
    if (t->output_count == 0) return false;
    *output = t->outputs[t->output_first];
    t->output_first = (t->output_first + 1) % TRANSFER_OUTPUTS_MAX;
    t->output_count--;
    return true;
}

void transfer_send(struct transfer *t, uint8_t member, uint16_t type, struct blob *blob) {
    struct transfer_output *output = transfer_output_add(t, TRANSFER_SEND);
    output->member = member;
    output->type = type;
    output->blob = blob;
}

void transfer_note(struct transfer *t, const char *event, const char *format, ...) {
    struct transfer_output *output = transfer_output_add(t, TRANSFER_NOTE);
    output->event = event;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(output->text, sizeof output->text, format, arguments);
    va_end(arguments);
}

void transfer_bad(struct transfer *t, uint8_t member, const char *what, const char *why) {
    t->take.peers[member].bad = true;
    t->status.bad_pieces++;
    transfer_output_add(t, TRANSFER_BAD)->member = member;
    transfer_note(t, "transfer_bad", "member=%u what=%s cause=%s", member, what, why);
}

bool transfer_is_client(uint8_t asker) {
    return asker >= TRANSFER_CLIENT && asker < TRANSFER_CLIENT + TRANSFER_CLIENTS;
}

enum transfer_asks transfer_asks(uint8_t asker) {
    if (transfer_is_client(asker)) return TRANSFER_CLIENT_ASKS;
    return asker < TRANSFER_OBSERVER ? TRANSFER_MEMBER_ASKS : TRANSFER_OBSERVER_ASKS;
}

bool transfer_frame(struct transfer *t, uint8_t from, uint16_t type, const uint8_t *bytes, size_t count, bool may_serve) {
    bool question = type == TRANSFER_CHECKPOINT_QUERY || type == TRANSFER_PIECE_QUERY;
    if (t->failed || (transfer_is_client(from) && !question)) return false;
    bool known = transfer_is_client(from) || from < (question ? (uint32_t)TRANSFER_ASKERS : t->config.members->n);
    if (!known || from == t->config.member) return false;
    switch (type) {
    case TRANSFER_CHECKPOINT_QUERY: return serve_checkpoint_query(t, from, bytes, count);
    case TRANSFER_CHECKPOINT: take_checkpoint_frame(t, from, bytes, count); return false;
    case TRANSFER_PIECE_QUERY: return serve_piece_query(t, from, bytes, count, may_serve);
    case TRANSFER_PIECE: take_piece_frame(t, from, bytes, count); return false;
    default: return false;
    }
}

void transfer_lacking(struct transfer *t, uint64_t height) {
    t->take.lacking_height = height;
    t->take.lacking_ms = t->now_ms;
    transfer_height(t, height);
}

void transfer_height(struct transfer *t, uint64_t height) {
    if (height > t->take.height) t->take.height = height;
}

void transfer_tick(struct transfer *t, uint64_t now_ms) {
    if (now_ms > t->now_ms) t->now_ms = now_ms;
    if (!t->failed) take_tick(t);
}

bool transfer_work(struct transfer *t) {
    return serve_work(t);
}

void transfer_status(const struct transfer *t, struct transfer_status *status) {
    *status = t->status;
    status->taking = t->take.phase != TRANSFER_IDLE;
    status->height = t->take.shown_blob != NULL ? t->take.shown.manifest.height : 0;
    status->pieces = t->take.piece_count + t->take.item_count;
    status->hold_height = t->hold_ms != 0 && t->now_ms - t->hold_ms < TRANSFER_HOLD_MS ? t->hold_height : 0;
    status->pieces_done = 0;
    for (uint32_t i = 0; i < t->take.piece_count; i++) status->pieces_done += t->take.pieces[i].state == PIECE_KEPT;
    for (uint32_t i = 0; i < t->take.item_count; i++) status->pieces_done += t->take.items[i].state == PIECE_KEPT;
}

bool transfer_taking(const struct transfer *t) {
    return t->take.phase != TRANSFER_IDLE && t->take.phase != TRANSFER_ENDED;
}
