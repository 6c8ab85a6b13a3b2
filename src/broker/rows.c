/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rows.h"

enum {
    FLAG_RETAIN = 1,
    FLAG_TEXT = 2,
    FLAG_USER = 4,
    QOS_SHIFT = 3,
};

/* ------------------------------------------------------------ keys */

static struct smq_key key_of(const struct smq_wr *wr, struct smq_key key)
{
    key.len = (uint8_t)wr->len;
    return key;
}

struct smq_key smq_key_passed(unsigned to, unsigned from)
{
    struct smq_key key;
    struct smq_wr wr = smq_wr_of(key.bytes, sizeof key.bytes);
    smq_wr_u8(&wr, SMQ_TABLE_PASSED);
    smq_wr_u8(&wr, (uint8_t)to);
    smq_wr_u8(&wr, (uint8_t)from);
    return key_of(&wr, key);
}

struct smq_key smq_key_body(uint64_t mid)
{
    struct smq_key key;
    struct smq_wr wr = smq_wr_of(key.bytes, sizeof key.bytes);
    smq_wr_u8(&wr, SMQ_TABLE_BODY);
    smq_wr_u64(&wr, mid);
    return key_of(&wr, key);
}

struct smq_key smq_key_session(uint64_t sid)
{
    struct smq_key key;
    struct smq_wr wr = smq_wr_of(key.bytes, sizeof key.bytes);
    smq_wr_u8(&wr, SMQ_TABLE_SESSION);
    smq_wr_u64(&wr, sid);
    return key_of(&wr, key);
}

static struct smq_key session_key(uint64_t sid, enum smq_session_row kind, uint64_t n, size_t n_len)
{
    struct smq_key key;
    struct smq_wr wr = smq_wr_of(key.bytes, sizeof key.bytes);
    smq_wr_u8(&wr, SMQ_TABLE_SESSION);
    smq_wr_u64(&wr, sid);
    smq_wr_u8(&wr, (uint8_t)kind);
    if (n_len != 0) {
        smq_wr_uint(&wr, n, n_len);
    }
    return key_of(&wr, key);
}

struct smq_key smq_key_session_row(uint64_t sid, enum smq_session_row kind)
{
    return session_key(sid, kind, 0, 0);
}

struct smq_key smq_key_queue(uint64_t sid, uint64_t n)
{
    return session_key(sid, SMQ_ROW_QUEUE, n, sizeof n);
}

struct smq_key smq_key_packet(uint64_t sid, enum smq_session_row kind, uint16_t id)
{
    return session_key(sid, kind, id, sizeof id);
}

void smq_key_write_sub(struct smq_wr *wr, uint64_t sid, smq_span filter)
{
    smq_wr_u8(wr, SMQ_TABLE_SESSION);
    smq_wr_u64(wr, sid);
    smq_wr_u8(wr, SMQ_ROW_SUB);
    smq_wr_put(wr, filter);
}

void smq_key_write_named(struct smq_wr *wr, enum smq_table table, smq_span name)
{
    smq_wr_u8(wr, (uint8_t)table);
    smq_wr_put(wr, name);
}

static bool read_session_key(struct smq_rd *rd, struct smq_key_parts *out)
{
    out->sid = smq_rd_u64(rd);
    out->kind = (enum smq_session_row)smq_rd_u8(rd);
    switch (out->kind) {
    case SMQ_ROW_HEAD:
    case SMQ_ROW_WILL:
        return smq_rd_done(rd);
    case SMQ_ROW_SUB:
        out->name = smq_rd_rest(rd);
        return smq_rd_ok(rd) && out->name.len != 0;
    case SMQ_ROW_QUEUE:
        out->n = smq_rd_u64(rd);
        return smq_rd_done(rd);
    case SMQ_ROW_OUT:
    case SMQ_ROW_IN:
        out->id = smq_rd_u16(rd);
        return smq_rd_done(rd) && out->id != 0;
    }
    return false;
}

bool smq_key_read(smq_span key, struct smq_key_parts *out)
{
    struct smq_rd rd = smq_rd_of(key);
    *out = (struct smq_key_parts){.table = (enum smq_table)smq_rd_u8(&rd)};
    switch (out->table) {
    case SMQ_TABLE_SESSION:
        return read_session_key(&rd, out);
    case SMQ_TABLE_PASSED:
        out->to = smq_rd_u8(&rd);
        out->from = smq_rd_u8(&rd);
        return smq_rd_done(&rd);
    case SMQ_TABLE_BODY:
        out->n = smq_rd_u64(&rd);
        return smq_rd_done(&rd);
    case SMQ_TABLE_META:
    case SMQ_TABLE_RETAINED:
    case SMQ_TABLE_IDENTITY:
        out->name = smq_rd_rest(&rd);
        return smq_rd_ok(&rd) && out->name.len != 0;
    }
    return false;
}

