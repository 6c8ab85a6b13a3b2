/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/record.h"

#include "base/mem.h"
#include "detect/tlv.h"

enum {
    TLV_TIME = 1,
    TLV_EXPIRY = 2,
    TLV_CONTENT_TYPE = 3,
    TLV_RESPONSE_TOPIC = 4,
    TLV_CORRELATION = 5,
    TLV_LOGICAL_TOPIC = 9,
    TLV_PADDING = 10
};

enum cbor_major { CBOR_UINT = 0x00, CBOR_BSTR = 0x40, CBOR_TSTR = 0x60, CBOR_ARRAY = 0x80 };

enum { AAD_AROUND = 48 /* more than everything but the fixed part and the topic */, AAD_STACK = 512 };

/* ---------------------------------------------------------------- CBOR, deterministic (RFC 8949 section 4.2.1) */

static void cbor_head(struct smq_wr *wr, enum cbor_major major, uint64_t v)
{
    if (v < 24) {
        smq_wr_u8(wr, (uint8_t)(major | v));
        return;
    }
    unsigned log = v <= UINT8_MAX ? 0 : v <= UINT16_MAX ? 1 : v <= UINT32_MAX ? 2 : 3;
    smq_wr_u8(wr, (uint8_t)(major | (24 + log)));
    smq_wr_uint(wr, v, (size_t)1 << log);
}

static size_t cbor_head_len(uint64_t v)
{
    return v < 24 ? 1 : v <= UINT8_MAX ? 2 : v <= UINT16_MAX ? 3 : v <= UINT32_MAX ? 5 : 9;
}

static void cbor_put(struct smq_wr *wr, enum cbor_major major, smq_span s)
{
    cbor_head(wr, major, s.len);
    smq_wr_put(wr, s);
}

/** The inner array up to kid: what all records of a generation share. */
static void aad_fix(struct smq_gen *gen, enum smq_way way, const uint8_t ctx[SMQ_HASH_LEN])
{
    struct smq_wr wr = smq_wr_of(gen->aad, sizeof(gen->aad));
    cbor_head(&wr, CBOR_ARRAY, 7);
    cbor_put(&wr, CBOR_TSTR, smq_span_str("S-MQTT/1"));
    cbor_put(&wr, CBOR_BSTR, smq_span_of(ctx, SMQ_HASH_LEN));
    cbor_head(&wr, CBOR_UINT, way);
    cbor_put(&wr, CBOR_BSTR, smq_span_of(gen->kid, SMQ_KID_LEN));
}

/** The outer array up to the head of its second byte string: "Encrypt0" and {1: COSE alg}, 24 or 1. */
static smq_span aad_outer(const struct smq_suite *suite)
{
    static const uint8_t CHACHA[] = {0x83, 0x68, 'E', 'n', 'c', 'r', 'y', 'p', 't', '0', 0x44, 0xA1, 0x01, 0x18, 24};
    static const uint8_t GCM[] = {0x83, 0x68, 'E', 'n', 'c', 'r', 'y', 'p', 't', '0', 0x43, 0xA1, 0x01, 1};
    return suite->aead == SMQ_AEAD_CHACHA20_POLY1305 ? smq_span_of(CHACHA, sizeof(CHACHA))
                                                     : smq_span_of(GCM, sizeof(GCM));
}

size_t smq_record_aad(const struct smq_gen *gen, uint64_t seq, uint8_t first, smq_span topic, uint8_t *out)
{
    struct smq_wr wr = smq_wr_of(out, SMQ_AAD_FIXED + AAD_AROUND + topic.len);
    smq_wr_put(&wr, aad_outer(gen->suite));
    cbor_head(&wr, CBOR_BSTR,
              SMQ_AAD_FIXED + cbor_head_len(seq) + cbor_head_len(first) + cbor_head_len(topic.len) + topic.len);
    smq_wr_bytes(&wr, gen->aad, SMQ_AAD_FIXED);
    cbor_head(&wr, CBOR_UINT, seq);
    cbor_head(&wr, CBOR_UINT, first);
    cbor_put(&wr, CBOR_TSTR, topic);
    return wr.len;
}

