/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_CONF_BED_H
#define SMQTT_TESTS_CONF_BED_H
/* Configurations read from texts. */
#include "../test.h"
#include "conf/conf.h"
#include "conf/row.h"

struct heard {
    unsigned warnings;
    char last[700];
    bool strict;
};

struct text {
    char bytes[32768];
    size_t len;
};

extern char conf_fault[700]; /* of the last reading */

/** Reads "a.conf". include_dir D reads one file whose text is D with ';' for line ends; "D1|D2" reads two. */
smqtt_err conf_read(const struct smqtt_mem *mem, const char *text, struct heard *heard, struct smq_conf **out);
/** A text that is right; free with smq_conf_free. */
struct smq_conf *conf_of(const char *text);
/** The same, and this many warnings, the last of which has these words. */
struct smq_conf *conf_warned(const char *text, unsigned warnings, const char *words);
/** The text is refused, and the sentence has these words. */
void conf_refused(const char *text, const char *words);
/** For smq_conf_dump: adds the line. */
void conf_on_line(void *ctx, const char *line);
/** The dump of what is read from a text says the same: its dump is the same again. */
void conf_goes_round(const char *text);

#endif
