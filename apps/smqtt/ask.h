/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_ASK_H
#define SMQTT_APPS_ASK_H
/* Passphrases: from the file that --passphrase-file names, else from the terminal, without echo. The terminal is the
 * one that controls the process, so that standard input stays free for messages. */
#include "keyring/idfile.h"

/** For smq_idfile_read: `file` is --passphrase-file, or NULL; it is borrowed. */
struct smq_idfile_ask ask_of(const char *file);
/** A new passphrase for the identity at `path`: from the file, else asked for twice. False after one sentence. `what`
 * stands in the prompt, as in "New passphrase". */
bool ask_new(const char *what, const char *path, const char *file, struct smq_passphrase *out);

#endif
