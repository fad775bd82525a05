#include "init/machine.h"
#include "init/say.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct early {
    const char *what, *where, *options;
    unsigned long flags;
} earlies[] = {
    {"proc", "/proc", "hidepid=invisible", MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"devtmpfs", "/dev", "mode=755,size=1m", MS_NOSUID | MS_NOEXEC},
    {"devpts", "/dev/pts", "mode=620,ptmxmode=000", MS_NOSUID | MS_NOEXEC},
    {"tmpfs", "/run", "mode=755,size=16m,nr_inodes=4096", MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"cgroup2", "/sys/fs/cgroup", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
};

static int watchdog = -1;

uint64_t machine_now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool machine_mounts(void) {
    bool good = true;
    for (size_t i = 0; i < sizeof earlies / sizeof *earlies; i++) {
        const struct early *e = &earlies[i];
        if (mkdir(e->where, 0755) < 0 && errno != EEXIST && errno != EROFS) good = false;
        /* EBUSY: the kernel mounted devtmpfs by itself. */
        if (mount(e->what, e->where, e->what, e->flags, e->options) < 0 && errno != EBUSY) {
            stage_set(STAGE_MOUNTS, STAGE_CANNOT, "%s on %s: %s", e->what, e->where, strerror(errno));
            good = false;
        }
    }
    return good;
}

void machine_mounts_late(void) {
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    (void)mount("pstore", "/sys/fs/pstore", "pstore", flags, NULL);
    (void)mount("efivarfs", "/sys/firmware/efi/efivars", "efivarfs", flags, NULL);
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0) {
        stage_set(STAGE_MOUNTS, STAGE_CANNOT, "the root stays writable: %s", strerror(errno));
        return;
    }
    if (stage_state(STAGE_MOUNTS) != STAGE_CANNOT) stage_set(STAGE_MOUNTS, STAGE_GOOD, "%s", "");
}

void machine_entropy(void) {
    uint64_t end_ms = machine_now_ms() + MACHINE_ENTROPY_MS;
    uint8_t byte;
    stage_set(STAGE_ENTROPY, STAGE_RUNNING, "%s", "");
    bool there = false;
    while (!(there = getrandom(&byte, 1, GRND_NONBLOCK) == 1) && machine_now_ms() < end_ms) (void)usleep(50000);
    stage_set(STAGE_ENTROPY, there ? STAGE_GOOD : STAGE_CANNOT, "%s",
              there ? "" : "no random numbers come: give the machine a virtio-rng or a processor with RDRAND");
}

void machine_clock(void) {
    char text[32];
    uint64_t made = 0;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (text_read("/etc/heraclius/made", text, sizeof text) <= 0 || !text_number(text, INT64_MAX, &made)) {
        stage_set(STAGE_CLOCK, STAGE_CANNOT, "/etc/heraclius/made is missing; this image is not whole");
        return;
    }
    if ((uint64_t)now.tv_sec >= made) { /* no clock is asked for anything that matters: certificates of the admin console are all that may fail */
        uint64_t years = ((uint64_t)now.tv_sec - made) / (86400 * 365);
        bool odd = years >= MACHINE_IMAGE_YEARS && text_form(text, sizeof text, "%llu years", (unsigned long long)years);
        stage_set(STAGE_CLOCK, STAGE_GOOD, "%s%s%s", odd ? "the calendar is " : "", odd ? text : "", odd ? " after this image was made" : "");
        return;
    }
    struct timespec least = {.tv_sec = (time_t)made};
    bool set = clock_settime(CLOCK_REALTIME, &least) == 0;
    stage_set(STAGE_CLOCK, set ? STAGE_GOOD : STAGE_CANNOT, "the calendar was %llu days before this image was made%s",
              (unsigned long long)((made - (uint64_t)now.tv_sec) / 86400), set ? " and was set to that day" : "");
}

void machine_watchdog(void) {
    char identity[64] = "unknown";
    int seconds = MACHINE_WATCHDOG_S;
    watchdog = open("/dev/watchdog0", O_WRONLY | O_CLOEXEC);
    if (watchdog < 0 || ioctl(watchdog, WDIOC_SETTIMEOUT, &seconds) < 0) {
        stage_set(STAGE_WATCHDOG, STAGE_CANNOT, "/dev/watchdog0: %s; a hanging machine stays hanging", strerror(errno));
        return;
    }
    if (text_read("/sys/class/watchdog/watchdog0/identity", identity, sizeof identity) <= 0) identity[0] = '\0';
    stage_set(STAGE_WATCHDOG, STAGE_GOOD, "%s, %d s", identity, seconds);
}

void machine_feed(void) {
    if (watchdog >= 0 && write(watchdog, "", 1) < 0) say("watchdog: %s", strerror(errno));
}

void machine_end(bool reboot_after) {
    const unsigned long flags = MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    sync();
    bool gone = umount2("/data", 0) == 0 || errno == EINVAL || errno == ENOENT;
    if (!gone && mount(NULL, "/data", NULL, flags, NULL) < 0) say("/data could not be unmounted");
    say(reboot_after ? "rebooting" : "halted; power may be cut");
    sync();
    if (watchdog >= 0 && write(watchdog, "V", 1) < 0) say("watchdog: it stays on");
    (void)reboot(reboot_after ? RB_AUTOBOOT : RB_POWER_OFF);
    for (;;) (void)pause();
}
