#include "appliance/console/console.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "appliance/console/console_terminal.h"
#include "appliance/status/ask.h"
#include "bft/ed25519.h"
#include "protocol/canonical.h"
#include "protocol/card_request.h"

enum { WORDS_MAX = 5, REQUEST_BYTES = 160, LOG_LINES = 20, BUSY_TURNS = 80, BUSY_US = 250000 };

static char node_answer[ASK_NODE_BYTES], init_answer[ASK_INIT_BYTES];

/* A file of one line of digits and lower-case letters in `folder`; "": it is not there, or is something else. */
static void file_take(const char *folder, const char *name, char *out, size_t size) {
    char path[ASK_FAULT_BYTES];
    out[0] = '\0';
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) return;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t got = fd >= 0 ? read(fd, out, size - 1) : 0;
    if (fd >= 0) close(fd);
    out[got > 0 ? got : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (strspn(out, "0123456789abcdefghijklmnopqrstuvwxyz") != strlen(out)) out[0] = '\0';
}

void console_look(struct console *console) {
    char fault[ASK_FAULT_BYTES];
    size_t count;
    struct console_node *node = &console->facts.node;
    struct console_init *init = &console->facts.init;
    if (ask_node(console->node_path, "{\"ask\":\"status\"}\n", node_answer, &count, fault)) {
        (void)console_facts_node(node, node_answer, count); /* its fault is in it */
    } else {
        memset(node, 0, sizeof *node);
        snprintf(node->fault, sizeof node->fault, "%s", fault);
    }
    if (ask_init(console->init_path, "status", -1, ASK_MS, init_answer, &count, fault)) {
        (void)console_facts_init(init, init_answer, count);
    } else {
        memset(init, 0, sizeof *init);
        snprintf(init->fault, sizeof init->fault, "%s", fault);
    }
    struct console_admin *admin = &console->facts.admin;
    file_take(console->admin_path, "pairing", admin->code, sizeof admin->code);
    file_take(console->admin_path, "fingerprint", admin->fingerprint, sizeof admin->fingerprint);
}

bool console_starting(const struct console *console) {
    char fault[ASK_FAULT_BYTES];
    size_t count;
    if (!ask_init(console->init_path, "status", -1, ASK_MS, init_answer, &count, fault)) return false;
    static const char word[] = "\nboot_ms=0\n";
    return memmem(init_answer, count, word, sizeof word - 1) != NULL;
}

/* ---------------------------------------------------------------- what init is asked to do */

/* init does one thing after the other, and says so at once: it is asked again for a while. */
static bool init_asked(const struct console *console, const char *request, int fd, int wait_ms, size_t *count, char fault[ASK_FAULT_BYTES]) {
    static const char busy[] = "error busy:";
    for (unsigned turn = 0;; turn++) {
        if (!ask_init(console->init_path, request, fd, wait_ms, init_answer, count, fault)) return false;
        if (turn == BUSY_TURNS || *count < sizeof busy - 1 || memcmp(init_answer, busy, sizeof busy - 1) != 0) return true;
        (void)usleep(BUSY_US);
    }
}

/* The answer's text behind its first line, or the reason. */
static bool init_ask(const struct console *console, const char *request, int fd, int wait_ms, const char **text, size_t *count) {
    char fault[ASK_FAULT_BYTES];
    if (!init_asked(console, request, fd, wait_ms, count, fault)) {
        console_terminal_say("init does not answer: %s\n", fault);
        return false;
    }
    size_t first = 0;
    while (first < *count && init_answer[first] != '\n') first++;
    bool ok = first == 2 && memcmp(init_answer, "ok", 2) == 0;
    if (!ok) {
        bool error = first > 6 && memcmp(init_answer, "error ", 6) == 0;
        console_terminal_say(error ? "init refuses: " : "init answers what this console does not understand: ");
        console_terminal_write(init_answer + (error ? 6 : 0), error ? first - 6 : first < 200 ? first : 200);
        console_terminal_say("\n");
        return false;
    }
    *text = init_answer + (first < *count ? first + 1 : first);
    *count -= (size_t)(*text - init_answer);
    return true;
}

bool console_init_do(const struct console *console, const char *request, int fd) {
    const char *text;
    size_t count;
    if (!init_ask(console, request, fd, ASK_JUDGE_MS, &text, &count)) return false;
    console_terminal_write(text, count);
    if (count > 0 && text[count - 1] != '\n') console_terminal_say("\n");
    return true;
}

/* ---------------------------------------------------------------- commands */

enum kind { HELP, STATUS, VIEW, LOGS, CONFIG, ASK, ACTION };

/* What an action costs: nothing that concerns votes, this node for a while, or for good. */
enum cost { COST_NOTHING, COST_AWAY, COST_FOR_GOOD };

