/* SPDX-License-Identifier: Apache-2.0 */
/* keys.txt: renewal, succession, revocation and locked files of identities, for each pair of suites. What is written
 * was judged by this implementation before. */
#include "gen_smqtt.h"

#include <stdlib.h>

#include "base/hex.h"
#include "base/mem.h"
#include "crypto/pwhash_lib.h"
#include "detect/identity.h"
#include "detect/schedule.h"

enum { PASSES = 2, KIB = 64, LANES = 1, SALT_LEN = 16, ONCE_MAX = SMQ_NK_MAX + SMQ_NONCE_LEN };

static const smqtt_ms WALL = UINT64_C(1800000000000);
static const smqtt_ms UNTIL = UINT64_C(1800086400000);
static const char PASSPHRASE[] = "correct horse \xC2\xB0 battery";

#define MUST(expr) must((expr), #expr, __LINE__)

static void must(smqtt_err err, const char *what, int line)
{
    if (err != SMQTT_OK) {
        fprintf(stderr, "gen_smqtt_vectors: keys: line %d: %s: %s\n", line, what, smqtt_strerror(err));
        exit(1);
    }
}

static void must_be(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "gen_smqtt_vectors: keys: %s\n", what);
        exit(1);
    }
}

/* ---------------------------------------------------------------- randomness and output */

static uint8_t chain[SMQ_HASH_LEN];

static bool fill(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++) {
        if (i % SMQ_HASH_LEN == 0) {
            const smq_span part = smq_span_of(chain, SMQ_HASH_LEN);
            MUST(smq_schedule_hash(&part, 1, chain));
        }
        out[i] = chain[i % SMQ_HASH_LEN];
    }
    return true;
}

static const struct smqtt_rng RNG = {fill, NULL};

static struct {
    FILE *f;
    char prefix[32];
} to;

static void line(const char *name, smq_span value)
{
    char hex[SMQ_HEX_LEN(SMQTT_IDENTITY_TEXT_MAX) + 1];
    smq_hex_encode(hex, value);
    fprintf(to.f, "%s_%s = %s\n", to.prefix, name, hex);
}

static void line_uint(const char *name, uint64_t v, size_t len)
{
    uint8_t buf[8];
    struct smq_wr wr = smq_wr_of(buf, sizeof(buf));
    smq_wr_uint(&wr, v, len);
    line(name, smq_wr_span(&wr));
}

/* ---------------------------------------------------------------- life */

static void secrets(const char *kem, const char *sig, const struct smqtt_identity *id)
{
    line(kem, smq_span_of(id->sk_kem, SMQ_SK_LEN));
    line(sig, smq_span_of(id->sk_sig, SMQ_SK_LEN));
}

/** What the old keys have signed: H(core with zeros in place of that signature). */
static void signed_hash(const struct smqtt_identity *next)
{
    uint8_t core[SMQ_DESCRIPTOR_MAX];
    uint8_t hash[SMQ_HASH_LEN];
    memcpy(core, next->descriptor, next->core_len);
    memset(core + (next->predecessor - next->descriptor) + SMQ_PREDECESSOR_SIG, 0, SMQ_SIG_LEN);
    const smq_span part = smq_span_of(core, next->core_len);
    MUST(smq_schedule_hash(&part, 1, hash));
    line("signed_hash", smq_span_of(hash, sizeof(hash)));
}

static void life(const struct smqtt_identity *old, const char *suite)
{
    struct smqtt_identity *renewal = NULL, *next = NULL, *stranger = NULL, *foreign = NULL;
    MUST(smqtt_identity_renew(NULL, old, SMQ_FLAG_CREDENTIAL, WALL - 5, WALL + 5, &renewal));
    MUST(smqtt_identity_supersedes(old, renewal, WALL));
    line("renewal", smqtt_identity_descriptor(renewal));
    MUST(smqtt_identity_succeed(NULL, &RNG, old, suite, UNTIL, WALL, 0, &next));
    MUST(smqtt_identity_supersedes(old, next, WALL));
    must_be(smqtt_identity_supersedes(old, next, UNTIL + 1) == SMQTT_E_EXPIRED, "the grace time does not end");
    must_be(smqtt_identity_supersedes(next, old, WALL) == SMQTT_E_OLD_IDENTITY, "an old one comes back");
    secrets("new_kem_sk", "new_sig_sk", next);
    line_uint("until", UNTIL, 8);
    signed_hash(next);
    line("successor", smqtt_identity_descriptor(next));
    MUST(smqtt_identity_new(NULL, &RNG, old->suite->name, old->name, 0, 0, 0, &stranger));
    memcpy(stranger->skid, old->skid, SMQTT_SKID_LEN);
    MUST(smqtt_identity_succeed(NULL, &RNG, stranger, suite, UNTIL, WALL, 0, &foreign));
    must_be(smqtt_identity_supersedes(old, foreign, WALL) == SMQTT_E_BAD_SIGNATURE, "a stranger vouches");
    line("foreign", smqtt_identity_descriptor(foreign));
    smqtt_identity_free(renewal);
    smqtt_identity_free(next);
    smqtt_identity_free(stranger);
    smqtt_identity_free(foreign);
}

