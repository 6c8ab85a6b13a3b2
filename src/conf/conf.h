/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CONF_CONF_H
#define SMQTT_CONF_CONF_H
/* Configuration files in the syntax of mosquitto.conf: text in, values out. Files are the caller's: it feeds their text
 * and answers include_dir. The directives are the rows of conf/directive.def. */
#include "base/log.h"
#include "broker/config.h"

enum {
    SMQ_LOG_TO_STDOUT = 1,
    SMQ_LOG_TO_STDERR = 2,
    SMQ_LOG_TO_FILE = 4,
    SMQ_LOG_TO_SYSLOG = 8,
    SMQ_LOG_TO_TOPIC = 16 /* below $SYS/broker/log */
};
/** What log_types may have beside the bits 1 << enum smq_log_level: words of Mosquitto for what is never logged here.
 */
enum {
    SMQ_LOG_TYPE_WEBSOCKETS = 1 << 14,
    SMQ_LOG_TYPE_INTERNAL = 1 << 15,
    SMQ_LOG_TYPE_ALL = SMQ_LOG_ALL | SMQ_LOG_TYPE_WEBSOCKETS | SMQ_LOG_TYPE_INTERNAL
};
/** `log_facility`: 0 to 7 are local0 to local7. */
enum smq_log_facility { SMQ_FACILITY_LOCAL0, SMQ_FACILITY_LOCAL7 = 7, SMQ_FACILITY_DAEMON };
enum smq_log_format { SMQ_LOG_FORMAT_TEXT, SMQ_LOG_FORMAT_JSON };

/** `smqtt_durability`, as enum smq_committer_policy, and `smqtt_store`. */
enum smq_durability { SMQ_DURABILITY_FSYNC, SMQ_DURABILITY_INTERVAL, SMQ_DURABILITY_OFF };
enum smq_conf_store { SMQ_CONF_STORE_ROCKSDB, SMQ_CONF_STORE_MEMORY };

/** What the files say. Texts are owned by it. */
struct smq_conf {
    const struct smqtt_mem *mem;
    struct smq_broker_config broker; /* listeners included; identity, policy and store are the caller's to load */
    unsigned n_listeners;
    bool implicit_listener; /* the files name none: 127.0.0.1 and ::1, anonymous */
    bool per_listener_settings;
    /* What the files say for all listeners; each has it already. For the dump. */
    struct smq_listener_config all_listeners;
    uint32_t workers;   /* threads; 0: as many as there are processors */
    unsigned log_dest;  /* SMQ_LOG_TO_…, 0: nowhere */
    char *log_file;     /* NULL: none */
    unsigned log_types; /* bits 1 << enum smq_log_level, and SMQ_LOG_TYPE_… */
    enum smq_log_facility log_facility;
    enum smq_log_format log_format;
    bool log_timestamp;
    char *log_timestamp_format; /* NULL: seconds */
    char *pid_file;
    char *user;
    bool set_tcp_nodelay;
    uint32_t retain_expiry_interval_s; /* nothing follows from it: what expires goes at that moment */
    bool persistence;
    char *persistence_location; /* NULL: the current directory */
    char *persistence_file;
    uint32_t autosave_interval; /* nothing follows from these two */
    bool autosave_on_changes;
    enum smq_durability durability;
    uint32_t durability_ms; /* of INTERVAL */
    enum smq_conf_store store;
    uint64_t store_limit; /* bytes; 0: none */
    char *identity_file, *identity_policy_file, *identity_passphrase_file, *revoked_file, *state_dir;
};

struct smq_conf_parser;

/** What the parser asks its caller. */
struct smq_conf_hooks {
    /** include_dir: calls smq_conf_feed for each file of the directory. Errors of smq_conf_feed are returned as they
     * are; others with a sentence by smq_conf_fail. NULL: include_dir is refused. */
    smqtt_err (*include)(void *ctx, struct smq_conf_parser *parser, const char *dir);
    /** A warning, one sentence with file and line; NULL: dropped. */
    void (*warn)(void *ctx, const char *sentence);
    void *ctx;
    bool strict; /* what would be left out with a warning is a mistake */
};

/** Begins with the defaults. `hooks` is copied; `mem` (NULL: the C library's) outlives the result. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_conf_parser_new(const struct smqtt_mem *mem, const struct smq_conf_hooks *hooks,
                                           struct smq_conf_parser **out);
/** Frees the parser and what smq_conf_parser_end did not hand out. NULL is allowed. */
void smq_conf_parser_free(struct smq_conf_parser *parser);
/**
 * Reads one file's text. Stops at the first mistake; smq_conf_parser_fault then has the sentence.
 * @param file  name for sentences; borrowed
 * @retval SMQTT_E_USAGE  a directive that is unknown, wrong, or would protect the whole broker and is not there
 * @retval SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_conf_feed(struct smq_conf_parser *parser, const char *file, smq_span text);
/** Ports of the command line: what the broker listens on, for programs of this machine only, if the files name no
 * listener. Borrowed until smq_conf_parser_end. */
void smq_conf_set_ports(struct smq_conf_parser *parser, const uint16_t *ports, size_t n);
/** For the hook: sets the sentence, with file and line of the directive in front, and returns SMQTT_E_USAGE. */
smqtt_err smq_conf_fail(struct smq_conf_parser *parser, const char *fmt, ...) SMQ_PRINTF(2, 3);
/** What the directives mean together: the default listener, what counts for all listeners, who may be anonymous.
 * Listeners that would be less protected than the files say are gone; a warning said so. *out belongs to the caller,
 * free with smq_conf_free. SMQTT_E_USAGE (no listener is left, two at one place), SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_conf_parser_end(struct smq_conf_parser *parser, struct smq_conf **out);
/** One sentence: file, line, cause, mend; "" before a failure. */
const char *smq_conf_parser_fault(const struct smq_conf_parser *parser);

/** NULL is allowed. */
void smq_conf_free(struct smq_conf *conf);
/** Gives the text of a file that says the same, line by line (without line end), to `line`. */
void smq_conf_dump(const struct smq_conf *conf, void (*line)(void *ctx, const char *text), void *ctx);
/** For --help and tests: name and help of directive i from 0; false behind the last. */
bool smq_conf_directive(size_t i, const char **name, const char **help);

#endif
