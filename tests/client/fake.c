/* The fake system's nodes: one thread, poll(), a responder link per connection. */
#include "tests/client/fake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/addresses.h"
#include "ring/clock.h"
#include "ring/entropy.h"
#include "ring/link.h"

enum { NODES_MAX = 64, CONNECTIONS_MAX = 256, LATER_MAX = 64, RECEIVE_BYTES = 65536, IDS_MAX = 4096, MESSAGE_BATCH = 0x0301 };

struct connection {
    int fd; /* -1: free */
    uint32_t node;
    struct link link;
    uint8_t receive[RECEIVE_BYTES];
};

/* An answer that is sent when its time has come. */
struct later {
    uint64_t at_ms;
    uint32_t node;
    struct fake_payload payload;
};

struct fake_server {
    struct fake *fake;
    pthread_t thread;
    int stop[2];
    uint32_t nodes;
    int listeners[NODES_MAX];
    struct link_identity identities[NODES_MAX];
    struct link_config configs[NODES_MAX];
    struct connection *connections[CONNECTIONS_MAX];
    struct later later[LATER_MAX];
    uint32_t later_count;
    uint8_t ids[IDS_MAX][32];
    uint32_t ids_count;
};

static void *take(void *context, size_t bytes) {
    (void)context;
    return malloc(bytes);
}

static void give(void *context, void *block, size_t bytes) {
    (void)context;
    (void)bytes;
    free(block);
}

static bool lookup(void *context, const uint8_t remote_static[RING_KEY_BYTES], struct link_peer *peer) {
    const struct fake *fake = context;
    for (uint32_t i = 0; i < FIXTURE_CLIENTS; i++) {
        if (memcmp(remote_static, fake->fixture->clients[i].noise_key, RING_KEY_BYTES) != 0) continue;
        *peer = (struct link_peer){.tag = i, .roles = UINT16_MAX, .frame_bytes_max = 8 << 20};
        return true;
    }
    return false;
}

static void connection_close(struct fake_server *server, struct connection *connection) {
    link_wipe(&connection->link);
    close(connection->fd);
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (server->connections[i] == connection) server->connections[i] = NULL;
    }
    free(connection);
}

/* Blocking, with a limit: the client may have gone. */
static bool write_all(int fd, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            if (poll(&writable, 1, 2000) == 1) continue;
        }
        if (sent <= 0) return false;
        bytes += sent;
        count -= (size_t)sent;
    }
    return true;
}

static bool link_talk(struct connection *connection) {
    uint8_t out[LINK_OUTPUT_BYTES_MAX];
    while (link_output_wanted(&connection->link)) {
        size_t count = link_output(&connection->link, out, sizeof out);
        if (count == 0) break;
        if (!write_all(connection->fd, out, count)) return false;
    }
    return true;
}

/* Seals one frame; sends `permille` of its bytes. */
static bool frame_send(struct connection *connection, uint16_t type, const uint8_t *payload, size_t count, unsigned permille) {
    struct iovec piece = {.iov_base = (void *)(uintptr_t)payload, .iov_len = count};
    struct link_send sending;
    if (!link_talk(connection) || link_send_begin(&connection->link, &sending, type, &piece, 1) != LINK_SEND_OK) return false;
    size_t room = (size_t)link_send_wire_bytes_max(count, 1) + LINK_SEND_ROOM_MIN, used = 0;
    uint8_t *out = malloc(room);
    CHECK(out);
    for (bool done = false; !done;) used += link_send_some(&connection->link, &sending, out + used, room - used, &done);
    bool sent = write_all(connection->fd, out, used * permille / 1000);
    free(out);
    return sent;
}

static struct fake_script script_next(struct fake *fake, uint32_t node) {
    struct fake_script *script = &fake->scripts[node], now = *script;
    if (now.act != FAKE_HONEST) fake->acted[node]++;
    if (script->times > 0 && --script->times == 0) *script = (struct fake_script){0};
    return now;
}

