/* ring/net.h over 127.0.0.1: several nets in one thread, polled in turn. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ring/clock.h"
#include "ring/net.h"
#include "tests/ring/support.h"

#define PATIENCE_MS 20000u
#define FRAME_MAX (8u << 20)

struct node {
    struct net *net;
    uint8_t private_key[32], public_key[32];
    uint32_t other; /* handle of the other node */
    unsigned ups, downs, frames, woken, replaced;
    enum link_cause cause;
    uint32_t goodbye;
    uint64_t bytes;
    uint32_t sum;
    bool keep;
    const uint8_t *kept[8];
    size_t kept_bytes[8];
    unsigned kept_count;
};

static uint64_t key_seed = 7;

static struct net_config config_of(struct node *node) {
    struct net_config config = {.system_id = "tests of the net", .listen_count = 1, .peers_max = 16};
    assert_true(net_address_parse("127.0.0.1:0", &config.listen[0]));
    memcpy(config.static_private, node->private_key, 32);
    return config;
}

static void node_keys(struct node *node) {
    memset(node, 0, sizeof *node);
    node->other = NET_PEER_NONE;
    support_random_fill(&key_seed, node->private_key, 32);
    ring_primitives_default()->x25519_base(node->public_key, node->private_key);
}

static void node_start(struct node *node, const struct net_config *config) {
    char error[NET_ERROR_BYTES];
    if (net_create(&node->net, config, error) != NET_OK || net_start(node->net, error) != NET_OK) {
        fail_msg("%s", error);
    }
}

static uint32_t node_knows_as(struct node *node, const struct node *other, enum net_dial dial, uint16_t role) {
    struct net_peer_config peer = {
        .tag = 99,
        .role = role,
        .dial = dial,
        .frame_bytes_max = FRAME_MAX,
        .send_queue_bytes_max = 32u << 20,
        .keep_bytes_max = 9u << 20,
    };
    memcpy(peer.static_key, other->public_key, 32);
    if (other->net != NULL && net_listen_port(other->net, 0) != 0) {
        char text[32];
        snprintf(text, sizeof text, "127.0.0.1:%u", net_listen_port(other->net, 0));
        assert_true(net_address_parse(text, &peer.addresses[0]));
        peer.address_count = 1;
    }
    uint32_t handle;
    assert_int_equal(net_peer_add(node->net, &peer, &handle), NET_OK);
    return handle;
}

static uint32_t node_knows(struct node *node, const struct node *other, enum net_dial dial) {
    return node_knows_as(node, other, dial, NET_ROLE_MEMBER);
}

static void node_event(struct node *node, const struct net_event *event) {
    if (event->kind == NET_WOKEN) {
        node->woken++;
        return;
    }
    assert_int_equal(event->tag, 99);
    node->ups += event->kind == NET_UP;
    node->downs += event->kind == NET_DOWN;
    node->replaced += event->kind == NET_DOWN && event->replaced;
    if (event->kind == NET_DOWN) {
        node->cause = event->cause;
        node->goodbye = event->goodbye_code;
    } else if (event->kind == NET_FRAME) {
        node->frames++;
        node->bytes += event->payload_bytes;
        if (node->keep) {
            const uint8_t *kept = net_frame_keep(node->net, event);
            if (kept != NULL && node->kept_count < 8) {
                node->kept[node->kept_count] = kept;
                node->kept_bytes[node->kept_count++] = event->payload_bytes;
            }
        } else {
            node->sum = support_sum(node->sum, event->type, event->payload, event->payload_bytes);
        }
    }
}

static void node_turn(struct node *node) {
    struct net_event event;
    if (node->net != NULL) {
        net_poll(node->net, 1);
        while (net_next(node->net, &event)) {
            node_event(node, &event);
        }
    }
}

static void turn(struct node *a, struct node *b) {
    node_turn(a);
    node_turn(b);
}

#define UNTIL(a, b, condition)                                                                                                                       \
    for (uint64_t until_begin = ring_clock_ms(); !(condition); turn(a, b)) {                                                                         \
        assert_true(ring_clock_ms() - until_begin < PATIENCE_MS);                                                                                    \
    }

