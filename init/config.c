#include "init/config.h"
#include "init/job.h"
#include "init/modules.h"
#include "init/say.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT "/data/config/bundle"
#define CANDIDATE "/run/init/candidate"
#define MOUNTED "/run/init/disk"
#define PLAN "/run/init/plan"
#define FW_CFG "/sys/firmware/qemu_fw_cfg/by_name/opt/heraclius/config"

enum { ISO_AT = 32768, LABEL_READ = 512 };

static struct {
    bool in_force, node_ready;
    struct plan plan;
    char answer[JOB_ANSWER_BYTES]; /* the newest one of heraclius-setup */
} self;

const struct plan *config_plan(void) {
    return self.in_force ? &self.plan : NULL;
}

bool config_node_ready(void) {
    return self.node_ready;
}

/* Has `path` judged; true: its plan, whose text is the answer. */
static bool judge(const char *path, const char *what, struct plan *plan, char reason[CONFIG_REASON_BYTES]) {
    const char *const words[] = {"/bin/heraclius-setup", what, NULL};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        text_form(reason, CONFIG_REASON_BYTES, "%s: %s", path, strerror(errno));
        return false;
    }
    bool good = job_run("setup", words, fd, -1, self.answer);
    (void)close(fd);
    if (!good) {
        text_form(reason, CONFIG_REASON_BYTES, "%s", self.answer);
        return false;
    }
    return plan_read(self.answer, plan, reason);
}

/* What was judged last comes into force; heraclius-net reads its text when it is begun anew. */
static void apply(const struct plan *plan) {
    int fd = open(PLAN, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    size_t count = strlen(self.answer);
    if (fd < 0 || write(fd, self.answer, count) != (ssize_t)count) say("config: " PLAN ": %s", strerror(errno));
    if (fd >= 0) (void)close(fd);
    self.plan = *plan;
    self.in_force = true;
}

static int keep(void) {
    int fd = open(CANDIDATE, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    (void)mkdir("/data/config", 0755);
    int result = text_copy(fd, KEPT ".new", CONFIG_BYTES_MAX, 0444);
    (void)close(fd);
    if (result == 0 && rename(KEPT ".new", KEPT) < 0) result = -errno;
    fd = open("/data/config", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (result == 0 && (fd < 0 || fsync(fd) < 0)) result = -errno;
    if (fd >= 0) (void)close(fd);
    return result;
}

/* By the node's own user. */
void config_files(void) {
    const char *const words[] = {"/bin/heraclius-setup", "files", NULL};
    int fd = open(KEPT, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    self.node_ready = job_run("setup-node", words, fd, -1, self.answer);
    (void)close(fd);
    if (self.node_ready) stage_set(STAGE_CONFIG, STAGE_GOOD, "number %llu, node %s", (unsigned long long)self.plan.number, self.plan.node);
    else stage_set(STAGE_CONFIG, STAGE_CANNOT, "%s", self.answer);
}

bool config_offer(int from, const char *whence, char reason[CONFIG_REASON_BYTES]) {
    struct plan plan;
    int result = text_copy(from, CANDIDATE, CONFIG_BYTES_MAX, 0444);
    bool good = result == 0 && judge(CANDIDATE, "take", &plan, reason);
    if (result < 0) text_form(reason, CONFIG_REASON_BYTES, "%s", result == -EFBIG ? "larger than 8 MiB" : strerror(-result));
    if (good && (!self.in_force || plan.number > self.plan.number)) { /* durable first: what is gone by is there after a restart, too */
        result = keep();
        if (result < 0) text_form(reason, CONFIG_REASON_BYTES, "it could not be kept: %s", strerror(-result));
        good = result == 0;
        if (good) apply(&plan);
        if (good) config_files();
    }
    (void)unlink(CANDIDATE);
    if (!good) say("config: %s: refused: %s", whence, reason);
    return good;
}

static bool is_config_disk(const char *path) {
    char head[LABEL_READ], iso[LABEL_READ];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    bool good =
        pread(fd, head, sizeof head, 0) == sizeof head && (memcmp(head + 71, "HERACLIUS-C", 11) == 0 || memcmp(head + 43, "HERACLIUS-C", 11) == 0);
    good =
        good || (pread(fd, iso, sizeof iso, ISO_AT) == sizeof iso && memcmp(iso + 1, "CD001", 5) == 0 && memcmp(iso + 40, "HERACLIUS-CFG ", 14) == 0);
    (void)close(fd);
    return good;
}

static bool disk(void *context, const char *name) {
    char path[64], reason[CONFIG_REASON_BYTES];
    (void)context;
    if (!text_form(path, sizeof path, "/dev/%s", name) || !is_config_disk(path)) return true;
    const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    (void)mkdir(MOUNTED, 0755);
    modules_late();
    if (mount(path, MOUNTED, "vfat", flags, NULL) < 0 && mount(path, MOUNTED, "iso9660", flags, NULL) < 0) {
        say("config: %s does not mount: %s", name, strerror(errno));
        return true;
    }
    int fd = open(MOUNTED "/heraclius.cfg", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) say("config: %s has no heraclius.cfg", name);
    if (fd >= 0 && config_offer(fd, name, reason)) say("config: %s was looked at", name);
    if (fd >= 0) (void)close(fd);
    (void)umount2(MOUNTED, MNT_DETACH);
    return true;
}

void config_start(void) {
    char reason[CONFIG_REASON_BYTES] = "";
    struct stat status;
    struct plan plan;
    char size[24];
    uint64_t bytes;
    stage_set(STAGE_CONFIG, STAGE_RUNNING, "%s", "");
    if (stage_state(STAGE_DISK) != STAGE_GOOD) {
        stage_set(STAGE_CONFIG, STAGE_CANNOT, "there is no data disk to keep it on");
        return;
    }
    if (stat(KEPT, &status) == 0) {
        if (judge(KEPT, "plan", &plan, reason)) apply(&plan);
        else stage_set(STAGE_CONFIG, STAGE_CANNOT, "what was kept: %s", reason);
    }
    int fd = open(FW_CFG "/raw", O_RDONLY | O_CLOEXEC);
    bool known = text_read(FW_CFG "/size", size, sizeof size) > 0 && text_number(size, UINT32_MAX, &bytes);
    if (fd >= 0 && (!known || bytes > CONFIG_FW_CFG_MAX)) {
        say("config: fw_cfg: refused: larger than %d KiB; bring it on a disk", CONFIG_FW_CFG_MAX >> 10);
    } else if (fd >= 0 && config_offer(fd, "fw_cfg", reason)) {
        say("config: fw_cfg was looked at");
    }
    if (fd >= 0) (void)close(fd);
    if (text_folder("/sys/class/block", disk, NULL) < 0) say("config: /sys/class/block cannot be read");
    if (self.in_force && !self.node_ready) config_files();
    if (!self.in_force && stage_state(STAGE_CONFIG) != STAGE_CANNOT) {
        stage_set(STAGE_CONFIG, STAGE_CANNOT, "none yet: copy this node's card request out and its configuration in (console: request, config)");
    }
}
