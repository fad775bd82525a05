/* Writes and reads one key. Build: cc hello.c $(pkg-config --cflags --libs libheraclius). Run: ./a.out path/to/system.json */
#include <heraclius.h>
#include <stdio.h>

int main(int argc, char **argv) {
    struct heraclius *db;
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius_options options = {.system_path = argc > 1 ? argv[1] : "local/system.json"};
    if (heraclius_open(&db, &options, why) != HERACLIUS_OK) return fprintf(stderr, "%s\n", why), 2;
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_put(request, "hello", 5, "world", 5);
    enum heraclius_status status = heraclius_call(request, 10000);
    heraclius_request_reset(request);
    heraclius_get(request, "hello", 5, 1024, false);
    if (status == HERACLIUS_DONE) status = heraclius_call(request, 10000);
    const struct heraclius_result *result = heraclius_result_at(request, 0);
    if (status == HERACLIUS_DONE && result) printf("%.*s\n", (int)result->value_bytes, (const char *)result->value);
    else fprintf(stderr, "%s: %s\n", heraclius_status_name(status), heraclius_why(request));
    heraclius_request_free(request);
    heraclius_close(db);
    return status == HERACLIUS_DONE ? 0 : 3;
}
