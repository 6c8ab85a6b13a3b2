/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks on who said what, when, and to whom; and on the phase behind the check. */
#include "attacks.h"

#include <stdio.h>
#include <string.h>

#include "wire.h"

/** W2: anyone who has the public key is the client. */
static bool impostor(struct paper_lab *lab)
{
    struct paper_client attacker = {.curve = lab->curve, .pk = lab->server.pk, .text = PAPER_UTF8};
    struct paper_bytes m = paper_bytes_of("open the gate");
    struct paper_packet step0;
    struct paper_packet step2;
    struct paper_packet step3;
    bool confirmed = paper_client_start(&attacker, &m, lab->now, &step0) &&
                     paper_server_answer(&lab->server, &step0, lab->now + 10, &step2) &&
                     paper_client_answer(&attacker, &step2, lab->now + 20, &step3) &&
                     paper_server_end(&lab->server, &step3);
    snprintf(lab->note, sizeof(lab->note), "the server confirmed '%.*s' of a client without any secret",
             (int)lab->server.held.len, (const char *)lab->server.held.at);
    return confirmed && paper_bytes_equal(&lab->server.held, &m);
}

/** W3: the verdict is what the broker says. */
static bool verdict(struct paper_lab *lab)
{
    struct paper_packet step0 = paper_lab_step0(lab, "あいうえお");
    struct paper_packet step2;
    struct paper_packet step3;
    lab->server.text = PAPER_ASCII; /* it garbles; the client will notice */
    bool confirmed = paper_server_answer(&lab->server, &step0, lab->now + 10, &step2) &&
                     paper_client_answer(&lab->client, &step2, lab->now + 20, &step3);
    uint8_t sent = step3.header;
    step3.header = 0x0F;
    step3.body[1] = 1;
    bool believed = paper_server_end(&lab->server, &step3);
    snprintf(lab->note, sizeof(lab->note), "the client sent 0x%02X, the server believed 0x%02X and holds '%.*s'", sent,
             step3.header, (int)lab->server.held.len, (const char *)lab->server.held.at);
    return !confirmed && sent == 0x07 && believed;
}

/** W4: an hour is hidden. */
static bool hidden_delay(struct paper_lab *lab)
{
    const uint64_t hour = 3600000000U;
    struct paper_packet step0 = paper_lab_step0(lab, "stop");
    struct paper_packet step2;
    struct paper_packet step3;
    if (!paper_server_answer(&lab->server, &step0, lab->now + hour, &step2)) {
        return false;
    }
    paper_put_time(step2.body + 1, lab->client.ts1 + 19);
    bool confirmed = paper_client_answer(&lab->client, &step2, lab->now + hour, &step3);
    snprintf(lab->note, sizeof(lab->note), "a difference of an hour was shown as 19 us, the client confirmed");
    return confirmed && lab->server.ts2 - lab->client.ts1 >= hour;
}

/** W5: an old step 0 is as good as a new one. */
static bool replay_step0(struct paper_lab *lab)
{
    struct paper_packet step0 = paper_lab_step0(lab, "ON");
    struct paper_packet step2;
    unsigned answered = 0;
    for (unsigned i = 0; i < 3; i++) {
        answered += paper_server_answer(&lab->server, &step0, lab->now + 10 + i, &step2) ? 1 : 0;
    }
    snprintf(lab->note, sizeof(lab->note), "one step 0, sent three times, was saved %u times", lab->server.saved);
    return answered == 3 && lab->server.saved == 3;
}

/** W5: an old signature answers a new step 0. */
static bool replay_signature(struct paper_lab *lab)
{
    struct paper_packet old;
    struct paper_packet step3;
    struct paper_packet step0 = paper_lab_step0(lab, "ON");
    if (!paper_server_answer(&lab->server, &step0, lab->now + 10, &old)) {
        return false;
    }
    lab->now += 86400000000U;
    step0 = paper_lab_step0(lab, "ON");
    paper_put_time(old.body + 1, lab->now + 10); /* nothing covers it */
    bool confirmed = paper_client_answer(&lab->client, &old, lab->now + 20, &step3);
    snprintf(lab->note, sizeof(lab->note), "the client confirmed ON a day later; the server has saved %u, not 2",
             lab->server.saved);
    return confirmed && lab->server.saved == 1;
}

/** W6: the server signs whatever it is sent. */
static bool signing_oracle(struct paper_lab *lab)
{
    const char *image = "firmware 6.6.6, sha1 0badf00d";
    struct paper_packet step0 = paper_lab_step0(lab, image);
    struct paper_packet step2;
    uint8_t hash[PAPER_HASH_LEN];
    struct paper_bytes m = paper_bytes_of(image);
    paper_hash(&m, hash);
    bool got = paper_server_answer(&lab->server, &step0, lab->now + 10, &step2);
    snprintf(lab->note, sizeof(lab->note), "a signature over the bare hash of '%s': %.*s", image, (int)(step2.len - 9),
             (const char *)step2.body + 9);
    return got && paper_verify(lab->curve, lab->server.pk, hash, (const char *)step2.body + 9, step2.len - 9);
}

