/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/openssl_parts.h"

static bool digest_parts(EVP_MD_CTX *ctx, const EVP_MD *md, const smq_span *parts, size_t n, uint8_t *out)
{
    if (EVP_DigestInit_ex2(ctx, md, NULL) != 1) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len != 0 && EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) != 1) {
            return false;
        }
    }
    return EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

smqtt_err smq_openssl_hash_sha256(const smq_span *parts, size_t n, uint8_t out[SMQ_HASH_LEN])
{
    const struct smq_openssl *ossl = smq_openssl_get();
    uint8_t hash[SMQ_HASH_LEN];
    if (ossl == NULL) {
        return SMQTT_E_CRYPTO;
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return smq_openssl_fail(SMQTT_E_NOMEM);
    }
    bool ok = digest_parts(ctx, ossl->sha256, parts, n, hash);
    EVP_MD_CTX_free(ctx);
    if (ok) {
        memcpy(out, hash, sizeof(hash));
    }
    smq_wipe(hash, sizeof(hash));
    return ok ? SMQTT_OK : smq_openssl_fail(SMQTT_E_CRYPTO);
}

static bool mac_parts(EVP_MAC_CTX *ctx, smq_span key, const smq_span *parts, size_t n, uint8_t *out)
{
    /* Without a key libcrypto would go on with the pattern's. HMAC fills every key up with zeros (RFC 2104 section 2),
     * so one zero byte is the empty key. */
    static const uint8_t zero[1] = {0};
    size_t len;
    if (EVP_MAC_init(ctx, key.len != 0 ? key.data : zero, key.len != 0 ? key.len : sizeof(zero), NULL) != 1) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len != 0 && EVP_MAC_update(ctx, parts[i].data, parts[i].len) != 1) {
            return false;
        }
    }
    return EVP_MAC_final(ctx, out, &len, SMQ_HASH_LEN) == 1 && len == SMQ_HASH_LEN;
}

smqtt_err smq_openssl_hash_hmac(smq_span key, const smq_span *parts, size_t n, uint8_t out[SMQ_HASH_LEN])
{
    const struct smq_openssl *ossl = smq_openssl_get();
    uint8_t mac[SMQ_HASH_LEN];
    if (ossl == NULL) {
        return SMQTT_E_CRYPTO;
    }
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(ossl->hmac);
    if (ctx == NULL) {
        return smq_openssl_fail(SMQTT_E_NOMEM);
    }
    bool ok = mac_parts(ctx, key, parts, n, mac);
    EVP_MAC_CTX_free(ctx);
    if (ok) {
        memcpy(out, mac, sizeof(mac));
    }
    smq_wipe(mac, sizeof(mac));
    return ok ? SMQTT_OK : smq_openssl_fail(SMQTT_E_CRYPTO);
}
