#include "init/config.h"
#include "init/disk.h"
#include "init/job.h"
#include "init/machine.h"
#include "init/modules.h"
#include "init/program.h"
#include "init/say.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT "/data/config/bundle"
#define CANDIDATE "/run/init/candidate"
#define MOUNTED "/run/init/disk"
#define PLAN "/run/init/plan"
#define FW_CFG "/sys/firmware/qemu_fw_cfg/by_name/opt/heraclius/config"

static struct {
    bool in_force;
    uint32_t pause_ms;
    uint64_t again_ms; /* UINT64_MAX: its files are there, or nothing is in force */
    struct plan plan;
    char answer[JOB_ANSWER_BYTES]; /* the newest one of heraclius-setup */
    char fault[JOB_ANSWER_BYTES];  /* of work on the data disk */
    char refused[CONFIG_REASON_BYTES + 64];
} self = {.again_ms = UINT64_MAX};

const struct plan *config_plan(void) {
    return self.in_force ? &self.plan : NULL;
}

const char *config_refused(void) {
    return self.refused;
}

/* heraclius-setup, with a file; which is on the data disk, perhaps: nothing there is touched but by a process apart. */
static bool setup(const char *rights, const char *word, const char *path) {
    const char *const words[] = {"/bin/heraclius-setup", word, NULL};
    return job_do(&(struct job){.name = rights, .words = words, .input = -1, .file = path, .limit_ms = JOB_MS}, self.answer);
}

/* Has `path` judged; true: its plan, whose text is the answer. */
static bool judge(const char *path, const char *what, struct plan *plan, char reason[CONFIG_REASON_BYTES]) {
    if (setup("setup", what, path)) return plan_read(self.answer, plan, reason);
    text_form(reason, CONFIG_REASON_BYTES, "%s", self.answer);
    return false;
}

/* It comes into force. Its text, written by then, is heraclius-net's, which reads it when it is begun anew: all of it, or the one before stays. */
static void apply(const struct plan *plan) {
    if (rename(PLAN ".new", PLAN) < 0) say("config: " PLAN ": %s", strerror(errno));
    self.plan = *plan;
    self.in_force = true;
}

