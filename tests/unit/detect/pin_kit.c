/* SPDX-License-Identifier: Apache-2.0 */
#include "pin_kit.h"

#include <stdio.h>

#include "base/hex.h"

static bool fill(void *ctx, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(test_random(ctx) >> 24);
    }
    return true;
}

struct smqtt_identity *pin_successor(const struct pair *p, const struct smqtt_identity *old, const char *suite,
                                     uint64_t seed)
{
    const struct smqtt_rng rng = {fill, &seed};
    struct smqtt_identity *out = NULL;
    seed += 1000; /* other keys than those of the pair */
    assert_int_equal(smqtt_identity_succeed(NULL, &rng, old, suite, p->now.wall + PIN_GRACE_MS, 0, 0, &out), SMQTT_OK);
    return out;
}

struct smqtt_identity *pin_renewal(const struct smqtt_identity *old)
{
    struct smqtt_identity *out = NULL;
    assert_int_equal(smqtt_identity_renew(NULL, old, 0, 0, 0, &out), SMQTT_OK);
    return out;
}

void pin_topic(const struct smqtt_identity *id, char out[64])
{
    char hex[17];
    smq_hex_encode(hex, smq_span_of(smqtt_identity_skid(id), SMQTT_SKID_LEN));
    (void)snprintf(out, 64, "smqtt1/%s/d", hex);
}

void pin_deliver(struct pair *p, const struct smqtt_identity *at, smq_span bytes)
{
    char topic[64];
    bool taken = false;
    pin_topic(at, topic);
    assert_int_equal(smqtt_sealer_message(p->sealer, smq_span_str(topic), bytes, &taken, p->now), SMQTT_OK);
    assert_true(taken);
    pair_pull(p);
}

void pin_deliver_id(struct pair *p, const struct smqtt_identity *at, const struct smqtt_identity *id)
{
    pin_deliver(p, at, smqtt_identity_descriptor(id));
}

void pin_deliver_revocation(struct pair *p, const struct smqtt_identity *at, const struct smqtt_identity *of)
{
    char text[SMQTT_REVOCATION_TEXT_MAX];
    uint8_t bytes[SMQTT_REVOCATION_LEN];
    size_t len = 0;
    assert_int_equal(smqtt_identity_revoke(of, SMQTT_REVOKED_STOLEN, 5, text), SMQTT_OK);
    assert_int_equal(smq_base64url_decode(bytes, sizeof(bytes), smq_span_str(strchr(text, ' ') + 1), &len), SMQTT_OK);
    pin_deliver(p, at, smq_span_of(bytes, len));
}

size_t pin_told(const struct pair *p, enum smqtt_secure_event_type type)
{
    return told_count(p->of_sealer, p->n_sealer, type);
}

smqtt_err pin_last(const struct pair *p)
{
    const struct told *t = told_last(p->of_sealer, p->n_sealer, SMQTT_EV_DESCRIPTOR);
    assert_non_null(t);
    return t->ev.err;
}

bool pin_asked(const struct pair *p, enum smqtt_secure_event_type type, const struct smqtt_identity *id)
{
    char topic[64];
    pin_topic(id, topic);
    for (size_t i = 0; i < p->n_sealer; i++) {
        if (p->of_sealer[i].ev.type == type && smq_span_equal(p->of_sealer[i].ev.topic, smq_span_str(topic))) {
            return true;
        }
    }
    return false;
}

struct smqtt_secure_counters pin_counters(const struct pair *p)
{
    struct smqtt_secure_counters c;
    smqtt_sealer_counters(p->sealer, &c);
    return c;
}

void pin_server_becomes(struct pair *p, struct smqtt_identity *id)
{
    pair_close_opener(p);
    smqtt_identity_free(p->server);
    p->server = smqtt_identity_ref(id);
    p->suite = id->suite->id;
    assert_int_equal(pair_open_opener(p), SMQTT_OK);
}
