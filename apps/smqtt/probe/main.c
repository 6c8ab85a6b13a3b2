/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt probe: which ill-formed strings does a broker take, keep and hand on, and in which field? */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "cases.h"
#include "codec/topic.h"
#include "../commands.h"
#include "report.h"
#include "../run.h"
#include "../say.h"
#include "../settings.h"

struct probing {
    struct opts opts;
    struct probe probe;
    struct probe_report report;
    struct probe_result *results;
};

static void usage(void)
{
    puts(
        "Usage: smqtt probe [-h HOST] [-p PORT] [flags]\n\n"
        "Tries on a broker which strings that MQTT forbids (ill-formed UTF-8, surrogates, U+0000, wildcards in topic\n"
        "names) it refuses, takes, hands on to subscribers and keeps as retained messages, in each field and version,\n"
        "and says what follows from it. It publishes only below a random topic of its own, and removes what it left\n"
        "there; ask the broker's owner first all the same. Exit code: 0 everything is refused, 3 something is taken\n"
        "but reaches no subscriber ill-formed, 4 subscribers get ill-formed strings, 1 the test could not be made.\n");
    opts_print(OPTS_X);
    puts("\nExamples:\n"
         "  smqtt probe -h broker.example\n"
         "  smqtt probe -h broker.example --cafile ca.pem -u me -P secret --below my/topics -V 5 --json\n"
         "  smqtt probe -h broker.example --forget 'a\\x80b'");
}

/* ---------------------------------------------------------------- what is to be done */

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/** The bytes of a text with \xNN in it, in place. Its length; 0 after a sentence. */
static size_t read_bytes(const char *text, uint8_t *out, size_t cap)
{
    size_t n = 0;
    for (const char *p = text; *p != 0 && n < cap; p++) {
        if (p[0] == '\\' && p[1] == 'x' && digit(p[2]) >= 0 && digit(p[3]) >= 0) {
            out[n++] = (uint8_t)(digit(p[2]) * 16 + digit(p[3]));
            p += 3;
        } else if (p[0] == '\\') {
            n = 0;
            break;
        } else {
            out[n++] = (uint8_t)*p;
        }
    }
    if (n == 0 || n == cap) {
        say("'%s' names no topic: write its bytes as they are or, as \\xNN, with two hexadecimal digits.", text);
        return 0;
    }
    return n;
}

static bool make_root(struct probing *p)
{
    const char *of_url = p->opts.topics.n != 0 ? p->opts.topics.item[0] : "smqtt-probe";
    const char *below = p->opts.below != NULL ? p->opts.below : of_url;
    struct smqtt_rng rng = smqtt_system_rng();
    uint32_t number = 0;
    if (!smq_topic_name_ok(smq_span_str(below), 0) || strlen(below) > PROBE_TOPIC_MAX / 2) {
        say("'%s' of --below is no topic that can be published to: give one without + and #.", below);
        return false;
    }
    if (!rng.fill(rng.ctx, (uint8_t *)&number, sizeof(number))) {
        say("there is no randomness for a topic of our own: look why the system has none.");
        return false;
    }
    snprintf(p->probe.root, sizeof(p->probe.root), "%s/%08x", below, (unsigned)number);
    return true;
}

static bool check(struct probing *p)
{
    p->report.opts = &p->opts;
    p->probe.opts = &p->opts;
    p->probe.wait_ms = p->opts.wait;
    if (p->opts.n_args != 0) {
        say("'%s' is no flag: --help shows them.", p->opts.args[0]);
        return false;
    }
    enum smqtt_version version = SMQTT_V311;
    if (p->opts.version != NULL && !settings_version(p->opts.version, &version)) {
        return false;
    }
    p->report.asked[version] = true;
    p->report.asked[SMQTT_V5] = p->report.asked[SMQTT_V5] || p->opts.version == NULL;
    return make_root(p) && transport_prepare(&p->opts);
}

/* ---------------------------------------------------------------- doing it */

static size_t n_cases(const struct probing *p, enum smqtt_version version)
{
    size_t n = 0;
    for (size_t i = 0; i < probe_n_fields * probe_n_strings; i++) {
        const struct probe_field *field = &probe_fields[i / probe_n_strings];
        n += probe_applies(field, &probe_strings[i % probe_n_strings], version, p->opts.advised) ? 1 : 0;
    }
    return n;
}

