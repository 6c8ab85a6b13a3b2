/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_SMQTT_H
#define SMQTT_SMQTT_H
/** @file smqtt.h Everything of libsmqtt: MQTT 3.1, 3.1.1 and 5.0 and S-MQTT 1.0, buffers in and buffers out. */
#include <smqtt/client.h>
#include <smqtt/error.h>
#include <smqtt/identity.h>
#include <smqtt/secure.h>
#include <smqtt/system.h>
#include <smqtt/types.h>
#endif
