/* SPDX-License-Identifier: Apache-2.0 */
/* A load generator: connections that each send the next request when the reply to the one before came, or requests that
 * come when they come. */
#include "bench_options.h"

#include "load_connection.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 1000,
	LATENCY_MAX_US = 1000 * 1000, /* slower ones are counted as this; the maximum is kept exactly */
	PATIENCE_MS = 10 * 1000
};

static const char help[] =
	"Usage: bench-load (--socket PATH | --connect HOST:PORT --cert FILE --key FILE --ca FILE)\n"
	"                  (--body TEXT | --bodies FILE [--once]) [--path PATH]\n"
	"                  [--credentials N] [--connections N] [--seconds S | --requests N] [--rate R]\n"
	"                  [--warm-up S] [--pause]\n"
	"\n"
	"POST over keep-alive connections, each sending the next request when its reply came, and print one\n"
	"line of JSON: requests, errors (replies that are not 200 or lack a credential, and lost connections), "
	"seconds,\n"
	"per_s, p50_us, p99_us, max_us, and cpu_us, the generator's own CPU time for one request. The warm-up counts "
	"in\n"
	"none of them. Ends with 1 if there were errors.\n"
	"\n"
	"  --socket PATH        the service's Unix socket\n"
	"  --connect HOST:PORT  its TLS port, with the client certificate, its key and the CA (TLS 1.3)\n"
	"  --body TEXT          the body of every request: JSON, or a form\n"
	"  --bodies FILE        one a line, in turn, and from the first again\n"
	"  --once               that is an error: each is sent once\n"
	"  --path PATH          what to ask (default /v1/mint/jwt)\n"
	"  --credentials N      how many a reply must hold (default 1)\n"
	"  --connections N      1 to 1000 (default 16)\n"
	"  --seconds S          how long (default 3)\n"
	"  --requests N         how many requests instead\n"
	"  --rate R             requests a second in all, at random moments, whether replies come or not; times count "
	"from\n"
	"                       these moments, also while all connections are in use\n"
	"  --warm-up S          how long before that (default 1)\n"
	"  --pause              after the warm-up, when every reply is in, print \"warm\" and wait for a line on "
	"standard\n"
	"                       input; likewise wait after the result, connections open. So who started this can read\n"
	"                       the service's CPU time and memory while it is still.\n";

struct options {
	const char *socket, *connect, *cert, *key, *ca, *body, *bodies, *path;
	long connections, requests, credentials, rate;
	int64_t duration_us, warm_up_us;
	bool pause, once;
};

struct request {
	char *text;
	size_t length;
};

struct load {
	struct load_endpoint endpoint;
	struct load_connection *connections;
	long connection_count, credentials, rate;
	struct load_connection **idle; /* with `rate`: those that wait for a request */
	long idle_count;
	int epoll;
	struct request *requests;
	size_t request_count, next_request;
	bool once;
	long in_flight;
};

/* What one phase does and finds. */
struct phase {
	int64_t until_us; /* no request is sent after it */
	double next_us;   /* with a rate: when the next one comes */
	long wanted;      /* requests; 0: until then */
	long sent, replies, errors;
	int64_t slowest_us;
	uint32_t latency[LATENCY_MAX_US + 1]; /* how many replies took so many microseconds */
};

/* ---- one phase ---- */

static bool wants_more(const struct phase *phase, int64_t now)
{
	return phase->wanted ? phase->sent < phase->wanted : now < phase->until_us;
}

static void watch(struct load *load, struct load_connection *connection)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
		bench_fail("epoll_ctl: %s", strerror(errno));
}

static void reopen(struct load *load, struct load_connection *connection)
{
	load_connection_close(connection);
	load_connection_open(connection, &load->endpoint);
	watch(load, connection);
}

/* The one whose turn it is. False: the connection is lost. */
static bool send_request(struct load *load, struct load_connection *connection)
{
	if (load->next_request == load->request_count) {
		if (load->once)
			bench_fail("all of --bodies were sent");
		load->next_request = 0;
	}
	const struct request *request = &load->requests[load->next_request++];
	return load_connection_send(connection, request->text, request->length);
}

