/* SPDX-License-Identifier: Apache-2.0 */
/* A session peer: lets tests/js/interop.mjs run whole sessions with sealer and opener, in both roles.
 *
 * Frames on stdin and stdout: `u32 length | type u8 | payload`, the length counts type and payload. Types: 1 DETECT
 * (header u8, body), 2 PUBLISH (u16 topic length, topic, retain u8, payload), 3 EVENT (text, from here), 4 COMMAND
 * (text, to here). The lines of events and commands are `verb name=value …`; names, client ids, topics, payloads,
 * descriptors, cids and kids in them are hexadecimal:
 *
 * Commands:  identity suite=x25519|p256 name=…       makes the peer's own identity; answered by the event identity
 *            listen                                   from now on the peer is a server
 *            connect server=… mutual=0|1 clientid=… topic=… text=0|1 payload=…    starts a handshake with server
 *            seal topic=… text=0|1 receipt=0|1 payload=… [cid=…]    seals; a server names the session by cid
 *            close cid=…                              a server closes the session
 * Events:    identity descriptor=…
 *            open cid=… class=PEER|PEER_ANON|SERVER name=…
 *            rejected cid=… status=…
 *            delivered cid=… topic=… text=0|1 payload=… class=…
 *            receipt kid=… seq=… status=… flag=…
 *            dropped kind=… | closed status=… | notice kid=…
 *
 * The endpoints' interface has no messages from server to client; for those this program goes to the sessions inside.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <smqtt/system.h>

#include "base/hex.h"
#include "base/mem.h"
#include "detect/opener.h"
#include "detect/sealer.h"

enum frame { FRAME_DETECT = 1, FRAME_PUBLISH = 2, FRAME_EVENT = 3, FRAME_COMMAND = 4 };

enum { FRAME_MAX = 1 << 20, LINE_MAX = 1 << 16, FIELDS_MAX = 12 };

static struct smqtt_identity *own, *pinned;
static struct smqtt_opener *opener;
static struct smqtt_sealer *sealer;
static uint8_t in[FRAME_MAX], work[FRAME_MAX], sealed_bytes[FRAME_MAX];

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "session_peer: %s\n", what);
        exit(1);
    }
}

static struct smqtt_now clocks(void)
{
    struct timespec wall, mono;
    must(clock_gettime(CLOCK_REALTIME, &wall) == 0 && clock_gettime(CLOCK_MONOTONIC, &mono) == 0, "no clock");
    return (struct smqtt_now){(smqtt_ms)wall.tv_sec * 1000 + (smqtt_ms)wall.tv_nsec / 1000000,
                              (smqtt_ms)mono.tv_sec * 1000 + (smqtt_ms)mono.tv_nsec / 1000000};
}

/* ---------------------------------------------------------------- frames out */

static void frame(enum frame type, const smq_span *parts, size_t n)
{
    uint8_t head[5];
    size_t len = 1;
    for (size_t i = 0; i < n; i++) {
        len += parts[i].len;
    }
    struct smq_wr wr = smq_wr_of(head, sizeof(head));
    smq_wr_u32(&wr, (uint32_t)len);
    smq_wr_u8(&wr, (uint8_t)type);
    must(fwrite(head, 1, sizeof(head), stdout) == sizeof(head), "stdout");
    for (size_t i = 0; i < n; i++) {
        must(parts[i].len == 0 || fwrite(parts[i].data, 1, parts[i].len, stdout) == parts[i].len, "stdout");
    }
}

static void detect_out(uint8_t header, smq_span body)
{
    const smq_span parts[] = {smq_span_of(&header, 1), body};
    frame(FRAME_DETECT, parts, 2);
}

static void publish_out(smq_span topic, smq_span payload)
{
    uint8_t head[2], retain = 0;
    struct smq_wr wr = smq_wr_of(head, sizeof(head));
    smq_wr_u16(&wr, (uint16_t)topic.len);
    const smq_span parts[] = {smq_span_of(head, 2), topic, smq_span_of(&retain, 1), payload};
    frame(FRAME_PUBLISH, parts, 4);
}

/** A line under way. */
static char text[LINE_MAX];
static size_t text_len;

static void word(const char *s)
{
    size_t len = strlen(s);
    must(text_len + len < LINE_MAX, "a line is too long");
    memcpy(text + text_len, s, len + 1);
    text_len += len;
}

static void begin(const char *verb)
{
    text_len = 0;
    word(verb);
}

