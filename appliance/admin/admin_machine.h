/*
 * What init tells of this machine ("status": lines name=value, init/README.md), read, and as Prometheus text. Pure. It is read as text from a
 * stranger: what is not understood is not shown.
 *
 *   heraclius_machine_up                              1 if init answers; without that nothing of the rest but the next
 *   heraclius_machine_node_hangs_total                how often this console had the node restarted because it hung (admin_hang.h)
 *   heraclius_machine_uptime_seconds                  since this machine started
 *   heraclius_machine_disk_bytes, _disk_free_bytes    the data disk
 *   heraclius_machine_watchdog                        1 if one starts the machine anew when it hangs
 *   heraclius_machine_config_number                   of the configuration in force
 *   heraclius_machine_image_number, _image_on_trial   the image that runs
 *   heraclius_machine_image_given_up, _image_waits    1 if the other slot's image was given up; is started next, at a restart
 *   heraclius_machine_program_up{program}, _program_failed, _program_restarts_total
 *                                                     it runs; its configuration was refused, so that it is not begun anew; how often it was
 *
 * Limits: ADMIN_PROGRAMS_MAX programs.
 */
#ifndef APPLIANCE_ADMIN_MACHINE_H
#define APPLIANCE_ADMIN_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { ADMIN_PROGRAMS_MAX = 16, ADMIN_PROGRAM_NAME_BYTES = 32, ADMIN_MACHINE_OLD_MS = 10000 /* what init said before that is no answer */ };

/* The value of the last line name=value; false: there is none, or it is longer than out. */
bool admin_machine_value(const char *text, const char *name, char *out, size_t size);
/* The same as a number; false: there is none, or it is more than JSON's integers. */
bool admin_machine_number(const char *text, const char *name, uint64_t *number);

/* said: init's answer; NULL: it does not answer. node: the one node that runs here, or NULL: more than one. */
void admin_machine_metrics(FILE *out, const char *said, uint64_t hangs, const char *node);

/* Is a metric's name, or its family's, kept for what this program says of itself and of the machine? No node's program takes it. */
bool admin_metric_own(const char *family);

#endif
