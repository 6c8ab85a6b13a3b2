/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_HEX_H
#define SMQTT_BASE_HEX_H
/* Bytes as text: hexadecimal, base64url and base32 (RFC 4648 sections 8, 5 and 6, the latter two without padding). Keys
 * pass through here: time and memory accesses depend on lengths only, and on whether a text is valid, never on the
 * bytes. */
#include "base/span.h"

/* Characters that `len` bytes become, without the terminating zero; len at most SIZE_MAX / 2 - 1. */
#define SMQ_HEX_LEN(len)       ((len)*2)
#define SMQ_BASE64URL_LEN(len) ((len) / 3 * 4 + ((len) % 3 * 4 + 2) / 3)
#define SMQ_BASE32_LEN(len)    ((len) / 5 * 8 + ((len) % 5 * 8 + 4) / 5)

/** Writes `in` as lower-case hex and a zero behind it. `out` has room for SMQ_HEX_LEN(in.len) + 1 characters and is not
 * in `in`. */
void smq_hex_encode(char *out, smq_span in);
/** Writes `in` as base64url without padding and a zero behind it. `out` has room for SMQ_BASE64URL_LEN(in.len) + 1. */
void smq_base64url_encode(char *out, smq_span in);
/** Writes `in` as base32 without padding, in capitals or (`lower`) small letters, and a zero behind it. `out` has room
 * for SMQ_BASE32_LEN(in.len) + 1. */
void smq_base32_encode(char *out, smq_span in, bool lower);

/* The decoders are strict: one text only decodes to given bytes (but for the case of letters in hex and base32).
 * Foreign characters, white space, padding, lengths that no number of bytes has and trailing bits that are not zero are
 * refused. out, cap  where to; on failure untouched len       number of bytes written; on failure untouched Errors:
 * SMQTT_E_MALFORMED the text is not valid; SMQTT_E_FULL it is more than `cap` bytes. */
/** Digits of either case. */
smqtt_err smq_hex_decode(uint8_t *out, size_t cap, smq_span text, size_t *len) SMQ_MUST_USE;
/** base64url without padding. */
smqtt_err smq_base64url_decode(uint8_t *out, size_t cap, smq_span text, size_t *len) SMQ_MUST_USE;
/** base32 without padding, letters of either case. */
smqtt_err smq_base32_decode(uint8_t *out, size_t cap, smq_span text, size_t *len) SMQ_MUST_USE;

#endif
