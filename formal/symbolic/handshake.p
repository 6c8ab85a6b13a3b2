/* SPDX-License-Identifier: Apache-2.0 */
/* Steps 0 to 3 of docs/protocol.md and the first records of both ways, as Horn clauses over what the broker, who is
 * the attacker, knows: k(term). Unbounded sessions; the names of an honest side are the same in all of them, which can
 * only give the attacker more. The attacker knows every transcript, header and label, so aead, sig, hk, hx and expd
 * take any. A saturated set (Satisfiable) proves that the goal is out of reach, a refutation (Unsatisfiable) is an
 * attack.
 *
 * Keys: s, ssk of the server, csk of the honest client C, own of the attacker, who is a client and a server as well.
 * One of GOAL_* is defined, of the leaks any. S_CID, S_CP, S_M: the server answers only step 0 with this cid, client
 * or text; if C then never accepts, it agrees with the server on that part. TH2 and TH3 stand for the hashes of what
 * they hold. */
#ifndef S_CID
#define S_CID Cid
#endif
#ifndef S_CP
#define S_CP CP
#endif
#ifndef S_M
#define S_M M
#endif
#define CNF(name, clause) cnf(name, axiom, (clause)).
#define KEM_HDR(Cid, R1) hdr(Cid, kenc(kpk(s), R1))
#define Z1(R1) kss(kpk(s), R1)
#define PT1(X, CP, M) pt1(X, CP, M)
#define CT1(Cid, R1, X, CP, M) aead(hk(Z1(R1), KEM_HDR(Cid, R1)), KEM_HDR(Cid, R1), PT1(X, CP, M))
#define TH1(Cid, R1, X, CP, M) th1(Cid, R1, X, CP, M)
#define HS(Cid, R1, X, CP, M, R2) \
    mix(hx(Z1(R1), KEM_HDR(Cid, R1)), hx(kss(X, R2), TH1(Cid, R1, X, CP, M)))
#define TH2(Cid, R1, X, CP, M, R2) th2(TH1(Cid, R1, X, CP, M), kenc(X, R2))
#define SIG2(T2, CP, Ts, Hm) sig(ssk, step2(T2, CP, Ts, Hm))
#define CT2(H, T2, CP, Ts, Hm) aead(expd(H, s_hs), T2, pt2(Ts, Hm, SIG2(T2, CP, Ts, Hm)))
#define TH3(T2, Ts, Hm) th3(T2, Ts, Hm)
#ifdef STEP3_NAMES_NO_SERVER
#define CT3(H, T3, K) aead(expd(H, c_hs), T3, pt3(sig(K, step3(T3, spk(own)))))
#else
#define CT3(H, T3, K) aead(expd(H, c_hs), T3, pt3(sig(K, step3(T3, spk(ssk)))))
#endif
#define MS(H, T3) expd(H, ms(T3))

/* ---------------------------------------------------------------- what the attacker can do */
CNF(kpk, k(kpk(S)) | ~k(S))
CNF(spk, k(spk(S)) | ~k(S))
CNF(kenc, k(kenc(P, R)) | ~k(P) | ~k(R))
CNF(kss, k(kss(P, R)) | ~k(P) | ~k(R))
CNF(kdec, k(kss(kpk(S), R)) | ~k(kenc(kpk(S), R)) | ~k(S))
CNF(hk, k(hk(Z, I)) | ~k(Z))
CNF(hx, k(hx(Z, I)) | ~k(Z))
CNF(mix, k(mix(A, B)) | ~k(A) | ~k(B))
CNF(expd, k(expd(K, L)) | ~k(K))
CNF(seal, k(aead(K, A, P)) | ~k(K) | ~k(P))
CNF(open, k(P) | ~k(aead(K, A, P)) | ~k(K))
CNF(sign, k(sig(K, M)) | ~k(K))
CNF(hash, k(h(M)) | ~k(M))
CNF(pt1, k(pt1(X, C, M)) | ~k(X) | ~k(C) | ~k(M))
CNF(pt1_1, k(X) | ~k(pt1(X, C, M)))
CNF(pt1_2, k(C) | ~k(pt1(X, C, M)))
CNF(pt1_3, k(M) | ~k(pt1(X, C, M)))
CNF(pt2, k(pt2(T, H, G)) | ~k(T) | ~k(H) | ~k(G))
CNF(pt2_2, k(H) | ~k(pt2(T, H, G)))
CNF(pt2_3, k(G) | ~k(pt2(T, H, G)))
CNF(pt3, k(pt3(G)) | ~k(G))
CNF(pt3_1, k(G) | ~k(pt3(G)))
CNF(own, k(own))
CNF(public_s, k(kpk(s)))
CNF(public_ssk, k(spk(ssk)))
CNF(public_csk, k(spk(csk)))
CNF(ts2, k(ts2))
CNF(cid, k(cid))

