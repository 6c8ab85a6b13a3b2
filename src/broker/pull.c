/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/pull.h"
#include "base/siphash.h"
#include "broker/held.h"
#include "broker/internal.h"
#include "broker/route.h"
#include "broker/source.h"

enum { STEPS = 10000, OUTPUT = 256 * 1024, FIRST_LIVE = 16, FIRST_MSGS = 16 };

/* ------------------------------------------------------------ life */

static smqtt_err need_pulls(struct smq_worker *w, struct smq_session *s)
{
    if (s->pulls != NULL) {
        return SMQTT_OK;
    }
    s->pulls = smq_mem_zalloc(w->mem, 1, sizeof *s->pulls);
    if (s->pulls == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_list_init(&s->pulls->list);
    smq_list_init(&s->pulls->ready);
    s->pulls->session = s;
    return SMQTT_OK;
}

static void drop_if_empty(struct smq_worker *w, struct smq_session *s)
{
    struct smq_pulls *pulls = s->pulls;
    if (pulls != NULL && smq_list_is_empty(&pulls->list)) {
        s->pulls = NULL;
        smq_list_remove(&pulls->ready);
        smq_mem_free(w->mem, pulls->live);
        smq_mem_free(w->mem, pulls);
    }
}

smqtt_err smq_pull_new(struct smq_worker *w, struct smq_session *s, struct smq_held *held, smq_span filter, uint8_t qos,
                       uint32_t id)
{
    if (w->count == 1 && w->retain.n == 0) {
        return SMQTT_OK;
    }
    SMQ_TRY(need_pulls(w, s));
    struct smq_pull *pull = smq_mem_zalloc(w->mem, 1, sizeof *pull + filter.len);
    if (pull == NULL) {
        drop_if_empty(w, s);
        return SMQTT_E_NOMEM;
    }
    pull->session = s;
    pull->since = ++w->n_pulls;
    pull->qos = qos;
    pull->round = UINT64_MAX; /* not asked yet */
    pull->id = id;
    pull->filter_len = (uint16_t)filter.len;
    memcpy(pull->filter, filter.data, filter.len);
    smq_list_init(&pull->of_session);
    smq_list_init(&pull->of_held);
    smq_list_push_back(&s->pulls->list, &pull->of_session);
    smq_list_push_back(&held->pulls, &pull->of_held);
    return SMQTT_OK;
}

static void stop_asking(struct smq_worker *w, struct smq_pull *pull)
{
    for (uint64_t left = pull->waiting; left != 0; left &= left - 1) {
        smq_peer_tell(w, (unsigned)__builtin_ctzll(left), SMQ_NOTE_FETCH_STOP, pull->self, 0);
    }
    smq_handle_end(&w->handles, pull->self);
}

static void pull_free(struct smq_worker *w, struct smq_pull *pull)
{
    if (!w->ending) {
        stop_asking(w, pull);
    }
    smq_retain_close(&pull->cursor);
    while (pull->head < pull->n) {
        smq_msg_unref(pull->msgs[pull->head++]);
    }
    smq_mem_free(w->mem, pull->msgs);
    smq_list_remove(&pull->of_session);
    smq_list_remove(&pull->of_held);
    smq_mem_free(w->mem, pull);
}

void smq_pull_end(struct smq_worker *w, struct smq_session *s)
{
    if (s->pulls == NULL) {
        return;
    }
    struct smq_list *at;
    while ((at = smq_list_first(&s->pulls->list)) != NULL) {
        pull_free(w, SMQ_CONTAINER_OF(at, struct smq_pull, of_session));
    }
    drop_if_empty(w, s);
}

void smq_pull_forget(struct smq_worker *w, struct smq_held *held)
{
    struct smq_list *at;
    while ((at = smq_list_first(&held->pulls)) != NULL) {
        struct smq_pull *pull = SMQ_CONTAINER_OF(at, struct smq_pull, of_held);
        struct smq_session *s = pull->session;
        pull_free(w, pull);
        drop_if_empty(w, s);
    }
}

/* ------------------------------------------------------------ asking */

static bool has_wildcard(smq_span filter)
{
    return memchr(filter.data, '+', filter.len) != NULL || memchr(filter.data, '#', filter.len) != NULL;
}

/* What other workers are known to have sent the keeper goes with the question: it answers when it has read that. So
 * nothing that was delivered here before the subscription began can be newer than what it says. */
static void ask(struct smq_worker *w, struct smq_pull *pull, unsigned of)
{
    size_t kept = w->count * sizeof(uint64_t);
    struct smq_note_fetch *note = smq_peer_note(w, of, SMQ_NOTE_FETCH, sizeof *note + kept + pull->filter_len);
    if (note == NULL) {
        w->stats.publish_dropped++;
        return;
    }
    pull->waiting |= UINT64_C(1) << of;
    note->pull = pull->self;
    note->filter_len = pull->filter_len;
    for (unsigned i = 0; i < w->count; i++) {
        note->kept[i] = w->peers.of[i].kept_by[of];
    }
    memcpy((uint8_t *)note->kept + kept, pull->filter, pull->filter_len);
}

uint64_t smq_pull_round(struct smq_worker *w)
{
    w->round_awaited = w->n_rounds + 2; /* the one that is under way has passed some peers by */
    return w->round_awaited;
}

static void begin(struct smq_worker *w, struct smq_pull *pull)
{
    smq_span filter = smq_span_of(pull->filter, pull->filter_len);
    bool wild = has_wildcard(filter);
    unsigned keeper = wild ? w->index : smq_peers_keeper(w, filter);
    pull->round = 0;
    pull->newest = smq_ledger_version(w->ledger, (uint64_t)w->now.wall * 1000000);
    if (keeper == w->index) {
        pull->round = w->count > 1 ? smq_pull_round(w) : 0;
        smq_retain_open(&w->retain, &pull->cursor, filter);
    }
    if (w->count == 1 || (!wild && keeper == w->index)) {
        return;
    }
    if (smq_handle_make(&w->handles, pull, &pull->self) != SMQTT_OK) {
        w->stats.publish_dropped++;
        return;
    }
    for (unsigned i = 0; i < w->count; i++) {
        if (i != w->index && (wild || i == keeper)) {
            ask(w, pull, i);
        }
    }
}

/* ------------------------------------------------------------ what live messages overtake */

static struct smq_overtaken *place_of(struct smq_pulls *pulls, uint64_t topic)
{
    uint32_t at = (uint32_t)topic & pulls->mask;
    while (pulls->live[at].version != 0 && pulls->live[at].topic != topic) {
        at = (at + 1) & pulls->mask;
    }
    return &pulls->live[at];
}

static bool make_room(struct smq_worker *w, struct smq_pulls *pulls)
{
    if (pulls->live != NULL && pulls->n_live * 2 <= pulls->mask) {
        return true;
    }
    struct smq_pulls bigger = {.mask = pulls->live != NULL ? pulls->mask * 2 + 1 : FIRST_LIVE - 1};
    bigger.live = smq_mem_zalloc(w->mem, (size_t)bigger.mask + 1, sizeof *bigger.live);
    if (bigger.live == NULL) {
        return false;
    }
    for (uint32_t i = 0; pulls->live != NULL && i <= pulls->mask; i++) {
        if (pulls->live[i].version != 0) {
            *place_of(&bigger, pulls->live[i].topic) = pulls->live[i];
        }
    }
    smq_mem_free(w->mem, pulls->live);
    pulls->live = bigger.live;
    pulls->mask = bigger.mask;
    return true;
}

void smq_pull_overtake(struct smq_worker *w, struct smq_session *s, const struct smq_content *content)
{
    struct smq_pulls *pulls = s->pulls;
    if (!make_room(w, pulls)) {
        pulls->floor = content->version > pulls->floor ? content->version : pulls->floor;
        return;
    }
    uint64_t topic = smq_siphash13(w->key, content->topic);
    struct smq_overtaken *o = place_of(pulls, topic);
    pulls->n_live += o->version == 0;
    uint64_t version = content->version > o->version ? content->version : o->version;
    *o = (struct smq_overtaken){topic, version, w->n_pulls};
}

/* Or will a live one come, perhaps this very one? All workers knew of the subscription when its version was drawn; the
 * keeper may have read it before this worker did, and older ones with it. */
static bool is_overtaken(struct smq_worker *w, const struct smq_pull *pull, const struct smq_content *content)
{
    struct smq_pulls *pulls = pull->session->pulls;
    if (content->version > pull->newest || (content->version != 0 && content->version <= pulls->floor)) {
        return true;
    }
    if (pulls->live == NULL) {
        return false;
    }
    const struct smq_overtaken *o = place_of(pulls, smq_siphash13(w->key, content->topic));
    return o->version != 0 && o->stamp >= pull->since && o->version >= content->version;
}

/* ------------------------------------------------------------ sending */

static void send(struct smq_worker *w, struct smq_pull *pull, struct smq_refbuf *msg)
{
    struct smq_content c = smq_msg_content(msg);
    if (c.expires <= w->now.mono || is_overtaken(w, pull, &c) || !smq_source_may(w, c.source, c.topic)) {
        return;
    }
    if (!smq_msg_is_sound(msg, w->config->text_policy, w->config->max_topic_levels)) {
        w->stats.refused_text++;
        return;
    }
    struct smq_routing r;
    smq_routing_init_msg(&r, msg);
    r.content.version = 0; /* not a live one */
    uint8_t qos = pull->qos < c.qos || w->config->upgrade_outgoing_qos ? pull->qos : c.qos;
    smq_session_deliver(w, pull->session, &r, qos, true, &pull->id, pull->id != 0 ? 1 : 0);
    smq_routing_deinit(&r);
}

static bool has_room(const struct smq_worker *w, const struct smq_pull *pull)
{
    const struct smq_session *s = pull->session;
    return smq_session_is_ready(w, s, pull->qos) && s->conn->out.bytes < OUTPUT;
}

static bool is_done(const struct smq_pull *pull)
{
    return !smq_list_is_linked(&pull->of_held) && pull->waiting == 0 && pull->head == pull->n &&
           !smq_retain_is_open(&pull->cursor);
}

static void go_on(struct smq_worker *w, struct smq_pull *pull, unsigned *budget)
{
    while (pull->head < pull->n && *budget != 0 && has_room(w, pull)) {
        struct smq_refbuf *msg = pull->msgs[pull->head++];
        --*budget;
        send(w, pull, msg);
        smq_msg_unref(msg);
    }
    if (pull->head == pull->n) {
        smq_mem_free(w->mem, pull->msgs);
        pull->msgs = NULL;
        pull->head = pull->n = pull->cap = 0;
    }
    while (pull->round <= w->n_rounds && has_room(w, pull)) {
        struct smq_refbuf *msg = smq_retain_next(&w->retain, &pull->cursor, budget);
        if (msg == NULL) {
            break;
        }
        send(w, pull, msg);
    }
}

/* True: it goes on at the end of a round, whatever the client does. */
static bool pump_one(struct smq_worker *w, struct smq_pull *pull, unsigned *budget)
{
    go_on(w, pull, budget);
    bool later = !smq_list_is_linked(&pull->of_held) && pull->round > w->n_rounds;
    if (is_done(pull)) {
        pull_free(w, pull);
    }
    return later;
}

static void end_pump(struct smq_worker *w, struct smq_session *s, bool later, unsigned budget)
{
    w->has_more = w->has_more || budget == 0;
    if ((later || budget == 0) && !smq_list_is_linked(&s->pulls->ready)) {
        smq_list_push_back(&w->pulls, &s->pulls->ready);
    }
    drop_if_empty(w, s);
}

static void pump(struct smq_worker *w, struct smq_session *s, unsigned *budget)
{
    struct smq_list *next;
    struct smq_list *head = &s->pulls->list;
    bool later = false;
    for (struct smq_list *at = head->next; at != head && *budget != 0; at = next) {
        next = at->next;
        later = pump_one(w, SMQ_CONTAINER_OF(at, struct smq_pull, of_session), budget) || later;
    }
    end_pump(w, s, later, *budget);
}

void smq_pull_pump(struct smq_worker *w, struct smq_session *s)
{
    unsigned budget = STEPS;
    pump(w, s, &budget);
}

/* The others of the session are not looked at: there may be thousands. */
static void pump_this(struct smq_worker *w, struct smq_pull *pull)
{
    unsigned budget = STEPS;
    struct smq_session *s = pull->session;
    bool later = pump_one(w, pull, &budget);
    end_pump(w, s, later, budget);
}

void smq_pull_begin(struct smq_worker *w, struct smq_held *held)
{
    struct smq_list *at;
    while ((at = smq_list_pop_front(&held->pulls)) != NULL) {
        struct smq_pull *pull = SMQ_CONTAINER_OF(at, struct smq_pull, of_held);
        begin(w, pull);
        pump_this(w, pull);
    }
}

/* ------------------------------------------------------------ answers */

static bool put(struct smq_worker *w, struct smq_pull *pull, struct smq_refbuf *msg)
{
    if (pull->n == pull->cap) {
        uint32_t cap = pull->cap != 0 ? pull->cap * 2 : FIRST_MSGS;
        struct smq_refbuf **msgs = smq_mem_resize(w->mem, pull->msgs, cap * sizeof(struct smq_refbuf *));
        if (msgs == NULL) {
            return false;
        }
        pull->msgs = msgs;
        pull->cap = cap;
    }
    pull->msgs[pull->n++] = msg;
    return true;
}

void smq_pull_on_fetched(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    struct smq_note_fetched *note = (struct smq_note_fetched *)head;
    struct smq_pull *pull = smq_handle_get(&w->handles, note->pull);
    (void)from;
    for (uint32_t i = 0; i < note->n; i++) {
        if (pull == NULL || !put(w, pull, note->msgs[i])) {
            w->stats.publish_dropped += pull != NULL;
            smq_msg_unref(note->msgs[i]);
        }
    }
    if (pull != NULL) {
        pump_this(w, pull);
    }
}

void smq_pull_on_end(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    struct smq_pull *pull = smq_handle_get(&w->handles, ((struct smq_note_handle *)head)->handle);
    if (pull != NULL) {
        pull->waiting &= ~(UINT64_C(1) << from);
        pump_this(w, pull);
    }
}

/* ------------------------------------------------------------ turns */

static void serve_sessions(struct smq_worker *w, unsigned *budget)
{
    struct smq_list todo;
    smq_list_init(&todo);
    struct smq_list *at;
    while ((at = smq_list_pop_front(&w->pulls)) != NULL) {
        smq_list_push_back(&todo, at);
    }
    while ((at = smq_list_pop_front(&todo)) != NULL) {
        struct smq_pulls *pulls = SMQ_CONTAINER_OF(at, struct smq_pulls, ready);
        if (*budget == 0) {
            smq_list_push_back(&w->pulls, at);
            w->has_more = true;
        } else {
            pump(w, pulls->session, budget);
        }
    }
}

void smq_pull_tick(struct smq_worker *w)
{
    unsigned budget = STEPS;
    w->has_more = false;
    smq_question_serve(w, &budget);
    serve_sessions(w, &budget);
}
