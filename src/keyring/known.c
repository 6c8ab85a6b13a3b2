/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/known.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytebuf.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "net/file.h"

enum { PATH_ROOM = 4096, KNOWN_BYTES = 64 * 1024 * 1024 };

struct smq_known {
    struct smq_known_peer *list;
    size_t n;
};

/* ---------------------------------------------------------------- names */

bool smq_known_skid(const char *text, uint8_t out[SMQTT_SKID_LEN])
{
    size_t len = 0;
    return strlen(text) == 2 * SMQTT_SKID_LEN &&
           smq_hex_decode(out, SMQTT_SKID_LEN, smq_span_str(text), &len) == SMQTT_OK;
}

bool smq_known_name_ok(const char *name)
{
    uint8_t skid[SMQTT_SKID_LEN];
    size_t len = strlen(name);
    return len >= 1 && len <= SMQTT_NAME_MAX && strpbrk(name, " \t/") == NULL && name[0] != '#' && name[0] != '-' &&
           strncmp(name, "smqtt-", 6) != 0 && !smq_known_skid(name, skid) &&
           smq_utf8_ok(smq_span_str(name), SMQ_TEXT_STRICT);
}

/* ---------------------------------------------------------------- reading */

static smq_span trim(smq_span s)
{
    while (s.len != 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = smq_span_from(s, 1);
    }
    while (s.len != 0 && strchr(" \t\r", s.data[s.len - 1]) != NULL) {
        s.len--;
    }
    return s;
}

/* Takes the next line off the text; false at its end. */
static bool take_line(smq_span *text, smq_span *line)
{
    if (text->len == 0) {
        return false;
    }
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t len = end != NULL ? (size_t)(end - text->data) : text->len;
    *line = smq_span_of(text->data, len);
    *text = smq_span_from(*text, len + 1);
    return true;
}

/* The name at the beginning of a line; empty: it holds no peer. */
static smq_span name_of(smq_span line)
{
    smq_span s = trim(line);
    size_t len = 0;
    while (len < s.len && s.data[len] != ' ' && s.data[len] != '\t') {
        len++;
    }
    return s.len != 0 && s.data[0] != '#' ? smq_span_of(s.data, len) : (smq_span){NULL, 0};
}

/* What is wrong with the line, or NULL. */
static const char *add_line(struct smq_known *known, smq_span line)
{
    smq_span name = name_of(line);
    if (name.len == 0) {
        return NULL;
    }
    struct smq_known_peer peer = {.identity = NULL};
    if (name.len > SMQTT_NAME_MAX) {
        return "its name is too long";
    }
    memcpy(peer.name, name.data, name.len);
    if (!smq_known_name_ok(peer.name)) {
        return "it does not begin with a name";
    }
    if (smq_known_by_name(known, peer.name) != NULL) {
        return "its name stands on a line before";
    }
    smq_span rest = trim(line);
    if (smqtt_identity_read(NULL, trim(smq_span_from(rest, name.len)), &peer.identity) != SMQTT_OK) {
        return "there is no valid public line behind the name";
    }
    if (smqtt_identity_has_private(peer.identity)) {
        smqtt_identity_free(peer.identity);
        return "there is a private identity behind the name";
    }
    known->list[known->n++] = peer;
    return NULL;
}

static size_t count_lines(smq_span text)
{
    size_t n = 0;
    smq_span line;
    while (take_line(&text, &line)) {
        n += name_of(line).len != 0 ? 1 : 0;
    }
    return n;
}

