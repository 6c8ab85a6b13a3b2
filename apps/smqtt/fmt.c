/* SPDX-License-Identifier: Apache-2.0 */
/* The output of mosquitto_sub 2.0.11, letter by letter, and two letters more: %Z and %z. Two things differ by intent: a
 * field width never cuts a payload (there it does, its manual says it is a least width), and %j carries on behind a
 * zero byte. Packet identifiers stay inside the library: %m is 0 and JSON has no "mid". */
#define _GNU_SOURCE
#include "fmt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rd.h"
#include "codec/prop.h"
#include "json.h"
#include "say.h"

const char fmt_help[] =
    "Format (-F):\n"
    "  %t topic       %p payload          %l its length        %x %X payload in hex\n"
    "  %q QoS         %r retained         %m packet id (0)     %% a percent sign\n"
    "  %Z protection: PLAIN, PEER_ANON, PEER, RETAINED_REPLAY  %z verified name of who sealed it\n"
    "  %I %U time     %j %J JSON, payload as text or as JSON   @X strftime's %X, @N nanoseconds, @@\n"
    "  version 5: %A topic alias, %C content type, %D correlation data, %E expiry, %F payload format,\n"
    "             %P user properties, %R response topic, %S subscription identifier\n"
    "  \\n \\t \\r \\\\ \\0 \\a \\e \\v   %-10t %010l %.5t: left, zeros, least width, greatest width";

enum { WIDTH_MAX = 65535, NUMBER_SIZE = 24 };

enum piece_kind { PIECE_CHAR, PIECE_FIELD, PIECE_TIME, PIECE_BAD };

/** One step of a format: a character, %…, @x, or the reason why it is not well-formed. */
struct piece {
    enum piece_kind kind;
    char letter;
    bool left, zero, has_precision;
    size_t width, precision;
    const char *bad;
};

/** One message while it is printed. */
struct message {
    const struct smqtt_client_event *event;
    struct timespec time;
    struct tm tm;
};

/* ---------------------------------------------------------------- reading the format */

static size_t read_number(const char **f)
{
    size_t n = 0;
    while (**f >= '0' && **f <= '9') {
        n = n <= WIDTH_MAX ? n * 10 + (size_t)(**f - '0') : n;
        (*f)++;
    }
    return n < WIDTH_MAX ? n : WIDTH_MAX;
}

static struct piece bad(const char *why, char letter)
{
    return (struct piece){.kind = PIECE_BAD, .bad = why, .letter = letter};
}

static struct piece read_field(const char **f)
{
    struct piece p = {.kind = PIECE_FIELD};
    if (**f == '-') {
        p.left = true;
        (*f)++;
    }
    if (**f == '0') {
        p.zero = !p.left;
        (*f)++;
    }
    p.width = read_number(f);
    if (**f == '.') {
        (*f)++;
        p.has_precision = **f >= '0' && **f <= '9';
        p.precision = read_number(f);
    }
    p.letter = **f;
    if (p.letter == 0) {
        return bad("it ends inside a % sequence", 0);
    }
    (*f)++;
    return strchr("%ACDEFIJPRSUXZjlmpqrtxz", p.letter) != NULL ? p : bad("there is no such % letter", p.letter);
}

static struct piece read_escape(const char **f)
{
    static const char from[] = "\\0aenrtv";
    static const char to[] = {'\\', 0, '\a', 033, '\n', '\r', '\t', '\v'};
    char letter = **f;
    if (letter == 0) {
        return bad("it ends behind a backslash", 0);
    }
    (*f)++;
    const char *at = strchr(from, letter);
    return at != NULL ? (struct piece){.kind = PIECE_CHAR, .letter = to[at - from]}
                      : bad("there is no such backslash letter", letter);
}

/** The piece at *f, which moves behind it. */
static struct piece read_piece(const char **f)
{
    char c = *(*f)++;
    if (c == '%') {
        return read_field(f);
    }
    if (c == '\\') {
        return read_escape(f);
    }
    if (c != '@') {
        return (struct piece){.kind = PIECE_CHAR, .letter = c};
    }
    if (**f == 0) {
        return bad("it ends behind an @", 0);
    }
    struct piece p = {.kind = **f == '@' ? PIECE_CHAR : PIECE_TIME, .letter = **f};
    (*f)++;
    return p;
}

