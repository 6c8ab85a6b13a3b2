/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks on what is encrypted and hashed. */
#include "attacks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shattered.h"

void paper_lab_init(struct paper_lab *lab, struct paper_curve *curve)
{
    *lab = (struct paper_lab){.curve = curve, .now = 1579681883692150};
    paper_server_init(&lab->server, curve, PAPER_UTF8);
    lab->client = (struct paper_client){.curve = curve, .pk = lab->server.pk, .text = PAPER_UTF8};
}

struct paper_packet paper_lab_step0(struct paper_lab *lab, const char *text)
{
    struct paper_packet step0 = {0};
    struct paper_bytes m = paper_bytes_of(text);
    if (!paper_client_start(&lab->client, &m, lab->now, &step0)) {
        paper_die("making step 0");
    }
    return step0;
}

bool paper_lab_play(struct paper_lab *lab, const char *text)
{
    struct paper_packet step2;
    struct paper_packet step3;
    struct paper_packet step0 = paper_lab_step0(lab, text);
    return paper_server_answer(&lab->server, &step0, lab->now + 10, &step2) &&
           paper_client_answer(&lab->client, &step2, lab->now + 20, &step3) && paper_server_end(&lab->server, &step3);
}

/** Reads the text of step 0's ciphertext. */
static struct paper_points cipher_of(const struct paper_lab *lab, const struct paper_packet *step0)
{
    struct paper_points out;
    if (!paper_read(lab->curve, (const char *)step0->body + 29, step0->len - 29, &out)) {
        paper_die("reading a ciphertext");
    }
    return out;
}

static void set_cipher(struct paper_packet *step0, const struct paper_points *cipher)
{
    step0->len = 29 + paper_write(cipher, (char *)step0->body + 29);
}

/** W1: the hash of M is a test for every guess. */
static bool guess(struct paper_lab *lab)
{
    static const char *const words[] = {"おはよう", "こんにちは", "あいうえお", "かきくけこ"};
    struct paper_packet seen = paper_lab_step0(lab, "あいうえお");
    uint8_t hash[PAPER_HASH_LEN];
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct paper_bytes m = paper_bytes_of(words[i]);
        paper_hash(&m, hash);
        if (memcmp(hash, seen.body + 9, sizeof(hash)) == 0) {
            snprintf(lab->note, sizeof(lab->note), "the %zu. guess, %s, has the hash that was sent", i + 1, words[i]);
            return strcmp(words[i], "あいうえお") == 0;
        }
    }
    return false;
}

/** W9: a point added to C2 is added to the plaintext. */
static bool shift(struct paper_lab *lab)
{
    struct paper_packet step0 = paper_lab_step0(lab, "door 0");
    struct paper_packet step2;
    struct paper_points cipher = cipher_of(lab, &step0);
    uint32_t difference =
        paper_curve_add(lab->curve, lab->curve->table['1'], paper_curve_negate(lab->curve, lab->curve->table['0']));
    uint32_t *last = &cipher.at[cipher.n - 1];
    *last = paper_curve_add(lab->curve, *last, difference);
    set_cipher(&step0, &cipher);
    struct paper_bytes want = paper_bytes_of("door 1");
    bool saved = paper_server_answer(&lab->server, &step0, lab->now + 10, &step2);
    snprintf(lab->note, sizeof(lab->note), "door 0 was sent, the server saved %.*s", (int)lab->server.held.len,
             (const char *)lab->server.held.at);
    return saved && paper_bytes_equal(&lab->server.held, &want);
}

/** W9: with one k for all bytes, differences of the ciphertext are those of the plaintext: no key is needed. */
static bool differences(struct paper_lab *lab)
{
    struct paper_bytes m = paper_bytes_of("pin 4711");
    struct paper_points points;
    struct paper_points cipher;
    unsigned fits = 0;
    struct paper_bytes got = {.len = 0};
    paper_encode(lab->curve, &m, &points);
    paper_encrypt_one_k(lab->curve, lab->server.pk, &points, &cipher);
    for (unsigned first = ' '; first < 0x7F; first++) { /* the first byte is guessed, the others follow from it */
        struct paper_points back = {.n = m.len};
        struct paper_bytes bytes;
        uint32_t minus = paper_curve_negate(lab->curve, cipher.at[1]);
        for (size_t i = 0; i < m.len; i++) {
            uint32_t difference = paper_curve_add(lab->curve, cipher.at[i + 1], minus);
            back.at[i] = paper_curve_add(lab->curve, lab->curve->table[first], difference);
        }
        if (paper_decode(lab->curve, &back, &bytes)) {
            fits++;
            got = bytes;
        }
    }
    snprintf(lab->note, sizeof(lab->note), "without any key, %u of 95 first letters fit: %.*s", fits, (int)got.len,
             (const char *)got.at);
    return fits == 1 && paper_bytes_equal(&got, &m);
}

struct step {
    uint32_t point, k;
};

static int by_point(const void *a, const void *b)
{
    const struct step *x = a;
    const struct step *y = b;
    return (x->point > y->point) - (x->point < y->point);
}

enum { GIANT = 110 }; /* its square is above PAPER_N */

/** The k with kG = point: baby steps, giant steps. */
static uint32_t logarithm(struct paper_curve *c, uint32_t point, unsigned *operations)
{
    struct step baby[GIANT];
    uint32_t at = PAPER_INFINITY;
    for (uint32_t k = 0; k < GIANT; k++) {
        baby[k] = (struct step){at, k};
        at = paper_curve_add(c, at, c->g);
        (*operations)++;
    }
    qsort(baby, GIANT, sizeof(baby[0]), by_point);
    uint32_t giant = paper_curve_negate(c, at);
    for (uint32_t i = 0; i < GIANT; i++) {
        struct step key = {point, 0};
        const struct step *hit = bsearch(&key, baby, GIANT, sizeof(baby[0]), by_point);
        if (hit != NULL) {
            return i * GIANT + hit->k;
        }
        point = paper_curve_add(c, point, giant);
        (*operations)++;
    }
    return 0;
}

