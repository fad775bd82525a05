/*
 * How init keeps a configuration on a data disk that is full: it takes as much as that needs of the room that heraclius-setup has ready for it
 * (appliance/setup/setup.h).
 *
 * The disk is a file system in memory, below a root folder of the test's own; what heraclius-setup would say is below.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/config.h"
#include "init/disk.h"
#include "init/job.h"
#include "init/machine.h"
#include "init/modules.h"
#include "init/program.h"
#include "init/say.h"
#include "init/text.h"

#define KEPT "/data/config/bundle"

/* ---- what init has beside it ---- */

bool job_do(const struct job *job, char answer[JOB_ANSWER_BYTES]) {
    const char *fault = job->work ? job->work(job->context) : NULL;
    if (!job->work && strcmp(job->words[1], "take") == 0) return snprintf(answer, JOB_ANSWER_BYTES, "number 1\nnode n1\nready\n") > 0;
    (void)snprintf(answer, JOB_ANSWER_BYTES, "%s", fault ? fault : "");
    return !fault;
}
struct program_now *program_now(enum program program) {
    static struct program_now now;
    (void)program;
    return &now;
}
void program_event(enum program program, enum service_event event, uint64_t now_ms) {
    (void)program, (void)event, (void)now_ms;
}
void program_again(enum program program, uint64_t now_ms) {
    (void)program, (void)now_ms;
}
uint64_t machine_now_ms(void) {
    return 1;
}
void disk_configs(disk_config *each) {
    (void)each;
}
void modules_listed(bool late) {
    (void)late;
}
void say(const char *format, ...) {
    (void)format;
}
void stage_set(enum stage stage, enum stage_state state, const char *format, ...) {
    (void)stage, (void)state, (void)format;
}
enum stage_state stage_state(enum stage stage) {
    (void)stage;
    return STAGE_GOOD;
}

/* ---- the disk ---- */

/* A file of so many bytes, all of them there. False: there is no room. */
static bool make(const char *path, off_t bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && (bytes == 0 || fallocate(fd, 0, 0, bytes) == 0);
    if (fd >= 0) (void)close(fd);
    if (fd >= 0 && !good) (void)unlink(path);
    return good;
}

/* No block is free any more, nor, with `inodes`, an inode. */
static void fill(bool inodes) {
    char path[64];
    for (off_t step = 256 << 10, i = 0; step >= 4096; i++) {
        (void)snprintf(path, sizeof path, "/data/node/%d", (int)i);
        if (!make(path, step)) step /= 2;
    }
    for (int i = 0; inodes; i++) {
        (void)snprintf(path, sizeof path, "/data/node/empty%d", i);
        if (!make(path, 0)) break;
    }
}

/* 4 MiB and 200 inodes, a kept configuration of 5 bytes, `pieces` of 256 KiB of the room. */
static bool disk_make(int pieces) {
    static const char *const folders[] = {"/data/node", "/data/public", "/data/config"};
    char piece[] = "/data/public/ballast.a";
    bool good = mkdir("/data", 0755) == 0 && mkdir("/run", 0755) == 0 && mkdir("/run/init", 0755) == 0 &&
                mount("tmpfs", "/data", "tmpfs", 0, "size=4m,nr_inodes=200") == 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) good = good && mkdir(folders[i], 0755) == 0;
    for (int i = 0; i < pieces; i++, piece[sizeof piece - 2]++) good = good && make(piece, 256 << 10);
    return good && make(KEPT, 5);
}

static off_t size_of(const char *path) {
    struct stat about;
    return lstat(path, &about) == 0 ? about.st_size : -1;
}

static bool offer(off_t bytes, char reason[CONFIG_REASON_BYTES]) {
    bool good = make("/run/candidate", bytes);
    int fd = open("/run/candidate", O_RDONLY | O_CLOEXEC);
    reason[0] = '\0';
    good = good && fd >= 0 && config_offer(fd, "test", reason);
    (void)close(fd);
    return good && size_of(KEPT) == bytes;
}

