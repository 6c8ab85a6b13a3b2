/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_AUTH_PASSWORDS_H
#define SMQTT_AUTH_PASSWORDS_H
/* A password file of Mosquitto (`USER:HASH`, one a line, see crypto/pwhash.h) as a table that does not change. */
#include "auth/lines.h"
#include "crypto/pwhash.h"

enum { SMQ_PASSWORDS_USERS_MAX = 10000000, SMQ_PASSWORDS_USER_LEN_MAX = 65535 };

struct smq_passwords;

/**
 * Reads a whole file. A user that comes twice and a line that is not one fail it: who is not sure who may come in lets
 * nobody in.
 * @param mem    NULL: the C library's; outlives the table
 * @param key    random
 * @param lines  the text, from its begin; has the sentence afterwards
 * @retval SMQTT_E_USAGE  lines->fault says what is wrong
 * @retval SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_passwords_read(const struct smqtt_mem *mem, const uint8_t key[16], struct smq_lines *lines,
                                          struct smq_passwords **out);
/** Wipes and frees. NULL is allowed. */
void smq_passwords_free(struct smq_passwords *p);
/**
 * The hash to verify a password of `user` against. For a user that is not there it is one that takes as long as that of
 * some other, and that no password fits, so that neither answer nor time tell who exists. False: the table is empty.
 */
bool smq_passwords_find(const struct smq_passwords *p, smq_span user, struct smq_pwhash *out);
/** A number that changes when the user's line does; 0: there is no such user. */
uint64_t smq_passwords_stamp(const struct smq_passwords *p, smq_span user);
/** Number of users. */
size_t smq_passwords_count(const struct smq_passwords *p);

#endif
