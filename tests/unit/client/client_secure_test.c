/* SPDX-License-Identifier: Apache-2.0 */
/* What the client does for sealer and opener, which are fakes here: it never sends in plain what was to be sealed,
 * keeps a message until its receipt, and hands out what the opener has without touching the bytes beneath it. */
#include "rig.h"

#include <stdio.h>

#include "fake_endpoints.h"

static struct smqtt_sealer sealer;
static struct smqtt_opener opener;
static const struct smqtt_publish_options with_receipt = {.qos = 1, .receipt = true, .text = true};

static struct rig *start_sealer(bool native)
{
    struct rig *r = rig_new(SMQTT_V5);
    memset(&sealer, 0, sizeof(sealer));
    r->announces = native;
    rig_make(r);
    assert_int_equal(smqtt_client_attach_sealer(r->c, &sealer), SMQTT_OK);
    assert_int_equal(smqtt_client_attach_sealer(r->c, &sealer), SMQTT_E_USAGE);
    smqtt_client_set_path(r->c, SMQTT_PATH_NATIVE);
    rig_connect(r, false);
    assert_int_equal(smqtt_client_attach_opener(r->c, &opener), SMQTT_E_USAGE); /* too late */
    if (native) {
        rig_no_event(r);
    }
    return r;
}

static struct rig *start_opener(void)
{
    struct rig *r = rig_new(SMQTT_V5);
    memset(&opener, 0, sizeof(opener));
    rig_make(r);
    assert_int_equal(smqtt_client_attach_opener(r->c, &opener), SMQTT_OK);
    r->announces = true;
    rig_connect(r, false);
    assert_int_equal(opener.connected, 1);
    assert_false(opener.tunnel);
    return r;
}

static uint64_t seal(struct rig *r, const char *payload)
{
    uint64_t token = 0;
    assert_int_equal(
        smqtt_client_publish_sealed(r->c, smq_span_str("t"), smq_span_str(payload), &with_receipt, &token, r->now),
        SMQTT_OK);
    return token;
}

static void sealer_says(struct smqtt_secure_event ev)
{
    fake_push(&sealer.events, ev);
}

static void session_opens(struct rig *r)
{
    sealer.open = true;
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_OPEN, .confirmed = true});
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SECURE).secure.type, SMQTT_EV_OPEN);
    rig_silent(r); /* there may be more to tell, as step 3, which goes first */
    rig_no_event(r);
}

static uint16_t take_record(struct rig *r, const char *record)
{
    struct smq_packet pkt = rig_take(r, SMQ_PUBLISH);
    assert_span(pkt.publish.payload, record);
    return pkt.publish.id;
}

static void not_native_test(void **state)
{
    (void)state;
    struct rig *r = start_sealer(false);
    struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_SECURE);
    assert_int_equal(event.secure.type, SMQTT_EV_CLOSED);
    assert_int_equal(event.secure.err, SMQTT_E_REFUSED);
    seal(r, "secret");
    rig_wait(r, 100000);
    rig_no_event(r);
    rig_silent(r);
    assert_int_equal(sealer.started, 0);
    rig_end(r);
    assert_int_equal(sealer.freed, 1);
}

