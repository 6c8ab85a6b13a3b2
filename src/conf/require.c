/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt_require_detect [FILTER] [SKID...] */
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "conf/row.h"
#include "codec/topic.h"

void smq_conf_require_free(const struct smqtt_mem *mem, struct smq_require_detect *list)
{
    while (list != NULL) {
        struct smq_require_detect *next = list->next;
        smq_mem_free(mem, list->filter);
        smq_mem_free(mem, list->skids);
        smq_mem_free(mem, list);
        list = next;
    }
}

static smqtt_err copy_one(const struct smqtt_mem *mem, const struct smq_require_detect *from,
                          struct smq_require_detect **out)
{
    struct smq_require_detect *r = smq_mem_zalloc(mem, 1, sizeof *r);
    if (r == NULL) {
        return SMQTT_E_NOMEM;
    }
    *out = r; /* what fails below is freed with the list */
    if (from->filter != NULL && (r->filter = smq_mem_dup(mem, smq_span_str(from->filter))) == NULL) {
        return SMQTT_E_NOMEM;
    }
    if (from->n_skids != 0) {
        r->skids = smq_mem_zalloc(mem, from->n_skids, sizeof r->skids[0]);
        if (r->skids == NULL) {
            return SMQTT_E_NOMEM;
        }
        memcpy(r->skids, from->skids, from->n_skids * sizeof r->skids[0]);
        r->n_skids = from->n_skids;
    }
    return SMQTT_OK;
}

smqtt_err smq_conf_require_copy(const struct smqtt_mem *mem, const struct smq_require_detect *list,
                                struct smq_require_detect **out)
{
    struct smq_require_detect *first = NULL;
    struct smq_require_detect **at = &first;
    for (; list != NULL; list = list->next) {
        smqtt_err err = copy_one(mem, list, at);
        if (err != SMQTT_OK) {
            smq_conf_require_free(mem, first);
            return err;
        }
        at = &(*at)->next;
    }
    *out = first;
    return SMQTT_OK;
}

static bool read_skid(const char *word, uint8_t skid[SMQTT_SKID_LEN])
{
    size_t len = 0;
    return strlen(word) == SMQ_HEX_LEN(SMQTT_SKID_LEN) &&
           smq_hex_decode(skid, SMQTT_SKID_LEN, smq_span_str(word), &len) == SMQTT_OK;
}

static smqtt_err add_skid(struct smq_conf_parser *p, struct smq_require_detect *r, const uint8_t skid[SMQTT_SKID_LEN])
{
    void *larger = smq_mem_resize(p->conf->mem, r->skids, (r->n_skids + 1) * sizeof r->skids[0]);
    if (larger == NULL) {
        return SMQTT_E_NOMEM;
    }
    r->skids = larger;
    memcpy(r->skids[r->n_skids++], skid, SMQTT_SKID_LEN);
    return SMQTT_OK;
}

/* The filter, if the first word is none of hex, and skids. A filter that looks like a skid is written behind "filter".
 */
static smqtt_err fill_require(struct smq_conf_parser *p, struct smq_require_detect *r, char *value)
{
    uint8_t skid[SMQTT_SKID_LEN];
    const char *word = smq_conf_word(&value);
    if (word != NULL && !read_skid(word, skid)) {
        if (!smq_utf8_ok(smq_span_str(word), SMQ_TEXT_STRICT) || !smq_topic_filter_ok(smq_span_str(word), 0)) {
            return smq_conf_fail(p,
                                 "smqtt_require_detect names \"%s\", which is neither a topic filter nor a skid of 16 "
                                 "hex digits.",
                                 word);
        }
        r->filter = smq_mem_dup(p->conf->mem, smq_span_str(word));
        if (r->filter == NULL) {
            return SMQTT_E_NOMEM;
        }
        word = smq_conf_word(&value);
    }
    for (; word != NULL; word = smq_conf_word(&value)) {
        if (!read_skid(word, skid)) {
            return smq_conf_fail(p, "smqtt_require_detect names \"%s\", which is not a skid of 16 hex digits.", word);
        }
        SMQ_TRY(add_skid(p, r, skid));
    }
    return SMQTT_OK;
}

smqtt_err smq_conf_require_read(struct smq_conf_parser *parser, char *value)
{
    struct smq_require_detect **at =
        parser->current != NULL ? &parser->current->config.require_detect : &parser->require_all;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = smq_mem_zalloc(parser->conf->mem, 1, sizeof **at);
    return *at != NULL ? fill_require(parser, *at, value) : SMQTT_E_NOMEM;
}
