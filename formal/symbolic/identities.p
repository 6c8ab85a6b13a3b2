/* SPDX-License-Identifier: Apache-2.0 */
/* Renewal, succession and revocation of docs/protocol.md 3.1 as Horn clauses over what the broker, who is the attacker,
 * has: sig(key, label, of, version, predecessor, until), a signature over a descriptor or statement with these parts. The
 * owner has the keys a and, after them, b; own is the attacker's, k(key) what leaked to him. holds(key, version): at some
 * time the client has this descriptor. It never forgets one here, which can only give the attacker more. now(T): the
 * client looks while the grace time T runs. Of both keys the attacker gets signatures with any other label over anything
 * (steps, notices, registration). There are no functions, so that every question has an answer. */
#define CNF(name, clause) cnf(name, axiom, (clause)).
#ifdef KEYS_NOT_VOUCHED_FOR /* the old keys sign version and time, and not for whom */
#define VOUCHED(Old, New, V, T) sig(Old, successor, Whoever, V, Old, T)
#elif defined TIME_NOT_VOUCHED_FOR
#define VOUCHED(Old, New, V, T) sig(Old, successor, New, V, Old, Whenever)
#else
#define VOUCHED(Old, New, V, T) sig(Old, successor, New, V, Old, T)
#endif
#ifdef VERSION_NOT_JUDGED
#define NEWER(W, V) version(W)
#else
#define NEWER(W, V) newer(W, V)
#endif
#ifdef LABELS_NOT_SIGNED
#define OTHER L
#else
#define OTHER other
#endif
#ifndef START
#define START holds(a, v1)
#endif
#ifndef NOW
#define NOW today
#endif

/* ---------------------------------------------------------------- what the attacker has */
CNF(sign, sig(K, L, S, V, P, T) | ~k(K))
CNF(oracle_a, sig(a, OTHER, S, V, P, T))
CNF(oracle_b, sig(b, OTHER, S, V, P, T))
CNF(own, k(own))
#ifdef LEAK_OLD
CNF(leak_a, k(a))
#endif
#ifdef LEAK_NEW
CNF(leak_b, k(b))
#endif
CNF(version_1, version(v1)) CNF(version_2, version(v2)) CNF(version_3, version(v3)) CNF(version_4, version(v4))
CNF(newer_21, newer(v2, v1)) CNF(newer_31, newer(v3, v1)) CNF(newer_32, newer(v3, v2))
CNF(newer_41, newer(v4, v1)) CNF(newer_42, newer(v4, v2)) CNF(newer_43, newer(v4, v3))

/* ---------------------------------------------------------------- what the owner signs */
CNF(first, sig(a, descriptor, a, v1, none, none))
CNF(renewal, sig(a, descriptor, a, v2, none, none))
#ifndef NO_SUCCESSION
CNF(vouched, sig(a, successor, b, v3, a, today))
CNF(succession, sig(b, descriptor, b, v3, a, today))
#endif
#ifdef REVOKED
CNF(void, sig(REVOKED, revocation, REVOKED, none, none, none))
#endif

/* ---------------------------------------------------------------- what the client does */
CNF(start, START)
CNF(now, now(NOW))
CNF(renews, holds(K, W) | ~holds(K, V) | ~NEWER(W, V) | ~sig(K, descriptor, K, W, P, T))
CNF(follows, holds(N, W) | ~holds(O, V) | ~NEWER(W, V) | ~now(T) | ~VOUCHED(O, N, W, T) |
    ~sig(N, descriptor, N, W, O, T))
CNF(ends, ended(K) | ~holds(K, V) | ~sig(K, revocation, K, none, none, none))

#if defined GOAL_RENEWED
cnf(goal, negated_conjecture, (~holds(a, v2))).
#elif defined GOAL_FOLLOWED
cnf(goal, negated_conjecture, (~holds(b, v3))).
#elif defined GOAL_NEW
cnf(goal, negated_conjecture, (~holds(b, V))).
#elif defined GOAL_FOREIGN
cnf(goal, negated_conjecture, (~holds(own, V))).
#elif defined GOAL_OLD_KEYS
cnf(goal, negated_conjecture, (~holds(a, V))).
#elif defined GOAL_OLD_VERSION
cnf(goal, negated_conjecture, (~holds(a, v1))).
#elif defined GOAL_MADE_UP
cnf(goal, negated_conjecture, (~holds(K, v4))).
#elif defined GOAL_ENDED_OLD
cnf(goal, negated_conjecture, (~ended(a))).
#elif defined GOAL_ENDED_NEW
cnf(goal, negated_conjecture, (~ended(b))).
#endif
