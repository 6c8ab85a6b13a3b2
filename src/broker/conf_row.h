/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_CONF_ROW_H
#define SMQTT_BROKER_CONF_ROW_H
/* What the files of the parser share: the rows of directive.def as a table, and the parser's state. */
#include "broker/conf.h"

enum smq_conf_type {
    SMQ_CONF_BOOL,
    SMQ_CONF_NOT,
    SMQ_CONF_QOS,
    SMQ_CONF_U8,
    SMQ_CONF_U16,
    SMQ_CONF_U32,
    SMQ_CONF_SECONDS,
    SMQ_CONF_COUNT,
    SMQ_CONF_SIZE32,
    SMQ_CONF_SIZE,
    SMQ_CONF_AGE,
    SMQ_CONF_TEXT,
    SMQ_CONF_WORD,
    SMQ_CONF_OWN
};
enum smq_conf_scope { SMQ_CONF_GLOBAL, SMQ_CONF_LISTENER };

struct smq_conf_row {
    const char *name;
    enum smq_conf_type type;
    enum smq_conf_scope scope;
    size_t offset; /* in struct smq_conf or struct smq_listener_config */
    uint64_t min, max;
    const char *words, *deflt, *help;
};
extern const struct smq_conf_row smq_conf_rows[];
extern const size_t smq_conf_n_rows;

enum smq_conf_choice { SMQ_CONF_UNSET, SMQ_CONF_NO, SMQ_CONF_YES };

/* A listener while it is read; the public part comes first. */
struct smq_conf_listener {
    struct smq_listener_config config;
    enum smq_conf_choice anonymous;
    bool websockets;
};

struct smq_conf_parser {
    const struct smqtt_mem *mem;
    struct smq_conf *conf;
    struct smq_conf_hooks hooks;
    struct smq_conf_listener *current;      /* NULL: above all listeners */
    struct smq_conf_listener *deflt;        /* of port and bind_address; NULL: not named */
    struct smq_require_detect *require_all; /* above all listeners */
    enum smq_conf_choice anonymous;
    bool log_dest_said, log_type_said;
    const char *file;
    unsigned line;
    unsigned depth;  /* of include_dir */
    unsigned *seen;  /* line of each row in its scope, 0: not yet */
    char fault[640]; /* "" before a failure */
};

/* Sets a field from text. The sentence is completed by the caller: *want tells what the value must be. SMQTT_E_USAGE,
 * SMQTT_E_NOMEM. `base` is the struct that row->offset counts from. */
SMQ_MUST_USE smqtt_err smq_conf_value_read(const struct smqtt_mem *mem, const struct smq_conf_row *row, void *base,
                                           const char *value, char *want, size_t want_cap);
/* The field as text; false when it is unset. */
bool smq_conf_value_write(const struct smq_conf_row *row, const void *base, char *text, size_t cap);
/* A whole decimal number; a leading '-' is refused. */
bool smq_conf_number(const char *text, uint64_t max, uint64_t *number);

/* The readers of type OWN, by name. `value` may be written to. */
SMQ_MUST_USE smqtt_err smq_conf_own_read(struct smq_conf_parser *parser, const char *name, char *value);
/* One word from the front of *text, cut off with a zero; NULL when there is none left. */
char *smq_conf_word(char **text);
void smq_conf_require_free(const struct smqtt_mem *mem, struct smq_require_detect *list);
/* A copy of the list. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_conf_require_copy(const struct smqtt_mem *mem, const struct smq_require_detect *list,
                                             struct smq_require_detect **out);
/* Sets the fields of all rows of a scope to what the table says. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_conf_set_defaults(struct smq_conf *conf, enum smq_conf_scope scope, void *base);
void smq_conf_warn(struct smq_conf_parser *parser, const char *fmt, ...) SMQ_PRINTF(2, 3);

#endif
