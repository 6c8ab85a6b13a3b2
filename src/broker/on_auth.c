/* SPDX-License-Identifier: Apache-2.0 */
/* Logins: by password, at once or checked elsewhere, and by the AUTH exchange of MQTT 5.0 section 4.12. */
#include "base/mem.h"
#include "broker/admit.h"
#include "broker/internal.h"

enum { AUTH_SUCCESS = 0x00, AUTH_CONTINUE = 0x18, AUTH_AGAIN = 0x19 };

enum await {
    AWAITS_NOTHING,  /* the login is decided, or (with a method) done: it can be repeated */
    AWAITS_PASSWORD, /* `defer` answers */
    AWAITS_CLIENT    /* an AUTH packet */
};

struct smq_exchange {
    struct smq_list of_worker; /* in w->logins while it awaits PASSWORD */
    struct smq_conn *conn;
    uint64_t ticket;
    uint32_t turn;  /* w->auth_turn when it began */
    smqtt_ms until; /* of an exchange in CONNECT */
    enum await await;
    smqtt_err answer;                     /* with AWAITS_NOTHING */
    const struct smq_auth *auth;          /* of the method: the connection's listener's, which lives as long as it */
    const struct smq_auth_method *method; /* NULL: by password */
    void *state;                          /* the method's; NULL: none, or none yet */
    smq_span data;                        /* for CONNACK; of the state */
    uint8_t *connect;                     /* body of CONNECT, until its CONNACK */
    size_t connect_len;
    char *user; /* who it is, as the method says; NULL: as CONNECT says */
    size_t user_len;
};

/* ------------------------------------------------------------ which table */

static bool nobody_may(void *ctx, const struct smq_principal *who, smq_span topic, enum smq_access kind)
{
    (void)ctx;
    (void)who;
    (void)topic;
    (void)kind;
    return false;
}

/* Of places that are gone. */
static const struct smq_auth nobody = {.access = nobody_may};

bool smq_auth_is_unknown(const struct smq_auth *auth)
{
    return auth == &nobody;
}

const struct smq_auth *smq_auth_of(const struct smq_worker *w, uint32_t listener_id, const struct smq_conn *conn)
{
    bool any = listener_id != 0;
    for (const struct smq_listener_config *l = w->config->listeners; l != NULL; l = l->next) {
        if (l->id == listener_id && listener_id != 0) {
            return l->auth;
        }
        any = any || l->auth != NULL;
    }
    if (conn != NULL) {
        return conn->listener->auth;
    }
    return any ? &nobody : NULL;
}

/* The configuration's listener of this place; that of the connection when there is none. */
static const struct smq_listener_config *listener_of(const struct smq_worker *w, const struct smq_conn *conn)
{
    for (const struct smq_listener_config *l = w->config->listeners; l != NULL; l = l->next) {
        if (l->id == conn->listener->id && l->id != 0) {
            return l;
        }
    }
    return conn->listener;
}

static uint64_t stamp_of(const struct smq_worker *w, const struct smq_conn *conn, struct smq_principal who)
{
    const struct smq_listener_config *l = listener_of(w, conn);
    who.listener = l;
    if (l->auth != NULL && l->auth->stamp != NULL) {
        return l->auth->stamp(l->auth->ctx, &who);
    }
    return l->allow_anonymous || (l->auth != NULL && l->auth->login != NULL) ? 1 : 0;
}

static const struct smq_auth_method *method_of(const struct smq_auth *auth, smq_span name)
{
    for (size_t i = 0; auth != NULL && i < auth->n_methods; i++) {
        if (smq_span_equal(name, smq_span_str(auth->methods[i].name))) {
            return &auth->methods[i];
        }
    }
    return NULL;
}

/* The table that an exchange belongs to may be on its way out. One that is under way begins anew with the connection;
 * one that is done goes on with the method of the new table, if that has it. */
static bool follow(const struct smq_worker *w, struct smq_exchange *x)
{
    const struct smq_auth *auth = listener_of(w, x->conn)->auth;
    if (auth == x->auth) {
        return true;
    }
    const struct smq_auth_method *method = method_of(auth, smq_span_str(x->method->name));
    if (method == NULL || x->state != NULL) {
        return false;
    }
    x->auth = auth;
    x->method = method;
    return true;
}

