#include "store/env.h"
#include "merkle/bytes.h"
#include "merkle/check.h"
#include "store/runs.h"
#include "store/wal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    ENV_READERS_MAX = 126,
    ENV_CREATE_MAP_BYTES = 1 << 20,
    ENV_PROBE_BYTES = 4 << 20,          /* room that is asked for to tell a full disk from a broken one */
    ENV_META_TAG = 0x10,                /* checksum tags: kind * 16 + database; 0x10 is no such sum of databases since those begin at 1 */
};

static const char identity_magic[8] = {'H', 'R', 'C', 'S', 'T', 'O', 'R', 'E'};
static const uint8_t identity_key[ENV_META_KEY_BYTES] = {'i', 'd', 'e', 'n', 't', 'i', 't', 'y'};

const struct env_layout env_layout_wal = {
    .name = "wal",
    .kind = ENV_KIND_WAL,
    .format = STORE_FORMAT_WAL,
    .db_count = WAL_DB_COUNT,
    .dbs = {[WAL_VOTES] = {.name = "votes", .key_bytes = 16},
            [WAL_BLOCKS] = {.name = "blocks", .key_bytes = 49},
            [WAL_INPUTS] = {.name = "inputs", .key_bytes = 32},
            [WAL_CHAIN] = {.name = "chain", .key_bytes = 8},
            [WAL_MISC] = {.name = "misc", .key_bytes = 32}},
};

const struct env_layout env_layout_state = {
    .name = "state",
    .kind = ENV_KIND_STATE,
    .format = STORE_FORMAT_VERSION,
    .db_count = 3,
    .dbs = {{.name = "entries", .key_bytes = RECORD_PATH_BYTES, .raw = true},
            {.name = "blobs", .key_bytes = 32},
            {.name = "runs", .key_bytes = RUN_KEY_BYTES, .raw = true, .added = true}},
};

const struct env_layout env_layout_transfer = {
    .name = "transfer",
    .kind = ENV_KIND_STATE,
    .format = STORE_FORMAT_VERSION,
    .db_count = 3,
    .dbs = {{.name = "entries", .key_bytes = RECORD_PATH_BYTES, .raw = true},
            {.name = "blobs", .key_bytes = 32},
            {.name = "runs", .key_bytes = RUN_KEY_BYTES, .raw = true, .added = true}},
};

enum store_status env_status_of(int code) {
    switch (code) {
    case 0: return STORE_OK;
    case MDB_NOTFOUND: return STORE_ABSENT;
    case MDB_BAD_VALSIZE: return STORE_TOO_LONG;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return STORE_DISK_FULL;
    case EACCES:
    case EPERM: return STORE_NO_ACCESS;
    case ENOENT: return STORE_MISSING;
    case ENOMEM: return STORE_NO_MEMORY;
    case MDB_INVALID: return STORE_FOREIGN;
    case MDB_VERSION_MISMATCH: return STORE_NEWER_FORMAT;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
    case MDB_PAGE_FULL:
    case MDB_CURSOR_FULL:
    case MDB_INCOMPATIBLE: return STORE_DAMAGED;
    default: return STORE_IO;
    }
}

enum store_status env_file_status(int fd, int code) {
    enum store_status status = env_status_of(code);
    /* A writer never asks what may be absent or too long. */
    if (status == STORE_ABSENT || status == STORE_TOO_LONG) return STORE_DAMAGED;
    if (code != EIO) return status;
    struct stat about;
    struct statvfs system;
    struct rlimit limit;
    if (fstat(fd, &about) != 0) return status;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && (uint64_t)about.st_size + ENV_PROBE_BYTES > limit.rlim_cur) return STORE_DISK_FULL;
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, about.st_size, ENV_PROBE_BYTES) == 0) return status;
    if (errno == ENOSPC || errno == EFBIG || errno == EDQUOT) return STORE_DISK_FULL;
    bool full = fstatvfs(fd, &system) == 0 && (uint64_t)system.f_bavail * system.f_frsize < ENV_PROBE_BYTES;
    return full ? STORE_DISK_FULL : status;
}

enum store_status env_write_status(const struct env *env, int code) {
    mdb_filehandle_t fd = -1;
    return env_file_status(mdb_env_get_fd(env->mdb, &fd) == 0 ? fd : -1, code);
}