static void batch_note(struct fake_server *server, const uint8_t *bytes, size_t count) {
    uint8_t id[32];
    sha256_hash(bytes, count, id);
    for (uint32_t i = 0; i < server->ids_count; i++) {
        if (memcmp(server->ids[i], id, 32) != 0) continue;
        server->fake->resent++;
        return;
    }
    if (server->ids_count < IDS_MAX) memcpy(server->ids[server->ids_count++], id, 32);
}

/* Announces a frame of 4 GiB in a record that is sealed as it should be: a frame of two records, cut, gives no such thing, so the length is forged by
 * sending a whole frame longer than what the client accepts. */
static bool giant_send(struct connection *connection) {
    connection->link.peer_frame_bytes_max = UINT32_MAX; /* this node does not care what the client accepts */
    size_t count = (size_t)LINK_FRAME_BYTES_MAX + 1;
    uint8_t *bytes = calloc(1, count);
    CHECK(bytes);
    bool sent = frame_send(connection, 0x0302, bytes, count, 10);
    free(bytes);
    return sent;
}

/* What the act does beside, or in place of, answering. False: the connection is to be closed. */
static bool act(struct fake_server *server, struct connection *connection, struct fake_script script, struct fake_payload *payloads, uint32_t count) {
    uint8_t noise[600];
    ring_entropy_fill(noise, sizeof noise);
    noise[0] = noise[1] = 1; /* of FAKE_NOISE: a record of 257 bytes, whole */
    switch (script.act) {
    case FAKE_CLOSE: return false;
    case FAKE_CUT:
        for (uint32_t i = 0; i < count; i++) (void)frame_send(connection, payloads[i].type, payloads[i].bytes, payloads[i].count, 500);
        return false;
    case FAKE_NOISE: return write_all(connection->fd, noise, sizeof noise);
    case FAKE_GARBAGE: return frame_send(connection, 0x0302, noise, sizeof noise, 1000);
    case FAKE_TYPE: return frame_send(connection, 0x0102, noise, sizeof noise, 1000);
    case FAKE_GIANT: return giant_send(connection);
    case FAKE_LATE:
        for (uint32_t i = 0; i < count; i++) {
            CHECK(server->later_count < LATER_MAX);
            struct later *later = &server->later[server->later_count++];
            *later = (struct later){.at_ms = ring_clock_ms() + script.delay_ms, .node = connection->node, .payload = payloads[i]};
            payloads[i].bytes = NULL;
        }
        return true;
    default: break;
    }
    for (uint32_t repeat = 0; repeat < (script.act == FAKE_TWICE ? 3u : 1u); repeat++) {
        for (uint32_t i = 0; i < count; i++) {
            if (!frame_send(connection, payloads[i].type, payloads[i].bytes, payloads[i].count, 1000)) return false;
        }
    }
    return true;
}

/* False: the connection is to be closed. */
static bool batch_came(struct fake_server *server, struct connection *connection, const uint8_t *bytes, size_t count) {
    struct fake *fake = server->fake;
    struct fake_payload payloads[FAKE_PAYLOADS_MAX];
    pthread_mutex_lock(&fake->lock);
    struct fake_script script = script_next(fake, connection->node);
    fake->batches[connection->node]++;
    batch_note(server, bytes, count);
    uint32_t payloads_count = fake_answer(fake, connection->node / fake->fixture->nodes_count, script, bytes, count, payloads);
    pthread_mutex_unlock(&fake->lock);
    bool keep = act(server, connection, script, payloads, payloads_count);
    for (uint32_t i = 0; i < payloads_count; i++) free(payloads[i].bytes);
    return keep;
}

