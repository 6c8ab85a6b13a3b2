/* SPDX-License-Identifier: Apache-2.0 */
#include "access.h"

#include <smqtt/system.h>

#include "auth/gate.h"
#include "base/mem.h"
#include "net/file.h"

#define FILE_MAX (1024 * 1024 * 1024)

/* One pair of files. */
struct pair {
    struct smq_gate gate;
    struct smq_passwords *passwords;
    struct smq_acl *acl;
    const char *password_file, *acl_file; /* the listener's */
    bool borrows_passwords, borrows_acl;  /* those of a pair before it */
};

struct access_tables {
    size_t n;
    struct pair *pairs;
};

static bool is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static smqtt_err fail(const char *path, const struct smq_lines *lines, smqtt_err err, struct smq_why *why)
{
    if (err == SMQTT_E_USAGE) {
        return smq_why_set(why, err, "%s", lines->fault);
    }
    return smq_why_set(why, err, "Cannot take %s: %s.", path, smqtt_strerror(err));
}

static smqtt_err load_passwords(struct pair *pair, const uint8_t key[16], struct smq_why *why)
{
    struct smq_file_text file = {NULL, 0};
    SMQ_TRY(smq_file_read(pair->password_file, FILE_MAX, false, &file, why));
    struct smq_lines lines = smq_lines_of(pair->password_file, smq_span_of(file.text, file.len));
    smqtt_err err = smq_passwords_read(NULL, key, &lines, &pair->passwords);
    smq_file_free(&file);
    return err == SMQTT_OK ? err : fail(pair->password_file, &lines, err, why);
}

static smqtt_err load_acl(struct pair *pair, const uint8_t key[16], struct smq_why *why)
{
    struct smq_file_text file = {NULL, 0};
    SMQ_TRY(smq_file_read(pair->acl_file, FILE_MAX, false, &file, why));
    struct smq_lines lines = smq_lines_of(pair->acl_file, smq_span_of(file.text, file.len));
    smqtt_err err = smq_acl_read(NULL, key, &lines, &pair->acl);
    smq_file_free(&file);
    return err == SMQTT_OK ? err : fail(pair->acl_file, &lines, err, why);
}

/* What a pair before it has read is not read again. */
static void borrow(struct access_tables *tables, struct pair *pair)
{
    for (size_t i = 0; i < tables->n; i++) {
        struct pair *other = &tables->pairs[i];
        if (pair->password_file != NULL && is_same(other->password_file, pair->password_file)) {
            pair->passwords = other->passwords;
            pair->borrows_passwords = true;
        }
        if (pair->acl_file != NULL && is_same(other->acl_file, pair->acl_file)) {
            pair->acl = other->acl;
            pair->borrows_acl = true;
        }
    }
}

static smqtt_err load_pair(struct access_tables *tables, const struct smq_listener_config *l, const uint8_t key[16],
                           struct smq_why *why)
{
    struct pair *pair = &tables->pairs[tables->n];
    *pair = (struct pair){.password_file = l->password_file, .acl_file = l->acl_file};
    borrow(tables, pair);
    tables->n++;
    if (l->password_file != NULL && pair->passwords == NULL) {
        SMQ_TRY(load_passwords(pair, key, why));
    }
    if (l->acl_file != NULL && pair->acl == NULL) {
        SMQ_TRY(load_acl(pair, key, why));
    }
    smq_gate_init(&pair->gate, pair->passwords, pair->acl);
    return SMQTT_OK;
}

static struct pair *find_pair(const struct access_tables *tables, const struct smq_listener_config *l)
{
    for (size_t i = 0; i < tables->n; i++) {
        struct pair *pair = &tables->pairs[i];
        if (is_same(pair->password_file, l->password_file) && is_same(pair->acl_file, l->acl_file)) {
            return pair;
        }
    }
    return NULL;
}

static smqtt_err load_all(struct access_tables *tables, const struct smq_broker_config *config, struct smq_why *why)
{
    uint8_t key[16];
    struct smqtt_rng rng = smqtt_system_rng();
    if (!rng.fill(rng.ctx, key, sizeof key)) {
        return smq_why_set(why, SMQTT_E_RNG, "The random number generator failed.");
    }
    for (const struct smq_listener_config *l = config->listeners; l != NULL; l = l->next) {
        bool any = l->password_file != NULL || l->acl_file != NULL;
        if (any && find_pair(tables, l) == NULL) {
            SMQ_TRY(load_pair(tables, l, key, why));
        }
    }
    return SMQTT_OK;
}

smqtt_err access_load(struct smq_broker_config *config, struct access_tables **out, struct smq_why *why)
{
    size_t n = 0;
    for (const struct smq_listener_config *l = config->listeners; l != NULL; l = l->next) {
        n++;
    }
    struct access_tables *tables = smq_mem_zalloc(NULL, 1, sizeof *tables);
    struct pair *pairs = smq_mem_zalloc(NULL, n, sizeof *pairs);
    if (tables == NULL || pairs == NULL) {
        smq_mem_free(NULL, tables);
        smq_mem_free(NULL, pairs);
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory.");
    }
    tables->pairs = pairs;
    smqtt_err err = load_all(tables, config, why);
    if (err != SMQTT_OK) {
        access_free(tables);
        return err;
    }
    for (struct smq_listener_config *l = config->listeners; l != NULL; l = l->next) {
        const struct pair *pair = find_pair(tables, l);
        l->auth = pair != NULL ? &pair->gate.auth : NULL;
    }
    *out = tables;
    return SMQTT_OK;
}

void access_free(struct access_tables *tables)
{
    if (tables == NULL) {
        return;
    }
    for (size_t i = 0; i < tables->n; i++) {
        struct pair *pair = &tables->pairs[i];
        if (!pair->borrows_passwords) {
            smq_passwords_free(pair->passwords);
        }
        if (!pair->borrows_acl) {
            smq_acl_free(pair->acl);
        }
    }
    smq_mem_free(NULL, tables->pairs);
    smq_mem_free(NULL, tables);
}
