#include "init/disk.h"
#include "init/confine.h"
#include "init/job.h"
#include "init/machine.h"
#include "init/say.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define PROGRAM "/bin/heraclius-disk"

enum { IDENTITY_BYTES = 96, FOUND_BYTES = 16384, LOST_MS = 15000 }; /* until who did not answer is asked again */

static struct {
    char name[DISK_NAME_BYTES]; /* the data disk, "" as long as it is not used */
    uint64_t bytes;
    struct disk {
        char name[DISK_NAME_BYTES];
        uint64_t bytes;
    } chosen;
    char found[FOUND_BYTES]; /* the newest survey */
    uint64_t names, survey_ms, pause_ms; /* of all devices, added up; when that was; until it is made again */
    bool lost, foreign;      /* a device did not answer, or the survey; the disk is another machine's */
    char errors[24];         /* that the kernel had counted on it at the start */
    char answer[JOB_ANSWER_BYTES];
} self;

const char *disk_name(void) {
    return self.name;
}
uint64_t disk_bytes(void) {
    return self.bytes;
}

static const char *path_of(const char *name) {
    static char path[DISK_NAME_BYTES + 8];
    (void)text_form(path, sizeof path, "/dev/%s", name);
    return path;
}

static bool job(const char *word, int flags, unsigned limit_ms) {
    const char *const words[] = {PROGRAM, word, NULL};
    return job_do(&(struct job){"disk", words, -1, path_of(self.chosen.name), flags, limit_ms, NULL, NULL, NULL}, self.answer);
}

/* ---- what there is ---- */

static bool device(void *context, const char *name) {
    uint64_t hash = 14695981039346656037u;
    for (const char *at = name; *at; at++) hash = (hash ^ (unsigned char)*at) * 1099511628211u;
    *(uint64_t *)context += hash;
    if (lchown(path_of(name), 0, DISK_USER) == 0) (void)chmod(path_of(name), 0640);
    return true;
}

/* False: nothing has come or gone. While there is no data disk who did not answer is asked again, each time after twice the time. */
static bool survey(void) {
    const char *const words[] = {PROGRAM, "survey", NULL};
    uint64_t names = 0, since_ms = machine_now_ms() - self.survey_ms;
    bool same = text_folder("/sys/class/block", device, &names) == 0 && names == self.names;
    bool done = same && (!self.lost || self.name[0] || self.foreign);
    if (self.found[0] && (done || (self.lost && since_ms < (same ? self.pause_ms : LOST_MS)))) return false;
    self.names = names;
    bool good = job_run("disk", words, -1, self.answer);
    (void)text_form(self.found, sizeof self.found, "%s%s\n", good ? "" : "cannot ", self.answer);
    self.lost = !good || strstr(self.found, "lost ");
    self.pause_ms = same ? 2 * self.pause_ms : LOST_MS;
    self.survey_ms = machine_now_ms();
    return true;
}

/* The words of the n-th line that begins with `word`, two behind it or all the rest. */
static bool found(const char *word, unsigned n, char line[SAY_LINE_BYTES], char *words[3]) {
    for (const char *at = self.found; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        size_t count = strcspn(at, "\n"), length = strlen(word);
        if (strncmp(at, word, length) != 0 || at[length] != ' ' || n-- > 0) continue;
        (void)text_form(line, SAY_LINE_BYTES, "%.*s", (int)count, at);
        text_clean(line);
        size_t got = text_words(line, words, 3);
        return got > 1 && strlen(words[1]) < DISK_NAME_BYTES && !strchr(words[1], '/');
    }
    return false;
}

void disk_configs(disk_config *each) {
    char line[SAY_LINE_BYTES], *words[3] = {"", "", ""};
    for (unsigned n = 0; found("config", n, line, words); n++) each(words[1], strcmp(words[2], "iso9660") == 0 ? "iso9660" : "vfat");
}

unsigned disk_boots(char name[DISK_NAME_BYTES]) {
    char line[SAY_LINE_BYTES], *words[3];
    unsigned count = 0;
    for (; found("boot", count, line, words); count++) (void)text_form(name, DISK_NAME_BYTES, "%s", words[1]);
    return count;
}

/* ---- whose it is ---- */

