/* SPDX-License-Identifier: Apache-2.0 */
#include "dev_files.h"

#include "base64url.h"
#include "config.h"
#include "dev_tls.h"
#include "file.h"
#include "token_admin.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENT_URI   "spiffe://demo.test/client"
#define APPROVER_URI "spiffe://demo.test/approver"

enum { PIN_BYTES = 18, CONFIG_TEXT_MAX = 64 * 1024 };

/* Debian, Fedora, and what `make install` of SoftHSM does: none depends on the machine's architecture. */
static const char *const softhsm_modules[] = {"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"};

static const char config_text[] =
	"# Made by `hsmint dev`. Edit it as you like: later runs keep it.\n"
	"listen:\n"
	"  socket: %1$shsmint.sock\n"
	"  control: %1$scontrol.sock\n"
	"  tls: {address: 127.0.0.1, port: %2$u, certificate: tls/server.crt, key: tls/server.key, trust: tls/ca.crt}\n"
	"  sandbox: best\n"
	"state: state\n"
	"ledger: {origin: demo.test/ledger, directory: ledger, key: demo-checkpoint}\n"
	"issuers:\n"
	"  - {name: demo, url: \"https://" DEV_ISSUER_HOST ":%2$u" DEV_ISSUER_PATH "\", trust_domain: demo.test}\n"
	"tokens:\n"
	"  - name: soft\n"
	"    module: %3$s\n"
	"    label: hsmint-dev\n"
	"    login: file\n"
	"    pin: pin\n"
	"    threads: 1              # a second gains nothing on SoftHSM; a real token wants more\n"
	"    self_check: sampled     # a software token; leave it out (always) for a real one\n"
	"    key_rights: manage      # hsmint key may make and destroy keys; leave it out for a real one\n"
	"    environment:\n"
	"      - {name: SOFTHSM2_CONF, value: softhsm2.conf, path: true}\n"
	"    paths:                  # all that the module may use, beside the system's libraries\n"
	"      - {path: softhsm2.conf}\n"
	"      - {path: tokens, write: true}\n"
	"keys:\n"
	"  - {name: demo-access, issuer: demo, token: soft, label: demo-access, id: \"01\", use: access-token, "
	"algorithm: ES256}\n"
	"  - {name: demo-svid, issuer: demo, token: soft, label: demo-svid, id: \"02\", use: jwt-svid, algorithm: "
	"ES256}\n"
	"  - {name: demo-checkpoint, token: soft, label: demo-checkpoint, id: \"03\", use: checkpoint, algorithm: "
	"ES256}\n"
	"  - {name: demo-status, issuer: demo, token: soft, label: demo-status, id: \"04\", use: status-list, "
	"algorithm: ES256}\n"
	"profiles:\n"
	"  - name: demo-access\n"
	"    issuer: demo\n"
	"    kind: at+jwt\n"
	"    key: demo-access\n"
	"    lifetime: {default: 300, maximum: 900}\n"
	"    audiences: [\"https://api.demo.test\", \"https://*.demo.test/mcp\"]\n"
	"    subjects: [\"spiffe://demo.test/agent/*\"]\n"
	"    scopes: [read, write]\n"
	"    callers: [demo]\n"
	"    grants: [client_credentials, token_exchange]   # also at the token endpoint\n"
	"    claims:\n"
	"      - {name: session, type: string, size: 64}\n"
	"      - {name: environment, type: string, enumeration: [test, staging]}\n"
	"  - name: demo-svid\n"
	"    issuer: demo\n"
	"    kind: jwt-svid\n"
	"    key: demo-svid\n"
	"    lifetime: {default: 300, maximum: 900}\n"
	"    audiences: [\"https://api.demo.test\", \"spiffe://demo.test/*\"]\n"
	"    subjects: [\"spiffe://demo.test/agent/*\"]\n"
	"    callers: [demo]\n"
	"  - name: demo-task       # every credential belongs to a task, and `admin` must be approved by somebody "
	"else\n"
	"    issuer: demo\n"
	"    kind: at+jwt\n"
	"    key: demo-access\n"
	"    lifetime: {default: 300, maximum: 900}\n"
	"    audiences: [\"https://api.demo.test\"]\n"
	"    subjects: [\"spiffe://demo.test/agent/*\"]\n"
	"    scopes: [read, write, admin]\n"
	"    callers: [demo]\n"
	"    grants: [client_credentials]\n"
	"    require: [task]\n"
	"    status: task          # all credentials of a task share a place in a status list\n"
	"    approve: {scopes: [admin], by: 1, within: 15m}\n"
	"callers:\n"
	"  - name: demo\n"
	"    issuer: demo\n"
	"    uri: \"" CLIENT_URI "\"\n"
	"    uid: %4$u\n"
	"    agent: \"spiffe://demo.test/agent/demo\"   # that it is at the token endpoint\n"
	"    roles: [mint, task, audit, register, approve, revoke, operate]\n"
	"  - name: approver        # tls/approver.crt: nobody approves what they asked for themselves\n"
	"    issuer: demo\n"
	"    uri: \"" APPROVER_URI "\"\n"
	"    roles: [approve, audit]\n";

