/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt-paper: the scheme of Wang and Sakai, A Study of Secure Communication Protocols, as it stands there. For study
 * only: `smqtt-paper attacks` shows why.
 *
 *     smqtt-paper figures            Figures 2 and 3, the phases of Figure 1, section 4.2; checks what it shows
 *     smqtt-paper attacks            carries out every attack: `id <tab> succeeded|failed <tab> title <tab> what`
 *     smqtt-paper measure STEP REPS  2 to 200 bytes by STEP, REPS times each, as comma separated values
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attacks.h"
#include "figures.h"

static int attacks(struct paper_curve *curve)
{
    const struct paper_attack *lists[] = {paper_attacks_text, paper_attacks_trust};
    int failed = 0;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (const struct paper_attack *a = lists[i]; a->id != NULL; a++) {
            static struct paper_lab lab;
            paper_lab_init(&lab, curve);
            bool good = a->run(&lab);
            printf("%s\t%s\t%s\t%s\n", a->id, good ? "succeeded" : "failed", a->title, lab.note);
            failed += good ? 0 : 1;
        }
    }
    return failed == 0 ? 0 : 1;
}

/* ---------------------------------------------------------------- measuring */

static double now_s(void)
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

enum { REPS_MAX = 1000, TABLE_EVERY = 10 };

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof(values[0]), by_size);
    return values[n / 2];
}

static void measure_size(struct paper_curve *c, uint32_t sk, size_t len, size_t reps)
{
    static double prepare[REPS_MAX], map[REPS_MAX], enc[REPS_MAX], dec[REPS_MAX];
    static char text[PAPER_TEXT_MAX];
    uint32_t pk = paper_curve_mul(c, sk, c->g);
    struct paper_bytes m = {.len = len};
    struct paper_bytes back;
    struct paper_points points;
    struct paper_points cipher;
    size_t wire = 0;
    size_t tables = 0;
    for (size_t i = 0; i < len; i++) {
        m.at[i] = (uint8_t)('a' + i % 26);
    }
    for (size_t r = 0; r < reps; r++) {
        double t0 = now_s();
        if (r % TABLE_EVERY == 0) { /* it takes long, and is the same each time */
            paper_curve_build(c);
            prepare[tables++] = now_s() - t0;
        }
        double t1 = now_s();
        paper_encode(c, &m, &points);
        double t2 = now_s();
        paper_encrypt(c, pk, &points, &cipher);
        wire = paper_write(&cipher, text);
        double t3 = now_s();
        if (!paper_read(c, text, wire, &cipher) || !paper_decrypt(c, sk, &cipher, &points) ||
            !paper_decode(c, &points, &back) || !paper_bytes_equal(&m, &back)) {
            paper_die("decrypting what was encrypted");
        }
        map[r] = t2 - t1;
        enc[r] = t3 - t2;
        dec[r] = now_s() - t3;
    }
    paper_encode(c, &m, &points);
    paper_encrypt_one_k(c, pk, &points, &cipher);
    size_t one_k = paper_write(&cipher, text);
    double mapped = median(map, reps);
    printf("%zu,%.9f,%.9f,%.9f,%zu,%.9f,%zu\n", len, median(prepare, tables) + mapped, median(enc, reps),
           median(dec, reps), wire, mapped, one_k);
}

static int measure(struct paper_curve *c, const char *step_text, const char *reps_text)
{
    unsigned long step = strtoul(step_text, NULL, 10);
    unsigned long reps = strtoul(reps_text, NULL, 10);
    if (step == 0 || reps == 0 || reps > REPS_MAX) {
        fprintf(stderr, "smqtt-paper: measure takes a step of at least 1 and 1 to %d repetitions.\n", REPS_MAX);
        return 2;
    }
    uint32_t sk = paper_curve_random();
    printf("bytes,prepare_s,encrypt_s,decrypt_s,wire,map_s,wire_one_k\n");
    for (size_t len = 2; len <= 200; len += step) {
        measure_size(c, sk, len, reps);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct paper_curve curve;
    int code = 2;
    paper_curve_init(&curve);
    if (argc == 2 && strcmp(argv[1], "figures") == 0) {
        code = paper_figures(&curve);
    } else if (argc == 2 && strcmp(argv[1], "attacks") == 0) {
        code = attacks(&curve);
    } else if (argc == 4 && strcmp(argv[1], "measure") == 0) {
        code = measure(&curve, argv[2], argv[3]);
    } else {
        fprintf(stderr, "usage: smqtt-paper figures | attacks | measure STEP REPETITIONS\n");
    }
    paper_curve_deinit(&curve);
    return code;
}
