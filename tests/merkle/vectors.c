#include "tests/merkle/vectors.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"

enum { VECTORS_BYTES_MAX = 1 << 20 };

/* jansson's integers are signed: what would not fit becomes a text. `out` has twice the room of the file. */
static void big_integers_quote(const char *in, size_t count, char *out) {
    bool in_text = false;
    for (size_t i = 0; i < count;) {
        size_t digits = 0;
        while (!in_text && i + digits < count && in[i + digits] >= '0' && in[i + digits] <= '9') digits++;
        if (digits >= 19) *out++ = '"';
        size_t taken = digits > 0 ? digits : 1;
        if (digits == 0 && in[i] == '"' && (i == 0 || in[i - 1] != '\\')) in_text = !in_text;
        memcpy(out, in + i, taken);
        out += taken;
        i += taken;
        if (digits >= 19) *out++ = '"';
    }
    *out = 0;
}

json_t *vectors_load(const char *name) {
    char path[256];
    json_error_t error = {.text = "cannot be read"};
    CHECK((size_t)snprintf(path, sizeof path, "tests/vectors/%s", name) < sizeof path);
    json_t *json = NULL;
    FILE *file = fopen(path, "rb");
    char *in = malloc(VECTORS_BYTES_MAX), *out = malloc(2 * VECTORS_BYTES_MAX + 1);
    CHECK(in && out);
    if (file) {
        size_t count = fread(in, 1, VECTORS_BYTES_MAX, file);
        CHECK(count < VECTORS_BYTES_MAX);
        big_integers_quote(in, count, out);
        json = json_loads(out, 0, &error);
        fclose(file);
    }
    free(in);
    free(out);
    if (!json) {
        fprintf(stderr, "%s: %s\n", path, error.text);
        exit(1);
    }
    return json;
}

uint64_t vectors_u64_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    CHECK(json_is_integer(value) || json_is_string(value));
    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : strtoull(json_string_value(value), NULL, 10);
}

static unsigned hex_digit(char c) {
    if (c >= '0' && c <= '9') return (unsigned)(c - '0');
    CHECK((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'));
    return (unsigned)((c | 0x20) - 'a') + 10;
}

size_t vectors_hex(const char *text, uint8_t *out, size_t room) {
    if (!text) return 0;
    size_t count = strlen(text) / 2;
    CHECK(strlen(text) % 2 == 0 && count <= room);
    for (size_t i = 0; i < count; i++) out[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    return count;
}

size_t vectors_hex_of(const json_t *object, const char *name, uint8_t *out, size_t room) {
    return vectors_hex(json_string_value(json_object_get(object, name)), out, room);
}

size_t vectors_base64(const char *text, uint8_t *out, size_t room) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t count = 0;
    unsigned bits = 0, value = 0;
    for (const char *at = text; at && *at && *at != '='; at++) {
        const char *digit = strchr(digits, *at);
        CHECK(digit);
        value = value << 6 | (unsigned)(digit - digits);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            CHECK(count < room);
            out[count++] = (uint8_t)(value >> bits);
            value &= (1u << bits) - 1;
        }
    }
    return count;
}

uint64_t vectors_seed(uint64_t otherwise) {
    const char *text = getenv("HERACLIUS_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : otherwise;
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    return seed;
}

uint64_t vectors_random(uint64_t *state) {
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}
