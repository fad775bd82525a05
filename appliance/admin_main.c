/* heraclius-admin: the nodes of this host over HTTP: plain on loopback, TLS anywhere; the page and the API (appliance/admin_console.h). */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "appliance/admin_console.h"
#include "bft/ed25519.h"
#include "ring/clock.h"
#include "ring/entropy.h"
#include "ring/net.h"

enum { EXIT_USAGE = 2, EXIT_LISTEN = 4, EXIT_FILES = 5 };

struct options {
    const char *listen, *tls, *certificate, *key, *state, *name, *system;
};

static struct admin_nodes nodes;
static struct admin_server server;

static int usage(FILE *out, int code) {
    (void)fputs("usage: heraclius-admin [--listen 127.0.0.1:PORT] [--tls HOST:PORT --state DIR] [options] --sockets PATH...\n"
                "  --listen HOST:PORT  where to serve plain HTTP; loopback only, and nothing can be changed there\n"
                "  --tls HOST:PORT     where to serve HTTPS\n"
                "  --state DIR         folder of the audit log, and of tls.key and tls.cert, which are made when there are none\n"
                "  --tls-cert FILE     another certificate (PEM), with --tls-key FILE\n"
                "  --name NAME         what a certificate that is made here is called\n"
                "  --client ROLE:HEX   a client certificate's SHA-256 and what its holder may do: view, operate or own; up to 64 times\n"
                "  --pairing FILE      a pairing code is written here too, while it can be used\n"
                "  --init PATH         init's control socket: restarts and reboots\n"
                "  --appliance         what it is in the image: --listen 127.0.0.1:8080 --tls [::]:8443 --state /data/admin, one node,\n"
                "                      init's socket; words after it override\n"
                "  --sockets PATH...   control sockets of the nodes\n"
                "  --system FILE       the system file: which nodes there are, for exposure\n"
                "  --claims DIR        folder of signed node claims (heraclius node claim), *.claim\n"
                "the page is at /, the API at /api/v1/ (openapi.json there); also /livez, /readyz, /status, /metrics; ends with SIGTERM;\n"
                "exit 0 ended, 2 usage, 4 the port is taken, 5 certificate, key, state folder or system file\n",
                out);
    return code;
}

static bool is_loopback(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET) return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* What it is in the image: init gives no words but this (init/program.c); words after it override. */
static void appliance_take(struct options *options) {
    options->listen = "127.0.0.1:8080";
    options->tls = "[::]:8443"; /* no port for which one needs privileges */
    options->state = "/data/admin";
    server.pairing_path = "/run/admin/pairing";
    server.claims_path = "/data/admin/claims";
    server.init_path = "/run/init/control.sock";
    nodes.paths[0] = "/run/node/control.sock";
    nodes.count = 1;
}

/* 0: go on; else an exit code, one more than it. */
static int options_take(struct options *options, int count, char **words) {
    const struct {
        const char *name, **to;
    } texts[] = {
        {"--listen", &options->listen}, {"--tls", &options->tls},         {"--tls-cert", &options->certificate}, {"--tls-key", &options->key},
        {"--state", &options->state},   {"--name", &options->name},       {"--init", &server.init_path},         {"--pairing", &server.pairing_path},
        {"--system", &options->system}, {"--claims", &server.claims_path}};
    bool sockets = false;
    for (int i = 1; i < count; i++) {
        const char **to = NULL;
        for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
            if (strcmp(words[i], texts[t].name) == 0) to = texts[t].to;
        }
        if (strcmp(words[i], "--help") == 0) return usage(stdout, 0) + 1;
        if (strcmp(words[i], "--appliance") == 0)
            appliance_take(options);
        else if (to != NULL && i + 1 < count)
            *to = words[++i];
        else if (strcmp(words[i], "--client") == 0 && i + 1 < count) {
            if (admin_tls_pin(&server.tls, words[++i])) continue;
            (void)fprintf(stderr, "heraclius-admin: --client %s: wants view:, operate: or own: and 64 hex digits, at most %d times\n", words[i],
                          ADMIN_PINS_MAX);
            return EXIT_USAGE + 1;
        } else if (strcmp(words[i], "--sockets") == 0)
            sockets = true;
        else if (sockets && words[i][0] != '-' && nodes.count < ADMIN_SOCKETS_MAX)
            nodes.paths[nodes.count++] = words[i];
        else
            return usage(stderr, EXIT_USAGE) + 1;
    }
    bool listens = options->listen != NULL || options->tls != NULL;
    if (!listens || nodes.count == 0 || (options->tls != NULL && options->state == NULL) || (options->certificate == NULL) != (options->key == NULL))
        return usage(stderr, EXIT_USAGE) + 1;
    return 0;
}

