#include "appliance/console/console_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <termios.h>
#include <unistd.h>

#include "appliance/console/console_input.h"
#include "ring/clock.h"

/*
 * The terminal's description, so that the image carries no database: what `infocmp -Q1` gives of
 *
 *   heraclius|the least that every serial terminal does,
 *     am, xenl, cols#80, lines#24,
 *     bel=^G, cr=\r, cub1=^H, cud1=\n, cuf1=\E[C, cuu1=\E[A, cub=\E[%p1%dD, cuf=\E[%p1%dC, cuu=\E[%p1%dA, cud=\E[%p1%dB,
 *     ed=\E[J, el=\E[K, clear=\E[H\E[J, home=\E[H, ind=\n,
 *
 * The C library of terminals (libtinfo) takes it by the environment.
 */
static const char description[] =
    "hex:1A013400050003008200490068657261636C6975737C746865206C6561737420746861742065766572792073657269616C207465726D696E616C20646F65"
    "73000001000001005000FFFF1800FFFF00000200FFFFFFFF04000B000F00FFFFFFFFFFFF13001500FFFF1900FFFFFFFF1B00FFFF1F00FFFFFFFFFFFFFFFFFFFF"
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF2300FFFFFFFFFFFF2C003500FFFF3E00FFFFFFFFFFFFFFFFFFFFFFFF"
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF470007000D001B5B481B5B4A001B5B4B001B5B4A000A001B5B480008001B5B43001B5B41001B5B257031256442001B5B"
    "257031256444001B5B257031256443001B5B257031256441000A00";

enum { READ_BYTES = 512, STUCK_S = 10 };

static struct {
    EditLine *edit;
    History *history;
    FILE *out;
    terminal_candidate *candidate;
    const char *prompt;
    struct termios found;
    bool is_terminal, stalled;
    int found_flags[2];
    struct console_input input;
    uint8_t bytes[READ_BYTES];
    size_t bytes_at, bytes_count;
    enum terminal_event event;
    uint64_t until_ms; /* UINT64_MAX: for ever */
    uint64_t lost;
    char line[INPUT_LINE_MAX + 2];
} self;

static volatile sig_atomic_t resized, ending;

static void on_signal(int number) {
    if (number == SIGWINCH)
        resized = 1;
    else
        ending = 1;
}

/*
 * libedit waits until all output has left before it changes the terminal's mode, and does so for ever if the line is held (by modem lines: characters
 * cannot). When that takes longer than STUCK_S the output is thrown away instead. tcflush may be called here.
 */
static void on_stuck(int number) {
    (void)number;
    int fault = errno;
    (void)tcflush(1, TCOFLUSH);
    errno = fault;
}

static void stuck_after(unsigned seconds) {
    struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds}};
    (void)setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---------------------------------------------------------------- out */

/* Writes what can be written; waits for a line that takes something now and then, not for one that takes nothing. */
static void raw_write(const char *bytes, size_t count) {
    struct pollfd poll_fd = {.fd = 1, .events = POLLOUT};
    uint64_t until_ms = self.stalled ? 0 : ring_clock_ms() + OUTPUT_MS;
    while (count > 0 && !ending) {
        ssize_t some = write(1, bytes, count);
        if (some > 0) {
            bytes += some;
            count -= (size_t)some;
            self.stalled = false;
            until_ms = ring_clock_ms() + OUTPUT_MS;
            continue;
        }
        if (some < 0 && errno == EINTR) continue;
        uint64_t now_ms = ring_clock_ms();
        if ((some < 0 && errno != EAGAIN) || now_ms >= until_ms) {
            self.stalled = true;
            self.lost += count;
            return;
        }
        (void)poll(&poll_fd, 1, (int)(until_ms - now_ms));
    }
}

/* What libedit writes, escape sequences and all. */
static ssize_t cookie_write(void *cookie, const char *bytes, size_t count) {
    (void)cookie;
    raw_write(bytes, count);
    return (ssize_t)count; /* what was lost is counted; the stream shall go on */
}

