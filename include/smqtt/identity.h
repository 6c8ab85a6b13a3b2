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
    SMQTT_SKID_LEN = 8,            /**< bytes of what finds a server */
    SMQTT_DID_LEN = 32,            /**< bytes of what names a descriptor */
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
/** Reads the binary descriptor: the public half only. The descriptor must fill the span. Errors as for
 * smqtt_identity_read. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_read_descriptor(const struct smqtt_mem *mem,
                                                                  struct smqtt_span descriptor,
                                                                  struct smqtt_identity **out);
/** Another reference to the same identity; freed when every reference was. NULL gives NULL. */
SMQTT_API struct smqtt_identity *smqtt_identity_ref(struct smqtt_identity *id);
/** Drops a reference; the last one wipes. NULL allowed. */
SMQTT_API void smqtt_identity_free(struct smqtt_identity *id);

/** Writes the public line, without line feed, zero-terminated. SMQTT_E_FULL when cap is too small
 * (SMQTT_IDENTITY_TEXT_MAX always does). */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_public_text(const struct smqtt_identity *id, char *out, size_t cap);
/** Writes the private file's text, zero-terminated. SMQTT_E_USAGE without private keys; SMQTT_E_FULL. Wipe it after
 * use. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_private_text(const struct smqtt_identity *id, char *out, size_t cap);
/** Writes the fingerprint, which is for people to compare: "ABCD-EFGH-…", zero-terminated. */
SMQTT_API void smqtt_identity_fingerprint(const struct smqtt_identity *id, char out[SMQTT_FINGERPRINT_SIZE]);
/** Its name, zero-terminated, valid as long as the identity. */
SMQTT_API const char *smqtt_identity_name(const struct smqtt_identity *id);
/** The name of its suite, "x25519" or "p256". */
SMQTT_API const char *smqtt_identity_suite(const struct smqtt_identity *id);
/** Are the private keys there, or only the public half? */
SMQTT_API bool smqtt_identity_has_private(const struct smqtt_identity *id);
/** Valid at this wall-clock time? */
SMQTT_API bool smqtt_identity_valid_at(const struct smqtt_identity *id, smqtt_ms wall);
/** Its flags: bit 0, as a server it opens no session with a client without credential. */
SMQTT_API uint8_t smqtt_identity_flags(const struct smqtt_identity *id);
/** What finds it as a server: 8 bytes (SMQTT_SKID_LEN), valid as long as the identity. */
SMQTT_API const uint8_t *smqtt_identity_skid(const struct smqtt_identity *id);
/** What names its descriptor, H(core): 32 bytes (SMQTT_DID_LEN), valid as long as the identity. */
SMQTT_API const uint8_t *smqtt_identity_did(const struct smqtt_identity *id);
/** The binary descriptor, valid as long as the identity. */
SMQTT_API struct smqtt_span smqtt_identity_descriptor(const struct smqtt_identity *id);

/** Counts up with each descriptor of the same keys, and from predecessor to successor. */
SMQTT_API uint32_t smqtt_identity_version(const struct smqtt_identity *id);
/** In force from here on: wall-clock milliseconds. */
SMQTT_API smqtt_ms smqtt_identity_not_before(const struct smqtt_identity *id);
/** In force until here: wall-clock milliseconds; 0: no end. */
SMQTT_API smqtt_ms smqtt_identity_not_after(const struct smqtt_identity *id);

/* ---------------------------------------------------------------- renewal, succession (protocol.md 3.1) */

/**
 * The same keys in a new descriptor whose version is one higher.
 * @param id  with private keys
 * @param[out] out  with private keys; free with smqtt_identity_free
 * @retval SMQTT_E_USAGE without private keys; SMQTT_E_FULL the version cannot grow; else as smqtt_identity_new
 */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_renew(const struct smqtt_mem *mem, const struct smqtt_identity *id,
                                                        uint8_t flags, smqtt_ms not_before, smqtt_ms not_after,
                                                        struct smqtt_identity **out);
/**
 * New keys that the old ones vouch for until a moment; name and flags are the old one's.
 * @param old    with private keys
 * @param suite  "x25519" or "p256"; NULL: the old one's
 * @param until  end of the grace time, wall-clock milliseconds, not 0
 * @retval as smqtt_identity_renew and smqtt_identity_new
 */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_succeed(const struct smqtt_mem *mem, const struct smqtt_rng *rng,
                                                          const struct smqtt_identity *old, const char *suite,
                                                          smqtt_ms until, smqtt_ms not_before, smqtt_ms not_after,
                                                          struct smqtt_identity **out);
/** The predecessor that a descriptor names: its skid and the end of the grace time; false when it names none. Whether
 * that one has signed it, smqtt_identity_supersedes tells. */
SMQTT_API bool smqtt_identity_predecessor(const struct smqtt_identity *id, uint8_t skid[SMQTT_SKID_LEN],
                                          smqtt_ms *until);
