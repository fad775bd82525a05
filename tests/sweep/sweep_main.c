/*
 * The crash-point sweep: of a record of the real store or node (tests/sweep/record.h) it makes each event a moment at which the power goes, rebuilds
 * what the disk may hold then (image.h), opens that with the product's own store and recovery, and compares.
 *
 *   sweep --record FILE --work DIR [--base DIR] [--config NODE.CONF] [--data NAME] [--points N] [--cuts N] [--seed S] [--plant FAULT]
 *
 *   --config    the record is of a node: recover it whole; without: of store_run, the stores alone
 *   --base      the folder as it was when the record began
 *   --data      the data directory inside of the folder; default: the folder itself
 *   --points    so many events, in rows of neighbours; 0: all
 *   --cuts      images for each event: nothing of what is unsynced, all of it, then random ones
 *   --plant     missing-sync: syncs of wal/data.mdb count for nothing; missing-value-sync: those of wal/values; missing-journal-sync: writes to
 *               wal/journal are as if it were not opened to be synchronous; early-send: each message counts as sent so many events before it was.
 *               The sweep must then find a violation.
 *
 * What must hold, whenever the power goes:
 *   - the write-ahead store opens, and holds exactly what it held after its last commit that was done, or, when the cut falls into the one write that
 *     makes the next, after that: so what was said to be durable is there (P-1), and nothing is there in part;
 *   - likewise the checkpoint; only while the node itself replaces it may it be missing, and then the one that came from peers is there (P-3, P-34);
 *   - of a node: recovery ends with what the certificates prove; its voting memory knows every PREPARE, COMMIT and TIMEOUT that had left it (P-4,
 *     judged as LAST-SIGNED judges, P-14); and of each block of which it had shown anything outside, the body is there or a checkpoint above it.
 *
 * "What it held after its last commit" is asked of the store itself, on an image that has everything that the process wrote, as its page cache has.
 * Exit: 0 all held; 3 a violation, in one line; 2 usage.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/replica/replica_private.h"
#include "merkle/check.h"
#include "protocol/last_signed.h"
#include "tests/sweep/image.h"
#include "tests/sweep/reopen.h"
#include "tests/sweep/store_run.h"

enum { ROW = 48, CUTS_MAX = 16, EARLY = 12, EXIT_VIOLATION = 3 };

static const char *const kind_names[RECORD_KINDS] = {"",      "write",  "durable write", "sync",   "sync of a folder", "length",
                                                     "create", "mkdir", "rename",        "unlink", "rmdir",            "send"};

static const char *const cut_names[] = {"nothing of what is unsynced", "all of what is unsynced", "a part of what is unsynced"};

struct row_event {
    struct record_event head;
    const char *path;
    const uint8_t *bytes;
};

struct sweep {
    const char *record, *base, *config, *data, *work, *plant;
    uint64_t points, cuts, seed, random;
    uint8_t *mapped;
    size_t mapped_bytes;
    struct row_event *events;
    uint64_t count, room;
    bool *chosen;
    struct image *image;
    struct node *node;
    char out[4096], directory[4200];
    struct reopened last, truth;
    uint64_t commits, truth_commits; /* changes of the stores that are done */
    bool truth_known;
    uint64_t wal_before; /* an image in the middle of a commit had this; to be compared with what is true after it */
    bool wal_open_question, state_open_question;
    uint64_t state_before;
    /* what the record says so far */
    struct last_signed_answer sent;
    uint64_t shown_height;
    bool created, state_may_lack, promoting;
    /* figures */
    uint64_t point_count, image_count, restored_count, kinds[RECORD_KINDS];
};

__attribute__((noreturn)) static void usage(const char *what) {
    fprintf(stderr, "sweep: %s\n", what);
    exit(2);
}

__attribute__((noreturn)) static void violation(const struct sweep *s, uint64_t at, const char *cut, const char *text) {
    const struct row_event *event = &s->events[at];
    printf("violation at event %llu of %llu (%s %.*s), %s, seed %llu: %s\n", (unsigned long long)at, (unsigned long long)s->count,
           kind_names[event->head.kind], (int)event->head.path_bytes, event->path, cut, (unsigned long long)s->seed, text);
    exit(EXIT_VIOLATION);
}

/* A page that is not there, or leads nowhere, is a signal: the store is read through a memory map. */
static char fault_line[400];

static void on_fault(int number) {
    (void)number;
    ssize_t wrote = write(STDOUT_FILENO, fault_line, strlen(fault_line));
    (void)wrote;
    _exit(EXIT_VIOLATION);
}

static void faults_catch(void) {
    struct sigaction action = {.sa_handler = on_fault};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGBUS, &action, NULL) == 0 && sigaction(SIGSEGV, &action, NULL) == 0);
}

/* ---- the record ---- */

