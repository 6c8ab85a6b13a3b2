/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/row.h"
#include "codec/varint.h"

smqtt_err smq_frame_check_header(const struct smq_codec *codec, uint8_t header)
{
    const struct smq_row *row = smq_packet_row(header >> 4);
    unsigned dialect = smq_codec_dialect(codec);
    unsigned legal = (codec->from != SMQ_FROM_SERVER ? row->client[dialect] : 0u) |
                     (codec->from != SMQ_FROM_CLIENT ? row->server[dialect] : 0u);
    if (legal == 0) {
        return SMQTT_E_PROTOCOL;
    }
    return (legal >> (header & 0x0F)) & 1 ? SMQTT_OK : SMQTT_E_MALFORMED;
}

/* [MQTT-3.1.0-1] [MQTT-3.1.0-2]: a client starts with CONNECT and sends only one. [MQTT-3.2.0-1]: a server starts with
 * CONNACK, or AUTH. */
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

smqtt_err smq_frame_read(const struct smq_codec *codec, smq_span in, bool first, struct smq_frame *frame, size_t *need)
{
    if (in.len == 0) {
        *need = 0;
        return SMQTT_E_AGAIN;
    }
    struct smq_rd rd = smq_rd_of(in);
    uint8_t header = smq_rd_u8(&rd);
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
