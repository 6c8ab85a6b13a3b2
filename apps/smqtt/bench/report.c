/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../say.h"
#include "scenario.h"

static double per_second(const struct bench_phase *p)
{
    return p->seconds > 0 ? (double)p->n / p->seconds : 0;
}

static bool has_use(const struct bench_phase *p)
{
    return p->before.known && p->after.known;
}

static double cpu_of(const struct bench_phase *p)
{
    return p->after.cpu_s - p->before.cpu_s;
}

static double grown_by(const struct bench_phase *p)
{
    return (double)p->after.rss - (double)p->before.rss;
}

/* The part in which messages went from publishers to subscribers of this run; NULL when there was none. */
static const struct bench_phase *flow_of(const struct bench *b)
{
    for (size_t i = 0; i < b->n_phases; i++) {
        const struct bench_phase *p = &b->phases[i];
        if (strcmp(p->name, "publish") == 0 && p->n != 0 && p->sent != 0 && b->n_subs != 0) {
            return p;
        }
    }
    return NULL;
}

static double each(uint64_t bytes, uint64_t n)
{
    return (double)bytes / (double)n;
}

static const double shares[] = {0.5, 0.9, 0.99, 0.999};
static const char *const share_names[] = {"p50", "p90", "p99", "p999"};

/* How what is sealed goes. */
static const char *path_of(const struct bench *b)
{
    return b->flags.sealed == NULL || b->n_subs == 0        ? ""
           : b->flags.tunnel || !b->subs[0].client->detects ? "tunnel"
                                                            : "native";
}

void report_text(const struct bench *b)
{
    const struct bench_flags *f = &b->flags;
    const struct bench_counters *n = &b->n;
    printf("%s: %u clients, QoS %u, %u bytes, window %u, MQTT %s%s%s%s%s\n", b->scenario->name, b->n_clients,
           (unsigned)f->qos, (unsigned)f->size, (unsigned)f->window,
           f->version == 5   ? "5.0"
           : f->version == 4 ? "3.1.1"
                             : "3.1",
           f->sealed != NULL ? ", sealed with " : "", f->sealed != NULL ? f->sealed : "",
           f->sealed == NULL                   ? ""
           : strcmp(path_of(b), "native") == 0 ? ", natively"
                                               : ", through the tunnel",
           f->cafile != NULL ? ", TLS 1.3" : "");
    for (size_t i = 0; i < b->n_phases; i++) {
        const struct bench_phase *p = &b->phases[i];
        printf("  %-10s %llu %s in %.3f s: %.0f per second", p->name, (unsigned long long)p->n, p->unit, p->seconds,
               per_second(p));
        if (has_use(p)) {
            double cpu = cpu_of(p);
            printf("; broker: %.3f s of CPU, %.0f per CPU second, memory %+.0f KiB (%.0f bytes each)", cpu,
                   cpu > 0 ? (double)p->n / cpu : 0, grown_by(p) / 1024, p->n != 0 ? grown_by(p) / (double)p->n : 0);
        }
        puts("");
    }
    if (b->hist.n != 0) {
        printf("  latency    ");
        for (size_t i = 0; i < SMQ_ARRAY_LEN(shares); i++) {
            printf("%s %.3f ms, ", share_names[i], (double)hist_at(&b->hist, shares[i]) / 1e6);
        }
        printf("max %.3f ms\n", (double)b->hist.max / 1e6);
    }
    const struct bench_phase *flow = flow_of(b);
    if (flow != NULL) {
        const struct bench_bytes *pubs = &flow->bytes[BENCH_PUBLISHERS];
        const struct bench_bytes *subs = &flow->bytes[BENCH_OTHERS];
        printf("  wire       bytes per message: publisher to broker %.2f and back %.2f, broker to subscriber %.2f and "
               "back %.2f\n",
               each(pubs->out, flow->sent), each(pubs->in, flow->sent), each(subs->in, flow->n),
               each(subs->out, flow->n));
    }
    if (n->sent + n->delivered != 0) {
        printf("  messages   sent %llu, acknowledged %llu, received %llu, lost %llu, twice %llu, out of order %llu\n",
               (unsigned long long)n->sent, (unsigned long long)n->acked, (unsigned long long)n->delivered,
               (unsigned long long)n->lost, (unsigned long long)n->twice, (unsigned long long)n->late);
    }
    if (n->failed + n->refused + n->lost_connections + n->bad_packets + n->unknown + n->sealed_refused != 0) {
        printf("  trouble    connections failed %llu, ended by the broker %llu; refused %llu, unexpected packets %llu, "
               "messages not of this run %llu, records refused %llu\n",
               (unsigned long long)n->failed, (unsigned long long)n->lost_connections, (unsigned long long)n->refused,
               (unsigned long long)n->bad_packets, (unsigned long long)n->unknown,
               (unsigned long long)n->sealed_refused);
    }
}

/* ---------------------------------------------------------------- JSON */

