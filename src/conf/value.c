/* SPDX-License-Identifier: Apache-2.0 */
/* Values of directives: text to field and back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "conf/row.h"
#include "codec/topic.h"

#define DAY_S        86400u
#define MINUTE_S     60u
#define QOS_MAX      2u
#define ALL_VERSIONS (1u << SMQTT_V31 | 1u << SMQTT_V311 | 1u << SMQTT_V5)

/* Units of AGE, Mosquitto's: a month has 30 days, a year 365. */
static const struct {
    char letter;
    uint32_t seconds;
} ages[] = {{'y', 365 * DAY_S}, {'m', 30 * DAY_S}, {'w', 7 * DAY_S}, {'d', DAY_S}, {'h', 3600}, {'s', 1}};

bool smq_conf_number(const char *text, uint64_t max, uint64_t *number)
{
    uint64_t n = 0;
    if (*text == 0) {
        return false;
    }
    for (; *text != 0; text++) {
        unsigned digit = (unsigned)(*text - '0');
        if (digit > 9 || n > UINT64_MAX / 10 || n * 10 > UINT64_MAX - digit) {
            return false;
        }
        n = n * 10 + digit;
    }
    *number = n;
    return n <= max;
}

static unsigned shift_of(char letter)
{
    switch (letter) {
    case 'k':
    case 'K':
        return 10;
    case 'm':
    case 'M':
        return 20;
    case 'g':
    case 'G':
        return 30;
    default:
        return 0;
    }
}

/* "64M" */
static bool read_size(const char *text, uint64_t max, uint64_t *number)
{
    char digits[24];
    size_t len = strlen(text);
    unsigned shift = len != 0 ? shift_of(text[len - 1]) : 0;
    if (shift != 0) {
        len--;
    }
    if (len == 0 || len >= sizeof digits) {
        return false;
    }
    memcpy(digits, text, len);
    digits[len] = 0;
    uint64_t n = 0;
    if (!smq_conf_number(digits, max >> shift, &n)) {
        return false;
    }
    *number = n << shift;
    return true;
}

/* "14d", "never" */
static bool read_age(const char *text, uint64_t max, uint64_t *number)
{
    char digits[24];
    size_t len = strlen(text);
    if (strcmp(text, "never") == 0) {
        *number = 0;
        return true;
    }
    if (len < 2 || len >= sizeof digits) {
        return false;
    }
    memcpy(digits, text, len - 1);
    digits[len - 1] = 0;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(ages); i++) {
        uint64_t n = 0;
        if (text[len - 1] == ages[i].letter) {
            bool ok = smq_conf_number(digits, max / ages[i].seconds, &n) && n != 0;
            *number = n * ages[i].seconds;
            return ok;
        }
    }
    return false;
}

/* The place of `text` in a list of words divided by blanks. */
static bool find_word(const char *words, const char *text, uint64_t *place)
{
    size_t len = strlen(text);
    uint64_t i = 0;
    while (*words != 0 && len != 0) {
        size_t n = strcspn(words, " ");
        if (n == len && strncmp(words, text, n) == 0) {
            *place = i;
            return true;
        }
        words += n;
        words += strspn(words, " ");
        i++;
    }
    return false;
}

/* "3, 4 5" to bits; all of them are 0, as none would be nobody. */
static bool read_versions(const char *text, uint64_t *bits)
{
    static const char between[] = ", \t";
    *bits = 0;
    for (text += strspn(text, between); *text != 0; text += strspn(text, between)) {
        unsigned version = (unsigned)(text[0] - '0');
        if (strcspn(text, between) != 1 || version < SMQTT_V31 || version > SMQTT_V5) {
            return false;
        }
        *bits |= UINT64_C(1) << version;
        text++;
    }
    bool any = *bits != 0;
    *bits = *bits == ALL_VERSIONS ? 0 : *bits;
    return any;
}

/* Within its range, or as the default says. */
static bool is_in_range(const struct smq_conf_row *row, const char *value, uint64_t number)
{
    return number >= row->min || strcmp(value, row->deflt) == 0;
}

