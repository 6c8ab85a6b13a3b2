/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a client: configuration, connecting, time, output, and the order in which events are handed out. */
#include "client/internal.h"

#include "codec/reason.h"

/** Copies a span to *at, which moves on. */
static smq_span keep(uint8_t **at, smq_span s)
{
    smq_span kept = {*at, s.len};
    if (s.len != 0) {
        memcpy(*at, s.data, s.len);
    }
    *at += s.len;
    return kept;
}

static smqtt_err keep_config(struct smqtt_client *c, const struct smqtt_client_config *config)
{
    const struct smqtt_will *will = config->will;
    size_t len = config->client_id.len + config->user.len + config->password.len + config->props.len;
    len += will != NULL ? will->topic.len + will->payload.len + will->props.len : 0;
    c->owned = smq_mem_alloc(c->mem, len);
    if (c->owned == NULL) {
        return SMQTT_E_NOMEM;
    }
    uint8_t *at = c->owned;
    c->config = *config;
    c->config.client_id = keep(&at, config->client_id);
    c->config.user = keep(&at, config->user);
    c->config.password = keep(&at, config->password);
    c->config.props = keep(&at, config->props);
    if (will != NULL) {
        c->will = *will;
        c->will.topic = keep(&at, will->topic);
        c->will.payload = keep(&at, will->payload);
        c->will.props = keep(&at, will->props);
        c->config.will = &c->will;
    }
    return SMQTT_OK;
}

/** CONNECT as the configuration says. */
static struct smq_packet connect_packet(const struct smqtt_client *c)
{
    const struct smqtt_client_config *config = &c->config;
    struct smq_packet pkt = {.type = SMQ_CONNECT};
    struct smq_connect *connect = &pkt.connect;
    connect->version = config->version;
    connect->clean_start = smq_client_starts_clean(c);
    connect->keep_alive = config->keep_alive_s;
    connect->client_id = config->client_id;
    connect->has_user = config->has_user;
    connect->has_password = config->has_password;
    connect->user = config->user;
    connect->password = config->password;
    smq_props_clear(&connect->props);
    smq_props_clear(&connect->will.props);
    if (config->will != NULL) {
        connect->has_will = true;
        connect->will.topic = c->will.topic;
        connect->will.payload = c->will.payload;
        connect->will.qos = c->will.qos;
        connect->will.retain = c->will.retain;
        if (config->version == SMQTT_V5) {
            connect->will.props.raw = c->will.props;
        }
        if (config->version == SMQTT_V5 && c->will.delay_s != 0) {
            smq_props_set_num(&connect->will.props, SMQ_PROP_WILL_DELAY, c->will.delay_s);
        }
    }
    if (config->version == SMQTT_V5) {
        connect->props.raw = config->props;
        if (config->session_expiry_s != 0) {
            smq_props_set_num(&connect->props, SMQ_PROP_SESSION_EXPIRY, config->session_expiry_s);
        }
        if (config->receive_maximum != 0) {
            smq_props_set_num(&connect->props, SMQ_PROP_RECEIVE_MAXIMUM, config->receive_maximum);
        }
        if (config->max_packet != 0) {
            smq_props_set_num(&connect->props, SMQ_PROP_MAXIMUM_PACKET_SIZE, config->max_packet);
        }
    }
    return pkt;
}

/** How many topic aliases do our own CONNECT properties offer? */
static uint16_t alias_maximum(smq_span props)
{
    struct smq_rd it = smq_rd_of(props);
    enum smq_prop which;
    union smq_prop_value value;
    smq_span second;
    while (smq_props_next(&it, &which, &value, &second)) {
        if (which == SMQ_PROP_TOPIC_ALIAS_MAXIMUM) {
            return (uint16_t)value.num;
        }
    }
    return 0;
}

/** The codecs of the version. */
static void set_codecs(struct smqtt_client *c)
{
    c->read_codec = (struct smq_codec){.version = c->config.version,
                                       .from = SMQ_FROM_SERVER,
                                       .text = c->config.lax_text ? SMQ_TEXT_STANDARD : SMQ_TEXT_STRICT,
                                       .max_packet = c->config.max_packet};
    c->write_codec = c->read_codec;
    c->write_codec.from = SMQ_FROM_CLIENT;
    c->write_codec.max_packet = 0;
    c->alias_max = c->config.version == SMQTT_V5 ? alias_maximum(c->config.props) : 0;
}

