/* addresses.json (S-90 to S-91). */
#include "protocol/addresses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/canonical.h"

enum { ADDRESSES_FORMAT = 1, ENDPOINT_TEXT_MAX = ADDRESSES_HOST_BYTES_MAX + 8 };

static bool host_character(char c, bool in_brackets) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '.') return true;
    return in_brackets ? c == ':' : c == '-';
}

bool address_endpoint_parse(struct address_endpoint *endpoint, const char *text) {
    memset(endpoint, 0, sizeof *endpoint);
    size_t count = strnlen(text, ENDPOINT_TEXT_MAX + 1);
    if (count == 0) return true;
    if (count > ENDPOINT_TEXT_MAX) return false;
    const char *colon = strrchr(text, ':');
    if (!colon) return false;
    const char *host = text;
    size_t host_bytes = (size_t)(colon - text);
    bool brackets = host_bytes >= 2 && text[0] == '[' && colon[-1] == ']';
    if (brackets) {
        host++;
        host_bytes -= 2;
    }
    if (host_bytes < 1 || host_bytes > ADDRESSES_HOST_BYTES_MAX) return false;
    for (size_t i = 0; i < host_bytes; i++) {
        if (!host_character(host[i], brackets)) return false;
    }
    if (brackets && !memchr(host, ':', host_bytes)) return false; /* brackets are for IPv6 alone: one spelling each */
    const char *digits = colon + 1;
    size_t digits_count = strlen(digits);
    if (digits_count < 1 || digits_count > 5 || digits[0] == '0') return false;
    uint32_t port = 0;
    for (size_t i = 0; i < digits_count; i++) {
        if (digits[i] < '0' || digits[i] > '9') return false;
        port = port * 10 + (uint32_t)(digits[i] - '0');
    }
    if (port > UINT16_MAX) return false;
    memcpy(endpoint->host, host, host_bytes);
    endpoint->port = (uint16_t)port;
    return true;
}

void address_endpoint_print(const struct address_endpoint *endpoint, char *out) {
    const char *form = strchr(endpoint->host, ':') ? "[%s]:%u" : "%s:%u";
    out[0] = 0;
    if (endpoint->host[0]) (void)snprintf(out, ADDRESSES_HOST_BYTES_MAX + 9, form, endpoint->host, endpoint->port);
}

static enum system_error endpoint_read(struct address_endpoint *endpoint, const json_t *object, const char *path, const char *name,
                                       struct system_fault *fault) {
    char where[CANONICAL_PATH_BYTES], text[ENDPOINT_TEXT_MAX + 1];
    enum system_error error = canonical_get_text(object, path, name, text, sizeof text - 1, fault);
    if (error) return error;
    if (address_endpoint_parse(endpoint, text)) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_FIELD_RANGE, "%s: must be host:port, [IPv6]:port or empty", canonical_path(where, path, name));
}

static int entry_compare(const void *a, const void *b) {
    return strcmp(((const struct address *)a)->node, ((const struct address *)b)->node);
}

static enum system_error entries_read(struct addresses *addresses, const json_t *nodes, struct system_fault *fault) {
    static const char *const names[] = {"admin", "link"};
    char path[CANONICAL_PATH_BYTES];
    const char *node;
    json_t *entry;
    json_object_foreach((json_t *)(uintptr_t)nodes, node, entry) {
        struct address *address = &addresses->entries[addresses->count];
        if (!card_name_valid(node)) return system_fault_set(fault, SYSTEM_FOREIGN, "nodes: has an entry for what is no name of a node: %.40s", node);
        memcpy(address->node, node, strlen(node) + 1);
        (void)canonical_path(path, "nodes", address->node);
        enum system_error error = canonical_names(entry, path, names, 2, fault);
        if (!error) error = endpoint_read(&address->admin, entry, path, "admin", fault);
        if (!error) error = endpoint_read(&address->link, entry, path, "link", fault);
        if (error) return error;
        addresses->count++;
    }
    qsort(addresses->entries, addresses->count, sizeof addresses->entries[0], entry_compare);
    return SYSTEM_OK;
}

