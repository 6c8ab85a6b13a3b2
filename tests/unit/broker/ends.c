/* SPDX-License-Identifier: Apache-2.0 */
#include "ends.h"

struct smqtt_identity *identity_new(const char *name)
{
    struct smqtt_identity *id;
    struct smqtt_rng rng = smqtt_system_rng();
    assert_int_equal(smqtt_identity_new(NULL, &rng, "x25519", name, 0, 0, 0, &id), SMQTT_OK);
    return id;
}

static bool next_event(struct end *e, struct smqtt_secure_event *ev)
{
    return e->sealer != NULL ? smqtt_sealer_next(e->sealer, ev) : smqtt_opener_next(e->opener, ev);
}

/* In the tunnel. */
static void publish_detect(struct end *e, const struct smqtt_secure_event *ev)
{
    uint8_t payload[9000] = {ev->header};
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    assert_true(ev->bytes.len < sizeof payload);
    memcpy(payload + 1, ev->bytes.data, ev->bytes.len);
    pkt.publish.topic = ev->topic;
    pkt.publish.payload = smq_span_of(payload, 1 + ev->bytes.len);
    pkt.publish.qos = 1;
    pkt.publish.id = 7;
    smq_props_clear(&pkt.publish.props);
    client_send(e->c, &pkt);
}

/* Other packets may come before SUBACK. */
static void subscribe(struct end *e, smq_span filter)
{
    struct smq_filter filters[] = {{filter, 1}};
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    pkt.subscribe.id = 8;
    pkt.subscribe.n = 1;
    pkt.subscribe.filters = filters;
    smq_props_clear(&pkt.subscribe.props);
    client_send(e->c, &pkt);
}

static void do_event(struct end *e, const struct smqtt_secure_event *ev)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    switch (ev->type) {
    case SMQTT_EV_DETECT:
        if (ev->topic.len != 0) {
            publish_detect(e, ev);
            break;
        }
        pkt.type = SMQ_DETECT;
        pkt.detect.header = ev->header;
        pkt.detect.body = ev->bytes;
        client_send(e->c, &pkt);
        break;
    case SMQTT_EV_PUBLISH:
        pkt.publish.topic = ev->topic;
        pkt.publish.payload = ev->bytes;
        smq_props_clear(&pkt.publish.props);
        client_send(e->c, &pkt);
        break;
    case SMQTT_EV_SUBSCRIBE:
        subscribe(e, ev->topic);
        break;
    case SMQTT_EV_REGISTERED:
        e->registered = ev->status == 0;
        e->answered = true;
        e->register_status = ev->status;
        break;
    case SMQTT_EV_OPEN:
        e->open = true;
        memcpy(e->cid, ev->cid, sizeof e->cid);
        break;
    case SMQTT_EV_CLOSED:
        e->closed = true;
        break;
    case SMQTT_EV_RECEIPT:
        e->receipt_status = ev->status;
        e->answered = true;
        break;
    case SMQTT_EV_MESSAGE:
        snprintf(e->message, sizeof e->message, "%.*s", (int)ev->bytes.len, (const char *)ev->bytes.data);
        e->protection = ev->protection;
        break;
    case SMQTT_EV_NONE:
    case SMQTT_EV_UNSUBSCRIBE:
    case SMQTT_EV_STEP:
    case SMQTT_EV_LOST:
    case SMQTT_EV_REFUSED:
    case SMQTT_EV_DESCRIPTOR:
        break;
    }
}

