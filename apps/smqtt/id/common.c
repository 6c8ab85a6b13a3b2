/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../ask.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/span.h"
#include "id.h"
#include "net/file.h"
#include "../peers.h"
#include "../say.h"

bool id_form(const struct opts *o, size_t words, const char *form)
{
    if (o->n_args == words) {
        return true;
    }
    say("the form is: smqtt id %s.", form);
    return false;
}

bool id_open(const struct opts *o, const char *path, struct smq_idfile *out)
{
    struct smq_why why;
    struct smq_idfile_ask ask = ask_of(o->passphrase_file);
    if (smq_idfile_read(path, true, &ask, out, &why) == SMQTT_OK) {
        return true;
    }
    say("%s", why.text);
    return false;
}

struct smqtt_identity *id_open_public(const char *file_or_line)
{
    struct smq_why why;
    if (peers_is_line(file_or_line)) {
        return peers_read_line(file_or_line);
    }
    struct smq_idfile file;
    if (smq_idfile_read(file_or_line, false, NULL, &file, &why) != SMQTT_OK) {
        say("%s", why.text);
        return NULL;
    }
    return file.identity;
}

bool id_public_path(const char *path, char out[ID_PATH_ROOM])
{
    size_t len = strlen(path);
    size_t stem = len > 3 && strcmp(path + len - 3, ".id") == 0 ? len - 3 : len;
    bool fits = snprintf(out, ID_PATH_ROOM, "%.*s.pub", (int)stem, path) < ID_PATH_ROOM;
    if (!fits) {
        say("the identity cannot be written: the name '%s' is too long.", path);
    }
    return fits;
}

bool id_write_pair(const struct smqtt_identity *id, const char *path, const struct smq_passphrase *lock)
{
    char pub[ID_PATH_ROOM];
    struct smq_why why;
    if (!id_public_path(path, pub)) {
        return false;
    }
    if (access(pub, F_OK) == 0) {
        say("'%s' exists: an identity is never overwritten, choose another name.", pub);
        return false;
    }
    if (smq_idfile_write(path, id, lock, false, &why) != SMQTT_OK ||
        smq_idfile_write_public(pub, id, false, &why) != SMQTT_OK) {
        say("%s", why.text);
        return false;
    }
    char fingerprint[SMQTT_FINGERPRINT_SIZE];
    smqtt_identity_fingerprint(id, fingerprint);
    printf("private      %s (keep it secret%s)\npublic       %s (for everyone who seals for it)\nfingerprint  %s\n",
           path, lock != NULL && lock->len != 0 ? ", locked" : "", pub, fingerprint);
    return true;
}

void id_time_text(smqtt_ms ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL || strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
        snprintf(out, 32, "a time out of range");
    }
}

void id_print_time(const char *what, smqtt_ms ms)
{
    char text[32] = "no end";
    if (ms != 0) {
        id_time_text(ms, text);
    }
    printf("%-12s %s\n", what, text);
}

const char *id_shown(const char *name, char out[ID_SHOWN_ROOM])
{
    smq_text_escape(out, ID_SHOWN_ROOM, smq_span_str(name));
    return out;
}

void id_print(const struct smqtt_identity *id)
{
    char name[ID_SHOWN_ROOM];
    char fingerprint[SMQTT_FINGERPRINT_SIZE];
    char skid[2 * SMQTT_SKID_LEN + 1];
    uint8_t old[SMQTT_SKID_LEN];
    smqtt_ms until = 0;
    smqtt_identity_fingerprint(id, fingerprint);
    smq_hex_encode(skid, smq_span_of(smqtt_identity_skid(id), SMQTT_SKID_LEN));
    printf("name         %s\nsuite        %s\nfingerprint  %s\nskid         %s\nversion      %u\n",
           id_shown(smqtt_identity_name(id), name), smqtt_identity_suite(id), fingerprint, skid,
           (unsigned)smqtt_identity_version(id));
    id_print_time("valid from", smqtt_identity_not_before(id));
    id_print_time("valid until", smqtt_identity_not_after(id));
    if (smqtt_identity_predecessor(id, old, &until)) {
        char text[32];
        smq_hex_encode(skid, smq_span_of(old, sizeof old));
        id_time_text(until, text);
        printf("%-12s %s, which is served until %s\n", "succeeds", skid, text);
    }
    printf("%-12s %s\n", "clients", (smqtt_identity_flags(id) & 1) != 0 ? "only those with an identity" : "all");
}

smqtt_ms id_end(const struct opts *o, smqtt_ms now)
{
    return o->days != 0 ? now + (smqtt_ms)o->days * 86400000 : 0;
}

bool id_write_line(const char *path, const char *line)
{
    char text[SMQTT_IDENTITY_TEXT_MAX + 1];
    struct smq_why why;
    size_t len = (size_t)snprintf(text, sizeof text, "%s\n", line);
    smqtt_err err = smq_file_write(path, smq_span_of(text, len), true, false, &why);
    if (err != SMQTT_OK) {
        say("%s", why.text);
    }
    return err == SMQTT_OK;
}
