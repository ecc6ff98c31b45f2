/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONG = HM_FRAME_MAX_INLINE + 1, ROOM = HM_FRAME_HEADER + HM_FRAME_MAX_INLINE };

/* The two ends of a socket, as two processes would have them. */
static int here, there;
static uint8_t room[ROOM];

static void open_pair(void)
{
	int ends[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	here = ends[0];
	there = ends[1];
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/fd");
	cr_assert_not_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static uint8_t *pattern(size_t length)
{
	uint8_t *data = malloc(length);
	cr_assert_not_null(data);
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)(i * 31 >> 3);
	return data;
}

TestSuite(frame, .init = open_pair);

Test(frame, what_is_sent_is_received_whether_inline_or_as_a_memfd)
{
	static const size_t lengths[] = {1, 4, 4096, HM_FRAME_MAX_INLINE, LONG, 1024 * 1024, HM_FRAME_MAX_MEMFD};
	unsigned before = open_descriptors();
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		uint8_t *data = pattern(lengths[i]);
		struct hm_frame frame;
		cr_assert_eq(frame_send(here, HM_GATE_REPLY, UINT64_MAX - i, data, lengths[i], NULL, 0), HM_OK);
		cr_assert_eq(frame_receive(there, room, sizeof room, &frame), HM_OK, "%zu bytes", lengths[i]);
		cr_expect_eq(frame.type, HM_GATE_REPLY);
		cr_expect_eq(frame.id, UINT64_MAX - i);
		cr_assert_eq(frame.length, lengths[i]);
		cr_expect_eq(memcmp(frame.payload, data, lengths[i]), 0, "%zu bytes", lengths[i]);
		cr_expect_eq(frame.fd_count, 0);
		frame_done(&frame);
		free(data);
	}
	cr_expect_eq(open_descriptors(), before);
}

Test(frame, an_empty_payload_travels_as_an_empty_string)
{
	struct hm_frame frame;
	cr_assert_eq(frame_send(here, HM_GATE_DRAIN, 1, NULL, 0, NULL, 0), HM_OK);
	cr_assert_eq(frame_receive(there, room, sizeof room, &frame), HM_OK);
	cr_expect_eq(frame.length, 4);
	cr_expect_arr_eq(frame.payload, "\0\0\0\0", 4);
}

Test(frame, descriptors_arrive_behind_a_memfd_and_belong_to_the_receiver)
{
	static const size_t lengths[] = {4, LONG};
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		unsigned before = open_descriptors();
		uint8_t *data = pattern(lengths[i]);
		struct hm_frame frame;
		int pipe_ends[2];
		char byte = 0;
		cr_assert_eq(pipe2(pipe_ends, O_CLOEXEC), 0);
		cr_assert_eq(frame_send(here, HM_GATE_CONFIG, 1, data, lengths[i], pipe_ends, 2), HM_OK);
		cr_assert_eq(frame_receive(there, room, sizeof room, &frame), HM_OK);
		cr_assert_eq(frame.fd_count, 2);
		cr_expect(fcntl(frame.fds[0], F_GETFD) & FD_CLOEXEC);

		int taken = frame.fds[0];
		frame.fds[0] = -1;
		cr_expect_eq(write(frame.fds[1], "x", 1), 1);
		frame_done(&frame);
		cr_expect_eq(read(taken, &byte, 1), 1);
		cr_expect_eq(byte, 'x');
		close(taken);
		close(pipe_ends[0]);
		close(pipe_ends[1]);
		free(data);
		cr_expect_eq(open_descriptors(), before);
	}
}

Test(frame, more_than_a_frame_may_hold_is_not_sent)
{
	int many[HM_FRAME_MAX_FDS] = {here, here, here, here, here, here, here, here};
	uint8_t *data = calloc(1, HM_FRAME_MAX_MEMFD + 1);
	cr_assert_not_null(data);
	cr_expect_eq(frame_send(here, HM_GATE_REPLY, 1, data, HM_FRAME_MAX_MEMFD + 1, NULL, 0), HM_UNAVAILABLE);
	cr_expect_eq(errno, EMSGSIZE);
	cr_expect_eq(frame_send(here, HM_GATE_REPLY, 1, data, 4, many, HM_FRAME_MAX_FDS), HM_UNAVAILABLE);
	free(data);
}

