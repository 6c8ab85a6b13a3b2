/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/status.h"

#include "base/defs.h"

struct row {
    uint8_t code;
    const char *name;
    const char *text;
};

static const struct row ROWS[] = {
#define STATUS(name, code, authenticated, v5, text) {code, #name, text},
#include <smqtt/status.def>
#undef STATUS
};

static const struct row *find(uint8_t status)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(ROWS); i++) {
        if (ROWS[i].code == status) {
            return &ROWS[i];
        }
    }
    return NULL;
}

const char *smqtt_status_name(uint8_t status)
{
    const struct row *row = find(status);
    return row != NULL ? row->name : "UNKNOWN";
}

const char *smqtt_status_text(uint8_t status)
{
    const struct row *row = find(status);
    return row != NULL ? row->text : "the other side sent a status that this version does not know";
}

const char *smqtt_protection_name(enum smqtt_protection cls)
{
    switch (cls) {
    case SMQTT_PLAIN:
        return "PLAIN";
    case SMQTT_PEER_ANON:
        return "PEER_ANON";
    case SMQTT_PEER:
        return "PEER";
    case SMQTT_RETAINED_REPLAY:
        return "RETAINED_REPLAY";
    }
    return "UNKNOWN";
}

smqtt_err smq_status_err(uint8_t status)
{
    switch (status) {
    case SMQTT_STATUS_MOJIBAKE:
        return SMQTT_E_MOJIBAKE;
    case SMQTT_STATUS_HASH_MISMATCH:
        return SMQTT_E_HASH_MISMATCH;
    case SMQTT_STATUS_DELAY:
        return SMQTT_E_DELAY;
    case SMQTT_STATUS_NOT_AUTHORIZED:
        return SMQTT_E_NOT_AUTHORIZED;
    case SMQTT_STATUS_EXPIRED:
        return SMQTT_E_EXPIRED;
    case SMQTT_STATUS_UNKNOWN_SERVER:
        return SMQTT_E_UNKNOWN_SERVER;
    case SMQTT_STATUS_SUITE:
        return SMQTT_E_SUITE;
    case SMQTT_STATUS_BUSY:
        return SMQTT_E_BUSY;
    case SMQTT_STATUS_COOKIE:
    case SMQTT_STATUS_REFUSED:
        return SMQTT_E_REFUSED;
    default:
        return SMQTT_E_CLOSED;
    }
}
