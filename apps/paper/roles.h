/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_PAPER_ROLES_H
#define SMQTT_PAPER_ROLES_H
/**
 * @file roles.h
 * The paper's client and server, step by step (its Tables 2 to 5 and section 3.3). Bytes in, bytes out; the time is an
 * argument, in microseconds since 1970.
 *
 *     0x01, at the server 0x03   0xD0, ts1 u64, Hash(M)[20], C in braces        Enc. and send; Dec. and save
 *     0x04, 0x0C                 0xD0, ts2 u64, sigma in braces                 Sig.; the flag is in the header
 *     0x07, 0x0F                 0xD0, verdict u8                               Ver. and report
 *
 * The paper leaves the bytes open; these are the plainest that hold what it names.
 */
#include "scheme.h"

enum { PAPER_VER = 0xD0, PAPER_BODY_MAX = 29 + PAPER_TEXT_MAX, PAPER_LIMIT_US = 1000000 };

/** How an end treats text. */
enum paper_text {
    PAPER_UTF8,  /**< follows the standard: what is ill-formed is not held */
    PAPER_ASCII, /**< has another character set: what is not in it is garbled */
    PAPER_ANY    /**< ignores UTF-8: bytes are bytes */
};

/** A DETECT packet without its remaining length. */
struct paper_packet {
    uint8_t header;
    uint8_t body[PAPER_BODY_MAX];
    size_t len;
};

struct paper_client {
    struct paper_curve *curve;
    uint32_t pk;
    enum paper_text text;
    struct paper_bytes m;
    uint8_t hash[PAPER_HASH_LEN];
    uint64_t ts1, ts2;
    bool verified, in_time;
};

/** What the server saves in step 1. */
struct paper_server {
    struct paper_curve *curve;
    uint32_t sk, pk;
    enum paper_text text;
    struct paper_bytes held;      /**< M', as this server holds it */
    uint8_t hash[PAPER_HASH_LEN]; /**< of it */
    uint64_t ts1, ts2;
    unsigned saved;      /**< how often something was saved */
    unsigned signatures; /**< and signed */
    unsigned confirmed;  /**< and confirmed by what said to be the client */
    bool verdict;
};

/** Is this the UTF-8 that MQTT allows? Strict: RFC 3629, and no U+0000. */
bool paper_is_utf8(const struct paper_bytes *m);
/** What an end holds of these bytes. */
void paper_hold(enum paper_text text, const struct paper_bytes *in, struct paper_bytes *out);

/** A server with new keys. */
void paper_server_init(struct paper_server *s, struct paper_curve *curve, enum paper_text text);
/** Step 0. False when the client follows the standard and M is ill-formed: nothing is sent. */
bool paper_client_start(struct paper_client *c, const struct paper_bytes *m, uint64_t now, struct paper_packet *out);
/** Step 2 came: makes step 3, whose verdict is returned. */
bool paper_client_answer(struct paper_client *c, const struct paper_packet *in, uint64_t now, struct paper_packet *out);
/** Step 1: decrypts, saves, signs; makes step 2. False when it cannot be decrypted: the access ends without answer. */
bool paper_server_answer(struct paper_server *s, const struct paper_packet *in, uint64_t now, struct paper_packet *out);
/** Step 3 came. Returns the verdict; false, too, when it is malformed. */
bool paper_server_end(struct paper_server *s, const struct paper_packet *in);

/** Parts of bodies, for those who stand between. */
void paper_put_time(uint8_t out[8], uint64_t time);
uint64_t paper_get_time(const uint8_t in[8]);

#endif
