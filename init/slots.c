#include "init/slots.h"
#include "init/disk.h"
#include "init/say.h"
#include "init/text.h"
#include <fcntl.h>
#include <string.h>

static char text[1024];

bool slots_do(const char *word, int upload, char answer[JOB_ANSWER_BYTES]) {
    const char *const words[] = {"/bin/heraclius-slots", word, NULL};
    char name[DISK_NAME_BYTES], device[DISK_NAME_BYTES + 8];
    unsigned count = disk_boots(name);
    (void)text_form(answer, JOB_ANSWER_BYTES, "%s", count ? "file-unreadable: two boot partitions, and not known which was started: take one away"
                                                          : "foreign: there is no boot partition, so no slots");
    (void)text_form(device, sizeof device, "/dev/%s", count == 1 ? name : "");
    bool good = count == 1 && job_do(&(struct job){"slots", words, upload, device, O_RDWR, SLOTS_MS, NULL, NULL, NULL}, answer);
    if (good) (void)text_form(text, sizeof text, "%s", answer);
    return good;
}

bool slots_look(uint64_t now_ms) {
    static char answer[JOB_ANSWER_BYTES], line[SAY_LINE_BYTES];
    static uint64_t again_ms;
    if (strncmp(text, "slot=", 5) == 0 || now_ms < again_ms) return false;
    again_ms = now_ms + SLOTS_AGAIN_MS;
    if (slots_do("status", -1, answer)) return true;
    (void)text_form(line, sizeof line, "slots=%.400s\n", answer);
    if (strcmp(line, text) != 0) say("slots: %s", answer);
    (void)text_form(text, sizeof text, "%s", line);
    return false;
}

const char *slots_text(void) {
    return text;
}
