/* An honest client of the simulated system: the library's own handle, and what was asked of it (sys_client.c, sys_transport.c, sys_model.c). */
#ifndef TESTS_SIM_SYS_CLIENT_H
#define TESTS_SIM_SYS_CLIENT_H

#include "client/client.h"
#include "tests/sim/sys.h"

enum { SYS_ASKS_MAX = 4, SYS_REGISTERS = 3, SYS_COUNTERS = 2, SYS_ACCOUNTS = 3, SYS_GROUPS_MAX = 8, SYS_FUND = 1000, SYS_CLIENT_PATH_BYTES = 64 };

enum sys_ask_kind {
    SYS_ASK_NONE = 0,
    SYS_ASK_GET,
    SYS_ASK_PUT,
    SYS_ASK_CAS,
    SYS_ASK_ADD,
    SYS_ASK_COUNT,
    SYS_ASK_TRANSFER,
    SYS_ASK_AUDIT,
    SYS_ASK_FUND,
    SYS_ASK_TWO,
    SYS_ASK_SETTLE,
    SYS_ASK_AGAIN
};

/* One request under way, and what was known when it began. */
struct sys_ask {
    struct sys_client *client;
    struct heraclius_request *request;
    enum sys_ask_kind kind;
    bool final; /* asked after everything had healed */
    uint32_t group, at, group2, at2;
    uint64_t since_us, value, value2, floor, floor2; /* floor: the newest version (or count) that somebody had seen then */
    uint64_t expected;                               /* CAS: this version */
};

struct sys_client {
    struct heraclius db; /* first: the library gives it back */
    struct client_system shared;
    struct sys_world *world;
    uint32_t index;
    bool hostile, closing, following; /* following: what its journal brought over a succession is not settled yet */
    char path[SYS_CLIENT_PATH_BYTES]; /* of its key: the journal lies beside it */
    uint8_t ends[SYS_CLUSTERS_MAX * BFT_MEMBERS_MAX]; /* which node is at each place; UINT8_MAX: nobody */
    struct sys_ask asks[SYS_ASKS_MAX];
    uint64_t values, next_us;
    uint32_t final_next; /* the next group that it asks for in the end */
    uint64_t turn;       /* hostile */
};

/* sys_transport.c: the place at which it knows this node; NULL: at none */
struct node *sys_client_node(struct sys_client *client, uint32_t end);

/* sys_model.c */
void sys_model_ask(struct sys_world *world, struct sys_ask *ask);    /* fills the request in */
void sys_model_answer(struct sys_world *world, struct sys_ask *ask); /* HERACLIUS_DONE */
void sys_model_again_answer(struct sys_client *client, const struct heraclius_request *request); /* something was sent again, and ended */
uint32_t sys_model_groups(const struct sys_world *world);

#endif
