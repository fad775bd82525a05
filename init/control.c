#include "init/control.h"
#include "init/config.h"
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
#define TRIAL 107 /* its user, who asks for two words only */

/* Whose requests are heard, and when each may have the next job. */
static struct user {
    uid_t user;
    uint64_t job_ms;
} users[] = {{0, 0}, {101, 0}, {102, 0}, {TRIAL, 0}};

static struct {
    int listener;
    struct {
        int fd;
        uint64_t heard_ms;
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
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || chmod(PATH, 0666) < 0 || listen(fd, 8) < 0) {
        say("control: %s: %s", PATH, strerror(errno));
        return;
    }
    self.listener = fd;
}

void control_booted(uint64_t now_ms) {
    self.booted_ms = now_ms;
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
    static const char *const states[] = {"waiting", "running", "good", "cannot"};
    char text[96];
    struct statvfs data;
    const struct plan *plan = config_plan();
    answer("ok\nuptime_ms=%llu\nboot_ms=%llu\nstage=%s\n", (unsigned long long)now_ms, (unsigned long long)self.booted_ms, stage_name(stage_now()));
    for (enum stage s = 0; s < STAGES; s++) {
        answer("stage.%s=%s%s%s\n", stage_name(s), states[stage_state(s)], stage_text(s)[0] ? " " : "", stage_text(s));
    }
    answer("watchdog=%s\nclock=%s\n", stage_text(STAGE_WATCHDOG), stage_text(STAGE_CLOCK));
    answer("disk=%s\ndisk_bytes=%llu\n", disk_name(), (unsigned long long)disk_bytes());
    if (disk_name()[0] && statvfs("/data", &data) == 0) answer("disk_free=%llu\n", (unsigned long long)data.f_bavail * data.f_frsize);
    if (text_read("/etc/heraclius/version", text, sizeof text) > 0) answer("image_version=%s\n", text);
    if (plan) answer("config_number=%llu\n", (unsigned long long)plan->number);
    answer("config_text=%s\n", stage_text(STAGE_CONFIG));
    answer("%s%s", net_lines(), slots_text());
    for (int p = 0; p < PROGRAMS; p++) {
        const struct program_now *now = program_now((enum program)p);
        answer("program.%s=%s pid=%d restarts=%u %s\n", program_name((enum program)p), service_state_name(now->service.state), now->pid,
               now->service.restarts, now->last);
    }
}

static void log_of(const char *name, uint64_t bytes) {
    int program = program_of(name);
    if (program < 0 && strcmp(name, "init") != 0) {
        answer("error no program %s\n", name);
        return;
    }
    answer("ok\n");
    size_t room = sizeof self.answer - self.answer_bytes;
    self.answer_bytes += log_newest(program < 0 ? say_log() : &program_now((enum program)program)->log, self.answer + 3, bytes < room ? bytes : room);
}

static void kernel_log(uint64_t bytes) {
    enum { READ_ALL = 3 };
    answer("ok\n");
    size_t room = sizeof self.answer - self.answer_bytes;
    int count = klogctl(READ_ALL, self.answer + 3, (int)(bytes < room ? bytes : room));
    if (count > 0) self.answer_bytes += (size_t)count;
}

/* heraclius-setup runs while everything else waits: not too often for one user. */
static bool job_allowed(struct user *user, uint64_t now_ms) {
    if (now_ms >= user->job_ms) return true;
    answer("error busy: ask again in %llu ms\n", (unsigned long long)(user->job_ms - now_ms));
    return false;
}

static enum control_wish config(struct user *user, int fd, uint64_t now_ms) {
    char reason[CONFIG_REASON_BYTES] = "";
    struct stat about;
    if (fd < 0 || fstat(fd, &about) < 0 || !S_ISREG(about.st_mode)) {
        answer("error config comes with the descriptor of a regular file\n");
        return CONTROL_NOTHING;
    }
    if (!job_allowed(user, now_ms)) return CONTROL_NOTHING;
    bool good = config_offer(fd, user->user == 0 ? "init" : user->user == 101 ? "admin" : "console", reason);
    user->job_ms = machine_now_ms() + CONTROL_JOB_MS;
    if (good) answer("ok\nconfig_number=%llu\nconfig_text=%s\n", (unsigned long long)config_plan()->number, stage_text(STAGE_CONFIG));
    else answer("error %s\n", reason);
    return good ? CONTROL_BEGIN : CONTROL_NOTHING;
}

