#include "init/control.h"
#include "init/config.h"
#include "init/confine.h"
#include "init/disk.h"
#include "init/job.h"
#include "init/log.h"
#include "init/machine.h"
#include "init/net.h"
#include "init/program.h"
#include "init/say.h"
#include "init/slots.h"
#include "init/text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/klog.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH "/run/init/control.sock"
#define SETUP "/bin/heraclius-setup"

/* Whose requests are heard, and when each may have the next job: what a program is run for while everything else waits. */
enum { INIT = 1, ADMIN = 2, CONSOLE = 4, TRIAL = 8, OPERATOR = INIT | CONSOLE, JOB = 16 };
static struct user {
    uid_t user;
    unsigned bit;
    const char *name;
    uint64_t job_ms;
} users[] = {{0, INIT, "init", 0}, {101, ADMIN, "admin", 0}, {102, CONSOLE, "console", 0}, {107, TRIAL, "trial", 0}};

static struct {
    int listener;
    struct connection {
        int fd;
        uint64_t heard_ms; /* UINT64_MAX: its request is being done, in which a job is waited for, and others are served meanwhile */
        struct user *user;
    } connections[CONTROL_CONNECTIONS_MAX];
    char answer[CONTROL_ANSWER_BYTES];
    size_t answer_bytes;
    uint64_t booted_ms;
} self = {.listener = -1};

void control_start(void) {
    for (unsigned i = 0; i < CONTROL_CONNECTIONS_MAX; i++) self.connections[i].fd = -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = PATH};
    (void)mkdir("/run/init", 0755);
    (void)unlink(PATH);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool good = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && chown(PATH, 0, CONFINE_ASKERS) == 0;
    if (good && chmod(PATH, 0660) == 0 && listen(fd, 8) == 0) self.listener = fd;
    else say("control: %s: %s", PATH, strerror(errno));
}

