/*
 * init's control socket: which word is whose (spec/appliance.md A-40), and that nothing is done for anybody else.
 *
 * The socket's calls and all that a word would do are below: who asks is what the test says, and what would have been done is written down.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/config.h"
#include "init/confine.h"
#include "init/control.h"
#include "init/disk.h"
#include "init/job.h"
#include "init/log.h"
#include "init/machine.h"
#include "init/net.h"
#include "init/program.h"
#include "init/say.h"
#include "init/slots.h"
#include "init/text.h"
#include "tests/init/files.h"

static struct {
    uid_t peer;
    int accepted;
    uint64_t now_ms;
    char done[256];
    struct program_now program;
    bool files_fail;
    const char *job_fault;
    const char *job; /* that is waited for */
    void (*during)(void);
} world = {.program.service.state = SERVICE_UP};

static void done(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void done(const char *format, ...) {
    size_t used = strlen(world.done);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(world.done + used, sizeof world.done - used, format, arguments);
    va_end(arguments);
}

/* ---- the socket's calls ---- */

int bind(int fd, const struct sockaddr *address, socklen_t size) {
    (void)fd, (void)address, (void)size;
    return 0;
}
int listen(int fd, int most) {
    (void)fd, (void)most;
    return 0;
}
int chmod(const char *path, mode_t mode) {
    (void)path;
    assert_int_equal(mode, 0660);
    return 0;
}
int chown(const char *path, uid_t user, gid_t group) {
    (void)path;
    assert_true(user == 0 && group == CONFINE_ASKERS);
    return 0;
}
int unlink(const char *path) {
    (void)path;
    return 0;
}
int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags) {
    (void)fd, (void)address, (void)size, (void)flags;
    return world.accepted;
}
int getsockopt(int fd, int level, int name, void *out, socklen_t *size) {
    assert_true(fd == world.accepted && level == SOL_SOCKET && name == SO_PEERCRED && *size == sizeof(struct ucred));
    *(struct ucred *)out = (struct ucred){.pid = 1, .uid = world.peer, .gid = world.peer};
    return 0;
}

/* ---- what is done ---- */

bool job_run(const char *name, const char *const *words, int input, char answer[JOB_ANSWER_BYTES]) {
    (void)input;
    done("%s", name);
    for (size_t i = 1; words[i]; i++) done(" %s", words[i]);
    if (world.during) world.during();
    (void)snprintf(answer, JOB_ANSWER_BYTES, "%s", world.job_fault ? world.job_fault : "");
    return !world.job_fault;
}
const char *job_now(void) {
    return world.job;
}
bool slots_do(const char *word, int upload, char answer[JOB_ANSWER_BYTES]) {
    done("slots %s%s", word, upload >= 0 ? " with a file" : "");
    answer[0] = '\0';
    return true;
}
const char *slots_text(void) {
    return "slot=1\n";
}
bool config_offer(int fd, const char *whence, char reason[CONFIG_REASON_BYTES]) {
    (void)fd, (void)reason;
    done("config by %s", whence);
    return true;
}
const struct plan *config_plan(void) {
    static const struct plan plan = {.number = 7};
    return &plan;
}
const char *config_refused(void) {
    return "";
}
bool config_files(void) {
    done(", files");
    return !world.files_fail;
}
const char *disk_adopt(void) {
    done("adopt");
    return NULL;
}
const char *disk_name(void) {
    return "vdb";
}
uint64_t disk_bytes(void) {
    return 1;
}
const char *net_lines(void) {
    return "";
}
const char *program_name(enum program program) {
    return program == PROGRAM_NODE ? "node" : "other";
}
int program_of(const char *name) {
    return strcmp(name, "node") == 0 ? PROGRAM_NODE : -1;
}
struct program_now *program_now(enum program program) {
    (void)program;
    return &world.program;
}
void program_event(enum program program, enum service_event event, uint64_t now_ms) {
    (void)now_ms;
    if (program == PROGRAM_TRIAL && event == SERVICE_STOP) done(", trial over");
    if (program == PROGRAM_NODE && event == SERVICE_STOP) done("node stop, ");
}
void confine_end(const char *name) {
    done("all of %s killed, ", name);
}
void program_again(enum program program, uint64_t now_ms) {
    (void)program, (void)now_ms;
    done("%snode again", world.done[0] ? ", " : "");
}
uint64_t machine_now_ms(void) {
    return world.now_ms;
}

