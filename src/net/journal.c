/* SPDX-License-Identifier: Apache-2.0 */
#include "net/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/wr.h"
#include "net/file.h"

#define CURRENT   "journal"
#define OLD       "journal.old"
#define MAX_MIN   (64u * 1024)
#define TEXT_MAX  1024         /* bytes of a text before it is escaped */
#define CT_MAX    (16u * 1024) /* bytes of a ciphertext */
#define LINE_SIZE (40u * 1024) /* 3 texts of 3 x 1,024, 16 KiB in base64url, numbers */
#define READ_MAX  (64u * 1024 * 1024)

struct smq_journal {
    int dir, fd;
    size_t size, max;
    char line[LINE_SIZE];
};

static int open_current(int dir)
{
    return openat(dir, CURRENT, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

/* The last line may be torn: what comes then begins on its own line. */
static smqtt_err end_torn_line(struct smq_journal *journal)
{
    char last = '\n';
    if (journal->size != 0 && pread(journal->fd, &last, 1, (off_t)journal->size - 1) != 1) {
        return SMQTT_E_IO;
    }
    if (last == '\n') {
        return SMQTT_OK;
    }
    journal->size++;
    return smq_file_write_all(journal->fd, "\n", 1);
}

smqtt_err smq_journal_open(const char *dir, size_t max, struct smq_journal **out, struct smq_why *why)
{
    int dir_fd = -1;
    SMQ_TRY(smq_file_open_dir(dir, &dir_fd, why));
    struct smq_journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL) {
        close(dir_fd);
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory.");
    }
    journal->dir = dir_fd;
    journal->max = max == 0 ? SMQ_JOURNAL_MAX : max < MAX_MIN ? MAX_MIN : max;
    journal->fd = open_current(dir_fd);
    struct stat st;
    smqtt_err err = SMQTT_OK;
    if (journal->fd < 0 || fstat(journal->fd, &st) != 0) {
        err = smq_why_set(why, SMQTT_E_IO, "Cannot open the journal in %s: %s.", dir, strerror(errno));
    } else {
        err = smq_file_check_secret(journal->fd, CURRENT, why);
        journal->size = (size_t)st.st_size;
    }
    if (err == SMQTT_OK && end_torn_line(journal) != SMQTT_OK) {
        err = smq_why_set(why, SMQTT_E_IO, "Cannot write the journal in %s: %s.", dir, strerror(errno));
    }
    if (err != SMQTT_OK) {
        smq_journal_close(journal);
        return err;
    }
    *out = journal;
    return SMQTT_OK;
}

void smq_journal_close(struct smq_journal *journal)
{
    if (journal == NULL) {
        return;
    }
    if (journal->fd >= 0) {
        close(journal->fd);
    }
    close(journal->dir);
    free(journal);
}

/* ---------------------------------------------------------------- writing */

static void put_text(struct smq_wr *wr, const char *name, smq_span text)
{
    static const char digits[] = "0123456789ABCDEF";
    smq_wr_put(wr, smq_span_str(name));
    size_t len = smq_utf8_cut(text, TEXT_MAX);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text.data[i];
        if (c > ' ' && c < 0x7F && c != '%') {
            smq_wr_u8(wr, c);
        } else {
            smq_wr_bytes(wr, (const char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
        }
    }
}

static void put_number(struct smq_wr *wr, const char *name, uint64_t number)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, number);
    smq_wr_put(wr, smq_span_str(name));
    smq_wr_bytes(wr, text, (size_t)len);
}

static void put_hex(struct smq_wr *wr, const char *name, const uint8_t bytes[8])
{
    char text[SMQ_HEX_LEN(8) + 1];
    smq_hex_encode(text, smq_span_of(bytes, 8));
    smq_wr_put(wr, smq_span_str(name));
    smq_wr_put(wr, smq_span_str(text));
}

