/* Receipts on hostile bytes. What decodes is as long as the sum of its parts; nothing verifies but the kept receipt itself, whose operation puts
 * "value". */
#include <string.h>

#include "merkle/check.h"
#include "protocol/receipt.h"
#include "tests/protocol/decided.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct decider *the_decider(void) {
    static struct decider decider;
    if (decider.members.n == 0) decider_init(&decider, 1, 0x00010000, 4);
    return &decider;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct decider *decider = the_decider();
    struct signer verifier = signer_ed25519(NULL);
    struct receipt receipt;
    enum decision_error cause;
    if (receipt_decode(data, size, &receipt, &cause) != RECEIPT_OK) return 0;
    size_t sum = 8 + 4 + receipt.chain_bytes + receipt.decision.head_bytes + 12 + (size_t)32 * receipt.item_path_count + 4 +
                 receipt.item.whole_bytes + 29 + 12 + (size_t)32 * receipt.op_path_count + 4 + receipt.op_bytes_count;
    CHECK(sum == size && operation_bytes(&receipt.operation) == receipt.op_bytes_count);
    CHECK(result_bytes(&receipt.result) == receipt.item.results_bytes);
    if (receipt_verify(&receipt, &decider->members, &verifier, &cause) != RECEIPT_OK) return 0;
    CHECK(receipt.operation.opcode == OPERATION_PUT && receipt.operation.a == 5 && memcmp(receipt.operation.argument_a, "value", 5) == 0);
    return 0;
}
