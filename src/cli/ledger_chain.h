/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HSMINT_CLI_LEDGER_CHAIN_H
#define HSMINT_CLI_LEDGER_CHAIN_H

/* Print the entries of the credential with this id (1 to HM_ID_MAX characters of base64url), of those from which it was
 * exchanged, and of their tasks and approvals, in the ledger's order. Returns the exit status. */
int ledger_chain(const char *place, const char *id);

#endif
