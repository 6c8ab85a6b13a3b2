/* SPDX-License-Identifier: Apache-2.0 */
/* Renewal and succession of identities (protocol.md 3.1). */
#include "base/mem.h"
#include "base/rd.h"
#include "detect/identity.h"
#include "detect/schedule.h"

uint32_t smqtt_identity_version(const struct smqtt_identity *id)
{
    return id->version;
}

smqtt_ms smqtt_identity_not_before(const struct smqtt_identity *id)
{
    return id->not_before;
}

smqtt_ms smqtt_identity_not_after(const struct smqtt_identity *id)
{
    return id->not_after;
}

bool smqtt_identity_predecessor(const struct smqtt_identity *id, uint8_t skid[SMQTT_SKID_LEN], smqtt_ms *until)
{
    if (id->predecessor == NULL) {
        return false;
    }
    struct smq_rd rd = smq_rd_of(smq_span_of(id->predecessor, SMQ_PREDECESSOR_LEN));
    memcpy(skid, smq_rd_bytes(&rd, SMQTT_SKID_LEN).data, SMQTT_SKID_LEN);
    *until = smq_rd_u64(&rd);
    return true;
}

/* ---------------------------------------------------------------- making */

/** What a new descriptor has from the one before it; keys and times are the caller's. */
static smqtt_err plan_begin(const struct smqtt_identity *id, struct smq_identity_plan *plan)
{
    if (!id->has_private) {
        return SMQTT_E_USAGE;
    }
    if (id->version == UINT32_MAX) {
        return SMQTT_E_FULL;
    }
    *plan = (struct smq_identity_plan){
        .suite = id->suite, .name = id->name, .flags = id->flags, .version = id->version + 1};
    return SMQTT_OK;
}

smqtt_err smqtt_identity_renew(const struct smqtt_mem *mem, const struct smqtt_identity *id, uint8_t flags,
                               smqtt_ms not_before, smqtt_ms not_after, struct smqtt_identity **out)
{
    struct smq_identity_plan plan;
    SMQ_TRY(plan_begin(id, &plan));
    plan.flags = flags;
    plan.not_before = not_before;
    plan.not_after = not_after;
    plan.sk_kem = id->sk_kem;
    plan.sk_sig = id->sk_sig;
    return smq_identity_make(mem, &plan, out);
}

smqtt_err smqtt_identity_succeed(const struct smqtt_mem *mem, const struct smqtt_rng *rng,
                                 const struct smqtt_identity *old, const char *suite, smqtt_ms until,
                                 smqtt_ms not_before, smqtt_ms not_after, struct smqtt_identity **out)
{
    struct smq_identity_plan plan;
    SMQ_TRY(plan_begin(old, &plan));
    plan.suite = suite != NULL ? smq_suite_by_name(suite) : old->suite;
    plan.not_before = not_before;
    plan.not_after = not_after;
    if (plan.suite == NULL) {
        return SMQTT_E_SUITE;
    }
    if (until < not_before || until == 0) {
        return SMQTT_E_BAD_IDENTITY; /* nobody could ever take it */
    }
    uint8_t sk_kem[SMQ_SK_LEN] = {0};
    uint8_t sk_sig[SMQ_SK_LEN] = {0};
    smqtt_err err = smq_suite_keygen(smq_schedule_lib(), plan.suite, rng, sk_kem);
    if (err == SMQTT_OK) {
        err = smq_suite_keygen(smq_schedule_lib(), plan.suite, rng, sk_sig);
    }
    if (err == SMQTT_OK) {
        plan.sk_kem = sk_kem;
        plan.sk_sig = sk_sig;
        err = smq_identity_make_successor(mem, &plan, old, until, out);
    }
    smq_wipe(sk_kem, sizeof(sk_kem));
    smq_wipe(sk_sig, sizeof(sk_sig));
    return err;
}

/* ---------------------------------------------------------------- judging */

bool smq_identity_same_keys(const struct smqtt_identity *a, const struct smqtt_identity *b)
{
    return a->suite == b->suite && memcmp(a->pk_kem, b->pk_kem, a->suite->npk) == 0 &&
           memcmp(a->pk_sig, b->pk_sig, a->suite->nspk) == 0;
}

/** Has the known one signed that the candidate comes after it? */
static smqtt_err vouched(const struct smqtt_identity *known, const struct smqtt_identity *candidate)
{
    static const uint8_t zeros[SMQ_SIG_LEN];
    uint8_t hash[SMQ_HASH_LEN];
    const uint8_t *sig = candidate->predecessor + SMQ_PREDECESSOR_SIG;
    size_t before = (size_t)(sig - candidate->descriptor);
    const smq_span core[] = {smq_span_of(candidate->descriptor, before), smq_span_of(zeros, SMQ_SIG_LEN),
                             smq_span_of(sig + SMQ_SIG_LEN, candidate->core_len - before - SMQ_SIG_LEN)};
    SMQ_TRY(smq_schedule_hash(core, SMQ_ARRAY_LEN(core), hash));
    const smq_span content = smq_span_of(hash, SMQ_HASH_LEN);
    return smq_schedule_verify(known->suite, known->pk_sig, SMQ_SIGN_SUCCESSOR, &content, 1, sig);
}

smqtt_err smqtt_identity_supersedes(const struct smqtt_identity *known, const struct smqtt_identity *candidate,
                                    smqtt_ms wall)
{
    uint8_t skid[SMQTT_SKID_LEN];
    smqtt_ms until = UINT64_MAX;
    if (memcmp(known->did, candidate->did, SMQTT_DID_LEN) == 0) {
        return SMQTT_OK;
    }
    /* A skid is short enough to be met by who has time; keys and signatures are not. */
    if (!smq_identity_same_keys(known, candidate)) {
        if (!smqtt_identity_predecessor(candidate, skid, &until) || memcmp(skid, known->skid, SMQTT_SKID_LEN) != 0) {
            bool put_back =
                smqtt_identity_predecessor(known, skid, &until) && memcmp(skid, candidate->skid, SMQTT_SKID_LEN) == 0;
            return put_back ? SMQTT_E_OLD_IDENTITY : SMQTT_E_UNKNOWN_PEER;
        }
        SMQ_TRY(vouched(known, candidate));
    }
    if (candidate->version <= known->version) {
        return SMQTT_E_OLD_IDENTITY;
    }
    return wall <= until && smqtt_identity_valid_at(candidate, wall) ? SMQTT_OK : SMQTT_E_EXPIRED;
}