static bool is_still_welcome(const struct smq_worker *w, const struct smq_conn *conn)
{
    if (conn->exchange != NULL && conn->exchange->method != NULL) {
        return follow(w, conn->exchange);
    }
    if (!smq_conn_is_open(conn)) {
        return true; /* it is judged when it comes in */
    }
    uint64_t stamp = stamp_of(w, conn, smq_session_principal(conn->session));
    return stamp != 0 && stamp == conn->stamp;
}

void smq_auth_review(struct smq_worker *w)
{
    /* Those that end leave the list only when the shell releases them, but a will may be delivered on the way. */
    for (struct smq_list *at = w->conns.next; at != &w->conns; at = at->next) {
        struct smq_conn *conn = SMQ_CONTAINER_OF(at, struct smq_conn, of_worker);
        if (conn->state != SMQ_CONN_OVER && !is_still_welcome(w, conn)) {
            smq_conn_fail(conn, SMQTT_E_NOT_AUTHORIZED);
        }
    }
}

/* ------------------------------------------------------------ passwords */

static struct smq_exchange *exchange_new(struct smq_conn *conn, const struct smq_auth *auth)
{
    struct smq_exchange *x = smq_mem_zalloc(conn->worker->mem, 1, sizeof *x);
    if (x != NULL) {
        smq_list_init(&x->of_worker);
        x->conn = conn;
        x->auth = auth;
        x->turn = conn->worker->auth_turn;
        x->until = conn->worker->now.mono + (smqtt_ms)conn->worker->config->connect_timeout_s * 1000;
        conn->exchange = x;
    }
    return x;
}

static smqtt_err defer(struct smq_worker *w, struct smq_conn *conn, const struct smq_login_work *work,
                       smq_span password)
{
    struct smq_exchange *x = exchange_new(conn, NULL);
    if (x == NULL) {
        return SMQTT_E_NOMEM;
    }
    x->ticket = ++w->n_tickets;
    smqtt_err err = w->defer(w->defer_ctx, x->ticket, conn->peer, work, password);
    if (err != SMQTT_OK) {
        smq_auth_drop(conn);
        return err;
    }
    x->await = AWAITS_PASSWORD;
    smq_list_push_back(&w->logins, &x->of_worker);
    smq_conn_make_dirty(conn); /* it is not read meanwhile */
    return SMQTT_E_AGAIN;
}

static smqtt_err by_password(struct smq_worker *w, struct smq_conn *conn, struct smq_principal who,
                             const smq_span *password)
{
    const struct smq_listener_config *l = listener_of(w, conn);
    if (l->auth == NULL || l->auth->login == NULL) {
        return l->allow_anonymous ? SMQTT_OK : SMQTT_E_NOT_AUTHORIZED;
    }
    who.listener = l;
    struct smq_login_work work;
    smqtt_err err = l->auth->login(l->auth->ctx, &who, password, &work);
    if (err == SMQTT_E_AGAIN && password != NULL) {
        err = w->defer != NULL ? defer(w, conn, &work, *password) : work.run(&work, *password);
        smq_wipe(&work, sizeof work);
    }
    return err == SMQTT_E_AGAIN && conn->exchange == NULL ? SMQTT_E_BUG : err;
}

bool smq_auth_waits(const struct smq_conn *conn)
{
    return conn->exchange != NULL && conn->exchange->await == AWAITS_PASSWORD;
}

void smq_worker_login_ready(struct smq_worker *w, uint64_t ticket, smqtt_err answer, struct smqtt_now now)
{
    w->now = now;
    for (struct smq_list *at = w->logins.next; at != &w->logins; at = at->next) {
        struct smq_exchange *x = SMQ_CONTAINER_OF(at, struct smq_exchange, of_worker);
        if (x->ticket == ticket) {
            smq_list_remove(&x->of_worker);
            x->await = AWAITS_NOTHING;
            x->answer = answer;
            x->until = now.mono + (smqtt_ms)w->config->connect_timeout_s * 1000; /* the wait was ours */
            smq_conn_arm(x->conn);
            smq_conn_make_dirty(x->conn);
            return;
        }
    }
}

/* ------------------------------------------------------------ the exchange */

static void end_state(struct smq_exchange *x)
{
    if (x->state != NULL) {
        x->method->end(x->auth->ctx, x->state);
        x->state = NULL;
    }
    x->data = (smq_span){NULL, 0};
}

static void drop_connect(struct smq_conn *conn)
{
    struct smq_exchange *x = conn->exchange;
    if (x->connect != NULL) {
        smq_wipe(x->connect, x->connect_len); /* a password may be in it */
        smq_mem_free(conn->worker->mem, x->connect);
        x->connect = NULL;
    }
}

