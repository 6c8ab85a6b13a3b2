/* SPDX-License-Identifier: Apache-2.0 */
/* What S-MQTT costs, per suite, in operations per second of one thread: handshakes (the server's and the client's work,
 * anonymous and mutual), seals and opens of 64 bytes and 1 KiB; and the bytes of each step of a typical handshake.
 *
 *     detect_bench [milliseconds per measurement, 1000 without]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <smqtt/secure.h>
#include <smqtt/system.h>

#include "base/span.h"

enum { RECORD_ROOM = 2048, BATCH = 256 };

/** 12 bytes of client id, 20 of topic, 15 of text: what protocol.md's sizes are told for. */
static const char CLIENT_ID[] = "device-00001";
static const char TOPIC[] = "plant/line-1/sensors";
static const char TEXT[] = "\xE3\x81\x82\xE3\x81\x84\xE3\x81\x86\xE3\x81\x88\xE3\x81\x8A";

static struct timespec cpu_time(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts;
}

static double seconds_since(struct timespec from)
{
    struct timespec to = cpu_time();
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

static struct smqtt_now now(void)
{
    return (struct smqtt_now){1800000000000, 1000000};
}

static void must(smqtt_err err, const char *what)
{
    if (err != SMQTT_OK) {
        fprintf(stderr, "detect_bench: %s: %s\n", what, smqtt_strerror(err));
        exit(1);
    }
}

struct pair {
    struct smqtt_identity *server, *client;
    struct smqtt_sealer *sealer;
    struct smqtt_opener *opener;
    double server_s, client_s;
    size_t sizes[4]; /* bodies of steps 0, 2, 3 and of the acknowledgement */
};

static void new_opener(struct pair *p)
{
    struct smqtt_opener_config config = {
        .struct_size = sizeof(config), .rng = smqtt_system_rng(), .identity = p->server};
    config.skew_max_ms = UINT32_MAX;
    must(smqtt_opener_new(&config, now(), &p->opener), "server");
}

static void new_sealer(struct pair *p, bool mutual)
{
    struct smqtt_sealer_config config = {.struct_size = sizeof(config), .rng = smqtt_system_rng(), .server = p->server};
    config.identity = mutual ? p->client : NULL;
    config.client_id = smq_span_str(CLIENT_ID);
    must(smqtt_sealer_new(&config, now(), &p->sealer), "client");
}

/** Gives the opener what the sealer sends; true when something was. */
static bool to_server(struct pair *p)
{
    struct smqtt_secure_event ev;
    bool any = false;
    struct timespec from = cpu_time();
    while (smqtt_sealer_next(p->sealer, &ev)) {
        if (ev.type != SMQTT_EV_DETECT) {
            continue;
        }
        p->sizes[ev.header == 0x01 ? 0 : 2] = ev.bytes.len;
        p->client_s += seconds_since(from);
        from = cpu_time();
        must(smqtt_opener_detect(p->opener, ev.header == 0x01 ? 0x03 : ev.header, ev.bytes, now()),
             "step at the server");
        p->server_s += seconds_since(from);
        from = cpu_time();
        any = true;
    }
    p->client_s += seconds_since(from);
    return any;
}

static bool to_client(struct pair *p)
{
    struct smqtt_secure_event ev;
    bool any = false;
    struct timespec from = cpu_time();
    while (smqtt_opener_next(p->opener, &ev)) {
        if (ev.type != SMQTT_EV_DETECT) {
            continue;
        }
        p->sizes[ev.header == 0x0E ? 3 : 1] = ev.bytes.len;
        p->server_s += seconds_since(from);
        from = cpu_time();
        must(smqtt_sealer_detect(p->sealer, ev.header, ev.bytes, now()), "step at the client");
        p->client_s += seconds_since(from);
        from = cpu_time();
        any = true;
    }
    p->server_s += seconds_since(from);
    return any;
}

static void handshake(struct pair *p, bool mutual)
{
    struct timespec from = cpu_time();
    new_sealer(p, mutual);
    must(smqtt_sealer_start(p->sealer, smq_span_str(TOPIC), smq_span_str(TEXT), true, now()), "start");
    p->client_s += seconds_since(from);
    bool again = true;
    while (again) {
        again = to_server(p);
        again = to_client(p) || again;
    }
    if (!smqtt_sealer_is_open(p->sealer)) {
        must(SMQTT_E_BUG, "handshake");
    }
}

static void measure_handshakes(struct pair *p, const char *suite, bool mutual, double limit_s)
{
    unsigned long n = 0;
    p->server_s = p->client_s = 0;
    new_opener(p);
    while (p->server_s < limit_s) {
        handshake(p, mutual);
        smqtt_sealer_free(p->sealer);
        n++;
        if (n % 1000 == 0) { /* a new server now and then: its table of cids is bounded */
            smqtt_opener_free(p->opener);
            new_opener(p);
        }
    }
    smqtt_opener_free(p->opener);
    printf("%-7s %-9s handshakes/s: server %6.0f  client %6.0f   bodies: step 0 %zu, step 2 %zu, step 3 %zu, ack %zu, "
           "sum %zu bytes\n",
           suite, mutual ? "mutual" : "anonymous", (double)n / p->server_s, (double)n / p->client_s, p->sizes[0],
           p->sizes[1], p->sizes[2], p->sizes[3], p->sizes[0] + p->sizes[1] + p->sizes[2] + p->sizes[3]);
}

static void pull(struct pair *p, unsigned *delivered)
{
    struct smqtt_secure_event ev;
    while (smqtt_opener_next(p->opener, &ev)) {
        *delivered += ev.type == SMQTT_EV_MESSAGE ? 1 : 0;
    }
}

static void measure_records(struct pair *p, const char *suite, size_t len, double limit_s)
{
    static uint8_t records[BATCH][RECORD_ROOM];
    static uint8_t payload[1024];
    size_t lens[BATCH];
    struct smqtt_span topic = smq_span_str(TOPIC);
    unsigned long n = 0;
    unsigned delivered = 0;
    double seal_s = 0;
    double open_s = 0;
    new_opener(p);
    handshake(p, false);
    pull(p, &delivered);
    while (seal_s < limit_s) {
        struct timespec from = cpu_time();
        for (size_t i = 0; i < BATCH; i++) {
            must(smqtt_seal(p->sealer, topic, smq_span_of(payload, len), NULL, now(), records[i], RECORD_ROOM, &lens[i],
                            NULL, NULL),
                 "seal");
        }
        seal_s += seconds_since(from);
        from = cpu_time();
        for (size_t i = 0; i < BATCH; i++) {
            must(smqtt_opener_message(p->opener, topic, smq_span_of(records[i], lens[i]), false, now()), "open");
            pull(p, &delivered);
        }
        open_s += seconds_since(from);
        n += BATCH;
    }
    if (delivered != n) {
        must(SMQTT_E_BUG, "delivery");
    }
    printf("%-7s %4zu bytes      seals/s %8.0f   opens/s %8.0f   record %zu bytes longer\n", suite, len,
           (double)n / seal_s, (double)n / open_s, lens[BATCH - 1] - len);
    smqtt_sealer_free(p->sealer);
    smqtt_opener_free(p->opener);
}

int main(int argc, char **argv)
{
    static const char *const suites[] = {"x25519", "p256"};
    double limit_s = (argc > 1 ? strtod(argv[1], NULL) : 1000) / 1000;
    struct smqtt_rng rng = smqtt_system_rng();
    for (size_t i = 0; i < SMQ_ARRAY_LEN(suites); i++) {
        struct pair p;
        memset(&p, 0, sizeof(p));
        must(smqtt_identity_new(NULL, &rng, suites[i], "server", 0, 0, 0, &p.server), "identity");
        must(smqtt_identity_new(NULL, &rng, suites[i], "device-00001", 0, 0, 0, &p.client), "identity");
        measure_handshakes(&p, suites[i], false, limit_s);
        measure_handshakes(&p, suites[i], true, limit_s);
        measure_records(&p, suites[i], 64, limit_s);
        measure_records(&p, suites[i], 1024, limit_s);
        smqtt_identity_free(p.server);
        smqtt_identity_free(p.client);
    }
    return 0;
}
