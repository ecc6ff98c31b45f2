/* SPDX-License-Identifier: Apache-2.0 */
/* What the token can do with nothing around it: threads that only sign, each in a session of its own. */
#include "bench_options.h"

#include "file.h"
#include "limits.h"
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	SLOTS_MAX = 64,
	HASH_BYTES = 32,
	WARM_UP_SIGNATURES = 200 /* of each thread, before the clock starts */
};

static const char help[] =
	"Usage: bench-ceiling --module FILE --token LABEL --pin-file FILE --key LABEL\n"
	"                     [--threads N] [--seconds S | --signatures N]\n"
	"\n"
	"Sign 32-byte hashes with the P-256 key of this label (CKM_ECDSA, C_SignInit and C_Sign), as fast as it goes, "
	"and\n"
	"print one line of JSON: signatures, seconds, threads, per_s, and cpu_us, the CPU time (user and system) of "
	"one\n"
	"signature in microseconds. Session, login and the key's search are made before the clock starts.\n"
	"\n"
	"  --module FILE     the PKCS#11 module\n"
	"  --token LABEL     the token's label\n"
	"  --pin-file FILE   holds the user PIN; nobody else may read it\n"
	"  --key LABEL       the private key's label; exactly one key has it\n"
	"  --threads N       1 to 64 (default 2)\n"
	"  --seconds S       how long (default 3)\n"
	"  --signatures N    how many instead, in all\n";

struct options {
	const char *module, *token, *pin_file, *key;
	long threads, signatures;
	int64_t duration_us;
};

static CK_FUNCTION_LIST *functions;
static CK_OBJECT_HANDLE key_handle;
static pthread_barrier_t started;
static atomic_bool stopped;

struct worker {
	pthread_t thread;
	CK_SESSION_HANDLE session;
	long wanted; /* signatures; 0: until stopped */
	long made;
};

/* ---- the token ---- */

static void check(CK_RV result, const char *call)
{
	if (result != CKR_OK)
		bench_fail("%s: %s (0x%lx)", call, p11_kit_strerror(result), result);
}

static void load_module(const char *path)
{
	CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!module)
		bench_fail("%s", dlerror());
	CK_C_GetFunctionList get_functions = (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
	if (!get_functions)
		bench_fail("%s is not a PKCS#11 module", path);
	check(get_functions(&functions), "C_GetFunctionList");
	check(functions->C_Initialize(&arguments), "C_Initialize");
}

static bool has_label(CK_SLOT_ID slot, const char *label)
{
	CK_TOKEN_INFO info;
	char padded[sizeof info.label + 1];
	check(functions->C_GetTokenInfo(slot, &info), "C_GetTokenInfo");
	snprintf(padded, sizeof padded, "%-*s", (int)sizeof info.label,
		label); /* blanks to the end, as PKCS#11 has it */
	return memcmp(padded, info.label, sizeof info.label) == 0;
}

static CK_SLOT_ID find_token(const char *label)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX;
	check(functions->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
	for (CK_ULONG i = 0; i < count; i++)
		if (has_label(slots[i], label))
			return slots[i];
	bench_fail("no token has the label '%s'", label);
}

static CK_SESSION_HANDLE open_session(CK_SLOT_ID slot)
{
	CK_SESSION_HANDLE session;
	check(functions->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
		"C_OpenSession");
	return session;
}

static void log_in(CK_SESSION_HANDLE session, const char *pin_file)
{
	unsigned char pin[HM_PIN_MAX + 1];
	struct hm_problem why;
	size_t length;
	if (file_read(pin_file, true, pin, sizeof pin, &length, &why) != HM_OK)
		bench_fail("%s", why.detail);
	while (length && (pin[length - 1] == '\n' || pin[length - 1] == '\r'))
		length--;
	CK_RV result = functions->C_Login(session, CKU_USER, pin, length);
	explicit_bzero(pin, sizeof pin);
	check(result, "C_Login");
}

static CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE session, const char *label)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_KEY_TYPE type = CKK_EC;
	CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
		{CKA_LABEL, (void *)label, strlen(label)}};
	CK_OBJECT_HANDLE found[2];
	CK_ULONG count;
	check(functions->C_FindObjectsInit(session, template, sizeof template / sizeof *template), "C_FindObjectsInit");
	check(functions->C_FindObjects(session, found, 2, &count), "C_FindObjects");
	check(functions->C_FindObjectsFinal(session), "C_FindObjectsFinal");
	if (count != 1)
		bench_fail("%s EC private key has the label '%s'", count ? "more than one" : "no", label);
	return found[0];
}

/* ---- signing ---- */