static const char *advice_for(enum store_status status) {
    switch (status) {
    case STORE_IN_USE: return "stop the other process, or give this one a directory of its own";
    case STORE_MISSING:
        return "see first that its disk is mounted; a new node's is made once with 'system init'; if it was there before and is lost, so are its "
               "votes: retire this key and enroll a new one";
    case STORE_EXISTS: return "it was made before; start the node, or choose another path";
    case STORE_FOREIGN: return "this is not a node's data; choose another path";
    case STORE_OTHER_SYSTEM: return "the data belong to another system; check the system file and the data path of the configuration";
    case STORE_OTHER_NODE: return "the data belong to another node; check the key file and the data path of the configuration";
    case STORE_NEWER_FORMAT: return "written by a newer release; run that release";
    case STORE_DAMAGED:
        return "it cannot be trusted; keep the disk; if this is the wal, votes are lost: retire this key and enroll a new one; a state comes back "
               "from peers";
    case STORE_DISK_FULL: return "free space or raise the limit of the configuration, then start again; what was acknowledged is safe";
    case STORE_IO: return "check the disk; the node must not go on; what was acknowledged is safe";
    case STORE_NO_ACCESS: return "check owner and mode; the node's user must own it";
    case STORE_NO_MEMORY: return "free memory, raise ulimit -v, or lower wal_map_bytes and state_map_bytes of the configuration";
    default: return "see the store's manual";
    }
}

enum store_status env_fail(struct store_error *error, enum store_status status, int code, const char *file, const char *what) {
    if (status == STORE_DISK_FULL && code == EIO) code = ENOSPC; /* found by env_write_status() */
    error->status = status;
    error->os_error = code;
    const char *cause = code ? mdb_strerror(code) : store_status_name(status);
    int length = snprintf(error->text, sizeof error->text, "%s: %s: %s; %s", file, what, cause, advice_for(status));
    if (length >= (int)sizeof error->text) { /* the path is long: the rest matters more */
        const char *tail = strlen(file) > 120 ? file + strlen(file) - 120 : file;
        (void)snprintf(error->text, sizeof error->text, "...%s: %s: %s; %s", tail, what, cause, advice_for(status));
    }
    return status;
}

static bool path_join(char *out, size_t room, const char *a, const char *b, const char *c) {
    int length = snprintf(out, room, "%s/%s%s%s", a, b, c ? "/" : "", c ? c : "");
    return length >= 0 && (size_t)length < room;
}

static void identity_encode(uint8_t out[ENV_IDENTITY_BYTES], const struct env_layout *layout, const struct store_identity *identity) {
    struct bytes_writer writer = bytes_writer_of(out, ENV_IDENTITY_BYTES);
    bytes_put_raw(&writer, identity_magic, sizeof identity_magic);
    bytes_put_u32(&writer, layout->format);
    bytes_put_u32(&writer, layout->kind);
    bytes_put_raw(&writer, identity->system_id, STORE_SYSTEM_ID_BYTES);
    bytes_put_raw(&writer, identity->node_id, STORE_NODE_ID_BYTES);
    bytes_put_u32(&writer, identity->cluster);
    bytes_put_u32(&writer, identity->member);
    CHECK(!writer.failed && writer.used == ENV_IDENTITY_BYTES);
}

static enum store_status identity_compare(const uint8_t *bytes, size_t count, const struct env_layout *layout,
                                          const struct store_identity *identity) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    const uint8_t *magic = bytes_get_raw(&cursor, sizeof identity_magic);
    uint32_t format = bytes_get_u32(&cursor);
    if (cursor.failed || memcmp(magic, identity_magic, sizeof identity_magic) != 0) return STORE_FOREIGN;
    if (format > layout->format) return STORE_NEWER_FORMAT; /* before the length: a newer one may be longer */
    uint32_t kind_found = bytes_get_u32(&cursor);
    const uint8_t *system_id = bytes_get_raw(&cursor, STORE_SYSTEM_ID_BYTES);
    const uint8_t *node_id = bytes_get_raw(&cursor, STORE_NODE_ID_BYTES);
    uint32_t cluster = bytes_get_u32(&cursor);
    (void)bytes_get_u32(&cursor);
    if (!bytes_finished(&cursor) || format < STORE_FORMAT_VERSION) return STORE_DAMAGED;
    if (kind_found != layout->kind) return STORE_FOREIGN;
    if (memcmp(system_id, identity->system_id, STORE_SYSTEM_ID_BYTES) != 0) return STORE_OTHER_SYSTEM;
    if (cluster != identity->cluster || memcmp(node_id, identity->node_id, STORE_NODE_ID_BYTES) != 0) return STORE_OTHER_NODE;
    return STORE_OK;
}

/* Opens all databases in `txn`; with MDB_CREATE makes them. An added one may be missing without it. */
static int dbs_open(struct env *env, MDB_txn *txn, unsigned flags) {
    int code = mdb_dbi_open(txn, "meta", flags, &env->meta.dbi);
    env->meta.tag = ENV_META_TAG;
    env->meta.key_bytes = ENV_META_KEY_BYTES;
    for (uint32_t i = 0; code == 0 && i < env->layout->db_count; i++) {
        const struct env_db_layout *layout = &env->layout->dbs[i];
        env->dbs[i].tag = (uint8_t)(env->layout->kind * 16 + 1 + i);
        env->dbs[i].key_bytes = layout->key_bytes;
        code = mdb_dbi_open(txn, layout->name, flags, &env->dbs[i].dbi);
        if (code == MDB_NOTFOUND && layout->added) {
            env->lacks = true;
            code = 0;
        }
    }
    return code;
}