static const char *work_keep(void *context) {
    (void)context;
    char room[] = "/data/public/ballast.a", *piece = room + sizeof room - 2; /* heraclius-setup keeps it for a full disk (setup.h) */
    int fd = open(CANDIDATE, O_RDONLY | O_CLOEXEC), result;
    if (fd < 0) return strerror(errno);
    for (; (result = text_copy(fd, KEPT ".new", CONFIG_BYTES_MAX, 0444)) == -ENOSPC && *piece <= 't'; ++*piece) (void)unlink(room);
    if (result == -ENOSPC) return "the disk is full: give it more room, then reboot";
    if (result == 0 && rename(KEPT ".new", KEPT) < 0) result = -errno;
    fd = open("/data/config", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return result == 0 && fd >= 0 && fsync(fd) == 0 ? NULL : strerror(result < 0 ? -result : errno);
}

bool config_files(void) {
    bool again = program_now(PROGRAM_NODE)->service.state == SERVICE_STOPPING || self.pause_ms; /* a try that failed may have changed some already */
    bool good = setup("setup-node", "files", KEPT);
    stage_set(STAGE_SERVICES, good ? STAGE_GOOD : STAGE_CANNOT, "%s", good ? "" : "the node is not started: config says why");
    if (!good) {
        stage_set(STAGE_CONFIG, STAGE_CANNOT, "%s", self.answer);
        self.pause_ms = self.pause_ms > SERVICE_PAUSE_MAX_MS / 2 ? SERVICE_PAUSE_MAX_MS : self.pause_ms ? 2 * self.pause_ms : SERVICE_PAUSE_MIN_MS;
        self.again_ms = machine_now_ms() + self.pause_ms;
        return false;
    }
    stage_set(STAGE_CONFIG, STAGE_GOOD, "number %llu, node %s", (unsigned long long)self.plan.number, self.plan.node);
    self.pause_ms = 0;
    self.again_ms = UINT64_MAX;
    if (again || strcmp(self.answer, "changed\n") == 0) program_again(PROGRAM_NODE, machine_now_ms());
    else program_event(PROGRAM_NODE, SERVICE_START, machine_now_ms());
    return true;
}

uint64_t config_retry(uint64_t now_ms) {
    if (now_ms >= self.again_ms) (void)config_files();
    return self.again_ms;
}

bool config_offer(int from, const char *whence, char reason[CONFIG_REASON_BYTES]) {
    struct plan plan;
    int result = text_copy(from, CANDIDATE, CONFIG_BYTES_MAX, 0400);
    bool good = result == 0 && judge(CANDIDATE, "take", &plan, reason);
    if (result < 0) text_form(reason, CONFIG_REASON_BYTES, "%s", result == -EFBIG ? "larger than 8 MiB" : strerror(-result));
    if (good && (!self.in_force || plan.number > self.plan.number)) { /* durable first: what is gone by is there after a restart, too */
        result = text_write(PLAN ".new", TEXT_NEW, self.answer);
        good = result == 0 && job_do(&(struct job){.name = "/data", .work = work_keep, .limit_ms = JOB_MS}, self.fault);
        if (!good) text_form(reason, CONFIG_REASON_BYTES, "it could not be kept: %s", result < 0 ? strerror(-result) : self.fault);
        if (good) apply(&plan);
        if (good) (void)config_files();
    }
    (void)unlink(CANDIDATE);
    if (!good) say("config: %s: refused: %s", whence, reason);
    (void)text_form(self.refused, sizeof self.refused, "%s%s%s", good ? "" : whence, good ? "" : ": ", good ? "" : reason);
    return good;
}

/* A configuration disk's file, into one of memory alone. Its file system is a stranger's: it is mounted where nobody else sees it, by a process that
 * may be lost over it, without Rock Ridge (FIFOs, links), and what is no regular file is none. */
struct medium {
    const char *name, *file_system;
    int to;
};

static const char *work_fetch(void *context) {
    const struct medium *medium = context;
    static const char *const names[] = {MOUNTED "/heraclius.cfg", MOUNTED "/heracliu.cfg"}; /* the second: of an ISO with short names alone */
    const bool iso = strcmp(medium->file_system, "iso9660") == 0;
    struct stat status;
    char path[64];
    int fd = -1;
    (void)mkdir(MOUNTED, 0755);
    (void)text_form(path, sizeof path, "/dev/%s", medium->name);
    if (unshare(CLONE_NEWNS) < 0) return strerror(errno);
    if (mount(path, MOUNTED, medium->file_system, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, iso ? "norock" : NULL) < 0) {
        (void)dprintf(1, "it does not mount: ");
        return strerror(errno);
    }
    for (size_t i = 0; i < 2 && fd < 0; i++) fd = open(names[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) return "it has no file heraclius.cfg";
    ssize_t got = 1;
    for (size_t all = 0; got > 0 && all <= CONFIG_BYTES_MAX; all += (size_t)got) got = sendfile(medium->to, fd, NULL, CONFIG_BYTES_MAX + 1 - all);
    return got < 0 ? strerror(errno) : NULL;
}

static void disk(const char *name, const char *file_system) {
    static char answer[JOB_ANSWER_BYTES];
    char reason[CONFIG_REASON_BYTES];
    struct medium medium = {name, file_system, memfd_create("config", MFD_CLOEXEC)};
    modules_listed(true);
    if (!job_do(&(struct job){.name = name, .work = work_fetch, .context = &medium, .limit_ms = JOB_MS}, answer)) say("config: %s: %s", name, answer);
    else if (config_offer(medium.to, name, reason)) say("config: %s was looked at", name);
    if (medium.to >= 0) (void)close(medium.to);
}

bool config_again(void) {
    uint64_t number = self.in_force ? self.plan.number : 0;
    disk_configs(disk);
    return self.in_force && self.plan.number > number;
}

void config_start(void) {
    char reason[CONFIG_REASON_BYTES] = "";
    struct plan plan;
    char size[24];
    uint64_t bytes;
    stage_set(STAGE_CONFIG, STAGE_RUNNING, "%s", "");
    if (stage_state(STAGE_DISK) != STAGE_GOOD) {
        stage_set(STAGE_CONFIG, STAGE_CANNOT, "there is no data disk to keep it on");
        return;
    }
    bool good = judge(KEPT, "plan", &plan, reason);
    if (good && text_write(PLAN ".new", TEXT_NEW, self.answer) < 0) text_form(reason, sizeof reason, PLAN ": cannot be written");
    else if (good) apply(&plan);
    if (!self.in_force && strcmp(reason, JOB_NO_FILE) != 0) stage_set(STAGE_CONFIG, STAGE_CANNOT, "what was kept: %s", reason);
    int fd = open(FW_CFG "/raw", O_RDONLY | O_CLOEXEC);
    bool known = text_read(FW_CFG "/size", size, sizeof size) > 0 && text_number(size, UINT32_MAX, &bytes);
    if (fd >= 0 && (!known || bytes > CONFIG_FW_CFG_MAX)) say("config: fw_cfg: refused: more than %d bytes; bring it on a disk", CONFIG_FW_CFG_MAX);
    else if (fd >= 0 && config_offer(fd, "fw_cfg", reason)) say("config: fw_cfg was looked at");
    if (fd >= 0) (void)close(fd);
    disk_configs(disk);
    if (self.in_force && stage_state(STAGE_SERVICES) != STAGE_GOOD) (void)config_files();
    if (!self.in_force && stage_state(STAGE_CONFIG) != STAGE_CANNOT) {
        stage_set(STAGE_CONFIG, STAGE_CANNOT, "none yet: copy this node's card request out and its configuration in (console: request, config)");
    }
}
