/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_RECORD_H
#define SMQTT_DETECT_RECORD_H
/* Records (protocol.md 6.1, 6.2): form, keys of a generation, sealing and opening. */
#include "base/rd.h"
#include "base/wr.h"
#include "detect/schedule.h"

enum smq_way { SMQ_WAY_C2S = 0, SMQ_WAY_S2C = 1 };

enum smq_record_bits {
    SMQ_RECORD_FORM = 0x80,
    SMQ_RECORD_FORM_MASK = 0xC0,
    SMQ_RECORD_GROUP = 0x20,
    SMQ_RECORD_LOGICAL = 0x10,
    SMQ_RECORD_RESERVED = 0x08,
    SMQ_RECORD_SEQ_MASK = 0x07
};

enum smq_content_bits {
    SMQ_CONTENT_TEXT = 0x01,
    SMQ_CONTENT_TLVS = 0x02,
    SMQ_CONTENT_RECEIPT = 0x04,  /* a receipt is wanted */
    SMQ_CONTENT_RECEIPTS = 0x08, /* the payload is receipts */
    SMQ_CONTENT_RESERVED = 0xF0
};

enum { SMQ_KID_LEN = 4, SMQ_RECORD_HEAD_MAX = 1 + SMQ_KID_LEN + 8, SMQ_AAD_FIXED = 50, SMQ_RECORD_TLVS_MAX = 65535 };

/** Keys of one generation of one way. Secret: deinit it. */
struct smq_gen {
    const struct smq_suite *suite; /* NULL: there is none */
    uint8_t secret[SMQ_HASH_LEN];
    uint8_t kid[SMQ_KID_LEN];
    uint8_t iv[SMQ_NONCE_LEN];
    struct smq_aead_key *aead;  /* NULL until first used */
    uint8_t aad[SMQ_AAD_FIXED]; /* the inner array up to kid */
};

/** Derives kid; key and iv come with the first use. SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_gen_init(struct smq_gen *gen, const struct smq_suite *suite,
                                    const uint8_t secret[SMQ_HASH_LEN], enum smq_way way,
                                    const uint8_t ctx[SMQ_HASH_LEN]);
/** The generation after it; ctx and way stay. */
SMQ_MUST_USE smqtt_err smq_gen_next(const struct smq_gen *gen, struct smq_gen *next);
/** Both on a run of derivations that has begun; its secret is another one afterwards. */
SMQ_MUST_USE smqtt_err smq_gen_run_init(struct smq_hkdf *kdf, struct smq_gen *gen, const struct smq_suite *suite,
                                        const uint8_t secret[SMQ_HASH_LEN], enum smq_way way,
                                        const uint8_t ctx[SMQ_HASH_LEN]);
SMQ_MUST_USE smqtt_err smq_gen_run_next(struct smq_hkdf *kdf, const struct smq_gen *gen, struct smq_gen *next);
/** Derives key and iv if it has not yet been done. SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_gen_ready(struct smq_gen *gen);
/** Wipes; harmless on a zeroed one. */
void smq_gen_deinit(struct smq_gen *gen);

/** The clear part; box lies in the record. */
struct smq_record {
    uint8_t first;
    uint8_t kid[SMQ_KID_LEN];
    uint64_t seq;
    smq_span box;
};
/** Could this payload be a record, by its first byte? */
static inline bool smq_record_is(smq_span payload)
{
    return payload.len != 0 && (payload.data[0] & SMQ_RECORD_FORM_MASK) == SMQ_RECORD_FORM;
}
/** SMQTT_E_MALFORMED: not the form of a record of 1.0. */
SMQ_MUST_USE smqtt_err smq_record_read(smq_span payload, struct smq_record *out);

/** What is sealed besides the payload. */
struct smq_sealed {
    uint8_t content; /* SMQ_CONTENT_TLVS is set by who writes */
    bool has_time, has_expiry;
    uint64_t time;
    uint32_t expiry_s;
    smq_span content_type, response_topic, correlation_data, logical_topic; /* data NULL: absent */
    uint16_t padding;
    smq_span payload;
};
/** Bytes of the record that smq_record_seal makes. */
size_t smq_record_size(const struct smq_sealed *sealed, uint64_t seq);
/** Seals under gen and seq for the topic of the PUBLISH (not used with a logical topic). out: at least
 * smq_record_size bytes, must not overlap. SMQTT_E_CRYPTO, SMQTT_E_NOMEM, SMQTT_E_TOO_LARGE (TLVs). */
SMQ_MUST_USE smqtt_err smq_record_seal(const struct smqtt_mem *mem, struct smq_gen *gen, uint64_t seq, smq_span topic,
                                       const struct smq_sealed *sealed, uint8_t *out, size_t *len);
/** Opens into out (room for box.len - 16 bytes). SMQTT_E_BAD_TAG, SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_record_open(const struct smqtt_mem *mem, struct smq_gen *gen,
                                       const struct smq_record *record, smq_span topic, uint8_t *out);
/** Reads what a record held; spans lie in pt. logical: does the clear part have L? SMQTT_E_MALFORMED. */
SMQ_MUST_USE smqtt_err smq_sealed_read(smq_span pt, bool logical, struct smq_sealed *out);

/** The additional data, for vectors: returns its length; out: SMQ_AAD_FIXED + 48 + topic.len bytes. */
size_t smq_record_aad(const struct smq_gen *gen, uint64_t seq, uint8_t first, smq_span topic, uint8_t *out);

#endif
