/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/window.h"

enum { WORD_BITS = 64 };

static size_t word_of(const struct smq_window *w, uint64_t seq)
{
    return (size_t)(seq / WORD_BITS % SMQ_WINDOW_WORDS(w->size));
}

void smq_window_init(struct smq_window *w, uint64_t *words, uint32_t size)
{
    *w = (struct smq_window){words, size, false, 0};
    memset(words, 0, SMQ_WINDOW_WORDS(size) * sizeof(*words));
}

enum smq_window_verdict smq_window_judge(const struct smq_window *w, uint64_t seq)
{
    if (!w->any || seq > w->top) {
        return SMQ_WINDOW_NEW;
    }
    if (w->top - seq >= w->size) {
        return SMQ_WINDOW_OUTSIDE;
    }
    return (w->words[word_of(w, seq)] >> (seq % WORD_BITS) & 1) != 0 ? SMQ_WINDOW_SEEN : SMQ_WINDOW_NEW;
}

/** Clears the words that the window moves over. */
static void advance(struct smq_window *w, uint64_t seq)
{
    size_t n = SMQ_WINDOW_WORDS(w->size);
    uint64_t moved = seq / WORD_BITS - w->top / WORD_BITS;
    for (uint64_t i = 0; i < moved && i < n; i++) {
        w->words[word_of(w, seq - i * WORD_BITS)] = 0;
    }
}

uint64_t smq_window_commit(struct smq_window *w, uint64_t seq)
{
    uint64_t missing = 0;
    if (!w->any) {
        memset(w->words, 0, SMQ_WINDOW_WORDS(w->size) * sizeof(*w->words));
        missing = seq;
        w->top = seq;
        w->any = true;
    } else if (seq > w->top) {
        advance(w, seq);
        missing = seq - w->top - 1;
        w->top = seq;
    }
    w->words[word_of(w, seq)] |= UINT64_C(1) << (seq % WORD_BITS);
    return missing;
}

void smq_window_copy(struct smq_window *to, const struct smq_window *from)
{
    to->any = from->any;
    to->top = from->top;
    memcpy(to->words, from->words, SMQ_WINDOW_WORDS(from->size) * sizeof(*from->words));
}

void smq_window_write(const struct smq_window *w, struct smq_wr *wr)
{
    smq_wr_u8(wr, w->any ? 1 : 0);
    smq_wr_u64(wr, w->top);
    for (size_t i = 0; i < SMQ_WINDOW_WORDS(w->size); i++) {
        smq_wr_u64(wr, w->words[i]);
    }
}

void smq_window_read(struct smq_window *w, struct smq_rd *rd)
{
    uint8_t any = smq_rd_u8(rd);
    w->top = smq_rd_u64(rd);
    for (size_t i = 0; i < SMQ_WINDOW_WORDS(w->size); i++) {
        w->words[i] = smq_rd_u64(rd);
    }
    w->any = any == 1;
    if (any > 1) {
        smq_rd_fail(rd);
    }
}
