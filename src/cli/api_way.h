/* SPDX-License-Identifier: Apache-2.0 */
/* How the commands that govern reach mint: its control socket, or HTTPS with each request signed by the caller's key.
 */
#ifndef HSMINT_API_WAY_H
#define HSMINT_API_WAY_H

#include "options.h"
#include <getopt.h>
#include <jansson.h>

/* The lines of help for the options of the way, with the rest from column 22 on. */
#define API_WAY_HELP                                                                          \
	"  --control PATH      the service's control socket (otherwise HSMINT_CONTROL), or\n" \
	"  --url URL           the service's address, https://host:port, with:\n"             \
	"  --cert FILE           your certificate, PEM\n"                                     \
	"  --key FILE            its key, PEM: it signs each request\n"                       \
	"  --ca FILE             the CA to trust for the service, PEM\n"

struct api_way_options {
	const char *control; /* NULL: HSMINT_CONTROL */
	struct connection https;
};

enum { API_WAY_OPTIONS = 5, API_WAY_FIRST = 512 /* beyond every command's own */ };

/* Fill `options` with the way's for getopt_long. */
void api_way_list(struct option options[API_WAY_OPTIONS]);

/* Take one that getopt_long gave. False: it is another's. */
bool api_way_take(struct api_way_options *options, int option, const char *text);

struct api_way; /* opaque; source: api_way.c */

enum { API_WAY_AT_ONCE = 2 };

/* NULL: `*status`, and why stands on standard error. The control socket is connected to by each call. */
struct api_way *api_way_open(const struct api_way_options *options, const char *command, int *status);
void api_way_close(struct api_way *way);

/* How many threads may ask at once: API_WAY_AT_ONCE, or one where there is one connection. */
unsigned api_way_at_once(const struct api_way *way);

/* One request; the body of its answer, the caller's. Takes `body` over. NULL: `*error`, the caller's. */
json_t *api_way_call(struct api_way *way, const char *method, const char *target, json_t *body, hsmint_error **error);

/* The same with a body that is JSON already. */
json_t *api_way_call_text(
	struct api_way *way, const char *method, const char *target, const char *body, hsmint_error **error);

/* As api_way_call; NULL: why stands on standard error. */
json_t *api_way_ask(struct api_way *way, const char *method, const char *target, json_t *body);

#endif
