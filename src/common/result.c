/* SPDX-License-Identifier: Apache-2.0 */
#include "result.h"

#include "limits.h"
#include <stdarg.h>
#include <stdio.h>

/* snprintf cuts between bytes; what is left must still be UTF-8, since it goes into JSON. */
static void drop_cut_sequence(char *text, size_t size, int wanted)
{
	if (wanted < (int)size)
		return;
	size_t start = size - 1;
	while (start && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start && (unsigned char)text[start - 1] >= 0xc0)
		text[start - 1] = 0; /* if it was whole, one character less does no harm */
}

unsigned hm_retry_after(double seconds)
{
	if (!(seconds < HM_RETRY_AFTER_MAX))
		return HM_RETRY_AFTER_MAX;
	return seconds > 1 ? (unsigned)seconds + ((double)(unsigned)seconds < seconds) : 1;
}

static void fill(struct hm_problem *why, const char *code, const char *field, const char *format, va_list args)
{
	why->code = code;
	why->retry_after = 0;
	int wanted = snprintf(why->field, sizeof why->field, "%s", field ? field : "");
	drop_cut_sequence(why->field, sizeof why->field, wanted);
	wanted = vsnprintf(why->detail, sizeof why->detail, format, args);
	drop_cut_sequence(why->detail, sizeof why->detail, wanted);
}

hm_result hm_refuse(struct hm_problem *why, const char *code, const char *field, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fill(why, code, field, format, args);
	va_end(args);
	return HM_REFUSED;
}

hm_result hm_unavailable(struct hm_problem *why, const char *code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fill(why, code, NULL, format, args);
	va_end(args);
	return HM_UNAVAILABLE;
}

hm_result hm_overload(struct hm_problem *why, double wait_seconds, const char *detail)
{
	hm_result result = hm_unavailable(why, "overload", "%s", detail);
	why->retry_after = hm_retry_after(wait_seconds);
	return result;
}

hm_result hm_broken(struct hm_problem *why, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fill(why, "internal", NULL, format, args);
	va_end(args);
	return HM_BROKEN;
}
