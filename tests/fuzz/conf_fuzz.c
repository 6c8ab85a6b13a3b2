/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a configuration: it is refused with a sentence, or its dump says the same when it is read again. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"

#define DUMP_MAX (1 << 20)

struct dump {
    size_t len;
    char text[DUMP_MAX];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct smq_conf *read_conf(smq_span text)
{
    struct smq_conf_hooks hooks = {NULL, NULL, NULL, false};
    struct smq_conf_parser *parser = NULL;
    struct smq_conf *conf = NULL;
    if (smq_conf_parser_new(NULL, &hooks, &parser) != SMQTT_OK) {
        abort();
    }
    smqtt_err err = smq_conf_feed(parser, "fuzz", text);
    if (err == SMQTT_OK) {
        err = smq_conf_parser_end(parser, &conf);
    }
    if (err != SMQTT_OK && smq_conf_parser_fault(parser)[0] == 0) {
        abort();
    }
    smq_conf_parser_free(parser);
    return conf;
}

static void add_line(void *ctx, const char *text)
{
    struct dump *dump = ctx;
    size_t len = strlen(text);
    if (len + 1 > DUMP_MAX - dump->len) {
        abort();
    }
    memcpy(dump->text + dump->len, text, len);
    dump->text[dump->len + len] = '\n';
    dump->len += len + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dump first, second;
    struct smq_conf *conf = size <= 8192 ? read_conf(smq_span_of(data, size)) : NULL;
    if (conf == NULL) {
        return 0;
    }
    first.len = second.len = 0;
    smq_conf_dump(conf, add_line, &first);
    smq_conf_free(conf);
    conf = read_conf(smq_span_of(first.text, first.len));
    if (conf == NULL) {
        abort();
    }
    smq_conf_dump(conf, add_line, &second);
    smq_conf_free(conf);
    if (first.len != second.len || memcmp(first.text, second.text, first.len) != 0) {
        abort();
    }
    return 0;
}
