#include "appliance/admin/admin_task.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_upgrade.h"
#include "appliance/status/ask.h"
#include "ring/clock.h"

enum { PATH_BYTES = 4096, WHY_BYTES = 512, PAUSE_MS = 250, QUIET_MS = 3000 };

/* ---- the file ---- */

/* A file without a name: it is gone with its last descriptor, whatever becomes of this program. -1: errno. */
static int file_new(const char *folder) {
    char path[PATH_BYTES];
    if ((size_t)snprintf(path, sizeof path, "%s/upload", folder) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    (void)unlink(path); /* of a power cut between the next two lines */
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) (void)unlink(path);
    return fd;
}

/* Takes the room on the disk, or tells that there is none. */
static bool file_room(int fd, uint64_t bytes) {
    struct statvfs disk;
    if (fstatvfs(fd, &disk) != 0 || disk.f_bavail * (uint64_t)disk.f_frsize < bytes + ADMIN_TASK_ROOM_LEFT) return false;
    return fallocate(fd, 0, 0, (off_t)bytes) == 0 || errno == EOPNOTSUPP;
}

static void file_drop(struct admin_task *task) {
    if (task->fd >= 0) (void)close(task->fd);
    task->fd = -1;
}

/* ---- one at a time ---- */

bool admin_task_begin(struct admin_request *request, const char *action, const char *question, uint64_t of_bytes, struct admin_answer *refusal) {
    struct admin_server *server = request->server;
    struct admin_task *task = &server->task;
    char detail[64] = "";
    if (of_bytes > 0) (void)snprintf(detail, sizeof detail, "%" PRIu64 " bytes", of_bytes);
    pthread_mutex_lock(&server->lock);
    bool free_place = task->state == ADMIN_TASK_NONE;
    if (free_place) {
        *task = (struct admin_task){.state = of_bytes > 0 ? ADMIN_TASK_RECEIVING : ADMIN_TASK_ASKING, .action = action, .question = question,
                                    .fd = -1, .of_bytes = of_bytes, .begun_ms = ring_clock_ms()};
        (void)snprintf(task->who, sizeof task->who, "%s", request->who);
    }
    pthread_mutex_unlock(&server->lock);
    if (!free_place) {
        *refusal = admin_answer_error(MHD_HTTP_CONFLICT, "another upload or roll back is under way: try again when it is over");
        return false;
    }
    *refusal = (struct admin_answer){.code = 0};
    if (of_bytes > 0) {
        task->fd = file_new(server->state_path);
        if (task->fd < 0 || !file_room(task->fd, of_bytes))
            *refusal = admin_answer_error(MHD_HTTP_INSUFFICIENT_STORAGE, "the data disk has no room for it, with 64 MiB left for the node");
    }
    if (refusal->code == 0 && !admin_audit_of(request, action, "begun", detail))
        *refusal = admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "not done: the audit log cannot be written");
    task->begun = refusal->code == 0;
    if (!task->begun) admin_task_end(server);
    return refusal->code == 0;
}

bool admin_task_take(struct admin_server *server, const char *bytes, uint64_t count, uint64_t now_ms) {
    struct admin_task *task = &server->task;
    if (count > task->of_bytes - task->bytes || now_ms - task->begun_ms > ADMIN_TASK_UPLOAD_MS) return false;
    for (uint64_t put = 0; put < count && !task->write_failed;) {
        ssize_t some = pwrite(task->fd, bytes + put, count - put, (off_t)(task->bytes + put));
        if (some > 0)
            put += (uint64_t)some;
        else if (some == 0 || errno != EINTR)
            task->write_failed = true; /* the rest is swallowed, so that the sender hears why */
    }
    uint64_t before = task->bytes / ADMIN_TASK_SYNC_BYTES * ADMIN_TASK_SYNC_BYTES, now = task->bytes + count;
    if (now - before >= ADMIN_TASK_SYNC_BYTES) { /* out of the page cache, which counts as this program's */
        if (fdatasync(task->fd) != 0) task->write_failed = true;
        (void)posix_fadvise(task->fd, 0, (off_t)now, POSIX_FADV_DONTNEED);
    }
    pthread_mutex_lock(&server->lock);
    task->bytes = now;
    pthread_mutex_unlock(&server->lock);
    return true;
}

/* ---- asking ---- */