void console_terminal_write(const char *text, size_t count) {
    char out[512];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] == '\n' && self.is_terminal) out[used++] = '\r';
        out[used++] = text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~') ? text[i] : '?';
        if (used + 2 > sizeof out || i + 1 == count) {
            raw_write(out, used);
            used = 0;
        }
    }
}

void console_terminal_say(const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (count > 0) console_terminal_write(text, (size_t)count < sizeof text ? (size_t)count : sizeof text - 1);
}

/* Until what was written has left, as long as it goes on leaving; else it is thrown away. */
static void settle(void) {
    int left = 0, before = 0;
    (void)fflush(self.out);
    uint64_t until_ms = ring_clock_ms() + SETTLE_MS;
    while (ioctl(1, TIOCOUTQ, &left) == 0 && left > 0 && !ending) {
        if (left != before) until_ms = ring_clock_ms() + SETTLE_MS;
        if (ring_clock_ms() >= until_ms) {
            (void)tcflush(1, TCOFLUSH);
            self.lost += (uint64_t)left;
            return;
        }
        before = left;
        (void)poll(NULL, 0, 10);
    }
}

void console_terminal_size(unsigned *width, unsigned *rows) {
    struct winsize size;
    bool known = ioctl(1, TIOCGWINSZ, &size) == 0;
    *width = known && size.ws_col ? size.ws_col : TERMINAL_WIDTH;
    *rows = known && size.ws_row ? size.ws_row : TERMINAL_ROWS;
}

uint64_t console_terminal_noise(void) {
    uint64_t dropped = self.input.dropped;
    self.input.dropped = 0;
    return dropped;
}

uint64_t console_terminal_lost(void) {
    uint64_t lost = self.lost;
    self.lost = 0;
    return lost;
}

/* ---------------------------------------------------------------- in */

/* Bytes into self.bytes. False: *event says why there are none. A change of the window's size ends the waiting too: TERMINAL_LINE then. */
static bool bytes_wait(uint64_t until_ms, enum terminal_event *event) {
    struct pollfd poll_fd = {.fd = 0, .events = POLLIN};
    for (;;) {
        *event = TERMINAL_ENDED;
        if (ending) return false;
        uint64_t now_ms = ring_clock_ms();
        int wait_ms = until_ms == UINT64_MAX ? 1000 : now_ms >= until_ms ? 0 : until_ms - now_ms > 1000 ? 1000 : (int)(until_ms - now_ms);
        int result = poll(&poll_fd, 1, wait_ms); /* at most a second: a signal may come just before */
        *event = TERMINAL_LINE;
        if (resized) return false;
        *event = TERMINAL_SILENT;
        if (result == 0 && now_ms >= until_ms) return false;
        if (result <= 0) continue;
        ssize_t count = read(0, self.bytes, sizeof self.bytes);
        if (count < 0 && (errno == EAGAIN || errno == EINTR) && !(poll_fd.revents & (POLLHUP | POLLERR | POLLNVAL))) continue;
        *event = TERMINAL_ENDED;
        if (count <= 0) return false;
        self.bytes_at = 0;
        self.bytes_count = (size_t)count;
        return true;
    }
}

int console_terminal_bytes(uint8_t *bytes, size_t size, int wait_ms) {
    enum terminal_event event = TERMINAL_LINE;
    uint64_t until_ms = ring_clock_ms() + (uint64_t)wait_ms;
    while (self.bytes_at == self.bytes_count) {
        if (bytes_wait(until_ms, &event)) break;
        if (event == TERMINAL_SILENT) return 0;
        if (event == TERMINAL_ENDED) return -1;
        resized = 0; /* the next line is drawn for the new size anyway */
    }
    size_t count = self.bytes_count - self.bytes_at < size ? self.bytes_count - self.bytes_at : size;
    memcpy(bytes, self.bytes + self.bytes_at, count);
    self.bytes_at += count;
    return (int)count;
}

void console_terminal_forget(void) {
    self.bytes_at = self.bytes_count = 0;
    if (self.is_terminal) (void)tcflush(0, TCIFLUSH);
}

