/* SPDX-License-Identifier: Apache-2.0 */
/* The table: each row's values, units, defaults, and the way back. What listeners are: conf_end_test.c. */
#include <inttypes.h>
#include <stdio.h>

#include "../failing_mem.h"
#include "conf_bed.h"

/* ---------------------------------------------------------------- rows */

static void defaults_are_those_of_the_worker(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("");
    struct smq_broker_config b;
    smq_broker_config_default(&b);
    unsigned compared = 0;
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        const struct smq_conf_row *row = &smq_conf_rows[i];
        bool in_broker = row->scope == SMQ_CONF_GLOBAL && row->offset >= offsetof(struct smq_conf, broker) &&
                         row->offset < offsetof(struct smq_conf, broker) + sizeof b;
        struct smq_conf other = {.broker = b};
        char ours[100] = "";
        char theirs[100] = "";
        if (in_broker && !smq_conf_value_is_text(row) && smq_conf_value_write(row, conf, ours, sizeof ours)) {
            assert_true(smq_conf_value_write(row, &other, theirs, sizeof theirs));
            assert_string_equal(ours, theirs);
            compared++;
        }
    }
    assert_true(compared > 30);
    assert_true(conf->broker.retained_persistence && b.retained_persistence); /* has no row */
    smq_conf_free(conf);
}

/* Those of Mosquitto 2.0 and 2.1; where ours differ, docs/configuration.md says so. */
static void defaults_are_those_of_mosquitto(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("");
    const struct smq_broker_config *b = &conf->broker;
    assert_int_equal(b->max_queued_messages, 1000);
    assert_int_equal(b->max_inflight_messages, 20);
    assert_int_equal(b->max_inflight_bytes, 0);
    assert_int_equal(b->sys_interval_s, 10);
    assert_int_equal(b->max_connections, 0);
    assert_int_equal(b->max_clients, 0);
    assert_true(b->check_retain_source);
    assert_true(b->retain_available);
    assert_true(conf->log_timestamp);
    assert_int_equal(conf->log_facility, SMQ_FACILITY_DAEMON);
    const struct smq_listener_config *l = b->listeners;
    assert_int_equal(l->topic_alias_in, 10);
    assert_int_equal(l->topic_alias_out, 10);
    assert_int_equal(l->first_bad_qos, 0);
    assert_int_equal(l->versions, 0);
    assert_int_equal(l->max_connections, 0);
    assert_false(l->demand_client_id);
    assert_false(l->use_username_as_clientid);
    assert_int_equal(l->family, SMQ_IP_ANY);
    assert_string_equal(l->auto_id_prefix, "auto-");
    smq_conf_free(conf);
}

/* The directive below a listener: what it was read to is written back as `back`; "": anyhow; NULL: it is refused. */
static void try_value(const struct smq_conf_row *row, const char *value, const char *back)
{
    char text[300];
    struct smq_conf *conf = NULL;
    struct heard heard = {0, "", false};
    snprintf(text, sizeof text, "listener 1\n%s %s\n", row->name, value);
    smqtt_err err = conf_read(NULL, text, &heard, &conf);
    if ((err == SMQTT_OK) != (back != NULL)) {
        print_error("%s %s: %s\n", row->name, value, conf_fault);
    }
    assert_int_equal(err, back != NULL ? SMQTT_OK : SMQTT_E_USAGE);
    if (back == NULL) {
        assert_non_null(strstr(conf_fault, "a.conf:2: "));
        assert_non_null(strstr(conf_fault, row->name));
        return;
    }
    char written[300] = "";
    const void *base = row->scope == SMQ_CONF_GLOBAL ? (const void *)conf : conf->broker.listeners;
    assert_true(smq_conf_value_write(row, base, written, sizeof written));
    if (back[0] != 0) {
        assert_string_equal(written, back);
    }
    smq_conf_free(conf);
    conf_goes_round(text);
}

