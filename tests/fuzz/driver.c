/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target on its seeds, on the files named, and on mutations of both, until the time is up.
 *
 *	TARGET [--seconds N] [--seed N] [FILE...]
 *
 * The random seed is printed, so that a run can be repeated. An input that ends the process is left in ./crash-input.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

enum { SEEDS_MAX = 256, STACKED_MAX = 8, CHUNK_MAX = 64, CLOCK_EVERY = 256, LONG_FACTOR = 120 };

struct input {
	uint8_t *data;
	size_t length;
};

static struct input seeds[SEEDS_MAX];
static unsigned seed_count;
static const uint8_t *running;
static size_t running_length;
static uint64_t random_state;

/* ---- the input that did it ---- */

static void keep_input(void)
{
	int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t written = fd < 0 ? -1 : write(fd, running, running_length);
	static const char said[] = "fuzz: the input is in ./crash-input\n";
	if (written == (ssize_t)running_length)
		written = write(STDERR_FILENO, said, sizeof said - 1);
	(void)written;
}

static void on_signal(int number)
{
	keep_input();
	signal(number, SIG_DFL);
	raise(number);
}

static void keep_input_at_death(void)
{
	signal(SIGABRT, on_signal);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_set_death_callback(keep_input);
#else
	signal(SIGSEGV, on_signal);
#endif
}

/* The target gets memory of exactly this length, so that a byte read too far is seen. */
static void run(const uint8_t *data, size_t length)
{
	uint8_t *exact = malloc(length ? length : 1);
	if (!exact)
		abort();
	memcpy(exact, data, length);
	running = exact;
	running_length = length;
	(void)LLVMFuzzerTestOneInput(exact, length);
	free(exact);
}

/* ---- seeds ---- */

static void add_seed(const uint8_t *data, size_t length)
{
	if (seed_count == SEEDS_MAX || !(seeds[seed_count].data = malloc(length ? length : 1)))
		abort();
	memcpy(seeds[seed_count].data, data, length);
	seeds[seed_count++].length = length;
}

static void add_file(const char *path)
{
	static uint8_t data[FUZZ_INPUT_MAX];
	FILE *file = fopen(path, "re");
	if (!file) {
		perror(path);
		exit(2);
	}
	add_seed(data, fread(data, 1, sizeof data, file));
	fclose(file);
}

static void add_seeds(void)
{
	static uint8_t data[FUZZ_INPUT_MAX];
	size_t length;
	for (unsigned i = 0; (length = fuzz_seed(i, data)) != 0; i++)
		add_seed(data, length);
}

/* ---- mutations ---- */

/* xorshift64* */
static uint64_t next_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}

/* 0 to most - 1 */
static size_t below(size_t most)
{
	return most ? (size_t)(next_random() % most) : 0;
}

static void overwrite(struct input *input, const void *value, size_t length)
{
	if (input->length >= length)
		memcpy(input->data + below(input->length - length + 1), value, length);
}

static void put_number(struct input *input)
{
	static const uint32_t numbers[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 255, 256, 1023, 1024, 0x7fff,
		0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
	static const size_t widths[] = {1, 2, 4};
	uint32_t number = numbers[below(sizeof numbers / sizeof *numbers)] + (below(4) ? 0 : (uint32_t)below(5) - 2);
	overwrite(input, &number, widths[below(3)]);
}

static void remove_chunk(struct input *input)
{
	size_t start = below(input->length);
	size_t length = 1 + below(CHUNK_MAX);
	if (length > input->length - start)
		length = input->length - start;
	memmove(input->data + start, input->data + start + length, input->length - start - length);
	input->length -= length;
}

/* `chunk` lies elsewhere than in the input. */
static void insert_chunk(struct input *input, const uint8_t *chunk, size_t length)
{
	size_t place = below(input->length + 1);
	if (input->length + length > FUZZ_INPUT_MAX)
		return;
	memmove(input->data + place + length, input->data + place, input->length - place);
	memcpy(input->data + place, chunk, length);
	input->length += length;
}

static void insert_random(struct input *input)
{
	uint8_t chunk[CHUNK_MAX];
	size_t length = 1 + below(sizeof chunk);
	for (size_t i = 0; i < length; i++)
		chunk[i] = (uint8_t)next_random();
	insert_chunk(input, chunk, length);
}

static void insert_from_seed(struct input *input)
{
	const struct input *other = &seeds[below(seed_count)];
	size_t start = below(other->length);
	size_t length = 1 + below(CHUNK_MAX);
	if (length > other->length - start)
		length = other->length - start;
	insert_chunk(input, other->data + start, length);
}

static void mutate(struct input *input)
{
	uint8_t byte = (uint8_t)next_random();
	switch (below(7)) {
	case 0:
		if (input->length)
			input->data[below(input->length)] ^= (uint8_t)(1U << below(8));
		break;
	case 1:
		overwrite(input, &byte, 1);
		break;
	case 2:
		put_number(input);
		break;
	case 3:
		remove_chunk(input);
		break;
	case 4:
		insert_random(input);
		break;
	case 5:
		insert_from_seed(input);
		break;
	default:
		input->length = below(input->length + 1);
	}
}

static void run_mutation(void)
{
	static uint8_t data[FUZZ_INPUT_MAX];
	const struct input *seed = &seeds[below(seed_count)];
	struct input input = {data, seed->length};
	memcpy(data, seed->data, seed->length);
	for (size_t i = 1 + below(STACKED_MAX); i > 0; i--)
		mutate(&input);
	run(input.data, input.length);
}

/* ---- the run ---- */

static time_t now(void)
{
	struct timespec clock;
	clock_gettime(CLOCK_MONOTONIC, &clock);
	return clock.tv_sec;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seconds", required_argument, NULL, 't'}, {"seed", required_argument, NULL, 'r'}, {0}};
	time_t seconds = 5;
	int option;
	random_state = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 't')
			seconds = strtol(optarg, NULL, 10);
		else if (option == 'r')
			random_state = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	if (getenv("HSMINT_LONG"))
		seconds *= LONG_FACTOR;
	random_state |= 1; /* zero would stay zero */
	fprintf(stderr, "fuzz: --seed %" PRIu64 "\n", random_state);

	add_seeds();
	for (int i = optind; i < argc; i++)
		add_file(argv[i]);
	keep_input_at_death();
	for (unsigned i = 0; i < seed_count; i++)
		run(seeds[i].data, seeds[i].length);
	uint64_t runs = 0;
	for (time_t end = now() + seconds; runs % CLOCK_EVERY || now() < end; runs++)
		run_mutation();
	fprintf(stderr, "fuzz: %u seeds, %" PRIu64 " mutations\n", seed_count, runs);
	for (unsigned i = 0; i < seed_count; i++)
		free(seeds[i].data);
	return 0;
}
