/* SPDX-License-Identifier: Apache-2.0 */
/* The script of the fault module: its language stands at the head of fault_module.c. */
#ifndef HSMINT_TEST_SCRIPT_H
#define HSMINT_TEST_SCRIPT_H

#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdint.h>

enum { SCRIPT_PATH = 1024, SCRIPT_WORD = 32 };

/* What the rule for this call says, or "". */
void script_find(const char *function, char action[SCRIPT_WORD]);

/* Do what any function may be told to before the wrapped module is asked. True: it is not asked, return `*ckr`. */
bool script_acts(const char *function, char action[SCRIPT_WORD], CK_RV *ckr);

/* The number behind `name` and a dash: "wait-20". False: it is another action. */
bool script_number(const char *action, const char *name, unsigned long *number);

/* How long the file SCRIPT.name is; it grows by a byte where `grow` says so. The script has to be there. */
unsigned long script_count(const char *name, bool grow);
void script_forget(const char *name);

int64_t now_us(void);

_Noreturn void give_up(const char *what);

#endif
