/* SPDX-License-Identifier: Apache-2.0 */
#include "curve.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/rand.h>

_Noreturn void paper_die(const char *what)
{
    fprintf(stderr, "smqtt-paper: %s failed; free some memory, or look at the versions of libcrypto.\n", what);
    exit(2);
}

static void must(bool good, const char *what)
{
    if (!good) {
        paper_die(what);
    }
}

static bool is_point(uint32_t x, uint32_t y)
{
    uint32_t rhs = (x * x % PAPER_P * x + PAPER_A * x + PAPER_B) % PAPER_P;
    return y * y % PAPER_P == rhs;
}

static void found(struct paper_curve *c, uint32_t x, uint32_t y)
{
    uint32_t number = 2 * x + (y & 1);
    c->y_of[number] = (uint16_t)y;
    c->table[c->n++] = number;
}

void paper_curve_build(struct paper_curve *c)
{
    c->n = 0;
    for (uint32_t i = 0; i <= PAPER_INFINITY; i++) {
        c->y_of[i] = PAPER_P;
    }
    for (uint32_t x = 0; x < PAPER_P; x++) {
        /* The other half of the points mirrors this one. */
        for (uint32_t y = 0; y <= PAPER_P / 2; y++) {
            if (is_point(x, y)) {
                found(c, x, y);
                if (y != 0) {
                    found(c, x, PAPER_P - y);
                }
            }
        }
    }
    must(c->n == PAPER_N - 1, "counting the points of the curve");
}

static void make_group(struct paper_curve *c)
{
    BIGNUM *p = BN_new();
    BIGNUM *a = BN_new();
    BIGNUM *b = BN_new();
    must(p != NULL && a != NULL && b != NULL && BN_set_word(p, PAPER_P) == 1 && BN_set_word(a, PAPER_A) == 1 &&
             BN_set_word(b, PAPER_B) == 1,
         "BN_set_word");
    c->group = EC_GROUP_new_curve_GFp(p, a, b, c->bn);
    must(c->group != NULL, "EC_GROUP_new_curve_GFp");
    BN_free(p);
    BN_free(a);
    BN_free(b);
}

/** Loads a point, which is not the one at infinity, or that one. */
static void load(struct paper_curve *c, uint32_t number, EC_POINT *out)
{
    must(paper_curve_has(c, number), "looking up a point");
    if (number == PAPER_INFINITY) {
        must(EC_POINT_set_to_infinity(c->group, out) == 1, "EC_POINT_set_to_infinity");
        return;
    }
    must(BN_set_word(c->x, number / 2) == 1 && BN_set_word(c->y, c->y_of[number]) == 1 &&
             EC_POINT_set_affine_coordinates(c->group, out, c->x, c->y, c->bn) == 1,
         "EC_POINT_set_affine_coordinates");
}

static uint32_t store(struct paper_curve *c, const EC_POINT *point)
{
    if (EC_POINT_is_at_infinity(c->group, point)) {
        return PAPER_INFINITY;
    }
    must(EC_POINT_get_affine_coordinates(c->group, point, c->x, c->y, c->bn) == 1, "EC_POINT_get_affine_coordinates");
    return (uint32_t)(2 * BN_get_word(c->x)) + (uint32_t)BN_is_odd(c->y);
}

void paper_curve_init(struct paper_curve *c)
{
    *c = (struct paper_curve){.bn = BN_CTX_new(), .x = BN_new(), .y = BN_new(), .k = BN_new()};
    must(c->bn != NULL && c->x != NULL && c->y != NULL && c->k != NULL, "BN_new");
    make_group(c);
    c->p = EC_POINT_new(c->group);
    c->q = EC_POINT_new(c->group);
    c->y_of = calloc(PAPER_INFINITY + 1, sizeof(*c->y_of));
    c->table = calloc(PAPER_N, sizeof(*c->table));
    must(c->p != NULL && c->q != NULL && c->y_of != NULL && c->table != NULL, "taking memory");
    paper_curve_build(c);
    /* The order is a prime number: every point but infinity generates all of them. */
    c->g = c->table[0];
    load(c, c->g, c->p);
    must(BN_set_word(c->k, PAPER_N) == 1 && EC_GROUP_set_generator(c->group, c->p, c->k, BN_value_one()) == 1,
         "EC_GROUP_set_generator");
}

void paper_curve_deinit(struct paper_curve *c)
{
    free(c->table);
    free(c->y_of);
    EC_POINT_free(c->q);
    EC_POINT_free(c->p);
    EC_GROUP_free(c->group);
    BN_free(c->k);
    BN_free(c->y);
    BN_free(c->x);
    BN_CTX_free(c->bn);
}

bool paper_curve_has(const struct paper_curve *c, uint32_t point)
{
    return point == PAPER_INFINITY || (point < PAPER_INFINITY && c->y_of[point] != PAPER_P);
}

uint32_t paper_curve_add(struct paper_curve *c, uint32_t a, uint32_t b)
{
    load(c, a, c->p);
    load(c, b, c->q);
    must(EC_POINT_add(c->group, c->p, c->p, c->q, c->bn) == 1, "EC_POINT_add");
    return store(c, c->p);
}

uint32_t paper_curve_negate(const struct paper_curve *c, uint32_t a)
{
    /* p is odd, so y and p - y differ in their last bit; y = 0 is its own mirror. */
    return a == PAPER_INFINITY || c->y_of[a] == 0 ? a : a ^ 1U;
}

uint32_t paper_curve_mul(struct paper_curve *c, uint32_t k, uint32_t a)
{
    load(c, a, c->q);
    must(BN_set_word(c->k, k) == 1 && EC_POINT_mul(c->group, c->p, NULL, c->q, c->k, c->bn) == 1, "EC_POINT_mul");
    return store(c, c->p);
}

uint32_t paper_curve_random(void)
{
    uint32_t k = 0;
    do {
        must(RAND_bytes((unsigned char *)&k, sizeof(k)) == 1, "RAND_bytes");
        k &= 0x3FFF;
    } while (k == 0 || k >= PAPER_N);
    return k;
}

uint32_t paper_curve_mul_mod(uint32_t a, uint32_t b)
{
    return (uint32_t)((uint64_t)a * b % PAPER_N);
}

uint32_t paper_curve_invert(uint32_t a)
{
    uint32_t out = 1;
    for (uint32_t e = PAPER_N - 2; e != 0; e >>= 1) { /* Fermat: the modulus is a prime number */
        out = (e & 1) != 0 ? paper_curve_mul_mod(out, a) : out;
        a = paper_curve_mul_mod(a, a);
    }
    return out;
}