static bool system_read(const char *path, struct system **system) {
    struct system_fault fault;
    if (!ed25519_start(NULL)) {
        (void)fprintf(stderr, "heraclius-admin: the Ed25519 library fails its self-test: another release than this program was made for?\n");
        return false;
    }
    if (system_load(system, path, &fault) == SYSTEM_OK) return true;
    (void)fprintf(stderr, "heraclius-admin: %s\n", fault.text);
    return false;
}

/* One sample of every node each ADMIN_SAMPLE_MS, until SIGTERM or SIGINT. */
static void sample_until(const sigset_t *ending) {
    uint64_t next = ring_clock_ms();
    for (;;) {
        uint64_t now = ring_clock_ms(), wait = next > now ? next - now : 0;
        const struct timespec limit = {.tv_sec = (time_t)(wait / 1000), .tv_nsec = (long)(wait % 1000) * 1000000};
        if (sigtimedwait(ending, NULL, &limit) > 0) return;
        if (ring_clock_ms() < next) continue; /* another signal */
        next = ring_clock_ms() + ADMIN_SAMPLE_MS;
        for (size_t i = 0; i < nodes.count; i++) {
            json_t *status = admin_ask(nodes.paths[i], "status");
            pthread_mutex_lock(&server.lock);
            admin_history_add(&server.history, i, status, ring_clock_wall_ms());
            pthread_mutex_unlock(&server.lock);
            json_decref(status);
        }
    }
}

static bool secure_start(const struct options *options) {
    uint8_t random[ADMIN_TOKEN_BYTES];
    char why[ADMIN_TLS_WHY_BYTES];
    if (!admin_audit_open(&server.audit, options->state)) {
        (void)fprintf(stderr, "heraclius-admin: --state %s: the audit log cannot be opened: %s\n", options->state, strerror(errno));
        return false;
    }
    if (!admin_tls_load(&server.tls, options->certificate, options->key, options->state, options->name, why)) {
        (void)fprintf(stderr, "heraclius-admin: %s\n", why);
        return false;
    }
    ring_entropy_fill(random, sizeof random);
    for (int i = 0; i < ADMIN_TOKEN_BYTES; i++) (void)snprintf(server.certificate_csrf + 2 * i, 3, "%02x", random[i]);
    (void)printf("certificate SHA-256 %s\n", server.tls.fingerprint);
    (void)fflush(stdout);
    return true;
}

/* NULL: after a line on stderr, and *code. */
static struct admin_listener *listener_start(const char *where, bool tls, int *code) {
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    *code = EXIT_USAGE;
    if (!net_address_parse(where, &address)) {
        (void)usage(stderr, EXIT_USAGE);
        return NULL;
    }
    if (!tls && !is_loopback(&address)) {
        (void)fprintf(stderr, "heraclius-admin: --listen %s: only loopback (127.0.0.1, [::1]) is served without TLS: use --tls\n", where);
        return NULL;
    }
    *code = EXIT_LISTEN;
    struct admin_listener *listener = admin_listen(&server, &address, tls);
    if (listener == NULL)
        (void)fprintf(stderr, "heraclius-admin: cannot listen on %s: is the port in use? stop what uses it, or choose another\n", where);
    return listener;
}

int main(int count, char **words) {
    struct options options = {.name = "heraclius-admin"};
    struct admin_listener *plain = NULL, *secure = NULL;
    struct system *system = NULL;
    sigset_t ending;
    int code = options_take(&options, count, words);
    if (code != 0) return code - 1;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ending, NULL);
    signal(SIGPIPE, SIG_IGN);
    server.nodes = &nodes;
    pthread_mutex_init(&server.lock, NULL);
    if (!admin_history_start(&server.history, &nodes)) return EXIT_FILES;
    if (options.system != NULL && !system_read(options.system, &system)) return EXIT_FILES;
    server.system = system;
    if (options.tls != NULL && !secure_start(&options)) return EXIT_FILES;
    if (options.listen != NULL && (plain = listener_start(options.listen, false, &code)) == NULL) return code;
    if (options.tls != NULL && (secure = listener_start(options.tls, true, &code)) == NULL) {
        admin_listen_end(plain);
        return code;
    }
    sample_until(&ending);
    admin_listen_end(plain);
    admin_listen_end(secure);
    admin_tls_free(&server.tls);
    json_decref(server.exposure);
    free(server.history.series);
    system_free(system);
    return 0;
}
