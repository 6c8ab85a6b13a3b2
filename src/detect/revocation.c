/* SPDX-License-Identifier: Apache-2.0 */
/* Revocation: statements of keys about themselves, and lists (protocol.md 3.1). */
#include <stdlib.h>

#include "base/hex.h"
#include "base/mem.h"
#include "base/rd.h"
#include "detect/identity.h"
#include "detect/schedule.h"

#define TEXT_PREFIX "smqtt-revocation"

enum {
    MARK = 0x52,
    SIGNED_LEN = SMQTT_REVOCATION_LEN - SMQ_SIG_LEN,
    PRINT_LEN = 20, /* what of a did a fingerprint shows */
    ENTRIES_FIRST = 16
};

/* ---------------------------------------------------------------- statements */

/** A statement, not verified. */
struct statement {
    uint8_t suite_id;
    enum smqtt_revocation_reason reason;
    smqtt_ms at;
    const uint8_t *skid;
    const uint8_t *sig;
};

static smqtt_err statement_read(smq_span bytes, struct statement *out)
{
    struct smq_rd rd = smq_rd_of(bytes);
    uint8_t mark = smq_rd_u8(&rd);
    out->suite_id = smq_rd_u8(&rd);
    uint8_t reason = smq_rd_u8(&rd);
    uint8_t reserved = smq_rd_u8(&rd);
    out->at = smq_rd_u64(&rd);
    out->skid = smq_rd_bytes(&rd, SMQTT_SKID_LEN).data;
    out->sig = smq_rd_bytes(&rd, SMQ_SIG_LEN).data;
    /* A reason that a later version knows revokes as well. */
    out->reason = reason <= SMQTT_REVOKED_UNUSED ? (enum smqtt_revocation_reason)reason : SMQTT_REVOKED_UNSPECIFIED;
    return smq_rd_done(&rd) && mark == MARK && reserved == 0 ? SMQTT_OK : SMQTT_E_MALFORMED;
}

bool smq_revocation_is(smq_span bytes)
{
    return bytes.len == SMQTT_REVOCATION_LEN && bytes.data[0] == MARK;
}

static void results(enum smqtt_revocation_reason from_reason, smqtt_ms from_at, enum smqtt_revocation_reason *reason,
                    smqtt_ms *at)
{
    if (reason != NULL) {
        *reason = from_reason;
    }
    if (at != NULL) {
        *at = from_at;
    }
}

smqtt_err smqtt_identity_revoke(const struct smqtt_identity *id, enum smqtt_revocation_reason reason, smqtt_ms at,
                                char out[SMQTT_REVOCATION_TEXT_MAX])
{
    uint8_t bytes[SMQTT_REVOCATION_LEN];
    struct smq_wr wr = smq_wr_of(bytes, sizeof(bytes));
    if (!id->has_private || (unsigned)reason > SMQTT_REVOKED_UNUSED) {
        return SMQTT_E_USAGE;
    }
    smq_wr_u8(&wr, MARK);
    smq_wr_u8(&wr, id->suite->id);
    smq_wr_u8(&wr, (uint8_t)reason);
    smq_wr_u8(&wr, 0);
    smq_wr_u64(&wr, at);
    smq_wr_bytes(&wr, id->skid, SMQTT_SKID_LEN);
    const smq_span content = smq_wr_span(&wr);
    SMQ_TRY(smq_schedule_sign_with(id->signer, SMQ_SIGN_REVOCATION, &content, 1, bytes + SIGNED_LEN));
    return smqtt_revocation_text(smq_span_of(bytes, sizeof(bytes)), out);
}

smqtt_err smqtt_revocation_text(struct smqtt_span statement, char out[SMQTT_REVOCATION_TEXT_MAX])
{
    if (!smq_revocation_is(statement)) {
        return SMQTT_E_MALFORMED;
    }
    memcpy(out, TEXT_PREFIX " ", strlen(TEXT_PREFIX " "));
    smq_base64url_encode(out + strlen(TEXT_PREFIX " "), statement);
    return SMQTT_OK;
}

