/* SPDX-License-Identifier: Apache-2.0 */
/* The automata of docs/protocol.md: a client C, a broker B that it does not trust, a server S that may crash.
 *
 * Cryptography is perfect here (formal/symbolic is about that): a packet is a bit that says what it was made from. A
 * session is the pair (cid, ephemeral of S); as S answers a cid once per life, its life's number stands for the
 * ephemeral, and the pair stands for the transcript and all keys.
 *
 * B has two phases. While it is bad, all that was ever sent stays in the net: B delivers any of it, at any time, in any
 * order, any number of times or never, which is losing, doubling, delaying, reordering and replaying. Then it may turn
 * good: all under way is lost, and from there on what is sent arrives once, in any order. Timers fire at any time while
 * B is bad; later only when the net is empty, as timers are slow against a net that works.
 *
 * -DMUTANT_… breaks one rule each; formal/spin.sh shows that each is found. */

#ifndef CIDS
#define CIDS 3 /* handshakes; the last is kept for the good phase */
#endif
#ifndef LIVES
#define LIVES 3 /* of S: one crash less */
#endif
#define SEQS 2 /* records of a session */
#define MESSAGES 2

#define SESSION(cid, life) ((cid) * LIVES + (life))
#define RECORD(session, seq) ((session) * SEQS + (seq))
#define BIT(n) (1 << (n))
#define HAS(set, n) (((set) & BIT(n)) != 0)
#define ADD(set, n) set = set | BIT(n)
#define DEL(set, n) set = set & ~BIT(n)

mtype = { IDLE, WAIT2, WAIT_ACK, OPEN, ACK_DUE, JUDGED, COMMITTED, DELIVERED };

/* ---------------------------------------------------------------- the net: sets of packets */

int step0, step2, step3, ack, record, receipt, notice;
bool good;
#define QUIET ((step0 | step2 | step3 | ack | record | receipt | notice) == 0 && s_at == IDLE)
#define DONE (c_message == MESSAGES)
#define TIMER ((!good || QUIET) && !DONE)

/* ---------------------------------------------------------------- client */

mtype c_at = IDLE;
byte c_cids, c_session, c_repeats;
byte c_next;     /* number of the next record */
byte c_reserved; /* durable: numbers below may have been used */
byte c_message;  /* what is to be published; all before it are confirmed */
bool c_waits;    /* for a receipt */

/* ---------------------------------------------------------------- server */

mtype s_at = IDLE;   /* what it is in the middle of, with … */
byte s_subject;      /* … this session or record */
byte s_life;         /* its ephemerals */
int s_seen, s_waits; /* cids; in memory */
int s_open;          /* sessions; durable */
int s_window;        /* records; durable */

/* ---------------------------------------------------------------- what only the properties look at */

int confirmed_by_c; /* sessions for which C sent step 3 */
int opened_by_s;    /* sessions that S stored, ever */
int sealed;         /* records, ever */
int content;        /* of them: the message */
int delivered;      /* records */

/* ---------------------------------------------------------------- client: what it does by itself */

inline c_forget()
{
    c_at = IDLE;
    c_session = 0;
    c_repeats = 0;
    c_next = 0;
    c_reserved = 0;
    c_waits = false
}

inline c_start()
{
    assert(c_cids < CIDS); /* one handshake is enough once B is good */
    ADD(step0, c_cids);
    c_cids++;
    c_at = WAIT2
}

/* A record under the next number, which is reserved durably before it is used. */
inline c_seal()
{
#ifndef MUTANT_NUMBERS_NOT_RESERVED
    c_reserved = c_next + 1;
#endif
    assert(!HAS(sealed, RECORD(c_session, c_next))); /* no number seals two records */
    ADD(sealed, RECORD(c_session, c_next));
    if
    :: c_message == 1 -> ADD(content, RECORD(c_session, c_next))
    :: else
    fi;
    ADD(record, RECORD(c_session, c_next));
    c_next++;
    c_waits = true
}

#ifdef NATIVE /* records may follow step 3 at once */
#define MAY_SEAL (c_at == OPEN || (c_at == WAIT_ACK && !good))
#else /* in the tunnel C waits for the acknowledgement */
#define MAY_SEAL (c_at == OPEN)
#endif
#ifdef MUTANT_STEP3_NOT_REPEATED
#define REPEATS 0
#else
#define REPEATS 2
#endif

