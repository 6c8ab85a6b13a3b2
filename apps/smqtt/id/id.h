/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_ID_H
#define SMQTT_APPS_ID_H
/* The verbs of `smqtt id`, one small file each; a verb gets the flags, args[0] is its name, and returns the exit code
 * after it said what went wrong. */
#include "keyring/idfile.h"
#include "../opts.h"

int id_new(const struct opts *o);
int id_show(const struct opts *o);
int id_export(const struct opts *o);
int id_check(const struct opts *o);
int id_renew(const struct opts *o);
int id_rotate(const struct opts *o);
int id_revoke(const struct opts *o);
int id_lock(const struct opts *o);
int id_unlock(const struct opts *o);
int id_passphrase(const struct opts *o);
int id_known(const struct opts *o);
int id_trust(const struct opts *o);
int id_forget(const struct opts *o);
int id_journal(const struct opts *o);

/* ---------------------------------------------------------------- what they have in common (common.c) */

enum { ID_PATH_ROOM = 4096 };

enum { ID_SHOWN_ROOM = 512 };
/** A name as a terminal may show it: it may be a stranger's. Returns out. */
const char *id_shown(const char *name, char out[ID_SHOWN_ROOM]);
/** Says "the form is: smqtt id FORM." and returns false unless there are so many words. */
bool id_form(const struct opts *o, size_t words, const char *form);
/** Reads a private file, asking for its passphrase when it is locked. False after a sentence. Free with
 * smq_idfile_free. */
bool id_open(const struct opts *o, const char *path, struct smq_idfile *out);
/** Reads any file with an identity, or a public line itself; never asks. NULL after a sentence. */
struct smqtt_identity *id_open_public(const char *file_or_line);
/** server.id -> server.pub; false, after a sentence, when it is too long. */
bool id_public_path(const char *path, char out[ID_PATH_ROOM]);
/** Writes a new pair of files that exist neither, and prints their names and the fingerprint. False after a sentence.
 */
bool id_write_pair(const struct smqtt_identity *id, const char *path, const struct smq_passphrase *lock);
/** "name         value" lines of an identity. */
void id_print(const struct smqtt_identity *id);
/** "what         2026-11-23 20:00:00 UTC", "what         no end" for 0. */
void id_print_time(const char *what, smqtt_ms ms);
/** Writes one time as people read it, UTC. */
void id_time_text(smqtt_ms ms, char out[32]);
/** --days from now, 0 (no end) without; `now` in milliseconds. */
smqtt_ms id_end(const struct opts *o, smqtt_ms now);
/** Writes one line into a new file of mode 0600. False after a sentence. */
bool id_write_line(const char *path, const char *line);

/* ---------------------------------------------------------------- QR codes (qr.c) */

/** Prints a QR code of the text with half blocks. On a terminal black on white whatever its colours are, else without
 * colours. False after a sentence. */
bool id_qr_print(const char *text);
/** Writes it as a new SVG file. False after a sentence. */
bool id_qr_svg(const char *text, const char *path);

#endif
