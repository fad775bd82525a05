#include "init/modules.h"
#include "init/machine.h"
#include "init/say.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct module {
    const char *name, *path;
    const char *needs[MODULES_NEEDS_MAX];
    unsigned needs_count;
    bool tried, disk;
};

static struct {
    char table[MODULES_TABLE_BYTES_MAX]; /* its lines, cut into words in place */
    struct module modules[MODULES_MAX];
    unsigned count;
    struct alias {
        const char *pattern, *name;
        size_t plain; /* so many bytes of the pattern stand for themselves: thousands of patterns meet each device, and these tell most apart */
    } aliases[4096];
    unsigned aliases_count;
    struct load {
        const char *name, *when;
    } loads[MODULES_MAX];
    unsigned loads_count;
    unsigned loaded, failed;
    bool disks, silent; /* drivers of disks are loaded, too; one of these did not answer */
    const char *buses;
    char usb[256];  /* the folder of what is on USB */
    bool has_usb;   /* a controller of it */
    char path[256]; /* the bus that is looked at */
} self;

static struct module *find(const char *name) {
    for (unsigned i = 0; i < self.count; i++) {
        if (strcmp(self.modules[i].name, name) == 0) return &self.modules[i];
    }
    return NULL;
}

static int load_now(int fd, const char *words) {
    return syscall(SYS_finit_module, fd, words, 0) == 0 ? 0 : errno;
}

/* In a process apart: a module is loaded, or (fd -1) a device given to its driver. The kernel reads partition tables in there; of a disk that does
 * not answer without end, and who waits for that cannot be killed: it is left behind. */
static int apart(int fd, const char *probe, const char *device) {
    int status = 0;
    uint64_t end_ms = machine_now_ms() + (self.silent ? MODULES_SILENT_MS : MODULES_DISK_MS);
    pid_t pid = fork(), ended = -1;
    if (pid == 0) _exit(fd >= 0 ? load_now(fd, "") : text_write(probe, 0, device) < 0);
    machine_feed();
    while (pid > 0 && (ended = waitpid(pid, &status, WNOHANG)) == 0 && machine_now_ms() < end_ms) (void)usleep(1000);
    return ended < 0 ? EAGAIN : ended == 0 ? ETIMEDOUT : WEXITSTATUS(status);
}

static void load_file(struct module *module) {
    if (!module || module->tried || (module->disk && !self.disks)) return;
    module->tried = true;
    int fd = open(module->path, O_RDONLY | O_CLOEXEC);
    /* "async_probe": without it, what is loaded waits for all disks. EEXIST: built in after all. ENODEV: a driver whose hardware is not there. */
    int error = fd < 0 ? errno : module->disk ? apart(fd, NULL, NULL) : load_now(fd, self.disks ? "async_probe" : "");
    if (fd >= 0) (void)close(fd);
    if (error == 0 || error == ETIMEDOUT) self.loaded++;
    if (error == ETIMEDOUT) self.silent = true;
    else if (error != 0 && error != EEXIST && error != ENODEV) self.failed++;
    else error = 0;
    if (error) say("modules: %s: %s", module->name, error == ETIMEDOUT ? "a disk does not answer, and is gone on without" : strerror(error));
    if (error != ETIMEDOUT) (void)unlink(module->path); /* else it is open, and the root could not be made read-only */
}

/* True: it is a driver of disks. */
static bool load(const char *name) {
    struct module *module = find(name);
    for (unsigned i = 0; module && i < module->needs_count; i++) load_file(find(module->needs[i]));
    load_file(module);
    return module && module->disk;
}

void modules_listed(bool late) {
    for (unsigned i = 0; i < self.loads_count; i++) {
        const char *when = self.loads[i].when;
        bool without = when[0] == '!', fits = !strchr(when, '/') || (access(when + without, F_OK) == 0) != without;
        if (fits && (strcmp(when, "late") == 0) == late) (void)load(self.loads[i].name);
    }
}

