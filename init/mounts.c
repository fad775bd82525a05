#include "init/mounts.h"
#include "init/say.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
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

bool mounts_early(void) {
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

void mounts_late(void) {
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    (void)mount("pstore", "/sys/fs/pstore", "pstore", flags, NULL);
    (void)mount("efivarfs", "/sys/firmware/efi/efivars", "efivarfs", flags, NULL);
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0) {
        stage_set(STAGE_MOUNTS, STAGE_CANNOT, "the root stays writable: %s", strerror(errno));
        return;
    }
    if (stage_state(STAGE_MOUNTS) != STAGE_CANNOT) stage_set(STAGE_MOUNTS, STAGE_GOOD, "%s", "");
}

bool mounts_end(void) {
    sync();
    if (umount2("/data", 0) == 0 || errno == EINVAL || errno == ENOENT) return true;
    return mount(NULL, "/data", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}
