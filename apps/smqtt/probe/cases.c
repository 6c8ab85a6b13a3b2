/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

#include <stdio.h>

#include "base/utf8.h"
#include "codec/topic.h"
#include "net/clock.h"
#include "../run.h"
#include "../say.h"

enum {
    TEXT_MAX = PROBE_TOPIC_MAX + 64,
    ANSWER_MS = 10000, /* what every broker answers is waited for so long: --wait is for what may stay unanswered */
};

/** Bytes of a case that packets point to. */
struct words {
    uint8_t topic[TEXT_MAX], payload[TEXT_MAX], raw[TEXT_MAX];
    size_t topic_len, payload_len;
};

static smqtt_ms soon(smqtt_ms ms)
{
    return smq_clock_now().mono + ms;
}

/** When a sound CONNECT or SUBSCRIBE must have been answered. */
static smqtt_ms answered_by(const struct probe *p)
{
    return soon(p->wait_ms > ANSWER_MS ? p->wait_ms : ANSWER_MS);
}

/** Text, then bytes, into `out` of TEXT_MAX. Its length. */
static size_t put(uint8_t *out, const char *text, smq_span bytes)
{
    struct smq_wr wr = smq_wr_of(out, TEXT_MAX);
    smq_wr_put(&wr, smq_span_str(text));
    smq_wr_put(&wr, bytes);
    return wr.len;
}

/* ---------------------------------------------------------------- connecting */

static struct smq_packet connect_of(const struct probe *p)
{
    static char id[32];
    static unsigned n;
    snprintf(id, sizeof(id), "probe%.10s%u", p->root + strlen(p->root) - 8, ++n);
    struct smq_packet pkt = {.type = SMQ_CONNECT};
    pkt.connect.version = p->version;
    pkt.connect.clean_start = true;
    pkt.connect.keep_alive = 60;
    pkt.connect.client_id = smq_span_str(id);
    pkt.connect.has_user = p->opts->user != NULL;
    pkt.connect.user = smq_span_str(p->opts->user);
    pkt.connect.has_password = p->opts->password != NULL;
    pkt.connect.password = smq_span_str(p->opts->password);
    smq_props_clear(&pkt.connect.props);
    smq_props_clear(&pkt.connect.will.props);
    return pkt;
}

/** CONNACK's reason; -1: none came. */
static int connect_with(struct probe_link *l, const struct smq_packet *connect, smqtt_ms until)
{
    struct smq_packet pkt;
    if (!probe_link_send(l, connect)) {
        return -1;
    }
    while (probe_link_take(l, until, &pkt) == PROBE_PACKET) {
        if (pkt.type == SMQ_CONNACK) {
            return pkt.connack.reason;
        }
    }
    return -1;
}

/** A connection with nothing special. False when it was not let in. */
static bool join(struct probe *p, struct probe_link *l)
{
    struct smq_packet connect = connect_of(p);
    bool ok = probe_link_open(l, p->opts, p->version);
    if (ok && connect_with(l, &connect, answered_by(p)) != 0) {
        probe_link_close(l);
        ok = false;
    }
    return ok;
}

/** SUBSCRIBE with QoS 0. */
static bool send_subscribe(struct probe_link *l, const char *filter)
{
    struct smq_filter list = {smq_span_str(filter), 0};
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    pkt.subscribe.id = 1;
    pkt.subscribe.n = 1;
    pkt.subscribe.filters = &list;
    smq_props_clear(&pkt.subscribe.props);
    return probe_link_send(l, &pkt);
}

/** The same, and the answer awaited. */
static bool subscribe(struct probe *p, struct probe_link *l, const char *filter)
{
    struct smq_packet pkt;
    smqtt_ms until = answered_by(p);
    bool ok = send_subscribe(l, filter);
    while (ok && probe_link_take(l, until, &pkt) == PROBE_PACKET) {
        if (pkt.type == SMQ_SUBACK) {
            return pkt.suback.codes.len == 1 && pkt.suback.codes.data[0] < 0x80;
        }
    }
    return false;
}