smqtt_err smqtt_revocation_check(struct smqtt_span statement, const struct smqtt_identity *id,
                                 enum smqtt_revocation_reason *reason, smqtt_ms *at)
{
    struct statement s;
    SMQ_TRY(statement_read(statement, &s));
    if (s.suite_id != id->suite->id || memcmp(s.skid, id->skid, SMQTT_SKID_LEN) != 0) {
        return SMQTT_E_UNKNOWN_PEER;
    }
    const smq_span content = smq_span_of(statement.data, SIGNED_LEN);
    SMQ_TRY(smq_schedule_verify(id->suite, id->pk_sig, SMQ_SIGN_REVOCATION, &content, 1, s.sig));
    results(s.reason, s.at, reason, at);
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- lists */

/** Things of one length, sorted by their bytes. */
struct table {
    uint8_t *bytes;
    size_t n, cap;
};

struct smqtt_revocations {
    const struct smqtt_mem *mem;
    struct table prints;     /* PRINT_LEN bytes of a did */
    struct table statements; /* skid, then the statement */
};

enum { STATEMENT_LEN = SMQTT_SKID_LEN + SMQTT_REVOCATION_LEN };

static smqtt_err table_add(const struct smqtt_mem *mem, struct table *t, size_t size, const uint8_t *bytes)
{
    if (t->n == t->cap) {
        size_t cap = t->cap != 0 ? t->cap * 2 : ENTRIES_FIRST;
        uint8_t *grown = smq_mem_resize(mem, t->bytes, cap * size);
        if (grown == NULL) {
            return SMQTT_E_NOMEM;
        }
        t->bytes = grown;
        t->cap = cap;
    }
    memcpy(t->bytes + t->n++ * size, bytes, size);
    return SMQTT_OK;
}

/** The first entry that does not stand before `key` of `len` bytes. */
static size_t table_find(const struct table *t, size_t size, const uint8_t *key, size_t len)
{
    size_t low = 0;
    for (size_t high = t->n; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(t->bytes + middle * size, key, len) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int by_print(const void *a, const void *b)
{
    return memcmp(a, b, PRINT_LEN);
}

static int by_statement(const void *a, const void *b)
{
    return memcmp(a, b, STATEMENT_LEN);
}

/** Eight groups of four, joined by `-`; letters of either case. */
static bool print_read(smq_span word, uint8_t out[PRINT_LEN])
{
    char text[SMQTT_FINGERPRINT_SIZE];
    size_t n = 0;
    size_t len = 0;
    if (word.len != SMQTT_FINGERPRINT_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < word.len; i++) {
        bool dash = i % 5 == 4;
        if (dash != (word.data[i] == '-')) {
            return false;
        }
        text[n] = (char)word.data[i];
        n += !dash;
    }
    return smq_base32_decode(out, PRINT_LEN, smq_span_of(text, n), &len) == SMQTT_OK && len == PRINT_LEN;
}

static bool statement_text_read(smq_span word, uint8_t out[STATEMENT_LEN])
{
    struct statement s;
    size_t len = 0;
    uint8_t *bytes = out + SMQTT_SKID_LEN;
    if (smq_base64url_decode(bytes, SMQTT_REVOCATION_LEN, word, &len) != SMQTT_OK ||
        statement_read(smq_span_of(bytes, len), &s) != SMQTT_OK) {
        return false;
    }
    memcpy(out, s.skid, SMQTT_SKID_LEN);
    return true;
}

static smqtt_err line_read(struct smqtt_revocations *list, smq_span line)
{
    uint8_t entry[STATEMENT_LEN];
    smq_span word = smq_text_word(&line);
    if (smq_span_equal(word, smq_span_str(TEXT_PREFIX))) {
        bool ok = statement_text_read(smq_text_word(&line), entry);
        return ok ? table_add(list->mem, &list->statements, STATEMENT_LEN, entry) : SMQTT_E_USAGE;
    }
    return print_read(word, entry) ? table_add(list->mem, &list->prints, PRINT_LEN, entry) : SMQTT_E_USAGE;
}

smqtt_err smqtt_revocations_read(const struct smqtt_mem *mem, struct smqtt_span text, struct smqtt_revocations **out,
                                 unsigned *line)
{
    mem = smq_mem_or_default(mem);
    struct smqtt_revocations *list = smq_mem_zalloc(mem, 1, sizeof(*list));
    if (list == NULL) {
        return SMQTT_E_NOMEM;
    }
    list->mem = mem;
    unsigned number = 0;
    smq_span words;
    while (smq_text_line(&text, &words, &number)) {
        smqtt_err err = line_read(list, words);
        if (err != SMQTT_OK) {
            smqtt_revocations_free(list);
            *line = err == SMQTT_E_USAGE ? number : *line;
            return err;
        }
    }
    if (list->prints.n != 0) {
        qsort(list->prints.bytes, list->prints.n, PRINT_LEN, by_print);
    }
    if (list->statements.n != 0) {
        qsort(list->statements.bytes, list->statements.n, STATEMENT_LEN, by_statement);
    }
    *out = list;
    return SMQTT_OK;
}

void smqtt_revocations_free(struct smqtt_revocations *list)
{
    if (list != NULL) {
        smq_mem_free(list->mem, list->prints.bytes);
        smq_mem_free(list->mem, list->statements.bytes);
        smq_mem_free(list->mem, list);
    }
}

bool smqtt_revocations_have(const struct smqtt_revocations *list, const struct smqtt_identity *id,
                            enum smqtt_revocation_reason *reason, smqtt_ms *at)
{
    if (list == NULL) {
        return false;
    }
    const struct table *t = &list->statements;
    for (size_t i = table_find(t, STATEMENT_LEN, id->skid, SMQTT_SKID_LEN); i < t->n; i++) {
        const uint8_t *entry = t->bytes + i * STATEMENT_LEN;
        if (memcmp(entry, id->skid, SMQTT_SKID_LEN) != 0) {
            break;
        }
        const smq_span bytes = smq_span_of(entry + SMQTT_SKID_LEN, SMQTT_REVOCATION_LEN);
        smqtt_err err = smqtt_revocation_check(bytes, id, reason, at);
        if (err == SMQTT_E_NOMEM || err == SMQTT_E_CRYPTO) {
            results(SMQTT_REVOKED_UNSPECIFIED, 0, reason, at); /* not known to be false */
            return true;
        }
        if (err == SMQTT_OK) {
            return true;
        }
    }
    t = &list->prints;
    size_t i = table_find(t, PRINT_LEN, id->did, PRINT_LEN);
    bool found = i < t->n && memcmp(t->bytes + i * PRINT_LEN, id->did, PRINT_LEN) == 0;
    if (found) {
        results(SMQTT_REVOKED_UNSPECIFIED, 0, reason, at);
    }
    return found;
}