static bool read_number(const struct smq_conf_row *row, const char *value, uint64_t *number)
{
    switch (row->type) {
    case SMQ_CONF_BOOL:
    case SMQ_CONF_NOT:
        *number = strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0;
        return *number == 1 || strcasecmp(value, "false") == 0 || strcmp(value, "0") == 0;
    case SMQ_CONF_QOS:
    case SMQ_CONF_U16:
    case SMQ_CONF_U32:
    case SMQ_CONF_SECONDS:
    case SMQ_CONF_MINUTES:
        return smq_conf_number(value, row->max, number) && is_in_range(row, value, *number);
    case SMQ_CONF_COUNT:
        *number = 0;
        return strcmp(value, "-1") == 0 ||
               (smq_conf_number(value, row->max, number) && is_in_range(row, value, *number));
    case SMQ_CONF_SIZE32:
    case SMQ_CONF_SIZE:
        *number = 0;
        return (row->min == 0 && strcmp(value, "-1") == 0) ||
               (read_size(value, row->max, number) && is_in_range(row, value, *number));
    case SMQ_CONF_AGE:
        return read_age(value, row->max, number);
    case SMQ_CONF_VERSIONS:
        return read_versions(value, number);
    case SMQ_CONF_WORD:
        return find_word(row->words, value, number);
    case SMQ_CONF_TEXT:
    case SMQ_CONF_TOPIC:
    case SMQ_CONF_OWN:
        break;
    }
    return false;
}

/* How a field of a type lies in memory; 0: not a number. */
static size_t number_size(enum smq_conf_type type)
{
    switch (type) {
    case SMQ_CONF_BOOL:
    case SMQ_CONF_NOT:
        return sizeof(bool);
    case SMQ_CONF_QOS:
    case SMQ_CONF_VERSIONS:
        return sizeof(uint8_t);
    case SMQ_CONF_U16:
        return sizeof(uint16_t);
    case SMQ_CONF_U32:
    case SMQ_CONF_SECONDS:
    case SMQ_CONF_MINUTES:
    case SMQ_CONF_COUNT:
    case SMQ_CONF_SIZE32:
    case SMQ_CONF_AGE:
        return sizeof(uint32_t);
    case SMQ_CONF_SIZE:
        return sizeof(uint64_t);
    case SMQ_CONF_WORD:
        return sizeof(enum smq_on_mismatch);
    case SMQ_CONF_TEXT:
    case SMQ_CONF_TOPIC:
    case SMQ_CONF_OWN:
        break;
    }
    return 0;
}
_Static_assert(sizeof(enum smq_on_mismatch) == sizeof(unsigned), "a WORD is stored as unsigned");
_Static_assert(sizeof(enum smq_text_policy) == sizeof(unsigned), "a WORD is stored as unsigned");
_Static_assert(sizeof(enum smq_slow_policy) == sizeof(unsigned), "a WORD is stored as unsigned");
_Static_assert(sizeof(enum smq_ip_family) == sizeof(unsigned), "a WORD is stored as unsigned");
_Static_assert(sizeof(enum smq_log_facility) == sizeof(unsigned), "a WORD is stored as unsigned");
_Static_assert(sizeof(enum smq_log_format) == sizeof(unsigned), "a WORD is stored as unsigned");

/* From what the file says to what the field has, and back. */
static uint64_t to_field(enum smq_conf_type type, uint64_t number)
{
    if (type == SMQ_CONF_QOS) {
        return number < QOS_MAX ? number + 1 : 0; /* the first that is refused */
    }
    return type == SMQ_CONF_NOT ? number == 0 : type == SMQ_CONF_MINUTES ? number * MINUTE_S : number;
}

static uint64_t from_field(enum smq_conf_type type, uint64_t number)
{
    if (type == SMQ_CONF_QOS) {
        return number == 0 ? QOS_MAX : number - 1;
    }
    return type == SMQ_CONF_NOT ? number == 0 : type == SMQ_CONF_MINUTES ? number / MINUTE_S : number;
}

