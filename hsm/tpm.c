/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm.h"

#include <dlfcn.h>
#include <openssl/core_names.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>

/* Vendor attributes of tpm2-pkcs11: what TPM2_Load takes. */
enum { PUBLIC_BLOB = 2, PRIVATE_BLOB = 3 };
#define CKA_TPM2(number) (CKA_VENDOR_DEFINED | 0x0f000000UL | (number))

/* ---- the TPM's libraries ---- */

/* Loaded when a token wants them, so that a machine without a TPM does not need them. tpm2-pkcs11 has them, too. */
static struct {
	__typeof__(Tss2_TctiLdr_Initialize) *connect;
	__typeof__(Tss2_TctiLdr_Finalize) *disconnect;
	__typeof__(Esys_Initialize) *initialize;
	__typeof__(Esys_Finalize) *finalize;
	__typeof__(Esys_TR_FromTPMPublic) *find;
	__typeof__(Esys_Load) *load;
	__typeof__(Esys_ReadPublic) *read_public;
	__typeof__(Esys_FlushContext) *flush;
	__typeof__(Esys_Free) *free;
	__typeof__(Tss2_MU_TPM2B_PUBLIC_Unmarshal) *get_public;
	__typeof__(Tss2_MU_TPM2B_PRIVATE_Unmarshal) *get_private;
} tss;

static const struct {
	const char *library, *name;
	void *function;
} functions[] = {
	{"libtss2-tctildr.so.0", "Tss2_TctiLdr_Initialize", &tss.connect},
	{"libtss2-tctildr.so.0", "Tss2_TctiLdr_Finalize", &tss.disconnect},
	{"libtss2-esys.so.0", "Esys_Initialize", &tss.initialize},
	{"libtss2-esys.so.0", "Esys_Finalize", &tss.finalize},
	{"libtss2-esys.so.0", "Esys_TR_FromTPMPublic", &tss.find},
	{"libtss2-esys.so.0", "Esys_Load", &tss.load},
	{"libtss2-esys.so.0", "Esys_ReadPublic", &tss.read_public},
	{"libtss2-esys.so.0", "Esys_FlushContext", &tss.flush},
	{"libtss2-esys.so.0", "Esys_Free", &tss.free},
	{"libtss2-mu.so.0", "Tss2_MU_TPM2B_PUBLIC_Unmarshal", &tss.get_public},
	{"libtss2-mu.so.0", "Tss2_MU_TPM2B_PRIVATE_Unmarshal", &tss.get_private},
};

static hm_result load_libraries(struct token_failure *why)
{
	static bool loaded;
	for (size_t i = 0; !loaded && i < sizeof functions / sizeof *functions; i++) {
		void *library = dlopen(functions[i].library, RTLD_NOW | RTLD_LOCAL);
		void *function = library ? dlsym(library, functions[i].name) : NULL;
		if (!function)
			return fail(why, TOKEN_PERMANENT, "tpm_parent: %s", dlerror());
		memcpy(functions[i].function, &function, sizeof function);
	}
	loaded = true;
	return HM_OK;
}

/* ---- the connection ---- */

struct connection {
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
	ESYS_TR key; /* loaded; ESYS_TR_NONE: not yet */
};

static void close_connection(struct connection *tpm)
{
	if (tpm->esys && tpm->key != ESYS_TR_NONE)
		(void)tss.flush(tpm->esys, tpm->key); /* a resource manager does so at the end of the connection, too */
	if (tpm->esys)
		tss.finalize(&tpm->esys);
	if (tpm->tcti)
		tss.disconnect(&tpm->tcti);
}

static hm_result fail_tpm(struct token_failure *why, const struct key *key, const char *function, TSS2_RC code)
{
	return fail(why, TOKEN_DEVICE, "key %s: %s: 0x%x", key->config->name, function, code);
}

static hm_result open_connection(struct connection *tpm, const struct key *key, struct token_failure *why)
{
	TSS2_RC code = tss.connect(getenv("TPM2_PKCS11_TCTI"), &tpm->tcti);
	if (code != TSS2_RC_SUCCESS)
		return fail_tpm(why, key, "Tss2_TctiLdr_Initialize", code);
	code = tss.initialize(&tpm->esys, tpm->tcti, NULL);
	return code == TSS2_RC_SUCCESS ? HM_OK : fail_tpm(why, key, "Esys_Initialize", code);
}

/* ---- loading ---- */

struct blobs {
	TPM2B_PUBLIC public;
	TPM2B_PRIVATE private;
};

