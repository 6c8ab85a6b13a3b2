/* SPDX-License-Identifier: Apache-2.0 */
/* The output of mosquitto_sub 2.0.11, letter by letter, and two letters more: %Z and %z. Two things differ by intent: a
 * field width never cuts a payload (there it does, its manual says it is a least width), and %j carries on behind a
 * zero byte. */
#define _GNU_SOURCE
#include "fmt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rd.h"
#include "codec/prop.h"
#include "say.h"

const char fmt_help[] =
    "Format (-F):\n"
    "  %t topic       %p payload          %l its length        %x %X payload in hex\n"
    "  %q QoS         %r retained         %m packet id        %% a percent sign\n"
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
    bool pretty;
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

/** The first of these in the message; false when there is none, and its value is empty then. */
static bool find_prop(const struct message *m, enum smq_prop which, union smq_prop_value *out)
{
    struct smq_rd it = smq_rd_of(m->event->props);
    enum smq_prop found;
    smq_span second;
    while (smq_props_next(&it, &found, out, &second)) {
        if (found == which) {
            return true;
        }
    }
    out->bytes = (smq_span){NULL, 0};
    return false;
}

static void put_prop_number(const struct message *m, const struct piece *p, enum smq_prop which)
{
    union smq_prop_value value;
    if (find_prop(m, which, &value)) {
        put_number(p, value.num);
    } else {
        put_field(p, (smq_span){NULL, 0}, true);
    }
}

static void put_prop_text(const struct message *m, const struct piece *p, enum smq_prop which)
{
    union smq_prop_value value;
    if (find_prop(m, which, &value) || which == SMQ_PROP_CONTENT_TYPE) {
        put_text(p, value.bytes); /* an absent content type is padded, others are not, as there */
    }
}

static void put_user_props(const struct message *m)
{
    struct smq_rd it = smq_rd_of(m->event->props);
    smq_span name;
    smq_span value;
    bool first = true;
    while (smq_props_next_user(&it, &name, &value)) {
        fputs(first ? "" : " ", stdout);
        put(name);
        putchar(':');
        put(value);
        first = false;
    }
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
        fmt_json(ev, &m->time, &m->tm, p->letter == 'J', m->pretty);
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
        struct message m = {.event = event, .pretty = o->pretty};
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