static void pause_ms(unsigned ms) {
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

/* What init says; NULL: nothing, and why. It does one such thing in a while for one user, and says when it is too soon. */
static char *init_says(const char *path, const char *question, int fd, char why[ASK_FAULT_BYTES]) {
    uint64_t end_ms = ring_clock_ms() + ADMIN_TASK_BUSY_MS;
    char *answer = malloc(ASK_INIT_BYTES);
    (void)snprintf(why, ASK_FAULT_BYTES, "no memory");
    for (bool again = answer != NULL; again;) {
        size_t count = 0;
        if (!ask_init(path, question, fd, ASK_JUDGE_MS, answer, &count, why) || count == ASK_INIT_BYTES) {
            free(answer);
            return NULL;
        }
        answer[count] = '\0';
        admin_plain(answer);
        again = strncmp(answer, "error busy", 10) == 0 && ring_clock_ms() < end_ms;
        if (again) pause_ms(PAUSE_MS);
    }
    return answer;
}

static void *work(void *context) {
    struct admin_server *server = context;
    struct admin_task *task = &server->task;
    char fault[ASK_FAULT_BYTES] = "the data disk does not take it", why[WHY_BYTES];
    struct admin_refusal refusal;
    char *said = task->write_failed ? NULL : init_says(server->init_path, task->question, task->fd, fault);
    file_drop(task);
    bool good = admin_refusal_read(&refusal, said, fault);
    if (good)
        admin_upgrade_said(said, why, sizeof why);
    else
        (void)snprintf(why, sizeof why, "%s%s%s", refusal.name, refusal.name[0] ? ": " : "", refusal.text);
    pthread_mutex_lock(&server->lock);
    task->said = said != NULL ? said : strdup(fault);
    task->told = admin_audit_add(&server->audit, task->who, task->action, good ? "done" : refusal.name[0] ? "refused" : "failed", why);
    task->state = ADMIN_TASK_ANSWERED;
    pthread_mutex_unlock(&server->lock);
    task->resume(task->context);
    return NULL;
}

void admin_task_ask(struct admin_server *server, admin_task_resume *resume, void *context) {
    struct admin_task *task = &server->task;
    pthread_mutex_lock(&server->lock);
    task->state = ADMIN_TASK_ASKING;
    task->resume = resume;
    task->context = context;
    pthread_mutex_unlock(&server->lock);
    task->threaded = pthread_create(&task->thread, NULL, work, server) == 0;
    if (task->threaded) return;
    file_drop(task);
    resume(context);
}

struct admin_answer admin_task_answer(struct admin_server *server) {
    const struct admin_task *task = &server->task;
    struct admin_refusal refusal;
    if (!task->threaded) return admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "not done: no thread can be had for it");
    if (!admin_refusal_read(&refusal, task->said, "no memory"))
        return refusal.name[0] == '\0' ? admin_answer_error(MHD_HTTP_BAD_GATEWAY, refusal.text)
                                       : admin_answer_json(MHD_HTTP_UNPROCESSABLE_CONTENT,
                                                           json_pack("{s:s,s:s}", "error", refusal.text, "name", refusal.name));
    return admin_answer_json(MHD_HTTP_OK, task->of_bytes > 0 ? admin_upgrade_taken(task->said, task->told)
                                                             : json_pack("{s:s,s:b}", "done", task->question, "audited", (int)task->told));
}

void admin_task_end(struct admin_server *server) {
    struct admin_task *task = &server->task;
    if (task->threaded) (void)pthread_join(task->thread, NULL);
    file_drop(task);
    pthread_mutex_lock(&server->lock);
    char detail[96];
    (void)snprintf(detail, sizeof detail, "broken off after %" PRIu64 " of %" PRIu64 " bytes", task->bytes, task->of_bytes);
    if (task->begun && task->state != ADMIN_TASK_ANSWERED) /* nothing was done: no harm if it cannot be told */
        (void)!admin_audit_add(&server->audit, task->who, task->action, "failed", detail);
    free(task->said);
    *task = (struct admin_task){.state = ADMIN_TASK_NONE, .fd = -1};
    pthread_mutex_unlock(&server->lock);
}

void admin_task_quiet(struct admin_server *server) {
    uint64_t end_ms = 0;
    for (;;) {
        pthread_mutex_lock(&server->lock);
        enum admin_task_state state = server->task.state;
        pthread_mutex_unlock(&server->lock);
        if (state == ADMIN_TASK_NONE || state == ADMIN_TASK_RECEIVING) return;
        if (state == ADMIN_TASK_ANSWERED && end_ms == 0) end_ms = ring_clock_ms() + QUIET_MS;
        if (end_ms != 0 && ring_clock_ms() >= end_ms) return;
        pause_ms(20);
    }
}