smqtt_err smq_known_parse(const char *path, smq_span text, struct smq_known **out, struct smq_why *why)
{
    size_t n = count_lines(text);
    if (n > SMQ_KNOWN_MAX) {
        return smq_why_set(why, SMQTT_E_FULL, "%s has %zu known peers, more than the %d that it may have.", path, n,
                           SMQ_KNOWN_MAX);
    }
    struct smq_known *known = smq_mem_zalloc(NULL, 1, sizeof *known);
    if (known != NULL) {
        known->list = smq_mem_zalloc(NULL, n + 1, sizeof *known->list);
    }
    if (known == NULL || known->list == NULL) {
        smq_mem_free(NULL, known);
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory for the known peers of %s.", path);
    }
    smq_span line;
    for (unsigned number = 1; take_line(&text, &line); number++) {
        const char *wrong = add_line(known, line);
        if (wrong != NULL) {
            smq_known_free(known);
            return smq_why_set(why, SMQTT_E_USAGE,
                               "%s, line %u: %s; a line is a name and what smqtt id export prints: mend it or take it "
                               "out.",
                               path, number, wrong);
        }
    }
    *out = known;
    return SMQTT_OK;
}

/* The text of the file; empty when there is none. */
static smqtt_err read_file(const char *path, struct smq_file_text *out, struct smq_why *why)
{
    *out = (struct smq_file_text){NULL, 0};
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        return SMQTT_OK;
    }
    return smq_file_read(path, KNOWN_BYTES, true, out, why);
}

smqtt_err smq_known_read(const char *path, struct smq_known **out, struct smq_why *why)
{
    struct smq_file_text file;
    SMQ_TRY(read_file(path, &file, why));
    smqtt_err err = smq_known_parse(path, smq_span_of(file.text, file.len), out, why);
    smq_file_free(&file);
    return err;
}

void smq_known_free(struct smq_known *known)
{
    if (known == NULL) {
        return;
    }
    for (size_t i = 0; i < known->n; i++) {
        smqtt_identity_free(known->list[i].identity);
    }
    smq_mem_free(NULL, known->list);
    smq_mem_free(NULL, known);
}

size_t smq_known_count(const struct smq_known *known)
{
    return known->n;
}

const struct smq_known_peer *smq_known_at(const struct smq_known *known, size_t i)
{
    return &known->list[i];
}

const struct smq_known_peer *smq_known_by_name(const struct smq_known *known, const char *name)
{
    for (size_t i = 0; i < known->n; i++) {
        if (strcmp(known->list[i].name, name) == 0) {
            return &known->list[i];
        }
    }
    return NULL;
}