/* False: the connection is to be closed. */
static bool frame_came(struct fake_server *server, struct connection *connection, const struct link_frame *frame) {
    struct fake *fake = server->fake;
    struct fake_payload payloads[FAKE_PAYLOADS_MAX];
    if (frame->type == MESSAGE_BATCH) return batch_came(server, connection, frame->payload, frame->payload_bytes);
    if (fake->frame == NULL) return true;
    uint32_t count = fake->frame(fake->frame_context, connection->node, frame->type, frame->payload, frame->payload_bytes, payloads);
    bool keep = true;
    for (uint32_t i = 0; i < count; i++) {
        keep = keep && frame_send(connection, payloads[i].type, payloads[i].bytes, payloads[i].count, 1000);
        free(payloads[i].bytes);
    }
    return keep;
}

static void connection_read(struct fake_server *server, struct connection *connection) {
    ssize_t got = recv(connection->fd, connection->receive, RECEIVE_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    bool keep = got > 0;
    if (keep) link_receive(&connection->link, connection->receive, (size_t)got, ring_clock_ms());
    while (keep) {
        struct link_frame frame;
        enum link_next next = link_next(&connection->link, &frame);
        if (next == LINK_MORE) break;
        if (next == LINK_CLOSED) keep = false;
        if (next == LINK_FRAME) keep = frame_came(server, connection, &frame);
    }
    if (!keep || !link_talk(connection)) connection_close(server, connection);
}

static void connection_new(struct fake_server *server, uint32_t node) {
    int fd = accept4(server->listeners[node], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    pthread_mutex_lock(&server->fake->lock);
    enum fake_act what = server->fake->scripts[node].act;
    if (what == FAKE_DOWN || what == FAKE_DEAF) server->fake->acted[node]++;
    pthread_mutex_unlock(&server->fake->lock);
    uint32_t slot = 0;
    while (slot < CONNECTIONS_MAX && server->connections[slot]) slot++;
    if (slot == CONNECTIONS_MAX || what == FAKE_DOWN) {
        close(fd);
        return;
    }
    struct connection *connection = calloc(1, sizeof *connection);
    CHECK(connection);
    uint8_t ephemeral[RING_KEY_BYTES];
    ring_entropy_fill(ephemeral, sizeof ephemeral);
    connection->fd = fd;
    connection->node = node;
    link_init_responder(&connection->link, &server->configs[node], lookup, server->fake, ephemeral, ring_clock_ms());
    server->connections[slot] = connection;
}

static bool is_deaf(struct fake_server *server, uint32_t node) {
    pthread_mutex_lock(&server->fake->lock);
    bool deaf = server->fake->scripts[node].act == FAKE_DEAF;
    pthread_mutex_unlock(&server->fake->lock);
    return deaf;
}

static void later_send(struct fake_server *server) {
    for (uint32_t i = 0; i < server->later_count; i++) {
        struct later later = server->later[i];
        if (ring_clock_ms() < later.at_ms) continue;
        server->later[i--] = server->later[--server->later_count];
        for (uint32_t k = 0; k < CONNECTIONS_MAX; k++) {
            struct connection *connection = server->connections[k];
            if (connection && connection->node == later.node && link_is_up(&connection->link))
                (void)frame_send(connection, later.payload.type, later.payload.bytes, later.payload.count, 1000);
        }
        free(later.payload.bytes);
    }
}

static void *serve(void *argument) {
    struct fake_server *server = argument;
    for (;;) {
        struct pollfd polled[1 + NODES_MAX + CONNECTIONS_MAX] = {{.fd = server->stop[0], .events = POLLIN}};
        struct connection *of[1 + NODES_MAX + CONNECTIONS_MAX] = {NULL};
        nfds_t count = 1;
        for (uint32_t i = 0; i < server->nodes; i++) polled[count++] = (struct pollfd){.fd = server->listeners[i], .events = POLLIN};
        for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
            if (!server->connections[i] || is_deaf(server, server->connections[i]->node)) continue;
            of[count] = server->connections[i];
            polled[count++] = (struct pollfd){.fd = server->connections[i]->fd, .events = POLLIN};
        }
        (void)poll(polled, count, 5);
        if (polled[0].revents) return NULL;
        for (uint32_t i = 0; i < server->nodes; i++) {
            if (polled[1 + i].revents) connection_new(server, i);
        }
        for (nfds_t i = 1 + server->nodes; i < count; i++) {
            if (polled[i].revents) connection_read(server, of[i]);
        }
        later_send(server);
    }
}

static uint16_t listener_new(int *fd) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(*fd >= 0 && bind(*fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(*fd, 128) == 0);
    CHECK(getsockname(*fd, (struct sockaddr *)&address, &bytes) == 0);
    return ntohs(address.sin_port);
}

static void server_start(struct fake *fake) {
    struct fake_server *server = calloc(1, sizeof *server);
    struct fixture *fixture = fake->fixture;
    CHECK(server && pipe2(server->stop, O_CLOEXEC) == 0);
    fake->server = server;
    server->fake = fake;
    server->nodes = fixture->coordinators * fixture->nodes_count;
    CHECK(server->nodes <= NODES_MAX);
    struct addresses *addresses = calloc(1, sizeof *addresses + server->nodes * sizeof addresses->entries[0]);
    CHECK(addresses);
    memcpy(addresses->system_id, fixture->assembly->system.system_id, 16);
    addresses->count = server->nodes;
    for (uint32_t i = 0; i < server->nodes; i++) {
        const struct keyfile *key = &fixture->nodes[i / fixture->nodes_count][i % fixture->nodes_count];
        struct address *address = &addresses->entries[i]; /* c0-n0, c0-n1, ...: ascending, as long as no number has two digits */
        snprintf(address->node, sizeof address->node, "%s", key->name);
        snprintf(address->link.host, sizeof address->link.host, "127.0.0.1");
        address->link.port = listener_new(&server->listeners[i]);
        memcpy(server->identities[i].private_key, key->noise_secret, 32);
        memcpy(server->identities[i].public_key, key->noise_key, 32);
        server->configs[i] = (struct link_config){.primitives = ring_primitives_default(),
                                                  .identity = &server->identities[i],
                                                  .version_min = LINK_VERSION_CURRENT,
                                                  .version_max = LINK_VERSION_CURRENT,
                                                  .suites_allowed = 1 << RING_SUITE_CHACHAPOLY,
                                                  .memory = {.take = take, .give = give}};
        memcpy(server->configs[i].system_id, fixture->assembly->system.system_id, 16);
    }
    char path[600];
    size_t text_bytes;
    char *text = addresses_encode_json(addresses, &text_bytes);
    snprintf(path, sizeof path, "%s/addresses.json", fake->folder);
    FILE *file = fopen(path, "w");
    CHECK(text && file && fwrite(text, 1, text_bytes, file) == text_bytes && fclose(file) == 0);
    free(text);
    free(addresses);
    CHECK(pthread_create(&server->thread, NULL, serve, server) == 0);
}

static void decider_of(struct fake *fake, uint32_t cluster) {
    const struct system *system = &fake->fixture->assembly->system;
    const struct system_cluster *from = &system->clusters[cluster];
    struct decider *decider = &fake->deciders[cluster];
    struct bft_place place = {.cluster = from->cluster};
    struct bft_point start = {.height = system_genesis_height(system)};
    uint8_t keys[BFT_MEMBERS_MAX][SIGNER_PUBLIC_KEY_BYTES];
    memcpy(place.system_id, system->system_id, 16);
    CHECK(system_config_hash(system, from->cluster, place.config_hash.bytes));
    for (uint32_t i = 0; i < from->nodes_count; i++) {
        memcpy(keys[i], from->nodes[i].signing_key, 32);
        decider->secrets[i] = &fake->fixture->nodes[cluster][i].signing;
    }
    CHECK(bft_members_init(&decider->members, &place, &start, from->nodes_count, keys));
    decider->height = start.height + 1;
    decider->time = 1000;
}

static void succeed(struct fake *fake, const struct fake_options *options) {
    const struct system *before = &options->succeeds->fixture->assembly->system;
    struct assembly *assembly = fake->fixture->assembly;
    assembly->system.succession = (uint16_t)(before->succession + 1);
    memcpy(assembly->system.predecessor_id, before->system_id, 16);
    memcpy(assembly->system.partition_key, before->partition_key, 16);
    for (uint32_t i = 0; i < assembly->shards_count; i++) {
        assembly->shards[i].origin_height = options->origin_height ? options->origin_height : 1;
        assembly->shards[i].origin_root[0] = 1;
    }
}

struct fake *fake_start(const struct fake_options *options) {
    struct fake *fake = calloc(1, sizeof *fake);
    const char *base = getenv("TMPDIR");
    uint32_t coordinators = options->coordinators ? options->coordinators : 1, shards = options->shards ? options->shards : 1;
    uint32_t nodes = options->nodes ? options->nodes : 4;
    CHECK(fake && pthread_mutex_init(&fake->lock, NULL) == 0);
    (void)signal(SIGPIPE, SIG_IGN);
    snprintf(fake->folder, sizeof fake->folder, "%s/fake-XXXXXX", base ? base : "/tmp");
    CHECK(mkdtemp(fake->folder));
    snprintf(fake->system_path, sizeof fake->system_path, "%s/system.json", fake->folder);
    snprintf(fake->key_path, sizeof fake->key_path, "%s/client.key", fake->folder);
    snprintf(fake->journal_path, sizeof fake->journal_path, "%s/client.key.journal", fake->folder);
    fake->fixture = fixture_new(options->seed ? options->seed : 1, coordinators, shards, nodes);
    struct system_limits *limits = &fake->fixture->assembly->system.limits;
    if (options->number_window) limits->number_window = options->number_window;
    if (options->succeeds) succeed(fake, options);
    CHECK(assembly_finish(fake->fixture->assembly, NULL) == SYSTEM_OK);
    CHECK(assembly_write(fake->fixture->assembly, fake->system_path, NULL) == SYSTEM_OK);
    CHECK(keyfile_create(&fake->fixture->clients[0], fake->key_path, NULL) == SYSTEM_OK);
    for (uint32_t i = 0; i < coordinators + shards; i++) decider_of(fake, i);
    decider_init(&fake->strangers, 999, 0x00010000, nodes);
    fake->shards = calloc(shards, sizeof *fake->shards);
    CHECK(fake->shards);
    for (uint32_t i = 0; i < shards; i++) fake_shard_init(&fake->shards[i], limits->number_window);
    server_start(fake);
    return fake;
}

static void folder_remove(const char *folder) {
    static const char *const names[] = {"system.json",        "addresses.json",         "client.key", "client.key.journal",
                                        "client.key.journal.new", "receipt", "statement", "chain", "client.key.chain"};
    char path[1024];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

void fake_stop(struct fake *fake) {
    struct fake_server *server = fake->server;
    CHECK(write(server->stop[1], "", 1) == 1 && pthread_join(server->thread, NULL) == 0);
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (server->connections[i]) connection_close(server, server->connections[i]);
    }
    for (uint32_t i = 0; i < server->nodes; i++) close(server->listeners[i]);
    for (uint32_t i = 0; i < server->later_count; i++) free(server->later[i].payload.bytes);
    close(server->stop[0]);
    close(server->stop[1]);
    free(server);
    for (uint32_t i = 0; i < fake->fixture->shards; i++) fake_shard_free(&fake->shards[i]);
    folder_remove(fake->folder);
    fixture_free(fake->fixture);
    free(fake->kept);
    free(fake->shards);
    free(fake);
}

void fake_play(struct fake *fake, int node, struct fake_script script) {
    pthread_mutex_lock(&fake->lock);
    for (uint32_t i = 0; i < fake->server->nodes; i++) {
        if (node < 0 || i == (uint32_t)node) fake->scripts[i] = script;
    }
    pthread_mutex_unlock(&fake->lock);
}

static uint32_t sum(struct fake *fake, const uint32_t *counts, int node) {
    uint32_t out = 0;
    pthread_mutex_lock(&fake->lock);
    for (uint32_t i = 0; i < fake->server->nodes; i++) {
        if (node < 0 || i == (uint32_t)node) out += counts[i];
    }
    pthread_mutex_unlock(&fake->lock);
    return out;
}

uint32_t fake_acted(struct fake *fake, int node) {
    return sum(fake, fake->acted, node);
}

uint32_t fake_batches(struct fake *fake, int node) {
    return sum(fake, fake->batches, node);
}

uint64_t fake_attempts_take(struct fake *fake) {
    pthread_mutex_lock(&fake->lock);
    uint64_t attempts = fake->attempts;
    fake->attempts = 0;
    pthread_mutex_unlock(&fake->lock);
    return attempts;
}

uint32_t fake_executed(struct fake *fake) {
    uint32_t out = 0;
    pthread_mutex_lock(&fake->lock);
    for (uint32_t i = 0; i < fake->fixture->shards; i++) out += fake->shards[i].executed;
    pthread_mutex_unlock(&fake->lock);
    return out;
}

uint32_t fake_floors_too_high(struct fake *fake) {
    uint32_t out = 0;
    pthread_mutex_lock(&fake->lock);
    for (uint32_t i = 0; i < fake->fixture->shards; i++) out += fake->shards[i].floors_too_high;
    pthread_mutex_unlock(&fake->lock);
    return out;
}

void fake_floor_raise(struct fake *fake, uint32_t shard, uint64_t floor) {
    pthread_mutex_lock(&fake->lock);
    fake_shard_floor_raise(&fake->shards[shard], floor);
    fake->shards[shard].seen_count = 0; /* numbers below it are given up, as they should be */
    pthread_mutex_unlock(&fake->lock);
}

uint64_t fake_highest(struct fake *fake, uint32_t shard) {
    pthread_mutex_lock(&fake->lock);
    const struct fake_shard *at = &fake->shards[shard];
    uint64_t highest = at->floor;
    for (uint32_t i = 0; i < at->records_count; i++) {
        if (at->records[i].number > highest) highest = at->records[i].number;
    }
    pthread_mutex_unlock(&fake->lock);
    return highest;
}

struct heraclius *fake_open(struct fake *fake, uint32_t resend_ms) {
    struct heraclius *db;
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius_options options = {.system_path = fake->system_path, .via = "c0-n0", .resend_ms = resend_ms, .lock_wait_ms = 2000};
    if (heraclius_open(&db, &options, why) == HERACLIUS_OK) return db;
    fprintf(stderr, "%s\n", why);
    abort();
}

enum heraclius_status fake_put(struct heraclius *db, const char *key, const char *value, uint32_t timeout_ms) {
    struct heraclius_request *request = heraclius_request_new(db);
    CHECK(request != NULL);
    heraclius_put(request, key, strlen(key), value, strlen(value));
    enum heraclius_status status = heraclius_call(request, timeout_ms);
    heraclius_request_free(request);
    return status;
}

size_t fake_journal_read(const struct fake *fake, uint8_t *out, size_t room) {
    FILE *file = fopen(fake->journal_path, "rb");
    CHECK(file != NULL);
    size_t count = fread(out, 1, room, file);
    fclose(file);
    return count;
}

bool fake_value(struct fake *fake, const char *key, char *out, size_t room) {
    bool found = false;
    pthread_mutex_lock(&fake->lock);
    for (uint32_t i = 0; i < fake->fixture->shards; i++) {
        const struct fake_entry *entry = fake_shard_find(&fake->shards[i], key, strlen(key));
        if (!entry) continue;
        snprintf(out, room, "%.*s", (int)entry->value_bytes, (const char *)entry->value);
        found = true;
    }
    pthread_mutex_unlock(&fake->lock);
    return found;
}
