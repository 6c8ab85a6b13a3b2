/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_bed.h"

#include <stdio.h>

char conf_fault[700];

static void on_warn(void *ctx, const char *sentence)
{
    struct heard *heard = ctx;
    heard->warnings++;
    snprintf(heard->last, sizeof heard->last, "%s", sentence);
}

static smqtt_err on_include(void *ctx, struct smq_conf_parser *parser, const char *dir)
{
    char text[400];
    (void)ctx;
    snprintf(text, sizeof text, "%s", dir);
    char *next = text;
    while (next != NULL) {
        char *file = next;
        next = strchr(file, '|');
        if (next != NULL) {
            *next++ = 0;
        }
        for (char *at = file; *at != 0; at++) {
            *at = (char)(*at == ';' ? '\n' : *at);
        }
        SMQ_TRY(smq_conf_feed(parser, "included.conf", smq_span_str(file)));
    }
    return SMQTT_OK;
}

smqtt_err conf_read(const struct smqtt_mem *mem, const char *text, struct heard *heard, struct smq_conf **out)
{
    struct smq_conf_hooks hooks = {on_include, on_warn, heard, heard->strict};
    struct smq_conf_parser *p = NULL;
    smqtt_err err = smq_conf_parser_new(mem, &hooks, &p);
    conf_fault[0] = 0;
    if (err != SMQTT_OK) {
        return err;
    }
    err = smq_conf_feed(p, "a.conf", smq_span_str(text));
    if (err == SMQTT_OK) {
        err = smq_conf_parser_end(p, out);
    }
    snprintf(conf_fault, sizeof conf_fault, "%s", smq_conf_parser_fault(p));
    smq_conf_parser_free(p);
    return err;
}

static struct smq_conf *read_right(const char *text, struct heard *heard)
{
    struct smq_conf *conf = NULL;
    smqtt_err err = conf_read(NULL, text, heard, &conf);
    if (err != SMQTT_OK) {
        print_error("%s: %s\n", text, conf_fault);
    }
    assert_int_equal(err, SMQTT_OK);
    return conf;
}

struct smq_conf *conf_of(const char *text)
{
    struct heard heard = {0, "", false};
    return read_right(text, &heard);
}

static void has_words(const char *sentence, const char *words)
{
    if (strstr(sentence, words) == NULL) {
        print_error("\"%s\" is not in: %s\n", words, sentence);
    }
    assert_non_null(strstr(sentence, words));
}

struct smq_conf *conf_warned(const char *text, unsigned warnings, const char *words)
{
    struct heard heard = {0, "", false};
    struct smq_conf *conf = read_right(text, &heard);
    if (heard.warnings != warnings) {
        print_error("%s: %s\n", text, heard.last);
    }
    assert_int_equal(heard.warnings, warnings);
    has_words(heard.last, words);
    return conf;
}

void conf_refused(const char *text, const char *words)
{
    struct smq_conf *conf = NULL;
    struct heard heard = {0, "", false};
    smqtt_err err = conf_read(NULL, text, &heard, &conf);
    if (err != SMQTT_E_USAGE) {
        print_error("not refused: %s\n", text);
    }
    assert_int_equal(err, SMQTT_E_USAGE);
    has_words(conf_fault, words);
}

void conf_on_line(void *ctx, const char *line)
{
    struct text *text = ctx;
    int made = snprintf(text->bytes + text->len, sizeof text->bytes - text->len, "%s\n", line);
    assert_true(made > 0 && (size_t)made < sizeof text->bytes - text->len);
    text->len += (size_t)made;
}

static void same_listeners(const struct smq_conf *a, const struct smq_conf *b)
{
    const struct smq_listener_config *x = a->broker.listeners;
    const struct smq_listener_config *y = b->broker.listeners;
    for (; x != NULL && y != NULL; x = x->next, y = y->next) {
        assert_int_equal(x->id, y->id);
        assert_int_equal(x->port, y->port);
        assert_int_equal(x->local_only, y->local_only);
        assert_int_equal(x->allow_anonymous, y->allow_anonymous);
        for (size_t i = 0; i < smq_conf_n_rows; i++) {
            const struct smq_conf_row *row = &smq_conf_rows[i];
            char left[4096] = "";
            char right[4096] = "";
            if (row->scope != SMQ_CONF_GLOBAL && row->type != SMQ_CONF_OWN) {
                bool is_set = smq_conf_value_write(row, x, left, sizeof left);
                assert_int_equal(is_set, smq_conf_value_write(row, y, right, sizeof right));
                assert_string_equal(left, right);
            }
        }
    }
    assert_null(x);
    assert_null(y);
}

void conf_goes_round(const char *text)
{
    struct text first = {.len = 0};
    struct text second = {.len = 0};
    struct smq_conf *conf = conf_of(text);
    smq_conf_dump(conf, conf_on_line, &first);
    struct smq_conf *again = conf_warned(first.bytes, 0, "");
    smq_conf_dump(again, conf_on_line, &second);
    assert_string_equal(first.bytes, second.bytes);
    assert_int_equal(conf->n_listeners, again->n_listeners);
    assert_int_equal(conf->implicit_listener, again->implicit_listener);
    same_listeners(conf, again);
    smq_conf_free(conf);
    smq_conf_free(again);
}