static void store_number(const struct smq_conf_row *row, void *base, uint64_t number)
{
    uint8_t *at = (uint8_t *)base + row->offset;
    number = to_field(row->type, number);
    uint8_t u8 = (uint8_t)number;
    uint16_t u16 = (uint16_t)number;
    uint32_t u32 = (uint32_t)number;
    bool yes = number != 0;
    bool is_bool = row->type == SMQ_CONF_BOOL || row->type == SMQ_CONF_NOT;
    size_t size = number_size(row->type);
    const void *from = is_bool              ? (const void *)&yes
                       : size == sizeof u8  ? (const void *)&u8
                       : size == sizeof u16 ? (const void *)&u16
                       : size == sizeof u32 ? (const void *)&u32
                                            : (const void *)&number;
    memcpy(at, from, size);
}

static uint64_t load_number(const struct smq_conf_row *row, const void *base)
{
    const uint8_t *at = (const uint8_t *)base + row->offset;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (number_size(row->type)) {
    case sizeof(uint8_t):
        u64 = *at;
        break;
    case sizeof u16:
        memcpy(&u16, at, sizeof u16);
        u64 = u16;
        break;
    case sizeof u32:
        memcpy(&u32, at, sizeof u32);
        u64 = u32;
        break;
    default:
        memcpy(&u64, at, sizeof u64);
        break;
    }
    return from_field(row->type, u64);
}

/* "true or false", "a number from 1 to 8" … */
static void describe(const struct smq_conf_row *row, char *want, size_t cap)
{
    switch (row->type) {
    case SMQ_CONF_BOOL:
    case SMQ_CONF_NOT:
        snprintf(want, cap, "true or false");
        return;
    case SMQ_CONF_WORD:
        snprintf(want, cap, "one of: %s", row->words);
        return;
    case SMQ_CONF_AGE:
        snprintf(want, cap, "a number with s, h, d, w, m or y behind it (at most %" PRIu64 " y), or never",
                 row->max / ages[0].seconds);
        return;
    case SMQ_CONF_VERSIONS:
        snprintf(want, cap, "some of 3, 4 and 5, with commas between them");
        return;
    case SMQ_CONF_TOPIC:
        snprintf(want, cap, "a topic without wildcards and control characters");
        return;
    case SMQ_CONF_TEXT:
        if (row->max != 0) {
            snprintf(want, cap, "text of at most %" PRIu64 " bytes without control characters", row->max);
        } else {
            snprintf(want, cap, "text without control characters");
        }
        return;
    case SMQ_CONF_COUNT:
        snprintf(want, cap, "a number from %" PRIu64 " to %" PRIu64 ", or -1 for no limit", row->min, row->max);
        return;
    case SMQ_CONF_SIZE32:
    case SMQ_CONF_SIZE:
        snprintf(want, cap, "bytes from %" PRIu64 " to %" PRIu64 ", with k, M or G if wanted", row->min, row->max);
        return;
    case SMQ_CONF_QOS:
    case SMQ_CONF_U16:
    case SMQ_CONF_U32:
    case SMQ_CONF_SECONDS:
    case SMQ_CONF_MINUTES:
    case SMQ_CONF_OWN:
        snprintf(want, cap, "a number from %" PRIu64 " to %" PRIu64, row->min, row->max);
        return;
    }
}

bool smq_conf_value_is_text(const struct smq_conf_row *row)
{
    return row->type == SMQ_CONF_TEXT || row->type == SMQ_CONF_TOPIC;
}

static bool is_text_ok(const struct smq_conf_row *row, smq_span text)
{
    if (text.len == 0 || (row->max != 0 && text.len > row->max) || !smq_utf8_ok(text, SMQ_TEXT_STRICT)) {
        return false;
    }
    return row->type == SMQ_CONF_TEXT || smq_topic_name_ok(text, 0);
}

