/* SPDX-License-Identifier: Apache-2.0 */
/* Identities: keys and the self-signed descriptor (protocol.md 3). */
#include "detect/identity.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "detect/schedule.h"
#include "detect/tlv.h"

enum { DESCRIPTOR_FORM = 0x01 };

static bool name_ok(smq_span name)
{
    return name.len >= 1 && name.len <= SMQTT_NAME_MAX && smq_utf8_ok(name, SMQ_TEXT_STRICT);
}

static bool times_ok(smqtt_ms not_before, smqtt_ms not_after)
{
    return not_after == 0 || not_after > not_before;
}

/** Reads the TLV list; makes rd bad when it is refused. */
static void tlvs_read(struct smq_rd *rd, struct smqtt_identity *id)
{
    struct smq_tlvs list = smq_tlv_list(rd);
    uint8_t type = 0;
    smq_span value;
    while (smq_tlv_next(&list, &type, &value)) {
        if (type != SMQ_TLV_PREDECESSOR) {
            smq_tlv_unknown(&list, type);
        } else if (value.len == SMQ_PREDECESSOR_LEN) {
            id->predecessor = value.data;
        } else {
            smq_rd_fail(&list.rd);
        }
    }
    if (!smq_tlv_done(&list)) {
        smq_rd_fail(rd);
    }
}

/** Reads the fields of the core; rd stands behind it then. */
static smqtt_err core_read(struct smq_rd *rd, struct smqtt_identity *id)
{
    uint8_t form = smq_rd_u8(rd);
    id->suite = smq_suite_by_id(smq_rd_u8(rd));
    if (!smq_rd_ok(rd) || form != DESCRIPTOR_FORM) {
        return SMQTT_E_BAD_IDENTITY;
    }
    if (id->suite == NULL) {
        return SMQTT_E_SUITE;
    }
    id->flags = smq_rd_u8(rd);
    uint8_t reserved = smq_rd_u8(rd);
    id->version = smq_rd_u32(rd);
    id->not_before = smq_rd_u64(rd);
    id->not_after = smq_rd_u64(rd);
    smq_span name = smq_rd_blob8(rd);
    smq_span kem = smq_rd_bytes(rd, id->suite->npk);
    smq_span sig = smq_rd_bytes(rd, id->suite->nspk);
    tlvs_read(rd, id);
    if (!smq_rd_ok(rd) || reserved != 0 || (id->flags & ~SMQ_FLAG_CREDENTIAL) != 0 || !name_ok(name) ||
        !times_ok(id->not_before, id->not_after)) {
        return SMQTT_E_BAD_IDENTITY;
    }
    memcpy(id->name, name.data, name.len);
    memcpy(id->pk_kem, kem.data, kem.len);
    memcpy(id->pk_sig, sig.data, sig.len);
    return SMQTT_OK;
}

/** skid, and did of the core. */
static smqtt_err ids_derive(struct smqtt_identity *id, smq_span core)
{
    uint8_t hash[SMQ_HASH_LEN];
    const smq_span parts[] = {smq_span_str("smqtt1 skid"), smq_span_of(&id->suite->id, 1),
                              smq_span_of(id->pk_kem, id->suite->npk), smq_span_of(id->pk_sig, id->suite->nspk)};
    SMQ_TRY(smq_schedule_hash(parts, SMQ_ARRAY_LEN(parts), hash));
    memcpy(id->skid, hash, SMQTT_SKID_LEN);
    return smq_schedule_hash(&core, 1, id->did);
}

/** protocol.md 3.1: the grace time ends, and nobody succeeds himself. */
static bool predecessor_ok(const struct smqtt_identity *id)
{
    uint8_t skid[SMQTT_SKID_LEN];
    smqtt_ms until = 0;
    return !smqtt_identity_predecessor(id, skid, &until) || (until != 0 && memcmp(skid, id->skid, sizeof(skid)) != 0);
}