static void try_number(const struct smq_conf_row *row, uint64_t number, bool good)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    try_value(row, text, good ? text : NULL);
}

static bool is_number(enum smq_conf_type type)
{
    return type == SMQ_CONF_U16 || type == SMQ_CONF_U32 || type == SMQ_CONF_SECONDS || type == SMQ_CONF_MINUTES ||
           type == SMQ_CONF_COUNT || type == SMQ_CONF_SIZE32 || type == SMQ_CONF_SIZE || type == SMQ_CONF_QOS;
}

static void try_numbers(const struct smq_conf_row *row)
{
    char text[60];
    try_number(row, row->min, true);
    try_number(row, row->max, true);
    try_number(row, row->min + 1, true);
    if (row->min != 0) {
        try_number(row, row->min - 1, false);
    }
    if (row->max != UINT64_MAX) {
        try_number(row, row->max + 1, false);
    }
    snprintf(text, sizeof text, "%" PRIu64 " # why", row->max);
    try_value(row, text, "");
    snprintf(text, sizeof text, "%" PRIu64 " 1", row->min);
    try_value(row, text, NULL);
    static const char *const wrong[] = {"18446744073709551616", "1x", "-2", "+1", "0x10", "# 1", "1.5"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(wrong); i++) {
        try_value(row, wrong[i], NULL);
    }
    bool unlimited =
        row->type == SMQ_CONF_COUNT || ((row->type == SMQ_CONF_SIZE || row->type == SMQ_CONF_SIZE32) && row->min == 0);
    try_value(row, "-1", !unlimited ? NULL : row->min != 0 ? "-1" : "0");
}

static void try_words(const struct smq_conf_row *row)
{
    char words[100];
    snprintf(words, sizeof words, "%s", row->words);
    char *rest = words;
    for (const char *word; (word = smq_conf_word(&rest)) != NULL;) {
        try_value(row, word, word);
    }
    try_value(row, "nonsense", NULL);
    try_value(row, row->words, NULL);
}

static void try_texts(const struct smq_conf_row *row)
{
    char longest[64];
    try_value(row, "a b", "a b");
    try_value(row, "a\x07", NULL);
    try_value(row, "a/+", row->type == SMQ_CONF_TEXT ? "a/+" : NULL);
    if (row->max != 0) {
        assert_true(row->max < sizeof longest - 2);
        memset(longest, 'x', sizeof longest);
        longest[row->max] = 0;
        try_value(row, longest, longest);
        longest[row->max] = 'x';
        longest[row->max + 1] = 0;
        try_value(row, longest, NULL);
    }
}

static void each_row_keeps_its_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        const struct smq_conf_row *row = &smq_conf_rows[i];
        assert_true(row->help[0] != 0);
        if (row->type == SMQ_CONF_OWN) {
            continue;
        }
        try_value(row, "", NULL);
        if (row->deflt[0] != 0) {
            try_value(row, row->deflt, "");
        }
        if (is_number(row->type)) {
            try_numbers(row);
        } else if (row->type == SMQ_CONF_BOOL || row->type == SMQ_CONF_NOT) {
            try_value(row, "true", "true");
            try_value(row, "false", "false");
            try_value(row, "1", "true");
            try_value(row, "0 # no", "false");
            try_value(row, "yes", NULL);
            try_value(row, "true false", NULL);
        } else if (row->type == SMQ_CONF_WORD) {
            try_words(row);
        } else if (smq_conf_value_is_text(row)) {
            try_texts(row);
        }
    }
}