static bool line_is_full(EditLine *edit) {
    const LineInfoW *info = el_wline(edit);
    return info->lastchar - info->buffer >= INPUT_LINE_MAX;
}

/* libedit's hunger for a key. The end of a line is also what it gets when the line is given up: self.event then says so. */
static int key_take(EditLine *edit, wchar_t *key) {
    stuck_after(0);
    int taken = KEY_NONE;
    while (taken == KEY_NONE) {
        if (self.bytes_at == self.bytes_count && !bytes_wait(self.until_ms, &self.event)) {
            if (self.event == TERMINAL_ENDED) return 0;
            if (self.event == TERMINAL_SILENT) taken = KEY_ENTER;
            if (self.event == TERMINAL_LINE) {
                resized = 0;
                el_resize(edit);
                el_set(edit, EL_REFRESH);
            }
            continue;
        }
        taken = console_input_byte(&self.input, self.bytes[self.bytes_at++]);
        if (taken == KEY_CANCEL) {
            self.event = TERMINAL_CANCELLED;
            taken = KEY_ENTER;
        }
        if (taken >= ' ' && line_is_full(edit)) {
            self.input.dropped++;
            taken = KEY_NONE;
        }
    }
    if (taken == KEY_ENTER) settle();
    stuck_after(STUCK_S);
    *key = (wchar_t)taken;
    return 1;
}

static char *prompt_text(EditLine *edit) {
    (void)edit;
    return (char *)(uintptr_t)self.prompt;
}

/* The word at the cursor is completed as far as all candidates agree; when that adds nothing they are listed. */
static unsigned char complete(EditLine *edit, int key) {
    const LineInfo *info = el_line(edit);
    char line[INPUT_LINE_MAX + 2];
    size_t length = (size_t)(info->cursor - info->buffer), start = length, agreed = 0;
    unsigned words = 0, fits = 0;
    const char *first = NULL;
    (void)key;
    if (length >= sizeof line) return CC_REFRESH_BEEP;
    memcpy(line, info->buffer, length);
    line[length] = '\0';
    while (start > 0 && line[start - 1] != ' ') start--;
    for (size_t i = 0; i < start; i++) words += line[i] != ' ' && line[i + 1] == ' ';
    const char *word = line + start;
    size_t typed = length - start;
    for (unsigned i = 0; self.candidate(line, words, i); i++) {
        const char *candidate = self.candidate(line, words, i);
        if (strncmp(candidate, word, typed) != 0) continue;
        if (fits++ == 0) {
            first = candidate;
            agreed = strlen(candidate);
        }
        while (agreed > 0 && strncmp(first, candidate, agreed) != 0) agreed--;
    }
    if (fits == 0) return CC_REFRESH_BEEP;
    if (agreed > typed || fits == 1) {
        char more[64];
        snprintf(more, sizeof more, "%.*s%s", (int)(agreed - typed), first + typed, fits == 1 ? " " : "");
        return el_insertstr(edit, more) == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
    }
    (void)fflush(self.out);
    console_terminal_say("\n");
    for (unsigned i = 0; self.candidate(line, words, i); i++) {
        if (strncmp(self.candidate(line, words, i), word, typed) == 0) console_terminal_say("%s  ", self.candidate(line, words, i));
    }
    console_terminal_say("\n");
    return CC_REDISPLAY;
}

enum terminal_event console_terminal_line(const char *prompt, int wait_ms, bool kept, const char **line) {
    int count = 0;
    HistEvent ignored;
    self.prompt = prompt;
    self.event = TERMINAL_LINE;
    self.until_ms = wait_ms ? ring_clock_ms() + (uint64_t)wait_ms : UINT64_MAX;
    self.line[0] = '\0';
    *line = self.line;
    settle();
    stuck_after(STUCK_S);
    const char *text = el_gets(self.edit, &count);
    stuck_after(0);
    (void)fflush(self.out);
    if (!text || count <= 0) return TERMINAL_ENDED;
    if (self.event == TERMINAL_SILENT || self.event == TERMINAL_CANCELLED) return self.event;
    size_t length = strcspn(text, "\r\n");
    if (length >= sizeof self.line) length = sizeof self.line - 1;
    memcpy(self.line, text, length);
    self.line[length] = '\0';
    if (kept && length > 0) (void)history(self.history, &ignored, H_ENTER, self.line);
    return TERMINAL_LINE;
}