/** Would this CONNECT be legal? The codec knows. */
static smqtt_err check_config(const struct smqtt_client *c)
{
    if (c->config.will != NULL && c->will.qos > 2) {
        return SMQTT_E_USAGE;
    }
    struct smq_packet pkt = connect_packet(c);
    struct smq_wr measure = smq_wr_measure();
    return smq_packet_write(&c->write_codec, &pkt, &measure);
}

smqtt_err smqtt_client_new(const struct smqtt_client_config *config, struct smqtt_client **out)
{
    if (config->struct_size != sizeof(*config)) {
        return SMQTT_E_USAGE;
    }
    struct smqtt_client *c = smq_mem_zalloc(config->mem, 1, sizeof(*c));
    if (c == NULL) {
        return SMQTT_E_NOMEM;
    }
    c->mem = config->mem;
    smq_bytebuf_init(&c->in, c->mem, SIZE_MAX / 4);
    smq_bytebuf_init(&c->late, c->mem, SIZE_MAX / 4);
    smq_bytebuf_init(&c->out, c->mem, SIZE_MAX / 4);
    smq_list_init(&c->queue);
    smq_list_init(&c->done);
    smq_list_init(&c->sealed);
    smq_list_init(&c->topics);
    smq_inflight_init(&c->inflight);
    smq_qos2_in_init(&c->qos2_in);
    smqtt_err err = keep_config(c, config);
    if (err == SMQTT_OK) {
        c->config.version = config->version != 0 ? config->version : SMQTT_V5;
        c->config.max_queued = config->max_queued != 0 ? config->max_queued : 1000;
        set_codecs(c);
        err = check_config(c);
    }
    if (err != SMQTT_OK) {
        smqtt_client_free(c);
        return err;
    }
    *out = c;
    return SMQTT_OK;
}

smqtt_err smqtt_client_set_version(struct smqtt_client *c, enum smqtt_version version)
{
    enum smqtt_version before = c->config.version;
    if (c->state != CLIENT_DOWN || c->pending_n != 0) {
        return SMQTT_E_STATE;
    }
    c->config.version = version;
    set_codecs(c);
    smqtt_err err = check_config(c);
    if (err != SMQTT_OK) {
        c->config.version = before;
        set_codecs(c);
    }
    return err;
}

static void free_list(struct smqtt_client *c, struct smq_list *list)
{
    struct smq_list *node = NULL;
    while ((node = smq_list_pop_front(list)) != NULL) {
        smq_client_msg_free(c, SMQ_CONTAINER_OF(node, struct client_msg, node));
    }
}

void smqtt_client_free(struct smqtt_client *c)
{
    if (c == NULL) {
        return;
    }
    for (struct smq_out_slot *slot = NULL; (slot = smq_inflight_next(&c->inflight, slot)) != NULL;) {
        smq_client_msg_free(c, slot->msg);
    }
    smq_inflight_deinit(&c->inflight, c->mem);
    smq_qos2_in_deinit(&c->qos2_in, c->mem);
    free_list(c, &c->queue);
    free_list(c, &c->done);
    free_list(c, &c->sealed);
    smq_client_msg_free(c, c->shown);
    smq_client_secure_deinit(c);
    smq_client_forget_aliases(c);
    smq_bytebuf_deinit(&c->in);
    smq_bytebuf_deinit(&c->late);
    smq_bytebuf_deinit(&c->out);
    if (c->owned != NULL) {
        smq_wipe((void *)(uintptr_t)c->config.password.data, c->config.password.len);
    }
    smq_mem_free(c->mem, c->owned);
    smq_mem_free(c->mem, c);
}

smqtt_err smq_client_put(struct smqtt_client *c, const struct smq_packet *pkt)
{
    struct smq_wr measure = smq_wr_measure();
    SMQ_TRY(smq_packet_write(&c->write_codec, pkt, &measure));
    uint8_t *at = NULL;
    SMQ_TRY(smq_bytebuf_reserve(&c->out, measure.len, &at));
    struct smq_wr wr = smq_wr_of(at, measure.len);
    smqtt_err err = smq_packet_write(&c->write_codec, pkt, &wr);
    smq_bytebuf_commit(&c->out, err == SMQTT_OK ? wr.len : 0);
    return err;
}

