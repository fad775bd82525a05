/* BoringSSL's compression function: the processor's own instructions where it has some. */
#include <openssl/sha.h>

#include "merkle/sha256_blocks.h"

void sha256_blocks(uint32_t chain[8], const uint8_t *blocks, size_t count) {
    SHA256_TransformBlocks(chain, blocks, count);
}