/* ---- cases, each in a child with a root folder of its own: there is no way back out of it ---- */

static bool of_the_last_block(void) {
    char reason[CONFIG_REASON_BYTES];
    bool good = disk_make(4);
    fill(false);
    good = good && offer(600 << 10, reason) && size_of("/data/public/ballast.c") < 0;
    return good && size_of("/data/public/ballast.d") > 0; /* no more than it takes */
}

static bool of_the_last_inode(void) {
    char reason[CONFIG_REASON_BYTES];
    bool good = disk_make(4);
    fill(true);
    return good && offer(1000, reason) && size_of("/data/public/ballast.a") < 0 && size_of("/data/public/ballast.b") > 0;
}

static bool of_too_little(void) {
    char reason[CONFIG_REASON_BYTES];
    bool good = disk_make(1);
    fill(true);
    good = good && !offer(600 << 10, reason) && size_of(KEPT) == 5 && size_of(KEPT ".new") < 0;
    return good && strcmp(reason, "it could not be kept: the disk is full: give it more room, then reboot") == 0;
}

static bool of_a_stranger(void) {
    char reason[CONFIG_REASON_BYTES];
    bool good = disk_make(0) && make("/data/node/own", 256 << 10) && symlink("/data/node/own", "/data/public/ballast.a") == 0 &&
                mkfifo("/data/public/ballast.b", 0600) == 0 && mkdir("/data/public/ballast.c", 0700) == 0 &&
                make("/data/public/ballast.t", 256 << 10);
    fill(false);
    return good && offer(100 << 10, reason) && size_of("/data/node/own") == 256 << 10;
}

static bool with_room(void) {
    char reason[CONFIG_REASON_BYTES];
    return disk_make(1) && offer(600 << 10, reason) && size_of("/data/public/ballast.a") > 0;
}

/* What is mounted is seen by this process alone; it is root there, whoever runs the test. */
static bool alone(void) {
    char users[32], groups[32];
    const bool is_root = geteuid() == 0;
    (void)snprintf(users, sizeof users, "0 %u 1", geteuid());
    (void)snprintf(groups, sizeof groups, "0 %u 1", getegid());
    if (unshare(is_root ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0) return false;
    bool good = is_root || (text_write("/proc/self/setgroups", 0, "deny") == 0 && text_write("/proc/self/uid_map", 0, users) == 0 &&
                            text_write("/proc/self/gid_map", 0, groups) == 0);
    return good && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void in_root(bool (*what)(void)) {
    char root[] = "/tmp/config-XXXXXX";
    int status = 0;
    assert_non_null(mkdtemp(root));
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool there = alone() && mount("tmpfs", root, "tmpfs", 0, "size=16m") == 0 && chroot(root) == 0 && chdir("/") == 0;
        _exit(!there ? 2 : what() ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(rmdir(root), 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2) skip();
    assert_int_equal(status, 0);
}

static void a_configuration_finds_room_on_a_disk_that_is_full_to_its_last_block(void **unused) {
    (void)unused;
    in_root(of_the_last_block);
}
static void and_to_its_last_inode(void **unused) {
    (void)unused;
    in_root(of_the_last_inode);
}
static void without_room_it_is_refused_with_what_to_do_and_the_last_one_stays(void **unused) {
    (void)unused;
    in_root(of_too_little);
}
static void what_a_stranger_has_in_the_place_of_the_room_is_not_followed(void **unused) {
    (void)unused;
    in_root(of_a_stranger);
}
static void a_disk_with_room_keeps_what_is_ready_for_a_full_one(void **unused) {
    (void)unused;
    in_root(with_room);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_finds_room_on_a_disk_that_is_full_to_its_last_block),
        cmocka_unit_test(and_to_its_last_inode),
        cmocka_unit_test(without_room_it_is_refused_with_what_to_do_and_the_last_one_stays),
        cmocka_unit_test(what_a_stranger_has_in_the_place_of_the_room_is_not_followed),
        cmocka_unit_test(a_disk_with_room_keeps_what_is_ready_for_a_full_one),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
