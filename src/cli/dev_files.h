/* SPDX-License-Identifier: Apache-2.0 */
/* What `hsmint dev` keeps in its directory. */
#ifndef HSMINT_DEV_FILES_H
#define HSMINT_DEV_FILES_H

#include "limits.h"
#include "result.h"
#include <stdbool.h>
#include <stdint.h>

#define DEV_ISSUER_PATH "/demo"
#ifdef HSMINT_TEST_CLOCK
#define DEV_ISSUER_HOST "demo.test" /* config_check.c demands it */
#else
#define DEV_ISSUER_HOST "localhost"
#endif

struct dev_directory {
	char path[HM_PATH_MAX];    /* absolute */
	char sockets[HM_PATH_MAX]; /* where the sockets are: `path`, or a short runtime directory when that is too long
				    */
	char config[HM_PATH_MAX];  /* path/hsmint.yaml */
	int lock;
};

/*
 * Make the directory (0700) if it is not there, and lock it against another `hsmint dev`. HM_REFUSED: in use, or not
 * ours.
 */
hm_result dev_directory_open(const char *path, struct dev_directory *dir, struct hm_problem *why) HM_MUST_USE;
void dev_directory_close(struct dev_directory *dir); /* removes the runtime directory, if any */

/* True when an earlier run finished making everything. */
bool dev_directory_is_made(const struct dev_directory *dir);

/* Make token, keys, PINs, certificates and configuration; `port` is where it will listen. What an unfinished run left
 * is made anew. */
hm_result dev_directory_make(const struct dev_directory *dir, uint16_t port, struct hm_problem *why) HM_MUST_USE;

/* The port in the configuration, and putting another one in its place. */
hm_result dev_directory_port(const struct dev_directory *dir, uint16_t *port, struct hm_problem *why) HM_MUST_USE;
hm_result dev_directory_change_port(
	const struct dev_directory *dir, uint16_t from, uint16_t to, struct hm_problem *why) HM_MUST_USE;

#endif
