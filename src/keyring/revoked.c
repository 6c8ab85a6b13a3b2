/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/revoked.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/bytebuf.h"
#include "keyring/known.h"
#include "net/file.h"

enum { LIST_MAX = 64 * 1024 * 1024 };

static const struct {
    const char *word;
    enum smqtt_revocation_reason reason;
    const char *text;
} reasons[] = {
    {"unspecified", SMQTT_REVOKED_UNSPECIFIED, "without a reason"},
    {"lost", SMQTT_REVOKED_STOLEN, "its keys were lost or stolen"},
    {"stolen", SMQTT_REVOKED_STOLEN, "its keys were lost or stolen"},
    {"superseded", SMQTT_REVOKED_SUPERSEDED, "it was superseded by another one"},
    {"unused", SMQTT_REVOKED_UNUSED, "it is no longer used"},
};

const char *smq_revoked_reason(enum smqtt_revocation_reason reason)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(reasons); i++) {
        if (reasons[i].reason == reason) {
            return reasons[i].text;
        }
    }
    return reasons[0].text;
}

bool smq_revoked_reason_read(const char *word, enum smqtt_revocation_reason *out)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(reasons); i++) {
        if (strcmp(reasons[i].word, word) == 0) {
            *out = reasons[i].reason;
            return true;
        }
    }
    return false;
}

/* Each file is parsed by itself, so that a bad line is named by its file; then all of them together. */
static smqtt_err check_one(const char *path, smq_span text, struct smq_why *why)
{
    struct smqtt_revocations *list = NULL;
    unsigned line = 0;
    smqtt_err err = smqtt_revocations_read(NULL, text, &list, &line);
    smqtt_revocations_free(list);
    if (err == SMQTT_E_USAGE) {
        return smq_why_set(why, err,
                           "%s, line %u is neither what smqtt id revoke prints nor a fingerprint: mend it or take it "
                           "out.",
                           path, line);
    }
    return err == SMQTT_OK ? err : smq_why_set(why, err, "Cannot take %s: %s.", path, smqtt_strerror(err));
}

static smqtt_err add_file(const char *path, struct smq_bytebuf *all, struct smq_why *why)
{
    struct smq_file_text file = {NULL, 0};
    SMQ_TRY(smq_file_read(path, LIST_MAX, false, &file, why));
    smqtt_err err = check_one(path, smq_span_of(file.text, file.len), why);
    if (err == SMQTT_OK && (smq_bytebuf_append(all, smq_span_of(file.text, file.len)) != SMQTT_OK ||
                            smq_bytebuf_append(all, smq_span_str("\n")) != SMQTT_OK)) {
        err = smq_why_set(why, SMQTT_E_NOMEM, "There is no memory for %s.", path);
    }
    smq_file_free(&file);
    return err;
}

smqtt_err smq_revoked_read(const char *const *paths, size_t n, struct smqtt_revocations **out, struct smq_why *why)
{
    struct smq_bytebuf all;
    unsigned line = 0;
    smqtt_err err = SMQTT_OK;
    smq_bytebuf_init(&all, NULL, SIZE_MAX / 4);
    *out = NULL;
    for (size_t i = 0; err == SMQTT_OK && i < n; i++) {
        err = add_file(paths[i], &all, why);
    }
    if (err == SMQTT_OK && n != 0) {
        err = smqtt_revocations_read(NULL, smq_bytebuf_span(&all), out, &line);
        if (err != SMQTT_OK) {
            smq_why_set(why, err, "Cannot take the revocation lists: %s.", smqtt_strerror(err));
        }
    }
    smq_bytebuf_deinit(&all);
    return err;
}

/* ---------------------------------------------------------------- what was learned */

static const char learned_head[] = "# What owners have said of their own keys, as it was found with a broker. smqtt "
                                   "pub and detect read it beside the\n"
                                   "# known peers.\n";

/* The text with the line behind it; nothing when it stands there. */
static smqtt_err add_line(struct smq_bytebuf *out, smq_span text, const char *line, const char *name)
{
    const char *before = text.len == 0 ? learned_head : text.data[text.len - 1] != '\n' ? "\n" : "";
    const char *const parts[] = {before, line, " ", name, "\n"};
    SMQ_TRY(smq_bytebuf_append(out, text));
    for (size_t i = 0; i < SMQ_ARRAY_LEN(parts); i++) {
        SMQ_TRY(smq_bytebuf_append(out, smq_span_str(parts[i])));
    }
    return SMQTT_OK;
}

static smqtt_err write_line(const char *path, const char *line, const char *name, struct smq_why *why)
{
    struct smq_file_text file = {NULL, 0};
    struct smq_bytebuf out;
    if (access(path, F_OK) == 0 || errno != ENOENT) {
        SMQ_TRY(smq_file_read(path, LIST_MAX, true, &file, why));
        if (strstr(file.text, line) != NULL) {
            smq_file_free(&file);
            return SMQTT_OK;
        }
    }
    smq_bytebuf_init(&out, NULL, 2 * (size_t)LIST_MAX);
    smqtt_err err = add_line(&out, smq_span_of(file.text, file.len), line, name);
    if (err == SMQTT_OK) {
        err = smq_file_write(path, smq_bytebuf_span(&out), true, true, why);
    } else {
        smq_why_set(why, err, "A revocation cannot be added to %s: %s.", path, smqtt_strerror(err));
    }
    smq_bytebuf_deinit(&out);
    smq_file_free(&file);
    return err;
}

smqtt_err smq_revoked_remember(const char *path, struct smqtt_span statement, const char *name, struct smq_why *why)
{
    char line[SMQTT_REVOCATION_TEXT_MAX];
    int lock = -1;
    smqtt_err err = smqtt_revocation_text(statement, line);
    if (err != SMQTT_OK) {
        return smq_why_set(why, err, "What is to be added to %s is no statement of a revocation.", path);
    }
    SMQ_TRY(smq_known_lock(path, &lock, why));
    err = write_line(path, line, name, why);
    close(lock);
    return err;
}

/* ---------------------------------------------------------------- judging */

smqtt_err smq_revoked_check(const struct smqtt_revocations *list, const struct smqtt_identity *id, struct smq_why *why)
{
    enum smqtt_revocation_reason reason = SMQTT_REVOKED_UNSPECIFIED;
    smqtt_ms at = 0;
    if (list == NULL || id == NULL || !smqtt_revocations_have(list, id, &reason, &at)) {
        return SMQTT_OK;
    }
    char when[64];
    time_t seconds = (time_t)(at / 1000);
    struct tm tm;
    if (at == 0 || gmtime_r(&seconds, &tm) == NULL || strftime(when, sizeof when, "on %Y-%m-%d %H:%M UTC", &tm) == 0) {
        snprintf(when, sizeof when, "by its fingerprint");
    }
    char fingerprint[SMQTT_FINGERPRINT_SIZE];
    smqtt_identity_fingerprint(id, fingerprint);
    return smq_why_set(
        why, SMQTT_E_REVOKED,
        "'%s' (%s) was revoked %s, %s: enrol its new identity, and take the line off the list only if it "
        "is wrong.",
        smqtt_identity_name(id), fingerprint, when, at != 0 ? smq_revoked_reason(reason) : "on our list");
}
