/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt passwd: password files, with the flags of mosquitto_passwd. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "base/bytebuf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "commands.h"
#include "crypto/pwhash.h"
#include "net/file.h"
#include "say.h"

#define FILE_MAX       (1024 * 1024 * 1024)
#define PASSWORD_MAX   65535
#define USER_MAX       65535
#define SALT_LEN       12 /* as mosquitto_passwd; older versions take no other */
#define ARGON2_SALT    16
#define ITERATIONS     101   /* as mosquitto_passwd */
#define ARGON2_KIB     19456 /* what OWASP recommends, with two passes */
#define ARGON2_PASSES  2
#define EXIT_DIFFERENT 2 /* both passwords that were typed */

static const char help[] =
    "smqtt passwd: password files for the broker\n"
    "\n"
    "Usage: smqtt passwd [-H HASH] [-I N] [-c | -D] FILE USER\n"
    "       smqtt passwd [-H HASH] [-I N] [-c] -b FILE USER PASSWORD\n"
    "       smqtt passwd [-H HASH] [-I N] -U FILE\n"
    "\n"
    "  -b        the password is the last word: others may see it in lists of processes\n"
    "  -c        begin a new file; what was in it is lost\n"
    "  -D        delete the user\n"
    "  -H HASH   sha512-pbkdf2 (default, $7$), argon2id (stronger; for Mosquitto from 2.1 on), sha512 (for old files)\n"
    "  -I N      iterations of sha512-pbkdf2 (101) or passes of argon2id (2)\n"
    "  -U        hash the passwords of a file that has plain ones\n"
    "\n"
    "Examples:\n"
    "  smqtt passwd -c /etc/smqttd/passwd alice          asks for the password\n"
    "  smqtt passwd -b -H argon2id passwd bob 'secret'   without asking\n"
    "  smqtt passwd -D passwd bob                        removes him\n";

struct request {
    bool batch, create, remove, upgrade;
    enum smq_pwhash_kind kind;
    unsigned long iterations; /* 0: the default */
    const char *file, *user, *password;
};

/* ------------------------------------------------------------ flags */

static bool read_hash(const char *name, enum smq_pwhash_kind *kind)
{
    static const struct {
        const char *name;
        enum smq_pwhash_kind kind;
    } rows[] = {{"sha512", SMQ_PWHASH_SHA512}, {"sha512-pbkdf2", SMQ_PWHASH_PBKDF2}, {"argon2id", SMQ_PWHASH_ARGON2ID}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(name, rows[i].name) == 0) {
            *kind = rows[i].kind;
            return true;
        }
    }
    say("Unknown hash type '%s': sha512-pbkdf2, argon2id and sha512 are known.", name);
    return false;
}

static bool read_flag(struct request *r, int flag)
{
    char *end = NULL;
    switch (flag) {
    case 'b':
        r->batch = true;
        return true;
    case 'c':
        r->create = true;
        return true;
    case 'D':
        r->remove = true;
        return true;
    case 'U':
        r->upgrade = true;
        return true;
    case 'H':
        return read_hash(optarg, &r->kind);
    case 'I':
        errno = 0;
        r->iterations = strtoul(optarg, &end, 10);
        if (errno != 0 || *end != 0 || optarg[0] == '-' || r->iterations == 0 ||
            r->iterations > SMQ_PWHASH_ITERATIONS_MAX) {
            say("-I is '%s', but it must be a number from 1 to %d.", optarg, SMQ_PWHASH_ITERATIONS_MAX);
            return false;
        }
        return true;
    default:
        say("-%c is no flag of passwd, or lacks its value: see smqtt passwd --help.", optopt);
        return false;
    }
}

static bool check_request(const struct request *r)
{
    const char *why = r->create && r->remove                               ? "-c and -D cannot be used together."
                      : r->batch && r->remove                              ? "-b and -D cannot be used together."
                      : r->upgrade && (r->create || r->remove || r->batch) ? "-U stands alone: it only takes a file."
                      : r->kind == SMQ_PWHASH_ARGON2ID && r->iterations > SMQ_PWHASH_PASSES_MAX
                          ? "argon2id takes at most 64 passes with -I."
                          : NULL;
    if (why != NULL) {
        say("%s", why);
    }
    return why == NULL;
}

