/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a mosquitto.db: refused with a sentence, or rows whose keys and values can be read. */
#include <stdlib.h>
#include <string.h>

#include "broker/rows.h"
#include "store/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool fill(void *ctx, uint8_t *out, size_t len)
{
    uint8_t *next = ctx;
    memset(out, ++*next, len);
    return true;
}

static void check(const struct smq_write *w, struct smqtt_now now)
{
    struct smq_key_parts key;
    struct smq_row_queue queue;
    struct smq_row_head head;
    if (!smq_key_read(w->key, &key) || (w->op != SMQ_WRITE_PUT && w->op != SMQ_WRITE_DEL)) {
        abort();
    }
    if (key.table == SMQ_TABLE_SESSION && key.kind == SMQ_ROW_QUEUE && !smq_row_read_queue(w->value, now, &queue)) {
        abort();
    }
    if (key.table == SMQ_TABLE_SESSION && key.kind == SMQ_ROW_HEAD && !smq_row_read_head(w->value, &head)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct smqtt_now now = {.mono = 1000000, .wall = UINT64_C(1795456000000)};
    uint8_t next = 0;
    const struct smqtt_rng rng = {fill, &next};
    struct smq_writes *writes = NULL;
    struct smq_import_counts counts;
    struct smq_store_why why = {""};
    if (smq_import_mosquitto(smq_span_of(data, size), &rng, now, &writes, &counts, &why) != SMQTT_OK) {
        if (why.text[0] == 0 || writes != NULL) {
            abort();
        }
        return 0;
    }
    struct smq_write w;
    for (size_t at = 0; smq_writes_next(writes, &at, &w);) {
        check(&w, now);
    }
    smq_writes_free(writes);
    return 0;
}
