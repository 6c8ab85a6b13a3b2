/* SPDX-License-Identifier: Apache-2.0 */
/* Private files whose keys are locked with a passphrase (protocol.md 3). */
#include "base/hex.h"
#include "base/mem.h"
#include "detect/identity.h"
#include "detect/schedule.h"

#define KDF_NAME "argon2id"
#define AAD_TEXT "S-MQTT/1 locked"

enum { PASSES = 3, KIB = 65536, LANES = 1 };
enum { PASSES_MAX = 64, KIB_MAX = 4 << 20, LANES_MAX = 64, KIB_A_LANE_MIN = 8, DIGITS_MAX = 10 };
enum { SALT_LEN = 16, KEYS_LEN = 2 * SMQ_SK_LEN, BOX_LEN = KEYS_LEN + SMQ_TAG_LEN, ONCE_MAX = SMQ_NK_MAX + 12 };

struct parameters {
    uint32_t passes, kib, lanes;
};

/** Argon2 itself wants 8 KiB for each lane. */
static bool parameters_ok(const struct parameters *p)
{
    return p->passes >= 1 && p->passes <= PASSES_MAX && p->lanes >= 1 && p->lanes <= LANES_MAX &&
           p->kib >= KIB_A_LANE_MIN * p->lanes && p->kib <= KIB_MAX;
}

/** Key and nonce of a passphrase. SMQTT_E_NOMEM. */
static smqtt_err once_derive(const struct smq_suite *suite, const struct smqtt_kdf *kdf, smq_span passphrase,
                             const uint8_t *salt, const struct parameters *p, struct smq_once *once)
{
    uint8_t bytes[ONCE_MAX] = {0};
    bool ok = kdf->argon2id(kdf->ctx, passphrase, smq_span_of(salt, SALT_LEN), p->passes, p->kib, p->lanes, bytes,
                            suite->nk + SMQ_NONCE_LEN);
    memcpy(once->key, bytes, suite->nk);
    memcpy(once->nonce, bytes + suite->nk, SMQ_NONCE_LEN);
    smq_wipe(bytes, sizeof(bytes));
    return ok ? SMQTT_OK : SMQTT_E_NOMEM;
}

enum { AAD_LEN = sizeof(AAD_TEXT) + SMQTT_DID_LEN };

static smq_span aad_make(const struct smqtt_identity *id, uint8_t out[AAD_LEN])
{
    memcpy(out, AAD_TEXT, sizeof(AAD_TEXT)); /* with its zero */
    memcpy(out + sizeof(AAD_TEXT), id->did, SMQTT_DID_LEN);
    return smq_span_of(out, AAD_LEN);
}

/* ---------------------------------------------------------------- writing */

static smqtt_err box_seal(const struct smqtt_identity *id, const struct smq_once *once, uint8_t box[BOX_LEN])
{
    uint8_t aad[AAD_LEN];
    uint8_t keys[KEYS_LEN];
    memcpy(keys, id->sk_kem, SMQ_SK_LEN);
    memcpy(keys + SMQ_SK_LEN, id->sk_sig, SMQ_SK_LEN);
    smqtt_err err = smq_schedule_seal_once(id->suite, once, aad_make(id, aad), smq_span_of(keys, KEYS_LEN), box);
    smq_wipe(keys, sizeof(keys));
    return err;
}

static void decimal_put(struct smq_wr *wr, uint32_t v)
{
    char text[DIGITS_MAX];
    size_t at = sizeof(text);
    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    smq_wr_u8(wr, ' ');
    smq_wr_bytes(wr, text + at, sizeof(text) - at);
}

