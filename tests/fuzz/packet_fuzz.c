/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of bytes as frames and packets. The first byte chooses version (bits 0-1), role (2-3), text policy (4) and
 * whether the connection is new (5). What reads has to write, and to read again as the same; the second writing has to
 * be the first's bytes. */
#include <stdlib.h>

#include "codec/faulty.h"
#include "codec/packet.h"

enum { DUMP = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static uint8_t *write_new(const struct smq_codec *codec, const struct smq_packet *pkt, size_t *len)
{
    struct smq_wr size = smq_wr_measure();
    must(smq_packet_write(codec, pkt, &size) == SMQTT_OK);
    uint8_t *buf = malloc(size.len);
    must(buf != NULL);
    struct smq_wr wr = smq_wr_of(buf, size.len);
    must(smq_packet_write(codec, pkt, &wr) == SMQTT_OK && wr.len == size.len);
    *len = wr.len;
    return buf;
}

static void same_dump(const struct smq_packet *a, const struct smq_packet *b)
{
    static char left[DUMP], right[DUMP];
    size_t n = smq_packet_dump(a, left, sizeof left);
    must(n == smq_packet_dump(b, right, sizeof right) && strcmp(left, right) == 0);
}

static void check_packet(const struct smq_codec *codec, const struct smq_packet *pkt, bool first)
{
    size_t len, again_len, need;
    uint8_t *bytes = write_new(codec, pkt, &len);
    struct smq_frame frame;
    struct smq_packet back;
    must(smq_frame_read(codec, smq_span_of(bytes, len), first, &frame, &need) == SMQTT_OK && frame.size == len);
    must(smq_packet_read(codec, &frame, &back) == SMQTT_OK);
    same_dump(pkt, &back);
    uint8_t *again = write_new(codec, &back, &again_len);
    must(again_len == len && memcmp(again, bytes, len) == 0);
    free(again);
    free(bytes);
}

/** A packet of a server that was refused because of a string, and nothing else, has one that can be named. */
static void check_faulty(const struct smq_codec *codec, const struct smq_frame *frame, smqtt_err err)
{
    struct smq_codec any = *codec;
    any.text = SMQ_TEXT_ANY;
    struct smq_packet pkt;
    struct smq_faulty faulty;
    if (!smq_faulty_is(err) || codec->from != SMQ_FROM_SERVER || smq_packet_read(&any, frame, &pkt) != SMQTT_OK) {
        return;
    }
    must(smq_faulty_find(codec, &pkt, &faulty) && smq_faulty_is(faulty.err) && faulty.field != SMQTT_FIELD_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const enum smqtt_version versions[] = {SMQTT_V31, SMQTT_V311, SMQTT_V5, SMQTT_V5};
    static const enum smq_role roles[] = {SMQ_FROM_CLIENT, SMQ_FROM_SERVER, SMQ_FROM_ANY, SMQ_FROM_ANY};
    if (len == 0) {
        return 0;
    }
    struct smq_codec codec = {
        .version = versions[data[0] & 3],
        .from = roles[(data[0] >> 2) & 3],
        .text = (data[0] & 16) != 0 ? SMQ_TEXT_STANDARD : SMQ_TEXT_STRICT,
    };
    bool first = (data[0] & 32) != 0;
    smq_span rest = smq_span_of(data + 1, len - 1);
    struct smq_frame frame;
    size_t need;
    smqtt_err err;
    while ((err = smq_frame_read(&codec, rest, first, &frame, &need)) == SMQTT_OK) {
        struct smq_packet pkt;
        must(frame.size >= 2 && frame.size <= rest.len);
        err = smq_packet_read(&codec, &frame, &pkt);
        if (err != SMQTT_OK) {
            check_faulty(&codec, &frame, err);
            return 0;
        }
        check_packet(&codec, &pkt, first);
        if (pkt.type == SMQ_CONNECT) {
            codec.version = pkt.connect.version;
        }
        first = false;
        rest = smq_span_from(rest, frame.size);
    }
    must(err != SMQTT_E_AGAIN || need == 0 || need > rest.len);
    return 0;
}
