#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/bench_inside.h"
#include "client/command.h"
#include "ring/clock.h"

enum {
    HUGE_PAGE = 2 << 20,
    DRAIN_MS = 30000,
    EVENTS = 64,
    OPS_PER_SHARD_MAX = 4096, /* O-30.0 */
    READ_OPS_MAX = 8192,
    OP_BYTES = 96,
    HEADS_BYTES = 16384
};

uint32_t bench_under_way(const struct bench *bench) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < bench->options->client_keys; i++) count += bench->handles[i].requests_under_way;
    return count;
}

/* Open loop: what is due begins, as far as users are free. What has to wait is neither stored nor looked at: its time is known. */
static void arrivals_go(struct bench *bench, uint64_t now_us) {
    double now = (double)(now_us - bench->began_us);
    uint64_t due = bench->dues.count;
    while (bench->dues.next_us <= now) bench_arrivals_step(&bench->dues);
    if (bench->measuring) bench->totals->due += bench->dues.count - due;
    while (bench->starts.next_us <= now) {
        uint32_t user = bench_queue_pop(bench, &bench->free);
        if (user == BENCH_NOBODY) break;
        bench_user_begin(bench, user, bench->began_us + (uint64_t)bench->starts.next_us);
        bench_arrivals_step(&bench->starts);
    }
    uint64_t waiting_from = bench->starts.count > bench->late_through ? bench->starts.count : bench->late_through;
    if (bench->dues.count <= waiting_from) return;
    if (bench->measuring) bench->totals->started_late += bench->dues.count - waiting_from;
    bench->late_through = bench->dues.count;
}

/* How long there is nothing to do unless an answer comes. */
static int wait_ms(const struct bench *bench, uint64_t now_ms) {
    uint64_t wait = bench->tick_at_ms > now_ms ? bench->tick_at_ms - now_ms : 0;
    if (bench->active) return 0;
    if (bench->options->rate && bench->running && bench->free.count > 0) {
        double left_us = bench->starts.next_us - (double)(ring_clock_us() - bench->began_us);
        uint64_t left_ms = left_us > 1000 ? (uint64_t)left_us / 1000 : left_us > 0;
        if (left_ms < wait) wait = left_ms;
    }
    return (int)wait;
}

/* Serves the handles that have something to do, and waits a little when there are none. Each that waits for answers is served each tick as well, as
 * heraclius_descriptor() says. */
void bench_turn(struct bench *bench) {
    uint64_t now_ms = ring_clock_ms();
    for (uint32_t i = 0; now_ms >= bench->tick_at_ms && i < bench->options->client_keys; i++) {
        struct handle *handle = &bench->handles[i];
        if (bench->loading || handle->requests_under_way + handle->reads.count + handle->writes.count > 0) bench_handle_active(handle);
    }
    if (now_ms >= bench->tick_at_ms) bench->tick_at_ms = now_ms + BENCH_TICK_MS;
    struct handle *active = bench->active;
    bench->active = NULL;
    while (active) {
        struct handle *handle = active;
        active = handle->next_active;
        handle->active = false;
        bench_handle_serve(handle, now_ms);
    }
    struct epoll_event events[EVENTS];
    int count = epoll_wait(bench->epoll, events, EVENTS, wait_ms(bench, now_ms));
    for (int i = 0; i < count; i++) bench_handle_active(events[i].data.ptr);
}

static void load(struct bench *bench) {
    uint64_t shown_ms = ring_clock_ms();
    bench->loading = true;
    for (uint32_t i = 0; i < bench->options->client_keys; i++) bench_handle_active(&bench->handles[i]);
    while (!bench->failed && (bench->loaded < bench->options->keys || bench_under_way(bench) > 0)) {
        bench_turn(bench);
        if (ring_clock_ms() - shown_ms < 1000) continue;
        shown_ms = ring_clock_ms();
        fprintf(stderr, "heraclius bench: loaded %" PRIu64 " of %" PRIu64 " keys\n", bench->loaded, bench->options->keys);
    }
    bench->loading = false;
}

struct cpu {
    double user_s, system_s;
};

