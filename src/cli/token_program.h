/* SPDX-License-Identifier: Apache-2.0 */
/* A program that speaks PKCS#11, started by a command: `hsmint-token admin`, `hsmint-ceremony`. */
#ifndef HSMINT_TOKEN_PROGRAM_H
#define HSMINT_TOKEN_PROGRAM_H

#include "frame.h"
#include "token_protocol.h"
#include <sys/types.h>

struct token_program {
	const char *name; /* "hsmint-token" */
	pid_t pid;
	int socket;
};

/* Start the program with one argument (NULL: none), and give it the token's configuration. */
hm_result token_program_start(struct token_program *program, const char *name, const char *argument,
	const struct token_config *config, struct hm_problem *why) HM_MUST_USE;

/*
 * Give it one command, and wait for the answer of type `wanted`, whose payload goes into `answer` of `*size` bytes;
 * NULL: it has none. HM_UNAVAILABLE: the token's failure, or the program ended.
 */
hm_result token_program_ask(const struct token_program *program, enum hm_frame_type command, const void *payload,
	size_t length, enum hm_frame_type wanted, void *answer, size_t *size, struct hm_problem *why) HM_MUST_USE;

/* Hang up, and wait until it has ended. */
void token_program_end(struct token_program *program);

#endif
