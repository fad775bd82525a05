#include "tests/sweep/image.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "merkle/check.h"

enum { NAMES_MAX = 64, NODES_MAX = 4096, STEPS_MAX = 256 };

/* A write that is not durable: an extent, or a new length. */
struct write {
    uint64_t offset, count;
    uint8_t *bytes; /* NULL: the file's length becomes `offset` */
};

struct content {
    uint8_t *bytes;
    uint64_t count, room;
};

struct node {
    bool directory;
    struct content durable;
    struct write *writes;
    uint32_t write_count, write_room;
};

struct name {
    char path[IMAGE_PATH_BYTES];
    uint32_t node;
};

struct names {
    struct name of[NAMES_MAX];
    uint32_t count;
};

/* A change of the names. */
struct step {
    enum record_kind kind;
    char path[IMAGE_PATH_BYTES], to[IMAGE_PATH_BYTES];
    uint32_t node; /* CREATE, MKDIR */
};

struct image {
    struct node nodes[NODES_MAX];
    uint32_t node_count;
    struct names durable, now;
    struct step steps[STEPS_MAX];
    uint32_t step_count;
    const char *ignored, *ignored_durable;
    /* the event under way */
    struct record_event event;
    char path[IMAGE_PATH_BYTES];
    const uint8_t *bytes;
    bool under_way;
    uint64_t written; /* hash of the last image that was written */
};

uint64_t image_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* ---- contents ---- */

static void content_length(struct content *content, uint64_t count) {
    if (count > content->room) {
        uint64_t room = content->room == 0 ? 65536 : content->room;
        while (room < count) room *= 2;
        content->bytes = realloc(content->bytes, room);
        CHECK(content->bytes != NULL);
        content->room = room;
    }
    if (count > content->count) memset(content->bytes + content->count, 0, count - content->count);
    content->count = count;
}

static void content_put(struct content *content, uint64_t offset, const uint8_t *bytes, uint64_t count) {
    if (offset + count > content->count) content_length(content, offset + count);
    if (count > 0) memcpy(content->bytes + offset, bytes, count);
}

static void write_done(struct content *content, const struct write *write) {
    if (write->bytes == NULL)
        content_length(content, write->offset);
    else
        content_put(content, write->offset, write->bytes, write->count);
}

/* A write of which the cut leaves none, all, or some sectors. */
static void write_torn(struct content *content, const struct write *write, uint64_t *random) {
    uint64_t choice = image_random(random) % 3;
    if (choice == 0) return;
    if (choice == 1 || write->bytes == NULL) {
        write_done(content, write);
        return;
    }
    for (uint64_t at = 0; at < write->count;) {
        uint64_t end = (write->offset + at) / IMAGE_SECTOR * IMAGE_SECTOR + IMAGE_SECTOR - write->offset;
        if (end > write->count) end = write->count;
        if (image_random(random) % 2) content_put(content, write->offset + at, write->bytes + at, end - at);
        at = end;
    }
}

/* ---- names ---- */

static struct name *name_find(struct names *names, const char *path) {
    for (uint32_t i = 0; i < names->count; i++) {
        if (strcmp(names->of[i].path, path) == 0) return &names->of[i];
    }
    return NULL;
}

static void name_add(struct names *names, const char *path, uint32_t node) {
    struct name *old = name_find(names, path);
    CHECK(old != NULL || names->count < NAMES_MAX);
    struct name *name = old != NULL ? old : &names->of[names->count++];
    snprintf(name->path, sizeof name->path, "%s", path);
    name->node = node;
}

static void name_remove(struct names *names, const char *path) {
    struct name *name = name_find(names, path);
    if (name != NULL) *name = names->of[--names->count];
}

/* A folder takes with it what is in it. */
static void name_move(struct names *names, const char *from, const char *to) {
    size_t length = strlen(from);
    name_remove(names, to);
    for (uint32_t i = 0; i < names->count; i++) {
        struct name *name = &names->of[i];
        char moved[2 * IMAGE_PATH_BYTES];
        if (strncmp(name->path, from, length) != 0 || (name->path[length] != '/' && name->path[length] != '\0')) continue;
        CHECK(snprintf(moved, sizeof moved, "%s%s", to, name->path + length) < IMAGE_PATH_BYTES);
        memcpy(name->path, moved, IMAGE_PATH_BYTES);
    }
}

static void step_do(struct names *names, const struct step *step) {
    if (step->kind == RECORD_CREATE || step->kind == RECORD_MKDIR) name_add(names, step->path, step->node);
    if (step->kind == RECORD_UNLINK || step->kind == RECORD_RMDIR) name_remove(names, step->path);
    if (step->kind == RECORD_RENAME) name_move(names, step->path, step->to);
}

