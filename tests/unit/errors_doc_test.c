/* SPDX-License-Identifier: Apache-2.0 */
/* docs/errors.md has one row for each code of problem.c, in its order, and no other. */
#include "problem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 4096, ROWS_MAX = 256 };

struct row {
	char code[64], status[16], retry[16], record[16], meaning[LINE_MAX_BYTES], mend[LINE_MAX_BYTES];
};

static struct row *rows;
static unsigned row_count;

/* A row of the service's table. Those of the library's have no status, so they are none. */
static bool parse(const char *line, struct row *row)
{
	return sscanf(line, "| `%63[a-z0-9_]` | %15[0-9] | %15[a-z-] | %15[a-z] | %4095[^|] | %4095[^|] |", row->code,
		       row->status, row->retry, row->record, row->meaning, row->mend) == 6;
}

static void read_document(void)
{
	char line[LINE_MAX_BYTES];
	FILE *document = fopen(HSMINT_SOURCE_DIR "/docs/errors.md", "r");
	cr_assert_not_null(document);
	rows = calloc(ROWS_MAX, sizeof *rows);
	cr_assert_not_null(rows);
	while (fgets(line, sizeof line, document)) {
		cr_assert_not_null(strchr(line, '\n'), "a line longer than this test reads: %.60s", line);
		if (parse(line, &rows[row_count]))
			row_count++;
		cr_assert_lt(row_count, ROWS_MAX);
	}
	fclose(document);
}

static void forget_document(void)
{
	free(rows);
	rows = NULL;
	row_count = 0;
}

TestSuite(errors_doc, .init = read_document, .fini = forget_document);

Test(errors_doc, each_row_is_a_code_with_its_status_and_retry_in_the_same_order)
{
	for (unsigned i = 0; i < row_count; i++) {
		const struct problem_kind *kind = &problem_kinds[i];
		cr_assert_not_null(kind->code, "%s stands behind the last code", rows[i].code);
		cr_expect_str_eq(rows[i].code, kind->code);
		cr_expect_eq(strtol(rows[i].status, NULL, 10), kind->status, "%s", kind->code);
		cr_expect_str_eq(rows[i].retry, kind->retry, "%s", kind->code);
	}
}

Test(errors_doc, each_code_has_a_row)
{
	unsigned codes = 0;
	while (problem_kinds[codes].code)
		codes++;
	cr_assert_eq(row_count, codes, "%u rows, %u codes; the first without one: %s", row_count, codes,
		row_count < codes ? problem_kinds[row_count].code : "none");
}