static bool join_sub(struct probe *p)
{
    char filter[TEXT_MAX];
    snprintf(filter, sizeof(filter), "%s/#", p->root);
    if (!join(p, &p->sub)) {
        return false;
    }
    if (!subscribe(p, &p->sub, filter)) {
        say("the broker refused the subscription to '%s': give with --below a topic below which this user may publish "
            "and subscribe.",
            filter);
        probe_link_close(&p->sub);
        return false;
    }
    return true;
}

enum probe_start probe_start(struct probe *p, enum smqtt_version version)
{
    p->version = version;
    struct smq_packet connect = connect_of(p);
    if (!probe_link_open(&p->control, p->opts, version)) {
        return PROBE_NO_BROKER;
    }
    int reason = connect_with(&p->control, &connect, answered_by(p));
    if (reason != 0) {
        probe_link_close(&p->control);
        enum { V3_VERSION = 1, V5_VERSION = 0x84 };
        if (reason == -1 || reason == V3_VERSION || reason == V5_VERSION) {
            return PROBE_NO_VERSION;
        }
        say("the broker refused the connection: %s.", run_reason(version, (uint8_t)reason));
        return PROBE_NO_BROKER;
    }
    return join_sub(p) ? PROBE_READY : PROBE_NO_BROKER;
}

/* ---------------------------------------------------------------- the packet with the string */

static void set_prop(struct smq_props *props, const struct probe_result *r, struct words *w)
{
    smq_span bad = smq_span_of(r->string->bytes, r->string->len);
    struct smq_wr wr = smq_wr_of(w->raw, sizeof(w->raw));
    smq_span ok = smq_span_str("probe");
    switch (r->field->place) {
    case PROBE_IN_TEXT:
        smq_props_set_num(props, SMQ_PROP_PAYLOAD_FORMAT, 1);
        break;
    case PROBE_IN_CONTENT_TYPE:
        smq_props_set_bytes(props, SMQ_PROP_CONTENT_TYPE, bad);
        break;
    case PROBE_IN_RESPONSE_TOPIC:
        smq_props_set_bytes(props, SMQ_PROP_RESPONSE_TOPIC, bad);
        break;
    case PROBE_IN_REASON:
        smq_props_set_bytes(props, SMQ_PROP_REASON_STRING, bad);
        break;
    case PROBE_IN_PROPERTY_NAME:
    case PROBE_IN_PROPERTY_VALUE: {
        bool name = r->field->place == PROBE_IN_PROPERTY_NAME;
        smq_props_put_user(&wr, name ? bad : ok, name ? ok : bad);
        props->raw = smq_span_of(w->raw, wr.len);
        break;
    }
    case PROBE_IN_TOPIC:
    case PROBE_IN_CLIENT_ID:
    case PROBE_IN_USER:
        break;
    }
}

static void set_words(const struct probe *p, const struct probe_result *r, struct words *w)
{
    char text[TEXT_MAX];
    smq_span bad = smq_span_of(r->string->bytes, r->string->len);
    smq_span none = {NULL, 0};
    bool in_topic = r->field->place == PROBE_IN_TOPIC;
    snprintf(text, sizeof(text), "%s/%u/%s", p->root, p->n, in_topic ? "" : "message");
    w->topic_len = put(w->topic, text, in_topic ? bad : none);
    snprintf(text, sizeof(text), "smqtt-probe %u;", p->n);
    w->payload_len = put(w->payload, text, r->field->place == PROBE_IN_TEXT ? bad : none);
}

static struct smq_packet publish_of(const struct words *w, uint8_t qos, bool retain)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.qos = qos;
    pkt.publish.id = qos != 0 ? 1 : 0;
    pkt.publish.retain = retain;
    pkt.publish.topic = smq_span_of(w->topic, w->topic_len);
    pkt.publish.payload = smq_span_of(w->payload, w->payload_len);
    smq_props_clear(&pkt.publish.props);
    return pkt;
}