void smq_auth_drop(struct smq_conn *conn)
{
    struct smq_exchange *x = conn->exchange;
    if (x != NULL) {
        end_state(x);
        drop_connect(conn);
        smq_list_remove(&x->of_worker);
        smq_mem_free(conn->worker->mem, x->user);
        smq_mem_free(conn->worker->mem, x);
        conn->exchange = NULL;
    }
}

void smq_auth_settled(struct smq_conn *conn)
{
    if (conn->exchange != NULL && conn->exchange->method == NULL) {
        smq_auth_drop(conn);
    } else if (conn->exchange != NULL) {
        end_state(conn->exchange);
        drop_connect(conn);
    }
}

smqtt_ms smq_auth_deadline(const struct smq_conn *conn)
{
    return conn->exchange->await == AWAITS_PASSWORD ? SMQTT_NEVER : conn->exchange->until;
}

void smq_auth_put_props(const struct smq_conn *conn, struct smq_props *props)
{
    const struct smq_exchange *x = conn->exchange;
    if (x != NULL && x->method != NULL) {
        smq_props_set_bytes(props, SMQ_PROP_AUTH_METHOD, smq_span_str(x->method->name)); /* [MQTT-4.12.0-5] */
        if (x->data.len != 0) {
            smq_props_set_bytes(props, SMQ_PROP_AUTH_DATA, x->data);
        }
    }
}

static smqtt_err write_auth(struct smq_conn *conn, uint8_t reason)
{
    struct smq_packet pkt = {.type = SMQ_AUTH};
    pkt.reasoned.reason = reason;
    smq_props_clear(&pkt.reasoned.props);
    smq_auth_put_props(conn, &pkt.reasoned.props);
    return smq_conn_write(conn, &pkt);
}

/* One step with what the packet brought; tells the client when it has to go on. SMQTT_E_AGAIN then. */
static smqtt_err step(struct smq_conn *conn, const struct smq_props *props)
{
    struct smq_exchange *x = conn->exchange;
    bool has_data = smq_props_has(props, SMQ_PROP_AUTH_DATA);
    smq_span data = smq_props_bytes(props, SMQ_PROP_AUTH_DATA);
    struct smq_auth_reply reply = {{NULL, 0}, {NULL, 0}};
    smqtt_err err = x->method->step(x->auth->ctx, x->state, has_data ? &data : NULL, &reply);
    x->data = reply.data;
    if (err == SMQTT_E_AGAIN) {
        x->await = AWAITS_CLIENT;
        SMQ_TRY(write_auth(conn, AUTH_CONTINUE)); /* [MQTT-4.12.0-2] */
        return err;
    }
    x->await = AWAITS_NOTHING;
    if (err == SMQTT_OK && reply.user.len != 0 && x->user == NULL) {
        x->user = smq_mem_dup(conn->worker->mem, reply.user);
        x->user_len = reply.user.len;
        err = x->user != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
    } else if (err == SMQTT_OK && x->user != NULL && !smq_span_equal(reply.user, smq_span_of(x->user, x->user_len))) {
        err = SMQTT_E_NOT_AUTHORIZED; /* who repeats a login stays who it is */
    }
    x->answer = err;
    return err;
}

