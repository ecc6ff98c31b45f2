/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct rule {
	char function[SCRIPT_WORD], action[SCRIPT_WORD];
	unsigned times; /* 0: always */
};

_Noreturn void give_up(const char *what)
{
	fprintf(stderr, "fault_module: %s\n", what);
	_exit(99);
}

int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_ms(unsigned long ms)
{
	struct timespec rest = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
	nanosleep(&rest, NULL);
}

/* ---- counts, in files beside the script ---- */

static void path_of(const char *name, char path[SCRIPT_PATH])
{
	const char *script = getenv("HSMINT_TEST_SCRIPT");
	if (!script || snprintf(path, SCRIPT_PATH, "%s.%s", script, name) >= SCRIPT_PATH)
		give_up("HSMINT_TEST_SCRIPT names no script");
}

/* Threads and processes may count at once. It grows to `most` at most. */
static unsigned long count_to(const char *name, unsigned long most)
{
	char path[SCRIPT_PATH];
	struct stat stat;
	path_of(name, path);
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &stat) < 0)
		give_up("a count cannot be kept");
	unsigned long before = (unsigned long)stat.st_size;
	if (before < most && write(fd, "x", 1) != 1)
		give_up("a count cannot be kept");
	close(fd);
	return before;
}

unsigned long script_count(const char *name, bool grow)
{
	return count_to(name, grow ? ULONG_MAX : 0) + grow;
}

void script_forget(const char *name)
{
	char path[SCRIPT_PATH];
	path_of(name, path);
	unlink(path);
}

/* ---- rules ---- */

/* Take one of the times that the rule may be obeyed. */
static bool take_turn(const struct rule *rule)
{
	char name[2 * SCRIPT_WORD];
	snprintf(name, sizeof name, "%s.%s", rule->function, rule->action);
	return !rule->times || count_to(name, rule->times) < rule->times;
}

void script_find(const char *function, char action[SCRIPT_WORD])
{
	const char *script = getenv("HSMINT_TEST_SCRIPT");
	FILE *file = script ? fopen(script, "re") : NULL;
	char line[4 * SCRIPT_WORD];
	action[0] = 0;
	while (file && !action[0] && fgets(line, sizeof line, file)) {
		struct rule rule = {.times = 0};
		if (sscanf(line, "%31s %31s %u", rule.function, rule.action, &rule.times) < 2)
			give_up("a rule is FUNCTION ACTION [TIMES]");
		if (strcmp(rule.function, function) == 0 && take_turn(&rule))
			memcpy(action, rule.action, SCRIPT_WORD);
	}
	if (file)
		fclose(file);
}

bool script_number(const char *action, const char *name, unsigned long *number)
{
	size_t length = strlen(name);
	if (strncmp(action, name, length) != 0 || action[length] != '-')
		return false;
	*number = strtoul(action + length + 1, NULL, 10);
	return true;
}

bool script_acts(const char *function, char action[SCRIPT_WORD], CK_RV *ckr)
{
	unsigned long ms;
	script_find(function, action);
	if (strcmp(action, "exit") == 0)
		_exit(98);
	while (strcmp(action, "hang") == 0)
		pause();
	if (script_number(action, "wait", &ms))
		sleep_ms(ms);
	if (strncmp(action, "0x", 2) != 0)
		return false;
	*ckr = strtoul(action, NULL, 16);
	return true;
}
