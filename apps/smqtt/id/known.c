/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt id known, trust, forget: the file of known peers. */
#include <stdio.h>

#include "base/hex.h"
#include "base/span.h"
#include "id.h"
#include "keyring/known.h"
#include "net/clock.h"
#include "../peers.h"
#include "../say.h"

static void print_peer(const struct smq_known_peer *peer, const struct smqtt_revocations *revoked, smqtt_ms now)
{
    char fingerprint[SMQTT_FINGERPRINT_SIZE];
    char skid[2 * SMQTT_SKID_LEN + 1];
    char name[ID_SHOWN_ROOM];
    smqtt_identity_fingerprint(peer->identity, fingerprint);
    smq_hex_encode(skid, smq_span_of(smqtt_identity_skid(peer->identity), SMQTT_SKID_LEN));
    printf("%-20s %s  %s  %-6s version %u%s%s\n", id_shown(peer->name, name), fingerprint, skid,
           smqtt_identity_suite(peer->identity), (unsigned)smqtt_identity_version(peer->identity),
           smqtt_identity_valid_at(peer->identity, now) ? "" : ", not in force now",
           smqtt_revocations_have(revoked, peer->identity, NULL, NULL) ? ", revoked" : "");
}

int id_known(const struct opts *o)
{
    char path[ID_PATH_ROOM];
    struct smq_why why;
    struct smq_known *known = NULL;
    if (!id_form(o, 1, "known [--known FILE]") || !peers_path(o, path, sizeof path)) {
        return EXIT_FAILED;
    }
    struct smqtt_revocations *revoked = NULL;
    if (smq_known_read(path, &known, &why) != SMQTT_OK || peers_read_revoked(o, &revoked, &why) != SMQTT_OK) {
        say("%s", why.text);
        smq_known_free(known);
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < smq_known_count(known); i++) {
        print_peer(smq_known_at(known, i), revoked, smq_clock_now().wall);
    }
    if (smq_known_count(known) == 0) {
        fprintf(stderr, "nobody is known in %s\n", path);
    }
    smqtt_revocations_free(revoked);
    smq_known_free(known);
    return EXIT_OK;
}

int id_trust(const struct opts *o)
{
    char path[ID_PATH_ROOM];
    struct smq_why why;
    if (o->n_args != 3 && !id_form(o, 2, "trust FILE.pub|LINE [NAME]")) {
        return EXIT_FAILED;
    }
    struct smqtt_identity *id = peers_path(o, path, sizeof path) ? id_open_public(o->args[1]) : NULL;
    if (id == NULL) {
        return EXIT_FAILED;
    }
    const char *name = o->n_args == 3 ? o->args[2] : smqtt_identity_name(id);
    smqtt_ms now = smq_clock_now().wall;
    smqtt_err err = SMQTT_OK;
    if (!smqtt_identity_valid_at(id, now) && !o->force) {
        err = smq_why_set(&why, SMQTT_E_EXPIRED,
                          "'%s' is not in force now: get the public line of today, or set the clock.", name);
    } else {
        err = smq_known_put(path, name, id, o->force, now, &why);
    }
    if (err != SMQTT_OK) {
        say("%s", why.text);
    } else {
        char fingerprint[SMQTT_FINGERPRINT_SIZE];
        smqtt_identity_fingerprint(id, fingerprint);
        char shown[ID_SHOWN_ROOM];
        printf("known        %s\nfingerprint  %s\n", id_shown(name, shown), fingerprint);
    }
    smqtt_identity_free(id);
    return err == SMQTT_OK ? EXIT_OK : EXIT_FAILED;
}

int id_forget(const struct opts *o)
{
    char path[ID_PATH_ROOM];
    struct smq_why why;
    if (!id_form(o, 2, "forget NAME") || !peers_path(o, path, sizeof path)) {
        return EXIT_FAILED;
    }
    if (smq_known_forget(path, o->args[1], &why) != SMQTT_OK) {
        say("%s", why.text);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}