bool fmt_check(const char *format)
{
    const char *f = format;
    while (*f != 0) {
        struct piece p = read_piece(&f);
        if (p.kind != PIECE_BAD) {
            continue;
        }
        char letter[8] = "";
        if (p.letter != 0) {
            snprintf(letter, sizeof(letter), " '%c'", p.letter);
        }
        say("the format '%s' is not valid: %s%s; --help lists what there is.", format, p.bad, letter);
        return false;
    }
    return true;
}

/* ---------------------------------------------------------------- printing */

static void put(smq_span s)
{
    if (s.len != 0) {
        fwrite(s.data, 1, s.len, stdout);
    }
}

static void put_fill(size_t n, char with)
{
    for (size_t i = 0; i < n; i++) {
        putchar(with);
    }
}

/** A field: `zeros` says whether this letter may be filled with zeros. */
static void put_field(const struct piece *p, smq_span s, bool zeros)
{
    size_t fill = p->width > s.len ? p->width - s.len : 0;
    if (!p->left) {
        put_fill(fill, p->zero && zeros ? '0' : ' ');
    }
    put(s);
    if (p->left) {
        put_fill(fill, ' ');
    }
}

/** A text that has a greatest width, too. */
static void put_text(const struct piece *p, smq_span s)
{
    if (p->has_precision && s.len > p->precision) {
        s.len = p->precision;
    }
    put_field(p, s, false);
}

static void put_number(const struct piece *p, uint64_t n)
{
    char digits[NUMBER_SIZE];
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    put_field(p, smq_span_str(digits), true);
}

static void put_hex(const struct piece *p, smq_span s, bool capitals)
{
    const char *digit = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
    size_t fill = p->width > s.len * 2 ? p->width - s.len * 2 : 0;
    if (!p->left) {
        put_fill(fill, p->zero ? '0' : ' ');
    }
    for (size_t i = 0; i < s.len; i++) {
        putchar(digit[s.data[i] >> 4]);
        putchar(digit[s.data[i] & 15]);
    }
    if (p->left) {
        put_fill(fill, ' ');
    }
}

static void put_time(const struct message *m, char letter)
{
    if (letter == 'N') {
        printf("%09ld", m->time.tv_nsec);
        return;
    }
    char format[] = {'%', letter, 0};
    char text[256];
    put(smq_span_of(text, strftime(text, sizeof(text), format, &m->tm)));
}

/* ---------------------------------------------------------------- properties */

/** One property of a message. */
struct prop {
    enum smq_prop which;
    uint32_t num;
    smq_span key, text; /* key: of a user property */
};

static uint32_t read_varint(struct smq_rd *rd)
{
    uint32_t v = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        uint8_t byte = smq_rd_u8(rd);
        v |= (uint32_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            return v;
        }
    }
    smq_rd_fail(rd);
    return 0;
}

/** The next property in wire form; false at the end. */
static bool next_prop(struct smq_rd *rd, struct prop *out)
{
    if (smq_rd_left(rd) == 0) {
        return false;
    }
    *out = (struct prop){.which = smq_prop_by_id(smq_rd_u8(rd))};
    if (out->which == SMQ_PROP_COUNT) {
        return false;
    }
    switch (smq_prop_row(out->which)->wire) {
    case SMQ_WIRE_BYTE:
        out->num = smq_rd_u8(rd);
        break;
    case SMQ_WIRE_U16:
        out->num = smq_rd_u16(rd);
        break;
    case SMQ_WIRE_U32:
        out->num = smq_rd_u32(rd);
        break;
    case SMQ_WIRE_VARINT:
        out->num = read_varint(rd);
        break;
    case SMQ_WIRE_PAIR:
        out->key = smq_rd_blob16(rd);
        out->text = smq_rd_blob16(rd);
        break;
    case SMQ_WIRE_STRING:
    case SMQ_WIRE_BINARY:
        out->text = smq_rd_blob16(rd);
        break;
    }
    return smq_rd_ok(rd);
}

/** The first of these in the message; false when there is none. */
static bool find_prop(const struct message *m, enum smq_prop which, struct prop *out)
{
    struct smq_rd rd = smq_rd_of(m->event->props);
    while (next_prop(&rd, out)) {
        if (out->which == which) {
            return true;
        }
    }
    *out = (struct prop){.which = which};
    return false;
}

