/*
 * State transfer at a node (tests/sim/sys.h): the thread of appliance/node/node_transfer.c with another machine under it. The state machine
 * (transfer*.c) and its disk (transfer_disk.c) are the product's. What the thread is told waits in a queue, since it does one thing at a time and
 * waits for its disk; what it may use for others grows with time as there, and questions cost a set time instead of a measured one.
 */
#include "appliance/node/node.h"
#include "appliance/node/transfer_disk.h"
#include "appliance/node/transfer_share.h"
#include "appliance/replica/replica_private.h"
#include "appliance/transfer/transfer.h"
#include "tests/sim/sys.h"

enum {
    HAND_US = 200,      /* from thread to thread, at most */
    TICK_US = 10000,
    HOLD_US = 200000,
    QUESTION_US = 150,
    WORK_US = 400,
    NEWS_MAX = 4095,
    NEWS_AT_ONCE = 64,
};

enum news_kind { NEWS_FRAME, NEWS_LACKING, NEWS_HEIGHT, NEWS_CHECKPOINT, NEWS_EPOCH };
struct news {
    struct news *next;
    enum news_kind kind;
    uint8_t member;
    uint16_t type;
    struct blob *blob; /* EPOCH: the certificate */
    uint64_t height;
    struct transfer_epoch *epoch;
};

struct sys_transfer {
    struct transfer *machine;
    struct transfer_disk disk;
    struct news *news, **news_end;
    uint32_t news_count, epochs_told;
    uint64_t event_us; /* the next one is due then; 0: none is */
    struct transfer_credit credit;
};

/* ---- its life ---- */

static void directory_make(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    node->directory.world = world;
    node->directory.node = index;
    node->directory.own = &node->state;
    node->directory.taken = &node->taken;
}

void sys_transfer_install(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    char name[SYS_NAME_BYTES];
    directory_make(world, index);
    struct transfer_disk disk = {.directory = &node->directory, .own = &node->state};
    struct state_config config = {.directory = &node->directory};
    uint64_t height;
    CHECK(transfer_disk_install(&disk, &config, &height) == STORE_OK && disk.own == &node->state);
    if (height == 0) return;
    world->stats->transfers++;
    sys_reached(world->stats, "transfer_installed", 1);
    sys_trace(world, "%s begins from the checkpoint of height %llu that came", sys_end_name(world, index, name), (unsigned long long)height);
}

static void news_free(struct news *news) {
    blob_drop(news->blob);
    free(news->epoch);
    free(news);
}

static struct news *news_take(struct sys_transfer *own) {
    struct news *news = own->news;
    if (news == NULL) return NULL;
    own->news = news->next;
    if (own->news == NULL) own->news_end = &own->news;
    own->news_count--;
    return news;
}

void sys_transfer_stop(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    struct sys_transfer *own = node->transfer;
    if (own == NULL) return;
    for (struct news *news; (news = news_take(own)) != NULL;) news_free(news);
    transfer_destroy(own->machine);
    transfer_disk_close(&own->disk);
    free(own);
    node->transfer = NULL;
}

/* ---- what it is told ---- */

static void wake(struct sys_world *world, uint32_t index, uint64_t in_us) {
    struct sys_node *node = &world->nodes[index];
    uint64_t at = world->now_us + in_us;
    if (at < node->taken.writing_until_us) at = node->taken.writing_until_us;
    if (node->transfer->event_us > world->now_us && node->transfer->event_us <= at) return;
    node->transfer->event_us = at;
    sys_schedule(world, (struct sys_event){.at_us = at, .kind = SYS_TRANSFER, .to = (uint8_t)index, .generation = node->generation});
}

static void news_put(struct sys_world *world, uint32_t index, const struct news *about) {
    struct sys_transfer *own = world->nodes[index].transfer;
    if (own == NULL || (own->news_count >= NEWS_MAX && about->kind != NEWS_EPOCH)) { /* an epoch is told later, if there is no room */
        blob_drop(about->blob);
        return;
    }
    struct news *news = malloc(sizeof *news);
    CHECK(news != NULL);
    *news = *about;
    news->next = NULL;
    *own->news_end = news;
    own->news_end = &news->next;
    own->news_count++;
    wake(world, index, 1 + sys_random(world, HAND_US));
}

static void epochs_tell(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    for (; node->transfer->epochs_told < replica_epochs(sys_replica(node)); node->transfer->epochs_told++) {
        struct news news = {.kind = NEWS_EPOCH, .epoch = malloc(sizeof *news.epoch)};
        CHECK(news.epoch != NULL);
        replica_epoch(sys_replica(node), node->transfer->epochs_told, news.epoch);
        if (news.epoch->certificate != NULL) news.blob = blob_copy(news.epoch->certificate, news.epoch->certificate_bytes);
        news_put(world, index, &news);
    }
}

void sys_transfer_output(struct sys_world *world, uint32_t index, const struct replica_output *output) {
    if (output->kind == REPLICA_EPOCH) {
        struct sys_transfer *own = world->nodes[index].transfer;
        if (own == NULL) return;
        if (own->epochs_told > output->sequence) own->epochs_told = (uint32_t)output->sequence;
        epochs_tell(world, index);
        return;
    }
    struct news news = {.kind = output->kind == REPLICA_TRANSFER ? NEWS_FRAME : output->lacking ? NEWS_LACKING : NEWS_HEIGHT,
                        .member = replica_transfer_asker(output->peer),
                        .type = output->type,
                        .height = output->sequence};
    if (output->kind != REPLICA_LACKING) news.blob = blob_copy(blob_piece_bytes(&output->pieces[0]), output->pieces[0].count);
    news_put(world, index, &news);
}

