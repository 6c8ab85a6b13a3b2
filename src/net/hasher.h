/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_HASHER_H
#define SMQTT_NET_HASHER_H
/* A few threads that verify passwords whose hashes take long, so that no loop has to wait for them. What waits is
 * bounded; sources of logins (addresses) take turns, and when there is no more room the source that has the most
 * waiting loses its newest, so that a flood from one delays nobody else by more than a turn. */
#include "broker/auth.h"

struct smq_hasher;

/**
 * Makes it; its threads start with the first login that it gets, and run at a lower priority than their maker.
 * @param mem        NULL: the C library's; used by several threads
 * @param threads    at least 1
 * @param max        logins that may wait; at least 1
 * @param customers  loops, numbered from 0
 * @retval SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_hasher_new(const struct smqtt_mem *mem, unsigned threads, size_t max, unsigned customers,
                                      struct smq_hasher **out);
/** Waits for the hashes that are being computed, drops what waits, frees. NULL is allowed. */
void smq_hasher_free(struct smq_hasher *h);
/** Tells a customer that there are answers: `wake` is called by other threads, with a lock held, and only wakes. NULL:
 * nobody is told any more once this returns. */
void smq_hasher_attach(struct smq_hasher *h, unsigned customer, void (*wake)(void *ctx), void *ctx);
/**
 * Has a password verified. Everything is copied. From any thread.
 * @param peer  "ADDRESS:PORT"; who comes from the same address is the same source
 * @retval SMQTT_E_BUSY   there is no room, and no source has more waiting than this one
 * @retval SMQTT_E_NOMEM, SMQTT_E_IO  no thread could be started
 */
SMQ_MUST_USE smqtt_err smq_hasher_submit(struct smq_hasher *h, unsigned customer, uint64_t ticket, const char *peer,
                                         const struct smq_login_work *work, smq_span password);
/** The next answer for a customer: what work->run returned, or SMQTT_E_BUSY for one that lost its place. False: there
 * is none now. */
bool smq_hasher_take(struct smq_hasher *h, unsigned customer, uint64_t *ticket, smqtt_err *answer);

#endif