static enum system_error file_read(struct addresses **out, const json_t *object, const struct system *system, struct system_fault *fault) {
    static const char *const names[] = {"format", "nodes", "system_id"};
    uint64_t format = 0;
    enum system_error error = canonical_get_u64(object, "", "format", 0, UINT32_MAX, &format, fault);
    if (error) return error;
    if (format != ADDRESSES_FORMAT) return system_fault_set(fault, SYSTEM_FORMAT_UNKNOWN, "format: %llu is unknown", (unsigned long long)format);
    error = canonical_names(object, "", names, 3, fault);
    if (error) return error;
    const json_t *nodes = json_object_get(object, "nodes");
    if (!json_is_object(nodes)) return system_fault_set(fault, SYSTEM_FIELD_TYPE, "nodes: must be an object");
    size_t count = json_object_size(nodes);
    if (count > 2 * SYSTEM_CLUSTERS_MAX * CONFIG_MEMBERS_MAX) return system_fault_set(fault, SYSTEM_TOO_LARGE, "nodes: %zu entries", count);
    struct addresses *addresses = calloc(1, sizeof *addresses + (count + 1) * sizeof addresses->entries[0]);
    if (!addresses) return system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
    error = canonical_get_hex(object, "", "system_id", addresses->system_id, 16, fault);
    if (!error && memcmp(addresses->system_id, system->system_id, 16) != 0) {
        error = system_fault_set(fault, SYSTEM_FOREIGN, "system_id: these addresses are of another system");
    }
    if (!error) error = entries_read(addresses, nodes, fault);
    if (error) free(addresses);
    else *out = addresses;
    return error;
}

enum system_error addresses_parse(struct addresses **out, const char *text, size_t text_bytes, const struct system *system,
                                  struct system_fault *fault) {
    struct addresses *read = NULL;
    size_t again_bytes = 0;
    *out = NULL;
    if (text_bytes > ADDRESSES_FILE_BYTES_MAX) return system_fault_set(fault, SYSTEM_TOO_LARGE, "%zu bytes", text_bytes);
    json_t *object;
    enum system_error error = canonical_parse(&object, text, text_bytes, fault);
    if (error) return error;
    error = file_read(&read, object, system, fault);
    json_decref(object);
    if (error) return error;
    char *again = addresses_encode_json(read, &again_bytes);
    error = again ? canonical_compare(text, text_bytes, again, again_bytes, fault) : system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
    free(again);
    if (error) addresses_free(read);
    else *out = read;
    return error;
}

enum system_error addresses_load(struct addresses **out, const char *path, const struct system *system, struct system_fault *fault) {
    size_t text_bytes = 0;
    struct system_fault own;
    *out = NULL;
    char *text = canonical_read_file(path, ADDRESSES_FILE_BYTES_MAX, &text_bytes, &own);
    enum system_error error = text ? addresses_parse(out, text, text_bytes, system, &own) : own.error;
    free(text);
    if (error && fault) {
        *fault = own;
        system_fault_prefix(fault, path);
    }
    return error;
}

void addresses_free(struct addresses *addresses) { free(addresses); }

const struct address *addresses_find(const struct addresses *addresses, const char *node) {
    for (uint32_t i = 0; i < addresses->count; i++) {
        if (strcmp(addresses->entries[i].node, node) == 0) return &addresses->entries[i];
    }
    return NULL;
}

char *addresses_encode_json(const struct addresses *addresses, size_t *text_bytes) {
    json_t *object = json_object(), *nodes = json_object();
    bool good = object && nodes;
    for (uint32_t i = 0; i < addresses->count && good; i++) {
        char link[ADDRESSES_HOST_BYTES_MAX + 9], admin[ADDRESSES_HOST_BYTES_MAX + 9];
        address_endpoint_print(&addresses->entries[i].link, link);
        address_endpoint_print(&addresses->entries[i].admin, admin);
        json_t *entry = json_object();
        good = json_object_set_new(entry, "admin", json_string(admin)) == 0;
        good = good && json_object_set_new(entry, "link", json_string(link)) == 0;
        if (!good) json_decref(entry);
        else good = json_object_set_new(nodes, addresses->entries[i].node, entry) == 0;
    }
    good = good && json_object_set_new(object, "format", json_integer(ADDRESSES_FORMAT)) == 0;
    good = good && json_object_set(object, "nodes", nodes) == 0;
    good = good && json_object_set_new(object, "system_id", canonical_hex(addresses->system_id, 16)) == 0;
    json_decref(nodes);
    char *text = good ? canonical_print(object, text_bytes) : NULL;
    json_decref(object);
    return text;
}
