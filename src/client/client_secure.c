/* SPDX-License-Identifier: Apache-2.0 */
/* S-MQTT for the client: does what sealer and opener ask for, and keeps what is to be sealed until the server has
 * confirmed it. */
#include "client/internal.h"
#include "detect/channel.h"
#include "detect/record.h"
#include "detect/relay.h"

smqtt_err smqtt_client_attach_sealer(struct smqtt_client *c, struct smqtt_sealer *sealer)
{
    if (c->sealer != NULL || sealer == NULL || c->state != CLIENT_DOWN) {
        return SMQTT_E_USAGE;
    }
    c->sealer = sealer;
    return SMQTT_OK;
}

smqtt_err smqtt_client_attach_opener(struct smqtt_client *c, struct smqtt_opener *opener)
{
    if (c->n_openers == SMQTT_OPENERS_MAX || opener == NULL || c->state != CLIENT_DOWN) {
        return SMQTT_E_USAGE;
    }
    c->openers[c->n_openers++].opener = opener;
    return SMQTT_OK;
}

void smqtt_client_set_path(struct smqtt_client *c, enum smqtt_path path)
{
    c->path = path;
}

void smq_client_choose_path(struct smqtt_client *c, bool announced)
{
    bool may_announce = c->config.version == SMQTT_V5;
    c->native = c->path == SMQTT_PATH_NATIVE ? announced || !may_announce : c->path == SMQTT_PATH_AUTO && announced;
    c->tunnel = !c->native && c->path != SMQTT_PATH_NATIVE;
}

void smq_client_secure_deinit(struct smqtt_client *c)
{
    smq_client_topics_deinit(c);
    smqtt_sealer_free(c->sealer);
    for (size_t i = 0; i < c->n_openers; i++) {
        smqtt_opener_free(c->openers[i].opener);
    }
}

void smq_client_secure_published(struct smqtt_client *c, uint8_t reason)
{
    c->own_reason = c->own_reason >= CLIENT_REFUSED ? c->own_reason : reason;
}

