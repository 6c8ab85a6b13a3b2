/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt id revoke: the statement that keys are void (protocol.md 3.1). */
#include <stdio.h>

#include "id.h"
#include "keyring/revoked.h"
#include "net/clock.h"
#include "../say.h"

static void print_steps(const char *path)
{
    fprintf(
        stderr,
        "Append it to the list that servers and clients are given with --revoked (smqttd: smqtt_revoked)%s%s, by a\n"
        "way that the broker does not control, and start them again; smqttd reads its list again on SIGHUP.\n",
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
    if (ok) {
        print_steps(o->output);
    }
    smq_idfile_free(&file);
    return ok ? EXIT_OK : EXIT_FAILED;
}
