/* The members of spec/vectors/durability.json, and what its parts share. */
#ifndef TESTS_VECTORS_GEN_GEN_DURABILITY_H
#define TESTS_VECTORS_GEN_GEN_DURABILITY_H

#include <jansson.h>

#include "bft/ed25519.h"
#include "protocol/last_signed.h"

enum { GEN_MEMBERS = 4, GEN_ASKER = 2, GEN_ANSWERER = 1 };

struct gen_members {
    struct bft_members members;
    struct ed25519_secret secrets[GEN_MEMBERS];
    struct last_signed_query query;
};

struct signer gen_member_signer(struct gen_members *world, unsigned member);
void gen_last_signed(struct gen_members *world, json_t *out);

#endif