static uint64_t counter(const struct net *net, const char *name) {
    struct net_counter counters[128];
    size_t count = net_counters(net, counters, 128);
    assert_true(count <= 128);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(counters[i].name, name) == 0) {
            return counters[i].value;
        }
    }
    fail_msg("no counter %s", name);
    return 0;
}

static void pair_start_with(struct node *a, struct node *b, void (*change)(struct net_config *)) {
    node_keys(a);
    node_keys(b);
    struct net_config config = config_of(a);
    if (change != NULL) {
        change(&config);
    }
    node_start(a, &config);
    config = config_of(b);
    if (change != NULL) {
        change(&config);
    }
    node_start(b, &config);
    a->other = node_knows(a, b, NET_DIAL_BY_KEY);
    b->other = node_knows(b, a, NET_DIAL_BY_KEY);
    UNTIL(a, b, a->ups == 1 && b->ups == 1);
}

static void pair_stop(struct node *a, struct node *b) {
    net_destroy(a->net);
    net_destroy(b->net);
}

static void test_lower_key_dials_and_both_come_up(void **state) {
    (void)state;
    struct node a;
    struct node b;
    pair_start_with(&a, &b, NULL);
    bool a_lower = memcmp(a.public_key, b.public_key, 32) < 0;
    assert_int_equal(counter(a.net, "dialled"), a_lower ? 1 : 0);
    assert_int_equal(counter(b.net, "dialled"), a_lower ? 0 : 1);
    assert_true(net_peer_is_up(a.net, a.other));
    pair_stop(&a, &b);
}

static void pump(struct node *a, struct node *b, uint64_t seed, unsigned frames, size_t bytes_max) {
    uint8_t *content = malloc(bytes_max);
    struct node *ends[2] = {a, b};
    uint32_t sums[2] = {0, 0};
    unsigned sent[2] = {0, 0};
    unsigned before[2] = {a->frames, b->frames};
    a->sum = b->sum = 0;
    support_random_fill(&seed, content, bytes_max);
    uint64_t begin = ring_clock_ms();
    while (a->frames - before[0] < frames || b->frames - before[1] < frames) {
        for (size_t e = 0; e < 2; e++) {
            bool full = false;
            while (sent[e] < frames && !full) {
                uint64_t random = support_random(&seed);
                size_t bytes = random % 16 == 0 ? (random >> 8) % bytes_max : (random >> 8) % (bytes_max < 600 ? bytes_max : 600);
                size_t cut = bytes > 0 ? (random >> 40) % bytes : 0;
                uint16_t type = (uint16_t)(0x100 + random % 7);
                content[0] = (uint8_t)random;
                struct iovec pieces[3] = {{content, cut}, {content + cut, 0}, {content + cut, bytes - cut}};
                enum net_status status = net_send(ends[e]->net, ends[e]->other, type, pieces, 3);
                full = status == NET_FULL;
                if (!full) {
                    assert_int_equal(status, NET_OK);
                    sums[1 - e] = support_sum(sums[1 - e], type, content, bytes);
                    sent[e]++;
                }
            }
        }
        turn(a, b);
        assert_true(ring_clock_ms() - begin < 6 * PATIENCE_MS);
    }
    assert_int_equal(a->sum, sums[0]);
    assert_int_equal(b->sum, sums[1]);
    free(content);
}

static void test_thousands_of_frames_in_both_directions(void **state) {
    (void)state;
    struct node a;
    struct node b;
    pair_start_with(&a, &b, NULL);
    pump(&a, &b, support_seed("thousands"), 6000, 100000);
    assert_int_equal(a.downs + b.downs, 0);
    assert_int_equal(counter(a.net, "frames_sent"), 6000);
    assert_int_equal(counter(b.net, "frames_received"), 6000);
    pair_stop(&a, &b);
}

static void aes(struct net_config *config) {
    config->suites_allowed = 1u << RING_SUITE_CHACHAPOLY | 1u << RING_SUITE_AESGCM;
}

static void test_megabyte_frames_stream(void **state) {
    (void)state;
    struct node a;
    struct node b;
    pair_start_with(&a, &b, aes);
    pump(&a, &b, support_seed("megabytes"), 120, FRAME_MAX);
    print_message("%llu at once\n", (unsigned long long)counter(a.net, "loop_sends_at_once"));
    assert_true(counter(a.net, "loop_sends_at_once") > 10); /* buffers that were full before their frame was sealed whole */
    pair_stop(&a, &b);
}