smqtt_err smq_conf_value_check(const struct smq_conf_row *row, const char *value, char *want, size_t want_cap)
{
    uint64_t number;
    describe(row, want, want_cap);
    bool ok = smq_conf_value_is_text(row) ? is_text_ok(row, smq_span_str(value)) : read_number(row, value, &number);
    return ok ? SMQTT_OK : SMQTT_E_USAGE;
}

smqtt_err smq_conf_value_read(const struct smqtt_mem *mem, const struct smq_conf_row *row, void *base,
                              const char *value, char *want, size_t want_cap)
{
    SMQ_TRY(smq_conf_value_check(row, value, want, want_cap));
    if (smq_conf_value_is_text(row)) {
        char *copy = smq_mem_dup(mem, smq_span_str(value));
        if (copy == NULL) {
            return SMQTT_E_NOMEM;
        }
        char **field = (char **)(void *)((uint8_t *)base + row->offset);
        smq_mem_free(mem, *field);
        *field = copy;
        return SMQTT_OK;
    }
    uint64_t number = 0;
    (void)read_number(row, value, &number);
    store_number(row, base, number);
    return SMQTT_OK;
}

void smq_conf_value_free(const struct smqtt_mem *mem, enum smq_conf_scope scope, void *base)
{
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        if (smq_conf_rows[i].scope == scope && smq_conf_value_is_text(&smq_conf_rows[i])) {
            char **field = (char **)(void *)((uint8_t *)base + smq_conf_rows[i].offset);
            smq_mem_free(mem, *field);
            *field = NULL; /* two rows may share it */
        }
    }
}

static void write_age(uint64_t seconds, char *text, size_t cap)
{
    if (seconds == 0) {
        snprintf(text, cap, "never");
        return;
    }
    size_t i = 0;
    while (i + 1 < SMQ_ARRAY_LEN(ages) && seconds % ages[i].seconds != 0) {
        i++;
    }
    snprintf(text, cap, "%" PRIu64 "%c", seconds / ages[i].seconds, ages[i].letter);
}

static void write_word(const char *words, uint64_t place, char *text, size_t cap)
{
    for (; place != 0; place--) {
        words += strcspn(words, " ");
        words += strspn(words, " ");
    }
    snprintf(text, cap, "%.*s", (int)strcspn(words, " "), words);
}

static void write_versions(uint64_t bits, char *text, size_t cap)
{
    size_t at = 0;
    bits = bits == 0 ? ALL_VERSIONS : bits;
    text[0] = 0;
    for (unsigned version = SMQTT_V31; version <= SMQTT_V5; version++) {
        if ((bits & UINT64_C(1) << version) != 0 && at + 4 < cap) {
            at += (size_t)snprintf(text + at, cap - at, "%s%u", at != 0 ? ", " : "", version);
        }
    }
}

bool smq_conf_value_write(const struct smq_conf_row *row, const void *base, char *text, size_t cap)
{
    if (smq_conf_value_is_text(row)) {
        char *field;
        memcpy(&field, (const uint8_t *)base + row->offset, sizeof field);
        snprintf(text, cap, "%s", field != NULL ? field : "");
        return field != NULL;
    }
    if (number_size(row->type) == 0) {
        return false;
    }
    uint64_t number = load_number(row, base);
    if (row->type == SMQ_CONF_BOOL || row->type == SMQ_CONF_NOT) {
        snprintf(text, cap, "%s", number != 0 ? "true" : "false");
    } else if (row->type == SMQ_CONF_AGE) {
        write_age(number, text, cap);
    } else if (row->type == SMQ_CONF_WORD) {
        write_word(row->words, number, text, cap);
    } else if (row->type == SMQ_CONF_VERSIONS) {
        write_versions(number, text, cap);
    } else if (row->type == SMQ_CONF_COUNT && number < row->min) {
        snprintf(text, cap, "-1");
    } else {
        snprintf(text, cap, "%" PRIu64, number);
    }
    return true;
}
