/* SPDX-License-Identifier: Apache-2.0 */
/* The attacks on who said what, when, and to whom, and on what is published, tried on S-MQTT 1.0. */
#include "beside.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

enum { TS1_AT = 20, COOKIES_FROM = 9, CODE_AT = 10, HOUR_MS = 3600000 };

/** Plays all steps with a client that is not the lab's; what the server said last. */
static void play_as(struct beside_lab *lab, struct smqtt_identity *who, const char *message, struct beside_said *out)
{
    struct smqtt_sealer *attacker = beside_client(lab, who);
    beside_start(lab, attacker, message, &lab->step0);
    beside_to_server(lab, lab->opener, 0x01, &lab->step0, out);
    struct beside_bytes body = out->body;
    beside_to_client(lab, attacker, out->header, &body, out);
    if (out->detect) {
        body = out->body;
        beside_to_server(lab, lab->opener, out->header, &body, out);
    }
    smqtt_sealer_free(attacker);
}

static bool impostor(struct beside_lab *lab)
{
    static struct beside_said said;
    lab->only_alice = true;
    play_as(lab, NULL, "open the gate", &said);
    bool nobody = said.open;
    play_as(lab, lab->mallory, "open the gate", &said);
    bool other = said.open;
    bool sound = beside_play(lab, "open the gate");
    snprintf(lab->note, sizeof(lab->note), "neither nobody nor a good identity that is not alice's gets a session");
    return sound && !nobody && !other;
}

static bool verdict(struct beside_lab *lab)
{
    static struct beside_said said;
    struct beside_bytes body;
    lab->ascii = true;
    struct smqtt_opener *server = beside_server(lab, lab->server);
    beside_start(lab, lab->sealer, "あいうえお", &lab->step0);
    beside_to_server(lab, server, 0x01, &lab->step0, &said);
    bool garbled = said.header == 0x04;
    body = said.body;
    beside_to_client(lab, lab->sealer, 0x04, &body, &said);
    uint8_t sent = said.header;
    body = said.body;
    beside_to_server(lab, server, 0x0F, &body, &said);
    smqtt_opener_free(server);
    snprintf(lab->note, sizeof(lab->note),
             "the client sent 0x%02X; as 0x0F it does not open, and no session comes of it", sent);
    return garbled && sent == 0x07 && !said.open;
}

static bool hidden_delay(struct beside_lab *lab)
{
    static struct beside_said said;
    struct beside_bytes changed;
    beside_start(lab, lab->sealer, "stop", &lab->step0);
    changed = lab->step0;
    changed.at[TS1_AT + 7] ^= 1; /* a millisecond */
    beside_to_server(lab, lab->opener, 0x01, &changed, &said);
    bool moved = said.detect && said.header != 0x02;
    beside_to_server(lab, lab->opener, 0x01, &lab->step0, &said);
    bool sound = said.header == 0x0C;
    changed = said.body;
    lab->now.mono += HOUR_MS;
    lab->now.wall += HOUR_MS;
    beside_to_client(lab, lab->sealer, 0x0C, &changed, &said);
    snprintf(lab->note, sizeof(lab->note), "a changed ts1 does not open; an answer an hour late ends the attempt");
    return sound && !moved && !said.open && !smqtt_sealer_is_open(lab->sealer);
}

static bool replay_step0(struct beside_lab *lab)
{
    static struct beside_said said;
    struct beside_bytes record;
    bool sound = beside_play(lab, "ON");
    unsigned again = 0;
    for (unsigned i = 0; i < 3; i++) {
        beside_to_server(lab, lab->opener, 0x01, &lab->step0, &said);
        again += said.open ? 1 : 0;
        beside_to_server(lab, lab->opener, lab->header3, &lab->step3, &said);
        again += said.open ? 1 : 0;
    }
    beside_seal(lab, "ON", &record);
    beside_deliver(lab, lab->opener, &record, &said);
    sound = sound && said.messages == 1;
    beside_deliver(lab, lab->opener, &record, &said);
    snprintf(lab->note, sizeof(lab->note), "four times step 0, saved %u time; the record again: %s", lab->saved,
             smqtt_strerror(said.why));
    return sound && again == 0 && lab->saved == 1 && said.messages == 0 && said.why == SMQTT_E_REPLAY;
}

