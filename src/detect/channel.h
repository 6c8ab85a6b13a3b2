/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_CHANNEL_H
#define SMQTT_DETECT_CHANNEL_H
/* An open session of either side (protocol.md 6, 7): keys of both ways with their generations, numbers reserved ahead,
 * replay windows; and its form in storage. */
#include "detect/record.h"
#include "detect/step.h"
#include "detect/window.h"

enum smq_side { SMQ_SIDE_CLIENT, SMQ_SIDE_SERVER };

enum {
    SMQ_RESERVE_BLOCK = 1024, /* numbers */
    SMQ_GENERATIONS = 3,      /* before, current, next */
    SMQ_GRACE_MS = 60000,     /* the generation before lives on */
    SMQ_RECEIPT_LEN = 14,
    SMQ_RECEIPTS_MAX = 64,
    SMQ_PREFIX_MAX = 24,
    SMQ_OWN_TOPIC_MAX = SMQ_PREFIX_MAX + 40 /* <prefix>/<skid>/s/<cid> and a zero */
};

struct smq_channel {
    const struct smqtt_mem *mem;
    const struct smq_suite *suite;
    enum smq_side role;
    uint8_t cid[SMQ_CID_LEN];
    uint8_t session_id[SMQ_SESSION_ID_LEN];
    uint8_t th3[SMQ_HASH_LEN];
    uint8_t ctx[SMQ_HASH_LEN];
    struct smq_once ack;
    struct smq_once close;
    uint32_t rekey;
    uint16_t window_size;
    struct smq_gen send;
    uint32_t send_generation;
    uint64_t next;                        /* number of the next record */
    uint64_t limit;                       /* numbers below are reserved in the store */
    struct smq_gen recv[SMQ_GENERATIONS]; /* by generation % 3 */
    struct smq_window windows[SMQ_GENERATIONS];
    struct smq_window saved[SMQ_GENERATIONS]; /* as the store has them */
    uint32_t recv_generation;                 /* the current one */
    smqtt_ms prev_until;                      /* monotonic: the generation before is taken until then */
    uint64_t words[];
};

/** Writes the session's value to the store and syncs; with save NULL there is no store. */
struct smq_saver {
    smqtt_err (*save)(void *ctx, struct smq_channel *s);
    void *ctx;
};

/** A session from what step 3 gave. SMQTT_E_NOMEM, SMQTT_E_CRYPTO. */
SMQ_MUST_USE smqtt_err smq_channel_new(const struct smqtt_mem *mem, enum smq_side role, const struct smq_suite *suite,
                                       const struct smq_reply *terms, const uint8_t cid[SMQ_CID_LEN],
                                       const struct smq_master *master, struct smq_channel **out);
/** Wipes and frees; NULL allowed. */
void smq_channel_free(struct smq_channel *s);

/** The next number to seal with, reserved in the store and with the key renewed where needed. *renewed tells that
 * s->send is another generation. SMQTT_E_IO (nothing changed), SMQTT_E_SEQ_EXHAUSTED, SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_channel_number(struct smq_channel *s, const struct smq_saver *saver, uint64_t *seq,
                                          bool *renewed);

/** The generation (0..2 as an index of recv) with this kid that is taken now, or -1. */
int smq_channel_find(const struct smq_channel *s, const uint8_t kid[SMQ_KID_LEN], smqtt_ms mono);
/** A record of generation `index` opened: marks its number and moves on when it was the next generation (*moved).
 * *missing gets the numbers skipped. The generation before is wiped when its time is over. On failure (SMQTT_E_CRYPTO)
 * nothing changed. */
SMQ_MUST_USE smqtt_err smq_channel_commit(struct smq_channel *s, int index, uint64_t seq, smqtt_ms mono, bool *moved,
                                          uint64_t *missing);
/** Index of the next generation. */
static inline int smq_channel_ahead(const struct smq_channel *s)
{
    return (int)((s->recv_generation + 1) % SMQ_GENERATIONS);
}
/** The store has the windows as they are. */
void smq_channel_mark_saved(struct smq_channel *s);
/** Takes the windows back to what the store has. */
void smq_channel_roll_back(struct smq_channel *s);

/** The session's value, versioned. */
void smq_channel_write(const struct smq_channel *s, struct smq_wr *wr);
/** Reads it; numbers go on behind what was reserved. SMQTT_E_MALFORMED, SMQTT_E_NOMEM, SMQTT_E_CRYPTO. */
SMQ_MUST_USE smqtt_err smq_channel_read(const struct smqtt_mem *mem, enum smq_side role, struct smq_rd *rd,
                                        smqtt_ms mono, struct smq_channel **out);

/* ---------------------------------------------------------------- receipts, notices, own topics */

struct smq_receipt {
    uint8_t kid[SMQ_KID_LEN];
    uint64_t seq;
    uint8_t status;
    uint8_t flag;
};
/** Writes one entry (SMQ_RECEIPT_LEN bytes). */
void smq_receipt_write(const struct smq_receipt *receipt, struct smq_wr *wr);
/** Is this a payload of 1 to 64 entries? */
bool smq_receipts_ok(smq_span payload);
/** Takes the next entry. */
void smq_receipt_read(struct smq_rd *rd, struct smq_receipt *out);

enum { SMQ_NOTICE_NONCE_LEN = 16, SMQ_NOTICE_LEN = 2 + SMQ_KID_LEN + SMQ_NOTICE_NONCE_LEN + 8 + SMQ_SIG_LEN };

/** Writes a notice of the server for a kid. SMQTT_E_CRYPTO, SMQTT_E_BAD_KEY. */
SMQ_MUST_USE smqtt_err smq_notice_write(const struct smqtt_identity *server, const uint8_t kid[SMQ_KID_LEN],
                                        const uint8_t nonce[SMQ_NOTICE_NONCE_LEN], smqtt_ms ts,
                                        uint8_t out[SMQ_NOTICE_LEN]);
/** Reads and verifies a notice of the server about kid. SMQTT_E_MALFORMED, SMQTT_E_BAD_SIGNATURE. */
SMQ_MUST_USE smqtt_err smq_notice_read(const struct smqtt_identity *server, const uint8_t kid[SMQ_KID_LEN],
                                       smq_span payload, smqtt_ms *ts);

/** An endpoint's own topics begin with this prefix, unless another was agreed on (protocol.md 9.6). */
#define SMQ_PREFIX "smqtt1"
/** Is it a prefix? Empty stands for the usual one. */
bool smq_prefix_ok(smq_span prefix);
/** "<prefix>/<skid>/<branch>/<id as hex>", branch 'c', 's' or 'n'; "<prefix>/<skid>/d" for branch 'd'. Returns its
 * length. An empty prefix stands for the usual one. */
size_t smq_own_topic(smq_span prefix, const uint8_t skid[SMQTT_SKID_LEN], char branch, smq_span id,
                     char out[SMQ_OWN_TOPIC_MAX]);
/** The 32 bits of a kid. */
static inline uint32_t smq_kid_u32(const uint8_t kid[SMQ_KID_LEN])
{
    return (uint32_t)kid[0] << 24 | (uint32_t)kid[1] << 16 | (uint32_t)kid[2] << 8 | kid[3];
}

#endif
