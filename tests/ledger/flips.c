/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes one file of a ledger in every way there is, and verifies each time.
 *
 *	ledger-flips DIR VKEY FILE FROM STEP
 *
 * Flips each STEPth bit from the byte FROM on, then cuts the file off at each STEPth length from there on. FILE is
 * relative to DIR. Prints one line of JSON: how many of each were found with the file named, found without that, and
 * not found, and which came first of those.
 */
#include "verify.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void check(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "ledger-flips: %s\n", what);
		exit(2);
	}
}

static struct note_key key;
static const char *directory, *file;
static char path[512];
static uint8_t *data;
static size_t size;

static bool is_named;

/* What compares a tile with what it is made of names both, without the shard again. */
static void found(void *context, const struct verify_finding *finding)
{
	const char *tile = strstr(file, "tile/");
	(void)context;
	if (finding->is_fault &&
		(strstr(finding->place, file) || strstr(finding->text, file) ||
			(tile && strtoul(file, NULL, 10) == finding->shard && strstr(finding->text, tile))))
		is_named = true;
}

static bool verify(void)
{
	struct verify_terms terms = {.keys = {.keys = &key, .count = 1}};
	struct verify_listener listener = {.found = found};
	struct log_ledger ledger;
	struct hm_problem why;
	uint64_t faults;
	is_named = false;
	check(log_directory(directory, &ledger, &why) == HM_OK, why.detail);
	check(verify_ledger(&ledger, &terms, &listener, &faults, &why) == HM_OK, why.detail);
	return faults > 0;
}

struct tally {
	unsigned long named, found, missed;
	long first_found, first_missed;
};

static void count(struct tally *tally, long at)
{
	if (!verify()) {
		if (!tally->missed++)
			tally->first_missed = at;
	} else if (is_named)
		tally->named++;
	else if (!tally->found++)
		tally->first_found = at;
}

static void print(const char *what, const struct tally *tally)
{
	printf("\"%s\":{\"named\":%lu,\"found\":%lu,\"missed\":%lu,\"first_found\":%ld,\"first_missed\":%ld}", what,
		tally->named, tally->found, tally->missed, tally->first_found, tally->first_missed);
}

static void restore(int fd)
{
	check(ftruncate(fd, (off_t)size) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "cannot write");
}

int main(int argc, char **argv)
{
	struct tally flips = {.first_found = -1, .first_missed = -1}, cuts = flips;
	struct hm_problem why;
	struct stat stat;
	check(argc == 6, "DIR VKEY FILE FROM STEP");
	mallopt(M_TRIM_THRESHOLD, 64 << 20); /* pages that the next verification uses again are not given back */
	mallopt(M_MMAP_THRESHOLD, 16 << 20);
	directory = argv[1];
	file = argv[3];
	size_t from = strtoul(argv[4], NULL, 10), step = strtoul(argv[5], NULL, 10);
	check(note_key_read(argv[2], &key, &why) == HM_OK, "not a key");
	snprintf(path, sizeof path, "%s/%s", directory, file);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	check(fd >= 0 && fstat(fd, &stat) == 0, path);
	size = (size_t)stat.st_size;
	data = malloc(size + 1);
	check(data && pread(fd, data, size, 0) == (ssize_t)size, "cannot read");
	check(!verify(), "it is not right to begin with");
	for (size_t bit = from * 8; bit < size * 8; bit += step) {
		uint8_t changed = data[bit / 8] ^ (uint8_t)(1U << bit % 8);
		check(pwrite(fd, &changed, 1, (off_t)(bit / 8)) == 1, "cannot write");
		count(&flips, (long)bit);
		check(pwrite(fd, &data[bit / 8], 1, (off_t)(bit / 8)) == 1, "cannot write");
	}
	for (size_t length = from; length < size; length += step) {
		check(ftruncate(fd, (off_t)length) == 0, "cannot cut");
		count(&cuts, (long)length);
		restore(fd);
	}
	check(!verify(), "it is not right in the end");
	putchar('{');
	print("flips", &flips);
	putchar(',');
	print("cuts", &cuts);
	puts("}");
	free(data);
	return close(fd);
}
