/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_AUTH_LINES_H
#define SMQTT_AUTH_LINES_H
/* Password and ACL files are read line by line; what is wrong is said in one sentence with file and line. */
#include "base/span.h"

enum { SMQ_LINES_FAULT_MAX = 512 };

struct smq_lines {
    const char *file; /* name for sentences; borrowed */
    smq_span rest;
    unsigned line; /* of the last one taken, from 1 */
    char fault[SMQ_LINES_FAULT_MAX];
};

struct smq_lines smq_lines_of(const char *file, smq_span text);
/** The next line that is not empty and no comment (`#` in front), without blanks at its ends. False: there is none, or
 * one is no text; then there is a fault. */
bool smq_lines_next(struct smq_lines *lines, smq_span *line);
/** Sets the sentence, behind "FILE:LINE: ", and returns SMQTT_E_USAGE. */
smqtt_err smq_lines_fail(struct smq_lines *lines, const char *fmt, ...) SMQ_PRINTF(2, 3);
/** Takes what stands before the next space and skips the spaces behind it. False: nothing is left. */
bool smq_lines_word(smq_span *rest, smq_span *word);

#endif