static void field_hex(const char *name, smq_span value)
{
    word(" ");
    word(name);
    word("=");
    must(text_len + SMQ_HEX_LEN(value.len) < LINE_MAX, "a line is too long");
    smq_hex_encode(text + text_len, value);
    text_len += SMQ_HEX_LEN(value.len);
}

static void field_text(const char *name, const char *value)
{
    word(" ");
    word(name);
    word("=");
    word(value);
}

static void field_uint(const char *name, uint64_t value)
{
    char digits[24];
    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    field_text(name, digits);
}

static void field_kid(uint32_t kid)
{
    uint8_t bytes[4];
    struct smq_wr wr = smq_wr_of(bytes, sizeof(bytes));
    smq_wr_u32(&wr, kid);
    field_hex("kid", smq_wr_span(&wr));
}

static void end(void)
{
    const smq_span line = smq_span_of(text, text_len);
    frame(FRAME_EVENT, &line, 1);
}

/* ---------------------------------------------------------------- events of the endpoints */

static void delivered(const uint8_t *cid, smq_span topic, bool is_text, smq_span payload, const char *class)
{
    begin("delivered");
    field_hex("cid", smq_span_of(cid, SMQ_CID_LEN));
    field_hex("topic", topic);
    field_uint("text", is_text);
    field_hex("payload", payload);
    field_text("class", class);
    end();
}

static void tell_open(const struct smqtt_secure_event *ev)
{
    begin("open");
    field_hex("cid", smq_span_of(ev->cid, SMQ_CID_LEN));
    field_text("class", opener != NULL ? smqtt_protection_name(ev->protection) : "SERVER");
    field_hex("name", smq_span_str(ev->peer_name));
    end();
}

static void tell_receipt(const struct smqtt_secure_event *ev)
{
    begin("receipt");
    field_kid(ev->kid);
    field_uint("seq", ev->seq);
    field_uint("status", ev->status);
    field_uint("flag", ev->flag);
    end();
}

static void tell(const struct smqtt_secure_event *ev)
{
    switch ((int)ev->type) {
    case SMQTT_EV_DETECT:
        detect_out(ev->header, ev->bytes);
        break;
    case SMQTT_EV_PUBLISH:
        publish_out(ev->topic, ev->bytes);
        break;
    case SMQTT_EV_OPEN:
        if (ev->confirmed) {
            tell_open(ev);
        }
        break;
    case SMQTT_EV_CLOSED:
        begin(ev->err == SMQTT_E_CLOSED ? "closed" : "rejected");
        field_hex("cid", smq_span_of(ev->cid, SMQ_CID_LEN));
        field_uint("status", ev->status);
        end();
        break;
    case SMQTT_EV_LOST:
        begin("notice");
        field_kid(ev->kid);
        end();
        break;
    case SMQTT_EV_RECEIPT:
        tell_receipt(ev);
        break;
    case SMQTT_EV_MESSAGE:
        delivered(ev->cid, ev->topic, ev->text, ev->bytes, smqtt_protection_name(ev->protection));
        break;
    case SMQTT_EV_REFUSED:
        begin("dropped");
        field_text("kind", smqtt_err_name(ev->err));
        end();
        break;
    default:
        break;
    }
}

static void pull(void)
{
    struct smqtt_secure_event ev;
    while (sealer != NULL && smqtt_sealer_next(sealer, &ev)) {
        tell(&ev);
    }
    while (opener != NULL && smqtt_opener_next(opener, &ev)) {
        tell(&ev);
    }
}

/* ---------------------------------------------------------------- commands */

struct fields {
    size_t n;
    struct {
        smq_span name, value;
    } list[FIELDS_MAX];
};

static smq_span token(smq_span *line)
{
    const uint8_t *space = line->len != 0 ? memchr(line->data, ' ', line->len) : NULL;
    smq_span out = smq_span_of(line->data, space != NULL ? (size_t)(space - line->data) : line->len);
    *line = smq_span_from(*line, out.len + 1);
    return out;
}

static struct fields fields_read(smq_span line)
{
    struct fields f = {0};
    while (line.len != 0) {
        smq_span pair = token(&line);
        const uint8_t *equals = pair.len != 0 ? memchr(pair.data, '=', pair.len) : NULL;
        if (equals != NULL) {
            must(f.n < FIELDS_MAX, "too many fields");
            size_t len = (size_t)(equals - pair.data);
            f.list[f.n].name = smq_span_of(pair.data, len);
            f.list[f.n++].value = smq_span_from(pair, len + 1);
        }
    }
    return f;
}

static smq_span get(const struct fields *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++) {
        if (smq_span_equal(f->list[i].name, smq_span_str(name))) {
            return f->list[i].value;
        }
    }
    return smq_span_of(NULL, 0);
}

