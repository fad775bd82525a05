/*
 * What scripts about a succession share (spec/system.md 7.12): the predecessor, a backup of its shard, and successors that begin with it.
 *
 * The world of a predecessor or successor bears the identity (ids, partition key, administrators, origins) of a system file of
 * tests/protocol/identity_fixture.h, so what administrators sign about the files holds for the worlds. All worlds have the same keys: nothing but the
 * system's id tells apart what their nodes and clients sign.
 */
#ifndef TESTS_SCENARIO_REPLICA_SUCCESSION_H
#define TESTS_SCENARIO_REPLICA_SUCCESSION_H

#include "protocol/claim.h"
#include "tests/scenario_replica/replica_scenario.h"

/* Checkpoints every RS_CHECKPOINT blocks; two of three administrators must sign. */
struct replica_world *rs_predecessor(uint64_t seed);

/* ---- writes, each of which adds 1 to "sum", under numbers from 1 on ---- */

struct rs_writes {
    uint32_t count;
    struct rs_write {
        uint32_t nonce;  /* kept over retries */
        uint64_t height; /* of the shard, at which it took effect; 0: no answer */
    } of[256];
};
/* The next one; the height at which it took effect, or 0: no answer within `ms`. */
uint64_t rs_write_next(struct replica_world *rw, struct rs_writes *writes, uint64_t ms);
/* The same write signed anew for this world: its answer, which holds until the next call, and the code of its part, or -1: none. Answers that came
 * before do not count. */
int rs_write_again(struct replica_world *rw, const struct rs_writes *writes, uint32_t number, struct client_item *item);
int64_t rs_sum(struct replica_world *rw);

/* ---- what is taken from the predecessor ---- */

struct rs_heritage {
    uint64_t height; /* the cut */
    uint8_t root[32];
    struct table_entry *kept; /* what S-144 keeps; in `piece` */
    size_t kept_count;
    uint8_t *piece;
};
/* Writes until a checkpoint is there, then takes it as a client's backup does (P-50), from a node of the shard, and believes what protocol/backup.h
 * proves of it. */
void rs_heritage_take(struct replica_world *rw, struct rs_writes *writes, struct rs_heritage *heritage);
void rs_heritage_free(struct rs_heritage *heritage);

/* ---- successors ---- */

struct rs_successor {
    struct fixture *fixture;
    struct claim_successor statement;
    char folder[96]; /* its system.json, addresses.json and statement */
};
/* A successor that goes on from there, and its statement, signed by these administrators (bits). Files of it lie in `folder`/name. */
void rs_successor_make(struct rs_successor *successor, const struct rs_heritage *heritage, const char *folder, const char *name, uint32_t signers);
void rs_successor_free(struct rs_successor *successor);
/* By the CONFIG that this node of the predecessor's has in force (S-142). */
bool rs_successor_valid(struct replica_world *rw, uint32_t node, const struct rs_successor *successor);
/* Its world. The heritage lives as long. */
struct replica_world *rs_successor_world(uint64_t seed, const struct rs_successor *successor, const struct rs_heritage *heritage);
/* Puts file and statement where `heraclius successor leave` puts them, in a folder of their own below `data`, and has the node look at them. */
void rs_successor_show(struct replica_world *rw, uint32_t node, const char *data, const struct rs_successor *successor);

/* A new folder, and its end with all that is in it. */
void rs_folder_make(char folder[64]);
void rs_folder_remove(const char *folder);
/* system.json, addresses.json and chain (of no CONFIG) of a fixture in this folder, which is made; client.key of its first client if `key`. */
void rs_files_write(const struct fixture *of, const char *folder, bool key);

#endif
