/* SPDX-License-Identifier: Apache-2.0 */
/* Text forms of identities: public line, private file, fingerprint (protocol.md 3). */
#include "base/hex.h"
#include "base/mem.h"
#include "base/wr.h"
#include "detect/identity.h"

#define PRIVATE_FIRST "smqtt-identity 1"
#define PUBLIC_PREFIX "smqtt-"

enum { FINGERPRINT_BYTES = 20, FINGERPRINT_GROUP = 4 };

/* ---------------------------------------------------------------- writing */

static void text_put(struct smq_wr *wr, const char *text)
{
    smq_wr_put(wr, smq_span_str(text));
}

void smq_text_base64(struct smq_wr *wr, smq_span bytes)
{
    char text[SMQ_BASE64URL_LEN(SMQ_DESCRIPTOR_MAX) + 1];
    smq_base64url_encode(text, bytes);
    text_put(wr, text);
    smq_wipe(text, SMQ_BASE64URL_LEN(bytes.len));
}

static void public_put(struct smq_wr *wr, const struct smqtt_identity *id)
{
    text_put(wr, PUBLIC_PREFIX);
    text_put(wr, id->suite->name);
    text_put(wr, " ");
    smq_text_base64(wr, smq_span_of(id->descriptor, id->len));
}

smqtt_err smqtt_identity_public_text(const struct smqtt_identity *id, char *out, size_t cap)
{
    struct smq_wr wr = smq_wr_of((uint8_t *)out, cap);
    public_put(&wr, id);
    smq_wr_u8(&wr, 0);
    return smq_wr_ok(&wr) ? SMQTT_OK : SMQTT_E_FULL;
}

void smq_text_private_head(struct smq_wr *wr, const struct smqtt_identity *id)
{
    text_put(wr, PRIVATE_FIRST "\npublic: ");
    public_put(wr, id);
    text_put(wr, "\n");
}

smqtt_err smqtt_identity_private_text(const struct smqtt_identity *id, char *out, size_t cap)
{
    if (!id->has_private) {
        return SMQTT_E_USAGE;
    }
    struct smq_wr wr = smq_wr_of((uint8_t *)out, cap);
    smq_text_private_head(&wr, id);
    text_put(&wr, "kem: ");
    smq_text_base64(&wr, smq_span_of(id->sk_kem, SMQ_SK_LEN));
    text_put(&wr, "\nsign: ");
    smq_text_base64(&wr, smq_span_of(id->sk_sig, SMQ_SK_LEN));
    text_put(&wr, "\n");
    smq_wr_u8(&wr, 0);
    if (!smq_wr_ok(&wr)) {
        smq_wipe(out, cap);
        return SMQTT_E_FULL;
    }
    return SMQTT_OK;
}

void smqtt_identity_fingerprint(const struct smqtt_identity *id, char out[SMQTT_FINGERPRINT_SIZE])
{
    char text[SMQ_BASE32_LEN(FINGERPRINT_BYTES) + 1];
    smq_base32_encode(text, smq_span_of(id->did, FINGERPRINT_BYTES), false);
    size_t at = 0;
    for (size_t i = 0; text[i] != 0; i++) {
        if (i != 0 && i % FINGERPRINT_GROUP == 0) {
            out[at++] = '-';
        }
        out[at++] = text[i];
    }
    out[at] = 0;
}

/* ---------------------------------------------------------------- reading */

bool smq_text_line(smq_span *text, smq_span *line, unsigned *number)
{
    while (text->len > 0) {
        const uint8_t *end = memchr(text->data, '\n', text->len);
        size_t len = end != NULL ? (size_t)(end - text->data) : text->len;
        *line = smq_span_of(text->data, len);
        *text = smq_span_from(*text, len + 1);
        if (number != NULL) {
            ++*number;
        }
        if (line->len > 0 && line->data[line->len - 1] == '\r') {
            line->len--;
        }
        if (line->len > 0 && line->data[0] != '#') {
            return true;
        }
    }
    return false;
}

static bool prefix_take(smq_span *s, smq_span prefix)
{
    if (!smq_span_starts(*s, prefix)) {
        return false;
    }
    *s = smq_span_from(*s, prefix.len);
    return true;
}

smq_span smq_text_word(smq_span *s)
{
    const uint8_t *space = s->len != 0 ? memchr(s->data, ' ', s->len) : NULL;
    smq_span word = smq_span_of(s->data, space != NULL ? (size_t)(space - s->data) : s->len);
    *s = smq_span_from(*s, word.len + 1);
    return word;
}