/** W12: what was checked is not what is published. */
static bool plain_publish(struct paper_lab *lab)
{
    static struct paper_run run;
    run = (struct paper_run){.curve = lab->curve, .mqtt = true, .m = paper_bytes_of("valve closed")};
    run.replace = "valve open";
    paper_run(&run);
    struct paper_bytes want = paper_bytes_of(run.replace);
    snprintf(lab->note, sizeof(lab->note), "confirmed: '%.*s'; published to the server: '%.*s'",
             (int)run.server.held.len, (const char *)run.server.held.at, (int)run.payload.len,
             (const char *)run.payload.at);
    return run.confirmed && run.server.verdict && run.arrived && paper_bytes_equal(&run.payload, &want);
}

/** W13: a step 0 says nothing of who sent it, so it is his on whose connection it comes. */
static bool misbinding(struct paper_lab *lab)
{
    struct paper_packet alice = paper_lab_step0(lab, "the prize goes to me");
    struct paper_packet on_mallorys_connection = alice;
    struct paper_packet step2;
    bool saved = paper_server_answer(&lab->server, &on_mallorys_connection, lab->now + 10, &step2);
    struct paper_packet step3 = {.header = 0x0F, .body = {PAPER_VER, 1}, .len = 2};
    snprintf(lab->note, sizeof(lab->note), "Alice's step 0 was confirmed on Mallory's connection, as his");
    return saved && paper_server_end(&lab->server, &step3) && paper_bytes_equal(&lab->server.held, &lab->client.m);
}

/** W14: what an end sent comes back to it, and is taken for the other's. */
static bool reflection(struct paper_lab *lab)
{
    /* All share one key pair's public half; this end is a client, and a server of others with the same key. */
    struct paper_packet own = paper_lab_step0(lab, "what I said");
    struct paper_packet step2;
    own.header ^= 0x01; /* only the Passing Path bit tells the way */
    bool saved = paper_server_answer(&lab->server, &own, lab->now + 10, &step2);
    snprintf(lab->note, sizeof(lab->note), "with the path bit flipped (0x%02X) its own packet was saved as the other's",
             own.header);
    return saved && paper_bytes_equal(&lab->server.held, &lab->client.m);
}

/** W15: a publish that no DETECT came before looks like any other. */
static bool stripped(struct paper_lab *lab)
{
    static struct paper_run run;
    run = (struct paper_run){.curve = lab->curve, .mqtt = true, .m = paper_bytes_of("valve open"), .skip_detect = true};
    paper_run(&run);
    snprintf(lab->note, sizeof(lab->note), "'%.*s' was taken with %u steps of DETECT before it", (int)run.payload.len,
             (const char *)run.payload.at, run.server.saved);
    return run.arrived && run.server.saved == 0 && paper_bytes_equal(&run.payload, &run.m);
}

/** W16: nobody counts. */
static bool dropped(struct paper_lab *lab)
{
    static struct paper_run run;
    run = (struct paper_run){.curve = lab->curve, .mqtt = true, .m = paper_bytes_of("valve closed"), .drop = true};
    paper_run(&run);
    snprintf(lab->note, sizeof(lab->note),
             "client and server both say confirmed; what was published has not arrived, and "
             "no step tells");
    return run.confirmed && run.server.verdict && !run.arrived;
}

/** W17: good text in DETECT, a poisoned topic in PUBLISH. */
static bool poisoned(struct paper_lab *lab)
{
    static struct paper_run run;
    run = (struct paper_run){.curve = lab->curve, .mqtt = true, .m = paper_bytes_of("good text")};
    run.topic = paper_bytes_of("sensors/\xC3\x28");
    paper_run(&run);
    snprintf(lab->note, sizeof(lab->note),
             "confirmed, then published on 'sensors/C3 28': a subscriber that follows the "
             "standard had to close");
    return run.confirmed && run.server.verdict && run.subscriber_closed;
}

/** W18: garbage costs the server two multiplications for each byte and a signature. */
static bool expensive(struct paper_lab *lab)
{
    struct paper_packet step2;
    struct paper_points random = {.n = 2};
    struct paper_packet garbage = {.header = 0x03, .body = {PAPER_VER}};
    for (unsigned i = 0; i < 500; i++) {
        uint32_t k = paper_curve_random();
        random.at[0] = paper_curve_mul(lab->curve, k, lab->curve->g);
        random.at[1] =
            paper_curve_add(lab->curve, lab->curve->table[i % 256], paper_curve_mul(lab->curve, k, lab->server.pk));
        garbage.len = 29 + paper_write(&random, (char *)garbage.body + 29);
        (void)paper_server_answer(&lab->server, &garbage, lab->now, &step2);
    }
    snprintf(lab->note, sizeof(lab->note), "500 packets without sender, time or hash: %u decrypted, saved and signed",
             lab->server.signatures);
    return lab->server.signatures == 500;
}

/** W20: a clock that is five seconds off ends an honest access. */
static bool clocks(struct paper_lab *lab)
{
    struct paper_packet step2;
    struct paper_packet step3;
    struct paper_packet step0 = paper_lab_step0(lab, "honest");
    bool answered = paper_server_answer(&lab->server, &step0, lab->now + 5000000, &step2);
    bool confirmed = answered && paper_client_answer(&lab->client, &step2, lab->now + 20, &step3);
    snprintf(lab->note, sizeof(lab->note), "the answer took 20 us, the clocks differ by 5 s: the access was ended");
    return answered && !confirmed && lab->client.verified && !lab->client.in_time;
}

const struct paper_attack paper_attacks_trust[] = {
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
