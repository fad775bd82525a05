#include "bft/verdict.h"

#include <string.h>

#include "merkle/bytes.h"
#include "merkle/sha256.h"

void verdict_digest(const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t bytes_count,
                    const uint8_t signature[SIGNER_SIGNATURE_BYTES], uint8_t digest[VERDICT_DIGEST_BYTES]) {
    struct sha256_state state;
    sha256_init(&state);
    sha256_update(&state, public_key, SIGNER_PUBLIC_KEY_BYTES);
    sha256_update(&state, signature, SIGNER_SIGNATURE_BYTES);
    sha256_update(&state, bytes, bytes_count);
    sha256_final(&state, digest);
}

static bool recorder_verify(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t bytes_count,
                            const uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    const struct verdict_recorder *recorder = context;
    struct verdict_list *list = recorder->list;
    bool good = recorder->inner.verify(recorder->inner.context, public_key, bytes, bytes_count, signature);
    if (list->count == VERDICT_LIST_MAX) return good;
    struct verdict *verdict = &list->verdicts[list->count++];
    verdict_digest(public_key, bytes, bytes_count, signature, verdict->digest);
    verdict->known = true;
    verdict->good = good;
    return good;
}

static void recorder_sign(void *context, const uint8_t *bytes, size_t bytes_count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    const struct verdict_recorder *recorder = context;
    recorder->inner.sign(recorder->inner.context, bytes, bytes_count, signature);
}

static bool recorder_key_check(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES]) {
    const struct verdict_recorder *recorder = context;
    return recorder->inner.key_check(recorder->inner.context, public_key);
}

struct signer verdict_recorder_signer(struct verdict_recorder *recorder) {
    return (struct signer){.context = recorder, .sign = recorder_sign, .verify = recorder_verify, .key_check = recorder_key_check};
}

static size_t slot_of(const uint8_t digest[VERDICT_DIGEST_BYTES]) {
    return (size_t)(bytes_get_le64(digest) % VERDICT_SLOTS);
}

void verdict_table_put(struct verdict_table *table, const struct verdict_list *list) {
    for (uint32_t i = 0; i < list->count; i++) table->slots[slot_of(list->verdicts[i].digest)] = list->verdicts[i];
}

static bool table_verify(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t bytes_count,
                         const uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    struct verdict_table *table = (struct verdict_table *)(uintptr_t)context; /* its figures: they change no answer */
    uint8_t digest[VERDICT_DIGEST_BYTES];
    verdict_digest(public_key, bytes, bytes_count, signature, digest);
    const struct verdict *verdict = &table->slots[slot_of(digest)];
    table->asked++;
    if (!verdict->known || memcmp(verdict->digest, digest, sizeof digest) != 0)
        return table->inner.verify(table->inner.context, public_key, bytes, bytes_count, signature);
    table->found++;
    return verdict->good;
}

static void table_sign(void *context, const uint8_t *bytes, size_t bytes_count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    const struct verdict_table *table = context;
    table->inner.sign(table->inner.context, bytes, bytes_count, signature);
}

static bool table_key_check(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES]) {
    const struct verdict_table *table = context;
    return table->inner.key_check(table->inner.context, public_key);
}

struct signer verdict_table_signer(struct verdict_table *table) {
    return (struct signer){.context = table, .sign = table_sign, .verify = table_verify, .key_check = table_key_check};
}
