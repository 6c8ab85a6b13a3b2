/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_DEFS_H
#define SMQTT_BASE_DEFS_H
#include <smqtt/error.h>
#include <smqtt/types.h>

#define SMQ_MUST_USE                        SMQTT_MUST_USE
#define SMQ_ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define SMQ_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define SMQ_PRINTF(fmt, args)               __attribute__((format(printf, fmt, args)))

/** Returns early with the error; the only macro with control flow. */
#define SMQ_TRY(expr)                    \
    do {                                 \
        smqtt_err smq_try_err_ = (expr); \
        if (smq_try_err_ != SMQTT_OK) {  \
            return smq_try_err_;         \
        }                                \
    } while (0)

#endif
