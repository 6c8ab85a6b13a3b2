/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdio.h>

#include "codec/reason.h"
#include "../json.h"
#include "../say.h"

enum { NAME_WIDTH = 32, LINE_WIDTH = 118 };

static const struct {
    const char *json, *words;
} kinds[PROBE_N_KINDS] = {
    [PROBE_REFUSED] = {"refused", "refused"},
    [PROBE_SWALLOWED] = {"swallowed", "taken, delivered to nobody"},
    [PROBE_TAKEN] = {"taken", "taken"},
    [PROBE_CHANGED] = {"changed", "delivered, changed to what MQTT allows"},
    [PROBE_DELIVERED] = {"delivered", "DELIVERED"},
    [PROBE_KEPT] = {"retained", "DELIVERED, AND RETAINED for whoever subscribes later"},
};

/** Is it something that a broker has to refuse? What is only advised against is not, and a payload that is not the text
 * that it is said to be is left to whoever receives it (MQTT 5.0 section 3.3.2.3.2). */
static bool counts(const struct probe_result *r)
{
    return r->string->cls != PROBE_ADVISED && r->field->place != PROBE_IN_TEXT;
}

/** The worst that came of a string that MQTT forbids. */
static enum probe_kind worst(const struct probe_report *report)
{
    enum probe_kind kind = PROBE_REFUSED;
    for (size_t i = 0; i < report->n; i++) {
        const struct probe_result *r = &report->results[i];
        if (counts(r) && probe_kind(r) > kind) {
            kind = probe_kind(r);
        }
    }
    return kind;
}

int probe_report_code(const struct probe_report *report)
{
    enum probe_kind kind = worst(report);
    if (!report->whole || report->n == 0) {
        return kind >= PROBE_DELIVERED ? PROBE_EXIT_DELIVERS : EXIT_FAILED;
    }
    return kind >= PROBE_DELIVERED ? PROBE_EXIT_DELIVERS : kind > PROBE_REFUSED ? PROBE_EXIT_TAKES : PROBE_EXIT_REFUSES;
}

/* ---------------------------------------------------------------- for people */

struct group {
    const struct probe_report *report;
    enum smqtt_version version;
    const struct probe_field *field;
    enum probe_kind kind;
};

static bool is_in(const struct group *g, const struct probe_result *r)
{
    return r->version == g->version && r->field == g->field && probe_kind(r) == g->kind;
}

static size_t count(const struct group *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->report->n; i++) {
        n += is_in(g, &g->report->results[i]) ? 1 : 0;
    }
    return n;
}

/** The strings of a group, broken into lines. */
static void put_strings(const struct group *g)
{
    size_t at = NAME_WIDTH + 6;
    const char *comma = "";
    printf("%*s", NAME_WIDTH + 6, "");
    for (size_t i = 0; i < g->report->n; i++) {
        const struct probe_result *r = &g->report->results[i];
        if (!is_in(g, r)) {
            continue;
        }
        size_t len = strlen(r->string->name);
        if (at + len + 3 > LINE_WIDTH) {
            printf("%s\n%*s", comma, NAME_WIDTH + 6, "");
            comma = "";
            at = NAME_WIDTH + 6;
        }
        printf("%s%s%s", comma, *comma != 0 ? " " : "", r->string->name);
        at += len + 2;
        comma = ",";
    }
    putchar('\n');
}

static void put_field(const struct probe_report *report, enum smqtt_version version, const struct probe_field *field)
{
    size_t n[PROBE_N_KINDS];
    size_t all = 0;
    struct group g = {report, version, field, PROBE_REFUSED};
    for (g.kind = PROBE_REFUSED; g.kind < PROBE_N_KINDS; g.kind++) {
        n[g.kind] = count(&g);
        all += n[g.kind];
    }
    const char *name = field->name;
    for (g.kind = PROBE_REFUSED; g.kind < PROBE_N_KINDS; g.kind++) {
        if (n[g.kind] == 0) {
            continue;
        }
        printf("  %-*s  %2zu of %zu %s\n", NAME_WIDTH, name, n[g.kind], all, kinds[g.kind].words);
        name = "";
        if (n[g.kind] != all) {
            put_strings(&g);
        }
    }
}

/** In which fields they get through. */
static void put_fields_that_leak(const struct probe_report *report)
{
    const char *before = "They get through in: ";
    for (size_t i = 0; i < probe_n_fields; i++) {
        bool leaks = false;
        bool only_wildcards = true;
        for (size_t k = 0; k < report->n; k++) {
            const struct probe_result *r = &report->results[k];
            if (r->field == &probe_fields[i] && counts(r) && probe_kind(r) >= PROBE_DELIVERED) {
                leaks = true;
                only_wildcards = only_wildcards && r->string->cls == PROBE_WILDCARD;
            }
        }
        if (leaks) {
            printf("%s%s%s", before, probe_fields[i].name, only_wildcards ? " (wildcards)" : "");
            before = ", ";
        }
    }
    puts(".");
}

