/* SPDX-License-Identifier: Apache-2.0 */
/* Which tasks came of which token. */
#include "exchanges.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ONE "AAAAAAAAAAAAAAAAAAAAAA"
#define TWO "BBBBBBBBBBBBBBBBBBBBBB"

static struct exchanges *exchanges;
static struct hm_problem why;
static char seen[256];

static void begin(void)
{
	exchanges = exchanges_open();
	cr_assert_not_null(exchanges);
}

static void end(void)
{
	exchanges_close(exchanges);
}

TestSuite(exchanges, .init = begin, .fini = end);

static struct task made(const char *id, const char *ref)
{
	struct task task = {.ref = ref};
	snprintf(task.id, sizeof task.id, "%s", id);
	return task;
}

static void add(const char *id, const char *ref)
{
	const struct task task = made(id, ref);
	cr_assert_eq(exchanges_add(exchanges, &task, &why), HM_OK);
}

static void take_out(const char *id, const char *ref)
{
	const struct task task = made(id, ref);
	exchanges_remove(exchanges, &task);
}

static void note(void *context, const char *task)
{
	(void)context;
	strncat(seen, task, sizeof seen - strlen(seen) - 1);
}

static const char *tasks_of(const char *token)
{
	seen[0] = 0;
	exchanges_each(exchanges, token, note, NULL);
	return seen;
}

Test(exchanges, tasks_are_found_by_their_token)
{
	add("t1", "exchange:" ONE ":x");
	add("t2", "exchange:" ONE ":y");
	add("t3", "exchange:" TWO ":x");
	add("t1", "exchange:" ONE ":x");
	cr_assert_str_eq(tasks_of(ONE), "t2t1");
	cr_assert_str_eq(tasks_of(TWO), "t3");
	cr_assert_str_eq(tasks_of("AAAA"), "");
	cr_assert_eq(strlen(tasks_of(NULL)), 6);
}

Test(exchanges, what_was_removed_is_not_found_any_more)
{
	add("t1", "exchange:" ONE ":x");
	add("t2", "exchange:" ONE ":y");
	take_out("t3", "exchange:" ONE ":x");
	take_out("t1", "exchange:" TWO ":x");
	take_out("t1", "exchange:" ONE ":x");
	cr_assert_str_eq(tasks_of(ONE), "t2");
	take_out("t2", "exchange:" ONE ":y");
	cr_assert_str_eq(tasks_of(NULL), "");
	add("t1", "exchange:" ONE ":x");
	cr_assert_str_eq(tasks_of(ONE), "t1");
}

Test(exchanges, names_of_any_length_are_taken)
{
	char ref[HM_REF_MAX + 1] = "exchange:";
	memset(ref + strlen(ref), 'x', HM_REF_MAX - strlen(ref));
	add("t1", ref);
	add("t2", "exchange:");
	cr_assert_str_eq(tasks_of(ref + strlen("exchange:")), "t1");
	cr_assert_str_eq(tasks_of(""), "t2");
	take_out("t1", ref);
	cr_assert_str_eq(tasks_of(NULL), "t2");
}

Test(exchanges, whose_token_it_was_is_told_of_exchanges_alone)
{
	struct task_origin origin;
	const struct task own = made("t", "exchange:" ONE ":key:x"), other = made("t", "exchange:" TWO "::x"),
			  none = made("t", "run-1"), short_ = made("t", "exchange:");
	cr_assert(task_is_exchange(&own) && !task_is_exchange(&none));
	cr_assert(task_exchanged(&own, &origin));
	cr_assert_str_eq(origin.token, ONE);
	cr_assert_str_eq(origin.kid, "key");
	cr_assert(task_exchanged(&other, &origin) && strcmp(origin.token, TWO) == 0 && !*origin.kid);
	cr_assert(task_exchanged(&short_, &origin) && !*origin.token && !*origin.kid);
	cr_assert(!task_exchanged(&none, &origin));
}
