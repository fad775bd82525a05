/*
 * What a send costs with and without SEND_ZC, by ring/loop.h alone: one process takes all that comes, the other one sends.
 *
 *   bench_send_zc take ADDRESS:PORT                             until it is killed
 *   bench_send_zc send ADDRESS:PORT BYTES THRESHOLD SECONDS     sends of BYTES each, with SEND_ZC from THRESHOLD on (0: never)
 *
 * CONNECTIONS at once, one send under way on each, always of a buffer that is free: a zero-copy send's is not before its notification. Prints a JSON
 * object: bytes_per_second, cpu_ns_per_kib (of the sender, user and system), sends, zc_sends, zc_copied (notifications by which the kernel copied all
 * the same). Exit 1 with a line on stderr: it cannot be measured here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "ring/clock.h"
#include "ring/loop.h"
#include "ring/net.h"

enum { CONNECTIONS = 4, BUFFERS = 64, WARM_UP_MS = 300, SLOTS = 64, CONNECT_MS = 5000 };

static __attribute__((noreturn)) void die(const char *what, const char *why) {
    (void)fprintf(stderr, "bench_send_zc: %s: %s\n", what, why);
    exit(1);
}

static struct loop *loop_make(uint32_t threshold) {
    struct loop *loop;
    char error[LOOP_ERROR_BYTES];
    const struct loop_config config = {.connections_max = SLOTS,
                                       .receive_buffer_count = 64,
                                       .receive_buffer_bytes = 65536,
                                       .send_buffer_count = BUFFERS,
                                       .send_memory_max = 64 << 20,
                                       .send_zc_threshold_bytes = threshold};
    if (loop_create(&loop, &config, error) != LOOP_OK) die("loop", error);
    return loop;
}

static struct sockaddr_storage address_of(const char *text) {
    struct sockaddr_storage address;
    if (!net_address_parse(text, &address)) die(text, "is no ADDRESS:PORT");
    return address;
}

static __attribute__((noreturn)) void take(const char *where) {
    struct sockaddr_storage address = address_of(where);
    struct loop *loop = loop_make(0);
    struct loop_event event;
    char error[LOOP_ERROR_BYTES];
    uint16_t port;
    if (loop_listen(loop, &address, 0, &port, error) != LOOP_OK) die(where, error);
    (void)printf("listens\n");
    (void)fflush(stdout);
    for (;;) {
        loop_wait(loop, UINT32_MAX);
        while (loop_next(loop, &event)) {
            if (event.kind == LOOP_ACCEPTED) loop_receive(loop, event.connection);
            if (event.kind == LOOP_ENDED) loop_close(loop, event.connection);
        }
    }
}

struct sender {
    struct loop *loop;
    uint32_t bytes;
    struct loop_buffer *buffers[SLOTS]; /* under way, by connection */
    bool waits[SLOTS];                  /* there was no free buffer */
    uint64_t sent;
};

static void send_next(struct sender *sender, uint32_t connection) {
    struct loop_buffer *buffer = loop_buffer_take(sender->loop);
    sender->waits[connection] = buffer == NULL;
    if (buffer == NULL) return;
    buffer->bytes[0]++; /* as a node does, each send has bytes of its own */
    buffer->filled = sender->bytes;
    sender->buffers[connection] = buffer;
    loop_send(sender->loop, connection, buffer, 0, sender->bytes);
}

static void turn(struct sender *sender) {
    struct loop_event event;
    loop_wait(sender->loop, 10);
    while (loop_next(sender->loop, &event)) {
        if (event.kind == LOOP_CONNECT_FAILED || event.kind == LOOP_ENDED) die("connection", strerror(event.error));
        if (event.kind == LOOP_CONNECTED) send_next(sender, event.connection);
        if (event.kind != LOOP_SENT) continue;
        sender->sent += event.count;
        loop_buffer_give(sender->loop, sender->buffers[event.connection]);
        send_next(sender, event.connection);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (sender->waits[i]) send_next(sender, i);
    }
}

static uint64_t cpu_ns(void) {
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static void send_all(const char *where, uint32_t bytes, uint32_t threshold, uint64_t seconds) {
    static struct sender sender;
    struct sockaddr_storage address = address_of(where);
    uint32_t connection;
    sender.bytes = bytes;
    sender.loop = loop_make(threshold);
    if (loop_note(sender.loop)[0] != '\0') die("loop", loop_note(sender.loop));
    for (int i = 0; i < CONNECTIONS; i++) {
        if (loop_connect(sender.loop, &address, CONNECT_MS, &connection) != LOOP_OK) die(where, "no slot");
    }
    for (uint64_t end = ring_clock_ms() + WARM_UP_MS; ring_clock_ms() < end;) turn(&sender);
    const struct loop_counters *counters = loop_counters_of(sender.loop), before = *counters;
    uint64_t sent = sender.sent, cpu = cpu_ns(), began = ring_clock_us(), now;
    do turn(&sender);
    while ((now = ring_clock_us()) < began + seconds * 1000000);
    sent = sender.sent - sent;
    if (sent == 0) die(where, "nothing was taken");
    (void)printf("{\"bytes_per_second\": %.0f, \"cpu_ns_per_kib\": %.1f, \"sends\": %" PRIu64 ", \"zc_sends\": %" PRIu64 ", \"zc_copied\": %" PRIu64
                 "}\n",
                 (double)sent * 1e6 / (double)(now - began), (double)(cpu_ns() - cpu) * 1024 / (double)sent, counters->sends - before.sends,
                 counters->zc_sends - before.zc_sends, counters->zc_copied - before.zc_copied);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "take") == 0) take(argv[2]);
    if (argc != 6 || strcmp(argv[1], "send") != 0) die("usage", "take ADDRESS:PORT, or send ADDRESS:PORT BYTES THRESHOLD SECONDS");
    unsigned long bytes = strtoul(argv[3], NULL, 10);
    if (bytes < 1 || bytes > LOOP_SEND_BUFFER_BYTES) die(argv[3], "no number of bytes that a buffer holds");
    send_all(argv[2], (uint32_t)bytes, (uint32_t)strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
    return 0;
}