active proctype client()
{
    do
    :: DONE -> break
    :: atomic { c_at == IDLE && TIMER && (good || c_cids < CIDS - 1) -> c_start() }
    /* The timer of step 2 ends, or RETRY makes C start again, or C restarts without storage. */
    :: atomic { c_at != IDLE && !good -> c_forget() }
    :: atomic { c_at == WAIT2 && good && TIMER -> c_forget() }
    :: atomic { c_at == WAIT_ACK && good && TIMER && c_repeats < REPEATS -> ADD(step3, c_session); c_repeats++ }
    :: atomic { c_at == WAIT_ACK && good && TIMER && c_repeats == REPEATS ->
        /* What S holds open is not given up while B delivers. */
        assert(!HAS(s_open, c_session));
        assert(!HAS(s_waits, c_session / LIVES) || c_session % LIVES != s_life);
        c_forget() }
    :: atomic { MAY_SEAL && TIMER && !c_waits && c_next < SEQS -> c_seal() }
#ifndef MUTANT_NOT_SEALED_AGAIN
    :: atomic { MAY_SEAL && TIMER && c_waits -> c_waits = false } /* no receipt came: it is sealed again */
#endif
    :: atomic { c_at == OPEN && TIMER && !c_waits && c_next == SEQS -> c_forget() } /* new keys */
    :: atomic { c_at == OPEN && !good -> c_next = c_reserved; c_waits = false } /* it restarts with its storage */
    od
}

/* ---------------------------------------------------------------- client: what it receives */

inline c_take_step2(cid, life)
{
    if
    :: c_at == WAIT2 && c_cids == cid + 1 ->
        c_session = SESSION(cid, life);
        ADD(confirmed_by_c, c_session);
        ADD(step3, c_session);
        c_at = WAIT_ACK
    :: else
    fi
}

inline c_take_ack(session)
{
    if
    :: c_at == WAIT_ACK && c_session == session ->
        assert(HAS(opened_by_s, session)); /* both have these keys, and a crash of S takes them from neither */
        c_at = OPEN;
        c_repeats = 0
    :: else
    fi
}

inline c_take_receipt(session, seq)
{
    if
    :: (c_at == OPEN || c_at == WAIT_ACK) && c_session == session &&
       HAS(content, RECORD(session, seq)) == c_message && c_message < MESSAGES ->
        assert(HAS(delivered, RECORD(session, seq))); /* confirmed: then it was delivered */
        c_message++;
        c_waits = false
    :: else
    fi
}

inline c_take_notice(session)
{
    if
    :: (c_at == OPEN || c_at == WAIT_ACK) && c_session == session -> c_forget()
    :: else
    fi
}

/* ---------------------------------------------------------------- server: what it receives */

inline s_take_step0(cid)
{
    if
    :: !HAS(s_seen, cid) ->
        ADD(s_seen, cid);
        ADD(s_waits, cid);
        ADD(step2, SESSION(cid, s_life))
    :: HAS(s_seen, cid) && HAS(s_waits, cid) -> ADD(step2, SESSION(cid, s_life)) /* the stored answer */
    :: else
    fi
}

#ifdef MUTANT_STEP3_NOT_BOUND
#define VERIFIES(life) true
#else
#define VERIFIES(life) ((life) == s_life)
#endif

inline s_take_step3(cid, life)
{
    if
    :: HAS(s_open, SESSION(cid, life)) -> ADD(ack, SESSION(cid, life)) /* the stored acknowledgement */
    :: !HAS(s_open, SESSION(cid, life)) && HAS(s_waits, cid) && VERIFIES(life) ->
        DEL(s_waits, cid);
        s_subject = SESSION(cid, s_life);
        assert(HAS(confirmed_by_c, s_subject)); /* C has these keys */
#ifdef MUTANT_ACK_BEFORE_STORE
        ADD(ack, s_subject);
#else
        ADD(s_open, s_subject);
        ADD(opened_by_s, s_subject);
#endif
        s_at = ACK_DUE
    :: else
    fi
}

#ifdef MUTANT_NO_DEDUPE
#define IS_REPLAY(n) false
#else
#define IS_REPLAY(n) HAS(s_window, n)
#endif

inline s_take_record(session, seq)
{
    if
    :: !HAS(s_open, session) -> ADD(notice, session)
    :: HAS(s_open, session) && !IS_REPLAY(RECORD(session, seq)) ->
        s_subject = RECORD(session, seq);
        s_at = JUDGED
    :: else
#ifdef MUTANT_RECEIPT_FOR_REPLAY
        -> ADD(receipt, RECORD(session, seq))
#endif
    fi
}

