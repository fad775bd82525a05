/*
 * Supervision of one program: a table of state x event, pure.
 *
 *   state     start     spawned   lost(0)   lost(2)   lost(..)  timer     stop
 *   DOWN      SPAWN     -         -         -         -         -         -
 *   STARTING  -         UP        back off  FAILED    back off  -         (as UP)
 *   UP        -         -         back off  FAILED    back off  calm      TERM
 *   BACKING   SPAWN     -         -         -         -         SPAWN     DOWN
 *   STOPPING  -         -         DOWN      DOWN      DOWN      KILL      -
 *   FAILED    SPAWN     -         -         -         -         -         DOWN
 *
 * "lost" is the end of the process, by cause: 0 when it was asked nothing and ended well, 2 when its configuration or its words are refused, so that
 * trying again says the same; anything else, signals too, is tried again after a pause that doubles from SERVICE_PAUSE_MIN_MS to SERVICE_PAUSE_MAX_MS
 * and is forgotten once the program has been up for SERVICE_CALM_MS. A stop is TERM, and KILL after SERVICE_STOP_MS.
 */
#ifndef INIT_SERVICE_H
#define INIT_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

enum { SERVICE_PAUSE_MIN_MS = 200, SERVICE_PAUSE_MAX_MS = 30000, SERVICE_CALM_MS = 60000, SERVICE_STOP_MS = 10000, SERVICE_EXIT_CONFIG = 2 };

enum service_state { SERVICE_DOWN, SERVICE_STARTING, SERVICE_UP, SERVICE_BACKING_OFF, SERVICE_STOPPING, SERVICE_FAILED, SERVICE_STATES };
enum service_event { SERVICE_START, SERVICE_SPAWNED, SERVICE_LOST_WELL, SERVICE_LOST_CONFIG, SERVICE_LOST, SERVICE_TIMER,
                     SERVICE_STOP, SERVICE_EVENTS };
enum service_action { SERVICE_NOTHING, SERVICE_SPAWN, SERVICE_TERM, SERVICE_KILL };

struct service {
    enum service_state state;
    uint32_t restarts; /* how often it was begun anew since it was last asked to start */
    uint32_t pause_ms;
    uint64_t timer_ms; /* when SERVICE_TIMER is due; 0: no timer */
};

/* What is to be done now. After SERVICE_SPAWN the caller reports SERVICE_SPAWNED, or SERVICE_LOST if it could not. */
enum service_action service_step(struct service *service, enum service_event event, uint64_t now_ms);

extern const char *const service_state_names[SERVICE_STATES];
/* By wait status: LOST_WELL, LOST_CONFIG or LOST. */
enum service_event service_event_of(int wait_status);

#endif
