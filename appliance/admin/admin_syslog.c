/* The link to the collector, its thread and its queue. */
#include "appliance/admin/admin_syslog.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_link.h"
#include "ring/clock.h"

enum { WAIT_MS = 400, LENGTH_BYTES = 8, LINE_BYTES = 1100, CLOCK_LEAD_MS = 1000 /* ring_clock_ms() begins with it */ };

/* Whose logs init keeps: its name for each, and what it is called at the collector. What was said last before this start of the machine comes first,
 * once: the collector may have got none of it, and why an image was given up is there. */
static const struct kept {
    const char *request, *program;
    bool before;
} kept[] = {{"log init before 4000", "heraclius-init-before", true},
            {"log node before 4000", "heraclius-node-before", true},
            {"log trial before 4000", "heraclius-trial-before", true},
            {"log crash 60000", "kernel-crash", false},
            {"log init 60000", "heraclius-init", false},
            {"log node 60000", "heraclius-node", false},
            {"log admin 60000", "heraclius-admin", false},
            {"log console 60000", "heraclius-console", false},
            {"log net 60000", "heraclius-net", false},
            {"log dhcp 60000", "heraclius-dhcp", false},
            {"log trial 60000", "heraclius-trial", false},
            {"kmsg 60000", "kernel", false}};
enum { KEPT = sizeof kept / sizeof kept[0] };
_Static_assert(ADMIN_SYSLOG_LOG_BYTES == 60000, "as the requests say");

struct message {
    size_t bytes;
    char text[ADMIN_SYSLOG_BYTES];
};

struct admin_syslog {
    pthread_t thread;
    int wake; /* an eventfd: something waits, or the end */
    atomic_bool ending;
    char where[ADMIN_SYSLOG_WHY_BYTES - 64], host[256], port[8], name[256];
    const char *init_path;
    gnutls_certificate_credentials_t trusted;
    /* The thread's own */
    struct admin_syslog_mark marks[KEPT];
    bool before_sent;         /* what was said before this start */
    struct admin_link link;
    uint64_t again_ms, look_ms;
    unsigned pause_ms;
    pthread_mutex_t lock; /* over what follows */
    struct message *queue;
    size_t first, waiting;
    bool up;
    uint64_t sent, lost, lost_now; /* lost_now: not said yet */
    char fault[ADMIN_SYSLOG_WHY_BYTES];
};

/* ---- the queue ---- */

static void queue_put(struct admin_syslog *syslog, uint64_t wall_ms, const char *program, enum admin_severity severity, const char *text) {
    struct message *place = &syslog->queue[(syslog->first + syslog->waiting++) % ADMIN_SYSLOG_QUEUE];
    place->bytes = admin_syslog_message(place->text, wall_ms, syslog->name, program, severity, text);
}

static void add(struct admin_syslog *syslog, uint64_t wall_ms, const char *program, enum admin_severity severity, const char *text) {
    char said[96];
    pthread_mutex_lock(&syslog->lock);
    if (syslog->lost_now > 0 && syslog->waiting + 2 <= ADMIN_SYSLOG_QUEUE) {
        (void)snprintf(said, sizeof said, "%llu messages are lost here: the collector did not take them in time",
                       (unsigned long long)syslog->lost_now);
        queue_put(syslog, wall_ms, "heraclius-admin", ADMIN_SEVERITY_WARNING, said);
        syslog->lost_now = 0;
    }
    if (syslog->lost_now == 0 && syslog->waiting < ADMIN_SYSLOG_QUEUE) {
        queue_put(syslog, wall_ms, program, severity, text);
    } else {
        syslog->lost++;
        syslog->lost_now++;
    }
    pthread_mutex_unlock(&syslog->lock);
}

static void wake(const struct admin_syslog *syslog) {
    uint64_t one = 1;
    ssize_t wrote = write(syslog->wake, &one, sizeof one);
    (void)wrote; /* full: it is awake */
}

void admin_syslog_add(struct admin_syslog *syslog, const char *program, enum admin_severity severity, const char *text) {
    if (syslog == NULL) return;
    add(syslog, ring_clock_wall_ms(), program, severity, text);
    wake(syslog);
}

/* ---- what init keeps ---- */

static void line_add(struct admin_syslog *syslog, const struct kept *of, const char *start, size_t count) {
    char text[LINE_BYTES];
    (void)snprintf(text, sizeof text, "%.*s", (int)(count < LINE_BYTES ? count : LINE_BYTES - 1), start);
    if (of->before) { /* its time is of another start */
        add(syslog, ring_clock_wall_ms(), of->program, ADMIN_SEVERITY_NOTICE, text);
        return;
    }
    struct admin_syslog_line line = admin_syslog_line_read(text, strcmp(of->program, "kernel") == 0);
    uint64_t wall_ms = ring_clock_wall_ms(), up_ms = ring_clock_ms() - CLOCK_LEAD_MS;
    uint64_t age_ms = line.stamped && line.since_boot_ms < up_ms ? up_ms - line.since_boot_ms : 0;
    add(syslog, age_ms < wall_ms ? wall_ms - age_ms : wall_ms, of->program, line.severity, line.text);
}