/** protocol.md 9.6: without an announcement DETECT is a PUBLISH, and goes before what waits. */
static void tunnel_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    memset(&sealer, 0, sizeof(sealer));
    rig_make(r);
    assert_int_equal(smqtt_client_attach_sealer(r->c, &sealer), SMQTT_OK);
    rig_connect(r, false);
    rig_no_event(r);
    assert_true(sealer.tunnel);
    uint64_t token = seal(r, "secret");
    assert_int_equal(sealer.started, 1);
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_SUBSCRIBE, .topic = smq_span_str("own/1")});
    sealer_says((struct smqtt_secure_event){
        .type = SMQTT_EV_DETECT, .header = 0x01, .topic = smq_span_str("c/1"), .bytes = smq_span_str("step0")});
    rig_no_event(r);
    rig_take(r, SMQ_SUBSCRIBE);
    struct smq_packet pkt = rig_take(r, SMQ_PUBLISH);
    assert_span(pkt.publish.topic, "c/1");
    assert_span(pkt.publish.payload, "\001step0");
    assert_int_equal(pkt.publish.qos, 1);
    assert_false(pkt.publish.retain);
    rig_give(r, rig_ack(SMQ_PUBACK, pkt.publish.id, 0));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_PUBLISHED).token, 0); /* its own affair */
    session_opens(r);
    rig_give(r, rig_ack(SMQ_PUBACK, take_record(r, "001:secret"), 0));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_PUBLISHED).token, token);
    rig_break(r);
    r->announces = true; /* another broker: natively, as it says */
    rig_connect(r, false);
    assert_false(sealer.tunnel);
    rig_end(r);
}

/** Whom a message is for, of two servers: by the kid of its record; the first one gets what none knows. */
static void two_openers_test(void **state)
{
    (void)state;
    static struct smqtt_opener old;
    struct rig *r = rig_new(SMQTT_V5);
    memset(&opener, 0, sizeof(opener));
    memset(&old, 0, sizeof(old));
    old.kid = 0x61626364;
    rig_make(r);
    assert_int_equal(smqtt_client_attach_opener(r->c, &opener), SMQTT_OK);
    assert_int_equal(smqtt_client_attach_opener(r->c, &old), SMQTT_OK);
    rig_connect(r, false);
    assert_true(opener.tunnel && old.tunnel);
    static const char for_old[] = "\x80"
                                  "abcd"
                                  "\0"
                                  "0123456789abcdefgh";
    static const char for_none[] = "\x80"
                                   "xxxx"
                                   "\0"
                                   "0123456789abcdefgh";
    struct smq_packet pkt = rig_publish(0, 0, "t", "");
    pkt.publish.payload = smq_span_of(for_old, sizeof(for_old) - 1);
    rig_give(r, pkt);
    assert_int_equal(rig_event(r, SMQTT_CLIENT_MESSAGE).payload.data[1], 'a');
    pkt.publish.payload = smq_span_of(for_none, sizeof(for_none) - 1);
    rig_give(r, pkt);
    assert_int_equal(rig_event(r, SMQTT_CLIENT_MESSAGE).payload.data[1], 'x');
    assert_int_equal(old.messages, 1);
    assert_int_equal(opener.messages, 1);
    rig_end(r);
}

static void announced_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    memset(&sealer, 0, sizeof(sealer));
    r->announces = true;
    rig_make(r);
    assert_int_equal(smqtt_client_attach_sealer(r->c, &sealer), SMQTT_OK);
    rig_connect(r, false);
    assert_true(r->c->native && !r->c->tunnel && !sealer.tunnel);
    rig_break(r);
    smqtt_client_set_path(r->c, SMQTT_PATH_TUNNEL); /* the user knows better */
    rig_connect(r, false);
    assert_true(!r->c->native && r->c->tunnel && sealer.tunnel);
    rig_end(r);
}

