/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint token init`: argv[0] is "init", and what is returned is the exit status. */
#ifndef HSMINT_TOKEN_INIT_H
#define HSMINT_TOKEN_INIT_H

int command_token_init(int argc, char **argv);

#endif
