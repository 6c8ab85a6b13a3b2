/* SPDX-License-Identifier: Apache-2.0 */
/* By the first byte: 0 a record, 1 and 2 what a record held (without and with L), 3 receipts, 4 a notice, 5 and 6 a
 * stored session of client and server. */
#include <stdlib.h>

#include "detect/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void record(smq_span bytes)
{
    struct smq_record r;
    bool is = smq_record_read(bytes, &r) == SMQTT_OK;
    if (is) {
        uint8_t head[SMQ_RECORD_HEAD_MAX];
        struct smq_wr wr = smq_wr_of(head, sizeof(head));
        smq_wr_u8(&wr, r.first);
        smq_wr_bytes(&wr, r.kid, SMQ_KID_LEN);
        smq_wr_uint(&wr, r.seq, (size_t)(r.first & SMQ_RECORD_SEQ_MASK) + 1);
        must(smq_record_is(bytes) && smq_span_starts(bytes, smq_wr_span(&wr)) && wr.len + r.box.len == bytes.len);
    }
}

static void sealed(smq_span pt, bool logical)
{
    struct smq_sealed s;
    if (smq_sealed_read(pt, logical, &s) == SMQTT_OK) {
        must(s.payload.len < pt.len && (s.logical_topic.data != NULL) == logical && (!s.has_expiry || s.has_time));
        must(smq_record_size(&s, 0) >= s.payload.len + 23);
    }
}

static void receipts(smq_span payload)
{
    struct smq_rd rd = smq_rd_of(payload);
    if (!smq_receipts_ok(payload)) {
        return;
    }
    while (smq_rd_left(&rd) != 0) {
        struct smq_receipt receipt;
        smq_receipt_read(&rd, &receipt);
        must(smq_rd_ok(&rd));
    }
}

static void notice(smq_span payload)
{
    static const uint8_t kid[SMQ_KID_LEN] = {1, 2, 3, 4};
    static struct smqtt_identity server;
    smqtt_ms ts;
    server.suite = smq_suite_by_id(1);
    must(smq_notice_read(&server, kid, payload, &ts) != SMQTT_OK);
}

/** What was read is written, and read again as the same. (An older form is written as the newer one.) */
static void stored(smq_span value, enum smq_side side)
{
    static uint8_t first[8192], second[8192];
    struct smq_channel *s = NULL;
    struct smq_rd rd = smq_rd_of(value);
    if (smq_channel_read(NULL, side, &rd, 0, &s) != SMQTT_OK) {
        return;
    }
    struct smq_wr wr = smq_wr_of(first, sizeof(first));
    smq_channel_write(s, &wr);
    smq_channel_free(s);
    must(smq_wr_ok(&wr));
    rd = smq_rd_of(smq_wr_span(&wr));
    must(smq_channel_read(NULL, side, &rd, 0, &s) == SMQTT_OK && smq_rd_done(&rd));
    struct smq_wr again = smq_wr_of(second, sizeof(second));
    smq_channel_write(s, &again);
    smq_channel_free(s);
    must(smq_wr_ok(&again) && smq_span_equal(smq_wr_span(&wr), smq_wr_span(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) {
        return 0;
    }
    const smq_span rest = smq_span_of(data + 1, len - 1);
    switch (data[0]) {
    case 0:
        record(rest);
        break;
    case 1:
    case 2:
        sealed(rest, data[0] == 2);
        break;
    case 3:
        receipts(rest);
        break;
    case 4:
        notice(rest);
        break;
    case 5:
    case 6:
        stored(rest, data[0] == 5 ? SMQ_SIDE_CLIENT : SMQ_SIDE_SERVER);
        break;
    default:
        break;
    }
    return 0;
}
