/* SPDX-License-Identifier: Apache-2.0 */
#include "net/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* Nobody but the owner; the owner is this user or root, or this user is root, who can read everything anyway. */
static bool is_private(const struct stat *st)
{
    uid_t me = geteuid();
    return (st->st_mode & 077) == 0 && (st->st_uid == me || st->st_uid == 0 || me == 0);
}

smqtt_err smq_file_check_secret(int fd, const char *path, struct smq_why *why)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return smq_why_set(why, SMQTT_E_IO, "Cannot look at %s: %s.", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return smq_why_set(why, SMQTT_E_USAGE, "%s is not a regular file, so it cannot hold secrets.", path);
    }
    if (!is_private(&st)) {
        return smq_why_set(
            why, SMQTT_E_USAGE,
            "%s is to hold secrets, but it belongs to or can be used by others (mode %04o): run chmod 600 on it.", path,
            (unsigned)(st.st_mode & 07777));
    }
    return SMQTT_OK;
}

smqtt_err smq_file_open_dir(const char *path, int *fd, struct smq_why *why)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return smq_why_set(why, SMQTT_E_IO, "Cannot make the directory %s: %s.", path, strerror(errno));
    }
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (dir < 0 || fstat(dir, &st) != 0) {
        int cause = errno;
        if (dir >= 0) {
            close(dir);
        }
        return smq_why_set(why, SMQTT_E_IO, "Cannot open the directory %s: %s.", path, strerror(cause));
    }
    if (!is_private(&st)) {
        close(dir);
        return smq_why_set(why, SMQTT_E_USAGE,
                           "The directory %s holds secrets but belongs to or can be entered by others (mode %04o): run "
                           "chmod 700 on it.",
                           path, (unsigned)(st.st_mode & 07777));
    }
    *fd = dir;
    return SMQTT_OK;
}

/* Reads to the end; *len bytes, one more is allocated for the zero. */
static smqtt_err read_all(int fd, size_t max, char **out, size_t *len)
{
    size_t cap = 4096;
    size_t got = 0;
    char *text = malloc(cap + 1);
    smqtt_err err = text != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
    while (err == SMQTT_OK) {
        ssize_t n = read(fd, text + got, cap - got);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            err = n < 0 ? SMQTT_E_IO : SMQTT_OK;
            break;
        }
        got += (size_t)n;
        if (got > max) {
            err = SMQTT_E_FULL;
        } else if (got == cap) {
            /* Not realloc: it could leave a copy of a secret behind. */
            char *larger = malloc(cap * 2 + 1);
            err = larger != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
            if (larger != NULL) {
                memcpy(larger, text, got);
                smq_wipe(text, got);
                free(text);
                text = larger;
                cap *= 2;
            }
        }
    }
    if (err != SMQTT_OK) {
        if (text != NULL) {
            smq_wipe(text, got);
        }
        free(text);
        return err;
    }
    text[got] = 0;
    *out = text;
    *len = got;
    return SMQTT_OK;
}

smqtt_err smq_file_read(const char *path, size_t max, bool secret, struct smq_file_text *out, struct smq_why *why)
{
    /* Not blocking: a FIFO must not hang the program before it is looked at. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return smq_why_set(why, SMQTT_E_IO, "Cannot open %s: %s.", path, strerror(errno));
    }
    smqtt_err err = secret ? smq_file_check_secret(fd, path, why) : SMQTT_OK;
    if (err == SMQTT_OK) {
        err = read_all(fd, max, &out->text, &out->len);
        if (err == SMQTT_E_FULL) {
            smq_why_set(why, err, "%s has more than the %zu bytes that it may have.", path, max);
        } else if (err != SMQTT_OK) {
            smq_why_set(why, err, "Cannot read %s: %s.", path, strerror(err == SMQTT_E_NOMEM ? ENOMEM : errno));
        }
    }
    close(fd);
    return err;
}

void smq_file_free(struct smq_file_text *file)
{
    if (file->text != NULL) {
        smq_wipe(file->text, file->len);
    }
    free(file->text);
    *file = (struct smq_file_text){NULL, 0};
}

smqtt_err smq_file_write_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len != 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return SMQTT_E_IO;
        }
        at += n;
        len -= (size_t)n;
    }
    return SMQTT_OK;
}

/* Makes a rename durable. */
static bool sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char dir[4096];
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    if (len >= sizeof dir) {
        return false;
    }
    memcpy(dir, path, len);
    dir[len] = 0;
    int fd = open(slash == NULL ? "." : len == 0 ? "/" : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool done = fsync(fd) == 0;
    close(fd);
    return done;
}

/* The new name: by link, which fails when there is a file, or by rename. */
static bool place(const char *from, const char *to, bool replace)
{
    if (replace) {
        return rename(from, to) == 0;
    }
    if (link(from, to) != 0) {
        return false;
    }
    return unlink(from) == 0;
}

/* Owner and mode of the file that is replaced. Who may not give a file away keeps it himself; then nobody gets more
 * rights than before. */
static bool be_like(int fd, const struct stat *like)
{
    mode_t mode = like->st_mode & 07777;
    if (fchown(fd, like->st_uid, like->st_gid) != 0) {
        mode &= 0700;
    }
    return fchmod(fd, mode) == 0;
}

/* `like`: the file that is replaced; NULL: mode is that of a new one. */
static smqtt_err write_whole(const char *path, smq_span bytes, mode_t mode, const struct stat *like, bool replace,
                             struct smq_why *why)
{
    char temp[4096];
    int made = snprintf(temp, sizeof temp, "%s.%ld.tmp", path, (long)getpid());
    if (made < 0 || (size_t)made >= sizeof temp) {
        return smq_why_set(why, SMQTT_E_IO, "The name %s is too long.", path);
    }
    unlink(temp);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, like != NULL ? 0600 : mode);
    if (fd < 0) {
        return smq_why_set(why, SMQTT_E_IO, "Cannot write %s: %s.", path, strerror(errno));
    }
    bool done = smq_file_write_all(fd, bytes.data, bytes.len) == SMQTT_OK && (like == NULL || be_like(fd, like)) &&
                fsync(fd) == 0;
    int cause = errno;
    if (close(fd) != 0 && done) {
        done = false;
        cause = errno;
    }
    if (done && !place(temp, path, replace)) {
        done = false;
        cause = errno;
    }
    if (!done) {
        unlink(temp);
        smqtt_err err = cause == EEXIST ? SMQTT_E_USAGE : SMQTT_E_IO;
        return smq_why_set(why, err, "Cannot write %s: %s.", path, strerror(cause));
    }
    if (!sync_parent(path)) {
        return smq_why_set(why, SMQTT_E_IO, "%s was written, but its directory cannot be synced: %s.", path,
                           strerror(errno));
    }
    return SMQTT_OK;
}

smqtt_err smq_file_write(const char *path, smq_span bytes, bool secret, bool replace, struct smq_why *why)
{
    return write_whole(path, bytes, secret ? 0600 : 0644, NULL, replace, why);
}

smqtt_err smq_file_rewrite(const char *path, smq_span bytes, struct smq_why *why)
{
    struct stat st;
    char *real = realpath(path, NULL);
    if (real == NULL) {
        return write_whole(path, bytes, 0600, NULL, true, why);
    }
    smqtt_err err = SMQTT_E_IO;
    if (stat(real, &st) != 0 || !S_ISREG(st.st_mode)) {
        smq_why_set(why, err, "%s is not a regular file, so it is not written to.", path);
    } else {
        err = write_whole(real, bytes, 0600, &st, true, why);
    }
    free(real);
    return err;
}
