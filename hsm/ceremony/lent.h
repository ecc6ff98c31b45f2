/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loaded module as libp11 gets it: enough to find keys and to sign. It cannot log in or out, end the login by
 * closing every session, finalise the module, or make, change and destroy objects. It is the same instance of the
 * module that login.c has logged in to: some modules (p11-kit's client) make another one for each C_GetFunctionList,
 * which knows of no login.
 */
#ifndef HSMINT_LENT_H
#define HSMINT_LENT_H

#include "module.h"

/* What libp11 is to load: this program, whose C_GetFunctionList gives what is lent. */
#define LENT_MODULE ""

/* Lend this module from now on. */
void lent_module(const struct module *module);

/* Close the sessions that libp11 opened: a signature that failed may hold on to its key. */
void lent_end(void);

/* The signature call of libp11 that failed last, which its own errors do not tell; HM_REFUSED: none did. */
hm_result lent_failure(struct token_failure *why);

#endif
