/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/kdf.h"

#include "crypto/pwhash_lib.h"

static bool argon2id(void *ctx, struct smqtt_span passphrase, struct smqtt_span salt, uint32_t passes, uint32_t kib,
                     uint32_t lanes, uint8_t *out, size_t out_len)
{
    (void)ctx;
    return smq_pwhash_lib_argon2id(passphrase, salt, passes, kib, lanes, out, out_len) == SMQTT_OK;
}

struct smqtt_kdf smq_kdf(void)
{
    return (struct smqtt_kdf){.argon2id = argon2id};
}
