/* Where libsodium is the only back end (CRYPTO in the Makefile). */
#include "ring/primitives.h"

const struct ring_primitives *ring_primitives_default(void) {
    return ring_primitives_sodium();
}
