/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_endpoints.h"

#include "base/span.h"

void fake_push(struct fake_queue *q, struct smqtt_secure_event ev)
{
    q->list[q->to++ % FAKE_EVENTS] = ev;
}

static bool pop(struct fake_queue *q, struct smqtt_secure_event *ev)
{
    if (q->from == q->to) {
        return false;
    }
    *ev = q->list[q->from++ % FAKE_EVENTS];
    return true;
}

void smqtt_sealer_free(struct smqtt_sealer *s)
{
    if (s != NULL) {
        s->freed++;
    }
}

smqtt_err smqtt_sealer_start(struct smqtt_sealer *s, struct smqtt_span topic, struct smqtt_span message, bool text,
                             struct smqtt_now now)
{
    (void)topic;
    (void)message;
    (void)text;
    (void)now;
    s->started++;
    return SMQTT_OK;
}

bool smqtt_sealer_is_superseded(const struct smqtt_sealer *s, struct smqtt_now now, bool *over)
{
    (void)now;
    *over = s->over;
    return s->open && s->superseded;
}

smqtt_err smqtt_sealer_detect(struct smqtt_sealer *s, uint8_t header, struct smqtt_span body, struct smqtt_now now)
{
    (void)header;
    (void)body;
    (void)now;
    s->detects++;
    return SMQTT_OK;
}

/** Its own are those under "own/". */
smqtt_err smqtt_sealer_message(struct smqtt_sealer *s, struct smqtt_span topic, struct smqtt_span payload, bool *taken,
                               struct smqtt_now now)
{
    (void)s;
    (void)payload;
    (void)now;
    *taken = smq_span_starts(topic, smq_span_str("own/"));
    return SMQTT_OK;
}

void smqtt_sealer_connected(struct smqtt_sealer *s, bool tunnel, struct smqtt_now now)
{
    (void)now;
    s->connected++;
    s->tunnel = tunnel;
}

void smqtt_sealer_tick(struct smqtt_sealer *s, struct smqtt_now now)
{
    (void)s;
    (void)now;
}

smqtt_ms smqtt_sealer_deadline(const struct smqtt_sealer *s)
{
    return s->deadline != 0 ? s->deadline : SMQTT_NEVER;
}

bool smqtt_sealer_next(struct smqtt_sealer *s, struct smqtt_secure_event *event)
{
    return pop(&s->events, event);
}

bool smqtt_sealer_is_open(const struct smqtt_sealer *s)
{
    return s->open;
}

size_t smqtt_seal_overhead(const struct smqtt_seal_options *options)
{
    (void)options;
    return 4;
}

/** "seq:" and the payload. */
smqtt_err smqtt_seal(struct smqtt_sealer *s, struct smqtt_span topic, struct smqtt_span payload,
                     const struct smqtt_seal_options *options, struct smqtt_now now, uint8_t *out, size_t cap,
                     size_t *len, uint32_t *kid, uint64_t *seq)
{
    (void)topic;
    (void)options;
    (void)now;
    if (s->seal_err != SMQTT_OK) {
        return s->seal_err;
    }
    if (cap < payload.len + 4) {
        return SMQTT_E_FULL;
    }
    s->seq++;
    memcpy(out, "000:", 4);
    out[2] = (uint8_t)('0' + s->seq % 10);
    if (payload.len != 0) {
        memcpy(out + 4, payload.data, payload.len);
    }
    *len = payload.len + 4;
    *kid = 1;
    *seq = s->seq;
    return SMQTT_OK;
}

smqtt_err smqtt_sealer_check_plain(const struct smqtt_sealer *s, struct smqtt_span topic)
{
    (void)topic;
    return s->plain_err;
}

void smqtt_opener_free(struct smqtt_opener *o)
{
    (void)o;
}

smqtt_err smqtt_opener_connected(struct smqtt_opener *o, bool tunnel, struct smqtt_span client_id, struct smqtt_now now)
{
    (void)client_id;
    (void)now;
    o->connected++;
    o->tunnel = tunnel;
    return SMQTT_OK;
}

const struct smqtt_identity *smqtt_opener_identity(const struct smqtt_opener *o)
{
    return o->identity;
}

/** Its own are those under "c/" and "$SMQTT/". */
bool smqtt_opener_owns(const struct smqtt_opener *o, struct smqtt_span topic)
{
    (void)o;
    return smq_span_starts(topic, smq_span_str("c/")) || smq_span_starts(topic, smq_span_str("$SMQTT/"));
}

bool smqtt_opener_knows(const struct smqtt_opener *o, uint32_t kid)
{
    return kid == o->kid;
}

smqtt_err smqtt_opener_detect(struct smqtt_opener *o, uint8_t header, struct smqtt_span body, struct smqtt_now now)
{
    (void)header;
    (void)body;
    (void)now;
    o->detects++;
    return SMQTT_OK;
}

/** Delivers the payload as it is, by the same view; what starts with '!' is refused. */
smqtt_err smqtt_opener_message(struct smqtt_opener *o, struct smqtt_span topic, struct smqtt_span payload,
                               bool retained, struct smqtt_now now)
{
    (void)retained;
    (void)now;
    o->messages++;
    bool refused = payload.len != 0 && payload.data[0] == '!';
    fake_push(&o->events, (struct smqtt_secure_event){.type = refused ? SMQTT_EV_REFUSED : SMQTT_EV_MESSAGE,
                                                      .err = refused ? SMQTT_E_BAD_TAG : SMQTT_OK,
                                                      .protection = SMQTT_PEER_ANON,
                                                      .topic = topic,
                                                      .bytes = payload});
    return SMQTT_OK;
}

void smqtt_opener_tick(struct smqtt_opener *o, struct smqtt_now now)
{
    (void)o;
    (void)now;
}

smqtt_ms smqtt_opener_deadline(const struct smqtt_opener *o)
{
    return o->deadline != 0 ? o->deadline : SMQTT_NEVER;
}

bool smqtt_opener_next(struct smqtt_opener *o, struct smqtt_secure_event *event)
{
    return pop(&o->events, event);
}
