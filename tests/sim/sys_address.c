/*
 * Where nodes are reached (tests/sim/sys.h), in the place of appliance/node/node_addresses.c and of what client/ does with the same file: each node
 * and each client has an addresses.json of its own (S-90), in the product's form and read by the product's code. Nodes move: to an address that
 * nobody had, to one that another has left, or two change places. Their operators run `heraclius address set` one after another, some late, some
 * wrongly, at times the entry is removed or the file is spoilt. Each holder looks at its file once a second; a file that is refused, and to a node
 * an entry that is not there, changes nothing.
 *
 * A link comes up only if one of the two dials the other (L-44) at the address where it is now: whoever else is there has not its key (L-13). No
 * message carries an address, so all that a liar could do is to have a node looked for under another's name: sys_peers.c holds each name that a
 * replica tells against the key's card. After the heal the files are right, and all who let each other in must be linked within REACHED_US.
 */
#include "appliance/node/node.h"
#include "protocol/addresses.h"
#include "tests/sim/sys.h"

enum {
    TICK_US = 250000,
    LOOKS = 4,              /* ticks from look to look */
    REACHED_US = 12000000,  /* 10 s until a file is looked at again (S-90), and a handshake */
    NEAR_US = 5000,
    MOVE_PPM = 120000,
    EDIT_PPM = 150000,
    MISTAKE_PPM = 100000,
    NOWHERE = 0,
};

struct holder {
    char *text; /* the file */
    size_t bytes;
    bool begun, unread, spoilt;
    uint32_t written[SYS_NODES_MAX]; /* what its operator means */
    uint32_t known[SYS_NODES_MAX];   /* what it dials */
};

struct sys_addresses {
    uint32_t at[SYS_NODES_MAX], used; /* each node's address, a number from 1 on */
    uint64_t ticks, checked_us;
    uint32_t apart; /* pairs that should be linked and were not, when it was looked last */
    uint64_t apart_us[SYS_NODES_MAX][SYS_NODES_MAX];
    struct holder holders[SYS_ENDS_MAX];
};

/* ---- files ---- */

static bool is_there(const struct sys_world *world, uint32_t node) {
    return !world->nodes[node].spare || world->nodes[node].ordered;
}

static int entry_compare(const void *a, const void *b) {
    return strcmp(((const struct address *)a)->node, ((const struct address *)b)->node);
}

static void file_write(const struct sys_world *world, struct holder *holder) {
    struct addresses *file = calloc(1, sizeof *file + world->node_count * sizeof file->entries[0]);
    CHECK(file != NULL);
    memcpy(file->system_id, world->system->system_id, sizeof file->system_id);
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (holder->written[i] == NOWHERE) continue;
        struct address *entry = &file->entries[file->count++];
        snprintf(entry->node, sizeof entry->node, "%s", world->nodes[i].card->name);
        snprintf(entry->link.host, sizeof entry->link.host, "h%u.example", holder->written[i]);
        entry->link.port = 7000;
    }
    qsort(file->entries, file->count, sizeof file->entries[0], entry_compare);
    free(holder->text);
    holder->text = addresses_encode_json(file, &holder->bytes);
    CHECK(holder->text != NULL);
    holder->unread = true;
    holder->spoilt = false;
    addresses_free(file);
}

/* NULL: refused. */
static struct addresses *file_parse(const struct sys_world *world, const struct holder *holder) {
    struct addresses *file;
    struct system_fault fault;
    bool good = addresses_parse(&file, holder->text, holder->bytes, world->system, &fault) == SYSTEM_OK;
    CHECK(good || holder->spoilt);
    return good ? file : NULL;
}

static uint32_t entry_of(const struct sys_world *world, const struct addresses *file, uint32_t node) {
    const struct address *entry = addresses_find(file, world->nodes[node].card->name);
    return entry == NULL ? (uint32_t)NOWHERE : (uint32_t)strtoul(entry->link.host + 1, NULL, 10);
}

static void look(struct sys_world *world, uint32_t end) {
    struct holder *holder = &world->addresses->holders[end];
    struct addresses *file = file_parse(world, holder);
    bool client = end >= world->node_count;
    holder->unread = false;
    sys_reached(world->stats, file == NULL ? "addresses_refused" : "addresses_read", 1);
    for (uint32_t i = 0; file != NULL && i < world->node_count; i++) {
        uint32_t found = entry_of(world, file, i);
        if (found == holder->known[i] || (found == NOWHERE && !client)) continue;
        holder->known[i] = found;
        if (!client && world->nodes[end].peers[i].kind != 0) sys_link_later(world, end, i, 1 + sys_random(world, NEAR_US));
    }
    addresses_free(file);
}

