/* SPDX-License-Identifier: Apache-2.0 */
/* The paper's loop on S-MQTT 1.0: a session (what comes before the first message), sealing, opening. */
#include "beside.h"

#include <stdio.h>
#include <string.h>

enum { HANDSHAKE_EVERY = 10 };

/** Opens a record; true when it delivers the text. */
static bool open_record(struct beside_lab *lab, const struct beside_bytes *record, const char *text, size_t len)
{
    struct smqtt_secure_event ev;
    bool same = false;
    beside_must(smqtt_opener_message(lab->opener, beside_span("plant/valve"), beside_view(record), false, lab->now),
                "opening");
    while (smqtt_opener_next(lab->opener, &ev)) {
        same = same || (ev.type == SMQTT_EV_MESSAGE && ev.bytes.len == len && memcmp(ev.bytes.data, text, len) == 0);
    }
    return same;
}

static void measure_size(size_t len, size_t reps)
{
    static double prepare[BESIDE_REPS_MAX], enc[BESIDE_REPS_MAX], dec[BESIDE_REPS_MAX];
    static struct beside_lab lab;
    struct smqtt_seal_options options = {.text = true};
    struct smqtt_span topic = beside_span("plant/valve");
    struct beside_bytes record = {.len = 0};
    char text[256];
    size_t sessions = 0;
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)('a' + i % 26);
    }
    text[len] = '\0';
    beside_lab_init(&lab);
    smqtt_sealer_free(lab.sealer);
    lab.sealer = beside_client(&lab, NULL); /* as in TLS only the server proves who it is */
    for (size_t r = 0; r < reps; r++) {
        double t0 = beside_cpu_s();
        if (r % HANDSHAKE_EVERY == 0) {
            beside_must(beside_play(&lab, text) ? SMQTT_OK : SMQTT_E_STATE, "a handshake");
            prepare[sessions++] = beside_cpu_s() - t0;
        }
        double t1 = beside_cpu_s();
        beside_must(smqtt_seal(lab.sealer, topic, beside_span(text), &options, lab.now, record.at, sizeof(record.at),
                               &record.len, NULL, NULL),
                    "sealing");
        double t2 = beside_cpu_s();
        bool same = open_record(&lab, &record, text, len);
        dec[r] = beside_cpu_s() - t2;
        enc[r] = t2 - t1;
        if (!same) {
            beside_must(SMQTT_E_BUG, "opening what was sealed");
        }
    }
    printf("%zu,%.9f,%.9f,%.9f,%zu\n", len, beside_median(prepare, sessions), beside_median(enc, reps),
           beside_median(dec, reps), record.len);
    beside_lab_deinit(&lab);
}

void beside_measure(unsigned long step, unsigned long reps)
{
    printf("bytes,prepare_s,encrypt_s,decrypt_s,wire\n");
    for (size_t len = 2; len <= 200; len += step) {
        measure_size(len, reps);
    }
}