/* ------------------------------------------------------------ time */

/* 0 in the row: never. What is over already stays over. */
static uint64_t to_wall(smqtt_ms mono, struct smqtt_now now)
{
    if (mono == SMQTT_NEVER) {
        return 0;
    }
    if (mono >= now.mono) {
        return now.wall + (mono - now.mono);
    }
    smqtt_ms ago = now.mono - mono;
    return now.wall > ago ? now.wall - ago : 1; /* a machine without a clock begins at 0 */
}

static smqtt_ms from_wall(uint64_t wall, struct smqtt_now now)
{
    if (wall == 0) {
        return SMQTT_NEVER;
    }
    uint64_t left = wall > now.wall ? wall - now.wall : 0;
    return left < SMQTT_NEVER - now.mono ? now.mono + left : SMQTT_NEVER;
}

/* ------------------------------------------------------------ META */

void smq_row_write_workers(struct smq_wr *wr, const struct smq_row_workers *row)
{
    smq_wr_u32(wr, row->format);
    smq_wr_u32(wr, row->count);
    smq_wr_bytes(wr, row->hash_key, sizeof row->hash_key);
}

bool smq_row_read_workers(smq_span value, struct smq_row_workers *out)
{
    struct smq_rd rd = smq_rd_of(value);
    out->format = smq_rd_u32(&rd);
    out->count = smq_rd_u32(&rd);
    smq_span key = smq_rd_bytes(&rd, sizeof out->hash_key);
    if (!smq_rd_ok(&rd)) {
        return false;
    }
    memcpy(out->hash_key, key.data, sizeof out->hash_key);
    return true; /* a later format may have more */
}

/* ------------------------------------------------------------ sessions */

void smq_row_write_head(struct smq_wr *wr, const struct smq_row_head *row)
{
    smq_wr_u8(wr, row->has_user ? FLAG_USER : 0);
    smq_wr_blob16(wr, row->client_id);
    smq_wr_blob16(wr, row->has_user ? row->user : (smq_span){NULL, 0});
    smq_wr_u32(wr, row->expiry_s);
    smq_wr_u32(wr, row->listener_id);
    smq_wr_u64(wr, row->away_since);
}

bool smq_row_read_head(smq_span value, struct smq_row_head *out)
{
    struct smq_rd rd = smq_rd_of(value);
    uint8_t flags = smq_rd_u8(&rd);
    out->has_user = (flags & FLAG_USER) != 0;
    out->client_id = smq_rd_blob16(&rd);
    out->user = smq_rd_blob16(&rd);
    out->expiry_s = smq_rd_u32(&rd);
    out->listener_id = smq_rd_u32(&rd);
    out->away_since = smq_rd_u64(&rd);
    return smq_rd_done(&rd) && out->client_id.len != 0;
}

void smq_row_write_will(struct smq_wr *wr, const struct smq_row_will *row, struct smqtt_now now)
{
    smq_wr_u32(wr, row->delay_s);
    smq_wr_u32(wr, row->expiry_s);
    smq_row_write_content(wr, &row->content, now);
}

bool smq_row_read_will(smq_span value, struct smqtt_now now, struct smq_row_will *out)
{
    struct smq_rd rd = smq_rd_of(value);
    out->delay_s = smq_rd_u32(&rd);
    out->expiry_s = smq_rd_u32(&rd);
    return smq_row_read_content(&rd, now, &out->content);
}

void smq_row_write_sub(struct smq_wr *wr, const struct smq_row_sub *row)
{
    smq_wr_u8(wr, row->options);
    smq_wr_u32(wr, row->id);
}

bool smq_row_read_sub(smq_span value, struct smq_row_sub *out)
{
    struct smq_rd rd = smq_rd_of(value);
    out->options = smq_rd_u8(&rd);
    out->id = smq_rd_u32(&rd);
    return smq_rd_done(&rd);
}

/* ------------------------------------------------------------ messages */

void smq_row_write_content(struct smq_wr *wr, const struct smq_content *c, struct smqtt_now now)
{
    unsigned flags = (c->retain ? FLAG_RETAIN : 0u) | (c->has_text ? FLAG_TEXT : 0u) | (unsigned)c->qos << QOS_SHIFT;
    smq_wr_u8(wr, (uint8_t)flags);
    smq_wr_u64(wr, to_wall(c->expires, now));
    smq_wr_u64(wr, c->version);
    smq_wr_blob16(wr, c->topic);
    smq_wr_u32(wr, (uint32_t)c->props.len);
    smq_wr_put(wr, c->props);
    smq_wr_u32(wr, (uint32_t)c->source.len);
    smq_wr_put(wr, c->source);
    smq_wr_put(wr, c->payload);
}

