/*
 * The admin console: what heraclius-admin serves beside /livez, /readyz, /status and /metrics (admin.h): the page at /, and the API under
 * /api/v1/, which appliance/admin/page/openapi.json describes.
 *
 *   admin_http.c    the two listeners (plain on loopback, TLS anywhere), connections and their limits, headers, bodies
 *   admin_routes.c  which path and method needs which role, and who the sender is
 *   admin_api.c     the answers of the API
 *   admin_evidence.c the files of evidence that nodes keep
 *   admin_support.c the support bundle; admin_claims.c takes claims and cards in
 *   admin_upgrade.c releases and slots; admin_task.c what init takes long for
 *   admin_peers.c   other consoles, as they tell of their nodes
 *   admin_page.c    the page as the server draws it, and the files that are built in
 *
 * Over TLS nobody may do anything but pair until a session or a pinned client certificate says who it is. Over plain HTTP, which is on loopback
 * alone, everybody may look (ADMIN_VIEW) and nobody may change anything: the page and the API are there only under a loopback name, so that no
 * page of another site can read them by a name of its own that leads here. A change is a POST with the session's CSRF token, from no other origin;
 * it is in the audit log before it is done.
 *
 * Limits: ADMIN_CONNECTIONS_MAX a listener; past ADMIN_CONNECTIONS_FULL each new one ends the oldest of the address that has most, so slow ones
 * cannot keep others out, nor a flood from one address end another's; a request's head has ADMIN_HEAD_BYTES, its body ADMIN_BODY_BYTES; a release is
 * streamed, one at a time (admin_task.h).
 */
#ifndef APPLIANCE_ADMIN_CONSOLE_H
#define APPLIANCE_ADMIN_CONSOLE_H

#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#include "appliance/admin/admin.h"
#include "appliance/admin/admin_audit.h"
#include "appliance/admin/admin_hang.h"
#include "appliance/admin/admin_history.h"
#include "appliance/admin/admin_queues.h"
#include "appliance/admin/admin_session.h"
#include "appliance/admin/admin_syslog.h"
#include "appliance/admin/admin_task.h"
#include "appliance/admin/admin_tls.h"
#include "protocol/system.h"

enum {
    ADMIN_CONNECTIONS_FULL = ADMIN_CONNECTIONS_MAX * 3 / 4,
    ADMIN_HEAD_BYTES = 16 << 10,
    ADMIN_BODY_BYTES = 4096,
    ADMIN_RESTART_MS = 60000, /* between two restarts by those who operate */
    ADMIN_SILENT_S = 5, /* a connection without a byte */
    ADMIN_WHO_BYTES = 96,
    ADMIN_COOKIE_BYTES = 256
};
#define ADMIN_COOKIE "__Host-heraclius"

struct admin_peers;

struct admin_server {
    const struct admin_nodes *nodes;
    const char *init_path;       /* init's control socket, or NULL */
    const char *state_path;      /* the folder of state, or NULL: nothing can be changed */
    const struct system *system; /* or NULL */
    const char *claims_path;     /* the folder of claims, or NULL */
    const char *pairing_path;    /* where a code is shown beside standard output, or NULL */
    bool code_by_file_alone;     /* standard output is a log that others read: a code is not in it */
    const char *conf_path;       /* an appliance's configuration of this console, or NULL */
    struct admin_syslog *syslog; /* or NULL */
    struct admin_peers *peers;   /* other consoles (admin_peers.h), or NULL */
    struct admin_tls tls;
    char certificate_csrf[ADMIN_TOKEN_TEXT + 1]; /* what clients with a certificate have in place of a session's */
    pthread_mutex_t lock;                        /* over what follows: two listeners and the sampler use it */
    struct admin_sessions sessions;
    struct admin_audit audit;
    struct admin_seldom seldom;
    struct admin_history history;
    struct admin_queues queues;
    struct admin_hang hang;
    uint64_t restarted_ms; /* when one who operates restarted the node last; 0: never */
    json_t *exposure; /* as it was read last; NULL: not yet */
    uint64_t exposure_ms;
    struct admin_task task;
};

/* A request that came whole. Texts are "" when there is none. */
struct admin_request {
    struct admin_server *server;
    const char *method, *path;
    bool tls;
    const char *host, *origin, *content_type, *content_length, *csrf_given, *cookie, *newest, *node, *file;
    const char *body;
    uint8_t from[ADMIN_FROM_BYTES]; /* an IPv4 address, or the first half of an IPv6 one, in which one machine can have all addresses */
    char address[INET6_ADDRSTRLEN];
    /* Found out by admin_answer_make() */
    enum admin_role role;
    bool forged_none; /* carries the CSRF token that its sender was given */
    char who[ADMIN_WHO_BYTES], csrf[ADMIN_TOKEN_TEXT + 1];
    enum admin_role certificate_role;
    char certificate[ADMIN_FINGERPRINT_TEXT + 1];
};

