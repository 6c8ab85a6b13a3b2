/* SPDX-License-Identifier: Apache-2.0 */
/* The attacks on what is encrypted, hashed and signed, tried on S-MQTT 1.0. */
#include "beside.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "shattered.h"

static void digest(const EVP_MD *md, const void *data, size_t len, uint8_t out[32])
{
    if (EVP_Digest(data, len, out, NULL, md, NULL) != 1) {
        beside_must(SMQTT_E_CRYPTO, "a hash");
    }
}

static bool shows_hash(const struct beside_lab *lab, const char *text)
{
    uint8_t sha1[32];
    uint8_t sha256[32];
    const struct beside_bytes *const seen[] = {&lab->step0, &lab->step2, &lab->step3};
    digest(EVP_sha1(), text, strlen(text), sha1);
    digest(EVP_sha256(), text, strlen(text), sha256);
    for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
        if (beside_has(seen[i], sha1, 20) || beside_has(seen[i], sha256, 32) ||
            beside_has(seen[i], text, strlen(text))) {
            return true;
        }
    }
    return false;
}

static bool guess(struct beside_lab *lab)
{
    static const char *const words[] = {"おはよう", "こんにちは", "あいうえお", "かきくけこ"};
    bool shown = !beside_play(lab, "あいうえお");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        shown = shown || shows_hash(lab, words[i]);
    }
    snprintf(lab->note, sizeof(lab->note), "no guess, and no hash of one, is among the %zu bytes of steps 0, 2 and 3",
             lab->step0.len + lab->step2.len + lab->step3.len);
    return !shown;
}

/** Text of the server's private file with the `sign:` line of another. */
static void mix(const char *victim, const char *thief, char *out, size_t cap)
{
    const char *sign = strstr(victim, "sign: ");
    const char *own = strstr(thief, "sign: ");
    if (sign == NULL || own == NULL) {
        beside_must(SMQTT_E_BAD_IDENTITY, "a private file");
        return;
    }
    snprintf(out, cap, "%.*s%s", (int)(sign - victim), victim, own);
}

static bool one_key(struct beside_lab *lab)
{
    char victim[SMQTT_IDENTITY_TEXT_MAX];
    char thief[SMQTT_IDENTITY_TEXT_MAX];
    static char mixed[2 * SMQTT_IDENTITY_TEXT_MAX];
    struct smqtt_identity *as_victim = NULL;
    beside_must(smqtt_identity_private_text(lab->server, victim, sizeof(victim)), "a private file");
    beside_must(smqtt_identity_private_text(lab->mallory, thief, sizeof(thief)), "a private file");
    mix(victim, victim, mixed, sizeof(mixed)); /* unharmed, it is taken */
    beside_must(smqtt_identity_read(NULL, beside_span(mixed), &as_victim), "reading the private file");
    smqtt_identity_free(as_victim);
    mix(victim, thief, mixed, sizeof(mixed));
    smqtt_err err = smqtt_identity_read(NULL, beside_span(mixed), &as_victim);
    snprintf(lab->note, sizeof(lab->note), "the key that decrypts is no key that signs; with another beside it: %s",
             smqtt_strerror(err));
    if (err == SMQTT_OK) {
        smqtt_identity_free(as_victim);
    }
    return err != SMQTT_OK;
}

static bool later(struct beside_lab *lab)
{
    struct beside_bytes record;
    static struct beside_said said;
    bool sound = beside_play(lab, "valve closed");
    beside_seal(lab, "recorded today", &record);
    /* The thief has both private keys of the server, and all bytes. He does not have what the server has wiped. */
    struct smqtt_opener *thief = beside_server(lab, lab->server);
    beside_to_server(lab, thief, 0x01, &lab->step0, &said);
    bool step0_read = said.header == 0x0C; /* protocol.md 1: not protected against the later loss of this key */
    beside_to_server(lab, thief, lab->header3, &lab->step3, &said);
    bool open = said.open;
    beside_deliver(lab, thief, &record, &said);
    bool read = said.messages != 0;
    smqtt_err why = said.why;
    smqtt_opener_free(thief);
    beside_deliver(lab, lab->opener, &record, &said);
    snprintf(lab->note, sizeof(lab->note), "with both keys of the server: %s (he can read the text of step 0 only)",
             smqtt_strerror(why));
    return sound && step0_read && !open && !read && said.messages == 1;
}

