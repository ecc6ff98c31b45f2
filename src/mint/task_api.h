/* SPDX-License-Identifier: Apache-2.0 */
/* The operations on tasks, for api.c's table: /v1/tasks, /v1/tasks/{id} and what is done to one. */
#ifndef HSMINT_TASK_API_H
#define HSMINT_TASK_API_H

#include "api.h"

hm_result task_api_open(struct api_call *call, struct hm_problem *why);
hm_result task_api_list(struct api_call *call, struct hm_problem *why);
hm_result task_api_show(struct api_call *call, struct hm_problem *why);
hm_result task_api_pause(struct api_call *call, struct hm_problem *why);
hm_result task_api_resume(struct api_call *call, struct hm_problem *why);
hm_result task_api_complete(struct api_call *call, struct hm_problem *why);
hm_result task_api_cancel(struct api_call *call, struct hm_problem *why);

#endif