/* ---- asking ---- */

/* init looks at one descriptor. */
static enum control_wish look(int fd, bool listener) {
    struct pollfd polls[CONTROL_POLLS];
    control_polls(polls);
    for (unsigned i = 0; i < CONTROL_POLLS; i++) polls[i].revents = (i == 0 ? listener : polls[i].fd == fd && !listener) ? POLLIN : 0;
    return control_ready(polls, world.now_ms);
}

static void request_send(int to, const char *line, int file) {
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof file)];
    } control = {.bytes = {0}};
    struct iovec part = {(void *)(uintptr_t)line, strlen(line)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof file), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &file, sizeof file);
    (void)sendmsg(to, &message, MSG_NOSIGNAL);
}

/* The same, with more descriptors than anybody has a use for. */
static void request_send_many(int to, const char *line, const int files[8]) {
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(8 * sizeof *files)];
    } control = {.bytes = {0}};
    struct iovec part = {(void *)(uintptr_t)line, strlen(line)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(8 * sizeof *files), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), files, 8 * sizeof *files);
    assert_true(sendmsg(to, &message, MSG_NOSIGNAL) > 0);
}

/* A line by that user, with a descriptor of a file beside it; "": init closed the connection. */
static const char *ask_at(uid_t user, const char *line, enum control_wish *wish) {
    static char answer[CONTROL_ANSWER_BYTES + 1];
    int ends[2], file = open(files_text("candidate", "text"), O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    world.peer = user;
    world.accepted = ends[0];
    world.done[0] = '\0';
    assert_int_equal(look(ends[0], true), CONTROL_NOTHING);
    request_send(ends[1], line, file);
    *wish = look(ends[0], false);
    ssize_t count = recv(ends[1], answer, sizeof answer - 1, MSG_DONTWAIT);
    answer[count > 0 ? count : 0] = '\0';
    (void)close(ends[1]);
    (void)close(file);
    (void)look(ends[0], false); /* it sees the end, and closes its own */
    return answer;
}

/* Long after the one before. */
static const char *ask(uid_t user, const char *line, enum control_wish *wish) {
    world.now_ms += 10 * CONTROL_JOB_MS;
    return ask_at(user, line, wish);
}

static int start(void **unused) {
    (void)unused;
    control_start();
    stage_set(STAGE_ENTROPY, STAGE_GOOD, "%s", "");
    stage_set(STAGE_DISK, STAGE_GOOD, "%s", "");
    return 0;
}

/* ---- the table ---- */

static const struct asker {
    uid_t user;
    const char *name; /* NULL: not heard at all */
} askers[] = {{0, "init"},  {101, "admin"}, {102, "console"}, {107, "trial"}, {100, NULL},
             {103, NULL}, {104, NULL},    {105, NULL},      {106, NULL},    {1000, NULL}};
enum { ASKERS = sizeof askers / sizeof *askers };

/* Of A-40, line by line: root and console may ask for all of it. */
static const struct row {
    const char *line;
    bool admin, trial, hurts;
    const char *done;
    enum control_wish wish;
} rows[] = {
    {"status", true, true, false, "", CONTROL_NOTHING},
    {"log init", true, false, false, "", CONTROL_NOTHING},
    {"log node 100", true, false, false, "", CONTROL_NOTHING},
    {"log crash", true, false, false, "", CONTROL_NOTHING},
    {"log node before", true, false, false, "", CONTROL_NOTHING},
    {"log init before 100", true, false, false, "", CONTROL_NOTHING},
    {"kmsg", true, false, false, "", CONTROL_NOTHING},
    {"kmsg 100", true, false, false, "", CONTROL_NOTHING},
    {"upgrade", true, false, false, "slots upgrade with a file", CONTROL_NOTHING},
    {"restart node", true, false, true, "node again", CONTROL_NOTHING},
    {"reboot", true, false, true, "", CONTROL_REBOOT},
    {"halt", true, false, true, "", CONTROL_HALT},
    {"rollback", true, false, true, "slots rollback", CONTROL_REBOOT},
    {"config", false, false, false, "config by %s", CONTROL_BEGIN},
    {"request", false, false, false, "setup-node keys", CONTROL_NOTHING},
    {"request n1", false, false, false, "setup-node --name n1 keys", CONTROL_NOTHING},
    {"owner abcd", false, false, true, "setup-node owner abcd", CONTROL_NOTHING},
    {"retire", false, false, true, "node stop, all of node killed, setup-node retire, files", CONTROL_NOTHING},
    {"adopt", false, false, true, "adopt", CONTROL_REBOOT},
    {"bless", false, true, true, "slots bless, trial over", CONTROL_NOTHING},
    {"fail", false, true, true, "slots fail", CONTROL_REBOOT},
};
enum { ROWS = sizeof rows / sizeof *rows };

static bool may(const struct row *row, const struct asker *asker) {
    return asker->user == 0 || asker->user == 102 || (asker->user == 101 && row->admin) || (asker->user == 107 && row->trial);
}

static void refused(const struct row *row, const struct asker *asker, const char *line) {
    char wanted[128];
    enum control_wish wish;
    (void)snprintf(wanted, sizeof wanted, "error %s may not ask for %.*s\n", asker->name, (int)strcspn(row->line, " "), row->line);
    const char *answer = ask(asker->user, line, &wish);
    if (strcmp(answer, wanted) != 0 || world.done[0] || wish != CONTROL_NOTHING)
        fail_msg("%s by %s: %s (%s)", line, asker->name, answer, world.done);
}

static void granted(const struct row *row, const struct asker *asker, const char *line) {
    char wanted[128];
    enum control_wish wish;
    const char *cut = strstr(row->done, "%s");
    (void)snprintf(wanted, sizeof wanted, "%.*s%s", (int)(cut ? cut - row->done : (long)strlen(row->done)), row->done, cut ? asker->name : "");
    const char *answer = ask(asker->user, line, &wish);
    if (strncmp(answer, "ok\n", 3) != 0 || strcmp(world.done, wanted) != 0 || wish != row->wish)
        fail_msg("%s by %s: %s (%s, wish %d)", line, asker->name, answer, world.done, (int)wish);
}

static void each_word_is_done_for_those_whose_it_is_alone(void **unused) {
    (void)unused;
    char line[128];
    enum control_wish wish;
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t k = 0; k < ASKERS; k++) {
            (void)snprintf(line, sizeof line, "%s%s", rows[i].line, rows[i].hurts ? " sure" : "");
            if (!askers[k].name) {
                assert_string_equal(ask(askers[k].user, line, &wish), "");
                assert_string_equal(world.done, "");
                assert_int_equal(wish, CONTROL_NOTHING);
            } else if (may(&rows[i], &askers[k])) {
                granted(&rows[i], &askers[k], line);
            } else {
                refused(&rows[i], &askers[k], line);
            }
        }
    }
}

