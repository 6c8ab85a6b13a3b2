/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one seed or many: `sim [--seed N | --seeds A-B] [--workers N] [--steps N] [--verbose]`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mutate.h"
#include "sim.h"

struct args {
    uint64_t from, to;
    struct plan plan;                  /* what is given overrides what is drawn */
    const char *mutation;              /* look for this one, or "all"; NULL: nothing is wrong on purpose */
    bool verbose, has_coverage, twice; /* twice: and compare the traces */
};

#ifdef SMQTT_MUTATIONS
const char *smq_mutation;
#endif

/* All there are, and what is wrong then. */
static const struct {
    const char *name;
    unsigned workers;
    const char *what;
} mutations[] = {
#define MUTATION(name, workers, what) {#name, workers, what},
#include "mutations.def"
#undef MUTATION
};

static struct sim sim; /* large */
static struct counts counts;

static int usage(void)
{
    fputs("usage: sim [--seed N | --seeds A-B] [--workers 1..4] [--steps N] [--coverage] [--twice] [--verbose]\n",
          stderr);
    return 2;
}

static bool read_args(int argc, char **argv, struct args *out)
{
    *out = (struct args){.from = 1, .to = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        char *end = NULL;
        uint64_t number = strtoull(value, &end, 10);
        bool whole = end != value && *end == 0;
        if (strcmp(argv[i], "--verbose") == 0) {
            out->verbose = true;
            continue;
        }
        if (strcmp(argv[i], "--coverage") == 0 || strcmp(argv[i], "--twice") == 0) {
            *(argv[i][2] == 'c' ? &out->has_coverage : &out->twice) = true;
            continue;
        }
        if (strcmp(argv[i], "--seed") == 0 && whole) {
            out->from = out->to = number;
        } else if (strcmp(argv[i], "--seeds") == 0 && end != value && *end == '-') {
            out->from = number;
            out->to = strtoull(end + 1, &end, 10);
        } else if (strcmp(argv[i], "--mutation") == 0 && *value != 0) {
            out->mutation = value;
        } else if (strcmp(argv[i], "--workers") == 0 && whole && number <= WORKERS_MAX) {
            out->plan.workers = (unsigned)number;
        } else if (strcmp(argv[i], "--steps") == 0 && whole) {
            out->plan.steps = (unsigned)number;
        } else {
            return false;
        }
        i++;
    }
    return out->from <= out->to;
}

static bool run(const struct args *args, uint64_t seed, uint64_t *hash)
{
    memset(&sim, 0, sizeof sim);
    sim_seed(&sim, seed);
    sim.plan = args->plan;
    sim.verbose = args->verbose;
    sim.counts = &counts;
    bool good = sim_run(&sim);
    *hash = sim.hash;
    return good;
}

static void report(const struct args *args, uint64_t seed)
{
    if (!args->verbose) {
        sim_show_trace(&sim);
    }
    printf("seed %llu, %u workers: %s\n", (unsigned long long)seed, sim.plan.workers, sim.why);
    printf("again: make sim SEED=%llu", (unsigned long long)seed);
    if (args->plan.workers != 0) {
        printf(" WORKERS=%u", args->plan.workers);
    }
    if (args->plan.steps != 0) {
        printf(" STEPS=%u", args->plan.steps);
    }
    printf(" VERBOSE=1\n");
}

/* Seeds until each fault is found; false: one is not. */
static bool find_mutations(const struct args *args)
{
    bool all = true;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(mutations); i++) {
        if (args->mutation != NULL && strcmp(args->mutation, "all") != 0 &&
            strcmp(args->mutation, mutations[i].name) != 0) {
            continue;
        }
#ifdef SMQTT_MUTATIONS
        smq_mutation = mutations[i].name;
#endif
        uint64_t hash = 0, seed = args->from;
        struct args with = *args;
        with.plan.workers = mutations[i].workers != 0 ? mutations[i].workers : args->plan.workers;
        while (seed <= args->to && run(&with, seed, &hash)) {
            seed++;
        }
        all = all && seed <= args->to;
        if (seed <= args->to) {
            printf("%-17s %4llu  %s\n", mutations[i].name, (unsigned long long)(seed - args->from + 1), sim.why);
        } else {
            printf("%-17s none  %s: not found\n", mutations[i].name, mutations[i].what);
        }
        fflush(stdout);
    }
    return all;
}

static void show_counts(void)
{
#define COUNT(name) printf("%-18s %llu\n", #name, (unsigned long long)counts.name);
    COUNTS(COUNT)
#undef COUNT
}

int main(int argc, char **argv)
{
    struct args args;
    if (!read_args(argc, argv, &args)) {
        return usage();
    }
    if (args.mutation != NULL) {
        return find_mutations(&args) ? 0 : 1;
    }
    clock_t begin = clock();
    unsigned failed = 0;
    uint64_t hash = 0, n = 0;
    for (uint64_t seed = args.from; seed <= args.to; seed++, n++) {
        if (!run(&args, seed, &hash)) {
            report(&args, seed);
            failed++;
        }
        uint64_t first = hash;
        if (args.twice && (!run(&args, seed, &hash) || hash != first)) {
            printf("seed %llu: another trace the second time\n", (unsigned long long)seed);
            failed++;
        }
    }
    if (args.has_coverage) {
        show_counts();
    }
    double s = (double)(clock() - begin) / CLOCKS_PER_SEC;
    if (n == 1) {
        printf("trace %016llx\n", (unsigned long long)hash);
    }
    printf("%llu seeds, %u failed, %.1f s, %.0f seeds/s\n", (unsigned long long)n, failed, s,
           s > 0 ? (double)n / s : 0.0);
    return failed != 0;
}
