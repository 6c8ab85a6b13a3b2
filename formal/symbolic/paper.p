/* SPDX-License-Identifier: Apache-2.0 */
/* The paper's protocol as Horn clauses over what the broker, who is the attacker, knows: k(term). Each goal is an
 * attack; aenc is its ElGamal, taken for perfect, and h its bare hash of the text. */
#define CNF(name, clause) cnf(name, axiom, (clause)).
CNF(pk, k(pk(sk)))
CNF(aenc, k(aenc(K, M, R)) | ~k(K) | ~k(M) | ~k(R))
CNF(hash, k(h(M)) | ~k(M))
CNF(own, k(own))
/* Step 0 of an honest client that sends m. */
CNF(step0_cipher, k(aenc(pk(sk), m, r)))
CNF(step0_hash, k(h(m)))
CNF(step0_time, k(ts1))
/* Steps 1 and 2: a cipher that fits its hash is saved, and the hash is signed, nothing else. */
CNF(step1, saved(M, T) | ~k(aenc(pk(sk), M, R)) | ~k(h(M)) | ~k(T))
CNF(step2, k(sig(sk, h(M))) | ~k(aenc(pk(sk), M, R)) | ~k(h(M)) | ~k(T))
/* Step 3: the client compares the hash; the times are under no signature. */
CNF(step3, accepted(m, T) | ~k(sig(sk, h(m))) | ~k(T))
/* A dictionary: who has the hash of a text tells it among guesses. */
CNF(guess, told(M) | ~k(h(M)))

#if defined GOAL_M
cnf(goal, negated_conjecture, (~k(m))).
#elif defined GOAL_GUESS
cnf(goal, negated_conjecture, (~told(m))).
#elif defined GOAL_FORGED_TEXT
cnf(goal, negated_conjecture, (~saved(own, own))).
#elif defined GOAL_FORGED_TIME
cnf(goal, negated_conjecture, (~accepted(m, own))).
#elif defined GOAL_ORACLE
cnf(goal, negated_conjecture, (~k(sig(sk, h(own))))).
#endif
