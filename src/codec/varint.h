/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CODEC_VARINT_H
#define SMQTT_CODEC_VARINT_H
/* The only reader and writer of MQTT's Variable Byte Integer [MQTT-1.5.5-1]: 1 to 4 bytes, always the shortest form. */
#include "base/rd.h"
#include "base/wr.h"

enum { SMQ_VARINT_MAX = 268435455 };

/** SMQTT_OK and the value; SMQTT_E_AGAIN when it goes on past the end; SMQTT_E_MALFORMED for a fifth byte or a longer
 * form than needed. */
/*@ requires rd_sound(rd) && \valid(value) && \separated(value, rd);
    assigns rd->pos, *value;
    ensures rd_sound(rd) && (\result != SMQTT_OK ==> rd->pos == \old(rd->pos));
    ensures \result == SMQTT_OK ==> 1 <= rd->pos - \old(rd->pos) <= 4; */
static inline smqtt_err smq_varint_read(struct smq_rd *rd, uint32_t *value)
{
    uint32_t v = 0;
    size_t left = smq_rd_left(rd);
    /*@ loop invariant 0 <= i <= 4 && i <= left;
        loop assigns i, v;
        loop variant 4 - i; */
    for (size_t i = 0; i < 4; i++) {
        if (i >= left) {
            return SMQTT_E_AGAIN;
        }
        uint8_t byte = rd->pos[i];
        v |= (uint32_t)(byte & 0x7F) << (7 * i);
        if ((byte & 0x80) == 0) {
            if (byte == 0 && i > 0) {
                return SMQTT_E_MALFORMED;
            }
            rd->pos += i + 1;
            *value = v;
            return SMQTT_OK;
        }
    }
    return SMQTT_E_MALFORMED;
}

static inline size_t smq_varint_size(uint32_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

static inline void smq_varint_write(struct smq_wr *wr, uint32_t value)
{
    do {
        uint8_t byte = (uint8_t)(value & 0x7F);
        value >>= 7;
        smq_wr_u8(wr, (uint8_t)(value != 0 ? byte | 0x80 : byte));
    } while (value != 0);
}

#endif