/* True: init answered. */
static bool log_take(struct admin_syslog *syslog, size_t i) {
    size_t fresh = 0;
    bool missing = false;
    char *answer = admin_init_ask(syslog->init_path, kept[i].request);
    if (answer == NULL || strncmp(answer, "ok\n", 3) != 0) {
        free(answer);
        return false;
    }
    const char *at = admin_syslog_fresh(&syslog->marks[i], answer + 3, strlen(answer + 3), &fresh, &missing);
    if (missing)
        add(syslog, ring_clock_wall_ms(), kept[i].program, ADMIN_SEVERITY_WARNING, "some lines are missing here: more was said than init keeps");
    for (const char *end = at + fresh; at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end > at) line_add(syslog, &kept[i], at, (size_t)(line_end - at));
        at = line_end + 1;
    }
    free(answer);
    return true;
}

static void logs_look(struct admin_syslog *syslog) {
    bool answered = true;
    for (size_t i = 0; i < KEPT; i++) {
        if (!kept[i].before || !syslog->before_sent) answered = log_take(syslog, i) && answered;
    }
    syslog->before_sent = syslog->before_sent || answered;
    syslog->look_ms = ring_clock_ms() + ADMIN_SYSLOG_LOOK_MS;
}

/* ---- the link ---- */

static void fault_set(struct admin_syslog *syslog, bool up, const char *what, const char *why) {
    char fault[ADMIN_SYSLOG_WHY_BYTES];
    (void)snprintf(fault, sizeof fault, "%.100s%.200s", what, why);
    pthread_mutex_lock(&syslog->lock);
    bool news = syslog->up != up || strcmp(syslog->fault, fault) != 0;
    syslog->up = up;
    memcpy(syslog->fault, fault, sizeof fault);
    pthread_mutex_unlock(&syslog->lock);
    if (!news) return;
    (void)printf("syslog %s: %s\n", syslog->where, up ? "connected" : fault);
    (void)fflush(stdout);
}

static void link_drop(struct admin_syslog *syslog, const char *what, const char *why) {
    admin_link_close(&syslog->link);
    syslog->again_ms = ring_clock_ms() + syslog->pause_ms;
    syslog->pause_ms = syslog->pause_ms * 2 < ADMIN_SYSLOG_AGAIN_MAX_MS ? syslog->pause_ms * 2 : ADMIN_SYSLOG_AGAIN_MAX_MS;
    fault_set(syslog, false, what, why);
}

/* 0: the handshake is done and the certificate is good; else GnuTLS's error. */
static int shake(struct admin_syslog *syslog, uint64_t until_ms) {
    int error = admin_link_begin(&syslog->link, syslog->trusted, syslog->host);
    if (error) return error;
    gnutls_session_set_verify_cert(syslog->link.session, syslog->host, 0);
    return admin_link_shake(&syslog->link, until_ms);
}

static void link_try(struct admin_syslog *syslog) {
    uint64_t until_ms = ring_clock_ms() + ADMIN_SYSLOG_LINK_MS;
    const char *why = admin_link_reach(&syslog->link, syslog->host, syslog->port, until_ms);
    if (why != NULL) return link_drop(syslog, "cannot be reached: ", why);
    int error = shake(syslog, until_ms);
    if (error == 0) return fault_set(syslog, true, "", "");
    gnutls_datum_t text = {NULL, 0};
    if (error == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR &&
        gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(syslog->link.session), GNUTLS_CRT_X509, &text, 0) == 0) {
        link_drop(syslog, "its certificate is refused: ", (const char *)text.data);
    } else {
        link_drop(syslog, "no TLS with it: ", gnutls_strerror(error));
    }
    gnutls_free(text.data);
}

static bool send_all(struct admin_syslog *syslog, const char *bytes, size_t count) {
    int error = admin_link_send(&syslog->link, bytes, count, ring_clock_ms() + ADMIN_SYSLOG_LINK_MS);
    if (error == 0) return true;
    link_drop(syslog, "the link broke: ", error != GNUTLS_E_TIMEDOUT ? gnutls_strerror(error) : "it takes nothing");
    return false;
}

/* A message is taken from the queue when TLS has it. */
static void queue_send(struct admin_syslog *syslog) {
    char framed[LENGTH_BYTES + ADMIN_SYSLOG_BYTES];
    while (!atomic_load(&syslog->ending)) {
        pthread_mutex_lock(&syslog->lock);
        const struct message *next = &syslog->queue[syslog->first];
        int count = syslog->waiting > 0 ? snprintf(framed, sizeof framed, "%zu %s", next->bytes, next->text) : 0;
        pthread_mutex_unlock(&syslog->lock);
        if (count == 0 || !send_all(syslog, framed, (size_t)count)) return;
        syslog->pause_ms = ADMIN_SYSLOG_AGAIN_MIN_MS;
        pthread_mutex_lock(&syslog->lock);
        syslog->first = (syslog->first + 1) % ADMIN_SYSLOG_QUEUE;
        syslog->waiting--;
        syslog->sent++;
        pthread_mutex_unlock(&syslog->lock);
    }
}

