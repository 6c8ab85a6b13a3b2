/* SPDX-License-Identifier: Apache-2.0 */
#include "secure.h"

#include <stdlib.h>
#include <string.h>

#include "codec/packet.h"
#include "detect/record.h"
#include "sim.h"

/* ------------------------------------------------------------ what an endpoint keeps */

static void set(uint8_t **to, size_t *to_len, const uint8_t *data, size_t len)
{
    free(*to);
    *to = data != NULL ? malloc(len + 1) : NULL;
    *to_len = data != NULL ? len : 0;
    if (*to != NULL) {
        memcpy(*to, data, len);
    }
}

static struct value *find(struct keep *k, struct smqtt_span key)
{
    for (unsigned i = 0; i < k->n; i++) {
        if (smq_span_equal(smq_span_of(k->values[i].key, k->values[i].key_len), key)) {
            return &k->values[i];
        }
    }
    if (k->n == VALUES || key.len > sizeof k->values[0].key) {
        return NULL;
    }
    struct value *v = &k->values[k->n++];
    *v = (struct value){.key_len = key.len};
    memcpy(v->key, key.data, key.len);
    return v;
}

static smqtt_err keep_put(void *ctx, struct smqtt_span key, struct smqtt_span value)
{
    struct value *v = find(ctx, key);
    if (v == NULL) {
        return SMQTT_E_IO;
    }
    set(&v->now, &v->now_len, value.data, value.len);
    return SMQTT_OK;
}

static smqtt_err keep_del(void *ctx, struct smqtt_span key)
{
    struct value *v = find(ctx, key);
    if (v != NULL) {
        set(&v->now, &v->now_len, NULL, 0);
    }
    return SMQTT_OK;
}

static smqtt_err keep_sync(void *ctx)
{
    struct keep *k = ctx;
    for (unsigned i = 0; i < k->n; i++) {
        set(&k->values[i].kept, &k->values[i].kept_len, k->values[i].now, k->values[i].now_len);
    }
    return SMQTT_OK;
}

static smqtt_err keep_each(void *ctx, struct smqtt_span prefix,
                           void (*fn)(void *arg, struct smqtt_span key, struct smqtt_span value), void *arg)
{
    struct keep *k = ctx;
    for (unsigned i = 0; i < k->n; i++) {
        const struct value *v = &k->values[i];
        smq_span key = smq_span_of(v->key, v->key_len);
        if (v->now != NULL && smq_span_starts(key, prefix)) {
            fn(arg, key, smq_span_of(v->now, v->now_len));
        }
    }
    return SMQTT_OK;
}

void secure_crash(struct sim *s, const struct actor *a)
{
    struct keep *k = &s->secure->keeps[a->index];
    for (unsigned i = 0; i < k->n; i++) {
        set(&k->values[i].now, &k->values[i].now_len, k->values[i].kept, k->values[i].kept_len);
    }
}

/* ------------------------------------------------------------ identities */

static bool fill(void *ctx, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)sim_random(ctx);
    }
    return true;
}

/* One for all runs, and the same in all: from a seed of its own. */
static struct smqtt_identity *server_identity(void)
{
    static struct smqtt_identity *identity;
    static struct sim own;
    if (identity == NULL) {
        sim_seed(&own, 1);
        struct smqtt_rng rng = {fill, &own};
        if (smqtt_identity_new(NULL, &rng, "x25519", "server", 0, 0, 0, &identity) != SMQTT_OK) {
            abort();
        }
    }
    return identity;
}

void secure_init(struct sim *s)
{
    s->secure = calloc(1, sizeof *s->secure);
    if (s->secure == NULL) {
        abort();
    }
    s->secure->records = malloc(RECORDS_MAX * sizeof *s->secure->records);
    for (unsigned i = 0; i < ACTORS_MAX; i++) {
        struct keep *k = &s->secure->keeps[i];
        k->store = (struct smqtt_store){keep_put, keep_del, keep_sync, keep_each, k};
    }
    server_identity();
}

