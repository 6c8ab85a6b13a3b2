/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt id new */
#include <stdio.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "../ask.h"
#include "id.h"
#include "net/clock.h"
#include "../say.h"

/* The statement that voids the keys is made while they are at hand. */
static bool write_revocation(const struct smqtt_identity *id, const char *path, smqtt_ms now)
{
    char line[SMQTT_REVOCATION_TEXT_MAX];
    smqtt_err err = smqtt_identity_revoke(id, SMQTT_REVOKED_UNSPECIFIED, now, line);
    if (err != SMQTT_OK) {
        say("no revocation was made: %s.", smqtt_strerror(err));
        return false;
    }
    if (!id_write_line(path, line)) {
        return false;
    }
    printf("revocation   %s (keep it apart; whoever has it can void these keys for good)\n", path);
    return true;
}

int id_new(const struct opts *o)
{
    if (o->n_args != 2 || o->output == NULL) {
        say("the form is: smqtt id new NAME -o FILE.id.");
        return EXIT_FAILED;
    }
    if (o->revocation != NULL && access(o->revocation, F_OK) == 0) {
        say("'%s' exists: choose another name for --revocation.", o->revocation);
        return EXIT_FAILED;
    }
    struct smqtt_rng rng = smqtt_system_rng();
    smqtt_ms now = smq_clock_now().wall;
    struct smqtt_identity *id = NULL;
    smqtt_err err = smqtt_identity_new(NULL, &rng, o->suite != NULL ? o->suite : "x25519", o->args[1],
                                       o->require_clients ? 1 : 0, now, id_end(o, now), &id);
    if (err != SMQTT_OK) {
        say("no identity '%s' was made: %s (a name has 1 to 63 bytes of text, a suite is x25519 or p256).", o->args[1],
            smqtt_strerror(err));
        return EXIT_FAILED;
    }
    struct smq_passphrase lock = {.len = 0};
    bool locked = o->lock || o->passphrase_file != NULL;
    bool ok = !locked || ask_new("New passphrase", o->output, o->passphrase_file, &lock);
    ok = ok && id_write_pair(id, o->output, &lock);
    ok = ok && (o->revocation == NULL || write_revocation(id, o->revocation, now));
    smq_passphrase_wipe(&lock);
    smqtt_identity_free(id);
    return ok ? EXIT_OK : EXIT_FAILED;
}
