/* SPDX-License-Identifier: Apache-2.0 */
/* A custodian's part of a PIN: from a person to a sealed memfd, past everything that keeps or shows it. */
#ifndef HSMINT_PART_H
#define HSMINT_PART_H

/*
 * Read the part, from the terminal without echo, asking for it with `question` on standard error; or, where standard
 * input is no terminal, all of it but a newline at its end. A memfd that holds it and that nobody can change, or -1,
 * with why on standard error.
 */
int part_read(const char *question);

#endif