static bool check_user(const char *user)
{
    if (strchr(user, ':') != NULL) {
        say("Username must not contain the ':' character.");
        return false;
    }
    if (user[0] == 0 || user[0] == '#' || strlen(user) > USER_MAX || user[0] == ' ' ||
        !smq_utf8_ok(smq_span_str(user), SMQ_TEXT_STRICT)) {
        say("A user name is UTF-8 text without control characters that begins with neither # nor a space.");
        return false;
    }
    return true;
}

/* ------------------------------------------------------------ the prompt */

static struct termios shown;

/* Nobody's terminal stays without echo. */
static void on_signal(int number)
{
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    signal(number, SIG_DFL);
    raise(number);
}

static bool read_secret(const char *prompt, char *out, size_t cap)
{
    bool terminal = tcgetattr(STDIN_FILENO, &shown) == 0;
    fputs(prompt, stdout);
    fflush(stdout);
    if (terminal) {
        struct termios hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        signal(SIGINT, on_signal);
        signal(SIGTERM, on_signal);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    bool got = fgets(out, (int)cap, stdin) != NULL;
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
    }
    fputc('\n', stdout);
    if (got) {
        out[strcspn(out, "\r\n")] = 0;
    }
    return got;
}

static int ask(char *password, size_t cap)
{
    char *again = malloc(cap);
    if (again == NULL || !read_secret("Password: ", password, cap)) {
        say("No password was read.");
        free(again);
        return EXIT_FAILED;
    }
    int code = EXIT_OK;
    if (password[0] == 0) {
        say("Empty password.");
        code = EXIT_FAILED;
    } else if (!read_secret("Reenter password: ", again, cap) || strcmp(password, again) != 0) {
        say("Passwords do not match.");
        code = EXIT_DIFFERENT;
    }
    smq_wipe(again, cap);
    free(again);
    return code;
}

/* ------------------------------------------------------------ lines */

static smqtt_err put_text(struct smq_bytebuf *out, const char *text)
{
    return smq_bytebuf_append(out, smq_span_str(text));
}

/* "USER:HASH\n" */
static smqtt_err put_user(struct smq_bytebuf *out, const struct request *r, smq_span user, smq_span password)
{
    struct smq_pwhash hash = {.kind = (uint8_t)r->kind, .salt_len = SALT_LEN};
    hash.iterations = r->iterations != 0 ? (uint32_t)r->iterations : ITERATIONS;
    if (r->kind == SMQ_PWHASH_ARGON2ID) {
        hash.iterations = r->iterations != 0 ? (uint32_t)r->iterations : ARGON2_PASSES;
        hash.kib = ARGON2_KIB;
        hash.lanes = 1;
        hash.salt_len = ARGON2_SALT;
    }
    struct smqtt_rng rng = smqtt_system_rng();
    if (!rng.fill(rng.ctx, hash.salt, hash.salt_len)) {
        return SMQTT_E_RNG;
    }
    char text[SMQ_PWHASH_TEXT_MAX];
    SMQ_TRY(smq_pwhash_make(&hash, password));
    smq_pwhash_write(&hash, text);
    SMQ_TRY(smq_bytebuf_append(out, user));
    SMQ_TRY(put_text(out, ":"));
    SMQ_TRY(put_text(out, text));
    return put_text(out, "\n");
}

static bool next_line(smq_span *rest, smq_span *line)
{
    if (rest->len == 0) {
        return false;
    }
    const uint8_t *end = memchr(rest->data, '\n', rest->len);
    *line = smq_span_of(rest->data, end != NULL ? (size_t)(end - rest->data) : rest->len);
    *rest = smq_span_from(*rest, line->len + 1);
    if (line->len != 0 && line->data[line->len - 1] == '\r') {
        line->len--;
    }
    return true;
}

static smqtt_err copy_line(struct smq_bytebuf *out, smq_span line)
{
    SMQ_TRY(smq_bytebuf_append(out, line));
    return put_text(out, "\n");
}

static bool is_of(smq_span line, smq_span user)
{
    return line.len > user.len && smq_span_starts(line, user) && line.data[user.len] == ':';
}

/* All lines as they are, but the user's: that is replaced or left out. */
static smqtt_err edit(const struct request *r, smq_span text, struct smq_bytebuf *out, bool *found)
{
    smq_span line;
    smq_span user = smq_span_str(r->user);
    *found = false;
    while (next_line(&text, &line)) {
        if (!is_of(line, user)) {
            SMQ_TRY(copy_line(out, line));
            continue;
        }
        if (!r->remove && !*found) {
            SMQ_TRY(put_user(out, r, user, smq_span_str(r->password)));
        }
        *found = true;
    }
    return *found || r->remove ? SMQTT_OK : put_user(out, r, user, smq_span_str(r->password));
}

