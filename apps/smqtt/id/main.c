/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt id: identities are made, shown, compared, trusted, renewed, replaced, revoked and locked. */
#include <stdio.h>
#include <string.h>

#include "base/defs.h"
#include "../commands.h"
#include "id.h"
#include "../say.h"

static const struct {
    const char *name;
    int (*run)(const struct opts *o);
    const char *form, *help;
} verbs[] = {
    {"new", id_new, "NAME -o FILE.id", "two key pairs; the public line goes beside it as .pub"},
    {"show", id_show, "FILE", "name, suite, fingerprint, version, validity; --qr shows the public line as a QR code"},
    {"export", id_export, "FILE", "the public line"},
    {"check", id_check, "FILE", "is it in force, not revoked, not older than what is known?"},
    {"renew", id_renew, "FILE.id", "a new descriptor of the same keys: other times, next version"},
    {"rotate", id_rotate, "OLD.id -o NEW.id --grace 30d", "new keys that the old ones vouch for"},
    {"revoke", id_revoke, "FILE.id", "the statement that its keys are void"},
    {"lock", id_lock, "FILE.id", "locks the private keys with a passphrase"},
    {"unlock", id_unlock, "FILE.id", "takes the lock off"},
    {"passphrase", id_passphrase, "FILE.id", "changes the passphrase"},
    {"known", id_known, "", "lists the known peers"},
    {"trust", id_trust, "FILE.pub|LINE [NAME]", "makes it a known peer, for --to NAME"},
    {"forget", id_forget, "NAME", "takes a known peer out"},
    {"journal", id_journal, "DIR", "what a server saved in step 1: its state directory, or its identity file"},
};

static void usage(void)
{
    puts("Usage: smqtt id VERB ... [flags]\n");
    for (size_t i = 0; i < SMQ_ARRAY_LEN(verbs); i++) {
        char form[64];
        snprintf(form, sizeof form, "%s %s", verbs[i].name, verbs[i].form);
        printf("  %-37s %s\n", form, verbs[i].help);
    }
    puts("\nAn identity is two key pairs. The private file stays secret (0600); the public line is for everyone who "
         "seals\n"
         "for you. Compare the fingerprint by a way that the broker does not control.\n");
    opts_print(OPTS_I);
    puts("\nExamples:\n"
         "  smqtt id new sensors-server -o server.id --revocation server.rev\n"
         "  smqtt id show server.pub --qr\n"
         "  smqtt id trust server.pub                           then: smqtt pub --to sensors-server ...\n"
         "  smqtt id lock server.id                             asks for a passphrase\n"
         "  smqtt id renew server.id --days 365\n"
         "  smqtt id rotate server.id -o server2.id --grace 30d\n"
         "  smqtt id revoke server.id --reason lost >> revoked");
}

static int no_such_verb(const char *name)
{
    char list[256] = "";
    size_t len = 0;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(verbs); i++) {
        const char *before = i == 0 ? "" : i + 1 == SMQ_ARRAY_LEN(verbs) ? " and " : ", ";
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", before, verbs[i].name);
    }
    say("there is no 'smqtt id %s': %s are there.", name, list);
    return EXIT_FAILED;
}

int command_id(int argc, char **argv)
{
    static struct opts o;
    if (!opts_read(&o, OPTS_I, argc, argv, 2)) {
        return EXIT_FAILED;
    }
    if (o.show_version) {
        return say_version();
    }
    if (o.help || o.n_args == 0) {
        usage();
        return o.help ? EXIT_OK : EXIT_FAILED;
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(verbs); i++) {
        if (strcmp(o.args[0], verbs[i].name) == 0) {
            return verbs[i].run(&o);
        }
    }
    return no_such_verb(o.args[0]);
}