/** CONNECT that holds the string, in itself or in its will. */
static struct smq_packet bad_connect(const struct probe *p, const struct probe_result *r, struct words *w)
{
    smq_span bad = smq_span_of(r->string->bytes, r->string->len);
    struct smq_packet pkt = connect_of(p);
    struct smq_connect *c = &pkt.connect;
    if (r->field->way == PROBE_BY_WILL) {
        c->has_will = true;
        c->will.retain = true;
        c->will.topic = smq_span_of(w->topic, w->topic_len);
        c->will.payload = smq_span_of(w->payload, w->payload_len);
        set_prop(&c->will.props, r, w);
    } else if (r->field->place == PROBE_IN_CLIENT_ID) {
        c->client_id = bad;
    } else if (r->field->place == PROBE_IN_USER) {
        c->has_user = true;
        c->user = bad;
    } else {
        set_prop(&c->props, r, w);
    }
    return pkt;
}

/** What is sent on a connection that is made; *answer is the type of packet that answers it. */
static struct smq_packet bad_packet(const struct probe_result *r, struct words *w, struct smq_filter *filter,
                                    enum smq_type *answer)
{
    struct smq_packet pkt = publish_of(w, 1, true);
    *answer = SMQ_PUBACK;
    if (r->field->way == PROBE_BY_PUBLISH) {
        set_prop(&pkt.publish.props, r, w);
    } else if (r->field->way == PROBE_BY_PUBREL) {
        pkt = (struct smq_packet){.type = SMQ_PUBREL};
        pkt.ack.id = 1;
        smq_props_clear(&pkt.ack.props);
        set_prop(&pkt.ack.props, r, w);
        *answer = SMQ_PUBCOMP;
    } else {
        bool away = r->field->way == PROBE_BY_UNSUBSCRIBE;
        *filter = (struct smq_filter){smq_span_of(w->topic, w->topic_len), 0};
        pkt = (struct smq_packet){.type = away ? SMQ_UNSUBSCRIBE : SMQ_SUBSCRIBE};
        pkt.subscribe.id = 1;
        pkt.subscribe.n = 1;
        pkt.subscribe.filters = filter;
        smq_props_clear(&pkt.subscribe.props);
        set_prop(&pkt.subscribe.props, r, w);
        *answer = away ? SMQ_UNSUBACK : SMQ_SUBACK;
    }
    return pkt;
}

/* ---------------------------------------------------------------- what the broker says to it */

static uint8_t reason_of(const struct smq_packet *pkt)
{
    bool codes = pkt->type == SMQ_SUBACK || pkt->type == SMQ_UNSUBACK;
    if (codes) {
        return pkt->suback.codes.len != 0 ? pkt->suback.codes.data[0] : 0;
    }
    return pkt->type == SMQ_DISCONNECT ? pkt->reasoned.reason : pkt->ack.reason;
}

/** Waits for the answer and for that to the PINGREQ behind it: did it say no? */
static void hear(struct probe *p, struct probe_link *l, enum smq_type answer, struct probe_result *r)
{
    smqtt_ms until = soon(p->wait_ms);
    bool answered = false;
    bool alive = false;
    while (!answered || !alive) {
        struct smq_packet pkt;
        enum probe_got got = probe_link_take(l, until, &pkt);
        if (got != PROBE_PACKET) {
            r->refused = r->refused || got == PROBE_ENDED;
            return;
        }
        if (pkt.type == answer || pkt.type == SMQ_DISCONNECT) {
            answered = true;
            bool no = pkt.type == SMQ_DISCONNECT || reason_of(&pkt) >= 0x80;
            r->refused = r->refused || no;
            r->reason = no ? reason_of(&pkt) : r->reason;
        }
        alive = alive || pkt.type == SMQ_PINGRESP;
        if (answered || alive) {
            until = until < soon(PROBE_GRACE_MS) ? until : soon(PROBE_GRACE_MS);
        }
    }
}