bool smq_row_read_content(struct smq_rd *rd, struct smqtt_now now, struct smq_content *out)
{
    uint8_t flags = smq_rd_u8(rd);
    out->retain = (flags & FLAG_RETAIN) != 0;
    out->has_text = (flags & FLAG_TEXT) != 0;
    out->qos = (uint8_t)(flags >> QOS_SHIFT);
    out->expires = from_wall(smq_rd_u64(rd), now);
    out->version = smq_rd_u64(rd);
    out->topic = smq_rd_blob16(rd);
    out->props = smq_rd_bytes(rd, smq_rd_u32(rd));
    out->source = smq_rd_bytes(rd, smq_rd_u32(rd));
    out->payload = smq_rd_rest(rd);
    return smq_rd_ok(rd) && out->topic.len != 0 && out->qos <= 2 && out->source.len <= UINT16_MAX;
}

void smq_row_write_queue(struct smq_wr *wr, const struct smq_row_queue *row, struct smqtt_now now)
{
    smq_wr_u64(wr, row->mid);
    smq_wr_u32(wr, row->size);
    smq_wr_u64(wr, to_wall(row->expires, now));
    smq_wr_u16(wr, row->packet);
    smq_wr_u8(wr, (uint8_t)((row->retain ? FLAG_RETAIN : 0) | row->qos << QOS_SHIFT));
    smq_wr_blob16(wr, row->share);
    smq_wr_u32(wr, row->n_ids);
    for (uint32_t i = 0; i < row->n_ids; i++) {
        smq_wr_u32(wr, row->ids[i]);
    }
    if (row->mid == 0) {
        smq_row_write_content(wr, &row->content, now);
    }
}

bool smq_row_read_queue(smq_span value, struct smqtt_now now, struct smq_row_queue *out)
{
    struct smq_rd rd = smq_rd_of(value);
    *out = (struct smq_row_queue){.mid = smq_rd_u64(&rd)};
    out->size = smq_rd_u32(&rd);
    out->expires = from_wall(smq_rd_u64(&rd), now);
    out->packet = smq_rd_u16(&rd);
    uint8_t flags = smq_rd_u8(&rd);
    out->retain = (flags & FLAG_RETAIN) != 0;
    out->qos = (uint8_t)(flags >> QOS_SHIFT);
    out->share = smq_rd_blob16(&rd);
    out->n_ids = smq_rd_u32(&rd);
    if (out->n_ids > smq_rd_left(&rd) / sizeof(uint32_t) || out->qos > 2) {
        return false;
    }
    out->raw_ids = smq_rd_bytes(&rd, out->n_ids * sizeof(uint32_t));
    return out->mid == 0 ? smq_row_read_content(&rd, now, &out->content) : smq_rd_done(&rd);
}

void smq_row_set_queue_mid(uint8_t *value, uint64_t mid)
{
    struct smq_wr wr = smq_wr_of(value, sizeof mid);
    smq_wr_u64(&wr, mid);
}

uint32_t smq_row_id(const struct smq_row_queue *row, uint32_t i)
{
    struct smq_rd rd = smq_rd_of(smq_span_of(row->raw_ids.data + i * sizeof(uint32_t), sizeof(uint32_t)));
    return smq_rd_u32(&rd);
}

void smq_row_write_out(struct smq_wr *wr, const struct smq_row_out *row)
{
    smq_wr_u64(wr, row->n);
    smq_wr_u8(wr, row->state);
}

bool smq_row_read_out(smq_span value, struct smq_row_out *out)
{
    struct smq_rd rd = smq_rd_of(value);
    out->n = smq_rd_u64(&rd);
    out->state = smq_rd_u8(&rd);
    return smq_rd_done(&rd);
}

void smq_row_write_body(struct smq_wr *wr, const struct smq_row_body *row, struct smqtt_now now)
{
    smq_wr_u64(wr, row->peers);
    smq_wr_blob16(wr, row->group);
    smq_row_write_content(wr, &row->content, now);
}

bool smq_row_read_body(smq_span value, struct smqtt_now now, struct smq_row_body *out)
{
    struct smq_rd rd = smq_rd_of(value);
    out->peers = smq_rd_u64(&rd);
    out->group = smq_rd_blob16(&rd);
    return smq_row_read_content(&rd, now, &out->content);
}

void smq_row_write_number(struct smq_wr *wr, uint64_t n)
{
    smq_wr_u64(wr, n);
}

bool smq_row_read_number(smq_span value, uint64_t *out)
{
    struct smq_rd rd = smq_rd_of(value);
    *out = smq_rd_u64(&rd);
    return smq_rd_done(&rd);
}