static void machine_identity(char out[IDENTITY_BYTES]) {
    static const char *const files[] = {"/sys/class/dmi/id/product_uuid", "/proc/device-tree/serial-number"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        /* All zeros or all F: firmware that was never told. */
        if (text_read(files[i], out, IDENTITY_BYTES) > 0 && out[strspn(out, "0-")] && out[strspn(out, "fF-")]) {
            text_clean(out);
            return;
        }
    }
    (void)text_form(out, IDENTITY_BYTES, DISK_NAMELESS);
}

static bool mark_write(const char *identity) {
    if (text_write(DISK_MARK ".new", TEXT_NEW, identity) < 0 || rename(DISK_MARK ".new", DISK_MARK) < 0) return false;
    int fd = open("/data", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* this disk alone: sync() would wait for one that does not answer, too */
    return fd >= 0 && syncfs(fd) == 0 && close(fd) == 0;
}

/* ---- work, in a process apart; what it prints besides is said ---- */

static const char *work_mount(void *disk) {
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME;
    return mount(path_of(((struct disk *)disk)->name), "/data", "ext4", flags, "errors=remount-ro,resuid=100") == 0 ? NULL : strerror(errno);
}

static const char *work_leave(void *disk) {
    (void)disk;
    return umount2("/data", 0) == 0 ? NULL : strerror(errno);
}

/* Of this machine, or of none so far; else its mark. */
static const char *work_whose(void *disk) {
    static char there[IDENTITY_BYTES];
    char here[IDENTITY_BYTES];
    (void)disk;
    machine_identity(here);
    long got = text_read(DISK_MARK, there, sizeof there);
    if (got < 0 && got != -ENOENT) return "its mark cannot be read";
    bool nameless = strcmp(here, DISK_NAMELESS) == 0, free = got < 0 || strcmp(there, DISK_NAMELESS) == 0;
    if (!free && strcmp(here, there) != 0) return there;
    if (free && !nameless && !mark_write(here)) (void)dprintf(1, "it keeps no mark of this machine: %s\n", strerror(errno));
    return NULL;
}

static const char *work_adopt(void *disk) {
    char here[IDENTITY_BYTES];
    machine_identity(here);
    const char *fault = work_mount(disk);
    if (!fault && !mark_write(here)) fault = strerror(errno);
    (void)umount2("/data", 0);
    return fault;
}

static bool apart(job_work *work) {
    bool good = job_do(&(struct job){.name = self.chosen.name, .work = work, .context = &self.chosen, .limit_ms = DISK_WORK_MS}, self.answer);
    if (good && self.answer[0]) say("disk: %s: %s", self.chosen.name, self.answer);
    return good;
}
const char *disk_adopt(void) {
    return !self.foreign ? "there is no disk of another machine" : apart(work_adopt) ? NULL : self.answer;
}

/* ---- the stage ---- */

#define CANNOT(...) (stage_set(STAGE_DISK, STAGE_CANNOT, __VA_ARGS__), false)

/* To the disk's size; true: it has grown. */
static bool grow(void) {
    char bytes[24];
    const char *const words[] = {PROGRAM, "grow", bytes, NULL};
    (void)text_form(bytes, sizeof bytes, "%llu", (unsigned long long)self.chosen.bytes);
    bool good = job_do(&(struct job){"disk-grow", words, -1, "/data", O_RDONLY | O_DIRECTORY, DISK_WORK_MS, NULL, NULL, NULL}, self.answer);
    if (!good) say("disk: %s could not be grown to the disk's size: %s", self.chosen.name, self.answer);
    return good && self.answer[0];
}

static bool make(bool begun) {
    const char *name = self.chosen.name;
    if (!begun && !job("blank", O_RDONLY, DISK_BLANK_MS)) {
        return CANNOT("%s is not known to be blank: %s; if nothing on it is needed: operating.md, \"a used disk\"", name, self.answer);
    }
    /* Unmounted in between, since the journal has the first block, mark and all: played back later, it would bring the mark back onto a used disk. */
    bool good = job("format", O_RDWR | O_EXCL, DISK_WORK_MS) && apart(work_mount);
    good = good && (grow() || true) && apart(work_leave) && job("end", O_RDWR | O_EXCL, DISK_WORK_MS);
    if (!good) return CANNOT("%s is blank, but could not be made a data disk: %s", name, self.answer);
    say("disk: %s was blank and is the data disk now", name);
    return true;
}

static void errors_read(char out[24]) {
    char path[96];
    (void)text_form(path, sizeof path, "/sys/fs/ext4/%s/errors_count", self.chosen.name);
    if (text_read(path, out, 24) <= 0) (void)text_form(out, 24, "0");
}

/* Mounted, and still a data disk when its journal has been played back; or not mounted. */
static bool take(void) {
    const char *name = self.chosen.name, *const words[] = {PROGRAM, "look", name, NULL};
    if (!apart(work_mount)) return CANNOT("%s does not mount: %s; it was not touched", name, self.answer);
    errors_read(self.errors); /* before anything is written: what comes of that is seen as new */
    bool good = job_run("disk", words, -1, self.answer) && strncmp(self.answer, "data ", 5) == 0;
    if (!good) (void)CANNOT("%s is not used: mounted, it does not answer, or is under the mark of a formatting that was begun", name);
    if (good && !apart(work_whose)) {
        self.foreign = true;
        good = CANNOT("%s is the disk of another machine, %s; if that one is off for good: adopt (console)", name, self.answer);
    }
    if (good && !apart(confine_data))
        good = CANNOT("%s is not used: %s is no folder on it: it is torn, or a stranger's: replace it (operating.md)", name, self.answer);
    /* Brought to rest at once: what is in the journal in part may not mount after a loss of power. And a full one had no room for its folders. */
    if (good && grow() && !(apart(work_leave) && apart(work_mount) && apart(confine_data)))
        good = CANNOT("%s was grown, and does not mount: %s", name, self.answer);
    if (!good && !apart(work_leave)) say("disk: %s could not be unmounted: %s", name, self.answer);
    return good;
}

/* `late`: what was not there at the start, and so is not formatted. */
static bool choose(bool late) {
    static const char *const kinds[] = {"data", "blank", "begun"};
    char line[SAY_LINE_BYTES], *words[3] = {NULL};
    struct statfs left;
    unsigned kind = 0;
    self.foreign = false;
    for (unsigned n = 0; found("lost", n, line, words); n++) say("disk: %s cannot be read, or does not answer", words[1]);
    while (kind < 3 && !(found(kinds[kind], 0, line, words) && words[2] && text_number(words[2], INT64_MAX, &self.chosen.bytes))) kind++;
    const char *why = strstr(self.found, "cannot ");
    if (kind == 3 && why) return CANNOT("%.*s", (int)strcspn(why + 7, "\n"), why + 7);
    if (kind == 3 || (late && kind > 0)) return CANNOT("%s", kind == 3 ? PROGRAM " says something else" : "a blank disk came late: reboot");
    (void)text_form(self.chosen.name, sizeof self.chosen.name, "%s", words[1]);
    if ((kind > 0 && !make(kind == 2)) || !take()) return false;
    (void)text_form(self.name, sizeof self.name, "%s", self.chosen.name);
    self.bytes = self.chosen.bytes;
    bool full = statfs("/data", &left) == 0 && (uint64_t)left.f_bfree * (uint64_t)left.f_bsize < DISK_FREE_MIN;
    bool bad = self.errors[0] != '0';
    stage_set(STAGE_DISK, STAGE_GOOD, "%s, %llu MiB%s%s%s%s", self.name, (unsigned long long)(self.bytes >> 20), kind > 0 ? ", new" : "",
              full ? ", and is full: give it more room, then reboot" : "", bad ? ", have it replaced: errors that the kernel found (kmsg): " : "",
              bad ? self.errors : "");
    return true;
}

void disk_start(void) {
    stage_set(STAGE_DISK, STAGE_RUNNING, "%s", "");
    (void)survey();
    (void)choose(false);
}

unsigned disk_again(void) {
    char errors[24];
    errors_read(errors);
    if (stage_state(STAGE_DISK) == STAGE_GOOD && strcmp(errors, self.errors) != 0) { /* errors=remount-ro; not every kernel says so of the mount */
        (void)CANNOT("%s cannot be written any more: the kernel found errors (kmsg); reboot, and if it comes again have it replaced", self.name);
    }
    return !survey() ? 0 : DISK_CAME | (!self.name[0] && choose(true) ? DISK_CAME_DATA : 0);
}