/** A message of QoS 2 up to its PUBREC, so that a PUBREL can follow. */
static bool begin_qos2(struct probe *p, struct probe_link *l, const struct words *w)
{
    struct smq_packet pkt = publish_of(w, 2, false);
    smqtt_ms until = soon(p->wait_ms);
    bool ok = probe_link_send(l, &pkt);
    while (ok && probe_link_take(l, until, &pkt) == PROBE_PACKET) {
        if (pkt.type == SMQ_PUBREC) {
            return true;
        }
    }
    return false;
}

/** Sends the string. False when there is no broker any more. */
static bool offer(struct probe *p, struct probe_result *r, struct words *w)
{
    struct probe_link l;
    if (r->field->way == PROBE_BY_WILL || r->field->way == PROBE_BY_CONNECT) {
        if (!probe_link_open(&l, p->opts, p->version)) {
            return false;
        }
        struct smq_packet connect = bad_connect(p, r, w);
        int reason = connect_with(&l, &connect, soon(p->wait_ms));
        r->refused = reason != 0;
        r->reason = reason > 0 ? (uint8_t)reason : 0;
        if (r->field->way == PROBE_BY_WILL) {
            probe_link_close(&l); /* which lets the will out */
        } else {
            probe_link_leave(&l);
        }
        return true;
    }
    if (!join(p, &l)) {
        return false;
    }
    struct smq_filter filter;
    enum smq_type answer;
    bool ready = r->field->way != PROBE_BY_PUBREL || begin_qos2(p, &l, w);
    struct smq_packet pkt = bad_packet(r, w, &filter, &answer);
    if (ready && probe_link_send(&l, &pkt) && probe_link_ping(&l)) {
        hear(p, &l, answer, r);
    } else {
        r->refused = true;
    }
    probe_link_leave(&l);
    return true;
}

/* ---------------------------------------------------------------- what subscribers get */

/** The bytes of the field in a message; false: it is not there. */
static bool field_of(enum probe_place place, const struct smq_publish *m, size_t skip, smq_span *out)
{
    struct smq_rd it = smq_rd_of(m->props.raw);
    smq_span name;
    smq_span value;
    switch (place) {
    case PROBE_IN_TOPIC:
        *out = m->topic;
        return true;
    case PROBE_IN_TEXT:
        *out = smq_span_from(m->payload, skip);
        return true;
    case PROBE_IN_CONTENT_TYPE:
        *out = smq_props_bytes(&m->props, SMQ_PROP_CONTENT_TYPE);
        return smq_props_has(&m->props, SMQ_PROP_CONTENT_TYPE);
    case PROBE_IN_RESPONSE_TOPIC:
        *out = smq_props_bytes(&m->props, SMQ_PROP_RESPONSE_TOPIC);
        return smq_props_has(&m->props, SMQ_PROP_RESPONSE_TOPIC);
    case PROBE_IN_PROPERTY_NAME:
    case PROBE_IN_PROPERTY_VALUE:
        if (!smq_props_next_user(&it, &name, &value)) {
            return false;
        }
        *out = place == PROBE_IN_PROPERTY_NAME ? name : value;
        return true;
    case PROBE_IN_CLIENT_ID:
    case PROBE_IN_USER:
    case PROBE_IN_REASON:
        break;
    }
    return false;
}

static bool is_allowed(const struct probe_result *r, smq_span got)
{
    enum probe_place place = r->field->place;
    bool topic = place == PROBE_IN_TOPIC || place == PROBE_IN_RESPONSE_TOPIC;
    enum smq_text_policy text = place == PROBE_IN_TEXT            ? SMQ_TEXT_WELLFORMED
                                : r->string->cls == PROBE_ADVISED ? SMQ_TEXT_STRICT
                                                                  : SMQ_TEXT_STANDARD;
    return smq_utf8_ok(got, text) && (!topic || smq_topic_name_ok(got, 0));
}

