/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CONF_ROW_H
#define SMQTT_CONF_ROW_H
/* What the files of the parser share: the rows of directive.def as tables, and the parser's state. */
#include "conf/conf.h"

enum smq_conf_type {
    SMQ_CONF_BOOL,
    SMQ_CONF_NOT,
    SMQ_CONF_QOS,
    SMQ_CONF_U16,
    SMQ_CONF_U32,
    SMQ_CONF_SECONDS,
    SMQ_CONF_MINUTES,
    SMQ_CONF_COUNT,
    SMQ_CONF_SIZE32,
    SMQ_CONF_SIZE,
    SMQ_CONF_AGE,
    SMQ_CONF_VERSIONS,
    SMQ_CONF_TEXT,
    SMQ_CONF_TOPIC,
    SMQ_CONF_WORD,
    SMQ_CONF_OWN
};
enum smq_conf_scope { SMQ_CONF_GLOBAL, SMQ_CONF_EACH, SMQ_CONF_LISTENER, SMQ_CONF_BELOW, SMQ_CONF_SECURITY };

struct smq_conf_row {
    const char *name;
    enum smq_conf_type type;
    enum smq_conf_scope scope;
    size_t offset; /* in struct smq_conf (GLOBAL) or struct smq_listener_config */
    uint64_t min, max;
    const char *words, *deflt, *help;
};
extern const struct smq_conf_row smq_conf_rows[];
extern const size_t smq_conf_n_rows;

enum smq_conf_what { SMQ_CONF_CLOSE, SMQ_CONF_FILE, SMQ_CONF_GUARD, SMQ_CONF_REFUSE, SMQ_CONF_WARN };

/* A directive of Mosquitto that is not ours. */
struct smq_conf_foreign {
    enum smq_conf_what what;
    struct smq_conf_row row; /* how its value is checked; deflt: the inert one, help: the mend */
};
extern const struct smq_conf_foreign smq_conf_foreign[];
extern const size_t smq_conf_n_foreign;

enum smq_conf_choice { SMQ_CONF_UNSET, SMQ_CONF_NO, SMQ_CONF_YES };

/* A listener while it is read; the public part comes first. */
struct smq_conf_listener {
    struct smq_listener_config config;
    enum smq_conf_choice anonymous;
    const char *closed; /* name of the directive for whose sake it is not opened; NULL: it is */
    const char *mend;   /* goes with it */
    const char *maker;  /* of the default listener: what made it; NULL: port or bind_address */
};

struct smq_conf_parser {
    const uint16_t *ports; /* of the command line */
    size_t n_ports;
    const struct smqtt_mem *mem;
    struct smq_conf *conf;
    struct smq_conf_hooks hooks;
    struct smq_conf_listener *current;      /* NULL: above all listeners */
    struct smq_conf_listener *deflt;        /* the default one, in the list with the others; NULL: nothing made it */
    struct smq_require_detect *require_all; /* above all listeners */
    enum smq_conf_choice anonymous;         /* of all listeners */
    bool log_dest_said, log_type_said;
    bool named;         /* there is a line listener, port or bind_address */
    bool security_said; /* too late for per_listener_settings */
    bool whose;         /* below port, which is below listener: versions of Mosquitto differ in what comes then */
    const char *file;
    unsigned line;
    unsigned depth;  /* of include_dir */
    unsigned *seen;  /* line of each row in its scope, 0: not yet */
    char fault[640]; /* "" before a failure */
};

/* ---- conf_value.c */

/* Is the text a value of this row? *want tells in words what it must be. SMQTT_E_USAGE. */
SMQ_MUST_USE smqtt_err smq_conf_value_check(const struct smq_conf_row *row, const char *value, char *want,
                                            size_t want_cap);
