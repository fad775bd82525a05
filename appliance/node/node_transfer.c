#include "appliance/node/node_transfer.h"

#include <ck_ring.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "appliance/node/node.h"
#include "appliance/node/transfer_disk.h"
#include "appliance/node/transfer_share.h"
#include "appliance/status/watch.h"
#include "merkle/check.h"
#include "ring/clock.h"
#include "ring/entropy.h"

enum {
    TICK_MS = 10,
    IDLE_MS = 1000,
    STATUS_MS = 200,
};

/* From the loop. */
enum news_kind { NEWS_FRAME, NEWS_LACKING, NEWS_HEIGHT, NEWS_CHECKPOINT, NEWS_EPOCH };
struct news {
    enum news_kind kind;
    uint8_t member;
    uint16_t type;
    struct blob *blob; /* EPOCH: the certificate */
    size_t offset, count;
    uint64_t height;
    struct transfer_epoch *epoch;
};

/* To the loop: an output, or figures. */
struct order {
    bool is_status;
    struct transfer_output output;
    struct transfer_status status;
};

/* As in node_split.c: `handed` says what the ring's fences say, in terms that a race detector follows. */
struct way {
    ck_ring_t ring;
    ck_ring_buffer_t *slots;
    atomic_uint_fast64_t handed; /* written by the producer before it enqueues */
};

struct node_transfer {
    struct node *node;
    struct transfer *transfer; /* the thread's, as all it owns */
    struct transfer_disk disk;
    struct way news, orders;
    struct transfer_share share; /* of news: what waits of each asker */
    atomic_bool taking;          /* written by the thread: answers are looked at */
    uint64_t epochs_told, epochs_due; /* the loop's: it handed over those before, and is to hand over those before */
    int event;               /* eventfd: wakes the thread */
    atomic_bool asleep, end; /* asleep: written by the thread; whoever finds it set wakes it */
    pthread_t thread;
    struct transfer_status status; /* the loop's */
    uint64_t hold_let_go;          /* the loop's: the newest that there was no room for, and that was told */
    atomic_uint_fast64_t serving_bytes, taking_bytes; /* written by the thread: what it holds */
};

static void way_init(struct way *way) {
    way->slots = calloc(TRANSFER_RING_SLOTS, sizeof *way->slots);
    CHECK(way->slots != NULL);
    ck_ring_init(&way->ring, TRANSFER_RING_SLOTS);
}

static bool way_put(struct way *way, void *entry) {
    atomic_fetch_add_explicit(&way->handed, 1, memory_order_release);
    return ck_ring_enqueue_spsc(&way->ring, way->slots, entry);
}

static void *way_take(struct way *way) {
    void *entry = NULL;
    if (!ck_ring_dequeue_spsc(&way->ring, way->slots, &entry)) return NULL;
    (void)atomic_load_explicit(&way->handed, memory_order_acquire);
    return entry;
}

static void thread_wake(struct node_transfer *own) {
    uint64_t one = 1;
    if (!atomic_exchange(&own->asleep, false)) return;
    ssize_t wrote = write(own->event, &one, sizeof one);
    (void)wrote; /* an eventfd takes it */
}

/* ---- the thread ---- */

static void order_put(struct node_transfer *own, const struct order *order) {
    struct order *out = malloc(sizeof *out);
    CHECK(out != NULL);
    *out = *order;
    while (!way_put(&own->orders, out)) {
        if (atomic_load(&own->end)) { /* the loop takes nothing any more */
            blob_drop(out->output.blob);
            free(out);
            return;
        }
        (void)poll(NULL, 0, 1);
    }
}

/* The bytes that the loop is to send. */
static uint64_t orders_put(struct node_transfer *own) {
    struct order order = {.is_status = false};
    bool any = false;
    uint64_t bytes = 0;
    while (transfer_next(own->transfer, &order.output)) {
        if (order.output.kind == TRANSFER_SEND) bytes += order.output.blob->count;
        order_put(own, &order);
        any = true;
    }
    void (*loop_wake)(struct node *) = own->node->wake;
    if (any && loop_wake != NULL) loop_wake(own->node);
    return bytes;
}

