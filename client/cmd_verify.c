/* heraclius verify: a receipt, offline; a backup: cmd_backup_verify.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/command.h"

enum { RECEIPT_FILE_BYTES_MAX = 1 << 26 };

static void print_bytes(const char *name, const uint8_t *bytes, size_t count, bool hex) {
    bool plain = !hex;
    for (size_t i = 0; plain && i < count; i++) plain = bytes[i] >= 0x20 && bytes[i] < 0x7f;
    printf("  %-12s ", name);
    for (size_t i = 0; i < count; i++) printf(plain ? "%c" : "%02x", bytes[i]);
    printf("%s\n", plain ? "" : " (hex)");
}

static void show(const struct command *command, const struct heraclius_receipt *receipt) {
    printf("valid: coordinator cluster %u decided this answer at height %" PRIu64 ", epoch %" PRIu64 ", signed by %u of %u members\n",
           receipt->cluster, receipt->height, receipt->epoch, receipt->signers, receipt->members);
    printf("  %-12s %s\n", "operation", receipt->operation);
    print_bytes("key", receipt->key, receipt->key_bytes, command->hex != 0);
    if (receipt->argument) print_bytes("argument", receipt->argument, receipt->argument_bytes, command->hex != 0);
    printf("  %-12s %s%s\n", "answer", heraclius_code_name(receipt->result.code), receipt->result.recorded ? " (recorded earlier)" : "");
    bool read = strcmp(receipt->operation, "get") == 0; /* of a write, no value is none */
    if (receipt->result.has_value && (read || receipt->result.value_bytes > 0))
        print_bytes("value", receipt->result.value, receipt->result.value_bytes, command->hex != 0);
    printf("  %-12s shard %u, height %" PRIu64 ", index %u: orders answers for one key\n", "executed", receipt->result.shard, receipt->result.height,
           receipt->shard_index);
    print_bytes("client", receipt->client_id, 32, true);
    print_bytes("request", receipt->part_digest, 32, true);
    printf("  %-12s %" PRIu64 " ms: cluster time, not a calendar's\n", "time", receipt->time_ms);
    puts("not proved: that the value is still current; a calendar time; anything if more than f members of that cluster are corrupt");
}

static void show_json(const struct command *command, const struct heraclius_receipt *receipt) {
    json_t *object = command_result_json(&receipt->result, command->hex != 0);
    json_object_set_new(object, "valid", json_true());
    json_object_set_new(object, "coordinator", json_integer((json_int_t)receipt->cluster));
    json_object_set_new(object, "coordinator_height", json_integer((json_int_t)receipt->height));
    json_object_set_new(object, "epoch", json_integer((json_int_t)receipt->epoch));
    json_object_set_new(object, "cluster_time_ms", json_integer((json_int_t)receipt->time_ms));
    json_object_set_new(object, "signers", json_integer((json_int_t)receipt->signers));
    json_object_set_new(object, "members", json_integer((json_int_t)receipt->members));
    json_object_set_new(object, "operation", json_string(receipt->operation));
    command_bytes_json(object, "key", receipt->key, receipt->key_bytes, command->hex != 0);
    if (receipt->argument) command_bytes_json(object, "argument", receipt->argument, receipt->argument_bytes, command->hex != 0);
    command_bytes_json(object, "client_id", receipt->client_id, 32, true);
    command_bytes_json(object, "part_digest", receipt->part_digest, 32, true);
    json_object_set_new(object, "index", json_integer((json_int_t)receipt->shard_index));
    json_object_set_new(object, "not_proved", json_pack("[ss]", "freshness", "calendar time"));
    command_print_json(object);
}

int command_verify(const struct command *command) {
    struct command_bytes file;
    if (command_backup_is(command->words[0])) return command_backup_verify(command, command->words[0]);
    if (!command_read_file(command->words[0], RECEIPT_FILE_BYTES_MAX, "the most that a receipt may have", &file)) return EXIT_USAGE;
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius_receipt receipt;
    enum heraclius_status status = heraclius_receipt_verify(command->system_path, file.bytes, file.count, &receipt, why);
    int exit_code = EXIT_DONE;
    if (status == HERACLIUS_OK) {
        command->json ? show_json(command, &receipt) : show(command, &receipt);
    } else if (status == HERACLIUS_REFUSED) {
        exit_code = EXIT_NO;
        if (command->json) command_print_json(json_pack("{sbss}", "valid", 0, "why", why));
        (void)command_fail(EXIT_NO, "%s: not valid: %s", command->words[0], why);
    } else {
        exit_code = command_fail(EXIT_USAGE, "%s", why);
    }
    free(file.bytes);
    return exit_code;
}