static smqtt_err put_ciphertext(struct smq_wr *wr, smq_span bytes)
{
    bytes.len = bytes.len < CT_MAX ? bytes.len : CT_MAX;
    char *text = malloc(SMQ_BASE64URL_LEN(bytes.len) + 1);
    if (text == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_base64url_encode(text, bytes);
    smq_wr_put(wr, smq_span_str(" ct="));
    smq_wr_put(wr, smq_span_str(text));
    free(text);
    return SMQTT_OK;
}

static smqtt_err put_entry(struct smq_wr *wr, smqtt_ms wall, const struct smqtt_journal_entry *entry)
{
    put_number(wr, "t=", wall);
    put_hex(wr, " cid=", entry->cid);
    put_number(wr, " ts1=", entry->ts1);
    put_number(wr, " ts2=", entry->ts2);
    put_number(wr, " flag=", entry->flag);
    put_number(wr, " status=", entry->status);
    put_number(wr, " verdict=", entry->verdict);
    if (entry->peer != NULL) {
        put_hex(wr, " peer=", smqtt_identity_skid(entry->peer));
        put_text(wr, " name=", smq_span_str(smqtt_identity_name(entry->peer)));
    } else {
        smq_wr_put(wr, smq_span_str(" peer=- name="));
    }
    put_text(wr, " client=", entry->client_id);
    put_text(wr, " topic=", entry->topic);
    SMQ_TRY(put_ciphertext(wr, entry->ciphertext));
    smq_wr_u8(wr, '\n');
    return smq_wr_ok(wr) ? SMQTT_OK : SMQTT_E_FULL;
}

/* The full file becomes the old one. */
static smqtt_err rotate(struct smq_journal *journal)
{
    if (renameat(journal->dir, CURRENT, journal->dir, OLD) != 0) {
        return SMQTT_E_IO;
    }
    int fd = open_current(journal->dir);
    if (fd < 0) {
        return SMQTT_E_IO;
    }
    close(journal->fd);
    journal->fd = fd;
    journal->size = 0;
    return SMQTT_OK;
}

smqtt_err smq_journal_append(struct smq_journal *journal, smqtt_ms wall, const struct smqtt_journal_entry *entry)
{
    struct smq_wr wr = smq_wr_of((uint8_t *)journal->line, sizeof journal->line);
    SMQ_TRY(put_entry(&wr, wall, entry));
    if (journal->size + wr.len > journal->max) {
        SMQ_TRY(rotate(journal));
    }
    SMQ_TRY(smq_file_write_all(journal->fd, journal->line, wr.len));
    journal->size += wr.len;
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- reading */

static int hex_value(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The value of ` name=` that comes next: up to the blank. */
static bool take_field(smq_span *line, const char *name, smq_span *value)
{
    smq_span want = smq_span_str(name);
    if (!smq_span_starts(*line, want)) {
        return false;
    }
    smq_span rest = smq_span_from(*line, want.len);
    size_t len = 0;
    while (len < rest.len && rest.data[len] != ' ') {
        len++;
    }
    *value = (smq_span){rest.data, len};
    *line = smq_span_from(rest, len);
    return true;
}

static bool take_number(smq_span *line, const char *name, uint64_t max, uint64_t *number)
{
    smq_span value;
    if (!take_field(line, name, &value) || value.len == 0 || value.len > 20) {
        return false;
    }
    uint64_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t digit = (uint8_t)(value.data[i] - '0');
        if (digit > 9 || n > (max - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *number = n;
    return true;
}

static bool take_byte(smq_span *line, const char *name, uint8_t *byte)
{
    uint64_t number = 0;
    bool found = take_number(line, name, UINT8_MAX, &number);
    *byte = (uint8_t)number;
    return found;
}

static bool take_hex(smq_span *line, const char *name, uint8_t bytes[8])
{
    smq_span value;
    size_t len = 0;
    return take_field(line, name, &value) && value.len == 16 && smq_hex_decode(bytes, 8, value, &len) == SMQTT_OK;
}

/* Undoes %XX in place: the bytes from `base` on, in which the line lies, are ours. */
static bool take_text(smq_span *line, const char *name, uint8_t *base, smq_span *text)
{
    smq_span value;
    if (!take_field(line, name, &value)) {
        return false;
    }
    uint8_t *out = base + (value.data - base);
    size_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] != '%') {
            out[n++] = value.data[i];
            continue;
        }
        int high = value.len - i > 2 ? hex_value(value.data[i + 1]) : -1;
        int low = high >= 0 ? hex_value(value.data[i + 2]) : -1;
        if (low < 0) {
            return false;
        }
        out[n++] = (uint8_t)(high * 16 + low);
        i += 2;
    }
    *text = smq_span_of(out, n);
    return true;
}

static bool take_peer(smq_span *line, struct smq_journal_line *out)
{
    smq_span at = *line;
    smq_span value;
    if (take_field(&at, " peer=", &value) && smq_span_equal(value, smq_span_str("-"))) {
        *line = at;
        out->has_peer = false;
        return true;
    }
    out->has_peer = take_hex(line, " peer=", out->skid);
    return out->has_peer;
}

/* `ct` has room for CT_MAX bytes. */
static bool parse_line(smq_span line, uint8_t *base, uint8_t *ct, struct smq_journal_line *out)
{
    smq_span text;
    size_t len = 0;
    *out = (struct smq_journal_line){0};
    if (!take_number(&line, "t=", UINT64_MAX, &out->at) || !take_hex(&line, " cid=", out->cid) ||
        !take_number(&line, " ts1=", UINT64_MAX, &out->ts1) || !take_number(&line, " ts2=", UINT64_MAX, &out->ts2) ||
        !take_byte(&line, " flag=", &out->flag) || !take_byte(&line, " status=", &out->status) ||
        !take_byte(&line, " verdict=", &out->verdict) || !take_peer(&line, out) ||
        !take_text(&line, " name=", base, &out->name) || !take_text(&line, " client=", base, &out->client_id) ||
        !take_text(&line, " topic=", base, &out->topic) || !take_field(&line, " ct=", &text) || line.len != 0) {
        return false;
    }
    if (smq_base64url_decode(ct, CT_MAX, text, &len) != SMQTT_OK) {
        return false;
    }
    out->ciphertext = smq_span_of(ct, len);
    return true;
}

struct reader {
    void (*fn)(void *arg, const struct smq_journal_line *line);
    void *arg;
    unsigned bad;
    uint8_t ct[CT_MAX];
};

static void read_lines(struct reader *reader, uint8_t *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        const uint8_t *end = memchr(text + at, '\n', len - at);
        size_t n = end != NULL ? (size_t)(end - (text + at)) : len - at;
        struct smq_journal_line line;
        if (end != NULL && parse_line(smq_span_of(text + at, n), text, reader->ct, &line)) {
            reader->fn(reader->arg, &line);
        } else {
            reader->bad++;
        }
        at += n + 1;
    }
}

static smqtt_err read_one(struct reader *reader, const char *dir, const char *name, bool *found, struct smq_why *why)
{
    char path[4096];
    int made = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (made < 0 || (size_t)made >= sizeof path) {
        return smq_why_set(why, SMQTT_E_IO, "The name %s is too long.", dir);
    }
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        return SMQTT_OK;
    }
    struct smq_file_text file = {NULL, 0};
    SMQ_TRY(smq_file_read(path, READ_MAX, true, &file, why));
    *found = true;
    read_lines(reader, (uint8_t *)file.text, file.len);
    smq_file_free(&file);
    return SMQTT_OK;
}

smqtt_err smq_journal_read(const char *dir, void (*fn)(void *arg, const struct smq_journal_line *line), void *arg,
                           unsigned *bad, struct smq_why *why)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory.");
    }
    reader->fn = fn;
    reader->arg = arg;
    bool found = false;
    smqtt_err err = read_one(reader, dir, OLD, &found, why);
    if (err == SMQTT_OK) {
        err = read_one(reader, dir, CURRENT, &found, why);
    }
    if (err == SMQTT_OK && !found) {
        err = smq_why_set(why, SMQTT_E_IO, "There is no journal in %s.", dir);
    }
    if (bad != NULL) {
        *bad = reader->bad;
    }
    free(reader);
    return err;
}