smqtt_err smq_client_secure_connected(struct smqtt_client *c, bool session_present)
{
    bool carried = c->native || c->tunnel;
    for (size_t i = 0; carried && i < c->n_openers; i++) {
        SMQ_TRY(smqtt_opener_connected(c->openers[i].opener, c->tunnel, c->config.client_id, c->now));
    }
    SMQ_TRY(smq_client_topics_connected(c, session_present));
    c->sealer_first = c->sealer != NULL && carried;
    if (c->sealer_first) {
        smqtt_sealer_connected(c->sealer, c->tunnel, c->now);
        c->sealer_speaks = true;
    }
    c->no_native_event = !carried && (c->sealer != NULL || c->n_openers != 0);
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- sealing */

smqtt_err smqtt_client_publish_sealed(struct smqtt_client *c, struct smqtt_span topic, struct smqtt_span payload,
                                      const struct smqtt_publish_options *options, uint64_t *token,
                                      struct smqtt_now now)
{
    c->now = now;
    if (c->sealer == NULL || (options != NULL && (options->retain || options->qos > 2))) {
        return SMQTT_E_USAGE; /* a retained record could be opened by nobody who comes later */
    }
    size_t waiting = c->n_queued;
    for (const struct smq_list *node = c->sealed.next; node != &c->sealed; node = node->next) {
        waiting++;
    }
    if (waiting >= c->config.max_queued) {
        return SMQTT_E_FULL;
    }
    struct smq_codec codec = c->write_codec;
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.topic = topic;
    smq_props_clear(&pkt.publish.props);
    struct smq_wr measure = smq_wr_measure();
    SMQ_TRY(smq_packet_write(&codec, &pkt, &measure));
    if (options != NULL && options->text && !smq_utf8_ok(payload, SMQ_TEXT_WELLFORMED)) {
        return SMQTT_E_BAD_TEXT;
    }
    struct client_msg *msg = smq_client_msg_new(c, topic, payload, options);
    if (msg == NULL) {
        return SMQTT_E_NOMEM;
    }
    msg->token = ++c->next_token;
    if (token != NULL) {
        *token = msg->token;
    }
    smq_list_push_back(&c->sealed, &msg->node);
    smq_client_secure_pump(c);
    return SMQTT_OK;
}

/** Seals one message and queues the record. */
static smqtt_err seal_one(struct smqtt_client *c, struct client_msg *msg)
{
    struct smqtt_seal_options seal = {.text = msg->text, .receipt = msg->receipt};
    size_t cap = msg->payload.len + smqtt_seal_overhead(&seal);
    uint8_t *record = smq_mem_alloc(c->mem, cap);
    if (record == NULL) {
        return SMQTT_E_NOMEM;
    }
    size_t len = 0;
    smqtt_err err =
        smqtt_seal(c->sealer, msg->topic, msg->payload, &seal, c->now, record, cap, &len, &msg->kid, &msg->seq);
    if (err == SMQTT_OK) {
        struct smqtt_publish_options options = {.qos = msg->qos, .props = msg->props};
        struct client_msg *carrier = smq_client_msg_new(c, msg->topic, smq_span_of(record, len), &options);
        err = carrier != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
        if (carrier != NULL) {
            carrier->token = msg->token;
            carrier->carrier = true;
            carrier->receipt = msg->receipt;
            smq_list_push_back(&c->queue, &carrier->node);
            c->n_queued++;
        }
    }
    smq_mem_free(c->mem, record);
    return err;
}

/** The first message that has no record yet, or NULL. */
static struct client_msg *first_unsealed(const struct smqtt_client *c)
{
    for (struct smq_list *node = c->sealed.next; node != &c->sealed; node = node->next) {
        struct client_msg *msg = SMQ_CONTAINER_OF(node, struct client_msg, node);
        if (!msg->sealed_sent) {
            return msg;
        }
    }
    return NULL;
}

static void start_handshake(struct smqtt_client *c, const struct client_msg *msg)
{
    smqtt_err err = smqtt_sealer_start(c->sealer, msg->topic, msg->payload, msg->text, c->now);
    c->sealer_speaks = true;
    if (err == SMQTT_OK) {
        c->handshake = true;
        c->handshake_token = msg->token;
    } else if (err != SMQTT_E_STATE) {
        smq_client_fail(c, err);
    }
}

static bool awaits_receipts(const struct smqtt_client *c)
{
    for (struct smq_list *node = c->sealed.next; node != &c->sealed; node = node->next) {
        if (SMQ_CONTAINER_OF(node, struct client_msg, node)->sealed_sent) {
            return true;
        }
    }
    return false;
}

/** The session is with keys that others have followed (protocol.md 9.6): the next message waits for a handshake with
 * those, once the receipts of the old session are there, which would be lost with it. When it fails the old session
 * serves on until the next attempt, as long as it may. True: nothing is to be sealed now. */
static bool follow(struct smqtt_client *c, const struct client_msg *msg)
{
    bool over = false;
    if (!smqtt_sealer_is_superseded(c->sealer, c->now, &over)) {
        c->follow_at = 0;
        return false;
    }
    if (c->handshake || c->now.mono < c->retry_at) {
        return c->handshake || over;
    }
    c->follow_at = c->follow_at != 0 ? c->follow_at : c->now.mono + CLIENT_FOLLOW_MS;
    if (c->now.mono < c->follow_at && !over && awaits_receipts(c)) {
        return true;
    }
    start_handshake(c, msg);
    c->follows = c->handshake;
    return true;
}

/** A message that nobody confirms is forgotten when it is sealed, so that its record must not wait: with the session it
 * would be lost. */
static bool may_leave(const struct smqtt_client *c, const struct client_msg *msg)
{
    bool at_once = smq_list_is_empty(&c->queue) && c->n_unsent == 0;
    return msg->receipt || (at_once && (msg->qos == 0 || c->inflight.count < c->send_max));
}

void smq_client_secure_pump(struct smqtt_client *c)
{
    if (c->sealer == NULL || c->state != CLIENT_UP || !(c->native || c->tunnel) || c->sealer_speaks) {
        return; /* speaks: step 3 has to leave before the first record */
    }
    struct client_msg *msg = NULL;
    while ((msg = first_unsealed(c)) != NULL) {
        if (!smqtt_sealer_is_open(c->sealer)) {
            if (!c->handshake && c->now.mono >= c->retry_at) {
                start_handshake(c, msg);
            }
            return;
        }
        if (follow(c, msg) || !may_leave(c, msg)) {
            return;
        }
        smqtt_err err = seal_one(c, msg);
        if (err == SMQTT_E_BUSY || err == SMQTT_E_STATE) {
            return; /* receipts come first, or the session has just ended */
        }
        if (err != SMQTT_OK) {
            smq_client_fail(c, err);
            return;
        }
        if (msg->receipt) {
            msg->sealed_sent = true;
        } else {
            smq_list_remove(&msg->node);
            smq_client_msg_free(c, msg);
        }
        smq_client_pump(c);
    }
}

/** Records that still wait in the queue are of no use any more: that of a message, or (0) all. Those of messages that
 * are forgotten, which a connection that broke has left there, are told as what they are: not published. */
static void drop_carriers(struct smqtt_client *c, uint64_t token)
{
    for (struct smq_list *node = c->queue.next; node != &c->queue;) {
        struct client_msg *msg = SMQ_CONTAINER_OF(node, struct client_msg, node);
        node = node->next;
        if (msg->carrier && (token == 0 || msg->token == token)) {
            smq_list_remove(&msg->node);
            c->n_queued--;
            if (msg->receipt) {
                smq_client_msg_free(c, msg);
            } else {
                msg->reason = CLIENT_REFUSED;
                smq_list_push_back(&c->done, &msg->node);
            }
        }
    }
}

/** The server has no session any more: everything without receipt is sealed anew. */
static void seal_again(struct smqtt_client *c)
{
    drop_carriers(c, 0);
    for (struct smq_list *node = c->sealed.next; node != &c->sealed; node = node->next) {
        SMQ_CONTAINER_OF(node, struct client_msg, node)->sealed_sent = false;
    }
    c->handshake = c->follows = false;
    c->follow_at = 0;
}

/** A successor's session has taken the place of one whose receipts did not come. Records without receipt go their way:
 * the old keys are served beside the new ones. */
static void seal_unreceipted(struct smqtt_client *c)
{
    for (struct smq_list *node = c->sealed.next; node != &c->sealed; node = node->next) {
        struct client_msg *msg = SMQ_CONTAINER_OF(node, struct client_msg, node);
        if (msg->sealed_sent) {
            msg->sealed_sent = false;
            drop_carriers(c, msg->token);
        }
    }
}

/* ---------------------------------------------------------------- events of the endpoints */

/** In the tunnel DETECT is a PUBLISH. It goes before all that waits: without it nothing of that can be sealed. */
static smqtt_err send_tunnelled(struct smqtt_client *c, const struct smqtt_secure_event *ev)
{
    uint8_t *bytes = smq_mem_alloc(c->mem, 1 + ev->bytes.len);
    if (bytes == NULL) {
        return SMQTT_E_NOMEM;
    }
    bytes[0] = ev->header;
    memcpy(bytes + 1, ev->bytes.data, ev->bytes.len);
    const struct smqtt_publish_options options = {.qos = 1};
    struct client_msg *msg = smq_client_msg_new(c, ev->topic, smq_span_of(bytes, 1 + ev->bytes.len), &options);
    smq_mem_free(c->mem, bytes);
    if (msg == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_list_push_front(&c->queue, &msg->node);
    c->n_queued++;
    smq_client_pump(c);
    return SMQTT_OK;
}

static smqtt_err send_detect(struct smqtt_client *c, const struct smqtt_secure_event *ev)
{
    if (ev->topic.len != 0) {
        return send_tunnelled(c, ev);
    }
    if (c->state != CLIENT_UP) {
        return SMQTT_OK; /* a sealer sends it again on the next connection; what an opener closed is unknown then */
    }
    struct smq_packet pkt = {.type = SMQ_DETECT};
    pkt.detect.header = ev->header;
    pkt.detect.body = ev->bytes;
    return smq_client_put(c, &pkt);
}

static smqtt_err send_own(struct smqtt_client *c, const struct smqtt_secure_event *ev)
{
    const struct smqtt_publish_options options = {.qos = ev->header, .retain = ev->retain};
    struct client_msg *msg = smq_client_msg_new(c, ev->topic, ev->bytes, &options);
    if (msg == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_list_push_back(&c->queue, &msg->node); /* token 0: its PUBLISHED is nobody's business */
    c->n_queued++;
    smq_client_pump(c);
    return SMQTT_OK;
}

/** A receipt names a record: whose message was it? */
static uint64_t take_receipt(struct smqtt_client *c, const struct smqtt_secure_event *ev)
{
    for (struct smq_list *node = c->sealed.next; node != &c->sealed; node = node->next) {
        struct client_msg *msg = SMQ_CONTAINER_OF(node, struct client_msg, node);
        if (msg->sealed_sent && msg->kid == ev->kid && msg->seq == ev->seq) {
            uint64_t token = msg->token;
            smq_list_remove(&msg->node);
            smq_client_msg_free(c, msg);
            return token;
        }
    }
    return 0;
}

/** The pause before the next handshake. */
static void retry_later(struct smqtt_client *c)
{
    c->retry_ms = c->retry_ms == 0 ? CLIENT_RETRY_MS : c->retry_ms * 2;
    c->retry_ms = c->retry_ms > CLIENT_RETRY_MAX_MS ? CLIENT_RETRY_MAX_MS : c->retry_ms;
    c->retry_at = c->now.mono + c->retry_ms;
}

/** Did a handshake with the successor end beside a session that still serves? Then nobody has to know: the message is
 * sealed in that, and the next one tries again. */
static bool is_failed_follow(struct smqtt_client *c, const struct smqtt_secure_event *ev)
{
    bool over = false;
    if (ev->type != SMQTT_EV_CLOSED || !c->follows || !smqtt_sealer_is_superseded(c->sealer, c->now, &over) || over) {
        return false;
    }
    c->handshake = c->follows = false;
    c->follow_at = 0;
    retry_later(c);
    return true;
}

/** The sealer's session or handshake ended: what has no receipt is sealed anew after a pause, but the message that a
 * handshake was started for is given up. */
static uint64_t take_failure(struct smqtt_client *c)
{
    bool handshake = c->handshake;
    seal_again(c);
    retry_later(c);
    for (struct smq_list *node = c->sealed.next; handshake && node != &c->sealed; node = node->next) {
        struct client_msg *msg = SMQ_CONTAINER_OF(node, struct client_msg, node);
        if (msg->token == c->handshake_token) {
            smq_list_remove(&msg->node);
            smq_client_msg_free(c, msg);
            return c->handshake_token;
        }
    }
    return 0;
}

/** What the sealer tells is noted; *event is what the application sees of it. */
static void note_sealer(struct smqtt_client *c, const struct smqtt_secure_event *ev, struct smqtt_client_event *event)
{
    if (ev->type == SMQTT_EV_OPEN) {
        if (c->follows && ev->confirmed) {
            seal_unreceipted(c);
        }
        c->follows = c->follows && !ev->confirmed;
        c->handshake = c->handshake && !ev->confirmed;
        c->retry_ms = 0;
    } else if (ev->type == SMQTT_EV_CLOSED) {
        event->token = take_failure(c);
        event->reason = c->own_reason;
    } else if (ev->type == SMQTT_EV_LOST) {
        seal_again(c);
    } else if (ev->type == SMQTT_EV_RECEIPT) {
        event->token = take_receipt(c, ev);
    }
}

/** Does what an endpoint asks for; *asked is false for what only tells. */
static smqtt_err act(struct smqtt_client *c, const struct smqtt_secure_event *ev, bool of_server, bool *asked)
{
    *asked = true;
    switch (ev->type) {
    case SMQTT_EV_DETECT:
        return send_detect(c, ev);
    case SMQTT_EV_PUBLISH:
        return send_own(c, ev);
    case SMQTT_EV_SUBSCRIBE:
        return smq_client_topic_add(c, ev->topic, of_server);
    case SMQTT_EV_UNSUBSCRIBE:
        return smq_client_topic_drop(c, ev->topic);
    case SMQTT_EV_NONE:
    case SMQTT_EV_STEP:
    case SMQTT_EV_OPEN:
    case SMQTT_EV_CLOSED:
    case SMQTT_EV_LOST:
    case SMQTT_EV_RECEIPT:
    case SMQTT_EV_MESSAGE:
    case SMQTT_EV_REFUSED:
    case SMQTT_EV_REGISTERED:
    case SMQTT_EV_DESCRIPTOR:
        break;
    }
    *asked = false;
    return SMQTT_OK;
}

/** MESSAGE and REFUSED answer, in order, what the opener was given. */
static void describe_message(struct client_opener *o, const struct smqtt_secure_event *ev,
                             struct smqtt_client_event *event)
{
    if (o->from < o->n) {
        const struct client_pending *pending = &o->pending[o->from++];
        event->qos = pending->qos;
        event->retain = pending->retain;
        event->dup = pending->dup;
        event->props = pending->props;
    }
    if (ev->type == SMQTT_EV_MESSAGE) {
        event->type = SMQTT_CLIENT_MESSAGE;
        event->topic = ev->topic;
        event->payload = ev->bytes;
    }
}

/** The next event of the sealer (*of is NULL then) or, when it has none, of an opener. */
static bool next_of_endpoints(struct smqtt_client *c, struct smqtt_secure_event *ev, struct client_opener **of)
{
    *of = NULL;
    for (bool again = true; again;) {
        if (c->sealer != NULL && smqtt_sealer_next(c->sealer, ev)) {
            return true;
        }
        c->sealer_speaks = false;
        if (c->sealer_first) {
            c->sealer_first = false;
            smq_client_pump(c);
        }
        smq_client_secure_pump(c);
        again = c->sealer_speaks; /* a handshake was started */
    }
    for (size_t i = 0; i < c->n_openers; i++) {
        *of = &c->openers[i];
        if (smqtt_opener_next((*of)->opener, ev)) {
            return true;
        }
    }
    return false;
}

/** All that the openers were given was answered. */
static void pending_clear(struct smqtt_client *c)
{
    for (size_t i = 0; i < c->n_openers; i++) {
        c->openers[i].from = c->openers[i].n = 0;
    }
    c->pending_n = 0;
}

bool smq_client_secure_next(struct smqtt_client *c, struct smqtt_client_event *event)
{
    struct smqtt_secure_event ev;
    struct client_opener *of = NULL;
    while (next_of_endpoints(c, &ev, &of)) {
        bool asked = false;
        smqtt_err err = act(c, &ev, of != NULL, &asked);
        if (err != SMQTT_OK) {
            smq_client_fail(c, err);
        }
        if (asked || (of == NULL && is_failed_follow(c, &ev))) {
            continue;
        }
        event->type = SMQTT_CLIENT_SECURE;
        event->secure = ev;
        event->err = ev.err;
        if (of == NULL) {
            note_sealer(c, &ev, event);
        } else if (ev.type == SMQTT_EV_MESSAGE || ev.type == SMQTT_EV_REFUSED) {
            describe_message(of, &ev, event);
        }
        return true;
    }
    pending_clear(c);
    if (c->no_native_event) {
        c->no_native_event = false;
        event->type = SMQTT_CLIENT_SECURE;
        event->secure.type = SMQTT_EV_CLOSED;
        event->secure.err = SMQTT_E_REFUSED;
        event->err = SMQTT_E_REFUSED;
        return true;
    }
    return false;
}

/** The server that a packet names; the first one where it names none of them. */
static struct client_opener *opener_of_skid(struct smqtt_client *c, const struct smq_detect_pkt *pkt)
{
    struct smq_relay_head head;
    bool named = smq_relay_head_read(pkt->header, pkt->body, &head) == SMQTT_OK && head.has_skid;
    for (size_t i = 0; named && i < c->n_openers; i++) {
        const uint8_t *skid = smqtt_identity_skid(smqtt_opener_identity(c->openers[i].opener));
        if (memcmp(skid, head.skid, SMQTT_SKID_LEN) == 0) {
            return &c->openers[i];
        }
    }
    return &c->openers[0];
}

smqtt_err smq_client_secure_detect(struct smqtt_client *c, const struct smq_detect_pkt *pkt)
{
    bool to_server = pkt->header == 0x03 || pkt->header == 0x07 || pkt->header == 0x0F;
    if (to_server) {
        return c->n_openers != 0 ? smqtt_opener_detect(opener_of_skid(c, pkt)->opener, pkt->header, pkt->body, c->now)
                                 : SMQTT_E_PROTOCOL;
    }
    c->sealer_speaks = true;
    return c->sealer != NULL ? smqtt_sealer_detect(c->sealer, pkt->header, pkt->body, c->now) : SMQTT_E_PROTOCOL;
}

/** Which of the servers is to judge this message? */
static struct client_opener *opener_of_message(struct smqtt_client *c, const struct smq_publish *publish)
{
    struct smq_record record;
    bool is_record = smq_record_is(publish->payload) && smq_record_read(publish->payload, &record) == SMQTT_OK;
    for (size_t i = 1; i < c->n_openers; i++) {
        if (is_record && smqtt_opener_knows(c->openers[i].opener, smq_kid_u32(record.kid))) {
            return &c->openers[i];
        }
    }
    return &c->openers[0];
}

/** Registration, or DETECT in the tunnel: each looks whether it is meant. */
static smqtt_err tell_all(struct smqtt_client *c, const struct smq_publish *publish)
{
    for (size_t i = 0; i < c->n_openers; i++) {
        SMQ_TRY(smqtt_opener_message(c->openers[i].opener, publish->topic, publish->payload, publish->retain, c->now));
    }
    return SMQTT_OK;
}

smqtt_err smq_client_secure_message(struct smqtt_client *c, const struct smq_publish *publish, bool *taken)
{
    *taken = false;
    if (c->sealer != NULL) {
        c->sealer_speaks = true;
        SMQ_TRY(smqtt_sealer_message(c->sealer, publish->topic, publish->payload, taken, c->now));
    }
    if (*taken || c->n_openers == 0) {
        return SMQTT_OK;
    }
    *taken = true;
    if (smqtt_opener_owns(c->openers[0].opener, publish->topic)) {
        return tell_all(c, publish);
    }
    struct client_opener *o = opener_of_message(c, publish);
    SMQ_TRY(smqtt_opener_message(o->opener, publish->topic, publish->payload, publish->retain, c->now));
    smq_span props = c->config.version == SMQTT_V5 ? publish->props.raw : (smq_span){NULL, 0};
    o->pending[o->n++] = (struct client_pending){publish->qos, publish->retain, publish->dup, props};
    c->pending_n++;
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- time */

void smq_client_secure_tick(struct smqtt_client *c)
{
    if (c->sealer != NULL) {
        smqtt_sealer_tick(c->sealer, c->now);
        c->sealer_speaks = true;
    }
    for (size_t i = 0; i < c->n_openers; i++) {
        smqtt_opener_tick(c->openers[i].opener, c->now);
    }
}

smqtt_ms smq_client_secure_deadline(const struct smqtt_client *c)
{
    smqtt_ms at = SMQTT_NEVER;
    if (c->sealer != NULL) {
        at = smqtt_sealer_deadline(c->sealer);
        bool over = false;
        bool follows = smqtt_sealer_is_superseded(c->sealer, c->now, &over);
        bool waits = c->state == CLIENT_UP && (c->native || c->tunnel) && !c->handshake && first_unsealed(c) != NULL;
        bool retry = waits && (!smqtt_sealer_is_open(c->sealer) || (follows && over));
        at = retry && c->retry_at < at ? c->retry_at : at;
        at = waits && follows && c->follow_at != 0 && c->follow_at < at ? c->follow_at : at;
    }
    for (size_t i = 0; i < c->n_openers; i++) {
        smqtt_ms opener = smqtt_opener_deadline(c->openers[i].opener);
        at = opener < at ? opener : at;
    }
    return at;
}
