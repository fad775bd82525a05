/*
 * Byzantine nodes (tests/sim/sys.h): the scripted liars of tests/liar, and random ones. A random liar runs the product's replica like anybody, and
 * at the seam of replica_hooks forgets, redirects, repeats and alters what leaves; what it altered it signs again with its own key, so that it is as
 * well formed as its key allows. It also speaks out of turn: what it kept of others' and its own frames, as it was or altered, to
 * whom it likes. What it gives to those who take a checkpoint from it: sys_liar_piece.c.
 */
#include "appliance/node/node.h"
#include "tests/liar/liar.h"
#include "tests/sim/sys.h"

enum { KEPT = 64, SPEAK_MS = 3 };

struct lie {
    struct liar script;
    struct sys_world *world;
    uint32_t node;
    bool random, plain;
    uint64_t spoke_ms, count;
    struct liar_frame kept[KEPT]; /* what it sent and heard */
    uint32_t kept_count;
    struct blob *given;
};

static const char *const scripts[] = {"equivocate",         "result",         "slices,wrong",       "slices,stale",     "slices,quorum",
                                      "withhold,proposals", "withhold,votes", "withhold,decisions", "withhold,answers", "replay",
                                      "forge,value",        "forge,old",      "forge,quorum",       "references",       "corrupt,write"};

/* ---- altering ---- */

static struct blob *encode(const struct bft_message *message) {
    static uint8_t head[BFT_WIRE_HEAD_BYTES_MAX];
    size_t count = bft_wire_encode(message, head, sizeof head);
    struct blob *blob = blob_make(count + message->body_bytes);
    memcpy(blob->bytes, head, count);
    if (message->body_bytes > 0) memcpy(blob->bytes + count, message->body, message->body_bytes);
    return blob;
}

static uint64_t near(struct lie *lie, uint64_t value) {
    struct sys_world *world = lie->world;
    uint64_t by = sys_chance(world, 800000) ? 1 + sys_random(world, 3) : sys_random(world, 1000);
    return sys_chance(world, 500000) ? value + by : value > by ? value - by : 0;
}

static void ballot_alter(struct lie *lie, struct bft_ballot *ballot) {
    switch (sys_random(lie->world, 5)) {
    case 0: ballot->view = near(lie, ballot->view); break;
    case 1: ballot->height = near(lie, ballot->height); break;
    case 2: ballot->outbox_root.bytes[sys_random(lie->world, 32)] ^= 1; break;
    case 3: ballot->place.epoch = near(lie, ballot->place.epoch); break;
    default: ballot->block_id.bytes[sys_random(lie->world, 32)] ^= 1; break;
    }
}

static void header_alter(struct lie *lie, struct bft_header *header) {
    switch (sys_random(lie->world, 6)) {
    case 0: header->time = near(lie, header->time); break;
    case 1: header->height = near(lie, header->height); break;
    case 2: header->state_root.bytes[0] ^= 1; break;
    case 3: header->outbox_root.bytes[0] ^= 1; break;
    case 4: header->cursors_hash.bytes[0] ^= 1; break;
    default: header->parent_id.bytes[0] ^= 1; break;
    }
}