/**
 * May this descriptor take the place of one that is known?
 * @retval SMQTT_OK      a renewal, or a successor that the known keys have signed and whose grace time is not over;
 *                       also the very same descriptor
 * @retval SMQTT_E_OLD_IDENTITY  the same or the predecessor's keys, but not a higher version
 * @retval SMQTT_E_EXPIRED       it is not in force at `wall`, or the grace time is over
 * @retval SMQTT_E_BAD_SIGNATURE it names the known one as predecessor, which has not signed it
 * @retval SMQTT_E_UNKNOWN_PEER  the two have nothing to do with each other
 * @retval SMQTT_E_CRYPTO, SMQTT_E_NOMEM
 */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_supersedes(const struct smqtt_identity *known,
                                                             const struct smqtt_identity *candidate, smqtt_ms wall);

/* ---------------------------------------------------------------- revocation (protocol.md 3.1) */

enum {
    SMQTT_REVOCATION_LEN = 84,      /**< bytes of a statement */
    SMQTT_REVOCATION_TEXT_MAX = 160 /**< its text with the zero is not longer */
};

/** Why keys were given up. */
enum smqtt_revocation_reason {
    SMQTT_REVOKED_UNSPECIFIED = 0, /**< not said */
    SMQTT_REVOKED_STOLEN = 1,      /**< lost or stolen */
    SMQTT_REVOKED_SUPERSEDED = 2,  /**< others have taken their place */
    SMQTT_REVOKED_UNUSED = 3       /**< out of use */
};

/** Makes the statement that these keys are void, as one line of text, zero-terminated. SMQTT_E_USAGE without private
 * keys, SMQTT_E_CRYPTO. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_revoke(const struct smqtt_identity *id,
                                                         enum smqtt_revocation_reason reason, smqtt_ms at,
                                                         char out[SMQTT_REVOCATION_TEXT_MAX]);
/** A binary statement as a line of a list, zero-terminated. Nothing is verified. SMQTT_E_MALFORMED. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_revocation_text(struct smqtt_span statement,
                                                         char out[SMQTT_REVOCATION_TEXT_MAX]);
/** Is this the binary statement, by these very keys? SMQTT_OK; SMQTT_E_MALFORMED, SMQTT_E_UNKNOWN_PEER (other keys),
 * SMQTT_E_BAD_SIGNATURE, SMQTT_E_CRYPTO. `reason` and `at` may be NULL. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_revocation_check(struct smqtt_span statement, const struct smqtt_identity *id,
                                                          enum smqtt_revocation_reason *reason, smqtt_ms *at);

/** A revocation list. Immutable after it was read. */
struct smqtt_revocations;
/** Reads the text of a list. On SMQTT_E_USAGE *line is the number of the bad line. SMQTT_E_NOMEM. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_revocations_read(const struct smqtt_mem *mem, struct smqtt_span text,
                                                          struct smqtt_revocations **out, unsigned *line);
/** Frees a list. NULL allowed. */
SMQTT_API void smqtt_revocations_free(struct smqtt_revocations *list);
/** Is it on the list (by fingerprint, or by a statement that its keys have signed)? NULL list: no. A statement that
 * cannot be verified for want of memory counts. `reason` and `at` (0: by fingerprint) may be NULL. */
SMQTT_API bool smqtt_revocations_have(const struct smqtt_revocations *list, const struct smqtt_identity *id,
                                      enum smqtt_revocation_reason *reason, smqtt_ms *at);

/* ---------------------------------------------------------------- locked private files (protocol.md 3) */

/** Argon2id, from whoever has it (libargon2); the library itself carries none. False: it failed. */
struct smqtt_kdf {
    /** Fills out_len bytes of out; `kib` is memory in KiB. */
    bool (*argon2id)(void *ctx, struct smqtt_span passphrase, struct smqtt_span salt, uint32_t passes, uint32_t kib,
                     uint32_t lanes, uint8_t *out, size_t out_len);
    void *ctx;                   /**< given to argon2id */
    uint32_t passes, kib, lanes; /**< for writing; 0: 3, 65,536 and 1 */
};
/** As smqtt_identity_private_text, with the keys locked under a passphrase (not empty: SMQTT_E_USAGE). SMQTT_E_RNG,
 * SMQTT_E_CRYPTO, SMQTT_E_NOMEM (the KDF failed). */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_locked_text(const struct smqtt_identity *id,
                                                              struct smqtt_span passphrase, const struct smqtt_kdf *kdf,
                                                              const struct smqtt_rng *rng, char *out, size_t cap);
/** As smqtt_identity_read (which gives SMQTT_E_LOCKED for such a file) of a locked file; of one that is not locked it
 * does the same as that. SMQTT_E_BAD_PASSPHRASE, SMQTT_E_NOMEM (the KDF failed). */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_identity_unlock(const struct smqtt_mem *mem, struct smqtt_span text,
                                                         struct smqtt_span passphrase, const struct smqtt_kdf *kdf,
                                                         struct smqtt_identity **out);

#ifdef __cplusplus
}
#endif
#endif
