#include "tests/vectors_gen/gen_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/canonical.h"

void gen_set(json_t *object, const char *name, json_t *value) {
    CHECK(json_object_set_new(object, name, value) == 0);
}

void gen_set_hex(json_t *object, const char *name, const void *bytes, size_t count) {
    char *text = malloc(2 * count + 1);
    CHECK(text);
    canonical_hex_print(bytes, count, text);
    gen_set(object, name, json_string(text));
    free(text);
}

void gen_set_u64(json_t *object, const char *name, uint64_t value) {
    gen_set(object, name, value >> 53 ? canonical_decimal(value) : json_integer((json_int_t)value));
}

void gen_set_text(json_t *object, const char *name, const char *text) {
    gen_set(object, name, json_string(text));
}

json_t *gen_group(json_t *out, const char *name) {
    json_t *list = json_array();
    gen_set(out, name, list);
    return list;
}

json_t *gen_case(json_t *list, const char *name) {
    json_t *object = json_object();
    CHECK(json_array_append_new(list, object) == 0);
    gen_set_text(object, "case", name);
    return object;
}

void gen_set_error(json_t *object, const char *expected, enum system_error got) {
    if (strcmp(expected, system_error_name(got)) != 0) {
        (void)fprintf(stderr, "vectors: %s: expected %s, got %s\n", json_string_value(json_object_get(object, "case")), expected,
                      system_error_name(got));
        CHECK(false);
    }
    gen_set_text(object, "error", expected);
}
