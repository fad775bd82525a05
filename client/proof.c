/* heraclius_receipt_verify(): a receipt against the system file alone (spec/operations.md 5.9). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "protocol/operation.h"
#include "protocol/receipt.h"

/* By the system file and the chain inside alone (S-104). False: `why` says what does not hold. */
static bool members_of(const struct system *system, const struct receipt *receipt, struct signer *signer, struct bft_members *out, char *why) {
    uint32_t cluster = receipt->decision.leaf.source;
    if (cluster - COORDINATOR_CLUSTER_BASE >= system->coordinators_count) {
        snprintf(why, HERACLIUS_TEXT_BYTES, "it names no coordinator cluster of this system");
        return false;
    }
    struct config_chain *chain = malloc(sizeof *chain);
    struct system_fault fault = {.text = "no memory"};
    bool good = chain && config_chain_members(chain, system, cluster, receipt->chain, receipt->chain_bytes,
                                              receipt->decision.certificate.qc.ballot.place.epoch, signer, out, &fault) == SYSTEM_OK;
    if (!good) snprintf(why, HERACLIUS_TEXT_BYTES, "its CONFIG chain does not prove its epoch: %s", fault.text);
    free(chain);
    return good;
}

static void fill(const struct receipt *receipt, const struct bft_members *members, struct heraclius_receipt *out) {
    const struct leaf *leaf = &receipt->decision.leaf;
    const struct operation *operation = &receipt->operation;
    const struct result *result = &receipt->result;
    *out = (struct heraclius_receipt){
        .cluster = leaf->source - COORDINATOR_CLUSTER_BASE,
        .height = leaf->height,
        .epoch = members->place.epoch,
        .time_ms = leaf->time,
        .signers = members->q,
        .members = members->n,
        .operation = operation_opcode_name(operation->opcode),
        .key = operation->key,
        .key_bytes = operation->key_bytes,
        .argument = operation->argument_a,
        .argument_bytes = operation->argument_a ? operation->a : 0,
        .shard_index = receipt->item.index,
        .result = {.code = (enum heraclius_code)result->code,
                   .has_value = !(result->flags & RESULT_FLAG_VALUE_LEFT_OUT) && (result->value_bytes > 0 || result->code == CODE_OK),
                   .has_version = (result->flags & RESULT_FLAG_VERSION) != 0,
                   .recorded = receipt->item.code == CODE_RECORDED,
                   .value = result->value,
                   .value_bytes = result->value_bytes,
                   .version = {.height = result->version.height, .index = result->version.index},
                   .height = receipt->item.height,
                   .shard = receipt->item.shard - SHARD_CLUSTER_BASE},
    };
    memcpy(out->client_id, leaf->client_id, 32);
    memcpy(out->part_digest, receipt->item.part_digest, 32);
}

static enum heraclius_status judge(const struct system *system, const uint8_t *bytes, size_t bytes_count, struct heraclius_receipt *out, char *why) {
    struct receipt receipt;
    enum decision_error cause;
    enum receipt_error error = receipt_decode(bytes, bytes_count, &receipt, &cause);
    struct bft_members members;
    if (error == RECEIPT_OK && memcmp(receipt.decision.leaf.system_id, system->system_id, 16) != 0) {
        snprintf(why, HERACLIUS_TEXT_BYTES, "it is a receipt of another system than this system file's");
        return HERACLIUS_REFUSED;
    }
    struct signer signer = signer_ed25519(NULL);
    if (error == RECEIPT_OK && !members_of(system, &receipt, &signer, &members, why)) return HERACLIUS_REFUSED;
    if (error == RECEIPT_OK) error = receipt_verify(&receipt, &members, &signer, &cause);
    if (error != RECEIPT_OK) {
        bool detail = error == RECEIPT_BAD_DECISION;
        snprintf(why, HERACLIUS_TEXT_BYTES, "%s%s%s", receipt_error_name(error), detail ? ": " : "", detail ? decision_error_name(cause) : "");
        return HERACLIUS_REFUSED;
    }
    fill(&receipt, &members, out);
    return HERACLIUS_OK;
}

enum heraclius_status heraclius_receipt_verify(const char *system_path, const uint8_t *bytes, size_t bytes_count, struct heraclius_receipt *out,
                                               char *why) {
    struct system_fault fault = {0};
    struct system *system;
    why[0] = 0;
    if (!client_signatures_start()) {
        snprintf(why, HERACLIUS_TEXT_BYTES, "the signature library failed its self-test on this machine");
        return HERACLIUS_NO_RESOURCES;
    }
    if (system_load(&system, system_path, &fault) != SYSTEM_OK) {
        snprintf(why, HERACLIUS_TEXT_BYTES, "%s", fault.text);
        return HERACLIUS_BAD_FILE;
    }
    enum heraclius_status status = judge(system, bytes, bytes_count, out, why);
    system_free(system);
    return status;
}
