/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_PAPER_CURVE_H
#define SMQTT_PAPER_CURVE_H
/**
 * @file curve.h
 * The elliptic curve of the paper's own scheme: small enough that a table of all its points is found by trying all
 * pairs (x, y), and therefore worth nothing as protection. Arithmetic of points by libcrypto.
 *
 *     y^2 = x^3 + 2x + 8 over GF(12007), 12,043 points, a prime number
 *
 * A point is written as one decimal number of at most five digits, as in the paper's Figure 3: 2x, plus 1 if y is odd.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ec.h>

enum {
    PAPER_P = 12007, /**< the field */
    PAPER_A = 2,     /**< the curve */
    PAPER_B = 8,
    PAPER_N = 12043,             /**< number of points, with the one at infinity */
    PAPER_INFINITY = 2 * PAPER_P /**< the number of the point at infinity */
};

/** The curve, the table of its points, and libcrypto's objects. */
struct paper_curve {
    EC_GROUP *group;
    BN_CTX *bn;
    EC_POINT *p, *q;   /**< operands */
    BIGNUM *x, *y, *k; /**< operands */
    uint16_t *y_of;    /**< by number: y of the point, PAPER_P where there is none */
    uint32_t *table;   /**< the numbers of the points, in the order in which they were found */
    size_t n;          /**< points in the table */
    uint32_t g;        /**< the generator */
};

/** Makes the curve and builds its table. Ends the program when memory or libcrypto fails, as everything here. */
void paper_curve_init(struct paper_curve *c);
void paper_curve_deinit(struct paper_curve *c);
/** Builds the table anew, by trying all pairs: the paper's encoding delay. */
void paper_curve_build(struct paper_curve *c);
/** Is this the number of a point (infinity included)? */
bool paper_curve_has(const struct paper_curve *c, uint32_t point);
uint32_t paper_curve_add(struct paper_curve *c, uint32_t a, uint32_t b);
/** The point mirrored at the x axis. */
uint32_t paper_curve_negate(const struct paper_curve *c, uint32_t a);
/** k times the point. */
uint32_t paper_curve_mul(struct paper_curve *c, uint32_t k, uint32_t a);
/** A random number from 1 to PAPER_N - 1, of libcrypto's generator. */
uint32_t paper_curve_random(void);
/** a * b modulo PAPER_N, and the inverse of a that is not 0. */
uint32_t paper_curve_mul_mod(uint32_t a, uint32_t b);
uint32_t paper_curve_invert(uint32_t a);
/** Ends the program with one sentence. */
_Noreturn void paper_die(const char *what);

#endif
