/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/idfile.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "base/mem.h"
#include "keyring/kdf.h"
#include "net/file.h"

/* ---------------------------------------------------------------- reading */

static smqtt_err not_an_identity(const char *path, smqtt_err err, struct smq_why *why)
{
    return smq_why_set(why, err, "'%s' is not an identity: %s.", path, smqtt_strerror(err));
}

/* The value of the first line that begins so; empty when there is none. */
static smq_span find_line(smq_span text, const char *name)
{
    smq_span prefix = smq_span_str(name);
    while (text.len != 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
        if (smq_span_starts(smq_span_of(text.data, len), prefix)) {
            return smq_span_of(text.data + prefix.len, len - prefix.len);
        }
        text = smq_span_from(text, len + 1);
    }
    return (smq_span){NULL, 0};
}

/* The public half of a locked file stands in it in plain. */
static smqtt_err read_public_half(const char *path, smq_span text, struct smqtt_identity **out, struct smq_why *why)
{
    smqtt_err err = smqtt_identity_read(NULL, find_line(text, "public: "), out);
    return err == SMQTT_OK ? err : not_an_identity(path, err, why);
}

static smqtt_err unlock(const char *path, smq_span text, const struct smq_idfile_ask *ask, struct smq_idfile *out,
                        struct smq_why *why)
{
    struct smqtt_kdf kdf = smq_kdf();
    smqtt_err err = SMQTT_E_BAD_PASSPHRASE;
    for (unsigned i = 0; err == SMQTT_E_BAD_PASSPHRASE && i < ask->tries; i++) {
        SMQ_TRY(ask->ask(ask->ctx, path, &out->passphrase, why));
        err = smqtt_identity_unlock(NULL, text, smq_passphrase_span(&out->passphrase), &kdf, &out->identity);
    }
    if (err == SMQTT_OK) {
        return err;
    }
    smq_passphrase_wipe(&out->passphrase);
    if (err == SMQTT_E_BAD_PASSPHRASE) {
        return smq_why_set(
            why, err, "'%s' does not open with this passphrase: it is another one, or the file was changed.", path);
    }
    if (err == SMQTT_E_NOMEM) {
        return smq_why_set(why, err,
                           "'%s' cannot be unlocked: its lock wants more memory than there is; free some, or lock it "
                           "anew where there is enough.",
                           path);
    }
    return not_an_identity(path, err, why);
}

static smqtt_err only_public(const char *path, struct smq_why *why)
{
    return smq_why_set(why, SMQTT_E_USAGE,
                       "'%s' is only the public half: give the file that smqtt id new wrote with -o.", path);
}

static smqtt_err read_text(const char *path, smq_span text, bool need_private, const struct smq_idfile_ask *ask,
                           struct smq_idfile *out, struct smq_why *why)
{
    smqtt_err err = smqtt_identity_read(NULL, text, &out->identity);
    out->locked = err == SMQTT_E_LOCKED;
    if (out->locked && !need_private) {
        return read_public_half(path, text, &out->identity, why);
    }
    if (out->locked && ask != NULL) {
        return unlock(path, text, ask, out, why);
    }
    if (out->locked) {
        return smq_why_set(why, err, "'%s' is locked with a passphrase: name the file that holds it.", path);
    }
    if (err != SMQTT_OK) {
        return not_an_identity(path, err, why);
    }
    if (need_private && !smqtt_identity_has_private(out->identity)) {
        return only_public(path, why);
    }
    return SMQTT_OK;
}

/* What the file says of itself in its first bytes. */
enum look { LOOKS_OTHER, LOOKS_PUBLIC, LOOKS_PRIVATE };

static enum look look_at(const char *path)
{
    static const char private_mark[] = "smqtt-identity";
    static const char public_mark[] = "smqtt-";
    char start[sizeof private_mark - 1] = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    /* Nothing is taken from what gives each byte once, and not through a buffer, which would keep a copy of secrets. */
    ssize_t n = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, start, sizeof start) : 0;
    if (fd >= 0) {
        close(fd);
    }
    smq_span got = smq_span_of(start, n > 0 ? (size_t)n : 0);
    return smq_span_starts(got, smq_span_str(private_mark))  ? LOOKS_PRIVATE
           : smq_span_starts(got, smq_span_str(public_mark)) ? LOOKS_PUBLIC
                                                             : LOOKS_OTHER;
}

smqtt_err smq_idfile_read(const char *path, bool need_private, const struct smq_idfile_ask *ask, struct smq_idfile *out,
                          struct smq_why *why)
{
    struct smq_file_text file = {NULL, 0};
    struct smq_idfile got = {.identity = NULL};
    enum look look = look_at(path);
    if (need_private && look == LOOKS_PUBLIC) {
        return only_public(path, why); /* rather than that others may read it, which it is made for */
    }
    SMQ_TRY(smq_file_read(path, SMQ_IDFILE_MAX, need_private || look == LOOKS_PRIVATE, &file, why));
    smqtt_err err = read_text(path, smq_span_of(file.text, file.len), need_private, ask, &got, why);
    smq_file_free(&file);
    if (err == SMQTT_OK) {
        *out = got;
    } else {
        smqtt_identity_free(got.identity);
    }
    smq_passphrase_wipe(&got.passphrase);
    return err;
}

void smq_idfile_free(struct smq_idfile *file)
{
    smqtt_identity_free(file->identity);
    smq_passphrase_wipe(&file->passphrase);
    *file = (struct smq_idfile){.identity = NULL};
}

/* ---------------------------------------------------------------- writing */

static smqtt_err cannot_write(const char *path, smqtt_err err, struct smq_why *why)
{
    return smq_why_set(why, err, "The identity cannot be written to '%s': %s.", path, smqtt_strerror(err));
}

static smqtt_err private_text(const struct smqtt_identity *id, const struct smq_passphrase *lock, char *out, size_t cap)
{
    if (lock == NULL || lock->len == 0) {
        return smqtt_identity_private_text(id, out, cap);
    }
    struct smqtt_kdf kdf = smq_kdf();
    struct smqtt_rng rng = smqtt_system_rng();
    return smqtt_identity_locked_text(id, smq_passphrase_span(lock), &kdf, &rng, out, cap);
}

smqtt_err smq_idfile_write(const char *path, const struct smqtt_identity *id, const struct smq_passphrase *lock,
                           bool replace, struct smq_why *why)
{
    char text[SMQTT_IDENTITY_TEXT_MAX];
    smqtt_err err = private_text(id, lock, text, sizeof text);
    if (err == SMQTT_OK) {
        err = smq_file_write(path, smq_span_str(text), true, replace, why);
    } else {
        cannot_write(path, err, why);
    }
    smq_wipe(text, sizeof text);
    return err;
}

smqtt_err smq_idfile_write_public(const char *path, const struct smqtt_identity *id, bool replace, struct smq_why *why)
{
    char text[SMQTT_IDENTITY_TEXT_MAX + 1];
    smqtt_err err = smqtt_identity_public_text(id, text, sizeof text - 1);
    if (err != SMQTT_OK) {
        return cannot_write(path, err, why);
    }
    size_t len = strlen(text);
    text[len] = '\n';
    return smq_file_write(path, smq_span_of(text, len + 1), false, replace, why);
}
