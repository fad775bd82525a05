/* The table of modules: what is loaded, in which order. The modules are files that no kernel takes: what was tried is seen in init's own log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/log.h"
#include "init/modules.h"
#include "init/say.h"
#include "tests/init/files.h"

static char table[65536];

static void module_put(const char *name, const char *needs) {
    char path[64];
    (void)snprintf(path, sizeof path, "ko/%s.ko", name);
    size_t at = strlen(table);
    (void)snprintf(table + at, sizeof table - at, "module %s %s %s\n", name, files_text(path, "no module"), needs);
}

static void device_put(const char *bus, const char *device, const char *modalias) {
    char path[128];
    (void)snprintf(path, sizeof path, "bus/%s/devices/%s/modalias", bus, device);
    (void)files_text(path, modalias);
}

/* The names that init's log has from there on as tried, in order, and "?" for a line that was not understood. */
static const char *tried_since(unsigned long before) {
    static char log[LOG_BYTES + 1], names[4096];
    char name[64];
    log[log_newest(say_log(), log, say_log()->written - before)] = '\0';
    names[0] = '\0';
    for (char *line = log, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        const char *text = strstr(line, "modules: ");
        if (!text) continue;
        size_t at = strlen(names);
        if (strstr(text, "is not understood"))
            (void)snprintf(names + at, sizeof names - at, "? ");
        else if (sscanf(text, "modules: %63[a-z0-9_/]: ", name) == 1 && strstr(text, name)[strlen(name)] == ':') {
            (void)snprintf(names + at, sizeof names - at, "%s ", name);
        }
    }
    return names;
}

static const char *tried(const char *buses) {
    unsigned long before = say_log()->written;
    char path[256];
    (void)snprintf(path, sizeof path, "%s", buses);
    modules_load(files_text("table", table), path);
    return tried_since(before);
}

static const char *tried_late(void) {
    unsigned long before = say_log()->written;
    modules_listed(true);
    return tried_since(before);
}

static bool there(const char *name) {
    char path[64];
    (void)snprintf(path, sizeof path, "ko/%s.ko", name);
    return access(files_path(path), F_OK) == 0;
}

static int fresh(void **unused) {
    (void)unused;
    table[0] = '\0';
    return 0;
}

static void what_a_device_asks_for_comes_after_what_it_needs(void **unused) {
    (void)unused;
    module_put("net", "ring bus");
    module_put("bus", "");
    module_put("ring", "");
    module_put("disk", "");
    (void)snprintf(table + strlen(table), sizeof table - strlen(table), "alias virtio:d00000001v* net\nalias virtio:d00000002v* disk\n");
    device_put("virtio", "virtio0", "virtio:d00000001v00001AF4\n");
    assert_string_equal(tried(files_path("bus")), "ring bus net ");
    assert_false(there("net") || there("ring") || there("bus"));
    assert_false(there("disk")); /* nobody asked: its memory is given back */
    assert_int_equal(stage_state(STAGE_MODULES), STAGE_CANNOT);
}

static void what_is_always_wanted_comes_once_and_after_the_devices(void **unused) {
    (void)unused;
    module_put("a", "b");
    module_put("b", "");
    module_put("c", "b");
    (void)snprintf(table + strlen(table), sizeof table - strlen(table), "load c\nload a\nload nowhere\nalias pci:v00008086* a\nalias pci:v0000* a\n");
    device_put("pci", "0000:00:01.0", "pci:v00008086d0000100E\n");
    assert_string_equal(tried(files_path("bus")), "b a c ");
}

static void what_is_for_a_place_comes_there_and_what_is_late_when_it_is_asked_for(void **unused) {
    (void)unused;
    char place[256];
    (void)snprintf(place, sizeof place, "%s", files_text("place", ""));
    module_put("efi", "");
    module_put("none", "");
    module_put("soft", "");
    module_put("hard", "");
    module_put("late/fat", "");
    module_put("late/fs", "late/fat");
    (void)snprintf(table + strlen(table), sizeof table - strlen(table),
                   "load efi %s\nload none %s.not\nload soft !%s.not\nload hard !%s\nload late/fs late\n", place, place, place, place);
    assert_string_equal(tried(files_path("no-bus")), "efi soft ");
    assert_false(there("none") || there("hard"));
    assert_true(there("late/fs") && there("late/fat"));
    assert_string_equal(tried_late(), "late/fat late/fs ");
    assert_string_equal(tried_late(), "");
}