/* ---------------------------------------------------------------- leaks */
#ifdef LEAK_KEM
CNF(leak_s, k(s))
#endif
#ifdef LEAK_SIG
CNF(leak_ssk, k(ssk))
#endif
#ifdef LEAK_CLIENT
CNF(leak_csk, k(csk))
#endif

#ifdef PASSIVE
/* ---------------------------------------------------------------- one honest run, listened to; then all keys leak */
#define P_HS HS(cid, r1, kpk(x), spk(csk), m, r2)
#define P_TH2 TH2(cid, r1, kpk(x), spk(csk), m, r2)
#define P_TH3 TH3(P_TH2, ts2, h(m))
CNF(p_enc1, k(kenc(kpk(s), r1)))
CNF(p_ct1, k(CT1(cid, r1, kpk(x), spk(csk), m)))
CNF(p_enc2, k(kenc(kpk(x), r2)))
CNF(p_ct2, k(CT2(P_HS, P_TH2, spk(csk), ts2, h(m))))
CNF(p_ct3, k(CT3(P_HS, P_TH3, csk)))
CNF(p_c2s, k(aead(expd(MS(P_HS, P_TH3), c2s), cid, n)))
CNF(p_s2c, k(aead(expd(MS(P_HS, P_TH3), s2c), cid, p)))
#ifdef LEAK_EPHEMERAL
CNF(p_x, k(x))
#endif
#else
/* ---------------------------------------------------------------- the honest client: its names are cid r1 x m n */
#define C_HS HS(cid, r1, kpk(x), spk(csk), m, R2)
#define C_TH2 TH2(cid, r1, kpk(x), spk(csk), m, R2)
#define C_TH3 TH3(C_TH2, Ts, h(m))
CNF(c_step0_enc, k(kenc(kpk(s), r1)))
CNF(c_step0, k(CT1(cid, r1, kpk(x), spk(csk), m)))
#ifdef UNSIGNED_STEP2
#define C_STEP2 ~k(kenc(kpk(x), R2)) | ~k(aead(expd(C_HS, s_hs), C_TH2, pt2(Ts, h(m), G)))
#else
#define C_STEP2 ~k(kenc(kpk(x), R2)) | ~k(CT2(C_HS, C_TH2, spk(csk), Ts, h(m)))
#endif
#ifndef NO_CLIENT_CONFIRMS
CNF(c_step3, k(CT3(C_HS, C_TH3, csk)) | C_STEP2)
CNF(c_record, k(aead(expd(MS(C_HS, C_TH3), c2s), cid, n)) | C_STEP2)
#endif
CNF(c_done, c_done | C_STEP2)
/* It also speaks with the attacker's server, over whatever transcript he likes. */
CNF(c_elsewhere, k(sig(csk, step3(T3, spk(own)))))

/* ---------------------------------------------------------------- the server: its names are r2 ts2 p */
#define S_HS HS(S_CID, R1, X, S_CP, S_M, r2)
#define S_TH2 TH2(S_CID, R1, X, S_CP, S_M, r2)
#define S_STEP0 ~k(kenc(kpk(s), R1)) | ~k(CT1(S_CID, R1, X, S_CP, S_M))
#ifndef NO_SERVER
CNF(s_step2_enc, k(kenc(X, r2)) | S_STEP0)
CNF(s_step2, k(CT2(S_HS, S_TH2, S_CP, ts2, h(S_M))) | S_STEP0)
#define SH_HS HS(Cid, R1, X, spk(csk), M, r2)
#define SH_TH3 TH3(TH2(Cid, R1, X, spk(csk), M, r2), ts2, h(M))
#define SH_STEP0 ~k(kenc(kpk(s), R1)) | ~k(CT1(Cid, R1, X, spk(csk), M))
#ifdef UNSIGNED_STEP3
#define SH_STEP3 ~k(aead(expd(SH_HS, c_hs), SH_TH3, pt3(G)))
#else
#define SH_STEP3 ~k(CT3(SH_HS, SH_TH3, csk))
#endif
CNF(s_record, k(aead(expd(MS(SH_HS, SH_TH3), s2c), Cid, p)) | SH_STEP0 | SH_STEP3)
CNF(s_done, s_done | SH_STEP0 | SH_STEP3)
#endif
#endif

/* ---------------------------------------------------------------- goals of the attacker */
#if defined GOAL_C_RECORD
cnf(goal, negated_conjecture, (~k(n))).
#elif defined GOAL_S_RECORD
cnf(goal, negated_conjecture, (~k(p))).
#elif defined GOAL_M
cnf(goal, negated_conjecture, (~k(m))).
#elif defined GOAL_C_DONE
cnf(goal, negated_conjecture, (~c_done)).
#elif defined GOAL_S_DONE
cnf(goal, negated_conjecture, (~s_done)).
#endif