/** What a message of this case held. */
static enum probe_seen look(const struct probe_result *r, const struct words *w, const struct smq_publish *m)
{
    size_t marker = w->payload_len - (r->field->place == PROBE_IN_TEXT ? r->string->len : 0);
    smq_span got = {NULL, 0};
    smq_span sent = smq_span_of(r->string->bytes, r->string->len);
    bool text = smq_props_num(&m->props, SMQ_PROP_PAYLOAD_FORMAT, 0) == 1;
    if (!field_of(r->field->place, m, marker, &got) || (r->field->place == PROBE_IN_TEXT && !text)) {
        return PROBE_MENDED;
    }
    if (r->field->place == PROBE_IN_TOPIC) {
        sent = smq_span_of(w->topic, w->topic_len);
    }
    if (smq_span_equal(got, sent)) {
        return PROBE_UNCHANGED;
    }
    return is_allowed(r, got) ? PROBE_MENDED : PROBE_STILL_BAD;
}

static bool is_ours(const struct probe_result *r, const struct words *w, const struct smq_packet *pkt)
{
    size_t marker = w->payload_len - (r->field->place == PROBE_IN_TEXT ? r->string->len : 0);
    return pkt->type == SMQ_PUBLISH && smq_span_starts(pkt->publish.payload, smq_span_of(w->payload, marker));
}

/** A sound message behind all that was sent before. False when the broker is gone. */
static bool send_end(struct probe *p, struct words *end)
{
    char text[TEXT_MAX];
    smq_span none = {NULL, 0};
    snprintf(text, sizeof(text), "%s/%u/end", p->root, p->n);
    end->topic_len = put(end->topic, text, none);
    snprintf(text, sizeof(text), "smqtt-probe end %u;", p->n);
    end->payload_len = put(end->payload, text, none);
    struct smq_packet pkt = publish_of(end, 0, false);
    if (probe_link_send(&p->control, &pkt)) {
        return true;
    }
    probe_link_close(&p->control);
    return join(p, &p->control) && probe_link_send(&p->control, &pkt);
}

/** What the subscriber gets until a sound message behind it has come, and a little longer when nothing came. */
static bool watch(struct probe *p, struct probe_result *r, const struct words *w)
{
    struct words end;
    struct smq_packet pkt;
    if (!send_end(p, &end)) {
        return false;
    }
    smqtt_ms until = soon(p->wait_ms);
    bool ended = false;
    while (!ended || r->forwarded == PROBE_NOTHING) {
        enum probe_got got = probe_link_take(&p->sub, until, &pkt);
        if (got == PROBE_ENDED) {
            r->cut = true;
            probe_link_close(&p->sub);
            return join_sub(p);
        }
        if (got == PROBE_SILENCE) {
            return true;
        }
        if (is_ours(r, w, &pkt)) {
            r->forwarded = look(r, w, &pkt.publish);
        }
        if (pkt.type == SMQ_PUBLISH && smq_span_equal(pkt.publish.payload, smq_span_of(end.payload, end.payload_len))) {
            ended = true;
            until = soon(r->refused ? 0 : PROBE_GRACE_MS);
        }
    }
    return true;
}

/* ---------------------------------------------------------------- what is retained */

static bool send_empty(struct probe_link *l, smq_span topic, uint8_t qos)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.qos = qos;
    pkt.publish.id = qos != 0 ? 2 : 0;
    pkt.publish.retain = true;
    pkt.publish.topic = topic;
    smq_props_clear(&pkt.publish.props);
    return probe_link_send(l, &pkt);
}

