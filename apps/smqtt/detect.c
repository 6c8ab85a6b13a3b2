/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt detect: plays one handshake and one sealed message, and shows each step as the paper's figures do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/span.h"
#include "base/utf8.h"
#include "commands.h"
#include "endpoint.h"
#include "net/clock.h"
#include "run.h"
#include "say.h"
#include "settings.h"

struct play {
    struct opts opts;
    bool colour;
    bool open;
    bool tunnel; /* the broker knows nothing of it */
    uint8_t hash_sent[32];
};

static void usage(void)
{
    puts("Usage: smqtt detect --to SERVER.pub -m TEXT [-t TOPIC] [--identity DEVICE.id] [flags]\n\n"
         "Plays one DETECT handshake with the server and shows each step: direction, header byte in bits, sizes, "
         "times,\n"
         "hash, flag, verdict. Then one sealed message goes to the topic. Exit code 0 only when the server "
         "confirmed.\n");
    opts_print(OPTS_D);
}

static const char *paint(const struct play *p, const char *code)
{
    return p->colour ? code : "";
}

/** The four fields of the header byte (protocol.md 4). */
static void print_header(const struct play *p, uint8_t h)
{
    static const char *const acts[] = {"Enc. and send", "Dec. and save", "Sig. decrypted data",
                                       "Ver. and send message"};
    char bits[9];
    for (int i = 0; i < 8; i++) {
        bits[i] = (h >> (7 - i) & 1) != 0 ? '1' : '0';
    }
    bits[8] = 0;
    printf("    header   0x%02X = %.4s %s%c%s %c%c %c   type 0 DETECT | flag %d | ECC %d%d %s | path %d %s\n", h, bits,
           paint(p, "\033[1m"), bits[4], paint(p, "\033[0m"), bits[5], bits[6], bits[7], h >> 3 & 1, h >> 2 & 1,
           h >> 1 & 1, acts[h >> 1 & 3], h & 1, (h & 1) != 0 ? "client to server" : "server to client");
}

static void print_time(const char *name, smqtt_ms ms)
{
    char text[32];
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (ms == 0 || gmtime_r(&seconds, &tm) == NULL) {
        return;
    }
    strftime(text, sizeof(text), "%H:%M:%S", &tm);
    printf("    %-8s %llu ms since 1970 (%s.%03u UTC)\n", name, (unsigned long long)ms, text, (unsigned)(ms % 1000));
}

static const char *title_of(uint8_t h)
{
    switch (h) {
    case 0x01:
        return "step 0   client --> broker --> server   encrypt and send";
    case 0x02:
        return "retry    client <-- broker <-- server   a hint";
    case 0x04:
    case 0x0C:
        return "step 2   client <-- broker <-- server   sign what was decrypted";
    case 0x07:
    case 0x0F:
        return "step 3   client --> broker --> server   verify and report";
    case 0x0E:
        return "ack      client <-- broker <-- server   the session is open";
    case 0x06:
        return "close    client <-- broker <-- server   the session ends";
    default:
        return "?";
    }
}

static bool is_zero(const uint8_t hash[32])
{
    static const uint8_t zeros[32];
    return memcmp(hash, zeros, 32) == 0;
}

static void print_hash(const char *name, const uint8_t hash[32])
{
    printf("    %-8s ", name);
    for (size_t i = 0; i < 32; i++) {
        printf("%02x", hash[i]);
    }
    putchar('\n');
}

static void on_step(struct play *p, const struct smqtt_step *step)
{
    uint8_t h = step->header;
    printf("%s%s%s\n", paint(p, "\033[1;36m"), title_of(h), paint(p, "\033[0m"));
    print_header(p, h);
    printf("    size     %u bytes of body, %u on the wire\n", step->size, step->size + (step->size > 127 ? 3 : 2));
    if (h == 0x01) {
        print_time("ts1", step->ts1);
        if (!is_zero(step->hash)) {
            print_hash("Hash(M)", step->hash);
            memcpy(p->hash_sent, step->hash, 32);
        }
        puts(p->tunnel ? "             it goes as an ordinary message; step 1: the server decrypts and saves"
                       : "             the broker hands it on as 0x03, step 1: the server decrypts and saves");
    } else if (h == 0x04 || h == 0x0C) {
        print_time("ts2", step->ts2);
        printf("    rtt      %u ms\n", step->rtt_ms);
        print_hash("Hash(M')", step->hash);
        bool equal = is_zero(p->hash_sent) || memcmp(step->hash, p->hash_sent, 32) == 0;
        printf("    flag     %u: %s\n", step->flag,
               step->flag != 0 ? "the text survived, no mojibake" : "mojibake: the server cannot hold this text");
        printf("    hashes   %s\n", equal && step->flag != 0 ? "equal" : "different");
        printf("    status   %s: %s\n", smqtt_status_name(step->status), smqtt_status_text(step->status));
    } else if (h == 0x07 || h == 0x0F) {
        print_time("ts3", step->ts3);
        printf("    verdict  %u: %s\n", step->verdict, step->verdict != 0 ? "confirmed" : "rejected, this access ends");
    } else if (h == 0x02 || h == 0x06) {
        printf("    status   %s: %s\n", smqtt_status_name(step->status), smqtt_status_text(step->status));
    }
    putchar('\n');
}

