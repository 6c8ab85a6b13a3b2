/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../say.h"
#include "scenario.h"

/* Two plots above each other, throughput and latency (logarithmic) over time. Colours are told apart in print and by
 * the colour-blind; everything is named at its line. */
enum { WIDTH = 860, HEIGHT = 560, LEFT = 90, RIGHT = 130, TOP = 60, PLOT = 190, GAP = 60, TICKS = 5 };

struct plot {
    double x0, x1, y_min, y_max; /* of the data */
    int top;
    bool is_log;
};

/* log10 to the accuracy of a pixel, by halves: keeps the tool free of the mathematics library. */
static double log10_of(double v)
{
    double whole = 0;
    while (v >= 10) {
        v /= 10;
        whole++;
    }
    while (v < 1) {
        v *= 10;
        whole--;
    }
    double part = 0;
    for (double step = 0.5; step > 1e-6; step /= 2) {
        v *= v;
        if (v >= 10) {
            v /= 10;
            part += step;
        }
    }
    return whole + part;
}

static double x_of(const struct plot *p, double x)
{
    return LEFT + (x - p->x0) / (p->x1 - p->x0) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct plot *p, double y)
{
    double low = p->is_log ? log10_of(p->y_min) : p->y_min;
    double high = p->is_log ? log10_of(p->y_max) : p->y_max;
    double at = p->is_log ? log10_of(y > p->y_min ? y : p->y_min) : y;
    return p->top + PLOT - (at - low) / (high - low) * PLOT;
}

/* 1, 2 or 5 times a power of ten, at least v. */
static double round_up(double v)
{
    double power = 1;
    while (power * 10 < v) {
        power *= 10;
    }
    while (power > v) {
        power /= 10;
    }
    return power >= v ? power : 2 * power >= v ? 2 * power : 5 * power >= v ? 5 * power : 10 * power;
}

static void label(FILE *out, double x, double y, const char *anchor, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, text);
}

static void grid_line(FILE *out, const struct plot *p, double value, const char *text)
{
    double y = y_of(p, value);
    fprintf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT, WIDTH - RIGHT, y, y);
    label(out, LEFT - 8, y + 4, "end", text);
}

static void frame(FILE *out, const struct plot *p, const char *title)
{
    char text[64];
    fprintf(out, "<text class=\"head\" x=\"%d\" y=\"%d\">%s</text>\n", LEFT, p->top - 10, title);
    if (p->is_log) {
        for (double v = p->y_min; v <= p->y_max * 1.001; v *= 10) {
            snprintf(text, sizeof text, "%g", v);
            grid_line(out, p, v, text);
        }
    } else {
        for (int i = 0; i <= TICKS; i++) {
            double v = p->y_max * i / TICKS;
            snprintf(text, sizeof text,
                     v >= 1e6   ? "%.2f M"
                     : v >= 1e3 ? "%.0f k"
                                : "%.0f",
                     v >= 1e6   ? v / 1e6
                     : v >= 1e3 ? v / 1e3
                                : v);
            grid_line(out, p, v, text);
        }
    }
    for (int i = 0; i <= TICKS; i++) {
        double x = p->x0 + (p->x1 - p->x0) * i / TICKS;
        snprintf(text, sizeof text, "%.1f s", x - p->x0);
        label(out, x_of(p, x), p->top + PLOT + 18, "middle", text);
    }
}

enum line { LINE_RATE, LINE_P50, LINE_P99 };

static double value_of(const struct bench_point *p, enum line line)
{
    return line == LINE_RATE ? p->rate : (double)(line == LINE_P50 ? p->p50_ns : p->p99_ns) / 1e6;
}

static void draw(FILE *out, const struct bench *b, const struct plot *p, enum line line)
{
    static const char *const names[] = {"received", "p50", "p99"};
    const struct bench_point *last = &b->points[b->n_points - 1];
    fprintf(out, "<polyline class=\"l%d\" points=\"", (int)line);
    for (size_t i = 0; i < b->n_points; i++) {
        fprintf(out, "%.1f,%.1f ", x_of(p, b->points[i].at_s), y_of(p, value_of(&b->points[i], line)));
    }
    fputs("\"/>\n", out);
    fprintf(out, "<text class=\"t%d\" x=\"%d\" y=\"%.1f\">%s</text>\n", (int)line, WIDTH - RIGHT + 8,
            y_of(p, value_of(last, line)) + 4, names[line]);
}

static void head(FILE *out, const struct bench *b)
{
    const struct bench_flags *f = &b->flags;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n"
            "<title>smqtt bench %s</title>\n"
            "<style>.grid{stroke:#ddd}.head{font-weight:bold}polyline{fill:none;stroke-width:1.8;"
            "stroke-linejoin:round}.l0{stroke:#0072b2}.l1{stroke:#009e73}.l2{stroke:#d55e00}.t0{fill:#0072b2}"
            ".t1{fill:#009e73}.t2{fill:#d55e00}</style>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, b->scenario->name);
    fprintf(out,
            "<text x=\"%d\" y=\"24\" font-size=\"15\">%s: %u clients, QoS %u, %u bytes: p50 %.3f ms, p99 %.3f ms, "
            "lost %llu</text>\n",
            LEFT, b->scenario->name, b->n_clients, (unsigned)f->qos, (unsigned)f->size,
            (double)hist_at(&b->hist, 0.5) / 1e6, (double)hist_at(&b->hist, 0.99) / 1e6, (unsigned long long)b->n.lost);
}

static void plots(FILE *out, const struct bench *b)
{
    double most = 1;
    double longest = 1e-3;
    double shortest = 1e9;
    for (size_t i = 0; i < b->n_points; i++) {
        double p50 = value_of(&b->points[i], LINE_P50);
        double p99 = value_of(&b->points[i], LINE_P99);
        most = b->points[i].rate > most ? b->points[i].rate : most;
        longest = p99 > longest ? p99 : longest;
        shortest = p50 > 0 && p50 < shortest ? p50 : shortest;
    }
    double first = b->points[0].at_s;
    double last = b->points[b->n_points - 1].at_s;
    struct plot rate = {first, last > first ? last : first + 1, 0, round_up(most), TOP, false};
    struct plot latency = rate;
    latency.top = TOP + PLOT + GAP;
    latency.is_log = true;
    latency.y_max = 1e-3;
    while (latency.y_max < longest) {
        latency.y_max *= 10;
    }
    latency.y_min = latency.y_max / 10;
    while (latency.y_min > shortest && latency.y_min > 1e-3) {
        latency.y_min /= 10;
    }
    frame(out, &rate, "messages received per second");
    draw(out, b, &rate, LINE_RATE);
    frame(out, &latency, "latency, milliseconds");
    draw(out, b, &latency, LINE_P50);
    draw(out, b, &latency, LINE_P99);
}

bool report_svg(const struct bench *b, const char *path)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        say("'%s' could not be written: %s.", path, strerror(errno));
        return false;
    }
    head(out, b);
    if (b->n_points != 0) {
        plots(out, b);
    } else {
        label(out, WIDTH / 2.0, HEIGHT / 2.0, "middle", "nothing was measured");
    }
    fputs("</svg>\n", out);
    bool ok = fflush(out) == 0 && ferror(out) == 0;
    ok = fclose(out) == 0 && ok;
    if (!ok) {
        say("'%s' could not be written whole: is the disk full?", path);
    }
    return ok;
}