static void sealed_to_receipt_test(void **state)
{
    (void)state;
    struct rig *r = start_sealer(true);
    uint64_t token = seal(r, "secret");
    assert_int_equal(sealer.started, 1);
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_SUBSCRIBE, .topic = smq_span_str("own/1")});
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_SUBSCRIBE, .topic = smq_span_str("own/1")});
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_DETECT, .header = 0x01, .bytes = smq_span_str("step0")});
    rig_no_event(r);
    struct smq_packet pkt = rig_take(r, SMQ_SUBSCRIBE); /* once */
    rig_give(r, rig_suback(SMQ_SUBACK, pkt.subscribe.id, "\x01", 1));
    rig_no_event(r); /* its own affair */
    pkt = rig_take(r, SMQ_DETECT);
    assert_int_equal(pkt.detect.header, 0x01);
    assert_span(pkt.detect.body, "step0");
    rig_silent(r);
    rig_give(r, rig_detect(0x0C, "step2"));
    rig_no_event(r);
    assert_int_equal(sealer.detects, 1);
    session_opens(r);
    uint16_t id = take_record(r, "001:secret");
    assert_int_equal(smqtt_client_unfinished(r->c), 1); /* message and record are one */
    rig_give(r, rig_ack(SMQ_PUBACK, id, 0));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_PUBLISHED).token, token);
    assert_int_equal(smqtt_client_unfinished(r->c), 1); /* not confirmed yet */
    rig_give(r, rig_publish(0, 0, "own/1", "receipt"));
    rig_no_event(r);
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_RECEIPT, .kid = 1, .seq = 1, .flag = 1});
    struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_SECURE);
    assert_int_equal(event.token, token);
    assert_int_equal(smqtt_client_unfinished(r->c), 0);
    rig_give(r, rig_publish(0, 0, "not/own", "plain"));
    assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).payload, "plain");
    rig_break(r);
    rig_connect(r, false);
    rig_take(r, SMQ_SUBSCRIBE); /* the broker has forgotten it */
    assert_int_equal(sealer.connected, 2);
    rig_break(r);
    rig_connect(r, true);
    pkt = rig_take(r, SMQ_SUBSCRIBE); /* nobody knows whether that came through */
    rig_give(r, rig_suback(SMQ_SUBACK, pkt.subscribe.id, "\x01", 1));
    rig_no_event(r);
    rig_break(r);
    rig_connect(r, true);
    rig_silent(r);
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_UNSUBSCRIBE, .topic = smq_span_str("own/1")});
    rig_no_event(r);
    rig_take(r, SMQ_UNSUBSCRIBE);
    rig_break(r);
    rig_connect(r, true);
    pkt = rig_take(r, SMQ_UNSUBSCRIBE);
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_SUBSCRIBE, .topic = smq_span_str("own/1")});
    rig_no_event(r);
    rig_silent(r); /* one question at a time */
    rig_give(r, rig_suback(SMQ_UNSUBACK, pkt.subscribe.id, "\x00", 1));
    rig_no_event(r);
    rig_take(r, SMQ_SUBSCRIBE);
    rig_end(r);
}

static void sealed_anew_test(void **state)
{
    (void)state;
    struct rig *r = start_sealer(true);
    uint64_t token = seal(r, "a");
    session_opens(r);
    rig_give(r, rig_ack(SMQ_PUBACK, take_record(r, "001:a"), 0));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_PUBLISHED).token, token);
    sealer.open = false;
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_LOST});
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SECURE).secure.type, SMQTT_EV_LOST);
    rig_no_event(r);
    assert_int_equal(sealer.started, 2); /* at the first message, and at the loss */
    rig_silent(r);
    session_opens(r);
    rig_give(r, rig_ack(SMQ_PUBACK, take_record(r, "002:a"), 0));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_PUBLISHED).token, token);
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_RECEIPT, .kid = 1, .seq = 1, .flag = 1});
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SECURE).token, 0); /* of the record that was given up */
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_RECEIPT, .kid = 1, .seq = 2, .flag = 1});
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SECURE).token, token);
    rig_end(r);
}

/** Nobody confirms these but the broker: none is sealed before it can leave, so that a loss of the session costs none
 * that waits, and all count until the broker has them. */
