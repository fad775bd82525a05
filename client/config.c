/* The CONFIG in force of a cluster, asked of its members; CONFIGs and SEALs handed in (spec/operations.md O-53). What takes effect is shown by the
 * chain alone; a no counts when f+1 nodes say it, of which one is honest. */
#include <stdio.h>
#include <string.h>

#include "client/client.h"
#include "ring/clock.h"
#include "ring/entropy.h"

enum { MESSAGE_ADMIN = 0x0306, MESSAGE_ANNOUNCE = 0x0308, NONCE_BYTES = 8, CODE_WAITS = 1, CODE_DONE = 2, ASK_AGAIN_MS = 200, POLL_MS = 20 };

static const char *const codes[] = {"", "it waits", "it is in force", "it does not follow", "refused", "refused", "busy", "not decided here"};

static uint32_t faults_of(const struct heraclius *db, uint32_t cluster) {
    return config_faults(client_chain_config(db, cluster)->members.count);
}

uint32_t client_config_fetch(struct heraclius *db, uint32_t cluster, uint32_t timeout_ms) {
    uint64_t until_ms = ring_clock_ms() + timeout_ms;
    for (uint32_t i = 0; i < db->node_count; i++) db->nodes[i].chain_answers = 0;
    for (;;) {
        uint64_t now_ms = ring_clock_ms();
        uint32_t came = 0;
        for (uint32_t i = 0; i < db->node_count; i++) {
            struct node *node = &db->nodes[i];
            if (node->cluster != cluster) continue;
            came += node->chain_answers > 0;
            client_node_want(node, now_ms);
            if (node->chain_answers == 0) client_chain_ask(node, now_ms);
        }
        if (came > faults_of(db, cluster) || now_ms >= until_ms) return came;
        (void)heraclius_poll(db, POLL_MS);
    }
}

static void hand_in(struct node *node, uint16_t type, const uint8_t *bytes, size_t count, uint64_t now_ms) {
    client_node_want(node, now_ms);
    client_chain_ask(node, now_ms);
    if (node->state != NODE_UP || now_ms < node->admin_ask_at_ms || (node->admin.came && node->admin.code <= CODE_DONE)) return;
    struct buffer message = {0};
    uint8_t *at = client_buffer_space(&message, NONCE_BYTES + count);
    node->admin_nonce = ring_entropy_u64();
    if (at) bytes_put_le64(at, node->admin_nonce);
    if (at) memcpy(at + NONCE_BYTES, bytes, count);
    node->admin_ask_at_ms = now_ms + ASK_AGAIN_MS;
    node->admin_asked = at && client_node_send(node, type, message.bytes, message.used, now_ms);
    client_buffer_free(&message);
}

/* Why f+1 nodes say no; false: they do not. */
static bool refused(const struct heraclius *db, uint32_t cluster, char *why) {
    for (uint32_t i = 0; i < db->node_count; i++) {
        const struct node *node = &db->nodes[i];
        uint32_t same = 0;
        if (node->cluster != cluster || !node->admin.came || node->admin.code <= CODE_DONE || node->admin.code == 6) continue;
        for (uint32_t k = 0; k < db->node_count; k++) {
            const struct node *other = &db->nodes[k];
            bool came = other->cluster == cluster && other->admin.came;
            same += came && other->admin.code == node->admin.code && other->admin.error == node->admin.error;
        }
        if (same <= faults_of(db, cluster)) continue;
        snprintf(why, HERACLIUS_TEXT_BYTES, "%u nodes of the cluster, %s first, say: %s%s%s", same, node->card->name,
                 codes[node->admin.code < sizeof codes / sizeof codes[0] ? node->admin.code : 4], node->admin.error ? ": " : "",
                 node->admin.error ? system_error_name((enum system_error)node->admin.error) : "");
        return true;
    }
    return false;
}

enum heraclius_status client_config_submit(struct heraclius *db, const struct admin_op *operation, const uint8_t *bytes, size_t count,
                                           uint32_t timeout_ms, char *why) {
    uint64_t until_ms = ring_clock_ms() + timeout_ms;
    uint32_t reached = 0;
    why[0] = 0;
    for (uint32_t i = 0; i < db->node_count; i++) db->nodes[i].admin.came = false;
    for (;;) {
        uint64_t now_ms = ring_clock_ms();
        const struct client_chain *chain = client_chain_find(db, operation->cluster);
        bool there = chain && chain->entry_count >= operation->serial;
        if (there && operation->kind == ADMIN_OP_SEAL && chain->chain->sealed) return HERACLIUS_OK;
        if (there && operation->kind == ADMIN_OP_CONFIG) {
            uint8_t hash[32];
            config_hash(&operation->config, hash);
            if (operation->serial < chain->epoch_count && memcmp(chain->epochs[operation->serial].place.config_hash.bytes, hash, 32) == 0)
                return HERACLIUS_OK;
        }
        if (there) {
            snprintf(why, HERACLIUS_TEXT_BYTES, "another CONFIG with serial %llu is in force: make this one anew, to follow that (config new)",
                     (unsigned long long)operation->serial);
            return HERACLIUS_REFUSED;
        }
        if (refused(db, operation->cluster, why)) return HERACLIUS_REFUSED;
        if (now_ms >= until_ms) break;
        reached = 0;
        for (uint32_t i = 0; i < db->node_count; i++) {
            if (db->nodes[i].cluster != operation->cluster) continue;
            hand_in(&db->nodes[i], MESSAGE_ADMIN, bytes, count, now_ms);
            reached += db->nodes[i].admin.came;
        }
        (void)heraclius_poll(db, POLL_MS);
    }
    snprintf(why, HERACLIUS_TEXT_BYTES, "not decided in time: %u nodes of the cluster have it; it may still take effect (config status)", reached);
    return HERACLIUS_UNAVAILABLE;
}

enum heraclius_status client_config_announce(struct heraclius *db, uint32_t cluster, const uint8_t *bytes, size_t count, uint32_t timeout_ms,
                                             uint32_t *took, char *why) {
    uint64_t until_ms = ring_clock_ms() + timeout_ms;
    uint32_t members = client_chain_config(db, cluster)->members.count;
    why[0] = 0;
    for (uint32_t i = 0; i < db->node_count; i++) db->nodes[i].admin.came = false;
    for (;;) {
        uint64_t now_ms = ring_clock_ms();
        *took = 0;
        for (uint32_t i = 0; i < db->node_count; i++) {
            struct node *node = &db->nodes[i];
            if (node->cluster != cluster) continue;
            hand_in(node, MESSAGE_ANNOUNCE, bytes, count, now_ms);
            *took += node->admin.came && node->admin.code == CODE_WAITS;
        }
        if (*took >= members) return HERACLIUS_OK;
        if (refused(db, cluster, why)) return HERACLIUS_REFUSED;
        if (now_ms >= until_ms) break;
        (void)heraclius_poll(db, POLL_MS);
    }
    snprintf(why, HERACLIUS_TEXT_BYTES, "%u of the %u nodes of the cluster said yes in time", *took, members);
    return *took > config_faults(members) ? HERACLIUS_OK : HERACLIUS_UNAVAILABLE;
}