static bool is_question(const struct news *news) {
    return news->kind == NEWS_FRAME && (news->type == 0x010D || news->type == 0x010F);
}

static void news_free(struct news *news) {
    blob_drop(news->blob);
    free(news->epoch);
    free(news);
}

/* Whether serving was done. */
static bool news_do(struct node_transfer *own, struct news *news, bool may_serve) {
    bool served = false;
    const uint8_t *bytes = news->blob != NULL ? news->blob->bytes + news->offset : NULL;
    switch (news->kind) {
    case NEWS_FRAME:
        served = transfer_frame(own->transfer, news->member, news->type, bytes, news->count, may_serve);
        transfer_share_give(&own->share, news->member, news->count);
        break;
    case NEWS_LACKING: transfer_lacking(own->transfer, news->height); break;
    case NEWS_HEIGHT: transfer_height(own->transfer, news->height); break;
    case NEWS_CHECKPOINT: transfer_checkpointed(own->transfer); break;
    case NEWS_EPOCH:
        news->epoch->certificate = bytes;
        transfer_epoch(own->transfer, news->epoch);
        break;
    }
    news_free(news);
    return served;
}

static void thread_sleep(struct node_transfer *own, int timeout_ms) {
    struct pollfd polled = {.fd = own->event, .events = POLLIN};
    atomic_store(&own->asleep, true);
    if (ck_ring_size(&own->news.ring) == 0) (void)poll(&polled, 1, timeout_ms);
    atomic_store(&own->asleep, false);
    uint64_t count;
    ssize_t got = read(own->event, &count, sizeof count);
    (void)got; /* empty when nobody woke us */
}

static void memory_tell(struct node_transfer *own) {
    struct transfer_memory held;
    transfer_memory(own->transfer, &held);
    atomic_store_explicit(&own->serving_bytes, held.serving, memory_order_relaxed);
    atomic_store_explicit(&own->taking_bytes, held.taking, memory_order_relaxed);
}

static void *thread_main(void *context) {
    struct node_transfer *own = context;
    struct transfer_credit credit = {.at_us = ring_clock_us(), .us = TRANSFER_CREDIT_US_MAX};
    uint64_t status_ms = 0;
    pthread_setname_np(pthread_self(), "transfer");
    while (!atomic_load(&own->end)) {
        struct news *news;
        unsigned done = 0;
        transfer_tick(own->transfer, ring_clock_ms());
        atomic_store(&own->taking, transfer_taking(own->transfer)); /* before its questions leave */
        (void)orders_put(own);
        while (done < 64 && (news = way_take(&own->news)) != NULL) {
            uint64_t from = ring_clock_thread_us();
            transfer_credit_grow(&credit, ring_clock_us());
            bool served = news_do(own, news, credit.us > 0);
            uint64_t bytes = orders_put(own);
            if (served) transfer_credit_served(&credit, ring_clock_thread_us() - from, bytes);
            done++;
        }
        transfer_credit_grow(&credit, ring_clock_us());
        bool work = false;
        if (credit.us > 0) {
            uint64_t from = ring_clock_thread_us();
            work = transfer_work(own->transfer);
            transfer_credit_pay(&credit, ring_clock_thread_us() - from);
            (void)orders_put(own);
        }
        memory_tell(own);
        uint64_t now = ring_clock_ms();
        struct order order = {.is_status = true};
        transfer_status(own->transfer, &order.status);
        if (now - status_ms >= STATUS_MS) order_put(own, &order), status_ms = now;
        if (done == 0 && !(work && credit.us > 0)) thread_sleep(own, order.status.taking || credit.us <= 0 || work ? TICK_MS : IDLE_MS);
    }
    return NULL;
}

/* ---- the loop's side ---- */

