/* What all generators write JSON with. */
#ifndef TESTS_VECTORS_GEN_GEN_JSON_H
#define TESTS_VECTORS_GEN_GEN_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/system_error.h"

void gen_set(json_t *object, const char *name, json_t *value);
void gen_set_hex(json_t *object, const char *name, const void *bytes, size_t count);
void gen_set_u64(json_t *object, const char *name, uint64_t value);
void gen_set_text(json_t *object, const char *name, const char *text);
/* A new list under `name`; a new object in a list, with its "case". */
json_t *gen_group(json_t *out, const char *name);
json_t *gen_case(json_t *list, const char *name);
/* The word that a case must give, written by hand; ends the program if the code gives another. */
void gen_set_error(json_t *object, const char *expected, enum system_error got);

#endif
