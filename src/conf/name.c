/* SPDX-License-Identifier: Apache-2.0 */
/* Directives that are not ours: Mosquitto's that this version does not have, and mistakes. */
#include <stdio.h>
#include <string.h>

#include "conf/row.h"

#define DISTANCE_MAX 3 /* letters between a mistake and what it was meant to be */
#define NAME_LEN_MAX 40

const struct smq_conf_foreign smq_conf_foreign[] = {
#define FOREIGN(name, what, type, min, max, words, inert, mend) \
    {SMQ_CONF_##what, {name, SMQ_CONF_##type, SMQ_CONF_GLOBAL, 0, min, max, words, inert, mend}},
#include "conf/directive.def"
};
const size_t smq_conf_n_foreign = SMQ_ARRAY_LEN(smq_conf_foreign);

/* ---------------------------------------------------------------- mistakes */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance; NAME_LEN_MAX for names that are too long to be meant. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_LEN_MAX + 1];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > NAME_LEN_MAX || b_len > NAME_LEN_MAX) {
        return NAME_LEN_MAX;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(change, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

static void find_near(const char *name, const char *candidate, size_t *best, const char **near)
{
    size_t d = distance(name, candidate);
    if (d < *best && d * 2 < strlen(name)) {
        *best = d;
        *near = candidate;
    }
}

static smqtt_err fail_unknown(struct smq_conf_parser *p, const char *name)
{
    size_t best = DISTANCE_MAX + 1;
    const char *near = NULL;
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        find_near(name, smq_conf_rows[i].name, &best, &near);
    }
    for (size_t i = 0; i < smq_conf_n_foreign; i++) {
        find_near(name, smq_conf_foreign[i].row.name, &best, &near);
    }
    if (near != NULL) {
        return smq_conf_fail(p, "\"%s\" is not a directive: %s is perhaps meant.", name, near);
    }
    return smq_conf_fail(p, "\"%s\" is not a directive: see smqttd.conf(5) for those there are.", name);
}

/* ---------------------------------------------------------------- what is not there */

void smq_conf_name_place(const struct smq_listener_config *listener, char *out, size_t cap)
{
    if (listener->unix_path != NULL) {
        snprintf(out, cap, "the listener on %s", listener->unix_path);
    } else {
        snprintf(out, cap, "the listener on port %u", (unsigned)listener->port);
    }
}

smqtt_err smq_conf_name_close(struct smq_conf_parser *parser, struct smq_conf_listener *listener, const char *name,
                              const char *mend)
{
    char place[160];
    smq_conf_name_place(&listener->config, place, sizeof place);
    if (listener->closed == NULL) {
        listener->closed = name;
        listener->mend = mend;
    }
    return smq_conf_leave_out(parser, "%s is not opened because of %s: %s.", place, name, mend);
}

/* What protects a listener is not there: that one stays closed. Above all listeners it is the default one. */
static smqtt_err close_current(struct smq_conf_parser *p, const struct smq_conf_row *row)
{
    struct smq_listener_config *base = NULL;
    SMQ_TRY(smq_conf_own_base(p, row->name, SMQ_CONF_LISTENER, &base));
    return smq_conf_name_close(p, smq_conf_own_listener(p, base), row->name, row->help);
}

static smqtt_err fail_unprotected(struct smq_conf_parser *p, const char *name, const char *mend)
{
    return smq_conf_fail(p, "%s would protect the broker, but this version cannot do it, so it does not start: %s.",
                         name, mend);
}

static smqtt_err guard(struct smq_conf_parser *p, const struct smq_conf_row *row)
{
    struct smq_listener_config *base = NULL;
    SMQ_TRY(smq_conf_own_base(p, row->name, SMQ_CONF_SECURITY, &base));
    struct smq_conf_listener *listener = smq_conf_own_listener(p, base);
    return listener != NULL ? smq_conf_name_close(p, listener, row->name, row->help)
                            : fail_unprotected(p, row->name, row->help);
}

static smqtt_err read_foreign(struct smq_conf_parser *p, const struct smq_conf_foreign *f, const char *name,
                              const char *value)
{
    char want[160];
    if (smq_conf_value_check(&f->row, value, want, sizeof want) != SMQTT_OK) {
        return smq_conf_fail(p, "%s is \"%s\", but it must be %s.", name, value, want);
    }
    bool inert =
        f->row.deflt[0] != 0 && (strcmp(value, f->row.deflt) == 0 || (f->row.type == SMQ_CONF_BOOL && value[0] == '0'));
    if (inert) {
        return SMQTT_OK;
    }
    switch (f->what) {
    case SMQ_CONF_CLOSE:
        return close_current(p, &f->row);
    case SMQ_CONF_FILE:
        if (p->current != NULL) {
            return close_current(p, &f->row);
        }
        break;
    case SMQ_CONF_GUARD:
        return guard(p, &f->row);
    case SMQ_CONF_REFUSE:
        return fail_unprotected(p, name, f->row.help);
    case SMQ_CONF_WARN:
        break;
    }
    return smq_conf_leave_out(p, "%s is left out: %s.", name, f->row.help);
}

static bool matches(const char *row, const char *name)
{
    size_t len = strlen(row);
    return row[len - 1] == '*' ? strncmp(row, name, len - 1) == 0 : strcmp(row, name) == 0;
}

smqtt_err smq_conf_name_read(struct smq_conf_parser *parser, const char *name, char *value)
{
    for (size_t i = 0; i < smq_conf_n_foreign; i++) {
        const struct smq_conf_foreign *f = &smq_conf_foreign[i];
        if (matches(f->row.name, name)) {
            if (!smq_conf_value_is_text(&f->row)) {
                smq_conf_cut_comment(value);
            }
            return read_foreign(parser, f, name, value);
        }
    }
    return fail_unknown(parser, name);
}