static struct cpu cpu_now(uint64_t *rss_bytes) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return (struct cpu){0};
    *rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
    return (struct cpu){(double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
                        (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6};
}

static uint64_t operations(const struct bench_totals *totals) {
    uint64_t sum = 0;
    for (int kind = 0; kind < BENCH_KINDS; kind++) sum += totals->ops[kind];
    return sum;
}

/* What was so when the measured time began, and when a second was last shown. */
struct marks {
    uint64_t began_us, end_us, busy, resends;
    struct cpu cpu;
    uint64_t shown_us, shown_ops, shown_busy;
};

static void measure_begin(struct bench *bench, struct marks *marks, uint64_t now_us) {
    bench->measuring = true;
    marks->began_us = marks->shown_us = now_us;
    marks->busy = marks->shown_busy = bench_busy(bench);
    marks->resends = bench_resends(bench);
    marks->cpu = cpu_now(&bench->totals->rss_bytes);
}

static void measure_end(struct bench *bench, const struct marks *marks) {
    struct bench_totals *totals = bench->totals;
    struct cpu cpu = cpu_now(&totals->rss_bytes);
    totals->seconds = (double)(ring_clock_us() - marks->began_us) / 1e6;
    totals->cpu_user_s = cpu.user_s - marks->cpu.user_s;
    totals->cpu_system_s = cpu.system_s - marks->cpu.system_s;
    totals->busy = bench_busy(bench) - marks->busy;
    totals->resends = bench_resends(bench) - marks->resends;
    bench->measuring = false;
}

/* Each second: a line for who watches, and one in the series. */
static void second_show(struct bench *bench, struct marks *marks, uint64_t now_us) {
    const struct bench_totals *totals = bench->totals;
    uint64_t ops = operations(totals), busy = bench_busy(bench);
    fprintf(stderr, "heraclius bench: %" PRIu64 " ops/s, p50 %" PRIu64 " us, busy %" PRIu64 ", errors %" PRIu64 "\n",
            (ops - marks->shown_ops) * 1000000 / (now_us - marks->shown_us), bench_histogram_quantile(&totals->latency_us, 500000),
            busy - marks->shown_busy, totals->errors);
    if (bench->options->series) {
        struct bench_histogram *second = &bench->second_us;
        fprintf(bench->options->series, "%.3f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", (double)(now_us - marks->began_us) / 1e6,
                ops - marks->shown_ops, bench_histogram_quantile(second, 500000), bench_histogram_quantile(second, 990000), busy - marks->shown_busy);
        (void)fflush(bench->options->series); /* who follows it sees it; at the end its errors are looked at */
        *second = (struct bench_histogram){0};
    }
    marks->shown_us = now_us;
    marks->shown_ops = ops;
    marks->shown_busy = busy;
}

static void measure(struct bench *bench) {
    const struct bench_options *options = bench->options;
    struct marks marks = {0};
    uint64_t now_us = ring_clock_us(), start_us = now_us + (uint64_t)options->warmup_ms * 1000;
    uint64_t end_us = start_us + (uint64_t)options->seconds * 1000000;
    bench->began_us = now_us;
    bench->running = true;
    if (options->series) fputs("time_s,ops,p50_us,p99_us,busy\n", options->series);
    for (uint32_t i = 0; i < options->users; i++) {
        if (options->rate)
            bench_queue_push(&bench->free, i);
        else
            bench_user_begin(bench, i, now_us);
    }
    for (; now_us < end_us && !bench->failed; now_us = ring_clock_us()) {
        if (!bench->measuring && now_us >= start_us) measure_begin(bench, &marks, now_us);
        if (options->rate) arrivals_go(bench, now_us);
        bench_turn(bench);
        if (bench->measuring && now_us >= marks.shown_us + 1000000) second_show(bench, &marks, now_us);
    }
    if (bench->measuring) measure_end(bench, &marks);
    if (options->series && now_us >= marks.shown_us + 500000) second_show(bench, &marks, now_us);
    bench->running = false;
    bench->stopping = true;
    uint64_t until_ms = ring_clock_ms() + DRAIN_MS;
    while (bench_under_way(bench) > 0 && ring_clock_ms() < until_ms) bench_turn(bench);
}

/* Which user is next is chance: in huge pages its cache miss is not a miss of the page table as well, which a prefetch would wait for. */
static struct user *users_take(size_t bytes) {
    struct user *users = aligned_alloc(HUGE_PAGE, (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    if (!users) return NULL;
    (void)madvise(users, bytes, MADV_HUGEPAGE); /* advice only */
    memset(users, 0, bytes);
    return users;
}

/* False: no memory. */
static bool memory_take(struct bench *bench) {
    const struct bench_options *options = bench->options;
    bench->handles = calloc(options->client_keys, sizeof *bench->handles);
    bench->users = users_take(options->users * sizeof *bench->users);
    bench->issued = calloc(options->keys, sizeof *bench->issued);
    if (options->weights[BENCH_CAS] > 0) bench->seen = calloc(options->keys, sizeof *bench->seen);
    if (options->weights[BENCH_ADD] > 0) bench->numbers = calloc(options->keys, sizeof *bench->numbers);
    return bench->handles && bench->users && bench->issued && bench->epoll >= 0 && (!options->weights[BENCH_CAS] || bench->seen) &&
           (!options->weights[BENCH_ADD] || bench->numbers);
}

static void random_begin(struct bench *bench) {
    const struct bench_options *options = bench->options;
    uint64_t seed = options->seed, arrivals;
    bench->random = bench_random(&seed);
    bench->random_busy = bench_random(&seed);
    arrivals = bench_random(&seed);
    for (int kind = 0; kind < BENCH_KINDS; kind++) bench->weights += options->weights[kind];
    if (options->zipf > 0) bench_zipf_init(&bench->zipf, options->keys, options->zipf);
    if (options->rate == 0) return;
    bench_arrivals_init(&bench->starts, (double)options->rate, options->poisson, arrivals);
    bench->dues = bench->starts;
}

/* How much a request may hold. */
static void limits_take(struct bench *bench) {
    struct heraclius_limits limits;
    heraclius_limits_get(bench->handles[0].db, &limits);
    uint32_t by_bytes = (limits.request_bytes_max - HEADS_BYTES) / (OP_BYTES + bench->options->value_bytes);
    uint32_t most = limits.request_ops_max < OPS_PER_SHARD_MAX ? limits.request_ops_max : OPS_PER_SHARD_MAX;
    if (by_bytes < 1) by_bytes = 1;
    bench->writes_max = bench->options->ops_per_signature;
    if (bench->writes_max > most) bench->writes_max = most;
    if (bench->writes_max > by_bytes) bench->writes_max = by_bytes;
    bench->reads_max = limits.request_ops_max < READ_OPS_MAX ? limits.request_ops_max : READ_OPS_MAX;
    /* Answers have no more room than requests: what a shard cannot put into one comes as its length alone (O-24). */
    if (bench->reads_max > by_bytes) bench->reads_max = by_bytes;
}

bool bench_run(const struct bench_options *options, struct bench_totals *totals, int *exit_code) {
    struct bench *bench = calloc(1, sizeof *bench);
    *exit_code = EXIT_USAGE;
    if (!bench) return (void)command_fail(EXIT_USAGE, "bench: no memory"), false;
    *bench = (struct bench){.options = options, .totals = totals, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    random_begin(bench);
    bool good = memory_take(bench);
    if (!good) (void)command_fail(EXIT_USAGE, "bench: no memory for %u users and %" PRIu64 " keys", options->users, options->keys);
    if (good && bench_open(bench, exit_code)) {
        limits_take(bench);
        /* Write numbers above those of an earlier run with the same seed: the clock's milliseconds above 2^40. */
        bench->seq_base = options->load ? 0 : (UINT64_C(1) << 40) + (ring_clock_ms() << 16);
        if (options->load) load(bench);
        if (!bench->failed) measure(bench);
        if (bench->failed) *exit_code = EXIT_UNANSWERED;
        good = !bench->failed;
    } else {
        good = false;
    }
    if (bench->handles) bench_close(bench);
    free(bench->handles);
    free(bench->users);
    free(bench->free.users);
    free(bench->issued);
    free(bench->seen);
    free(bench->numbers);
    free(bench->load_order);
    free(bench->load_ranges);
    if (bench->epoll >= 0) close(bench->epoll);
    free(bench);
    return good;
}