/* ---- the directory ---- */

static hm_result check_ours(const char *path, struct hm_problem *why)
{
	struct stat stat;
	if (lstat(path, &stat) < 0)
		return hm_refuse(why, "system", NULL, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(stat.st_mode) || stat.st_uid != geteuid() || (stat.st_mode & 022))
		return hm_refuse(why, "system", NULL,
			"%s: not a directory of yours that only you can write: choose another --dir", path);
	return HM_OK;
}

static hm_result load(const struct dev_directory *dir, struct config **config, struct hm_problem *why)
{
	hm_result result = config_load(dir->config, config, why);
	if (result != HM_OK && strstr(why->detail, "mapping field: ledger"))
		return hm_refuse(why, "config", NULL,
			"made by an earlier version of hsmint, which kept no ledger: remove the directory, and `hsmint "
			"dev` "
			"makes it anew, or choose another --dir: %s",
			dir->path);
	return result;
}

/* Keep the runtime directory that an earlier run wrote into the configuration: the environment may differ by now. */
static hm_result keep_sockets(struct dev_directory *dir, const char *name, struct hm_problem *why)
{
	struct config *config;
	if (!dev_directory_is_made(dir))
		return HM_OK;
	HM_TRY(load(dir, &config, why));
	const char *socket = config->listen.socket;
	const char *end = socket ? strrchr(socket, '/') : NULL;
	size_t length = end ? (size_t)(end - socket) : 0;
	if (length > strlen(name) && memcmp(end - strlen(name), name, strlen(name)) == 0)
		snprintf(dir->sockets, sizeof dir->sockets, "%.*s", (int)length, socket);
	config_free(config);
	return HM_OK;
}

