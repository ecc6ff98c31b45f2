/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: what hsmint's processes say to each other, one per SOCK_SEQPACKET datagram (docs/frames.md).
 *
 * frame_send and frame_receive block and serve simple loops (a token's worker, a command). A `struct channel` batches
 * frames without blocking and serves event loops (mint, gate).
 */
#ifndef HSMINT_FRAME_H
#define HSMINT_FRAME_H

#include "limits.h"
#include "result.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HM_FRAME_VERSION = 1, HM_FRAME_HEADER = 16, HM_CHILD_FD = 3 /* a child's end of its socket to mint */ };

enum hm_frame_type {
	/* mint → token */
	HM_TOKEN_CONFIG = 1, /* token_protocol.h: struct token_config; the first frame */
	HM_TOKEN_SIGN,       /* struct token_sign */
	HM_TOKEN_PROBE,      /* u16 key: sign HM_PROBE_PREFIX and random bytes */
	HM_TOKEN_SLOW,       /* u32 milliseconds: wait so long before each signature of a request */
	HM_TOKEN_KEY,        /* struct token_learn: find, check and try this key as well */
	HM_TOKEN_COUNT,      /* empty string: how often did which key sign? */
	/* bytes: keep them in the token, in place of those before; empty string: what is kept there? */
	HM_TOKEN_ANCHOR_PUT = 7,
	HM_TOKEN_ANCHOR_GET,
	/* token → mint */
	HM_TOKEN_TURN = 15,   /* empty string: it holds the start lock; how long its start takes counts from here */
	HM_TOKEN_READY = 16,  /* struct token_ready */
	HM_TOKEN_SIGNED,      /* the signature's bytes: raw r‖s for ECDSA; for a probe empty */
	HM_TOKEN_FAILED,      /* struct token_failure, of one request */
	HM_TOKEN_ENDING,      /* struct token_failure; id 0; the process exits after it */
	HM_TOKEN_LEARNED,     /* u16 key, struct token_key_ready: the answer to HM_TOKEN_KEY, */
	HM_TOKEN_NOT_LEARNED, /* or u16 key, struct token_failure */
	HM_TOKEN_COUNTS,      /* struct token_counts; before ENDING in a start also unasked */
	/* The answer to either of HM_TOKEN_ANCHOR_*: what is kept now, as bytes; or struct token_failure. */
	HM_TOKEN_ANCHOR = 23,
	HM_TOKEN_NOT_ANCHORED,
	/* command → hsmint-token admin, on the same kind of socket, after HM_TOKEN_CONFIG; answers: DONE or FAILED */
	HM_ADMIN_INIT = 32, /* initialise the configured token: so_pin_file as string; the user PIN is the config's */
	HM_ADMIN_CREATE,    /* u16 key: generate it in the token */
	HM_ADMIN_DESTROY,   /* u16 key, string kid: destroy both halves of the key pair that has this kid */
	HM_ADMIN_DONE = 48,
	/* mint → gate */
	HM_GATE_CONFIG = 64, /* gate_protocol.h: struct gate_config, with descriptors */
	HM_GATE_PUBLISH,     /* struct gate_publish */
	HM_GATE_REPLY,       /* struct gate_reply, id of the request */
	HM_GATE_DRAIN,       /* empty string: finish what is in flight, then exit */
	/* gate → mint */
	HM_GATE_READY = 80, /* struct gate_ready: once per HM_GATE_CONFIG; if it was refused, says why */
	HM_GATE_REQUEST,    /* struct gate_request */
	HM_GATE_STATS,      /* struct gate_stats, at most once a second */
	/* operator ↔ mint, over control.sock */
	HM_CONTROL_REQUEST = 96, /* JSON: {"command": …} */
	HM_CONTROL_REPLY,        /* JSON: {"ok": true, …} or a problem */
	/* command → hsmint-ceremony, after HM_TOKEN_CONFIG with the one key; ceremony_protocol.h */
	HM_CEREMONY_CHECK = 112, /* empty string: log in, and see that the key can be made; nothing is written */
	HM_CEREMONY_FIND,        /* empty string: log in, and find the key that was made */
	HM_CEREMONY_CREATE,      /* empty string: generate the key; it is destroyed again unless KEEP comes */
	HM_CEREMONY_CERTIFY,     /* struct ceremony_certificate */
	HM_CEREMONY_SIGN,        /* struct ceremony_sign */
	HM_CEREMONY_KEEP,        /* empty string */
	HM_CEREMONY_DESTROY,     /* empty string: destroy the key that was generated */
	/* hsmint-ceremony → command; or HM_TOKEN_FAILED */
	HM_CEREMONY_SHOWN = 128, /* struct token_ready: to CHECK without a key, to FIND and CREATE with it */
	HM_CEREMONY_MADE,        /* DER of certificate or request, or a signature as X.509 has it (DER for ECDSA) */
	HM_CEREMONY_DONE,        /* empty string */
};

struct hm_frame {
	enum hm_frame_type type;
	uint64_t id;
	const uint8_t *payload; /* never empty; valid as each function says */
	size_t length;
	int fds[HM_FRAME_MAX_FDS]; /* the receiver owns them; -1 where it took one over */
	unsigned fd_count;
};

/*
 * Send one frame, waiting for room. `fds` stay the caller's. Payloads over HM_FRAME_MAX_INLINE travel as a sealed
 * memfd. An empty payload is sent as the four bytes of an empty string, since frames are never empty.
 * HM_UNAVAILABLE: the peer is gone (errno tells). Source: frame.c
 */
hm_result frame_send(int fd, enum hm_frame_type type, uint64_t id, const void *payload, size_t length, const int *fds,
	unsigned fd_count) HM_MUST_USE;

/*
 * Wait for one frame. Its payload lies in `buffer` (at least HM_FRAME_HEADER + HM_FRAME_MAX_INLINE bytes), or in a
 * mapping when it came as a memfd; frame_done releases the mapping and every descriptor left in `fds`.
 * HM_UNAVAILABLE: end of stream. HM_REFUSED: a malformed frame; a child must end, mint must end the child.
 */
hm_result frame_receive(int fd, void *buffer, size_t size, struct hm_frame *frame) HM_MUST_USE;
void frame_done(struct hm_frame *frame);

/* Put `length` bytes into a memfd sealed against every change. Returns the descriptor, or -1 with errno. */
int memfd_sealed(const char *name, const void *data, size_t length);

struct channel; /* opaque; one end of a socket between processes; made by channel_open, released by channel_close */

/* Take over `fd` and make it non-blocking. NULL: out of memory. */
struct channel *channel_open(int fd);
void channel_close(struct channel *channel); /* closes the descriptor; NULL is fine */
int channel_fd(const struct channel *channel);

/*
 * Queue a copy of one frame (`fds` are duplicated). HM_UNAVAILABLE: HM_CHANNEL_MAX_QUEUED bytes wait already, the
 * peer does not read.
 */
hm_result channel_queue(struct channel *channel, enum hm_frame_type type, uint64_t id, const void *payload,
	size_t length, const int *fds, unsigned fd_count) HM_MUST_USE;

/* Send what is queued, as far as the socket takes it. channel_waiting says whether some is left: poll for room then.
 * HM_UNAVAILABLE: the peer is gone. */
hm_result channel_flush(struct channel *channel) HM_MUST_USE;
bool channel_waiting(const struct channel *channel);

/*
 * Receive up to HM_FRAME_BATCH frames and give each to `take`; payloads and descriptors that `take` did not take over
 * are gone after it returns. `*more` is set when there may be more to read. HM_UNAVAILABLE: end of stream.
 * HM_REFUSED: a malformed frame, or what `take` returned.
 */
typedef hm_result channel_take(void *context, struct hm_frame *frame);
hm_result channel_receive(struct channel *channel, channel_take *take, void *context, bool *more) HM_MUST_USE;

#endif
