/* SPDX-License-Identifier: Apache-2.0 */
/* What directives mean together: listeners, what counts for all of them, what keeps one closed. */
#include <stdio.h>

#include "conf_bed.h"

/* The listener of that port; NULL: none. */
static const struct smq_listener_config *on_port(const struct smq_conf *conf, unsigned port)
{
    const struct smq_listener_config *l = conf->broker.listeners;
    while (l != NULL && l->port != port) {
        l = l->next;
    }
    return l;
}

/* ---------------------------------------------------------------- which there are */

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
    conf = conf_of("per_listener_settings true");
    assert_true(conf->broker.listeners->allow_anonymous);
    smq_conf_free(conf);
    conf = conf_of("max_connections 3\nmax_qos 1\npassword_file p\n");
    assert_true(conf->implicit_listener);
    assert_true(conf->broker.listeners->local_only);
    assert_int_equal(conf->broker.listeners->max_connections, 3);
    assert_int_equal(conf->broker.listeners->first_bad_qos, 2);
    assert_string_equal(conf->broker.listeners->password_file, "p");
    smq_conf_free(conf);
    conf_goes_round("max_connections 3\nmax_qos 1\npassword_file p\nper_listener_settings false\n");
    conf_goes_round("per_listener_settings true\nmax_qos 0\nsmqtt_require_detect a\n");
    conf_goes_round("");
}

static void a_listener_lets_nobody_in_unless_told(void **state)
{
    (void)state;
    static const char *const texts[] = {"listener 1883", "port 1883", "bind_address 127.0.0.1", "listener 0 /run/x"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(texts); i++) {
        struct smq_conf *conf = conf_of(texts[i]);
        assert_false(conf->implicit_listener);
        assert_false(conf->broker.listeners->local_only);
        assert_false(conf->broker.listeners->allow_anonymous);
        smq_conf_free(conf);
        conf_goes_round(texts[i]);
    }
    struct smq_conf *conf = conf_of("listener 1\nlistener 2 ::1\nallow_anonymous true\n");
    assert_int_equal(conf->n_listeners, 2);
    assert_true(conf->broker.listeners->allow_anonymous);
    assert_true(conf->broker.listeners->next->allow_anonymous);
    assert_string_equal(conf->broker.listeners->next->address, "::1");
    smq_conf_free(conf);
}

static void listener_lines_are_checked(void **state)
{
    (void)state;
    conf_refused("listener", "listener has no value");
    conf_refused("listener # 1", "listener has no value");
    conf_refused("listener x", "not a port");
    conf_refused("listener 65536", "not a port");
    conf_refused("listener -1", "not a port");
    conf_refused("listener 1 a b", "too much");
    conf_refused("bind_address a b", "too much");
    conf_refused("bind_address /", "names the path");
    conf_refused("listener 1 a\x7F", "control character");
    conf_refused("listener 1 /run/mqtt.sock", "a Unix socket is \"listener 0 /run/mqtt.sock\"");
    conf_refused("listener 1\nprotocol carrier-pigeon", "must be mqtt");
    static const char *const below[] = {"mount_point a",
                                        "accept_protocol_versions 5",
                                        "max_topic_alias 1",
                                        "max_topic_alias_broker 1",
                                        "listener_allow_anonymous true",
                                        "listener_auto_id_prefix x"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(below); i++) {
        conf_refused(below[i], "belongs to a listener");
    }
    conf_refused("listener 1\nmount_point a/#", "without wildcards");
    struct smq_conf *conf = conf_of("listener 1883 # the usual one\nlistener 0 ./sock # and a path\n");
    assert_null(conf->broker.listeners->address);
    assert_string_equal(conf->broker.listeners->next->unix_path, "./sock");
    assert_null(conf->broker.listeners->next->address);
    smq_conf_free(conf);
}

static void a_place_is_taken_once(void **state)
{
    (void)state;
    conf_refused("listener 1883\nlistener 1883\n", "port 1883 is there twice");
    conf_refused("listener 1883 ::1\nlistener 1884\nlistener 1883 ::1\n", "port 1883 is there twice");
    conf_refused("listener 0 /a\nlistener 0 /a\n", "/a is there twice");
    conf_refused("port 1883\nlistener 1883\n", "port 1883 is there twice");
    struct smq_conf *conf = conf_of("listener 1883 ::1\nlistener 1883 127.0.0.1\nlistener 0\nlistener 0\n"
                                    "listener 1883\nbind_interface eth0\nlistener 1883\nsocket_domain ipv6\n");
    assert_int_equal(conf->n_listeners, 6);
    assert_string_equal(conf->broker.listeners->next->next->next->next->bind_device, "eth0");
    smq_conf_free(conf);
}

