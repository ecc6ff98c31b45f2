/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "dev_ctl.h"
#include "dev_files.h"
#include "dev_register.h"
#include "json_write.h"
#include "listen.h"
#include "service.h"
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char help[] =
	"Usage: hsmint dev --dir DIR [--port N] [--ready-fd N]\n"
	"       hsmint dev ctl --help\n"
	"\n"
	"Run a service for tests. The first run makes in DIR a SoftHSM token with keys generated in it, random PINs, "
	"TLS\n"
	"certificates and a configuration with two profiles, demo-access and demo-svid; later runs reuse them. When "
	"ready\n"
	"it prints one line of JSON: socket, control, url, ca, cert, key, jwks, pid. It ends with the process that "
	"started\n"
	"it, and leaves no process. Needs no root and no network. `hsmint dev ctl` provokes faults in it.\n"
	"\n"
	"  --dir DIR       where everything is kept\n"
	"  --port N        the TLS port on 127.0.0.1 (default 0: the one of the run before if free, else any)\n"
	"  --ready-fd N    write the line to this descriptor instead of standard output\n"
	"\n"
	"Example:\n"
	"  hsmint dev --dir run";

enum { OPTION_DIR = 256, OPTION_PORT, OPTION_READY_FD, OPTION_HELP };

static const struct option options[] = {
	{"dir", required_argument, NULL, OPTION_DIR},
	{"port", required_argument, NULL, OPTION_PORT},
	{"ready-fd", required_argument, NULL, OPTION_READY_FD},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

struct dev {
	const char *dir;
	long port, ready_fd;
	struct dev_directory directory;
	struct service *service; /* once it is ready */
};

static void put_path(struct hm_json *json, const char *name, const char *dir, const char *file)
{
	char path[HM_PATH_MAX + 32];
	snprintf(path, sizeof path, "%s/%s", dir, file);
	hm_json_member_string(json, name, path);
}

static void say_ready(void *context)
{
	const struct dev *dev = context;
	const struct service *service = dev->service;
	char line[8 * HM_PATH_MAX], url[64], jwks[128];
	struct hm_json json = hm_json(line, sizeof line);
	snprintf(url, sizeof url, "https://localhost:%u", service->port);
	snprintf(jwks, sizeof jwks, "%s" DEV_ISSUER_PATH "/.well-known/jwks.json", url);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "socket", service->config->listen.socket);
	hm_json_member_string(&json, "control", service->config->listen.control);
	hm_json_member_string(&json, "url", url);
	put_path(&json, "ca", dev->directory.path, "tls/ca.crt");
	put_path(&json, "cert", dev->directory.path, "tls/client.crt");
	put_path(&json, "key", dev->directory.path, "tls/client.key");
	hm_json_member_string(&json, "jwks", jwks);
	hm_json_member_number(&json, "pid", getpid());
	hm_json_end(&json, '}');
	hm_put_raw(&json.out, "\n", 1);
	ssize_t written = write((int)dev->ready_fd, line, json.out.used);
	(void)written; /* who started us went away: we end with it */
	if (dev->ready_fd > STDERR_FILENO)
		close((int)dev->ready_fd);
}

/* Who reads the line may mint at once: its agents are registered before. */
static void on_ready(void *context, struct service *service)
{
	struct dev *dev = context;
	dev->service = service;
	dev_register(service, say_ready, dev);
}

/* Listen where the run before did, if that is free and nothing else was asked for. */
static hm_result listen_again(const struct dev *dev, int *listener, struct hm_problem *why)
{
	uint16_t before, port;
	HM_TRY(dev_directory_port(&dev->directory, &before, why));
	port = dev->port ? (uint16_t)dev->port : before;
	hm_result result = listen_tcp("127.0.0.1", &port, listener, why);
	if (result != HM_OK && !dev->port) {
		port = 0;
		result = listen_tcp("127.0.0.1", &port, listener, why);
	}
	if (result == HM_OK && port != before)
		result = dev_directory_change_port(&dev->directory, before, port, why);
	return result;
}

static hm_result prepare(struct dev *dev, int *listener, struct hm_problem *why)
{
	uint16_t port = (uint16_t)dev->port;
	HM_TRY(dev_directory_open(dev->dir, &dev->directory, why));
	if (dev_directory_is_made(&dev->directory))
		return listen_again(dev, listener, why);
	HM_TRY(listen_tcp("127.0.0.1", &port, listener, why));
	return dev_directory_make(&dev->directory, port, why);
}

static int run(struct dev *dev)
{
	struct hm_problem why;
	int listener = -1;
	int parent = (int)syscall(SYS_pidfd_open, getppid(), 0);
	if (parent < 0) {
		perror("hsmint: cannot watch the process that started this one: pidfd_open");
		return EXIT_FAILED;
	}
	if (prepare(dev, &listener, &why) != HM_OK) {
		fprintf(stderr, "hsmint: %s\n", why.detail);
		return EXIT_FAILED;
	}
	struct service_options service = {.config_path = dev->directory.config,
		.tcp_listener = listener,
		.parent = parent,
		.faults = true,
		.on_ready = on_ready,
		.on_ready_context = dev};
	int status = service_run(&service);
	dev_directory_close(&dev->directory);
	return status;
}

int command_dev(int argc, char **argv)
{
	static struct dev dev = {.ready_fd = STDOUT_FILENO};
	int option;
	if (argc > 1 && strcmp(argv[1], "ctl") == 0)
		return dev_ctl(argc - 1, argv + 1);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == OPTION_DIR)
			dev.dir = optarg;
		else if (option == OPTION_PORT && !parse_number(optarg, 0, 65535, &dev.port))
			return usage_error("dev", "--port is 0 to 65535");
		else if (option == OPTION_READY_FD && !parse_number(optarg, 1, 1023, &dev.ready_fd))
			return usage_error("dev", "--ready-fd is a descriptor's number");
		else if (option != OPTION_PORT && option != OPTION_READY_FD)
			return usage_error("dev", "see the options");
	}
	if (optind != argc)
		return usage_error("dev", "'%s' is not wanted", argv[optind]);
	if (!dev.dir || !*dev.dir)
		return usage_error("dev", "--dir is missing");
	/* Before a descriptor of our own can have its number; and who reads it must see its end when we end. */
	if (fcntl((int)dev.ready_fd, F_SETFD, FD_CLOEXEC) < 0)
		return usage_error("dev", "--ready-fd: descriptor %ld is not open", dev.ready_fd);
	return run(&dev);
}