static void zero_copy(struct net_config *config) {
    config->send_zc_threshold_bytes = 1;
    config->send_buffer_count = 8;
}

static void test_everything_by_zero_copy(void **state) {
    (void)state;
    struct node a;
    struct node b;
    pair_start_with(&a, &b, zero_copy);
    pump(&a, &b, support_seed("zero_copy"), 3000, 300000);
    uint64_t begin = ring_clock_ms();
    while (counter(a.net, "loop_zc_sends") != counter(a.net, "loop_zc_notifications")) {
        turn(&a, &b);
        assert_true(ring_clock_ms() - begin < PATIENCE_MS);
    }
    assert_true(counter(a.net, "loop_zc_sends") > 100);
    assert_int_equal(counter(a.net, "loop_zc_sends"), counter(a.net, "loop_sends"));
    assert_int_equal(counter(a.net, "loop_sends_at_once"), 0);
    pair_stop(&a, &b);
}

static void test_full_queue_refuses_and_later_takes_again(void **state) {
    (void)state;
    struct node a;
    struct node b;
    static uint8_t content[1 << 20];
    struct iovec piece = {content, sizeof content};
    pair_start_with(&a, &b, NULL);
    unsigned sent = 0;
    enum net_status status = NET_OK;
    for (uint64_t begin = ring_clock_ms(); status == NET_OK && ring_clock_ms() - begin < PATIENCE_MS;) {
        status = net_send(a.net, a.other, 0x101, &piece, 1);
        sent += status == NET_OK;
        node_turn(&a); /* b takes nothing */
    }
    assert_int_equal(status, NET_FULL);
    assert_true(net_queue_bytes(a.net, a.other) > (24u << 20) && net_queue_bytes(a.net, a.other) <= (32u << 20));
    UNTIL(&a, &b, b.frames == sent);
    assert_int_equal(net_queue_bytes(a.net, a.other), 0);
    assert_int_equal(net_send(a.net, a.other, 0x101, &piece, 1), NET_OK);
    UNTIL(&a, &b, b.frames == sent + 1);
    assert_int_equal(counter(a.net, "loop_buffers_further_now") < 4, 1);
    pair_stop(&a, &b);
}

/* One net with 16 MiB of send buffers, a client that stops reading, and a member. */
static void test_clients_that_do_not_read_leave_the_members_their_share(void **state) {
    (void)state;
    struct node hub;
    struct node client;
    struct node member;
    struct node *all[3] = {&hub, &client, &member};
    for (size_t i = 0; i < 3; i++) {
        node_keys(all[i]);
        struct net_config config = config_of(all[i]);
        config.send_memory_max = 16u << 20;
        config.send_buffer_count = 16;
        config.idle_ms = 60000;
        node_start(all[i], &config);
    }
    uint32_t to_client = node_knows_as(&hub, &client, NET_DIAL_NEVER, NET_ROLE_CLIENT);
    uint32_t to_member = node_knows(&hub, &member, NET_DIAL_NEVER);
    client.other = node_knows(&client, &hub, NET_DIAL_ALWAYS);
    member.other = node_knows(&member, &hub, NET_DIAL_ALWAYS);
    UNTIL(&hub, &client, hub.ups == 1);
    UNTIL(&hub, &member, hub.ups == 2);

    static uint8_t content[1 << 20];
    struct iovec piece = {content, sizeof content};
    uint64_t begin = ring_clock_ms();
    while (counter(hub.net, "closed_slow") == 0) { /* the client is not polled from here on */
        while (net_send(hub.net, to_client, 0x0100, &piece, 1) == NET_OK) {
            assert_true(net_queue_bytes(hub.net, to_client) <= 18u << 18); /* a quarter of 18 MiB */
        }
        enum net_status status = net_send(hub.net, to_member, 0x0100, &piece, 1);
        assert_true(status == NET_OK);
        unsigned frames = member.frames;
        UNTIL(&hub, &member, member.frames > frames);
        assert_true(ring_clock_ms() - begin < PATIENCE_MS);
    }
    assert_true(counter(hub.net, "send_share_full") > 0);
    assert_false(net_peer_is_up(hub.net, to_client));
    assert_true(net_peer_is_up(hub.net, to_member));
    for (size_t i = 0; i < 3; i++) {
        net_destroy(all[i]->net);
    }
}

