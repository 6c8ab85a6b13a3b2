/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_TLV_H
#define SMQTT_DETECT_TLV_H
/* TLV lists (protocol.md, Words): u16 length of all, then type u8, length u16, value; types ascend, none twice. */
#include "base/rd.h"
#include "base/wr.h"

enum { SMQ_TLV_CRITICAL = 0x80 /* an unknown type from here on makes the structure refused */, SMQ_TLV_HEAD = 3 };

/** Place in a list. */
struct smq_tlvs {
    struct smq_rd rd;
    int last;
};

/** Takes a list off rd; a list cut short makes rd bad. */
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && (\old(rd->bad) ==> rd->bad);
    ensures \base_addr(\result.rd.pos) == \base_addr(\result.rd.end) && !\result.rd.bad;
    ensures 0 <= \result.rd.end - \result.rd.pos <= PTRDIFF_MAX;
    ensures \result.rd.pos == \result.rd.end ||
            \valid_read(\result.rd.pos + (0 .. \result.rd.end - \result.rd.pos - 1)); */
static inline struct smq_tlvs smq_tlv_list(struct smq_rd *rd)
{
    return (struct smq_tlvs){smq_rd_of(smq_rd_blob16(rd)), -1};
}
/** The next entry; false at the end and when the list is bad: see smq_tlv_done. */
/*@ requires rd_sound(&list->rd) && \valid(list) && \valid(type) && \valid(value);
    requires \separated(list, type, value);
    assigns *list, *type, *value;
    ensures rd_sound(&list->rd) && list->rd.end == \old(list->rd.end);
    ensures \result ==> span_readable(*value); */
static inline bool smq_tlv_next(struct smq_tlvs *list, uint8_t *type, smq_span *value)
{
    if (smq_rd_left(&list->rd) == 0) {
        return false;
    }
    *type = smq_rd_u8(&list->rd);
    *value = smq_rd_blob16(&list->rd);
    if (*type <= list->last) {
        smq_rd_fail(&list->rd);
    }
    list->last = *type;
    return smq_rd_ok(&list->rd);
}
/** To be called for a type that is not known: refuses the list if the type is critical. */
/*@ requires rd_sound(&list->rd);
    assigns list->rd.bad, list->rd.pos;
    ensures rd_sound(&list->rd); */
static inline void smq_tlv_unknown(struct smq_tlvs *list, uint8_t type)
{
    if (type >= SMQ_TLV_CRITICAL) {
        smq_rd_fail(&list->rd);
    }
}
/** Was all of the list well formed? */
/*@ requires rd_sound(&list->rd);
    assigns \nothing; */
static inline bool smq_tlv_done(const struct smq_tlvs *list)
{
    return smq_rd_done(&list->rd);
}
/** Takes a list of which no type is known off rd; makes rd bad when it is refused. */
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && (\old(rd->bad) ==> rd->bad); */
static inline void smq_tlv_skip(struct smq_rd *rd)
{
    struct smq_tlvs list = smq_tlv_list(rd);
    uint8_t type = 0;
    smq_span value;
    /*@ loop invariant rd_sound(&list.rd);
        loop assigns list, type, value; */
    while (smq_tlv_next(&list, &type, &value)) {
        smq_tlv_unknown(&list, type);
    }
    if (!smq_tlv_done(&list)) {
        smq_rd_fail(rd);
    }
}
/** Writes one entry. */
static inline void smq_tlv_write(struct smq_wr *wr, uint8_t type, smq_span value)
{
    smq_wr_u8(wr, type);
    smq_wr_blob16(wr, value);
}

#endif