/** `smqtt-` suite-name space base64url(descriptor), optionally space and a comment. */
static smqtt_err public_read(const struct smqtt_mem *mem, smq_span line, struct smqtt_identity **out)
{
    uint8_t bytes[SMQ_DESCRIPTOR_MAX];
    size_t len = 0;
    if (!prefix_take(&line, smq_span_str(PUBLIC_PREFIX))) {
        return SMQTT_E_BAD_IDENTITY;
    }
    smq_span suite = smq_text_word(&line);
    if (smq_base64url_decode(bytes, sizeof(bytes), smq_text_word(&line), &len) != SMQTT_OK) {
        return SMQTT_E_BAD_IDENTITY;
    }
    struct smqtt_identity *id = NULL;
    SMQ_TRY(smq_identity_parse(mem, smq_span_of(bytes, len), true, &id));
    if (!smq_span_equal(suite, smq_span_str(id->suite->name))) {
        smqtt_identity_free(id);
        return SMQTT_E_BAD_IDENTITY;
    }
    *out = id;
    return SMQTT_OK;
}

/** The lines of a private file, without their names. */
struct private_lines {
    smq_span of_public, kem, sign, locked;
};

static smqtt_err lines_read(smq_span text, struct private_lines *out)
{
    const struct {
        smq_span prefix;
        smq_span *value;
    } names[] = {{smq_span_str("public: "), &out->of_public},
                 {smq_span_str("kem: "), &out->kem},
                 {smq_span_str("sign: "), &out->sign},
                 {smq_span_str("locked: "), &out->locked}};
    smq_span line;
    while (smq_text_line(&text, &line, NULL)) {
        size_t i = 0;
        while (i < SMQ_ARRAY_LEN(names) && !prefix_take(&line, names[i].prefix)) {
            i++;
        }
        if (i == SMQ_ARRAY_LEN(names) || names[i].value->data != NULL) {
            return SMQTT_E_BAD_IDENTITY;
        }
        *names[i].value = line;
    }
    bool locked = out->locked.data != NULL;
    bool whole = out->of_public.data != NULL && (out->kem.data == NULL) == locked && (out->sign.data == NULL) == locked;
    return whole ? SMQTT_OK : SMQTT_E_BAD_IDENTITY;
}

static smqtt_err key_read(smq_span text, uint8_t out[SMQ_SK_LEN])
{
    size_t len = 0;
    smqtt_err err = smq_base64url_decode(out, SMQ_SK_LEN, text, &len);
    return err == SMQTT_OK && len == SMQ_SK_LEN ? SMQTT_OK : SMQTT_E_BAD_IDENTITY;
}

static smqtt_err keys_read(const struct private_lines *lines, const struct smqtt_identity *id,
                           const struct smq_unlock *unlock, uint8_t kem[SMQ_SK_LEN], uint8_t sign[SMQ_SK_LEN])
{
    if (lines->locked.data != NULL) {
        return smq_identity_lock_open(id, lines->locked, unlock, kem, sign);
    }
    SMQ_TRY(key_read(lines->kem, kem));
    return key_read(lines->sign, sign);
}

static smqtt_err private_read(const struct smqtt_mem *mem, smq_span text, const struct smq_unlock *unlock,
                              struct smqtt_identity **out)
{
    struct private_lines lines = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    struct smqtt_identity *id = NULL;
    uint8_t kem[SMQ_SK_LEN] = {0};
    uint8_t sign[SMQ_SK_LEN] = {0};
    SMQ_TRY(lines_read(text, &lines));
    SMQ_TRY(public_read(mem, lines.of_public, &id));
    smqtt_err err = keys_read(&lines, id, unlock, kem, sign);
    if (err == SMQTT_OK) {
        err = smq_identity_set_private(id, kem, sign);
    }
    smq_wipe(kem, sizeof(kem));
    smq_wipe(sign, sizeof(sign));
    if (err != SMQTT_OK) {
        smqtt_identity_free(id);
        return err;
    }
    *out = id;
    return SMQTT_OK;
}

smqtt_err smq_identity_read_text(const struct smqtt_mem *mem, smq_span text, const struct smq_unlock *unlock,
                                 struct smqtt_identity **out)
{
    smq_span line;
    if (!smq_text_line(&text, &line, NULL)) {
        return SMQTT_E_BAD_IDENTITY;
    }
    if (smq_span_equal(line, smq_span_str(PRIVATE_FIRST))) {
        return private_read(mem, text, unlock, out);
    }
    smq_span more;
    if (smq_text_line(&text, &more, NULL)) {
        return SMQTT_E_BAD_IDENTITY;
    }
    return public_read(mem, line, out);
}

smqtt_err smqtt_identity_read(const struct smqtt_mem *mem, struct smqtt_span text, struct smqtt_identity **out)
{
    const struct smq_unlock nothing = {{NULL, 0}, NULL};
    return smq_identity_read_text(mem, text, &nothing, out);
}
