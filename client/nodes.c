/* heraclius_nodes(): what every node states about itself and its peers. Signed by those who state it, proved by nobody (spec/operations.md O-52). */
#include <string.h>

#include "bft/wire.h"
#include "client/client.h"
#include "ring/clock.h"
#include "ring/entropy.h"

enum { MESSAGE_STATUS = 0x0109, MESSAGE_STATUS_QUERY = 0x0304, STATUS_MAX = BFT_MEMBERS_MAX };

static struct node *node_at(struct heraclius *db, uint32_t cluster, uint32_t member) {
    for (uint32_t i = 0; i < db->node_count; i++) {
        if (db->nodes[i].cluster == cluster && db->nodes[i].member == member) return &db->nodes[i];
    }
    return NULL;
}

/* Of statements that others show a newer one takes the place of an older one, and each node that shows the newest height is a witness of it. What a
 * node shows of itself stands above all of them: it may have been begun anew since, lower, and with its key retired. */
static void status_take(struct heraclius *db, const struct node *from, const struct bft_status *status) {
    struct node *node = node_at(db, status->place.cluster, status->signer);
    if (!node) return;
    struct heraclius_node_status *out = &db->statuses[node->index];
    bool own = node == from;
    bool same = out->heard && (own ? out->height >= status->final.height : status->final.height == out->height && status->view == out->view);
    if (!own && node->status_came) {
        out->witnesses += status->final.height >= out->height;
        return;
    }
    if (!own && out->heard && status->final.height < out->height) return;
    out->witnesses = same ? out->witnesses + 1 : 1;
    node->status_came = own;
    out->heard = true;
    out->epoch = status->place.epoch;
    out->view = status->view;
    out->height = status->final.height;
    out->time_ms = status->time;
    memcpy(out->block_id, status->final.id.bytes, 32);
    out->voting = (status->flags & BFT_STATUS_VOTING) != 0;
    out->timed_out = (status->flags & BFT_STATUS_TIMED_OUT) != 0;
}

void client_nodes_answer(struct node *node, const uint8_t *payload, size_t payload_bytes) {
    struct heraclius *db = node->db;
    struct bytes_cursor cursor = bytes_cursor_of(payload, payload_bytes);
    uint64_t nonce = bytes_get_u64(&cursor);
    uint32_t count = bytes_get_u32(&cursor);
    if (cursor.failed || !node->status_asked || nonce != node->status_nonce || count > STATUS_MAX) return;
    if (db->statuses[node->index].reached) return; /* it has answered: a second answer would make it a second witness */
    uint32_t signers = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = bytes_get_u32(&cursor);
        const uint8_t *at = bytes_get_raw(&cursor, bytes);
        struct bft_message message;
        if (!at || bft_wire_decode(MESSAGE_STATUS, at, bytes, &message) != BFT_WIRE_OK) break;
        /* Its chain came before its statement, when the link came up: one of a later epoch is nobody's. */
        const struct bft_members *members = client_chain_members(db, node->cluster, message.status.place.epoch);
        if (!members || bft_message_verify(members, &db->signer, &message, NULL, 0) != BFT_VERIFY_OK) {
            db->counters.verification_failures++;
            continue;
        }
        if (signers & 1u << message.status.signer) continue;
        signers |= 1u << message.status.signer;
        status_take(db, node, &message.status);
    }
    db->statuses[node->index].reached = true;
}

static void ask(struct node *node, uint64_t now_ms) {
    client_node_want(node, now_ms);
    if (node->state != NODE_UP || node->status_asked) return;
    node->status_nonce = ring_entropy_u64();
    uint8_t query[8];
    bytes_put_le64(query, node->status_nonce);
    node->status_asked = client_node_send(node, MESSAGE_STATUS_QUERY, query, sizeof query, now_ms);
}

enum heraclius_status heraclius_nodes(struct heraclius *db, uint32_t timeout_ms, const struct heraclius_node_status **nodes, size_t *count) {
    for (uint32_t i = 0; i < db->node_count; i++) {
        struct node *node = &db->nodes[i];
        node->status_asked = node->status_came = false;
        db->statuses[i] = (struct heraclius_node_status){.name = "", .cluster = node->cluster, .member = node->member};
    }
    uint64_t until_ms = ring_clock_ms() + timeout_ms;
    uint32_t came = 0;
    for (uint64_t now_ms = ring_clock_ms(); came < db->node_count && now_ms < until_ms; now_ms = ring_clock_ms()) {
        came = 0;
        for (uint32_t i = 0; i < db->node_count; i++) {
            if (!db->statuses[i].reached) ask(&db->nodes[i], now_ms);
            came += !db->nodes[i].card || db->statuses[i].reached || client_node_shut_out(&db->nodes[i], now_ms);
        }
        if (came < db->node_count) (void)heraclius_poll(db, 20);
    }
    *count = 0;
    for (uint32_t i = 0; i < db->node_count; i++) {
        struct node *node = &db->nodes[i];
        if (!node->card) continue;
        db->statuses[i].shut_out = !db->statuses[i].reached && client_node_shut_out(node, ring_clock_ms());
        db->statuses[i].name = node->card->name;
        /* What others show of one that shows nothing itself is its last word of a time that is past: it may have retired its key. */
        db->statuses[i].silent = db->statuses[i].reached && !node->status_came;
        if (db->statuses[i].silent) db->statuses[i].voting = false;
        db->statuses[i].why = db->statuses[i].reached ? "" : node->why[0] ? node->why : "no link yet, and no answer in time";
        if (i >= db->coordinator_nodes) node->wanted = false;
        db->shown[(*count)++] = db->statuses[i];
    }
    *nodes = db->shown;
    return HERACLIUS_OK;
}

/* What was stated of this cluster so far is asked anew. */
static void ask_again(struct heraclius *db, uint32_t cluster) {
    for (uint32_t i = 0; i < db->node_count; i++) {
        if (db->nodes[i].cluster != cluster) continue;
        db->nodes[i].status_asked = false;
        db->statuses[i].reached = false;
    }
}

uint32_t client_nodes_voting(struct heraclius *db, uint32_t cluster, uint64_t epoch, uint32_t places, uint32_t timeout_ms) {
    enum { AGAIN_MS = 300 };
    uint64_t until_ms = ring_clock_ms() + timeout_ms, asked_ms = 0;
    uint32_t voting = 0;
    for (uint32_t i = 0; i < db->node_count; i++) {
        struct node *node = &db->nodes[i];
        if (node->cluster != cluster) continue;
        db->statuses[i] = (struct heraclius_node_status){.name = "", .cluster = cluster, .member = node->member};
        node->status_came = false;
    }
    for (;;) {
        uint64_t now_ms = ring_clock_ms();
        if (now_ms - asked_ms >= AGAIN_MS) ask_again(db, cluster), asked_ms = now_ms;
        for (uint32_t i = 0; i < db->node_count; i++) {
            const struct heraclius_node_status *status = &db->statuses[i];
            if (db->nodes[i].cluster != cluster) continue;
            ask(&db->nodes[i], now_ms);
            /* Others still show the last word of one that is down: it has to answer itself, unless it lets this client in on no account. */
            bool there = db->nodes[i].status_came || client_node_shut_out(&db->nodes[i], now_ms);
            if (there && status->heard && status->voting && status->epoch >= epoch) voting |= 1u << status->member;
        }
        if ((voting & places) == places || now_ms >= until_ms) return voting;
        (void)heraclius_poll(db, 20);
    }
}
