/* SPDX-License-Identifier: Apache-2.0 */
#include "aside.h"

#include <stdio.h>

#include <smqtt/system.h>

#include "base/siphash.h"
#include "base/utf8.h"
#include "say.h"

enum { SHOWN_MAX = 400 };

bool aside_is_reason(smqtt_err err)
{
    return err == SMQTT_E_BAD_TEXT || err == SMQTT_E_BAD_TOPIC || err == SMQTT_E_BAD_PAYLOAD;
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

/** What is wrong with the character at the front, of more than one byte; NULL: nothing. *len: its bytes. */
static const char *fault_of_char(smq_span s, size_t *len)
{
    uint8_t lead = s.data[0];
    *len = lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 0;
    if (*len == 0) {
        return is_continuation(lead) ? "has a continuation byte of UTF-8 without its beginning"
                                     : "has a byte that UTF-8 does not have";
    }
    for (size_t i = 1; i < *len; i++) {
        if (i == s.len || !is_continuation(s.data[i])) {
            return "has a UTF-8 character that is cut short";
        }
    }
    uint8_t second = s.data[1];
    if (lead < 0xC2 || (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90)) {
        return "has a UTF-8 character in more bytes than it needs";
    }
    if (lead > 0xF4 || (lead == 0xF4 && second > 0x8F)) {
        return "has a character above U+10FFFF";
    }
    return lead == 0xED && second > 0x9F ? "has a surrogate" : NULL;
}

const char *aside_fault(smq_span text)
{
    for (size_t i = 0; i < text.len;) {
        size_t len = 1;
        const char *fault = NULL;
        if (text.data[i] == 0) {
            fault = "has the character U+0000";
        } else if (text.data[i] >= 0x80) {
            fault = fault_of_char((smq_span){text.data + i, text.len - i}, &len);
        }
        if (fault != NULL) {
            return fault;
        }
        i += len;
    }
    return text.len == 0 ? "is empty" : "is not allowed";
}

const char *aside_show(smq_span bytes, char *out, size_t cap)
{
    enum { ESCAPED = 4, DOTS = 4 };
    bool text = smq_utf8_ok(bytes, SMQ_TEXT_STRICT);
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.data[i];
        if (n + ESCAPED + DOTS > cap) {
            snprintf(out + n, cap - n, "...");
            break;
        }
        bool plain = c != '\'' && c != '\\' && ((c >= 0x20 && c < 0x7F) || (text && c >= 0x80));
        n += (size_t)snprintf(out + n, cap - n, plain ? "%c" : "\\x%02x", c);
    }
    return out;
}

/** Was it said before? If not, it is now. */
static bool is_told(struct aside *a, const struct smqtt_client_event *event)
{
    struct smqtt_rng rng = smqtt_system_rng();
    a->has_key = a->has_key || rng.fill(rng.ctx, a->key, sizeof(a->key)); /* without a key: the one of zeros */
    uint64_t hash = smq_siphash13(a->key, event->topic) + (uint64_t)event->field;
    for (size_t i = 0; i < a->n; i++) {
        if (a->told[i] == hash) {
            return true;
        }
    }
    if (a->n == ASIDE_TOLD_MAX) {
        return true;
    }
    a->told[a->n++] = hash;
    return false;
}

static const char *what_is_wrong(const struct smqtt_client_event *event)
{
    if (event->err == SMQTT_E_BAD_PAYLOAD) {
        return "is not the UTF-8 that its format indicator promises";
    }
    bool has_wildcard = event->text.len != 0 && (memchr(event->text.data, '+', event->text.len) != NULL ||
                                                 memchr(event->text.data, '#', event->text.len) != NULL);
    if (event->err == SMQTT_E_BAD_TOPIC && event->text.len != 0) {
        return has_wildcard ? "has a wildcard, which is for filters" : "has more levels than are taken";
    }
    return aside_fault(event->text);
}

/** The mend, for a message that will come again. */
static void tell_mend(const struct opts *o, const struct smqtt_client_event *event, const char *topic, char *out,
                      size_t cap)
{
    out[0] = 0;
    if (!event->retain) {
        return;
    }
    if (event->field != SMQTT_FIELD_TOPIC) {
        snprintf(out, cap, "; the broker forgets it after: smqtt pub -h %s -p %u -t '%s' -r -n", o->host, o->port,
                 topic);
    } else if (event->topic.len != 0 && strlen(topic) < SHOWN_MAX - 8) {
        snprintf(out, cap, "; the broker forgets it after: smqtt probe -h %s -p %u --forget '%s'", o->host, o->port,
                 topic);
    }
}

void aside_note(struct aside *a, const struct opts *o, const struct smqtt_client_event *event)
{
    if (is_told(a, event)) {
        return;
    }
    char topic[SHOWN_MAX];
    char text[SHOWN_MAX];
    char mend[2 * SHOWN_MAX];
    aside_show(event->topic, topic, sizeof(topic));
    aside_show(event->text, text, sizeof(text));
    tell_mend(o, event, topic, mend, sizeof(mend));
    bool of_topic = event->field == SMQTT_FIELD_TOPIC;
    bool quoted = !of_topic && event->text.len != 0;
    say("a %smessage on '%s' was put aside: its %s%s%s%s %s%s.", event->retain ? "retained " : "", topic,
        smqtt_field_name(event->field), quoted ? " '" : "", quoted ? text : "", quoted ? "'" : "", what_is_wrong(event),
        mend);
    if (a->n == ASIDE_TOLD_MAX) {
        say("from here on such messages are only counted.");
    }
}

void aside_sum(const struct smqtt_client *client)
{
    struct smqtt_client_counts n;
    smqtt_client_counters(client, &n);
    if (n.quarantined != 0) {
        say("%llu message%s put aside, as a string in %s is not what MQTT allows.", (unsigned long long)n.quarantined,
            n.quarantined == 1 ? " was" : "s were", n.quarantined == 1 ? "it" : "each");
    }
}
