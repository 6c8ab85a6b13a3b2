/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a broker sends: what the client gives out as a message has good strings, what it puts aside has a bad one
 * where it says, and nothing that ends a connection is given out at all. */
#include <stdlib.h>

#include <smqtt/client.h>

#include "base/utf8.h"
#include "codec/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static const struct smqtt_now now = {1700000000000, 5000};

static bool is_topic(struct smqtt_span topic)
{
    return smq_utf8_ok(topic, SMQ_TEXT_STANDARD) && smq_topic_name_ok(topic, 0);
}

static void check_event(const struct smqtt_client_event *event, bool strict)
{
    if (event->type == SMQTT_CLIENT_MESSAGE) {
        must(is_topic(event->topic) && event->field == SMQTT_FIELD_NONE);
    } else if (event->type == SMQTT_CLIENT_QUARANTINED) {
        must(!strict && event->field != SMQTT_FIELD_NONE && event->field <= SMQTT_FIELD_USER_PROPERTY_VALUE);
        must((event->field == SMQTT_FIELD_TOPIC) == !is_topic(event->topic));
        must(event->field == SMQTT_FIELD_PAYLOAD || event->err != SMQTT_E_BAD_TEXT ||
             !smq_utf8_ok(event->text, SMQ_TEXT_STANDARD));
        must(event->field != SMQTT_FIELD_PAYLOAD || !smq_utf8_ok(event->payload, SMQ_TEXT_WELLFORMED));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const enum smqtt_version versions[] = {SMQTT_V5, SMQTT_V311, SMQTT_V31, SMQTT_V5};
    static const uint8_t aliases[] = {0x22, 0, 4};
    if (len == 0) {
        return 0;
    }
    bool strict = (data[0] & 4) != 0;
    struct smqtt_client_config config = {.struct_size = sizeof(config), .version = versions[data[0] & 3]};
    config.client_id = (struct smqtt_span){(const uint8_t *)"fuzz", 4};
    config.clean_start = true;
    config.lax_text = true;
    config.max_packet = 4096;
    config.bad_strings = strict ? SMQTT_BAD_STRINGS_STRICT : SMQTT_BAD_STRINGS_QUARANTINE;
    config.props = config.version == SMQTT_V5 ? smq_span_of(aliases, sizeof(aliases)) : config.props;
    struct smqtt_client *c = NULL;
    must(smqtt_client_new(&config, &c) == SMQTT_OK && smqtt_client_connect(c, now) == SMQTT_OK);
    static const uint8_t connack[] = {0x20, 3, 0, 0, 0};
    bool v5 = config.version == SMQTT_V5;
    static const uint8_t connack_v3[] = {0x20, 2, 0, 0};
    smqtt_client_feed(c, v5 ? smq_span_of(connack, sizeof(connack)) : smq_span_of(connack_v3, sizeof(connack_v3)), now);
    smqtt_client_feed(c, smq_span_of(data + 1, len - 1), now);
    uint64_t aside = 0;
    struct smqtt_client_event event;
    while (smqtt_client_next(c, &event)) {
        check_event(&event, strict);
        aside += event.type == SMQTT_CLIENT_QUARANTINED ? 1 : 0;
        smqtt_client_sent(c, smqtt_client_output(c).len, now);
    }
    struct smqtt_client_counts counters;
    smqtt_client_counters(c, &counters);
    must(counters.quarantined == aside);
    smqtt_client_free(c);
    return 0;
}