static void test_too_long_for_the_receiver_is_refused_by_the_sender(void **state) {
    (void)state;
    struct node a;
    struct node b;
    pair_start_with(&a, &b, NULL);
    uint8_t *content = calloc(1, FRAME_MAX + 1);
    struct iovec piece = {content, FRAME_MAX + 1};
    assert_int_equal(net_send(a.net, a.other, 0x101, &piece, 1), NET_TOO_LONG);
    piece.iov_len = FRAME_MAX;
    assert_int_equal(net_send(a.net, a.other, 0x101, &piece, 1), NET_OK);
    UNTIL(&a, &b, b.frames == 1);
    assert_int_equal(b.bytes, FRAME_MAX);
    free(content);
    pair_stop(&a, &b);
}

static void test_kept_frames_outlive_the_poll_and_are_bounded(void **state) {
    (void)state;
    struct node a;
    struct node b;
    uint64_t seed = 5;
    static uint8_t content[3u << 20];
    support_random_fill(&seed, content, sizeof content);
    struct iovec piece = {content, sizeof content};
    struct iovec small = {content, 100};
    pair_start_with(&a, &b, NULL);
    b.keep = true;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(net_send(a.net, a.other, 0x101, i == 0 ? &small : &piece, 1), NET_OK);
    }
    UNTIL(&a, &b, b.frames == 4);
    assert_int_equal(b.kept_count, 3); /* 9 MiB hold two of 3 MiB with their slack, and the small one */
    assert_int_equal(counter(b.net, "frames_kept_direct"), 2);
    assert_int_equal(counter(b.net, "frames_kept_copied"), 1);
    assert_int_equal(counter(b.net, "frames_keep_refused"), 1);
    net_peer_close(b.net, b.other, LINK_GOODBYE_SHUTDOWN);
    UNTIL(&a, &b, a.downs == 1 && b.downs == 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_memory_equal(b.kept[i], content, b.kept_bytes[i]);
        net_frame_release(b.net, b.kept[i]);
    }
    pair_stop(&a, &b);
}

static void test_reconnects_after_goodbye_and_after_a_crash(void **state) {
    (void)state;
    struct node a;
    struct node b;
    pair_start_with(&a, &b, NULL);
    net_peer_close(a.net, a.other, LINK_GOODBYE_SHUTDOWN);
    UNTIL(&a, &b, a.downs == 1 && b.downs == 1);
    assert_int_equal(b.cause, LINK_CAUSE_GOODBYE);
    assert_int_equal(b.goodbye, LINK_GOODBYE_SHUTDOWN);
    assert_int_equal(a.cause, LINK_CAUSE_LOCAL);
    UNTIL(&a, &b, a.ups == 2 && b.ups == 2);

    struct net_config config = config_of(&b);
    char text[32];
    snprintf(text, sizeof text, "127.0.0.1:%u", net_listen_port(b.net, 0));
    net_destroy(b.net); /* a crash */
    b.net = NULL;
    UNTIL(&a, &b, a.downs == 2);
    for (uint64_t begin = ring_clock_ms(); ring_clock_ms() - begin < 300;) {
        turn(&a, &b);
    }
    assert_true(net_address_parse(text, &config.listen[0]));
    node_start(&b, &config);
    b.other = node_knows(&b, &a, NET_DIAL_BY_KEY);
    UNTIL(&a, &b, a.ups == 3 && b.ups == 3);
    pump(&a, &b, 3, 50, 5000);
    pair_stop(&a, &b);
}

static void test_moves_to_a_new_address_without_restart(void **state) {
    (void)state;
    struct node a;
    struct node b;
    node_keys(&a);
    node_keys(&b);
    struct net_config config = config_of(&a);
    node_start(&a, &config);
    config = config_of(&b);
    node_start(&b, &config);
    struct net_peer_config peer = {.tag = 99, .role = NET_ROLE_FOREIGN, .dial = NET_DIAL_ALWAYS, .frame_bytes_max = 1000, .address_count = 1};
    memcpy(peer.static_key, b.public_key, 32);
    assert_true(net_address_parse("127.0.0.1:1", &peer.addresses[0])); /* nobody listens there */
    assert_int_equal(net_peer_add(a.net, &peer, &a.other), NET_OK);
    b.other = node_knows(&b, &a, NET_DIAL_NEVER);
    UNTIL(&a, &b, counter(a.net, "dial_failed") >= 2);
    char text[32];
    snprintf(text, sizeof text, "127.0.0.1:%u", net_listen_port(b.net, 0));
    assert_true(net_address_parse(text, &peer.addresses[0]));
    assert_int_equal(net_peer_update(a.net, a.other, &peer), NET_OK);
    UNTIL(&a, &b, a.ups == 1 && b.ups == 1);
    pair_stop(&a, &b);
}