/* Another message of the same type, signed with its own key where that is possible. NULL: left alone. */
static struct blob *consensus_alter(struct lie *lie, uint16_t type, const uint8_t *bytes, size_t count) {
    static struct bft_message message;
    struct replica *r = lie->script.r;
    if (bft_wire_decode(type, bytes, count, &message) != BFT_WIRE_OK) return NULL;
    bool sign = true;
    switch (type) {
    case BFT_MESSAGE_PROPOSE:
        if (message.propose.vote.signer != r->me) return NULL;
        header_alter(lie, &message.propose.header);
        message.block_id = bft_header_id(&message.propose.header);
        bft_header_ballot(&message.propose.header, &message.block_id, &message.propose.vote.ballot);
        break;
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        message.vote.signer = r->me;
        ballot_alter(lie, &message.vote.ballot);
        break;
    case BFT_MESSAGE_TIMEOUT:
        message.timeout.signer = r->me;
        if (sys_chance(lie->world, 500000))
            message.timeout.view = near(lie, message.timeout.view);
        else { /* hides its high */
            message.timeout.high = (struct bft_high){.view = 0, .block = r->members.start};
            message.timeout.qc.count = 0;
        }
        if (message.timeout.high.view > message.timeout.view) return NULL;
        break;
    case BFT_MESSAGE_STATUS:
        message.status.signer = r->me;
        message.status.final.height = near(lie, message.status.final.height);
        message.status.view = near(lie, message.status.view);
        message.status.time = near(lie, message.status.time);
        break;
    case BFT_MESSAGE_NOOP:
        message.noop.signer = r->me;
        message.noop.nonce = near(lie, message.noop.nonce);
        break;
    default: sign = false; break;
    }
    if (!sign) return NULL;
    bft_message_sign(&r->signer, &message);
    return encode(&message);
}

/* A flipped byte anywhere: a bad signature, a bad length, another number. */
static struct blob *bytes_alter(struct lie *lie, const uint8_t *bytes, size_t count) {
    if (sys_chance(lie->world, 100000)) count = sys_random(lie->world, count + 1);
    struct blob *blob = blob_copy(bytes, count);
    if (count == 0) return blob;
    size_t at = sys_random(lie->world, count);
    blob->bytes[at] ^= (uint8_t)(1 << sys_random(lie->world, 8));
    return blob;
}

static void keep(struct lie *lie, struct replica_peer peer, uint16_t type, const uint8_t *bytes, size_t count) {
    if (!sys_chance(lie->world, 50000) || count > 65536) return;
    uint32_t at = lie->kept_count < KEPT ? lie->kept_count++ : (uint32_t)sys_random(lie->world, KEPT);
    blob_drop(lie->kept[at].blob);
    lie->kept[at] = (struct liar_frame){.to = peer, .type = type, .blob = blob_copy(bytes, count)};
}

static void told(struct lie *lie) {
    lie->count++;
    sys_fault_count(lie->world, SYS_RANDOM, NULL);
}

static bool on_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    struct lie *lie = context;
    struct sys_world *world = lie->world;
    if (lie->plain) return true;
    bool piece = type == 0x010E || type == 0x0110; /* few of them go, so every other one is a lie */
    uint64_t die = sys_random(world, piece ? 240 : 1000);
    if (die >= 120) return true;
    struct blob *whole = liar_join(pieces, *count), *other = NULL;
    keep(lie, to, type, whole->bytes, whole->count);
    if (die < 40) { /* withheld */
        blob_drop(whole);
        told(lie);
        return false;
    }
    if (die < 110 && piece)
        other = sys_liar_piece(world, type, whole->bytes, whole->count);
    else if (die < 90 && type >= BFT_MESSAGE_PROPOSE && type <= BFT_MESSAGE_NOOP)
        other = consensus_alter(lie, type, whole->bytes, whole->count);
    else if (die < 110)
        other = bytes_alter(lie, whole->bytes, whole->count);
    if (other != NULL) {
        told(lie);
        blob_drop(lie->given);
        lie->given = other;
        pieces[0] = (struct blob_piece){.blob = other, .count = other->count};
        *count = 1;
    }
    blob_drop(whole);
    return true;
}

static bool on_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    struct lie *lie = context;
    keep(lie, from, type, blob_piece_bytes(&payload), payload.count);
    return !sys_chance(lie->world, 20000); /* or it ignores it */
}

static void on_result(void *context, struct execution_job *job) {
    struct lie *lie = context;
    if (job->status != EXEC_VALID || !sys_chance(lie->world, 10000)) return;
    job->result.outbox_root[0] ^= 1;
    told(lie);
}

