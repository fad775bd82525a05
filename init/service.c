#include "init/service.h"
#include <sys/wait.h>

const char *const service_state_names[SERVICE_STATES] = {"down", "starting", "up", "backing-off", "stopping", "failed"};

enum service_event service_event_of(int wait_status) {
    if (!WIFEXITED(wait_status)) return SERVICE_LOST;
    if (WEXITSTATUS(wait_status) == 0) return SERVICE_LOST_WELL;
    return WEXITSTATUS(wait_status) == SERVICE_EXIT_CONFIG ? SERVICE_LOST_CONFIG : SERVICE_LOST;
}

static enum service_action to(struct service *service, enum service_state state, uint64_t timer_ms, enum service_action action) {
    service->state = state;
    service->timer_ms = timer_ms;
    return action;
}

static enum service_action begin_fresh(struct service *service) {
    service->restarts = 0;
    service->pause_ms = 0;
    return to(service, SERVICE_STARTING, 0, SERVICE_SPAWN);
}

static enum service_action back_off(struct service *service, uint64_t now_ms) {
    uint32_t pause = service->pause_ms ? 2 * service->pause_ms : SERVICE_PAUSE_MIN_MS;
    service->pause_ms = pause > SERVICE_PAUSE_MAX_MS ? SERVICE_PAUSE_MAX_MS : pause;
    return to(service, SERVICE_BACKING_OFF, now_ms + service->pause_ms, SERVICE_NOTHING);
}

static enum service_action step_alive(struct service *service, enum service_event event, uint64_t now_ms) {
    switch (event) {
    case SERVICE_SPAWNED:
        if (service->state == SERVICE_UP) return SERVICE_NOTHING;
        return to(service, SERVICE_UP, now_ms + SERVICE_CALM_MS, SERVICE_NOTHING);
    case SERVICE_LOST_WELL:
    case SERVICE_LOST: return back_off(service, now_ms);
    case SERVICE_LOST_CONFIG: return to(service, SERVICE_FAILED, 0, SERVICE_NOTHING);
    case SERVICE_TIMER: /* calm for long enough: the next fault begins with a short pause */
        service->pause_ms = 0;
        return to(service, service->state, 0, SERVICE_NOTHING);
    case SERVICE_STOP: return to(service, SERVICE_STOPPING, now_ms + SERVICE_STOP_MS, SERVICE_TERM);
    default: return SERVICE_NOTHING;
    }
}

enum service_action service_step(struct service *service, enum service_event event, uint64_t now_ms) {
    switch (service->state) {
    case SERVICE_DOWN: return event == SERVICE_START ? begin_fresh(service) : SERVICE_NOTHING;
    case SERVICE_STARTING:
    case SERVICE_UP: return step_alive(service, event, now_ms);
    case SERVICE_BACKING_OFF:
    case SERVICE_FAILED:
        if (event == SERVICE_START) return begin_fresh(service);
        if (event == SERVICE_STOP) return to(service, SERVICE_DOWN, 0, SERVICE_NOTHING);
        if (event != SERVICE_TIMER || service->state == SERVICE_FAILED) return SERVICE_NOTHING;
        service->restarts++;
        return to(service, SERVICE_STARTING, 0, SERVICE_SPAWN);
    case SERVICE_STOPPING:
        if (event == SERVICE_TIMER) return to(service, SERVICE_STOPPING, now_ms + SERVICE_STOP_MS, SERVICE_KILL);
        if (event == SERVICE_LOST_WELL || event == SERVICE_LOST_CONFIG || event == SERVICE_LOST) return to(service, SERVICE_DOWN, 0, SERVICE_NOTHING);
        return SERVICE_NOTHING;
    default: return SERVICE_NOTHING;
    }
}
