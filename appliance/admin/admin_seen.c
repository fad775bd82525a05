#include "appliance/admin/admin_seen.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "appliance/admin/admin_console.h"
#include "merkle/check.h"
#include "ring/clock.h"

enum { STACK_BYTES = 256 << 10, CLOCK_LEAD_S = 1 /* ring_clock_ms() begins with it */ };

/* What a node and init are asked. The first is what says whether a node answers at all. */
static const char *const node_asks[ADMIN_SEEN_ASKS] = {"status", "ready", "metrics", "evidence"};
static const char *const init_asks[ADMIN_SEEN_ASKS] = {"status", "log trial 600", "log trial before 60000", NULL};

/* All of it under the lock, but for what the thread does with a path. */
struct kept {
    uint64_t wanted, asked, done; /* numbers of questions: the newest wanted, put, and ended */
    uint64_t answered, failed;    /* the source's count of ended questions when it answered last, when it did not; 0: never */
    uint64_t at_ms, taken_ms; /* when it was answered last, and when somebody wanted to know; 0: never */
    char *text;
    size_t bytes;
};

struct source {
    struct admin_seen *seen;
    const char *path;
    bool is_init, threaded;
    pthread_t thread;
    pthread_cond_t wake;
    uint64_t ended;    /* questions */
    uint64_t begun_ms; /* when the one that is under way was put; 0: none is */
    uint64_t heard_ms; /* when it answered last; before that, when this began */
    bool slow;         /* no prompt answer since one that was not */
    size_t turn;
    struct kept kept[ADMIN_SEEN_ASKS];
};

struct admin_seen {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a question */
    bool ending;
    size_t nodes, count; /* the last one is init, if there is one */
    struct source sources[];
};

/* ---- who asks ---- */

static char *ask(const struct source *source, size_t which, size_t *bytes) {
    if (!source->is_init) return admin_ask_text(source->path, node_asks[which], bytes);
    char *text = admin_init_ask(source->path, init_asks[which]);
    *bytes = text != NULL ? strlen(text) : 0;
    return text;
}

/* The next question in turn that somebody wants; ADMIN_SEEN_ASKS: none. */
static size_t next_of(struct source *source) {
    for (size_t i = 0; i < ADMIN_SEEN_ASKS; i++) {
        size_t which = (source->turn + i) % ADMIN_SEEN_ASKS;
        if (source->kept[which].wanted == source->kept[which].asked) continue;
        source->turn = which + 1;
        return which;
    }
    return ADMIN_SEEN_ASKS;
}

/* The text is taken over. */
static void keep(struct source *source, struct kept *kept, char *text, size_t bytes) {
    uint64_t now_ms = ring_clock_ms();
    bool prompt = now_ms - source->begun_ms <= ADMIN_PROMPT_MS;
    source->begun_ms = 0;
    source->ended++;
    kept->done = kept->asked;
    source->slow = !prompt || (source->slow && text == NULL);
    if (text == NULL) {
        kept->failed = source->ended;
        return;
    }
    free(kept->text);
    kept->text = text;
    kept->bytes = bytes;
    kept->answered = source->ended;
    kept->at_ms = source->heard_ms = now_ms;
}

static void *run(void *context) {
    struct source *source = context;
    struct admin_seen *seen = source->seen;
    pthread_mutex_lock(&seen->lock);
    while (!seen->ending) {
        size_t which = next_of(source), bytes = 0;
        if (which == ADMIN_SEEN_ASKS) {
            (void)pthread_cond_wait(&source->wake, &seen->lock);
            continue;
        }
        struct kept *kept = &source->kept[which];
        kept->asked = kept->wanted;
        source->begun_ms = ring_clock_ms();
        pthread_mutex_unlock(&seen->lock);
        char *text = ask(source, which, &bytes);
        pthread_mutex_lock(&seen->lock);
        keep(source, kept, text, bytes);
        (void)pthread_cond_broadcast(&seen->ended);
    }
    pthread_mutex_unlock(&seen->lock);
    return NULL;
}

/* ---- who wants to know ---- */

static size_t which_of(const struct source *source, const char *question) {
    const char *const *asks = source->is_init ? init_asks : node_asks;
    size_t i = 0;
    while (i < ADMIN_SEEN_ASKS && (asks[i] == NULL || strcmp(asks[i], question) != 0)) i++;
    CHECK(i < ADMIN_SEEN_ASKS);
    return i;
}

static void want(struct source *source, const char *question) {
    source->kept[which_of(source, question)].wanted++;
    (void)pthread_cond_signal(&source->wake);
}

uint64_t admin_seen_want_all(struct admin_seen *seen, const char *question) {
    pthread_mutex_lock(&seen->lock);
    for (size_t i = 0; i < seen->nodes; i++) want(&seen->sources[i], question);
    pthread_mutex_unlock(&seen->lock);
    return ring_clock_ms() + ADMIN_FRESH_MS;
}

static uint64_t want_one(struct admin_seen *seen, size_t at, const char *question) {
    pthread_mutex_lock(&seen->lock);
    want(&seen->sources[at], question);
    pthread_mutex_unlock(&seen->lock);
    return ring_clock_ms() + ADMIN_FRESH_MS;
}

uint64_t admin_seen_want(struct admin_seen *seen, size_t node, const char *question) {
    CHECK(node < seen->nodes);
    return want_one(seen, node, question);
}

/* One that was prompt so far may have this question for ADMIN_FRESH_MS. */
static bool worth_waiting(const struct source *source, uint64_t now_ms) {
    return !source->slow && (source->begun_ms == 0 || now_ms < source->begun_ms + ADMIN_FRESH_MS);
}

