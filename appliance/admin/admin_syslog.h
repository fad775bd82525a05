/*
 * Logs to a syslog collector: RFC 5424 messages over TLS, each with its length before it (RFC 5425). The collector's certificate is verified against
 * the CA that was configured, for the host that was configured, and nothing is sent without; ours is not shown.
 *
 * What is sent: the audit log (heraclius-audit), and, where there is an init to be asked, what it keeps of each program's log, of its own and of
 * the kernel's (heraclius-node, ..., kernel), looked at every ADMIN_SYSLOG_LOOK_MS; before that, once, the last lines of the start of the machine
 * before (heraclius-init-before, -node-before, -trial-before, with their time since that start; kernel-crash, if it had crashed). HOSTNAME is the
 * node's name, the facility local0.
 *
 * One thread of its own; whoever adds never waits. At most ADMIN_SYSLOG_QUEUE messages wait; what comes while it is full is dropped and counted, and
 * a message at that place says how many are lacking. What a program said beyond what init keeps between two looks is missing too, and said likewise,
 * without a number. A link that fails is tried again after ADMIN_SYSLOG_AGAIN_MIN_MS, doubled up to ADMIN_SYSLOG_AGAIN_MAX_MS. A message is forgotten
 * once TLS has taken it: RFC 5425 has no acknowledgement, so what was under way when a link broke may be lost or come twice. After a start what init
 * still keeps is sent again.
 */
#ifndef APPLIANCE_ADMIN_SYSLOG_H
#define APPLIANCE_ADMIN_SYSLOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ADMIN_SYSLOG_QUEUE = 2048,
    ADMIN_SYSLOG_BYTES = 1280, /* of a message, longer ones are cut */
    ADMIN_SYSLOG_TAIL_BYTES = 256,
    ADMIN_SYSLOG_LOG_BYTES = 60000, /* of one log at a look */
    ADMIN_SYSLOG_LOOK_MS = 2000,
    ADMIN_SYSLOG_LINK_MS = 10000, /* to connect and shake hands, or to have a message taken */
    ADMIN_SYSLOG_AGAIN_MIN_MS = 1000,
    ADMIN_SYSLOG_AGAIN_MAX_MS = 60000,
    ADMIN_SYSLOG_WHY_BYTES = 320
};

enum admin_severity {
    ADMIN_SEVERITY_ERROR = 3,
    ADMIN_SEVERITY_WARNING = 4,
    ADMIN_SEVERITY_NOTICE = 5,
    ADMIN_SEVERITY_INFO = 6,
    ADMIN_SEVERITY_DEBUG = 7
};

struct admin_syslog;

/* `where`: HOST:PORT; `ca`: a PEM file; `host`: the node's name; `init_path` may be NULL. NULL: `why`. A collector that is not there is no reason. */
struct admin_syslog *admin_syslog_start(const char *where, const char *ca, const char *host, const char *init_path, char why[ADMIN_SYSLOG_WHY_BYTES])
    __attribute__((warn_unused_result));
/* Any thread; without a syslog nothing happens. */
void admin_syslog_add(struct admin_syslog *syslog, const char *program, enum admin_severity severity, const char *text);
/* {"where", "up", "sent", "lost", "waiting", "fault"}; a new reference; null without a syslog. */
json_t *admin_syslog_json(struct admin_syslog *syslog);
void admin_syslog_end(struct admin_syslog *syslog); /* NULL is fine */

/* ---- pure: admin_syslog_text.c ---- */

/* How far one log was read. */
struct admin_syslog_mark {
    char tail[ADMIN_SYSLOG_TAIL_BYTES];
    size_t tail_bytes;
};
/* What of the newest bytes of a log (`text`) is new since the last call: whole lines, *fresh bytes. *missing: some before them were never seen. */
const char *admin_syslog_fresh(struct admin_syslog_mark *mark, const char *text, size_t count, size_t *fresh, bool *missing);

struct admin_syslog_line {
    enum admin_severity severity;
    bool stamped;
    uint64_t since_boot_ms; /* if it is stamped */
    const char *text;
};
/* One line of init's logs, or of the kernel's. */
struct admin_syslog_line admin_syslog_line_read(const char *line, bool kernel);
/* The message without its length; returns its bytes, fewer than ADMIN_SYSLOG_BYTES. */
size_t admin_syslog_message(char out[ADMIN_SYSLOG_BYTES], uint64_t wall_ms, const char *host, const char *program, enum admin_severity severity,
                            const char *text);
/* HOST:PORT or [HOST]:PORT into two texts. */
bool admin_syslog_where(const char *where, char host[256], char port[8]) __attribute__((warn_unused_result));

#endif
