/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt id: identities are made, shown, exported; the journal of a server is shown. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "base/mem.h"
#include "commands.h"
#include "endpoint.h"
#include "net/clock.h"
#include "say.h"
#include "state.h"

static void usage(void)
{
    puts("Usage: smqtt id new NAME -o FILE.id [--suite x25519|p256] [--days N] [--require-clients]\n"
         "       smqtt id show FILE        name, suite, fingerprint, validity of a private or public file\n"
         "       smqtt id export FILE      the public line\n"
         "       smqtt id journal DIR      what a server saved in step 1: its state directory, or its identity file\n\n"
         "An identity is two key pairs. The private file stays secret (0600); the public line is for everyone who "
         "seals\n"
         "for you. Compare the fingerprint by a way that the broker does not control.\n");
    opts_print(OPTS_I);
    puts("\nExamples:\n"
         "  smqtt id new sensors-server -o server.id\n"
         "  smqtt id show server.pub");
}

/** Writes a new file of one line or more; an identity is never overwritten. */
static bool write_new(const char *path, bool secret, const char *text)
{
    char lines[SMQTT_IDENTITY_TEXT_MAX + 1];
    struct smq_why why;
    size_t len = (size_t)snprintf(lines, sizeof(lines), "%s\n", text);
    smqtt_err err = smq_file_write(path, smq_span_of(lines, len), secret, false, &why);
    smq_wipe(lines, sizeof(lines));
    if (err != SMQTT_OK) {
        say("%s", why.text);
    }
    return err == SMQTT_OK;
}

/** server.id -> server.pub */
static bool public_name(const char *path, char *out, size_t cap)
{
    size_t len = strlen(path);
    size_t stem = len > 3 && strcmp(path + len - 3, ".id") == 0 ? len - 3 : len;
    return (size_t)snprintf(out, cap, "%.*s.pub", (int)stem, path) < cap;
}

static int write_identity(const struct smqtt_identity *id, const char *path)
{
    char pub[4096];
    char text[SMQTT_IDENTITY_TEXT_MAX];
    char line[SMQTT_IDENTITY_TEXT_MAX];
    if (!public_name(path, pub, sizeof(pub)) || smqtt_identity_private_text(id, text, sizeof(text)) != SMQTT_OK ||
        smqtt_identity_public_text(id, line, sizeof(line)) != SMQTT_OK) {
        say("the identity cannot be written: the name '%s' is too long.", path);
        return EXIT_FAILED;
    }
    bool ok = access(pub, F_OK) != 0 ||
              (say("'%s' exists: an identity is never overwritten, choose another name.", pub), false);
    ok = ok && write_new(path, true, text) && write_new(pub, false, line);
    smq_wipe(text, sizeof(text));
    if (!ok) {
        return EXIT_FAILED;
    }
    char fingerprint[SMQTT_FINGERPRINT_SIZE];
    smqtt_identity_fingerprint(id, fingerprint);
    printf("private      %s (keep it secret)\npublic       %s (for everyone who seals for it)\nfingerprint  %s\n", path,
           pub, fingerprint);
    return EXIT_OK;
}

static int id_new(const struct opts *o)
{
    if (o->n_args != 2 || o->output == NULL) {
        say("the form is: smqtt id new NAME -o FILE.id.");
        return EXIT_FAILED;
    }
    struct smqtt_rng rng = smqtt_system_rng();
    smqtt_ms now = smq_clock_now().wall;
    smqtt_ms end = o->days != 0 ? now + (smqtt_ms)o->days * 86400000 : 0;
    struct smqtt_identity *id = NULL;
    smqtt_err err = smqtt_identity_new(NULL, &rng, o->suite, o->args[1], o->require_clients ? 1 : 0, now, end, &id);
    if (err != SMQTT_OK) {
        say("no identity '%s' was made: %s (a name has 1 to 63 bytes of text, a suite is x25519 or p256).", o->args[1],
            smqtt_strerror(err));
        return EXIT_FAILED;
    }
    int code = write_identity(id, o->output);
    smqtt_identity_free(id);
    return code;
}

static void print_time(const char *what, smqtt_ms ms)
{
    char text[64];
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (ms == 0 || gmtime_r(&seconds, &tm) == NULL) {
        printf("%-12s no end\n", what);
        return;
    }
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
    printf("%-12s %s\n", what, text);
}

static smqtt_ms read_u64(const uint8_t *at)
{
    smqtt_ms v = 0;
    for (int i = 0; i < 8; i++) {
        v = v << 8 | at[i];
    }
    return v;
}

/** A file is read as a secret when it says that it is one. */
static struct smqtt_identity *read_either(const char *path)
{
    FILE *f = fopen(path, "re");
    char start[15] = "";
    if (f != NULL) {
        size_t n = fread(start, 1, sizeof(start) - 1, f);
        start[n] = 0;
        fclose(f);
    }
    bool private = strcmp(start, "smqtt-identity") == 0;
    return endpoint_identity(path, private);
}

static int id_show(const struct opts *o)
{
    struct smqtt_identity *id = o->n_args == 2 ? read_either(o->args[1]) : NULL;
    if (id == NULL) {
        if (o->n_args != 2) {
            say("the form is: smqtt id show FILE.");
        }
        return EXIT_FAILED;
    }
    char fingerprint[SMQTT_FINGERPRINT_SIZE];
    smqtt_identity_fingerprint(id, fingerprint);
    struct smqtt_span d = smqtt_identity_descriptor(id);
    printf("name         %s\nsuite        %s\nfingerprint  %s\n", smqtt_identity_name(id), smqtt_identity_suite(id),
           fingerprint);
    print_time("valid from",
               read_u64(d.data + 8)); /* protocol.md 3: behind version, suite, flags, reserved and the counter */
    print_time("valid until", read_u64(d.data + 16));
    printf("%-12s %s\n", "clients", (smqtt_identity_flags(id) & 1) != 0 ? "only those with an identity" : "all");
    printf("%-12s %s\n", "keys", smqtt_identity_has_private(id) ? "private and public" : "public only");
    smqtt_identity_free(id);
    return EXIT_OK;
}

static int id_export(const struct opts *o)
{
    struct smqtt_identity *id = o->n_args == 2 ? read_either(o->args[1]) : NULL;
    char line[SMQTT_IDENTITY_TEXT_MAX];
    if (id == NULL || smqtt_identity_public_text(id, line, sizeof(line)) != SMQTT_OK) {
        if (o->n_args != 2) {
            say("the form is: smqtt id export FILE.");
        }
        smqtt_identity_free(id);
        return EXIT_FAILED;
    }
    puts(line);
    smqtt_identity_free(id);
    return EXIT_OK;
}

static int id_journal(const struct opts *o)
{
    if (o->n_args != 2) {
        say("the form is: smqtt id journal DIR (or the identity file beside it).");
        return EXIT_FAILED;
    }
    return state_show_journal(o->args[1]) ? EXIT_OK : EXIT_FAILED;
}

int command_id(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct opts *o);
    } verbs[] = {{"new", id_new}, {"show", id_show}, {"export", id_export}, {"journal", id_journal}};
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
    say("there is no 'smqtt id %s': new, show, export and journal are there.", o.args[0]);
    return EXIT_FAILED;
}