static bool get_flag(const struct fields *f, const char *name)
{
    return smq_span_equal(get(f, name), smq_span_str("1"));
}

/** The bytes of a hexadecimal field; in a buffer of its own for each name. */
static smq_span get_bytes(const struct fields *f, const char *name, uint8_t *buf, size_t cap)
{
    size_t len = 0;
    must(smq_hex_decode(buf, cap, get(f, name), &len) == SMQTT_OK, name);
    return smq_span_of(buf, len);
}

static void make_identity(const struct fields *f)
{
    char suite[16] = "", name[64] = "";
    size_t len = 0;
    smq_span asked = get(f, "suite");
    must(asked.len < sizeof(suite), "suite");
    memcpy(suite, asked.data, asked.len);
    must(smq_hex_decode((uint8_t *)name, sizeof(name) - 1, get(f, "name"), &len) == SMQTT_OK, "name");
    const struct smqtt_rng rng = smqtt_system_rng();
    must(smqtt_identity_new(NULL, &rng, suite, name, 0, 0, 0, &own) == SMQTT_OK, "the identity");
    begin("identity");
    field_hex("descriptor", smqtt_identity_descriptor(own));
    end();
}

static void start_listening(void)
{
    const struct smqtt_opener_config c = {.struct_size = sizeof(c), .rng = smqtt_system_rng(), .identity = own};
    must(smqtt_opener_new(&c, clocks(), &opener) == SMQTT_OK, "the opener");
}

static void start_session(const struct fields *f)
{
    static uint8_t descriptor[SMQ_DESCRIPTOR_MAX], client_id[256], topic[1024], payload[LINE_MAX];
    smqtt_sealer_free(sealer);
    smqtt_identity_free(pinned);
    smq_span bytes = get_bytes(f, "server", descriptor, sizeof(descriptor));
    must(smqtt_identity_read_descriptor(NULL, bytes, &pinned) == SMQTT_OK, "the server's descriptor");
    const struct smqtt_sealer_config c = {.struct_size = sizeof(c),
                                          .rng = smqtt_system_rng(),
                                          .server = pinned,
                                          .identity = get_flag(f, "mutual") ? own : NULL,
                                          .client_id = get_bytes(f, "clientid", client_id, sizeof(client_id))};
    must(smqtt_sealer_new(&c, clocks(), &sealer) == SMQTT_OK, "the sealer");
    must(smqtt_sealer_start(sealer, get_bytes(f, "topic", topic, sizeof(topic)),
                            get_bytes(f, "payload", payload, sizeof(payload)), get_flag(f, "text"),
                            clocks()) == SMQTT_OK,
         "the handshake");
}

/** A record of the server to its client. */
static size_t seal_down(const struct fields *f, smq_span topic, smq_span payload)
{
    uint8_t cid[SMQ_CID_LEN];
    const struct smq_saver nowhere = {NULL, NULL};
    const struct smq_sealed sealed = {.content = get_flag(f, "text") ? SMQ_CONTENT_TEXT : 0, .payload = payload};
    uint64_t seq = 0;
    bool renewed = false;
    size_t len = 0;
    const struct smq_peer *peer = smq_map_get(&opener->sessions, get_bytes(f, "cid", cid, sizeof(cid)));
    must(peer != NULL && smq_channel_number(peer->session, &nowhere, &seq, &renewed) == SMQTT_OK &&
             smq_record_seal(NULL, &peer->session->send, seq, topic, &sealed, sealed_bytes, &len) == SMQTT_OK,
         "sealing");
    return len;
}

static void seal(const struct fields *f)
{
    static uint8_t topic_buf[1024], payload_buf[LINE_MAX];
    smq_span topic = get_bytes(f, "topic", topic_buf, sizeof(topic_buf));
    smq_span payload = get_bytes(f, "payload", payload_buf, sizeof(payload_buf));
    size_t len = 0;
    if (opener != NULL) {
        len = seal_down(f, topic, payload);
    } else {
        const struct smqtt_seal_options o = {.text = get_flag(f, "text"), .receipt = get_flag(f, "receipt")};
        must(smqtt_seal(sealer, topic, payload, &o, clocks(), sealed_bytes, sizeof(sealed_bytes), &len, NULL, NULL) ==
                 SMQTT_OK,
             "sealing");
    }
    publish_out(topic, smq_span_of(sealed_bytes, len));
}

