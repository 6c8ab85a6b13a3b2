/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <inttypes.h>
#include <stdio.h>

#include "../failing_mem.h"
#include "broker/conf.h"
#include "broker/conf_row.h"

struct heard {
    unsigned warnings;
    char last[700];
};

static void on_warn(void *ctx, const char *sentence)
{
    struct heard *heard = ctx;
    heard->warnings++;
    snprintf(heard->last, sizeof heard->last, "%s", sentence);
}

/* include_dir D reads one file whose text is D's name with ';' for line ends. */
static smqtt_err on_include(void *ctx, struct smq_conf_parser *parser, const char *dir)
{
    char text[200];
    (void)ctx;
    snprintf(text, sizeof text, "%s", dir);
    for (char *at = text; *at != 0; at++) {
        *at = (char)(*at == ';' ? '\n' : *at);
    }
    return smq_conf_feed(parser, "included.conf", smq_span_str(text));
}

static char fault[700];

static smqtt_err read_conf(const struct smqtt_mem *mem, const char *text, struct heard *heard, struct smq_conf **out)
{
    struct smq_conf_hooks hooks = {on_include, on_warn, heard};
    struct smq_conf_parser *p = NULL;
    smqtt_err err = smq_conf_parser_new(mem, &hooks, &p);
    fault[0] = 0;
    if (err != SMQTT_OK) {
        return err;
    }
    err = smq_conf_feed(p, "a.conf", smq_span_str(text));
    if (err == SMQTT_OK) {
        err = smq_conf_parser_end(p, out);
    }
    snprintf(fault, sizeof fault, "%s", smq_conf_parser_fault(p));
    smq_conf_parser_free(p);
    return err;
}

static struct smq_conf *conf_of(const char *text)
{
    struct smq_conf *conf = NULL;
    struct heard heard = {0, ""};
    smqtt_err err = read_conf(NULL, text, &heard, &conf);
    if (err != SMQTT_OK) {
        print_error("%s\n", fault);
    }
    assert_int_equal(err, SMQTT_OK);
    return conf;
}

/* The text is refused, and the sentence has these words. */
static void refused(const char *text, const char *words)
{
    struct smq_conf *conf = NULL;
    struct heard heard = {0, ""};
    assert_int_equal(read_conf(NULL, text, &heard, &conf), SMQTT_E_USAGE);
    if (strstr(fault, words) == NULL) {
        print_error("\"%s\" is not in: %s\n", words, fault);
    }
    assert_non_null(strstr(fault, words));
}

/* ---------------------------------------------------------------- rows */

static void defaults_are_those_of_the_worker(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("");
    struct smq_broker_config b;
    smq_broker_config_default(&b);
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        const struct smq_conf_row *row = &smq_conf_rows[i];
        bool in_broker = row->scope == SMQ_CONF_GLOBAL && row->offset >= offsetof(struct smq_conf, broker) &&
                         row->offset < offsetof(struct smq_conf, broker) + sizeof b;
        struct smq_conf other = {.broker = b};
        char ours[100] = "";
        char theirs[100] = "";
        if (in_broker && row->type != SMQ_CONF_TEXT && smq_conf_value_write(row, conf, ours, sizeof ours)) {
            assert_true(smq_conf_value_write(row, &other, theirs, sizeof theirs));
            assert_string_equal(ours, theirs);
        }
    }
    assert_string_equal(conf->broker.listeners->auto_id_prefix, "auto-");
    smq_conf_free(conf);
}

static void try_value(const struct smq_conf_row *row, const char *value, bool good)
{
    char text[300];
    struct smq_conf *conf = NULL;
    struct heard heard = {0, ""};
    snprintf(text, sizeof text, "listener 1\n%s %s\n", row->name, value);
    smqtt_err err = read_conf(NULL, text, &heard, &conf);
    if ((err == SMQTT_OK) != good) {
        print_error("%s %s: %s\n", row->name, value, fault);
    }
    assert_int_equal(err, good ? SMQTT_OK : SMQTT_E_USAGE);
    if (good) {
        char back[300] = "";
        const void *base = row->scope == SMQ_CONF_LISTENER ? (const void *)conf->broker.listeners : conf;
        assert_true(smq_conf_value_write(row, base, back, sizeof back));
        smq_conf_free(conf);
    } else {
        assert_non_null(strstr(fault, "a.conf:2: "));
        assert_non_null(strstr(fault, row->name));
    }
}

