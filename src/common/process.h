/* SPDX-License-Identifier: Apache-2.0 */
/* What every hsmint process does to itself before anything else. */
#ifndef HSMINT_PROCESS_H
#define HSMINT_PROCESS_H

#include "limits.h"
#include <stdbool.h>

/* No core file, not dumpable (so neither ptrace nor /proc/PID/mem by the same user; not under sanitizers, whose leak
 * checker needs it), no new privileges, SIGPIPE ignored, umask 077. Ends the process if the kernel refuses. */
void process_harden(void);

/* A child of mint: be killed when the thread that started us ends, end at once if it already did, and leave the signals
 * that a terminal or a service manager sends to the whole group to mint. */
void process_end_with_parent(void);

/* Whether mint started us: HM_CHILD_FD is the kind of socket that it gives a child. */
bool process_is_child(void);

/* The path of another hsmint program: beside this one, else in ../libexec/hsmint. False: neither is there. */
bool process_program(const char *name, char path[HM_PATH_MAX]);

#endif
