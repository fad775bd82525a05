/* Names of the store's results: apart from store.c, which needs a disk. */
#include "store/store.h"

const char *store_status_name(enum store_status status) {
    switch (status) {
    case STORE_OK: return "ok";
    case STORE_ABSENT: return "absent";
    case STORE_BUSY: return "busy";
    case STORE_TOO_LONG: return "too_long";
    case STORE_IN_USE: return "in_use";
    case STORE_MISSING: return "missing";
    case STORE_EXISTS: return "exists";
    case STORE_FOREIGN: return "foreign";
    case STORE_OTHER_SYSTEM: return "other_system";
    case STORE_OTHER_NODE: return "other_node";
    case STORE_NEWER_FORMAT: return "newer_format";
    case STORE_DAMAGED: return "damaged";
    case STORE_DISK_FULL: return "disk_full";
    case STORE_IO: return "io";
    case STORE_NO_ACCESS: return "no_access";
    case STORE_NO_MEMORY: return "no_memory";
    case STORE_STOPPED: return "stopped";
    case STORE_STATUS_COUNT: break;
    }
    return "unknown";
}