static void sign(CK_SESSION_HANDLE session)
{
	static const unsigned char hash[HASH_BYTES] = "every hash costs the token alike";
	CK_MECHANISM mechanism = {.mechanism = CKM_ECDSA};
	unsigned char signature[HM_SIGNATURE_MAX];
	CK_ULONG length = sizeof signature;
	check(functions->C_SignInit(session, &mechanism, key_handle), "C_SignInit");
	check(functions->C_Sign(session, (unsigned char *)hash, sizeof hash, signature, &length), "C_Sign");
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	for (int i = 0; i < WARM_UP_SIGNATURES; i++)
		sign(worker->session);
	pthread_barrier_wait(&started); /* all are warm: the clock is read */
	pthread_barrier_wait(&started);
	while (worker->wanted ? worker->made < worker->wanted : !atomic_load_explicit(&stopped, memory_order_relaxed)) {
		sign(worker->session);
		worker->made++;
	}
	return NULL;
}

static void start(struct worker *workers, const struct options *options)
{
	for (long i = 0; i < options->threads; i++) {
		bool one_more = i < options->signatures % options->threads;
		workers[i].wanted = options->signatures / options->threads + one_more;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			bench_fail("cannot start thread %ld of %ld", i + 1, options->threads);
	}
}

static long finish(struct worker *workers, const struct options *options)
{
	long made = 0;
	if (!options->signatures) {
		struct timespec left = {options->duration_us / 1000000, options->duration_us % 1000000 * 1000};
		while (nanosleep(&left, &left) < 0 && errno == EINTR)
			;
		atomic_store(&stopped, true);
	}
	for (long i = 0; i < options->threads; i++) {
		pthread_join(workers[i].thread, NULL);
		made += workers[i].made;
	}
	return made;
}

static void measure(struct worker *workers, const struct options *options)
{
	pthread_barrier_init(&started, NULL, (unsigned)options->threads + 1);
	start(workers, options);
	pthread_barrier_wait(&started);
	int64_t began = bench_now_us(), cpu_before = bench_cpu_us();
	pthread_barrier_wait(&started);
	long made = finish(workers, options);
	double seconds = (double)(bench_now_us() - began) / 1e6;
	double cpu_us = (double)(bench_cpu_us() - cpu_before);
	printf("{\"signatures\":%ld,\"seconds\":%.3f,\"threads\":%ld,\"per_s\":%.1f,\"cpu_us\":%.2f}\n", made, seconds,
		options->threads, (double)made / seconds, cpu_us / (double)made);
}

/* ---- the command line ---- */

enum {
	OPTION_MODULE = 256,
	OPTION_TOKEN,
	OPTION_PIN_FILE,
	OPTION_KEY,
	OPTION_THREADS,
	OPTION_SECONDS,
	OPTION_SIGNATURES,
	OPTION_HELP
};

static const struct option flags[] = {
	{"module", required_argument, NULL, OPTION_MODULE},
	{"token", required_argument, NULL, OPTION_TOKEN},
	{"pin-file", required_argument, NULL, OPTION_PIN_FILE},
	{"key", required_argument, NULL, OPTION_KEY},
	{"threads", required_argument, NULL, OPTION_THREADS},
	{"seconds", required_argument, NULL, OPTION_SECONDS},
	{"signatures", required_argument, NULL, OPTION_SIGNATURES},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static void take_option(struct options *options, int option)
{
	if (option == OPTION_MODULE)
		options->module = optarg;
	else if (option == OPTION_TOKEN)
		options->token = optarg;
	else if (option == OPTION_PIN_FILE)
		options->pin_file = optarg;
	else if (option == OPTION_KEY)
		options->key = optarg;
	else if (option == OPTION_THREADS)
		options->threads = bench_number("--threads", optarg, 1, HM_TOKEN_THREADS_MAX);
	else if (option == OPTION_SECONDS)
		options->duration_us = bench_seconds("--seconds", optarg);
	else if (option == OPTION_SIGNATURES)
		options->signatures = bench_number("--signatures", optarg, HM_TOKEN_THREADS_MAX, 1000000000);
	else
		bench_usage("see the options");
}

static struct options parse(int argc, char **argv)
{
	struct options options = {.threads = 2, .duration_us = 3000000};
	int option;
	while ((option = getopt_long(argc, argv, "", flags, NULL)) != -1) {
		if (option == OPTION_HELP) {
			fputs(help, stdout);
			exit(0);
		}
		take_option(&options, option);
	}
	if (optind != argc)
		bench_usage("'%s' is not wanted", argv[optind]);
	if (!options.module || !options.token || !options.pin_file || !options.key)
		bench_usage("--module, --token, --pin-file and --key are needed");
	return options;
}

int main(int argc, char **argv)
{
	static struct worker workers[HM_TOKEN_THREADS_MAX];
	struct options options = parse(argc, argv);
	load_module(options.module);
	CK_SLOT_ID slot = find_token(options.token);
	CK_SESSION_HANDLE login = open_session(slot); /* kept: closing the last session of a token logs out */
	log_in(login, options.pin_file);
	key_handle = find_key(login, options.key);
	for (long i = 0; i < options.threads; i++)
		workers[i].session = open_session(slot);
	measure(workers, &options);
	fflush(stdout);
	functions->C_Finalize(NULL);
	_exit(0); /* SoftHSM's destructors may run after OpenSSL's and crash */
}
