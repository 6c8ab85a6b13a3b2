/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_AUTH_ACL_H
#define SMQTT_AUTH_ACL_H
/* An ACL file of Mosquitto as a table that does not change:
 *   topic [read|write|readwrite|deny] FILTER    for the user above it; above all users: for clients without user name
 *   user NAME                                   the lines below are its own
 *   pattern [read|write|readwrite|deny] FILTER  for everybody; %c is the client identifier, %u the user name
 * In this order: a `deny` of the user that matches; a line of the user that allows; nothing for names with `+` or `#`
 * when there are patterns; a pattern that denies; a pattern that allows. What is left is denied. */
#include "auth/lines.h"

enum { SMQ_ACL_READ = 1, SMQ_ACL_WRITE = 2, SMQ_ACL_DENY = 4 };

struct smq_acl;
struct smq_acl_role;

/**
 * Reads a whole file.
 * @param mem    NULL: the C library's; outlives the table
 * @param key    random
 * @param lines  the text, from its begin; has the sentence afterwards
 * @retval SMQTT_E_USAGE  lines->fault says what is wrong
 * @retval SMQTT_E_NOMEM, SMQTT_E_FULL
 */
SMQ_MUST_USE smqtt_err smq_acl_read(const struct smqtt_mem *mem, const uint8_t key[16], struct smq_lines *lines,
                                    struct smq_acl **out);
/** NULL is allowed. */
void smq_acl_free(struct smq_acl *acl);
/** The lines of a user; `user` empty: of those without. NULL: there are none. Lives as long as the table. */
const struct smq_acl_role *smq_acl_role(const struct smq_acl *acl, smq_span user);
/** May it?
 * @param role       of this user
 * @param user       empty: none
 * @param want       SMQ_ACL_READ or SMQ_ACL_WRITE */
bool smq_acl_allows(const struct smq_acl *acl, const struct smq_acl_role *role, smq_span client_id, smq_span user,
                    smq_span topic, unsigned want);

#endif