static void test_stranger_and_other_system_get_no_link(void **state) {
    (void)state;
    struct node a;
    struct node b;
    node_keys(&a);
    node_keys(&b);
    struct net_config config = config_of(&a);
    node_start(&a, &config);
    config = config_of(&b);
    node_start(&b, &config);
    a.other = node_knows(&a, &b, NET_DIAL_ALWAYS); /* b does not know a */
    UNTIL(&a, &b, counter(b.net, "closed_key_unknown") >= 2);
    assert_int_equal(a.ups + b.ups, 0);
    assert_int_equal(counter(b.net, "loop_sends"), 0); /* without a reply */
    net_destroy(a.net);
    config = config_of(&a);
    config.system_id[3] ^= 1;
    node_start(&a, &config);
    a.other = node_knows(&a, &b, NET_DIAL_ALWAYS);
    b.other = node_knows(&b, &a, NET_DIAL_NEVER);
    UNTIL(&a, &b, counter(b.net, "closed_handshake") >= 2);
    assert_int_equal(a.ups + b.ups, 0);
    pair_stop(&a, &b);
}

static void test_removed_peer_is_told_and_stays_out(void **state) {
    (void)state;
    struct node a;
    struct node b;
    pair_start_with(&a, &b, NULL);
    uint32_t stale = a.other;
    net_peer_remove(a.net, a.other);
    UNTIL(&a, &b, b.downs == 1);
    assert_int_equal(b.cause, LINK_CAUSE_GOODBYE);
    assert_int_equal(b.goodbye, LINK_GOODBYE_REFUSED);
    assert_int_equal(a.downs, 0);
    assert_int_equal(net_peer_find(a.net, b.public_key), NET_PEER_NONE);
    a.other = node_knows(&a, &b, NET_DIAL_BY_KEY);
    assert_true(a.other != stale);
    UNTIL(&a, &b, a.ups == 2 && b.ups == 2);
    pair_stop(&a, &b);
}

/* As many as a table has, one beyond, and again after one went: the others keep their handles, the gone one's is not valid again. */
static void test_tables_of_many_peers_fill_and_empty(void **state) {
    (void)state;
    enum { PEERS = 70000 };
    struct node a;
    struct net *net;
    char error[NET_ERROR_BYTES];
    node_keys(&a);
    struct net_config config = config_of(&a);
    config.peers_max = PEERS;
    assert_int_equal(net_create(&net, &config, error), NET_OK);
    static struct net_peer_config peer;
    static uint32_t handles[PEERS];
    peer = (struct net_peer_config){.role = NET_ROLE_CLIENT, .dial = NET_DIAL_NEVER};
    for (uint32_t i = 0; i <= PEERS; i++) {
        memset(peer.static_key, 0, sizeof peer.static_key);
        memcpy(peer.static_key, &i, sizeof i);
        uint32_t handle;
        assert_int_equal(net_peer_add(net, &peer, &handle), i < PEERS ? NET_OK : NET_ERR_PEERS_FULL);
        if (i < PEERS) handles[i] = handle;
    }
    uint32_t gone = 40000;
    net_peer_remove(net, handles[gone]);
    uint32_t again;
    assert_int_equal(net_peer_add(net, &peer, &again), NET_OK); /* the one that found no room */
    assert_true(again != handles[gone]);
    for (uint32_t i = 0; i < PEERS; i++) {
        memcpy(peer.static_key, &i, sizeof i);
        uint32_t found = net_peer_find(net, peer.static_key);
        assert_int_equal(found, i == gone ? NET_PEER_NONE : handles[i]);
        if (i != gone) assert_false(net_peer_is_up(net, found));
    }
    net_destroy(net);
}

