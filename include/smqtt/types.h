/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TYPES_H
#define SMQTT_TYPES_H
/**
 * @file types.h
 * Types that every public header uses: byte spans, time, memory and randomness as tables of functions.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SMQTT_API      __attribute__((visibility("default")))
#define SMQTT_MUST_USE __attribute__((warn_unused_result))
#else
#define SMQTT_API
#define SMQTT_MUST_USE
#endif

/** Read-only view of bytes. Owns nothing; each function says how long it is borrowed. */
struct smqtt_span {
    const uint8_t *data; /**< may be NULL when len is 0 */
    size_t len;          /**< bytes */
};

/** The bytes of a zero-terminated string, without the zero; borrowed. NULL: empty. */
static inline struct smqtt_span smqtt_str(const char *text)
{
    struct smqtt_span span;
    span.data = (const uint8_t *)text;
    span.len = text != NULL ? strlen(text) : 0;
    return span;
}

/** Milliseconds. Wall-clock values count from 1970-01-01 UTC; monotonic values from any fixed start. */
typedef uint64_t smqtt_ms;
/** A deadline that never comes. */
#define SMQTT_NEVER UINT64_MAX

/** Where memory comes from. A NULL table means the C library. All functions may be called from the calling thread only.
 */
struct smqtt_mem {
    void *(*alloc)(void *ctx, size_t size);             /**< returns NULL when there is none; never called with 0 */
    void *(*resize)(void *ctx, void *ptr, size_t size); /**< as realloc; the old block stays valid on NULL */
    void (*release)(void *ctx, void *ptr);              /**< as free; ptr may be NULL */
    void *ctx;                                          /**< given to each of them */
};

/** Where randomness comes from: must be cryptographically strong except in simulations. */
struct smqtt_rng {
    bool (*fill)(void *ctx, uint8_t *out,
                 size_t len); /**< fills all of out, or returns false: then nothing may be sealed */
    void *ctx;                /**< given to fill */
};

/** A string of a packet, or a payload that its format indicator calls text. */
enum smqtt_field {
    SMQTT_FIELD_NONE = 0,             /**< none */
    SMQTT_FIELD_TOPIC,                /**< the topic of a PUBLISH */
    SMQTT_FIELD_PAYLOAD,              /**< with payload format indicator 1 */
    SMQTT_FIELD_CONTENT_TYPE,         /**< property content type */
    SMQTT_FIELD_RESPONSE_TOPIC,       /**< property response topic */
    SMQTT_FIELD_USER_PROPERTY_NAME,   /**< the name of a user property */
    SMQTT_FIELD_USER_PROPERTY_VALUE,  /**< its value */
    SMQTT_FIELD_REASON_STRING,        /**< property reason string */
    SMQTT_FIELD_SERVER_REFERENCE,     /**< property server reference */
    SMQTT_FIELD_RESPONSE_INFORMATION, /**< property response information */
    SMQTT_FIELD_ASSIGNED_CLIENT_ID,   /**< property assigned client identifier */
    SMQTT_FIELD_AUTH_METHOD           /**< property authentication method */
};

/** MQTT protocol level as CONNECT carries it. */
enum smqtt_version {
    SMQTT_V31 = 3,  /**< MQTT 3.1 */
    SMQTT_V311 = 4, /**< MQTT 3.1.1 */
    SMQTT_V5 = 5    /**< MQTT 5.0 */
};

#ifdef __cplusplus
}
#endif
#endif