/** Reads and checks what id->descriptor holds. */
static smqtt_err fill_in(struct smqtt_identity *id, bool verify)
{
    const struct smq_crypto_lib *lib = smq_schedule_lib();
    struct smq_rd rd = smq_rd_of(smq_span_of(id->descriptor, id->len));
    SMQ_TRY(core_read(&rd, id));
    smq_span core = smq_span_of(id->descriptor, id->len - smq_rd_left(&rd));
    id->core_len = core.len;
    smq_span sig = smq_rd_bytes(&rd, SMQ_SIG_LEN);
    if (!smq_rd_done(&rd)) {
        return SMQTT_E_BAD_IDENTITY;
    }
    SMQ_TRY(ids_derive(id, core));
    if (!predecessor_ok(id)) {
        return SMQTT_E_BAD_IDENTITY;
    }
    if (!verify) {
        return SMQTT_OK;
    }
    SMQ_TRY(lib->dh_check(id->suite->curve, id->pk_kem));
    SMQ_TRY(lib->sign_check(id->suite->sign, id->pk_sig));
    const smq_span did = smq_span_of(id->did, SMQTT_DID_LEN);
    return smq_schedule_verify(id->suite, id->pk_sig, SMQ_SIGN_DESCRIPTOR, &did, 1, sig.data);
}

smqtt_err smq_identity_parse(const struct smqtt_mem *mem, smq_span descriptor, bool verify, struct smqtt_identity **out)
{
    mem = smq_mem_or_default(mem);
    if (descriptor.len == 0 || descriptor.len > SMQ_DESCRIPTOR_MAX) {
        return SMQTT_E_BAD_IDENTITY;
    }
    struct smqtt_identity *id = smq_mem_zalloc(mem, 1, sizeof(*id) + descriptor.len);
    if (id == NULL) {
        return SMQTT_E_NOMEM;
    }
    id->mem = mem;
    atomic_init(&id->refs, 1U);
    id->len = descriptor.len;
    memcpy(id->descriptor, descriptor.data, descriptor.len);
    smqtt_err err = fill_in(id, verify);
    if (err != SMQTT_OK) {
        smq_mem_free(mem, id);
        return err;
    }
    *out = id;
    return SMQTT_OK;
}

smqtt_err smqtt_identity_read_descriptor(const struct smqtt_mem *mem, struct smqtt_span descriptor,
                                         struct smqtt_identity **out)
{
    return smq_identity_parse(mem, descriptor, true, out);
}

smqtt_err smq_identity_set_private(struct smqtt_identity *id, const uint8_t sk_kem[SMQ_SK_LEN],
                                   const uint8_t sk_sig[SMQ_SK_LEN])
{
    const struct smq_crypto_lib *lib = smq_schedule_lib();
    uint8_t kem[SMQ_PK_MAX];
    uint8_t sig[SMQ_PK_MAX];
    SMQ_TRY(lib->dh_public(id->suite->curve, sk_kem, kem));
    SMQ_TRY(lib->sign_public(id->suite->sign, sk_sig, sig));
    if (memcmp(kem, id->pk_kem, id->suite->npk) != 0 || memcmp(sig, id->pk_sig, id->suite->nspk) != 0) {
        return SMQTT_E_BAD_IDENTITY;
    }
    struct smq_dh_key *ready = lib->dh_key_new(id->suite->curve, sk_kem, id->pk_kem);
    struct smq_sign_key *signer = lib->sign_key_new(id->suite->sign, sk_sig, id->pk_sig);
    if (ready == NULL || signer == NULL) {
        lib->dh_key_free(ready);
        lib->sign_key_free(signer);
        return SMQTT_E_NOMEM;
    }
    lib->dh_key_free(id->kem);
    lib->sign_key_free(id->signer);
    id->kem = ready;
    id->signer = signer;
    memcpy(id->sk_kem, sk_kem, SMQ_SK_LEN);
    memcpy(id->sk_sig, sk_sig, SMQ_SK_LEN);
    id->has_private = true;
    return SMQTT_OK;
}