/* Makes what an older release did not. */
static int dbs_add(struct env *env) {
    MDB_txn *txn = NULL;
    if (!env->lacks) return 0;
    int code = mdb_txn_begin(env->mdb, NULL, 0, &txn);
    if (code) return code;
    code = dbs_open(env, txn, MDB_CREATE);
    if (code == 0) return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return code;
}

static int mdb_make(struct env *env, const char *folder, uint64_t map_bytes) {
    int code = mdb_env_create(&env->mdb);
    if (code == 0) code = mdb_env_set_mapsize(env->mdb, map_bytes);
    if (code == 0) code = mdb_env_set_maxdbs(env->mdb, ENV_DBS_MAX + 1);
    if (code == 0) code = mdb_env_set_maxreaders(env->mdb, ENV_READERS_MAX);
    /* NOTLS: a reader belongs to its object and not to a thread. Default durability: both syncs of every commit. */
    if (code == 0) code = mdb_env_open(env->mdb, folder, MDB_NOTLS, 0600);
    return code;
}

int env_identity_put(const struct env *env, MDB_txn *txn, const struct store_identity *identity) {
    uint8_t bytes[ENV_IDENTITY_BYTES];
    identity_encode(bytes, env->layout, identity);
    return record_put(txn, &env->meta, identity_key, &(struct iovec){bytes, sizeof bytes}, 1);
}

enum store_status env_create(const char *directory, const struct env_layout *layout, const struct store_identity *identity,
                             struct store_error *error) {
    struct env env = {.layout = layout};
    char folder[sizeof env.file];
    if (!path_join(folder, sizeof folder, directory, layout->name, NULL)) return env_fail(error, STORE_TOO_LONG, 0, directory, "path");
    if (mkdir(folder, 0700) != 0) return env_fail(error, env_status_of(errno), errno, folder, "mkdir");
    MDB_txn *txn = NULL;
    int code = mdb_make(&env, folder, ENV_CREATE_MAP_BYTES);
    if (code == 0) code = mdb_txn_begin(env.mdb, NULL, 0, &txn);
    if (code == 0) code = dbs_open(&env, txn, MDB_CREATE);
    if (code == 0) code = env_identity_put(&env, txn, identity);
    if (code == 0) {
        code = mdb_txn_commit(txn);
    } else if (txn) {
        mdb_txn_abort(txn);
    }
    if (env.mdb) mdb_env_close(env.mdb);
    if (code) return env_fail(error, env_status_of(code), code, folder, "create");
    return STORE_OK;
}

/* LMDB divides by the page size that stands in its head (at 40, behind magic, version, address and map size) without a look at it. */
static enum store_status head_check(const char *file, struct store_error *error) {
    enum { MAGIC_AT = 16, PAGE_BYTES_AT = 40, HEAD_BYTES = 44 };
    uint8_t head[HEAD_BYTES];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return env_fail(error, env_status_of(errno), errno, file, "open");
    ssize_t count = pread(fd, head, sizeof head, 0);
    int code = errno;
    (void)close(fd);
    if (count != (ssize_t)sizeof head) return env_fail(error, STORE_IO, count < 0 ? code : 0, file, "read its head");
    if (bytes_get_le32(head + MAGIC_AT) != UINT32_C(0xBEEFC0DE)) return STORE_OK; /* no database: LMDB says so */
    uint32_t page_bytes = bytes_get_le32(head + PAGE_BYTES_AT);
    bool sound = page_bytes >= 512 && page_bytes <= 32768 && (page_bytes & (page_bytes - 1)) == 0;
    return sound ? STORE_OK : env_fail(error, STORE_DAMAGED, 0, file, "its head names no page size");
}

/* LMDB would take a missing or empty file for a new environment; here both mean that something was lost. */
static enum store_status file_is_there(const char *file, struct store_error *error) {
    struct stat about;
    if (stat(file, &about) != 0) return env_fail(error, env_status_of(errno), errno, file, "open");
    if (!S_ISREG(about.st_mode)) return env_fail(error, STORE_FOREIGN, 0, file, "no regular file");
    if (about.st_size < 2 * 4096) return env_fail(error, STORE_DAMAGED, 0, file, "shorter than its own head");
    return head_check(file, error);
}

