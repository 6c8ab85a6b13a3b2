/* SPDX-License-Identifier: Apache-2.0 */
/* Records and receipts of docs/protocol.md section 6 as Horn clauses over what the broker, who is the attacker, knows:
 * k(term). Two sessions of the same client and server, one and two, whose secrets handshake.p keeps; C sends m with the
 * number n on the topic t in session one, S receives it and sends a receipt. The broker chooses topics. */
#define CNF(name, clause) cnf(name, axiom, (clause)).
#ifdef TOPIC_NOT_BOUND
#define AAD(Session, Way, Seq, Topic) aad(Session, Way, Seq, nothing)
#else
#define AAD(Session, Way, Seq, Topic) aad(Session, Way, Seq, Topic)
#endif
#ifdef ONE_KEY /* for both ways, and no way in the additional data */
#define KEY(Session, Way) key(Session, any)
#define WAY(Way) any
#else
#define KEY(Session, Way) key(Session, Way)
#define WAY(Way) Way
#endif
#define RECORD(Session, Way, Seq, Topic, P) aead(KEY(Session, Way), AAD(Session, WAY(Way), Seq, Topic), P)

CNF(seal, k(aead(K, A, P)) | ~k(K) | ~k(P))
CNF(open, k(P) | ~k(aead(K, A, P)) | ~k(K))
CNF(anybody, k(receipt(Session, Seq)))
CNF(own, k(own))
#ifdef LEAK_OTHER_SESSION
CNF(leak, k(KEY(two, Way)))
#endif
#ifdef LEAK_SESSION
CNF(leak_one, k(KEY(one, Way)))
#endif

CNF(sent, k(RECORD(one, c2s, n, t, m)))
CNF(taken, taken(Session, Seq, Topic, P) | ~k(RECORD(Session, c2s, Seq, Topic, P)))
/* A receipt leaves only for what was taken; in the variant none was. */
#ifndef NOTHING_TAKEN
CNF(receipt, k(RECORD(Session, s2c, Nr, back, receipt(Session, Seq))) | ~taken(Session, Seq, Topic, P))
#endif
CNF(confirmed, confirmed(Session, Seq) | ~k(RECORD(Session, s2c, Nr, back, receipt(Session, Seq))))

#if defined GOAL_TAKEN
cnf(goal, negated_conjecture, (~taken(one, n, t, m))).
#elif defined GOAL_CONFIRMED
cnf(goal, negated_conjecture, (~confirmed(one, n))).
#elif defined GOAL_SECRET
cnf(goal, negated_conjecture, (~k(m))).
#elif defined GOAL_FORGED
cnf(goal, negated_conjecture, (~taken(one, Seq, Topic, own))).
#elif defined GOAL_TOPIC
cnf(goal, negated_conjecture, (~taken(one, n, elsewhere, P))).
#elif defined GOAL_NUMBER
cnf(goal, negated_conjecture, (~taken(one, later, Topic, P))).
#elif defined GOAL_SESSION
cnf(goal, negated_conjecture, (~taken(two, Seq, Topic, m))).
#elif defined GOAL_REFLECTED
cnf(goal, negated_conjecture, (~taken(one, Seq, back, receipt(one, n)))).
#endif
