/* init's control socket: a packet for a packet. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "appliance/admin/admin_console.h"

enum { ANSWER_BYTES = 65536 };

bool admin_init_ok(const char *answer) {
    return answer != NULL && (strcmp(answer, "ok") == 0 || strncmp(answer, "ok\n", 3) == 0);
}

char *admin_init_ask(const char *path, const char *question) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return NULL;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* one that hangs takes no connections either */
    char *answer = fd >= 0 ? malloc(ANSWER_BYTES + 1) : NULL;
    ssize_t got = -1;
    if (answer != NULL && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, question, strlen(question), MSG_NOSIGNAL) == (ssize_t)strlen(question)) {
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        if (poll(&polled, 1, ADMIN_INIT_MS) == 1) got = recv(fd, answer, ANSWER_BYTES, 0);
    }
    if (fd >= 0) (void)close(fd);
    if (got > 0) {
        answer[got] = '\0';
        admin_plain(answer);
        return answer;
    }
    free(answer);
    return NULL;
}
