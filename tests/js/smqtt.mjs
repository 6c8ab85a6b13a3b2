// SPDX-License-Identifier: Apache-2.0
// A second, independent implementation of S-MQTT 1.0, written from docs/protocol.md alone. It tests the text and the
// C library; it is not built for speed or for hiding secrets from its own process.
//
// How to use this folder (Node 16 or newer):  npm ci;  npm test  runs self.test.mjs and check_vectors.mjs;
// node interop.mjs <path of smqtt_session_peer>  runs sessions against the C side.
export * from './bytes.mjs';
export * from './suites.mjs';
export * from './identity.mjs';
export * from './detect.mjs';
export * from './record.mjs';
export { Client } from './client.mjs';
export { Server, throughEncoding } from './server.mjs';
export * as hpke from './hpke.mjs';
