/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_log.h"

#include "script.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LABEL = 128, LINE = LABEL + 64 };

static _Thread_local CK_OBJECT_HANDLE signing_key;

void hsm_log_begin(CK_OBJECT_HANDLE key)
{
	signing_key = key;
}

void hsm_log_signed(CK_FUNCTION_LIST *wrapped, CK_SESSION_HANDLE session)
{
	const char *path = getenv("HSMINT_TEST_HSM_LOG");
	char label[LABEL + 1], line[LINE];
	CK_ATTRIBUTE attribute = {CKA_LABEL, label, LABEL};
	if (!path)
		return;
	if (wrapped->C_GetAttributeValue(session, signing_key, &attribute, 1) != CKR_OK)
		give_up("the key that signed has no label");
	label[attribute.ulValueLen] = 0;
	int length = snprintf(line, sizeof line, "%lld,%s,1\n", (long long)time(NULL), label);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || length >= LINE || write(fd, line, (size_t)length) != length)
		give_up("a signature cannot be logged in HSMINT_TEST_HSM_LOG");
	close(fd);
}