static void say(struct lie *lie, struct replica_peer to, uint16_t type, struct blob *blob) {
    lie->plain = true;
    output_send_blob(lie->script.r, to, type, blob);
    lie->plain = false;
}

/* Something that it kept, as it was or altered, to somebody. */
static void speak(struct lie *lie) {
    struct sys_world *world = lie->world;
    if (lie->kept_count == 0) return;
    const struct liar_frame *frame = &lie->kept[sys_random(world, lie->kept_count)];
    struct replica_peer to = frame->to;
    if (sys_chance(world, 300000)) to = peer_member((uint32_t)sys_random(world, lie->script.r->members.n));
    if (to.kind == REPLICA_MEMBER && to.member == lie->script.r->me) return;
    bool consensus = frame->type >= BFT_MESSAGE_PROPOSE && frame->type <= BFT_MESSAGE_NOOP;
    struct blob *blob = NULL;
    uint64_t die = sys_random(world, 3);
    if (die == 0 && consensus) blob = consensus_alter(lie, frame->type, frame->blob->bytes, frame->blob->count);
    if (die == 1) blob = bytes_alter(lie, frame->blob->bytes, frame->blob->count);
    if (blob == NULL) blob = blob_hold(frame->blob);
    told(lie);
    say(lie, to, frame->type, blob);
}

static void on_tick(void *context, uint64_t now_ms) {
    struct lie *lie = context;
    if (now_ms - lie->spoke_ms < SPEAK_MS) return;
    lie->spoke_ms = now_ms;
    if (sys_chance(lie->world, 300000)) speak(lie);
}

/* ---- life ---- */

void sys_liar_make(struct sys_world *world, uint32_t index, const char *script) {
    struct sys_node *node = &world->nodes[index];
    struct lie *lie = calloc(1, sizeof *lie);
    CHECK(lie != NULL && !node->liar);
    node->liar = true;
    sys_broke(world, index);
    lie->world = world;
    lie->node = index;
    lie->random = script == NULL;
    lie->script.quiet = true;
    char name[SYS_NAME_BYTES];
    sys_trace(world, "%s lies: %s", sys_end_name(world, index, name), script != NULL ? script : "at random");
    if (script != NULL && strcmp(script, "any") == 0) script = scripts[sys_random(world, sizeof scripts / sizeof *scripts)];
    CHECK(script == NULL || liar_parse(&lie->script, script));
    node->lie = lie;
    if (lie->random)
        node->hooks = (struct replica_hooks){.context = lie, .send = on_send, .frame = on_frame, .result = on_result, .tick = on_tick};
    else
        liar_hooks(&lie->script, &node->hooks);
}

void sys_liar_started(struct sys_world *world, uint32_t index) {
    struct lie *lie = world->nodes[index].lie;
    if (lie == NULL) return;
    lie->script.r = world->nodes[index].shell->replica;
    lie->script.executor = world->nodes[index].shell->executor;
    lie->script.lies = true;
}

uint64_t sys_liar_count(const struct sys_world *world, uint32_t index) {
    const struct lie *lie = world->nodes[index].lie;
    return lie == NULL ? 0 : lie->random ? lie->count : lie->script.count;
}

void sys_liar_free(struct sys_world *world, uint32_t index) {
    struct lie *lie = world->nodes[index].lie;
    if (lie == NULL) return;
    if (!lie->random) world->stats->faults[SYS_SCRIPTED] += lie->script.count;
    for (uint32_t i = 0; i < lie->kept_count; i++) blob_drop(lie->kept[i].blob);
    for (uint32_t i = 0; i < LIAR_KEPT_MAX; i++) blob_drop(lie->script.kept[i].blob);
    for (uint32_t i = 0; i < lie->script.later_count; i++) blob_drop(lie->script.later[(lie->script.later_first + i) % LIAR_LATER_MAX].blob);
    blob_drop(lie->script.given);
    blob_drop(lie->given);
    free(lie);
    world->nodes[index].lie = NULL;
}
