#include <string.h>

#include "client/bench_inside.h"
#include "merkle/bytes.h"

const char *const bench_kind_names[BENCH_KINDS] = {"get", "put", "cas", "add", "del"};

static uint64_t mix(uint64_t value) {
    value += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

uint64_t bench_random(uint64_t *state) {
    uint64_t value = mix(*state);
    *state += 0x9e3779b97f4a7c15;
    return value;
}

uint64_t bench_random_below(uint64_t *state, uint64_t bound) {
    return ((bench_random(state) >> 32) * bound) >> 32;
}

double bench_random_unit(uint64_t *state) {
    return (double)((bench_random(state) >> 11) + 1) * 0x1p-53;
}

/* Random bytes, and never the same for two keys of a seed: `mix` is a bijection. Numbers have keys of their own. So a Zipf distribution of the keys'
 * numbers is scattered over shards and tries by itself. */
void bench_key_make(const struct bench *bench, enum bench_kind kind, uint64_t key, uint8_t out[BENCH_KEY_BYTES]) {
    uint64_t state = mix(mix(bench->options->seed) + (kind == BENCH_ADD ? ~key : key));
    for (uint32_t at = 0; at < BENCH_KEY_BYTES; at += 8) bytes_put_le64(out + at, mix(state + at));
}

/* Bytes 0 to 7: the write's number; then words of 64 bits that follow from seed, key and number, cheap enough to be made anew for each answer. */
void bench_value_make(const struct bench *bench, uint64_t key, uint64_t seq, uint8_t *out) {
    const uint64_t step = 0x9e3779b97f4a7c15;
    uint32_t count = bench->options->value_bytes, at = 0;
    uint64_t state = mix(bench->options->seed ^ mix(key ^ mix(count < BENCH_SEQ_VALUE_BYTES ? 0 : seq)));
    uint8_t word[8];
    for (; at + 8 <= count; at += 8, state += step) bytes_put_le64(out + at, state ^ state >> 29);
    bytes_put_le64(word, state ^ state >> 29);
    memcpy(out + at, word, count - at);
    if (count >= BENCH_SEQ_VALUE_BYTES) bytes_put_le64(out, seq);
}

bool bench_value_right(const struct bench *bench, uint64_t key, const struct heraclius_result *result, uint64_t *seq) {
    static uint8_t expected[HERACLIUS_VALUE_BYTES_MAX];
    *seq = 0;
    if (!result->has_value || result->value_bytes != bench->options->value_bytes) return false;
    if (result->value_bytes >= BENCH_SEQ_VALUE_BYTES) *seq = bytes_get_le64(result->value);
    bench_value_make(bench, key, *seq, expected);
    return memcmp(expected, result->value, result->value_bytes) == 0;
}

void bench_choose(struct bench *bench, struct user *user) {
    const struct bench_options *options = bench->options;
    uint64_t place = bench_random_below(&bench->random, bench->weights);
    uint8_t kind = 0;
    while (place >= options->weights[kind]) place -= options->weights[kind++];
    user->kind = kind;
    user->key = (uint32_t)(options->zipf > 0 ? bench_zipf_next(&bench->zipf, &bench->random) : bench_random_below(&bench->random, options->keys));
}