static void send_next(struct load *load, struct load_connection *connection, struct phase *phase)
{
	while (wants_more(phase, bench_now_us())) {
		phase->sent++;
		if (send_request(load, connection)) {
			load->in_flight++;
			return;
		}
		phase->errors++;
		reopen(load, connection);
	}
}

static void count(struct phase *phase, long credentials, const struct load_reply *reply, int64_t took_us)
{
	phase->replies++;
	phase->latency[took_us < LATENCY_MAX_US ? took_us : LATENCY_MAX_US]++;
	if (took_us > phase->slowest_us)
		phase->slowest_us = took_us;
	if (reply->status != 200 || reply->credentials != credentials)
		phase->errors++;
}

static void take_reply(struct load *load, struct load_connection *connection, struct phase *phase)
{
	struct load_reply reply = {0};
	bool waited = connection->sent_at != 0;
	enum load_reading reading = load_connection_receive(connection, &reply);
	if (reading == LOAD_REPLY_MORE)
		return;
	if (waited)
		load->in_flight--;
	if (reading == LOAD_REPLY_WHOLE)
		count(phase, load->credentials, &reply, bench_now_us() - connection->sent_at);
	else
		phase->errors++;
	connection->sent_at = 0;
	if (reading == LOAD_REPLY_BAD || reply.closes)
		reopen(load, connection);
	if (!load->rate)
		send_next(load, connection, phase);
	else if (waited)
		load->idle[load->idle_count++] = connection;
}

/* ---- with a rate ---- */

/* Poisson arrivals; the same ones in every run. */
static double draw_gap_us(const struct load *load)
{
	return -log(1 - drand48()) * 1e6 / (double)load->rate;
}

static void send_those_due(struct load *load, struct phase *phase)
{
	while (load->idle_count && phase->next_us <= (double)bench_now_us() &&
		phase->next_us < (double)phase->until_us) {
		struct load_connection *connection = load->idle[load->idle_count - 1];
		phase->sent++;
		if (send_request(load, connection)) {
			load->idle_count--;
			load->in_flight++;
			connection->sent_at = (int64_t)phase->next_us;
		} else {
			phase->errors++;
			reopen(load, connection);
		}
		phase->next_us += draw_gap_us(load);
	}
}

static struct timespec until_next(const struct load *load, const struct phase *phase)
{
	double us = PATIENCE_MS * 1e3, now = (double)bench_now_us();
	if (load->idle_count && phase->next_us < (double)phase->until_us)
		us = phase->next_us > now ? phase->next_us - now : 0;
	return (struct timespec){.tv_sec = (time_t)(us / 1e6), .tv_nsec = (long)fmod(us, 1e6) * 1000};
}

static void run_at_rate(struct load *load, struct phase *phase)
{
	struct epoll_event events[64];
	phase->next_us = (double)bench_now_us() + draw_gap_us(load);
	load->idle_count = 0;
	for (long i = 0; i < load->connection_count; i++)
		load->idle[load->idle_count++] = &load->connections[i];
	while (load->in_flight || phase->next_us < (double)phase->until_us) {
		send_those_due(load, phase);
		struct timespec wait = until_next(load, phase);
		int ready = epoll_pwait2(load->epoll, events, 64, &wait, NULL);
		if (ready < 0 && errno != EINTR)
			bench_fail("epoll_pwait2: %s", strerror(errno));
		for (int i = 0; i < ready; i++)
			take_reply(load, events[i].data.ptr, phase);
	}
}

/* ---- without ---- */

static void run(struct load *load, struct phase *phase)
{
	struct epoll_event events[64];
	if (load->rate) {
		run_at_rate(load, phase);
		return;
	}
	for (long i = 0; i < load->connection_count; i++)
		send_next(load, &load->connections[i], phase);
	while (load->in_flight) {
		int ready = epoll_wait(load->epoll, events, 64, PATIENCE_MS);
		if (ready < 0 && errno != EINTR)
			bench_fail("epoll_wait: %s", strerror(errno));
		if (ready == 0)
			bench_fail("no reply within %d s", PATIENCE_MS / 1000);
		for (int i = 0; i < ready; i++)
			take_reply(load, events[i].data.ptr, phase);
	}
}

/* ---- what is printed ---- */

