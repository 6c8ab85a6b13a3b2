/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt-paper-beside: S-MQTT 1.0 and TLS 1.3 beside the paper's scheme.
 *
 *     smqtt-paper-beside attacks            tries every attack: `id <tab> refused|SUCCEEDED <tab> title <tab> what`
 *     smqtt-paper-beside measure STEP REPS  2 to 200 bytes by STEP, REPS times each: S-MQTT 1.0
 *     smqtt-paper-beside tls STEP REPS      the same with TLS 1.3 in memory
 */
#include "beside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void beside_must(smqtt_err err, const char *what)
{
    if (err != SMQTT_OK) {
        fprintf(stderr, "smqtt-paper-beside: %s: %s\n", what, smqtt_strerror(err));
        exit(2);
    }
}

struct smqtt_span beside_span(const char *text)
{
    return (struct smqtt_span){(const uint8_t *)text, strlen(text)};
}

struct smqtt_span beside_view(const struct beside_bytes *bytes)
{
    return (struct smqtt_span){bytes->at, bytes->len};
}

bool beside_has(const struct beside_bytes *in, const void *part, size_t len)
{
    return memmem(in->at, in->len, part, len) != NULL;
}

static void copy(struct beside_bytes *out, struct smqtt_span in)
{
    if (in.len > sizeof(out->at)) {
        beside_must(SMQTT_E_TOO_LARGE, "keeping bytes");
    }
    out->len = in.len;
    if (in.len != 0) {
        memcpy(out->at, in.data, in.len);
    }
}