static bool current(const struct source *source, const struct kept *kept, uint64_t now_ms) {
    bool silent = !source->is_init && source->kept[0].failed > kept->answered;
    return kept->text != NULL && kept->answered > kept->failed && !silent && now_ms - kept->at_ms <= ADMIN_SEEN_OLD_MS;
}

static void take(struct source *source, const char *question, uint64_t until_ms, struct admin_said *said) {
    struct admin_seen *seen = source->seen;
    struct kept *kept = &source->kept[which_of(source, question)];
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000) - CLOCK_LEAD_S, .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&seen->lock);
    uint64_t wanted = kept->wanted, now_ms;
    while (now_ms = ring_clock_ms(), kept->done < wanted && now_ms < until_ms && worth_waiting(source, now_ms))
        (void)pthread_cond_timedwait(&seen->ended, &seen->lock, &until);
    *said = (struct admin_said){.age_ms = now_ms - kept->at_ms, .silent_ms = now_ms - source->heard_ms, .current = current(source, kept, now_ms)};
    kept->taken_ms = now_ms;
    if (kept->text != NULL) said->text = malloc(kept->bytes + 1);
    if (said->text != NULL) {
        memcpy(said->text, kept->text, kept->bytes);
        said->text[kept->bytes] = '\0';
        said->bytes = kept->bytes;
    }
    pthread_mutex_unlock(&seen->lock);
}

void admin_seen_take(struct admin_seen *seen, size_t node, const char *question, uint64_t until_ms, struct admin_said *said) {
    CHECK(node < seen->nodes);
    take(&seen->sources[node], question, until_ms, said);
}

void admin_seen_refresh(struct admin_seen *seen) {
    pthread_mutex_lock(&seen->lock);
    uint64_t now_ms = ring_clock_ms();
    for (size_t i = 0; i < seen->nodes; i++) {
        struct source *source = &seen->sources[i];
        for (size_t k = 0; k < ADMIN_SEEN_ASKS && source->slow; k++) {
            struct kept *kept = &source->kept[k];
            if (kept->taken_ms != 0 && now_ms - kept->taken_ms <= ADMIN_ASKED_MS) want(source, node_asks[k]);
        }
    }
    pthread_mutex_unlock(&seen->lock);
}

bool admin_seen_answers(struct admin_seen *seen, size_t node) {
    CHECK(node < seen->nodes);
    struct source *source = &seen->sources[node];
    pthread_mutex_lock(&seen->lock);
    uint64_t now_ms = ring_clock_ms();
    bool answers = worth_waiting(source, now_ms) || current(source, &source->kept[0], now_ms);
    pthread_mutex_unlock(&seen->lock);
    return answers;
}

void admin_seen_init(struct admin_seen *seen, const char *question, struct admin_said *said) {
    CHECK(seen->count > seen->nodes);
    take(&seen->sources[seen->nodes], question, want_one(seen, seen->nodes, question), said);
}

/* ---- begin and end ---- */

static bool source_start(struct admin_seen *seen, const char *path, bool is_init, const pthread_attr_t *small) {
    struct source *source = &seen->sources[seen->count];
    *source = (struct source){.seen = seen, .path = path, .is_init = is_init, .heard_ms = ring_clock_ms()};
    if (pthread_cond_init(&source->wake, NULL) != 0) return false;
    seen->count++;
    source->threaded = pthread_create(&source->thread, small, run, source) == 0;
    return source->threaded;
}

static bool all_start(struct admin_seen *seen, const struct admin_nodes *nodes, const char *init_path) {
    pthread_attr_t small;
    if (pthread_attr_init(&small) != 0) return false;
    bool good = pthread_attr_setstacksize(&small, STACK_BYTES) == 0;
    for (size_t i = 0; i < nodes->count && good; i++) good = source_start(seen, nodes->paths[i], false, &small);
    seen->nodes = seen->count;
    if (good && init_path != NULL) good = source_start(seen, init_path, true, &small);
    (void)pthread_attr_destroy(&small);
    return good;
}

struct admin_seen *admin_seen_start(const struct admin_nodes *nodes, const char *init_path) {
    struct admin_seen *seen = calloc(1, sizeof *seen + (nodes->count + 1) * sizeof seen->sources[0]);
    pthread_condattr_t by_clock;
    if (seen == NULL) return NULL;
    CHECK(pthread_mutex_init(&seen->lock, NULL) == 0 && pthread_condattr_init(&by_clock) == 0);
    CHECK(pthread_condattr_setclock(&by_clock, CLOCK_MONOTONIC) == 0 && pthread_cond_init(&seen->ended, &by_clock) == 0);
    (void)pthread_condattr_destroy(&by_clock);
    if (all_start(seen, nodes, init_path)) return seen;
    admin_seen_end(seen);
    return NULL;
}

void admin_seen_end(struct admin_seen *seen) {
    if (seen == NULL) return;
    pthread_mutex_lock(&seen->lock);
    seen->ending = true;
    for (size_t i = 0; i < seen->count; i++) (void)pthread_cond_signal(&seen->sources[i].wake);
    pthread_mutex_unlock(&seen->lock);
    for (size_t i = 0; i < seen->count; i++) {
        struct source *source = &seen->sources[i];
        if (source->threaded) (void)pthread_join(source->thread, NULL);
        (void)pthread_cond_destroy(&source->wake);
        for (size_t k = 0; k < ADMIN_SEEN_ASKS; k++) free(source->kept[k].text);
    }
    (void)pthread_cond_destroy(&seen->ended);
    (void)pthread_mutex_destroy(&seen->lock);
    free(seen);
}
