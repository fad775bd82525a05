/* heraclius_enrolments(), heraclius_admin(): what coordinator clusters say of enrolments, and operations handed in (spec/operations.md O-53). One
 * node may lie; what f+1 nodes of a cluster say, at least one honest node says. */
#include <string.h>

#include "client/client.h"
#include "ring/clock.h"
#include "ring/entropy.h"

enum { MESSAGE_ADMIN = 0x0306, NONCE_BYTES = 8, STATE_BYTES = 76, ASK_AGAIN_MS = 100, POLL_MS = 10 };

static uint32_t faults_of(const struct heraclius *db, uint32_t cluster) {
    return db->members[cluster - COORDINATOR_CLUSTER_BASE].f;
}

void client_enrolment_answer(struct node *node, const uint8_t *payload, size_t payload_bytes) {
    struct bytes_cursor cursor = bytes_cursor_of(payload, payload_bytes);
    struct admin_answer answer = {.came = true};
    uint64_t nonce = bytes_get_u64(&cursor);
    answer.code = bytes_get_u8(&cursor);
    answer.error = bytes_get_u8(&cursor);
    bytes_require(&cursor, bytes_get_u16(&cursor) == 0);
    answer.clients = bytes_get_u32(&cursor);
    answer.clients_max = bytes_get_u32(&cursor);
    answer.number = bytes_get_u64(&cursor);
    bytes_get_hash(&cursor, answer.hash);
    (void)bytes_get_u64(&cursor);
    bytes_require(&cursor, bytes_get_u32(&cursor) == node->cluster && bytes_get_u32(&cursor) == 0);
    if (!bytes_finished(&cursor) || cursor.failed || !node->admin_asked || nonce != node->admin_nonce) return;
    node->admin_asked = false;
    node->admin = answer;
}

static void ask(struct node *node, const uint8_t *operation, size_t bytes, uint64_t now_ms) {
    client_node_want(node, now_ms);
    if (node->state != NODE_UP || now_ms < node->admin_ask_at_ms) return;
    struct buffer message = {0};
    uint8_t *at = client_buffer_space(&message, NONCE_BYTES + bytes);
    node->admin_nonce = ring_entropy_u64();
    if (at) bytes_put_le64(at, node->admin_nonce);
    if (at && bytes > 0) memcpy(at + NONCE_BYTES, operation, bytes);
    node->admin_ask_at_ms = now_ms + ASK_AGAIN_MS;
    node->admin_asked = at && client_node_send(node, MESSAGE_ADMIN, message.bytes, message.used, now_ms);
    client_buffer_free(&message);
}

static bool answers_equal(const struct admin_answer *a, const struct admin_answer *b) {
    return a->came && b->came && a->code == b->code && a->error == b->error && a->number == b->number && memcmp(a->hash, b->hash, 32) == 0;
}

/* The answer that f+1 nodes of the cluster give, if there is one; of several, the one that most give. */
static void agree(const struct heraclius *db, struct heraclius_enrolment *out) {
    out->known = false;
    out->stated_by = 0;
    for (uint32_t i = 0; i < db->coordinator_nodes; i++) {
        const struct node *node = &db->nodes[i];
        uint32_t same = 0;
        if (node->cluster != out->cluster || !node->admin.came) continue;
        for (uint32_t k = 0; k < db->coordinator_nodes; k++)
            same += db->nodes[k].cluster == out->cluster && answers_equal(&node->admin, &db->nodes[k].admin);
        if (same <= out->stated_by) continue;
        out->stated_by = same;
        out->number = node->admin.number;
        memcpy(out->hash, node->admin.hash, 32);
        out->clients = node->admin.clients;
        out->clients_max = node->admin.clients_max;
        out->code = (enum heraclius_admin_code)node->admin.code;
        out->why = node->admin.code == HERACLIUS_ADMIN_INVALID ? system_error_name((enum system_error)node->admin.error) : "";
    }
    out->known = out->stated_by > faults_of(db, out->cluster);
}

static void answers_forget(struct heraclius *db) {
    for (uint32_t i = 0; i < db->coordinator_nodes; i++) {
        db->nodes[i].admin = (struct admin_answer){0};
        db->nodes[i].admin_asked = false;
        db->nodes[i].admin_ask_at_ms = 0;
    }
}

enum heraclius_status heraclius_enrolments(struct heraclius *db, uint32_t timeout_ms, const struct heraclius_enrolment **list, size_t *count) {
    uint64_t until_ms = ring_clock_ms() + timeout_ms;
    uint32_t clusters = db->system->coordinators_count, known = 0;
    answers_forget(db);
    *list = db->enrolments;
    *count = clusters;
    for (;;) {
        uint64_t now_ms = ring_clock_ms();
        for (uint32_t i = 0; i < db->coordinator_nodes; i++) {
            if (!db->nodes[i].admin.came) ask(&db->nodes[i], NULL, 0, now_ms);
        }
        known = 0;
        for (uint32_t i = 0; i < clusters; i++) {
            db->enrolments[i] = (struct heraclius_enrolment){.cluster = COORDINATOR_CLUSTER_BASE + i, .why = ""};
            agree(db, &db->enrolments[i]);
            known += db->enrolments[i].known;
        }
        if (known == clusters || now_ms >= until_ms) break;
        (void)heraclius_poll(db, POLL_MS);
    }
    return known == clusters ? HERACLIUS_OK : HERACLIUS_UNAVAILABLE;
}

/* May it still come to another end? A number that lies ahead may come nearer while a node catches up. */
static bool is_open(const struct heraclius_enrolment *out, uint64_t number) {
    if (!out->known || out->code == HERACLIUS_ADMIN_WAITS || out->code == HERACLIUS_ADMIN_BUSY) return true;
    return out->code == HERACLIUS_ADMIN_NUMBER && out->number + 1 < number;
}

enum heraclius_status heraclius_admin(struct heraclius *db, uint32_t cluster, const uint8_t *operation, size_t bytes, uint64_t number,
                                      uint32_t timeout_ms, struct heraclius_enrolment *out) {
    uint64_t until_ms = ring_clock_ms() + timeout_ms;
    answers_forget(db);
    *out = (struct heraclius_enrolment){.cluster = cluster, .why = ""};
    for (;;) {
        uint64_t now_ms = ring_clock_ms();
        for (uint32_t i = 0; i < db->coordinator_nodes; i++) {
            if (db->nodes[i].cluster == cluster) ask(&db->nodes[i], operation, bytes, now_ms);
        }
        agree(db, out);
        if (!is_open(out, number)) break;
        if (now_ms >= until_ms) return HERACLIUS_UNAVAILABLE;
        (void)heraclius_poll(db, POLL_MS);
    }
    return out->code == HERACLIUS_ADMIN_DONE ? HERACLIUS_DONE : HERACLIUS_REFUSED;
}
