/* SPDX-License-Identifier: Apache-2.0 */
/* DETECT, packet type 0 (protocol.md 3): the codec sees header bits and size only; the body is for the far end. */
#include "codec/row.h"

static smqtt_err check_body(const struct smq_codec *codec, smq_span body)
{
    if (body.len > smq_codec_max_detect(codec)) {
        return SMQTT_E_TOO_LARGE;
    }
    return body.len != 0 ? SMQTT_OK : SMQTT_E_MALFORMED;
}

smqtt_err smq_detect_read(const struct smq_codec *codec, const struct smq_frame *frame, struct smq_packet *pkt)
{
    pkt->detect = (struct smq_detect_pkt){frame->header, frame->body};
    return check_body(codec, frame->body);
}

smqtt_err smq_detect_check(const struct smq_codec *codec, const struct smq_packet *pkt)
{
    const struct smq_detect_pkt *d = &pkt->detect;
    if (d->header >> 4 != SMQ_DETECT) {
        return SMQTT_E_USAGE;
    }
    SMQ_TRY(smq_frame_check_header(codec, d->header));
    return check_body(codec, d->body);
}

smqtt_err smq_detect_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr)
{
    (void)codec;
    smq_wr_put(wr, pkt->detect.body);
    return SMQTT_OK;
}
