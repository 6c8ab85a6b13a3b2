/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt id check: is this identity good to use today? */
#include <stdio.h>

#include "id.h"
#include "keyring/known.h"
#include "keyring/revoked.h"
#include "net/clock.h"
#include "../peers.h"
#include "../say.h"

enum { SOON_DAYS = 30 };

static bool is_in_force(const struct smqtt_identity *id, smqtt_ms now)
{
    char text[32];
    smqtt_ms end = smqtt_identity_not_after(id);
    if (now < smqtt_identity_not_before(id)) {
        id_time_text(smqtt_identity_not_before(id), text);
        say("'%s' is valid from %s on only: wait, or set the clock.", smqtt_identity_name(id), text);
        return false;
    }
    if (!smqtt_identity_valid_at(id, now)) {
        id_time_text(end, text);
        say("'%s' ended on %s: its owner renews it with smqtt id renew, and gives the new public line away.",
            smqtt_identity_name(id), text);
        return false;
    }
    if (end != 0 && end - now < (smqtt_ms)SOON_DAYS * 86400000) {
        id_time_text(end, text);
        printf("%-12s until %s only: renew it soon\n", "in force", text);
    } else {
        puts("in force     yes");
    }
    return true;
}

static bool is_not_revoked(const struct opts *o, const struct smqtt_identity *id)
{
    struct smq_why why;
    struct smqtt_revocations *list = NULL;
    smqtt_err err = peers_read_revoked(o, &list, &why);
    if (err == SMQTT_OK) {
        err = smq_revoked_check(list, id, &why);
    }
    smqtt_revocations_free(list);
    if (err != SMQTT_OK) {
        say("%s", why.text);
        return false;
    }
    printf("revoked      %s\n", o->revoked.n != 0 ? "no" : "not that we were told: name a list with --revoked");
    return true;
}

static bool is_not_older(const struct opts *o, const struct smqtt_identity *id, smqtt_ms now)
{
    char path[ID_PATH_ROOM];
    struct smq_why why;
    struct smq_known *known = NULL;
    if (!peers_path(o, path, sizeof path)) {
        return false;
    }
    smqtt_err err = smq_known_read(path, &known, &why);
    if (err == SMQTT_OK) {
        err = smq_known_check(known, id, now, &why);
    }
    if (err == SMQTT_OK) {
        const struct smq_known_peer *peer = smq_known_by_skid(known, smqtt_identity_skid(id));
        char name[ID_SHOWN_ROOM];
        printf("known        %s\n", peer != NULL ? id_shown(peer->name, name) : "no");
    } else {
        say("%s", why.text);
    }
    smq_known_free(known);
    return err == SMQTT_OK;
}

int id_check(const struct opts *o)
{
    struct smqtt_identity *id =
        id_form(o, 2, "check FILE [--revoked LIST] [--known FILE]") ? id_open_public(o->args[1]) : NULL;
    if (id == NULL) {
        return EXIT_FAILED;
    }
    smqtt_ms now = smq_clock_now().wall;
    puts("signature    good");
    bool ok = is_in_force(id, now);
    ok = is_not_revoked(o, id) && ok;
    ok = is_not_older(o, id, now) && ok;
    smqtt_identity_free(id);
    return ok ? EXIT_OK : EXIT_FAILED;
}
