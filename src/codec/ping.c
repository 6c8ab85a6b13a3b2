/* SPDX-License-Identifier: Apache-2.0 */
/* PINGREQ and PINGRESP: nothing in them. */
#include "codec/row.h"

smqtt_err smq_ping_read(const struct smq_codec *codec, const struct smq_frame *frame, struct smq_packet *pkt)
{
    (void)codec;
    (void)pkt;
    return frame->body.len == 0 ? SMQTT_OK : SMQTT_E_MALFORMED;
}

smqtt_err smq_ping_check(const struct smq_codec *codec, const struct smq_packet *pkt)
{
    (void)codec;
    (void)pkt;
    return SMQTT_OK;
}

smqtt_err smq_ping_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr)
{
    (void)codec;
    (void)pkt;
    (void)wr;
    return SMQTT_OK;
}
