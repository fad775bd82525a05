/* batch_decode() on hostile bytes; what it takes is written again, part by part and operation by operation, to the same bytes (C-3). */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sign_nothing(void *context, const uint8_t *bytes, size_t bytes_count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    (void)bytes;
    (void)bytes_count;
    memcpy(signature, context, SIGNER_SIGNATURE_BYTES); /* that of the batch itself */
}

static void write_again(const struct batch *batch) {
    uint8_t *out = malloc(batch->bytes_count), signature[SIGNER_SIGNATURE_BYTES] = {0}, system_id[16] = {0}, digest[32];
    CHECK(out);
    if (batch->signature) memcpy(signature, batch->signature, sizeof signature);
    struct signer signer = {.context = signature, .sign = sign_nothing};
    struct bytes_writer writer = bytes_writer_of(out, batch->bytes_count);
    struct batch_builder builder;
    struct batch_part part;
    batch_build_begin(&builder, &writer, batch->kind, batch->client_id, batch->nonce, batch->attempt);
    uint32_t op_count = 0;
    for (size_t at = 0; batch_part_next(batch, &at, &part); op_count += part.op_count) {
        batch_build_part_begin(&builder, part.shard, part.flags, part.number, part.floor);
        struct bytes_cursor cursor = bytes_cursor_of(part.ops, part.ops_bytes);
        for (uint32_t i = 0; i < part.op_count; i++) {
            struct operation operation;
            CHECK(operation_decode(&cursor, &operation));
            operation_encode(&writer, &operation);
        }
        CHECK(bytes_finished(&cursor));
        batch_build_part_end(&builder, part.op_count);
        batch_part_digest(batch->client_id, batch->nonce, &part, digest);
    }
    CHECK(op_count == batch->op_count);
    CHECK(batch_build_end(&builder, system_id, &signer));
    CHECK(writer.used == batch->bytes_count && memcmp(out, batch->bytes, writer.used) == 0);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct batch_limits limits = {.shards = 4, .batch_bytes_max = 65536, .batch_parts_max = 4, .batch_ops_max = 64};
    struct batch batch;
    if (batch_decode(data, size, &limits, &batch) == BATCH_OK) write_again(&batch);
    return 0;
}