static void on_connected(struct run *run, const struct smqtt_client_event *event)
{
    struct play *p = run->ctx;
    p->tunnel = event->tunnel;
    const char *topic = p->opts.topics.n != 0 ? p->opts.topics.item[0] : "smqtt/detect";
    struct smqtt_span text = smq_span_str(p->opts.message);
    struct smqtt_publish_options options = {.qos = 1, .receipt = true, .text = smq_utf8_ok(text, SMQ_TEXT_WELLFORMED)};
    smqtt_err err =
        smqtt_client_publish_sealed(run->client, smq_span_str(topic), text, &options, NULL, smq_clock_now());
    if (err != SMQTT_OK && (event->native_detect || event->tunnel)) {
        say("the handshake cannot start: %s.", smqtt_strerror(err));
        run_stop(run, EXIT_FAILED);
    }
}

static void on_secure(struct run *run, const struct smqtt_client_event *event)
{
    struct play *p = run->ctx;
    const struct smqtt_secure_event *ev = &event->secure;
    if (ev->type == SMQTT_EV_DESCRIPTOR) {
        endpoint_on_descriptor(&p->opts, ev);
    } else if (ev->type == SMQTT_EV_STEP) {
        on_step(p, &ev->step);
    } else if (ev->type == SMQTT_EV_CLOSED) {
        printf("%snot confirmed%s: nothing was published\n", paint(p, "\033[1;31m"), paint(p, "\033[0m"));
        endpoint_say_failure(ev->err, ev->status, event->reason);
        run_stop(run, EXIT_NOT_CONFIRMED);
    } else if (ev->type == SMQTT_EV_RECEIPT) {
        bool good = ev->status == SMQTT_STATUS_OK && ev->flag == 1;
        printf("%s%s%s: the server's receipt for record %llu of key %08x says %s, flag %u\n",
               paint(p, good ? "\033[1;32m" : "\033[1;31m"), good ? "confirmed" : "not confirmed", paint(p, "\033[0m"),
               (unsigned long long)ev->seq, (unsigned)ev->kid, smqtt_status_name(ev->status), ev->flag);
        run_stop(run, good ? EXIT_OK : EXIT_NOT_CONFIRMED);
    }
}

static void on_event(struct run *run, const struct smqtt_client_event *event)
{
    if (event->type == SMQTT_CLIENT_CONNECTED) {
        on_connected(run, event);
    } else if (event->type == SMQTT_CLIENT_SECURE) {
        on_secure(run, event);
    } else if (event->type == SMQTT_CLIENT_REFUSED) {
        run_refused(run, event);
    } else if (event->type == SMQTT_CLIENT_CLOSED && !run->stop) {
        say("the broker ended the connection%s%s.", event->reason != 0 ? ": " : "",
            event->reason != 0 ? run_reason(run->version, event->reason) : "");
        run->exit_code = EXIT_NOT_CONFIRMED;
        run->stop = true;
    }
}

static void on_deadline(struct run *run)
{
    say("the server did not confirm in time: is it running?");
    run_stop(run, EXIT_NOT_CONFIRMED);
}

static int run_detect(struct play *p)
{
    static const struct run_hooks hooks = {.event = on_event, .deadline = on_deadline};
    struct run r = {.hooks = &hooks, .ctx = p};
    r.at = smq_clock_now().mono + 2 * (smqtt_ms)p->opts.receipt_timeout;
    if (p->opts.to == NULL || p->opts.message == NULL) {
        say("the form is: smqtt detect --to SERVER.pub -m TEXT.");
        return EXIT_FAILED;
    }
    if (!settings_client(&r, &p->opts, true, SMQTT_V5)) {
        return EXIT_FAILED;
    }
    struct smqtt_sealer *sealer = endpoint_sealer(&p->opts, r.client_id);
    if (sealer == NULL || smqtt_client_attach_sealer(r.client, sealer) != SMQTT_OK) {
        smqtt_sealer_free(sealer);
        smqtt_client_free(r.client);
        return EXIT_FAILED;
    }
    smqtt_client_set_path(r.client, endpoint_path(&p->opts));
    return run(&r);
}

int command_detect(int argc, char **argv)
{
    static struct play p;
    if (!opts_read(&p.opts, OPTS_D, argc, argv, 2)) {
        return EXIT_FAILED;
    }
    if (p.opts.show_version) {
        return say_version();
    }
    if (p.opts.help) {
        usage();
        return EXIT_OK;
    }
    p.colour = isatty(STDOUT_FILENO) != 0 && getenv("NO_COLOR") == NULL;
    return run_detect(&p);
}
