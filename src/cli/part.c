/* SPDX-License-Identifier: Apache-2.0 */
#include "part.h"

#include "frame.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

struct part {
	size_t length;
	char text[HM_PIN_MAX + 2]; /* one more and a newline, so that a part that is too long is seen to be */
};

static void wipe(struct part *part)
{
	explicit_bzero(part, sizeof *part);
}

static int complain(const char *what)
{
	fprintf(stderr, "hsmint: %s\n", what);
	return -1;
}

/* Until the end, or with `line` a newline. */
static int read_text(struct part *part, int line)
{
	while (part->length < sizeof part->text) {
		ssize_t got = read(STDIN_FILENO, part->text + part->length, sizeof part->text - part->length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return complain(strerror(errno));
		if (got == 0)
			return 0;
		part->length += (size_t)got;
		if (line && part->text[part->length - 1] == '\n')
			return 0;
	}
	return 0;
}

/* Keys that end a program are read like others meanwhile: it must not end without echo. */
static int ask(const char *question, struct part *part)
{
	struct termios before, quiet;
	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return complain(strerror(errno));
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) < 0)
		return complain(strerror(errno));
	fputs(question, stderr);
	int result = read_text(part, 1);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	for (size_t i = 0; i < part->length; i++)
		if ((cc_t)part->text[i] == before.c_cc[VINTR] || (cc_t)part->text[i] == before.c_cc[VQUIT])
			return complain("nothing was sent");
	return result;
}

int part_read(const char *question)
{
	__attribute__((cleanup(wipe))) struct part part = {.length = 0};
	if (isatty(STDIN_FILENO) ? ask(question, &part) : read_text(&part, 0))
		return -1;
	if (part.length && part.text[part.length - 1] == '\n')
		part.length--;
	if (!part.length)
		return complain("a part of a PIN is not empty");
	if (part.length > HM_PIN_MAX)
		return complain("a part of a PIN is too long");
	int fd = memfd_sealed("hsmint-part", part.text, part.length);
	return fd >= 0 ? fd : complain(strerror(errno));
}
