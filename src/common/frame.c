/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FLAG_MEMFD = 1 };

struct wire_header {
	uint8_t version;
	uint8_t type;
	uint16_t flags;
	uint32_t length; /* of the payload, wherever it travels */
	uint64_t id;
};
_Static_assert(sizeof(struct wire_header) == HM_FRAME_HEADER, "the header has no padding");

union control {
	char bytes[CMSG_SPACE(sizeof(int) * HM_FRAME_MAX_FDS)];
	struct cmsghdr align;
};

static const int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
static const uint8_t empty_string[4];

static void put_fds(struct msghdr *message, union control *control, const int *fds, unsigned count)
{
	if (!count)
		return;
	memset(control, 0, sizeof *control);
	message->msg_control = control->bytes;
	message->msg_controllen = CMSG_SPACE(sizeof(int) * count);
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
}

static void take_fds(struct msghdr *message, struct hm_frame *frame)
{
	frame->fd_count = 0;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count && frame->fd_count < HM_FRAME_MAX_FDS; i++)
			memcpy(&frame->fds[frame->fd_count++], CMSG_DATA(header) + i * sizeof(int), sizeof(int));
	}
}

int memfd_sealed(const char *name, const void *data, size_t length)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	for (size_t done = 0; done < length;) {
		ssize_t written = write(fd, (const char *)data + done, length - done);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			goto fail;
		done += (size_t)written;
	}
	if (fcntl(fd, F_ADD_SEALS, all_seals) == 0)
		return fd;
fail:
	close(fd);
	return -1;
}

void frame_done(struct hm_frame *frame)
{
	for (unsigned i = 0; i < frame->fd_count; i++)
		if (frame->fds[i] >= 0)
			close(frame->fds[i]);
	if (frame->length > HM_FRAME_MAX_INLINE && frame->payload)
		munmap((void *)frame->payload, frame->length); /* only memfds are that long */
	frame->fd_count = 0;
	frame->payload = NULL;
	frame->length = 0;
}

/* The payload of a long frame: the first descriptor, which nobody can change any more. */
static hm_result map_payload(struct hm_frame *frame, size_t length)
{
	struct stat stat;
	if (!frame->fd_count || length <= HM_FRAME_MAX_INLINE || length > HM_FRAME_MAX_MEMFD)
		return HM_REFUSED;
	int fd = frame->fds[0];
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & all_seals) != all_seals || fstat(fd, &stat) < 0 || (size_t)stat.st_size != length)
		return HM_REFUSED;
	void *data = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return HM_UNAVAILABLE;
	close(fd);
	frame->fd_count--;
	memmove(frame->fds, frame->fds + 1, sizeof(int) * frame->fd_count);
	frame->payload = data;
	frame->length = length;
	return HM_OK;
}

