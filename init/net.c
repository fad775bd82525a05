#include "init/net.h"
#include "init/program.h"
#include "init/say.h"
#include "init/text.h"
#include <string.h>

static char dhcp_links[NET_STATE_BYTES], newest[NET_STATE_BYTES]; /* what dhcpcd was begun for; the lines `net.` */

static void stage_take(char *line) {
    char *words[2] = {"", ""};
    (void)text_words(line, words, 2);
    for (enum stage_state state = 0; state < STAGE_STATES; state++) {
        if (strcmp(words[0], stage_state_names[state]) == 0) stage_set(STAGE_NETWORK, state, "%s", words[1]);
    }
}

static void dhcp_take(const char *links, bool may_start, uint64_t now_ms) {
    if (!may_start || strcmp(links, dhcp_links) == 0) return;
    (void)text_form(dhcp_links, sizeof dhcp_links, "%s", links);
    if (links[0]) program_again(PROGRAM_DHCP, now_ms);
    else program_event(PROGRAM_DHCP, SERVICE_STOP, now_ms);
}

void net_look(bool may_start, uint64_t now_ms) {
    char text[NET_STATE_BYTES], *links = "";
    size_t used = 0;
    if (text_read("/run/net/state", text, sizeof text) < 0) return;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        text_clean(line);
        if (line == text) stage_take(line);
        else if (strncmp(line, "dhcp ", 5) == 0) links = line + 5;
        else if (strncmp(line, "net.", 4) == 0 && text_form(newest + used, sizeof newest - used, "%s\n", line)) used += strlen(line) + 1;
    }
    newest[used] = '\0';
    dhcp_take(links, may_start, now_ms);
}

const char *net_lines(void) {
    return newest;
}