static void what_a_table_needs_may_be_built_in(void **unused) {
    (void)unused;
    module_put("a", "builtin");
    (void)snprintf(table + strlen(table), sizeof table - strlen(table), "load a\n");
    assert_string_equal(tried(files_path("no-bus")), "a ");
}

static void drivers_of_disks_come_after_all_others_that_devices_want_and_before_what_is_always_wanted(void **unused) {
    (void)unused;
    module_put("disk/virtio", "ring");
    module_put("ring", "");
    module_put("net", "ring");
    module_put("always", "");
    (void)snprintf(table + strlen(table), sizeof table - strlen(table), "load always\nalias v:1* disk/virtio\nalias v:2* net\n");
    device_put("order", "a", "v:1\n");
    device_put("order", "b", "v:2\n");
    assert_string_equal(tried(files_path("bus")), "ring net disk/virtio always ");
    assert_false(there("disk/virtio"));
}

static void modules_that_need_each_other_end(void **unused) {
    (void)unused;
    module_put("a", "b a");
    module_put("b", "a b");
    (void)snprintf(table + strlen(table), sizeof table - strlen(table), "load a\n");
    assert_string_equal(tried(files_path("no-bus")), "b a ");
}

static void lines_that_are_none_are_said(void **unused) {
    (void)unused;
    char needs[512] = "";
    (void)snprintf(table, sizeof table, "what\nmodule\nmodule x\nalias y\nalias y z w\nload\n\n");
    for (int i = 0; i <= MODULES_NEEDS_MAX; i++) (void)snprintf(needs + strlen(needs), sizeof needs - strlen(needs), "n%d ", i);
    module_put("over", needs);
    assert_string_equal(tried(files_path("no-bus")), "? ? ? ? ? ? ? ");
    assert_int_equal(stage_state(STAGE_MODULES), STAGE_CANNOT);
}

static void so_many_needs_and_modules_are_taken_and_no_more(void **unused) {
    (void)unused;
    char needs[512] = "", name[16];
    for (int i = 0; i < MODULES_NEEDS_MAX; i++) (void)snprintf(needs + strlen(needs), sizeof needs - strlen(needs), "n%d ", i);
    module_put("full", needs);
    for (int i = 1; i < MODULES_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%d", i - 1);
        module_put(name, "");
    }
    (void)snprintf(table + strlen(table), sizeof table - strlen(table), "load full\n");
    const char *names = tried(files_path("no-bus"));
    assert_true(strncmp(names, "n0 n1 n2 ", 9) == 0 && strstr(names, "n23 full ") && !strstr(names, "?"));
    module_put("beyond", "");
    assert_non_null(strstr(tried(files_path("no-bus")), "? "));
}

static void an_image_without_a_table_is_not_whole(void **unused) {
    (void)unused;
    char missing[256];
    (void)snprintf(missing, sizeof missing, "%s", files_path("no-table"));
    modules_load(missing, files_path("bus"));
    assert_int_equal(stage_state(STAGE_MODULES), STAGE_CANNOT);
    assert_non_null(strstr(stage_text(STAGE_MODULES), "not whole"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_a_device_asks_for_comes_after_what_it_needs, fresh),
        cmocka_unit_test_setup(what_is_always_wanted_comes_once_and_after_the_devices, fresh),
        cmocka_unit_test_setup(what_is_for_a_place_comes_there_and_what_is_late_when_it_is_asked_for, fresh),
        cmocka_unit_test_setup(what_a_table_needs_may_be_built_in, fresh),
        cmocka_unit_test_setup(drivers_of_disks_come_after_all_others_that_devices_want_and_before_what_is_always_wanted, fresh),
        cmocka_unit_test_setup(modules_that_need_each_other_end, fresh),
        cmocka_unit_test_setup(lines_that_are_none_are_said, fresh),
        cmocka_unit_test_setup(so_many_needs_and_modules_are_taken_and_no_more, fresh),
        cmocka_unit_test_setup(an_image_without_a_table_is_not_whole, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