/* Plain passwords become hashes. Lines that have one stay as they are. *bad: a line that is no USER:PASSWORD. */
static smqtt_err upgrade(const struct request *r, smq_span text, struct smq_bytebuf *out, unsigned *bad)
{
    smq_span line;
    *bad = 0;
    for (unsigned i = 1; next_line(&text, &line); i++) {
        const uint8_t *colon = line.len != 0 ? memchr(line.data, ':', line.len) : NULL;
        struct smq_pwhash hash;
        size_t user_len = colon != NULL ? (size_t)(colon - line.data) : 0;
        smq_span rest = smq_span_from(line, user_len + 1);
        if (line.len == 0 || line.data[0] == '#' || (user_len != 0 && smq_pwhash_read(rest, &hash) == SMQTT_OK)) {
            SMQ_TRY(copy_line(out, line));
        } else if (user_len == 0 || rest.len == 0) {
            *bad = i;
            return SMQTT_OK;
        } else {
            SMQ_TRY(put_user(out, r, smq_span_of(line.data, user_len), rest));
        }
    }
    return SMQTT_OK;
}

/* ------------------------------------------------------------ the file */

static int fail(const struct request *r, smqtt_err err)
{
    say("%s stays as it is: %s.", r->file, smqtt_strerror(err));
    return EXIT_FAILED;
}

static int change(const struct request *r, smq_span text, struct smq_bytebuf *out)
{
    bool found = false;
    unsigned bad = 0;
    smqtt_err err = r->upgrade ? upgrade(r, text, out, &bad) : edit(r, text, out, &found);
    if (err != SMQTT_OK) {
        return fail(r, err);
    }
    if (bad != 0) {
        say("Corrupt password file at line %u: it is not USER:PASSWORD. Nothing was changed.", bad);
        return EXIT_FAILED;
    }
    if (r->remove && !found) {
        fprintf(stderr, "Warning: User %s not found in password file.\n", r->user);
        return EXIT_FAILED;
    }
    struct smq_why why = {""};
    if (smq_file_rewrite(r->file, smq_bytebuf_span(out), &why) != SMQTT_OK) {
        say("%s", why.text);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static int run(const struct request *r)
{
    struct smq_file_text file = {NULL, 0};
    struct smq_why why = {""};
    if (!r->create && smq_file_read(r->file, FILE_MAX, false, &file, &why) != SMQTT_OK) {
        say("Unable to open password file %s. %s", r->file, why.text);
        return EXIT_FAILED;
    }
    struct smq_bytebuf out;
    smq_bytebuf_init(&out, NULL, FILE_MAX);
    int code = change(r, smq_span_of(file.text, file.len), &out);
    smq_bytebuf_deinit(&out);
    smq_file_free(&file);
    return code;
}

static int run_with_password(struct request *r)
{
    if (r->remove || r->upgrade || r->batch) {
        return run(r);
    }
    char *password = malloc(PASSWORD_MAX + 2);
    if (password == NULL) {
        say("There is no memory.");
        return EXIT_FAILED;
    }
    int code = ask(password, PASSWORD_MAX + 2);
    r->password = password;
    code = code == EXIT_OK ? run(r) : code;
    smq_wipe(password, PASSWORD_MAX + 2);
    free(password);
    return code;
}

int command_passwd(int argc, char **argv)
{
    struct request r = {.kind = SMQ_PWHASH_PBKDF2};
    if (argc > 2 && strcmp(argv[2], "--help") == 0) {
        fputs(help, stdout);
        return say_help_code();
    }
    opterr = 0;
    optind = 2;
    for (int flag; (flag = getopt(argc, argv, "+bcDUH:I:h")) != -1;) {
        if (flag == 'h') {
            fputs(help, stdout);
            return say_help_code();
        }
        if (!read_flag(&r, flag)) {
            return EXIT_FAILED;
        }
    }
    if (!check_request(&r)) {
        return EXIT_FAILED;
    }
    int n = argc - optind;
    if (n != (r.upgrade ? 1 : r.batch ? 3 : 2)) {
        fputs(help, stdout);
        return EXIT_FAILED;
    }
    r.file = argv[optind];
    r.user = r.upgrade ? NULL : argv[optind + 1];
    r.password = r.batch ? argv[optind + 2] : NULL;
    return r.user == NULL || check_user(r.user) ? run_with_password(&r) : EXIT_FAILED;
}
