/* Ed25519 by back end: signing, verification of a vote (156 bytes) and the check of a key, in microseconds each; the best of five rounds. */
#include <stdio.h>
#include <time.h>

#include "bft/ed25519.h"
#include "merkle/check.h"

enum { ROUNDS = 5, TIMES = 2000, VOTE_BYTES = 156 };

static double now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec * 1e-3;
}

static double least(double a, double b) {
    return a < b ? a : b;
}

static void measure(const struct ed25519_backend *backend) {
    uint8_t seed[32] = {1}, message[VOTE_BYTES] = {0}, signature[64], key[32];
    struct ed25519_secret secret;
    double sign_us = 1e9, verify_us = 1e9, check_us = 1e9;
    CHECK(ed25519_start(backend));
    if (!ed25519_secret_init(&secret, seed)) fprintf(stderr, "the key is not locked in memory\n");
    ed25519_public_key(&secret, key);
    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = now_us();
        for (unsigned i = 0; i < TIMES; i++) {
            message[0] = (uint8_t)i;
            ed25519_sign(&secret, message, sizeof message, signature);
        }
        sign_us = least(sign_us, (now_us() - start) / TIMES);
        start = now_us();
        for (unsigned i = 0; i < TIMES; i++) CHECK(ed25519_verify(key, message, sizeof message, signature) == ED25519_OK);
        verify_us = least(verify_us, (now_us() - start) / TIMES);
        start = now_us();
        for (unsigned i = 0; i < TIMES / 10; i++) CHECK(ed25519_key_check(key) == ED25519_OK);
        check_us = least(check_us, (now_us() - start) / (TIMES / 10.0));
    }
    printf("%-10s sign %5.1f us, verify %5.1f us, key check %5.1f us\n", backend->name, sign_us, verify_us, check_us);
    ed25519_secret_wipe(&secret);
}

int main(void) {
    measure(&ed25519_backend_sodium);
#ifndef LIBSODIUM_ALONE
    measure(&ed25519_backend_boring);
#endif
    return 0;
}