void sys_address_start(struct sys_world *world, uint32_t end) {
    if (world->addresses == NULL) return;
    struct holder *holder = &world->addresses->holders[end];
    if (!holder->begun) { /* what its operator was told when it was made */
        for (uint32_t i = 0; i < world->node_count; i++) holder->written[i] = is_there(world, i) ? world->addresses->at[i] : (uint32_t)NOWHERE;
    }
    if (!holder->begun || holder->spoilt) file_write(world, holder); /* it would not start by a file that it refuses */
    holder->begun = true;
    holder->unread = false;
    struct addresses *file = file_parse(world, holder);
    for (uint32_t i = 0; i < world->node_count; i++) holder->known[i] = entry_of(world, file, i);
    addresses_free(file);
}

void sys_address_follow(struct sys_world *world, uint32_t end, uint32_t node) {
    if (world->addresses == NULL) return;
    struct holder *holder = &world->addresses->holders[end];
    struct addresses *file = file_parse(world, holder);
    if (file != NULL) holder->known[node] = entry_of(world, file, node);
    addresses_free(file);
}

/* ---- links ---- */

static bool dials(const struct sys_world *world, uint32_t from, uint32_t to) {
    if (to >= world->node_count) return false;
    if (from >= world->node_count || world->nodes[from].spare) return true; /* "join" in node.conf: nobody may know where it is */
    return memcmp(world->nodes[from].card->noise_key, world->nodes[to].card->noise_key, 32) < 0;
}

static bool finds(struct sys_world *world, uint32_t from, uint32_t to) {
    const struct sys_addresses *own = world->addresses;
    uint32_t known = own->holders[from].known[to];
    if (!dials(world, from, to) || known == NOWHERE) return false;
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (i != to && own->at[i] == known) sys_reached(world->stats, "dialled_another", 1);
    }
    return known == own->at[to];
}

bool sys_address_reaches(struct sys_world *world, uint32_t a, uint32_t b) {
    uint32_t honest = world->node_count + world->config.clients; /* of the others nobody keeps a file here */
    if (world->addresses == NULL || a >= honest || b >= honest) return true;
    bool first = finds(world, a, b), second = finds(world, b, a);
    return first || second;
}

/* ---- what happens ---- */

static void begin_there(struct sys_world *world, uint32_t node, uint32_t address) {
    char name[SYS_NAME_BYTES], text[SYS_TEXT_BYTES];
    world->addresses->at[node] = address;
    snprintf(text, sizeof text, "%s is at address %u now", sys_end_name(world, node, name), address);
    sys_fault_count(world, SYS_MOVE, text);
    if (world->nodes[node].up) sys_node_again(world, node);
}

/* An address that was left, at times; else one that nobody had. */
static uint32_t address_free(struct sys_world *world) {
    struct sys_addresses *own = world->addresses;
    uint32_t tried = 1 + (uint32_t)sys_random(world, own->used);
    bool left = sys_chance(world, 300000);
    for (uint32_t i = 0; i < world->node_count; i++) left = left && own->at[i] != tried;
    return left ? tried : ++own->used;
}

static void move(struct sys_world *world) {
    const struct sys_addresses *own = world->addresses;
    uint32_t node = (uint32_t)sys_random(world, world->node_count), other = (uint32_t)sys_random(world, world->node_count);
    if (!world->nodes[node].up) return;
    if (node != other && world->nodes[other].up && sys_chance(world, 200000)) {
        uint32_t first = own->at[node], second = own->at[other];
        begin_there(world, node, second);
        begin_there(world, other, first);
        return;
    }
    begin_there(world, node, address_free(world));
}