static bool shift(struct beside_lab *lab)
{
    struct beside_bytes changed;
    struct beside_bytes record;
    static struct beside_said said;
    unsigned taken = 0;
    beside_start(lab, lab->sealer, "door 0", &lab->step0);
    for (size_t i = 0; i < lab->step0.len; i++) {
        changed = lab->step0;
        changed.at[i] ^= 1;
        beside_to_server(lab, lab->opener, 0x01, &changed, &said);
        taken += said.detect && said.header != 0x02 ? 1 : 0;
    }
    struct smqtt_sealer *fresh = beside_client(lab, lab->alice);
    smqtt_sealer_free(lab->sealer);
    lab->sealer = fresh;
    bool sound = beside_play(lab, "door 0");
    beside_seal(lab, "door 0", &record);
    for (size_t i = 0; i < record.len; i++) {
        changed = record;
        changed.at[i] ^= 1;
        beside_deliver(lab, lab->opener, &changed, &said);
        taken += said.messages;
    }
    beside_deliver(lab, lab->opener, &record, &said);
    snprintf(lab->note, sizeof(lab->note), "each byte of step 0 (%zu) and of the record (%zu) changed: none was taken",
             lab->step0.len, record.len);
    return sound && taken == 0 && said.messages == 1;
}

static bool differences(struct beside_lab *lab)
{
    static const char *const text = "pin 4711 pin 4711 pin 4711 pin 4711";
    struct beside_bytes a;
    struct beside_bytes b;
    bool sound = beside_play(lab, text);
    size_t like = 0;
    beside_seal(lab, text, &a);
    beside_seal(lab, text, &b);
    const size_t head = 6; /* first byte, kid, number */
    for (size_t i = 0; i < strlen(text); i++) {
        like += (a.at[head + i] ^ b.at[head + i]) == 0 ? 1 : 0;                      /* one key stream twice */
        like += (a.at[head + i] ^ a.at[head + (i + 9) % strlen(text)]) == 0 ? 1 : 0; /* equal for equal */
    }
    snprintf(lab->note, sizeof(lab->note), "equal letters give equal bytes %zu times in %zu places, as chance would",
             like, 2 * strlen(text));
    return sound && a.len == b.len && like < strlen(text) / 2;
}

/** A descriptor that its maker signed himself, of mallory's, with these 32 bytes as public KEM key. */
static smqtt_err offer(struct beside_lab *lab, const uint8_t kem[32])
{
    struct smqtt_identity *out = NULL;
    struct smqtt_span descriptor = smqtt_identity_descriptor(lab->mallory);
    uint8_t core[256];
    uint8_t signed_part[128];
    uint8_t seed[32];
    uint8_t public_key[32];
    size_t len = sizeof(public_key);
    size_t at = 24 + 1 + strlen("mallory"); /* protocol.md 3 */
    size_t core_len = descriptor.len - 64;
    memcpy(core, descriptor.data, core_len);
    if (kem != NULL) {
        memcpy(core + at, kem, 32);
    }
    beside_must(lab->rng.fill(lab->rng.ctx, seed, sizeof(seed)) ? SMQTT_OK : SMQTT_E_RNG, "random bytes");
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    memset(signed_part, ' ', 64);
    memcpy(signed_part + 64, "S-MQTT/1 descriptor", 20);
    bool good = key != NULL && ctx != NULL && EVP_PKEY_get_raw_public_key(key, public_key, &len) == 1;
    memcpy(core + at + 32, public_key, 32);
    digest(EVP_sha256(), core, core_len, signed_part + 84);
    len = 64;
    good = good && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestSign(ctx, core + core_len, &len, signed_part, 84 + 32) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    beside_must(good ? SMQTT_OK : SMQTT_E_CRYPTO, "signing a descriptor");
    smqtt_err err = smqtt_identity_read_descriptor(NULL, (struct smqtt_span){core, core_len + 64}, &out);
    if (err == SMQTT_OK) {
        smqtt_identity_free(out);
    }
    return err;
}

/** Nobody takes a logarithm on this curve; the one way to know it is to offer a point of small order. */
static bool discrete_log(struct beside_lab *lab)
{
    static const uint8_t zero[32] = {0};
    static const uint8_t one[32] = {1};
    smqtt_err as_made = offer(lab, NULL);
    smqtt_err err = offer(lab, zero);
    smqtt_err err_one = offer(lab, one);
    snprintf(lab->note, sizeof(lab->note),
             "2^126 additions instead of 2^7; a key of small order, well signed, is refused: %s", smqtt_strerror(err));
    return as_made == SMQTT_OK && err == SMQTT_E_BAD_KEY && err_one == SMQTT_E_BAD_KEY;
}