static void take_packet(struct end *e, const struct smq_packet *pkt)
{
    bool taken;
    if (pkt->type == SMQ_DETECT) {
        smqtt_err err = e->sealer != NULL
                            ? smqtt_sealer_detect(e->sealer, pkt->detect.header, pkt->detect.body, e->c->bed->now)
                            : smqtt_opener_detect(e->opener, pkt->detect.header, pkt->detect.body, e->c->bed->now);
        assert_int_equal(err, SMQTT_OK);
    } else if (pkt->type == SMQ_PUBLISH) {
        const struct smq_publish *p = &pkt->publish;
        smqtt_err err = e->sealer != NULL
                            ? smqtt_sealer_message(e->sealer, p->topic, p->payload, &taken, e->c->bed->now)
                            : smqtt_opener_message(e->opener, p->topic, p->payload, p->retain, e->c->bed->now);
        assert_int_equal(err, SMQTT_OK);
        e->detect_as_publish += p->payload.len != 0 && p->payload.data[0] < 0x10;
        if (p->qos == 1) {
            client_send_ack(e->c, SMQ_PUBACK, p->id, 0);
        }
    }
}

/* Lets all ends talk until they have nothing more to say. */
void talk(struct end *const *ends, size_t n)
{
    for (bool busy = true; busy;) {
        busy = false;
        for (size_t i = 0; i < n; i++) {
            struct smqtt_secure_event ev;
            const struct smq_packet *pkt;
            while (next_event(ends[i], &ev)) {
                do_event(ends[i], &ev);
                busy = true;
            }
            if (ends[i]->c->in.len != 0 && (pkt = client_next(ends[i]->c)) != NULL) {
                take_packet(ends[i], pkt);
                busy = true;
            }
        }
    }
}

static void begin_server(struct bed *bed, struct end *e, struct smqtt_identity *id, const char *client_id,
                         enum smqtt_version version, bool tunnel)
{
    struct smqtt_opener_config config = {.struct_size = sizeof config, .rng = smqtt_system_rng(), .identity = id};
    *e = (struct end){.c = client_connect(bed, version, client_id, true)};
    assert_int_equal(smqtt_opener_new(&config, bed->now, &e->opener), SMQTT_OK);
    assert_int_equal(smqtt_opener_connected(e->opener, tunnel, smq_span_str(client_id), bed->now), SMQTT_OK);
    struct end *one[] = {e};
    talk(one, 1);
}

void server_begin(struct bed *bed, struct end *e, struct smqtt_identity *id, const char *client_id,
                  enum smqtt_version version)
{
    begin_server(bed, e, id, client_id, version, false);
}

void tunnel_server_begin(struct bed *bed, struct end *e, struct smqtt_identity *id, const char *client_id)
{
    begin_server(bed, e, id, client_id, SMQTT_V311, true);
}

void tunnel_client_begin(struct bed *bed, struct end *e, struct smqtt_identity *server, const char *client_id)
{
    client_begin(bed, e, server, client_id);
    smqtt_sealer_connected(e->sealer, true, bed->now);
}

void client_begin(struct bed *bed, struct end *e, struct smqtt_identity *server, const char *client_id)
{
    struct smqtt_sealer_config config = {.struct_size = sizeof config,
                                         .rng = smqtt_system_rng(),
                                         .server = server,
                                         .client_id = smq_span_str(client_id)};
    *e = (struct end){.c = client_connect(bed, SMQTT_V5, client_id, true)};
    assert_int_equal(smqtt_sealer_new(&config, bed->now, &e->sealer), SMQTT_OK);
}

void seal_and_publish(struct end *e, const char *topic, const char *text)
{
    uint8_t record[256];
    size_t len;
    struct smqtt_seal_options options = {.text = true, .receipt = true};
    assert_int_equal(smqtt_seal(e->sealer, smq_span_str(topic), smq_span_str(text), &options, e->c->bed->now, record,
                                sizeof record, &len, NULL, NULL),
                     SMQTT_OK);
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.topic = smq_span_str(topic);
    pkt.publish.payload = smq_span_of(record, len);
    smq_props_clear(&pkt.publish.props);
    client_send(e->c, &pkt);
}

void end_free(struct end *e)
{
    smqtt_sealer_free(e->sealer);
    smqtt_opener_free(e->opener);
}
