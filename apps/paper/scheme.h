/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_PAPER_SCHEME_H
#define SMQTT_PAPER_SCHEME_H
/**
 * @file scheme.h
 * The paper's Enc, Dec, Hash, Sig and Ver, and its three texts of numbers in braces. For study; none of it protects.
 *
 *     encoding   byte b is the point number b of the table
 *     Enc        for each byte k is fresh: C1 = kG, C2 = M + k pk, written {C1}{C2}
 *     Sig        ECDSA with the same key on the same curve, over SHA-1, written {r}{s}
 */
#include "curve.h"

enum {
    PAPER_M_MAX = 400,                         /**< bytes of the longest message */
    PAPER_POINTS_MAX = 2 * PAPER_M_MAX,        /**< points of the longest ciphertext */
    PAPER_TEXT_MAX = 7 * PAPER_POINTS_MAX + 1, /**< bytes of the longest text of numbers in braces, with its zero */
    PAPER_SIG_MAX = 25,                        /**< room for a signature, with its zero */
    PAPER_HASH_LEN = 20
};

/** Bytes that are sent, or held. */
struct paper_bytes {
    uint8_t at[PAPER_M_MAX];
    size_t len;
};

/** Points; of a message, or of a ciphertext: C1, C2, C1, C2, ... */
struct paper_points {
    uint32_t at[PAPER_POINTS_MAX];
    size_t n;
};

/** Copies a zero-terminated text of at most PAPER_M_MAX bytes. */
struct paper_bytes paper_bytes_of(const char *text);
bool paper_bytes_equal(const struct paper_bytes *a, const struct paper_bytes *b);

/** The points of the bytes. */
void paper_encode(const struct paper_curve *c, const struct paper_bytes *m, struct paper_points *out);
/** The bytes of the points; false when one of them stands for no byte. */
bool paper_decode(const struct paper_curve *c, const struct paper_points *points, struct paper_bytes *out);
/** Encrypts encoded bytes under a public key, with a k of its own for each. */
void paper_encrypt(struct paper_curve *c, uint32_t pk, const struct paper_points *m, struct paper_points *out);
/** As above with one k for all: C1, then one C2 for each byte. That is what gives one number for a byte, as printed in
 * the paper. */
void paper_encrypt_one_k(struct paper_curve *c, uint32_t pk, const struct paper_points *m, struct paper_points *out);
/** Decrypts what paper_encrypt made; false when the number of points is odd. */
bool paper_decrypt(struct paper_curve *c, uint32_t sk, const struct paper_points *in, struct paper_points *out);

/** Writes points as numbers in braces, zero-terminated. Returns the bytes without the zero. */
size_t paper_write(const struct paper_points *points, char out[PAPER_TEXT_MAX]);
/** Reads numbers in braces; false unless all are points of the curve. */
bool paper_read(const struct paper_curve *c, const char *text, size_t len, struct paper_points *out);

void paper_hash(const struct paper_bytes *m, uint8_t out[PAPER_HASH_LEN]);
/** Signs a hash; the text is zero-terminated. */
void paper_sign(struct paper_curve *c, uint32_t sk, const uint8_t hash[PAPER_HASH_LEN], char out[PAPER_SIG_MAX]);
bool paper_verify(struct paper_curve *c, uint32_t pk, const uint8_t hash[PAPER_HASH_LEN], const char *sig, size_t len);

#endif
