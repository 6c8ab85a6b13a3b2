/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

const struct probe_string probe_strings[] = {
#define STRING(name, cls, bytes) {name, PROBE_##cls, bytes, sizeof(bytes) - 1},
#include "strings.def"
#undef STRING
};
const size_t probe_n_strings = SMQ_ARRAY_LEN(probe_strings);

enum { BOTH = true, V5 = false };

const struct probe_field probe_fields[] = {
#define FIELD(name, versions, way, place) {name, versions, PROBE_BY_##way, PROBE_IN_##place},
#include "fields.def"
#undef FIELD
};
const size_t probe_n_fields = SMQ_ARRAY_LEN(probe_fields);

static bool is_topic_name(const struct probe_field *field)
{
    bool published = field->way == PROBE_BY_PUBLISH || field->way == PROBE_BY_WILL;
    return field->place == PROBE_IN_RESPONSE_TOPIC || (published && field->place == PROBE_IN_TOPIC);
}

bool probe_applies(const struct probe_field *field, const struct probe_string *string, enum smqtt_version version,
                   bool advised)
{
    if (version != SMQTT_V5 && !field->v311) {
        return false;
    }
    switch (string->cls) {
    case PROBE_WILDCARD:
        return is_topic_name(field);
    case PROBE_ADVISED:
        return advised && field->place != PROBE_IN_TEXT;
    case PROBE_FORBIDDEN:
        break;
    }
    /* a payload may hold U+0000 */
    return field->place != PROBE_IN_TEXT || memchr(string->bytes, 0, string->len) == NULL;
}

bool probe_is_carried(const struct probe_field *field)
{
    return field->way == PROBE_BY_PUBLISH || field->way == PROBE_BY_WILL;
}

static bool is_bad(enum probe_seen seen)
{
    return seen == PROBE_UNCHANGED || seen == PROBE_STILL_BAD;
}

enum probe_kind probe_kind(const struct probe_result *r)
{
    if (is_bad(r->stored)) {
        return PROBE_KEPT;
    }
    if (is_bad(r->forwarded)) {
        return PROBE_DELIVERED;
    }
    if (r->forwarded == PROBE_MENDED || r->stored == PROBE_MENDED) {
        return PROBE_CHANGED;
    }
    if (r->refused) {
        return PROBE_REFUSED;
    }
    return probe_is_carried(r->field) ? PROBE_SWALLOWED : PROBE_TAKEN;
}

const char *probe_version_name(enum smqtt_version version)
{
    return version == SMQTT_V5 ? "5.0" : version == SMQTT_V311 ? "3.1.1" : "3.1";
}
