/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_ERROR_H
#define SMQTT_ERROR_H
/**
 * @file error.h
 * One list of errors for the whole library; the rows are in error.def.
 */
#include <smqtt/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Result of every function that can fail: SMQTT_OK (0) or one of SMQTT_E_…. */
typedef enum smqtt_err {
    SMQTT_OK = 0, /**< it worked */
#define ERR(name, cls, reason, text) SMQTT_E_##name,
#include <smqtt/error.def>
#undef ERR
    SMQTT_ERR_COUNT /**< number of values, not an error */
} smqtt_err;

/** What kind of error it is, and so what the caller does next (see error.def). */
enum smqtt_err_class {
    SMQTT_CLASS_OK,     /**< no error */
    SMQTT_CLASS_AGAIN,  /**< give more bytes, or try later */
    SMQTT_CLASS_PEER,   /**< the other side broke MQTT: answer with smqtt_err_reason, then close */
    SMQTT_CLASS_CRYPTO, /**< a cryptographic check failed */
    SMQTT_CLASS_DETECT, /**< a rule of S-MQTT refused it */
    SMQTT_CLASS_LIMIT,  /**< a ceiling of the library: make room, then try again */
    SMQTT_CLASS_NOMEM,  /**< there is no memory */
    SMQTT_CLASS_IO,     /**< the system or the store failed */
    SMQTT_CLASS_USAGE,  /**< the caller's mistake */
    SMQTT_CLASS_BUG     /**< the library's mistake: please report it */
};

/** The sentence of an error, for people; never NULL, static storage, also for values out of range. */
SMQTT_API const char *smqtt_strerror(smqtt_err err);
/** The name of an error as text, "BAD_TOPIC"; "OK" for 0; never NULL. */
SMQTT_API const char *smqtt_err_name(smqtt_err err);
/** The class of an error; SMQTT_CLASS_BUG for values out of range. */
SMQTT_API enum smqtt_err_class smqtt_err_class(smqtt_err err);
/** The MQTT 5.0 reason code to answer with, 0 where none is sent. */
SMQTT_API uint8_t smqtt_err_reason(smqtt_err err);

#ifdef __cplusplus
}
#endif
#endif