/* ---------------------------------------------------------------- generations */

static const smq_span nothing = {NULL, 0};

smqtt_err smq_gen_run_init(struct smq_hkdf *kdf, struct smq_gen *gen, const struct smq_suite *suite,
                           const uint8_t secret[SMQ_HASH_LEN], enum smq_way way, const uint8_t ctx[SMQ_HASH_LEN])
{
    uint8_t kid[SMQ_KID_LEN];
    smq_hkdf_set(kdf, secret);
    SMQ_TRY(smq_schedule_run_expand(kdf, SMQ_LABEL_KID, nothing, kid, SMQ_KID_LEN));
    *gen = (struct smq_gen){.suite = suite};
    memcpy(gen->secret, secret, SMQ_HASH_LEN);
    memcpy(gen->kid, kid, SMQ_KID_LEN);
    aad_fix(gen, way, ctx);
    return SMQTT_OK;
}

smqtt_err smq_gen_run_next(struct smq_hkdf *kdf, const struct smq_gen *gen, struct smq_gen *next)
{
    struct smq_gen g = {.suite = gen->suite};
    memcpy(g.aad, gen->aad, sizeof(g.aad));
    smq_hkdf_set(kdf, gen->secret);
    smqtt_err err = smq_schedule_run_expand(kdf, SMQ_LABEL_UPDATE, nothing, g.secret, SMQ_HASH_LEN);
    if (err == SMQTT_OK) {
        smq_hkdf_set(kdf, g.secret);
        err = smq_schedule_run_expand(kdf, SMQ_LABEL_KID, nothing, g.kid, SMQ_KID_LEN);
    }
    if (err == SMQTT_OK) {
        memcpy(g.aad + SMQ_AAD_FIXED - SMQ_KID_LEN, g.kid, SMQ_KID_LEN);
        *next = g;
    }
    smq_wipe(&g, sizeof(g));
    return err;
}

smqtt_err smq_gen_init(struct smq_gen *gen, const struct smq_suite *suite, const uint8_t secret[SMQ_HASH_LEN],
                       enum smq_way way, const uint8_t ctx[SMQ_HASH_LEN])
{
    struct smq_hkdf kdf;
    smqtt_err err = smq_hkdf_begin(&kdf, smq_schedule_lib());
    if (err == SMQTT_OK) {
        err = smq_gen_run_init(&kdf, gen, suite, secret, way, ctx);
    }
    smq_hkdf_end(&kdf);
    return err;
}

smqtt_err smq_gen_next(const struct smq_gen *gen, struct smq_gen *next)
{
    struct smq_hkdf kdf;
    smqtt_err err = smq_hkdf_begin(&kdf, smq_schedule_lib());
    if (err == SMQTT_OK) {
        err = smq_gen_run_next(&kdf, gen, next);
    }
    smq_hkdf_end(&kdf);
    return err;
}

smqtt_err smq_gen_ready(struct smq_gen *gen)
{
    if (gen->aead != NULL) {
        return SMQTT_OK;
    }
    struct smq_hkdf kdf;
    uint8_t key[SMQ_NK_MAX];
    smqtt_err err = smq_schedule_run(&kdf, gen->secret);
    if (err == SMQTT_OK) {
        err = smq_schedule_run_expand(&kdf, SMQ_LABEL_KEY, nothing, key, gen->suite->nk);
    }
    if (err == SMQTT_OK) {
        err = smq_schedule_run_expand(&kdf, SMQ_LABEL_IV, nothing, gen->iv, SMQ_NONCE_LEN);
    }
    if (err == SMQTT_OK) {
        gen->aead = smq_schedule_lib()->aead_new(gen->suite->aead, key);
        err = gen->aead != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
    }
    smq_hkdf_end(&kdf);
    smq_wipe(key, sizeof(key));
    return err;
}

