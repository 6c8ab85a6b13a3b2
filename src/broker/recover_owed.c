/* SPDX-License-Identifier: Apache-2.0 */
/* What was on its way from worker to worker is routed again: to those that belonged to the workers that had not had it.
 */
#include "broker/recovery.h"
#include "broker/share.h"

enum { SPEAK_EVERY = 1024 };

smqtt_err smq_recovery_owe(struct smq_recovery *r, uint64_t to, smq_span group, const struct smq_content *c)
{
    struct smq_row_body row = {.peers = to, .group = group, .content = *c};
    struct smq_wr wr = smq_wr_measure();
    smq_row_write_body(&wr, &row, r->now);
    SMQ_TRY(smq_recovery_grow(r, (void **)&r->owed, r->n_owed, &r->cap_owed, sizeof(struct smq_owed *)));
    struct smq_owed *o = smq_mem_alloc(r->mem, sizeof *o + wr.len);
    if (o == NULL) {
        return SMQTT_E_NOMEM;
    }
    o->len = wr.len;
    wr = smq_wr_of(o->value, wr.len);
    smq_row_write_body(&wr, &row, r->now);
    r->owed[r->n_owed++] = o;
    return SMQTT_OK;
}

/* A member of the group gets it; SMQTT_E_BAD_TEXT: nobody does. */
static smqtt_err give(struct smq_recovery *r, const struct smq_row_body *row)
{
    struct smq_worker *w = smq_recovery_owner(r, row->group);
    const struct smq_broker_config *config = w->config;
    if (!smq_content_is_sound(&row->content, config->text_policy, config->max_topic_levels)) {
        w->stats.refused_text++;
        return SMQTT_E_BAD_TEXT;
    }
    struct smq_routing routing;
    smq_routing_init(&routing, &row->content, NULL, true);
    routing.from_peer = true;
    routing.group = row->group;
    if (!smq_group_give_again(w, row->group, &routing)) {
        w->stats.publish_dropped++; /* nobody is left */
    }
    smq_routing_deinit(&routing);
    return SMQTT_OK;
}

static smqtt_err route(struct smq_recovery *r, const struct smq_row_body *row)
{
    if (row->group.len != 0) {
        return give(r, row);
    }
    struct smq_former only = r->former;
    only.workers = row->peers;
    for (unsigned i = 0; i < r->n; i++) {
        struct smq_routing routing;
        smq_routing_init(&routing, &row->content, NULL, false);
        routing.from_peer = true;
        routing.only = &only;
        smqtt_err err = smq_route(r->workers[i], &routing);
        smq_routing_deinit(&routing);
        SMQ_TRY(err);
    }
    return SMQTT_OK;
}

/* In the order of their rows, which is for each worker that in which it sent them. Of what is retained versions say
 * what comes after what. */
smqtt_err smq_recovery_route(struct smq_recovery *r)
{
    for (size_t i = 0; i < r->n_owed; i++) {
        struct smq_row_body row;
        bool ok = smq_row_read_body(smq_span_of(r->owed[i]->value, r->owed[i]->len), r->now, &row);
        if (!ok || row.content.expires <= r->now.mono) { /* [MQTT-3.3.2-5] */
            r->counts.expired++;
            continue;
        }
        smqtt_err err = route(r, &row);
        if (err != SMQTT_OK && err != SMQTT_E_BAD_TEXT) {
            return err;
        }
        r->counts.owed++;
        if (i % SPEAK_EVERY == 0) {
            smq_recovery_exchange(r);
        }
    }
    smq_recovery_exchange(r);
    return SMQTT_OK;
}

void smq_recovery_owed_free(struct smq_recovery *r)
{
    for (size_t i = 0; i < r->n_owed; i++) {
        smq_mem_free(r->mem, r->owed[i]);
    }
    smq_mem_free(r->mem, r->owed);
}
