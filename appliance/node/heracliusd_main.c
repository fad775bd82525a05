/* heracliusd --config FILE: one node. `--init` makes its data directory, `--explain` says what it would be. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "appliance/node/node.h"
#include "appliance/node/node_init.h"

static struct node *running;

static void on_signal(int number) {
    (void)number;
    atomic_store(&node_ending, true);
    if (running != NULL && running->net != NULL) net_wake(running->net);
}

static void on_hangup(int number) {
    (void)number;
    atomic_store(&node_rereading, true);
}

static void signals_set(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    struct sigaction reread = {.sa_handler = on_hangup};
    sigemptyset(&reread.sa_mask);
    sigaction(SIGHUP, &reread, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int usage(FILE *out, int code) {
    (void)fputs("usage: heracliusd --config FILE [--init [--from BACKUP]] [--chain FILE]\n"
                "       heracliusd --explain [--config FILE]\n"
                "  --config FILE  the node's configuration, written by `heraclius system init`\n"
                "  --init         make the node's data directory, once\n"
                "  --from BACKUP  with --init: begin from a backup; a member's key is retired by it, and comes back by a CONFIG with a new one\n"
                "  --chain FILE   with --init, of a node that joins: the chain of CONFIGs of its cluster, as `heraclius config new` writes it;\n"
                "                 without: put what such a chain has beyond the node's own into its data, and end (of a node that finds nobody)\n"
                "  --explain      print which threads a node has on this machine and why, on which CPUs, and its memory budget; run nothing\n"
                "  --version, --help\n"
                "exit: 0 ended by SIGTERM; 1 stopped itself; 2 configuration, files or usage; 3 data directory or disk; 4 network\n",
                out);
    return code;
}

/* What goes from life to life. */
struct heritage {
    struct addresses *addresses;
    struct loop *ring;
    uint32_t damages;
    uint64_t progress;
};

/* One life of the node. *again: there is another one, from a checkpoint that has come from peers, or from what can be proved. */
static int node_live(const char *config, struct heritage *heritage, bool *again) {
    static char text[NODE_TEXT_BYTES];
    struct node *node = calloc(1, sizeof *node);
    *again = false;
    if (node == NULL) return NODE_EXIT_STOPPED;
    int code = (int)node_open(node, config, heritage->addresses, heritage->progress, text);
    heritage->addresses = NULL;
    node->ring = heritage->ring;
    heritage->ring = NULL;
    node->damages = heritage->damages;
    if (code != NODE_EXIT_OK) {
        (void)fprintf(stderr, "heracliusd: %s\n", text);
    } else {
        running = node;
        code = node->plan.split ? node_run_split(node) : node_run_fused(node);
        running = NULL;
    }
    *again = node->again && !atomic_load(&node_ending);
    heritage->damages = node->damages;
    heritage->progress = node->progress;
    if (*again) {
        heritage->addresses = node->addresses;
        node->addresses = NULL;
    }
    node_close(node);
    heritage->ring = node->ring;
    free(node);
    if (*again && heritage->ring == NULL) { /* there is no other one (ring/door.h): whoever started the process starts it again */
        (void)fprintf(stderr, "heracliusd: the kernel does not let go of the network's ring\n");
        *again = false;
        return NODE_EXIT_STOPPED;
    }
    if (!*again) net_ring_destroy(heritage->ring);
    return code;
}

static int node_main(const char *config) {
    prctl(PR_SET_DUMPABLE, 0); /* keys never lie in a core dump */
    signals_set();
    struct heritage heritage = {.damages = 0};
    bool again;
    int code;
    do code = node_live(config, &heritage, &again);
    while (again);
    return code;
}

int main(int count, char **words) {
    const char *config = NULL, *from = NULL, *chain = NULL;
    bool init = false, explain = false;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--help") == 0) return usage(stdout, 0);
        if (strcmp(words[i], "--version") == 0) return printf("heracliusd %s\n", NODE_RELEASE) > 0 ? 0 : 1;
        if (strcmp(words[i], "--init") == 0)
            init = true;
        else if (strcmp(words[i], "--explain") == 0)
            explain = true;
        else if (strcmp(words[i], "--config") == 0 && i + 1 < count)
            config = words[++i];
        else if (strncmp(words[i], "--config=", 9) == 0)
            config = words[i] + 9;
        else if (strcmp(words[i], "--from") == 0 && i + 1 < count)
            from = words[++i];
        else if (strcmp(words[i], "--chain") == 0 && i + 1 < count)
            chain = words[++i];
        else
            return usage(stderr, NODE_EXIT_CONFIG);
    }
    if (explain) return init || from != NULL || chain != NULL ? usage(stderr, NODE_EXIT_CONFIG) : node_explain(config);
    if (config == NULL || (from != NULL && !init)) return usage(stderr, NODE_EXIT_CONFIG);
    if (!init && chain != NULL) return node_init_chain_run(config, chain);
    if (!init) return node_main(config);
    if (!ed25519_start(NULL)) return NODE_EXIT_CONFIG;
    return node_init_run(config, from, chain);
}
