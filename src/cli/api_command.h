/* SPDX-License-Identifier: Apache-2.0 */
/* What agent, task, approve, revoke and policy share: options that become members of a request's body, the request by
 * either way, and the reply shown to people. */
#ifndef HSMINT_API_COMMAND_H
#define HSMINT_API_COMMAND_H

#include "api_way.h"
#include <jansson.h>
#include <stdbool.h>

/* How an option's text becomes a member. */
enum api_member {
	MEMBER_TEXT,
	MEMBER_SECRET, /* the first line of a file, - is standard input: it must not stand in the list of processes */
	MEMBER_LIST,   /* the option may be repeated */
	MEMBER_FLAG,   /* true; without an argument */
	MEMBER_NUMBER, /* whole, not negative */
	MEMBER_PERIOD, /* "90d", "15m", "30s": seconds */
	MEMBER_TIME    /* the same, from now on: seconds since 1970 */
};

struct api_option {
	const char *name; /* the member's, with - for _ */
	enum api_member member;
	const char *as;     /* the member's name when that is another; else NULL */
	const char *inside; /* the object that it is a member of; NULL: the body */
};

/* What the words of a command said, for a verb that is more than one request. */
struct api_words {
	const char *text;   /* the word behind the verb, if it takes one */
	const char *issuer; /* NULL: none was said */
	bool is_json;
};

struct api_verb {
	const char *name;
	const char *method, *path;        /* {id} in the path is the word behind the verb; "": of one with run */
	const char *word;                 /* or that word becomes this member of the body; NULL: it does not */
	const struct api_option *options; /* the last has no name; NULL: none */
	/* Show the reply's body to people. Returns the exit status. */
	int (*print)(const json_t *body);
	/* In place of one request and print: do all of it. Returns the exit status. */
	int (*run)(struct api_way *way, const struct api_words *words);
	/* Whether that is a success; NULL: every answer is. */
	bool (*is_success)(const json_t *body);
	bool by_spiffe_id; /* what is named may be an agent's SPIFFE ID */
	bool is_file;      /* the word is a file with JSON, which becomes the member; - is standard input */
};

extern const struct api_option api_reason_options[]; /* --reason */
extern const struct api_option api_list_options[];   /* --after, --limit */

struct api_command {
	const char *name, *help;
	const struct api_verb *verbs;
	unsigned verbs_count;
};

/* A whole command: argv[0] is its name, argv[1] the verb. Returns the exit status. */
int api_command_run(const struct api_command *command, int argc, char **argv);

enum { API_TARGET_MAX = 8192 };

/* Add NAME=VALUE to the query of a target, the value percent-encoded. */
void api_target_add(char target[API_TARGET_MAX], const char *name, const char *value);

const char *api_text(const json_t *object, const char *member); /* "-": it has none */
void api_print_time(const char *what, const json_t *object, const char *member);

#endif