static void try_number(const struct smq_conf_row *row, uint64_t number, bool good)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    try_value(row, text, good);
}

static void each_row_keeps_its_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        const struct smq_conf_row *row = &smq_conf_rows[i];
        if (row->type == SMQ_CONF_OWN) {
            continue;
        }
        bool number = row->type == SMQ_CONF_U8 || row->type == SMQ_CONF_U16 || row->type == SMQ_CONF_U32 ||
                      row->type == SMQ_CONF_SECONDS || row->type == SMQ_CONF_COUNT || row->type == SMQ_CONF_SIZE32 ||
                      row->type == SMQ_CONF_SIZE;
        if (number) {
            try_number(row, row->min, true);
            try_number(row, row->max, true);
            if (row->min != 0) {
                try_number(row, row->min - 1, false);
            }
            if (row->max != UINT64_MAX) {
                try_number(row, row->max + 1, false);
            }
            try_value(row, "18446744073709551616", false);
            try_value(row, "1x", false);
            try_value(row, "-2", false);
            try_value(row, "+1", false);
        }
        if (row->type == SMQ_CONF_BOOL) {
            try_value(row, "true", true);
            try_value(row, "false", true);
            try_value(row, "yes", false);
        }
        if (row->type == SMQ_CONF_WORD) {
            try_value(row, row->deflt, true);
            try_value(row, "nonsense", false);
        }
        try_value(row, "", false);
        assert_true(row->help[0] != 0);
    }
}

static void units_of_sizes_and_ages(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("max_queued_bytes 3k\nmemory_limit 2G\nsmqtt_max_output_bytes 1M\n"
                                    "persistent_client_expiration 2w\nmax_queued_messages -1\n");
    assert_int_equal(conf->broker.max_queued_bytes, 3072);
    assert_int_equal(conf->broker.memory_limit, UINT64_C(2) << 30);
    assert_int_equal(conf->broker.max_output_bytes, 1 << 20);
    assert_int_equal(conf->broker.persistent_client_expiration_s, 14 * 86400);
    assert_int_equal(conf->broker.max_queued_messages, 0);
    smq_conf_free(conf);
    refused("persistent_client_expiration 5", "h, d, w, m or y");
    refused("persistent_client_expiration 200y", "h, d, w, m or y");
    refused("memory_limit 99999999999G", "bytes from");
}

/* ---------------------------------------------------------------- listeners */

static void without_listener_only_this_machine(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("# nothing\n\n   \t\n");
    assert_true(conf->implicit_listener);
    assert_int_equal(conf->n_listeners, 1);
    assert_true(conf->broker.listeners->local_only);
    assert_true(conf->broker.listeners->allow_anonymous);
    assert_int_equal(conf->broker.listeners->port, 1883);
    smq_conf_free(conf);
    conf = conf_of("allow_anonymous false");
    assert_false(conf->broker.listeners->allow_anonymous);
    assert_true(conf->broker.listeners->local_only);
    smq_conf_free(conf);
}

static void a_listener_lets_nobody_in_unless_told(void **state)
{
    (void)state;
    static const char *const texts[] = {"listener 1883", "port 1883", "bind_address 127.0.0.1"};
    for (size_t i = 0; i < 3; i++) {
        struct smq_conf *conf = conf_of(texts[i]);
        assert_false(conf->implicit_listener);
        assert_false(conf->broker.listeners->local_only);
        assert_false(conf->broker.listeners->allow_anonymous);
        smq_conf_free(conf);
    }
    struct smq_conf *conf = conf_of("listener 1\nlistener 2 ::1\nallow_anonymous true\n");
    assert_int_equal(conf->n_listeners, 2);
    assert_true(conf->broker.listeners->allow_anonymous);
    assert_true(conf->broker.listeners->next->allow_anonymous);
    assert_string_equal(conf->broker.listeners->next->address, "::1");
    smq_conf_free(conf);
    conf = conf_of("per_listener_settings true\nlistener 1\nlistener 2\nallow_anonymous true\n");
    assert_false(conf->broker.listeners->allow_anonymous);
    assert_true(conf->broker.listeners->next->allow_anonymous);
    smq_conf_free(conf);
}

