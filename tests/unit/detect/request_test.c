/* SPDX-License-Identifier: Apache-2.0 */
/* Whole sessions through a client that knows nothing of DETECT: zero-terminated topics, payloads, QoS. */
#include "pair.h"

#include <stdlib.h>

enum { MAIL_MAX = 64 };

/** What the foreign client was told to publish. */
struct mail {
    char topic[128];
    uint8_t *payload;
    size_t len;
    uint8_t qos;
    bool retain;
};

struct post {
    struct mail list[MAIL_MAX];
    size_t n, subscribed, unsubscribed;
};

/** Does what the event asks, as a foreign client does: with a C string for the topic. */
static bool obey(struct post *post, const struct smqtt_secure_event *ev)
{
    struct smqtt_request r = {.topic = NULL};
    if (!smqtt_secure_event_request(ev, &r)) {
        assert_null(r.topic); /* untouched */
        return false;
    }
    assert_int_equal(strlen(r.topic), ev->topic.len);
    assert_memory_equal(r.topic, "smqtt1/", 7);
    post->subscribed += r.type == SMQTT_ASK_SUBSCRIBE;
    post->unsubscribed += r.type == SMQTT_ASK_UNSUBSCRIBE;
    if (r.type != SMQTT_ASK_PUBLISH) {
        assert_int_equal(r.qos, 1);
        return true;
    }
    assert_true(post->n < MAIL_MAX);
    struct mail *mail = &post->list[post->n++];
    memcpy(mail->topic, r.topic, strlen(r.topic) + 1);
    mail->payload = malloc(r.payload.len + 1);
    assert_non_null(mail->payload);
    memcpy(mail->payload, r.payload.data, r.payload.len);
    mail->len = r.payload.len;
    mail->qos = r.qos;
    mail->retain = r.retain;
    return true;
}

static size_t give(struct pair *p, struct post *post)
{
    size_t taken = 0;
    for (size_t i = 0; i < post->n; i++) {
        struct mail *mail = &post->list[i];
        smq_span topic = smq_span_str(mail->topic);
        bool to_opener = strstr(mail->topic, "/c/") != NULL || mail->topic[0] != 's';
        bool mine = false;
        if (to_opener) {
            assert_int_equal(
                smqtt_opener_message(p->opener, topic, smq_span_of(mail->payload, mail->len), false, p->now), SMQTT_OK);
        } else {
            assert_int_equal(
                smqtt_sealer_message(p->sealer, topic, smq_span_of(mail->payload, mail->len), &mine, p->now), SMQTT_OK);
        }
        taken++;
        free(mail->payload);
    }
    post->n = 0;
    return taken;
}

static void pull(struct pair *p, struct post *from_sealer, struct post *from_opener, unsigned told[16])
{
    struct smqtt_secure_event ev;
    while (smqtt_sealer_next(p->sealer, &ev)) {
        told[ev.type] += !obey(from_sealer, &ev);
    }
    while (smqtt_opener_next(p->opener, &ev)) {
        told[ev.type] += !obey(from_opener, &ev);
    }
}

static void test_session(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    p->tunnel = true;
    pair_open(p);
    struct post from_sealer = {.n = 0};
    struct post from_opener = {.n = 0};
    unsigned told[16] = {0};
    smqtt_sealer_connected(p->sealer, true, p->now);
    assert_int_equal(smqtt_opener_connected(p->opener, true, smq_span_str("server"), p->now), SMQTT_OK);
    pull(p, &from_sealer, &from_opener, told);
    assert_int_equal(from_opener.subscribed, 1);
    assert_int_equal(from_opener.n, 1); /* the descriptor */
    assert_true(from_opener.list[0].retain);
    assert_int_equal(from_opener.list[0].qos, 1);
    assert_true(give(p, &from_opener) == 1);

    assert_int_equal(pair_start(p), SMQTT_OK);
    pull(p, &from_sealer, &from_opener, told);
    assert_int_equal(from_sealer.n, 1);
    assert_int_equal(from_sealer.list[0].payload[0], 0x01); /* header byte ‖ body: protocol.md 9.6 */
    assert_int_equal(from_sealer.list[0].qos, 1);
    assert_false(from_sealer.list[0].retain);
    while (give(p, &from_sealer) + give(p, &from_opener) != 0) {
        pull(p, &from_sealer, &from_opener, told);
    }
    assert_int_equal(told[SMQTT_EV_OPEN], 2);
    assert_true(from_sealer.subscribed >= 2);

    uint8_t record[256];
    size_t len = 0;
    const struct smqtt_seal_options options = {.text = true, .receipt = true};
    assert_int_equal(smqtt_seal(p->sealer, smq_span_str("t"), smq_span_str("hello"), &options, p->now, record,
                                sizeof(record), &len, NULL, NULL),
                     SMQTT_OK);
    assert_int_equal(smqtt_opener_message(p->opener, smq_span_str("t"), smq_span_of(record, len), false, p->now),
                     SMQTT_OK);
    do {
        pull(p, &from_sealer, &from_opener, told);
    } while (give(p, &from_sealer) + give(p, &from_opener) != 0);
    assert_int_equal(told[SMQTT_EV_MESSAGE], 1);
    assert_int_equal(told[SMQTT_EV_RECEIPT], 1);

    pair_free(p);
}

/** Natively a foreign client can do nothing with DETECT. */
static void test_native(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    struct smqtt_secure_event ev;
    unsigned detects = 0;
    while (smqtt_sealer_next(p->sealer, &ev)) {
        struct smqtt_request r;
        assert_int_equal(smqtt_secure_event_request(&ev, &r), ev.type == SMQTT_EV_SUBSCRIBE);
        detects += ev.type == SMQTT_EV_DETECT;
    }
    assert_int_equal(detects, 1);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session),
        cmocka_unit_test(test_native),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
