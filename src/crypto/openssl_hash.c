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

/* struct smq_mac is libcrypto's context itself, so that there is nothing more to allocate. */
static EVP_MAC_CTX *ctx_of(struct smq_mac *mac)
{
    return (EVP_MAC_CTX *)mac;
}

struct smq_mac *smq_openssl_hash_mac_new(void)
{
    const struct smq_openssl *ossl = smq_openssl_get();
    EVP_MAC_CTX *ctx = ossl != NULL ? EVP_MAC_CTX_dup(ossl->hmac) : NULL;
    if (ctx == NULL) {
        (void)smq_openssl_fail(SMQTT_E_NOMEM);
    }
    return (struct smq_mac *)ctx;
}

void smq_openssl_hash_mac_free(struct smq_mac *mac)
{
    EVP_MAC_CTX_free(ctx_of(mac)); /* wipes the key and what was made of it */
}

static bool mac_parts(EVP_MAC_CTX *ctx, const smq_span *key, const smq_span *parts, size_t n, uint8_t *out)
{
    /* HMAC fills every key up with zeros (RFC 2104 section 2), so one zero byte is the empty key. libcrypto takes none
     * for the key before it. */
    static const uint8_t zero[1] = {0};
    static const smq_span empty = {zero, sizeof(zero)};
    smq_span k = key == NULL ? smq_span_of(NULL, 0) : key->len != 0 ? *key : empty;
    size_t len;
    if (EVP_MAC_init(ctx, k.data, k.len, NULL) != 1) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len != 0 && EVP_MAC_update(ctx, parts[i].data, parts[i].len) != 1) {
            return false;
        }
    }
    return EVP_MAC_final(ctx, out, &len, SMQ_HASH_LEN) == 1 && len == SMQ_HASH_LEN;
}

smqtt_err smq_openssl_hash_mac(struct smq_mac *mac, const smq_span *key, const smq_span *parts, size_t n,
                               uint8_t out[SMQ_HASH_LEN])
{
    uint8_t made[SMQ_HASH_LEN];
    bool ok = mac_parts(ctx_of(mac), key, parts, n, made);
    if (ok) {
        memcpy(out, made, sizeof(made));
    }
    smq_wipe(made, sizeof(made));
    return ok ? SMQTT_OK : smq_openssl_fail(SMQTT_E_CRYPTO);
}

smqtt_err smq_openssl_hash_hmac(smq_span key, const smq_span *parts, size_t n, uint8_t out[SMQ_HASH_LEN])
{
    if (smq_openssl_get() == NULL) {
        return SMQTT_E_CRYPTO;
    }
    struct smq_mac *mac = smq_openssl_hash_mac_new();
    if (mac == NULL) {
        return SMQTT_E_NOMEM;
    }
    smqtt_err err = smq_openssl_hash_mac(mac, &key, parts, n, out);
    smq_openssl_hash_mac_free(mac);
    return err;
}
