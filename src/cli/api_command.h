/* SPDX-License-Identifier: Apache-2.0 */
/* What agent, task, approve, revoke and policy share: options that become members of a request's body, the request over
 * the control socket, and the reply shown to people. */
#ifndef HSMINT_API_COMMAND_H
#define HSMINT_API_COMMAND_H

#include <jansson.h>
#include <stdbool.h>

/* How an option's text becomes a member. */
enum api_member {
	MEMBER_TEXT,
	MEMBER_LIST,   /* the option may be repeated */
	MEMBER_FLAG,   /* true; without an argument */
	MEMBER_PERIOD, /* "90d", "15m", "30s": seconds */
	MEMBER_TIME    /* the same, from now on: seconds since 1970 */
};

struct api_option {
	const char *name; /* the member's, with - for _ */
	enum api_member member;
	const char *inside; /* the object that it is a member of; NULL: the body */
};

struct api_verb {
	const char *name;
	const char *method, *path; /* a path that ends in / gets the id behind it */
	const char *act;           /* behind the id: "/suspend"; or "" */
	const char *word;          /* the word that is wanted becomes this member; NULL: it is the id, or none is */
	const struct api_option *options;
	/* Show the reply's body to people. Returns the exit status. */
	int (*print)(const json_t *body);
	unsigned options_count;
	bool by_spiffe_id; /* what is named may be an agent's SPIFFE ID */
};

struct api_command {
	const char *name, *help;
	const struct api_verb *verbs;
	unsigned verbs_count;
};

/* A whole command: argv[0] is its name, argv[1] the verb. Returns the exit status. */
int api_command_run(const struct api_command *command, int argc, char **argv);

/* One request; the body of its answer, the caller's. NULL: `*status`, and why on standard error. Takes `body` over. */
json_t *api_command_call(
	const char *control, const char *name, const char *method, const char *target, json_t *body, int *status);

const char *api_text(const json_t *object, const char *member); /* "-": it has none */
void api_print_time(const char *what, const json_t *object, const char *member);

#endif
