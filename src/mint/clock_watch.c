/* SPDX-License-Identifier: Apache-2.0 */
#include "clock_watch.h"

#include "clock.h"
#include "clock_guard.h"
#include "file.h"
#include "ledger.h"
#include "log.h"
#include "record.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	TOGETHER_MS = 100, /* clocks that are read within so long are read together */
	TRIES = 3
};

struct clock_watch {
	struct clock_guard guard;
	char path[HM_PATH_MAX];
	bool is_kept;           /* the file is there */
	bool has_fault;         /* it could not be written or removed, and that was told */
	bool has_end;           /* it is no longer stepped, and this much of */
	struct ledger_head end; /* the ledger says so */
};

/* ---- reading ---- */

/* A process that is stopped, or a machine that is suspended, between one clock and the other would see a step. False:
 * that happened, again and again. */
static bool read_clocks(const struct clock_watch *watch, struct clock_reading *now)
{
	for (int i = 0; i < TRIES; i++) {
		int64_t before_ms = hm_boot_ms();
		*now = (struct clock_reading){.wall_ms = hm_time_ms(), .boot_ms = hm_boot_ms()};
		if (now->boot_ms - before_ms > TOGETHER_MS)
			continue;
		now->is_synchronised = watch->guard.is_stepped && hm_time_is_synchronised();
		return true;
	}
	return false;
}

/* ---- what a restart finds ---- */

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0 || errno != ENOENT;
}

/* For who looks into the file: that it is there says all. */
static hm_result write_file(const struct clock_watch *watch, struct hm_problem *why)
{
	char text[128];
	int length = snprintf(
		text, sizeof text, "stepped by %" PRId64 " ms, to %" PRId64 "\n", watch->guard.by_ms, hm_time());
	return file_replace(watch->path, text, (size_t)length, 0600, why);
}

/* The file outlives the alarm until its end is on record for good. */
static bool end_is_recorded(struct service *service)
{
	struct clock_watch *watch = service->clock;
	if (!watch->has_end)
		watch->end = ledger_head(service->ledger);
	watch->has_end = true;
	return ledger_head_is_durable(service->ledger, &watch->end);
}

/* What fails is tried again each second. */
static void keep(struct service *service)
{
	struct clock_watch *watch = service->clock;
	struct hm_problem why;
	bool is_stepped = watch->guard.is_stepped;
	if (is_stepped == watch->is_kept || (!is_stepped && !end_is_recorded(service)))
		return;
	if ((is_stepped ? write_file(watch, &why) : file_remove(watch->path, &why)) == HM_OK) {
		watch->is_kept = is_stepped;
		watch->has_fault = false;
		return;
	}
	if (!watch->has_fault)
		hm_log(HM_ERROR, "clock_not_kept", "detail=\"%s\"", why.detail);
	watch->has_fault = true;
}

/* ---- what changes ---- */

static void raise_alarm(struct service *service)
{
	struct clock_watch *watch = service->clock;
	watch->has_end = false;
	hm_log(HM_ERROR, "clock_stepped", "by_ms=%" PRId64, watch->guard.by_ms);
	record_clock(service, "stepped", watch->guard.by_ms);
	keep(service);
}

/* Since when key sets are out as they are was said by another time. */
static void end_alarm(struct service *service, const char *how)
{
	hm_log(HM_WARNING, how, "time=%" PRId64, hm_time());
	memset(service->published_since, 0, sizeof service->published_since);
	service->documents_due = true;
}

static void look(struct service *service)
{
	struct clock_watch *watch = service->clock;
	struct clock_reading now;
	if (!read_clocks(watch, &now))
		return;
	enum clock_change change = clock_guard_look(&watch->guard, &now);
	if (change == CLOCK_STEPPED)
		raise_alarm(service);
	if (change != CLOCK_AGREED)
		return;
	end_alarm(service, "clock_agreed");
	record_clock(service, "agreed", 0);
}

void clock_watch_tick(struct service *service)
{
	look(service);
	keep(service);
}

hm_result clock_watch_accept(struct service *service, struct hm_problem *why)
{
	struct clock_watch *watch = service->clock;
	struct clock_reading now;
	if (!watch->guard.is_stepped)
		return HM_OK;
	if (!read_clocks(watch, &now))
		return hm_broken(why, "the clocks cannot be read together");
	clock_guard_accept(&watch->guard, &now);
	end_alarm(service, "clock_accepted");
	return HM_OK;
}

/* ---- what it means ---- */

bool clock_watch_is_stepped(const struct service *service)
{
	return service->clock->guard.is_stepped;
}

hm_result clock_watch_refusal(const struct service *service, struct hm_problem *why)
{
	if (!clock_watch_is_stepped(service))
		return HM_OK;
	hm_result result = hm_unavailable(why, "clock_stepped",
		"wall time was set: nothing is struck until it has been synchronised for %d s, or somebody accepts it",
		CLOCK_AGREE_MS / 1000);
	why->retry_after = CLOCK_AGREE_MS / 1000;
	return result;
}

hm_result clock_watch_look(struct service *service, struct hm_problem *why)
{
	look(service);
	return clock_watch_refusal(service, why);
}

int64_t clock_watch_time(struct service *service)
{
	struct clock_reading now;
	look(service);
	if (!clock_watch_is_stepped(service) || !read_clocks(service->clock, &now))
		return hm_time();
	return clock_guard_time_ms(&service->clock->guard, &now) / 1000;
}

int64_t clock_watch_by_ms(const struct service *service)
{
	return service->clock->guard.by_ms;
}

/* ---- beginning and end ---- */

/* Clocks that cannot be read together are read one behind the other: what that makes a step is an alarm, at worst. */
hm_result clock_watch_open(struct service *service, struct hm_problem *why)
{
	struct clock_watch *watch = service->clock = calloc(1, sizeof *watch);
	struct clock_reading now;
	if (!watch)
		return hm_unavailable(why, "system", "no memory");
	if (snprintf(watch->path, sizeof watch->path, "%s/clock", service->config->state) >= (int)sizeof watch->path)
		return hm_refuse(why, "config", NULL, "%s: path too long", service->config->state);
	watch->is_kept = is_there(watch->path);
	(void)read_clocks(watch, &now);
	clock_guard_begin(&watch->guard, &now, ledger_last_time(service->ledger), watch->is_kept);
	if (watch->guard.is_stepped && !watch->is_kept)
		raise_alarm(service);
	else if (watch->is_kept)
		hm_log(HM_WARNING, "clock_still_stepped", "detail=\"%s\"", watch->path);
	return HM_OK;
}

void clock_watch_close(struct service *service)
{
	if (service->clock)
		keep(service);
	free(service->clock);
	service->clock = NULL;
}