void sys_transfer_checkpointed(struct sys_world *world, uint32_t index) {
    struct news news = {.kind = NEWS_CHECKPOINT};
    news_put(world, index, &news);
}

void sys_transfer_start(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    struct sys_transfer *own = calloc(1, sizeof *own);
    CHECK(own != NULL && node->transfer == NULL);
    own->news_end = &own->news;
    own->credit = (struct transfer_credit){.at_us = world->now_us, .us = TRANSFER_CREDIT_US_MAX};
    own->disk = (struct transfer_disk){.directory = &node->directory, .own = &node->state};
    const struct config *config = replica_config_in_force(node->shell->replica);
    struct transfer_config about = {.system = world->system,
                                    .members = replica_members(node->shell->replica),
                                    .limits = &config->limits,
                                    .timeouts = &config->timeouts,
                                    .cluster = node->cluster,
                                    .member = (uint8_t)node->member,
                                    .signer = sys_signer(world, &node->key),
                                    .store = transfer_disk_store(&own->disk),
                                    .nonce = sys_random(world, UINT64_MAX),
                                    .now_ms = sys_node_local_us(world, node) / 1000};
    own->machine = transfer_create(&about);
    CHECK(own->machine != NULL);
    node->transfer = own;
    epochs_tell(world, index);
}

/* ---- what it does ---- */

/* A member that lies, or whose disk does, may be named; nobody else. */
static void named(struct sys_world *world, uint32_t index, uint8_t member) {
    const struct sys_node *node = &world->nodes[index];
    uint32_t bad = sys_epoch_node(world, node->cluster_index, sys_replica(node)->link_epoch, member);
    if (bad == SYS_NODES_MAX) return; /* of an epoch that nobody has entered yet */
    char name[SYS_NAME_BYTES], helper[SYS_NAME_BYTES];
    if (!node->liar && !node->doubtful && !world->nodes[bad].liar && !world->nodes[bad].doubtful)
        sys_fail(world, SYS_CHECK_ORDER, "%s says that %s, which is honest, gave it a bad piece", sys_end_name(world, index, name),
                 sys_end_name(world, bad, helper));
    replica_transfer_bad(node->shell->replica, member);
}

static void outputs_do(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    struct transfer_output output;
    char name[SYS_NAME_BYTES];
    while (transfer_next(node->transfer->machine, &output)) {
        switch (output.kind) {
        case TRANSFER_SEND: replica_transfer_send(node->shell->replica, output.member, output.type, output.blob); break;
        case TRANSFER_BAD: named(world, index, output.member); break;
        case TRANSFER_EVIDENCE: replica_transfer_evidence(node->shell->replica, output.member, output.epoch, output.blob); break;
        case TRANSFER_NOTE:
            sys_reached(world->stats, output.event, 1);
            sys_trace(world, "%s %s %s", sys_end_name(world, index, name), output.event, output.text);
            break;
        case TRANSFER_DONE: node->shell->again = true; break;
        case TRANSFER_FAILED: sys_fail(world, SYS_CHECK_STOPPED, "%s cannot write what it takes", sys_end_name(world, index, name));
        }
    }
}

static void news_do(struct sys_transfer *own, struct news *news) {
    const uint8_t *bytes = news->blob != NULL ? news->blob->bytes : NULL;
    size_t count = news->blob != NULL ? news->blob->count : 0;
    bool served = false;
    switch (news->kind) {
    case NEWS_FRAME: served = transfer_frame(own->machine, news->member, news->type, bytes, count, own->credit.us > 0); break;
    case NEWS_LACKING: transfer_lacking(own->machine, news->height); break;
    case NEWS_HEIGHT: transfer_height(own->machine, news->height); break;
    case NEWS_CHECKPOINT: transfer_checkpointed(own->machine); break;
    case NEWS_EPOCH:
        news->epoch->certificate = bytes;
        transfer_epoch(own->machine, news->epoch);
        break;
    }
    if (served) transfer_credit_pay(&own->credit, QUESTION_US);
    news_free(news);
}

void sys_transfer_event(struct sys_world *world, const struct sys_event *event) {
    struct sys_node *node = &world->nodes[event->to];
    struct sys_transfer *own = node->transfer;
    if (own->event_us != event->at_us) return; /* an earlier one came */
    own->event_us = 0;
    world->stats->events++;
    struct news *news;
    unsigned done = 0;
    transfer_credit_grow(&own->credit, world->now_us);
    transfer_tick(own->machine, sys_node_local_us(world, node) / 1000);
    outputs_do(world, event->to);
    while (node->taken.writing_until_us <= world->now_us && done++ < NEWS_AT_ONCE && (news = news_take(own)) != NULL) {
        news_do(own, news);
        outputs_do(world, event->to);
    }
    bool work = false;
    if (own->credit.us > 0) {
        work = transfer_work(own->machine);
        if (work) transfer_credit_pay(&own->credit, WORK_US);
        outputs_do(world, event->to);
    }
    if (node->shell->again) {
        sys_node_again(world, event->to);
        return;
    }
    struct transfer_status status;
    transfer_status(own->machine, &status);
    if (status.hold_height > 0) replica_transfer_hold(node->shell->replica, status.hold_height);
    if (own->news != NULL) wake(world, event->to, 1);
    else if (work) wake(world, event->to, WORK_US);
    else if (status.taking || own->credit.us <= 0) wake(world, event->to, TICK_US);
    else if (status.hold_height > 0) wake(world, event->to, HOLD_US);
    sys_node_step(world, event->to);
}