static void what_may_hurt_is_not_done_without_sure(void **unused) {
    (void)unused;
    char wanted[64];
    enum control_wish wish;
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t k = 0; k < ASKERS; k++) {
            if (!rows[i].hurts || !askers[k].name) continue;
            if (!may(&rows[i], &askers[k])) {
                refused(&rows[i], &askers[k], rows[i].line);
                continue;
            }
            const char *answer = ask(askers[k].user, rows[i].line, &wish);
            (void)snprintf(wanted, sizeof wanted, "; to do it: %s sure\n", rows[i].line);
            assert_non_null(strstr(answer, wanted));
            assert_int_equal(strncmp(answer, "error ", 6), 0);
            assert_string_equal(world.done, "");
            assert_int_equal(wish, CONTROL_NOTHING);
        }
    }
}

static void no_way_of_writing_a_word_gets_past_the_table(void **unused) {
    (void)unused;
    static const char *const lines[] = {"retire  sure", " retire sure", "retire sure\n", "retire sure sure sure sure",
                                        "owner a b c d e"};
    enum control_wish wish;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_non_null(strstr(ask(101, lines[i], &wish), "error admin may not ask for "));
        assert_string_equal(world.done, "");
    }
    static const char *const none[] = {"", " ", "retir", "retiree sure", "RETIRE sure", "retire\nsure", "\tretire\tsure", "status now", "log",
                                       "restart", "halt sure sure", "status\nretire sure"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        const char *answer = ask(0, none[i], &wish);
        if (none[i][0] && strncmp(answer, "error not understood: ", 22) != 0) fail_msg("%s: %s", none[i], answer);
        assert_string_equal(world.done, "");
        assert_int_equal(wish, CONTROL_NOTHING);
    }
    /* "sure" alone behind a word that wants another one is that other one */
    assert_non_null(strstr(ask(0, "restart sure", &wish), "to do it: restart sure sure\n"));
    assert_string_equal(ask(0, "restart nobody sure", &wish), "error there is no such program\n");
    assert_string_equal(ask(0, "log node 1x", &wish), "error not a number of bytes: 1x\n");
    assert_string_equal(ask(0, "log node before 1x", &wish), "error not a number of bytes: 1x\n");
    assert_string_equal(ask(0, "log node 100 before", &wish), "error not understood: log\n");
    assert_string_equal(ask(0, "log node before 100 100", &wish), "error not a number of bytes: 100 100\n");
    assert_string_equal(ask(0, "log nobody before", &wish), "error no program nobody\n");
}

