/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of `hsmint ledger`. Each gets its own arguments, argv[0] being "ledger VERB", and returns the exit status.
 */
#ifndef HSMINT_CLI_LEDGER_H
#define HSMINT_CLI_LEDGER_H

int ledger_forget(int argc, char **argv);          /* Source: ledger_forget.c */
int ledger_reconcile(int argc, char **argv);       /* Source: ledger_reconcile.c */
int ledger_restore_command(int argc, char **argv); /* Source: ledger_restore.c */
int ledger_vkey(int argc, char **argv);            /* Source: ledger_vkey.c */
int ledger_verify(int argc, char **argv);          /* Source: ledger_verify.c */
int ledger_follow(int argc, char **argv);          /* Source: ledger_follow.c */
int ledger_prove(int argc, char **argv);           /* Source: ledger_prove.c */
int ledger_check_proof(int argc, char **argv);
int ledger_find(int argc, char **argv); /* and ledger_export: ledger_find.c */
int ledger_export(int argc, char **argv);

#endif
