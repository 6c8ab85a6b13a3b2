/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/reason.h"

struct row {
    const char *client, *server, *text;
    uint8_t v3;
};

/* By code; holes have no text. */
static const struct row rows[256] = {
#define REASON(code, v3, client, server, text) [code] = {client, server, text, v3},
#include "codec/reason.def"
#undef REASON
};

/* The letter of reason.def for a packet; 0 = carries no reason code. */
static const char letters[SMQ_AUTH + 1] = {
    [SMQ_CONNACK] = 'C', [SMQ_PUBACK] = 'P',   [SMQ_PUBREC] = 'P',     [SMQ_PUBREL] = 'R', [SMQ_PUBCOMP] = 'R',
    [SMQ_SUBACK] = 'S',  [SMQ_UNSUBACK] = 'U', [SMQ_DISCONNECT] = 'D', [SMQ_AUTH] = 'A',
};

bool smq_reason_ok(enum smq_type type, enum smq_role from, uint8_t code)
{
    const struct row *row = &rows[code];
    char letter = letters[type];
    if (row->text == NULL || letter == 0) {
        return false;
    }
    return (from != SMQ_FROM_SERVER && strchr(row->client, letter) != NULL) ||
           (from != SMQ_FROM_CLIENT && strchr(row->server, letter) != NULL);
}

const char *smq_reason_text(uint8_t code)
{
    return rows[code].text != NULL ? rows[code].text : "unknown reason";
}

uint8_t smq_connack_code_v3(uint8_t reason)
{
    enum { SERVER_UNAVAILABLE = 3 };
    if (reason < 0x80) {
        return 0;
    }
    return rows[reason].text != NULL ? rows[reason].v3 : SERVER_UNAVAILABLE;
}
