/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include "log.h"
#include "problem.h"
#include "service.h"
#include <string.h>

static void slow(struct service *service, uint32_t ms)
{
	for (unsigned i = 0; i < service->token_count; i++)
		token_slow(service->tokens[i], ms);
}

static void stop_refusing(struct service *service)
{
	service->fault.code = NULL;
}

/* ---- the faults ---- */

static hm_result get_ms(const json_t *request, uint32_t most, uint32_t *ms, struct hm_problem *why)
{
	const json_t *member = json_object_get(request, "ms");
	json_int_t value = json_integer_value(member);
	if (!member)
		return hm_refuse(why, "missing_member", "ms", "milliseconds");
	if (!json_is_integer(member) || value < 0 || value > most)
		return hm_refuse(why, "wrong_type", "ms", "milliseconds, 0 to %u", most);
	*ms = (uint32_t)value;
	return HM_OK;
}

static hm_result run_slow(struct service *service, const json_t *request, struct hm_problem *why)
{
	uint32_t ms = 0;
	HM_TRY(get_ms(request, HM_TOKEN_SLOW_MAX_MS, &ms, why));
	slow(service, ms);
	return HM_OK;
}

static hm_result run_token_down(struct service *service, const json_t *request, struct hm_problem *why)
{
	uint32_t ms = 0;
	HM_TRY(get_ms(request, HM_FAULT_MAX_MS, &ms, why));
	for (unsigned i = 0; i < service->token_count; i++)
		token_down(service->tokens[i], ms);
	return HM_OK;
}

static hm_result run_gate_down(struct service *service, const json_t *request, struct hm_problem *why)
{
	uint32_t ms = 0;
	HM_TRY(get_ms(request, HM_FAULT_MAX_MS, &ms, why));
	if (service->gate)
		gate_down(service->gate, ms);
	return HM_OK;
}

static hm_result run_refuse(struct service *service, const json_t *request, struct hm_problem *why)
{
	const char *code = json_string_value(json_object_get(request, "code"));
	const struct problem_kind *kind = code ? problem_kind(code) : NULL;
	uint32_t ms = 0;
	if (!kind)
		return hm_refuse(why, "missing_member", "code", "a code of the service");
	if (strcmp(kind->code, code) != 0)
		return hm_refuse(why, "wrong_type", "code", "a code of the service");
	HM_TRY(get_ms(request, HM_FAULT_MAX_MS, &ms, why));
	service->fault.code = kind->code;
	service->fault.until_ms = uv_now(&service->loop) + ms;
	return HM_OK;
}

static hm_result run_off(struct service *service, const json_t *request, struct hm_problem *why)
{
	(void)request, (void)why;
	slow(service, 0);
	stop_refusing(service);
	for (unsigned i = 0; i < service->token_count; i++)
		token_up(service->tokens[i]);
	if (service->gate)
		gate_up(service->gate);
	return HM_OK;
}

static const struct {
	const char *name;
	hm_result (*run)(struct service *service, const json_t *request, struct hm_problem *why);
} faults[] = {{"slow", run_slow}, {"token-down", run_token_down}, {"gate-down", run_gate_down}, {"refuse", run_refuse},
	{"off", run_off}};

hm_result fault_command(struct service *service, const json_t *request, struct hm_problem *why)
{
	const char *name = json_string_value(json_object_get(request, "fault"));
	if (!service->fault.allowed)
		return hm_refuse(why, "unknown_command", "command", "faults only where `hsmint dev` runs the service");
	for (size_t i = 0; name && i < sizeof faults / sizeof *faults; i++) {
		if (strcmp(faults[i].name, name) != 0)
			continue;
		HM_TRY(faults[i].run(service, request, why));
		hm_log(HM_WARNING, "fault", "name=%s", faults[i].name);
		return HM_OK;
	}
	return hm_refuse(why, "unknown_command", "fault", "slow, token-down, gate-down, refuse, off");
}

/* ---- what a mint request meets ---- */

hm_result fault_refusal(struct service *service, struct hm_problem *why)
{
	uint64_t now = uv_now(&service->loop);
	struct fault *fault = &service->fault;
	if (!fault->code)
		return HM_OK;
	if (now >= fault->until_ms) {
		stop_refusing(service);
		return HM_OK;
	}
	hm_result result = hm_refuse(why, fault->code, NULL, "the same, when the fault that was asked for is over");
	why->retry_after = hm_retry_after((double)(fault->until_ms - now) / 1000);
	return result;
}