static void listener_lines_are_checked(void **state)
{
    (void)state;
    refused("listener", "listener has no value");
    refused("listener x", "not a port");
    refused("listener 65536", "not a port");
    refused("listener -1", "not a port");
    refused("listener 1 a b", "too much");
    refused("bind_address a b", "too much");
    refused("bind_address /", "names the path");
    refused("listener 1 a\x7F", "control character");
    refused("listener 0 /run/mqtt.sock", "Unix socket");
    refused("protocol websockets", "no websockets");
    refused("listener 1\nprotocol carrier-pigeon", "must be mqtt");
    refused("listener 1\nprotocol websockets", "no listener is left");
    refused("mount_point a/", "belongs to a listener");
}

static void websockets_are_not_opened_as_something_else(void **state)
{
    (void)state;
    struct smq_conf *conf = NULL;
    struct heard heard = {0, ""};
    assert_int_equal(
        read_conf(NULL, "listener 1\nlistener 2\nprotocol websockets\nlistener 3\nprotocol mqtt\n", &heard, &conf),
        SMQTT_OK);
    assert_int_equal(heard.warnings, 1);
    assert_non_null(strstr(heard.last, "port 2 is not opened"));
    assert_int_equal(conf->n_listeners, 2);
    assert_int_equal(conf->broker.listeners->port, 1);
    assert_int_equal(conf->broker.listeners->next->port, 3);
    smq_conf_free(conf);
}

static void limits_of_connections(void **state)
{
    (void)state;
    struct smq_conf *conf =
        conf_of("max_connections 7\nlistener 1\nmax_connections 5\nlistener 2\nmax_connections -1\n");
    assert_int_equal(conf->broker.max_connections, 7);
    assert_int_equal(conf->broker.listeners->max_connections, 5);
    assert_int_equal(conf->broker.listeners->next->max_connections, 0);
    smq_conf_free(conf);
    refused("max_connections 0", "max_connections");
    refused("max_connections many", "max_connections");
}

static void require_detect_of_one_and_of_all(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("smqtt_require_detect\n"
                                    "listener 1\nsmqtt_require_detect secret/# 0102030405060708 a1A2a3a4a5a6a7a8\n"
                                    "listener 2\nsmqtt_require_detect 0102030405060708\n");
    const struct smq_require_detect *r = conf->broker.listeners->require_detect;
    assert_string_equal(r->filter, "secret/#");
    assert_int_equal(r->n_skids, 2);
    assert_int_equal(r->skids[1][1], 0xA2);
    assert_null(r->next->filter);
    assert_int_equal(r->next->n_skids, 0);
    r = conf->broker.listeners->next->require_detect;
    assert_null(r->filter);
    assert_int_equal(r->n_skids, 1);
    assert_null(r->next->filter);
    assert_null(r->next->next);
    smq_conf_free(conf);
    refused("smqtt_require_detect a/#/b", "neither a topic filter");
    refused("smqtt_require_detect a 01020304", "not a skid");
}

/* ---------------------------------------------------------------- what is not ours */

static void unknown_names_are_refused(void **state)
{
    (void)state;
    refused("\n\nmax_keepalve 1", "a.conf:3: \"max_keepalve\" is not a directive: max_keepalive is perhaps meant.");
    refused("lisener 1", "listener is perhaps meant.");
    refused("zzz", "see smqttd.conf(5)");
    refused("max_keepalive\x01 1", "not a directive");
    refused("include_dir lisener 1", "included.conf:1: ");
}

/* Never started with less protection than the file says. */
static void what_protects_is_not_left_out(void **state)
{
    (void)state;
    static const char *const names[] = {"password_file",
                                        "acl_file",
                                        "psk_file",
                                        "cafile",
                                        "capath",
                                        "certfile",
                                        "keyfile",
                                        "crlfile",
                                        "require_certificate",
                                        "tls_version",
                                        "ciphers",
                                        "ciphers_tls1.3",
                                        "plugin",
                                        "plugin_opt_x",
                                        "auth_plugin",
                                        "auth_opt_x",
                                        "psk_hint",
                                        "dhparamfile",
                                        "clientid_prefixes",
                                        "use_username_as_clientid",
                                        "bind_interface",
                                        "socket_domain",
                                        "use_identity_as_username"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(names); i++) {
        char text[100];
        snprintf(text, sizeof text, "listener 1\n%s x\n", names[i]);
        refused(text, "a.conf:2: ");
        assert_non_null(strstr(fault, names[i]));
    }
}

