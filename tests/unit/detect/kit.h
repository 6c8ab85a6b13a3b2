/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_DETECT_KIT_H
#define SMQTT_TESTS_DETECT_KIT_H
/* For the tests of detect: whole handshakes from fixed keys, and the formulas of protocol.md 2 written a second time,
 * straight over the cryptographic library and not through detect/schedule.c. */
#include "../test.h"
#include "detect/channel.h"

enum kit_kind { KIT_ANON, KIT_MUTUAL, KIT_LOOKUP, KIT_PSK, KIT_KINDS };

enum { KIT_TS1 = 1700000000, KIT_WINDOW = 128, KIT_REKEY = 3000, KIT_TEXT_MAX = 512 };

/** One handshake and what both sides know after each step. */
struct kit {
    const struct smq_suite *suite;
    enum kit_kind kind;
    struct smqtt_identity *server;
    struct smqtt_identity *client; /* NULL without credential */
    uint8_t cid[SMQ_CID_LEN];
    uint8_t sk_e1[SMQ_SK_LEN], sk_x[SMQ_SK_LEN], sk_e2[SMQ_SK_LEN];
    uint8_t psk[SMQ_PSK_MIN];
    struct smq_step0_plan plan;
    uint8_t packet[SMQ_PACKET_MAX];
    size_t packet_len;
    uint8_t pt[SMQ_PACKET_MAX];
    struct smq_step0 step0;
    struct smq_hello hello;
    struct smq_hs c0, s0; /* after step 0 */
    struct smq_reply reply, got_reply;
    uint8_t header2;
    uint8_t body2[SMQ_STEP2_MAX];
    size_t body2_len;
    struct smq_hs c2, s2; /* after step 2 */
    struct smq_verdict verdict, got_verdict;
    uint8_t header3;
    uint8_t body3[SMQ_STEP3_MAX];
    size_t body3_len;
    struct smq_master c3, s3;
};

/** Bytes of the test's generator. */
void kit_fill(uint64_t *seed, uint8_t *out, size_t len);
/** An identity with keys from the seed. Free it. */
struct smqtt_identity *kit_identity(const struct smq_suite *suite, const char *name, uint64_t seed);
/** Identities and plan; nothing is written yet. Identities of the same suite are the same for every seed. */
void kit_init(struct kit *kit, uint8_t suite_id, enum kit_kind kind, uint64_t seed);
/** Step 0 written and opened. */
void kit_step0(struct kit *kit);
/** Step 2 (flag of kit->reply) written and read. */
void kit_step2(struct kit *kit);
/** Step 3 (kit->verdict) written and read. */
void kit_step3(struct kit *kit);
/** All of it. */
void kit_run(struct kit *kit, uint8_t suite_id, enum kit_kind kind, uint64_t seed);
/** A session of a side after kit_run. Free it. */
struct smq_channel *kit_session(const struct kit *kit, bool of_client, uint16_t window, uint32_t rekey);
void kit_deinit(struct kit *kit);

/** SHA-256 of the parts. */
void kit_hash(const smq_span *parts, size_t n, uint8_t out[SMQ_HASH_LEN]);
/** HKDF-Expand(secret, "S-MQTT/1 " label 00 context, len). */
void kit_expand(const uint8_t *secret, const char *label, smq_span context, uint8_t *out, size_t len);
/** What is signed: 64 spaces, "S-MQTT/1 ", label, 00, content. Returns its length. */
size_t kit_signed(const char *label, smq_span content, uint8_t out[KIT_TEXT_MAX]);

#endif
