/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_MUTATE_H
#define SMQTT_BASE_MUTATE_H
/* Faults put in on purpose, to see that the simulator finds them (tests/sim/mutations.def has a row for each). They
 * exist in the program sim_mutated only; everywhere else nothing is left of them. */
#include <stdbool.h>

#ifdef SMQTT_MUTATIONS
#include <string.h>
extern const char *smq_mutation; /* the one that is in force; NULL: none */
#define SMQ_MUTATE(name) (smq_mutation != NULL && strcmp(smq_mutation, #name) == 0)
#else
#define SMQ_MUTATE(name) false
#endif

#endif
