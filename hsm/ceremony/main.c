/* SPDX-License-Identifier: Apache-2.0 */
/* hsmint-ceremony: makes a CA key in a token and its certificate. Started by `hsmint key ceremony`. */
#include "ceremony.h"
#include "process.h"
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	(void)argv;
	if (argc != 1 || !process_is_child()) {
		fputs("hsmint-ceremony is started by hsmint; see hsmint key ceremony --help\n", stderr);
		return 2;
	}
	process_harden();
	/* However the command ends, we live on until a key that nobody keeps is destroyed. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	/* SoftHSM's destructors run before OpenSSL's clean-up and crash in it: so there is neither. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
	_exit(ceremony_run());
}
