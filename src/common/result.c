/* SPDX-License-Identifier: Apache-2.0 */
#include "result.h"

#include <stdarg.h>
#include <stdio.h>

static void fill(struct hm_problem *why, const char *code, const char *field, const char *format, va_list args)
{
	why->code = code;
	snprintf(why->field, sizeof why->field, "%s", field ? field : "");
	vsnprintf(why->detail, sizeof why->detail, format, args);
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

hm_result hm_broken(struct hm_problem *why, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fill(why, "internal", NULL, format, args);
	va_end(args);
	return HM_BROKEN;
}
