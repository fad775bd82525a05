#include "init/config.h"
#include "init/job.h"
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
#define FW_CFG "/sys/firmware/qemu_fw_cfg/by_name/opt/heraclius/config/raw"

enum { ISO_AT = 32768, LABEL_READ = 512 };

static struct {
    bool in_force, node_ready;
    struct plan plan;
    char answer[JOB_ANSWER_BYTES];
    bool disks_tried;
} self;

const struct plan *config_plan(void) {
    return self.in_force ? &self.plan : NULL;
}

bool config_node_ready(void) {
    return self.node_ready;
}

/* Has `path` judged; its plan comes into force. */
static bool judge(const char *path, const char *what, char reason[CONFIG_REASON_BYTES]) {
    static struct plan plan;
    const char *const words[] = {"/bin/heraclius-setup", what, NULL};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        text_form(reason, CONFIG_REASON_BYTES, "%s: %s", path, strerror(errno));
        return false;
    }
    bool good = job_run("setup", words, fd, self.answer);
    (void)close(fd);
    if (!good) {
        text_form(reason, CONFIG_REASON_BYTES, "%.200s", self.answer);
        return false;
    }
    char fault[128];
    if (!plan_read(self.answer, &plan, fault)) {
        text_form(reason, CONFIG_REASON_BYTES, "%s", fault);
        return false;
    }
    self.plan = plan;
    self.in_force = true;
    return true;
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

/* The node's own files, made of what is kept, by the node's own user. */
static void node_files(void) {
    const char *const words[] = {"/bin/heraclius-setup", "files", NULL};
    int fd = open(KEPT, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    self.node_ready = job_run("setup-node", words, fd, self.answer);
    (void)close(fd);
    if (self.node_ready) stage_set(STAGE_CONFIG, STAGE_GOOD, "number %llu, node %s", (unsigned long long)self.plan.number, self.plan.node);
    else stage_set(STAGE_CONFIG, STAGE_CANNOT, "%.200s", self.answer);
}

bool config_offer(int from, const char *whence, char reason[CONFIG_REASON_BYTES]) {
    uint64_t before = self.in_force ? self.plan.number : 0;
    int result = text_copy(from, CANDIDATE, CONFIG_BYTES_MAX, 0444);
    bool good = result == 0 && judge(CANDIDATE, "take", reason);
    if (result < 0) text_form(reason, CONFIG_REASON_BYTES, "%s", result == -EFBIG ? "larger than 8 MiB" : strerror(-result));
    if (good && (before == 0 || self.plan.number > before)) {
        result = keep();
        if (result < 0) text_form(reason, CONFIG_REASON_BYTES, "it could not be kept: %s", strerror(-result));
        good = result == 0;
        if (good) node_files();
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
    stage_set(STAGE_CONFIG, STAGE_RUNNING, "%s", "");
    if (stage_state(STAGE_DISK) != STAGE_GOOD) {
        stage_set(STAGE_CONFIG, STAGE_CANNOT, "there is no data disk to keep it on");
        return;
    }
    if (stat(KEPT, &status) == 0 && !judge(KEPT, "plan", reason)) stage_set(STAGE_CONFIG, STAGE_CANNOT, "what was kept: %s", reason);
    int fd = open(FW_CFG, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && config_offer(fd, "fw_cfg", reason)) say("config: fw_cfg was looked at");
    if (fd >= 0) (void)close(fd);
    if (text_folder("/sys/class/block", disk, NULL) < 0) say("config: /sys/class/block cannot be read");
    if (self.in_force && !self.node_ready) node_files();
    if (!self.in_force && stage_state(STAGE_CONFIG) != STAGE_CANNOT) {
        stage_set(STAGE_CONFIG, STAGE_CANNOT, "none yet: copy this node's card request out and its configuration in (console: request, config)");
    }
}