static void answer(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void answer(const char *format, ...) {
    size_t room = sizeof self.answer - self.answer_bytes;
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(self.answer + self.answer_bytes, room, format, arguments);
    va_end(arguments);
    if (count > 0 && (size_t)count < room) self.answer_bytes += (size_t)count;
}

static void status(uint64_t now_ms) {
    char text[96];
    struct statvfs data;
    const struct plan *plan = config_plan();
    answer("ok\nuptime_ms=%llu\nboot_ms=%llu\nstage=%s\n", (unsigned long long)now_ms, (unsigned long long)self.booted_ms, stage_names[stage_now()]);
    for (enum stage s = 0; s < STAGES; s++) {
        answer("stage.%s=%s%s%s\n", stage_names[s], stage_state_names[stage_state(s)], stage_text(s)[0] ? " " : "", stage_text(s));
    }
    answer("watchdog=%s\nclock=%s\n", stage_text(STAGE_WATCHDOG), stage_text(STAGE_CLOCK));
    answer("disk=%s\ndisk_bytes=%llu\n", disk_name(), (unsigned long long)disk_bytes());
    if (disk_name()[0] && statvfs("/data", &data) == 0) answer("disk_free=%llu\n", (unsigned long long)data.f_bfree * data.f_frsize);
    if (text_read("/etc/heraclius/version", text, sizeof text) > 0) answer("image_version=%s\n", text);
    if (plan) answer("config_number=%llu\n", (unsigned long long)plan->number);
    answer("config_text=%s\n", stage_text(STAGE_CONFIG));
    if (config_refused()[0]) answer("config_refused=%s\n", config_refused());
    answer("%s%s", net_lines(), slots_text());
    for (int p = 0; p < PROGRAMS; p++) {
        const struct program_now *now = program_now((enum program)p);
        answer("program.%s=%s pid=%d restarts=%u %s\n", program_name((enum program)p), service_state_names[now->service.state], now->pid,
               now->service.restarts, now->last);
    }
}

/* How many of the newest bytes go behind "ok". */
static bool answer_ok(const char *number, size_t *bytes) {
    uint64_t asked = CONTROL_ANSWER_BYTES;
    bool good = !number || text_number(number, CONTROL_ANSWER_BYTES, &asked);
    answer(good ? "ok\n" : "error not a number of bytes: %s\n", number);
    size_t room = sizeof self.answer - self.answer_bytes;
    *bytes = asked < room ? asked : room;
    return good;
}

static void log_of(char **words) {
    int program = program_of(words[1]);
    const struct log *log = program >= 0 ? &program_now((enum program)program)->log : strcmp(words[1], "init") == 0 ? say_log() : NULL;
    bool before = words[2] && strcmp(words[2], "before") == 0, crash = strcmp(words[1], "crash") == 0;
    size_t bytes;
    if (!log && !crash) answer("error no program %s\n", words[1]);
    else if (!before && words[3]) answer("error not understood: log\n");
    else if (answer_ok(words[2 + before], &bytes)) {
        char *out = self.answer + self.answer_bytes;
        self.answer_bytes += before || crash ? log_tail(words[1], before ? ".before" : "", out, bytes) : log_newest(log, out, bytes);
    }
}

static void kernel_log(const char *number) {
    enum { READ_ALL = 3 };
    size_t bytes;
    int count = answer_ok(number, &bytes) ? klogctl(READ_ALL, self.answer + self.answer_bytes, (int)bytes) : 0;
    if (count > 0) self.answer_bytes += (size_t)count;
}

static enum control_wish config(const struct user *user, int fd) {
    char reason[CONFIG_REASON_BYTES] = "config comes with the descriptor of a regular file";
    struct stat about;
    bool good = fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && config_offer(fd, user->name, reason);
    if (good) answer("ok\nconfig_number=%llu\nconfig_text=%s\n", (unsigned long long)config_plan()->number, stage_text(STAGE_CONFIG));
    else answer("error %s\n", reason);
    return good ? CONTROL_BEGIN : CONTROL_NOTHING;
}

/* heraclius-setup with the node's rights; its answer. */
static bool setup(const char *const *words) {
    static char text[JOB_ANSWER_BYTES];
    bool good = job_run("setup-node", words, -1, text);
    answer(good ? "ok\n%s" : "error %s\n", text);
    return good;
}

static void card_request(const char *name) {
    const char *const plain[] = {SETUP, "keys", NULL}, *const named[] = {SETUP, "--name", name, "keys", NULL};
    enum stage first = stage_state(STAGE_ENTROPY) != STAGE_GOOD ? STAGE_ENTROPY : STAGE_DISK;
    if (stage_state(first) != STAGE_GOOD) answer("error no keys are made now: %s: %s\n", stage_names[first], stage_text(first));
    else (void)setup(name ? named : plain);
}

/* Another image is started at once, but after an upgrade; one that is blessed is on trial no more. */
static enum control_wish slots(const char *word, int upload, uint64_t now_ms) {
    static char text[JOB_ANSWER_BYTES];
    bool good = slots_do(word, upload, text), bless = strcmp(word, "bless") == 0;
    answer(good ? "ok\n%s" : "error %s\n", text);
    say("slots: %s: %s", word, good ? "done" : text);
    if (good && bless) program_event(PROGRAM_TRIAL, SERVICE_STOP, now_ms);
    return good && !bless && strcmp(word, "upgrade") != 0 ? CONTROL_REBOOT : CONTROL_NOTHING;
}

/* ---- who may ask for what (spec/appliance.md A-40) ---- */

#define ONE_FAULT_LESS "until this node votes again, its cluster can bear one fault less"
#define ONE_FAULT_FOR_GOOD "its cluster can bear one fault less until a CONFIG gives its place to a new node"

enum word { STATUS, LOG, KMSG, CONFIG, UPGRADE, REQUEST, RESTART, REBOOT, HALT, OWNER, RETIRE, BLESS, FAIL, ROLLBACK, ADOPT, WORDS };

static const struct {
    const char *name;
    unsigned users; /* and JOB */
    size_t least, most; /* words behind it, without "sure" */
    const char *cost;   /* NULL: it is done without "sure" */
} all_words[WORDS] = {
    [STATUS] = {"status", OPERATOR | ADMIN | TRIAL, 0, 0, NULL},
    [LOG] = {"log", OPERATOR | ADMIN, 1, 3, NULL},
    [KMSG] = {"kmsg", OPERATOR | ADMIN, 0, 1, NULL},
    [CONFIG] = {"config", OPERATOR | JOB, 0, 0, NULL},
    [UPGRADE] = {"upgrade", OPERATOR | ADMIN | JOB, 0, 0, NULL},
    [REQUEST] = {"request", OPERATOR | JOB, 0, 1, NULL},
    [RESTART] = {"restart", OPERATOR | ADMIN, 1, 1, "the program is away for a moment; if it is the node: " ONE_FAULT_LESS},
    [REBOOT] = {"reboot", OPERATOR | ADMIN, 0, 0, ONE_FAULT_LESS},
    [HALT] = {"halt", OPERATOR | ADMIN, 0, 0, ONE_FAULT_LESS ", and somebody has to switch this machine on"},
    [OWNER] = {"owner", OPERATOR | JOB, 1, 1,
               "from then on only this key's holder configures this node; it does not change while the node has its keys"},
    [RETIRE] = {"retire", OPERATOR | JOB, 0, 0, "this node's key never signs again: " ONE_FAULT_FOR_GOOD},
    [BLESS] = {"bless", OPERATOR | TRIAL | JOB, 0, 0,
               "the image that runs is kept though its node has not voted: only another roll back would leave it"},
    [FAIL] = {"fail", OPERATOR | TRIAL | JOB, 0, 0, "the image that runs is given up, and the other one started: " ONE_FAULT_LESS},
    [ROLLBACK] = {"rollback", OPERATOR | ADMIN | JOB, 0, 0, "the other image is started, on trial: " ONE_FAULT_LESS},
    [ADOPT] = {"adopt", OPERATOR | JOB, 0, 0,
               "if the machine that this disk is from still runs its node anywhere, two sign with one key: that is a fault of a member, for good"},
};

/* The node is stopped whatever becomes of its files, so that it signs no more, and begun anew, to be seen as retired, by those that say so. */
static void give_up(uint64_t now_ms) {
    const char *const retire[] = {SETUP, "retire", NULL};
    program_event(PROGRAM_NODE, SERVICE_STOP, now_ms);
    confine_end("node"); /* now: it might keep its own user's set-up from marking its key */
    bool marked = setup(retire), good = marked && (!config_plan() || config_files());
    if (marked) self.answer_bytes = 0;
    if (!marked) answer("the node is stopped, its key not given up: it signs again once a restart of the machine, or a configuration, begins it\n");
    else if (good) answer("ok\n");
    else answer("error the key is given up and the node stopped; it is begun anew, seen to be retired, after this: %s\n", stage_text(STAGE_CONFIG));
}

/* It is allowed, and whole. */
static enum control_wish carry_out(enum word word, char **words, int fd, const struct user *user, uint64_t now_ms) {
    const char *of = words[1];
    const char *const owner[] = {SETUP, "owner", of, NULL}, *fault = NULL;
    int program = word == RESTART ? program_of(of) : -1;
    enum service_state state;
    switch (word) {
    case STATUS: status(now_ms); return CONTROL_NOTHING;
    case LOG: log_of(words); return CONTROL_NOTHING;
    case KMSG: kernel_log(of); return CONTROL_NOTHING;
    case REQUEST: card_request(of); return CONTROL_NOTHING;
    case CONFIG: return config(user, fd);
    case UPGRADE: return slots("upgrade", fd, now_ms);
    case BLESS:
    case FAIL:
    case ROLLBACK: return slots(all_words[word].name, -1, now_ms);
    case OWNER: (void)setup(owner); return CONTROL_NOTHING;
    case RETIRE: give_up(now_ms); return CONTROL_NOTHING;
    case RESTART:
        state = program < 0 ? SERVICE_DOWN : program_now((enum program)program)->service.state;
        if (program < 0) fault = "there is no such program";
        else if (program == PROGRAM_TRIAL || state == SERVICE_DOWN || state == SERVICE_STOPPING) fault = "it is not to run now: status says why";
        else program_again((enum program)program, now_ms);
        break;
    default: fault = word == ADOPT ? disk_adopt() : NULL;
    }
    answer(fault ? "error %s\n" : "ok\n", fault);
    return fault || word == RESTART ? CONTROL_NOTHING : word == HALT ? CONTROL_HALT : CONTROL_REBOOT;
}

/* Somebody who is refused may be in strange hands: it is said, but does not fill the log. */
static void refuse(enum word word, struct user *user, uint64_t now_ms) {
    answer("error %s may not ask for %s\n", user->name, all_words[word].name);
    if (now_ms < user->job_ms) return;
    user->job_ms = now_ms + CONTROL_JOB_MS;
    say("control: %s asked for %s, which it may not", user->name, all_words[word].name);
}

static enum control_wish request(char *line, int fd, struct user *user, uint64_t now_ms) {
    char *words[5] = {NULL}; /* the last one stays NULL */
    enum word word = 0;
    self.answer_bytes = 0;
    text_clean(line);
    size_t count = text_words(line, words, 4);
    while (word < WORDS && (count == 0 || strcmp(words[0], all_words[word].name) != 0)) word++;
    const char *cost = word < WORDS ? all_words[word].cost : NULL;
    size_t most = word < WORDS ? all_words[word].most + (cost != NULL) : 0;
    bool sure = cost && count == most + 1 && strcmp(words[most], "sure") == 0;
    if (word < WORDS && !(all_words[word].users & user->bit)) refuse(word, user, now_ms);
    else if (word == WORDS || count <= all_words[word].least || count > most + 1) answer("error not understood: %s\n", count ? words[0] : "");
    else if (cost && !sure) answer("error %s; to do it: %s%s%s sure\n", cost, words[0], most > 1 ? " " : "", most > 1 ? words[1] : "");
    else if ((all_words[word].users & JOB) && job_now()) answer("error busy: %s is at work: ask again soon\n", job_now());
    else if ((all_words[word].users & JOB) && now_ms < user->job_ms) {
        answer("error busy: ask again in %llu ms\n", (unsigned long long)(user->job_ms - now_ms));
    } else {
        enum control_wish wish = carry_out(word, words, fd, user, now_ms);
        if (all_words[word].users & JOB) user->job_ms = machine_now_ms() + CONTROL_JOB_MS;
        return wish;
    }
    return CONTROL_NOTHING;
}

static void drop(unsigned i) {
    (void)close(self.connections[i].fd);
    self.connections[i].fd = -1;
}

static struct user *user_of(int fd) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return NULL;
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        if (users[i].user == peer.uid) return &users[i];
    }
    return NULL;
}

