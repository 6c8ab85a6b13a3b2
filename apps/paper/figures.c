/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"

#include <stdio.h>
#include <string.h>

#include "attacks.h"
#include "wire.h"

static const char GOLDEN[] = "4ab0856318af20fa77d4492684fb8d9789e00cb6";
static const char TEXT[] = "あいうえお";

static void indent(const char *who, const struct paper_log *log)
{
    const char *at = log->text;
    while (*at != '\0') {
        int len = (int)strcspn(at, "\n");
        printf("  %-7s| %.*s\n", who, len, at);
        at += len + (at[len] == '\n' ? 1 : 0);
    }
}

static void show(const char *title, struct paper_run *run)
{
    printf("== %s ==\n", title);
    paper_run(run);
    indent("client", &run->client_log);
    if (run->mqtt) {
        indent("relay", &run->relay_log);
    }
    indent("server", &run->server_log);
    printf("\n");
}

/** Counts what did not come out as it must. */
static void expect(int *faults, bool good, const char *what)
{
    printf("  %s  %s\n", good ? "ok   " : "WRONG", what);
    *faults += good ? 0 : 1;
}

static void show_hash(const uint8_t hash[PAPER_HASH_LEN])
{
    for (size_t i = 0; i < PAPER_HASH_LEN; i++) {
        printf("%02x", hash[i]);
    }
    printf("\n");
}

/** Figure 1, phase by phase, in one process. */
static int walk(struct paper_curve *curve)
{
    int faults = 0;
    static struct paper_lab lab;
    struct paper_packet step2;
    struct paper_packet step3;
    paper_lab_init(&lab, curve);
    printf("== Figure 1, phase by phase ==\n  (i) Setup Phase\n");
    printf("      curve           y^2 = x^3 + %dx + %d over GF(%d), %d points\n", PAPER_A, PAPER_B, PAPER_P, PAPER_N);
    printf("      server holds    sk = %u, pk = {%u};   client holds pk\n", lab.server.sk, lab.server.pk);
    struct paper_packet step0 = paper_lab_step0(&lab, "Hi");
    printf("  (ii) Encrypt and Decrypt Phase\n");
    printf("      client, 0x%02X    M = Hi;  Enc(M) = %.*s;  Hash(M) = ", step0.header, (int)(step0.len - 29),
           (const char *)step0.body + 29);
    show_hash(lab.client.hash);
    bool answered = paper_server_answer(&lab.server, &step0, lab.now + 19, &step2);
    printf("      server, 0x03    saves ts1 = %llu;  M' = Dec(C) = %.*s;  Hash(M') = ",
           (unsigned long long)lab.server.ts1, (int)lab.server.held.len, (const char *)lab.server.held.at);
    show_hash(lab.server.hash);
    printf("      server, 0x%02X    flag %d;  Sig(Hash(M')) = %.*s;  ts2 = ts1 + 19 us\n", step2.header,
           step2.header >> 3, (int)(step2.len - 9), (const char *)step2.body + 9);
    bool good = answered && paper_client_answer(&lab.client, &step2, lab.now + 38, &step3);
    printf("      client, 0x%02X    Ver: signature %s, |ts2 - ts1| %s;  verdict %d\n", step3.header,
           lab.client.verified ? "good" : "bad", lab.client.in_time ? "good" : "too large", good ? 1 : 0);
    printf("  (iii) Publish Phase\n      M' is as M was: MQTT goes on as ever, in plain; else this access is "
           "disconnected\n");
    expect(&faults, good && paper_server_end(&lab.server, &step3),
           "the walk ends with the same conclusion at both ends");
    printf("\n");
    return faults;
}

static int figures_2_and_3(struct paper_curve *curve, bool mqtt)
{
    int faults = 0;
    struct paper_run run = {.curve = curve, .mqtt = mqtt, .m = paper_bytes_of(TEXT)};
    show(mqtt ? "Figure 2 through a relay, as DETECT 0xD0: both ends follow UTF-8"
              : "Figure 2 over a socket: both ends follow UTF-8",
         &run);
    expect(&faults, strstr(run.client_log.text, GOLDEN) != NULL && strstr(run.server_log.text, GOLDEN) != NULL,
           "both ends have the hash of the paper's Figure 2");
    expect(&faults, run.confirmed && run.server.verdict && run.arrived && paper_bytes_equal(&run.m, &run.payload),
           "confirmed, then published");
    struct paper_run other = {.curve = curve, .mqtt = mqtt, .m = run.m, .server_text = PAPER_ASCII};
    show(mqtt ? "Figure 3 through a relay: the server's character set has no such letters"
              : "Figure 3 over a socket: the server's character set has no such letters",
         &other);
    expect(&faults, !other.confirmed && !other.server.verdict && !other.arrived && other.server.saved == 1,
           "detected: verdict 0, the access ends, nothing is published");
    expect(&faults, strstr(other.server_log.text, "flag 0") != NULL, "the server says so itself: flag 0");
    expect(&faults, !mqtt || strstr(other.relay_log.text, "the access is disconnected") != NULL,
           "the broker's role ends this access");
    return faults;
}

/** The paper: "if both server and client do not obey the standard, because both of them let invalid character pass, the
 * issue is avoided". */
static int both_ignore(struct paper_curve *curve)
{
    int faults = 0;
    struct paper_run run = {.curve = curve, .mqtt = true, .server_text = PAPER_ANY, .m = paper_bytes_of("abc\xC3\x28")};
    run.client.text = PAPER_ANY;
    run.topic = paper_bytes_of("sensors/\xC3\x28");
    printf("== Section 4.2: both ends ignore UTF-8 and send the bytes 61 62 63 C3 28 ==\n");
    paper_run(&run);
    expect(&faults, run.confirmed && run.arrived && paper_bytes_equal(&run.m, &run.payload),
           "the ill-formed text is confirmed and published: the scheme lets it pass");
    expect(&faults, run.subscriber_closed,
           "published on the topic 'sensors/C3 28' it drives away the third, which follows the standard");
    struct paper_run strict = {.curve = curve, .mqtt = true, .server_text = PAPER_ANY, .m = run.m};
    paper_run(&strict);
    expect(&faults, strict.refused && !strict.arrived, "a client that follows the standard does not send it");
    struct paper_run loose = {.curve = curve, .mqtt = true, .m = run.m};
    loose.client.text = PAPER_ANY;
    paper_run(&loose);
    expect(&faults, !loose.confirmed && !loose.arrived, "a server that follows it does not hold it: verdict 0");
    printf("\n");
    return faults;
}

int paper_figures(struct paper_curve *curve)
{
    int faults = walk(curve) + figures_2_and_3(curve, false) + figures_2_and_3(curve, true) + both_ignore(curve);
    printf("%s\n", faults == 0 ? "All as described." : "Something is not as described.");
    return faults == 0 ? 0 : 1;
}
