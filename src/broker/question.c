/* SPDX-License-Identifier: Apache-2.0 */
/* Questions of other workers for retained messages, as their keeper answers them: a share each turn, by references. */
#include "broker/internal.h"
#include "broker/pull.h"

enum { IN_ONE_NOTE = 256 };

static void question_free(struct smq_worker *w, struct smq_question *q)
{
    smq_list_remove(&q->of_worker);
    smq_retain_close(&q->cursor);
    smq_mem_free(w->mem, q);
}

void smq_pull_on_fetch(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_fetch *note = (const struct smq_note_fetch *)head;
    size_t kept = w->count * sizeof(uint64_t);
    struct smq_question *q = smq_mem_zalloc(w->mem, 1, sizeof *q + kept + note->filter_len);
    if (q == NULL) {
        smq_peer_tell(w, from, SMQ_NOTE_FETCH_END, note->pull, 0);
        return;
    }
    memcpy(q->space, note->kept, kept + note->filter_len);
    q->from = from;
    q->pull = note->pull;
    q->round = smq_pull_round(w);
    q->kept = q->space;
    smq_retain_open(&w->retain, &q->cursor, smq_span_of((uint8_t *)q->space + kept, note->filter_len));
    smq_list_init(&q->of_worker);
    smq_list_push_back(&w->questions, &q->of_worker);
}

void smq_pull_on_stop(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    struct smq_handle pull = ((struct smq_note_handle *)head)->handle;
    struct smq_list *next;
    for (struct smq_list *at = w->questions.next; at != &w->questions; at = next) {
        struct smq_question *q = SMQ_CONTAINER_OF(at, struct smq_question, of_worker);
        next = at->next;
        if (q->from == from && q->pull.slot == pull.slot && q->pull.gen == pull.gen) {
            question_free(w, q);
        }
    }
}

/* Has everything been read that the asker knew of? */
static bool may_answer(const struct smq_worker *w, const struct smq_question *q)
{
    if (q->round > w->n_rounds) {
        return false;
    }
    for (unsigned i = 0; i < w->count; i++) {
        if (i != w->index && w->peers.of[i].kept_in < q->kept[i]) {
            return false;
        }
    }
    return true;
}

static void flush(struct smq_worker *w, const struct smq_question *q, struct smq_refbuf **msgs, uint32_t n)
{
    size_t size = n * sizeof(struct smq_refbuf *);
    struct smq_note_fetched *note = n != 0 ? smq_peer_note(w, q->from, SMQ_NOTE_FETCHED, sizeof *note + size) : NULL;
    if (note != NULL) {
        note->pull = q->pull;
        note->n = n;
        memcpy(note->msgs, msgs, size);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        smq_msg_unref(msgs[i]);
        w->stats.publish_dropped++;
    }
}

static void answer(struct smq_worker *w, struct smq_question *q, unsigned *budget)
{
    struct smq_refbuf *msgs[IN_ONE_NOTE];
    struct smq_refbuf *msg;
    uint32_t n = 0;
    while ((msg = smq_retain_next(&w->retain, &q->cursor, budget)) != NULL) {
        if (!smq_msg_is_sound(msg, w->config->text_policy, w->config->max_topic_levels)) {
            w->stats.refused_text++;
            continue;
        }
        msgs[n++] = smq_refbuf_hand(msg);
        if (n == IN_ONE_NOTE) {
            flush(w, q, msgs, n);
            n = 0;
        }
    }
    flush(w, q, msgs, n);
}

void smq_question_serve(struct smq_worker *w, unsigned *budget)
{
    struct smq_list *next;
    for (struct smq_list *at = w->questions.next; at != &w->questions; at = next) {
        struct smq_question *q = SMQ_CONTAINER_OF(at, struct smq_question, of_worker);
        next = at->next;
        if (!may_answer(w, q)) {
            continue;
        }
        answer(w, q, budget);
        if (smq_retain_is_open(&q->cursor)) {
            smq_list_remove(&q->of_worker); /* the others first, the next time */
            smq_list_push_back(&w->questions, &q->of_worker);
            w->has_more = true;
            return;
        }
        smq_peer_tell(w, q->from, SMQ_NOTE_FETCH_END, q->pull, 0);
        question_free(w, q);
    }
}

void smq_pull_deinit(struct smq_worker *w)
{
    struct smq_list *at;
    while ((at = smq_list_first(&w->questions)) != NULL) {
        question_free(w, SMQ_CONTAINER_OF(at, struct smq_question, of_worker));
    }
}
