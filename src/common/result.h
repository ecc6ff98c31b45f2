/* SPDX-License-Identifier: Apache-2.0 */
/* The result that every function which can fail returns, and the problem it fills. */
#ifndef HSMINT_RESULT_H
#define HSMINT_RESULT_H

/* Who has to act decides the kind. */
typedef enum {
	HM_OK = 0,
	HM_REFUSED,     /* the caller asked for what it may not have, or asked badly */
	HM_UNAVAILABLE, /* a token, a disk or a peer is away: later may succeed */
	HM_BROKEN,      /* our own promise does not hold: this process must not go on */
} hm_result;

#define HM_MUST_USE     __attribute__((warn_unused_result))
#define HM_PRINTF(f, a) __attribute__((format(printf, f, a)))

/*
 * Why something failed. Lives in the caller, is filled once where the fault is seen, reported once at the boundary.
 * `code` is a string constant from the table in problem.h (or, at start, "config", "system", "token").
 * `field` is the caller's member at fault, "" if none. `detail` says what would be accepted, or for faults of ours
 * what an operator needs (errno, CKR). It never holds a secret.
 */
struct hm_problem {
	const char *code;
	char field[96];
	char detail[400];
	unsigned retry_after; /* seconds, for the codes that say when; 0: soon, nobody knows better */
};

/* Leave at the first failure; what is owned by then is released by its cleanup attribute. */
#define HM_TRY(call)                        \
	do {                                \
		hm_result hm_try_ = (call); \
		if (hm_try_ != HM_OK)       \
			return hm_try_;     \
	} while (0)

/* Fill `why` and return the kind. `field` may be NULL. */
hm_result hm_refuse(struct hm_problem *why, const char *code, const char *field, const char *format, ...)
	HM_PRINTF(4, 5) HM_MUST_USE;
hm_result hm_unavailable(struct hm_problem *why, const char *code, const char *format, ...) HM_PRINTF(3, 4) HM_MUST_USE;
/* Whole seconds to wait, 1 to HM_RETRY_AFTER_MAX, rounded up: who comes then does not come too early. */
unsigned hm_retry_after(double seconds);

/* `overload`, for who may come again after so many seconds. */
hm_result hm_overload(struct hm_problem *why, double wait_seconds, const char *detail) HM_MUST_USE;
hm_result hm_broken(struct hm_problem *why, const char *format, ...) HM_PRINTF(2, 3) HM_MUST_USE;

#endif
