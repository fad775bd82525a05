/*
 * Stand-ins for a test of upgrades, by name:
 *
 *   heracliusd        a node by the contract (spec/appliance.md A-24), one of four whose others are up: it votes when it is asked to decide; with
 *                     VOTES=0 it never does
 *   heraclius-admin   has a release sent by the host (10.0.2.2, PORT), hands it to init, and says what init said
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static _Noreturn void node(bool votes) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/node/control.sock"};
    bool voted = false;
    char line[4096];
    (void)unlink(address.sun_path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (const struct sockaddr *)&address, sizeof address) < 0 || chmod(address.sun_path, 0660) < 0 || listen(listener, 8) < 0)
        _exit(1);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        ssize_t count = fd < 0 ? -1 : recv(fd, line, sizeof line - 1, 0);
        line[count > 0 ? count : 0] = '\0';
        voted = voted || (votes && strstr(line, "decide"));
        int bytes = snprintf(
            line, sizeof line,
            "{\"member\":0,\"members\":4,\"faults\":1,\"voted\":%s,\"members_seen\":[{\"member\":1,\"up\":true},{\"member\":2,\"up\":true}]}\n",
            voted ? "true" : "false");
        if (fd >= 0) (void)send(fd, line, (size_t)bytes, MSG_NOSIGNAL);
        if (fd >= 0) (void)close(fd);
    }
}

/* All that the host sends, into a file; true: it sent something. */
static bool fetched(int file) {
    static char part[65536];
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(0x0A000202)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool any = false;
    for (ssize_t count = connect(fd, (const struct sockaddr *)&host, sizeof host) < 0 ? 0 : 1; count > 0;) {
        count = read(fd, part, sizeof part);
        if (count > 0 && write(file, part, (size_t)count) != count) count = -1;
        any = any || count > 0;
    }
    (void)close(fd);
    return any;
}

static void hand(int file) {
    static char answer[70000];
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/init/control.sock"};
    struct iovec word = {(char[]){"upgrade"}, 7};
    struct msghdr message = {.msg_iov = &word, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof file), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &file, sizeof file);
    int to = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ssize_t count = -1;
    if (connect(to, (const struct sockaddr *)&address, sizeof address) == 0 && sendmsg(to, &message, MSG_NOSIGNAL) > 0)
        count = recv(to, answer, sizeof answer - 1, 0);
    answer[count > 0 ? count : 0] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    printf("upgrade: %s\n", answer);
    (void)close(to);
}

int main(int count, char **words) {
    (void)count;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (strstr(words[0], "heracliusd")) node(VOTES);
    for (;;) {
        int file = open("/data/admin/release", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fetched(file)) hand(file);
        (void)close(file);
        (void)sleep(2);
    }
}
