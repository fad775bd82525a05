#include "init/slots.h"
#include "init/text.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char text[1024];

struct finding {
    int fd;
    unsigned count;
};

static bool look(void *context, const char *name) {
    struct finding *found = context;
    char path[64], head[512];
    int fd = text_form(path, sizeof path, "/dev/%s", name) ? open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW) : -1;
    bool good = fd >= 0 && pread(fd, head, sizeof head, 0) == sizeof head && memcmp(head + 71, "HERACLIUS  FAT32", 16) == 0;
    found->count += good;
    if (good && found->count == 1) found->fd = fd;
    else if (fd >= 0) (void)close(fd);
    return true;
}

bool slots_do(const char *word, int upload, char answer[JOB_ANSWER_BYTES]) {
    const char *const words[] = {"/bin/heraclius-slots", word, NULL};
    struct finding found = {-1, 0};
    bool good = text_folder("/sys/class/block", look, &found) >= 0 && found.count == 1;
    if (good) good = job_run("slots", words, upload, found.fd, answer);
    else if (found.count > 0) (void)text_form(answer, JOB_ANSWER_BYTES, "file-unreadable: there are two boot partitions: take one disk away");
    else (void)text_form(answer, JOB_ANSWER_BYTES, "foreign: there is no boot partition, so no slots");
    if (found.fd >= 0) (void)close(found.fd);
    if (good) (void)text_form(text, sizeof text, "%s", answer);
    return good;
}

const char *slots_text(void) {
    return text;
}
