/* The pool of send buffers: see loop.h. First come those of one region, registered with the ring where zero-copy is on; further ones are mapped
 * one by one when they are wanted, and unmapped when they come back while the region has free ones. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "ring/check.h"
#include "ring/loop_private.h"

#define REGISTERED_MIN 4u
#define OFFERED_MIN 8u
#define CALM_RECEIVES 65536u /* so many with no want of buffers, and half of them go out of turn */

static void offer(struct loop *loop, uint32_t index) {
    uint32_t count = loop->config.receive_buffer_count;
    uint8_t *bytes = loop->receive_memory + (size_t)index * loop->config.receive_buffer_bytes;
    io_uring_buf_ring_add(loop->receive_ring, bytes, loop->config.receive_buffer_bytes, (uint16_t)index, io_uring_buf_ring_mask(count), 0);
    io_uring_buf_ring_advance(loop->receive_ring, 1);
}

/* Those out of turn come in, as far as they may. */
static void offer_more(struct loop *loop) {
    uint32_t count = loop->config.receive_buffer_count;
    while (loop->spare_count > 0 && count - loop->spare_count < loop->offered_max) offer(loop, loop->spare[--loop->spare_count]);
}

void loop_receive_begin(struct loop *loop) {
    uint32_t count = loop->config.receive_buffer_count;
    loop->offered_max = count < OFFERED_MIN ? count : OFFERED_MIN;
    for (uint32_t i = 0; i < count; i++) loop->spare[i] = (uint16_t)(count - 1 - i);
    loop->spare_count = count;
    offer_more(loop);
}

void loop_receive_give(struct loop *loop, uint32_t index) {
    if (loop->counters.receives - loop->calm_from >= CALM_RECEIVES) {
        loop->calm_from = loop->counters.receives;
        loop->offered_max = loop->offered_max / 2 < OFFERED_MIN ? OFFERED_MIN : loop->offered_max / 2;
    }
    if (loop->config.receive_buffer_count - loop->spare_count <= loop->offered_max) {
        offer(loop, index);
    } else {
        loop->spare[loop->spare_count++] = (uint16_t)index;
    }
}

void loop_receive_starved(struct loop *loop) {
    uint32_t count = loop->config.receive_buffer_count;
    loop->counters.receive_starved++;
    loop->calm_from = loop->counters.receives;
    loop->offered_max = loop->offered_max < count / 2 ? 2 * loop->offered_max : count;
    offer_more(loop);
}

void loop_note_add(struct loop *loop, const char *format, ...) {
    size_t used = strlen(loop->note);
    va_list arguments;
    if (used > 0 && used + 2 < sizeof loop->note) {
        memcpy(loop->note + used, "; ", 3);
        used += 2;
    }
    va_start(arguments, format);
    (void)vsnprintf(loop->note + used, sizeof loop->note - used, format, arguments);
    va_end(arguments);
}

/* Registering pins the pages, so it is done only where zero-copy sends profit by it: the kernel takes fixed buffers in no other send. Without
 * CAP_IPC_LOCK the pinned pages count against RLIMIT_MEMLOCK: as many as fit. */
static uint32_t register_buffers(struct loop *loop, uint32_t wanted) {
    int result = -ENOMEM;
    struct iovec *list = calloc(wanted, sizeof *list);
    uint32_t count = list == NULL ? 0 : wanted;
    for (uint32_t i = 0; i < count; i++) {
        list[i] = (struct iovec){loop->memory + (size_t)i * LOOP_SEND_BUFFER_BYTES, LOOP_SEND_BUFFER_BYTES};
    }
    while (count >= REGISTERED_MIN) {
        result = io_uring_register_buffers(&loop->ring, list, count);
        if (result == 0) {
            break;
        }
        count = result == -ENOMEM ? count / 2 : 0;
    }
    free(list);
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    if (result != 0) {
        loop_note_add(loop, "send buffers not registered: %s; memlock limit is %llu KiB", strerror(-result),
                      (unsigned long long)limit.rlim_cur / 1024);
        return 0;
    }
    if (count < wanted) {
        loop_note_add(loop, "%u of %u send buffers registered: memlock limit is %llu KiB", count, wanted, (unsigned long long)limit.rlim_cur / 1024);
    }
    return count;
}

static void push(struct loop *loop, struct loop_buffer *buffer) {
    struct loop_buffer **list = buffer->index < loop->buffer_count ? &loop->free_first : &loop->free_further;
    buffer->next = *list;
    *list = buffer;
}