void secure_free(struct sim *s)
{
    for (unsigned i = 0; s->secure != NULL && i < ACTORS_MAX; i++) {
        struct keep *k = &s->secure->keeps[i];
        for (unsigned n = 0; n < k->n; n++) {
            free(k->values[n].now);
            free(k->values[n].kept);
        }
    }
    if (s->secure != NULL) {
        free(s->secure->records);
    }
    free(s->secure);
    s->secure = NULL;
}

void secure_attach(struct sim *s, struct actor *a)
{
    struct smqtt_store *store = &s->secure->keeps[a->index].store;
    smqtt_err err = SMQTT_OK;
    if (a->kind == ACTOR_OPENER) {
        struct smqtt_opener_config config = {.struct_size = sizeof config, .mem = &s->client_mem.mem};
        struct smqtt_opener *opener = NULL;
        config.rng = (struct smqtt_rng){fill, s};
        config.identity = server_identity();
        config.store = store;
        config.window = 64;
        err = smqtt_opener_new(&config, s->client_now, &opener);
        err = err == SMQTT_OK ? smqtt_client_attach_opener(a->c, opener) : err;
    } else {
        struct smqtt_sealer_config config = {.struct_size = sizeof config, .mem = &s->client_mem.mem};
        struct smqtt_sealer *sealer = NULL;
        config.rng = (struct smqtt_rng){fill, s};
        config.server = server_identity();
        config.client_id = smq_span_str(a->id);
        config.store = store;
        err = smqtt_sealer_new(&config, s->client_now, &sealer);
        err = err == SMQTT_OK ? smqtt_client_attach_sealer(a->c, sealer) : err;
    }
    if (err != SMQTT_OK) {
        sim_fail(s, "The endpoint of actor %u could not be made: %s.", a->index, smqtt_strerror(err));
    }
}

/* ------------------------------------------------------------ records */