static void close_session(const struct fields *f)
{
    uint8_t cid[SMQ_CID_LEN];
    (void)get_bytes(f, "cid", cid, sizeof(cid));
    must(smqtt_opener_close(opener, cid, SMQTT_STATUS_CLOSED, clocks()) == SMQTT_OK, "closing");
}

static void command(smq_span line)
{
    smq_span verb = token(&line);
    const struct fields f = fields_read(line);
    if (smq_span_equal(verb, smq_span_str("identity"))) {
        make_identity(&f);
    } else if (smq_span_equal(verb, smq_span_str("listen"))) {
        start_listening();
    } else if (smq_span_equal(verb, smq_span_str("connect"))) {
        start_session(&f);
    } else if (smq_span_equal(verb, smq_span_str("seal"))) {
        seal(&f);
    } else if (smq_span_equal(verb, smq_span_str("close"))) {
        close_session(&f);
    } else {
        must(false, "an unknown command");
    }
}

/* ---------------------------------------------------------------- what the other side sends */

/** Opens a record of the server to us. */
static smqtt_err open_down(smq_span topic, smq_span payload)
{
    struct smq_channel *s = sealer->session;
    struct smq_record record;
    struct smq_sealed sealed;
    bool moved = false;
    uint64_t missing = 0;
    const struct smqtt_now now = clocks();
    if (s == NULL) {
        return SMQTT_E_STATE;
    }
    SMQ_TRY(smq_record_read(payload, &record));
    int index = smq_channel_find(s, record.kid, now.mono);
    if (index < 0 || smq_window_judge(&s->windows[index], record.seq) != SMQ_WINDOW_NEW) {
        return index < 0 ? SMQTT_E_NO_KEY : SMQTT_E_REPLAY;
    }
    SMQ_TRY(smq_record_open(NULL, &s->recv[index], &record, topic, work));
    SMQ_TRY(smq_channel_commit(s, index, record.seq, now.mono, &moved, &missing));
    SMQ_TRY(smq_sealed_read(smq_span_of(work, record.box.len - SMQ_TAG_LEN), false, &sealed));
    delivered(s->cid, topic, (sealed.content & SMQ_CONTENT_TEXT) != 0, sealed.payload, "SERVER");
    return SMQTT_OK;
}

static void publish_in(smq_span frame_payload)
{
    struct smq_rd rd = smq_rd_of(frame_payload);
    smq_span topic = smq_rd_blob16(&rd);
    bool retain = smq_rd_u8(&rd) != 0;
    smq_span payload = smq_rd_rest(&rd);
    bool taken = false;
    must(smq_rd_ok(&rd), "a PUBLISH frame");
    if (opener != NULL) {
        must(smqtt_opener_message(opener, topic, payload, retain, clocks()) == SMQTT_OK, "a message");
        return;
    }
    must(smqtt_sealer_message(sealer, topic, payload, &taken, clocks()) == SMQTT_OK, "a message");
    smqtt_err err = taken ? SMQTT_OK : open_down(topic, payload);
    if (err != SMQTT_OK) {
        begin("dropped");
        field_text("kind", smqtt_err_name(err));
        end();
    }
}

static void detect_in(smq_span packet)
{
    must(packet.len != 0, "a DETECT frame");
    smq_span body = smq_span_from(packet, 1);
    smqtt_err err = opener != NULL ? smqtt_opener_detect(opener, packet.data[0], body, clocks())
                                   : smqtt_sealer_detect(sealer, packet.data[0], body, clocks());
    must(err == SMQTT_OK, "a DETECT packet");
}

static bool frame_read(enum frame *type, smq_span *payload)
{
    uint8_t head[4];
    if (fread(head, 1, sizeof(head), stdin) != sizeof(head)) {
        return false;
    }
    struct smq_rd rd = smq_rd_of(smq_span_of(head, sizeof(head)));
    size_t len = smq_rd_u32(&rd);
    must(len >= 1 && len <= FRAME_MAX && fread(in, 1, len, stdin) == len, "a frame");
    *type = (enum frame)in[0];
    *payload = smq_span_of(in + 1, len - 1);
    return true;
}

int main(void)
{
    enum frame type = FRAME_COMMAND;
    smq_span payload;
    while (frame_read(&type, &payload)) {
        if (type == FRAME_COMMAND) {
            command(payload);
        } else if (type == FRAME_DETECT) {
            detect_in(payload);
        } else if (type == FRAME_PUBLISH) {
            publish_in(payload);
        }
        pull();
        must(fflush(stdout) == 0, "stdout");
    }
    smqtt_sealer_free(sealer);
    smqtt_opener_free(opener);
    smqtt_identity_free(own);
    smqtt_identity_free(pinned);
    return 0;
}
