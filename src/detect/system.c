/* SPDX-License-Identifier: Apache-2.0 */
#include <smqtt/system.h>

#include "detect/schedule.h"

static bool fill(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    return smq_schedule_lib()->random(out, len);
}

struct smqtt_rng smqtt_system_rng(void)
{
    return (struct smqtt_rng){fill, NULL};
}

const char *smqtt_version_text(void)
{
    return SMQTT_VERSION;
}