static bool lies_in(const char *path, const char *folder) {
    const char *slash = strrchr(path, '/');
    size_t length = slash != NULL ? (size_t)(slash - path) : 0;
    return strlen(folder) == length && strncmp(path, folder, length) == 0;
}

/* ---- the record ---- */

static uint32_t node_make(struct image *image, bool directory) {
    CHECK(image->node_count < NODES_MAX);
    image->nodes[image->node_count].directory = directory;
    return image->node_count++;
}

static void base_load(struct image *image, const char *base, const char *below) {
    char path[4096], child[IMAGE_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", base, below);
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        struct stat about;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, "lock.mdb") == 0) continue;
        CHECK(snprintf(child, sizeof child, "%s%s%s", below, below[0] ? "/" : "", entry->d_name) < IMAGE_PATH_BYTES);
        snprintf(path, sizeof path, "%s/%s", base, child);
        CHECK(stat(path, &about) == 0);
        uint32_t node = node_make(image, S_ISDIR(about.st_mode));
        name_add(&image->durable, child, node);
        if (S_ISDIR(about.st_mode)) {
            base_load(image, base, child);
            continue;
        }
        struct content *content = &image->nodes[node].durable;
        content_length(content, (uint64_t)about.st_size);
        FILE *file = fopen(path, "rbe");
        CHECK(file != NULL && fread(content->bytes, 1, content->count, file) == content->count);
        fclose(file);
    }
    closedir(directory);
}

struct image *image_create(const char *base) {
    struct image *image = calloc(1, sizeof *image);
    CHECK(image != NULL);
    if (base != NULL) base_load(image, base, "");
    image->now = image->durable;
    return image;
}

static void writes_forget(struct node *node) {
    for (uint32_t i = 0; i < node->write_count; i++) free(node->writes[i].bytes);
    node->write_count = 0;
}

void image_destroy(struct image *image) {
    for (uint32_t i = 0; i < image->node_count; i++) {
        writes_forget(&image->nodes[i]);
        free(image->nodes[i].writes);
        free(image->nodes[i].durable.bytes);
    }
    free(image);
}

void image_ignore_syncs(struct image *image, const char *ending) {
    image->ignored = ending;
}

void image_ignore_durable(struct image *image, const char *ending) {
    image->ignored_durable = ending;
}

static struct node *node_of(struct image *image, const char *path) {
    struct name *name = name_find(&image->now, path);
    CHECK(name != NULL && !image->nodes[name->node].directory);
    return &image->nodes[name->node];
}

static bool is_write(const struct image *image) {
    return image->event.kind == RECORD_WRITE || image->event.kind == RECORD_DURABLE || image->event.kind == RECORD_LENGTH;
}

static bool is_step(const struct image *image) {
    return image->event.kind >= RECORD_CREATE && image->event.kind <= RECORD_RMDIR;
}

static void write_add(struct image *image) {
    struct node *node = node_of(image, image->path);
    if (node->write_count == node->write_room) {
        node->write_room = node->write_room == 0 ? 64 : 2 * node->write_room;
        node->writes = realloc(node->writes, node->write_room * sizeof *node->writes);
        CHECK(node->writes != NULL);
    }
    struct write *write = &node->writes[node->write_count++];
    *write = (struct write){.offset = image->event.offset, .count = image->event.bytes};
    if (image->event.kind == RECORD_LENGTH) return;
    write->bytes = malloc(write->count + 1);
    CHECK(write->bytes != NULL);
    memcpy(write->bytes, image->bytes, write->count);
}

static void step_add(struct image *image) {
    CHECK(image->step_count < STEPS_MAX && image->event.bytes < IMAGE_PATH_BYTES);
    struct step *step = &image->steps[image->step_count++];
    memset(step, 0, sizeof *step);
    step->kind = image->event.kind;
    memcpy(step->path, image->path, sizeof step->path);
    if (step->kind == RECORD_RENAME) memcpy(step->to, image->bytes, image->event.bytes);
    if (step->kind == RECORD_CREATE || step->kind == RECORD_MKDIR) step->node = node_make(image, step->kind == RECORD_MKDIR);
    step_do(&image->now, step);
}

static bool is_ignored(const struct image *image, const char *ignored) {
    size_t length = strlen(image->path), ending = ignored != NULL ? strlen(ignored) : 0;
    return ending > 0 && length >= ending && strcmp(image->path + length - ending, ignored) == 0;
}

void image_begin(struct image *image, const struct record_event *event, const char *path, const uint8_t *bytes) {
    CHECK(!image->under_way && event->path_bytes < IMAGE_PATH_BYTES);
    image->event = *event;
    memcpy(image->path, path, event->path_bytes);
    image->path[event->path_bytes] = '\0';
    image->bytes = bytes;
    image->under_way = true;
    if (is_write(image)) write_add(image);
    if (is_step(image)) step_add(image);
}