static void sealed_without_receipt_test(void **state)
{
    (void)state;
    static const struct smqtt_publish_options bare = {.qos = 1, .text = true};
    static const char *const texts[] = {"a", "b", "c"};
    static const char *const records[] = {"001:a", "002:b", "003:c"};
    struct rig *r = start_sealer(true);
    uint64_t tokens[3];
    r->c->send_max = 1;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            smqtt_client_publish_sealed(r->c, smq_span_str("t"), smq_span_str(texts[i]), &bare, &tokens[i], r->now),
            SMQTT_OK);
    }
    session_opens(r);
    uint16_t id = take_record(r, records[0]);
    rig_silent(r);
    assert_int_equal(smqtt_client_unfinished(r->c), 3);
    sealer.open = false;
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_LOST});
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SECURE).secure.type, SMQTT_EV_LOST);
    rig_no_event(r);
    session_opens(r);
    rig_silent(r);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(smqtt_client_unfinished(r->c), 3 - i);
        rig_give(r, rig_ack(SMQ_PUBACK, id, 0));
        assert_int_equal(rig_event(r, SMQTT_CLIENT_PUBLISHED).token, tokens[i]);
        rig_no_event(r);
        id = i < 2 ? take_record(r, records[i + 1]) : 0;
    }
    assert_int_equal(smqtt_client_unfinished(r->c), 0);
    rig_silent(r);
    rig_end(r);
}

/** Records may be sealed as soon as step 2 came, but step 3 leaves before them. */
static void step_3_before_records_test(void **state)
{
    (void)state;
    struct rig *r = start_sealer(true);
    seal(r, "a");
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_STEP});
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_DETECT, .header = 0x0F, .bytes = smq_span_str("step3")});
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_OPEN});
    sealer.open = true;
    rig_give(r, rig_detect(0x0C, "step2"));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SECURE).secure.type, SMQTT_EV_STEP);
    seal(r, "b");
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SECURE).secure.type, SMQTT_EV_OPEN);
    rig_no_event(r);
    assert_int_equal(rig_take(r, SMQ_DETECT).detect.header, 0x0F);
    take_record(r, "001:a");
    take_record(r, "002:b");
    rig_end(r);
}

static void given_up_test(void **state)
{
    (void)state;
    struct rig *r = start_sealer(true);
    uint64_t bad = seal(r, "bad");
    uint64_t good = seal(r, "good");
    sealer_says(
        (struct smqtt_secure_event){.type = SMQTT_EV_CLOSED, .err = SMQTT_E_MOJIBAKE, .status = SMQTT_STATUS_MOJIBAKE});
    struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_SECURE);
    assert_int_equal(event.token, bad);
    assert_int_equal(event.err, SMQTT_E_MOJIBAKE);
    assert_int_equal(sealer.started, 1); /* the next one after a pause */
    assert_true(smqtt_client_deadline(r->c) == r->now.mono + CLIENT_RETRY_MS);
    rig_wait(r, CLIENT_RETRY_MS);
    rig_no_event(r);
    assert_int_equal(sealer.started, 2);
    session_opens(r);
    take_record(r, "001:good");
    rig_silent(r); /* "bad" never left */
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_RECEIPT, .kid = 1, .seq = 1});
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SECURE).token, good);
    rig_end(r);
}

/** A session with keys that others have followed: nothing is lost with it, and nobody hears of attempts in between. */
static void followed_test(void **state)
{
    (void)state;
    struct rig *r = start_sealer(true);
    uint64_t a = seal(r, "a");
    session_opens(r);
    rig_give(r, rig_ack(SMQ_PUBACK, take_record(r, "001:a"), 0));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_PUBLISHED).token, a);
    sealer.superseded = true;
    uint64_t b = seal(r, "b");
    rig_no_event(r);
    rig_silent(r); /* the receipt comes first */
    assert_int_equal(sealer.started, 1);
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_RECEIPT, .kid = 1, .seq = 1, .flag = 1});
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SECURE).token, a);
    rig_no_event(r);
    assert_int_equal(sealer.started, 2);
    /* The attempt fails: the old session serves, and the next message after a pause tries again. */
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_CLOSED, .err = SMQTT_E_DELAY});
    rig_no_event(r);
    rig_give(r, rig_ack(SMQ_PUBACK, take_record(r, "002:b"), 0));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_PUBLISHED).token, b);
    rig_wait(r, CLIENT_RETRY_MS);
    seal(r, "c");
    rig_no_event(r);
    assert_int_equal(sealer.started, 2);
    rig_wait(r, CLIENT_FOLLOW_MS); /* the receipt of b does not come */
    rig_no_event(r);
    assert_int_equal(sealer.started, 3);
    sealer.superseded = false;
    session_opens(r);
    take_record(r, "003:b");
    take_record(r, "004:c");
    rig_silent(r);
    rig_end(r);
}