/** TLV 1, signed with the old keys over the core with zeros in place of that signature. */
static smqtt_err predecessor_write(const struct smqtt_identity *old, smqtt_ms until, struct smq_wr *wr)
{
    static const uint8_t zeros[SMQ_SIG_LEN];
    uint8_t sig[SMQ_SIG_LEN];
    uint8_t hash[SMQ_HASH_LEN];
    smq_wr_u16(wr, SMQ_TLV_HEAD + SMQ_PREDECESSOR_LEN);
    smq_wr_u8(wr, SMQ_TLV_PREDECESSOR);
    smq_wr_u16(wr, SMQ_PREDECESSOR_LEN);
    smq_wr_bytes(wr, old->skid, SMQTT_SKID_LEN);
    smq_wr_u64(wr, until);
    smq_wr_bytes(wr, zeros, SMQ_SIG_LEN);
    const smq_span core = smq_wr_span(wr);
    SMQ_TRY(smq_schedule_hash(&core, 1, hash));
    const smq_span content = smq_span_of(hash, SMQ_HASH_LEN);
    SMQ_TRY(smq_schedule_sign_with(old->signer, SMQ_SIGN_SUCCESSOR, &content, 1, sig));
    wr->len -= SMQ_SIG_LEN;
    smq_wr_bytes(wr, sig, SMQ_SIG_LEN);
    return SMQTT_OK;
}

/** The descriptor of a plan, signed. */
static smqtt_err descriptor_write(const struct smq_identity_plan *plan, const struct smqtt_identity *old,
                                  smqtt_ms until, struct smq_wr *wr)
{
    const struct smq_crypto_lib *lib = smq_schedule_lib();
    uint8_t pk[SMQ_PK_MAX];
    smq_wr_u8(wr, DESCRIPTOR_FORM);
    smq_wr_u8(wr, plan->suite->id);
    smq_wr_u8(wr, plan->flags);
    smq_wr_u8(wr, 0);
    smq_wr_u32(wr, plan->version);
    smq_wr_u64(wr, plan->not_before);
    smq_wr_u64(wr, plan->not_after);
    smq_wr_blob8(wr, smq_span_str(plan->name));
    SMQ_TRY(lib->dh_public(plan->suite->curve, plan->sk_kem, pk));
    smq_wr_bytes(wr, pk, plan->suite->npk);
    SMQ_TRY(lib->sign_public(plan->suite->sign, plan->sk_sig, pk));
    smq_wr_bytes(wr, pk, plan->suite->nspk);
    if (old != NULL) {
        SMQ_TRY(predecessor_write(old, until, wr));
    } else {
        smq_wr_u16(wr, 0);
    }
    uint8_t did[SMQ_HASH_LEN];
    uint8_t sig[SMQ_SIG_LEN];
    const smq_span core = smq_wr_span(wr);
    SMQ_TRY(smq_schedule_hash(&core, 1, did));
    const smq_span content = smq_span_of(did, SMQ_HASH_LEN);
    SMQ_TRY(smq_schedule_sign(plan->suite, plan->sk_sig, pk, SMQ_SIGN_DESCRIPTOR, &content, 1, sig));
    smq_wr_bytes(wr, sig, SMQ_SIG_LEN);
    return smq_wr_ok(wr) ? SMQTT_OK : SMQTT_E_BUG;
}