static void put_verdict(const struct probe_report *report)
{
    static const char *const verdicts[PROBE_N_KINDS] = {
        [PROBE_REFUSED] = "This broker refuses every string that MQTT forbids, of those tried.",
        [PROBE_SWALLOWED] = "This broker takes strings that MQTT forbids, but no subscriber gets one.",
        [PROBE_TAKEN] = "This broker takes strings that MQTT forbids, but no subscriber gets one.",
        [PROBE_CHANGED] = "This broker takes strings that MQTT forbids and delivers something else in their place.\n"
                          "No subscriber gets such a string, but two publishers may mean different topics and meet on "
                          "one.",
        [PROBE_DELIVERED] = "This broker DELIVERS strings that MQTT forbids.\n"
                            "Whoever may publish can drive away every subscriber that follows the standard.",
        [PROBE_KEPT] = "This broker DELIVERS strings that MQTT forbids AND KEEPS them.\n"
                       "Whoever may publish once can keep every subscriber that follows the standard away for good.",
    };
    bool cut = false;
    bool texts = false;
    for (size_t i = 0; i < report->n; i++) {
        const struct probe_result *r = &report->results[i];
        cut = cut || r->cut;
        texts = texts || (r->field->place == PROBE_IN_TEXT && probe_kind(r) >= PROBE_DELIVERED);
    }
    printf("\n%s\n", verdicts[worst(report)]);
    if (worst(report) >= PROBE_DELIVERED) {
        put_fields_that_leak(report);
    }
    if (texts) {
        puts("It hands on payloads that are not the text that they are said to be: the standard leaves that check to "
             "the receiver.");
    }
    if (cut) {
        puts("It ended a subscriber's connection while it delivered such a message.");
    }
    if (!report->whole) {
        puts("Not all was tried.");
    }
    if (report->left != 0) {
        printf("%u retained messages of this test could not be removed.\n", report->left);
    }
}

void probe_report_table(const struct probe_report *report)
{
    for (enum smqtt_version v = SMQTT_V31; v <= SMQTT_V5; v = (enum smqtt_version)(v + 1)) {
        if (!report->asked[v]) {
            continue;
        }
        printf("MQTT %s%s\n", probe_version_name(v), report->spoken[v] ? "" : ": this broker does not speak it");
        for (size_t i = 0; report->spoken[v] && i < probe_n_fields; i++) {
            put_field(report, v, &probe_fields[i]);
        }
    }
    put_verdict(report);
}

/* ---------------------------------------------------------------- for machines */

static void member(struct json *j, const char *name, const char *value)
{
    json_member(j, smq_span_str(name));
    json_text(smq_span_str(value));
}

static const char *seen_name(enum probe_seen seen)
{
    static const char *const names[] = {"no", "unchanged", "changed, ill-formed", "changed"};
    return names[seen];
}

static void put_case(struct json *j, const struct probe_result *r)
{
    static const char *const classes[] = {"forbidden", "wildcard", "advised"};
    char hex[64];
    size_t n = 0;
    for (size_t i = 0; i < r->string->len && n + 3 < sizeof(hex); i++) {
        n += (size_t)snprintf(hex + n, sizeof(hex) - n, "%02x", (uint8_t)r->string->bytes[i]);
    }
    json_item(j);
    json_open(j);
    member(j, "version", probe_version_name(r->version));
    member(j, "field", r->field->name);
    member(j, "string", r->string->name);
    member(j, "bytes", hex);
    member(j, "class", classes[r->string->cls]);
    member(j, "outcome", kinds[probe_kind(r)].json);
    member(j, "refused", !r->refused ? "no" : r->reason != 0 ? "reason" : "closed");
    if (r->reason != 0) {
        json_member(j, smq_span_str("reason"));
        json_number(r->reason);
    }
    if (probe_is_carried(r->field)) {
        member(j, "forwarded", seen_name(r->forwarded));
        member(j, "retained", seen_name(r->stored));
    }
    if (r->cut) {
        json_member(j, smq_span_str("subscriber_cut"));
        json_bool(true);
    }
    json_close(j);
}

static void put_numbers(struct json *j, const struct probe_report *report)
{
    size_t n[PROBE_N_KINDS] = {0};
    for (size_t i = 0; i < report->n; i++) {
        n[probe_kind(&report->results[i])] += counts(&report->results[i]) ? 1 : 0;
    }
    json_member(j, smq_span_str("count"));
    json_open(j);
    for (size_t k = 0; k < PROBE_N_KINDS; k++) {
        json_member(j, smq_span_str(kinds[k].json));
        json_number((double)n[k]);
    }
    json_close(j);
}

void probe_report_json(const struct probe_report *report)
{
    static const char *const verdicts[] = {"refuses", "takes", "takes", "changes", "delivers", "retains"};
    struct json j = {.pretty = report->opts->pretty};
    json_open(&j);
    member(&j, "verdict", verdicts[worst(report)]);
    json_member(&j, smq_span_str("complete"));
    json_bool(report->whole);
    json_member(&j, smq_span_str("versions"));
    json_open_list(&j);
    for (enum smqtt_version v = SMQTT_V31; v <= SMQTT_V5; v = (enum smqtt_version)(v + 1)) {
        if (report->spoken[v]) {
            json_item(&j);
            json_text(smq_span_str(probe_version_name(v)));
        }
    }
    json_close_list(&j);
    put_numbers(&j, report);
    json_member(&j, smq_span_str("left_retained"));
    json_number(report->left);
    json_member(&j, smq_span_str("cases"));
    json_open_list(&j);
    for (size_t i = 0; i < report->n; i++) {
        put_case(&j, &report->results[i]);
    }
    json_close_list(&j);
    json_close(&j);
    putchar('\n');
}
