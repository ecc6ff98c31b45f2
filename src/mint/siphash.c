/* SPDX-License-Identifier: Apache-2.0 */
#include "siphash.h"

#include <endian.h>
#include <string.h>

struct state {
	uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t value, unsigned bits)
{
	return value << bits | value >> (64 - bits);
}

static void round_once(struct state *s)
{
	s->a += s->b;
	s->c += s->d;
	s->b = rotate(s->b, 13) ^ s->a;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a = rotate(s->a, 32) + s->d;
	s->c += s->b;
	s->d = rotate(s->d, 21) ^ s->a;
	s->b = rotate(s->b, 17) ^ s->c;
	s->c = rotate(s->c, 32);
}

static void take_word(struct state *s, uint64_t word)
{
	s->d ^= word;
	round_once(s);
	round_once(s);
	s->a ^= word;
}

static uint64_t word_at(const void *data)
{
	uint64_t word;
	memcpy(&word, data, sizeof word);
	return le64toh(word);
}

/* What is behind the last whole word, and the length in the uppermost byte. */
static uint64_t last_word(const uint8_t *data, size_t length)
{
	uint8_t bytes[8] = {0};
	memcpy(bytes, data + length - length % 8, length % 8);
	bytes[7] = (uint8_t)length;
	return word_at(bytes);
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t length)
{
	const uint8_t *bytes = data;
	uint64_t first = word_at(key->bytes), second = word_at(key->bytes + 8);
	struct state s = {first ^ 0x736f6d6570736575, second ^ 0x646f72616e646f6d, first ^ 0x6c7967656e657261,
		second ^ 0x7465646279746573};
	for (size_t i = 0; i + 8 <= length; i += 8)
		take_word(&s, word_at(bytes + i));
	take_word(&s, last_word(bytes, length));
	s.c ^= 0xff;
	for (unsigned i = 0; i < 4; i++)
		round_once(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}