void smq_client_fail(struct smqtt_client *c, smqtt_err err)
{
    if (c->state == CLIENT_DOWN || c->state == CLIENT_ENDING) {
        return;
    }
    uint8_t reason = smqtt_err_reason(err);
    bool tell = c->state == CLIENT_UP && c->config.version == SMQTT_V5 && reason >= 0x80;
    c->state = CLIENT_ENDING;
    c->closed_event = true;
    c->close_err = err;
    if (tell) {
        struct smq_packet pkt = {.type = SMQ_DISCONNECT};
        /* some reasons only a server may give [MQTT-3.14.2-1] */
        pkt.reasoned.reason = smq_reason_ok(SMQ_DISCONNECT, SMQ_FROM_CLIENT, reason) ? reason : 0x80;
        smq_props_clear(&pkt.reasoned.props);
        if (smq_client_put(c, &pkt) != SMQTT_OK) {
            return; /* it was a courtesy */
        }
    }
}

smqtt_err smqtt_client_connect(struct smqtt_client *c, struct smqtt_now now)
{
    if (c->state != CLIENT_DOWN || c->pending_n != 0) {
        return SMQTT_E_STATE; /* pending: the opener still looks into `in` */
    }
    c->now = now;
    smq_bytebuf_deinit(&c->in);
    smq_bytebuf_deinit(&c->late);
    smq_bytebuf_deinit(&c->out);
    smq_client_forget_aliases(c);
    c->in_used = 0;
    c->n_requests = 0;
    c->ping_waits = false;
    c->native = c->tunnel = false;
    c->own_reason = 0;
    c->no_native_event = false;
    c->closed_event = false;
    c->close_reason = 0;
    c->close_err = SMQTT_OK;
    c->send_max = UINT16_MAX;
    c->write_codec.max_packet = 0;
    c->keep_alive_s = c->config.keep_alive_s;
    struct smq_packet pkt = connect_packet(c);
    SMQ_TRY(smq_client_put(c, &pkt));
    c->state = CLIENT_WAIT_CONNACK;
    c->connect_sent = now.mono;
    c->last_sent = now.mono;
    return SMQTT_OK;
}

void smqtt_client_feed(struct smqtt_client *c, struct smqtt_span bytes, struct smqtt_now now)
{
    c->now = now;
    if (c->state != CLIENT_UP && c->state != CLIENT_WAIT_CONNACK) {
        return;
    }
    bool in_use = c->in_used != 0 || c->pending_n != 0;
    smqtt_err err = smq_bytebuf_append(in_use ? &c->late : &c->in, bytes);
    if (err != SMQTT_OK) {
        smq_client_fail(c, err);
    }
}

void smqtt_client_lost(struct smqtt_client *c, smqtt_err err, struct smqtt_now now)
{
    c->now = now;
    if (c->state == CLIENT_DOWN) {
        return;
    }
    if (c->state != CLIENT_ENDING) {
        c->closed_event = true;
        c->close_err = err;
    }
    c->state = CLIENT_DOWN;
    smq_bytebuf_deinit(&c->out);
}

static smqtt_ms ping_due(const struct smqtt_client *c)
{
    if (c->state == CLIENT_WAIT_CONNACK) {
        return c->connect_sent + CLIENT_CONNACK_WAIT_MS;
    }
    if (c->state != CLIENT_UP) {
        return SMQTT_NEVER;
    }
    if (c->ping_waits) {
        return c->ping_sent + CLIENT_CONNACK_WAIT_MS;
    }
    return c->keep_alive_s != 0 ? c->last_sent + (smqtt_ms)c->keep_alive_s * 1000 : SMQTT_NEVER;
}

void smqtt_client_tick(struct smqtt_client *c, struct smqtt_now now)
{
    c->now = now;
    if (now.mono >= ping_due(c)) {
        if (c->state == CLIENT_WAIT_CONNACK || c->ping_waits) {
            smq_client_fail(c, SMQTT_E_KEEP_ALIVE);
        } else {
            struct smq_packet pkt = {.type = SMQ_PINGREQ};
            smqtt_err err = smq_client_put(c, &pkt);
            if (err != SMQTT_OK) {
                smq_client_fail(c, err);
            }
            c->ping_waits = true;
            c->ping_sent = now.mono;
        }
    }
    smq_client_secure_tick(c);
}

smqtt_ms smqtt_client_deadline(const struct smqtt_client *c)
{
    smqtt_ms ping = ping_due(c);
    smqtt_ms secure = smq_client_secure_deadline(c);
    return ping < secure ? ping : secure;
}

struct smqtt_span smqtt_client_output(const struct smqtt_client *c)
{
    return smq_bytebuf_span(&c->out);
}

void smqtt_client_sent(struct smqtt_client *c, size_t n, struct smqtt_now now)
{
    c->now = now;
    c->last_sent = n != 0 ? now.mono : c->last_sent;
    smq_bytebuf_consume(&c->out, n);
}