/* Each directive of Mosquitto that is not ours: named when its value is one, refused when it is none. */
static void each_foreign_row_checks_its_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < smq_conf_n_foreign; i++) {
        const struct smq_conf_row *row = &smq_conf_foreign[i].row;
        char name[60], text[200], good[30] = "some text";
        snprintf(name, sizeof name, "%.*s%s", (int)strcspn(row->name, "*"), row->name,
                 strchr(row->name, '*') != NULL ? "x" : "");
        if (row->type == SMQ_CONF_BOOL) {
            snprintf(good, sizeof good, "true");
        } else if (row->type == SMQ_CONF_WORD) {
            snprintf(good, sizeof good, "%.*s", (int)strcspn(row->words, " "), row->words);
        } else if (!smq_conf_value_is_text(row)) {
            snprintf(good, sizeof good, "%" PRIu64, row->max);
        }
        struct heard heard = {0, "", false};
        struct smq_conf *conf = NULL;
        snprintf(text, sizeof text, "listener 1\nlistener 2\n%s %s\n", name, good);
        bool refused = smq_conf_foreign[i].what == SMQ_CONF_REFUSE || smq_conf_foreign[i].what == SMQ_CONF_GUARD;
        assert_int_equal(conf_read(NULL, text, &heard, &conf), refused ? SMQTT_E_USAGE : SMQTT_OK);
        assert_non_null(strstr(refused ? conf_fault : heard.last, name));
        assert_non_null(strstr(refused ? conf_fault : heard.last, row->help));
        smq_conf_free(conf);
        heard.strict = true;
        assert_int_equal(conf_read(NULL, text, &heard, &conf), SMQTT_E_USAGE);
        assert_non_null(strstr(conf_fault, "a.conf:3: "));
        snprintf(text, sizeof text, "listener 1\nlistener 2\n%s\n", name);
        conf_refused(text, name);
        if (!smq_conf_value_is_text(row)) {
            snprintf(text, sizeof text, "listener 1\nlistener 2\n%s nonsense\n", name);
            conf_refused(text, "but it must be");
        }
        if (row->deflt[0] != 0) {
            snprintf(text, sizeof text, "listener 1\n%s %s\n", name, row->deflt);
            smq_conf_free(conf_warned(text, 0, ""));
        }
    }
}

static void units_of_sizes_and_ages(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("max_queued_bytes 3k\nmemory_limit 2G\nsmqtt_max_output_bytes 1M\n"
                                    "persistent_client_expiration 2w\nmax_queued_messages -1\nmax_inflight_bytes -1\n"
                                    "retain_expiry_interval 3\nmax_packet_size 0\n");
    assert_int_equal(conf->broker.max_queued_bytes, 3072);
    assert_int_equal(conf->broker.memory_limit, UINT64_C(2) << 30);
    assert_int_equal(conf->broker.max_output_bytes, 1 << 20);
    assert_int_equal(conf->broker.persistent_client_expiration_s, 14 * 86400);
    assert_int_equal(conf->broker.max_queued_messages, 0);
    assert_int_equal(conf->broker.max_inflight_bytes, 0);
    assert_int_equal(conf->retain_expiry_interval_s, 180);
    assert_int_equal(conf->broker.max_packet_size, 0);
    smq_conf_free(conf);
    static const struct {
        const char *text;
        uint32_t seconds;
    } ages[] = {{"5s", 5}, {"1h", 3600}, {"14d", 14 * 86400}, {"2m", 60 * 86400u}, {"1y", 31536000}, {"never", 0}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(ages); i++) {
        char line[60];
        snprintf(line, sizeof line, "persistent_client_expiration %s", ages[i].text);
        conf = conf_of(line);
        assert_int_equal(conf->broker.persistent_client_expiration_s, ages[i].seconds);
        smq_conf_free(conf);
        conf_goes_round(line);
    }
    conf_refused("persistent_client_expiration 5", "s, h, d, w, m or y");
    conf_refused("persistent_client_expiration 0d", "s, h, d, w, m or y");
    conf_refused("persistent_client_expiration 200y", "s, h, d, w, m or y");
    conf_refused("memory_limit 99999999999G", "bytes from");
    conf_refused("max_packet_size 19", "bytes from 20");
}

