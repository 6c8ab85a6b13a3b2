/* SPDX-License-Identifier: Apache-2.0 */
#include "hist.h"

#include <string.h>

enum { STEP_BITS = 6 };
_Static_assert(1 << STEP_BITS == HIST_STEPS, "steps are a power of two");

/* Values below two times HIST_STEPS have a cell each; from there on the highest bits choose the cell. */
size_t hist_cell(uint64_t value)
{
    if (value < 2 * HIST_STEPS) {
        return (size_t)value;
    }
    unsigned power = 63 - (unsigned)__builtin_clzll(value) - STEP_BITS;
    size_t cell = (size_t)power * HIST_STEPS + (size_t)(value >> power);
    return cell < HIST_CELLS ? cell : HIST_CELLS - 1;
}

uint64_t hist_cell_top(size_t cell)
{
    if (cell < 2 * HIST_STEPS) {
        return cell;
    }
    unsigned power = (unsigned)(cell / HIST_STEPS) - 1;
    uint64_t step = cell % HIST_STEPS + HIST_STEPS;
    return ((step + 1) << power) - 1;
}

void hist_add(struct hist *h, uint64_t value)
{
    h->min = h->n == 0 || value < h->min ? value : h->min;
    h->max = value > h->max ? value : h->max;
    h->sum += value;
    h->n++;
    h->cells[hist_cell(value)]++;
}

void hist_merge(struct hist *to, const struct hist *from)
{
    if (from->n == 0) {
        return;
    }
    to->min = to->n == 0 || from->min < to->min ? from->min : to->min;
    to->max = from->max > to->max ? from->max : to->max;
    to->sum += from->sum;
    to->n += from->n;
    for (size_t i = 0; i < HIST_CELLS; i++) {
        to->cells[i] += from->cells[i];
    }
}

void hist_clear(struct hist *h)
{
    memset(h, 0, sizeof *h);
}

uint64_t hist_at(const struct hist *h, double share)
{
    if (h->n == 0) {
        return 0;
    }
    double exact = share * (double)h->n;
    uint64_t wanted = (uint64_t)exact;
    wanted += (double)wanted < exact ? 1 : 0;
    wanted = wanted == 0 ? 1 : wanted;
    uint64_t seen = 0;
    for (size_t i = 0; i < HIST_CELLS; i++) {
        seen += h->cells[i];
        if (seen >= wanted) {
            uint64_t top = i == HIST_CELLS - 1 ? h->max : hist_cell_top(i);
            return top < h->max ? top : h->max;
        }
    }
    return h->max;
}

uint64_t hist_mean(const struct hist *h)
{
    return h->n != 0 ? h->sum / h->n : 0;
}
