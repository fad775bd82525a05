/* Private to replica*.c: what is told of the members (replica_members.c). */
#ifndef APPLIANCE_REPLICA_MEMBERS_H
#define APPLIANCE_REPLICA_MEMBERS_H

#include "appliance/replica/replica.h"

/* Fills in status->peers. */
void members_status(const struct replica *r, struct status_replica *status);

#endif