static unsigned said_by_init(const char *text) {
    static char log[LOG_BYTES + 1];
    unsigned count = 0;
    log[log_newest(say_log(), log, LOG_BYTES)] = '\0';
    for (const char *at = log; (at = strstr(at, text)); at++) count++;
    return count;
}

static void who_asks_for_what_he_may_not_is_named_but_fills_no_log(void **unused) {
    (void)unused;
    enum control_wish wish;
    static const char line[] = "control: admin asked for adopt, which it may not";
    unsigned before = said_by_init(line);
    (void)ask(101, "adopt sure", &wish);
    for (int i = 0; i < 100; i++) assert_string_equal(ask_at(101, "adopt sure", &wish), "error admin may not ask for adopt\n");
    assert_int_equal(said_by_init(line), before + 1);
    (void)ask(101, "adopt sure", &wish);
    assert_int_equal(said_by_init(line), before + 2);
}

static void one_job_at_a_time_of_each_user(void **unused) {
    (void)unused;
    enum control_wish wish;
    assert_string_equal(ask(102, "retire sure", &wish), "ok\n");
    assert_non_null(strstr(ask_at(102, "fail sure", &wish), "error busy: "));
    assert_string_equal(world.done, "");
    assert_string_equal(ask_at(107, "fail sure", &wish), "ok\n");
    assert_string_equal(world.done, "slots fail");
}

/* Whoever asks while a job is waited for is answered, of what needs no job. */
static void while_a_job_is_waited_for_no_other_is_begun(void **unused) {
    (void)unused;
    enum control_wish wish;
    world.job = "vda";
    static const char *const jobs[] = {"config", "upgrade", "request", "owner ab sure", "retire sure", "bless sure", "fail sure", "rollback sure",
                                       "adopt sure"};
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        assert_string_equal(ask(102, jobs[i], &wish), "error busy: vda is at work: ask again soon\n");
        assert_string_equal(world.done, "");
        assert_int_equal(wish, CONTROL_NOTHING);
    }
    assert_int_equal(strncmp(ask(102, "status", &wish), "ok\n", 3), 0);
    assert_int_equal(strncmp(ask(102, "log init", &wish), "ok\n", 3), 0);
    assert_string_equal(ask(102, "reboot sure", &wish), "ok\n");
    assert_int_equal(wish, CONTROL_REBOOT);
    world.job = NULL;
    assert_string_equal(ask(102, "retire sure", &wish), "ok\n");
}

/* In the middle of a job, another asks: each gets his own answer. */
static char other_answer[64];
static void another_asks(void) {
    enum control_wish wish;
    world.during = NULL;
    world.job = "setup-node";
    (void)snprintf(other_answer, sizeof other_answer, "%.60s", ask_at(101, "retire sure", &wish));
    world.job = NULL;
}
static void who_waits_for_a_job_and_who_asks_meanwhile_get_their_own_answers(void **unused) {
    (void)unused;
    enum control_wish wish;
    world.during = another_asks;
    assert_string_equal(ask(102, "request", &wish), "ok\n");
    assert_string_equal(other_answer, "error admin may not ask for retire\n");
    world.during = another_asks;
    assert_string_equal(ask(102, "retire sure", &wish), "ok\n");
}