static void places_have_names_that_stay(void **state)
{
    (void)state;
    struct smq_conf *a = conf_of("listener 1883\nlistener 1883 ::1\nlistener 0 /x\nlistener 1884\n");
    struct smq_conf *b = conf_of("listener 1884\nmax_qos 1\nlistener 1883\nallow_anonymous true\n");
    uint32_t ids[4];
    size_t n = 0;
    for (const struct smq_listener_config *l = a->broker.listeners; l != NULL; l = l->next) {
        assert_int_not_equal(l->id, 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_not_equal(l->id, ids[i]);
        }
        ids[n++] = l->id;
    }
    assert_int_equal(on_port(a, 1884)->id, on_port(b, 1884)->id);
    assert_int_equal(on_port(a, 1883)->id, on_port(b, 1883)->id);
    smq_conf_free(a);
    smq_conf_free(b);
}

/* ---------------------------------------------------------------- the default listener */

static void above_all_listeners_is_the_default_one(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_of("port 5\nmax_connections 7\nlistener 1\nmax_connections 5\nlistener 2\n"
                                    "max_connections -1\n");
    assert_int_equal(on_port(conf, 5)->max_connections, 7);
    assert_int_equal(on_port(conf, 1)->max_connections, 5);
    assert_int_equal(on_port(conf, 2)->max_connections, 0);
    smq_conf_free(conf);
    conf = conf_warned("max_connections 7\nlistener 1\n", 1, "opens one of its own on port 1883");
    assert_int_equal(on_port(conf, 1883)->max_connections, 7);
    assert_false(on_port(conf, 1883)->allow_anonymous);
    assert_int_equal(on_port(conf, 1)->max_connections, 0);
    smq_conf_free(conf);
    /* A default said aloud opens nothing. */
    conf = conf_warned("max_qos 2\nprotocol mqtt\nmax_connections -1\nrequire_certificate false\nlistener 1\n", 0, "");
    assert_int_equal(conf->n_listeners, 1);
    smq_conf_free(conf);
    conf = conf_of("max_qos 1\nbind_address ::1\n");
    assert_int_equal(conf->n_listeners, 1);
    assert_int_equal(conf->broker.listeners->first_bad_qos, 2);
    assert_int_equal(conf->broker.listeners->port, 1883);
    smq_conf_free(conf);
    conf_refused("max_connections 0", "max_connections");
    conf_refused("max_connections many", "max_connections");
}

static void what_is_below_both_belongs_to_neither(void **state)
{
    (void)state;
    conf_refused("listener 8883\nport 1883\ncertfile x\n", "versions of Mosquitto differ");
    conf_refused("listener 8883\nport 1883\nmax_qos 1\n", "versions of Mosquitto differ");
    conf_refused("per_listener_settings true\nlistener 8883\nbind_address ::1\npassword_file x\n", "Mosquitto differ");
    struct smq_conf *conf = conf_of("listener 8883\nport 1883\nallow_anonymous true\nlistener 3\nmax_qos 1\n");
    assert_int_equal(conf->n_listeners, 3);
    smq_conf_free(conf);
}

/* ---------------------------------------------------------------- who decides for whom */

static void security_is_of_all_or_of_one(void **state)
{
    (void)state;
    static const char said[] = "listener 1\nallow_anonymous true\npassword_file p\nacl_file a\n"
                               "allow_zero_length_clientid false\nauto_id_prefix x-\nlistener 2\n";
    struct smq_conf *conf = conf_of(said);
    for (unsigned port = 1; port <= 2; port++) {
        const struct smq_listener_config *l = on_port(conf, port);
        assert_true(l->allow_anonymous);
        assert_string_equal(l->password_file, "p");
        assert_string_equal(l->acl_file, "a");
        assert_string_equal(l->auto_id_prefix, "x-");
        assert_true(l->demand_client_id);
    }
    smq_conf_free(conf);
    conf_goes_round(said);
    char text[300];
    snprintf(text, sizeof text, "per_listener_settings true\n%s", said);
    conf = conf_of(text);
    assert_true(on_port(conf, 1)->allow_anonymous);
    assert_string_equal(on_port(conf, 1)->password_file, "p");
    assert_true(on_port(conf, 1)->demand_client_id);
    assert_false(on_port(conf, 2)->allow_anonymous);
    assert_null(on_port(conf, 2)->password_file);
    assert_null(on_port(conf, 2)->acl_file);
    assert_null(on_port(conf, 2)->auto_id_prefix);
    assert_false(on_port(conf, 2)->demand_client_id);
    smq_conf_free(conf);
    conf_goes_round(text);
}

