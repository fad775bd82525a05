/* vectors_gen DIRECTORY: writes DIRECTORY/<chapter>.json for every chapter.
 *
 * The same bytes on every machine: keys sorted, two spaces of indentation, one line feed at the end.
 * Exit 0: all written, but for links.json where a suite is lacking; 1: a file could not be written; 2: usage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/primitives.h"
#include "tests/vectors_gen/gen.h"

#define PATH_BYTES_MAX 4096

struct chapter {
    const char *name;
    void (*generate)(json_t *out);
};

static int chapter_write(const char *directory, const struct chapter *c)
{
    char path[PATH_BYTES_MAX];
    int n = snprintf(path, sizeof path, "%s/%s.json", directory, c->name);
    if (n < 0 || (size_t)n >= sizeof path) {
        fprintf(stderr, "vectors_gen: %s: name too long\n", directory);
        return 1;
    }
    json_t *out = json_object();
    if (!out) {
        fprintf(stderr, "vectors_gen: out of memory\n");
        return 1;
    }
    c->generate(out);
    FILE *f = fopen(path, "w");
    if (!f) {
        fprintf(stderr, "vectors_gen: cannot write %s: %m\n", path);
        json_decref(out);
        return 1;
    }
    int bad = json_dumpf(out, f, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENSURE_ASCII) != 0;
    bad |= fputc('\n', f) == EOF;
    bad |= fclose(f) != 0;
    json_decref(out);
    if (bad) {
        fprintf(stderr, "vectors_gen: %s: not written whole\n", path);
        return 1;
    }
    printf("%s\n", path);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: vectors_gen DIRECTORY\n");
        return 2;
    }
    const struct chapter chapters[] = {
        {"trees", gen_trees},
        {"consensus", gen_consensus},
        {"decisions", gen_decisions},
        {"operations", gen_operations},
        {"links", gen_links},
        {"system", gen_system},
        {"durability", gen_durability},
        {"appliance", gen_appliance},
    };
    /* libsodium alone has AES-GCM on some processors only; where it lacks, the chapter that shows both suites is left out, and said. */
    const bool both_suites = ring_primitives_default()->suite_available(RING_SUITE_AESGCM);
    int bad = 0;
    for (size_t i = 0; i < sizeof chapters / sizeof chapters[0]; i++) {
        if (!both_suites && chapters[i].generate == gen_links)
            fprintf(stderr, "vectors_gen: no AES-GCM here: links.json is left out\n");
        else
            bad |= chapter_write(argv[1], &chapters[i]);
    }
    return bad;
}