void smq_gen_deinit(struct smq_gen *gen)
{
    smq_schedule_lib()->aead_free(gen->aead);
    smq_wipe(gen, sizeof(*gen));
}

/* ---------------------------------------------------------------- form */

/*@ assigns \nothing;
    ensures 1 <= \result <= 8; */
static size_t seq_len(uint64_t seq)
{
    size_t len = 1;
    /*@ loop invariant 1 <= len <= 8;
        loop assigns len;
        loop variant 8 - len; */
    while (len < 8 && seq >> (8 * len) != 0) {
        len++;
    }
    return len;
}

/*@ requires span_readable(payload) && \valid(out);
    assigns *out;
    ensures \result == SMQTT_OK || \result == SMQTT_E_MALFORMED;
    ensures \result == SMQTT_OK ==> span_readable(out->box) && out->box.len >= 1 + SMQ_TAG_LEN; */
smqtt_err smq_record_read(smq_span payload, struct smq_record *out)
{
    struct smq_record r;
    struct smq_rd rd = smq_rd_of(payload);
    r.first = smq_rd_u8(&rd);
    smq_span kid = smq_rd_bytes(&rd, SMQ_KID_LEN);
    size_t len = (size_t)(r.first & SMQ_RECORD_SEQ_MASK) + 1;
    r.seq = smq_rd_uint(&rd, len);
    r.box = smq_rd_rest(&rd);
    if (!smq_rd_ok(&rd) || (r.first & SMQ_RECORD_FORM_MASK) != SMQ_RECORD_FORM ||
        (r.first & (SMQ_RECORD_GROUP | SMQ_RECORD_RESERVED)) != 0 || seq_len(r.seq) != len ||
        r.box.len < 1 + SMQ_TAG_LEN) {
        return SMQTT_E_MALFORMED;
    }
    memcpy(r.kid, kid.data, SMQ_KID_LEN);
    *out = r;
    return SMQTT_OK;
}

static void nonce_make(const struct smq_gen *gen, uint64_t seq, uint8_t nonce[SMQ_NONCE_LEN])
{
    memcpy(nonce, gen->iv, SMQ_NONCE_LEN);
    for (size_t i = 0; i < 8; i++) {
        nonce[SMQ_NONCE_LEN - 1 - i] ^= (uint8_t)(seq >> (8 * i));
    }
}

static bool has_tlvs(const struct smq_sealed *s)
{
    return s->has_time || s->has_expiry || s->content_type.data != NULL || s->response_topic.data != NULL ||
           s->correlation_data.data != NULL || s->logical_topic.data != NULL || s->padding != 0;
}

static size_t span_tlv_len(smq_span s)
{
    return s.data != NULL ? SMQ_TLV_HEAD + s.len : 0;
}

/** Bytes of the entries of the TLV list. */
static size_t tlvs_len(const struct smq_sealed *s)
{
    return (s->has_time ? (size_t)SMQ_TLV_HEAD + 8 : 0) + (s->has_expiry ? (size_t)SMQ_TLV_HEAD + 4 : 0) +
           span_tlv_len(s->content_type) + span_tlv_len(s->response_topic) + span_tlv_len(s->correlation_data) +
           span_tlv_len(s->logical_topic) + (s->padding != 0 ? (size_t)SMQ_TLV_HEAD + s->padding : 0);
}

size_t smq_record_size(const struct smq_sealed *sealed, uint64_t seq)
{
    return 1 + SMQ_KID_LEN + seq_len(seq) + 1 + (has_tlvs(sealed) ? 2 + tlvs_len(sealed) : 0) + sealed->payload.len +
           SMQ_TAG_LEN;
}

static void span_tlv_write(struct smq_wr *wr, uint8_t type, smq_span s)
{
    if (s.data != NULL) {
        smq_tlv_write(wr, type, s);
    }
}

