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

static void do_event(struct end *e, const struct smqtt_secure_event *ev)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    char filter[80];
    switch (ev->type) {
    case SMQTT_EV_DETECT:
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
        snprintf(filter, sizeof filter, "%.*s", (int)ev->topic.len, (const char *)ev->topic.data);
        client_subscribe(e->c, filter, 1);
        break;
    case SMQTT_EV_REGISTERED:
        e->registered = ev->status == 0;
        e->answered = true;
        e->register_status = ev->status;
        break;
    case SMQTT_EV_OPEN:
        e->open = true;
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

void server_begin(struct bed *bed, struct end *e, struct smqtt_identity *id, const char *client_id,
                  enum smqtt_version version)
{
    struct smqtt_opener_config config = {.struct_size = sizeof config, .rng = smqtt_system_rng(), .identity = id};
    *e = (struct end){.c = client_connect(bed, version, client_id, true)};
    assert_int_equal(smqtt_opener_new(&config, bed->now, &e->opener), SMQTT_OK);
    assert_int_equal(smqtt_opener_connected(e->opener, false, smq_span_str(client_id), bed->now), SMQTT_OK);
    struct end *one[] = {e};
    talk(one, 1);
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
