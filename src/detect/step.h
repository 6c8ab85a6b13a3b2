/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_STEP_H
#define SMQTT_DETECT_STEP_H
/* The bodies of DETECT (protocol.md 4): writing and consuming them, as functions over structs. What consumes works on
 * copies and commits last: after an error nothing has changed. All fail with SMQTT_E_CRYPTO and SMQTT_E_NOMEM besides
 * what they name. */
#include "base/wr.h"
#include "detect/identity.h"
#include "detect/relay.h"
#include "detect/schedule.h"
#include "detect/status.h"

enum smq_detect_header {
    SMQ_HDR_STEP0 = 0x01, /* canonical: what transcripts and additional data use */
    SMQ_HDR_RETRY = 0x02,
    SMQ_HDR_STEP1 = 0x03, /* step 0, relabelled by the broker */
    SMQ_HDR_STEP2 = 0x04,
    SMQ_HDR_CLOSE = 0x06,
    SMQ_HDR_STEP3 = 0x07,
    SMQ_HDR_FLAG = 0x08, /* the bit: 0x0C, 0x0F */
    SMQ_HDR_ACK = 0x0E
};

enum smq_hflag {
    SMQ_HF_SIGNED = 0x01,
    SMQ_HF_PSK = 0x02,
    SMQ_HF_ACK = 0x04,
    SMQ_HF_TEXT = 0x08,
    SMQ_HF_TLVS = 0x10,
    SMQ_HF_RESERVED = 0xE0
};

enum {
    SMQ_BODY_MAX = 8192,
    SMQ_PACKET_MAX = SMQ_BODY_MAX + 1, /* canonical header byte and body */
    SMQ_M_MAX = 6144,                  /* bytes of text in step 0 */
    SMQ_M_BINARY = SMQ_HASH_LEN + 8,   /* hash and length */
    SMQ_CLIENT_ID_MAX = 255,
    SMQ_COOKIE_MAX = 32,
    SMQ_PSK_ID_MAX = 64,
    SMQ_PSK_MIN = 32,
    SMQ_SESSION_ID_LEN = 4,
    SMQ_SHORT_DID_LEN = 8,
    SMQ_STEP2_MAX = 256, /* bytes of a body as written here; others may have TLVs */
    SMQ_STEP3_MAX = 128,
    SMQ_ENDING_LEN = 1 + SMQ_CID_LEN + 9 + SMQ_TAG_LEN,
    SMQ_WINDOW_MIN = 64
};

enum smq_cred { SMQ_CRED_NONE = 0x00, SMQ_CRED_SHORT = 0x01, SMQ_CRED_DESCRIPTOR = 0x02 };

/** What both sides carry from step to step. Secrets: wipe it. */
struct smq_hs {
    const struct smq_suite *suite;
    uint8_t hflags;
    uint8_t cid[SMQ_CID_LEN];
    uint8_t skid[SMQTT_SKID_LEN];
    uint8_t did_c[SMQTT_DID_LEN]; /* zeros without credential */
    uint8_t did_s[SMQTT_DID_LEN];
    uint8_t pk_x[SMQ_PK_MAX]; /* X of the client */
    uint8_t sk_x[SMQ_SK_LEN]; /* client */
    uint8_t x1[SMQ_HASH_LEN];
    uint8_t th1[SMQ_HASH_LEN];
    uint8_t th2[SMQ_HASH_LEN];
    uint8_t hs[SMQ_HASH_LEN];
};

/** What step 3 gives: enough for the session. Secret. */
struct smq_master {
    uint8_t ms[SMQ_HASH_LEN];
    uint8_t th3[SMQ_HASH_LEN];
    uint8_t ctx[SMQ_HASH_LEN];
};

/* ---------------------------------------------------------------- step 0 */

struct smq_step0_plan {
    const struct smqtt_identity *server;
    const struct smqtt_identity *identity; /* NULL: no credential */
    bool lookup;                           /* send only the short did */
    bool text;
    smq_span client_id, topic;
    smq_span m; /* as it goes into pt1 */
    smq_span cookie, psk, psk_id;
    uint16_t padding;
    smqtt_ms ts1;
    const uint8_t *cid;   /* 8 bytes */
    const uint8_t *sk_e1; /* 32 bytes, used once */
    const uint8_t *sk_x;  /* 32 bytes, used once */
};
/** M of a payload: text cut at a character boundary, or hash and length in `buf`. The span lives as long as payload and
 * buf. */
SMQ_MUST_USE smqtt_err smq_step_m(smq_span payload, bool text, uint8_t buf[SMQ_M_BINARY], smq_span *m);
/** How many bytes of text as M a step 0 has room for, with whatever cookie, under keys of either suite
 * (protocol.md 4.1). 0 also when the rest alone is too long. Of the plan the spans, identity and lookup count, m and
 * cookie do not. */
size_t smq_step0_m_room(const struct smq_step0_plan *plan);
/** Writes 0x01 and body0. hs gets suite, ids, sk_x, pk_x, x1, th1. SMQTT_E_TOO_LARGE when the body would be over
 * SMQ_BODY_MAX or the client id over SMQ_CLIENT_ID_MAX, SMQTT_E_BAD_KEY, SMQTT_E_USAGE (psk). */
SMQ_MUST_USE smqtt_err smq_step0_write(const struct smq_step0_plan *plan, uint8_t packet[SMQ_PACKET_MAX], size_t *len,
                                       struct smq_hs *hs);