static void other_features_are_loudly_left_out(void **state)
{
    (void)state;
    struct smq_conf *conf = NULL;
    struct heard heard = {0, ""};
    assert_int_equal(read_conf(NULL,
                               "persistence true\npersistence_location /x\nconnection b\naddress h:1\ntopic # both 0\n"
                               "remote_password x\nsys_interval 1\nlog_dest syslog\nuser mosquitto\n",
                               &heard, &conf),
                     SMQTT_OK);
    assert_int_equal(heard.warnings, 8);
    assert_string_equal(conf->user, "mosquitto");
    smq_conf_free(conf);
}

static void a_second_value_is_said(void **state)
{
    (void)state;
    struct smq_conf *conf = NULL;
    struct heard heard = {0, ""};
    assert_int_equal(
        read_conf(
            NULL,
            "sys_interval 1\nmax_keepalive 1\nlistener 1\nmount_point a\nlistener 2\nmount_point b\nmax_keepalive 0\n",
            &heard, &conf),
        SMQTT_OK);
    assert_int_equal(heard.warnings, 2); /* sys_interval is left out */
    assert_string_equal(heard.last, "a.conf:7: max_keepalive was given before, in line 2: this one counts.");
    assert_int_equal(conf->broker.max_keepalive, 0);
    smq_conf_free(conf);
}

/* ---------------------------------------------------------------- text */

static void lines_are_taken_as_mosquitto_does(void **state)
{
    (void)state;
    struct smq_conf *conf =
        conf_of("\xEF\xBB\xBFlistener 1\n  auto_id_prefix \t my prefix # no comment  \r\n\r\n#x\n\tmax_qos\t1");
    assert_string_equal(conf->broker.listeners->auto_id_prefix, "my prefix # no comment");
    assert_int_equal(conf->broker.listeners->first_bad_qos, 2);
    smq_conf_free(conf);
    refused("pid_file \xFF", "not UTF-8");
    refused("pid_file a\x07", "control characters");
    static char longer[5000];
    memset(longer, 'a', sizeof longer - 1);
    refused(longer, "longer than");
}

static void logs_add_up(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("");
    assert_int_equal(conf->log_dest, SMQ_LOG_TO_STDERR);
    assert_int_equal(conf->log_types, 0x0F);
    smq_conf_free(conf);
    conf = conf_of(
        "log_dest stdout\nlog_dest file /var/log/a b.log\nlog_type error\nlog_type debug\nlog_type subscribe\n");
    assert_int_equal(conf->log_dest, SMQ_LOG_TO_STDOUT | SMQ_LOG_TO_FILE);
    assert_string_equal(conf->log_file, "/var/log/a b.log");
    assert_int_equal(conf->log_types, 1u << SMQ_LOG_ERR | 1u << SMQ_LOG_DEBUG);
    smq_conf_free(conf);
    conf = conf_of("log_dest none\nlog_type none");
    assert_int_equal(conf->log_dest, 0);
    assert_int_equal(conf->log_types, 0);
    smq_conf_free(conf);
    refused("log_dest file", "log_dest must be");
    refused("log_type loud", "log_type is");
}

static void files_are_included(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("include_dir listener 5;max_qos 1;\nmount_point m\n");
    assert_int_equal(conf->broker.listeners->first_bad_qos, 2);
    assert_int_equal(conf->broker.listeners->port, 5);
    assert_string_equal(conf->broker.listeners->mount_point, "m");
    smq_conf_free(conf);
    refused("include_dir include_dir x", "only the first file");
    refused("include_dir max_keepalive 1\nbad 1", "a.conf:2: ");
}

struct text {
    char bytes[16384];
    size_t len;
};

static void on_line(void *ctx, const char *line)
{
    struct text *text = ctx;
    int made = snprintf(text->bytes + text->len, sizeof text->bytes - text->len, "%s\n", line);
    assert_true(made > 0 && (size_t)made < sizeof text->bytes - text->len);
    text->len += (size_t)made;
}