/* A collector says nothing; what comes is the end, or TLS's own matters. */
static void link_hear(struct admin_syslog *syslog) {
    char nothing[256];
    ssize_t got = gnutls_record_recv(syslog->link.session, nothing, sizeof nothing);
    if (got == 0)
        link_drop(syslog, "", "it closed the link");
    else if (got < 0 && gnutls_error_is_fatal((int)got))
        link_drop(syslog, "the link broke: ", gnutls_strerror((int)got));
}

static void *run(void *context) {
    struct admin_syslog *syslog = context;
    while (!atomic_load(&syslog->ending)) {
        uint64_t now_ms = ring_clock_ms(), drained;
        struct pollfd polled[2] = {{.fd = syslog->wake, .events = POLLIN}, {.fd = syslog->link.fd, .events = POLLIN}};
        (void)poll(polled, 2, WAIT_MS);
        if (polled[0].revents != 0 && read(syslog->wake, &drained, sizeof drained) < 0 && errno != EAGAIN) break;
        if (syslog->link.session != NULL && polled[1].revents != 0) link_hear(syslog);
        if (syslog->init_path != NULL && now_ms >= syslog->look_ms) logs_look(syslog);
        if (syslog->link.session == NULL && now_ms >= syslog->again_ms) link_try(syslog);
        if (syslog->link.session != NULL) queue_send(syslog);
    }
    if (syslog->link.session != NULL) (void)gnutls_bye(syslog->link.session, GNUTLS_SHUT_WR);
    return NULL;
}

/* ---- begin and end ---- */

static void all_free(struct admin_syslog *syslog) {
    admin_link_close(&syslog->link);
    if (syslog->wake >= 0) (void)close(syslog->wake);
    if (syslog->trusted != NULL) gnutls_certificate_free_credentials(syslog->trusted);
    free(syslog->queue);
    free(syslog);
}

struct admin_syslog *admin_syslog_start(const char *where, const char *ca, const char *host, const char *init_path,
                                        char why[ADMIN_SYSLOG_WHY_BYTES]) {
    struct admin_syslog *syslog = calloc(1, sizeof *syslog);
    if (syslog != NULL) syslog->queue = calloc(ADMIN_SYSLOG_QUEUE, sizeof *syslog->queue);
    (void)snprintf(why, ADMIN_SYSLOG_WHY_BYTES, "no memory");
    if (syslog == NULL || syslog->queue == NULL) {
        free(syslog);
        return NULL;
    }
    syslog->link = (struct admin_link){.ending = &syslog->ending, .fd = -1};
    syslog->pause_ms = ADMIN_SYSLOG_AGAIN_MIN_MS;
    syslog->init_path = init_path;
    syslog->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)snprintf(syslog->where, sizeof syslog->where, "%s", where);
    (void)snprintf(syslog->name, sizeof syslog->name, "%s", host);
    int trusted = gnutls_certificate_allocate_credentials(&syslog->trusted);
    if (trusted == 0) trusted = gnutls_certificate_set_x509_trust_file(syslog->trusted, ca, GNUTLS_X509_FMT_PEM);
    if (!admin_syslog_where(where, syslog->host, syslog->port))
        (void)snprintf(why, ADMIN_SYSLOG_WHY_BYTES, "%.100s: wants HOST:PORT", where);
    else if (trusted <= 0)
        (void)snprintf(why, ADMIN_SYSLOG_WHY_BYTES, "the collector's CA %.150s: %s", ca, trusted < 0 ? gnutls_strerror(trusted) : "no certificate");
    else if (syslog->wake < 0 || pthread_mutex_init(&syslog->lock, NULL) != 0 || pthread_create(&syslog->thread, NULL, run, syslog) != 0)
        (void)snprintf(why, ADMIN_SYSLOG_WHY_BYTES, "no thread");
    else
        return syslog;
    all_free(syslog);
    return NULL;
}

json_t *admin_syslog_json(struct admin_syslog *syslog) {
    if (syslog == NULL) return json_null();
    pthread_mutex_lock(&syslog->lock);
    json_t *out = json_pack("{s:s,s:b,s:I,s:I,s:I,s:s}", "where", syslog->where, "up", (int)syslog->up, "sent", (json_int_t)syslog->sent, "lost",
                            (json_int_t)syslog->lost, "waiting", (json_int_t)syslog->waiting, "fault", syslog->fault);
    pthread_mutex_unlock(&syslog->lock);
    return out;
}

void admin_syslog_end(struct admin_syslog *syslog) {
    if (syslog == NULL) return;
    atomic_store(&syslog->ending, true);
    wake(syslog);
    (void)pthread_join(syslog->thread, NULL);
    (void)pthread_mutex_destroy(&syslog->lock);
    all_free(syslog);
}