static void show_progress(const struct probe_result *r, size_t i, size_t n)
{
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r\033[K%zu of %zu: %s, %s", i, n, r->field->name, r->string->name);
    }
}

static void end_progress(void)
{
    if (isatty(STDERR_FILENO)) {
        fputs("\r\033[K", stderr);
    }
}

enum played { PLAYED_ALL, PLAYED_SOME, PLAYED_NO_BROKER };

/** All cases of one version, unless a signal or the end of the broker comes between. */
static enum played play_version(struct probing *p, enum smqtt_version version)
{
    size_t done = 0;
    size_t n = n_cases(p, version);
    for (size_t i = 0; i < probe_n_fields * probe_n_strings; i++) {
        struct probe_result *r = &p->results[p->report.n];
        *r = (struct probe_result){.field = &probe_fields[i / probe_n_strings],
                                   .string = &probe_strings[i % probe_n_strings]};
        if (!probe_applies(r->field, r->string, version, p->opts.advised)) {
            continue;
        }
        show_progress(r, ++done, n);
        bool ok = probe_play(&p->probe, r);
        if (run_take_interrupt()) {
            return PLAYED_SOME;
        }
        if (!ok) {
            end_progress();
            say("after '%s' in the %s (MQTT %s) the broker let nobody in any more: look whether it still runs.",
                r->string->name, r->field->name, probe_version_name(version));
            return PLAYED_NO_BROKER;
        }
        p->report.n++;
    }
    return PLAYED_ALL;
}

/** False when there was no broker to be tried. */
static bool play_all(struct probing *p)
{
    bool any = false;
    p->report.whole = true;
    for (enum smqtt_version v = SMQTT_V31; v <= SMQTT_V5 && p->report.whole; v = (enum smqtt_version)(v + 1)) {
        if (!p->report.asked[v]) {
            continue;
        }
        enum probe_start start = probe_start(&p->probe, v);
        if (start == PROBE_NO_BROKER) {
            return false;
        }
        p->report.spoken[v] = start == PROBE_READY;
        any = any || start == PROBE_READY;
        if (start == PROBE_READY) {
            enum played played = play_version(p, v);
            end_progress();
            p->report.whole = played == PLAYED_ALL;
            probe_finish(&p->probe, played != PLAYED_NO_BROKER);
        }
    }
    if (!any) {
        say("no broker answered at %s in the version that was asked for: check host, port and -V.", p->opts.host);
    }
    return any;
}

static int probe_all(struct probing *p)
{
    p->results = calloc(2 * probe_n_fields * probe_n_strings + 1, sizeof(*p->results));
    if (p->results == NULL) {
        say("there is no memory for the results.");
        return EXIT_FAILED;
    }
    p->report.results = p->results;
    run_catch_signals();
    int code = EXIT_FAILED;
    if (play_all(p)) {
        p->report.left = p->probe.left;
        if (p->opts.json) {
            probe_report_json(&p->report);
        } else {
            probe_report_table(&p->report);
        }
        code = probe_report_code(&p->report);
    }
    free(p->results);
    return code;
}

static int forget(struct probing *p)
{
    static uint8_t topic[65536];
    size_t len = read_bytes(p->opts.forget, topic, sizeof(topic));
    p->probe.version = p->report.asked[SMQTT_V311] ? SMQTT_V311 : p->report.asked[SMQTT_V31] ? SMQTT_V31 : SMQTT_V5;
    return len != 0 && probe_forget(&p->probe, smq_span_of(topic, len)) ? EXIT_OK : EXIT_FAILED;
}

int command_probe(int argc, char **argv)
{
    static struct probing p;
    if (!opts_read(&p.opts, OPTS_X, argc, argv, 2)) {
        return EXIT_FAILED;
    }
    if (p.opts.show_version) {
        return say_version();
    }
    if (p.opts.help) {
        usage();
        return EXIT_OK;
    }
    if (!check(&p)) {
        return EXIT_FAILED;
    }
    return p.opts.forget != NULL ? forget(&p) : probe_all(&p);
}
