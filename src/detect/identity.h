/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_IDENTITY_H
#define SMQTT_DETECT_IDENTITY_H
/* Inside of an identity (protocol.md 3). */
#include <stdatomic.h>

#include <smqtt/identity.h>

#include "base/wr.h"
#include "crypto/suite.h"

enum {
    SMQ_TLV_PREDECESSOR = 1, /* of the core: skid, until, signature */
    SMQ_PREDECESSOR_SIG = SMQTT_SKID_LEN + 8,
    SMQ_PREDECESSOR_LEN = SMQ_PREDECESSOR_SIG + SMQ_SIG_LEN,
    SMQ_DESCRIPTOR_MAX = 2048, /* bytes; with unknown entries of a later version */
    SMQ_FLAG_CREDENTIAL = 0x01 /* as a server, open no session with a client without credential */
};

struct smqtt_identity {
    const struct smqtt_mem *mem;
    atomic_uint refs;
    const struct smq_suite *suite;
    uint8_t flags;
    uint32_t version;
    smqtt_ms not_before;
    smqtt_ms not_after;
    char name[SMQTT_NAME_MAX + 1];
    uint8_t pk_kem[SMQ_PK_MAX];
    uint8_t pk_sig[SMQ_PK_MAX];
    bool has_private;
    uint8_t sk_kem[SMQ_SK_LEN];
    uint8_t sk_sig[SMQ_SK_LEN];
    struct smq_dh_key *kem; /* both made ready for use; NULL without private keys */
    struct smq_sign_key *signer;
    uint8_t skid[SMQTT_SKID_LEN];
    uint8_t did[SMQTT_DID_LEN];
    const uint8_t *predecessor; /* TLV 1 within the descriptor; NULL: none */
    size_t core_len;
    size_t len;
    uint8_t descriptor[]; /* len bytes */
};

/** What smqtt_identity_new makes of keys that are there already; for vectors and renewals. Errors as there. */
struct smq_identity_plan {
    const struct smq_suite *suite;
    const char *name;
    uint8_t flags;
    uint32_t version;
    smqtt_ms not_before;
    smqtt_ms not_after;
    const uint8_t *sk_kem; /* 32 bytes each */
    const uint8_t *sk_sig;
};
SMQ_MUST_USE smqtt_err smq_identity_make(const struct smqtt_mem *mem, const struct smq_identity_plan *plan,
                                         struct smqtt_identity **out);
/** As above; the keys of `old`, which has private ones, vouch for it until a moment. NULL: nobody does. */
SMQ_MUST_USE smqtt_err smq_identity_make_successor(const struct smqtt_mem *mem, const struct smq_identity_plan *plan,
                                                   const struct smqtt_identity *old, smqtt_ms until,
                                                   struct smqtt_identity **out);
/** Reads a descriptor; `verify` false leaves out the signature, for what was verified before. Errors of
 * smqtt_identity_read_descriptor. */
SMQ_MUST_USE smqtt_err smq_identity_parse(const struct smqtt_mem *mem, smq_span descriptor, bool verify,
                                          struct smqtt_identity **out);
/** Gives a public half its private keys. SMQTT_E_BAD_IDENTITY when they do not belong to it, SMQTT_E_BAD_KEY,
 * SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_identity_set_private(struct smqtt_identity *id, const uint8_t sk_kem[SMQ_SK_LEN],
                                                const uint8_t sk_sig[SMQ_SK_LEN]);
/** Are these descriptors of the same keys? */
bool smq_identity_same_keys(const struct smqtt_identity *a, const struct smqtt_identity *b);
/** Has it the length and first byte of a revocation? */
bool smq_revocation_is(smq_span bytes);

/* ---------------------------------------------------------------- identity_text.c: texts of people */

/** Takes the next line that is no comment and not empty off the text; false when there is none. `number`, which may be
 * NULL, counts all lines. */
bool smq_text_line(smq_span *text, smq_span *line, unsigned *number);
/** Splits at the first space; without one the rest is empty. */
smq_span smq_text_word(smq_span *s);
/** Writes bytes as base64url, at most SMQ_DESCRIPTOR_MAX. */
void smq_text_base64(struct smq_wr *wr, smq_span bytes);
/** Writes the beginning of a private file, up to the line of the public half. */
void smq_text_private_head(struct smq_wr *wr, const struct smqtt_identity *id);

/** What opens a locked file. */
struct smq_unlock {
    smq_span passphrase;
    const struct smqtt_kdf *kdf; /* NULL: nothing does */
};
/** smqtt_identity_read and smqtt_identity_unlock in one. */
SMQ_MUST_USE smqtt_err smq_identity_read_text(const struct smqtt_mem *mem, smq_span text,
                                              const struct smq_unlock *unlock, struct smqtt_identity **out);
/** identity_lock.c: opens what stands behind `locked: `. The form is checked first. SMQTT_E_BAD_IDENTITY,
 * SMQTT_E_LOCKED, SMQTT_E_BAD_PASSPHRASE, SMQTT_E_NOMEM, SMQTT_E_CRYPTO. The keys are wiped on failure. */
SMQ_MUST_USE smqtt_err smq_identity_lock_open(const struct smqtt_identity *id, smq_span locked,
                                              const struct smq_unlock *unlock, uint8_t sk_kem[SMQ_SK_LEN],
                                              uint8_t sk_sig[SMQ_SK_LEN]);

#endif
