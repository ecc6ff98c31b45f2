/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint ledger follow` */
#include "ledger.h"

#include "file.h"
#include "ledger_input.h"
#include "ledger_server.h"
#include "mirror.h"
#include "options.h"
#include "shard.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { PAUSE_SECONDS = 5 };

static const char help[] =
	"Usage: hsmint ledger follow URL DIR --vkey KEY [--vkey KEY...] [--ca FILE] [--cert FILE --key FILE] [--once]\n"
	"\n"
	"Keep a copy in DIR of the ledger that a service shows at URL, https://HOST/ledger, and go on as it grows, "
	"until\n"
	"ended by a signal. The copy has the form of the service's own ledger directory. Nothing enters it that a "
	"signed\n"
	"checkpoint does not prove, and that does not go on from what it has: this command ends when the service "
	"shows\n"
	"another past. What the entries say is for hsmint ledger verify to judge.\n"
	"\n"
	"  --vkey KEY      a key that signs the ledger's checkpoints, as hsmint ledger vkey prints "
	"it\n" LEDGER_SERVER_HELP "  --once          end when the copy is as new as the service's newest checkpoint\n"
	"\n"
	"Exit status: 0 done, 1 the copy could not be brought on, 2 wrong usage.\n"
	"\n"
	"Example:\n"
	"  hsmint ledger follow https://mint.example.org/ledger copy --vkey mint.example.org/ledger+3b8b4f4f+Aa… \\\n"
	"    --cert auditor.crt --key auditor.key";

struct follow {
	const char *url;
	struct ledger_server server;
	struct ledger_keys keys;
	struct mirror_terms terms;
	bool once;
};

static void print_shard(unsigned number, uint64_t size, uint64_t added)
{
	if (added)
		printf("shard %u: %" PRIu64 " entries, %" PRIu64 " new\n", number, size, added);
}

static hm_result bring_shard(struct follow *follow, unsigned number, struct hm_problem *why)
{
	struct log_shard log = {.close = NULL};
	uint64_t size, added;
	HM_TRY(follow->server.ledger.open(follow->server.ledger.context, number, &log, why));
	hm_result result = mirror_shard(&follow->terms, number, &log, &size, &added, why);
	log_close(&log);
	if (result == HM_OK)
		print_shard(number, size, added);
	return result;
}

/* The last shard that the copy has may have been closed since, and the one before it signed. */
static hm_result bring_all(struct follow *follow, struct hm_problem *why)
{
	unsigned first, last;
	HM_TRY(shard_numbers(follow->terms.directory, &first, &last, why));
	HM_TRY(ledger_server_open(&follow->server, follow->url, why));
	unsigned number = last > 1 ? last - 1 : last;
	if (number < follow->server.ledger.first)
		number = follow->server.ledger.first;
	if (follow->server.ledger.last < last)
		return hm_refuse(why, "ledger", NULL,
			"the service's newest shard is %u, and the copy has shard %u: it was "
			"rolled back",
			follow->server.ledger.last, last);
	for (; number <= follow->server.ledger.last; number++)
		HM_TRY(bring_shard(follow, number, why));
	return HM_OK;
}

static hm_result bring_once(struct follow *follow, struct hm_problem *why)
{
	hm_result result = bring_all(follow, why);
	ledger_server_close(&follow->server);
	return result;
}

static void pause_a_while(void)
{
	struct timespec left = {.tv_sec = PAUSE_SECONDS};
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* A service that is away comes back; one that shows another past does not become right again. */
static int run(struct follow *follow)
{
	struct hm_problem why;
	for (;;) {
		hm_result result = bring_once(follow, &why);
		if (flush_output() != EXIT_DONE)
			return EXIT_FAILED;
		if (result != HM_OK)
			ledger_input_failed(&why);
		if (follow->once || (result != HM_OK && result != HM_UNAVAILABLE))
			return result == HM_OK ? EXIT_DONE : EXIT_FAILED;
		pause_a_while();
	}
}

enum { OPTION_VKEY = 256, OPTION_SERVER, OPTION_ONCE, OPTION_HELP };

static const struct option options[] = {{"vkey", required_argument, NULL, OPTION_VKEY},
	{"ca", required_argument, NULL, OPTION_SERVER}, {"cert", required_argument, NULL, OPTION_SERVER},
	{"key", required_argument, NULL, OPTION_SERVER}, {"once", no_argument, NULL, OPTION_ONCE},
	{"help", no_argument, NULL, OPTION_HELP}, {0}};

int ledger_follow(int argc, char **argv)
{
	struct follow follow = {.once = false};
	struct hm_problem why;
	int option, at;
	while ((option = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (option == OPTION_VKEY && !ledger_input_key(&follow.keys, argv[0], optarg))
			return EXIT_USAGE;
		if (option == OPTION_SERVER)
			ledger_server_option(&follow.server, options[at].name, optarg);
		if (option == OPTION_ONCE)
			follow.once = true;
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == '?')
			return usage_error(argv[0], "see the options");
	}
	if (argc - optind != 2 || !ledger_is_url(argv[optind]))
		return usage_error(argv[0], "from where to where? URL DIR");
	if (!follow.keys.count)
		return usage_error(argv[0], "--vkey is needed");
	follow.url = argv[optind];
	follow.terms = (struct mirror_terms){argv[optind + 1], follow.keys.keys, follow.keys.count};
	if (file_make_directory(follow.terms.directory, &why) != HM_OK)
		return ledger_input_failed(&why);
	return run(&follow);
}
