/*
 * addresses.json while the node runs (S-90): looked at once a second, and on SIGHUP, by a thread of its own, since resolving a name may take long.
 * What is read whole and resolved is handed to the net's thread; whatever is refused costs a line in the log, and what was in force stays so.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/node/node.h"
#include "merkle/check.h"

enum { LOOK_MS = 1000 };

atomic_bool node_rereading;

struct resolved {
    uint8_t noise_key[32];
    struct net_peer_config config; /* its addresses alone are meant */
};

/* A node that a CONFIG brought in. */
struct followed {
    uint8_t noise_key[32];
    char name[CARD_NAME_BYTES_MAX + 1];
};

struct node_addresses {
    struct node *node;
    pthread_t thread;
    int ending; /* eventfd */
    struct timespec seen_time;
    off_t seen_bytes;
    ino_t seen_file;
    pthread_mutex_t lock;
    struct resolved *fresh; /* written by the thread, taken by the net's; under the lock, as are */
    uint32_t fresh_count;
    struct followed *followed; /* written by the net's thread, read by this one */
    uint32_t followed_count, followed_room;
    atomic_bool ready; /* there is something fresh */
};

static void resolve(const struct addresses *addresses, const uint8_t noise_key[32], const char *name, struct resolved *one) {
    const struct address *address = addresses_find(addresses, name);
    memcpy(one->noise_key, noise_key, 32);
    if (address != NULL) node_address_resolve(&address->link, &one->config);
}

/* A copy: resolving may take long, and the net's thread must not wait for it. */
static struct followed *followed_copy(struct node_addresses *watch, uint32_t *count) {
    pthread_mutex_lock(&watch->lock);
    *count = watch->followed_count;
    struct followed *copy = malloc((size_t)*count * sizeof *copy + 1);
    CHECK(copy != NULL);
    memcpy(copy, watch->followed != NULL ? watch->followed : copy, (size_t)*count * sizeof *copy);
    pthread_mutex_unlock(&watch->lock);
    return copy;
}

static struct resolved *resolve_all(struct node_addresses *watch, const struct addresses *addresses, uint32_t *count) {
    const struct system *system = watch->node->system;
    uint32_t clusters = system->coordinators_count + system->shards_count, room;
    struct followed *followed = followed_copy(watch, &room);
    uint32_t more = room;
    for (uint32_t i = 0; i < clusters; i++) room += system->clusters[i].nodes_count;
    struct resolved *all = calloc(room, sizeof *all);
    CHECK(all != NULL);
    *count = 0;
    for (uint32_t i = 0; i < clusters; i++) {
        for (uint32_t member = 0; member < system->clusters[i].nodes_count; member++) {
            const struct card *card = &system->clusters[i].nodes[member];
            resolve(addresses, card->noise_key, card->name, &all[(*count)++]);
        }
    }
    for (uint32_t i = 0; i < more; i++) resolve(addresses, followed[i].noise_key, followed[i].name, &all[(*count)++]);
    free(followed);
    return all;
}

static struct followed *followed_find(struct node_addresses *watch, const uint8_t noise_key[32]) {
    for (uint32_t i = 0; i < watch->followed_count; i++) {
        if (memcmp(watch->followed[i].noise_key, noise_key, 32) == 0) return &watch->followed[i];
    }
    return NULL;
}

void node_addresses_follow(struct node *node, const uint8_t noise_key[32], const char *name) {
    struct node_addresses *watch = node->watch;
    if (watch == NULL) return;
    pthread_mutex_lock(&watch->lock);
    struct followed *at = followed_find(watch, noise_key);
    if (at == NULL && watch->followed_count == watch->followed_room) {
        watch->followed_room = watch->followed_room == 0 ? 16 : watch->followed_room * 2;
        watch->followed = realloc(watch->followed, watch->followed_room * sizeof *watch->followed);
        CHECK(watch->followed != NULL);
    }
    if (at == NULL) at = &watch->followed[watch->followed_count++];
    memcpy(at->noise_key, noise_key, 32);
    snprintf(at->name, sizeof at->name, "%s", name);
    pthread_mutex_unlock(&watch->lock);
}

void node_addresses_leave(struct node *node, const uint8_t noise_key[32]) {
    struct node_addresses *watch = node->watch;
    if (watch == NULL) return;
    pthread_mutex_lock(&watch->lock);
    struct followed *at = followed_find(watch, noise_key);
    if (at != NULL) *at = watch->followed[--watch->followed_count];
    pthread_mutex_unlock(&watch->lock);
}

void node_addresses_refused(const char *why) {
    char quoted[2 * SYSTEM_FAULT_BYTES];
    log_event(LOG_LEVEL_WARN, "addresses_refused", "cause=%s do=\"mend the file; the addresses read before stay in force\"",
              log_quote(why, quoted, sizeof quoted));
}

