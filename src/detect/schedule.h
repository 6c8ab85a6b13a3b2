/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_SCHEDULE_H
#define SMQTT_DETECT_SCHEDULE_H
/* The key schedule of S-MQTT (protocol.md 2, 4, 6.2): every label, every transcript hash, every derivation. The one
 * place of this floor that chooses a cryptographic library. All functions below that are not described otherwise fail
 * with SMQTT_E_CRYPTO or SMQTT_E_NOMEM. */
#include "crypto/hkdf.h"
#include "crypto/suite.h"

/* Labels of sign(). */
#define SMQ_SIGN_DESCRIPTOR "descriptor"
#define SMQ_SIGN_STEP2      "step 2"
#define SMQ_SIGN_STEP3      "step 3"
#define SMQ_SIGN_NOTICE     "notice"
#define SMQ_SIGN_REGISTER   "register"
#define SMQ_SIGN_SUCCESSOR  "successor"
#define SMQ_SIGN_REVOCATION "revocation"

/* Labels of expand(). */
#define SMQ_LABEL_STEP2    "s hs"
#define SMQ_LABEL_STEP3    "c hs"
#define SMQ_LABEL_MASTER   "ms"
#define SMQ_LABEL_ACK      "ack"
#define SMQ_LABEL_CLOSE    "close"
#define SMQ_LABEL_C2S      "c2s"
#define SMQ_LABEL_S2C      "s2c"
#define SMQ_LABEL_EXPORTER "exporter"
#define SMQ_LABEL_RESUME   "resumption"
#define SMQ_LABEL_KEY      "key"
#define SMQ_LABEL_IV       "iv"
#define SMQ_LABEL_KID      "kid"
#define SMQ_LABEL_UPDATE   "upd"

enum { SMQ_INFO_MAX = 64, SMQ_NK_MAX = 32 };

/** A key and nonce that seal exactly one message. */
struct smq_once {
    uint8_t key[SMQ_NK_MAX];
    uint8_t nonce[SMQ_NONCE_LEN];
};

/** The library in use. */
const struct smq_crypto_lib *smq_schedule_lib(void);

/** H over the parts. */
SMQ_MUST_USE smqtt_err smq_schedule_hash(const smq_span *parts, size_t n, uint8_t out[SMQ_HASH_LEN]);
/** expand(secret, label, context, len) of protocol.md 2. */
SMQ_MUST_USE smqtt_err smq_schedule_expand(const uint8_t secret[SMQ_HASH_LEN], const char *label, smq_span context,
                                           uint8_t *out, size_t len);
/** The same from the secret of a run, for where several things come from one secret. SMQTT_E_USAGE: it has none. */
SMQ_MUST_USE smqtt_err smq_schedule_run_expand(struct smq_hkdf *kdf, const char *label, smq_span context, uint8_t *out,
                                               size_t len);
/** Begins a run of derivations from this secret; end it with smq_hkdf_end, after a failure too. */
SMQ_MUST_USE smqtt_err smq_schedule_run(struct smq_hkdf *kdf, const uint8_t secret[SMQ_HASH_LEN]);
/** Key and nonce of one message from the secret of a run: expand(secret, label, context, nk + 12). */
SMQ_MUST_USE smqtt_err smq_schedule_run_once(struct smq_hkdf *kdf, const struct smq_suite *suite, const char *label,
                                             const uint8_t context[SMQ_HASH_LEN], struct smq_once *out);
/** Key and nonce of one message likewise. */
SMQ_MUST_USE smqtt_err smq_schedule_once(const struct smq_suite *suite, const uint8_t secret[SMQ_HASH_LEN],
                                         const char *label, const uint8_t context[SMQ_HASH_LEN], struct smq_once *out);
/** sign(sk, label, content) of protocol.md 2, the content in at most 4 parts. pk: the public key of sk, surely (see
 * crypto/lib.h). SMQTT_E_BAD_KEY too. */