static void put_prop_number(const struct message *m, const struct piece *p, enum smq_prop which)
{
    struct prop prop;
    if (find_prop(m, which, &prop)) {
        put_number(p, prop.num);
    } else {
        put_field(p, (smq_span){NULL, 0}, true);
    }
}

static void put_prop_text(const struct message *m, const struct piece *p, enum smq_prop which)
{
    struct prop prop;
    if (find_prop(m, which, &prop) || which == SMQ_PROP_CONTENT_TYPE) {
        put_text(p, prop.text); /* an absent content type is padded, others are not, as there */
    }
}

static void put_user_props(const struct message *m)
{
    struct smq_rd rd = smq_rd_of(m->event->props);
    struct prop prop;
    bool first = true;
    while (next_prop(&rd, &prop)) {
        if (prop.which != SMQ_PROP_USER_PROPERTY) {
            continue;
        }
        fputs(first ? "" : " ", stdout);
        put(prop.key);
        putchar(':');
        put(prop.text);
        first = false;
    }
}

/* ---------------------------------------------------------------- JSON */

static void put_json_user_props(const struct message *m)
{
    struct smq_rd rd = smq_rd_of(m->event->props);
    struct prop prop;
    const char *between = "\"user-properties\":{";
    while (next_prop(&rd, &prop)) {
        if (prop.which == SMQ_PROP_USER_PROPERTY) {
            fputs(between, stdout);
            json_print_text(prop.key);
            putchar(':');
            json_print_text(prop.text);
            between = ",";
        }
    }
    putchar('}');
}

static const char *json_name(enum smq_prop which)
{
    static const struct {
        enum smq_prop which;
        const char *name;
    } names[] = {{SMQ_PROP_PAYLOAD_FORMAT, "payload-format-indicator"},
                 {SMQ_PROP_MESSAGE_EXPIRY, "message-expiry-interval"},
                 {SMQ_PROP_CONTENT_TYPE, "content-type"},
                 {SMQ_PROP_RESPONSE_TOPIC, "response-topic"},
                 {SMQ_PROP_CORRELATION_DATA, "correlation-data"},
                 {SMQ_PROP_SUBSCRIPTION_ID, "subscription-identifier"},
                 {SMQ_PROP_TOPIC_ALIAS, "topic-alias"},
                 {SMQ_PROP_USER_PROPERTY, "user-properties"}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(names); i++) {
        if (names[i].which == which) {
            return names[i].name;
        }
    }
    return NULL;
}

static void put_json_props(const struct message *m)
{
    struct smq_rd rd = smq_rd_of(m->event->props);
    struct prop prop;
    const char *between = ",\"properties\":{";
    uint32_t seen = 0;
    while (next_prop(&rd, &prop)) {
        const char *name = json_name(prop.which);
        if (name == NULL || ((seen >> prop.which) & 1) != 0) {
            continue;
        }
        seen |= 1u << prop.which;
        fputs(between, stdout);
        between = ",";
        if (prop.which == SMQ_PROP_USER_PROPERTY) {
            put_json_user_props(m);
            continue;
        }
        printf("\"%s\":", name);
        enum smq_prop_wire wire = smq_prop_row(prop.which)->wire;
        if (wire == SMQ_WIRE_STRING || wire == SMQ_WIRE_BINARY) {
            json_print_text(prop.text);
        } else {
            printf("%u", prop.num);
        }
    }
    fputs(seen != 0 ? "}" : "", stdout);
}

static void put_json(const struct message *m, bool payload_is_json)
{
    const struct smqtt_client_event *ev = m->event;
    if (payload_is_json && ev->payload.len != 0 && !json_is_valid(ev->payload)) {
        say("the payload on topic '%.*s' is not valid JSON, so %%J prints nothing: take %%j.", (int)ev->topic.len,
            (const char *)ev->topic.data);
        return;
    }
    char date[32];
    char zone[16];
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &m->tm);
    strftime(zone, sizeof(zone), "%z", &m->tm);
    printf("{\"tst\":\"%s.%06ldZ%s\",\"topic\":", date, m->time.tv_nsec / 1000, zone);
    json_print_text(ev->topic);
    printf(",\"qos\":%u,\"retain\":%d,\"payloadlen\":%zu", ev->qos, ev->retain ? 1 : 0, ev->payload.len);
    put_json_props(m);
    fputs(",\"payload\":", stdout);
    if (ev->payload.len == 0) {
        fputs("null", stdout);
    } else if (payload_is_json) {
        json_print_compact(ev->payload);
    } else {
        json_print_text(ev->payload);
    }
    putchar('}');
}

