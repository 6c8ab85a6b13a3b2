/* SPDX-License-Identifier: Apache-2.0 */
/* The topics of sealer and openers: what is to be subscribed to, and what the broker has said to that. A connection may
 * break between the two, and the broker keep the session: what it has not answered is asked for again. */
#include "base/mem.h"
#include "client/internal.h"

static struct client_topic *topic_of(struct smq_list *node)
{
    return SMQ_CONTAINER_OF(node, struct client_topic, node);
}

static void topic_free(struct smqtt_client *c, struct client_topic *topic)
{
    smq_list_remove(&topic->node);
    smq_mem_free(c->mem, topic);
}

/** Asks the broker for what is wanted, unless it is being asked something about this topic. When too much is being
 * asked already, an answer makes room. */
static smqtt_err topic_ask(struct smqtt_client *c, struct client_topic *topic)
{
    if (c->state != CLIENT_UP || topic->request != 0 || topic->settled) {
        return SMQTT_OK;
    }
    struct smq_filter filter = {topic->topic, topic->wanted ? 1 : 0};
    smqtt_err err = smq_client_request(c, !topic->wanted, &filter, 1, (smq_span){NULL, 0}, 0);
    if (err == SMQTT_OK) {
        topic->request = c->requests[c->n_requests - 1].id;
        topic->asked = topic->wanted;
    }
    return err == SMQTT_E_FULL ? SMQTT_OK : err;
}

static smqtt_err topics_ask(struct smqtt_client *c)
{
    for (struct smq_list *node = c->topics.next; node != &c->topics; node = node->next) {
        SMQ_TRY(topic_ask(c, topic_of(node)));
    }
    return SMQTT_OK;
}

static struct client_topic *topic_find(struct smqtt_client *c, smq_span name)
{
    for (struct smq_list *node = c->topics.next; node != &c->topics; node = node->next) {
        if (smq_span_equal(topic_of(node)->topic, name)) {
            return topic_of(node);
        }
    }
    return NULL;
}

smqtt_err smq_client_topic_add(struct smqtt_client *c, smq_span name, bool of_server)
{
    struct client_topic *topic = topic_find(c, name);
    if (topic != NULL) {
        topic->settled = topic->settled && topic->wanted;
        topic->wanted = true;
        return topic_ask(c, topic);
    }
    topic = smq_mem_zalloc(c->mem, 1, sizeof(*topic) + name.len);
    if (topic == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_list_init(&topic->node);
    memcpy(topic + 1, name.data, name.len);
    topic->topic = smq_span_of(topic + 1, name.len);
    topic->of_server = of_server;
    topic->wanted = true;
    smq_list_push_back(&c->topics, &topic->node);
    return topic_ask(c, topic);
}

smqtt_err smq_client_topic_drop(struct smqtt_client *c, smq_span name)
{
    struct client_topic *topic = topic_find(c, name);
    if (topic == NULL) {
        return SMQTT_OK;
    }
    topic->wanted = false;
    topic->settled = false;
    return topic_ask(c, topic);
}

smqtt_err smq_client_topics_connected(struct smqtt_client *c, bool session_present)
{
    struct smq_list *next = NULL;
    for (struct smq_list *node = c->topics.next; node != &c->topics; node = next) {
        struct client_topic *topic = topic_of(node);
        next = node->next;
        topic->request = 0;
        topic->settled = topic->settled && session_present;
        if (!topic->wanted && !session_present) {
            topic_free(c, topic);
        }
    }
    return topics_ask(c);
}

smqtt_err smq_client_topics_answered(struct smqtt_client *c, uint16_t request, uint8_t code,
                                     struct smqtt_client_event *event)
{
    struct smq_list *node = c->topics.next;
    while (node != &c->topics && topic_of(node)->request != request) {
        node = node->next;
    }
    if (node == &c->topics) {
        return SMQTT_OK;
    }
    struct client_topic *topic = topic_of(node);
    topic->request = 0;
    topic->settled = topic->asked == topic->wanted;
    if (topic->asked) {
        uint8_t refused = code >= CLIENT_REFUSED ? code : 0;
        c->own_reason = refused != 0 ? refused : c->own_reason;
        if (topic->of_server) {
            event->type = SMQTT_CLIENT_SECURE;
            event->tunnel = true;
            event->secure.type = SMQTT_EV_REGISTERED;
            event->secure.status = refused;
        }
    } else if (topic->settled) {
        topic_free(c, topic);
    }
    return topics_ask(c);
}

void smq_client_topics_deinit(struct smqtt_client *c)
{
    while (c->topics.next != &c->topics) {
        topic_free(c, topic_of(c->topics.next));
    }
}
