/* "config paste": an armored bundle from the line into a file of memory, and that file's descriptor to init. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "appliance/console/console.h"
#include "appliance/console/console_input.h"
#include "appliance/console/console_terminal.h"

enum { SWALLOW_MS = 1000 };

/* After a fault the rest of the paste must not be taken for commands: until the line is still for a second. False: ended. */
static bool swallow(void) {
    uint8_t bytes[512];
    int count;
    while ((count = console_terminal_bytes(bytes, sizeof bytes, SWALLOW_MS)) > 0) continue;
    return count == 0;
}

enum outcome { TAKEN, GIVEN_UP, REFUSED, LINE_ENDED };

/* One byte of the paste; TAKEN: it goes on, or *done. `why` is for REFUSED. */
static enum outcome byte_take(struct console_paste *paste, uint8_t byte, FILE *out, bool *done, char why[PASTE_FAULT_BYTES]) {
    if (byte == KEY_CANCEL) return GIVEN_UP;
    switch (console_paste_byte(paste, byte)) {
    case PASTE_MORE: return TAKEN;
    case PASTE_DONE: *done = true; return TAKEN;
    case PASTE_FAULT: snprintf(why, PASTE_FAULT_BYTES, "%s", paste->fault); return REFUSED;
    case PASTE_LINE: break;
    }
    if (paste->bytes > CONSOLE_CONFIG_BYTES_MAX) {
        snprintf(why, PASTE_FAULT_BYTES, "it is longer than %d MiB", CONSOLE_CONFIG_BYTES_MAX >> 20);
        return REFUSED;
    }
    if (fputs(paste->line, out) < 0 || fputc('\n', out) < 0) {
        snprintf(why, PASTE_FAULT_BYTES, "it could not be kept: %s", strerror(errno));
        return REFUSED;
    }
    if (!paste->inside) console_terminal_say("  %s\n", paste->kind);
    return TAKEN;
}

static enum outcome paste_take(FILE *out, char why[PASTE_FAULT_BYTES]) {
    static struct console_paste paste;
    uint8_t bytes[512];
    bool done = false;
    memset(&paste, 0, sizeof paste);
    while (!done) {
        bool may_end = paste.blocks > 0 && !paste.inside && (paste.used == 0 || paste.taken);
        int count = console_terminal_bytes(bytes, sizeof bytes, may_end ? CONSOLE_PASTE_END_MS : CONSOLE_PASTE_IDLE_MS);
        if (count < 0) return LINE_ENDED;
        if (count == 0 && may_end) break;
        if (count == 0) {
            const char *where = paste.inside ? ", in the middle of a block" : "";
            snprintf(why, PASTE_FAULT_BYTES, "nothing came for %d s%s", CONSOLE_PASTE_IDLE_MS / 1000, where);
            return REFUSED;
        }
        for (int i = 0; i < count && !done; i++) {
            enum outcome outcome = byte_take(&paste, bytes[i], out, &done, why);
            if (outcome != TAKEN) return outcome;
        }
    }
    if (paste.dropped) console_terminal_say("%llu bytes of noise were dropped\n", (unsigned long long)paste.dropped);
    if (paste.blocks > 0) return TAKEN;
    snprintf(why, PASTE_FAULT_BYTES, "there was no block in it");
    return REFUSED;
}

bool console_config_paste(struct console *console) {
    char why[PASTE_FAULT_BYTES] = "";
    int fd = memfd_create("configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out) {
        console_terminal_say("no place to keep it: %s\n", strerror(errno));
        if (fd >= 0) close(fd);
        return true;
    }
    console_terminal_say("Paste it now, armored blocks one after another. It ends %d s after its last block, or with a line\n"
                         "that is a single dot; ctrl-C gives up. It is not echoed.\n",
                         CONSOLE_PASTE_END_MS / 1000);
    enum outcome outcome = paste_take(out, why);
    if (outcome == TAKEN && (fflush(out) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) < 0)) {
        snprintf(why, sizeof why, "it could not be kept: %s", strerror(errno));
        outcome = REFUSED;
    }
    bool alive = outcome == TAKEN || (outcome != LINE_ENDED && swallow());
    if (outcome == REFUSED) console_terminal_say("Not taken: %s\n", why);
    if (outcome == GIVEN_UP) console_terminal_say("Given up; nothing has changed.\n");
    if (outcome == TAKEN) {
        rewind(out);
        if (console_init_do(console, "config", fd)) console_terminal_say("The configuration is in force.\n");
    }
    (void)fclose(out);
    return alive;
}
