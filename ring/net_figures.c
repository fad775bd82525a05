/* What a net tells about itself: counters and memory budget. */
#include <arpa/inet.h>
#include <stdio.h>

#include "ring/net_private.h"

void net_address_format(const struct sockaddr_storage *address, char text[64]) {
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
        (void)inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(text, 64, "[%s]:%u", host, ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)address;
        (void)inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(text, 64, "%s:%u", host, ntohs(four->sin_port));
    }
}

struct list {
    struct net_counter *to;
    size_t room, count;
};

static void add(struct list *list, const char *name, uint64_t value) {
    if (list->count < list->room) {
        list->to[list->count] = (struct net_counter){.name = name, .value = value};
    }
    list->count++;
}

/* Names of links closed by cause; "closed_" and link_cause_name(). */
static const char *const closed_names[LINK_CAUSE_COUNT] = {
    [LINK_CAUSE_NONE] = "closed_none",
    [LINK_CAUSE_PREAMBLE] = "closed_preamble",
    [LINK_CAUSE_VERSION_UNKNOWN] = "closed_version_unknown",
    [LINK_CAUSE_SUITE] = "closed_suite",
    [LINK_CAUSE_HANDSHAKE] = "closed_handshake",
    [LINK_CAUSE_KEY_UNKNOWN] = "closed_key_unknown",
    [LINK_CAUSE_HANDSHAKE_TIMEOUT] = "closed_handshake_timeout",
    [LINK_CAUSE_RECORD] = "closed_record",
    [LINK_CAUSE_FRAME_LENGTH] = "closed_frame_length",
    [LINK_CAUSE_FRAME_HEADER] = "closed_frame_header",
    [LINK_CAUSE_FRAME_TYPE] = "closed_frame_type",
    [LINK_CAUSE_HELLO] = "closed_hello",
    [LINK_CAUSE_VERSION_LOW] = "closed_version_low",
    [LINK_CAUSE_CONTROL] = "closed_control",
    [LINK_CAUSE_IDLE] = "closed_idle",
    [LINK_CAUSE_GOODBYE] = "closed_goodbye",
    [LINK_CAUSE_MEMORY] = "closed_memory",
    [LINK_CAUSE_LOCAL] = "closed_local",
};

/* Besides the one pass of encryption or decryption. */
static uint64_t copied_bytes(const struct net *net) {
    uint64_t sum = net->count.copied_bytes;
    for (uint32_t i = 0; i < net->active_count; i++) {
        sum += link_copied_bytes(net_link_of(net, net->active[i]));
    }
    return sum;
}

void net_cost(const struct net *net, struct net_cost *cost) {
    const struct net_count *c = &net->count;
    *cost = (struct net_cost){.open_ns = c->open_ns, .opens = c->opens, .open_bytes = c->payload_received_bytes,
                              .seal_ns = c->seal_ns, .seals = c->frames_sent, .seal_bytes = c->payload_sent_bytes};
}

size_t net_counters(const struct net *net, struct net_counter *counters, size_t room) {
    struct list list = {counters, room, 0};
    const struct net_count *c = &net->count;
    for (size_t i = LINK_CAUSE_PREAMBLE; i < LINK_CAUSE_COUNT; i++) {
        add(&list, closed_names[i], c->closed[i]);
    }
    const struct net_counter own[] = {
        {"closed_ended", c->ended},
        {"closed_stalled", c->stalled},
        {"closed_slow", c->slow},
        {"accepted", c->accepted},
        {"refused_rate", c->refused_rate},
        {"refused_half_open", c->refused_half_open},
        {"evicted_half_open", c->evicted_half_open},
        {"evicted_pending", c->evicted_pending},
        {"dialled", c->dialled},
        {"dial_failed", c->dial_failed},
        {"ups", c->ups},
        {"downs", c->downs},
        {"replaced", c->replaced},
        {"frames_received", c->frames_received},
        {"frames_sent", c->frames_sent},
        {"payload_received_bytes", c->payload_received_bytes},
        {"payload_sent_bytes", c->payload_sent_bytes},
        {"copied_bytes", copied_bytes(net)},
        {"send_full", c->send_full},
        {"send_share_full", c->send_share_full},
        {"send_not_up", c->send_not_up},
        {"send_too_long", c->send_too_long},
        {"frames_kept_direct", c->kept_direct},
        {"frames_kept_copied", c->kept_copied},
        {"frames_keep_refused", c->keep_refused},
        {"half_open_now", c->half_open_now},
        {"up_now", c->up_now},
        {"frame_memory_now", net->blocks.used_bytes + net->blocks.cached_bytes},
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        add(&list, own[i].name, own[i].value);
    }
    if (net->loop == NULL) {
        return list.count;
    }
    const struct loop_counters *l = loop_counters_of(net->loop);
    const struct net_counter loops[] = {
        {"loop_submits", l->submits},
        {"loop_completions", l->completions},
        {"loop_receives", l->receives},
        {"loop_receive_bytes", l->receive_bytes},
        {"loop_receive_starved", l->receive_starved},
        {"loop_sends", l->sends},
        {"loop_sends_at_once", l->sends_at_once},
        {"loop_send_bytes", l->send_bytes},
        {"loop_zc_sends", l->zc_sends},
        {"loop_zc_notifications", l->zc_notifications},
        {"loop_zc_copied", l->zc_copied},
        {"loop_accept_failures", l->accept_failures},
        {"loop_connect_failures", l->connect_failures},
        {"loop_wakes", l->wakes},
        {"loop_buffers_refused", l->buffers_refused},
        {"loop_buffers_further_now", l->buffers_extra_now},
    };
    for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++) {
        add(&list, loops[i].name, loops[i].value);
    }
    return list.count;
}

size_t net_budget(const struct net *net, struct net_counter *parts, size_t room) {
    struct list list = {parts, room, 0};
    uint64_t receive = (uint64_t)net->config.receive_buffer_count * net->config.receive_buffer_bytes;
    uint64_t first = (uint64_t)net->config.send_buffer_count * LOOP_SEND_BUFFER_BYTES;
    uint64_t further = net->config.send_memory_max;
    uint64_t tables = 0;
    uint64_t frames = 0;
    uint64_t kept = 0;
    uint64_t queues = 0;
    if (net->loop != NULL) {
        loop_budget(net->loop, &receive, &first, &further, &tables);
    }
    for (uint32_t i = 0; i < net->peer_end; i++) {
        if (net->peers[i].used) {
            const struct net_peer_config *config = &net->peers[i].config;
            frames += config->frame_bytes_max + LINK_BLOCK_SLACK_BYTES + BLOCKS_HEADER_BYTES;
            kept += config->keep_counted ? 0 : config->keep_bytes_max;
            queues += config->send_queue_bytes_max;
        }
    }
    add(&list, "receive_buffers", receive);
    add(&list, "send_buffers", first);
    add(&list, "send_buffers_further", further < queues ? further : queues);
    add(&list, "loop_tables", tables);
    add(&list, "links", (uint64_t)net->connection_slots * (net_link_stride() + sizeof(struct net_connection)));
    add(&list, "peers",
        (uint64_t)net->peer_slots * (sizeof(struct net_peer) + 2 * sizeof(struct net_event)) + net->key_table_size * sizeof(uint32_t));
    add(&list, "frames_received", frames);
    add(&list, "frames_kept", kept);
    add(&list, "frame_memory_cache", BLOCKS_CACHE_BYTES_MAX);
    return list.count;
}