/** After the grace time nothing is sealed for the old keys: nobody would take it. */
static void followed_too_late_test(void **state)
{
    (void)state;
    struct rig *r = start_sealer(true);
    sealer.open = sealer.superseded = sealer.over = true;
    uint64_t a = seal(r, "a");
    uint64_t b = seal(r, "b");
    assert_int_equal(sealer.started, 1);
    sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_CLOSED, .err = SMQTT_E_DELAY});
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SECURE).token, a);
    rig_no_event(r);
    rig_silent(r);
    assert_true(smqtt_client_deadline(r->c) == r->now.mono + CLIENT_RETRY_MS);
    rig_wait(r, CLIENT_RETRY_MS);
    rig_no_event(r);
    assert_int_equal(sealer.started, 2);
    sealer.superseded = sealer.over = false;
    session_opens(r);
    take_record(r, "001:b");
    rig_silent(r);
    (void)b;
    rig_end(r);
}

static void fail_closed_test(void **state)
{
    (void)state;
    struct rig *r = start_sealer(true);
    sealer.plain_err = SMQTT_E_PLAINTEXT;
    smq_span t = smq_span_str("t");
    assert_int_equal(smqtt_client_publish(r->c, t, t, NULL, NULL, r->now), SMQTT_E_PLAINTEXT);
    struct smqtt_publish_options retained = {.retain = true};
    assert_int_equal(smqtt_client_publish_sealed(r->c, t, t, &retained, NULL, r->now), SMQTT_E_USAGE);
    assert_int_equal(smqtt_client_publish_sealed(r->c, t, smq_span_str("\xFF"), &with_receipt, NULL, r->now),
                     SMQTT_E_BAD_TEXT);
    assert_int_equal(smqtt_client_publish_sealed(r->c, smq_span_str("#"), t, NULL, NULL, r->now), SMQTT_E_BAD_TOPIC);
    sealer.open = true;
    sealer.seal_err = SMQTT_E_BUSY; /* half a window without receipt: wait */
    seal(r, "later");
    rig_silent(r);
    sealer.seal_err = SMQTT_OK;
    rig_wait(r, 1);
    rig_no_event(r);
    take_record(r, "001:later");
    sealer.seal_err = SMQTT_E_IO; /* numbers cannot be reserved: nothing may go out */
    assert_int_equal(smqtt_client_publish_sealed(r->c, t, t, NULL, NULL, r->now), SMQTT_OK);
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_IO);
    assert_int_equal(rig_take(r, SMQ_DISCONNECT).reasoned.reason, 0x80);
    rig_silent(r);
    rig_end(r);
}

static void detect_without_endpoint_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_start(r);
    rig_give(r, rig_detect(0x0C, "x"));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_PROTOCOL);
    rig_end(r);
    r = start_sealer(true);
    rig_give(r, rig_detect(0x03, "x")); /* for a server, which this is not */
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_PROTOCOL);
    rig_end(r);
}