static void take(uint64_t now_ms) {
    int fd = accept4(self.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    unsigned place = CONTROL_CONNECTIONS_MAX, oldest = 0, own = 0;
    struct user *user = user_of(fd);
    for (unsigned i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
        if (self.connections[i].fd < 0) place = i;
        else own += self.connections[i].user == user;
        if (self.connections[i].heard_ms < self.connections[oldest].heard_ms) oldest = i;
    }
    if (user && own < CONTROL_PEER_MAX && place == CONTROL_CONNECTIONS_MAX && now_ms - self.connections[oldest].heard_ms >= CONTROL_SILENT_MS) {
        drop(oldest);
        place = oldest;
    }
    if (!user || own >= CONTROL_PEER_MAX || place == CONTROL_CONNECTIONS_MAX) {
        (void)close(fd);
        return;
    }
    self.connections[place] = (struct connection){fd, now_ms, user};
}

/* A packet, and the descriptor that came with it (-1: none); the kernel keeps those that there is no room for. Bytes, 0: closed, -1: errno. */
static ssize_t receive(int from, char line[CONTROL_REQUEST_BYTES], int *fd) {
    union {
        struct cmsghdr head;
        char bytes[CMSG_LEN(sizeof(int))];
    } control;
    struct iovec part = {line, CONTROL_REQUEST_BYTES - 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t count = recvmsg(from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *at = count < 0 ? NULL : CMSG_FIRSTHDR(&message);
    *fd = -1;
    if (at && at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS) memcpy(fd, CMSG_DATA(at), sizeof *fd);
    return count;
}

void control_polls(struct pollfd polls[CONTROL_POLLS]) {
    if (!self.booted_ms && !job_now()) self.booted_ms = machine_now_ms();
    polls[0] = (struct pollfd){.fd = self.listener, .events = POLLIN};
    for (unsigned i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
        polls[1 + i] = (struct pollfd){.fd = self.connections[i].heard_ms == UINT64_MAX ? -1 : self.connections[i].fd, .events = POLLIN};
    }
}

static enum control_wish serve(unsigned i, uint64_t now_ms) {
    char line[CONTROL_REQUEST_BYTES];
    int fd;
    ssize_t count = receive(self.connections[i].fd, line, &fd);
    if (count <= 0) {
        if (count == 0 || errno != EAGAIN) drop(i);
        if (fd >= 0) (void)close(fd);
        return CONTROL_NOTHING;
    }
    if (line[count - 1] == '\n') count--;
    line[count] = '\0';
    self.connections[i].heard_ms = UINT64_MAX;
    enum control_wish wish = request(line, fd, self.connections[i].user, now_ms);
    self.connections[i].heard_ms = now_ms;
    if (fd >= 0) (void)close(fd);
    if (send(self.connections[i].fd, self.answer, self.answer_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) drop(i);
    self.answer_bytes = 0; /* of whoever waits for a job meanwhile */
    return wish;
}

enum control_wish control_ready(const struct pollfd polls[CONTROL_POLLS], uint64_t now_ms) {
    enum control_wish wish = CONTROL_NOTHING;
    for (unsigned i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
        if (!polls[1 + i].revents || self.connections[i].fd != polls[1 + i].fd) continue;
        enum control_wish asked = serve(i, now_ms);
        if (asked > wish) wish = asked;
    }
    if (polls[0].revents) take(now_ms);
    return wish;
}
