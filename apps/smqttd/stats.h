/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_STATS_H
#define SMQTT_APPS_STATS_H
/* Numbers of all workers, for the log (SIGUSR2). */
#include "net/crew.h"

/** Asks every worker for its numbers; the last one that answers writes the lines. In the thread of loop 0. */
void stats_log(struct smq_crew *crew, const struct smq_log *log);

#endif