static void per_listener_settings_come_first(void **state)
{
    (void)state;
    static const char *const said[] = {"allow_anonymous true", "password_file x", "acl_file x", "auto_id_prefix x",
                                       "allow_zero_length_clientid true"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(said); i++) {
        char text[200];
        snprintf(text, sizeof text, "%s\nper_listener_settings true\n", said[i]);
        conf_refused(text, "put it on top of the file");
        snprintf(text, sizeof text, "per_listener_settings true\n%s\nlistener 1\n", said[i]);
        conf_refused(text, "belongs to a listener");
        snprintf(text, sizeof text, "per_listener_settings true\nport 1\n%s\nlistener 2\n", said[i]);
        smq_conf_free(conf_of(text));
    }
    struct smq_conf *conf = conf_warned("per_listener_settings true\nper_listener_settings false\nlistener 1\n"
                                        "allow_anonymous true\nlistener 2\n",
                                        1, "stays true");
    assert_false(on_port(conf, 2)->allow_anonymous);
    smq_conf_free(conf);
    conf_refused("per_listener_settings maybe", "must be true or false");
}

static void a_listener_may_have_its_own(void **state)
{
    (void)state;
    static const char text[] = "allow_anonymous true\nauto_id_prefix all-\nclientid_prefixes c\n"
                               "listener 1\nlistener_allow_anonymous false\nlistener_auto_id_prefix auto-\nlistener 2\n"
                               "listener 3\nlistener_auto_id_prefix b-\n";
    struct smq_conf *conf = conf_of(text);
    assert_false(on_port(conf, 1)->allow_anonymous);
    assert_string_equal(on_port(conf, 1)->auto_id_prefix, "auto-");
    assert_true(on_port(conf, 2)->allow_anonymous);
    assert_string_equal(on_port(conf, 2)->auto_id_prefix, "all-");
    assert_string_equal(on_port(conf, 3)->auto_id_prefix, "b-");
    assert_string_equal(on_port(conf, 3)->clientid_prefixes, "c");
    smq_conf_free(conf);
    conf_goes_round(text);
    conf_goes_round("listener 1\nlistener_allow_anonymous true\nlistener 2\n");
    conf = conf_of("allow_anonymous false\nlistener 1\nlistener_allow_anonymous true\nlistener 2\n");
    assert_true(on_port(conf, 1)->allow_anonymous);
    assert_false(on_port(conf, 2)->allow_anonymous);
    smq_conf_free(conf);
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
    conf = conf_of("smqtt_require_detect #\n");
    assert_string_equal(conf->broker.listeners->require_detect->filter, "#");
    smq_conf_free(conf);
    conf_refused("smqtt_require_detect a/#/b", "neither a topic filter");
    conf_refused("smqtt_require_detect a 01020304", "not a skid");
}

/* ---------------------------------------------------------------- what is not there */

/* A listener is never opened with less protection than the file says; the others are. */
static void what_protects_keeps_its_listener_closed(void **state)
{
    (void)state;
    static const char *const names[] = {"certfile x",
                                        "keyfile x",
                                        "cafile x",
                                        "capath x",
                                        "crlfile x",
                                        "ciphers x",
                                        "ciphers_tls1.3 x",
                                        "dhparamfile x",
                                        "tls_version tlsv1.2",
                                        "require_certificate true",
                                        "use_identity_as_username true",
                                        "use_subject_as_username 1",
                                        "psk_hint x",
                                        "psk_file x",
                                        "tls_engine x",
                                        "tls_keyform engine",
                                        "tls_engine_kpass_sha1 x",
                                        "enable_proxy_protocol 2",
                                        "proxy_protocol_v2_require_tls true",
                                        "plugin_use x",
                                        "protocol websockets",
                                        "protocol http_api"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(names); i++) {
        char text[200];
        snprintf(text, sizeof text, "listener 1\nlistener 8883\n%s\nlistener 2\n", names[i]);
        struct smq_conf *conf = conf_warned(text, 1, "a.conf:3: the listener on port 8883 is not opened");
        assert_int_equal(conf->n_listeners, 2);
        assert_null(on_port(conf, 8883));
        assert_non_null(on_port(conf, 1));
        assert_non_null(on_port(conf, 2));
        smq_conf_free(conf);
        snprintf(text, sizeof text, "listener 8883\n%s\n", names[i]);
        conf_refused(text, "no listener is left");
        struct heard heard = {0, "", true};
        struct smq_conf *none = NULL;
        snprintf(text, sizeof text, "listener 1\nlistener 8883\n%s\n", names[i]);
        assert_int_equal(conf_read(NULL, text, &heard, &none), SMQTT_E_USAGE);
        assert_non_null(strstr(conf_fault, "a.conf:3: "));
        assert_non_null(strstr(conf_fault, "strict"));
    }
    conf_refused("listener 0 /run/x\ncertfile x\n", "the listener on /run/x is not opened because of certfile");
}

