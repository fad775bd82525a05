/* Entropy: see entropy.h. */
#include "ring/entropy.h"

#include <errno.h>
#include <sys/random.h>

#include "ring/check.h"

void ring_entropy_fill(void *out, size_t bytes) {
    uint8_t *to = out;
    while (bytes > 0) {
        ssize_t got = getrandom(to, bytes, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        RING_CHECK(got > 0);
        to += got;
        bytes -= (size_t)got;
    }
}

uint64_t ring_entropy_u64(void) {
    uint64_t word;
    ring_entropy_fill(&word, sizeof word);
    return word;
}
