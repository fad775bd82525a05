/* heracliusd-recorded --config FILE: a node that also puts each message that leaves it into the record of record.so, which must be preloaded
 * (tests/sweep/record.h): the note's number is the frame's type, its bytes are the frame's. Never installed. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/node/node.h"
#include "appliance/replica/replica_private.h"
#include "tests/sweep/record.h"

static struct node node;

static void on_signal(int number) {
    (void)number;
    atomic_store(&node_ending, true);
    if (node.net != NULL) net_wake(node.net);
}

static bool sent(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *piece_count) {
    size_t count = 0, at = 0;
    (void)context;
    (void)to;
    for (unsigned i = 0; i < *piece_count; i++) count += pieces[i].count;
    uint8_t *bytes = malloc(count + 1);
    CHECK(bytes != NULL);
    for (unsigned i = 0; i < *piece_count; i++) {
        if (pieces[i].count > 0) memcpy(bytes + at, blob_piece_bytes(&pieces[i]), pieces[i].count);
        at += pieces[i].count;
    }
    record_note(type, bytes, count);
    free(bytes);
    return true;
}

int main(int count, char **words) {
    static char text[NODE_TEXT_BYTES];
    if (count != 3 || strcmp(words[1], "--config") != 0 || record_note == NULL) {
        (void)fputs("usage: LD_PRELOAD=record.so RECORD_FILE=… RECORD_ROOT=… heracliusd-recorded --config FILE\n", stderr);
        return NODE_EXIT_CONFIG;
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    int code = (int)node_open(&node, words[2], NULL, 0, text);
    if (code != NODE_EXIT_OK) {
        (void)fprintf(stderr, "heracliusd-recorded: %s\n", text);
        return code;
    }
    struct replica_hooks hooks = {.send = sent};
    node.replica->hooks = &hooks;
    code = node.plan.split ? node_run_split(&node) : node_run_fused(&node);
    node_close(&node);
    return code;
}
