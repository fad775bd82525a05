/* heraclius settle: the writes of this client whose outcome is unknown. */
#include <stdio.h>

#include "client/command.h"

/* The code, machine-readable, and what it says where that is not plain. */
static const char *meaning(enum heraclius_code code) {
    switch (code) {
    case HERACLIUS_CODE_RECORDED: return "it had taken effect";
    case HERACLIUS_CODE_CANCELLED: return "it never takes effect";
    case HERACLIUS_CODE_TOO_OLD: return "it takes effect no more; whether it did before is not recorded any longer";
    default: return NULL;
    }
}

static void settled(const struct heraclius_unsettled *write, enum heraclius_code code, void *argument) {
    json_t *all = argument; /* NULL without --json */
    const char *means = meaning(code);
    command_effect("the writes that it would list are settled");
    if (all) {
        json_array_append_new(all, json_pack("{sisIsissss}", "shard", (int)write->shard, "number", (json_int_t)write->number, "operations",
                                             (int)write->op_count, "summary", write->summary, "code", heraclius_code_name(code)));
        return;
    }
    printf("shard %u number %llu: %s: %s%s%s\n", write->shard, (unsigned long long)write->number, write->summary, heraclius_code_name(code),
           means ? ": " : "", means ? means : "");
}

static int list(const struct command *command, struct heraclius *db) {
    struct heraclius_unsettled write;
    json_t *all = command->json ? json_array() : NULL;
    for (size_t i = 0; heraclius_unsettled_at(db, i, &write); i++) {
        if (all) {
            json_array_append_new(all, json_pack("{sisIsiss}", "shard", (int)write.shard, "number", (json_int_t)write.number, "operations",
                                                 (int)write.op_count, "summary", write.summary));
        } else {
            printf("shard %u number %llu: %s: unsettled\n", write.shard, (unsigned long long)write.number, write.summary);
        }
    }
    if (all) command_print_json(all);
    if (!all && heraclius_unsettled_count(db) == 0) puts("every write of this client is settled");
    return EXIT_DONE;
}

int command_settle(const struct command *command) {
    int exit_code;
    if (command->retry && command->cancel) return command_fail(EXIT_USAGE, "settle: --retry or --cancel, not both");
    struct heraclius *db = command_open(command, &exit_code);
    if (!db) return exit_code;
    if (!command->retry && !command->cancel) {
        exit_code = list(command, db);
    } else {
        char why[HERACLIUS_TEXT_BYTES];
        enum heraclius_settle how = command->retry ? HERACLIUS_SETTLE_RETRY : HERACLIUS_SETTLE_CANCEL;
        json_t *all = command->json ? json_array() : NULL;
        enum heraclius_status status = heraclius_settle(db, how, command_timeout_ms(command), settled, all, why);
        if (all) command_print_json(all);
        exit_code = EXIT_DONE;
        if (status != HERACLIUS_DONE)
            exit_code = command_fail(command_why_exit(why), "%zu writes are still unsettled: %s", heraclius_unsettled_count(db), why);
    }
    heraclius_close(db);
    return exit_code;
}