static void tlvs_write(struct smq_wr *wr, const struct smq_sealed *s)
{
    smq_wr_u16(wr, (uint16_t)tlvs_len(s));
    if (s->has_time) {
        smq_wr_u8(wr, TLV_TIME);
        smq_wr_u16(wr, 8);
        smq_wr_u64(wr, s->time);
    }
    if (s->has_expiry) {
        smq_wr_u8(wr, TLV_EXPIRY);
        smq_wr_u16(wr, 4);
        smq_wr_u32(wr, s->expiry_s);
    }
    span_tlv_write(wr, TLV_CONTENT_TYPE, s->content_type);
    span_tlv_write(wr, TLV_RESPONSE_TOPIC, s->response_topic);
    span_tlv_write(wr, TLV_CORRELATION, s->correlation_data);
    span_tlv_write(wr, TLV_LOGICAL_TOPIC, s->logical_topic);
    if (s->padding != 0) {
        smq_wr_u8(wr, TLV_PADDING);
        smq_wr_u16(wr, s->padding);
        uint8_t *zeros = smq_wr_reserve(wr, s->padding);
        if (zeros != NULL) {
            memset(zeros, 0, s->padding);
        }
    }
}

/** The additional data of a record: on the caller's stack if it fits, else on the heap. */
static smqtt_err aad_make(const struct smqtt_mem *mem, const struct smq_gen *gen, uint64_t seq, uint8_t first,
                          smq_span topic, uint8_t stack[AAD_STACK], smq_span *aad)
{
    size_t cap = SMQ_AAD_FIXED + AAD_AROUND + topic.len;
    uint8_t *buf = cap <= AAD_STACK ? stack : smq_mem_alloc(mem, cap);
    if (buf == NULL) {
        return SMQTT_E_NOMEM;
    }
    *aad = smq_span_of(buf, smq_record_aad(gen, seq, first, topic, buf));
    return SMQTT_OK;
}

static void aad_free(const struct smqtt_mem *mem, const uint8_t stack[AAD_STACK], smq_span aad)
{
    if (aad.data != stack) {
        smq_mem_free(mem, (void *)(uintptr_t)aad.data);
    }
}

smqtt_err smq_record_seal(const struct smqtt_mem *mem, struct smq_gen *gen, uint64_t seq, smq_span topic,
                          const struct smq_sealed *sealed, uint8_t *out, size_t *len)
{
    bool tlvs = has_tlvs(sealed);
    if (tlvs && tlvs_len(sealed) > SMQ_RECORD_TLVS_MAX) {
        return SMQTT_E_TOO_LARGE;
    }
    SMQ_TRY(smq_gen_ready(gen));
    bool logical = sealed->logical_topic.data != NULL;
    size_t seq_bytes = seq_len(seq);
    uint8_t first = (uint8_t)(SMQ_RECORD_FORM | (logical ? SMQ_RECORD_LOGICAL : 0U) | (seq_bytes - 1));
    struct smq_wr wr = smq_wr_of(out, smq_record_size(sealed, seq));
    smq_wr_u8(&wr, first);
    smq_wr_bytes(&wr, gen->kid, SMQ_KID_LEN);
    smq_wr_uint(&wr, seq, seq_bytes);
    size_t box_at = wr.len;
    smq_wr_u8(&wr, (uint8_t)(sealed->content | (tlvs ? SMQ_CONTENT_TLVS : 0U)));
    if (tlvs) {
        tlvs_write(&wr, sealed);
    }
    smq_wr_put(&wr, sealed->payload);
    uint8_t stack[AAD_STACK];
    uint8_t nonce[SMQ_NONCE_LEN];
    smq_span aad;
    SMQ_TRY(aad_make(mem, gen, seq, first, logical ? smq_span_of(NULL, 0) : topic, stack, &aad));
    nonce_make(gen, seq, nonce);
    smqtt_err err =
        smq_schedule_lib()->aead_seal(gen->aead, nonce, aad, smq_span_of(out + box_at, wr.len - box_at), out + box_at);
    aad_free(mem, stack, aad);
    if (err != SMQTT_OK) {
        smq_wipe(out, wr.len);
        return err;
    }
    *len = wr.len + SMQ_TAG_LEN;
    return SMQTT_OK;
}

