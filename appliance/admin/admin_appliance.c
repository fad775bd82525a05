#include "appliance/admin/admin_appliance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/canonical.h"

#define FIRST_LINE "heraclius-admin 1"

static bool refuse(char *why, const char *what, const char *text) {
    (void)snprintf(why, ADMIN_TLS_WHY_BYTES, "%s%.200s", what, text);
    return false;
}

/* One text of printable ASCII without blanks, once. */
static bool once(char to[ADMIN_CONF_TEXT_BYTES], const char *value) {
    if (to[0] != '\0' || value[0] == '\0' || strlen(value) >= ADMIN_CONF_TEXT_BYTES) return false;
    for (const char *at = value; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') return false;
    }
    (void)snprintf(to, ADMIN_CONF_TEXT_BYTES, "%s", value);
    return true;
}

static bool line_take(struct admin_conf *conf, char *line) {
    char *value = strchr(line, ' ');
    if (value == NULL) return false;
    *value++ = '\0';
    if (strcmp(line, "node") == 0) return once(conf->node, value);
    if (strcmp(line, "listen") == 0) return once(conf->listen, value);
    if (strcmp(line, "syslog") == 0) return once(conf->syslog, value);
    if (strcmp(line, "peer") == 0) return conf->peers_count < ADMIN_CONF_PEERS_MAX && once(conf->peers[conf->peers_count++], value);
    return strcmp(line, "client") == 0 && conf->clients_count < ADMIN_CONF_CLIENTS_MAX && once(conf->clients[conf->clients_count++], value);
}

bool admin_conf_parse(struct admin_conf *conf, const char *text, size_t count, char why[ADMIN_TLS_WHY_BYTES]) {
    bool first = true;
    memset(conf, 0, sizeof *conf);
    while (count > 0) {
        char line[ADMIN_CONF_TEXT_BYTES + 16];
        const char *end = memchr(text, '\n', count);
        size_t used = end != NULL ? (size_t)(end - text) : count;
        if (end == NULL || used >= sizeof line || memchr(text, '\0', used) != NULL) return refuse(why, "a line is too long, or cut off", "");
        memcpy(line, text, used);
        line[used] = '\0';
        text += used + 1;
        count -= used + 1;
        if (first && strcmp(line, FIRST_LINE) != 0) return refuse(why, "does not begin with ", FIRST_LINE);
        if (!first && !line_take(conf, line)) return refuse(why, "a line that is not understood: ", line);
        first = false;
    }
    return conf->node[0] != '\0' || refuse(why, "names no node", "");
}

bool admin_appliance_places(struct admin_appliance *appliance, const char *root) {
    static const char *const names[ADMIN_PLACES] = {
        [ADMIN_PLACE_CONF] = "/data/public/admin.conf",
        [ADMIN_PLACE_CERTIFICATE] = "/data/public/admin.pem",
        [ADMIN_PLACE_SYSLOG_CA] = "/data/public/syslog.pem",
        [ADMIN_PLACE_SYSTEM] = "/data/public/system.json",
        [ADMIN_PLACE_STATE] = "/data/admin",
        [ADMIN_PLACE_OWN_KEY] = "/data/admin/tls.key",
        [ADMIN_PLACE_CLAIMS] = "/data/admin/claims",
        [ADMIN_PLACE_PAIRING] = "/run/admin/pairing",
        [ADMIN_PLACE_FINGERPRINT] = "/run/admin/fingerprint",
        [ADMIN_PLACE_INIT] = "/run/init/control.sock",
        [ADMIN_PLACE_NODE] = "/run/node/control.sock",
    };
    if (strlen(root) >= ADMIN_ROOT_BYTES) return false;
    for (int i = 0; i < ADMIN_PLACES; i++) (void)snprintf(appliance->places[i], sizeof appliance->places[i], "%s%s", root, names[i]);
    return true;
}

