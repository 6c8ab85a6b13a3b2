/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/row.h"
#include "codec/varint.h"

/* [MQTT-3.1.0-1] [MQTT-3.1.0-2]: a client starts with CONNECT and sends only one. [MQTT-3.2.0-1]: a server starts with
 * CONNACK, or AUTH. */
/*@ requires \valid_read(codec);
    assigns \nothing; */
static smqtt_err check_order(const struct smq_codec *codec, unsigned type, bool first)
{
    bool wrong = false;
    if (codec->from == SMQ_FROM_CLIENT) {
        wrong = first != (type == SMQ_CONNECT);
    } else if (codec->from == SMQ_FROM_SERVER) {
        wrong = first && type != SMQ_CONNACK && type != SMQ_AUTH;
    }
    return wrong ? SMQTT_E_PROTOCOL : SMQTT_OK;
}

/*@ requires \valid_read(codec) && type < 16;
    assigns \nothing; */
static smqtt_err check_length(const struct smq_codec *codec, unsigned type, uint32_t len, size_t size)
{
    const struct smq_row *row = smq_packet_row(type);
    if (type == SMQ_DETECT && len > smq_codec_max_detect(codec)) {
        return SMQTT_E_TOO_LARGE;
    }
    if ((row->fixed[smq_codec_dialect(codec)] && len != row->fixed_len) || (type == SMQ_DETECT && len == 0)) {
        return SMQTT_E_MALFORMED;
    }
    return size > smq_codec_max_packet(codec) ? SMQTT_E_TOO_LARGE : SMQTT_OK;
}

/*@ requires \valid_read(codec) && span_readable(in) && \valid(frame) && \valid(need) && \separated(frame, need);
    assigns *frame, *need;
    ensures \result == SMQTT_OK ==> span_readable(frame->body); */
smqtt_err smq_frame_read(const struct smq_codec *codec, smq_span in, bool first, struct smq_frame *frame, size_t *need)
{
    if (in.len == 0) {
        *need = 0;
        return SMQTT_E_AGAIN;
    }
    uint8_t header = in.data[0];
    struct smq_rd rd = {in.data + 1, in.data + in.len, false};
    SMQ_TRY(smq_frame_check_header(codec, header));
    SMQ_TRY(check_order(codec, header >> 4, first));
    uint32_t len;
    smqtt_err err = smq_varint_read(&rd, &len);
    if (err != SMQTT_OK) {
        if (err == SMQTT_E_AGAIN) {
            *need = 0;
        }
        return err;
    }
    size_t size = (size_t)(rd.pos - in.data) + len;
    SMQ_TRY(check_length(codec, header >> 4, len, size));
    if (in.len < size) {
        *need = size;
        return SMQTT_E_AGAIN;
    }
    *frame = (struct smq_frame){header, smq_rd_bytes(&rd, len), size};
    return SMQTT_OK;
}
