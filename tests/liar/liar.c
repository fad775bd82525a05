/* Which lie, when, and how often; sends that are put off. */
#include "tests/liar/liar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_MS = 20, TELL_MS = 200 };

static const char *const kinds[LIAR_KINDS] = {"equivocate", "result", "slices", "withhold", "replay", "corrupt",   "forge",
                                              "keep",       "flood",  "slow",   "censor",   "tiny",   "references", "pieces"};

bool liar_parse(struct liar *liar, const char *text) {
    const char *comma = strchr(text, ',');
    size_t bytes = comma != NULL ? (size_t)(comma - text) : strlen(text);
    snprintf(liar->option, sizeof liar->option, "%s", comma != NULL ? comma + 1 : "");
    for (int kind = 0; kind < LIAR_KINDS; kind++) {
        if (strlen(kinds[kind]) != bytes || memcmp(kinds[kind], text, bytes) != 0) continue;
        liar->kind = (enum liar_kind)kind;
        return true;
    }
    return false;
}

bool liar_option_is(const struct liar *liar, const char *option) {
    return strcmp(liar->option, option) == 0;
}

static void tell(struct liar *liar) {
    liar->acted_ms = liar->now_ms;
    liar->count_told = liar->count;
    if (!liar->quiet) (void)fprintf(stderr, "liar kind=%s count=%llu\n", kinds[liar->kind], (unsigned long long)liar->count);
}

void liar_counted(struct liar *liar) {
    if (++liar->count == 1) tell(liar); /* it may be the last that is heard of this node */
}

struct blob *liar_join(const struct blob_piece *pieces, unsigned count) {
    size_t bytes = 0, at = 0;
    for (unsigned i = 0; i < count; i++) bytes += pieces[i].count;
    struct blob *blob = blob_make(bytes);
    for (unsigned i = 0; i < count; i++) {
        memcpy(blob->bytes + at, blob_piece_bytes(&pieces[i]), pieces[i].count);
        at += pieces[i].count;
    }
    return blob;
}

void liar_replace(struct liar *liar, struct blob_piece *pieces, unsigned *count, struct blob *blob) {
    blob_drop(liar->given);
    liar->given = blob;
    pieces[0] = (struct blob_piece){.blob = blob, .count = blob->count};
    *count = 1;
}

void liar_send(struct liar *liar, struct replica_peer to, uint16_t type, struct blob *blob) {
    bool before = liar->plain;
    liar->plain = true;
    output_send_blob(liar->r, to, type, blob);
    liar->plain = before;
}

/* ---- the hooks ---- */

/* SLOW: the operations of a proposal of mine, by its bytes. */
static uint64_t proposal_weight(struct liar *liar, const struct blob *whole, uint64_t *height) {
    struct bft_message *message = calloc(1, sizeof *message);
    CHECK(message != NULL && bft_wire_decode(BFT_MESSAGE_PROPOSE, whole->bytes, whole->count, message) == BFT_WIRE_OK);
    uint32_t block = block_find(liar->r, &message->block_id);
    *height = message->propose.header.height;
    free(message);
    return block != NONE ? liar->r->blocks[block].weight : 0;
}

/* Each proposal goes when the ones before it have had their time at the pace; all members get it at once. */
static bool put_off(struct liar *liar, struct replica_peer to, uint16_t type, const struct blob_piece *pieces, unsigned count) {
    if (type != BFT_MESSAGE_PROPOSE || liar->later_count == LIAR_LATER_MAX) return true;
    struct blob *whole = liar_join(pieces, count);
    uint64_t height, weight = proposal_weight(liar, whole, &height);
    if (height != liar->paced_height) {
        liar->paced_height = height;
        liar->paced_ms = liar->free_ms > liar->now_ms ? liar->free_ms : liar->now_ms;
        liar->free_ms = liar->paced_ms + weight * 1000 / liar->pace;
    }
    liar->later[(liar->later_first + liar->later_count++) % LIAR_LATER_MAX] =
        (struct liar_frame){.to = to, .type = type, .due_ms = liar->paced_ms, .blob = whole};
    liar_counted(liar);
    return false;
}

