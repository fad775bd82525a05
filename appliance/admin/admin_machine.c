#include "appliance/admin/admin_machine.h"

#include <stdlib.h>
#include <string.h>

#include "appliance/admin/admin.h"
#include "appliance/admin/admin_upgrade.h"

enum { LINE_BYTES = 512, METRIC_BYTES = 64 };

/* ---- lines name=value ---- */

bool admin_machine_value(const char *text, const char *name, char *out, size_t size) {
    size_t name_bytes = strlen(name);
    bool found = false;
    for (const char *line = text; *line != '\0';) {
        size_t bytes = strcspn(line, "\n");
        if (bytes > name_bytes && memcmp(line, name, name_bytes) == 0 && line[name_bytes] == '=' && bytes - name_bytes - 1 < size) {
            memcpy(out, line + name_bytes + 1, bytes - name_bytes - 1);
            out[bytes - name_bytes - 1] = '\0';
            found = true;
        }
        line += bytes + (line[bytes] == '\n');
    }
    return found;
}

bool admin_machine_number(const char *text, const char *name, uint64_t *number) {
    char value[24], *end = NULL;
    if (!admin_machine_value(text, name, value, sizeof value) || value[0] < '0' || value[0] > '9') return false;
    *number = strtoull(value, &end, 10);
    return *end == '\0' && *number <= INT64_MAX;
}

/* ---- programs ---- */

struct program {
    char name[ADMIN_PROGRAM_NAME_BYTES], state[16];
    unsigned long restarts;
};

/* program.NAME=STATE pid=N restarts=N TEXT */
static bool program_read(struct program *program, const char *line, size_t count) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-", restarts[] = "restarts=";
    char text[LINE_BYTES];
    if (count >= sizeof text) return false;
    memcpy(text, line, count);
    text[count] = '\0';
    size_t name = strcspn(text, "=");
    if (name == 0 || name == count || name >= sizeof program->name || strspn(text, letters) != name) return false;
    memcpy(program->name, text, name);
    program->name[name] = '\0';
    const char *state = text + name + 1, *number = strstr(state, restarts);
    size_t bytes = strcspn(state, " ");
    if (number == NULL || bytes >= sizeof program->state) return false;
    memcpy(program->state, state, bytes);
    program->state[bytes] = '\0';
    char *end = NULL;
    number += sizeof restarts - 1;
    program->restarts = strtoul(number, &end, 10);
    return number[0] >= '0' && number[0] <= '9' && (*end == ' ' || *end == '\0');
}

static size_t programs_read(struct program programs[ADMIN_PROGRAMS_MAX], const char *said) {
    static const char begins[] = "program.";
    size_t count = 0;
    for (const char *line = said; *line != '\0' && count < ADMIN_PROGRAMS_MAX;) {
        size_t bytes = strcspn(line, "\n"), skipped = sizeof begins - 1;
        if (strncmp(line, begins, skipped) == 0) count += program_read(&programs[count], line + skipped, bytes - skipped);
        line += bytes + (line[bytes] == '\n');
    }
    return count;
}

/* ---- Prometheus text ---- */

static void head_print(FILE *out, const char *name, const char *type, const char *help) {
    (void)fprintf(out, "# HELP heraclius_machine_%s %s\n# TYPE heraclius_machine_%s %s\n", name, help, name, type);
}

static void sample_print(FILE *out, const char *name, const char *node, const char *program, uint64_t value) {
    char metric[METRIC_BYTES];
    (void)snprintf(metric, sizeof metric, "heraclius_machine_%s", name);
    if (node != NULL)
        admin_metric_begin(out, metric, node);
    else
        (void)fputs(metric, out);
    if (program != NULL) (void)fprintf(out, "%sprogram=\"%s\"", node != NULL ? "," : "{", program);
    (void)fprintf(out, "%s %llu\n", node != NULL || program != NULL ? "}" : "", (unsigned long long)value);
}

static void gauge_print(FILE *out, const char *name, const char *help, const char *node, uint64_t value) {
    head_print(out, name, "gauge", help);
    sample_print(out, name, node, NULL, value);
}

static void programs_print(FILE *out, const char *said, const char *node) {
    static const struct {
        const char *name, *type, *help;
    } families[] = {{"program_up", "gauge", "1 if it runs"},
                    {"program_failed", "gauge", "1 if its configuration was refused: it is not begun anew"},
                    {"program_restarts_total", "counter", "how often it was begun anew since it was last asked to start"}};
    struct program programs[ADMIN_PROGRAMS_MAX];
    size_t count = programs_read(programs, said);
    for (size_t family = 0; family < sizeof families / sizeof families[0] && count > 0; family++) {
        head_print(out, families[family].name, families[family].type, families[family].help);
        for (size_t i = 0; i < count; i++) {
            const unsigned long values[] = {strcmp(programs[i].state, "up") == 0, strcmp(programs[i].state, "failed") == 0, programs[i].restarts};
            sample_print(out, families[family].name, node, programs[i].name, values[family]);
        }
    }
}

static void image_print(FILE *out, const char *said, const char *node) {
    struct admin_slots slots;
    admin_slots_read(&slots, said);
    if (slots.number > 0) gauge_print(out, "image_number", "of the image that runs", node, slots.number);
    if (slots.running == 0) return; /* no slots: BIOS, CD, network */
    const struct admin_slot *other = &slots.slots[SLOTS - slots.running];
    gauge_print(out, "image_on_trial", "1 if the image that runs is not blessed yet", node, slots.on_trial);
    gauge_print(out, "image_given_up", "1 if the image of the other slot was given up", node,
                other->there && !other->blessed && other->tries_left == 0);
    gauge_print(out, "image_waits", "1 if the image of the other slot is started next: a restart is due", node,
                slots.next != 0 && slots.next != slots.running);
}

void admin_machine_metrics(FILE *out, const char *said, uint64_t hangs, const char *node) {
    static const struct {
        const char *line, *name, *help;
        uint64_t unit;
    } numbers[] = {{"uptime_ms", "uptime_seconds", "since the machine started", 1000},
                   {"disk_bytes", "disk_bytes", "the data disk", 1},
                   {"disk_free", "disk_free_bytes", "what is free of the data disk", 1},
                   {"config_number", "config_number", "of the configuration in force", 1}};
    char state[LINE_BYTES];
    gauge_print(out, "up", "1 if init answers on its control socket", node, said != NULL);
    head_print(out, "node_hangs_total", "counter", "how often the node ran, answered nothing for a minute and was restarted for it");
    sample_print(out, "node_hangs_total", node, NULL, hangs);
    if (said == NULL) return;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uint64_t number;
        if (admin_machine_number(said, numbers[i].line, &number)) gauge_print(out, numbers[i].name, numbers[i].help, node, number / numbers[i].unit);
    }
    if (admin_machine_value(said, "stage.watchdog", state, sizeof state))
        gauge_print(out, "watchdog", "1 if one starts the machine anew when it hangs", node, strncmp(state, "good", 4) == 0);
    image_print(out, said, node);
    programs_print(out, said, node);
}

bool admin_metric_own(const char *family) {
    static const char *const beginnings[] = {"heraclius_machine_", "heraclius_syslog_", "heraclius_certificate_", "heraclius_pair_"};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        if (strncmp(family, beginnings[i], strlen(beginnings[i])) == 0) return true;
    }
    return strcmp(family, "heraclius_up") == 0;
}
