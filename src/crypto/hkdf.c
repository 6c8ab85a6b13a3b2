/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hkdf.h"

#include "base/mem.h"

enum { INFO_MAX = 12, BLOCKS_MAX = 255 };

smqtt_err smq_hkdf_extract(const struct smq_crypto_lib *lib, smq_span salt, const smq_span *ikm, size_t n,
                           uint8_t prk[SMQ_HASH_LEN])
{
    /* No salt is a salt of zeros (RFC 5869 section 2.2), which for HMAC is the empty key. */
    return lib->hmac(salt, ikm, n, prk);
}

smqtt_err smq_hkdf_expand(const struct smq_crypto_lib *lib, const uint8_t prk[SMQ_HASH_LEN], const smq_span *info,
                          size_t n, uint8_t *out, size_t len)
{
    /* T(i) = HMAC(PRK, T(i - 1) || info || i), T(0) is empty (RFC 5869 section 2.3). */
    uint8_t block[SMQ_HASH_LEN];
    uint8_t counter = 0;
    smq_span parts[1 + INFO_MAX + 1] = {{block, 0}};
    smqtt_err err = SMQTT_OK;
    size_t done = 0;
    if (n > INFO_MAX || len > (size_t)BLOCKS_MAX * SMQ_HASH_LEN) {
        return SMQTT_E_USAGE;
    }
    for (size_t i = 0; i < n; i++) {
        parts[1 + i] = info[i];
    }
    parts[1 + n] = smq_span_of(&counter, 1);
    while (done < len) {
        size_t take = len - done < sizeof(block) ? len - done : sizeof(block);
        counter++;
        err = lib->hmac(smq_span_of(prk, SMQ_HASH_LEN), parts, n + 2, block);
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