/* Files are replaced, never written again: another one has another inode or another time. 0: there is none. */
static uint64_t mark_of(const char *path) {
    struct stat about;
    if (stat(path, &about) != 0) return 0;
    uint64_t mark = (uint64_t)about.st_ino * 0x9E3779B97F4A7C15u ^ (uint64_t)about.st_mtim.tv_sec * 1000000007u;
    return (mark ^ (uint64_t)about.st_mtim.tv_nsec ^ (uint64_t)about.st_size << 40) | 1;
}

bool admin_appliance_changed(const struct admin_appliance *appliance) {
    for (int i = 0; i < ADMIN_PLACES_TOLD; i++) {
        if (mark_of(appliance->places[i]) != appliance->marks[i]) return true;
    }
    return false;
}

bool admin_appliance_read(struct admin_appliance *appliance, char why[ADMIN_TLS_WHY_BYTES]) {
    struct system_fault fault = {.text = ""};
    size_t count = 0;
    for (int i = 0; i < ADMIN_PLACES_TOLD; i++) appliance->marks[i] = mark_of(appliance->places[i]);
    char *text = canonical_read_file(appliance->places[ADMIN_PLACE_CONF], ADMIN_CONF_BYTES_MAX, &count, &fault);
    bool good = text != NULL ? admin_conf_parse(&appliance->conf, text, count, why) : refuse(why, fault.text, "");
    free(text);
    return good;
}

/* ---- the certificate ---- */

static bool has_key(const char *path) {
    struct system_fault fault;
    size_t count = 0;
    char *text = canonical_read_file(path, ADMIN_TLS_FILE_BYTES_MAX, &count, &fault);
    bool found = text != NULL && strstr(text, "PRIVATE KEY-----") != NULL;
    if (text != NULL) explicit_bzero(text, count);
    free(text);
    return found;
}

static bool own_load(const struct admin_appliance *appliance, struct admin_tls *tls, char why[ADMIN_TLS_WHY_BYTES]) {
    return admin_tls_load(tls, NULL, NULL, appliance->places[ADMIN_PLACE_STATE], appliance->conf.node, why);
}

/* False: there is none, or it is of no use. */
static bool brought_load(const struct admin_appliance *appliance, struct admin_tls *tls) {
    char why[ADMIN_TLS_WHY_BYTES];
    const char *brought = appliance->places[ADMIN_PLACE_CERTIFICATE];
    if (access(brought, F_OK) != 0) return false;
    if (admin_tls_load(tls, brought, has_key(brought) ? brought : appliance->places[ADMIN_PLACE_OWN_KEY], NULL, NULL, why)) return true;
    (void)printf("the certificate of the configuration is not used, but the console's own: %s\n", why);
    return false;
}

/* The own one is loaded first in any case: it makes the key that a certificate without one is for. One with its key needs nothing of it. */
static bool either_load(const struct admin_appliance *appliance, struct admin_tls *tls, char why[ADMIN_TLS_WHY_BYTES]) {
    if (!own_load(appliance, tls, why)) (void)printf("the console's own certificate cannot be used: %s\n", why);
    admin_tls_free(tls);
    if (brought_load(appliance, tls)) return true;
    admin_tls_free(tls);
    return own_load(appliance, tls, why);
}

static bool fingerprint_show(const char *path, const char *fingerprint, char why[ADMIN_TLS_WHY_BYTES]) {
    struct system_fault fault = {.text = ""};
    char line[ADMIN_FINGERPRINT_TEXT + 2];
    int count = snprintf(line, sizeof line, "%s\n", fingerprint);
    return canonical_replace(path, line, (size_t)count, 0644, &fault) == SYSTEM_OK || refuse(why, fault.text, "");
}

bool admin_appliance_certificate(const struct admin_appliance *appliance, struct admin_tls *tls, char why[ADMIN_TLS_WHY_BYTES]) {
    return either_load(appliance, tls, why) &&
           fingerprint_show(appliance->places[ADMIN_PLACE_FINGERPRINT], tls->fingerprint, why);
}