/** Messages of which each tells its own number, cut into pieces, with feeds between events. */
static void opener_cuts(size_t step)
{
    struct rig *r = start_opener();
    r->held = true;
    enum { N = 100 };
    for (unsigned i = 0; i < N; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%s%03u", i % 7 == 0 ? "!" : "m", i);
        rig_give(r, rig_publish((uint8_t)(i % 2), (uint16_t)(i + 1), "t", text));
        if (i % 10 == 9) {
            rig_give(r, rig_detect(0x03, "step0"));
        }
    }
    r->held = false;
    unsigned seen = 0;
    size_t at = 0;
    while (seen < N || at < r->n_held) {
        size_t len = step < r->n_held - at ? step : r->n_held - at;
        rig_feed(r, r->held_bytes + at, len);
        at += len;
        struct smqtt_client_event event;
        for (unsigned pulls = 0; (pulls < 3 || at == r->n_held) && smqtt_client_next(r->c, &event); pulls++) {
            char text[16];
            bool refused = seen % 7 == 0;
            snprintf(text, sizeof(text), "%s%03u", refused ? "!" : "m", seen);
            assert_int_equal(event.type, refused ? SMQTT_CLIENT_SECURE : SMQTT_CLIENT_MESSAGE);
            assert_int_equal(event.secure.type, refused ? SMQTT_EV_REFUSED : SMQTT_EV_MESSAGE);
            assert_int_equal(event.qos, seen % 2);
            rig_feed(r, NULL, 0);
            assert_span(event.secure.bytes, text);
            seen++;
        }
    }
    rig_no_event(r);
    assert_int_equal(opener.messages, N);
    assert_int_equal(opener.detects, N / 10);
    for (unsigned i = 1; i < N; i += 2) {
        assert_int_equal(rig_take(r, SMQ_PUBACK).ack.id, i + 1);
    }
    rig_silent(r);
    rig_end(r);
}

static void opener_cuts_test(void **state)
{
    (void)state;
    for (size_t step = 1; step < 300; step = step < 40 ? step + 1 : step + 37) {
        opener_cuts(step);
    }
    opener_cuts(RIG_BYTES);
}

/* A message with a bad string is not shown to the opener, and disturbs none that it was given. */
static void opener_and_bad_strings_test(void **state)
{
    (void)state;
    struct rig *r = start_opener();
    r->held = true;
    r->codec.text = SMQ_TEXT_ANY;
    enum { N = 60 };
    for (unsigned i = 0; i < N; i++) {
        char text[16];
        snprintf(text, sizeof(text), "m%03u", i);
        rig_give(r, rig_publish(1, (uint16_t)(2 * i + 1), "t", text));
        rig_give(r, rig_publish(1, (uint16_t)(2 * i + 2), "t\xff", text));
    }
    r->held = false;
    rig_feed(r, r->held_bytes, r->n_held);
    unsigned good = 0;
    unsigned bad = 0;
    struct smqtt_client_event event;
    while (smqtt_client_next(r->c, &event)) {
        bool quarantined = event.type == SMQTT_CLIENT_QUARANTINED;
        char text[16];
        snprintf(text, sizeof(text), "m%03u", quarantined ? bad++ : good++);
        assert_true(quarantined || event.type == SMQTT_CLIENT_MESSAGE);
        assert_span(event.payload, text);
        assert_span(event.topic, quarantined ? "t\xff" : "t");
        assert_int_equal(event.secure.type, quarantined ? SMQTT_EV_NONE : SMQTT_EV_MESSAGE);
    }
    assert_true(good == N && bad == N);
    assert_int_equal(opener.messages, N);
    for (unsigned i = 1; i <= 2 * N; i++) {
        assert_int_equal(rig_take(r, SMQ_PUBACK).ack.id, i);
    }
    rig_end(r);
}

/** The connection breaks while the opener still looks into what came over it. */
static void pending_at_the_end_test(void **state)
{
    (void)state;
    struct rig *r = start_opener();
    r->held = true;
    for (unsigned i = 0; i < 5; i++) {
        rig_give(r, rig_publish(0, 0, "t", "message"));
    }
    r->held = false;
    rig_feed(r, r->held_bytes, r->n_held);
    rig_event(r, SMQTT_CLIENT_MESSAGE);
    smqtt_client_lost(r->c, SMQTT_E_IO, r->now);
    assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_E_STATE); /* take them first */
    for (unsigned i = 0; i < 4; i++) {
        assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).payload, "message");
    }
    rig_event(r, SMQTT_CLIENT_CLOSED);
    rig_connect(r, false);
    rig_end(r);
}