static void record_load(struct sweep *s) {
    int fd = open(s->record, O_RDONLY | O_CLOEXEC);
    struct stat about;
    if (fd < 0 || fstat(fd, &about) != 0 || about.st_size == 0) usage("no record");
    s->mapped_bytes = (size_t)about.st_size;
    s->mapped = mmap(NULL, s->mapped_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(s->mapped != MAP_FAILED);
    close(fd);
    for (size_t at = 0; at + sizeof(struct record_event) <= s->mapped_bytes;) {
        struct row_event event;
        memcpy(&event.head, s->mapped + at, sizeof event.head);
        at += sizeof event.head;
        if (event.head.bytes > s->mapped_bytes || at + event.head.path_bytes + event.head.bytes > s->mapped_bytes) break; /* cut off by a kill */
        CHECK(event.head.kind >= RECORD_WRITE && event.head.kind < RECORD_KINDS);
        event.path = (const char *)s->mapped + at;
        event.bytes = s->mapped + at + event.head.path_bytes;
        at += event.head.path_bytes + event.head.bytes;
        if (s->count == s->room) {
            s->room = s->room == 0 ? 4096 : 2 * s->room;
            s->events = realloc(s->events, s->room * sizeof *s->events);
            CHECK(s->events != NULL);
        }
        s->events[s->count++] = event;
    }
}

static void points_choose(struct sweep *s) {
    s->chosen = calloc(s->count + 1, 1);
    CHECK(s->chosen != NULL);
    uint64_t left = s->points == 0 || s->points > s->count ? s->count : s->points;
    if (left == s->count) memset(s->chosen, 1, s->count);
    while (left > 0 && left < s->count) {
        uint64_t first = image_random(&s->random) % s->count;
        for (uint64_t i = first; i < first + ROW && i < s->count && left > 0; i++) {
            if (s->chosen[i]) continue;
            s->chosen[i] = true;
            left--;
        }
    }
}

/* Each message moves so many places up: as if it had been sent before what it waits for was durable. */
static void sends_move_up(struct sweep *s) {
    for (uint64_t i = EARLY; i < s->count; i++) {
        struct row_event event = s->events[i];
        if (event.head.kind != RECORD_NOTE) continue;
        memmove(&s->events[i - EARLY + 1], &s->events[i - EARLY], EARLY * sizeof event);
        s->events[i - EARLY] = event;
    }
}

static bool is_data_of(const struct row_event *event, const char *ending) {
    size_t length = strlen(ending);
    return event->head.path_bytes >= length && memcmp(event->path + event->head.path_bytes - length, ending, length) == 0;
}

/* ---- what was sent ---- */

static void vote_sent(struct sweep *s, const struct bft_vote *vote) {
    bool prepare = vote->kind == BFT_PREPARE;
    bool *has = prepare ? &s->sent.has_prepare : &s->sent.has_commit;
    struct bft_vote *held = prepare ? &s->sent.prepare : &s->sent.commit;
    if (*has && !last_signed_vote_newer(vote, held)) return;
    *held = *vote;
    *has = true;
}

/* Of what a peer or client was shown of a block, the block. */
static void shown(struct sweep *s, const uint8_t *bytes, size_t count) {
    struct decision decision;
    if (decision_decode(bytes, count, &decision) == DECISION_OK && decision.leaf.height > s->shown_height) s->shown_height = decision.leaf.height;
}

static void sent(struct sweep *s, const struct row_event *event) {
    uint16_t type = (uint16_t)event->head.offset;
    struct bft_message message;
    if (type == MESSAGE_COMPACT_DECISION || type == MESSAGE_ANSWER) shown(s, event->bytes, event->head.bytes);
    if (type != BFT_MESSAGE_PROPOSE && type != BFT_MESSAGE_PREPARE && type != BFT_MESSAGE_COMMIT && type != BFT_MESSAGE_TIMEOUT) return;
    CHECK(bft_wire_decode(type, event->bytes, event->head.bytes, &message) == BFT_WIRE_OK);
    const struct bft_vote *vote = type == BFT_MESSAGE_PROPOSE ? &message.propose.vote : &message.vote;
    if (type != BFT_MESSAGE_TIMEOUT) {
        CHECK(vote->signer == s->node->member);
        vote_sent(s, vote);
    } else if (!s->sent.has_timeout || last_signed_timeout_newer(&message.timeout, &s->sent.timeout)) {
        s->sent.timeout = message.timeout;
        s->sent.has_timeout = true;
    }
}

/* A node, or a store that was made soundly, begins to leave out its syncs. */
static void syncs_lose(struct sweep *s) {
    if (strcmp(s->plant, "missing-sync") == 0) image_ignore_syncs(s->image, "wal/data.mdb");
    if (strcmp(s->plant, "missing-value-sync") == 0) image_ignore_syncs(s->image, "wal/values");
    if (strcmp(s->plant, "missing-journal-sync") == 0) image_ignore_durable(s->image, "wal/journal");
}

static void noted(struct sweep *s, const struct row_event *event) {
    if (s->node != NULL) {
        sent(s, event);
        return;
    }
    if (event->head.offset == STORE_NOTE_CREATED) {
        s->created = true;
        syncs_lose(s);
    }
    if (event->head.offset == STORE_NOTE_STATE_BEGIN) s->state_may_lack = true;
    if (event->head.offset == STORE_NOTE_PROMOTE_BEGIN) s->state_may_lack = s->promoting = true;
    if (event->head.offset == STORE_NOTE_STATE_END) s->state_may_lack = s->promoting = false;
}

/* ---- comparing ---- */

static void image_open(struct sweep *s, uint64_t at, enum image_cut cut) {
    s->image_count++;
    if (!image_write(s->image, cut, &s->random, s->out)) return; /* what was found there last still holds */
    s->restored_count++;
    (void)snprintf(fault_line, sizeof fault_line, "violation at event %llu of %llu, %s, seed %llu: reading the store is a memory fault\n",
                   (unsigned long long)at, (unsigned long long)s->count, cut_names[cut], (unsigned long long)s->seed);
    reopen(s->directory, s->node, &s->last);
}

/* What the stores hold after the last commit that was done. */
static void truth_find(struct sweep *s, uint64_t at) {
    if (s->truth_known && s->truth_commits == s->commits) return;
    image_open(s, at, IMAGE_ALL);
    bool good = s->last.opened && s->last.text[0] == '\0';
    if (!good && (s->node != NULL || s->created)) violation(s, at, "no cut at all", s->last.text);
    reopened_free(&s->truth);
    s->truth = s->last;
    s->truth.bodies = NULL;
    s->truth.body_count = s->truth.body_room = 0;
    s->truth_commits = s->commits;
    s->truth_known = true;
}

static void node_compare(const struct sweep *s, uint64_t at, const char *cut) {
    const struct reopened *found = &s->last;
    const struct bft_memory *memory = &found->memory;
    if (last_signed_judge(memory, &s->sent) != LAST_SIGNED_KNOWN) {
        char text[200];
        snprintf(text, sizeof text, "the voting memory (view %llu, prepared %llu/%llu) does not know what was sent",
                 (unsigned long long)memory->view, (unsigned long long)memory->prepared.view, (unsigned long long)memory->prepared.height);
        violation(s, at, cut, text);
    }
    if (memory->view > 0 && memory->tc.count == 0 && memory->joined.count == 0) violation(s, at, cut, "a view without what it was entered on");
    if (found->tip_height < s->shown_height && !reopened_has_body(found, s->shown_height))
        violation(s, at, cut, "a block that was shown is not there");
}

static void state_compare(struct sweep *s, uint64_t at, const char *cut, bool in_commit) {
    const struct reopened *found = &s->last;
    if (found->state == REOPEN_STATE_LOST) {
        if (!s->state_may_lack) violation(s, at, cut, "the checkpoint is lost");
        if (s->promoting && !found->transfer) violation(s, at, cut, "neither the checkpoint nor the one from peers is there");
        return;
    }
    if (s->state_may_lack || found->state_hash == s->truth.state_hash) return;
    if (!in_commit) violation(s, at, cut, "the checkpoint is none that was made");
    s->state_before = found->state_hash;
    s->state_open_question = true;
}

static void compare(struct sweep *s, uint64_t at, const char *cut) {
    const struct row_event *event = &s->events[at];
    bool durable = event->head.kind == RECORD_DURABLE;
    if (!s->last.opened && s->node == NULL && !s->created) return; /* not made yet: made again */
    if (s->last.text[0] != '\0' || !s->last.opened) violation(s, at, cut, s->last.text);
    if (s->node == NULL && !s->created) return;
    if (s->last.wal_hash != s->truth.wal_hash) {
        bool commits = durable && (is_data_of(event, "wal/journal") || is_data_of(event, "wal/data.mdb"));
        if (!commits) violation(s, at, cut, "the write-ahead store is not as after any commit");
        s->wal_before = s->last.wal_hash;
        s->wal_open_question = true;
    }
    state_compare(s, at, cut, durable && is_data_of(event, "state/data.mdb"));
    if (s->node != NULL) node_compare(s, at, cut);
}

/* An image held what was only being committed: it must be what is true when the commit is done. */
static void question_close(struct sweep *s, uint64_t at) {
    if (!s->wal_open_question && !s->state_open_question) return;
    truth_find(s, at);
    if (s->wal_open_question && s->wal_before != s->truth.wal_hash)
        violation(s, at, "in the middle of its commit", "the write-ahead store is neither as before nor as after it");
    if (s->state_open_question && s->state_before != s->truth.state_hash)
        violation(s, at, "in the middle of its commit", "the checkpoint is neither as before nor as after it");
    s->wal_open_question = s->state_open_question = false;
}

static void point_try(struct sweep *s, uint64_t at) {
    for (uint64_t cut = 0; cut < s->cuts; cut++) {
        enum image_cut which = cut < 2 ? (enum image_cut)cut : IMAGE_RANDOM;
        image_open(s, at, which);
        compare(s, at, cut_names[which]);
    }
    s->point_count++;
    s->kinds[s->events[at].head.kind]++;
}

/* Whatever changes what is true: the write that makes a commit, and names. */
static bool is_commit(const struct row_event *event) {
    return event->head.kind == RECORD_DURABLE || (event->head.kind >= RECORD_CREATE && event->head.kind <= RECORD_RMDIR) ||
           event->head.kind == RECORD_NOTE;
}

static void sweep_run(struct sweep *s) {
    for (uint64_t at = 0; at < s->count; at++) {
        const struct row_event *event = &s->events[at];
        if (s->chosen[at]) truth_find(s, at);
        image_begin(s->image, &event->head, event->path, event->bytes);
        if (event->head.kind == RECORD_NOTE) noted(s, event); /* it may have left already */
        if (s->chosen[at]) point_try(s, at);
        image_apply(s->image);
        if (is_commit(event) && (event->head.kind != RECORD_NOTE || s->node == NULL)) s->commits++;
        question_close(s, at);
    }
}

static void figures_print(const struct sweep *s) {
    printf("points %llu of %llu events (", (unsigned long long)s->point_count, (unsigned long long)s->count);
    const char *comma = "";
    for (int kind = 1; kind < RECORD_KINDS; kind++) {
        if (s->kinds[kind] == 0) continue;
        printf("%s%s %llu", comma, kind_names[kind], (unsigned long long)s->kinds[kind]);
        comma = ", ";
    }
    printf("), images %llu, opened %llu, seed %llu\n", (unsigned long long)s->image_count, (unsigned long long)s->restored_count,
           (unsigned long long)s->seed);
}

static void words_take(struct sweep *s, int count, char **words) {
    for (int i = 1; i < count; i += 2) {
        const char *word = words[i], *value = i + 1 < count ? words[i + 1] : NULL;
        if (value == NULL) usage("an option without its value");
        if (strcmp(word, "--record") == 0) s->record = value;
        else if (strcmp(word, "--base") == 0) s->base = value;
        else if (strcmp(word, "--config") == 0) s->config = value;
        else if (strcmp(word, "--data") == 0) s->data = value;
        else if (strcmp(word, "--work") == 0) s->work = value;
        else if (strcmp(word, "--plant") == 0) s->plant = value;
        else if (strcmp(word, "--points") == 0) s->points = strtoull(value, NULL, 10);
        else if (strcmp(word, "--cuts") == 0) s->cuts = strtoull(value, NULL, 10);
        else if (strcmp(word, "--seed") == 0) s->seed = strtoull(value, NULL, 10);
        else usage("no such option");
    }
    if (s->record == NULL || s->work == NULL || s->cuts < 1 || s->cuts > CUTS_MAX) usage("--record and --work are needed; --cuts 1 to 16");
    static const char *const plants[] = {"", "missing-sync", "missing-value-sync", "missing-journal-sync", "early-send"};
    bool known = false;
    for (size_t i = 0; i < sizeof plants / sizeof plants[0]; i++) known = known || strcmp(s->plant, plants[i]) == 0;
    if (!known) usage("no such plant");
}

int main(int count, char **words) {
    static struct sweep sweep = {.cuts = 3, .seed = 1, .data = "", .plant = ""};
    static struct node node;
    static char text[NODE_TEXT_BYTES];
    struct sweep *s = &sweep;
    words_take(s, count, words);
    s->random = s->seed;
    if (s->config != NULL) {
        if (!reopen_node_load(&node, s->config, text)) usage(text);
        s->node = &node;
    }
    faults_catch();
    record_load(s);
    if (strcmp(s->plant, "early-send") == 0) sends_move_up(s);
    points_choose(s);
    s->image = image_create(s->base);
    if (s->node != NULL) syncs_lose(s);
    CHECK(snprintf(s->out, sizeof s->out, "%s", s->work) < (int)sizeof s->out);
    CHECK(mkdir(s->out, 0700) == 0);
    CHECK(snprintf(s->directory, sizeof s->directory, "%s%s%s", s->out, s->data[0] ? "/" : "", s->data) < (int)sizeof s->directory);
    sweep_run(s);
    figures_print(s);
    image_destroy(s->image);
    reopened_free(&s->last);
    reopened_free(&s->truth);
    if (s->node != NULL) reopen_node_unload(s->node);
    free(s->events);
    free(s->chosen);
    return 0;
}
