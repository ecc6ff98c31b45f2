/* SPDX-License-Identifier: Apache-2.0 */
#include "config_place.h"

#include "config_where.h"
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PERIOD_MAX = 10 * 366 * 24 * 60 * 60 };

hm_result complain(const struct place *place, const char *member, const char *format, ...)
{
	char text[256];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return hm_refuse(place->why, "config", NULL, "%s:%u: %s%s%s: %s", place->path,
		config_line(place->path, place->list, place->index, member), place->list, member ? "." : "",
		member ? member : "", text);
}

hm_result make_absolute(const struct place *place, const char *member, char **value)
{
	char directory[HM_PATH_MAX], joined[HM_PATH_MAX];
	char *absolute;
	if ((*value)[0] == '/')
		return HM_OK;
	snprintf(directory, sizeof directory, "%s", place->path);
	char *from = realpath(dirname(directory), NULL);
	int wanted = from ? snprintf(joined, sizeof joined, "%s/%s", from, *value) : -1;
	free(from);
	if (wanted < 0 || (size_t)wanted >= sizeof joined || !(absolute = strdup(joined)))
		return complain(place, member, "no usable path comes of '%.64s'", *value);
	free(*value);
	*value = absolute;
	return HM_OK;
}

static bool is_name(const char *text)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == 0 &&
	       text[0] != '.';
}

hm_result check_name(const struct place *place, const char *name)
{
	return is_name(name) ? HM_OK : complain(place, "name", "'%.64s': letters, digits, '.', '_' and '-'", name);
}

hm_result find_issuer(const struct config *config, const struct place *place, const char *name, unsigned *index)
{
	for (*index = 0; *index < config->issuers_count; ++*index)
		if (strcmp(config->issuers[*index].name, name) == 0)
			return HM_OK;
	return complain(place, "issuer", "there is no issuer '%.64s'", name);
}

bool parse_period(const char *text, unsigned *seconds)
{
	static const struct {
		const char *unit;
		unsigned seconds;
	} units[] = {{"s", 1}, {"m", 60}, {"h", 60 * 60}, {"d", 24 * 60 * 60}};
	char *end;
	unsigned long number = strtoul(text, &end, 10);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (*text >= '0' && *text <= '9' && strcmp(end, units[i].unit) == 0 &&
			number <= PERIOD_MAX / units[i].seconds) {
			*seconds = (unsigned)number * units[i].seconds;
			return true;
		}
	return false;
}