static bool on_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    struct liar *liar = context;
    if (liar->plain || !liar->lies) return true;
    switch (liar->kind) {
    case LIAR_EQUIVOCATE:
    case LIAR_RESULT:
    case LIAR_WITHHOLD:
    case LIAR_REPLAY: return liar_send_votes(liar, to, type, pieces, count);
    case LIAR_SLICES:
    case LIAR_FORGE: return liar_send_slices(liar, to, type, pieces, count);
    case LIAR_PIECES: return liar_send_pieces(liar, type, pieces, count);
    case LIAR_SLOW: return put_off(liar, to, type, pieces, *count);
    default: return true;
    }
}

static void on_result(void *context, struct execution_job *job) {
    struct liar *liar = context;
    if (!liar->lies) return;
    if (liar->kind == LIAR_RESULT) liar_result(liar, job);
    if (liar->kind == LIAR_REFERENCES) liar_references(liar, job);
    if (liar->kind == LIAR_CORRUPT) liar_table_result(liar, job);
}

static bool on_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    struct liar *liar = context;
    if (!liar->lies || (liar->kind != LIAR_KEEP && liar->kind != LIAR_CENSOR && liar->kind != LIAR_FLOOD)) return true;
    return liar_frame_inputs(liar, from, type, payload);
}

static void later_send(struct liar *liar) {
    while (liar->later_count > 0 && liar->later[liar->later_first].due_ms <= liar->now_ms) {
        struct liar_frame frame = liar->later[liar->later_first];
        liar->later_first = (liar->later_first + 1) % LIAR_LATER_MAX;
        liar->later_count--;
        liar_send(liar, frame.to, frame.type, frame.blob);
    }
}

/* The pace: so many percent, the number in the file, of what became final in a second up to now. */
static void pace_read(struct liar *liar) {
    FILE *file = fopen(liar->path, "re");
    char text[32] = "";
    if (file == NULL) return;
    uint64_t percent = fgets(text, sizeof text, file) != NULL ? strtoull(text, NULL, 10) : 0;
    fclose(file);
    liar->pace = liar->r->rate_per_s * percent / 100;
    if (liar->pace == 0) liar->pace = 1;
}

/* The liar's own core is honest and would give up a view that goes so badly: it sees nothing wrong. */
static void core_soothe(struct liar *liar) {
    liar->r->core->waiting.count = 0;
    liar->r->core->progress_ms = liar->now_ms;
    liar->r->core->view_entered_ms = liar->now_ms; /* an input's time is counted from here at the earliest (B-50) */
    liar->r->core->rate_best = 0;
    liar->r->core->rate_low_periods = 0;
}

static void on_tick(void *context, uint64_t now_ms) {
    struct liar *liar = context;
    atomic_store(&liar->runs, true);
    liar->now_ms = now_ms;
    if (now_ms - liar->looked_ms >= LOOK_MS) {
        liar->looked_ms = now_ms;
        bool lied = liar->lies;
        liar->lies = liar->path[0] == '\0' || access(liar->path, F_OK) == 0;
        if (liar->kind == LIAR_SLOW && liar->lies && !lied) pace_read(liar);
    }
    later_send(liar);
    bool silent = liar->kind == LIAR_WITHHOLD && liar_option_is(liar, "proposals");
    if ((liar->kind == LIAR_SLOW || liar->kind == LIAR_CENSOR || silent) && liar->lies) core_soothe(liar);
    if (liar->kind == LIAR_REPLAY && liar->lies) liar_replay_tick(liar);
    if (liar->kind == LIAR_KEEP && !liar->lies) liar_keep_tick(liar);
    if (liar->kind == LIAR_FLOOD && liar->lies) liar_flood_tick(liar);
    if (liar->kind == LIAR_TINY && liar->lies) liar_tiny_tick(liar);
    if (liar->count != liar->count_told && now_ms - liar->acted_ms >= TELL_MS) tell(liar);
}

void liar_hooks(struct liar *liar, struct replica_hooks *hooks) {
    *hooks = (struct replica_hooks){.context = liar, .send = on_send, .result = on_result, .frame = on_frame, .tick = on_tick};
}