static void opener_publishes_test(void **state)
{
    (void)state;
    struct rig *r = start_opener();
    fake_push(&opener.events, (struct smqtt_secure_event){.type = SMQTT_EV_PUBLISH,
                                                          .header = 0,
                                                          .topic = smq_span_str("$SMQTT/register"),
                                                          .bytes = smq_span_str("proof")});
    fake_push(&opener.events, (struct smqtt_secure_event){.type = SMQTT_EV_PUBLISH,
                                                          .header = 1,
                                                          .retain = true,
                                                          .topic = smq_span_str("own"),
                                                          .bytes = smq_span_str("r")});
    fake_push(&opener.events, (struct smqtt_secure_event){.type = SMQTT_EV_REGISTERED});
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SECURE).secure.type, SMQTT_EV_REGISTERED);
    assert_int_equal(rig_take(r, SMQ_PUBLISH).publish.qos, 0);
    struct smq_packet pkt = rig_take(r, SMQ_PUBLISH);
    assert_int_equal(pkt.publish.qos, 1);
    assert_true(pkt.publish.retain);
    struct smqtt_client_event event;
    rig_give(r, rig_ack(SMQ_PUBACK, pkt.publish.id, 0));
    while (smqtt_client_next(r->c, &event)) {
        assert_int_equal(event.type, SMQTT_CLIENT_PUBLISHED);
        assert_int_equal(event.token, 0);
    }
    struct smqtt_subscription shared = {smq_span_str("$share/g/t"), 1};
    assert_int_equal(smqtt_client_subscribe(r->c, &shared, 1, NULL, r->now), SMQTT_E_USAGE);
    rig_end(r);
}

static void nomem_test(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 300; nth++) {
        struct rig *r = start_sealer(true);
        failing_mem_arm(&r->fm, nth);
        uint64_t token = 0;
        smqtt_err err =
            smqtt_client_publish_sealed(r->c, smq_span_str("t"), smq_span_str("x"), &with_receipt, &token, r->now);
        assert_true(err == SMQTT_OK || err == SMQTT_E_NOMEM);
        sealer.open = true;
        sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_SUBSCRIBE, .topic = smq_span_str("own/1")});
        sealer_says((struct smqtt_secure_event){.type = SMQTT_EV_OPEN, .confirmed = true});
        struct smqtt_client_event event;
        while (smqtt_client_next(r->c, &event)) {
        }
        bool failed = failing_mem_has_failed(&r->fm);
        failing_mem_arm(&r->fm, 0);
        if (err == SMQTT_OK) {
            assert_true(smqtt_client_unfinished(r->c) >= 1); /* kept until the receipt, whatever went wrong */
        }
        rig_end(r);
        if (!failed) {
            return;
        }
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_native_test),
        cmocka_unit_test(announced_test),
        cmocka_unit_test(tunnel_test),
        cmocka_unit_test(two_openers_test),
        cmocka_unit_test(sealed_to_receipt_test),
        cmocka_unit_test(sealed_anew_test),
        cmocka_unit_test(sealed_without_receipt_test),
        cmocka_unit_test(step_3_before_records_test),
        cmocka_unit_test(given_up_test),
        cmocka_unit_test(followed_test),
        cmocka_unit_test(followed_too_late_test),
        cmocka_unit_test(fail_closed_test),
        cmocka_unit_test(detect_without_endpoint_test),
        cmocka_unit_test(opener_cuts_test),
        cmocka_unit_test(opener_and_bad_strings_test),
        cmocka_unit_test(pending_at_the_end_test),
        cmocka_unit_test(opener_publishes_test),
        cmocka_unit_test(nomem_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