/* False: there is no room, and it is dropped. Its blob is held, its epoch taken over. */
static bool news_put(struct node_transfer *own, const struct news *news) {
    struct news *out = malloc(sizeof *out);
    CHECK(out != NULL);
    *out = *news;
    if (out->blob != NULL) (void)blob_hold(out->blob);
    if (way_put(&own->news, out)) {
        thread_wake(own);
        return true;
    }
    news_free(out);
    return false;
}

/* An epoch must not be lost; what finds no room goes with the next poll. */
static void epochs_tell(struct node *node) {
    struct node_transfer *own = node->transfer;
    while (own->epochs_told < own->epochs_due) {
        struct news news = {.kind = NEWS_EPOCH, .epoch = malloc(sizeof *news.epoch)};
        CHECK(news.epoch != NULL);
        replica_epoch(node->replica, own->epochs_told, news.epoch);
        if (news.epoch->certificate != NULL) news.blob = blob_copy(news.epoch->certificate, news.epoch->certificate_bytes);
        news.count = news.epoch->certificate_bytes;
        bool told = news_put(own, &news);
        blob_drop(news.blob);
        if (!told) return;
        own->epochs_told++;
    }
}

bool node_transfer_start(struct node *node) {
    struct node_transfer *own = calloc(1, sizeof *own);
    if (own == NULL) return false;
    own->node = node;
    own->disk = (struct transfer_disk){
        .directory = node->directory, .identity = node->identity, .map_bytes = node->config.state_map_bytes, .own = node->state};
    const struct config *config = replica_config_in_force(node->replica);
    struct transfer_config about = {.system = node->system,
                                    .members = replica_members(node->replica),
                                    .limits = &config->limits,
                                    .timeouts = &config->timeouts,
                                    .cluster = node->cluster,
                                    .member = (uint8_t)node->member,
                                    .signer = signer_ed25519(&node->key.signing),
                                    .store = transfer_disk_store(&own->disk),
                                    .now_ms = ring_clock_ms()};
    ring_entropy_fill((uint8_t *)&about.nonce, sizeof about.nonce);
    own->transfer = transfer_create(&about);
    own->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (own->transfer == NULL || own->event < 0) {
        if (own->event >= 0) (void)close(own->event);
        if (own->transfer != NULL) transfer_destroy(own->transfer);
        free(own);
        return false;
    }
    way_init(&own->news);
    way_init(&own->orders);
    node->transfer = own;
    own->epochs_due = replica_epochs(node->replica);
    epochs_tell(node);
    CHECK(pthread_create(&own->thread, NULL, thread_main, own) == 0);
    return true;
}

void node_transfer_stop(struct node_transfer *own) {
    if (own == NULL) return;
    atomic_store(&own->end, true);
    atomic_store(&own->asleep, true);
    thread_wake(own);
    pthread_join(own->thread, NULL);
    struct news *news;
    struct order *order;
    while ((news = way_take(&own->news)) != NULL) news_free(news);
    while ((order = way_take(&own->orders)) != NULL) {
        blob_drop(order->output.blob);
        free(order);
    }
    transfer_destroy(own->transfer);
    transfer_disk_close(&own->disk);
    close(own->event);
    free(own->news.slots);
    free(own->orders.slots);
    free(own);
}

/* A frame's block is the net's, which lives on another thread: copied, once there is room for it. An answer that nobody waits for is not. */
static void frame_put(struct node_transfer *own, const struct replica_output *output) {
    const struct blob_piece *piece = &output->pieces[0];
    struct news news = {.kind = NEWS_FRAME, .member = replica_transfer_asker(output->peer), .type = output->type, .count = piece->count};
    if (!is_question(&news) && !atomic_load(&own->taking)) return;
    if (!transfer_share_take(&own->share, news.member, news.count)) return;
    news.blob = blob_copy(blob_piece_bytes(piece), piece->count);
    if (!news_put(own, &news)) transfer_share_give(&own->share, news.member, news.count);
    blob_drop(news.blob);
}