static hm_result read_blob(const struct module *module, CK_SESSION_HANDLE session, const struct key *key, int number,
	uint8_t *blob, CK_ULONG *length, struct token_failure *why)
{
	hm_result result = module_attribute(module, session, key->handle, CKA_TPM2(number), blob, length, why);
	if (result != HM_OK && why->ckr == CKR_ATTRIBUTE_TYPE_INVALID)
		return fail(why, TOKEN_CUSTODY, "key %s: the module does not tell 0x%lx: tpm_parent is for tpm2-pkcs11",
			key->config->name, CKA_TPM2(number));
	return result;
}

static hm_result read_blobs(const struct module *module, CK_SESSION_HANDLE session, const struct key *key,
	struct blobs *blobs, struct token_failure *why)
{
	uint8_t public[sizeof blobs->public], private[sizeof blobs->private];
	CK_ULONG public_length = sizeof public, private_length = sizeof private;
	HM_TRY(read_blob(module, session, key, PUBLIC_BLOB, public, &public_length, why));
	HM_TRY(read_blob(module, session, key, PRIVATE_BLOB, private, &private_length, why));
	size_t public_end = 0, private_end = 0;
	if (tss.get_public(public, public_length, &public_end, &blobs->public) != TSS2_RC_SUCCESS ||
		tss.get_private(private, private_length, &private_end, &blobs->private) != TSS2_RC_SUCCESS)
		return fail(why, TOKEN_CUSTODY, "key %s: what the module keeps of it is no key of a TPM",
			key->config->name);
	return HM_OK;
}

/* The TPM says that a parameter, a handle or an authorisation is wrong (TPM 2.0 Library, part 2, section 6.6); a
 * resource manager passes it on. Everything else may pass. */
static bool is_refusal(TSS2_RC code)
{
	TSS2_RC layer = code & TSS2_RC_LAYER_MASK;
	return (layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER) && code & TPM2_RC_FMT1;
}

/* The private blob is sealed by the parent together with the name of its public area: the TPM loads what it made. */
static hm_result load(struct connection *tpm, uint32_t parent, const struct key *key, const struct blobs *blobs,
	struct token_failure *why)
{
	ESYS_TR found;
	const char *name = key->config->name;
	TSS2_RC code = tss.find(tpm->esys, parent, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &found);
	if (is_refusal(code))
		return fail(why, TOKEN_PERMANENT, "key %s: tpm_parent 0x%x: there is no such object in the TPM (0x%x)",
			name, parent, code);
	if (code != TSS2_RC_SUCCESS)
		return fail_tpm(why, key, "Esys_TR_FromTPMPublic", code);
	code = tss.load(tpm->esys, found, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &blobs->private, &blobs->public,
		&tpm->key);
	if (code == TSS2_RC_SUCCESS)
		return HM_OK;
	tpm->key = ESYS_TR_NONE;
	if (!is_refusal(code))
		return fail_tpm(why, key, "Esys_Load", code);
	return fail(why, TOKEN_CUSTODY,
		"key %s: the TPM does not load it under tpm_parent 0x%x (0x%x): it was changed, is another parent's or "
		"another TPM's, or the parent needs an authorisation",
		name, parent, code);
}

/* ---- the public area ---- */

static const struct {
	TPMA_OBJECT bit;
	bool wanted;
	const char *means;
} rules[TPM_ATTRIBUTES] = {
	[TPM_SENSITIVE_DATA_ORIGIN] = {TPMA_OBJECT_SENSITIVEDATAORIGIN, true, "it was not generated in the TPM"},
	[TPM_FIXED_TPM] = {TPMA_OBJECT_FIXEDTPM, true, "it can be taken to another TPM"},
	[TPM_FIXED_PARENT] = {TPMA_OBJECT_FIXEDPARENT, true, "it can be taken to another parent"},
	[TPM_SIGN] = {TPMA_OBJECT_SIGN_ENCRYPT, true, "it may not sign"},
	[TPM_DECRYPT] = {TPMA_OBJECT_DECRYPT, false, "it may do more than sign"},
	[TPM_RESTRICTED] = {TPMA_OBJECT_RESTRICTED, false, "it signs only what the TPM says of itself"},
};

static hm_result check_attributes(TPMA_OBJECT attributes, struct key *key, struct token_failure *why)
{
	for (enum tpm_attribute i = 0; i < TPM_ATTRIBUTES; i++) {
		bool value = attributes & rules[i].bit;
		key->shown.tpm[i] = value;
		if (value != rules[i].wanted)
			return fail(why, TOKEN_CUSTODY, "key %s: the TPM says that %s is %s: %s", key->config->name,
				tpm_attribute_name(i), value ? "true" : "false", rules[i].means);
	}
	return HM_OK;
}

