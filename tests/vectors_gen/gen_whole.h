/* One whole decision, from a client's request to his receipt: three blocks of two clusters of n members with real keys. */
#ifndef TESTS_VECTORS_GEN_GEN_WHOLE_H
#define TESTS_VECTORS_GEN_GEN_WHOLE_H

#include <jansson.h>
#include <stdint.h>

void gen_whole(json_t *list, uint32_t n);

#endif