static void versions_are_bits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned bits;
    } cases[] = {{"3", 8}, {"4", 16}, {"5", 32}, {"3,4", 24}, {"5, 4", 48}, {"3 5 # x", 40}, {"3,4,5", 0}, {"4,4", 16}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(cases); i++) {
        char text[80];
        snprintf(text, sizeof text, "listener 1\naccept_protocol_versions %s\n", cases[i].text);
        struct smq_conf *conf = conf_of(text);
        assert_int_equal(conf->broker.listeners->versions, cases[i].bits);
        smq_conf_free(conf);
        conf_goes_round(text);
    }
    static const char *const wrong[] = {"6", "2", "34", "all", ","};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(wrong); i++) {
        char text[80];
        snprintf(text, sizeof text, "listener 1\naccept_protocol_versions %s\n", wrong[i]);
        conf_refused(text, "some of 3, 4 and 5");
    }
}

/* ---------------------------------------------------------------- names */

static void unknown_names_are_refused(void **state)
{
    (void)state;
    conf_refused("\n\nmax_keepalve 1",
                 "a.conf:3: \"max_keepalve\" is not a directive: max_keepalive is perhaps meant.");
    conf_refused("lisener 1", "listener is perhaps meant.");
    conf_refused("bridge_cafiel x", "bridge_cafile is perhaps meant.");
    conf_refused("zzz", "see smqttd.conf(5)");
    conf_refused("max_keepalive\x01 1", "not a directive");
    conf_refused("include_dir lisener 1", "included.conf:1: ");
}

static void a_second_value_is_said(void **state)
{
    (void)state;
    struct smq_conf *conf =
        conf_warned("max_keepalive 1\nlistener 1\nmount_point a\nlistener 2\nmount_point b\nmax_keepalive 0\n", 1,
                    "a.conf:6: max_keepalive was given before, in line 1: this one counts.");
    assert_int_equal(conf->broker.max_keepalive, 0);
    smq_conf_free(conf);
    smq_conf_free(conf_warned("listener 1\nmax_qos 1\nmaximum_qos 2\n", 1, "max_qos was given before"));
}

static void aliases_are_the_same(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("listener 1\nmaximum_qos 1\n");
    assert_int_equal(conf->broker.listeners->first_bad_qos, 2);
    smq_conf_free(conf);
}

/* ---------------------------------------------------------------- text */

static void lines_are_taken_as_mosquitto_does(void **state)
{
    (void)state;
    struct smq_conf *conf =
        conf_of("\xEF\xBB\xBF  auto_id_prefix \t my prefix # no comment  \r\n\r\n#x\n\tmax_keepalive\t1");
    assert_string_equal(conf->broker.listeners->auto_id_prefix, "my prefix # no comment");
    assert_int_equal(conf->broker.max_keepalive, 1);
    smq_conf_free(conf);
    conf_refused("auto_id_prefix \xFF", "not UTF-8");
    conf_refused("auto_id_prefix a\x07", "control characters");
    static char longer[5000];
    memset(longer, 'a', sizeof longer - 1);
    conf_refused(longer, "longer than");
}

