/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/passwords.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/siphash.h"

struct record {
    struct smq_pwhash hash;
    uint64_t stamp;
    size_t user_len;
    uint8_t user[];
};

struct smq_passwords {
    const struct smqtt_mem *mem;
    uint8_t key[16];
    struct smq_map users;
    struct record **records; /* all of them, in the order of the file */
    size_t n, cap;
};

static smqtt_err add(struct smq_passwords *p, const struct record *like, smq_span user)
{
    if (p->n == p->cap) {
        size_t cap = p->cap != 0 ? p->cap * 2 : 16;
        struct record **records = smq_mem_resize(p->mem, p->records, cap * sizeof(*records));
        if (records == NULL) {
            return SMQTT_E_NOMEM;
        }
        p->records = records;
        p->cap = cap;
    }
    struct record *r = smq_mem_alloc(p->mem, sizeof *r + user.len);
    if (r == NULL) {
        return SMQTT_E_NOMEM;
    }
    *r = *like;
    r->user_len = user.len;
    memcpy(r->user, user.data, user.len);
    smqtt_err err = smq_map_put(&p->users, smq_span_of(r->user, r->user_len), r, NULL);
    if (err != SMQTT_OK) {
        smq_mem_free(p->mem, r);
        return err;
    }
    p->records[p->n++] = r;
    return SMQTT_OK;
}

static smqtt_err read_line(struct smq_passwords *p, struct smq_lines *lines, smq_span line)
{
    const uint8_t *colon = memchr(line.data, ':', line.len);
    smq_span user = {line.data, colon != NULL ? (size_t)(colon - line.data) : 0};
    if (user.len == 0) {
        return smq_lines_fail(lines, "the line is not USER:HASH: add users with smqtt passwd.");
    }
    if (user.len > SMQ_PASSWORDS_USER_LEN_MAX || p->n == SMQ_PASSWORDS_USERS_MAX) {
        return smq_lines_fail(lines, "the user name is longer than %d bytes, or there are more than %d users.",
                              SMQ_PASSWORDS_USER_LEN_MAX, SMQ_PASSWORDS_USERS_MAX);
    }
    if (smq_map_get(&p->users, user) != NULL) {
        return smq_lines_fail(lines, "the user %.*s has a line already: remove one of them.",
                              (int)(user.len < 128 ? user.len : 128), (const char *)user.data);
    }
    struct record r = {.user_len = 0};
    smqtt_err err = smq_pwhash_read(smq_span_from(line, user.len + 1), &r.hash);
    if (err == SMQTT_E_FULL) {
        return smq_lines_fail(lines, "verifying this password would take too much time or memory: set it again with "
                                     "smqtt passwd.");
    }
    if (err != SMQTT_OK) {
        return smq_lines_fail(lines, "behind the user name stands no hash ($6$, $7$ or $argon2id$): set the password "
                                     "again with smqtt passwd, or hash a file of plain ones with smqtt passwd -U.");
    }
    /* Stamps of different files are compared, so no key of one table is in it. */
    static const uint8_t fixed[16] = "smqtt passwords";
    r.stamp = smq_siphash24(fixed, line) | 2; /* neither 0 nor 1 */
    return add(p, &r, user);
}

smqtt_err smq_passwords_read(const struct smqtt_mem *mem, const uint8_t key[16], struct smq_lines *lines,
                             struct smq_passwords **out)
{
    struct smq_passwords *p = smq_mem_zalloc(mem, 1, sizeof *p);
    if (p == NULL) {
        return SMQTT_E_NOMEM;
    }
    p->mem = mem;
    memcpy(p->key, key, sizeof p->key);
    smq_map_init(&p->users, mem, key);
    smqtt_err err = SMQTT_OK;
    smq_span line;
    while (err == SMQTT_OK && smq_lines_next(lines, &line)) {
        err = read_line(p, lines, line);
    }
    if (err == SMQTT_OK && lines->fault[0] != 0) {
        err = SMQTT_E_USAGE;
    }
    if (err != SMQTT_OK) {
        smq_passwords_free(p);
        return err;
    }
    *out = p;
    return SMQTT_OK;
}

void smq_passwords_free(struct smq_passwords *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        smq_wipe(&p->records[i]->hash, sizeof p->records[i]->hash);
        smq_mem_free(p->mem, p->records[i]);
    }
    smq_mem_free(p->mem, p->records);
    smq_map_deinit(&p->users);
    smq_mem_free(p->mem, p);
}

bool smq_passwords_find(const struct smq_passwords *p, smq_span user, struct smq_pwhash *out)
{
    if (p->n == 0) {
        return false;
    }
    const struct record *r = smq_map_get(&p->users, user);
    /* Always the same stand-in for the same name, so that asking twice tells nothing either. */
    const struct record *other = p->records[smq_siphash13(p->key, user) % p->n];
    *out = r != NULL ? r->hash : other->hash;
    out->never = r == NULL;
    return true;
}

uint64_t smq_passwords_stamp(const struct smq_passwords *p, smq_span user)
{
    const struct record *r = smq_map_get(&p->users, user);
    return r != NULL ? r->stamp : 0;
}

size_t smq_passwords_count(const struct smq_passwords *p)
{
    return p->n;
}