smqtt_err smq_record_open(const struct smqtt_mem *mem, struct smq_gen *gen, const struct smq_record *record,
                          smq_span topic, uint8_t *out)
{
    uint8_t stack[AAD_STACK];
    uint8_t nonce[SMQ_NONCE_LEN];
    smq_span aad;
    bool logical = (record->first & SMQ_RECORD_LOGICAL) != 0;
    SMQ_TRY(smq_gen_ready(gen));
    SMQ_TRY(aad_make(mem, gen, record->seq, record->first, logical ? smq_span_of(NULL, 0) : topic, stack, &aad));
    nonce_make(gen, record->seq, nonce);
    smqtt_err err = smq_schedule_lib()->aead_open(gen->aead, nonce, aad, record->box, out);
    aad_free(mem, stack, aad);
    return err;
}

/* ---------------------------------------------------------------- what was sealed */

/*@ requires \valid(s) && span_readable(value);
    assigns *s; */
static bool tlv_read(struct smq_sealed *s, uint8_t type, smq_span value)
{
    struct smq_rd rd = smq_rd_of(value);
    switch (type) {
    case TLV_TIME:
        s->has_time = true;
        s->time = smq_rd_u64(&rd);
        return smq_rd_done(&rd);
    case TLV_EXPIRY:
        s->has_expiry = true;
        s->expiry_s = smq_rd_u32(&rd);
        return smq_rd_done(&rd);
    case TLV_CONTENT_TYPE:
        s->content_type = value;
        return true;
    case TLV_RESPONSE_TOPIC:
        s->response_topic = value;
        return true;
    case TLV_CORRELATION:
        s->correlation_data = value;
        return true;
    case TLV_LOGICAL_TOPIC:
        s->logical_topic = value;
        return true;
    case TLV_PADDING:
        s->padding = (uint16_t)value.len;
        return true;
    default:
        return type < SMQ_TLV_CRITICAL;
    }
}

/*@ requires span_readable(pt) && \valid(out);
    assigns *out;
    ensures \result == SMQTT_OK || \result == SMQTT_E_MALFORMED;
    ensures \result == SMQTT_OK ==> span_readable(out->payload); */
smqtt_err smq_sealed_read(smq_span pt, bool logical, struct smq_sealed *out)
{
    struct smq_sealed s = {0};
    struct smq_rd rd = smq_rd_of(pt);
    s.content = smq_rd_u8(&rd);
    bool receipts = (s.content & SMQ_CONTENT_RECEIPTS) != 0;
    if ((s.content & SMQ_CONTENT_RESERVED) != 0 ||
        (receipts && (s.content & (SMQ_CONTENT_TEXT | SMQ_CONTENT_RECEIPT)) != 0)) {
        return SMQTT_E_MALFORMED;
    }
    if ((s.content & SMQ_CONTENT_TLVS) != 0) {
        struct smq_tlvs list = smq_tlv_list(&rd);
        uint8_t type = 0;
        smq_span value;
        /*@ loop invariant rd_sound(&list.rd) && rd_sound(&rd);
            loop assigns list, type, value, s; */
        while (smq_tlv_next(&list, &type, &value)) {
            if (!tlv_read(&s, type, value)) {
                smq_rd_fail(&list.rd);
            }
        }
        if (!smq_tlv_done(&list)) {
            return SMQTT_E_MALFORMED;
        }
    }
    s.payload = smq_rd_rest(&rd);
    if (!smq_rd_ok(&rd) || (s.has_expiry && !s.has_time) || (s.logical_topic.data != NULL) != logical) {
        return SMQTT_E_MALFORMED;
    }
    *out = s;
    return SMQTT_OK;
}
