/* SPDX-License-Identifier: Apache-2.0 */
/* Reading an HTTP/1.1 reply, as far as a load generator needs: where it ends, its status, how many credentials it has.
 */
#ifndef HSMINT_LOAD_REPLY_H
#define HSMINT_LOAD_REPLY_H

#include <stdbool.h>
#include <stddef.h>

struct load_reply {
	size_t length; /* of head and body */
	int status;
	long credentials; /* members "credential" in the body that are strings with something in them */
	bool closes;      /* the server closes the connection after it */
};

enum load_reading {
	LOAD_REPLY_WHOLE,
	LOAD_REPLY_MORE, /* not all of it is there yet */
	LOAD_REPLY_BAD,  /* not HTTP/1.1, or without Content-Length */
};

/* Read the reply at the start of `text`; `*reply` is filled when it is whole. */
enum load_reading load_reply_read(const char *text, size_t length, struct load_reply *reply);

#endif
