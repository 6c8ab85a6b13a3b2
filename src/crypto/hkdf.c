/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hkdf.h"

#include "base/mem.h"

enum { INFO_MAX = 12, BLOCKS_MAX = 255 };

smqtt_err smq_hkdf_begin(struct smq_hkdf *kdf, const struct smq_crypto_lib *lib)
{
    *kdf = (struct smq_hkdf){.lib = lib, .mac = lib->mac_new()};
    return kdf->mac != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

void smq_hkdf_end(struct smq_hkdf *kdf)
{
    if (kdf->lib != NULL) {
        kdf->lib->mac_free(kdf->mac);
    }
    smq_wipe(kdf, sizeof(*kdf));
}

void smq_hkdf_set(struct smq_hkdf *kdf, const uint8_t prk[SMQ_HASH_LEN])
{
    memcpy(kdf->prk, prk, SMQ_HASH_LEN);
    kdf->has_prk = true;
    kdf->is_keyed = false;
}

smqtt_err smq_hkdf_extract(struct smq_hkdf *kdf, smq_span salt, const smq_span *ikm, size_t n, uint8_t *prk)
{
    /* No salt is a salt of zeros (RFC 5869 section 2.2), which for HMAC is the empty key. */
    uint8_t made[SMQ_HASH_LEN];
    kdf->has_prk = kdf->is_keyed = false;
    SMQ_TRY(kdf->lib->mac(kdf->mac, &salt, ikm, n, made));
    smq_hkdf_set(kdf, made);
    if (prk != NULL) {
        memcpy(prk, made, sizeof(made));
    }
    smq_wipe(made, sizeof(made));
    return SMQTT_OK;
}

/* HMAC under the PRK, which the context may have as its key already. */
static smqtt_err block_make(struct smq_hkdf *kdf, const smq_span *parts, size_t n, uint8_t block[SMQ_HASH_LEN])
{
    const smq_span key = smq_span_of(kdf->prk, SMQ_HASH_LEN);
    smqtt_err err = kdf->lib->mac(kdf->mac, kdf->is_keyed ? NULL : &key, parts, n, block);
    kdf->is_keyed = err == SMQTT_OK;
    return err;
}

smqtt_err smq_hkdf_expand(struct smq_hkdf *kdf, const smq_span *info, size_t n, uint8_t *out, size_t len)
{
    /* T(i) = HMAC(PRK, T(i - 1) || info || i), T(0) is empty (RFC 5869 section 2.3). */
    uint8_t block[SMQ_HASH_LEN];
    uint8_t counter = 0;
    smq_span parts[1 + INFO_MAX + 1] = {{block, 0}};
    smqtt_err err = SMQTT_OK;
    size_t done = 0;
    if (!kdf->has_prk || n > INFO_MAX || len > (size_t)BLOCKS_MAX * SMQ_HASH_LEN) {
        return SMQTT_E_USAGE;
    }
    for (size_t i = 0; i < n; i++) {
        parts[1 + i] = info[i];
    }
    parts[1 + n] = smq_span_of(&counter, 1);
    while (done < len) {
        size_t take = len - done < sizeof(block) ? len - done : sizeof(block);
        counter++;
        err = block_make(kdf, parts, n + 2, block);
        if (err != SMQTT_OK) {
            smq_wipe(out, done);
            break;
        }
        memcpy(out + done, block, take);
        done += take;
        parts[0].len = sizeof(block);
    }
    smq_wipe(block, sizeof(block));
    return err;
}
