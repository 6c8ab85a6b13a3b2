/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/pwhash.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "base/mem.h"
#include "crypto/pwhash_lib.h"

enum {
    QUICK_ITERATIONS = 16,
    SHA512_LEN = 64,
    ARGON2_HASH_MIN = 16,
    ARGON2_SALT_MIN = 8,
    ARGON2_HASH_LEN = 32,
    TEXT64_MAX = (SMQ_PWHASH_SALT_MAX + 2) / 3 * 4 /* of salt or hash, in base64 */
};

/* ------------------------------------------------------------ base64 of RFC 4648 section 4 */

static smqtt_err decode64(smq_span text, bool padded, uint8_t *out, uint8_t *len)
{
    uint8_t url[TEXT64_MAX];
    size_t n = text.len;
    if (n == 0 || n > sizeof url || (padded && n % 4 != 0)) {
        return SMQTT_E_MALFORMED;
    }
    for (unsigned i = 0; padded && i < 2 && n != 0 && text.data[n - 1] == '='; i++) {
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t c = text.data[i];
        if (c == '-' || c == '_') {
            return SMQTT_E_MALFORMED;
        }
        url[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
    size_t got;
    SMQ_TRY(smq_base64url_decode(out, SMQ_PWHASH_HASH_MAX, smq_span_of(url, n), &got));
    *len = (uint8_t)got;
    return got != 0 ? SMQTT_OK : SMQTT_E_MALFORMED;
}

/* Returns the length; a zero stands behind it. */
static size_t encode64(char *out, const uint8_t *bytes, size_t len, bool padded)
{
    smq_base64url_encode(out, smq_span_of(bytes, len));
    size_t n = strlen(out);
    for (size_t i = 0; i < n; i++) {
        out[i] = out[i] == '-' ? '+' : out[i] == '_' ? '/' : out[i];
    }
    while (padded && n % 4 != 0) {
        out[n++] = '=';
    }
    out[n] = 0;
    return n;
}

/* ------------------------------------------------------------ reading */

/* What stands before the next `end`, which is skipped. False when there is no such end. */
static bool take_until(smq_span *rest, char end, smq_span *part)
{
    const uint8_t *at = rest->len != 0 ? memchr(rest->data, end, rest->len) : NULL;
    if (at == NULL) {
        return false;
    }
    *part = smq_span_of(rest->data, (size_t)(at - rest->data));
    *rest = smq_span_from(*rest, part->len + 1);
    return true;
}

static smqtt_err read_number(smq_span text, uint32_t max, uint32_t *out)
{
    uint64_t v = 0;
    if (text.len == 0 || text.len > 10) {
        return SMQTT_E_MALFORMED;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return SMQTT_E_MALFORMED;
        }
        v = v * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (v == 0) {
        return SMQTT_E_MALFORMED;
    }
    *out = (uint32_t)v;
    return v <= max ? SMQTT_OK : SMQTT_E_FULL;
}

/* "m=1,t=2,p=3" */
static smqtt_err read_costs(smq_span text, struct smq_pwhash *h)
{
    smq_span m, t;
    if (!take_until(&text, ',', &m) || !take_until(&text, ',', &t) || !smq_span_starts(m, smq_span_str("m=")) ||
        !smq_span_starts(t, smq_span_str("t=")) || !smq_span_starts(text, smq_span_str("p="))) {
        return SMQTT_E_MALFORMED;
    }
    SMQ_TRY(read_number(smq_span_from(m, 2), SMQ_PWHASH_KIB_MAX, &h->kib));
    SMQ_TRY(read_number(smq_span_from(t, 2), SMQ_PWHASH_PASSES_MAX, &h->iterations));
    SMQ_TRY(read_number(smq_span_from(text, 2), SMQ_PWHASH_LANES_MAX, &h->lanes));
    return h->kib >= 8 * h->lanes ? SMQTT_OK : SMQTT_E_MALFORMED; /* RFC 9106 section 3.1 */
}

smqtt_err smq_pwhash_read(smq_span text, struct smq_pwhash *out)
{
    struct smq_pwhash h = {.kind = SMQ_PWHASH_SHA512};
    smq_span part;
    if (smq_span_starts(text, smq_span_str("$6$"))) {
        text = smq_span_from(text, 3);
    } else if (smq_span_starts(text, smq_span_str("$7$"))) {
        h.kind = SMQ_PWHASH_PBKDF2;
        text = smq_span_from(text, 3);
        SMQ_TRY(take_until(&text, '$', &part) ? SMQTT_OK : SMQTT_E_MALFORMED);
        SMQ_TRY(read_number(part, SMQ_PWHASH_ITERATIONS_MAX, &h.iterations));
    } else if (smq_span_starts(text, smq_span_str("$argon2id$v=19$"))) {
        h.kind = SMQ_PWHASH_ARGON2ID;
        text = smq_span_from(text, strlen("$argon2id$v=19$"));
        SMQ_TRY(take_until(&text, '$', &part) ? SMQTT_OK : SMQTT_E_MALFORMED);
        SMQ_TRY(read_costs(part, &h));
    } else {
        return SMQTT_E_MALFORMED;
    }
    bool padded = h.kind != SMQ_PWHASH_ARGON2ID;
    SMQ_TRY(take_until(&text, '$', &part) ? SMQTT_OK : SMQTT_E_MALFORMED);
    SMQ_TRY(decode64(part, padded, h.salt, &h.salt_len));
    SMQ_TRY(decode64(text, padded, h.hash, &h.hash_len));
    bool whole = padded ? h.hash_len == SHA512_LEN : h.hash_len >= ARGON2_HASH_MIN && h.salt_len >= ARGON2_SALT_MIN;
    if (!whole) {
        return SMQTT_E_MALFORMED;
    }
    *out = h;
    return SMQTT_OK;
}

size_t smq_pwhash_write(const struct smq_pwhash *hash, char out[SMQ_PWHASH_TEXT_MAX])
{
    char salt[TEXT64_MAX + 1];
    char sum[TEXT64_MAX + 1];
    bool padded = hash->kind != SMQ_PWHASH_ARGON2ID;
    encode64(salt, hash->salt, hash->salt_len, padded);
    encode64(sum, hash->hash, hash->hash_len, padded);
    int n = 0;
    if (hash->kind == SMQ_PWHASH_SHA512) {
        n = snprintf(out, SMQ_PWHASH_TEXT_MAX, "$6$%s$%s", salt, sum);
    } else if (hash->kind == SMQ_PWHASH_PBKDF2) {
        n = snprintf(out, SMQ_PWHASH_TEXT_MAX, "$7$%u$%s$%s", (unsigned)hash->iterations, salt, sum);
    } else {
        n = snprintf(out, SMQ_PWHASH_TEXT_MAX, "$argon2id$v=19$m=%u,t=%u,p=%u$%s$%s", (unsigned)hash->kib,
                     (unsigned)hash->iterations, (unsigned)hash->lanes, salt, sum);
    }
    return n > 0 && n < SMQ_PWHASH_TEXT_MAX ? (size_t)n : 0;
}

/* ------------------------------------------------------------ hashing */

static smqtt_err run(const struct smq_pwhash *h, smq_span password, uint8_t *out, size_t len)
{
    smq_span salt = smq_span_of(h->salt, h->salt_len);
    switch ((enum smq_pwhash_kind)h->kind) {
    case SMQ_PWHASH_SHA512:
        return smq_pwhash_lib_sha512(password, salt, out);
    case SMQ_PWHASH_PBKDF2:
        return smq_pwhash_lib_pbkdf2(password, salt, h->iterations, out);
    case SMQ_PWHASH_ARGON2ID:
        return smq_pwhash_lib_argon2id(password, salt, h->iterations, h->kib, h->lanes, out, len);
    }
    return SMQTT_E_BUG;
}

smqtt_err smq_pwhash_make(struct smq_pwhash *hash, smq_span password)
{
    hash->never = false;
    hash->hash_len = hash->kind == SMQ_PWHASH_ARGON2ID ? ARGON2_HASH_LEN : SHA512_LEN;
    return run(hash, password, hash->hash, hash->hash_len);
}

smqtt_err smq_pwhash_verify(const struct smq_pwhash *hash, smq_span password)
{
    uint8_t got[SMQ_PWHASH_HASH_MAX] = {0};
    smqtt_err err = run(hash, password, got, hash->hash_len);
    if (err == SMQTT_OK) {
        bool same = smq_ct_equal(got, hash->hash, hash->hash_len);
        err = same && !hash->never ? SMQTT_OK : SMQTT_E_BAD_LOGIN;
    }
    smq_wipe(got, sizeof got);
    return err;
}

bool smq_pwhash_is_quick(const struct smq_pwhash *hash)
{
    return hash->kind == SMQ_PWHASH_SHA512 || (hash->kind == SMQ_PWHASH_PBKDF2 && hash->iterations <= QUICK_ITERATIONS);
}