typedef void view(const struct console_facts *facts, struct console_page *page);

static const struct command {
    const char *name, *words, *help;
    enum kind kind;
    view *view;
    const char *request; /* of init; with a word of the operator's behind it if `words` says so, and "sure" if it is an action */
    enum cost cost;
    const char *says; /* before it is asked */
} commands[] = {
    {.name = "status", .words = "[all]", .help = "is this node well, and why not (or enter alone)", .kind = STATUS},
    {.name = "logs", .words = "[NAME [before] [LINES]]", .help = "of a program, init, kmsg, crash; earlier starts", .kind = LOGS},
    {.name = "links", .words = "", .help = "network, and who is linked", .kind = VIEW, .view = console_look_links},
    {.name = "disk", .words = "", .help = "data disk and stores", .kind = VIEW, .view = console_look_disk},
    {.name = "votes", .words = "", .help = "view, heights, members", .kind = VIEW, .view = console_look_votes},
    {.name = "evidence", .words = "", .help = "faults of others that were seen", .kind = VIEW, .view = console_look_evidence},
    {.name = "config", .words = "[paste]", .help = "the configuration in force; takes a new one", .kind = CONFIG, .view = console_look_config},
    {.name = "request", .words = "[NAME]", .help = "the card request, for the owner; at first with a name", .kind = ASK, .request = "request"},
    {.name = "owner", .words = "HEX", .help = "pins the public key of the owner, once", .kind = ACTION, .request = "owner",
     .says = "From then on only what the holder of this key has signed is taken as a configuration. It cannot be changed here."},
    {.name = "adopt", .words = "", .help = "takes over the disk of another machine", .kind = ACTION, .request = "adopt",
     .says = "The data disk becomes this machine's. If the node that it belongs to runs anywhere else as well, that is a fault of a member."},
    {.name = "restart", .words = "NAME", .help = "ends a program and begins it anew", .kind = ACTION, .request = "restart", .cost = COST_AWAY,
     .says = "The program ends, within 10 s, and is begun anew."},
    {.name = "reboot", .words = "", .help = "stops all, comes up again", .kind = ACTION, .request = "reboot", .cost = COST_AWAY,
     .says = "The machine goes down and comes up again."},
    {.name = "slots", .words = "", .help = "the two images: which runs, which is next", .kind = VIEW, .view = console_look_slots},
    {.name = "rollback", .words = "", .help = "reboots into the image before this one", .kind = ACTION, .request = "rollback", .cost = COST_AWAY,
     .says = "The machine comes up again with the image that it ran before."},
    {.name = "halt", .words = "", .help = "stops all, switches off", .kind = ACTION, .request = "halt", .cost = COST_AWAY,
     .says = "The machine goes down and stays down until somebody switches it on."},
    {.name = "retire", .words = "", .help = "gives up the node's key for ever", .kind = ACTION, .request = "retire", .cost = COST_FOR_GOOD,
     .says = "The key of this node never signs again. This cannot be taken back: its place has to be given to a new node."},
    {.name = "help", .words = "", .help = "this page", .kind = HELP},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static const char *program_names[FACT_LINES_MAX + 4];

void console_candidates_from(const struct console *console) {
    unsigned count = 0;
    program_names[count++] = "init";
    program_names[count++] = "kmsg";
    program_names[count++] = "crash";
    for (uint32_t i = 0; i < console->facts.init.programs_count; i++) program_names[count++] = console->facts.init.programs[i].name;
    program_names[count] = NULL;
}

const char *console_candidate(const char *line, unsigned word_index, unsigned i) {
    if (word_index == 0) return i < COMMANDS ? commands[i].name : NULL;
    while (*line == ' ') line++;
    if (word_index == 2 && strncmp(line, "logs ", 5) == 0) return i == 0 ? "before" : NULL;
    if (word_index > 1) return NULL;
    if (strncmp(line, "logs ", 5) == 0) return program_names[i];
    if (strncmp(line, "restart ", 8) == 0) return program_names[i + 3]; /* these three are none */
    if (strncmp(line, "config ", 7) == 0) return i == 0 ? "paste" : NULL;
    if (strncmp(line, "status ", 7) == 0) return i == 0 ? "all" : NULL;
    return NULL;
}

static void page_show(const struct console_page *page) {
    console_terminal_write(page->text, page->used);
}

static void help_show(struct console_page *page) {
    char usage[48];
    for (unsigned i = 0; i < COMMANDS; i++) {
        snprintf(usage, sizeof usage, "%s %s", commands[i].name, commands[i].words);
        if (page->width >= 60)
            console_page_put(page, "", "%-22s %s", usage, commands[i].help);
        else
            console_page_put(page, "", "%s: %s", usage, commands[i].help);
    }
    console_page_put(page, "", "What only shows may be shortened: st, li, v. Tab completes, ctrl-C leaves a line.");
}

/* The newest `lines` lines of init's answer. */
static void log_show(const struct console *console, const char *name, bool before, unsigned lines) {
    char request[REQUEST_BYTES];
    const char *text;
    size_t count, start;
    if (strcmp(name, "kmsg") == 0)
        snprintf(request, sizeof request, before ? "log crash before" : "kmsg");
    else
        snprintf(request, sizeof request, "log %s%s", name, before ? " before" : "");
    if (!init_ask(console, request, -1, ASK_MS, &text, &count)) return;
    if (count > 0 && text[count - 1] == '\n') count--;
    for (start = count; start > 0; start--) {
        if (text[start - 1] == '\n' && --lines == 0) break;
    }
    console_terminal_write(text + start, count - start);
    console_terminal_say(count == 0 ? "(empty)\n" : "\n");
}

/* 0: no count of lines. */
static unsigned lines_of(const char *word) {
    char *end;
    unsigned long value = strtoul(word, &end, 10);
    return word[0] >= '0' && word[0] <= '9' && *end == '\0' && value <= CONSOLE_LOG_LINES_MAX ? (unsigned)value : 0;
}

/* Asks once. False: the line has ended. */
static bool confirm(bool *sure) {
    const char *line;
    console_terminal_forget(); /* a "yes" that was pasted behind the command is none */
    enum terminal_event event = console_terminal_line("Sure? Type yes: ", CONSOLE_CONFIRM_MS, false, &line);
    *sure = event == TERMINAL_LINE && strcmp(line, "yes") == 0;
    return event != TERMINAL_ENDED;
}

static bool action_run(struct console *console, const struct command *command, const char *word, struct console_page *page) {
    char request[REQUEST_BYTES];
    bool sure = false;
    console_look(console);
    console_page_put(page, "", "%s", command->says);
    bool of_node = command->cost == COST_FOR_GOOD || (command->cost == COST_AWAY && (!word || strcmp(word, "node") == 0));
    if (of_node)
        console_look_cost(&console->facts, command->cost == COST_FOR_GOOD, page);
    else
        console_page_put(page, "", "It costs no vote.");
    page_show(page);
    if (!confirm(&sure)) return false;
    if (!sure) {
        console_terminal_say("Not done.\n");
        return true;
    }
    snprintf(request, sizeof request, "%s%s%s sure", command->request, word ? " " : "", word ? word : "");
    if (console_init_do(console, request, -1)) console_terminal_say("Done: init has taken it.\n");
    return true;
}

/* By the id the owner sees that nobody changed the request on its way. */
static void request_id_show(const char *text, size_t count) {
    static uint8_t copy[CARD_REQUEST_TEXT_BYTES_MAX];
    static bool started;
    char id[2 * 32 + 1];
    struct card card;
    struct system_fault fault = {.text = "it is too long"};
    started = started || ed25519_start(NULL);
    if (!started) {
        console_terminal_say("Its id cannot be computed: the Ed25519 library fails its self-test.\n");
        return;
    }
    if (count <= sizeof copy) memcpy(copy, text, count);
    if (count > sizeof copy || card_request_parse(&card, copy, count, &fault) != SYSTEM_OK) {
        console_terminal_say("This is no card request that can be approved: %.200s\n", fault.text);
        return;
    }
    canonical_hex_print(card.id, 32, id);
    console_terminal_say("id    %s\nname  %s\n", id, card.name);
}

static void ask_run(const struct console *console, const struct command *command, const char *word) {
    char request[REQUEST_BYTES];
    const char *text;
    size_t count;
    snprintf(request, sizeof request, "%s%s%s", command->request, word ? " " : "", word ? word : "");
    if (!init_ask(console, request, -1, ASK_JUDGE_MS, &text, &count)) return;
    console_terminal_write(text, count);
    request_id_show(text, count);
}

/* If the other image was given up: what its trial said last, in an earlier start of the machine. */
static void given_up_look(struct console *console) {
    struct console_init *init = &console->facts.init;
    const char *slot = init->slots[strcmp(init->slot, "1") == 0], *text = NULL;
    char number[24], wanted[64];
    size_t count = 0, length;
    if (strcmp(init->slot, "0") == 0 || !strstr(slot, " unblessed tries 0 ") || sscanf(slot, "number %20[0-9] ", number) != 1) return;
    snprintf(init->given_up, sizeof init->given_up, "its trial said nothing that is kept: it may not have come so far (logs crash)");
    if (!init_ask(console, "log trial before 60000", -1, ASK_MS, &text, &count)) return;
    length = (size_t)snprintf(wanted, sizeof wanted, "trial of %s waits for ", number);
    for (const char *at; (at = memmem(text, count, wanted, length)) != NULL;) {
        count -= (size_t)(at + length - text);
        text = at + length;
        const char *end = memchr(text, '\n', count), *said = memmem(text, end ? (size_t)(end - text) : count, ": ", 2);
        if (end && said) snprintf(init->given_up, sizeof init->given_up, "%.*s", (int)(end - said - 2), said + 2);
    }
}

static bool command_run(struct console *console, const struct command *command, char *words[WORDS_MAX], unsigned count) {
    static struct console_page page;
    unsigned width, rows;
    console_terminal_size(&width, &rows);
    bool all = command->kind == STATUS && count == 2 && strcmp(words[1], "all") == 0;
    console_page_begin(&page, width, command->kind == STATUS && !all ? (rows > 4 ? rows - 2 : 2) : 0);
    switch (command->kind) {
    case HELP: help_show(&page); break;
    case STATUS:
        console_look(console);
        console_look_status(&console->facts, &page);
        console_page_end(&page, "(more: status all)");
        break;
    case LOGS: {
        bool before = count > 2 && strcmp(words[2], "before") == 0;
        unsigned number = 2u + before;
        log_show(console, count > 1 ? words[1] : "init", before, count > number ? lines_of(words[number]) : LOG_LINES);
        return true;
    }
    case CONFIG:
        if (count == 2) return console_config_paste(console);
        console_look(console);
        command->view(&console->facts, &page);
        break;
    case VIEW:
        console_look(console);
        if (command->view == console_look_slots) given_up_look(console);
        command->view(&console->facts, &page);
        break;
    case ASK: ask_run(console, command, count > 1 ? words[1] : NULL); return true;
    case ACTION: return action_run(console, command, count > 1 ? words[1] : NULL, &page);
    }
    page_show(&page);
    return true;
}

static bool names_program(const struct console_init *init, const char *name) {
    return init->programs_count == 0 || console_facts_line(init->programs, init->programs_count, name) != NULL;
}

/* What init would refuse after it was confirmed is refused before. */
static bool word_good(struct console *console, const struct command *command, const char *word) {
    if (strcmp(command->name, "owner") == 0 && (strlen(word) != 64 || word[strspn(word, "0123456789abcdef")] != '\0')) {
        console_terminal_say("An owner's key is 64 digits, 0 to 9 and a to f; these are %zu, or other ones.\n", strlen(word));
        return false;
    }
    if (strcmp(command->name, "restart") != 0) return true;
    console_look(console);
    if (names_program(&console->facts.init, word)) return true;
    console_terminal_say("no program %.40s; there are:", word);
    for (uint32_t i = 0; i < console->facts.init.programs_count; i++) console_terminal_say(" %s", console->facts.init.programs[i].name);
    console_terminal_say("\n");
    return false;
}

/* By its name in any case; what changes nothing by its beginning too, if no other such begins so. */
static const struct command *command_find(const char *word) {
    const struct command *found = NULL;
    size_t count = strlen(word);
    if (strcmp(word, "?") == 0) word = "help", count = 4;
    for (unsigned i = 0; i < COMMANDS; i++) {
        if (strcasecmp(word, commands[i].name) == 0) return &commands[i];
    }
    for (unsigned i = 0; i < COMMANDS; i++) {
        if (commands[i].kind == ACTION || commands[i].kind == ASK || strncasecmp(word, commands[i].name, count) != 0) continue;
        if (found) return NULL;
        found = &commands[i];
    }
    return found;
}

/* How many words may stand behind the command, and whether these do. */
static bool words_fit(const struct command *command, char *words[WORDS_MAX], unsigned count) {
    switch (command->kind) {
    case LOGS: {
        unsigned number = 2u + (count > 2 && strcmp(words[2], "before") == 0);
        return count <= number || (count == number + 1 && lines_of(words[number]) > 0);
    }
    case STATUS: return count == 1 || (count == 2 && strcmp(words[1], "all") == 0);
    case ASK: return count <= 2;
    case CONFIG: return count == 1 || (count == 2 && strcmp(words[1], "paste") == 0);
    default: return count == (command->words[0] ? 2u : 1u);
    }
}

bool console_run(struct console *console, const char *line) {
    char text[INPUT_LINE_MAX + 2], *words[WORDS_MAX], *rest = NULL;
    unsigned count = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (count < WORDS_MAX) words[count] = word;
        count++;
    }
    if (count == 0) return command_run(console, &commands[0], words, 1);
    const struct command *command = command_find(words[0]);
    if (!command)
        console_terminal_say("no command %.40s: \"help\" names them\n", words[0]);
    else if (count >= WORDS_MAX || !words_fit(command, words, count))
        console_terminal_say("usage: %s %s\n", command->name, command->words);
    else if (command->kind != ACTION || count == 1 || word_good(console, command, words[1]))
        return command_run(console, command, words, count);
    return true;
}