/* heraclius-setup with the node's rights; its answer. */
static bool setup(struct user *user, const char *const *words, uint64_t now_ms) {
    static char text[JOB_ANSWER_BYTES];
    if (!job_allowed(user, now_ms)) return false;
    bool good = job_run("setup-node", words, -1, -1, text);
    user->job_ms = machine_now_ms() + CONTROL_JOB_MS;
    answer(good ? "ok\n%s" : "error %s\n", text);
    return good;
}

static void card_request(struct user *user, const char *name, uint64_t now_ms) {
    const char *const plain[] = {SETUP, "keys", NULL}, *const named[] = {SETUP, "--name", name, "keys", NULL};
    if (stage_state(STAGE_ENTROPY) != STAGE_GOOD || stage_state(STAGE_DISK) != STAGE_GOOD) {
        enum stage lacking = stage_state(STAGE_ENTROPY) != STAGE_GOOD ? STAGE_ENTROPY : STAGE_DISK;
        answer("error no keys are made now: %s: %s\n", stage_name(lacking), stage_text(lacking));
        return;
    }
    (void)setup(user, name ? named : plain, now_ms);
}

/* Another image is started at once, but after an upgrade; one that is blessed is on trial no more. */
static enum control_wish slots(const char *word, int upload, struct user *user, uint64_t now_ms) {
    static char text[JOB_ANSWER_BYTES];
    if (!job_allowed(user, now_ms)) return CONTROL_NOTHING;
    bool good = slots_do(word, upload, text), bless = strcmp(word, "bless") == 0;
    user->job_ms = machine_now_ms() + CONTROL_JOB_MS;
    answer(good ? "ok\n%s" : "error %s\n", text);
    say("slots: %s: %s", word, good ? "done" : text);
    if (good && bless) program_event(PROGRAM_TRIAL, SERVICE_STOP, now_ms);
    return good && !bless && strcmp(word, "upgrade") != 0 ? CONTROL_REBOOT : CONTROL_NOTHING;
}

/* Is it this word, with so many after it? */
static bool is(char **words, size_t count, const char *word, size_t least, size_t most) {
    return count > least && count <= most + 1 && strcmp(words[0], word) == 0;
}

/* ---- what may hurt ---- */

#define ONE_FAULT_LESS "until this node votes again, its cluster can bear one fault less"

static const struct action {
    const char *name;
    size_t words; /* behind it, without "sure" */
    const char *cost;
} actions[] = {
    {"restart", 1, "the program is away for a moment; if it is the node: " ONE_FAULT_LESS},
    {"reboot", 0, ONE_FAULT_LESS},
    {"halt", 0, ONE_FAULT_LESS ", and somebody has to switch this machine on"},
    {"owner", 1, "from then on only the holder of this key configures this node; it does not change while the node has its keys"},
    {"retire", 0, "this node's key never signs again, and its cluster can bear one fault less until a CONFIG gives its place to a new node"},
    {"bless", 0, "the image that runs is kept though its node has not voted: only another roll back would leave it"},
    {"fail", 0, "the image that runs is given up, and the other one started: " ONE_FAULT_LESS},
    {"rollback", 0, "the other image is started, on trial: " ONE_FAULT_LESS},
    {"adopt", 0, "if the machine that this disk is from still runs its node anywhere, two sign with one key: that is a fault of a member, for good"},
};

static enum control_wish act(const char *name, const char *word, struct user *user, uint64_t now_ms) {
    const char *const owner[] = {SETUP, "owner", word, NULL}, *const retire[] = {SETUP, "retire", NULL};
    const char *fault = NULL;
    int program = word ? program_of(word) : -1;
    if (strcmp(name, "owner") == 0) {
        (void)setup(user, owner, now_ms);
        return CONTROL_NOTHING;
    }
    if (strcmp(name, "retire") == 0) {
        if (!setup(user, retire, now_ms)) return CONTROL_NOTHING;
        config_files();
        program_again(PROGRAM_NODE, now_ms);
        return CONTROL_NOTHING;
    }
    if (strcmp(name, "bless") == 0 || strcmp(name, "fail") == 0 || strcmp(name, "rollback") == 0) return slots(name, -1, user, now_ms);
    if (strcmp(name, "restart") == 0) {
        if (program < 0) fault = "there is no such program";
        else program_again((enum program)program, now_ms);
    }
    if (strcmp(name, "adopt") == 0) fault = disk_adopt();
    answer(fault ? "error %s\n" : "ok\n", fault);
    if (fault || strcmp(name, "restart") == 0) return CONTROL_NOTHING;
    return strcmp(name, "halt") == 0 ? CONTROL_HALT : CONTROL_REBOOT;
}

