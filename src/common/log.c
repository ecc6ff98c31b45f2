/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char process_name[64] = "hsmint";

void hm_log_open(const char *process)
{
	snprintf(process_name, sizeof process_name, "%s", process);
}

static size_t put_time(char *line, size_t size)
{
	struct timespec now;
	struct tm utc;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	size_t used = strftime(line, size, "time=%Y-%m-%dT%H:%M:%S", &utc);
	return used + (size_t)snprintf(line + used, size - used, ".%03ldZ", now.tv_nsec / 1000000);
}

void hm_log(enum hm_level level, const char *event, const char *format, ...)
{
	static const char *const names[] = {"info", "warning", "error"};
	char line[2048];
	int saved = errno;

	size_t used = put_time(line, sizeof line);
	used += (size_t)snprintf(
		line + used, sizeof line - used, " level=%s process=%s event=%s ", names[level], process_name, event);

	va_list args;
	va_start(args, format);
	int wanted = vsnprintf(line + used, sizeof line - used - 1, format, args);
	va_end(args);
	if (wanted > 0)
		used += (size_t)wanted < sizeof line - used - 1 ? (size_t)wanted : sizeof line - used - 2;

	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	/* One write a line, so that the lines of several processes do not mix; nobody is left to tell if it fails. */
	ssize_t written = write(STDERR_FILENO, line, used);
	(void)written;
	errno = saved;
}
