/* A client's links, in the place of client/connection.c (tests/sim/sys.h): no handshake, no bytes; a frame goes as it is. */
#include "tests/sim/sys_client.h"

enum { CONNECT_US = 3000 };

static struct sys_client *client_of(const struct node *node) {
    return (struct sys_client *)(void *)node->db;
}

struct node *sys_client_node(struct sys_client *client, uint32_t end) {
    for (uint32_t i = 0; i < client->db.node_count; i++) {
        if (client->ends[i] == end) return &client->db.nodes[i];
    }
    return NULL;
}

void client_node_want(struct node *node, uint64_t now_ms) {
    struct sys_client *client = client_of(node);
    struct sys_world *world = client->world;
    if (node->card == NULL) return; /* a CONFIG took its place away */
    node->wanted = true;
    client_node_list(node);
    if (node->state != NODE_IDLE || now_ms < node->retry_at_ms || client->ends[node->index] == UINT8_MAX) return;
    node->state = NODE_CONNECTING;
    node->connecting_until_ms = now_ms + CLIENT_CONNECT_MS;
    sys_link_later(world, world->node_count + client->index, client->ends[node->index], 500 + sys_random(world, CONNECT_US));
}

void client_node_close(struct node *node, const char *why, uint64_t now_ms) {
    if (node->state == NODE_IDLE) return;
    node->db->counters.links_lost += node->state == NODE_UP;
    node->state = NODE_IDLE;
    node->status_asked = node->chain_asked = false;
    node->held.used = 0;
    snprintf(node->why, sizeof node->why, "%s", why);
    node->backoff_ms = node->backoff_ms ? node->backoff_ms * 2 : CLIENT_RECONNECT_MIN_MS;
    if (node->backoff_ms > CLIENT_RECONNECT_MAX_MS) node->backoff_ms = CLIENT_RECONNECT_MAX_MS;
    node->retry_at_ms = now_ms + node->backoff_ms;
    client_engine_down(node, now_ms);
}

void client_node_replace(struct node *node, struct card *card) {
    struct sys_client *client = client_of(node);
    struct sys_world *world = client->world;
    uint8_t self = (uint8_t)(world->node_count + client->index), *end = &client->ends[node->index];
    client_node_close(node, "replaced by a CONFIG", world->now_us / 1000);
    if (*end != UINT8_MAX)
        sys_schedule(world, (struct sys_event){.at_us = world->now_us, .kind = SYS_LINK, .from = *end, .to = self, .type = 1});
    free(node->card_own);
    node->card = node->card_own = card;
    node->wanted = node->wanted && card != NULL;
    *end = card != NULL ? (uint8_t)sys_end_by_noise_key(world, card->noise_key) : UINT8_MAX;
    node->retry_at_ms = 0;
    node->backoff_ms = 0;
}

/* No handshake is refused here. */
bool client_node_shut_out(const struct node *node, uint64_t now_ms) {
    (void)node;
    (void)now_ms;
    return false;
}

void client_node_event(struct node *node, uint32_t events, uint64_t now_ms) {
    (void)node;
    (void)events;
    (void)now_ms;
    CHECK(false); /* there are no descriptors */
}

void client_node_tick(struct node *node, uint64_t now_ms) {
    if (node->state == NODE_IDLE && node->wanted) client_node_want(node, now_ms);
    if (node->state == NODE_CONNECTING && now_ms >= node->connecting_until_ms) client_node_close(node, "no connection in time", now_ms);
}

bool client_node_send(struct node *node, uint16_t type, const void *payload, size_t payload_bytes, uint64_t now_ms) {
    (void)now_ms;
    if (node->state != NODE_UP) return false;
    struct sys_client *client = client_of(node);
    sys_transmit(client->world, client->world->node_count + client->index, client->ends[node->index], type, blob_copy(payload, payload_bytes));
    return true;
}

void sys_client_link(struct sys_world *world, uint32_t index, uint32_t at, bool up) {
    struct sys_client *client = world->clients[index];
    uint64_t now_ms = world->now_us / 1000;
    if (client == NULL || client->hostile || client->closing) return;
    struct node *node = sys_client_node(client, at);
    if (node == NULL) return;
    if (!up) {
        client_node_close(node, "closed by the node", now_ms);
        return;
    }
    node->state = NODE_UP;
    node->backoff_ms = 0;
    node->why[0] = 0;
    node->db->counters.links_opened++;
    client_engine_up(node, now_ms);
}