static size_t from_hex(const char *head, const char *tail, uint8_t out[320])
{
    size_t n = 0;
    const char *parts[] = {head, tail};
    for (size_t p = 0; p < 2; p++) {
        unsigned byte = 0;
        for (const char *at = parts[p]; n < 320 && sscanf(at, "%2x", &byte) == 1; at += 2) {
            out[n++] = (uint8_t)byte;
        }
    }
    return n;
}

static bool collision(struct beside_lab *lab)
{
    uint8_t a[320];
    uint8_t b[320];
    uint8_t hash[4][32];
    static struct beside_said said;
    static struct beside_said mine;
    size_t len = from_hex(SHATTERED_HEAD, SHATTERED_A, a);
    bool sound = len == 320 && from_hex(SHATTERED_HEAD, SHATTERED_B, b) == 320;
    digest(EVP_sha1(), a, len, hash[0]);
    digest(EVP_sha1(), b, len, hash[1]);
    digest(EVP_sha256(), a, len, hash[2]);
    digest(EVP_sha256(), b, len, hash[3]);
    sound = sound && memcmp(hash[0], hash[1], 20) == 0 && memcmp(hash[2], hash[3], 32) != 0;
    struct smqtt_sealer *attacker = beside_client(lab, NULL);
    struct smqtt_span topic = beside_span("plant/valve");
    beside_must(smqtt_sealer_start(lab->sealer, topic, (struct smqtt_span){a, len}, false, lab->now), "step 0");
    beside_pull_client(lab->sealer, &mine);
    beside_must(smqtt_sealer_start(attacker, topic, (struct smqtt_span){b, len}, false, lab->now), "step 0");
    beside_pull_client(attacker, &said);
    lab->step0 = said.body;
    beside_to_server(lab, lab->opener, 0x01, &lab->step0, &said);
    sound = sound && said.detect && said.header == 0x0C;
    struct beside_bytes forged = said.body;
    memcpy(forged.at + 2, mine.body.at + 4, 8); /* the cid that the client waits for */
    beside_to_client(lab, lab->sealer, 0x0C, &forged, &said);
    snprintf(lab->note, sizeof(lab->note),
             "SHA-256 tells them apart, and the answer to another's step 0 does not open");
    smqtt_sealer_free(attacker);
    return sound && !said.open && !smqtt_sealer_is_open(lab->sealer);
}

static bool oracle(struct beside_lab *lab)
{
    static struct beside_said said;
    static struct beside_said first;
    struct beside_bytes changed;
    unsigned unlike = 0;
    unsigned questions = 0;
    beside_start(lab, lab->sealer, "7", &lab->step0);
    for (size_t i = 28; i < lab->step0.len; i++) { /* the encapsulated key and all of the ciphertext */
        changed = lab->step0;
        changed.at[i] ^= 0x40;
        beside_to_server(lab, lab->opener, 0x01, &changed, &said);
        first = questions++ == 0 ? said : first;
        unlike += said.detect != first.detect || said.header != first.header || said.body.len != first.body.len ||
                          memcmp(said.body.at, first.body.at, said.body.len) != 0
                      ? 1
                      : 0;
    }
    snprintf(lab->note, sizeof(lab->note), "%u changed ciphertexts, one answer: %s, byte for byte", questions,
             smqtt_status_name(first.body.at[10]));
    return unlike == 0 && first.detect && first.header == 0x02 && first.body.at[10] == SMQTT_STATUS_REFUSED;
}

const struct beside_attack beside_attacks_text[] = {
    {"W1", "guess what the clear hash belongs to", guess},
    {"W7", "sign with the key that decrypts", one_key},
    {"W8", "read a recording with a key lost later", later},
    {"W9a", "shift the plaintext without the key", shift},
    {"W9b", "read from differences", differences},
    {"W10", "take the discrete logarithm of the public key", discrete_log},
    {"W11", "swap the message for one with the same hash", collision},
    {"W19", "let the server's reaction confirm a guess", oracle},
    {NULL, NULL, NULL},
};
