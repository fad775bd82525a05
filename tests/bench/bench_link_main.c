/*
 * Payload over bare links: what the same machine carries over the hops that a value takes, with nothing but ring/: Noise, frames, io_uring,
 * loopback TCP.
 *
 *   bench_link FRAME_BYTES SECONDS
 *
 * The model. A value that a client reads crosses five links. Each of the four coordinator nodes subscribes to one of the four shard nodes (node i to
 * node i) and takes the whole slice itself: four links. One coordinator node, the one that the client is linked to, sends it on: the fifth. (What is
 * relayed between coordinators are requests, which hold keys; proposals, votes and references hold no values either.) So here four shard processes
 * each stream all frames to a coordinator process of their own; each coordinator process decrypts all of them, and sends every fourth, another one of
 * them each, on to the client process, as the clients of a load are spread over the coordinators. For each byte that the client takes, five were
 * encrypted and five decrypted, and each process is one thread on a ring of its own, as a node on a small machine is. Nothing is decided, hashed,
 * stored, looked up, or copied besides.
 *
 * WINDOW frames are under way on a link; the receiver acknowledges each, for one that goes on when the client has it. The client checks length and
 * number of each frame, and the number's copy at its end. The suite is the default one, ChaCha20-Poly1305.
 *
 * Prints a JSON object: payload_bytes_per_second (that the client took), frames, frame_bytes, seconds. Exit 1 with a line on stderr: a link failed.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring/clock.h"
#include "ring/net.h"

enum {
    PAIRS = 4,
    CLIENT = 2 * PAIRS,
    PROCESSES = 2 * PAIRS + 1, /* shards, coordinators, the client */
    WINDOW = 4,
    FRAME_BYTES_MAX = 8 << 20,
    NUMBER_BYTES = 8,
    TYPE_DATA = LINK_TYPE_FIRST_FREE,
    TYPE_TAKEN,
    WARM_UP_MS = 500,
    POLL_MS = 100,
};

/* What the processes share: where each listens, and what the client took. */
struct shared {
    _Atomic uint32_t ports[PROCESSES];
};

struct process {
    struct net *net;
    unsigned index;
    uint32_t down, up; /* handles: the peer that data comes from (a shard's acknowledgements too), the one that it goes to */
    uint32_t links[PAIRS];
    uint64_t sent, taken;
    uint8_t *frame;
};

static struct shared *shared;
static size_t frame_bytes;
static uint8_t keys[PROCESSES][RING_KEY_BYTES], public_keys[PROCESSES][RING_KEY_BYTES];

static __attribute__((noreturn)) void die(const char *what, const char *why) {
    fprintf(stderr, "bench_link: %s: %s\n", what, why);
    exit(1);
}

static bool is_shard(unsigned index) {
    return index < PAIRS;
}

static uint32_t peer_add(struct process *process, unsigned other, bool dial) {
    struct net_peer_config peer = {.tag = other,
                                   .role = NET_ROLE_MEMBER,
                                   .dial = dial ? NET_DIAL_ALWAYS : NET_DIAL_NEVER,
                                   .frame_bytes_max = FRAME_BYTES_MAX,
                                   .send_queue_bytes_max = 2 * WINDOW * FRAME_BYTES_MAX,
                                   .keep_bytes_max = FRAME_BYTES_MAX};
    memcpy(peer.static_key, public_keys[other], RING_KEY_BYTES);
    if (dial) {
        char text[32];
        uint32_t port;
        while ((port = atomic_load(&shared->ports[other])) == 0) (void)usleep(1000);
        snprintf(text, sizeof text, "127.0.0.1:%" PRIu32, port);
        if (!net_address_parse(text, &peer.addresses[0])) die(text, "no address");
        peer.address_count = 1;
    }
    uint32_t handle;
    enum net_status status = net_peer_add(process->net, &peer, &handle);
    if (status != NET_OK) die("a peer", net_status_name(status));
    return handle;
}

static void send_one(struct process *process, uint32_t peer, uint16_t type, const void *bytes, size_t count) {
    struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    enum net_status status = net_send(process->net, peer, type, &piece, 1);
    if (status != NET_OK) die("send", net_status_name(status));
}

/* A shard: so many frames are under way. */
static void shard_fill(struct process *process) {
    while (process->sent - process->taken < WINDOW) {
        memcpy(process->frame, &process->sent, NUMBER_BYTES);
        memcpy(process->frame + frame_bytes - NUMBER_BYTES, &process->sent, NUMBER_BYTES);
        send_one(process, process->up, TYPE_DATA, process->frame, frame_bytes);
        process->sent++;
    }
}

static uint64_t number_of(const struct net_event *event) {
    uint64_t first, last;
    if (event->payload_bytes != frame_bytes) die("a frame", "not of its length");
    memcpy(&first, event->payload, NUMBER_BYTES);
    memcpy(&last, event->payload + frame_bytes - NUMBER_BYTES, NUMBER_BYTES);
    if (first != last) die("a frame", "its ends do not agree");
    return first;
}

