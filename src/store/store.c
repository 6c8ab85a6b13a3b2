/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <stdarg.h>
#include <stdio.h>

#include "store/why.h"

static const struct smq_store_kind *const kinds[] = {&smq_store_rocksdb, &smq_store_memory, NULL};

const struct smq_store_kind *const *smq_store_kinds(void)
{
    return kinds;
}

const struct smq_store_kind *smq_store_kind_named(const char *name)
{
    for (const struct smq_store_kind *const *kind = kinds; *kind != NULL; kind++) {
        if (strcmp((*kind)->name, name) == 0) {
            return *kind;
        }
    }
    return NULL;
}

smqtt_err smq_store_why_set(struct smq_store_why *why, smqtt_err err, const char *fmt, ...)
{
    if (why != NULL) {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(why->text, sizeof why->text, fmt, args);
        va_end(args);
    }
    return err;
}