static void revocation(const struct smqtt_identity *id)
{
    char text[SMQTT_REVOCATION_TEXT_MAX];
    uint8_t bytes[SMQTT_REVOCATION_LEN];
    size_t len = 0;
    MUST(smqtt_identity_revoke(id, SMQTT_REVOKED_STOLEN, WALL + 7, text));
    MUST(smq_base64url_decode(bytes, sizeof(bytes), smq_span_str(strchr(text, ' ') + 1), &len));
    MUST(smqtt_revocation_check(smq_span_of(bytes, len), id, NULL, NULL));
    line_uint("revocation_reason", SMQTT_REVOKED_STOLEN, 1);
    line_uint("revocation_at", WALL + 7, 8);
    line("revocation", smq_span_of(bytes, len));
    line("revocation_line", smq_span_str(text));
}

/* ---------------------------------------------------------------- locked files */

/** The library's own Argon2id; what it was given and what it gave are written down. */
static bool argon2id(void *ctx, struct smqtt_span passphrase, struct smqtt_span salt, uint32_t passes, uint32_t kib,
                     uint32_t lanes, uint8_t *out, size_t out_len)
{
    MUST(smq_pwhash_lib_argon2id(passphrase, salt, passes, kib, lanes, out, out_len));
    if (ctx != NULL) {
        line("passphrase", passphrase);
        line_uint("passes", passes, 4);
        line_uint("kib", kib, 4);
        line_uint("lanes", lanes, 4);
        line("salt", salt);
        line("kdf", smq_span_of(out, out_len));
    }
    return true;
}

static void locked(const struct smqtt_identity *id)
{
    char text[SMQTT_IDENTITY_TEXT_MAX];
    const smq_span passphrase = smq_span_str(PASSPHRASE);
    struct smqtt_kdf kdf = {argon2id, &to, PASSES, KIB, LANES};
    struct smqtt_identity *back = NULL;
    MUST(smqtt_identity_locked_text(id, passphrase, &kdf, &RNG, text, sizeof(text)));
    line("locked_file", smq_span_str(text));
    kdf.ctx = NULL;
    MUST(smqtt_identity_unlock(NULL, smq_span_str(text), passphrase, &kdf, &back));
    must_be(memcmp(back->sk_sig, id->sk_sig, SMQ_SK_LEN) == 0, "the file holds other keys");
    smqtt_identity_free(back);
}

void gen_keys_write(FILE *f)
{
    fputs(
        "# SPDX-License-Identifier: Apache-2.0\n"
        "# Keys that change (docs/protocol.md 3, 3.1). Each line is: OLD_NEW_what = value in hexadecimal, OLD and NEW\n"
        "# being suites.\n"
        "#   old_kem_sk, old_sig_sk, old_descriptor   who is known; new_kem_sk, new_sig_sk: who comes after it\n"
        "#   wall        a time at which renewal and successor are taken in its place, ms since 1970\n"
        "#   renewal     a descriptor of the old keys; successor: of the new ones, until `until`\n"
        "#   signed_hash what the old keys sign: H(core of the successor with zeros for that signature)\n"
        "#   foreign     like the successor, but not signed by the old keys: refused\n"
        "#   revocation  of the old keys, and revocation_line, its text\n"
        "#   locked_file of the old keys: passphrase, passes, kib, lanes, salt; kdf: what Argon2id gives (key, nonce)\n"
        "# ECDSA signatures (p256) are verified, not reproduced. Written by tests/vectors/gen_smqtt_keys.c.\n",
        f);
    to.f = f;
    for (size_t i = 0; smq_suite_at(i) != NULL; i++) {
        for (size_t j = 0; smq_suite_at(j) != NULL; j++) {
            struct smqtt_identity *old = NULL;
            memset(chain, (int)(0x80 + 16 * i + j), sizeof(chain));
            (void)snprintf(to.prefix, sizeof(to.prefix), "%s_%s", smq_suite_at(i)->name, smq_suite_at(j)->name);
            MUST(smqtt_identity_new(NULL, &RNG, smq_suite_at(i)->name, "pump 4", 0, WALL - 1000, 0, &old));
            line_uint("wall", WALL, 8);
            secrets("old_kem_sk", "old_sig_sk", old);
            line("old_descriptor", smqtt_identity_descriptor(old));
            life(old, smq_suite_at(j)->name);
            revocation(old);
            locked(old);
            smqtt_identity_free(old);
        }
    }
}
