/* SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

static bool has_part(const struct parts *parts, unsigned place)
{
	return parts->begun && parts->fds[place] >= 0;
}

/* How long the PIN is without the part of this place. */
static size_t length_of_others(const struct parts *parts, unsigned place)
{
	size_t length = 0;
	for (unsigned i = 0; i < parts->wanted; i++)
		if (i != place && has_part(parts, i))
			length += parts->lengths[i];
	return length;
}

/* Sealed, nobody can make it another part later: not even who gave it. */
static hm_result check_part(const struct parts *parts, unsigned place, int fd, size_t *length, struct hm_problem *why)
{
	struct stat stat;
	int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & all_seals) != all_seals || fstat(fd, &stat) < 0)
		return hm_refuse(why, "unlock_refused", NULL, "a part of the PIN in one sealed memfd");
	if (stat.st_size < 1 || stat.st_size > HM_PIN_MAX ||
		(size_t)stat.st_size + length_of_others(parts, place) > HM_PIN_MAX)
		return hm_refuse(why, "unlock_refused", NULL,
			"a part of at least 1 byte, and all parts together of at most %d", HM_PIN_MAX);
	*length = (size_t)stat.st_size;
	return HM_OK;
}

hm_result parts_begin(struct parts *parts, uint64_t now_ms, struct hm_problem *why)
{
	if (parts->begun)
		return HM_OK;
	if (getentropy(parts->id, sizeof parts->id) < 0)
		return hm_broken(why, "no random bytes for an unlock");
	for (unsigned i = 0; i < HM_PIN_PARTS_MAX; i++)
		parts->fds[i] = -1;
	parts->begun = true;
	parts->begun_ms = now_ms;
	return HM_OK;
}

hm_result parts_take(
	struct parts *parts, unsigned place, int *fd, uint64_t now_ms, bool *replaced, struct hm_problem *why)
{
	size_t length = 0;
	HM_TRY(check_part(parts, place, *fd, &length, why));
	HM_TRY(parts_begin(parts, now_ms, why));
	*replaced = has_part(parts, place);
	if (*replaced)
		close(parts->fds[place]);
	parts->fds[place] = *fd;
	parts->lengths[place] = length;
	*fd = -1;
	return HM_OK;
}

unsigned parts_missing(const struct parts *parts)
{
	unsigned missing = 0;
	for (unsigned i = 0; i < parts->wanted; i++)
		missing += !has_part(parts, i);
	return missing;
}

bool parts_are_whole(const struct parts *parts)
{
	return parts->begun && !parts_missing(parts);
}

bool parts_are_late(const struct parts *parts, uint64_t now_ms)
{
	return parts->begun && parts_missing(parts) && now_ms - parts->begun_ms >= HM_UNLOCK_SECONDS * UINT64_C(1000);
}

void parts_forget(struct parts *parts)
{
	for (unsigned i = 0; i < parts->wanted; i++)
		if (has_part(parts, i))
			close(parts->fds[i]);
	*parts = (struct parts){.wanted = parts->wanted};
}

void parts_move(struct parts *to, struct parts *from)
{
	parts_forget(to);
	*to = *from;
	*from = (struct parts){.wanted = from->wanted};
}