static bool hold_ascii(void *ctx, struct smqtt_span utf8, struct smqtt_span *held, struct smqtt_span *back)
{
    (void)ctx;
    *held = *back = utf8;
    for (size_t i = 0; i < utf8.len; i++) {
        if (utf8.data[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

static bool allow(void *ctx, const struct smqtt_identity *peer, struct smqtt_span topic)
{
    const struct beside_lab *lab = ctx;
    (void)topic;
    return !lab->only_alice ||
           (peer != NULL && memcmp(smqtt_identity_did(peer), smqtt_identity_did(lab->alice), SMQTT_DID_LEN) == 0);
}

static void journal(void *ctx, const struct smqtt_journal_entry *entry)
{
    struct beside_lab *lab = ctx;
    lab->saved += entry->verdict == 0xFF ? 1 : 0;
}

struct smqtt_sealer *beside_client(struct beside_lab *lab, struct smqtt_identity *identity)
{
    struct smqtt_sealer_config config = {.struct_size = sizeof(config), .rng = lab->rng, .server = lab->server};
    struct smqtt_sealer *out = NULL;
    config.identity = identity;
    config.client_id = beside_span("device-00001");
    beside_must(smqtt_sealer_new(&config, lab->now, &out), "a client");
    return out;
}

struct smqtt_opener *beside_server(struct beside_lab *lab, struct smqtt_identity *identity)
{
    struct smqtt_opener_config config = {.struct_size = sizeof(config), .rng = lab->rng, .identity = identity};
    struct smqtt_opener *out = NULL;
    config.ctx = lab;
    config.allow = allow;
    config.journal = journal;
    config.pipeline.hold = lab->ascii ? hold_ascii : NULL;
    config.waiting_max = 16;
    beside_must(smqtt_opener_new(&config, lab->now, &out), "a server");
    return out;
}

static struct smqtt_identity *person(struct beside_lab *lab, const char *name)
{
    struct smqtt_identity *out = NULL;
    beside_must(smqtt_identity_new(NULL, &lab->rng, "x25519", name, 0, 0, 0, &out), "an identity");
    return out;
}

void beside_lab_init(struct beside_lab *lab)
{
    memset(lab, 0, sizeof(*lab));
    lab->rng = smqtt_system_rng();
    lab->now = (struct smqtt_now){1800000000000, 1000000};
    lab->server = person(lab, "server");
    lab->alice = person(lab, "alice");
    lab->mallory = person(lab, "mallory");
    lab->sealer = beside_client(lab, lab->alice);
    lab->opener = beside_server(lab, lab->server);
}

void beside_lab_deinit(struct beside_lab *lab)
{
    smqtt_sealer_free(lab->sealer);
    smqtt_opener_free(lab->opener);
    smqtt_identity_free(lab->server);
    smqtt_identity_free(lab->alice);
    smqtt_identity_free(lab->mallory);
}

/** Takes from an event what both endpoints may say. */
static void note_event(const struct smqtt_secure_event *ev, struct beside_said *out)
{
    out->open = out->open || ev->type == SMQTT_EV_OPEN;
    out->closed = out->closed || ev->type == SMQTT_EV_CLOSED;
    out->receipts += ev->type == SMQTT_EV_RECEIPT ? 1 : 0;
    if (ev->type == SMQTT_EV_DETECT) {
        out->detect = true;
        out->header = ev->header;
        copy(&out->body, ev->bytes);
    }
    if (ev->type == SMQTT_EV_PUBLISH) {
        copy(&out->topic, ev->topic);
        copy(&out->published, ev->bytes);
    }
    if (ev->type == SMQTT_EV_REFUSED) {
        out->refused++;
        out->why = ev->err;
    }
    if (ev->type == SMQTT_EV_MESSAGE) {
        out->messages++;
        out->protection = ev->protection;
        copy(&out->payload, ev->bytes);
        snprintf(out->peer, sizeof(out->peer), "%s", ev->peer_name != NULL ? ev->peer_name : "");
    }
}

void beside_pull_client(struct smqtt_sealer *s, struct beside_said *out)
{
    struct smqtt_secure_event ev;
    memset(out, 0, sizeof(*out));
    while (smqtt_sealer_next(s, &ev)) {
        note_event(&ev, out);
    }
}

void beside_pull_server(struct smqtt_opener *o, struct beside_said *out)
{
    struct smqtt_secure_event ev;
    memset(out, 0, sizeof(*out));
    while (smqtt_opener_next(o, &ev)) {
        note_event(&ev, out);
    }
}

void beside_start(struct beside_lab *lab, struct smqtt_sealer *s, const char *message, struct beside_bytes *step0)
{
    static struct beside_said said;
    beside_must(smqtt_sealer_start(s, beside_span("plant/valve"), beside_span(message), true, lab->now), "step 0");
    beside_pull_client(s, &said);
    *step0 = said.body;
}

void beside_to_server(struct beside_lab *lab, struct smqtt_opener *o, uint8_t header, const struct beside_bytes *body,
                      struct beside_said *out)
{
    uint8_t relabelled = header == 0x01 ? 0x03 : header;
    beside_must(smqtt_opener_detect(o, relabelled, beside_view(body), lab->now), "DETECT at the server");
    beside_pull_server(o, out);
}

void beside_to_client(struct beside_lab *lab, struct smqtt_sealer *s, uint8_t header, const struct beside_bytes *body,
                      struct beside_said *out)
{
    beside_must(smqtt_sealer_detect(s, header, beside_view(body), lab->now), "DETECT at the client");
    beside_pull_client(s, out);
}

bool beside_play(struct beside_lab *lab, const char *message)
{
    static struct beside_said said;
    beside_start(lab, lab->sealer, message, &lab->step0);
    beside_to_server(lab, lab->opener, 0x01, &lab->step0, &said);
    lab->header2 = said.header;
    lab->step2 = said.body;
    beside_to_client(lab, lab->sealer, lab->header2, &lab->step2, &said);
    lab->header3 = said.header;
    lab->step3 = said.body;
    beside_to_server(lab, lab->opener, lab->header3, &lab->step3, &lab->last);
    if (lab->last.detect) {
        beside_to_client(lab, lab->sealer, lab->last.header, &lab->last.body, &said);
    }
    return lab->last.open && smqtt_sealer_is_open(lab->sealer);
}

void beside_seal(struct beside_lab *lab, const char *text, struct beside_bytes *record)
{
    struct smqtt_seal_options options = {.text = true, .receipt = true};
    beside_must(smqtt_seal(lab->sealer, beside_span("plant/valve"), beside_span(text), &options, lab->now, record->at,
                           sizeof(record->at), &record->len, NULL, NULL),
                "sealing");
}

void beside_deliver(struct beside_lab *lab, struct smqtt_opener *o, const struct beside_bytes *payload,
                    struct beside_said *out)
{
    beside_must(smqtt_opener_message(o, beside_span("plant/valve"), beside_view(payload), false, lab->now),
                "a message at the server");
    beside_pull_server(o, out);
}

double beside_cpu_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

double beside_median(double *values, size_t n)
{
    qsort(values, n, sizeof(values[0]), by_size);
    return values[n / 2];
}

static int attacks(void)
{
    const struct beside_attack *lists[] = {beside_attacks_text, beside_attacks_trust};
    static struct beside_lab lab;
    int lost = 0;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (const struct beside_attack *a = lists[i]; a->id != NULL; a++) {
            beside_lab_init(&lab);
            bool good = a->refused(&lab);
            printf("%s\t%s\t%s\t%s\n", a->id, good ? "refused" : "SUCCEEDED", a->title, lab.note);
            lost += good ? 0 : 1;
            beside_lab_deinit(&lab);
        }
    }
    return lost == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "attacks") == 0) {
        return attacks();
    }
    unsigned long step = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    unsigned long reps = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    if (step == 0 || reps == 0 || reps > BESIDE_REPS_MAX) {
        fprintf(stderr,
                "usage: smqtt-paper-beside attacks | measure STEP REPETITIONS | tls STEP REPETITIONS "
                "(at most %d)\n",
                BESIDE_REPS_MAX);
        return 2;
    }
    if (strcmp(argv[1], "tls") == 0) {
        beside_measure_tls(step, reps);
    } else {
        beside_measure(step, reps);
    }
    return 0;
}
