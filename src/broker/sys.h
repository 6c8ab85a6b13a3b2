/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_SYS_H
#define SMQTT_BROKER_SYS_H
/* What the broker tells about itself under $SYS/broker/: retained, every sys_interval seconds, what has changed. Worker
 * 0 does it for all. The rows are those of broker/sys.def. */
#include "base/span.h"

struct smq_worker;

/** Begins to tell, when this is worker 0 and the configuration says how often. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_sys_init(struct smq_worker *w);
/** Frees what it holds. */
void smq_sys_deinit(struct smq_worker *w);
/** The configuration may say another interval now. */
void smq_sys_configure(struct smq_worker *w);
/** The numbers of worker `from` came: when they were the last ones that were asked for, it is told. */
void smq_sys_on_stats(struct smq_worker *w, unsigned from);
/** One line of the log, to $SYS/broker/log/N, E, W, I or M/subscribe, M/unsubscribe (`log_dest topic`). Nothing for
 * SMQ_LOG_DEBUG. */
void smq_sys_log(struct smq_worker *w, unsigned level, smq_span line);

#endif