/* ---------------------------------------------------------------- server: what it does by itself */

inline s_deliver()
{
    assert(HAS(s_window, s_subject));   /* its window is committed */
    assert(!HAS(delivered, s_subject)); /* never twice */
    ADD(delivered, s_subject)
}

inline s_idle()
{
    s_subject = 0;
    s_at = IDLE
}

/* A crash between any two of these steps. */
inline s_crash()
{
    s_idle();
    s_seen = 0;
    s_waits = 0;
    s_life++;
#ifdef MUTANT_WINDOW_IN_MEMORY
    s_window = 0
#endif
}

active proctype server()
{
    do
    :: DONE -> break
    :: atomic { s_at == ACK_DUE ->
#ifdef MUTANT_ACK_BEFORE_STORE
        ADD(s_open, s_subject);
        ADD(opened_by_s, s_subject);
#else
        ADD(ack, s_subject);
#endif
        s_idle() }
#ifdef MUTANT_COMMIT_AFTER_DELIVERY
    :: atomic { s_at == JUDGED -> s_deliver(); s_at = COMMITTED }
    :: atomic { s_at == COMMITTED -> ADD(s_window, s_subject); s_at = DELIVERED }
#else
    :: atomic { s_at == JUDGED -> ADD(s_window, s_subject); s_at = COMMITTED }
#ifdef MUTANT_RECEIPT_BEFORE_DELIVERY
    :: atomic { s_at == COMMITTED -> ADD(receipt, s_subject); s_at = DELIVERED }
    :: atomic { s_at == DELIVERED -> s_deliver(); s_idle() }
#else
    :: atomic { s_at == COMMITTED -> s_deliver(); s_at = DELIVERED }
#endif
#endif
#ifndef MUTANT_RECEIPT_BEFORE_DELIVERY
    :: atomic { s_at == DELIVERED -> ADD(receipt, s_subject); s_idle() }
#endif
    :: atomic { !good && s_waits != 0 -> s_waits = 0 } /* step 3 did not come in time */
    :: atomic { !good && s_life < LIVES - 1 -> s_crash() }
    :: atomic { !good && s_life < LIVES - 1 -> s_crash(); s_open = 0; s_window = 0 } /* and its storage is lost */
    od
}

/* ---------------------------------------------------------------- broker */

#define ARRIVES(set, n) if :: good -> DEL(set, n) :: else fi
#define TO_S(set, n, take) :: atomic { s_at == IDLE && HAS(set, n) -> ARRIVES(set, n); take }
#define TO_C(set, n, take) :: atomic { HAS(set, n) -> ARRIVES(set, n); take }

#define OF_RECORD(cid, life, seq) \
    TO_S(record, RECORD(SESSION(cid, life), seq), s_take_record(SESSION(cid, life), seq)) \
    TO_C(receipt, RECORD(SESSION(cid, life), seq), c_take_receipt(SESSION(cid, life), seq))
#define OF_SESSION(cid, life) \
    TO_C(step2, SESSION(cid, life), c_take_step2(cid, life)) \
    TO_S(step3, SESSION(cid, life), s_take_step3(cid, life)) \
    TO_C(ack, SESSION(cid, life), c_take_ack(SESSION(cid, life))) \
    TO_C(notice, SESSION(cid, life), c_take_notice(SESSION(cid, life))) \
    OF_RECORD(cid, life, 0) OF_RECORD(cid, life, 1)
#if LIVES == 2
#define OF_CID(cid) TO_S(step0, cid, s_take_step0(cid)) OF_SESSION(cid, 0) OF_SESSION(cid, 1)
#else
#define OF_CID(cid) TO_S(step0, cid, s_take_step0(cid)) OF_SESSION(cid, 0) OF_SESSION(cid, 1) OF_SESSION(cid, 2)
#endif

active proctype broker()
{
    do
    :: DONE -> break
    OF_CID(0)
    OF_CID(1)
#if CIDS > 2
    OF_CID(2)
#endif
    :: atomic { !good ->
        step0 = 0; step2 = 0; step3 = 0; ack = 0; record = 0; receipt = 0; notice = 0;
        good = true }
    od
}

/* Once B delivers, all that C wants to publish is confirmed, without a new handshake more than there are. */
ltl progress { [] (good -> <> DONE) }