struct admin_answer {
    unsigned code;
    const char *type;
    char *text;        /* malloc'd, or NULL: then `fixed` */
    const char *fixed; /* lives as long as the program */
    size_t fixed_bytes;
    char cookie[ADMIN_COOKIE_BYTES]; /* "": none is set */
    const char *location, *allow;    /* NULL: no such header */
    bool waits;                      /* for init: the task was begun, and will have the answer (admin_task.h) */
    const char *saved_as;            /* NULL: shown; else the name of the file that a browser makes of it */
    struct admin_evidence *streamed; /* NULL, or in place of a text: a file that goes out in pieces */
};

/* admin_routes.c: what to answer; never fails, but for lack of memory, when text and fixed stay NULL. */
struct admin_answer admin_answer_make(struct admin_request *request);

/* A body of this is not kept, but handed on as it comes: its handler is called with the head, and answers with code 0 if it wants the body. */
bool admin_answer_streams(const char *method, const char *path);

/* admin_api.c */
typedef struct admin_answer admin_handler(struct admin_request *request);
admin_handler admin_api_session, admin_api_session_begin, admin_api_session_end, admin_api_pairing, admin_api_nodes, admin_api_clusters,
    admin_api_peers, admin_api_history, admin_api_queues, admin_api_faults, admin_api_exposure, admin_api_audit, admin_api_restart, admin_api_reboot,
    admin_api_halt;
/* admin_support.c, admin_claims.c */
admin_handler admin_api_evidence, admin_api_evidence_file, admin_api_support, admin_api_claim;
/* admin_upgrade.c */
admin_handler admin_api_upgrade, admin_api_upgrade_seen, admin_api_rollback;
/* The SHA-256 of the image that runs, in hex, as init tells it of a release in a slot. False: not known. Asks init. */
bool admin_image_runs(struct admin_server *server, char sha256[65]);
/* What init says of the machine ("status"), or said up to ADMIN_INIT_KEPT_MS ago; malloc'd; NULL: nothing so new. There must be an init. */
char *admin_machine_says(const struct admin_server *server, uint64_t *age_ms);
/* A JSON answer of `body`, which is taken over; and {"error": text}. */
struct admin_answer admin_answer_json(unsigned code, json_t *body);
struct admin_answer admin_answer_error(unsigned code, const char *text);
/* Begins a code if it may, shows it at the machine, and tells whether its sender may try it. */
bool admin_pairing_show(struct admin_request *request);
/* To be called each second, first at the start: takes the code's file away when it is worth nothing, also one of a start before. */
void admin_pairing_expire(struct admin_server *server);
/* Tries a code; on success the answer's cookie is set. */
enum admin_pairing admin_pairing_take(struct admin_request *request, const char *code, enum admin_role role, struct admin_answer *answer);
/* What each node tells of attacks, dropped input and damage. */
json_t *admin_faults(const json_t *statuses);
/* Of each node its files of evidence, by name and length: [{"node", "socket", "files": [{"file", "bytes"}, ...] or null}, ...]. */
json_t *admin_evidence_json(const struct admin_nodes *nodes);
/* Exposure, a second old at the most; a new reference. */
json_t *admin_exposure_newest(struct admin_server *server);
/* A line of the audit log on behalf of the sender. False: it could not be written, so nothing is to be done. */
bool admin_audit_of(struct admin_request *request, const char *action, const char *outcome, const char *detail) __attribute__((warn_unused_result));
/* The same, once in ADMIN_SELDOM_MS for this sender, action and outcome (and detail, with `each`). */
bool admin_audit_seldom(struct admin_request *request, const char *action, const char *outcome, const char *detail, bool each)
    __attribute__((warn_unused_result));
/* The body as a JSON object; NULL: it is none. A new reference. */
json_t *admin_body_object(const struct admin_request *request);

/* admin_page.c */
/* A text from elsewhere, whatever it says: nothing of it is markup. */
void admin_page_text(FILE *out, const char *text);
/* The beginning of a table under the heading of that id, and a column's head; rows come behind </tr></thead>. */
void admin_page_table(FILE *out, const char *heading);
void admin_page_column(FILE *out, const char *name, bool number);
admin_handler admin_page, admin_page_pair, admin_page_script, admin_page_style, admin_page_icon, admin_page_openapi;

/* admin_http.c */
struct admin_listener;
/* NULL: cannot listen there. `tls`: with server->tls. The address is copied. */
struct admin_listener *admin_listen(struct admin_server *server, const struct sockaddr_storage *address, bool tls);
void admin_listen_end(struct admin_listener *listener); /* NULL is fine */

/* admin_init.c: asks init (init/control.h); the whole answer, malloc'd; NULL: no answer in ADMIN_INIT_MS. */
char *admin_init_ask(const char *path, const char *question);
bool admin_init_ok(const char *answer); /* NULL is none */

#endif