static void look(struct node_addresses *watch) {
    struct node *node = watch->node;
    struct stat status = {0};
    bool there = stat(node->config.addresses, &status) == 0;
    bool same = status.st_mtim.tv_sec == watch->seen_time.tv_sec && status.st_mtim.tv_nsec == watch->seen_time.tv_nsec &&
                status.st_size == watch->seen_bytes && status.st_ino == watch->seen_file;
    if (!atomic_exchange(&node_rereading, false) && same) return;
    watch->seen_time = status.st_mtim;
    watch->seen_bytes = status.st_size;
    watch->seen_file = status.st_ino;
    struct addresses *addresses = NULL;
    struct system_fault fault = {.text = ""};
    if (!there) snprintf(fault.text, sizeof fault.text, "%.300s: %s", node->config.addresses, strerror(ENOENT));
    if (!there || addresses_load(&addresses, node->config.addresses, node->system, &fault) != SYSTEM_OK) {
        node_addresses_refused(fault.text);
        return;
    }
    uint32_t count;
    struct resolved *all = resolve_all(watch, addresses, &count);
    addresses_free(addresses);
    pthread_mutex_lock(&watch->lock);
    struct resolved *before = watch->fresh;
    watch->fresh = all;
    watch->fresh_count = count;
    pthread_mutex_unlock(&watch->lock);
    free(before);
    atomic_store(&watch->ready, true);
    if (atomic_load(&node->net_running)) net_wake(node->net);
}

static void *watch_main(void *context) {
    struct node_addresses *watch = context;
    struct pollfd polled = {.fd = watch->ending, .events = POLLIN};
    pthread_setname_np(pthread_self(), "addresses");
    while (poll(&polled, 1, LOOK_MS) <= 0) look(watch);
    return NULL;
}

bool node_addresses_start(struct node *node) {
    struct node_addresses *watch = calloc(1, sizeof *watch);
    if (watch == NULL) return false;
    struct stat status;
    watch->node = node;
    pthread_mutex_init(&watch->lock, NULL);
    watch->ending = eventfd(0, EFD_CLOEXEC);
    if (stat(node->config.addresses, &status) == 0) { /* read a moment ago; a change since then is seen by its time */
        watch->seen_time = node->addresses_time;
        watch->seen_bytes = status.st_size;
        watch->seen_file = status.st_ino;
    }
    if (watch->ending >= 0 && pthread_create(&watch->thread, NULL, watch_main, watch) == 0) {
        node->watch = watch;
        return true;
    }
    if (watch->ending >= 0) close(watch->ending);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
    return false;
}

void node_addresses_stop(struct node *node) {
    struct node_addresses *watch = node->watch;
    uint64_t one = 1;
    if (watch == NULL) return;
    ssize_t wrote = write(watch->ending, &one, sizeof one);
    (void)wrote; /* an eventfd takes it */
    pthread_join(watch->thread, NULL);
    close(watch->ending);
    pthread_mutex_destroy(&watch->lock);
    free(watch->fresh);
    free(watch->followed);
    free(watch);
    node->watch = NULL;
}

static bool addresses_equal(const struct net_peer_config *a, const struct net_peer_config *b) {
    if (a->address_count != b->address_count) return false;
    return memcmp(a->addresses, b->addresses, a->address_count * sizeof a->addresses[0]) == 0;
}

/* A name that is not known now is no news: what was known of the peer stays. */
static bool peer_move(struct node *node, const struct resolved *fresh) {
    uint32_t handle = net_peer_find(node->net, fresh->noise_key);
    if (handle == NET_PEER_NONE || fresh->config.address_count == 0) return false;
    struct net_peer_config config;
    net_peer_get(node->net, handle, &config);
    if (addresses_equal(&config, &fresh->config)) return false;
    memcpy(config.addresses, fresh->config.addresses, sizeof config.addresses);
    config.address_count = fresh->config.address_count;
    return net_peer_update(node->net, handle, &config) == NET_OK;
}

void node_addresses_apply(struct node *node) {
    struct node_addresses *watch = node->watch;
    if (!atomic_exchange(&watch->ready, false)) return;
    pthread_mutex_lock(&watch->lock);
    struct resolved *fresh = watch->fresh;
    uint32_t count = watch->fresh_count, moved = 0;
    watch->fresh = NULL;
    pthread_mutex_unlock(&watch->lock);
    for (uint32_t i = 0; fresh != NULL && i < count; i++) moved += peer_move(node, &fresh[i]);
    free(fresh);
    log_event(LOG_LEVEL_INFO, "addresses_read", "changed=%u", moved);
}