/* Two nets that both dial: crossing links end in one, and the events stay paired. */
static void test_crossing_dials_settle_on_one_link(void **state) {
    (void)state;
    struct node a;
    struct node b;
    node_keys(&a);
    node_keys(&b);
    struct net_config config = config_of(&a);
    node_start(&a, &config);
    config = config_of(&b);
    node_start(&b, &config);
    a.other = node_knows(&a, &b, NET_DIAL_ALWAYS);
    b.other = node_knows(&b, &a, NET_DIAL_ALWAYS);
    UNTIL(&a, &b, a.ups > 0 && b.ups > 0);
    for (uint64_t begin = ring_clock_ms(); ring_clock_ms() - begin < 500;) {
        turn(&a, &b);
    }
    UNTIL(&a, &b, net_peer_is_up(a.net, a.other) && net_peer_is_up(b.net, b.other));
    assert_int_equal(a.ups, a.downs + 1);
    assert_int_equal(b.ups, b.downs + 1);
    pump(&a, &b, 3, 50, 5000);
    pair_stop(&a, &b);
}

static int raw_connect(const struct node *node) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(net_listen_port(node->net, 0)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Records a first flight that a sends to a listening socket of ours, then replays it at b. */
static size_t first_flight_of(struct node *a, const struct node *b, uint8_t flight[LINK_FIRST_FLIGHT_BYTES]) {
    struct link_identity identity;
    struct link_config config = {.primitives = ring_primitives_default(),
                                 .identity = &identity,
                                 .system_id = "tests of the net",
                                 .version_min = 1,
                                 .version_max = 1,
                                 .suites_allowed = 1u << RING_SUITE_CHACHAPOLY};
    struct link_peer peer = {0};
    struct link *link = calloc(1, sizeof *link);
    uint8_t ephemeral[32] = {9};
    uint8_t out[LINK_OUTPUT_BYTES_MAX];
    memcpy(identity.private_key, a->private_key, 32);
    memcpy(identity.public_key, a->public_key, 32);
    link_init_initiator(link, &config, &peer, b->public_key, 1, RING_SUITE_CHACHAPOLY, ephemeral, 1);
    size_t bytes = link_output(link, out, sizeof out);
    memcpy(flight, out, LINK_FIRST_FLIGHT_BYTES);
    link_wipe(link);
    free(link);
    return bytes;
}

static void test_replayed_first_message_leaves_the_link_alone(void **state) {
    (void)state;
    struct node a;
    struct node b;
    uint8_t flight[LINK_FIRST_FLIGHT_BYTES];
    int fds[8];
    pair_start_with(&a, &b, NULL);
    assert_int_equal(first_flight_of(&a, &b, flight), sizeof flight);
    for (size_t i = 0; i < 8; i++) {
        fds[i] = raw_connect(&b);
        assert_int_equal(write(fds[i], flight, sizeof flight), sizeof flight);
    }
    UNTIL(&a, &b, counter(b.net, "evicted_pending") >= 4); /* at most 4 handshakes bear one key */
    pump(&a, &b, 4, 50, 5000);
    assert_int_equal(a.downs + b.downs, 0);
    assert_int_equal(counter(b.net, "up_now"), 1);
    for (size_t i = 0; i < 8; i++) {
        close(fds[i]);
    }
    pair_stop(&a, &b);
}

static void few(struct net_config *config) {
    config->half_open_max = 8;
    config->half_open_reserved = 2;
    config->handshake_ms = 400;
    config->handshakes_per_s = 100;
}

static void test_flood_of_silent_connections_is_bounded_and_times_out(void **state) {
    (void)state;
    struct node a;
    struct node b;
    int fds[60];
    pair_start_with(&a, &b, few);
    for (size_t i = 0; i < 60; i++) {
        fds[i] = raw_connect(&b);
        turn(&a, &b);
        assert_true(counter(b.net, "half_open_now") <= 8);
    }
    UNTIL(&a, &b, counter(b.net, "closed_handshake_timeout") + counter(b.net, "refused_half_open") + counter(b.net, "refused_rate") >= 60);
    assert_int_equal(counter(b.net, "half_open_now"), 0);
    net_peer_close(a.net, a.other, LINK_GOODBYE_SHUTDOWN);
    UNTIL(&a, &b, a.ups == 2 && b.ups == 2);
    for (size_t i = 0; i < 60; i++) {
        close(fds[i]);
    }
    pair_stop(&a, &b);
}

static void quick(struct net_config *config) {
    config->ping_ms = 200;
    config->idle_ms = 1500;
}

static void test_idle_link_is_kept_alive_and_a_dead_one_found(void **state) {
    (void)state;
    struct node a;
    struct node b;
    pair_start_with(&a, &b, quick);
    for (uint64_t begin = ring_clock_ms(); ring_clock_ms() - begin < 2500;) {
        turn(&a, &b);
    }
    assert_int_equal(a.downs + b.downs, 0);
    (void)usleep(2000000); /* nobody polls for longer than the idle time: what waits in the sockets is heard first */
    for (unsigned i = 0; i < 5; i++) {
        turn(&a, &b);
    }
    assert_int_equal(a.downs + b.downs, 0);
    for (uint64_t begin = ring_clock_ms(); a.downs == 0;) {
        node_turn(&a); /* b stands still */
        assert_true(ring_clock_ms() - begin < PATIENCE_MS);
    }
    assert_int_equal(a.cause, LINK_CAUSE_IDLE);
    pair_stop(&a, &b);
}

static const struct link_type_rule rules[] = {{0x101, NET_ROLE_MEMBER, 100}, {0x301, NET_ROLE_CLIENT, 1000}};

static void ruled(struct net_config *config) {
    config->rules = rules;
    config->rule_count = 2;
}

static void send_forbidden(uint16_t type, size_t bytes, const char *name) {
    struct node a;
    struct node b;
    uint8_t content[200] = {0};
    struct iovec piece = {content, bytes};
    pair_start_with(&a, &b, ruled);
    assert_int_equal(net_send(a.net, a.other, type, &piece, 1), NET_OK);
    UNTIL(&a, &b, a.downs == 1 && b.downs == 1);
    assert_int_equal(counter(b.net, name), 1);
    assert_int_equal(b.frames, 0);
    assert_int_equal(a.goodbye, LINK_GOODBYE_PROTOCOL);
    pair_stop(&a, &b);
}

static void test_forbidden_types_and_lengths_close_the_link(void **state) {
    (void)state;
    send_forbidden(0x301, 10, "closed_frame_type");    /* a client's, from a member */
    send_forbidden(0x102, 10, "closed_frame_type");    /* unknown */
    send_forbidden(0x101, 101, "closed_frame_length"); /* one past the type's limit */
}

static void test_wake_and_shutdown(void **state) {
    (void)state;
    struct node a;
    struct node b;
    pair_start_with(&a, &b, NULL);
    uint64_t begin = ring_clock_ms();
    net_wake(a.net);
    UNTIL(&a, &b, a.woken > 0);
    assert_true(ring_clock_ms() - begin < 1000);
    net_close_all(a.net, LINK_GOODBYE_SHUTDOWN);
    UNTIL(&a, &b, net_is_quiet(a.net) && b.downs == 1);
    assert_int_equal(b.goodbye, LINK_GOODBYE_SHUTDOWN);
    pair_stop(&a, &b);
}

/* A node begun anew right after a crash: the kernel closes the sockets of the ring that was there some time after its process ended. */
static void test_port_that_is_being_given_back_is_waited_for(void **state) {
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int held = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(held >= 0);
    assert_int_equal(bind(held, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(held, 1), 0);
    assert_int_equal(getsockname(held, (struct sockaddr *)&address, &bytes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)poll(NULL, 0, 300);
        _exit(0); /* its descriptor is the last one */
    }
    close(held);
    struct node a;
    struct net *net;
    char error[NET_ERROR_BYTES];
    node_keys(&a);
    struct net_config config = config_of(&a);
    memcpy(&config.listen[0], &address, sizeof address);
    assert_int_equal(net_create(&net, &config, error), NET_OK);
    assert_int_equal(net_start(net, error), NET_OK);
    assert_int_equal(net_listen_port(net, 0), ntohs(address.sin_port));
    net_destroy(net);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_bad_configurations_are_named(void **state) {
    (void)state;
    struct node a;
    struct node b;
    char error[NET_ERROR_BYTES];
    struct net *net;
    node_keys(&a);
    node_keys(&b);
    struct net_config config = config_of(&a);
    config.suites_allowed = 1u << RING_SUITE_AESGCM;
    assert_int_equal(net_create(&net, &config, error), NET_ERR_CONFIG);
    assert_non_null(strstr(error, "ChaChaPoly"));
    assert_null(net);
    config = config_of(&a);
    node_start(&a, &config);
    config = config_of(&b);
    snprintf(error, sizeof error, "127.0.0.1:%u", net_listen_port(a.net, 0));
    assert_true(net_address_parse(error, &config.listen[0]));
    assert_int_equal(net_create(&net, &config, error), NET_OK);
    assert_int_equal(net_start(net, error), NET_ERR_LISTEN);
    assert_non_null(strstr(error, "cannot listen on 127.0.0.1:"));
    net_destroy(net);
    struct net_peer_config peer = {.role = NET_ROLE_CLIENT};
    uint32_t handle;
    memcpy(peer.static_key, a.public_key, 32);
    assert_int_equal(net_peer_add(a.net, &peer, &handle), NET_ERR_PEER_EXISTS); /* oneself */
    peer.static_key[0] ^= 1;
    peer.role = 3;
    assert_int_equal(net_peer_add(a.net, &peer, &handle), NET_ERR_CONFIG);
    peer.role = NET_ROLE_CLIENT;
    for (unsigned i = 0; i < 16; i++) {
        peer.static_key[1] = (uint8_t)i;
        assert_int_equal(net_peer_add(a.net, &peer, &handle), NET_OK);
        assert_int_equal(net_peer_add(a.net, &peer, &handle), NET_ERR_PEER_EXISTS);
    }
    peer.static_key[1] = 200;
    assert_int_equal(net_peer_add(a.net, &peer, &handle), NET_ERR_PEERS_FULL);
    net_destroy(a.net);
}

static void test_addresses_are_parsed_strictly(void **state) {
    (void)state;
    struct sockaddr_storage address;
    char text[64];
    static const char *const good[] = {"127.0.0.1:1", "10.1.2.3:65535", "[::1]:7000", "[fe80::2]:0"};
    static const char *const bad[] = {"",       "127.0.0.1", "127.0.0.1:", ":7000", "127.0.0.1:65536", "127.0.0.1:070000", "1.2.3:7",
                                      "host:7", "[::1:7",    "::1]:7",     "[]:7",  "[::1]7",          "1.2.3.4:-1",       "1.2.3.4: 1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(net_address_parse(good[i], &address));
        net_address_format(&address, text);
        assert_string_equal(text, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(net_address_parse(bad[i], &address));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower_key_dials_and_both_come_up),
        cmocka_unit_test(test_thousands_of_frames_in_both_directions),
        cmocka_unit_test(test_megabyte_frames_stream),
        cmocka_unit_test(test_everything_by_zero_copy),
        cmocka_unit_test(test_full_queue_refuses_and_later_takes_again),
        cmocka_unit_test(test_clients_that_do_not_read_leave_the_members_their_share),
        cmocka_unit_test(test_too_long_for_the_receiver_is_refused_by_the_sender),
        cmocka_unit_test(test_kept_frames_outlive_the_poll_and_are_bounded),
        cmocka_unit_test(test_reconnects_after_goodbye_and_after_a_crash),
        cmocka_unit_test(test_moves_to_a_new_address_without_restart),
        cmocka_unit_test(test_stranger_and_other_system_get_no_link),
        cmocka_unit_test(test_removed_peer_is_told_and_stays_out),
        cmocka_unit_test(test_tables_of_many_peers_fill_and_empty),
        cmocka_unit_test(test_crossing_dials_settle_on_one_link),
        cmocka_unit_test(test_replayed_first_message_leaves_the_link_alone),
        cmocka_unit_test(test_flood_of_silent_connections_is_bounded_and_times_out),
        cmocka_unit_test(test_idle_link_is_kept_alive_and_a_dead_one_found),
        cmocka_unit_test(test_forbidden_types_and_lengths_close_the_link),
        cmocka_unit_test(test_wake_and_shutdown),
        cmocka_unit_test(test_port_that_is_being_given_back_is_waited_for),
        cmocka_unit_test(test_bad_configurations_are_named),
        cmocka_unit_test(test_addresses_are_parsed_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