static enum store_status identity_check(struct env *env, const struct store_identity *identity, struct store_error *error) {
    MDB_txn *txn = NULL;
    uint8_t bytes[4 * ENV_IDENTITY_BYTES];
    size_t count = 0;
    int code = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    if (code) return env_fail(error, env_status_of(code), code, env->file, "read");
    code = dbs_open(env, txn, 0);
    if (code == MDB_NOTFOUND) {
        mdb_txn_abort(txn);
        return env_fail(error, STORE_FOREIGN, code, env->file, "no databases of a node");
    }
    if (code == 0) code = record_get(txn, &env->meta, identity_key, bytes, sizeof bytes, &count);
    /* A read transaction that opened databases must be committed for the handles to stay. */
    int end = mdb_txn_commit(txn);
    if (code == 0) code = end;
    if (code == MDB_NOTFOUND) return env_fail(error, STORE_FOREIGN, code, env->file, "no identity record");
    if (code == MDB_BAD_VALSIZE) return env_fail(error, STORE_NEWER_FORMAT, 0, env->file, "identity record");
    if (code) return env_fail(error, env_status_of(code), code, env->file, "identity record");
    enum store_status status = identity_compare(bytes, count, env->layout, identity);
    if (status != STORE_OK) return env_fail(error, status, 0, env->file, "identity record");
    return STORE_OK;
}

enum store_status env_open(struct env *env, const char *directory, const struct env_layout *layout, const struct store_identity *identity,
                           uint64_t map_bytes, struct store_error *error) {
    memset(env, 0, sizeof *env);
    env->layout = layout;
    env->map_bytes = map_bytes;
    char folder[sizeof env->file];
    if (!path_join(folder, sizeof folder, directory, layout->name, NULL) ||
        !path_join(env->file, sizeof env->file, directory, layout->name, "data.mdb")) {
        return env_fail(error, STORE_TOO_LONG, 0, directory, "path");
    }
    enum store_status status = file_is_there(env->file, error);
    if (status != STORE_OK) return status;
    int code = mdb_make(env, folder, map_bytes);
    if (code) {
        status = env_fail(error, env_status_of(code), code, env->file, "open");
    } else {
        status = identity_check(env, identity, error);
        code = status == STORE_OK ? dbs_add(env) : 0;
        if (code) status = env_fail(error, env_write_status(env, code), code, env->file, "make a database");
    }
    if (status != STORE_OK) {
        env_close(env);
        return status;
    }
    MDB_stat stat_now;
    (void)mdb_env_stat(env->mdb, &stat_now); /* fails on NULL only */
    env->page_bytes = stat_now.ms_psize;
    return STORE_OK;
}

void env_close(struct env *env) {
    if (env->mdb) mdb_env_close(env->mdb);
    env->mdb = NULL;
}

uint64_t env_file_bytes(const struct env *env) {
    MDB_envinfo info;
    if (mdb_env_info(env->mdb, &info) != 0) return 0;
    return ((uint64_t)info.me_last_pgno + 1) * env->page_bytes;
}

/* What lies behind the file's end goes back to the disk. */
static void room_give_back(struct env *env, int fd) {
    struct stat about;
    if (env->set_aside > 0 && fstat(fd, &about) == 0 && ftruncate(fd, about.st_size) == 0) env->set_aside = 0;
}

bool env_room_make(struct env *env, uint64_t bytes, uint64_t others) {
    mdb_filehandle_t fd = -1;
    struct rlimit limit;
    struct statvfs system;
    uint64_t from = env_file_bytes(env), to = from + bytes, end = to + bytes; /* twice that: not each time that it grows */
    if (mdb_env_get_fd(env->mdb, &fd) != 0) return false;
    if (to + others > env->map_bytes) {
        room_give_back(env, fd);
        return false;
    }
    if (to <= env->set_aside) return true;
    if (end + others > env->map_bytes) end = env->map_bytes - others;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && to > limit.rlim_cur) return false;
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(end - from)) == 0) {
        env->set_aside = end;
        return true;
    }
    /* A file system that sets nothing aside: what is free may be taken by others, so there has to be much more. */
    return errno == EOPNOTSUPP && fstatvfs(fd, &system) == 0 && (uint64_t)system.f_bavail * system.f_frsize > 16 * bytes;
}

/* LMDB lists the pages that each transaction gave up under its number, in the database with the handle 0: a count, then the pages. */
int env_pages_freed(MDB_txn *txn, size_t since, uint64_t *pages) {
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, 0, &cursor);
    if (code) return code;
    *pages = 0;
    size_t after = since + 1;
    MDB_val key = {.mv_size = sizeof after, .mv_data = &after}, freed;
    for (code = mdb_cursor_get(cursor, &key, &freed, MDB_SET_RANGE); code == 0; code = mdb_cursor_get(cursor, &key, &freed, MDB_NEXT)) {
        size_t count = 0;
        if (freed.mv_size < sizeof count) break;
        memcpy(&count, freed.mv_data, sizeof count);
        *pages += count;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code == 0 ? MDB_CORRUPTED : code;
}
