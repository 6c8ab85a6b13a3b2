/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>

#include "crypto/openssl_parts.h"

static CRYPTO_ONCE fetch_once = CRYPTO_ONCE_STATIC_INIT;
static struct smq_openssl fetched;
static bool is_fetched; /* all of them; written inside fetch_once only */

/* Setting HMAC's digest looks it up by name, so that is done once, in a context that is copied afterwards. A context
 * can be copied only after it has had a key; any will do, each user sets its own. */
static EVP_MAC_CTX *new_hmac_pattern(void)
{
    static const uint8_t any_key[SMQ_HASH_LEN] = {1};
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    if (ctx != NULL && EVP_MAC_init(ctx, any_key, sizeof(any_key), params) != 1) {
        EVP_MAC_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static void fetch_all(void)
{
    fetched.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    fetched.hmac = new_hmac_pattern();
    fetched.chacha20_poly1305 = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    fetched.aes_128_gcm = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    fetched.p256 = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    is_fetched = fetched.sha256 != NULL && fetched.hmac != NULL && fetched.chacha20_poly1305 != NULL &&
                 fetched.aes_128_gcm != NULL && fetched.p256 != NULL;
    if (!is_fetched) {
        ERR_clear_error();
    }
}

const struct smq_openssl *smq_openssl_get(void)
{
    return CRYPTO_THREAD_run_once(&fetch_once, fetch_all) == 1 && is_fetched ? &fetched : NULL;
}

smqtt_err smq_openssl_fail(smqtt_err err)
{
    ERR_clear_error();
    return err;
}

static bool fill_random(uint8_t *out, size_t len)
{
    if (len != 0 && RAND_bytes_ex(NULL, out, len, 0) != 1) {
        ERR_clear_error();
        return false;
    }
    return true;
}

const struct smq_crypto_lib smq_crypto_openssl = {
    .name = "openssl",
    .sha256 = smq_openssl_hash_sha256,
    .hmac = smq_openssl_hash_hmac,
    .mac_new = smq_openssl_hash_mac_new,
    .mac_free = smq_openssl_hash_mac_free,
    .mac = smq_openssl_hash_mac,
    .dh_public = smq_openssl_dh_public,
    .dh = smq_openssl_dh_agree,
    .dh_pair = smq_openssl_dh_pair,
    .dh_key_new = smq_openssl_dh_key_new,
    .dh_key_free = smq_openssl_dh_key_free,
    .dh_with = smq_openssl_dh_with,
    .dh_is_private = smq_openssl_dh_is_private,
    .dh_check = smq_openssl_dh_check,
    .sign_public = smq_openssl_sign_public,
    .sign = smq_openssl_sign_make,
    .sign_key_new = smq_openssl_sign_key_new,
    .sign_key_free = smq_openssl_sign_key_free,
    .sign_with = smq_openssl_sign_with,
    .verify = smq_openssl_sign_verify,
    .sign_check = smq_openssl_sign_check,
    .aead_new = smq_openssl_aead_new,
    .aead_free = smq_openssl_aead_free,
    .aead_seal = smq_openssl_aead_seal,
    .aead_open = smq_openssl_aead_open,
    .random = fill_random,
};
