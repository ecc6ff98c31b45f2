/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of `hsmint`, one a file. Each gets its own arguments, argv[0] being the command's name, and returns the
 * exit status: the answer goes to standard output, talk to standard error.
 */
#ifndef HSMINT_COMMANDS_H
#define HSMINT_COMMANDS_H

enum { EXIT_DONE = 0, EXIT_FAILED = 1 /* refused or failed */, EXIT_USAGE = 2 /* wrong usage */ };

int command_serve(int argc, char **argv);
int command_check(int argc, char **argv);
int command_dev(int argc, char **argv);
int command_mint(int argc, char **argv);
int command_status(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_key(int argc, char **argv);
int command_ledger(int argc, char **argv);
int command_token(int argc, char **argv);
int command_clock(int argc, char **argv);
int command_agent(int argc, char **argv);
int command_task(int argc, char **argv);
int command_approve(int argc, char **argv);
int command_revoke(int argc, char **argv);
int command_policy(int argc, char **argv);

#endif
