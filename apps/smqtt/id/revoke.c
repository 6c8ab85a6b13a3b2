/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt id revoke: the statement that keys are void (protocol.md 3.1). */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "id.h"
#include "keyring/revoked.h"
#include "net/clock.h"
#include "net/file.h"
#include "../say.h"

/** The statement without its text form, as it is retained beside the descriptor (protocol.md 9.6). */
static bool write_broker_form(const char *path, const char *line)
{
    uint8_t bytes[SMQTT_REVOCATION_LEN];
    size_t len = 0;
    struct smq_why why;
    const char *space = strchr(line, ' ');
    smqtt_err err = SMQTT_E_MALFORMED;
    if (space != NULL && smq_base64url_decode(bytes, sizeof bytes, smq_span_str(space + 1), &len) == SMQTT_OK) {
        err = smq_file_write(path, smq_span_of(bytes, len), false, false, &why);
    } else {
        smq_why_set(&why, err, "The statement cannot be written to %s: %s.", path, smqtt_strerror(err));
    }
    if (err != SMQTT_OK) {
        say("%s", why.text);
    }
    return err == SMQTT_OK;
}

static void print_steps(const char *path)
{
    fprintf(
        stderr,
        "Append it to the list that servers and clients are given with --revoked (smqttd: smqtt_revoked)%s%s, by a\n"
        "way that the broker does not control; servers read it again on SIGHUP, clients when they start.\n",
        path != NULL ? ": cat >> LIST " : "", path != NULL ? path : "");
}

int id_revoke(const struct opts *o)
{
    enum smqtt_revocation_reason reason = SMQTT_REVOKED_UNSPECIFIED;
    struct smq_idfile file;
    char line[SMQTT_REVOCATION_TEXT_MAX];
    if (!id_form(o, 2, "revoke FILE.id [--reason lost|superseded|unused] [-o FILE]")) {
        return EXIT_FAILED;
    }
    if (o->reason != NULL && !smq_revoked_reason_read(o->reason, &reason)) {
        say("'%s' is no reason: say lost, stolen, superseded or unused.", o->reason);
        return EXIT_FAILED;
    }
    if (!id_open(o, o->args[1], &file)) {
        return EXIT_FAILED;
    }
    smqtt_err err = smqtt_identity_revoke(file.identity, reason, smq_clock_now().wall, line);
    bool ok = err == SMQTT_OK;
    if (!ok) {
        say("no revocation of '%s' was made: %s.", o->args[1], smqtt_strerror(err));
    } else if (o->output != NULL) {
        ok = id_write_line(o->output, line);
    } else {
        ok = puts(line) >= 0;
    }
    ok = ok && (o->broker_form == NULL || write_broker_form(o->broker_form, line));
    if (ok) {
        print_steps(o->output);
    }
    smq_idfile_free(&file);
    return ok ? EXIT_OK : EXIT_FAILED;
}