/** The same by a will: some brokers take there what they refuse in a PUBLISH. */
static bool send_empty_will(struct probe *p, smq_span topic)
{
    struct probe_link l;
    struct smq_packet pkt = connect_of(p);
    pkt.connect.has_will = true;
    pkt.connect.will.retain = true;
    pkt.connect.will.topic = topic;
    if (!probe_link_open(&l, p->opts, p->version)) {
        return false;
    }
    bool ok = connect_with(&l, &pkt, answered_by(p)) == 0;
    probe_link_close(&l);
    return ok;
}

/** A subscriber that comes later: what is retained below the filter, of this case (r not NULL) or of any, and it is
 * removed, by PUBLISH or by wills. How many there were; -1: no connection. */
static int collect(struct probe *p, const char *filter, bool by_will, struct probe_result *r, const struct words *w)
{
    struct probe_link l;
    if (!join(p, &l)) {
        return -1;
    }
    int n = 0;
    unsigned pings = 1;
    bool ok = send_subscribe(&l, filter) && probe_link_ping(&l);
    smqtt_ms until = soon(p->wait_ms);
    struct smq_packet pkt;
    while (ok && probe_link_take(&l, until, &pkt) == PROBE_PACKET) {
        if (pkt.type == SMQ_PINGRESP && --pings == 0) {
            ok = r == NULL || r->stored == PROBE_NOTHING; /* it was the one that was looked for */
            until = soon(PROBE_GRACE_MS);                 /* others may come behind the answer */
        }
        if (pkt.type != SMQ_PUBLISH || pkt.publish.payload.len == 0 || !pkt.publish.retain) {
            continue;
        }
        n++;
        if (r != NULL && is_ours(r, w, &pkt)) {
            r->stored = look(r, w, &pkt.publish);
        }
        ok = by_will ? send_empty_will(p, pkt.publish.topic) : send_empty(&l, pkt.publish.topic, 0);
        ok = ok && probe_link_ping(&l);
        until = soon(p->wait_ms);
        pings++;
    }
    probe_link_leave(&l);
    return n;
}

bool probe_play(struct probe *p, struct probe_result *r)
{
    struct words w;
    char filter[TEXT_MAX];
    p->n++;
    r->version = p->version;
    set_words(p, r, &w);
    if (!offer(p, r, &w)) {
        return false;
    }
    if (!probe_is_carried(r->field)) {
        return true;
    }
    if (!watch(p, r, &w)) {
        return false;
    }
    if (r->refused && r->forwarded == PROBE_NOTHING) {
        return true; /* probe_finish looks for what was kept in spite of it */
    }
    snprintf(filter, sizeof(filter), "%s/%u/#", p->root, p->n);
    return collect(p, filter, false, r, &w) >= 0;
}

void probe_finish(struct probe *p, bool is_there)
{
    char filter[TEXT_MAX];
    snprintf(filter, sizeof(filter), "%s/#", p->root);
    enum { PASSES = 4 };
    int left = is_there ? 1 : 0;
    for (int i = 0; i < PASSES && left > 0; i++) {
        left = collect(p, filter, i % 2 == 1, NULL, NULL);
    }
    p->left += left > 0 ? (unsigned)left : 0;
    probe_link_leave(&p->sub);
    probe_link_leave(&p->control);
}

bool probe_forget(struct probe *p, smq_span topic)
{
    struct probe_link l;
    struct probe_result r = {.refused = false};
    if (!join(p, &l)) {
        say("the broker did not let us in: give the user with -u and -P, or another version with -V.");
        return false;
    }
    if (!send_empty(&l, topic, 1) || !probe_link_ping(&l)) {
        r.refused = true;
    } else {
        hear(p, &l, SMQ_PUBACK, &r);
    }
    probe_link_leave(&l);
    if (r.refused && !send_empty_will(p, topic)) {
        say("the broker does not take that topic, not even to forget what it keeps there: remove it with the broker's "
            "own tools.");
        return false;
    }
    return true;
}