/* ---------------------------------------------------------------- start and end */

static void signals_set(void) {
    static const int ends[] = {SIGTERM, SIGHUP, SIGWINCH}, ignored[] = {SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE};
    struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) (void)sigaction(ends[i], &action, NULL);
    action.sa_handler = on_stuck;
    (void)sigaction(SIGALRM, &action, NULL);
    action.sa_handler = SIG_IGN;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) (void)sigaction(ignored[i], &action, NULL);
}

static void line_set(void) {
    struct termios raw = self.found;
    raw.c_iflag &= ~(tcflag_t)(IXON | IXOFF | IXANY | ISTRIP | INLCR | IGNCR | ICRNL | PARMRK | BRKINT | INPCK);
    raw.c_iflag |= IGNBRK;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHONL | ISIG | IEXTEN);
    raw.c_oflag &= ~(tcflag_t)OPOST;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    (void)tcsetattr(0, TCSANOW, &raw);
}

bool console_terminal_start(terminal_candidate *candidate) {
    HistEvent event;
    self.candidate = candidate;
    signals_set();
    for (int fd = 0; fd < 2; fd++) {
        self.found_flags[fd] = fcntl(fd, F_GETFL);
        (void)fcntl(fd, F_SETFL, self.found_flags[fd] | O_NONBLOCK);
    }
    self.is_terminal = isatty(1) && tcgetattr(0, &self.found) == 0;
    if (self.is_terminal) line_set();
    if (setenv("TERM", "heraclius", 1) != 0 || setenv("TERMINFO", description, 1) != 0) return false;
    self.out = fopencookie(NULL, "w", (cookie_io_functions_t){.write = cookie_write});
    self.history = history_init();
    if (!self.out || !self.history) return false;
    self.edit = el_init_fd("heraclius-console", stdin, self.out, self.out, 0, 1, 1);
    if (!self.edit) return false;
    (void)history(self.history, &event, H_SETSIZE, HISTORY_LINES);
    (void)history(self.history, &event, H_SETUNIQUE, 1);
    el_set(self.edit, EL_EDITOR, "emacs");
    el_set(self.edit, EL_SIGNAL, 0);
    el_set(self.edit, EL_HIST, history, self.history);
    el_set(self.edit, EL_PROMPT, prompt_text);
    el_set(self.edit, EL_GETCFN, key_take);
    el_set(self.edit, EL_ADDFN, "console-complete", "completes a command", complete);
    el_set(self.edit, EL_BIND, "\t", "console-complete", NULL);
    el_set(self.edit, EL_BIND, "^D", "ed-delete-next-char", NULL);
    el_set(self.edit, EL_BIND, "^W", "ed-delete-prev-word", NULL);
    if (self.is_terminal) { /* its mode between two lines is to be ours too: by itself it would switch echo and signals on */
        el_set(self.edit, EL_SETTY, "-d", "-isig", "-ixon", "-ixoff", "-iexten", NULL);
        el_set(self.edit, EL_SETTY, "-x", "-isig", "-ixon", "-ixoff", "-iexten", "-icanon", "-echo", "-echoe", "-echok", "-icrnl", NULL);
    }
    return true;
}

void console_terminal_end(void) {
    if (self.edit) el_end(self.edit);
    if (self.history) history_end(self.history);
    if (self.out) (void)fclose(self.out);
    self.edit = NULL;
    self.history = NULL;
    self.out = NULL;
    if (self.is_terminal) (void)tcsetattr(0, TCSANOW, &self.found);
    for (int fd = 0; fd < 2; fd++) (void)fcntl(fd, F_SETFL, self.found_flags[fd]);
}
