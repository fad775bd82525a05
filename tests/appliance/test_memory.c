/* What a node can have of memory and CPU time: the machine's, or less by a control group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "appliance/status/memory.h"

static char root[64];
static uint64_t machine;

static void put(const char *name, const char *text) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        (void)mkdir(path, 0700);
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

static int begin(void **state) {
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/memory-XXXXXX");
    assert_non_null(mkdtemp(root));
    machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    put("proc/self/cgroup", "1:name=old:/x\n0::/a/b\n");
    return 0;
}

static int end(void **state) {
    static const char *const names[] = {"proc/self/cgroup", "proc/self", "proc", "sys/fs/cgroup/a/b/memory.max", "sys/fs/cgroup/a/b/cpu.max",
                                        "sys/fs/cgroup/a/b", "sys/fs/cgroup/a/cpu.max",
                                        "sys/fs/cgroup/a/memory.max", "sys/fs/cgroup/a", "sys/fs/cgroup/memory.max", "sys/fs/memory.max",
                                        "sys/fs/cgroup", "sys/fs", "sys", ""};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", root, names[i]);
        (void)remove(path);
    }
    return access(root, F_OK) == 0 ? -1 : 0;
}

static void without_a_group_it_is_the_machines(void **state) {
    (void)state;
    assert_true(machine > 0);
    assert_int_equal(memory_limit(root), machine);
    put("proc/self/cgroup", "nothing of the kind\n");
    assert_int_equal(memory_limit(root), machine);
    put("proc/self/cgroup", "0::/a/b"); /* without a line's end */
    put("sys/fs/cgroup/a/b/memory.max", "4096\n");
    assert_int_equal(memory_limit(root), 4096);
}

static void the_least_of_its_groups_counts(void **state) {
    (void)state;
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    assert_int_equal(memory_limit(root), machine);
    put("sys/fs/cgroup/a/memory.max", "1048576\n");
    assert_int_equal(memory_limit(root), 1048576);
    put("sys/fs/cgroup/a/b/memory.max", "2097152\n");
    assert_int_equal(memory_limit(root), 1048576);
    put("sys/fs/cgroup/memory.max", "65536\n");
    assert_int_equal(memory_limit(root), 65536);
    put("sys/fs/memory.max", "1\n"); /* above them all: no group's */
    assert_int_equal(memory_limit(root), 65536);
}

static void what_is_no_number_is_no_limit(void **state) {
    (void)state;
    put("sys/fs/cgroup/a/b/memory.max", "");
    assert_int_equal(memory_limit(root), machine);
    put("sys/fs/cgroup/a/b/memory.max", "\xff\xfe");
    assert_int_equal(memory_limit(root), machine);
    put("sys/fs/cgroup/a/b/memory.max", "99999999999999999999999999\n");
    assert_int_equal(memory_limit(root), machine);
}

static void the_least_quota_counts_and_max_or_nonsense_is_none(void **state) {
    (void)state;
    assert_int_equal(memory_cpu_thousandths(root), 0);
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(memory_cpu_thousandths(root), 0);
    put("sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
    assert_int_equal(memory_cpu_thousandths(root), 2500);
    put("sys/fs/cgroup/a/cpu.max", "50000 50000\n");
    assert_int_equal(memory_cpu_thousandths(root), 1000);
    put("sys/fs/cgroup/a/cpu.max", "1 100000\n");
    assert_int_equal(memory_cpu_thousandths(root), 1); /* a limit, however small, is not none */
    put("sys/fs/cgroup/a/cpu.max", "5 0\n");
    assert_int_equal(memory_cpu_thousandths(root), 2500);
    put("sys/fs/cgroup/a/cpu.max", "\xff");
    assert_int_equal(memory_cpu_thousandths(root), 2500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_group_it_is_the_machines, begin, end),
        cmocka_unit_test_setup_teardown(the_least_of_its_groups_counts, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_number_is_no_limit, begin, end),
        cmocka_unit_test_setup_teardown(the_least_quota_counts_and_max_or_nonsense_is_none, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