/* What --dump-config prints says the same when it is read: for random values of all rows. */
static void a_dump_is_a_configuration(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (unsigned round = 0; round < 300; round++) {
        struct text file = {.len = 0};
        struct text first = {.len = 0};
        struct text second = {.len = 0};
        for (unsigned listener = 0; listener <= round % 4; listener++) {
            char line[128];
            for (size_t i = 0; i < smq_conf_n_rows; i++) {
                const struct smq_conf_row *row = &smq_conf_rows[i];
                uint64_t value = row->min + test_random(&seed) % (row->max - row->min + (row->max != UINT64_MAX));
                bool mine = (row->scope == SMQ_CONF_LISTENER) == (listener != 0) && test_random_below(&seed, 2) == 0;
                if (!mine || row->type == SMQ_CONF_OWN || row->type == SMQ_CONF_WORD) {
                    continue;
                }
                snprintf(line, sizeof line, "%s %" PRIu64 "%s", row->name, value, row->type == SMQ_CONF_AGE ? "h" : "");
                if (row->type == SMQ_CONF_AGE) {
                    snprintf(line, sizeof line, "%s %u%c", row->name, 1 + (unsigned)(value % 100), "hdwm"[value % 4]);
                }
                on_line(&file, line);
            }
            if (listener < round % 4) {
                snprintf(line, sizeof line, "listener %u%s", listener + 1, listener % 2 == 0 ? " ::1" : "");
                on_line(&file, line);
                on_line(&file, listener % 2 == 0 ? "smqtt_require_detect a/+ 0102030405060708" : "max_connections 3");
            }
        }
        on_line(&file, round % 2 == 0 ? "allow_anonymous true" : "smqtt_on_mismatch refuse");
        struct smq_conf *conf = conf_of(file.bytes);
        smq_conf_dump(conf, on_line, &first);
        struct smq_conf *again = conf_of(first.bytes);
        smq_conf_dump(again, on_line, &second);
        assert_string_equal(first.bytes, second.bytes);
        assert_int_equal(conf->n_listeners, again->n_listeners);
        assert_int_equal(conf->broker.listeners->allow_anonymous, again->broker.listeners->allow_anonymous);
        assert_int_equal(conf->implicit_listener, again->implicit_listener);
        smq_conf_free(conf);
        smq_conf_free(again);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char text[] = "max_queued_messages 5\nsmqtt_require_detect x/# 0102030405060708\n"
                               "listener 1 ::1\nmount_point m\nsmqtt_require_detect\nlisteners 2\n";
    static const char good[] = "smqtt_require_detect x/# 0102030405060708\nlog_dest file f\n"
                               "listener 1 ::1\nmount_point m\nauto_id_prefix a\nsmqtt_require_detect\nlistener 2\n";
    struct failing_mem fm;
    failing_mem_init(&fm);
    for (size_t nth = 1;; nth++) {
        struct heard heard = {0, ""};
        struct smq_conf *conf = NULL;
        failing_mem_arm(&fm, nth);
        smqtt_err err = read_conf(&fm.mem, good, &heard, &conf);
        assert_int_equal(err, failing_mem_has_failed(&fm) ? SMQTT_E_NOMEM : SMQTT_OK);
        if (err == SMQTT_OK) {
            smq_conf_free(conf);
        }
        assert_int_equal(fm.live, 0);
        if (!failing_mem_has_failed(&fm)) {
            break;
        }
    }
    struct heard heard = {0, ""};
    struct smq_conf *conf = NULL;
    failing_mem_arm(&fm, 0);
    assert_int_equal(read_conf(&fm.mem, text, &heard, &conf), SMQTT_E_USAGE);
    assert_int_equal(fm.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_worker),
        cmocka_unit_test(each_row_keeps_its_range),
        cmocka_unit_test(units_of_sizes_and_ages),
        cmocka_unit_test(without_listener_only_this_machine),
        cmocka_unit_test(a_listener_lets_nobody_in_unless_told),
        cmocka_unit_test(listener_lines_are_checked),
        cmocka_unit_test(websockets_are_not_opened_as_something_else),
        cmocka_unit_test(limits_of_connections),
        cmocka_unit_test(require_detect_of_one_and_of_all),
        cmocka_unit_test(unknown_names_are_refused),
        cmocka_unit_test(what_protects_is_not_left_out),
        cmocka_unit_test(other_features_are_loudly_left_out),
        cmocka_unit_test(a_second_value_is_said),
        cmocka_unit_test(lines_are_taken_as_mosquitto_does),
        cmocka_unit_test(logs_add_up),
        cmocka_unit_test(files_are_included),
        cmocka_unit_test(a_dump_is_a_configuration),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
