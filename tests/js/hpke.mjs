// SPDX-License-Identifier: Apache-2.0
// RFC 9180 as far as S-MQTT needs it: modes base and psk, HKDF-SHA256, the KEMs and AEADs of the two suites.
import { ascii, cat, must, uint, u8, u16, utf8 } from './bytes.mjs';
import { hkdfExpandRaw, hkdfExtract, open, seal } from './suites.mjs';

const KDF_HKDF_SHA256 = 0x0001;
const NSECRET = 32;
const EMPTY = new Uint8Array(0);
const VERSION = ascii('HPKE-v1');

const kemSuiteId = (suite) => cat(ascii('KEM'), u16(suite.kemId));
const hpkeSuiteId = (suite) => cat(ascii('HPKE'), u16(suite.kemId), u16(KDF_HKDF_SHA256), u16(suite.aeadId));

const labeledExtract = (id, salt, label, ikm) => hkdfExtract(salt, cat(VERSION, id, ascii(label), ikm));
const labeledExpand = (id, prk, label, info, n) => hkdfExpandRaw(prk, cat(u16(n), VERSION, id, ascii(label), info), n);

/** RFC 9180 section 7.1.3: a private key from key material. */
export function deriveKey(suite, ikm) {
  const id = kemSuiteId(suite);
  const prk = labeledExtract(id, EMPTY, 'dkp_prk', ikm);
  if (suite.name === 'x25519') return labeledExpand(id, prk, 'sk', EMPTY, 32);
  for (let counter = 0; counter < 256; counter++) {
    const candidate = labeledExpand(id, prk, 'candidate', u8(counter), 32);
    try {
      suite.kem.publicKey(candidate);
      return candidate;
    } catch {
      continue;
    }
  }
  throw new Error('DeriveKeyPair failed');
}

function extractAndExpand(suite, dh, enc, pkR) {
  const id = kemSuiteId(suite);
  const prk = labeledExtract(id, EMPTY, 'eae_prk', dh);
  return labeledExpand(id, prk, 'shared_secret', cat(enc, pkR), NSECRET);
}

/** Encap(pkR) with the ephemeral private key given. */
export function encap(suite, pkR, skE) {
  const enc = suite.kem.publicKey(skE);
  return { enc, shared: extractAndExpand(suite, suite.kem.dh(skE, pkR), enc, pkR) };
}

/** Decap(enc, skR). */
export function decap(suite, enc, skR) {
  return extractAndExpand(suite, suite.kem.dh(skR, enc), enc, suite.kem.publicKey(skR));
}

/** A context of either side: seals and opens in order, and exports. */
class Context {
  constructor(suite, key, baseNonce, exporter) {
    Object.assign(this, { suite, key, baseNonce, exporter, seq: 0 });
  }
  nonce() {
    const count = uint(this.seq, 12);
    return this.baseNonce.map((b, i) => b ^ count[i]);
  }
  seal(aad, plain) {
    const box = seal(this.suite, this.key, this.nonce(), aad, plain);
    this.seq++;
    return box;
  }
  open(aad, box) {
    const plain = open(this.suite, this.key, this.nonce(), aad, box);
    this.seq++;
    return plain;
  }
  export(context, n) {
    return labeledExpand(hpkeSuiteId(this.suite), this.exporter, 'sec', utf8(context), n);
  }
}

function keySchedule(suite, shared, info, psk) {
  must(!psk || psk.key.length >= 32, 'HPKE: a pre-shared key has at least 32 bytes');
  must(!psk || psk.id.length >= 1, 'HPKE: a pre-shared key has an id');
  const id = hpkeSuiteId(suite);
  const pskIdHash = labeledExtract(id, EMPTY, 'psk_id_hash', psk ? psk.id : EMPTY);
  const infoHash = labeledExtract(id, EMPTY, 'info_hash', info);
  const context = cat(psk ? 0x01 : 0x00, pskIdHash, infoHash);
  const secret = labeledExtract(id, shared, 'secret', psk ? psk.key : EMPTY);
  return new Context(
    suite,
    labeledExpand(id, secret, 'key', context, suite.nk),
    labeledExpand(id, secret, 'base_nonce', context, 12),
    labeledExpand(id, secret, 'exp', context, 32),
  );
}

/** SetupBaseS, or SetupPSKS when psk = { id, key } is given. */
export function setupSender(suite, pkR, info, { psk, skE } = {}) {
  const { enc, shared } = encap(suite, pkR, skE ?? suite.kem.generate());
  return { enc, context: keySchedule(suite, shared, info, psk) };
}

/** SetupBaseR, or SetupPSKR when psk = { id, key } is given. */
export function setupReceiver(suite, enc, skR, info, psk) {
  return keySchedule(suite, decap(suite, enc, skR), info, psk);
}
