/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/passphrase.h"

#include "base/mem.h"
#include "net/file.h"

/* Where the line ends; *behind is where the next one would begin. */
static size_t line_len(smq_span text, size_t *behind)
{
    const uint8_t *end = text.len != 0 ? memchr(text.data, '\n', text.len) : NULL;
    size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
    *behind = end != NULL ? len + 1 : len;
    return len > 0 && text.data[len - 1] == '\r' ? len - 1 : len;
}

smqtt_err smq_passphrase_read(const char *path, struct smq_passphrase *out, struct smq_why *why)
{
    struct smq_file_text file = {NULL, 0};
    SMQ_TRY(smq_file_read(path, SMQ_PASSPHRASE_MAX + 2, true, &file, why));
    size_t behind = 0;
    size_t len = line_len(smq_span_of(file.text, file.len), &behind);
    smqtt_err err = SMQTT_OK;
    if (len > SMQ_PASSPHRASE_MAX) {
        err = smq_why_set(why, SMQTT_E_FULL, "The passphrase in %s is longer than %d bytes: choose a shorter one.",
                          path, SMQ_PASSPHRASE_MAX);
    } else if (len == 0) {
        err = smq_why_set(why, SMQTT_E_USAGE,
                          "%s is to hold a passphrase, but its first line is empty: write it there.", path);
    } else if (behind != file.len) {
        err = smq_why_set(why, SMQTT_E_USAGE,
                          "%s is to hold a passphrase, which is one line, but has more: leave only that line in it.",
                          path);
    } else {
        memcpy(out->bytes, file.text, len);
        out->len = len;
    }
    smq_file_free(&file);
    return err;
}

smq_span smq_passphrase_span(const struct smq_passphrase *passphrase)
{
    return smq_span_of(passphrase->bytes, passphrase->len);
}

void smq_passphrase_wipe(struct smq_passphrase *passphrase)
{
    if (passphrase != NULL) {
        smq_wipe(passphrase, sizeof *passphrase);
    }
}
