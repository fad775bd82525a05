/* For the store's tests: scratch directories, seeded draws, identities, and children that may be killed. */
#ifndef TESTS_STORE_SCRATCH_H
#define TESTS_STORE_SCRATCH_H

#include "store/store.h"
#include <stddef.h>
#include <stdint.h>

enum { SCRATCH_PATH_BYTES = 512 };

/* A fresh directory under $TMPDIR or /tmp. */
void scratch_make(char path[SCRATCH_PATH_BYTES]);
/* With all that is in it. */
void scratch_remove(const char *path);
void scratch_copy(const char *from, const char *to);
uint64_t scratch_file_bytes(const char *path);

/* A seed from SEED in the environment or from the clock, printed. */
uint64_t scratch_seed(void);
uint64_t scratch_draw(uint64_t *state);

struct store_identity scratch_identity(uint8_t fill);
/* <root>/data, made for this identity and opened. */
struct store_directory *scratch_directory(const char *root, const struct store_identity *identity);

/* Runs `child` in a process of its own, at most `seconds` long; its exit code, or 256 + the signal that ended it. */
int scratch_child(int (*child)(void *context), void *context, unsigned seconds);

#endif