/** The clear part of a step 0; spans lie in the packet. */
struct smq_step0 {
    const struct smq_suite *suite; /* NULL: unknown id; then only suite_id, cid and skid are set */
    uint8_t suite_id;
    uint8_t hflags;
    uint8_t cid[SMQ_CID_LEN];
    uint8_t skid[SMQTT_SKID_LEN];
    smqtt_ms ts1;
    smq_span cookie, psk_id;
    smq_span enc1;
    smq_span clear; /* 0x01 and everything before ct1: the additional data */
    smq_span ct1;
};
/** Reads 0x01 ‖ body0. SMQTT_E_MALFORMED. */
SMQ_MUST_USE smqtt_err smq_step0_read(smq_span packet, struct smq_step0 *out);

/** What step 0 holds; spans lie in the buffer that was decrypted into. */
struct smq_hello {
    smq_span client_id, topic, m;
    uint8_t cred;
    smq_span cred_data; /* short did or descriptor */
};
/** Decrypts it with the server's identity into pt (room for ct1.len - 16 bytes, may be ct1.data). hs gets all but
 * did_c. SMQTT_E_BAD_TAG, SMQTT_E_BAD_KEY, SMQTT_E_MALFORMED. */
SMQ_MUST_USE smqtt_err smq_step0_open(const struct smqtt_identity *server, smq_span packet,
                                      const struct smq_step0 *step, smq_span psk, uint8_t *pt, struct smq_hello *hello,
                                      struct smq_hs *hs);

/* ---------------------------------------------------------------- steps 2 and 3 */

struct smq_reply {
    uint8_t status;
    uint8_t flag;
    smqtt_ms ts2;
    uint8_t session_id[SMQ_SESSION_ID_LEN];
    uint16_t window;
    uint32_t rekey;
    uint8_t hm[SMQ_HASH_LEN];
};
/** Server: writes body2 under header 0x04 | flag. hs gets th2 and hs; x1 is wiped. */
SMQ_MUST_USE smqtt_err smq_step2_write(const struct smqtt_identity *server, const struct smq_reply *reply,
                                       const uint8_t sk_e2[SMQ_SK_LEN], struct smq_hs *hs, uint8_t body[SMQ_STEP2_MAX],
                                       size_t *len);
/** Client: consumes body2. pt: room for body.len bytes, wiped by the caller. hs gets th2 and hs, x1 and sk_x are wiped.
 * SMQTT_E_MALFORMED, SMQTT_E_BAD_TAG, SMQTT_E_BAD_KEY, SMQTT_E_BAD_SIGNATURE. */
SMQ_MUST_USE smqtt_err smq_step2_read(const struct smqtt_identity *server, uint8_t header, smq_span body, uint8_t *pt,
                                      struct smq_hs *hs, struct smq_reply *reply);
/** ct2 of a body2: what step 3 binds. */
smq_span smq_step2_ct(const struct smq_suite *suite, smq_span body2);

struct smq_verdict {
    uint8_t verdict;
    smqtt_ms ts3;
    uint32_t rtt_ms;
};
/** Client: writes body3 under header 0x07 | verdict's flag; identity signs when hflags say so. */
SMQ_MUST_USE smqtt_err smq_step3_write(const struct smqtt_identity *identity, const struct smq_verdict *verdict,
                                       const struct smq_hs *hs, smq_span body2, uint8_t body[SMQ_STEP3_MAX],
                                       size_t *len, struct smq_master *master);
/** Server: consumes body3. peer: the identity that hs->did_c names, NULL without credential. pt: room for body.len
 * bytes. SMQTT_E_MALFORMED, SMQTT_E_BAD_TAG, SMQTT_E_BAD_SIGNATURE. */
SMQ_MUST_USE smqtt_err smq_step3_read(const struct smqtt_identity *peer, uint8_t header, smq_span body,
                                      const struct smq_hs *hs, smq_span body2, uint8_t *pt, struct smq_verdict *verdict,
                                      struct smq_master *master);

/* ---------------------------------------------------------------- acknowledgement, close, RETRY */

/** Writes the body under header 0x0E or 0x06 with its own key. */
SMQ_MUST_USE smqtt_err smq_ending_write(const struct smq_suite *suite, const struct smq_once *once, uint8_t header,
                                        const uint8_t cid[SMQ_CID_LEN], const uint8_t th3[SMQ_HASH_LEN], uint8_t status,
                                        smqtt_ms ts, uint8_t body[SMQ_ENDING_LEN]);
/** SMQTT_E_MALFORMED, SMQTT_E_BAD_TAG. */
SMQ_MUST_USE smqtt_err smq_ending_read(const struct smq_suite *suite, const struct smq_once *once, uint8_t header,
                                       const uint8_t cid[SMQ_CID_LEN], const uint8_t th3[SMQ_HASH_LEN], smq_span body,
                                       uint8_t *status, smqtt_ms *ts);

struct smq_retry {
    uint8_t suite_id;
    uint8_t cid[SMQ_CID_LEN];
    uint8_t code;
    smqtt_ms ts2;
    smq_span cookie;
    uint16_t suites;
};
/** Returns the length of the body. */
size_t smq_retry_write(const struct smq_retry *retry, uint8_t body[SMQ_RETRY_MAX]);
/** SMQTT_E_MALFORMED. The cookie lies in the body. */
SMQ_MUST_USE smqtt_err smq_retry_read(smq_span body, struct smq_retry *out);

#endif
