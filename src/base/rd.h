/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_RD_H
#define SMQTT_BASE_RD_H
/* Read cursor over borrowed bytes. The first read past the end sets `bad` and empties the cursor; further reads give
 * zeros and empty spans. So a reader of a whole structure checks once, at the end (smq_rd_ok, or smq_rd_done where
 * nothing may be left). */
#include "base/span.h"

struct smq_rd {
    const uint8_t *pos;
    const uint8_t *end;
    bool bad;
};

/* The comments that begin with an @ are contracts, which `make prove` proves (formal/README.md). */
/*@ predicate span_readable(smq_span s) =
        s.len <= PTRDIFF_MAX && (s.len == 0 || \valid_read(s.data + (0 .. s.len - 1)));
    predicate rd_sound(struct smq_rd *rd) =
        \valid(rd) && \base_addr(rd->pos) == \base_addr(rd->end) && 0 <= rd->end - rd->pos <= PTRDIFF_MAX &&
        (rd->pos == rd->end || \valid_read(rd->pos + (0 .. rd->end - rd->pos - 1))); */

/*@ requires span_readable(s);
    assigns \nothing;
    ensures \base_addr(\result.pos) == \base_addr(\result.end) && !\result.bad;
    ensures 0 <= \result.end - \result.pos <= PTRDIFF_MAX;
    ensures \result.pos == \result.end || \valid_read(\result.pos + (0 .. \result.end - \result.pos - 1)); */
static inline struct smq_rd smq_rd_of(smq_span s)
{
    return (struct smq_rd){s.data, s.data != NULL ? s.data + s.len : NULL, false};
}
/*@ requires rd_sound(rd);
    assigns \nothing;
    ensures \result == rd->end - rd->pos; */
static inline size_t smq_rd_left(const struct smq_rd *rd)
{
    return (size_t)(rd->end - rd->pos);
}
/*@ requires rd_sound(rd);
    assigns \nothing;
    ensures \result <==> !rd->bad; */
static inline bool smq_rd_ok(const struct smq_rd *rd)
{
    return !rd->bad;
}
/*@ requires rd_sound(rd);
    assigns \nothing;
    ensures \result <==> !rd->bad && rd->pos == rd->end; */
static inline bool smq_rd_done(const struct smq_rd *rd)
{
    return !rd->bad && rd->pos == rd->end;
}
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && rd->bad && rd->pos == rd->end; */
static inline void smq_rd_fail(struct smq_rd *rd)
{
    rd->bad = true;
    rd->pos = rd->end;
}
/** The next len bytes as a view; empty span and `bad` when there are fewer. */
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && span_readable(\result);
    behavior enough:
        assumes len <= rd->end - rd->pos;
        ensures \result.data == \old(rd->pos) && \result.len == len;
        ensures rd->pos == \old(rd->pos) + len && rd->bad == \old(rd->bad);
    behavior cut_short:
        assumes len > rd->end - rd->pos;
        ensures \result.len == 0 && rd->bad && rd->pos == rd->end;
    complete behaviors;
    disjoint behaviors; */
static inline smq_span smq_rd_bytes(struct smq_rd *rd, size_t len)
{
    if (smq_rd_left(rd) < len) {
        smq_rd_fail(rd);
        return (smq_span){NULL, 0};
    }
    smq_span s = {rd->pos, len};
    rd->pos = len != 0 ? rd->pos + len : rd->pos;
    return s;
}
/** All that is left. */
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && span_readable(\result) && rd->pos == rd->end && rd->bad == \old(rd->bad);
    ensures \result.data == \old(rd->pos) && \result.len == rd->end - \old(rd->pos); */
static inline smq_span smq_rd_rest(struct smq_rd *rd)
{
    return smq_rd_bytes(rd, smq_rd_left(rd));
}
/** Big-endian unsigned integer of 1..8 bytes. */
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && (\old(rd->bad) ==> rd->bad); */
static inline uint64_t smq_rd_uint(struct smq_rd *rd, size_t len)
{
    smq_span s = smq_rd_bytes(rd, len);
    uint64_t v = 0;
    /*@ loop invariant 0 <= i <= s.len;
        loop assigns i, v;
        loop variant s.len - i; */
    for (size_t i = 0; i < s.len; i++) {
        v = (v << 8) | s.data[i];
    }
    return v;
}
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && (\old(rd->bad) ==> rd->bad); */
static inline uint8_t smq_rd_u8(struct smq_rd *rd)
{
    if (smq_rd_left(rd) < 1) {
        smq_rd_fail(rd);
        return 0;
    }
    return *rd->pos++;
}
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && (\old(rd->bad) ==> rd->bad); */
static inline uint16_t smq_rd_u16(struct smq_rd *rd)
{
    if (smq_rd_left(rd) < 2) {
        smq_rd_fail(rd);
        return 0;
    }
    uint16_t v = (uint16_t)((unsigned)rd->pos[0] << 8 | rd->pos[1]);
    rd->pos += 2;
    return v;
}
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && (\old(rd->bad) ==> rd->bad); */
static inline uint32_t smq_rd_u32(struct smq_rd *rd)
{
    return (uint32_t)smq_rd_uint(rd, 4);
}
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && (\old(rd->bad) ==> rd->bad); */
static inline uint64_t smq_rd_u64(struct smq_rd *rd)
{
    return smq_rd_uint(rd, 8);
}
/** u16 length, then that many bytes: MQTT's binary data and, before its UTF-8 check, its string. */
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && span_readable(\result) && (\old(rd->bad) ==> rd->bad); */
static inline smq_span smq_rd_blob16(struct smq_rd *rd)
{
    return smq_rd_bytes(rd, smq_rd_u16(rd));
}
/** u8 length, then that many bytes. */
/*@ requires rd_sound(rd);
    assigns rd->bad, rd->pos;
    ensures rd_sound(rd) && span_readable(\result) && (\old(rd->bad) ==> rd->bad); */
static inline smq_span smq_rd_blob8(struct smq_rd *rd)
{
    return smq_rd_bytes(rd, smq_rd_u8(rd));
}

#endif
