/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a ledger of as many entries as are wanted, to measure what reads it. */
#include "bench_options.h"

#include "edge.h"
#include "note.h"
#include "segment.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRY_ROOM = 1024, KIDS = 3, COUNTS_EVERY = 1000 };

static const char help[] = "Usage: bench-ledger --directory DIR [--entries N]\n"
			   "\n"
			   "Write the ledger DIR with one shard of N entries (default 200000): credentials of some 600 "
			   "bytes, with\n"
			   "counts after every 1000. Prints the key that verifies its checkpoint.\n";

static const char *const name = "bench.test/ledger";

/* ---- files ---- */

static void make_directories(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			bench_fail("%s: %s", path, strerror(errno));
		*slash = '/';
	}
}

static void write_file(const char *directory, const char *file, const void *data, size_t length)
{
	char path[512];
	snprintf(path, sizeof path, "%s/1/%s", directory, file);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 && errno == ENOENT) {
		make_directories(path);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	}
	if (fd < 0 || write(fd, data, length) != (ssize_t)length || close(fd) < 0)
		bench_fail("%s: %s", path, strerror(errno));
}

static void write_tile(const char *directory, int level, uint64_t number, const void *data, size_t length)
{
	char file[sizeof "tile/" + TILE_NAME_MAX] = "tile/";
	struct tile_name tile = {.level = level, .number = number, .width = TILE_WIDTH};
	tile_name_write(&tile, file + strlen(file));
	write_file(directory, file, data, length);
}

static hm_result take_tile(void *context, unsigned level, uint64_t number, const struct merkle_hash hashes[TILE_WIDTH],
	struct hm_problem *why)
{
	(void)why;
	write_tile(context, (int)level, number, hashes, TILE_BYTES);
	return HM_OK;
}

/* ---- entries ---- */

static size_t write_open(char *to)
{
	return (size_t)sprintf(to, "{\"origin\":\"%s/1\",\"time\":1700000000,\"type\":\"open\",\"v\":1}", name);
}

static size_t write_token(char *to)
{
	return (size_t)sprintf(to,
		"{\"epoch\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"event\":\"started\",\"name\":\"hsm\",\"time\":1700000000,"
		"\"type\":\"token\",\"v\":1}");
}

static size_t write_counts(uint64_t index, char *to)
{
	size_t used = (size_t)sprintf(to, "{\"epoch\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"signed\":[");
	for (unsigned i = 0; i < KIDS; i++)
		used += (size_t)sprintf(to + used,
			"%s{\"count\":%d,\"kid\":\"key-%u-of-the-benchmark-AAAAAAAAAAAAAAAAAAAA\","
			"\"what\":\"credential\"}",
			i ? "," : "", COUNTS_EVERY / KIDS - 1, i);
	return used + (size_t)sprintf(to + used, "],\"time\":%lu,\"token\":\"hsm\",\"type\":\"counts\",\"v\":1}",
			      1700000000 + index / 1000);
}

static size_t write_credential(uint64_t index, char *to)
{
	unsigned long now = 1700000000 + index / 1000;
	return (size_t)sprintf(to,
		"{\"audience\":[\"https://api.bench.test\"],\"caller\":\"bench\",\"claims\":[\"session\",\"level\"],"
		"\"context\":{\"tenant\":\"tenant-%lu\",\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-"
		"00f067aa0ba902b7-01\"},\"expires\":%lu,\"id\":\"%022lu\",\"idempotency_key\":\"request-%lu\","
		"\"issued\":%lu,\"issuer\":\"bench\",\"kid\":\"key-%lu-of-the-benchmark-AAAAAAAAAAAAAAAAAAAA\","
		"\"kind\":\"jwt\",\"profile\":\"bench-access\",\"scope\":[\"read\",\"write\"],\"subject\":"
		"\"spiffe://bench.test/agent/%lu\",\"tbs\":\"%043lu\",\"time\":%lu,\"type\":\"credential\",\"v\":1}",
		index % 100, now + 300, index, index, now, index % KIDS, index % 5000, index, now);
}

static size_t write_entry(uint64_t index, char *to)
{
	if (index < 2)
		return index ? write_token(to) : write_open(to);
	return index % COUNTS_EVERY ? write_credential(index, to) : write_counts(index, to);
}

/* ---- the shard ---- */