static long percentile(const struct phase *phase, long per_cent)
{
	int64_t rank = ((int64_t)phase->replies * per_cent + 99) / 100;
	long microseconds = 0;
	for (int64_t seen = phase->latency[0]; seen < rank && microseconds < LATENCY_MAX_US;)
		seen += phase->latency[++microseconds];
	return microseconds;
}

static void report(const struct phase *phase, double seconds, double cpu_us)
{
	printf("{\"requests\":%ld,\"errors\":%ld,\"seconds\":%.3f,\"per_s\":%.1f,\"p50_us\":%ld,\"p99_us\":%ld,"
	       "\"max_us\":%" PRId64 ",\"cpu_us\":%.2f}\n",
		phase->replies, phase->errors, seconds, (double)phase->replies / seconds, percentile(phase, 50),
		percentile(phase, 99), phase->slowest_us, phase->replies ? cpu_us / (double)phase->replies : 0.0);
	fflush(stdout);
}

static void wait_for_line(void)
{
	int c;
	while ((c = getchar()) != EOF && c != '\n')
		;
}

static long measure(struct load *load, const struct options *options)
{
	static struct phase warm_up, measured;
	warm_up.until_us = bench_now_us() + options->warm_up_us;
	run(load, &warm_up);
	if (options->pause) {
		puts("warm");
		fflush(stdout);
		wait_for_line();
	}
	int64_t began = bench_now_us(), cpu_before = bench_cpu_us();
	measured.until_us = began + options->duration_us;
	measured.wanted = options->requests;
	run(load, &measured);
	report(&measured, (double)(bench_now_us() - began) / 1e6, (double)(bench_cpu_us() - cpu_before));
	if (options->pause)
		wait_for_line();
	return warm_up.errors + measured.errors;
}

/* ---- before and after ---- */

static void add_request(struct load *load, const struct options *options, const char *body)
{
	char *text;
	if (load->request_count % 1024 == 0)
		load->requests = reallocarray(load->requests, load->request_count + 1024, sizeof(struct request));
	int length =
		asprintf(&text, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
			options->path, load->endpoint.host,
			*body == '{' ? "application/json" : "application/x-www-form-urlencoded", strlen(body), body);
	if (!load->requests || length < 0)
		bench_fail("no memory for requests");
	if (length >= LOAD_REQUEST_MAX)
		bench_usage("--path and a body are too long: at most %d bytes", LOAD_REQUEST_MAX);
	load->requests[load->request_count++] = (struct request){text, (size_t)length};
}

static void make_requests(struct load *load, const struct options *options)
{
	char *line = NULL;
	size_t size = 0;
	if (options->body) {
		add_request(load, options, options->body);
		return;
	}
	FILE *file = fopen(options->bodies, "re");
	if (!file)
		bench_fail("%s: %s", options->bodies, strerror(errno));
	while (getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = 0;
		add_request(load, options, line);
	}
	free(line);
	fclose(file);
	if (!load->request_count)
		bench_fail("%s: no bodies", options->bodies);
}

static void prepare(struct load *load, const struct options *options)
{
	if (options->socket)
		load_endpoint_unix(&load->endpoint, options->socket);
	else
		load_endpoint_tls(&load->endpoint, options->connect, options->cert, options->key, options->ca);
	make_requests(load, options);
	load->connection_count = options->connections;
	load->credentials = options->credentials;
	load->rate = options->rate;
	load->once = options->once;
	load->idle = calloc((size_t)options->connections, sizeof(struct load_connection *));
	load->connections = calloc((size_t)options->connections, sizeof *load->connections);
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!load->connections || !load->idle || load->epoll < 0)
		bench_fail("no room for %ld connections: %s", options->connections, strerror(errno));
	for (long i = 0; i < load->connection_count; i++) {
		load_connection_open(&load->connections[i], &load->endpoint);
		watch(load, &load->connections[i]);
	}
}

static void finish(struct load *load)
{
	for (long i = 0; i < load->connection_count; i++)
		load_connection_close(&load->connections[i]);
	for (size_t i = 0; i < load->request_count; i++)
		free(load->requests[i].text);
	free(load->requests);
	free(load->connections);
	free(load->idle);
	load_endpoint_close(&load->endpoint);
	close(load->epoll);
}