Test(frame, the_end_of_the_stream_is_told_on_both_ends)
{
	struct hm_frame frame;
	close(here);
	cr_expect_eq(frame_receive(there, room, sizeof room, &frame), HM_UNAVAILABLE);
	cr_expect_eq(frame_send(there, HM_TOKEN_READY, 0, "", 1, NULL, 0), HM_UNAVAILABLE);
	cr_expect_eq(errno, EPIPE);
}

/* ---- malformed frames, written by hand ---- */

enum attachment {
	NOTHING,
	MEMFD,           /* sealed, of the length that the header names */
	MEMFD_SHORTER,   /* sealed, one byte less */
	MEMFD_LONGER,    /* sealed, one byte more */
	MEMFD_UNSEALED,  /* still changeable */
	MEMFD_WRITEABLE, /* every seal but the one against writing */
	PIPE,
	NINE_DESCRIPTORS
};

static const struct {
	const char *what;
	uint8_t version;
	uint16_t flags;
	uint32_t length; /* in the header */
	size_t sent;     /* bytes behind the header */
	enum attachment attachment;
} malformed[] = {
	{"version 0", 0, 0, 4, 4, NOTHING},
	{"version 2", 2, 0, 4, 4, NOTHING},
	{"an unknown flag", 1, 2, 4, 4, NOTHING},
	{"every flag", 1, 0xffff, LONG, 0, MEMFD},
	{"an empty payload", 1, 0, 0, 0, NOTHING},
	{"length 0 before bytes", 1, 0, 0, 4, NOTHING},
	{"a length below what came", 1, 0, 3, 4, NOTHING},
	{"a length above what came", 1, 0, 5, 4, NOTHING},
	{"the largest length", 1, 0, UINT32_MAX, 4, NOTHING},
	{"more than fits inline", 1, 0, LONG, LONG, NOTHING},
	{"a memfd that is not there", 1, 1, LONG, 0, NOTHING},
	{"a memfd and bytes inline", 1, 1, LONG, 4, MEMFD},
	{"a memfd where inline would do", 1, 1, HM_FRAME_MAX_INLINE, 0, MEMFD},
	{"an empty memfd", 1, 1, 0, 0, MEMFD},
	{"a memfd above the limit", 1, 1, HM_FRAME_MAX_MEMFD + 1, 0, MEMFD},
	{"a memfd that is shorter", 1, 1, LONG, 0, MEMFD_SHORTER},
	{"a memfd that is longer", 1, 1, LONG, 0, MEMFD_LONGER},
	{"a memfd without seals", 1, 1, LONG, 0, MEMFD_UNSEALED},
	{"a memfd that can be written", 1, 1, LONG, 0, MEMFD_WRITEABLE},
	{"a pipe for a memfd", 1, 1, LONG, 0, PIPE},
	{"more descriptors than allowed", 1, 0, 4, 4, NINE_DESCRIPTORS},
};
enum { MALFORMED = sizeof malformed / sizeof *malformed };

static int make_memfd(size_t length, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, (off_t)length), 0);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static unsigned attach(enum attachment attachment, uint32_t length, int fds[9])
{
	const int but_write = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
	int ends[2];
	switch (attachment) {
	case NOTHING:
		return 0;
	case MEMFD:
		fds[0] = make_memfd(length, but_write | F_SEAL_WRITE);
		return 1;
	case MEMFD_SHORTER:
		fds[0] = make_memfd(length - 1, but_write | F_SEAL_WRITE);
		return 1;
	case MEMFD_LONGER:
		fds[0] = make_memfd(length + 1, but_write | F_SEAL_WRITE);
		return 1;
	case MEMFD_UNSEALED:
		fds[0] = make_memfd(length, 0);
		return 1;
	case MEMFD_WRITEABLE:
		fds[0] = make_memfd(length, but_write);
		return 1;
	case PIPE:
		cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
		close(ends[1]);
		fds[0] = ends[0];
		return 1;
	case NINE_DESCRIPTORS:
		for (int i = 0; i < 9; i++)
			fds[i] = make_memfd(1, 0);
		return 9;
	}
	return 0;
}

