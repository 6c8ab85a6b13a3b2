/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt id lock, unlock, passphrase: private keys under a passphrase. The file is written anew beside the old one and
 * renamed, so there is always a whole one. */
#include <stdio.h>

#include "../ask.h"
#include "id.h"
#include "../say.h"

static bool write_back(const char *path, const struct smqtt_identity *id, const struct smq_passphrase *lock)
{
    struct smq_why why;
    if (smq_idfile_write(path, id, lock, true, &why) != SMQTT_OK) {
        say("%s", why.text);
        return false;
    }
    return true;
}

int id_lock(const struct opts *o)
{
    struct smq_idfile file;
    struct smq_passphrase lock = {.len = 0};
    struct smq_why why;
    if (!id_form(o, 2, "lock FILE.id [--passphrase-file FILE]")) {
        return EXIT_FAILED;
    }
    smqtt_err err = smq_idfile_read(o->args[1], true, NULL, &file, &why);
    if (err != SMQTT_OK) {
        if (err == SMQTT_E_LOCKED) {
            say("'%s' is locked already: smqtt id passphrase changes its passphrase.", o->args[1]);
        } else {
            say("%s", why.text);
        }
        return EXIT_FAILED;
    }
    bool ok = ask_new("New passphrase", o->args[1], o->passphrase_file, &lock) &&
              write_back(o->args[1], file.identity, &lock);
    if (ok) {
        printf(
            "'%s' is locked. Copies of it from before are not: find and shred them, and do not lose the passphrase.\n",
            o->args[1]);
    }
    smq_passphrase_wipe(&lock);
    smq_idfile_free(&file);
    return ok ? EXIT_OK : EXIT_FAILED;
}

/* Opens a file that has to be locked. */
static bool open_locked(const struct opts *o, struct smq_idfile *out)
{
    if (!id_open(o, o->args[1], out)) {
        return false;
    }
    if (!out->locked) {
        say("'%s' is not locked: smqtt id lock locks it.", o->args[1]);
        smq_idfile_free(out);
        return false;
    }
    return true;
}

int id_unlock(const struct opts *o)
{
    struct smq_idfile file;
    if (!id_form(o, 2, "unlock FILE.id [--passphrase-file FILE]") || !open_locked(o, &file)) {
        return EXIT_FAILED;
    }
    bool ok = write_back(o->args[1], file.identity, NULL);
    if (ok) {
        printf("'%s' is not locked any more: who can read the file has the keys.\n", o->args[1]);
    }
    smq_idfile_free(&file);
    return ok ? EXIT_OK : EXIT_FAILED;
}

int id_passphrase(const struct opts *o)
{
    struct smq_idfile file;
    struct smq_passphrase lock = {.len = 0};
    if (!id_form(o, 2, "passphrase FILE.id [--passphrase-file OLD] [--new-passphrase-file NEW]") ||
        !open_locked(o, &file)) {
        return EXIT_FAILED;
    }
    bool ok = ask_new("New passphrase", o->args[1], o->new_passphrase_file, &lock) &&
              write_back(o->args[1], file.identity, &lock);
    if (ok) {
        printf("'%s' has a new passphrase. Copies of it from before still open with the old one.\n", o->args[1]);
    }
    smq_passphrase_wipe(&lock);
    smq_idfile_free(&file);
    return ok ? EXIT_OK : EXIT_FAILED;
}