static bool replay_signature(struct beside_lab *lab)
{
    static struct beside_said said;
    bool sound = beside_play(lab, "ON");
    struct beside_bytes old = lab->step2;
    struct smqtt_sealer *later = beside_client(lab, lab->alice);
    struct beside_bytes step0;
    beside_start(lab, later, "ON", &step0);
    memcpy(old.at + 2, step0.at + 4, 8); /* the cid that is waited for */
    beside_to_client(lab, later, lab->header2, &old, &said);
    snprintf(lab->note, sizeof(lab->note), "the old step 2 was noise to a new step 0 about the same text");
    bool open = smqtt_sealer_is_open(later);
    smqtt_sealer_free(later);
    return sound && !open && !said.detect;
}

static bool verifies(const uint8_t key[32], const uint8_t sig[64], const void *data, size_t len)
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = pkey != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestVerify(ctx, sig, 64, data, len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return good;
}

/** The one signature over something that another chooses: of the broker's challenge (protocol.md 9.2). */
static bool signing_oracle(struct beside_lab *lab)
{
    static const char image[] = "firmware 6.6.6, sha1 0badf00d";
    static const char client_id[] = "server-1";
    static struct beside_said said;
    uint8_t content[256];
    uint8_t challenge[2 + 8 + 32] = {0xD1, 0x02};
    struct smqtt_span descriptor = smqtt_identity_descriptor(lab->server);
    const uint8_t *key = descriptor.data + 24 + 1 + strlen("server") + 32;
    beside_must(smqtt_opener_connected(lab->opener, false, beside_span(client_id), lab->now), "registering");
    beside_pull_server(lab->opener, &said);
    memcpy(challenge + 2, smqtt_identity_skid(lab->server), 8);
    if (EVP_Digest(image, strlen(image), challenge + 10, NULL, EVP_sha256(), NULL) != 1) {
        beside_must(SMQTT_E_CRYPTO, "a hash");
    }
    struct smqtt_span topic = beside_span("$SMQTT/challenge");
    beside_must(
        smqtt_opener_message(lab->opener, topic, (struct smqtt_span){challenge, sizeof(challenge)}, false, lab->now),
        "a challenge");
    beside_pull_server(lab->opener, &said);
    if (said.published.len != 74) {
        return false;
    }
    const uint8_t *sig = said.published.at + 10;
    size_t len = 64;
    memset(content, ' ', 64);
    memcpy(content + len, "S-MQTT/1 register", 18);
    len += 18;
    memcpy(content + len, challenge + 10, 32);
    memcpy(content + len + 32, challenge + 2, 8);
    len += 40;
    content[len++] = 0;
    content[len++] = (uint8_t)strlen(client_id);
    memcpy(content + len, client_id, strlen(client_id));
    bool sound = verifies(key, sig, content, len + strlen(client_id));
    snprintf(lab->note, sizeof(lab->note),
             "what is signed begins with 64 blanks and its purpose; as one of the chosen "
             "hash it does not verify");
    return sound && !verifies(key, sig, challenge + 10, 32) && !verifies(key, sig, image, strlen(image));
}

static bool plain_publish(struct beside_lab *lab)
{
    static struct beside_said said;
    struct beside_bytes record;
    struct beside_bytes other = {.len = 10};
    bool sound = beside_play(lab, "valve closed");
    beside_seal(lab, "valve closed", &record);
    bool read = beside_has(&record, "valve", 5);
    memcpy(other.at, "valve open", other.len);
    beside_deliver(lab, lab->opener, &other, &said);
    bool taken = said.messages != 0 || said.why != SMQTT_E_PLAINTEXT;
    other = record;
    other.at[other.len - 20] ^= 1;
    beside_deliver(lab, lab->opener, &other, &said);
    taken = taken || said.messages != 0 || said.why != SMQTT_E_BAD_TAG;
    smqtt_err why = said.why;
    beside_deliver(lab, lab->opener, &record, &said);
    snprintf(lab->note, sizeof(lab->note), "not to be read; in plain it is refused, changed: %s", smqtt_strerror(why));
    return sound && !read && !taken && said.messages == 1;
}

