/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies, and messages on their way to other workers. */
#include "broker/durable.h"

void smq_durable_committed(struct smq_worker *w)
{
    (void)w;
}
