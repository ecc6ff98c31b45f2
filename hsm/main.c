/* SPDX-License-Identifier: Apache-2.0 */
/* hsmint-token: the only program that speaks PKCS#11. Started by hsmint, one process for each configured token. */
#include "admin.h"
#include "process.h"
#include "serve.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

int main(int argc, char **argv)
{
	bool admin = argc == 2 && strcmp(argv[1], "admin") == 0;
	if ((argc != 1 && !admin) || !process_is_child()) {
		fputs("hsmint-token is started by hsmint; see hsmint --help\n", stderr);
		return 2;
	}
	process_harden();
	process_end_with_parent();
	/* SoftHSM's destructors run before OpenSSL's clean-up and crash in it: so there is neither. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
	int status = admin ? admin_run() : serve_run();
#ifdef __SANITIZE_ADDRESS__
	__lsan_do_leak_check();
#endif
	_exit(status);
}