static void logs_add_up(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("");
    assert_int_equal(conf->log_dest, SMQ_LOG_TO_STDERR);
    assert_int_equal(conf->log_types, 0x0F);
    smq_conf_free(conf);
    conf = conf_of("log_dest stdout\nlog_dest file /var/log/a b.log\nlog_dest syslog\nlog_dest topic # x\n"
                   "log_type error\nlog_type debug # x\nlog_type subscribe\nlog_facility 5\nsmqtt_log_format json\n");
    assert_int_equal(conf->log_dest, SMQ_LOG_TO_STDOUT | SMQ_LOG_TO_FILE | SMQ_LOG_TO_SYSLOG | SMQ_LOG_TO_TOPIC);
    assert_string_equal(conf->log_file, "/var/log/a b.log");
    assert_int_equal(conf->log_types, 1u << SMQ_LOG_ERR | 1u << SMQ_LOG_DEBUG | 1u << SMQ_LOG_SUBSCRIBE);
    assert_int_equal(conf->log_facility, 5);
    assert_int_equal(conf->log_format, SMQ_LOG_FORMAT_JSON);
    smq_conf_free(conf);
    conf = conf_of("log_dest stdout\nlog_dest none\nlog_type all\nlog_type none");
    assert_int_equal(conf->log_dest, 0);
    assert_int_equal(conf->log_types, 0);
    smq_conf_free(conf);
    conf = conf_of("log_type all");
    assert_int_equal(conf->log_types, SMQ_LOG_TYPE_ALL);
    smq_conf_free(conf);
    conf = conf_warned("log_dest dlt", 1, "log_dest dlt is left out");
    assert_int_equal(conf->log_dest, SMQ_LOG_TO_STDERR);
    smq_conf_free(conf);
    static const char *const types[] = {"error",       "warning", "notice",     "information", "subscribe",
                                        "unsubscribe", "debug",   "websockets", "internal"};
    unsigned all = 0;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(types); i++) {
        char line[60];
        snprintf(line, sizeof line, "log_type %s\nlog_dest none\n", types[i]);
        conf = conf_of(line);
        assert_int_equal(all & conf->log_types, 0);
        all |= conf->log_types;
        smq_conf_free(conf);
        conf_goes_round(line);
    }
    assert_int_equal(all, SMQ_LOG_TYPE_ALL);
    conf_refused("log_dest file", "log_dest must be");
    conf_refused("log_dest stdout x", "log_dest must be");
    conf_refused("log_type loud", "log_type is");
}

/* ---------------------------------------------------------------- the way back */

static void add_random_rows(struct text *file, uint64_t *seed, unsigned listener)
{
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        const struct smq_conf_row *row = &smq_conf_rows[i];
        char line[128];
        uint64_t value = row->min + test_random(seed) % (row->max - row->min + (row->max != UINT64_MAX));
        bool of_listener = row->scope == SMQ_CONF_LISTENER || row->scope == SMQ_CONF_BELOW;
        if (row->type == SMQ_CONF_OWN || of_listener != (listener != 0) || test_random_below(seed, 2) == 0) {
            continue;
        }
        if (row->type == SMQ_CONF_AGE) {
            snprintf(line, sizeof line, "%s %u%c", row->name, 1 + (unsigned)(value % 100), "shdwm"[value % 5]);
        } else if (row->type == SMQ_CONF_WORD) {
            snprintf(line, sizeof line, "%s %.*s", row->name, (int)strcspn(row->words, " "), row->words);
        } else if (row->type == SMQ_CONF_VERSIONS) {
            snprintf(line, sizeof line, "%s %u", row->name, 3 + (unsigned)(test_random(seed) % 3));
        } else if (smq_conf_value_is_text(row)) {
            snprintf(line, sizeof line, "%s text %u", row->name, (unsigned)(test_random(seed) % 1000));
        } else {
            snprintf(line, sizeof line, "%s %" PRIu64, row->name, value);
        }
        conf_on_line(file, line);
    }
}

/* What --dump-config prints says the same when it is read: for random values of all rows. */
static void a_dump_is_a_configuration(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (unsigned round = 0; round < 300; round++) {
        struct text file = {.len = 0};
        add_random_rows(&file, &seed, 0);
        if (round % 5 == 0) {
            conf_on_line(&file, "smqtt_require_detect all/# 0102030405060708");
        }
        for (unsigned listener = 1; listener <= round % 4; listener++) {
            char line[128];
            snprintf(line, sizeof line, listener == 3 ? "listener 0 /run/%u" : "listener %u%s", listener,
                     listener % 2 == 0 ? " ::1" : "");
            conf_on_line(&file, line);
            conf_on_line(&file, listener % 2 == 0 ? "smqtt_require_detect a/+ 0102030405060708"
                                                  : "listener_allow_anonymous true");
            add_random_rows(&file, &seed, listener);
        }
        if (round % 3 != 0) {
            conf_on_line(&file, round % 3 == 1 ? "smqtt_durability interval 250" : "smqtt_durability off");
        }
        conf_on_line(&file, round % 2 == 0 ? "allow_anonymous true" : "smqtt_on_mismatch refuse");
        conf_goes_round(file.bytes);
    }
}

