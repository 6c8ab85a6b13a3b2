/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_WINDOW_H
#define SMQTT_DETECT_WINDOW_H
/* Replay window (protocol.md 6.4): which of the last `size` numbers were received. A ring of 64-bit words that moves
 * without shifting; the words are the owner's. */
#include "base/rd.h"
#include "base/wr.h"

enum smq_window_verdict { SMQ_WINDOW_NEW, SMQ_WINDOW_SEEN, SMQ_WINDOW_OUTSIDE };

/** Words that a window of `size` numbers takes. */
#define SMQ_WINDOW_WORDS(size) (((size_t)(size) + 63) / 64 + 1)

struct smq_window {
    uint64_t *words;
    uint32_t size;
    bool any; /* a number was committed */
    uint64_t top;
};

/** An empty window over SMQ_WINDOW_WORDS(size) words. */
void smq_window_init(struct smq_window *w, uint64_t *words, uint32_t size);
enum smq_window_verdict smq_window_judge(const struct smq_window *w, uint64_t seq);
/** Marks a number that judge called new. Returns how many numbers between the highest before and this one are missing.
 */
uint64_t smq_window_commit(struct smq_window *w, uint64_t seq);
/** Copies the numbers of another window of the same size. */
void smq_window_copy(struct smq_window *to, const struct smq_window *from);
void smq_window_write(const struct smq_window *w, struct smq_wr *wr);
/** Reads what write wrote into an inited window of the same size; makes rd bad when it cannot be. */
void smq_window_read(struct smq_window *w, struct smq_rd *rd);

#endif