static void free_number(BIGNUM **number)
{
	BN_free(*number);
}

static bool is_number(const struct key *key, const char *parameter, const uint8_t *bytes, size_t length)
{
	__attribute__((cleanup(free_number))) BIGNUM *ours = NULL;
	__attribute__((cleanup(free_number))) BIGNUM *theirs = BN_bin2bn(bytes, (int)length, NULL);
	return theirs && EVP_PKEY_get_bn_param(key->public, parameter, &ours) == 1 && BN_cmp(ours, theirs) == 0;
}

static bool is_exponent(const struct key *key, UINT32 exponent)
{
	enum { EXPONENT_DEFAULT = 65537 }; /* written as 0 */
	__attribute__((cleanup(free_number))) BIGNUM *ours = NULL;
	return EVP_PKEY_get_bn_param(key->public, OSSL_PKEY_PARAM_RSA_E, &ours) == 1 &&
	       BN_is_word(ours, exponent ? exponent : EXPONENT_DEFAULT);
}

static bool is_rsa_key(const struct key *key, const TPMT_PUBLIC *area)
{
	return area->type == TPM2_ALG_RSA && is_exponent(key, area->parameters.rsaDetail.exponent) &&
	       is_number(key, OSSL_PKEY_PARAM_RSA_N, area->unique.rsa.buffer, area->unique.rsa.size);
}

static bool is_ec_key(const struct key *key, const TPMT_PUBLIC *area)
{
	TPMI_ECC_CURVE curve = key->config->algorithm == KEY_ES256 ? TPM2_ECC_NIST_P256 : TPM2_ECC_NIST_P384;
	const TPMS_ECC_POINT *point = &area->unique.ecc;
	return area->type == TPM2_ALG_ECC && area->parameters.eccDetail.curveID == curve &&
	       is_number(key, OSSL_PKEY_PARAM_EC_PUB_X, point->x.buffer, point->x.size) &&
	       is_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, point->y.buffer, point->y.size);
}

/* Else the key that is loaded is not the one that signs, whose signatures the public half verifies. */
static hm_result check_public(const TPMT_PUBLIC *area, const struct key *key, struct token_failure *why)
{
	if (key->algorithm->is_rsa ? is_rsa_key(key, area) : is_ec_key(key, area))
		return HM_OK;
	return fail(why, TOKEN_CUSTODY, "key %s: what the TPM loads is another key than its public half's",
		key->config->name);
}

static hm_result keep_name(const TPM2B_NAME *name, struct key *key, struct token_failure *why)
{
	if (name->size == 0 || name->size > sizeof key->shown.tpm_name)
		return fail(why, TOKEN_CUSTODY, "key %s: the TPM gives it a name of %u bytes", key->config->name,
			name->size);
	memcpy(key->shown.tpm_name, name->name, name->size);
	key->shown.tpm_name_length = name->size;
	return HM_OK;
}

static hm_result check_area(const TPMT_PUBLIC *area, const TPM2B_NAME *name, struct key *key, struct token_failure *why)
{
	HM_TRY(check_public(area, key, why));
	HM_TRY(check_attributes(area->objectAttributes, key, why));
	return keep_name(name, key, why);
}

hm_result tpm_check(const struct module *module, CK_SESSION_HANDLE session, uint32_t parent, struct key *key,
	struct token_failure *why)
{
	__attribute__((cleanup(close_connection))) struct connection tpm = {.key = ESYS_TR_NONE};
	struct blobs blobs = {0}; /* Tss2_MU_* fill only what is blank */
	TPM2B_PUBLIC *area = NULL;
	TPM2B_NAME *name = NULL;
	HM_TRY(load_libraries(why));
	HM_TRY(read_blobs(module, session, key, &blobs, why));
	HM_TRY(open_connection(&tpm, key, why));
	HM_TRY(load(&tpm, parent, key, &blobs, why));
	TSS2_RC code = tss.read_public(tpm.esys, tpm.key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &area, &name, NULL);
	if (code != TSS2_RC_SUCCESS)
		return fail_tpm(why, key, "Esys_ReadPublic", code);
	hm_result result = check_area(&area->publicArea, name, key, why);
	tss.free(area);
	tss.free(name);
	return result;
}

bool tpm_holds(const struct module *module, CK_SESSION_HANDLE session, const struct key *key)
{
	CK_ATTRIBUTE blob = {CKA_TPM2(PUBLIC_BLOB), NULL, 0};
	return module->calls->C_GetAttributeValue(session, key->handle, &blob, 1) == CKR_OK && blob.ulValueLen &&
	       blob.ulValueLen != CK_UNAVAILABLE_INFORMATION;
}