void node_transfer_output(struct node *node, const struct replica_output *output) {
    struct node_transfer *own = node->transfer;
    if (own == NULL) return;
    if (output->kind == REPLICA_TRANSFER) {
        frame_put(own, output);
        return;
    }
    if (output->kind == REPLICA_EPOCH) {
        own->epochs_due = output->sequence + 1;
        if (own->epochs_told > output->sequence) own->epochs_told = output->sequence;
        epochs_tell(node);
        return;
    }
    struct news news = {.kind = output->lacking ? NEWS_LACKING : NEWS_HEIGHT, .height = output->sequence};
    (void)news_put(own, &news); /* half of the ring has room for nothing else (transfer_share.h) */
}

void node_transfer_checkpointed(struct node *node) {
    struct news news = {.kind = NEWS_CHECKPOINT};
    if (node->transfer != NULL) (void)news_put(node->transfer, &news);
}

/* Blocks above a checkpoint that somebody takes are kept as long as there is room: a node that stops for it helps nobody. Whoever took it finds them
 * gone, here, and begins anew with a newer one, of which it fetches what differs (P-48). */
static void hold_tell(struct node *node, uint64_t height) {
    struct wal_figures wal;
    wal_figures(node->wal, &wal);
    bool room = watch_wal_holds(wal.used_bytes, wal.map_bytes);
    replica_transfer_hold(node->replica, room ? height : UINT64_MAX);
    if (!room && height > node->transfer->hold_let_go) {
        node->transfer->hold_let_go = height;
        log_event(LOG_LEVEL_WARN, "hold_let_go", "height=%llu used_bytes=%llu map_bytes=%llu do=\"raise wal_map_bytes in node.conf: blocks that "
                  "whoever takes this checkpoint will ask for do not fit\"", (unsigned long long)height, (unsigned long long)wal.used_bytes,
                  (unsigned long long)wal.map_bytes);
    }
}

static void order_do(struct node *node, struct order *order) {
    struct transfer_output *output = &order->output;
    if (order->is_status) {
        node->transfer->status = order->status;
        if (order->status.hold_height > 0) hold_tell(node, order->status.hold_height);
        return;
    }
    switch (output->kind) {
    case TRANSFER_SEND: replica_transfer_send(node->replica, output->member, output->type, output->blob); break;
    case TRANSFER_BAD: replica_transfer_bad(node->replica, output->member); break;
    case TRANSFER_EVIDENCE: replica_transfer_evidence(node->replica, output->member, output->epoch, output->blob); break;
    case TRANSFER_NOTE: log_event(LOG_LEVEL_INFO, output->event, "%s", output->text); break;
    case TRANSFER_DONE:
        node->again = true;
        node->stop = true;
        break;
    case TRANSFER_FAILED: node_state_failed(node, &node->transfer->disk.error); break; /* the thread does nothing any more */
    }
}

void node_transfer_poll(struct node *node) {
    struct order *order;
    if (node->transfer != NULL && !node->stop) epochs_tell(node);
    while (node->transfer != NULL && !node->stop && (order = way_take(&node->transfer->orders)) != NULL) {
        order_do(node, order);
        free(order);
    }
}

void node_transfer_status(const struct node *node, struct transfer_status *status) {
    *status = node->transfer != NULL ? node->transfer->status : (struct transfer_status){0};
}

void node_transfer_memory_max(const struct node *node, struct transfer_memory *most) {
    bool coordinator = config_cluster_is_coordinator(node->cluster);
    transfer_memory_max(&node->system->limits, coordinator ? node->system->shards_count : node->system->coordinators_count, coordinator, most);
    most->taking += TRANSFER_WAITING_BYTES_MAX;
}

void node_transfer_memory(const struct node *node, struct transfer_memory *held) {
    *held = (struct transfer_memory){.serving = 0};
    if (node->transfer == NULL) return;
    held->serving = atomic_load_explicit(&node->transfer->serving_bytes, memory_order_relaxed);
    held->taking = atomic_load_explicit(&node->transfer->taking_bytes, memory_order_relaxed);
}