/* A Unix socket's path is short; a directory's need not be. Then the sockets live in a directory named by a digest. */
static hm_result choose_sockets(struct dev_directory *dir, struct hm_problem *why)
{
	static const size_t room = sizeof((struct sockaddr_un *)0)->sun_path - sizeof "/control.sock";
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	uint8_t digest[32];
	char name[sizeof "/hsmint-" + 16] = "/hsmint-";

	memcpy(dir->sockets, dir->path, sizeof dir->sockets);
	if (strlen(dir->path) <= room)
		return HM_OK;
	if (EVP_Digest(dir->path, strlen(dir->path), digest, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(why, "SHA-256 failed");
	name[strlen("/hsmint-") + base64url_encode(digest, 12, name + strlen("/hsmint-"))] = 0;
	if (!runtime || runtime[0] != '/' || strlen(runtime) + strlen(name) > room)
		runtime = "/tmp";
	snprintf(dir->sockets, sizeof dir->sockets, "%s%s", runtime, name);
	HM_TRY(keep_sockets(dir, name, why));
	if (mkdir(dir->sockets, 0700) < 0 && errno != EEXIST)
		return hm_refuse(why, "system", NULL, "%s: %s", dir->sockets, strerror(errno));
	return check_ours(dir->sockets, why);
}

static hm_result join(char *path, const char *dir, const char *name, struct hm_problem *why)
{
	if (snprintf(path, HM_PATH_MAX, "%s/%s", dir, name) < HM_PATH_MAX)
		return HM_OK;
	return hm_refuse(why, "system", NULL, "%s: too long a path: choose another --dir", dir);
}

/* Make the directory when it is missing, and give its absolute path. */
static hm_result make_directory(const char *path, char absolute[HM_PATH_MAX], struct hm_problem *why)
{
	enum { MOST = HM_PATH_MAX - 64 }; /* the files in it have names */
	char *found = NULL;
	bool made = mkdir(path, 0700) == 0;
	if (made || errno == EEXIST)
		found = realpath(path, NULL);
	if (found && strlen(found) < MOST) {
		memcpy(absolute, found, strlen(found) + 1);
		free(found);
		return HM_OK;
	}
	if (made)
		(void)rmdir(path);
	if (!found && errno != ENAMETOOLONG)
		return hm_refuse(why, "system", NULL, "%s: %s", path, strerror(errno));
	free(found); /* the mend stands first, since the path would push it out of the message */
	return hm_refuse(why, "system", NULL, "choose a shorter --dir, less than %d bytes: %s", MOST, path);
}

hm_result dev_directory_open(const char *path, struct dev_directory *dir, struct hm_problem *why)
{
	char lock[HM_PATH_MAX];
	*dir = (struct dev_directory){.lock = -1};
	HM_TRY(make_directory(path, dir->path, why));
	HM_TRY(check_ours(dir->path, why));
	HM_TRY(join(dir->config, dir->path, "hsmint.yaml", why));
	HM_TRY(join(lock, dir->path, "lock", why));
	dir->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (dir->lock < 0)
		return hm_refuse(why, "system", NULL, "%s: %s", lock, strerror(errno));
	if (flock(dir->lock, LOCK_EX | LOCK_NB) == 0)
		return choose_sockets(dir, why);
	if (errno == EWOULDBLOCK)
		return hm_refuse(why, "system", NULL,
			"%s: in use by another `hsmint dev`: end that one or choose another --dir", dir->path);
	return hm_refuse(why, "system", NULL, "%s: it cannot be locked: %s", lock, strerror(errno));
}

void dev_directory_close(struct dev_directory *dir)
{
	if (strcmp(dir->sockets, dir->path) != 0)
		(void)rmdir(dir->sockets);
	close(dir->lock);
}

bool dev_directory_is_made(const struct dev_directory *dir)
{
	return access(dir->config, F_OK) == 0;
}

/* ---- its files ---- */

static hm_result find_softhsm(const char **module, struct hm_problem *why)
{
	for (size_t i = 0; i < sizeof softhsm_modules / sizeof *softhsm_modules; i++)
		if (access(*module = softhsm_modules[i], R_OK) == 0)
			return HM_OK;
	return hm_refuse(
		why, "system", NULL, "SoftHSM's module libsofthsm2.so is not installed: apt-get install softhsm2");
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
	(void)stat, (void)kind, (void)where;
	return remove(path);
}

/* What an unfinished run left is of no use to anybody: nothing was ever minted with it. */
static hm_result make_empty(const struct dev_directory *dir, const char *name, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	HM_TRY(join(path, dir->path, name, why));
	if (access(path, F_OK) == 0)
		(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	if (mkdir(path, 0700) < 0)
		return hm_refuse(why, "system", NULL, "%s: %s", path, strerror(errno));
	return HM_OK;
}

static hm_result write_file(const struct dev_directory *dir, const char *name, const char *text, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	HM_TRY(join(path, dir->path, name, why));
	return file_replace(path, text, strlen(text), 0600, why);
}

static hm_result write_pin(const struct dev_directory *dir, const char *name, struct hm_problem *why)
{
	uint8_t bytes[PIN_BYTES];
	char pin[PIN_BYTES * 4 / 3 + 2];
	if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		return hm_broken(why, "getrandom gave too little");
	size_t length = base64url_encode(bytes, sizeof bytes, pin);
	pin[length] = 0;
	hm_result result = write_file(dir, name, pin, why);
	explicit_bzero(pin, sizeof pin);
	explicit_bzero(bytes, sizeof bytes);
	return result;
}

static hm_result write_softhsm(const struct dev_directory *dir, struct hm_problem *why)
{
	char text[HM_PATH_MAX + 128];
	snprintf(text, sizeof text, "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
		dir->path);
	return write_file(dir, "softhsm2.conf", text, why);
}

static hm_result write_config(const struct dev_directory *dir, uint16_t port, struct hm_problem *why)
{
	static char text[CONFIG_TEXT_MAX];
	char sockets[HM_PATH_MAX + 1] = "";
	const char *module;
	HM_TRY(find_softhsm(&module, why));
	if (strcmp(dir->sockets, dir->path) != 0)
		snprintf(sockets, sizeof sockets, "%s/", dir->sockets);
	snprintf(text, sizeof text, config_text, sockets, port, module, geteuid());
	return write_file(dir, "hsmint.yaml.made", text, why);
}

static hm_result make_token(const struct dev_directory *dir, const char *made, struct hm_problem *why)
{
	static struct token_config token;
	struct config *config;
	char so_pin[HM_PATH_MAX];
	HM_TRY(join(so_pin, dir->path, "so.secret", why));
	HM_TRY(config_load(made, &config, why));
	config_token_frame(config, 0, &token);
	config_free(config);
	struct token_admin *admin = token_admin_open(&token, why);
	if (!admin)
		return HM_UNAVAILABLE;
	hm_result result = token_admin_init(admin, so_pin, why);
	for (uint32_t i = 0; result == HM_OK && i < token.key_count; i++)
		result = token_admin_create(admin, (uint16_t)i, why);
	token_admin_close(admin);
	return result;
}

hm_result dev_directory_make(const struct dev_directory *dir, uint16_t port, struct hm_problem *why)
{
	static const char *const directories[] = {"tokens", "state", "ledger"};
	char made[HM_PATH_MAX];
	HM_TRY(join(made, dir->path, "hsmint.yaml.made", why));
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
		HM_TRY(make_empty(dir, directories[i], why));
	HM_TRY(write_pin(dir, "pin", why));
	HM_TRY(write_pin(dir, "so.secret", why));
	HM_TRY(write_softhsm(dir, why));
	HM_TRY(dev_tls_make(dir->path, CLIENT_URI, APPROVER_URI, why));
	HM_TRY(write_config(dir, port, why));
	HM_TRY(make_token(dir, made, why));
	if (rename(made, dir->config) < 0) /* last, so that it says: all is made */
		return hm_refuse(why, "system", NULL, "%s: %s", dir->config, strerror(errno));
	return HM_OK;
}

hm_result dev_directory_port(const struct dev_directory *dir, uint16_t *port, struct hm_problem *why)
{
	struct config *config;
	HM_TRY(load(dir, &config, why));
	*port = config->listen.tls ? config->listen.tls->port : 0;
	bool has_tls = config->listen.tls != NULL;
	config_free(config);
	return has_tls ? HM_OK : hm_refuse(why, "config", NULL, "%s: listen.tls is missing", dir->config);
}

/* Copy `text` to `out`, every `from` replaced by `to`. */
static void replace_all(char *out, size_t size, const char *text, const char *from, const char *to)
{
	struct hm_writer w = hm_writer(out, size - 1);
	for (const char *found; (found = strstr(text, from)); text = found + strlen(from)) {
		hm_put_raw(&w, text, (size_t)(found - text));
		hm_put_raw(&w, to, strlen(to));
	}
	hm_put_raw(&w, text, strlen(text));
	out[w.failed ? 0 : w.used] = 0;
}

hm_result dev_directory_change_port(const struct dev_directory *dir, uint16_t from, uint16_t to, struct hm_problem *why)
{
	static char text[CONFIG_TEXT_MAX], half[CONFIG_TEXT_MAX + 64], whole[CONFIG_TEXT_MAX + 128];
	char old[32], new[32];
	size_t length;
	HM_TRY(file_read(dir->config, false, text, sizeof text - 1, &length, why));
	text[length] = 0;
	snprintf(old, sizeof old, "//" DEV_ISSUER_HOST ":%u/", from);
	snprintf(new, sizeof new, "//" DEV_ISSUER_HOST ":%u/", to);
	replace_all(half, sizeof half, text, old, new);
	snprintf(old, sizeof old, "port: %u", from);
	snprintf(new, sizeof new, "port: %u", to);
	replace_all(whole, sizeof whole, half, old, new);
	if (!whole[0])
		return hm_refuse(why, "config", NULL, "%s: too long to change its port", dir->config);
	return file_replace(dir->config, whole, strlen(whole), 0600, why);
}
