/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint dev ctl`: provoke faults in a service that `hsmint dev` runs, or set the clock of one that is built for it.
 */
#ifndef HSMINT_DEV_CTL_H
#define HSMINT_DEV_CTL_H

/* The command, argv[0] being "ctl". Returns the exit status. */
int dev_ctl(int argc, char **argv);

#endif
