/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>

#include "crypto/openssl_parts.h"

/* One context serves both directions: the key schedule stays, a message sets direction and nonce only. */
struct smq_aead_key {
    EVP_CIPHER_CTX *ctx;
};

static const EVP_CIPHER *cipher_of(const struct smq_openssl *ossl, enum smq_aead alg)
{
    switch (alg) {
    case SMQ_AEAD_CHACHA20_POLY1305:
        return ossl->chacha20_poly1305;
    case SMQ_AEAD_AES_128_GCM:
        return ossl->aes_128_gcm;
    }
    return NULL;
}

struct smq_aead_key *smq_openssl_aead_new(enum smq_aead alg, const uint8_t *key)
{
    const struct smq_openssl *ossl = smq_openssl_get();
    const EVP_CIPHER *cipher = ossl != NULL ? cipher_of(ossl, alg) : NULL;
    struct smq_aead_key *made = cipher != NULL ? smq_mem_zalloc(NULL, 1, sizeof(*made)) : NULL;
    if (made == NULL) {
        return NULL;
    }
    made->ctx = EVP_CIPHER_CTX_new();
    if (made->ctx == NULL || EVP_CipherInit_ex2(made->ctx, cipher, key, NULL, 1, NULL) != 1) {
        smq_openssl_aead_free(made);
        (void)smq_openssl_fail(SMQTT_E_CRYPTO);
        return NULL;
    }
    return made;
}

void smq_openssl_aead_free(struct smq_aead_key *key)
{
    if (key != NULL) {
        EVP_CIPHER_CTX_free(key->ctx); /* wipes the key schedule */
        smq_mem_free(NULL, key);
    }
}

/* Nonce and additional data of a message; libcrypto counts in int. */
static bool begin(EVP_CIPHER_CTX *ctx, bool seal, const uint8_t *nonce, smq_span aad)
{
    int n;
    return EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, seal ? 1 : 0, NULL) == 1 &&
           (aad.len == 0 || EVP_CipherUpdate(ctx, NULL, &n, aad.data, (int)aad.len) == 1);
}

static bool is_too_long(smq_span aad, smq_span text)
{
    return aad.len > INT_MAX || text.len > INT_MAX;
}

smqtt_err smq_openssl_aead_seal(struct smq_aead_key *key, const uint8_t nonce[SMQ_NONCE_LEN], smq_span aad, smq_span pt,
                                uint8_t *out)
{
    uint8_t unused[SMQ_TAG_LEN]; /* the end of a message gives no bytes with these AEADs */
    int n;
    if (is_too_long(aad, pt)) {
        return SMQTT_E_CRYPTO;
    }
    bool ok = begin(key->ctx, true, nonce, aad) &&
              (pt.len == 0 || EVP_CipherUpdate(key->ctx, out, &n, pt.data, (int)pt.len) == 1) &&
              EVP_CipherFinal_ex(key->ctx, unused, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(key->ctx, EVP_CTRL_AEAD_GET_TAG, SMQ_TAG_LEN, out + pt.len) == 1;
    return ok ? SMQTT_OK : smq_openssl_fail(SMQTT_E_CRYPTO);
}

smqtt_err smq_openssl_aead_open(struct smq_aead_key *key, const uint8_t nonce[SMQ_NONCE_LEN], smq_span aad, smq_span ct,
                                uint8_t *out)
{
    uint8_t tag[SMQ_TAG_LEN];
    uint8_t unused[SMQ_TAG_LEN];
    int n;
    if (ct.len < SMQ_TAG_LEN || is_too_long(aad, ct)) {
        return SMQTT_E_BAD_TAG;
    }
    size_t len = ct.len - SMQ_TAG_LEN;
    memcpy(tag, ct.data + len, sizeof(tag));
    bool ok = begin(key->ctx, false, nonce, aad) &&
              (len == 0 || EVP_CipherUpdate(key->ctx, out, &n, ct.data, (int)len) == 1) &&
              EVP_CIPHER_CTX_ctrl(key->ctx, EVP_CTRL_AEAD_SET_TAG, SMQ_TAG_LEN, tag) == 1 &&
              EVP_CipherFinal_ex(key->ctx, unused, &n) == 1;
    if (!ok) {
        smq_wipe(out, len); /* what does not authenticate is not shown to anyone */
        return smq_openssl_fail(SMQTT_E_BAD_TAG);
    }
    return SMQTT_OK;
}
