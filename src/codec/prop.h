/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CODEC_PROP_H
#define SMQTT_CODEC_PROP_H
/* MQTT 5.0 properties: 27 rows in prop.def; reader, writer and checks come from the rows. */
#include "base/rd.h"
#include "base/utf8.h"
#include "base/wr.h"

/** SMQ_PROP_SESSION_EXPIRY … : index of the row, not the id on the wire. */
enum smq_prop {
#define PROP(name, id, wire, packets, repeat, min, max) SMQ_PROP_##name,
#include "codec/prop.def"
#undef PROP
    SMQ_PROP_COUNT
};

/** A set of properties.
 *  As read (`parsed`): `raw` is the whole wire form without its length, single-valued ones are also unpacked in
 * `value`, repeated ones (user property, subscription identifier) are walked with smq_props_next_*. Written again, a
 * parsed set is copied as it came. To build one: smq_props_clear, then smq_props_set_*; repeated ones go into `raw` in
 * wire form (smq_props_put_*) and are written first. */
struct smq_props {
    uint32_t present; /* bit 1 << SMQ_PROP_x; when parsed also for repeated ones */
    bool parsed;
    smq_span raw;
    union smq_prop_value {
        uint32_t num;
        smq_span bytes;
    } value[SMQ_PROP_COUNT]; /* valid only where present */
};

/** The packets (and the will) in which a property may stand: bits of prop.def's `packets` column. */
enum smq_prop_place {
    SMQ_IN_CONNECT = 1 << 0,
    SMQ_IN_CONNACK = 1 << 1,
    SMQ_IN_PUBLISH = 1 << 2,
    SMQ_IN_ACK = 1 << 3, /* PUBACK PUBREC PUBREL PUBCOMP */
    SMQ_IN_SUBSCRIBE = 1 << 4,
    SMQ_IN_SUBACK = 1 << 5, /* and UNSUBACK */
    SMQ_IN_UNSUBSCRIBE = 1 << 6,
    SMQ_IN_DISCONNECT = 1 << 7,
    SMQ_IN_AUTH = 1 << 8,
    SMQ_IN_WILL = 1 << 9,
    /* sets of them, for prop.def */
    SMQ_ONCE = 0,
    SMQ_IN_OPENING = SMQ_IN_CONNECT | SMQ_IN_CONNACK,
    SMQ_IN_MESSAGE = SMQ_IN_PUBLISH | SMQ_IN_WILL,
    SMQ_IN_REPLIES = SMQ_IN_CONNACK | SMQ_IN_ACK | SMQ_IN_SUBACK | SMQ_IN_DISCONNECT | SMQ_IN_AUTH,
    SMQ_IN_ALL = (1 << 10) - 1
};

/** How a property's value stands on the wire. */
enum smq_prop_wire {
    SMQ_WIRE_BYTE,
    SMQ_WIRE_U16,
    SMQ_WIRE_U32,
    SMQ_WIRE_VARINT,
    SMQ_WIRE_STRING,
    SMQ_WIRE_BINARY,
    SMQ_WIRE_PAIR
};

/** One row of prop.def. */
struct smq_prop_row {
    const char *name;
    uint8_t id;
    enum smq_prop_wire wire;
    uint16_t places, repeat; /* SMQ_IN_… */
    uint32_t min, max;
};

/** The row of a property; `which` must be below SMQ_PROP_COUNT. */
const struct smq_prop_row *smq_prop_row(enum smq_prop which);
/** The property with this identifier on the wire; SMQ_PROP_COUNT when there is none. */
enum smq_prop smq_prop_by_id(uint8_t id);

static inline void smq_props_clear(struct smq_props *p)
{
    p->present = 0;
    p->parsed = false;
    p->raw = (smq_span){NULL, 0};
}
static inline bool smq_props_has(const struct smq_props *p, enum smq_prop which)
{
    return (p->present >> which) & 1;
}
/** The number, or `otherwise` when absent. */
static inline uint32_t smq_props_num(const struct smq_props *p, enum smq_prop which, uint32_t otherwise)
{
    return smq_props_has(p, which) ? p->value[which].num : otherwise;
}
/** The bytes, or the empty span when absent. */
static inline smq_span smq_props_bytes(const struct smq_props *p, enum smq_prop which)
{
    return smq_props_has(p, which) ? p->value[which].bytes : (smq_span){NULL, 0};
}
static inline void smq_props_set_num(struct smq_props *p, enum smq_prop which, uint32_t num)
{
    p->present |= 1u << which;
    p->value[which].num = num;
}
static inline void smq_props_set_bytes(struct smq_props *p, enum smq_prop which, smq_span bytes)
{
    p->present |= 1u << which;
    p->value[which].bytes = bytes;
}

/**
 * Reads length and properties from rd. Linear in the bytes. On failure *out is undefined.
 * A repeated subscription identifier leaves its first value in `value`.
 * @retval SMQTT_E_MALFORMED  length, unknown identifier, not allowed in this place (MQTT 5.0 section 2.2.2.2), cut
 * short
 * @retval SMQTT_E_PROTOCOL   repeated, or a value that the standard forbids
 * @retval SMQTT_E_BAD_TEXT, SMQTT_E_BAD_TOPIC (response topic), SMQTT_E_BAD_ALIAS (topic alias 0)
 */
SMQ_MUST_USE smqtt_err smq_props_read(struct smq_rd *rd, enum smq_prop_place place, enum smq_text_policy text,
                                      struct smq_props *out);
/**
 * Writes length and properties: first `raw`, then, unless the set was parsed, the values in the order of prop.def.
 * All of it is checked again first; on failure nothing is written.
 * @retval SMQTT_E_BAD_TEXT, SMQTT_E_BAD_TOPIC
 * @retval SMQTT_E_USAGE  not allowed in this place, out of range, twice, or `raw` is not the wire form
 */
SMQ_MUST_USE smqtt_err smq_props_write(struct smq_wr *wr, enum smq_prop_place place, enum smq_text_policy text,
                                       const struct smq_props *p);
/** Will smq_props_write leave an empty set, that is the single byte 0? */
static inline bool smq_props_is_empty(const struct smq_props *p)
{
    return p->raw.len == 0 && p->present == 0;
}
/** Appends one user property in wire form: for filling `raw`. */
void smq_props_put_user(struct smq_wr *wr, smq_span name, smq_span value);
/** Appends one subscription identifier (1..268,435,455) in wire form. */
void smq_props_put_subid(struct smq_wr *wr, uint32_t id);
/**
 * Walks all properties of a checked wire form: which one, and its value (of a pair: the name, and its second string in
 * *second). `it` starts as smq_rd_of(p->raw). False at the end, and, with `it` bad, where it is not the wire form.
 */
bool smq_props_next(struct smq_rd *it, enum smq_prop *which, union smq_prop_value *value, smq_span *second);
/** Walks the user properties of a set that was read; `it` starts as smq_rd_of(p->raw). False at the end. */
bool smq_props_next_user(struct smq_rd *it, smq_span *name, smq_span *value);
/** Walks the subscription identifiers likewise. */
bool smq_props_next_subid(struct smq_rd *it, uint32_t *id);
/** Copies the wire form of those properties of a read set whose bit is in `keep` (repeated ones too), in order: what a
 * broker forwards. */
void smq_props_copy_raw(const struct smq_props *p, uint32_t keep, struct smq_wr *wr);

#endif