static void send_bytes(const void *bytes, size_t length, const int *fds, unsigned count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 9)] = {0};
	struct iovec part = {(void *)bytes, length};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (count) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
	}
	cr_assert_eq(sendmsg(here, &message, 0), (ssize_t)length);
}

static void send_malformed(size_t which)
{
	static uint8_t bytes[HM_FRAME_HEADER + LONG];
	int fds[9] = {0};
	uint8_t type = HM_GATE_REQUEST;
	memset(bytes, 0, HM_FRAME_HEADER);
	bytes[0] = malformed[which].version;
	bytes[1] = type;
	memcpy(bytes + 2, &malformed[which].flags, 2);
	memcpy(bytes + 4, &malformed[which].length, 4);
	unsigned count = attach(malformed[which].attachment, malformed[which].length, fds);
	send_bytes(bytes, HM_FRAME_HEADER + malformed[which].sent, fds, count);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

Test(frame, every_malformed_frame_is_refused_and_leaves_nothing_open)
{
	unsigned before = open_descriptors();
	for (size_t i = 0; i < MALFORMED; i++) {
		struct hm_frame frame;
		send_malformed(i);
		cr_expect_eq(frame_receive(there, room, sizeof room, &frame), HM_REFUSED, "%s", malformed[i].what);
		frame_done(&frame);
		cr_expect_eq(open_descriptors(), before, "%s", malformed[i].what);
	}
}

Test(frame, a_datagram_shorter_than_a_header_is_refused)
{
	const uint8_t bytes[HM_FRAME_HEADER] = {1, HM_GATE_REQUEST, 0, 0, 4};
	for (size_t length = 1; length < sizeof bytes; length++) {
		struct hm_frame frame;
		send_bytes(bytes, length, NULL, 0);
		cr_expect_eq(frame_receive(there, room, sizeof room, &frame), HM_REFUSED, "%zu bytes", length);
	}
}

Test(frame, an_empty_datagram_reads_as_the_end_and_its_descriptors_are_closed)
{
	unsigned before = open_descriptors();
	struct hm_frame frame;
	int fd = make_memfd(1, 0);
	send_bytes("", 0, &fd, 1);
	close(fd);
	cr_expect_eq(frame_receive(there, room, sizeof room, &frame), HM_UNAVAILABLE);
	cr_expect_eq(open_descriptors(), before);
}

Test(frame, the_last_words_of_a_peer_that_left_requests_unread_are_heard)
{
	struct hm_frame frame;
	cr_assert_eq(frame_send(there, HM_TOKEN_SIGN, 1, "x", 1, NULL, 0), HM_OK);
	cr_assert_eq(frame_send(here, HM_TOKEN_ENDING, 0, "why", 3, NULL, 0), HM_OK);
	close(here);
	cr_assert_eq(frame_receive(there, room, sizeof room, &frame), HM_OK);
	cr_expect_eq(frame.type, HM_TOKEN_ENDING);
	cr_expect_eq(frame_receive(there, room, sizeof room, &frame), HM_UNAVAILABLE);
}

/* ---- channels ---- */

/* What `take` met. */
struct met {
	unsigned frames;
	uint64_t last_id;
	hm_result answer; /* what take returns */
};

static hm_result take(void *context, struct hm_frame *frame)
{
	struct met *met = context;
	met->frames++;
	met->last_id = frame->id;
	return met->answer;
}

Test(frame, a_channel_refuses_the_same_and_takes_what_came_before)
{
	unsigned before = open_descriptors();
	for (size_t i = 0; i < MALFORMED; i++) {
		open_pair();
		struct channel *channel = channel_open(there);
		struct met met = {0};
		bool more;
		cr_assert_not_null(channel);
		cr_assert_eq(frame_send(here, HM_GATE_REQUEST, 7, "x", 1, NULL, 0), HM_OK);
		send_malformed(i);
		cr_assert_eq(frame_send(here, HM_GATE_REQUEST, 8, "x", 1, NULL, 0), HM_OK);
		cr_expect_eq(channel_receive(channel, take, &met, &more), HM_REFUSED, "%s", malformed[i].what);
		cr_expect_eq(met.frames, 1, "%s", malformed[i].what);
		cr_expect_eq(met.last_id, 7, "%s", malformed[i].what);
		channel_close(channel);
		close(here);
		cr_expect_eq(open_descriptors(), before, "%s", malformed[i].what);
	}
}

Test(frame, a_channel_gives_frames_batch_by_batch)
{
	struct channel *channel = channel_open(there);
	struct met met = {0};
	bool more = true;
	for (uint64_t id = 1; id <= 2 * HM_FRAME_BATCH + 3; id++)
		cr_assert_eq(frame_send(here, HM_TOKEN_SIGN, id, "x", 1, NULL, 0), HM_OK);
	for (unsigned expected = HM_FRAME_BATCH; more; expected += HM_FRAME_BATCH) {
		cr_assert_eq(channel_receive(channel, take, &met, &more), HM_OK);
		cr_expect_eq(met.frames, more ? expected : 2 * HM_FRAME_BATCH + 3);
	}
	cr_expect_eq(met.last_id, 2 * HM_FRAME_BATCH + 3);
	cr_expect_eq(channel_receive(channel, take, &met, &more), HM_OK, "nothing there is no failure");
	cr_expect_not(more);
	channel_close(channel);
}

Test(frame, the_end_met_within_a_batch_comes_after_its_frames)
{
	struct channel *channel = channel_open(there);
	struct met met = {0};
	bool more;
	for (uint64_t id = 1; id <= 3; id++)
		cr_assert_eq(frame_send(here, HM_TOKEN_SIGNED, id, "x", 1, NULL, 0), HM_OK);
	close(here);
	cr_expect_eq(channel_receive(channel, take, &met, &more), HM_UNAVAILABLE);
	cr_expect_eq(met.frames, 3);
	channel_close(channel);
}

Test(frame, the_last_words_are_heard_on_a_channel_too)
{
	struct channel *channel = channel_open(there);
	struct met met = {0};
	bool more;
	cr_assert_eq(channel_queue(channel, HM_TOKEN_SIGN, 1, "x", 1, NULL, 0), HM_OK);
	cr_assert_eq(channel_flush(channel), HM_OK);
	for (uint64_t id = 1; id <= HM_FRAME_BATCH + 1; id++)
		cr_assert_eq(frame_send(here, HM_TOKEN_SIGNED, id, "x", 1, NULL, 0), HM_OK);
	close(here);
	cr_expect_eq(channel_receive(channel, take, &met, &more), HM_OK);
	cr_expect(more);
	cr_expect_eq(channel_receive(channel, take, &met, &more), HM_UNAVAILABLE);
	cr_expect_eq(met.frames, HM_FRAME_BATCH + 1);
	channel_close(channel);
}

Test(frame, after_take_refused_no_further_frame_is_given)
{
	unsigned before = open_descriptors();
	struct channel *channel = channel_open(there);
	struct met met = {.answer = HM_REFUSED};
	bool more;
	for (uint64_t id = 1; id <= 3; id++)
		cr_assert_eq(frame_send(here, HM_TOKEN_SIGNED, id, "x", 1, &here, 1), HM_OK);
	cr_expect_eq(channel_receive(channel, take, &met, &more), HM_REFUSED);
	cr_expect_eq(met.frames, 1);
	cr_expect_eq(open_descriptors(), before);
	channel_close(channel);
}

/* Queue frames numbered from `*next`, of varying length, until the channel has no room. */
static void queue_until_full(struct channel *channel, uint64_t *next)
{
	static uint8_t data[5000];
	for (;; ++*next) {
		size_t length = 8 + (size_t)(*next * 2654435761U % (sizeof data - 8));
		memcpy(data, next, 8);
		memset(data + 8, (int)*next, length - 8);
		if (channel_queue(channel, HM_TOKEN_SIGN, *next, data, length, NULL, 0) != HM_OK)
			return;
	}
}

static void expect_frame(uint64_t id)
{
	struct hm_frame frame;
	cr_assert_eq(frame_receive(here, room, sizeof room, &frame), HM_OK);
	cr_assert_eq(frame.id, id);
	cr_assert_eq(frame.length, 8 + (size_t)(id * 2654435761U % 4992));
	cr_assert_eq(memcmp(frame.payload, &id, 8), 0);
	if (frame.length > 8)
		cr_assert_eq(frame.payload[frame.length - 1], (uint8_t)id);
}

Test(frame, a_full_channel_says_so_and_after_partial_flushes_nothing_is_lost_or_out_of_order)
{
	struct channel *channel = channel_open(there);
	uint64_t next = 1;
	uint64_t received = 1;
	for (int round = 0; round < 50; round++) {
		queue_until_full(channel, &next);
		cr_assert_eq(channel_flush(channel), HM_OK);
		cr_assert(channel_waiting(channel), "the socket takes less than a full channel");
		for (int i = 0; i < 1 + round % 10; i++) /* fewer than the socket holds */
			expect_frame(received++);
	}
	while (received < next) {
		cr_assert_eq(channel_flush(channel), HM_OK);
		expect_frame(received++);
	}
	cr_expect_not(channel_waiting(channel));
	channel_close(channel);
}

Test(frame, small_frames_fill_a_channel_by_their_number)
{
	struct channel *channel = channel_open(there);
	uint64_t next = 0;
	while (next < 100000 && channel_queue(channel, HM_TOKEN_SIGN, next, "x", 1, NULL, 0) == HM_OK)
		next++;
	cr_expect_eq(next, 2 * HM_PENDING_MAX);
	uint64_t received = 0;
	while (received < next) {
		struct hm_frame frame;
		cr_assert_eq(channel_flush(channel), HM_OK);
		cr_assert_eq(frame_receive(here, room, sizeof room, &frame), HM_OK);
		cr_assert_eq(frame.id, received++);
	}
	channel_close(channel);
}

Test(frame, a_channel_carries_memfds_and_descriptors_and_keeps_none)
{
	unsigned before = open_descriptors() - 1; /* the channel closes `there` */
	struct channel *channel = channel_open(there);
	uint8_t *data = pattern(LONG);
	struct hm_frame frame;
	for (uint64_t id = 0; id < 3; id++)
		cr_assert_eq(channel_queue(channel, HM_GATE_PUBLISH, id, data, LONG, &here, 1), HM_OK);
	cr_assert_eq(channel_flush(channel), HM_OK);
	cr_assert_eq(frame_receive(here, room, sizeof room, &frame), HM_OK);
	cr_expect_eq(frame.length, LONG);
	cr_expect_eq(memcmp(frame.payload, data, LONG), 0);
	cr_expect_eq(frame.fd_count, 1);
	frame_done(&frame);
	while (recv(here, room, sizeof room, MSG_DONTWAIT) > 0)
		continue;

	cr_assert_eq(channel_queue(channel, HM_GATE_PUBLISH, 9, data, LONG, &here, 1), HM_OK);
	channel_close(channel);
	cr_expect_eq(open_descriptors(), before);
	free(data);
}

/* Pages of this process that are in memory. */
static long resident(void)
{
	long all, there_now;
	FILE *file = fopen("/proc/self/statm", "r");
	cr_assert_not_null(file);
	cr_assert_eq(fscanf(file, "%ld %ld", &all, &there_now), 2);
	fclose(file);
	return there_now;
}

Test(frame, channels_that_come_and_go_leave_no_memory_behind)
{
	const long most = 2 * 1024 * 1024 / sysconf(_SC_PAGESIZE);
	long before = resident();
	for (unsigned i = 0; i < 8; i++) {
		int own = dup(there);
		struct channel *channel = channel_open(own);
		cr_assert_not_null(channel);
		cr_assert_eq(channel_queue(channel, HM_TOKEN_SIGN, i, "x", 1, NULL, 0), HM_OK);
		channel_close(channel);
		cr_expect_lt(resident() - before, most, "after channel %u", i);
	}
}

Test(frame, a_channel_whose_peer_left_says_so)
{
	struct channel *channel = channel_open(there);
	close(here);
	cr_assert_eq(channel_queue(channel, HM_TOKEN_SIGN, 1, "x", 1, NULL, 0), HM_OK);
	cr_expect_eq(channel_flush(channel), HM_UNAVAILABLE);
	channel_close(channel);
}
