/* heraclius-admin: the nodes of this host over HTTP: plain on loopback, TLS anywhere; the page and the API (appliance/admin/admin_console.h). */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "appliance/admin/admin_appliance.h"
#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_machine.h"
#include "appliance/admin/admin_peers.h"
#include "appliance/admin/admin_seen.h"
#include "appliance/admin/admin_syslog.h"
#include "bft/ed25519.h"
#include "ring/clock.h"
#include "ring/entropy.h"
#include "ring/net.h"

enum { EXIT_USAGE = 2, EXIT_LISTEN = 4, EXIT_FILES = 5, LOOK_MS = 1000 };

struct options {
    const char *listen, *tls, *certificate, *key, *state, *name, *system, *syslog, *syslog_ca, *root;
    bool appliance;
    size_t peers_count;
    const char *peers[ADMIN_PEERS_MAX];
};

static struct admin_nodes nodes;
static struct admin_appliance appliance;
static struct admin_server server;

static int usage(FILE *out, int code) {
    (void)fputs("usage: heraclius-admin [--listen 127.0.0.1:PORT] [--tls HOST:PORT --state DIR] [options] --sockets [NAME=]PATH...\n"
                "  --listen HOST:PORT  where to serve plain HTTP; loopback only, and nothing can be changed there\n"
                "  --tls HOST:PORT     where to serve HTTPS\n"
                "  --state DIR         folder of the audit log, and of tls.key and tls.cert, which are made when there are none\n"
                "  --tls-cert FILE     another certificate (PEM), with --tls-key FILE\n"
                "  --name NAME         what a certificate that is made here is called\n"
                "  --client ROLE:HEX   a client certificate's SHA-256 and what its holder may do: view, operate or own; up to 64 times\n"
                "  --peer SHA256@HOST:PORT\n"
                "                      another console, with its certificate, to which this one's is known; up to 16 times\n"
                "  --pairing FILE      a pairing code is written here too, while it can be used\n"
                "  --init PATH         init's control socket: restarts and reboots\n"
                "  --syslog HOST:PORT  audit log, and with --init the programs' logs, to a syslog collector by TLS, with --syslog-ca FILE\n"
                "  --appliance         what it is in the image: all of this from /data/public, as the node's owner configured it\n"
                "  --root DIR          with --appliance: the folder in which data and run are, for tests\n"
                "  --sockets [NAME=]PATH...\n"
                "                      control sockets of the nodes, and what each is called, whatever it says itself; without NAME by its folder\n"
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

/* 0: go on; else an exit code, one more than it. */
static int options_take(struct options *options, int count, char **words) {
    const struct {
        const char *name, **to;
    } texts[] = {
        {"--listen", &options->listen}, {"--tls", &options->tls},         {"--tls-cert", &options->certificate}, {"--tls-key", &options->key},
        {"--state", &options->state},   {"--name", &options->name},       {"--init", &server.init_path},         {"--pairing", &server.pairing_path},
        {"--system", &options->system}, {"--claims", &server.claims_path}, {"--syslog", &options->syslog},      {"--syslog-ca", &options->syslog_ca},
        {"--root", &options->root}};
    bool sockets = false;
    for (int i = 1; i < count; i++) {
        const char **to = NULL;
        for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
            if (strcmp(words[i], texts[t].name) == 0) to = texts[t].to;
        }
        if (strcmp(words[i], "--help") == 0) return usage(stdout, 0) + 1;
        if (strcmp(words[i], "--appliance") == 0)
            options->appliance = true;
        else if (to != NULL && i + 1 < count)
            *to = words[++i];
        else if (strcmp(words[i], "--client") == 0 && i + 1 < count) {
            if (admin_tls_pin(&server.tls, words[++i])) continue;
            (void)fprintf(stderr, "heraclius-admin: --client %s: wants view:, operate: or own: and 64 hex digits, at most %d times\n", words[i],
                          ADMIN_PINS_MAX);
            return EXIT_USAGE + 1;
        } else if (strcmp(words[i], "--peer") == 0 && i + 1 < count && options->peers_count < ADMIN_PEERS_MAX)
            options->peers[options->peers_count++] = words[++i];
        else if (strcmp(words[i], "--sockets") == 0)
            sockets = true;
        else if (sockets && words[i][0] != '-') {
            if (admin_nodes_add(&nodes, words[i])) continue;
            (void)fprintf(stderr, "heraclius-admin: --sockets %s: wants [NAME=]PATH, each name once, %d at most\n", words[i], ADMIN_SOCKETS_MAX);
            return EXIT_USAGE + 1;
        } else
            return usage(stderr, EXIT_USAGE) + 1;
    }
    if (options->appliance) return sockets || count > 2 + 2 * (options->root != NULL) ? usage(stderr, EXIT_USAGE) + 1 : 0;
    bool listens = options->listen != NULL || options->tls != NULL, pairs = (options->certificate == NULL) == (options->key == NULL);
    pairs = pairs && (options->peers_count == 0 || options->tls != NULL);
    pairs = pairs && (options->syslog == NULL) == (options->syslog_ca == NULL) && options->root == NULL;
    if (!listens || nodes.count == 0 || (options->tls != NULL && options->state == NULL) || !pairs) return usage(stderr, EXIT_USAGE) + 1;
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

static bool restart_audited(const char *outcome, const char *detail, bool restarted) {
    pthread_mutex_lock(&server.lock);
    server.hang.hangs += restarted;
    bool told = admin_audit_add(&server.audit, "heraclius-admin", "restart", outcome, detail);
    pthread_mutex_unlock(&server.lock);
    return told;
}

/* Lines of the log and of the audit; init is asked in any case. */
static void node_restart(void) {
    bool told = restart_audited("begun", "the node runs and answered nothing for a minute", false);
    char *text = admin_init_ask(server.init_path, "restart node sure"), said[160] = "init does not answer";
    bool good = admin_init_ok(text);
    if (text != NULL) (void)snprintf(said, sizeof said, "%s", text);
    said[strcspn(said, "\n")] = '\0';
    admin_plain(said);
    free(text);
    told = restart_audited(good ? "done" : "failed", said, good) && told;
    (void)printf("the node runs and answered nothing for a minute: init is asked to restart it: %s%s\n", said,
                 told ? "" : " (the audit log cannot be written)");
    (void)fflush(stdout);
}

/* The one node of an appliance: its status was asked just now. */
static void hang_look(bool answered) {
    uint64_t age_ms = 0;
    char *machine = admin_machine_says(&server, &age_ms);
    pthread_mutex_lock(&server.lock);
    bool hangs = admin_hang_look(&server.hang, age_ms <= ADMIN_MACHINE_OLD_MS ? admin_hang_pid(machine) : 0, answered);
    pthread_mutex_unlock(&server.lock);
    free(machine);
    if (hangs) node_restart();
}

static void samples_take(void) {
    admin_seen_refresh(nodes.seen);
    json_t *statuses = admin_answers(&nodes, "status"), *status;
    size_t at;
    pthread_mutex_lock(&server.lock);
    json_array_foreach(statuses, at, status) {
        admin_history_add(&server.history, at, json_is_object(status) ? status : NULL, ring_clock_wall_ms());
        admin_queues_add(&server.queues, at, json_is_object(status) ? status : NULL, ring_clock_ms());
    }
    pthread_mutex_unlock(&server.lock);
    if (server.init_path != NULL && nodes.count == 1) hang_look(json_is_object(json_array_get(statuses, 0)));
    json_decref(statuses);
}

/* One sample of every node each ADMIN_SAMPLE_MS, until SIGTERM or SIGINT, or until an appliance is told something else. */
static void sample_until(const sigset_t *ending, bool samples) {
    uint64_t next = ring_clock_ms();
    for (;;) {
        admin_pairing_expire(&server);
        uint64_t now = ring_clock_ms(), wait = next > now ? next - now : 0;
        if (server.pairing_path != NULL || !samples) wait = wait < LOOK_MS ? wait : LOOK_MS;
        const struct timespec limit = {.tv_sec = (time_t)(wait / 1000), .tv_nsec = (long)(wait % 1000) * 1000000};
        if (sigtimedwait(ending, NULL, &limit) > 0) return;
        if (appliance.places[0][0] != '\0' && admin_appliance_changed(&appliance)) {
            (void)printf("another configuration: starting anew\n");
            return;
        }
        if (ring_clock_ms() < next) continue; /* another signal, or just a look */
        next = ring_clock_ms() + ADMIN_SAMPLE_MS;
        if (samples) samples_take();
    }
}

/* What the owner configured. False: after a line on stderr; it may become another. */
static bool appliance_take(struct options *options) {
    char why[ADMIN_TLS_WHY_BYTES];
    const struct admin_conf *conf = &appliance.conf;
    const char *path = appliance.places[ADMIN_PLACE_CONF];
    server.pairing_path = appliance.places[ADMIN_PLACE_PAIRING];
    if (!admin_appliance_read(&appliance, why)) {
        (void)fprintf(stderr, "heraclius-admin: %s: %s\n", path, why);
        return false;
    }
    for (unsigned i = 0; i < conf->clients_count; i++) {
        if (admin_tls_pin(&server.tls, conf->clients[i])) continue;
        (void)fprintf(stderr, "heraclius-admin: %s: no role and certificate: %s\n", path, conf->clients[i]);
        return false;
    }
    options->state = appliance.places[ADMIN_PLACE_STATE];
    options->tls = conf->listen[0] != '\0' ? conf->listen : NULL;
    options->system = access(appliance.places[ADMIN_PLACE_SYSTEM], F_OK) == 0 ? appliance.places[ADMIN_PLACE_SYSTEM] : NULL;
    options->name = conf->node;
    options->syslog = conf->syslog[0] != '\0' ? conf->syslog : NULL;
    for (unsigned i = 0; i < conf->peers_count; i++) options->peers[options->peers_count++] = conf->peers[i];
    options->syslog_ca = appliance.places[ADMIN_PLACE_SYSLOG_CA];
    server.init_path = appliance.places[ADMIN_PLACE_INIT];
    server.claims_path = appliance.places[ADMIN_PLACE_CLAIMS];
    server.conf_path = path;
    server.code_by_file_alone = true;
    (void)mkdir(server.claims_path, 0750); /* if it is not there, what is read and written there says so */
    nodes.paths[0] = appliance.places[ADMIN_PLACE_NODE];
    (void)snprintf(nodes.names[0], sizeof nodes.names[0], "%.*s", ADMIN_NAME_BYTES - 1, conf->node);
    nodes.count = 1;
    if (options->tls == NULL) (void)printf("no admin.listen is configured: the admin console is not served\n");
    (void)fflush(stdout);
    return true;
}

static bool secure_start(const struct options *options) {
    uint8_t random[ADMIN_TOKEN_BYTES];
    char why[ADMIN_TLS_WHY_BYTES];
    if (!admin_audit_open(&server.audit, options->state)) {
        (void)fprintf(stderr, "heraclius-admin: --state %s: the audit log cannot be opened: %s\n", options->state, strerror(errno));
        return false;
    }
    bool good = options->appliance ? admin_appliance_certificate(&appliance, &server.tls, why)
                                   : admin_tls_load(&server.tls, options->certificate, options->key, options->state, options->name, why);
    if (!good) {
        (void)fprintf(stderr, "heraclius-admin: %s\n", why);
        return false;
    }
    server.state_path = options->state;
    ring_entropy_fill(random, sizeof random);
    for (int i = 0; i < ADMIN_TOKEN_BYTES; i++) (void)snprintf(server.certificate_csrf + 2 * i, 3, "%02x", random[i]);
    (void)printf("certificate SHA-256 %s\n", server.tls.fingerprint);
    (void)fflush(stdout);
    return true;
}

/* An appliance goes on without: its console is what one mends it with. */
static bool syslog_start(const struct options *options) {
    char why[ADMIN_SYSLOG_WHY_BYTES];
    if (options->syslog == NULL) return true;
    server.syslog = admin_syslog_start(options->syslog, options->syslog_ca, options->name, server.init_path, why);
    if (server.syslog == NULL) (void)fprintf(stderr, "heraclius-admin: nothing is sent to a syslog collector: %s\n", why);
    server.audit.syslog = server.syslog;
    return server.syslog != NULL || options->appliance;
}

/* An appliance goes on without. Nobody could see them where no page is served. */
static bool peers_start(const struct options *options) {
    char why[ADMIN_PEER_FAULT_BYTES];
    if (options->peers_count == 0 || options->tls == NULL) return true;
    server.peers = admin_peers_start(options->peers, options->peers_count, &server.tls, why);
    if (server.peers == NULL) (void)fprintf(stderr, "heraclius-admin: other consoles are not read: %s\n", why);
    return server.peers != NULL || options->appliance;
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

/* Until it is to end; an exit code. */
static int serve(const struct options *options, const sigset_t *ending) {
    struct admin_listener *plain = NULL, *secure = NULL;
    int code = 0;
    if (options->listen != NULL) plain = listener_start(options->listen, false, &code);
    if ((options->listen == NULL || plain != NULL) && options->tls != NULL) secure = listener_start(options->tls, true, &code);
    if ((options->listen == NULL || plain != NULL) && (options->tls == NULL || secure != NULL)) {
        code = 0;
        sample_until(ending, true);
    }
    admin_listen_end(plain);
    admin_listen_end(secure);
    return code;
}

int main(int count, char **words) {
    struct options options = {.name = "heraclius-admin"};
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
    server.task.fd = -1;
    pthread_mutex_init(&server.lock, NULL);
    if (options.appliance) {
        if (!admin_appliance_places(&appliance, options.root != NULL ? options.root : "")) return usage(stderr, EXIT_USAGE);
        if (!appliance_take(&options)) {
            sample_until(&ending, false);
            return 0;
        }
    }
    admin_pairing_expire(&server);
    if (!admin_history_start(&server.history, &nodes) || !admin_queues_start(&server.queues, &nodes)) return EXIT_FILES;
    if (options.system != NULL && !system_read(options.system, &system) && !options.appliance) return EXIT_FILES;
    server.system = system;
    if (options.tls != NULL && !secure_start(&options)) return EXIT_FILES;
    if (!syslog_start(&options) || !peers_start(&options)) return EXIT_FILES;
    nodes.seen = admin_seen_start(&nodes, server.init_path);
    if (nodes.seen == NULL) return EXIT_FILES;
    code = serve(&options, &ending);
    admin_seen_end(nodes.seen);
    admin_peers_end(server.peers);
    admin_syslog_end(server.syslog);
    admin_tls_free(&server.tls);
    json_decref(server.exposure);
    free(server.history.series);
    admin_queues_end(&server.queues);
    system_free(system);
    return code;
}