/* Sets the field from a text, which is checked as above. `base` is the struct that row->offset counts from.
 * SMQTT_E_USAGE, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_conf_value_read(const struct smqtt_mem *mem, const struct smq_conf_row *row, void *base,
                                           const char *value, char *want, size_t want_cap);
/* The field as text; false when it is unset. */
bool smq_conf_value_write(const struct smq_conf_row *row, const void *base, char *text, size_t cap);
/* Is the rest of the line the value, with all that looks like a comment? */
bool smq_conf_value_is_text(const struct smq_conf_row *row);
/* Frees what the fields of the rows of a scope point to. */
void smq_conf_value_free(const struct smqtt_mem *mem, enum smq_conf_scope scope, void *base);
/* A whole decimal number; a leading '-' is refused. */
bool smq_conf_number(const char *text, uint64_t max, uint64_t *number);

/* ---- own.c, require.c */

/* The readers of type OWN, by name. `value` may be written to. */
SMQ_MUST_USE smqtt_err smq_conf_own_read(struct smq_conf_parser *parser, const char *name, char *value);
/* One word from the front of *text, cut off with a zero; NULL when there is none left. */
char *smq_conf_word(char **text);
/* Ends the text where a blank and '#' begin a comment, and takes blanks from its end. */
void smq_conf_cut_comment(char *text);
/* The struct that a row of a listener belongs to, in the place where the file is now; makes the default listener if
 * that is how it is with this scope. SMQTT_E_USAGE, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_conf_own_base(struct smq_conf_parser *parser, const char *name, enum smq_conf_scope scope,
                                         struct smq_listener_config **out);
/* The listener of that struct; NULL for what counts for all of them. */
struct smq_conf_listener *smq_conf_own_listener(struct smq_conf_parser *parser, struct smq_listener_config *base);
/* The words of log_type that name one; the last has none. */
struct smq_conf_log_type {
    const char *word;
    unsigned type;
};
extern const struct smq_conf_log_type smq_conf_log_types[];
/* smqtt_require_detect. */
SMQ_MUST_USE smqtt_err smq_conf_require_read(struct smq_conf_parser *parser, char *value);
void smq_conf_require_free(const struct smqtt_mem *mem, struct smq_require_detect *list);
/* A copy of the list. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_conf_require_copy(const struct smqtt_mem *mem, const struct smq_require_detect *list,
                                             struct smq_require_detect **out);

/* ---- name.c: names that are not ours */

/* A directive of Mosquitto that this version does not have, or one of nobody. */
SMQ_MUST_USE smqtt_err smq_conf_name_read(struct smq_conf_parser *parser, const char *name, char *value);
/* This listener would be less protected than the file says: it is not opened. SMQTT_E_USAGE with strict. */
SMQ_MUST_USE smqtt_err smq_conf_name_close(struct smq_conf_parser *parser, struct smq_conf_listener *listener,
                                           const char *name, const char *mend);
/* "the listener on port 1883", for sentences. */
void smq_conf_name_place(const struct smq_listener_config *listener, char *out, size_t cap);

/* ---- end.c: what the directives mean together */

/* Finishes parser->conf in place. SMQTT_E_USAGE, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_conf_finish(struct smq_conf_parser *parser);
/* Frees a listener with all that it points to. */
void smq_conf_listener_free(const struct smqtt_mem *mem, struct smq_listener_config *listener);
/* Makes one with the defaults of the table. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_conf_listener_new(const struct smqtt_mem *mem, struct smq_conf_listener **out);
/* Sets the fields of all rows of a scope to what the table says. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_conf_set_defaults(const struct smqtt_mem *mem, enum smq_conf_scope scope, void *base);

/* ---- conf.c */

void smq_conf_warn(struct smq_conf_parser *parser, const char *fmt, ...) SMQ_PRINTF(2, 3);
/* A warning of something that is left out: with strict a mistake, SMQTT_E_USAGE. */
SMQ_MUST_USE smqtt_err smq_conf_leave_out(struct smq_conf_parser *parser, const char *fmt, ...) SMQ_PRINTF(2, 3);

#endif
