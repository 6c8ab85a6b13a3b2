/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_CHARSET_H
#define SMQTT_APPS_CHARSET_H
/* The application's text pipeline through iconv (protocol.md 4.3): no transliteration; what does not come back
 * byte-equal did not survive. */
#include <smqtt/secure.h>

/** Opens both converters. False after one sentence when iconv does not know the name. `out` is then ready for
 * smqtt_opener_config. "UTF-8" (any spelling) needs no conversion. */
bool charset_open(const char *name, struct smqtt_text *out);
void charset_close(struct smqtt_text *text);

#endif