/* True: it was one of the actions. */
static bool action(char **words, size_t count, struct user *user, uint64_t now_ms, enum control_wish *wish) {
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        const struct action *a = &actions[i];
        if (!is(words, count, a->name, a->words, a->words + 1)) continue;
        bool sure = count == a->words + 2 && strcmp(words[a->words + 1], "sure") == 0;
        const char *word = a->words ? words[1] : NULL;
        if (sure) *wish = act(a->name, word, user, now_ms);
        else answer("error %s; to do it: %s%s%s sure\n", a->cost, a->name, word ? " " : "", word ? word : "");
        return true;
    }
    return false;
}

static enum control_wish request(char *line, int fd, struct user *user, uint64_t now_ms) {
    char *words[4];
    uint64_t bytes = CONTROL_ANSWER_BYTES;
    enum control_wish wish = CONTROL_NOTHING;
    self.answer_bytes = 0;
    text_clean(line);
    size_t count = text_words(line, words, 4);
    bool is_log = is(words, count, "log", 1, 2), is_kmsg = is(words, count, "kmsg", 0, 1);
    const char *number = is_log && count == 3 ? words[2] : is_kmsg && count == 2 ? words[1] : "65536";
    bool trial = user->user != TRIAL || is(words, count, "bless", 1, 1) || is(words, count, "fail", 1, 1);
    if (trial && action(words, count, user, now_ms, &wish)) return wish;
    if (trial && is(words, count, "upgrade", 0, 0)) return slots("upgrade", fd, user, now_ms);
    if (is(words, count, "config", 0, 0)) return config(user, fd, now_ms);
    if (is(words, count, "status", 0, 0)) status(now_ms);
    else if (is(words, count, "request", 0, 1)) card_request(user, count == 2 ? words[1] : NULL, now_ms);
    else if ((is_log || is_kmsg) && !text_number(number, CONTROL_ANSWER_BYTES, &bytes)) answer("error not a number of bytes: %s\n", number);
    else if (is_log) log_of(words[1], bytes);
    else if (is_kmsg) kernel_log(bytes);
    else answer("error not understood: %s\n", count ? words[0] : "");
    return wish;
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
    self.connections[place].fd = fd;
    self.connections[place].heard_ms = now_ms;
    self.connections[place].user = user;
}

/* A packet and the first descriptor that came with it (-1: none); others are closed. Bytes of the packet, 0: closed, -1: errno. */
static ssize_t receive(int from, char line[CONTROL_REQUEST_BYTES], int *fd) {
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec part = {line, CONTROL_REQUEST_BYTES - 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t count = recvmsg(from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    *fd = -1;
    for (struct cmsghdr *at = count < 0 ? NULL : CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
        for (size_t i = 0; (i + 1) * sizeof(int) <= at->cmsg_len - CMSG_LEN(0); i++) {
            int one;
            memcpy(&one, CMSG_DATA(at) + i * sizeof one, sizeof one);
            if (*fd < 0) *fd = one;
            else (void)close(one);
        }
    }
    return count;
}

void control_polls(struct pollfd polls[CONTROL_POLLS]) {
    polls[0] = (struct pollfd){.fd = self.listener, .events = POLLIN};
    for (unsigned i = 0; i < CONTROL_CONNECTIONS_MAX; i++) polls[1 + i] = (struct pollfd){.fd = self.connections[i].fd, .events = POLLIN};
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
    self.connections[i].heard_ms = now_ms;
    enum control_wish wish = request(line, fd, self.connections[i].user, now_ms);
    if (fd >= 0) (void)close(fd);
    if (send(self.connections[i].fd, self.answer, self.answer_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) drop(i);
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