/* Above all listeners they are the default one's, which is then not opened, either. */
static void what_protects_the_default_listener(void **state)
{
    (void)state;
    conf_refused("certfile x", "no listener is left");
    conf_refused("port 1883\ncertfile x", "no listener is left");
    conf_refused("protocol websockets", "no listener is left");
    struct smq_conf *conf = conf_warned("certfile x\nlistener 1\n", 1, "port 1883 is not opened because of certfile");
    assert_int_equal(conf->n_listeners, 1);
    assert_int_equal(conf->broker.listeners->port, 1);
    smq_conf_free(conf);
    conf = conf_warned("psk_file x\nlistener 1\n", 1, "psk_file is left out");
    assert_int_equal(conf->n_listeners, 1);
    smq_conf_free(conf);
}

static void plugins_guard_all_or_one(void **state)
{
    (void)state;
    static const char *const names[] = {"plugin", "auth_plugin"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(names); i++) {
        char text[200];
        snprintf(text, sizeof text, "listener 1\nlistener 2\n%s /x.so\n", names[i]);
        conf_refused(text, "it does not start");
        snprintf(text, sizeof text, "%s /x.so\nper_listener_settings true\nlistener 2\n", names[i]);
        conf_refused(text, "it does not start");
        snprintf(text, sizeof text, "per_listener_settings true\nlistener 1\nlistener 2\n%s /x.so\n", names[i]);
        struct smq_conf *conf = conf_warned(text, 1, "port 2 is not opened");
        assert_int_equal(conf->n_listeners, 1);
        smq_conf_free(conf);
        snprintf(text, sizeof text, "per_listener_settings true\n%s /x.so\nlistener 2\n", names[i]);
        conf_refused(text, "belongs to a listener");
    }
    conf_refused("per_listener_settings true\nlistener 1\nglobal_plugin /x.so\n", "it does not start");
}

static void other_features_are_loudly_left_out(void **state)
{
    (void)state;
    struct smq_conf *conf = conf_warned("connection b\naddress h:1\ntopic # both 0\nremote_password x\n"
                                        "user mosquitto\nallow_duplicate_messages false\n",
                                        4, "remote_password is left out: there are no bridges.");
    assert_string_equal(conf->user, "mosquitto");
    smq_conf_free(conf);
}

/* ---------------------------------------------------------------- include_dir */

static void files_are_included(void **state)
{
    (void)state;
    struct smq_conf *conf =
        conf_of("listener 4\ninclude_dir max_keepalive 1;listener 5;max_qos 1|listener 6\nmount_point m\n");
    assert_int_equal(conf->broker.max_keepalive, 1);
    assert_string_equal(on_port(conf, 4)->mount_point, "m"); /* what comes then is what was before */
    assert_null(on_port(conf, 5)->mount_point);
    assert_int_equal(on_port(conf, 5)->first_bad_qos, 2);
    assert_int_equal(on_port(conf, 6)->first_bad_qos, 0);
    smq_conf_free(conf);
    conf_refused("listener 4\ninclude_dir mount_point m\n", "included.conf:1: mount_point belongs to a listener");
    conf_refused("include_dir listener 5|mount_point m\n", "belongs to a listener");
    conf_refused("include_dir include_dir x", "only the first file");
    conf_refused("include_dir max_keepalive 1\nbad 1", "a.conf:2: ");
    conf = conf_of("per_listener_settings true\ninclude_dir listener 5;password_file p|listener 6\n");
    assert_string_equal(on_port(conf, 5)->password_file, "p");
    assert_null(on_port(conf, 6)->password_file);
    smq_conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_listener_only_this_machine),
        cmocka_unit_test(a_listener_lets_nobody_in_unless_told),
        cmocka_unit_test(listener_lines_are_checked),
        cmocka_unit_test(a_place_is_taken_once),
        cmocka_unit_test(places_have_names_that_stay),
        cmocka_unit_test(above_all_listeners_is_the_default_one),
        cmocka_unit_test(what_is_below_both_belongs_to_neither),
        cmocka_unit_test(security_is_of_all_or_of_one),
        cmocka_unit_test(per_listener_settings_come_first),
        cmocka_unit_test(a_listener_may_have_its_own),
        cmocka_unit_test(require_detect_of_one_and_of_all),
        cmocka_unit_test(what_protects_keeps_its_listener_closed),
        cmocka_unit_test(what_protects_the_default_listener),
        cmocka_unit_test(plugins_guard_all_or_one),
        cmocka_unit_test(other_features_are_loudly_left_out),
        cmocka_unit_test(files_are_included),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
