/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_RELAY_H
#define SMQTT_DETECT_RELAY_H
/* What a broker needs of S-MQTT without taking part in it: the clear fields of DETECT bodies, the RETRY that it sends
 * itself, and the registration of servers (protocol.md 9). */
#include <smqtt/identity.h>
#include <smqtt/secure.h>

#include "base/span.h"

enum { SMQ_DETECT_VER = 0xD1, SMQ_CID_LEN = 8, SMQ_CHALLENGE_LEN = 32, SMQ_RETRY_MAX = 64, SMQ_REGISTER_MAX = 128 };

/** The clear part of a body. */
struct smq_relay_head {
    uint8_t suite; /* steps 0 and 2, RETRY; else 0 */
    uint8_t cid[SMQ_CID_LEN];
    bool has_skid; /* steps 0 and 3 */
    uint8_t skid[SMQTT_SKID_LEN];
};
/** Reads it by the header byte (0x01/0x03, 0x02, 0x04/0x0C, 0x07/0x0F, 0x06/0x0E). SMQTT_E_MALFORMED: wrong version,
 * too short for its step, unknown header. */
SMQ_MUST_USE smqtt_err smq_relay_head_read(uint8_t header, smq_span body, struct smq_relay_head *out);
/** Body of the RETRY (0x02) that answers a step 0, with a status of the hint range and no cookie. Returns its length.
 */
size_t smq_relay_retry_write(const struct smq_relay_head *head, uint8_t status, smqtt_ms wall,
                             uint8_t out[SMQ_RETRY_MAX]);

/* A broker that has an identity itself (opener_record.c). */

/** For who does not give an opener records whose key smqtt_opener_knows not, as a broker, which passes them on: one
 * came on this topic, and if the opener serves that its sender may have a session that it has lost. A notice follows
 * where one is due (protocol.md 6.6); without memory or randomness there is none. */
void smq_opener_tell_unknown(struct smqtt_opener *o, smq_span topic, uint32_t kid, struct smqtt_now now);

/* Registration (protocol.md 9.2). Topics: */
#define SMQ_REGISTER_TOPIC_PREFIX "$SMQTT/"
#define SMQ_REGISTER_TOPIC        "$SMQTT/register"
#define SMQ_CHALLENGE_TOPIC       "$SMQTT/challenge"
#define SMQ_PROOF_TOPIC           "$SMQTT/proof"
#define SMQ_REGISTERED_TOPIC      "$SMQTT/registered"

/** Reads `$SMQTT/register`: a public identity, signature verified and valid at `wall`. SMQTT_E_MALFORMED,
 * SMQTT_E_BAD_IDENTITY, SMQTT_E_BAD_SIGNATURE, SMQTT_E_EXPIRED… */
SMQ_MUST_USE smqtt_err smq_register_read(const struct smqtt_mem *mem, smq_span payload, smqtt_ms wall,
                                         struct smqtt_identity **out);
/** Payload of `$SMQTT/challenge`; returns its length. */
size_t smq_register_challenge_write(const uint8_t skid[SMQTT_SKID_LEN], const uint8_t challenge[SMQ_CHALLENGE_LEN],
                                    uint8_t out[SMQ_REGISTER_MAX]);
/** Reads and verifies `$SMQTT/proof` of the identity for this challenge and MQTT client id. SMQTT_E_MALFORMED,
 * SMQTT_E_BAD_SIGNATURE. */
SMQ_MUST_USE smqtt_err smq_register_proof_check(smq_span payload, const struct smqtt_identity *id,
                                                const uint8_t challenge[SMQ_CHALLENGE_LEN], smq_span client_id);
/** skid that a `$SMQTT/proof` names, before it is verified. SMQTT_E_MALFORMED. */
SMQ_MUST_USE smqtt_err smq_register_proof_skid(smq_span payload, uint8_t skid[SMQTT_SKID_LEN]);
/** Payload of `$SMQTT/registered`; returns its length. */
size_t smq_register_result_write(const uint8_t skid[SMQTT_SKID_LEN], uint8_t status, uint8_t out[SMQ_REGISTER_MAX]);

/* The server's half of it. */

/** Reads `$SMQTT/challenge` for this skid. SMQTT_E_MALFORMED. */
SMQ_MUST_USE smqtt_err smq_register_challenge_read(smq_span payload, const uint8_t skid[SMQTT_SKID_LEN],
                                                   uint8_t challenge[SMQ_CHALLENGE_LEN]);
/** Payload of `$SMQTT/proof`. SMQTT_E_USAGE (no private key), SMQTT_E_CRYPTO. */
SMQ_MUST_USE smqtt_err smq_register_proof_write(const struct smqtt_identity *id,
                                                const uint8_t challenge[SMQ_CHALLENGE_LEN], smq_span client_id,
                                                uint8_t out[SMQ_REGISTER_MAX], size_t *len);
/** Reads `$SMQTT/registered` for this skid. SMQTT_E_MALFORMED. */
SMQ_MUST_USE smqtt_err smq_register_result_read(smq_span payload, const uint8_t skid[SMQTT_SKID_LEN], uint8_t *status);

#endif
