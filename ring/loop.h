/* The io_uring loop: all socket work of one network thread on one ring (IORING_SETUP_SINGLE_ISSUER | DEFER_TASKRUN), restricted to the
 * operations that it needs (IORING_REGISTER_RESTRICTIONS), with registered files, a provided buffer ring for multishot receive, registered
 * send buffers and SEND_ZC above a threshold. Knows bytes and sockets, neither links nor peers. ring/net.h is made of it.
 *
 * Contract: made and used by one thread; only loop_wake() may be called by others. Events are pulled: loop_wait(), then loop_next() until false.
 *
 * Send buffers: taken with loop_buffer_take(), filled, sent in one or more sends, given back with loop_buffer_give(). A buffer that is given
 * back while the kernel still reads from it (a zero-copy send whose notification has not come) becomes free only at that notification; the
 * loop keeps count, so that nobody can take it before. */
#ifndef RING_LOOP_H
#define RING_LOOP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOP_ERROR_BYTES 256
#define LOOP_CONN_NONE UINT32_MAX
#define LOOP_CONNECTIONS_MAX 16384u
#define LOOP_SEND_BUFFER_BYTES 135168u /* 33 pages: 8 full records of 16402 bytes and some control frames */

struct loop;

struct loop_config {
    uint32_t connections_max;      /* <= LOOP_CONNECTIONS_MAX; size of the registered file table */
    uint32_t receive_buffer_count; /* power of two <= 32768 */
    uint32_t receive_buffer_bytes;
    uint32_t send_buffer_count;       /* registered if the memlock limit lets; else fewer, and the note says so */
    uint64_t send_memory_max;         /* further, unregistered send buffers, taken lazily: bytes over all */
    uint32_t send_zc_threshold_bytes; /* 0: never */
};

enum loop_status {
    LOOP_OK = 0,
    LOOP_ERR_UNAVAILABLE, /* the kernel, a container or sysctl kernel.io_uring_disabled forbids io_uring, or it is too old */
    LOOP_ERR_MEMORY,
    LOOP_ERR_SOCKET, /* bind, listen, socket: errno text in error */
    LOOP_ERR_FULL,   /* all connection slots are in use */
};

/* One block of memory to send from. */
struct loop_buffer {
    uint8_t *bytes;           /* LOOP_SEND_BUFFER_BYTES of room */
    struct loop_buffer *next; /* the holder's, while it is taken */
    uint32_t filled;          /* the holder's */
    uint32_t sent;            /* the holder's */
    uint32_t pins;            /* sends whose bytes the kernel may still read; the loop's */
    uint32_t index;           /* in the table of buffers; the loop's */
    bool registered, taken;
};

enum loop_event_kind {
    LOOP_ACCEPTED = 1,   /* connection, from listener `listener`; address filled in */
    LOOP_CONNECTED,      /* a loop_connect succeeded */
    LOOP_CONNECT_FAILED, /* error = errno; the connection is gone after this event */
    LOOP_RECEIVED,       /* bytes, count; valid until the next loop_next or loop_wait */
    LOOP_SENT,           /* count of bytes that the kernel took from the one send under way, all of it */
    LOOP_ENDED,          /* the stream ended or failed (error = errno or 0); loop_close is still due */
    LOOP_WOKEN,
};

struct loop_event {
    enum loop_event_kind kind;
    uint32_t connection;
    uint32_t listener;
    int error;
    uint8_t *bytes; /* writable: decrypt in place */
    size_t count;
    struct sockaddr_storage address;
};

/* Counters of the loop, sums since the start. */
struct loop_counters {
    uint64_t submits, completions, receives, receive_bytes, sends, sends_at_once, send_bytes, zc_sends, zc_notifications, zc_copied, receive_starved;
    uint64_t accepts, accept_failures, connects, connect_failures, wakes, buffers_taken, buffers_extra_now, buffers_refused;
};

/* error: one line that says what to do. */
enum loop_status loop_create(struct loop **loop, const struct loop_config *config, char error[LOOP_ERROR_BYTES]) __attribute__((warn_unused_result));
void loop_destroy(struct loop *loop);

/* Closes all that it has, so that it may be used as if it had just been made, by the same thread, with the sizes that it has. False: the kernel has
 * not let go of all of it within LOOP_EMPTY_MS; loop_destroy is all that is left. */
#define LOOP_EMPTY_MS 5000u
bool loop_empty(struct loop *loop) __attribute__((warn_unused_result));

/* Listens and accepts from now on. *port gets the port bound. A port in use is waited for, LOOP_LISTEN_MS at most. LOOP_OK, _ERR_SOCKET. */
#define LOOP_LISTEN_MS 3000u
enum loop_status loop_listen(struct loop *loop, const struct sockaddr_storage *address, uint32_t listener, uint16_t *port,
                             char error[LOOP_ERROR_BYTES]) __attribute__((warn_unused_result));

/* Stops accepting on all listeners. */
void loop_listen_stop(struct loop *loop);

/* Begins to connect, with a linked time-out. *connection gets the slot; LOOP_CONNECTED or LOOP_CONNECT_FAILED follows, unless closed before. */
enum loop_status loop_connect(struct loop *loop, const struct sockaddr_storage *address, uint32_t timeout_ms, uint32_t *connection)
    __attribute__((warn_unused_result));

/* Begins to receive on an accepted or connected connection. */
void loop_receive(struct loop *loop, uint32_t connection);

/* Sends buffer->bytes[offset, offset + count). One send at a time per connection; LOOP_SENT or LOOP_ENDED follows. */
void loop_send(struct loop *loop, uint32_t connection, struct loop_buffer *buffer, uint32_t offset, uint32_t count);

/* The same without the ring: what the socket takes here and now, 0 to count bytes, while they are in the caches that wrote them. No event follows.
 * For a connection with no send under way. 0 also where the size is one for SEND_ZC. */
size_t loop_send_at_once(struct loop *loop, uint32_t connection, const struct loop_buffer *buffer, uint32_t offset, uint32_t count)
    __attribute__((warn_unused_result));
bool loop_is_sending(const struct loop *loop, uint32_t connection);

/* Closes: no further event of this connection. The kernel still delivers what it took by plain sends. The slot is used again only when all its
 * operations have completed. */
void loop_close(struct loop *loop, uint32_t connection);

/* A free send buffer, registered ones first, or NULL: the limit is reached. Empty: filled = sent = 0. */
struct loop_buffer *loop_buffer_take(struct loop *loop);
void loop_buffer_give(struct loop *loop, struct loop_buffer *buffer);

/* Submits, waits at most timeout_ms for a completion (UINT32_MAX: for ever). */
void loop_wait(struct loop *loop, uint32_t timeout_ms);
bool loop_next(struct loop *loop, struct loop_event *event) __attribute__((warn_unused_result));

/* Any thread, async-signal-safe. */
void loop_wake(struct loop *loop);

/* Gives the memory behind unused buffers back to the system, for quiet times; they work as before. */
void loop_trim(struct loop *loop);

const struct loop_counters *loop_counters_of(const struct loop *loop);
const char *loop_note(const struct loop *loop); /* what was made smaller at start, or "" */
/* What is left of config.connections_max under the open files limit. Slots are 0 to this - 1. */
uint32_t loop_connections_max(const struct loop *loop);
/* Bytes: receive buffers, registered send buffers, most of the further ones, tables. */
void loop_budget(const struct loop *loop, uint64_t *receive, uint64_t *registered, uint64_t *extra, uint64_t *tables);

#endif
