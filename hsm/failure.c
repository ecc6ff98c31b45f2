/* SPDX-License-Identifier: Apache-2.0 */
#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

hm_result fail_call(struct token_failure *why, const char *function, CK_RV ckr)
{
	why->class = (uint8_t)ckr_class(ckr);
	why->ckr = ckr;
	snprintf(why->detail, sizeof why->detail, "%s: %s (0x%lx)", function, ckr_name(ckr), ckr);
	return HM_UNAVAILABLE;
}

/* It goes into a log line, in quotes, and to an operator's terminal; a module may have had a say in it. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '"')
			*text = *text == '"' ? '\'' : '?';
}

hm_result fail(struct token_failure *why, enum token_class class, const char *format, ...)
{
	va_list args;
	why->class = (uint8_t) class;
	why->ckr = CKR_OK;
	va_start(args, format);
	vsnprintf(why->detail, sizeof why->detail, format, args);
	va_end(args);
	make_printable(why->detail);
	return HM_REFUSED;
}