/** W10: the private key from the public one. */
static bool discrete_log(struct paper_lab *lab)
{
    unsigned operations = 0;
    uint32_t sk = logarithm(lab->curve, lab->server.pk, &operations);
    snprintf(lab->note, sizeof(lab->note), "the private key, %u, after %u additions of points", sk, operations);
    return sk == lab->server.sk;
}

/** W7: that one number decrypts and signs. */
static bool one_key(struct paper_lab *lab)
{
    unsigned operations = 0;
    uint32_t stolen = logarithm(lab->curve, lab->server.pk, &operations);
    struct paper_packet step0 = paper_lab_step0(lab, "secret");
    struct paper_points cipher = cipher_of(lab, &step0);
    struct paper_points points;
    struct paper_bytes m;
    uint8_t hash[PAPER_HASH_LEN];
    char sig[PAPER_SIG_MAX];
    bool read = paper_decrypt(lab->curve, stolen, &cipher, &points) && paper_decode(lab->curve, &points, &m) &&
                paper_bytes_equal(&m, &lab->client.m);
    struct paper_bytes own = paper_bytes_of("never seen by the server");
    paper_hash(&own, hash);
    paper_sign(lab->curve, stolen, hash, sig);
    snprintf(lab->note, sizeof(lab->note), "the key taken from ciphertexts signs as the server: %s", sig);
    return read && paper_verify(lab->curve, lab->server.pk, hash, sig, strlen(sig));
}

/** W8: what was recorded is read when the key is known one day. */
static bool later(struct paper_lab *lab)
{
    struct paper_packet recorded = paper_lab_step0(lab, "recorded today");
    struct paper_points cipher = cipher_of(lab, &recorded);
    struct paper_points points;
    struct paper_bytes m;
    uint32_t lost_next_year = lab->server.sk;
    bool read = paper_decrypt(lab->curve, lost_next_year, &cipher, &points) && paper_decode(lab->curve, &points, &m);
    snprintf(lab->note, sizeof(lab->note), "with the key lost later: %s",
             read ? "all of the recorded message" : "nothing");
    return read && paper_bytes_equal(&m, &lab->client.m);
}

static struct paper_bytes from_hex(const char *head, const char *tail)
{
    struct paper_bytes out = {.len = 0};
    const char *parts[] = {head, tail};
    for (size_t p = 0; p < 2; p++) {
        for (const char *at = parts[p]; *at != '\0'; at += 2) {
            char pair[3] = {at[0], at[1], '\0'};
            out.at[out.len++] = (uint8_t)strtoul(pair, NULL, 16);
        }
    }
    return out;
}

/** W11: two messages, one signature. */
static bool collision(struct paper_lab *lab)
{
    struct paper_bytes a = from_hex(SHATTERED_HEAD, SHATTERED_A);
    struct paper_bytes b = from_hex(SHATTERED_HEAD, SHATTERED_B);
    struct paper_packet step0;
    struct paper_packet other;
    struct paper_packet step2;
    struct paper_packet step3;
    lab->client.text = lab->server.text = PAPER_ANY;
    struct paper_client attacker = lab->client;
    bool sent = paper_client_start(&lab->client, &a, lab->now, &step0) &&
                paper_client_start(&attacker, &b, lab->now, &other); /* takes the place of the client's */
    bool confirmed = sent && paper_server_answer(&lab->server, &other, lab->now + 10, &step2) &&
                     paper_client_answer(&lab->client, &step2, lab->now + 20, &step3) &&
                     paper_server_end(&lab->server, &step3);
    unsigned differ = 0;
    for (size_t i = 0; i < a.len; i++) {
        differ += a.at[i] != b.at[i] ? 1 : 0;
    }
    snprintf(lab->note, sizeof(lab->note), "confirmed, though %u of the server's %zu bytes are not the client's",
             differ, lab->server.held.len);
    return confirmed && !paper_bytes_equal(&a, &lab->server.held) && paper_bytes_equal(&b, &lab->server.held);
}

/** W19: the server tells whether a guess at a ciphertext is right. */
static bool oracle(struct paper_lab *lab)
{
    struct paper_packet seen = paper_lab_step0(lab, "7");
    struct paper_packet step2;
    char text[2] = {0};
    for (unsigned b = '0'; b <= '9'; b++) {
        text[0] = (char)b;
        struct paper_bytes m = paper_bytes_of(text);
        struct paper_packet probe = seen;
        paper_hash(&m, probe.body + 9); /* the hash of the guess beside the ciphertext of another */
        if (paper_server_answer(&lab->server, &probe, lab->now + 10, &step2) && step2.header == 0x0C) {
            snprintf(lab->note, sizeof(lab->note), "the flag says that the digit is %s, after %u questions", text,
                     b - '0' + 1);
            return b == '7';
        }
    }
    return false;
}

const struct paper_attack paper_attacks_text[] = {
    {"W1", "guess what the clear hash belongs to", guess},
    {"W7", "sign with the key that decrypts", one_key},
    {"W8", "read a recording with a key lost later", later},
    {"W9a", "shift the plaintext without the key", shift},
    {"W9b", "read from differences when one k serves all bytes", differences},
    {"W10", "take the discrete logarithm of the public key", discrete_log},
    {"W11", "swap the message for one with the same hash", collision},
    {"W19", "let the server's reaction confirm a guess", oracle},
    {NULL, NULL, NULL},
};