smqtt_err smq_identity_make_successor(const struct smqtt_mem *mem, const struct smq_identity_plan *plan,
                                      const struct smqtt_identity *old, smqtt_ms until, struct smqtt_identity **out)
{
    if (plan->name == NULL || !name_ok(smq_span_str(plan->name)) || !times_ok(plan->not_before, plan->not_after) ||
        (plan->flags & ~SMQ_FLAG_CREDENTIAL) != 0) {
        return SMQTT_E_BAD_IDENTITY;
    }
    uint8_t bytes[512];
    struct smq_wr wr = smq_wr_of(bytes, sizeof(bytes));
    SMQ_TRY(descriptor_write(plan, old, until, &wr));
    struct smqtt_identity *id = NULL;
    SMQ_TRY(smq_identity_parse(mem, smq_wr_span(&wr), true, &id));
    smqtt_err err = smq_identity_set_private(id, plan->sk_kem, plan->sk_sig);
    if (err != SMQTT_OK) {
        smqtt_identity_free(id);
        return err;
    }
    *out = id;
    return SMQTT_OK;
}

smqtt_err smq_identity_make(const struct smqtt_mem *mem, const struct smq_identity_plan *plan,
                            struct smqtt_identity **out)
{
    return smq_identity_make_successor(mem, plan, NULL, 0, out);
}

smqtt_err smqtt_identity_new(const struct smqtt_mem *mem, const struct smqtt_rng *rng, const char *suite,
                             const char *name, uint8_t flags, smqtt_ms not_before, smqtt_ms not_after,
                             struct smqtt_identity **out)
{
    struct smq_identity_plan plan = {smq_suite_by_name(suite), name, flags, 1, not_before, not_after, NULL, NULL};
    if (plan.suite == NULL) {
        return SMQTT_E_SUITE;
    }
    uint8_t sk_kem[SMQ_SK_LEN];
    uint8_t sk_sig[SMQ_SK_LEN];
    smqtt_err err = smq_suite_keygen(smq_schedule_lib(), plan.suite, rng, sk_kem);
    if (err == SMQTT_OK) {
        err = smq_suite_keygen(smq_schedule_lib(), plan.suite, rng, sk_sig);
    }
    if (err == SMQTT_OK) {
        plan.sk_kem = sk_kem;
        plan.sk_sig = sk_sig;
        err = smq_identity_make(mem, &plan, out);
    }
    smq_wipe(sk_kem, sizeof(sk_kem));
    smq_wipe(sk_sig, sizeof(sk_sig));
    return err;
}

struct smqtt_identity *smqtt_identity_ref(struct smqtt_identity *id)
{
    if (id != NULL) {
        atomic_fetch_add_explicit(&id->refs, 1U, memory_order_relaxed);
    }
    return id;
}

void smqtt_identity_free(struct smqtt_identity *id)
{
    if (id == NULL || atomic_fetch_sub_explicit(&id->refs, 1U, memory_order_acq_rel) != 1) {
        return;
    }
    smq_wipe(id->sk_kem, sizeof(id->sk_kem));
    smq_wipe(id->sk_sig, sizeof(id->sk_sig));
    smq_schedule_lib()->dh_key_free(id->kem);
    smq_schedule_lib()->sign_key_free(id->signer);
    smq_mem_free(id->mem, id);
}

const char *smqtt_identity_name(const struct smqtt_identity *id)
{
    return id->name;
}

const char *smqtt_identity_suite(const struct smqtt_identity *id)
{
    return id->suite->name;
}

bool smqtt_identity_has_private(const struct smqtt_identity *id)
{
    return id->has_private;
}

bool smqtt_identity_valid_at(const struct smqtt_identity *id, smqtt_ms wall)
{
    return wall >= id->not_before && (id->not_after == 0 || wall <= id->not_after);
}

uint8_t smqtt_identity_flags(const struct smqtt_identity *id)
{
    return id->flags;
}

const uint8_t *smqtt_identity_skid(const struct smqtt_identity *id)
{
    return id->skid;
}

const uint8_t *smqtt_identity_did(const struct smqtt_identity *id)
{
    return id->did;
}

struct smqtt_span smqtt_identity_descriptor(const struct smqtt_identity *id)
{
    return smq_span_of(id->descriptor, id->len);
}