SMQ_MUST_USE smqtt_err smq_schedule_sign(const struct smq_suite *suite, const uint8_t sk[SMQ_SK_LEN], const uint8_t *pk,
                                         const char *label, const smq_span *content, size_t n,
                                         uint8_t sig[SMQ_SIG_LEN]);
/** The same with a key that was made ready. */
SMQ_MUST_USE smqtt_err smq_schedule_sign_with(const struct smq_sign_key *key, const char *label,
                                              const smq_span *content, size_t n, uint8_t sig[SMQ_SIG_LEN]);
/** Verifies what smq_schedule_sign made. SMQTT_E_BAD_SIGNATURE, SMQTT_E_BAD_KEY. */
SMQ_MUST_USE smqtt_err smq_schedule_verify(const struct smq_suite *suite, const uint8_t *pk, const char *label,
                                           const smq_span *content, size_t n, const uint8_t sig[SMQ_SIG_LEN]);
/** Seals the one message of a key: out gets pt.len + 16 bytes and may be pt.data. */
SMQ_MUST_USE smqtt_err smq_schedule_seal_once(const struct smq_suite *suite, const struct smq_once *once, smq_span aad,
                                              smq_span pt, uint8_t *out);
/** Opens it: out gets ct.len - 16 bytes. SMQTT_E_BAD_TAG, also for what is too short. */
SMQ_MUST_USE smqtt_err smq_schedule_open_once(const struct smq_suite *suite, const struct smq_once *once, smq_span aad,
                                              smq_span ct, uint8_t *out);

/** info1 = "S-MQTT/1 detect" 00 suite did(S); returns its length. */
size_t smq_schedule_info1(const struct smq_suite *suite, const uint8_t did[SMQ_HASH_LEN], uint8_t out[SMQ_INFO_MAX]);
/** info2 = "S-MQTT/1 reply" 00 suite TH1; returns its length. */
size_t smq_schedule_info2(const struct smq_suite *suite, const uint8_t th1[SMQ_HASH_LEN], uint8_t out[SMQ_INFO_MAX]);
/** TH1 of a step 0 packet: its canonical header byte 0x01 and the body behind it. */
SMQ_MUST_USE smqtt_err smq_schedule_th1(smq_span packet, uint8_t out[SMQ_HASH_LEN]);
/** TH2 of step 2: header byte, and of the body everything before ct2 (ver, suite, cid, enc2). */
SMQ_MUST_USE smqtt_err smq_schedule_th2(const uint8_t th1[SMQ_HASH_LEN], uint8_t header, smq_span clear,
                                        uint8_t out[SMQ_HASH_LEN]);
/** TH3 with the header byte of step 3. */
SMQ_MUST_USE smqtt_err smq_schedule_th3(const uint8_t th2[SMQ_HASH_LEN], smq_span ct2, uint8_t header,
                                        uint8_t out[SMQ_HASH_LEN]);
/** Begins a run from HS = HKDF-Extract(x1, x2); end it with smq_hkdf_end, after a failure too. */
SMQ_MUST_USE smqtt_err smq_schedule_hs(struct smq_hkdf *kdf, const uint8_t x1[SMQ_HASH_LEN],
                                       const uint8_t x2[SMQ_HASH_LEN], uint8_t out[SMQ_HASH_LEN]);
/** MS = expand(HS, "ms", H(TH3, ct3), 32), HS being the secret of the run. */
SMQ_MUST_USE smqtt_err smq_schedule_ms(struct smq_hkdf *kdf, const uint8_t th3[SMQ_HASH_LEN], smq_span ct3,
                                       uint8_t out[SMQ_HASH_LEN]);
/** ctx of the records. */
SMQ_MUST_USE smqtt_err smq_schedule_ctx(const uint8_t th3[SMQ_HASH_LEN], smq_span ct3, uint8_t out[SMQ_HASH_LEN]);

#endif
