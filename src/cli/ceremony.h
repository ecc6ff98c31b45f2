/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of `hsmint key ceremony`, each with its own arguments, argv[0] being the verb. They return the exit status.
 */
#ifndef HSMINT_CLI_CEREMONY_H
#define HSMINT_CLI_CEREMONY_H

int command_ceremony(int argc, char **argv);

int ceremony_new(int argc, char **argv);
int ceremony_import(int argc, char **argv);
int ceremony_verify(int argc, char **argv);

#endif
