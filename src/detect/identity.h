/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_IDENTITY_H
#define SMQTT_DETECT_IDENTITY_H
/* Inside of an identity (protocol.md 3). */
#include <stdatomic.h>

#include <smqtt/identity.h>

#include "crypto/suite.h"

enum {
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
    uint8_t skid[SMQTT_SKID_LEN];
    uint8_t did[SMQTT_DID_LEN];
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
/** Reads a descriptor; `verify` false leaves out the signature, for what was verified before. Errors of
 * smqtt_identity_read_descriptor. */
SMQ_MUST_USE smqtt_err smq_identity_parse(const struct smqtt_mem *mem, smq_span descriptor, bool verify,
                                          struct smqtt_identity **out);
/** Gives a public half its private keys. SMQTT_E_BAD_IDENTITY when they do not belong to it, SMQTT_E_BAD_KEY. */
SMQ_MUST_USE smqtt_err smq_identity_set_private(struct smqtt_identity *id, const uint8_t sk_kem[SMQ_SK_LEN],
                                                const uint8_t sk_sig[SMQ_SK_LEN]);

#endif