/* The key is given up, and the node's files cannot say so: it must not be begun by those of before. */
static void a_node_whose_retirement_cannot_be_told_to_it_stays_down(void **unused) {
    (void)unused;
    enum control_wish wish;
    world.files_fail = true;
    const char *said = ask(102, "retire sure", &wish);
    world.files_fail = false;
    assert_true(strncmp(said, "error the key is given up and the node stopped", 46) == 0);
    assert_string_equal(world.done, "node stop, all of node killed, setup-node retire, files");
}

/* Whoever gives a key up wants no signature more of it, whatever becomes of the mark. */
static void a_key_that_cannot_be_given_up_signs_no_more_until_the_next_start(void **unused) {
    (void)unused;
    enum control_wish wish;
    world.job_fault = "the data disk is read-only";
    const char *said = ask(102, "retire sure", &wish);
    world.job_fault = NULL;
    assert_string_equal(said, "error the data disk is read-only\n"
                              "the node is stopped, its key not given up: it signs again once a restart of the machine, or a configuration, "
                              "begins it\n");
    assert_string_equal(world.done, "node stop, all of node killed, setup-node retire");
}

static void what_is_not_to_run_is_not_begun_by_a_restart(void **unused) {
    (void)unused;
    enum control_wish wish;
    static const enum service_state never[] = {SERVICE_DOWN, SERVICE_STOPPING};
    for (size_t i = 0; i < 2; i++) {
        world.program.service.state = never[i];
        assert_string_equal(ask(102, "restart node sure", &wish), "error it is not to run now: status says why\n");
        assert_string_equal(world.done, "");
    }
    world.program.service.state = SERVICE_UP;
    assert_string_equal(ask(102, "restart node sure", &wish), "ok\n");
}

static bool count_one(void *context, const char *name) {
    (void)name;
    return ++*(unsigned *)context > 0;
}

static unsigned descriptors_open(void) {
    unsigned count = 0;
    assert_int_equal(text_folder("/proc/self/fd", count_one, &count), 0);
    return count;
}

static void of_many_descriptors_none_stays_open(void **unused) {
    (void)unused;
    int ends[2], files[8];
    unsigned before = descriptors_open();
    for (unsigned i = 0; i < 8; i++) files[i] = open(files_text("candidate", "text"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    world.peer = 102;
    world.accepted = ends[0];
    assert_int_equal(look(ends[0], true), CONTROL_NOTHING);
    for (unsigned round = 0; round < 3; round++) {
        world.now_ms += 10 * CONTROL_JOB_MS;
        request_send_many(ends[1], round ? "config" : "status", files);
        (void)look(ends[0], false);
    }
    for (unsigned i = 0; i < 8; i++) (void)close(files[i]);
    (void)close(ends[1]);
    (void)look(ends[0], false);
    assert_int_equal(descriptors_open(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_word_is_done_for_those_whose_it_is_alone),
        cmocka_unit_test(what_may_hurt_is_not_done_without_sure),
        cmocka_unit_test(no_way_of_writing_a_word_gets_past_the_table),
        cmocka_unit_test(who_asks_for_what_he_may_not_is_named_but_fills_no_log),
        cmocka_unit_test(while_a_job_is_waited_for_no_other_is_begun),
        cmocka_unit_test(who_waits_for_a_job_and_who_asks_meanwhile_get_their_own_answers),
        cmocka_unit_test(one_job_at_a_time_of_each_user),
        cmocka_unit_test(of_many_descriptors_none_stays_open),
        cmocka_unit_test(a_node_whose_retirement_cannot_be_told_to_it_stays_down),
        cmocka_unit_test(a_key_that_cannot_be_given_up_signs_no_more_until_the_next_start),
        cmocka_unit_test(what_is_not_to_run_is_not_begun_by_a_restart),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
