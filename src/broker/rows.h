/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_ROWS_H
#define SMQTT_BROKER_ROWS_H
/* The rows of the store (docs/store.md): the only place that knows their bytes. Keys sort as they are to be read at a
 * start. Encoders of values write into any struct smq_wr, so that one call measures and another writes; decoders give
 * views into what they were given and false for what is not such a row. */
#include <smqtt/secure.h>

#include "base/rd.h"
#include "base/wr.h"
#include "broker/message.h"

enum smq_table {
    SMQ_TABLE_META = 1,
    SMQ_TABLE_PASSED,
    SMQ_TABLE_SESSION,
    SMQ_TABLE_BODY,
    SMQ_TABLE_RETAINED,
    SMQ_TABLE_IDENTITY
};
/** Rows of a session, in the order in which they are read: what is in flight is known before the queue comes. */
enum smq_session_row { SMQ_ROW_HEAD = 1, SMQ_ROW_WILL, SMQ_ROW_SUB, SMQ_ROW_OUT, SMQ_ROW_IN, SMQ_ROW_QUEUE };
enum {
    SMQ_STORE_FORMAT = 1,
    SMQ_KEY_FIXED = 18,                  /* bytes of the longest key without a string in it */
    SMQ_KEY_MAX = SMQ_KEY_FIXED + 65535, /* and with one */
    SMQ_MID_SHIFT = 56                   /* mid: the worker that wrote it stands above this bit */
};

/** A key without a string in it, in memory of its own. */
struct smq_key {
    uint8_t len;
    uint8_t bytes[SMQ_KEY_FIXED];
};
static inline smq_span smq_key_span(const struct smq_key *key)
{
    return smq_span_of(key->bytes, key->len);
}
struct smq_key smq_key_passed(unsigned to, unsigned from);
struct smq_key smq_key_body(uint64_t mid);
/** What all rows of a session begin with. */
struct smq_key smq_key_session(uint64_t sid);
/** HEAD and WILL. */
struct smq_key smq_key_session_row(uint64_t sid, enum smq_session_row kind);
struct smq_key smq_key_queue(uint64_t sid, uint64_t n);
/** OUT and IN. */
struct smq_key smq_key_packet(uint64_t sid, enum smq_session_row kind, uint16_t id);
/* Those with a string are written behind each other into a cursor: table, then for SUB sid and kind, then the string.
 */
void smq_key_write_sub(struct smq_wr *wr, uint64_t sid, smq_span filter);
void smq_key_write_named(struct smq_wr *wr, enum smq_table table, smq_span name); /* META, RETAINED, IDENTITY */

/** What a key says; views into it. Fields that its table does not have are 0. */
struct smq_key_parts {
    enum smq_table table;
    enum smq_session_row kind; /* SESSION */
    uint64_t sid, n;           /* n: of QUEUE; of BODY its mid */
    uint16_t id;               /* OUT, IN */
    unsigned to, from;         /* PASSED */
    smq_span name;             /* META, RETAINED, IDENTITY: the name; SUB: the filter */
};
bool smq_key_read(smq_span key, struct smq_key_parts *out);

/** META "workers": who wrote this store. */
struct smq_row_workers {
    uint32_t format, count;
    uint8_t hash_key[16];
};
#define SMQ_META_WORKERS "workers"
void smq_row_write_workers(struct smq_wr *wr, const struct smq_row_workers *row);
bool smq_row_read_workers(smq_span value, struct smq_row_workers *out);

struct smq_row_head {
    smq_span client_id, user;
    bool has_user;
    uint32_t expiry_s, listener_id;
    smqtt_ms away_since; /* wall; 0: it is online */
};
void smq_row_write_head(struct smq_wr *wr, const struct smq_row_head *row);
bool smq_row_read_head(smq_span value, struct smq_row_head *out);

/** A message. `expires` of the content is monotonic in memory and wall clock in the row: `now` tells the difference. */
void smq_row_write_content(struct smq_wr *wr, const struct smq_content *c, struct smqtt_now now);
/** Everything that is left of rd. What is read was not checked: it is before it leaves (broker/message.h). */
bool smq_row_read_content(struct smq_rd *rd, struct smqtt_now now, struct smq_content *out);

struct smq_row_will {
    uint32_t delay_s, expiry_s; /* expiry_s: UINT32_MAX: none */
    struct smq_content content; /* its expires is SMQTT_NEVER */
};
void smq_row_write_will(struct smq_wr *wr, const struct smq_row_will *row, struct smqtt_now now);
bool smq_row_read_will(smq_span value, struct smqtt_now now, struct smq_row_will *out);

struct smq_row_sub {
    uint8_t options; /* the byte of MQTT 5.0 */
    uint32_t id;     /* 0: none */
};
void smq_row_write_sub(struct smq_wr *wr, const struct smq_row_sub *row);
bool smq_row_read_sub(smq_span value, struct smq_row_sub *out);

enum { SMQ_ROW_IDS_MAX = 65535 };
struct smq_row_queue {
    uint64_t mid;     /* its body; 0: the content stands here */
    uint32_t size;    /* bytes of the message, for the queue's accounts (smq_msg_size) */
    smqtt_ms expires; /* monotonic in memory, wall in the row; SMQTT_NEVER */
    uint16_t packet;  /* identifier under which it was sent; 0: it waits */
    uint8_t qos;
    bool retain;
    smq_span share; /* filter of the shared subscription, with $share/group/; empty: none */
    uint32_t n_ids;
    const uint32_t *ids;        /* writing: subscription identifiers */
    smq_span raw_ids;           /* reading: 4 bytes each, see smq_row_id */
    struct smq_content content; /* with mid 0 */
};
void smq_row_write_queue(struct smq_wr *wr, const struct smq_row_queue *row, struct smqtt_now now);
bool smq_row_read_queue(smq_span value, struct smqtt_now now, struct smq_row_queue *out);
/** Names another body in the value of a row that was read and had one. */
void smq_row_set_queue_mid(uint8_t *value, uint64_t mid);
/** Identifier i of one that was read. */
uint32_t smq_row_id(const struct smq_row_queue *row, uint32_t i);

struct smq_row_out {
    uint64_t n;    /* of its QUEUE row, which is gone with state WAIT_PUBCOMP */
    uint8_t state; /* enum smq_out_state */
};
void smq_row_write_out(struct smq_wr *wr, const struct smq_row_out *row);
bool smq_row_read_out(smq_span value, struct smq_row_out *out);

struct smq_row_body {
    uint64_t peers; /* bits of the workers that it was on its way to; 0: none */
    smq_span group; /* $share/group/filter: it was on its way to a member, or back; empty: to all subscribers there */
    struct smq_content content;
};
void smq_row_write_body(struct smq_wr *wr, const struct smq_row_body *row, struct smqtt_now now);
bool smq_row_read_body(smq_span value, struct smqtt_now now, struct smq_row_body *out);

/** PASSED. */
void smq_row_write_number(struct smq_wr *wr, uint64_t n);
bool smq_row_read_number(smq_span value, uint64_t *out);

#endif
