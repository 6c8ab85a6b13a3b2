/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_PAPER_FIGURES_H
#define SMQTT_PAPER_FIGURES_H
/** @file figures.h The paper's Figures 1 to 3 and its section 4.2, played and printed. */
#include "curve.h"

/** Plays and prints all; the exit code: 0 when all came out as the paper says (and as section 4.2 admits), else 1. */
int paper_figures(struct paper_curve *curve);

#endif
