#include "init/machine.h"
#include "init/mounts.h"
#include "init/say.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

static int watchdog = -1;

uint64_t machine_now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
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
    if (!mounts_end()) say("/data could not be unmounted");
    say(reboot_after ? "rebooting" : "halted; power may be cut");
    sync();
    if (watchdog >= 0 && write(watchdog, "V", 1) < 0) say("watchdog: it stays on");
    (void)reboot(reboot_after ? RB_AUTOBOOT : RB_POWER_OFF);
    for (;;) (void)pause();
}
