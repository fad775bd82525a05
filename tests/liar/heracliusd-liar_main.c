/* heracliusd-liar --config FILE: a node that lies as HERACLIUS_LIE says (README.md). Never installed, never linked into heracliusd. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/node/node.h"
#include "ring/clock.h"
#include "tests/liar/liar.h"

enum { WAKE_MS = 5 };

static struct node node;
static struct liar liar;
static atomic_bool ended;

static void on_signal(int number) {
    (void)number;
    atomic_store(&node_ending, true);
    if (node.net != NULL) net_wake(node.net);
}

/* A liar acts by the clock, also when nothing comes. */
static void *waker(void *argument) {
    (void)argument;
    while (!atomic_load(&ended)) {
        struct timespec pause = {.tv_nsec = WAKE_MS * 1000000L};
        nanosleep(&pause, NULL);
        if (atomic_load(&liar.runs)) net_wake(node.net); /* not before net_start() */
    }
    return NULL;
}

int main(int count, char **words) {
    static char text[NODE_TEXT_BYTES];
    const char *lie = getenv("HERACLIUS_LIE"), *path = getenv("HERACLIUS_LIE_WHILE");
    if (count != 3 || strcmp(words[1], "--config") != 0 || lie == NULL || !liar_parse(&liar, lie)) {
        (void)fputs("usage: HERACLIUS_LIE=KIND[,OPTION] heracliusd-liar --config FILE\n", stderr);
        return NODE_EXIT_CONFIG;
    }
    snprintf(liar.path, sizeof liar.path, "%s", path != NULL ? path : "");
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    int code = (int)node_open(&node, words[2], NULL, 0, text);
    if (code != NODE_EXIT_OK) {
        (void)fprintf(stderr, "heracliusd-liar: %s\n", text);
        return code;
    }
    struct replica_hooks hooks;
    liar.executor = node.executor;
    liar.r = node.replica;
    liar_hooks(&liar, &hooks);
    node.replica->hooks = &hooks;
    pthread_t thread;
    CHECK(!node.plan.split && pthread_create(&thread, NULL, waker, NULL) == 0); /* lies reach into the executor: one thread for all */
    code = node_run_fused(&node);
    atomic_store(&ended, true);
    pthread_join(thread, NULL);
    node_close(&node);
    return code;
}