/* ---------------------------------------------------------------- one message */

static void put_iso_time(const struct message *m, const struct piece *p)
{
    char text[64];
    put_text(p, smq_span_of(text, strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &m->tm)));
}

/** The letters that show a property; false when it is another one. */
static bool put_prop_letter(const struct message *m, const struct piece *p)
{
    switch (p->letter) {
    case 'A':
        put_prop_number(m, p, SMQ_PROP_TOPIC_ALIAS);
        return true;
    case 'C':
        put_prop_text(m, p, SMQ_PROP_CONTENT_TYPE);
        return true;
    case 'D':
        put_prop_text(m, &(struct piece){0}, SMQ_PROP_CORRELATION_DATA);
        return true;
    case 'E':
        put_prop_number(m, p, SMQ_PROP_MESSAGE_EXPIRY);
        return true;
    case 'F':
        put_prop_number(m, p, SMQ_PROP_PAYLOAD_FORMAT);
        return true;
    case 'P':
        put_user_props(m);
        return true;
    case 'R':
        put_prop_text(m, p, SMQ_PROP_RESPONSE_TOPIC);
        return true;
    case 'S':
        put_prop_number(m, p, SMQ_PROP_SUBSCRIPTION_ID);
        return true;
    default:
        return false;
    }
}

static const char *protection(const struct smqtt_client_event *ev)
{
    return smqtt_protection_name(ev->secure.type == SMQTT_EV_MESSAGE ? ev->secure.protection : SMQTT_PLAIN);
}

static const char *peer(const struct smqtt_client_event *ev)
{
    return ev->secure.type == SMQTT_EV_MESSAGE && ev->secure.peer_name != NULL ? ev->secure.peer_name : "";
}

static void put_letter(const struct message *m, const struct piece *p)
{
    const struct smqtt_client_event *ev = m->event;
    if (put_prop_letter(m, p)) {
        return;
    }
    switch (p->letter) {
    case 'I':
        put_iso_time(m, p);
        break;
    case 'U':
        printf("%lld.%09ld", (long long)m->time.tv_sec, m->time.tv_nsec);
        break;
    case 'j':
    case 'J':
        put_json(m, p->letter == 'J');
        break;
    case 'l':
        put_number(p, ev->payload.len);
        break;
    case 'm':
        put_number(p, ev->packet_id);
        break;
    case 'p':
        put_field(p, ev->payload, true);
        break;
    case 'q':
        putchar('0' + ev->qos);
        break;
    case 'r':
        putchar(ev->retain ? '1' : '0');
        break;
    case 't':
        put_text(p, ev->topic);
        break;
    case 'x':
    case 'X':
        put_hex(p, ev->payload, p->letter == 'X');
        break;
    case 'Z':
        put_text(p, smq_span_str(protection(ev)));
        break;
    case 'z':
        put_text(p, smq_span_str(peer(ev)));
        break;
    default:
        putchar('%');
        break;
    }
}

static void put_formatted(const struct message *m, const char *format)
{
    while (*format != 0) {
        struct piece p = read_piece(&format);
        switch (p.kind) {
        case PIECE_CHAR:
            putchar(p.letter);
            break;
        case PIECE_FIELD:
            put_letter(m, &p);
            break;
        case PIECE_TIME:
            put_time(m, p.letter);
            break;
        case PIECE_BAD:
            return;
        }
    }
}

void fmt_print(const struct opts *o, const struct smqtt_client_event *event)
{
    const char *end = o->end_of_line ? "\n" : "";
    if (o->format != NULL) {
        struct message m = {.event = event};
        clock_gettime(CLOCK_REALTIME, &m.time);
        localtime_r(&m.time.tv_sec, &m.tm);
        put_formatted(&m, o->format);
        fputs(end, stdout);
    } else if (event->payload.len != 0) {
        if (o->verbose) {
            put(event->topic);
            putchar(' ');
        }
        put(event->payload);
        fputs(end, stdout);
    } else if (o->verbose && o->end_of_line) {
        put(event->topic);
        fputs(" (null)\n", stdout);
    }
    fflush(stdout);
}