static uint64_t hash_of(smq_span bytes)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes.len; i++) {
        h = (h ^ bytes.data[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}

static struct seen_record *find_record(struct secure *se, const uint8_t kid[4], uint64_t seq)
{
    for (uint32_t i = 0; i < se->n_records; i++) {
        if (se->records[i].seq == seq && memcmp(se->records[i].kid, kid, 4) == 0) {
            return &se->records[i];
        }
    }
    return NULL;
}

static void note_record(struct sim *s, const struct actor *a, smq_span payload)
{
    struct secure *se = s->secure;
    struct smq_record record;
    if (!smq_record_is(payload) || smq_record_read(payload, &record) != SMQTT_OK) {
        return;
    }
    uint64_t hash = hash_of(payload);
    struct seen_record *seen = find_record(se, record.kid, record.seq);
    if (seen != NULL && seen->hash != hash) {
        sim_fail(s, "Actor %u seals two messages with number %llu of one key.", a->index,
                 (unsigned long long)record.seq);
    } else if (seen == NULL && se->n_records < RECORDS_MAX) {
        seen = &se->records[se->n_records++];
        *seen = (struct seen_record){.seq = record.seq, .hash = hash};
        memcpy(seen->kid, record.kid, 4);
        s->counts->sealed++;
    }
    if (payload.len <= sizeof se->caught[0].bytes) {
        uint32_t at = se->n_caught++ % CAUGHT;
        memcpy(se->caught[at].bytes, payload.data, payload.len);
        se->caught[at].len = payload.len;
    }
}

void secure_look(struct sim *s, const struct actor *a, struct smqtt_span out)
{
    struct smq_codec codec = {.version = SMQTT_V5, .from = SMQ_FROM_CLIENT, .text = SMQ_TEXT_STRICT};
    struct smq_frame frame;
    size_t need = 0;
    while (out.len != 0 && smq_frame_read(&codec, out, out.data[0] >> 4 == SMQ_CONNECT, &frame, &need) == SMQTT_OK) {
        struct smq_packet pkt;
        if (frame.header >> 4 == SMQ_PUBLISH && smq_packet_read(&codec, &frame, &pkt) == SMQTT_OK) {
            note_record(s, a, pkt.publish.payload);
        }
        out = smq_span_from(out, frame.size);
    }
}

void secure_publish(struct sim *s, struct actor *a)
{
    uint8_t payload[256];
    if (a->n_tokens == 256 || s->oracle.n + 8 > MSGS_MAX || smqtt_client_unfinished(a->c) > 20) {
        return;
    }
    uint32_t size = 16 + (uint32_t)sim_below(s, 100);
    struct smqtt_publish_options options = {.qos = (uint8_t)sim_below(s, 3), .receipt = sim_below(s, 2) == 0};
    uint32_t msg = oracle_publish(s, a, TOPIC_SEALED, options.qos, false, size, 0);
    oracle_unpublish(s, msg); /* nobody but the server is owed it, and that keeps its own books */
    oracle_payload(s, msg, payload);
    uint64_t token = 0;
    if (smqtt_client_publish_sealed(a->c, smq_span_str(oracle_topics[TOPIC_SEALED]), smq_span_of(payload, size),
                                    &options, &token, s->client_now) == SMQTT_OK) {
        a->tokens[a->n_tokens].token = token;
        a->tokens[a->n_tokens++].msg = msg;
    }
    actor_pump(s, a);
    if (!s->ending && sim_below(s, 40) == 0) {
        actor_kill(s, a);
    }
}

void secure_replay(struct sim *s, struct actor *a)
{
    struct secure *se = s->secure;
    if (se == NULL || se->n_caught == 0) {
        return;
    }
    uint32_t n = se->n_caught < CAUGHT ? se->n_caught : CAUGHT;
    uint32_t at = (uint32_t)sim_below(s, n);
    struct smqtt_publish_options options = {.qos = 0};
    const char *topic = sim_below(s, 3) == 0 ? "x/1" : oracle_topics[TOPIC_SEALED];
    s->counts->replays++;
    if (smqtt_client_publish(a->c, smq_span_str(topic), smq_span_of(se->caught[at].bytes, se->caught[at].len), &options,
                             NULL, s->client_now) == SMQTT_OK) {
        a->n_untold++;
        actor_pump(s, a);
    }
}

/* ------------------------------------------------------------ events */

static void on_opened(struct sim *s, const struct actor *a, const struct smqtt_client_event *ev)
{
    const struct smqtt_secure_event *se = &ev->secure;
    uint32_t msg = oracle_read(s, ev->payload);
    uint8_t kid[4] = {(uint8_t)(se->kid >> 24), (uint8_t)(se->kid >> 16), (uint8_t)(se->kid >> 8), (uint8_t)se->kid};
    struct seen_record *record = find_record(s->secure, kid, se->seq);
    s->counts->opened++;
    sim_trace(s, "actor %llu opens message %llu, number %llu", a->index, msg, se->seq);
    if (se->type != SMQTT_EV_MESSAGE || se->protection == SMQTT_PLAIN) {
        sim_fail(s, "Actor %u is given a message that was not sealed.", a->index);
    } else if (msg == MSG_NONE || !smq_span_equal(ev->topic, smq_span_str(oracle_topics[TOPIC_SEALED]))) {
        sim_fail(s, "Actor %u opens a message on %.*s that nobody sealed for it.", a->index, (int)ev->topic.len,
                 (const char *)ev->topic.data);
    } else if (record == NULL) {
        sim_fail(s, "Actor %u opens a record that nobody sealed.", a->index);
    } else if (record->accepted) {
        sim_fail(s, "Actor %u accepts message %u, number %llu of its key, twice.", a->index, msg,
                 (unsigned long long)se->seq);
    } else {
        record->accepted = true;
        s->oracle.msgs[msg].got |= UINT64_C(1) << a->index;
    }
}

void secure_event(struct sim *s, struct actor *a, const struct smqtt_client_event *ev)
{
    if (ev->type == SMQTT_CLIENT_MESSAGE) {
        if (a->kind == ACTOR_OPENER) {
            on_opened(s, a, ev);
        }
    } else if (ev->secure.type == SMQTT_EV_OPEN) {
        s->counts->handshakes++;
    } else if (ev->secure.type == SMQTT_EV_RECEIPT) {
        s->counts->receipts++;
    }
    /* Its program may be killed at any moment, and between two messages most of all. */
    if (!s->ending && sim_below(s, 40) == 0) {
        actor_kill(s, a);
    }
}
