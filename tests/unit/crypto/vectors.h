/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_CRYPTO_VECTORS_H
#define SMQTT_TESTS_CRYPTO_VECTORS_H
/* Reads the files of tests/vectors/crypto: records of `name = value` lines with blank lines between, `#` begins a
 * comment.
 *
 *     struct vectors v;
 *     vectors_open(&v, "aead.txt");
 *     while (vectors_next(&v)) { … vectors_hex(&v, "key", key, sizeof(key)) … }
 *     vectors_close(&v, 5);      the number of records, so that none is lost unseen
 */
#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "base/hex.h"

enum { VECTORS_FIELDS_MAX = 16 };

struct vectors {
    char *text;
    char *at;
    struct {
        const char *name;
        const char *value;
    } field[VECTORS_FIELDS_MAX];
    size_t n;       /* fields of the current record */
    size_t records; /* read up to now */
};

/** Reads the file tests/vectors/crypto/<name>; the test fails when it cannot. */
static inline void vectors_open(struct vectors *v, const char *name)
{
    char path[512];
    memset(v, 0, sizeof(*v));
    assert_true(snprintf(path, sizeof(path), "%s/crypto/%s", SMQ_TEST_DATA, name) < (int)sizeof(path));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    v->text = malloc((size_t)size + 1);
    assert_non_null(v->text);
    assert_int_equal(fread(v->text, 1, (size_t)size, file), (size_t)size);
    v->text[size] = 0;
    v->at = v->text;
    fclose(file);
}

/* Cuts the line off; its end becomes a zero. */
static inline char *vectors_line(struct vectors *v)
{
    char *line = v->at;
    char *end = strchr(line, '\n');
    if (end != NULL) {
        *end = 0;
        v->at = end + 1;
    } else {
        v->at = line + strlen(line);
    }
    return line;
}

/** Goes to the next record; false behind the last. */
static inline bool vectors_next(struct vectors *v)
{
    v->n = 0;
    while (*v->at != 0) {
        char *line = vectors_line(v);
        char *equals = strstr(line, " =");
        if (*line == 0 && v->n != 0) {
            break;
        }
        if (*line == 0 || *line == '#') {
            continue;
        }
        assert_non_null(equals);
        assert_true(v->n < VECTORS_FIELDS_MAX);
        *equals = 0;
        v->field[v->n].name = line;
        v->field[v->n].value = equals + 2 + (equals[2] == ' ');
        v->n++;
    }
    v->records += v->n != 0;
    return v->n != 0;
}

/** The value of the field as text, or NULL when the record has none of this name. */
static inline const char *vectors_text(const struct vectors *v, const char *name)
{
    for (size_t i = 0; i < v->n; i++) {
        if (strcmp(v->field[i].name, name) == 0) {
            return v->field[i].value;
        }
    }
    return NULL;
}

/** Is the field there with this text? */
static inline bool vectors_is(const struct vectors *v, const char *name, const char *text)
{
    const char *value = vectors_text(v, name);
    return value != NULL && strcmp(value, text) == 0;
}

/** The value of the field as bytes; gives their number, 0 without such a field. */
static inline size_t vectors_hex(const struct vectors *v, const char *name, uint8_t *out, size_t cap)
{
    const char *value = vectors_text(v, name);
    size_t len = 0;
    if (value != NULL) {
        assert_int_equal(smq_hex_decode(out, cap, smq_span_str(value), &len), SMQTT_OK);
    }
    return len;
}

/** As vectors_hex for a field of exactly `len` bytes. */
static inline void vectors_bytes(const struct vectors *v, const char *name, uint8_t *out, size_t len)
{
    assert_int_equal(vectors_hex(v, name, out, len), len);
}

/** Ends; the test fails when the file did not have so many records. */
static inline void vectors_close(struct vectors *v, size_t records)
{
    assert_int_equal(v->records, records);
    free(v->text);
}

#endif
