/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt id show, export, journal */
#include <stdio.h>
#include <string.h>

#include "id.h"
#include "../peers.h"
#include "../say.h"
#include "../state.h"

/* What --qr and --qr-svg ask for. */
static bool put_codes(const struct opts *o, const struct smqtt_identity *id)
{
    char line[SMQTT_IDENTITY_TEXT_MAX];
    if (!o->qr && o->qr_svg == NULL) {
        return true;
    }
    return smqtt_identity_public_text(id, line, sizeof line) == SMQTT_OK && (!o->qr || id_qr_print(line)) &&
           (o->qr_svg == NULL || id_qr_svg(line, o->qr_svg));
}

/* What the keys are, without a passphrase. */
static const char *kind_of(const char *path)
{
    struct smq_idfile file;
    if (peers_is_line(path)) {
        return "public only";
    }
    if (smq_idfile_read(path, false, NULL, &file, NULL) != SMQTT_OK) {
        return "?";
    }
    bool has_private = smqtt_identity_has_private(file.identity);
    bool locked = file.locked;
    smq_idfile_free(&file);
    return locked ? "private and public, locked with a passphrase" : has_private ? "private and public" : "public only";
}

int id_show(const struct opts *o)
{
    struct smqtt_identity *id = id_form(o, 2, "show FILE") ? id_open_public(o->args[1]) : NULL;
    if (id == NULL) {
        return EXIT_FAILED;
    }
    id_print(id);
    printf("%-12s %s\n", "keys", kind_of(o->args[1]));
    bool ok = put_codes(o, id);
    smqtt_identity_free(id);
    return ok ? EXIT_OK : EXIT_FAILED;
}

int id_export(const struct opts *o)
{
    struct smqtt_identity *id = id_form(o, 2, "export FILE") ? id_open_public(o->args[1]) : NULL;
    char line[SMQTT_IDENTITY_TEXT_MAX];
    if (id == NULL || smqtt_identity_public_text(id, line, sizeof line) != SMQTT_OK) {
        smqtt_identity_free(id);
        return EXIT_FAILED;
    }
    puts(line);
    bool ok = put_codes(o, id);
    smqtt_identity_free(id);
    return ok ? EXIT_OK : EXIT_FAILED;
}

int id_journal(const struct opts *o)
{
    if (!id_form(o, 2, "journal DIR (or the identity file beside it)")) {
        return EXIT_FAILED;
    }
    return state_show_journal(o->args[1]) ? EXIT_OK : EXIT_FAILED;
}