smqtt_err smqtt_identity_locked_text(const struct smqtt_identity *id, struct smqtt_span passphrase,
                                     const struct smqtt_kdf *kdf, const struct smqtt_rng *rng, char *out, size_t cap)
{
    const struct parameters p = {kdf->passes != 0 ? kdf->passes : PASSES, kdf->kib != 0 ? kdf->kib : KIB,
                                 kdf->lanes != 0 ? kdf->lanes : LANES};
    uint8_t salt[SALT_LEN];
    uint8_t box[BOX_LEN];
    struct smq_once once = {{0}, {0}};
    if (!id->has_private || passphrase.len == 0 || !parameters_ok(&p)) {
        return SMQTT_E_USAGE;
    }
    if (!rng->fill(rng->ctx, salt, sizeof(salt))) {
        return SMQTT_E_RNG;
    }
    smqtt_err err = once_derive(id->suite, kdf, passphrase, salt, &p, &once);
    if (err == SMQTT_OK) {
        err = box_seal(id, &once, box);
    }
    smq_wipe(&once, sizeof(once));
    SMQ_TRY(err);
    struct smq_wr wr = smq_wr_of((uint8_t *)out, cap);
    smq_text_private_head(&wr, id);
    smq_wr_put(&wr, smq_span_str("locked: " KDF_NAME));
    decimal_put(&wr, p.passes);
    decimal_put(&wr, p.kib);
    decimal_put(&wr, p.lanes);
    smq_wr_u8(&wr, ' ');
    smq_text_base64(&wr, smq_span_of(salt, sizeof(salt)));
    smq_wr_u8(&wr, ' ');
    smq_text_base64(&wr, smq_span_of(box, sizeof(box)));
    smq_wr_put(&wr, smq_span_of("\n", 2)); /* with its zero */
    return smq_wr_ok(&wr) ? SMQTT_OK : SMQTT_E_FULL;
}

/* ---------------------------------------------------------------- reading */

/** Digits without a leading zero, and no more than a u32 holds; 0, which is no parameter, for what is none. */
static uint32_t decimal_read(smq_span word)
{
    uint64_t v = 0;
    if (word.len == 0 || word.len > DIGITS_MAX || word.data[0] == '0') {
        return 0;
    }
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') {
            return 0;
        }
        v = v * 10 + (uint64_t)(word.data[i] - '0');
    }
    return v <= UINT32_MAX ? (uint32_t)v : 0;
}

static bool exact_read(smq_span word, uint8_t *out, size_t wanted)
{
    size_t len = 0;
    return smq_base64url_decode(out, wanted, word, &len) == SMQTT_OK && len == wanted;
}

smqtt_err smq_identity_lock_open(const struct smqtt_identity *id, smq_span locked, const struct smq_unlock *unlock,
                                 uint8_t sk_kem[SMQ_SK_LEN], uint8_t sk_sig[SMQ_SK_LEN])
{
    uint8_t salt[SALT_LEN];
    uint8_t box[BOX_LEN];
    uint8_t aad[AAD_LEN];
    struct smq_once once = {{0}, {0}};
    bool known = smq_span_equal(smq_text_word(&locked), smq_span_str(KDF_NAME));
    struct parameters p = {0, 0, 0};
    p.passes = decimal_read(smq_text_word(&locked));
    p.kib = decimal_read(smq_text_word(&locked));
    p.lanes = decimal_read(smq_text_word(&locked));
    if (!known || !parameters_ok(&p) || !exact_read(smq_text_word(&locked), salt, sizeof(salt)) ||
        !exact_read(locked, box, sizeof(box))) {
        return SMQTT_E_BAD_IDENTITY;
    }
    if (unlock->kdf == NULL) {
        return SMQTT_E_LOCKED;
    }
    if (unlock->passphrase.len == 0) {
        return SMQTT_E_BAD_PASSPHRASE;
    }
    smqtt_err err = once_derive(id->suite, unlock->kdf, unlock->passphrase, salt, &p, &once);
    if (err == SMQTT_OK) {
        err = smq_schedule_open_once(id->suite, &once, aad_make(id, aad), smq_span_of(box, sizeof(box)), box);
    }
    smq_wipe(&once, sizeof(once));
    if (err == SMQTT_OK) {
        memcpy(sk_kem, box, SMQ_SK_LEN);
        memcpy(sk_sig, box + SMQ_SK_LEN, SMQ_SK_LEN);
    }
    smq_wipe(box, sizeof(box));
    return err == SMQTT_E_BAD_TAG ? SMQTT_E_BAD_PASSPHRASE : err;
}

smqtt_err smqtt_identity_unlock(const struct smqtt_mem *mem, struct smqtt_span text, struct smqtt_span passphrase,
                                const struct smqtt_kdf *kdf, struct smqtt_identity **out)
{
    const struct smq_unlock unlock = {passphrase, kdf};
    return smq_identity_read_text(mem, text, &unlock, out);
}