static void synced(struct image *image) {
    struct node *node = node_of(image, image->path);
    if (is_ignored(image, image->ignored)) return;
    for (uint32_t i = 0; i < node->write_count; i++) write_done(&node->durable, &node->writes[i]);
    writes_forget(node);
}

/* The newest write, which is durable by itself, whatever lies before it unsynced: those count as older. */
static void newest_durable(struct image *image) {
    struct node *node = node_of(image, image->path);
    struct write *write = &node->writes[--node->write_count];
    write_done(&node->durable, write);
    free(write->bytes);
}

static void folder_synced(struct image *image) {
    uint32_t end = 0;
    for (uint32_t i = 0; i < image->step_count; i++) {
        const struct step *step = &image->steps[i];
        if (lies_in(step->path, image->path) || (step->kind == RECORD_RENAME && lies_in(step->to, image->path))) end = i + 1;
    }
    for (uint32_t i = 0; i < end; i++) step_do(&image->durable, &image->steps[i]);
    memmove(image->steps, image->steps + end, (image->step_count - end) * sizeof image->steps[0]);
    image->step_count -= end;
}

void image_apply(struct image *image) {
    CHECK(image->under_way);
    image->under_way = false;
    if (image->event.kind == RECORD_SYNC) synced(image);
    if (image->event.kind == RECORD_DURABLE && !is_ignored(image, image->ignored_durable)) newest_durable(image);
    if (image->event.kind == RECORD_SYNC_DIR) folder_synced(image);
}

uint64_t image_unsynced(const struct image *image) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < image->node_count; i++) {
        for (uint32_t w = 0; w < image->nodes[i].write_count; w++) bytes += image->nodes[i].writes[w].count;
    }
    return bytes;
}

/* ---- writing ---- */

static void empty(const char *path) {
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char child[4096];
        struct stat about;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        CHECK(lstat(child, &about) == 0);
        if (S_ISDIR(about.st_mode)) {
            empty(child);
            CHECK(rmdir(child) == 0);
        } else {
            CHECK(unlink(child) == 0);
        }
    }
    closedir(directory);
}

static int shorter_first(const void *a, const void *b) {
    return strcmp(((const struct name *)a)->path, ((const struct name *)b)->path);
}

static uint64_t hash_bytes(uint64_t hash, const uint8_t *bytes, size_t count) {
    uint64_t word = 0;
    for (; count >= 8; bytes += 8, count -= 8) {
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    for (; count > 0; count--) hash = (hash ^ *bytes++) * UINT64_C(0x100000001B3);
    return hash;
}

/* The content of a node after the cut. */
static void content_cut(const struct node *node, enum image_cut cut, uint64_t *random, struct content *content) {
    content->count = 0;
    content_put(content, 0, node->durable.bytes, node->durable.count);
    for (uint32_t i = 0; i < node->write_count && cut != IMAGE_NOTHING_MORE; i++) {
        if (cut == IMAGE_ALL)
            write_done(content, &node->writes[i]);
        else
            write_torn(content, &node->writes[i], random);
    }
}

static void file_write(const char *path, const struct content *content) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    for (uint64_t at = 0; at < content->count;) {
        ssize_t done = write(fd, content->bytes + at, content->count - at);
        CHECK(done > 0);
        at += (uint64_t)done;
    }
    CHECK(close(fd) == 0);
}

bool image_write(struct image *image, enum image_cut cut, uint64_t *random, const char *out) {
    static struct content contents[NAMES_MAX];
    struct names names = image->durable;
    uint32_t steps = cut == IMAGE_NOTHING_MORE ? 0 : image->step_count;
    if (cut == IMAGE_RANDOM) steps = (uint32_t)(image_random(random) % (image->step_count + 1));
    for (uint32_t i = 0; i < steps; i++) step_do(&names, &image->steps[i]);
    qsort(names.of, names.count, sizeof names.of[0], shorter_first); /* a folder before what is in it */
    uint64_t hash = 1;
    for (uint32_t i = 0; i < names.count; i++) {
        const struct node *node = &image->nodes[names.of[i].node];
        content_cut(node, cut, random, &contents[i]);
        hash = hash_bytes(hash, (const uint8_t *)names.of[i].path, strlen(names.of[i].path));
        hash = hash_bytes(hash, contents[i].bytes, contents[i].count);
    }
    if (hash == image->written) return false;
    image->written = hash;
    empty(out);
    for (uint32_t i = 0; i < names.count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", out, names.of[i].path);
        if (image->nodes[names.of[i].node].directory)
            CHECK(mkdir(path, 0700) == 0);
        else
            file_write(path, &contents[i]);
    }
    return true;
}
