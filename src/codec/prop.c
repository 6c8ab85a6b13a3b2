/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/prop.h"

static const struct smq_prop_row rows[SMQ_PROP_COUNT] = {
#define PROP(name, id, wire, places, repeat, min, max) \
    [SMQ_PROP_##name] = {#name, id, SMQ_WIRE_##wire, places, repeat, min, max},
#include "codec/prop.def"
#undef PROP
};

/* Row index + 1 by identifier; 0 = no such property. */
static const uint8_t by_id[0x2B] = {
#define PROP(name, id, wire, places, repeat, min, max) [id] = SMQ_PROP_##name + 1,
#include "codec/prop.def"
#undef PROP
};

_Static_assert(SMQ_PROP_COUNT == 27, "MQTT 5.0 table 2-4 has 27 properties");

const struct smq_prop_row *smq_prop_row(enum smq_prop which)
{
    return &rows[which];
}

enum smq_prop smq_prop_by_id(uint8_t id)
{
    uint8_t at = id < SMQ_ARRAY_LEN(by_id) ? by_id[id] : 0;
    return at != 0 ? (enum smq_prop)(at - 1) : SMQ_PROP_COUNT;
}
