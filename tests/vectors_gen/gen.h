/* The generator of spec/vectors/: one file gen_<chapter>.c per chapter of spec/.
 *
 * Each gen_<chapter>() fills `out`, an empty JSON object that the caller owns, with that chapter's vectors. The output
 * depends on nothing but the code: every key, nonce and value comes from a seed written in the file itself, never
 * from a clock or from entropy. Bytes are lower-case hex texts; u64 beyond 2^53 are decimal texts.
 * A generator that cannot go on calls CHECK (merkle/check.h): there is no half-written chapter. */
#ifndef TESTS_VECTORS_GEN_GEN_H
#define TESTS_VECTORS_GEN_GEN_H

#include <jansson.h>

void gen_trees(json_t *out);      /* spec/trees.md: Ed25519, Merkle trees, state trie */
void gen_consensus(json_t *out);  /* spec/consensus.md: headers, votes, certificates */
void gen_decisions(json_t *out);  /* spec/decisions.md: bodies, outbox, compact decisions, queues */
void gen_operations(json_t *out); /* spec/operations.md: batches, answers, execution */
void gen_links(json_t *out);      /* spec/links.md: handshake, records, frames */
void gen_system(json_t *out);     /* spec/system.md: cards, system file, CONFIG, receipts */
void gen_durability(json_t *out); /* spec/durability.md: LAST-SIGNED, checkpoints */
void gen_appliance(json_t *out);  /* spec/appliance.md: blocks, card requests, bundles, releases */
void gen_releases(json_t *out);   /* its part on releases */

#endif
