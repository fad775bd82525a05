/*
 * heraclius-admin on a hostile admin.conf, and on hostile logs. Its requests are fuzz_admin_http.c's.
 *
 *   byte 0  bit 0: a log, in two looks; else admin.conf
 *   byte 1  of a log: bit 0 the kernel's
 *   rest    the text
 */
#include <stdio.h>
#include <string.h>

#include "appliance/admin/admin_appliance.h"
#include "appliance/admin/admin_syslog.h"
#include "merkle/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void conf_try(const char *text, size_t size) {
    struct admin_conf conf;
    char why[ADMIN_TLS_WHY_BYTES] = "";
    bool good = admin_conf_parse(&conf, text, size, why);
    CHECK(good != (why[0] != '\0') && conf.clients_count <= ADMIN_CONF_CLIENTS_MAX);
    if (good) CHECK(conf.node[0] != '\0' && strchr(conf.node, '\n') == NULL && strchr(conf.listen, ' ') == NULL);
}

/* Two looks at a log that goes on: each whole line is seen once, none is split. */
static void log_try(const char *text, size_t size, bool kernel) {
    struct admin_syslog_mark mark = {.tail_bytes = 0};
    char line[ADMIN_SYSLOG_BYTES], message[ADMIN_SYSLOG_BYTES];
    size_t cuts[] = {size / 2, size}, fresh;
    bool missing;
    for (int look = 0; look < 2; look++) {
        const char *at = admin_syslog_fresh(&mark, text, cuts[look], &fresh, &missing);
        CHECK(at >= text && at + fresh <= text + cuts[look] && (fresh == 0 || at[fresh - 1] == '\n') && (at == text || at[-1] == '\n'));
        CHECK(!missing);
        size_t count = fresh < sizeof line ? fresh : sizeof line - 1;
        memcpy(line, at, count);
        line[count] = '\0';
        struct admin_syslog_line read = admin_syslog_line_read(line, kernel);
        CHECK(read.text >= line && read.text <= line + count && (unsigned)read.severity <= 7);
        size_t used = admin_syslog_message(message, size, "n", "p", read.severity, read.text);
        CHECK(used < sizeof message && message[used] == '\0' && message[0] == '<');
        for (size_t i = 0; i < used; i++) CHECK(message[i] >= ' ' && message[i] <= '~');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    if (data[0] & 1)
        log_try((const char *)data + 2, size - 2, data[1] & 1);
    else
        conf_try((const char *)data + 1, size - 1);
    return 0;
}
