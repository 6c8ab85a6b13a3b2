/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/config.h"

void smq_broker_config_default(struct smq_broker_config *config)
{
    *config = (struct smq_broker_config){
        .max_detect_size = 8192,
        .max_keepalive = UINT16_MAX,
        .max_topic_levels = 200,
        .max_inflight_messages = 20,
        .receive_maximum = 1024,
        .max_queued_messages = 1000,
        .max_output_bytes = UINT64_C(64) << 20,
        .connect_timeout_s = 10,
        .packet_timeout_s = 60,
        .retain_available = true,
        .retained_persistence = true,
        .text_policy = SMQ_TEXT_STRICT,
        .detect = true,
        .detect_per_minute = 8,
        .detect_burst = 8,
        .on_mismatch = SMQ_MISMATCH_DISCONNECT,
        .log_connections = true,
        .slow_policy = SMQ_SLOW_BACKPRESSURE,
        .slow_timeout_s = 30,
        .check_retain_source = true,
        .sys_interval_s = 10,
        .response_information = true,
    };
}