bool loop_buffers_make(struct loop *loop) {
    uint64_t further = loop->config.send_memory_max / LOOP_SEND_BUFFER_BYTES;
    uint32_t count = loop->config.send_buffer_count;
    RING_CHECK(count > 0 && count <= 1024);
    loop->buffer_count = count;
    loop->buffer_max = count + (uint32_t)(further < 0xfffff ? further : 0xfffff);
    void *memory = mmap(NULL, (size_t)count * LOOP_SEND_BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    loop->memory = memory == MAP_FAILED ? NULL : memory;
    loop->buffers = calloc(loop->buffer_max, sizeof *loop->buffers);
    if (loop->memory == NULL || loop->buffers == NULL) {
        return false;
    }
    uint32_t registered = loop->config.send_zc_threshold_bytes != 0 ? register_buffers(loop, count) : 0;
    for (uint32_t i = count; i-- > 0;) {
        loop->buffers[i].bytes = loop->memory + (size_t)i * LOOP_SEND_BUFFER_BYTES;
        loop->buffers[i].index = i;
        loop->buffers[i].registered = i < registered;
        push(loop, &loop->buffers[i]);
    }
    loop->buffers_made = count;
    return true;
}

void loop_buffers_free(struct loop *loop) {
    for (uint32_t i = loop->buffer_count; loop->buffers != NULL && i < loop->buffers_made; i++) {
        if (loop->buffers[i].bytes != NULL) {
            munmap(loop->buffers[i].bytes, LOOP_SEND_BUFFER_BYTES);
        }
    }
    if (loop->memory != NULL) {
        munmap(loop->memory, (size_t)loop->buffer_count * LOOP_SEND_BUFFER_BYTES);
    }
    free(loop->buffers);
}

static struct loop_buffer *take_further(struct loop *loop) {
    struct loop_buffer *buffer = loop->free_further;
    if (buffer != NULL) {
        loop->free_further = buffer->next;
    } else if (loop->buffers_made < loop->buffer_max) {
        buffer = &loop->buffers[loop->buffers_made];
        buffer->index = loop->buffers_made++;
    } else {
        return NULL;
    }
    if (buffer->bytes == NULL) {
        void *memory = mmap(NULL, LOOP_SEND_BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            push(loop, buffer);
            return NULL;
        }
        buffer->bytes = memory;
        loop->counters.buffers_extra_now++;
    }
    return buffer;
}

struct loop_buffer *loop_buffer_take(struct loop *loop) {
    struct loop_buffer *buffer = loop->free_first;
    if (buffer != NULL) {
        loop->free_first = buffer->next;
    } else {
        buffer = take_further(loop);
    }
    if (buffer == NULL) {
        loop->counters.buffers_refused++;
        return NULL;
    }
    RING_CHECK(buffer->pins == 0 && !buffer->taken); /* nobody gets a buffer that the kernel still reads from */
    buffer->taken = true;
    buffer->next = NULL;
    buffer->filled = buffer->sent = 0;
    loop->counters.buffers_taken++;
    return buffer;
}

static void recycle(struct loop *loop, struct loop_buffer *buffer) {
    if (buffer->index >= loop->buffer_count && loop->free_first != NULL) {
        munmap(buffer->bytes, LOOP_SEND_BUFFER_BYTES); /* the rush is over */
        buffer->bytes = NULL;
        loop->counters.buffers_extra_now--;
    }
    push(loop, buffer);
}

void loop_buffer_give(struct loop *loop, struct loop_buffer *buffer) {
    RING_CHECK(buffer->taken);
    buffer->taken = false;
    if (buffer->pins == 0) {
        recycle(loop, buffer);
    }
}

void loop_buffer_unpin(struct loop *loop, uint32_t index) {
    RING_CHECK(index < loop->buffers_made && loop->buffers[index].pins > 0);
    struct loop_buffer *buffer = &loop->buffers[index];
    buffer->pins--;
    if (buffer->pins == 0 && !buffer->taken) {
        recycle(loop, buffer);
    }
}

void loop_trim(struct loop *loop) {
    for (struct loop_buffer *buffer = loop->free_further; buffer != NULL; buffer = buffer->next) {
        if (buffer->bytes != NULL) {
            munmap(buffer->bytes, LOOP_SEND_BUFFER_BYTES);
            buffer->bytes = NULL;
            loop->counters.buffers_extra_now--;
        }
    }
    for (struct loop_buffer *buffer = loop->free_first; buffer != NULL; buffer = buffer->next) {
        if (!buffer->registered) {
            (void)madvise(buffer->bytes, LOOP_SEND_BUFFER_BYTES, MADV_DONTNEED);
        }
    }
    /* With nothing received and not taken, no receive buffer holds anything: the kernel fills them in this thread only (DEFER_TASKRUN). */
    if (loop->held_buffer < 0 && io_uring_cq_ready(&loop->ring) == 0) {
        (void)madvise(loop->receive_memory, (size_t)loop->config.receive_buffer_count * loop->config.receive_buffer_bytes, MADV_DONTNEED);
    }
}

void loop_budget(const struct loop *loop, uint64_t *receive, uint64_t *registered, uint64_t *extra, uint64_t *tables) {
    *receive = (uint64_t)loop->config.receive_buffer_count * loop->config.receive_buffer_bytes;
    *registered = (uint64_t)loop->buffer_count * LOOP_SEND_BUFFER_BYTES;
    *extra = (uint64_t)(loop->buffer_max - loop->buffer_count) * LOOP_SEND_BUFFER_BYTES;
    *tables = (uint64_t)loop->config.connections_max * sizeof(struct loop_connection) + (uint64_t)loop->buffer_max * sizeof(struct loop_buffer) +
              SQ_BYTES_ABOUT;
}
