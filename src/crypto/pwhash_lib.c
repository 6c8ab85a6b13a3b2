/* SPDX-License-Identifier: Apache-2.0 */
/* libcrypto, and libargon2 for what libcrypto has only from 3.2 on. */
#include "crypto/pwhash_lib.h"

#include <argon2.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>

enum { SHA512_LEN = 64 };

static smqtt_err fail(smqtt_err err)
{
    ERR_clear_error();
    return err;
}

smqtt_err smq_pwhash_lib_sha512(smq_span password, smq_span salt, uint8_t *out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return fail(SMQTT_E_NOMEM);
    }
    bool ok = EVP_DigestInit_ex(ctx, EVP_sha512(), NULL) == 1 &&
              EVP_DigestUpdate(ctx, password.data, password.len) == 1 &&
              EVP_DigestUpdate(ctx, salt.data, salt.len) == 1 && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok ? SMQTT_OK : fail(SMQTT_E_CRYPTO);
}

smqtt_err smq_pwhash_lib_pbkdf2(smq_span password, smq_span salt, uint32_t iterations, uint8_t *out)
{
    if (password.len > INT_MAX || salt.len > INT_MAX || iterations > INT_MAX) {
        return SMQTT_E_CRYPTO;
    }
    /* libcrypto takes no pointer for "not given". */
    const char *text = password.len != 0 ? (const char *)password.data : "";
    int done = PKCS5_PBKDF2_HMAC(text, (int)password.len, salt.data, (int)salt.len, (int)iterations, EVP_sha512(),
                                 SHA512_LEN, out);
    return done == 1 ? SMQTT_OK : fail(SMQTT_E_CRYPTO);
}

smqtt_err smq_pwhash_lib_argon2id(smq_span password, smq_span salt, uint32_t passes, uint32_t kib, uint32_t lanes,
                                  uint8_t *out, size_t len)
{
    int done = argon2id_hash_raw(passes, kib, lanes, password.data, password.len, salt.data, salt.len, out, len);
    return done == ARGON2_OK ? SMQTT_OK : done == ARGON2_MEMORY_ALLOCATION_ERROR ? SMQTT_E_NOMEM : SMQTT_E_CRYPTO;
}
