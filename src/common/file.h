/* SPDX-License-Identifier: Apache-2.0 */
/* Small files: reading whole, and replacing so that a crash leaves the old or the new one. */
#ifndef HSMINT_FILE_H
#define HSMINT_FILE_H

#include "result.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Read at most `size` bytes of a regular file; `*length` says how many. A longer file is refused. With `secret` a file
 * that its group or others may read, or that belongs to neither this user nor root, is refused. The problem names the
 * path and the mend.
 */
hm_result file_read(
	const char *path, bool secret, void *data, size_t size, size_t *length, struct hm_problem *why) HM_MUST_USE;

/* Replace `path` by these bytes: written beside it (as .NAME.new), synced, renamed, directory synced. */
hm_result file_replace(
	const char *path, const void *data, size_t length, mode_t mode, struct hm_problem *why) HM_MUST_USE;

/* Remove a file, durably. HM_UNAVAILABLE: it is not there, or cannot be removed. */
hm_result file_remove(const char *path, struct hm_problem *why) HM_MUST_USE;

/* Make a directory (0700) that outlives a power cut; one that is there already is fine. */
hm_result file_make_directory(const char *path, struct hm_problem *why) HM_MUST_USE;

#endif
