/*
 * What heraclius-admin is told on an appliance (--appliance), where init gives it no words. The configuration that the node's owner signed comes to
 * it as files that heraclius-setup writes (appliance/setup/setup_files.c) and replaces each in one step:
 *
 *   /data/public/admin.conf    the lines below
 *   /data/public/admin.pem     a certificate, with or without its key; may be missing
 *   /data/public/syslog.pem    the CA of the syslog collector; may be missing
 *   /data/public/system.json   the system file
 *
 *   heraclius-admin 1          first
 *   node NAME                  once
 *   listen ADDRESS:PORT        where the console is served, with TLS; without it: nowhere
 *   client ROLE:SHA256         a client certificate, up to ADMIN_CONF_CLIENTS_MAX
 *   peer SHA256@HOST:PORT      another console, and its certificate, up to ADMIN_CONF_PEERS_MAX
 *   syslog HOST:PORT           the collector
 *
 * Anything else is refused: who wrote it is of another release. A change of one of the files is followed by starting anew: heraclius-admin ends with
 * 0, and init begins it again. Its own are /data/admin (audit log, its key and certificate, claims) and /run/admin, which the serial console reads:
 * `pairing`, a code while it can be used, and `fingerprint`, that of the certificate.
 */
#ifndef APPLIANCE_ADMIN_APPLIANCE_H
#define APPLIANCE_ADMIN_APPLIANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/admin/admin_tls.h"

enum { ADMIN_CONF_BYTES_MAX = 8192, ADMIN_CONF_CLIENTS_MAX = 16, ADMIN_CONF_PEERS_MAX = 16, ADMIN_CONF_TEXT_BYTES = 280, ADMIN_ROOT_BYTES = 512 };

struct admin_conf {
    char node[ADMIN_CONF_TEXT_BYTES], listen[ADMIN_CONF_TEXT_BYTES], syslog[ADMIN_CONF_TEXT_BYTES]; /* "": no such line */
    unsigned clients_count;
    char clients[ADMIN_CONF_CLIENTS_MAX][ADMIN_CONF_TEXT_BYTES];
    unsigned peers_count;
    char peers[ADMIN_CONF_PEERS_MAX][ADMIN_CONF_TEXT_BYTES];
};

/* Pure. False: `why`, and *conf is of no use. */
bool admin_conf_parse(struct admin_conf *conf, const char *text, size_t count, char why[ADMIN_TLS_WHY_BYTES]) __attribute__((warn_unused_result));

enum admin_place {
    ADMIN_PLACE_CONF,
    ADMIN_PLACE_CERTIFICATE,
    ADMIN_PLACE_SYSLOG_CA,
    ADMIN_PLACE_SYSTEM,
    ADMIN_PLACES_TOLD, /* those before are the configuration's */
    ADMIN_PLACE_STATE = ADMIN_PLACES_TOLD,
    ADMIN_PLACE_OWN_KEY,
    ADMIN_PLACE_CLAIMS,
    ADMIN_PLACE_PAIRING,
    ADMIN_PLACE_FINGERPRINT,
    ADMIN_PLACE_INIT,
    ADMIN_PLACE_NODE,
    ADMIN_PLACES
};

struct admin_appliance {
    char places[ADMIN_PLACES][ADMIN_ROOT_BYTES + 40];
    uint64_t marks[ADMIN_PLACES_TOLD]; /* what the files were when they were read */
    struct admin_conf conf;
};

/* `root` goes before each path: "" on an appliance. False: it is too long. */
bool admin_appliance_places(struct admin_appliance *appliance, const char *root) __attribute__((warn_unused_result));
/* Marks the files as they are, then reads admin.conf. False: `why`. */
bool admin_appliance_read(struct admin_appliance *appliance, char why[ADMIN_TLS_WHY_BYTES]) __attribute__((warn_unused_result));
/* Is one of the files another than the one that was marked? */
bool admin_appliance_changed(const struct admin_appliance *appliance);
/* The certificate that the configuration brings, by its own key or the console's; if it is of no use its own, made once, and that is said. False: not
 * even that one, and `why`. The fingerprint is shown in /run/admin. */
bool admin_appliance_certificate(const struct admin_appliance *appliance, struct admin_tls *tls, char why[ADMIN_TLS_WHY_BYTES])
    __attribute__((warn_unused_result));

#endif
