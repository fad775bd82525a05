/* What the tests of merkle/ and of signatures share: vectors from outside, hex, and a seeded generator. */
#ifndef TESTS_MERKLE_VECTORS_H
#define TESTS_MERKLE_VECTORS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Loads a JSON file below tests/vectors/; the program runs in the top folder. Ends the program if it cannot.
 * Integers of 19 digits and more come as texts, since jansson's are signed; vectors_u64_of() takes both. */
json_t *vectors_load(const char *name);
uint64_t vectors_u64_of(const json_t *object, const char *name);

/* Decodes hex (or standard base64) into `out` of `room` bytes and returns the number of bytes. NULL gives 0. Ends the program on anything else. */
size_t vectors_hex(const char *text, uint8_t *out, size_t room);
size_t vectors_hex_of(const json_t *object, const char *name, uint8_t *out, size_t room);
size_t vectors_base64(const char *text, uint8_t *out, size_t room);

/* Seed of a random test: HERACLIUS_TEST_SEED if that is set, else `otherwise`; printed. */
uint64_t vectors_seed(uint64_t otherwise);
/* splitmix64 */
uint64_t vectors_random(uint64_t *state);

#endif
