/*
 * Programs that stand in for the appliance's own, where init alone is tested in a machine; which one it is, its name says.
 *
 *   heraclius-console   says whether its terminal is at 115200; each line from its terminal goes to init's control socket as a request, the answer
 *                       comes back with "| " before each line; the line "config TEXT" hands TEXT in as a candidate, ";" for an end of line
 *   heraclius-setup     a candidate is the plan itself (init/plan.h): accepted if it begins with "number"; an owner and a retirement are taken, keys
 *                       are a text; by /bin/setup-real, if the image has it, owner and keys are real. A line "files changed" of the plan: so says
 *                       the making of files; "files fail": that fails twice, then no more; "files lost": it fails once the key was given up
 *   heracliusd          tries what it may and what it may not, says what came of it, and stays
 *   heraclius-admin     ends with 2, as with a bad configuration
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static int ask(const char *line, int fd, char *out, size_t size) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/init/control.sock"};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {(void *)(size_t)line, strlen(line)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    }
    int to = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ssize_t count = -1;
    if (to >= 0 && connect(to, (const struct sockaddr *)&address, sizeof address) == 0 && sendmsg(to, &message, MSG_NOSIGNAL) >= 0) {
        count = recv(to, out, size - 1, 0);
    }
    if (count < 0) count = snprintf(out, size, "error %s\n", strerror(errno));
    out[count] = '\0';
    if (to >= 0) (void)close(to);
    return (int)count;
}

static int candidate(char *text) {
    int fd = open("/run/console/candidate", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (char *at = text; *at; at++) {
        if (*at == ';') *at = '\n';
    }
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? fd : -1;
}

static int console(void) {
    static char line[4096], answer[70000];
    struct termios form;
    printf("standin: ready%s\n", tcgetattr(0, &form) == 0 && cfgetospeed(&form) == B115200 ? " at 115200" : "");
    (void)fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!line[0]) continue;
        bool config = strncmp(line, "config ", 7) == 0;
        int fd = config ? candidate(line + 7) : -1;
        (void)ask(config ? "config" : line, fd, answer, sizeof answer);
        if (fd >= 0) (void)close(fd);
        for (char *at = answer, *next; at && *at; at = next) {
            next = strchr(at, '\n');
            if (next) *next++ = '\0';
            printf("| %s\n", at);
        }
        printf("|.\n");
        (void)fflush(stdout);
    }
    return 0;
}

static bool is_there(const char *path) {
    return access(path, F_OK) == 0;
}

/* What /data/public has of the turns before. */
static int files(const char *plan) {
    if (strstr(plan, "\nfiles changed\n")) return puts("changed") == EOF;
    const char *turn = is_there("/data/public/once") ? "/data/public/twice" : "/data/public/once";
    bool fails = strstr(plan, "\nfiles fail\n") && !is_there("/data/public/twice");
    if (fails && open(turn, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0) return 1;
    fails = fails || (strstr(plan, "\nfiles lost\n") && is_there("/data/public/given-up"));
    if (fails) puts("the data cannot be made");
    return fails;
}

static int setup(const char *what, char **words) {
    static char text[65536];
    bool real = strcmp(what, "keys") == 0 || strcmp(what, "owner") == 0;
    if (real && access("/bin/setup-real", X_OK) == 0) return execv("/bin/setup-real", words);
    if (strcmp(what, "keys") == 0) return printf("-----BEGIN CARD REQUEST-----\nc3RhbmRpbg==\n-----END CARD REQUEST-----\n") < 0;
    if (strcmp(what, "owner") == 0) return 0;
    if (strcmp(what, "retire") == 0) return open("/data/public/given-up", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0;
    ssize_t count = read(3, text, sizeof text - 1);
    text[count < 0 ? 0 : count] = '\0';
    if (strncmp(text, "number ", 7) != 0) return puts("the signature is not the owner's") < 0 ? 2 : 1;
    if (strcmp(what, "files") == 0) return files(text);
    for (char *line = text, *next; *line; line = next) {
        next = line + strcspn(line, "\n");
        next += *next == '\n';
        if (strncmp(line, "files ", 6) != 0) printf("%.*s", (int)(next - line), line);
    }
    return 0;
}

static const char *outcome(bool good) {
    return good ? "done" : errno == EACCES || errno == EPERM ? "refused" : strerror(errno);
}

/* The line of a file that has a word; the first one. */
static void shows(const char *path, const char *word) {
    static char line[512];
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file) && !strstr(line, word)) continue;
    line[strcspn(line, "\n")] = '\0';
    printf("standin: %s says %s\n", path, file ? line : strerror(errno));
    if (file) (void)fclose(file);
}

static _Noreturn void node(void) {
    static char page[4096];
    shows("/sys/fs/cgroup/node/memory.max", "");
    shows("/sys/fs/cgroup/node/pids.max", "");
    shows("/sys/fs/cgroup/node/cpu.weight", "");
    shows("/proc/meminfo", "MemTotal");
    shows("/proc/self/mounts", " /data ");
    shows("/proc/self/oom_score_adj", "");
    shows("/proc/sys/kernel/sysrq", "");
    shows("/proc/sys/kernel/kexec_load_disabled", "");
    printf("standin: user %d group %d\n", (int)getuid(), (int)getgid());
    printf("standin: own file %s\n", outcome(open("/data/node/mine", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0));
    printf("standin: own socket's folder %s\n", outcome(open("/run/node/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0));
    printf("standin: locked memory %s\n", outcome(mlock(page, sizeof page) == 0));
    printf("standin: a log %s\n", outcome(open("/data/log/init", O_RDONLY | O_CLOEXEC) >= 0));
    printf("standin: the disk %s\n", outcome(open("/dev/vda", O_RDONLY | O_CLOEXEC) >= 0));
    printf("standin: another's folder %s\n", outcome(open("/data/admin/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0));
    printf("standin: root again %s\n", outcome(syscall(SYS_setuid, 0) == 0));
    printf("standin: a child %s\n", outcome(syscall(SYS_clone, 17, 0, 0, 0, 0) >= 0));
    printf("standin: \x1b[2Jover\n");
    (void)fflush(stdout);
    for (;;) (void)sleep(60);
}

int main(int count, char **words) {
    const char *name = strrchr(words[0], '/') ? strrchr(words[0], '/') + 1 : words[0];
    if (strcmp(name, "heraclius-console") == 0) return console();
    bool named = count > 3 && strcmp(words[1], "--name") == 0;
    if (strcmp(name, "heraclius-setup") == 0) return setup(named ? words[3] : count > 1 ? words[1] : "", words);
    if (strcmp(name, "heracliusd") == 0) node();
    return 2;
}