/* CONNECT is needed when the exchange is over; other packets come between. */
static smqtt_err keep_connect(struct smq_worker *w, struct smq_exchange *x)
{
    smq_span body = w->frame->body;
    x->connect = smq_mem_dup(w->mem, body);
    x->connect_len = body.len;
    return x->connect != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

static smqtt_err by_method(struct smq_worker *w, struct smq_conn *conn, const struct smq_principal *who,
                           const struct smq_connect *c)
{
    const struct smq_auth *auth = conn->listener->auth;
    const struct smq_auth_method *method = method_of(auth, smq_props_bytes(&c->props, SMQ_PROP_AUTH_METHOD));
    if (method == NULL) {
        return SMQTT_E_BAD_METHOD; /* [MQTT-4.12.0-1] */
    }
    struct smq_exchange *x = exchange_new(conn, auth);
    if (x == NULL) {
        return SMQTT_E_NOMEM;
    }
    x->method = method;
    SMQ_TRY(method->begin(auth->ctx, who, false, &x->state));
    SMQ_TRY(keep_connect(w, x));
    smqtt_err err = step(conn, &c->props);
    if (err == SMQTT_E_AGAIN) {
        conn->state = SMQ_CONN_AWAITS_AUTH;
    }
    return err;
}

smqtt_err smq_auth_login(struct smq_worker *w, struct smq_conn *conn, const struct smq_connect *c)
{
    struct smq_principal who = {
        .client_id = c->client_id, .user = c->user, .has_user = c->has_user, .listener = conn->listener};
    struct smq_exchange *x = conn->exchange;
    if (x != NULL && x->turn == w->auth_turn) {
        return x->answer; /* CONNECT again, after the password was checked */
    }
    smq_auth_drop(conn); /* it was checked against a table that is out of date */
    if (smq_props_has(&c->props, SMQ_PROP_AUTH_METHOD)) {
        return by_method(w, conn, &who, c);
    }
    return by_password(w, conn, who, c->has_password ? &c->password : NULL);
}

/* CONNECT is read again, now that its answer is known. */
static smqtt_err finish(struct smq_worker *w, struct smq_conn *conn, smqtt_err answer)
{
    struct smq_exchange *x = conn->exchange;
    struct smq_frame frame = {SMQ_CONNECT << 4, smq_span_of(x->connect, x->connect_len), 0};
    struct smq_packet connect;
    const char *why;
    SMQ_TRY(smq_packet_read(&conn->codec, &frame, &connect));
    bool nameless = connect.connect.client_id.len == 0;
    (void)smq_admit(conn->listener, &connect.connect, &why); /* let it in before; sets its identifier again */
    return smq_connect_finish(w, conn, &connect, nameless, answer);
}

/* An AUTH packet that goes on with what is under way [MQTT-4.12.0-3] [MQTT-4.12.0-5]. */
static bool is_continuation(const struct smq_exchange *x, const struct smq_packet *pkt)
{
    return pkt->type == SMQ_AUTH && pkt->reasoned.reason == AUTH_CONTINUE && x->await == AWAITS_CLIENT &&
           smq_span_equal(smq_props_bytes(&pkt->reasoned.props, SMQ_PROP_AUTH_METHOD), smq_span_str(x->method->name));
}

smqtt_err smq_auth_continue(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    if (pkt->type == SMQ_DISCONNECT) {
        smq_conn_end(conn, SMQ_FATE_CLOSE_AFTER_OUTPUT, false);
        return SMQTT_OK;
    }
    /* [MQTT-3.1.2-30]: nothing else before CONNACK. */
    bool goes_on = is_continuation(conn->exchange, pkt);
    smqtt_err err = goes_on ? step(conn, &pkt->reasoned.props) : SMQTT_E_PROTOCOL;
    return err == SMQTT_E_AGAIN ? SMQTT_OK : finish(w, conn, err);
}

static smqtt_err begin_again(struct smq_conn *conn, const struct smq_props *props)
{
    struct smq_exchange *x = conn->exchange;
    smq_span name = smq_span_str(x->method->name);
    if (x->await != AWAITS_NOTHING || !smq_span_equal(smq_props_bytes(props, SMQ_PROP_AUTH_METHOD), name)) {
        return SMQTT_E_PROTOCOL; /* [MQTT-4.12.1-1] */
    }
    struct smq_principal who = smq_session_principal(conn->session);
    return x->method->begin(x->auth->ctx, &who, true, &x->state);
}

smqtt_err smq_on_auth(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    (void)w;
    struct smq_exchange *x = conn->exchange;
    const struct smq_props *props = &pkt->reasoned.props;
    if (x == NULL || x->method == NULL) {
        return SMQTT_E_PROTOCOL; /* [MQTT-4.12.0-7] */
    }
    if (pkt->reasoned.reason == AUTH_AGAIN) {
        SMQ_TRY(begin_again(conn, props));
    } else if (!is_continuation(x, pkt)) {
        return SMQTT_E_PROTOCOL;
    }
    smqtt_err err = step(conn, props);
    if (err == SMQTT_OK) {
        err = write_auth(conn, AUTH_SUCCESS);
        end_state(x);
    }
    return err == SMQTT_E_AGAIN ? SMQTT_OK : err; /* [MQTT-4.12.1-2] */
}

void smq_auth_enter(struct smq_worker *w, struct smq_conn *conn, struct smq_connect *c)
{
    const struct smq_exchange *x = conn->exchange;
    if (x != NULL && x->user != NULL) {
        c->user = smq_span_of(x->user, x->user_len);
        c->has_user = true;
    }
    struct smq_principal who = {
        .client_id = c->client_id, .user = c->user, .has_user = c->has_user, .listener = conn->listener};
    conn->stamp = stamp_of(w, conn, who);
}