/* `heraclius address set`, of one node. */
static void edit(struct sys_world *world, struct holder *holder) {
    const struct sys_addresses *own = world->addresses;
    uint32_t from = (uint32_t)sys_random(world, world->node_count), node = from;
    for (uint32_t i = 0; i < world->node_count; i++) {
        node = (from + i) % world->node_count;
        if (is_there(world, node) && holder->written[node] != own->at[node]) break;
    }
    uint64_t die = sys_chance(world, MISTAKE_PPM) ? sys_random(world, 3) : 3;
    if (die == 0) holder->written[node] = NOWHERE;
    else if (die == 1) holder->written[node] = own->at[sys_random(world, world->node_count)];
    else if (is_there(world, node)) holder->written[node] = own->at[node];
    file_write(world, holder);
    if (die != 2) return;
    holder->bytes -= 1 + sys_random(world, 20);
    holder->spoilt = true;
}

/* After the heal: all that is wrong in it. */
static void mend(struct sys_world *world, struct holder *holder) {
    bool wrong = holder->spoilt;
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (!is_there(world, i) || holder->written[i] == world->addresses->at[i]) continue;
        holder->written[i] = world->addresses->at[i];
        wrong = true;
    }
    if (wrong) file_write(world, holder);
}

/* ---- after the heal ---- */

static bool belong_together(const struct sys_world *world, uint32_t a, uint32_t b) {
    const struct sys_node *one = &world->nodes[a], *other = &world->nodes[b];
    bool up = one->up && other->up && one->peers[b].kind != 0 && other->peers[a].kind != 0;
    return up && !one->liar && !other->liar && !one->doubtful && !other->doubtful;
}

static void apart_check(struct sys_world *world) {
    struct sys_addresses *own = world->addresses;
    char name[SYS_NAME_BYTES], other[SYS_NAME_BYTES];
    own->apart = 0;
    own->checked_us = world->now_us;
    for (uint32_t a = 0; a < world->node_count; a++) {
        for (uint32_t b = a + 1; b < world->node_count; b++) {
            uint64_t *since = &own->apart_us[a][b];
            bool apart = belong_together(world, a, b) && !sys_link_of(world, a, b)->up;
            *since = !apart ? 0 : *since == 0 ? world->now_us : *since;
            own->apart += apart;
            bool planted = world->config.plant == SYS_CHECK_ANSWERED; /* the network never heals */
            if (apart && !planted && world->now_us - *since > REACHED_US)
                sys_fail(world, SYS_CHECK_ADDRESS, "%s and %s have not found each other in %u s after everything had healed",
                         sys_end_name(world, a, name), sys_end_name(world, b, other), (unsigned)(REACHED_US / 1000000));
        }
    }
}

bool sys_address_settled(const struct sys_world *world) {
    const struct sys_addresses *own = world->addresses;
    if (world->config.plant == SYS_CHECK_ANSWERED) return true; /* the network never heals: another checker is to see that */
    return own == NULL || (own->checked_us > world->healed_us + (uint64_t)(LOOKS + 2) * TICK_US && own->apart == 0);
}

void sys_address_event(struct sys_world *world) {
    struct sys_addresses *own = world->addresses;
    own->ticks++;
    if (!world->healed && sys_chance(world, MOVE_PPM)) move(world);
    for (uint32_t end = 0; end < world->node_count + world->config.clients; end++) {
        struct holder *holder = &own->holders[end];
        if (!holder->begun) continue;
        if (!world->healed && sys_chance(world, EDIT_PPM)) edit(world, holder);
        if (world->healed && world->config.plant != SYS_CHECK_ADDRESS) mend(world, holder);
        bool looks = end >= world->node_count || world->nodes[end].up;
        if (holder->unread && looks && end % LOOKS == own->ticks % LOOKS) look(world, end);
    }
    if (world->healed) apart_check(world);
    sys_schedule(world, (struct sys_event){.at_us = world->now_us + TICK_US, .kind = SYS_ADDRESS});
}

void sys_address_begin(struct sys_world *world) {
    if (!(world->config.faults >> SYS_MOVE & 1) || world->config.quiet_faults) return;
    struct sys_addresses *own = calloc(1, sizeof *own);
    CHECK(own != NULL);
    world->addresses = own;
    for (uint32_t i = 0; i < world->node_count; i++) own->at[i] = ++own->used;
    sys_schedule(world, (struct sys_event){.at_us = world->now_us + TICK_US, .kind = SYS_ADDRESS});
}

void sys_address_free(struct sys_world *world) {
    if (world->addresses == NULL) return;
    for (uint32_t i = 0; i < SYS_ENDS_MAX; i++) free(world->addresses->holders[i].text);
    free(world->addresses);
}
