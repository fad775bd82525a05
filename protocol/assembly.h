/*
 * A system file in the making: cards are added, then everything is sorted, checked, identified and written (spec/system.md S-20 to S-33).
 *
 * For the commands `system assemble` and `system local`, for simulators and tests. One heap block and its arrays, owned until assembly_free(). Cards
 * must be verified already (card_load, keyfile_make_card).
 */
#ifndef PROTOCOL_ASSEMBLY_H
#define PROTOCOL_ASSEMBLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/system.h"

struct assembly {
    struct system system; /* name, limits, time-outs, partition key, administrators needed, succession: the caller's to set */
    struct card admins[CONFIG_ADMINS_MAX];
    struct system_cluster coordinators[SYSTEM_CLUSTERS_MAX];
    struct system_cluster shards[SYSTEM_CLUSTERS_MAX];
    struct system_cluster clusters[2 * SYSTEM_CLUSTERS_MAX]; /* both, in order: made by assembly_finish() */
    uint32_t coordinators_count, shards_count;
    struct card *nodes; /* room for all that can be; the kernel gives memory for what is touched */
    size_t nodes_count;
    struct system_client *clients;
    struct system_right *rights;
    size_t rights_count;
};

/* Defaults everywhere, no cards; NULL without memory. */
struct assembly *assembly_new(void);
void assembly_free(struct assembly *assembly);

/* SYSTEM_TOO_LARGE beyond the limits of protocol/system.h. `nodes` are copied, in member order. */
enum system_error assembly_add_cluster(struct assembly *assembly, bool shard, const struct card *nodes, uint32_t nodes_count,
                                       struct system_fault *fault)
    __attribute__((warn_unused_result));
enum system_error assembly_add_admin(struct assembly *assembly, const struct card *card, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* `rights` are copied and sorted. */
enum system_error assembly_add_client(struct assembly *assembly, const struct card *card, uint32_t quota_per_second, uint32_t quota_burst,
                                      const struct system_right *rights, uint32_t rights_count, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* Sorts, checks every rule, sets the id. After it assembly->system is whole. */
enum system_error assembly_finish(struct assembly *assembly, struct system_fault *fault) __attribute__((warn_unused_result));
/* Writes the finished system to a new file. */
enum system_error assembly_write(const struct assembly *assembly, const char *path, struct system_fault *fault) __attribute__((warn_unused_result));

#endif
