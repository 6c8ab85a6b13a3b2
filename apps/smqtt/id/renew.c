/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt id renew, rotate: the same keys in a new descriptor, new keys that the old ones vouch for (protocol.md 3.1). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <smqtt/system.h>

#include "../ask.h"
#include "base/hex.h"
#include "base/span.h"
#include "id.h"
#include "net/clock.h"
#include "../say.h"

enum { DAY_S = 86400 };

/* The private file first: what stops in between leaves an older public line, which the next renewal replaces. */
static bool write_back(const struct smqtt_identity *id, const char *path, const struct smq_idfile *old)
{
    char pub[ID_PATH_ROOM];
    struct smq_why why;
    if (!id_public_path(path, pub)) {
        return false;
    }
    if (smq_idfile_write(path, id, old->locked ? &old->passphrase : NULL, true, &why) != SMQTT_OK ||
        smq_idfile_write_public(pub, id, true, &why) != SMQTT_OK) {
        say("%s", why.text);
        return false;
    }
    id_print(id);
    printf(
        "\nThe keys in %s are the same, and so are sessions and state; %s has the new public line.\n"
        "Start its server again: clients that find it take the new descriptor by themselves. Those that are to know\n"
        "it before get %s.\n",
        path, pub, pub);
    return true;
}

/* --days, else as long as it was valid before. */
static smqtt_ms next_end(const struct opts *o, const struct smqtt_identity *old, smqtt_ms now)
{
    smqtt_ms end = smqtt_identity_not_after(old);
    return o->days != 0 || end == 0 ? id_end(o, now) : now + (end - smqtt_identity_not_before(old));
}

int id_renew(const struct opts *o)
{
    struct smq_idfile old;
    if (!id_form(o, 2, "renew FILE.id [--days N]") || !id_open(o, o->args[1], &old)) {
        return EXIT_FAILED;
    }
    struct smqtt_identity *id = NULL;
    smqtt_ms now = smq_clock_now().wall;
    uint8_t flags = (uint8_t)(smqtt_identity_flags(old.identity) | (o->require_clients ? 1 : 0));
    smqtt_err err = smqtt_identity_renew(NULL, old.identity, flags, now, next_end(o, old.identity, now), &id);
    if (err != SMQTT_OK) {
        say("'%s' was not renewed, and is as it was: %s.", o->args[1], smqtt_strerror(err));
    }
    bool ok = err == SMQTT_OK && write_back(id, o->args[1], &old);
    smqtt_identity_free(id);
    smq_idfile_free(&old);
    return ok ? EXIT_OK : EXIT_FAILED;
}

/* ---------------------------------------------------------------- rotate */

/* "30d", "12h", "90m", "45s"; a bare number is days. False for others, for nothing and for more than ten years. */
static bool read_grace(const char *text, smqtt_ms *out)
{
    static const struct {
        char unit;
        unsigned seconds;
    } units[] = {{'d', DAY_S}, {'h', 3600}, {'m', 60}, {'s', 1}, {0, DAY_S}};
    char *end = NULL;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno != 0 || end == text || text[0] < '0' || text[0] > '9' || n == 0 || n > 400000000) {
        return false;
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(units); i++) {
        if (end[0] == units[i].unit && (end[0] == 0 || end[1] == 0)) {
            *out = (smqtt_ms)n * units[i].seconds * 1000;
            return *out <= (smqtt_ms)3660 * DAY_S * 1000;
        }
    }
    return false;
}

static void print_steps(const char *old, const char *new, smqtt_ms until)
{
    char pub[ID_PATH_ROOM];
    char when[32];
    id_time_text(until, when);
    if (!id_public_path(new, pub)) {
        return;
    }
    printf("\nWhat to do next:\n"
           "  now               serve both:  smqtt sub ... --identity %s --previous %s\n"
           "                    clients of the old keys follow by themselves when they find it; %s is for new ones\n"
           "  until then        %s\n"
           "  afterwards        leave --previous out, and say that the old keys are void:\n"
           "                    smqtt id revoke %s --reason superseded\n"
           "                    who has not followed by then is enrolled anew with %s\n",
           new, old, pub, when, old, pub);
}

int id_rotate(const struct opts *o)
{
    smqtt_ms grace = 0;
    struct smq_idfile old;
    if (!id_form(o, 2, "rotate OLD.id -o NEW.id --grace 30d")) {
        return EXIT_FAILED;
    }
    if (o->output == NULL || o->grace == NULL || !read_grace(o->grace, &grace)) {
        say("the form is: smqtt id rotate OLD.id -o NEW.id --grace 30d, where the grace time is a number and d, h, m "
            "or s, and at most ten years.");
        return EXIT_FAILED;
    }
    if (!id_open(o, o->args[1], &old)) {
        return EXIT_FAILED;
    }
    struct smqtt_rng rng = smqtt_system_rng();
    struct smqtt_identity *id = NULL;
    smqtt_ms now = smq_clock_now().wall;
    smqtt_err err = smqtt_identity_succeed(NULL, &rng, old.identity, o->suite, now + grace, now, id_end(o, now), &id);
    if (err != SMQTT_OK) {
        say("'%s' got no successor: %s (a suite is x25519 or p256).", o->args[1], smqtt_strerror(err));
    }
    /* What was locked is locked with the same passphrase. */
    bool ok = err == SMQTT_OK && id_write_pair(id, o->output, old.locked ? &old.passphrase : NULL);
    if (ok) {
        print_steps(o->args[1], o->output, now + grace);
    }
    smqtt_identity_free(id);
    smq_idfile_free(&old);
    return ok ? EXIT_OK : EXIT_FAILED;
}