const struct smq_known_peer *smq_known_by_skid(const struct smq_known *known, const uint8_t skid[SMQTT_SKID_LEN])
{
    for (size_t i = 0; i < known->n; i++) {
        if (memcmp(smqtt_identity_skid(known->list[i].identity), skid, SMQTT_SKID_LEN) == 0) {
            return &known->list[i];
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- judging */

static smqtt_err judge(const struct smq_known_peer *peer, const struct smqtt_identity *id, smqtt_ms wall,
                       struct smq_why *why)
{
    smqtt_err err = smqtt_identity_supersedes(peer->identity, id, wall);
    if (err == SMQTT_E_OLD_IDENTITY) {
        return smq_why_set(
            why, err,
            "This is version %u of '%s', but version %u is known: an old descriptor was put back, or the "
            "file is an old one; get the new public line, or say smqtt id trust --force if you know why.",
            (unsigned)smqtt_identity_version(id), peer->name, (unsigned)smqtt_identity_version(peer->identity));
    }
    if (err == SMQTT_E_BAD_SIGNATURE) {
        return smq_why_set(why, err,
                           "This identity claims to succeed '%s', whose keys have not signed that: ask its owner by a "
                           "way that the broker does not control.",
                           peer->name);
    }
    return err;
}

smqtt_err smq_known_check(const struct smq_known *known, const struct smqtt_identity *id, smqtt_ms wall,
                          struct smq_why *why)
{
    for (size_t i = 0; i < known->n; i++) {
        smqtt_err err = judge(&known->list[i], id, wall, why);
        if (err == SMQTT_E_OLD_IDENTITY || err == SMQTT_E_BAD_SIGNATURE) {
            return err;
        }
    }
    return SMQTT_OK;
}

/* May it be known by this name, which is `peer` now? */
static smqtt_err judge_name(const struct smq_known_peer *peer, const struct smqtt_identity *id, smqtt_ms wall,
                            struct smq_why *why)
{
    smqtt_err err = judge(peer, id, wall, why);
    if (err == SMQTT_E_EXPIRED) {
        return smq_why_set(
            why, err,
            "This identity is not in force now, or the grace time in which it could follow '%s' is over: "
            "get the public line of today.",
            peer->name);
    }
    if (err != SMQTT_E_UNKNOWN_PEER) {
        return err;
    }
    char mine[SMQTT_FINGERPRINT_SIZE];
    char other[SMQTT_FINGERPRINT_SIZE];
    smqtt_identity_fingerprint(peer->identity, mine);
    smqtt_identity_fingerprint(id, other);
    return smq_why_set(
        why, err,
        "'%s' is known with the fingerprint %s, and this is another identity, %s: somebody may be in its "
        "place; if its owner tells you that the new one is right, say smqtt id forget %s and trust it "
        "anew.",
        peer->name, mine, other, peer->name);
}

/* ---------------------------------------------------------------- changing */

/* The folders above it, 0700, of which only the last two may be missing: ~/.config/smqtt. */
static void make_folders(const char *path)
{
    char dir[PATH_ROOM];
    for (int up = 2; up >= 1; up--) {
        int made = snprintf(dir, sizeof dir, "%s", path);
        if (made < 0 || (size_t)made >= sizeof dir) {
            return;
        }
        for (int i = 0; i < up; i++) {
            char *slash = strrchr(dir, '/');
            if (slash == NULL || slash == dir) {
                return;
            }
            *slash = 0;
        }
        (void)!mkdir(dir, 0700); /* there already, or not to be made: opening the file says so */
    }
}

smqtt_err smq_known_lock(const char *path, int *fd, struct smq_why *why)
{
    char name[PATH_ROOM];
    int made = snprintf(name, sizeof name, "%s.lock", path);
    if (made < 0 || (size_t)made >= sizeof name) {
        return smq_why_set(why, SMQTT_E_IO, "The name %s is too long.", path);
    }
    make_folders(path);
    int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (lock >= 0 && flock(lock, LOCK_EX) != 0) {
        if (errno != EINTR) {
            int cause = errno;
            close(lock);
            errno = cause;
            lock = -1;
        }
    }
    if (lock < 0) {
        return smq_why_set(why, SMQTT_E_IO, "Cannot lock %s: %s.", name, strerror(errno));
    }
    *fd = lock;
    return SMQTT_OK;
}

/* What becomes of one line: NULL leaves it, else the identity takes its place, or nothing does. */
struct edit {
    const struct smqtt_identity *id; /* NULL: the line goes */
    const char *name;                /* of the one line; NULL: all that id supersedes */
    bool add;                        /* a name that is not there is added */
    smqtt_ms wall;
    size_t n; /* lines that changed */
};

static bool is_meant(const struct edit *edit, const struct smq_known *known, smq_span line)
{
    char name[SMQTT_NAME_MAX + 1] = "";
    smq_span word = name_of(line);
    if (word.len == 0) {
        return false;
    }
    memcpy(name, word.data, word.len); /* it was parsed: it is short enough */
    if (edit->name != NULL) {
        return strcmp(edit->name, name) == 0;
    }
    const struct smqtt_identity *old = smq_known_by_name(known, name)->identity;
    return memcmp(smqtt_identity_did(old), smqtt_identity_did(edit->id), SMQTT_DID_LEN) != 0 &&
           smqtt_identity_supersedes(old, edit->id, edit->wall) == SMQTT_OK;
}

static smqtt_err put_line(struct smq_bytebuf *out, smq_span line)
{
    SMQ_TRY(smq_bytebuf_append(out, line));
    return smq_bytebuf_append(out, smq_span_str("\n"));
}

static smqtt_err put_peer(struct smq_bytebuf *out, smq_span name, const struct smqtt_identity *id)
{
    char line[SMQTT_IDENTITY_TEXT_MAX];
    SMQ_TRY(smqtt_identity_public_text(id, line, sizeof line));
    SMQ_TRY(smq_bytebuf_append(out, name));
    SMQ_TRY(smq_bytebuf_append(out, smq_span_str(" ")));
    return put_line(out, smq_span_str(line));
}

static smqtt_err put_lines(struct smq_bytebuf *out, smq_span text, const struct smq_known *known, struct edit *edit)
{
    smq_span line;
    while (take_line(&text, &line)) {
        if (!is_meant(edit, known, line)) {
            SMQ_TRY(put_line(out, line));
            continue;
        }
        edit->n++;
        if (edit->id != NULL) {
            SMQ_TRY(put_peer(out, name_of(line), edit->id));
        }
    }
    if (edit->add && edit->n == 0) {
        edit->n++;
        return put_peer(out, smq_span_str(edit->name), edit->id);
    }
    return SMQTT_OK;
}

static smqtt_err apply(const char *path, smq_span text, const struct smq_known *known, struct edit *edit,
                       struct smq_why *why)
{
    struct smq_bytebuf out;
    smq_bytebuf_init(&out, NULL, 2 * KNOWN_BYTES);
    smqtt_err err = put_lines(&out, text, known, edit);
    if (err != SMQTT_OK) {
        smq_why_set(why, err, "The known peers cannot be written to %s: %s.", path, smqtt_strerror(err));
    } else if (edit->n != 0) {
        err = smq_file_write(path, smq_bytebuf_span(&out), true, true, why);
    }
    smq_bytebuf_deinit(&out);
    return err;
}

/* Reads the file under its lock, judges, and writes it anew. */
static smqtt_err change(const char *path, struct edit *edit, bool force, struct smq_why *why)
{
    int lock = -1;
    struct smq_file_text file = {NULL, 0};
    struct smq_known *known = NULL;
    SMQ_TRY(smq_known_lock(path, &lock, why));
    smqtt_err err = read_file(path, &file, why);
    smq_span text = smq_span_of(file.text, file.len);
    if (err == SMQTT_OK) {
        err = smq_known_parse(path, text, &known, why);
    }
    if (err == SMQTT_OK && edit->id != NULL && !force) {
        err = smq_known_check(known, edit->id, edit->wall, why);
        const struct smq_known_peer *peer = edit->name != NULL ? smq_known_by_name(known, edit->name) : NULL;
        if (err == SMQTT_OK && peer != NULL) {
            err = judge_name(peer, edit->id, edit->wall, why);
        }
    }
    if (err == SMQTT_OK) {
        err = apply(path, text, known, edit, why);
    }
    smq_known_free(known);
    smq_file_free(&file);
    close(lock);
    return err;
}

smqtt_err smq_known_put(const char *path, const char *name, const struct smqtt_identity *id, bool force, smqtt_ms wall,
                        struct smq_why *why)
{
    if (!smq_known_name_ok(name)) {
        return smq_why_set(
            why, SMQTT_E_BAD_IDENTITY,
            "'%s' is no name for a known peer: give one of 1 to 63 bytes without blanks and '/', that is "
            "not 16 hexadecimal digits.",
            name);
    }
    struct edit edit = {.id = id, .name = name, .add = true, .wall = wall};
    return change(path, &edit, force, why);
}

smqtt_err smq_known_follow(const char *path, const struct smqtt_identity *id, smqtt_ms wall, size_t *n,
                           struct smq_why *why)
{
    struct edit edit = {.id = id, .wall = wall};
    *n = 0;
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        return SMQTT_OK; /* nobody is known, and no file is made for it */
    }
    SMQ_TRY(change(path, &edit, false, why));
    *n = edit.n;
    return SMQTT_OK;
}

smqtt_err smq_known_forget(const char *path, const char *name, struct smq_why *why)
{
    struct edit edit = {.name = name};
    SMQ_TRY(change(path, &edit, false, why));
    return edit.n != 0 ? SMQTT_OK
                       : smq_why_set(why, SMQTT_E_UNKNOWN_PEER,
                                     "Nobody is known by the name '%s' in %s: smqtt id known lists them.", name, path);
}
