/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_SETTINGS_H
#define SMQTT_APPS_SETTINGS_H
/* From flags to a client: what its CONNECT says, checked. */
#include "run.h"

/** Makes the client of a run as the flags ask, and gets ready to connect. `secure`: it seals or opens, so its client id
 * is not empty; `version`: what is spoken unless -V says otherwise. False after a sentence. */
bool settings_client(struct run *run, const struct opts *o, bool secure, enum smqtt_version version);

/** The version that -V names. False after a sentence. */
bool settings_version(const char *text, enum smqtt_version *out);

#endif
