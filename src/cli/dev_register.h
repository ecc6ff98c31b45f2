/* SPDX-License-Identifier: Apache-2.0 */
/* The agents of `hsmint dev`: one class, so that a first credential needs no registration by hand. */
#ifndef HSMINT_DEV_REGISTER_H
#define HSMINT_DEV_REGISTER_H

#include "service.h"

/* Registers the class unless it is there, or the configuration has no issuer `demo` any more; then calls `done`, at
 * once or later. */
void dev_register(struct service *service, void (*done)(void *context), void *context);

#endif