/* ---- the command line ---- */

enum {
	OPTION_SOCKET = 256,
	OPTION_CONNECT,
	OPTION_CERT,
	OPTION_KEY,
	OPTION_CA,
	OPTION_BODY,
	OPTION_BODIES,
	OPTION_ONCE,
	OPTION_PATH,
	OPTION_CREDENTIALS,
	OPTION_CONNECTIONS,
	OPTION_SECONDS,
	OPTION_REQUESTS,
	OPTION_RATE,
	OPTION_WARM_UP,
	OPTION_PAUSE,
	OPTION_HELP
};

static const struct option flags[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"connect", required_argument, NULL, OPTION_CONNECT},
	{"cert", required_argument, NULL, OPTION_CERT},
	{"key", required_argument, NULL, OPTION_KEY},
	{"ca", required_argument, NULL, OPTION_CA},
	{"body", required_argument, NULL, OPTION_BODY},
	{"bodies", required_argument, NULL, OPTION_BODIES},
	{"once", no_argument, NULL, OPTION_ONCE},
	{"path", required_argument, NULL, OPTION_PATH},
	{"credentials", required_argument, NULL, OPTION_CREDENTIALS},
	{"connections", required_argument, NULL, OPTION_CONNECTIONS},
	{"seconds", required_argument, NULL, OPTION_SECONDS},
	{"requests", required_argument, NULL, OPTION_REQUESTS},
	{"rate", required_argument, NULL, OPTION_RATE},
	{"warm-up", required_argument, NULL, OPTION_WARM_UP},
	{"pause", no_argument, NULL, OPTION_PAUSE},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static void take_option(struct options *options, int option)
{
	switch (option) {
	case OPTION_SOCKET:
		options->socket = optarg;
		return;
	case OPTION_CONNECT:
		options->connect = optarg;
		return;
	case OPTION_CERT:
		options->cert = optarg;
		return;
	case OPTION_KEY:
		options->key = optarg;
		return;
	case OPTION_CA:
		options->ca = optarg;
		return;
	case OPTION_BODY:
		options->body = optarg;
		return;
	case OPTION_BODIES:
		options->bodies = optarg;
		return;
	case OPTION_ONCE:
		options->once = true;
		return;
	case OPTION_PATH:
		options->path = optarg;
		return;
	case OPTION_CREDENTIALS:
		options->credentials = bench_number("--credentials", optarg, 1, 256);
		return;
	case OPTION_CONNECTIONS:
		options->connections = bench_number("--connections", optarg, 1, CONNECTIONS_MAX);
		return;
	case OPTION_SECONDS:
		options->duration_us = bench_seconds("--seconds", optarg);
		return;
	case OPTION_REQUESTS:
		options->requests = bench_number("--requests", optarg, 1, 1000000000);
		return;
	case OPTION_RATE:
		options->rate = bench_number("--rate", optarg, 1, 1000000);
		return;
	case OPTION_WARM_UP:
		options->warm_up_us = bench_seconds("--warm-up", optarg);
		return;
	case OPTION_PAUSE:
		options->pause = true;
		return;
	case OPTION_HELP:
		fputs(help, stdout);
		exit(0);
	default:
		bench_usage("see the options");
	}
}

static struct options parse(int argc, char **argv)
{
	struct options options = {.path = "/v1/mint/jwt",
		.connections = 16,
		.credentials = 1,
		.duration_us = 3000000,
		.warm_up_us = 1000000};
	int option;
	while ((option = getopt_long(argc, argv, "", flags, NULL)) != -1)
		take_option(&options, option);
	if (optind != argc)
		bench_usage("'%s' is not wanted", argv[optind]);
	if (!options.socket == !options.connect)
		bench_usage("either --socket or --connect");
	if (options.connect && (!options.cert || !options.key || !options.ca))
		bench_usage("--connect needs --cert, --key and --ca");
	if (!options.body == !options.bodies)
		bench_usage("either --body or --bodies");
	return options;
}

int main(int argc, char **argv)
{
	static struct load load;
	struct options options = parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	prepare(&load, &options);
	long errors = measure(&load, &options);
	finish(&load);
	return errors ? BENCH_FAILED : 0;
}