bool smqtt_client_wants_close(const struct smqtt_client *c)
{
    return c->state == CLIENT_ENDING && smq_bytebuf_span(&c->out).len == 0;
}

smqtt_err smqtt_client_disconnect(struct smqtt_client *c, uint8_t reason, struct smqtt_now now)
{
    return smqtt_client_disconnect_props(c, reason, (struct smqtt_span){NULL, 0}, now);
}

smqtt_err smqtt_client_disconnect_props(struct smqtt_client *c, uint8_t reason, struct smqtt_span props,
                                        struct smqtt_now now)
{
    c->now = now;
    if (c->state != CLIENT_UP && c->state != CLIENT_WAIT_CONNACK) {
        return SMQTT_E_STATE;
    }
    struct smq_packet pkt = {.type = SMQ_DISCONNECT};
    pkt.reasoned.reason = reason;
    smq_props_clear(&pkt.reasoned.props);
    pkt.reasoned.props.raw = c->config.version == SMQTT_V5 ? props : (smq_span){NULL, 0};
    smqtt_err err = smq_client_put(c, &pkt);
    if (err == SMQTT_E_TOO_LARGE && props.len != 0) {
        pkt.reasoned.props.raw = (smq_span){NULL, 0}; /* [MQTT-3.14.2-3] [MQTT-3.14.2-4] */
        err = smq_client_put(c, &pkt);
    }
    SMQ_TRY(err);
    c->state = CLIENT_ENDING;
    c->closed_event = true;
    c->close_err = SMQTT_OK;
    return SMQTT_OK;
}

/** Is it the application's own, and not a record whose message waits among the sealed ones, or the endpoints' talk? */
static bool is_counted(const struct client_msg *msg)
{
    return !(msg->carrier && msg->receipt) && msg->token != 0;
}

size_t smqtt_client_unfinished(const struct smqtt_client *c)
{
    size_t n = 0;
    for (const struct smq_list *node = c->sealed.next; node != &c->sealed; node = node->next) {
        n++;
    }
    for (const struct smq_list *node = c->queue.next; node != &c->queue; node = node->next) {
        n += is_counted(SMQ_CONTAINER_OF(node, struct client_msg, node)) ? 1 : 0;
    }
    struct smqtt_client *all = (struct smqtt_client *)(uintptr_t)c; /* walking changes nothing */
    for (struct smq_out_slot *slot = NULL; (slot = smq_inflight_next(&all->inflight, slot)) != NULL;) {
        n += is_counted(slot->msg) ? 1 : 0;
    }
    return n;
}

/** Lets go of what the last event showed. */
static void forget_shown(struct smqtt_client *c)
{
    smq_client_msg_free(c, c->shown);
    c->shown = NULL;
    if (c->pending_n != 0) {
        return; /* the opener still looks into `in` */
    }
    smq_bytebuf_consume(&c->in, c->in_used);
    c->in_used = 0;
    smq_span late = smq_bytebuf_span(&c->late);
    if (late.len != 0) {
        smqtt_err err = smq_bytebuf_append(&c->in, late);
        smq_bytebuf_deinit(&c->late);
        if (err != SMQTT_OK) {
            smq_client_fail(c, err);
        }
    }
}

static bool next_published(struct smqtt_client *c, struct smqtt_client_event *event)
{
    struct smq_list *node = smq_list_pop_front(&c->done);
    if (node == NULL) {
        return false;
    }
    c->shown = SMQ_CONTAINER_OF(node, struct client_msg, node);
    event->type = SMQTT_CLIENT_PUBLISHED;
    event->token = c->shown->token;
    event->reason = c->shown->reason;
    return true;
}

/** The endpoints may finish messages, too. */
static bool next_to_tell(struct smqtt_client *c, struct smqtt_client_event *event)
{
    return next_published(c, event) || smq_client_secure_next(c, event) || next_published(c, event);
}

bool smqtt_client_next(struct smqtt_client *c, struct smqtt_client_event *event)
{
    memset(event, 0, sizeof(*event));
    forget_shown(c);
    if (next_to_tell(c, event)) {
        return true;
    }
    forget_shown(c); /* the endpoints are through with what they were given */
    if (smq_client_read(c, event)) {
        return true;
    }
    /* reading may have finished messages or made the endpoints say something */
    if (next_to_tell(c, event)) {
        return true;
    }
    if (c->closed_event) {
        c->closed_event = false;
        event->type = SMQTT_CLIENT_CLOSED;
        event->err = c->close_err;
        event->reason = c->close_reason;
        return true;
    }
    return false;
}
