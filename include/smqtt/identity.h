/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_IDENTITY_H
#define SMQTT_IDENTITY_H
/**
 * @file identity.h
 * Identities of S-MQTT (docs/protocol.md 3): two key pairs and a signed descriptor. Text in, text out; files are the
 * caller's.
 */
#include <smqtt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A whole identity, or only its public half. Immutable after it was made; may be read from several threads. */
struct smqtt_identity;

enum {
    SMQTT_SKID_LEN = 8,
    SMQTT_DID_LEN = 32,
    SMQTT_NAME_MAX = 63,           /**< bytes of a name */
    SMQTT_FINGERPRINT_SIZE = 40,   /**< eight groups of four, seven dashes, a zero */
    SMQTT_IDENTITY_TEXT_MAX = 4096 /**< no text form is longer */
};

/**
 * Makes new keys and signs the descriptor.
 * @param suite      "x25519" or "p256"
 * @param name       1..63 bytes of UTF-8 that MQTT allows, zero-terminated
 * @param not_before, not_after  wall-clock milliseconds; not_after 0 = no end
 * @param flags      bit 0: as a server, open no session with a client without credential
 * @param[out] out   free with smqtt_identity_free
 * @retval SMQTT_E_SUITE, SMQTT_E_BAD_IDENTITY (name, times, flags), SMQTT_E_RNG, SMQTT_E_NOMEM, SMQTT_E_CRYPTO
 */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_new(const struct smqtt_mem *mem, const struct smqtt_rng *rng,
                                                      const char *suite, const char *name, uint8_t flags,
                                                      smqtt_ms not_before, smqtt_ms not_after,
                                                      struct smqtt_identity **out);
/**
 * Reads a private file's text or a public line, whichever it is; signature, keys and points are verified. The text may
 * hold secrets: the caller wipes it.
 * @retval SMQTT_E_BAD_IDENTITY (form, name, mismatch of keys), SMQTT_E_SUITE, SMQTT_E_BAD_KEY, SMQTT_E_BAD_SIGNATURE,
 * SMQTT_E_NOMEM
 */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_read(const struct smqtt_mem *mem, struct smqtt_span text,
                                                       struct smqtt_identity **out);
/** As above from the binary descriptor; public half only. The descriptor must fill the span. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_read_descriptor(const struct smqtt_mem *mem,
                                                                  struct smqtt_span descriptor,
                                                                  struct smqtt_identity **out);
/** Another reference to the same identity; freed when every reference was. NULL gives NULL. */
SMQTT_API struct smqtt_identity *smqtt_identity_ref(struct smqtt_identity *id);
/** Drops a reference; the last one wipes. NULL allowed. */
SMQTT_API void smqtt_identity_free(struct smqtt_identity *id);

/** The public line, without line feed, zero-terminated. SMQTT_E_FULL when cap is too small (SMQTT_IDENTITY_TEXT_MAX
 * always does). */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_public_text(const struct smqtt_identity *id, char *out, size_t cap);
/** The private file's text. SMQTT_E_USAGE without private keys; SMQTT_E_FULL. Wipe it after use. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_private_text(const struct smqtt_identity *id, char *out, size_t cap);
/** For people to compare: "ABCD-EFGH-…". */
SMQTT_API void smqtt_identity_fingerprint(const struct smqtt_identity *id, char out[SMQTT_FINGERPRINT_SIZE]);
/** Zero-terminated, valid as long as the identity. */
SMQTT_API const char *smqtt_identity_name(const struct smqtt_identity *id);
/** "x25519" or "p256". */
SMQTT_API const char *smqtt_identity_suite(const struct smqtt_identity *id);
SMQTT_API bool smqtt_identity_has_private(const struct smqtt_identity *id);
/** Valid at this wall-clock time? */
SMQTT_API bool smqtt_identity_valid_at(const struct smqtt_identity *id, smqtt_ms wall);
SMQTT_API uint8_t smqtt_identity_flags(const struct smqtt_identity *id);
/** 8 bytes, valid as long as the identity. */
SMQTT_API const uint8_t *smqtt_identity_skid(const struct smqtt_identity *id);
/** 32 bytes, H(core), valid as long as the identity. */
SMQTT_API const uint8_t *smqtt_identity_did(const struct smqtt_identity *id);
/** The binary descriptor, valid as long as the identity. */
SMQTT_API struct smqtt_span smqtt_identity_descriptor(const struct smqtt_identity *id);

#ifdef __cplusplus
}
#endif
#endif
