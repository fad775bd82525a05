/* Private to loop.c and loop_buffers.c. */
#ifndef RING_LOOP_PRIVATE_H
#define RING_LOOP_PRIVATE_H

#include <liburing.h>

#include "ring/loop.h"

#define LOOP_LISTENERS_MAX 4
#define LOOP_NOTE_BYTES 512
#define SQ_BYTES_ABOUT (512u * 64 + 4096u * 16 + 512u * 4) /* the rings themselves */

/* Since Linux 6.2; ignored or refused bits would show in the tests. liburing 2.3 has no names for them. */
#define LOOP_ZC_REPORT_USAGE (1u << 3)
#define LOOP_ZC_COPIED (1u << 31)

struct loop_connection {
    int fd;
    uint32_t next_free;         /* slot + 1, or 0 */
    uint32_t operations;        /* submitted and not completed for good */
    uint32_t zero_copy_pending; /* notifications to come */
    uint32_t send_offset, send_count, send_total;
    struct loop_buffer *buffer; /* of the send under way */
    bool used, closed, connecting, rearm, zero_copy;
    struct __kernel_timespec timeout;
    struct sockaddr_storage address;
};

struct loop_listener {
    int fd;
    bool armed, stopped;
    uint64_t retry_ms;
};

struct loop {
    struct io_uring ring;
    bool ring_made, rearm;
    struct loop_config config;
    struct loop_counters counters;
    struct loop_listener listeners[LOOP_LISTENERS_MAX];
    struct loop_connection *connections;
    uint32_t free_connection; /* slot + 1, or 0 */
    uint32_t *rearm_slots;    /* connections whose multishot receive ended by itself */
    uint32_t rearm_count;
    int wake_fd;
    uint64_t wake_word;

    struct io_uring_buf_ring *receive_ring;
    uint8_t *receive_memory;
    int32_t held_buffer; /* given out by the last LOOP_RECEIVED, or -1 */
    uint16_t *spare;     /* receive buffers that the kernel has not been offered, the last used one on top */
    uint32_t spare_count;
    uint32_t offered_max; /* of those that it has been, and that hold something: grows when they do not do, shrinks when they have for long */
    uint64_t calm_from;   /* counters.receives when that changed last */

    struct loop_buffer *buffers; /* first those of `memory`, then the further ones */
    uint32_t buffer_count;       /* in `memory` */
    uint32_t buffer_max;
    uint32_t buffers_made; /* of all */
    uint8_t *memory;
    bool registered;
    struct loop_buffer *free_first; /* of `memory` */
    struct loop_buffer *free_further;
    char note[LOOP_NOTE_BYTES];
};

bool loop_buffers_make(struct loop *loop);
void loop_buffers_free(struct loop *loop);
/* Receive buffers: the kernel fills them in turn, so as few are in turn as will do, and stay in the caches. */
void loop_receive_begin(struct loop *loop);
void loop_receive_give(struct loop *loop, uint32_t index);
void loop_receive_starved(struct loop *loop);
/* One send less reads from the buffer. */
void loop_buffer_unpin(struct loop *loop, uint32_t index);
void loop_note_add(struct loop *loop, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