/* Turn one received datagram into a frame. On failure nothing is left open. */
static hm_result parse(struct msghdr *message, const uint8_t *bytes, size_t received, struct hm_frame *frame)
{
	struct wire_header header;
	hm_result result = HM_REFUSED;

	*frame = (struct hm_frame){0};
	take_fds(message, frame);
	if (received < sizeof header || (message->msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		goto fail;
	memcpy(&header, bytes, sizeof header);
	if (header.version != HM_FRAME_VERSION || (header.flags & ~FLAG_MEMFD) || header.length == 0)
		goto fail;
	frame->type = header.type;
	frame->id = header.id;
	if (header.flags & FLAG_MEMFD) {
		if (received != sizeof header)
			goto fail;
		result = map_payload(frame, header.length);
		if (result != HM_OK)
			goto fail;
		return HM_OK;
	}
	if (header.length != received - sizeof header || header.length > HM_FRAME_MAX_INLINE)
		goto fail;
	frame->payload = bytes + sizeof header;
	frame->length = header.length;
	return HM_OK;
fail:
	frame_done(frame);
	return result;
}

hm_result frame_send(int fd, enum hm_frame_type type, uint64_t id, const void *payload, size_t length, const int *fds,
	unsigned fd_count)
{
	int all[HM_FRAME_MAX_FDS];
	unsigned count = 0;
	int memfd = -1;

	if (!length) {
		payload = empty_string;
		length = sizeof empty_string;
	}
	struct wire_header header = {
		.version = HM_FRAME_VERSION, .type = (uint8_t)type, .length = (uint32_t)length, .id = id};
	if (length > HM_FRAME_MAX_MEMFD || fd_count >= HM_FRAME_MAX_FDS) {
		errno = EMSGSIZE;
		return HM_UNAVAILABLE;
	}
	if (length > HM_FRAME_MAX_INLINE) {
		memfd = memfd_sealed("hsmint-frame", payload, length);
		if (memfd < 0)
			return HM_UNAVAILABLE;
		header.flags = FLAG_MEMFD;
		all[count++] = memfd;
	}
	for (unsigned i = 0; i < fd_count; i++)
		all[count++] = fds[i];

	struct iovec parts[2] = {{&header, sizeof header}, {(void *)payload, memfd < 0 ? length : 0}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	union control control;
	put_fds(&message, &control, all, count);
	ssize_t sent;
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (memfd >= 0)
		close(memfd);
	return sent < 0 ? HM_UNAVAILABLE : HM_OK;
}

/*
 * A peer that ends with requests unread in its own queue resets the connection. That is told once, before what the peer
 * had sent; reading again gives its last frames and then the end. Hence ECONNRESET below is no failure.
 */
hm_result frame_receive(int fd, void *buffer, size_t size, struct hm_frame *frame)
{
	union control control;
	struct iovec part = {buffer, size};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
	ssize_t received;

	*frame = (struct hm_frame){0};
	do
		received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (received < 0 && (errno == EINTR || errno == ECONNRESET));
	if (received < 0)
		return HM_UNAVAILABLE;
	if (received == 0) { /* an empty datagram looks like the end: frames are never empty */
		take_fds(&message, frame);
		frame_done(frame);
		return HM_UNAVAILABLE;
	}
	return parse(&message, buffer, (size_t)received, frame);
}

/* ---- channels ---- */

enum { MAX_QUEUED_FRAMES = 2 * HM_PENDING_MAX }; /* an answer for each request, and what else is said */

struct queued {
	uint32_t start, length; /* in `bytes` */
	uint8_t fd_count;
	int fds[HM_FRAME_MAX_FDS];
};

struct channel {
	int fd;
	unsigned first, count; /* frames waiting */
	size_t used;           /* bytes of `bytes` in use */
	struct queued queued[MAX_QUEUED_FRAMES];
	uint8_t bytes[HM_CHANNEL_MAX_QUEUED];
	uint8_t received[HM_FRAME_BATCH][HM_FRAME_HEADER + HM_FRAME_MAX_INLINE];
};

/* Pages that are never touched cost nothing, and none outlives the channel: malloc keeps what it is given back, however
 * large, and has to clear it for the next. */
static struct channel *map_channel(void)
{
	void *room = mmap(NULL, sizeof(struct channel), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return room == MAP_FAILED ? NULL : room;
}

struct channel *channel_open(int fd)
{
	struct channel *channel = map_channel();
	if (!channel)
		return NULL;
	channel->fd = fd;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		munmap(channel, sizeof *channel);
		return NULL;
	}
	return channel;
}

static void drop_fds(struct queued *queued)
{
	for (unsigned i = 0; i < queued->fd_count; i++)
		close(queued->fds[i]);
	queued->fd_count = 0;
}

void channel_close(struct channel *channel)
{
	if (!channel)
		return;
	for (unsigned i = 0; i < channel->count; i++)
		drop_fds(&channel->queued[channel->first + i]);
	close(channel->fd);
	munmap(channel, sizeof *channel);
}

int channel_fd(const struct channel *channel)
{
	return channel->fd;
}

bool channel_waiting(const struct channel *channel)
{
	return channel->count > 0;
}

/* Move what still waits to the front, when the end has no room left. */
static void compact(struct channel *channel)
{
	if (!channel->first)
		return;
	uint32_t gone = channel->queued[channel->first].start;
	memmove(channel->bytes, channel->bytes + gone, channel->used - gone);
	memmove(channel->queued, channel->queued + channel->first, sizeof(struct queued) * channel->count);
	for (unsigned i = 0; i < channel->count; i++)
		channel->queued[i].start -= gone;
	channel->used -= gone;
	channel->first = 0;
}

static bool has_room(const struct channel *channel, size_t bytes)
{
	return channel->first + channel->count < MAX_QUEUED_FRAMES && bytes <= HM_CHANNEL_MAX_QUEUED - channel->used;
}

static bool add_fds(struct queued *queued, int memfd, const int *fds, unsigned count)
{
	if (memfd >= 0)
		queued->fds[queued->fd_count++] = memfd;
	for (unsigned i = 0; i < count; i++) {
		int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (copy < 0)
			return false;
		queued->fds[queued->fd_count++] = copy;
	}
	return true;
}

hm_result channel_queue(struct channel *channel, enum hm_frame_type type, uint64_t id, const void *payload,
	size_t length, const int *fds, unsigned fd_count)
{
	if (!length) {
		payload = empty_string;
		length = sizeof empty_string;
	}
	bool long_frame = length > HM_FRAME_MAX_INLINE;
	size_t bytes = HM_FRAME_HEADER + (long_frame ? 0 : length);
	if (length > HM_FRAME_MAX_MEMFD || fd_count >= HM_FRAME_MAX_FDS)
		return HM_UNAVAILABLE;
	if (!has_room(channel, bytes))
		compact(channel);
	if (!has_room(channel, bytes))
		return HM_UNAVAILABLE;

	int memfd = -1;
	if (long_frame && (memfd = memfd_sealed("hsmint-frame", payload, length)) < 0)
		return HM_UNAVAILABLE;
	struct queued *queued = &channel->queued[channel->first + channel->count];
	*queued = (struct queued){.start = (uint32_t)channel->used, .length = (uint32_t)bytes};
	if (!add_fds(queued, memfd, fds, fd_count)) {
		drop_fds(queued);
		return HM_UNAVAILABLE;
	}
	struct wire_header header = {.version = HM_FRAME_VERSION,
		.type = (uint8_t)type,
		.flags = long_frame ? FLAG_MEMFD : 0,
		.length = (uint32_t)length,
		.id = id};
	memcpy(channel->bytes + channel->used, &header, sizeof header);
	if (!long_frame)
		memcpy(channel->bytes + channel->used + sizeof header, payload, length);
	channel->used += bytes;
	channel->count++;
	return HM_OK;
}

static int send_batch(struct channel *channel)
{
	struct mmsghdr messages[HM_FRAME_BATCH] = {0};
	struct iovec parts[HM_FRAME_BATCH];
	union control controls[HM_FRAME_BATCH];
	unsigned batch = channel->count < HM_FRAME_BATCH ? channel->count : HM_FRAME_BATCH;

	for (unsigned i = 0; i < batch; i++) {
		struct queued *queued = &channel->queued[channel->first + i];
		parts[i] = (struct iovec){channel->bytes + queued->start, queued->length};
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
		put_fds(&messages[i].msg_hdr, &controls[i], queued->fds, queued->fd_count);
	}
	return batch == 1 ? (sendmsg(channel->fd, &messages[0].msg_hdr, MSG_NOSIGNAL) < 0 ? -1 : 1)
			  : sendmmsg(channel->fd, messages, batch, MSG_NOSIGNAL);
}

hm_result channel_flush(struct channel *channel)
{
	while (channel->count) {
		int sent = send_batch(channel);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? HM_OK : HM_UNAVAILABLE;
		for (int i = 0; i < sent; i++)
			drop_fds(&channel->queued[channel->first++]);
		channel->count -= (unsigned)sent;
	}
	channel->first = 0;
	channel->used = 0;
	return HM_OK;
}

hm_result channel_receive(struct channel *channel, channel_take *take, void *context, bool *more)
{
	struct mmsghdr messages[HM_FRAME_BATCH] = {0};
	struct iovec parts[HM_FRAME_BATCH];
	union control controls[HM_FRAME_BATCH];

	*more = false;
	for (unsigned i = 0; i < HM_FRAME_BATCH; i++) {
		parts[i] = (struct iovec){channel->received[i], sizeof channel->received[i]};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i],
			.msg_iovlen = 1,
			.msg_control = controls[i].bytes,
			.msg_controllen = sizeof controls[i]};
	}
	int received;
	do
		received = recvmmsg(channel->fd, messages, HM_FRAME_BATCH, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, NULL);
	while (received < 0 && errno == ECONNRESET);
	if (received < 0)
		return errno == EAGAIN || errno == EINTR ? HM_OK : HM_UNAVAILABLE;
	if (received == 0)
		return HM_UNAVAILABLE;

	hm_result result = HM_OK;
	for (int i = 0; i < received; i++) {
		struct hm_frame frame;
		if (messages[i].msg_len == 0) /* the end of the stream, met in the middle of a batch */
			result = result == HM_OK ? HM_UNAVAILABLE : result;
		hm_result parsed = parse(&messages[i].msg_hdr, channel->received[i], messages[i].msg_len, &frame);
		if (parsed != HM_OK && result == HM_OK)
			result = parsed;
		if (parsed == HM_OK && result == HM_OK)
			result = take(context, &frame);
		if (parsed == HM_OK)
			frame_done(&frame);
	}
	*more = received == HM_FRAME_BATCH;
	return result;
}