static bool misbinding(struct beside_lab *lab)
{
    static struct beside_said said;
    struct beside_bytes record;
    struct beside_bytes step2;
    struct smqtt_sealer *mallory = beside_client(lab, lab->mallory);
    struct beside_bytes own;
    beside_start(lab, mallory, "the prize goes to me", &own);
    beside_start(lab, lab->sealer, "the prize goes to me", &lab->step0);
    beside_to_server(lab, lab->opener, 0x01, &lab->step0, &said); /* on mallory's connection */
    step2 = said.body;
    struct beside_bytes as_mine = step2;
    memcpy(as_mine.at + 2, own.at + 4, 8);
    beside_to_client(lab, mallory, 0x0C, &as_mine, &said);
    bool taken = said.detect || smqtt_sealer_is_open(mallory);
    beside_to_client(lab, lab->sealer, 0x0C, &step2, &said);
    struct beside_bytes step3 = said.body;
    beside_to_server(lab, lab->opener, 0x0F, &step3, &said);
    bool open = said.open;
    struct beside_bytes ack = said.body;
    beside_to_client(lab, lab->sealer, 0x0E, &ack, &said);
    beside_seal(lab, "the prize goes to me", &record);
    beside_deliver(lab, lab->opener, &record, &said);
    snprintf(lab->note, sizeof(lab->note), "mallory cannot use the answer; on whatever connection, the message is %s's",
             said.peer);
    smqtt_sealer_free(mallory);
    return open && !taken && said.messages == 1 && said.protection == SMQTT_PEER && strcmp(said.peer, "alice") == 0;
}

static bool reflection(struct beside_lab *lab)
{
    static struct beside_said said;
    struct smqtt_opener *own = beside_server(lab, lab->alice); /* alice serves others, too */
    bool sound = beside_play(lab, "what I said");
    beside_to_server(lab, own, 0x01, &lab->step0, &said);
    bool taken = said.open || (said.detect && said.header != 0x02);
    beside_to_server(lab, lab->opener, 0x0F, &lab->step2, &said); /* the server's own step 2 with the path bit set */
    taken = taken || said.open || said.detect;
    smqtt_opener_free(own);
    snprintf(lab->note, sizeof(lab->note), "its own step 0 is for another server, its own step 2 no step 3");
    return sound && !taken;
}

static bool stripped(struct beside_lab *lab)
{
    static struct beside_said said;
    struct beside_bytes plain = {.len = 10};
    uint8_t out[256];
    size_t len = 0;
    struct smqtt_span topic = beside_span("plant/valve");
    memcpy(plain.at, "valve open", plain.len);
    beside_deliver(lab, lab->opener, &plain, &said);
    smqtt_err without =
        smqtt_seal(lab->sealer, topic, beside_view(&plain), NULL, lab->now, out, sizeof(out), &len, NULL, NULL);
    smqtt_err bare = smqtt_sealer_check_plain(lab->sealer, topic);
    snprintf(lab->note, sizeof(lab->note), "the client sends nothing without a session, the server takes nothing: %s",
             smqtt_strerror(said.why));
    return said.messages == 0 && said.why == SMQTT_E_PLAINTEXT && without == SMQTT_E_STATE && bare == SMQTT_E_PLAINTEXT;
}

static bool dropped(struct beside_lab *lab)
{
    static struct beside_said said;
    static struct beside_said client;
    struct beside_bytes records[3];
    struct smqtt_secure_counters counters;
    unsigned receipts = 0;
    bool sound = beside_play(lab, "one");
    for (unsigned i = 0; i < 3; i++) {
        beside_seal(lab, "message", &records[i]);
    }
    for (unsigned i = 0; i < 3; i += 2) { /* the broker keeps the second */
        bool taken = false;
        beside_deliver(lab, lab->opener, &records[i], &said);
        beside_must(
            smqtt_sealer_message(lab->sealer, beside_view(&said.topic), beside_view(&said.published), &taken, lab->now),
            "a receipt");
        beside_pull_client(lab->sealer, &client);
        receipts += client.receipts;
    }
    smqtt_opener_counters(lab->opener, &counters);
    snprintf(lab->note, sizeof(lab->note),
             "it cannot be prevented, but is seen: %u receipts for 3 messages, and the server "
             "counts %u missing",
             receipts, (unsigned)counters.gaps);
    return sound && receipts == 2 && counters.gaps == 1;
}

