/*
 * What init takes long for: a release that somebody uploads, and a roll back (appliance/slots.h). One at a time. The listener's thread does not wait
 * for it: a thread of its own asks, the request is set aside meanwhile (admin_http.c), and everybody else is served.
 *
 *   none -> receiving -> asking -> answered -> none       an upload
 *   none -------------> asking -> answered -> none        a roll back
 *
 * A release is up to 64 MiB: it goes to a file of the state folder that has no name, on the data disk, as it comes, and to the page cache for
 * ADMIN_TASK_SYNC_BYTES at a time, so its size costs no memory. Its room is taken before its first byte is, and ADMIN_TASK_ROOM_LEFT stays for the
 * node. A connection that ends, is silent (ADMIN_SILENT_S) or takes longer than ADMIN_TASK_UPLOAD_MS leaves nothing behind.
 *
 * In the audit log: "begun" before anything is done; "done", "refused" (by a rule of the specification) or "failed" after it.
 */
#ifndef APPLIANCE_ADMIN_TASK_H
#define APPLIANCE_ADMIN_TASK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/release.h"

enum {
    ADMIN_TASK_BYTES_MAX = RELEASE_BYTES + RELEASE_IMAGE_BYTES_MAX,
    ADMIN_TASK_UPLOAD_MS = 600000,
    ADMIN_TASK_BUSY_MS = 15000, /* how long it asks again when init says that it is busy */
    ADMIN_TASK_SYNC_BYTES = 1 << 20,
    ADMIN_TASK_ROOM_LEFT = 64 << 20,
    ADMIN_TASK_WHO_BYTES = 96
};

enum admin_task_state { ADMIN_TASK_NONE, ADMIN_TASK_RECEIVING, ADMIN_TASK_ASKING, ADMIN_TASK_ANSWERED };

typedef void admin_task_resume(void *context);

/* state, bytes, said: under the server's lock. The rest is the listener's thread's until it asks, and then of the thread that does. */
struct admin_task {
    enum admin_task_state state;
    const char *action, *question; /* of the audit log; of init */
    char who[ADMIN_TASK_WHO_BYTES];
    int fd; /* of the release; -1: none */
    uint64_t bytes, of_bytes, begun_ms;
    bool begun; /* and the audit log says so */
    bool write_failed;
    pthread_t thread;
    bool threaded; /* the thread is to be joined */
    admin_task_resume *resume;
    void *context;
    char *said; /* what init said, whole; NULL: nothing */
    bool told;  /* the last line is in the audit log */
};

struct admin_server;
struct admin_request;
struct admin_answer;

/* Takes the place. False: *refusal. `of_bytes` 0: nothing is received. */
bool admin_task_begin(struct admin_request *request, const char *action, const char *question, uint64_t of_bytes, struct admin_answer *refusal)
    __attribute__((warn_unused_result));
/* The next bytes, that came now (ring/clock.h). False: more than was announced, or too late: the connection is to be closed. */
bool admin_task_take(struct admin_server *server, const char *bytes, uint64_t count, uint64_t now_ms) __attribute__((warn_unused_result));
/* Asks init on a thread; `resume` is called from there when it has answered, or at once. The request is set aside already. */
void admin_task_ask(struct admin_server *server, admin_task_resume *resume, void *context);
/* After `resume`: what is to be answered. */
struct admin_answer admin_task_answer(struct admin_server *server);
/* The request is over, answered or not: gives the place back. */
void admin_task_end(struct admin_server *server);
/* Before the listener ends: until nothing is asked any more and the answer has gone out, which is bounded. */
void admin_task_quiet(struct admin_server *server);

#endif
