/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/suite.h"

#include "base/mem.h"

/* A scalar of P-256 is refused once in 2^32 draws; so many in a row mean that the generator does not work. */
enum { DRAWS_MAX = 8 };

static const struct smq_suite suites[] = {
#define SUITE(id, name, curve, sign, aead, kem_id, aead_id, npk, nspk, nk) \
    {id, name, SMQ_CURVE_##curve, SMQ_SIGN_##sign, SMQ_AEAD_##aead, kem_id, aead_id, npk, nspk, nk},
#include "crypto/suite.def"
#undef SUITE
};

const struct smq_suite *smq_suite_by_id(uint8_t id)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(suites); i++) {
        if (suites[i].id == id) {
            return &suites[i];
        }
    }
    return NULL;
}

const struct smq_suite *smq_suite_by_name(const char *name)
{
    for (size_t i = 0; name != NULL && i < SMQ_ARRAY_LEN(suites); i++) {
        if (strcmp(suites[i].name, name) == 0) {
            return &suites[i];
        }
    }
    return NULL;
}

const struct smq_suite *smq_suite_at(size_t i)
{
    return i < SMQ_ARRAY_LEN(suites) ? &suites[i] : NULL;
}

smqtt_err smq_suite_keygen(const struct smq_crypto_lib *lib, const struct smq_suite *suite, const struct smqtt_rng *rng,
                           uint8_t sk[SMQ_SK_LEN])
{
    uint8_t drawn[SMQ_SK_LEN] = {0};
    smqtt_err err = SMQTT_E_RNG;
    for (unsigned i = 0; i < DRAWS_MAX && err != SMQTT_OK; i++) {
        if (!rng->fill(rng->ctx, drawn, sizeof(drawn))) {
            break;
        }
        /* Any 32 bytes are a key of Ed25519; ECDSA has the keys of its curve. */
        err = lib->dh_is_private(suite->curve, drawn) ? SMQTT_OK : SMQTT_E_RNG;
    }
    if (err == SMQTT_OK) {
        memcpy(sk, drawn, sizeof(drawn));
    }
    smq_wipe(drawn, sizeof(drawn));
    return err;
}