static void durability_is_one_of_three(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("retained_persistence true\nsmqtt_durability interval 20 # ms\n");
    assert_true(conf->persistence);
    assert_int_equal(conf->durability, SMQ_DURABILITY_INTERVAL);
    assert_int_equal(conf->durability_ms, 20);
    smq_conf_free(conf);
    conf = conf_of("smqtt_durability off\n");
    assert_int_equal(conf->durability, SMQ_DURABILITY_OFF);
    smq_conf_free(conf);
    conf = conf_of("smqtt_durability fsync\n");
    assert_false(conf->persistence);
    assert_int_equal(conf->durability, SMQ_DURABILITY_FSYNC);
    smq_conf_free(conf);
    static const char *const wrong[] = {"interval", "interval 0", "interval 1 2", "interval 3600001",
                                        "fsync 5",  "always",     "off 1"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(wrong); i++) {
        char line[64];
        snprintf(line, sizeof line, "smqtt_durability %s", wrong[i]);
        conf_refused(line, "fsync, off, or interval");
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char text[] = "max_queued_messages 5\nsmqtt_require_detect x/# 0102030405060708\n"
                               "listener 1 ::1\nmount_point m\nsmqtt_require_detect\nlisteners 2\n";
    static const char good[] = "auto_id_prefix a\nacl_file f\nclientid_prefixes c\nmax_connections 5\n"
                               "smqtt_require_detect x/# 0102030405060708\nlog_dest file f\n"
                               "listener 1 ::1\nmount_point m\nlistener_auto_id_prefix b\nsmqtt_require_detect\n"
                               "listener 0 /run/x\nlistener 3\ncertfile x\nlistener 2\n";
    struct failing_mem fm;
    failing_mem_init(&fm);
    for (size_t nth = 1;; nth++) {
        struct heard heard = {0, "", false};
        struct smq_conf *conf = NULL;
        failing_mem_arm(&fm, nth);
        smqtt_err err = conf_read(&fm.mem, good, &heard, &conf);
        assert_int_equal(err, failing_mem_has_failed(&fm) ? SMQTT_E_NOMEM : SMQTT_OK);
        if (err == SMQTT_OK) {
            smq_conf_free(conf);
        }
        assert_int_equal(fm.live, 0);
        if (!failing_mem_has_failed(&fm)) {
            break;
        }
    }
    struct heard heard = {0, "", false};
    struct smq_conf *conf = NULL;
    failing_mem_arm(&fm, 0);
    assert_int_equal(conf_read(&fm.mem, text, &heard, &conf), SMQTT_E_USAGE);
    assert_int_equal(fm.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_worker),
        cmocka_unit_test(defaults_are_those_of_mosquitto),
        cmocka_unit_test(each_row_keeps_its_range),
        cmocka_unit_test(each_foreign_row_checks_its_value),
        cmocka_unit_test(units_of_sizes_and_ages),
        cmocka_unit_test(durability_is_one_of_three),
        cmocka_unit_test(versions_are_bits),
        cmocka_unit_test(unknown_names_are_refused),
        cmocka_unit_test(a_second_value_is_said),
        cmocka_unit_test(aliases_are_the_same),
        cmocka_unit_test(lines_are_taken_as_mosquitto_does),
        cmocka_unit_test(logs_add_up),
        cmocka_unit_test(a_dump_is_a_configuration),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