static bool poisoned(struct beside_lab *lab)
{
    static struct beside_said said;
    uint8_t out[256];
    size_t len = 0;
    struct beside_bytes record;
    struct smqtt_span bad = beside_span("sensors/\xC3\x28");
    bool sound = beside_play(lab, "good text");
    beside_seal(lab, "good text", &record);
    smqtt_err err =
        smqtt_seal(lab->sealer, bad, beside_span("text"), NULL, lab->now, out, sizeof(out), &len, NULL, NULL);
    beside_must(smqtt_opener_message(lab->opener, bad, beside_view(&record), false, lab->now), "a poisoned topic");
    beside_pull_server(lab->opener, &said);
    bool taken = said.messages != 0;
    beside_deliver(lab, lab->opener, &record, &said);
    snprintf(lab->note, sizeof(lab->note), "not sealed (%s), not delivered, and the next message arrives",
             smqtt_strerror(err));
    return sound && err == SMQTT_E_BAD_TOPIC && !taken && said.messages == 1;
}

static bool expensive(struct beside_lab *lab)
{
    static struct beside_said said;
    unsigned answered = 0;
    unsigned cookies = 0;
    unsigned garbage = 0;
    struct beside_bytes step0;
    for (unsigned i = 0; i < 40; i++) { /* 16 may wait for step 3 here */
        struct smqtt_sealer *flood = beside_client(lab, NULL);
        beside_start(lab, flood, "flood", &step0);
        beside_to_server(lab, lab->opener, 0x01, &step0, &said);
        answered += said.header == 0x0C ? 1 : 0;
        cookies += said.header == 0x02 && said.body.at[CODE_AT] == SMQTT_STATUS_COOKIE ? 1 : 0;
        smqtt_sealer_free(flood);
    }
    for (unsigned i = 0; i < 500; i++) {
        beside_must(lab->rng.fill(lab->rng.ctx, step0.at, step0.len) ? SMQTT_OK : SMQTT_E_RNG, "random bytes");
        beside_to_server(lab, lab->opener, 0x01, &step0, &said);
        garbage += said.detect && said.header == 0x0C ? 1 : 0;
    }
    snprintf(lab->note, sizeof(lab->note),
             "of 40 that never end %u were answered, then %u had to bring a cookie first; 500 of garbage: none",
             answered, cookies);
    return answered == COOKIES_FROM && answered + cookies == 40 && garbage == 0;
}

static bool clocks(struct beside_lab *lab)
{
    static struct beside_said said;
    struct beside_bytes body;
    beside_start(lab, lab->sealer, "honest", &lab->step0);
    lab->now.wall += 5000; /* the server's clock */
    beside_to_server(lab, lab->opener, 0x01, &lab->step0, &said);
    body = said.body;
    lab->now.wall -= 5000;
    lab->now.mono += 20;
    beside_to_client(lab, lab->sealer, said.header, &body, &said);
    snprintf(lab->note, sizeof(lab->note),
             "clocks may differ by 30 s; the delay is judged by the client's own, monotonic one");
    return said.detect && said.header == 0x0F;
}

const struct beside_attack beside_attacks_trust[] = {
    {"W2", "be a client without any secret", impostor},
    {"W3", "report a verdict that the client did not give", verdict},
    {"W4", "hide an hour of delay", hidden_delay},
    {"W5a", "send an old step 0 again", replay_step0},
    {"W5b", "answer with an old signature", replay_signature},
    {"W6", "have a hash of one's own choice signed", signing_oracle},
    {"W12", "publish something else than was checked", plain_publish},
    {"W13", "have another's step 0 taken for one's own", misbinding},
    {"W14", "send an end its own packet back", reflection},
    {"W15", "leave DETECT out", stripped},
    {"W16", "keep a message back unnoticed", dropped},
    {"W17", "send a good DETECT and a poisoned topic", poisoned},
    {"W18", "make the server decrypt and sign garbage", expensive},
    {"W20", "end an honest access by a clock that is off", clocks},
    {NULL, NULL, NULL},
};
