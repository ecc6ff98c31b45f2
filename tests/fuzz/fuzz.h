/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target gives to its driver: this one, or libFuzzer, which needs only the first function. */
#ifndef HSMINT_FUZZ_H
#define HSMINT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

enum { FUZZ_INPUT_MAX = 128 * 1024 };

/* Try one input. A fault is an abort, or what a sanitizer sees. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Write the `number`th well-formed input into `data` (of FUZZ_INPUT_MAX bytes). Returns its length; 0: there are no
 * more. */
size_t fuzz_seed(unsigned number, uint8_t *data);

#endif