static void line_take(char *line) {
    char *words[MODULES_NEEDS_MAX + 4] = {0}; /* one more than may be: text_words() puts what is too much into the last */
    size_t count = text_words(line, words, sizeof words / sizeof *words);
    if (count >= 3 && count <= MODULES_NEEDS_MAX + 3 && strcmp(words[0], "module") == 0 && self.count < MODULES_MAX) {
        struct module *module = &self.modules[self.count++];
        module->name = words[1];
        module->path = words[2];
        module->disk = strstr(words[2], "/disk/") != NULL;
        for (size_t i = 3; i < count; i++) module->needs[module->needs_count++] = words[i];
    } else if (count == 3 && strcmp(words[0], "alias") == 0 && self.aliases_count < sizeof self.aliases / sizeof *self.aliases) {
        self.aliases[self.aliases_count++] = (struct alias){words[1], words[2], strcspn(words[1], "*?[\\")};
    } else if ((count == 2 || count == 3) && strcmp(words[0], "load") == 0 && self.loads_count < MODULES_MAX) {
        self.loads[self.loads_count++] = (struct load){words[1], count == 3 ? words[2] : ""};
    } else if (count > 0) {
        say("modules: a line of the table is not understood: %s", words[0]);
        self.failed++;
    }
}

static bool device(void *context, const char *name) {
    (void)context;
    char path[512], alias[512];
    if (!text_form(path, sizeof path, "%s/%s/modalias", self.path, name) || text_read(path, alias, sizeof alias) <= 0) return true;
    for (unsigned i = 0; i < self.aliases_count; i++) {
        const struct alias *a = &self.aliases[i];
        if (strncmp(a->pattern, alias, a->plain) != 0 || fnmatch(a->pattern, alias, 0) != 0 || !load(a->name) || !self.silent) continue;
        /* A driver that waits for one disk has not come to those behind it. */
        if (text_form(path, sizeof path, "%s/../drivers_probe", self.path)) (void)apart(-1, path, name);
    }
    return true;
}

static bool bus(void *context, const char *name) {
    (void)context;
    if (!text_form(self.path, sizeof self.path, "%s/%s/devices", self.buses, name)) return true;
    if (text_folder(self.path, device, NULL) < 0) self.path[0] = '\0'; /* a bus without devices */
    return true;
}

/* As long as there is something new. */
static void devices_ask(void) {
    for (unsigned before = self.loaded, round = 0; round < MODULES_ROUNDS_MAX; round++) {
        if (text_folder(self.buses, bus, NULL) < 0 || self.loaded == before) break;
        before = self.loaded;
    }
}

static bool count_one(void *context, const char *name) {
    (void)name;
    return ++*(unsigned *)context > 0;
}

/* Who is on a USB shows up by itself, one after the other, a disk a second after its driver: until it is quiet. */
static void usb_wait(void) {
    for (unsigned turn = 0, quiet = 0, before = 0; turn < MODULES_USB_TURNS && quiet < MODULES_USB_QUIET; turn++, quiet++) {
        devices_ask();
        unsigned now = self.loaded;
        if (text_folder(self.usb, count_one, &now) < 0 || text_folder("/sys/class/block", count_one, &now) < 0 || now != before) quiet = 0;
        before = now;
        (void)usleep(MODULES_USB_PAUSE_US);
    }
}

void modules_again(void) {
    if (self.has_usb) devices_ask();
}

void modules_load(const char *table, const char *buses) {
    stage_set(STAGE_MODULES, STAGE_RUNNING, "%s", "");
    (void)memset(&self, 0, sizeof self);
    self.buses = buses;
    long bytes = text_read(table, self.table, sizeof self.table);
    if (bytes < 0) {
        stage_set(STAGE_MODULES, STAGE_CANNOT, "%s: %s; this image is not whole", table, strerror((int)-bytes));
        return;
    }
    for (char *rest = self.table, *line; (line = strsep(&rest, "\n"));) line_take(line);
    devices_ask();
    self.disks = true; /* the last: what comes meanwhile has its name in order */
    devices_ask();
    modules_listed(false);
    devices_ask();
    unsigned usb = 0;
    self.has_usb = text_form(self.usb, sizeof self.usb, "%s/usb/devices", buses) && text_folder(self.usb, count_one, &usb) == 0 && usb > 0;
    if (self.has_usb) usb_wait();
    for (unsigned i = 0; i < self.count && !self.has_usb; i++) {
        if (!self.modules[i].tried && !strstr(self.modules[i].path, "/late/")) (void)unlink(self.modules[i].path);
    }
    stage_set(STAGE_MODULES, self.failed ? STAGE_CANNOT : STAGE_GOOD, "%u loaded%s", self.loaded, self.failed ? ", others not: see above" : "");
}