static void put_phase(FILE *out, const struct bench_phase *p, bool last)
{
    fprintf(out, "    {\"name\": \"%s\", \"unit\": \"%s\", \"count\": %llu, \"seconds\": %.6f, \"per_second\": %.1f",
            p->name, p->unit, (unsigned long long)p->n, p->seconds, per_second(p));
    fprintf(out, ", \"bytes_out\": %llu, \"bytes_in\": %llu, \"own_cpu_seconds\": %.6f",
            (unsigned long long)(p->bytes[BENCH_PUBLISHERS].out + p->bytes[BENCH_OTHERS].out),
            (unsigned long long)(p->bytes[BENCH_PUBLISHERS].in + p->bytes[BENCH_OTHERS].in), p->own_cpu_s);
    if (has_use(p)) {
        double cpu = cpu_of(p);
        fprintf(out,
                ", \"cpu_seconds\": %.6f, \"per_cpu_second\": %.1f, \"rss_before\": %llu, \"rss_after\": %llu, "
                "\"bytes_each\": %.1f",
                cpu, cpu > 0 ? (double)p->n / cpu : 0, (unsigned long long)p->before.rss,
                (unsigned long long)p->after.rss, p->n != 0 ? grown_by(p) / (double)p->n : 0);
    }
    fprintf(out, "}%s\n", last ? "" : ",");
}

static void put_latency(FILE *out, const struct hist *h)
{
    fprintf(out, "  \"latency_us\": {\"count\": %llu, \"mean\": %.3f, \"min\": %.3f, ", (unsigned long long)h->n,
            (double)hist_mean(h) / 1e3, (double)h->min / 1e3);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(shares); i++) {
        fprintf(out, "\"%s\": %.3f, ", share_names[i], (double)hist_at(h, shares[i]) / 1e3);
    }
    fprintf(out, "\"max\": %.3f},\n", (double)h->max / 1e3);
}

static void put_bytes(FILE *out, const struct bench_phase *flow)
{
    if (flow == NULL) {
        return;
    }
    const struct bench_bytes *pubs = &flow->bytes[BENCH_PUBLISHERS];
    const struct bench_bytes *subs = &flow->bytes[BENCH_OTHERS];
    fprintf(out,
            "  \"bytes_per_message\": {\"publisher_out\": %.3f, \"publisher_in\": %.3f, \"subscriber_in\": %.3f, "
            "\"subscriber_out\": %.3f},\n",
            each(pubs->out, flow->sent), each(pubs->in, flow->sent), each(subs->in, flow->n), each(subs->out, flow->n));
}

static void put_counters(FILE *out, const struct bench_counters *n)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"sent", n->sent},
        {"acknowledged", n->acked},
        {"received", n->delivered},
        {"lost", n->lost},
        {"duplicate", n->twice},
        {"out_of_order", n->late},
        {"unknown", n->unknown},
        {"connections_failed", n->failed},
        {"connections_ended", n->lost_connections},
        {"refused", n->refused},
        {"unexpected_packets", n->bad_packets},
        {"records_refused", n->sealed_refused},
        {"pauses", n->stalls},
    };
    fputs("  \"messages\": {", out);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        fprintf(out, "%s\"%s\": %llu", i != 0 ? ", " : "", rows[i].name, (unsigned long long)rows[i].value);
    }
    fputs("},\n", out);
}

static void put_all(FILE *out, const struct bench *b)
{
    const struct bench_flags *f = &b->flags;
    fprintf(out,
            "{\n  \"scenario\": \"%s\", \"clients\": %u, \"qos\": %u, \"size\": %u, \"window\": %u, \"version\": %u, "
            "\"rate\": %.3f, \"sealed\": %s, \"path\": \"%s\", \"tls\": %s,\n",
            b->scenario->name, b->n_clients, (unsigned)f->qos, (unsigned)f->size, (unsigned)f->window,
            (unsigned)f->version, f->rate, f->sealed != NULL ? "true" : "false", path_of(b),
            f->cafile != NULL ? "true" : "false");
    fputs("  \"phases\": [\n", out);
    for (size_t i = 0; i < b->n_phases; i++) {
        put_phase(out, &b->phases[i], i + 1 == b->n_phases);
    }
    fputs("  ],\n", out);
    put_latency(out, &b->hist);
    put_bytes(out, flow_of(b));
    put_counters(out, &b->n);
    fputs("  \"points\": [", out);
    for (size_t i = 0; i < b->n_points; i++) {
        const struct bench_point *p = &b->points[i];
        fprintf(out, "%s{\"s\": %.3f, \"per_second\": %.0f, \"p50_us\": %.3f, \"p99_us\": %.3f}",
                i != 0 ? ",\n    " : "\n    ", p->at_s, p->rate, (double)p->p50_ns / 1e3, (double)p->p99_ns / 1e3);
    }
    fputs("\n  ]\n}\n", out);
}

bool report_json(const struct bench *b, const char *path)
{
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *out = to_stdout ? stdout : fopen(path, "w");
    if (out == NULL) {
        say("'%s' could not be written: %s.", path, strerror(errno));
        return false;
    }
    put_all(out, b);
    bool ok = fflush(out) == 0 && ferror(out) == 0;
    if (!to_stdout) {
        ok = fclose(out) == 0 && ok;
    }
    if (!ok) {
        say("'%s' could not be written whole: is the disk full?", path);
    }
    return ok;
}
