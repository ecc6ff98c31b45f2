/* SPDX-License-Identifier: Apache-2.0 */
#include "pace.h"

void pace_begin(struct pace *pace, unsigned threads)
{
	*pace = (struct pace){.threads = threads, .at_once = threads};
}

void pace_forget_rate(struct pace *pace)
{
	pace->rate = 0;
	pace->behind_ns = pace->signatures = 0;
	pace->was_behind = false;
}

void pace_look(struct pace *pace, bool is_behind, uint64_t now_ns)
{
	if (pace->was_behind)
		pace->behind_ns += now_ns - pace->looked_ns;
	pace->was_behind = is_behind;
	pace->looked_ns = now_ns;
}

void pace_count(struct pace *pace)
{
	pace->signatures += pace->was_behind;
}

void pace_measure(struct pace *pace)
{
	if (pace->behind_ns < PACE_MEASURED_NS || pace->signatures < PACE_MEASURED_SIGNATURES)
		return;
	double now = pace->signatures * 1e9 / (double)pace->behind_ns;
	pace->rate = pace->rate > 0 ? (pace->rate + now) / 2 : now;
	pace->behind_ns = pace->signatures = 0;
}

/* Its threads worked on no more than they are. */
unsigned pace_relieve(struct pace *pace, unsigned at_hand, uint8_t random, uint64_t now_ms)
{
	unsigned worked_on = at_hand < pace->at_once ? at_hand : pace->at_once;
	unsigned fewer = pace->at_once < pace->threads ? worked_on - 1 : worked_on / 2;
	unsigned pause_ms = PACE_PAUSE_MS + random % (PACE_PAUSE_MS + 1);
	pace->at_once = worked_on && fewer ? fewer : 1;
	pace->pressed_ms = now_ms;
	pace->paused_until_ms = now_ms + pause_ms;
	return pause_ms;
}

bool pace_is_paused(const struct pace *pace, uint64_t now_ms)
{
	return now_ms < pace->paused_until_ms;
}

bool pace_ease(struct pace *pace, uint64_t now_ms)
{
	if (pace->at_once >= pace->threads || now_ms - pace->pressed_ms < PACE_EASE_MS)
		return false;
	pace->at_once++;
	pace->pressed_ms = now_ms;
	return true;
}