/* A body of a frame or a bundle, and its leaf hashes; the body has room for a frame's head before it. */
struct body {
	uint8_t data[SEGMENT_HEAD + TILE_WIDTH * ENTRY_ROOM + 32];
	size_t length;
	struct merkle_hash leaves[TILE_WIDTH];
	unsigned count;
};

static void fill(struct body *body, uint64_t first, uint64_t end)
{
	body->length = 0;
	body->count = 0;
	for (uint64_t index = first; index < end; index++) {
		uint8_t *to = body->data + SEGMENT_HEAD + body->length;
		size_t length = write_entry(index, (char *)to + 2);
		to[0] = (uint8_t)(length >> 8);
		to[1] = (uint8_t)length;
		merkle_leaf(to + 2, length, &body->leaves[body->count++]);
		body->length += 2 + length;
	}
}

static void add(struct edge *edge, const struct body *body, const char *directory)
{
	struct hm_problem why;
	for (unsigned i = 0; i < body->count; i++)
		if (edge_add(edge, &body->leaves[i], take_tile, (void *)directory, &why) != HM_OK)
			bench_fail("%s", why.detail);
}

static void write_entries(const char *directory, uint64_t entries, struct edge *edge)
{
	static struct body body;
	uint64_t bundled = entries / TILE_WIDTH * TILE_WIDTH;
	for (uint64_t first = 0; first < bundled; first += TILE_WIDTH) {
		fill(&body, first, first + TILE_WIDTH);
		add(edge, &body, directory);
		write_tile(directory, TILE_ENTRIES, first / TILE_WIDTH, body.data + SEGMENT_HEAD, body.length);
	}
	fill(&body, bundled, entries);
	add(edge, &body, directory);
	segment_frame(body.data, body.length, bundled, body.count, body.leaves);
	write_file(directory, "segment", body.data, body.length + SEGMENT_FRAME_MORE);
}

static void sign_text(EVP_PKEY *key, const char *text, size_t length, uint8_t signature[64])
{
	size_t signature_length = 64;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	if (!context || EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
		EVP_DigestSign(context, signature, &signature_length, (const uint8_t *)text, length) != 1)
		bench_fail("cannot sign");
	EVP_MD_CTX_free(context);
}

static void write_checkpoint(const char *directory, const struct edge *edge)
{
	static char note[NOTE_MAX];
	struct checkpoint checkpoint = {.size = edge->size};
	char text[NOTE_TEXT_MAX], vkey[NOTE_KEY_TEXT_MAX];
	uint8_t spki[HM_SPKI_MAX], *end = spki, signature[64];
	struct note_key key;
	struct hm_problem why;
	EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	int spki_length = pair ? i2d_PUBKEY(pair, &end) : 0;
	if (spki_length <= 0 || note_key_make(name, spki, (size_t)spki_length, &key, &why) != HM_OK)
		bench_fail("cannot make a key");
	snprintf(checkpoint.origin, sizeof checkpoint.origin, "%s/1", name);
	edge_root(edge, &checkpoint.root);
	size_t length = checkpoint_write(&checkpoint, text);
	sign_text(pair, text, length, signature);
	write_file(directory, "checkpoint", note,
		note_write(text, length, &key, signature, sizeof signature, note, sizeof note));
	note_key_write(&key, vkey);
	puts(vkey);
	EVP_PKEY_free(pair);
}

enum { OPTION_DIRECTORY = 256, OPTION_ENTRIES, OPTION_HELP };

static const struct option flags[] = {{"directory", required_argument, NULL, OPTION_DIRECTORY},
	{"entries", required_argument, NULL, OPTION_ENTRIES}, {"help", no_argument, NULL, OPTION_HELP}, {0}};

int main(int argc, char **argv)
{
	static struct edge edge;
	const char *directory = NULL;
	long entries = 200000;
	int option;
	while ((option = getopt_long(argc, argv, "", flags, NULL)) != -1) {
		if (option == OPTION_DIRECTORY)
			directory = optarg;
		else if (option == OPTION_ENTRIES)
			entries = bench_number("--entries", optarg, 2, 1000000000);
		else if (option == OPTION_HELP)
			return fputs(help, stdout) < 0;
		else
			bench_usage("see the options");
	}
	if (!directory || optind != argc)
		bench_usage("--directory is needed, and nothing else");
	write_entries(directory, (uint64_t)entries, &edge);
	write_checkpoint(directory, &edge);
	return fflush(stdout) != 0;
}