static void coordinator_took(struct process *process, const struct net_event *event) {
    if (event->type == TYPE_TAKEN) {
        send_one(process, process->down, TYPE_TAKEN, event->payload, event->payload_bytes);
        return;
    }
    uint64_t number = number_of(event);
    if (number % PAIRS == process->index - PAIRS && net_peer_is_up(process->net, process->up))
        send_one(process, process->up, TYPE_DATA, event->payload, event->payload_bytes);
    else
        send_one(process, process->down, TYPE_TAKEN, &number, sizeof number);
}

static void event_take(struct process *process, const struct net_event *event) {
    if (event->kind == NET_DOWN) die("a link", link_cause_name(event->cause));
    if (event->kind == NET_UP && is_shard(process->index)) shard_fill(process);
    if (event->kind != NET_FRAME) return;
    if (is_shard(process->index)) {
        process->taken++;
        shard_fill(process);
    } else if (process->index != CLIENT) {
        coordinator_took(process, event);
    } else {
        uint64_t number = number_of(event);
        process->taken++;
        send_one(process, event->peer, TYPE_TAKEN, &number, sizeof number);
    }
}

static void turn(struct process *process) {
    struct net_event event;
    net_poll(process->net, POLL_MS);
    while (net_next(process->net, &event)) event_take(process, &event);
}

static void process_open(struct process *process, unsigned index) {
    char error[NET_ERROR_BYTES];
    bool listens = index >= PAIRS && index != CLIENT;
    struct net_config config = {.system_id = "bench of a link", .listen_count = listens ? 1 : 0, .peers_max = 16};
    memcpy(config.static_private, keys[index], RING_KEY_BYTES);
    if (!net_address_parse("127.0.0.1:0", &config.listen[0])) die("127.0.0.1:0", "no address");
    *process = (struct process){.index = index, .frame = calloc(1, frame_bytes)};
    if (!process->frame) die("memory", "none left");
    if (net_create(&process->net, &config, error) != NET_OK) die("net", error);
    if (is_shard(index)) process->up = peer_add(process, PAIRS + index, true);
    if (listens) {
        process->down = peer_add(process, index - PAIRS, false);
        process->up = peer_add(process, CLIENT, false);
    }
    for (unsigned i = 0; index == CLIENT && i < PAIRS; i++) process->links[i] = peer_add(process, PAIRS + i, true);
    if (net_start(process->net, error) != NET_OK) die("net", error);
    if (listens) atomic_store(&shared->ports[index], net_listen_port(process->net, 0));
}

static bool links_up(const struct process *process) {
    for (unsigned i = 0; i < PAIRS; i++) {
        if (!net_peer_is_up(process->net, process->links[i])) return false;
    }
    return true;
}

static void client_run(struct process *process, uint64_t seconds) {
    while (!links_up(process)) turn(process);
    uint64_t begins_us = ring_clock_us() + WARM_UP_MS * 1000;
    while (ring_clock_us() < begins_us) turn(process);
    uint64_t before = process->taken, began_us = ring_clock_us(), now_us;
    while ((now_us = ring_clock_us()) < began_us + seconds * 1000000) turn(process);
    double took = (double)(now_us - began_us) / 1e6;
    uint64_t frames = process->taken - before;
    if (frames == 0) die("the client", "took nothing");
    printf("{\"payload_bytes_per_second\": %.0f, \"frames\": %" PRIu64 ", \"frame_bytes\": %zu, \"seconds\": %.3f}\n",
           (double)(frames * frame_bytes) / took, frames, frame_bytes, took);
}

static pid_t process_start(unsigned index) {
    pid_t pid = fork();
    if (pid < 0) die("fork", strerror(errno));
    if (pid > 0) return pid;
    static struct process process;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    process_open(&process, index);
    for (;;) turn(&process);
}

int main(int argc, char **argv) {
    char *end;
    if (argc != 3) die("usage", "bench_link FRAME_BYTES SECONDS");
    frame_bytes = strtoull(argv[1], &end, 10);
    if (*end || frame_bytes < 2 * NUMBER_BYTES || frame_bytes > FRAME_BYTES_MAX) die("FRAME_BYTES", "16 to 8388608");
    uint64_t seconds = strtoull(argv[2], &end, 10);
    if (*end || seconds < 1 || seconds > 100000) die("SECONDS", "1 to 100000");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("mmap", strerror(errno));
    for (unsigned i = 0; i < PROCESSES; i++) {
        memset(keys[i], (int)(i + 1), RING_KEY_BYTES);
        ring_primitives_default()->x25519_base(public_keys[i], keys[i]);
    }
    pid_t pids[PROCESSES - 1];
    for (unsigned i = PAIRS; i < CLIENT; i++) pids[i] = process_start(i);
    for (unsigned i = 0; i < PAIRS; i++) pids[i] = process_start(i);
    static struct process client;
    process_open(&client, CLIENT);
    client_run(&client, seconds);
    for (unsigned i = 0; i < PROCESSES - 1; i++) (void)kill(pids[i], SIGKILL);
    for (unsigned i = 0; i < PROCESSES - 1; i++) (void)waitpid(pids[i], NULL, 0);
    return 0;
}
